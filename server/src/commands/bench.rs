//! `stillroom bench step`: how long a training step takes here.

use crate::{command_line::BenchStep, error::CommandError, machine};
use serde_json::json;
use study::machine::fits;

pub fn step(arguments: &BenchStep) -> Result<(), CommandError> {
    let bytes = |batch| arguments.architecture.training_bytes(3, 32, 10, batch, arguments.threads);
    if let Some(memory) = machine::memory() {
        fits(memory, arguments.architecture, arguments.batch, bytes, ["--architecture", "--batch"])
            .map_err(|too_large| CommandError::Study(vec![too_large.error]))?;
    }
    let time = train::speed::step_time(
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
        "{}, batch {}, {}, {}: {:.2} ms a step at best, {:.2} ms in the median, {:.0} images a second",
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
