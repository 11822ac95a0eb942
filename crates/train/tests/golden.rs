//! Golden bits: what three steps of training leave behind, by instruction set. They guard `study::TRAINING_VERSION`: results
//! trained by one version are never mixed with another's.

use candle_core::{Device, Tensor};
use kernels::InstructionSet;
use std::collections::BTreeMap;
use study::{Architecture, CheckpointId, Epoch, Optimizer, Seed, SegmentKey, TRAINING_VERSION, Term};
use train::cpu_network::CpuNetwork;
use train::engine::{Engine, NetworkShape};
use train::initial::initial_weights;
use train::objective;
use train::random::{Purpose, stream};

/// Recorded with this training version; the digests below belong to it.
const RECORDED_VERSION: u32 = 1;

fn recorded(set: InstructionSet) -> &'static str {
    match set {
        InstructionSet::Avx512 => "281d1ae63855d57b",
        InstructionSet::Avx2 => "281d1ae63855d57b",
        InstructionSet::Portable => "2ff48166f330f8cf",
    }
}

/// Weights, statistics and momentum after three steps of ESKD's loss with a batch of 19, hashed in their order.
fn digest(set: InstructionSet, threads: usize) -> String {
    let architecture = Architecture::WideResNet { depth: 10, width: 2 };
    let shape = NetworkShape { architecture, channels: 1, image_size: 28, classes: 10 };
    let mut network = CpuNetwork::new(&shape, 19, threads, set).expect("an engine");
    network.set_weights(&initial_weights(&shape, Seed(1))).expect("its own weights");
    let teacher = CheckpointId { segment: SegmentKey("teacher".into()), epoch: Epoch(1) };
    let terms = [(0.1, Term::CrossEntropy), (0.9, Term::Kd { teacher: teacher.clone(), temperature: 4.0 })];
    for step in 0..3 {
        let mut random = stream(Seed(1), Purpose::Probe, Epoch(step), 0);
        let images: Vec<f32> = (0..19 * 28 * 28).map(|_| random.uniform() - 0.5).collect();
        let labels: Vec<u32> = (0..19).map(|_| random.below(10)).collect();
        let labels = Tensor::from_vec(labels, 19, &Device::Cpu).expect("labels");
        let logits: Vec<f32> = (0..190).map(|_| random.uniform() * 4.0).collect();
        let logits = Tensor::from_vec(logits, (19, 10), &Device::Cpu).expect("logits");
        let teachers = BTreeMap::from([(teacher.clone(), logits)]);
        let logits = network.forward(&images).expect("logits");
        let values = objective::terms(&terms, &logits, &labels, &teachers).expect("terms");
        network.backward(&objective::weighted_gradient(&terms, &values).expect("a sum")).expect("gradients");
        network.step(0.1, &Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 }).expect("a step");
    }
    let mut hash = blake3::Hasher::new();
    for weights in [network.weights().expect("weights"), network.momentum().expect("momentum")] {
        for (name, tensor) in weights {
            hash.update(name.as_bytes());
            for value in tensor.values {
                hash.update(&value.to_le_bytes());
            }
        }
    }
    hash.finalize().to_hex()[..16].to_string()
}

#[test]
fn bits_change_only_with_the_training_version() {
    assert_eq!(
        RECORDED_VERSION, TRAINING_VERSION,
        "TRAINING_VERSION moved: record the golden bits of this version here"
    );
    let mut changed = Vec::new();
    for set in InstructionSet::ALL {
        if !set.available() {
            println!("skipped: this processor has no {set}");
            continue;
        }
        let one = digest(set, 1);
        assert_eq!(one, digest(set, 2), "{set}: two threads gave other bits than one");
        if one != recorded(set) {
            changed.push(format!("{set}: {one} instead of {}", recorded(set)));
        }
    }
    assert!(
        changed.is_empty(),
        "training leaves other bits behind than version {TRAINING_VERSION} did: raise study::TRAINING_VERSION and record these:\n{}",
        changed.join("\n")
    );
}
