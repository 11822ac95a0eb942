//! What logits are worth beside accuracy: how far a network is right to be as sure as it is, what it takes for what, and what
//! several networks name together. All of (n, classes) with n > 0 and labels below `classes`.

use crate::TrainError;
use crate::evaluation::agreeing;
use crate::objective::named_classes;
use candle_core::{D, DType, Tensor};
use candle_nn::ops::softmax;

/// Equal-width bins of confidence, as in Guo et al. 2017.
const CONFIDENCE_BINS: usize = 15;

/// Expected calibration error (Guo et al. 2017), from 0 to 1: `Σ over bins of (size/n)·|accuracy − confidence|`, where an image's
/// confidence is the probability of the class it is said to be, and bin m holds those in `((m − 1)/15, m/15]`. 0 where of the
/// images that a network is 70% sure of, it names 70% rightly.
pub fn calibration_error(logits: &Tensor, labels: &[u32]) -> Result<f64, TrainError> {
    let probabilities = softmax(&logits.to_dtype(DType::F64)?, D::Minus1)?;
    let confidences: Vec<f64> = probabilities.max(D::Minus1)?.to_vec1()?;
    // A bin's images times the difference of its means is the difference of its sums.
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

/// The accuracy of the class that the mean of the members' softmax probabilities names, the first among equals.
///
/// # Errors
/// Where there is no member, or they speak of other numbers of images or classes.
pub fn ensemble_accuracy(members: &[Tensor], labels: &[u32]) -> Result<f64, TrainError> {
    let probabilities = |logits: &Tensor| softmax(&logits.to_dtype(DType::F64)?, D::Minus1);
    let said = members.iter().map(probabilities).collect::<Result<Vec<_>, _>>()?;
    let named = named_classes(&Tensor::stack(&said, 0)?.mean(0)?)?;
    Ok(agreeing(&named, labels) as f64 / labels.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Logits whose softmax is these probabilities.
    fn sure<const IMAGES: usize>(rows: [[f64; 2]; IMAGES]) -> Tensor {
        Tensor::new(&rows, &Device::Cpu).and_then(|probabilities| probabilities.log()).expect("logits")
    }

    /// Three networks' logits of 40 images, and labels of which the first network is right in every second.
    ///
    /// ```python
    /// import torch                                      # torch 2.15
    /// image, place = torch.meshgrid(torch.arange(40.0).double(), torch.arange(10.0).double(), indexing="ij")
    /// members = [3 * torch.sin(1.7 * image + 2.3 * place + phase * image * place) for phase in (0.5, 0.9, 1.4)]
    /// labels = (3 * torch.arange(40)) % 10
    /// labels[::2] = members[0].argmax(1)[::2]
    /// for logits in members:
    ///     confidence, named = torch.softmax(logits, 1).max(1)
    ///     right, edges, error = (named == labels).double(), torch.linspace(0, 1, 16).double(), 0
    ///     for low, high in zip(edges[:-1], edges[1:]):
    ///         inside = (confidence > low) & (confidence <= high)
    ///         if inside.any():
    ///             error += inside.double().mean() * (right[inside].mean() - confidence[inside].mean()).abs()
    ///     counts = torch.zeros(10, 10).long().index_put((labels, named), torch.tensor(1), accumulate=True)
    ///     print(error.item(), right.mean().item(), counts.diag().tolist(), counts[3].tolist())
    /// print((sum(torch.softmax(m, 1) for m in members).argmax(1) == labels).double().mean().item())
    /// ```
    fn networks() -> ([Tensor; 3], Vec<u32>) {
        let members = [0.5, 0.9, 1.4].map(|phase| {
            let logit = |at: u32| {
                let (image, place) = (f64::from(at / 10), f64::from(at % 10));
                3.0 * (1.7 * image + 2.3 * place + phase * image * place).sin()
            };
            let logits: Vec<f64> = (0..400).map(logit).collect();
            Tensor::from_vec(logits, (40, 10), &Device::Cpu).expect("logits")
        });
        let named = named_classes(&members[0]).expect("classes");
        let label = |image: u32| if image.is_multiple_of(2) { named[image as usize] } else { 3 * image % 10 };
        (members, (0..40).map(label).collect())
    }

    #[test]
    fn what_networks_say_is_measured_as_by_pytorch() {
        let (members, labels) = networks();
        let errors = [0.2507897508172995, 0.2973332378535115, 0.23410826367891974];
        let right = [[1, 2, 1, 4, 1, 4, 0, 1, 3, 6], [1, 1, 0, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 1, 0, 1, 0, 1, 0, 2]];
        let threes = [[1, 2, 0, 4, 0, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0, 1, 2, 1, 2], [1, 3, 0, 1, 1, 0, 1, 0, 0, 1]];
        for (network, logits) in members.iter().enumerate() {
            let error = calibration_error(logits, &labels).expect("an error");
            assert!((error - errors[network]).abs() < 1e-12, "{error}");
            let counts = confusion(logits, &labels, 10).expect("counts");
            let diagonal: Vec<u32> = (0..10).map(|class| counts[class][class]).collect();
            assert_eq!(diagonal, right[network]);
            assert_eq!(counts[3], threes[network]);
        }
        assert_eq!(ensemble_accuracy(&members, &labels).expect("an accuracy"), 0.225);
        assert_eq!(ensemble_accuracy(&members[..1], &labels).expect("an accuracy"), 0.575);
    }

    /// By hand: of three that share a bin two are right, |2 − 2.71|; two are in bins of their own, |1 − 0.65| and |0 − 0.7|.
    #[test]
    fn calibration_is_judged_bin_by_bin() {
        let logits = sure([[0.9, 0.1], [0.1, 0.9], [0.09, 0.91], [0.65, 0.35], [0.3, 0.7]]);
        let error = calibration_error(&logits, &[0, 0, 1, 0, 0]).expect("an error");
        assert!((error - (0.71 + 0.35 + 0.7) / 5.0).abs() < 1e-12, "{error}");
    }

    #[test]
    fn who_is_certain_and_right_is_calibrated() {
        let logits = Tensor::new(&[[1e3f32, 0.0], [-1e3, 1e3]], &Device::Cpu).expect("logits");
        assert_eq!(calibration_error(&logits, &[0, 1]).expect("an error"), 0.0);
        assert_eq!(calibration_error(&logits, &[1, 0]).expect("an error"), 1.0);
        assert_eq!(confusion(&logits, &[1, 0], 3).expect("counts"), [[0, 1, 0], [1, 0, 0], [0, 0, 0]]);
    }

    #[test]
    fn members_of_an_ensemble_vote_by_how_sure_they_are() {
        let hesitant = sure([[0.55, 0.45], [0.55, 0.45], [0.5, 0.5]]);
        let certain = sure([[0.2, 0.8], [0.5, 0.5], [0.5, 0.5]]);
        // Two who hesitate are more, and weigh less; the first of equals is named.
        let members = [hesitant.clone(), hesitant, certain];
        assert_eq!(ensemble_accuracy(&members, &[1, 0, 0]).expect("an accuracy"), 1.0);
        assert!(ensemble_accuracy(&[], &[1, 0, 0]).is_err());
        let fewer = members[0].narrow(0, 0, 2).expect("two images");
        assert!(ensemble_accuracy(&[members[0].clone(), fewer], &[1, 0, 0]).is_err());
    }
}
