//! What went wrong while a study trained, or was put right, and whom it touches.

use crate::{
    Architecture, Epoch, Facts, Failure, Plan, Run, Seed, Segment, SegmentKey, metrics::result, metrics::run_metrics,
    progress::epochs_done,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing that a worker said of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The network that was being trained, and its seed.
    pub architecture: Architecture,
    pub seed: Seed,
    /// Whether it is a teacher alone: no run passes through it.
    pub teacher: bool,
    /// Of a failure, the runs that it keeps from their end, whether they pass through the segment or wait for it; of a note,
    /// those that pass through it. Each as the arm's index in the plan with the seed.
    pub runs: Vec<(usize, Seed)>,
    pub happened: Happened,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// It cannot go on.
    Failed(Failure),
    /// It went on: "checkpoint of epoch 7 is damaged; going on from epoch 6".
    Noted(String),
}

/// Everything that workers said, segment by segment in the plan's order.
pub(crate) fn incidents(plan: &Plan, facts: &Facts) -> Vec<Incident> {
    let mut incidents = Vec::new();
    for segment in &plan.segments {
        let Some(its) = facts.get(&segment.key) else { continue };
        if its.failure.is_none() && its.notes.is_empty() {
            continue;
        }
        let passing = named(plan, |run| run.legs.iter().any(|leg| leg.segment == segment.key));
        let incident = |runs, happened| Incident {
            architecture: segment.architecture,
            seed: segment.seed,
            teacher: passing.is_empty(),
            runs,
            happened,
        };
        if let Some(failure) = &its.failure {
            incidents.push(incident(kept_from_their_end(plan, facts, segment), Happened::Failed(failure.clone())));
        }
        incidents.extend(its.notes.iter().map(|note| incident(passing.clone(), Happened::Noted(note.clone()))));
    }
    incidents
}

fn named(plan: &Plan, touches: impl Fn(&&Run) -> bool) -> Vec<(usize, Seed)> {
    plan.runs.iter().filter(touches).map(|run| (run.arm, run.seed)).collect()
}

/// The runs without a result that go beyond where `failed` came, or need a checkpoint that it did not reach.
fn kept_from_their_end(plan: &Plan, facts: &Facts, failed: &Segment) -> Vec<(usize, Seed)> {
    let reached = |segment: &Segment| Epoch(segment.from().0 + epochs_done(segment, facts));
    let mut short: BTreeMap<&SegmentKey, Epoch> = BTreeMap::from([(&failed.key, reached(failed))]);
    for segment in &plan.segments {
        let lacks = segment.needs().iter().any(|need| short.get(&need.segment).is_some_and(|it| *it < need.epoch));
        if lacks && segment.key != failed.key {
            short.insert(&segment.key, reached(segment));
        }
    }
    named(plan, |run| {
        let ends_there = run.legs.last().is_some_and(|leg| leg.segment == failed.key);
        let short = run.legs.iter().any(|leg| short.get(&leg.segment).is_some_and(|it| *it < leg.until));
        (ends_there || short) && result(run, &run_metrics(run, facts)).is_none()
    })
}
