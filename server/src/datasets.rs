//! Where the files of data sets lie on this machine: the installation's business, never the study's.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    str::FromStr,
};
use study::{Dataset, DatasetFacts, SpecError, Study};

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
    Dataset::ALL.into_iter().filter_map(|dataset| Some((dataset, place(dataset)?))).collect()
}

/// Reads what a plan needs to know of a study's data set.
///
/// # Errors
/// Field `dataset`: its files were not found, or are damaged, with what to do about it.
pub fn facts(study: &Study, paths: &DatasetPaths) -> Result<DatasetFacts, SpecError> {
    let path = paths.get(&study.dataset).map(PathBuf::as_path);
    if path.is_none() && !built_in(study.dataset) {
        return Err(missing(study.dataset));
    }
    train::dataset::facts(study.dataset, path, study.validation).map_err(|error| SpecError {
        field: "dataset".into(),
        problem: error.to_string(),
        given: study.dataset.to_string(),
        allowed: "a data set in its official files".into(),
    })
}

/// The facts of every data set that is here and whole, with its own split; for those that are damaged, what is wrong.
pub fn available(paths: &DatasetPaths) -> (Vec<DatasetFacts>, Vec<String>) {
    let here = Dataset::ALL.into_iter().filter(|dataset| built_in(*dataset) || paths.contains_key(dataset));
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for dataset in here {
        let path = paths.get(&dataset).map(PathBuf::as_path);
        // A folder with fewer images than the usual split holds out is still a data set: its studies name their own.
        let facts =
            train::dataset::facts(dataset, path, None).or_else(|_| train::dataset::facts(dataset, path, Some(0)));
        match facts {
            Ok(facts) => found.push(facts),
            Err(error) => damaged.push(format!("{dataset}: {error}")),
        }
    }
    (found, damaged)
}

fn built_in(dataset: Dataset) -> bool {
    dataset == Dataset::FashionMnist12k
}

fn missing(dataset: Dataset) -> SpecError {
    SpecError {
        field: "dataset".into(),
        problem: format!(
            "was not found on this machine; start with --dataset {dataset}=PATH, set {}, or put its official files into the \
             folder datasets/{dataset} of the data folder",
            variable(dataset)
        ),
        given: dataset.to_string(),
        allowed: "fashion-mnist-12k (built in), or a data set whose files are here".into(),
    }
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
    fn a_data_set_that_is_not_here_is_an_error_of_that_field() {
        let error = missing(Dataset::Cifar10);
        assert_eq!(error.field, "dataset");
        assert!(error.problem.contains("--dataset cifar-10=PATH"), "{error}");
        assert!(error.problem.contains("STILLROOM_DATASET_CIFAR_10"), "{error}");
    }
}
