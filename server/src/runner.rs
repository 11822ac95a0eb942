//! Claims segments and runs workers: the only place where training and the store meet.
//!
//! It subscribes to the store, then looks, then waits. A worker's folder is the truth about a training; the runner reads what is
//! appended there into the store, and is the only one that does.

mod hear;

use crate::{
    data_folder::segment_folder,
    datasets::{self, DatasetPaths},
    executor::local::{self, Process},
    kept,
    next_work::{Launch, Room, Working, next_work},
    wanted::{Wanted, wanted},
};
use app::laboratory::Current;
use hear::{fail, listen, offset, remove_orphans, take_up, tell};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use store::{GoingOn, Store, StoreError, StoredStudy};
use study::{
    CheckpointFile, CheckpointId, Event, Facts, Job, Plan, Segment, SegmentKey, StudyId, TRAINING_VERSION,
    teacher_logits::{TeacherLogits, Usage, teachers},
};
use tokio::{sync::watch, task, time};
use train::{TrainError, checkpoint};

/// How often folders are looked into. The page shows an epoch at most this much later.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to wait after a turn that failed: a disk that is full says so once in a while, not five times a second.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long workers may take to write a checkpoint and leave when the server stops. Those that take longer go on without it.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);

/// What a runner needs to know.
#[derive(Clone, Debug)]
pub struct Runner {
    pub store: Store,
    pub data_dir: PathBuf,
    /// Where they lie, as far as that was told. Segments of others wait until a server is told.
    pub datasets: Current<DatasetPaths>,
    /// Threads that may train at once.
    pub threads: u32,
    /// Bytes of memory that workers may hold; `None` where that is not known.
    pub memory: Option<u64>,
    /// Bytes of disk for what teachers said.
    pub teacher_logits_limit: u64,
    /// Bytes that it takes, for whoever shows them.
    pub teacher_logits_bytes: Arc<AtomicU64>,
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
    /// A checkpoint that it needs is not what was written. That one is made again, and then this one may go on.
    Deprived,
}

/// What the runner keeps between looks; all of it can be found again in folders and store.
#[derive(Default)]
struct Bench {
    /// The store's revision when studies were looked at; `None`: look again.
    seen: Option<u64>,
    /// Every study, and how it goes on.
    studies: BTreeMap<StudyId, GoingOn>,
    /// Where images lay when studies were looked at.
    datasets: Arc<DatasetPaths>,
    /// Those that are searched, with whole plans: what they ask for follows what is known.
    searched: Vec<StoredStudy>,
    /// The others.
    studied: Vec<StoredStudy>,
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
    /// Checkpoints of others that a worker needed and that were looked at before it started: each once.
    looked_at: BTreeSet<CheckpointId>,
    /// Segments whose events could not be read the last time: that is told once.
    unreadable: BTreeSet<SegmentKey>,
}

/// Runs studies until `shutdown` turns true, then lets the workers leave.
///
/// A failing disk or database does not end it: it says so and tries again.
pub async fn run(runner: Runner, mut shutdown: watch::Receiver<bool>) {
    let mut bench = Bench::default();
    let mut changes = runner.store.changes();
    while !*shutdown.borrow() {
        let revision = *changes.borrow_and_update();
        let turned = turn(&runner, &mut bench, revision).await;
        let pause = if turned.is_ok() { LOOK_EVERY } else { TRY_AGAIN_AFTER };
        if let Err(error) = turned {
            tracing::error!(%error, "the runner tries again");
            bench.seen = None;
            bench.stale = true;
        }
        let idle = bench.workers.is_empty() && bench.orphans.is_empty() && !bench.stale;
        let next = async {
            time::sleep(pause).await;
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
    kept::weigh(&runner.data_dir, runner.teacher_logits_limit, &runner.teacher_logits_bytes);
    remove_orphans(runner, bench).await;
    if std::mem::take(&mut bench.stale) {
        if !bench.searched.is_empty() {
            ask(runner, bench).await?;
        }
        bench.facts = facts(&runner.store, bench.wanted.iter().map(|wanted| &wanted.segment)).await?;
        act(runner, bench).await?;
    }
    Ok(())
}

/// Looks at the studies and at the images that are here. Where other studies go on, with more seeds or of other images, plans anew what
/// is wanted.
async fn look(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    // Asked often, so without the plans: every epoch that is told moves the revision.
    let mut going_on = runner.store.going_on().await?;
    for (id, study) in &mut going_on {
        study.goes_on &= runner.only.is_none_or(|only| only == *id);
    }
    // A failure is cleared by a person, without any study beginning or ending.
    bench.stale |= bench.facts.values().any(|facts| facts.failure.is_some());
    let datasets = runner.datasets.get();
    if bench.seen.is_some() && bench.studies == going_on && bench.datasets == datasets {
        return Ok(());
    }
    let mut studies = runner.store.studies().await?;
    studies.sort_by_key(|study| study.id);
    for study in &mut studies {
        // One that was begun in between is taken up with the revision that it moved.
        if !going_on.get(&study.id).is_some_and(|it| it.goes_on) {
            study.stopped_at = study.stopped_at.or(Some(study.created_at));
        }
    }
    bench.studies = going_on;
    bench.datasets = datasets;
    bench.planned = studies.iter().flat_map(|study| &study.plan.segments).map(|segment| segment.key.clone()).collect();
    (bench.searched, bench.studied) = studies.into_iter().partition(|study| study.study.search.is_some());
    ask(runner, bench).await?;
    // A segment that was deleted and planned again begins a new list of events.
    bench.offsets.clear();
    bench.deaths.clear();
    bench.stale = true;
    take_up(runner, bench).await
}

/// Says what is wanted now.
async fn ask(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    let mut studies = bench.studied.clone();
    for study in &bench.searched {
        let facts = runner.store.facts(&study.plan).await?;
        let asked = study::search::asked(&study.study, &study.plan, &facts);
        studies.push(StoredStudy { plan: asked.now.into_owned(), ..study.clone() });
    }
    studies.sort_by_key(|study| study.id);
    bench.wanted = wanted(&studies);
    bench.wanted.retain(|wanted| datasets::is_here(wanted.segment.dataset.dataset, &bench.datasets));
    Ok(())
}

/// Decides what to do and does it.
async fn act(runner: &Runner, bench: &mut Bench) -> Result<(), RunnerError> {
    let working = bench
        .workers
        .iter()
        .map(|(key, Worker { job, .. })| {
            let (threads, evaluate_test) = (job.threads, job.evaluate_test);
            (key.clone(), Working { threads, asked: job.segment.clone(), evaluate_test })
        })
        .collect();
    let tables = kept::tables(&bench.wanted, &bench.facts, runner.teacher_logits_limit);
    let room = Room { threads: runner.threads, memory: runner.memory, teacher_logits: &tables };
    let decision = next_work(&bench.wanted, &bench.facts, &working, &room);
    for key in &decision.leave {
        ask_to_leave(runner, bench, key);
    }
    for launch in decision.start {
        let key = launch.segment.key.clone();
        let Some(wanted) = bench.wanted.iter().find(|wanted| wanted.segment.key == key) else { continue };
        let job = job(wanted, launch, runner, &tables);
        let new = needs(&job.segment).into_iter().filter(|need| bench.looked_at.insert(need.clone())).collect();
        if !are_whole(runner, bench, new).await? {
            // Others may need the same: what can start is decided anew.
            return Ok(());
        }
        let at_work = bench.workers.values().map(|worker| &worker.job);
        kept::make_room(&runner.data_dir, runner.teacher_logits_limit, &tables, at_work.chain([&job]));
        match start(runner, &job) {
            Ok(process) => {
                tracing::info!(segment = %key, until = %job.segment.until, threads = job.threads, "training");
                let worker = Worker { process, job, ending: None, asked_to_leave: false };
                bench.workers.insert(key.clone(), worker);
                runner.store.set_working(&key, true).await;
            }
            Err(error) => fail(runner, bench, &key, format!("A worker could not be started: {error}.")).await?,
        }
    }
    Ok(())
}

/// Checkpoints that a worker reads: those it learns from, and those it is measured against.
fn needs(segment: &Segment) -> Vec<CheckpointId> {
    let observers = segment.observers.iter().map(|observer| &observer.teacher);
    segment.needs().into_iter().chain(observers).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether the files of these checkpoints are what was written. What is not is taken back, so that its own segment makes it
/// again, to the same bits.
async fn are_whole(runner: &Runner, bench: &mut Bench, checkpoints: Vec<CheckpointId>) -> Result<bool, RunnerError> {
    let mut whole = true;
    for CheckpointId { segment, epoch } in checkpoints {
        let folder = segment_folder(&runner.data_dir, &segment);
        let looked = {
            let folder = folder.clone();
            task::spawn_blocking(move || checkpoint::verify(&folder, epoch)).await
        };
        // What could not be looked at for another reason, its worker meets and says.
        let Ok(Err(damage @ TrainError::Checkpoint { .. })) = looked else { continue };
        whole = false;
        let is_it = |file: &CheckpointFile| file.epoch == epoch;
        let known = bench.facts.get_mut(&segment).map(|facts| &mut facts.checkpoints);
        let Some(known) = known.filter(|known| known.iter().any(is_it)) else {
            // Another one met it before: it is being made again.
            continue;
        };
        known.retain(|file| !is_it(file));
        tracing::warn!(segment = %segment, %epoch, %damage, "made again");
        let message = format!("The checkpoint of epoch {epoch} cannot be used and is made again: {damage}.");
        let events = [Event::Note { message }, Event::Pruned { epochs: vec![epoch] }];
        let offset = offset(runner, bench, &segment).await?;
        if tell(runner, bench, &segment, &events, offset).await? {
            checkpoint::remove(&folder, epoch)?;
            // A worker that is past it would only notice when it starts again.
            ask_to_leave(runner, bench, &segment);
        }
        bench.stale = true;
    }
    Ok(whole)
}

fn ask_to_leave(runner: &Runner, bench: &mut Bench, key: &SegmentKey) {
    let Some(worker) = bench.workers.get_mut(key).filter(|worker| !worker.asked_to_leave) else { return };
    match train::folder::ask_to_leave(&segment_folder(&runner.data_dir, key)) {
        Ok(()) => worker.asked_to_leave = true,
        Err(error) => tracing::warn!(%error, segment = %key, "this worker goes on: it could not be asked to leave"),
    }
}

/// `segment.json` for a worker.
fn job(wanted: &Wanted, Launch { segment, threads }: Launch, runner: &Runner, tables: &[TeacherLogits]) -> Job {
    let datasets = runner.datasets.get();
    let dataset_path = datasets.get(&segment.dataset.dataset);
    let is_kept = |teacher: &CheckpointId| {
        let used = tables.iter().any(|table| table.teacher == *teacher && table.usage == Usage::Used);
        used && !segment.needs_attention_maps()
    };
    Job {
        version: Job::VERSION,
        teacher_logits: teachers(&segment).into_iter().filter(|teacher| is_kept(teacher)).cloned().collect(),
        shared_folder: Some(runner.data_dir.to_string_lossy().into_owned()),
        segment,
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
    local::start(&runner.program, &folder, job.threads).map_err(failed("start a worker in"))
}

/// Asks every worker to leave, and waits until all have.
async fn leave(runner: &Runner, bench: &mut Bench) {
    for key in bench.workers.keys().cloned().collect::<Vec<_>>() {
        ask_to_leave(runner, bench, &key);
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
        numerics: study::Numerics::CpuF32,
        arms: Vec::new(),
        runs: Vec::new(),
        segments: segments.into_iter().cloned().collect(),
        epochs: 0,
        epochs_without_sharing: 0,
        remarks: Vec::new(),
        rounds: Vec::new(),
    };
    store.facts(&plan).await
}
