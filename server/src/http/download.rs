//! A button that brings a data set's official files: it answers at once, and the page of data sets says how far it is.

use super::{Site, refusal};
use crate::{
    datasets::{Shelf, usual_folder},
    fetch::{self, Progress},
};
use app::laboratory::{Current, Download};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use std::{collections::BTreeMap, thread};
use study::Dataset;

/// What downloads need.
#[derive(Clone)]
pub struct Downloads {
    pub shelf: Shelf,
    /// Another server than those where the files are published.
    pub from: Option<String>,
}

/// Begins a download, or goes on with one that broke off.
pub async fn download(State(site): State<Site>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("/api/v1/datasets/{name}/download");
    let refuse = |status, sentence: &str| refusal(&path, status, "", sentence);
    let Some(dataset) = name.parse().ok().filter(|dataset| fetch::can_fetch(*dataset)) else {
        return refuse(StatusCode::NOT_FOUND, "This is no data set that can be downloaded.");
    };
    let (downloads, begun) = (site.laboratory.downloads, site.downloads);
    // What was begun before this server started lies where it is to come.
    let usual = usual_folder(&begun.shelf.data_dir, dataset);
    let elsewhere = begun.shelf.paths.get().get(&dataset).is_some_and(|place| *place != usual);
    if elsewhere || begun.shelf.machine.get().datasets.iter().any(|facts| facts.dataset == dataset) {
        return refuse(
            StatusCode::CONFLICT,
            "This data set has a place already; what is wrong with it stands on the page.",
        );
    }
    let goes_on = downloads.get().get(&dataset).is_some_and(|download| download.problem.is_none());
    if !goes_on {
        say(&downloads, dataset, Some(Download::default()));
        // A thread of its own, which a server that stops does not wait for.
        let told = downloads.clone();
        if let Err(error) = thread::Builder::new().spawn(move || bring(&begun, dataset, &told)) {
            let problem = Some(format!("no thread could be started for it: {error}"));
            say(&downloads, dataset, Some(Download { problem, ..Download::default() }));
        }
    }
    let accepts_pages = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    match accepts_pages.is_some_and(|accept| accept.contains("text/html")) {
        true => Redirect::to(&format!("/data#{dataset}")).into_response(),
        false => StatusCode::ACCEPTED.into_response(),
    }
}

/// To its end, whatever that is. A server that stops meanwhile leaves what has come, and the next attempt goes on from it.
fn bring(Downloads { shelf, from }: &Downloads, dataset: Dataset, downloads: &Current<BTreeMap<Dataset, Download>>) {
    let folder = usual_folder(&shelf.data_dir, dataset);
    let fetched = fetch::fetch_all(dataset, &folder, from.as_deref(), |_, Progress { bytes, total }| {
        say(downloads, dataset, Some(Download { bytes, total, problem: None }));
    });
    let problem = match fetched {
        Ok(()) => shelf.add(dataset, &folder).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    say(downloads, dataset, problem.map(|problem| Download { problem: Some(problem), ..Download::default() }));
}

fn say(downloads: &Current<BTreeMap<Dataset, Download>>, dataset: Dataset, download: Option<Download>) {
    let mut all = BTreeMap::clone(&downloads.get());
    match download {
        Some(download) => all.insert(dataset, download),
        None => all.remove(&dataset),
    };
    downloads.set(all);
}
