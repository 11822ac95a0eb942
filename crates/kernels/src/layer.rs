//! A convolution with what happens before it and after it: directly, or by Winograd's products where its geometry has them.

use std::ops::Range;
use std::ptr::null;

use crate::buffer::{BLOCK, Buffer};
use crate::channels::Channels;
use crate::convolution::Convolution;
use crate::descent::Descent;
use crate::instances::Kernels;
use crate::padded::{Joined, NormGradient, Window};
use crate::threads::SharedPointer;
use crate::winograd::{self, Finish, Scratch, Target, Winograd};

/// A convolution and its weights, in the kernels' layout.
pub(crate) struct Layer {
    pub(crate) geometry: Convolution,
    /// Which of the geometry's channels are the network's.
    pub(crate) inputs: Channels,
    pub(crate) outputs: Channels,
    pub(crate) weights: Buffer,
    /// The weights as Winograd's products read them.
    pub(crate) transformed: Buffer,
    pub(crate) descent: Descent,
}

impl Layer {
    /// `trains`: whether it needs what descent keeps.
    pub(crate) fn new(geometry: Convolution, trains: bool) -> Self {
        let channels = geometry.channels();
        Self::of_channels(geometry, channels, trains)
    }

    /// As [`Layer::new`], where not all of the geometry's channels are the network's.
    pub(crate) fn of_channels(geometry: Convolution, [inputs, outputs]: [Channels; 2], trains: bool) -> Self {
        let len = geometry.weights_len();
        let transformed = geometry.winograd.as_ref().map_or(0, |winograd| winograd.weights_len());
        Layer {
            geometry,
            inputs,
            outputs,
            weights: Buffer::zeros(len),
            transformed: Buffer::zeros(transformed),
            descent: Descent::new(len, trains),
        }
    }

    /// Transforms the weights; to be called whenever they have changed.
    pub(crate) fn transform(&mut self, kernels: &Kernels) {
        let pairs = self.transformed.len() / (winograd::POSITIONS * BLOCK * BLOCK);
        // SAFETY: the instruction set is available; the buffers were made for these weights.
        unsafe {
            (kernels.winograd_weights)(self.weights.as_ptr(), self.transformed.as_mut_ptr(), pairs, 0..pairs, false);
        }
    }

    /// The convolution of `source` for these images, to `to`.
    ///
    /// # Safety
    /// The kernels' instruction set; pointers to whole activations of at least `images.end` images of this geometry; nobody else
    /// uses the scratch.
    pub(crate) unsafe fn forward(
        &self,
        kernels: &Kernels,
        scratch: &Scratch,
        images: Range<usize>,
        source: &Source,
        to: &Target,
    ) {
        let geometry = &self.geometry;
        // SAFETY: the caller's promises.
        unsafe {
            if let Some(winograd) = &geometry.winograd {
                let weights = self.transformed.as_ptr();
                let (blocks, window) = (winograd.input_blocks, winograd.window());
                let pad = |image, to| source.pad(kernels, image * geometry.input_stride, blocks, &window, to);
                return winograd.forward(kernels, scratch, images, pad, weights, (to, geometry.output_stride));
            }
            let window = Window::whole(geometry.input_size);
            let padded = scratch.padded[0].at(0);
            for image in images {
                source.pad(kernels, image * geometry.input_stride, geometry.input_channels / BLOCK, &window, padded);
                let at = image * geometry.output_stride;
                let (start, output) = (offset(to.start, at), to.output.add(at));
                (kernels.convolve)(&geometry.forward, padded, self.weights.as_ptr(), output, start);
                finish(kernels, to, at, output, geometry.output_channels / BLOCK, geometry.output_size());
            }
        }
    }

    /// Weight gradients that [`Layer::backward`] adds to what is there: all, or none where it sets them.
    pub(crate) fn added_len(&self) -> usize {
        if self.geometry.winograd.is_some() { 0 } else { self.weights.len() }
    }

    /// For these images the gradient on what `input` gives, to `to`, and on the weights, from `gradient`, that on the outputs.
    /// `turned`: of these weights.
    ///
    /// # Safety
    /// As [`Layer::forward`]; `weight_gradient` covers the weights.
    #[allow(clippy::too_many_arguments)]
    pub(crate) unsafe fn backward(
        &self,
        kernels: &Kernels,
        scratch: &Scratch,
        images: Range<usize>,
        gradient: &Source,
        input: &Source,
        turned: &Turned,
        weight_gradient: *mut f32,
        to: &Target,
    ) {
        let geometry = &self.geometry;
        // SAFETY: the caller's promises.
        unsafe {
            if let Some(winograd) = &geometry.winograd {
                let weights = turned.transformed.as_ptr();
                let window = winograd.window();
                let (inputs, outputs) = (winograd.input_blocks, winograd.output_blocks);
                let pad = |image, to| input.pad(kernels, image * geometry.input_stride, inputs, &window, to);
                let pad_gradient = |image, to| {
                    gradient.pad(kernels, image * geometry.output_stride, outputs, &window, to);
                };
                let to = (to, geometry.input_stride);
                winograd.backward(kernels, scratch, images, pad, pad_gradient, weights, to);
                let pairs = winograd.input_blocks * winograd.output_blocks;
                (kernels.winograd_weight_gradient)(scratch.weight_gradient.at(0), weight_gradient, pairs);
                return;
            }
            let (size, output_size) = (geometry.input_size, geometry.output_size());
            let (input_blocks, output_blocks) = (geometry.input_channels / BLOCK, geometry.output_channels / BLOCK);
            let [padded, padded_gradient] = scratch.padded.map(|padded| padded.at(0));
            for image in images {
                let window = Window::whole(output_size);
                gradient.pad(kernels, image * geometry.output_stride, output_blocks, &window, padded_gradient);
                input.pad(kernels, image * geometry.input_stride, input_blocks, &Window::whole(size), padded);
                (kernels.weight_gradient)(&geometry.weight_gradient, padded, padded_gradient, weight_gradient);
                let at = image * geometry.input_stride;
                let output = match to.finish {
                    // What the padded input's place is free for: it must not overwrite what it is to be added to.
                    Finish::Accumulated { .. } => padded,
                    _ => to.output.add(at),
                };
                for sweep in &geometry.input_gradient {
                    (kernels.convolve)(
                        sweep,
                        padded_gradient,
                        turned.transposed.as_ptr(),
                        output,
                        offset(to.start, at),
                    );
                }
                finish(kernels, to, at, output, input_blocks, size);
            }
        }
    }
}

impl Layer {
    /// As [`Layer::forward`], and another convolution of the same, each from its source to its target. An image at a time, what a
    /// direct convolution reads is still there for the other one.
    ///
    /// # Safety
    /// As [`Layer::forward`] of both.
    pub(crate) unsafe fn forward_with(
        &self,
        other: &Layer,
        kernels: &Kernels,
        scratch: &Scratch,
        images: Range<usize>,
        [(source, to), (other_source, other_to)]: [(&Source, &Target); 2],
    ) {
        let (step, other_source) = self.beside(&images, other_source);
        for first in images.step_by(step) {
            // SAFETY: the caller's promises.
            unsafe {
                self.forward(kernels, scratch, first..first + step, source, to);
                other.forward(kernels, scratch, first..first + step, other_source, other_to);
            }
        }
    }

    /// As [`Layer::backward`], and another convolution's of the same after it.
    ///
    /// # Safety
    /// As [`Layer::backward`] of both.
    #[allow(clippy::too_many_arguments)]
    pub(crate) unsafe fn backward_with(
        &self,
        other: &Layer,
        kernels: &Kernels,
        scratch: &Scratch,
        images: Range<usize>,
        gradients: [&Source; 2],
        input: &Source,
        turned: [&Turned; 2],
        weight_gradients: [*mut f32; 2],
        to: [&Target; 2],
    ) {
        let (step, again) = self.beside(&images, input);
        for first in images.step_by(step) {
            for (nth, layer) in [self, other].into_iter().enumerate() {
                let input = if nth == 0 { input } else { again };
                let (gradient, turned, weights, to) = (gradients[nth], turned[nth], weight_gradients[nth], to[nth]);
                // SAFETY: the caller's promises.
                unsafe { layer.backward(kernels, scratch, first..first + step, gradient, input, turned, weights, to) }
            }
        }
    }

    /// How many images it takes at a time beside another convolution of the same, and what that one reads then.
    fn beside<'a>(&self, images: &Range<usize>, again: &'a Source) -> (usize, &'a Source) {
        match self.geometry.winograd {
            Some(_) => (images.len(), again),
            None => (1, &Source::Padded),
        }
    }
}

fn offset(pointer: *const f32, by: usize) -> *const f32 {
    if pointer.is_null() { null() } else { pointer.wrapping_add(by) }
}

/// What a convolution reads. Pointers are to the first image; constants are per channel.
pub(crate) enum Source {
    Plain(*const f32),
    /// `relu(scale·input + shift)`.
    Normalised {
        input: *const f32,
        scale: *const f32,
        shift: *const f32,
    },
    /// Means over 2×2 pixels of `relu(scale·input + shift)`.
    Pooled {
        input: *const f32,
        scale: *const f32,
        shift: *const f32,
    },
    /// What a ReLU after a sum gives, which is kept.
    Joined(Joined),
    /// The gradient on what a batch norm read.
    Gradient(NormGradient),
    /// What a direct convolution has read just before, of the one image in question: it is still there.
    Padded,
}

impl Source {
    /// The image that begins at this place, inside a border of zeros.
    ///
    /// # Safety
    /// As [`Layer::forward`].
    pub(crate) unsafe fn pad(&self, kernels: &Kernels, at: usize, blocks: usize, window: &Window, padded: *mut f32) {
        // SAFETY: the caller's promises.
        unsafe {
            match self {
                Source::Plain(input) => (kernels.copy_padded)(input.add(at), padded, blocks, window),
                Source::Normalised { input, scale, shift } => {
                    (kernels.normalise_padded)(input.add(at), padded, blocks, window, *scale, *shift);
                }
                Source::Pooled { input, scale, shift } => {
                    (kernels.pool_padded)(input.add(at), padded, blocks, window, *scale, *shift);
                }
                Source::Joined(of) => (kernels.join_padded)(&of.at(at), padded, blocks, window),
                Source::Gradient(of) => (kernels.norm_gradient_padded)(&of.at(at, 0), padded, blocks, window),
                Source::Padded => {}
            }
        }
    }
}

/// What is done with the outputs of an image, which a direct convolution has stored at `output`; the image begins `at` this place in
/// all activations.
///
/// # Safety
/// As [`Layer::forward`].
unsafe fn finish(kernels: &Kernels, to: &Target, at: usize, output: *mut f32, blocks: usize, size: usize) {
    let pixels = size * size;
    // SAFETY: the caller's promises.
    unsafe {
        match to.finish {
            Finish::Stored => {}
            Finish::Summed { sums, squares } => (kernels.statistics)(output, blocks, pixels, sums, squares),
            Finish::Gated { input, scale, shift, sums, products } => {
                (kernels.gate)(output, input.add(at), blocks, pixels, scale, shift, sums, products);
            }
            Finish::GatedByOutput { output: gate, input, sums, products } => {
                (kernels.gate_by_output)(output, gate.add(at), input.add(at), blocks, pixels, sums, products);
            }
            Finish::Accumulated { input, scale, shift, sums, products } => {
                let (onto, input) = (to.output.add(at), input.add(at));
                (kernels.accumulate)(output, onto, input, blocks, pixels, scale, shift, sums, products);
            }
            Finish::Rectified { .. } => unreachable!("only what Winograd's products give is rectified on its way"),
        }
    }
}

/// Weights as a gradient on the input reads them, for one layer at a time.
pub(crate) struct Turned {
    pub(crate) transposed: Buffer,
    pub(crate) transformed: Buffer,
}

impl Turned {
    /// Room for the largest of some layers.
    pub(crate) fn new<'a>(layers: impl Iterator<Item = &'a Layer> + Clone) -> Self {
        let largest = |len: fn(&Layer) -> usize| Buffer::zeros(layers.clone().map(len).max().unwrap_or(0));
        Turned {
            transposed: largest(|layer| layer.weights.len()),
            transformed: largest(|layer| layer.transformed.len()),
        }
    }

    /// Turns a layer's weights, its input blocks shared between threads.
    pub(crate) fn turn(&mut self, layer: &Layer, kernels: &Kernels, threads: &crate::threads::Threads) {
        let (transposed, transformed) =
            (SharedPointer::new(&mut self.transposed), SharedPointer::new(&mut self.transformed));
        let (inputs, outputs) = (layer.geometry.input_channels / BLOCK, layer.geometry.output_channels / BLOCK);
        threads.run(inputs, &|input, _| {
            // SAFETY: each input block has stretches of its own in both buffers.
            unsafe {
                layer.geometry.transpose(&layer.weights, input, transposed.at(0));
                if layer.geometry.winograd.is_some() {
                    let of = input * outputs..(input + 1) * outputs;
                    (kernels.winograd_weights)(transposed.at(0), transformed.at(0), inputs * outputs, of, true);
                }
            }
        });
    }
}

/// The buffers behind a [`Scratch`].
pub(crate) struct Space {
    pub(crate) padded: [Buffer; 2],
    pub(crate) transformed: [Buffer; 3],
    pub(crate) weight_gradient: Buffer,
}

impl Space {
    /// Room for the largest of some layers; `trains`: whether gradients are wanted.
    pub(crate) fn new<'a>(layers: impl Iterator<Item = &'a Layer> + Clone, trains: bool) -> Self {
        let largest = |len: fn(&Layer) -> usize| layers.clone().map(len).max().unwrap_or(0);
        let of_winograd = |len: fn(&Winograd) -> usize| {
            layers.clone().filter_map(|layer| layer.geometry.winograd.as_ref()).map(len).max().unwrap_or(0)
        };
        let if_trains = |len| Buffer::zeros(if trains { len } else { 0 });
        let padded = largest(|layer| {
            let geometry = &layer.geometry;
            let side = geometry.winograd.as_ref().map_or(geometry.input_size + 2, Winograd::side);
            geometry.input_channels.max(geometry.output_channels) * side * side
        });
        let transformed = of_winograd(Winograd::transformed_len);
        Space {
            padded: [Buffer::zeros(padded), if_trains(padded)],
            transformed: [Buffer::zeros(transformed), Buffer::zeros(transformed), if_trains(transformed)],
            weight_gradient: if_trains(of_winograd(Winograd::weights_len)),
        }
    }

    pub(crate) fn pointers(&mut self) -> Scratch {
        Scratch {
            padded: self.padded.each_mut().map(|buffer| SharedPointer::new(buffer)),
            transformed: self.transformed.each_mut().map(|buffer| SharedPointer::new(buffer)),
            weight_gradient: SharedPointer::new(&mut self.weight_gradient),
        }
    }
}
