//! A worker is a process with a folder: it reads `segment.json`, tells what happens in `events.jsonl`, leaves checkpoints, and
//! exits. It needs no network and no database, and may be killed at any instant.

use crate::TrainError;
use crate::checkpoint::{self, Inventory};
use crate::course::{Course, Next};
use crate::dataset::{self, Images};
use crate::engine::{instruction_set, resolve};
use crate::folder::{self, EventLog, images_path, is_asked_to_leave, lock, read_events, read_job};
use crate::segment::{Ended, train};
use kernels::KernelError;
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use study::{Device, Epoch, Event, Failure, Job, Numerics, Provenance, TRAINING_VERSION};

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

/// Trains the segment of `folder` until it is finished, fails, or is asked to leave by a `stop` file, SIGTERM or SIGINT. Then it
/// leaves at the next step, and gives up the part of an epoch that it has.
///
/// # Errors
/// Where it could not even begin to tell: another worker has the folder, or `segment.json` or `events.jsonl` cannot be read or
/// written. All else is told in the folder and is an [`Outcome`].
pub fn work(folder: &Path) -> Result<Outcome, TrainError> {
    let signals = Signals::listen(folder)?;
    work_until(folder, &|| signals.asked.load(Ordering::Relaxed))
}

/// As [`work`], with another wish to leave than a signal's; the `stop` file counts too.
pub fn work_until(folder: &Path, wish: &dyn Fn() -> bool) -> Result<Outcome, TrainError> {
    let Some(_lock) = lock(folder)? else {
        return Err(TrainError::Job { path: folder.into(), problem: "another worker is at work here".into() });
    };
    let leave = || wish() || is_asked_to_leave(folder);
    let job = read_job(folder)?;
    let mut log = EventLog::open(folder)?;
    let (told, _) = read_events(folder, 0)?;
    let Inventory { held, damaged } = match checkpoint::inventory(folder) {
        Ok(inventory) => inventory,
        Err(error) => return fail(&mut log, job.segment.from(), &error),
    };
    let mut course = Course::new(&job, &told, held);
    let ended = begin(folder, &job, &mut course, damaged, &mut log)
        .and_then(|provenance| Ok((provenance, images(&job, &mut log)?)))
        .and_then(|(provenance, images)| train(folder, &job, &mut course, &images, &provenance, &mut log, &leave));
    let epoch = course.covered();
    match ended {
        Ok(Ended::Finished) => {
            log.append(&Event::Finished { epoch: job.segment.until })?;
            Ok(Outcome::Finished)
        }
        Ok(Ended::Left) => {
            log.append(&Event::Left { epoch })?;
            Ok(Outcome::Left)
        }
        Err(error) => fail(&mut log, epoch, &error),
    }
}

/// Whether a worker is alive in the folder, whoever started it.
pub fn is_working(folder: &Path) -> bool {
    folder::is_locked(folder)
}

/// Says that it begins and from where, and what it found that is not as it was left. Removes checkpoints that cannot be used.
fn begin(
    folder: &Path,
    job: &Job,
    course: &mut Course<'_>,
    damaged: Vec<(Epoch, String)>,
    log: &mut EventLog,
) -> Result<Provenance, TrainError> {
    let provenance = provenance(job);
    let epoch = match course.next(None) {
        Next::Train { after } => after,
        Next::Evaluate { .. } | Next::Finished => course.covered(),
    };
    let process = std::process::id();
    log.append(&Event::Started { version: Job::VERSION, epoch, provenance: provenance.clone(), process })?;
    let known: BTreeSet<Epoch> = damaged.iter().map(|(epoch, _)| *epoch).chain(course.held.keys().copied()).collect();
    let missing = course.promised().filter(|epoch| !known.contains(epoch));
    let missing: Vec<_> = missing.map(|epoch| (epoch, "it is not there any more".to_string())).collect();
    for (lost, problem) in damaged.into_iter().chain(missing) {
        let message =
            format!("The checkpoint of epoch {lost} cannot be used ({problem}): going on from epoch {epoch}.");
        log.append(&Event::Note { message })?;
        course.take_back(&[lost]);
        log.append(&Event::Pruned { epochs: vec![lost] })?;
        checkpoint::remove(folder, lost)?;
    }
    Ok(provenance)
}

/// The segment's images, which must be those it was planned for.
fn images(job: &Job, log: &mut EventLog) -> Result<Images, TrainError> {
    let planned = &job.segment.dataset;
    let path = job.dataset_path.as_deref().map(Path::new);
    let (images, note) = match &job.shared_folder {
        Some(shared) => dataset::shared(&images_path(Path::new(shared)), planned, path)?,
        None => (dataset::load(planned.dataset, path, Some(planned.validation))?, None),
    };
    if let Some(message) = note {
        log.append(&Event::Note { message })?;
    }
    if images.facts != *planned {
        return Err(TrainError::Dataset {
            path: path.map_or_else(|| planned.dataset.to_string().into(), Path::to_owned),
            problem: "is not the data that this segment was planned for: its files changed since".into(),
        });
    }
    Ok(images)
}

/// What this machine calls itself, where it says so.
pub fn host() -> Option<String> {
    let said = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(said.trim().to_owned()).filter(|name| !name.is_empty())
}

fn provenance(job: &Job) -> Provenance {
    let (device, _) = resolve(job.device);
    let host = host().unwrap_or_else(|| "unknown".into());
    let instruction_set = match (job.segment.numerics, device) {
        (Numerics::CpuF32, _) => instruction_set(),
        (Numerics::CandleF32, Device::Cuda(_)) => "gpu".into(),
        (Numerics::CandleF32, _) => "candle".into(),
    };
    Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        training_version: TRAINING_VERSION,
        host,
        instruction_set,
        threads: job.threads.max(1),
        device: String::from(device),
        data_checksum: job.segment.dataset.checksum.clone(),
    }
}

/// `covered`: epochs complete that a checkpoint covers.
fn fail(log: &mut EventLog, covered: Epoch, error: &TrainError) -> Result<Outcome, TrainError> {
    let epoch = match error {
        TrainError::NonFinite { epoch, .. } => *epoch,
        _ => covered,
    };
    let may_succeed_again = match error {
        TrainError::Io { .. }
        | TrainError::Dataset { .. }
        | TrainError::Checkpoint { .. }
        | TrainError::Device { .. }
        // Most often a device's memory is full, or the system has no room for another thread.
        | TrainError::Tensor(_)
        | TrainError::Kernel(KernelError::Spawn { .. }) => true,
        // The same segment would come to the same.
        TrainError::NonFinite { .. }
        | TrainError::Job { .. }
        | TrainError::Weights { .. }
        | TrainError::Kernel(_) => false,
    };
    let failure = Failure { epoch, reason: error.to_string(), may_succeed_again };
    log.append(&Event::Failed(failure.clone()))?;
    Ok(Outcome::Failed(failure))
}

/// SIGTERM and SIGINT, heard for as long as a worker works.
struct Signals {
    asked: Arc<AtomicBool>,
    registered: Vec<SigId>,
}

impl Signals {
    fn listen(folder: &Path) -> Result<Signals, TrainError> {
        let mut signals = Signals { asked: Arc::new(AtomicBool::new(false)), registered: Vec::new() };
        for signal in [SIGTERM, SIGINT] {
            let registered = signal_hook::flag::register(signal, Arc::clone(&signals.asked));
            signals.registered.push(registered.map_err(|source| TrainError::Io {
                doing: "listen for signals in",
                path: folder.into(),
                source,
            })?);
        }
        Ok(signals)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for registered in self.registered.drain(..) {
            signal_hook::low_level::unregister(registered);
        }
    }
}
