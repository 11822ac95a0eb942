//! The backward pass: from the gradient on the logits to the gradient of every parameter.

use std::ptr::{null, null_mut};

use crate::buffer::{BLOCK, Buffer};
use crate::elementwise::NormGradient;
use crate::forward::{each_part, own_sums};
use crate::head;
use crate::layout::pad_image;
use crate::network::{Layer, parts};
use crate::threads::{FlushToZero, SharedPointer, Threads};
use crate::{Shape, WideResNet};

impl WideResNet {
    /// Gradients of all parameters from `logits_gradient`, the gradient of the loss on the logits (n, classes) of the last
    /// [`WideResNet::forward`].
    ///
    /// # Panics
    /// Before any `forward`, where the gradient has another length than the logits, or on a network made for evaluation.
    pub fn backward(&mut self, logits_gradient: &[f32]) {
        let _flushed = FlushToZero::new();
        let WideResNet { shape, kernels, threads, first, blocks, last, linear, scratch, training, .. } = self;
        let training = training.as_mut().expect("a network made for evaluation does not train");
        let batch = training.batch;
        assert!(batch > 0, "backward needs a forward pass before it");
        assert_eq!(logits_gradient.len(), batch * shape.classes, "one gradient for each logit");
        let (parts, _) = parts(batch);
        let features = shape.features();
        let pixels = (shape.image_size / 4) * (shape.image_size / 4);

        linear.backward(&training.pooled[..batch * features], logits_gradient);
        let gradient = SharedPointer::new(&mut training.gradient);
        let middle_gradient = SharedPointer::new(&mut training.middle_gradient);
        let carried = training.carried.each_mut().map(|buffer| SharedPointer::new(buffer));
        let scratch: Vec<_> = scratch
            .iter_mut()
            .map(|scratch| scratch.padded.each_mut().map(|buffer| SharedPointer::new(buffer)))
            .collect();
        let part_gradients: Vec<_> =
            training.part_gradients.iter_mut().map(|buffer| SharedPointer::new(buffer)).collect();

        {
            let sums = SharedPointer::new(&mut training.sums);
            let output = SharedPointer::new(training.inputs.last_mut().expect("a network has blocks"));
            let (last, linear) = (&*last, &*linear);
            let classes = shape.classes;
            each_part(threads, batch, &|part, thread, range| {
                // SAFETY: each thread has its own scratch, each part its own sums, each image its own stretch of the gradient.
                unsafe {
                    let sums = own_sums(sums, part, features);
                    let pooled = std::slice::from_raw_parts_mut(scratch[thread][0].at(0), features);
                    for image in range {
                        linear.input_gradient(&logits_gradient[image * classes..][..classes], pooled);
                        let len = features * pixels;
                        let to = gradient.at(image * len);
                        head::spread(pooled, pixels, std::slice::from_raw_parts_mut(to, len));
                        (kernels.gate)(
                            to,
                            output.at(image * len),
                            features / BLOCK,
                            pixels,
                            last.scale.as_ptr(),
                            last.shift.as_ptr(),
                            sums.first.as_mut_ptr(),
                            sums.second.as_mut_ptr(),
                        );
                    }
                }
            });
        }
        last.backward(&training.sums[..parts], batch * pixels);

        // Which of `carried` holds the gradient of an identity path, to be added to the next block's.
        let mut skip: Option<SharedPointer<f32>> = None;
        for index in (0..blocks.len()).rev() {
            let (until, after) = blocks.split_at_mut(index + 1);
            let block = &mut until[index];
            let next_norm = after.first().map_or(&*last, |next| &next.norm1);
            transpose(&mut block.convolution1);
            transpose(&mut block.convolution2);
            block.shortcut.iter_mut().for_each(transpose);
            let geometry = &block.convolution1.geometry;
            let (size, output_size) = (geometry.input_size, geometry.output_size());
            let (input_len, output_len) = (block.norm1.channels * size * size, geometry.output_len());
            let (input_blocks, output_blocks) = (block.norm1.channels / BLOCK, block.norm2.channels / BLOCK);
            let output_pixels = output_size * output_size;
            let input = SharedPointer::new(&mut training.inputs[index]);
            let middle = SharedPointer::new(&mut training.middles[index]);
            let output = SharedPointer::new(&mut training.inputs[index + 1]);
            let own = carried[index % 2];

            let sums = SharedPointer::new(&mut training.sums);
            {
                let block = &*block;
                each_part(threads, batch, &|part, thread, range| {
                    // SAFETY: as above; each part sums weight gradients in its own buffer.
                    unsafe {
                        let sums = own_sums(sums, part, block.norm2.channels);
                        let [padded_gradient, padded, _] = scratch[thread].map(|scratch| scratch.at(0));
                        let layer = &block.convolution2;
                        let weights = part_gradients[part].at(0);
                        std::slice::from_raw_parts_mut(weights, layer.weights.len()).fill(0.0);
                        for image in range {
                            let at = image * output_len;
                            let of = NormGradient {
                                gated: gradient.at(at),
                                input: output.at(at),
                                skip: skip.map_or(null(), |skip| skip.at(at)),
                                padded: padded_gradient,
                                plain: own.at(at),
                                by_gradient: next_norm.by_gradient.as_ptr(),
                                by_input: next_norm.by_input.as_ptr(),
                                constant: next_norm.constant.as_ptr(),
                            };
                            (kernels.norm_gradient_padded)(&of, output_blocks, output_size);
                            let norm = &block.norm2;
                            let (scale, shift) = (norm.scale.as_ptr(), norm.shift.as_ptr());
                            let middle = middle.at(at);
                            (kernels.normalise_padded)(middle, padded, output_blocks, output_size, scale, shift);
                            let sweep = &layer.geometry.weight_gradient;
                            (kernels.weight_gradient)(sweep, padded, padded_gradient, weights);
                            let to = middle_gradient.at(at);
                            for sweep in &layer.geometry.input_gradient {
                                (kernels.convolve)(sweep, padded_gradient, layer.transposed.as_ptr(), to, null());
                            }
                            let (first, second) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                            (kernels.gate)(to, middle, output_blocks, output_pixels, scale, shift, first, second);
                        }
                    }
                });
            }
            block.norm2.backward(&training.sums[..parts], batch * output_pixels);
            add_parts(threads, &part_gradients[..parts], 0, &mut block.convolution2.gradient);

            let sums = SharedPointer::new(&mut training.sums);
            let shortcut_start = block.convolution1.weights.len();
            {
                let block = &*block;
                let weights_len = shortcut_start + block.shortcut.as_ref().map_or(0, |layer| layer.weights.len());
                each_part(threads, batch, &|part, thread, range| {
                    // SAFETY: as above. The gradient after the first ReLU overwrites that of the block's output, which no part of
                    // this region reads.
                    unsafe {
                        let sums = own_sums(sums, part, block.norm1.channels);
                        let [padded_gradient, padded, padded_carried] = scratch[thread].map(|scratch| scratch.at(0));
                        let layer = &block.convolution1;
                        let weights = part_gradients[part].at(0);
                        std::slice::from_raw_parts_mut(weights, weights_len).fill(0.0);
                        for image in range {
                            let at = image * output_len;
                            let of = NormGradient {
                                gated: middle_gradient.at(at),
                                input: middle.at(at),
                                skip: null(),
                                padded: padded_gradient,
                                plain: null_mut(),
                                by_gradient: block.norm2.by_gradient.as_ptr(),
                                by_input: block.norm2.by_input.as_ptr(),
                                constant: block.norm2.constant.as_ptr(),
                            };
                            (kernels.norm_gradient_padded)(&of, output_blocks, output_size);
                            let norm = &block.norm1;
                            let (scale, shift) = (norm.scale.as_ptr(), norm.shift.as_ptr());
                            let input = input.at(image * input_len);
                            (kernels.normalise_padded)(input, padded, input_blocks, size, scale, shift);
                            let sweep = &layer.geometry.weight_gradient;
                            (kernels.weight_gradient)(sweep, padded, padded_gradient, weights);
                            let to = gradient.at(image * input_len);
                            for sweep in &layer.geometry.input_gradient {
                                (kernels.convolve)(sweep, padded_gradient, layer.transposed.as_ptr(), to, null());
                            }
                            if let Some(layer) = &block.shortcut {
                                (kernels.copy_padded)(own.at(at), padded_carried, output_blocks, output_size);
                                let sweep = &layer.geometry.weight_gradient;
                                let weights = weights.add(shortcut_start);
                                (kernels.weight_gradient)(sweep, padded, padded_carried, weights);
                                for sweep in &layer.geometry.input_gradient {
                                    (kernels.convolve)(sweep, padded_carried, layer.transposed.as_ptr(), to, to);
                                }
                            }
                            let (first, second) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                            (kernels.gate)(to, input, input_blocks, size * size, scale, shift, first, second);
                        }
                    }
                });
            }
            block.norm1.backward(&training.sums[..parts], batch * size * size);
            add_parts(threads, &part_gradients[..parts], 0, &mut block.convolution1.gradient);
            if let Some(layer) = &mut block.shortcut {
                add_parts(threads, &part_gradients[..parts], shortcut_start, &mut layer.gradient);
            }
            skip = block.shortcut.is_none().then_some(own);
        }

        let norm = &blocks[0].norm1;
        let Shape { channels, image_size: size, .. } = *shape;
        let (image_len, padded_len) = (shape.image_len(), channels * (size + 2) * (size + 2));
        let output_len = first.geometry.output_len();
        let output = SharedPointer::new(&mut training.inputs[0]);
        let images = &training.images;
        {
            let first = &*first;
            each_part(threads, batch, &|part, thread, range| {
                // SAFETY: as above.
                unsafe {
                    let padded_gradient = scratch[thread][0].at(0);
                    let padded = std::slice::from_raw_parts_mut(scratch[thread][1].at(0), padded_len);
                    padded.fill(0.0);
                    let weights = part_gradients[part].at(0);
                    std::slice::from_raw_parts_mut(weights, first.weights.len()).fill(0.0);
                    for image in range {
                        pad_image(&images[image * image_len..][..image_len], channels, size, padded);
                        let at = image * output_len;
                        let of = NormGradient {
                            gated: gradient.at(at),
                            input: output.at(at),
                            skip: skip.map_or(null(), |skip| skip.at(at)),
                            padded: padded_gradient,
                            plain: null_mut(),
                            by_gradient: norm.by_gradient.as_ptr(),
                            by_input: norm.by_input.as_ptr(),
                            constant: norm.constant.as_ptr(),
                        };
                        (kernels.norm_gradient_padded)(&of, 1, size);
                        let sweep = &first.geometry.weight_gradient;
                        (kernels.weight_gradient)(sweep, padded.as_ptr(), padded_gradient, weights);
                    }
                }
            });
        }
        add_parts(threads, &part_gradients[..parts], 0, &mut first.gradient);
    }
}

fn transpose(layer: &mut Layer) {
    layer.geometry.transpose(&layer.weights, &mut layer.transposed);
}

/// `total = Σ parts`, in the parts' order; the parts' sums begin at `start`.
fn add_parts(threads: &Threads, parts: &[SharedPointer<f32>], start: usize, total: &mut Buffer) {
    const STRETCH: usize = 16 * 1024;
    let len = total.len();
    let to = SharedPointer::new(total);
    threads.run(len.div_ceil(STRETCH), &|stretch, _| {
        let from = stretch * STRETCH;
        let len = STRETCH.min(len - from);
        // SAFETY: stretches are disjoint and within the buffers, which nothing else touches now.
        unsafe {
            let total = std::slice::from_raw_parts_mut(to.at(from), len);
            total.copy_from_slice(std::slice::from_raw_parts(parts[0].at(start + from), len));
            for part in &parts[1..] {
                let part = std::slice::from_raw_parts(part.at(start + from), len);
                for (total, value) in total.iter_mut().zip(part) {
                    *total += value;
                }
            }
        }
    });
}
