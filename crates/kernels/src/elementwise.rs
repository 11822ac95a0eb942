//! What happens between convolutions, image by image: batch norm, ReLU, their gradients and statistics, and SGD.
//! Per channel constants are arrays as long as the channels; `blocks` counts blocks of 16 channels.

use crate::buffer::BLOCK;
use crate::simd::Simd;

/// `padded = relu(scale·plain + shift)` inside a border of zeros.
///
/// # Safety
/// The instruction set of `V`; pointers cover `blocks` of `size × size` pixels (padded: `size + 2`).
#[inline(always)]
pub(crate) unsafe fn normalise_padded<V: Simd>(
    plain: *const f32,
    padded: *mut f32,
    blocks: usize,
    size: usize,
    scale: *const f32,
    shift: *const f32,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let row_len = (size + 2) * BLOCK;
        for block in 0..blocks {
            let (scale, shift) = (V::load(scale.add(block * BLOCK)), V::load(shift.add(block * BLOCK)));
            let to = border::<V>(padded, block, size);
            let from = plain.add(block * size * size * BLOCK);
            for row in 0..size {
                for column in 0..size {
                    let x = V::load(from.add((row * size + column) * BLOCK));
                    x.multiply_add(scale, shift).relu().store(to.add((row + 1) * row_len + (column + 1) * BLOCK));
                }
            }
        }
    }
}

/// Zeroes the border of one padded block and gives the block's start.
///
/// # Safety
/// As [`normalise_padded`].
#[inline(always)]
unsafe fn border<V: Simd>(padded: *mut f32, block: usize, size: usize) -> *mut f32 {
    // SAFETY: the caller's promises.
    unsafe {
        let row_len = (size + 2) * BLOCK;
        let to = padded.add(block * (size + 2) * row_len);
        let zero = V::splat(0.0);
        for column in 0..size + 2 {
            zero.store(to.add(column * BLOCK));
            zero.store(to.add((size + 1) * row_len + column * BLOCK));
        }
        for row in 1..=size {
            zero.store(to.add(row * row_len));
            zero.store(to.add(row * row_len + (size + 1) * BLOCK));
        }
        to
    }
}

/// The gradient on what a batch norm reads, from the gradient on what its ReLU gave, already gated:
/// `gated·by_gradient + input·by_input + constant (+ skip)`, written padded, and plain where asked.
pub(crate) struct NormGradient {
    pub(crate) gated: *const f32,
    pub(crate) input: *const f32,
    /// Null, or a gradient to add: that of a block's identity path.
    pub(crate) skip: *const f32,
    pub(crate) padded: *mut f32,
    /// Null, or where to write it unpadded too.
    pub(crate) plain: *mut f32,
    pub(crate) by_gradient: *const f32,
    pub(crate) by_input: *const f32,
    pub(crate) constant: *const f32,
}

/// # Safety
/// The instruction set of `V`; pointers cover `blocks` of `size × size` pixels (padded: `size + 2`).
#[inline(always)]
pub(crate) unsafe fn norm_gradient_padded<V: Simd>(of: &NormGradient, blocks: usize, size: usize) {
    // SAFETY: the caller's promises.
    unsafe {
        let row_len = (size + 2) * BLOCK;
        for block in 0..blocks {
            let channel = block * BLOCK;
            let by_gradient = V::load(of.by_gradient.add(channel));
            let by_input = V::load(of.by_input.add(channel));
            let constant = V::load(of.constant.add(channel));
            let to = border::<V>(of.padded, block, size);
            for row in 0..size {
                for column in 0..size {
                    let at = block * size * size * BLOCK + (row * size + column) * BLOCK;
                    let rest = V::load(of.input.add(at)).multiply_add(by_input, constant);
                    let mut gradient = V::load(of.gated.add(at)).multiply_add(by_gradient, rest);
                    if !of.skip.is_null() {
                        gradient = gradient.add(V::load(of.skip.add(at)));
                    }
                    gradient.store(to.add((row + 1) * row_len + (column + 1) * BLOCK));
                    if !of.plain.is_null() {
                        gradient.store(of.plain.add(at));
                    }
                }
            }
        }
    }
}

/// `padded = plain` inside a border of zeros.
///
/// # Safety
/// The instruction set of `V`; pointers cover `blocks` of `size × size` pixels (padded: `size + 2`).
#[inline(always)]
pub(crate) unsafe fn copy_padded<V: Simd>(plain: *const f32, padded: *mut f32, blocks: usize, size: usize) {
    // SAFETY: the caller's promises.
    unsafe {
        for block in 0..blocks {
            let to = border::<V>(padded, block, size);
            for row in 0..size {
                let from = plain.add((block * size + row) * size * BLOCK);
                let to = to.add(((row + 1) * (size + 2) + 1) * BLOCK);
                std::ptr::copy_nonoverlapping(from, to, size * BLOCK);
            }
        }
    }
}

/// Sums over pixels are taken in four interleaved chains, so that additions do not wait for one another.
const CHAINS: usize = 4;

/// Adds to `sums` and `squares`, per channel, the sums over pixels of `x` and of `x²`.
///
/// # Safety
/// The instruction set of `V`; `plain` covers `blocks` of `pixels`, the sums `blocks·16` numbers.
#[inline(always)]
pub(crate) unsafe fn statistics<V: Simd>(
    plain: *const f32,
    blocks: usize,
    pixels: usize,
    sums: *mut f64,
    squares: *mut f64,
) {
    // SAFETY: the caller's promises.
    unsafe {
        for block in 0..blocks {
            let from = plain.add(block * pixels * BLOCK);
            let mut sum = [V::splat(0.0); CHAINS];
            let mut square = [V::splat(0.0); CHAINS];
            for pixel in 0..pixels {
                let chain = pixel % CHAINS;
                let x = V::load(from.add(pixel * BLOCK));
                sum[chain] = sum[chain].add(x);
                square[chain] = x.multiply_add(x, square[chain]);
            }
            gather(sum, sums.add(block * BLOCK));
            gather(square, squares.add(block * BLOCK));
        }
    }
}

/// Gates `gradient` in place by the ReLU that read `scale·input + shift`, and adds to `sums` and `products`, per
/// channel, the sums over pixels of the gated gradient and of its product with `input`.
///
/// # Safety
/// As [`statistics`].
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn gate<V: Simd>(
    gradient: *mut f32,
    input: *const f32,
    blocks: usize,
    pixels: usize,
    scale: *const f32,
    shift: *const f32,
    sums: *mut f64,
    products: *mut f64,
) {
    // SAFETY: the caller's promises.
    unsafe {
        for block in 0..blocks {
            let (scale, shift) = (V::load(scale.add(block * BLOCK)), V::load(shift.add(block * BLOCK)));
            let mut sum = [V::splat(0.0); CHAINS];
            let mut product = [V::splat(0.0); CHAINS];
            for pixel in 0..pixels {
                let chain = pixel % CHAINS;
                let at = (block * pixels + pixel) * BLOCK;
                let x = V::load(input.add(at));
                let gated = V::load(gradient.add(at)).where_positive(x.multiply_add(scale, shift));
                gated.store(gradient.add(at));
                sum[chain] = sum[chain].add(gated);
                product[chain] = gated.multiply_add(x, product[chain]);
            }
            gather(sum, sums.add(block * BLOCK));
            gather(product, products.add(block * BLOCK));
        }
    }
}

/// Adds four chains, then to the totals in double precision.
///
/// # Safety
/// The instruction set of `V`; `totals` covers 16 numbers.
#[inline(always)]
unsafe fn gather<V: Simd>(chains: [V; CHAINS], totals: *mut f64) {
    // SAFETY: the caller's promises.
    unsafe {
        let mut lanes = [0.0f32; BLOCK];
        chains[0].add(chains[1]).add(chains[2].add(chains[3])).store(lanes.as_mut_ptr());
        for (lane, value) in lanes.iter().enumerate() {
            *totals.add(lane) += f64::from(*value);
        }
    }
}

/// `v ← momentum·v + (gradient + weight_decay·w)`, `w ← w − learning_rate·v`: SGD as PyTorch defines it, over whole
/// blocks of 16 floats.
///
/// # Safety
/// The instruction set of `V`; the pointers cover `blocks·16` floats.
#[inline(always)]
pub(crate) unsafe fn descend<V: Simd>(
    values: *mut f32,
    velocity: *mut f32,
    gradient: *const f32,
    blocks: usize,
    learning_rate: f32,
    momentum: f32,
    weight_decay: f32,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let (rate, momentum, decay) = (V::splat(-learning_rate), V::splat(momentum), V::splat(weight_decay));
        for at in (0..blocks * BLOCK).step_by(BLOCK) {
            let w = V::load(values.add(at));
            let decayed = w.multiply_add(decay, V::load(gradient.add(at)));
            let v = V::load(velocity.add(at)).multiply_add(momentum, decayed);
            v.store(velocity.add(at));
            v.multiply_add(rate, w).store(values.add(at));
        }
    }
}
