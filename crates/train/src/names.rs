//! What the model zoo (RepDistiller, mdistiller) calls a network's tensors, and their order there. It has no DenseNets: theirs are
//! called as its Wide ResNets' are, and the transitions `trans1` and `trans2`, as is usual for small images.

use crate::engine::{NetworkShape, TensorSpec};
use study::layout::{Block, Blocks};

impl NetworkShape {
    /// How the names of a block's tensors begin.
    pub(crate) fn block_name(&self, block: &Block) -> String {
        let (group, index) = (block.group + 1, block.index);
        match self.architecture.layout().blocks {
            Blocks::PreActivation | Blocks::Dense | Blocks::DenseBottleneck => format!("block{group}.layer.{index}"),
            Blocks::PostActivation => format!("layer{group}.{index}"),
        }
    }
}

/// How the names of the tensors in the transition after this block begin.
pub(crate) fn transition(block: &Block) -> String {
    format!("trans{}", block.group + 1)
}

/// Every tensor in the zoo's order.
pub(crate) fn tensors(shape: &NetworkShape) -> Vec<TensorSpec> {
    let layout = shape.architecture.layout();
    let mut listed = Listed(Vec::new());
    listed.convolution("conv1", layout.stem, shape.channels as u32, 3);
    if layout.blocks == Blocks::PostActivation {
        listed.norm("bn1", layout.stem);
    }
    for block in layout.each_block() {
        let part = |part: &str| format!("{}.{part}", shape.block_name(&block));
        let Block { input, output, .. } = block;
        match layout.blocks {
            Blocks::PreActivation => {
                listed.norm(&part("bn1"), input);
                listed.convolution(&part("conv1"), output, input, 3);
                listed.norm(&part("bn2"), output);
                listed.convolution(&part("conv2"), output, output, 3);
                if block.changes_channels() {
                    listed.convolution(&part("convShortcut"), output, input, 1);
                }
            }
            Blocks::PostActivation => {
                listed.convolution(&part("conv1"), output, input, 3);
                listed.norm(&part("bn1"), output);
                listed.convolution(&part("conv2"), output, output, 3);
                listed.norm(&part("bn2"), output);
                if block.changes_channels() {
                    listed.convolution(&part("downsample.0"), output, input, 1);
                    listed.norm(&part("downsample.1"), output);
                }
            }
            Blocks::Dense => {
                listed.norm(&part("bn1"), input);
                listed.convolution(&part("conv1"), output, input, 3);
            }
            Blocks::DenseBottleneck => {
                let middle = block.bottleneck();
                listed.norm(&part("bn1"), input);
                listed.convolution(&part("conv1"), middle, input, 1);
                listed.norm(&part("bn2"), middle);
                listed.convolution(&part("conv2"), output, middle, 3);
            }
        }
        if layout.has_transition_after(&block) {
            let (name, all) = (transition(&block), input + output);
            listed.norm(&format!("{name}.bn1"), all);
            listed.convolution(&format!("{name}.conv1"), layout.channels_before(block.group + 1), all, 1);
        }
    }
    if layout.blocks != Blocks::PostActivation {
        listed.norm("bn1", layout.features());
    }
    let features = layout.features() as usize;
    listed.tensor("fc.weight".into(), &[shape.classes, features], true);
    listed.tensor("fc.bias".into(), &[shape.classes], true);
    listed.0
}

struct Listed(Vec<TensorSpec>);

impl Listed {
    fn tensor(&mut self, name: String, shape: &[usize], trained: bool) {
        self.0.push(TensorSpec { name, shape: shape.to_vec(), trained });
    }

    fn convolution(&mut self, name: &str, outputs: u32, inputs: u32, kernel: usize) {
        self.tensor(format!("{name}.weight"), &[outputs as usize, inputs as usize, kernel, kernel], true);
    }

    fn norm(&mut self, name: &str, channels: u32) {
        for (tensor, trained) in [("weight", true), ("bias", true), ("running_mean", false), ("running_var", false)] {
            self.tensor(format!("{name}.{tensor}"), &[channels as usize], trained);
        }
    }
}
