//! Teachers that were trained elsewhere: what `stillroom import-teacher` does, for pages and programs.

use super::{
    Site,
    form::{self, NotTaken, Sent, Unfinished, not_kept},
};
use crate::datasets::Shelf;
use axum::{
    Json,
    extract::{Multipart, Request, State, multipart::Field},
    response::{IntoResponse, Response},
};
use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};
use study::ImportedTeacher;
use tokio::task;
use train::{
    TrainError,
    imported::{OfItself, import},
};

/// Those that are here, by name.
pub async fn list(State(site): State<Site>) -> Response {
    Json((site.laboratory.imported)()).into_response()
}

/// A form with `architecture`, `mean`, `deviation` and `name`, each of which may be left out where the file says it itself, and behind
/// them `weights`, a safetensors file. Programs are told what became of it; a browser is led to where it is shown.
pub async fn bring(State(site): State<Site>, request: Request) -> Response {
    let (shelf, bytes_max) = (site.shelf, site.laboratory.upload_limit);
    let fields = "architecture, mean, deviation, name and, behind them, weights";
    let take = |form, sent| take(shelf, bytes_max, form, sent);
    form::answer(request, bytes_max, fields, take, |_| "/data#teachers".to_owned()).await
}

async fn take(shelf: Shelf, bytes_max: u64, mut form: Multipart, sent: Sent) -> Result<ImportedTeacher, NotTaken> {
    let (mut said, mut name) = (OfItself::default(), None);
    let (mut mean, mut deviation) = (None, None);
    while let Some(field) = sent.next(form.next_field()).await? {
        match field.name() {
            Some("architecture") => {
                let text = form::text(field, &sent).await?;
                let read = |text: &str| {
                    text.parse().map_err(|wrong| NotTaken::wrong(format!("architecture: {text:?} is {wrong}.")))
                };
                said.architecture = given(&text).map(read).transpose()?;
            }
            Some("mean") => mean = numbers("mean", &form::text(field, &sent).await?)?,
            Some("deviation") => deviation = numbers("deviation", &form::text(field, &sent).await?)?,
            Some("name") => name = given(&form::text(field, &sent).await?).map(str::to_owned),
            Some("weights") => {
                said.normalisation = match (mean, deviation) {
                    (Some(mean), Some(deviation)) => Some([mean, deviation]),
                    (None, None) => None,
                    _ => return Err(NotTaken::wrong("mean and deviation are given both or not at all.")),
                };
                return weights(shelf, bytes_max, said, name, field, &sent).await;
            }
            _ => form::pass_over(field, &sent).await?,
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

/// Counts those that come, so that each has a folder of its own.
static BROUGHT: AtomicU64 = AtomicU64::new(0);

async fn weights(
    shelf: Shelf,
    bytes_max: u64,
    said: OfItself,
    name: Option<String>,
    field: Field<'_>,
    sent: &Sent,
) -> Result<ImportedTeacher, NotTaken> {
    let of_file = field.file_name().and_then(|name| Path::new(name).file_stem()?.to_str()).map(str::to_owned);
    let name = name.or(of_file).unwrap_or_default();
    let number = BROUGHT.fetch_add(1, Ordering::Relaxed).to_string();
    let part = Unfinished::new(shelf.uploads().join(number)).await?;
    let file = part.path().join("weights.safetensors");
    form::write(field, sent, &file, bytes_max).await?;
    let imported = task::spawn_blocking(move || {
        let _turn = shelf.turn();
        let imported = import(&shelf.data_dir, &file, said, &name);
        drop(part);
        imported
    });
    let imported = imported.await.map_err(|ended| not_kept(std::io::Error::other(ended)))?;
    imported.map_err(|error| match error {
        // The path is this server's business.
        TrainError::Checkpoint { problem, .. } => NotTaken::wrong(format!("The file of weights {problem}.")),
        other => NotTaken::wrong(format!("The file of weights cannot be used: {other}.")),
    })
}
