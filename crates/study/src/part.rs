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
        rounds: whole.rounds.clone(),
    }
}

/// The runs that are wanted, each with the epoch up to which it is trained.
fn runs_in<'a>(whole: &'a Plan, wanted: &Wanted) -> impl Iterator<Item = (&'a Run, Epoch)> {
    wanted.iter().filter_map(|(run, until)| Some((whole.runs.get(*run)?, *until)))
}
