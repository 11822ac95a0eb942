//! Parts of a plan: some of its runs, each up to an epoch, and what they need.

use crate::{CheckpointId, Epoch, Leg, Plan, Run, Segment, SegmentKey, ordered::set, teacher_logits::teachers};
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
    for (run, until) in runs_in(whole, wanted) {
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
        numerics: whole.numerics,
        arms: whole.arms.clone(),
        remarks: whole.remarks.clone(),
    }
}

/// Of some groups of runs those `count` that cost most beyond what is `trained` anyway, by their places: the one with the most epochs, then
/// that with the most beside it, and so on.
pub(crate) fn costliest(whole: &Plan, groups: &[Wanted], count: usize, trained: &Wanted) -> Vec<usize> {
    if groups.len() <= count {
        return (0..groups.len()).collect();
    }
    let segments = whole.by_key();
    let all = |wanted: &Wanted| {
        let mut reached = Reached::new();
        runs_in(whole, wanted).for_each(|(run, until)| add(&mut reached, run, until));
        let teachers = taught_by(&segments, &reached);
        join(&mut reached, &teachers);
        reached
    };
    let mut trained = all(trained);
    let mut open: Vec<(usize, Reached<'_>)> = groups.iter().map(all).enumerate().collect();
    let cost = |reach: &Reached<'_>, trained: &Reached<'_>| -> u64 {
        let beyond = |(key, until): (&&SegmentKey, &Epoch)| {
            let from = trained.get(key).copied().or_else(|| Some(segments.get(key)?.from())).unwrap_or_default();
            u64::from(until.0.saturating_sub(from.0))
        };
        reach.iter().map(beyond).sum()
    };
    let mut chosen = Vec::new();
    while chosen.len() < count {
        // Of several that cost as much the one of the most runs, which may still part; of those the first.
        let place = |place: &usize| (cost(&open[*place].1, &trained), groups[open[*place].0].len());
        let dearest = (0..open.len()).rev().max_by_key(place);
        let Some((group, reach)) = dearest.map(|place| open.remove(place)) else { break };
        join(&mut trained, &reach);
        chosen.push(group);
    }
    chosen
}

/// Segments with the furthest epoch asked of each.
pub(crate) type Reached<'a> = BTreeMap<&'a SegmentKey, Epoch>;

/// The runs that are wanted, each with the epoch up to which it is trained.
pub(crate) fn runs_in<'a>(whole: &'a Plan, wanted: &Wanted) -> impl Iterator<Item = (&'a Run, Epoch)> {
    wanted.iter().filter_map(|(run, until)| Some((whole.runs.get(*run)?, *until)))
}

/// Adds the segments of a run itself, without its teachers', up to an epoch.
pub(crate) fn add<'a>(reached: &mut Reached<'a>, run: &'a Run, until: Epoch) {
    for leg in run.legs.iter().filter(|leg| leg.from < until) {
        reach(reached, &leg.segment, leg.until.min(until));
    }
}

/// What these segments are taught by, with all that is needed for that.
pub(crate) fn taught_by<'a>(segments: &BTreeMap<&SegmentKey, &'a Segment>, students: &Reached<'_>) -> Reached<'a> {
    let mut reached = Reached::new();
    let students = students.keys().filter_map(|key| segments.get(key).copied());
    let mut open: Vec<&'a CheckpointId> = students.flat_map(teachers).collect();
    while let Some(CheckpointId { segment, epoch }) = open.pop() {
        if reached.get(segment).is_none_or(|there| there < epoch) {
            reached.insert(segment, *epoch);
            open.extend(segments.get(segment).copied().into_iter().flat_map(Segment::needs));
        }
    }
    reached
}

/// Makes `one` reach as far as `other` does too.
pub(crate) fn join<'a>(one: &mut Reached<'a>, other: &Reached<'a>) {
    for (key, until) in other {
        reach(one, key, *until);
    }
}

fn reach<'a>(reached: &mut Reached<'a>, key: &'a SegmentKey, until: Epoch) {
    let furthest = reached.entry(key).or_default();
    *furthest = (*furthest).max(until);
}

/// Epochs of all of them together.
pub(crate) fn epochs(segments: &BTreeMap<&SegmentKey, &Segment>, reached: &Reached<'_>) -> u64 {
    let of = |(key, until): (&&SegmentKey, &Epoch)| Some(u64::from(until.0 - segments.get(key)?.from().0));
    reached.iter().filter_map(of).sum()
}
