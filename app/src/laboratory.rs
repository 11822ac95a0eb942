//! What can be done in a laboratory. The pages' server functions and the HTTP API call these same few functions.

use crate::error::ApiError;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};
use store::{Store, StoredStudy};
use study::{
    Confusion, Dataset, DatasetFacts, DatasetSamples, Ensembles, ExampleCard, Facts, Growth, ImportedTeacher, Machine,
    Plan, Progress, Report, SeedAddition, Share, ShareId, Snapshot, SpecError, StudyCard, StudyId, Unusable, WaitsFor,
    growth, numbers, report,
    search::{Asked, asked},
    teacher_logits::Held,
};
use tokio::sync::watch;

/// What the server gives to pages and API. Cheap to clone.
#[derive(Clone)]
pub struct Laboratory {
    pub store: Store,
    /// What this machine has and can do.
    pub machine: Current<Machine>,
    /// Teachers that were brought here from elsewhere, as of now.
    pub imported: ListImported,
    /// What this machine's data sets look like.
    pub samples: Current<Vec<DatasetSamples>>,
    /// Those whose files lie where somebody said, and not in the data folder: they are not removed from here.
    pub elsewhere: Arc<BTreeSet<Dataset>>,
    /// Data sets that are being downloaded or sent, or could not be downloaded.
    pub downloads: Current<BTreeMap<Dataset, Download>>,
    /// Bytes that an uploaded archive of images may have.
    pub upload_limit: u64,
    /// Bytes that teachers' logits take on the disk, as the runner saw them last.
    pub teacher_logits_bytes: Arc<AtomicU64>,
    /// "https://lab.example.org", without a slash at its end; `None`: links name the host of the request.
    pub public_url: Option<String>,
    pub examples: Examples,
    pub latest: LatestReport,
    pub kept_networks: Arc<dyn KeptNetworks>,
}

/// How far a data set is that comes, by a download or by an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Download {
    /// Its server was asked.
    Begun,
    /// Of a file's `total` bytes, `bytes` are here.
    Coming { file: &'static str, bytes: u64, total: u64 },
    /// Somebody sends it: so many bytes have come, of about so many where the sender said that.
    Sent { bytes: u64, total: Option<u64> },
    /// All files are here.
    BeingRead,
    /// Somebody asked for it to end, and it has not yet: its server is waited for.
    BeingCancelled,
    /// It ended because somebody asked for that. What has come is kept.
    Cancelled,
    /// It came to nothing.
    Ended { problem: String },
}

impl Download {
    /// Whether something may still come of it.
    pub fn goes_on(&self) -> bool {
        !matches!(self, Download::Ended { .. } | Download::Cancelled)
    }
}

/// What is read by many and replaced now and then. All clones are one.
#[derive(Debug)]
pub struct Current<T>(watch::Sender<Arc<T>>);

impl<T> From<T> for Current<T> {
    fn from(first: T) -> Self {
        Current(watch::Sender::new(Arc::new(first)))
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Current(self.0.clone())
    }
}

impl<T> Current<T> {
    /// What there is now, which stays as it is whatever is changed later.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }

    /// One change at a time. Whoever reads meanwhile goes on with what was there; whoever subscribed is woken.
    pub fn change(&self, change: impl FnOnce(&mut T))
    where
        T: Clone,
    {
        self.0.send_modify(|current| change(Arc::make_mut(current)));
    }

    /// Is woken by every change from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<T>> {
        self.0.subscribe()
    }
}

/// What is told of the networks at the ends of a plan's runs, by whoever has their files; `None` where there is nothing to tell.
pub trait KeptNetworks: Send + Sync {
    /// What they take for what.
    fn confusion<'a>(&'a self, plan: &'a Plan, facts: &'a Facts) -> Told<'a, Confusion>;
    /// What they come to together.
    fn ensembles<'a>(&'a self, plan: &'a Plan, facts: &'a Facts) -> Told<'a, Ensembles>;
}

/// A thing that is told once files were read.
pub type Told<'a, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>>;

/// Studies that were trained beforehand by this program; the first is the one that a first start shows.
#[derive(Clone)]
pub struct Examples {
    /// What a list says of them, in its order.
    pub cards: Arc<[ExampleCard]>,
    /// One of them, by its name: they are looked at seldom, and take memory.
    pub read: fn(&str) -> Option<Snapshot>,
}

/// Lists imported teachers by whoever has their files.
pub type ListImported = Arc<dyn Fn() -> Vec<ImportedTeacher> + Send + Sync>;

impl Laboratory {
    /// What this machine has and can do now.
    pub fn machine_now(&self) -> Machine {
        Machine { imported: (self.imported)(), ..Machine::clone(&self.machine.get()) }
    }
}

/// A study as its owner sees it. Cheap to clone.
#[derive(Clone)]
pub struct Shown {
    pub report: Arc<Report>,
    /// What more seeds would come to; `None` where none can be added. That is of today and of this machine, so that it is no part of what
    /// is frozen.
    pub growth: Option<Growth>,
}

/// The report that was made last, with the store's revision: until that moves, a reader who looks at another metric, or another
/// reader of the same study, is answered without the study's facts being read again.
#[derive(Clone, Default)]
pub struct LatestReport(Arc<Mutex<Option<Latest>>>);

struct Latest {
    study: StudyId,
    revision: u64,
    shown: Shown,
}

impl LatestReport {
    fn latest(&self) -> MutexGuard<'_, Option<Latest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, study: StudyId, revision: u64) -> Option<Shown> {
        let same = |latest: &&Latest| (latest.study, latest.revision) == (study, revision);
        self.latest().as_ref().filter(same).map(|latest| latest.shown.clone())
    }

    /// Whatever has moved since.
    fn of(&self, study: StudyId) -> Option<Shown> {
        self.latest().as_ref().filter(|latest| latest.study == study).map(|latest| latest.shown.clone())
    }

    fn forget(&self, study: StudyId) {
        drop(self.latest().take_if(|latest| latest.study == study));
    }

    fn set(&self, study: StudyId, revision: u64, shown: Shown) {
        *self.latest() = Some(Latest { study, revision, shown });
    }
}

/// Starts the study that a file's table says: it is stored with its plan, and the runner finds it there. Says everything that is
/// wrong with it.
pub async fn create(laboratory: &Laboratory, table: &toml::Table) -> Result<StudyId, ApiError> {
    let ready = laboratory.machine_now().ready(table).map_err(ApiError::Spec)?;
    Ok(laboratory.store.create_study(&ready.study, &ready.plan, &ready.dataset, now()).await?)
}

/// Newest first.
pub async fn list(laboratory: &Laboratory) -> Result<Vec<StudyCard>, ApiError> {
    let machine = laboratory.machine.get();
    let mut cards = Vec::new();
    for stored in laboratory.store.studies().await? {
        let known = known_of(laboratory, stored).await?;
        let StoredStudy { study, .. } = &known.stored;
        let report = report::without_curves(study, &known.asked(), &known.facts, known.stopped(), &machine);
        let report = known.with_what_it_waits_for(report);
        cards.push(StudyCard::new(known.stored.id, known.stored.created_at, &report));
    }
    Ok(cards)
}

pub async fn stored(laboratory: &Laboratory, id: StudyId) -> Result<StoredStudy, ApiError> {
    laboratory.store.study(&id).await?.ok_or_else(no_study)
}

/// A study with everything that is known of its trainings by now.
pub struct Known {
    /// With its whole plan.
    pub stored: StoredStudy,
    pub facts: Facts,
    /// What stands before it, where it goes on and waits.
    waits_for: Option<WaitsFor>,
}

impl Known {
    /// What the study asks for by now.
    pub fn asked(&self) -> Asked<'_> {
        asked(&self.stored.study, &self.stored.plan, &self.facts)
    }

    /// How far it is, of what it `asked` for. Where others stand before it no time is promised.
    pub fn progress(&self, asked: &Asked<'_>, machine: &Machine) -> Progress {
        let progress = asked.progress(&self.facts, self.stopped(), machine);
        if self.waits_for.is_some() { progress.behind_others() } else { progress }
    }

    fn with_what_it_waits_for(&self, report: Report) -> Report {
        match &self.waits_for {
            Some(what) => report.waiting_for(what),
            None => report,
        }
    }

    fn stopped(&self) -> bool {
        self.stored.stopped_at.is_some()
    }
}

pub async fn known(laboratory: &Laboratory, id: StudyId) -> Result<Known, ApiError> {
    known_of(laboratory, stored(laboratory, id).await?).await
}

async fn known_of(laboratory: &Laboratory, stored: StoredStudy) -> Result<Known, ApiError> {
    let facts = laboratory.store.facts(&stored.plan).await?;
    let waits_for = waits_for(laboratory, &stored, &facts).await?;
    Ok(Known { stored, facts, waits_for })
}

/// What stands before a study: its images are not here, an older study has workers, or nobody works on it while another one has.
async fn waits_for(laboratory: &Laboratory, stored: &StoredStudy, facts: &Facts) -> Result<Option<WaitsFor>, ApiError> {
    let at_work = facts.values().any(|facts| facts.working);
    let dataset = stored.study.dataset;
    // What was not there when the server started may be there by now: whoever trains on it has it.
    if let Some(reason) = laboratory.machine.get().lacks(dataset).filter(|_| !at_work) {
        return Ok(Some(WaitsFor::Images(format!("{dataset} {reason}"))));
    }
    let other = laboratory.store.oldest_other_at_work(&stored.id).await?;
    Ok(other.filter(|other| *other < stored.id || !at_work).map(|_| WaitsFor::AnotherStudy))
}

pub async fn report(laboratory: &Laboratory, id: StudyId) -> Result<Arc<Report>, ApiError> {
    Ok(shown(laboratory, id).await?.report)
}

/// What the page of a study shows.
pub async fn shown(laboratory: &Laboratory, id: StudyId) -> Result<Shown, ApiError> {
    // Taken before anything is read: a report may be newer than it is kept for, and is never older.
    let revision = *laboratory.store.changes().borrow();
    if let Some(shown) = laboratory.latest.get(id, revision) {
        return Ok(shown);
    }
    let known = known(laboratory, id).await?;
    let StoredStudy { study, plan, dataset, .. } = &known.stored;
    let (asked, machine) = (known.asked(), laboratory.machine.get());
    let report = report::report(study, &asked, &known.facts, known.stopped(), &machine);
    let report = known.with_what_it_waits_for(report);
    let report = report.with_seed_additions(&laboratory.store.seed_additions(&id).await?);
    let growth = Growth::of(&report, plan, dataset, &known.facts, &machine);
    let classes = plan.segments.first().map_or(0, |segment| segment.dataset.classes as usize);
    let confusion = match classes <= Confusion::CLASSES_MAX {
        true => laboratory.kept_networks.confusion(&asked.now, &known.facts).await,
        false => None,
    };
    let ensembles = laboratory.kept_networks.ensembles(&asked.now, &known.facts).await;
    let report = Report { started_at: Some(known.stored.created_at), confusion, ensembles, ..report };
    let shown = Shown { report: Arc::new(report), growth };
    laboratory.latest.set(id, revision, shown.clone());
    Ok(shown)
}

/// The same for whoever has that page and asks for a part of it. What moved since it was made last is not waited for: the page is no
/// newer, and while it can change it follows by itself.
pub async fn shown_last(laboratory: &Laboratory, id: StudyId) -> Result<Shown, ApiError> {
    match laboratory.latest.of(id) {
        Some(shown) => Ok(shown),
        None => shown(laboratory, id).await,
    }
}

/// What is taken for what on the test images; without arms where no run is at its end.
pub async fn confusion(laboratory: &Laboratory, id: StudyId) -> Result<Confusion, ApiError> {
    let known = known(laboratory, id).await?;
    let counted = laboratory.kept_networks.confusion(&known.asked().now, &known.facts).await;
    Ok(counted.unwrap_or(Confusion { classes: Vec::new(), arms: Vec::new() }))
}

pub async fn stop(laboratory: &Laboratory, id: StudyId) -> Result<(), ApiError> {
    laboratory.store.stop_study(&id, now()).await?.then_some(()).ok_or_else(no_study)
}

/// Goes on with a stopped study, and tries again what failed and may succeed now.
pub async fn resume(laboratory: &Laboratory, id: StudyId) -> Result<(), ApiError> {
    laboratory.store.resume_study(&id).await?.then_some(()).ok_or_else(no_study)
}

/// Trains a study with `more` seeds of each arm, also one that was stopped. What is trained stays; that they came after a look at results
/// is told from then on.
///
/// # Errors
/// Why they cannot be added, by the field `seeds`.
pub async fn add_seeds(laboratory: &Laboratory, id: StudyId, more: u32) -> Result<(), ApiError> {
    let known = known(laboratory, id).await?;
    let StoredStudy { study, plan, dataset, .. } = &known.stored;
    let (grown, longer) = growth::with_more_seeds(study, plan, dataset, more).map_err(ApiError::Spec)?;
    let added = SeedAddition {
        seeds_before: study.seeds,
        seeds_after: grown.seeds,
        added_at: now(),
        runs_seen: growth::runs_seen(plan, &known.facts),
    };
    if laboratory.store.add_seeds(&id, &grown, &longer, &added).await? {
        return Ok(());
    }
    // It was deleted meanwhile, or somebody else was quicker.
    stored(laboratory, id).await?;
    Err(ApiError::Spec(vec![SpecError {
        field: "seeds".into(),
        problem: "were added by somebody else just now".into(),
        given: numbers::counted(more.into(), "more seed"),
        allowed: "to look at the study as it is now, and to ask again".into(),
    }]))
}

/// Forgets a study, and the trainings that no other study uses. Shared links stay.
pub async fn delete(laboratory: &Laboratory, id: StudyId) -> Result<(), ApiError> {
    stored(laboratory, id).await?;
    // The runner finds the folders that no study uses any more, also after a restart.
    laboratory.store.delete_study(&id).await?;
    laboratory.latest.forget(id);
    Ok(())
}

/// Freezes a study's comparison and returns the token that opens it. Only the token's digest is kept, so it is told once.
pub async fn share(laboratory: &Laboratory, id: StudyId) -> Result<String, ApiError> {
    let now = now();
    let snapshot = Snapshot::freeze(Report::clone(&*report(laboratory, id).await?), now);
    let token = new_token()?;
    laboratory.store.create_share(&digest(&token), &id, &snapshot, now, None).await?;
    Ok(token)
}

pub async fn shares(laboratory: &Laboratory) -> Result<Vec<Share>, ApiError> {
    Ok(laboratory.store.shares().await?)
}

pub async fn revoke(laboratory: &Laboratory, id: ShareId) -> Result<(), ApiError> {
    let revoked = laboratory.store.revoke_share(&id, now()).await?;
    revoked.then_some(()).ok_or_else(|| ApiError::NotFound("shared link".into()))
}

/// The data sets of this machine, for programs.
#[derive(Clone, Debug, Serialize)]
pub struct DataSets {
    /// Those that can be trained on.
    pub datasets: Vec<DatasetFacts>,
    /// The others that are known of.
    pub unusable: Vec<Unusable>,
    /// Those of them that are being downloaded or sent, or could not be downloaded.
    pub downloads: BTreeMap<Dataset, Download>,
}

/// Which data sets are here, which are not, and how far downloads are.
pub fn datasets(laboratory: &Laboratory) -> DataSets {
    // Before the machine: one that came in between is then among what is here.
    let downloads = BTreeMap::clone(&laboratory.downloads.get());
    let machine = laboratory.machine.get();
    DataSets { datasets: machine.datasets.clone(), unusable: machine.unusable.clone(), downloads }
}

/// What is kept of teachers' logits, for all studies.
pub fn teacher_logits(laboratory: &Laboratory) -> Held {
    let bytes = laboratory.teacher_logits_bytes.load(Ordering::Relaxed);
    Held { bytes, limit: laboratory.machine.get().teacher_logits_limit }
}

/// What a link shows. Unknown, expired and revoked links are told apart by nobody.
pub async fn shared(laboratory: &Laboratory, token: &str) -> Result<Option<Snapshot>, ApiError> {
    Ok(laboratory.store.shared(&digest(token), now()).await?)
}

fn no_study() -> ApiError {
    ApiError::NotFound("study".into())
}

/// 128 random bits as 32 hexadecimal digits: nobody guesses them.
fn new_token() -> Result<String, ApiError> {
    let mut bits = [0u8; 16];
    getrandom::fill(&mut bits).map_err(|error| {
        tracing::error!(%error, "the operating system gave no random bits");
        ApiError::Internal
    })?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn digest(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// Seconds since 1970-01-01 UTC.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_128_bits_and_differ() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_eq!(one.len(), 32);
        assert!(one.chars().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(one, other);
        assert_ne!(digest(&one), digest(&other));
    }
}
