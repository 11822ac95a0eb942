//! The losses beyond cross-entropy and KD against their equations in PyTorch, and where the equations have no answer.
//!
//! ```python
//! import torch                                      # torch 2.15
//! torch.set_default_dtype(torch.float64)
//! student = torch.tensor([[1.0, -0.5, 2.0, 0.25], [-1.5, 0.75, 0.0, 3.0], [0.1, 0.2, -0.3, 0.4]], requires_grad=True)
//! teacher = torch.tensor([[2.0, 0.5, 1.0, -1.0], [0.0, 1.0, -2.0, 4.0], [-0.5, 0.5, 1.5, 0.0]])
//! flat = torch.tensor([[1.0, -0.5, 2.0, 0.25], [0.25, 0.25, 0.25, 0.25], [0.1, 0.2, -0.3, 0.4]], requires_grad=True)
//! labels = torch.tensor([2, 1, 3])
//! def show(loss, *wanted): print(loss.item(), [g.flatten().tolist() for g in torch.autograd.grad(loss, wanted)])
//! def kl(p, q): return (p * (p / q).log()).sum(1).mean()
//! def or_one(norm): return torch.where(norm == 0, 1, norm)
//!
//! maps = [torch.tensor([[0.5, 2.0, 0.0, 1.0], [3.0, 0.25, 0.75, 1.5]], requires_grad=True),
//!         torch.tensor([[1.0, 0.125], [0.0, 0.0]], requires_grad=True)]
//! theirs = [torch.tensor([[1.0, 1.0, 0.5, 0.0], [0.25, 2.0, 1.0, 4.0]]), torch.tensor([[0.5, 0.5], [0.0, 3.0]])]
//! def q(f): return f / or_one(torch.linalg.vector_norm(f, dim=1, keepdim=True))
//! show(sum(((q(s) - q(t)) ** 2).mean() for s, t in zip(maps, theirs)), *maps)
//!
//! def parts(logits, temperature):
//!     p = torch.softmax(logits / temperature, 1)
//!     target = p[torch.arange(3), labels].unsqueeze(1)
//!     others = torch.stack([row[torch.arange(4) != label] for row, label in zip(p, labels)])
//!     return torch.cat([target, 1 - target], 1), others / (1 - target)
//! for temperature, target_weight, non_target_weight in [(4.0, 1.0, 8.0), (1.0, 0.5, 2.0)]:
//!     (b_s, p_s), (b_t, p_t) = parts(student, temperature), parts(teacher, temperature)
//!     show(temperature ** 2 * (target_weight * kl(b_t, b_s) + non_target_weight * kl(p_t, p_s)), student)
//!
//! def rho(a, b):
//!     a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
//!     return ((a * b).sum(1) / (or_one(a.norm(dim=1)) * or_one(b.norm(dim=1)) + 1e-8)).mean()
//! def dist(student, teacher, temperature, between, within):
//!     s, t = torch.softmax(student / temperature, 1), torch.softmax(teacher / temperature, 1)
//!     return temperature ** 2 * (between * (1 - rho(s, t)) + within * (1 - rho(s.T, t.T)))
//! show(dist(student, teacher, 1.0, 1.0, 1.0), student)
//! show(dist(student, teacher, 4.0, 1.5, 0.5), student)
//! show(dist(flat, teacher, 4.0, 1.5, 0.5), flat)
//!
//! def z(logits): return (logits - logits.mean(1, keepdim=True)) / (1e-7 + or_one(logits.std(1, keepdim=True)))
//! def standardised(student, teacher, temperature):
//!     s, t = torch.softmax(z(student) / temperature, 1), torch.softmax(z(teacher) / temperature, 1)
//!     return temperature ** 2 * kl(t, s)
//! show(standardised(student, teacher, 2.0), student)
//! show(standardised(student, teacher, 1.0), student)
//! show(standardised(flat, teacher, 2.0), flat)
//! ```

use super::{assert_close, flat, logits, student, teacher};
use candle_core::{DType, Device, Tensor, Var};
use train::objective::{attention, dist, dkd, kd, scalar, standardised_kd};

const PRECISIONS: [(DType, f64); 2] = [(DType::F64, 1e-12), (DType::F32, 2e-5)];

/// A loss of (student, teacher).
type Loss = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;

/// Every loss over logits, with weights and temperatures that tell its parts from one another.
const LOSSES: [(&str, Loss); 4] = [
    ("kd", |student, teacher| kd(student, teacher, 4.0)),
    ("dkd", |student, teacher| dkd(student, teacher, &labels(student), 4.0, 1.0, 8.0)),
    ("dist", |student, teacher| dist(student, teacher, 4.0, 1.5, 0.5)),
    ("standardised kd", |student, teacher| standardised_kd(student, teacher, 2.0)),
];

/// Of as many images as there are.
fn labels(logits: &Tensor) -> Tensor {
    let images = logits.dim(0).expect("images");
    Tensor::new(&[2u32, 1, 3], &Device::Cpu).and_then(|labels| labels.narrow(0, 0, images)).expect("labels")
}

fn first(logits: &Tensor) -> Tensor {
    logits.narrow(0, 0, 1).expect("an image")
}

/// The student with an image of which it says nothing: `constant` for every class.
fn flat_student(dtype: DType, constant: f64) -> Tensor {
    logits([[1.0, -0.5, 2.0, 0.25], [constant; 4], [0.1, 0.2, -0.3, 0.4]], dtype)
}

/// A loss and its gradient on the student's logits; there is none on the teacher's.
fn value_and_gradient(loss: Loss, student: &Tensor, teacher: &Tensor) -> (f64, Vec<f64>) {
    let student = Var::from_tensor(student).expect("a variable");
    let teacher = Var::from_tensor(teacher).expect("a variable");
    let value = loss(student.as_tensor(), teacher.as_tensor()).expect("a loss");
    let gradients = value.backward().expect("gradients");
    assert!(gradients.get(teacher.as_tensor()).is_none(), "a teacher does not learn");
    (scalar(&value).expect("a number"), flat(gradients.get(student.as_tensor()).expect("a gradient")))
}

fn assert_pytorchs(what: &str, loss: Loss, student: fn(DType) -> Tensor, value: f64, gradient: [f64; 12]) {
    for (dtype, tolerance) in PRECISIONS {
        let (ours, our_gradient) = value_and_gradient(loss, &student(dtype), &teacher(dtype));
        assert_close(what, &[ours], &[value], tolerance);
        assert_close(&format!("{what}'s gradient"), &our_gradient, &gradient, tolerance);
    }
}

#[test]
fn attention_is_pytorchs() {
    let expected = [
        vec![
            -0.055420416567871084,
            -0.003463776035491941,
            -0.036369648372665396,
            0.034637760354919424,
            0.027996240009130022,
            -0.02895302087125481,
            -0.007820643568672275,
            -0.04725665475538141,
        ],
        // The second image's map is all zeros, and has no direction.
        vec![0.03778096083168739, -0.30224768665349927, 0.0, -0.5],
    ];
    for (dtype, tolerance) in PRECISIONS {
        let [student, teacher] = maps(dtype);
        let student = student.map(|maps| Var::from_tensor(&maps).expect("a variable"));
        let loss = attention(&student.clone().map(Var::into_inner), &teacher).expect("a loss");
        assert_close("attention", &[scalar(&loss).expect("a number")], &[0.5470141789763624], tolerance);
        let gradients = loss.backward().expect("gradients");
        for (maps, expected) in student.iter().zip(&expected) {
            let gradient = gradients.get(maps.as_tensor()).expect("a gradient");
            assert_close("its gradient", &flat(gradient), expected, tolerance);
        }
    }
}

/// A student's and a teacher's attention maps: two images, in groups of four and of two pixels.
fn maps(dtype: DType) -> [[Tensor; 2]; 2] {
    let of = |first: [[f64; 4]; 2], second: [[f64; 2]; 2]| {
        [Tensor::new(&first, &Device::Cpu), Tensor::new(&second, &Device::Cpu)]
            .map(|maps| maps.and_then(|maps| maps.to_dtype(dtype)).expect("maps"))
    };
    [
        of([[0.5, 2.0, 0.0, 1.0], [3.0, 0.25, 0.75, 1.5]], [[1.0, 0.125], [0.0, 0.0]]),
        of([[1.0, 1.0, 0.5, 0.0], [0.25, 2.0, 1.0, 4.0]], [[0.5, 0.5], [0.0, 3.0]]),
    ]
}

#[test]
fn attention_minds_where_and_not_how_much() {
    let [student, _] = maps(DType::F64);
    let louder = student.clone().map(|maps| (maps * 7.0).expect("maps"));
    let loss = attention(&student, &louder).expect("a loss");
    assert_close("attention", &[scalar(&loss).expect("a number")], &[0.0], 1e-15);
}

#[test]
fn attention_maps_of_other_sizes_are_named() {
    let [student, teacher] = maps(DType::F32);
    let [first, second] = teacher.clone();
    let problem = attention(&student, &[first.clone(), first.clone()]).expect_err("four pixels for two").to_string();
    assert!(problem.contains("group 2: the student's attention maps are [2, 2], the teacher's [2, 4]"), "{problem}");
    let problem = attention(&student, &[second]).expect_err("a group too few").to_string();
    assert!(problem.contains("of 2 groups, the teacher of 1"), "{problem}");
}

#[test]
fn dkd_is_pytorchs() {
    let gradient = [
        -0.7386539932980721,
        -0.5076689703299037,
        0.09711132798868029,
        1.1492116356392954,
        -0.5421753308292038,
        0.015747463809429135,
        1.3037731775318202,
        -0.777345310512044,
        0.90745209517829,
        0.2287324550710073,
        -1.1965164535147124,
        0.060331903265415626,
    ];
    let loss: Loss = |student, teacher| dkd(student, teacher, &labels(student), 4.0, 1.0, 8.0);
    assert_pytorchs("dkd", loss, student, 4.619962690845948, gradient);
    let gradient = [
        -0.1690324421074913,
        -0.03771623587772473,
        0.06527582343038534,
        0.14147285455483075,
        -0.005057357222290378,
        0.0073110434687554595,
        0.02932423347383223,
        -0.031577919720297214,
        0.16828993271812326,
        0.08916960621216957,
        -0.2904529897681445,
        0.032993450837851594,
    ];
    let loss: Loss = |student, teacher| dkd(student, teacher, &labels(student), 1.0, 0.5, 2.0);
    assert_pytorchs("dkd", loss, student, 0.5188380433417409, gradient);
}

/// Equation 5 of Zhao et al. 2022, of one image.
#[test]
fn kd_is_dkd_with_the_teachers_doubt_as_weight() {
    let [student, teacher] = [student(DType::F64), teacher(DType::F64)].map(|logits| first(&logits));
    let teachers: Vec<f64> = flat(&teacher).iter().map(|logit| (logit / 4.0).exp()).collect();
    let doubt = 1.0 - teachers[2] / teachers.iter().sum::<f64>();
    let coupled = kd(&student, &teacher, 4.0).expect("a loss");
    let decoupled = dkd(&student, &teacher, &labels(&student), 4.0, 1.0, doubt).expect("a loss");
    assert_close("kd", &flat(&decoupled), &flat(&coupled), 1e-14);
}

#[test]
fn of_two_classes_none_is_like_another() {
    let of = |rows: [[f64; 2]; 2]| Tensor::new(&rows, &Device::Cpu).expect("four numbers");
    let (student, teacher) = (of([[1.0, -0.5], [0.0, 2.0]]), of([[2.0, 0.5], [3.0, -1.0]]));
    let labels = Tensor::new(&[0u32, 1], &Device::Cpu).expect("two labels");
    let coupled = kd(&student, &teacher, 2.0).expect("a loss");
    let decoupled = dkd(&student, &teacher, &labels, 2.0, 1.0, 8.0).expect("a loss");
    assert_close("dkd", &flat(&decoupled), &flat(&coupled), 1e-14);
}

#[test]
fn dist_is_pytorchs() {
    let gradient = [
        -0.2947302359108895,
        -0.017258173430532327,
        0.26322112026419714,
        0.04876728907722467,
        -0.00032947472795906543,
        0.0663452667400844,
        0.012652718357624916,
        -0.07866851036975026,
        0.500228539241261,
        -0.08695667536038837,
        -0.2004528427869636,
        -0.2128190210939089,
    ];
    let loss: Loss = |student, teacher| dist(student, teacher, 1.0, 1.0, 1.0);
    assert_pytorchs("dist", loss, student, 1.294782309745313, gradient);
    let gradient = [
        -3.4188763670705495,
        -0.4888046478888389,
        1.6339826332529603,
        2.2736983817064287,
        -0.6153474605563327,
        1.0496030262086136,
        0.6851848762455685,
        -1.1194404418978492,
        9.965682311368367,
        -3.8052002171699937,
        -3.3487323087685663,
        -2.8117497854298077,
    ];
    let loss: Loss = |student, teacher| dist(student, teacher, 4.0, 1.5, 0.5);
    assert_pytorchs("dist", loss, student, 22.08561607048381, gradient);
}

#[test]
fn a_batch_of_one_image_has_no_relations_within_a_class() {
    let [student, teacher] = [student(DType::F32), teacher(DType::F32)].map(|logits| first(&logits));
    let (both, gradient) = value_and_gradient(|s, t| dist(s, t, 4.0, 1.5, 0.5), &student, &teacher);
    let (between, expected) = value_and_gradient(|s, t| dist(s, t, 4.0, 1.5, 0.0), &student, &teacher);
    assert_close("dist", &[both], &[between + 16.0 * 0.5], 1e-5);
    assert_eq!(gradient, expected);
}

#[test]
fn standardised_kd_is_pytorchs() {
    let gradient = [
        -0.0967131422366673,
        -0.003304503175945243,
        0.04003228177014859,
        0.05998536364246393,
        -0.016187388856158964,
        -0.0006108445862722345,
        0.024739216113097866,
        -0.007940982670666674,
        0.21218540799747654,
        -0.10326023664205217,
        -0.06143388914374287,
        -0.04749128221168136,
    ];
    let loss: Loss = |student, teacher| standardised_kd(student, teacher, 2.0);
    assert_pytorchs("standardised kd", loss, student, 0.6313304708670892, gradient);
    let gradient = [
        -0.10990201549999266,
        0.01664599858577189,
        0.0542348708650378,
        0.039021146049182956,
        -0.008763487282562253,
        -0.0003306972661952688,
        0.013393253542792284,
        -0.004299068994034761,
        0.13950813039605903,
        -0.08674348913613147,
        -0.03500554297915073,
        -0.017759098280776736,
    ];
    let loss: Loss = |student, teacher| standardised_kd(student, teacher, 1.0);
    assert_pytorchs("standardised kd", loss, student, 0.5938698627401385, gradient);
}

#[test]
fn z_scores_and_correlations_do_not_mind_scale_and_shift() {
    let other = |logits: Tensor| ((logits * 3.0).and_then(|logits| logits + 5.0)).expect("logits");
    let (value, _) = value_and_gradient(LOSSES[3].1, &student(DType::F64), &other(student(DType::F64)));
    assert_close("standardised kd", &[value], &[0.0], 1e-12);
}

/// A deviation or norm of 0 counts as 1, and the gradient is no larger than where there is something to tell apart.
#[test]
fn a_student_that_says_nothing_of_an_image_is_still_taught() {
    let standardised_gradient = [
        -0.0967131422366673,
        -0.003304503175945243,
        0.04003228177014859,
        0.05998536364246393,
        0.03638870382044139,
        0.007544808481819283,
        0.07933872972224361,
        -0.12327224202450429,
        0.21218540799747654,
        -0.10326023664205217,
        -0.06143388914374287,
        -0.04749128221168136,
    ];
    let dist_gradient = [
        -3.0834483040394574,
        -0.5480557391751579,
        0.7137263688949954,
        2.9177776743196198,
        1.0004236354552343,
        1.1904811542609013,
        1.1324067644374267,
        -3.3233115541535625,
        8.218993881572166,
        -3.867609863800137,
        -3.349681089070443,
        -1.0017029287015864,
    ];
    // In single precision the mean of four times 7.3 is not 7.3.
    let students: [fn(DType) -> Tensor; 2] = [|dtype| flat_student(dtype, 0.25), |dtype| flat_student(dtype, 7.3)];
    for student in students {
        assert_pytorchs("dist", LOSSES[2].1, student, 31.161955492883113, dist_gradient);
        assert_pytorchs("standardised kd", LOSSES[3].1, student, 0.7262251114485405, standardised_gradient);
    }
}

#[test]
fn a_teacher_that_says_nothing_of_an_image_teaches_that() {
    for (dtype, tolerance) in PRECISIONS {
        let both = flat_student(dtype, 7.3).narrow(0, 1, 1).expect("an image");
        let (value, gradient) = value_and_gradient(LOSSES[3].1, &both, &both);
        assert_close("standardised kd", &[value], &[0.0], tolerance);
        assert_close("its gradient", &gradient, &[0.0; 4], tolerance);
        let (value, gradient) = value_and_gradient(LOSSES[2].1, &both, &both);
        assert_close("dist", &[value], &[16.0 * 2.0], tolerance);
        assert_close("its gradient", &gradient, &[0.0; 4], tolerance);
    }
}

#[test]
fn a_student_equal_to_its_teacher_has_nothing_to_learn() {
    for (name, loss) in LOSSES {
        let (value, gradient) = value_and_gradient(loss, &student(DType::F64), &student(DType::F64));
        // DIST's epsilon keeps a correlation of small numbers a little under 1, and T² makes 16 times of that.
        let tolerance = if name == "dist" { 1e-3 } else { 1e-12 };
        assert_close(name, &[value], &[0.0], tolerance);
        assert_close(name, &gradient, &[0.0; 12], tolerance);
    }
}

#[test]
fn a_batchs_loss_is_the_mean_of_its_images() {
    let (student, teacher) = (student(DType::F64), teacher(DType::F64));
    // Of the other two images the teacher says what the student does.
    let others = student.narrow(0, 1, 2).expect("two images");
    let agreeing = Tensor::cat(&[&first(&teacher), &others], 0).expect("three images");
    for (name, loss) in LOSSES.into_iter().filter(|(name, _)| *name != "dist") {
        let (value, _) = value_and_gradient(loss, &student, &agreeing);
        let (alone, _) = value_and_gradient(loss, &first(&student), &first(&teacher));
        assert_close(name, &[value], &[alone / 3.0], 1e-12);
    }
}

#[test]
fn extreme_logits_have_finite_losses_and_gradients() {
    let extreme = logits([[1e4, -1e4, 0.0, 0.0], [0.0; 4], [-1e4; 4]], DType::F32);
    let faint = logits([[1e-30, 0.0, 0.0, 0.0], [0.0, 1e-20, 0.0, 0.0], [0.0; 4]], DType::F32);
    for (name, loss) in LOSSES {
        for (student, teacher) in [(&extreme, &faint), (&faint, &extreme), (&extreme, &extreme)] {
            let (value, gradient) = value_and_gradient(loss, student, teacher);
            assert!(value.is_finite() && gradient.iter().all(|it| it.is_finite()), "{name}: {value}, {gradient:?}");
        }
    }
}
