//! Networks that candle trains on the CPU, beside those that have the hand-written engine.

use crate::laboratory::*;
use candle_core::{Device as Place, Tensor};
use std::{collections::HashMap, path::Path};
use study::{Architecture, CheckpointId, Epoch, Numerics, Optimizer, Schedule, Segment, Start, Term};
use train::{
    checkpoint::load_logits,
    engine::NetworkShape,
    imported::{OfItself, import},
    worker::{Outcome, work},
};

const ARCHITECTURE: Architecture = Architecture::ImageNetResNet { depth: 18 };

/// Weights by a formula, in torchvision's names, and the logits that PyTorch 2.15 gives in double precision for the first two test images,
/// normalised as `(x − 0.25) / 0.4`. `ImageNetResNet` is the one of tests/torchvision.rs:
///
/// ```python
/// net = ImageNetResNet((2, 2, 2, 2), 1, 10, 1).double().eval()
/// state = {name: x for name, x in net.state_dict().items() if not name.endswith("num_batches_tracked")}
/// for n, name in enumerate(sorted(state)):
///     x = state[name]
///     s = torch.sin(0.37 * torch.arange(x.numel()).double() + n)
///     v = 1 + 0.5 * s if x.dim() == 1 and name.endswith(("weight", "running_var")) else 0.3 * s if x.dim() < 4 else s / x[0].numel() ** 0.5
///     x.copy_(v.float().double().reshape(x.shape))
/// raw = gzip.open("data/fashion-mnist-12k/t10k-images-idx3-ubyte.gz").read()[16:16 + 2 * 784]
/// print(net((torch.tensor(list(raw)).double().reshape(2, 1, 28, 28) / 255 - 0.25) / 0.4).tolist())
/// ```
fn by_formula(path: &Path) -> [[f64; 10]; 2] {
    let shape = NetworkShape { architecture: ARCHITECTURE, channels: 1, image_size: 28, classes: 10 };
    let mut tensors = shape.tensors();
    tensors.sort_by(|one, other| one.name.cmp(&other.name));
    let values = tensors.into_iter().enumerate().map(|(n, tensor)| {
        let fan: usize = tensor.shape.iter().skip(1).product();
        let about_one =
            tensor.shape.len() == 1 && (tensor.name.ends_with("weight") || tensor.name.ends_with("running_var"));
        let value = |i: usize| {
            let s = (0.37 * i as f64 + n as f64).sin();
            let value = match tensor.shape.len() {
                4 => s / (fan as f64).sqrt(),
                _ if about_one => 1.0 + 0.5 * s,
                _ => 0.3 * s,
            };
            value as f32
        };
        let numbers: Vec<f32> = (0..tensor.shape.iter().product()).map(value).collect();
        (tensor.name, Tensor::from_vec(numbers, tensor.shape, &Place::Cpu).unwrap())
    });
    candle_core::safetensors::save(&values.collect::<HashMap<_, _>>(), path).unwrap();
    EXPECTED
}

const EXPECTED: [[f64; 10]; 2] = [
    [
        3.826133848600154,
        -11.686081715172875,
        -17.691171177062152,
        -9.162249283965714,
        6.913635611007406,
        17.30835203467306,
        13.490050957946963,
        -1.325401429313213,
        -14.84345640402851,
        -15.870436424098465,
    ],
    [
        3.8278253163400686,
        -11.694746618253888,
        -17.703021305341107,
        -9.167477378609107,
        6.919356364027484,
        17.320287092234558,
        13.498322775050752,
        -1.3276386790371753,
        -14.85435115011007,
        -15.880972092906951,
    ],
];

/// Taught by two networks of another engine than its own: one that was imported, and one that was trained here.
#[test]
fn each_engine_teaches_the_other() {
    let laboratory = Laboratory::new();
    let file = laboratory.root.path().join("resnet18.safetensors");
    let expected = by_formula(&file);
    let said = OfItself { architecture: Some(ARCHITECTURE), normalisation: Some([vec![0.25], vec![0.4]]) };
    let imported = import(laboratory.root.path(), &file, said, "torchvision").unwrap().network.imported.unwrap();
    let teacher = Segment {
        key: key("resnet18"),
        start: Start::Imported(imported),
        architecture: ARCHITECTURE,
        schedule: Schedule { horizon: Epoch(1), drops: vec![], learning_rate: 0.0, decay: 1.0 },
        optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
        numerics: Numerics::CandleF32,
        until: Epoch(1),
        stops: [Epoch(1)].into(),
        ends: [].into(),
        ..laboratory.segment.clone()
    };
    let shared_folder = Some(laboratory.root.path().to_str().unwrap().into());
    let folder = laboratory.ask(&study::Job { shared_folder, ..laboratory.job(&teacher) });
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
    let said = load_logits(&folder, Epoch(1)).unwrap().test;
    for (image, expected) in expected.iter().enumerate() {
        let largest = expected.iter().fold(0.0f64, |largest, it| largest.max(it.abs()));
        for (class, expected) in expected.iter().enumerate() {
            let said = f64::from(said.values[image * 10 + class]);
            assert!((said - expected).abs() < 1e-4 * largest, "{image} {class}: {said} {expected}");
        }
    }

    let taught_by = |name: &str, teacher: &Segment, student: Architecture, numerics| {
        let teacher = CheckpointId { segment: teacher.key.clone(), epoch: Epoch(1) };
        let segment = Segment {
            key: key(name),
            architecture: student,
            terms: vec![(0.1, Term::CrossEntropy), (0.9, Term::Kd { teacher, temperature: 4.0 })],
            numerics,
            until: Epoch(1),
            stops: [Epoch(1)].into(),
            ends: [].into(),
            ..laboratory.segment.clone()
        };
        laboratory.train(&segment);
        segment
    };
    let cosines = |segment: &Segment| {
        let told = metrics(&laboratory.folder(segment));
        let [fidelity] = &told[&Epoch(1)].fidelity[..] else { panic!("one teacher") };
        assert!(fidelity.kd_loss_train.unwrap() > 0.0 && fidelity.kd_loss_test.unwrap() > 0.0);
        fidelity.gradient_cosine.as_ref().unwrap().groups.len()
    };
    let small = laboratory.segment.architecture;
    let student = taught_by("wrn", &teacher, small, Numerics::CpuF32);
    assert_eq!(cosines(&student), 5);
    let large = taught_by("large", &student, ARCHITECTURE, Numerics::CandleF32);
    assert_eq!(cosines(&large), 6);
}

/// As for the hand-written engine: what is lost is trained again to the same bits.
#[test]
fn left_and_killed_candle_ends_the_same() {
    let laboratory = Laboratory::new();
    let segment = |name: &str| Segment {
        key: key(name),
        architecture: ARCHITECTURE,
        numerics: Numerics::CandleF32,
        until: Epoch(2),
        stops: [Epoch(2)].into(),
        ends: [Epoch(2)].into(),
        ..laboratory.segment.clone()
    };
    let expected = laboratory.train(&segment("in one go"));
    // An epoch has three steps and one chunk of validation images: killed in the second, left in it.
    let folder = laboratory.ask(&laboratory.job(&segment("interrupted")));
    interrupted(&folder, 6, true);
    tear_last_line(&folder);
    interrupted(&folder, 2, false);
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
    assert_same_end(&folder, &expected, 2);
}
