//! The engine against a plain double-precision network, over instruction sets, sizes, batches and threads.

use kernels::{InstructionSet, KernelError, Shape, TensorKind, WideResNet};
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, Vec<f64>>;

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
fn tensors(network: &WideResNet, seed: u64) -> BTreeMap<String, Vec<f32>> {
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

fn network(shape: Shape, batch: usize, threads: usize, set: InstructionSet) -> WideResNet {
    let mut network = WideResNet::new(shape, batch, threads, set).expect("a valid shape");
    for (name, values) in tensors(&network, 7) {
        network.set(&name, &values).expect("its own shape");
    }
    network
}

// ---- the reference: loops over (image, channel, row, column), in f64 ----

#[derive(Clone)]
struct Activation {
    data: Vec<f64>,
    channels: usize,
    size: usize,
}

fn convolve(input: &Activation, weights: &[f64], outputs: usize, stride: usize, kernel: usize) -> Activation {
    let size = input.size / stride;
    let batch = input.data.len() / (input.channels * input.size * input.size);
    let border = kernel as isize / 2;
    let mut data = vec![0.0; batch * outputs * size * size];
    for (at, sum) in data.iter_mut().enumerate() {
        let (column, row) = ((at % size) as isize, (at / size % size) as isize);
        let (output, image) = (at / (size * size) % outputs, at / (size * size * outputs));
        for channel in 0..input.channels {
            for (tap, weight) in
                weights[(output * input.channels + channel) * kernel * kernel..][..kernel * kernel].iter().enumerate()
            {
                let y = row * stride as isize + (tap / kernel) as isize - border;
                let x = column * stride as isize + (tap % kernel) as isize - border;
                let inside = 0..input.size as isize;
                if inside.contains(&y) && inside.contains(&x) {
                    let place =
                        ((image * input.channels + channel) * input.size + y as usize) * input.size + x as usize;
                    *sum += weight * input.data[place];
                }
            }
        }
    }
    Activation { data, channels: outputs, size }
}

/// Batch norm and ReLU; in training by the batch's statistics, which are noted in `seen`.
#[allow(clippy::needless_range_loop)] // a channel indexes five arrays
fn normalise(input: &Activation, name: &str, tensors: &Tensors, training: bool, seen: &mut Tensors) -> Activation {
    let pixels = input.size * input.size;
    let images = input.data.len() / (input.channels * pixels);
    let mut output = input.clone();
    for channel in 0..input.channels {
        let own = (0..images).flat_map(|image| {
            let start = (image * input.channels + channel) * pixels;
            start..start + pixels
        });
        let values: Vec<f64> = own.clone().map(|at| input.data[at]).collect();
        let (mut mean, mut variance) =
            (tensors[&format!("{name}.running_mean")][channel], tensors[&format!("{name}.running_var")][channel]);
        if training {
            let count = values.len() as f64;
            let (old_mean, old_variance) = (mean, variance);
            mean = values.iter().sum::<f64>() / count;
            variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let unbiased = variance * count / (count - 1.0);
            seen.entry(format!("{name}.running_mean")).or_default().push(0.9 * old_mean + 0.1 * mean);
            seen.entry(format!("{name}.running_var")).or_default().push(0.9 * old_variance + 0.1 * unbiased);
        }
        let weight = tensors[&format!("{name}.weight")][channel];
        let bias = tensors[&format!("{name}.bias")][channel];
        for at in own {
            output.data[at] = ((input.data[at] - mean) / (variance + 1e-5).sqrt() * weight + bias).max(0.0);
        }
    }
    output
}

fn reference(shape: Shape, tensors: &Tensors, images: &[f32], training: bool) -> (Vec<f64>, Tensors) {
    let mut seen = Tensors::new();
    let data = images.iter().map(|x| f64::from(*x)).collect();
    let image = Activation { data, channels: shape.channels, size: shape.image_size };
    let mut x = convolve(&image, &tensors["conv1.weight"], 16, 1, 3);
    for group in 0..3 {
        let outputs = (16 << group) * shape.width;
        for index in 0..(shape.depth - 4) / 6 {
            let name = format!("block{}.layer.{index}", group + 1);
            let stride = if group > 0 && index == 0 { 2 } else { 1 };
            let first = normalise(&x, &format!("{name}.bn1"), tensors, training, &mut seen);
            let middle = convolve(&first, &tensors[&format!("{name}.conv1.weight")], outputs, stride, 3);
            let second = normalise(&middle, &format!("{name}.bn2"), tensors, training, &mut seen);
            let mut output = convolve(&second, &tensors[&format!("{name}.conv2.weight")], outputs, 1, 3);
            let identity = match tensors.get(&format!("{name}.convShortcut.weight")) {
                Some(weights) => convolve(&first, weights, outputs, stride, 1),
                None => x,
            };
            output.data.iter_mut().zip(&identity.data).for_each(|(a, b)| *a += b);
            x = output;
        }
    }
    let x = normalise(&x, "bn1", tensors, training, &mut seen);
    let pixels = x.size * x.size;
    let pooled: Vec<f64> = x.data.chunks(pixels).map(|plane| plane.iter().sum::<f64>() / pixels as f64).collect();
    let logits = pooled
        .chunks(x.channels)
        .flat_map(|features| {
            let rows = tensors["fc.weight"].chunks(x.channels).zip(&tensors["fc.bias"]);
            rows.map(move |(row, bias)| row.iter().zip(features).map(|(a, b)| a * b).sum::<f64>() + bias)
        })
        .collect();
    (logits, seen)
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

const SHAPES: [Shape; 4] = [
    Shape { depth: 10, width: 1, channels: 1, image_size: 28, classes: 10 },
    Shape { depth: 10, width: 1, channels: 3, image_size: 32, classes: 10 },
    Shape { depth: 16, width: 2, channels: 3, image_size: 8, classes: 7 },
    Shape { depth: 10, width: 3, channels: 1, image_size: 20, classes: 3 },
];

#[test]
fn forward_and_evaluation_agree_with_double_precision() {
    for shape in SHAPES {
        let images = Random(3).values(3 * shape.channels * shape.image_size * shape.image_size, 2.0);
        for set in sets() {
            let mut network = network(shape, 3, 1, set);
            let before = double(&tensors(&network, 7));
            let (logits, _) = reference(shape, &before, &images, false);
            assert_close(&format!("{shape:?} {set} evaluation"), &network.evaluate(&images), &logits, 1e-4);
            let (logits, seen) = reference(shape, &before, &images, true);
            assert_close(&format!("{shape:?} {set} forward"), network.forward(&images), &logits, 1e-4);
            for (name, expected) in seen {
                let ours = network.get(&name).expect("a running statistic");
                assert_close(&format!("{shape:?} {set} {name}"), &ours, &expected, 1e-5);
            }
        }
    }
}

/// Central differences of the reference, in double precision, for the largest gradients of every parameter.
#[test]
fn gradients_agree_with_central_differences() {
    let small = [
        Shape { depth: 10, width: 1, channels: 1, image_size: 12, classes: 10 },
        Shape { depth: 10, width: 1, channels: 3, image_size: 16, classes: 10 },
        Shape { depth: 16, width: 2, channels: 3, image_size: 8, classes: 7 },
    ];
    for shape in small {
        let batch = 2;
        let images = Random(5).values(batch * shape.channels * shape.image_size * shape.image_size, 2.0);
        let direction = Random(11).values(batch * shape.classes, 2.0);
        let loss = |tensors: &Tensors| -> f64 {
            let (logits, _) = reference(shape, tensors, &images, true);
            logits.iter().zip(&direction).map(|(logit, weight)| logit * f64::from(*weight)).sum()
        };
        let mut networks: Vec<_> = sets().map(|set| network(shape, batch, 1, set)).collect();
        let values = double(&tensors(&networks[0], 7));
        for network in &mut networks {
            network.forward(&images);
            network.backward(&direction);
        }
        for tensor in networks[0].tensors().into_iter().filter(|tensor| tensor.kind == TensorKind::Parameter) {
            let first = networks[0].gradient(&tensor.name).expect("a parameter has a gradient");
            let largest =
                (0..first.len()).max_by(|a, b| first[*a].abs().total_cmp(&first[*b].abs())).expect("not empty");
            for at in [largest, first.len() / 3] {
                const STEP: f64 = 1e-6;
                let moved = |by: f64| {
                    let mut values = values.clone();
                    values.get_mut(&tensor.name).expect("a tensor")[at] += by;
                    loss(&values)
                };
                let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                for network in &networks {
                    let ours = f64::from(network.gradient(&tensor.name).expect("a parameter has a gradient")[at]);
                    let error = (ours - expected).abs() / f64::from(first[largest].abs());
                    let set = network.instruction_set();
                    assert!(error < 2e-3, "{shape:?} {set} {}[{at}]: {ours} instead of {expected}", tensor.name);
                }
            }
        }
    }
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
    let shape = Shape { depth: 10, width: 2, channels: 1, image_size: 12, classes: 10 };
    for set in sets() {
        let one = trained(shape, 1, set, &[37, 5, 1, 16]);
        for threads in [2, 3, 5] {
            assert!(one == trained(shape, threads, set, &[37, 5, 1, 16]), "{set} with {threads} threads");
        }
    }
}

#[test]
fn an_image_is_evaluated_alike_in_any_batch() {
    let shape = Shape { depth: 10, width: 2, channels: 3, image_size: 32, classes: 10 };
    let len = 3 * 32 * 32;
    let images = Random(29).values(9 * len, 2.0);
    for set in sets() {
        let together = network(shape, 1, 2, set).evaluate(&images);
        let mut alone = WideResNet::for_evaluation(shape, 1, set).expect("a valid shape");
        for (name, values) in tensors(&alone, 7) {
            alone.set(&name, &values).expect("its own shape");
        }
        for image in 0..9 {
            let logits = alone.evaluate(&images[image * len..][..len]);
            assert_eq!(bits(&logits), bits(&together[image * 10..][..10]), "{set} image {image}");
        }
        assert!(alone.evaluate(&[]).is_empty());
    }
}

/// An epoch may be evaluated at any time: also between the two halves of a step.
#[test]
fn evaluation_between_forward_and_backward_changes_no_gradient() {
    let shape = Shape { depth: 10, width: 1, channels: 1, image_size: 8, classes: 3 };
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
        let shape = Shape { depth: 10, width: 1, channels: 1, image_size: 8, classes: 2 };
        let mut network = WideResNet::new(shape, 1, 2, set).expect("a valid shape");
        network.set_momentum("fc.bias", &[tiny * 1.5, 1.0]).expect("two classes");
        network.forward(&[0.0; 64]);
        network.backward(&[0.0; 2]);
        network.step(0.1, 0.5, 0.0);
        assert_eq!(network.momentum("fc.bias").expect("two classes"), [0.0, 0.5], "{set}");
        network.evaluate(&[0.0; 64]);
        assert!(std::hint::black_box(tiny) / 16.0 != 0.0, "{set}");
    }
}

/// ```python
/// import torch
/// p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
/// sgd = torch.optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.5)
/// for gradient in ([0.25, 1.0], [0.5, -1.0]):
///     p.grad = torch.tensor(gradient); sgd.step()
/// ```
/// By hand: v1 = g + 0.5·p = [0.75, 0]; p1 = [0.925, −2]; v2 = 0.9·v1 + g + 0.5·p1 = [1.6375, −2]; p2 = [0.76125, −1.8].
#[test]
fn a_step_is_pytorchs() {
    for set in sets() {
        let shape = Shape { depth: 10, width: 1, channels: 1, image_size: 8, classes: 2 };
        let mut network = WideResNet::new(shape, 1, 1, set).expect("a valid shape");
        // With all other tensors zero the features are the last bias, and the gradient of `fc.bias` is that on the logits.
        network.set("fc.bias", &[1.0, -2.0]).expect("two classes");
        for gradient in [[0.25, 1.0], [0.5, -1.0]] {
            network.forward(&[0.0; 64]);
            network.backward(&gradient);
            network.step(0.1, 0.9, 0.5);
        }
        assert_close("fc.bias", &network.get("fc.bias").expect("two classes"), &[0.76125, -1.8], 1e-6);
        assert_close("momentum", &network.momentum("fc.bias").expect("two classes"), &[1.6375, -2.0], 1e-6);
    }
}

#[test]
fn tensors_come_back_as_they_were_set() {
    let shape = Shape { depth: 16, width: 2, channels: 3, image_size: 16, classes: 10 };
    let mut network = network(shape, 1, 1, InstructionSet::Portable);
    for (name, values) in tensors(&network, 7) {
        assert_eq!(network.get(&name).as_deref(), Some(&values[..]), "{name}");
        if let Some(momentum) = network.momentum(&name) {
            assert!(momentum.iter().all(|x| *x == 0.0));
            network.set_momentum(&name, &values).expect("a parameter");
            assert_eq!(network.momentum(&name).as_deref(), Some(&values[..]), "{name}");
        }
    }
    let names: Vec<String> = network.tensors().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names[0], "conv1.weight");
    assert_eq!(names[1], "block1.layer.0.bn1.weight");
    assert!(names.contains(&"block2.layer.0.convShortcut.weight".to_string()));
    assert!(!names.contains(&"block2.layer.1.convShortcut.weight".to_string()));
    assert_eq!(names.last().map(String::as_str), Some("fc.bias"));
}

#[test]
fn what_cannot_be_had_is_named() {
    let shape = Shape { depth: 16, width: 1, channels: 3, image_size: 32, classes: 10 };
    let field = |shape, batch, threads| match WideResNet::new(shape, batch, threads, InstructionSet::Portable) {
        Err(KernelError::Field { field, .. }) => field,
        _ => "none",
    };
    assert_eq!(field(Shape { depth: 17, ..shape }, 1, 1), "depth");
    assert_eq!(field(Shape { depth: usize::MAX, ..shape }, 1, 1), "depth");
    assert_eq!(field(Shape { width: 0, ..shape }, 1, 1), "width");
    assert_eq!(field(Shape { channels: 2, ..shape }, 1, 1), "channels");
    assert_eq!(field(Shape { image_size: 30, ..shape }, 1, 1), "image_size");
    assert_eq!(field(Shape { classes: 1, ..shape }, 1, 1), "classes");
    assert_eq!(field(shape, 0, 1), "batch_max");
    assert_eq!(field(shape, 1, 0), "threads");
    let mut network = WideResNet::for_evaluation(shape, 1, InstructionSet::Portable).expect("a valid shape");
    assert!(matches!(network.set("fc.bias", &[0.0]), Err(KernelError::Length { given: 1, expected: 10, .. })));
    assert!(matches!(network.set("fc.biass", &[0.0]), Err(KernelError::UnknownTensor { .. })));
    assert!(matches!(network.set_momentum("fc.bias", &[0.0; 10]), Err(KernelError::NoMomentum { .. })));
    assert_eq!("avx1024".parse::<InstructionSet>().ok(), None);
}
