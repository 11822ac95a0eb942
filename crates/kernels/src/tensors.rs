//! The network's tensors by the model zoo's names, in PyTorch's layout.

use crate::Network;
use crate::buffer::Buffer;
use crate::descent::{Aside, Descent};
use crate::error::KernelError;
use crate::layer::Layer;
use crate::layout::{weights_from_pytorch, weights_to_pytorch};
use crate::parts::{Part, PartMut};

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
        let mut tensor = |name: String, shape: Vec<usize>, kind| tensors.push(TensorSpec { name, shape, kind });
        let (names, parts) = (self.shape.names(), self.parts());
        assert_eq!(names.len(), parts.len());
        names.into_iter().zip(parts).for_each(|(name, part)| match part {
            Part::Convolution(layer) => {
                let kernel = layer.geometry.kernel;
                let shape = vec![layer.outputs.count, layer.inputs.count, kernel, kernel];
                tensor(format!("{name}.weight"), shape, TensorKind::Parameter);
            }
            Part::Norm(norm) => {
                let shape = vec![norm.own.count];
                tensor(format!("{name}.weight"), shape.clone(), TensorKind::Parameter);
                tensor(format!("{name}.bias"), shape.clone(), TensorKind::Parameter);
                tensor(format!("{name}.running_mean"), shape.clone(), TensorKind::Buffer);
                tensor(format!("{name}.running_var"), shape, TensorKind::Buffer);
            }
            Part::Linear(linear) => {
                tensor(format!("{name}.weight"), vec![linear.classes, linear.own.count], TensorKind::Parameter);
                tensor(format!("{name}.bias"), vec![linear.classes], TensorKind::Parameter);
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

    fn read(&self, name: &str, state: State) -> Option<Vec<f32>> {
        let (owner, tensor) = name.rsplit_once('.')?;
        let place = self.shape.names().iter().position(|name| name == owner)?;
        self.parts().swap_remove(place).read(tensor, state)
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
        let place = self.shape.names().iter().position(|name| name == owner).ok_or_else(unknown)?;
        self.transformed = false;
        match self.parts_mut().swap_remove(place) {
            PartMut::Convolution(layer) => {
                let Layer { geometry, inputs, outputs, weights, descent, .. } = layer;
                weights_from_pytorch(geometry, [*inputs, *outputs], values, state.of_mut(weights, descent));
            }
            PartMut::Norm(norm) => {
                let (start, to) = match tensor {
                    "running_mean" => (0, &mut norm.running_mean[..]),
                    "running_var" => (0, &mut norm.running_variance[..]),
                    "weight" => (0, &mut state.of_mut(&mut norm.values, &mut norm.descent)[..]),
                    _ => (norm.channels, &mut state.of_mut(&mut norm.values, &mut norm.descent)[..]),
                };
                norm.own.places().zip(values).for_each(|(place, value)| to[start + place] = *value);
            }
            PartMut::Linear(linear) => match tensor {
                "weight" => {
                    let to = state.of_mut(&mut linear.weights, &mut linear.weights_descent);
                    let rows = to.chunks_exact_mut(linear.features).zip(values.chunks_exact(linear.own.count));
                    for (row, values) in rows {
                        linear.own.places().zip(values).for_each(|(place, value)| row[place] = *value);
                    }
                }
                _ => state.of_mut(&mut linear.bias, &mut linear.bias_descent).copy_from_slice(values),
            },
        }
        Ok(())
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

impl Part<'_> {
    fn read(&self, tensor: &str, state: State) -> Option<Vec<f32>> {
        match self {
            Part::Convolution(layer) if tensor == "weight" => {
                let from = state.of(&layer.weights, &layer.descent);
                Some(weights_to_pytorch(&layer.geometry, [layer.inputs, layer.outputs], from))
            }
            Part::Convolution(_) => None,
            Part::Norm(norm) => {
                let own = |from: &[f32]| norm.own.places().map(|place| from[place]).collect();
                let from = state.of(&norm.values, &norm.descent);
                match (tensor, state) {
                    ("weight", _) => Some(own(from)),
                    ("bias", _) => Some(own(&from[norm.channels..])),
                    ("running_mean", State::Values) => Some(own(&norm.running_mean)),
                    ("running_var", State::Values) => Some(own(&norm.running_variance)),
                    _ => None,
                }
            }
            Part::Linear(linear) => match tensor {
                "weight" => {
                    let rows = state.of(&linear.weights, &linear.weights_descent).chunks_exact(linear.features);
                    Some(rows.flat_map(|row| linear.own.places().map(|place| row[place])).collect())
                }
                "bias" => Some(state.of(&linear.bias, &linear.bias_descent).to_vec()),
                _ => None,
            },
        }
    }
}
