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
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use study::{Architecture, ImportedTeacher};
use tokio::task;
use train::{
    TrainError,
    imported::{OfItself, import},
};

/// Those that are here, by name.
pub async fn list(State(site): State<Site>) -> Response {
    Json((site.laboratory.imported)()).into_response()
}

/// A form with `architecture`, `mean`, `deviation` and `name`, each of which may be left out where the file says it itself, and
/// `weights`, a safetensors file. Programs are told what became of it; a browser is led to where it is shown.
pub async fn bring(State(site): State<Site>, request: Request) -> Response {
    let (shelf, bytes_max) = (site.shelf, site.laboratory.upload_limit);
    let fields = "architecture, mean, deviation, name and weights";
    let take = |form, sent| take(shelf, bytes_max, form, sent);
    form::answer(request, bytes_max, fields, take, |_| "/data#teachers".to_owned()).await
}

/// What the fields beside the file say, and everything that is wrong with them.
#[derive(Default)]
struct Said {
    architecture: Option<Architecture>,
    mean: Option<Vec<f32>>,
    deviation: Option<Vec<f32>>,
    name: Option<String>,
    problems: Vec<String>,
}

impl Said {
    fn architecture(&mut self, text: &str) {
        let Some(text) = given(text) else { return };
        match text.parse::<Architecture>() {
            Ok(architecture) => self.architecture = Some(architecture),
            Err(wrong) => self.problems.push(format!("architecture: {text:?} is {wrong}.")),
        }
    }

    /// A number for each colour, with commas between them; `field`: mean or deviation.
    fn numbers(&mut self, field: &str, text: &str) -> Option<Vec<f32>> {
        let text = given(text)?;
        let read: Result<Vec<f32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
        if read.is_err() {
            let wrong = format!("{field}: {text:?} is no list of numbers; write it like 0.4914,0.4822,0.4465.");
            self.problems.push(wrong);
        }
        read.ok()
    }

    /// # Errors
    /// All that is wrong.
    fn right(&self) -> Result<(), NotTaken> {
        if self.problems.is_empty() { Ok(()) } else { Err(NotTaken::wrong(self.problems.join(" "))) }
    }

    /// # Errors
    /// All that is wrong once everything was said.
    fn of_itself(mut self) -> Result<OfItself, NotTaken> {
        let normalisation = match (self.mean.take(), self.deviation.take()) {
            (Some(mean), Some(deviation)) => Some([mean, deviation]),
            (None, None) => None,
            // What is given and wrong was told.
            _ if !self.problems.is_empty() => None,
            _ => {
                self.problems.push("mean and deviation are given both or not at all.".into());
                None
            }
        };
        self.right()?;
        Ok(OfItself { architecture: self.architecture, normalisation })
    }
}

/// A file of weights that has come.
struct Weights {
    /// Where it lies for as long as it is looked at.
    part: Unfinished,
    file: PathBuf,
    /// What it is called by who sent it, without its ending.
    called: Option<String>,
}

async fn take(shelf: Shelf, bytes_max: u64, mut form: Multipart, sent: Sent) -> Result<ImportedTeacher, NotTaken> {
    let (mut said, mut weights) = (Said::default(), None);
    // The fields stand in any order.
    while let Some(field) = sent.next(form.next_field()).await? {
        match field.name() {
            Some("architecture") => said.architecture(&form::text(field, &sent).await?),
            Some("mean") => said.mean = said.numbers("mean", &form::text(field, &sent).await?),
            Some("deviation") => said.deviation = said.numbers("deviation", &form::text(field, &sent).await?),
            Some("name") => said.name = given(&form::text(field, &sent).await?).map(str::to_owned),
            Some("weights") => {
                // What is wrong already need not be sent first.
                said.right()?;
                weights = Some(receive(&shelf, bytes_max, field, &sent).await?);
            }
            _ => form::pass_over(field, &sent).await?,
        }
    }
    let name = said.name.take();
    let said = said.of_itself()?;
    let Weights { part, file, called } = weights.ok_or_else(|| NotTaken::wrong("The form has no weights."))?;
    let name = name.or(called).unwrap_or_default();
    let imported = task::spawn_blocking(move || {
        let _turn = shelf.turn();
        let imported = import(&shelf.data_dir, &file, said, &name);
        drop(part);
        imported
    });
    let imported = imported.await.map_err(|ended| not_kept(io::Error::other(ended)))?;
    imported.map_err(|error| match error {
        // The path is this server's business.
        TrainError::Checkpoint { problem, .. } => NotTaken::wrong(format!("The file of weights {problem}.")),
        TrainError::Io { source, .. } => not_kept(source),
        other => NotTaken::wrong(format!("The file of weights cannot be used: {other}.")),
    })
}

/// What stands in a field; `None` where it was left empty.
fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Counts those that come, so that each has a folder of its own.
static BROUGHT: AtomicU64 = AtomicU64::new(0);

async fn receive(shelf: &Shelf, bytes_max: u64, field: Field<'_>, sent: &Sent) -> Result<Weights, NotTaken> {
    let called = field.file_name().and_then(|name| Path::new(name).file_stem()?.to_str()).map(str::to_owned);
    let number = BROUGHT.fetch_add(1, Ordering::Relaxed).to_string();
    let part = Unfinished::new(shelf.uploads().join(number)).await?;
    let file = part.path().join("weights.safetensors");
    form::write(field, sent, &file, bytes_max, |_| {}).await?;
    Ok(Weights { part, file, called })
}
