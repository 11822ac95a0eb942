//! Teachers that were trained elsewhere: brought once into the folder that all workers share, checked, and listed.

use crate::TrainError;
use crate::augmentation::Normalisation;
use crate::checkpoint::{Metadata, architecture, decode, encode, numbers};
use crate::engine::{NetworkShape, Weights, mismatches};
use crate::folder::{imported_path, make_folder, write_whole};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};
use study::{Architecture, ImportedTeacher, TeacherNetwork, WeightsDigest};

/// What a file of weights does not say by itself.
#[derive(Clone, Debug)]
pub struct Described {
    pub architecture: Architecture,
    /// What a person calls it.
    pub name: String,
    /// By colour channel, of pixel values from 0 to 1: what is taken off an image, and what it is divided by.
    pub mean: Vec<f32>,
    pub deviation: Vec<f32>,
}

/// What a file says of itself, such as one that was exported by this program, or what a person says of it; `None` of what is not said.
#[derive(Clone, Debug, Default)]
pub struct OfItself {
    pub architecture: Option<Architecture>,
    /// Mean and deviation, see [`Described`].
    pub normalisation: Option<[Vec<f32>; 2]>,
}

/// Reads what a file says of itself.
///
/// # Errors
/// A file that is not safetensors.
pub fn said_of_itself(from: &Path) -> Result<OfItself, TrainError> {
    let (_, metadata) = decode(from, &read(from)?)?;
    let normalisation = || Some([numbers(&metadata, "mean")?, numbers(&metadata, "deviation")?]);
    let architecture = metadata.get("architecture").and_then(|name| name.parse().ok());
    Ok(OfItself { architecture, normalisation: normalisation() })
}

/// What a file is: as it is `said` to be, and of what is not said, as it says of itself.
///
/// # Errors
/// A file that is not safetensors, or of which nobody says which network it is, or how its inputs are normalised.
pub fn described(from: &Path, said: OfItself, name: String) -> Result<Described, TrainError> {
    let of_itself = said_of_itself(from)?;
    let lacking = |problem: &str| TrainError::Checkpoint { path: from.into(), problem: problem.into() };
    let architecture = said
        .architecture
        .or(of_itself.architecture)
        .ok_or_else(|| lacking("does not say which network it is: name its architecture, such as wrn-40-2"))?;
    let [mean, deviation] = said
        .normalisation
        .or(of_itself.normalisation)
        .ok_or_else(|| lacking("does not say how its inputs are normalised: say it by mean and deviation"))?;
    Ok(Described { architecture, name, mean, deviation })
}

/// Brings a safetensors file with weights in the model zoo's names into the shared folder. The same file twice is one teacher.
///
/// # Errors
/// Every tensor that is missing, extra or misshapen for the architecture, numbers that are not finite, and a normalisation that
/// does not fit the network's colours.
pub fn import(shared: &Path, from: &Path, described: &Described) -> Result<ImportedTeacher, TrainError> {
    let (weights, _) = decode(from, &read(from)?)?;
    let wrong = |problem: String| TrainError::Checkpoint { path: from.into(), problem };
    let size = |name: &str, dimension: usize| weights.get(name).and_then(|tensor| tensor.shape.get(dimension).copied());
    let channels =
        size("conv1.weight", 1).ok_or_else(|| wrong("has no conv1.weight, which says how many colours".into()))?;
    let classes = size("fc.weight", 0).ok_or_else(|| wrong("has no fc.weight, which says how many classes".into()))?;
    let shape = NetworkShape { architecture: described.architecture, channels, image_size: 32, classes };
    if let Some(problem) = mismatches(&shape.tensors(), &weights) {
        return Err(wrong(format!(
            "is no {} of {channels} colours and {classes} classes: {problem}",
            described.architecture
        )));
    }
    let finite = |weights: &Weights| weights.values().flat_map(|tensor| &tensor.values).all(|value| value.is_finite());
    if !finite(&weights) {
        return Err(wrong("holds numbers that are not finite".into()));
    }
    let fits = described.mean.len() == channels && described.deviation.len() == channels;
    if !fits || !described.deviation.iter().all(|deviation| *deviation > 0.0) {
        return Err(wrong(format!("has {channels} colours: give {channels} means, and as many deviations above 0")));
    }
    let metadata: Metadata = [
        ("format", "pt".to_owned()),
        ("architecture", described.architecture.to_string()),
        ("name", described.name.clone()),
        ("channels", channels.to_string()),
        ("classes", classes.to_string()),
        ("mean", json!(described.mean).to_string()),
        ("deviation", json!(described.deviation).to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let bytes = encode(&weights, &[], 0, &metadata);
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
    let digest = WeightsDigest(digest);
    let path = imported_path(shared, digest);
    make_folder(path.parent().unwrap_or(shared))?;
    write_whole(&path, &bytes)?;
    Ok(ImportedTeacher {
        network: TeacherNetwork { architecture: described.architecture, imported: Some(digest) },
        name: described.name.clone(),
        channels: channels as u32,
        classes: classes as u32,
    })
}

/// Every teacher in the shared folder, by name. A file that is none is passed over.
///
/// # Errors
/// A folder that cannot be read.
pub fn list(shared: &Path) -> io::Result<Vec<ImportedTeacher>> {
    let folder = imported_path(shared, WeightsDigest([0; 16]));
    let entries = match fs::read_dir(folder.parent().unwrap_or(shared)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut teachers = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let digest = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        teachers.extend(digest.and_then(|digest| listed(&path, digest)));
    }
    teachers.sort_by(|one, other| (&one.name, one.network).cmp(&(&other.name, other.network)));
    Ok(teachers)
}

fn listed(path: &Path, digest: WeightsDigest) -> Option<ImportedTeacher> {
    let metadata = header(path).ok()?;
    let said = |key: &str| metadata.get("__metadata__")?.get(key)?.as_str();
    Some(ImportedTeacher {
        network: TeacherNetwork { architecture: said("architecture")?.parse().ok()?, imported: Some(digest) },
        name: said("name")?.to_owned(),
        channels: said("channels")?.parse().ok()?,
        classes: said("classes")?.parse().ok()?,
    })
}

/// A safetensors file's header, without the tensors behind it.
fn header(path: &Path) -> io::Result<Value> {
    const BYTES_MAX: u64 = 10_000_000;
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length).min(BYTES_MAX);
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// An imported teacher's weights, and how its inputs are normalised.
///
/// # Errors
/// A file that is not there, or whose bytes are not those that were imported.
pub(crate) fn load(
    shared: &Path,
    digest: WeightsDigest,
    image_size: usize,
) -> Result<(Weights, Normalisation), TrainError> {
    let path = imported_path(shared, digest);
    let bytes = read(&path)?;
    let wrong = |problem: &str| TrainError::Checkpoint { path: path.clone(), problem: problem.into() };
    if blake3::hash(&bytes).as_bytes()[..16] != digest.0 {
        return Err(wrong("is damaged: its bytes are not those that were imported"));
    }
    let (weights, metadata) = decode(&path, &bytes)?;
    architecture(&path, &metadata)?;
    let normalisation = Normalisation::said(&metadata, image_size);
    Ok((weights, normalisation.ok_or_else(|| wrong("does not say how its inputs are normalised"))?))
}

fn read(path: &Path) -> Result<Vec<u8>, TrainError> {
    fs::read(path).map_err(|source| TrainError::Io { doing: "read", path: path.into(), source })
}
