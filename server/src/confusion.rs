//! What networks take for what, counted from the logits that are kept with their checkpoints.
//!
//! They are read when somebody asks, beside what the server answers meanwhile. A checkpoint's counts never change: each is counted
//! once.

use crate::{data_folder::segment_folder, datasets::DatasetPaths};
use app::laboratory::Current;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use study::{CheckpointId, Confusion, DatasetFacts, Facts, Plan};
use tokio::task;
use train::{TrainError, checkpoint, dataset, evaluation::kept_confusion, folder::images_path};

/// `counts[true class][named class]`.
type Counts = Vec<Vec<u32>>;

/// A data folder's networks.
pub struct Confusions {
    pub(crate) data_dir: PathBuf,
    datasets: Current<DatasetPaths>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// With the digest of the weights: a checkpoint that was made again may be another.
    counts: BTreeMap<(CheckpointId, String), Arc<Counts>>,
    /// By the images' checksum.
    labels: BTreeMap<String, Arc<TestLabels>>,
}

/// By checkpoint, and what was there to be told.
type Counted = (BTreeMap<CheckpointId, Arc<Counts>>, Arc<TestLabels>);

pub(crate) struct TestLabels {
    pub labels: Vec<u32>,
    pub class_names: Vec<String>,
}

/// Cells of counts that are kept: some megabytes. Beyond that all are counted again.
const CELLS_MAX: usize = 2_000_000;

impl Confusions {
    pub fn new(data_dir: PathBuf, datasets: Current<DatasetPaths>) -> Confusions {
        Confusions { data_dir, datasets, known: Mutex::default() }
    }

    /// Of a plan's runs that are at their end. `None` where no run is, where their files are not here, or where the images are not.
    pub async fn of(self: Arc<Self>, plan: &Plan, facts: &Facts) -> Option<Confusion> {
        let images = plan.segments.first()?.dataset.clone();
        let kept = plan.runs.iter().filter_map(|run| {
            let last = run.legs.last()?;
            let file = facts.get(&last.segment)?.checkpoints.iter().find(|file| file.epoch == last.until)?;
            Some((CheckpointId { segment: last.segment.clone(), epoch: last.until }, file.digest.clone()))
        });
        let kept: Vec<_> = kept.collect();
        let counted = task::spawn_blocking(move || self.counted(kept, &images)).await;
        let counted = counted.inspect_err(|error| tracing::error!(%error, "what is taken for what was not counted"));
        let (counts, labels) = counted.ok()??;
        let confusion = Confusion::of(plan, |end| counts.get(end).map(|counts| Counts::clone(counts)));
        (!confusion.arms.is_empty()).then(|| Confusion { classes: labels.class_names.clone(), ..confusion })
    }

    /// Of checkpoints with the digests of their weights; those whose files are not here are left out. `None` where none is left.
    fn counted(&self, kept: Vec<(CheckpointId, String)>, images: &DatasetFacts) -> Option<Counted> {
        let counts: BTreeMap<_, _> = kept
            .into_iter()
            .filter_map(|(end, digest)| {
                let counts = self.counts(&end, &digest, images);
                let told = counts.inspect_err(|error| tracing::debug!(%end, %error, "nothing to count"));
                Some((end, told.ok()?))
            })
            .collect();
        let labels = if counts.is_empty() { None } else { self.test_labels(images).ok() };
        Some((counts, labels?))
    }

    fn counts(&self, of: &CheckpointId, digest: &str, images: &DatasetFacts) -> Result<Arc<Counts>, TrainError> {
        let key = (of.clone(), digest.to_owned());
        if let Some(counts) = self.known(|known| known.counts.get(&key).cloned()) {
            return Ok(counts);
        }
        let folder = segment_folder(&self.data_dir, &of.segment);
        // Of most that are asked for in vain nothing was ever kept, and then their images need not be there.
        checkpoint::weights_digest(&folder, of.epoch)?;
        let labelled = self.test_labels(images)?;
        let TestLabels { labels, class_names } = &*labelled;
        let counts = Arc::new(kept_confusion(&folder, of.epoch, labels, class_names.len())?);
        self.known(|known| {
            if (known.counts.len() + 1) * class_names.len().pow(2) > CELLS_MAX {
                known.counts.clear();
            }
            known.counts.insert(key, counts.clone());
        });
        Ok(counts)
    }

    /// Where workers unpacked them, most often: whoever has logits was trained on them.
    pub(crate) fn test_labels(&self, images: &DatasetFacts) -> Result<Arc<TestLabels>, TrainError> {
        if let Some(labels) = self.known(|known| known.labels.get(&images.checksum).cloned()) {
            return Ok(labels);
        }
        let datasets = self.datasets.get();
        let path = datasets.get(&images.dataset).map(PathBuf::as_path);
        let (found, _) = dataset::shared(&images_path(&self.data_dir), images, path)?;
        if found.facts != *images {
            let path = path.map_or_else(|| images.dataset.to_string().into(), PathBuf::from);
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
