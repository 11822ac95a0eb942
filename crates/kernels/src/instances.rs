//! The kernels compiled once for each instruction set, behind one table of functions.

use crate::InstructionSet;
use crate::convolution::{Pixels, Sweep, WeightSweep, cut};
use crate::elementwise::{self, NormGradient};
use crate::simd::Portable;
use crate::tiles;

type Convolve = unsafe fn(&Sweep, *const f32, *const f32, *mut f32, *const f32);
type WeightGradient = unsafe fn(&WeightSweep, *const f32, *const f32, *mut f32);
type NormalisePadded = unsafe fn(*const f32, *mut f32, usize, usize, *const f32, *const f32);
type NormGradientPadded = unsafe fn(&NormGradient, usize, usize);
type CopyPadded = unsafe fn(*const f32, *mut f32, usize, usize);
type Statistics = unsafe fn(*const f32, usize, usize, *mut f64, *mut f64);
type Gate = unsafe fn(*mut f32, *const f32, usize, usize, *const f32, *const f32, *mut f64, *mut f64);
type Descend = unsafe fn(*mut f32, *mut f32, *const f32, usize, f32, f32, f32);

/// The kernels of one instruction set. Each is as unsafe as the function of the same name in [`tiles`] or [`elementwise`].
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// `(sweep, input, weights, output, start)`, over all columns and blocks.
    pub(crate) convolve: Convolve,
    pub(crate) weight_gradient: WeightGradient,
    pub(crate) normalise_padded: NormalisePadded,
    pub(crate) norm_gradient_padded: NormGradientPadded,
    pub(crate) copy_padded: CopyPadded,
    pub(crate) statistics: Statistics,
    pub(crate) gate: Gate,
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
            _ => portable::KERNELS,
        }
    }
}

/// Calls `tiles::columns` for every tile of columns, with the tile's size as a constant.
macro_rules! in_tiles {
    ($simd:ty, $blocks:literal, $channels:literal, $stride:literal, [$($tile:literal),+], $sweep:ident, $range:expr, $pointers:expr) => {{
        let (input, weights, output, start) = $pointers;
        cut($sweep.columns, &[$($tile),+], |tile, columns| match tile {
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
                norm_gradient_padded,
                copy_padded,
                statistics,
                gate,
                descend,
            };

            $(#[target_feature(enable = $feature)])?
            unsafe fn convolve(sweep: &Sweep, input: *const f32, weights: *const f32, output: *mut f32, start: *const f32) {
                let pointers = (input, weights, output, start);
                let paired = paired!(sweep.blocks $(, $double)?);
                $(
                    if paired > 0 {
                        match sweep.pixels {
                            Pixels::Blocks => in_tiles!($simd, 2, 16, 16, $double, sweep, 0..paired, pointers),
                            Pixels::EverySecondBlock => in_tiles!($simd, 2, 16, 32, $double, sweep, 0..paired, pointers),
                            Pixels::Grey => in_tiles!($simd, 2, 1, 1, $double, sweep, 0..paired, pointers),
                            Pixels::Colour => in_tiles!($simd, 2, 3, 3, $double, sweep, 0..paired, pointers),
                        }
                    }
                )?
                let rest = paired..sweep.blocks;
                if rest.is_empty() {
                    return;
                }
                match sweep.pixels {
                    Pixels::Blocks => in_tiles!($simd, 1, 16, 16, $single, sweep, rest.clone(), pointers),
                    Pixels::EverySecondBlock => in_tiles!($simd, 1, 16, 32, $single, sweep, rest.clone(), pointers),
                    Pixels::Grey => in_tiles!($simd, 1, 1, 1, $single, sweep, rest.clone(), pointers),
                    Pixels::Colour => in_tiles!($simd, 1, 3, 3, $single, sweep, rest.clone(), pointers),
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
            unsafe fn normalise_padded(plain: *const f32, padded: *mut f32, blocks: usize, size: usize, scale: *const f32, shift: *const f32) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::normalise_padded::<$simd>(plain, padded, blocks, size, scale, shift) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn norm_gradient_padded(of: &NormGradient, blocks: usize, size: usize) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::norm_gradient_padded::<$simd>(of, blocks, size) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn copy_padded(plain: *const f32, padded: *mut f32, blocks: usize, size: usize) {
                // SAFETY: the caller's promises.
                unsafe { elementwise::copy_padded::<$simd>(plain, padded, blocks, size) }
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

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};

// 32 registers of 16 floats: up to 16 sums, two weights and a factor.
#[cfg(target_arch = "x86_64")]
instance!(avx512, Avx512, "avx512f", single: [16, 14, 8, 7, 4, 2, 1], double: [8, 7, 4, 2, 1], channels: 16, 8);
// 16 registers of 8 floats: up to 12 sums, two weights and a factor.
#[cfg(target_arch = "x86_64")]
instance!(avx2, Avx2, "avx2,fma", single: [6, 5, 4, 3, 2, 1], channels: 4);
// 16 registers of 4 floats on the plainest x86-64.
instance!(portable, Portable, , single: [2, 1], channels: 2);
