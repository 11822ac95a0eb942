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
pub(crate) const BATCH_SIZE: RangeInclusive<u32> = 1..=4096;
/// Most values of one list, so that absurd ones are refused unread.
pub(crate) const CHOICES_MAX: usize = 100;

pub(crate) const TEMPERATURE: Interval = Interval { above: Some(0.0), from: 0.0, to: 1000.0, below: false };
pub(crate) const KD_WEIGHT: Interval = Interval { above: None, from: 0.0, to: 1.0, below: false };
pub(crate) const CROSS_ENTROPY_WEIGHT_AFTER_STOP: Interval =
    Interval { above: Some(0.0), from: 0.0, to: 1000.0, below: false };
/// Absurd rates are allowed: such a training ends by saying that its loss is not finite.
pub(crate) const LEARNING_RATE: Interval = Interval { above: Some(0.0), from: 0.0, to: 1e30, below: false };
pub(crate) const LEARNING_RATE_DECAY: Interval = Interval { above: Some(0.0), from: 0.0, to: 1.0, below: false };
pub(crate) const MOMENTUM: Interval = Interval { above: None, from: 0.0, to: 1.0, below: true };
pub(crate) const WEIGHT_DECAY: Interval = Interval { above: None, from: 0.0, to: 1.0, below: false };

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

/// What counts for the number of arms: how many values each field has.
pub(crate) struct Sizes<'a> {
    pub students: u64,
    pub student_epochs: &'a [u32],
    pub teachers: u64,
    pub teacher_epochs: u64,
    pub methods: u64,
    pub temperatures: u64,
    pub kd_weights: &'a [f64],
    /// `None`: distillation goes on to the end.
    pub kd_stops: Option<&'a [u32]>,
    pub teacher_stops: u64,
    pub after_stop_weights: u64,
}

/// How many arms the canonical cross product has, counted and not built: lists multiply fast.
pub(crate) fn arms(sizes: &Sizes<'_>) -> u64 {
    let weights = count(sizes.kd_weights.iter().filter(|weight| **weight > 0.0));
    let zero_weight = sizes.kd_weights.contains(&0.0);
    let never_starts = sizes.kd_stops.is_some_and(|stops| stops.contains(&0));
    let teaching = [sizes.teachers, sizes.teacher_epochs, sizes.methods, sizes.temperatures, sizes.teacher_stops]
        .into_iter()
        .fold(weights, u64::saturating_mul);
    let arms_of_one_student = |epochs: &u32| {
        let (inside, to_the_end) = match sizes.kd_stops {
            None => (0, 1),
            Some(stops) => (
                count(stops.iter().filter(|stop| (1..*epochs).contains(*stop))),
                count(stops.iter().filter(|stop| *stop == epochs)),
            ),
        };
        let stops = inside.saturating_mul(sizes.after_stop_weights).saturating_add(to_the_end);
        teaching.saturating_mul(stops).saturating_add(u64::from(zero_weight || never_starts))
    };
    sizes.student_epochs.iter().map(arms_of_one_student).fold(0, u64::saturating_add).saturating_mul(sizes.students)
}

fn count(items: impl Iterator) -> u64 {
    items.count() as u64
}

/// Digits are never flipped: see [`Dataset::digits`].
pub(crate) fn augmentations(dataset: Option<Dataset>) -> &'static str {
    if dataset.is_some_and(Dataset::digits) { "none, crop" } else { "none, crop, crop-flip" }
}
