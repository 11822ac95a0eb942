//! What a network says of whole splits: logits in evaluation mode, and what they come to.

use crate::TrainError;
use crate::augmentation::Normalisation;
use crate::checkpoint;
use crate::dataset::{Images, Split};
use crate::engine::{Engine, Values};
use crate::folder::logits_path;
use crate::measures;
use crate::objective::{self, named_classes, scalar};
use candle_core::{DType, Device, Tensor};
use std::path::{Path, PathBuf};
use study::{Epoch, Scores, bytes_of_candle::evaluated_together};

/// Logits (n, classes) of a split's images as they are, in their order, in double precision. `None` where `leave` says so.
pub fn logits(
    network: &mut dyn Engine,
    normalisation: &Normalisation,
    images: &Images,
    split: &Split,
    leave: &dyn Fn() -> bool,
) -> Result<Option<Tensor>, TrainError> {
    let mut logits = Vec::new();
    let keep = |_, part| {
        logits.push(part);
        Ok(())
    };
    if !part_by_part(network, normalisation, images, split, leave, keep)? {
        return Ok(None);
    }
    if logits.is_empty() {
        return Ok(Some(Tensor::zeros((0, images.facts.classes as usize), DType::F64, &Device::Cpu)?));
    }
    Ok(Some(Tensor::cat(&logits, 0)?))
}

/// Gives `take` the logits of a split's images, as many at a time as are [`evaluated_together`], each part with the place of its first
/// image; `false` where `leave` says so, which is asked before each part: on large images one takes long.
fn part_by_part(
    network: &mut dyn Engine,
    normalisation: &Normalisation,
    images: &Images,
    split: &Split,
    leave: &dyn Fn() -> bool,
    mut take: impl FnMut(usize, Tensor) -> Result<(), TrainError>,
) -> Result<bool, TrainError> {
    let len = images.values_per_image();
    let together = evaluated_together(images.facts.image_size) as usize;
    let mut plain = vec![0.0; len * together.min(split.len())];
    for (part, bytes) in split.images.chunks(len * together).enumerate() {
        if leave() {
            return Ok(false);
        }
        let plain = &mut plain[..bytes.len()];
        normalisation.plain(bytes, plain);
        take(part * together, network.evaluate(plain)?.to_dtype(DType::F64)?)?;
    }
    Ok(true)
}

/// Mean cross-entropy, accuracy and calibration error on held-out images. `logits`: (n, classes), of a split with at least one.
pub fn scores(logits: &Tensor, split: &Split) -> Result<Scores, TrainError> {
    let error = measures::calibration_error(logits, &split.class_numbers())?;
    let error = (error * Scores::CALIBRATION_STEPS).round() / Scores::CALIBRATION_STEPS;
    Ok(Scores { calibration_error: Some(error), ..of_part(logits, &split.class_numbers())? })
}

/// As [`scores`], on images that were trained on: how sure a network is of those is no question. Part by part: all logits of a large
/// split at once would take more room than the network.
pub fn scores_in_training(
    network: &mut dyn Engine,
    normalisation: &Normalisation,
    images: &Images,
    split: &Split,
    leave: &dyn Fn() -> bool,
) -> Result<Option<Scores>, TrainError> {
    let labels = split.class_numbers();
    let (mut cross_entropy, mut correct) = (0.0, 0.0);
    let add = |first: usize, logits: Tensor| {
        let count = logits.dim(0)?;
        let part = of_part(&logits, &labels[first..first + count])?;
        cross_entropy += part.cross_entropy * count as f64;
        correct += part.accuracy * count as f64;
        Ok(())
    };
    if !part_by_part(network, normalisation, images, split, leave, add)? {
        return Ok(None);
    }
    let count = labels.len() as f64;
    // A sum of whole numbers, each as a share of its part's images.
    let accuracy = correct.round() / count;
    Ok(Some(Scores { cross_entropy: cross_entropy / count, accuracy, calibration_error: None }))
}

fn of_part(logits: &Tensor, labels: &[u32]) -> Result<Scores, TrainError> {
    let accuracy = agreeing(&named_classes(logits)?, labels) as f64 / labels.len() as f64;
    let labels = Tensor::from_slice(labels, labels.len(), &Device::Cpu)?;
    let cross_entropy = scalar(&objective::cross_entropy(logits, &labels)?)?;
    Ok(Scores { cross_entropy, accuracy, calibration_error: None })
}

/// KD loss and the share of images on which both name the same class. Both: (n, classes) with n > 0.
pub fn kd_loss_and_agreement(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<(f64, f64), TrainError> {
    let named = named_classes(student)?;
    let agreement = agreeing(&named, &named_classes(teacher)?) as f64 / named.len() as f64;
    Ok((scalar(&objective::kd(student, teacher, temperature)?)?, agreement))
}

/// What the test logits that are kept with a checkpoint take for what: `counts[true class][named class]`, `classes` × `classes`.
/// `labels` are those of the test split.
///
/// # Errors
/// Where none are kept, or of other images or classes.
pub fn kept_confusion(
    folder: &Path,
    epoch: Epoch,
    labels: &[u32],
    classes: usize,
) -> Result<Vec<Vec<u32>>, TrainError> {
    measures::confusion(&kept_test_logits(folder, epoch, labels, classes)?, labels, classes)
}

/// What checkpoints come to that vote together on the test split, from 0 to 1: see [`measures::ensemble_accuracy`]. `members`: the
/// folders of their segments, and their epochs.
///
/// # Errors
/// As [`kept_confusion`], of any of them; where there is none.
pub fn kept_ensemble_accuracy(members: &[(PathBuf, Epoch)], labels: &[u32], classes: usize) -> Result<f64, TrainError> {
    let said = members.iter().map(|(folder, epoch)| kept_test_logits(folder, *epoch, labels, classes));
    measures::ensemble_accuracy(&said.collect::<Result<Vec<_>, _>>()?, labels)
}

/// Test logits (n, classes) that were kept with a checkpoint, in double precision.
fn kept_test_logits(folder: &Path, epoch: Epoch, labels: &[u32], classes: usize) -> Result<Tensor, TrainError> {
    let kept = checkpoint::load_logits(folder, epoch)?.test;
    if kept.shape != [labels.len(), classes] {
        let problem = format!("holds logits of {:?}, not of {} images and {classes} classes", kept.shape, labels.len());
        return Err(TrainError::Checkpoint { path: logits_path(folder, epoch), problem });
    }
    from_values(&kept)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NetworkShape, open_for_evaluation};
    use crate::initial::initial_weights;
    use std::cell::Cell;
    use study::{Architecture, DatasetFacts, Numerics, Seed};

    /// Of 256 × 256 pixels 31 are evaluated together.
    #[test]
    fn who_evaluates_large_images_can_be_asked_to_leave_after_few_of_them() {
        let (image_size, count) = (256, 32);
        let architecture = Architecture::ResNet { depth: 8, width: 1 };
        let facts = DatasetFacts {
            dataset: "flowers@256".parse().expect("a data set"),
            checksum: String::new(),
            classes: 2,
            channels: 1,
            image_size,
            train: count,
            validation: 0,
            test: 0,
        };
        let train = Split {
            images: vec![100; (count * image_size * image_size) as usize].into(),
            labels: vec![0; count as usize].into(),
        };
        let (validation, test) = Default::default();
        let class_names = vec!["daisy".into(), "rose".into()];
        let images = Images { facts, train, validation, test, mean: vec![0.5], deviation: vec![0.25], class_names };
        let shape = NetworkShape { architecture, channels: 1, image_size: image_size as usize, classes: 2 };
        let mut network = open_for_evaluation(&shape, Numerics::CandleF32, study::Device::Cpu, 1).expect("an engine");
        network.set_weights(&initial_weights(&shape, Seed(0))).expect("its own weights");
        let asked = Cell::new(0);
        let leave = || asked.replace(asked.get() + 1) == 1;
        let normalisation = Normalisation::of(&images);
        let said = scores_in_training(network.as_mut(), &normalisation, &images, &images.train, &leave);
        assert_eq!((said.expect("no error"), asked.get()), (None, 2));
    }

    /// By hand: five images, three of them said to be of the class with a confidence in the same fifteenth. In that bin two are right
    /// at a mean confidence of 2.713/3, and each of the others is alone: one right at 0.65, one wrong at 0.7.
    #[test]
    fn scores_tell_how_far_a_network_is_right_to_be_as_sure_as_it_is() {
        let probabilities = [[0.9, 0.1], [0.1, 0.9], [0.087, 0.913], [0.65, 0.35], [0.3, 0.7]];
        let logits = Tensor::new(&probabilities, &Device::Cpu).and_then(|it| it.log()).expect("logits");
        let split = Split { images: vec![].into(), labels: vec![0, 0, 1, 0, 0].into() };
        let scores = scores(&logits, &split).expect("scores");
        // (0.713 + 0.35 + 0.7) / 5, with four decimals.
        assert_eq!(scores.calibration_error, Some(0.3526));
        assert_eq!(scores.accuracy, 0.6);
        let cross_entropy = -[0.9f64, 0.1, 0.913, 0.65, 0.3].map(f64::ln).iter().sum::<f64>() / 5.0;
        assert!((scores.cross_entropy - cross_entropy).abs() < 1e-12, "{}", scores.cross_entropy);
    }
}
