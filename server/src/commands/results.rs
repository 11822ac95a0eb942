//! `stillroom results DOCUMENT --examples FOLDER`: what finished studies found, as a document with its pictures.
//!
//! A study is frozen once, into a file of the folder of examples; the document is made of these files alone, so that it can be made
//! again anywhere and says the same.

use crate::{
    command_line, datasets,
    error::CommandError,
    examples::{self, Example},
    machine, process,
    terminal::tell,
};
use app::report::{Recorded, document};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use store::{Store, StoredStudy};
use study::{Provenance, Snapshot, State, report::report, search::asked};
use train::dataset::Notes;

pub async fn results(arguments: command_line::Results) -> Result<(), CommandError> {
    if let Some(data_dir) = &arguments.data_dir {
        freeze_finished(data_dir, &arguments.examples).await?;
    }
    let recorded = examples::read_all(&arguments.examples)
        .map_err(|source| io_error("read the examples in", &arguments.examples, source))?;
    for (path, content) in files(&arguments.document, &recorded) {
        let folder = path.parent().unwrap_or(Path::new(""));
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, content));
        written.map_err(|source| io_error("write", &path, source))?;
        tell(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// The document and its pictures, which lie in a folder of its name beside it.
fn files(document_path: &Path, recorded: &[Example]) -> Vec<(PathBuf, String)> {
    let pictures = document_path.with_extension("");
    let folder = pictures.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let studies: Vec<Recorded<'_>> = recorded
        .iter()
        .map(|Example { name, snapshot, peer }| Recorded {
            report: &snapshot.report,
            picture: format!("{folder}/{name}.svg"),
            peer: peer.as_ref(),
        })
        .collect();
    let drawn =
        recorded.iter().map(|it| (pictures.join(format!("{}.svg", it.name)), app::picture_svg(&it.snapshot.report)));
    std::iter::once((document_path.to_owned(), document(&studies))).chain(drawn).collect()
}

/// Every finished study of a data folder as a file of examples, called by its question. Studies of made-up numbers are none.
async fn freeze_finished(data_dir: &Path, examples: &Path) -> Result<(), CommandError> {
    // Another process may hold the folder: nothing is written to it.
    let store = Store::open_read_only(data_dir).await?;
    let (machine, _) = machine::find(data_dir, &datasets::DatasetPaths::new(), Notes::None, None, 0);
    for StoredStudy { id, study, plan, stopped_at, created_at, .. } in store.studies().await? {
        let facts = store.facts(&plan).await?;
        let found = report(&study, &asked(&study, &plan, &facts), &facts, stopped_at.is_some(), &machine);
        if found.progress.state != State::Finished || found.provenance.iter().any(Provenance::is_synthetic) {
            continue;
        }
        let found = found.with_seed_additions(&store.seed_additions(&id).await?);
        let found = study::Report { started_at: Some(created_at), ..found };
        let snapshot = Snapshot::freeze(found, process::now());
        let path = examples.join(app::snapshot_file_name(&snapshot)).with_extension("json");
        let text = serde_json::to_string(&snapshot).expect("a snapshot of texts and numbers is JSON");
        fs::write(&path, text + "\n").map_err(|source| io_error("write", &path, source))?;
        tell(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> CommandError {
    CommandError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written in docs is what the examples say, to the letter: nobody has touched it, and none is missing.
    #[test]
    fn the_document_of_results_is_made_of_the_examples() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let recorded = examples::read_all(&root.join("examples")).expect("the examples");
        assert!(!recorded.is_empty());
        for (path, content) in files(&root.join("docs/results.md"), &recorded) {
            let kept = fs::read_to_string(&path).unwrap_or_default();
            let path = path.display();
            assert!(
                kept == content,
                "{path} is another; `stillroom results docs/results.md --examples examples` writes it"
            );
        }
    }
}
