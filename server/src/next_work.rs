//! Which segments to start now, and which workers to send home: decided here, done by the runner.

use crate::wanted::Wanted;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use study::{
    CheckpointId, Device, Epoch, EvaluateTest, Facts, Kept, Numerics, Observer, Segment, SegmentFacts, SegmentKey,
    cost,
    teacher_logits::{TeacherLogits, teachers},
};
use train::engine::{THREADS_MAX, resolve};

/// A worker that is alive, and what it was asked to do, which may be less than what is wanted by now, or more.
#[derive(Clone, Debug, PartialEq)]
pub struct Working {
    pub threads: u32,
    pub asked: Segment,
    pub evaluate_test: EvaluateTest,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// In the order in which to start them.
    pub start: Vec<Launch>,
    /// Workers that should leave: what a checkpoint covers stays.
    pub leave: Vec<SegmentKey>,
}

/// What to ask of a worker that starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// With those observers alone whose checkpoints are there.
    pub segment: Segment,
    pub threads: u32,
}

/// What workers may take, all together.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// Threads that may train at once.
    pub threads: u32,
    /// Bytes of memory; `None` where that is not known, and then nobody waits for it.
    pub memory: Option<u64>,
    /// Teachers whose logits are kept need not be asked as often.
    pub teacher_logits: &'a [TeacherLogits],
}

/// Decides. `wanted` is in an order of need.
///
/// Studies are taken in turn: a younger one fills only the places that older ones leave free. Within a study, what can start starts
/// with the longest remaining path first (its own remaining work and that of what waits for it), so that it ends as early as it
/// can. One-thread workers side by side train more images a second than many threads on one small network: only where there are
/// fewer segments than threads does a worker get several, and never more than it can use. A worker that does not fit into memory
/// beside the others waits; the study was checked to fit alone.
pub fn next_work(
    wanted: &[Wanted],
    facts: &Facts,
    working: &BTreeMap<SegmentKey, Working>,
    room: &Room<'_>,
) -> Decision {
    let leave = working.iter().filter(|(key, worker)| should_leave(key, worker, wanted, facts));
    let mut leave: Vec<SegmentKey> = leave.map(|(key, _)| key.clone()).collect();
    let remaining = remaining_paths(wanted, facts, room.teacher_logits);
    let can_come = can_come(wanted, facts);
    let mut ready: Vec<(&Wanted, u128)> = wanted
        .iter()
        .zip(remaining)
        .filter(|(wanted, _)| !working.contains_key(&wanted.segment.key) && can_start(wanted, facts, &can_come))
        .collect();
    ready.sort_by_key(|&(wanted, path)| (wanted.study, Reverse(path)));
    let busy: u32 = working.values().map(|worker| worker.threads).sum();
    let free = room.threads.saturating_sub(busy);
    let mut memory = Memory::of(wanted, working);
    if leave.is_empty() && ready.is_empty() && free > 0 {
        leave.extend(slowest(facts, working, &memory, room.threads));
    }
    let most = free.div_ceil(free.min(ready.len() as u32).max(1));
    let mut starting: Vec<&Wanted> = Vec::new();
    for &(wanted, _) in &ready {
        if starting.len() < free as usize && memory.take_in(&wanted.in_passing, most, room.memory) {
            starting.push(wanted);
        }
    }
    let places = starting.len() as u32;
    let start = starting.into_iter().zip(0..).map(|(wanted, place)| Launch {
        segment: with_observers_there(&wanted.in_passing, facts),
        threads: (free / places + u32::from(place < free % places)).min(THREADS_MAX),
    });
    Decision { start: start.collect(), leave }
}

/// Memory that workers hold, counted before one starts.
struct Memory<'a> {
    wanted: BTreeMap<&'a SegmentKey, &'a Wanted>,
    /// By checksum: all workers hold a data set's images together.
    images: BTreeSet<&'a str>,
    bytes: u64,
    workers: usize,
}

impl<'a> Memory<'a> {
    fn of(wanted: &'a [Wanted], working: &'a BTreeMap<SegmentKey, Working>) -> Memory<'a> {
        let wanted = wanted.iter().map(|wanted| (&wanted.segment.key, wanted)).collect();
        let mut memory = Memory { wanted, images: BTreeSet::new(), bytes: 0, workers: 0 };
        for worker in working.values() {
            memory.take_in(&worker.asked, worker.threads, None);
        }
        memory
    }

    /// Counts a worker in, unless that would be more than `limit`: the first always fits.
    fn take_in(&mut self, segment: &'a Segment, threads: u32, limit: Option<u64>) -> bool {
        let bytes = self.bytes.saturating_add(self.needs(segment, threads));
        if self.workers > 0 && limit.is_some_and(|limit| bytes > limit) {
            return false;
        }
        self.bytes = bytes;
        self.workers += 1;
        self.images.insert(&segment.dataset.checksum);
        true
    }

    fn needs(&self, segment: &Segment, threads: u32) -> u64 {
        // What a GPU holds is not this machine's memory.
        if self.is_on_a_gpu(segment) {
            return 0;
        }
        let images = &segment.dataset;
        let own = cost::worker_bytes(
            segment.architecture,
            images,
            segment.batch_size,
            segment.optimizer.gradients(),
            threads,
        );
        let teachers = teachers(segment).into_iter().filter_map(|teacher| self.wanted.get(&teacher.segment));
        let bytes = |teacher: &&Wanted| cost::teacher_bytes(teacher.segment.architecture, images, threads);
        let teachers: u64 = teachers.map(bytes).sum();
        let unpacked = if self.images.contains(&*images.checksum) { 0 } else { cost::images_bytes(images) };
        own + teachers + unpacked
    }

    /// candle trains on the CPU too: what the hand-written engine has no operators for.
    fn is_on_a_gpu(&self, segment: &Segment) -> bool {
        let on_a_gpu = |wanted: &&Wanted| matches!(resolve(wanted.device).0, Device::Cuda(_));
        segment.numerics == Numerics::CandleF32
            && self.wanted.get(&segment.key).map_or(segment.architecture.has_kernels(), on_a_gpu)
    }
}

/// Seconds of training left from which on it pays to begin again with more threads.
const WORTH_A_NEW_BEGINNING: f64 = 20.0;

/// Threads are free and nothing else can start, as at the end of a study: the worker with the longest way to go could come back
/// with all of them. It trains the same bits, by either engine on the CPU; a GPU has no use for them.
fn slowest(
    facts: &Facts,
    working: &BTreeMap<SegmentKey, Working>,
    memory: &Memory<'_>,
    threads: u32,
) -> Option<SegmentKey> {
    let seconds_left = |(key, Working { threads: has, asked, .. }): (&SegmentKey, &Working)| {
        let last = facts.get(key)?.metrics.last()?;
        let epochs = asked.until.0.saturating_sub(last.epoch.0);
        let seconds = f64::from(epochs) * last.seconds;
        let could_use_more = !memory.is_on_a_gpu(asked) && *has < threads.min(THREADS_MAX);
        (could_use_more && epochs >= 2 && seconds >= WORTH_A_NEW_BEGINNING).then(|| (key.clone(), seconds))
    };
    let slow = working.iter().filter_map(seconds_left);
    slow.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(key, _)| key)
}

/// Whether all that is asked of a segment lies there: every stop's checkpoint with its test score and that of the best epoch so
/// far, both measured against every observer where their files are kept, the clean pass at every end, and the test score of
/// each epoch where that is asked for.
pub fn is_done(segment: &Segment, evaluate_test: EvaluateTest, facts: &SegmentFacts) -> bool {
    let observers: Vec<_> = segment.observers.iter().collect();
    is_trained(segment, evaluate_test, facts)
        && (evaluate_test == EvaluateTest::Never || is_measured(segment, &observers, facts))
}

fn metrics_of(facts: &SegmentFacts, epoch: Epoch) -> Option<&study::EpochMetrics> {
    facts.metrics.binary_search_by_key(&epoch, |metrics| metrics.epoch).ok().map(|index| &facts.metrics[index])
}

fn best_at(stop: Epoch, facts: &SegmentFacts) -> Option<Epoch> {
    train::segment::best_epoch(facts.metrics.iter().filter(|metrics| metrics.epoch <= stop))
}

fn is_trained(segment: &Segment, evaluate_test: EvaluateTest, facts: &SegmentFacts) -> bool {
    let tested = |epoch: Epoch| evaluate_test == EvaluateTest::Never || is_tested(facts, epoch);
    let stopped = |stop: &Epoch| has_stop(facts, *stop) && tested(*stop) && best_at(*stop, facts).is_none_or(tested);
    let closed = |epoch: &Epoch| metrics_of(facts, *epoch).is_some_and(|metrics| metrics.train_clean.is_some());
    let each_tested = || (segment.from().0 + 1..=segment.until.0).all(|epoch| tested(Epoch(epoch)));
    segment.stops.iter().all(stopped)
        && segment.ends.iter().all(closed)
        && (evaluate_test != EvaluateTest::EveryEpoch || each_tested())
}

/// Whether every stop and its best epoch were measured against `observers`, where their checkpoints are kept: elsewhere
/// nothing is left to measure.
fn is_measured(segment: &Segment, observers: &[&Observer], facts: &SegmentFacts) -> bool {
    if segment.dataset.validation == 0 {
        return true;
    }
    let measured = |epoch: Epoch| {
        let fidelity = metrics_of(facts, epoch).map_or(&[][..], |metrics| &metrics.fidelity);
        let by = |observer: &&Observer| {
            fidelity.iter().any(|it| it.teacher == observer.teacher && it.temperature == observer.temperature)
        };
        observers.iter().all(by) || facts.checkpoints.iter().all(|checkpoint| checkpoint.epoch != epoch)
    };
    segment.stops.iter().all(|stop| measured(*stop) && best_at(*stop, facts).is_none_or(measured))
}

fn is_tested(facts: &SegmentFacts, epoch: Epoch) -> bool {
    metrics_of(facts, epoch).is_some_and(|metrics| metrics.test.is_some())
}

/// Whether nothing that can be had now is left to do: as [`is_done`], with those observers that are there.
fn has_all(wanted: &Wanted, facts: &Facts) -> bool {
    let Some(own) = facts.get(&wanted.segment.key) else { return false };
    let segment = &wanted.segment;
    let observers: Vec<_> = segment.observers.iter().filter(|observer| is_there(&observer.teacher, facts)).collect();
    is_trained(segment, wanted.evaluate_test, own)
        && (wanted.evaluate_test == EvaluateTest::Never || is_measured(segment, &observers, own))
}

fn has_stop(facts: &SegmentFacts, epoch: Epoch) -> bool {
    facts.checkpoints.iter().any(|checkpoint| checkpoint.epoch == epoch && checkpoint.kept == Kept::Stop)
}

fn is_there(checkpoint: &CheckpointId, facts: &Facts) -> bool {
    facts.get(&checkpoint.segment).is_some_and(|facts| has_stop(facts, checkpoint.epoch))
}

fn with_observers_there(segment: &Segment, facts: &Facts) -> Segment {
    let mut segment = segment.clone();
    segment.observers.retain(|observer| is_there(&observer.teacher, facts));
    segment
}

/// Segments that can be trained on: neither they nor what they still need failed.
fn can_come<'a>(wanted: &'a [Wanted], facts: &Facts) -> BTreeSet<&'a SegmentKey> {
    let mut can_come = BTreeSet::new();
    for Wanted { segment, .. } in wanted {
        let failed = facts.get(&segment.key).is_some_and(|facts| facts.failure.is_some());
        let comes = |need: &CheckpointId| is_there(need, facts) || can_come.contains(&need.segment);
        if !failed && segment.needs().into_iter().all(comes) {
            can_come.insert(&segment.key);
        }
    }
    can_come
}

fn can_start(wanted: &Wanted, facts: &Facts, can_come: &BTreeSet<&SegmentKey>) -> bool {
    let failed = facts.get(&wanted.segment.key).is_some_and(|facts| facts.failure.is_some());
    let there = |need: &CheckpointId| is_there(need, facts);
    let there_or_lost = |observer: &CheckpointId| there(observer) || !can_come.contains(&observer.segment);
    !failed
        && wanted.segment.needs().into_iter().all(there)
        && wanted.awaited.iter().all(there_or_lost)
        && !has_all(wanted, facts)
}

/// A worker leaves where nobody wants its segment any more, or not as much of it as it was asked for, and all else is there. It
/// leaves to come back where something was asked for since that lies ahead of it: a stop that it would pass by, so that the way
/// there would have to be trained again, or what each epoch is to be measured by.
fn should_leave(key: &SegmentKey, worker: &Working, wanted: &[Wanted], facts: &Facts) -> bool {
    let Some(wanted) = wanted.iter().find(|wanted| wanted.segment.key == *key) else { return true };
    let segment = &wanted.segment;
    if has_all(wanted, facts) {
        let asked = &worker.asked;
        return asked.until > segment.until
            || !asked.stops.is_subset(&segment.stops)
            || !asked.ends.is_subset(&segment.ends)
            || worker.evaluate_test == EvaluateTest::EveryEpoch && wanted.evaluate_test != EvaluateTest::EveryEpoch;
    }
    let reached = facts.get(key).and_then(|facts| facts.metrics.last()).map_or(Epoch(0), |metrics| metrics.epoch);
    let ahead = |stop: &Epoch| *stop > reached && *stop < worker.asked.until && !worker.asked.stops.contains(stop);
    let unknown =
        |observer: &Observer| !worker.asked.observers.contains(observer) && is_there(&observer.teacher, facts);
    let observed_since = || segment.dataset.validation > 0 && segment.observers.iter().any(unknown);
    let tested_since =
        wanted.evaluate_test == EvaluateTest::EveryEpoch && worker.evaluate_test != EvaluateTest::EveryEpoch;
    segment.stops.iter().any(ahead) || reached < worker.asked.until && (tested_since || observed_since())
}

/// For each segment, the multiply-accumulates of the longest chain of trainings that begins with what is left of it, among those of
/// its own study: what a younger one waits for does not bring it forward.
fn remaining_paths(wanted: &[Wanted], facts: &Facts, teacher_logits: &[TeacherLogits]) -> Vec<u128> {
    let place: BTreeMap<&SegmentKey, usize> = wanted.iter().map(|wanted| &wanted.segment.key).zip(0..).collect();
    let mut paths: Vec<u128> = vec![0; wanted.len()];
    for index in (0..wanted.len()).rev() {
        let segment = &wanted[index].segment;
        // Whatever waits for this one stands behind it, so that its own path has been handed forward already.
        let path = paths[index] + remaining(&wanted[index], wanted, &place, facts, teacher_logits);
        paths[index] = path;
        for need in segment.needs() {
            let own = |needed: &&usize| **needed < index && wanted[**needed].study == wanted[index].study;
            if let Some(&needed) = place.get(&need.segment).filter(own) {
                paths[needed] = paths[needed].max(path);
            }
        }
    }
    paths
}

fn remaining(
    of: &Wanted,
    wanted: &[Wanted],
    place: &BTreeMap<&SegmentKey, usize>,
    facts: &Facts,
    teacher_logits: &[TeacherLogits],
) -> u128 {
    let segment = &of.segment;
    if has_all(of, facts) {
        return 0;
    }
    let images = &segment.dataset;
    let one_image = |segment: &Segment| {
        u128::from(segment.architecture.multiply_accumulates(images.channels, images.image_size, images.classes))
    };
    let teachers = teachers(segment).into_iter().filter_map(|teacher| {
        let forward = one_image(&wanted[*place.get(&teacher.segment)?].segment);
        let table = teacher_logits.iter().find(|table| table.teacher == *teacher && table.passes_without > 0);
        Some(table.map_or(forward, |it| forward * u128::from(it.passes()) / u128::from(it.passes_without)))
    });
    let reached =
        facts.get(&segment.key).and_then(|own| own.metrics.last()).map_or(segment.from(), |metrics| metrics.epoch);
    // An earlier stop than what is reached is trained anew, from a checkpoint that is not known here: one epoch at least.
    let epochs = u128::from(segment.until.0.saturating_sub(reached.0)).max(1);
    let step = u128::from(segment.optimizer.passes_of_a_step()) * one_image(segment);
    epochs * u128::from(images.train) * (step + teachers.sum::<u128>())
}

#[cfg(test)]
mod tests;
