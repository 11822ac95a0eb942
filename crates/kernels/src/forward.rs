//! The forward pass of a training step: batch statistics, activations kept for the backward pass.

use std::ptr::null;

use crate::buffer::{BLOCK, Buffer};
use crate::head;
use crate::layer::Layer;
use crate::layout::pad_image;
use crate::network::Body;
use crate::norm::Sums;
use crate::pass::{Pass, own_sums};
use crate::threads::{FlushToZero, SharedPointer};
use crate::{Blocks, Network, Shape, dense, post_activation, pre_activation};

impl Network {
    /// Training mode: logits (n, classes) of `images` (n, channels, size, size), normalised by the batch's own
    /// statistics; running statistics move.
    ///
    /// # Panics
    /// Where `images` is empty, not whole images, or more than `batch_max`; on a network made for evaluation.
    pub fn forward(&mut self, images: &[f32]) -> &[f32] {
        let _flushed = FlushToZero::new();
        self.transform();
        let Network { shape, kernels, threads, first, body, norm, linear, spaces, training, .. } = self;
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
        let pass = Pass::new(kernels, threads, spaces, batch);
        let first_output = match body {
            Body::PreActivation(_) | Body::Dense(_) => &mut training.inputs[0],
            Body::PostActivation(_) => &mut training.branches[0],
        };
        stem(&pass, shape, first, images, first_output, &mut training.sums);
        match body {
            Body::PreActivation(blocks) => pre_activation::forward(&pass, blocks, norm, training),
            Body::PostActivation(blocks) => post_activation::forward(&pass, blocks, norm, training),
            Body::Dense(groups) => dense::forward(&pass, groups, norm, training),
        }

        let (features, pixels) = (linear.features, shape.pooled_pixels());
        let output = training.inputs.last().expect("a network has blocks");
        let (pooled, logits) = (SharedPointer::new(&mut training.pooled), SharedPointer::new(&mut training.logits));
        let (norm, linear) = (&*norm, &*linear);
        pass.each_part(&|_, _, images| {
            for image in images {
                // SAFETY: each image has its own pooled features and logits.
                let (pooled, logits) = unsafe {
                    let pooled = std::slice::from_raw_parts_mut(pooled.at(image * features), features);
                    (pooled, std::slice::from_raw_parts_mut(logits.at(image * shape.classes), shape.classes))
                };
                let image = &output[image * features * pixels..][..features * pixels];
                match shape.blocks {
                    Blocks::PreActivation | Blocks::Dense | Blocks::DenseBottleneck => {
                        head::pool(image, pixels, &norm.scale, &norm.shift, pooled)
                    }
                    Blocks::PostActivation => head::means(image, pixels, pooled),
                }
                linear.forward(pooled, logits);
            }
        });
        &training.logits[..batch * shape.classes]
    }
}

/// The convolution on the images, with the sums that a batch norm after it needs.
fn stem(pass: &Pass<'_>, shape: &Shape, first: &Layer, images: &[f32], output: &mut Buffer, sums: &mut [Sums]) {
    let (size, channels, image_len) = (shape.image_size, shape.channels, shape.image_len());
    let (padded_len, stride) = (channels * (size + 2) * (size + 2), first.geometry.output_stride);
    let output_channels = first.geometry.output_channels;
    let (output, sums) = (SharedPointer::new(output), SharedPointer::new(sums));
    pass.each_part(&|part, thread, images_of_part| {
        // SAFETY: each thread has its own scratch, each part its own sums, each image its own stretch of the output, all made
        // for these lengths; the instruction set is available.
        unsafe {
            let sums = own_sums(sums, part, output_channels);
            let padded = std::slice::from_raw_parts_mut(pass.scratch[thread].padded[0].at(0), padded_len);
            padded.fill(0.0);
            for image in images_of_part {
                pad_image(&images[image * image_len..][..image_len], channels, size, padded);
                let output = output.at(image * stride);
                (pass.kernels.convolve)(
                    &first.geometry.forward,
                    padded.as_ptr(),
                    first.weights.as_ptr(),
                    output,
                    null(),
                );
                let (sums, squares) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                (pass.kernels.statistics)(output, output_channels / BLOCK, size * size, sums, squares);
            }
        }
    });
}
