//! Initial weights, drawn as the model zoo draws them.

use crate::engine::{NetworkShape, Values, Weights};
use crate::random::{Purpose, stream};
use study::{Epoch, Seed};

/// Convolutions: normal with deviation `√(2 / (k·k·output channels))`. Batch norm: 1 and 0, running mean 0 and variance 1.
/// The last layer: uniform within `±1/√features` (PyTorch's default), bias 0. Each tensor has a stream of its own.
pub fn initial_weights(shape: &NetworkShape, seed: Seed) -> Weights {
    shape
        .tensors()
        .into_iter()
        .enumerate()
        .map(|(index, tensor)| {
            let mut random = stream(seed, Purpose::InitialWeights, Epoch(0), index as u64);
            let len = tensor.shape.iter().product();
            let values = match tensor.shape[..] {
                [outputs, _, height, width] => {
                    let deviation = (2.0 / (height * width * outputs) as f64).sqrt() as f32;
                    (0..len).map(|_| random.normal() * deviation).collect()
                }
                [_, features] => {
                    let bound = 1.0 / (features as f32).sqrt();
                    (0..len).map(|_| (random.uniform() * 2.0 - 1.0) * bound).collect()
                }
                _ => {
                    let one = tensor.name.ends_with("running_var")
                        || (tensor.name.ends_with(".weight") && !tensor.name.starts_with("fc"));
                    vec![if one { 1.0 } else { 0.0 }; len]
                }
            };
            (tensor.name, Values { shape: tensor.shape, values })
        })
        .collect()
}
