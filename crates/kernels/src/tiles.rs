//! The two micro-kernels: everything that costs is in their inner loops.
//!
//! `CHANNELS` input channels lie side by side at a pixel and `STRIDE` floats separate the pixels that
//! neighbouring outputs read; both are constants, so that every address is a base plus an immediate.

// The indices are registers: they address several arrays and pointers at once.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use crate::buffer::BLOCK;
use crate::convolution::{Sweep, WeightSweep};
use crate::simd::Simd;

/// Rows of the image for which the weight gradient visits all taps before it goes on: what they read stays
/// in the first cache.
const BAND: usize = 8;

/// The outputs of `sweep` in these columns and these blocks of output channels, `PIXELS` × `BLOCKS`·16 of
/// them at a time in registers. An output is summed in the order of the taps and of the channels in a tap, whatever the
/// tile: columns may be cut anywhere without changing a bit.
///
/// # Safety
/// The instruction set of `V`. `columns` a multiple of `PIXELS` long, `blocks` of `BLOCKS`, both within the
/// sweep's. The pointers cover the sweep's extents; `start` (where sums begin) is null for zero, or covers
/// the extent of the output, and may be the output itself.
#[inline(always)]
pub(crate) unsafe fn columns<
    V: Simd,
    const PIXELS: usize,
    const BLOCKS: usize,
    const CHANNELS: usize,
    const STRIDE: usize,
>(
    sweep: &Sweep,
    columns: Range<usize>,
    blocks: Range<usize>,
    input: *const f32,
    weights: *const f32,
    output: *mut f32,
    start: *const f32,
) {
    // SAFETY: the caller's promises; every offset below stays within the sweep's extents by their definition.
    unsafe {
        for block in blocks.step_by(BLOCKS) {
            let weights = weights.add(block * sweep.weight_block);
            for row in 0..sweep.rows {
                for column in columns.clone().step_by(PIXELS) {
                    let input = input.add(row * sweep.input_row + column * STRIDE);
                    let at = sweep.output_start
                        + block * sweep.output_block
                        + row * sweep.output_row
                        + column * sweep.output_pixel;
                    let mut sums = [[V::splat(0.0); BLOCKS]; PIXELS];
                    if !start.is_null() {
                        for pixel in 0..PIXELS {
                            for b in 0..BLOCKS {
                                sums[pixel][b] =
                                    V::load(start.add(at + pixel * sweep.output_pixel + b * sweep.output_block));
                            }
                        }
                    }
                    for tap in &sweep.taps {
                        let input = input.add(tap.input);
                        let weights = weights.add(tap.weight);
                        for channel in 0..CHANNELS {
                            let mut weight = [V::splat(0.0); BLOCKS];
                            for b in 0..BLOCKS {
                                weight[b] = V::load(weights.add(channel * BLOCK + b * sweep.weight_block));
                            }
                            for pixel in 0..PIXELS {
                                let value = V::splat(*input.add(pixel * STRIDE + channel));
                                for b in 0..BLOCKS {
                                    sums[pixel][b] = value.multiply_add(weight[b], sums[pixel][b]);
                                }
                            }
                        }
                    }
                    for pixel in 0..PIXELS {
                        for b in 0..BLOCKS {
                            sums[pixel][b].store(output.add(at + pixel * sweep.output_pixel + b * sweep.output_block));
                        }
                    }
                }
            }
        }
    }
}

/// Adds one image's weight gradient to `weights`, for these blocks of output channels: `TILE` of the
/// `CHANNELS` input channels × `BLOCKS`·16 output channels at a time in registers.
///
/// # Safety
/// The instruction set of `V`. `blocks` a multiple of `BLOCKS` long and within the sweep's, `TILE` divides
/// `CHANNELS`. The pointers cover the sweep's extents.
#[inline(always)]
pub(crate) unsafe fn weight_gradient<
    V: Simd,
    const TILE: usize,
    const BLOCKS: usize,
    const CHANNELS: usize,
    const STRIDE: usize,
>(
    sweep: &WeightSweep,
    blocks: Range<usize>,
    input: *const f32,
    gradient: *const f32,
    weights: *mut f32,
) {
    // SAFETY: the caller's promises; every offset below stays within the sweep's extents by their definition.
    unsafe {
        for band in (0..sweep.size).step_by(BAND) {
            let rows = BAND.min(sweep.size - band);
            for block in blocks.clone().step_by(BLOCKS) {
                let gradient =
                    gradient.add(block * sweep.gradient_block + sweep.gradient_start).add(band * sweep.gradient_row);
                for tap in &sweep.taps {
                    let input = input.add(tap.input + band * sweep.input_row);
                    let weights = weights.add(block * sweep.weight_block + tap.weight);
                    for channel in (0..CHANNELS).step_by(TILE) {
                        let weights = weights.add(channel * BLOCK);
                        let mut sums = [[V::splat(0.0); BLOCKS]; TILE];
                        for i in 0..TILE {
                            for b in 0..BLOCKS {
                                sums[i][b] = V::load(weights.add(i * BLOCK + b * sweep.weight_block));
                            }
                        }
                        for row in 0..rows {
                            let mut input = input.add(row * sweep.input_row + channel);
                            let mut gradient = gradient.add(row * sweep.gradient_row);
                            for _ in 0..sweep.size {
                                let mut value = [V::splat(0.0); BLOCKS];
                                for b in 0..BLOCKS {
                                    value[b] = V::load(gradient.add(b * sweep.gradient_block));
                                }
                                for i in 0..TILE {
                                    let factor = V::splat(*input.add(i));
                                    for b in 0..BLOCKS {
                                        sums[i][b] = factor.multiply_add(value[b], sums[i][b]);
                                    }
                                }
                                input = input.wrapping_add(STRIDE);
                                gradient = gradient.wrapping_add(BLOCK);
                            }
                        }
                        for i in 0..TILE {
                            for b in 0..BLOCKS {
                                sums[i][b].store(weights.add(i * BLOCK + b * sweep.weight_block));
                            }
                        }
                    }
                }
            }
        }
    }
}
