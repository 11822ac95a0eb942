//! The engines against candle in double precision: logits, attention maps, every gradient, running statistics, ten steps.

use candle_core::{DType, Device, Tensor};
use kernels::InstructionSet;
use std::collections::BTreeMap;
use study::{Architecture, CheckpointId, Epoch, Optimizer, Seed, SegmentKey, Term};
use train::candle_network::CandleNetwork;
use train::cpu_network::{CpuNetwork, kernels_shape};
use train::engine::{Engine, NetworkShape, OutputGradient, Weights};
use train::initial::initial_weights;
use train::objective::{self, Outputs};
use train::random::{Purpose, stream};

/// Images in a batch. Of small ones so many that each part of a step sums the gradients of several, and the last of fewer; of
/// large ones few, since the more numbers are summed, the more of their last bits cancel in single precision.
fn images(shape: &NetworkShape) -> usize {
    match shape.image_size {
        0..=16 => 2 * kernels::PARTS_MAX + 3,
        _ => 4,
    }
}

/// Small, so that ten steps are compared and not how quickly two roundings drift apart.
const LEARNING_RATE: f64 = 1e-3;

fn shape(name: &str, channels: usize, image_size: usize) -> NetworkShape {
    let architecture: Architecture = name.parse().expect("a network");
    NetworkShape { architecture, channels, image_size, classes: 10 }
}

fn shapes() -> [NetworkShape; 9] {
    [
        shape("wrn-10-1", 1, 28),
        shape("wrn-10-1", 3, 32),
        shape("wrn-10-2", 3, 16),
        shape("wrn-16-1", 1, 12),
        shape("resnet8", 1, 28),
        shape("resnet14", 3, 16),
        shape("resnet8x4", 3, 12),
        densenet(3, 8),
        densenet_bc(3, 8),
    ]
}

/// One of few units, so that there are weights whose units are all on the side of 0 that any rounding leaves them on: of densenet-40-12's
/// two and a half million some are not, whatever its weights.
fn densenet(channels: usize, image_size: usize) -> NetworkShape {
    NetworkShape { architecture: Architecture::DenseNet { depth: 16, growth: 12 }, channels, image_size, classes: 10 }
}

/// As above: one with bottlenecks and compression, of two blocks a group.
fn densenet_bc(channels: usize, image_size: usize) -> NetworkShape {
    NetworkShape { architecture: Architecture::DenseNetBc { depth: 16, growth: 12 }, channels, image_size, classes: 10 }
}

fn engines(shape: &NetworkShape) -> Vec<(String, Box<dyn Engine>)> {
    let mut engines: Vec<(String, Box<dyn Engine>)> = InstructionSet::ALL
        .into_iter()
        .filter(|set| set.available())
        .map(|set| {
            let network = CpuNetwork::new(shape, images(shape), 1, set).expect("an engine");
            (set.to_string(), Box::new(network) as Box<dyn Engine>)
        })
        .collect();
    engines.push(("candle f32".into(), Box::new(candle(shape, DType::F32))));
    engines
}

fn candle(shape: &NetworkShape, dtype: DType) -> CandleNetwork {
    CandleNetwork::new(shape, &Device::Cpu, dtype).expect("an engine")
}

/// How far gradients in single precision may be off, as a share of a tensor's largest: 1e-7 a rounding, gathered over the layers
/// between it and the loss.
const TOLERANCE: f64 = 2e-4;

const TEN_STEPS: Seed = Seed(10);

/// Weights with which no unit of a test's networks comes so near 0 that one way of rounding leaves it on and another off: a
/// gradient jumps there, whoever is right.
fn one_step(shape: &NetworkShape) -> Seed {
    match shape.architecture {
        Architecture::WideResNet { .. } | Architecture::ResNet { .. } => Seed(30),
        Architecture::DenseNet { .. } | Architecture::DenseNetBc { .. } | Architecture::ImageNetResNet { .. } => {
            Seed(31)
        }
    }
}

/// Initial weights with the batch norms moved off 1 and 0, so that every gradient counts.
fn weights(shape: &NetworkShape, seed: Seed) -> Weights {
    let mut weights = initial_weights(shape, seed);
    for (index, (name, tensor)) in weights.iter_mut().enumerate() {
        let mut random = stream(Seed(3), Purpose::Probe, Epoch(1), index as u64);
        if tensor.shape.len() == 1 {
            let scale = if name.ends_with("running_var") { 0.1 } else { 0.3 };
            tensor.values.iter_mut().for_each(|value| *value += (random.uniform() - 0.5) * scale);
        }
    }
    weights
}

struct Batch {
    images: Vec<f32>,
    labels: Tensor,
    teacher: Tensor,
}

impl Batch {
    fn first(self, shape: &NetworkShape, images: usize) -> Batch {
        Batch {
            images: self.images[..images * shape.channels * shape.image_size * shape.image_size].to_vec(),
            labels: self.labels.narrow(0, 0, images).expect("labels"),
            teacher: self.teacher.narrow(0, 0, images).expect("logits"),
        }
    }
}

fn batch(shape: &NetworkShape, step: u32) -> Batch {
    let mut random = stream(Seed(5), Purpose::Probe, Epoch(step), 0);
    let count = images(shape);
    let len = count * shape.channels * shape.image_size * shape.image_size;
    let images = (0..len).map(|_| random.normal()).collect();
    let labels: Vec<u32> = (0..count).map(|_| random.below(shape.classes as u32)).collect();
    let teacher: Vec<f32> = (0..count * shape.classes).map(|_| random.normal() * 2.0).collect();
    Batch {
        images,
        labels: Tensor::from_vec(labels, count, &Device::Cpu).expect("labels"),
        teacher: Tensor::from_vec(teacher, (count, shape.classes), &Device::Cpu).expect("logits"),
    }
}

/// Forward, ESKD's loss and backward; gives the logits.
fn learn(engine: &mut dyn Engine, batch: &Batch) -> Vec<f64> {
    let logits = engine.forward(&batch.images).expect("logits");
    let teacher = CheckpointId { segment: SegmentKey("teacher".into()), epoch: Epoch(1) };
    let said = Outputs::of_logits(batch.teacher.to_dtype(logits.dtype()).expect("numbers"));
    let teachers = BTreeMap::from([(teacher.clone(), said)]);
    let terms = [(0.1, Term::CrossEntropy), (0.9, Term::Kd { teacher, temperature: 4.0 })];
    let values =
        objective::terms(&terms, &Outputs::of_logits(logits.clone()), &batch.labels, &teachers).expect("terms");
    let gradient = objective::weighted_gradient(&terms, &values, |_| true).expect("a sum");
    engine.backward(&gradient).expect("gradients");
    flat(&logits)
}

/// Random gradients on the logits and on every attention map.
fn gradient(shape: &NetworkShape, step: u32) -> OutputGradient {
    let mut random = stream(Seed(7), Purpose::Probe, Epoch(step), 0);
    let mut tensor = |columns: usize| {
        let len = images(shape) * columns;
        let values: Vec<f32> = (0..len).map(|_| random.normal() / len as f32).collect();
        Tensor::from_vec(values, (images(shape), columns), &Device::Cpu).expect("numbers")
    };
    let logits = tensor(shape.classes);
    OutputGradient { logits, attention: shape.attention_pixels().into_iter().map(tensor).collect() }
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).and_then(|tensor| tensor.flatten_all()?.to_vec1()).expect("numbers")
}

/// Largest difference, as a share of the expected tensor's largest value.
fn assert_close(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-6f64, |largest, x| largest.max(x.abs()));
    let error = ours.iter().zip(expected).fold(0.0f64, |error, (a, b)| error.max((a - b).abs())) / largest;
    assert!(error < tolerance, "{what}: off by {error:e} of its largest value");
}

fn assert_all_close(what: &str, ours: &Weights, expected: &Weights, tolerance: f64) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|x| f64::from(*x)).collect() };
    for (name, values) in ours {
        assert_close(&format!("{what} {name}"), &wide(&values.values), &wide(&expected[name].values), tolerance);
    }
}

#[test]
fn logits_gradients_and_statistics_agree_with_double_precision() {
    for shape in shapes() {
        let (weights, batch) = (weights(&shape, one_step(&shape)), batch(&shape, 0));
        let mut reference = candle(&shape, DType::F64);
        reference.set_weights(&weights).expect("its own weights");
        let evaluated = flat(&reference.evaluate(&batch.images).expect("logits"));
        let logits = learn(&mut reference, &batch);
        for (name, mut engine) in engines(&shape) {
            let what = format!("{shape:?} {name}");
            engine.set_weights(&weights).expect("its own weights");
            assert_close(&what, &flat(&engine.evaluate(&batch.images).expect("logits")), &evaluated, 1e-5);
            assert_close(&what, &learn(engine.as_mut(), &batch), &logits, 2e-5);
            let (ours, expected) = (engine.gradients().expect("gradients"), reference.gradients().expect("gradients"));
            assert_all_close(&format!("{what} gradient"), &ours, &expected, TOLERANCE);
            let (ours, expected) = (engine.weights().expect("weights"), reference.weights().expect("weights"));
            assert_all_close(&format!("{what} after forward"), &ours, &expected, 1e-5);
        }
    }
}

#[test]
fn attention_maps_and_their_gradients_agree_with_double_precision() {
    for shape in shapes() {
        let (weights, images, gradient) =
            (weights(&shape, one_step(&shape)), batch(&shape, 0).images, gradient(&shape, 0));
        let look = |engine: &mut dyn Engine| {
            engine.set_weights(&weights).expect("its own weights");
            let (logits, evaluated) = engine.evaluate_with_attention(&images).expect("logits and maps");
            assert_eq!(flat(&logits), flat(&engine.evaluate(&images).expect("logits")));
            engine.forward(&images).expect("logits");
            let maps = engine.attention().expect("maps");
            engine.backward(&gradient).expect("gradients");
            (evaluated, maps, engine.gradients().expect("gradients"))
        };
        let (evaluated, maps, gradients) = look(&mut candle(&shape, DType::F64));
        for (name, mut engine) in engines(&shape) {
            let what = format!("{shape:?} {name}");
            let (ours_evaluated, ours, our_gradients) = look(engine.as_mut());
            let both = ours_evaluated.iter().zip(&evaluated).chain(ours.iter().zip(&maps));
            let mut compared = 0;
            for ((ours, expected), pixels) in both.zip(shape.attention_pixels().into_iter().cycle()) {
                assert_eq!(ours.dims(), expected.dims(), "{what}");
                assert_eq!(ours.dims()[1], pixels, "{what}");
                assert_close(&format!("{what} map"), &flat(ours), &flat(expected), 1e-5);
                compared += 1;
            }
            assert_eq!(compared, 2 * shape.attention_pixels().len(), "{what}");
            assert_all_close(&format!("{what} gradient"), &our_gradients, &gradients, TOLERANCE);
        }
    }
}

/// In any order, with attention maps and without, to the same bits as alone.
#[test]
fn each_backward_gives_its_own_gradients() {
    for (name, size) in [("wrn-10-1", 12), ("resnet8", 12), ("resnet8x4", 12), ("densenet-40-12", 8)] {
        gives_its_own_gradients(shape(name, 1, size));
    }
}

fn gives_its_own_gradients(shape: NetworkShape) {
    let (weights, images) = (weights(&shape, one_step(&shape)), batch(&shape, 0).images);
    let (of_both, of_logits) = (gradient(&shape, 1), OutputGradient::of_logits(gradient(&shape, 2).logits));
    let passed = || {
        engines(&shape).into_iter().map(|(name, mut engine)| {
            engine.set_weights(&weights).expect("its own weights");
            engine.forward(&images).expect("logits");
            (name, engine)
        })
    };
    let gradients = |engine: &mut dyn Engine, gradient| {
        engine.backward(gradient).expect("gradients");
        engine.gradients().expect("gradients")
    };
    for (((name, mut once), (_, mut other)), (_, mut both)) in passed().zip(passed()).zip(passed()) {
        let alone = [gradients(once.as_mut(), &of_logits), gradients(other.as_mut(), &of_both)];
        assert_ne!(alone[0], alone[1], "{name}");
        for (gradient, alone) in [(&of_logits, &alone[0]), (&of_both, &alone[1]), (&of_logits, &alone[0])] {
            assert_eq!(gradients(both.as_mut(), gradient), *alone, "{name}");
        }
    }
}

#[test]
fn ten_steps_agree_with_double_precision() {
    let optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 };
    for shape in [shape("wrn-10-1", 1, 12), shape("wrn-10-2", 3, 8), shape("resnet8", 1, 12), shape("resnet8x4", 3, 8)]
    {
        let mut reference = candle(&shape, DType::F64);
        reference.set_weights(&weights(&shape, TEN_STEPS)).expect("its own weights");
        let mut others = engines(&shape);
        for (_, engine) in &mut others {
            engine.set_weights(&weights(&shape, TEN_STEPS)).expect("its own weights");
        }
        for step in 0..10 {
            // Few and small images: over ten steps, two ways of rounding drift apart with each unit that one of them leaves at 0.
            let batch = batch(&shape, step).first(&shape, 4);
            learn(&mut reference, &batch);
            reference.step(LEARNING_RATE, &optimizer).expect("a step");
            for (_, engine) in &mut others {
                learn(engine.as_mut(), &batch);
                engine.step(LEARNING_RATE, &optimizer).expect("a step");
            }
        }
        for (name, engine) in others {
            let (ours, expected) = (engine.weights().expect("weights"), reference.weights().expect("weights"));
            assert_all_close(&format!("{shape:?} {name}"), &ours, &expected, 5e-6);
            let (ours, expected) = (engine.momentum().expect("momentum"), reference.momentum().expect("momentum"));
            assert_all_close(&format!("{shape:?} {name} momentum"), &ours, &expected, 3e-5);
        }
    }
}

/// Batches of one image, of a few and of as many as fit, over more threads than images.
#[test]
fn threads_change_no_bit() {
    for (name, size) in
        [("wrn-10-1", 16), ("resnet14", 16), ("resnet8x4", 16), ("densenet-40-12", 8), ("densenet-bc-40-12", 8)]
    {
        is_the_same_with_any_threads(shape(name, 1, size));
    }
}

fn is_the_same_with_any_threads(shape: NetworkShape) {
    let optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 };
    let most = images(&shape);
    for set in InstructionSet::ALL.into_iter().filter(|set| set.available()) {
        let trained = [1, 2, 3].map(|threads| {
            let mut engine = CpuNetwork::new(&shape, most, threads, set).expect("an engine");
            engine.set_weights(&weights(&shape, one_step(&shape))).expect("its own weights");
            let logits: Vec<f64> = [most, 1, 3]
                .into_iter()
                .zip(0..)
                .flat_map(|(images, step)| {
                    let batch = batch(&shape, step).first(&shape, images);
                    let logits = learn(&mut engine, &batch);
                    engine.step(0.1, &optimizer).expect("a step");
                    logits
                })
                .collect();
            let evaluated = flat(&engine.evaluate(&batch(&shape, 9).images).expect("logits"));
            (logits, evaluated, engine.weights().expect("weights"), engine.momentum().expect("momentum"))
        });
        // Compared as numbers that are all finite: no two of them are equal with other bits, but for the zeros' sign.
        assert!(trained[0].1.iter().all(|logit| logit.is_finite()));
        assert!(trained[0] == trained[1] && trained[0] == trained[2], "{shape:?} {set}: threads changed a result");
    }
}

/// Going on from weights and momentum that were read and set again is going on.
#[test]
fn a_network_goes_on_from_what_it_was() {
    for (name, size) in [("wrn-10-1", 28), ("resnet8", 28), ("densenet-40-12", 8)] {
        goes_on(shape(name, 1, size));
    }
}

fn goes_on(shape: NetworkShape) {
    let optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 };
    let mut all = engines(&shape).into_iter().zip(engines(&shape)).collect::<Vec<_>>();
    for ((name, whole), (_, resumed)) in &mut all {
        whole.set_weights(&weights(&shape, one_step(&shape))).expect("its own weights");
        for step in 0..2 {
            learn(whole.as_mut(), &batch(&shape, step));
            whole.step(0.1, &optimizer).expect("a step");
        }
        resumed.set_weights(&whole.weights().expect("weights")).expect("its own weights");
        resumed.set_momentum(&whole.momentum().expect("momentum")).expect("its own momentum");
        for engine in [&mut *whole, &mut *resumed] {
            learn(engine.as_mut(), &batch(&shape, 2));
            engine.step(0.1, &optimizer).expect("a step");
        }
        assert_eq!(whole.weights().expect("weights"), resumed.weights().expect("weights"), "{name}");
        assert_eq!(whole.momentum().expect("momentum"), resumed.momentum().expect("momentum"), "{name}");
    }
}

#[test]
fn weights_that_do_not_fit_are_all_named() {
    let shape = shape("wrn-10-1", 1, 28);
    let mut wrong = weights(&shape, one_step(&shape));
    let bias = wrong.remove("fc.bias").expect("a bias");
    wrong.insert("fc.bias2".into(), bias);
    wrong.get_mut("conv1.weight").expect("a weight").shape = vec![16, 9];
    for (name, mut engine) in engines(&shape) {
        let error = engine.set_weights(&wrong).expect_err("they do not fit").to_string();
        for part in ["fc.bias is missing", "fc.bias2 is not in this network", "conv1.weight is [16, 9]"] {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}

#[test]
fn both_engines_list_the_same_tensors_in_the_same_order() {
    for shape in shapes() {
        let sizes = kernels_shape(&shape).expect("it has operators");
        let network = kernels::Network::for_evaluation(sizes, 1, InstructionSet::Portable).expect("a network");
        let theirs: Vec<_> = network.tensors().into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
        let ours: Vec<_> = shape.tensors().into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
        assert_eq!(ours, theirs);
    }
}
