//! What workers say, and how they end: read into the store as it comes.

use super::{Bench, Ending, Runner, RunnerError, Worker, are_whole, ask_to_leave, facts, needs};
use crate::{
    data_folder::segment_folder,
    executor::local::{self, Process},
    next_work::is_done,
};
use std::{collections::BTreeSet, fs, io, path::Path};
use store::StoreError;
use study::{CheckpointFile, Event, Failure, Kept, SegmentKey};
use tokio::task;

/// A worker that dies without a word is started again from its last checkpoint, this often in a row without a new one.
const DEATHS_MAX: u32 = 5;

/// Reads what lies in the folders: of workers that are alive, of those that ended unheard, and of segments that nobody plans.
pub(super) async fn take_up(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    let segments = runner.data_dir.join("segments");
    let failed = |source| RunnerError::Io { doing: "list", path: segments.clone(), source };
    let mut folders = BTreeSet::new();
    for entry in fs::read_dir(&segments).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        // Anything else that a person put there is none of our business.
        let key = name.to_str().filter(|name| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
        folders.extend(key.map(|key| SegmentKey(key.to_owned())));
    }
    bench.orphans = folders.difference(&bench.planned).cloned().collect();
    folders.retain(|key| bench.planned.contains(key) && !bench.workers.contains_key(key));
    for key in &folders {
        let folder = segment_folder(&runner.data_dir, key);
        let alive = train::worker::is_working(&folder);
        if alive && let Ok(job) = train::folder::read_job(&folder) {
            tracing::info!(segment = %key, "a worker is at work already");
            let worker = Worker { process: Process::Adopted, job, ending: None, asked_to_leave: false };
            bench.workers.insert(key.clone(), worker);
            runner.store.set_working(key, true).await;
        }
        hear(runner, bench, key).await?;
    }
    Ok(())
}

/// Reads what workers appended, and notices those that are gone.
pub(super) async fn listen(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    for key in bench.workers.keys().cloned().collect::<Vec<_>>() {
        let folder = segment_folder(&runner.data_dir, &key);
        let Some(worker) = bench.workers.get_mut(&key) else { continue };
        // First whether it lives, then what it said: what a dead worker said is then all there.
        let mut alive = worker.process.is_alive(&folder);
        if !alive && matches!(worker.process, Process::Child(_)) && train::worker::is_working(&folder) {
            // It was turned away by a worker whom a server that died just then had started: that one is at work.
            worker.process = Process::Adopted;
            alive = true;
        }
        if bench.planned.contains(&key) {
            hear(runner, bench, &key).await?;
        }
        if !alive && let Some(worker) = bench.workers.remove(&key) {
            runner.store.set_working(&key, false).await;
            bench.stale = true;
            // Of a segment that nobody plans any more it does not matter how it ended.
            if bench.planned.contains(&key) {
                ended(runner, bench, &key, &worker).await?;
            }
        }
    }
    Ok(())
}

/// Reads what was appended to one segment's events since the last time into the store. A folder that cannot be read is passed
/// over: it must not hold up the others.
async fn hear(runner: &Runner, bench: &mut Bench, key: &SegmentKey) -> Result<(), RunnerError> {
    let folder = segment_folder(&runner.data_dir, key);
    let offset = offset(runner, bench, key).await?;
    let (mut events, offset) = match train::folder::read_events(&folder, offset) {
        Ok(read) => read,
        Err(error) => {
            if bench.unreadable.insert(key.clone()) {
                tracing::error!(segment = %key, %error, "this segment is passed over");
            }
            return Ok(());
        }
    };
    bench.unreadable.remove(key);
    let mut deprived = false;
    if let Some(Event::Failed(failure)) = events.last()
        && let Ok(job) = train::folder::read_job(&folder)
    {
        let message = failure.reason.clone();
        deprived = !are_whole(runner, bench, needs(&job.segment)).await?;
        if deprived {
            events.pop();
            events.push(Event::Note { message });
        }
    }
    if events.is_empty() || !tell(runner, bench, key, &events, offset).await? {
        return Ok(());
    }
    for event in &events {
        let ending = match event {
            Event::Started { .. } => None,
            Event::Finished { .. } => Some(Ending::Finished),
            Event::Left { .. } => Some(Ending::Left),
            Event::Failed(_) => Some(Ending::Failed),
            Event::Checkpoint(checkpoint) => {
                if !is_known(bench, key, checkpoint) {
                    bench.deaths.remove(key);
                    // Others may have waited for it.
                    bench.stale |= checkpoint.kept == Kept::Stop;
                }
                continue;
            }
            Event::Epoch(_) | Event::Pruned { .. } | Event::Note { .. } => continue,
        };
        if let Some(worker) = bench.workers.get_mut(key) {
            worker.ending = ending;
        }
    }
    if let Some(worker) = bench.workers.get_mut(key).filter(|_| deprived) {
        worker.ending = Some(Ending::Deprived);
    }
    Ok(())
}

/// Whether a checkpoint was there before: one that is only promised again is no progress.
fn is_known(bench: &Bench, key: &SegmentKey, checkpoint: &CheckpointFile) -> bool {
    bench.facts.get(key).is_some_and(|facts| facts.checkpoints.contains(checkpoint))
}

pub(super) async fn offset(runner: &Runner, bench: &Bench, key: &SegmentKey) -> Result<u64, StoreError> {
    match bench.offsets.get(key) {
        Some(offset) => Ok(*offset),
        None => runner.store.offset(key).await,
    }
}

/// Writes down what happened to a segment; `offset` bytes of its events are read. Whether any study still plans it.
pub(super) async fn tell(
    runner: &Runner,
    bench: &mut Bench,
    key: &SegmentKey,
    events: &[Event],
    offset: u64,
) -> Result<bool, StoreError> {
    match runner.store.record(key, events, offset).await {
        // Deleted since studies were looked at.
        Err(StoreError::UnknownSegment(_)) => Ok(false),
        recorded => {
            recorded?;
            bench.offsets.insert(key.clone(), offset);
            Ok(true)
        }
    }
}

/// A worker is gone: unless it said why, it counts as a death, and too many of these are a failure.
async fn ended(runner: &Runner, bench: &mut Bench, key: &SegmentKey, worker: &Worker) -> Result<(), RunnerError> {
    let folder = segment_folder(&runner.data_dir, key);
    let what = match worker.ending {
        Some(Ending::Left | Ending::Failed) => return Ok(()),
        Some(Ending::Deprived) => "found a checkpoint damaged that it needs",
        Some(Ending::Finished) => {
            let facts = facts(&runner.store, [&worker.job.segment]).await?;
            if facts.get(key).is_some_and(|facts| is_done(&worker.job.segment, worker.job.evaluate_test, facts)) {
                return Ok(());
            }
            "says that it finished, but something it was asked for is missing"
        }
        None => "ended without a word",
    };
    let deaths = bench.deaths.entry(key.clone()).or_default();
    *deaths += 1;
    tracing::warn!(segment = %key, deaths, "a worker {what}");
    if *deaths <= DEATHS_MAX {
        return Ok(());
    }
    let words = local::last_words(&folder);
    let words = if words.is_empty() { String::new() } else { format!(" Its last words were: {words}.") };
    let reason = format!("The worker {what}, {deaths} times in a row.{words} Press Try again once that is put right.");
    bench.deaths.remove(key);
    fail(runner, bench, key, reason).await
}

/// Records that a segment cannot go on until a person says so.
pub(super) async fn fail(
    runner: &Runner,
    bench: &mut Bench,
    key: &SegmentKey,
    reason: String,
) -> Result<(), RunnerError> {
    tracing::error!(segment = %key, reason, "a segment failed");
    let offset = offset(runner, bench, key).await?;
    let epoch = bench.facts.get(key).and_then(|facts| facts.metrics.last()).map(|metrics| metrics.epoch);
    let failure = Failure { epoch: epoch.unwrap_or_default(), reason, may_succeed_again: true };
    bench.stale = true;
    tell(runner, bench, key, &[Event::Failed(failure)], offset).await?;
    Ok(())
}

/// Removes folders that no study uses, once nobody works in them. One that cannot be removed holds up nothing else.
pub(super) async fn remove_orphans(runner: &Runner, bench: &mut Bench) {
    for key in bench.orphans.clone() {
        let folder = segment_folder(&runner.data_dir, &key);
        if bench.workers.contains_key(&key) {
            ask_to_leave(runner, bench, &key);
            continue;
        }
        let removed = if train::worker::is_working(&folder) {
            train::folder::ask_to_leave(&folder).map(|()| false).map_err(RunnerError::from)
        } else {
            let gone = folder.clone();
            let removed = task::spawn_blocking(move || remove_folder(&gone)).await;
            let removed = removed.unwrap_or_else(|panic| Err(panic.into()));
            removed.map(|()| true).map_err(|source| RunnerError::Io { doing: "remove", path: folder, source })
        };
        if let Err(error) = &removed {
            tracing::error!(%error, "a folder that no study uses stays; it is tried again when studies change");
        }
        if removed.unwrap_or(true) {
            bench.orphans.remove(&key);
        }
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
