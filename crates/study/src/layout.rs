//! What a network is made of: one description for both engines and for all that is counted.
//!
//! Every network here has a 3×3 convolution on the image, three groups of blocks at the image's height and width, at half and at
//! a quarter of them, global average pooling and one linear layer. They differ in their blocks.

/// Groups of blocks.
pub const GROUPS: usize = 3;

/// What groups are made of. Blocks of the first two kinds have two 3×3 convolutions and a sum with what the block read; where the
/// number of channels changes, a 1×1 convolution (the shortcut) brings that to the new shape. The first block of their second and
/// third group halves height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// Batch norm and ReLU before each convolution (He et al. 2016b), the shortcut after the first of them; batch norm and ReLU
    /// before the pooling.
    PreActivation,
    /// Batch norm after each convolution, the shortcut's too; ReLU between them and after the sum (He et al. 2016a); batch norm and
    /// ReLU after the convolution on the image.
    PostActivation,
    /// Batch norm, ReLU and a 3×3 convolution, whose channels are appended to what the block read (Huang et al. 2017); from group to
    /// group a transition: batch norm, ReLU, a 1×1 convolution to as many channels, and means over 2×2 pixels; batch norm and ReLU
    /// before the pooling.
    Dense,
    /// As [`Blocks::Dense`], of two convolutions, batch norm and ReLU before each: 1×1 to the block's bottleneck, then 3×3. A transition
    /// gives half of the channels, rounded down: DenseNet-BC.
    DenseBottleneck,
}

impl Blocks {
    /// Whether blocks append channels to what they read.
    pub fn append(self) -> bool {
        matches!(self, Blocks::Dense | Blocks::DenseBottleneck)
    }
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
    /// Channels that it reads, and that its convolutions give.
    pub input: u32,
    pub output: u32,
    /// 2 where it halves height and width.
    pub stride: u32,
}

impl Block {
    /// Whether a sum's shortcut has a convolution.
    pub fn changes_channels(&self) -> bool {
        self.input != self.output
    }

    /// Channels between the two convolutions of a block that appends channels by way of a bottleneck: four times as many as those
    /// (Huang et al. 2017, section 3).
    pub fn bottleneck(&self) -> u32 {
        4 * self.output
    }
}

/// One convolution of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Convolution {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) kernel: u64,
    /// How often height and width of the image are halved in what it gives.
    pub(crate) halved: u32,
}

impl Convolution {
    /// Each is used once for every pixel that it gives.
    pub(crate) fn weights(&self) -> u64 {
        self.input * self.output * self.kernel * self.kernel
    }
}

impl Layout {
    /// Inputs of the last layer.
    pub fn features(&self) -> u32 {
        self.group_channels[GROUPS - 1]
    }

    /// Channels that a group's first block reads.
    pub fn channels_before(&self, group: u32) -> u32 {
        let Some(before) = group.checked_sub(1).map(|before| self.group_channels[before as usize]) else {
            return self.stem;
        };
        match self.blocks {
            Blocks::PreActivation | Blocks::PostActivation | Blocks::Dense => before,
            Blocks::DenseBottleneck => before / 2,
        }
    }

    /// The blocks in order.
    pub fn each_block(self) -> impl Iterator<Item = Block> {
        (0..GROUPS as u32).flat_map(move |group| {
            (0..self.blocks_in_group).map(move |index| {
                let (before, after) = (self.channels_before(group), self.group_channels[group as usize]);
                let begins = index == 0;
                match self.blocks {
                    Blocks::PreActivation | Blocks::PostActivation => Block {
                        group,
                        index,
                        input: if begins { before } else { after },
                        output: after,
                        stride: if begins && group > 0 { 2 } else { 1 },
                    },
                    Blocks::Dense | Blocks::DenseBottleneck => {
                        let growth = (after - before) / self.blocks_in_group;
                        Block { group, index, input: before + index * growth, output: growth, stride: 1 }
                    }
                }
            })
        })
    }

    /// Whether a transition to the next group follows this block.
    pub fn has_transition_after(&self, block: &Block) -> bool {
        self.blocks.append() && block.index + 1 == self.blocks_in_group && (block.group as usize) < GROUPS - 1
    }

    /// All of them, in order; means are taken before a transition's convolution, which they leave as it is.
    pub(crate) fn convolutions(self, channels: u32) -> Vec<Convolution> {
        let of = |input: u32, output: u32, kernel, halved| Convolution {
            input: u64::from(input),
            output: u64::from(output),
            kernel,
            halved,
        };
        let mut convolutions = vec![of(channels, self.stem, 3, 0)];
        for block in self.each_block() {
            let Block { group, input, output, .. } = block;
            match self.blocks {
                Blocks::PreActivation | Blocks::PostActivation => {
                    convolutions.extend([of(input, output, 3, group), of(output, output, 3, group)]);
                    convolutions.extend(block.changes_channels().then(|| of(input, output, 1, group)));
                }
                Blocks::Dense => convolutions.push(of(input, output, 3, group)),
                Blocks::DenseBottleneck => {
                    let middle = block.bottleneck();
                    convolutions.extend([of(input, middle, 1, group), of(middle, output, 3, group)]);
                }
            }
            if self.has_transition_after(&block) {
                convolutions.push(of(input + output, self.channels_before(group + 1), 1, group + 1));
            }
        }
        convolutions
    }

    /// Channels of all batch norms.
    pub(crate) fn norms(self) -> u64 {
        let of_block = |block: Block| {
            let own = match self.blocks {
                Blocks::PreActivation => block.input + block.output,
                Blocks::PostActivation => block.output * if block.changes_channels() { 3 } else { 2 },
                Blocks::Dense => block.input,
                Blocks::DenseBottleneck => block.input + block.bottleneck(),
            };
            own + if self.has_transition_after(&block) { block.input + block.output } else { 0 }
        };
        let own = match self.blocks {
            Blocks::PreActivation | Blocks::Dense | Blocks::DenseBottleneck => self.features(),
            Blocks::PostActivation => self.stem,
        };
        u64::from(own) + self.each_block().map(of_block).map(u64::from).sum::<u64>()
    }

    pub(crate) fn parameters(self, channels: u32, classes: u32) -> u64 {
        let (features, classes) = (u64::from(self.features()), u64::from(classes));
        let weights: u64 = self.convolutions(channels).iter().map(Convolution::weights).sum();
        weights + 2 * self.norms() + features * classes + classes
    }

    pub(crate) fn multiply_accumulates(self, channels: u32, image_size: u32, classes: u32) -> u64 {
        let of = |convolution: &Convolution| {
            let size = u64::from(image_size).div_ceil(1 << convolution.halved);
            size * size * convolution.weights()
        };
        let convolutions: u64 = self.convolutions(channels).iter().map(of).sum();
        convolutions + u64::from(self.features()) * u64::from(classes)
    }
}
