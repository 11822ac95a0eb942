//! What this machine can do: found at start, measured once, kept in the data folder.

use crate::datasets::{self, DatasetPaths};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};
use study::{Device, Machine, Numerics, SpecError};

/// A measured speed, in `DATA_DIR/speed.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Speed {
    /// Another program may be faster: its speed is measured anew.
    version: String,
    instruction_set: String,
    multiply_accumulates_per_second: f64,
}

/// What is known at once. The speed is there if it was measured before.
pub fn find(data_dir: &Path, paths: &DatasetPaths, threads: Option<u32>) -> Machine {
    let (found, damaged) = datasets::available(paths);
    let (_, no_gpu) = train::engine::resolve(Device::Auto);
    let notices: Vec<String> = no_gpu.into_iter().chain(damaged).collect();
    let instruction_set = train::engine::instruction_set();
    Machine {
        threads: threads.unwrap_or_else(all_threads),
        multiply_accumulates_per_second: read_speed(data_dir, &instruction_set),
        instruction_set,
        devices: train::engine::devices(),
        datasets: found,
        notice: Some(notices.join(" ")).filter(|notice| !notice.is_empty()),
    }
}

fn all_threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |threads| threads.get() as u32)
}

fn read_speed(data_dir: &Path, instruction_set: &str) -> Option<f64> {
    let speed: Speed = serde_json::from_slice(&fs::read(data_dir.join("speed.json")).ok()?).ok()?;
    let ours = speed.version == env!("CARGO_PKG_VERSION") && speed.instruction_set == instruction_set;
    Some(speed.multiply_accumulates_per_second).filter(|speed| ours && speed.is_finite() && *speed > 0.0)
}

/// Measures the speed of one thread, which takes about half a second, and keeps it. A folder that cannot be written to only
/// means measuring again next time.
pub fn measure(data_dir: &Path, instruction_set: &str) -> Result<f64, train::TrainError> {
    let speed = train::speed::multiply_accumulates_per_second()?;
    if let Err(error) = write_speed(data_dir, instruction_set, speed) {
        tracing::warn!(%error, "the measured speed is not kept");
    }
    Ok(speed)
}

fn write_speed(data_dir: &Path, instruction_set: &str, multiply_accumulates_per_second: f64) -> io::Result<()> {
    let speed = Speed {
        version: env!("CARGO_PKG_VERSION").into(),
        instruction_set: instruction_set.into(),
        multiply_accumulates_per_second,
    };
    fs::write(data_dir.join("speed.json"), serde_json::to_vec_pretty(&speed)?)
}

/// Which arithmetic trains on a study's device.
///
/// # Errors
/// Field `recipe.device`: a GPU that is not there.
pub fn numerics(device: Device) -> Result<Numerics, SpecError> {
    let (resolved, _) = train::engine::resolve(device);
    let there = match resolved {
        Device::Auto | Device::Cpu => true,
        Device::Cuda(_) => train::engine::devices().contains(&String::from(resolved)),
    };
    let refuse = |problem: String| SpecError {
        field: "recipe.device".into(),
        problem,
        given: String::from(device),
        allowed: ["auto".to_owned(), "cpu".to_owned()]
            .into_iter()
            .chain(train::engine::devices())
            .collect::<Vec<_>>()
            .join(", "),
    };
    if !there {
        return Err(refuse("is not on this machine, or its driver is not".into()));
    }
    train::engine::numerics(resolved).map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_kept_for_this_program_and_instruction_set_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(read_speed(folder.path(), "avx2"), None);
        write_speed(folder.path(), "avx2", 2e10).expect("it is written");
        assert_eq!(read_speed(folder.path(), "avx2"), Some(2e10));
        assert_eq!(read_speed(folder.path(), "avx512"), None);
        fs::write(folder.path().join("speed.json"), b"{").expect("it is written");
        assert_eq!(read_speed(folder.path(), "avx2"), None);
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_of_that_field() {
        let error = numerics(Device::Cuda(97)).expect_err("no machine has 98 of them");
        assert_eq!((error.field.as_str(), error.given.as_str()), ("recipe.device", "cuda:97"));
        assert!(error.allowed.starts_with("auto, cpu"), "{error}");
    }
}
