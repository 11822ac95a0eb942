//! A network's parts with what they learn, in the order of the model zoo's definition, and what they are called there.

use crate::head::Linear;
use crate::layer::Layer;
use crate::network::{Block, Body};
use crate::norm::Norm;
use crate::{Blocks, Network, Shape};

pub(crate) enum Part<'a> {
    Convolution(&'a Layer),
    Norm(&'a Norm),
    Linear(&'a Linear),
}

pub(crate) enum PartMut<'a> {
    Convolution(&'a mut Layer),
    Norm(&'a mut Norm),
    Linear(&'a mut Linear),
}

impl Network {
    /// All parts, in the order of [`Shape::names`].
    pub(crate) fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = vec![Part::Convolution(&self.first)];
        let norm = Part::Norm(&self.norm);
        match &self.body {
            Body::PreActivation(blocks) => {
                for Block { norm1, convolution1, norm2, convolution2, shortcut } in blocks {
                    parts.extend([Part::Norm(norm1), Part::Convolution(convolution1)]);
                    parts.extend([Part::Norm(norm2), Part::Convolution(convolution2)]);
                    parts.extend(shortcut.iter().map(|shortcut| Part::Convolution(&shortcut.convolution)));
                }
                parts.push(norm);
            }
            Body::PostActivation(blocks) => {
                parts.push(norm);
                for Block { norm1, convolution1, norm2, convolution2, shortcut } in blocks {
                    parts.extend([Part::Convolution(convolution1), Part::Norm(norm1)]);
                    parts.extend([Part::Convolution(convolution2), Part::Norm(norm2)]);
                    if let Some(shortcut) = shortcut {
                        parts.push(Part::Convolution(&shortcut.convolution));
                        parts.extend(shortcut.norm.iter().map(Part::Norm));
                    }
                }
            }
            Body::Dense(groups) => {
                for step in groups.iter().flat_map(|group| group.layers.iter().chain(&group.transition)) {
                    parts.extend([Part::Norm(&step.norm), Part::Convolution(&step.convolution)]);
                }
                parts.push(norm);
            }
        }
        parts.push(Part::Linear(&self.linear));
        parts
    }

    /// As [`Network::parts`].
    pub(crate) fn parts_mut(&mut self) -> Vec<PartMut<'_>> {
        let mut parts = vec![PartMut::Convolution(&mut self.first)];
        let norm = PartMut::Norm(&mut self.norm);
        match &mut self.body {
            Body::PreActivation(blocks) => {
                for Block { norm1, convolution1, norm2, convolution2, shortcut } in blocks {
                    parts.extend([PartMut::Norm(norm1), PartMut::Convolution(convolution1)]);
                    parts.extend([PartMut::Norm(norm2), PartMut::Convolution(convolution2)]);
                    parts.extend(shortcut.iter_mut().map(|shortcut| PartMut::Convolution(&mut shortcut.convolution)));
                }
                parts.push(norm);
            }
            Body::PostActivation(blocks) => {
                parts.push(norm);
                for Block { norm1, convolution1, norm2, convolution2, shortcut } in blocks {
                    parts.extend([PartMut::Convolution(convolution1), PartMut::Norm(norm1)]);
                    parts.extend([PartMut::Convolution(convolution2), PartMut::Norm(norm2)]);
                    if let Some(shortcut) = shortcut {
                        parts.push(PartMut::Convolution(&mut shortcut.convolution));
                        parts.extend(shortcut.norm.iter_mut().map(PartMut::Norm));
                    }
                }
            }
            Body::Dense(groups) => {
                for step in groups.iter_mut().flat_map(|group| group.layers.iter_mut().chain(&mut group.transition)) {
                    parts.extend([PartMut::Norm(&mut step.norm), PartMut::Convolution(&mut step.convolution)]);
                }
                parts.push(norm);
            }
        }
        parts.push(PartMut::Linear(&mut self.linear));
        parts
    }

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
            Blocks::Dense => {
                for (group, index) in blocks {
                    let parts = ["bn1", "conv1"];
                    names.extend(of(format!("block{}.layer.{index}", group + 1), &parts));
                    let last_group = group + 1 == self.group_channels.len();
                    if index + 1 == self.blocks_in_group && !last_group {
                        names.extend(of(format!("trans{}", group + 1), &parts));
                    }
                }
                names.push("bn1".into());
            }
        }
        names.push("fc".into());
        names
    }
}
