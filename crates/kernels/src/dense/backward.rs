//! The backward pass through groups whose blocks append channels.
//!
//! What a channel's gradient is made of comes from every block that read it. Of each batch norm's gradient,
//! `scale·g + by_input·x + constant`, the first part is added where the gated gradient `g` arises; of the others, which are known only
//! when all of `g` is, the factors are summed ([`LinearPart`]) and used once, where the channel's block reads its gradient.

use std::ptr::null;

use super::{Block, Group, Step, pooled};
use crate::Shape;
use crate::backward::OutputGradients;
use crate::buffer::{BLOCK, Buffer};
use crate::elementwise::Unpooled;
use crate::head::Linear;
use crate::layer::Source;
use crate::network::Training;
use crate::norm::{Norm, Sums};
use crate::pass::{BeforeNorm, Pass, cleared, own_sums, pointers};
use crate::threads::SharedPointer;
use crate::winograd::{Finish, Target};

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
        for (at, block) in group.blocks.iter_mut().enumerate().rev() {
            let read = block.read();
            // SAFETY: within the first image. What is read and what is appended are different channels.
            let [appended, of_appended] = [x, gradient].map(|it| unsafe { it.offset(read * size * size) });
            let of_output = training.linear_part.gradient(of_appended, appended, read);
            let Block { bottleneck, last } = block;
            let step = (&mut last.convolution, &mut last.norm);
            let Some(bottleneck) = bottleneck else {
                pass.backward_normalised(step, &of_output, [x, gradient], Sums::of_accumulated, training);
                training.linear_part.add(&last.norm);
                continue;
            };
            let middle = SharedPointer::new(&mut training.middles[index * shape.blocks_in_group + at]);
            let of_middle = SharedPointer::new(&mut training.carried);
            pass.backward_normalised(step, &of_output, [middle, of_middle], Sums::of_gated, training);
            let of_output = BeforeNorm::new(&mut last.norm, of_middle, middle);
            let step = (&mut bottleneck.convolution, &mut bottleneck.norm);
            pass.backward_normalised(step, &of_output, [x, gradient], Sums::of_accumulated, training);
            training.linear_part.add(&bottleneck.norm);
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
