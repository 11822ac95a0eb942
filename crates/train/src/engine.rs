//! A network on a device, behind one small trait, and which device that is.

use crate::TrainError;
use crate::candle_network::CandleNetwork;
use crate::cpu_network::CpuNetwork;
use crate::names;
use candle_core::{DType, Tensor};
use kernels::InstructionSet;
use std::collections::{BTreeMap, BTreeSet};
use study::{Architecture, Device, Numerics, Optimizer};

/// Named tensors, by the model zoo's names, in PyTorch's layout. Batch counters are the checkpoint's business.
pub type Weights = BTreeMap<String, Values>;

#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// A network and the images it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkShape {
    pub architecture: Architecture,
    /// 1 (grey) or 3 (colour).
    pub channels: usize,
    /// Height and width in pixels.
    pub image_size: usize,
    pub classes: usize,
}

/// A tensor of a network: `trained` ones have gradient and momentum, the others are running statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<usize>,
    pub trained: bool,
}

impl NetworkShape {
    /// Every tensor in the model zoo's order: `conv1.weight`, `block1.layer.0.bn1.weight`, ..., `fc.bias`.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        names::tensors(self)
    }

    /// Pixels of each group's attention map.
    pub fn attention_pixels(&self) -> Vec<usize> {
        let sizes = self.architecture.layout().map_sizes(self.image_size as u32);
        sizes.into_iter().map(|size| (size as usize).pow(2)).collect()
    }
}

/// The gradient of a loss on what the last `forward` gave.
#[derive(Clone, Debug)]
pub struct OutputGradient {
    /// On the logits: (n, classes).
    pub logits: Tensor,
    /// On each group's attention map, in order: (n, pixels). Empty where the loss does not look at them, which costs nothing.
    pub attention: Vec<Tensor>,
}

impl OutputGradient {
    /// Of a loss that looks at the logits alone.
    pub fn of_logits(logits: Tensor) -> Self {
        OutputGradient { logits, attention: Vec::new() }
    }
}

/// Begins the names of momentum that belongs to a distillation's gradients alone: `distillation.conv1.weight`, ...
pub const DISTILLATION: &str = "distillation.";

/// A distillation's own momentum, by parameter, beside the other.
pub(crate) fn beside(mut momentum: Weights, distillation: Weights) -> Weights {
    momentum.extend(distillation.into_iter().map(|(name, values)| (format!("{DISTILLATION}{name}"), values)));
    momentum
}

/// The tensors of an optimizer's state of this kind: one for each that is trained, and a second one where any of those is given.
pub(crate) fn momentum_tensors(tensors: &[TensorSpec], given: &Weights) -> Vec<TensorSpec> {
    let trained = tensors.iter().filter(|tensor| tensor.trained);
    let apart = given.keys().any(|name| name.starts_with(DISTILLATION));
    let second = |tensor: &TensorSpec| TensorSpec { name: format!("{DISTILLATION}{}", tensor.name), ..tensor.clone() };
    let seconds = trained.clone().filter(|_| apart).map(second);
    trained.cloned().chain(seconds).collect()
}

/// A network being trained, or frozen for evaluation. One step is `forward`, `backward`, `step`; under [`Optimizer::Dot`] it is
/// `forward`, `backward` of the labels' loss, `set_gradient_aside`, `backward` of the distillation's, `step`.
///
/// A group's attention map (Zagoruyko & Komodakis 2017) is, at each pixel, the mean over channels of its squared output: the sum
/// that the next group, or the last batch norm, reads; where a ReLU follows the sum, what that gives.
pub trait Engine {
    /// Parameters and running statistics.
    fn weights(&self) -> Result<Weights, TrainError>;
    /// Sets them all; the error names missing, extra and misshapen tensors.
    fn set_weights(&mut self, weights: &Weights) -> Result<(), TrainError>;
    /// The optimizer's momentum, by parameter. After steps of [`Optimizer::Dot`] that of the labels' gradients has the parameter's
    /// name, and that of the distillation's stands beside it under [`DISTILLATION`] and the parameter's name.
    fn momentum(&self) -> Result<Weights, TrainError>;
    /// Sets it all, as `momentum` gave it: whatever optimizer it comes from, each goes on from it. DOT goes on from SGD's with the
    /// distillation's at 0, SGD from DOT's with the sum of both, which is what moved the weights.
    fn set_momentum(&mut self, momentum: &Weights) -> Result<(), TrainError>;
    /// Training mode: logits (n, classes) on the CPU. `images`: (n, channels, size, size), normalised and augmented.
    fn forward(&mut self, images: &[f32]) -> Result<Tensor, TrainError>;
    /// The attention maps of the last `forward`, one for each group, on the CPU: (n, pixels). To be asked for before `step`.
    fn attention(&mut self) -> Result<Vec<Tensor>, TrainError>;
    /// Gradients of all parameters from the loss's gradient on what the last `forward` gave. Until `step` it may be called again
    /// with another: each gives its own.
    fn backward(&mut self, gradient: &OutputGradient) -> Result<(), TrainError>;
    /// The gradients of the last `backward`, by parameter.
    fn gradients(&self) -> Result<Weights, TrainError>;
    /// Keeps the gradients of the last `backward` for a step of [`Optimizer::Dot`], as the labels', apart from those of the next
    /// `backward`, the distillation's. In between there are none to be asked for.
    fn set_gradient_aside(&mut self) -> Result<(), TrainError>;
    /// One step of the optimizer with the gradients that `backward` gave.
    ///
    /// # Panics
    /// Under [`Optimizer::Dot`] where no gradient was set aside since the last step, under [`Optimizer::Sgd`] where one was.
    fn step(&mut self, learning_rate: f64, optimizer: &Optimizer) -> Result<(), TrainError>;
    /// Evaluation mode: logits (n, classes) on the CPU, for any n.
    fn evaluate(&mut self, images: &[f32]) -> Result<Tensor, TrainError>;
    /// As `evaluate`, and the attention maps of these images, one for each group: (n, pixels).
    fn evaluate_with_attention(&mut self, images: &[f32]) -> Result<(Tensor, Vec<Tensor>), TrainError>;
}

/// Threads beyond these find nothing to do in a training step.
pub const THREADS_MAX: u32 = kernels::PARTS_MAX as u32;

/// A network that trains on batches of up to `batch_max` images. `device` is resolved already ([`resolve`]).
///
/// # Errors
/// The hand-written engine has no operators for the network ([`Numerics::of`]) or its images; a device that is not there.
pub fn open(
    shape: &NetworkShape,
    numerics: Numerics,
    device: Device,
    threads: usize,
    batch_max: usize,
) -> Result<Box<dyn Engine>, TrainError> {
    Ok(match numerics {
        Numerics::CpuF32 => Box::new(CpuNetwork::new(shape, batch_max, threads, preferred_instruction_set()?)?),
        Numerics::CandleF32 => Box::new(CandleNetwork::new(shape, &candle_device(device)?, DType::F32)?),
    })
}

/// A frozen network: a teacher.
pub fn open_for_evaluation(
    shape: &NetworkShape,
    numerics: Numerics,
    device: Device,
    threads: usize,
) -> Result<Box<dyn Engine>, TrainError> {
    Ok(match numerics {
        Numerics::CpuF32 => Box::new(CpuNetwork::for_evaluation(shape, threads, preferred_instruction_set()?)?),
        Numerics::CandleF32 => Box::new(CandleNetwork::new(shape, &candle_device(device)?, DType::F32)?),
    })
}

/// Which arithmetic a device means; a network may have [its own](Numerics::of).
///
/// # Errors
/// `cuda:N` where there is no such GPU.
pub fn numerics(device: Device) -> Result<Numerics, TrainError> {
    match resolve(device).0 {
        Device::Cuda(ordinal) if !devices().contains(&format!("cuda:{ordinal}")) => Err(TrainError::Device {
            device: format!("cuda:{ordinal}"),
            problem: match devices() {
                found if found.is_empty() => no_gpu().into(),
                found => format!("found: {}", found.join(", ")),
            },
        }),
        Device::Cuda(_) => Ok(Numerics::CandleF32),
        Device::Cpu | Device::Auto => Ok(Numerics::CpuF32),
    }
}

/// `auto` becomes the first GPU, or the CPU with a message that says why.
pub fn resolve(device: Device) -> (Device, Option<String>) {
    match device {
        Device::Auto if devices().is_empty() => (Device::Cpu, Some(format!("training runs on the CPU: {}", no_gpu()))),
        Device::Auto => (Device::Cuda(0), None),
        given => (given, None),
    }
}

fn no_gpu() -> &'static str {
    if cfg!(feature = "cuda") {
        "no GPU with a working driver was found"
    } else {
        "this program was built without GPU support"
    }
}

/// GPUs that can be used: "cuda:0", ... Looks once.
pub fn devices() -> Vec<String> {
    static FOUND: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    FOUND.get_or_init(probe).clone()
}

#[cfg(feature = "cuda")]
fn probe() -> Vec<String> {
    // Where the driver is missing the loader panics instead of failing.
    (0..16)
        .take_while(|ordinal| {
            std::panic::catch_unwind(|| candle_core::Device::new_cuda(*ordinal)).is_ok_and(|opened| opened.is_ok())
        })
        .map(|ordinal| format!("cuda:{ordinal}"))
        .collect()
}

#[cfg(not(feature = "cuda"))]
fn probe() -> Vec<String> {
    Vec::new()
}

fn candle_device(device: Device) -> Result<candle_core::Device, TrainError> {
    match device {
        Device::Cuda(ordinal) => {
            numerics(device)?;
            Ok(candle_core::Device::new_cuda(ordinal as usize)?)
        }
        Device::Cpu | Device::Auto => Ok(candle_core::Device::Cpu),
    }
}

/// What [`CpuNetwork`] uses on this machine: "avx512", "avx2", "neon" or "portable". `STILLROOM_INSTRUCTION_SET` overrides the best.
pub fn instruction_set() -> String {
    preferred_instruction_set().map_or_else(|_| InstructionSet::best().to_string(), |set| set.to_string())
}

fn preferred_instruction_set() -> Result<InstructionSet, TrainError> {
    match std::env::var("STILLROOM_INSTRUCTION_SET") {
        Ok(name) if !name.is_empty() => Ok(name.parse()?),
        _ => Ok(InstructionSet::best()),
    }
}

/// Compares what was given with what the network has: `None` where they agree, else a sentence as [`differences`] says it.
pub(crate) fn mismatches(expected: &[TensorSpec], given: &Weights) -> Option<String> {
    differences(expected, &given.iter().map(|(name, of)| (name.as_str(), (&of.shape[..], of.values.len()))).collect())
}

/// A tensor's shape, and how many numbers there are of it.
pub(crate) type Given<'a> = (&'a [usize], usize);

/// Of tensors by name: `None` where they are those of the network, else a sentence naming all that are missing or misshapen, and of those
/// that are none of its own the first: a stranger's file may have any number of them.
pub(crate) fn differences(expected: &[TensorSpec], given: &BTreeMap<&str, Given<'_>>) -> Option<String> {
    const OTHERS_NAMED_MAX: usize = 100;
    let problem = |tensor: &TensorSpec| match given.get(tensor.name.as_str()) {
        None => Some(format!("{} is missing", tensor.name)),
        Some((shape, count)) if *shape != tensor.shape || *count != tensor.shape.iter().product::<usize>() => {
            Some(format!("{} is {}, expected {:?}", tensor.name, shortened(&format!("{shape:?}")), tensor.shape))
        }
        Some(_) => None,
    };
    let lacking: Vec<String> = expected.iter().filter_map(problem).collect();
    let own: BTreeSet<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
    let others: Vec<&str> = given.keys().copied().filter(|name| !own.contains(name)).collect();
    let of_others =
        others.iter().take(OTHERS_NAMED_MAX).map(|name| format!("{} is not in this network", shortened(name)));
    let mut named: Vec<String> = lacking.into_iter().chain(of_others).collect();
    let more = others.len().saturating_sub(OTHERS_NAMED_MAX);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    (!named.is_empty()).then(|| named.join("; "))
}

/// Names and messages that a stranger's file makes up, in no more than a line.
pub(crate) fn shortened(text: &str) -> String {
    const LETTERS_MAX: usize = 100;
    let mut letters = text.chars();
    let begin: String = letters.by_ref().take(LETTERS_MAX).collect();
    if letters.next().is_some() { format!("{begin}…") } else { begin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_resolved_to_something_that_is_there() {
        match resolve(Device::Auto) {
            (Device::Cuda(0), None) => assert_eq!(devices()[0], "cuda:0"),
            (Device::Cpu, Some(message)) => assert!(devices().is_empty() && message.contains("CPU"), "{message}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(resolve(Device::Cpu), (Device::Cpu, None));
        assert_eq!(resolve(Device::Cuda(3)), (Device::Cuda(3), None));
    }

    #[test]
    fn the_cpu_means_the_hand_written_engine_and_a_gpu_must_be_there() {
        assert_eq!(numerics(Device::Cpu).expect("there is a CPU"), Numerics::CpuF32);
        let error = numerics(Device::Cuda(97)).expect_err("no machine has 98 of them");
        assert!(matches!(&error, TrainError::Device { device, .. } if device == "cuda:97"), "{error}");
        let architecture = Architecture::WideResNet { depth: 10, width: 1 };
        let shape = NetworkShape { architecture, channels: 1, image_size: 28, classes: 10 };
        assert!(open_for_evaluation(&shape, Numerics::CandleF32, Device::Cuda(97), 1).is_err());
        let odd = NetworkShape { image_size: 27, ..shape };
        assert!(open(&odd, Numerics::CpuF32, Device::Cpu, 1, 8).is_err());
    }

    #[test]
    fn what_is_said_of_a_strangers_tensors_is_short() {
        let expected: Vec<TensorSpec> =
            (0..12).map(|n| TensorSpec { name: format!("own.{n}"), shape: vec![2], trained: true }).collect();
        let given: BTreeMap<String, Vec<usize>> = (0..100_000).map(|n| (format!("{n:0500}"), vec![])).collect();
        let mut given: BTreeMap<&str, Given<'_>> =
            given.iter().map(|(name, shape)| (name.as_str(), (&shape[..], 1))).collect();
        let long = vec![1; 10_000];
        given.insert("own.0", (&long, 1));
        let said = differences(&expected, &given).expect("they are others");
        assert!(said.len() < 20_000, "{} bytes", said.len());
        assert!(said.starts_with("own.0 is [1, 1, ") && said.contains("own.11 is missing; 000"), "{said}");
        assert!(said.ends_with("… is not in this network; and 99900 more"), "{said}");
        let two = [("own.0", (&[2][..], 2)), ("own.1", (&[2][..], 2))].into();
        assert_eq!(differences(&expected[..2], &two), None);
        assert_eq!(differences(&expected[..1], &two).as_deref(), Some("own.1 is not in this network"));
    }

    #[test]
    fn a_worker_is_expected_to_use_as_many_threads_as_it_can() {
        assert_eq!(THREADS_MAX, study::cost::WORKER_THREADS_MAX);
    }

    #[test]
    fn a_frozen_teacher_says_what_the_network_it_was_says() {
        let architecture = Architecture::WideResNet { depth: 10, width: 1 };
        let shape = NetworkShape { architecture, channels: 1, image_size: 28, classes: 10 };
        let weights = crate::initial::initial_weights(&shape, study::Seed(0));
        let images: Vec<f32> = (0..3 * 28 * 28).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
        for numerics in [Numerics::CpuF32, Numerics::CandleF32] {
            let mut trained = open(&shape, numerics, Device::Cpu, 1, 2).expect("an engine");
            let mut frozen = open_for_evaluation(&shape, numerics, Device::Cpu, 2).expect("an engine");
            let mut logits = [&mut trained, &mut frozen].map(|engine| {
                engine.set_weights(&weights).expect("its own weights");
                engine.evaluate(&images).and_then(|logits| Ok(logits.to_vec2::<f32>()?)).expect("logits")
            });
            assert_eq!(logits[0], logits[1]);
            assert_eq!(logits[0].len(), 3);
            // No images: no logits, and no complaint.
            logits[0] = trained.evaluate(&[]).and_then(|logits| Ok(logits.to_vec2()?)).expect("none");
            assert!(logits[0].is_empty());
            let (_, maps) = frozen.evaluate_with_attention(&[]).expect("none");
            assert_eq!(maps.iter().map(Tensor::dims).collect::<Vec<_>>(), [[0, 28 * 28], [0, 14 * 14], [0, 7 * 7]]);
        }
    }
}
