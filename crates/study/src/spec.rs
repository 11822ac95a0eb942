//! What a person writes down. One type is the TOML file, the form's state, the wire format and the stored JSON.

use crate::{Architecture, Chain, Dataset, Method, Number, Optimizer, Search, SpecError, TeacherNetwork, file, read};
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
    /// Absent: every arm is trained with every seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
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
    pub architecture: Choices<TeacherNetwork>,
    /// Of those that are trained here.
    pub epochs: Choices<u32>,
    /// `true`: student seed `s` learns from teacher seed `s`. `false`, as in the paper: teacher seed 0 serves all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub per_seed: bool,
}

/// How the student is taught. Any field but `generations` may be a list. A number of methods ([`Method::numbers`]) that is absent
/// is each method's own default; one that no method of an arm has makes no arms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Treatment {
    pub method: Choices<Method>,
    /// Softens both distributions; above 0, at most 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Choices<f64>>,
    /// The weight `w` of KD, in `(1 − w)·CE + w·KD` from 0 to 1; of standardised KD, where cross-entropy's is 0.1, up to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kd_weight: Option<Choices<f64>>,
    /// Of attention transfer; 0 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_weight: Option<Choices<f64>>,
    /// Of decoupled KD's two parts, each 0 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_weight: Option<Choices<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_target_weight: Option<Choices<f64>>,
    /// Epochs over which decoupled KD's weights rise to their size; 0: they begin at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up_epochs: Option<Choices<u32>>,
    /// Of DIST's two correlations, each 0 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between_weight: Option<Choices<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_weight: Option<Choices<f64>>,
    /// By how much DOT's momentum is higher for the teacher's gradient, and lower for the labels'; up to the recipe's momentum, and
    /// their sum stays below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum_difference: Option<Choices<f64>>,
    /// Checkpoints of the teacher that a curriculum goes through, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchors: Option<Choices<u32>>,
    /// Epochs of the student after which distillation stops and labels alone go on (ESKD). 0: never starts. Absent: to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kd_stop_epoch: Option<Choices<u32>>,
    /// Epochs of the teacher's own training after which it is frozen and teaches. Absent: trained to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_stop_epoch: Option<Choices<u32>>,
    /// Who stands between teacher and student: each is trained as the student is, for as many epochs, taught by the one before.
    /// Absent: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<Choices<Chain>>,
    /// Born-again networks (Furlanello et al. 2018): the first generation of students is taught by the teacher (or its chain), each
    /// other one by the one before. An arm each, 1 to 20. Absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generations: Option<u32>,
    /// Epochs of its training after which a generation is frozen when it teaches the next. Absent: trained to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_stop_epoch: Option<Choices<u32>>,
    /// Cross-entropy's weight once distillation has stopped; the paper does not say whether it stays at `1 − w`.
    pub cross_entropy_weight_after_stop: Choices<f64>,
}

impl Default for Treatment {
    /// KD to the end, with what its paper uses.
    fn default() -> Self {
        Treatment {
            method: Method::Kd.into(),
            temperature: None,
            kd_weight: None,
            attention_weight: None,
            target_weight: None,
            non_target_weight: None,
            warm_up_epochs: None,
            between_weight: None,
            within_weight: None,
            momentum_difference: None,
            anchors: None,
            kd_stop_epoch: None,
            teacher_stop_epoch: None,
            chain: None,
            generations: None,
            generation_stop_epoch: None,
            cross_entropy_weight_after_stop: 1.0.into(),
        }
    }
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
    /// Not yet: what a search has still to choose from. Not to be written in a study.
    Never,
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
    /// Whether any arm of it distils. Where none does, neither a teacher nor a method's field counts.
    pub fn distils(&self) -> bool {
        let starts = self.kd_stop_epoch.as_ref().is_none_or(|stops| stops.0.iter().any(|stop| *stop > 0));
        starts && self.weighs()
    }

    /// Whether any method of it has a weight above 0.
    pub(crate) fn weighs(&self) -> bool {
        let weighs = |method: &Method| {
            method.weights().any(|number| self.values(*method, number).iter().any(|weight| *weight > 0.0))
        };
        self.method.0.iter().any(weighs)
    }

    /// The values of one of a method's numbers: those that are written, else the method's own default.
    pub fn values(&self, method: Method, number: Number) -> Vec<f64> {
        let counted = |counts: &Choices<u32>| counts.0.iter().map(|count| f64::from(*count)).collect();
        let written = match number {
            Number::WarmUpEpochs => self.warm_up_epochs.as_ref().map(counted),
            Number::Anchors => self.anchors.as_ref().map(counted),
            Number::Temperature => self.temperature.clone().map(|it| it.0),
            Number::KdWeight => self.kd_weight.clone().map(|it| it.0),
            Number::AttentionWeight => self.attention_weight.clone().map(|it| it.0),
            Number::TargetWeight => self.target_weight.clone().map(|it| it.0),
            Number::NonTargetWeight => self.non_target_weight.clone().map(|it| it.0),
            Number::BetweenWeight => self.between_weight.clone().map(|it| it.0),
            Number::WithinWeight => self.within_weight.clone().map(|it| it.0),
            Number::MomentumDifference => self.momentum_difference.clone().map(|it| it.0),
        };
        let default = || method.numbers().iter().filter(|(its, _)| *its == number).map(|(_, default)| *default);
        written.unwrap_or_else(|| default().collect())
    }

    /// How many generations of students there are.
    pub(crate) fn generations(&self) -> u32 {
        self.generations.unwrap_or(1)
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

    /// By which whoever learns from labels alone is trained, and students where their method has none of its own.
    pub(crate) fn optimizer(&self) -> Optimizer {
        Optimizer::Sgd { momentum: self.momentum, weight_decay: self.weight_decay }
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
