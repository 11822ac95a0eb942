//! CIFAR-10's binary version: records of one label byte and 3,072 pixel bytes, the red plane first, row by row
//! (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").

use super::{CLASSES, Content, Split, files};
use crate::TrainError;
use std::path::Path;

const CHANNELS: u32 = 3;
const IMAGE_SIZE: u32 = 32;
const PIXEL_BYTES: usize = (CHANNELS * IMAGE_SIZE * IMAGE_SIZE) as usize;
const RECORD_BYTES: usize = 1 + PIXEL_BYTES;
/// Records of each of the six files as they are published.
const RECORDS: usize = 10_000;
/// Where no file holds more records than this, they are a few images in the official layout, and any number will do.
const FEW_RECORDS: usize = 1_000;

/// The five training batches in their order and the test batch, from `cifar-10-binary.tar.gz`, the folder it unpacks to, or
/// the folder that holds either. Each must be as long as it was published, unless all are short.
pub(super) fn read(path: &Path) -> Result<Content, TrainError> {
    let wanted: [&[&str]; 6] = [
        &["data_batch_1.bin"],
        &["data_batch_2.bin"],
        &["data_batch_3.bin"],
        &["data_batch_4.bin"],
        &["data_batch_5.bin"],
        &["test_batch.bin"],
    ];
    let mut train = files::read(path, "cifar-10-batches-bin", Some("cifar-10-binary.tar.gz"), &wanted)?;
    as_published(&train)?;
    let test = train.split_off(5);
    Ok(Content { train: split(train)?, test: split(test)?, channels: CHANNELS, image_size: IMAGE_SIZE })
}

/// A file that was cut, such as by a download that broke off, is no smaller data set.
fn as_published(files: &[files::Contents]) -> Result<(), TrainError> {
    if files.iter().all(|file| file.bytes.len() <= FEW_RECORDS * RECORD_BYTES) {
        return Ok(());
    }
    match files.iter().find(|file| file.bytes.len() != RECORDS * RECORD_BYTES) {
        None => Ok(()),
        Some(file) => Err(TrainError::Dataset {
            path: file.path.clone(),
            problem: format!(
                "holds {} bytes; as published it holds {} ({RECORDS} records of {RECORD_BYTES} bytes)",
                file.bytes.len(),
                RECORDS * RECORD_BYTES
            ),
        }),
    }
}

/// Each file's bytes go as soon as its records are taken over, so that the images are never held twice.
fn split(files: Vec<files::Contents>) -> Result<Split, TrainError> {
    let records: usize = files.iter().map(|file| file.bytes.len() / RECORD_BYTES).sum();
    let (mut images, mut labels) = (Vec::with_capacity(records * PIXEL_BYTES), Vec::with_capacity(records));
    for file in files {
        append(&mut images, &mut labels, &file.bytes)
            .map_err(|problem| TrainError::Dataset { path: file.path, problem })?;
    }
    Ok(Split { images: images.into(), labels: labels.into() })
}

fn append(images: &mut Vec<u8>, labels: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD_BYTES) {
        return Err(format!("holds {} bytes; expected a whole number of records of {RECORD_BYTES} bytes", bytes.len()));
    }
    for (index, record) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
        let label = record[0];
        if u32::from(label) >= CLASSES {
            return Err(format!("record {index} has label {label}; expected 0 to {}", CLASSES - 1));
        }
        labels.push(label);
        images.extend_from_slice(&record[1..]);
    }
    Ok(())
}
