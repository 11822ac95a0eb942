//! What a plan costs on this machine.

use crate::{
    Architecture, CheckpointId, DatasetFacts, Epoch, Machine, Numerics, Optimizer, PROBE_IMAGES, Plan, Segment,
    SegmentKey, Start,
    metrics::Facts,
    ordered::map,
    progress::epochs_done,
    statistics,
    teacher_logits::{Drawn, TeacherLogits, Usage, expected_views, teacher_logits, teachers},
    timetable::{self, Task},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::timetable::WORKER_THREADS_MAX;

/// Wall time on this machine, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub seconds: f64,
}

/// How long one thread takes for one image while all threads of the machine are busy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Its share of a training step: forward, backward and update.
    pub step: Pace,
    /// Evaluation alone.
    pub evaluation: Pace,
}

/// Seconds an image takes, as a sum of two: convolutions take as long as they have multiply-accumulates, everything else as long as
/// there are numbers to pass through memory. Wide networks have more of the first, narrow ones of the second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    pub seconds_per_multiply_accumulate: f64,
    pub seconds_per_activation: f64,
}

/// A network as it was measured: multiply-accumulates of a forward pass of one image, activations, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub multiply_accumulates: f64,
    pub activations: f64,
    pub seconds: f64,
}

impl Pace {
    /// The pace at which both networks take as long as they did. Where that would make one of the two parts negative, which is
    /// noise, all is laid to the multiply-accumulates.
    pub fn through(one: Measured, other: Measured) -> Pace {
        let (m, n) = (one.multiply_accumulates, other.multiply_accumulates);
        let determinant = m * other.activations - n * one.activations;
        let by_multiplying = (one.seconds * other.activations - other.seconds * one.activations) / determinant;
        let by_passing = (m * other.seconds - n * one.seconds) / determinant;
        if by_multiplying > 0.0 && by_passing >= 0.0 {
            return Pace { seconds_per_multiply_accumulate: by_multiplying, seconds_per_activation: by_passing };
        }
        Pace { seconds_per_multiply_accumulate: (one.seconds + other.seconds) / (m + n), seconds_per_activation: 0.0 }
    }

    /// Of one image of `images`.
    pub fn seconds(self, architecture: Architecture, images: &DatasetFacts) -> f64 {
        let (channels, size, classes) = (images.channels, images.image_size, images.classes);
        architecture.multiply_accumulates(channels, size, classes) as f64 * self.seconds_per_multiply_accumulate
            + architecture.activations(channels, size, classes) as f64 * self.seconds_per_activation
    }
}

/// Of each engine on the CPU; `None` where it was not measured.
#[derive(Clone, Copy)]
pub(crate) struct Speeds {
    hand_written: Option<Speed>,
    candle: Option<Speed>,
}

impl Speeds {
    /// A GPU's is not measured.
    pub(crate) fn of(plan: &Plan, machine: &Machine) -> Speeds {
        Speeds { hand_written: machine.speed, candle: machine.speed_of_candle.filter(|_| plan.is_on_the_cpu()) }
    }

    fn get(&self, segment: &Segment) -> Option<Speed> {
        match segment.numerics {
            Numerics::CpuF32 => self.hand_written,
            Numerics::CandleF32 => self.candle,
        }
    }
}

/// Whether candle trains a part of the plan on the CPU, so that its speed there has to be known.
pub fn needs_speed_of_candle(plan: &Plan) -> bool {
    plan.is_on_the_cpu() && plan.segments.iter().any(|segment| segment.numerics == Numerics::CandleF32)
}

/// "The CPU's own engine has no operators for resnet18, and candle's are slow there: resnet18 takes a thread about 410 ms an image in
/// training and 32 ms in evaluation."; `None` where all networks are trained by the engine that is meant for the device.
pub fn slow_in_words(plan: &Plan, machine: &Machine) -> Option<String> {
    if !needs_speed_of_candle(plan) {
        return None;
    }
    let slow = || plan.segments.iter().filter(|segment| !segment.architecture.has_kernels());
    let images = &slow().next()?.dataset;
    // Each network once, and whether it is trained here.
    let mut networks: Vec<(Architecture, bool)> = Vec::new();
    for segment in slow() {
        let is_trained = !matches!(segment.start, Start::Imported(_));
        match networks.iter_mut().find(|(network, _)| *network == segment.architecture) {
            Some((_, trained)) => *trained |= is_trained,
            None => networks.push((segment.architecture, is_trained)),
        }
    }
    let names: Vec<String> = networks.iter().map(|(network, _)| network.to_string()).collect();
    let costs = |speed: Speed| {
        let of = |(network, is_trained): &(Architecture, bool)| {
            let seconds = |pace: Pace| seconds_in_words(pace.seconds(*network, images));
            let training =
                if *is_trained { format!("{} an image in training and ", seconds(speed.step)) } else { String::new() };
            let of_evaluation = if *is_trained { "in evaluation" } else { "an image in evaluation" };
            format!("{network} takes a thread about {training}{} {of_evaluation}", seconds(speed.evaluation))
        };
        networks.iter().map(of).collect::<Vec<_>>().join("; ")
    };
    let cost = machine.speed_of_candle.map_or_else(|| "how slow was not measured yet".to_owned(), costs);
    Some(format!(
        "The CPU’s own engine has no operators for {}, and candle’s are slow there: {cost}.",
        names.join(", ")
    ))
}

/// "4.4 ms", "410 ms", "4.4 s", "12 s".
pub(crate) fn seconds_in_words(seconds: f64) -> String {
    match seconds {
        0.0..0.00995 => format!("{:.1} ms", seconds * 1e3),
        0.00995..0.9995 => format!("{:.0} ms", seconds * 1e3),
        0.9995..9.95 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

impl Speed {
    /// Of a machine that nobody measured: it stands for how networks differ, and the epochs that were trained say how fast it is.
    const ANY: Speed = {
        let evaluation = Pace { seconds_per_multiply_accumulate: 1e-10, seconds_per_activation: 0.0 };
        Speed { step: Pace { seconds_per_multiply_accumulate: 3e-10, ..evaluation }, evaluation }
    };
}

/// Writing and syncing a checkpoint, which every epoch has, and telling of it. Of a sweep of 94 segments and 1,160 epochs that takes 105
/// seconds on two threads, this and the start of each segment come to 18 seconds (`docs/performance.md`, 128 images): it leaves no room
/// for more.
const CHECKPOINT_SECONDS: f64 = 0.015;

/// Time for what `facts` leave to be trained; with empty facts, for the whole plan. `None` where the speed of an engine is not known
/// that has something to train.
///
/// An epoch is a training step for each training image (one by DOT has a second backward pass), a forward pass of each teacher that
/// teaches where the table of its logits does not have it yet or attention maps are asked for, an evaluation of each validation image,
/// and a backward pass of [`PROBE_IMAGES`] for each teacher that the student is measured against and one more; at each stop its test
/// images and those of the best epoch so far are evaluated, and where a run ends the training images. Beyond that, measuring against
/// teachers costs nothing here: their logits are kept.
/// The plan is then worked off as the runner does (`timetable`). Once epochs of this plan were measured, their seconds stand for
/// those segments, and how they compare with what was expected for the others of the same engine. A GPU is not estimated beforehand.
pub fn estimate(plan: &Plan, facts: &Facts, machine: &Machine) -> Option<Estimate> {
    let costs = costs(plan, facts, machine, Speeds::of(plan, machine));
    let ratio = |numerics| measured_ratio(plan, facts, &costs, numerics);
    let (by_hand, by_candle) = (ratio(Numerics::CpuF32), ratio(Numerics::CandleF32));
    let measured = |segment: &Segment| match segment.numerics {
        Numerics::CpuF32 => by_hand,
        Numerics::CandleF32 => by_candle,
    };
    let done: Vec<Epoch> =
        plan.segments.iter().map(|segment| Epoch(segment.from().0 + epochs_done(segment, facts))).collect();
    let mut left = plan.segments.iter().zip(&costs).zip(&done).filter(|((segment, _), done)| **done < segment.until);
    if left.any(|((segment, cost), _)| !cost.is_known && measured(segment).is_none()) {
        return None;
    }
    let place: BTreeMap<&SegmentKey, usize> = map(plan.segments.iter().map(|segment| &segment.key).zip(0..));
    let tasks = plan.segments.iter().zip(&costs).zip(&done).map(|((segment, cost), own)| {
        let slower = measured(segment).unwrap_or(1.0);
        let epoch = mean_seconds(segment, facts).map_or(cost.epoch * slower, |it| it * threads(segment, facts));
        let mut work = 0.0;
        let mut reached = *own;
        let milestones = segment.stops.range(Epoch(own.0 + 1)..).map(|stop| {
            let ends = if segment.ends.contains(stop) { cost.end } else { 0.0 };
            let epochs = stop.0 - reached.0;
            // The stop itself and the best epoch so far, which most often is another one of those since the stop before.
            let evaluated = if segment.dataset.validation > 0 && epochs > 1 { 2.0 } else { 1.0 };
            work += f64::from(epochs) * (epoch + CHECKPOINT_SECONDS) + (evaluated * cost.evaluation + ends) * slower;
            reached = *stop;
            work
        });
        let milestones = milestones.collect();
        let missing = |need: &CheckpointId| {
            let needed = *place.get(&need.segment)?;
            let next = Epoch(done[needed].0 + 1);
            // Its place among the stops that are still to come.
            (need.epoch >= next).then(|| (needed, plan.segments[needed].stops.range(next..need.epoch).count()))
        };
        let at_work = facts.get(&segment.key).is_some_and(|facts| facts.working);
        Task {
            needs: segment.needs().into_iter().filter_map(missing).collect(),
            milestones,
            threads: at_work.then(|| threads(segment, facts) as u32),
        }
    });
    let tasks: Vec<Task> = tasks.collect();
    Some(Estimate { seconds: timetable::seconds(&tasks, machine.threads) })
}

/// What a segment's parts take, in seconds of one thread.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) epoch: f64,
    /// Of a checkpoint that is tested.
    evaluation: f64,
    /// The clean pass at a run's end.
    end: f64,
    /// Whether the speed of each engine in it was measured.
    pub(crate) is_known: bool,
}

/// Segment by segment. What of teachers' logits will be there already is laid to the segments in the order of the plan, those first
/// that have begun: who comes first in the end does not change the sum.
pub(crate) fn costs(plan: &Plan, facts: &Facts, machine: &Machine, speeds: Speeds) -> Vec<Cost> {
    let segments = plan.by_key();
    let tables = teacher_logits(&plan.segments, machine.teacher_logits_limit);
    let tables: BTreeMap<&CheckpointId, &TeacherLogits> = map(tables.iter().map(|table| (&table.teacher, table)));
    let mut drawn: BTreeMap<&CheckpointId, Drawn> = BTreeMap::new();
    let mut costs: Vec<Option<Cost>> = vec![None; plan.segments.len()];
    let mut order: Vec<usize> = (0..plan.segments.len()).collect();
    order.sort_by_cached_key(|place| epochs_done(&plan.segments[*place], facts) == 0);
    for place in order {
        let segment = &plan.segments[place];
        let images = &segment.dataset;
        let mut is_known = true;
        let mut speed_of = |segment: &Segment| {
            let speed = speeds.get(segment);
            is_known &= speed.is_some();
            speed.unwrap_or(Speed::ANY)
        };
        let speed = speed_of(segment);
        let student = speed.evaluation.seconds(segment.architecture, images);
        let step = speed.step.seconds(segment.architecture, images);
        let observers = segment.measured_against().len() as f64;
        let probe =
            f64::from(PROBE_IMAGES.min(images.train)) * (student + (1.0 + observers) * (step - student).max(0.0));
        let compared = if observers > 0.0 { probe } else { 0.0 };
        // What was measured is a step of SGD.
        let as_sgd = f64::from(segment.optimizer.passes_of_a_step()) / f64::from(Optimizer::SGD_PASSES);
        let (mut image, compared) = match segment.start {
            // Its images are only looked at.
            Start::Imported(_) => (student, 0.0),
            Start::Initialisation | Start::Checkpoint(_) => (as_sgd * step, compared),
        };
        for teacher in teachers(segment) {
            let Some(taught_by) = segments.get(&teacher.segment) else { continue };
            let share = match tables.get(teacher) {
                Some(table) if table.usage == Usage::Used && !segment.needs_attention_maps() => {
                    let drawn = drawn.entry(teacher).or_default();
                    let (before, new) = (drawn.count(), drawn.add(segment));
                    let views = expected_views(table.views, before + new) - expected_views(table.views, before);
                    views / f64::from((segment.until.0 - segment.from().0).max(1))
                }
                _ => 1.0,
            };
            image += share * speed_of(taught_by).evaluation.seconds(taught_by.architecture, images);
        }
        let [train, validation, test] = [images.train, images.validation, images.test].map(f64::from);
        costs[place] = Some(Cost {
            epoch: train * image + validation * student + compared,
            evaluation: (test + validation) * student,
            end: train * student,
            is_known,
        });
    }
    costs.into_iter().map(|cost| cost.expect("every segment is in the order")).collect()
}

/// How much longer the epochs that were measured of an engine's segments took than their costs say; `None` where none was.
fn measured_ratio(plan: &Plan, facts: &Facts, costs: &[Cost], numerics: Numerics) -> Option<f64> {
    let by_it = plan.segments.iter().zip(costs).filter(|(segment, _)| segment.numerics == numerics);
    let measured = by_it.filter_map(|(segment, cost)| {
        let epochs = facts.get(&segment.key)?.metrics.len() as f64;
        Some((epochs * mean_seconds(segment, facts)? * threads(segment, facts), epochs * cost.epoch))
    });
    let (took, expected) = measured.fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    (took > 0.0 && expected > 0.0).then(|| took / expected)
}

/// Images that a split is evaluated in, at a time.
const EVALUATION_BATCH: u64 = 500;

/// Bytes that a worker holds at most while it trains a network on the CPU, apart from its images and its teachers:
/// the network with its batch, [gradients](Optimizer::gradients) and momentum, the views it is shown, and the copies of weights and momentum of which a
/// checkpoint is written. More threads than a worker uses are not counted.
pub fn worker_bytes(
    architecture: Architecture,
    images: &DatasetFacts,
    batch_size: u32,
    gradients: u32,
    threads: u32,
) -> u64 {
    let threads = threads.min(WORKER_THREADS_MAX);
    let (channels, size, classes) = (images.channels, images.image_size, images.classes);
    let views = 4 * images.values_per_image() * u64::from(batch_size).max(EVALUATION_BATCH);
    let copies = 4 * 4 * architecture.parameters(channels, classes);
    // Its momentum once more, of which the checkpoint is written.
    let optimizer = architecture.optimizer_bytes(channels, classes, gradients) * 3 / 2;
    architecture.training_bytes(channels, size, classes, batch_size, threads) + views + copies + optimizer
}

/// Bytes of a data set, which all workers hold together.
pub fn images_bytes(images: &DatasetFacts) -> u64 {
    let all = u64::from(images.train) + u64::from(images.validation) + u64::from(images.test);
    (images.values_per_image() + 1) * all
}

/// Bytes of a teacher that looks on or teaches. More threads than a worker uses are not counted.
pub fn teacher_bytes(architecture: Architecture, images: &DatasetFacts, threads: u32) -> u64 {
    architecture.evaluation_bytes(images.channels, images.image_size, images.classes, threads.min(WORKER_THREADS_MAX))
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
