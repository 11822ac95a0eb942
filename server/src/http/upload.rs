//! An archive of images that a person sends, by class or as a data set is published: it is kept as it came, unpacked in memory alone,
//! and is a data set at once if all of it can be read.

use super::{
    Site, To,
    form::{self, NotTaken, Sent, not_kept},
};
use crate::{
    datasets::{Coming, NotBrought, Shelf, built_in},
    download::beside,
};
use axum::{
    Json,
    extract::{Multipart, Request, State, multipart::Field},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use std::{fs, path::PathBuf};
use study::{Dataset, DatasetFacts};
use tokio::task;
use train::folder::sync_folder;

const ENDINGS: [&str; 4] = [".zip", ".tar.gz", ".tgz", ".tar"];

/// What uploads need.
#[derive(Clone)]
pub struct Uploads {
    pub shelf: Shelf,
    /// Bytes that an archive may have; 0: none is taken.
    pub bytes_max: u64,
}

/// A form with `name` (such as flowers@64) and, behind it, `archive`. Programs are told the data set's facts; a browser is led to
/// where it is shown.
pub async fn upload(State(site): State<Site>, request: Request) -> Response {
    let to = To::of(request.headers());
    let uploads = site.uploads;
    let (mut form, sent) = match form::open(request, uploads.bytes_max, "name and, behind it, archive").await {
        Ok(opened) => opened,
        Err(refusal) => return refusal,
    };
    match (take(&uploads, &mut form, &sent).await, to) {
        (Ok(facts), To::Page) => Redirect::to(&format!("/data#{}", facts.dataset)).into_response(),
        (Ok(facts), To::Program) => (StatusCode::CREATED, Json(facts)).into_response(),
        (Err(refused), to) => form::refuse(to, refused, Some(sent)).await,
    }
}

/// Of a data set that comes, or is here, already.
fn has_a_place(dataset: Dataset, why: NotBrought) -> NotTaken {
    let remove =
        format!("remove datasets/{dataset} from the data folder, if it lies there, and start Stillroom again.");
    let sentence = match (why, dataset) {
        (NotBrought::Comes, _) => format!("{dataset} is on its way here already: wait for it."),
        (_, Dataset::Folder(_)) => format!("{dataset} has a place already: choose another name, or {remove}"),
        _ => format!("{dataset} has a place already: {remove}"),
    };
    NotTaken(StatusCode::CONFLICT, sentence)
}

async fn take(uploads: &Uploads, form: &mut Multipart, sent: &Sent) -> Result<DatasetFacts, NotTaken> {
    let mut name = None;
    while let Some(field) = sent.next(form.next_field()).await? {
        match field.name() {
            Some("name") => name = Some(form::text(field, sent).await?),
            Some("archive") => {
                let name =
                    name.as_deref().ok_or_else(|| NotTaken::wrong("The form’s name must come before its archive."))?;
                let dataset = named(name)?;
                let coming = uploads.shelf.begin(dataset).map_err(|why| has_a_place(dataset, why))?;
                if tokio::fs::try_exists(uploads.shelf.folder(dataset)).await.map_err(not_kept)? {
                    return Err(has_a_place(dataset, NotBrought::HasAPlace));
                }
                let part = receive(uploads, field, &coming, sent).await?;
                return add(uploads.shelf.clone(), coming, part).await;
            }
            _ => {}
        }
    }
    Err(NotTaken::wrong("The form has no archive."))
}

fn named(name: &str) -> Result<Dataset, NotTaken> {
    match name.trim().parse() {
        Ok(dataset) if !built_in(dataset) => Ok(dataset),
        _ => Err(NotTaken::wrong(format!(
            "An archive is named as its data set is, of which fashion-mnist-12k is here already: {}.",
            Dataset::ALLOWED
        ))),
    }
}

/// A folder that goes away unless it is kept.
struct Unfinished(PathBuf);

impl Unfinished {
    fn keep(mut self) {
        // What is left to remove has no path.
        self.0 = PathBuf::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way: it has no data set's name.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes the archive into a folder beside that which it is to have.
async fn receive(uploads: &Uploads, field: Field<'_>, coming: &Coming, sent: &Sent) -> Result<Unfinished, NotTaken> {
    let given = field.file_name().unwrap_or_default().to_lowercase();
    let ending = ENDINGS.into_iter().find(|ending| given.ends_with(ending));
    let ending =
        ending.ok_or_else(|| NotTaken::wrong(format!("The archive’s name must end with {}.", ENDINGS.join(", "))))?;
    let part = Unfinished(beside(&uploads.shelf.folder(coming.dataset), "upload"));
    // One that could not be removed before.
    let _ = tokio::fs::remove_dir_all(&part.0).await;
    tokio::fs::create_dir_all(&part.0).await.map_err(not_kept)?;
    form::write(field, sent, &part.0.join(format!("images{ending}")), uploads.bytes_max).await?;
    Ok(part)
}

/// Reads all of it: then it gets its name and is a data set of this machine, or it goes away, also where nobody waits for the answer any
/// more. Only then may the same data set come in another way.
async fn add(shelf: Shelf, coming: Coming, part: Unfinished) -> Result<DatasetFacts, NotTaken> {
    let added = task::spawn_blocking(move || {
        let read = shelf.read(coming.dataset, &part.0);
        let read = read.map_err(|error| NotTaken::wrong(format!("The archive cannot be used: {error}.")))?;
        let folder = shelf.folder(coming.dataset);
        fs::rename(&part.0, &folder).and_then(|()| sync_folder(&folder)).map_err(not_kept)?;
        part.keep();
        let facts = read.0.clone();
        shelf.add(read, &folder);
        drop(coming);
        Ok(facts)
    });
    added.await.unwrap_or_else(|ended| {
        tracing::error!(%ended, "reading an upload ended by itself");
        let sentence = "The archive could not be read; the server’s log says why.";
        Err(NotTaken(StatusCode::INTERNAL_SERVER_ERROR, sentence.into()))
    })
}
