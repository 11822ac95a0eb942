//! How far a study is, derived from facts.

use crate::{
    CheckpointId, Epoch, Estimate, Failure, Leg, Machine, Plan, Run, RunId, Segment, SegmentKey,
    cost::estimate,
    metrics::{Facts, result, run_metrics},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Never stored: derived from what is trained, who works, and what a person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing works on it yet.
    Waiting,
    Training,
    /// A person stopped it.
    Stopped,
    Finished,
    /// Some run cannot go on, and no other can either; also where another version of the program planned it.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub state: State,
    pub epochs_done: u64,
    pub epochs_total: u64,
    pub runs: Vec<RunProgress>,
    /// From this machine's measured speed and what is left; `None` where nothing was measured, where nothing is left but last
    /// evaluations, or where others stand before this study ([`Progress::behind_others`]).
    pub left: Option<Estimate>,
    pub failures: Vec<Failure>,
}

/// What stands before a study that goes on. A plan and its facts do not tell: others, and this machine, do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Workers of other studies have the machine.
    AnotherStudy,
    /// Why the images are not here, and what to do: "mnist was not found when Stillroom started; ...".
    Images(String),
}

impl Progress {
    /// Of a study that waits for others: how long it takes then depends on them, so that no time is promised.
    pub fn behind_others(self) -> Progress {
        Progress { left: None, ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunProgress {
    pub run: RunId,
    pub arm: usize,
    pub seed: u32,
    pub epochs_done: u32,
    pub epochs_total: u32,
    pub state: State,
}

/// Time for what is left to be trained.
pub(crate) fn left(plan: &Plan, state: State, facts: &Facts, machine: &Machine) -> Option<Estimate> {
    match state {
        State::Finished | State::Failed => None,
        State::Waiting | State::Training | State::Stopped => {
            estimate(plan, facts, machine).filter(|estimate| estimate.seconds > 0.0)
        }
    }
}

/// Epochs of a segment with metrics: those are acknowledged.
pub(crate) fn epochs_done(segment: &Segment, facts: &Facts) -> u32 {
    let asked_for = |epoch: Epoch| segment.from() < epoch && epoch <= segment.until;
    let metrics = facts.get(&segment.key).map_or(&[][..], |facts| &facts.metrics);
    metrics.iter().filter(|metrics| asked_for(metrics.epoch)).count() as u32
}

pub(crate) fn state<'a>(
    plan: &Plan,
    facts: &Facts,
    stopped: bool,
    mut runs: impl Iterator<Item = &'a RunProgress> + Clone,
) -> State {
    let working = || plan.segments.iter().any(|segment| facts.get(&segment.key).is_some_and(|facts| facts.working));
    let ended = |run: &RunProgress| matches!(run.state, State::Finished | State::Failed);
    if runs.clone().all(|run| run.state == State::Finished) {
        State::Finished
    } else if stopped {
        State::Stopped
    } else if plan.is_of_another_version() || (runs.all(ended) && !working()) {
        State::Failed
    } else if working() {
        State::Training
    } else {
        State::Waiting
    }
}

/// Run by run, in the plan's order. A run is finished once all its epochs are trained and its last one is tested.
pub(crate) fn runs(plan: &Plan, facts: &Facts, stopped: bool) -> Vec<RunProgress> {
    let furthest = furthest(plan, facts);
    let works = |leg: &Leg| {
        let short = furthest.get(&leg.segment).is_none_or(|it| it.now < leg.until);
        short && facts.get(&leg.segment).is_some_and(|facts| facts.working)
    };
    // Trained to its end, and still to be tested there.
    let closes = |run: &Run, done: u32| {
        let last = run.legs.last().filter(|leg| done == leg.until.0);
        last.and_then(|leg| facts.get(&leg.segment)).is_some_and(|facts| facts.working)
    };
    let run_progress = |run: &Run| {
        let metrics = run_metrics(run, facts);
        let done = metrics.len() as u32;
        let lost = |leg: &Leg| furthest.get(&leg.segment).is_some_and(|it| it.ever < leg.until);
        let state = if result(run, &metrics).is_some() {
            State::Finished
        } else if plan.is_of_another_version() || run.legs.iter().any(lost) {
            State::Failed
        } else if stopped {
            State::Stopped
        } else if run.legs.iter().any(works) || closes(run, done) {
            State::Training
        } else {
            State::Waiting
        };
        let epochs_total = run.legs.last().map_or(0, |leg| leg.until.0);
        RunProgress { run: run.id.clone(), arm: run.arm, seed: run.seed.0, epochs_done: done, epochs_total, state }
    };
    plan.runs.iter().map(run_progress).collect()
}

/// How far a segment is, and how far it can come with the failures there are.
struct Furthest {
    now: Epoch,
    ever: Epoch,
}

fn furthest<'a>(plan: &'a Plan, facts: &Facts) -> BTreeMap<&'a SegmentKey, Furthest> {
    let mut furthest: BTreeMap<&SegmentKey, Furthest> = BTreeMap::new();
    for segment in &plan.segments {
        let now = Epoch(segment.from().0 + epochs_done(segment, facts));
        let its = facts.get(&segment.key);
        let failed = its.is_some_and(|facts| facts.failure.is_some() && !facts.working);
        let lacks = |need: &CheckpointId| furthest.get(&need.segment).is_none_or(|it| it.ever < need.epoch);
        let starved = now < segment.until && segment.needs().into_iter().any(lacks);
        let ever = if failed || starved { now } else { segment.until };
        furthest.insert(&segment.key, Furthest { now, ever });
    }
    furthest
}
