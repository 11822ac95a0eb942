//! Checkpoints are what the model zoo's networks load: `load_state_dict(strict=True)` wants every name and shape, and no other.

use safetensors::{Dtype, SafeTensors};
use study::{Architecture, Epoch, Seed};
use train::{
    checkpoint::{Metadata, save},
    engine::{NetworkShape, Values, Weights},
    folder::weights_path,
    initial::initial_weights,
};

/// Names and shapes in the order of the zoo (RepDistiller, `models/wrn.py`):
///
/// ```python
/// from models.wrn import wrn
/// for name, tensor in wrn(depth=10, widen_factor=1, num_classes=10).state_dict().items():
///     print(name, *tensor.shape)
/// ```
const ZOO: &str = "
conv1.weight 16 3 3 3
block1.layer.0.bn1.weight 16
block1.layer.0.bn1.bias 16
block1.layer.0.bn1.running_mean 16
block1.layer.0.bn1.running_var 16
block1.layer.0.bn1.num_batches_tracked
block1.layer.0.conv1.weight 16 16 3 3
block1.layer.0.bn2.weight 16
block1.layer.0.bn2.bias 16
block1.layer.0.bn2.running_mean 16
block1.layer.0.bn2.running_var 16
block1.layer.0.bn2.num_batches_tracked
block1.layer.0.conv2.weight 16 16 3 3
block2.layer.0.bn1.weight 16
block2.layer.0.bn1.bias 16
block2.layer.0.bn1.running_mean 16
block2.layer.0.bn1.running_var 16
block2.layer.0.bn1.num_batches_tracked
block2.layer.0.conv1.weight 32 16 3 3
block2.layer.0.bn2.weight 32
block2.layer.0.bn2.bias 32
block2.layer.0.bn2.running_mean 32
block2.layer.0.bn2.running_var 32
block2.layer.0.bn2.num_batches_tracked
block2.layer.0.conv2.weight 32 32 3 3
block2.layer.0.convShortcut.weight 32 16 1 1
block3.layer.0.bn1.weight 32
block3.layer.0.bn1.bias 32
block3.layer.0.bn1.running_mean 32
block3.layer.0.bn1.running_var 32
block3.layer.0.bn1.num_batches_tracked
block3.layer.0.conv1.weight 64 32 3 3
block3.layer.0.bn2.weight 64
block3.layer.0.bn2.bias 64
block3.layer.0.bn2.running_mean 64
block3.layer.0.bn2.running_var 64
block3.layer.0.bn2.num_batches_tracked
block3.layer.0.conv2.weight 64 64 3 3
block3.layer.0.convShortcut.weight 64 32 1 1
bn1.weight 64
bn1.bias 64
bn1.running_mean 64
bn1.running_var 64
bn1.num_batches_tracked
fc.weight 10 64
fc.bias 10
";

/// As above (`models/resnet.py`), of `resnet8x4(num_classes=10)`.
const ZOO_RESNET: &str = "
conv1.weight 32 3 3 3
bn1.weight 32
bn1.bias 32
bn1.running_mean 32
bn1.running_var 32
bn1.num_batches_tracked
layer1.0.conv1.weight 64 32 3 3
layer1.0.bn1.weight 64
layer1.0.bn1.bias 64
layer1.0.bn1.running_mean 64
layer1.0.bn1.running_var 64
layer1.0.bn1.num_batches_tracked
layer1.0.conv2.weight 64 64 3 3
layer1.0.bn2.weight 64
layer1.0.bn2.bias 64
layer1.0.bn2.running_mean 64
layer1.0.bn2.running_var 64
layer1.0.bn2.num_batches_tracked
layer1.0.downsample.0.weight 64 32 1 1
layer1.0.downsample.1.weight 64
layer1.0.downsample.1.bias 64
layer1.0.downsample.1.running_mean 64
layer1.0.downsample.1.running_var 64
layer1.0.downsample.1.num_batches_tracked
layer2.0.conv1.weight 128 64 3 3
layer2.0.bn1.weight 128
layer2.0.bn1.bias 128
layer2.0.bn1.running_mean 128
layer2.0.bn1.running_var 128
layer2.0.bn1.num_batches_tracked
layer2.0.conv2.weight 128 128 3 3
layer2.0.bn2.weight 128
layer2.0.bn2.bias 128
layer2.0.bn2.running_mean 128
layer2.0.bn2.running_var 128
layer2.0.bn2.num_batches_tracked
layer2.0.downsample.0.weight 128 64 1 1
layer2.0.downsample.1.weight 128
layer2.0.downsample.1.bias 128
layer2.0.downsample.1.running_mean 128
layer2.0.downsample.1.running_var 128
layer2.0.downsample.1.num_batches_tracked
layer3.0.conv1.weight 256 128 3 3
layer3.0.bn1.weight 256
layer3.0.bn1.bias 256
layer3.0.bn1.running_mean 256
layer3.0.bn1.running_var 256
layer3.0.bn1.num_batches_tracked
layer3.0.conv2.weight 256 256 3 3
layer3.0.bn2.weight 256
layer3.0.bn2.bias 256
layer3.0.bn2.running_mean 256
layer3.0.bn2.running_var 256
layer3.0.bn2.num_batches_tracked
layer3.0.downsample.0.weight 256 128 1 1
layer3.0.downsample.1.weight 256
layer3.0.downsample.1.bias 256
layer3.0.downsample.1.running_mean 256
layer3.0.downsample.1.running_var 256
layer3.0.downsample.1.num_batches_tracked
fc.weight 10 256
fc.bias 10
";

/// The zoos have no DenseNets for small images: these names are ours, and every checkpoint of one hangs on them. Of one block a group
/// that appends 12 channels.
const DENSENET: &str = "
conv1.weight 16 3 3 3
block1.layer.0.bn1.weight 16
block1.layer.0.bn1.bias 16
block1.layer.0.bn1.running_mean 16
block1.layer.0.bn1.running_var 16
block1.layer.0.bn1.num_batches_tracked
block1.layer.0.conv1.weight 12 16 3 3
trans1.bn1.weight 28
trans1.bn1.bias 28
trans1.bn1.running_mean 28
trans1.bn1.running_var 28
trans1.bn1.num_batches_tracked
trans1.conv1.weight 28 28 1 1
block2.layer.0.bn1.weight 28
block2.layer.0.bn1.bias 28
block2.layer.0.bn1.running_mean 28
block2.layer.0.bn1.running_var 28
block2.layer.0.bn1.num_batches_tracked
block2.layer.0.conv1.weight 12 28 3 3
trans2.bn1.weight 40
trans2.bn1.bias 40
trans2.bn1.running_mean 40
trans2.bn1.running_var 40
trans2.bn1.num_batches_tracked
trans2.conv1.weight 40 40 1 1
block3.layer.0.bn1.weight 40
block3.layer.0.bn1.bias 40
block3.layer.0.bn1.running_mean 40
block3.layer.0.bn1.running_var 40
block3.layer.0.bn1.num_batches_tracked
block3.layer.0.conv1.weight 12 40 3 3
bn1.weight 52
bn1.bias 52
bn1.running_mean 52
bn1.running_var 52
bn1.num_batches_tracked
fc.weight 10 52
fc.bias 10
";

/// As above, with bottlenecks and compression.
const DENSENET_BC: &str = "
conv1.weight 24 3 3 3
block1.layer.0.bn1.weight 24
block1.layer.0.bn1.bias 24
block1.layer.0.bn1.running_mean 24
block1.layer.0.bn1.running_var 24
block1.layer.0.bn1.num_batches_tracked
block1.layer.0.conv1.weight 48 24 1 1
block1.layer.0.bn2.weight 48
block1.layer.0.bn2.bias 48
block1.layer.0.bn2.running_mean 48
block1.layer.0.bn2.running_var 48
block1.layer.0.bn2.num_batches_tracked
block1.layer.0.conv2.weight 12 48 3 3
trans1.bn1.weight 36
trans1.bn1.bias 36
trans1.bn1.running_mean 36
trans1.bn1.running_var 36
trans1.bn1.num_batches_tracked
trans1.conv1.weight 18 36 1 1
block2.layer.0.bn1.weight 18
block2.layer.0.bn1.bias 18
block2.layer.0.bn1.running_mean 18
block2.layer.0.bn1.running_var 18
block2.layer.0.bn1.num_batches_tracked
block2.layer.0.conv1.weight 48 18 1 1
block2.layer.0.bn2.weight 48
block2.layer.0.bn2.bias 48
block2.layer.0.bn2.running_mean 48
block2.layer.0.bn2.running_var 48
block2.layer.0.bn2.num_batches_tracked
block2.layer.0.conv2.weight 12 48 3 3
trans2.bn1.weight 30
trans2.bn1.bias 30
trans2.bn1.running_mean 30
trans2.bn1.running_var 30
trans2.bn1.num_batches_tracked
trans2.conv1.weight 15 30 1 1
block3.layer.0.bn1.weight 15
block3.layer.0.bn1.bias 15
block3.layer.0.bn1.running_mean 15
block3.layer.0.bn1.running_var 15
block3.layer.0.bn1.num_batches_tracked
block3.layer.0.conv1.weight 48 15 1 1
block3.layer.0.bn2.weight 48
block3.layer.0.bn2.bias 48
block3.layer.0.bn2.running_mean 48
block3.layer.0.bn2.running_var 48
block3.layer.0.bn2.num_batches_tracked
block3.layer.0.conv2.weight 12 48 3 3
bn1.weight 27
bn1.bias 27
bn1.running_mean 27
bn1.running_var 27
bn1.num_batches_tracked
fc.weight 10 27
fc.bias 10
";

#[test]
fn a_saved_file_has_the_zoos_names_and_shapes_and_no_other() {
    saves_as(Architecture::WideResNet { depth: 10, width: 1 }, ZOO);
    saves_as(Architecture::ResNet { depth: 8, width: 4 }, ZOO_RESNET);
    saves_as(Architecture::DenseNet { depth: 7, growth: 12 }, DENSENET);
    saves_as(Architecture::DenseNetBc { depth: 10, growth: 12 }, DENSENET_BC);
}

fn saves_as(architecture: Architecture, zoo: &str) {
    let shape = NetworkShape { architecture, channels: 3, image_size: 32, classes: 10 };
    let weights = initial_weights(&shape, Seed(0));
    let trained = shape.tensors().into_iter().filter(|tensor| tensor.trained);
    let at_rest = |values: &Values| Values { values: vec![0.0; values.values.len()], ..values.clone() };
    let momentum: Weights = trained.map(|tensor| (tensor.name.clone(), at_rest(&weights[&tensor.name]))).collect();
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), Epoch(1), &weights, &momentum, 94, &Metadata::new()).unwrap();

    let bytes = std::fs::read(weights_path(folder.path(), Epoch(1))).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let sizes = |shape: &[usize]| shape.iter().map(|size| format!(" {size}")).collect::<String>();
    let mut saved: Vec<_> = file.tensors().iter().map(|(name, it)| format!("{name}{}", sizes(it.shape()))).collect();
    let mut expected: Vec<_> = zoo.trim().lines().collect();
    saved.sort_unstable();
    expected.sort_unstable();
    assert_eq!(saved, expected);
    for (name, tensor) in file.tensors() {
        let counts = name.ends_with("num_batches_tracked");
        assert_eq!(tensor.dtype(), if counts { Dtype::I64 } else { Dtype::F32 }, "{name}");
    }
}
