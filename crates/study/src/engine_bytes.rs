//! How many numbers an engine holds of a network, and so how much memory a training takes: here the hand-written engine, in
//! `bytes_of_candle` candle, where that has no operators for it.

use crate::{
    Architecture, bytes_of_candle,
    layout::{Blocks, Layout},
};

impl Architecture {
    /// Bytes that a network takes in training on the CPU with `threads` threads on batches of up to `batch` images: weights as both
    /// passes read them, gradients and momentum; of every image what forward keeps for backward, and the gradients on their way back;
    /// gradients of each part of a batch; each thread's scratch.
    pub fn training_bytes(self, channels: u32, image_size: u32, classes: u32, batch: u32, threads: u32) -> u64 {
        let layout = self.layout();
        if !self.has_kernels() {
            return bytes_of_candle::training_bytes(&layout, channels, image_size, classes, batch);
        }
        let sizes = Sizes::of(&layout, channels, image_size, classes);
        let turned = sizes.turned + sizes.turned_transformed + sizes.turned_shortcut;
        let trained = 2 * sizes.convolutions + turned + 4 * sizes.norms + 2 * sizes.linear;
        let image = sizes.image + sizes.activations + 3 * sizes.largest + sizes.features + u64::from(classes);
        let part = sizes.block_weights + sizes.sums;
        let parts = batch.min(Self::PARTS_MAX);
        let thread = sizes.padded + sizes.transformed + sizes.turned_transformed;
        let evaluated = self.evaluation_bytes(channels, image_size, classes, threads);
        let own = u64::from(batch) * image + u64::from(parts) * part + u64::from(threads) * thread;
        evaluated + FLOAT * (trained + own)
    }

    /// Bytes that either engine holds of each gradient beyond the first that an [`Optimizer`] takes, which [`Architecture::training_bytes`]
    /// has: it and its momentum.
    pub fn optimizer_bytes(self, channels: u32, classes: u32, gradients: u32) -> u64 {
        2 * FLOAT * u64::from(gradients.saturating_sub(1)) * self.parameters(channels, classes)
    }

    /// As [`Architecture::training_bytes`], of a network that is only evaluated: a teacher.
    pub fn evaluation_bytes(self, channels: u32, image_size: u32, classes: u32, threads: u32) -> u64 {
        let layout = self.layout();
        if !self.has_kernels() {
            return bytes_of_candle::evaluation_bytes(&layout, channels, image_size, classes);
        }
        let sizes = Sizes::of(&layout, channels, image_size, classes);
        // Scale and shift, two running statistics, seven numbers that kernels use, and two in double precision.
        let held = sizes.convolutions + sizes.convolutions_transformed + 15 * sizes.norms + sizes.linear;
        let thread = sizes.padded + 2 * sizes.transformed + 3 * EVALUATED_TOGETHER * sizes.largest;
        FLOAT * (held + u64::from(threads) * thread)
    }

    /// Numbers of one image that pass through memory in a training step, all together: those that are kept between forward and backward,
    /// and where many blocks read the same, what each of them reads.
    pub fn activations(self, channels: u32, image_size: u32, classes: u32) -> u64 {
        let layout = self.layout();
        if !self.has_kernels() {
            return bytes_of_candle::activations(&layout, channels, image_size, classes);
        }
        let sizes = Sizes::of(&layout, channels, image_size, classes);
        sizes.activations + sizes.read_again
    }

    /// Parts of a batch that sum gradients of their own in the hand-written engine.
    pub(crate) const PARTS_MAX: u32 = 8;
}

/// Bytes of a number in single precision.
const FLOAT: u64 = 4;

/// Images that it takes through the network together when it evaluates.
const EVALUATED_TOGETHER: u64 = 8;

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

/// Channels as it lays them out: in whole blocks.
fn whole(channels: u64) -> u64 {
    channels.next_multiple_of(16)
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
    /// Inputs of the last layer, and its weights with their bias.
    features: u64,
    linear: u64,
    /// Of one image: itself, what of it is kept for the backward pass, what is read once more, its largest activation, and that with its
    /// border.
    image: u64,
    activations: u64,
    read_again: u64,
    largest: u64,
    padded: u64,
    /// Of one part of a batch: the most weights whose gradients are summed at a time, and sums per channel, which are doubles.
    block_weights: u64,
    sums: u64,
}

impl Sizes {
    /// Of a network that [has kernels](Architecture::has_kernels).
    fn of(layout: &Layout, channels: u32, image_size: u32, classes: u32) -> Sizes {
        match layout.blocks {
            Blocks::PreActivation | Blocks::PostActivation => Self::of_sums(layout, channels, image_size, classes),
            Blocks::Dense | Blocks::DenseBottleneck => Self::of_dense(layout, channels, image_size, classes),
            Blocks::Bottleneck => unreachable!("it has no kernels"),
        }
    }

    /// What a network has before its blocks are counted: the convolution on the image, and one with `features` at the end.
    fn beginning(layout: &Layout, channels: u32, image_size: u32, classes: u32, features: u64) -> Sizes {
        let (channels, classes) = (u64::from(channels), u64::from(classes));
        let (stem, size) = (whole(u64::from(layout.stem.channels)), u64::from(image_size));
        let first = stem * size * size;
        Sizes {
            convolutions: 9 * channels * stem,
            convolutions_transformed: 0,
            turned: 0,
            turned_transformed: 0,
            turned_shortcut: 0,
            transformed: 0,
            norms: 0,
            features,
            linear: features * classes + classes,
            image: channels * size * size,
            activations: 0,
            read_again: 0,
            largest: first,
            padded: stem * (size + 2) * (size + 2),
            block_weights: 9 * channels * stem,
            sums: 0,
        }
    }

    /// Counts a convolution of stride 1 whose weights the engine may transform.
    fn add_transformed(&mut self, input: u64, output: u64, size: u64) {
        if tiled(size) {
            let weights = POSITIONS * input * output;
            self.convolutions_transformed += weights;
            self.turned_transformed = self.turned_transformed.max(weights);
            self.transformed = self.transformed.max(transformed(input.max(output), size));
        }
    }

    fn add_padded(&mut self, channels: u64, size: u64) {
        self.padded = self.padded.max(channels * (size + 2) * (size + 2));
    }

    /// Of a network whose blocks end in sums.
    fn of_sums(layout: &Layout, channels: u32, image_size: u32, classes: u32) -> Sizes {
        let features = u64::from(layout.features());
        let mut sizes = Self::beginning(layout, channels, image_size, classes, features);
        // Of the first convolution's output and of a block's are kept: what convolutions gave, and where a ReLU follows a sum that too.
        let after = layout.blocks.normalise_after();
        let (of_first, of_block, sums) = if after { (2, 3, 2) } else { (1, 2, 1) };
        sizes.activations = of_first * sizes.largest;
        // Doubles, two a channel.
        sizes.sums = sums * 4 * features;
        sizes.norms = layout.norms();
        let mut size = u64::from(image_size);
        for block in layout.each_block() {
            let before = size;
            size = size.div_ceil(u64::from(block.stride));
            let (input, output) = (u64::from(block.input), u64::from(block.output));
            let (first, second) = (9 * input * output, 9 * output * output);
            let shortcut = if block.changes_channels() { input * output } else { 0 };
            let activation = output * size * size;
            sizes.convolutions += first + second + shortcut;
            sizes.activations += of_block * activation;
            if after && block.changes_channels() {
                sizes.activations += activation;
            }
            sizes.largest = sizes.largest.max(activation);
            sizes.add_padded(input.max(output), before);
            sizes.add_padded(output, size);
            sizes.turned = sizes.turned.max(first).max(second);
            sizes.turned_shortcut = sizes.turned_shortcut.max(shortcut);
            if block.stride == 1 {
                sizes.add_transformed(input, output, size);
            }
            sizes.add_transformed(output, output, size);
            sizes.block_weights = sizes.block_weights.max(first + shortcut).max(second);
        }
        sizes
    }

    /// Of a network whose blocks append channels. The engine begins a block of 16 with each block's: a group is counted as it lies in
    /// memory.
    fn of_dense(layout: &Layout, channels: u32, image_size: u32, classes: u32) -> Sizes {
        let times = layout.groups.first().map_or(0, |group| u64::from(group.blocks));
        let (growth, middle) = layout.each_block().next().map_or((0, 0), |block| {
            (whole(u64::from(block.output)), whole(u64::from(layout.blocks.middle(block.output))))
        });
        let before = |group: u32| whole(u64::from(layout.channels_before(group)));
        let all = |group: u32| before(group) + times * growth;
        let groups = layout.groups.len() as u32;
        let mut sizes = Self::beginning(layout, channels, image_size, classes, all(groups - 1));
        sizes.norms = all(groups - 1);
        let mut most_sums = middle;
        for group in 0..groups {
            let size = u64::from(image_size).div_ceil(1 << group);
            for index in 0..times {
                let input = before(group) + index * growth;
                sizes.norms += input + middle;
                sizes.read_again += input * size * size;
                sizes.add_padded(input, size);
                // What the 3×3 convolution reads.
                let read = if middle > 0 { middle } else { input };
                sizes.add_weights(9 * read * growth);
                sizes.add_transformed(read, growth, size);
                // What is kept of a bottleneck.
                sizes.add_weights(input * middle);
                sizes.activations += middle * size * size;
                sizes.add_padded(middle, size);
            }
            let activation = all(group) * size * size;
            sizes.activations += activation;
            sizes.largest = sizes.largest.max(activation).max(middle * size * size);
            most_sums = most_sums.max(all(group));
            if group + 1 < groups {
                sizes.add_weights(all(group) * before(group + 1));
                sizes.norms += all(group);
                sizes.add_padded(all(group), size.div_ceil(2));
            }
        }
        // Doubles, two a channel; those of a bottleneck beside those of its group.
        sizes.sums = 4 * (most_sums + middle);
        sizes
    }

    /// Counts a convolution whose weights' gradients are summed by themselves.
    fn add_weights(&mut self, weights: u64) {
        self.convolutions += weights;
        self.turned = self.turned.max(weights);
        self.block_weights = self.block_weights.max(weights);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str) -> Architecture {
        name.parse().unwrap()
    }

    #[test]
    fn memory_grows_with_the_batch_and_a_teacher_needs_little() {
        let large = network("wrn-604-20");
        let bytes = |batch| large.training_bytes(3, 32, 10, batch, 1);
        assert!(bytes(4096) > 1_000_000_000_000, "{}", bytes(4096));
        assert_eq!((bytes(64) - bytes(16)) / 48, (bytes(4096) - bytes(64)) / 4032);
        // Fewer parts than a batch has images sum gradients apart.
        assert!(bytes(9) - bytes(8) < bytes(2) - bytes(1));
        assert!(large.evaluation_bytes(3, 32, 10, 1) < bytes(1));
        let usual = network("wrn-16-2");
        assert!(usual.evaluation_bytes(3, 32, 10, 1) < usual.training_bytes(3, 32, 10, 64, 1) / 3);
        // What a ReLU after a sum gives is kept too.
        let [before, after] = ["wrn-10-1", "resnet8"].map(|name| network(name).training_bytes(3, 32, 10, 64, 1));
        assert!(before < after && after < 2 * before, "{before} {after}");
    }
}
