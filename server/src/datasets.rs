//! Where the files of data sets lie on this machine: the installation's business, never the study's.

use crate::fetch;
use app::laboratory::Current;
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    str::FromStr,
};
use study::{Dataset, DatasetFacts, DatasetSamples, Machine};
use train::TrainError;

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

/// The environment variable that may name a data set's path: `STILLROOM_DATASET_CIFAR_10`. A folder of images has a name of its
/// owner's making, which no variable can have.
pub fn variable(dataset: Dataset) -> Option<String> {
    match dataset {
        Dataset::Folder(_) => None,
        known => Some(format!("STILLROOM_DATASET_{}", known.to_string().to_uppercase().replace('-', "_"))),
    }
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
        let named = || variable(dataset).and_then(env::var_os).filter(|path| !path.is_empty()).map(PathBuf::from);
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

/// What is here of all data sets.
#[derive(Debug, Default)]
pub struct Available {
    /// The facts of those that are here and whole, with nothing held out, or a folder as it is split.
    pub found: Vec<DatasetFacts>,
    /// What these look like.
    pub samples: Vec<DatasetSamples>,
    /// Of the others, why not and what to do about it.
    pub unusable: Vec<(Dataset, String)>,
}

/// Reads what is here. What takes long to read is kept in the data folder, where there is one, and read again only where it
/// changed.
pub fn available(data_dir: &Path, paths: &DatasetPaths) -> Available {
    let mut available = Available::default();
    let images = data_dir.is_dir().then(|| train::folder::images_path(data_dir));
    let all: BTreeSet<Dataset> = Dataset::KNOWN.into_iter().chain(paths.keys().copied()).collect();
    for dataset in all {
        let path = paths.get(&dataset).map(PathBuf::as_path);
        if path.is_none() && !built_in(dataset) {
            available.unusable.push((dataset, missing(dataset)));
            continue;
        }
        match train::dataset::look(dataset, path, images.as_deref()) {
            Ok((facts, samples)) => {
                available.found.push(facts);
                available.samples.push(samples);
            }
            Err(error) => available.unusable.push((dataset, format!("cannot be used: {error}"))),
        }
    }
    available
}

/// The data sets of a server that runs, which more can be added to. All clones are one.
#[derive(Clone)]
pub struct Shelf {
    pub data_dir: PathBuf,
    /// What the runner tells workers.
    pub paths: Current<DatasetPaths>,
    /// What is planned with.
    pub machine: Current<Machine>,
    pub samples: Current<Vec<DatasetSamples>>,
}

impl Shelf {
    /// Reads all of a data set that has come, which may take minutes; from then on it can be trained on.
    pub fn add(&self, dataset: Dataset, path: &Path) -> Result<DatasetFacts, TrainError> {
        let images = train::folder::images_path(&self.data_dir);
        let (facts, samples) = train::dataset::look(dataset, Some(path), Some(&images))?;
        // What can be planned must be there for the runner and for the page already.
        self.paths.change(|paths| paths.insert(dataset, path.to_owned()));
        self.samples.change(|all| {
            all.retain(|samples| samples.dataset != dataset);
            all.push(samples);
        });
        self.machine.change(|machine| {
            machine.unusable.retain(|(unusable, _)| *unusable != dataset);
            machine.datasets.retain(|facts| facts.dataset != dataset);
            machine.datasets.push(facts.clone());
        });
        Ok(facts)
    }
}

/// Whether a worker can be told where the images are.
pub fn is_here(dataset: Dataset, paths: &DatasetPaths) -> bool {
    built_in(dataset) || paths.contains_key(&dataset)
}

/// Whether it needs no files.
pub fn built_in(dataset: Dataset) -> bool {
    dataset == Dataset::FashionMnist12k
}

fn missing(dataset: Dataset) -> String {
    let variable =
        variable(dataset).map_or_else(String::new, |variable| format!(", or with {variable}=PATH in the environment"));
    format!(
        "was not found when Stillroom started; start it again with --dataset {dataset}=PATH{variable}, \
         or once its official files are in the folder datasets/{dataset} of the data folder{}",
        if fetch::can_fetch(dataset) {
            format!(" (`stillroom fetch-data {dataset}` puts them there)")
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
        for made in [&lying, &folder.path().join("datasets/no data set"), &folder.path().join("datasets/mnist")] {
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
        let reason = missing("birds@64".parse().expect("a data set"));
        assert!(reason.contains("--dataset birds@64=PATH, or once") && !reason.contains("STILLROOM"), "{reason}");
    }

    #[test]
    fn what_is_not_here_or_damaged_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let paths = DatasetPaths::from([(Dataset::Mnist, folder.path().to_owned())]);
        let Available { found, samples, unusable } = available(folder.path(), &paths);
        assert_eq!(
            found.iter().map(|facts| (facts.dataset, facts.train, facts.validation)).collect::<Vec<_>>(),
            [(Dataset::FashionMnist12k, 17_000, 0)]
        );
        assert_eq!(samples.iter().map(|samples| samples.dataset).collect::<Vec<_>>(), [Dataset::FashionMnist12k]);
        let reason = |dataset| &unusable.iter().find(|(of, _)| *of == dataset).expect("it is not here").1;
        assert!(reason(Dataset::Mnist).contains(&folder.path().display().to_string()), "{unusable:?}");
        let missing = reason(Dataset::Cifar10);
        assert!(missing.contains("--dataset cifar-10=PATH"), "{missing}");
        assert!(missing.contains("STILLROOM_DATASET_CIFAR_10"), "{missing}");
        assert!(missing.contains("stillroom fetch-data cifar-10"), "{missing}");
        assert!(missing.contains("start it again"), "a server that runs does not look again: {missing}");
        assert!(is_here(Dataset::FashionMnist12k, &paths) && is_here(Dataset::Mnist, &paths));
        assert!(!is_here(Dataset::Cifar10, &paths));
    }
}
