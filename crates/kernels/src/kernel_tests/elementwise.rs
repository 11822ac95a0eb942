//! What happens to an activation as it lies.

use super::{Guarded, Random, assert_close, each_activation, kernels, places};
use crate::buffer::BLOCK;
use crate::elementwise::Unpooled;
use crate::padded::Window;

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
