//! What a plan costs on this machine.

use crate::{
    Architecture, CheckpointId, DatasetFacts, Epoch, Machine, Plan, Segment, SegmentKey, metrics::Facts,
    progress::epochs_done, statistics,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Wall time on this machine, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub seconds: f64,
}

/// Time for what `facts` leave to be trained; with empty facts, for the whole plan. `None` where the speed is not known.
///
/// Counts the multiply-accumulates of an epoch: three forward passes for each training image (forward and backward), one of
/// each teacher that teaches, one for each validation image; test images at each stop, training images where a run ends.
/// Measuring against teachers costs nothing here: their logits are kept. Assumes that workers train side by side with one
/// thread each (where they are measured, with the threads they had) and lose nothing by it, and that no chain of segments waiting for each other can be split: the time is the
/// work over all threads, but never less than the longest chain. Once epochs of this plan were measured, their seconds
/// stand for those segments, and their speed for the others; before, the machine's. A GPU is not estimated beforehand.
pub fn estimate(plan: &Plan, facts: &Facts, machine: &Machine) -> Option<Estimate> {
    let segments = plan.by_key();
    let epoch_work = |segment: &Segment| epoch_work(segment, &segments);
    let speed = measured_speed(plan, facts, epoch_work).or(machine.multiply_accumulates_per_second)?;
    if speed.is_nan() || speed <= 0.0 {
        return None;
    }
    let mut total = 0.0;
    let mut longest: f64 = 0.0;
    let mut timings: BTreeMap<&SegmentKey, Timing> = BTreeMap::new();
    for segment in &plan.segments {
        let done = Epoch(segment.from().0 + epochs_done(segment, facts));
        let ready = |need: &CheckpointId| timings.get(&need.segment).map_or(0.0, |timing| timing.reaches(need.epoch));
        let start = segment.needs().into_iter().map(ready).fold(0.0, f64::max);
        let (epoch_seconds, closing) = match mean_seconds(segment, facts) {
            // Measured epochs hold their evaluations already.
            Some(seconds) => (seconds, 0.0),
            None => (epoch_work(segment) / speed, closing_work(segment) / speed),
        };
        let timing = Timing { start, done, epoch_seconds, closing };
        let alone = Timing { start: 0.0, ..timing };
        total += alone.reaches(segment.until) * threads(segment, facts);
        longest = longest.max(timing.reaches(segment.until));
        timings.insert(&segment.key, timing);
    }
    Some(Estimate { seconds: longest.max(total / f64::from(machine.threads.max(1))) })
}

/// When a segment can start, and how fast it goes from there.
#[derive(Clone, Copy)]
struct Timing {
    start: f64,
    done: Epoch,
    epoch_seconds: f64,
    closing: f64,
}

impl Timing {
    /// Seconds from now until the checkpoint of `epoch` is there; 0 where it is.
    fn reaches(&self, epoch: Epoch) -> f64 {
        match epoch.0.saturating_sub(self.done.0) {
            0 => 0.0,
            missing => self.start + f64::from(missing) * self.epoch_seconds + self.closing,
        }
    }
}

/// Multiply-accumulates of one epoch of training and its validation.
fn epoch_work(segment: &Segment, segments: &BTreeMap<&SegmentKey, &Segment>) -> f64 {
    let student = forward(segment, segment.architecture);
    let teachers: f64 = segment
        .terms
        .iter()
        .filter_map(|(_, term)| Some(forward(segment, segments.get(&term.teacher()?.segment)?.architecture)))
        .sum();
    f64::from(segment.dataset.train) * (3.0 * student + teachers) + f64::from(segment.dataset.validation) * student
}

/// Multiply-accumulates of the test at each stop and of the clean pass where a run ends.
fn closing_work(segment: &Segment) -> f64 {
    let images = segment.stops.len() as f64 * f64::from(segment.dataset.test)
        + segment.ends.len() as f64 * f64::from(segment.dataset.train);
    images * forward(segment, segment.architecture)
}

fn forward(segment: &Segment, architecture: Architecture) -> f64 {
    let dataset = &segment.dataset;
    architecture.multiply_accumulates(dataset.channels, dataset.image_size, dataset.classes) as f64
}

/// Images that a split is evaluated in, at a time.
const EVALUATION_BATCH: u64 = 500;

/// Bytes that a worker holds at most while it trains a network by the hand-written engine, teachers left out: the network with
/// its batch, its images (twice, while they are read), and the copies of weights and momentum of which a checkpoint is written.
pub fn worker_bytes(architecture: Architecture, images: &DatasetFacts, batch_size: u32, threads: u32) -> u64 {
    let (channels, size, classes) = (images.channels, images.image_size, images.classes);
    let all = u64::from(images.train) + u64::from(images.validation) + u64::from(images.test);
    let views = 4 * images.values_per_image() * u64::from(batch_size).max(EVALUATION_BATCH);
    let copies = 4 * 4 * architecture.parameters(channels, classes);
    architecture.training_bytes(channels, size, classes, batch_size, threads)
        + 2 * images.values_per_image() * all
        + views
        + copies
}

/// Bytes of a teacher that looks on or teaches.
pub fn teacher_bytes(architecture: Architecture, images: &DatasetFacts, threads: u32) -> u64 {
    architecture.evaluation_bytes(images.channels, images.image_size, images.classes, threads)
}

/// "1.9 TB": in powers of ten, with two digits.
pub fn bytes_in_words(bytes: u64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB")];
    let bytes = bytes as f64;
    let (unit, name) = units.into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1e3, "kB"));
    let amount = bytes / unit;
    if amount < 10.0 { format!("{amount:.1} {name}") } else { format!("{amount:.0} {name}") }
}

fn mean_seconds(segment: &Segment, facts: &Facts) -> Option<f64> {
    let seconds: Vec<f64> = facts.get(&segment.key)?.metrics.iter().map(|epoch| epoch.seconds).collect();
    (!seconds.is_empty()).then(|| statistics::mean(&seconds))
}

/// Threads that its worker has or had; one where it has none yet.
fn threads(segment: &Segment, facts: &Facts) -> f64 {
    let provenance = facts.get(&segment.key).and_then(|facts| facts.provenance.as_ref());
    f64::from(provenance.map_or(1, |provenance| provenance.threads.max(1)))
}

/// Multiply-accumulates a second and thread over all epochs of this plan that were measured.
fn measured_speed(plan: &Plan, facts: &Facts, epoch_work: impl Fn(&Segment) -> f64) -> Option<f64> {
    let measured = plan.segments.iter().filter_map(|segment| {
        let epochs = facts.get(&segment.key)?.metrics.len() as f64;
        Some((epochs * epoch_work(segment), epochs * mean_seconds(segment, facts)? * threads(segment, facts)))
    });
    let (work, seconds) = measured.fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    (seconds > 0.0).then(|| work / seconds)
}
