//! Any folder of images by class: `train/CLASS/...`, and `test/CLASS/...`, `val/CLASS/...` or both. Where there are both,
//! `val` is held out for validation; where only one is there, it is what is tested on.

use super::{Content, Split, class_names, pictures, tree::Tree};
use crate::{
    TrainError,
    random::{Purpose, stream},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};
use study::{Dataset, Epoch, Seed};

/// How `val` may be called too.
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
/// A label is a byte.
const CLASSES_MAX: usize = 256;

/// Pictures and their labels.
pub(super) type Labelled<'a> = Vec<(&'a Path, u8)>;

/// `image_size`: height and width in pixels that all images are given.
pub(super) fn read(path: &Path, image_size: u32) -> Result<Content, TrainError> {
    let tree = Tree::open(path)?;
    let wrong = |problem| TrainError::Dataset { path: tree.root.clone(), problem };
    let in_no_class = |picture: &Path| wrong(format!("{} is in no class's folder", picture.display()));
    let names = tree.pictures("train").map(|picture| class(picture).ok_or_else(|| in_no_class(picture)));
    let names = names.collect::<Result<BTreeSet<&str>, TrainError>>()?;
    if !(2..=CLASSES_MAX).contains(&names.len()) {
        return Err(wrong(format!(
            "train holds images of {} classes; 2 to {CLASSES_MAX} can be told apart",
            names.len()
        )));
    }
    let class_names = class_names::shown(names.iter().copied()).map_err(wrong)?;
    let labels: BTreeMap<&str, u8> = names.iter().copied().zip(0..=u8::MAX).collect();
    let labelled = |folder: &'static str| {
        let pictures = tree.pictures(folder).map(|picture| {
            let label = class(picture).and_then(|name| labels.get(name).copied());
            let unknown = || wrong(format!("{} is of no class that train has images of", picture.display()));
            label.map(|label| (picture, label)).ok_or_else(unknown)
        });
        pictures.collect::<Result<Labelled<'_>, TrainError>>()
    };
    let train = labelled("train")?;
    let mut named = VALIDATION.into_iter().filter(|folder| tree.pictures(folder).next().is_some());
    let validation = match (named.next(), named.next()) {
        (Some(one), Some(other)) => return Err(wrong(format!("holds both a folder {one} and a folder {other}"))),
        (only, _) => only.map(labelled).transpose()?.unwrap_or_default(),
    };
    let test = labelled("test")?;
    let (validation, test) = if test.is_empty() { (test, validation) } else { (validation, test) };
    if test.is_empty() {
        return Err(wrong("holds no images to test on: there is neither a folder test nor a folder val".into()));
    }
    let held_out = match validation.len() {
        0 => (train.len() / 10).min(Dataset::VALIDATION_DEFAULT as usize),
        own => own,
    };
    let train = [shuffled(&train), shuffled(&validation)].concat();
    Ok(Content { held_out: Some(held_out as u32), ..content(&tree, &train, &test, image_size, class_names)? })
}

/// The folder behind the split's.
fn class(picture: &Path) -> Option<&str> {
    let mut parts = picture.components().skip(1);
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), Some(_)) => name.to_str(),
        _ => None,
    }
}

/// Images of one class lie side by side in folders. The last ones are held out, so they must be of all classes.
pub(super) fn shuffled<'a>(images: &[(&'a Path, u8)]) -> Labelled<'a> {
    let mut order: Vec<u32> = (0..images.len() as u32).collect();
    stream(Seed(0), Purpose::FolderOrder, Epoch(0), 0).shuffle(&mut order);
    order.into_iter().map(|index| images[index as usize]).collect()
}

/// Reads what is trained on and what is tested on at once: grey pictures stay grey only where all are.
pub(super) fn content(
    tree: &Tree,
    train: &[(&Path, u8)],
    test: &[(&Path, u8)],
    image_size: u32,
    class_names: Vec<String>,
) -> Result<Content, TrainError> {
    let (paths, labels): (Vec<&Path>, Vec<u8>) = train.iter().chain(test).copied().unzip();
    let squares = pictures::squares(tree, &paths, image_size)?;
    let values = (squares.channels * image_size * image_size) as usize;
    let (images, labels) = (super::Bytes::from(squares.bytes), super::Bytes::from(labels));
    let part = |range: std::ops::Range<usize>| Split {
        images: images.part(range.start * values..range.end * values),
        labels: labels.part(range),
    };
    Ok(Content {
        train: part(0..train.len()),
        test: part(train.len()..paths.len()),
        channels: squares.channels,
        image_size,
        class_names,
        held_out: None,
    })
}
