//! The images that come with the program: part of Fashion-MNIST.

use super::{Content, files, idx};
use crate::TrainError;

/// How errors name it.
pub(super) const NAME: &str = "the built-in fashion-mnist-12k";

const TRAIN_IMAGES: &[u8] = include_bytes!("../../../../data/fashion-mnist-12k/train-images-idx3-ubyte.gz");
const TRAIN_LABELS: &[u8] = include_bytes!("../../../../data/fashion-mnist-12k/train-labels-idx1-ubyte.gz");
const TEST_IMAGES: &[u8] = include_bytes!("../../../../data/fashion-mnist-12k/t10k-images-idx3-ubyte.gz");
const TEST_LABELS: &[u8] = include_bytes!("../../../../data/fashion-mnist-12k/t10k-labels-idx1-ubyte.gz");

/// 17,000 images to train on and validate with, in a shuffled order, and 10,000 to test.
pub(super) fn read() -> Result<Content, TrainError> {
    let unpack = |name: &str, bytes: &[u8]| files::gunzip(std::path::Path::new(NAME).join(name), bytes);
    idx::content([
        unpack("train-images-idx3-ubyte.gz", TRAIN_IMAGES)?,
        unpack("train-labels-idx1-ubyte.gz", TRAIN_LABELS)?,
        unpack("t10k-images-idx3-ubyte.gz", TEST_IMAGES)?,
        unpack("t10k-labels-idx1-ubyte.gz", TEST_LABELS)?,
    ])
}
