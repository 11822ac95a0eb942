//! The network and its buffers.

use crate::attention::GROUPS;
use crate::buffer::Buffer;
use crate::channels::Channels;
use crate::convolution::Convolution;
use crate::dense;
use crate::descent::Aside;
use crate::error::KernelError;
use crate::head::Linear;
use crate::instances::Kernels;
use crate::layer::{Layer, Space, Turned};
use crate::norm::{Norm, Sums};
use crate::parts::PartMut;
use crate::threads::{SharedPointer, Threads};
use crate::{Blocks, InstructionSet, Shape};

/// A batch is cut into at most so many parts, by its size alone: each sums gradients in accumulators of its own. So many
/// threads find work in a training step, and no more.
pub const PARTS_MAX: usize = 8;

/// Two convolutions, each with the batch norm before or after it (see [`Blocks`]), and where the number of channels changes a
/// shortcut.
pub(crate) struct Block {
    pub(crate) norm1: Norm,
    pub(crate) convolution1: Layer,
    pub(crate) norm2: Norm,
    pub(crate) convolution2: Layer,
    pub(crate) shortcut: Option<Shortcut>,
}

/// A 1×1 convolution, and the batch norm after it where batch norms follow convolutions.
pub(crate) struct Shortcut {
    pub(crate) convolution: Layer,
    pub(crate) norm: Option<Norm>,
}

impl Block {
    /// That of a block from `inputs` to `outputs` channels, whose first convolution reads `size × size` pixels.
    fn new(blocks: Blocks, [inputs, outputs]: [usize; 2], size: usize, stride: usize, trains: bool) -> Self {
        let layer =
            |inputs, size, stride, kernel| Layer::new(Convolution::new(inputs, outputs, size, stride, kernel), trains);
        let after = blocks == Blocks::PostActivation;
        let (first_norm, shortcut_has_one) = if after { (outputs, true) } else { (inputs, false) };
        Block {
            norm1: Norm::new(first_norm, trains),
            convolution1: layer(inputs, size, stride, 3),
            norm2: Norm::new(outputs, trains),
            convolution2: layer(outputs, size / stride, 1, 3),
            shortcut: (inputs != outputs).then(|| Shortcut {
                convolution: layer(inputs, size, stride, 1),
                norm: shortcut_has_one.then(|| Norm::new(outputs, trains)),
            }),
        }
    }
}

/// What lies between the first convolution and the pooling.
pub(crate) enum Body {
    PreActivation(Vec<Block>),
    PostActivation(Vec<Block>),
    Dense(Vec<dense::Group>),
}

impl Body {
    fn new(shape: &Shape, trains: bool) -> Self {
        let blocks = || {
            let (mut inputs, mut size) = (shape.stem, shape.image_size);
            let mut blocks = Vec::new();
            for (group, outputs) in shape.group_channels.into_iter().enumerate() {
                for index in 0..shape.blocks_in_group {
                    let stride = if group > 0 && index == 0 { 2 } else { 1 };
                    blocks.push(Block::new(shape.blocks, [inputs, outputs], size, stride, trains));
                    (inputs, size) = (outputs, size / stride);
                }
            }
            blocks
        };
        match shape.blocks {
            Blocks::PreActivation => Body::PreActivation(blocks()),
            Blocks::PostActivation => Body::PostActivation(blocks()),
            Blocks::Dense | Blocks::DenseBottleneck => Body::Dense(dense::groups(shape, trains)),
        }
    }
}

/// Images that evaluation takes through the network at a time: enough to repay reading the weights.
pub(crate) const EVALUATED_TOGETHER: usize = 8;

/// What one thread works in.
pub(crate) struct ThreadSpace {
    pub(crate) convolutions: Space,
    /// Plain activations, for evaluation.
    pub(crate) plain: [Buffer; 3],
}

/// What a training step keeps between forward and backward, for up to `batch_max` images.
pub(crate) struct Training {
    pub(crate) batch_max: usize,
    /// Images of the last forward pass; 0 before the first.
    pub(crate) batch: usize,
    pub(crate) aside: Aside,
    pub(crate) images: Buffer,
    /// What each block reads, and what the last one gives; of a dense network what each group gives, appended to what it read.
    pub(crate) inputs: Vec<Buffer>,
    /// Between the two convolutions of each block that has two.
    pub(crate) middles: Vec<Buffer>,
    /// Where a ReLU follows a sum: what the last batch norm before each of [`Training::inputs`] read, and what that of each block's
    /// shortcut read.
    pub(crate) branches: Vec<Buffer>,
    pub(crate) shortcuts: Vec<Buffer>,
    /// Gradient after a ReLU on its way back: in place, but for where an activation's size changes. Of a dense network on what a
    /// group gives.
    pub(crate) gradients: [Buffer; 2],
    /// Gradient on a block's sum: what the identity path carries, in place. Of a dense network on means between groups, and on what
    /// a bottleneck gives.
    pub(crate) carried: Buffer,
    pub(crate) turned: Turned,
    /// The shortcut's, which are read beside those of a block's first convolution.
    pub(crate) turned_shortcut: Turned,
    pub(crate) part_gradients: Vec<Buffer>,
    pub(crate) sums: Vec<Sums>,
    /// Of batch norms whose sums are taken while those of others are kept: of shortcuts, and behind bottlenecks.
    pub(crate) sums_beside: Vec<Sums>,
    /// Of a dense network.
    pub(crate) linear_part: dense::LinearPart,
    pub(crate) pooled: Vec<f32>,
    pub(crate) logits: Vec<f32>,
}

/// A network on the CPU, to be trained or only evaluated. All tensors are zero until they are set.
///
/// One training step is `forward`, `backward`, `step`. `backward` may be called again, for another gradient: it leaves what
/// `forward` stored as it is. Batch norm is PyTorch's: ε = 1e-5, running statistics
/// with momentum 0.1 and the unbiased variance.
pub struct Network {
    pub(crate) shape: Shape,
    pub(crate) instruction_set: InstructionSet,
    pub(crate) kernels: Kernels,
    pub(crate) threads: Threads,
    pub(crate) first: Layer,
    pub(crate) body: Body,
    /// The batch norm that is in no block: before the pooling, or after the first convolution.
    pub(crate) norm: Norm,
    pub(crate) linear: Linear,
    /// Whether every layer's transformed weights are those of its weights.
    pub(crate) transformed: bool,
    pub(crate) spaces: Vec<ThreadSpace>,
    pub(crate) training: Option<Box<Training>>,
}

impl Network {
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
    /// As [`Network::new`].
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
        instruction_set.check()?;
        let trains = batch_max.is_some();
        let body = Body::new(&shape, trains);
        let of_first = [shape.channels, shape.stem].map(Channels::side_by_side);
        let convolution = Convolution::new(shape.channels, of_first[1].padded(), shape.image_size, 1, 3);
        let first_stride = match &body {
            Body::PreActivation(_) | Body::PostActivation(_) => convolution.output_stride,
            Body::Dense(groups) => groups[0].stride(),
        };
        let convolution = convolution.within(shape.image_len(), first_stride);
        let first = Layer::of_channels(convolution, of_first, trains);
        let features = match &body {
            Body::PreActivation(_) | Body::PostActivation(_) => {
                Channels::side_by_side(shape.group_channels[GROUPS - 1])
            }
            Body::Dense(groups) => groups[GROUPS - 1].channels,
        };
        let norm = match shape.blocks {
            Blocks::PreActivation | Blocks::Dense | Blocks::DenseBottleneck => Norm::of_channels(features, trains),
            Blocks::PostActivation => Norm::new(shape.stem, trains),
        };
        let linear = Linear::new(features, shape.classes, trains);
        let threads = Threads::new(threads)?;
        let mut network = Network {
            shape,
            instruction_set,
            kernels: Kernels::of(instruction_set),
            threads,
            first,
            body,
            norm,
            linear,
            transformed: false,
            spaces: Vec::new(),
            training: None,
        };
        let layers: Vec<&Layer> = network.layers().collect();
        let plain_max = layers.iter().map(|layer| layer.geometry.output_stride).max().unwrap_or(0);
        let space = |_| ThreadSpace {
            convolutions: Space::new(layers.iter().copied(), trains),
            plain: std::array::from_fn(|_| Buffer::zeros(EVALUATED_TOGETHER * plain_max)),
        };
        let spaces = (0..network.threads.count()).map(space).collect();
        let training = batch_max.map(|batch_max| Box::new(Training::new(&network, batch_max, plain_max)));
        (network.spaces, network.training) = (spaces, training);
        Ok(network)
    }

    /// What it was made for.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What its kernels were compiled for.
    pub fn instruction_set(&self) -> InstructionSet {
        self.instruction_set
    }

    /// Threads that work on a pass, the caller's own with them.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Brings the transformed weights up to date.
    pub(crate) fn transform(&mut self) {
        if std::mem::replace(&mut self.transformed, true) {
            return;
        }
        let kernels = self.kernels;
        let layers: Vec<SharedPointer<Layer>> = self
            .parts_mut()
            .into_iter()
            .filter_map(|part| match part {
                PartMut::Convolution(layer) if layer.geometry.winograd.is_some() => Some(layer),
                _ => None,
            })
            .map(|layer| SharedPointer::new(std::slice::from_mut(layer)))
            .collect();
        // SAFETY: each part has a layer of its own.
        self.threads.run(layers.len(), &|layer, _| unsafe { (*layers[layer].at(0)).transform(&kernels) });
    }
}

impl Training {
    /// `plain_max`: floats of the largest activation of one image.
    fn new(network: &Network, batch_max: usize, plain_max: usize) -> Self {
        let Network { shape, first, body, linear, .. } = network;
        let batch = |len: usize| Buffer::zeros(batch_max * len);
        let outputs = |layer: &Layer| batch(layer.geometry.output_stride);
        let parts = PARTS_MAX.min(batch_max);
        let sums = |channels: usize| vec![Sums::zeros(channels); parts];
        let channels_max = shape.group_channels.into_iter().fold(shape.stem, usize::max);
        let part_gradients = |weights_max| (0..parts).map(|_| Buffer::zeros(weights_max)).collect();
        let training = Training {
            batch_max,
            batch: 0,
            aside: Aside::Nothing,
            images: batch(shape.image_len()),
            inputs: Vec::new(),
            middles: Vec::new(),
            branches: Vec::new(),
            shortcuts: Vec::new(),
            gradients: [batch(plain_max), batch(plain_max)],
            carried: batch(plain_max),
            turned: Turned::new(std::iter::empty()),
            turned_shortcut: Turned::new(std::iter::empty()),
            part_gradients: Vec::new(),
            sums: Vec::new(),
            sums_beside: Vec::new(),
            linear_part: dense::LinearPart::new(0),
            pooled: vec![0.0; batch_max * linear.features],
            logits: vec![0.0; batch_max * shape.classes],
        };
        match body {
            Body::PreActivation(blocks) | Body::PostActivation(blocks) => {
                let inputs =
                    || std::iter::once(first).chain(blocks.iter().map(|block| &block.convolution2)).map(outputs);
                let shortcuts = || blocks.iter().filter_map(|block| block.shortcut.as_ref()).map(|it| &it.convolution);
                let weights_max = blocks
                    .iter()
                    .flat_map(|block| {
                        let shortcut = block.shortcut.as_ref().map_or(0, |shortcut| shortcut.convolution.weights.len());
                        [block.convolution1.weights.len() + shortcut, block.convolution2.weights.len()]
                    })
                    .fold(first.weights.len(), usize::max);
                let training = Training {
                    inputs: inputs().collect(),
                    middles: blocks.iter().map(|block| outputs(&block.convolution1)).collect(),
                    turned: Turned::new(blocks.iter().flat_map(|block| [&block.convolution1, &block.convolution2])),
                    turned_shortcut: Turned::new(shortcuts()),
                    part_gradients: part_gradients(weights_max),
                    sums: sums(channels_max),
                    ..training
                };
                if let Body::PreActivation(_) = body {
                    return training;
                }
                let shortcut = |block: &Block| block.shortcut.as_ref().map_or(batch(0), |it| outputs(&it.convolution));
                Training {
                    branches: inputs().collect(),
                    shortcuts: blocks.iter().map(shortcut).collect(),
                    sums_beside: sums(channels_max),
                    ..training
                }
            }
            Body::Dense(groups) => {
                let channels_max = groups.iter().map(|group| group.channels.padded()).max().unwrap_or(0);
                let blocks = || groups.iter().flat_map(|group| &group.blocks);
                let middle_max = blocks().map(dense::Block::middle).max().unwrap_or(0);
                Training {
                    inputs: groups.iter().map(|group| batch(group.stride())).collect(),
                    middles: blocks()
                        .filter_map(|it| it.bottleneck.as_ref())
                        .map(|it| outputs(&it.convolution))
                        .collect(),
                    part_gradients: part_gradients(network.layers().map(|it| it.weights.len()).max().unwrap_or(0)),
                    turned: Turned::new(groups.iter().flat_map(dense::Group::convolutions)),
                    sums: sums(channels_max.max(middle_max)),
                    sums_beside: sums(middle_max),
                    linear_part: dense::LinearPart::new(channels_max),
                    ..training
                }
            }
        }
    }
}

/// How many parts a batch is cut into, and how many images each but the last has.
pub(crate) fn parts(batch: usize) -> (usize, usize) {
    let images = batch.div_ceil(PARTS_MAX);
    (batch.div_ceil(images), images)
}
