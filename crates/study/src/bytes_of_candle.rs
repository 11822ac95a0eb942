//! How many numbers candle holds of a network that the hand-written engine has no operators for, and so how much memory that takes.
//!
//! candle keeps what each of its operators gave until the backward pass is through. Of a convolution's output with its batch norm and
//! ReLU these are six: the convolution's, what lies around the mean, its squares, scaled, shifted and rectified. The gradients of
//! parameters hold besides what they were computed of. How much that comes to was measured, on networks of 18 and 50 layers.

use crate::layout::{Layer, Layout, halved};

/// Bytes of a number in single precision.
const FLOAT: u64 = 4;

/// Numbers kept for each that a convolution gives, at most.
const KEPT: u64 = 17;
/// For each parameter: itself, its momentum, its gradient of the step before, and what that of this step is summed of.
const OF_PARAMETER: u64 = 7;

/// While one operator's gradient is computed, it and what it is computed of: so many times the largest that a convolution gives.
const BACKWARD: u64 = 8;
/// In evaluation, where nothing is kept: what a block reads, and what an operator reads, copies and gives.
const FORWARD: u64 = 4;

/// Images of this height and width that candle evaluates together: so many that memory is bounded.
pub fn evaluated_together(image_size: u32) -> u32 {
    /// Of images of up to 64 pixels.
    const MOST: u32 = 500;
    (MOST * 64 * 64 / image_size.pow(2).max(1)).clamp(1, MOST)
}

/// Of each parameter its weight and what stands beside it; of each image what is kept for the backward pass and what that works on, or
/// what evaluation works on: it begins when the step before is through.
pub(crate) fn training_bytes(layout: &Layout, channels: u32, image_size: u32, classes: u32, batch: u32) -> u64 {
    let largest = largest(layout, channels, image_size);
    let step = u64::from(batch) * (activations(layout, channels, image_size, classes) + BACKWARD * largest);
    let evaluation = FORWARD * u64::from(evaluated_together(image_size)) * largest;
    FLOAT * (OF_PARAMETER * layout.parameters(channels, classes) + step.max(evaluation))
}

/// Weights, which are there twice while they are read, and momentum that is never used; of the images that are evaluated together what is
/// worked on.
pub(crate) fn evaluation_bytes(layout: &Layout, channels: u32, image_size: u32, classes: u32) -> u64 {
    let together = u64::from(evaluated_together(image_size));
    FLOAT * (3 * layout.parameters(channels, classes) + FORWARD * together * largest(layout, channels, image_size))
}

/// Numbers of one image that pass through memory in a training step: those that are kept until it is through.
pub(crate) fn activations(layout: &Layout, channels: u32, image_size: u32, classes: u32) -> u64 {
    let image = u64::from(channels) * u64::from(image_size).pow(2);
    let layers = layout.layers(channels);
    let of_convolutions: u64 =
        layers.iter().filter_map(Layer::convolution).map(|convolution| convolution.activations(image_size)).sum();
    // A sum that is rectified is one more than a ReLU, and a shortcut's convolution has none.
    let of_sums: u64 = layout
        .each_block()
        .filter(|block| !block.changes_channels())
        .map(|block| u64::from(block.output) * u64::from(halved(image_size, block.halvings)).pow(2))
        .sum();
    // The border, and the greatest of two and of three by row and by column.
    let pooled = 7 * u64::from(layout.stem.channels) * u64::from(halved(image_size, 1)).pow(2) / 2;
    image + KEPT * of_convolutions + of_sums + pooled + u64::from(layout.features()) + u64::from(classes)
}

/// The most numbers that a convolution gives for an image.
fn largest(layout: &Layout, channels: u32, image_size: u32) -> u64 {
    let layers = layout.layers(channels);
    let each = layers.iter().filter_map(Layer::convolution).map(|convolution| convolution.activations(image_size));
    each.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_large_images_are_evaluated_together() {
        assert_eq!([8, 28, 64, 96, 224, 256].map(evaluated_together), [500, 500, 500, 222, 40, 31]);
    }
}
