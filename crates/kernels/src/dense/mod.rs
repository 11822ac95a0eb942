//! Groups whose blocks append channels to what they read (Huang et al. 2017), and the passes through them.
//!
//! A group's activation has room for all channels that its blocks append, each block's in blocks of 16 of their own, filled up with
//! zeros: nothing is ever copied together. A block of `n` input channels gives `convolution(relu(norm(x[..n])))`, or by way of a
//! bottleneck `last(relu(norm(middle)))` of `middle = bottleneck(relu(norm(x[..n])))`, which is kept. The transition to the next group
//! is such a convolution of all channels, 1×1, that reads means over 2×2 pixels: they are the same before it and after it, and before
//! it there is a quarter to multiply. The network's own batch norm, `last`, is before the pooling.

mod backward;

use std::ptr::null;

use crate::attention::GROUPS;
use crate::channels::Channels;
use crate::convolution::Convolution;
use crate::evaluation::Company;
use crate::layer::{Layer, Source};
use crate::network::Training;
use crate::norm::{Norm, Sums};
use crate::pass::{Pass, normalised, rectified, running};
use crate::threads::SharedPointer;
use crate::winograd::{Finish, Target};
use crate::{Blocks, Shape};

pub(crate) use backward::{LinearPart, backward};

/// Blocks that work on one activation.
pub(crate) struct Group {
    pub(crate) blocks: Vec<Block>,
    /// To the next group.
    pub(crate) transition: Option<Step>,
    /// All channels, those that the blocks append with them.
    pub(crate) channels: Channels,
    size: usize,
}

/// What appends channels to those that it reads.
pub(crate) struct Block {
    /// To fewer channels, where there is one: a 1×1 convolution.
    pub(crate) bottleneck: Option<Step>,
    pub(crate) last: Step,
}

/// A batch norm and the convolution that reads what its ReLU gives.
pub(crate) struct Step {
    pub(crate) norm: Norm,
    pub(crate) convolution: Layer,
}

impl Group {
    /// Floats of one image's activation.
    pub(crate) fn stride(&self) -> usize {
        self.channels.padded() * self.size * self.size
    }

    pub(crate) fn convolutions(&self) -> impl Iterator<Item = &Layer> + Clone {
        self.blocks.iter().flat_map(Block::steps).chain(&self.transition).map(|step| &step.convolution)
    }
}

impl Block {
    fn steps(&self) -> impl Iterator<Item = &Step> + Clone {
        self.bottleneck.iter().chain([&self.last])
    }

    /// Channels before those that it appends, zeros and all.
    fn read(&self) -> usize {
        self.bottleneck.as_ref().unwrap_or(&self.last).norm.channels
    }

    /// Channels between its two convolutions; 0 where it has one.
    pub(crate) fn middle(&self) -> usize {
        self.bottleneck.as_ref().map_or(0, |_| self.last.norm.channels)
    }
}

/// Channels of a bottleneck, as a multiple of those that its block appends (Huang et al. 2017, section 3).
const BOTTLENECK: usize = 4;

/// The groups of a network; `trains`: whether they need what descent keeps.
pub(crate) fn groups(shape: &Shape, trains: bool) -> Vec<Group> {
    let (growth, times) = (shape.growth(), shape.blocks_in_group);
    let channels: [Channels; GROUPS] =
        std::array::from_fn(|group| Channels::grown(shape.channels_before(group), growth, times));
    let size = |group: usize| shape.image_size >> group;
    let stride = |group: usize| channels[group].padded() * size(group) * size(group);
    let step = |[read, given]: [Channels; 2], size: usize, kernel: usize, [input, output]: [usize; 2]| {
        let convolution = Convolution::new(read.padded(), given.padded(), size, 1, kernel).within(input, output);
        Step {
            norm: Norm::of_channels(read, trains),
            convolution: Layer::of_channels(convolution, [read, given], trains),
        }
    };
    let group = |group: usize| {
        let (own_size, own) = (size(group), stride(group));
        let block = |index: usize| {
            let read = Channels::grown(shape.channels_before(group), growth, index);
            let given = Channels::grown(0, growth, 1);
            if shape.blocks == Blocks::Dense {
                return Block { bottleneck: None, last: step([read, given], own_size, 3, [own, own]) };
            }
            let middle = Channels::side_by_side(BOTTLENECK * growth);
            let between = middle.padded() * own_size * own_size;
            Block {
                bottleneck: Some(step([read, middle], own_size, 1, [own, between])),
                last: step([middle, given], own_size, 3, [between, own]),
            }
        };
        let transition = |next: usize| {
            let given = Channels::side_by_side(shape.channels_before(next));
            step([channels[group], given], size(next), 1, [own, stride(next)])
        };
        Group {
            blocks: (0..times).map(block).collect(),
            transition: (group + 1 < GROUPS).then(|| transition(group + 1)),
            channels: channels[group],
            size: own_size,
        }
    };
    (0..GROUPS).map(group).collect()
}

/// What the transition after a group reads, of the batch's statistics.
fn pooled(norm: &Norm, input: *const f32) -> Source {
    Source::Pooled { input, scale: norm.scale.as_ptr(), shift: norm.shift.as_ptr() }
}

/// From the first convolution's outputs, summed, to the last group's.
pub(crate) fn forward(pass: &Pass<'_>, groups: &mut [Group], last: &mut Norm, training: &mut Training) {
    let mut middles = training.middles.iter_mut();
    let parts = pass.parts;
    for (index, group) in groups.iter_mut().enumerate() {
        let (pixels, x) = (group.size * group.size, SharedPointer::new(&mut training.inputs[index]));
        let count = pass.batch * pixels;
        for block in &mut group.blocks {
            let read = block.read();
            // SAFETY: within the first image.
            let appended = unsafe { x.offset(read * pixels) };
            let Block { bottleneck, last } = block;
            let input = match bottleneck.as_mut().zip(middles.next()) {
                None => {
                    last.norm.use_batch(&training.sums[..parts], count);
                    x
                }
                Some((bottleneck, middle)) => {
                    let middle = SharedPointer::new(middle);
                    bottleneck.norm.use_batch(&training.sums[..parts], count);
                    let sums = SharedPointer::new(&mut training.sums_beside);
                    forward_step(pass, bottleneck, [x, middle], (sums, 0));
                    last.norm.use_batch(&training.sums_beside[..parts], count);
                    middle
                }
            };
            forward_step(pass, last, [input, appended], (SharedPointer::new(&mut training.sums), read));
        }
        let Some(Step { norm, convolution }) = &mut group.transition else {
            last.use_batch(&training.sums[..parts], count);
            break;
        };
        norm.use_batch(&training.sums[..parts], count);
        let (norm, convolution) = (&*norm, &*convolution);
        let next = SharedPointer::new(&mut training.inputs[index + 1]);
        let sums = SharedPointer::new(&mut training.sums);
        pass.each_part(&|part, thread, images| {
            // SAFETY: as in `forward_step`.
            unsafe {
                let finish = (*sums.at(part)).of_outputs(0..convolution.geometry.output_channels);
                let to = Target { start: null(), output: next.at(0), finish };
                let source = pooled(norm, x.at(0));
                convolution.forward(pass.kernels, &pass.scratch[thread], images, &source, &to);
            }
        });
    }
}

/// From `input` to `output`, by this batch's statistics. The sums of what it gives are those from this channel on.
fn forward_step(
    pass: &Pass<'_>,
    Step { norm, convolution }: &Step,
    [input, output]: [SharedPointer<f32>; 2],
    (sums, first): (SharedPointer<Sums>, usize),
) {
    pass.each_part(&|part, thread, images| {
        // SAFETY: each thread has its own scratch, each part its own sums, each image its own activations, of which what is read and
        // what is written are different channels, all made for these lengths; the instruction set is available.
        unsafe {
            let source = normalised(norm, input.at(0));
            let finish = (*sums.at(part)).of_outputs(first..first + convolution.geometry.output_channels);
            let to = Target { start: null(), output: output.at(0), finish };
            convolution.forward(pass.kernels, &pass.scratch[thread], images, &source, &to);
        }
    });
}

/// The images' way through the groups, by running statistics: where the last one's output lies. `seen` is told each block's place and
/// the output that it appended to.
///
/// # Safety
/// The kernels' instruction set; pointers to whole activations of these images; nobody else uses the scratch.
pub(crate) unsafe fn evaluate(company: &Company<'_>, groups: &[Group], seen: impl Fn(usize, *const f32)) -> *const f32 {
    let Company { kernels, scratch, images, .. } = company;
    let [mut x, mut next, middle] = company.plain;
    let mut seen_blocks = 0;
    for group in groups {
        for block in &group.blocks {
            let Block { bottleneck, last } = block;
            // SAFETY: the caller's promises.
            unsafe {
                let output = x.add(block.read() * group.size * group.size);
                let mut source = running(&last.norm, x);
                if let Some(Step { norm, convolution }) = bottleneck {
                    let (of_middle, finish) = rectified(convolution, &last.norm, middle);
                    let to = Target { start: null(), output: middle, finish };
                    convolution.forward(kernels, scratch, images.clone(), &running(norm, x), &to);
                    source = of_middle;
                }
                let to = Target { start: null(), output, finish: Finish::Stored };
                last.convolution.forward(kernels, scratch, images.clone(), &source, &to);
            }
            seen(seen_blocks, x);
            seen_blocks += 1;
        }
        let Some(Step { norm, convolution }) = &group.transition else { break };
        let (scale, shift) = (norm.running_scale.as_ptr(), norm.running_shift.as_ptr());
        let to = Target { start: null(), output: next, finish: Finish::Stored };
        // SAFETY: the caller's promises.
        unsafe {
            convolution.forward(kernels, scratch, images.clone(), &Source::Pooled { input: x, scale, shift }, &to)
        };
        std::mem::swap(&mut x, &mut next);
    }
    x
}
