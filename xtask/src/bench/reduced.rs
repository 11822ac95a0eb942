//! A part of a data set in its official layout: the same images in the same order, only fewer. Of the built-in one, as IDX files
//! that both sides of the sweep read.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// What the built-in data set is split into.
pub const TRAIN: usize = 12_000;
const VALIDATION: usize = 5_000;
const TEST: usize = 10_000;

/// How many images of each split; the shares of the splits are those of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub train: usize,
    pub validation: usize,
    pub test: usize,
}

impl Size {
    /// `train`: up to [`TRAIN`].
    pub fn of(train: usize) -> Size {
        let share = |all: usize| (all * train).div_ceil(TRAIN);
        Size { train, validation: share(VALIDATION), test: share(TEST) }
    }
}

/// Writes the first images of each split of `from` (the built-in data set's folder) into `to`.
pub fn write(from: &Path, to: &Path, size: Size) -> Result<()> {
    let train = [0..size.train, TRAIN..TRAIN + size.validation];
    let test = [0..size.test, 0..0];
    for (name, header, kept) in [
        ("train-images-idx3-ubyte.gz", 16, &train),
        ("train-labels-idx1-ubyte.gz", 8, &train),
        ("t10k-images-idx3-ubyte.gz", 16, &test),
        ("t10k-labels-idx1-ubyte.gz", 8, &test),
    ] {
        let packed = fs::read(from.join(name)).with_context(|| format!("cannot read {name}"))?;
        let mut all = Vec::new();
        MultiGzDecoder::new(&packed[..]).read_to_end(&mut all).with_context(|| format!("cannot unpack {name}"))?;
        let part = part(&all, header, kept).with_context(|| format!("cannot take a part of {name}"))?;
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&part)?;
        fs::write(to.join(name), packed.finish()?).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// Writes a tenth of each of CIFAR-10's files, of the binary version in the folder `from`, into `to`: the first images of each.
pub fn write_tenth_of_cifar(from: &Path, to: &Path) -> Result<()> {
    const RECORD: usize = 1 + 3 * 32 * 32;
    let unpacked = from.join("cifar-10-batches-bin");
    let from = if unpacked.is_dir() { &unpacked } else { from };
    let batches = (1..=5).map(|batch| format!("data_batch_{batch}.bin"));
    for name in batches.chain(["test_batch.bin".to_owned()]) {
        let file = from.join(&name);
        let all = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let tenth = all.len() / RECORD / 10 * RECORD;
        fs::write(to.join(&name), &all[..tenth]).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// The IDX file of these items of another: `header` bytes, of which the second four count the items.
fn part(all: &[u8], header: usize, kept: &[std::ops::Range<usize>]) -> Result<Vec<u8>> {
    ensure!(all.len() >= header, "it ends within its header");
    let count = u32::from_be_bytes(all[4..8].try_into()?) as usize;
    ensure!(count > 0 && (all.len() - header).is_multiple_of(count), "its length is not that of its items");
    let item = (all.len() - header) / count;
    let items: usize = kept.iter().map(ExactSizeIterator::len).sum();
    let mut part = all[..header].to_vec();
    part[4..8].copy_from_slice(&u32::try_from(items)?.to_be_bytes());
    for range in kept {
        ensure!(range.end <= count, "it has {count} items");
        part.extend_from_slice(&all[header + range.start * item..header + range.end * item]);
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::scratch::Scratch;

    #[test]
    fn a_part_has_its_count_and_its_items() {
        let images = [0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 10, 11, 20, 21, 30, 31, 40, 41];
        let expected = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 10, 11, 40, 41];
        assert_eq!(part(&images, 16, &[0..1, 3..4]).expect("a part"), expected);
        assert!(part(&images, 16, &[0..5, 0..0]).is_err());
        assert!(part(&images[..20], 16, &[0..1, 0..0]).is_ok());
        assert!(part(&images[..19], 16, &[0..1, 0..0]).is_err());
    }

    #[test]
    fn a_tenth_of_cifar_has_the_first_images_of_each_file() {
        let (from, to) = (Scratch::new("cifar").expect("a folder"), Scratch::new("cifar-tenth").expect("a folder"));
        let unpacked = from.path().join("cifar-10-batches-bin");
        fs::create_dir(&unpacked).expect("a folder");
        let records: Vec<u8> = (0..20u8).flat_map(|label| [label; 3073]).collect();
        for name in (1..=5).map(|batch| format!("data_batch_{batch}.bin")).chain(["test_batch.bin".to_owned()]) {
            fs::write(unpacked.join(name), &records).expect("a file");
        }
        write_tenth_of_cifar(from.path(), to.path()).expect("files");
        for name in ["data_batch_1.bin", "data_batch_5.bin", "test_batch.bin"] {
            assert_eq!(fs::read(to.path().join(name)).expect("a file"), records[..2 * 3073]);
        }
        assert!(write_tenth_of_cifar(to.path().join("none").as_path(), to.path()).is_err());
    }

    #[test]
    fn the_splits_of_a_part_are_in_proportion() {
        assert_eq!(Size::of(TRAIN), Size { train: TRAIN, validation: VALIDATION, test: TEST });
        assert_eq!(Size::of(1_200), Size { train: 1_200, validation: 500, test: 1_000 });
        assert_eq!(Size::of(128), Size { train: 128, validation: 54, test: 107 });
    }

    #[test]
    fn a_part_of_the_built_in_images_begins_as_they_do() {
        let root = crate::workspace::root().expect("the workspace");
        let folder = Scratch::new("reduced").expect("a folder");
        let from = root.join("data/fashion-mnist-12k");
        write(&from, folder.path(), Size { train: 3, validation: 2, test: 1 }).expect("files");
        let labels = |path: &Path| {
            let mut all = Vec::new();
            MultiGzDecoder::new(&fs::read(path).expect("a file")[..]).read_to_end(&mut all).expect("labels");
            all[8..].to_vec()
        };
        let (all, few) =
            [&from, folder.path()].map(|folder: &Path| labels(&folder.join("train-labels-idx1-ubyte.gz"))).into();
        assert_eq!(few, [&all[..3], &all[TRAIN..TRAIN + 2]].concat());
    }
}
