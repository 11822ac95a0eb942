use crate::error::KernelError;

/// A Wide ResNet `wrn-depth-width` and the images it sees.
///
/// Zagoruyko and Komodakis 2016: `depth = 6n + 4`, three groups of n basic blocks with
/// 16·width, 32·width and 64·width channels, the second and third at half and a quarter of the image's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 10, 16, 22, 28, 40, ...
    pub depth: usize,
    pub width: usize,
    /// Of the image: 1 (grey) or 3 (colour).
    pub channels: usize,
    /// Height and width of the image in pixels.
    pub image_size: usize,
    pub classes: usize,
}

impl Shape {
    /// Blocks in each of the three groups.
    pub(crate) fn blocks_in_group(&self) -> usize {
        (self.depth - 4) / 6
    }

    /// Channels of a group, counted from 0.
    pub(crate) fn group_channels(&self, group: usize) -> usize {
        (16 << group) * self.width
    }

    /// What the linear layer sees: channels of the last group.
    pub(crate) fn features(&self) -> usize {
        self.group_channels(2)
    }

    /// Floats in one image.
    pub(crate) fn image_len(&self) -> usize {
        self.channels * self.image_size * self.image_size
    }

    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let wrong = |field, given: usize, allowed: &str| {
            Err(KernelError::Field { field, given: given.to_string(), allowed: allowed.to_string() })
        };
        if !(10..=1000).contains(&self.depth) || !(self.depth - 4).is_multiple_of(6) {
            return wrong("depth", self.depth, "6n + 4 from 10 on (10, 16, 22, 28, ...), up to 1000");
        }
        if !(1..=32).contains(&self.width) {
            return wrong("width", self.width, "1 to 32");
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
