//! A worker does not grow by the data it trains on. Alone in its process, so that nobody else's memory is counted.

use std::{fs, path::Path};
use study::Dataset;
use train::dataset::{facts, shared};

/// Bytes of this process's own memory, without what is mapped from files; `None` where the system does not say.
fn own_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| 1024 * kilobytes)
}

/// As many images as Fashion-MNIST has, 55 MB.
fn write_large(folder: &Path) {
    for (name, count) in [("train", 60_000u32), ("t10k", 10_000)] {
        let header = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
        let pixels = (0..count as usize * 784).map(|index| (index % 251) as u8);
        let images: Vec<u8> = header(&[0x803, count, 28, 28]).into_iter().chain(pixels).collect();
        let labels: Vec<u8> =
            header(&[0x801, count]).into_iter().chain((0..count).map(|index| (index % 10) as u8)).collect();
        fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

#[test]
fn a_worker_does_not_hold_what_all_workers_hold_together() {
    let source = tempfile::tempdir().unwrap();
    write_large(source.path());
    let planned = facts(Dataset::FashionMnist, Some(source.path()), None).unwrap();
    let folder = source.path().join("images");
    // The first one unpacks, the second one finds it there; neither has the images to itself when it goes on.
    for worker in ["the first", "the second"] {
        let before = own_bytes();
        let (images, note) = shared(&folder, &planned, Some(source.path())).unwrap();
        assert_eq!(
            (images.train.len(), images.validation.len(), images.test.len(), note),
            (55_000, 5_000, 10_000, None)
        );
        let sum: u64 = [&images.train, &images.validation, &images.test]
            .into_iter()
            .flat_map(|split| split.images.iter())
            .map(|pixel| u64::from(*pixel))
            .sum();
        assert!(sum > 0);
        let Some((before, after)) = before.zip(own_bytes()) else { return };
        let grown = after.saturating_sub(before);
        assert!(grown < 8_000_000, "{worker} grew by {grown} bytes");
    }
}
