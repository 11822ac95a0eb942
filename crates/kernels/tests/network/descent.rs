//! Gradients apart, and the steps along one and along two of them.

use crate::{Random, assert_close, bits, densenet, densenet_bc, map_directions, network, resnet, sets, wide_resnet};
use kernels::{InstructionSet, Network, Shape, TensorSpec};

/// ```python
/// import torch
/// p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
/// sgd = torch.optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.5)
/// for gradient in ([0.25, 1.0], [0.5, -1.0]):
///     p.grad = torch.tensor(gradient); sgd.step()
/// ```
/// By hand: v1 = g + 0.5·p = [0.75, 0]; p1 = [0.925, −2]; v2 = 0.9·v1 + g + 0.5·p1 = [1.6375, −2]; p2 = [0.76125, −1.8].
#[test]
fn a_step_is_pytorchs() {
    for set in sets() {
        let shape = Shape { channels: 1, image_size: 8, classes: 2, ..wide_resnet(10, 1) };
        let mut network = Network::new(shape, 1, 1, set).expect("a valid shape");
        // With all other tensors zero the features are the last bias, and the gradient of `fc.bias` is that on the logits.
        network.set("fc.bias", &[1.0, -2.0]).expect("two classes");
        for gradient in [[0.25, 1.0], [0.5, -1.0]] {
            network.forward(&[0.0; 64]);
            network.backward(&gradient);
            network.step(0.1, 0.9, 0.5);
        }
        assert_close("fc.bias", &network.get("fc.bias").expect("two classes"), &[0.76125, -1.8], 1e-6);
        assert_close("momentum", &network.momentum("fc.bias").expect("two classes"), &[1.6375, -2.0], 1e-6);
    }
}

/// ```python
/// p = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
/// first = torch.optim.SGD([p], lr=0.1, momentum=0.9 - 0.075, weight_decay=0.5)
/// second = torch.optim.SGD([p], lr=0.1, momentum=0.9 + 0.075)
/// for gradients in ([[0.25, 1.0], [1.0, 0.5]], [[0.5, -1.0], [-0.25, 2.0]]):
///     for sgd, gradient in zip((first, second), gradients):
///         p.grad = torch.tensor(gradient, dtype=torch.float64); sgd.step()
/// velocities = [sgd.state[p]["momentum_buffer"] for sgd in (first, second)]
/// print(p.tolist(), [v.tolist() for v in velocities])
/// one = torch.optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.5)
/// one.state[p]["momentum_buffer"] = sum(velocities)
/// p.grad = torch.tensor([0.25, 1.0], dtype=torch.float64); one.step()
/// print(p.tolist(), one.state[p]["momentum_buffer"].tolist())
/// ```
#[test]
fn a_step_along_both_is_one_of_each_and_one_goes_on_from_their_sum() {
    for set in sets() {
        let shape = Shape { channels: 1, image_size: 8, classes: 2, ..wide_resnet(10, 1) };
        let mut network = Network::new(shape, 1, 1, set).expect("a valid shape");
        let bytes = network.bytes();
        network.set("fc.bias", &[1.0, -2.0]).expect("two classes");
        for gradients in [[[0.25, 1.0], [1.0, 0.5]], [[0.5, -1.0], [-0.25, 2.0]]] {
            network.forward(&[0.0; 64]);
            network.backward(&gradients[0]);
            network.set_gradient_aside();
            network.backward(&gradients[1]);
            network.step_along_both(0.1, [0.9 - 0.075, 0.9 + 0.075], 0.5);
        }
        assert_close("fc.bias", &network.get("fc.bias").expect("two classes"), &[0.599375, -2.09625], 1e-6);
        assert_close("momentum", &network.momentum("fc.bias").expect("two classes"), &[1.53125, -2.025], 1e-6);
        let second = network.second_momentum("fc.bias").expect("two classes");
        assert_close("second momentum", &second, &[0.725, 2.4875], 1e-6);
        assert!(network.bytes() > bytes);

        network.forward(&[0.0; 64]);
        network.backward(&[0.25, 1.0]);
        network.step(0.1, 0.9, 0.5);
        assert_close("fc.bias", &network.get("fc.bias").expect("two classes"), &[0.34134375, -2.1330625], 1e-6);
        assert_close("momentum", &network.momentum("fc.bias").expect("two classes"), &[2.5803125, 0.368125], 1e-6);
        assert_eq!((network.second_momentum("fc.bias"), network.bytes()), (None, bytes), "{set}");
    }
}

fn small() -> Network {
    let shape = Shape { channels: 1, image_size: 8, classes: 2, ..wide_resnet(10, 1) };
    let mut network = Network::new(shape, 1, 1, InstructionSet::Portable).expect("a valid shape");
    network.forward(&[0.0; 64]);
    network.backward(&[1.0, -1.0]);
    network
}

#[test]
#[should_panic(expected = "one aside and another")]
fn a_step_along_both_needs_another_gradient_than_that_set_aside() {
    let mut network = small();
    network.set_gradient_aside();
    network.step_along_both(0.1, [0.9; 2], 0.0);
}

#[test]
#[should_panic(expected = "which a step along one leaves out")]
fn a_step_along_one_leaves_no_gradient_aside() {
    let mut network = small();
    network.set_gradient_aside();
    network.step(0.1, 0.9, 0.0);
}

/// As if it had never been set: memory, too, is given back.
#[test]
fn momentum_of_a_second_gradient_is_set_and_forgotten() {
    let mut network = small();
    let bytes = network.bytes();
    network.set_second_momentum("fc.bias", &[0.5, 0.25]).expect("two classes");
    assert_eq!(network.second_momentum("fc.bias"), Some(vec![0.5, 0.25]));
    assert_eq!(network.second_momentum("bn1.weight"), Some(vec![0.0; 64]));
    assert_eq!(network.second_momentum("bn1.running_mean"), None);
    assert!(network.set_second_momentum("bn1.running_mean", &[0.0; 64]).is_err());
    network.forget_second_momentum();
    assert_eq!((network.second_momentum("fc.bias"), network.bytes()), (None, bytes));
}

/// Steps along two gradients, the second of which looks at the attention maps: every number that comes of them.
fn trained_along_both(shape: Shape, threads: usize, set: InstructionSet, batches: &[usize]) -> Vec<Vec<u32>> {
    let mut network = network(shape, 37, threads, set);
    let mut random = Random(43);
    let mut given = Vec::new();
    for batch in batches {
        let images = random.values(batch * shape.channels * shape.image_size * shape.image_size, 2.0);
        let gradient: Vec<f32> = network.forward(&images).iter().map(|logit| logit / *batch as f32).collect();
        let maps = network.attention();
        let map_gradients =
            maps.each_ref().map(|map| map.iter().map(|mean| mean / map.len() as f32).collect::<Vec<f32>>());
        network.backward(&gradient);
        network.set_gradient_aside();
        network.backward_with_attention(&gradient, map_gradients.each_ref().map(|gradient| &gradient[..]));
        network.step_along_both(0.001, [0.8, 0.95], 5e-4);
        let (logits, evaluated) = network.evaluate_with_attention(&images);
        given.extend([logits].iter().chain(&maps).chain(&evaluated).map(|values| bits(values)));
    }
    for TensorSpec { name, .. } in network.tensors() {
        let read = [network.get(&name), network.momentum(&name), network.second_momentum(&name)];
        given.extend(read.into_iter().flatten().map(|values| bits(&values)));
    }
    given
}

#[test]
fn threads_change_no_bit_of_two_gradients_and_attention() {
    for shape in [wide_resnet(10, 2), resnet(8, 16, [32, 48, 64]), densenet(4, 12), densenet_bc(2, 12)] {
        let shape = Shape { channels: 1, image_size: 12, ..shape };
        for set in sets() {
            let one = trained_along_both(shape, 1, set, &[37, 5, 1]);
            assert!(one.iter().flatten().all(|bits| f32::from_bits(*bits).is_finite()));
            for threads in [2, 3, 5] {
                let several = trained_along_both(shape, threads, set, &[37, 5, 1]);
                assert!(one == several, "{shape:?}, {set} with {threads} threads");
            }
        }
    }
}

/// A backward pass leaves what the forward pass stored as it is.
#[test]
fn each_backward_pass_gives_its_own_gradients() {
    for shape in [
        wide_resnet(16, 1),
        wide_resnet(10, 2),
        resnet(14, 16, [16, 32, 64]),
        resnet(8, 16, [32, 48, 64]),
        densenet(4, 12),
        densenet_bc(2, 12),
    ] {
        let shape = Shape { image_size: 12, classes: 5, ..shape };
        let images = Random(47).values(11 * 3 * 144, 2.0);
        let directions = [Random(53).values(11 * 5, 1.0), Random(59).values(11 * 5, 1.0)];
        let map_directions = map_directions(shape, 11, 61);
        for set in sets() {
            let passed = || {
                let mut network = network(shape, 11, 1, set);
                network.forward(&images);
                network
            };
            let gradients = |network: &Network| -> Vec<Vec<u32>> {
                network.tensors().iter().filter_map(|tensor| network.gradient(&tensor.name)).map(|g| bits(&g)).collect()
            };
            let of_logits = |network: &mut Network| network.backward(&directions[0]);
            let of_both = |network: &mut Network| {
                network.backward_with_attention(&directions[1], map_directions.each_ref().map(|map| &map[..]));
            };
            let (mut first, mut second, mut all) = (passed(), passed(), passed());
            of_logits(&mut first);
            of_both(&mut second);
            let (first, second) = (gradients(&first), gradients(&second));
            assert!(first != second && first.iter().flatten().any(|bits| *bits != 0));
            let maps = all.attention();
            of_logits(&mut all);
            assert!(gradients(&all) == first, "{set}");
            all.set_gradient_aside();
            assert!(gradients(&all).is_empty(), "{set}: it was set aside");
            of_both(&mut all);
            assert!(gradients(&all) == second, "{set}");
            of_logits(&mut all);
            assert!(gradients(&all) == first && all.attention() == maps, "{set}");
        }
    }
}
