//! What comes of a chunk's products: outputs, each finished on its way to where it is stored.

// The indices are registers: they address several arrays and pointers at once.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::passes::six;
use super::{REACH, TILE, Target, Winograd, transforms};
use crate::buffer::BLOCK;
use crate::elementwise::Chains;
use crate::simd::Simd;

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

/// Transforms the products of these strips back, adds what they start from, and finishes and stores each output.
///
/// # Safety
/// The instruction set of `V`; the pointers cover the geometry's extents.
#[inline(always)]
pub(crate) unsafe fn write<V: Simd>(of: &Writing<'_>) {
    // SAFETY: the caller's promises.
    unsafe {
        let zero = V::splat(0.0);
        let chains = Chains::zero();
        match of.to.finish {
            Finish::Stored => write_each::<V, _>(of, &mut Stored),
            Finish::Summed { sums, squares } => write_each::<V, _>(of, &mut Summed { chains, sums, squares }),
            Finish::Gated { input, scale, shift, sums, products } => {
                write_each::<V, _>(of, &mut Gated { chains, open: [zero; 2], input, scale, shift, sums, products });
            }
            Finish::GatedByOutput { output, input, sums, products } => {
                write_each::<V, _>(of, &mut GatedByOutput { chains, output, input, sums, products });
            }
            Finish::Accumulated { input, scale, shift, sums, products } => {
                let gated = Gated { chains, open: [zero; 2], input, scale, shift, sums, products };
                write_each::<V, _>(of, &mut Accumulated { gated, onto: of.to.output });
            }
            Finish::Rectified { scale, shift } => {
                write_each::<V, _>(of, &mut Rectified { by: [zero; 2], scale, shift });
            }
        }
    }
}

/// One of [`Finish`], with its registers.
///
/// # Safety
/// Every method needs the instruction set of `V`, and pointers that cover the channels and the activations: `channel` is a block's
/// first, `at` a place in the activation, `chain` 0 or 1.
trait OnTheWay<V> {
    /// Before the outputs of a block of channels.
    unsafe fn begin(&mut self, channel: usize);
    /// What is stored for an output.
    unsafe fn output(&mut self, value: V, at: usize, chain: usize) -> V;
    /// After all outputs of a block.
    unsafe fn end(&mut self, channel: usize);
}

/// As [`write`], with one way to finish.
///
/// # Safety
/// As [`write`].
#[inline(always)]
unsafe fn write_each<V: Simd, F: OnTheWay<V>>(of: &Writing<'_>, finish: &mut F) {
    // SAFETY: the caller's promises.
    unsafe {
        let &Writing { geometry, blocks, products, to, stride, .. } = of;
        let (size, across, plane) = (geometry.size, geometry.across, geometry.plane(blocks));
        let down = REACH * plane;
        for block in 0..blocks {
            finish.begin(block * BLOCK);
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
                                finish.output(value, at, column % 2).store(to.output.add(at));
                            }
                        }
                    }
                }
            }
            finish.end(block * BLOCK);
        }
    }
}

struct Stored;

impl<V> OnTheWay<V> for Stored {
    #[inline(always)]
    unsafe fn begin(&mut self, _: usize) {}
    #[inline(always)]
    unsafe fn output(&mut self, value: V, _: usize, _: usize) -> V {
        value
    }
    #[inline(always)]
    unsafe fn end(&mut self, _: usize) {}
}

struct Summed<V> {
    chains: Chains<V, 2>,
    sums: *mut f64,
    squares: *mut f64,
}

impl<V: Simd> OnTheWay<V> for Summed<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, _: usize) {
        // SAFETY: the caller's promises.
        self.chains = unsafe { Chains::zero() };
    }
    #[inline(always)]
    unsafe fn output(&mut self, value: V, _: usize, chain: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe { self.chains.add(chain, value, value) };
        value
    }
    #[inline(always)]
    unsafe fn end(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.chains.gather(self.sums.add(channel), self.squares.add(channel)) }
    }
}

struct Gated<V> {
    chains: Chains<V, 2>,
    /// Scale and shift of the block.
    open: [V; 2],
    input: *const f32,
    scale: *const f32,
    shift: *const f32,
    sums: *mut f64,
    products: *mut f64,
}

impl<V: Simd> OnTheWay<V> for Gated<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe {
            self.chains = Chains::zero();
            self.open = [V::load(self.scale.add(channel)), V::load(self.shift.add(channel))];
        }
    }
    #[inline(always)]
    unsafe fn output(&mut self, value: V, at: usize, chain: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe {
            let input = V::load(self.input.add(at));
            let gated = value.where_positive(input.multiply_add(self.open[0], self.open[1]));
            self.chains.add(chain, gated, input);
            gated
        }
    }
    #[inline(always)]
    unsafe fn end(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.chains.gather(self.sums.add(channel), self.products.add(channel)) }
    }
}

struct GatedByOutput<V> {
    chains: Chains<V, 2>,
    output: *const f32,
    input: *const f32,
    sums: *mut f64,
    products: *mut f64,
}

impl<V: Simd> OnTheWay<V> for GatedByOutput<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, _: usize) {
        // SAFETY: the caller's promises.
        self.chains = unsafe { Chains::zero() };
    }
    #[inline(always)]
    unsafe fn output(&mut self, value: V, at: usize, chain: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe {
            let gated = value.where_positive(V::load(self.output.add(at)));
            self.chains.add(chain, gated, V::load(self.input.add(at)));
            gated
        }
    }
    #[inline(always)]
    unsafe fn end(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.chains.gather(self.sums.add(channel), self.products.add(channel)) }
    }
}

struct Accumulated<V> {
    gated: Gated<V>,
    onto: *const f32,
}

impl<V: Simd> OnTheWay<V> for Accumulated<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.gated.begin(channel) }
    }
    #[inline(always)]
    unsafe fn output(&mut self, value: V, at: usize, chain: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe { self.gated.output(value, at, chain).multiply_add(self.gated.open[0], V::load(self.onto.add(at))) }
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

impl<V: Simd> OnTheWay<V> for Rectified<V> {
    #[inline(always)]
    unsafe fn begin(&mut self, channel: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.by = [V::load(self.scale.add(channel)), V::load(self.shift.add(channel))] }
    }
    #[inline(always)]
    unsafe fn output(&mut self, value: V, _: usize, _: usize) -> V {
        // SAFETY: the caller's promises.
        unsafe { value.multiply_add(self.by[0], self.by[1]).relu() }
    }
    #[inline(always)]
    unsafe fn end(&mut self, _: usize) {}
}
