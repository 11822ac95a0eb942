//! What a plan costs on this machine.

use crate::{DatasetFacts, Plan, metrics::Facts};
use serde::{Deserialize, Serialize};

/// What this machine can do, measured, and which data it has: known before the plan is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Workers that may train side by side.
    pub threads: u32,
    /// Multiply-accumulates a second of one thread in training steps (forward and backward count 3 forward passes). `None`: not measured yet.
    pub multiply_accumulates_per_second: Option<f64>,
    pub instruction_set: String,
    /// GPUs that can be used: "cuda:0". Empty: `auto` is the CPU.
    pub devices: Vec<String>,
    /// Data sets found and read.
    pub datasets: Vec<DatasetFacts>,
    /// What a person should know before planning: "No GPU was found (…): training runs on the CPU."
    pub notice: Option<String>,
}

/// Wall time on this machine, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub seconds: f64,
}

/// Time for what `facts` leave to be trained; with empty facts, for the whole plan. `None` where the speed is not known.
pub fn estimate(plan: &Plan, facts: &Facts, machine: &Machine) -> Option<Estimate> {
    let _ = (plan, facts, machine);
    todo!()
}
