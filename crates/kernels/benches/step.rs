//! Milliseconds of whole training steps: `cargo bench -p kernels -- DEPTH WIDTH BATCH THREADS INSTRUCTION_SET`, of a Wide ResNet where
//! DEPTH is 6n + 4 and of a ResNet where it is 6n + 2.

use kernels::{Blocks, InstructionSet, Network, Shape, TensorKind};
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |at: usize, default: usize| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    let set = words.get(4).and_then(|word| word.parse().ok()).unwrap_or_else(InstructionSet::best);
    let (depth, width, batch, threads) = (number(0, 16), number(1, 1), number(2, 64), number(3, 1));
    let (blocks, name) = match depth % 6 {
        2 => (Blocks::PostActivation, "resnet"),
        _ => (Blocks::PreActivation, "wrn"),
    };
    let shape = Shape {
        blocks,
        blocks_in_group: (depth - 2) / 6,
        stem: if depth % 6 == 2 && width > 1 { 32 } else { 16 },
        group_channels: [16 * width, 32 * width, 64 * width],
        channels: 3,
        image_size: 32,
        classes: 10,
    };
    let mut network = Network::new(shape, batch, threads, set).expect("a network of these sizes");
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 40) as f32 / (1u64 << 24) as f32) - 0.5
    };
    for tensor in network.tensors() {
        let len: usize = tensor.shape.iter().product();
        let constant =
            tensor.shape.len() == 1 && (tensor.kind == TensorKind::Buffer || tensor.name.ends_with("weight"));
        let values: Vec<f32> = (0..len).map(|_| if constant { 1.0 } else { random() * 0.2 }).collect();
        network.set(&tensor.name, &values).expect("its own shape");
    }
    let images: Vec<f32> = (0..batch * 3 * 32 * 32).map(|_| random()).collect();
    let (mut whole, mut forward, mut evaluation) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..15 {
        let start = Instant::now();
        let gradient: Vec<f32> = network.forward(&images).iter().map(|logit| logit / batch as f32).collect();
        forward.push(start.elapsed().as_secs_f64() * 1e3);
        network.backward(&gradient);
        network.step(0.01, 0.9, 5e-4);
        whole.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        network.evaluate(&images);
        evaluation.push(start.elapsed().as_secs_f64() * 1e3);
    }
    for (what, mut times) in [("step", whole), ("forward", forward), ("evaluation", evaluation)] {
        times.sort_by(f64::total_cmp);
        let (min, median) = (times[0], times[times.len() / 2]);
        println!(
            "{name}-{depth}-{width} batch {batch} threads {threads} {set}: {what} min {min:.1} ms, median {median:.1} ms"
        );
    }
}
