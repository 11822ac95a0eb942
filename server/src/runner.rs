//! Claims segments and runs workers: the only place where training and the store meet.
//!
//! It subscribes to the store, then looks, then waits. A worker's folder is the truth about a training; the runner reads what is
//! appended there into the store, and is the only one that does.

use crate::{
    data_folder::segment_folder,
    datasets::DatasetPaths,
    executor::local::{self, Process},
    next_work::{Working, is_done, next_work},
    wanted::{Wanted, wanted},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use store::{Store, StoreError};
use study::{Event, Facts, Failure, Job, Kept, Plan, Segment, SegmentKey, StudyId, TRAINING_VERSION};
use tokio::{sync::watch, time};
use train::TrainError;

/// How often folders are looked into. The page shows an epoch at most this much later.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long workers may take to write a checkpoint and leave when the server stops. Those that take longer go on without it.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);
/// A worker that dies without a word is started again from its last checkpoint, this often in a row without a new one.
const DEATHS_MAX: u32 = 5;

/// What a runner needs to know.
#[derive(Clone, Debug)]
pub struct Runner {
    pub store: Store,
    pub data_dir: PathBuf,
    pub datasets: DatasetPaths,
    /// Threads that may train at once.
    pub threads: u32,
    /// Only this study; `None`: every one that goes on.
    pub only: Option<StudyId>,
    /// The program to start as a worker.
    pub program: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Folder(#[from] TrainError),
    #[error("could not {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

struct Worker {
    process: Process,
    job: Job,
    ending: Option<Ending>,
    asked_to_leave: bool,
}

/// How a worker says that it is through.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Finished,
    Left,
    Failed,
}

/// What the runner keeps between looks; all of it can be found again in folders and store.
#[derive(Default)]
struct Bench {
    /// The store's revision when studies were looked at; `None`: look again.
    seen: Option<u64>,
    /// Every study, and whether it goes on.
    studies: BTreeMap<StudyId, bool>,
    /// The segments of every study, also of those that were stopped.
    planned: BTreeSet<SegmentKey>,
    wanted: Vec<Wanted>,
    facts: Facts,
    /// Something happened that may let other segments start.
    stale: bool,
    workers: BTreeMap<SegmentKey, Worker>,
    /// Bytes of each `events.jsonl` that are in the store.
    offsets: BTreeMap<SegmentKey, u64>,
    /// Deaths in a row without a new checkpoint.
    deaths: BTreeMap<SegmentKey, u32>,
    /// Folders that no study uses any more.
    orphans: BTreeSet<SegmentKey>,
}

/// Runs studies until `shutdown` turns true, then lets the workers leave.
///
/// A failing disk or database does not end it: it says so and tries again.
pub async fn run(runner: Runner, mut shutdown: watch::Receiver<bool>) {
    let mut bench = Bench::default();
    let mut changes = runner.store.changes();
    while !*shutdown.borrow() {
        let revision = *changes.borrow_and_update();
        if let Err(error) = turn(&runner, &mut bench, revision).await {
            tracing::error!(%error, "the runner tries again");
            bench.seen = None;
            bench.stale = true;
        }
        let idle = bench.workers.is_empty() && bench.orphans.is_empty() && !bench.stale;
        let next = async {
            time::sleep(LOOK_EVERY).await;
            if idle {
                // The runner holds the store, so the other end of this channel is there.
                let _ = changes.wait_for(|revision| bench.seen != Some(*revision)).await;
            }
        };
        tokio::select! {
            () = next => {}
            _ = shutdown.wait_for(|shutdown| *shutdown) => {}
        }
    }
    if time::timeout(LEAVE_WITHIN, leave(&runner, &mut bench)).await.is_err() {
        tracing::warn!(workers = bench.workers.len(), "workers go on without the server; its next start adopts them");
    }
}

/// One turn: look at what is asked, read what workers said, decide, do.
async fn turn(runner: &Runner, bench: &mut Bench, revision: u64) -> Result<(), RunnerError> {
    if bench.seen != Some(revision) {
        look(runner, bench).await?;
        bench.seen = Some(revision);
    }
    listen(runner, bench).await?;
    remove_orphans(runner, bench).await?;
    if std::mem::take(&mut bench.stale) {
        bench.facts = facts(&runner.store, bench.wanted.iter().map(|wanted| &wanted.segment)).await?;
        act(runner, bench).await?;
    }
    Ok(())
}

/// Looks at the studies. Where the set of those that go on has changed, plans anew what is wanted.
async fn look(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    let mut studies = runner.store.studies().await?;
    studies.sort_by_key(|study| study.id);
    for study in &mut studies {
        if runner.only.is_some_and(|only| only != study.id) {
            study.stopped_at = study.stopped_at.or(Some(study.created_at));
        }
    }
    let going_on = studies.iter().map(|study| (study.id, study.stopped_at.is_none())).collect();
    // A failure is cleared by a person, without any study beginning or ending.
    bench.stale |= bench.facts.values().any(|facts| facts.failure.is_some());
    if bench.seen.is_some() && bench.studies == going_on {
        return Ok(());
    }
    bench.studies = going_on;
    bench.planned = studies.iter().flat_map(|study| &study.plan.segments).map(|segment| segment.key.clone()).collect();
    bench.wanted = wanted(&studies);
    // A segment that was deleted and planned again begins a new list of events.
    bench.offsets.clear();
    bench.deaths.clear();
    bench.stale = true;
    take_up(runner, bench).await
}

/// Reads what lies in the folders: of workers that are alive, of those that ended unheard, and of segments that nobody plans.
async fn take_up(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
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
async fn listen(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    for key in bench.workers.keys().cloned().collect::<Vec<_>>() {
        let folder = segment_folder(&runner.data_dir, &key);
        // First whether it lives, then what it said: what a dead worker said is then all there.
        let alive = bench.workers.get_mut(&key).is_some_and(|worker| worker.process.is_alive(&folder));
        if bench.planned.contains(&key) {
            hear(runner, bench, &key).await?;
        }
        if !alive && let Some(worker) = bench.workers.remove(&key) {
            runner.store.set_working(&key, false).await;
            bench.stale = true;
            ended(runner, bench, &key, &worker).await?;
        }
    }
    Ok(())
}

/// Reads what was appended to one segment's events since the last time into the store.
async fn hear(runner: &Runner, bench: &mut Bench, key: &SegmentKey) -> Result<(), RunnerError> {
    let offset = match bench.offsets.get(key) {
        Some(offset) => *offset,
        None => runner.store.offset(key).await?,
    };
    let (events, offset) = train::folder::read_events(&segment_folder(&runner.data_dir, key), offset)?;
    if events.is_empty() {
        return Ok(());
    }
    match runner.store.record(key, &events, offset).await {
        // Deleted since studies were looked at.
        Err(StoreError::UnknownSegment(_)) => return Ok(()),
        Err(error @ StoreError::NotANumber { .. }) => {
            bench.offsets.insert(key.clone(), offset);
            ask_to_leave(runner, bench, key)?;
            return fail(runner, bench, key, format!("Training went astray: {error}. Try a lower learning rate."))
                .await;
        }
        recorded => recorded?,
    }
    bench.offsets.insert(key.clone(), offset);
    for event in &events {
        let ending = match event {
            Event::Started { .. } => None,
            Event::Finished { .. } => Some(Ending::Finished),
            Event::Left { .. } => Some(Ending::Left),
            Event::Failed(_) => Some(Ending::Failed),
            Event::Checkpoint(checkpoint) => {
                bench.deaths.remove(key);
                // Others may have waited for it.
                bench.stale |= checkpoint.kept == Kept::Stop;
                continue;
            }
            Event::Epoch(_) | Event::Pruned { .. } | Event::Note { .. } => continue,
        };
        if let Some(worker) = bench.workers.get_mut(key) {
            worker.ending = ending;
        }
    }
    Ok(())
}

/// A worker is gone: unless it said why, it counts as a death, and too many of these are a failure.
async fn ended(runner: &Runner, bench: &mut Bench, key: &SegmentKey, worker: &Worker) -> Result<(), RunnerError> {
    let folder = segment_folder(&runner.data_dir, key);
    let what = match worker.ending {
        Some(Ending::Left | Ending::Failed) => return Ok(()),
        Some(Ending::Finished) => {
            let facts = facts(&runner.store, [&worker.job.segment]).await?;
            if facts.get(key).is_some_and(|facts| is_done(&worker.job.segment, facts)) {
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
    let reason = format!("The worker {what}, {deaths} times in a row.{words} Press Resume to try again.");
    bench.deaths.remove(key);
    fail(runner, bench, key, reason).await
}

/// Records that a segment cannot go on until a person says so.
async fn fail(runner: &Runner, bench: &mut Bench, key: &SegmentKey, reason: String) -> Result<(), RunnerError> {
    tracing::error!(segment = %key, reason, "a segment failed");
    let offset = match bench.offsets.get(key) {
        Some(offset) => *offset,
        None => runner.store.offset(key).await?,
    };
    let epoch = bench.facts.get(key).and_then(|facts| facts.metrics.last()).map(|metrics| metrics.epoch);
    let failure = Failure { epoch: epoch.unwrap_or_default(), reason, may_succeed_again: true };
    bench.stale = true;
    Ok(runner.store.record(key, &[Event::Failed(failure)], offset).await?)
}

/// Decides what to do and does it.
async fn act(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    let working = bench
        .workers
        .iter()
        .map(|(key, worker)| (key.clone(), Working { threads: worker.job.threads, asked: worker.job.segment.clone() }))
        .collect();
    let decision = next_work(&bench.wanted, &bench.facts, &working, runner.threads);
    for key in &decision.leave {
        ask_to_leave(runner, bench, key)?;
    }
    for launch in decision.start {
        let Some(wanted) = bench.wanted.iter().find(|wanted| wanted.segment.key == launch.key) else { continue };
        let job = job(wanted, &runner.datasets, launch.threads);
        match start(runner, &job) {
            Ok(process) => {
                tracing::info!(segment = %launch.key, until = %job.segment.until, threads = launch.threads, "training");
                let worker = Worker { process, job, ending: None, asked_to_leave: false };
                bench.workers.insert(launch.key.clone(), worker);
                runner.store.set_working(&launch.key, true).await;
            }
            Err(error) => fail(runner, bench, &launch.key, format!("A worker could not be started: {error}.")).await?,
        }
    }
    Ok(())
}

fn ask_to_leave(runner: &Runner, bench: &mut Bench, key: &SegmentKey) -> Result<(), RunnerError> {
    let Some(worker) = bench.workers.get_mut(key).filter(|worker| !worker.asked_to_leave) else { return Ok(()) };
    train::folder::ask_to_leave(&segment_folder(&runner.data_dir, key))?;
    worker.asked_to_leave = true;
    Ok(())
}

/// `segment.json` for a worker.
fn job(wanted: &Wanted, datasets: &DatasetPaths, threads: u32) -> Job {
    let dataset_path = datasets.get(&wanted.segment.dataset.dataset);
    Job {
        version: Job::VERSION,
        segment: wanted.segment.clone(),
        dataset_path: dataset_path.map(|path| path.to_string_lossy().into_owned()),
        device: train::engine::resolve(wanted.device).0,
        threads,
        evaluate_test: wanted.evaluate_test,
    }
}

fn start(runner: &Runner, job: &Job) -> Result<Process, RunnerError> {
    let folder = segment_folder(&runner.data_dir, &job.segment.key);
    let failed = |doing| {
        let path = folder.clone();
        move |source| RunnerError::Io { doing, path, source }
    };
    fs::create_dir_all(&folder).map_err(failed("make"))?;
    train::folder::clear_request_to_leave(&folder)?;
    train::folder::write_job(&folder, job)?;
    local::start(&runner.program, &folder).map_err(failed("start a worker in"))
}

/// Removes folders that no study uses, once nobody works in them.
async fn remove_orphans(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    for key in bench.orphans.clone() {
        let folder = segment_folder(&runner.data_dir, &key);
        if bench.workers.contains_key(&key) {
            ask_to_leave(runner, bench, &key)?;
            continue;
        }
        if train::worker::is_working(&folder) {
            train::folder::ask_to_leave(&folder)?;
            continue;
        }
        let gone = folder.clone();
        let removed =
            tokio::task::spawn_blocking(move || remove_folder(&gone)).await.unwrap_or_else(|panic| Err(panic.into()));
        removed.map_err(|source| RunnerError::Io { doing: "remove", path: folder, source })?;
        bench.orphans.remove(&key);
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Asks every worker to leave, and waits until all have.
async fn leave(runner: &Runner, bench: &mut Bench) {
    for key in bench.workers.keys().cloned().collect::<Vec<_>>() {
        if let Err(error) = ask_to_leave(runner, bench, &key) {
            tracing::warn!(%error, segment = %key, "this worker goes on without the server");
        }
    }
    while !bench.workers.is_empty() {
        if let Err(error) = listen(runner, bench).await {
            tracing::warn!(%error, "what workers said last is read at the next start");
        }
        time::sleep(LOOK_EVERY).await;
    }
}

/// What is known of the segments that are wanted.
async fn facts(store: &Store, segments: impl IntoIterator<Item = &Segment>) -> Result<Facts, StoreError> {
    let plan = Plan {
        training_version: TRAINING_VERSION,
        arms: Vec::new(),
        runs: Vec::new(),
        segments: segments.into_iter().cloned().collect(),
        epochs: 0,
        epochs_without_sharing: 0,
        remarks: Vec::new(),
    };
    store.facts(&plan).await
}
