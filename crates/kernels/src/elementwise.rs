//! What happens between convolutions to an activation as it lies: statistics, gates of ReLUs, gradients of means; and SGD.
//! Per channel constants are arrays as long as the channels; `blocks` counts blocks of 16 channels.

use crate::buffer::BLOCK;
use crate::simd::Simd;

/// Sums over pixels of a number and of its product with another, of one block of channels: in interleaved chains, so that additions
/// do not wait for one another.
#[derive(Clone, Copy)]
pub(crate) struct Chains<V, const CHAINS: usize> {
    sum: [V; CHAINS],
    product: [V; CHAINS],
}

impl<V: Simd, const CHAINS: usize> Chains<V, CHAINS> {
    /// # Safety
    /// The instruction set of `V`.
    #[inline(always)]
    pub(crate) unsafe fn zero() -> Self {
        // SAFETY: the caller's promise.
        let zero = unsafe { V::splat(0.0) };
        Chains { sum: [zero; CHAINS], product: [zero; CHAINS] }
    }

    /// Adds `number` and `number·factor`.
    ///
    /// # Safety
    /// The instruction set of `V`.
    #[inline(always)]
    pub(crate) unsafe fn add(&mut self, chain: usize, number: V, factor: V) {
        // SAFETY: the caller's promise.
        unsafe {
            self.sum[chain] = self.sum[chain].add(number);
            self.product[chain] = number.multiply_add(factor, self.product[chain]);
        }
    }

    /// Adds both sums to a block's totals in double precision.
    ///
    /// # Safety
    /// The instruction set of `V`; both totals cover 16 numbers.
    #[inline(always)]
    pub(crate) unsafe fn gather(self, sums: *mut f64, products: *mut f64) {
        // SAFETY: the caller's promises.
        unsafe {
            gather(total(self.sum), sums);
            gather(total(self.product), products);
        }
    }
}

/// Neighbours first: `(a + b) + (c + d)`. There are as many as a power of two.
///
/// # Safety
/// The instruction set of `V`.
#[inline(always)]
unsafe fn total<V: Simd, const CHAINS: usize>(mut chains: [V; CHAINS]) -> V {
    let mut left = CHAINS;
    while left > 1 {
        left /= 2;
        for at in 0..left {
            // SAFETY: the caller's promise.
            chains[at] = unsafe { chains[2 * at].add(chains[2 * at + 1]) };
        }
    }
    chains[0]
}

/// Adds a sum to the totals in double precision.
///
/// # Safety
/// The instruction set of `V`; `totals` covers 16 numbers.
#[inline(always)]
unsafe fn gather<V: Simd>(sum: V, totals: *mut f64) {
    // SAFETY: the caller's promises.
    unsafe {
        let mut lanes = [0.0f32; BLOCK];
        sum.store(lanes.as_mut_ptr());
        for (lane, value) in lanes.iter().enumerate() {
            *totals.add(lane) += f64::from(*value);
        }
    }
}

/// Chains in the sums of one image's pixels.
const CHAINS: usize = 4;

/// Adds to `sums` and `products`, per channel, the sums over pixels of what `of_block(channel)(place)` gives first and of its product
/// with what it gives second.
///
/// # Safety
/// The instruction set of `V`; the totals cover `blocks·16` numbers.
#[inline(always)]
unsafe fn sum_each<V: Simd, Each: FnMut(usize) -> [V; 2]>(
    blocks: usize,
    pixels: usize,
    [sums, products]: [*mut f64; 2],
    of_block: impl Fn(usize) -> Each,
) {
    // SAFETY: the caller's promises.
    unsafe {
        for block in 0..blocks {
            let mut each = of_block(block * BLOCK);
            let mut chains = Chains::<V, CHAINS>::zero();
            for pixel in 0..pixels {
                let [number, factor] = each((block * pixels + pixel) * BLOCK);
                chains.add(pixel % CHAINS, number, factor);
            }
            chains.gather(sums.add(block * BLOCK), products.add(block * BLOCK));
        }
    }
}

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
        sum_each(blocks, pixels, [sums, squares], |_| {
            move |at| {
                let x = V::load(plain.add(at));
                [x, x]
            }
        });
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
        sum_each(blocks, pixels, [sums, products], |channel| {
            let (scale, shift) = (V::load(scale.add(channel)), V::load(shift.add(channel)));
            move |at| {
                let x = V::load(input.add(at));
                let gated = V::load(gradient.add(at)).where_positive(x.multiply_add(scale, shift));
                gated.store(gradient.add(at));
                [gated, x]
            }
        });
    }
}

/// Gates `gradient` in place by the ReLU that gave `output`, and adds to `sums` and `products`, per channel, the sums over pixels of
/// the gated gradient and of its product with `input`. To gate it again changes nothing.
///
/// # Safety
/// As [`statistics`].
#[inline(always)]
pub(crate) unsafe fn gate_by_output<V: Simd>(
    gradient: *mut f32,
    output: *const f32,
    input: *const f32,
    blocks: usize,
    pixels: usize,
    sums: *mut f64,
    products: *mut f64,
) {
    // SAFETY: the caller's promises.
    unsafe {
        sum_each(blocks, pixels, [sums, products], |_| {
            move |at| {
                let gated = V::load(gradient.add(at)).where_positive(V::load(output.add(at)));
                gated.store(gradient.add(at));
                [gated, V::load(input.add(at))]
            }
        });
    }
}

/// As [`gate`], of `gradient` as it stands; what is gated is added to `onto`, times `scale`: all of a batch norm's gradient but for what
/// is linear in its input.
///
/// # Safety
/// As [`statistics`].
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn accumulate<V: Simd>(
    gradient: *const f32,
    onto: *mut f32,
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
        sum_each(blocks, pixels, [sums, products], |channel| {
            let (scale, shift) = (V::load(scale.add(channel)), V::load(shift.add(channel)));
            move |at| {
                let x = V::load(input.add(at));
                let gated = V::load(gradient.add(at)).where_positive(x.multiply_add(scale, shift));
                gated.multiply_add(scale, V::load(onto.add(at))).store(onto.add(at));
                [gated, x]
            }
        });
    }
}

/// A gradient on means over `factor × factor` pixels, on its way to what a batch norm and its ReLU read before them.
#[derive(Clone, Copy)]
pub(crate) struct Unpooled {
    /// On `size × size` means.
    pub(crate) of_means: *const f32,
    pub(crate) size: usize,
    pub(crate) factor: usize,
    pub(crate) input: *const f32,
    pub(crate) scale: *const f32,
    pub(crate) shift: *const f32,
    /// Where it is added, as [`accumulate`] adds it; or set, where nothing is there yet.
    pub(crate) onto: *mut f32,
    pub(crate) adds: bool,
}

/// Spreads a gradient on means evenly over their pixels, and goes on as [`accumulate`] does.
///
/// # Safety
/// As [`statistics`].
#[inline(always)]
pub(crate) unsafe fn unpool<V: Simd>(of: &Unpooled, blocks: usize, sums: *mut f64, products: *mut f64) {
    // SAFETY: the caller's promises.
    unsafe {
        let &Unpooled { of_means, size, factor, input, onto, .. } = of;
        let (side, share) = (size * factor, V::splat(1.0 / (factor * factor) as f32));
        for block in 0..blocks {
            let (scale, shift) = (V::load(of.scale.add(block * BLOCK)), V::load(of.shift.add(block * BLOCK)));
            let mut chains = Chains::<V, CHAINS>::zero();
            for row in 0..side {
                for column in 0..side {
                    let mean = (block * size + row / factor) * size + column / factor;
                    let at = ((block * side + row) * side + column) * BLOCK;
                    let x = V::load(input.add(at));
                    let gradient = V::load(of_means.add(mean * BLOCK)).multiply(share);
                    let gated = gradient.where_positive(x.multiply_add(scale, shift));
                    let before = if of.adds { V::load(onto.add(at)) } else { V::splat(0.0) };
                    gated.multiply_add(scale, before).store(onto.add(at));
                    chains.add(column % CHAINS, gated, x);
                }
            }
            chains.gather(sums.add(block * BLOCK), products.add(block * BLOCK));
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
