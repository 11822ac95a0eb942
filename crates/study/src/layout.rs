//! What a network is made of: one description for both engines, for the names of tensors and for all that is counted.
//!
//! Every network here has a convolution on the image, groups of blocks, of which each after the first has half the height and width of
//! the one before, global average pooling and one linear layer. They differ in their beginning, their groups and their blocks.

/// What groups are made of. Blocks of all kinds but the last two end in a sum with what the block read; where the number of channels
/// changes, a 1×1 convolution (the shortcut) brings that to the new shape. In those the first block of each group after the first halves
/// height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// Two 3×3 convolutions, batch norm and ReLU before each (He et al. 2016b), the shortcut after the first of them; batch norm and
    /// ReLU before the pooling.
    PreActivation,
    /// Two 3×3 convolutions, batch norm after each, after the shortcut too; ReLU between them and after the sum (He et al. 2016a);
    /// batch norm and ReLU after the convolution on the image.
    PostActivation,
    /// As [`Blocks::PostActivation`], of three convolutions: 1×1 to a quarter of the block's channels, 3×3, which is the one that
    /// halves, and 1×1 to all of them.
    Bottleneck,
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

    /// Channels between the convolutions of a block whose last one gives `output`; 0 where it has one alone. A bottleneck that appends
    /// has four times as many (Huang et al. 2017, section 3), one that is summed a quarter (He et al. 2016a).
    pub fn middle(self, output: u32) -> u32 {
        match self {
            Blocks::PreActivation | Blocks::PostActivation => output,
            Blocks::Bottleneck => output / 4,
            Blocks::Dense => 0,
            Blocks::DenseBottleneck => 4 * output,
        }
    }

    /// Whether batch norms follow convolutions, that on the image too, rather than come before them.
    pub fn normalise_after(self) -> bool {
        matches!(self, Blocks::PostActivation | Blocks::Bottleneck)
    }
}

/// How a network begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stem {
    /// Of the convolution on the image.
    pub channels: u32,
    pub size: StemSize,
}

/// What images a network's beginning is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StemSize {
    /// A 3×3 convolution: groups of blocks begin at the image's height and width.
    Small,
    /// A 7×7 convolution at every second pixel, and the greatest of 3×3 at every second of those: they begin at a quarter.
    Large,
}

impl StemSize {
    /// How often the image's height and width are halved in what the first group reads.
    fn halvings(self) -> u32 {
        match self {
            StemSize::Small => 0,
            StemSize::Large => 2,
        }
    }
}

/// Blocks at one height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// That its last block gives.
    pub channels: u32,
    pub blocks: u32,
}

/// A network, apart from the images it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub stem: Stem,
    pub blocks: Blocks,
    /// One at least, none of them empty.
    pub groups: Vec<Group>,
}

/// One block of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Counted from 0, as is its place in it.
    pub group: u32,
    pub index: u32,
    /// Channels that it reads, and that its last convolution gives.
    pub input: u32,
    pub output: u32,
    /// 2 where it halves height and width.
    pub stride: u32,
    /// How often the image's height and width are halved in what it gives.
    pub halvings: u32,
}

impl Block {
    /// Whether a sum's shortcut has a convolution.
    pub fn changes_channels(&self) -> bool {
        self.input != self.output
    }
}

/// Where in a network a layer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the first block or behind the last one.
    Outside,
    Within(Block),
    TransitionAfter(Block),
}

/// A convolution or a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    pub place: Place,
    /// What the model zoo calls it there: "conv1", "downsample.0".
    pub name: &'static str,
    pub operator: Operator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Convolution(Convolution),
    Norm { channels: u32 },
}

/// One convolution of a network. What lies outside an image is 0, as far as `kernel / 2` pixels reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Channels.
    pub input: u32,
    pub output: u32,
    /// Height and width, an odd number.
    pub kernel: u32,
    /// 2 where it halves height and width.
    pub stride: u32,
    /// How often the image's height and width are halved in what it gives.
    pub halvings: u32,
}

impl Convolution {
    /// Each is used once for every pixel that it gives.
    pub(crate) fn weights(&self) -> u64 {
        u64::from(self.input) * u64::from(self.output) * u64::from(self.kernel).pow(2)
    }

    /// Numbers that it gives for an image of this height and width.
    pub(crate) fn activations(&self, image_size: u32) -> u64 {
        u64::from(self.output) * u64::from(halved(image_size, self.halvings)).pow(2)
    }
}

/// Height and width after so many halvings: what is left over of an odd number stays.
pub fn halved(size: u32, halvings: u32) -> u32 {
    size.div_ceil(1 << halvings)
}

impl Layout {
    /// Inputs of the last layer.
    pub fn features(&self) -> u32 {
        self.groups.last().map_or(self.stem.channels, |group| group.channels)
    }

    /// Channels that a group's first block reads.
    pub fn channels_before(&self, group: u32) -> u32 {
        let Some(before) = group.checked_sub(1).map(|before| self.groups[before as usize].channels) else {
            return self.stem.channels;
        };
        match self.blocks {
            Blocks::PreActivation | Blocks::PostActivation | Blocks::Bottleneck | Blocks::Dense => before,
            Blocks::DenseBottleneck => before / 2,
        }
    }

    /// Height and width of what each group gives, and so of its attention map.
    pub fn map_sizes(&self, image_size: u32) -> Vec<u32> {
        (self.stem.size.halvings()..).take(self.groups.len()).map(|halvings| halved(image_size, halvings)).collect()
    }

    /// The blocks in order.
    pub fn each_block(&self) -> impl Iterator<Item = Block> + use<'_> {
        (0..).zip(&self.groups).flat_map(move |(number, group)| {
            let (before, after) = (self.channels_before(number), group.channels);
            let halvings = self.stem.size.halvings() + number;
            (0..group.blocks).map(move |index| {
                let begins = index == 0;
                let stride = if begins && number > 0 { 2 } else { 1 };
                let input = if begins { before } else { after };
                let summed = Block { group: number, index, input, output: after, stride, halvings };
                match self.blocks {
                    Blocks::PreActivation | Blocks::PostActivation | Blocks::Bottleneck => summed,
                    Blocks::Dense | Blocks::DenseBottleneck => {
                        let growth = (after - before) / group.blocks;
                        Block { input: before + index * growth, output: growth, stride: 1, ..summed }
                    }
                }
            })
        })
    }

    /// Whether this is the last block of its group.
    pub fn ends_group(&self, block: &Block) -> bool {
        block.index + 1 == self.groups[block.group as usize].blocks
    }

    /// Whether a transition to the next group follows this block.
    pub fn has_transition_after(&self, block: &Block) -> bool {
        self.blocks.append() && self.ends_group(block) && (block.group as usize) + 1 < self.groups.len()
    }

    /// Every convolution and batch norm in the model zoo's order, of a network that sees images of so many `channels`. Means are taken
    /// before a transition's convolution, which they leave as it is.
    pub fn layers(&self, channels: u32) -> Vec<Layer> {
        let mut layers = Listed(Vec::new());
        let outside = Place::Outside;
        let (kernel, stride) = match self.stem.size {
            StemSize::Small => (3, 1),
            StemSize::Large => (7, 2),
        };
        layers.convolution(outside, "conv1", [channels, self.stem.channels], kernel, stride, stride - 1);
        if self.blocks.normalise_after() {
            layers.norm(outside, "bn1", self.stem.channels);
        }
        for block in self.each_block() {
            let Block { input, output, stride, halvings, .. } = block;
            let (within, middle) = (Place::Within(block), self.blocks.middle(output));
            match self.blocks {
                Blocks::PreActivation => {
                    layers.norm(within, "bn1", input);
                    layers.convolution(within, "conv1", [input, output], 3, stride, halvings);
                    layers.norm(within, "bn2", output);
                    layers.convolution(within, "conv2", [output, output], 3, 1, halvings);
                    if block.changes_channels() {
                        layers.convolution(within, "convShortcut", [input, output], 1, stride, halvings);
                    }
                }
                Blocks::PostActivation => {
                    layers.convolution(within, "conv1", [input, output], 3, stride, halvings);
                    layers.norm(within, "bn1", output);
                    layers.convolution(within, "conv2", [output, output], 3, 1, halvings);
                    layers.norm(within, "bn2", output);
                    layers.normalised_shortcut(block);
                }
                Blocks::Bottleneck => {
                    layers.convolution(within, "conv1", [input, middle], 1, 1, halvings + 1 - stride);
                    layers.norm(within, "bn1", middle);
                    layers.convolution(within, "conv2", [middle, middle], 3, stride, halvings);
                    layers.norm(within, "bn2", middle);
                    layers.convolution(within, "conv3", [middle, output], 1, 1, halvings);
                    layers.norm(within, "bn3", output);
                    layers.normalised_shortcut(block);
                }
                Blocks::Dense => {
                    layers.norm(within, "bn1", input);
                    layers.convolution(within, "conv1", [input, output], 3, 1, halvings);
                }
                Blocks::DenseBottleneck => {
                    layers.norm(within, "bn1", input);
                    layers.convolution(within, "conv1", [input, middle], 1, 1, halvings);
                    layers.norm(within, "bn2", middle);
                    layers.convolution(within, "conv2", [middle, output], 3, 1, halvings);
                }
            }
            if self.has_transition_after(&block) {
                let (transition, all) = (Place::TransitionAfter(block), input + output);
                layers.norm(transition, "bn1", all);
                let given = self.channels_before(block.group + 1);
                layers.convolution(transition, "conv1", [all, given], 1, 1, halvings + 1);
            }
        }
        if !self.blocks.normalise_after() {
            layers.norm(outside, "bn1", self.features());
        }
        layers.0
    }

    /// Channels of all batch norms.
    pub(crate) fn norms(&self) -> u64 {
        self.layers(1).iter().filter_map(Layer::norm_channels).sum()
    }

    pub(crate) fn parameters(&self, channels: u32, classes: u32) -> u64 {
        let (features, classes) = (u64::from(self.features()), u64::from(classes));
        let of = |layer: &Layer| match layer.operator {
            Operator::Convolution(convolution) => convolution.weights(),
            Operator::Norm { channels } => 2 * u64::from(channels),
        };
        self.layers(channels).iter().map(of).sum::<u64>() + features * classes + classes
    }

    pub(crate) fn multiply_accumulates(&self, channels: u32, image_size: u32, classes: u32) -> u64 {
        let of = |convolution: Convolution| {
            u64::from(halved(image_size, convolution.halvings)).pow(2) * convolution.weights()
        };
        let convolutions: u64 = self.layers(channels).iter().filter_map(Layer::convolution).map(of).sum();
        convolutions + u64::from(self.features()) * u64::from(classes)
    }
}

impl Layer {
    /// `None` of a batch norm.
    pub fn convolution(&self) -> Option<Convolution> {
        match self.operator {
            Operator::Convolution(convolution) => Some(convolution),
            Operator::Norm { .. } => None,
        }
    }

    fn norm_channels(&self) -> Option<u64> {
        match self.operator {
            Operator::Convolution(_) => None,
            Operator::Norm { channels } => Some(u64::from(channels)),
        }
    }
}

struct Listed(Vec<Layer>);

impl Listed {
    fn convolution(
        &mut self,
        place: Place,
        name: &'static str,
        [input, output]: [u32; 2],
        kernel: u32,
        stride: u32,
        halvings: u32,
    ) {
        let convolution = Convolution { input, output, kernel, stride, halvings };
        self.0.push(Layer { place, name, operator: Operator::Convolution(convolution) });
    }

    fn norm(&mut self, place: Place, name: &'static str, channels: u32) {
        self.0.push(Layer { place, name, operator: Operator::Norm { channels } });
    }

    /// Of a block whose shortcut, where it has one, is normalised too.
    fn normalised_shortcut(&mut self, block: Block) {
        if block.changes_channels() {
            let within = Place::Within(block);
            self.convolution(within, "downsample.0", [block.input, block.output], 1, block.stride, block.halvings);
            self.norm(within, "downsample.1", block.output);
        }
    }
}
