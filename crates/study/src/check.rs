//! What can be wrong with a study, as data, and the ranges its values keep to.

use crate::Dataset;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// One thing wrong with a study, said so that it can be put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}{problem}; given: {given}; allowed: {allowed}", prefix(.field))]
pub struct SpecError {
    /// The field's path in the study file: `treatment.kd_stop_epoch`. Empty for the file as a whole.
    pub field: String,
    /// What is wrong, in words: "is beyond the student's last epoch".
    pub problem: String,
    /// What was given, as it was written; "nothing" where it is missing.
    pub given: String,
    /// What is allowed: "0 to 20".
    pub allowed: String,
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

pub(crate) const TITLE_CHARACTERS: RangeInclusive<usize> = 1..=200;
pub(crate) const SEEDS: RangeInclusive<u32> = 1..=100;
pub(crate) const VALIDATION: RangeInclusive<u32> = 0..=1_000_000;
pub(crate) const EPOCHS: RangeInclusive<u32> = 1..=10_000;
pub(crate) const WARM_UP_EPOCHS: RangeInclusive<u32> = 0..=10_000;
pub(crate) const ANCHORS: RangeInclusive<u32> = 1..=100;
pub(crate) const GENERATIONS: RangeInclusive<u32> = 1..=20;
pub(crate) const BUDGET_EPOCHS: RangeInclusive<u32> = 1..=100_000_000;
pub(crate) const PROMOTE_ONE_IN: RangeInclusive<u32> = 2..=10;
pub(crate) const BATCH_SIZE: RangeInclusive<u32> = 1..=4096;
/// Most values of one list, so that absurd ones are refused unread.
pub(crate) const CHOICES_MAX: usize = 100;

pub(crate) const TEMPERATURE: Interval = Interval { above: Some(0.0), from: 0.0, to: 1000.0, below: false };
pub(crate) const KD_WEIGHT: Interval = Interval { above: None, from: 0.0, to: 1.0, below: false };
/// Of a term whose size is another one than cross-entropy's.
pub(crate) const WEIGHT: Interval = Interval { above: None, from: 0.0, to: 1000.0, below: false };
pub(crate) const ATTENTION_WEIGHT: Interval = Interval { above: None, from: 0.0, to: 1e6, below: false };
pub(crate) const CROSS_ENTROPY_WEIGHT_AFTER_STOP: Interval =
    Interval { above: Some(0.0), from: 0.0, to: 1000.0, below: false };
/// Absurd rates are allowed: such a training ends by saying that its loss is not finite.
pub(crate) const LEARNING_RATE: Interval = Interval { above: Some(0.0), from: 0.0, to: 1e30, below: false };
pub(crate) const LEARNING_RATE_DECAY: Interval = Interval { above: Some(0.0), from: 0.0, to: 1.0, below: false };
pub(crate) const MOMENTUM: Interval = Interval { above: None, from: 0.0, to: 1.0, below: true };
pub(crate) const WEIGHT_DECAY: Interval = Interval { above: None, from: 0.0, to: 1.0, below: false };

/// Neither momentum may leave the range of one: momentum − difference is at least 0, momentum + difference below 1.
pub(crate) fn momentum_difference(momentum: f64) -> Interval {
    const STEPS: f64 = 1e12;
    // Without what binary fractions leave behind the last digit that means anything: 0.1, not 0.09999999999999998.
    let to_one = ((1.0 - momentum) * STEPS).round() / STEPS;
    Interval { above: None, from: 0.0, to: momentum.min(to_one), below: to_one <= momentum }
}

/// Where a real number may lie. Not-a-number and infinities lie nowhere.
#[derive(Clone, Copy)]
pub(crate) struct Interval {
    /// Open lower end.
    above: Option<f64>,
    /// Closed lower end, where it is not open.
    from: f64,
    to: f64,
    /// Whether the upper end itself is left out.
    below: bool,
}

impl Interval {
    pub(crate) fn contains(self, value: f64) -> bool {
        let low = self.above.map_or(value >= self.from, |above| value > above);
        let high = if self.below { value < self.to } else { value <= self.to };
        value.is_finite() && low && high
    }

    /// The one of two that ends earlier.
    pub(crate) fn narrower(self, other: Interval) -> Interval {
        if other.to < self.to { other } else { self }
    }

    pub(crate) fn allowed(self) -> String {
        let high = match self.to {
            to if to >= 1e6 => format!("{to:e}"),
            to => format!("{to}"),
        };
        match (self.above, self.below) {
            (Some(above), false) => format!("a number above {above}, up to {high}"),
            (Some(above), true) => format!("a number above {above}, below {high}"),
            (None, false) => format!("a number from {} to {high}", self.from),
            (None, true) => format!("a number from {}, below {high}", self.from),
        }
    }
}

pub(crate) fn allowed_range(range: &RangeInclusive<u32>) -> String {
    format!("{} to {}", range.start(), range.end())
}

/// Digits are never flipped: see [`Dataset::digits`].
pub(crate) fn augmentations(dataset: Option<Dataset>) -> &'static str {
    if dataset.is_some_and(Dataset::digits) { "none, crop" } else { "none, crop, crop-flip" }
}
