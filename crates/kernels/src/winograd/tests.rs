//! Layers by Winograd's products and directly, against the same definition in double precision.

use std::ops::Range;
use std::ptr::null;

use super::{Finish, Scratch, Target};
use crate::buffer::BLOCK;
use crate::convolution::Convolution;
use crate::instances::Kernels;
use crate::kernel_tests::{Guarded, Random, Reference, assert_within, channels_first, kernels, plain, reference};
use crate::layer::{Layer, Source, Space, Turned};
use crate::layout::{weights_from_pytorch, weights_to_pytorch};
use crate::padded::NormGradient;
use crate::threads::Threads;

/// More than a chunk of the smallest activations.
const IMAGES: usize = 5;

/// Calls `check` with input channels, output channels and size: those of the networks, and odd numbers of blocks.
fn each_geometry(check: impl Fn(usize, usize, usize)) {
    for size in [32, 28, 16, 14, 8, 7] {
        for (inputs, outputs) in [(16, 16), (16, 32), (32, 32), (48, 48)] {
            check(inputs, outputs, size);
        }
    }
    for size in [16, 14, 8, 7] {
        check(64, 64, size);
    }
    for size in [8, 7] {
        for (inputs, outputs) in [(96, 96), (128, 128), (160, 160), (48, 16), (80, 32)] {
            check(inputs, outputs, size);
        }
    }
}

fn convolution(inputs: usize, outputs: usize, size: usize, winograd: bool) -> Convolution {
    let mut convolution = Convolution::new(inputs, outputs, size, 1, 3);
    assert!(convolution.winograd.is_some(), "{inputs}→{outputs} {size}×{size}");
    if !winograd {
        convolution.winograd = None;
    }
    convolution
}

/// A layer of these weights, with all that it needs.
struct Laid {
    layer: Layer,
    turned: Turned,
    space: Space,
}

impl Laid {
    fn new(convolution: Convolution, weights: &[f32], kernels: &Kernels) -> Self {
        let mut layer = Layer::new(convolution, true);
        weights_from_pytorch(&layer.geometry, layer.geometry.channels(), weights, &mut layer.weights);
        layer.transform(kernels);
        let mut turned = Turned::new(std::iter::once(&layer));
        turned.turn(&layer, kernels, &Threads::new(1).expect("the caller's own"));
        let mut space = Space::new(std::iter::once(&layer), true);
        // What is there from before must not matter.
        let buffers = space.padded.iter_mut().chain(&mut space.transformed).chain([&mut space.weight_gradient]);
        buffers.for_each(|buffer| buffer.fill(f32::NAN));
        Laid { layer, turned, space }
    }
}

/// Images as blocks of channels.
fn all_plain(images: &[f32], len: usize, size: usize) -> Vec<f32> {
    images.chunks_exact(len).flat_map(|image| plain(image, size)).collect()
}

fn all_channels_first(images: &[f32], len: usize, size: usize) -> Vec<f32> {
    images.chunks_exact(len).flat_map(|image| channels_first(image, size)).collect()
}

/// Of all images, the weights' gradients summed.
fn reference_of_all(convolution: &Convolution, inputs: &[f32], weights: &[f32], gradients: &[f32]) -> Reference {
    let lens = (inputs.len() / IMAGES, gradients.len() / IMAGES);
    let mut all = Reference { output: vec![], input_gradient: vec![], weight_gradient: vec![0.0; weights.len()] };
    for (input, gradient) in inputs.chunks_exact(lens.0).zip(gradients.chunks_exact(lens.1)) {
        let one = reference(convolution, input, weights, gradient);
        all.output.extend(one.output);
        all.input_gradient.extend(one.input_gradient);
        all.weight_gradient.iter_mut().zip(one.weight_gradient).for_each(|(sum, term)| *sum += term);
    }
    all
}

/// Root mean square of the error, as a fraction of the expected values'.
fn error(ours: &[f32], expected: &[f64]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let off = squares(&mut ours.iter().zip(expected).map(|(a, b)| f64::from(*a) - b));
    (off / squares(&mut expected.iter().copied())).sqrt()
}

/// Outputs and both gradients of every image, in PyTorch's layout.
struct Results {
    output: Vec<f32>,
    input_gradient: Vec<f32>,
    weight_gradient: Vec<f32>,
}

fn results(laid: &mut Laid, kernels: &Kernels, inputs: &[f32], gradients: &[f32]) -> Results {
    let Laid { layer, turned, space } = laid;
    let size = layer.geometry.input_size;
    let (input_len, output_len) = (inputs.len() / IMAGES, gradients.len() / IMAGES);
    let mut input = Guarded::new(&all_plain(inputs, input_len, size));
    let mut gradient = Guarded::new(&all_plain(gradients, output_len, size));
    let mut output = Guarded::new(&vec![f32::NAN; gradients.len()]);
    let mut input_gradient = Guarded::new(&vec![f32::NAN; inputs.len()]);
    let mut weight_gradient = Guarded::new(&vec![0.0; layer.weights.len()]);
    let scratch = space.pointers();
    let (of_input, of_gradient) = (Source::Plain(input.pointer()), Source::Plain(gradient.pointer()));
    // SAFETY: the instruction set is available; the operands have this layer's sizes.
    unsafe {
        let to = Target { start: null(), output: output.pointer(), finish: Finish::Stored };
        layer.forward(kernels, &scratch, 0..IMAGES, &of_input, &to);
        let to = Target { start: null(), output: input_gradient.pointer(), finish: Finish::Stored };
        let weights = weight_gradient.pointer();
        layer.backward(kernels, &scratch, 0..IMAGES, &of_gradient, &of_input, turned, weights, &to);
    }
    Results {
        output: all_channels_first(output.values(), output_len, size),
        input_gradient: all_channels_first(input_gradient.values(), input_len, size),
        weight_gradient: weights_to_pytorch(&layer.geometry, layer.geometry.channels(), weight_gradient.values()),
    }
}

/// The transforms of F(4×4, 3×3) magnify rounding: in root mean square its error is not more than so many times that of a direct
/// sum in single precision. (Measured: 5.7 at most for outputs and gradients on inputs, 4.2 for those on weights.)
const MAGNIFIED: f64 = 8.0;

/// The farthest that any number is off, as a fraction of all numbers' root mean square.
const FARTHEST: f64 = 1e-4;

#[test]
fn every_geometry_agrees_with_double_precision_and_nearly_as_well_as_a_direct_sum() {
    each_geometry(|inputs, outputs, size| {
        let mut random = Random((inputs * 1000 + outputs * 10 + size) as u64);
        let images = random.values(IMAGES * inputs * size * size);
        let weights = random.values(9 * inputs * outputs);
        let gradients = random.values(IMAGES * outputs * size * size);
        let expected = reference_of_all(&convolution(inputs, outputs, size, false), &images, &weights, &gradients);
        for (set, kernels) in kernels() {
            let [ours, direct] = [true, false].map(|winograd| {
                let mut laid = Laid::new(convolution(inputs, outputs, size, winograd), &weights, &kernels);
                results(&mut laid, &kernels, &images, &gradients)
            });
            for (name, ours, direct, expected) in [
                ("output", &ours.output, &direct.output, &expected.output),
                ("gradient on the input", &ours.input_gradient, &direct.input_gradient, &expected.input_gradient),
                ("gradient on the weights", &ours.weight_gradient, &direct.weight_gradient, &expected.weight_gradient),
            ] {
                let what = format!("{set} {inputs}→{outputs} {size}×{size} {name}");
                assert_within(FARTHEST, &what, ours, expected);
                assert_within(FARTHEST, &format!("{what}, directly"), direct, expected);
                let (off, direct) = (error(ours, expected), error(direct, expected));
                assert!(off < MAGNIFIED * direct, "{what}: off by {off:e}, and a direct sum by {direct:e}");
            }
        }
    });
}

/// What is done with outputs on their way: added to, summed, gated, rectified; in the place of what is added, too.
#[test]
fn what_surrounds_a_convolution_is_done_on_its_way() {
    for (channels, size) in [(16, 32), (32, 14), (48, 7), (64, 8)] {
        let mut random = Random((channels + size) as u64);
        let len = channels * size * size;
        let [images, before, gradients, inputs] = std::array::from_fn(|_| random.values(IMAGES * len));
        let weights = random.values(9 * channels * channels);
        let [scale, shift, by_gradient, by_input, constant] = std::array::from_fn(|_| random.values(channels));
        for (set, kernels) in kernels() {
            let what = format!("{set} {channels} channels of {size}×{size}");
            let [ours, direct] = [true, false].map(|winograd| {
                let mut laid = Laid::new(convolution(channels, channels, size, winograd), &weights, &kernels);
                let scratch = laid.space.pointers();
                let layer = &laid.layer;
                let mut sums: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.25; channels]);
                let [mut images, mut added, mut gradients, mut inputs] =
                    [&images, &before, &gradients, &inputs].map(|all| Guarded::new(&all_plain(all, len, size)));
                let (scale, shift) = (scale.as_ptr(), shift.as_ptr());
                let source = Source::Normalised { input: images.pointer(), scale, shift };
                let mut carried = Guarded::new(&vec![f32::NAN; IMAGES * len]);
                // SAFETY: the instruction set is available; the operands have this layer's sizes.
                unsafe {
                    let [sum, square, gate_sum, product] = sums.each_mut().map(|sums| sums.as_mut_ptr());
                    let finish = Finish::Summed { sums: sum, squares: square };
                    let to = Target { start: added.pointer(), output: added.pointer(), finish };
                    layer.forward(&kernels, &scratch, 0..IMAGES, &source, &to);
                    let gradient = Source::Gradient(NormGradient {
                        gated: gradients.pointer(),
                        input: inputs.pointer(),
                        skip: images.pointer(),
                        plain: carried.pointer(),
                        by_gradient: by_gradient.as_ptr(),
                        by_input: by_input.as_ptr(),
                        constant: constant.as_ptr(),
                    });
                    // In the place of the gradient that it is made from.
                    let finish =
                        Finish::Gated { input: inputs.pointer(), scale, shift, sums: gate_sum, products: product };
                    let to = Target { start: null(), output: gradients.pointer(), finish };
                    let weights = layer.weights.len();
                    let mut weight_gradient = Guarded::new(&vec![0.0; weights]);
                    let to_weights = weight_gradient.pointer();
                    let turned = &laid.turned;
                    layer.backward(&kernels, &scratch, 0..IMAGES, &gradient, &source, turned, to_weights, &to);
                    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|x| f64::from(*x)).collect() };
                    let [a, b, c, d] = sums;
                    [
                        wide(added.values()),
                        wide(carried.values()),
                        wide(gradients.values()),
                        wide(weight_gradient.values()),
                        a,
                        b,
                        c,
                        d,
                    ]
                }
            });
            for (nth, (ours, direct)) in ours.iter().zip(&direct).enumerate() {
                let ours: Vec<f32> = ours.iter().map(|x| *x as f32).collect();
                assert_within(FARTHEST, &format!("{what}, result {nth}"), &ours, direct);
            }
        }
    }
}

/// A gradient on its way is added to, gated by what a sum's ReLU gave, and summed; or gated, summed and then added, scaled.
#[test]
fn gradients_are_gathered_on_their_way() {
    for (channels, size) in [(16, 28), (48, 7)] {
        let mut random = Random((channels * size) as u64);
        let len = channels * size * size;
        let [gradients, before, gates, inputs] = std::array::from_fn(|_| random.values(IMAGES * len));
        let weights = random.values(9 * channels * channels);
        let (scale, shift) = (random.values(channels), random.values(channels));
        for ((set, kernels), scaled) in kernels().into_iter().flat_map(|it| [(it, false), (it, true)]) {
            let [ours, direct] = [true, false].map(|winograd| {
                let mut laid = Laid::new(convolution(channels, channels, size, winograd), &weights, &kernels);
                let (scratch, layer) = (laid.space.pointers(), &laid.layer);
                let [mut gradients, mut gathered, mut gates, mut inputs] =
                    [&gradients, &before, &gates, &inputs].map(|all| Guarded::new(&all_plain(all, len, size)));
                let mut all_sums: [Vec<f64>; 2] = std::array::from_fn(|_| vec![0.25; channels]);
                let mut weight_gradient = Guarded::new(&vec![0.0; layer.weights.len()]);
                let [sums, products] = all_sums.each_mut().map(|sums| sums.as_mut_ptr());
                let (input, output) = (inputs.pointer().cast_const(), gathered.pointer());
                let (scale, shift) = (scale.as_ptr(), shift.as_ptr());
                let to = match scaled {
                    true => {
                        let finish = Finish::Accumulated { input, scale, shift, sums, products };
                        Target { start: null(), output, finish }
                    }
                    false => {
                        let finish = Finish::GatedByOutput { output: gates.pointer(), input, sums, products };
                        Target { start: output, output, finish }
                    }
                };
                let (gradient, input) = (Source::Plain(gradients.pointer()), Source::Plain(input));
                let to_weights = weight_gradient.pointer();
                // SAFETY: the instruction set is available; the operands have this layer's sizes.
                unsafe {
                    layer.backward(&kernels, &scratch, 0..IMAGES, &gradient, &input, &laid.turned, to_weights, &to);
                }
                let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|x| f64::from(*x)).collect() };
                let [a, b] = all_sums;
                [wide(gathered.values()), a, b]
            });
            for (nth, (ours, direct)) in ours.iter().zip(&direct).enumerate() {
                let ours: Vec<f32> = ours.iter().map(|x| *x as f32).collect();
                let what = format!("{set} {channels} of {size}×{size}, scaled: {scaled}, result {nth}");
                assert_within(FARTHEST, &what, &ours, direct);
            }
        }
    }
}

/// A batch norm of running statistics and its ReLU, folded into the convolution before it.
#[test]
fn outputs_are_rectified_on_their_way() {
    for (channels, size) in [(16, 28), (48, 7)] {
        let mut random = Random(size as u64);
        let (images, weights) =
            (random.values(IMAGES * channels * size * size), random.values(9 * channels * channels));
        let (scale, shift) = (random.values(channels), random.values(channels));
        for (set, kernels) in kernels() {
            let mut laid = Laid::new(convolution(channels, channels, size, true), &weights, &kernels);
            let (scratch, layer) = (laid.space.pointers(), &laid.layer);
            let mut images = Guarded::new(&images);
            let source = Source::Plain(images.pointer());
            let [plain, rectified] =
                [Finish::Stored, Finish::Rectified { scale: scale.as_ptr(), shift: shift.as_ptr() }]
                    .map(|finish| outputs(layer, &kernels, &scratch, 0..IMAGES, &source, finish));
            let expected: Vec<f64> = plain
                .iter()
                .enumerate()
                .map(|(at, x)| {
                    let channel = at / (size * size * BLOCK) * BLOCK % channels + at % BLOCK;
                    (f64::from(*x) * f64::from(scale[channel]) + f64::from(shift[channel])).max(0.0)
                })
                .collect();
            assert_within(FARTHEST, &format!("{set} {channels} channels of {size}×{size}"), &rectified, &expected);
        }
    }
}

fn outputs(
    layer: &Layer,
    kernels: &Kernels,
    scratch: &Scratch,
    images: Range<usize>,
    source: &Source,
    finish: Finish,
) -> Vec<f32> {
    let mut output = Guarded::new(&vec![0.0; IMAGES * layer.geometry.output_stride]);
    let to = Target { start: null(), output: output.pointer(), finish };
    // SAFETY: the instruction set is available; the operands have this layer's sizes.
    unsafe { layer.forward(kernels, scratch, images, source, &to) };
    output.values().to_vec()
}

/// However many images are worked on together, and wherever chunks begin.
#[test]
fn an_image_gives_the_same_bits_in_any_company() {
    for (channels, size) in [(16, 32), (16, 14), (48, 7), (64, 8)] {
        let mut random = Random(size as u64);
        let (images, weights) =
            (random.values(IMAGES * channels * size * size), random.values(9 * channels * channels));
        for (set, kernels) in kernels() {
            let mut laid = Laid::new(convolution(channels, channels, size, true), &weights, &kernels);
            let (scratch, layer) = (laid.space.pointers(), &laid.layer);
            let mut images = Guarded::new(&images);
            let source = Source::Plain(images.pointer());
            let together = outputs(layer, &kernels, &scratch, 0..IMAGES, &source, Finish::Stored);
            for image in 0..IMAGES {
                let alone = outputs(layer, &kernels, &scratch, image..image + 1, &source, Finish::Stored);
                let own = image * layer.geometry.output_stride..(image + 1) * layer.geometry.output_stride;
                let same = alone[own.clone()].iter().zip(&together[own]).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{set} image {image} of {channels} channels of {size}×{size}");
            }
        }
    }
}

#[test]
fn tiles_that_hang_over_too_far_are_summed_directly() {
    for (size, tiled) in [(2, false), (3, true), (4, true), (5, false), (6, true), (7, true), (9, true), (10, true)] {
        assert_eq!(Convolution::new(16, 16, size, 1, 3).winograd.is_some(), tiled, "{size}×{size}");
    }
    for (inputs, stride, kernel) in [(16, 2, 3), (16, 1, 1), (3, 1, 3), (1, 1, 3)] {
        assert!(Convolution::new(inputs, 16, 8, stride, kernel).winograd.is_none());
    }
}
