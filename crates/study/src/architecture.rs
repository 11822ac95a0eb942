//! Which network: its name, its size and what one image costs.

use crate::Optimizer;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A network that can be a teacher or a student. Written as people write it: `wrn-16-2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Architecture {
    /// Wide ResNet (Zagoruyko & Komodakis 2016) for small images: `depth = 6n + 4`, three groups of `n`
    /// basic blocks with 16, 32 and 64 times `width` channels.
    WideResNet { depth: u32, width: u32 },
}

impl Architecture {
    /// Deepest network accepted, above the paper's deepest teacher (WRN-250-1).
    pub const DEPTH_MAX: u32 = 604;
    /// Widest network accepted, above the paper's widest teacher (WRN-16-8).
    pub const WIDTH_MAX: u32 = 20;
    /// What a network's name may be, for messages.
    pub const ALLOWED: &str =
        "wrn-DEPTH-WIDTH with DEPTH = 6n + 4 from 10 to 604 and WIDTH from 1 to 20, such as wrn-16-2";

    /// Number of trained numbers (weights, batch-norm scales and shifts, the last layer's bias).
    pub fn parameters(self, channels: u32, classes: u32) -> u64 {
        let (channels, classes) = (u64::from(channels), u64::from(classes));
        let blocks: u64 = self.blocks().map(|block| block.parameters()).sum();
        let features = self.features();
        9 * channels * Self::STEM + blocks + 2 * features + features * classes + classes
    }

    /// Multiply-accumulates of one forward pass of one image (convolutions and the last layer).
    pub fn multiply_accumulates(self, channels: u32, image_size: u32, classes: u32) -> u64 {
        let mut size = u64::from(image_size);
        let mut total = 9 * u64::from(channels) * Self::STEM * size * size;
        for block in self.blocks() {
            size = size.div_ceil(block.stride);
            total += size * size * block.weights();
        }
        total + self.features() * u64::from(classes)
    }

    /// Bytes that the hand-written engine holds of a network in training with `threads` threads on batches of up to `batch` images:
    /// weights as both passes read them, gradients and momentum; of every image what each block reads, what lies between its two
    /// convolutions, and the gradients on their way back; gradients of each part of a batch; each thread's scratch.
    pub fn training_bytes(self, channels: u32, image_size: u32, classes: u32, batch: u32, threads: u32) -> u64 {
        let sizes = self.sizes(channels, image_size, classes);
        let turned = sizes.turned + sizes.turned_transformed + sizes.turned_shortcut;
        let trained = 2 * sizes.convolutions + turned + 4 * sizes.norms + 2 * sizes.linear;
        let image = sizes.image + sizes.activations + 3 * sizes.largest + self.features() + u64::from(classes);
        let part = sizes.block_weights + 4 * self.features();
        let parts = batch.min(Self::PARTS_MAX);
        let thread = sizes.padded + sizes.transformed + sizes.turned_transformed;
        let evaluated = self.evaluation_bytes(channels, image_size, classes, threads);
        let own = u64::from(batch) * image + u64::from(parts) * part + u64::from(threads) * thread;
        evaluated + Self::FLOAT * (trained + own)
    }

    /// Bytes that the hand-written engine holds for an optimizer beside [`Architecture::training_bytes`], which has what SGD needs:
    /// for DOT, of each parameter a second gradient and a second momentum. A checkpoint's optimizer state has the second momentum too.
    pub fn optimizer_bytes(self, channels: u32, classes: u32, optimizer: &Optimizer) -> u64 {
        match optimizer {
            Optimizer::Sgd { .. } => 0,
            Optimizer::Dot { .. } => 2 * Self::FLOAT * self.parameters(channels, classes),
        }
    }

    /// As [`Architecture::training_bytes`], of a network that is only evaluated: a teacher.
    pub fn evaluation_bytes(self, channels: u32, image_size: u32, classes: u32, threads: u32) -> u64 {
        let sizes = self.sizes(channels, image_size, classes);
        // Scale and shift, two running statistics, seven numbers that kernels use, and two in double precision.
        let held = sizes.convolutions + sizes.convolutions_transformed + 15 * sizes.norms + sizes.linear;
        let thread = sizes.padded + 2 * sizes.transformed + 3 * Self::EVALUATED_TOGETHER * sizes.largest;
        Self::FLOAT * (held + u64::from(threads) * thread)
    }

    /// Numbers that the convolutions of one image put out, all together: what passes through memory.
    pub fn activations(self, channels: u32, image_size: u32, classes: u32) -> u64 {
        self.sizes(channels, image_size, classes).activations
    }

    fn sizes(self, channels: u32, image_size: u32, classes: u32) -> Sizes {
        let (channels, classes) = (u64::from(channels), u64::from(classes));
        let mut size = u64::from(image_size);
        let stem = 9 * channels * Self::STEM;
        let first = Self::STEM * size * size;
        let mut sizes = Sizes {
            convolutions: stem,
            convolutions_transformed: 0,
            turned: 0,
            turned_transformed: 0,
            turned_shortcut: 0,
            transformed: 0,
            norms: self.features(),
            linear: self.features() * classes + classes,
            image: channels * size * size,
            activations: first,
            largest: first,
            padded: Self::STEM * (size + 2) * (size + 2),
            block_weights: stem,
        };
        for block in self.blocks() {
            let before = size;
            size = size.div_ceil(block.stride);
            let output = block.output * size * size;
            sizes.convolutions += block.weights();
            sizes.norms += block.input + block.output;
            sizes.activations += 2 * output;
            sizes.largest = sizes.largest.max(output);
            let padded = |channels: u64, size: u64| channels * (size + 2) * (size + 2);
            sizes.padded =
                sizes.padded.max(padded(block.input.max(block.output), before)).max(padded(block.output, size));
            let second = 9 * block.output * block.output;
            let first = 9 * block.input * block.output;
            sizes.turned = sizes.turned.max(first).max(second);
            sizes.turned_shortcut = sizes.turned_shortcut.max(block.weights() - second - first);
            let inputs = [(block.stride == 1).then_some(block.input), Some(block.output)];
            for input in inputs.into_iter().flatten().filter(|_| tiled(size)) {
                let weights = POSITIONS * input * block.output;
                sizes.convolutions_transformed += weights;
                sizes.turned_transformed = sizes.turned_transformed.max(weights);
                sizes.transformed = sizes.transformed.max(transformed(input.max(block.output), size));
            }
            sizes.block_weights = sizes.block_weights.max(block.weights() - second).max(second);
        }
        sizes
    }

    /// Bytes of a number in single precision.
    const FLOAT: u64 = 4;

    /// Parts of a batch that sum gradients of their own in the hand-written engine.
    pub(crate) const PARTS_MAX: u32 = 8;

    /// Images that it takes through the network together when it evaluates.
    const EVALUATED_TOGETHER: u64 = 8;

    /// Channels of the first convolution.
    const STEM: u64 = 16;

    /// Inputs of the last layer.
    fn features(self) -> u64 {
        match self {
            Self::WideResNet { width, .. } => 64 * u64::from(width),
        }
    }

    /// The basic blocks in order, from the first convolution to the last batch norm.
    fn blocks(self) -> impl Iterator<Item = Block> {
        let Self::WideResNet { depth, width } = self;
        let (in_a_group, width) = (u64::from(depth.saturating_sub(4) / 6), u64::from(width));
        let groups = [(Self::STEM, 16 * width, 1), (16 * width, 32 * width, 2), (32 * width, 64 * width, 2)];
        groups.into_iter().flat_map(move |(before, output, stride)| {
            (0..in_a_group).map(move |index| match index {
                0 => Block { input: before, output, stride },
                _ => Block { input: output, output, stride: 1 },
            })
        })
    }
}

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
    linear: u64,
    /// Of one image: itself, every convolution's output that is kept, the largest of them, and that with its border.
    image: u64,
    activations: u64,
    largest: u64,
    padded: u64,
    /// The most weights whose gradients are summed at a time.
    block_weights: u64,
}

/// Pre-activation basic block: two 3×3 convolutions with their batch norms, and a 1×1 convolution on the shortcut where
/// the number of channels changes.
struct Block {
    input: u64,
    output: u64,
    stride: u64,
}

impl Block {
    /// Convolution weights; each is used once for every output pixel.
    fn weights(&self) -> u64 {
        let shortcut = if self.input == self.output { 0 } else { self.input * self.output };
        9 * self.input * self.output + 9 * self.output * self.output + shortcut
    }

    fn parameters(&self) -> u64 {
        self.weights() + 2 * self.input + 2 * self.output
    }
}

impl FromStr for Architecture {
    type Err = String;
    /// Takes only the one way of writing a network that [`fmt::Display`] has: names are compared and hashed.
    fn from_str(name: &str) -> Result<Self, String> {
        let read = || {
            let (depth, width) = name.strip_prefix("wrn-")?.split_once('-')?;
            let (depth, width) = (depth.parse::<u32>().ok()?, width.parse::<u32>().ok()?);
            let valid =
                (10..=Self::DEPTH_MAX).contains(&depth) && depth % 6 == 4 && (1..=Self::WIDTH_MAX).contains(&width);
            let architecture = Self::WideResNet { depth, width };
            (valid && architecture.to_string() == name).then_some(architecture)
        };
        read().ok_or_else(|| format!("not a network; allowed: {}", Self::ALLOWED))
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WideResNet { depth, width } => write!(f, "wrn-{depth}-{width}"),
        }
    }
}

impl TryFrom<String> for Architecture {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> String {
        architecture.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrn(name: &str) -> Architecture {
        name.parse().unwrap()
    }

    /// Counted by hand from the layer list, and as the model zoo prints them for CIFAR-100.
    #[test]
    fn parameters_are_those_of_the_model_zoo() {
        assert_eq!(wrn("wrn-16-2").parameters(3, 100), 703_284);
        assert_eq!(wrn("wrn-40-2").parameters(3, 100), 2_255_156);
        assert_eq!(wrn("wrn-40-1").parameters(3, 100), 569_780);
    }

    #[test]
    fn multiply_accumulates_follow_the_layers() {
        // wrn-10-1 on 28×28×1: first convolution, group 1 without shortcut at 28, groups 2 and 3 at 14 and 7, last layer.
        let expected = 28 * 28 * 9 * 16
            + 28 * 28 * (9 * 16 * 16 * 2)
            + 14 * 14 * (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32)
            + 7 * 7 * (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64)
            + 64 * 10;
        assert_eq!(wrn("wrn-10-1").multiply_accumulates(1, 28, 10), expected);
        assert!(wrn("wrn-604-20").multiply_accumulates(3, 32, 10) > 0);
    }

    #[test]
    fn memory_grows_with_the_batch_and_a_teacher_needs_little() {
        let large = wrn("wrn-604-20");
        let bytes = |batch| large.training_bytes(3, 32, 10, batch, 1);
        assert!(bytes(4096) > 1_000_000_000_000, "{}", bytes(4096));
        assert_eq!((bytes(64) - bytes(16)) / 48, (bytes(4096) - bytes(64)) / 4032);
        // Fewer parts than a batch has images sum gradients apart.
        assert!(bytes(9) - bytes(8) < bytes(2) - bytes(1));
        assert!(large.evaluation_bytes(3, 32, 10, 1) < bytes(1));
        let usual = wrn("wrn-16-2");
        assert!(usual.evaluation_bytes(3, 32, 10, 1) < usual.training_bytes(3, 32, 10, 64, 1) / 3);
    }

    #[test]
    fn only_one_way_of_writing_a_network() {
        for name in ["wrn-10-1", "wrn-16-2", "wrn-250-1", "wrn-604-20"] {
            assert_eq!(wrn(name).to_string(), name);
        }
        for name in [
            "",
            "wrn",
            "wrn-",
            "wrn-16",
            "wrn-16-",
            "wrn-15-2",
            "wrn-4-1",
            "wrn-610-1",
            "wrn-16-0",
            "wrn-16-21",
            "wrn-016-2",
            "wrn-+16-2",
            "WRN-16-2",
            "wrn-16-2 ",
            "wrn-1000000000-1",
            "wrn-99999999999999999999-1",
            "wrn-16-2-1",
            "resnet8",
        ] {
            assert!(name.parse::<Architecture>().is_err(), "{name}");
        }
    }
}
