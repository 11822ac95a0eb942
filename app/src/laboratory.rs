//! What can be done in a laboratory. The pages' server functions and the HTTP API call these same few functions.

use crate::error::ApiError;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};
use store::{Store, StoredStudy};
use study::{
    DatasetFacts, Device, Machine, Numerics, Plan, Report, Share, ShareId, Snapshot, SpecError, Study, StudyCard,
    StudyId,
};

/// Finds the data set a study names, split as the study asks, or says on which field it fails.
pub type FindDataset = dyn Fn(&Study) -> Result<DatasetFacts, SpecError> + Send + Sync;

/// What the server gives to pages and API. Cheap to clone.
#[derive(Clone)]
pub struct Laboratory {
    pub store: Store,
    /// What this machine can do, as far as it is measured by now.
    pub machine: Arc<RwLock<Machine>>,
    /// "https://lab.example.org", without a slash at its end; `None`: links name the host of the request.
    pub public_url: Option<String>,
    /// Finds the data set a study names, split as the study asks, or says on which field it fails.
    pub dataset: Arc<FindDataset>,
    /// The arithmetic of a device, or why it cannot be used here.
    pub numerics: fn(Device) -> Result<Numerics, SpecError>,
    /// A study that was trained beforehand by this program.
    pub example: Option<Arc<Snapshot>>,
}

impl Laboratory {
    pub fn machine(&self) -> Machine {
        self.machine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Plans a study for this machine. Says everything that is wrong with it.
pub fn plan(laboratory: &Laboratory, study: &Study) -> Result<(Plan, DatasetFacts), ApiError> {
    let mut errors = study.check();
    let dataset = (laboratory.dataset)(study).map_err(|error| errors.push(error)).ok();
    let numerics = (laboratory.numerics)(study.recipe.device).map_err(|error| errors.push(error)).ok();
    match (dataset, numerics) {
        (Some(dataset), Some(numerics)) if errors.is_empty() => {
            let plan = Plan::new(study, &dataset, numerics).map_err(ApiError::Spec)?;
            Ok((plan, dataset))
        }
        _ => Err(ApiError::Spec(errors)),
    }
}

/// Starts a study: it is stored with its plan, and the runner finds it there.
pub async fn create(laboratory: &Laboratory, study: &Study) -> Result<StudyId, ApiError> {
    let (plan, dataset) = plan(laboratory, study)?;
    Ok(laboratory.store.create_study(study, &plan, &dataset, now()).await?)
}

/// Newest first.
pub async fn list(laboratory: &Laboratory) -> Result<Vec<StudyCard>, ApiError> {
    let mut cards = Vec::new();
    for stored in laboratory.store.studies().await? {
        let report = report_of(laboratory, &stored).await?;
        cards.push(StudyCard::new(stored.id, stored.created_at, &report));
    }
    Ok(cards)
}

pub async fn stored(laboratory: &Laboratory, id: StudyId) -> Result<StoredStudy, ApiError> {
    laboratory.store.study(&id).await?.ok_or_else(no_study)
}

pub async fn report(laboratory: &Laboratory, id: StudyId) -> Result<Report, ApiError> {
    report_of(laboratory, &stored(laboratory, id).await?).await
}

async fn report_of(laboratory: &Laboratory, stored: &StoredStudy) -> Result<Report, ApiError> {
    let facts = laboratory.store.facts(&stored.plan).await?;
    let stopped = stored.stopped_at.is_some();
    Ok(study::comparison::report(&stored.study, &stored.plan, &facts, stopped, &laboratory.machine()))
}

pub async fn stop(laboratory: &Laboratory, id: StudyId) -> Result<(), ApiError> {
    laboratory.store.stop_study(&id, now()).await?.then_some(()).ok_or_else(no_study)
}

/// Goes on with a stopped study, and tries again what failed and may succeed now.
pub async fn resume(laboratory: &Laboratory, id: StudyId) -> Result<(), ApiError> {
    laboratory.store.resume_study(&id).await?.then_some(()).ok_or_else(no_study)
}

/// Forgets a study, and the trainings that no other study uses. Shared links stay.
pub async fn delete(laboratory: &Laboratory, id: StudyId) -> Result<(), ApiError> {
    stored(laboratory, id).await?;
    // The runner finds the folders that no study uses any more, also after a restart.
    laboratory.store.delete_study(&id).await?;
    Ok(())
}

/// Freezes a study's comparison and returns the token that opens it. Only the token's digest is kept, so it is told once.
pub async fn share(laboratory: &Laboratory, id: StudyId) -> Result<String, ApiError> {
    let now = now();
    let snapshot = Snapshot::freeze(report(laboratory, id).await?, now);
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
