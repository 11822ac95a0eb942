//! The reference: loops over (image, channel, row, column), in double precision.

use kernels::{Blocks, Shape};
use std::collections::BTreeMap;

/// By the model zoo's names, in PyTorch's layout.
pub(crate) type Tensors = BTreeMap<String, Vec<f64>>;

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

/// Batch norm; in training by the batch's statistics, which are noted in `seen`.
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
            output.data[at] = (input.data[at] - mean) / (variance + 1e-5).sqrt() * weight + bias;
        }
    }
    output
}

impl Activation {
    fn relu(mut self) -> Self {
        self.data.iter_mut().for_each(|x| *x = x.max(0.0));
        self
    }

    /// The channels of both, image by image.
    fn and(&self, other: &Activation) -> Self {
        let pixels = self.size * self.size;
        let images = self.data.chunks(self.channels * pixels).zip(other.data.chunks(other.channels * pixels));
        let data = images.flat_map(|(own, other)| [own, other].concat()).collect();
        Activation { data, channels: self.channels + other.channels, size: self.size }
    }

    /// Means over 2×2 pixels.
    fn halved(&self) -> Self {
        let size = self.size / 2;
        let mean = |plane: &[f64], row: usize, column: usize| {
            let first = 2 * row * self.size + 2 * column;
            (plane[first] + plane[first + 1] + plane[first + self.size] + plane[first + self.size + 1]) / 4.0
        };
        let planes = self.data.chunks(self.size * self.size);
        let data = planes.flat_map(|plane| (0..size * size).map(move |at| mean(plane, at / size, at % size))).collect();
        Activation { data, channels: self.channels, size }
    }

    fn plus(mut self, other: &Activation) -> Self {
        self.data.iter_mut().zip(&other.data).for_each(|(a, b)| *a += b);
        self
    }
}

/// At each pixel the mean over channels of the squared activation, image by image.
fn attention(of: &Activation) -> Vec<f64> {
    let pixels = of.size * of.size;
    let mean = |(image, pixel): (&[f64], usize)| {
        image.iter().skip(pixel).step_by(pixels).map(|x| x * x).sum::<f64>() / of.channels as f64
    };
    let images = of.data.chunks(of.channels * pixels);
    images.flat_map(|image| (0..pixels).map(move |pixel| (image, pixel))).map(mean).collect()
}

pub(crate) struct Passed {
    pub(crate) logits: Vec<f64>,
    /// Each group's attention map.
    pub(crate) maps: Vec<Vec<f64>>,
    /// Running statistics after it.
    pub(crate) seen: Tensors,
}

pub(crate) fn reference(shape: Shape, tensors: &Tensors, images: &[f32], training: bool) -> Passed {
    let mut seen = Tensors::new();
    let data = images.iter().map(|x| f64::from(*x)).collect();
    let image = Activation { data, channels: shape.channels, size: shape.image_size };
    let mut normalise = |x: &Activation, name: &str| normalise(x, name, tensors, training, &mut seen);
    let weights = |name: &str| &tensors[&format!("{name}.weight")][..];
    let mut x = convolve(&image, weights("conv1"), shape.stem, 1, 3);
    if shape.blocks == Blocks::PostActivation {
        x = normalise(&x, "bn1").relu();
    }
    let mut maps = Vec::new();
    for (group, outputs) in shape.group_channels.into_iter().enumerate() {
        for index in 0..shape.blocks_in_group {
            let stride = if group > 0 && index == 0 { 2 } else { 1 };
            x = match shape.blocks {
                Blocks::PreActivation => {
                    let name = format!("block{}.layer.{index}", group + 1);
                    let first = normalise(&x, &format!("{name}.bn1")).relu();
                    let middle = convolve(&first, weights(&format!("{name}.conv1")), outputs, stride, 3);
                    let second = normalise(&middle, &format!("{name}.bn2")).relu();
                    let identity = match tensors.get(&format!("{name}.convShortcut.weight")) {
                        Some(weights) => convolve(&first, weights, outputs, stride, 1),
                        None => x,
                    };
                    convolve(&second, weights(&format!("{name}.conv2")), outputs, 1, 3).plus(&identity)
                }
                Blocks::PostActivation => {
                    let name = format!("layer{}.{index}", group + 1);
                    let middle = convolve(&x, weights(&format!("{name}.conv1")), outputs, stride, 3);
                    let second = normalise(&middle, &format!("{name}.bn1")).relu();
                    let branch = convolve(&second, weights(&format!("{name}.conv2")), outputs, 1, 3);
                    let branch = normalise(&branch, &format!("{name}.bn2"));
                    let identity = match tensors.get(&format!("{name}.downsample.0.weight")) {
                        Some(weights) => {
                            let shortcut = convolve(&x, weights, outputs, stride, 1);
                            normalise(&shortcut, &format!("{name}.downsample.1"))
                        }
                        None => x,
                    };
                    branch.plus(&identity).relu()
                }
                Blocks::Dense => {
                    let name = format!("block{}.layer.{index}", group + 1);
                    let rectified = normalise(&x, &format!("{name}.bn1")).relu();
                    let convolution = weights(&format!("{name}.conv1"));
                    let growth = convolution.len() / (9 * x.channels);
                    x.and(&convolve(&rectified, convolution, growth, 1, 3))
                }
                Blocks::DenseBottleneck => {
                    let name = format!("block{}.layer.{index}", group + 1);
                    let rectified = normalise(&x, &format!("{name}.bn1")).relu();
                    let first = weights(&format!("{name}.conv1"));
                    let middle = convolve(&rectified, first, first.len() / x.channels, 1, 1);
                    let rectified = normalise(&middle, &format!("{name}.bn2")).relu();
                    let last = weights(&format!("{name}.conv2"));
                    x.and(&convolve(&rectified, last, last.len() / (9 * middle.channels), 1, 3))
                }
            };
        }
        maps.push(attention(&x));
        let appends = matches!(shape.blocks, Blocks::Dense | Blocks::DenseBottleneck);
        if appends && group < 2 {
            let rectified = normalise(&x, &format!("trans{}.bn1", group + 1)).relu();
            let convolution = weights(&format!("trans{}.conv1", group + 1));
            x = convolve(&rectified, convolution, convolution.len() / x.channels, 1, 1).halved();
        }
    }
    if shape.blocks != Blocks::PostActivation {
        x = normalise(&x, "bn1").relu();
    }
    let pixels = x.size * x.size;
    let pooled: Vec<f64> = x.data.chunks(pixels).map(|plane| plane.iter().sum::<f64>() / pixels as f64).collect();
    let logits = pooled
        .chunks(x.channels)
        .flat_map(|features| {
            let rows = tensors["fc.weight"].chunks(x.channels).zip(&tensors["fc.bias"]);
            rows.map(move |(row, bias)| row.iter().zip(features).map(|(a, b)| a * b).sum::<f64>() + bias)
        })
        .collect();
    Passed { logits, maps, seen }
}
