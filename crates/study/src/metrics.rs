//! What is measured while training, how a worker says it, and how a curve is read.

use crate::{CheckpointId, Device, Epoch, EvaluateTest, Observer, Plan, Segment, SegmentKey, statistics};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Means over a split: cross-entropy in nats, accuracy from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    pub cross_entropy: f64,
    pub accuracy: f64,
    /// Expected calibration error (Guo et al. 2017) in 15 bins, from 0 to 1, with four decimals, on held-out images; `None` on those
    /// that were trained on, and where it was not measured yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_error: Option<f64>,
}

impl Scores {
    /// A calibration error's four decimals: of some thousand images more say nothing, and a study keeps very many.
    pub const CALIBRATION_STEPS: f64 = 1e4;
}

/// What one epoch of training came to. Losses are unweighted, so they compare across runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    pub epoch: Epoch,
    pub learning_rate: f64,
    /// Running means over the epoch, on augmented images, in training mode.
    pub train: Scores,
    /// A clean pass over the training split (no augmentation, evaluation mode), where a run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_clean: Option<Scores>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Scores>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Scores>,
    #[serde(default)]
    pub fidelity: Vec<Fidelity>,
    /// Wall time of the epoch, its evaluation included.
    pub seconds: f64,
    /// Training images a second, evaluation left out.
    pub images_per_second: f64,
}

impl EpochMetrics {
    /// What was measured against one teacher at its temperature.
    pub fn fidelity_to(&self, observer: &Observer) -> Option<&Fidelity> {
        self.fidelity.iter().find(|it| it.is_to(observer))
    }
}

/// How well the student mimics one teacher at one temperature, and what learning from it would ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    pub teacher: CheckpointId,
    pub temperature: f64,
    /// `T²·KL`, running over the epoch; only while this teacher teaches by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kd_loss_train: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kd_loss_validation: Option<f64>,
    /// Where test is evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kd_loss_test: Option<f64>,
    /// Share of images, 0 to 1, on which student and teacher name the same class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement_train: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement_validation: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement_test: Option<f64>,
    /// After the epoch; `None` where the teacher was not there yet when it was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_cosine: Option<GradientCosine>,
}

impl Fidelity {
    /// To someone against whom nothing is measured yet.
    pub fn to(observer: Observer) -> Fidelity {
        Fidelity {
            teacher: observer.teacher,
            temperature: observer.temperature,
            kd_loss_train: None,
            kd_loss_validation: None,
            kd_loss_test: None,
            agreement_train: None,
            agreement_validation: None,
            agreement_test: None,
            gradient_cosine: None,
        }
    }

    pub fn is_to(&self, observer: &Observer) -> bool {
        self.teacher == observer.teacher && self.temperature == observer.temperature
    }

    /// With what an earlier line told of the same teacher and this one does not.
    pub fn or(self, earlier: &Fidelity) -> Fidelity {
        Fidelity {
            kd_loss_train: self.kd_loss_train.or(earlier.kd_loss_train),
            kd_loss_validation: self.kd_loss_validation.or(earlier.kd_loss_validation),
            kd_loss_test: self.kd_loss_test.or(earlier.kd_loss_test),
            agreement_train: self.agreement_train.or(earlier.agreement_train),
            agreement_validation: self.agreement_validation.or(earlier.agreement_validation),
            agreement_test: self.agreement_test.or(earlier.agreement_test),
            gradient_cosine: self.gradient_cosine.or_else(|| earlier.gradient_cosine.clone()),
            ..self
        }
    }
}

/// The conflict itself: cosines of two gradients on the same images, the [`PROBE_IMAGES`] of the data set. One is that of
/// cross-entropy; the other is that of all that is learnt from the teacher, as it is weighted, or, where the student does not learn
/// from it, of the KD loss (Hinton et al. 2015). From −1 (a small step along one undoes the other) over 0 (neither is felt by
/// the other) to 1 (they ask for the same); `None` where one is zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GradientCosine {
    /// Of all parameters as one vector.
    pub all: Option<Cosine>,
    /// Of each group of layers, from the images on: the first convolution, each group of blocks, and what follows the blocks.
    pub groups: Vec<Option<Cosine>>,
}

/// A cosine to the nearest 0.002: of so few images more says nothing, and a study keeps very many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Cosine {
    /// In steps of 0.002: from -500 to 500.
    pub steps: i16,
}

impl Cosine {
    const STEPS: f64 = 500.0;
}

/// The nearest; what is no number is 0.
impl From<f64> for Cosine {
    fn from(value: f64) -> Cosine {
        Cosine { steps: (value.clamp(-1.0, 1.0) * Cosine::STEPS).round() as i16 }
    }
}

impl From<Cosine> for f64 {
    fn from(cosine: Cosine) -> f64 {
        f64::from(cosine.steps) / Cosine::STEPS
    }
}

/// Training images on which gradients are compared, or all where there are fewer: the same for all runs and epochs, unaugmented.
pub const PROBE_IMAGES: u32 = 128;

/// Where and by what something was trained: recorded, never hashed into a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The program's version.
    pub version: String,
    pub training_version: u32,
    pub host: String,
    /// "avx512", "avx2", "neon", "portable".
    pub instruction_set: String,
    pub threads: u32,
    /// "cpu" or "cuda:0".
    pub device: String,
    pub data_checksum: String,
}

impl Provenance {
    /// Stands as the device of numbers that were made up, to see how large studies are shown.
    pub const SYNTHETIC: &str = "synthetic";

    /// Whether the numbers were made up: nothing was trained, and nothing follows from them.
    pub fn is_synthetic(&self) -> bool {
        self.device == Self::SYNTHETIC
    }
}

/// Why a checkpoint is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Others need it, or a run ends here: for good.
    Stop,
    /// The best on validation so far: until a better one.
    Best,
    /// To resume from: until a later one.
    Latest,
}

/// A checkpoint that lies in the segment's folder, whole. File first, row second: a row promises a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    pub epoch: Epoch,
    pub kept: Kept,
    /// blake3 of the weights file, hexadecimal.
    pub digest: String,
    /// Weights, optimizer state and logits together.
    pub bytes: u64,
}

/// Why a segment cannot go on. A failure is not retried by itself: the same segment would fail the same way, or a person
/// must make room first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The epoch being trained, i.e. epochs complete when it failed.
    pub epoch: Epoch,
    /// A sentence for a person: what happened, and what to do.
    pub reason: String,
    /// Whether trying again can help (disk full, killed) or cannot (non-finite loss).
    pub may_succeed_again: bool,
}

/// One line of a worker's `events.jsonl`. The reader upserts by (segment, epoch): a resumed worker may say a thing twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The worker began, or began again, from `epoch` epochs complete.
    Started {
        version: u32,
        epoch: Epoch,
        provenance: Provenance,
        process: u32,
    },
    /// An epoch was trained, or one already told got its test or clean-pass scores.
    Epoch(EpochMetrics),
    /// A checkpoint lies in place: all epochs up to it are acknowledged.
    Checkpoint(CheckpointFile),
    /// These checkpoints' files were removed.
    Pruned {
        epochs: Vec<Epoch>,
    },
    /// Something a person should read: "checkpoint of epoch 7 is damaged; going on from epoch 6".
    Note {
        message: String,
    },
    /// All that was asked for is done.
    Finished {
        epoch: Epoch,
    },
    /// Asked to leave; a checkpoint covers what was trained.
    Left {
        epoch: Epoch,
    },
    Failed(Failure),
}

/// `segment.json`: what a worker is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub version: u32,
    pub segment: Segment,
    /// Folder or archive of the data set's files; `None` for the built-in one.
    pub dataset_path: Option<String>,
    pub device: Device,
    pub threads: u32,
    pub evaluate_test: EvaluateTest,
    /// The folder of what all workers share: unpacked images, teachers' logits. `None`: this worker shares nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_folder: Option<String>,
    /// Teachers whose logits are looked up in a table in that folder, and put there where they are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teacher_logits: Vec<CheckpointId>,
}

impl Job {
    /// Version of `segment.json` and `events.jsonl`.
    pub const VERSION: u32 = 1;
}

/// All that is known of a segment. Nothing here is a status: status is derived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SegmentFacts {
    /// By epoch, rising.
    pub metrics: Vec<EpochMetrics>,
    pub checkpoints: Vec<CheckpointFile>,
    pub failure: Option<Failure>,
    pub provenance: Option<Provenance>,
    pub notes: Vec<String>,
    /// A worker is alive on it now.
    pub working: bool,
}

pub type Facts = BTreeMap<SegmentKey, SegmentFacts>;

/// What can be drawn over epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    ValidationAccuracy,
    ValidationCrossEntropy,
    TrainAccuracy,
    TrainCrossEntropy,
    /// Against the arm's own teacher; for labels only, the study's first.
    KdLossValidation,
    KdLossTrain,
    AgreementValidation,
    LearningRate,
    TestAccuracy,
    KdLossTest,
    CalibrationErrorValidation,
    CalibrationErrorTest,
    /// Of the gradients of cross-entropy and of the KD loss, of all parameters.
    GradientCosine,
}

/// One arm's curve: mean over seeds and the 95 % interval of the mean (its own t), point by point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Index into the plan's arms.
    pub arm: usize,
    pub label: String,
    pub points: Vec<Point>,
    /// Where distillation stops inside the curve; `None` where it never starts or never stops.
    pub kd_stops_at: Option<Epoch>,
    /// Where the learning rate drops.
    pub drops: Vec<Epoch>,
}

/// `low` and `high` equal `mean` where `seeds` is 1. Accuracies and calibration errors in percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub epoch: Epoch,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    pub seeds: u32,
}

/// The one way to read a curve, for a study that runs and one that is done: every arm's series of `metric`, in the plan's order.
pub fn series(plan: &Plan, facts: &Facts, metric: Metric) -> Vec<Series> {
    let segments = plan.by_key();
    let measured_against = plan.measured_against();
    let mut values: Vec<BTreeMap<Epoch, Vec<f64>>> = vec![BTreeMap::new(); plan.arms.len()];
    for (run, observer) in plan.runs.iter().zip(&measured_against) {
        for epoch in run_metrics(run, facts) {
            if let Some(value) = metric.of(epoch, observer.as_ref()).filter(|value| value.is_finite()) {
                values[run.arm].entry(epoch.epoch).or_default().push(value);
            }
        }
    }
    // Once per count of seeds: a search trains the arms of one plan with different numbers of them.
    let most_seeds = values.iter().flat_map(BTreeMap::values).map(Vec::len).max().unwrap_or(0);
    let critical: Vec<f64> = (0..=most_seeds).map(statistics::critical_value_of_mean).collect();
    let mut schedules = vec![None; plan.arms.len()];
    for run in &plan.runs {
        schedules[run.arm] = run.legs.first().and_then(|leg| segments.get(&leg.segment)).map(|it| &it.schedule);
    }
    let arms = plan.arms.iter().zip(values).zip(schedules).enumerate();
    arms.map(|(index, ((arm, values), schedule))| Series {
        arm: index,
        label: arm.label.clone(),
        points: values.into_iter().map(|(epoch, values)| point(epoch, &values, &critical)).collect(),
        kd_stops_at: arm.distillation.as_ref().map(|it| it.kd_stop_epoch).filter(|stop| *stop < arm.epochs),
        drops: schedule.map(|schedule| schedule.drops.clone()).unwrap_or_default(),
    })
    .collect()
}

fn point(epoch: Epoch, values: &[f64], critical: &[f64]) -> Point {
    let mean = statistics::mean(values);
    let half = match values {
        [_] => 0.0,
        _ => critical[values.len()] * statistics::deviation(values) / (values.len() as f64).sqrt(),
    };
    Point { epoch, mean, low: mean - half, high: mean + half, seeds: values.len() as u32 }
}

impl Point {
    /// What a band shows here: from three seeds on the 95 % interval of the mean; of two the lower and the higher, whose
    /// interval is a dozen times as wide; of one nothing.
    pub fn band(&self) -> Option<(f64, f64)> {
        match self.seeds {
            0 | 1 => None,
            2 => {
                let half = (self.high - self.mean) / statistics::critical_value_of_mean(2);
                Some((self.mean - half, self.mean + half))
            }
            _ => Some((self.low, self.high)),
        }
    }
}

impl Metric {
    /// In the order in which they are shown.
    pub const ALL: [Metric; 13] = [
        Metric::ValidationAccuracy,
        Metric::ValidationCrossEntropy,
        Metric::TrainAccuracy,
        Metric::TrainCrossEntropy,
        Metric::KdLossValidation,
        Metric::KdLossTrain,
        Metric::AgreementValidation,
        Metric::LearningRate,
        Metric::TestAccuracy,
        Metric::KdLossTest,
        Metric::CalibrationErrorValidation,
        Metric::CalibrationErrorTest,
        Metric::GradientCosine,
    ];

    /// Its value in one epoch, accuracies, agreement and calibration errors in percent; `None` where it was not measured.
    fn of(self, epoch: &EpochMetrics, observer: Option<&Observer>) -> Option<f64> {
        let fidelity = || epoch.fidelity_to(observer?);
        let calibration_error = |scores: Option<Scores>| scores?.calibration_error.map(|error| 100.0 * error);
        match self {
            Metric::ValidationAccuracy => epoch.validation.map(|scores| 100.0 * scores.accuracy),
            Metric::ValidationCrossEntropy => epoch.validation.map(|scores| scores.cross_entropy),
            Metric::TrainAccuracy => Some(100.0 * epoch.train.accuracy),
            Metric::TrainCrossEntropy => Some(epoch.train.cross_entropy),
            Metric::KdLossValidation => fidelity()?.kd_loss_validation,
            Metric::KdLossTrain => fidelity()?.kd_loss_train,
            Metric::AgreementValidation => fidelity()?.agreement_validation.map(|share| 100.0 * share),
            Metric::LearningRate => Some(epoch.learning_rate),
            Metric::TestAccuracy => epoch.test.map(|scores| 100.0 * scores.accuracy),
            Metric::KdLossTest => fidelity()?.kd_loss_test,
            Metric::CalibrationErrorValidation => calibration_error(epoch.validation),
            Metric::CalibrationErrorTest => calibration_error(epoch.test),
            Metric::GradientCosine => fidelity()?.gradient_cosine.as_ref()?.all.map(f64::from),
        }
    }
}

/// The metrics of one run, epoch by epoch over its legs.
pub fn run_metrics<'a>(run: &crate::Run, facts: &'a Facts) -> Vec<&'a EpochMetrics> {
    let of_leg = |leg: &crate::Leg| {
        let (from, until) = (leg.from, leg.until);
        let metrics = facts.get(&leg.segment).map_or(&[][..], |facts| &facts.metrics);
        metrics.iter().filter(move |metrics| from < metrics.epoch && metrics.epoch <= until)
    };
    run.legs.iter().flat_map(of_leg).collect()
}

/// The last epoch of a run, once every epoch is trained and the test set was evaluated there.
pub(crate) fn result<'a>(run: &crate::Run, metrics: &[&'a EpochMetrics]) -> Option<(&'a EpochMetrics, Scores)> {
    let end = run.legs.last()?.until;
    let last = metrics.last().filter(|last| last.epoch == end && metrics.len() == end.0 as usize)?;
    Some((last, last.test?))
}

/// The best epoch of a run on validation: the highest accuracy over its whole path, the earliest on ties.
pub(crate) fn best_on_validation<'a>(metrics: &[&'a EpochMetrics]) -> Option<&'a EpochMetrics> {
    let accuracy = |it: &EpochMetrics| it.validation.map(|scores| scores.accuracy);
    metrics
        .iter()
        .copied()
        .filter(|it| accuracy(it).is_some())
        .reduce(|best, next| if accuracy(next) > accuracy(best) { next } else { best })
}
