//! The passes through blocks with batch norm and ReLU before each convolution.
//!
//! A block reads `x`, the sum that the block before it gave, and gives `x + convolution2(relu(norm2(convolution1(y))))` of
//! `y = relu(norm1(x))`; where the number of channels changes, `shortcut(y)` stands for `x`. The network's own batch norm, `last`,
//! is before the pooling.

use std::ptr::null;

use crate::Shape;
use crate::backward::OutputGradients;
use crate::buffer::BLOCK;
use crate::evaluation::Company;
use crate::head::{self, Linear};
use crate::layer::Source;
use crate::network::{Block, Training};
use crate::norm::{Norm, Sums};
use crate::pass::{BeforeNorm, FirstGradients, Pass, norm_gradient, normalised, own_sums, rectified, running};
use crate::threads::SharedPointer;
use crate::winograd::{Finish, Target};

/// From the first convolution's outputs, summed, to the last block's.
pub(crate) fn forward(pass: &Pass<'_>, blocks: &mut [Block], last: &mut Norm, training: &mut Training) {
    for (index, block) in blocks.iter_mut().enumerate() {
        let (size, output_size) = (block.convolution1.geometry.input_size, block.convolution1.geometry.output_size());
        block.norm1.use_batch(&training.sums[..pass.parts], pass.batch * size * size);
        let (before, after) = training.inputs.split_at_mut(index + 1);
        let input = SharedPointer::new(&mut before[index]);
        let output = SharedPointer::new(&mut after[0]);
        let middle = SharedPointer::new(&mut training.middles[index]);
        let sums = SharedPointer::new(&mut training.sums);
        {
            let block = &*block;
            pass.each_part(&|part, thread, images| {
                // SAFETY: each thread has its own scratch, each part its own sums, each image its own stretch of all outputs, made for
                // these lengths; the instruction set is available.
                unsafe {
                    let source = normalised(&block.norm1, input.at(0));
                    let finish = (*sums.at(part)).of_outputs(0..block.norm2.channels);
                    let to = Target { start: null(), output: middle.at(0), finish };
                    let (layer, scratch) = (&block.convolution1, &pass.scratch[thread]);
                    let Some(shortcut) = &block.shortcut else {
                        return layer.forward(pass.kernels, scratch, images, &source, &to);
                    };
                    let beside = Target { start: null(), output: output.at(0), finish: Finish::Stored };
                    let both = [(&source, &to), (&source, &beside)];
                    layer.forward_with(&shortcut.convolution, pass.kernels, scratch, images, both);
                }
            });
        }
        block.norm2.use_batch(&training.sums[..pass.parts], pass.batch * output_size * output_size);
        let sums = SharedPointer::new(&mut training.sums);
        let block = &*block;
        pass.each_part(&|part, thread, images| {
            // SAFETY: as above; where the output is its own start, each sum reads its place before it writes it.
            unsafe {
                let source = normalised(&block.norm2, middle.at(0));
                let start = if block.shortcut.is_some() { output.at(0) } else { input.at(0) };
                let finish = (*sums.at(part)).of_outputs(0..block.norm2.channels);
                let to = Target { start, output: output.at(0), finish };
                block.convolution2.forward(pass.kernels, &pass.scratch[thread], images, &source, &to);
            }
        });
    }
    let geometry = &blocks.last().expect("a network has blocks").convolution2.geometry;
    last.use_batch(&training.sums[..pass.parts], pass.batch * geometry.output_size() * geometry.output_size());
}

/// From the gradients on what the network gave to that on the first convolution's outputs.
pub(crate) fn backward(
    pass: &Pass<'_>,
    shape: &Shape,
    blocks: &mut [Block],
    last: &mut Norm,
    linear: &Linear,
    training: &mut Training,
    gradients: &OutputGradients<'_>,
) -> BeforeNorm {
    let (features, pixels) = (linear.features, shape.pooled_pixels());
    let [mut gradient, mut spare] = training.gradients.each_mut().map(|buffer| SharedPointer::new(buffer));
    let carried = SharedPointer::new(&mut training.carried);
    {
        let sums = SharedPointer::new(&mut training.sums);
        let output = SharedPointer::new(training.inputs.last_mut().expect("a network has blocks"));
        let last = &*last;
        let classes = shape.classes;
        pass.each_part(&|part, thread, images| {
            // SAFETY: each thread has its own scratch, each part its own sums, each image its own stretch of the gradient.
            unsafe {
                let sums = own_sums(sums, part, features);
                let pooled = std::slice::from_raw_parts_mut(pass.scratch[thread].padded[0].at(0), features);
                for image in images {
                    linear.input_gradient(&gradients.logits[image * classes..][..classes], pooled);
                    let len = features * pixels;
                    let to = gradient.at(image * len);
                    head::spread(pooled, pixels, std::slice::from_raw_parts_mut(to, len));
                    (pass.kernels.gate)(
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
    last.backward(&training.sums[..pass.parts], pass.batch * pixels);

    // Where a gradient lies that is to be added to the next block's: that of an identity path, or of an attention map.
    let mut skip: Option<SharedPointer<f32>> = None;
    for index in (0..blocks.len()).rev() {
        let (until, after) = blocks.split_at_mut(index + 1);
        let block = &mut until[index];
        let next_norm = after.first_mut().map_or(&mut *last, |next| &mut next.norm1);
        let stride = block.convolution2.geometry.output_stride;
        if gradients.of_map(pass, shape, index, (&training.inputs[index + 1], stride), carried) {
            assert!(skip.is_none(), "no identity path begins at the end of a group");
            skip = Some(carried);
        }
        let [input, middle, output] = {
            let Training { inputs, middles, .. } = &mut *training;
            let (before, after) = inputs.split_at_mut(index + 1);
            [&mut before[index], &mut middles[index], &mut after[0]].map(|buffer| SharedPointer::new(buffer))
        };

        let of_output = BeforeNorm { skip, plain: Some(carried), ..BeforeNorm::new(next_norm, gradient, output) };
        let second = (&mut block.convolution2, &mut block.norm2);
        pass.backward_normalised(second, &of_output, [middle, gradient], Sums::of_gated, training);

        // An image's gradient of another size would overwrite that of others.
        let to = if block.shortcut.is_some() { spare } else { gradient };
        pass.backward_first(block, training, &|block, sums| {
            // SAFETY: all of them have a beginning.
            unsafe {
                FirstGradients {
                    of_middle: Source::Gradient(norm_gradient(&block.norm2, gradient.at(0), middle.at(0))),
                    of_shortcut: Some(Source::Plain(carried.at(0))),
                    input: normalised(&block.norm1, input.at(0)),
                    to: Target { start: null(), output: to.at(0), finish: sums.of_gated(&block.norm1, input.at(0)) },
                }
            }
        });
        let size = block.convolution1.geometry.input_size;
        block.norm1.backward(&training.sums[..pass.parts], pass.batch * size * size);
        if block.shortcut.is_some() {
            std::mem::swap(&mut gradient, &mut spare);
        }
        skip = block.shortcut.is_none().then_some(carried);
    }
    let input = SharedPointer::new(&mut training.inputs[0]);
    BeforeNorm { skip, ..BeforeNorm::new(&mut blocks[0].norm1, gradient, input) }
}

/// The images' way through the blocks, by running statistics: where the last one's output lies. `seen` is told each block's output.
///
/// # Safety
/// The kernels' instruction set; pointers to whole activations of these images; nobody else uses the scratch.
pub(crate) unsafe fn evaluate(company: &Company<'_>, blocks: &[Block], seen: impl Fn(usize, *const f32)) -> *const f32 {
    let Company { kernels, scratch, images, .. } = company;
    let [mut input, middle, mut output] = company.plain;
    for (index, block) in blocks.iter().enumerate() {
        let source = running(&block.norm1, input);
        let (middle_source, finish) = rectified(&block.convolution1, &block.norm2, middle);
        let to = Target { start: null(), output: middle, finish };
        // SAFETY: the caller's promises.
        unsafe {
            block.convolution1.forward(kernels, scratch, images.clone(), &source, &to);
            let mut start = input;
            if let Some(shortcut) = &block.shortcut {
                let to = Target { start: null(), output, finish: Finish::Stored };
                shortcut.convolution.forward(kernels, scratch, images.clone(), &source, &to);
                start = output;
            }
            let to = Target { start, output, finish: Finish::Stored };
            block.convolution2.forward(kernels, scratch, images.clone(), &middle_source, &to);
        }
        std::mem::swap(&mut input, &mut output);
        seen(index, input);
    }
    input
}
