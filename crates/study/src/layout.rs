//! What a network is made of: one description for both engines and for all that is counted.
//!
//! Every network here has a 3×3 convolution on the image, three groups of blocks at the image's height and width, at half and at
//! a quarter of them, global average pooling and one linear layer. They differ in their blocks.

/// Groups of blocks.
pub const GROUPS: usize = 3;

/// What groups are made of. Both kinds have two 3×3 convolutions and a sum with what the block read; where the number of channels
/// changes, a 1×1 convolution (the shortcut) brings that to the new shape. The first block of the second and third group halves
/// height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// Batch norm and ReLU before each convolution (He et al. 2016b), the shortcut after the first of them; batch norm and ReLU
    /// before the pooling.
    PreActivation,
    /// Batch norm after each convolution, the shortcut's too; ReLU between them and after the sum (He et al. 2016a); batch norm and
    /// ReLU after the convolution on the image.
    PostActivation,
}

/// A network, apart from the images it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub blocks: Blocks,
    /// Channels of the convolution on the image.
    pub stem: u32,
    /// Channels that each group gives.
    pub group_channels: [u32; GROUPS],
    pub blocks_in_group: u32,
}

/// One block of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Counted from 0, as is its place in it.
    pub group: u32,
    pub index: u32,
    /// Channels that it reads and gives.
    pub input: u32,
    pub output: u32,
    /// 2 where it halves height and width.
    pub stride: u32,
}

impl Block {
    /// Whether its shortcut has a convolution.
    pub fn changes_channels(&self) -> bool {
        self.input != self.output
    }

    /// Weights of its convolutions; each is used once for every pixel that it gives.
    pub(crate) fn weights(&self) -> u64 {
        let (input, output) = (u64::from(self.input), u64::from(self.output));
        let shortcut = if self.changes_channels() { input * output } else { 0 };
        9 * input * output + 9 * output * output + shortcut
    }
}

impl Layout {
    /// Inputs of the last layer.
    pub fn features(&self) -> u32 {
        self.group_channels[GROUPS - 1]
    }

    /// The blocks in order.
    pub fn each_block(self) -> impl Iterator<Item = Block> {
        (0..GROUPS as u32).flat_map(move |group| {
            let output = self.group_channels[group as usize];
            (0..self.blocks_in_group).map(move |index| Block {
                group,
                index,
                input: match (group, index) {
                    (0, 0) => self.stem,
                    (_, 0) => self.group_channels[group as usize - 1],
                    _ => output,
                },
                output,
                stride: if group > 0 && index == 0 { 2 } else { 1 },
            })
        })
    }

    /// Channels of the batch norms in a block.
    pub(crate) fn norms(&self, block: &Block) -> u64 {
        let (input, output) = (u64::from(block.input), u64::from(block.output));
        match self.blocks {
            Blocks::PreActivation => input + output,
            Blocks::PostActivation => 2 * output + if block.changes_channels() { output } else { 0 },
        }
    }

    /// Channels of the batch norm that stands in no block.
    pub(crate) fn outer_norm(&self) -> u64 {
        u64::from(match self.blocks {
            Blocks::PreActivation => self.features(),
            Blocks::PostActivation => self.stem,
        })
    }

    pub(crate) fn parameters(self, channels: u32, classes: u32) -> u64 {
        let (channels, classes) = (u64::from(channels), u64::from(classes));
        let blocks: u64 = self.each_block().map(|block| block.weights() + 2 * self.norms(&block)).sum();
        let features = u64::from(self.features());
        9 * channels * u64::from(self.stem) + blocks + 2 * self.outer_norm() + features * classes + classes
    }

    pub(crate) fn multiply_accumulates(self, channels: u32, image_size: u32, classes: u32) -> u64 {
        let mut size = u64::from(image_size);
        let mut total = 9 * u64::from(channels) * u64::from(self.stem) * size * size;
        for block in self.each_block() {
            size = size.div_ceil(u64::from(block.stride));
            total += size * size * block.weights();
        }
        total + u64::from(self.features()) * u64::from(classes)
    }
}
