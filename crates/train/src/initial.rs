//! Initial weights, drawn as the model zoo draws them.

use crate::engine::{NetworkShape, Values, Weights};
use crate::random::{Purpose, stream};
use study::{Epoch, Seed};

/// Convolutions: normal with deviation `√(2 / (k·k·output channels))`. Batch norm: 1 and 0, running mean 0 and variance 1.
/// The last layer: uniform within `±1/√features` (PyTorch's default), its bias too in a ResNet and 0 in the others. Each tensor has
/// a stream of its own.
pub fn initial_weights(shape: &NetworkShape, seed: Seed) -> Weights {
    let layout = shape.architecture.layout();
    let bound = 1.0 / (layout.features() as f32).sqrt();
    let bias_bound = if layout.blocks.normalise_after() { bound } else { 0.0 };
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
                [_, _] => (0..len).map(|_| (random.uniform() * 2.0 - 1.0) * bound).collect(),
                _ if tensor.name == "fc.bias" && bias_bound > 0.0 => {
                    (0..len).map(|_| (random.uniform() * 2.0 - 1.0) * bias_bound).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use study::Architecture;

    fn weights(seed: u32) -> Weights {
        weights_of(Architecture::WideResNet { depth: 16, width: 2 }, seed)
    }

    fn weights_of(architecture: Architecture, seed: u32) -> Weights {
        initial_weights(&NetworkShape { architecture, channels: 3, image_size: 32, classes: 10 }, Seed(seed))
    }

    #[test]
    fn convolutions_are_normal_with_the_fan_out() {
        for (name, tensor) in weights(0).iter().filter(|(_, tensor)| tensor.shape.len() == 4) {
            let expected = (2.0 / (tensor.shape[0] * tensor.shape[2] * tensor.shape[3]) as f64).sqrt();
            let n = tensor.values.len() as f64;
            let mean = tensor.values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
            let deviation = (tensor.values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n).sqrt();
            // Four standard errors of each estimate.
            assert!(mean.abs() < 4.0 * expected / n.sqrt(), "{name}: mean {mean}");
            let error = (deviation / expected - 1.0).abs();
            assert!(error < 4.0 / (2.0 * n).sqrt(), "{name}: deviation {deviation} instead of {expected}");
        }
    }

    #[test]
    fn the_last_layer_is_uniform_and_batch_norms_do_nothing_yet() {
        let weights = weights(0);
        let bound = 1.0 / 128f32.sqrt();
        let last = &weights["fc.weight"].values;
        assert!(last.iter().all(|x| x.abs() <= bound));
        assert!(last.iter().any(|x| *x > 0.95 * bound) && last.iter().any(|x| *x < -0.95 * bound));
        for (name, tensor) in weights.iter().filter(|(_, tensor)| tensor.shape.len() == 1) {
            let expected = match name.rsplit('.').next() {
                Some("weight" | "running_var") => 1.0,
                _ => 0.0,
            };
            assert!(tensor.values.iter().all(|x| *x == expected), "{name}");
        }
    }

    #[test]
    fn the_last_bias_of_a_resnet_is_uniform_too() {
        let weights = weights_of(Architecture::ResNet { depth: 8, width: 4 }, 0);
        let (bound, bias) = (1.0 / 16.0, &weights["fc.bias"].values);
        assert!(bias.iter().all(|x| x.abs() <= bound) && bias.iter().any(|x| x.abs() > 0.3 * bound), "{bias:?}");
        assert!(weights["layer1.0.downsample.1.weight"].values.iter().all(|x| *x == 1.0));
    }

    /// As torchvision draws them.
    #[test]
    fn resnets_for_large_images_are_drawn_as_other_resnets() {
        let weights = weights_of(Architecture::ImageNetResNet { depth: 50 }, 0);
        for (name, fan_out) in [("conv1", 49 * 64), ("layer1.0.conv2", 9 * 64), ("layer4.2.conv3", 2048)] {
            let values = &weights[&format!("{name}.weight")].values;
            let deviation = (values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
            let error = (deviation / (2.0 / f64::from(fan_out)).sqrt() - 1.0).abs();
            assert!(error < 4.0 / (2.0 * values.len() as f64).sqrt(), "{name}: {deviation}");
        }
        let bound = 1.0 / 2048f32.sqrt();
        for name in ["fc.weight", "fc.bias"] {
            let values = &weights[name].values;
            assert!(values.iter().all(|x| x.abs() <= bound) && values.iter().any(|x| x.abs() > 0.3 * bound), "{name}");
        }
        assert!(weights["layer4.0.downsample.1.running_var"].values.iter().all(|x| *x == 1.0));
    }

    #[test]
    fn a_seed_gives_its_weights_and_every_tensor_draws_its_own() {
        assert_eq!(weights(4), weights(4));
        let (own, other) = (weights(4), weights(5));
        let drawn: Vec<&Vec<f32>> =
            [&own, &other].into_iter().flatten().filter(|(_, t)| t.shape.len() > 1).map(|(_, t)| &t.values).collect();
        for (index, own) in drawn.iter().enumerate() {
            for other in &drawn[..index] {
                // In units of each tensor's first number, so that another deviation does not hide the same stream.
                let same = (1..8).all(|i| (own[i] / own[0] - other[i] / other[0]).abs() < 1e-3);
                assert!(!same, "{:?} {:?}", &own[..8], &other[..8]);
            }
        }
    }
}
