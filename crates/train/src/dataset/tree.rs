//! The files of a folder or of an archive, by where they lie in it. What is in an archive is held in memory: nothing is ever
//! unpacked to disk, and bytes are counted while they are inflated.

use super::{files, room::Room};
use crate::TrainError;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Component, Path, PathBuf},
    time::SystemTime,
};
use study::Dataset;

/// More files are no data set that is trained on here.
const FILES_MAX: usize = 500_000;
/// Folders in folders: as deep as Tiny-ImageNet and four more.
const DEPTH_MAX: usize = 7;
/// As long as a path can be on most systems.
const PATH_BYTES_MAX: usize = 4096;
/// Endings of pictures. Those that cannot be read are among them: a picture that is left out is told, never passed over.
const PICTURES: [&str; 12] = ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "heic", "avif", "jp2", "ppm"];

pub(super) struct Tree {
    /// The folder or archive.
    pub root: PathBuf,
    /// By the path below the folder that has `train` in it. `None`: the file lies on the disk.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
    /// Between root and files.
    base: PathBuf,
}

impl Tree {
    /// `path`: an archive; a folder with `train` in it; one that has such a folder; or one with an archive of such a folder.
    pub fn open(path: &Path) -> Result<Tree, TrainError> {
        if !metadata(path)?.is_dir() {
            return Tree::of(path, archive(path)?);
        }
        let files = walk(path, Deeper::Refused)?;
        let here = || files.iter().map(|file| file.inside.clone());
        let mut archives = here().filter(|inside| inside.components().count() == 1 && is_archive(inside));
        match (archives.next(), archives.next()) {
            (Some(only), None) if bases(here()).is_empty() => Tree::open(&path.join(only)),
            _ => Tree::of(path, files.into_iter().map(|file| (file.inside, None)).collect()),
        }
    }

    fn of(root: &Path, files: BTreeMap<PathBuf, Option<Vec<u8>>>) -> Result<Tree, TrainError> {
        let wrong = |problem| TrainError::Dataset { path: root.into(), problem };
        let mut bases = bases(files.keys().cloned()).into_iter();
        let base = match (bases.next(), bases.next()) {
            (None, _) => return Err(wrong("holds no folder train with a folder of images for each class".into())),
            (Some(one), Some(other)) if one != Path::new("") => {
                let (one, other) = (one.display(), other.display());
                return Err(wrong(format!("holds a folder train in {one} and another in {other}")));
            }
            (Some(base), _) => base,
        };
        let below =
            files.into_iter().filter_map(|(inside, held)| Some((inside.strip_prefix(&base).ok()?.into(), held)));
        Ok(Tree { root: root.into(), files: below.collect(), base })
    }

    /// The pictures below a folder, in the order of their paths.
    pub fn pictures<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a Path> {
        let pictures = self.files.keys().filter(|inside| ends_with(inside, &PICTURES));
        pictures.filter(move |inside| inside.starts_with(folder)).map(PathBuf::as_path)
    }

    /// Whether it came out of an archive.
    pub fn is_in_memory(&self) -> bool {
        self.files.values().any(Option::is_some)
    }

    pub fn has(&self, inside: &Path) -> bool {
        self.files.contains_key(inside)
    }

    pub fn read(&self, inside: &Path) -> io::Result<Cow<'_, [u8]>> {
        match self.files.get(inside) {
            Some(Some(held)) => Ok(Cow::Borrowed(held)),
            Some(None) => files::read_capped(File::open(self.on_disk(inside))?).map(Cow::Owned),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A file that must be there and be text.
    pub fn text(&self, inside: &str) -> Result<String, TrainError> {
        let path = || self.on_disk(Path::new(inside));
        let wrong = |problem: String| TrainError::Dataset { path: path(), problem };
        let bytes = self.read(Path::new(inside)).map_err(|error| match error.raw_os_error() {
            Some(_) => files::damaged(&path(), &error),
            None => wrong(format!("cannot be read: {error}")),
        })?;
        String::from_utf8(bytes.into_owned()).map_err(|_| wrong("is not text".into()))
    }

    /// How a message calls a file.
    pub fn on_disk(&self, inside: &Path) -> PathBuf {
        self.root.join(&self.base).join(inside)
    }
}

/// What changes whenever a file comes, goes, or is written: names, lengths and times of everything at `path`, where a data set was
/// found, and not that place itself: what is moved as a whole stays what it was.
pub(super) fn fingerprint(dataset: Dataset, path: &Path) -> Result<String, TrainError> {
    let metadata = metadata(path)?;
    let deeper = match dataset {
        Dataset::TinyImageNet | Dataset::Folder(_) => Deeper::Refused,
        // Other official files lie in their folder or in one inside it, perhaps among many that are none of ours.
        _ => Deeper::Left { depth: 1 },
    };
    let files = match metadata.is_dir() {
        true => walk(path, deeper)?,
        false => vec![Found { inside: PathBuf::new(), length: metadata.len(), modified: metadata.modified().ok() }],
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(dataset.to_string().as_bytes());
    for Found { inside, length, modified } in files {
        let since = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
        hasher.update(b"\0").update(inside.as_os_str().as_encoded_bytes()).update(b"\0");
        hasher.update(&length.to_le_bytes()).update(&since.as_nanos().to_le_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

struct Found {
    inside: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

/// What is done about folders in folders.
#[derive(Clone, Copy)]
enum Deeper {
    /// Those that are too deep for any data set are an error.
    Refused,
    /// Those that are deeper are passed over.
    Left { depth: usize },
}

/// Every file below a folder that is not hidden, in the order of their paths.
fn walk(root: &Path, deeper: Deeper) -> Result<Vec<Found>, TrainError> {
    let depth_max = match deeper {
        Deeper::Refused => DEPTH_MAX,
        Deeper::Left { depth } => depth,
    };
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((inside, depth)) = folders.pop() {
        let path = root.join(&inside);
        let failed = |source| TrainError::Io { doing: "look into", path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if is_hidden(&name) {
                continue;
            }
            let inside = inside.join(name);
            // Through links, which is how many people lay out their data.
            let metadata = metadata(&root.join(&inside))?;
            match metadata.is_dir() {
                true if depth < depth_max => folders.push((inside, depth + 1)),
                true if matches!(deeper, Deeper::Left { .. }) => {}
                true => {
                    let problem =
                        format!("has folders in folders, more than {DEPTH_MAX} deep: perhaps a link leads back");
                    return Err(TrainError::Dataset { path: root.join(inside), problem });
                }
                false => found.push(Found { inside, length: metadata.len(), modified: metadata.modified().ok() }),
            }
            if found.len() > FILES_MAX {
                let problem = format!("holds more than {FILES_MAX} files");
                return Err(TrainError::Dataset { path: root.into(), problem });
            }
        }
    }
    found.sort_by(|one, other| one.inside.cmp(&other.inside));
    Ok(found)
}

fn metadata(path: &Path) -> Result<fs::Metadata, TrainError> {
    fs::metadata(path).map_err(|source| TrainError::Io { doing: "open the data set", path: path.into(), source })
}

/// An archive's pictures and texts, in memory.
fn archive(path: &Path) -> Result<BTreeMap<PathBuf, Option<Vec<u8>>>, TrainError> {
    let mut files = BTreeMap::new();
    let bytes_max = Room::here().archive;
    let mut keep = |inside: &Path, read: &mut dyn io::Read| {
        if inside.as_os_str().len() > PATH_BYTES_MAX {
            return Err(io::Error::other(format!("the path of a file in it has more than {PATH_BYTES_MAX} bytes")));
        }
        let inside: PathBuf = inside.components().filter(|part| *part != Component::CurDir).collect();
        let plain = inside.components().all(|part| matches!(part, Component::Normal(name) if !is_hidden(name)));
        if plain && (ends_with(&inside, &PICTURES) || ends_with(&inside, &["txt"])) {
            files.entry(inside).or_insert(Some(files::read_capped(read)?));
        }
        Ok::<_, io::Error>(())
    };
    if ends_with(path, &["zip"]) {
        zip_entries(path, bytes_max, &mut keep).map_err(|error| files::damaged(path, &error))?;
    } else {
        files::read_tar(path, FILES_MAX, bytes_max, |entries| {
            for entry in entries {
                let mut entry = entry?;
                if entry.header().entry_type().is_file() {
                    let inside = entry.path()?.into_owned();
                    keep(&inside, &mut entry)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(files)
}

fn zip_entries(
    path: &Path,
    bytes_max: u64,
    keep: &mut impl FnMut(&Path, &mut dyn io::Read) -> io::Result<()>,
) -> io::Result<()> {
    if zip_marks(BufReader::with_capacity(1 << 16, File::open(path)?))? > FILES_MAX {
        return Err(io::Error::other(format!("it holds more than {FILES_MAX} files")));
    }
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(path)?))?;
    let mut left = bytes_max;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        if !entry.is_file() {
            continue;
        }
        // Some systems write them with a backslash.
        let inside = PathBuf::from(entry.name()?.replace('\\', "/"));
        // What an entry says of its own length is not believed: it is read through a count.
        let mut counted = io::Read::take(&mut entry, left + 1);
        keep(&inside, &mut counted)?;
        let after = counted.limit();
        if after == 0 {
            return Err(io::Error::other(format!(
                "it holds more than {bytes_max} bytes, the most that there is room for"
            )));
        }
        left = after - 1;
    }
    Ok(())
}

/// How often the mark stands in a file that each entry of an archive's list begins with. Reading the list takes some hundred bytes of
/// memory an entry, however few it takes in the file: they are counted before.
fn zip_marks(mut file: impl BufRead) -> io::Result<usize> {
    let (mut marks, mut last_four) = (0, 0u32);
    loop {
        let read = file.fill_buf()?;
        if read.is_empty() {
            return Ok(marks);
        }
        for byte in read {
            last_four = last_four << 8 | u32::from(*byte);
            marks += usize::from(last_four == u32::from_be_bytes(*b"PK\x01\x02"));
        }
        let length = read.len();
        file.consume(length);
    }
}

fn is_archive(path: &Path) -> bool {
    ends_with(path, &["zip"]) || files::is_tar(path)
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

/// What systems leave beside a person's files.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX"
}

/// The folders that have a folder `train`: the root, which comes first, and those in it.
fn bases(files: impl Iterator<Item = PathBuf>) -> BTreeSet<PathBuf> {
    let bases = files.filter_map(|inside| {
        let parts: Vec<Component<'_>> = inside.components().collect();
        match parts[..] {
            [Component::Normal(train), _, ..] if train == "train" => Some(PathBuf::new()),
            [first, Component::Normal(train), _, ..] if train == "train" => Some(PathBuf::from(first.as_os_str())),
            _ => None,
        }
    });
    bases.collect()
}
