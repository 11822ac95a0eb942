//! Golden bits: what three steps of training leave behind, by instruction set. They guard `study::TRAINING_VERSION`: results
//! trained by one version are never mixed with another's.

use candle_core::{Device, Tensor};
use kernels::InstructionSet;
use std::collections::BTreeMap;
use std::io::Write;
use study::{
    Architecture, Augmentation, CheckpointId, Dataset, Epoch, Optimizer, Recipe, Schedule, Seed, SegmentKey,
    TRAINING_VERSION, Term,
};
use train::augmentation::{Normalisation, order, view};
use train::cpu_network::CpuNetwork;
use train::dataset::{self, Images};
use train::engine::{Engine, NetworkShape};
use train::initial::initial_weights;
use train::objective::{self, Outputs};
use train::random::{Purpose, stream};

/// Recorded with this training version; the digests below belong to it.
const RECORDED_VERSION: u32 = 2;

/// By network: of every instruction set that multiplies and adds at once, and of the portable one.
const RECORDED: [(&str, [&str; 2]); 4] = [
    ("wrn-10-2", ["561818c80e786b2e", "1caed9fc8a86d751"]),
    ("resnet8x4", ["c375bdee1568a80f", "33b2b134d00f46bf"]),
    ("densenet-40-12", ["0742d4a636b2e6a3", "d0c4aa94d6252e33"]),
    ("densenet-bc-40-12", ["8e3a3a64b7103d44", "8ac924c9c9930d8e"]),
];

fn recorded([fused, portable]: [&'static str; 2], set: InstructionSet) -> &'static str {
    match set {
        InstructionSet::Avx512 | InstructionSet::Avx2 | InstructionSet::Neon => fused,
        InstructionSet::Portable => portable,
    }
}

const BATCH: usize = 19;

/// Weights, statistics and momentum after the first step of each of three epochs, hashed in their order: ESKD's loss on the
/// built-in images, in the order, the views and at the rates of a training.
fn digest(images: &Images, architecture: Architecture, set: InstructionSet, threads: usize) -> String {
    let seed = Seed(1);
    let normalisation = Normalisation::of(images);
    let schedule = Schedule::new(Epoch(3), &Recipe::default());
    let pixels = images.values_per_image();
    let shape = NetworkShape { architecture, channels: 1, image_size: 28, classes: 10 };
    let mut network = CpuNetwork::new(&shape, BATCH, threads, set).expect("an engine");
    network.set_weights(&initial_weights(&shape, seed)).expect("its own weights");
    let teacher = CheckpointId { segment: SegmentKey("teacher".into()), epoch: Epoch(1) };
    let terms = [(0.1, Term::CrossEntropy), (0.9, Term::Kd { teacher: teacher.clone(), temperature: 4.0 })];
    for complete in (0..3).map(Epoch) {
        let order = order(seed, complete, images.train.len() as u32);
        let mut views = vec![0.0; BATCH * pixels];
        for (&index, out) in order.iter().zip(views.chunks_exact_mut(pixels)) {
            let image = &images.train.images[index as usize * pixels..][..pixels];
            normalisation.render(image, view(Augmentation::CropFlip, seed, complete, index), out);
        }
        let labels: Vec<u32> =
            order[..BATCH].iter().map(|&index| u32::from(images.train.labels[index as usize])).collect();
        let labels = Tensor::from_vec(labels, BATCH, &Device::Cpu).expect("labels");
        let mut random = stream(seed, Purpose::Probe, complete, 0);
        let logits: Vec<f32> = (0..BATCH * 10).map(|_| random.uniform() * 4.0).collect();
        let logits = Tensor::from_vec(logits, (BATCH, 10), &Device::Cpu).expect("logits");
        let teachers = BTreeMap::from([(teacher.clone(), Outputs::of_logits(logits))]);
        let outputs = Outputs::of_logits(network.forward(&views).expect("logits"));
        let values = objective::terms(&terms, &outputs, &labels, &teachers).expect("terms");
        let gradient = objective::weighted_gradient(&terms, &values, |_| true).expect("a sum");
        network.backward(&gradient).expect("gradients");
        let optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 };
        network.step(schedule.learning_rate_after(complete), &optimizer).expect("a step");
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
    let images = dataset::load(Dataset::FashionMnist12k, None, None).expect("the built-in images");
    let mut changed = Vec::new();
    for set in InstructionSet::ALL {
        if !set.available() {
            // Not `println!`: what a test that passes says there is swallowed.
            let _ = writeln!(std::io::stderr(), "skipped: this processor has no {set}");
            continue;
        }
        for (name, digests) in RECORDED {
            let architecture = name.parse().expect("a network");
            let one = digest(&images, architecture, set, 1);
            assert_eq!(
                one,
                digest(&images, architecture, set, 2),
                "{name} {set}: two threads gave other bits than one"
            );
            if one != recorded(digests, set) {
                changed.push(format!("{name} {set}: {one} instead of {}", recorded(digests, set)));
            }
        }
    }
    assert!(
        changed.is_empty(),
        "training leaves other bits behind than version {TRAINING_VERSION} did: raise study::TRAINING_VERSION and record these:\n{}",
        changed.join("\n")
    );
}
