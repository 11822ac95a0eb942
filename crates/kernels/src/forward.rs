//! The forward pass of a training step: batch statistics, activations kept for the backward pass.

use std::ops::Range;
use std::ptr::null;

use crate::WideResNet;
use crate::buffer::BLOCK;
use crate::head;
use crate::layout::pad_image;
use crate::network::parts;
use crate::norm::Sums;
use crate::threads::{FlushToZero, SharedPointer, Threads};

impl WideResNet {
    /// Training mode: logits (n, classes) of `images` (n, channels, size, size), normalised by the batch's own
    /// statistics; running statistics move.
    ///
    /// # Panics
    /// Where `images` is empty, not whole images, or more than `batch_max`; on a network made for evaluation.
    pub fn forward(&mut self, images: &[f32]) -> &[f32] {
        let _flushed = FlushToZero::new();
        let WideResNet { shape, kernels, threads, first, blocks, last, linear, scratch, training, .. } = self;
        let training = training.as_mut().expect("a network made for evaluation does not train");
        let image_len = shape.image_len();
        assert!(images.len().is_multiple_of(image_len), "images must be whole");
        let batch = images.len() / image_len;
        assert!(
            (1..=training.batch_max).contains(&batch),
            "a batch has 1 to {} images, not {batch}",
            training.batch_max
        );
        training.batch = batch;
        training.images[..images.len()].copy_from_slice(images);

        let (parts, _) = parts(batch);
        let padded: Vec<_> = scratch.iter_mut().map(|scratch| SharedPointer::new(&mut scratch.padded[0])).collect();
        let sums = SharedPointer::new(&mut training.sums);
        let size = shape.image_size;
        let (channels, padded_len) = (shape.channels, shape.channels * (size + 2) * (size + 2));
        let output = SharedPointer::new(&mut training.inputs[0]);
        let output_len = first.geometry.output_len();
        each_part(threads, batch, &|part, thread, range| {
            // SAFETY: each thread has its own scratch, each part its own sums, each image its own stretch of the output, all made
            // for these lengths; the instruction set is available.
            unsafe {
                let sums = own_sums(sums, part, BLOCK);
                let padded = std::slice::from_raw_parts_mut(padded[thread].at(0), padded_len);
                padded.fill(0.0);
                for image in range {
                    pad_image(&images[image * image_len..][..image_len], channels, size, padded);
                    let output = output.at(image * output_len);
                    (kernels.convolve)(
                        &first.geometry.forward,
                        padded.as_ptr(),
                        first.weights.as_ptr(),
                        output,
                        null(),
                    );
                    (kernels.statistics)(output, 1, size * size, sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                }
            }
        });

        for (index, block) in blocks.iter_mut().enumerate() {
            let (size, output_size) =
                (block.convolution1.geometry.input_size, block.convolution1.geometry.output_size());
            let input_blocks = block.norm1.channels / BLOCK;
            let (input_len, output_len) =
                (block.norm1.channels * size * size, block.convolution1.geometry.output_len());
            let output_blocks = block.norm2.channels / BLOCK;
            block.norm1.use_batch(&training.sums[..parts], batch * size * size);
            let (before, after) = training.inputs.split_at_mut(index + 1);
            let input = SharedPointer::new(&mut before[index]);
            let output = SharedPointer::new(&mut after[0]);
            let middle = SharedPointer::new(&mut training.middles[index]);
            let sums = SharedPointer::new(&mut training.sums);
            {
                let block = &*block;
                each_part(threads, batch, &|part, thread, range| {
                    // SAFETY: as above; the shortcut's output is this image's own stretch too.
                    unsafe {
                        let sums = own_sums(sums, part, block.norm2.channels);
                        let padded = padded[thread].at(0);
                        for image in range {
                            let norm = &block.norm1;
                            (kernels.normalise_padded)(
                                input.at(image * input_len),
                                padded,
                                input_blocks,
                                size,
                                norm.scale.as_ptr(),
                                norm.shift.as_ptr(),
                            );
                            let layer = &block.convolution1;
                            let middle = middle.at(image * output_len);
                            (kernels.convolve)(&layer.geometry.forward, padded, layer.weights.as_ptr(), middle, null());
                            if let Some(layer) = &block.shortcut {
                                let output = output.at(image * output_len);
                                (kernels.convolve)(
                                    &layer.geometry.forward,
                                    padded,
                                    layer.weights.as_ptr(),
                                    output,
                                    null(),
                                );
                            }
                            let pixels = output_size * output_size;
                            let (first, second) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                            (kernels.statistics)(middle, output_blocks, pixels, first, second);
                        }
                    }
                });
            }
            block.norm2.use_batch(&training.sums[..parts], batch * output_size * output_size);
            let sums = SharedPointer::new(&mut training.sums);
            let block = &*block;
            each_part(threads, batch, &|part, thread, range| {
                // SAFETY: as above; where the output is its own start, each sum reads its place before it writes it.
                unsafe {
                    let sums = own_sums(sums, part, block.norm2.channels);
                    let padded = padded[thread].at(0);
                    for image in range {
                        let norm = &block.norm2;
                        (kernels.normalise_padded)(
                            middle.at(image * output_len),
                            padded,
                            output_blocks,
                            output_size,
                            norm.scale.as_ptr(),
                            norm.shift.as_ptr(),
                        );
                        let layer = &block.convolution2;
                        let output = output.at(image * output_len);
                        let start = if block.shortcut.is_some() { output } else { input.at(image * input_len) };
                        (kernels.convolve)(&layer.geometry.forward, padded, layer.weights.as_ptr(), output, start);
                        let pixels = output_size * output_size;
                        let (first, second) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                        (kernels.statistics)(output, output_blocks, pixels, first, second);
                    }
                }
            });
        }

        let pixels = (shape.image_size / 4) * (shape.image_size / 4);
        last.use_batch(&training.sums[..parts], batch * pixels);
        let features = shape.features();
        let output = training.inputs.last().expect("a network has blocks");
        let images = output.chunks_exact(features * pixels).take(batch);
        let pooled = training.pooled.chunks_exact_mut(features);
        for ((image, pooled), logits) in images.zip(pooled).zip(training.logits.chunks_exact_mut(shape.classes)) {
            head::pool(image, pixels, &last.scale, &last.shift, pooled);
            linear.forward(pooled, logits);
        }
        &training.logits[..batch * shape.classes]
    }
}

/// Calls `work(part, thread, images)` for each part of a batch.
pub(crate) fn each_part(threads: &Threads, batch: usize, work: &(dyn Fn(usize, usize, Range<usize>) + Sync)) {
    let (parts, images) = parts(batch);
    threads.run(parts, &|part, thread| work(part, thread, part * images..batch.min((part + 1) * images)));
}

/// A part's own sums, cleared for `channels` channels.
///
/// # Safety
/// `part` within the sums, and no other part of the region asks for the same.
pub(crate) unsafe fn own_sums<'a>(sums: SharedPointer<Sums>, part: usize, channels: usize) -> &'a mut Sums {
    // SAFETY: the caller's promise.
    let own = unsafe { &mut *sums.at(part) };
    own.clear(channels);
    own
}
