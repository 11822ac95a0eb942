//! The paper's own numbers (Cho & Hariharan, "On the Efficacy of Knowledge Distillation", ICCV 2019), to be drawn beside ours
//! and never mixed into our averages. CIFAR-10, student WRN16-1, 200 epochs; test errors in percent.

use crate::{Architecture, Arm, Dataset, Line, Scheme, statistics};

/// How a number came out of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Read from a table.
    Exact,
    /// Measured on a figure, to about ± 0.01 points.
    Digitised,
}

/// The student's error with one teacher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    pub student: &'static str,
    pub teacher: &'static str,
    /// Epochs of the teacher's whole training, its schedule compressed to them.
    pub teacher_epochs: u32,
    /// Mean test error of the student, in percent.
    pub error: f64,
    /// Sample standard deviation over five runs, in points, where the paper has it.
    pub deviation: Option<f64>,
    pub reading: Reading,
}

/// From labels alone: mean error in percent and sample standard deviation over five runs (exact).
pub const SCRATCH_WRN_16_1: (f64, f64) = (8.751, 0.129);

const STUDENT: &str = "wrn-16-1";

const fn exact(teacher: &'static str, error: f64, deviation: f64) -> Published {
    Published {
        student: STUDENT,
        teacher,
        teacher_epochs: 200,
        error,
        deviation: Some(deviation),
        reading: Reading::Exact,
    }
}

const fn digitised(teacher: &'static str, teacher_epochs: u32, error: f64) -> Published {
    Published { student: STUDENT, teacher, teacher_epochs, error, deviation: None, reading: Reading::Digitised }
}

/// Deeper teachers of full training (table), then wider teachers stopped early on compressed schedules (figure).
pub const WRN_16_1: [Published; 28] = [
    exact("wrn-40-1", 8.324, 0.111),
    exact("wrn-52-1", 8.481, 0.198),
    exact("wrn-64-1", 8.573, 0.158),
    exact("wrn-76-1", 8.666, 0.121),
    exact("wrn-88-1", 8.811, 0.153),
    exact("wrn-100-1", 8.484, 0.182),
    exact("wrn-154-1", 8.546, 0.181),
    exact("wrn-250-1", 8.787, 0.173),
    digitised("wrn-16-3", 35, 8.17),
    digitised("wrn-16-3", 50, 7.81),
    digitised("wrn-16-3", 65, 7.42),
    digitised("wrn-16-3", 80, 7.50),
    digitised("wrn-16-3", 200, 7.62),
    digitised("wrn-16-4", 35, 7.75),
    digitised("wrn-16-4", 50, 7.64),
    digitised("wrn-16-4", 65, 7.58),
    digitised("wrn-16-4", 80, 7.65),
    digitised("wrn-16-4", 200, 7.69),
    digitised("wrn-16-6", 35, 7.82),
    digitised("wrn-16-6", 50, 7.77),
    digitised("wrn-16-6", 65, 7.54),
    digitised("wrn-16-6", 80, 7.66),
    digitised("wrn-16-6", 200, 7.89),
    digitised("wrn-16-8", 35, 7.67),
    digitised("wrn-16-8", 50, 7.57),
    digitised("wrn-16-8", 65, 7.50),
    digitised("wrn-16-8", 80, 7.67),
    digitised("wrn-16-8", 200, 7.98),
];

/// Epochs of the paper's students, and of its teachers on the full schedule.
pub const EPOCHS: u32 = 200;
/// Runs behind each of the paper's means.
pub const RUNS: usize = 5;
/// The paper's treatment, from the first epoch to the last.
const TEMPERATURE: f64 = 4.0;
const KD_WEIGHT: f64 = 0.9;

/// What the paper found where it trained as an arm does. Accuracy in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    pub accuracy: f64,
    /// 95 % interval of the mean over the paper's runs, by t, where it gives their deviation.
    pub interval: Option<(f64, f64)>,
    pub reading: Reading,
}

/// What the paper has for each arm: same data set, student and teacher, the teacher's epochs among them, distilled to the end
/// with the paper's temperature and weight. The student's own epochs may be others, so that a shorter study can be laid
/// beside it, unless they are what the study compares.
pub fn beside(dataset: Dataset, arms: &[Arm]) -> Vec<Option<Found>> {
    let one_length = arms.windows(2).all(|pair| pair[0].epochs == pair[1].epochs);
    let comparable = |arm: &Arm| dataset == Dataset::Cifar10 && (one_length || arm.epochs.0 == EPOCHS);
    arms.iter().map(|arm| if comparable(arm) { found(arm) } else { None }).collect()
}

fn found(arm: &Arm) -> Option<Found> {
    let (error, deviation, reading) = match &arm.distillation {
        None if arm.student.to_string() == STUDENT => (SCRATCH_WRN_16_1.0, Some(SCRATCH_WRN_16_1.1), Reading::Exact),
        None => return None,
        Some(it) => {
            let to_the_end = it.kd_stop_epoch == arm.epochs && it.teacher_stop_epoch == it.teacher_epochs;
            let kd = Scheme::Kd { temperature: TEMPERATURE, kd_weight: KD_WEIGHT };
            let as_published = it.scheme == kd && it.line == Line::default();
            let teacher = it.teacher.to_string();
            let point = published(arm.student)
                .find(|point| point.teacher == teacher && point.teacher_epochs == it.teacher_epochs.0)
                .filter(|_| to_the_end && as_published)?;
            (point.error, point.deviation, point.reading)
        }
    };
    let accuracy = 100.0 - error;
    let half = |deviation: f64| statistics::critical_value_of_mean(RUNS) * deviation / (RUNS as f64).sqrt();
    let interval = deviation.map(half).map(|half| (accuracy - half, accuracy + half));
    Some(Found { accuracy, interval, reading })
}

/// What the paper found for a student on CIFAR-10; empty where it has nothing to say.
pub fn published(student: Architecture) -> impl Iterator<Item = &'static Published> {
    let student = student.to_string();
    WRN_16_1.iter().filter(move |published| published.student == student)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_trained_as_the_paper_did_have_its_numbers_beside_them_and_no_others_do() {
        let beside = |dataset: Dataset, student: &str, treatment: &str| {
            let text = format!(
                "title = \"t\"\ndataset = \"cifar-10\"\nstudent = {student}\n\
                 teacher = {{ architecture = \"wrn-16-4\", epochs = [35, 200] }}\ntreatment = {treatment}"
            );
            let arms = crate::arms::arms(&crate::Study::from_toml(&text).unwrap());
            super::beside(dataset, &arms)
        };
        let accuracies = |found: Vec<Option<Found>>| -> Vec<Option<f64>> {
            found.iter().map(|found| found.map(|found| (found.accuracy * 1000.0).round() / 1000.0)).collect()
        };
        let student = "{ architecture = \"wrn-16-1\", epochs = 60 }";
        let found = beside(Dataset::Cifar10, student, "{ kd_stop_epoch = [0, 60] }");
        assert_eq!(found[1].unwrap().interval, None);
        // SciPy: stats.t.interval(0.95, 4, 91.249, 0.129 / 5**0.5)
        let (low, high) = found[0].unwrap().interval.unwrap();
        assert!((low - 91.08883).abs() < 1e-4 && (high - 91.40917).abs() < 1e-4, "{low} {high}");
        assert_eq!(accuracies(found), [Some(91.249), Some(92.25), Some(92.31)]);

        let none = |found: Vec<Option<Found>>| found.iter().all(Option::is_none);
        assert!(none(beside(Dataset::FashionMnist12k, student, "{ kd_stop_epoch = [0, 60] }")));
        assert!(none(beside(Dataset::Cifar10, student, "{ kd_stop_epoch = 30 }")), "stopped early");
        assert!(none(beside(Dataset::Cifar10, student, "{ temperature = 16.0 }")));
        assert!(none(beside(Dataset::Cifar10, student, "{ teacher_stop_epoch = 20 }")));
        let other = "{ architecture = \"wrn-10-1\", epochs = 200 }";
        assert!(none(beside(Dataset::Cifar10, other, "{ kd_stop_epoch = [0, 200] }")));
        let lengths = "{ architecture = \"wrn-16-1\", epochs = [100, 200] }";
        let found = accuracies(beside(Dataset::Cifar10, lengths, "{}"));
        assert_eq!(found, [None, None, Some(92.25), Some(92.31)], "the paper's own length where lengths are compared");
    }

    #[test]
    fn every_published_network_is_one_that_can_be_trained_here() {
        for published in &WRN_16_1 {
            assert_eq!(
                published.teacher.parse::<Architecture>().map(|it| it.to_string()),
                Ok(published.teacher.into())
            );
            assert_eq!(published.deviation.is_some(), published.reading == Reading::Exact);
        }
        assert_eq!(published("wrn-16-1".parse().unwrap()).count(), 28);
        assert_eq!(published("wrn-10-1".parse().unwrap()).count(), 0);
    }
}
