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

#[test]
fn a_saved_file_has_the_zoos_names_and_shapes_and_no_other() {
    let architecture = Architecture::WideResNet { depth: 10, width: 1 };
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
    let mut expected: Vec<_> = ZOO.trim().lines().collect();
    saved.sort_unstable();
    expected.sort_unstable();
    assert_eq!(saved, expected);
    for (name, tensor) in file.tensors() {
        let counts = name.ends_with("num_batches_tracked");
        assert_eq!(tensor.dtype(), if counts { Dtype::I64 } else { Dtype::F32 }, "{name}");
    }
}
