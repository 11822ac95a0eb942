//! What a data set is and looks like: what a plan needs to know of it, and what a person wants to see.

use super::{Content, Images, checksum, pictures, place, read, shared::unpack, split, tree::fingerprint};
use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};
use study::{Dataset, DatasetFacts, DatasetSamples, Sample};

/// Of so many classes images are shown, from the first to the last.
const CLASSES_SHOWN: usize = 10;
/// So many of each.
const IMAGES_SHOWN: usize = 3;

/// What was seen of a data set, in `FINGERPRINT.json` beside what was unpacked.
#[derive(Serialize, Deserialize)]
struct Seen {
    version: String,
    facts: DatasetFacts,
    samples: DatasetSamples,
}

/// Reads all of a data set, as [`super::load`], with nothing held out; a folder of images with what it holds out by itself.
///
/// Hundreds of thousands of pictures take minutes to read. What was seen of them is kept in `folder` (`None`: nowhere), and the
/// images too, as workers find them there ([`super::shared`]): they are read again only where a file changed.
pub fn look(
    dataset: Dataset,
    path: Option<&Path>,
    folder: Option<&Path>,
) -> Result<(DatasetFacts, DatasetSamples), TrainError> {
    let slow = matches!(dataset, Dataset::TinyImageNet | Dataset::Folder(_));
    let (Some(folder), Some(path), true) = (folder, path, slow) else {
        return see(dataset, read(dataset, path)?, path, None);
    };
    let kept = folder.join(format!("{}.json", fingerprint(dataset, path)?));
    let seen = fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice::<Seen>(&bytes).ok());
    if let Some(seen) = seen.filter(|seen| seen.version == version() && seen.facts.dataset == dataset) {
        return Ok((seen.facts, seen.samples));
    }
    let (facts, samples) = see(dataset, read(dataset, Some(path))?, Some(path), Some(folder))?;
    let seen = Seen { version: version(), facts, samples };
    // A folder that cannot be written to only means reading again next time.
    if let Ok(bytes) = serde_json::to_vec(&seen) {
        let _ = fs::write(&kept, bytes);
    }
    Ok((seen.facts, seen.samples))
}

/// Another program may read the same files in another way.
fn version() -> String {
    format!("{} 1", env!("CARGO_PKG_VERSION"))
}

fn see(
    dataset: Dataset,
    content: Content,
    path: Option<&Path>,
    folder: Option<&Path>,
) -> Result<(DatasetFacts, DatasetSamples), TrainError> {
    let checksum = checksum(&content);
    if let Some(folder) = folder {
        // For workers it is a saving, not a need.
        let _ = unpack(folder, &checksum, &content);
    }
    let wrong = |problem| TrainError::Dataset { path: place(dataset, path), problem };
    let validation = content.held_out.unwrap_or(0);
    let images = split(dataset, content, checksum, validation).map_err(wrong)?;
    let samples = samples(&images).map_err(|error| wrong(format!("cannot be shown: {error}")))?;
    Ok((images.facts, DatasetSamples { dataset, class_names: images.class_names, samples }))
}

/// The first training images of some classes, spread over all.
fn samples(images: &Images) -> Result<Vec<Sample>, image::ImageError> {
    let (classes, values) = (images.class_names.len(), images.values_per_image());
    let shown = classes.min(CLASSES_SHOWN);
    let classes = (0..shown).map(|index| index * classes / shown);
    let sample = |class: usize| {
        let of_class = (0..images.train.len()).filter(|index| usize::from(images.train.labels[*index]) == class);
        let squares: Vec<&[u8]> =
            of_class.take(IMAGES_SHOWN).map(|index| &images.train.images[index * values..][..values]).collect();
        let png = pictures::png(&squares, images.facts.channels, images.facts.image_size)?;
        Ok::<_, image::ImageError>(Sample { class: class as u32, images: squares.len() as u32, png })
    };
    classes.map(sample).filter(|sample| !matches!(sample, Ok(Sample { images: 0, .. }))).collect()
}
