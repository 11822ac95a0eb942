//! The losses and the optimizer against PyTorch's numbers.
//!
//! ```python
//! import torch, torch.nn.functional as F          # torch 2.15
//! student = torch.tensor([[1.0, -0.5, 2.0, 0.25], [-1.5, 0.75, 0.0, 3.0], [0.1, 0.2, -0.3, 0.4]],
//!                        dtype=torch.float64, requires_grad=True)
//! teacher = torch.tensor([[2.0, 0.5, 1.0, -1.0], [0.0, 1.0, -2.0, 4.0], [-0.5, 0.5, 1.5, 0.0]], dtype=torch.float64)
//! labels = torch.tensor([2, 1, 3])
//! ce = F.cross_entropy(student, labels)
//! print(ce.item(), torch.autograd.grad(ce, student)[0].flatten().tolist())
//! for t in (1.0, 4.0):
//!     kd = t * t * F.kl_div(F.log_softmax(student / t, 1), F.softmax(teacher / t, 1), reduction="batchmean")
//!     print(kd.item(), torch.autograd.grad(kd, student)[0].flatten().tolist())
//! p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
//! sgd = torch.optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=5e-4)
//! for g in ([0.25, 1.0, -0.5], [0.5, -1.0, 0.0], [0.0, 0.125, 2.0]):
//!     p.grad = torch.tensor(g, dtype=torch.float64); sgd.step()
//! print(p.tolist(), sgd.state[p]["momentum_buffer"].tolist())
//! ```

mod losses;

use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use study::{Architecture, CheckpointId, Epoch, Numerics, Optimizer, SegmentKey, Term};
use train::engine::{NetworkShape, OutputGradient, open};
use train::initial::initial_weights;
use train::objective::{self, Outputs};

const CROSS_ENTROPY: f64 = 1.3352380832895534;
const CROSS_ENTROPY_GRADIENT: [f64; 12] = [
    0.07552108249443207,
    0.016851031231565408,
    -0.1280457471231621,
    0.03567363339716467,
    0.003175009690530405,
    -0.3032096801117024,
    0.01422940622826755,
    0.2858052641929045,
    0.08080122941842048,
    0.0892991688979968,
    0.054162683823491875,
    -0.22426308213990917,
];
const KD: [(f64, f64, [f64; 12]); 2] = [
    (
        1.0,
        0.3347412451070379,
        [
            -0.1276322633718603,
            -0.028478607366269754,
            0.13055164686077084,
            0.02555922387735926,
            -0.0025276978513537217,
            0.014622086937510926,
            0.013457628687871094,
            -0.025552017774028265,
            0.054669857012807244,
            0.01826673413512223,
            -0.1389234928236327,
            0.06598690167570323,
        ],
    ),
    (
        4.0,
        0.5278738800190205,
        [
            -0.10290749239491931,
            -0.07072721623029152,
            0.09711132798868075,
            0.07652338063653022,
            -0.05482771677356035,
            0.015747463809429225,
            0.12192229194781165,
            -0.08284203898368041,
            0.06946697892141496,
            0.0031335182731099236,
            -0.13293240045994084,
            0.06033190326541567,
        ],
    ),
];

fn logits(rows: [[f64; 4]; 3], dtype: DType) -> Tensor {
    Tensor::new(&rows, &Device::Cpu).and_then(|tensor| tensor.to_dtype(dtype)).expect("twelve numbers")
}

fn student(dtype: DType) -> Tensor {
    logits([[1.0, -0.5, 2.0, 0.25], [-1.5, 0.75, 0.0, 3.0], [0.1, 0.2, -0.3, 0.4]], dtype)
}

fn teacher(dtype: DType) -> Tensor {
    logits([[2.0, 0.5, 1.0, -1.0], [0.0, 1.0, -2.0, 4.0], [-0.5, 0.5, 1.5, 0.0]], dtype)
}

fn teacher_id() -> CheckpointId {
    CheckpointId { segment: SegmentKey("teacher".into()), epoch: Epoch(8) }
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).and_then(|tensor| tensor.flatten_all()?.to_vec1()).expect("numbers")
}

fn assert_close(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    for (ours, expected) in ours.iter().zip(expected) {
        assert!((ours - expected).abs() < tolerance, "{what}: {ours} instead of {expected}");
    }
}

#[test]
fn each_term_and_its_gradient_are_pytorchs() {
    let labels = Tensor::new(&[2u32, 1, 3], &Device::Cpu).expect("three labels");
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
        for (temperature, kd, kd_gradient) in KD {
            let terms = [(0.1, Term::CrossEntropy), (0.9, Term::Kd { teacher: teacher_id(), temperature })];
            let teachers = BTreeMap::from([(teacher_id(), Outputs::of_logits(teacher(dtype)))]);
            let values =
                objective::terms(&terms, &Outputs::of_logits(student(dtype)), &labels, &teachers).expect("terms");
            assert_close("cross-entropy", &[values[0].value], &[CROSS_ENTROPY], tolerance);
            assert_close("its gradient", &flat(&values[0].gradient.logits), &CROSS_ENTROPY_GRADIENT, tolerance);
            assert_close("kd", &[values[1].value], &[kd], tolerance);
            assert_close("its gradient", &flat(&values[1].gradient.logits), &kd_gradient, tolerance);
            let sum: Vec<f64> =
                CROSS_ENTROPY_GRADIENT.iter().zip(kd_gradient).map(|(ce, kd)| 0.1 * ce + 0.9 * kd).collect();
            let weighted = objective::weighted_gradient(&terms, &values, |_| true).expect("a sum");
            assert_close("weighted", &flat(&weighted.logits), &sum, tolerance);
        }
    }
}

#[test]
fn a_student_equal_to_its_teacher_has_no_kd_loss() {
    let kd = objective::kd(&student(DType::F64), &student(DType::F64), 4.0).expect("a loss");
    assert_close("kd", &[objective::scalar(&kd).expect("a number")], &[0.0], 1e-12);
}

#[test]
fn extreme_logits_stay_finite() {
    let extreme = logits([[1e4, -1e4, 0.0, 0.0], [0.0; 4], [-1e4; 4]], DType::F32);
    let kd = objective::kd(&extreme, &teacher(DType::F32), 1.0).expect("a loss");
    assert!(objective::scalar(&kd).expect("a number").is_finite());
    let kd = objective::kd(&teacher(DType::F32), &extreme, 1.0).expect("a loss");
    assert!(objective::scalar(&kd).expect("a number").is_finite());
}

#[test]
fn the_first_of_equal_logits_is_named() {
    let tied = logits([[1.0, 3.0, 3.0, 0.0], [0.0; 4], [0.0, 0.0, 0.0, 1.0]], DType::F32);
    assert_eq!(objective::named_classes(&tied).expect("classes"), [1, 0, 3]);
}

/// With all weights zero the gradient on the last layer's bias is the sum of the gradients on the logits, so that it can be
/// given: three steps as PyTorch takes them.
#[test]
fn sgd_is_pytorchs_in_both_engines() {
    let architecture = Architecture::WideResNet { depth: 10, width: 1 };
    let shape = NetworkShape { architecture, channels: 1, image_size: 8, classes: 3 };
    for numerics in [Numerics::CpuF32, Numerics::CandleF32] {
        let mut network = open(&shape, numerics, study::Device::Cpu, 1, 1).expect("an engine");
        let mut weights = initial_weights(&shape, study::Seed(0));
        weights.values_mut().for_each(|tensor| tensor.values.fill(0.0));
        weights.get_mut("fc.bias").expect("a bias").values = vec![1.0, -2.0, 0.5];
        network.set_weights(&weights).expect("its own weights");
        for gradient in [[0.25f32, 1.0, -0.5], [0.5, -1.0, 0.0], [0.0, 0.125, 2.0]] {
            network.forward(&[0.0; 64]).expect("logits");
            let gradient = OutputGradient::of_logits(Tensor::new(&[gradient], &Device::Cpu).expect("a gradient"));
            network.backward(&gradient).expect("gradients");
            network.step(0.1, &Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 }).expect("a step");
        }
        let of = |weights: train::engine::Weights| -> Vec<f64> {
            weights["fc.bias"].values.iter().map(|x| f64::from(*x)).collect()
        };
        let expected = [0.8369767619373749, -2.09292502424975, 0.4353502561249375];
        assert_close("weights", &of(network.weights().expect("weights")), &expected, 1e-6);
        let expected = [0.65379490562625, 0.03220019249749993, 1.5957474512506251];
        assert_close("momentum", &of(network.momentum().expect("momentum")), &expected, 1e-6);
    }
}
