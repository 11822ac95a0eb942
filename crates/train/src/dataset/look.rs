//! What a data set is and looks like: what a plan needs to know of it, and what a person wants to see.

use super::{Content, Images, checksum, pictures, place, read, room::Room, shared::unpack, split, tree::fingerprint};
use crate::{TrainError, folder::make_folder};
use mapped::MappedBytes;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};
use study::{Dataset, DatasetFacts, DatasetSamples, Sample};

/// Of so many classes images are shown, from the first to the last.
const CLASSES_SHOWN: usize = 10;
/// So many of each.
const IMAGES_SHOWN: usize = 3;

/// Where what was seen of data sets is kept, so that they need not be read again before a file of them changes.
#[derive(Clone, Copy, Debug)]
pub enum Notes<'a> {
    /// Nowhere.
    None,
    /// In this folder, which another may be working in: what is there is believed, and nothing is written.
    Read(&'a Path),
    /// In this folder. Of what takes minutes to read the images are kept too, as workers find them there ([`super::shared`]).
    Kept(&'a Path),
}

impl<'a> Notes<'a> {
    fn folder(self) -> Option<&'a Path> {
        match self {
            Notes::None => None,
            Notes::Read(folder) | Notes::Kept(folder) => Some(folder),
        }
    }

    fn kept_in(self) -> Option<&'a Path> {
        if let Notes::Kept(folder) = self { Some(folder) } else { None }
    }
}

/// What was seen of a data set, in `FINGERPRINT.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Seen {
    version: String,
    pub(super) found: Result<(DatasetFacts, DatasetSamples), Wrong>,
}

/// What is wrong with its files, and where below the place where they lie.
#[derive(Serialize, Deserialize)]
pub(super) struct Wrong {
    inside: PathBuf,
    problem: String,
}

impl Wrong {
    /// `None` where it is not the files that are wrong: that may pass without any of them changing.
    fn of(error: &TrainError, root: &Path) -> Option<Wrong> {
        let TrainError::Dataset { path, problem } = error else { return None };
        let inside = path.strip_prefix(root).ok()?.to_owned();
        Some(Wrong { inside, problem: problem.clone() })
    }

    fn error(self, root: &Path) -> TrainError {
        // Joined with nothing it would end with a slash.
        let path = if self.inside.as_os_str().is_empty() { root.to_owned() } else { root.join(self.inside) };
        TrainError::Dataset { path, problem: self.problem }
    }
}

/// Reads all of a data set, as [`super::load`], with nothing held out; a folder of images with what it holds out by itself. What
/// was seen before, also that something is wrong, is read from `notes`, and written there.
///
/// # Errors
/// As [`super::load`].
pub fn look(
    dataset: Dataset,
    path: Option<&Path>,
    notes: Notes<'_>,
) -> Result<(DatasetFacts, DatasetSamples), TrainError> {
    let Some(root) = path else { return see(dataset, read(dataset, None)?, None, None) };
    // Where the files cannot even be listed, reading them says why.
    let name = |folder: &Path| Some(folder.join(format!("{}.json", fingerprint(dataset, root).ok()?)));
    let note = notes.folder().and_then(name);
    if let Some(seen) = note.as_deref().and_then(seen) {
        return seen.found.map_err(|wrong| wrong.error(root));
    }
    let takes_minutes = matches!(dataset, Dataset::TinyImageNet | Dataset::Folder(_));
    let unpack_in = notes.kept_in().filter(|_| takes_minutes);
    let found = read(dataset, path).and_then(|content| see(dataset, content, path, unpack_in));
    if let (Some(note), Some(folder)) = (note, notes.kept_in()) {
        let found = match &found {
            Ok(found) => Some(Ok(found.clone())),
            Err(error) => Wrong::of(error, root).map(Err),
        };
        // A folder that cannot be written to only means reading again next time.
        if let Some(Ok(bytes)) = found.map(|found| serde_json::to_vec(&Seen { version: version(), found }))
            && make_folder(folder).is_ok()
        {
            let _ = MappedBytes::write(&note, &[&bytes]);
        }
    }
    found
}

/// `None` of what this program would not believe.
pub(super) fn seen(note: &Path) -> Option<Seen> {
    let seen: Seen = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    (seen.version == version()).then_some(seen)
}

/// Another program may read the same files in another way, and with more memory it may read more of them.
fn version() -> String {
    format!("{} 2, {:?}", env!("CARGO_PKG_VERSION"), Room::here())
}

fn see(
    dataset: Dataset,
    content: Content,
    path: Option<&Path>,
    folder: Option<&Path>,
) -> Result<(DatasetFacts, DatasetSamples), TrainError> {
    let checksum = checksum(&content);
    let wrong = |problem| TrainError::Dataset { path: place(dataset, path), problem };
    let validation = content.held_out.unwrap_or(0);
    let images = split(dataset, content.clone(), checksum.clone(), validation).map_err(wrong)?;
    let samples = samples(&images).map_err(|error| wrong(format!("cannot be shown: {error}")))?;
    if let Some(folder) = folder {
        // For workers it is a saving, not a need.
        let _ = unpack(folder, &checksum, &content);
    }
    Ok((images.facts, DatasetSamples { dataset, class_names: images.class_names, samples }))
}

/// The first training images of some classes, spread over all.
fn samples(images: &Images) -> Result<Vec<Sample>, image::ImageError> {
    let (classes, values) = (images.class_names.len(), images.values_per_image());
    let shown = classes.min(CLASSES_SHOWN);
    let classes = (0..shown).map(|index| index * classes / shown);
    let squares = |class: usize| -> Vec<&[u8]> {
        let of_class = (0..images.train.len()).filter(|index| usize::from(images.train.labels[*index]) == class);
        of_class.take(IMAGES_SHOWN).map(|index| &images.train.images[index * values..][..values]).collect()
    };
    let sample = |(class, squares): (usize, Vec<&[u8]>)| {
        let png = pictures::png(&squares, images.facts.channels, images.facts.image_size)?;
        Ok(Sample { class: class as u32, images: squares.len() as u32, png })
    };
    // Of few images all of a class may be held out, and a picture of none has no height.
    classes.map(|class| (class, squares(class))).filter(|(_, squares)| !squares.is_empty()).map(sample).collect()
}
