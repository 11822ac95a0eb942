//! The same networks out of candle's operators, on any device and in any precision candle has: in double precision on the
//! CPU the reference for every kernel, in single precision on a GPU the road for those who have one.

use crate::TrainError;
use crate::engine::{DISTILLATION, Engine, NetworkShape, OutputGradient};
use crate::engine::{TensorSpec, Values, Weights, beside, mismatches, momentum_tensors};
use crate::names;
use candle_core::{DType, Device, Tensor, Var};
use std::collections::BTreeMap;
use study::Optimizer;
use study::bytes_of_candle::evaluated_together;
use study::layout::{Blocks, Convolution, StemSize};

const EPSILON: f64 = 1e-5;
const RUNNING_MOMENTUM: f64 = 0.1;

/// A network out of candle's operators, in one precision on one device.
pub struct CandleNetwork {
    shape: NetworkShape,
    device: Device,
    dtype: DType,
    tensors: Vec<TensorSpec>,
    /// By layer: how each goes over what it reads.
    convolutions: BTreeMap<String, Convolution>,
    parameters: BTreeMap<String, Var>,
    running: BTreeMap<String, Tensor>,
    momentum: BTreeMap<String, Tensor>,
    /// Of a distillation's gradients alone; empty until a step of DOT.
    distillation_momentum: BTreeMap<String, Tensor>,
    gradients: BTreeMap<String, Tensor>,
    /// Gradients set aside for the next step; empty where none were.
    aside: BTreeMap<String, Tensor>,
    /// The last forward pass, until it is one of other weights.
    passed: Option<Passed>,
}

/// What a pass of images through the network gives, with the graph behind it.
struct Passed {
    /// (n, classes).
    logits: Tensor,
    /// Each group's output: (n, channels, height, width).
    groups: Vec<Tensor>,
}

impl Passed {
    /// (n, pixels), see [`Engine`].
    fn attention(&self) -> Result<Vec<Tensor>, TrainError> {
        self.groups.iter().map(|output| Ok(output.sqr()?.mean(1)?.flatten_from(1)?)).collect()
    }
}

impl CandleNetwork {
    /// All tensors are zero until they are set.
    pub fn new(shape: &NetworkShape, device: &Device, dtype: DType) -> Result<Self, TrainError> {
        let tensors = shape.tensors();
        let mut parameters = BTreeMap::new();
        let mut running = BTreeMap::new();
        let mut momentum = BTreeMap::new();
        for tensor in &tensors {
            let zeros = Tensor::zeros(tensor.shape.as_slice(), dtype, device)?;
            if tensor.trained {
                parameters.insert(tensor.name.clone(), Var::from_tensor(&zeros)?);
                momentum.insert(tensor.name.clone(), zeros);
            } else {
                running.insert(tensor.name.clone(), zeros);
            }
        }
        Ok(CandleNetwork {
            shape: *shape,
            device: device.clone(),
            dtype,
            tensors,
            convolutions: names::convolutions(shape).collect(),
            parameters,
            running,
            momentum,
            distillation_momentum: BTreeMap::new(),
            gradients: BTreeMap::new(),
            aside: BTreeMap::new(),
            passed: None,
        })
    }

    fn images(&self, images: &[f32]) -> Result<Tensor, TrainError> {
        let NetworkShape { channels, image_size: size, .. } = self.shape;
        let batch = images.len() / (channels * size * size);
        Ok(Tensor::from_slice(images, (batch, channels, size, size), &self.device)?.to_dtype(self.dtype)?)
    }

    fn tensor(&self, values: &Values) -> Result<Tensor, TrainError> {
        Ok(Tensor::from_slice(&values.values, values.shape.as_slice(), &self.device)?.to_dtype(self.dtype)?)
    }

    /// In training, batch norm uses the batch's statistics, and the running ones are returned as they are after it; the graph behind what
    /// is given is kept for a backward pass.
    fn pass(&self, images: &Tensor, training: bool) -> Result<(Passed, BTreeMap<String, Tensor>), TrainError> {
        let layout = self.shape.architecture.layout();
        let mut running = BTreeMap::new();
        let convolve = |x: &Tensor, name: &str| self.convolve(x, name, training);
        let mut normalise = |x: &Tensor, name: &str| self.normalise(x, name, training, &mut running);
        let mut x = convolve(images, "conv1")?;
        if layout.blocks.normalise_after() {
            x = normalise(&x, "bn1")?.relu()?;
        }
        if layout.stem.size == StemSize::Large {
            x = greatest_of_3_by_3(&x)?;
        }
        let mut groups = Vec::new();
        for block in layout.each_block() {
            let block_name = names::block(layout.blocks, &block);
            let part = |part: &str| format!("{block_name}.{part}");
            x = match layout.blocks {
                Blocks::PreActivation => {
                    let first = normalise(&x, &part("bn1"))?.relu()?;
                    let second = normalise(&convolve(&first, &part("conv1"))?, &part("bn2"))?.relu()?;
                    let output = convolve(&second, &part("conv2"))?;
                    let changes = block.changes_channels();
                    (output + if changes { convolve(&first, &part("convShortcut"))? } else { x })?
                }
                Blocks::PostActivation | Blocks::Bottleneck => {
                    let last = if layout.blocks == Blocks::Bottleneck { 3 } else { 2 };
                    let mut output = x.clone();
                    for place in 1..=last {
                        let convolved = convolve(&output, &part(&format!("conv{place}")))?;
                        output = normalise(&convolved, &part(&format!("bn{place}")))?;
                        if place < last {
                            output = output.relu()?;
                        }
                    }
                    if block.changes_channels() {
                        x = normalise(&convolve(&x, &part("downsample.0"))?, &part("downsample.1"))?;
                    }
                    (output + x)?.relu()?
                }
                Blocks::Dense => {
                    let grown = convolve(&normalise(&x, &part("bn1"))?.relu()?, &part("conv1"))?;
                    Tensor::cat(&[&x, &grown], 1)?
                }
                Blocks::DenseBottleneck => {
                    let middle = convolve(&normalise(&x, &part("bn1"))?.relu()?, &part("conv1"))?;
                    let grown = convolve(&normalise(&middle, &part("bn2"))?.relu()?, &part("conv2"))?;
                    Tensor::cat(&[&x, &grown], 1)?
                }
            };
            if layout.ends_group(&block) {
                groups.push(x.clone());
            }
            if layout.has_transition_after(&block) {
                let name = names::transition(&block);
                let rectified = normalise(&x, &format!("{name}.bn1"))?.relu()?;
                x = convolve(&rectified, &format!("{name}.conv1"))?.avg_pool2d(2)?;
            }
        }
        if !layout.blocks.normalise_after() {
            x = normalise(&x, "bn1")?.relu()?;
        }
        let weights = self.parameter("fc.weight", training).t()?;
        let logits = x.mean((2, 3))?.matmul(&weights)?.broadcast_add(&self.parameter("fc.bias", training))?;
        Ok((Passed { logits, groups }, running))
    }

    fn convolve(&self, x: &Tensor, name: &str, training: bool) -> Result<Tensor, TrainError> {
        let Convolution { kernel, stride, .. } = self.convolutions[name];
        let weights = self.parameter(&format!("{name}.weight"), training);
        Ok(x.conv2d(&weights, kernel as usize / 2, stride as usize, 1, 1)?)
    }

    /// Outside training nothing is kept of how a result came about.
    fn parameter(&self, name: &str, training: bool) -> Tensor {
        let parameter = self.parameters[name].as_tensor();
        if training { parameter.clone() } else { parameter.detach() }
    }

    /// Evaluation mode, a part of the images at a time: what `give` makes of each, one tensor of each kind with a row for each image;
    /// nothing where there are no images.
    fn evaluated(
        &self,
        images: &[f32],
        give: impl Fn(Passed) -> Result<Vec<Tensor>, TrainError>,
    ) -> Result<Vec<Tensor>, TrainError> {
        let NetworkShape { channels, image_size: size, .. } = self.shape;
        let mut all: Vec<Vec<Tensor>> = Vec::new();
        let together = evaluated_together(size as u32) as usize;
        for images in images.chunks(together * channels * size * size) {
            let given = give(self.pass(&self.images(images)?, false)?.0)?;
            all.resize(given.len(), Vec::new());
            for (kind, tensor) in all.iter_mut().zip(given) {
                kind.push(to_cpu(&tensor)?);
            }
        }
        all.iter().map(|parts| Ok(Tensor::cat(parts, 0)?)).collect()
    }

    fn no_images(&self, values_per_image: usize) -> Result<Tensor, TrainError> {
        Ok(Tensor::zeros((0, values_per_image), self.dtype, &Device::Cpu)?)
    }

    /// Batch norm.
    fn normalise(
        &self,
        x: &Tensor,
        name: &str,
        training: bool,
        running: &mut BTreeMap<String, Tensor>,
    ) -> Result<Tensor, TrainError> {
        let by_channel = |tensor: &Tensor| tensor.reshape((1, tensor.elem_count(), 1, 1));
        let (mean_name, variance_name) = (format!("{name}.running_mean"), format!("{name}.running_var"));
        let (centred, variance) = if training {
            let mean = x.mean_keepdim((0, 2, 3))?;
            let centred = x.broadcast_sub(&mean)?;
            let variance = centred.sqr()?.mean_keepdim((0, 2, 3))?;
            let count = (x.elem_count() / x.dim(1)?) as f64;
            let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
            let moved = |old: &Tensor, new: &Tensor, factor: f64| -> Result<Tensor, TrainError> {
                Ok(((old * (1.0 - RUNNING_MOMENTUM))? + (new.detach().flatten_all()? * (RUNNING_MOMENTUM * factor))?)?)
            };
            let new_mean = moved(&self.running[&mean_name], &mean, 1.0)?;
            let new_variance = moved(&self.running[&variance_name], &variance, unbiased)?;
            running.insert(mean_name, new_mean);
            running.insert(variance_name, new_variance);
            (centred, variance)
        } else {
            let centred = x.broadcast_sub(&by_channel(&self.running[&mean_name])?)?;
            (centred, by_channel(&self.running[&variance_name])?)
        };
        let scale = (variance + EPSILON)?.sqrt()?.recip()?;
        let weight = by_channel(&self.parameter(&format!("{name}.weight"), training))?;
        let bias = by_channel(&self.parameter(&format!("{name}.bias"), training))?;
        Ok(centred.broadcast_mul(&(scale * weight)?)?.broadcast_add(&bias)?)
    }

    fn read<'a>(&self, tensors: impl Iterator<Item = (&'a String, &'a Tensor)>) -> Result<Weights, TrainError> {
        tensors
            .map(|(name, tensor)| {
                let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
                Ok((name.clone(), Values { shape: tensor.dims().to_vec(), values }))
            })
            .collect()
    }
}

impl Engine for CandleNetwork {
    fn weights(&self) -> Result<Weights, TrainError> {
        self.read(self.parameters.iter().map(|(name, var)| (name, var.as_tensor())).chain(&self.running))
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<(), TrainError> {
        if let Some(problem) = mismatches(&self.tensors, weights) {
            return Err(TrainError::Weights { problem });
        }
        self.passed = None;
        for (name, values) in weights {
            let tensor = self.tensor(values)?;
            match self.parameters.get(name) {
                Some(parameter) => parameter.set(&tensor)?,
                None => {
                    self.running.insert(name.clone(), tensor);
                }
            }
        }
        Ok(())
    }

    fn momentum(&self) -> Result<Weights, TrainError> {
        Ok(beside(self.read(self.momentum.iter())?, self.read(self.distillation_momentum.iter())?))
    }

    fn set_momentum(&mut self, momentum: &Weights) -> Result<(), TrainError> {
        if let Some(problem) = mismatches(&momentum_tensors(&self.tensors, momentum), momentum) {
            return Err(TrainError::Weights { problem });
        }
        self.distillation_momentum.clear();
        for (name, values) in momentum {
            let tensor = self.tensor(values)?;
            match name.strip_prefix(DISTILLATION) {
                Some(name) => self.distillation_momentum.insert(name.into(), tensor),
                None => self.momentum.insert(name.clone(), tensor),
            };
        }
        Ok(())
    }

    fn forward(&mut self, images: &[f32]) -> Result<Tensor, TrainError> {
        // Two graphs would take twice the memory.
        self.passed = None;
        let (passed, running) = self.pass(&self.images(images)?, true)?;
        self.running = running;
        let logits = to_cpu(&passed.logits)?;
        self.passed = Some(passed);
        Ok(logits)
    }

    fn attention(&mut self) -> Result<Vec<Tensor>, TrainError> {
        let passed = self.passed.as_ref().expect("attention needs a forward pass before it");
        passed.attention()?.iter().map(to_cpu).collect()
    }

    fn backward(&mut self, gradient: &OutputGradient) -> Result<(), TrainError> {
        let passed = self.passed.as_ref().expect("backward needs a forward pass before it");
        // What has this gradient: the sum of all products with it.
        let along = |output: &Tensor, gradient: &Tensor| -> Result<Tensor, TrainError> {
            let gradient = gradient.detach().to_device(&self.device)?.to_dtype(self.dtype)?;
            Ok((output * gradient)?.sum_all()?)
        };
        let mut loss = along(&passed.logits, &gradient.logits)?;
        if !gradient.attention.is_empty() {
            let maps = passed.attention()?;
            assert_eq!(gradient.attention.len(), maps.len(), "a gradient on each group's attention map, or on none");
            for (map, gradient) in maps.iter().zip(&gradient.attention) {
                loss = (loss + along(map, gradient)?)?;
            }
        }
        let gradients = loss.backward()?;
        for (name, parameter) in &self.parameters {
            let gradient = match gradients.get(parameter.as_tensor()) {
                // What it was computed of, the activations among it, goes with the graph.
                Some(gradient) => gradient.detach(),
                None => parameter.as_tensor().zeros_like()?,
            };
            self.gradients.insert(name.clone(), gradient);
        }
        Ok(())
    }

    fn gradients(&self) -> Result<Weights, TrainError> {
        self.read(self.gradients.iter())
    }

    fn set_gradient_aside(&mut self) -> Result<(), TrainError> {
        self.aside = std::mem::take(&mut self.gradients);
        Ok(())
    }

    fn step(&mut self, learning_rate: f64, optimizer: &Optimizer) -> Result<(), TrainError> {
        self.passed = None;
        let aside = std::mem::take(&mut self.aside);
        match *optimizer {
            Optimizer::Sgd { momentum, weight_decay } => {
                assert!(aside.is_empty(), "a gradient was set aside, which a step along one leaves out");
                for (name, distillation) in std::mem::take(&mut self.distillation_momentum) {
                    let sum = (&self.momentum[&name] + distillation)?;
                    self.momentum.insert(name, sum);
                }
                for (name, parameter) in &self.parameters {
                    let weights = parameter.as_tensor().detach();
                    let decayed = (&self.gradients[name] + (&weights * weight_decay)?)?;
                    let velocity = ((&self.momentum[name] * momentum)? + decayed)?.detach();
                    parameter.set(&(weights - (&velocity * learning_rate)?)?)?;
                    self.momentum.insert(name.clone(), velocity);
                }
            }
            Optimizer::Dot { momentum, weight_decay, momentum_difference } => {
                assert!(!aside.is_empty(), "no gradient was set aside");
                for (name, parameter) in &self.parameters {
                    let weights = parameter.as_tensor().detach();
                    let decayed = (&aside[name] + (&weights * weight_decay)?)?;
                    let velocity = ((&self.momentum[name] * (momentum - momentum_difference))? + decayed)?.detach();
                    let gradient = self.gradients[name].detach();
                    let distillation = match self.distillation_momentum.get(name) {
                        Some(before) => ((before * (momentum + momentum_difference))? + gradient)?,
                        None => gradient,
                    };
                    parameter.set(&(weights - ((&velocity + &distillation)? * learning_rate)?)?)?;
                    self.momentum.insert(name.clone(), velocity);
                    self.distillation_momentum.insert(name.clone(), distillation);
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, images: &[f32]) -> Result<Tensor, TrainError> {
        let logits = self.evaluated(images, |passed| Ok(vec![passed.logits]))?;
        logits.into_iter().next().map_or_else(|| self.no_images(self.shape.classes), Ok)
    }

    fn evaluate_with_attention(&mut self, images: &[f32]) -> Result<(Tensor, Vec<Tensor>), TrainError> {
        let all = self.evaluated(images, |passed| {
            let maps = passed.attention()?;
            Ok([vec![passed.logits], maps].concat())
        })?;
        match all.split_first() {
            Some((logits, maps)) => Ok((logits.clone(), maps.to_vec())),
            None => {
                let maps = self.shape.attention_pixels().into_iter().map(|pixels| self.no_images(pixels));
                Ok((self.no_images(self.shape.classes)?, maps.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// The greatest of 3×3 pixels around every second one, (n, channels, height / 2, width / 2), of what is nowhere below 0, so that the zeros
/// around it are never greater. Height and width are even. candle's own has no border, and no gradient where squares overlap.
fn greatest_of_3_by_3(x: &Tensor) -> Result<Tensor, TrainError> {
    let along = |x: &Tensor, dimension: usize| -> Result<Tensor, candle_core::Error> {
        let half = x.dim(dimension)? / 2;
        let mut in_twos = x.dims().to_vec();
        in_twos.splice(dimension..=dimension, [half + 1, 2]);
        // Beginning with the border: the places 0, 2, 4, ... and 1, 3, 5, ...
        let in_twos = x.pad_with_zeros(dimension, 1, 1)?.reshape(in_twos)?;
        let [even, odd] = [0, 1].map(|place| in_twos.narrow(dimension + 1, place, 1));
        let (even, odd) = (even?.squeeze(dimension + 1)?, odd?.squeeze(dimension + 1)?);
        let [before, at] = [&even, &odd].map(|places| places.narrow(dimension, 0, half));
        before?.maximum(&at?)?.maximum(&even.narrow(dimension, 1, half)?)
    };
    Ok(along(&along(x, 2)?, 3)?)
}

/// Without the graph behind it.
fn to_cpu(tensor: &Tensor) -> Result<Tensor, TrainError> {
    Ok(tensor.detach().to_device(&Device::Cpu)?)
}
