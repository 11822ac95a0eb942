//! The network's tensors by the model zoo's names, in PyTorch's layout.

use crate::buffer::Buffer;
use crate::descent::{Aside, Descent};
use crate::error::KernelError;
use crate::head::Linear;
use crate::layer::Layer;
use crate::layout::{weights_from_pytorch, weights_to_pytorch};
use crate::norm::Norm;
use crate::{Blocks, Network};

/// Whether a tensor is trained, or follows along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorKind {
    /// Has a gradient and momentum.
    Parameter,
    /// A running statistic.
    Buffer,
}

/// A tensor of the network, by the model zoo's name, with its shape in PyTorch's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: TensorKind,
}

impl Network {
    /// Every tensor in the model zoo's order and by its names (`block1.layer.0.bn1.weight`, `layer1.0.conv1.weight`, ...).
    /// Batch counters (`num_batches_tracked`) are the caller's.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut tensors = Vec::new();
        let mut parameter = |name: String, shape: Vec<usize>, kind| tensors.push(TensorSpec { name, shape, kind });
        self.each(&mut |name, part| match part {
            Part::Convolution(layer) => {
                let geometry = &layer.geometry;
                let shape = vec![geometry.output_channels, geometry.input_channels, geometry.kernel, geometry.kernel];
                parameter(format!("{name}.weight"), shape, TensorKind::Parameter);
            }
            Part::Norm(norm) => {
                let shape = vec![norm.channels];
                parameter(format!("{name}.weight"), shape.clone(), TensorKind::Parameter);
                parameter(format!("{name}.bias"), shape.clone(), TensorKind::Parameter);
                parameter(format!("{name}.running_mean"), shape.clone(), TensorKind::Buffer);
                parameter(format!("{name}.running_var"), shape, TensorKind::Buffer);
            }
            Part::Linear(linear) => {
                parameter(format!("{name}.weight"), vec![linear.classes, linear.features], TensorKind::Parameter);
                parameter(format!("{name}.bias"), vec![linear.classes], TensorKind::Parameter);
            }
        });
        tensors
    }

    /// A tensor's values in PyTorch's layout; `None` where there is no tensor of this name.
    pub fn get(&self, name: &str) -> Option<Vec<f32>> {
        self.read(name, State::Values)
    }

    /// A parameter's gradient after [`Network::backward`]; `None` where it was set aside.
    pub fn gradient(&self, name: &str) -> Option<Vec<f32>> {
        self.training.as_ref().filter(|training| training.aside != Aside::Alone)?;
        self.read(name, State::Gradient)
    }

    /// A parameter's momentum: PyTorch's `momentum_buffer`.
    pub fn momentum(&self, name: &str) -> Option<Vec<f32>> {
        self.training.as_ref()?;
        self.read(name, State::Velocity)
    }

    /// A parameter's momentum of the second gradient, where the last step went along both ([`Network::step_along_both`]).
    pub fn second_momentum(&self, name: &str) -> Option<Vec<f32>> {
        self.has_second_velocity().then(|| self.read(name, State::SecondVelocity))?
    }

    /// Sets a tensor from values in PyTorch's layout.
    ///
    /// # Errors
    /// An unknown name, or a wrong number of values.
    pub fn set(&mut self, name: &str, values: &[f32]) -> Result<(), KernelError> {
        self.write(name, State::Values, values)
    }

    /// Sets a parameter's momentum.
    ///
    /// # Errors
    /// An unknown name, a wrong number of values, or a tensor that has no momentum here.
    pub fn set_momentum(&mut self, name: &str, values: &[f32]) -> Result<(), KernelError> {
        self.write(name, State::Velocity, values)
    }

    /// Sets a parameter's momentum of the second gradient; those that are not set are 0.
    ///
    /// # Errors
    /// As [`Network::set_momentum`].
    pub fn set_second_momentum(&mut self, name: &str, values: &[f32]) -> Result<(), KernelError> {
        self.hold_second_velocity();
        self.write(name, State::SecondVelocity, values)
    }

    /// Visits the network's parts in the order of the zoo's definition.
    fn each<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
        visit("conv1", Part::Convolution(&self.first));
        if self.shape.blocks == Blocks::PostActivation {
            visit("bn1", Part::Norm(&self.norm));
        }
        for (index, block) in self.blocks.iter().enumerate() {
            let name = self.block_name(index);
            let mut part = |part: &str, it: Part<'a>| visit(&format!("{name}.{part}"), it);
            let [norm1, norm2] = [&block.norm1, &block.norm2].map(Part::Norm);
            let [convolution1, convolution2] = [&block.convolution1, &block.convolution2].map(Part::Convolution);
            let (first, second) = match self.shape.blocks {
                Blocks::PreActivation => {
                    ([("bn1", norm1), ("conv1", convolution1)], [("bn2", norm2), ("conv2", convolution2)])
                }
                Blocks::PostActivation => {
                    ([("conv1", convolution1), ("bn1", norm1)], [("conv2", convolution2), ("bn2", norm2)])
                }
            };
            first.into_iter().chain(second).for_each(|(name, it)| part(name, it));
            if let Some(shortcut) = &block.shortcut {
                let [convolution, norm] = self.shortcut_names();
                part(convolution, Part::Convolution(&shortcut.convolution));
                shortcut.norm.iter().for_each(|it| part(norm, Part::Norm(it)));
            }
        }
        if self.shape.blocks == Blocks::PreActivation {
            visit("bn1", Part::Norm(&self.norm));
        }
        visit("fc", Part::Linear(&self.linear));
    }

    fn block_name(&self, index: usize) -> String {
        let in_group = self.shape.blocks_in_group;
        let (group, index) = (index / in_group + 1, index % in_group);
        match self.shape.blocks {
            Blocks::PreActivation => format!("block{group}.layer.{index}"),
            Blocks::PostActivation => format!("layer{group}.{index}"),
        }
    }

    /// Of its convolution, and of its batch norm where it has one.
    fn shortcut_names(&self) -> [&'static str; 2] {
        match self.shape.blocks {
            Blocks::PreActivation => ["convShortcut", ""],
            Blocks::PostActivation => ["downsample.0", "downsample.1"],
        }
    }

    fn read(&self, name: &str, state: State) -> Option<Vec<f32>> {
        let (owner, tensor) = name.rsplit_once('.')?;
        let mut found = None;
        self.each(&mut |name, part| {
            if name == owner {
                found = part.read(tensor, state);
            }
        });
        found
    }

    fn write(&mut self, name: &str, state: State, values: &[f32]) -> Result<(), KernelError> {
        let unknown = || KernelError::UnknownTensor { name: name.to_string() };
        let spec = self.tensors().into_iter().find(|spec| spec.name == name).ok_or_else(unknown)?;
        let expected = spec.shape.iter().product();
        if values.len() != expected {
            return Err(KernelError::Length { name: name.to_string(), given: values.len(), expected });
        }
        if state != State::Values && (spec.kind == TensorKind::Buffer || self.training.is_none()) {
            return Err(KernelError::NoMomentum { name: name.to_string() });
        }
        let (owner, tensor) = name.rsplit_once('.').ok_or_else(unknown)?;
        self.transformed = false;
        match self.part_mut(owner).ok_or_else(unknown)? {
            PartMut::Convolution(layer) => {
                weights_from_pytorch(&layer.geometry, values, state.of_mut(&mut layer.weights, &mut layer.descent));
            }
            PartMut::Norm(norm) => match tensor {
                "running_mean" => norm.running_mean.copy_from_slice(values),
                "running_var" => norm.running_variance.copy_from_slice(values),
                _ => {
                    let start = if tensor == "weight" { 0 } else { norm.channels };
                    let to = state.of_mut(&mut norm.values, &mut norm.descent);
                    to[start..start + values.len()].copy_from_slice(values);
                }
            },
            PartMut::Linear(linear) => {
                let to = match tensor {
                    "weight" => state.of_mut(&mut linear.weights, &mut linear.weights_descent),
                    _ => state.of_mut(&mut linear.bias, &mut linear.bias_descent),
                };
                to.copy_from_slice(values);
            }
        }
        Ok(())
    }

    fn part_mut(&mut self, owner: &str) -> Option<PartMut<'_>> {
        match owner {
            "conv1" => return Some(PartMut::Convolution(&mut self.first)),
            "bn1" => return Some(PartMut::Norm(&mut self.norm)),
            "fc" => return Some(PartMut::Linear(&mut self.linear)),
            _ => {}
        }
        let [shortcut_convolution, shortcut_norm] = self.shortcut_names();
        let in_block = |index| Some((index, owner.strip_prefix(&self.block_name(index))?.strip_prefix('.')?));
        let (index, part) = (0..self.blocks.len()).find_map(in_block)?;
        let block = &mut self.blocks[index];
        Some(match part {
            "bn1" => PartMut::Norm(&mut block.norm1),
            "bn2" => PartMut::Norm(&mut block.norm2),
            "conv1" => PartMut::Convolution(&mut block.convolution1),
            "conv2" => PartMut::Convolution(&mut block.convolution2),
            _ if part == shortcut_convolution => PartMut::Convolution(&mut block.shortcut.as_mut()?.convolution),
            _ if part == shortcut_norm => PartMut::Norm(block.shortcut.as_mut()?.norm.as_mut()?),
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Values,
    Gradient,
    Velocity,
    SecondVelocity,
}

impl State {
    /// The one that is meant of values that are trained and what descent keeps beside them.
    fn of<'a>(self, values: &'a Buffer, descent: &'a Descent) -> &'a Buffer {
        match self {
            State::Values => values,
            State::Gradient => &descent.gradient,
            State::Velocity => &descent.velocity,
            State::SecondVelocity => &descent.second_velocity,
        }
    }

    fn of_mut<'a>(self, values: &'a mut Buffer, descent: &'a mut Descent) -> &'a mut Buffer {
        match self {
            State::Values => values,
            State::Gradient => &mut descent.gradient,
            State::Velocity => &mut descent.velocity,
            State::SecondVelocity => &mut descent.second_velocity,
        }
    }
}

enum Part<'a> {
    Convolution(&'a Layer),
    Norm(&'a Norm),
    Linear(&'a Linear),
}

enum PartMut<'a> {
    Convolution(&'a mut Layer),
    Norm(&'a mut Norm),
    Linear(&'a mut Linear),
}

impl Part<'_> {
    fn read(&self, tensor: &str, state: State) -> Option<Vec<f32>> {
        match self {
            Part::Convolution(layer) if tensor == "weight" => {
                Some(weights_to_pytorch(&layer.geometry, state.of(&layer.weights, &layer.descent)))
            }
            Part::Convolution(_) => None,
            Part::Norm(norm) => {
                let from = state.of(&norm.values, &norm.descent);
                match (tensor, state) {
                    ("weight", _) => Some(from[..norm.channels].to_vec()),
                    ("bias", _) => Some(from[norm.channels..].to_vec()),
                    ("running_mean", State::Values) => Some(norm.running_mean.clone()),
                    ("running_var", State::Values) => Some(norm.running_variance.clone()),
                    _ => None,
                }
            }
            Part::Linear(linear) => match tensor {
                "weight" => Some(state.of(&linear.weights, &linear.weights_descent).to_vec()),
                "bias" => Some(state.of(&linear.bias, &linear.bias_descent).to_vec()),
                _ => None,
            },
        }
    }
}
