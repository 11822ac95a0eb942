//! Studies that were trained beforehand by this program: the files in `examples/`, embedded.

use std::{fs, io, path::Path, sync::Arc};
use study::Snapshot;

#[derive(rust_embed::Embed)]
#[folder = "$CARGO_MANIFEST_DIR/../examples"]
struct Examples;

fn names() -> Vec<String> {
    let mut names: Vec<String> =
        Examples::iter().filter(|name| name.ends_with(".json")).map(|name| name.into_owned()).collect();
    names.sort();
    names
}

/// The example that a first start shows: the first by name, where there is one that this version reads.
pub fn example() -> Option<Arc<Snapshot>> {
    let read = |name: &str| {
        serde_json::from_slice(&Examples::get(name)?.data).map_err(|error| tracing::warn!(%error, name)).ok()
    };
    names().iter().find_map(|name| read(name)).map(Arc::new)
}

/// The frozen studies in a folder, by their files' names without the ending.
pub fn read_all(folder: &Path) -> io::Result<Vec<(String, Snapshot)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            all.push((name, serde_json::from_slice(&fs::read(&path)?)?));
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_can_be_read_by_this_version() {
        for name in names() {
            let file = Examples::get(&name).expect("it was listed");
            let read: Result<Snapshot, _> = serde_json::from_slice(&file.data);
            assert!(read.is_ok(), "{name}: {:?}", read.err());
        }
        assert_eq!(example().is_some(), !names().is_empty());
    }
}
