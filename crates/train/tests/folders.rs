//! Pictures in folders: made squares as torchvision makes them, labelled by their folders, and refused where any cannot be read.

use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use std::{
    fs::{self, File},
    io::{Cursor, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use study::Dataset;
use tempfile::TempDir;
use train::{
    TrainError,
    dataset::{self, Images, Notes, load, look},
};

fn named(name: &str) -> Dataset {
    name.parse().expect("a data set")
}

fn bytes(picture: impl Into<image::DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.into().write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// One colour, which no format changes by more than a little.
fn plain(width: u32, height: u32, color: [u8; 3], format: ImageFormat) -> Vec<u8> {
    bytes(RgbImage::from_pixel(width, height, Rgb(color)), format)
}

fn plain_grey(value: u8) -> Vec<u8> {
    bytes(GrayImage::from_pixel(20, 24, Luma([value])), ImageFormat::Png)
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (inside, bytes) in files {
        let path = folder.join(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn refused(dataset: Dataset, path: &Path) -> String {
    match load(dataset, Some(path), None) {
        Err(error @ TrainError::Dataset { .. }) => error.to_string(),
        Err(other) => panic!("another kind of error: {other}"),
        Ok(_) => panic!("{} was read", path.display()),
    }
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (inside, bytes) in files {
        zip.start_file(inside.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (inside, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written here, as the builder refuses what lies elsewhere.
        header.as_ustar_mut().unwrap().name[..inside.len()].copy_from_slice(inside.as_bytes());
        header.set_cksum();
        builder.append(&header, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Of two classes: each image's red says which one it is.
fn flowers(splits: &[(&str, u8)]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (split, count) in splits {
        for index in 0..*count {
            let rose = plain(40, 20, [200, index, 0], ImageFormat::Png);
            files.push((format!("{split}/rose/{index}.png"), rose));
            files.push((format!("{split}/daisy/{index}.PNG"), plain(20, 40, [100, index, 0], ImageFormat::Png)));
        }
    }
    files
}

fn counts(images: &Images) -> (u32, u32, u32) {
    (images.facts.train, images.facts.validation, images.facts.test)
}

/// Each image's red and green, by label.
fn seen(split: &dataset::Split, values: usize) -> Vec<(u8, u8, u8)> {
    let images = split.images.chunks_exact(values).zip(split.labels.iter());
    let mut seen: Vec<_> = images.map(|(image, label)| (*label, image[0], image[values / 3])).collect();
    seen.sort_unstable();
    seen
}

/// The expected numbers are Pillow's:
///
/// ```python
/// from PIL import Image
/// def squared(picture, size):
///     w, h = picture.size
///     short = min(w, h)
///     w, h = size * w // short, size * h // short
///     picture = picture.resize((w, h), Image.BILINEAR)
///     left, top = round((w - size) / 2), round((h - size) / 2)
///     return picture.crop((left, top, left + size, top + size))
/// def value(x, y, c):
///     return (x * (3 + c) + y * (5 - c) + (x * y) // 8) % 256
/// wide = Image.new("RGB", (50, 37))
/// wide.putdata([tuple(value(x, y, c) for c in range(3)) for y in range(37) for x in range(50)])
/// tall = Image.new("L", (12, 17))
/// tall.putdata([value(x, y, 0) for y in range(17) for x in range(12)])
/// for p, s in [(wide, 8), (tall, 16)]:
///     d = list(squared(p, s).getdata())
///     print([d[y * s + x] for x, y in [(0, 0), (3, 2), (s - 1, 0), (0, s - 1), (4, 5), (s - 1, s - 1)]])
/// ```
#[test]
fn pictures_are_scaled_and_cut_as_is_usual() {
    let value = |x: u32, y: u32, c: u32| ((x * (3 + c) + y * (5 - c) + (x * y) / 8) % 256) as u8;
    let wide = RgbImage::from_fn(50, 37, |x, y| Rgb([value(x, y, 0), value(x, y, 1), value(x, y, 2)]));
    let tall = GrayImage::from_fn(12, 17, |x, y| Luma([value(x, y, 0)]));
    let read = |picture: Vec<u8>, name: &str| {
        let folder = TempDir::new().unwrap();
        let places = ["train/a/1.png", "train/b/1.png", "test/a/1.png"];
        write(folder.path(), &places.map(|place| (place.to_owned(), picture.clone())));
        load(named(name), Some(folder.path()), Some(0)).unwrap()
    };
    let places = |size: usize| [(0, 0), (3, 2), (size - 1, 0), (0, size - 1), (4, 5), (size - 1, size - 1)];
    let near = |found: u8, expected: u8| assert!(found.abs_diff(expected) <= 1, "{found}, not {expected}");

    let images = read(bytes(wide, ImageFormat::Png), "one@8");
    assert_eq!((images.facts.channels, images.facts.image_size, images.train.images.len()), (3, 8, 2 * 3 * 64));
    let expected = [[34, 38, 43], [151, 162, 173], [149, 189, 211], [215, 192, 165], [43, 41, 43], [209, 206, 195]];
    for ((x, y), expected) in places(8).into_iter().zip(expected) {
        (0..3).for_each(|channel| near(images.test.images[channel * 64 + y * 8 + x], expected[channel]));
    }
    let images = read(bytes(tall, ImageFormat::Png), "other@16");
    assert_eq!((images.facts.channels, images.test.images.len()), (1, 256));
    for ((x, y), expected) in places(16).into_iter().zip([11, 26, 46, 69, 41, 121]) {
        near(images.test.images[y * 16 + x], expected);
    }
}

#[test]
fn a_folder_is_labelled_by_its_folders_and_split_as_they_are() {
    let (whole, unsplit) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(whole.path(), &flowers(&[("train", 8), ("val", 3), ("test", 2)]));
    write(whole.path(), &[("train/rose/.DS_Store".into(), vec![0]), ("train/about.txt".into(), b"flowers".to_vec())]);
    let images = load(named("flowers@8"), Some(whole.path()), None).unwrap();
    assert_eq!(counts(&images), (16, 6, 4));
    assert_eq!((images.facts.classes, &images.class_names[..]), (2, &["daisy".to_owned(), "rose".to_owned()][..]));
    let of = |count: u8| -> Vec<(u8, u8, u8)> {
        [(0, 100), (1, 200)]
            .into_iter()
            .flat_map(|(label, red)| (0..count).map(move |green| (label, red, green)))
            .collect()
    };
    assert_eq!(seen(&images.train, 192), of(8));
    assert_eq!(seen(&images.validation, 192), of(3));
    assert_eq!(seen(&images.test, 192), of(2));
    // In an order in which the last images are not all of one class.
    assert!([0, 1].iter().all(|label| images.train.labels[8..].contains(label)), "{:?}", &images.train.labels[..]);

    // Where only one of the two is there, it is what is tested on, and a tenth is held out.
    write(unsplit.path(), &flowers(&[("train", 10), ("val", 2)]));
    let images = load(named("flowers@8"), Some(unsplit.path()), None).unwrap();
    assert_eq!(counts(&images), (18, 2, 4));
    assert_eq!(counts(&load(named("flowers@8"), Some(unsplit.path()), Some(5)).unwrap()), (15, 5, 4));
}

#[test]
fn grey_stays_grey_where_all_are_and_jpeg_is_read_beside_png() {
    let folder = TempDir::new().unwrap();
    let grey = [("train/a/1.png", 10), ("train/b/1.png", 20), ("test/b/1.png", 30)];
    write(folder.path(), &grey.map(|(place, value)| (place.to_owned(), plain_grey(value))));
    let images = load(named("grey@8"), Some(folder.path()), Some(0)).unwrap();
    assert_eq!((images.facts.channels, images.test.images[..].to_vec()), (1, vec![30; 64]));

    write(folder.path(), &[("test/a/2.jpeg".into(), plain(16, 16, [250, 128, 3], ImageFormat::Jpeg))]);
    let images = load(named("grey@8"), Some(folder.path()), Some(0)).unwrap();
    assert_eq!((images.facts.channels, images.test.len()), (3, 2));
    assert_eq!(images.test.labels[..], [0, 1]);
    for (channel, expected) in [250u8, 128, 3].into_iter().enumerate() {
        let found = images.test.images[channel * 64 + 30];
        assert!(found.abs_diff(expected) <= 3, "{found}, not {expected}");
    }
    // The grey one says the same in red, green and blue.
    assert_eq!(images.test.images[192..], [30; 192]);
}

#[test]
fn an_archive_of_a_folder_is_the_folder() {
    let (source, archives) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let files = flowers(&[("train", 4), ("test", 1)]);
    write(source.path(), &files);
    let own = load(named("flowers@8"), Some(source.path()), None).unwrap();
    let inside: Vec<_> = files.iter().rev().map(|(name, bytes)| (format!("flowers/{name}"), bytes.clone())).collect();
    let beside = [("__MACOSX/flowers/train/rose/._0.png".to_owned(), vec![1, 2, 3])];
    let with_more = [&inside[..], &beside].concat();
    let packed = [("flowers.zip", zip(&with_more)), ("flowers.tar", tar(&inside)), ("bare.zip", zip(&files))];
    for (name, bytes) in packed {
        let folder = archives.path().join(name.replace('.', "-"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
        for path in [folder.join(name), folder] {
            let images = load(named("flowers@8"), Some(&path), None).unwrap();
            assert_eq!(images.facts, own.facts, "{}", path.display());
            assert_eq!(images.train.images[..], own.train.images[..]);
        }
    }
    let cut = archives.path().join("cut.zip");
    let whole = zip(&files);
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    assert!(refused(named("flowers@8"), &cut).contains("cut.zip"));
}

#[test]
fn what_an_archive_says_lies_outside_it_is_no_picture_of_the_set() {
    let folder = TempDir::new().unwrap();
    let mut files = flowers(&[("train", 2), ("test", 1)]);
    for place in ["../train/rose/out.png", "/train/rose/out.png", "x/../train/rose/out.png", "..\\train\\rose\\out.png"]
    {
        files.push((place.to_owned(), plain(16, 16, [1, 2, 3], ImageFormat::Png)));
    }
    for (name, bytes) in [("flowers.zip", zip(&files)), ("flowers.tar", tar(&files))] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_eq!(counts(&load(named("flowers@8"), Some(&path), Some(0)).unwrap()), (4, 0, 2), "{name}");
    }
}

#[test]
fn an_archive_written_with_backslashes_is_read() {
    let folder = TempDir::new().unwrap();
    let files = flowers(&[("train", 2), ("test", 1)]).into_iter().map(|(name, bytes)| (name.replace('/', "\\"), bytes));
    let path = folder.path().join("flowers.zip");
    fs::write(&path, zip(&files.collect::<Vec<_>>())).unwrap();
    assert_eq!(counts(&load(named("flowers@8"), Some(&path), Some(0)).unwrap()), (4, 0, 2));
}

#[test]
fn a_path_that_no_system_has_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("flowers.zip");
    let long = format!("train/{}/1.png", "r".repeat(4096));
    fs::write(&path, zip(&[(long, plain(16, 16, [1, 2, 3], ImageFormat::Png))])).unwrap();
    assert!(refused(named("flowers@8"), &path).contains("more than 4096 bytes"));
}

#[test]
fn what_an_archive_links_to_is_not_read() {
    let folder = TempDir::new().unwrap();
    let outside = folder.path().join("outside.png");
    fs::write(&outside, plain(16, 16, [1, 2, 3], ImageFormat::Png)).unwrap();
    let files = flowers(&[("train", 2), ("test", 1)]);
    let mut files = tar(&files);
    // Without its end, so that more can stand there.
    files.truncate(files.len() - 1024);
    let mut builder = tar::Builder::new(files);
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "train/rose/link.png", &outside).unwrap();
    let path = folder.path().join("flowers.tar");
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    assert_eq!(counts(&load(named("flowers@8"), Some(&path), Some(0)).unwrap()), (4, 0, 2));
}

#[test]
fn what_would_take_too_much_room_is_refused_before_it_does() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), &flowers(&[("train", 2), ("test", 1)]));
    let wide = folder.path().join("train/rose/wide.png");
    for (width, height, allowed) in [(16_385, 300, "up to 16384 pixels"), (65, 1, "64 times the other")] {
        fs::write(&wide, plain(width, height, [1, 2, 3], ImageFormat::Png)).unwrap();
        let message = refused(named("flowers@8"), folder.path());
        assert!(message.contains("wide.png (") && message.contains(allowed), "{message}");
    }
    fs::write(&wide, plain(16_384, 256, [1, 2, 3], ImageFormat::Png)).unwrap();
    load(named("flowers@8"), Some(folder.path()), Some(0)).unwrap();
    // A list of files, which are nowhere.
    let list = folder.path().join("list.zip");
    fs::write(&list, b"PK\x01\x02".repeat(500_001)).unwrap();
    assert!(refused(named("flowers@8"), &list).contains("more than 500000 files"));
}

#[test]
fn pictures_that_cannot_be_read_are_named_together_up_to_ten() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), &flowers(&[("train", 2), ("test", 1)]));
    let whole = plain(16, 16, [1, 2, 3], ImageFormat::Png);
    write(folder.path(), &[("train/rose/cut.png".into(), whole[..whole.len() - 20].to_vec())]);
    write(
        folder.path(),
        &[("test/daisy/empty.jpg".into(), Vec::new()), ("test/rose/text.gif".into(), b"GIF?".to_vec())],
    );
    // A decoder would make the missing half grey.
    let whole = plain(64, 64, [1, 2, 3], ImageFormat::Jpeg);
    write(folder.path(), &[("train/rose/cut.jpg".into(), whole[..whole.len() - 20].to_vec())]);
    let message = refused(named("flowers@8"), folder.path());
    for name in
        ["train/rose/cut.png (", "train/rose/cut.jpg (it was cut", "test/daisy/empty.jpg (", "test/rose/text.gif ("]
    {
        assert!(message.contains(name), "{message}");
    }
    let many: Vec<_> = (10..25).map(|index| (format!("test/rose/{index}.tiff"), b"II*".to_vec())).collect();
    write(folder.path(), &many);
    let message = refused(named("flowers@8"), folder.path());
    assert_eq!(message.matches(" (").count(), 10, "{message}");
    assert!(message.ends_with("and 9 more"), "{message}");
}

#[test]
fn a_folder_that_is_no_data_set_says_why() {
    let cases: [(&[&str], &str); 9] = [
        (&["rose/1.png", "daisy/1.png"], "holds no folder train"),
        (&["train/rose/1.png", "test/rose/1.png"], "images of 1 classes; 2 to 256"),
        (&["train/rose/1.png", "train/daisy/1.png"], "neither a folder test nor a folder val"),
        (&["train/rose/1.png", "train/daisy/1.png", "test/tulip/1.png"], "test/tulip/1.png is of no class"),
        (&["train/rose/1.png", "train/1.png", "test/rose/1.png"], "train/1.png is in no class's folder"),
        (
            &["train/rose/1.png", "train/daisy/1.png", "val/tulip/1.png", "test/rose/1.png"],
            "val/tulip/1.png is of no class",
        ),
        (
            &["train/rose/1.png", "train/daisy/1.png", "val/rose/1.png", "valid/rose/1.png"],
            "both a folder val and a folder valid",
        ),
        (&["a/train/rose/1.png", "b/train/daisy/1.png"], "a folder train in a and another in b"),
        (&["train/rose\n/1.png", "train/daisy/1.png", "test/daisy/1.png"], "\"rose\\n\" has no name of 1 to 255 bytes"),
    ];
    for (places, expected) in cases {
        let folder = TempDir::new().unwrap();
        let files: Vec<_> = places.iter().map(|place| ((*place).to_owned(), plain_grey(7))).collect();
        write(folder.path(), &files);
        let message = refused(named("flowers@8"), folder.path());
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
    }
}

/// Three classes, four training images each, in the official layout.
fn tiny_imagenet() -> Vec<(String, Vec<u8>)> {
    let ids = ["n02124075", "n01443537", "n04067472"];
    let words = "n01443537\tgoldfish, Carassius auratus\nn02124075\tEgyptian cat\nn04067472\treel\nn00000000\tother\n";
    let mut files = vec![
        ("wnids.txt".to_owned(), ids.join("\n").into_bytes()),
        ("words.txt".to_owned(), words.as_bytes().to_vec()),
    ];
    for (class, id) in (0u8..).zip(ids) {
        files.push((format!("train/{id}/{id}_boxes.txt"), format!("{id}_0.JPEG\t0\t0\t63\t63\n").into_bytes()));
        for index in 0..4 {
            let picture = plain(64, 64, [80 * class, 50 * index, 9], ImageFormat::Jpeg);
            files.push((format!("train/{id}/images/{id}_{index}.JPEG"), picture));
        }
    }
    let mut annotations = String::new();
    for (index, id) in ["n04067472", "n02124075", "n04067472", "n01443537", "n01443537"].into_iter().enumerate() {
        annotations += &format!("val_{index}.JPEG\t{id}\t0\t32\t44\t62\n");
        files
            .push((format!("val/images/val_{index}.JPEG"), plain(64, 64, [9, 9, 40 * index as u8], ImageFormat::Jpeg)));
    }
    files.push(("val/val_annotations.txt".into(), annotations.into_bytes()));
    files.push(("test/images/test_0.JPEG".into(), b"has no label and is never read".to_vec()));
    files
}

#[test]
fn tiny_imagenet_is_read_as_it_is_published() {
    let (folder, downloads) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let inside: Vec<_> =
        tiny_imagenet().into_iter().map(|(name, bytes)| (format!("tiny-imagenet-200/{name}"), bytes)).collect();
    write(folder.path(), &inside);
    fs::write(downloads.path().join("tiny-imagenet-200.zip"), zip(&inside)).unwrap();
    let mut facts = Vec::new();
    for path in [folder.path(), &folder.path().join("tiny-imagenet-200"), downloads.path()] {
        let images = load(Dataset::TinyImageNet, Some(path), Some(2)).unwrap();
        assert_eq!(counts(&images), (10, 2, 5));
        assert_eq!((images.facts.channels, images.facts.image_size, images.facts.classes), (3, 64, 3));
        assert_eq!(images.class_names, ["goldfish", "Egyptian cat", "reel"]);
        assert_eq!(images.test.labels[..], [2, 1, 2, 0, 0]);
        let blue = |index: usize| images.test.images[index * 3 * 4096 + 2 * 4096 + 7];
        assert!((0..5).all(|index| blue(index).abs_diff(40 * index as u8) <= 4));
        let all = [&images.train.labels[..], &images.validation.labels[..]].concat();
        assert!((0..3).all(|class| all.iter().filter(|label| **label == class).count() == 4), "{all:?}");
        // Red says the class in the order in which the files name them: the cat, the goldfish, the reel.
        let first = (images.train.labels[0], images.train.images[7]);
        assert!(first.1.abs_diff(80 * [1, 0, 2][usize::from(first.0)]) <= 4, "{first:?}");
        facts.push(images.facts);
    }
    assert!(facts.iter().all(|other| *other == facts[0]));
}

#[test]
fn damaged_tiny_imagenet_is_told() {
    type Damage = fn(&mut Vec<(String, Vec<u8>)>);
    let cases: [(Damage, &str); 5] = [
        (|files| files.retain(|(name, _)| !name.ends_with("val_3.JPEG")), "val/images lacks 1 of the 5 files"),
        (|files| files.retain(|(name, _)| !name.ends_with("words.txt")), "words.txt: cannot be read"),
        (|files| files.retain(|(name, _)| !name.contains("train/n04067472")), "holds no images in train/n04067472"),
        (|files| files.retain(|(name, _)| !name.ends_with("annotations.txt")), "val_annotations.txt: cannot be read"),
        (
            |files| {
                files.iter_mut().for_each(|(name, bytes)| {
                    if name == "wnids.txt" {
                        bytes.truncate(9)
                    }
                })
            },
            "names 1 classes",
        ),
    ];
    for (damage, expected) in cases {
        let folder = TempDir::new().unwrap();
        let mut files = tiny_imagenet();
        damage(&mut files);
        write(folder.path(), &files);
        let message = refused(Dataset::TinyImageNet, folder.path());
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_was_seen_of_a_folder_is_kept_until_a_file_changes() {
    let (source, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(source.path(), &flowers(&[("train", 8), ("val", 2), ("test", 2)]));
    let dataset = named("flowers@8");
    let looked = || look(dataset, Some(source.path()), Notes::Kept(data.path())).unwrap();
    let first = looked();
    let (facts, samples) = &first;
    assert_eq!((facts.train, facts.validation, facts.test), (16, 4, 4));
    assert_eq!(*facts, load(dataset, Some(source.path()), None).unwrap().facts);
    assert_eq!(samples.class_names, ["daisy", "rose"]);
    let shown: Vec<_> = samples.samples.iter().map(|sample| (sample.class, sample.images)).collect();
    assert_eq!(shown, [(0, 3), (1, 3)]);
    let png = image::load_from_memory(&samples.samples[1].png).unwrap().to_rgb8();
    assert_eq!((png.dimensions(), png.get_pixel(3, 20)[0]), ((8, 24), 200));
    // What workers need is there too, with the names that the files say.
    let (images, note) = dataset::shared(data.path(), facts, Some(Path::new("/no/such/folder"))).unwrap();
    assert_eq!((&images.facts, &images.class_names, note), (facts, &samples.class_names, None));

    assert_eq!(looked(), first);
    let [kept] = &fs::read_dir(data.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("one file is kept")
    };
    // It is what is answered: read back, not read anew.
    let said = fs::read_to_string(kept).unwrap();
    fs::write(kept, said.replace("daisy", "Daisy")).unwrap();
    assert_eq!(looked().1.class_names, ["Daisy", "rose"]);
    write(source.path(), &[("train/rose/more.png".into(), plain(9, 9, [1, 2, 3], ImageFormat::Png))]);
    let (facts, samples) = looked();
    assert_eq!((facts.train, samples.class_names[0].as_str()), (17, "daisy"));
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn who_only_looks_believes_what_was_seen_and_writes_nothing() {
    let (source, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(source.path(), &flowers(&[("train", 2), ("test", 1)]));
    let looked = |path: &Path, notes| look(named("flowers@8"), Some(path), notes).unwrap();
    let own = looked(source.path(), Notes::Read(data.path()));
    assert_eq!(files_in(data.path()), 0);
    looked(source.path(), Notes::Kept(data.path()));
    let [note] = &fs::read_dir(data.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("one file is kept")
    };
    fs::write(note, fs::read_to_string(note).unwrap().replace("daisy", "Daisy")).unwrap();
    // What is moved as a whole is what it was.
    let moved = data.path().join("moved");
    fs::rename(source.path(), &moved).unwrap();
    assert_eq!(looked(&moved, Notes::Read(data.path())).1.class_names, ["Daisy", "rose"]);
    assert_eq!(looked(&moved, Notes::None), own);
    fs::create_dir(source.path()).unwrap();
}

#[test]
fn what_is_wrong_is_kept_too_until_a_file_changes() {
    let (source, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(source.path(), &flowers(&[("train", 2), ("test", 1)]));
    let cut = source.path().join("train/rose/cut.png");
    fs::write(&cut, b"cut").unwrap();
    let looked = || look(named("flowers@8"), Some(source.path()), Notes::Kept(data.path()));
    let first = looked().unwrap_err().to_string();
    assert!(first.contains("cut.png (") && first.starts_with(&source.path().display().to_string()), "{first}");
    assert_eq!(files_in(data.path()), 1);
    let note = fs::read_dir(data.path()).unwrap().next().unwrap().unwrap().path();
    fs::write(&note, fs::read_to_string(&note).unwrap().replace("cut.png (", "CUT.png (")).unwrap();
    assert_eq!(looked().unwrap_err().to_string(), first.replace("cut.png (", "CUT.png ("));
    fs::remove_file(&cut).unwrap();
    looked().unwrap();
}

#[test]
fn official_files_are_not_read_again_either() {
    let (source, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    // Nobody's business: far deeper than any data set.
    fs::create_dir_all(source.path().join("a/b/c/d/e/f/g/h/i/j")).unwrap();
    let looked = || look(Dataset::Mnist, Some(source.path()), Notes::Kept(data.path()));
    assert!(looked().unwrap_err().to_string().contains("holds no train-images-idx3-ubyte"));
    let note = fs::read_dir(data.path()).unwrap().next().unwrap().unwrap().path();
    fs::write(&note, fs::read_to_string(&note).unwrap().replace("holds no", "lacks")).unwrap();
    assert!(looked().unwrap_err().to_string().contains("lacks train-images-idx3-ubyte"));
    // A file that comes is looked at, whatever is in it.
    fs::write(source.path().join("train-images-idx3-ubyte"), b"").unwrap();
    assert!(!looked().unwrap_err().to_string().contains("lacks"));
}

#[cfg(unix)]
#[test]
fn what_may_pass_without_a_file_changing_is_not_kept() {
    let (source, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let gone = source.path().join("gone");
    assert!(matches!(look(named("flowers@8"), Some(&gone), Notes::Kept(data.path())), Err(TrainError::Io { .. })));
    assert_eq!(files_in(data.path()), 0);
}

#[test]
fn what_nobody_needs_any_more_goes_and_whoever_has_it_keeps_it() {
    let data = TempDir::new().unwrap();
    let [needed, other] = [8, 9].map(|count| {
        let source = TempDir::new().unwrap();
        write(source.path(), &flowers(&[("train", count), ("test", 2)]));
        look(named("flowers@8"), Some(source.path()), Notes::Kept(data.path())).unwrap().0
    });
    let empty = TempDir::new().unwrap();
    look(named("flowers@8"), Some(empty.path()), Notes::Kept(data.path())).unwrap_err();
    for name in ["killed.images.17-0.tmp", "killed.json.17-1.tmp", "of another program.json", "README"] {
        fs::write(data.path().join(name), b"{}").unwrap();
    }
    let (mapped, _) = dataset::shared(data.path(), &other, None).unwrap();
    let before = mapped.train.images.to_vec();

    let forget = || dataset::forget(data.path(), &[needed.checksum.clone()].into()).unwrap();
    forget();
    let left = || {
        let mut left: Vec<PathBuf> = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort_by_key(|path| path.extension().map(ToOwned::to_owned));
        left
    };
    let [readme, images, one, two] = &left()[..] else { panic!("{:?}", left()) };
    assert!(readme.ends_with("README") && images.ends_with(format!("{}.images", needed.checksum)));
    assert!(mapped.train.images[..] == before[..]);
    assert_eq!(dataset::shared(data.path(), &needed, None).unwrap().0.facts, needed);
    // What is wrong with files is not remembered for ever.
    let is_wrong = |note: &&PathBuf| fs::read_to_string(note).unwrap().contains("holds no folder train");
    let wrong = [one, two].into_iter().find(is_wrong).expect("a note of what is wrong");
    let long_ago = SystemTime::now() - Duration::from_hours(31 * 24);
    File::options().write(true).open(wrong).unwrap().set_modified(long_ago).unwrap();
    forget();
    assert!(left().len() == 3 && !left().contains(wrong));
    dataset::forget(&data.path().join("no such folder"), &[].into()).unwrap();
}

#[test]
fn what_is_built_in_is_shown_with_ten_classes() {
    let (facts, samples) = look(Dataset::FashionMnist12k, None, Notes::None).unwrap();
    assert_eq!((facts.train, facts.validation), (17_000, 0));
    assert_eq!(samples.samples.iter().map(|sample| sample.class).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    let shown = image::load_from_memory(&samples.samples[9].png).unwrap();
    assert_eq!((shown.width(), shown.height(), shown.color()), (28, 84, image::ColorType::L8));
}
