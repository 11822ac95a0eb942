//! The passes through blocks with batch norm after each convolution and a ReLU after the sum.
//!
//! A block reads `x`, what the ReLU before it gave, and gives `relu(norm2(convolution2(relu(norm1(convolution1(x))))) + x)`; where
//! the number of channels changes, `shortcut.norm(shortcut(x))` stands for `x`. The network's own batch norm, `stem`, is after the
//! first convolution, with a ReLU.
//!
//! What `convolution2` gives is the *branch*. The sum and its ReLU are the prologue of the convolution that reads them first: the
//! next block's first one. The gradient on a sum, gated by its ReLU, is what both its branch and its skip have: it is *carried*.

use std::ptr::null;

use crate::Shape;
use crate::backward::OutputGradients;
use crate::buffer::BLOCK;
use crate::evaluation::Company;
use crate::head::{self, Linear};
use crate::layer::Source;
use crate::network::{Block, Training};
use crate::norm::{Norm, Sums};
use crate::padded::{Joined, Window};
use crate::pass::{BeforeNorm, FirstGradients, Pass, norm_gradient, normalised, own_sums, rectified};
use crate::threads::SharedPointer;
use crate::winograd::{Finish, Target};

/// What a block reads: where it lies, and for all but the first block what is to be joined there.
struct Reads<'a> {
    /// The batch norm before the sum, and that of the skip where that has one.
    norm: &'a Norm,
    skip_norm: Option<&'a Norm>,
    branch: SharedPointer<f32>,
    /// What the skip carries; none after the first convolution.
    skip: Option<SharedPointer<f32>>,
    output: SharedPointer<f32>,
}

impl<'a> Reads<'a> {
    /// Of block `index`, or of the pooling after the last one.
    fn new(index: usize, blocks: &'a [Block], stem: &'a Norm, training: &mut Training) -> Self {
        let Training { inputs, branches, shortcuts, .. } = training;
        let [branch, output] = [&mut branches[index], &mut inputs[index]].map(|buffer| SharedPointer::new(buffer));
        let Some(before) = index.checked_sub(1) else {
            return Reads { norm: stem, skip_norm: None, branch, skip: None, output };
        };
        let skip_norm = blocks[before].shortcut.as_ref().and_then(|shortcut| shortcut.norm.as_ref());
        let skip = if skip_norm.is_some() { &mut shortcuts[before] } else { &mut inputs[before] };
        Reads { norm: &blocks[before].norm2, skip_norm, branch, skip: Some(SharedPointer::new(skip)), output }
    }

    /// By the batch's statistics.
    fn joined(&self) -> Joined {
        let skip_constants = self.skip_norm.map(|norm| (norm.scale.as_ptr(), norm.shift.as_ptr()));
        let (skip_scale, skip_shift) = skip_constants.unwrap_or((null(), null()));
        // SAFETY: all of them have a beginning.
        unsafe {
            Joined {
                branch: self.branch.at(0),
                scale: self.norm.scale.as_ptr(),
                shift: self.norm.shift.as_ptr(),
                skip: self.skip.map_or(null(), |skip| skip.at(0)),
                skip_scale,
                skip_shift,
                plain: self.output.at(0),
            }
        }
    }
}

/// From the first convolution's outputs, summed, to the last block's.
pub(crate) fn forward(pass: &Pass<'_>, blocks: &mut [Block], stem: &mut Norm, training: &mut Training) {
    let size = blocks[0].convolution1.geometry.input_size;
    stem.use_batch(&training.sums[..pass.parts], pass.batch * size * size);
    let stem = &*stem;
    for index in 0..blocks.len() {
        let output_size = blocks[index].convolution1.geometry.output_size();
        let pixels = pass.batch * output_size * output_size;
        let reads = Reads::new(index, blocks, stem, training);
        let [middle, branch, shortcut_output] =
            [&mut training.middles[index], &mut training.branches[index + 1], &mut training.shortcuts[index]]
                .map(|buffer| SharedPointer::new(buffer));
        let [sums, sums_beside] =
            [&mut training.sums, &mut training.sums_beside].map(|sums| SharedPointer::<Sums>::new(sums));
        let block = &blocks[index];
        pass.each_part(&|part, thread, images| {
            // SAFETY: each thread has its own scratch, each part its own sums, each image its own stretch of all outputs, made for
            // these lengths; the instruction set is available.
            unsafe {
                let source = Source::Joined(reads.joined());
                let finish = (*sums.at(part)).of_outputs(0..block.norm1.channels);
                let to = Target { start: null(), output: middle.at(0), finish };
                let (layer, scratch) = (&block.convolution1, &pass.scratch[thread]);
                let Some(shortcut) = &block.shortcut else {
                    return layer.forward(pass.kernels, scratch, images, &source, &to);
                };
                let finish = (*sums_beside.at(part)).of_outputs(0..block.norm2.channels);
                let beside = Target { start: null(), output: shortcut_output.at(0), finish };
                let again = Source::Plain(reads.output.at(0));
                let both = [(&source, &to), (&again, &beside)];
                layer.forward_with(&shortcut.convolution, pass.kernels, scratch, images, both);
            }
        });
        let block = &mut blocks[index];
        block.norm1.use_batch(&training.sums[..pass.parts], pixels);
        if let Some(norm) = block.shortcut.as_mut().and_then(|shortcut| shortcut.norm.as_mut()) {
            norm.use_batch(&training.sums_beside[..pass.parts], pixels);
        }
        let sums = SharedPointer::new(&mut training.sums);
        let block = &*block;
        pass.each_part(&|part, thread, images| {
            // SAFETY: as above.
            unsafe {
                let source = normalised(&block.norm1, middle.at(0));
                let finish = (*sums.at(part)).of_outputs(0..block.norm2.channels);
                let to = Target { start: null(), output: branch.at(0), finish };
                block.convolution2.forward(pass.kernels, &pass.scratch[thread], images, &source, &to);
            }
        });
        blocks[index].norm2.use_batch(&training.sums[..pass.parts], pixels);
    }
    let geometry = &blocks[blocks.len() - 1].convolution2.geometry;
    let (size, channels) = (geometry.output_size(), geometry.output_channels);
    let reads = Reads::new(blocks.len(), blocks, stem, training);
    pass.each_part(&|_, thread, images| {
        for image in images {
            // SAFETY: as above. No convolution reads this: only what is kept counts.
            unsafe {
                let padded = pass.scratch[thread].padded[0].at(0);
                let window = Window::whole(size);
                let at = image * size * size * channels;
                Source::Joined(reads.joined()).pad(pass.kernels, at, channels / BLOCK, &window, padded);
            }
        }
    });
}

/// From the gradients on what the network gave to that on the first convolution's outputs.
pub(crate) fn backward(
    pass: &Pass<'_>,
    shape: &Shape,
    blocks: &mut [Block],
    stem: &mut Norm,
    linear: &Linear,
    training: &mut Training,
    gradients: &OutputGradients<'_>,
) -> BeforeNorm {
    let (features, pixels) = (linear.features, shape.pooled_pixels());
    let [gradient, mut spare] = training.gradients.each_mut().map(|buffer| SharedPointer::new(buffer));
    let mut carried = SharedPointer::new(&mut training.carried);
    let blocks_count = blocks.len();

    let len = features * pixels;
    gradients.of_map(pass, shape, blocks_count - 1, (&training.inputs[blocks_count], len), spare);
    {
        let [output, branch] = [&mut training.inputs[blocks_count], &mut training.branches[blocks_count]]
            .map(|buffer| SharedPointer::new(buffer));
        let sums = SharedPointer::new(&mut training.sums);
        pass.each_part(&|part, thread, images| {
            // SAFETY: each thread has its own scratch, each part its own sums, each image its own stretch of the gradients.
            unsafe {
                let sums = own_sums(sums, part, features);
                let pooled = std::slice::from_raw_parts_mut(pass.scratch[thread].padded[0].at(0), features);
                for image in images {
                    linear.input_gradient(&gradients.logits[image * shape.classes..][..shape.classes], pooled);
                    let at = image * len;
                    let to = std::slice::from_raw_parts_mut(carried.at(at), len);
                    head::spread(pooled, pixels, to);
                    if gradients.maps.is_some() {
                        let of_map = std::slice::from_raw_parts(spare.at(at), len);
                        to.iter_mut().zip(of_map).for_each(|(sum, value)| *sum += value);
                    }
                    let (to, output, branch) = (to.as_mut_ptr(), output.at(at), branch.at(at));
                    let (sums, products) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                    (pass.kernels.gate_by_output)(to, output, branch, features / BLOCK, pixels, sums, products);
                }
            }
        });
    }

    for index in (0..blocks_count).rev() {
        let block = &mut blocks[index];
        let geometry = &block.convolution1.geometry;
        let (output_size, channels) = (geometry.output_size(), geometry.output_channels);
        let pixels = pass.batch * output_size * output_size;
        block.norm2.backward(&training.sums[..pass.parts], pixels);
        let [input, middle, branch, branch_before, output, shortcut_output] = {
            let Training { inputs, middles, branches, shortcuts, .. } = &mut *training;
            let (inputs, outputs) = inputs.split_at_mut(index + 1);
            let (before, after) = branches.split_at_mut(index + 1);
            [
                &mut inputs[index],
                &mut middles[index],
                &mut after[0],
                &mut before[index],
                &mut outputs[0],
                &mut shortcuts[index],
            ]
            .map(|buffer| SharedPointer::new(buffer))
        };
        if let Some(norm) = block.shortcut.as_mut().and_then(|shortcut| shortcut.norm.as_mut()) {
            // Of the gradient that is carried, now with what the skip's batch norm read.
            let sums = SharedPointer::new(&mut training.sums);
            pass.each_part(&|part, _, images| {
                // SAFETY: as above.
                unsafe {
                    let sums = own_sums(sums, part, channels);
                    let (sums, products) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                    let (blocks, pixels) = (channels / BLOCK, output_size * output_size);
                    for image in images {
                        let at = image * channels * pixels;
                        let (to, output, input) = (carried.at(at), output.at(at), shortcut_output.at(at));
                        (pass.kernels.gate_by_output)(to, output, input, blocks, pixels, sums, products);
                    }
                }
            });
            norm.backward(&training.sums[..pass.parts], pixels);
        }

        let of_output = BeforeNorm::new(&mut block.norm2, carried, branch);
        let second = (&mut block.convolution2, &mut block.norm1);
        pass.backward_normalised(second, &of_output, [middle, gradient], Sums::of_gated, training);

        // The first block of a group has a shortcut: what it reads has a gradient of its own where a loss looks at the maps.
        let stride = block.convolution1.geometry.input_stride;
        let looked_at = index > 0 && gradients.of_map(pass, shape, index - 1, (&training.inputs[index], stride), spare);
        assert!(!looked_at || block.shortcut.is_some(), "no identity path begins at the end of a group");
        // An image's gradient of another size would overwrite that of others.
        let to = if block.shortcut.is_some() { spare } else { carried };
        // What is there already: the identity path's gradient, or that of a loss on the map.
        let adds = block.shortcut.is_none() || looked_at;
        pass.backward_first(block, training, &|block, sums| {
            let norm = block.shortcut.as_ref().and_then(|shortcut| shortcut.norm.as_ref());
            // SAFETY: all of them have a beginning.
            unsafe {
                let of_shortcut = |norm| Source::Gradient(norm_gradient(norm, carried.at(0), shortcut_output.at(0)));
                FirstGradients {
                    of_middle: Source::Gradient(norm_gradient(&block.norm1, gradient.at(0), middle.at(0))),
                    of_shortcut: norm.map(of_shortcut),
                    input: Source::Plain(input.at(0)),
                    to: Target {
                        start: if adds { to.at(0).cast_const() } else { null() },
                        output: to.at(0),
                        finish: sums.of_gated_by(input.at(0), branch_before.at(0)),
                    },
                }
            }
        });
        if block.shortcut.is_some() {
            std::mem::swap(&mut carried, &mut spare);
        }
    }
    let size = shape.image_size;
    stem.backward(&training.sums[..pass.parts], pass.batch * size * size);
    let input = SharedPointer::new(&mut training.branches[0]);
    BeforeNorm::new(stem, carried, input)
}

/// The images' way through the blocks, by running statistics: where the last one's output lies. `seen` is told each block's output.
///
/// # Safety
/// The kernels' instruction set; pointers to whole activations of these images; nobody else uses the scratch.
pub(crate) unsafe fn evaluate(
    company: &Company<'_>,
    blocks: &[Block],
    stem: &Norm,
    seen: impl Fn(usize, *const f32),
) -> *const f32 {
    let Company { kernels, scratch, images, .. } = company;
    // Where the branch lies, of which what the next block reads takes the place; and two to write to.
    let [mut branch, middle, mut other] = company.plain;
    let constants = |norm: &Norm| (norm.running_scale.as_ptr(), norm.running_shift.as_ptr());
    let joined = |norm: &Norm, branch: *mut f32, skip: *const f32, skip_norm: Option<&Norm>| {
        let (scale, shift) = constants(norm);
        let (skip_scale, skip_shift) = skip_norm.map_or((null(), null()), constants);
        Joined { branch, scale, shift, skip, skip_scale, skip_shift, plain: branch }
    };
    let mut reads = joined(stem, branch, null(), None);
    for (index, block) in blocks.iter().enumerate() {
        let input = branch;
        let (middle_source, finish) = rectified(&block.convolution1, &block.norm1, middle);
        let to = Target { start: null(), output: middle, finish };
        // SAFETY: the caller's promises.
        unsafe {
            block.convolution1.forward(kernels, scratch, images.clone(), &Source::Joined(reads), &to);
            if index > 0 {
                seen(index - 1, input);
            }
            let mut skip_norm = None;
            if let Some(shortcut) = &block.shortcut {
                let to = Target { start: null(), output: other, finish: Finish::Stored };
                shortcut.convolution.forward(kernels, scratch, images.clone(), &Source::Plain(input), &to);
                // What the block reads is spent: its branch takes that place.
                skip_norm = shortcut.norm.as_ref();
            } else {
                std::mem::swap(&mut branch, &mut other);
            }
            let to = Target { start: null(), output: branch, finish: Finish::Stored };
            block.convolution2.forward(kernels, scratch, images.clone(), &middle_source, &to);
            reads = joined(&block.norm2, branch, other, skip_norm);
        }
    }
    let geometry = &blocks[blocks.len() - 1].convolution2.geometry;
    let (window, channels) = (Window::whole(geometry.output_size()), geometry.output_channels);
    for image in images.clone() {
        let at = image * geometry.output_stride;
        // SAFETY: the caller's promises. No convolution reads this: only what is kept counts.
        unsafe { Source::Joined(reads).pad(kernels, at, channels / BLOCK, &window, scratch.padded[0].at(0)) }
    }
    seen(blocks.len() - 1, branch);
    branch
}
