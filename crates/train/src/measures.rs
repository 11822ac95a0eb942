//! What logits are worth beside accuracy. All of (n, classes) with n > 0 and labels below `classes`.

use crate::TrainError;
use crate::objective::named_classes;
use candle_core::{D, DType, Tensor};
use candle_nn::ops::softmax;

/// Equal-width bins of confidence, as in Guo et al. 2017.
const CONFIDENCE_BINS: usize = 15;

/// Expected calibration error (Guo et al. 2017), from 0 to 1: `Σ over bins of (size/n)·|accuracy − confidence|`, where an image's
/// confidence is the probability of the class it is said to be, and bin m holds those in `((m − 1)/15, m/15]`.
pub fn calibration_error(logits: &Tensor, labels: &[u32]) -> Result<f64, TrainError> {
    let confidences: Vec<f64> = softmax(&logits.to_dtype(DType::F64)?, D::Minus1)?.max(D::Minus1)?.to_vec1()?;
    let mut differences = [0.0; CONFIDENCE_BINS];
    for ((confidence, named), label) in confidences.iter().zip(named_classes(logits)?).zip(labels) {
        let bin = ((confidence * CONFIDENCE_BINS as f64).ceil() as usize).clamp(1, CONFIDENCE_BINS) - 1;
        differences[bin] += f64::from(u8::from(named == *label)) - confidence;
    }
    Ok(differences.iter().map(|difference| difference.abs()).sum::<f64>() / confidences.len() as f64)
}

/// How many images of each class are said to be of each: `counts[true class][named class]`, `classes` × `classes`.
///
/// # Panics
/// Where a label is not below `classes`, or the logits are of more classes.
pub fn confusion(logits: &Tensor, labels: &[u32], classes: usize) -> Result<Vec<Vec<u32>>, TrainError> {
    let mut counts = vec![vec![0; classes]; classes];
    for (named, label) in named_classes(logits)?.into_iter().zip(labels) {
        counts[*label as usize][named as usize] += 1;
    }
    Ok(counts)
}
