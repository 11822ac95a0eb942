//! What this machine can do: found at start, measured once, kept in the data folder.

use crate::{
    datasets::{self, Available, DatasetPaths},
    executor::local::{CANDLE_THREADS, program},
    process::keep_what_was_freed,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};
use study::{DatasetSamples, Device, ImportedTeacher, Machine, Numerics, Speed, TRAINING_VERSION};
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

/// Where the speed of an engine on the CPU is kept in the data folder.
fn speed_file(numerics: Numerics) -> &'static str {
    match numerics {
        Numerics::CpuF32 => "speed.json",
        Numerics::CandleF32 => "candle-speed.json",
    }
}

/// Threads that are busy at once while it is measured, of those that may train: candle is measured alone.
fn busy(numerics: Numerics, threads: u32) -> u32 {
    match numerics {
        Numerics::CpuF32 => threads,
        Numerics::CandleF32 => 1,
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
        speed: read_speed(data_dir, Numerics::CpuF32, &instruction_set, threads),
        speed_of_candle: read_speed(data_dir, Numerics::CandleF32, &instruction_set, threads),
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

fn read_speed(data_dir: &Path, numerics: Numerics, instruction_set: &str, threads: u32) -> Option<Speed> {
    let kept = kept_speed(data_dir, numerics, instruction_set)?;
    (kept.threads == busy(numerics, threads)).then_some(kept.speed)
}

/// What this program measured, however many threads were busy.
fn kept_speed(data_dir: &Path, numerics: Numerics, instruction_set: &str) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&fs::read(data_dir.join(speed_file(numerics))).ok()?).ok()?;
    (kept.version == version() && kept.instruction_set == instruction_set).then_some(kept)
}

/// The machine as the server of this data folder has it, where that was told to use so many threads and measured them: for whoever asks
/// what a study will take, and says nothing of threads.
pub fn as_the_server(machine: Machine, data_dir: &Path) -> Machine {
    match kept_speed(data_dir, Numerics::CpuF32, &machine.instruction_set) {
        Some(Kept { threads, speed, .. }) => Machine { threads, speed: Some(speed), ..machine },
        None => machine,
    }
}

/// Other bits are trained at another speed.
fn version() -> String {
    format!("{}, training version {TRAINING_VERSION}", env!("CARGO_PKG_VERSION"))
}

/// The machine with the speed of a thread: measured where it was not yet, which takes some seconds, and kept in `keep_in`
/// (`None`: for this once). That of candle on the CPU is measured only where it is needed: it takes some seconds more. A folder that
/// cannot be written to only means measuring again next time; without a speed no time is estimated.
pub fn measured(machine: Machine, needs_candle: bool, keep_in: Option<&Path>) -> Machine {
    let lacks_candle = needs_candle && machine.speed_of_candle.is_none();
    if machine.speed.is_none() || lacks_candle {
        let once = if keep_in.is_some() { ", once" } else { "" };
        eprintln!("Measuring how fast this machine trains{once}; it takes some seconds.");
    }
    let speed = machine.speed.or_else(|| measure(&machine, Numerics::CpuF32, keep_in));
    let speed_of_candle = match lacks_candle {
        true => measure(&machine, Numerics::CandleF32, keep_in),
        false => machine.speed_of_candle,
    };
    Machine { speed, speed_of_candle, ..machine }
}

/// Measures the speed of a thread by an engine on the CPU, for some seconds, and keeps it in `keep_in`. `None`, and a warning, where that
/// fails.
pub fn measure(machine: &Machine, numerics: Numerics, keep_in: Option<&Path>) -> Option<Speed> {
    let measured = match numerics {
        Numerics::CpuF32 => train::speed::speed(machine.threads).map_err(io::Error::other),
        Numerics::CandleF32 => speed_of_candle(),
    };
    let speed = match measured {
        Ok(speed) => speed,
        Err(error) => {
            tracing::warn!(%error, "the speed of this machine is not known: no time is estimated");
            return None;
        }
    };
    let keep = |folder| write_speed(folder, numerics, &machine.instruction_set, machine.threads, speed);
    if let Some(Err(error)) = keep_in.map(keep) {
        tracing::warn!(%error, "the measured speed is not kept");
    }
    Some(speed)
}

/// By a process of its own: what it takes of memory is given back, and candle has one thread in it.
fn speed_of_candle() -> io::Result<Speed> {
    let mut measuring = Command::new(program()?);
    measuring.args(["bench", "candle-speed"]).env(CANDLE_THREADS, "1").stdin(Stdio::null());
    keep_what_was_freed(&mut measuring);
    let measured = measuring.output()?;
    if !measured.status.success() {
        let said = String::from_utf8_lossy(&measured.stderr);
        return Err(io::Error::other(format!("measuring it failed: {} {}", measured.status, said.trim())));
    }
    Ok(serde_json::from_slice(&measured.stdout)?)
}

fn write_speed(
    data_dir: &Path,
    numerics: Numerics,
    instruction_set: &str,
    threads: u32,
    speed: Speed,
) -> io::Result<()> {
    let threads = busy(numerics, threads);
    let kept = Kept { version: version(), instruction_set: instruction_set.into(), threads, speed };
    fs::write(data_dir.join(speed_file(numerics)), serde_json::to_vec_pretty(&kept)?)
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
        let read = |numerics, instruction_set, threads| read_speed(folder.path(), numerics, instruction_set, threads);
        let [by_hand, candle] = [Numerics::CpuF32, Numerics::CandleF32];
        assert_eq!(read(by_hand, "avx2", 2), None);
        write_speed(folder.path(), by_hand, "avx2", 2, speed).expect("it is written");
        assert_eq!(read(by_hand, "avx2", 2), Some(speed));
        assert_eq!(read(candle, "avx2", 2), None);
        assert_eq!((read(by_hand, "avx512", 2), read(by_hand, "avx2", 1)), (None, None));
        // Who only asks is answered as the server would, with its threads.
        let (machine, _) = find(folder.path(), &DatasetPaths::new(), Notes::None, Some(7), 0);
        let of = |set: &str| Machine { instruction_set: set.into(), speed: None, ..machine.clone() };
        let known = as_the_server(of("avx2"), folder.path());
        assert_eq!((known.threads, known.speed), (2, Some(speed)));
        assert_eq!(as_the_server(of("avx512"), folder.path()), of("avx512"));
        fs::write(folder.path().join("speed.json"), b"{").expect("it is written");
        assert_eq!(read(by_hand, "avx2", 2), None);
        // However many threads may train.
        write_speed(folder.path(), candle, "avx2", 2, speed).expect("it is written");
        assert_eq!((read(candle, "avx2", 2), read(candle, "avx2", 16)), (Some(speed), Some(speed)));
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
