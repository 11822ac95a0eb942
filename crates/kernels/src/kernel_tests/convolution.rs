//! Direct convolutions and their two gradients.

use std::ptr::null;

use super::{Guarded, Random, assert_close, channels_first, kernels, plain, reference, with_border};
use crate::buffer::{BLOCK, Buffer};
use crate::convolution::{Convolution, cut};
use crate::layout::{weights_from_pytorch, weights_to_pytorch};

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
    let mut padded_input = Guarded::new(&with_border(&input, input_channels, size));
    let mut padded_gradient = Guarded::new(&with_border(&gradient, output_channels, output_size));
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
