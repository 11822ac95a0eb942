//! Which images: the names a study may use, and the facts a plan needs about them.

use crate::SpecError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A data set by name. Where its files lie is the installation's business, never the study's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// Built in: 12,000 training, 5,000 validation and 10,000 test images of Fashion-MNIST.
    #[serde(rename = "fashion-mnist-12k")]
    FashionMnist12k,
    FashionMnist,
    Mnist,
    #[serde(rename = "cifar-10")]
    Cifar10,
}

impl Dataset {
    pub const ALL: [Dataset; 4] = [Self::FashionMnist12k, Self::FashionMnist, Self::Mnist, Self::Cifar10];

    pub fn name(self) -> &'static str {
        match self {
            Self::FashionMnist12k => "fashion-mnist-12k",
            Self::FashionMnist => "fashion-mnist",
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar-10",
        }
    }

    /// A mirrored digit is another sign or none: digits are never flipped.
    pub fn digits(self) -> bool {
        self == Self::Mnist
    }

    /// Images held out of the training file for validation unless the study says otherwise.
    pub const VALIDATION_DEFAULT: u32 = 5_000;
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dataset {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|dataset| dataset.name() == name).ok_or_else(|| Self::ALL.map(Self::name).join(", "))
    }
}

/// What a plan needs to know of a data set that was found and read: its content and its split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetFacts {
    pub dataset: Dataset,
    /// Hex digest of the images and labels of all files in their order.
    pub checksum: String,
    pub classes: u32,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: u32,
    /// Height and width in pixels.
    pub image_size: u32,
    /// Images trained on, after `validation` images were held out.
    pub train: u32,
    pub validation: u32,
    pub test: u32,
}

impl DatasetFacts {
    /// Of each image: channels · height · width.
    pub(crate) fn values_per_image(&self) -> u64 {
        u64::from(self.channels) * u64::from(self.image_size) * u64::from(self.image_size)
    }

    /// The data set with `validation` images held out, whichever way it is split here; `None` holds out as many as is usual.
    ///
    /// # Errors
    /// Field `validation`: no image would be left to train on.
    pub(crate) fn split(&self, validation: Option<u32>) -> Result<DatasetFacts, SpecError> {
        let images = self.train.saturating_add(self.validation);
        let held_out = validation.unwrap_or(Dataset::VALIDATION_DEFAULT);
        if held_out >= images {
            let usual = format!("nothing, which means {held_out}");
            return Err(SpecError {
                field: "validation".into(),
                problem: format!("leaves none of the {images} images of {} to train on", self.dataset),
                given: validation.map_or(usual, |validation| validation.to_string()),
                allowed: format!("0 to {}", images.saturating_sub(1)),
            });
        }
        Ok(DatasetFacts { train: images - held_out, validation: held_out, ..self.clone() })
    }
}
