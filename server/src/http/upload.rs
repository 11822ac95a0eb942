//! An archive of images that a person sends, by class or as a data set is published: it is kept as it came, unpacked in memory alone,
//! and is a data set at once if all of it can be read.

use super::{Site, from_a_page, refusal};
use crate::datasets::{Shelf, built_in, usual_folder};
use axum::{
    Json,
    extract::{Multipart, Request, State, multipart::Field},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};
use study::{Dataset, DatasetFacts};
use tokio::{
    fs::File,
    io::AsyncWriteExt,
    sync::{Mutex, OwnedMutexGuard},
    task, time,
};
use train::TrainError;

const PATH: &str = "/api/v1/datasets";
/// A gigabyte at two megabits a second.
const WITHIN: Duration = Duration::from_secs(70 * 60);
/// How long what is not taken is listened to.
const HEAR_OUT: Duration = Duration::from_secs(60);
const NAME_BYTES_MAX: usize = 100;
const ENDINGS: [&str; 4] = [".zip", ".tar.gz", ".tgz", ".tar"];

/// Where uploads go, one at a time.
#[derive(Clone)]
pub struct Uploads {
    pub shelf: Shelf,
    bytes_max: u64,
    turn: Arc<Mutex<()>>,
}

impl Uploads {
    pub fn new(shelf: Shelf, bytes_max: u64) -> Uploads {
        Uploads { shelf, bytes_max, turn: Arc::default() }
    }
}

/// Whether a request is one whose body is not read before its route reads it.
pub fn is_upload(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == PATH
}

/// Why an upload is not taken, in a sentence.
struct Refused(StatusCode, String);

impl Refused {
    fn wrong(sentence: impl Into<String>) -> Refused {
        Refused(StatusCode::UNPROCESSABLE_ENTITY, sentence.into())
    }

    fn broke_off() -> Refused {
        Refused(StatusCode::BAD_REQUEST, "The upload ended before the archive did.".into())
    }
}

impl From<io::Error> for Refused {
    /// Logged here, and told in no detail.
    fn from(error: io::Error) -> Refused {
        tracing::error!(%error, "an upload could not be kept");
        Refused(StatusCode::INTERNAL_SERVER_ERROR, "The archive could not be kept; the server’s log says why.".into())
    }
}

/// A form with `name` (such as flowers@64) and, behind it, `archive`. Programs are told the data set's facts; a browser is led to
/// where it is shown.
pub async fn upload(State(site): State<Site>, headers: HeaderMap, mut form: Multipart) -> Response {
    let from_a_page = from_a_page(&headers);
    let taken = time::timeout(WITHIN, take(&site.uploads, &mut form)).await;
    let taken = taken.unwrap_or_else(|_| Err(Refused(StatusCode::REQUEST_TIMEOUT, "The upload took too long.".into())));
    match taken {
        Ok(facts) if from_a_page => Redirect::to(&format!("/data#{}", facts.dataset)).into_response(),
        Ok(facts) => (StatusCode::CREATED, Json(facts)).into_response(),
        Err(Refused(status, sentence)) => {
            // Whoever still sends would not hear the answer.
            let _ = time::timeout(HEAR_OUT, hear_out(&mut form)).await;
            match from_a_page {
                true => refusal("/data", status, "This is not taken", &escaped(&sentence)),
                false => refusal(PATH, status, "", &sentence),
            }
        }
    }
}

async fn hear_out(form: &mut Multipart) {
    while let Ok(Some(mut field)) = form.next_field().await {
        while let Ok(Some(_)) = field.chunk().await {}
    }
}

/// What stands in a page as it is: names of files come from whoever made the archive.
fn escaped(sentence: &str) -> String {
    sentence.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

async fn take(uploads: &Uploads, form: &mut Multipart) -> Result<DatasetFacts, Refused> {
    let other = || Refused(StatusCode::CONFLICT, "Another archive is being uploaded: wait for it.".into());
    let turn = uploads.turn.clone().try_lock_owned().map_err(|_| other())?;
    let mut name = None;
    while let Some(field) = form.next_field().await.map_err(|_| Refused::broke_off())? {
        match field.name() {
            Some("name") => name = Some(text(field).await?),
            Some("archive") => {
                let name =
                    name.as_deref().ok_or_else(|| Refused::wrong("The form’s name must come before its archive."))?;
                let dataset = named(name)?;
                let folder = usual_folder(&uploads.shelf.data_dir, dataset);
                if folder.exists() || uploads.shelf.paths.get().contains_key(&dataset) {
                    let sentence = format!(
                        "{dataset} has a place already: choose another name, or remove datasets/{dataset} from the data folder \
                         and start Stillroom again."
                    );
                    return Err(Refused(StatusCode::CONFLICT, sentence));
                }
                let folder = receive(uploads, field, folder).await?;
                return add(uploads.shelf.clone(), dataset, folder, turn).await;
            }
            _ => {}
        }
    }
    Err(Refused::wrong("The form has no archive."))
}

fn named(name: &str) -> Result<Dataset, Refused> {
    match name.trim().parse() {
        Ok(dataset) if !built_in(dataset) => Ok(dataset),
        _ => Err(Refused::wrong(
            "Name it NAME@PIXELS, such as flowers@64: small letters, digits and hyphens, then 8 to 64 pixels, divisible by 4. \
             An archive as it is published is named fashion-mnist, mnist, cifar-10, cifar-100 or tiny-imagenet.",
        )),
    }
}

async fn text(mut field: Field<'_>) -> Result<String, Refused> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|_| Refused::broke_off())? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > NAME_BYTES_MAX {
            return Err(Refused::wrong("The name is too long."));
        }
    }
    String::from_utf8(bytes).map_err(|_| Refused::wrong("The name is not text."))
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

/// Writes the archive into `folder`, which is there only once all of it is.
async fn receive(uploads: &Uploads, mut field: Field<'_>, folder: PathBuf) -> Result<Unfinished, Refused> {
    let given = field.file_name().unwrap_or_default().to_lowercase();
    let ending = ENDINGS.into_iter().find(|ending| given.ends_with(ending));
    let ending =
        ending.ok_or_else(|| Refused::wrong(format!("The archive’s name must end with {}.", ENDINGS.join(", "))))?;
    let mut part = folder.as_os_str().to_owned();
    part.push(".part");
    let part = Unfinished(part.into());
    // One that a server left behind when it was killed.
    let _ = fs::remove_dir_all(&part.0);
    fs::create_dir_all(&part.0)?;
    let mut file = File::create(part.0.join(format!("images{ending}"))).await?;
    let mut left = uploads.bytes_max;
    while let Some(chunk) = field.chunk().await.map_err(|_| Refused::broke_off())? {
        let too_large = || {
            let sentence =
                format!("An archive may have up to {} bytes (stillroom serve --upload-limit).", uploads.bytes_max);
            Refused(StatusCode::PAYLOAD_TOO_LARGE, sentence)
        };
        left = left.checked_sub(chunk.len() as u64).ok_or_else(too_large)?;
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;
    fs::rename(&part.0, &folder)?;
    Ok(Unfinished(folder))
}

/// Reads all of it: then it is a data set of this machine, or it goes away, also where nobody waits for the answer any more. Only
/// then is it the next one's turn.
async fn add(
    shelf: Shelf,
    dataset: Dataset,
    folder: Unfinished,
    turn: OwnedMutexGuard<()>,
) -> Result<DatasetFacts, Refused> {
    let read = task::spawn_blocking(move || {
        let _turn = turn;
        let facts = shelf.add(dataset, &folder.0)?;
        folder.keep();
        Ok(facts)
    });
    read.await
        .map_err(io::Error::other)?
        .map_err(|error: TrainError| Refused::wrong(format!("The archive cannot be used: {error}.")))
}
