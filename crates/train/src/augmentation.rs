//! Which images a step sees, and how: batch order, random crop and flip, normalisation. Each is a function of seed, epoch and
//! image alone, so that nothing needs to be remembered to resume.

use crate::{
    checkpoint::{Metadata, numbers},
    dataset::{Images, Split},
    random::{Purpose, stream},
};
use study::{Augmentation, Epoch, Seed};

/// Pixels an image is padded by on each side before it is cropped back.
pub const PADDING: u32 = 4;

/// The order in which the `n` training images are taken in the epoch that follows `complete` epochs.
pub fn order(seed: Seed, complete: Epoch, n: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    stream(seed, Purpose::BatchOrder, complete, 0).shuffle(&mut order);
    order
}

/// One way of looking at an image: cropped out of its padded self, then perhaps mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    /// Rows and columns of the padded image left out before the crop, 0 to twice [`PADDING`].
    pub top: u32,
    pub left: u32,
    /// Left to right.
    pub mirrored: bool,
}

impl View {
    /// The image as it is.
    pub const PLAIN: View = View { top: PADDING, left: PADDING, mirrored: false };

    /// Its place among all views of an image that `augmentation` draws from, [`study::teacher_logits::views`] in number.
    pub fn index(self, augmentation: Augmentation) -> u32 {
        let crop = self.top * (2 * PADDING + 1) + self.left;
        match augmentation {
            Augmentation::None => 0,
            Augmentation::Crop => crop,
            Augmentation::CropFlip => 2 * crop + u32::from(self.mirrored),
        }
    }
}

/// How the training image `index` is seen in the epoch that follows `complete` epochs. `index` counts in the training split,
/// not in the batch.
pub fn view(augmentation: Augmentation, seed: Seed, complete: Epoch, index: u32) -> View {
    if augmentation == Augmentation::None {
        return View::PLAIN;
    }
    let mut stream = stream(seed, Purpose::Augmentation, complete, u64::from(index));
    let (top, left) = (stream.below(2 * PADDING + 1), stream.below(2 * PADDING + 1));
    let mirrored = augmentation == Augmentation::CropFlip && stream.uniform() < 0.5;
    View { top, left, mirrored }
}

/// `(byte / 255 − mean) / deviation` for each channel and byte, with the training split's mean and deviation.
#[derive(Clone)]
pub struct Normalisation {
    by_channel: Vec<[f32; 256]>,
    image_size: usize,
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Normalisation {
    pub fn of(images: &Images) -> Normalisation {
        Normalisation::new(images.mean.clone(), images.deviation.clone(), images.facts.image_size as usize)
    }

    fn new(mean: Vec<f32>, deviation: Vec<f32>, image_size: usize) -> Normalisation {
        let by_channel = mean.iter().zip(&deviation).map(|(mean, deviation)| {
            std::array::from_fn(|byte| ((byte as f64 / 255.0 - f64::from(*mean)) / f64::from(*deviation)) as f32)
        });
        Normalisation { by_channel: by_channel.collect(), image_size, mean, deviation }
    }

    /// As a weights file says of itself; `None` where it does not.
    pub(crate) fn said(metadata: &Metadata, image_size: usize) -> Option<Normalisation> {
        Some(Normalisation::new(numbers(metadata, "mean")?, numbers(metadata, "deviation")?, image_size))
    }

    /// By channel, of pixel values from 0 to 1: what is taken off, and what that is divided by.
    pub(crate) fn statistics(&self) -> [&[f32]; 2] {
        [&self.mean, &self.deviation]
    }

    /// Writes one image as `view` shows it. `image` and `out`: (channels, size, size). The padding reflects: the pixels beside
    /// the border are mirrored, the border itself is not repeated (PyTorch's `reflect`).
    pub fn render(&self, image: &[u8], view: View, out: &mut [f32]) {
        let size = self.image_size;
        let column =
            |column| reflected(if view.mirrored { size - 1 - column } else { column } + view.left as usize, size);
        let columns: Vec<usize> = (0..size).map(column).collect();
        let planes = image.chunks_exact(size * size).zip(out.chunks_exact_mut(size * size));
        for ((plane, out), values) in planes.zip(&self.by_channel) {
            for (row, out) in out.chunks_exact_mut(size).enumerate() {
                let start = reflected(row + view.top as usize, size) * size;
                let row = &plane[start..start + size];
                for (out, &column) in out.iter_mut().zip(&columns) {
                    *out = values[usize::from(row[column])];
                }
            }
        }
    }

    /// Writes the images `indices` of a split, each as its view shows it. `out`: (indices, channels, size, size).
    pub fn render_batch(&self, split: &Split, indices: &[u32], views: &[View], out: &mut [f32]) {
        let values = self.by_channel.len() * self.image_size * self.image_size;
        for ((&index, view), out) in indices.iter().zip(views).zip(out.chunks_exact_mut(values)) {
            self.render(&split.images[index as usize * values..][..values], *view, out);
        }
    }

    /// Writes images as they are. `images` and `out`: (n, channels, size, size).
    pub fn plain(&self, images: &[u8], out: &mut [f32]) {
        let pixels = self.image_size * self.image_size;
        let planes = images.chunks_exact(pixels).zip(out.chunks_exact_mut(pixels));
        for ((plane, out), values) in planes.zip(self.by_channel.iter().cycle()) {
            for (out, byte) in out.iter_mut().zip(plane) {
                *out = values[usize::from(*byte)];
            }
        }
    }
}

/// Where position `padded` of the padded image lies in an image of `size` > [`PADDING`] pixels.
fn reflected(padded: usize, size: usize) -> usize {
    let position = padded.abs_diff(PADDING as usize);
    let beyond_zero = padded < PADDING as usize;
    if beyond_zero || position < size { position } else { 2 * (size - 1) - position }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use study::{Dataset, DatasetFacts};

    /// Two channels of 5 × 5 pixels, each pixel with its own value.
    fn images() -> Images {
        let train = Split { images: (0..50).collect::<Vec<u8>>().into(), labels: vec![0].into() };
        Images {
            facts: DatasetFacts {
                dataset: Dataset::Mnist,
                checksum: String::new(),
                classes: 10,
                channels: 2,
                image_size: 5,
                train: 1,
                validation: 0,
                test: 0,
            },
            train,
            validation: Split::default(),
            test: Split::default(),
            mean: vec![0.0, 0.1],
            deviation: vec![1.0, 0.5],
            class_names: vec![],
        }
    }

    fn rendered(view: View) -> Vec<f32> {
        let images = images();
        let mut out = vec![f32::NAN; 50];
        Normalisation::of(&images).render(&images.train.images, view, &mut out);
        out
    }

    /// The bytes that the first channel's numbers stand for: its mean is 0 and its deviation 1.
    fn bytes(normalised: &[f32]) -> Vec<u8> {
        normalised.iter().map(|value| (value * 255.0).round() as u8).collect()
    }

    #[test]
    fn the_middle_crop_is_the_image_itself_normalised_by_channel() {
        let images = images();
        let mut plain = vec![f32::NAN; 50];
        Normalisation::of(&images).plain(&images.train.images, &mut plain);
        assert_eq!(rendered(View::PLAIN), plain);
        assert_eq!(bytes(&plain[..25]), (0..25).collect::<Vec<u8>>());
        assert!((plain[49] - (49.0 / 255.0 - 0.1) / 0.5).abs() < 1e-6);
    }

    /// `torch.nn.functional.pad(torch.arange(25.).reshape(1, 1, 5, 5), (4, 4, 4, 4), mode="reflect")[0, 0, :5, :5]` begins with
    /// the rows 24 23 22 21 20 and 19 18 17 16 15; `[8:, 8:]` begins with 24 23 22 21 20 as well.
    #[test]
    fn the_padding_reflects_without_repeating_the_border() {
        let corner = rendered(View { top: 0, left: 0, mirrored: false });
        assert_eq!(bytes(&corner[..10]), [24, 23, 22, 21, 20, 19, 18, 17, 16, 15]);
        let opposite = rendered(View { top: 8, left: 8, mirrored: false });
        assert_eq!(bytes(&opposite[..10]), [24, 23, 22, 21, 20, 19, 18, 17, 16, 15]);
        let right = rendered(View { top: 4, left: 6, mirrored: false });
        assert_eq!(bytes(&right[..5]), [2, 3, 4, 3, 2]);
    }

    #[test]
    fn mirroring_turns_the_crop_around() {
        let view = View { top: 1, left: 7, mirrored: false };
        let (straight, mirrored) = (rendered(view), rendered(View { mirrored: true, ..view }));
        for (straight, mirrored) in straight.chunks(5).zip(mirrored.chunks(5)) {
            assert_eq!(straight.iter().rev().collect::<Vec<_>>(), mirrored.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn views_are_keyed_by_seed_epoch_and_image_and_cover_all_there_are() {
        let of = |seed, epoch, index| view(Augmentation::CropFlip, Seed(seed), Epoch(epoch), index);
        assert_eq!(of(1, 2, 3), of(1, 2, 3));
        let differing = |other: &dyn Fn(u32) -> View| (0..100).filter(|&index| of(0, 0, index) != other(index)).count();
        assert!(differing(&|index| of(1, 0, index)) > 90);
        assert!(differing(&|index| of(0, 1, index)) > 90);
        assert!(differing(&|index| of(0, 0, index + 100)) > 90);
        let seen: BTreeSet<View> = (0..5_000).map(|index| of(0, 0, index)).collect();
        assert_eq!(seen.len(), 9 * 9 * 2);
        assert!(seen.iter().all(|view| view.top <= 8 && view.left <= 8));
    }

    #[test]
    fn digits_are_cropped_the_same_way_but_never_mirrored_and_nothing_is_cropped_unasked() {
        for index in 0..100 {
            let flipped = view(Augmentation::CropFlip, Seed(0), Epoch(0), index);
            let cropped = view(Augmentation::Crop, Seed(0), Epoch(0), index);
            assert_eq!(cropped, View { mirrored: false, ..flipped });
            assert_eq!(view(Augmentation::None, Seed(0), Epoch(0), index), View::PLAIN);
        }
    }

    #[test]
    fn each_view_has_a_place_of_its_own_among_all_there_are() {
        for augmentation in [Augmentation::None, Augmentation::Crop, Augmentation::CropFlip] {
            let drawn = (0..5_000).map(|index| view(augmentation, Seed(0), Epoch(0), index));
            let places: BTreeMap<View, u32> = drawn.map(|view| (view, view.index(augmentation))).collect();
            let distinct: BTreeSet<u32> = places.values().copied().collect();
            assert!(distinct.iter().copied().eq(0..study::teacher_logits::views(augmentation)));
            assert_eq!(places.len(), distinct.len());
        }
    }

    #[test]
    fn every_epoch_takes_every_image_once_in_an_order_of_its_own() {
        let first = order(Seed(0), Epoch(0), 1_000);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1_000).collect::<Vec<_>>());
        assert_eq!(first, order(Seed(0), Epoch(0), 1_000));
        assert_ne!(first, order(Seed(0), Epoch(1), 1_000));
        assert_ne!(first, order(Seed(1), Epoch(0), 1_000));
    }
}
