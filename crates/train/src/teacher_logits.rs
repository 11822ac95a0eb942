//! What a frozen teacher says of each view of each training image: a table in a file that is filled as it is asked for and shared by
//! all workers of a data folder, also by those at work at once.
//!
//! A slot for each (image, view) holds the logits and a check word that is a hash of them and of the slot's place, and never 0. An
//! empty slot, one that is just being written, one of which a page was lost with the power, and one that was damaged all fail the
//! check and are filled again. Two workers that fill one slot write the same words, so neither needs to wait for the other.

use crate::TrainError;
use crate::engine::instruction_set;
use crate::folder::make_folder;
use mapped::MappedWords;
use serde::Serialize;
use std::path::{Path, PathBuf};
use study::{Augmentation, CheckpointId, Segment, TRAINING_VERSION, teacher_logits};

/// Everything that decides the bits of a table. It stands at the beginning of the file, and its hash is the file's name.
#[derive(Serialize)]
struct Header<'a> {
    format: &'static str,
    training_version: u32,
    /// Each rounds in its own order.
    instruction_set: String,
    teacher: &'a CheckpointId,
    /// Of the weights file: a teacher that was trained on another machine may have other bits.
    weights_blake3: &'a str,
    /// Which images, and by which mean and deviation they are normalised.
    data_checksum: &'a str,
    training_images: u32,
    augmentation: Augmentation,
    views: u32,
    classes: u32,
}

/// The table of one teacher.
#[derive(Debug)]
pub struct TeacherLogits {
    words: MappedWords,
    views: usize,
    classes: usize,
    path: PathBuf,
}

impl TeacherLogits {
    /// Opens the table of a teacher for the images and augmentation of `segment` in `folder`, made where it is missing.
    /// `weights_digest`: blake3 of the teacher's weights file.
    ///
    /// # Errors
    /// The folder cannot be written to, the disk is full.
    pub fn open(
        folder: &Path,
        segment: &Segment,
        teacher: &CheckpointId,
        weights_digest: &str,
    ) -> Result<TeacherLogits, TrainError> {
        let (images, classes) = (segment.dataset.train, segment.dataset.classes);
        let views = teacher_logits::views(segment.augmentation);
        let header = Header {
            format: "stillroom teacher logits 1",
            training_version: TRAINING_VERSION,
            instruction_set: instruction_set(),
            teacher,
            weights_blake3: weights_digest,
            data_checksum: &segment.dataset.checksum,
            training_images: images,
            augmentation: segment.augmentation,
            views,
            classes,
        };
        let failed = |path: &Path, source| TrainError::Io { doing: "open", path: path.into(), source };
        let header = serde_json::to_vec(&header).map_err(|error| failed(folder, error.into()))?;
        let path = folder.join(format!("{}.logits", &blake3::hash(&header).to_hex()[..32]));
        make_folder(folder)?;
        let words = images as usize * views as usize * teacher_logits::slot_words(classes);
        let words = MappedWords::open(&path, &header, words).map_err(|source| failed(&path, source))?;
        Ok(TeacherLogits { words, views: views as usize, classes: classes as usize, path })
    }

    /// Reads what the teacher says of a view of an image into `logits`, `classes` in number; `false` where that is not known.
    ///
    /// # Panics
    /// Where there is no such image or view.
    pub fn get(&self, image: u32, view: u32, logits: &mut [f32]) -> bool {
        let slot = self.slot(image, view);
        let mut words = vec![0; self.classes + 1];
        self.words.read(slot * words.len(), &mut words);
        let (found, kept) = words.split_at(self.classes);
        if kept[0] != check(slot, found) {
            return false;
        }
        for (logit, word) in logits.iter_mut().zip(found) {
            *logit = f32::from_bits(*word);
        }
        true
    }

    /// Keeps what the teacher says of a view of an image.
    ///
    /// # Errors
    /// The disk is full.
    pub fn put(&self, image: u32, view: u32, logits: &[f32]) -> Result<(), TrainError> {
        let slot = self.slot(image, view);
        let mut words: Vec<u32> = logits.iter().map(|logit| logit.to_bits()).collect();
        words.push(check(slot, &words));
        let put = self.words.write(slot * words.len(), &words);
        put.map_err(|source| TrainError::Io { doing: "write to", path: self.path.clone(), source })
    }

    fn slot(&self, image: u32, view: u32) -> usize {
        assert!((view as usize) < self.views, "a view is one of those that are drawn");
        image as usize * self.views + view as usize
    }
}

/// Whose logits a file holds, as its header says; `None` where it is no table.
pub fn teacher_of(path: &Path) -> Option<CheckpointId> {
    let header: serde_json::Value = serde_json::from_slice(&MappedWords::header(path).ok()?).ok()?;
    serde_json::from_value(header.get("teacher")?.clone()).ok()
}

/// A hash of a slot's place and words that is never 0, which is what an empty slot has in its stead.
fn check(slot: usize, words: &[u32]) -> u32 {
    let mix = |hash: u32, word: u32| {
        let mixed = (hash ^ word).wrapping_mul(0x9e37_79b1);
        mixed ^ (mixed >> 15)
    };
    words.iter().fold(mix(1, slot as u32), |hash, word| mix(hash, *word)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_word_tells_other_words_other_places_and_nothing_at_all() {
        let words = [1.5f32, -2.25, 0.0].map(f32::to_bits);
        assert_ne!(check(0, &words), check(1, &words));
        assert_ne!(check(0, &[0; 3]), 0);
        let mut torn = words;
        for word in 0..3 {
            for bit in 0..32 {
                torn[word] ^= 1 << bit;
                assert_ne!(check(7, &torn), check(7, &words), "bit {bit} of word {word}");
                torn[word] = words[word];
            }
        }
    }
}
