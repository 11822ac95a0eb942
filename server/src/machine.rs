//! What this machine can do: found at start, measured once, kept in the data folder.

use crate::datasets::{self, Available, DatasetPaths};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};
use study::{Architecture, DatasetFacts, DatasetSamples, Device, ImportedTeacher, Machine, Speed, TRAINING_VERSION};
use train::{TrainError, dataset::Notes, memory};

/// A measured speed, in a file of the data folder.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Another program may be faster: its speed is measured anew.
    version: String,
    instruction_set: String,
    /// Threads that were busy at once.
    threads: u32,
    #[serde(flatten)]
    speed: Speed,
}

/// Where the speed of an engine is kept in the data folder.
#[derive(Clone, Copy)]
enum Engine {
    HandWritten,
    Candle,
}

impl Engine {
    fn file(self) -> &'static str {
        match self {
            Engine::HandWritten => "speed.json",
            Engine::Candle => "candle-speed.json",
        }
    }
}

/// What is known at once, and what its data sets look like, which are read where `notes` say nothing of them. The speed is there if it
/// was measured before.
pub fn find(
    data_dir: &Path,
    paths: &DatasetPaths,
    notes: Notes<'_>,
    threads: Option<u32>,
    teacher_logits_limit: u64,
) -> (Machine, Vec<DatasetSamples>) {
    let Available { found, samples, unusable } = datasets::available(paths, notes);
    let instruction_set = train::engine::instruction_set();
    let threads = threads.unwrap_or_else(all_threads);
    let machine = Machine {
        threads,
        speed: read_speed(data_dir, Engine::HandWritten, &instruction_set, threads),
        candle_speed: read_speed(data_dir, Engine::Candle, &instruction_set, threads),
        instruction_set,
        memory: memory::bytes(),
        teacher_logits_limit,
        devices: train::engine::devices(),
        no_gpu: no_gpu(),
        datasets: found,
        unusable,
        imported: imported(data_dir),
    };
    (machine, samples)
}

/// Teachers that were brought into the data folder. Where that cannot be read, none.
pub fn imported(data_dir: &Path) -> Vec<ImportedTeacher> {
    let found = train::imported::list(data_dir);
    found.inspect_err(|error| tracing::warn!(%error, "imported teachers could not be read")).unwrap_or_default()
}

/// Why no GPU can be used; `None` where one can.
fn no_gpu() -> Option<String> {
    match train::engine::numerics(Device::Cuda(0)) {
        Ok(_) => None,
        Err(TrainError::Device { problem, .. }) => Some(problem),
        Err(error) => Some(error.to_string()),
    }
}

fn all_threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |threads| threads.get() as u32)
}

fn read_speed(data_dir: &Path, engine: Engine, instruction_set: &str, threads: u32) -> Option<Speed> {
    let kept: Kept = serde_json::from_slice(&fs::read(data_dir.join(engine.file())).ok()?).ok()?;
    let ours = kept.version == version() && kept.instruction_set == instruction_set && kept.threads == threads;
    ours.then_some(kept.speed)
}

/// Other bits are trained at another speed.
fn version() -> String {
    format!("{}, training version {TRAINING_VERSION}", env!("CARGO_PKG_VERSION"))
}

/// The machine with the speed of a thread: measured where it was not yet, which takes some seconds, and kept in `keep_in`
/// (`None`: for this once). That of candle on the CPU is measured only where it is needed: it takes some seconds more. A folder that
/// cannot be written to only means measuring again next time; without a speed no time is estimated.
pub fn measured(machine: Machine, needs_candle: bool, keep_in: Option<&Path>) -> Machine {
    let lacks_candle = needs_candle && machine.candle_speed.is_none();
    if machine.speed.is_none() || lacks_candle {
        let once = if keep_in.is_some() { ", once" } else { "" };
        eprintln!("Measuring how fast this machine trains{once}; it takes some seconds.");
    }
    let measure = |engine: Engine, speed: Result<Speed, TrainError>| {
        let keep = |speed: &Speed| match keep_in {
            Some(folder) => write_speed(folder, engine, &machine.instruction_set, machine.threads, *speed),
            None => Ok(()),
        };
        match speed.as_ref().map(keep) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the measured speed is not kept"),
            Err(error) => tracing::warn!(%error, "the speed of this machine is not known: no time is estimated"),
        }
        speed.ok()
    };
    let hand_written = || measure(Engine::HandWritten, train::speed::speed(machine.threads));
    let speed = machine.speed.or_else(hand_written);
    let candle_speed = match lacks_candle {
        true => measure(Engine::Candle, train::speed::candle_speed()),
        false => machine.candle_speed,
    };
    Machine { speed, candle_speed, ..machine }
}

/// Whether images are here that networks see which candle trains on the CPU.
pub fn may_need_candle(machine: &Machine) -> bool {
    let sees =
        |images: &DatasetFacts| Architecture::ImageNetResNet { depth: 18 }.image_sizes().contains(&images.image_size);
    machine.devices.is_empty() && machine.datasets.iter().any(sees)
}

fn write_speed(data_dir: &Path, engine: Engine, instruction_set: &str, threads: u32, speed: Speed) -> io::Result<()> {
    let kept = Kept { version: version(), instruction_set: instruction_set.into(), threads, speed };
    fs::write(data_dir.join(engine.file()), serde_json::to_vec_pretty(&kept)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::cost::Pace;

    #[test]
    fn a_speed_is_kept_for_this_program_and_instruction_set_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pace = Pace { seconds_per_multiply_accumulate: 1e-10, seconds_per_activation: 0.1 + 0.2 };
        let speed = Speed { step: pace, evaluation: pace };
        let read = |engine, instruction_set, threads| read_speed(folder.path(), engine, instruction_set, threads);
        assert_eq!(read(Engine::HandWritten, "avx2", 2), None);
        write_speed(folder.path(), Engine::HandWritten, "avx2", 2, speed).expect("it is written");
        assert_eq!(read(Engine::HandWritten, "avx2", 2), Some(speed));
        assert_eq!(read(Engine::Candle, "avx2", 2), None);
        assert_eq!((read(Engine::HandWritten, "avx512", 2), read(Engine::HandWritten, "avx2", 1)), (None, None));
        fs::write(folder.path().join("speed.json"), b"{").expect("it is written");
        assert_eq!(read(Engine::HandWritten, "avx2", 2), None);
    }

    #[test]
    fn what_a_person_should_know_is_said_in_sentences() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let paths = DatasetPaths::from([(study::Dataset::Mnist, folder.path().to_owned())]);
        let (machine, _) = find(folder.path(), &paths, Notes::None, Some(3), 0);
        let notice = machine.notice().expect("a damaged data set is told");
        assert!(notice.contains("mnist cannot be used: "), "{notice}");
        assert!(notice.ends_with('.') && !notice.contains(".."), "{notice}");
        if let Some(no_gpu) = &machine.no_gpu {
            assert!(notice.starts_with(&format!("Training runs on the CPU: {no_gpu}. mnist ")), "{notice}");
        }
        assert_eq!(machine.no_gpu.is_none(), !machine.devices.is_empty());
    }
}
