//! What is written inside a border of zeros.

use std::ptr::{null, null_mut};

use super::{Guarded, assert_close, each_activation, kernels, places};
use crate::buffer::{BLOCK, Buffer};
use crate::padded::{Joined, NormGradient, Window};

/// Borders as direct convolutions read them, and as wide as tiles that hang over an image's edge ask for.
fn windows(size: usize) -> [Window; 2] {
    [Window::whole(size), Window { size, side: size + 5 }]
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
