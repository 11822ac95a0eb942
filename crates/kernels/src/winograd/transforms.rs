//! The transforms of F(4×4, 3×3), one dimension at a time, on blocks of 16 channels.
//!
//! A 3-tap convolution that gives 4 outputs is a product of polynomials, known by its values at the points 0, 1, −1, b, −b
//! and ∞: six products instead of twelve (Winograd 1980; Lavin & Gray 2016 for both dimensions). With b = 2 every constant of
//! the two transforms that are applied to activations is exact.

use crate::simd::Simd;

const B: f32 = 2.0;
const B2: f32 = B * B;
const B3: f32 = B2 * B;
/// Products over the other points of the point's distance from them: what the weights are divided by at 0, ±1 and ±b.
const AT_ZERO: f32 = 1.0 / B2;
const AT_ONE: f32 = 1.0 / (2.0 * (1.0 - B2));
const AT_B: f32 = 1.0 / (2.0 * B2 * (B2 - 1.0));

/// Bᵀ: six neighbouring inputs at the six points.
///
/// # Safety
/// The instruction set of `V`; so for all functions of this file.
#[inline(always)]
pub(super) unsafe fn input<V: Simd>(x: [V; 6]) -> [V; 6] {
    // SAFETY: the caller's promise.
    unsafe {
        let (square, minus_square) = (V::splat(B2), V::splat(-B2));
        let even_one = x[2].multiply_add(minus_square, x[4]);
        let odd_one = x[1].multiply_add(minus_square, x[3]);
        let even_b = x[4].subtract(x[2]);
        let odd_b = x[3].subtract(x[1]);
        [
            x[0].subtract(x[2]).multiply_add(square, even_b),
            even_one.add(odd_one),
            even_one.subtract(odd_one),
            odd_b.multiply_add(V::splat(B), even_b),
            odd_b.multiply_add(V::splat(-B), even_b),
            odd_b.multiply_add(minus_square, x[5].subtract(x[3])),
        ]
    }
}

/// Aᵀ: four outputs from the products at the six points.
#[inline(always)]
pub(super) unsafe fn output<V: Simd>(m: [V; 6]) -> [V; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let (even_one, odd_one) = (m[1].add(m[2]), m[1].subtract(m[2]));
        let (even_b, odd_b) = (m[3].add(m[4]), m[3].subtract(m[4]));
        [
            m[0].add(even_one).add(even_b),
            odd_b.multiply_add(V::splat(B), odd_one),
            even_b.multiply_add(V::splat(B2), even_one),
            odd_b.multiply_add(V::splat(B3), odd_one).add(m[5]),
        ]
    }
}

/// A: four gradients on outputs at the six points, for the gradient on the weights.
#[inline(always)]
pub(super) unsafe fn output_gradient<V: Simd>(y: [V; 4]) -> [V; 6] {
    // SAFETY: the caller's promise.
    unsafe {
        let (even_one, odd_one) = (y[0].add(y[2]), y[1].add(y[3]));
        let even_b = y[2].multiply_add(V::splat(B2), y[0]);
        let odd_b = y[3].multiply_add(V::splat(B2), y[1]);
        [
            y[0],
            even_one.add(odd_one),
            even_one.subtract(odd_one),
            odd_b.multiply_add(V::splat(B), even_b),
            odd_b.multiply_add(V::splat(-B), even_b),
            y[3],
        ]
    }
}

/// G: three weights at the six points.
#[inline(always)]
pub(super) unsafe fn weights<V: Simd>(w: [V; 3]) -> [V; 6] {
    // SAFETY: the caller's promise.
    unsafe {
        let (one, b) = (V::splat(AT_ONE), V::splat(AT_B));
        let even_one = w[0].add(w[2]);
        let even_b = w[2].multiply_add(V::splat(B2), w[0]);
        let odd_b = w[1].multiply(V::splat(B));
        [
            w[0].multiply(V::splat(AT_ZERO)),
            even_one.add(w[1]).multiply(one),
            even_one.subtract(w[1]).multiply(one),
            even_b.add(odd_b).multiply(b),
            even_b.subtract(odd_b).multiply(b),
            w[2],
        ]
    }
}

/// Gᵀ: the gradients on three weights from those at the six points.
#[inline(always)]
pub(super) unsafe fn weight_gradient<V: Simd>(u: [V; 6]) -> [V; 3] {
    // SAFETY: the caller's promise.
    unsafe {
        let one = V::splat(AT_ONE);
        let (even_one, odd_one) = (u[1].add(u[2]).multiply(one), u[1].subtract(u[2]).multiply(one));
        let (even_b, odd_b) = (u[3].add(u[4]), u[3].subtract(u[4]));
        [
            u[0].multiply_add(V::splat(AT_ZERO), even_b.multiply_add(V::splat(AT_B), even_one)),
            odd_b.multiply_add(V::splat(AT_B * B), odd_one),
            even_b.multiply_add(V::splat(AT_B * B2), even_one).add(u[5]),
        ]
    }
}
