//! The backward pass: from the gradient on the logits to the gradient of every parameter.

use crate::attention::{self, GROUPS};
use crate::buffer::{BLOCK, Buffer};
use crate::descent::Aside;
use crate::layer::Layer;
use crate::layout::pad_image;
use crate::network::Body;
use crate::padded::Window;
use crate::pass::{BeforeNorm, Pass, cleared, pointers};
use crate::threads::{FlushToZero, SharedPointer};
use crate::{Network, Shape, dense, post_activation, pre_activation};

/// What a loss has on what the network gave.
pub(crate) struct OutputGradients<'a> {
    /// (n, classes).
    pub(crate) logits: &'a [f32],
    /// (n, pixels) of each group, where the loss looks at them.
    pub(crate) maps: Option<[&'a [f32]; GROUPS]>,
}

impl<'a> OutputGradients<'a> {
    /// The group that ends with this block, and the gradients on its maps; `None` within a group, and where the loss does not look.
    fn of_group(&self, shape: &Shape, block: usize) -> Option<(usize, &'a [f32])> {
        let group = shape.group_ended_by(block)?;
        Some((group, self.maps?[group]))
    }

    /// Where the loss looks at the map of the group that ends with this block: sets `to` to its gradient on the block's output, both
    /// `stride` floats an image. Whether it does look.
    pub(crate) fn of_map(
        &self,
        pass: &Pass<'_>,
        shape: &Shape,
        block: usize,
        (output, stride): (&[f32], usize),
        to: SharedPointer<f32>,
    ) -> bool {
        let Some((group, map_gradients)) = self.of_group(shape, block) else { return false };
        let (pixels, channels) = (shape.attention_pixels()[group], shape.group_channels[group]);
        pass.each_part(&|_, _, images| {
            for image in images {
                // SAFETY: each image has its own stretch.
                let to = unsafe { std::slice::from_raw_parts_mut(to.at(image * stride), stride) };
                let map_gradient = &map_gradients[image * pixels..][..pixels];
                attention::activation_gradient(map_gradient, &output[image * stride..][..stride], channels, to);
            }
        });
        true
    }
}

impl Network {
    /// Gradients of all parameters from `logits_gradient`, the gradient of the loss on the logits (n, classes) of the last
    /// [`Network::forward`].
    ///
    /// # Panics
    /// Before any `forward`, where the gradient has another length than the logits, or on a network made for evaluation.
    pub fn backward(&mut self, logits_gradient: &[f32]) {
        self.propagate(logits_gradient, None);
    }

    /// As [`Network::backward`], of a loss that also looks at the attention maps: `map_gradients` are its gradients on those
    /// of the three groups, (n, pixels) each, as [`Network::attention`] gives them.
    ///
    /// # Panics
    /// As [`Network::backward`], and where a gradient has another length than its maps.
    pub fn backward_with_attention(&mut self, logits_gradient: &[f32], map_gradients: [&[f32]; GROUPS]) {
        self.propagate(logits_gradient, Some(map_gradients));
    }

    fn propagate(&mut self, logits_gradient: &[f32], map_gradients: Option<[&[f32]; GROUPS]>) {
        let _flushed = FlushToZero::new();
        let Network { shape, kernels, threads, first, body, norm, linear, spaces, training, .. } = self;
        let training = training.as_mut().expect("a network made for evaluation does not train");
        let batch = training.batch;
        assert!(batch > 0, "backward needs a forward pass before it");
        assert_eq!(logits_gradient.len(), batch * shape.classes, "one gradient for each logit");
        for (group, pixels) in shape.attention_pixels().into_iter().enumerate() {
            let fits = map_gradients.is_none_or(|gradients| gradients[group].len() == batch * pixels);
            assert!(fits, "one gradient for each pixel of an attention map");
        }

        if training.aside == Aside::Alone {
            training.aside = Aside::BesideAnother;
        }
        linear.backward(&training.pooled[..batch * linear.features], logits_gradient);
        let pass = Pass::new(kernels, threads, spaces, batch);
        let gradients = OutputGradients { logits: logits_gradient, maps: map_gradients };
        let of_first = match body {
            Body::PreActivation(blocks) => {
                pre_activation::backward(&pass, shape, blocks, norm, linear, training, &gradients)
            }
            Body::PostActivation(blocks) => {
                post_activation::backward(&pass, shape, blocks, norm, linear, training, &gradients)
            }
            Body::Dense(groups) => dense::backward(&pass, shape, groups, norm, linear, training, &gradients),
        };
        stem(&pass, shape, first, &of_first, &training.images, &mut training.part_gradients);
    }
}

/// The gradient of the convolution on the images, from that on its outputs.
fn stem(
    pass: &Pass<'_>,
    shape: &Shape,
    first: &mut Layer,
    of_outputs: &BeforeNorm,
    images: &[f32],
    part_gradients: &mut [Buffer],
) {
    let Shape { channels, image_size: size, .. } = *shape;
    let (image_len, padded_len) = (shape.image_len(), channels * (size + 2) * (size + 2));
    let (stride, blocks) = (first.geometry.output_stride, first.geometry.output_channels / BLOCK);
    let part_gradients = pointers(part_gradients);
    {
        let first = &*first;
        pass.each_part(&|part, thread, images_of_part| {
            // SAFETY: each thread has its own scratch, each part sums in its own buffer, all made for these lengths; the instruction
            // set is available.
            unsafe {
                let [padded, padded_gradient] = pass.scratch[thread].padded.map(|padded| padded.at(0));
                let padded = std::slice::from_raw_parts_mut(padded, padded_len);
                padded.fill(0.0);
                let weights = cleared(part_gradients[part].at(0), first.added_len());
                let of_outputs = of_outputs.gradient();
                for image in images_of_part {
                    pad_image(&images[image * image_len..][..image_len], channels, size, padded);
                    let of = of_outputs.at(image * stride, 0);
                    (pass.kernels.norm_gradient_padded)(&of, padded_gradient, blocks, &Window::whole(size));
                    let sweep = &first.geometry.weight_gradient;
                    (pass.kernels.weight_gradient)(sweep, padded.as_ptr(), padded_gradient, weights);
                }
            }
        });
    }
    pass.add_parts(&part_gradients, 0, &mut first.descent.gradient);
}
