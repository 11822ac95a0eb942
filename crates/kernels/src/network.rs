//! The network and its buffers.

use crate::buffer::Buffer;
use crate::convolution::Convolution;
use crate::descent::Aside;
use crate::error::KernelError;
use crate::head::Linear;
use crate::instances::Kernels;
use crate::layer::{Layer, Space, Turned};
use crate::norm::{Norm, Sums};
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
        let (first_norm, shortcut_has_one) = match blocks {
            Blocks::PreActivation => (inputs, false),
            Blocks::PostActivation => (outputs, true),
        };
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

    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> + Clone {
        let shortcut = self.shortcut.as_ref().map(|shortcut| &shortcut.convolution);
        [&self.convolution1, &self.convolution2].into_iter().chain(shortcut)
    }

    pub(crate) fn norms(&self) -> impl Iterator<Item = &Norm> {
        let shortcut = self.shortcut.as_ref().and_then(|shortcut| shortcut.norm.as_ref());
        [&self.norm1, &self.norm2].into_iter().chain(shortcut)
    }

    pub(crate) fn norms_mut(&mut self) -> impl Iterator<Item = &mut Norm> {
        let shortcut = self.shortcut.as_mut().and_then(|shortcut| shortcut.norm.as_mut());
        [&mut self.norm1, &mut self.norm2].into_iter().chain(shortcut)
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
    /// What each block reads, and what the last one gives.
    pub(crate) inputs: Vec<Buffer>,
    /// Between the two convolutions of each block.
    pub(crate) middles: Vec<Buffer>,
    /// Where a ReLU follows a sum: what the last batch norm before each of [`Training::inputs`] read, and what that of each block's
    /// shortcut read.
    pub(crate) branches: Vec<Buffer>,
    pub(crate) shortcuts: Vec<Buffer>,
    /// Gradient after a ReLU on its way back: in place, but for where an activation's size changes.
    pub(crate) gradients: [Buffer; 2],
    /// Gradient on a block's sum: what the identity path carries, in place.
    pub(crate) carried: Buffer,
    pub(crate) turned: Turned,
    /// The shortcut's, which are read beside those of a block's first convolution.
    pub(crate) turned_shortcut: Turned,
    pub(crate) part_gradients: Vec<Buffer>,
    pub(crate) sums: Vec<Sums>,
    /// Where shortcuts have batch norms: of them.
    pub(crate) shortcut_sums: Vec<Sums>,
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
    pub(crate) blocks: Vec<Block>,
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
        let first = Layer::new(Convolution::new(shape.channels, shape.stem, shape.image_size, 1, 3), trains);
        let mut blocks = Vec::new();
        let (mut inputs, mut size) = (shape.stem, shape.image_size);
        for (group, outputs) in shape.group_channels.into_iter().enumerate() {
            for index in 0..shape.blocks_in_group {
                let stride = if group > 0 && index == 0 { 2 } else { 1 };
                blocks.push(Block::new(shape.blocks, [inputs, outputs], size, stride, trains));
                (inputs, size) = (outputs, size / stride);
            }
        }
        let norm = match shape.blocks {
            Blocks::PreActivation => Norm::new(inputs, trains),
            Blocks::PostActivation => Norm::new(shape.stem, trains),
        };
        let linear = Linear::new(inputs, shape.classes, trains);
        let plain_max = blocks
            .iter()
            .map(|block| block.convolution1.geometry.output_len())
            .fold(first.geometry.output_len(), usize::max);
        let threads = Threads::new(threads)?;
        let spaces = {
            let layers = std::iter::once(&first).chain(blocks.iter().flat_map(Block::layers));
            let space = |_| ThreadSpace {
                convolutions: Space::new(layers.clone(), trains),
                plain: std::array::from_fn(|_| Buffer::zeros(EVALUATED_TOGETHER * plain_max)),
            };
            (0..threads.count()).map(space).collect()
        };
        let training =
            batch_max.map(|batch_max| Box::new(Training::new(&shape, batch_max, &first, &blocks, plain_max)));
        Ok(Network {
            shape,
            instruction_set,
            kernels: Kernels::of(instruction_set),
            threads,
            first,
            blocks,
            norm,
            linear,
            transformed: false,
            spaces,
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

    /// Brings the transformed weights up to date.
    pub(crate) fn transform(&mut self) {
        if std::mem::replace(&mut self.transformed, true) {
            return;
        }
        let kernels = self.kernels;
        let mut layers: Vec<&mut Layer> = self
            .blocks
            .iter_mut()
            .flat_map(|block| [&mut block.convolution1, &mut block.convolution2])
            .filter(|layer| layer.geometry.winograd.is_some())
            .collect();
        let count = layers.len();
        let layers = SharedPointer::new(&mut layers);
        // SAFETY: each part has a layer of its own.
        self.threads.run(count, &|layer, _| unsafe { (*layers.at(layer)).transform(&kernels) });
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
                let shortcut = block.shortcut.as_ref().map_or(0, |shortcut| shortcut.convolution.weights.len());
                [block.convolution1.weights.len() + shortcut, block.convolution2.weights.len()]
            })
            .fold(first.weights.len(), usize::max);
        let parts = PARTS_MAX.min(batch_max);
        let sums = || vec![Sums::zeros(shape.features().max(shape.stem)); parts];
        let (branches, shortcuts, shortcut_sums) = match shape.blocks {
            Blocks::PreActivation => Default::default(),
            Blocks::PostActivation => {
                let shortcut = |block: &Block| block.shortcut.as_ref().map_or(0, |it| outputs(&it.convolution));
                let branches = inputs.clone().map(|layer| batch(outputs(layer))).collect();
                (branches, blocks.iter().map(|block| batch(shortcut(block))).collect(), sums())
            }
        };
        Training {
            batch_max,
            batch: 0,
            aside: Aside::Nothing,
            images: batch(shape.image_len()),
            inputs: inputs.map(|layer| batch(outputs(layer))).collect(),
            middles: blocks.iter().map(|block| batch(outputs(&block.convolution1))).collect(),
            branches,
            shortcuts,
            gradients: [batch(plain_max), batch(plain_max)],
            carried: batch(plain_max),
            turned: Turned::new(blocks.iter().flat_map(|block| [&block.convolution1, &block.convolution2])),
            turned_shortcut: Turned::new(blocks.iter().flat_map(|block| &block.shortcut).map(|it| &it.convolution)),
            part_gradients: (0..parts).map(|_| Buffer::zeros(gradients_max)).collect(),
            sums: sums(),
            shortcut_sums,
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
