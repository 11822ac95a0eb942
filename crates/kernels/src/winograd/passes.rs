//! What runs over a chunk: reading and transforming, and outer products; and the same for weights. `write` has the way back.
//! The products at each position are [`crate::tiles::columns`]'s, as are the sums of a direct convolution.

// The indices are registers: they address several arrays and pointers at once.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::{POSITIONS, REACH, TILE, Winograd, transforms};
use crate::buffer::BLOCK;
use crate::simd::Simd;

/// One strip of a padded image of `blocks` blocks of channels, transformed: to `transformed` as a convolution multiplies it with
/// weights, and where it is not null to `outer` as the gradient on the weights multiplies a gradient with inputs.
///
/// # Safety
/// The instruction set of `V`; the pointers cover the geometry's extents.
#[inline(always)]
pub(crate) unsafe fn transform<V: Simd>(
    geometry: &Winograd,
    blocks: usize,
    padded: *const f32,
    transformed: *mut f32,
    outer: *mut f32,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let (across, plane, side) = (geometry.across, geometry.plane(blocks), geometry.side());
        for block in 0..blocks {
            let from = padded.add(block * side * side * BLOCK);
            let place = block * geometry.tiles() * BLOCK;
            for tile in 0..across {
                let (from, to) = (from.add(tile * TILE * BLOCK), place + tile * BLOCK);
                transform_input::<V>(from, side * BLOCK, transformed.add(to), plane);
            }
            if !outer.is_null() {
                for tile in 0..across {
                    let (from, to) = (from.add(tile * TILE * BLOCK), place + tile * BLOCK);
                    transform_gradient::<V>(from, side * BLOCK, outer.add(to), plane);
                }
            }
        }
    }
}

/// Six numbers `step` floats apart.
///
/// # Safety
/// The instruction set of `V`, and 16 readable floats at each place.
#[inline(always)]
pub(super) unsafe fn six<V: Simd>(from: *const f32, step: usize) -> [V; REACH] {
    // SAFETY: the caller's promises.
    unsafe {
        [
            V::load(from),
            V::load(from.add(step)),
            V::load(from.add(2 * step)),
            V::load(from.add(3 * step)),
            V::load(from.add(4 * step)),
            V::load(from.add(5 * step)),
        ]
    }
}

/// Four numbers `step` floats apart.
///
/// # Safety
/// As [`six`].
#[inline(always)]
unsafe fn four<V: Simd>(from: *const f32, step: usize) -> [V; TILE] {
    // SAFETY: the caller's promises.
    unsafe { [V::load(from), V::load(from.add(step)), V::load(from.add(2 * step)), V::load(from.add(3 * step))] }
}

/// BᵀxB of 6×6 inputs.
///
/// # Safety
/// As [`transform`].
#[inline(always)]
unsafe fn transform_input<V: Simd>(from: *const f32, side: usize, mut to: *mut f32, plane: usize) {
    // Or the compiler keeps all positions' places in memory instead of adding this to the last one.
    let plane = std::hint::black_box(plane);
    // SAFETY: the caller's promises.
    unsafe {
        let columns: [[V; REACH]; REACH] = [
            transforms::input(six(from, side)),
            transforms::input(six(from.add(BLOCK), side)),
            transforms::input(six(from.add(2 * BLOCK), side)),
            transforms::input(six(from.add(3 * BLOCK), side)),
            transforms::input(six(from.add(4 * BLOCK), side)),
            transforms::input(six(from.add(5 * BLOCK), side)),
        ];
        let [a, b, c, d, e, f] = &columns;
        for row in 0..REACH {
            for v in transforms::input([a[row], b[row], c[row], d[row], e[row], f[row]]) {
                v.store(to);
                to = to.wrapping_add(plane);
            }
        }
    }
}

/// AyAᵀ of 4×4 gradients on outputs, which lie in the middle of the 6×6 read.
///
/// # Safety
/// As [`transform`].
#[inline(always)]
unsafe fn transform_gradient<V: Simd>(from: *const f32, side: usize, mut to: *mut f32, plane: usize) {
    let plane = std::hint::black_box(plane);
    // SAFETY: the caller's promises.
    unsafe {
        let from = from.add(side + BLOCK);
        let columns: [[V; REACH]; TILE] = [
            transforms::output_gradient(four(from, side)),
            transforms::output_gradient(four(from.add(BLOCK), side)),
            transforms::output_gradient(four(from.add(2 * BLOCK), side)),
            transforms::output_gradient(four(from.add(3 * BLOCK), side)),
        ];
        let [a, b, c, d] = &columns;
        for row in 0..REACH {
            for v in transforms::output_gradient([a[row], b[row], c[row], d[row]]) {
                v.store(to);
                to = to.wrapping_add(plane);
            }
        }
    }
}

/// At every position, for every pair of an input and an output channel, the sum over `tiles` of their products; added to
/// `sums` where `added`, else set. `CHANNELS` input channels × `BLOCKS`·16 output channels at a time in registers.
///
/// # Safety
/// The instruction set of `V`. `blocks` a multiple of `BLOCKS` long and within the output's, `CHANNELS` divides 16. The pointers
/// cover the geometry's extents.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn outer_products<V: Simd, const CHANNELS: usize, const BLOCKS: usize>(
    geometry: &Winograd,
    blocks: Range<usize>,
    tiles: usize,
    input: *const f32,
    gradient: *const f32,
    sums: *mut f32,
    added: bool,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let (inputs, outputs) = (geometry.input_blocks, geometry.output_blocks);
        let block_len = geometry.tiles() * BLOCK;
        let weight_block = inputs * BLOCK * BLOCK;
        for position in 0..POSITIONS {
            let input = input.add(position * geometry.plane(inputs));
            let gradient = gradient.add(position * geometry.plane(outputs));
            let sums = sums.add(position * outputs * weight_block);
            for block in blocks.clone().step_by(BLOCKS) {
                let gradient = gradient.add(block * block_len);
                for channel in (0..inputs * BLOCK).step_by(CHANNELS) {
                    let input = input.add(channel / BLOCK * block_len + channel % BLOCK);
                    let to = sums.add(block * weight_block + channel * BLOCK);
                    let mut own = [[V::splat(0.0); BLOCKS]; CHANNELS];
                    if added {
                        for i in 0..CHANNELS {
                            for b in 0..BLOCKS {
                                own[i][b] = V::load(to.add(i * BLOCK + b * weight_block));
                            }
                        }
                    }
                    for tile in 0..tiles {
                        let mut value = [V::splat(0.0); BLOCKS];
                        for b in 0..BLOCKS {
                            value[b] = V::load(gradient.add(tile * BLOCK + b * block_len));
                        }
                        for i in 0..CHANNELS {
                            let factor = V::splat(*input.add(tile * BLOCK + i));
                            for b in 0..BLOCKS {
                                own[i][b] = factor.multiply_add(value[b], own[i][b]);
                            }
                        }
                    }
                    for i in 0..CHANNELS {
                        for b in 0..BLOCKS {
                            own[i][b].store(to.add(i * BLOCK + b * weight_block));
                        }
                    }
                }
            }
        }
    }
}

/// GwGᵀ of the 3×3 weights `[block][tap][channel][16]` of some pairs of blocks, to `[position][pair][channel][16]`.
/// `reversed`: with the last tap first, as the gradient on the input reads them.
///
/// # Safety
/// The instruction set of `V`; `from` covers the weights of all `pairs`, `to` their transforms; `of` within the pairs.
#[inline(always)]
pub(crate) unsafe fn transform_weights<V: Simd>(
    from: *const f32,
    to: *mut f32,
    pairs: usize,
    of: Range<usize>,
    reversed: bool,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let pair_len = BLOCK * BLOCK;
        for pair in of {
            for channel in 0..BLOCK {
                let from = from.add(pair * 9 * pair_len + channel * BLOCK);
                // Reversed, the last tap comes first.
                let (first, step) =
                    if reversed { (8 * pair_len, -(pair_len as isize)) } else { (0, pair_len as isize) };
                let first = from.add(first);
                let columns: [[V; REACH]; 3] = [
                    transforms::weights(three(first, 3 * step)),
                    transforms::weights(three(first.offset(step), 3 * step)),
                    transforms::weights(three(first.offset(2 * step), 3 * step)),
                ];
                for row in 0..REACH {
                    let u = transforms::weights([columns[0][row], columns[1][row], columns[2][row]]);
                    for column in 0..REACH {
                        let position = row * REACH + column;
                        u[column].store(to.add((position * pairs + pair) * pair_len + channel * BLOCK));
                    }
                }
            }
        }
    }
}

/// Three numbers `step` floats apart, which may be negative.
///
/// # Safety
/// As [`six`].
#[inline(always)]
unsafe fn three<V: Simd>(from: *const f32, step: isize) -> [V; 3] {
    // SAFETY: the caller's promises.
    unsafe { [V::load(from), V::load(from.offset(step)), V::load(from.offset(2 * step))] }
}

/// GᵀuG: the gradients on 3×3 weights from those on transformed ones, of all `pairs` of blocks.
///
/// # Safety
/// As [`transform_weights`].
#[inline(always)]
pub(crate) unsafe fn weight_gradient<V: Simd>(from: *const f32, to: *mut f32, pairs: usize) {
    // SAFETY: the caller's promises.
    unsafe {
        let pair_len = BLOCK * BLOCK;
        for pair in 0..pairs {
            for channel in 0..BLOCK {
                let from = from.add(pair * pair_len + channel * BLOCK);
                let to = to.add(pair * 9 * pair_len + channel * BLOCK);
                let position = pairs * pair_len;
                let down = REACH * position;
                let columns: [[V; 3]; REACH] = [
                    transforms::weight_gradient(six(from, down)),
                    transforms::weight_gradient(six(from.add(position), down)),
                    transforms::weight_gradient(six(from.add(2 * position), down)),
                    transforms::weight_gradient(six(from.add(3 * position), down)),
                    transforms::weight_gradient(six(from.add(4 * position), down)),
                    transforms::weight_gradient(six(from.add(5 * position), down)),
                ];
                let [a, b, c, d, e, f] = &columns;
                for row in 0..3 {
                    let u = [a[row], b[row], c[row], d[row], e[row], f[row]];
                    let w = transforms::weight_gradient(u);
                    for column in 0..3 {
                        w[column].store(to.add((row * 3 + column) * pair_len));
                    }
                }
            }
        }
    }
}
