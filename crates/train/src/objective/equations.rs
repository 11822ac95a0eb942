//! The losses' equations, each a differentiable scalar of the student's tensors; none of them goes back into the teacher's.

use super::Result;
use candle_core::{D, DType, Tensor, bail};
use candle_nn::ops::{log_softmax, softmax};

/// Keeps a z-score finite where the deviation is next to nothing, as the authors of logit standardisation do.
const DEVIATION_EPSILON: f64 = 1e-7;
/// Keeps a correlation finite where the lengths are next to nothing, as the authors of DIST do.
const CORRELATION_EPSILON: f64 = 1e-8;

/// Cross-entropy: `−log softmax(logits)[label]`, mean over the batch.
/// `logits`: (batch, classes); `labels`: (batch), u32.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    log_softmax(logits, D::Minus1)?.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?.neg()
}

/// Hinton et al. 2015: `T²·KL(softmax(teacher/T) ‖ softmax(student/T))`, mean over the batch, unweighted.
/// `student`, `teacher`: (batch, classes) logits. T² keeps the gradient's size independent of T.
pub fn kd(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    let student = log_softmax(&(student / temperature)?, D::Minus1)?;
    let teacher = (teacher.detach() / temperature)?;
    let divergence =
        (softmax(&teacher, D::Minus1)? * (log_softmax(&teacher, D::Minus1)? - student)?)?.sum(D::Minus1)?;
    divergence.mean_all()? * (temperature * temperature)
}

/// Zagoruyko & Komodakis 2017, activation-based attention transfer: `Σ over groups of mean((Q_s − Q_t)²)`, unweighted. A group's
/// attention map is the mean over channels of the squared activations; Q is an image's map with an L2 norm of 1, so that what
/// counts is where a network looks and not how large its activations are. The mean is over the batch and the pixels, as in the
/// authors' code (their paper writes a norm): the weight of 1000 that is usual belongs to this mean.
///
/// `student`, `teacher`: the groups' maps, one after the other, each (batch, pixels). A map without any activation stays all zeros.
///
/// # Errors
/// Where the two have another number of groups, or maps of different sizes.
pub fn attention(student: &[Tensor], teacher: &[Tensor]) -> Result<Tensor> {
    if student.len() != teacher.len() {
        bail!("the student has attention maps of {} groups, the teacher of {}", student.len(), teacher.len());
    }
    let mut groups = Vec::with_capacity(student.len());
    for (index, (student, teacher)) in student.iter().zip(teacher).enumerate() {
        if student.dims() != teacher.dims() {
            let (group, student, teacher) = (index + 1, student.dims(), teacher.dims());
            bail!("group {group}: the student's attention maps are {student:?}, the teacher's {teacher:?}");
        }
        let apart = (with_norm_one(student)? - with_norm_one(&teacher.detach())?)?;
        // Image by image: a single sum over all pixels would be less exact.
        groups.push(apart.sqr()?.mean(D::Minus1)?.mean_all()?);
    }
    Tensor::stack(&groups, 0)?.sum_all()
}

/// Zhao et al. 2022, decoupled KD: `target_weight·TCKD + non_target_weight·NCKD`, mean over the batch, both with T².
///
/// `TCKD = KL(b_t ‖ b_s)`, with b the probabilities of the label's class and of all others together, says how sure to be;
/// `NCKD = KL(p̂_t ‖ p̂_s)`, with p̂ the softmax over the classes without the label's, says what the others are like. [`kd`] is their
/// sum with NCKD weighted by the teacher's doubt `1 − p_t[label]`, so that a sure teacher hardly tells it; here the weights are free.
///
/// `student`, `teacher`: (batch, classes) logits with at least two classes; `labels`: (batch), u32. The warm-up of the paper is a
/// matter of the weights and not in here.
pub fn dkd(
    student: &Tensor,
    teacher: &Tensor,
    labels: &Tensor,
    temperature: f64,
    target_weight: f64,
    non_target_weight: f64,
) -> Result<Tensor> {
    let labels = labels.unsqueeze(1)?;
    // Of each image's classes all but its label: the places from the label on stand for the class after them.
    let (batch, classes) = student.dims2()?;
    let places = Tensor::arange(0, (classes as u32).saturating_sub(1), student.device())?;
    let places = places.broadcast_as((batch, places.elem_count()))?;
    let others = (&places + places.broadcast_ge(&labels)?.to_dtype(DType::U32)?)?;

    // Both parts are KD: of two classes, the label's and one that weighs what the others do together; and of the others alone.
    let decouple = |logits: &Tensor| {
        let others = logits.gather(&others, 1)?;
        let together = ((&others / temperature)?.log_sum_exp(1)?.unsqueeze(1)? * temperature)?;
        Ok::<_, candle_core::Error>((Tensor::cat(&[logits.gather(&labels, 1)?, together], 1)?, others))
    };
    let (student_target, student_others) = decouple(student)?;
    let (teacher_target, teacher_others) = decouple(&teacher.detach())?;
    let target = kd(&student_target, &teacher_target, temperature)?;
    let non_target = kd(&student_others, &teacher_others, temperature)?;
    (target * target_weight)? + (non_target * non_target_weight)?
}

/// Huang et al. 2022, DIST: `T²·(between_weight·(1 − mean ρ between classes) + within_weight·(1 − mean ρ within a class))`, with
/// ρ Pearson's correlation of the student's and the teacher's `softmax(logits/T)`: between the classes of each image, and within
/// each class over the images of the batch. Only relations are learnt: a correlation does not mind that a larger teacher's
/// probabilities are sharper. T² and the epsilon are those of the authors' code, where T is 1 if nothing else is said.
///
/// `student`, `teacher`: (batch, classes) logits. `ρ = a·b / (‖a‖‖b‖ + 1e-8)` of the centred numbers; where all are equal, as
/// within the classes of a batch of one image, ρ is 0, and its gradient is that for a norm of 1 instead of one without bounds.
pub fn dist(
    student: &Tensor,
    teacher: &Tensor,
    temperature: f64,
    between_weight: f64,
    within_weight: f64,
) -> Result<Tensor> {
    let student = softmax(&(student / temperature)?, D::Minus1)?;
    let teacher = softmax(&(teacher.detach() / temperature)?, D::Minus1)?;
    let unlike = |dimension| correlation(&student, &teacher, dimension)?.mean_all()?.affine(-1.0, 1.0);
    let relations = ((unlike(1)? * between_weight)? + (unlike(0)? * within_weight)?)?;
    relations * (temperature * temperature)
}

/// Sun et al. 2024, logit standardisation: [`kd`], with its T², of the z-scores of each image's logits. A student is then no longer
/// asked for logits as large as its teacher's, only for their relations.
///
/// `student`, `teacher`: (batch, classes) logits with at least two classes. As in the authors' code a z-score is
/// `(logit − mean) / (deviation + 1e-7)`, with the sample's deviation (n − 1). Where all of an image's logits are equal the z-scores
/// are 0, and their gradient is that for a deviation of 1: as plain KD's, instead of ten million times that.
pub fn standardised_kd(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    kd(&z_scores(student)?, &z_scores(&teacher.detach())?, temperature)
}

/// Each row divided by its L2 norm; rows of zeros stay.
fn with_norm_one(rows: &Tensor) -> Result<Tensor> {
    rows.broadcast_div(&root(&rows.sqr()?.sum_keepdim(D::Minus1)?)?)
}

/// Each row's numbers in deviations from its mean.
fn z_scores(logits: &Tensor) -> Result<Tensor> {
    let centred = centred(logits, 1)?;
    let degrees_of_freedom = logits.dim(1)? as f64 - 1.0;
    let deviation = root(&(centred.sqr()?.sum_keepdim(1)? / degrees_of_freedom)?)?;
    centred.broadcast_div(&(deviation + DEVIATION_EPSILON)?)
}

/// Pearson's correlations along a dimension, which stays with a length of 1.
fn correlation(one: &Tensor, other: &Tensor, dimension: usize) -> Result<Tensor> {
    let (one, other) = (centred(one, dimension)?, centred(other, dimension)?);
    let norm = |centred: &Tensor| root(&centred.sqr()?.sum_keepdim(dimension)?);
    let norms = (norm(&one)? * norm(&other)?)?;
    (one * other)?.sum_keepdim(dimension)? / (norms + CORRELATION_EPSILON)?
}

/// Deviations from the mean along a dimension. The first number is taken off before, or the mean's rounding would make equal
/// numbers come out as something else than zeros.
fn centred(numbers: &Tensor, dimension: usize) -> Result<Tensor> {
    let moved = numbers.broadcast_sub(&numbers.narrow(dimension, 0, 1)?.detach())?;
    moved.broadcast_sub(&moved.mean_keepdim(dimension)?)
}

/// Square roots, and 1 for 0, whose root has no derivative. What is divided by a root that is 0 is 0 itself in here.
fn root(squares: &Tensor) -> Result<Tensor> {
    (squares + squares.eq(0.0)?.to_dtype(squares.dtype())?)?.sqrt()
}
