//! What networks take for what, counted from the logits that are kept with their checkpoints.
//!
//! They are read when somebody asks. A checkpoint's counts never change, so each is counted once.

use crate::{data_folder::segment_folder, datasets::DatasetPaths};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use study::{CheckpointId, Confusion, DatasetFacts, Facts, Plan};
use train::{TrainError, checkpoint, dataset, evaluation::kept_confusion, folder::images_path};

/// `counts[true class][named class]`.
type Counts = Vec<Vec<u32>>;

/// A data folder's networks.
pub struct Confusions {
    data_dir: PathBuf,
    datasets: DatasetPaths,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// With the digest of the weights: a checkpoint that was made again may be another.
    counts: BTreeMap<(CheckpointId, String), Arc<Counts>>,
    /// By the images' checksum.
    labels: BTreeMap<String, Arc<TestLabels>>,
}

struct TestLabels {
    labels: Vec<u32>,
    class_names: Vec<String>,
}

/// Networks whose counts are kept: some megabytes. Beyond that all are counted again.
const KNOWN_MAX: usize = 10_000;

impl Confusions {
    pub fn new(data_dir: PathBuf, datasets: DatasetPaths) -> Confusions {
        Confusions { data_dir, datasets, known: Mutex::default() }
    }

    /// Of a plan's runs that are at their end. `None` where no run is, where their files are not here, or where the images are not.
    pub fn of(&self, plan: &Plan, facts: &Facts) -> Option<Confusion> {
        let images = &plan.segments.first()?.dataset;
        let mut classes = Vec::new();
        let confusion = Confusion::of(plan, |end| {
            let kept = facts.get(&end.segment)?.checkpoints.iter().find(|file| file.epoch == end.epoch)?;
            let counted = self.counts(end, &kept.digest, images).and_then(|it| Ok((it, self.test_labels(images)?)));
            let told = counted.inspect_err(|error| tracing::debug!(%end, %error, "nothing to count"));
            let (counts, labels) = told.ok()?;
            classes.clone_from(&labels.class_names);
            Some(Counts::clone(&counts))
        });
        (!confusion.arms.is_empty()).then_some(Confusion { classes, ..confusion })
    }

    fn counts(&self, of: &CheckpointId, digest: &str, images: &DatasetFacts) -> Result<Arc<Counts>, TrainError> {
        let key = (of.clone(), digest.to_owned());
        if let Some(counts) = self.known(|known| known.counts.get(&key).cloned()) {
            return Ok(counts);
        }
        let folder = segment_folder(&self.data_dir, &of.segment);
        // Of most that are asked for in vain nothing was ever kept, and then their images need not be there.
        checkpoint::weights_digest(&folder, of.epoch)?;
        let TestLabels { labels, class_names } = &*self.test_labels(images)?;
        let counts = Arc::new(kept_confusion(&folder, of.epoch, labels, class_names.len())?);
        self.known(|known| {
            if known.counts.len() >= KNOWN_MAX {
                known.counts.clear();
            }
            known.counts.insert(key, counts.clone());
        });
        Ok(counts)
    }

    /// Where workers unpacked them, most often: whoever has logits was trained on them.
    fn test_labels(&self, images: &DatasetFacts) -> Result<Arc<TestLabels>, TrainError> {
        if let Some(labels) = self.known(|known| known.labels.get(&images.checksum).cloned()) {
            return Ok(labels);
        }
        let path = self.datasets.get(&images.dataset).map(PathBuf::as_path);
        let (found, _) = dataset::shared(&images_path(&self.data_dir), images, path)?;
        if found.facts != *images {
            let path = path.unwrap_or(images.dataset.name().as_ref()).into();
            return Err(TrainError::Dataset { path, problem: "is not what was trained on".into() });
        }
        let labels = Arc::new(TestLabels { labels: found.test.class_numbers(), class_names: found.class_names });
        self.known(|known| known.labels.insert(images.checksum.clone(), labels.clone()));
        Ok(labels)
    }

    fn known<T>(&self, read: impl FnOnce(&mut Known) -> T) -> T {
        read(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
