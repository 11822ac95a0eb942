//! How slow candle is on this machine's CPU: measured by a server once somebody would ask, while it goes on.

use crate::machine;
use app::laboratory::Current;
use std::{collections::BTreeSet, path::PathBuf};
use store::{Store, StoreError};
use study::{Architecture, DatasetFacts, Machine, Numerics, StudyId, cost::needs_speed_of_candle};
use tokio::task;

/// Follows the store until images or a study are there for which it matters, measures it, keeps it in `data_dir`, and tells whoever
/// follows the store. Once: where it cannot be measured, that is logged, and no time is told.
///
/// # Errors
/// Where studies cannot be read.
pub async fn measure_once_needed(
    store: &Store,
    machine: &Current<Machine>,
    data_dir: PathBuf,
) -> Result<(), StoreError> {
    let mut changes = store.changes();
    let mut seen = BTreeSet::new();
    loop {
        changes.borrow_and_update();
        let known = machine.get();
        if known.speed_of_candle.is_some() {
            return Ok(());
        }
        if has_large_images(&known) || is_planned(store, &mut seen).await? {
            tracing::info!("measuring how slow networks for large images are here, once; it takes some seconds");
            let measure = move || machine::measure(&known, Numerics::CandleF32, Some(&data_dir));
            // Whatever ended it by itself, nothing else depends on it.
            if let Ok(Some(speed)) = task::spawn_blocking(measure).await {
                machine.change(|machine| machine.speed_of_candle = Some(speed));
                store.touch();
            }
            return Ok(());
        }
        // The store is here, so the other end of this channel is.
        let _ = changes.changed().await;
    }
}

/// Whether images are here which no network can see that the hand-written engine has operators for, and no GPU trains the others.
fn has_large_images(machine: &Machine) -> bool {
    let small = Architecture::WideResNet { depth: 10, width: 1 }.image_sizes();
    let is_large = |images: &DatasetFacts| images.image_size > *small.end();
    machine.devices.is_empty() && machine.datasets.iter().any(is_large)
}

/// Whether a study has such a part. `seen`: those that were looked at.
async fn is_planned(store: &Store, seen: &mut BTreeSet<StudyId>) -> Result<bool, StoreError> {
    // Asked often, so without the plans: every epoch that is told moves the revision.
    let all: BTreeSet<StudyId> = store.going_on().await?.into_keys().collect();
    if all.is_subset(seen) {
        return Ok(false);
    }
    *seen = all;
    Ok(store.studies().await?.iter().any(|study| needs_speed_of_candle(&study.plan)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::{Dataset, Plan, Study};

    fn images(dataset: &str) -> DatasetFacts {
        let dataset: Dataset = dataset.parse().expect("a data set");
        DatasetFacts {
            dataset,
            checksum: "d".repeat(64),
            classes: 10,
            channels: 3,
            image_size: dataset.image_size(),
            train: 50_000,
            validation: 100,
            test: 100,
        }
    }

    #[tokio::test]
    async fn it_matters_for_large_images_and_for_studies_that_candle_trains() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (machine, _) = machine::find(folder.path(), &Default::default(), train::dataset::Notes::None, Some(1), 0);
        let with = |devices: &[&str], dataset: &str| Machine {
            devices: devices.iter().map(|name| (*name).to_owned()).collect(),
            datasets: vec![images(dataset)],
            ..machine.clone()
        };
        assert!(has_large_images(&with(&[], "flowers@96")));
        assert!(!has_large_images(&with(&["cuda:0"], "flowers@96")));
        // Nearly every installation has such.
        for small in ["cifar-10", "tiny-imagenet", "flowers@64"] {
            assert!(!has_large_images(&with(&[], small)), "{small}");
        }

        let store = Store::open(folder.path()).await.expect("a store");
        let mut seen = BTreeSet::new();
        for (network, is_slow) in [("wrn-10-1", false), ("resnet18", true)] {
            assert!(!is_planned(&store, &mut seen).await.expect("studies"), "{network}");
            let text = format!(
                "title = \"How slow?\"\ndataset = \"cifar-10\"\nseeds = 1\n\
                 student = {{ architecture = \"{network}\", epochs = 1 }}\nrecipe = {{ device = \"cpu\" }}"
            );
            let (study, images) = (Study::from_toml(&text).expect("a study"), images("cifar-10"));
            let plan = Plan::new(&study, &images, Numerics::CpuF32).expect("a plan");
            store.create_study(&study, &plan, &images, 0).await.expect("it is kept");
            assert_eq!(is_planned(&store, &mut seen).await.expect("studies"), is_slow, "{network}");
        }
        store.close().await;
    }
}
