//! What runs over a chunk: reading and transforming, outer products, transforming back and writing; and the same for weights.
//! The products at each position are [`crate::tiles::columns`]'s, as are the sums of a direct convolution.

// The indices are registers: they address several arrays and pointers at once.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::{POSITIONS, REACH, TILE, Target, Winograd, transforms};
use crate::buffer::BLOCK;
use crate::elementwise::gather;
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
unsafe fn six<V: Simd>(from: *const f32, step: usize) -> [V; REACH] {
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

/// What is done with an output beside storing it. Constants and sums are per channel.
pub(crate) enum Finish {
    Stored,
    /// Adds the sums of outputs and of their squares.
    Summed {
        sums: *mut f64,
        squares: *mut f64,
    },
    /// Gates a gradient as [`crate::elementwise::gate`] does.
    Gated {
        input: *const f32,
        scale: *const f32,
        shift: *const f32,
        sums: *mut f64,
        products: *mut f64,
    },
    /// Gates a gradient as [`crate::elementwise::gate_by_output`] does.
    GatedByOutput {
        output: *const f32,
        input: *const f32,
        sums: *mut f64,
        products: *mut f64,
    },
    /// Gates a gradient as [`Finish::Gated`] does, and adds `scale` times that to what is there.
    Accumulated {
        input: *const f32,
        scale: *const f32,
        shift: *const f32,
        sums: *mut f64,
        products: *mut f64,
    },
    /// Stores `relu(scale·output + shift)`: a batch norm of running statistics, folded into the convolution.
    Rectified {
        scale: *const f32,
        shift: *const f32,
    },
}

/// Strips of `blocks` blocks of output channels are transformed back and written.
pub(crate) struct Writing<'a> {
    pub(crate) geometry: &'a Winograd,
    pub(crate) blocks: usize,
    pub(crate) strips: Range<usize>,
    pub(crate) products: *const f32,
    pub(crate) to: &'a Target,
    /// Floats from one image's outputs to the next one's.
    pub(crate) stride: usize,
}

/// # Safety
/// The instruction set of `V`; the pointers cover the geometry's extents.
#[inline(always)]
pub(crate) unsafe fn write<V: Simd>(of: &Writing<'_>) {
    // SAFETY: the caller's promises.
    unsafe {
        let zero = V::splat(0.0);
        match of.to.finish {
            Finish::Stored => write_each::<V, _>(of, &mut Stored),
            Finish::Summed { sums, squares } => {
                write_each::<V, _>(of, &mut Summed { sum: [zero; 2], square: [zero; 2], sums, squares });
            }
            Finish::Gated { input, scale, shift, sums, products } => write_each::<V, _>(
                of,
                &mut Gated { sum: [zero; 2], product: [zero; 2], open: [zero; 2], input, scale, shift, sums, products },
            ),
            Finish::GatedByOutput { output, input, sums, products } => {
                let pair = [zero; 2];
                write_each::<V, _>(of, &mut GatedByOutput { sum: pair, product: pair, output, input, sums, products });
            }
            Finish::Accumulated { input, scale, shift, sums, products } => {
                let pair = [zero; 2];
                let gated = Gated { sum: pair, product: pair, open: pair, input, scale, shift, sums, products };
                write_each::<V, _>(of, &mut Accumulated { gated, onto: of.to.output });
            }
            Finish::Rectified { scale, shift } => {
                write_each::<V, _>(of, &mut Rectified { by: [zero; 2], scale, shift });
            }
        }
    }
}

/// One of [`Finish`], with its registers. `chain` is 0 or 1.
trait Each<V> {
    unsafe fn begin(&mut self, channel: usize);
    unsafe fn each(&mut self, value: V, at: usize, chain: usize) -> V;
    unsafe fn end(&mut self, channel: usize);
}

/// # Safety
/// As [`write`].
#[inline(always)]
unsafe fn write_each<V: Simd, E: Each<V>>(of: &Writing<'_>, each: &mut E) {
    // SAFETY: the caller's promises.
    unsafe {
        let &Writing { geometry, blocks, products, to, stride, .. } = of;
        let (size, across, plane) = (geometry.size, geometry.across, geometry.plane(blocks));
        let down = REACH * plane;
        for block in 0..blocks {
            each.begin(block * BLOCK);
            for (nth, strip) in of.strips.clone().enumerate() {
                let (image, row) = (strip / across, strip % across);
                let rows = size - row * TILE;
                for tile in 0..across {
                    let from = products.add((block * geometry.tiles() + nth * across + tile) * BLOCK);
                    let columns = size - tile * TILE;
                    let first = image * stride + (block * size * size + row * TILE * size + tile * TILE) * BLOCK;
                    let half: [[V; TILE]; REACH] = [
                        transforms::output(six(from, down)),
                        transforms::output(six(from.add(plane), down)),
                        transforms::output(six(from.add(2 * plane), down)),
                        transforms::output(six(from.add(3 * plane), down)),
                        transforms::output(six(from.add(4 * plane), down)),
                        transforms::output(six(from.add(5 * plane), down)),
                    ];
                    let [a, b, c, d, e, f] = &half;
                    for row in 0..TILE {
                        let y = transforms::output([a[row], b[row], c[row], d[row], e[row], f[row]]);
                        if row >= rows {
                            continue;
                        }
                        for column in 0..TILE {
                            if column < columns {
                                let at = first + (row * size + column) * BLOCK;
                                let mut value = y[column];
                                if !to.start.is_null() {
                                    value = value.add(V::load(to.start.add(at)));
                                }
                                each.each(value, at, column % 2).store(to.output.add(at));
                            }
                        }
                    }
                }
            }
            each.end(block * BLOCK);
        }
    }
}

struct Stored;

impl<V> Each<V> for Stored {
    #[inline(always)]
    unsafe fn begin(&mut self, _: usize) {}
    #[inline(always)]
    unsafe fn each(&mut self, value: V, _: usize, _: usize) -> V {
        value
    }
    #[inline(always)]
    unsafe fn end(&mut self, _: usize) {}
}

struct Summed<V> {
    sum: [V; 2],
    square: [V; 2],
    sums: *mut f64,
    squares: *mut f64,
}

impl<V: Simd> Each<V> for Summed<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, _: usize) {
        // SAFETY: the caller's promises.
        unsafe { (self.sum, self.square) = ([V::splat(0.0); 2], [V::splat(0.0); 2]) }
    }
    #[inline(always)]
    unsafe fn each(&mut self, value: V, _: usize, chain: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe {
            self.sum[chain] = self.sum[chain].add(value);
            self.square[chain] = value.multiply_add(value, self.square[chain]);
        }
        value
    }
    #[inline(always)]
    unsafe fn end(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe {
            gather(self.sum[0].add(self.sum[1]), self.sums.add(channel));
            gather(self.square[0].add(self.square[1]), self.squares.add(channel));
        }
    }
}

struct Gated<V> {
    sum: [V; 2],
    product: [V; 2],
    /// Scale and shift of the block.
    open: [V; 2],
    input: *const f32,
    scale: *const f32,
    shift: *const f32,
    sums: *mut f64,
    products: *mut f64,
}

impl<V: Simd> Each<V> for Gated<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe {
            (self.sum, self.product) = ([V::splat(0.0); 2], [V::splat(0.0); 2]);
            self.open = [V::load(self.scale.add(channel)), V::load(self.shift.add(channel))];
        }
    }
    #[inline(always)]
    unsafe fn each(&mut self, value: V, at: usize, chain: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe {
            let input = V::load(self.input.add(at));
            let gated = value.where_positive(input.multiply_add(self.open[0], self.open[1]));
            self.sum[chain] = self.sum[chain].add(gated);
            self.product[chain] = gated.multiply_add(input, self.product[chain]);
            gated
        }
    }
    #[inline(always)]
    unsafe fn end(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe {
            gather(self.sum[0].add(self.sum[1]), self.sums.add(channel));
            gather(self.product[0].add(self.product[1]), self.products.add(channel));
        }
    }
}

struct GatedByOutput<V> {
    sum: [V; 2],
    product: [V; 2],
    output: *const f32,
    input: *const f32,
    sums: *mut f64,
    products: *mut f64,
}

impl<V: Simd> Each<V> for GatedByOutput<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, _: usize) {
        // SAFETY: the caller's promises.
        unsafe { (self.sum, self.product) = ([V::splat(0.0); 2], [V::splat(0.0); 2]) }
    }
    #[inline(always)]
    unsafe fn each(&mut self, value: V, at: usize, chain: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe {
            let gated = value.where_positive(V::load(self.output.add(at)));
            self.sum[chain] = self.sum[chain].add(gated);
            self.product[chain] = gated.multiply_add(V::load(self.input.add(at)), self.product[chain]);
            gated
        }
    }
    #[inline(always)]
    unsafe fn end(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe {
            gather(self.sum[0].add(self.sum[1]), self.sums.add(channel));
            gather(self.product[0].add(self.product[1]), self.products.add(channel));
        }
    }
}

struct Accumulated<V> {
    gated: Gated<V>,
    onto: *const f32,
}

impl<V: Simd> Each<V> for Accumulated<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.gated.begin(channel) }
    }
    #[inline(always)]
    unsafe fn each(&mut self, value: V, at: usize, chain: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe { self.gated.each(value, at, chain).multiply_add(self.gated.open[0], V::load(self.onto.add(at))) }
    }
    #[inline(always)]
    unsafe fn end(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.gated.end(channel) }
    }
}

struct Rectified<V> {
    by: [V; 2],
    scale: *const f32,
    shift: *const f32,
}

impl<V: Simd> Each<V> for Rectified<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.by = [V::load(self.scale.add(channel)), V::load(self.shift.add(channel))] }
    }
    #[inline(always)]
    unsafe fn each(&mut self, value: V, _: usize, _: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe { value.multiply_add(self.by[0], self.by[1]).relu() }
    }
    #[inline(always)]
    unsafe fn end(&mut self, _: usize) {}
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

/// As [`six`]; `step` may be negative.
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
