//! Measurements that the program makes of itself: `stillroom bench`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::steps::{Case, Work};
use crate::workspace::read;

/// The built program.
pub struct Ours {
    pub binary: PathBuf,
}

/// Of one round, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Time {
    pub min: f64,
}

/// What both sides print of one round.
#[derive(Deserialize)]
pub struct Timed {
    pub milliseconds: Time,
}

#[derive(Deserialize)]
struct Augmentation {
    milliseconds: Time,
    step_milliseconds: Time,
}

#[derive(Deserialize)]
struct Product {
    gflops: Rate,
}

#[derive(Deserialize)]
struct Rate {
    max: f64,
}

impl Ours {
    /// One round: three steps to warm up, then at least a second and five steps.
    pub fn time(&self, work: Work, case: &Case) -> Result<Time> {
        Ok(told::<Timed>(&mut self.command(work, case))?.milliseconds)
    }

    /// The call of one round.
    pub fn command(&self, work: Work, case: &Case) -> Command {
        let mut command = self.bench(work.name(), case.avx2);
        command.args(case.arguments());
        command
    }

    /// One round, as [`Ours::time`]: drawing and rendering a batch's views, and the step that they are for. `colour`: of random
    /// 32×32×3 images, not of the built-in ones.
    pub fn augmentation_and_step(&self, case: &Case, colour: bool) -> Result<[Time; 2]> {
        let mut command = self.bench("augmentation", case.avx2);
        command.args(case.arguments()).args(colour.then_some("--colour"));
        let Augmentation { milliseconds, step_milliseconds } = told(&mut command)?;
        Ok([milliseconds, step_milliseconds])
    }

    /// Billions of floating-point operations a second of a matrix product that lies in the first cache: two for each
    /// multiply-add. `precision`: "fp32" or "bf16".
    pub fn product_rate(&self, threads: u32, avx2: bool, precision: &str) -> Result<f64> {
        let mut command = self.bench("product", avx2);
        command.args(["--threads", &threads.to_string(), "--precision", precision]);
        Ok(told::<Product>(&mut command)?.gflops.max)
    }

    fn bench(&self, what: &str, avx2: bool) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["bench", what, "--json"]);
        if avx2 {
            command.args(["--instruction-set", "avx2"]);
        }
        command
    }
}

fn told<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    serde_json::from_str(&read(command)?).context("`stillroom bench` should print what it measured as JSON")
}
