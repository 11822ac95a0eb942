//! What a study found: each arm's accuracy, the differences, and how sure one can be.

use crate::{Epoch, Metric, Plan, Progress, Provenance, RunId, Series, Study, metrics::Facts};
use serde::{Deserialize, Serialize};

/// An arm's result. Accuracies in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Index into the plan's arms.
    pub arm: usize,
    pub label: String,
    pub runs: Vec<RunId>,
    pub seeds: Vec<u32>,
    /// Test accuracy at each run's last epoch, by seed; `None` where it is not there yet or the run failed.
    pub by_seed: Vec<Option<f64>>,
    /// Test accuracy at each run's best epoch on validation, by seed, with that epoch.
    pub best_by_seed: Vec<Option<(Epoch, f64)>>,
    /// Over the seeds that are there; `None` where none is.
    pub mean: Option<f64>,
    /// 95 % interval of the mean; `None` for fewer than two seeds.
    pub interval: Option<(f64, f64)>,
    /// Seeds behind mean and interval.
    pub n: u32,
    pub best_mean: Option<f64>,
    /// To the arm's baseline; `None` for the baseline itself or while there is too little.
    pub difference: Option<Difference>,
}

/// Arm minus baseline over the seeds both have, in points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub baseline: usize,
    pub mean: f64,
    /// 95 % interval; `None` for fewer than two seeds.
    pub interval: Option<(f64, f64)>,
    /// Two-sided, Holm-corrected over the study's comparisons.
    pub p_value: Option<f64>,
    pub verdict: Verdict,
    /// Seeds in all that would settle a difference of this size (95 %, power 80 %); `None` where it is settled or cannot be said.
    pub seeds_needed: Option<u32>,
    pub n: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Better,
    Worse,
    NotDistinguishable,
    TooFewSeeds,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub arms: Vec<ArmSummary>,
    /// How the intervals were made: "arm + seed (randomised blocks), 5 arms × 3 seeds, 8 degrees of freedom".
    pub model: String,
    pub degrees_of_freedom: Option<u32>,
    /// Residual standard deviation in points: the noise a seed adds beyond its own level.
    pub residual_deviation: Option<f64>,
    /// The test set's own sampling error of one accuracy, in points (95 %, binomial): shown apart, it is shared by all arms.
    pub test_sampling_error: Option<f64>,
    /// The answer in a sentence, computed from the data, or what is still missing.
    pub answer: String,
    /// What else a reader must know: "students of one teacher (seed 0)", ...
    pub remarks: Vec<String>,
}

/// Everything the page of a study shows, of a study that runs as of one that is done; frozen, it is a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub study: Study,
    pub arms: Vec<crate::Arm>,
    /// "15 runs, 16 segments, 272 epochs instead of 320" comes from these.
    pub runs: u64,
    pub segments: u64,
    pub epochs: u64,
    pub epochs_without_sharing: u64,
    pub progress: Progress,
    pub comparison: Comparison,
    pub curves: Vec<(Metric, Vec<Series>)>,
    pub provenance: Vec<Provenance>,
    pub test_images: u32,
}

/// Compares what is there.
pub fn compare(study: &Study, plan: &Plan, facts: &Facts) -> Comparison {
    let _ = (study, plan, facts);
    todo!()
}

/// Puts a study's page together from facts.
pub fn report(study: &Study, plan: &Plan, facts: &Facts, stopped: bool, machine: &crate::Machine) -> Report {
    let _ = (study, plan, facts, stopped, machine);
    todo!()
}
