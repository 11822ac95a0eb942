//! What a person writes down. One type is the TOML file, the form's state, the wire format and the stored JSON.

use crate::{Architecture, Dataset, SpecError, file, read};
use serde::{Deserialize, Serialize};

/// One value, or several to be compared: `4.0` or `[1.0, 4.0, 16.0]`. Never empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "OneOrMany<T>", into = "OneOrMany<T>")]
pub struct Choices<T: Clone>(pub Vec<T>);

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Clone> From<OneOrMany<T>> for Choices<T> {
    fn from(value: OneOrMany<T>) -> Self {
        match value {
            OneOrMany::One(one) => Choices(vec![one]),
            OneOrMany::Many(many) => Choices(many),
        }
    }
}

impl<T: Clone> From<Choices<T>> for OneOrMany<T> {
    fn from(mut choices: Choices<T>) -> Self {
        match choices.0.len() {
            1 => OneOrMany::One(choices.0.remove(0)),
            _ => OneOrMany::Many(choices.0),
        }
    }
}

impl<T: Clone> From<T> for Choices<T> {
    fn from(one: T) -> Self {
        Choices(vec![one])
    }
}

/// A study: a question, asked of some images by training students under several treatments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// The question, as a person would ask it.
    pub title: String,
    pub dataset: Dataset,
    /// Training images held out for validation; `None` is the data set's own split. 0: no validation, as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<u32>,
    /// Seeds `0..seeds` are trained for every arm.
    #[serde(default = "Study::seeds_default")]
    pub seeds: u32,
    pub student: Student,
    /// Needed where any arm distils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherChoices>,
    /// Absent: training from labels alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treatment: Option<Treatment>,
    #[serde(default, skip_serializing_if = "Recipe::is_default")]
    pub recipe: Recipe,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Student {
    pub architecture: Choices<Architecture>,
    pub epochs: Choices<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherChoices {
    pub architecture: Choices<Architecture>,
    pub epochs: Choices<u32>,
    /// `true`: student seed `s` learns from teacher seed `s`. `false`, as in the paper: teacher seed 0 serves all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub per_seed: bool,
}

/// How the student is taught. Any field may be a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Treatment {
    #[serde(default = "Treatment::method_default")]
    pub method: Choices<Method>,
    /// Softens both distributions in the KD loss; above 0, at most 1000.
    #[serde(default = "Treatment::temperature_default")]
    pub temperature: Choices<f64>,
    /// The KD term's weight `w` in `(1 − w)·CE + w·KD`; 0 to 1. 0 is labels only.
    #[serde(default = "Treatment::kd_weight_default")]
    pub kd_weight: Choices<f64>,
    /// Epochs of the student after which distillation stops and labels alone go on (ESKD). 0: never starts. Absent: to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kd_stop_epoch: Option<Choices<u32>>,
    /// Epochs of the teacher's own training after which it is frozen and teaches. Absent: trained to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_stop_epoch: Option<Choices<u32>>,
    /// Cross-entropy's weight once distillation has stopped; the paper does not say whether it stays at `1 − w`.
    #[serde(default = "Treatment::cross_entropy_weight_after_stop_default")]
    pub cross_entropy_weight_after_stop: Choices<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Hinton et al. 2015.
    Kd,
}

/// How every network of the study is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    pub batch_size: u32,
    pub learning_rate: f64,
    /// Factor on the learning rate at each drop.
    pub learning_rate_decay: f64,
    /// Drop every so many epochs, three times. At most one of `drop_every`, `drop_epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_every: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_epochs: Option<Vec<u32>>,
    pub momentum: f64,
    pub weight_decay: f64,
    /// Absent: `crop-flip`, and `crop` for digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
    #[serde(skip_serializing_if = "AugmentationSeed::is_own")]
    pub augmentation_seed: AugmentationSeed,
    pub device: Device,
    pub evaluate_test: EvaluateTest,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            batch_size: 128,
            learning_rate: 0.1,
            learning_rate_decay: 0.2,
            drop_every: None,
            drop_epochs: None,
            momentum: 0.9,
            weight_decay: 5e-4,
            augmentation: None,
            augmentation_seed: AugmentationSeed::Own,
            device: Device::Auto,
            evaluate_test: EvaluateTest::Checkpoints,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    None,
    /// Reflect-pad by 4 pixels, then crop at random to the image's size.
    Crop,
    /// `Crop`, then mirror left to right with probability one half.
    CropFlip,
}

/// By which seed the views of the images are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AugmentationSeed {
    /// By the run's own.
    Own,
    /// By seed 0 for all: every seed sees the same views, of which each teacher is asked once. Seeds are then a little less
    /// independent.
    Shared,
}

/// Where to train. Written `auto`, `cpu` or `cuda:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The GPU where there is one, else the CPU, said before the plan is made.
    Auto,
    Cpu,
    Cuda(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvaluateTest {
    /// At stops, at the end and at the best on validation.
    Checkpoints,
    EveryEpoch,
}

impl Study {
    pub const SEEDS_DEFAULT: u32 = 5;

    fn seeds_default() -> u32 {
        Self::SEEDS_DEFAULT
    }

    /// Reads a study file. Everything wrong is told at once: syntax, unknown and missing fields, wrong kinds, values out of
    /// range, rules between fields.
    pub fn from_toml(text: &str) -> Result<Study, Vec<SpecError>> {
        Study::from_table(&Study::table(text)?)
    }

    /// The table that a study file says, right or wrong. Fails only where it is not TOML.
    pub fn table(text: &str) -> Result<toml::Table, Vec<SpecError>> {
        file::table(text).map_err(|error| vec![error])
    }

    /// The text that a file's bytes are. Fails only where they are none: a study file is written in UTF-8.
    pub fn text(bytes: &[u8]) -> Result<&str, Vec<SpecError>> {
        file::text(bytes).map_err(|error| vec![error])
    }

    /// As [`Study::from_toml`], from a parsed table: the way of the form, and of JSON bodies.
    pub fn from_table(table: &toml::Table) -> Result<Study, Vec<SpecError>> {
        read::study(table)
    }

    /// The study file that says this study; reading it gives an equal study.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a study is made of what TOML can say")
    }

    /// The rules between fields and the ranges of values; empty where all is well.
    pub fn check(&self) -> Vec<SpecError> {
        // The same walk as for a file, so that no rule has two homes.
        let table = toml::Table::try_from(self).expect("a study is made of what TOML can say");
        read::study(&table).err().unwrap_or_default()
    }

    /// Whether student seed `s` learns from teacher seed `s`, instead of all from teacher seed 0.
    pub fn teacher_per_seed(&self) -> bool {
        self.teacher.as_ref().is_some_and(|teacher| teacher.per_seed)
    }

    /// The augmentation in force: the recipe's, else the data set's.
    pub fn augmentation(&self) -> Augmentation {
        let of_the_dataset = if self.dataset.digits() { Augmentation::Crop } else { Augmentation::CropFlip };
        self.recipe.augmentation.unwrap_or(of_the_dataset)
    }
}

impl Treatment {
    /// Whether any arm of it distils. Where none does, neither a teacher nor a KD field counts.
    pub fn distils(&self) -> bool {
        let starts = self.kd_stop_epoch.as_ref().is_none_or(|stops| stops.0.iter().any(|stop| *stop > 0));
        starts && self.kd_weight.0.iter().any(|weight| *weight > 0.0)
    }

    pub(crate) fn method_default() -> Choices<Method> {
        Choices(vec![Method::Kd])
    }
    pub(crate) fn temperature_default() -> Choices<f64> {
        Choices(vec![4.0])
    }
    pub(crate) fn kd_weight_default() -> Choices<f64> {
        Choices(vec![0.9])
    }
    pub(crate) fn cross_entropy_weight_after_stop_default() -> Choices<f64> {
        Choices(vec![1.0])
    }
}

impl Device {
    /// What a device may be, for messages.
    pub const ALLOWED: &str = "auto, cpu or cuda:N, such as cuda:0";
}

impl AugmentationSeed {
    fn is_own(&self) -> bool {
        *self == AugmentationSeed::Own
    }
}

impl Recipe {
    fn is_default(&self) -> bool {
        *self == Recipe::default()
    }
}

impl TryFrom<String> for Device {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let read = |text: &str| match text {
            "auto" => Some(Device::Auto),
            "cpu" => Some(Device::Cpu),
            _ => Some(Device::Cuda(text.strip_prefix("cuda:")?.parse().ok()?)),
        };
        // One way of writing a device: "cuda:00" and "cuda:+0" are none.
        read(&text)
            .filter(|device| String::from(*device) == text)
            .ok_or_else(|| format!("not a device; allowed: {}", Device::ALLOWED))
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        match device {
            Device::Auto => "auto".into(),
            Device::Cpu => "cpu".into(),
            Device::Cuda(ordinal) => format!("cuda:{ordinal}"),
        }
    }
}
