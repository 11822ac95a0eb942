//! How a curve is read: what can be drawn over epochs, and one arm's series of it.

use crate::{Epoch, EpochMetrics, Facts, Observer, Plan, Scores, metrics::run_metrics, statistics};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What can be drawn over epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    ValidationAccuracy,
    ValidationCrossEntropy,
    TrainAccuracy,
    TrainCrossEntropy,
    /// Against the arm's own teacher; for labels only, the study's first.
    KdLossValidation,
    KdLossTrain,
    AgreementValidation,
    LearningRate,
    TestAccuracy,
    KdLossTest,
    CalibrationErrorValidation,
    CalibrationErrorTest,
    /// Of the gradients of cross-entropy and of the KD loss, of all parameters.
    GradientCosine,
}

/// One arm's curve: mean over seeds and the 95 % interval of the mean (its own t), point by point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Index into the plan's arms.
    pub arm: usize,
    pub label: String,
    pub points: Vec<Point>,
    /// Where distillation stops inside the curve; `None` where it never starts or never stops.
    pub kd_stops_at: Option<Epoch>,
    /// Where the learning rate drops.
    pub drops: Vec<Epoch>,
}

/// `low` and `high` equal `mean` where `seeds` is 1. Accuracies and calibration errors in percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub epoch: Epoch,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    pub seeds: u32,
}

/// The one way to read a curve, for a study that runs and one that is done: the series of `metric` of every arm that has runs, in the
/// plan's order.
pub fn series(plan: &Plan, facts: &Facts, metric: Metric) -> Vec<Series> {
    let segments = plan.by_key();
    let measured_against = plan.measured_against();
    let mut values: Vec<BTreeMap<Epoch, Vec<Option<f64>>>> = vec![BTreeMap::new(); plan.arms.len()];
    for (run, observer) in plan.runs.iter().zip(&measured_against) {
        if metric.is_against_a_teacher() && observer.is_none() {
            continue;
        }
        for epoch in run_metrics(run, facts) {
            values[run.arm].entry(epoch.epoch).or_default().push(metric.of(epoch, observer.as_ref()));
        }
    }
    // Where one of the seeds that came as far was not measured, or came to no number, the others' mean would be of other seeds than the
    // next one, and jump.
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let whole = |(epoch, of_seeds): (Epoch, Vec<Option<f64>>)| {
        Some((epoch, of_seeds.into_iter().map(finite).collect::<Option<Vec<f64>>>()?))
    };
    let values: Vec<BTreeMap<Epoch, Vec<f64>>> =
        values.into_iter().map(|of_arm| of_arm.into_iter().filter_map(whole).collect()).collect();
    // Once per count of seeds: a search trains the arms of one plan with different numbers of them.
    let most_seeds = values.iter().flat_map(BTreeMap::values).map(Vec::len).max().unwrap_or(0);
    let critical: Vec<f64> = (0..=most_seeds).map(statistics::critical_value_of_mean).collect();
    let mut schedules = vec![None; plan.arms.len()];
    for run in &plan.runs {
        schedules[run.arm] = run.legs.first().and_then(|leg| segments.get(&leg.segment)).map(|it| &it.schedule);
    }
    let arms = plan.arms.iter().zip(values).zip(schedules).enumerate();
    arms.filter_map(|(index, ((arm, values), schedule))| {
        Some(Series {
            arm: index,
            label: arm.label.clone(),
            points: values.into_iter().map(|(epoch, values)| point(epoch, &values, &critical)).collect(),
            kd_stops_at: arm.distillation.as_ref().map(|it| it.kd_stop_epoch).filter(|stop| *stop < arm.epochs),
            drops: schedule?.drops.clone(),
        })
    })
    .collect()
}

fn point(epoch: Epoch, values: &[f64], critical: &[f64]) -> Point {
    let mean = statistics::mean(values);
    let half = match values {
        [_] => 0.0,
        _ => critical[values.len()] * statistics::deviation(values) / (values.len() as f64).sqrt(),
    };
    Point { epoch, mean, low: mean - half, high: mean + half, seeds: values.len() as u32 }
}

impl Point {
    /// What a band shows here: from three seeds on the 95 % interval of the mean; of two the lower and the higher, whose
    /// interval is a dozen times as wide; of one nothing.
    pub fn band(&self) -> Option<(f64, f64)> {
        match self.seeds {
            0 | 1 => None,
            2 => {
                let half = (self.high - self.mean) / statistics::critical_value_of_mean(2);
                Some((self.mean - half, self.mean + half))
            }
            _ => Some((self.low, self.high)),
        }
    }
}

impl Metric {
    /// In the order in which they are shown.
    pub const ALL: [Metric; 13] = [
        Metric::ValidationAccuracy,
        Metric::ValidationCrossEntropy,
        Metric::TrainAccuracy,
        Metric::TrainCrossEntropy,
        Metric::KdLossValidation,
        Metric::KdLossTrain,
        Metric::AgreementValidation,
        Metric::LearningRate,
        Metric::TestAccuracy,
        Metric::KdLossTest,
        Metric::CalibrationErrorValidation,
        Metric::CalibrationErrorTest,
        Metric::GradientCosine,
    ];

    /// Whether it says how a student lies to a teacher.
    fn is_against_a_teacher(self) -> bool {
        matches!(
            self,
            Metric::KdLossTrain
                | Metric::KdLossValidation
                | Metric::KdLossTest
                | Metric::AgreementValidation
                | Metric::GradientCosine
        )
    }

    /// Its value in one epoch, accuracies, agreement and calibration errors in percent; `None` where it was not measured.
    fn of(self, epoch: &EpochMetrics, observer: Option<&Observer>) -> Option<f64> {
        let fidelity = || epoch.fidelity_to(observer?);
        let calibration_error = |scores: Option<Scores>| scores?.calibration_error.map(|error| 100.0 * error);
        match self {
            Metric::ValidationAccuracy => epoch.validation.map(|scores| 100.0 * scores.accuracy),
            Metric::ValidationCrossEntropy => epoch.validation.map(|scores| scores.cross_entropy),
            Metric::TrainAccuracy => Some(100.0 * epoch.train.accuracy),
            Metric::TrainCrossEntropy => Some(epoch.train.cross_entropy),
            Metric::KdLossValidation => fidelity()?.kd_loss_validation,
            Metric::KdLossTrain => fidelity()?.kd_loss_train,
            Metric::AgreementValidation => fidelity()?.agreement_validation.map(|share| 100.0 * share),
            Metric::LearningRate => Some(epoch.learning_rate),
            Metric::TestAccuracy => epoch.test.map(|scores| 100.0 * scores.accuracy),
            Metric::KdLossTest => fidelity()?.kd_loss_test,
            Metric::CalibrationErrorValidation => calibration_error(epoch.validation),
            Metric::CalibrationErrorTest => calibration_error(epoch.test),
            Metric::GradientCosine => fidelity()?.gradient_cosine.as_ref()?.all.map(f64::from),
        }
    }
}
