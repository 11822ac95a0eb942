//! Images and labels in memory, read from the files their makers publish.
//!
//! Every file is read whole and checked against its own counts: a file that is missing, truncated, too long or of another
//! kind is an error that names it, never a smaller data set.

mod built_in;
mod bytes;
mod cifar;
mod class_names;
mod files;
mod idx;
mod image_folder;
mod look;
mod pictures;
mod room;
mod shared;
mod tiny_imagenet;
mod tree;

pub use bytes::Bytes;
pub use look::{Notes, look};
pub use shared::{forget, shared};

use crate::TrainError;
use std::path::{Path, PathBuf};
use study::{Dataset, DatasetFacts};

/// Part of a data set. `images`: (n, channels, size, size) bytes from 0 to 255, row by row; `labels`: n, each below the number of
/// classes.
#[derive(Clone, Debug, Default)]
pub struct Split {
    pub images: Bytes,
    pub labels: Bytes,
}

/// A data set, split.
#[derive(Clone, Debug)]
pub struct Images {
    pub facts: DatasetFacts,
    pub train: Split,
    /// The last images of the training file; empty where none are held out.
    pub validation: Split,
    pub test: Split,
    /// Per channel, of the training split scaled to 0..1.
    pub mean: Vec<f32>,
    /// Standard deviation per channel, of the training split scaled to 0..1.
    pub deviation: Vec<f32>,
    pub class_names: Vec<String>,
}

/// What a data set's files hold, before anything is held out. Cloning copies no image.
#[derive(Clone)]
pub(crate) struct Content {
    pub train: Split,
    pub test: Split,
    pub channels: u32,
    pub image_size: u32,
    /// In the order of the labels; empty where the files do not say it and the data set's name does.
    pub class_names: Vec<String>,
    /// How many of the last images of `train` are held out unless someone says otherwise. `None`: 5,000.
    pub held_out: Option<u32>,
}

/// Reads a data set. `path`: the folder or archive (`.tar`, `.tar.gz`, `.tgz`) of its official files; not used by the built-in
/// one; for a folder of images by class that folder, or an archive of it (also `.zip`). `validation`: the last so many images of
/// the training file are held out; `None` is the data set's own split (5,000; of a folder its `val`, or else a tenth up to 5,000);
/// 0 holds out nothing.
///
/// # Errors
/// Where a file is missing, damaged, or takes more memory than the machine lets it have; where holding out would leave no image to
/// train on.
pub fn load(dataset: Dataset, path: Option<&Path>, validation: Option<u32>) -> Result<Images, TrainError> {
    let content = read(dataset, path)?;
    let checksum = checksum(&content);
    let validation = validation.or(content.held_out).unwrap_or(Dataset::VALIDATION_DEFAULT);
    split(dataset, content, checksum, validation)
        .map_err(|problem| TrainError::Dataset { path: place(dataset, path), problem })
}

/// Reads all of a data set's files into memory.
fn read(dataset: Dataset, path: Option<&Path>) -> Result<Content, TrainError> {
    match (dataset, path) {
        (Dataset::FashionMnist12k, _) => built_in::read(),
        (Dataset::FashionMnist | Dataset::Mnist, Some(path)) => idx::read(path),
        (Dataset::Cifar10, Some(path)) => cifar::CIFAR_10.read(path),
        (Dataset::Cifar100, Some(path)) => cifar::CIFAR_100.read(path),
        (Dataset::TinyImageNet, Some(path)) => tiny_imagenet::read(path),
        (Dataset::Folder(folder), Some(path)) => image_folder::read(path, folder.image_size()),
        (_, None) => Err(TrainError::Dataset {
            path: dataset.to_string().into(),
            problem: "no folder or archive is configured for this data set; name the one that holds its official files"
                .into(),
        }),
    }
}

/// How errors name where a data set comes from.
fn place(dataset: Dataset, path: Option<&Path>) -> PathBuf {
    match dataset {
        Dataset::FashionMnist12k => built_in::NAME.into(),
        _ => path.map_or_else(|| dataset.to_string().into(), Path::to_owned),
    }
}

/// What a plan needs to know of a data set: reads all of it, as [`load`].
///
/// # Errors
/// As [`load`].
pub fn facts(dataset: Dataset, path: Option<&Path>, validation: Option<u32>) -> Result<DatasetFacts, TrainError> {
    load(dataset, path, validation).map(|images| images.facts)
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Its labels, to calculate with.
    pub fn class_numbers(&self) -> Vec<u32> {
        self.labels.iter().map(|label| u32::from(*label)).collect()
    }
}

impl Images {
    /// Numbers an image is made of: channels · size · size.
    pub fn values_per_image(&self) -> usize {
        (self.facts.channels * self.facts.image_size * self.facts.image_size) as usize
    }
}

/// `checksum`: the content's own. Nothing is copied: the splits are parts of what was read.
fn split(dataset: Dataset, content: Content, checksum: String, validation: u32) -> Result<Images, String> {
    let Content { train, test, channels, image_size, class_names, .. } = content;
    let count = train.len();
    let Some(kept) = count.checked_sub(validation as usize).filter(|kept| *kept > 0) else {
        return Err(format!(
            "{validation} of its {count} training images cannot be held out for validation; allowed: 0 to {}",
            count.saturating_sub(1)
        ));
    };
    let pixels = kept * (channels * image_size * image_size) as usize;
    let held_out =
        Split { images: train.images.part(pixels..train.images.len()), labels: train.labels.part(kept..count) };
    let train = Split { images: train.images.part(0..pixels), labels: train.labels.part(0..kept) };
    let (mean, deviation) = mean_and_deviation(&train.images, channels as usize, (image_size * image_size) as usize);
    let class_names = if class_names.is_empty() { class_names::of(dataset) } else { class_names };
    Ok(Images {
        facts: DatasetFacts {
            dataset,
            checksum,
            classes: class_names.len() as u32,
            channels,
            image_size,
            train: kept as u32,
            validation,
            test: test.len() as u32,
        },
        train,
        validation: held_out,
        test,
        mean,
        deviation,
        class_names,
    })
}

/// blake3 of counts, images and labels, training file first, and of what the classes are called where the files say it: it does
/// not depend on how much is held out.
fn checksum(content: &Content) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [&content.train, &content.test] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(&part.images);
        hasher.update(&part.labels);
    }
    for name in &content.class_names {
        hasher.update(name.as_bytes()).update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

/// Per channel, of bytes scaled to 0..1. Counted in whole numbers first, so that the order of the images does not matter.
fn mean_and_deviation(images: &[u8], channels: usize, pixels: usize) -> (Vec<f32>, Vec<f32>) {
    let mut counts = vec![[0u64; 256]; channels];
    for image in images.chunks_exact(channels * pixels) {
        for (channel, plane) in image.chunks_exact(pixels).enumerate() {
            for &value in plane {
                counts[channel][usize::from(value)] += 1;
            }
        }
    }
    let of_channel = |counts: &[u64; 256]| {
        let moment = |power: u32| {
            counts.iter().enumerate().map(|(value, count)| (value as u64).pow(power) * count).sum::<u64>() as f64
        };
        let total = moment(0);
        let mean = moment(1) / total;
        let variance = (moment(2) / total - mean * mean).max(0.0);
        // A channel of one value only has nothing to scale.
        let deviation = if variance > 0.0 { variance.sqrt() } else { 255.0 };
        ((mean / 255.0) as f32, (deviation / 255.0) as f32)
    };
    counts.iter().map(of_channel).unzip()
}
