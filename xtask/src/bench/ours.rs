//! Measurements that the program makes of itself: `stillroom bench`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

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
        let text = read(&mut self.command(work, case))?;
        let timed: Timed = serde_json::from_str(&text).context("`stillroom bench` should print a time as JSON")?;
        Ok(timed.milliseconds)
    }

    /// The call of one round.
    pub fn command(&self, work: Work, case: &Case) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["bench", work.name(), "--json"]).args(case.arguments());
        if case.avx2 {
            command.args(["--instruction-set", "avx2"]);
        }
        command
    }

    /// Billions of floating-point operations a second of a matrix product that lies in the first cache: two for each
    /// multiply-add.
    pub fn product_rate(&self, threads: u32, avx2: bool) -> Result<f64> {
        let mut command = Command::new(&self.binary);
        command.args(["bench", "product", "--threads", &threads.to_string(), "--json"]);
        if avx2 {
            command.args(["--instruction-set", "avx2"]);
        }
        let product: Product = serde_json::from_str(&read(&mut command)?)
            .context("`stillroom bench product` should print a rate as JSON")?;
        Ok(product.gflops.max)
    }
}
