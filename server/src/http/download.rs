//! A button that brings a data set's official files: it answers at once, and the page of data sets says how far it is.

use super::{Site, from_a_page, refusal};
use crate::{
    datasets::{Shelf, usual_folder},
    fetch::{self, Progress},
};
use app::laboratory::{Current, Download};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use std::{collections::BTreeMap, thread};
use study::Dataset;
use tokio::sync::watch;

/// What downloads need.
#[derive(Clone)]
pub struct Downloads {
    pub shelf: Shelf,
    /// Another server than those where the files are published.
    pub from: Option<String>,
    /// How far each one is, as the page says it.
    pub told: Current<BTreeMap<Dataset, Download>>,
    moved: watch::Sender<()>,
}

impl Downloads {
    pub fn new(shelf: Shelf, from: Option<String>, told: Current<BTreeMap<Dataset, Download>>) -> Downloads {
        Downloads { shelf, from, told, moved: watch::Sender::new(()) }
    }

    /// Changes with each hundredth of a file, and whenever one begins or ends.
    pub fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    fn say(&self, dataset: Dataset, download: Download) {
        self.told.change(|all| all.insert(dataset, download));
        self.moved.send_replace(());
    }

    /// Says that a download begins, unless one goes on.
    fn begins(&self, dataset: Dataset) -> bool {
        let begins = self.told.change(|all| {
            let begins = !all.get(&dataset).is_some_and(Download::goes_on);
            if begins {
                all.insert(dataset, Download::Begun);
            }
            begins
        });
        self.moved.send_replace(());
        begins
    }

    /// To its end, whatever that is. A server that stops meanwhile leaves what has come, and the next attempt goes on from it.
    fn bring(&self, dataset: Dataset) {
        let folder = usual_folder(&self.shelf.data_dir, dataset);
        let mut said = None;
        let fetched = fetch::fetch_all(dataset, &folder, self.from.as_deref(), |file, Progress { bytes, total }| {
            let hundredth = Some((file.name, bytes / (total.unwrap_or(fetch::FILE_BYTES_MAX) / 100).max(1)));
            if hundredth != said {
                said = hundredth;
                self.say(dataset, Download::Coming { file: file.name, bytes, total });
            }
        });
        let added = fetched.map_err(|error| error.to_string()).and_then(|()| {
            self.say(dataset, Download::BeingRead);
            self.shelf.add(dataset, &folder).map_err(|error| error.to_string())
        });
        match added {
            // It stands among those that are here now.
            Ok(_) => drop(self.told.change(|all| all.remove(&dataset))),
            Err(problem) => self.say(dataset, Download::Ended(problem)),
        }
        self.moved.send_replace(());
    }
}

/// Begins a download, or goes on with one that broke off.
pub async fn download(State(site): State<Site>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let from_a_page = from_a_page(&headers);
    let path = if from_a_page { "/data" } else { "/api/v1/datasets" };
    let refuse = |status, sentence: &str| refusal(path, status, "This is not downloaded", sentence);
    let Some(dataset) = name.parse().ok().filter(|dataset| fetch::can_fetch(*dataset)) else {
        return refuse(StatusCode::NOT_FOUND, "This is no data set that can be downloaded.");
    };
    let downloads = site.downloads;
    // What was begun before this server started lies where it is to come.
    let usual = usual_folder(&downloads.shelf.data_dir, dataset);
    let elsewhere = downloads.shelf.paths.get().get(&dataset).is_some_and(|place| *place != usual);
    if elsewhere || downloads.shelf.machine.get().datasets.iter().any(|facts| facts.dataset == dataset) {
        return refuse(
            StatusCode::CONFLICT,
            "This data set has a place already; what is wrong with it stands on the page.",
        );
    }
    if downloads.begins(dataset) {
        // A thread of its own, which a server that stops does not wait for.
        let begun = downloads.clone();
        if let Err(error) = thread::Builder::new().spawn(move || begun.bring(dataset)) {
            downloads.say(dataset, Download::Ended(format!("no thread could be started for it: {error}")));
        }
    }
    match from_a_page {
        true => Redirect::to(&format!("/data#{dataset}")).into_response(),
        false => StatusCode::ACCEPTED.into_response(),
    }
}
