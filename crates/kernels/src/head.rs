//! The end of the network: global average pooling, after a batch norm and its ReLU where they are still to come, and the linear layer.

use crate::buffer::{BLOCK, Buffer};
use crate::channels::Channels;
use crate::descent::Descent;

/// `logits = weights · features + bias`; weights are (classes, features), as in PyTorch.
pub(crate) struct Linear {
    /// A whole number of blocks, those of `own` among them.
    pub(crate) features: usize,
    pub(crate) own: Channels,
    pub(crate) classes: usize,
    pub(crate) weights: Buffer,
    pub(crate) weights_descent: Descent,
    pub(crate) bias: Buffer,
    pub(crate) bias_descent: Descent,
}

impl Linear {
    /// From channels that lie there to so many classes; `trains`: whether it needs what descent keeps.
    pub(crate) fn new(own: Channels, classes: usize, trains: bool) -> Self {
        let features = own.padded();
        Linear {
            features,
            own,
            classes,
            weights: Buffer::zeros(features * classes),
            weights_descent: Descent::new(features * classes, trains),
            bias: Buffer::zeros(classes),
            bias_descent: Descent::new(classes, trains),
        }
    }

    /// One image's logits from its pooled features.
    pub(crate) fn forward(&self, pooled: &[f32], logits: &mut [f32]) {
        let rows = self.weights.chunks_exact(self.features);
        for ((logit, row), bias) in logits.iter_mut().zip(rows).zip(self.bias.iter()) {
            *logit = bias + dot(row, pooled);
        }
    }

    /// One image's gradient on its pooled features.
    pub(crate) fn input_gradient(&self, logits_gradient: &[f32], pooled_gradient: &mut [f32]) {
        pooled_gradient.fill(0.0);
        for (factor, row) in logits_gradient.iter().zip(self.weights.chunks_exact(self.features)) {
            for (sum, weight) in pooled_gradient.iter_mut().zip(row) {
                *sum += factor * weight;
            }
        }
    }

    /// The gradients of weights and bias: sums over the batch, image by image.
    pub(crate) fn backward(&mut self, pooled: &[f32], logits_gradient: &[f32]) {
        let (weights, bias) = (&mut self.weights_descent.gradient, &mut self.bias_descent.gradient);
        weights.fill(0.0);
        bias.fill(0.0);
        let images = logits_gradient.chunks_exact(self.classes).zip(pooled.chunks_exact(self.features));
        for (gradient, pooled) in images {
            let rows = weights.chunks_exact_mut(self.features);
            for ((factor, row), bias) in gradient.iter().zip(rows).zip(bias.iter_mut()) {
                *bias += factor;
                for (sum, feature) in row.iter_mut().zip(pooled) {
                    *sum += factor * feature;
                }
            }
        }
    }
}

/// A sum in sixteen chains, added in a fixed order: quick, and the same whatever the batch.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut chains = [0.0f32; BLOCK];
    for (a, b) in a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)) {
        for ((chain, a), b) in chains.iter_mut().zip(a).zip(b) {
            *chain += a * b;
        }
    }
    chains.iter().sum()
}

/// Means over pixels of `relu(scale·x + shift)` for one image's plain activation.
pub(crate) fn pool(plain: &[f32], pixels: usize, scale: &[f32], shift: &[f32], pooled: &mut [f32]) {
    let blocks = plain.chunks_exact(pixels * BLOCK).zip(pooled.chunks_exact_mut(BLOCK));
    for ((block, pooled), (scale, shift)) in blocks.zip(scale.chunks_exact(BLOCK).zip(shift.chunks_exact(BLOCK))) {
        let mut sums = [0.0f32; BLOCK];
        for pixel in block.chunks_exact(BLOCK) {
            for lane in 0..BLOCK {
                let normalised = pixel[lane] * scale[lane] + shift[lane];
                // A NaN stays one: a broken training is to be seen in its loss.
                sums[lane] += if normalised < 0.0 { 0.0 } else { normalised };
            }
        }
        for lane in 0..BLOCK {
            pooled[lane] = sums[lane] / pixels as f32;
        }
    }
}

/// Means over pixels of one image's plain activation.
pub(crate) fn means(plain: &[f32], pixels: usize, pooled: &mut [f32]) {
    for (block, pooled) in plain.chunks_exact(pixels * BLOCK).zip(pooled.chunks_exact_mut(BLOCK)) {
        let mut sums = [0.0f32; BLOCK];
        for pixel in block.chunks_exact(BLOCK) {
            for (sum, x) in sums.iter_mut().zip(pixel) {
                *sum += x;
            }
        }
        for (pooled, sum) in pooled.iter_mut().zip(sums) {
            *pooled = sum / pixels as f32;
        }
    }
}

/// Spreads one image's gradient on its pooled features evenly over the pixels.
pub(crate) fn spread(pooled_gradient: &[f32], pixels: usize, plain: &mut [f32]) {
    for (block, gradient) in plain.chunks_exact_mut(pixels * BLOCK).zip(pooled_gradient.chunks_exact(BLOCK)) {
        let share: [f32; BLOCK] = std::array::from_fn(|lane| gradient[lane] / pixels as f32);
        for pixel in block.chunks_exact_mut(BLOCK) {
            pixel.copy_from_slice(&share);
        }
    }
}
