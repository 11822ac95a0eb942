//! The images that planned studies are of.

use study::{Dataset, DatasetFacts};

/// The built-in images, in their own split.
pub fn fashion_mnist_12k() -> DatasetFacts {
    DatasetFacts {
        dataset: Dataset::FashionMnist12k,
        checksum: "of the images".into(),
        classes: 10,
        channels: 1,
        image_size: 28,
        train: 12_000,
        validation: 5_000,
        test: 10_000,
    }
}
