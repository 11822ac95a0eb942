//! MNIST's file format, IDX: a magic number, the counts, then bytes. Big-endian, as LeCun's page describes it.

use super::{Content, Split, files};
use crate::TrainError;
use std::path::Path;

const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;
const IMAGE_SIZE: u32 = 28;
const CLASSES: u32 = 10;

/// The four official files of MNIST or Fashion-MNIST, gzipped or not, in a folder or an archive.
pub(super) fn read(path: &Path) -> Result<Content, TrainError> {
    let wanted: [&[&str]; 4] = [
        &["train-images-idx3-ubyte", "train-images.idx3-ubyte"],
        &["train-labels-idx1-ubyte", "train-labels.idx1-ubyte"],
        &["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"],
        &["t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"],
    ];
    let files = files::read(path, "raw", None, &wanted)?;
    content(<[_; 4]>::try_from(files).expect("one file for each name asked for"))
}

/// Training images and labels, then test images and labels.
pub(super) fn content(files: [files::Contents; 4]) -> Result<Content, TrainError> {
    let [train_images, train_labels, test_images, test_labels] = files;
    Ok(Content {
        train: split(train_images, train_labels)?,
        test: split(test_images, test_labels)?,
        channels: 1,
        image_size: IMAGE_SIZE,
        class_names: Vec::new(),
        held_out: None,
    })
}

fn split(images: files::Contents, labels: files::Contents) -> Result<Split, TrainError> {
    let wrong = |path: &Path, problem| TrainError::Dataset { path: path.into(), problem };
    let (images_path, labels_path) = (images.path.clone(), labels.path.clone());
    let images = pixels(images.bytes).map_err(|problem| wrong(&images_path, problem))?;
    let labels = classes(labels.bytes).map_err(|problem| wrong(&labels_path, problem))?;
    let images_count = images.len() / (IMAGE_SIZE * IMAGE_SIZE) as usize;
    if images_count != labels.len() {
        let problem = format!("holds {} labels; expected {images_count}, one for each image", labels.len());
        return Err(wrong(&labels_path, problem));
    }
    if images_count == 0 {
        return Err(wrong(&images_path, "holds no images".into()));
    }
    Ok(Split { images: images.into(), labels: labels.into() })
}

fn pixels(file: Vec<u8>) -> Result<Vec<u8>, String> {
    let [count, rows, columns] = header(&file, IMAGES_MAGIC, "images")?;
    if [rows, columns] != [IMAGE_SIZE; 2] {
        return Err(format!("holds images of {rows} × {columns} pixels; expected {IMAGE_SIZE} × {IMAGE_SIZE}"));
    }
    body(file, 16, u64::from(count) * u64::from(rows) * u64::from(columns))
}

fn classes(file: Vec<u8>) -> Result<Vec<u8>, String> {
    let [count] = header(&file, LABELS_MAGIC, "labels")?;
    let labels = body(file, 8, u64::from(count))?;
    match labels.iter().position(|label| u32::from(*label) >= CLASSES) {
        Some(index) => Err(format!("label {index} is {}; expected 0 to {}", labels[index], CLASSES - 1)),
        None => Ok(labels),
    }
}

/// The counts behind the magic number.
fn header<const N: usize>(bytes: &[u8], magic: u32, what: &str) -> Result<[u32; N], String> {
    let number = |index: usize| {
        let bytes = bytes.get(index * 4..index * 4 + 4).ok_or("ends within its header")?;
        Ok::<u32, String>(u32::from_be_bytes(bytes.try_into().expect("four bytes were taken")))
    };
    let found = number(0)?;
    if found != magic {
        return Err(format!("begins with {found:#010x}; an IDX file of {what} begins with {magic:#010x}"));
    }
    let mut counts = [0; N];
    for (index, count) in counts.iter_mut().enumerate() {
        *count = number(index + 1)?;
    }
    Ok(counts)
}

/// What is behind the header, in the memory it was read into.
fn body(mut bytes: Vec<u8>, start: usize, expected: u64) -> Result<Vec<u8>, String> {
    let found = bytes.len() - start;
    if found as u64 != expected {
        return Err(format!("holds {found} bytes behind its header; its counts say {expected}"));
    }
    bytes.drain(..start);
    Ok(bytes)
}
