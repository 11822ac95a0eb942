//! Finds a data set's files in a folder or an archive and reads them into memory. Nothing is ever unpacked to disk, and
//! bytes are counted while they are inflated.

use crate::TrainError;
use flate2::read::MultiGzDecoder;
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

/// No official file is larger: the largest is CIFAR-100's training records, 153,700,000 bytes.
const FILE_BYTES_MAX: u64 = 160 << 20;
/// What may be inflated from one archive of official files: CIFAR-10's holds 184 MB.
const ARCHIVE_BYTES_MAX: u64 = 1 << 30;
const ARCHIVE_ENTRIES_MAX: usize = 10_000;

/// One file's content, decompressed, and what to call it in a message.
#[derive(Debug)]
pub(super) struct Contents {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

/// Reads one file for each of `wanted`, in that order. Each names a file by all names it goes by; a name with `.gz` behind it
/// counts too. `subfolder`: where an unpacked archive has its files; `archive`: the official archive's name, which may lie in
/// the folder still packed, as may, under any name, the only archive there.
pub(super) fn read(
    path: &Path,
    subfolder: &str,
    archive: Option<&str>,
    wanted: &[&[&str]],
) -> Result<Vec<Contents>, TrainError> {
    let metadata = fs::metadata(path).map_err(|source| TrainError::Io {
        doing: "open the data set",
        path: path.into(),
        source,
    })?;
    if !metadata.is_dir() {
        return read_archive(path, wanted);
    }
    let folders = [path.to_path_buf(), path.join(subfolder)];
    if wanted.iter().all(|names| find(&folders, names).is_none()) {
        let official = archive.map(|name| path.join(name)).filter(|archive| archive.is_file());
        if let Some(archive) = official.or_else(|| only_archive(path)) {
            return read_archive(&archive, wanted);
        }
    }
    let found: Vec<Option<PathBuf>> = wanted.iter().map(|names| find(&folders, names)).collect();
    let found = all_there(path, found, wanted)?;
    found.into_iter().map(read_file).collect()
}

/// Decompresses one gzip file held in memory.
pub(super) fn gunzip(path: PathBuf, compressed: &[u8]) -> Result<Contents, TrainError> {
    let bytes = read_capped(MultiGzDecoder::new(compressed)).map_err(|error| damaged(&path, &error))?;
    Ok(Contents { path, bytes })
}

fn find(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    let candidates = folders
        .iter()
        .flat_map(|folder| names.iter().flat_map(move |name| [folder.join(name), folder.join(format!("{name}.gz"))]));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

fn only_archive(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut archives = files.filter(|file| is_tar(file) && file.is_file());
    archives.next().filter(|_| archives.next().is_none())
}

/// Everything that was found, or an error that names all that was not.
fn all_there<T>(path: &Path, found: Vec<Option<T>>, wanted: &[&[&str]]) -> Result<Vec<T>, TrainError> {
    let missing = found.iter().zip(wanted).filter(|(found, _)| found.is_none());
    let missing: Vec<String> = missing.map(|(_, names)| names.join(" or ")).collect();
    if missing.is_empty() {
        return Ok(found.into_iter().flatten().collect());
    }
    let problem = format!("holds no {} (also with .gz behind it)", missing.join(", no "));
    Err(TrainError::Dataset { path: path.into(), problem })
}

fn read_file(found: PathBuf) -> Result<Contents, TrainError> {
    let file = File::open(&found).map_err(|source| TrainError::Io { doing: "open", path: found.clone(), source })?;
    let bytes = match found.extension() == Some(OsStr::new("gz")) {
        true => read_capped(MultiGzDecoder::new(BufReader::new(file))),
        false => read_capped(file),
    };
    let bytes = bytes.map_err(|error| damaged(&found, &error))?;
    Ok(Contents { path: found, bytes })
}

fn read_archive(path: &Path, wanted: &[&[&str]]) -> Result<Vec<Contents>, TrainError> {
    let found = read_tar(path, ARCHIVE_ENTRIES_MAX, ARCHIVE_BYTES_MAX, |archive| read_entries(path, archive, wanted))?;
    all_there(path, found, wanted)
}

/// Whether a file is an archive by its name.
pub(super) fn is_tar(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
}

/// Gives `read` the archive's entries, of which there may be `entries_max` and which may hold `bytes_max` bytes, and then goes on to the
/// archive's end.
pub(super) fn read_tar<T>(
    path: &Path,
    entries_max: usize,
    bytes_max: u64,
    read: impl FnOnce(&mut dyn Iterator<Item = io::Result<tar::Entry<'_, &mut dyn Read>>>) -> io::Result<T>,
) -> Result<T, TrainError> {
    let file = File::open(path).map_err(|source| TrainError::Io { doing: "open", path: path.into(), source })?;
    let file = BufReader::new(file);
    let inflated: Box<dyn Read> = match () {
        _ if !is_tar(path) => {
            return Err(TrainError::Dataset {
                path: path.into(),
                problem: "is neither a folder nor a .tar, .tar.gz or .tgz archive".into(),
            });
        }
        _ if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tar")) => Box::new(file),
        _ => Box::new(MultiGzDecoder::new(file)),
    };
    // One byte more than is allowed, so that reaching the end tells an archive that is too large from one that fits.
    let mut inflated = inflated.take(bytes_max + 1);
    let found = {
        let mut archive = tar::Archive::new(&mut inflated as &mut dyn Read);
        let counted = archive.entries().map(|entries| {
            entries.enumerate().map(|(index, entry)| match index < entries_max {
                true => entry,
                false => Err(io::Error::other(format!("it holds more than {entries_max} files"))),
            })
        });
        counted.and_then(|mut entries| read(&mut entries)).map_err(|error| damaged(path, &error))?
    };
    // The rest holds the checksum of a gzip stream.
    io::copy(&mut inflated, &mut io::sink()).map_err(|error| damaged(path, &error))?;
    if inflated.limit() == 0 {
        return Err(TrainError::Dataset {
            path: path.into(),
            problem: format!("holds more than {bytes_max} bytes, the most that there is room for"),
        });
    }
    Ok(found)
}

/// An entry counts by its file name, in whatever folder of the archive it lies; the first one of a name counts.
fn read_entries(
    path: &Path,
    entries: &mut dyn Iterator<Item = io::Result<tar::Entry<'_, &mut dyn Read>>>,
    wanted: &[&[&str]],
) -> io::Result<Vec<Option<Contents>>> {
    let mut found: Vec<Option<Contents>> = wanted.iter().map(|_| None).collect();
    for entry in entries {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let inside = entry.path()?.into_owned();
        let Some(name) = inside.file_name().and_then(OsStr::to_str) else { continue };
        let plain = name.strip_suffix(".gz");
        let position =
            wanted.iter().position(|names| names.contains(&name) || plain.is_some_and(|plain| names.contains(&plain)));
        let Some(slot) = position.map(|position| &mut found[position]).filter(|slot| slot.is_none()) else { continue };
        let bytes = match plain {
            Some(_) => read_capped(MultiGzDecoder::new(entry))?,
            None => read_capped(entry)?,
        };
        *slot = Some(Contents { path: path.join(inside), bytes });
    }
    Ok(found)
}

pub(super) fn read_capped(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it holds more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Why a file was not read to its end: what is in it is wrong, or else its disk, or a right that is missing, which is another error.
pub(super) fn damaged(path: &Path, error: &io::Error) -> TrainError {
    if let Some(code) = error.raw_os_error() {
        return TrainError::Io { doing: "read", path: path.into(), source: io::Error::from_raw_os_error(code) };
    }
    TrainError::Dataset { path: path.into(), problem: format!("could not be read to its end: {error}") }
}
