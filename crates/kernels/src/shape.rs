//! Which network, and for which images.

use crate::attention::GROUPS;
use crate::buffer::BLOCK;
use crate::error::KernelError;

/// What the groups of a network are made of. Blocks of the first two kinds have two 3×3 convolutions, each with a batch norm, and a
/// sum with what the block read; where the number of channels changes, a 1×1 convolution (the shortcut) brings that to the new shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// Batch norm and ReLU before each convolution, the shortcut after the first of them: Wide ResNets (Zagoruyko & Komodakis
    /// 2016).
    PreActivation,
    /// Batch norm after each convolution, the shortcut's too, ReLU between them and after the sum: ResNets (He et al. 2016).
    PostActivation,
    /// Batch norm, ReLU and a 3×3 convolution whose channels are appended to what the block read: DenseNets (Huang et al. 2017).
    /// From group to group batch norm, ReLU, a 1×1 convolution of all channels, and means over 2×2 pixels.
    Dense,
    /// As [`Blocks::Dense`], but that batch norm, ReLU and a 1×1 convolution to four times the channels that are appended come before
    /// the others in each block, and that the convolution between groups gives half of its channels, rounded down: DenseNet-BC.
    DenseBottleneck,
}

/// A network and the images it sees: a 3×3 convolution on the image, three groups of blocks, the second and third at half and a
/// quarter of the image's size, average pooling over all pixels and a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub blocks: Blocks,
    pub blocks_in_group: usize,
    /// Channels of the convolution on the image.
    pub stem: usize,
    /// Channels that each group gives.
    pub group_channels: [usize; GROUPS],
    /// Of the image: 1 (grey) or 3 (colour).
    pub channels: usize,
    /// Height and width of the image in pixels.
    pub image_size: usize,
    pub classes: usize,
}

impl Shape {
    /// Channels that a group's first block reads.
    pub(crate) fn channels_before(&self, group: usize) -> usize {
        let Some(before) = group.checked_sub(1).map(|before| self.group_channels[before]) else { return self.stem };
        match self.blocks {
            Blocks::PreActivation | Blocks::PostActivation | Blocks::Dense => before,
            Blocks::DenseBottleneck => before / 2,
        }
    }

    /// Channels that each block of a dense network appends.
    pub(crate) fn growth(&self) -> usize {
        (self.group_channels[0] - self.stem) / self.blocks_in_group
    }

    /// Floats in one image.
    pub(crate) fn image_len(&self) -> usize {
        self.channels * self.image_size * self.image_size
    }

    /// Pixels that the linear layer's features are means over.
    pub(crate) fn pooled_pixels(&self) -> usize {
        self.attention_pixels()[GROUPS - 1]
    }

    /// Whether there is such a network here: names the first field that is out of range.
    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let wrong = |field, given: usize, allowed: &str| {
            Err(KernelError::Field { field, given: given.to_string(), allowed: allowed.to_string() })
        };
        if !(1..=400).contains(&self.blocks_in_group) {
            return wrong("blocks_in_group", self.blocks_in_group, "1 to 400");
        }
        // Where blocks append channels, those before them need not fill whole blocks of 16.
        let (divisor, allowed) = match self.blocks {
            Blocks::PreActivation | Blocks::PostActivation => (BLOCK, "16 to 4096, divisible by 16"),
            Blocks::Dense | Blocks::DenseBottleneck => (1, "1 to 4096"),
        };
        let whole = |channels: &usize| (divisor..=4096).contains(channels) && channels.is_multiple_of(divisor);
        if !whole(&self.stem) {
            return wrong("stem", self.stem, allowed);
        }
        if let Some(channels) = self.group_channels.iter().find(|channels| !whole(channels)) {
            return wrong("group_channels", *channels, allowed);
        }
        let [first, second, third] = self.group_channels;
        match self.blocks {
            Blocks::PreActivation | Blocks::PostActivation if first == second || second == third => {
                return wrong("group_channels", second, "another number in each group: its first block has a shortcut");
            }
            Blocks::PreActivation | Blocks::PostActivation => {}
            Blocks::Dense | Blocks::DenseBottleneck => {
                let appended: [Option<usize>; GROUPS] =
                    std::array::from_fn(|group| self.group_channels[group].checked_sub(self.channels_before(group)));
                let each = appended[0].filter(|all| *all > 0 && all.is_multiple_of(self.blocks_in_group));
                if each.is_none() || appended != [each; GROUPS] {
                    let allowed = "as many more than a group reads in each, n·blocks_in_group";
                    return wrong("group_channels", first, allowed);
                }
            }
        }
        if self.channels != 1 && self.channels != 3 {
            return wrong("channels", self.channels, "1 or 3");
        }
        if !(8..=64).contains(&self.image_size) || !self.image_size.is_multiple_of(4) {
            return wrong("image_size", self.image_size, "8 to 64, divisible by 4");
        }
        if !(2..=1000).contains(&self.classes) {
            return wrong("classes", self.classes, "2 to 1000");
        }
        Ok(())
    }
}
