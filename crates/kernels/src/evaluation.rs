//! Evaluation: running statistics, a few images through the whole network at a time. What an image gives does not depend on
//! the batch it comes in, nor on the number of threads.

use std::ptr::null;

use crate::WideResNet;
use crate::attention::{self, GROUPS};
use crate::head;
use crate::layer::Source;
use crate::layout::pad_image;
use crate::network::EVALUATED_TOGETHER;
use crate::norm::Norm;
use crate::threads::{FlushToZero, SharedPointer};
use crate::winograd::{Finish, Target};

impl WideResNet {
    /// Evaluation mode: logits (n, classes) of `images` (n, channels, size, size), for any n.
    ///
    /// # Panics
    /// Where `images` is not whole images.
    pub fn evaluate(&mut self, images: &[f32]) -> Vec<f32> {
        self.evaluate_to(images, None)
    }

    /// As [`WideResNet::evaluate`], and the attention maps of these images, one for each group: (n, pixels).
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
        for block in &mut self.blocks {
            block.norm1.use_running();
            block.norm2.use_running();
        }
        self.last.use_running();
        self.transform();
        let WideResNet { shape, kernels, threads, first, blocks, last, linear, spaces, .. } = self;
        let (first, blocks, last, linear) = (&*first, &*blocks, &*last, &*linear);
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
        threads.run(batch.div_ceil(EVALUATED_TOGETHER), &|some, thread| {
            let first_image = some * EVALUATED_TOGETHER;
            let together = 0..EVALUATED_TOGETHER.min(batch - first_image);
            // SAFETY: each thread has its own space, made for so many of the largest activation, and each image its own logits and
            // maps; the instruction set is available.
            unsafe {
                let (scratch, plain) = &spaces[thread];
                let [mut input, middle, mut output] = plain.map(|plain| plain.at(0));
                let padded = std::slice::from_raw_parts_mut(scratch.padded[0].at(0), padded_len);
                padded.fill(0.0);
                for image in together.clone() {
                    pad_image(&images[(first_image + image) * image_len..][..image_len], shape.channels, size, padded);
                    let output = input.add(image * first.geometry.output_len());
                    (kernels.convolve)(
                        &first.geometry.forward,
                        padded.as_ptr(),
                        first.weights.as_ptr(),
                        output,
                        null(),
                    );
                }
                for (index, block) in blocks.iter().enumerate() {
                    let source = running(&block.norm1, input);
                    let (scale, shift) = (block.norm2.running_scale.as_ptr(), block.norm2.running_shift.as_ptr());
                    // Where the convolution can, it does what its batch norm and ReLU would.
                    let (finish, middle_source) = match block.convolution1.geometry.winograd {
                        Some(_) => (Finish::Rectified { scale, shift }, Source::Plain(middle)),
                        None => (Finish::Stored, running(&block.norm2, middle)),
                    };
                    let to = Target { start: null(), output: middle, finish };
                    block.convolution1.forward(kernels, scratch, together.clone(), &source, &to);
                    let mut start = input;
                    if let Some(shortcut) = &block.shortcut {
                        let to = Target { start: null(), output, finish: Finish::Stored };
                        shortcut.forward(kernels, scratch, together.clone(), &source, &to);
                        start = output;
                    }
                    let to = Target { start, output, finish: Finish::Stored };
                    block.convolution2.forward(kernels, scratch, together.clone(), &middle_source, &to);
                    std::mem::swap(&mut input, &mut output);
                    if let Some((group, maps)) = shape.group_ended_by(index).zip(maps) {
                        let (pixels, len) = (attention_pixels[group], block.convolution1.geometry.output_len());
                        for image in together.clone() {
                            let map = maps[group].at((first_image + image) * pixels);
                            let plain = std::slice::from_raw_parts(input.add(image * len), len);
                            attention::mean_of_squares(plain, std::slice::from_raw_parts_mut(map, pixels));
                        }
                    }
                }
                let features = shape.features();
                let pixels = (size / 4) * (size / 4);
                let pooled = std::slice::from_raw_parts_mut(scratch.padded[0].at(0), features);
                for image in together {
                    let activation =
                        std::slice::from_raw_parts(input.add(image * features * pixels), features * pixels);
                    head::pool(activation, pixels, &last.running_scale, &last.running_shift, pooled);
                    let logits = to.at((first_image + image) * shape.classes);
                    linear.forward(pooled, std::slice::from_raw_parts_mut(logits, shape.classes));
                }
            }
        });
        logits
    }
}

/// What a convolution reads after a batch norm of running statistics.
fn running(norm: &Norm, input: *const f32) -> Source {
    Source::Normalised { input, scale: norm.running_scale.as_ptr(), shift: norm.running_shift.as_ptr() }
}
