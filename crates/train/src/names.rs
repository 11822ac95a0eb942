//! What the model zoos (RepDistiller, mdistiller, torchvision) call a network's tensors, and their order there. They have no DenseNets
//! for small images: theirs are called as Wide ResNets' are, and the transitions `trans1` and `trans2`, as is usual.

use crate::engine::{NetworkShape, TensorSpec};
use study::layout::{Block, Blocks, Convolution, Layer, Operator, Place};

/// Every convolution, in the zoo's order, by the name of its layer.
pub(crate) fn convolutions(shape: &NetworkShape) -> impl Iterator<Item = (String, Convolution)> {
    let layout = shape.architecture.layout();
    let layers = layout.layers(shape.channels as u32).into_iter();
    layers.filter_map(move |layer| Some((name(layout.blocks, &layer), layer.convolution()?)))
}

/// How the names of a block's layers begin.
pub(crate) fn block(blocks: Blocks, block: &Block) -> String {
    let (group, index) = (block.group + 1, block.index);
    match blocks {
        Blocks::PreActivation | Blocks::Dense | Blocks::DenseBottleneck => format!("block{group}.layer.{index}"),
        Blocks::PostActivation | Blocks::Bottleneck => format!("layer{group}.{index}"),
    }
}

/// How the names of the layers in the transition after this block begin.
pub(crate) fn transition(block: &Block) -> String {
    format!("trans{}", block.group + 1)
}

fn name(blocks: Blocks, layer: &Layer) -> String {
    match &layer.place {
        Place::Outside => layer.name.into(),
        Place::Within(within) => format!("{}.{}", block(blocks, within), layer.name),
        Place::TransitionAfter(last) => format!("{}.{}", transition(last), layer.name),
    }
}

/// Every tensor in the zoo's order.
pub(crate) fn tensors(shape: &NetworkShape) -> Vec<TensorSpec> {
    let layout = shape.architecture.layout();
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize], trained| {
        tensors.push(TensorSpec { name, shape: shape.to_vec(), trained });
    };
    for layer in layout.layers(shape.channels as u32) {
        let name = name(layout.blocks, &layer);
        match layer.operator {
            Operator::Convolution(Convolution { input, output, kernel, .. }) => {
                let shape = [output, input, kernel, kernel].map(|size| size as usize);
                add(format!("{name}.weight"), &shape, true);
            }
            Operator::Norm { channels } => {
                let parts = [("weight", true), ("bias", true), ("running_mean", false), ("running_var", false)];
                for (part, trained) in parts {
                    add(format!("{name}.{part}"), &[channels as usize], trained);
                }
            }
        }
    }
    add("fc.weight".into(), &[shape.classes, layout.features() as usize], true);
    add("fc.bias".into(), &[shape.classes], true);
    tensors
}
