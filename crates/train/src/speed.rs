//! How fast this machine trains, measured.

use crate::TrainError;
use crate::cpu_network::CpuNetwork;
use crate::engine::{Engine, NetworkShape, instruction_set};
use crate::initial::initial_weights;
use crate::objective;
use crate::random::{Purpose, stream};
use candle_core::Tensor;
use kernels::InstructionSet;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use study::{Architecture, Epoch, Optimizer, Recipe, Seed, Term};

/// Whole training steps: forward, loss, backward, SGD.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTime {
    pub milliseconds_min: f64,
    pub milliseconds_median: f64,
    pub images_per_second: f64,
    pub instruction_set: String,
}

/// Times steps of `architecture` on random 32×32×3 images: three to warm up, then at least a second and five steps.
///
/// # Errors
/// An instruction set that is not known or not on this processor; sizes out of range.
pub fn step_time(
    architecture: Architecture,
    batch: usize,
    threads: usize,
    instruction_set: Option<&str>,
) -> Result<StepTime, TrainError> {
    let shape = NetworkShape { architecture, channels: 3, image_size: 32, classes: 10 };
    measure(&shape, batch, threads, instruction_set, Duration::from_secs(1))
}

/// Multiply-accumulates a second of one thread in training steps, which count as three forward passes: what estimates are made of.
pub fn multiply_accumulates_per_second() -> Result<f64, TrainError> {
    let architecture = Architecture::WideResNet { depth: 10, width: 1 };
    let shape = NetworkShape { architecture, channels: 1, image_size: 28, classes: 10 };
    let step = measure(&shape, 64, 1, None, Duration::from_millis(400))?;
    let image = 3 * architecture.multiply_accumulates(1, 28, 10);
    Ok(64.0 / (step.milliseconds_median / 1e3) * image as f64)
}

fn measure(
    shape: &NetworkShape,
    batch: usize,
    threads: usize,
    set: Option<&str>,
    at_least: Duration,
) -> Result<StepTime, TrainError> {
    let set: InstructionSet = set.map_or_else(instruction_set, str::to_string).parse()?;
    let mut network = CpuNetwork::new(shape, batch, threads, set)?;
    network.set_weights(&initial_weights(shape, Seed(0)))?;
    let mut random = stream(Seed(0), Purpose::Probe, Epoch(0), 0);
    let images: Vec<f32> =
        (0..batch * shape.channels * shape.image_size * shape.image_size).map(|_| random.normal()).collect();
    let labels: Vec<u32> = (0..batch).map(|_| random.below(shape.classes as u32)).collect();
    let labels = Tensor::from_vec(labels, batch, &candle_core::Device::Cpu)?;
    let recipe = Recipe::default();
    let optimizer = Optimizer::Sgd { momentum: recipe.momentum, weight_decay: recipe.weight_decay };
    let terms = [(1.0, Term::CrossEntropy)];
    let mut step = || -> Result<f64, TrainError> {
        let start = Instant::now();
        let logits = network.forward(&images)?;
        let values = objective::terms(&terms, &logits, &labels, &BTreeMap::new())?;
        network.backward(&objective::weighted_gradient(&terms, &values)?)?;
        network.step(0.01, &optimizer)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    for _ in 0..3 {
        step()?;
    }
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || start.elapsed() < at_least {
        times.push(step()?);
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    Ok(StepTime {
        milliseconds_min: times[0],
        milliseconds_median: median,
        images_per_second: batch as f64 / (median / 1e3),
        instruction_set: set.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_timed_on_the_instruction_set_asked_for() {
        let architecture = Architecture::WideResNet { depth: 10, width: 1 };
        let shape = NetworkShape { architecture, channels: 1, image_size: 28, classes: 10 };
        let time = measure(&shape, 3, 1, Some("portable"), Duration::ZERO).expect("a time");
        assert_eq!(time.instruction_set, "portable");
        assert!(0.0 < time.milliseconds_min && time.milliseconds_min <= time.milliseconds_median);
        assert!((time.images_per_second * time.milliseconds_median - 3000.0).abs() < 1e-6);
    }

    #[test]
    fn what_cannot_be_timed_is_refused() {
        let architecture = Architecture::WideResNet { depth: 10, width: 1 };
        let error = step_time(architecture, 8, 1, Some("sse9")).expect_err("there is none").to_string();
        assert!(error.contains("sse9") && error.contains("portable"), "{error}");
        for (batch, threads) in [(0, 1), (8, 0)] {
            assert!(step_time(architecture, batch, threads, None).is_err());
        }
    }
}
