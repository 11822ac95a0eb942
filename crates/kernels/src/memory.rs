//! How much memory a network holds.

use crate::Network;
use crate::buffer::Buffer;
use crate::descent::Descent;
use crate::layer::Turned;
use crate::norm::{Norm, Sums};
use crate::parts::Part;

impl Network {
    /// Bytes of all numbers that this network holds, between steps as in them: it takes none for a step, but for what the first
    /// one along two gradients adds.
    pub fn bytes(&self) -> usize {
        let buffers = |buffers: &[&Buffer]| buffers.iter().map(|buffer| bytes_of(buffer)).sum::<usize>();
        let parts = self.parts().into_iter().map(|part| match part {
            Part::Convolution(layer) => buffers(&[&layer.weights, &layer.transformed]) + layer.descent.bytes(),
            Part::Norm(norm) => norm.bytes(),
            Part::Linear(linear) => {
                let descent = linear.weights_descent.bytes() + linear.bias_descent.bytes();
                buffers(&[&linear.weights, &linear.bias]) + descent
            }
        });
        let spaces = self.spaces.iter().flat_map(|space| {
            let convolutions = &space.convolutions;
            let own = space.plain.iter().chain(&convolutions.padded).chain(&convolutions.transformed);
            own.chain([&convolutions.weight_gradient])
        });
        let turned = |it: &Turned| buffers(&[&it.transposed, &it.transformed]);
        let training = self.training.iter().map(|it| {
            let kept = it.inputs.iter().chain(&it.middles).chain(&it.branches).chain(&it.shortcuts);
            let every_image = kept.chain(&it.gradients).chain(&it.part_gradients);
            buffers(&[&it.images, &it.carried])
                + buffers(&it.linear_part.buffers())
                + turned(&it.turned)
                + turned(&it.turned_shortcut)
                + every_image.map(bytes_of).sum::<usize>()
                + it.sums.iter().chain(&it.sums_beside).map(Sums::bytes).sum::<usize>()
                + size_of_val(&it.pooled[..])
                + size_of_val(&it.logits[..])
        });
        parts.sum::<usize>() + spaces.map(bytes_of).sum::<usize>() + training.sum::<usize>()
    }
}

fn bytes_of(buffer: &Buffer) -> usize {
    buffer.blocks() * crate::buffer::BLOCK * size_of::<f32>()
}

impl Descent {
    fn bytes(&self) -> usize {
        [&self.gradient, &self.velocity, &self.aside, &self.second_velocity].into_iter().map(bytes_of).sum()
    }
}

impl Sums {
    fn bytes(&self) -> usize {
        size_of_val(&self.first[..]) + size_of_val(&self.second[..])
    }
}

impl Norm {
    fn bytes(&self) -> usize {
        let used = [
            &self.values,
            &self.scale,
            &self.shift,
            &self.running_scale,
            &self.running_shift,
            &self.by_gradient,
            &self.by_input,
            &self.constant,
        ];
        // Means and deviations: the batch's in double precision, the running ones in single.
        let statistics = self.channels * 2 * (size_of::<f64>() + size_of::<f32>());
        used.into_iter().map(bytes_of).sum::<usize>() + self.descent.bytes() + statistics
    }
}
