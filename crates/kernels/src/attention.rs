//! Attention maps (Zagoruyko & Komodakis 2017, "Paying more attention to attention"): where in an image a network is active.
//!
//! A group's map is at each pixel the mean over channels of its squared output `F`, what the next group reads: `M = Σ F² / C`. The
//! gradient that a loss on it has on the output is `dL/dM · 2F / C`.

use crate::buffer::BLOCK;
use crate::network::Body;
use crate::pass::each_part;
use crate::threads::{FlushToZero, SharedPointer};
use crate::{Network, Shape};

/// Groups of blocks in a network, each with an attention map.
pub const GROUPS: usize = 3;

impl Shape {
    /// Pixels of each group's attention map.
    pub fn attention_pixels(&self) -> [usize; GROUPS] {
        std::array::from_fn(|group| (self.image_size >> group).pow(2))
    }

    /// The group that ends with this block, counted from 0 through the network; `None` within a group.
    pub(crate) fn group_ended_by(&self, block: usize) -> Option<usize> {
        (block + 1).is_multiple_of(self.blocks_in_group).then_some(block / self.blocks_in_group)
    }
}

impl Network {
    /// The attention maps of the last [`Network::forward`]'s images, one for each group: (n, pixels).
    ///
    /// # Panics
    /// Before any `forward`, and on a network made for evaluation.
    pub fn attention(&mut self) -> [Vec<f32>; GROUPS] {
        let _flushed = FlushToZero::new();
        let training = self.training.as_ref().expect("a network made for evaluation keeps no activations");
        let batch = training.batch;
        assert!(batch > 0, "attention needs a forward pass before it");
        let pixels = self.shape.attention_pixels();
        std::array::from_fn(|group| {
            let (pixels, channels) = (pixels[group], self.shape.group_channels[group]);
            let output = match self.body {
                Body::PreActivation(_) | Body::PostActivation(_) => {
                    &training.inputs[(group + 1) * self.shape.blocks_in_group]
                }
                Body::Dense(_) => &training.inputs[group],
            };
            let len = output.len() / training.batch_max;
            let mut maps = vec![0.0; batch * pixels];
            let to = SharedPointer::new(&mut maps);
            each_part(&self.threads, batch, &|_, _, images| {
                for image in images {
                    // SAFETY: each image has its own map.
                    let map = unsafe { std::slice::from_raw_parts_mut(to.at(image * pixels), pixels) };
                    mean_of_squares(&output[image * len..][..len], channels, map);
                }
            });
            maps
        })
    }
}

/// One image's map from its plain activation of `channels` channels, and zeros where there are more.
pub(crate) fn mean_of_squares(plain: &[f32], channels: usize, map: &mut [f32]) {
    let (pixels, channels) = (map.len(), channels as f32);
    for (pixel, mean) in map.iter_mut().enumerate() {
        let mut sums = [0.0f32; BLOCK];
        for block in plain.chunks_exact(pixels * BLOCK) {
            for (sum, x) in sums.iter_mut().zip(&block[pixel * BLOCK..][..BLOCK]) {
                *sum += x * x;
            }
        }
        *mean = sums.iter().sum::<f32>() / channels;
    }
}

/// One image's gradient on its plain activation, from that on its map.
pub(crate) fn activation_gradient(map_gradient: &[f32], plain: &[f32], channels: usize, gradient: &mut [f32]) {
    let pixels = map_gradient.len();
    let share = 2.0 / channels as f32;
    let blocks = plain.chunks_exact(pixels * BLOCK).zip(gradient.chunks_exact_mut(pixels * BLOCK));
    for (plain, gradient) in blocks {
        let each = plain.chunks_exact(BLOCK).zip(gradient.chunks_exact_mut(BLOCK));
        for ((plain, gradient), map_gradient) in each.zip(map_gradient) {
            let factor = map_gradient * share;
            for (gradient, x) in gradient.iter_mut().zip(plain) {
                *gradient = factor * x;
            }
        }
    }
}
