//! What the passes over a batch have in common, whatever the network is made of.

use std::ops::Range;
use std::ptr::{null, null_mut};

use crate::buffer::Buffer;
use crate::instances::Kernels;
use crate::layer::{Layer, Source};
use crate::network::{Block, ThreadSpace, Training, parts};
use crate::norm::{Norm, Sums};
use crate::padded::NormGradient;
use crate::threads::{SharedPointer, Threads};
use crate::winograd::{Finish, Scratch, Target};

/// A pass of a training step over a batch: who works, with what, on how many images in how many parts.
pub(crate) struct Pass<'a> {
    pub(crate) kernels: &'a Kernels,
    pub(crate) threads: &'a Threads,
    /// Of each thread.
    pub(crate) scratch: Vec<Scratch>,
    pub(crate) batch: usize,
    pub(crate) parts: usize,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(kernels: &'a Kernels, threads: &'a Threads, spaces: &mut [ThreadSpace], batch: usize) -> Self {
        let scratch = spaces.iter_mut().map(|space| space.convolutions.pointers()).collect();
        Pass { kernels, threads, scratch, batch, parts: parts(batch).0 }
    }

    /// Calls `work(part, thread, images)` for each part of the batch.
    pub(crate) fn each_part(&self, work: &(dyn Fn(usize, usize, Range<usize>) + Sync)) {
        each_part(self.threads, self.batch, work);
    }

    /// `total = Σ parts`, in the parts' order; the parts' sums begin at `start`.
    pub(crate) fn add_parts(&self, parts: &[SharedPointer<f32>], start: usize, total: &mut Buffer) {
        const STRETCH: usize = 16 * 1024;
        let parts = &parts[..self.parts];
        let len = total.len();
        let to = SharedPointer::new(total);
        self.threads.run(len.div_ceil(STRETCH), &|stretch, _| {
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

    /// The gradients of a convolution that reads `relu(norm(input))`: on its weights and on what the batch norm has learnt, and, gated
    /// by the ReLU, that on what the batch norm gave. It goes to `to` as `finish` says. `of_outputs`: the gradient on what the
    /// convolution gave.
    pub(crate) fn backward_normalised(
        &self,
        (layer, norm): (&mut Layer, &mut Norm),
        of_outputs: &BeforeNorm,
        [input, to]: [SharedPointer<f32>; 2],
        finish: fn(&mut Sums, &Norm, *const f32) -> Finish,
        training: &mut Training,
    ) {
        training.turned.turn(layer, self.kernels, self.threads);
        let turned = &training.turned;
        let part_gradients = pointers(&mut training.part_gradients);
        let sums = SharedPointer::new(&mut training.sums);
        {
            let (layer, norm) = (&*layer, &*norm);
            self.each_part(&|part, thread, images| {
                // SAFETY: each thread has its own scratch, each part its own sums and weight gradients, each image its own stretch of all
                // activations, made for these lengths; the instruction set is available. Where a gradient takes the place of the
                // one it is made from, the whole image was read before.
                unsafe {
                    let weights = cleared(part_gradients[part].at(0), layer.added_len());
                    let of_outputs = Source::Gradient(of_outputs.gradient());
                    let source = normalised(norm, input.at(0));
                    let finish = finish(own_sums(sums, part, norm.channels), norm, input.at(0));
                    let to = Target { start: null(), output: to.at(0), finish };
                    let scratch = &self.scratch[thread];
                    layer.backward(self.kernels, scratch, images, &of_outputs, &source, turned, weights, &to);
                }
            });
        }
        let size = layer.geometry.input_size;
        norm.backward(&training.sums[..self.parts], self.batch * size * size);
        self.add_parts(&part_gradients, 0, &mut layer.descent.gradient);
    }

    /// The gradients of a block's first convolution and of its shortcut, where it has one: on their weights, and on what both read.
    /// `of` says what they are made from, given a part's own sums for the channels that are read.
    pub(crate) fn backward_first(
        &self,
        block: &mut Block,
        training: &mut Training,
        of: &(dyn Fn(&Block, &mut Sums) -> FirstGradients + Sync),
    ) {
        training.turned.turn(&block.convolution1, self.kernels, self.threads);
        if let Some(shortcut) = &block.shortcut {
            training.turned_shortcut.turn(&shortcut.convolution, self.kernels, self.threads);
        }
        let turned = [&training.turned, &training.turned_shortcut];
        let part_gradients = pointers(&mut training.part_gradients);
        let sums = SharedPointer::new(&mut training.sums);
        // The shortcut's gradients lie behind the others.
        let behind = block.convolution1.weights.len();
        {
            let block = &*block;
            self.each_part(&|part, thread, images| {
                // SAFETY: as above; where a sum takes the place of its addend, each place is read before it is written.
                unsafe {
                    let layer = &block.convolution1;
                    let own = own_sums(sums, part, layer.geometry.input_channels);
                    let FirstGradients { of_middle, of_shortcut, input, to } = of(block, own);
                    let weights = cleared(part_gradients[part].at(0), layer.added_len());
                    let (kernels, scratch) = (self.kernels, &self.scratch[thread]);
                    let Some((shortcut, of_shortcut)) = block.shortcut.as_ref().zip(of_shortcut) else {
                        return layer.backward(kernels, scratch, images, &of_middle, &input, turned[0], weights, &to);
                    };
                    let other = &shortcut.convolution;
                    let other_weights = cleared(part_gradients[part].at(behind), other.added_len());
                    let stored = Target { finish: Finish::Stored, ..to };
                    let added = Target { start: to.output, ..to };
                    let (gradients, weights) = ([&of_middle, &of_shortcut], [weights, other_weights]);
                    let to = [&stored, &added];
                    layer.backward_with(other, kernels, scratch, images, gradients, &input, turned, weights, to);
                }
            });
        }
        self.add_parts(&part_gradients, 0, &mut block.convolution1.descent.gradient);
        if let Some(shortcut) = &mut block.shortcut {
            self.add_parts(&part_gradients, behind, &mut shortcut.convolution.descent.gradient);
        }
    }
}

/// What the gradients of a block's first convolution, and of the shortcut beside it, are made from in one part of a batch.
pub(crate) struct FirstGradients {
    /// The gradient on what the first convolution gave.
    pub(crate) of_middle: Source,
    /// That on what the shortcut gave, where the block has one.
    pub(crate) of_shortcut: Option<Source>,
    /// What both read.
    pub(crate) input: Source,
    /// Where the sum of both gradients on it goes, and what is done with it.
    pub(crate) to: Target,
}

/// Of each part of a batch.
pub(crate) fn pointers(parts: &mut [Buffer]) -> Vec<SharedPointer<f32>> {
    parts.iter_mut().map(|buffer| SharedPointer::new(buffer)).collect()
}

/// Calls `work(part, thread, images)` for each part of a batch.
pub(crate) fn each_part(threads: &Threads, batch: usize, work: &(dyn Fn(usize, usize, Range<usize>) + Sync)) {
    let (parts, images) = parts(batch);
    threads.run(parts, &|part, thread| work(part, thread, part * images..batch.min((part + 1) * images)));
}

/// What a convolution reads after a batch norm of this batch's statistics and its ReLU.
pub(crate) fn normalised(norm: &Norm, input: *const f32) -> Source {
    Source::Normalised { input, scale: norm.scale.as_ptr(), shift: norm.shift.as_ptr() }
}

/// What a convolution reads after a batch norm of running statistics and its ReLU.
pub(crate) fn running(norm: &Norm, input: *const f32) -> Source {
    Source::Normalised { input, scale: norm.running_scale.as_ptr(), shift: norm.running_shift.as_ptr() }
}

/// What is done with the outputs of a convolution before a batch norm of running statistics and its ReLU, and what reads them then
/// from where they lie: where it can, the convolution does what those would.
pub(crate) fn rectified(convolution: &Layer, norm: &Norm, outputs: *const f32) -> (Source, Finish) {
    let (scale, shift) = (norm.running_scale.as_ptr(), norm.running_shift.as_ptr());
    match convolution.geometry.winograd {
        Some(_) => (Source::Plain(outputs), Finish::Rectified { scale, shift }),
        None => (running(norm, outputs), Finish::Stored),
    }
}

/// The gradient on what `norm` read, `input`, from the gradient on what its ReLU gave, already gated; or on what it gave itself,
/// where no ReLU follows.
pub(crate) fn norm_gradient(norm: &Norm, gated: *const f32, input: *const f32) -> NormGradient {
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

/// Where the gradient on what batch norms read is made from, in a form that threads share.
pub(crate) struct BeforeNorm {
    /// By the gated gradient, by the input, and constant.
    pub(crate) constants: [SharedPointer<f32>; 3],
    pub(crate) gated: SharedPointer<f32>,
    pub(crate) input: SharedPointer<f32>,
    /// A gradient to add: that of an identity path.
    pub(crate) skip: Option<SharedPointer<f32>>,
    /// Where it is written too.
    pub(crate) plain: Option<SharedPointer<f32>>,
}

impl BeforeNorm {
    /// From the gradient on what the batch norm gave, gated by its ReLU, and what it read.
    pub(crate) fn new(norm: &mut Norm, gated: SharedPointer<f32>, input: SharedPointer<f32>) -> Self {
        BeforeNorm { constants: norm.gradient_constants(), gated, input, skip: None, plain: None }
    }

    /// Of the first image on.
    pub(crate) fn gradient(&self) -> NormGradient {
        // SAFETY: all of them have a beginning.
        unsafe {
            let [by_gradient, by_input, constant] = self.constants.map(|constants| constants.at(0).cast_const());
            NormGradient {
                gated: self.gated.at(0),
                input: self.input.at(0),
                skip: self.skip.map_or(null(), |skip| skip.at(0)),
                plain: self.plain.map_or(null_mut(), |plain| plain.at(0)),
                by_gradient,
                by_input,
                constant,
            }
        }
    }
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

/// Weight gradients that are added to, set to zero.
///
/// # Safety
/// `weights` covers `len` numbers, which nobody else uses.
pub(crate) unsafe fn cleared(weights: *mut f32, len: usize) -> *mut f32 {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(weights, len) }.fill(0.0);
    weights
}
