//! The forward pass of a training step: batch statistics, activations kept for the backward pass.

use std::ops::Range;
use std::ptr::null;

use crate::WideResNet;
use crate::buffer::BLOCK;
use crate::head;
use crate::layer::Source;
use crate::layout::pad_image;
use crate::network::parts;
use crate::norm::{Norm, Sums};
use crate::threads::{FlushToZero, SharedPointer, Threads};
use crate::winograd::{Finish, Target};

impl WideResNet {
    /// Training mode: logits (n, classes) of `images` (n, channels, size, size), normalised by the batch's own
    /// statistics; running statistics move.
    ///
    /// # Panics
    /// Where `images` is empty, not whole images, or more than `batch_max`; on a network made for evaluation.
    pub fn forward(&mut self, images: &[f32]) -> &[f32] {
        let _flushed = FlushToZero::new();
        self.transform();
        let WideResNet { shape, kernels, threads, first, blocks, last, linear, spaces, training, .. } = self;
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
        let scratch: Vec<_> = spaces.iter_mut().map(|space| space.convolutions.pointers()).collect();
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
                let padded = std::slice::from_raw_parts_mut(scratch[thread].padded[0].at(0), padded_len);
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
            block.norm1.use_batch(&training.sums[..parts], batch * size * size);
            let (before, after) = training.inputs.split_at_mut(index + 1);
            let input = SharedPointer::new(&mut before[index]);
            let output = SharedPointer::new(&mut after[0]);
            let middle = SharedPointer::new(&mut training.middles[index]);
            let sums = SharedPointer::new(&mut training.sums);
            {
                let block = &*block;
                each_part(threads, batch, &|part, thread, images| {
                    // SAFETY: as above; the shortcut's output is this image's own stretch too.
                    unsafe {
                        let source = normalised(&block.norm1, input.at(0));
                        let finish = own_sums(sums, part, block.norm2.channels).of_outputs();
                        let to = Target { start: null(), output: middle.at(0), finish };
                        let (layer, scratch) = (&block.convolution1, &scratch[thread]);
                        let Some(shortcut) = &block.shortcut else {
                            return layer.forward(kernels, scratch, images, &source, &to);
                        };
                        let shortcut_to = Target { start: null(), output: output.at(0), finish: Finish::Stored };
                        // An image at a time, what a direct convolution read is still there for the shortcut.
                        let (step, again) = match layer.geometry.winograd {
                            Some(_) => (images.len(), &source),
                            None => (1, &Source::Padded),
                        };
                        for first in images.step_by(step) {
                            let some = first..first + step;
                            layer.forward(kernels, scratch, some.clone(), &source, &to);
                            shortcut.forward(kernels, scratch, some, again, &shortcut_to);
                        }
                    }
                });
            }
            block.norm2.use_batch(&training.sums[..parts], batch * output_size * output_size);
            let sums = SharedPointer::new(&mut training.sums);
            let block = &*block;
            each_part(threads, batch, &|part, thread, images| {
                // SAFETY: as above; where the output is its own start, each sum reads its place before it writes it.
                unsafe {
                    let source = normalised(&block.norm2, middle.at(0));
                    let start = if block.shortcut.is_some() { output.at(0) } else { input.at(0) };
                    let finish = own_sums(sums, part, block.norm2.channels).of_outputs();
                    let to = Target { start, output: output.at(0), finish };
                    block.convolution2.forward(kernels, &scratch[thread], images, &source, &to);
                }
            });
        }

        let pixels = (shape.image_size / 4) * (shape.image_size / 4);
        last.use_batch(&training.sums[..parts], batch * pixels);
        let features = shape.features();
        let output = training.inputs.last().expect("a network has blocks");
        let (pooled, logits) = (SharedPointer::new(&mut training.pooled), SharedPointer::new(&mut training.logits));
        let (last, linear) = (&*last, &*linear);
        each_part(threads, batch, &|_, _, images| {
            for image in images {
                // SAFETY: each image has its own pooled features and logits.
                let (pooled, logits) = unsafe {
                    let pooled = std::slice::from_raw_parts_mut(pooled.at(image * features), features);
                    (pooled, std::slice::from_raw_parts_mut(logits.at(image * shape.classes), shape.classes))
                };
                let image = &output[image * features * pixels..][..features * pixels];
                head::pool(image, pixels, &last.scale, &last.shift, pooled);
                linear.forward(pooled, logits);
            }
        });
        &training.logits[..batch * shape.classes]
    }
}

/// Calls `work(part, thread, images)` for each part of a batch.
pub(crate) fn each_part(threads: &Threads, batch: usize, work: &(dyn Fn(usize, usize, Range<usize>) + Sync)) {
    let (parts, images) = parts(batch);
    threads.run(parts, &|part, thread| work(part, thread, part * images..batch.min((part + 1) * images)));
}

/// What a convolution reads after a batch norm of this batch's statistics.
pub(crate) fn normalised(norm: &Norm, input: *const f32) -> Source {
    Source::Normalised { input, scale: norm.scale.as_ptr(), shift: norm.shift.as_ptr() }
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
