//! Teachers that were trained elsewhere: what `stillroom import-teacher` does, for pages and programs.

use super::{
    Site, To,
    form::{self, NotTaken, Sent, not_kept},
};
use axum::{
    Json,
    extract::{Multipart, Request, State, multipart::Field},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use study::ImportedTeacher;
use tokio::task;
use train::{
    TrainError,
    imported::{OfItself, described, import},
};

/// Those that are here, by name.
pub async fn list(State(site): State<Site>) -> Response {
    Json((site.laboratory.imported)()).into_response()
}

/// A form with `architecture`, `mean`, `deviation` and `name`, each of which may be left out where the file says it itself, and behind
/// them `weights`, a safetensors file. Programs are told what became of it; a browser is led to where it is shown.
pub async fn bring(State(site): State<Site>, request: Request) -> Response {
    let to = To::of(request.headers());
    let bytes_max = site.uploads.bytes_max;
    let (mut form, sent) =
        match form::open(request, bytes_max, "architecture, mean, deviation, name and, behind them, weights").await {
            Ok(opened) => opened,
            Err(refusal) => return refusal,
        };
    match (take(&site.uploads.shelf.data_dir, bytes_max, &mut form, &sent).await, to) {
        (Ok(_), To::Page) => Redirect::to("/data#teachers").into_response(),
        (Ok(teacher), To::Program) => (StatusCode::CREATED, Json(teacher)).into_response(),
        (Err(refused), to) => form::refuse(to, refused, Some(sent)).await,
    }
}

async fn take(data_dir: &Path, bytes_max: u64, form: &mut Multipart, sent: &Sent) -> Result<ImportedTeacher, NotTaken> {
    let (mut said, mut name) = (OfItself::default(), None);
    let (mut mean, mut deviation) = (None, None);
    while let Some(field) = sent.next(form.next_field()).await? {
        match field.name() {
            Some("architecture") => {
                let text = form::text(field, sent).await?;
                let read = |text: &str| {
                    text.parse().map_err(|wrong| NotTaken::wrong(format!("architecture: {text:?} is {wrong}.")))
                };
                said.architecture = given(&text).map(read).transpose()?;
            }
            Some("mean") => mean = numbers("mean", &form::text(field, sent).await?)?,
            Some("deviation") => deviation = numbers("deviation", &form::text(field, sent).await?)?,
            Some("name") => name = given(&form::text(field, sent).await?).map(str::to_owned),
            Some("weights") => {
                said.normalisation = match (mean, deviation) {
                    (Some(mean), Some(deviation)) => Some([mean, deviation]),
                    (None, None) => None,
                    _ => return Err(NotTaken::wrong("mean and deviation are given both or not at all.")),
                };
                return weights(data_dir, bytes_max, said, name, field, sent).await;
            }
            _ => {}
        }
    }
    Err(NotTaken::wrong("The form has no weights."))
}

/// What stands in a field; `None` where it was left empty.
fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// A number for each colour, with commas between them.
fn numbers(field: &str, text: &str) -> Result<Option<Vec<f32>>, NotTaken> {
    let Some(text) = given(text) else { return Ok(None) };
    let read: Result<Vec<f32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    let wrong =
        || NotTaken::wrong(format!("{field}: {text:?} is no list of numbers; write it like 0.4914,0.4822,0.4465."));
    read.map(Some).map_err(|_| wrong())
}

/// Counts those that come, so that each has a file of its own.
static BROUGHT: AtomicU64 = AtomicU64::new(0);

/// A file that goes away.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way: it has no teacher's name.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn weights(
    data_dir: &Path,
    bytes_max: u64,
    said: OfItself,
    name: Option<String>,
    field: Field<'_>,
    sent: &Sent,
) -> Result<ImportedTeacher, NotTaken> {
    let of_file = field.file_name().and_then(|name| Path::new(name).file_stem()?.to_str()).map(str::to_owned);
    let name = name.or(of_file).unwrap_or_else(|| "a teacher".into());
    let folder = data_dir.join("uploads");
    tokio::fs::create_dir_all(&folder).await.map_err(not_kept)?;
    let part = Passing(folder.join(format!("{}.safetensors", BROUGHT.fetch_add(1, Ordering::Relaxed))));
    form::write(field, sent, &part.0, bytes_max).await?;
    let data_dir = data_dir.to_owned();
    let imported = task::spawn_blocking(move || {
        let described = described(&part.0, said, name)?;
        import(&data_dir, &part.0, &described)
    });
    let imported = imported.await.map_err(|ended| not_kept(std::io::Error::other(ended)))?;
    imported.map_err(|error| match error {
        // The path is this server's business.
        TrainError::Checkpoint { problem, .. } => NotTaken::wrong(format!("The file of weights {problem}.")),
        other => NotTaken::wrong(format!("The file of weights cannot be used: {other}.")),
    })
}
