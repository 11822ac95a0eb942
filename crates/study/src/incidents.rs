//! What went wrong while a study trained, or was put right, and whom it touches.

use crate::{
    Architecture, Arm, Epoch, Facts, Failure, Plan, Run, Seed, Segment, SegmentKey, metrics::result,
    metrics::run_metrics, numbers, progress::epochs_done,
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

/// Arms named one by one; beyond these, runs are counted.
const ARMS_NAMED: usize = 3;

impl Incident {
    /// What was being trained, of the study with these `arms` and so many `runs`: a teacher by its network, a student by arm and
    /// seed: "KD until 8, seeds 0 and 2".
    pub fn trained(&self, arms: &[Arm], runs: u64) -> String {
        match self.teacher {
            true => format!("Teacher {}, seed {}", self.architecture, self.seed),
            false if self.runs.is_empty() => format!("{}, seed {}", self.architecture, self.seed),
            false => self.touched(arms, runs),
        }
    }

    /// The runs that it touches: "KD until 8, seeds 0 and 2; labels only, seed 1".
    pub fn touched(&self, arms: &[Arm], runs: u64) -> String {
        if self.runs.len() > 1 && self.runs.len() as u64 == runs {
            return format!("all {}", numbers::counted(runs, "run"));
        }
        let mut by_arm: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (arm, seed) in &self.runs {
            by_arm.entry(*arm).or_default().push(seed.to_string());
        }
        let more: usize = by_arm.values().skip(ARMS_NAMED).map(Vec::len).sum();
        let mut said: Vec<String> = by_arm
            .iter()
            .take(ARMS_NAMED)
            .map(|(arm, seeds)| {
                let label = arms.get(*arm).map_or("", |arm| arm.label.as_str());
                match seeds.as_slice() {
                    [all @ .., last] if !all.is_empty() => format!("{label}, seeds {} and {last}", all.join(", ")),
                    _ => format!("{label}, seed {}", seeds.join("")),
                }
            })
            .collect();
        said.extend((more > 0).then(|| numbers::counted(more as u64, "more run")));
        said.join("; ")
    }
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
pub fn incidents(plan: &Plan, facts: &Facts) -> Vec<Incident> {
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
