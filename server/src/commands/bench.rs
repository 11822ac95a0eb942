//! `stillroom bench`: how long a training step and an evaluation take here, and how much this machine multiplies at most.

use crate::{
    command_line::{BenchNetwork, BenchProduct},
    error::CommandError,
    machine,
};
use serde_json::json;
use study::machine::fits;
use train::{TrainError, speed::NetworkTime};

pub fn step(arguments: &BenchNetwork) -> Result<(), CommandError> {
    let bytes = |batch| arguments.architecture.training_bytes(3, 32, 10, batch, arguments.threads);
    if let Some(memory) = machine::memory() {
        fits(memory, arguments.architecture, arguments.batch, bytes, ["--architecture", "--batch"])
            .map_err(|too_large| CommandError::Study(vec![too_large.error]))?;
    }
    network(arguments, "a step", train::speed::step_time)
}

pub fn evaluate(arguments: &BenchNetwork) -> Result<(), CommandError> {
    network(arguments, "an evaluation", train::speed::evaluation_time)
}

fn network(
    arguments: &BenchNetwork,
    what: &str,
    measure: fn(study::Architecture, usize, usize, Option<&str>) -> Result<NetworkTime, TrainError>,
) -> Result<(), CommandError> {
    let time = measure(
        arguments.architecture,
        arguments.batch as usize,
        arguments.threads as usize,
        arguments.instruction_set.as_deref(),
    )?;
    if arguments.json {
        let object = json!({
            "milliseconds": { "min": time.milliseconds_min, "median": time.milliseconds_median },
            "images_per_second": time.images_per_second,
            "instruction_set": time.instruction_set,
        });
        println!("{object:#}");
        return Ok(());
    }
    println!(
        "{}, batch {}, {}, {}: {:.2} ms {what} at best, {:.2} ms in the median, {:.0} images a second",
        arguments.architecture,
        arguments.batch,
        study::numbers::counted(arguments.threads.into(), "thread"),
        time.instruction_set,
        time.milliseconds_min,
        time.milliseconds_median,
        time.images_per_second
    );
    Ok(())
}

pub fn product(arguments: &BenchProduct) -> Result<(), CommandError> {
    let rate = train::speed::product_rate(arguments.threads as usize, arguments.instruction_set.as_deref())?;
    if arguments.json {
        let object = json!({
            "gflops": { "max": rate.gflops_max, "median": rate.gflops_median },
            "instruction_set": rate.instruction_set,
        });
        println!("{object:#}");
        return Ok(());
    }
    println!(
        "{}, {}: {:.1} GFLOP/s at best, {:.1} in the median",
        study::numbers::counted(arguments.threads.into(), "thread"),
        rate.instruction_set,
        rate.gflops_max,
        rate.gflops_median
    );
    Ok(())
}
