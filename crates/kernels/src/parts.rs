//! A network's parts with what they learn, in the order of the model zoo's definition, and what they are called there.

use crate::dense::{self, Group, Step};
use crate::head::Linear;
use crate::layer::Layer;
use crate::network::{Block, Body, Shortcut};
use crate::norm::Norm;
use crate::{Blocks, Network, Shape};

/// What learns by itself.
pub(crate) enum Part<'a> {
    Convolution(&'a Layer),
    Norm(&'a Norm),
    Linear(&'a Linear),
}

/// As [`Part`].
pub(crate) enum PartMut<'a> {
    Convolution(&'a mut Layer),
    Norm(&'a mut Norm),
    Linear(&'a mut Linear),
}

/// All parts of a network, as one of the two kinds: the order stands here once.
macro_rules! in_order {
    ($network:expr, $part:ident, $iter:ident $(, $mut:tt)?) => {{
        let mut parts = vec![$part::Convolution(&$($mut)? $network.first)];
        let norm = $part::Norm(&$($mut)? $network.norm);
        match &$($mut)? $network.body {
            Body::PreActivation(blocks) => {
                for Block { norm1, convolution1, norm2, convolution2, shortcut } in blocks {
                    parts.extend([$part::Norm(norm1), $part::Convolution(convolution1)]);
                    parts.extend([$part::Norm(norm2), $part::Convolution(convolution2)]);
                    parts.extend(shortcut.$iter().map(|it| $part::Convolution(&$($mut)? it.convolution)));
                }
                parts.push(norm);
            }
            Body::PostActivation(blocks) => {
                parts.push(norm);
                for Block { norm1, convolution1, norm2, convolution2, shortcut } in blocks {
                    parts.extend([$part::Convolution(convolution1), $part::Norm(norm1)]);
                    parts.extend([$part::Convolution(convolution2), $part::Norm(norm2)]);
                    if let Some(Shortcut { convolution, norm }) = shortcut {
                        parts.push($part::Convolution(convolution));
                        parts.extend(norm.$iter().map($part::Norm));
                    }
                }
            }
            Body::Dense(groups) => {
                for Group { blocks, transition, .. } in groups {
                    let steps =
                        blocks.$iter().flat_map(|dense::Block { bottleneck, last }| bottleneck.$iter().chain([last]));
                    for Step { norm, convolution } in steps.chain(transition) {
                        parts.extend([$part::Norm(norm), $part::Convolution(convolution)]);
                    }
                }
                parts.push(norm);
            }
        }
        parts.push($part::Linear(&$($mut)? $network.linear));
        parts
    }};
}

impl Network {
    /// All parts, in the order of [`Shape::names`].
    pub(crate) fn parts(&self) -> Vec<Part<'_>> {
        in_order!(self, Part, iter)
    }

    /// As [`Network::parts`].
    pub(crate) fn parts_mut(&mut self) -> Vec<PartMut<'_>> {
        in_order!(self, PartMut, iter_mut, mut)
    }

    /// All convolutions.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.parts().into_iter().filter_map(|part| match part {
            Part::Convolution(layer) => Some(layer),
            Part::Norm(_) | Part::Linear(_) => None,
        })
    }
}

impl Shape {
    /// What the model zoo calls a network's parts.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = vec!["conv1".to_string()];
        let blocks =
            (0..self.group_channels.len()).flat_map(|group| (0..self.blocks_in_group).map(move |at| (group, at)));
        let changes =
            |group: usize, index: usize| index == 0 && self.channels_before(group) != self.group_channels[group];
        let of = |name: String, parts: &[&str]| -> Vec<String> {
            parts.iter().map(|part| format!("{name}.{part}")).collect()
        };
        match self.blocks {
            Blocks::PreActivation => {
                for (group, index) in blocks {
                    let parts = ["bn1", "conv1", "bn2", "conv2", "convShortcut"];
                    let count = if changes(group, index) { 5 } else { 4 };
                    names.extend(of(format!("block{}.layer.{index}", group + 1), &parts[..count]));
                }
                names.push("bn1".into());
            }
            Blocks::PostActivation => {
                names.push("bn1".into());
                for (group, index) in blocks {
                    let parts = ["conv1", "bn1", "conv2", "bn2", "downsample.0", "downsample.1"];
                    let count = if changes(group, index) { 6 } else { 4 };
                    names.extend(of(format!("layer{}.{index}", group + 1), &parts[..count]));
                }
            }
            Blocks::Dense | Blocks::DenseBottleneck => {
                let parts = ["bn1", "conv1", "bn2", "conv2"];
                let count = if self.blocks == Blocks::Dense { 2 } else { 4 };
                for (group, index) in blocks {
                    names.extend(of(format!("block{}.layer.{index}", group + 1), &parts[..count]));
                    let last_group = group + 1 == self.group_channels.len();
                    if index + 1 == self.blocks_in_group && !last_group {
                        names.extend(of(format!("trans{}", group + 1), &parts[..2]));
                    }
                }
                names.push("bn1".into());
            }
        }
        names.push("fc".into());
        names
    }
}
