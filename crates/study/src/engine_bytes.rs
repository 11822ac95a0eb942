//! How many numbers the hand-written engine holds of a network, and so how much memory a training takes.

use crate::{
    Architecture, Optimizer,
    layout::{Blocks, Layout},
};

impl Architecture {
    /// Bytes that the hand-written engine holds of a network in training with `threads` threads on batches of up to `batch` images:
    /// weights as both passes read them, gradients and momentum; of every image what forward keeps for backward, and the gradients
    /// on their way back; gradients of each part of a batch; each thread's scratch.
    pub fn training_bytes(self, channels: u32, image_size: u32, classes: u32, batch: u32, threads: u32) -> u64 {
        let sizes = Sizes::of(self.layout(), channels, image_size, classes);
        let turned = sizes.turned + sizes.turned_transformed + sizes.turned_shortcut;
        let trained = 2 * sizes.convolutions + turned + 4 * sizes.norms + 2 * sizes.linear;
        let image = sizes.image + sizes.activations + 3 * sizes.largest + sizes.features + u64::from(classes);
        let part = sizes.block_weights + sizes.sums;
        let parts = batch.min(Self::PARTS_MAX);
        let thread = sizes.padded + sizes.transformed + sizes.turned_transformed;
        let evaluated = self.evaluation_bytes(channels, image_size, classes, threads);
        let own = u64::from(batch) * image + u64::from(parts) * part + u64::from(threads) * thread;
        evaluated + FLOAT * (trained + own)
    }

    /// Bytes that the hand-written engine holds for an optimizer beside [`Architecture::training_bytes`], which has what SGD needs:
    /// for DOT, of each parameter a second gradient and a second momentum. A checkpoint's optimizer state has the second momentum too.
    pub fn optimizer_bytes(self, channels: u32, classes: u32, optimizer: &Optimizer) -> u64 {
        match optimizer {
            Optimizer::Sgd { .. } => 0,
            Optimizer::Dot { .. } => 2 * FLOAT * self.parameters(channels, classes),
        }
    }

    /// As [`Architecture::training_bytes`], of a network that is only evaluated: a teacher.
    pub fn evaluation_bytes(self, channels: u32, image_size: u32, classes: u32, threads: u32) -> u64 {
        let sizes = Sizes::of(self.layout(), channels, image_size, classes);
        // Scale and shift, two running statistics, seven numbers that kernels use, and two in double precision.
        let held = sizes.convolutions + sizes.convolutions_transformed + 15 * sizes.norms + sizes.linear;
        let thread = sizes.padded + 2 * sizes.transformed + 3 * EVALUATED_TOGETHER * sizes.largest;
        FLOAT * (held + u64::from(threads) * thread)
    }

    /// Numbers of one image that a training step keeps between forward and backward, all together: what passes through memory.
    pub fn activations(self, channels: u32, image_size: u32, classes: u32) -> u64 {
        Sizes::of(self.layout(), channels, image_size, classes).activations
    }

    /// Parts of a batch that sum gradients of their own in the hand-written engine.
    pub(crate) const PARTS_MAX: u32 = 8;
}

/// Bytes of a number in single precision.
const FLOAT: u64 = 4;

/// Images that it takes through the network together when it evaluates.
const EVALUATED_TOGETHER: u64 = 8;

/// Numbers that stand for a tile of 4×4 outputs, and for 3×3 weights, where the hand-written engine convolves by F(4×4, 3×3).
const POSITIONS: u64 = 36;

/// Whether it does so at this size: not where tiles would hang over the image's edge too far.
fn tiled(size: u64) -> bool {
    9 * size * size >= 2 * POSITIONS * size.div_ceil(4).pow(2)
}

/// Numbers of the transformed activations that it works on at a time: of as many rows of tiles as hold 64 tiles of a block of
/// 16 channels, or 16 tiles of all blocks.
fn transformed(channels: u64, size: u64) -> u64 {
    let (blocks, across) = (channels / 16, size.div_ceil(4));
    let tiles = ((64 / blocks).max(16) / across).max(1) * across;
    POSITIONS * 16 * (blocks * tiles + 1)
}

/// How many numbers the hand-written engine holds of what.
struct Sizes {
    /// Weights of all convolutions, and those that are transformed.
    convolutions: u64,
    convolutions_transformed: u64,
    /// The most weights that are turned for the gradient on the input, plain and transformed, and of a shortcut.
    turned: u64,
    turned_transformed: u64,
    turned_shortcut: u64,
    /// The most transformed activations.
    transformed: u64,
    /// Channels of all batch norms.
    norms: u64,
    features: u64,
    linear: u64,
    /// Of one image: itself, what of it is kept for the backward pass, its largest activation, and that with its border.
    image: u64,
    activations: u64,
    largest: u64,
    padded: u64,
    /// Of one part of a batch: the most weights whose gradients are summed at a time, and sums per channel, which are doubles.
    block_weights: u64,
    sums: u64,
}

impl Sizes {
    fn of(layout: Layout, channels: u32, image_size: u32, classes: u32) -> Sizes {
        let (channels, classes) = (u64::from(channels), u64::from(classes));
        let (stem_channels, features) = (u64::from(layout.stem), u64::from(layout.features()));
        let mut size = u64::from(image_size);
        let stem = 9 * channels * stem_channels;
        let first = stem_channels * size * size;
        // Of the first convolution's output and of a block's are kept: what convolutions gave, and where a ReLU follows a sum that too.
        let (of_first, of_block, sums) = match layout.blocks {
            Blocks::PreActivation => (1, 2, 1),
            Blocks::PostActivation => (2, 3, 2),
        };
        let mut sizes = Sizes {
            convolutions: stem,
            convolutions_transformed: 0,
            turned: 0,
            turned_transformed: 0,
            turned_shortcut: 0,
            transformed: 0,
            norms: layout.outer_norm(),
            features,
            linear: features * classes + classes,
            image: channels * size * size,
            activations: of_first * first,
            largest: first,
            padded: stem_channels * (size + 2) * (size + 2),
            block_weights: stem,
            sums: sums * 4 * features,
        };
        for block in layout.each_block() {
            let before = size;
            size = size.div_ceil(u64::from(block.stride));
            let (block_input, block_output) = (u64::from(block.input), u64::from(block.output));
            let output = block_output * size * size;
            sizes.convolutions += block.weights();
            sizes.norms += layout.norms(&block);
            sizes.activations += of_block * output;
            if layout.blocks == Blocks::PostActivation && block.changes_channels() {
                sizes.activations += output;
            }
            sizes.largest = sizes.largest.max(output);
            let padded = |channels: u64, size: u64| channels * (size + 2) * (size + 2);
            sizes.padded =
                sizes.padded.max(padded(block_input.max(block_output), before)).max(padded(block_output, size));
            let second = 9 * block_output * block_output;
            let first = 9 * block_input * block_output;
            sizes.turned = sizes.turned.max(first).max(second);
            sizes.turned_shortcut = sizes.turned_shortcut.max(block.weights() - second - first);
            let inputs = [(block.stride == 1).then_some(block_input), Some(block_output)];
            for input in inputs.into_iter().flatten().filter(|_| tiled(size)) {
                let weights = POSITIONS * input * block_output;
                sizes.convolutions_transformed += weights;
                sizes.turned_transformed = sizes.turned_transformed.max(weights);
                sizes.transformed = sizes.transformed.max(transformed(input.max(block_output), size));
            }
            sizes.block_weights = sizes.block_weights.max(block.weights() - second).max(second);
        }
        sizes
    }
}
