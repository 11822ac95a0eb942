//! The distillation-oriented trainer in both engines: against PyTorch's numbers, going on from other steps and from checkpoints.

use candle_core::{DType, Device, Tensor};
use kernels::InstructionSet;
use std::path::Path;
use study::{Architecture, Epoch, Optimizer, Seed};
use train::candle_network::CandleNetwork;
use train::checkpoint::{self, Metadata};
use train::cpu_network::CpuNetwork;
use train::engine::{DISTILLATION, Engine, NetworkShape, OutputGradient, Weights};
use train::initial::initial_weights;
use train::random::{Purpose, stream};

const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 };
const DOT: Optimizer = Optimizer::Dot { momentum: 0.9, weight_decay: 5e-4, momentum_difference: 0.075 };

const BATCH: usize = 11;

fn shape(image_size: usize, classes: usize) -> NetworkShape {
    NetworkShape { architecture: Architecture::WideResNet { depth: 10, width: 1 }, channels: 1, image_size, classes }
}

fn engines(shape: &NetworkShape, threads: usize) -> Vec<(String, Box<dyn Engine>)> {
    let mut engines: Vec<(String, Box<dyn Engine>)> = InstructionSet::ALL
        .into_iter()
        .filter(|set| set.available())
        .map(|set| {
            let network = CpuNetwork::new(shape, BATCH, threads, set).expect("an engine");
            (set.to_string(), Box::new(network) as Box<dyn Engine>)
        })
        .collect();
    let candle = CandleNetwork::new(shape, &Device::Cpu, DType::F32).expect("an engine");
    engines.push(("candle".into(), Box::new(candle)));
    engines
}

fn assert_close(what: &str, ours: &[f32], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    for (ours, expected) in ours.iter().zip(expected) {
        assert!((f64::from(*ours) - expected).abs() < 2e-6, "{what}: {ours} instead of {expected}");
    }
}

/// With all weights zero the gradient on the last layer's bias is that on the logits, so that it can be given.
///
/// ```python
/// import torch                                      # torch 2.15
/// p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
/// settings = dict(lr=0.1, weight_decay=5e-4)
/// sgd = torch.optim.SGD([p], momentum=0.9, **settings)
/// # w ← w − γ(v_ce + v_kd) in two steps, the first of which still sees the weights that decay.
/// labels = torch.optim.SGD([p], momentum=0.9 - 0.075, **settings)
/// teacher = torch.optim.SGD([p], momentum=0.9 + 0.075, lr=0.1)
/// buffer = "momentum_buffer"
/// def step(optimizer, gradient):
///     p.grad = torch.tensor(gradient, dtype=torch.float64); optimizer.step()
/// step(sgd, [0.25, 1.0, -0.5])
/// labels.state[p][buffer] = sgd.state[p][buffer].clone()
/// for of_labels, of_teacher in (([0.5, -1.0, 0.0], [0.25, 0.5, -0.75]), ([0.0, 0.125, 2.0], [-1.0, 0.0, 0.5]),
///                               ([-0.5, 0.25, 0.75], [0.125, 1.5, -0.25])):
///     step(labels, of_labels); step(teacher, of_teacher)
/// print(p.tolist(), labels.state[p][buffer].tolist(), teacher.state[p][buffer].tolist())
/// sgd.state[p][buffer] = labels.state[p][buffer] + teacher.state[p][buffer]
/// step(sgd, [0.25, -0.25, 1.0])
/// print(p.tolist(), sgd.state[p][buffer].tolist())
/// ```
#[test]
fn dot_is_two_of_pytorchs_after_sgd_and_before_it() {
    let shape = shape(8, 3);
    for (name, mut network) in engines(&shape, 1) {
        let mut weights = initial_weights(&shape, Seed(0));
        weights.values_mut().for_each(|tensor| tensor.values.fill(0.0));
        weights.get_mut("fc.bias").expect("a bias").values = vec![1.0, -2.0, 0.5];
        network.set_weights(&weights).expect("its own weights");
        let pass = |network: &mut dyn Engine, gradient: [f32; 3]| {
            let gradient = Tensor::new(&[gradient], &Device::Cpu).expect("a gradient");
            network.backward(&OutputGradient::of_logits(gradient)).expect("gradients");
        };
        let bias = |weights: Weights, prefix: &str| weights[&format!("{prefix}fc.bias")].values.clone();

        network.forward(&[0.0; 64]).expect("logits");
        pass(network.as_mut(), [0.25, 1.0, -0.5]);
        network.step(0.1, &SGD).expect("a step");
        for [labels, teacher] in [
            [[0.5, -1.0, 0.0], [0.25, 0.5, -0.75]],
            [[0.0, 0.125, 2.0], [-1.0, 0.0, 0.5]],
            [[-0.5, 0.25, 0.75], [0.125, 1.5, -0.25]],
        ] {
            network.forward(&[0.0; 64]).expect("logits");
            pass(network.as_mut(), labels);
            network.set_gradient_aside().expect("it is kept");
            pass(network.as_mut(), teacher);
            network.step(0.1, &DOT).expect("a step");
        }
        let (weights, momentum) = (network.weights().expect("weights"), network.momentum().expect("momentum"));
        assert_close(&name, &bias(weights, ""), &[0.9594990553866938, -2.3993720177639934, 0.35879637453318275]);
        assert_close(
            &format!("{name} labels"),
            &bias(momentum.clone(), ""),
            &[-0.017885125743187402, 0.23077056764243764, 2.120106157792547],
        );
        assert_close(
            &format!("{name} teacher"),
            &bias(momentum, DISTILLATION),
            &[-0.61234375, 1.9753125, -0.47546874999999994],
        );

        network.forward(&[0.0; 64]).expect("logits");
        pass(network.as_mut(), [0.25, -0.25, 1.0]);
        network.step(0.1, &SGD).expect("a step");
        let (weights, momentum) = (network.weights().expect("weights"), network.momentum().expect("momentum"));
        assert_close(&name, &bias(weights, ""), &[0.9911716792508113, -2.572799525250925, 0.11076106801312686]);
        assert!(momentum.keys().all(|name| !name.starts_with(DISTILLATION)), "{name}");
        assert_close(
            &format!("{name} momentum"),
            &bias(momentum, ""),
            &[-0.3167262386411752, 1.7342750748693123, 2.4803530652005588],
        );
    }
}

/// A step on images and gradients of its own, the teacher's also on the attention maps.
fn learn(engine: &mut dyn Engine, shape: &NetworkShape, step: u32, optimizer: &Optimizer) {
    let mut random = stream(Seed(5), Purpose::Probe, Epoch(step), 0);
    let mut values = |len: usize, scale: f32| -> Vec<f32> { (0..len).map(|_| random.normal() * scale).collect() };
    engine.forward(&values(BATCH * shape.image_size.pow(2), 1.0)).expect("logits");
    let mut tensor = |columns: usize| {
        let len = BATCH * columns;
        Tensor::from_vec(values(len, 1.0 / len as f32), (BATCH, columns), &Device::Cpu).expect("numbers")
    };
    let labels = OutputGradient::of_logits(tensor(shape.classes));
    let logits = tensor(shape.classes);
    let teacher = OutputGradient { logits, attention: shape.attention_pixels().into_iter().map(tensor).collect() };
    if matches!(optimizer, Optimizer::Dot { .. }) {
        engine.backward(&labels).expect("gradients");
        engine.set_gradient_aside().expect("it is kept");
    }
    engine.backward(&teacher).expect("gradients");
    engine.step(0.1, optimizer).expect("a step");
}

fn state(engine: &dyn Engine) -> (Weights, Weights) {
    (engine.weights().expect("weights"), engine.momentum().expect("momentum"))
}

/// Killed after two steps and resumed from the checkpoint's files, under either optimizer.
#[test]
fn a_training_goes_on_from_dots_checkpoint_to_the_same_bits() {
    let shape = shape(12, 10);
    for next in [DOT, SGD] {
        for ((name, mut whole), (_, mut resumed)) in engines(&shape, 1).into_iter().zip(engines(&shape, 1)) {
            whole.set_weights(&initial_weights(&shape, Seed(1))).expect("its own weights");
            (0..2).for_each(|step| learn(whole.as_mut(), &shape, step, &DOT));
            let folder = tempfile::tempdir().expect("a folder");
            let (weights, momentum) = state(whole.as_ref());
            save(folder.path(), &weights, &momentum);
            // What another training left there is of no account.
            learn(resumed.as_mut(), &shape, 7, &DOT);
            let (weights, _) = checkpoint::load_weights(folder.path(), Epoch(1)).expect("weights");
            resumed.set_weights(&weights).expect("its own weights");
            let momentum = checkpoint::load_momentum(folder.path(), Epoch(1)).expect("momentum");
            resumed.set_momentum(&momentum).expect("its own momentum");
            assert!(state(resumed.as_ref()) == state(whole.as_ref()), "{name}");
            for engine in [&mut whole, &mut resumed] {
                learn(engine.as_mut(), &shape, 2, &next);
            }
            assert!(state(resumed.as_ref()) == state(whole.as_ref()), "{name} {next:?}");
            assert!(state(whole.as_ref()).1.values().flat_map(|it| &it.values).all(|value| value.is_finite()));
        }
    }
}

fn save(folder: &Path, weights: &Weights, momentum: &Weights) {
    checkpoint::save(folder, Epoch(1), weights, momentum, 2, &Metadata::new()).expect("a checkpoint");
}

#[test]
fn momentum_that_does_not_fit_is_named() {
    let shape = shape(12, 10);
    for (name, mut engine) in engines(&shape, 1) {
        learn(engine.as_mut(), &shape, 0, &DOT);
        let mut momentum = engine.momentum().expect("momentum");
        let lost = format!("{DISTILLATION}fc.bias");
        assert!(momentum.remove(&lost).is_some(), "{name}");
        let error = engine.set_momentum(&momentum).expect_err("one is missing").to_string();
        assert!(error.contains(&format!("{lost} is missing")), "{name}: {error}");
        // One optimizer's alone is whole again.
        momentum.retain(|name, _| !name.starts_with(DISTILLATION));
        engine.set_momentum(&momentum).expect("SGD's momentum");
        assert_eq!(engine.momentum().expect("momentum"), momentum, "{name}");
    }
}

#[test]
fn threads_change_no_bit_of_a_step_of_dot() {
    let shape = shape(12, 10);
    let trained = |threads: usize| -> Vec<(String, (Weights, Weights))> {
        let train = |(name, mut engine): (String, Box<dyn Engine>)| {
            engine.set_weights(&initial_weights(&shape, Seed(1))).expect("its own weights");
            (0..2).for_each(|step| learn(engine.as_mut(), &shape, step, &DOT));
            (name, state(engine.as_ref()))
        };
        engines(&shape, threads).into_iter().map(train).collect()
    };
    let one = trained(1);
    assert!(one == trained(2) && one == trained(3));
}

/// What a study counts for DOT is what the engine takes for it.
#[test]
fn dot_holds_two_numbers_more_for_each_parameter() {
    for name in ["wrn-16-2", "resnet8x4"] {
        holds_two_numbers_more(name.parse().expect("a network"));
    }
}

fn holds_two_numbers_more(architecture: Architecture) {
    let shape = NetworkShape { architecture, channels: 3, image_size: 32, classes: 10 };
    let shape = train::cpu_network::kernels_shape(&shape).expect("it has operators");
    let mut network = kernels::Network::new(shape, 1, 1, InstructionSet::Portable).expect("a network");
    let before = network.bytes();
    network.forward(&vec![0.0; 3 * 32 * 32]);
    network.backward(&[0.0; 10]);
    network.set_gradient_aside();
    network.backward(&[0.0; 10]);
    network.step_along_both(0.1, [0.8, 0.9], 0.0);
    // Buffers are filled up to whole cache lines, which the estimate does not count.
    let ratio = (network.bytes() - before) as f64 / architecture.optimizer_bytes(3, 10, DOT.gradients()) as f64;
    assert!((1.0..1.001).contains(&ratio), "{ratio}");
    assert_eq!(architecture.optimizer_bytes(3, 10, SGD.gradients()), 0);
}
