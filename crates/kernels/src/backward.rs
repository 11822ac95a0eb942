//! The backward pass: from the gradient on the logits to the gradient of every parameter.

use std::ptr::{null, null_mut};

use crate::attention::{self, GROUPS};
use crate::buffer::{BLOCK, Buffer};
use crate::descent::Aside;
use crate::elementwise::{NormGradient, Window};
use crate::forward::{each_part, normalised, own_sums};
use crate::head;
use crate::layer::Source;
use crate::layout::pad_image;
use crate::network::parts;
use crate::norm::Norm;
use crate::threads::{FlushToZero, SharedPointer, Threads};
use crate::winograd::{Finish, Target};
use crate::{Shape, WideResNet};

impl WideResNet {
    /// Gradients of all parameters from `logits_gradient`, the gradient of the loss on the logits (n, classes) of the last
    /// [`WideResNet::forward`].
    ///
    /// # Panics
    /// Before any `forward`, where the gradient has another length than the logits, or on a network made for evaluation.
    pub fn backward(&mut self, logits_gradient: &[f32]) {
        self.propagate(logits_gradient, None);
    }

    /// As [`WideResNet::backward`], of a loss that also looks at the attention maps: `map_gradients` are its gradients on those
    /// of the three groups, (n, pixels) each, as [`WideResNet::attention`] gives them.
    ///
    /// # Panics
    /// As [`WideResNet::backward`], and where a gradient has another length than its maps.
    pub fn backward_with_attention(&mut self, logits_gradient: &[f32], map_gradients: [&[f32]; GROUPS]) {
        self.propagate(logits_gradient, Some(map_gradients));
    }

    fn propagate(&mut self, logits_gradient: &[f32], map_gradients: Option<[&[f32]; GROUPS]>) {
        let _flushed = FlushToZero::new();
        let WideResNet { shape, kernels, threads, first, blocks, last, linear, spaces, training, .. } = self;
        let training = training.as_mut().expect("a network made for evaluation does not train");
        let batch = training.batch;
        assert!(batch > 0, "backward needs a forward pass before it");
        assert_eq!(logits_gradient.len(), batch * shape.classes, "one gradient for each logit");
        let (parts, _) = parts(batch);
        let features = shape.features();
        let pixels = (shape.image_size / 4) * (shape.image_size / 4);
        for (group, pixels) in shape.attention_pixels().into_iter().enumerate() {
            let fits = map_gradients.is_none_or(|gradients| gradients[group].len() == batch * pixels);
            assert!(fits, "one gradient for each pixel of an attention map");
        }

        if training.aside == Aside::Alone {
            training.aside = Aside::BesideAnother;
        }
        linear.backward(&training.pooled[..batch * features], logits_gradient);
        let [mut gradient, mut spare] = training.gradients.each_mut().map(|buffer| SharedPointer::new(buffer));
        let carried = SharedPointer::new(&mut training.carried);
        let scratch: Vec<_> = spaces.iter_mut().map(|space| space.convolutions.pointers()).collect();
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
                    let pooled = std::slice::from_raw_parts_mut(scratch[thread].padded[0].at(0), features);
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

        // Where a gradient lies that is to be added to the next block's: that of an identity path, or of an attention map.
        let mut skip: Option<SharedPointer<f32>> = None;
        for index in (0..blocks.len()).rev() {
            let (until, after) = blocks.split_at_mut(index + 1);
            let block = &mut until[index];
            let next_norm = after.first().map_or(&*last, |next| &next.norm1);
            let geometry = &block.convolution1.geometry;
            let (size, output_size) = (geometry.input_size, geometry.output_size());
            let input = SharedPointer::new(&mut training.inputs[index]);
            let middle = SharedPointer::new(&mut training.middles[index]);

            if let Some((group, gradients)) = shape.group_ended_by(index).zip(map_gradients) {
                assert!(skip.is_none(), "no identity path begins at the end of a group");
                let (gradients, output) = (gradients[group], &training.inputs[index + 1]);
                let (pixels, len) = (output_size * output_size, block.convolution1.geometry.output_len());
                each_part(threads, batch, &|_, _, images| {
                    for image in images {
                        // SAFETY: each image has its own stretch of what is carried.
                        let to = unsafe { std::slice::from_raw_parts_mut(carried.at(image * len), len) };
                        let gradient = &gradients[image * pixels..][..pixels];
                        attention::activation_gradient(gradient, &output[image * len..][..len], to);
                    }
                });
                skip = Some(carried);
            }

            training.turned.turn(&block.convolution2, kernels, threads);
            let turned = &training.turned;
            let output = SharedPointer::new(&mut training.inputs[index + 1]);
            let sums = SharedPointer::new(&mut training.sums);
            {
                let block = &*block;
                each_part(threads, batch, &|part, thread, images| {
                    // SAFETY: as above; each part sums weight gradients in its own buffer. Where a gradient takes the place of the
                    // one it is made from, or a sum that of its addend, the whole image was read before.
                    unsafe {
                        let layer = &block.convolution2;
                        let weights = cleared(part_gradients[part].at(0), layer.added_len());
                        let of_output = Source::Gradient(NormGradient {
                            skip: skip.map_or(null(), |skip| skip.at(0)),
                            plain: carried.at(0),
                            ..norm_gradient(next_norm, gradient.at(0), output.at(0))
                        });
                        let source = normalised(&block.norm2, middle.at(0));
                        let finish = own_sums(sums, part, block.norm2.channels).of_gated(&block.norm2, middle.at(0));
                        let to = Target { start: null(), output: gradient.at(0), finish };
                        let scratch = &scratch[thread];
                        layer.backward(kernels, scratch, images, &of_output, &source, turned, weights, &to);
                    }
                });
            }
            block.norm2.backward(&training.sums[..parts], batch * output_size * output_size);
            add_parts(threads, &part_gradients[..parts], 0, &mut block.convolution2.descent.gradient);

            training.turned.turn(&block.convolution1, kernels, threads);
            if let Some(shortcut) = &block.shortcut {
                training.turned_shortcut.turn(shortcut, kernels, threads);
            }
            let (turned, turned_shortcut) = (&training.turned, &training.turned_shortcut);
            let sums = SharedPointer::new(&mut training.sums);
            let shortcut_start = block.convolution1.weights.len();
            // An image's gradient of another size would overwrite that of others.
            let to = if block.shortcut.is_some() { spare } else { gradient };
            {
                let block = &*block;
                each_part(threads, batch, &|part, thread, images| {
                    // SAFETY: as above.
                    unsafe {
                        let layer = &block.convolution1;
                        let weights = cleared(part_gradients[part].at(0), layer.added_len());
                        let of_middle = Source::Gradient(norm_gradient(&block.norm2, gradient.at(0), middle.at(0)));
                        let source = normalised(&block.norm1, input.at(0));
                        let finish = own_sums(sums, part, block.norm1.channels).of_gated(&block.norm1, input.at(0));
                        let (scratch, to) = (&scratch[thread], to.at(0));
                        let Some(shortcut) = &block.shortcut else {
                            let to = Target { start: null(), output: to, finish };
                            return layer.backward(kernels, scratch, images, &of_middle, &source, turned, weights, &to);
                        };
                        let added = Target { start: to, output: to, finish };
                        let to = Target { start: null(), output: to, finish: Finish::Stored };
                        let of_output = Source::Plain(carried.at(0));
                        let shortcut_weights = cleared(part_gradients[part].at(shortcut_start), shortcut.added_len());
                        // An image at a time, what a direct convolution read is still there for the shortcut.
                        let (step, again) = match layer.geometry.winograd {
                            Some(_) => (images.len(), &source),
                            None => (1, &Source::Padded),
                        };
                        for first in images.step_by(step) {
                            let some = first..first + step;
                            layer.backward(kernels, scratch, some.clone(), &of_middle, &source, turned, weights, &to);
                            shortcut.backward(
                                kernels,
                                scratch,
                                some,
                                &of_output,
                                again,
                                turned_shortcut,
                                shortcut_weights,
                                &added,
                            );
                        }
                    }
                });
            }
            block.norm1.backward(&training.sums[..parts], batch * size * size);
            add_parts(threads, &part_gradients[..parts], 0, &mut block.convolution1.descent.gradient);
            if let Some(layer) = &mut block.shortcut {
                add_parts(threads, &part_gradients[..parts], shortcut_start, &mut layer.descent.gradient);
            }
            if block.shortcut.is_some() {
                std::mem::swap(&mut gradient, &mut spare);
            }
            skip = block.shortcut.is_none().then_some(carried);
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
                    let [padded, padded_gradient] = scratch[thread].padded.map(|padded| padded.at(0));
                    let padded = std::slice::from_raw_parts_mut(padded, padded_len);
                    padded.fill(0.0);
                    let weights = cleared(part_gradients[part].at(0), first.added_len());
                    for image in range {
                        pad_image(&images[image * image_len..][..image_len], channels, size, padded);
                        let of = NormGradient {
                            skip: skip.map_or(null(), |skip| skip.at(0)),
                            ..norm_gradient(norm, gradient.at(0), output.at(0))
                        };
                        let of = of.at(image * output_len, 0);
                        (kernels.norm_gradient_padded)(&of, padded_gradient, 1, &Window::whole(size));
                        let sweep = &first.geometry.weight_gradient;
                        (kernels.weight_gradient)(sweep, padded.as_ptr(), padded_gradient, weights);
                    }
                }
            });
        }
        add_parts(threads, &part_gradients[..parts], 0, &mut first.descent.gradient);
    }
}

/// The gradient on what `norm` read, `input`, from the gradient on what its ReLU gave, already gated.
fn norm_gradient(norm: &Norm, gated: *const f32, input: *const f32) -> NormGradient {
    NormGradient {
        gated,
        input,
        skip: null(),
        plain: null_mut(),
        by_gradient: norm.by_gradient.as_ptr(),
        by_input: norm.by_input.as_ptr(),
        constant: norm.constant.as_ptr(),
    }
}

/// Weight gradients that are added to, set to zero.
///
/// # Safety
/// `weights` covers `len` numbers, which nobody else uses.
unsafe fn cleared(weights: *mut f32, len: usize) -> *mut f32 {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(weights, len) }.fill(0.0);
    weights
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
