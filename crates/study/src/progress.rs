//! How far a study is, derived from facts.

use crate::{Estimate, Failure, Machine, Plan, RunId, metrics::Facts};
use serde::{Deserialize, Serialize};

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
    /// Some run cannot go on, and no other can either.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub state: State,
    pub epochs_done: u64,
    pub epochs_total: u64,
    pub runs: Vec<RunProgress>,
    /// From this machine's measured speed and what is left; `None` where nothing was measured, or nothing is left.
    pub left: Option<Estimate>,
    pub failures: Vec<Failure>,
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

/// `stopped`: a person asked for it to stop.
pub fn progress(plan: &Plan, facts: &Facts, stopped: bool, machine: &Machine) -> Progress {
    let _ = (plan, facts, stopped, machine);
    todo!()
}
