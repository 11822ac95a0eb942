//! Tensors by name, as they are set and as they come back; and what there is not.

use crate::{Random, bits, densenet, densenet_bc, network, resnet, tensors, wide_resnet};
use kernels::{Blocks, InstructionSet, KernelError, Network, Shape, TensorSpec};

/// Of a network of [`network`]: its tensors are those it was given, its momenta 0 until they are set.
fn come_back(network: &mut Network) {
    for (name, values) in tensors(network, 7) {
        assert_eq!(network.get(&name).as_deref(), Some(&values[..]), "{name}");
        if let Some(momentum) = network.momentum(&name) {
            assert!(momentum.iter().all(|x| *x == 0.0), "{name}");
            network.set_momentum(&name, &values).expect("a parameter");
            assert_eq!(network.momentum(&name).as_deref(), Some(&values[..]), "{name}");
        }
    }
}

#[test]
fn tensors_come_back_as_they_were_set() {
    let shape = Shape { channels: 3, image_size: 16, classes: 10, ..wide_resnet(16, 2) };
    let mut network = network(shape, 1, 1, InstructionSet::Portable);
    come_back(&mut network);
    let names: Vec<String> = network.tensors().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names[0], "conv1.weight");
    assert_eq!(names[1], "block1.layer.0.bn1.weight");
    assert!(names.contains(&"block2.layer.0.convShortcut.weight".to_string()));
    assert!(!names.contains(&"block2.layer.1.convShortcut.weight".to_string()));
    assert_eq!(names.last().map(String::as_str), Some("fc.bias"));
}

#[test]
fn tensors_of_a_resnet_come_back_too_by_its_own_names() {
    let mut network = network(Shape { image_size: 8, ..resnet(14, 32, [64, 80, 96]) }, 1, 1, InstructionSet::Portable);
    come_back(&mut network);
    let names: Vec<String> = network.tensors().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names[0], "conv1.weight");
    assert_eq!(names[1], "bn1.weight");
    for there in ["layer1.0.downsample.0.weight", "layer3.0.downsample.1.running_var", "layer2.1.bn2.bias"] {
        assert!(names.iter().any(|name| name == there), "{there}");
    }
    assert!(!names.iter().any(|name| name == "layer1.1.downsample.0.weight"));
}

/// What fills up blocks of channels is never seen, and never anything but zero.
#[test]
fn tensors_of_a_densenet_come_back_without_what_fills_its_blocks_up() {
    let mut network = network(Shape { image_size: 8, ..densenet(4, 12) }, 2, 1, InstructionSet::best());
    come_back(&mut network);
    assert_eq!(shape(&network, "block1.layer.3.conv1.weight"), Some(vec![12, 52, 3, 3]));
    assert_eq!(shape(&network, "trans2.conv1.weight"), Some(vec![112, 112, 1, 1]));
    assert_eq!(shape(&network, "trans1.bn1.running_var"), Some(vec![64]));
    assert_eq!(shape(&network, "trans3.bn1.weight"), None);
    assert_eq!(shape(&network, "fc.weight"), Some(vec![10, 160]));
    goes_on_as_another_that_is_told(network);
}

#[test]
fn tensors_of_a_densenet_with_bottlenecks_come_back_too() {
    let mut network = network(Shape { image_size: 8, ..densenet_bc(3, 12) }, 2, 1, InstructionSet::best());
    come_back(&mut network);
    assert_eq!(shape(&network, "conv1.weight"), Some(vec![24, 3, 3, 3]));
    assert_eq!(shape(&network, "block1.layer.2.conv1.weight"), Some(vec![48, 48, 1, 1]));
    assert_eq!(shape(&network, "block1.layer.2.bn2.running_mean"), Some(vec![48]));
    assert_eq!(shape(&network, "block1.layer.2.conv2.weight"), Some(vec![12, 48, 3, 3]));
    assert_eq!(shape(&network, "trans1.conv1.weight"), Some(vec![30, 60, 1, 1]));
    assert_eq!(shape(&network, "trans2.conv1.weight"), Some(vec![33, 66, 1, 1]));
    assert_eq!(shape(&network, "trans2.bn2.weight"), None);
    assert_eq!(shape(&network, "fc.weight"), Some(vec![10, 69]));
    goes_on_as_another_that_is_told(network);
}

fn shape(network: &Network, name: &str) -> Option<Vec<usize>> {
    network.tensors().into_iter().find(|tensor| tensor.name == name).map(|tensor| tensor.shape)
}

/// A step later all tensors are as another network's that was told the same numbers.
fn goes_on_as_another_that_is_told(mut network: Network) {
    let images = Random(41).values(2 * 3 * 64, 2.0);
    let learn = |network: &mut Network| {
        let gradient: Vec<f32> = network.forward(&images).to_vec();
        network.backward(&gradient);
        network.step(0.05, 0.9, 5e-4);
    };
    (0..2).for_each(|_| learn(&mut network));
    let mut told = Network::new(network.shape(), 2, 1, InstructionSet::best()).expect("a valid shape");
    for TensorSpec { name, .. } in network.tensors() {
        told.set(&name, &network.get(&name).expect("its own")).expect("its own");
        if let Some(momentum) = network.momentum(&name) {
            told.set_momentum(&name, &momentum).expect("its own");
        }
    }
    [&mut network, &mut told].into_iter().for_each(learn);
    for TensorSpec { name, .. } in network.tensors() {
        let [ours, other] = [&network, &told].map(|network| bits(&network.get(&name).expect("its own")));
        assert!(ours == other && ours.iter().any(|bits| *bits != 0), "{name}");
    }
}

#[test]
fn what_cannot_be_had_is_named() {
    let shape = Shape { channels: 3, image_size: 32, classes: 10, ..wide_resnet(16, 1) };
    let field = |shape, batch, threads| match Network::new(shape, batch, threads, InstructionSet::Portable) {
        Err(KernelError::Field { field, .. }) => field,
        _ => "none",
    };
    assert_eq!(field(Shape { blocks_in_group: 0, ..shape }, 1, 1), "blocks_in_group");
    assert_eq!(field(Shape { blocks_in_group: usize::MAX, ..shape }, 1, 1), "blocks_in_group");
    assert_eq!(field(Shape { stem: 12, ..shape }, 1, 1), "stem");
    assert_eq!(field(Shape { group_channels: [16, 0, 64], ..shape }, 1, 1), "group_channels");
    assert_eq!(field(Shape { group_channels: [16, 32, 32], ..shape }, 1, 1), "group_channels");
    let dense = densenet(4, 12);
    assert_eq!(field(dense, 1, 1), "none");
    assert_eq!(field(Shape { group_channels: [64, 112, 176], ..dense }, 1, 1), "group_channels");
    assert_eq!(field(Shape { group_channels: [16, 16, 16], ..dense }, 1, 1), "group_channels");
    assert_eq!(field(Shape { blocks_in_group: 5, ..dense }, 1, 1), "group_channels");
    assert_eq!(field(Shape { stem: 0, ..dense }, 1, 1), "stem");
    let compressed = densenet_bc(3, 12);
    assert_eq!(field(compressed, 1, 1), "none");
    assert_eq!(field(Shape { blocks: Blocks::Dense, ..compressed }, 1, 1), "group_channels");
    assert_eq!(field(Shape { blocks_in_group: 5, ..compressed }, 1, 1), "group_channels");
    assert_eq!(field(Shape { channels: 2, ..shape }, 1, 1), "channels");
    assert_eq!(field(Shape { image_size: 30, ..shape }, 1, 1), "image_size");
    assert_eq!(field(Shape { classes: 1, ..shape }, 1, 1), "classes");
    assert_eq!(field(shape, 0, 1), "batch_max");
    assert_eq!(field(shape, 1, 0), "threads");
    let mut network = Network::for_evaluation(shape, 1, InstructionSet::Portable).expect("a valid shape");
    assert!(matches!(network.set("fc.bias", &[0.0]), Err(KernelError::Length { given: 1, expected: 10, .. })));
    assert!(matches!(network.set("fc.biass", &[0.0]), Err(KernelError::UnknownTensor { .. })));
    assert!(matches!(network.set_momentum("fc.bias", &[0.0; 10]), Err(KernelError::NoMomentum { .. })));
    assert_eq!("avx1024".parse::<InstructionSet>().ok(), None);
}
