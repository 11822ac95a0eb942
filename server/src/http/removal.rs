//! Removes what was brought here, data sets and teachers, where no study needs them.

use super::{Site, To, refusal};
use crate::datasets::{NotRemoved, forget_images};
use app::laboratory::Download;
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use std::io;
use store::{Store, StoreError, StoredStudy};
use study::{Dataset, TeacherNetwork, WeightsDigest};
use tokio::task;
use train::folder::images_path;

/// Why something stays, in a sentence.
struct Stays(StatusCode, String);

impl Stays {
    fn not_found(sentence: impl Into<String>) -> Stays {
        Stays(StatusCode::NOT_FOUND, sentence.into())
    }

    fn conflict(sentence: impl Into<String>) -> Stays {
        Stays(StatusCode::CONFLICT, sentence.into())
    }
}

impl From<StoreError> for Stays {
    fn from(error: StoreError) -> Stays {
        failed(&error)
    }
}

impl From<io::Error> for Stays {
    fn from(error: io::Error) -> Stays {
        failed(&error)
    }
}

fn failed(error: &dyn std::error::Error) -> Stays {
    tracing::error!(%error, "something could not be removed");
    Stays(StatusCode::INTERNAL_SERVER_ERROR, "It could not be removed; the server’s log says why.".into())
}

/// A data set with all of its files, or what came of one whose download broke off.
pub async fn dataset(State(site): State<Site>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let to = To::of(&headers);
    answer(to, remove_dataset(&site, &name, to).await, "/data")
}

/// The file of a teacher that was trained elsewhere, by its digest.
pub async fn teacher(State(site): State<Site>, Path(digest): Path<String>, headers: HeaderMap) -> Response {
    answer(To::of(&headers), remove_teacher(&site, &digest).await, "/data#teachers")
}

fn answer(to: To, removed: Result<(), Stays>, shown_at: &str) -> Response {
    match (removed, to) {
        (Ok(()), To::Page) => Redirect::to(shown_at).into_response(),
        (Ok(()), To::Program) => StatusCode::NO_CONTENT.into_response(),
        (Err(Stays(status, sentence)), to) => refusal(to, status, "This is not removed", &sentence),
    }
}

async fn remove_dataset(site: &Site, name: &str, to: To) -> Result<(), Stays> {
    let dataset: Dataset = name.parse().map_err(|_| Stays::not_found("This is no data set."))?;
    let laboratory = &site.laboratory;
    unless_used(&laboratory.store, &dataset.to_string(), |stored| stored.study.dataset == dataset).await?;
    let shelf = site.shelf.clone();
    let removed = task::spawn_blocking(move || shelf.remove(dataset)).await;
    match removed.map_err(io::Error::other)? {
        Ok(()) => {}
        // Somebody who sees it on a page that is not up to date has what they wanted.
        Err(NotRemoved::IsNotHere) if to == To::Page => {}
        Err(NotRemoved::IsNotHere) => return Err(Stays::not_found(format!("Nothing of {dataset} is here."))),
        Err(NotRemoved::IsBuiltIn) => {
            return Err(Stays::conflict(format!("{dataset} is built in, and cannot be removed.")));
        }
        Err(NotRemoved::IsElsewhere) => {
            let sentence = format!(
                "The files of {dataset} lie where somebody said when Stillroom started, and are not removed from here: start it \
                 without that."
            );
            return Err(Stays::conflict(sentence));
        }
        Err(NotRemoved::Comes) => {
            return Err(Stays::conflict(format!("{dataset} is on its way here: wait for it, or cancel its download.")));
        }
        Err(NotRemoved::Io(error)) => return Err(error.into()),
    }
    // How an earlier download of it ended is of no interest any more.
    laboratory.downloads.change(|all| {
        if all.get(&dataset).is_some_and(|download| !Download::goes_on(download)) {
            all.remove(&dataset);
        }
    });
    forget_images(&laboratory.store, &laboratory.machine.get(), &images_path(&site.shelf.data_dir)).await?;
    Ok(())
}

async fn remove_teacher(site: &Site, digest: &str) -> Result<(), Stays> {
    let unknown = || Stays::not_found("No such teacher is here.");
    let digest: WeightsDigest = digest.parse().map_err(|_| unknown())?;
    let is_it = |network: &TeacherNetwork| network.imported == Some(digest);
    let teaches = |stored: &StoredStudy| {
        stored.study.teacher.as_ref().is_some_and(|teacher| teacher.architecture.0.iter().any(is_it))
    };
    unless_used(&site.laboratory.store, "This teacher", teaches).await?;
    let shared = site.shelf.data_dir.clone();
    let removed = task::spawn_blocking(move || train::imported::remove(&shared, digest)).await;
    if !removed.map_err(io::Error::other)?? {
        return Err(unknown());
    }
    site.laboratory.store.touch();
    Ok(())
}

/// Names the studies that need something, of whatever they are by now: seeds can be added to one that is finished.
async fn unless_used(store: &Store, what: &str, uses: impl Fn(&StoredStudy) -> bool) -> Result<(), Stays> {
    const NAMED_MAX: usize = 10;
    let studies = store.studies().await?;
    let users: Vec<&StoredStudy> = studies.iter().filter(|stored| uses(stored)).collect();
    if users.is_empty() {
        return Ok(());
    }
    let named = users.iter().take(NAMED_MAX).map(|stored| format!("“{}” (study {})", stored.study.title, stored.id));
    let mut named: Vec<String> = named.collect();
    if users.len() > NAMED_MAX {
        named.push(format!("{} more", users.len() - NAMED_MAX));
    }
    let (them, whole) = if users.len() == 1 { ("it", "a study") } else { ("them", "studies") };
    Err(Stays::conflict(format!("{what} is needed by {whole}: {}. Delete {them} first.", named.join(", "))))
}
