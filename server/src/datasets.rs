//! Where the files of data sets lie on this machine: the installation's business, never the study's.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    str::FromStr,
};
use study::{Dataset, DatasetFacts};

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
        let dataset = name.parse().map_err(|names| format!("no data set is called {name:?}; there are {names}"))?;
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
    format!("STILLROOM_DATASET_{}", dataset.name().to_uppercase().replace('-', "_"))
}

/// Finds each data set's path: as typed, else from the environment, else `DATA_DIR/datasets/NAME` where that exists.
pub fn find(data_dir: &Path, typed: &[NamedPath]) -> DatasetPaths {
    let place = |dataset: Dataset| {
        let typed = typed.iter().rev().find(|named| named.dataset == dataset).map(|named| named.path.clone());
        let named = || env::var_os(variable(dataset)).filter(|path| !path.is_empty()).map(PathBuf::from);
        let usual = || Some(data_dir.join("datasets").join(dataset.name())).filter(|path| path.exists());
        // A worker runs in another folder: what it is given must not depend on where this process stands.
        typed.or_else(named).or_else(usual).map(|path| std::path::absolute(&path).unwrap_or(path))
    };
    let outside = Dataset::ALL.into_iter().filter(|dataset| !built_in(*dataset));
    outside.filter_map(|dataset| Some((dataset, place(dataset)?))).collect()
}

/// The facts of every data set that is here and whole, with nothing held out; of the others, why not and what to do about it.
pub fn available(paths: &DatasetPaths) -> (Vec<DatasetFacts>, Vec<(Dataset, String)>) {
    let (mut found, mut unusable) = (Vec::new(), Vec::new());
    for dataset in Dataset::ALL {
        let path = paths.get(&dataset).map(PathBuf::as_path);
        if path.is_none() && !built_in(dataset) {
            unusable.push((dataset, missing(dataset)));
            continue;
        }
        match train::dataset::facts(dataset, path, Some(0)) {
            Ok(facts) => found.push(facts),
            Err(error) => unusable.push((dataset, format!("cannot be used: {error}"))),
        }
    }
    (found, unusable)
}

/// Whether a worker can be told where the images are.
pub fn is_here(dataset: Dataset, paths: &DatasetPaths) -> bool {
    built_in(dataset) || paths.contains_key(&dataset)
}

fn built_in(dataset: Dataset) -> bool {
    dataset == Dataset::FashionMnist12k
}

fn missing(dataset: Dataset) -> String {
    format!(
        "was not found when Stillroom started; start it again with --dataset {dataset}=PATH, or with {}=PATH in the environment, \
         or once its official files are in the folder datasets/{dataset} of the data folder",
        variable(dataset)
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
    fn what_is_not_here_or_damaged_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let paths = DatasetPaths::from([(Dataset::Mnist, folder.path().to_owned())]);
        let (found, unusable) = available(&paths);
        assert_eq!(
            found.iter().map(|facts| (facts.dataset, facts.train, facts.validation)).collect::<Vec<_>>(),
            [(Dataset::FashionMnist12k, 17_000, 0)]
        );
        let reason = |dataset| &unusable.iter().find(|(of, _)| *of == dataset).expect("it is not here").1;
        assert!(reason(Dataset::Mnist).contains(&folder.path().display().to_string()), "{unusable:?}");
        let missing = reason(Dataset::Cifar10);
        assert!(missing.contains("--dataset cifar-10=PATH"), "{missing}");
        assert!(missing.contains("STILLROOM_DATASET_CIFAR_10"), "{missing}");
        assert!(missing.contains("start it again"), "a server that runs does not look again: {missing}");
        assert!(is_here(Dataset::FashionMnist12k, &paths) && is_here(Dataset::Mnist, &paths));
        assert!(!is_here(Dataset::Cifar10, &paths));
    }
}
