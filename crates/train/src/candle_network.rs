//! The same network out of candle's operators, on any device and in any precision candle has: in double precision on the
//! CPU the reference for every kernel, in single precision on a GPU the road for those who have one.

use crate::TrainError;
use crate::engine::{Engine, NetworkShape, TensorSpec, Values, Weights, mismatches};
use candle_core::{DType, Device, Tensor, Var};
use std::collections::BTreeMap;
use study::{Architecture, Optimizer};

const EPSILON: f64 = 1e-5;
const RUNNING_MOMENTUM: f64 = 0.1;
/// Evaluation goes through the images in batches of this size, to bound memory.
const EVALUATION_BATCH: usize = 500;

pub struct CandleNetwork {
    shape: NetworkShape,
    device: Device,
    dtype: DType,
    tensors: Vec<TensorSpec>,
    parameters: BTreeMap<String, Var>,
    running: BTreeMap<String, Tensor>,
    momentum: BTreeMap<String, Tensor>,
    gradients: BTreeMap<String, Tensor>,
    /// Of the last forward pass, with the graph behind it.
    logits: Option<Tensor>,
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
            parameters,
            running,
            momentum,
            gradients: BTreeMap::new(),
            logits: None,
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

    /// Logits (n, classes). In training, batch norm uses the batch's statistics, and the running ones are returned as they are after it.
    fn logits(&self, images: &Tensor, training: bool) -> Result<(Tensor, BTreeMap<String, Tensor>), TrainError> {
        let Architecture::WideResNet { depth, .. } = self.shape.architecture;
        let mut running = BTreeMap::new();
        let convolve = |x: &Tensor, name: &str, padding, stride| {
            x.conv2d(self.parameters[&format!("{name}.weight")].as_tensor(), padding, stride, 1, 1)
        };
        let mut x = convolve(images, "conv1", 1, 1)?;
        for group in 1..=3 {
            for index in 0..(depth as usize - 4) / 6 {
                let name = format!("block{group}.layer.{index}");
                let stride = if group > 1 && index == 0 { 2 } else { 1 };
                let first = self.normalise(&x, &format!("{name}.bn1"), training, &mut running)?;
                let middle = convolve(&first, &format!("{name}.conv1"), 1, stride)?;
                let second = self.normalise(&middle, &format!("{name}.bn2"), training, &mut running)?;
                let output = convolve(&second, &format!("{name}.conv2"), 1, 1)?;
                let shortcut = format!("{name}.convShortcut");
                x = if self.parameters.contains_key(&format!("{shortcut}.weight")) {
                    (output + convolve(&first, &shortcut, 0, stride)?)?
                } else {
                    (output + x)?
                };
            }
        }
        let pooled = self.normalise(&x, "bn1", training, &mut running)?.mean((2, 3))?;
        let weights = self.parameters["fc.weight"].as_tensor().t()?;
        Ok((pooled.matmul(&weights)?.broadcast_add(self.parameters["fc.bias"].as_tensor())?, running))
    }

    /// Batch norm, then ReLU.
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
        let weight = by_channel(self.parameters[&format!("{name}.weight")].as_tensor())?;
        let bias = by_channel(self.parameters[&format!("{name}.bias")].as_tensor())?;
        Ok(centred.broadcast_mul(&(scale * weight)?)?.broadcast_add(&bias)?.relu()?)
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
        self.read(self.momentum.iter())
    }

    fn set_momentum(&mut self, momentum: &Weights) -> Result<(), TrainError> {
        let trained: Vec<TensorSpec> = self.tensors.iter().filter(|tensor| tensor.trained).cloned().collect();
        if let Some(problem) = mismatches(&trained, momentum) {
            return Err(TrainError::Weights { problem });
        }
        for (name, values) in momentum {
            let tensor = self.tensor(values)?;
            self.momentum.insert(name.clone(), tensor);
        }
        Ok(())
    }

    fn forward(&mut self, images: &[f32]) -> Result<Tensor, TrainError> {
        let (logits, running) = self.logits(&self.images(images)?, true)?;
        self.running = running;
        let detached = logits.detach().to_device(&Device::Cpu)?;
        self.logits = Some(logits);
        Ok(detached)
    }

    fn backward(&mut self, logits_gradient: &Tensor) -> Result<(), TrainError> {
        let logits = self.logits.take().expect("backward needs a forward pass before it");
        let gradient = logits_gradient.detach().to_device(&self.device)?.to_dtype(self.dtype)?;
        let gradients = (logits * gradient)?.sum_all()?.backward()?;
        for (name, parameter) in &self.parameters {
            let gradient = match gradients.get(parameter.as_tensor()) {
                Some(gradient) => gradient.clone(),
                None => parameter.as_tensor().zeros_like()?,
            };
            self.gradients.insert(name.clone(), gradient);
        }
        Ok(())
    }

    fn gradients(&self) -> Result<Weights, TrainError> {
        self.read(self.gradients.iter())
    }

    fn step(&mut self, learning_rate: f64, optimizer: &Optimizer) -> Result<(), TrainError> {
        let (momentum, weight_decay) = match *optimizer {
            Optimizer::Sgd { momentum, weight_decay } => (momentum, weight_decay),
            // wired at the merge
            Optimizer::Dot { .. } => unimplemented!("steps of DOT"),
        };
        for (name, parameter) in &self.parameters {
            let weights = parameter.as_tensor().detach();
            let decayed = (&self.gradients[name] + (&weights * weight_decay)?)?;
            let velocity = ((&self.momentum[name] * momentum)? + decayed)?.detach();
            parameter.set(&(weights - (&velocity * learning_rate)?)?)?;
            self.momentum.insert(name.clone(), velocity);
        }
        Ok(())
    }

    fn evaluate(&mut self, images: &[f32]) -> Result<Tensor, TrainError> {
        let NetworkShape { channels, image_size: size, classes, .. } = self.shape;
        let mut logits = Vec::new();
        for images in images.chunks(EVALUATION_BATCH * channels * size * size) {
            let (batch, _) = self.logits(&self.images(images)?, false)?;
            logits.push(batch.detach().to_device(&Device::Cpu)?);
        }
        if logits.is_empty() {
            return Ok(Tensor::zeros((0, classes), self.dtype, &Device::Cpu)?);
        }
        Ok(Tensor::cat(&logits, 0)?)
    }
}
