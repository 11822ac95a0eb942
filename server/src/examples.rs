//! Studies that were trained beforehand by this program: the files in `examples/`, embedded.

use app::laboratory;
use std::{fs, io, path::Path};
use study::{ExampleCard, Snapshot, agreement::Peer};

/// What a first start shows; the others follow by name.
const FIRST: &str = "when-should-distillation-stop";
/// After a study's name: what another program found of it.
const PEER: &str = ".peer";

#[derive(rust_embed::Embed)]
#[folder = "$CARGO_MANIFEST_DIR/../examples"]
struct Embedded;

/// A frozen study of a folder of examples.
pub struct Example {
    /// Of its file, without the ending.
    pub name: String,
    pub snapshot: Snapshot,
    /// What another program made of the same study, where `NAME.peer.json` says it.
    pub peer: Option<Peer>,
}

/// Those that this version reads.
pub fn examples() -> laboratory::Examples {
    let card = |name: String| {
        let Snapshot { report, .. } = read(&name)?;
        Some(ExampleCard { name, title: report.study.title, answer: report.comparison.answer })
    };
    laboratory::Examples { cards: names().into_iter().filter_map(card).collect(), read }
}

fn names() -> Vec<String> {
    let files = Embedded::iter();
    let mut names: Vec<String> = files.filter_map(|file| name_of(&file).map(str::to_owned)).collect();
    names.sort_by(|one, other| (one != FIRST, one).cmp(&(other != FIRST, other)));
    names
}

/// Of the file of a frozen study.
fn name_of(file: &str) -> Option<&str> {
    file.strip_suffix(".json").filter(|name| !name.ends_with(PEER))
}

fn read(name: &str) -> Option<Snapshot> {
    let file = Embedded::get(&format!("{name}.json"))?;
    serde_json::from_slice(&file.data).inspect_err(|error| tracing::warn!(%error, name)).ok()
}

/// The frozen studies in a folder, by their names.
pub fn read_all(folder: &Path) -> io::Result<Vec<Example>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name();
        let Some(name) = file.to_str().and_then(name_of) else { continue };
        let peer = folder.join(format!("{name}{PEER}.json"));
        all.push(Example {
            name: name.to_owned(),
            snapshot: serde_json::from_slice(&fs::read(folder.join(&file))?)?,
            peer: if peer.try_exists()? { Some(serde_json::from_slice(&fs::read(peer)?)?) } else { None },
        });
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_can_be_read_by_this_version() {
        let cards = examples().cards;
        assert_eq!(cards.first().map(|card| card.name.as_str()), Some(FIRST));
        assert_eq!(cards.len(), names().len(), "{cards:?}");
        for card in cards.iter() {
            let snapshot = read(&card.name).expect("it was read before");
            assert_eq!(format!("{}.html", card.name), app::snapshot_file_name(&snapshot), "called by its question");
        }
    }
}
