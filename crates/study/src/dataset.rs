//! Which images: the names a study may use, and the facts a plan needs about them.

use crate::SpecError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A data set by name. Where its files lie is the installation's business, never the study's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Dataset {
    /// Built in: 12,000 training, 5,000 validation and 10,000 test images of Fashion-MNIST.
    FashionMnist12k,
    FashionMnist,
    Mnist,
    Cifar10,
    /// With its hundred fine labels.
    Cifar100,
    /// Tested on the images that its makers call `val`: those they call `test` have no labels.
    TinyImageNet,
    /// A folder of images by class, found under this name on the machine.
    Folder(FolderName),
}

impl Dataset {
    /// Those that are known by name alone.
    pub const KNOWN: [Dataset; 6] =
        [Self::FashionMnist12k, Self::FashionMnist, Self::Mnist, Self::Cifar10, Self::Cifar100, Self::TinyImageNet];

    /// Those whose makers publish them: what their files must be is known by checksums, so that they can be downloaded.
    pub const PUBLISHED: [Dataset; 5] =
        [Self::Mnist, Self::FashionMnist, Self::Cifar10, Self::Cifar100, Self::TinyImageNet];

    /// What a person may write.
    pub const ALLOWED: &str = "fashion-mnist-12k, fashion-mnist, mnist, cifar-10, cifar-100, tiny-imagenet, or NAME@PIXELS for a \
                               folder of images by class, such as flowers@64: small letters, digits and hyphens, up to 32, then 8 to 64 \
                               pixels, divisible by 4, or 96 to 256, divisible by 32";

    /// Height and width of its images in pixels.
    pub fn image_size(self) -> u32 {
        match self {
            Self::FashionMnist12k | Self::FashionMnist | Self::Mnist => 28,
            Self::Cifar10 | Self::Cifar100 => 32,
            Self::TinyImageNet => 64,
            Self::Folder(folder) => folder.image_size(),
        }
    }

    /// As a person calls it: "CIFAR-10".
    pub fn title(self) -> String {
        match self {
            Self::FashionMnist12k | Self::FashionMnist => "Fashion-MNIST".into(),
            Self::Mnist => "MNIST".into(),
            Self::Cifar10 => "CIFAR-10".into(),
            Self::Cifar100 => "CIFAR-100".into(),
            Self::TinyImageNet => "Tiny-ImageNet".into(),
            Self::Folder(folder) => folder.to_string(),
        }
    }

    /// What its makers say its files hold: enough to say what a study of it comes to where they are not here yet. Nothing is trained by these
    /// facts: they have no checksum. `None` of images that nobody publishes, or that are always here.
    pub fn as_published(self) -> Option<DatasetFacts> {
        let (classes, channels, train) = match self {
            Self::FashionMnist12k | Self::Folder(_) => return None,
            Self::Mnist | Self::FashionMnist => (10, 1, 60_000),
            Self::Cifar10 => (10, 3, 50_000),
            Self::Cifar100 => (100, 3, 50_000),
            Self::TinyImageNet => (200, 3, 100_000),
        };
        let image_size = self.image_size();
        let checksum = String::new();
        Some(DatasetFacts {
            dataset: self,
            checksum,
            classes,
            channels,
            image_size,
            train,
            validation: 0,
            test: 10_000,
        })
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
        let name = match self {
            Self::FashionMnist12k => "fashion-mnist-12k",
            Self::FashionMnist => "fashion-mnist",
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar-10",
            Self::Cifar100 => "cifar-100",
            Self::TinyImageNet => "tiny-imagenet",
            Self::Folder(folder) => return fmt::Display::fmt(folder, f),
        };
        f.write_str(name)
    }
}

impl FromStr for Dataset {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::KNOWN.into_iter().find(|dataset| dataset.to_string() == name);
        known.or_else(|| FolderName::read(name).map(Self::Folder)).ok_or_else(|| Self::ALLOWED.to_owned())
    }
}

impl TryFrom<String> for Dataset {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        name.parse().map_err(|allowed| format!("{name:?} is no data set; allowed: {allowed}"))
    }
}

impl From<Dataset> for String {
    fn from(dataset: Dataset) -> String {
        dataset.to_string()
    }
}

/// How a folder of images by class is called, and the squares that its images are made: "flowers@64". The same folder in two
/// sizes is two data sets. The size is part of the name, so that a study says all of what it trains on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderName {
    /// Behind the last one zeros.
    letters: [u8; FolderName::LETTERS_MAX],
    /// Height and width in pixels.
    image_size: u32,
}

impl FolderName {
    const LETTERS_MAX: usize = 32;

    /// Sizes that the halvings of networks divide: small ones, and those that networks for large images alone see.
    fn is_image_size(pixels: u32) -> bool {
        match pixels {
            8..=64 => pixels.is_multiple_of(4),
            65..=256 => pixels.is_multiple_of(32),
            _ => false,
        }
    }

    /// Height and width of its images in pixels.
    pub fn image_size(self) -> u32 {
        self.image_size
    }

    /// Takes small letters, digits and hyphens, and a size that networks' halvings divide.
    fn read(text: &str) -> Option<FolderName> {
        let (word, size) = text.split_once('@')?;
        let fits = (1..=Self::LETTERS_MAX).contains(&word.len()) && !word.starts_with('-');
        let plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
        // One way to write a size, so that one data set has one name.
        let image_size = size.parse().ok().filter(|number: &u32| number.to_string() == size)?;
        if !fits || !word.bytes().all(plain) || !Self::is_image_size(image_size) {
            return None;
        }
        let mut letters = [0; Self::LETTERS_MAX];
        letters[..word.len()].copy_from_slice(word.as_bytes());
        Some(FolderName { letters, image_size })
    }

    /// The name without the size.
    fn word(&self) -> &str {
        let end = self.letters.iter().position(|letter| *letter == 0).unwrap_or(self.letters.len());
        // Nothing else than ASCII was let in.
        std::str::from_utf8(&self.letters[..end]).unwrap_or_default()
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.word(), self.image_size)
    }
}

impl fmt::Debug for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
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

    /// The data set with `validation` images held out, whichever way it is split here; `None` holds out as many as is usual: of a
    /// folder what it holds out by itself, which is how its facts come.
    ///
    /// # Errors
    /// Field `validation`: no image would be left to train on.
    pub fn split(&self, validation: Option<u32>) -> Result<DatasetFacts, SpecError> {
        let images = self.train.saturating_add(self.validation);
        let usual = match self.dataset {
            Dataset::Folder(_) => self.validation,
            _ => Dataset::VALIDATION_DEFAULT,
        };
        let held_out = validation.unwrap_or(usual);
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

/// What a person sees of a data set: what its classes are called, and some of its images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetSamples {
    pub dataset: Dataset,
    /// In the order of the labels.
    pub class_names: Vec<String>,
    pub samples: Vec<Sample>,
}

/// Training images of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The label.
    pub class: u32,
    /// How many images stand below each other in the picture.
    pub images: u32,
    /// A PNG, one image wide.
    pub png: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_written_as_it_is_read() {
        let named = ["fashion-mnist-12k", "fashion-mnist", "mnist", "cifar-10", "cifar-100", "tiny-imagenet"];
        assert_eq!(Dataset::KNOWN.map(|dataset| dataset.to_string()), named);
        for name in named.into_iter().chain([
            "flowers@64",
            "oxford-102@8",
            "a@32",
            "a@96",
            "pets@224",
            "b@256",
            "0123456789abcdef0123456789abcdef@64",
        ]) {
            let dataset: Dataset = name.parse().unwrap();
            assert_eq!(dataset.to_string(), name);
            assert_eq!(Dataset::try_from(String::from(dataset)), Ok(dataset));
        }
        let Ok(Dataset::Folder(folder)) = "flowers@64".parse() else { panic!("a folder was named") };
        assert_eq!((folder.word(), folder.image_size()), ("flowers", 64));
        assert_eq!(
            Dataset::KNOWN.into_iter().filter(|dataset| Dataset::ALLOWED.contains(&dataset.to_string())).count(),
            6
        );
        assert!(Dataset::PUBLISHED.iter().all(|dataset| Dataset::KNOWN.contains(dataset)));
    }

    #[test]
    fn what_could_be_no_folder_of_its_own_names_no_data_set() {
        let wrong = [
            "",
            "imagenet",
            "@64",
            "a@",
            "a@30",
            "a@4",
            "a@68",
            "a@100",
            "a@288",
            "a@0224",
            "a@064",
            "a@+32",
            "A@32",
            "a b@32",
            "../a@32",
            "-a@32",
            "a/b@32",
            "a@32@32",
            "ä@32",
            "0123456789abcdef0123456789abcdefg@64",
        ];
        for name in wrong {
            assert_eq!(name.parse::<Dataset>(), Err(Dataset::ALLOWED.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_folder_is_split_as_it_comes_unless_a_study_says_otherwise() {
        let facts = |dataset: &str| DatasetFacts {
            dataset: dataset.parse().unwrap(),
            checksum: "of the images".into(),
            classes: 3,
            channels: 3,
            image_size: 32,
            train: 90,
            validation: 10,
            test: 20,
        };
        let split = |dataset, validation| facts(dataset).split(validation).map(|facts| (facts.train, facts.validation));
        assert_eq!(split("flowers@32", None), Ok((90, 10)));
        assert_eq!(split("flowers@32", Some(0)), Ok((100, 0)));
        assert_eq!(split("flowers@32", Some(99)), Ok((1, 99)));
        assert_eq!(split("cifar-10", None).unwrap_err().given, "nothing, which means 5000");
    }
}
