//! Where the files of data sets lie on this machine: the installation's business, never the study's.

mod removal;

pub use removal::{NotRemoved, forget_images};

use crate::download;
use app::laboratory::Current;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::Store;
use study::{Dataset, DatasetFacts, DatasetSamples, Machine, Unusable};
use train::{
    TrainError,
    dataset::{Notes, look},
};

/// A data set and where its official files lie, as typed: `cifar-10=/data/cifar-10-binary.tar.gz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    pub dataset: Dataset,
    pub path: PathBuf,
}

impl From<(Dataset, PathBuf)> for NamedPath {
    fn from((dataset, path): (Dataset, PathBuf)) -> Self {
        NamedPath { dataset, path }
    }
}

impl FromStr for NamedPath {
    type Err = String;
    fn from_str(typed: &str) -> Result<Self, String> {
        let (name, path) = typed.split_once('=').ok_or("write NAME=PATH, such as cifar-10=/data/cifar-10")?;
        let dataset = name.parse().map_err(|allowed| format!("no data set is called {name:?}; there are {allowed}"))?;
        if built_in(dataset) {
            return Err(format!("{dataset} is built in: it is read from no path"));
        }
        if path.is_empty() {
            return Err(format!("the path of {name} is empty"));
        }
        Ok(NamedPath { dataset, path: path.into() })
    }
}

/// Where each data set's files lie; what is built in needs no place here.
pub type DatasetPaths = BTreeMap<Dataset, PathBuf>;

/// The environment variable that may name a data set's path: `STILLROOM_DATASET_CIFAR_10`.
pub fn variable(dataset: Dataset) -> String {
    format!("STILLROOM_DATASET_{}", dataset.to_string().to_uppercase().replace('-', "_"))
}

/// Where a data set lies unless someone says otherwise.
pub fn usual_folder(data_dir: &Path, dataset: Dataset) -> PathBuf {
    data_dir.join("datasets").join(dataset.to_string())
}

/// Finds each data set's path: as typed, else from the environment, else `DATA_DIR/datasets/NAME` where that exists. Folders of
/// images are all that were typed or lie there.
pub fn find(data_dir: &Path, typed: &[NamedPath]) -> DatasetPaths {
    let place = |dataset: Dataset| {
        let typed = typed.iter().rev().find(|named| named.dataset == dataset).map(|named| named.path.clone());
        let named = || env::var_os(variable(dataset)).filter(|path| !path.is_empty()).map(PathBuf::from);
        let usual = || Some(usual_folder(data_dir, dataset)).filter(|path| path.exists());
        // A worker runs in another folder: what it is given must not depend on where this process stands.
        typed.or_else(named).or_else(usual).map(|path| std::path::absolute(&path).unwrap_or(path))
    };
    let lying = fs::read_dir(data_dir.join("datasets")).into_iter().flatten().flatten();
    let lying = lying.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named = typed.iter().map(|named| named.dataset).chain(lying);
    let all = Dataset::KNOWN.into_iter().filter(|dataset| !built_in(*dataset)).chain(named);
    all.filter_map(|dataset| Some((dataset, place(dataset)?))).collect()
}

/// Those that lie where somebody said, outside the data folder: their files are not this program's to remove.
pub fn elsewhere(data_dir: &Path, paths: &DatasetPaths) -> BTreeSet<Dataset> {
    let others = paths.iter().filter(|(dataset, place)| **place != usual_folder(data_dir, **dataset));
    others.map(|(dataset, _)| *dataset).collect()
}

/// What is here of all data sets.
#[derive(Debug, Default)]
pub struct Available {
    /// The facts of those that are here and whole, with nothing held out, or a folder as it is split.
    pub found: Vec<DatasetFacts>,
    /// What these look like.
    pub samples: Vec<DatasetSamples>,
    /// The others, as far as anybody would look for them here.
    pub unusable: Vec<Unusable>,
}

/// Reads what is here, or what `notes` say of it.
pub fn available(paths: &DatasetPaths, notes: Notes<'_>) -> Available {
    let mut available = Available::default();
    let all: BTreeSet<Dataset> = Dataset::KNOWN.into_iter().chain(paths.keys().copied()).collect();
    for dataset in all {
        let path = paths.get(&dataset).map(PathBuf::as_path);
        if path.is_none() && !built_in(dataset) {
            let reason = missing(dataset, "was not found when Stillroom started");
            available.unusable.push(Unusable { dataset, reason, found: false });
            continue;
        }
        match look(dataset, path, notes) {
            Ok((facts, samples)) => {
                available.found.push(facts);
                available.samples.push(samples);
            }
            Err(error) => {
                let reason = format!("cannot be used: {error}");
                available.unusable.push(Unusable { dataset, reason, found: true });
            }
        }
    }
    available
}

/// The data sets of a server that runs, which more can be added to. All clones are one.
#[derive(Clone)]
pub struct Shelf {
    pub data_dir: PathBuf,
    /// Where they were found when the server started, also those that cannot be used.
    places: Arc<DatasetPaths>,
    /// What the runner tells workers: where those are that can be used.
    pub paths: Current<DatasetPaths>,
    /// What is planned with.
    pub machine: Current<Machine>,
    pub samples: Current<Vec<DatasetSamples>>,
    /// Whoever follows it hears of what has come.
    store: Store,
    /// Those that are on their way here.
    coming: Arc<Mutex<BTreeSet<Dataset>>>,
    /// One thing that comes is read at a time: each may take much of the machine's memory.
    turn: Arc<Mutex<()>>,
}

/// A data set that is on its way here: until this is dropped it comes in no other way.
pub struct Coming {
    pub dataset: Dataset,
    shelf: Shelf,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.shelf.coming().remove(&self.dataset);
    }
}

/// Why a data set is not brought here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBrought {
    /// It is on its way already.
    Comes,
    /// It can be trained on.
    IsHere,
    /// It has a place, which is not the usual one or not empty, and what lies there cannot be used.
    HasAPlace,
}

impl Shelf {
    /// Of a data folder that nobody else works in: uploads that a server left behind when it was killed go away.
    pub fn new(
        data_dir: PathBuf,
        places: DatasetPaths,
        paths: Current<DatasetPaths>,
        machine: Current<Machine>,
        samples: Current<Vec<DatasetSamples>>,
        store: Store,
    ) -> Shelf {
        let lying = fs::read_dir(data_dir.join("datasets")).into_iter().flatten().flatten();
        let unfinished = lying.filter(|entry| is_upload(&entry.file_name())).map(|entry| entry.path());
        for path in unfinished.chain([uploads(&data_dir)]) {
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %path.display(), "what an upload left behind stays");
                }
                _ => {}
            }
        }
        let (places, coming, turn) = (Arc::new(places), Arc::default(), Arc::default());
        Shelf { data_dir, places, paths, machine, samples, store, coming, turn }
    }

    /// Where files lie for as long as they are looked at.
    pub fn uploads(&self) -> PathBuf {
        uploads(&self.data_dir)
    }

    /// Whoever has it is alone in reading what came.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn coming(&self) -> MutexGuard<'_, BTreeSet<Dataset>> {
        // A set of names is whole whatever its last holder was doing.
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it will lie.
    pub fn folder(&self, dataset: Dataset) -> PathBuf {
        usual_folder(&self.data_dir, dataset)
    }

    /// Says that a data set is on its way.
    ///
    /// # Errors
    /// Where it comes already, is here, or has a place that somebody named.
    pub fn begin(&self, dataset: Dataset) -> Result<Coming, NotBrought> {
        let mut coming = self.coming();
        if coming.contains(&dataset) {
            return Err(NotBrought::Comes);
        }
        // Whatever came is in its place before it is no longer on its way.
        if self.machine.get().datasets.iter().any(|facts| facts.dataset == dataset) {
            return Err(NotBrought::IsHere);
        }
        // What lies in the usual one is filled up, or told by who has it.
        if self.places.get(&dataset).is_some_and(|place| *place != self.folder(dataset)) {
            return Err(NotBrought::HasAPlace);
        }
        coming.insert(dataset);
        Ok(Coming { dataset, shelf: self.clone() })
    }

    /// Reads all of a data set that has come, which may take minutes.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub fn read(&self, dataset: Dataset, path: &Path) -> Result<(DatasetFacts, DatasetSamples), TrainError> {
        let _turn = self.turn();
        look(dataset, Some(path), Notes::Kept(&train::folder::images_path(&self.data_dir)))
    }

    /// From now on what was read, and lies at `path`, can be trained on.
    pub fn add(&self, (facts, seen): (DatasetFacts, DatasetSamples), path: &Path) {
        let dataset = facts.dataset;
        // What can be planned must be there for the runner and for the page already.
        self.paths.change(|paths| {
            paths.insert(dataset, path.to_owned());
        });
        self.samples.change(|all| {
            all.retain(|samples| samples.dataset != dataset);
            // In the order in which they are found when a server starts.
            all.insert(all.partition_point(|samples| samples.dataset < dataset), seen);
        });
        self.machine.change(|machine| {
            machine.unusable.retain(|unusable| unusable.dataset != dataset);
            let all = &mut machine.datasets;
            all.retain(|facts| facts.dataset != dataset);
            all.insert(all.partition_point(|facts| facts.dataset < dataset), facts);
        });
        // Studies may wait for it. Whoever looks because of this finds all of the above.
        self.store.touch();
    }
}

/// In `datasets`: whether it has the name of an upload that was not finished, see [`Shelf::folder`]. Anything else that a person put
/// there is theirs.
fn is_upload(name: &OsStr) -> bool {
    let of = name.to_str().and_then(|name| name.strip_suffix(".upload"));
    of.is_some_and(|name| name.parse::<Dataset>().is_ok())
}

fn uploads(data_dir: &Path) -> PathBuf {
    data_dir.join("uploads")
}

/// Whether a worker can be told where the images are.
pub fn is_here(dataset: Dataset, paths: &DatasetPaths) -> bool {
    built_in(dataset) || paths.contains_key(&dataset)
}

/// Whether it needs no files.
pub fn built_in(dataset: Dataset) -> bool {
    dataset == Dataset::FashionMnist12k
}

/// Of one that has official files. `why` it is not here: "was not found when Stillroom started".
fn missing(dataset: Dataset, why: &str) -> String {
    format!(
        "{why}; start Stillroom again with --dataset {dataset}=PATH, or with {}=PATH in the environment, or \
         once its official files are in the folder datasets/{dataset} of the data folder{}",
        variable(dataset),
        if download::can_be_downloaded(dataset) {
            format!(" (`stillroom download {dataset}` puts them there)")
        } else {
            String::new()
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_comes_before_the_usual_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let usual = folder.path().join("datasets/mnist");
        std::fs::create_dir_all(&usual).expect("a folder");
        assert_eq!(find(folder.path(), &[]), DatasetPaths::from([(Dataset::Mnist, usual)]));
        let typed = [NamedPath { dataset: Dataset::Mnist, path: "/elsewhere".into() }];
        assert_eq!(find(folder.path(), &typed), DatasetPaths::from([(Dataset::Mnist, "/elsewhere".into())]));
    }

    #[test]
    fn folders_of_images_are_those_that_were_typed_or_lie_in_the_data_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lying = folder.path().join("datasets/flowers@32");
        // What is still on its way has no name of a data set.
        let others = ["no data set", "mnist", "cifar-10.part", "birds@32.upload"]
            .map(|name| folder.path().join("datasets").join(name));
        for made in others.iter().chain([&lying]) {
            std::fs::create_dir_all(made).expect("a folder");
        }
        let named: NamedPath = "birds@64=/data/birds".parse().expect("a named path");
        let found = find(folder.path(), &[named]);
        let expected = [
            ("mnist", folder.path().join("datasets/mnist")),
            ("birds@64", "/data/birds".into()),
            ("flowers@32", lying),
        ];
        let expected = expected.map(|(name, path)| (name.parse().expect("a data set"), path));
        assert_eq!(found, DatasetPaths::from(expected));
    }

    #[tokio::test]
    async fn a_data_set_comes_in_one_way_and_into_no_place_that_is_taken() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let usual = usual_folder(folder.path(), Dataset::Cifar10);
        let places = DatasetPaths::from([(Dataset::Cifar100, "/elsewhere".into()), (Dataset::Cifar10, usual)]);
        let store = Store::open(folder.path()).await.expect("a store");
        let (machine, samples) = crate::machine::find(folder.path(), &places, Notes::None, Some(1), 0);
        let shelf = Shelf::new(
            folder.path().to_owned(),
            places,
            DatasetPaths::new().into(),
            machine.into(),
            samples.into(),
            store.clone(),
        );
        let begun = |dataset| shelf.begin(dataset).map(|coming| coming.dataset);
        let first = shelf.begin(Dataset::Mnist).expect("it comes");
        assert_eq!(begun(Dataset::Mnist), Err(NotBrought::Comes));
        drop(first);
        assert_eq!(begun(Dataset::Mnist), Ok(Dataset::Mnist));
        assert_eq!(begun(Dataset::Cifar100), Err(NotBrought::HasAPlace));
        assert_eq!(begun(Dataset::Cifar10), Ok(Dataset::Cifar10), "what lacks in the usual place may be brought");
        // What can be trained on moves whoever follows the store, and comes no more.
        let revision = *store.changes().borrow();
        let (facts, seen) = look(Dataset::FashionMnist12k, None, Notes::None).expect("it is built in");
        let facts = DatasetFacts { dataset: Dataset::Mnist, ..facts };
        shelf.add((facts, DatasetSamples { dataset: Dataset::Mnist, ..seen }), Path::new("/here"));
        assert_eq!(begun(Dataset::Mnist), Err(NotBrought::IsHere));
        assert!(*store.changes().borrow() > revision && is_here(Dataset::Mnist, &shelf.paths.get()));
        assert_eq!(shelf.machine.get().lacks(Dataset::Mnist), None);
        // Whatever came first stands where it would after another start.
        let before = DatasetFacts { dataset: Dataset::FashionMnist, ..shelf.machine.get().datasets[0].clone() };
        let seen = DatasetSamples { dataset: Dataset::FashionMnist, ..shelf.samples.get()[0].clone() };
        shelf.add((before, seen), Path::new("/here"));
        let order = [Dataset::FashionMnist12k, Dataset::FashionMnist, Dataset::Mnist];
        let shown: Vec<Dataset> = shelf.machine.get().datasets.iter().map(|facts| facts.dataset).collect();
        assert_eq!(shown, order);
        let shown: Vec<Dataset> = shelf.samples.get().iter().map(|samples| samples.dataset).collect();
        assert_eq!(shown, order);
        store.close().await;
    }

    #[test]
    fn what_is_not_here_or_damaged_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let paths = DatasetPaths::from([(Dataset::Mnist, folder.path().to_owned())]);
        let Available { found, samples, unusable } = available(&paths, Notes::None);
        assert_eq!(
            found.iter().map(|facts| (facts.dataset, facts.train, facts.validation)).collect::<Vec<_>>(),
            [(Dataset::FashionMnist12k, 17_000, 0)]
        );
        assert_eq!(samples.iter().map(|samples| samples.dataset).collect::<Vec<_>>(), [Dataset::FashionMnist12k]);
        let told = |dataset| unusable.iter().find(|unusable| unusable.dataset == dataset).expect("it is not here");
        let damaged = told(Dataset::Mnist);
        assert!(damaged.found && damaged.reason.contains(&folder.path().display().to_string()), "{damaged:?}");
        let Unusable { reason: missing, found: false, .. } = told(Dataset::Cifar10) else { panic!("it is not here") };
        assert!(missing.contains("--dataset cifar-10=PATH"), "{missing}");
        assert!(missing.contains("STILLROOM_DATASET_CIFAR_10"), "{missing}");
        assert!(missing.contains("stillroom download cifar-10"), "{missing}");
        assert!(missing.contains("start Stillroom again"), "a server that runs does not look again: {missing}");
        assert!(is_here(Dataset::FashionMnist12k, &paths) && is_here(Dataset::Mnist, &paths));
        assert!(!is_here(Dataset::Cifar10, &paths));
    }
}
