//! Tiny-ImageNet as it is published (Le and Yang 2015): `train/WNID/images/*.JPEG`, `val/images/*.JPEG` with their classes in
//! `val/val_annotations.txt`, the classes in `wnids.txt` and what they are called in `words.txt`. The published `test` has no
//! labels: `val` is what is tested on.

use super::{
    Content, class_names,
    image_folder::{Labelled, content, shuffled},
    tree::Tree,
};
use crate::TrainError;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const IMAGE_SIZE: u32 = 64;
const CLASSES: usize = 200;
const TRAIN: usize = 100_000;
const TEST: usize = 10_000;
/// As many training images or fewer are a few in the official layout, and any number will do.
const FEW: usize = 1_000;

/// The folder `tiny-imagenet-200`, the folder that holds it, or an archive of it.
pub(super) fn read(path: &Path) -> Result<Content, TrainError> {
    let tree = Tree::open(path)?;
    let wrong = |problem| TrainError::Dataset { path: tree.root.clone(), problem };
    let (ids, words) = (tree.text("wnids.txt")?, tree.text("words.txt")?);
    let ids: BTreeSet<&str> = ids.split_whitespace().collect();
    if !(2..=CLASSES).contains(&ids.len()) {
        return Err(wrong(format!("wnids.txt names {} classes; as published it names {CLASSES}", ids.len())));
    }
    let labels: BTreeMap<&str, u8> = ids.iter().copied().zip(0..=u8::MAX).collect();
    let words: BTreeMap<&str, &str> = words.lines().filter_map(|line| line.trim().split_once('\t')).collect();
    // "goldfish, Carassius auratus": the first name is the plain one.
    let names = ids.iter().map(|id| words.get(id).and_then(|names| names.split(',').next()).unwrap_or(id).trim());
    let class_names = class_names::shown(names).map_err(wrong)?;

    let labelled = tree.pictures("train").map(|picture| {
        let id = picture.components().nth(1).and_then(|id| id.as_os_str().to_str());
        let label = id.and_then(|id| labels.get(id).copied());
        let unknown = || wrong(format!("{} is of no class that wnids.txt names", picture.display()));
        label.map(|label| (picture, label)).ok_or_else(unknown)
    });
    let train = labelled.collect::<Result<Labelled<'_>, TrainError>>()?;
    let seen: BTreeSet<u8> = train.iter().map(|(_, label)| *label).collect();
    if let Some((id, _)) = labels.iter().find(|(_, label)| !seen.contains(label)) {
        return Err(wrong(format!("holds no images in train/{id}")));
    }
    let annotations = tree.text("val/val_annotations.txt")?;
    let annotated: Vec<(String, u8)> = annotations
        .lines()
        .zip(1..)
        .map(|(line, number)| {
            let mut parts = line.split('\t');
            let said = parts.next().zip(parts.next()).and_then(|(file, id)| Some((file, *labels.get(id)?)));
            let (file, label) =
                said.ok_or_else(|| wrong(format!("line {number} of val_annotations.txt names no file and its class")))?;
            Ok((format!("val/images/{file}"), label))
        })
        .collect::<Result<_, TrainError>>()?;
    let missing = annotated.iter().filter(|(file, _)| !tree.has(Path::new(file))).count();
    if missing > 0 || annotated.is_empty() {
        let problem =
            format!("val/images lacks {missing} of the {} files that val_annotations.txt names", annotated.len());
        return Err(wrong(problem));
    }
    // An archive that was cut, or a folder that was copied in part, is no smaller data set.
    if train.len() > FEW && (ids.len(), train.len(), annotated.len()) != (CLASSES, TRAIN, TEST) {
        return Err(wrong(format!(
            "holds {} training and {} validation images of {} classes; as published {TRAIN} and {TEST} of {CLASSES}",
            train.len(),
            annotated.len(),
            ids.len()
        )));
    }
    let test: Labelled<'_> = annotated.iter().map(|(file, label)| (Path::new(file.as_str()), *label)).collect();
    content(&tree, &shuffled(&train), &test, IMAGE_SIZE, class_names)
}
