//! A data set unpacked once and mapped by every worker.
//!
//! `CHECKSUM.images` holds what the official files say, flat: a line that says what it is, the numbers of images, channels and
//! pixels and bytes of names, then training images, training labels, test images, test labels, and the names of the classes where
//! the files say them, a line each. It is what its name says, or it is not used: the checksum of the whole is taken each time it is
//! opened, which takes less time than unpacking a tenth of it.

use super::{
    Bytes, Content, Images, Split, checksum,
    look::{Seen, seen},
    place, read, split,
};
use crate::{TrainError, folder::make_folder};
use mapped::MappedBytes;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use study::DatasetFacts;

const MAGIC: &[u8; 24] = b"stillroom images 2     \n";
/// How many images there are to train on and to test on, of how many channels and pixels, and the bytes of the names.
const NUMBERS: usize = 5;
/// The magic line and these numbers.
const HEADER_BYTES: usize = MAGIC.len() + NUMBERS * size_of::<u64>();

/// The data set of `planned`, split as it says, out of `folder`, where it lies unpacked for all. Where it does not lie there yet,
/// or is damaged, it is read from its official files at `path` and put there. Where that cannot be done the images are this
/// process's own, and a sentence beside them says why. Whether the official files still are those of `planned`, the facts tell.
///
/// # Errors
/// As [`super::load`], where the official files are needed.
pub fn shared(
    folder: &Path,
    planned: &DatasetFacts,
    path: Option<&Path>,
) -> Result<(Images, Option<String>), TrainError> {
    let mut note = None;
    let file = place_of(folder, &planned.checksum);
    let (content, checksum) = match open(&file, &planned.checksum) {
        Some(content) => (content, planned.checksum.clone()),
        None => {
            let own = read(planned.dataset, path)?;
            let found = checksum(&own);
            let unpacked = (found == planned.checksum).then(|| unpack(folder, &found, &own));
            match unpacked {
                Some(Ok(())) => (open(&file, &found).unwrap_or(own), found),
                Some(Err(error)) => {
                    let why =
                        format!("This worker holds its images alone: they could not be unpacked for all ({error}).");
                    note = Some(why);
                    (own, found)
                }
                None => (own, found),
            }
        }
    };
    let images = split(planned.dataset, content, checksum, planned.validation)
        .map_err(|problem| TrainError::Dataset { path: place(planned.dataset, path), problem })?;
    Ok((images, note))
}

/// Puts a data set there for all, unless it is there.
pub(super) fn unpack(folder: &Path, checksum: &str, content: &Content) -> Result<(), TrainError> {
    let file = &place_of(folder, checksum);
    let Content { train, test, channels, image_size, class_names, .. } = content;
    let names: Vec<u8> = class_names.iter().flat_map(|name| [name.as_bytes(), b"\n"]).flatten().copied().collect();
    let [channels, image_size] = [channels, image_size].map(|number| u64::from(*number));
    let numbers = [train.len() as u64, test.len() as u64, channels, image_size, names.len() as u64];
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    make_folder(folder)?;
    let failed = |source| TrainError::Io { doing: "write", path: file.clone(), source };
    // One at a time: a second file of this name would push the first aside, and both would take room while they are mapped.
    let turn = File::open(folder).map_err(failed)?;
    turn.lock().map_err(failed)?;
    if open(file, checksum).is_some() {
        return Ok(());
    }
    let parts = [MAGIC, &numbers[..], &train.images, &train.labels, &test.images, &test.labels, &names];
    MappedBytes::write(file, &parts).map_err(failed)
}

/// So long it is remembered what is wrong with files that are no data set.
const WRONG_FOR: Duration = Duration::from_hours(30 * 24);

/// Removes data sets of other checksums than those `needed` from where they lie unpacked, what was noted of such, and what somebody left
/// unfinished who was killed. Workers who have mapped one keep it. Anything else in the folder stays.
///
/// # Errors
/// Where the folder cannot be read, or something in it not be removed: what comes behind that stays too.
pub fn forget(folder: &Path, needed: &BTreeSet<String>) -> io::Result<()> {
    let turn = match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    // Nobody is unpacking anything meanwhile.
    turn.lock()?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && !is_of_use(&entry.path(), needed) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_of_use(path: &Path, needed: &BTreeSet<String>) -> bool {
    match text(path.extension()) {
        "images" => needed.contains(text(path.file_stem())),
        "json" => match seen(path) {
            Some(Seen { found: Ok((facts, _)), .. }) => needed.contains(&facts.checksum),
            Some(Seen { found: Err(_), .. }) => is_young(path),
            None => false,
        },
        "tmp" => false,
        _ => true,
    }
}

/// Empty where there is none that this program gave.
fn text(part_of_a_name: Option<&OsStr>) -> &str {
    part_of_a_name.and_then(OsStr::to_str).unwrap_or_default()
}

fn is_young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    // Where the clock was set back it has no age.
    modified.is_ok_and(|at| at.elapsed().unwrap_or_default() < WRONG_FOR)
}

fn place_of(folder: &Path, checksum: &str) -> PathBuf {
    folder.join(format!("{checksum}.images"))
}

/// `None` where it is not there, or not what its name says.
fn open(file: &Path, expected: &str) -> Option<Content> {
    // Whatever keeps it from being read, the official files may still be.
    let content = parse(MappedBytes::open(file).ok()?)?;
    (checksum(&content) == expected).then_some(content)
}

fn parse(mapped: MappedBytes) -> Option<Content> {
    let numbers = mapped.strip_prefix(MAGIC)?.get(..NUMBERS * size_of::<u64>())?;
    let number = |index: usize| {
        let bytes = numbers[index * size_of::<u64>()..].first_chunk().expect("five numbers were taken");
        usize::try_from(u64::from_le_bytes(*bytes)).ok()
    };
    let [train, test, channels, image_size, names] = [number(0)?, number(1)?, number(2)?, number(3)?, number(4)?];
    let pixels = channels.checked_mul(image_size)?.checked_mul(image_size)?;
    let lengths = [train.checked_mul(pixels)?, train, test.checked_mul(pixels)?, test, names];
    let total = lengths.iter().try_fold(HEADER_BYTES, |sum, length| sum.checked_add(*length))?;
    if mapped.len() != total {
        return None;
    }
    let all = Bytes::of(Arc::new(mapped));
    let mut start = HEADER_BYTES;
    let [train_images, train_labels, test_images, test_labels, names] = lengths.map(|length| {
        let part = all.part(start..start + length);
        start += length;
        part
    });
    Some(Content {
        train: Split { images: train_images, labels: train_labels },
        test: Split { images: test_images, labels: test_labels },
        channels: channels as u32,
        image_size: image_size as u32,
        class_names: std::str::from_utf8(&names).ok()?.lines().map(str::to_owned).collect(),
        held_out: None,
    })
}
