//! A matrix product that stays in the first cache: what a micro-kernel reaches where nothing else limits it.

use std::fmt;
use std::ptr::null;
use std::str::FromStr;

use crate::InstructionSet;
use crate::buffer::{BLOCK, Buffer};
use crate::convolution::Sweep;
use crate::error::KernelError;
use crate::instances::Kernels;
use crate::threads::FlushToZero;

/// Rows of the left matrix: whole tiles on every instruction set.
const ROWS: usize = 48;
/// Blocks of 16 that are summed over, and blocks of 16 columns: 26 kB with the rows in single precision.
const SUMMED: usize = 4;
const COLUMNS: usize = 2;
/// Pairs that are summed over, where two numbers lie in the place of one.
const PAIRS: usize = SUMMED * BLOCK / 2;

/// In what a [`Product`] multiplies. It sums in single precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Single precision, by the micro-kernel that networks are trained with.
    Fp32,
    /// bfloat16, two products at a time (`avx512_bf16`). No network is trained with it.
    Bf16,
}

/// (left, right, result): as [`Product`] lays them out for pairs.
type MultiplyPairs = unsafe fn(*const i32, *const i32, *mut f32);

/// A product of 48×64 and 64×32 numbers.
pub struct Product {
    kernels: Kernels,
    sweep: Sweep,
    /// `None`: in single precision, by the kernels.
    pairs: Option<MultiplyPairs>,
    left: Buffer,
    right: Buffer,
    /// `[block of columns][row][16]`.
    result: Buffer,
}

impl Product {
    /// Multiply-accumulates of one [`Product::multiply`].
    pub const MULTIPLY_ACCUMULATES: usize = ROWS * SUMMED * BLOCK * COLUMNS * BLOCK;

    /// # Errors
    /// An instruction set that this processor lacks, or that does not have the precision.
    pub fn new(instruction_set: InstructionSet, precision: Precision) -> Result<Self, KernelError> {
        instruction_set.check()?;
        let pairs = match precision {
            Precision::Fp32 => None,
            Precision::Bf16 => Some(multiply_pairs(instruction_set).ok_or_else(no_bf16)?),
        };
        let (left, right) = if pairs.is_some() { in_pairs() } else { in_single_precision() };
        Ok(Product {
            kernels: Kernels::of(instruction_set),
            sweep: Sweep::product(ROWS, SUMMED, COLUMNS),
            pairs,
            left,
            right,
            result: Buffer::zeros(ROWS * COLUMNS * BLOCK),
        })
    }

    /// Multiplies once; gives the sum of the result's first row, so that nothing can be left out.
    pub fn multiply(&mut self) -> f32 {
        let _flushed = FlushToZero::new();
        let (left, right, result) = (self.left.as_ptr(), self.right.as_ptr(), self.result.as_mut_ptr());
        match self.pairs {
            // SAFETY: the instruction set is available; the buffers have the sweep's extents.
            None => unsafe { (self.kernels.convolve)(&self.sweep, left, right, result, null()) },
            // SAFETY: the instruction set has pairs; the buffers have their extents.
            Some(multiply) => unsafe { multiply(left.cast(), right.cast(), result) },
        }
        self.result[..BLOCK].iter().sum()
    }
}

/// Left: `[block summed over][row][16]`; right: `[block of columns][summed][16]`.
fn in_single_precision() -> (Buffer, Buffer) {
    let left = filled(ROWS * SUMMED * BLOCK, |at| {
        let (block, row) = (at / BLOCK / ROWS, at / BLOCK % ROWS);
        left_number(row, block * BLOCK + at % BLOCK)
    });
    let right = filled(COLUMNS * SUMMED * BLOCK * BLOCK, |at| {
        let (block, summed) = (at / BLOCK / (SUMMED * BLOCK), at / BLOCK % (SUMMED * BLOCK));
        right_number(summed, block * BLOCK + at % BLOCK)
    });
    (left, right)
}

/// Left: `[row][pair]`; right: `[block of columns][pair][16]`. Each place is a pair of numbers that are summed over.
fn in_pairs() -> (Buffer, Buffer) {
    let left = filled(ROWS * PAIRS, |at| {
        let (row, summed) = (at / PAIRS, 2 * (at % PAIRS));
        pair(left_number(row, summed), left_number(row, summed + 1))
    });
    let right = filled(COLUMNS * PAIRS * BLOCK, |at| {
        let (block, summed) = (at / BLOCK / PAIRS, 2 * (at / BLOCK % PAIRS));
        let column = block * BLOCK + at % BLOCK;
        pair(right_number(summed, column), right_number(summed + 1, column))
    });
    (left, right)
}

/// Two numbers side by side, the first in the lower half, each without the lower half of its own bits.
fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(first.to_bits() >> 16 | second.to_bits() & 0xffff_0000)
}

/// Small whole numbers, so that both precisions hold them and their sums exactly.
fn left_number(row: usize, summed: usize) -> f32 {
    ((row + 3 * summed) % 7) as f32 - 3.0
}

fn right_number(summed: usize, column: usize) -> f32 {
    ((2 * summed + 5 * column) % 11) as f32 - 5.0
}

fn filled(len: usize, value: impl Fn(usize) -> f32) -> Buffer {
    let mut buffer = Buffer::zeros(len);
    buffer.iter_mut().enumerate().for_each(|(at, slot)| *slot = value(at));
    buffer
}

fn no_bf16() -> KernelError {
    KernelError::Field {
        field: "precision",
        given: Precision::Bf16.to_string(),
        allowed: "fp32, or bf16 by avx512 on a processor with avx512_bf16".to_string(),
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = KernelError;

    fn from_str(text: &str) -> Result<Self, KernelError> {
        [Precision::Fp32, Precision::Bf16].into_iter().find(|precision| precision.to_string() == text).ok_or_else(
            || KernelError::Field { field: "precision", given: text.to_string(), allowed: "fp32 or bf16".to_string() },
        )
    }
}

#[cfg(target_arch = "x86_64")]
fn multiply_pairs(instruction_set: InstructionSet) -> Option<MultiplyPairs> {
    let has = instruction_set == InstructionSet::Avx512 && std::is_x86_feature_detected!("avx512bf16");
    has.then_some(avx512_bf16::multiply)
}

#[cfg(not(target_arch = "x86_64"))]
fn multiply_pairs(_: InstructionSet) -> Option<MultiplyPairs> {
    None
}

#[cfg(target_arch = "x86_64")]
mod avx512_bf16 {
    //! As the micro-kernel in single precision, with one instruction that multiplies two numbers and adds both products.

    // The indices are registers: they address sums and rows at once.
    #![allow(clippy::needless_range_loop)]

    use super::{BLOCK, COLUMNS, PAIRS, ROWS};
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// Rows whose sums stay in registers: 24 sums, two weights and a factor, of 32.
    const TILE: usize = 12;
    const _: () = assert!(ROWS.is_multiple_of(TILE));

    /// # Safety
    /// `avx512f` and `avx512bf16`. The pointers cover both matrices as pairs, and the result.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn multiply(left: *const i32, right: *const i32, result: *mut f32) {
        // SAFETY: the caller's promises; every offset lies within these extents. A register of pairs and one of whole numbers
        // are the same bits.
        unsafe {
            for row in (0..ROWS).step_by(TILE) {
                let left = left.add(row * PAIRS);
                let mut sums = [[_mm512_setzero_ps(); COLUMNS]; TILE];
                for pair in 0..PAIRS {
                    let weights: [__m512bh; COLUMNS] = std::array::from_fn(|block| {
                        right.add((block * PAIRS + pair) * BLOCK).cast::<__m512bh>().read_unaligned()
                    });
                    for i in 0..TILE {
                        let factor = transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*left.add(i * PAIRS + pair)));
                        for block in 0..COLUMNS {
                            sums[i][block] = _mm512_dpbf16_ps(sums[i][block], factor, weights[block]);
                        }
                    }
                }
                for i in 0..TILE {
                    for block in 0..COLUMNS {
                        _mm512_storeu_ps(result.add((block * ROWS + row + i) * BLOCK), sums[i][block]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against three plain loops in double precision; what is summed is whole and small, so that nothing is rounded.
    #[test]
    fn both_precisions_multiply_the_same_matrices_to_the_same_numbers() {
        let mut expected = vec![0.0; ROWS * COLUMNS * BLOCK];
        for row in 0..ROWS {
            for column in 0..COLUMNS * BLOCK {
                let products =
                    (0..SUMMED * BLOCK).map(|it| f64::from(left_number(row, it)) * f64::from(right_number(it, column)));
                expected[(column / BLOCK * ROWS + row) * BLOCK + column % BLOCK] = products.sum::<f64>();
            }
        }
        assert!(expected.iter().any(|sum| *sum != expected[0]));
        let first_row: f64 = expected[..BLOCK].iter().sum();
        let sets = InstructionSet::ALL.into_iter().filter(|set| set.available());
        for (set, precision) in sets.flat_map(|set| [(set, Precision::Fp32), (set, Precision::Bf16)]) {
            match Product::new(set, precision) {
                Ok(mut product) => {
                    assert_eq!(f64::from(product.multiply()), first_row, "{set} {precision}");
                    let result: Vec<f64> = product.result.iter().map(|sum| f64::from(*sum)).collect();
                    assert_eq!(result, expected, "{set} {precision}");
                }
                Err(error) => assert!(precision == Precision::Bf16 && error == no_bf16(), "{set}: {error}"),
            }
        }
    }

    #[test]
    fn a_precision_is_named_as_it_is_typed() {
        for precision in [Precision::Fp32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let refused = "fp16".parse::<Precision>().expect_err("there is none").to_string();
        assert!(refused.contains("fp16") && refused.contains("fp32 or bf16"), "{refused}");
    }
}
