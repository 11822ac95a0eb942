//! The images that planned studies are of, and a machine to train them.

use study::{Dataset, DatasetFacts, Machine};

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

/// A machine of two threads with nothing on it: no data, no GPU, not measured.
#[allow(dead_code, reason = "each test file is a program of its own, and some only plan")]
pub fn machine() -> Machine {
    Machine {
        threads: 2,
        speed: None,
        speed_of_candle: None,
        instruction_set: "portable".into(),
        memory: None,
        teacher_logits_limit: 0,
        devices: Vec::new(),
        no_gpu: None,
        datasets: Vec::new(),
        unusable: Vec::new(),
        imported: Vec::new(),
    }
}
