//! Evaluation: running statistics, a few images through the whole network at a time. What an image gives does not depend on
//! the batch it comes in, nor on the number of threads.

use std::ops::Range;
use std::ptr::null;

use crate::attention::{self, GROUPS};
use crate::head;
use crate::instances::Kernels;
use crate::layout::pad_image;
use crate::network::{Body, EVALUATED_TOGETHER};
use crate::parts::PartMut;
use crate::threads::{FlushToZero, SharedPointer};
use crate::winograd::Scratch;
use crate::{Blocks, Network, dense, post_activation, pre_activation};

/// Images that go through the network together, and what the thread that takes them works in.
pub(crate) struct Company<'a> {
    pub(crate) kernels: &'a Kernels,
    pub(crate) scratch: &'a Scratch,
    /// From 0 on.
    pub(crate) images: Range<usize>,
    /// Room for so many of the largest activation, three times. In the first lies what the first convolution gave.
    pub(crate) plain: [*mut f32; 3],
}

impl Network {
    /// Evaluation mode: logits (n, classes) of `images` (n, channels, size, size), for any n.
    ///
    /// # Panics
    /// Where `images` is not whole images.
    pub fn evaluate(&mut self, images: &[f32]) -> Vec<f32> {
        self.evaluate_to(images, None)
    }

    /// As [`Network::evaluate`], and the attention maps of these images, one for each group: (n, pixels).
    ///
    /// # Panics
    /// Where `images` is not whole images.
    pub fn evaluate_with_attention(&mut self, images: &[f32]) -> (Vec<f32>, [Vec<f32>; GROUPS]) {
        let batch = images.len() / self.shape.image_len();
        let mut maps = self.shape.attention_pixels().map(|pixels| vec![0.0; batch * pixels]);
        (self.evaluate_to(images, Some(&mut maps)), maps)
    }

    /// Where `maps` are asked for, they have room for those of all images.
    fn evaluate_to(&mut self, images: &[f32], maps: Option<&mut [Vec<f32>; GROUPS]>) -> Vec<f32> {
        let _flushed = FlushToZero::new();
        let image_len = self.shape.image_len();
        assert!(images.len().is_multiple_of(image_len), "images must be whole");
        let batch = images.len() / image_len;
        for part in self.parts_mut() {
            if let PartMut::Norm(norm) = part {
                norm.use_running();
            }
        }
        self.transform();
        let Network { shape, kernels, threads, first, body, norm, linear, spaces, .. } = self;
        let (first, body, norm, linear) = (&*first, &*body, &*norm, &*linear);
        let mut logits = vec![0.0; batch * shape.classes];
        let to = SharedPointer::new(&mut logits);
        let maps = maps.map(|maps| maps.each_mut().map(|map| SharedPointer::new(map)));
        let spaces: Vec<_> = spaces
            .iter_mut()
            .map(|space| {
                let plain = space.plain.each_mut().map(|buffer| SharedPointer::new(buffer));
                (space.convolutions.pointers(), plain)
            })
            .collect();
        let size = shape.image_size;
        let padded_len = shape.channels * (size + 2) * (size + 2);
        let attention_pixels = shape.attention_pixels();
        threads.run(batch.div_ceil(EVALUATED_TOGETHER), &|chunk, thread| {
            let first_image = chunk * EVALUATED_TOGETHER;
            let together = 0..EVALUATED_TOGETHER.min(batch - first_image);
            // SAFETY: each thread has its own space, made for so many of the largest activation, and each image its own logits and
            // maps; the instruction set is available.
            unsafe {
                let (scratch, plain) = &spaces[thread];
                let plain = plain.map(|plain| plain.at(0));
                let padded = std::slice::from_raw_parts_mut(scratch.padded[0].at(0), padded_len);
                padded.fill(0.0);
                for image in together.clone() {
                    pad_image(&images[(first_image + image) * image_len..][..image_len], shape.channels, size, padded);
                    let output = plain[0].add(image * first.geometry.output_stride);
                    (kernels.convolve)(
                        &first.geometry.forward,
                        padded.as_ptr(),
                        first.weights.as_ptr(),
                        output,
                        null(),
                    );
                }
                let seen = |block: usize, output: *const f32| {
                    let Some((group, maps)) = shape.group_ended_by(block).zip(maps) else { return };
                    let (pixels, channels) = (attention_pixels[group], shape.group_channels[group]);
                    let len = match body {
                        Body::PreActivation(_) | Body::PostActivation(_) => pixels * channels,
                        Body::Dense(groups) => groups[group].stride(),
                    };
                    for image in together.clone() {
                        let map = maps[group].at((first_image + image) * pixels);
                        let output = std::slice::from_raw_parts(output.add(image * len), len);
                        attention::mean_of_squares(output, channels, std::slice::from_raw_parts_mut(map, pixels));
                    }
                };
                let company = Company { kernels, scratch, images: together.clone(), plain };
                let output = match body {
                    Body::PreActivation(blocks) => pre_activation::evaluate(&company, blocks, seen),
                    Body::PostActivation(blocks) => post_activation::evaluate(&company, blocks, norm, seen),
                    Body::Dense(groups) => dense::evaluate(&company, groups, seen),
                };
                let (features, pixels) = (linear.features, shape.pooled_pixels());
                let pooled = std::slice::from_raw_parts_mut(scratch.padded[0].at(0), features);
                for image in together {
                    let output = std::slice::from_raw_parts(output.add(image * features * pixels), features * pixels);
                    match shape.blocks {
                        Blocks::PreActivation | Blocks::Dense | Blocks::DenseBottleneck => {
                            head::pool(output, pixels, &norm.running_scale, &norm.running_shift, pooled);
                        }
                        Blocks::PostActivation => head::means(output, pixels, pooled),
                    }
                    let logits = to.at((first_image + image) * shape.classes);
                    linear.forward(pooled, std::slice::from_raw_parts_mut(logits, shape.classes));
                }
            }
        });
        logits
    }
}
