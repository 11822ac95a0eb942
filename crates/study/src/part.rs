//! Parts of a plan: some of its runs, each up to an epoch, and what they need.

use crate::{CheckpointId, Epoch, Leg, Plan, Run, Segment, SegmentKey, ordered::set};
use std::collections::{BTreeMap, BTreeSet};

/// Runs by their place in the whole plan, each with the epoch up to which it is trained.
pub(crate) type Wanted = BTreeMap<usize, Epoch>;

/// A plan of these runs alone, each up to its epoch, and of what they need. Runs of other arms than those that are `tested` end nowhere.
pub(crate) fn part(whole: &Plan, wanted: &Wanted, tested: &[usize]) -> Plan {
    let segments = whole.by_key();
    let mut stops: BTreeMap<SegmentKey, BTreeSet<Epoch>> = BTreeMap::new();
    let mut ends: BTreeMap<SegmentKey, BTreeSet<Epoch>> = BTreeMap::new();
    let mut open: Vec<CheckpointId> = Vec::new();
    let mut kept = Vec::new();
    for (run, until) in wanted.iter().filter_map(|(run, until)| Some((whole.runs.get(*run)?, *until))) {
        let in_it = run.legs.iter().filter(|leg| leg.from < until);
        let legs: Vec<Leg> = in_it.map(|leg| Leg { until: leg.until.min(until), ..leg.clone() }).collect();
        open.extend(legs.iter().map(|leg| CheckpointId { segment: leg.segment.clone(), epoch: leg.until }));
        let is_tested = tested.contains(&run.arm);
        if let Some(last) = run.legs.last().filter(|last| is_tested && last.until <= until) {
            ends.entry(last.segment.clone()).or_default().insert(last.until);
        }
        kept.push(Run { legs, ..run.clone() });
    }
    while let Some(CheckpointId { segment, epoch }) = open.pop() {
        let is_new = stops.entry(segment.clone()).or_default().insert(epoch);
        let needs = segments.get(&segment).into_iter().filter(|_| is_new).flat_map(|segment| segment.needs());
        open.extend(needs.cloned());
    }
    let cut = |segment: &Segment| {
        let own = stops.get(&segment.key)?.clone();
        Some(Segment {
            until: own.last().copied()?,
            stops: own,
            ends: ends.get(&segment.key).cloned().unwrap_or_default(),
            observers: segment
                .observers
                .iter()
                .filter(|observer| {
                    stops.get(&observer.teacher.segment).is_some_and(|it| it.contains(&observer.teacher.epoch))
                })
                .cloned()
                .collect(),
            ..segment.clone()
        })
    };
    let segments: Vec<Segment> = whole.segments.iter().filter_map(cut).collect();
    let of_segment = |segment: &Segment| u64::from(segment.until.0) - u64::from(segment.from().0);
    let in_runs: BTreeSet<&SegmentKey> = set(kept.iter().flat_map(|run| &run.legs).map(|leg| &leg.segment));
    let teachers: u64 = segments.iter().filter(|segment| !in_runs.contains(&segment.key)).map(of_segment).sum();
    let students: u64 = kept.iter().filter_map(|run| run.legs.last()).map(|leg| u64::from(leg.until.0)).sum();
    Plan {
        epochs: segments.iter().map(of_segment).sum(),
        epochs_without_sharing: students + teachers,
        runs: kept,
        segments,
        training_version: whole.training_version,
        arms: whole.arms.clone(),
        remarks: whole.remarks.clone(),
    }
}

/// Of some arms, each with its runs, those `count` that cost most beyond what is wanted anyway: the one with the most epochs, then that
/// with the most beside it, and so on.
pub(crate) fn costliest(whole: &Plan, arms: &[(usize, Wanted)], count: usize, wanted: &Wanted) -> Vec<usize> {
    if arms.len() <= count {
        return arms.iter().map(|(arm, _)| *arm).collect();
    }
    let segments = whole.by_key();
    let mut trained = reached(whole, &segments, wanted);
    let mut open: Vec<(usize, Reached<'_>)> =
        arms.iter().map(|(arm, runs)| (*arm, reached(whole, &segments, runs))).collect();
    let cost = |reach: &Reached<'_>, trained: &Reached<'_>| -> u64 {
        let beyond = |(key, until): (&&SegmentKey, &Epoch)| {
            let from = trained.get(key).copied().or_else(|| Some(segments.get(key)?.from())).unwrap_or_default();
            u64::from(until.0.saturating_sub(from.0))
        };
        reach.iter().map(beyond).sum()
    };
    let mut chosen = Vec::new();
    while chosen.len() < count {
        // Of several that cost as much the first.
        let dearest = (0..open.len()).rev().max_by_key(|place| cost(&open[*place].1, &trained));
        let Some((arm, reach)) = dearest.map(|place| open.remove(place)) else { break };
        for (key, until) in reach {
            let furthest = trained.entry(key).or_default();
            *furthest = (*furthest).max(until);
        }
        chosen.push(arm);
    }
    chosen
}

/// Segments with the furthest epoch asked of each.
type Reached<'a> = BTreeMap<&'a SegmentKey, Epoch>;

fn reached<'a>(whole: &'a Plan, segments: &BTreeMap<&SegmentKey, &'a Segment>, wanted: &Wanted) -> Reached<'a> {
    let mut reached = Reached::new();
    let mut open: Vec<(&'a SegmentKey, Epoch)> = Vec::new();
    for (run, until) in wanted.iter().filter_map(|(run, until)| Some((whole.runs.get(*run)?, *until))) {
        let in_it = run.legs.iter().filter(|leg| leg.from < until);
        open.extend(in_it.map(|leg| (&leg.segment, leg.until.min(until))));
    }
    while let Some((key, until)) = open.pop() {
        if reached.get(key).is_some_and(|there| *there >= until) {
            continue;
        }
        reached.insert(key, until);
        let needs = segments.get(key).into_iter().flat_map(|segment| segment.needs());
        open.extend(needs.map(|need| (&need.segment, need.epoch)));
    }
    reached
}
