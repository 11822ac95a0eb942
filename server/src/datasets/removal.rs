//! How a data set leaves this machine again.

use super::{Coming, Shelf, built_in, missing};
use crate::download::beside;
use std::{
    fs::{self, File},
    io,
    path::Path,
};
use store::{Store, StoreError};
use study::{Dataset, Machine, Unusable};
use train::dataset::forget;

/// Why a data set is not removed.
#[derive(Debug)]
pub enum NotRemoved {
    /// It comes with the program.
    IsBuiltIn,
    /// It lies where somebody said when the server started.
    IsElsewhere,
    /// It is on its way here.
    Comes,
    /// Nothing of it lies here.
    IsNotHere,
    /// The disk refuses.
    Io(io::Error),
}

impl Shelf {
    /// Removes the files of a data set, also those of one that cannot be used, and what came of one whose download broke off. Whether any
    /// study needs them is not asked here: it would wait for its images.
    ///
    /// # Errors
    /// Where its files are not this program's, are on their way, or cannot be removed. Then it is here as it was.
    pub fn remove(&self, dataset: Dataset) -> Result<(), NotRemoved> {
        if built_in(dataset) {
            return Err(NotRemoved::IsBuiltIn);
        }
        let folder = self.folder(dataset);
        if self.places.get(&dataset).is_some_and(|place| *place != folder) {
            return Err(NotRemoved::IsElsewhere);
        }
        if !self.coming().insert(dataset) {
            return Err(NotRemoved::Comes);
        }
        let _coming = Coming { dataset, shelf: self.clone() };
        let part = beside(&folder, "part");
        if File::open(&part).is_ok_and(|part| part.try_lock().is_err()) {
            // Another process downloads it.
            return Err(NotRemoved::Comes);
        }
        // A name that nobody looks for, and that a server which starts clears away.
        let away = beside(&folder, "upload");
        let mut was_here = false;
        for place in [folder, part] {
            remove_all(&away).map_err(NotRemoved::Io)?;
            match fs::rename(&place, &away) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                moved => moved.map_err(NotRemoved::Io)?,
            }
            was_here = true;
            self.withdraw(dataset);
        }
        if let Err(error) = remove_all(&away) {
            tracing::warn!(%error, path = %away.display(), "what was removed lies there until the next start");
        }
        was_here.then_some(()).ok_or(NotRemoved::IsNotHere)
    }

    /// From now on it cannot be trained on.
    fn withdraw(&self, dataset: Dataset) {
        self.machine.change(|machine| {
            machine.datasets.retain(|facts| facts.dataset != dataset);
            machine.unusable.retain(|unusable| unusable.dataset != dataset);
            if Dataset::KNOWN.contains(&dataset) {
                let reason = missing(dataset, "was removed");
                let place = machine.unusable.partition_point(|unusable| unusable.dataset < dataset);
                machine.unusable.insert(place, Unusable { dataset, reason, found: false });
            }
        });
        self.samples.change(|all| all.retain(|samples| samples.dataset != dataset));
        self.paths.change(|paths| {
            paths.remove(&dataset);
        });
        self.store.touch();
    }
}

/// A folder with all that is in it, a file, or a link without what it leads to. What is not there need not be removed.
fn remove_all(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(it) if it.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

/// Removes from the folder of unpacked images what neither a data set that is here nor a study has any use for.
///
/// # Errors
/// Where it cannot be known what studies need.
pub async fn forget_images(store: &Store, machine: &Machine, images: &Path) -> Result<(), StoreError> {
    let studies = store.studies().await?;
    let of_studies = studies.iter().flat_map(|study| &study.plan.segments).map(|segment| &segment.dataset);
    let needed = machine.datasets.iter().chain(of_studies).map(|facts| facts.checksum.clone()).collect();
    if let Err(error) = forget(images, &needed) {
        tracing::warn!(%error, "images that nobody needs stay in the data folder");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{datasets::DatasetPaths, machine};
    use std::path::PathBuf;
    use train::dataset::Notes;

    #[tokio::test]
    async fn what_lies_here_leaves_and_what_is_not_ours_stays() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let elsewhere = root.path().join("official");
        fs::create_dir(&elsewhere).expect("a folder");
        let store = Store::open(root.path()).await.expect("a store");
        let places = DatasetPaths::from([(Dataset::Cifar10, elsewhere.clone())]);
        let (machine, samples) = machine::find(root.path(), &places, Notes::None, Some(1), 0);
        let place: PathBuf = root.path().to_owned();
        let none = DatasetPaths::new();
        let shelf = Shelf::new(place, places, none.into(), machine.into(), samples.into(), store.clone());
        assert!(matches!(shelf.remove(Dataset::FashionMnist12k), Err(NotRemoved::IsBuiltIn)));
        assert!(matches!(shelf.remove(Dataset::Cifar10), Err(NotRemoved::IsElsewhere)));
        assert!(elsewhere.is_dir());
        assert!(matches!(shelf.remove(Dataset::Mnist), Err(NotRemoved::IsNotHere)));
        let coming = shelf.begin(Dataset::Mnist).expect("it comes");
        assert!(matches!(shelf.remove(Dataset::Mnist), Err(NotRemoved::Comes)));
        drop(coming);

        // Here, and another attempt that broke off.
        let folder = shelf.folder(Dataset::Mnist);
        for made in [&folder, &beside(&folder, "part")] {
            fs::create_dir_all(made).expect("a folder");
            fs::write(made.join("images"), b"images").expect("a file");
        }
        let facts = shelf.machine.get().datasets[0].clone();
        shelf.machine.change(|machine| machine.datasets.push(study::DatasetFacts { dataset: Dataset::Mnist, ..facts }));
        let revision = *store.changes().borrow();
        shelf.remove(Dataset::Mnist).expect("it is ours");
        assert_eq!(fs::read_dir(root.path().join("datasets")).expect("a folder").count(), 0);
        let lacks = shelf.machine.get().lacks(Dataset::Mnist).expect("it is gone");
        assert!(lacks.starts_with("was removed; "), "{lacks}");
        assert!(*store.changes().borrow() > revision, "whoever looks hears of it");
        drop(shelf.begin(Dataset::Mnist).expect("it may come again"));

        // A link is removed, and what it leads to stays.
        std::os::unix::fs::symlink(&elsewhere, &folder).expect("a link");
        shelf.remove(Dataset::Mnist).expect("the link is ours");
        assert!(elsewhere.is_dir() && fs::symlink_metadata(&folder).is_err());
        store.close().await;
    }
}
