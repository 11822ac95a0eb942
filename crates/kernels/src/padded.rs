//! Activations inside a border of zeros, as convolutions read them, and what is made of them on the way there: batch norm and ReLU, their
//! gradients, sums, means. Per channel constants are arrays as long as the channels; `blocks` counts blocks of 16 channels.

use crate::buffer::BLOCK;
use crate::simd::Simd;

/// Where an activation of `size × size` pixels lies inside a border of zeros: a pixel wide above and on the left, and as wide as
/// `side`, the pixels in a padded row and column, leaves on the right and below.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) size: usize,
    pub(crate) side: usize,
}

impl Window {
    /// With a border of one pixel.
    pub(crate) fn whole(size: usize) -> Self {
        Window { size, side: size + 2 }
    }

    /// Floats of one block of plain and of padded pixels.
    fn lens(&self) -> (usize, usize) {
        (self.size * self.size * BLOCK, self.side * self.side * BLOCK)
    }

    /// One block of padded pixels, each the `value` of its place in a plain one or zero.
    ///
    /// # Safety
    /// The instruction set of `V`; `to` covers the padded pixels.
    #[inline(always)]
    unsafe fn fill<V: Simd>(&self, to: *mut f32, mut value: impl FnMut(usize) -> V) {
        // SAFETY: the caller's promises.
        unsafe {
            let zero = V::splat(0.0);
            let &Window { size, side } = self;
            let row_len = side * BLOCK;
            for row in (0..side).filter(|row| *row == 0 || *row > size) {
                for column in 0..side {
                    zero.store(to.add(row * row_len + column * BLOCK));
                }
            }
            for row in 0..size {
                let to = to.add((row + 1) * row_len);
                zero.store(to);
                for column in 0..size {
                    value((row * size + column) * BLOCK).store(to.add((column + 1) * BLOCK));
                }
                zero.store(to.add((size + 1) * BLOCK));
                for column in size + 2..side {
                    zero.store(to.add(column * BLOCK));
                }
            }
        }
    }
}

/// `padded = relu(scale·plain + shift)` inside a border of zeros.
///
/// # Safety
/// The instruction set of `V`; pointers cover `blocks` of plain and of padded pixels, and the channels' constants.
#[inline(always)]
pub(crate) unsafe fn normalise_padded<V: Simd>(
    plain: *const f32,
    padded: *mut f32,
    blocks: usize,
    window: &Window,
    scale: *const f32,
    shift: *const f32,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let (plain_len, padded_len) = window.lens();
        for block in 0..blocks {
            let (scale, shift) = (V::load(scale.add(block * BLOCK)), V::load(shift.add(block * BLOCK)));
            let from = plain.add(block * plain_len);
            window.fill::<V>(padded.add(block * padded_len), |at| {
                V::load(from.add(at)).multiply_add(scale, shift).relu()
            });
        }
    }
}

/// Means over 2×2 pixels of `relu(scale·plain + shift)` inside a border of zeros; `window` is that of the means.
///
/// # Safety
/// As [`normalise_padded`], of four times as many plain pixels.
#[inline(always)]
pub(crate) unsafe fn pool_padded<V: Simd>(
    plain: *const f32,
    padded: *mut f32,
    blocks: usize,
    window: &Window,
    scale: *const f32,
    shift: *const f32,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let (plain_len, padded_len) = window.lens();
        let (size, row_len) = (window.size, 2 * window.size * BLOCK);
        let quarter = V::splat(0.25);
        for block in 0..blocks {
            let (scale, shift) = (V::load(scale.add(block * BLOCK)), V::load(shift.add(block * BLOCK)));
            let from = plain.add(4 * block * plain_len);
            window.fill::<V>(padded.add(block * padded_len), |at| {
                let (row, column) = (at / BLOCK / size, at / BLOCK % size);
                let first = from.add(2 * row * row_len + 2 * column * BLOCK);
                let rectified = |at: *const f32| V::load(at).multiply_add(scale, shift).relu();
                let upper = rectified(first).add(rectified(first.add(BLOCK)));
                let lower = rectified(first.add(row_len)).add(rectified(first.add(row_len + BLOCK)));
                upper.add(lower).multiply(quarter)
            });
        }
    }
}

/// The gradient on what a batch norm reads, from the gradient on what its ReLU gave, already gated:
/// `gated·by_gradient + input·by_input + constant (+ skip)`, written padded, and plain where asked.
#[derive(Clone, Copy)]
pub(crate) struct NormGradient {
    pub(crate) gated: *const f32,
    pub(crate) input: *const f32,
    /// Null, or a gradient to add: that of a block's identity path.
    pub(crate) skip: *const f32,
    /// Null, or where to write it unpadded too.
    pub(crate) plain: *mut f32,
    pub(crate) by_gradient: *const f32,
    pub(crate) by_input: *const f32,
    pub(crate) constant: *const f32,
}

impl NormGradient {
    /// The same from this place in all activations and this channel on.
    pub(crate) fn at(&self, place: usize, channel: usize) -> NormGradient {
        let moved = |pointer: *const f32| if pointer.is_null() { pointer } else { pointer.wrapping_add(place) };
        NormGradient {
            gated: moved(self.gated),
            input: moved(self.input),
            skip: moved(self.skip),
            plain: moved(self.plain).cast_mut(),
            by_gradient: self.by_gradient.wrapping_add(channel),
            by_input: self.by_input.wrapping_add(channel),
            constant: self.constant.wrapping_add(channel),
        }
    }
}

/// `padded` is the gradient inside a border of zeros; `of.plain`, where it is not null, is the same without.
///
/// # Safety
/// The instruction set of `V`; pointers cover `blocks` of plain and of padded pixels, and the channels' constants.
#[inline(always)]
pub(crate) unsafe fn norm_gradient_padded<V: Simd>(
    of: &NormGradient,
    padded: *mut f32,
    blocks: usize,
    window: &Window,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let (plain_len, padded_len) = window.lens();
        for block in 0..blocks {
            let of = of.at(block * plain_len, block * BLOCK);
            let to = padded.add(block * padded_len);
            let (by_gradient, by_input, constant) =
                (V::load(of.by_gradient), V::load(of.by_input), V::load(of.constant));
            let own = |at| {
                let rest = V::load(of.input.add(at)).multiply_add(by_input, constant);
                V::load(of.gated.add(at)).multiply_add(by_gradient, rest)
            };
            let kept = |at, gradient: V| {
                gradient.store(of.plain.add(at));
                gradient
            };
            match (of.skip.is_null(), of.plain.is_null()) {
                (true, true) => window.fill::<V>(to, own),
                (true, false) => window.fill::<V>(to, |at| kept(at, own(at))),
                (false, true) => window.fill::<V>(to, |at| own(at).add(V::load(of.skip.add(at)))),
                (false, false) => window.fill::<V>(to, |at| kept(at, own(at).add(V::load(of.skip.add(at))))),
            }
        }
    }
}

/// What a ReLU after a sum gives: `relu(scale·branch + shift + skip)`, or with a batch norm on the skip too
/// `relu(scale·branch + shift + skip_scale·skip + skip_shift)`.
#[derive(Clone, Copy)]
pub(crate) struct Joined {
    pub(crate) branch: *const f32,
    pub(crate) scale: *const f32,
    pub(crate) shift: *const f32,
    /// Null where there is nothing to add.
    pub(crate) skip: *const f32,
    /// Null where the skip is added as it is.
    pub(crate) skip_scale: *const f32,
    pub(crate) skip_shift: *const f32,
    /// Where it is written unpadded; may be the branch's place.
    pub(crate) plain: *mut f32,
}

impl Joined {
    /// The same from this place in all activations on.
    pub(crate) fn at(&self, place: usize) -> Joined {
        Joined {
            branch: self.branch.wrapping_add(place),
            skip: if self.skip.is_null() { self.skip } else { self.skip.wrapping_add(place) },
            plain: self.plain.wrapping_add(place),
            ..*self
        }
    }
}

/// `padded` is what is joined inside a border of zeros; `of.plain` is the same without.
///
/// # Safety
/// The instruction set of `V`; pointers cover `blocks` of plain and of padded pixels, and the channels' constants.
#[inline(always)]
pub(crate) unsafe fn join_padded<V: Simd>(of: &Joined, padded: *mut f32, blocks: usize, window: &Window) {
    // SAFETY: the caller's promises.
    unsafe {
        let (plain_len, padded_len) = window.lens();
        for block in 0..blocks {
            let (from, channel) = (block * plain_len, block * BLOCK);
            let (branch, plain, to) = (of.branch.add(from), of.plain.add(from), padded.add(block * padded_len));
            let (scale, shift) = (V::load(of.scale.add(channel)), V::load(of.shift.add(channel)));
            let own = |at| V::load(branch.add(at)).multiply_add(scale, shift);
            let kept = |at, sum: V| {
                let value = sum.relu();
                value.store(plain.add(at));
                value
            };
            if of.skip.is_null() {
                window.fill::<V>(to, |at| kept(at, own(at)));
                continue;
            }
            let skip = of.skip.add(from);
            if of.skip_scale.is_null() {
                window.fill::<V>(to, |at| kept(at, own(at).add(V::load(skip.add(at)))));
                continue;
            }
            let (by, plus) = (V::load(of.skip_scale.add(channel)), V::load(of.skip_shift.add(channel)));
            window.fill::<V>(to, |at| kept(at, own(at).add(V::load(skip.add(at)).multiply_add(by, plus))));
        }
    }
}

/// `padded = plain` inside a border of zeros.
///
/// # Safety
/// The instruction set of `V`; pointers cover `blocks` of plain and of padded pixels.
#[inline(always)]
pub(crate) unsafe fn copy_padded<V: Simd>(plain: *const f32, padded: *mut f32, blocks: usize, window: &Window) {
    // SAFETY: the caller's promises.
    unsafe {
        let (plain_len, padded_len) = window.lens();
        for block in 0..blocks {
            let from = plain.add(block * plain_len);
            window.fill::<V>(padded.add(block * padded_len), |at| V::load(from.add(at)));
        }
    }
}
