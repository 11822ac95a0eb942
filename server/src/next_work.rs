//! Which segments to start now, and which workers to send home: decided here, done by the runner.

use crate::wanted::Wanted;
use std::{cmp::Reverse, collections::BTreeMap};
use study::{CheckpointId, Epoch, Facts, Kept, Segment, SegmentFacts, SegmentKey, Term};

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq)]
pub struct Working {
    pub threads: u32,
    /// What it was asked to do, which may be less than what is wanted by now.
    pub asked: Segment,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// In the order in which to start them.
    pub start: Vec<Launch>,
    /// Workers that should write a checkpoint and leave.
    pub leave: Vec<SegmentKey>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    pub key: SegmentKey,
    pub threads: u32,
}

/// Decides. `wanted` is in an order of need; `threads` may train at once.
///
/// What can start, starts with the longest remaining path first (its own remaining work and that of what waits for it), so that
/// all ends as early as it can. One-thread workers side by side train more images a second than many threads on one small
/// network: only where there are fewer segments than threads does a worker get several.
pub fn next_work(
    wanted: &[Wanted],
    facts: &Facts,
    working: &BTreeMap<SegmentKey, Working>,
    threads: u32,
) -> Decision {
    let leave = working.iter().filter(|(key, worker)| should_leave(key, worker, wanted, facts)).map(|(key, _)| key.clone());
    let leave = leave.collect();
    let remaining = remaining_paths(wanted, facts);
    let mut ready: Vec<(&SegmentKey, u128)> = wanted
        .iter()
        .zip(remaining)
        .filter(|(wanted, _)| !working.contains_key(&wanted.segment.key) && can_start(&wanted.segment, facts))
        .map(|(wanted, path)| (&wanted.segment.key, path))
        .collect();
    ready.sort_by_key(|&(_, path)| Reverse(path));
    let busy: u32 = working.values().map(|worker| worker.threads).sum();
    let free = threads.saturating_sub(busy);
    let places = free.min(ready.len() as u32);
    let start = ready.iter().take(places as usize).zip(0..).map(|(&(key, _), place)| Launch {
        key: key.clone(),
        threads: free / places + u32::from(place < free % places),
    });
    Decision { start: start.collect(), leave }
}

/// Whether all that is asked of a segment lies there: every stop's checkpoint with its test score, and the clean pass at every end.
pub fn is_done(segment: &Segment, facts: &SegmentFacts) -> bool {
    let scores = |epoch: Epoch| facts.metrics.iter().find(|metrics| metrics.epoch == epoch);
    let stopped = |epoch: &Epoch| has_stop(facts, *epoch) && scores(*epoch).is_some_and(|scores| scores.test.is_some());
    let closed = |epoch: &Epoch| scores(*epoch).is_some_and(|scores| scores.train_clean.is_some());
    segment.stops.iter().all(stopped) && segment.ends.iter().all(closed)
}

fn has_stop(facts: &SegmentFacts, epoch: Epoch) -> bool {
    facts.checkpoints.iter().any(|checkpoint| checkpoint.epoch == epoch && checkpoint.kept == Kept::Stop)
}

fn can_start(segment: &Segment, facts: &Facts) -> bool {
    let nothing = SegmentFacts::default();
    let own = facts.get(&segment.key).unwrap_or(&nothing);
    let there = |checkpoint: &&CheckpointId| {
        facts.get(&checkpoint.segment).is_some_and(|facts| has_stop(facts, checkpoint.epoch))
    };
    own.failure.is_none() && !is_done(segment, own) && segment.needs().iter().all(there)
}

/// A worker leaves where nobody wants its segment any more, or where a stop was asked for since that lies ahead of it: it would
/// pass it by, and the way there would have to be trained again.
fn should_leave(key: &SegmentKey, worker: &Working, wanted: &[Wanted], facts: &Facts) -> bool {
    let Some(wanted) = wanted.iter().find(|wanted| wanted.segment.key == *key) else { return true };
    let reached = facts.get(key).and_then(|facts| facts.metrics.last()).map_or(Epoch(0), |metrics| metrics.epoch);
    let ahead = |stop: &&Epoch| **stop > reached && **stop < worker.asked.until && !worker.asked.stops.contains(stop);
    wanted.segment.stops.iter().any(|stop| ahead(&stop))
}

/// For each segment, the multiply-accumulates of the longest chain of trainings that begins with what is left of it.
fn remaining_paths(wanted: &[Wanted], facts: &Facts) -> Vec<u128> {
    let place: BTreeMap<&SegmentKey, usize> = wanted.iter().map(|wanted| &wanted.segment.key).zip(0..).collect();
    let mut paths: Vec<u128> = vec![0; wanted.len()];
    for index in (0..wanted.len()).rev() {
        let segment = &wanted[index].segment;
        // Whatever waits for this one stands behind it, so that its own path has been handed forward already.
        let path = paths[index] + remaining(segment, wanted, &place, facts);
        paths[index] = path;
        for need in segment.needs() {
            if let Some(&needed) = place.get(&need.segment).filter(|needed| **needed < index) {
                paths[needed] = paths[needed].max(path);
            }
        }
    }
    paths
}

fn remaining(segment: &Segment, wanted: &[Wanted], place: &BTreeMap<&SegmentKey, usize>, facts: &Facts) -> u128 {
    let own = facts.get(&segment.key);
    if own.is_some_and(|own| is_done(segment, own)) {
        return 0;
    }
    let images = &segment.dataset;
    let one_image = |segment: &Segment| {
        u128::from(segment.architecture.multiply_accumulates(images.channels, images.image_size, images.classes))
    };
    let teachers = segment.terms.iter().filter_map(|(_, term)| match term {
        Term::CrossEntropy => None,
        Term::Kd { teacher, .. } => place.get(&teacher.segment).map(|&teacher| one_image(&wanted[teacher].segment)),
    });
    let reached = own.and_then(|own| own.metrics.last()).map_or(segment.from(), |metrics| metrics.epoch);
    // An earlier stop than what is reached is trained anew, from a checkpoint that is not known here: one epoch at least.
    let epochs = u128::from(segment.until.0.saturating_sub(reached.0)).max(1);
    epochs * u128::from(images.train) * (3 * one_image(segment) + teachers.sum::<u128>())
}
