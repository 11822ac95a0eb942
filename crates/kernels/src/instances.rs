//! The kernels compiled once for each instruction set, behind one table of functions.

use crate::InstructionSet;
use crate::convolution::{Pixels, Sweep, WeightSweep, cut};
use crate::elementwise::{self, Unpooled};
use crate::padded::{self, Joined, NormGradient, Window};
use crate::simd::Portable;
use crate::tiles;
use crate::winograd::{self, Winograd, Writing};

use std::ops::Range;

type Convolve = unsafe fn(&Sweep, *const f32, *const f32, *mut f32, *const f32);
type WeightGradient = unsafe fn(&WeightSweep, *const f32, *const f32, *mut f32);
type NormalisePadded = unsafe fn(*const f32, *mut f32, usize, &Window, *const f32, *const f32);
type NormGradientPadded = unsafe fn(&NormGradient, *mut f32, usize, &Window);
type JoinPadded = unsafe fn(&Joined, *mut f32, usize, &Window);
type CopyPadded = unsafe fn(*const f32, *mut f32, usize, &Window);
type Statistics = unsafe fn(*const f32, usize, usize, *mut f64, *mut f64);
type Gate = unsafe fn(*mut f32, *const f32, usize, usize, *const f32, *const f32, *mut f64, *mut f64);
type GateByOutput = unsafe fn(*mut f32, *const f32, *const f32, usize, usize, *mut f64, *mut f64);
type Accumulate = unsafe fn(*const f32, *mut f32, *const f32, usize, usize, *const f32, *const f32, *mut f64, *mut f64);
type Unpool = unsafe fn(&Unpooled, usize, *mut f64, *mut f64);
type WinogradTransform = unsafe fn(&Winograd, usize, *const f32, *mut f32, *mut f32);
type WinogradProducts = unsafe fn(&Sweep, usize, (*const f32, usize), *const f32, (*mut f32, usize));
type WinogradWrite = unsafe fn(&Writing<'_>);
type WinogradOuterProducts = unsafe fn(&Winograd, usize, *const f32, *const f32, *mut f32, bool);
type WinogradWeights = unsafe fn(*const f32, *mut f32, usize, Range<usize>, bool);
type WinogradWeightGradient = unsafe fn(*const f32, *mut f32, usize);
type Descend = unsafe fn(*mut f32, *mut f32, *const f32, usize, f32, f32, f32);

/// The kernels of one instruction set. Each is as unsafe as the function of the same name in [`tiles`],
/// [`elementwise`], [`padded`] or [`winograd`].
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// `(sweep, input, weights, output, start)`, over all columns and blocks.
    pub(crate) convolve: Convolve,
    pub(crate) weight_gradient: WeightGradient,
    pub(crate) normalise_padded: NormalisePadded,
    pub(crate) pool_padded: NormalisePadded,
    pub(crate) norm_gradient_padded: NormGradientPadded,
    pub(crate) join_padded: JoinPadded,
    pub(crate) copy_padded: CopyPadded,
    pub(crate) statistics: Statistics,
    pub(crate) gate: Gate,
    pub(crate) gate_by_output: GateByOutput,
    pub(crate) accumulate: Accumulate,
    pub(crate) unpool: Unpool,
    pub(crate) winograd_transform: WinogradTransform,
    /// `(sweep, tiles, (input, its plane), weights, (output, its plane))`, at every position.
    pub(crate) winograd_products: WinogradProducts,
    pub(crate) winograd_write: WinogradWrite,
    pub(crate) winograd_outer_products: WinogradOuterProducts,
    pub(crate) winograd_weights: WinogradWeights,
    pub(crate) winograd_weight_gradient: WinogradWeightGradient,
    pub(crate) descend: Descend,
}

impl Kernels {
    /// Of an instruction set that is available.
    pub(crate) fn of(set: InstructionSet) -> Kernels {
        match set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => avx2::KERNELS,
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => neon::KERNELS,
            _ => portable::KERNELS,
        }
    }
}

/// Calls `tiles::columns` for every tile of columns, with the tile's size as a constant.
macro_rules! in_tiles {
    ($simd:ty, $blocks:literal, $channels:literal, $stride:literal, [$($tile:literal),+], $sweep:ident, $count:expr, $range:expr, $pointers:expr) => {{
        let (input, weights, output, start) = $pointers;
        cut($count, &[$($tile),+], |tile, columns| match tile {
            // SAFETY: `cut` gives whole tiles within the sweep; the caller promised the rest.
            $($tile => unsafe {
                tiles::columns::<$simd, $tile, $blocks, $channels, $stride>($sweep, columns, $range, input, weights, output, start)
            },)+
            _ => unreachable!("cut gives only the tiles it was given"),
        })
    }};
}

/// One instance: `single` are the pixel tiles for one block of output channels, `double` those for two at a time (empty
/// registers permitting), `channels` the input channels a tile of the weight gradient takes with one and with two blocks.
macro_rules! instance {
    ($name:ident, $simd:ty, $($feature:literal)?, single: $single:tt, $(double: $double:tt,)? channels: $tile:literal $(, $tile_double:literal)?) => {
        mod $name {
            use super::*;

            pub(super) const KERNELS: Kernels = Kernels {
                convolve,
                weight_gradient,
                normalise_padded,
                pool_padded,
                norm_gradient_padded,
                join_padded,
                copy_padded,
                statistics,
                gate,
                gate_by_output,
                accumulate,
                unpool,
                winograd_transform,
                winograd_products,
                winograd_write,
                winograd_outer_products,
                winograd_weights,
                winograd_weight_gradient,
                descend,
            };

            $(#[target_feature(enable = $feature)])?
            unsafe fn convolve(sweep: &Sweep, input: *const f32, weights: *const f32, output: *mut f32, start: *const f32) {
                let pointers = (input, weights, output, start);
                let paired = paired!(sweep.blocks $(, $double)?);
                $(
                    if paired > 0 {
                        match sweep.pixels {
                            Pixels::Blocks => in_tiles!($simd, 2, 16, 16, $double, sweep, sweep.columns, 0..paired, pointers),
                            Pixels::EverySecondBlock => in_tiles!($simd, 2, 16, 32, $double, sweep, sweep.columns, 0..paired, pointers),
                            Pixels::Grey => in_tiles!($simd, 2, 1, 1, $double, sweep, sweep.columns, 0..paired, pointers),
                            Pixels::Colour => in_tiles!($simd, 2, 3, 3, $double, sweep, sweep.columns, 0..paired, pointers),
                        }
                    }
                )?
                let rest = paired..sweep.blocks;
                if rest.is_empty() {
                    return;
                }
                match sweep.pixels {
                    Pixels::Blocks => in_tiles!($simd, 1, 16, 16, $single, sweep, sweep.columns, rest.clone(), pointers),
                    Pixels::EverySecondBlock => in_tiles!($simd, 1, 16, 32, $single, sweep, sweep.columns, rest.clone(), pointers),
                    Pixels::Grey => in_tiles!($simd, 1, 1, 1, $single, sweep, sweep.columns, rest.clone(), pointers),
                    Pixels::Colour => in_tiles!($simd, 1, 3, 3, $single, sweep, sweep.columns, rest.clone(), pointers),
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn weight_gradient(sweep: &WeightSweep, input: *const f32, gradient: *const f32, weights: *mut f32) {
                let paired = paired!(sweep.blocks $(, $tile_double)?);
                // SAFETY: the ranges lie within the sweep; the caller promised the rest.
                unsafe {
                    $(
                        if paired > 0 {
                            match sweep.pixels {
                                Pixels::Blocks => tiles::weight_gradient::<$simd, $tile_double, 2, 16, 16>(sweep, 0..paired, input, gradient, weights),
                                Pixels::EverySecondBlock => tiles::weight_gradient::<$simd, $tile_double, 2, 16, 32>(sweep, 0..paired, input, gradient, weights),
                                Pixels::Grey => tiles::weight_gradient::<$simd, 1, 2, 1, 1>(sweep, 0..paired, input, gradient, weights),
                                Pixels::Colour => tiles::weight_gradient::<$simd, 3, 2, 3, 3>(sweep, 0..paired, input, gradient, weights),
                            }
                        }
                    )?
                    let rest = paired..sweep.blocks;
                    if rest.is_empty() {
                        return;
                    }
                    match sweep.pixels {
                        Pixels::Blocks => tiles::weight_gradient::<$simd, $tile, 1, 16, 16>(sweep, rest, input, gradient, weights),
                        Pixels::EverySecondBlock => tiles::weight_gradient::<$simd, $tile, 1, 16, 32>(sweep, rest, input, gradient, weights),
                        Pixels::Grey => tiles::weight_gradient::<$simd, 1, 1, 1, 1>(sweep, rest, input, gradient, weights),
                        Pixels::Colour => tiles::weight_gradient::<$simd, 3, 1, 3, 3>(sweep, rest, input, gradient, weights),
                    }
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn normalise_padded(plain: *const f32, padded: *mut f32, blocks: usize, window: &Window, scale: *const f32, shift: *const f32) {
                // SAFETY: the caller's promises.
                unsafe { padded::normalise_padded::<$simd>(plain, padded, blocks, window, scale, shift) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn pool_padded(plain: *const f32, padded: *mut f32, blocks: usize, window: &Window, scale: *const f32, shift: *const f32) {
                // SAFETY: the caller's promises.
                unsafe { padded::pool_padded::<$simd>(plain, padded, blocks, window, scale, shift) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn norm_gradient_padded(of: &NormGradient, padded: *mut f32, blocks: usize, window: &Window) {
                // SAFETY: the caller's promises.
                unsafe { padded::norm_gradient_padded::<$simd>(of, padded, blocks, window) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn join_padded(of: &Joined, padded: *mut f32, blocks: usize, window: &Window) {
                // SAFETY: the caller's promises.
                unsafe { padded::join_padded::<$simd>(of, padded, blocks, window) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn copy_padded(plain: *const f32, padded: *mut f32, blocks: usize, window: &Window) {
                // SAFETY: the caller's promises.
                unsafe { padded::copy_padded::<$simd>(plain, padded, blocks, window) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn statistics(plain: *const f32, blocks: usize, pixels: usize, sums: *mut f64, squares: *mut f64) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::statistics::<$simd>(plain, blocks, pixels, sums, squares) }
            }

            $(#[target_feature(enable = $feature)])?
            #[allow(clippy::too_many_arguments)]
            unsafe fn gate(gradient: *mut f32, input: *const f32, blocks: usize, pixels: usize, scale: *const f32, shift: *const f32, sums: *mut f64, products: *mut f64) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::gate::<$simd>(gradient, input, blocks, pixels, scale, shift, sums, products) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn gate_by_output(gradient: *mut f32, output: *const f32, input: *const f32, blocks: usize, pixels: usize, sums: *mut f64, products: *mut f64) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::gate_by_output::<$simd>(gradient, output, input, blocks, pixels, sums, products) }
            }

            $(#[target_feature(enable = $feature)])?
            #[allow(clippy::too_many_arguments)]
            unsafe fn accumulate(gradient: *const f32, onto: *mut f32, input: *const f32, blocks: usize, pixels: usize, scale: *const f32, shift: *const f32, sums: *mut f64, products: *mut f64) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::accumulate::<$simd>(gradient, onto, input, blocks, pixels, scale, shift, sums, products) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn unpool(of: &Unpooled, blocks: usize, sums: *mut f64, products: *mut f64) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::unpool::<$simd>(of, blocks, sums, products) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn winograd_transform(geometry: &Winograd, blocks: usize, padded: *const f32, transformed: *mut f32, outer: *mut f32) {
                // SAFETY: the caller's promises.
                unsafe { winograd::transform::<$simd>(geometry, blocks, padded, transformed, outer) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn winograd_products(sweep: &Sweep, tiles: usize, input: (*const f32, usize), weights: *const f32, output: (*mut f32, usize)) {
                let paired = paired!(sweep.blocks $(, $double)?);
                let rest = paired..sweep.blocks;
                for position in 0..winograd::POSITIONS {
                    // SAFETY: the caller promised all positions.
                    let pointers = unsafe {
                        let weights = weights.add(position * sweep.blocks * sweep.weight_block);
                        (input.0.add(position * input.1), weights, output.0.add(position * output.1), std::ptr::null())
                    };
                    $(
                        if paired > 0 {
                            in_tiles!($simd, 2, 16, 16, $double, sweep, tiles, 0..paired, pointers);
                        }
                    )?
                    if !rest.is_empty() {
                        in_tiles!($simd, 1, 16, 16, $single, sweep, tiles, rest.clone(), pointers);
                    }
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn winograd_write(of: &Writing<'_>) {
                // SAFETY: the caller's promises.
                unsafe { winograd::write::<$simd>(of) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn winograd_outer_products(geometry: &Winograd, tiles: usize, input: *const f32, gradient: *const f32, sums: *mut f32, added: bool) {
                let outputs = geometry.output_blocks;
                let paired = paired!(outputs $(, $tile_double)?);
                // SAFETY: the ranges lie within the outputs; the caller promised the rest.
                unsafe {
                    $(
                        if paired > 0 {
                            winograd::outer_products::<$simd, $tile_double, 2>(geometry, 0..paired, tiles, input, gradient, sums, added);
                        }
                    )?
                    if paired < outputs {
                        winograd::outer_products::<$simd, $tile, 1>(geometry, paired..outputs, tiles, input, gradient, sums, added);
                    }
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn winograd_weights(from: *const f32, to: *mut f32, pairs: usize, of: Range<usize>, reversed: bool) {
                // SAFETY: the caller's promises.
                unsafe { winograd::transform_weights::<$simd>(from, to, pairs, of, reversed) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn winograd_weight_gradient(from: *const f32, to: *mut f32, pairs: usize) {
                // SAFETY: the caller's promises.
                unsafe { winograd::weight_gradient::<$simd>(from, to, pairs) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn descend(values: *mut f32, velocity: *mut f32, gradient: *const f32, blocks: usize, learning_rate: f32, momentum: f32, weight_decay: f32) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::descend::<$simd>(values, velocity, gradient, blocks, learning_rate, momentum, weight_decay) }
            }
        }
    };
}

/// How many of the output blocks are taken two at a time: all but an odd one, where the instance can at all.
macro_rules! paired {
    ($blocks:expr) => {
        0
    };
    ($blocks:expr, $double:tt) => {
        $blocks / 2 * 2
    };
}

#[cfg(target_arch = "aarch64")]
use crate::simd::Neon;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};

// 32 registers of 16 floats: up to 16 sums, two weights and a factor.
#[cfg(target_arch = "x86_64")]
instance!(avx512, Avx512, "avx512f", single: [16, 14, 8, 7, 4, 2, 1], double: [8, 7, 4, 2, 1], channels: 16, 8);
// 16 registers of 8 floats: up to 12 sums, two weights and a factor.
#[cfg(target_arch = "x86_64")]
instance!(avx2, Avx2, "avx2,fma", single: [6, 5, 4, 3, 2, 1], channels: 4);
// 32 registers of 4 floats: up to 24 sums, four weights and factors. Two blocks at a time would leave room for two pixels.
#[cfg(target_arch = "aarch64")]
instance!(neon, Neon, "neon", single: [6, 5, 4, 3, 2, 1], channels: 4);
// 16 registers of 4 floats on the plainest x86-64.
instance!(portable, Portable, , single: [2, 1], channels: 2);
