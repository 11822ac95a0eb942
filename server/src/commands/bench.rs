//! `stillroom bench`: how long a training step and an evaluation take here, and how much this machine multiplies at most.

use crate::{
    command_line::{BenchAugmentation, BenchNetwork, BenchProduct},
    error::CommandError,
    terminal::tell,
};
use serde_json::{Value, json};
use study::{Architecture, machine::fits};
use train::{
    TrainError, memory,
    speed::{self, BatchTime},
};

pub fn step(arguments: &BenchNetwork) -> Result<(), CommandError> {
    must_fit(arguments)?;
    network(arguments, "a step", speed::step_time)
}

pub fn evaluate(arguments: &BenchNetwork) -> Result<(), CommandError> {
    network(arguments, "an evaluation", speed::evaluation_time)
}

/// In memory, for a training step on colour images.
fn must_fit(arguments: &BenchNetwork) -> Result<(), CommandError> {
    let bytes = |batch| arguments.architecture.training_bytes(3, 32, 10, batch, arguments.threads);
    let Some(memory) = memory::bytes() else { return Ok(()) };
    fits(memory, arguments.architecture, arguments.batch, bytes, ["--architecture", "--batch"])
        .map_err(|too_large| CommandError::Study(vec![too_large.error]))
}

fn network(
    arguments: &BenchNetwork,
    what: &str,
    measure: fn(Architecture, usize, usize, Option<&str>) -> Result<BatchTime, TrainError>,
) -> Result<(), CommandError> {
    let time = measure(
        arguments.architecture,
        arguments.batch as usize,
        arguments.threads as usize,
        arguments.instruction_set.as_deref(),
    )?;
    if arguments.json {
        let object = json!({
            "milliseconds": milliseconds(&time),
            "images_per_second": time.images_per_second,
            "instruction_set": time.instruction_set,
        });
        println!("{object:#}");
        return Ok(());
    }
    println!(
        "{}: {:.2} ms {what} at best, {:.2} ms in the median, {:.0} images a second",
        how(arguments, &time),
        time.milliseconds_min,
        time.milliseconds_median,
        time.images_per_second
    );
    Ok(())
}

pub fn augmentation(arguments: &BenchAugmentation) -> Result<(), CommandError> {
    let BenchAugmentation { network, colour } = arguments;
    must_fit(network)?;
    let images = if *colour { speed::colour_images() } else { speed::grey_images() }?;
    let (batch, threads) = (network.batch as usize, network.threads as usize);
    let set = network.instruction_set.as_deref();
    let [drawn, step] = speed::augmentation_and_step_time(&images, network.architecture, batch, threads, set)?;
    if network.json {
        let object = json!({
            "milliseconds": milliseconds(&drawn),
            "step_milliseconds": milliseconds(&step),
            "instruction_set": step.instruction_set,
        });
        println!("{object:#}");
        return Ok(());
    }
    println!(
        "{}: {:.3} ms to draw and render a batch at best, {:.2} ms a step; {:.3} and {:.2} ms in the median",
        how(network, &step),
        drawn.milliseconds_min,
        step.milliseconds_min,
        drawn.milliseconds_median,
        step.milliseconds_median
    );
    Ok(())
}

fn milliseconds(time: &BatchTime) -> Value {
    json!({ "min": time.milliseconds_min, "median": time.milliseconds_median })
}

fn how(arguments: &BenchNetwork, time: &BatchTime) -> String {
    let threads = study::numbers::counted(arguments.threads.into(), "thread");
    format!("{}, batch {}, {threads}, {}", arguments.architecture, arguments.batch, time.instruction_set)
}

pub fn product(arguments: &BenchProduct) -> Result<(), CommandError> {
    let BenchProduct { threads, instruction_set, precision, .. } = arguments;
    let rate = speed::product_rate(*threads as usize, instruction_set.as_deref(), *precision)?;
    if arguments.json {
        let object = json!({
            "gflops": { "max": rate.gflops_max, "median": rate.gflops_median },
            "precision": precision.to_string(),
            "instruction_set": rate.instruction_set,
        });
        println!("{object:#}");
        return Ok(());
    }
    println!(
        "{}, {}, {precision}: {:.1} GFLOP/s at best, {:.1} in the median",
        study::numbers::counted((*threads).into(), "thread"),
        rate.instruction_set,
        rate.gflops_max,
        rate.gflops_median
    );
    Ok(())
}

/// [`study::Speed`], for whoever started this process.
pub fn speed_of_candle() -> Result<(), CommandError> {
    tell(&format!("{}\n", json!(speed::speed_of_candle()?)))
}
