//! Each reader on a few images in the official layout, and on what can be wrong with them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use study::Dataset;
use train::TrainError;
use train::dataset::{Images, load};

/// `count` images of a size, each with bytes and a label of its own.
fn pixels(count: usize, bytes: usize) -> Vec<u8> {
    (0..count * bytes).map(|at| (at / bytes * 31 + at % bytes * 7) as u8).collect()
}

fn labels(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 10) as u8).collect()
}

fn write_idx(folder: &Path) {
    for (name, count) in [("train", 12u32), ("t10k", 5)] {
        let header = [0x803, count, 28, 28].map(u32::to_be_bytes).concat();
        let images = [header, pixels(count as usize, 784)].concat();
        fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).expect("images");
        let header = [0x801, count].map(u32::to_be_bytes).concat();
        fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), [header, labels(count as usize)].concat()).expect("labels");
    }
}

fn cifar_batches() -> Vec<(String, Vec<u8>)> {
    let record = |at: usize| {
        let planes = [10u8, 20, 30].map(|plane| vec![plane + at as u8; 1024]).concat();
        [vec![(at % 10) as u8], planes].concat()
    };
    let batches = (0..5).map(|batch| (format!("data_batch_{}.bin", batch + 1), [record(2 * batch), record(2 * batch + 1)].concat()));
    batches.chain([("test_batch.bin".to_string(), (0..3).flat_map(record).collect())]).collect()
}

fn problem(result: Result<Images, TrainError>) -> String {
    result.expect_err("it is damaged").to_string()
}

#[test]
fn the_built_in_images_are_there_whole() {
    let images = load(Dataset::FashionMnist12k, None, None).expect("built in");
    let facts = &images.facts;
    assert_eq!((facts.train, facts.validation, facts.test), (12_000, 5_000, 10_000));
    assert_eq!((facts.channels, facts.image_size, facts.classes), (1, 28, 10));
    for split in [&images.train, &images.validation, &images.test] {
        let mut counts = [0; 10];
        split.labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
        let expected = split.len() / 10;
        assert!(counts.iter().all(|count| count.abs_diff(expected) < expected / 5), "{counts:?}");
    }
    // Fashion-MNIST's published mean and deviation are 0.286 and 0.353.
    assert!((images.mean[0] - 0.286).abs() < 0.004 && (images.deviation[0] - 0.353).abs() < 0.004);
    let other = load(Dataset::FashionMnist12k, None, Some(2_000)).expect("built in");
    assert_eq!((other.facts.train, other.facts.validation), (15_000, 2_000));
    assert_eq!(other.facts.checksum, facts.checksum);
    assert_eq!(other.train.images[..images.train.images.len()], images.train.images);
}

#[test]
fn idx_files_are_read_as_they_are_and_gzipped() {
    let folder = tempfile::tempdir().expect("a folder");
    write_idx(folder.path());
    let plain = load(Dataset::Mnist, Some(folder.path()), Some(4)).expect("four files");
    assert_eq!((plain.facts.train, plain.facts.validation, plain.facts.test), (8, 4, 5));
    assert_eq!(plain.train.images, pixels(12, 784)[..8 * 784]);
    assert_eq!(plain.validation.images, pixels(12, 784)[8 * 784..]);
    assert_eq!((plain.validation.labels.clone(), plain.test.labels.clone()), (vec![8, 9, 0, 1], labels(5)));
    for entry in fs::read_dir(folder.path()).expect("files") {
        let path = entry.expect("a file").path();
        let file = fs::File::create(PathBuf::from(format!("{}.gz", path.display()))).expect("a file");
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        gzip.write_all(&fs::read(&path).expect("bytes")).and_then(|()| gzip.try_finish()).expect("compressed");
        fs::remove_file(path).expect("removed");
    }
    let gzipped = load(Dataset::Mnist, Some(folder.path()), Some(4)).expect("four files");
    assert_eq!(gzipped.facts, plain.facts);
    assert_eq!(gzipped.test, plain.test);
}

#[test]
fn cifar_10_is_read_from_a_folder_and_from_its_archive() {
    let folder = tempfile::tempdir().expect("a folder");
    let batches = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&batches).expect("a folder");
    let archive = folder.path().join("cifar-10-binary.tar.gz");
    let file = fs::File::create(&archive).expect("a file");
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
    for (name, bytes) in cifar_batches() {
        fs::write(batches.join(&name), &bytes).expect("a batch");
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &bytes[..]).expect("an entry");
    }
    tar.into_inner().and_then(|gzip| gzip.finish()).expect("compressed");
    let unpacked = load(Dataset::Cifar10, Some(&batches), Some(2)).expect("six files");
    let above = load(Dataset::Cifar10, Some(folder.path()), Some(2)).expect("the folder above");
    let packed = load(Dataset::Cifar10, Some(&archive), Some(2)).expect("an archive");
    for images in [&above, &packed] {
        assert_eq!(images.facts, unpacked.facts);
        assert_eq!((&images.train, &images.test), (&unpacked.train, &unpacked.test));
    }
    assert_eq!((unpacked.facts.train, unpacked.facts.validation, unpacked.facts.test), (8, 2, 3));
    assert_eq!(unpacked.train.labels, labels(8));
    assert_eq!(unpacked.validation.labels, [8, 9]);
    // Red, green and blue planes of the third image.
    let third = &unpacked.train.images[2 * 3072..3 * 3072];
    assert_eq!([third[0], third[1024], third[2048]], [12, 22, 32]);
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    assert!(problem(load(Dataset::Mnist, None, None)).contains("no folder or archive is configured"));
    assert!(problem(load(Dataset::Mnist, Some(&path.join("nowhere")), None)).contains("nowhere"));
    assert!(problem(load(Dataset::Mnist, Some(path), None)).contains("train-images-idx3-ubyte"));
    write_idx(path);
    assert!(problem(load(Dataset::Mnist, Some(path), Some(12))).contains("12 of its 12"));
    let damage: [(&str, fn(&mut Vec<u8>), &str); 5] = [
        ("train-images-idx3-ubyte", |bytes| bytes.truncate(bytes.len() - 1), "counts say"),
        ("train-images-idx3-ubyte", |bytes| bytes[3] = 1, "begins with"),
        ("train-labels-idx1-ubyte", |bytes| bytes[8] = 10, "label 0 is 10"),
        ("t10k-labels-idx1-ubyte", |bytes| bytes.push(0), "counts say"),
        ("t10k-images-idx3-ubyte", |bytes| bytes.truncate(6), "header"),
    ];
    for (name, break_it, expected) in damage {
        let file = path.join(name);
        let whole = fs::read(&file).expect("bytes");
        let mut broken = whole.clone();
        break_it(&mut broken);
        fs::write(&file, broken).expect("written");
        let problem = problem(load(Dataset::Mnist, Some(path), Some(4)));
        assert!(problem.contains(name) && problem.contains(expected), "{problem}");
        fs::write(&file, whole).expect("written");
    }
    for (name, bytes) in cifar_batches() {
        fs::write(path.join(name), &bytes[1..]).expect("a batch");
    }
    assert!(problem(load(Dataset::Cifar10, Some(path), Some(0))).contains("data_batch_1.bin"));
}

/// The whole published data, where a person has it.
#[test]
fn published_data_is_read_where_it_is_given() {
    let published = [
        ("STILLROOM_TEST_CIFAR_10", Dataset::Cifar10, (45_000, 5_000, 10_000)),
        ("STILLROOM_TEST_FASHION_MNIST", Dataset::FashionMnist, (55_000, 5_000, 10_000)),
    ];
    for (variable, dataset, expected) in published {
        let Some(path) = std::env::var_os(variable) else {
            println!("skipped: {variable} does not name a folder with {dataset}");
            continue;
        };
        let facts = load(dataset, Some(Path::new(&path)), None).expect("the published files").facts;
        assert_eq!((facts.train, facts.validation, facts.test), expected, "{dataset}");
    }
}
