//! Teachers that were trained elsewhere.

use crate::laboratory::*;
use candle_core::{DType, Device as Place, Tensor};
use std::{collections::HashMap, fs, path::Path};
use study::{Architecture, CheckpointId, Epoch, ImportedTeacher, Job, Optimizer, Schedule, Segment, Start, Term};
use train::{
    checkpoint::{export, load_logits, load_weights},
    engine::NetworkShape,
    imported::{OfItself, import, list},
    worker::{Outcome, work},
};

const ARCHITECTURE: Architecture = Architecture::WideResNet { depth: 10, width: 1 };

fn said(mean: f32, deviation: f32) -> OfItself {
    OfItself { architecture: Some(ARCHITECTURE), normalisation: Some([vec![mean], vec![deviation]]) }
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
    let teacher = import(laboratory.root.path(), &file, said(0.25, 0.4), "mine").unwrap();
    assert_eq!((teacher.channels, teacher.classes), (1, 10));
    assert_eq!(list(laboratory.root.path()).unwrap(), std::slice::from_ref(&teacher));
    // The same again is no other teacher; by another normalisation it is.
    assert_eq!(import(laboratory.root.path(), &file, said(0.25, 0.4), "mine").unwrap(), teacher);
    let other = import(laboratory.root.path(), &file, said(0.5, 0.5), "mine").unwrap();
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
    let import = |said| import(laboratory.root.path(), &file, said, "again").unwrap();
    let imported = read_in(&laboratory, &import(OfItself::default()));
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
    let other = read_in(&laboratory, &import(OfItself { architecture: None, ..said(0.5, 0.5) }));
    assert!(taught_by("by other", &other, 1) != taught_by("by trained again", &trained, 3));
}

#[test]
fn what_does_not_fit_is_refused_with_its_reasons() {
    let laboratory = Laboratory::new();
    let root = laboratory.root.path();
    let file = root.join("teacher.safetensors");
    by_formula(&file);
    let told = |said: OfItself| import(root, &file, said, "mine").unwrap_err().to_string();
    let of = |name: &str| OfItself { architecture: Some(name.parse().unwrap()), ..said(0.25, 0.4) };
    // A block of ten tensors in each of three groups.
    let missing = told(of("wrn-16-1"));
    assert!(missing.contains("block1.layer.1.conv1.weight is missing"), "{missing}");
    assert_eq!(missing.matches(" is missing").count(), 30, "{missing}");
    let wider = told(of("wrn-10-2"));
    assert!(wider.contains(" is [16], expected [32]; ") && !wider.contains(" more"), "{wider}");
    let of_colours = told(OfItself { normalisation: Some([vec![0.5; 3], vec![0.4]]), ..said(0.25, 0.4) });
    assert!(of_colours.contains("has 1 colours"), "{of_colours}");
    for [mean, deviation] in
        [[0.25, 0.0], [0.25, -0.4], [f32::NAN, 0.4], [0.25, f32::NAN], [f32::INFINITY, 0.4], [0.25, f32::INFINITY]]
    {
        let refused = told(said(mean, deviation));
        assert!(refused.contains("deviations above 0, all of them finite"), "{mean} {deviation}: {refused}");
    }
    assert!(told(OfItself { architecture: None, ..said(0.25, 0.4) }).contains("does not say which network it is"));
    assert!(told(OfItself { normalisation: None, ..said(0.25, 0.4) }).contains("how its inputs are normalised"));
    assert_eq!(list(root).unwrap(), []);
}

/// A safetensors file of these tensors with zeros in them, and `more` bytes behind.
fn zeros(path: &Path, tensors: &[(String, Vec<usize>)], more: usize) {
    let mut end = 0;
    let place = |(name, shape): &(String, Vec<usize>)| {
        let begin = end;
        end += 4 * shape.iter().product::<usize>();
        format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#)
    };
    let header = format!("{{{}}}", tensors.iter().map(place).collect::<Vec<_>>().join(","));
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], header.as_bytes(), &vec![0; end + more]].concat()).unwrap();
}

#[test]
fn a_file_that_no_network_could_be_of_is_refused_by_its_header() {
    let laboratory = Laboratory::new();
    let root = laboratory.root.path();
    let file = root.join("teacher.safetensors");
    let told = |mean: &[f32]| {
        let normalisation = Some([mean.to_vec(), mean.to_vec()]);
        import(root, &file, OfItself { normalisation, ..said(0.5, 0.5) }, "mine").unwrap_err().to_string()
    };
    let of = |channels: usize, classes: usize| {
        let shape = NetworkShape { architecture: ARCHITECTURE, channels, image_size: 28, classes };
        shape.tensors().into_iter().map(|tensor| (tensor.name, tensor.shape)).collect::<Vec<_>>()
    };
    for (channels, classes, expected) in [
        (0, 10, "is for images of 0 colours; allowed: 1 (grey) or 3"),
        (2, 10, "is for images of 2 colours; allowed: 1 (grey) or 3"),
        (1, 1, "knows 1 classes; allowed: 2 to 256"),
        (1, 257, "knows 257 classes; allowed: 2 to 256"),
    ] {
        zeros(&file, &of(channels, classes), 0);
        let refused = told(&vec![0.5; channels]);
        assert!(refused.ends_with(expected), "{refused}");
    }
    zeros(&file, &of(1, 10), 7);
    assert!(told(&[0.5]).contains("is not a safetensors file: it has "));
    let many: Vec<_> = (0..100_000).map(|n| (format!("{n}"), vec![0])).collect();
    zeros(&file, &[of(1, 10), many].concat(), 0);
    let refused = told(&[0.5]);
    assert!(refused.len() < 10_000 && refused.ends_with(" is not in this network; and 99900 more"), "{refused}");
    let letters = "x".repeat(1_000_000);
    zeros(&file, &[(letters, vec![0])], 0);
    let refused = told(&[0.5]);
    assert!(refused.len() < 10_000 && refused.contains("conv1.weight is missing; "), "{refused}");
    for (bytes, expected) in [
        (&b"short"[..], "is not a safetensors file: it has no header"),
        (b"not a file of tensors", "is not a safetensors file: its header would have 7"),
        (b"\x02\0\0\0\0\0\0\0[]", "is not a safetensors file: invalid "),
    ] {
        fs::write(&file, bytes).unwrap();
        let refused = told(&[0.5]);
        assert!(refused.contains(expected), "{refused}");
    }
    assert_eq!(list(root).unwrap(), []);
}

/// Whoever puts a file right would otherwise be told one thing after the other.
#[test]
fn everything_that_is_wrong_with_a_file_is_told_at_once() {
    let laboratory = Laboratory::new();
    let root = laboratory.root.path();
    let file = root.join("teacher.safetensors");
    by_formula(&file);
    let good = candle_core::safetensors::load(&file, &Place::Cpu).unwrap();
    let told = |change: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let mut tensors = good.clone();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, &file).unwrap();
        import(root, &file, said(0.25, 0.4), "mine").unwrap_err().to_string()
    };
    let several = told(&|tensors| {
        let half = tensors["bn1.weight"].to_dtype(DType::F16).unwrap();
        tensors.insert("bn1.weight".into(), half);
        tensors.remove("fc.bias");
        tensors.insert("fc.extra".into(), tensors["bn1.bias"].clone());
    });
    for expected in ["holds bn1.weight as F16; expected F32", "fc.bias is missing", "fc.extra is not in this network"] {
        assert!(several.contains(expected), "{expected}: {several}");
    }
    assert!(!several.contains("bn1.weight is missing"), "{several}");
    let wrapped =
        told(&|tensors| *tensors = tensors.drain().map(|(name, it)| (format!("module.{name}"), it)).collect());
    assert!(
        wrapped.contains("all names begin with \"module.\"") && wrapped.contains("conv1.weight is missing"),
        "{wrapped}"
    );
    let renamed =
        told(&|tensors| drop(tensors.remove("fc.weight").map(|it| tensors.insert("linear.weight".into(), it))));
    for expected in ["fc.weight is missing", "linear.weight is not in this network"] {
        assert!(renamed.contains(expected), "{expected}: {renamed}");
    }
    let filled = |name: &'static str, value: f32| {
        told(&move |tensors| {
            let filled = tensors[name].zeros_like().unwrap().affine(1.0, f64::from(value)).unwrap();
            tensors.insert(name.into(), filled);
        })
    };
    assert!(filled("fc.bias", f32::NAN).ends_with("holds numbers that are not finite: fc.bias"));
    assert!(filled("bn1.running_var", -1.0).ends_with("holds variances below 0: bn1.running_var"));
}

#[test]
fn a_name_is_one_that_pages_can_show() {
    let laboratory = Laboratory::new();
    let file = laboratory.root.path().join("teacher.safetensors");
    by_formula(&file);
    let named = |name: &str| import(laboratory.root.path(), &file, said(0.5, 0.5), name).unwrap().name;
    assert_eq!(named("a\n\u{1b}[1m b"), "a[1m b");
    assert_eq!(named(&"ö".repeat(70_000)), "ö".repeat(100));
    assert_eq!(named("\n"), "a teacher");
}
