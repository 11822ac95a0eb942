//! Every kernel of every instruction set that this processor has, against plain loops in double precision over
//! PyTorch's layouts. What a kernel must not touch is filled with NaN and looked at afterwards.

mod convolution;
mod elementwise;
mod padded;

use crate::InstructionSet;
use crate::buffer::{BLOCK, Buffer};
use crate::convolution::Convolution;
use crate::instances::Kernels;
use crate::layout::pad_image;
use crate::padded::Window;

/// Floats of NaN after what a kernel may touch, and before it where it reads.
const MARGIN: usize = 64 * BLOCK;

pub(crate) fn kernels() -> Vec<(InstructionSet, Kernels)> {
    InstructionSet::ALL.into_iter().filter(|set| set.available()).map(|set| (set, Kernels::of(set))).collect()
}

pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Between −1 and 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn values(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.next()).collect()
    }
}

/// Values between two margins of NaN.
pub(crate) struct Guarded(Buffer);

impl Guarded {
    pub(crate) fn new(values: &[f32]) -> Self {
        let mut buffer = Buffer::zeros(values.len() + 2 * MARGIN);
        buffer.fill(f32::NAN);
        buffer[MARGIN..MARGIN + values.len()].copy_from_slice(values);
        Guarded(buffer)
    }

    pub(crate) fn pointer(&mut self) -> *mut f32 {
        self.0[MARGIN..].as_mut_ptr()
    }

    pub(crate) fn values(&self) -> &[f32] {
        let end = self.0.len() - MARGIN;
        assert!(self.0[..MARGIN].iter().chain(&self.0[end..]).all(|x| x.is_nan()), "written outside of the operand");
        &self.0[MARGIN..end]
    }
}

/// (channels, size, size) as blocks of 16 channels.
pub(crate) fn plain(image: &[f32], size: usize) -> Vec<f32> {
    let pixels = size * size;
    let mut blocks = vec![0.0; image.len()];
    for (at, value) in image.iter().enumerate() {
        let (channel, pixel) = (at / pixels, at % pixels);
        blocks[(channel / BLOCK * pixels + pixel) * BLOCK + channel % BLOCK] = *value;
    }
    blocks
}

/// Blocks of 16 channels as (channels, size, size).
pub(crate) fn channels_first(blocks: &[f32], size: usize) -> Vec<f32> {
    let pixels = size * size;
    let mut image = vec![0.0; blocks.len()];
    for (at, value) in image.iter_mut().enumerate() {
        let (channel, pixel) = (at / pixels, at % pixels);
        *value = blocks[(channel / BLOCK * pixels + pixel) * BLOCK + channel % BLOCK];
    }
    image
}

/// (channels, size, size) with the border of zeros that convolutions read.
fn with_border(image: &[f32], channels: usize, size: usize) -> Vec<f32> {
    let pixel = channels.min(BLOCK);
    let mut blocks = vec![0.0; channels * (size + 2) * (size + 2)];
    let lens = (pixel * size * size, pixel * (size + 2) * (size + 2));
    for (image, block) in image.chunks_exact(lens.0).zip(blocks.chunks_exact_mut(lens.1)) {
        pad_image(image, pixel, size, block);
    }
    blocks
}

/// The largest error, as a fraction of the expected values' root mean square.
fn assert_close(what: &str, ours: &[f32], expected: &[f64]) {
    assert_within(1e-5, what, ours, expected);
}

pub(crate) fn assert_within(tolerance: f64, what: &str, ours: &[f32], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let scale = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt().max(1e-30);
    for (at, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let error = (f64::from(*ours) - expected).abs() / scale;
        assert!(error < tolerance, "{what}, element {at}: {ours} instead of {expected}");
    }
}

pub(crate) struct Reference {
    pub(crate) output: Vec<f64>,
    pub(crate) input_gradient: Vec<f64>,
    pub(crate) weight_gradient: Vec<f64>,
}

/// A convolution with padding kernel / 2, and its two gradients, by the definition.
pub(crate) fn reference(convolution: &Convolution, input: &[f32], weights: &[f32], gradient: &[f32]) -> Reference {
    let (size, output_size) = (convolution.input_size, convolution.output_size());
    let taps = convolution.kernel * convolution.kernel;
    let mut result = Reference {
        output: vec![0.0; gradient.len()],
        input_gradient: vec![0.0; input.len()],
        weight_gradient: vec![0.0; weights.len()],
    };
    for (at, weight) in weights.iter().enumerate() {
        let (output, channel, tap) =
            (at / taps / convolution.input_channels, at / taps % convolution.input_channels, at % taps);
        for row in 0..output_size {
            for column in 0..output_size {
                let y = (row * convolution.stride + tap / convolution.kernel).wrapping_sub(convolution.kernel / 2);
                let x = (column * convolution.stride + tap % convolution.kernel).wrapping_sub(convolution.kernel / 2);
                if y >= size || x >= size {
                    continue;
                }
                let from = (channel * size + y) * size + x;
                let to = (output * output_size + row) * output_size + column;
                let (value, weight) = (f64::from(input[from]), f64::from(*weight));
                let gradient = f64::from(gradient[to]);
                result.output[to] += weight * value;
                result.input_gradient[from] += weight * gradient;
                result.weight_gradient[at] += value * gradient;
            }
        }
    }
    result
}

/// Calls `check` for activations with and without odd numbers of blocks, rows and pixels.
fn each_activation(check: impl Fn(&Kernels, &str, usize, usize, &mut Random)) {
    for (set, kernels) in kernels() {
        for (blocks, size) in [(1, 7), (2, 8), (3, 14), (1, 32), (2, 1)] {
            let what = format!("{set} {blocks} blocks of {size}×{size}");
            check(&kernels, &what, blocks, size, &mut Random((blocks * size) as u64));
        }
    }
}

/// Where (channel, row, column) lies in a plain and in a padded activation.
fn places(blocks: usize, window: &Window) -> Vec<(usize, usize, usize)> {
    let &Window { size, side } = window;
    let mut places = Vec::new();
    for channel in 0..blocks * BLOCK {
        let (block, lane) = (channel / BLOCK, channel % BLOCK);
        for (row, column) in (0..size * size).map(|pixel| (pixel / size, pixel % size)) {
            let plain = ((block * size + row) * size + column) * BLOCK + lane;
            let padded = ((block * side + row + 1) * side + column + 1) * BLOCK + lane;
            places.push((channel, plain, padded));
        }
    }
    places
}
