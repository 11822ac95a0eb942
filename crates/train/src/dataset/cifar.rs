//! The binary versions of CIFAR-10 and CIFAR-100: records of label bytes and 3,072 pixel bytes, the red plane first, row by row
//! (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").

use super::{Content, Split, files};
use crate::TrainError;
use std::path::Path;

const CHANNELS: u32 = 3;
const IMAGE_SIZE: u32 = 32;
const PIXEL_BYTES: usize = (CHANNELS * IMAGE_SIZE * IMAGE_SIZE) as usize;
/// Where no file holds more records than this, they are a few images in the official layout, and any number will do.
const FEW_RECORDS: usize = 1_000;

/// One of the two, as it is published.
pub(super) struct Version {
    subfolder: &'static str,
    archive: &'static str,
    /// Training files in their order, then the test file, each with its number of records.
    files: &'static [(&'static str, usize)],
    /// Labels each image has; the last one counts: CIFAR-100 says the superclass first.
    labels: usize,
    classes: u8,
}

pub(super) const CIFAR_10: Version = Version {
    subfolder: "cifar-10-batches-bin",
    archive: "cifar-10-binary.tar.gz",
    files: &[
        ("data_batch_1.bin", 10_000),
        ("data_batch_2.bin", 10_000),
        ("data_batch_3.bin", 10_000),
        ("data_batch_4.bin", 10_000),
        ("data_batch_5.bin", 10_000),
        ("test_batch.bin", 10_000),
    ],
    labels: 1,
    classes: 10,
};

pub(super) const CIFAR_100: Version = Version {
    subfolder: "cifar-100-binary",
    archive: "cifar-100-binary.tar.gz",
    files: &[("train.bin", 50_000), ("test.bin", 10_000)],
    labels: 2,
    classes: 100,
};

impl Version {
    fn record_bytes(&self) -> usize {
        self.labels + PIXEL_BYTES
    }

    /// The training files and the test file, from the official archive, the folder it unpacks to, or the folder that holds
    /// either. Each must be as long as it was published, unless all are short.
    pub(super) fn read(&self, path: &Path) -> Result<Content, TrainError> {
        let names: Vec<[&str; 1]> = self.files.iter().map(|(name, _)| [*name]).collect();
        let wanted: Vec<&[&str]> = names.iter().map(|names| &names[..]).collect();
        let mut train = files::read(path, self.subfolder, Some(self.archive), &wanted)?;
        self.as_published(&train)?;
        let test = train.split_off(self.files.len() - 1);
        Ok(Content {
            train: self.split(train)?,
            test: self.split(test)?,
            channels: CHANNELS,
            image_size: IMAGE_SIZE,
            class_names: Vec::new(),
            held_out: None,
        })
    }

    /// A file that was cut, such as by a download that broke off, is no smaller data set.
    fn as_published(&self, files: &[files::Contents]) -> Result<(), TrainError> {
        let record = self.record_bytes();
        if files.iter().all(|file| file.bytes.len() <= FEW_RECORDS * record) {
            return Ok(());
        }
        let mut published = files.iter().zip(self.files);
        match published.find(|(file, (_, records))| file.bytes.len() != records * record) {
            None => Ok(()),
            Some((file, (_, records))) => Err(TrainError::Dataset {
                path: file.path.clone(),
                problem: format!(
                    "holds {} bytes; as published it holds {} ({records} records of {record} bytes)",
                    file.bytes.len(),
                    records * record
                ),
            }),
        }
    }

    /// Each file's bytes go as soon as its records are taken over, so that the images are never held twice.
    fn split(&self, files: Vec<files::Contents>) -> Result<Split, TrainError> {
        let records: usize = files.iter().map(|file| file.bytes.len() / self.record_bytes()).sum();
        let (mut images, mut labels) = (Vec::with_capacity(records * PIXEL_BYTES), Vec::with_capacity(records));
        for file in files {
            self.append(&mut images, &mut labels, &file.bytes)
                .map_err(|problem| TrainError::Dataset { path: file.path, problem })?;
        }
        Ok(Split { images: images.into(), labels: labels.into() })
    }

    fn append(&self, images: &mut Vec<u8>, labels: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
        let record_bytes = self.record_bytes();
        if bytes.is_empty() || !bytes.len().is_multiple_of(record_bytes) {
            return Err(format!(
                "holds {} bytes; expected a whole number of records of {record_bytes} bytes",
                bytes.len()
            ));
        }
        for (index, record) in bytes.chunks_exact(record_bytes).enumerate() {
            let label = record[self.labels - 1];
            if label >= self.classes {
                return Err(format!("record {index} has label {label}; expected 0 to {}", self.classes - 1));
            }
            labels.push(label);
            images.extend_from_slice(&record[self.labels..]);
        }
        Ok(())
    }
}
