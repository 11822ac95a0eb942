//! The engine against a plain double-precision network, over instruction sets, sizes, batches and threads.

mod descent;
mod reference;
mod tensors;

use kernels::{Blocks, GROUPS, InstructionSet, Network, Shape, TensorKind};
use reference::{Passed, Tensors, reference};
use std::collections::BTreeMap;

/// `wrn-depth-width` for CIFAR-10's images.
const fn wide_resnet(depth: usize, width: usize) -> Shape {
    Shape {
        blocks: Blocks::PreActivation,
        blocks_in_group: (depth - 4) / 6,
        stem: 16,
        group_channels: [16 * width, 32 * width, 64 * width],
        channels: 3,
        image_size: 32,
        classes: 10,
    }
}

/// A ResNet for CIFAR-10's images: `resnet8` is `resnet(8, 16, [16, 32, 64])`.
const fn resnet(depth: usize, stem: usize, group_channels: [usize; GROUPS]) -> Shape {
    let blocks_in_group = (depth - 2) / 6;
    Shape { blocks: Blocks::PostActivation, blocks_in_group, stem, group_channels, ..wide_resnet(10, 1) }
}

/// A DenseNet for CIFAR-10's images.
const fn densenet(blocks_in_group: usize, growth: usize) -> Shape {
    let of_group = blocks_in_group * growth;
    Shape {
        blocks: Blocks::Dense,
        blocks_in_group,
        stem: 16,
        group_channels: [16 + of_group, 16 + 2 * of_group, 16 + 3 * of_group],
        ..wide_resnet(10, 1)
    }
}

/// A DenseNet with bottlenecks and compression for CIFAR-10's images.
const fn densenet_bc(blocks_in_group: usize, growth: usize) -> Shape {
    let of_group = blocks_in_group * growth;
    let first = 2 * growth + of_group;
    let second = first / 2 + of_group;
    Shape {
        blocks: Blocks::DenseBottleneck,
        blocks_in_group,
        stem: 2 * growth,
        group_channels: [first, second, second / 2 + of_group],
        ..wide_resnet(10, 1)
    }
}

struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }

    fn values(&mut self, len: usize, scale: f64) -> Vec<f32> {
        (0..len).map(|_| (self.uniform() * scale) as f32).collect()
    }
}

fn sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| set.available())
}

/// Random tensors of a size that keeps activations near 1.
fn tensors(network: &Network, seed: u64) -> BTreeMap<String, Vec<f32>> {
    let mut random = Random(seed);
    network
        .tensors()
        .into_iter()
        .map(|tensor| {
            let len = tensor.shape.iter().product();
            let fan: usize = tensor.shape.iter().skip(1).product();
            let values = match (tensor.kind, tensor.shape.len()) {
                (TensorKind::Buffer, _) => random.values(len, 0.4).into_iter().map(|x| x + 0.8).collect(),
                (_, 1) => random.values(len, 1.0).into_iter().map(|x| x + 0.7).collect(),
                _ => random.values(len, 4.0 / (fan as f64).sqrt()),
            };
            (tensor.name, values)
        })
        .collect()
}

fn network(shape: Shape, batch: usize, threads: usize, set: InstructionSet) -> Network {
    let mut network = Network::new(shape, batch, threads, set).expect("a valid shape");
    for (name, values) in tensors(&network, 7) {
        network.set(&name, &values).expect("its own shape");
    }
    network
}

fn double(tensors: &BTreeMap<String, Vec<f32>>) -> Tensors {
    tensors.iter().map(|(name, values)| (name.clone(), values.iter().map(|x| f64::from(*x)).collect())).collect()
}

fn assert_close(what: &str, ours: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let norm = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt().max(1e-12);
    for (at, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let error = (f64::from(*ours) - expected).abs() / norm;
        assert!(error < tolerance, "{what}[{at}]: {ours} instead of {expected} ({error:e} of the norm)");
    }
}

fn assert_maps_close(what: &str, ours: &[Vec<f32>; GROUPS], expected: &[Vec<f64>]) {
    assert_eq!(expected.len(), GROUPS);
    for (group, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert_close(&format!("{what} map {group}"), ours, expected, 1e-4);
    }
}

const SHAPES: [Shape; 15] = [
    Shape { channels: 1, image_size: 28, classes: 10, ..wide_resnet(10, 1) },
    Shape { channels: 3, image_size: 32, classes: 10, ..wide_resnet(10, 1) },
    Shape { channels: 3, image_size: 8, classes: 7, ..wide_resnet(16, 2) },
    Shape { channels: 1, image_size: 20, classes: 3, ..wide_resnet(10, 3) },
    Shape { channels: 1, image_size: 28, ..resnet(8, 16, [16, 32, 64]) },
    Shape { image_size: 8, classes: 7, ..resnet(14, 16, [32, 64, 128]) },
    Shape { channels: 1, image_size: 20, classes: 3, ..resnet(8, 32, [48, 96, 112]) },
    // Widest in the middle, and at the beginning.
    Shape { channels: 1, image_size: 8, group_channels: [16, 64, 32], ..wide_resnet(10, 1) },
    Shape { channels: 1, image_size: 8, ..resnet(8, 16, [48, 32, 16]) },
    Shape { channels: 1, image_size: 28, ..densenet(4, 12) },
    Shape { image_size: 16, classes: 7, ..densenet(2, 24) },
    Shape { channels: 1, image_size: 20, classes: 3, ..densenet(1, 48) },
    Shape { channels: 1, image_size: 28, ..densenet_bc(2, 12) },
    Shape { image_size: 16, classes: 7, ..densenet_bc(3, 12) },
    // Its bottlenecks have more channels than its groups; half of an odd number is rounded down.
    Shape { channels: 1, image_size: 12, classes: 3, ..densenet_bc(1, 15) },
];

#[test]
fn forward_and_evaluation_agree_with_double_precision() {
    for shape in SHAPES {
        let images = Random(3).values(3 * shape.channels * shape.image_size * shape.image_size, 2.0);
        for set in sets() {
            let mut network = network(shape, 3, 1, set);
            let before = double(&tensors(&network, 7));
            let expected = reference(shape, &before, &images, false);
            let (logits, maps) = network.evaluate_with_attention(&images);
            assert_close(&format!("{shape:?} {set} evaluation"), &logits, &expected.logits, 1e-4);
            assert_eq!(bits(&network.evaluate(&images)), bits(&logits));
            assert_maps_close(&format!("{shape:?} {set} evaluation"), &maps, &expected.maps);
            let expected = reference(shape, &before, &images, true);
            assert_close(&format!("{shape:?} {set} forward"), network.forward(&images), &expected.logits, 1e-4);
            assert_maps_close(&format!("{shape:?} {set} forward"), &network.attention(), &expected.maps);
            for (name, expected) in expected.seen {
                let ours = network.get(&name).expect("a running statistic");
                assert_close(&format!("{shape:?} {set} {name}"), &ours, &expected, 1e-5);
            }
        }
    }
}

/// Central differences of the reference, in double precision, for the largest gradients of every parameter: of a loss on the
/// logits, and of one that looks at the attention maps too.
#[test]
fn gradients_agree_with_central_differences() {
    let small = [
        Shape { channels: 1, image_size: 12, classes: 10, ..wide_resnet(10, 1) },
        Shape { channels: 3, image_size: 16, classes: 10, ..wide_resnet(10, 1) },
        Shape { channels: 3, image_size: 8, classes: 7, ..wide_resnet(16, 2) },
        Shape { channels: 1, image_size: 12, ..resnet(8, 16, [16, 32, 64]) },
        Shape { image_size: 8, classes: 7, ..resnet(14, 16, [32, 48, 64]) },
        Shape { channels: 1, image_size: 8, ..resnet(8, 16, [48, 32, 16]) },
        Shape { channels: 1, image_size: 8, ..densenet(4, 12) },
        Shape { channels: 1, image_size: 20, classes: 7, ..densenet(1, 16) },
        Shape { channels: 1, image_size: 8, ..densenet_bc(2, 12) },
        Shape { image_size: 8, classes: 7, ..densenet_bc(1, 15) },
    ];
    for shape in small {
        let batch = 2;
        let images = Random(5).values(batch * shape.channels * shape.image_size * shape.image_size, 2.0);
        let direction = Random(11).values(batch * shape.classes, 2.0);
        let map_directions = map_directions(shape, batch, 13);
        let along = |output: &[f64], direction: &[f32]| -> f64 {
            output.iter().zip(direction).map(|(x, weight)| x * f64::from(*weight)).sum()
        };
        let losses = |tensors: &Tensors| -> [f64; 2] {
            let Passed { logits, maps, .. } = reference(shape, tensors, &images, true);
            let of_maps = maps.iter().zip(&map_directions).map(|(map, direction)| along(map, direction)).sum::<f64>();
            let of_logits = along(&logits, &direction);
            [of_logits, of_logits + of_maps]
        };
        let passed = |set| {
            let mut network = network(shape, batch, 1, set);
            network.forward(&images);
            network
        };
        let networks: Vec<[Network; 2]> = sets()
            .map(|set| {
                let [mut of_logits, mut of_both] = [passed(set), passed(set)];
                of_logits.backward(&direction);
                of_both.backward_with_attention(&direction, map_directions.each_ref().map(|map| &map[..]));
                [of_logits, of_both]
            })
            .collect();
        let gradient = |network: &Network, name: &str| network.gradient(name).expect("a parameter has a gradient");
        let values = double(&tensors(&networks[0][0], 7));
        let parameters = networks[0][0].tensors().into_iter().filter(|tensor| tensor.kind == TensorKind::Parameter);
        for tensor in parameters {
            let name = &tensor.name;
            let firsts = networks[0].each_ref().map(|network| gradient(network, name));
            let largest = firsts.each_ref().map(|first| {
                (0..first.len()).max_by(|a, b| first[*a].abs().total_cmp(&first[*b].abs())).expect("not empty")
            });
            for at in [largest[0], firsts[0].len() / 3] {
                const STEP: f64 = 1e-6;
                let moved = |by: f64| {
                    let mut values = values.clone();
                    values.get_mut(name).expect("a tensor")[at] += by;
                    losses(&values)
                };
                let (up, down) = (moved(STEP), moved(-STEP));
                for (loss, network) in networks.iter().flat_map(|both| both.iter().enumerate()) {
                    let expected = (up[loss] - down[loss]) / (2.0 * STEP);
                    let ours = f64::from(gradient(network, name)[at]);
                    let error = (ours - expected).abs() / f64::from(firsts[loss][largest[loss]].abs());
                    let set = network.instruction_set();
                    assert!(error < 2e-3, "{shape:?} {set} {loss} {name}[{at}]: {ours} instead of {expected}");
                }
            }
        }
    }
}

/// Random numbers of the attention maps' sizes.
fn map_directions(shape: Shape, batch: usize, seed: u64) -> [Vec<f32>; GROUPS] {
    let mut random = Random(seed);
    shape.attention_pixels().map(|pixels| random.values(batch * pixels, 2.0))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn trained(shape: Shape, threads: usize, set: InstructionSet, batches: &[usize]) -> Vec<Vec<u32>> {
    let mut network = network(shape, 37, threads, set);
    let mut random = Random(23);
    for batch in batches {
        let images = random.values(batch * shape.channels * shape.image_size * shape.image_size, 2.0);
        let gradient: Vec<f32> = network.forward(&images).iter().map(|logit| logit / *batch as f32).collect();
        network.backward(&gradient);
        network.step(0.05, 0.9, 5e-4);
    }
    network.tensors().iter().map(|tensor| bits(&network.get(&tensor.name).expect("its own tensor"))).collect()
}

#[test]
fn threads_change_no_bit() {
    for shape in [wide_resnet(10, 2), resnet(8, 16, [32, 48, 64]), densenet(4, 12), densenet_bc(2, 12)] {
        let shape = Shape { channels: 1, image_size: 12, ..shape };
        for set in sets() {
            let one = trained(shape, 1, set, &[37, 5, 1, 16]);
            for threads in [2, 3, 5] {
                let several = trained(shape, threads, set, &[37, 5, 1, 16]);
                assert!(one == several, "{shape:?}, {set} with {threads} threads");
            }
        }
    }
}

#[test]
fn an_image_is_evaluated_alike_in_any_batch() {
    for shape in [wide_resnet(10, 2), resnet(8, 16, [32, 48, 64]), densenet(4, 12), densenet_bc(2, 12)] {
        is_evaluated_alike(shape);
    }
}

fn is_evaluated_alike(shape: Shape) {
    let len = 3 * 32 * 32;
    let images = Random(29).values(9 * len, 2.0);
    for set in sets() {
        let (together, maps) = network(shape, 1, 2, set).evaluate_with_attention(&images);
        let mut alone = Network::for_evaluation(shape, 1, set).expect("a valid shape");
        for (name, values) in tensors(&alone, 7) {
            alone.set(&name, &values).expect("its own shape");
        }
        for image in 0..9 {
            let (logits, own) = alone.evaluate_with_attention(&images[image * len..][..len]);
            assert_eq!(bits(&logits), bits(&together[image * 10..][..10]), "{set} image {image}");
            for (own, all) in own.iter().zip(&maps) {
                assert_eq!(bits(own), bits(&all[image * own.len()..][..own.len()]), "{set} image {image}");
            }
        }
        assert!(alone.evaluate(&[]).is_empty() && alone.evaluate_with_attention(&[]).1.concat().is_empty());
    }
}

/// An epoch may be evaluated at any time: also between the two halves of a step.
#[test]
fn evaluation_between_forward_and_backward_changes_no_gradient() {
    for shape in [wide_resnet(10, 1), resnet(8, 16, [16, 32, 64]), densenet(2, 8), densenet_bc(2, 8)] {
        leaves_gradients_alone(Shape { channels: 1, image_size: 8, classes: 3, ..shape });
    }
}

fn leaves_gradients_alone(shape: Shape) {
    let images = Random(31).values(4 * 64, 2.0);
    let gradient = Random(37).values(4 * 3, 1.0);
    let gradients = |evaluated: bool| -> Vec<Vec<u32>> {
        let mut network = network(shape, 4, 1, InstructionSet::best());
        network.forward(&images);
        if evaluated {
            network.evaluate(&images[..2 * 64]);
        }
        network.backward(&gradient);
        network.tensors().iter().filter_map(|tensor| network.gradient(&tensor.name)).map(|g| bits(&g)).collect()
    };
    assert!(gradients(false).iter().flatten().any(|bits| *bits != 0));
    assert!(gradients(false) == gradients(true));
}

/// Momentum that fades out becomes zero instead of a denormal number, which a processor computes with two orders of
/// magnitude more slowly; and the caller's own arithmetic keeps its denormals.
#[test]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn denormal_numbers_are_zero_in_a_step_and_only_there() {
    let tiny = std::hint::black_box(1e-38f32);
    assert!(tiny / 16.0 != 0.0, "this test needs denormals outside of the engine");
    for set in sets() {
        let shape = Shape { channels: 1, image_size: 8, classes: 2, ..wide_resnet(10, 1) };
        let mut network = Network::new(shape, 1, 2, set).expect("a valid shape");
        network.set_momentum("fc.bias", &[tiny * 1.5, 1.0]).expect("two classes");
        network.forward(&[0.0; 64]);
        network.backward(&[0.0; 2]);
        network.step(0.1, 0.5, 0.0);
        assert_eq!(network.momentum("fc.bias").expect("two classes"), [0.0, 0.5], "{set}");
        network.evaluate(&[0.0; 64]);
        assert!(std::hint::black_box(tiny) / 16.0 != 0.0, "{set}");
    }
}
