//! Checkpoints: safetensors files with the tensor names and layout of the model zoo that researchers of distillation use
//! (RepDistiller's and mdistiller's), so that PyTorch loads them with `load_state_dict(strict=True)`.
//!
//! A checkpoint is up to three files (weights, optimizer state, logits) and a fourth that lists their digests and is renamed
//! into place last: where it lies, the others lie whole, and bytes that changed since are noticed before they are used.

use crate::{
    TrainError,
    augmentation::Normalisation,
    dataset::Images,
    engine::{Values, Weights, shortened},
    folder::{checkpoints_path, digests_path, logits_path, make_folder, optimizer_path, weights_path, write_whole},
};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};
use study::{Architecture, Epoch, Provenance, Segment};

/// A checkpoint that lies in a folder, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// blake3 of the weights file, hexadecimal.
    pub digest: String,
    /// Of all its files together.
    pub bytes: u64,
    /// With optimizer state: training can go on from it.
    pub momentum: bool,
    pub logits: bool,
}

/// What lies in a folder's `checkpoints`.
#[derive(Debug, Default)]
pub struct Inventory {
    pub held: BTreeMap<Epoch, Held>,
    /// Epochs whose checkpoint is not what was written, with what is wrong.
    pub damaged: Vec<(Epoch, String)>,
}

/// Keys and values for people and programs that meet the file alone.
pub type Metadata = BTreeMap<String, String>;

/// Logits of the validation and the test split: (n, classes), in the data set's order. `validation` has no rows where nothing is
/// held out.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptLogits {
    pub validation: Values,
    pub test: Values,
}

/// What a weights file says of itself: how inputs are normalised, what the classes are called, and what made it.
pub fn metadata(
    segment: &Segment,
    epoch: Epoch,
    images: &Images,
    normalisation: &Normalisation,
    provenance: &Provenance,
) -> Metadata {
    let facts = &images.facts;
    let [mean, deviation] = normalisation.statistics();
    [
        ("format", "pt".to_string()),
        ("architecture", segment.architecture.to_string()),
        ("channels", facts.channels.to_string()),
        ("image_size", facts.image_size.to_string()),
        ("classes", facts.classes.to_string()),
        ("class_names", json!(images.class_names).to_string()),
        ("dataset", facts.dataset.to_string()),
        ("mean", json!(mean).to_string()),
        ("deviation", json!(deviation).to_string()),
        ("segment", segment.key.to_string()),
        ("seed", segment.seed.to_string()),
        ("epoch", epoch.to_string()),
        ("provenance", json!(provenance).to_string()),
    ]
    .map(|(key, value)| (key.to_string(), value))
    .into()
}

/// Numbers that a weights file's metadata has under a key; `None` where it has none.
pub(crate) fn numbers(metadata: &Metadata, key: &str) -> Option<Vec<f32>> {
    serde_json::from_str(metadata.get(key)?).ok()
}

/// The network that a weights file's metadata names.
pub fn architecture(path: &Path, metadata: &Metadata) -> Result<Architecture, TrainError> {
    let wrong = |problem| TrainError::Checkpoint { path: path.into(), problem };
    let name = metadata.get("architecture").ok_or_else(|| wrong("does not say its architecture".into()))?;
    name.parse().map_err(wrong)
}

/// Writes a checkpoint that training can go on from. `steps`: training steps since the initialisation, PyTorch's
/// `num_batches_tracked`.
pub fn save(
    folder: &Path,
    epoch: Epoch,
    weights: &Weights,
    momentum: &Weights,
    steps: u64,
    metadata: &Metadata,
) -> Result<Held, TrainError> {
    let checkpoints = checkpoints_path(folder);
    make_folder(&checkpoints)?;
    let statistics = weights.keys().filter_map(|name| name.strip_suffix("running_mean"));
    let counters = statistics.map(|batch_norm| format!("{batch_norm}num_batches_tracked")).collect::<Vec<_>>();
    // While it is written anew it is not there.
    remove_file(&digests_path(folder, epoch))?;
    let mut files = Files::new();
    files.write(&optimizer_path(folder, epoch), &encode(momentum, &[], 0, &Metadata::new()))?;
    files.write(&weights_path(folder, epoch), &encode(weights, &counters, steps, metadata))?;
    files.commit(folder, epoch)
}

/// Adds logits to a checkpoint that lies there.
pub fn save_logits(folder: &Path, epoch: Epoch, logits: &KeptLogits) -> Result<Held, TrainError> {
    let mut files = Files::listed(folder, epoch)?;
    let tensors =
        [("test".to_string(), logits.test.clone()), ("validation".to_string(), logits.validation.clone())].into();
    files.write(&logits_path(folder, epoch), &encode(&tensors, &[], 0, &Metadata::new()))?;
    files.commit(folder, epoch)
}

/// Parameters and running statistics, without batch counters, and what the file says of itself.
pub fn load_weights(folder: &Path, epoch: Epoch) -> Result<(Weights, Metadata), TrainError> {
    let path = weights_path(folder, epoch);
    decode(&path, &read_verified(folder, epoch, &path)?)
}

/// The optimizer's state.
pub fn load_momentum(folder: &Path, epoch: Epoch) -> Result<Weights, TrainError> {
    let path = optimizer_path(folder, epoch);
    decode(&path, &read_verified(folder, epoch, &path)?).map(|(momentum, _)| momentum)
}

/// The logits kept with a checkpoint.
pub fn load_logits(folder: &Path, epoch: Epoch) -> Result<KeptLogits, TrainError> {
    let path = logits_path(folder, epoch);
    let (mut tensors, _) = decode(&path, &read_verified(folder, epoch, &path)?)?;
    let mut take = |name: &str| {
        tensors.remove(name).filter(|values| values.shape.len() == 2).ok_or_else(|| TrainError::Checkpoint {
            path: path.clone(),
            problem: format!("has no {name} logits of shape (n, classes)"),
        })
    };
    Ok(KeptLogits { validation: take("validation")?, test: take("test")? })
}

/// Copies a checkpoint's weights, checked, to a file of a person's choice.
pub fn export(folder: &Path, epoch: Epoch, to: &Path) -> Result<(), TrainError> {
    let bytes = read_verified(folder, epoch, &weights_path(folder, epoch))?;
    write_whole(to, &bytes)
}

/// Looks at every checkpoint of a folder and checks its bytes. Files that belong to none are removed: what a worker was
/// writing or removing when it was killed. Only for the worker that holds the folder's lock.
pub fn inventory(folder: &Path) -> Result<Inventory, TrainError> {
    let checkpoints = checkpoints_path(folder);
    let failed = |source| TrainError::Io { doing: "list", path: checkpoints.clone(), source };
    let entries = match fs::read_dir(&checkpoints) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Inventory::default()),
        entries => entries.map_err(failed)?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut inventory = Inventory::default();
    let mut listed = Vec::new();
    for path in paths.iter().filter(|path| path.extension() == Some(OsStr::new("b3sum"))) {
        let Some(epoch) = epoch_of(path).filter(|epoch| digests_path(folder, *epoch) == *path) else { continue };
        listed.push(epoch);
        match verify(folder, epoch) {
            Ok(held) => drop(inventory.held.insert(epoch, held)),
            Err(TrainError::Checkpoint { path, problem }) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                inventory.damaged.push((epoch, format!("{name} {problem}")));
            }
            Err(error) => return Err(error),
        }
    }
    inventory.damaged.sort_unstable();
    for path in
        paths.iter().filter(|path| epoch_of(path).is_none_or(|epoch| !listed.contains(&epoch)) || is_temporary(path))
    {
        remove_file(path)?;
    }
    Ok(inventory)
}

fn is_temporary(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("tmp"))
}

/// Removes a checkpoint: its list first, so that it is never there in part.
pub fn remove(folder: &Path, epoch: Epoch) -> Result<(), TrainError> {
    let files = [digests_path, weights_path, optimizer_path, logits_path];
    files.iter().try_for_each(|path| remove_file(&path(folder, epoch)))
}

/// Removes the optimizer state of a checkpoint that is kept for its weights alone.
pub fn remove_momentum(folder: &Path, epoch: Epoch) -> Result<Held, TrainError> {
    let path = optimizer_path(folder, epoch);
    let mut files = Files::listed(folder, epoch)?;
    files.digests.remove(&file_name(&path));
    let held = files.commit(folder, epoch)?;
    remove_file(&path)?;
    Ok(held)
}

/// A checkpoint's files by name, each with its digest, before the list of them is written.
struct Files {
    digests: BTreeMap<String, String>,
}

impl Files {
    fn new() -> Files {
        Files { digests: BTreeMap::new() }
    }

    fn listed(folder: &Path, epoch: Epoch) -> Result<Files, TrainError> {
        read_digests(folder, epoch).map(|digests| Files { digests })
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
        write_whole(path, bytes)?;
        self.digests.insert(file_name(path), blake3::hash(bytes).to_hex().to_string());
        Ok(())
    }

    fn commit(self, folder: &Path, epoch: Epoch) -> Result<Held, TrainError> {
        let lines: String = self.digests.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
        write_whole(&digests_path(folder, epoch), lines.as_bytes())?;
        held(folder, epoch, &self.digests)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn epoch_of(path: &Path) -> Option<Epoch> {
    let name = path.file_name()?.to_str()?;
    let (digits, _) = name.strip_prefix("epoch-")?.split_once('.')?;
    digits.parse().ok().map(Epoch)
}

fn held(folder: &Path, epoch: Epoch, digests: &BTreeMap<String, String>) -> Result<Held, TrainError> {
    let lists = |path: &Path| digests.contains_key(&file_name(path));
    let weights = weights_path(folder, epoch);
    let Some(digest) = digests.get(&file_name(&weights)).cloned() else {
        return Err(TrainError::Checkpoint { path: digests_path(folder, epoch), problem: "lists no weights".into() });
    };
    let paths = [weights, optimizer_path(folder, epoch), logits_path(folder, epoch)];
    let mut bytes = 0;
    for path in paths.iter().filter(|path| lists(path)) {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
        bytes += metadata.len();
    }
    Ok(Held { digest, bytes, momentum: lists(&paths[1]), logits: lists(&paths[2]) })
}

/// blake3 of a checkpoint's weights file, hexadecimal, as it was when it was written. The file itself is not looked at.
pub fn weights_digest(folder: &Path, epoch: Epoch) -> Result<String, TrainError> {
    let digest = read_digests(folder, epoch)?.remove(&file_name(&weights_path(folder, epoch)));
    let problem = "lists no weights".into();
    digest.ok_or_else(|| TrainError::Checkpoint { path: digests_path(folder, epoch), problem })
}

/// Looks whether all files of a checkpoint are there with the bytes that were written.
///
/// # Errors
/// [`TrainError::Checkpoint`] where they are not; another error where that could not be found out.
pub fn verify(folder: &Path, epoch: Epoch) -> Result<Held, TrainError> {
    let digests = read_digests(folder, epoch)?;
    let held = held(folder, epoch, &digests)?;
    let listed = digests.keys().map(|name| checkpoints_path(folder).join(name));
    for path in listed {
        read_verified(folder, epoch, &path)?;
    }
    Ok(held)
}

/// The digests of a checkpoint's files by name: lines as `b3sum` writes them. A name that is none of its files' is refused, so
/// that nothing outside the folder is ever read.
fn read_digests(folder: &Path, epoch: Epoch) -> Result<BTreeMap<String, String>, TrainError> {
    let path = digests_path(folder, epoch);
    let allowed = [weights_path, optimizer_path, logits_path].map(|path| file_name(&path(folder, epoch)));
    let text = fs::read(&path).map_err(|error| unreadable(&path, error))?;
    let lines = String::from_utf8_lossy(&text).into_owned();
    let parsed = lines.lines().map(|line| {
        let (digest, name) = line.split_once("  ")?;
        (allowed.iter().any(|allowed| allowed == name)).then(|| (name.to_string(), digest.to_string()))
    });
    parsed
        .collect::<Option<BTreeMap<_, _>>>()
        .ok_or_else(|| TrainError::Checkpoint { path, problem: "is not a list of this checkpoint's digests".into() })
}

fn read_verified(folder: &Path, epoch: Epoch, path: &Path) -> Result<Vec<u8>, TrainError> {
    let digests = read_digests(folder, epoch)?;
    let wrong = |problem: &str| TrainError::Checkpoint { path: path.into(), problem: problem.into() };
    let expected = digests.get(&file_name(path)).ok_or_else(|| wrong("was not kept with this checkpoint"))?;
    let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
    if *blake3::hash(&bytes).to_hex() != **expected {
        return Err(wrong("is damaged: its bytes are not those that were written"));
    }
    Ok(bytes)
}

/// A file that is not there makes a checkpoint damaged; a disk that cannot be read is another matter.
fn unreadable(path: &Path, error: std::io::Error) -> TrainError {
    match error.kind() {
        ErrorKind::NotFound => TrainError::Checkpoint { path: path.into(), problem: "is not there".into() },
        _ => TrainError::Io { doing: "read", path: path.into(), source: error },
    }
}

fn remove_file(path: &PathBuf) -> Result<(), TrainError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(TrainError::Io { doing: "remove", path: path.clone(), source: error })
        }
        _ => Ok(()),
    }
}

/// The safetensors format: the header's length, a JSON header, the tensors' bytes. Written here, with everything in order, so that
/// equal contents are equal bytes. `counters` are whole numbers of eight bytes; they come first, which keeps all aligned.
pub(crate) fn encode(tensors: &Weights, counters: &[String], count: u64, metadata: &Metadata) -> Vec<u8> {
    let mut header = BTreeMap::new();
    if !metadata.is_empty() {
        header.insert("__metadata__", json!(metadata));
    }
    let mut end = 0;
    let mut place = |dtype: &str, shape: &[usize], bytes: usize| {
        let start = end;
        end += bytes;
        json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]})
    };
    header.extend(counters.iter().map(|name| (name.as_str(), place("I64", &[], 8))));
    header.extend(
        tensors.iter().map(|(name, tensor)| (name.as_str(), place("F32", &tensor.shape, tensor.values.len() * 4))),
    );
    let mut header = json!(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(counters.iter().flat_map(|_| count.to_le_bytes()));
    bytes.extend(tensors.values().flat_map(|tensor| &tensor.values).flat_map(|value| value.to_le_bytes()));
    bytes
}

/// All `f32` tensors of a file, and its metadata. Batch counters are passed over; any other kind is refused.
pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<(Weights, Metadata), TrainError> {
    let wrong = |problem: String| TrainError::Checkpoint { path: path.into(), problem };
    let not_safetensors = |error| wrong(not_safetensors(error));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
    let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut weights = Weights::new();
    for (name, tensor) in SafeTensors::deserialize(bytes).map_err(not_safetensors)?.tensors() {
        if is_of_the_network(&name, tensor.dtype()).map_err(wrong)? {
            let (numbers, _) = tensor.data().as_chunks::<4>();
            let values = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
            weights.insert(name, Values { shape: tensor.shape().to_vec(), values });
        }
    }
    Ok((weights, metadata))
}

/// What is said of a file that cannot be read.
pub(crate) fn not_safetensors(error: impl ToString) -> String {
    format!("is not a safetensors file: {}", shortened(&error.to_string()))
}

/// Whether a tensor of a file is one that a network has: `f32`s, where batch counters are none.
///
/// # Errors
/// A sentence's end about one of another kind.
pub(crate) fn is_of_the_network(name: &str, kind: Dtype) -> Result<bool, String> {
    match kind {
        Dtype::F32 => Ok(true),
        Dtype::I64 if name.ends_with("num_batches_tracked") => Ok(false),
        other => Err(format!("holds {} as {other:?}; expected F32", shortened(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(shape: &[usize], first: f32) -> Values {
        let count: usize = shape.iter().product();
        Values { shape: shape.to_vec(), values: (0..count).map(|index| first + index as f32).collect() }
    }

    fn weights() -> Weights {
        [
            ("bn1.running_mean".to_string(), values(&[3], 0.5)),
            ("conv1.weight".to_string(), values(&[2, 1, 3, 3], -4.0)),
            ("fc.bias".to_string(), values(&[2], f32::MIN_POSITIVE)),
        ]
        .into()
    }

    fn momentum() -> Weights {
        weights().into_iter().filter(|(name, _)| !name.contains("running")).collect()
    }

    fn described() -> Metadata {
        [("format", "pt"), ("architecture", "wrn-10-1")].map(|(key, value)| (key.into(), value.into())).into()
    }

    fn saved() -> (tempfile::TempDir, Held) {
        let folder = tempfile::tempdir().unwrap();
        let held = save(folder.path(), Epoch(8), &weights(), &momentum(), 752, &described()).unwrap();
        (folder, held)
    }

    #[test]
    fn what_is_saved_is_loaded_and_equal_contents_are_equal_bytes() {
        let (folder, held) = saved();
        let path = folder.path();
        assert_eq!(load_weights(path, Epoch(8)).unwrap(), (weights(), described()));
        assert_eq!(load_momentum(path, Epoch(8)).unwrap(), momentum());
        let bytes = fs::read(weights_path(path, Epoch(8))).unwrap();
        assert_eq!(held.digest, blake3::hash(&bytes).to_hex().to_string());
        assert_eq!((held.momentum, held.logits), (true, false));
        let (other, _) = saved();
        assert_eq!(fs::read(weights_path(other.path(), Epoch(8))).unwrap(), bytes);
        assert_eq!(inventory(path).unwrap().held, [(Epoch(8), held)].into());
    }

    #[test]
    fn batch_counters_stand_beside_the_running_statistics_for_pytorch() {
        let (folder, _) = saved();
        let bytes = fs::read(weights_path(folder.path(), Epoch(8))).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let counter = file.tensor("bn1.num_batches_tracked").unwrap();
        assert_eq!(
            (counter.dtype(), counter.shape(), counter.data()),
            (Dtype::I64, &[][..], &752i64.to_le_bytes()[..])
        );
        assert_eq!(file.len(), 4);
    }

    #[test]
    fn logits_are_added_and_optimizer_state_is_taken_away() {
        let (folder, _) = saved();
        let path = folder.path();
        let logits = KeptLogits { validation: values(&[0, 10], 0.0), test: values(&[2, 10], 1.0) };
        assert!(load_logits(path, Epoch(8)).is_err());
        assert!(save_logits(path, Epoch(8), &logits).unwrap().logits);
        assert_eq!(load_logits(path, Epoch(8)).unwrap(), logits);
        let held = remove_momentum(path, Epoch(8)).unwrap();
        assert_eq!((held.momentum, held.logits), (false, true));
        assert!(!optimizer_path(path, Epoch(8)).exists());
        assert!(load_momentum(path, Epoch(8)).is_err());
        assert_eq!(inventory(path).unwrap().held, [(Epoch(8), held)].into());
        remove(path, Epoch(8)).unwrap();
        assert_eq!(fs::read_dir(checkpoints_path(path)).unwrap().count(), 0);
    }

    #[test]
    fn any_changed_truncated_or_missing_file_is_told_and_never_loaded() {
        type File = fn(&Path, Epoch) -> PathBuf;
        type Load = fn(&Path) -> Result<(), TrainError>;
        let cases: [(File, Load); 2] = [
            (weights_path, |folder| load_weights(folder, Epoch(8)).map(drop)),
            (optimizer_path, |folder| load_momentum(folder, Epoch(8)).map(drop)),
        ];
        for (path, load) in cases {
            let (folder, _) = saved();
            let path = path(folder.path(), Epoch(8));
            let whole = fs::read(&path).unwrap();
            let flipped = |index: usize| {
                let mut bytes = whole.clone();
                bytes[index] ^= 1;
                bytes
            };
            let step = whole.len() / 40 + 1;
            let damages = (0..whole.len()).step_by(step).flat_map(|index| [flipped(index), whole[..index].to_vec()]);
            for damage in damages {
                fs::write(&path, damage).unwrap();
                assert!(matches!(load(folder.path()), Err(TrainError::Checkpoint { .. })));
            }
            assert_eq!(inventory(folder.path()).unwrap().damaged.len(), 1);
            fs::remove_file(&path).unwrap();
            let error = load(folder.path()).unwrap_err().to_string();
            assert!(error.contains("is not there") && error.contains("epoch-000008"), "{error}");
            let found = inventory(folder.path()).unwrap();
            assert!(found.held.is_empty() && found.damaged[0].0 == Epoch(8), "{found:?}");
        }
    }

    #[test]
    fn a_list_that_names_other_files_is_refused() {
        let (folder, _) = saved();
        fs::write(digests_path(folder.path(), Epoch(8)), "00  ../../secret\n").unwrap();
        assert!(load_weights(folder.path(), Epoch(8)).is_err());
        assert_eq!(inventory(folder.path()).unwrap().damaged.len(), 1);
    }

    #[test]
    fn what_a_killed_worker_was_writing_is_removed() {
        let (folder, held) = saved();
        let path = folder.path();
        fs::write(weights_path(path, Epoch(9)), b"not listed").unwrap();
        fs::write(checkpoints_path(path).join("epoch-000008.safetensors.tmp"), b"half").unwrap();
        assert_eq!(inventory(path).unwrap().held, [(Epoch(8), held)].into());
        assert_eq!(fs::read_dir(checkpoints_path(path)).unwrap().count(), 3);
    }

    #[test]
    fn an_export_is_the_weights_file_byte_for_byte() {
        let (folder, _) = saved();
        let to = folder.path().join("exported.safetensors");
        export(folder.path(), Epoch(8), &to).unwrap();
        assert_eq!(fs::read(to).unwrap(), fs::read(weights_path(folder.path(), Epoch(8))).unwrap());
        assert!(export(folder.path(), Epoch(7), &folder.path().join("other")).is_err());
    }
}
