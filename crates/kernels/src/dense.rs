//! Groups whose blocks append channels to what they read (Huang et al. 2017), and the passes through them.
//!
//! A group's activation has room for all channels that its blocks append, each block's in blocks of 16 of their own, filled up with
//! zeros: nothing is ever copied together. A block of `n` input channels gives `convolution(relu(norm(x[..n])))`; so does the
//! transition to the next group, of all channels, whose 1×1 convolution reads means over 2×2 pixels: they are the same before it and
//! after it, and before it there is a quarter to multiply. The network's own batch norm, `last`, is before the pooling.
//!
//! Backward, what a channel's gradient is made of comes from every block that read it. Of each batch norm's gradient,
//! `scale·g + by_input·x + constant`, the first part is added where the gated gradient `g` arises; of the others, which are known only
//! when all of `g` is, the factors are summed ([`LinearPart`]) and used once, where the channel's block reads its gradient.

use std::ptr::null;

use crate::Shape;
use crate::attention::GROUPS;
use crate::backward::OutputGradients;
use crate::buffer::{BLOCK, Buffer};
use crate::channels::Channels;
use crate::convolution::Convolution;
use crate::elementwise::Unpooled;
use crate::evaluation::Company;
use crate::head::Linear;
use crate::layer::{Layer, Source};
use crate::network::Training;
use crate::norm::{Norm, Sums};
use crate::pass::{BeforeNorm, Pass, cleared, normalised, own_sums, pointers, running};
use crate::threads::SharedPointer;
use crate::winograd::{Finish, Target};

/// Blocks that work on one activation.
pub(crate) struct Group {
    pub(crate) layers: Vec<Step>,
    /// To the next group.
    pub(crate) transition: Option<Step>,
    /// All channels, those that the blocks append with them.
    pub(crate) channels: Channels,
    size: usize,
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
        self.layers.iter().chain(&self.transition).map(|step| &step.convolution)
    }
}

/// The groups of a network; `trains`: whether they need what descent keeps.
pub(crate) fn groups(shape: &Shape, trains: bool) -> Vec<Group> {
    let (growth, times) = (shape.growth(), shape.blocks_in_group);
    let channels: [Channels; GROUPS] =
        std::array::from_fn(|group| Channels::grown(shape.channels_before(group), growth, times));
    let size = |group: usize| shape.image_size >> group;
    let stride = |group: usize| channels[group].padded() * size(group) * size(group);
    let group = |group: usize| {
        let layer = |index: usize| {
            let read = Channels::grown(shape.channels_before(group), growth, index);
            let given = Channels::grown(0, growth, 1);
            let convolution = Convolution::new(read.padded(), given.padded(), size(group), 1, 3);
            let convolution = convolution.within(stride(group), stride(group));
            let convolution = Layer::of_channels(convolution, [read, given], trains);
            Step { norm: Norm::of_channels(read, trains), convolution }
        };
        let transition = |next: usize| {
            let (read, given) = (channels[group], Channels::side_by_side(shape.group_channels[group]));
            let convolution = Convolution::new(read.padded(), given.padded(), size(next), 1, 1);
            let convolution = convolution.within(stride(group), stride(next));
            let convolution = Layer::of_channels(convolution, [read, given], trains);
            Step { norm: Norm::of_channels(read, trains), convolution }
        };
        Group {
            layers: (0..times).map(layer).collect(),
            transition: (group + 1 < GROUPS).then(|| transition(group + 1)),
            channels: channels[group],
            size: size(group),
        }
    };
    (0..GROUPS).map(group).collect()
}

/// Of the gradient on a group's channels, the part that is linear in what they hold: `by_input·x + constant`.
pub(crate) struct LinearPart {
    ones: Buffer,
    by_input: Buffer,
    constant: Buffer,
}

impl LinearPart {
    /// Room for so many channels.
    pub(crate) fn new(channels: usize) -> Self {
        let mut ones = Buffer::zeros(channels);
        ones.fill(1.0);
        LinearPart { ones, by_input: Buffer::zeros(channels), constant: Buffer::zeros(channels) }
    }

    /// What the parts of a gradient are multiplied by: the gathered one, the input, and 1.
    pub(crate) fn buffers(&self) -> [&Buffer; 3] {
        [&self.ones, &self.by_input, &self.constant]
    }

    fn buffers_mut(&mut self) -> [&mut Buffer; 3] {
        [&mut self.ones, &mut self.by_input, &mut self.constant]
    }

    fn clear(&mut self) {
        self.by_input.fill(0.0);
        self.constant.fill(0.0);
    }

    fn add(&mut self, norm: &Norm) {
        for (sums, terms) in [(&mut self.by_input, &norm.by_input), (&mut self.constant, &norm.constant)] {
            sums.iter_mut().zip(terms.iter()).for_each(|(sum, term)| *sum += term);
        }
    }

    /// The whole gradient from this channel on, of which `gathered` has the other part, on what is there in `input`: from there on.
    fn gradient(&mut self, gathered: SharedPointer<f32>, input: SharedPointer<f32>, channel: usize) -> BeforeNorm {
        let constants = self.buffers_mut().map(|buffer| SharedPointer::new(&mut buffer[channel..]));
        BeforeNorm { constants, gated: gathered, input, skip: None, plain: None }
    }
}

/// What the transition after a group reads, of the batch's statistics.
fn pooled(norm: &Norm, input: *const f32) -> Source {
    Source::Pooled { input, scale: norm.scale.as_ptr(), shift: norm.shift.as_ptr() }
}

/// From the first convolution's outputs, summed, to the last group's.
pub(crate) fn forward(pass: &Pass<'_>, groups: &mut [Group], last: &mut Norm, training: &mut Training) {
    let pixels = |group: &Group| group.size * group.size;
    for (index, group) in groups.iter_mut().enumerate() {
        let (pixels, x) = (pixels(group), SharedPointer::new(&mut training.inputs[index]));
        for Step { norm, convolution } in &mut group.layers {
            norm.use_batch(&training.sums[..pass.parts], pass.batch * pixels);
            let (norm, convolution) = (&*norm, &*convolution);
            let sums = SharedPointer::new(&mut training.sums);
            pass.each_part(&|part, thread, images| {
                // SAFETY: each thread has its own scratch, each part its own sums, each image its own activation, of which what is
                // read and what is appended are different channels, all made for these lengths; the instruction set is available.
                unsafe {
                    let source = normalised(norm, x.at(0));
                    let channels = convolution.geometry.output_channels;
                    let finish = (*sums.at(part)).of_outputs(norm.channels..norm.channels + channels);
                    let to = Target { start: null(), output: x.at(norm.channels * pixels), finish };
                    convolution.forward(pass.kernels, &pass.scratch[thread], images, &source, &to);
                }
            });
        }
        let Some(Step { norm, convolution }) = &mut group.transition else { continue };
        norm.use_batch(&training.sums[..pass.parts], pass.batch * pixels);
        let (norm, convolution) = (&*norm, &*convolution);
        let next = SharedPointer::new(&mut training.inputs[index + 1]);
        let sums = SharedPointer::new(&mut training.sums);
        pass.each_part(&|part, thread, images| {
            // SAFETY: as above.
            unsafe {
                let finish = (*sums.at(part)).of_outputs(0..convolution.geometry.output_channels);
                let to = Target { start: null(), output: next.at(0), finish };
                let source = pooled(norm, x.at(0));
                convolution.forward(pass.kernels, &pass.scratch[thread], images, &source, &to);
            }
        });
    }
    last.use_batch(&training.sums[..pass.parts], pass.batch * pixels(&groups[groups.len() - 1]));
}

/// A group's activation, and what is known of the gradient on it.
#[derive(Clone, Copy)]
struct Output {
    x: SharedPointer<f32>,
    gradient: SharedPointer<f32>,
    /// Floats of an image, and its height and width.
    stride: usize,
    size: usize,
    /// Whether the gradient holds something already.
    adds: bool,
}

impl Output {
    /// What an image's `means` over `factor × factor` pixels, after `norm` and its ReLU, bring back.
    ///
    /// # Safety
    /// `image` within the batch.
    unsafe fn of_means(&self, norm: &Norm, image: usize, means: *const f32, factor: usize) -> Unpooled {
        let &Output { x, gradient, stride, size, adds } = self;
        // SAFETY: the caller's promise.
        let (input, onto) = unsafe { (x.at(image * stride).cast_const(), gradient.at(image * stride)) };
        let (scale, shift) = (norm.scale.as_ptr(), norm.shift.as_ptr());
        Unpooled { of_means: means, size: size / factor, factor, input, scale, shift, onto, adds }
    }
}

/// From the gradients on what the network gave to that on the first convolution's outputs.
pub(crate) fn backward(
    pass: &Pass<'_>,
    shape: &Shape,
    groups: &mut [Group],
    last: &mut Norm,
    linear: &Linear,
    training: &mut Training,
    gradients: &OutputGradients<'_>,
) -> BeforeNorm {
    let [mut gradient, mut next_gradient] = training.gradients.each_mut().map(|buffer| SharedPointer::new(buffer));
    for index in (0..groups.len()).rev() {
        let group = &mut groups[index];
        let (size, stride) = (group.size, group.stride());
        let last_block = (index + 1) * shape.blocks_in_group - 1;
        let adds = gradients.of_map(pass, shape, last_block, (&training.inputs[index], stride), gradient);
        let x = SharedPointer::new(&mut training.inputs[index]);
        let output = Output { x, gradient, stride, size, adds };
        let before_means = match &mut group.transition {
            None => {
                backward_pooling(pass, linear, last, gradients.logits, &output, training);
                &*last
            }
            Some(transition) => {
                let next_x = SharedPointer::new(&mut training.inputs[index + 1]);
                let of_next = training.linear_part.gradient(next_gradient, next_x, 0);
                backward_transition(pass, transition, &of_next, &output, training);
                &transition.norm
            }
        };
        training.linear_part.clear();
        training.linear_part.add(before_means);
        for Step { norm, convolution } in group.layers.iter_mut().rev() {
            // SAFETY: within the first image. What is read and what is appended are different channels.
            let [appended, of_appended] = [x, gradient].map(|it| unsafe { it.offset(norm.channels * size * size) });
            let of_output = training.linear_part.gradient(of_appended, appended, norm.channels);
            let step = (convolution, &mut *norm);
            pass.backward_normalised(step, &of_output, [x, gradient], Sums::of_accumulated, training);
            training.linear_part.add(norm);
        }
        std::mem::swap(&mut gradient, &mut next_gradient);
    }
    let input = SharedPointer::new(&mut training.inputs[0]);
    training.linear_part.gradient(next_gradient, input, 0)
}

/// From the gradient on the logits to what the pooling brings back, and what the batch norm before it has learnt.
fn backward_pooling(
    pass: &Pass<'_>,
    linear: &Linear,
    last: &mut Norm,
    of_logits: &[f32],
    output: &Output,
    training: &mut Training,
) {
    let size = output.size;
    let sums = SharedPointer::new(&mut training.sums);
    {
        let last = &*last;
        pass.each_part(&|part, thread, images| {
            // SAFETY: each thread has its own scratch, each part its own sums, each image its own gradient, all made for these
            // lengths; the instruction set is available.
            unsafe {
                let sums = own_sums(sums, part, last.channels);
                let (sums, products) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                let pooled = pass.scratch[thread].padded[0].at(0);
                let pooled = std::slice::from_raw_parts_mut(pooled, linear.features);
                for image in images {
                    linear.input_gradient(&of_logits[image * linear.classes..][..linear.classes], pooled);
                    let of = output.of_means(last, image, pooled.as_ptr(), size);
                    (pass.kernels.unpool)(&of, last.channels / BLOCK, sums, products);
                }
            }
        });
    }
    last.backward(&training.sums[..pass.parts], pass.batch * size * size);
}

/// From the gradient on what a transition gave, `of_next`, to what it brings back, and what it has learnt.
fn backward_transition(
    pass: &Pass<'_>,
    Step { norm, convolution }: &mut Step,
    of_next: &BeforeNorm,
    output: &Output,
    training: &mut Training,
) {
    training.turned.turn(convolution, pass.kernels, pass.threads);
    let turned = &training.turned;
    let part_gradients = pointers(&mut training.part_gradients);
    let of_means = SharedPointer::new(&mut training.carried);
    let sums = SharedPointer::new(&mut training.sums);
    {
        let (norm, convolution) = (&*norm, &*convolution);
        pass.each_part(&|part, thread, images| {
            // SAFETY: as above; each part sums weight gradients in its own buffer.
            unsafe {
                let weights = cleared(part_gradients[part].at(0), convolution.added_len());
                let gradient = Source::Gradient(of_next.gradient());
                let source = pooled(norm, output.x.at(0));
                let to = Target { start: null(), output: of_means.at(0), finish: Finish::Stored };
                let (kernels, scratch) = (pass.kernels, &pass.scratch[thread]);
                convolution.backward(kernels, scratch, images.clone(), &gradient, &source, turned, weights, &to);
                let sums = own_sums(sums, part, norm.channels);
                let (sums, products) = (sums.first.as_mut_ptr(), sums.second.as_mut_ptr());
                for image in images {
                    let of = output.of_means(norm, image, of_means.at(image * output.stride), 2);
                    (kernels.unpool)(&of, norm.channels / BLOCK, sums, products);
                }
            }
        });
    }
    norm.backward(&training.sums[..pass.parts], pass.batch * output.size * output.size);
    pass.add_parts(&part_gradients, 0, &mut convolution.descent.gradient);
}

/// The images' way through the groups, by running statistics: where the last one's output lies. `seen` is told each block's place and
/// the output that it appended to.
///
/// # Safety
/// The kernels' instruction set; pointers to whole activations of these images; nobody else uses the scratch.
pub(crate) unsafe fn evaluate(company: &Company<'_>, groups: &[Group], seen: impl Fn(usize, *const f32)) -> *const f32 {
    let Company { kernels, scratch, images, .. } = company;
    let [mut x, mut next, _] = company.plain;
    let mut block = 0;
    for group in groups {
        for Step { norm, convolution } in &group.layers {
            // SAFETY: the caller's promises.
            unsafe {
                let output = x.add(norm.channels * group.size * group.size);
                let to = Target { start: null(), output, finish: Finish::Stored };
                convolution.forward(kernels, scratch, images.clone(), &running(norm, x), &to);
            }
            seen(block, x);
            block += 1;
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
