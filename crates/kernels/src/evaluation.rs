//! Evaluation: running statistics, one image through the whole network at a time. What an image gives does not depend on
//! the batch it comes in, nor on the number of threads.

use std::ptr::null;

use crate::WideResNet;
use crate::buffer::BLOCK;
use crate::head;
use crate::layout::pad_image;
use crate::threads::{FlushToZero, SharedPointer};

impl WideResNet {
    /// Evaluation mode: logits (n, classes) of `images` (n, channels, size, size), for any n.
    ///
    /// # Panics
    /// Where `images` is not whole images.
    pub fn evaluate(&mut self, images: &[f32]) -> Vec<f32> {
        let _flushed = FlushToZero::new();
        let image_len = self.shape.image_len();
        assert!(images.len().is_multiple_of(image_len), "images must be whole");
        let batch = images.len() / image_len;
        for block in &mut self.blocks {
            block.norm1.use_running();
            block.norm2.use_running();
        }
        self.last.use_running();
        let WideResNet { shape, kernels, threads, first, blocks, last, linear, scratch, .. } = self;
        let (first, blocks, last, linear) = (&*first, &*blocks, &*last, &*linear);
        let mut logits = vec![0.0; batch * shape.classes];
        let to = SharedPointer::new(&mut logits);
        let scratch: Vec<_> = scratch
            .iter_mut()
            .map(|scratch| {
                let [padded, image, pooled] = scratch.padded.each_mut().map(|buffer| SharedPointer::new(buffer));
                (padded, image, pooled, scratch.plain.each_mut().map(|buffer| SharedPointer::new(buffer)))
            })
            .collect();
        let size = shape.image_size;
        let padded_len = shape.channels * (size + 2) * (size + 2);
        threads.run(batch, &|image, thread| {
            // SAFETY: each thread has its own scratch, made for the largest activation, and each image its own logits; the
            // instruction set is available.
            unsafe {
                let (padded, padded_image, pooled, plain) = &scratch[thread];
                let padded = padded.at(0);
                let [mut input, middle, mut output] = plain.map(|plain| plain.at(0));
                let padded_image = std::slice::from_raw_parts_mut(padded_image.at(0), padded_len);
                padded_image.fill(0.0);
                pad_image(&images[image * image_len..][..image_len], shape.channels, size, padded_image);
                let sweep = &first.geometry.forward;
                (kernels.convolve)(sweep, padded_image.as_ptr(), first.weights.as_ptr(), input, null());
                for block in blocks {
                    let (layer, norm) = (&block.convolution1, &block.norm1);
                    let (size, output_size) = (layer.geometry.input_size, layer.geometry.output_size());
                    let (scale, shift) = (norm.running_scale.as_ptr(), norm.running_shift.as_ptr());
                    (kernels.normalise_padded)(input, padded, norm.channels / BLOCK, size, scale, shift);
                    (kernels.convolve)(&layer.geometry.forward, padded, layer.weights.as_ptr(), middle, null());
                    let mut start = input;
                    if let Some(layer) = &block.shortcut {
                        (kernels.convolve)(&layer.geometry.forward, padded, layer.weights.as_ptr(), output, null());
                        start = output;
                    }
                    let (layer, norm) = (&block.convolution2, &block.norm2);
                    let (scale, shift) = (norm.running_scale.as_ptr(), norm.running_shift.as_ptr());
                    (kernels.normalise_padded)(middle, padded, norm.channels / BLOCK, output_size, scale, shift);
                    (kernels.convolve)(&layer.geometry.forward, padded, layer.weights.as_ptr(), output, start);
                    std::mem::swap(&mut input, &mut output);
                }
                let features = shape.features();
                let pixels = (size / 4) * (size / 4);
                let pooled = std::slice::from_raw_parts_mut(pooled.at(0), features);
                let activation = std::slice::from_raw_parts(input, features * pixels);
                head::pool(activation, pixels, &last.running_scale, &last.running_shift, pooled);
                let logits = std::slice::from_raw_parts_mut(to.at(image * shape.classes), shape.classes);
                linear.forward(pooled, logits);
            }
        });
        logits
    }
}
