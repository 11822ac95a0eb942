//! Every kernel of every instruction set that this processor has, against plain loops in double precision over
//! PyTorch's layouts. What a kernel must not touch is filled with NaN and looked at afterwards.

use std::ptr::{null, null_mut};

use crate::InstructionSet;
use crate::buffer::{BLOCK, Buffer};
use crate::convolution::{Convolution, cut};
use crate::elementwise::{Joined, NormGradient, Unpooled, Window};
use crate::instances::Kernels;
use crate::layout::{pad_image, weights_from_pytorch, weights_to_pytorch};

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
fn padded(image: &[f32], channels: usize, size: usize) -> Vec<f32> {
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

fn check_convolution(input_channels: usize, output_channels: usize, size: usize, stride: usize, kernel: usize) {
    let convolution = Convolution::new(input_channels, output_channels, size, stride, kernel);
    let output_size = convolution.output_size();
    let mut random = Random((input_channels * 1000 + output_channels * 100 + size * 10 + stride + kernel) as u64);
    let input = random.values(input_channels * size * size);
    let weights = random.values(convolution.weights_len());
    let gradient = random.values(output_channels * output_size * output_size);
    let before = random.values(gradient.len());
    let input_before = random.values(input.len());
    let expected = reference(&convolution, &input, &weights, &gradient);
    let added =
        |to: &[f64], start: &[f32]| -> Vec<f64> { to.iter().zip(start).map(|(a, b)| a + f64::from(*b)).collect() };

    let mut packed = Buffer::zeros(weights.len());
    weights_from_pytorch(&convolution, convolution.channels(), &weights, &mut packed);
    let mut packed_weights = Guarded::new(&packed);
    let mut padded_input = Guarded::new(&padded(&input, input_channels, size));
    let mut padded_gradient = Guarded::new(&padded(&gradient, output_channels, output_size));
    for (set, kernels) in kernels() {
        let what = format!("{set} {input_channels}→{output_channels} {size}×{size} stride {stride} kernel {kernel}");
        let (read, factors) = (padded_input.pointer(), packed_weights.pointer());

        let mut output = Guarded::new(&vec![f32::NAN; gradient.len()]);
        // SAFETY: the instruction set is available; the operands have this convolution's sizes.
        unsafe { (kernels.convolve)(&convolution.forward, read, factors, output.pointer(), null()) };
        assert_close(&format!("{what} forward"), &channels_first(output.values(), output_size), &expected.output);

        let mut start = Guarded::new(&plain(&before, output_size));
        // SAFETY: as above.
        unsafe { (kernels.convolve)(&convolution.forward, read, factors, output.pointer(), start.pointer()) };
        let sums = added(&expected.output, &before);
        assert_close(&format!("{what} forward from a start"), &channels_first(output.values(), output_size), &sums);

        let start = start.pointer();
        // SAFETY: as above; a sum may begin at its own place.
        unsafe { (kernels.convolve)(&convolution.forward, read, factors, start, start) };
        // SAFETY: `start` covers the output and lives.
        let in_place = unsafe { std::slice::from_raw_parts(start, gradient.len()) };
        assert_eq!(in_place, output.values(), "{what} forward in place");

        // The gradient on the weights is added to what is there.
        let mut sums = Guarded::new(&vec![0.5; weights.len()]);
        let sweep = &convolution.weight_gradient;
        // SAFETY: as above.
        unsafe { (kernels.weight_gradient)(sweep, read, padded_gradient.pointer(), sums.pointer()) };
        let ours = weights_to_pytorch(&convolution, convolution.channels(), sums.values());
        let expected_sums: Vec<f64> = expected.weight_gradient.iter().map(|x| x + 0.5).collect();
        assert_close(&format!("{what} gradient on the weights"), &ours, &expected_sums);

        if input_channels < BLOCK {
            assert!(convolution.input_gradient.is_empty());
            continue;
        }
        let mut transposed = Buffer::zeros(weights.len());
        for block in 0..input_channels / BLOCK {
            // SAFETY: as long as the weights.
            unsafe { convolution.transpose(&packed, block, transposed.as_mut_ptr()) };
        }
        let mut transposed = Guarded::new(&transposed);
        let mut sums = Guarded::new(&plain(&input_before, size));
        for sweep in &convolution.input_gradient {
            let to = sums.pointer();
            // SAFETY: as above.
            unsafe { (kernels.convolve)(sweep, padded_gradient.pointer(), transposed.pointer(), to, to) };
        }
        let expected_sums = added(&expected.input_gradient, &input_before);
        assert_close(&format!("{what} gradient on the input"), &channels_first(sums.values(), size), &expected_sums);
        if kernel >= stride {
            let mut set_anew = Guarded::new(&vec![f32::NAN; input.len()]);
            for sweep in &convolution.input_gradient {
                let to = set_anew.pointer();
                // SAFETY: as above.
                unsafe { (kernels.convolve)(sweep, padded_gradient.pointer(), transposed.pointer(), to, null()) };
            }
            let ours = channels_first(set_anew.values(), size);
            assert_close(&format!("{what} gradient on the input, from zero"), &ours, &expected.input_gradient);
        }
    }
    padded_input.values();
    padded_gradient.values();
}

#[test]
fn the_images_convolution_and_its_weight_gradient() {
    for channels in [1, 3] {
        for size in [7, 8, 12, 14, 16, 20, 28, 32] {
            check_convolution(channels, 16, size, 1, 3);
        }
        check_convolution(channels, 32, 28, 1, 3);
    }
}

#[test]
fn convolutions_of_blocks_and_their_gradients() {
    for size in [5, 7, 8, 11, 14, 16, 28, 32] {
        for (inputs, outputs) in [(16, 16), (16, 32), (32, 32), (32, 16), (48, 48)] {
            check_convolution(inputs, outputs, size, 1, 3);
        }
    }
    for size in [7, 8, 16] {
        check_convolution(64, 64, size, 1, 3);
    }
}

#[test]
fn convolutions_of_stride_two_and_their_gradients() {
    for size in [8, 10, 14, 16, 28, 32] {
        for (inputs, outputs) in [(16, 32), (32, 64), (48, 16)] {
            check_convolution(inputs, outputs, size, 2, 3);
        }
    }
}

#[test]
fn shortcuts_and_their_gradients() {
    for size in [8, 14, 16, 28, 32] {
        for (inputs, outputs) in [(16, 32), (32, 64), (48, 16)] {
            check_convolution(inputs, outputs, size, 1, 1);
            check_convolution(inputs, outputs, size, 2, 1);
        }
    }
    check_convolution(16, 48, 7, 1, 1);
}

#[test]
fn tiles_cover_every_column_once() {
    for tiles in [&[16, 14, 8, 7, 4, 2, 1][..], &[8, 7, 4, 2, 1], &[6, 5, 4, 3, 2, 1], &[2, 1]] {
        for length in 1..=64 {
            let mut next = 0;
            cut(length, tiles, |tile, columns| {
                assert!(tiles.contains(&tile) && columns.len().is_multiple_of(tile) && !columns.is_empty());
                assert_eq!(columns.start, next);
                next = columns.end;
            });
            assert_eq!(next, length, "{tiles:?}");
        }
    }
}

/// Borders as direct convolutions read them, and as wide as tiles that hang over an image's edge ask for.
fn windows(size: usize) -> [Window; 2] {
    [Window::whole(size), Window { size, side: size + 5 }]
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

#[test]
fn batch_norm_with_relu_and_copies_inside_a_border_of_zeros() {
    each_activation(|kernels, what, blocks, size, random| {
        for window in windows(size) {
            let mut input = Guarded::new(&random.values(blocks * BLOCK * size * size));
            let (scale, shift) = (random.values(blocks * BLOCK), random.values(blocks * BLOCK));
            let padded_len = blocks * BLOCK * window.side * window.side;
            let (mut normalised, mut copied) =
                (Guarded::new(&vec![f32::NAN; padded_len]), Guarded::new(&vec![f32::NAN; padded_len]));
            // SAFETY: the instruction set is available; the operands have these sizes.
            unsafe {
                let (scale, shift) = (scale.as_ptr(), shift.as_ptr());
                (kernels.normalise_padded)(input.pointer(), normalised.pointer(), blocks, &window, scale, shift);
                (kernels.copy_padded)(input.pointer(), copied.pointer(), blocks, &window);
            }
            let (mut expected, mut expected_copy) = (vec![0.0; padded_len], vec![0.0; padded_len]);
            for (channel, plain, padded) in places(blocks, &window) {
                let x = f64::from(input.values()[plain]);
                expected[padded] = (x * f64::from(scale[channel]) + f64::from(shift[channel])).max(0.0);
                expected_copy[padded] = x;
            }
            assert_close(&format!("{what} normalised"), normalised.values(), &expected);
            assert_close(&format!("{what} copied"), copied.values(), &expected_copy);
        }
    });
}

/// With nothing to add, with what is added as it is, and with what a batch norm of its own is on; in the branch's place too.
#[test]
fn a_sum_with_its_relu() {
    each_activation(|kernels, what, blocks, size, random| {
        let (len, channels) = (blocks * BLOCK * size * size, blocks * BLOCK);
        let [branch, skip] = std::array::from_fn(|_| random.values(len));
        let [scale, shift, skip_scale, skip_shift] = std::array::from_fn(|_| random.values(channels));
        for (with_skip, with_norm, in_place) in [(false, false, true), (true, false, false), (true, true, true)] {
            for window in windows(size) {
                let padded_len = channels * window.side * window.side;
                let mut padded = Guarded::new(&vec![f32::NAN; padded_len]);
                let (mut own, mut other) = (Guarded::new(&branch), Guarded::new(&vec![f32::NAN; len]));
                let if_norm = |values: &[f32]| if with_norm { values.as_ptr() } else { null() };
                let of = Joined {
                    branch: own.pointer(),
                    scale: scale.as_ptr(),
                    shift: shift.as_ptr(),
                    skip: if with_skip { skip.as_ptr() } else { null() },
                    skip_scale: if_norm(&skip_scale),
                    skip_shift: if_norm(&skip_shift),
                    plain: if in_place { own.pointer() } else { other.pointer() },
                };
                // SAFETY: the instruction set is available; the operands have these sizes.
                unsafe { (kernels.join_padded)(&of, padded.pointer(), blocks, &window) };
                let (mut expected, mut expected_plain) = (vec![0.0; padded_len], vec![0.0; len]);
                for (channel, plain, padded) in places(blocks, &window) {
                    let double = |values: &[f32], at: usize| f64::from(values[at]);
                    let mut x = double(&branch, plain) * double(&scale, channel) + double(&shift, channel);
                    x += match (with_skip, with_norm) {
                        (false, _) => 0.0,
                        (true, false) => double(&skip, plain),
                        _ => double(&skip, plain) * double(&skip_scale, channel) + double(&skip_shift, channel),
                    };
                    (expected[padded], expected_plain[plain]) = (x.max(0.0), x.max(0.0));
                }
                assert_close(&format!("{what} padded"), padded.values(), &expected);
                let plain = if in_place { &own } else { &other };
                assert_close(&format!("{what} plain"), plain.values(), &expected_plain);
            }
        }
    });
}

#[test]
fn the_gate_of_a_relu_by_what_it_gave() {
    each_activation(|kernels, what, blocks, size, random| {
        let (len, channels, pixels) = (blocks * BLOCK * size * size, blocks * BLOCK, size * size);
        let [gradient, output, input, other_input] = std::array::from_fn(|_| random.values(len));
        // Sums are added to what is there.
        let mut sums: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.25; channels]);
        let mut gated = Guarded::new(&gradient);
        // SAFETY: the instruction set is available; the operands have these sizes.
        unsafe {
            let [sum, product, again, other_product] = sums.each_mut().map(|sum| sum.as_mut_ptr());
            let (input, other) = (input.as_ptr(), other_input.as_ptr());
            (kernels.gate_by_output)(gated.pointer(), output.as_ptr(), input, blocks, pixels, sum, product);
            (kernels.gate_by_output)(gated.pointer(), output.as_ptr(), other, blocks, pixels, again, other_product);
        }
        let mut expected: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.25; channels]);
        let mut expected_gradient = vec![0.0; len];
        for (channel, plain, _) in places(blocks, &Window::whole(size)) {
            let g = if output[plain] > 0.0 { f64::from(gradient[plain]) } else { 0.0 };
            expected_gradient[plain] = g;
            let [x, y] = [&input, &other_input].map(|input| f64::from(input[plain]));
            for (sum, term) in expected.iter_mut().zip([g, g * x, g, g * y]) {
                sum[channel] += term;
            }
        }
        assert_close(&format!("{what} gated"), gated.values(), &expected_gradient);
        for (name, (sums, expected)) in ["Σg", "Σgx", "Σg again", "Σgy"].iter().zip(sums.iter().zip(&expected)) {
            let sums: Vec<f32> = sums.iter().map(|sum| *sum as f32).collect();
            assert_close(&format!("{what} {name}"), &sums, expected);
        }
    });
}

#[test]
fn means_of_a_batch_norm_with_its_relu() {
    each_activation(|kernels, what, blocks, size, random| {
        let (channels, side) = (blocks * BLOCK, 2 * size);
        let mut input = Guarded::new(&random.values(channels * side * side));
        let (scale, shift) = (random.values(channels), random.values(channels));
        for window in windows(size) {
            let padded_len = channels * window.side * window.side;
            let mut pooled = Guarded::new(&vec![f32::NAN; padded_len]);
            // SAFETY: the instruction set is available; the operands have these sizes.
            unsafe {
                let (scale, shift) = (scale.as_ptr(), shift.as_ptr());
                (kernels.pool_padded)(input.pointer(), pooled.pointer(), blocks, &window, scale, shift);
            }
            let mut expected = vec![0.0; padded_len];
            for (channel, plain, padded) in places(blocks, &window) {
                let (block, pixel) = (plain / (size * size * BLOCK), plain / BLOCK % (size * size));
                let (row, column) = (2 * (pixel / size), 2 * (pixel % size));
                for (row, column) in [(row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1)] {
                    let at = ((block * side + row) * side + column) * BLOCK + channel % BLOCK;
                    let x = f64::from(input.values()[at]);
                    expected[padded] += (x * f64::from(scale[channel]) + f64::from(shift[channel])).max(0.0) / 4.0;
                }
            }
            assert_close(&format!("{what} pooled"), pooled.values(), &expected);
        }
    });
}

/// A gradient as it is, and one on means of 2×2 pixels: what is added where, and the sums.
#[test]
fn gradients_are_gated_scaled_and_gathered() {
    each_activation(|kernels, what, blocks, size, random| {
        let (channels, side) = (blocks * BLOCK, 2 * size);
        let (len, pixels) = (channels * side * side, side * side);
        let [gradient, input, before] = std::array::from_fn(|_| random.values(len));
        let of_means = random.values(len / 4);
        let (scale, shift) = (random.values(channels), random.values(channels));
        for (pooled, adds) in [(false, true), (true, true), (true, false)] {
            // Sums are added to what is there.
            let mut sums: [Vec<f64>; 2] = std::array::from_fn(|_| vec![0.25; channels]);
            let mut gathered = Guarded::new(&if adds { before.clone() } else { vec![f32::NAN; len] });
            let [sum, product] = sums.each_mut().map(|sum| sum.as_mut_ptr());
            let (onto, x) = (gathered.pointer(), input.as_ptr());
            let (by, plus) = (scale.as_ptr(), shift.as_ptr());
            let of_means_at = of_means.as_ptr();
            let of = Unpooled { of_means: of_means_at, size, factor: 2, input: x, scale: by, shift: plus, onto, adds };
            // SAFETY: the instruction set is available; the operands have these sizes.
            unsafe {
                match pooled {
                    true => (kernels.unpool)(&of, blocks, sum, product),
                    false => (kernels.accumulate)(gradient.as_ptr(), onto, x, blocks, pixels, by, plus, sum, product),
                }
            }
            let mut expected: [Vec<f64>; 2] = std::array::from_fn(|_| vec![0.25; channels]);
            let mut expected_gathered = vec![0.0; len];
            for (channel, plain, _) in places(blocks, &Window::whole(side)) {
                let double = |values: &[f32], at: usize| f64::from(values[at]);
                let (block, pixel) = (plain / (pixels * BLOCK), plain / BLOCK % pixels);
                let mean = (block * size + pixel / side / 2) * size + pixel % side / 2;
                let own = match pooled {
                    true => double(&of_means, mean * BLOCK + channel % BLOCK) / 4.0,
                    false => double(&gradient, plain),
                };
                let x = double(&input, plain);
                let open = x * double(&scale, channel) + double(&shift, channel) > 0.0;
                let g = if open { own } else { 0.0 };
                let there = if adds { double(&before, plain) } else { 0.0 };
                expected_gathered[plain] = there + g * double(&scale, channel);
                expected[0][channel] += g;
                expected[1][channel] += g * x;
            }
            assert_close(&format!("{what} gathered"), gathered.values(), &expected_gathered);
            for (name, (sums, expected)) in ["Σg", "Σgx"].iter().zip(sums.iter().zip(&expected)) {
                let sums: Vec<f32> = sums.iter().map(|sum| *sum as f32).collect();
                assert_close(&format!("{what} {name}"), &sums, expected);
            }
        }
    });
}

#[test]
fn relu_lets_a_broken_number_through() {
    for (set, kernels) in kernels() {
        let values: [f32; BLOCK] = std::array::from_fn(|lane| if lane == 3 { f32::NAN } else { lane as f32 - 8.0 });
        let mut padded = Buffer::zeros(9 * BLOCK);
        let (scale, shift) = ([1.0; BLOCK], [0.0; BLOCK]);
        // SAFETY: the instruction set is available; one block of one pixel.
        unsafe {
            (kernels.normalise_padded)(
                values.as_ptr(),
                padded.as_mut_ptr(),
                1,
                &Window::whole(1),
                scale.as_ptr(),
                shift.as_ptr(),
            );
        }
        let middle = &padded[4 * BLOCK..5 * BLOCK];
        assert!(middle[3].is_nan() && middle[2] == 0.0 && middle[15] == 7.0, "{set}: {middle:?}");
    }
}

#[test]
fn the_gradient_of_a_batch_norm() {
    each_activation(|kernels, what, blocks, size, random| {
        let (len, channels) = (blocks * BLOCK * size * size, blocks * BLOCK);
        let [gated, input, skip] = std::array::from_fn(|_| random.values(len));
        let [by_gradient, by_input, constant] = std::array::from_fn(|_| random.values(channels));
        for (with_skip, window) in [false, true].into_iter().zip(windows(size)) {
            let padded_len = channels * window.side * window.side;
            let (mut padded, mut plain) =
                (Guarded::new(&vec![f32::NAN; padded_len]), Guarded::new(&vec![f32::NAN; len]));
            let of = NormGradient {
                gated: gated.as_ptr(),
                input: input.as_ptr(),
                skip: if with_skip { skip.as_ptr() } else { null() },
                plain: if with_skip { plain.pointer() } else { null_mut() },
                by_gradient: by_gradient.as_ptr(),
                by_input: by_input.as_ptr(),
                constant: constant.as_ptr(),
            };
            // SAFETY: the instruction set is available; the operands have these sizes.
            unsafe { (kernels.norm_gradient_padded)(&of, padded.pointer(), blocks, &window) };
            let (mut expected, mut expected_plain) = (vec![0.0; padded_len], vec![0.0; len]);
            for (channel, plain, padded) in places(blocks, &window) {
                let double = |values: &[f32], at: usize| f64::from(values[at]);
                let mut x = double(&gated, plain) * double(&by_gradient, channel);
                x += double(&input, plain) * double(&by_input, channel) + double(&constant, channel);
                x += if with_skip { double(&skip, plain) } else { 0.0 };
                (expected[padded], expected_plain[plain]) = (x, x);
            }
            assert_close(&format!("{what} padded"), padded.values(), &expected);
            if with_skip {
                assert_close(&format!("{what} plain"), plain.values(), &expected_plain);
            }
        }
    });
}

#[test]
fn statistics_and_the_gate_of_a_relu() {
    each_activation(|kernels, what, blocks, size, random| {
        let (len, channels) = (blocks * BLOCK * size * size, blocks * BLOCK);
        let input = random.values(len);
        let gradient = random.values(len);
        let (scale, shift) = (random.values(channels), random.values(channels));
        // Sums are added to what is there.
        let mut sums: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.25; channels]);
        let mut gated = Guarded::new(&gradient);
        // SAFETY: the instruction set is available; the operands have these sizes.
        unsafe {
            let [sum, square, gate_sum, product] = sums.each_mut().map(|sum| sum.as_mut_ptr());
            (kernels.statistics)(input.as_ptr(), blocks, size * size, sum, square);
            let (scale, shift) = (scale.as_ptr(), shift.as_ptr());
            (kernels.gate)(gated.pointer(), input.as_ptr(), blocks, size * size, scale, shift, gate_sum, product);
        }
        let mut expected: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.25; channels]);
        let mut expected_gradient = vec![0.0; len];
        for (channel, plain, _) in places(blocks, &Window::whole(size)) {
            let x = f64::from(input[plain]);
            let open = x * f64::from(scale[channel]) + f64::from(shift[channel]) > 0.0;
            let g = if open { f64::from(gradient[plain]) } else { 0.0 };
            expected_gradient[plain] = g;
            for (sum, term) in expected.iter_mut().zip([x, x * x, g, g * x]) {
                sum[channel] += term;
            }
        }
        assert_close(&format!("{what} gated"), gated.values(), &expected_gradient);
        for (name, (sums, expected)) in ["Σx", "Σx²", "Σg", "Σgx"].iter().zip(sums.iter().zip(&expected)) {
            let sums: Vec<f32> = sums.iter().map(|sum| *sum as f32).collect();
            assert_close(&format!("{what} {name}"), &sums, expected);
        }
    });
}

#[test]
fn descent_with_momentum_and_weight_decay() {
    let mut random = Random(41);
    let [values, velocity, gradient] = std::array::from_fn(|_| random.values(5 * BLOCK));
    for (set, kernels) in kernels() {
        let (mut ours, mut moved) = (Guarded::new(&values), Guarded::new(&velocity));
        // SAFETY: the instruction set is available; five blocks each.
        unsafe { (kernels.descend)(ours.pointer(), moved.pointer(), gradient.as_ptr(), 5, 0.1, 0.9, 5e-2) };
        let double = |values: &[f32], at: usize| f64::from(values[at]);
        let expected_velocity: Vec<f64> = (0..values.len())
            .map(|at| 0.9 * double(&velocity, at) + double(&gradient, at) + 5e-2 * double(&values, at))
            .collect();
        let expected: Vec<f64> =
            expected_velocity.iter().enumerate().map(|(at, v)| double(&values, at) - 0.1 * v).collect();
        assert_close(&format!("{set} momentum"), moved.values(), &expected_velocity);
        assert_close(&format!("{set} values"), ours.values(), &expected);
    }
}
