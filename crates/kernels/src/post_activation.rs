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
use crate::attention;
use crate::backward::OutputGradients;
use crate::buffer::{BLOCK, Buffer};
use crate::elementwise::{Joined, Window};
use crate::evaluation::Company;
use crate::head::{self, Linear};
use crate::layer::Source;
use crate::network::{Block, Training};
use crate::norm::{Norm, Sums};
use crate::pass::{BeforeNorm, Pass, cleared, norm_gradient, normalised, own_sums, rectified};
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
        let [sums, shortcut_sums] =
            [&mut training.sums, &mut training.shortcut_sums].map(|sums| SharedPointer::<Sums>::new(sums));
        let block = &blocks[index];
        pass.each_part(&|part, thread, images| {
            // SAFETY: each thread has its own scratch, each part its own sums, each image its own stretch of all outputs, made for
            // these lengths; the instruction set is available.
            unsafe {
                let source = Source::Joined(reads.joined());
                let finish = own_sums(sums, part, block.norm1.channels).of_outputs();
                let to = Target { start: null(), output: middle.at(0), finish };
                let (layer, scratch) = (&block.convolution1, &pass.scratch[thread]);
                let Some(shortcut) = &block.shortcut else {
                    return layer.forward(pass.kernels, scratch, images, &source, &to);
                };
                let finish = own_sums(shortcut_sums, part, block.norm2.channels).of_outputs();
                let beside = Target { start: null(), output: shortcut_output.at(0), finish };
                let again = Source::Plain(reads.output.at(0));
                let both = [(&source, &to), (&again, &beside)];
                layer.forward_with(&shortcut.convolution, pass.kernels, scratch, images, both);
            }
        });
        let block = &mut blocks[index];
        block.norm1.use_batch(&training.sums[..pass.parts], pixels);
        if let Some(norm) = block.shortcut.as_mut().and_then(|shortcut| shortcut.norm.as_mut()) {
            norm.use_batch(&training.shortcut_sums[..pass.parts], pixels);
        }
        let sums = SharedPointer::new(&mut training.sums);
        let block = &*block;
        pass.each_part(&|part, thread, images| {
            // SAFETY: as above.
            unsafe {
                let source = normalised(&block.norm1, middle.at(0));
                let finish = own_sums(sums, part, block.norm2.channels).of_outputs();
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
    let part_gradients: Vec<_> = training.part_gradients.iter_mut().map(|buffer| SharedPointer::new(buffer)).collect();
    let blocks_count = blocks.len();

    of_maps(pass, shape, blocks_count - 1, gradients, &training.inputs[blocks_count], spare);
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
                    let at = image * features * pixels;
                    let to = std::slice::from_raw_parts_mut(carried.at(at), features * pixels);
                    head::spread(pooled, pixels, to);
                    if gradients.maps.is_some() {
                        let of_map = std::slice::from_raw_parts(spare.at(at), features * pixels);
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

        training.turned.turn(&block.convolution2, pass.kernels, pass.threads);
        let turned = &training.turned;
        let sums = SharedPointer::new(&mut training.sums);
        {
            let block = &*block;
            pass.each_part(&|part, thread, images| {
                // SAFETY: as above; each part sums weight gradients in its own buffer.
                unsafe {
                    let layer = &block.convolution2;
                    let weights = cleared(part_gradients[part].at(0), layer.added_len());
                    let of_output = Source::Gradient(norm_gradient(&block.norm2, carried.at(0), branch.at(0)));
                    let source = normalised(&block.norm1, middle.at(0));
                    let finish = own_sums(sums, part, block.norm1.channels).of_gated(&block.norm1, middle.at(0));
                    let to = Target { start: null(), output: gradient.at(0), finish };
                    let scratch = &pass.scratch[thread];
                    layer.backward(pass.kernels, scratch, images, &of_output, &source, turned, weights, &to);
                }
            });
        }
        block.norm1.backward(&training.sums[..pass.parts], pixels);
        pass.add_parts(&part_gradients, 0, &mut block.convolution2.descent.gradient);

        training.turned.turn(&block.convolution1, pass.kernels, pass.threads);
        if let Some(shortcut) = &block.shortcut {
            training.turned_shortcut.turn(&shortcut.convolution, pass.kernels, pass.threads);
        }
        // The first block of a group has a shortcut: what it reads has a gradient of its own where a loss looks at the maps.
        let looked_at = index.checked_sub(1).filter(|before| gradients.of_group(shape, *before).is_some());
        if let Some(before) = looked_at {
            assert!(block.shortcut.is_some(), "no identity path begins at the end of a group");
            of_maps(pass, shape, before, gradients, &training.inputs[index], spare);
        }
        let (turned, turned_shortcut) = (&training.turned, &training.turned_shortcut);
        let sums = SharedPointer::new(&mut training.sums);
        let shortcut_start = block.convolution1.weights.len();
        {
            let block = &*block;
            pass.each_part(&|part, thread, images| {
                // SAFETY: as above; where a sum takes the place of its addend, each place is read before it is written.
                unsafe {
                    let layer = &block.convolution1;
                    let weights = cleared(part_gradients[part].at(0), layer.added_len());
                    let of_middle = Source::Gradient(norm_gradient(&block.norm1, gradient.at(0), middle.at(0)));
                    let source = Source::Plain(input.at(0));
                    let sums = own_sums(sums, part, layer.geometry.input_channels);
                    let finish = sums.of_gated_by(input.at(0), branch_before.at(0));
                    let scratch = &pass.scratch[thread];
                    let Some((shortcut, norm)) =
                        block.shortcut.as_ref().and_then(|it| it.norm.as_ref().map(|norm| (it, norm)))
                    else {
                        let to = Target { start: carried.at(0), output: carried.at(0), finish };
                        return layer.backward(
                            pass.kernels,
                            scratch,
                            images,
                            &of_middle,
                            &source,
                            turned,
                            weights,
                            &to,
                        );
                    };
                    let of_shortcut = Source::Gradient(norm_gradient(norm, carried.at(0), shortcut_output.at(0)));
                    let start = if looked_at.is_some() { spare.at(0).cast_const() } else { null() };
                    let to = Target { start, output: spare.at(0), finish: Finish::Stored };
                    let added = Target { start: spare.at(0), output: spare.at(0), finish };
                    let shortcut_weights =
                        cleared(part_gradients[part].at(shortcut_start), shortcut.convolution.added_len());
                    layer.backward_with(
                        &shortcut.convolution,
                        pass.kernels,
                        scratch,
                        images,
                        [&of_middle, &of_shortcut],
                        &source,
                        [turned, turned_shortcut],
                        [weights, shortcut_weights],
                        [&to, &added],
                    );
                }
            });
        }
        pass.add_parts(&part_gradients, 0, &mut block.convolution1.descent.gradient);
        if let Some(shortcut) = &mut block.shortcut {
            pass.add_parts(&part_gradients, shortcut_start, &mut shortcut.convolution.descent.gradient);
            // An image's gradient of another size would overwrite that of others.
            std::mem::swap(&mut carried, &mut spare);
        }
    }
    let size = shape.image_size;
    stem.backward(&training.sums[..pass.parts], pass.batch * size * size);
    let input = SharedPointer::new(&mut training.branches[0]);
    BeforeNorm { constants: stem.gradient_constants(), gated: carried, input, skip: None }
}

/// Where a loss looks at the map of the group that ends with this block: its gradient on the block's output, to `to`.
fn of_maps(
    pass: &Pass<'_>,
    shape: &Shape,
    block: usize,
    gradients: &OutputGradients<'_>,
    output: &Buffer,
    to: SharedPointer<f32>,
) {
    let Some((group, map_gradients)) = gradients.of_group(shape, block) else { return };
    let pixels = shape.attention_pixels()[group];
    let channels = shape.group_channels[group];
    let len = pixels * channels;
    pass.each_part(&|_, _, images| {
        for image in images {
            // SAFETY: each image has its own stretch.
            let to = unsafe { std::slice::from_raw_parts_mut(to.at(image * len), len) };
            let map_gradient = &map_gradients[image * pixels..][..pixels];
            attention::activation_gradient(map_gradient, &output[image * len..][..len], channels, to);
        }
    });
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
