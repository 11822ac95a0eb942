//! Convolutions of stride 1 by F(4×4, 3×3): a quarter of the multiplications, for transforms of what goes in and comes out.
//!
//! A *tile* is 4×4 outputs and the 6×6 inputs that they read; a *strip* is a row of tiles of one image; a *chunk* is as many
//! strips, of one image or several, as are worked on at a time, so that what lies between the transforms and the products
//! stays in the second cache. Transformed, an activation is `[position][block][tile][16]` and weights are
//! `[position][output block][input block][input channel][16]`.
//!
//! An output is the same sum in the same order however its image is cut into chunks and whatever else is in them.

mod passes;
#[cfg(test)]
mod tests;
mod transforms;
mod write;

use std::ops::Range;
use std::ptr::null_mut;

use crate::buffer::BLOCK;
use crate::convolution::Sweep;
use crate::instances::Kernels;
use crate::padded::Window;
use crate::threads::SharedPointer;

pub(crate) use passes::{outer_products, transform, transform_weights, weight_gradient};
pub(crate) use write::{Finish, Writing, write};

/// Height and width of a tile's outputs, and of what it reads.
pub(crate) const TILE: usize = 4;
pub(crate) const REACH: usize = TILE + 2;

/// Places at which transformed numbers are multiplied.
pub(crate) const POSITIONS: usize = REACH * REACH;

/// Tiles × blocks of channels that a chunk has about, and the fewest tiles: fewer would not repay reading the weights.
const CHUNK: usize = 64;
const TILES_MIN: usize = 16;

/// Geometry of one convolution.
pub(crate) struct Winograd {
    pub(crate) size: usize,
    /// Tiles in a strip, and strips in an image.
    pub(crate) across: usize,
    pub(crate) input_blocks: usize,
    pub(crate) output_blocks: usize,
    /// Strips in a chunk.
    pub(crate) strips: usize,
    /// Forward: from transformed inputs to transformed outputs at one position.
    pub(crate) forward: Sweep,
    /// Gradient on the input: from transformed gradients on outputs.
    pub(crate) input_gradient: Sweep,
}

impl Winograd {
    /// `None` where tiles would hang over the image's edge so far that less than half of the multiplications is saved.
    pub(crate) fn new(input_channels: usize, output_channels: usize, size: usize) -> Option<Self> {
        let across = size.div_ceil(TILE);
        if 9 * size * size < 2 * POSITIONS * across * across {
            return None;
        }
        let (input_blocks, output_blocks) = (input_channels / BLOCK, output_channels / BLOCK);
        let strips = strips(input_blocks.max(output_blocks), across);
        let tiles = strips * across;
        Some(Winograd {
            size,
            across,
            input_blocks,
            output_blocks,
            strips,
            forward: Sweep::product(tiles, input_blocks, output_blocks),
            input_gradient: Sweep::product(tiles, output_blocks, input_blocks),
        })
    }

    /// Tiles in a full chunk.
    pub(crate) fn tiles(&self) -> usize {
        self.strips * self.across
    }

    /// Floats between positions. Powers of two would meet in the same lines of the cache.
    pub(crate) fn plane(&self, blocks: usize) -> usize {
        blocks * self.tiles() * BLOCK + BLOCK
    }

    /// Floats of a chunk of transformed activations of this convolution.
    pub(crate) fn transformed_len(&self) -> usize {
        POSITIONS * self.plane(self.input_blocks.max(self.output_blocks))
    }

    /// Floats of transformed weights.
    pub(crate) fn weights_len(&self) -> usize {
        POSITIONS * self.input_blocks * self.output_blocks * BLOCK * BLOCK
    }

    /// Pixels in a row of a padded image: more than two beyond the image's where tiles hang over its edge.
    pub(crate) fn side(&self) -> usize {
        self.across * TILE + 2
    }

    /// All of a padded image.
    pub(crate) fn window(&self) -> Window {
        Window { size: self.size, side: self.side() }
    }

    /// The strips of these images, a chunk at a time.
    fn chunks(&self, images: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (end, step) = (images.end * self.across, self.strips);
        (images.start * self.across..end).step_by(step).map(move |start| start..end.min(start + step))
    }

    /// The convolution with transformed `weights`, for these images; `pad` puts an image of what is read into the scratch. Outputs
    /// begin `stride` floats after those of the image before.
    ///
    /// # Safety
    /// The kernels' instruction set; pointers to whole activations of at least `images.end` images of this geometry.
    pub(crate) unsafe fn forward(
        &self,
        kernels: &Kernels,
        scratch: &Scratch,
        images: Range<usize>,
        mut pad: impl FnMut(usize, *mut f32),
        weights: *const f32,
        (to, stride): (&Target, usize),
    ) {
        // SAFETY: the caller's promises; the scratch is made for the largest convolution.
        unsafe {
            let [read, products, _] = scratch.transformed.map(|buffer| buffer.at(0));
            for strips in self.chunks(images) {
                self.read(
                    kernels,
                    self.input_blocks,
                    strips.clone(),
                    scratch.padded[0].at(0),
                    &mut pad,
                    read,
                    null_mut(),
                );
                (kernels.winograd_products)(
                    &self.forward,
                    strips.len() * self.across,
                    (read, self.plane(self.input_blocks)),
                    weights,
                    (products, self.plane(self.output_blocks)),
                );
                let blocks = self.output_blocks;
                (kernels.winograd_write)(&Writing { geometry: self, blocks, strips, products, to, stride });
            }
        }
    }

    /// Both gradients, for these images: the scratch's `weight_gradient` is set to the gradient on the transformed weights;
    /// the gradient on what is read goes to `to`. `weights` are transformed and turned.
    ///
    /// # Safety
    /// As [`Winograd::forward`].
    #[allow(clippy::too_many_arguments)]
    pub(crate) unsafe fn backward(
        &self,
        kernels: &Kernels,
        scratch: &Scratch,
        images: Range<usize>,
        mut pad: impl FnMut(usize, *mut f32),
        mut pad_gradient: impl FnMut(usize, *mut f32),
        weights: *const f32,
        (to, stride): (&Target, usize),
    ) {
        // SAFETY: the caller's promises; the scratch is made for the largest convolution.
        unsafe {
            let [read, outer, transformed] = scratch.transformed.map(|buffer| buffer.at(0));
            let [padded, padded_gradient] = scratch.padded.map(|buffer| buffer.at(0));
            let (inputs, outputs) = (self.input_blocks, self.output_blocks);
            let first = images.start * self.across;
            for strips in self.chunks(images) {
                let tiles = strips.len() * self.across;
                self.read(kernels, outputs, strips.clone(), padded_gradient, &mut pad_gradient, transformed, outer);
                self.read(kernels, inputs, strips.clone(), padded, &mut pad, read, null_mut());
                let sums = scratch.weight_gradient.at(0);
                (kernels.winograd_outer_products)(self, tiles, read, outer, sums, strips.start > first);
                // What was read is spent: the products take its place.
                let (input, output) = ((transformed.cast_const(), self.plane(outputs)), (read, self.plane(inputs)));
                (kernels.winograd_products)(&self.input_gradient, tiles, input, weights, output);
                let products = read.cast_const();
                (kernels.winograd_write)(&Writing { geometry: self, blocks: inputs, strips, products, to, stride });
            }
        }
    }

    /// Transforms the strips of a chunk, each image padded when its first strip is asked for.
    ///
    /// # Safety
    /// As [`Winograd::forward`].
    #[allow(clippy::too_many_arguments)]
    unsafe fn read(
        &self,
        kernels: &Kernels,
        blocks: usize,
        strips: Range<usize>,
        padded: *mut f32,
        mut pad: impl FnMut(usize, *mut f32),
        transformed: *mut f32,
        outer: *mut f32,
    ) {
        // SAFETY: the caller's promises.
        unsafe {
            for (nth, strip) in strips.enumerate() {
                let (image, row) = (strip / self.across, strip % self.across);
                if row == 0 {
                    pad(image, padded);
                }
                let from = padded.add(row * TILE * self.side() * BLOCK);
                let at = nth * self.across * BLOCK;
                let outer = if outer.is_null() { outer } else { outer.add(at) };
                (kernels.winograd_transform)(self, blocks, from, transformed.add(at), outer);
            }
        }
    }
}

/// Strips in a chunk of a convolution with so many blocks of channels on its wider side.
fn strips(blocks: usize, across: usize) -> usize {
    ((CHUNK / blocks).max(TILES_MIN) / across).max(1)
}

/// Where a convolution's outputs go: `output = sum (+ start)`, and what is done with each on its way.
pub(crate) struct Target {
    /// Null, or an activation to be added; may be `output` itself.
    pub(crate) start: *const f32,
    pub(crate) output: *mut f32,
    pub(crate) finish: Finish,
}

/// What a thread works in.
#[derive(Clone, Copy)]
pub(crate) struct Scratch {
    /// An image's input and gradient inside a border of zeros.
    pub(crate) padded: [SharedPointer<f32>; 2],
    pub(crate) transformed: [SharedPointer<f32>; 3],
    pub(crate) weight_gradient: SharedPointer<f32>,
}
