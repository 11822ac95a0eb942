use std::ops::{Deref, DerefMut};

/// Channels in a block: every width of a network is a multiple of it.
pub(crate) const BLOCK: usize = 16;

/// One block of channels at one pixel: a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; BLOCK]);

/// Floats that start on a cache line, so that no block of 16 channels straddles two.
/// Zero when made; its length is fixed.
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    pub(crate) fn zeros(len: usize) -> Self {
        Buffer { lines: vec![Line([0.0; BLOCK]); len.div_ceil(BLOCK)], len }
    }

    /// Whole blocks of 16 floats, the last one filled up with zeros: kernels may run over all of it.
    pub(crate) fn blocks(&self) -> usize {
        self.lines.len()
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` floats without padding (`Line` is exactly 16 floats, 64
        // bytes), all initialised, borrowed as long as `self` is.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast::<f32>(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast::<f32>(), self.len) }
    }
}
