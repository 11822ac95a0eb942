//! A matrix product that stays in the first cache: what the micro-kernel reaches where nothing else limits it.

use std::ptr::null;

use crate::InstructionSet;
use crate::buffer::{BLOCK, Buffer};
use crate::convolution::Sweep;
use crate::error::KernelError;
use crate::instances::Kernels;
use crate::threads::FlushToZero;

/// Rows of the left matrix: whole tiles on every instruction set.
const ROWS: usize = 48;
/// Blocks of 16 that are summed over, and blocks of 16 columns: 26 kB with the rows.
const SUMMED: usize = 4;
const COLUMNS: usize = 2;

/// A product of 48×64 and 64×32 numbers.
pub struct Product {
    kernels: Kernels,
    sweep: Sweep,
    left: Buffer,
    right: Buffer,
    result: Buffer,
}

impl Product {
    /// Multiply-accumulates of one [`Product::multiply`].
    pub const MULTIPLY_ACCUMULATES: usize = ROWS * SUMMED * BLOCK * COLUMNS * BLOCK;

    /// # Errors
    /// An instruction set that this processor lacks.
    pub fn new(instruction_set: InstructionSet) -> Result<Self, KernelError> {
        instruction_set.check()?;
        let filled = |len: usize| {
            let mut buffer = Buffer::zeros(len);
            buffer.iter_mut().enumerate().for_each(|(at, value)| *value = (at % 7) as f32 - 3.0);
            buffer
        };
        Ok(Product {
            kernels: Kernels::of(instruction_set),
            sweep: Sweep::product(ROWS, SUMMED, COLUMNS),
            left: filled(ROWS * SUMMED * BLOCK),
            right: filled(SUMMED * COLUMNS * BLOCK * BLOCK),
            result: Buffer::zeros(ROWS * COLUMNS * BLOCK),
        })
    }

    /// Multiplies once; gives the sum of the result's first row, so that nothing can be left out.
    pub fn multiply(&mut self) -> f32 {
        let _flushed = FlushToZero::new();
        let (left, right) = (self.left.as_ptr(), self.right.as_ptr());
        // SAFETY: the instruction set is available; the buffers have the sweep's extents.
        unsafe { (self.kernels.convolve)(&self.sweep, left, right, self.result.as_mut_ptr(), null()) };
        self.result[..BLOCK].iter().sum()
    }
}
