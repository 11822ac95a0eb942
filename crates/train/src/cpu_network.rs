//! The hand-written engine behind the trait: `numerics = "cpu-f32"`.

use crate::TrainError;
use crate::engine::{Engine, NetworkShape, TensorSpec, Values, Weights, mismatches};
use candle_core::{Device, Tensor};
use kernels::{InstructionSet, Shape, WideResNet};
use study::{Architecture, Optimizer};

/// A Wide ResNet in single precision on the CPU, the same bits with any number of threads.
pub struct CpuNetwork {
    network: WideResNet,
    tensors: Vec<TensorSpec>,
    classes: usize,
}

impl CpuNetwork {
    pub fn new(
        shape: &NetworkShape,
        batch_max: usize,
        threads: usize,
        instruction_set: InstructionSet,
    ) -> Result<Self, TrainError> {
        Ok(Self::with(WideResNet::new(sizes(shape), batch_max, threads, instruction_set)?, shape))
    }

    pub fn for_evaluation(
        shape: &NetworkShape,
        threads: usize,
        instruction_set: InstructionSet,
    ) -> Result<Self, TrainError> {
        Ok(Self::with(WideResNet::for_evaluation(sizes(shape), threads, instruction_set)?, shape))
    }

    fn with(network: WideResNet, shape: &NetworkShape) -> Self {
        CpuNetwork { network, tensors: shape.tensors(), classes: shape.classes }
    }

    fn trained(&self, read: impl Fn(&str) -> Option<Vec<f32>>) -> Weights {
        self.named(self.tensors.iter().filter(|tensor| tensor.trained), read)
    }

    fn named<'a>(
        &self,
        tensors: impl Iterator<Item = &'a TensorSpec>,
        read: impl Fn(&str) -> Option<Vec<f32>>,
    ) -> Weights {
        tensors
            .filter_map(|tensor| {
                let values = read(&tensor.name)?;
                Some((tensor.name.clone(), Values { shape: tensor.shape.clone(), values }))
            })
            .collect()
    }
}

fn sizes(shape: &NetworkShape) -> Shape {
    let Architecture::WideResNet { depth, width } = shape.architecture;
    Shape {
        depth: depth as usize,
        width: width as usize,
        channels: shape.channels,
        image_size: shape.image_size,
        classes: shape.classes,
    }
}

fn fit(expected: &[TensorSpec], given: &Weights) -> Result<(), TrainError> {
    mismatches(expected, given).map_or(Ok(()), |problem| Err(TrainError::Weights { problem }))
}

impl Engine for CpuNetwork {
    fn weights(&self) -> Result<Weights, TrainError> {
        Ok(self.named(self.tensors.iter(), |name| self.network.get(name)))
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<(), TrainError> {
        fit(&self.tensors, weights)?;
        for (name, values) in weights {
            self.network.set(name, &values.values)?;
        }
        Ok(())
    }

    fn momentum(&self) -> Result<Weights, TrainError> {
        Ok(self.trained(|name| self.network.momentum(name)))
    }

    fn set_momentum(&mut self, momentum: &Weights) -> Result<(), TrainError> {
        let trained: Vec<TensorSpec> = self.tensors.iter().filter(|tensor| tensor.trained).cloned().collect();
        fit(&trained, momentum)?;
        for (name, values) in momentum {
            self.network.set_momentum(name, &values.values)?;
        }
        Ok(())
    }

    fn forward(&mut self, images: &[f32]) -> Result<Tensor, TrainError> {
        let logits = self.network.forward(images);
        Ok(Tensor::from_slice(logits, (logits.len() / self.classes, self.classes), &Device::Cpu)?)
    }

    fn backward(&mut self, logits_gradient: &Tensor) -> Result<(), TrainError> {
        self.network.backward(&logits_gradient.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }

    fn gradients(&self) -> Result<Weights, TrainError> {
        Ok(self.trained(|name| self.network.gradient(name)))
    }

    fn step(&mut self, learning_rate: f64, optimizer: &Optimizer) -> Result<(), TrainError> {
        let (momentum, weight_decay) = match *optimizer {
            Optimizer::Sgd { momentum, weight_decay } => (momentum, weight_decay),
            // wired at the merge
            Optimizer::Dot { .. } => unimplemented!("steps of DOT"),
        };
        self.network.step(learning_rate as f32, momentum as f32, weight_decay as f32);
        Ok(())
    }

    fn evaluate(&mut self, images: &[f32]) -> Result<Tensor, TrainError> {
        let logits = self.network.evaluate(images);
        let rows = logits.len() / self.classes;
        Ok(Tensor::from_vec(logits, (rows, self.classes), &Device::Cpu)?)
    }
}
