//! Teachers that were trained elsewhere.

use crate::laboratory::*;
use candle_core::{Device as Place, Tensor};
use std::{collections::HashMap, fs, path::Path};
use study::{Architecture, CheckpointId, Epoch, ImportedTeacher, Job, Optimizer, Schedule, Segment, Start, Term};
use train::{
    checkpoint::{export, load_logits, load_weights},
    engine::NetworkShape,
    imported::{Described, OfItself, import, list, said_of_itself},
    worker::{Outcome, work},
};

const ARCHITECTURE: Architecture = Architecture::WideResNet { depth: 10, width: 1 };

fn described(mean: f32, deviation: f32) -> Described {
    Described { architecture: ARCHITECTURE, name: "mine".into(), mean: vec![mean], deviation: vec![deviation] }
}

/// Reads an imported teacher in, as a worker does.
fn read_in(laboratory: &Laboratory, teacher: &ImportedTeacher) -> Segment {
    let segment = Segment {
        key: key(&teacher.network.imported.unwrap().to_string()[..8]),
        start: Start::Imported(teacher.network.imported.unwrap()),
        schedule: Schedule { horizon: Epoch(1), drops: vec![], learning_rate: 0.0, decay: 1.0 },
        optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
        until: Epoch(1),
        stops: [Epoch(1)].into(),
        ends: [].into(),
        ..laboratory.segment.clone()
    };
    let shared_folder = Some(laboratory.root.path().to_str().unwrap().into());
    let folder = laboratory.ask(&Job { shared_folder, ..laboratory.job(&segment) });
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
    segment
}

/// Weights by a formula, in the model zoo's names, and the logits that PyTorch 2.15 gives in double precision for the first two test
/// images, normalised as `(x − 0.25) / 0.4`. `network` is the one of bench/peer.py, with its state's names turned into the zoo's:
///
/// ```python
/// for n, name in enumerate(sorted(zoo)):
///     tensor = state[zoo[name]]
///     s = torch.sin(0.37 * torch.arange(tensor.numel()).double() + n)
///     v = 1 + 0.5 * s if name.endswith("running_var") else 0.3 * s
///     state[zoo[name]] = v.float().double().reshape(tensor.shape)
/// network.load_state_dict(state)
/// raw = gzip.open("data/fashion-mnist-12k/t10k-images-idx3-ubyte.gz").read()[16:16 + 2 * 784]
/// print(network((torch.tensor(list(raw)).double().reshape(2, 1, 28, 28) / 255 - 0.25) / 0.4).tolist())
/// ```
fn by_formula(path: &Path) -> [[f64; 10]; 2] {
    let shape = NetworkShape { architecture: ARCHITECTURE, channels: 1, image_size: 28, classes: 10 };
    let mut tensors = shape.tensors();
    tensors.sort_by(|one, other| one.name.cmp(&other.name));
    let values = tensors.into_iter().enumerate().map(|(n, tensor)| {
        let value = |i: usize| {
            let s = (0.37 * i as f64 + n as f64).sin();
            (if tensor.name.ends_with("running_var") { 1.0 + 0.5 * s } else { 0.3 * s }) as f32
        };
        let numbers: Vec<f32> = (0..tensor.shape.iter().product()).map(value).collect();
        (tensor.name, Tensor::from_vec(numbers, tensor.shape, &Place::Cpu).unwrap())
    });
    candle_core::safetensors::save(&values.collect::<HashMap<_, _>>(), path).unwrap();
    [
        [
            1.6869069945375312,
            -0.9530189895183524,
            -2.069360308173662,
            0.4855336637029868,
            2.3789431118776942,
            0.4188758632587507,
            -1.8340016306541953,
            -0.36277797581430216,
            2.2124484216054894,
            1.2608478405252468,
        ],
        [
            1.6855404915891692,
            -1.0151669139530373,
            -2.082633504335111,
            0.5445549254297102,
            2.4061194799635075,
            0.3662563246399789,
            -1.873573170954499,
            -0.31947999413212425,
            2.2622193260923287,
            1.2292739989225647,
        ],
    ]
}

#[test]
fn an_imported_teacher_says_what_pytorch_says_by_its_own_normalisation() {
    let laboratory = Laboratory::new();
    let file = laboratory.root.path().join("teacher.safetensors");
    let expected = by_formula(&file);
    let teacher = import(laboratory.root.path(), &file, &described(0.25, 0.4)).unwrap();
    assert_eq!((teacher.channels, teacher.classes), (1, 10));
    assert_eq!(list(laboratory.root.path()).unwrap(), std::slice::from_ref(&teacher));
    // The same again is no other teacher; by another normalisation it is.
    assert_eq!(import(laboratory.root.path(), &file, &described(0.25, 0.4)).unwrap(), teacher);
    let other = import(laboratory.root.path(), &file, &described(0.5, 0.5)).unwrap();
    assert_ne!(other.network, teacher.network);
    assert_eq!(list(laboratory.root.path()).unwrap().len(), 2);

    let segment = read_in(&laboratory, &teacher);
    let folder = laboratory.folder(&segment);
    let said = load_logits(&folder, Epoch(1)).unwrap().test;
    for (image, expected) in expected.iter().enumerate() {
        for (class, expected) in expected.iter().enumerate() {
            let said = f64::from(said.values[image * 10 + class]);
            assert!((said - expected).abs() < 2e-5 * expected.abs().max(1.0), "{image} {class}: {said} {expected}");
        }
    }
    let metrics = metrics(&folder);
    assert_eq!(metrics.len(), 1);
    assert!(metrics[&Epoch(1)].test.is_some() && metrics[&Epoch(1)].validation.is_some());
    assert_eq!(load_weights(&folder, Epoch(1)).unwrap().1["mean"], "[0.25]");
    let otherwise = read_in(&laboratory, &other);
    assert_ne!(load_logits(&laboratory.folder(&otherwise), Epoch(1)).unwrap().test, said);
}

/// A student cannot tell whether its teacher was trained here.
#[test]
fn what_is_exported_and_imported_again_teaches_the_same() {
    let laboratory = Laboratory::new();
    let trained = laboratory.segment.clone();
    let file = laboratory.root.path().join("exported.safetensors");
    export(&laboratory.train(&trained), Epoch(3), &file).unwrap();
    let OfItself { architecture, normalisation } = said_of_itself(&file).unwrap();
    let [mean, deviation] = normalisation.unwrap();
    let described = Described { architecture: architecture.unwrap(), name: "again".into(), mean, deviation };
    let imported = read_in(&laboratory, &import(laboratory.root.path(), &file, &described).unwrap());
    let test = |segment: &Segment, epoch| load_logits(&laboratory.folder(segment), Epoch(epoch)).unwrap().test;
    assert_eq!(test(&imported, 1), test(&trained, 3));

    let taught_by = |name: &str, segment: &Segment, epoch| {
        let teacher = CheckpointId { segment: segment.key.clone(), epoch: Epoch(epoch) };
        let kd = Term::Kd { teacher, temperature: 4.0 };
        let student = Segment {
            key: key(name),
            terms: vec![(0.1, Term::CrossEntropy), (0.9, kd)],
            until: Epoch(1),
            stops: [Epoch(1)].into(),
            ends: [Epoch(1)].into(),
            ..laboratory.segment.clone()
        };
        network(&laboratory.train(&student), 1)
    };
    assert!(taught_by("by trained", &trained, 3) == taught_by("by imported", &imported, 1));
    // By another normalisation it is shown other numbers, and says something else.
    let other = Described { mean: vec![0.5], deviation: vec![0.5], ..described };
    let other = read_in(&laboratory, &import(laboratory.root.path(), &file, &other).unwrap());
    assert!(taught_by("by other", &other, 1) != taught_by("by trained again", &trained, 3));
}

#[test]
fn what_does_not_fit_is_refused_with_every_reason() {
    let laboratory = Laboratory::new();
    let root = laboratory.root.path();
    let file = root.join("teacher.safetensors");
    by_formula(&file);
    let told = |described: &Described| import(root, &file, described).unwrap_err().to_string();
    let deeper = Described { architecture: Architecture::WideResNet { depth: 16, width: 1 }, ..described(0.25, 0.4) };
    let missing = told(&deeper);
    for name in ["block1.layer.1.conv1.weight is missing", "block3.layer.1.bn2.running_var is missing"] {
        assert!(missing.contains(name), "{missing}");
    }
    let wider =
        told(&Described { architecture: Architecture::WideResNet { depth: 10, width: 2 }, ..described(0.25, 0.4) });
    assert!(wider.contains("fc.weight is [10, 64], expected [10, 128]"), "{wider}");
    let colours = told(&Described { mean: vec![0.5; 3], ..described(0.25, 0.4) });
    assert!(colours.contains("has 1 colours"), "{colours}");
    assert!(told(&described(0.25, 0.0)).contains("deviations above 0"));
    fs::write(&file, b"not a file of tensors").unwrap();
    assert!(told(&described(0.25, 0.4)).contains("is not a safetensors file"));
    assert_eq!(list(root).unwrap(), []);
}
