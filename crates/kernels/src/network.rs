//! The network: its tensors by name, its buffers, and the calls a trainer makes.

use crate::buffer::{BLOCK, Buffer};
use crate::convolution::Convolution;
use crate::error::KernelError;
use crate::head::Linear;
use crate::instances::Kernels;
use crate::layout::{weights_from_pytorch, weights_to_pytorch};
use crate::norm::{Norm, Sums};
use crate::threads::{FlushToZero, Threads};
use crate::{InstructionSet, Shape};

/// A batch is cut into at most so many parts, by its size alone: each sums gradients in accumulators of its own. So many
/// threads find work in a training step, and no more.
pub const PARTS_MAX: usize = 8;

/// Whether a tensor is trained, or follows along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorKind {
    /// Has a gradient and momentum.
    Parameter,
    /// A running statistic.
    Buffer,
}

/// A tensor of the network, by the model zoo's name, with its shape in PyTorch's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: TensorKind,
}

/// A convolution and its weights, in the kernels' layout.
pub(crate) struct Layer {
    pub(crate) geometry: Convolution,
    pub(crate) weights: Buffer,
    /// As the gradient on the input reads them.
    pub(crate) transposed: Buffer,
    pub(crate) gradient: Buffer,
    pub(crate) velocity: Buffer,
}

impl Layer {
    fn new(geometry: Convolution, trains: bool) -> Self {
        let len = geometry.weights_len();
        let state = if trains { len } else { 0 };
        let transposed = if geometry.input_gradient.is_empty() { 0 } else { state };
        Layer {
            geometry,
            weights: Buffer::zeros(len),
            transposed: Buffer::zeros(transposed),
            gradient: Buffer::zeros(state),
            velocity: Buffer::zeros(state),
        }
    }
}

/// The zoo's pre-activation basic block. Where the shape changes, the shortcut too reads what follows the first ReLU.
pub(crate) struct Block {
    pub(crate) norm1: Norm,
    pub(crate) convolution1: Layer,
    pub(crate) norm2: Norm,
    pub(crate) convolution2: Layer,
    pub(crate) shortcut: Option<Layer>,
}

/// What one thread works in: an image at a time.
pub(crate) struct Scratch {
    pub(crate) padded: [Buffer; 3],
    /// Plain activations, for evaluation.
    pub(crate) plain: [Buffer; 3],
}

/// What a training step keeps between forward and backward, for up to `batch_max` images.
pub(crate) struct Training {
    pub(crate) batch_max: usize,
    /// Images of the last forward pass; 0 before the first.
    pub(crate) batch: usize,
    pub(crate) images: Buffer,
    /// What each block reads, and what the last one gives.
    pub(crate) inputs: Vec<Buffer>,
    /// Between the two convolutions of each block.
    pub(crate) middles: Vec<Buffer>,
    /// Gradient after a block's first ReLU (or the last one), and after its second.
    pub(crate) gradient: Buffer,
    pub(crate) middle_gradient: Buffer,
    /// Gradient on a block's output and on the next one's, in turn: what the identity path carries.
    pub(crate) carried: [Buffer; 2],
    pub(crate) part_gradients: Vec<Buffer>,
    pub(crate) sums: Vec<Sums>,
    pub(crate) pooled: Vec<f32>,
    pub(crate) logits: Vec<f32>,
}

/// A Wide ResNet on the CPU, to be trained or only evaluated. All tensors are zero until they are set.
///
/// One training step is `forward`, `backward`, `step`. Batch norm is PyTorch's: ε = 1e-5, running statistics
/// with momentum 0.1 and the unbiased variance.
pub struct WideResNet {
    pub(crate) shape: Shape,
    pub(crate) instruction_set: InstructionSet,
    pub(crate) kernels: Kernels,
    pub(crate) threads: Threads,
    pub(crate) first: Layer,
    pub(crate) blocks: Vec<Block>,
    pub(crate) last: Norm,
    pub(crate) linear: Linear,
    pub(crate) scratch: Vec<Scratch>,
    pub(crate) training: Option<Box<Training>>,
}

impl WideResNet {
    /// A network that trains on batches of up to `batch_max` images (1 to 65,536) with `threads` threads (1 to 1,024).
    ///
    /// # Errors
    /// Names the first field out of range, or an instruction set that this processor lacks.
    pub fn new(
        shape: Shape,
        batch_max: usize,
        threads: usize,
        instruction_set: InstructionSet,
    ) -> Result<Self, KernelError> {
        if !(1..=65_536).contains(&batch_max) {
            return Err(KernelError::Field {
                field: "batch_max",
                given: batch_max.to_string(),
                allowed: "1 to 65536".to_string(),
            });
        }
        Self::build(shape, Some(batch_max), threads, instruction_set)
    }

    /// A network for evaluation only: a frozen teacher. It has no gradients, momentum or stored activations.
    ///
    /// # Errors
    /// As [`WideResNet::new`].
    pub fn for_evaluation(shape: Shape, threads: usize, instruction_set: InstructionSet) -> Result<Self, KernelError> {
        Self::build(shape, None, threads, instruction_set)
    }

    fn build(
        shape: Shape,
        batch_max: Option<usize>,
        threads: usize,
        instruction_set: InstructionSet,
    ) -> Result<Self, KernelError> {
        shape.check()?;
        if !(1..=1024).contains(&threads) {
            return Err(KernelError::Field {
                field: "threads",
                given: threads.to_string(),
                allowed: "1 to 1024".to_string(),
            });
        }
        if !instruction_set.available() {
            return Err(KernelError::Field {
                field: "instruction_set",
                given: instruction_set.to_string(),
                allowed: format!("{} or a slower one on this processor", InstructionSet::best()),
            });
        }
        let trains = batch_max.is_some();
        let layer = |inputs, outputs, size, stride, kernel| {
            Layer::new(Convolution::new(inputs, outputs, size, stride, kernel), trains)
        };
        let first = layer(shape.channels, BLOCK, shape.image_size, 1, 3);
        let mut blocks = Vec::new();
        let (mut inputs, mut size) = (BLOCK, shape.image_size);
        for group in 0..3 {
            let outputs = shape.group_channels(group);
            for index in 0..shape.blocks_in_group() {
                let stride = if group > 0 && index == 0 { 2 } else { 1 };
                blocks.push(Block {
                    norm1: Norm::new(inputs, trains),
                    convolution1: layer(inputs, outputs, size, stride, 3),
                    norm2: Norm::new(outputs, trains),
                    convolution2: layer(outputs, outputs, size / stride, 1, 3),
                    shortcut: (inputs != outputs).then(|| layer(inputs, outputs, size, stride, 1)),
                });
                (inputs, size) = (outputs, size / stride);
            }
        }
        let last = Norm::new(inputs, trains);
        let linear = Linear::new(inputs, shape.classes, trains);
        let plain_max = blocks
            .iter()
            .map(|block| block.convolution1.geometry.output_len())
            .fold(first.geometry.output_len(), usize::max);
        let padded_max = blocks
            .iter()
            .flat_map(|block| [&block.convolution1.geometry, &block.convolution2.geometry])
            .map(|geometry| {
                let channels = geometry.input_channels.max(geometry.output_channels);
                channels * (geometry.input_size + 2) * (geometry.input_size + 2)
            })
            .fold(BLOCK * (shape.image_size + 2) * (shape.image_size + 2), usize::max);
        let threads = Threads::new(threads)?;
        let scratch = (0..threads.count())
            .map(|_| Scratch {
                padded: std::array::from_fn(|_| Buffer::zeros(padded_max)),
                plain: std::array::from_fn(|_| Buffer::zeros(plain_max)),
            })
            .collect();
        let training =
            batch_max.map(|batch_max| Box::new(Training::new(&shape, batch_max, &first, &blocks, plain_max)));
        Ok(WideResNet {
            shape,
            instruction_set,
            kernels: Kernels::of(instruction_set),
            threads,
            first,
            blocks,
            last,
            linear,
            scratch,
            training,
        })
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn instruction_set(&self) -> InstructionSet {
        self.instruction_set
    }

    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Every tensor in the model zoo's order and by its names (`block1.layer.0.bn1.weight`, ...).
    /// Batch counters (`num_batches_tracked`) are the caller's.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut tensors = Vec::new();
        let mut parameter = |name: String, shape: Vec<usize>, kind| tensors.push(TensorSpec { name, shape, kind });
        self.each(&mut |name, part| match part {
            Part::Convolution(layer) => {
                let geometry = &layer.geometry;
                let shape = vec![geometry.output_channels, geometry.input_channels, geometry.kernel, geometry.kernel];
                parameter(format!("{name}.weight"), shape, TensorKind::Parameter);
            }
            Part::Norm(norm) => {
                let shape = vec![norm.channels];
                parameter(format!("{name}.weight"), shape.clone(), TensorKind::Parameter);
                parameter(format!("{name}.bias"), shape.clone(), TensorKind::Parameter);
                parameter(format!("{name}.running_mean"), shape.clone(), TensorKind::Buffer);
                parameter(format!("{name}.running_var"), shape, TensorKind::Buffer);
            }
            Part::Linear(linear) => {
                parameter(format!("{name}.weight"), vec![linear.classes, linear.features], TensorKind::Parameter);
                parameter(format!("{name}.bias"), vec![linear.classes], TensorKind::Parameter);
            }
        });
        tensors
    }

    /// A tensor's values in PyTorch's layout; `None` where there is no tensor of this name.
    pub fn get(&self, name: &str) -> Option<Vec<f32>> {
        self.read(name, State::Values)
    }

    /// A parameter's gradient after [`WideResNet::backward`].
    pub fn gradient(&self, name: &str) -> Option<Vec<f32>> {
        self.training.as_ref()?;
        self.read(name, State::Gradient)
    }

    /// A parameter's momentum: PyTorch's `momentum_buffer`.
    pub fn momentum(&self, name: &str) -> Option<Vec<f32>> {
        self.training.as_ref()?;
        self.read(name, State::Velocity)
    }

    /// Sets a tensor from values in PyTorch's layout.
    ///
    /// # Errors
    /// An unknown name, or a wrong number of values.
    pub fn set(&mut self, name: &str, values: &[f32]) -> Result<(), KernelError> {
        self.write(name, State::Values, values)
    }

    /// Sets a parameter's momentum.
    ///
    /// # Errors
    /// An unknown name, a wrong number of values, or a tensor that has no momentum here.
    pub fn set_momentum(&mut self, name: &str, values: &[f32]) -> Result<(), KernelError> {
        if self.training.is_none() {
            return Err(KernelError::NoMomentum { name: name.to_string() });
        }
        self.write(name, State::Velocity, values)
    }

    /// One step of SGD with the gradients of the last `backward`: `v ← momentum·v + (gradient + weight_decay·w)`,
    /// `w ← w − learning_rate·v`, for every parameter.
    ///
    /// # Panics
    /// On a network made for evaluation.
    pub fn step(&mut self, learning_rate: f32, momentum: f32, weight_decay: f32) {
        assert!(self.training.is_some(), "a network made for evaluation has nothing to step");
        let _flushed = FlushToZero::new();
        let descend = self.kernels.descend;
        let step = |values: &mut Buffer, velocity: &mut Buffer, gradient: &Buffer| {
            // SAFETY: the instruction set is available, and the three buffers are equally long.
            unsafe {
                descend(
                    values.as_mut_ptr(),
                    velocity.as_mut_ptr(),
                    gradient.as_ptr(),
                    values.blocks(),
                    learning_rate,
                    momentum,
                    weight_decay,
                );
            }
        };
        let layer = |layer: &mut Layer| step(&mut layer.weights, &mut layer.velocity, &layer.gradient);
        let norm = |norm: &mut Norm| step(&mut norm.values, &mut norm.velocity, &norm.gradient);
        layer(&mut self.first);
        for block in &mut self.blocks {
            norm(&mut block.norm1);
            layer(&mut block.convolution1);
            norm(&mut block.norm2);
            layer(&mut block.convolution2);
            if let Some(shortcut) = &mut block.shortcut {
                layer(shortcut);
            }
        }
        norm(&mut self.last);
        let linear = &mut self.linear;
        step(&mut linear.weights, &mut linear.weights_velocity, &linear.weights_gradient);
        step(&mut linear.bias, &mut linear.bias_velocity, &linear.bias_gradient);
    }

    /// Visits the network's parts in the order of the zoo's definition.
    fn each<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
        visit("conv1", Part::Convolution(&self.first));
        let in_group = self.shape.blocks_in_group();
        for (index, block) in self.blocks.iter().enumerate() {
            let name = format!("block{}.layer.{}", index / in_group + 1, index % in_group);
            visit(&format!("{name}.bn1"), Part::Norm(&block.norm1));
            visit(&format!("{name}.conv1"), Part::Convolution(&block.convolution1));
            visit(&format!("{name}.bn2"), Part::Norm(&block.norm2));
            visit(&format!("{name}.conv2"), Part::Convolution(&block.convolution2));
            if let Some(shortcut) = &block.shortcut {
                visit(&format!("{name}.convShortcut"), Part::Convolution(shortcut));
            }
        }
        visit("bn1", Part::Norm(&self.last));
        visit("fc", Part::Linear(&self.linear));
    }

    fn read(&self, name: &str, state: State) -> Option<Vec<f32>> {
        let (owner, tensor) = name.rsplit_once('.')?;
        let mut found = None;
        self.each(&mut |name, part| {
            if name == owner {
                found = part.read(tensor, state);
            }
        });
        found
    }

    fn write(&mut self, name: &str, state: State, values: &[f32]) -> Result<(), KernelError> {
        let unknown = || KernelError::UnknownTensor { name: name.to_string() };
        let spec = self.tensors().into_iter().find(|spec| spec.name == name).ok_or_else(unknown)?;
        let expected = spec.shape.iter().product();
        if values.len() != expected {
            return Err(KernelError::Length { name: name.to_string(), given: values.len(), expected });
        }
        if state == State::Velocity && spec.kind == TensorKind::Buffer {
            return Err(KernelError::NoMomentum { name: name.to_string() });
        }
        let (owner, tensor) = name.rsplit_once('.').ok_or_else(unknown)?;
        match self.part_mut(owner).ok_or_else(unknown)? {
            PartMut::Convolution(layer) => {
                let to = if state == State::Velocity { &mut layer.velocity } else { &mut layer.weights };
                weights_from_pytorch(&layer.geometry, values, to);
            }
            PartMut::Norm(norm) => match tensor {
                "running_mean" => norm.running_mean.copy_from_slice(values),
                "running_var" => norm.running_variance.copy_from_slice(values),
                _ => {
                    let start = if tensor == "weight" { 0 } else { norm.channels };
                    let to = if state == State::Velocity { &mut norm.velocity } else { &mut norm.values };
                    to[start..start + values.len()].copy_from_slice(values);
                }
            },
            PartMut::Linear(linear) => {
                let to = match (tensor, state) {
                    ("weight", State::Velocity) => &mut linear.weights_velocity,
                    ("weight", _) => &mut linear.weights,
                    (_, State::Velocity) => &mut linear.bias_velocity,
                    _ => &mut linear.bias,
                };
                to.copy_from_slice(values);
            }
        }
        Ok(())
    }

    fn part_mut(&mut self, owner: &str) -> Option<PartMut<'_>> {
        match owner {
            "conv1" => return Some(PartMut::Convolution(&mut self.first)),
            "bn1" => return Some(PartMut::Norm(&mut self.last)),
            "fc" => return Some(PartMut::Linear(&mut self.linear)),
            _ => {}
        }
        let (group, rest) = owner.strip_prefix("block")?.split_once(".layer.")?;
        let (index, part) = rest.split_once('.')?;
        let (group, index): (usize, usize) = (group.parse().ok()?, index.parse().ok()?);
        let block = self.blocks.get_mut((group.checked_sub(1)?) * self.shape.blocks_in_group() + index)?;
        Some(match part {
            "bn1" => PartMut::Norm(&mut block.norm1),
            "bn2" => PartMut::Norm(&mut block.norm2),
            "conv1" => PartMut::Convolution(&mut block.convolution1),
            "conv2" => PartMut::Convolution(&mut block.convolution2),
            "convShortcut" => PartMut::Convolution(block.shortcut.as_mut()?),
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Values,
    Gradient,
    Velocity,
}

enum Part<'a> {
    Convolution(&'a Layer),
    Norm(&'a Norm),
    Linear(&'a Linear),
}

enum PartMut<'a> {
    Convolution(&'a mut Layer),
    Norm(&'a mut Norm),
    Linear(&'a mut Linear),
}

impl Part<'_> {
    fn read(&self, tensor: &str, state: State) -> Option<Vec<f32>> {
        match self {
            Part::Convolution(layer) if tensor == "weight" => Some(weights_to_pytorch(
                &layer.geometry,
                match state {
                    State::Values => &layer.weights,
                    State::Gradient => &layer.gradient,
                    State::Velocity => &layer.velocity,
                },
            )),
            Part::Convolution(_) => None,
            Part::Norm(norm) => {
                let from = match state {
                    State::Values => &norm.values,
                    State::Gradient => &norm.gradient,
                    State::Velocity => &norm.velocity,
                };
                match (tensor, state) {
                    ("weight", _) => Some(from[..norm.channels].to_vec()),
                    ("bias", _) => Some(from[norm.channels..].to_vec()),
                    ("running_mean", State::Values) => Some(norm.running_mean.clone()),
                    ("running_var", State::Values) => Some(norm.running_variance.clone()),
                    _ => None,
                }
            }
            Part::Linear(linear) => match (tensor, state) {
                ("weight", State::Values) => Some(linear.weights.to_vec()),
                ("weight", State::Gradient) => Some(linear.weights_gradient.to_vec()),
                ("weight", State::Velocity) => Some(linear.weights_velocity.to_vec()),
                ("bias", State::Values) => Some(linear.bias.to_vec()),
                ("bias", State::Gradient) => Some(linear.bias_gradient.to_vec()),
                ("bias", State::Velocity) => Some(linear.bias_velocity.to_vec()),
                _ => None,
            },
        }
    }
}

impl Training {
    fn new(shape: &Shape, batch_max: usize, first: &Layer, blocks: &[Block], plain_max: usize) -> Self {
        let batch = |len: usize| Buffer::zeros(batch_max * len);
        let outputs = |layer: &Layer| layer.geometry.output_len();
        let inputs = std::iter::once(first).chain(blocks.iter().map(|block| &block.convolution2));
        let gradients_max = blocks
            .iter()
            .flat_map(|block| {
                let shortcut = block.shortcut.as_ref().map_or(0, |layer| layer.weights.len());
                [block.convolution1.weights.len() + shortcut, block.convolution2.weights.len()]
            })
            .fold(first.weights.len(), usize::max);
        Training {
            batch_max,
            batch: 0,
            images: batch(shape.image_len()),
            inputs: inputs.map(|layer| batch(outputs(layer))).collect(),
            middles: blocks.iter().map(|block| batch(outputs(&block.convolution1))).collect(),
            gradient: batch(plain_max),
            middle_gradient: batch(plain_max),
            carried: [batch(plain_max), batch(plain_max)],
            part_gradients: (0..PARTS_MAX.min(batch_max)).map(|_| Buffer::zeros(gradients_max)).collect(),
            sums: vec![Sums::zeros(shape.features().max(BLOCK)); PARTS_MAX.min(batch_max)],
            pooled: vec![0.0; batch_max * shape.features()],
            logits: vec![0.0; batch_max * shape.classes],
        }
    }
}

/// How many parts a batch is cut into, and how many images each but the last has.
pub(crate) fn parts(batch: usize) -> (usize, usize) {
    let images = batch.div_ceil(PARTS_MAX);
    (batch.div_ceil(images), images)
}
