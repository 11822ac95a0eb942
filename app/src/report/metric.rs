//! What the metrics are called and how their values are written.

use crate::numbers;
use study::Metric;

/// Every metric, in the order in which they are offered.
pub const ALL: [Metric; 13] = [
    Metric::ValidationAccuracy,
    Metric::TestAccuracy,
    Metric::TrainAccuracy,
    Metric::KdLossValidation,
    Metric::KdLossTest,
    Metric::KdLossTrain,
    Metric::AgreementValidation,
    Metric::GradientCosine,
    Metric::CalibrationErrorValidation,
    Metric::CalibrationErrorTest,
    Metric::ValidationCrossEntropy,
    Metric::TrainCrossEntropy,
    Metric::LearningRate,
];

pub fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::ValidationAccuracy => "Validation accuracy",
        Metric::TestAccuracy => "Test accuracy",
        Metric::TrainAccuracy => "Training accuracy",
        Metric::KdLossValidation => "KD loss on validation",
        Metric::KdLossTest => "KD loss on test",
        Metric::KdLossTrain => "KD loss in training",
        Metric::AgreementValidation => "Agreement with the teacher",
        Metric::GradientCosine => "Cosine of the two gradients",
        Metric::CalibrationErrorValidation => "Calibration error on validation",
        Metric::CalibrationErrorTest => "Calibration error on test",
        Metric::ValidationCrossEntropy => "Cross-entropy on validation",
        Metric::TrainCrossEntropy => "Cross-entropy in training",
        Metric::LearningRate => "Learning rate",
    }
}

/// What the vertical axis says, with its unit.
pub fn axis(metric: Metric) -> &'static str {
    match metric {
        Metric::ValidationAccuracy => "validation accuracy, %",
        Metric::TestAccuracy => "test accuracy, %",
        Metric::TrainAccuracy => "training accuracy, %",
        Metric::KdLossValidation | Metric::KdLossTest | Metric::KdLossTrain => "KD loss, T²·KL",
        Metric::AgreementValidation => "agreement, %",
        Metric::GradientCosine => "cosine, −1 to 1",
        Metric::CalibrationErrorValidation | Metric::CalibrationErrorTest => "calibration error (ECE), %",
        Metric::ValidationCrossEntropy | Metric::TrainCrossEntropy => "cross-entropy, nats",
        Metric::LearningRate => "learning rate",
    }
}

/// What the metric tells, in a sentence.
pub fn explanation(metric: Metric) -> &'static str {
    match metric {
        Metric::ValidationAccuracy => "Share of held-out training images named right, after each epoch.",
        Metric::TestAccuracy => {
            "Share of test images named right, where test was looked at with every seed: at stops and at the end; or after every epoch, where the study asks for that."
        }
        Metric::TrainAccuracy => "Running over the epoch, on varied images while they are learnt.",
        Metric::KdLossValidation => {
            "How far the student’s softened outputs are from its teacher’s, unweighted, also after KD has stopped. \
             From labels alone: measured against the study’s first teacher."
        }
        Metric::KdLossTest => {
            "How far the student’s softened outputs are from its teacher’s on test images, unweighted, where test was looked at."
        }
        Metric::KdLossTrain => "As it is learnt, unweighted, while KD runs.",
        Metric::AgreementValidation => "Share of held-out images on which student and teacher name the same class.",
        Metric::GradientCosine => {
            "Whether labels and teacher pull the weights the same way: the cosine of the gradients of cross-entropy and of what is \
             learnt from the teacher, on the same 128 training images, after each epoch. Below 0 a step for one undoes some of the \
             other. Where nothing is learnt from a teacher: of the KD loss; from labels alone: to the study’s first teacher."
        }
        Metric::CalibrationErrorValidation => {
            "How far a network is from being right as often as it is sure: expected calibration error, the mean difference between \
             confidence and accuracy over 15 bins of confidence, on held-out images."
        }
        Metric::CalibrationErrorTest => {
            "Expected calibration error, the mean difference between confidence and accuracy over 15 bins of confidence, on test \
             images, where test was looked at."
        }
        Metric::ValidationCrossEntropy => "Against the labels, on held-out images.",
        Metric::TrainCrossEntropy => "Against the labels, running over the epoch.",
        Metric::LearningRate => "What each epoch was trained with, on a logarithmic axis.",
    }
}

/// Whether it stays as it is throughout an epoch, and for every seed.
pub fn is_stepped(metric: Metric) -> bool {
    metric == Metric::LearningRate
}

pub fn is_logarithmic(metric: Metric) -> bool {
    metric == Metric::LearningRate
}

/// Whether its values are shares, from 0 to 100 %.
pub fn is_share(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::ValidationAccuracy
            | Metric::TestAccuracy
            | Metric::TrainAccuracy
            | Metric::AgreementValidation
            | Metric::CalibrationErrorValidation
            | Metric::CalibrationErrorTest
    )
}

/// Whether above and below zero mean opposite things.
pub fn is_signed(metric: Metric) -> bool {
    metric == Metric::GradientCosine
}

pub fn written(metric: Metric, value: f64) -> String {
    number(metric, value) + unit(metric)
}

/// A value without its unit, and without a space in it.
pub fn number(metric: Metric, value: f64) -> String {
    match metric {
        _ if is_share(metric) => numbers::fixed(value, 2),
        Metric::LearningRate => significant(value),
        _ => numbers::fixed(value, 3),
    }
}

/// Three figures, without the noughts behind them: "0.004". Such numbers are too small for a fixed number of decimals.
fn significant(value: f64) -> String {
    let decimals = 2.0 - value.abs().log10().floor();
    if !(0.0..=9.0).contains(&decimals) {
        return format!("{value:.2e}");
    }
    let text = numbers::fixed(value, decimals as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// What follows a number, with the space between them.
pub fn unit(metric: Metric) -> &'static str {
    if is_share(metric) { numbers::PERCENT } else { "" }
}

/// As an address says it: `?metric=kd_loss_validation`.
pub fn address(metric: Metric) -> &'static str {
    match metric {
        Metric::ValidationAccuracy => "validation_accuracy",
        Metric::TestAccuracy => "test_accuracy",
        Metric::TrainAccuracy => "train_accuracy",
        Metric::KdLossValidation => "kd_loss_validation",
        Metric::KdLossTest => "kd_loss_test",
        Metric::KdLossTrain => "kd_loss_train",
        Metric::AgreementValidation => "agreement_validation",
        Metric::GradientCosine => "gradient_cosine",
        Metric::CalibrationErrorValidation => "calibration_error_validation",
        Metric::CalibrationErrorTest => "calibration_error_test",
        Metric::ValidationCrossEntropy => "validation_cross_entropy",
        Metric::TrainCrossEntropy => "train_cross_entropy",
        Metric::LearningRate => "learning_rate",
    }
}

pub fn of_address(text: &str) -> Option<Metric> {
    ALL.into_iter().find(|metric| address(*metric) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_offered_once_and_found_by_its_address() {
        assert!(Metric::ALL.iter().all(|metric| ALL.contains(metric)));
        assert!(ALL.iter().all(|metric| of_address(address(*metric)) == Some(*metric)));
        assert_eq!(written(Metric::GradientCosine, -0.12345), "−0.123");
        assert_eq!(written(Metric::CalibrationErrorTest, 3.456), "3.46\u{202f}%");
    }

    #[test]
    fn a_learning_rate_is_written_as_one_writes_it() {
        let written =
            [0.1, 0.1 * 0.2, 0.1 * 0.2 * 0.2, 0.0008, 1.0, 12.5, 1e-12].map(|it| number(Metric::LearningRate, it));
        assert_eq!(written, ["0.1", "0.02", "0.004", "0.0008", "1", "12.5", "1.00e-12"]);
    }
}
