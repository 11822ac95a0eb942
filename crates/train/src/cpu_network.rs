//! The hand-written engine behind the trait: `numerics = "cpu-f32"`.

use crate::TrainError;
use crate::engine::{DISTILLATION, Engine, NetworkShape, OutputGradient};
use crate::engine::{TensorSpec, Values, Weights, beside, mismatches, momentum_tensors};
use candle_core::{Device, Tensor};
use kernels::{GROUPS, InstructionSet, KernelError, Network, Shape};
use study::Optimizer;
use study::layout::Blocks;

/// A network in single precision on the CPU, the same bits with any number of threads.
pub struct CpuNetwork {
    network: Network,
    tensors: Vec<TensorSpec>,
    classes: usize,
}

impl CpuNetwork {
    /// One that trains on batches of up to `batch_max` images (1 to 65,536) with `threads` threads (1 to 1,024). All tensors are zero
    /// until they are set.
    ///
    /// # Errors
    /// Names what is out of range, or an instruction set that this processor lacks.
    pub fn new(
        shape: &NetworkShape,
        batch_max: usize,
        threads: usize,
        instruction_set: InstructionSet,
    ) -> Result<Self, TrainError> {
        Ok(Self::with(Network::new(kernels_shape(shape)?, batch_max, threads, instruction_set)?, shape))
    }

    /// One that is only evaluated: a frozen teacher.
    ///
    /// # Errors
    /// As [`CpuNetwork::new`].
    pub fn for_evaluation(
        shape: &NetworkShape,
        threads: usize,
        instruction_set: InstructionSet,
    ) -> Result<Self, TrainError> {
        Ok(Self::with(Network::for_evaluation(kernels_shape(shape)?, threads, instruction_set)?, shape))
    }

    fn with(network: Network, shape: &NetworkShape) -> Self {
        CpuNetwork { network, tensors: shape.tensors(), classes: shape.classes }
    }

    fn logits(&self, logits: Vec<f32>) -> Result<Tensor, TrainError> {
        let rows = logits.len() / self.classes;
        Ok(Tensor::from_vec(logits, (rows, self.classes), &Device::Cpu)?)
    }

    fn maps(&self, maps: [Vec<f32>; GROUPS]) -> Result<Vec<Tensor>, TrainError> {
        let pixels = self.network.shape().attention_pixels();
        let tensor = |(map, pixels): (Vec<f32>, usize)| {
            let rows = map.len() / pixels;
            Ok(Tensor::from_vec(map, (rows, pixels), &Device::Cpu)?)
        };
        maps.into_iter().zip(pixels).map(tensor).collect()
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

/// The network as the hand-written engine is told it.
///
/// # Errors
/// A network that it has no operators for: see [`study::Architecture::has_kernels`].
pub fn kernels_shape(shape: &NetworkShape) -> Result<Shape, KernelError> {
    let layout = shape.architecture.layout();
    let blocks = match layout.blocks {
        Blocks::PreActivation => Some(kernels::Blocks::PreActivation),
        Blocks::PostActivation => Some(kernels::Blocks::PostActivation),
        Blocks::Dense => Some(kernels::Blocks::Dense),
        Blocks::DenseBottleneck => Some(kernels::Blocks::DenseBottleneck),
        Blocks::Bottleneck => None,
    };
    let channels: Vec<usize> = layout.groups.iter().map(|group| group.channels as usize).collect();
    match (blocks, <[usize; GROUPS]>::try_from(channels)) {
        (Some(blocks), Ok(group_channels)) if shape.architecture.has_kernels() => Ok(Shape {
            blocks,
            blocks_in_group: layout.groups[0].blocks as usize,
            stem: layout.stem.channels as usize,
            group_channels,
            channels: shape.channels,
            image_size: shape.image_size,
            classes: shape.classes,
        }),
        _ => Err(KernelError::Field {
            field: "architecture",
            given: shape.architecture.to_string(),
            allowed: "a network for images of up to 64 pixels".into(),
        }),
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
        let distillation = self.trained(|name| self.network.second_momentum(name));
        Ok(beside(self.trained(|name| self.network.momentum(name)), distillation))
    }

    fn set_momentum(&mut self, momentum: &Weights) -> Result<(), TrainError> {
        fit(&momentum_tensors(&self.tensors, momentum), momentum)?;
        self.network.forget_second_momentum();
        for (name, values) in momentum {
            match name.strip_prefix(DISTILLATION) {
                Some(name) => self.network.set_second_momentum(name, &values.values)?,
                None => self.network.set_momentum(name, &values.values)?,
            }
        }
        Ok(())
    }

    fn forward(&mut self, images: &[f32]) -> Result<Tensor, TrainError> {
        let logits = self.network.forward(images).to_vec();
        self.logits(logits)
    }

    fn attention(&mut self) -> Result<Vec<Tensor>, TrainError> {
        let maps = self.network.attention();
        self.maps(maps)
    }

    fn backward(&mut self, gradient: &OutputGradient) -> Result<(), TrainError> {
        let numbers = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let logits = numbers(&gradient.logits)?;
        let attention = gradient.attention.iter().map(numbers).collect::<Result<Vec<_>, _>>()?;
        match &attention[..] {
            [] => self.network.backward(&logits),
            maps => {
                assert_eq!(maps.len(), GROUPS, "a gradient on each group's attention map, or on none");
                self.network.backward_with_attention(&logits, std::array::from_fn(|group| &maps[group][..]));
            }
        }
        Ok(())
    }

    fn gradients(&self) -> Result<Weights, TrainError> {
        Ok(self.trained(|name| self.network.gradient(name)))
    }

    fn set_gradient_aside(&mut self) -> Result<(), TrainError> {
        self.network.set_gradient_aside();
        Ok(())
    }

    fn step(&mut self, learning_rate: f64, optimizer: &Optimizer) -> Result<(), TrainError> {
        match *optimizer {
            Optimizer::Sgd { momentum, weight_decay } => {
                self.network.step(learning_rate as f32, momentum as f32, weight_decay as f32);
            }
            Optimizer::Dot { momentum, weight_decay, momentum_difference } => {
                let momenta = [momentum - momentum_difference, momentum + momentum_difference];
                self.network.step_along_both(learning_rate as f32, momenta.map(|it| it as f32), weight_decay as f32);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, images: &[f32]) -> Result<Tensor, TrainError> {
        let logits = self.network.evaluate(images);
        self.logits(logits)
    }

    fn evaluate_with_attention(&mut self, images: &[f32]) -> Result<(Tensor, Vec<Tensor>), TrainError> {
        let (logits, maps) = self.network.evaluate_with_attention(images);
        Ok((self.logits(logits)?, self.maps(maps)?))
    }
}
