//! What is measured while training, and how a worker says it.

use crate::{CheckpointId, Device, Epoch, EvaluateTest, KnownEpochs, Observer, Segment, SegmentKey};
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
    /// Training images a second, evaluation left out, as [`EpochMetrics::rate`] gives it.
    pub images_per_second: f64,
}

impl EpochMetrics {
    /// Images a second in four digits: more say nothing of a machine that does other things too, and a study keeps very many.
    /// Infinite where there was no time.
    pub fn rate(images: f64, seconds: f64) -> f64 {
        let rate = images / seconds;
        // What was written in four digits is read as the number that is written so.
        format!("{rate:.3e}").parse().unwrap_or(rate)
    }

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
    /// Of each group of layers, from the images on: the first convolution, each group of blocks with the transition after it, and what
    /// follows the blocks.
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
    pub metrics: KnownEpochs,
    pub checkpoints: Vec<CheckpointFile>,
    pub failure: Option<Failure>,
    pub provenance: Option<Provenance>,
    pub notes: Vec<String>,
    /// A worker is alive on it now.
    pub working: bool,
}

pub type Facts = BTreeMap<SegmentKey, SegmentFacts>;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_four_digits_and_is_written_with_no_more() {
        assert_eq!(EpochMetrics::rate(12_345.6, 10.0), 1235.0);
        assert_eq!(EpochMetrics::rate(123.7, 10.0), 12.37);
        for images in 1..2_000 {
            let written = EpochMetrics::rate(f64::from(images), 7.0).to_string();
            let digits = written.trim_start_matches(['0', '.']).chars().filter(char::is_ascii_digit).count();
            assert!(digits <= 4, "{written}");
        }
        assert_eq!(EpochMetrics::rate(0.0, 1.0), 0.0);
        assert_eq!(EpochMetrics::rate(1.0, 0.0), f64::INFINITY);
    }
}
