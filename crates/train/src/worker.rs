//! A worker is a process with a folder: it reads `segment.json`, tells what happens in `events.jsonl`, leaves checkpoints, and
//! exits. It needs no network and no database, and may be killed at any instant.

use crate::TrainError;
use crate::dataset::{self, Images};
use crate::engine::{instruction_set, resolve};
use crate::folder::{EventLog, is_asked_to_leave, is_locked, lock, read_job};
use crate::segment::{Ended, train};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use study::{Device, Epoch, Event, Failure, Job, Provenance, TRAINING_VERSION};

/// How a worker ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All that was asked for is there.
    Finished,
    /// Asked to leave; a checkpoint covers what was acknowledged.
    Left,
    /// It cannot go on, and the folder says why.
    Failed(Failure),
}

/// Trains the segment of `folder` until it is finished, fails, or is asked to leave by a `stop` file, SIGTERM or SIGINT.
///
/// # Errors
/// Where it could not even begin to tell: another worker has the folder, or `segment.json` or `events.jsonl` cannot be read or
/// written. All else is told in the folder and is an [`Outcome`].
pub fn work(folder: &Path) -> Result<Outcome, TrainError> {
    let Some(_lock) = lock(folder)? else {
        return Err(TrainError::Job { path: folder.into(), problem: "another worker is at work here".into() });
    };
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&asked)).map_err(|source| TrainError::Io {
            doing: "listen for signals in",
            path: folder.into(),
            source,
        })?;
    }
    let job = read_job(folder)?;
    let mut log = EventLog::open(folder)?;
    let leave = || asked.load(Ordering::Relaxed) || is_asked_to_leave(folder);
    let outcome = match run(folder, &job, &mut log, &leave) {
        Ok(Ended::Finished(epoch)) => {
            log.append(&Event::Finished { epoch })?;
            Outcome::Finished
        }
        Ok(Ended::Left(epoch)) => {
            log.append(&Event::Left { epoch })?;
            Outcome::Left
        }
        Err(error) => {
            let failure = failure(&job, &error);
            log.append(&Event::Failed(failure.clone()))?;
            Outcome::Failed(failure)
        }
    };
    Ok(outcome)
}

/// Whether a worker is alive in the folder, whoever started it.
pub fn is_working(folder: &Path) -> bool {
    is_locked(folder)
}

fn run(folder: &Path, job: &Job, log: &mut EventLog, leave: &dyn Fn() -> bool) -> Result<Ended, TrainError> {
    let provenance = provenance(job);
    log.append(&Event::Started {
        version: Job::VERSION,
        epoch: job.segment.from(),
        provenance: provenance.clone(),
        process: std::process::id(),
    })?;
    let images = images(job)?;
    train(folder, job, &images, &provenance, log, leave)
}

/// The segment's images, which must be those it was planned for.
fn images(job: &Job) -> Result<Images, TrainError> {
    let planned = &job.segment.dataset;
    let path = job.dataset_path.as_deref().map(Path::new);
    let images = dataset::load(planned.dataset, path, Some(planned.validation))?;
    if images.facts != *planned {
        return Err(TrainError::Dataset {
            path: path.unwrap_or(Path::new(planned.dataset.name())).into(),
            problem: "is not the data that this segment was planned for: its files changed since".into(),
        });
    }
    Ok(images)
}

fn provenance(job: &Job) -> Provenance {
    let (device, _) = resolve(job.device);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_string())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "unknown".into());
    Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        training_version: TRAINING_VERSION,
        host,
        instruction_set: if device == Device::Cpu { instruction_set() } else { "gpu".into() },
        threads: job.threads.max(1),
        device: String::from(device),
        data_checksum: job.segment.dataset.checksum.clone(),
    }
}

fn failure(job: &Job, error: &TrainError) -> Failure {
    let epoch = match error {
        TrainError::NonFinite { epoch, .. } => *epoch,
        _ => job.segment.from().max(Epoch(0)),
    };
    let may_succeed_again = match error {
        TrainError::Io { .. }
        | TrainError::Dataset { .. }
        | TrainError::Checkpoint { .. }
        | TrainError::Device { .. } => true,
        TrainError::NonFinite { .. }
        | TrainError::Job { .. }
        | TrainError::Weights { .. }
        | TrainError::Kernel(_)
        | TrainError::Tensor(_) => false,
    };
    Failure { epoch, reason: error.to_string(), may_succeed_again }
}
