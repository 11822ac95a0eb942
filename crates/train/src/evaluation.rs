//! What a network says of whole splits: logits in evaluation mode, and what they come to.

use crate::TrainError;
use crate::augmentation::Normalisation;
use crate::dataset::{Images, Split};
use crate::engine::{Engine, Values};
use crate::objective::{self, named_classes, scalar};
use candle_core::{DType, Device, Tensor};
use study::Scores;

/// Images evaluated at a time.
const EVALUATION_BATCH: usize = 500;

/// Logits (n, classes) of a split's images as they are, in their order, in double precision. `None` where `leave` says so.
pub fn logits(
    network: &mut dyn Engine,
    normalisation: &Normalisation,
    images: &Images,
    split: &Split,
    leave: &dyn Fn() -> bool,
) -> Result<Option<Tensor>, TrainError> {
    let len = images.values_per_image();
    let mut plain = vec![0.0; len * EVALUATION_BATCH.min(split.len())];
    let mut logits = Vec::new();
    for bytes in split.images.chunks(len * EVALUATION_BATCH) {
        if leave() {
            return Ok(None);
        }
        let plain = &mut plain[..bytes.len()];
        normalisation.plain(bytes, plain);
        logits.push(network.evaluate(plain)?.to_dtype(DType::F64)?);
    }
    if logits.is_empty() {
        return Ok(Some(Tensor::zeros((0, images.facts.classes as usize), DType::F64, &Device::Cpu)?));
    }
    Ok(Some(Tensor::cat(&logits, 0)?))
}

/// Mean cross-entropy and accuracy. `logits`: (n, classes), of a split with at least one image.
pub fn scores(logits: &Tensor, split: &Split) -> Result<Scores, TrainError> {
    let labels: Vec<u32> = split.labels.iter().map(|label| u32::from(*label)).collect();
    let correct = agreeing(&named_classes(logits)?, &labels);
    let count = labels.len();
    let labels = Tensor::from_vec(labels, count, &Device::Cpu)?;
    let cross_entropy = scalar(&objective::cross_entropy(logits, &labels)?)?;
    Ok(Scores { cross_entropy, accuracy: correct as f64 / count as f64 })
}

/// KD loss and the share of images on which both name the same class. Both: (n, classes) with n > 0.
pub fn kd_loss_and_agreement(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<(f64, f64), TrainError> {
    let named = named_classes(student)?;
    let agreement = agreeing(&named, &named_classes(teacher)?) as f64 / named.len() as f64;
    Ok((scalar(&objective::kd(student, teacher, temperature)?)?, agreement))
}

/// Images on which both name the same class.
pub fn agreeing(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a == b).count()
}

/// Logits as they are kept beside a checkpoint, in single precision.
pub fn to_values(logits: &Tensor) -> Result<Values, TrainError> {
    let values = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok(Values { shape: logits.dims().to_vec(), values })
}

/// Kept logits, to calculate with.
pub fn from_values(values: &Values) -> Result<Tensor, TrainError> {
    Ok(Tensor::from_slice(&values.values, values.shape.as_slice(), &Device::Cpu)?.to_dtype(DType::F64)?)
}
