//! Data sets in their makers' formats: read whole, or refused with the file's name and what was expected.

use flate2::{Compression, write::GzEncoder};
use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use study::{Dataset, DatasetFacts};
use tempfile::TempDir;
use train::{
    TrainError,
    dataset::{self, Images, facts, load},
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx_images(count: u32, first: u8) -> Vec<u8> {
    let pixels = (0..count * 784).map(|index| first.wrapping_add((index % 251) as u8));
    [0x803u32, count, 28, 28].iter().flat_map(|number| number.to_be_bytes()).chain(pixels).collect()
}

fn idx_labels(count: u32) -> Vec<u8> {
    let labels = (0..count).map(|index| (index % 10) as u8);
    [0x801u32, count].iter().flat_map(|number| number.to_be_bytes()).chain(labels).collect()
}

/// 30 training and 20 test images.
fn idx_files() -> [(&'static str, Vec<u8>); 4] {
    [
        ("train-images-idx3-ubyte", idx_images(30, 1)),
        ("train-labels-idx1-ubyte", idx_labels(30)),
        ("t10k-images-idx3-ubyte", idx_images(20, 7)),
        ("t10k-labels-idx1-ubyte", idx_labels(20)),
    ]
}

/// One record of CIFAR-10's binary version: a label, then a red, a green and a blue plane.
fn cifar_record(label: u8, planes: [u8; 3]) -> Vec<u8> {
    let mut record = vec![label];
    record.extend(planes.iter().flat_map(|value| [*value; 1024]));
    record[1] = 255;
    record
}

fn cifar_files() -> Vec<(&'static str, Vec<u8>)> {
    let names = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
    let mut files: Vec<(&str, Vec<u8>)> = (0u8..)
        .zip(names)
        .map(|(index, name)| (name, [cifar_record(index, [index, 100, 200]), cifar_record(9, [10, 20, 30])].concat()))
        .collect();
    files.push(("test_batch.bin", cifar_record(5, [1, 2, 3])));
    files
}

fn write(folder: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn refused(dataset: Dataset, path: &Path) -> String {
    match load(dataset, Some(path), Some(5)) {
        Err(error @ TrainError::Dataset { .. }) => error.to_string(),
        Err(other) => panic!("another kind of error: {other}"),
        Ok(_) => panic!("{} was read", path.display()),
    }
}

fn assert_is_the_small_mnist(images: &Images) {
    let facts = &images.facts;
    assert_eq!((facts.train, facts.validation, facts.test), (25, 5, 20));
    assert_eq!((facts.channels, facts.image_size, facts.classes), (1, 28, 10));
    let whole = idx_images(30, 1);
    assert_eq!(images.train.images[..], whole[16..16 + 25 * 784]);
    assert_eq!(images.validation.images[..], whole[16 + 25 * 784..]);
    assert_eq!(images.validation.labels[..], [5, 6, 7, 8, 9]);
    assert_eq!(images.test.images[..], idx_images(20, 7)[16..]);
    assert_eq!(images.class_names[3], "3");
}

#[test]
fn the_built_in_images_are_there() {
    let images = load(Dataset::FashionMnist12k, None, None).unwrap();
    let facts = &images.facts;
    assert_eq!((facts.train, facts.validation, facts.test), (12_000, 5_000, 10_000));
    assert_eq!(images.train.images.len(), 12_000 * 784);
    assert_eq!(images.class_names[9], "Ankle boot");
    // Fashion-MNIST's own mean and deviation over all 60,000 images are 0.2860 and 0.3530.
    assert!((images.mean[0] - 0.286).abs() < 0.003 && (images.deviation[0] - 0.353).abs() < 0.003);
    for split in [&images.train, &images.validation, &images.test] {
        let by_class = |class| split.labels.iter().filter(|label| **label == class).count();
        assert!((0..10).all(|class| by_class(class).abs_diff(split.len() / 10) < split.len() / 50));
    }
    let other = load(Dataset::FashionMnist12k, None, Some(2_000)).unwrap();
    assert_eq!(other.train.images[..images.train.images.len()], images.train.images[..]);
}

#[test]
fn the_checksum_is_of_the_files_and_the_split_is_the_studys() {
    let own = facts(Dataset::FashionMnist12k, None, None).unwrap();
    let other = facts(Dataset::FashionMnist12k, None, Some(0)).unwrap();
    assert_eq!(own.checksum, other.checksum);
    assert_eq!((other.train, other.validation), (17_000, 0));
    let error = load(Dataset::FashionMnist12k, None, Some(17_000)).unwrap_err().to_string();
    assert!(error.contains("17000") && error.contains("0 to 16999"), "{error}");
}

#[test]
fn mnist_is_read_from_a_folder_in_every_spelling() {
    let spellings: [fn(&str) -> String; 3] =
        [|name| name.into(), |name| format!("{name}.gz"), |name| name.replace("-idx", ".idx")];
    let mut checksums = Vec::new();
    for spelling in spellings {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in idx_files() {
            let name = spelling(name);
            let bytes = if name.ends_with(".gz") { gzip(&bytes) } else { bytes };
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let images = load(Dataset::Mnist, Some(folder.path()), Some(5)).unwrap();
        assert_is_the_small_mnist(&images);
        checksums.push(images.facts.checksum);
    }
    assert!(checksums.iter().all(|checksum| *checksum == checksums[0]));
}

#[test]
fn archives_are_read_in_memory() {
    let folder = TempDir::new().unwrap();
    let files = idx_files();
    let zipped: Vec<(String, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (format!("MNIST/raw/{name}.gz"), gzip(bytes))).collect();
    let zipped: Vec<(&str, Vec<u8>)> = zipped.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    for (name, bytes) in [("a.tar", tar(&files)), ("a.tar.gz", gzip(&tar(&files))), ("a.tgz", gzip(&tar(&zipped)))] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_is_the_small_mnist(&load(Dataset::Mnist, Some(&path), Some(5)).unwrap());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn mean_and_deviation_are_the_training_splits() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), &idx_files());
    let images = load(Dataset::Mnist, Some(folder.path()), Some(5)).unwrap();
    let values: Vec<f64> = images.train.images.iter().map(|value| f64::from(*value) / 255.0).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((f64::from(images.mean[0]) - mean).abs() < 1e-6);
    assert!((f64::from(images.deviation[0]) - variance.sqrt()).abs() < 1e-6);
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage, &str); 8] = [
        ("train-images-idx3-ubyte", |bytes| bytes.truncate(bytes.len() - 1), "its counts say 23520"),
        ("train-images-idx3-ubyte", |bytes| bytes.push(0), "its counts say 23520"),
        ("train-images-idx3-ubyte", |bytes| bytes[3] = 1, "0x00000803"),
        ("t10k-images-idx3-ubyte", |bytes| bytes[15] = 27, "28 × 27"),
        ("t10k-images-idx3-ubyte", |bytes| bytes.truncate(9), "within its header"),
        ("t10k-labels-idx1-ubyte", |bytes| bytes[12] = 10, "label 4 is 10; expected 0 to 9"),
        ("train-labels-idx1-ubyte", |bytes| *bytes = idx_labels(29), "29 labels; expected 30"),
        ("train-labels-idx1-ubyte", |bytes| bytes[7] = 255, "its counts say 255"),
    ];
    for (name, damage, expected) in cases {
        let folder = TempDir::new().unwrap();
        let mut files = idx_files();
        files.iter_mut().filter(|(other, _)| *other == name).for_each(|(_, bytes)| damage(bytes));
        write(folder.path(), &files);
        let message = refused(Dataset::Mnist, folder.path());
        assert!(message.contains(name) && message.contains(expected), "{message}");
        fs::remove_file(folder.path().join(name)).unwrap();
        let message = refused(Dataset::Mnist, folder.path());
        assert!(message.contains(name) && message.contains("holds no"), "{message}");
    }
}

#[test]
fn damaged_compression_is_named() {
    let whole = gzip(&idx_images(30, 1));
    let mut flipped = whole.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    let trailing = [&whole[..], b"more"].concat();
    for damaged in [whole[..whole.len() / 2].to_vec(), flipped, trailing, b"no gzip".to_vec()] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), &idx_files()[1..]);
        fs::write(folder.path().join("train-images-idx3-ubyte.gz"), damaged).unwrap();
        let message = refused(Dataset::Mnist, folder.path());
        assert!(message.contains("train-images-idx3-ubyte.gz"), "{message}");
    }
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("mnist.tar.gz");
    let whole = gzip(&tar(&idx_files()));
    fs::write(&archive, &whole[..whole.len() - 9]).unwrap();
    assert!(refused(Dataset::Mnist, &archive).contains("mnist.tar.gz"));
    fs::write(&archive, gzip(&tar(&idx_files()[..3]))).unwrap();
    assert!(refused(Dataset::Mnist, &archive).contains("t10k-labels"));
    let other = folder.path().join("mnist.rar");
    fs::write(&other, b"Rar!").unwrap();
    assert!(refused(Dataset::Mnist, &other).contains(".tar.gz"));
}

#[test]
fn a_file_that_inflates_beyond_all_measure_is_refused() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), &idx_files()[1..]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..161 {
        encoder.write_all(&zeros).unwrap();
    }
    fs::write(folder.path().join("train-images-idx3-ubyte.gz"), encoder.finish().unwrap()).unwrap();
    assert!(refused(Dataset::Mnist, folder.path()).contains("holds more than"));
}

#[test]
fn a_path_that_is_not_there_and_a_data_set_without_a_path_are_errors() {
    let error = load(Dataset::Mnist, Some(Path::new("/no/such/folder")), None).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"));
    let error = load(Dataset::Cifar10, None, None).unwrap_err().to_string();
    assert!(error.contains("cifar-10") && error.contains("folder or archive"), "{error}");
}

fn assert_is_the_small_cifar(images: &Images) {
    let facts = &images.facts;
    assert_eq!((facts.train, facts.validation, facts.test), (7, 3, 1));
    assert_eq!((facts.channels, facts.image_size, facts.classes), (3, 32, 10));
    assert_eq!(images.train.labels[..], [0, 9, 1, 9, 2, 9, 3]);
    assert_eq!(images.validation.labels[..], [9, 4, 9]);
    assert_eq!(images.test.labels[..], [5]);
    let third = &images.train.images[2 * 3072..3 * 3072];
    assert_eq!((third[0], third[1], third[1023]), (255, 1, 1));
    assert_eq!((third[1024], third[2047], third[2048], third[3071]), (100, 100, 200, 200));
    assert_eq!(images.mean.len(), 3);
    assert!(images.mean[0] < images.mean[1] && images.mean[1] < images.mean[2]);
    assert_eq!(images.class_names[5], "dog");
}

#[test]
fn cifar_10_is_read_from_its_folder_and_its_archive_wherever_they_lie() {
    let folder = TempDir::new().unwrap();
    let unpacked = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&unpacked).unwrap();
    write(&unpacked, &cifar_files());
    for path in [folder.path(), &unpacked] {
        assert_is_the_small_cifar(&load(Dataset::Cifar10, Some(path), Some(3)).unwrap());
    }
    let files = cifar_files();
    let inside: Vec<(String, Vec<u8>)> =
        files.iter().rev().map(|(name, bytes)| (format!("cifar-10-batches-bin/{name}"), bytes.clone())).collect();
    let inside: Vec<(&str, Vec<u8>)> = inside.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let downloads = TempDir::new().unwrap();
    let archive = downloads.path().join("cifar-10-binary.tar.gz");
    fs::write(&archive, gzip(&tar(&inside))).unwrap();
    for path in [downloads.path(), &archive] {
        assert_is_the_small_cifar(&load(Dataset::Cifar10, Some(path), Some(3)).unwrap());
    }
    // The only archive of a folder is meant whatever it is called; of two, the one that is called as it is published.
    let renamed = downloads.path().join("images.tgz");
    fs::rename(&archive, &renamed).unwrap();
    assert_is_the_small_cifar(&load(Dataset::Cifar10, Some(downloads.path()), Some(3)).unwrap());
    fs::write(downloads.path().join("other.tar"), tar(&idx_files())).unwrap();
    assert!(refused(Dataset::Cifar10, downloads.path()).contains("data_batch_1.bin"));
    fs::rename(&renamed, &archive).unwrap();
    assert_is_the_small_cifar(&load(Dataset::Cifar10, Some(downloads.path()), Some(3)).unwrap());
}

#[test]
fn damaged_cifar_10_is_named() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage, &str); 3] = [
        ("data_batch_4.bin", |bytes| bytes.truncate(bytes.len() - 1), "whole number of records of 3073 bytes"),
        ("data_batch_2.bin", |bytes| bytes[3073] = 10, "record 1 has label 10"),
        ("test_batch.bin", Vec::clear, "holds 0 bytes"),
    ];
    for (name, damage, expected) in cases {
        let folder = TempDir::new().unwrap();
        let mut files = cifar_files();
        files.iter_mut().filter(|(other, _)| *other == name).for_each(|(_, bytes)| damage(bytes));
        write(folder.path(), &files);
        let message = refused(Dataset::Cifar10, folder.path());
        assert!(message.contains(name) && message.contains(expected), "{message}");
        fs::remove_file(folder.path().join(name)).unwrap();
        assert!(refused(Dataset::Cifar10, folder.path()).contains(name));
    }
}

#[test]
fn a_cifar_10_file_that_was_cut_is_no_smaller_data_set() {
    let few = 1001;
    let folder = TempDir::new().unwrap();
    let cut = |records: usize| vec![0; records * 3073];
    for (name, _) in cifar_files() {
        fs::write(folder.path().join(name), cut(few)).unwrap();
    }
    let message = refused(Dataset::Cifar10, folder.path());
    assert!(message.contains("data_batch_1.bin") && message.contains("holds 3076073 bytes"), "{message}");
    assert!(message.contains("as published it holds 30730000 (10000 records of 3073 bytes)"), "{message}");
    // One that was cut short beside a whole one.
    let one = cifar_files()[0].0;
    fs::write(folder.path().join(one), cut(10_000)).unwrap();
    fs::write(folder.path().join("data_batch_2.bin"), cut(4_000)).unwrap();
    let message = refused(Dataset::Cifar10, folder.path());
    assert!(message.contains("data_batch_2.bin") && message.contains("holds 12292000 bytes"), "{message}");
}

/// A record of CIFAR-100's binary version has the superclass before the class.
fn cifar_100_files() -> Vec<(&'static str, Vec<u8>)> {
    let record = |superclass: u8, class: u8, planes| [&[superclass][..], &cifar_record(class, planes)].concat();
    let train: Vec<u8> = (0..6u8).flat_map(|index| record(19 - index, 99 - index, [index, 100, 200])).collect();
    vec![("train.bin", train), ("test.bin", record(4, 0, [7, 8, 9]))]
}

#[test]
fn cifar_100_is_read_with_its_fine_labels() {
    let (folder, downloads) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let unpacked = folder.path().join("cifar-100-binary");
    fs::create_dir(&unpacked).unwrap();
    write(&unpacked, &cifar_100_files());
    fs::write(downloads.path().join("cifar-100-binary.tar.gz"), gzip(&tar(&cifar_100_files()))).unwrap();
    let mut checksums = Vec::new();
    for path in [folder.path(), &unpacked, downloads.path()] {
        let images = load(Dataset::Cifar100, Some(path), Some(2)).unwrap();
        let facts = &images.facts;
        assert_eq!((facts.train, facts.validation, facts.test), (4, 2, 1));
        assert_eq!((facts.channels, facts.image_size, facts.classes), (3, 32, 100));
        assert_eq!(images.train.labels[..], [99, 98, 97, 96]);
        assert_eq!((&images.validation.labels[..], &images.test.labels[..]), (&[95, 94][..], &[0][..]));
        let second = &images.train.images[3072..2 * 3072];
        assert_eq!((second[0], second[1], second[1024], second[3071]), (255, 1, 100, 200));
        assert_eq!([0, 39, 99].map(|class| images.class_names[class].as_str()), ["apple", "keyboard", "worm"]);
        checksums.push(images.facts.checksum);
    }
    assert!(checksums.iter().all(|checksum| *checksum == checksums[0]));
    let mut damaged = cifar_100_files();
    damaged[0].1[3074 + 1] = 100;
    write(&unpacked, &damaged);
    let message = refused(Dataset::Cifar100, folder.path());
    assert!(message.contains("train.bin") && message.contains("record 1 has label 100; expected 0 to 99"), "{message}");
    fs::write(unpacked.join("train.bin"), vec![0; 1001 * 3074]).unwrap();
    let message = refused(Dataset::Cifar100, folder.path());
    assert!(message.contains("as published it holds 153700000 (50000 records of 3074 bytes)"), "{message}");
}

#[test]
fn every_file_that_is_missing_is_named_at_once() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), &cifar_files());
    for name in ["data_batch_2.bin", "test_batch.bin"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let message = refused(Dataset::Cifar10, folder.path());
    assert!(message.contains("holds no data_batch_2.bin, no test_batch.bin (also"), "{message}");
    let archive = folder.path().join("mnist.tar");
    fs::write(&archive, tar(&idx_files()[..2])).unwrap();
    let message = refused(Dataset::Mnist, &archive);
    assert!(message.contains("t10k-images-idx3-ubyte") && message.contains(", no t10k-labels"), "{message}");
}

#[test]
fn a_data_set_is_unpacked_once_for_all_and_again_where_that_was_damaged() {
    let (source, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(source.path(), &cifar_files());
    let own = load(Dataset::Cifar10, Some(source.path()), Some(3)).unwrap();
    let folder = data.path().join("images");
    let shared = |path: &Path, validation| {
        let planned = DatasetFacts { train: 10 - validation, validation, ..own.facts.clone() };
        let (images, note) = dataset::shared(&folder, &planned, Some(path))?;
        assert_eq!((&images.facts, note), (&planned, None));
        Ok::<_, TrainError>(images)
    };
    assert_is_the_small_cifar(&shared(source.path(), 3).unwrap());
    // Whoever comes later needs the official files no more, however much is held out.
    let nowhere = Path::new("/no/such/folder");
    let images = shared(nowhere, 3).unwrap();
    assert_is_the_small_cifar(&images);
    assert_eq!((images.mean, images.deviation), (own.mean.clone(), own.deviation.clone()));
    assert_eq!(shared(nowhere, 0).unwrap().train.labels[7..], own.validation.labels[..]);

    let file = folder.join(format!("{}.images", own.facts.checksum));
    let whole = fs::read(&file).unwrap();
    type Damage = fn(&mut Vec<u8>);
    let damages: [Damage; 5] = [
        Vec::clear,
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.push(0),
        |bytes| bytes[0] ^= 1,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
    ];
    for damage in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        assert!(shared(nowhere, 3).is_err());
        assert_is_the_small_cifar(&shared(source.path(), 3).unwrap());
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
}

#[test]
fn images_that_cannot_be_unpacked_for_all_are_read_all_the_same() {
    let (source, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(source.path(), &cifar_files());
    let planned = facts(Dataset::Cifar10, Some(source.path()), Some(3)).unwrap();
    let folder = data.path().join("images");
    fs::write(&folder, b"a file where the folder would be").unwrap();
    let (images, note) = dataset::shared(&folder, &planned, Some(source.path())).unwrap();
    assert_is_the_small_cifar(&images);
    assert!(note.unwrap().contains("could not be unpacked"));
    // Other files than planned are unpacked for nobody.
    fs::remove_file(&folder).unwrap();
    let other = DatasetFacts { checksum: "0".repeat(64), ..planned };
    let (images, note) = dataset::shared(&folder, &other, Some(source.path())).unwrap();
    assert!(images.facts != other && note.is_none() && !folder.exists());
}

/// The path in `variable`, or `None` and a word about it.
fn larger_data(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        // Not `eprintln!`: what a test that passes says there is swallowed.
        let _ = writeln!(io::stderr(), "skipped: {variable} does not name a folder or archive");
    }
    path
}

#[test]
fn the_whole_of_cifar_10() {
    let Some(path) = larger_data("STILLROOM_TEST_CIFAR_10") else { return };
    let images = load(Dataset::Cifar10, Some(&path), None).unwrap();
    let facts = &images.facts;
    assert_eq!((facts.train, facts.validation, facts.test), (45_000, 5_000, 10_000));
    assert!((images.mean[0] - 0.491).abs() < 0.01 && (images.deviation[0] - 0.247).abs() < 0.01);
}

#[test]
fn the_whole_of_fashion_mnist() {
    let Some(path) = larger_data("STILLROOM_TEST_FASHION_MNIST") else { return };
    let images = load(Dataset::FashionMnist, Some(&path), None).unwrap();
    let facts = &images.facts;
    assert_eq!((facts.train, facts.validation, facts.test), (55_000, 5_000, 10_000));
    assert!((images.mean[0] - 0.286).abs() < 0.003 && (images.deviation[0] - 0.353).abs() < 0.003);
}
