//! How fast this machine trains, measured.

use crate::TrainError;
use crate::augmentation::{Normalisation, View, order, view};
use crate::candle_network::CandleNetwork;
use crate::cpu_network::CpuNetwork;
use crate::dataset::{Images, Split, load};
use crate::engine::{Engine, NetworkShape, instruction_set as best};
use crate::frozen::shape;
use crate::initial::initial_weights;
use crate::objective::{self, Outputs};
use crate::random::{Purpose, stream};
use candle_core::{DType, Device, Tensor};
pub use kernels::Precision;
use kernels::{InstructionSet, Product};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use study::{
    Architecture, Augmentation, Dataset, DatasetFacts, Epoch, Optimizer, Recipe, Seed, Speed, Term,
    cost::{Measured, Pace},
};

/// How long something takes for a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchTime {
    pub milliseconds_min: f64,
    pub milliseconds_median: f64,
    pub images_per_second: f64,
    pub instruction_set: String,
}

/// Times whole training steps (forward, loss, backward, SGD) of `architecture` on random 32×32×3 images: three to warm up,
/// then at least a second and five steps.
///
/// # Errors
/// An instruction set that is not known or not on this processor; sizes out of range.
pub fn step_time(
    architecture: Architecture,
    batch: usize,
    threads: usize,
    instruction_set: Option<&str>,
) -> Result<BatchTime, TrainError> {
    measure(&colour(architecture), batch, threads, instruction_set, Duration::from_secs(1))
}

/// Times evaluations of batches by a frozen network, otherwise as [`step_time`].
///
/// # Errors
/// As [`step_time`].
pub fn evaluation_time(
    architecture: Architecture,
    batch: usize,
    threads: usize,
    instruction_set: Option<&str>,
) -> Result<BatchTime, TrainError> {
    let (shape, set) = (colour(architecture), parsed(instruction_set)?);
    let mut network = CpuNetwork::for_evaluation(&shape, threads, set)?;
    network.set_weights(&initial_weights(&shape, Seed(0)))?;
    let (images, _) = random_batch(&shape, batch);
    let [time] =
        time(batch, set, Duration::from_secs(1), || Ok([seconds(PASSED, || network.evaluate(&images).map(drop))?]))?;
    Ok(time)
}

/// Times what an epoch does before each step, and the step: draws the views of a batch of `images` (crop and flip) and renders
/// them, then trains on them. The two times, otherwise as [`step_time`].
///
/// # Errors
/// As [`step_time`].
pub fn augmentation_and_step_time(
    images: &Images,
    architecture: Architecture,
    batch: usize,
    threads: usize,
    instruction_set: Option<&str>,
) -> Result<[BatchTime; 2], TrainError> {
    augmentation_and_step(images, architecture, batch, threads, instruction_set, Duration::from_secs(1))
}

fn augmentation_and_step(
    images: &Images,
    architecture: Architecture,
    batch: usize,
    threads: usize,
    instruction_set: Option<&str>,
    at_least: Duration,
) -> Result<[BatchTime; 2], TrainError> {
    let set = parsed(instruction_set)?;
    let mut probe = Probe::of_cpu(&shape(architecture, images), batch, threads, set)?;
    let normalisation = Normalisation::of(images);
    let mut order = order(Seed(0), Epoch(0), images.train.len() as u32).into_iter().cycle();
    time(batch, set, at_least, || {
        let indices: Vec<u32> = order.by_ref().take(batch).collect();
        let augmentation = seconds(PASSED, || {
            let drawn = |&index: &u32| view(Augmentation::CropFlip, Seed(0), Epoch(0), index);
            let views: Vec<View> = indices.iter().map(drawn).collect();
            normalisation.render_batch(&images.train, &indices, &views, &mut probe.images);
            Ok(())
        })?;
        Ok([augmentation, seconds(PASSED, || probe.step())?])
    })
}

/// The built-in images, as a worker has them.
pub fn grey_images() -> Result<Images, TrainError> {
    load(Dataset::FashionMnist12k, None, None)
}

/// As many random ones of the shape of CIFAR-10's.
pub fn colour_images() -> Result<Images, TrainError> {
    let grey = grey_images()?;
    let facts = DatasetFacts { channels: 3, image_size: 32, ..grey.facts };
    let mut random = stream(Seed(0), Purpose::Probe, Epoch(0), 0);
    let pixels: Vec<u8> = (0..grey.train.len() * 3 * 32 * 32).map(|_| random.below(256) as u8).collect();
    let train = Split { images: pixels.into(), labels: grey.train.labels.clone() };
    Ok(Images { facts, train, mean: vec![0.5; 3], deviation: vec![0.29; 3], ..grey })
}

/// How fast the engine's innermost matrix product is on numbers in the first cache, on all `threads` together.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductRate {
    /// 10⁹ floating-point operations a second; a multiply-accumulate counts as two.
    pub gflops_max: f64,
    pub gflops_median: f64,
    pub instruction_set: String,
}

/// Measures rounds of some milliseconds for at least half a second, each thread with numbers of its own.
///
/// # Errors
/// An instruction set that is not known, not on this processor, or does not have the precision.
pub fn product_rate(
    threads: usize,
    instruction_set: Option<&str>,
    precision: Precision,
) -> Result<ProductRate, TrainError> {
    const ROUND: usize = 4096;
    let set = parsed(instruction_set)?;
    let mut products = (0..threads).map(|_| Product::new(set, precision)).collect::<Result<Vec<_>, _>>()?;
    let mut round = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for product in &mut products {
                scope.spawn(|| (0..ROUND).for_each(|_| _ = std::hint::black_box(product.multiply())));
            }
        });
        let operations = 2 * Product::MULTIPLY_ACCUMULATES * ROUND * threads;
        operations as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    round();
    let start = Instant::now();
    let mut rates = Vec::new();
    while rates.len() < 5 || start.elapsed() < Duration::from_millis(500) {
        rates.push(round());
    }
    rates.sort_by(f64::total_cmp);
    Ok(ProductRate {
        gflops_max: rates[rates.len() - 1],
        gflops_median: rates[rates.len() / 2],
        instruction_set: set.to_string(),
    })
}

/// How fast each of `threads` threads is while all of them are busy, which is how studies are trained: what estimates are made of.
/// Two networks of different width are measured at once on every thread.
pub fn speed(threads: u32) -> Result<Speed, TrainError> {
    let begin = Barrier::new(threads as usize);
    let measured: Vec<Result<_, TrainError>> = thread::scope(|scope| {
        let measure = || {
            begin.wait();
            both_paces()
        };
        let at_once: Vec<_> = (0..threads).map(|_| scope.spawn(measure)).collect();
        at_once.into_iter().map(|thread| thread.join().expect("measuring does not panic")).collect()
    });
    let measured: Vec<[[f64; 2]; 2]> = measured.into_iter().collect::<Result<_, _>>()?;
    let pace = |kind: usize| {
        let of = |network: usize| {
            let architecture = MEASURED[network];
            let seconds = measured.iter().map(|it| it[network][kind]).sum::<f64>() / measured.len().max(1) as f64;
            Measured {
                multiply_accumulates: architecture.multiply_accumulates(1, 28, 10) as f64,
                activations: architecture.activations(1, 28, 10) as f64,
                seconds,
            }
        };
        Pace::through(of(0), of(1))
    };
    Ok(Speed { step: pace(0), evaluation: pace(1) })
}

const MEASURED: [Architecture; 2] =
    [Architecture::WideResNet { depth: 10, width: 1 }, Architecture::WideResNet { depth: 10, width: 2 }];
/// Images at a time: as many as a usual batch has at least.
const MEASURED_BATCH: usize = 64;
/// After one to warm up: of so many the least counts.
const MEASURED_TIMES: usize = 5;

/// For each network of [`MEASURED`], seconds of this thread for an image in a step and in evaluation.
fn both_paces() -> Result<[[f64; 2]; 2], TrainError> {
    let mut paces = [[0.0; 2]; 2];
    for (architecture, pace) in MEASURED.into_iter().zip(&mut paces) {
        let shape = NetworkShape { architecture, channels: 1, image_size: 28, classes: 10 };
        let mut probe = Probe::of_cpu(&shape, MEASURED_BATCH, 1, parsed(None)?)?;
        let mut least = |run: &dyn Fn(&mut Probe) -> Result<(), TrainError>| {
            run(&mut probe)?;
            // What is measured once and kept must not depend on what else the machine did just then: others take the caches, and
            // a processor that slept wakes up slowly, also in the time that it is said to have given.
            (0..MEASURED_TIMES).try_fold(f64::INFINITY, |least, _| {
                Ok::<f64, TrainError>(least.min(seconds(OF_THIS_THREAD, || run(&mut probe))?))
            })
        };
        let in_batch = [least(&|probe| probe.step())?, least(&|probe| probe.evaluate())?];
        *pace = in_batch.map(|seconds| seconds / MEASURED_BATCH as f64);
    }
    Ok(paces)
}

/// As [`speed`], of candle on the CPU, by two networks that the hand-written engine has no operators for. Most of candle's work for a step
/// is done by one thread however many there are; what all of this process's threads do counts, so that it is to be one of its own, whose
/// operators are given one thread.
pub fn speed_of_candle() -> Result<Speed, TrainError> {
    let [one, other] = CANDLE_MEASURED.map(|depth| measure_candle(Architecture::ImageNetResNet { depth }));
    let ([step, evaluation], [other_step, other_evaluation]) = (one?, other?);
    Ok(Speed { step: Pace::through(step, other_step), evaluation: Pace::through(evaluation, other_evaluation) })
}

/// A step and an evaluation of one image.
fn measure_candle(architecture: Architecture) -> Result<[Measured; 2], TrainError> {
    let shape = NetworkShape { architecture, channels: 3, image_size: CANDLE_IMAGE_SIZE, classes: 10 };
    let network = CandleNetwork::new(&shape, &Device::Cpu, DType::F32)?;
    let mut probe = Probe::new(Box::new(network), &shape, CANDLE_BATCH)?;
    let mut least = |run: &dyn Fn(&mut Probe) -> Result<(), TrainError>| {
        let timed = |least: f64, _| Ok::<f64, TrainError>(least.min(seconds(OF_THIS_PROCESS, || run(&mut probe))?));
        (0..CANDLE_TIMES).try_fold(f64::INFINITY, timed)
    };
    let of_batches = [least(&|probe| probe.step())?, least(&|probe| probe.evaluate())?];
    let size = CANDLE_IMAGE_SIZE as u32;
    Ok(of_batches.map(|seconds| Measured {
        multiply_accumulates: architecture.multiply_accumulates(3, size, 10) as f64,
        activations: architecture.activations(3, size, 10) as f64,
        seconds: seconds / CANDLE_BATCH as f64,
    }))
}

/// Depths: the one has more multiply-accumulates for each number that passes through memory.
const CANDLE_MEASURED: [u32; 2] = [18, 50];
const CANDLE_IMAGE_SIZE: usize = 64;
/// Few: they are slow.
const CANDLE_BATCH: usize = 2;
const CANDLE_TIMES: usize = 2;

/// A network in training, on random images.
struct Probe {
    network: Box<dyn Engine>,
    images: Vec<f32>,
    labels: Tensor,
    optimizer: Optimizer,
}

impl Probe {
    fn of_cpu(shape: &NetworkShape, batch: usize, threads: usize, set: InstructionSet) -> Result<Probe, TrainError> {
        Self::new(Box::new(CpuNetwork::new(shape, batch, threads, set)?), shape, batch)
    }

    fn new(mut network: Box<dyn Engine>, shape: &NetworkShape, batch: usize) -> Result<Probe, TrainError> {
        network.set_weights(&initial_weights(shape, Seed(0)))?;
        let (images, labels) = random_batch(shape, batch);
        let labels = Tensor::from_vec(labels, batch, &Device::Cpu)?;
        let recipe = Recipe::default();
        let optimizer = Optimizer::Sgd { momentum: recipe.momentum, weight_decay: recipe.weight_decay };
        Ok(Probe { network, images, labels, optimizer })
    }

    /// One training step.
    fn step(&mut self) -> Result<(), TrainError> {
        let terms = [(1.0, Term::CrossEntropy)];
        let outputs = Outputs::of_logits(self.network.forward(&self.images)?);
        let values = objective::terms(&terms, &outputs, &self.labels, &BTreeMap::new())?;
        self.network.backward(&objective::weighted_gradient(&terms, &values, |_| true)?)?;
        self.network.step(0.01, &self.optimizer)
    }

    fn evaluate(&mut self) -> Result<(), TrainError> {
        self.network.evaluate(&self.images).map(drop)
    }
}

/// As a person's watch tells it.
const PASSED: ClockId = ClockId::Monotonic;
/// What this thread has had of the processor.
const OF_THIS_THREAD: ClockId = ClockId::ThreadCPUTime;
/// What all threads of this process have had of it, whoever else is at work.
const OF_THIS_PROCESS: ClockId = ClockId::ProcessCPUTime;

/// Seconds by `clock` that `work` takes.
fn seconds(clock: ClockId, work: impl FnOnce() -> Result<(), TrainError>) -> Result<f64, TrainError> {
    let now = || {
        let time = clock_gettime(clock);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let begin = now();
    work()?;
    Ok(now() - begin)
}

fn colour(architecture: Architecture) -> NetworkShape {
    NetworkShape { architecture, channels: 3, image_size: 32, classes: 10 }
}

fn parsed(instruction_set: Option<&str>) -> Result<InstructionSet, TrainError> {
    Ok(instruction_set.map_or_else(best, str::to_string).parse()?)
}

/// Images and labels.
fn random_batch(shape: &NetworkShape, batch: usize) -> (Vec<f32>, Vec<u32>) {
    let mut random = stream(Seed(0), Purpose::Probe, Epoch(0), 0);
    let len = batch * shape.channels * shape.image_size * shape.image_size;
    let images = (0..len).map(|_| random.normal()).collect();
    (images, (0..batch).map(|_| random.below(shape.classes as u32)).collect())
}

fn measure(
    shape: &NetworkShape,
    batch: usize,
    threads: usize,
    instruction_set: Option<&str>,
    at_least: Duration,
) -> Result<BatchTime, TrainError> {
    let set = parsed(instruction_set)?;
    let mut probe = Probe::of_cpu(shape, batch, threads, set)?;
    let [time] = time(batch, set, at_least, || Ok([seconds(PASSED, || probe.step())?]))?;
    Ok(time)
}

/// `work` does what is timed once, and gives the seconds of each of its parts.
fn time<const PARTS: usize>(
    batch: usize,
    instruction_set: InstructionSet,
    at_least: Duration,
    mut work: impl FnMut() -> Result<[f64; PARTS], TrainError>,
) -> Result<[BatchTime; PARTS], TrainError> {
    for _ in 0..3 {
        work()?;
    }
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || begun.elapsed() < at_least {
        times.push(work()?);
    }
    Ok(std::array::from_fn(|part| {
        let mut milliseconds: Vec<f64> = times.iter().map(|parts| parts[part] * 1e3).collect();
        milliseconds.sort_by(f64::total_cmp);
        let median = milliseconds[milliseconds.len() / 2];
        BatchTime {
            milliseconds_min: milliseconds[0],
            milliseconds_median: median,
            images_per_second: batch as f64 / (median / 1e3),
            instruction_set: instruction_set.to_string(),
        }
    }))
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
        assert!(
            evaluation_time(architecture, 8, 0, None).is_err()
                && product_rate(1, Some("sse9"), Precision::Fp32).is_err()
        );
    }

    #[test]
    fn a_batch_is_drawn_and_rendered_before_the_step_that_it_is_for() {
        let architecture = Architecture::WideResNet { depth: 10, width: 1 };
        for (images, pixels) in [(grey_images(), 28 * 28), (colour_images(), 3 * 32 * 32)] {
            let images = images.expect("images");
            assert_eq!((images.values_per_image(), images.train.images.len()), (pixels, 12_000 * pixels));
            let times = augmentation_and_step(&images, architecture, 3, 1, Some("portable"), Duration::ZERO);
            for time in times.expect("two times") {
                assert!(0.0 < time.milliseconds_min && time.milliseconds_min <= time.milliseconds_median);
            }
        }
    }

    #[test]
    fn evaluations_and_products_are_timed_too() {
        let architecture = Architecture::WideResNet { depth: 10, width: 1 };
        let time = evaluation_time(architecture, 3, 1, None).expect("a time");
        assert!(0.0 < time.milliseconds_min && time.milliseconds_min <= time.milliseconds_median);
        let rate = product_rate(2, None, Precision::Fp32).expect("a rate");
        assert_eq!(rate.instruction_set, time.instruction_set);
        assert!(0.0 < rate.gflops_median && rate.gflops_median <= rate.gflops_max);
    }
}
