//! A button that brings a data set's official files: it answers at once, and the page of data sets says how far it is.

use super::{Site, To, refusal};
use crate::{
    datasets::{Coming, NotBrought, Shelf},
    download::{self, can_be_downloaded},
};
use app::laboratory::{Current, Download};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};
use study::Dataset;

/// How often pages are told how far what comes is.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(1);

/// What downloads need.
#[derive(Clone)]
struct Downloads {
    shelf: Shelf,
    from: Option<String>,
    /// How far each one is, as the page says it.
    told: Current<BTreeMap<Dataset, Download>>,
}

impl Downloads {
    fn say(&self, dataset: Dataset, download: Download) {
        self.told.change(|all| {
            all.insert(dataset, download);
        });
    }

    /// As [`Downloads::say`], of one that goes on, unless somebody asked for it to end: that stands until it has.
    fn tell(&self, dataset: Dataset, download: Download) {
        self.told.change(|all| {
            if all.get(&dataset) != Some(&Download::BeingCancelled) {
                all.insert(dataset, download);
            }
        });
    }

    fn is_cancelled(&self, dataset: Dataset) -> bool {
        self.told.get().get(&dataset) == Some(&Download::BeingCancelled)
    }

    /// To its end, whatever that is. A server that stops meanwhile leaves what has come, and the next attempt goes on from it.
    fn bring(&self, coming: Coming) {
        let dataset = coming.dataset;
        // Whatever state a panic leaves is dropped with it: what is shared is behind locks that say how they treat that.
        let brought = catch_unwind(AssertUnwindSafe(|| self.download_and_add(dataset)));
        let brought = brought.unwrap_or_else(|_| Err("it ended by itself; the server’s log says why".into()));
        // Whoever hears how it ended may begin another attempt.
        drop(coming);
        match brought {
            // It stands among those that are here now.
            Ok(()) => self.told.change(|all| {
                all.remove(&dataset);
            }),
            Err(_) if self.is_cancelled(dataset) => self.say(dataset, Download::Cancelled),
            Err(problem) => {
                tracing::warn!(%dataset, problem, "a data set was not downloaded");
                self.say(dataset, Download::Ended { problem });
            }
        }
    }

    fn download_and_add(&self, dataset: Dataset) -> Result<(), String> {
        let folder = self.shelf.folder(dataset);
        let from = self.from.as_deref().map(|from| format!("{}/{dataset}", from.trim_end_matches('/')));
        let mut said: Option<(&str, Instant)> = None;
        let downloaded = download::download(dataset, &folder, from.as_deref(), |file, bytes| {
            if self.is_cancelled(dataset) {
                return ControlFlow::Break(());
            }
            // Every page that is open reads itself anew.
            if said.is_none_or(|(name, when)| name != file.name || when.elapsed() >= TELL_EVERY) {
                said = Some((file.name, Instant::now()));
                self.tell(dataset, Download::Coming { file: file.name, bytes, total: file.bytes });
            }
            ControlFlow::Continue(())
        });
        downloaded.map_err(|error| error.to_string())?;
        self.tell(dataset, Download::BeingRead);
        let read = self.shelf.read(dataset, &folder).map_err(|error| error.to_string())?;
        self.shelf.add(read, &folder);
        Ok(())
    }
}

/// Begins a download, or goes on with one that broke off. How far it is `GET /api/v1/datasets` says.
pub async fn begin(State(site): State<Site>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let to = To::of(&headers);
    let refuse = |status, sentence: &str| refusal(to, status, "This is not downloaded", sentence);
    let Some(dataset) = name.parse().ok().filter(|dataset| can_be_downloaded(*dataset)) else {
        return refuse(StatusCode::NOT_FOUND, "This is no data set that can be downloaded.");
    };
    let downloads = Downloads { shelf: site.shelf, from: site.download_from, told: site.laboratory.downloads };
    match downloads.shelf.begin(dataset) {
        Ok(coming) => {
            downloads.say(dataset, Download::Begun);
            // A thread of its own, which a server that stops does not wait for.
            let begun = downloads.clone();
            if let Err(error) = thread::Builder::new().spawn(move || begun.bring(coming)) {
                let problem = format!("no thread could be started for it: {error}");
                downloads.say(dataset, Download::Ended { problem });
            }
        }
        // Pressed twice, or on a page that was not up to date.
        Err(NotBrought::Comes) if !matches!(downloads.told.get().get(&dataset), None | Some(Download::Sent { .. })) => {
        }
        Err(NotBrought::Comes) => return refuse(StatusCode::CONFLICT, "An archive of it is being sent: wait for it."),
        Err(NotBrought::IsHere) if to == To::Page => {}
        Err(NotBrought::IsHere) => return refuse(StatusCode::CONFLICT, "This data set is here already."),
        Err(NotBrought::HasAPlace) => {
            return refuse(
                StatusCode::CONFLICT,
                "This data set has a place already; what is wrong with it stands on the page Data.",
            );
        }
    }
    match to {
        To::Page => Redirect::to(&format!("/data#{dataset}")).into_response(),
        To::Program => (StatusCode::ACCEPTED, [(header::LOCATION, "/api/v1/datasets")]).into_response(),
    }
}

/// Gives a download up. It ends with the next bytes that come, or once its server has been silent for too long; what has come is kept, and
/// the next attempt goes on from there.
pub async fn cancel(State(site): State<Site>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let to = To::of(&headers);
    let refuse = |status, sentence: &str| refusal(to, status, "This is not cancelled", sentence);
    let Ok(dataset) = name.parse::<Dataset>() else {
        return refuse(StatusCode::NOT_FOUND, "This is no data set.");
    };
    let mut before = None;
    site.laboratory.downloads.change(|all| {
        before = all.get(&dataset).cloned();
        if let Some(Download::Begun | Download::Coming { .. }) = before {
            all.insert(dataset, Download::BeingCancelled);
        }
    });
    match before {
        Some(Download::Begun | Download::Coming { .. } | Download::BeingCancelled) => {}
        // Whoever presses a button of a page that is not up to date is shown how it ended.
        _ if to == To::Page => {}
        Some(Download::BeingRead) => return refuse(StatusCode::CONFLICT, "It has come already, and is being read."),
        _ => return refuse(StatusCode::NOT_FOUND, "This data set is not being downloaded."),
    }
    match to {
        To::Page => Redirect::to(&format!("/data#{dataset}")).into_response(),
        To::Program => (StatusCode::ACCEPTED, [(header::LOCATION, "/api/v1/datasets")]).into_response(),
    }
}
