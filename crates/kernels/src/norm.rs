//! Batch normalisation's numbers per channel (Ioffe & Szegedy 2015), as PyTorch computes them: ε = 1e-5, running
//! statistics with momentum 0.1 and the unbiased variance.

use std::ops::Range;

use crate::buffer::{BLOCK, Buffer};
use crate::channels::Channels;
use crate::descent::Descent;
use crate::threads::SharedPointer;
use crate::winograd::Finish;

const EPSILON: f64 = 1e-5;
const RUNNING_MOMENTUM: f64 = 0.1;

/// Sums per channel of one part of a batch, in double precision: of `x` and `x²` forward, of the gated gradient and its
/// product with `x` backward.
#[derive(Clone)]
pub(crate) struct Sums {
    pub(crate) first: Vec<f64>,
    pub(crate) second: Vec<f64>,
}

impl Sums {
    pub(crate) fn zeros(channels: usize) -> Self {
        Sums { first: vec![0.0; channels], second: vec![0.0; channels] }
    }

    /// Sums of these channels that a convolution's outputs are added to, cleared.
    pub(crate) fn of_outputs(&mut self, channels: Range<usize>) -> Finish {
        let [sums, squares] = [&mut self.first, &mut self.second].map(|sums| &mut sums[channels.clone()]);
        sums.fill(0.0);
        squares.fill(0.0);
        Finish::Summed { sums: sums.as_mut_ptr(), squares: squares.as_mut_ptr() }
    }

    /// As [`Sums::of_gated`], of a gradient that is added to what is there.
    pub(crate) fn of_accumulated(&mut self, norm: &Norm, input: *const f32) -> Finish {
        let (scale, shift) = (norm.scale.as_ptr(), norm.shift.as_ptr());
        Finish::Accumulated { input, scale, shift, sums: self.first.as_mut_ptr(), products: self.second.as_mut_ptr() }
    }

    /// Sums that a gradient is added to while the ReLU after `norm`, which read `input`, gates it.
    pub(crate) fn of_gated(&mut self, norm: &Norm, input: *const f32) -> Finish {
        let (scale, shift) = (norm.scale.as_ptr(), norm.shift.as_ptr());
        Finish::Gated { input, scale, shift, sums: self.first.as_mut_ptr(), products: self.second.as_mut_ptr() }
    }

    /// Sums that a gradient is added to while the ReLU after a sum, which gave `output`, gates it; a batch norm before that sum read
    /// `input`.
    pub(crate) fn of_gated_by(&mut self, output: *const f32, input: *const f32) -> Finish {
        Finish::GatedByOutput { output, input, sums: self.first.as_mut_ptr(), products: self.second.as_mut_ptr() }
    }

    pub(crate) fn clear(&mut self, channels: usize) {
        self.first[..channels].fill(0.0);
        self.second[..channels].fill(0.0);
    }
}

/// One batch norm: what it learns, its running statistics, and the numbers that kernels use.
pub(crate) struct Norm {
    /// A whole number of blocks.
    pub(crate) channels: usize,
    /// Those of them that are the network's. The others' numbers are zero and stay so.
    pub(crate) own: Channels,
    /// γ and β, one after the other, each a whole number of blocks: trained together.
    pub(crate) values: Buffer,
    pub(crate) descent: Descent,
    pub(crate) running_mean: Vec<f32>,
    pub(crate) running_variance: Vec<f32>,
    /// `relu(scale·x + shift)` is what follows.
    pub(crate) scale: Buffer,
    pub(crate) shift: Buffer,
    /// The same by the running statistics, apart, so that an evaluation between a forward and a backward pass
    /// leaves what the latter reads.
    pub(crate) running_scale: Buffer,
    pub(crate) running_shift: Buffer,
    /// The gradient on x is `by_gradient·g + by_input·x + constant`.
    pub(crate) by_gradient: Buffer,
    pub(crate) by_input: Buffer,
    pub(crate) constant: Buffer,
    mean: Vec<f64>,
    inverse_deviation: Vec<f64>,
}

impl Norm {
    /// `trains`: whether it needs what descent keeps.
    pub(crate) fn new(channels: usize, trains: bool) -> Self {
        Self::of_channels(Channels::side_by_side(channels), trains)
    }

    /// As [`Norm::new`], where not all channels of its blocks are the network's.
    pub(crate) fn of_channels(own: Channels, trains: bool) -> Self {
        let channels = own.padded();
        debug_assert!(channels.is_multiple_of(BLOCK));
        Norm {
            channels,
            own,
            values: Buffer::zeros(2 * channels),
            descent: Descent::new(2 * channels, trains),
            running_mean: vec![0.0; channels],
            running_variance: vec![0.0; channels],
            scale: Buffer::zeros(channels),
            shift: Buffer::zeros(channels),
            running_scale: Buffer::zeros(channels),
            running_shift: Buffer::zeros(channels),
            by_gradient: Buffer::zeros(channels),
            by_input: Buffer::zeros(channels),
            constant: Buffer::zeros(channels),
            mean: vec![0.0; channels],
            inverse_deviation: vec![0.0; channels],
        }
    }

    /// Scale and shift of this batch, from the parts' sums in their order; moves the running statistics.
    pub(crate) fn use_batch(&mut self, parts: &[Sums], count: usize) {
        let count = count as f64;
        for channel in 0..self.channels {
            let (sum, squares) = total(parts, channel);
            let mean = sum / count;
            let variance = (squares / count - mean * mean).max(0.0);
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            self.mean[channel] = mean;
            self.inverse_deviation[channel] = inverse;
            (self.scale[channel], self.shift[channel]) = self.scale_and_shift(channel, mean, inverse);
            let unbiased = if count > 1.0 { variance * count / (count - 1.0) } else { variance };
            let moved =
                |old: f32, new: f64| (f64::from(old) * (1.0 - RUNNING_MOMENTUM) + new * RUNNING_MOMENTUM) as f32;
            self.running_mean[channel] = moved(self.running_mean[channel], mean);
            self.running_variance[channel] = moved(self.running_variance[channel], unbiased);
        }
    }

    /// Scale and shift of the running statistics, for evaluation.
    pub(crate) fn use_running(&mut self) {
        for channel in 0..self.channels {
            let (mean, variance) = (f64::from(self.running_mean[channel]), f64::from(self.running_variance[channel]));
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            (self.running_scale[channel], self.running_shift[channel]) = self.scale_and_shift(channel, mean, inverse);
        }
    }

    /// What the gradient on x is made of: by the gated gradient, by x, and constant.
    pub(crate) fn gradient_constants(&mut self) -> [SharedPointer<f32>; 3] {
        [&mut self.by_gradient, &mut self.by_input, &mut self.constant].map(|buffer| SharedPointer::new(buffer))
    }

    fn scale_and_shift(&self, channel: usize, mean: f64, inverse_deviation: f64) -> (f32, f32) {
        let (weight, bias) = (f64::from(self.values[channel]), f64::from(self.values[self.channels + channel]));
        ((weight * inverse_deviation) as f32, (bias - mean * weight * inverse_deviation) as f32)
    }

    /// Gradients of γ and β, and the coefficients of the gradient on x, from the parts' sums in their order.
    pub(crate) fn backward(&mut self, parts: &[Sums], count: usize) {
        let count = count as f64;
        for channel in 0..self.channels {
            let (sum, product) = total(parts, channel);
            let (mean, inverse) = (self.mean[channel], self.inverse_deviation[channel]);
            let weight = f64::from(self.values[channel]);
            let weight_gradient = inverse * (product - mean * sum);
            self.descent.gradient[channel] = weight_gradient as f32;
            self.descent.gradient[self.channels + channel] = sum as f32;
            let by_input = -weight * inverse * inverse * weight_gradient / count;
            self.by_gradient[channel] = (weight * inverse) as f32;
            self.by_input[channel] = by_input as f32;
            self.constant[channel] = (-weight * inverse * sum / count - by_input * mean) as f32;
        }
    }
}

fn total(parts: &[Sums], channel: usize) -> (f64, f64) {
    parts.iter().fold((0.0, 0.0), |(first, second), part| (first + part.first[channel], second + part.second[channel]))
}
