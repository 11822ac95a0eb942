//! Teachers that were trained elsewhere: brought once into the folder that all workers share, checked, and listed.

use crate::TrainError;
use crate::augmentation::Normalisation;
use crate::checkpoint::{self, Metadata, architecture, decode, encode, is_of_the_network, numbers};
use crate::engine::{Given, NetworkShape, Weights, differences, shortened};
use crate::folder::{imported_path, make_folder, write_whole};
use safetensors::tensor::{Metadata as Header, TensorInfo};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};
use study::{Architecture, ImportedTeacher, TeacherNetwork, WeightsDigest};

/// What a file of weights says of itself, such as one that was exported by this program, or what a person says of it; `None` of what is
/// not said.
#[derive(Clone, Debug, Default)]
pub struct OfItself {
    pub architecture: Option<Architecture>,
    /// By colour channel, of pixel values from 0 to 1: what is taken off an image, and what it is divided by, which is above 0.
    pub normalisation: Option<[Vec<f32>; 2]>,
}

/// What is taken of a file once its header was looked at.
struct Fitting {
    shape: NetworkShape,
    normalisation: [Vec<f32>; 2],
    /// Of all tensors, behind the header.
    bytes: usize,
}

/// Brings a safetensors file with weights in the model zoo's names into the shared folder. It is as it is `said` to be, and of what is
/// not said, as it says of itself; `name`: what a person calls it. The same file twice is one teacher.
///
/// Only a file whose header fits is read, once: then it is in memory twice, as it lies there and as numbers.
///
/// # Errors
/// A file that is not safetensors, or of which nobody says which network it is, or how its inputs are normalised; tensors that are
/// missing, extra or misshapen for the architecture, numbers that are not finite, and a normalisation that does not fit the network's
/// colours.
pub fn import(shared: &Path, from: &Path, said: OfItself, name: &str) -> Result<ImportedTeacher, TrainError> {
    let wrong = |problem: String| TrainError::Checkpoint { path: from.into(), problem };
    let failed = |source| TrainError::Io { doing: "read", path: from.into(), source };
    let mut file = File::open(from).map_err(failed)?;
    let (mut bytes, header) = header(&mut file).map_err(failed)?.map_err(wrong)?;
    let Fitting { shape, normalisation, bytes: expected } = fitting(&header, said).map_err(wrong)?;
    let length = file.metadata().map_err(failed)?.len();
    let expected = bytes.len() + expected;
    if length != expected as u64 {
        return Err(wrong(checkpoint::not_safetensors(format!("it has {length} bytes; its header says {expected}"))));
    }
    bytes.reserve_exact(expected - bytes.len());
    file.read_to_end(&mut bytes).map_err(failed)?;
    let (weights, _) = decode(from, &bytes)?;
    drop(bytes);
    if let Some(problem) = impossible(&weights) {
        return Err(wrong(problem));
    }
    let NetworkShape { architecture, channels, classes, .. } = shape;
    let [mean, deviation] = normalisation;
    let name = plain(name);
    let metadata: Metadata = [
        ("format", "pt".to_owned()),
        ("architecture", architecture.to_string()),
        ("name", name.clone()),
        ("channels", channels.to_string()),
        ("classes", classes.to_string()),
        ("mean", json!(mean).to_string()),
        ("deviation", json!(deviation).to_string()),
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
        network: TeacherNetwork { architecture, imported: Some(digest) },
        name,
        channels: channels as u32,
        classes: classes as u32,
    })
}

/// What a file is by its header, if that is a network's whose inputs somebody knows; else a sentence's end about the file.
fn fitting(header: &Header, said: OfItself) -> Result<Fitting, String> {
    let metadata: Metadata = header.metadata().clone().into_iter().flatten().collect();
    let named = metadata.get("architecture").map(|name| {
        let wrong = |wrong: String| format!("says that it is {:?}, which is {wrong}", shortened(name));
        name.parse::<Architecture>().map_err(wrong)
    });
    let architecture = match (said.architecture, named) {
        (Some(said), _) => Ok(said),
        (None, Some(named)) => named,
        (None, None) => Err("does not say which network it is: name its architecture, such as wrn-40-2".to_owned()),
    };
    let noted = || Some([numbers(&metadata, "mean")?, numbers(&metadata, "deviation")?]);
    let normalisation = said.normalisation.or_else(noted);
    let normalisation =
        normalisation.ok_or("does not say how its inputs are normalised: say it by mean and deviation".to_owned());
    let (architecture, normalisation) = match (architecture, normalisation) {
        (Ok(architecture), Ok(normalisation)) => (architecture, normalisation),
        (architecture, normalisation) => {
            let problems: Vec<String> = architecture.err().into_iter().chain(normalisation.err()).collect();
            return Err(problems.join("; "));
        }
    };

    // In an order, so that of several wrong ones it is always the same that is told.
    let tensors: BTreeMap<String, &TensorInfo> = header.tensors().into_iter().collect();
    let mut given: BTreeMap<&str, Given<'_>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, tensor) in &tensors {
        let (begin, end) = tensor.data_offsets;
        match is_of_the_network(name, tensor.dtype) {
            Ok(true) => drop(given.insert(name, (&tensor.shape, (end - begin) / size_of::<f32>()))),
            Ok(false) => {}
            Err(kind) => {
                problems.push(kind);
                given.insert(name, (&tensor.shape, tensor.shape.iter().product()));
            }
        }
    }
    problems.extend(prefix(&given));
    let size = |name: &str, dimension: usize| given.get(name).and_then(|(shape, _)| shape.get(dimension).copied());
    let (channels, classes) = (size("conv1.weight", 1), size("fc.weight", 0));
    if let Some(channels) = channels.filter(|channels| ![1, 3].contains(channels)) {
        return Err(format!("is for images of {channels} colours; allowed: 1 (grey) or 3"));
    }
    if let Some(classes) = classes.filter(|classes| !(2..=256).contains(classes)) {
        return Err(format!("knows {classes} classes; allowed: 2 to 256"));
    }
    // Where one is missing that says it, that is told, and any will do to find what else is.
    let (channels, classes) = (channels.unwrap_or(3), classes.unwrap_or(10));
    let shape = NetworkShape { architecture, channels, image_size: 32, classes };
    problems.extend(differences(&shape.tensors(), &given));
    if !problems.is_empty() {
        return Err(format!(
            "is no {architecture} of {channels} colours and {classes} classes: {}",
            problems.join("; ")
        ));
    }
    let [mean, deviation] = &normalisation;
    let fits = mean.len() == channels && deviation.len() == channels;
    let finite = mean.iter().chain(deviation).all(|number| number.is_finite());
    if !fits || !finite || !deviation.iter().all(|deviation| *deviation > 0.0) {
        return Err(format!(
            "has {channels} colours: give {channels} means, and as many deviations above 0, all of them finite"
        ));
    }
    Ok(Fitting { shape, normalisation, bytes: header.data_len() })
}

/// What stands before every name where a network was wrapped before it was kept, such as "module.".
fn prefix(given: &BTreeMap<&str, Given<'_>>) -> Option<String> {
    let before = given.keys().filter_map(|name| name.strip_suffix("conv1.weight"));
    let of_all = |prefix: &&str| !prefix.is_empty() && given.keys().all(|name| name.starts_with(*prefix));
    before.filter(of_all).min().map(|prefix| {
        let prefix = shortened(prefix);
        format!("all names begin with \"{prefix}\", and the model zoo’s do not: keep the network that was wrapped")
    })
}

/// What no network can compute with.
fn impossible(weights: &Weights) -> Option<String> {
    let named = |is_wrong: &dyn Fn(&str, f32) -> bool| -> Vec<&str> {
        let wrong = weights.iter().filter(|(name, tensor)| tensor.values.iter().any(|value| is_wrong(name, *value)));
        wrong.map(|(name, _)| name.as_str()).collect()
    };
    let infinite = named(&|_, value| !value.is_finite());
    let negative = named(&|name, value| name.ends_with("running_var") && value < 0.0);
    match (infinite.as_slice(), negative.as_slice()) {
        ([], []) => None,
        ([], negative) => Some(format!("holds variances below 0: {}", negative.join(", "))),
        (infinite, _) => Some(format!("holds numbers that are not finite: {}", infinite.join(", "))),
    }
}

/// A name as pages can show it.
fn plain(name: &str) -> String {
    const LETTERS_MAX: usize = 100;
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(LETTERS_MAX).collect();
    if name.trim().is_empty() { "a teacher".into() } else { name }
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
    let (_, header) = header(&mut File::open(path).ok()?).ok()?.ok()?;
    let said = |key: &str| header.metadata().as_ref()?.get(key);
    Some(ImportedTeacher {
        network: TeacherNetwork { architecture: said("architecture")?.parse().ok()?, imported: Some(digest) },
        name: said("name")?.to_owned(),
        channels: said("channels")?.parse().ok()?,
        classes: said("classes")?.parse().ok()?,
    })
}

/// Removes an imported teacher's file from the shared folder: whether it was there.
///
/// # Errors
/// Where the disk refuses.
pub fn remove(shared: &Path, digest: WeightsDigest) -> io::Result<bool> {
    match fs::remove_file(imported_path(shared, digest)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// The beginning of a safetensors file, without the tensors behind it: its bytes, and the header that stands there behind its length;
/// of another kind of file a sentence's end about it.
fn header(file: &mut File) -> io::Result<Result<(Vec<u8>, Header), String>> {
    const BYTES_MAX: u64 = 10_000_000;
    let mut bytes = Vec::new();
    file.by_ref().take(size_of::<u64>() as u64).read_to_end(&mut bytes)?;
    let Some(length) = bytes.first_chunk().map(|length| u64::from_le_bytes(*length)) else {
        return Ok(Err(checkpoint::not_safetensors("it has no header")));
    };
    if length > BYTES_MAX {
        return Ok(Err(checkpoint::not_safetensors(format!("its header would have {length} bytes"))));
    }
    file.take(length).read_to_end(&mut bytes)?;
    let read = serde_json::from_slice(&bytes[size_of::<u64>()..]);
    Ok(read.map_err(checkpoint::not_safetensors).map(|header| (bytes, header)))
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
