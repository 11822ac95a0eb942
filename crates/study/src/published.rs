//! The paper's own numbers (Cho & Hariharan, "On the Efficacy of Knowledge Distillation", ICCV 2019), to be drawn beside ours
//! and never mixed into our averages. CIFAR-10, students of 200 epochs; test errors in percent.

use crate::{Architecture, Arm, Dataset, Line, Scheme, statistics};

/// How a number came out of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Read from a table.
    Exact,
    /// Measured on a figure, to about ± 0.01 points.
    Digitised,
}

/// The error of a student with one teacher, or of one that learns from labels alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// `None`: from labels alone.
    pub teacher: Option<&'static str>,
    /// Epochs of the teacher's whole training, its schedule compressed to them.
    pub teacher_epochs: u32,
    /// Mean test error of the student, in percent.
    pub error: f64,
    /// Sample standard deviation over five runs, in points, where the paper has it.
    pub deviation: Option<f64>,
    pub reading: Reading,
}

const fn exact(teacher: Option<&'static str>, error: f64, deviation: f64) -> Published {
    Published { teacher, teacher_epochs: EPOCHS, error, deviation: Some(deviation), reading: Reading::Exact }
}

const fn digitised(teacher: &'static str, teacher_epochs: u32, error: f64, deviation: Option<f64>) -> Published {
    Published { teacher: Some(teacher), teacher_epochs, error, deviation, reading: Reading::Digitised }
}

/// Of a teacher trained in full, with the error bar of its figure.
const fn barred(teacher: &'static str, error: f64, deviation: f64) -> Published {
    digitised(teacher, EPOCHS, error, Some(deviation))
}

/// Of a teacher trained in full, by a figure without error bars.
const fn full(teacher: &'static str, error: f64) -> Published {
    digitised(teacher, EPOCHS, error, None)
}

/// Of a teacher trained for fewer epochs, by a figure without error bars.
const fn short(teacher: &'static str, teacher_epochs: u32, error: f64) -> Published {
    digitised(teacher, teacher_epochs, error, None)
}

/// The student WRN16-1: deeper and denser teachers (table), wider ones, and these of shorter trainings (figures). The paper's DenseNets are
/// those with bottlenecks and compression: the numbers of parameters in its table are theirs.
const WRN_16_1: [Published; 35] = [
    exact(None, 8.751, 0.129),
    exact(Some("wrn-40-1"), 8.324, 0.111),
    exact(Some("wrn-52-1"), 8.481, 0.198),
    exact(Some("wrn-64-1"), 8.573, 0.158),
    exact(Some("wrn-76-1"), 8.666, 0.121),
    exact(Some("wrn-88-1"), 8.811, 0.153),
    exact(Some("wrn-100-1"), 8.484, 0.182),
    exact(Some("wrn-154-1"), 8.546, 0.181),
    exact(Some("wrn-250-1"), 8.787, 0.173),
    exact(Some("densenet-bc-40-24"), 8.35, 0.195),
    exact(Some("densenet-bc-100-12"), 8.297, 0.069),
    exact(Some("densenet-bc-40-48"), 8.37, 0.212),
    exact(Some("densenet-bc-100-24"), 8.763, 0.178),
    full("wrn-16-1", 8.19),
    full("wrn-16-2", 7.62),
    barred("wrn-16-3", 7.68, 0.26),
    barred("wrn-16-4", 7.73, 0.18),
    barred("wrn-16-6", 7.92, 0.06),
    barred("wrn-16-8", 8.03, 0.13),
    short("wrn-16-3", 35, 8.17),
    short("wrn-16-3", 50, 7.81),
    short("wrn-16-3", 65, 7.42),
    short("wrn-16-3", 80, 7.50),
    short("wrn-16-4", 35, 7.75),
    short("wrn-16-4", 50, 7.64),
    short("wrn-16-4", 65, 7.58),
    short("wrn-16-4", 80, 7.65),
    short("wrn-16-6", 35, 7.82),
    short("wrn-16-6", 50, 7.77),
    short("wrn-16-6", 65, 7.54),
    short("wrn-16-6", 80, 7.66),
    short("wrn-16-8", 35, 7.67),
    short("wrn-16-8", 50, 7.57),
    short("wrn-16-8", 65, 7.50),
    short("wrn-16-8", 80, 7.67),
];

/// The student WRN28-1, and wider teachers: of full and of shorter trainings (figures).
const WRN_28_1: [Published; 22] = [
    full("wrn-28-1", 7.10),
    full("wrn-28-2", 6.98),
    full("wrn-28-3", 6.95),
    full("wrn-28-4", 7.12),
    full("wrn-28-6", 7.07),
    full("wrn-28-8", 7.23),
    short("wrn-28-3", 35, 6.80),
    short("wrn-28-3", 50, 6.62),
    short("wrn-28-3", 65, 6.62),
    short("wrn-28-3", 80, 6.73),
    short("wrn-28-4", 35, 6.70),
    short("wrn-28-4", 50, 6.60),
    short("wrn-28-4", 65, 6.76),
    short("wrn-28-4", 80, 6.81),
    short("wrn-28-6", 35, 6.80),
    short("wrn-28-6", 50, 6.70),
    short("wrn-28-6", 65, 6.91),
    short("wrn-28-6", 80, 6.86),
    short("wrn-28-8", 35, 6.86),
    short("wrn-28-8", 50, 6.69),
    short("wrn-28-8", 65, 6.78),
    short("wrn-28-8", 80, 6.81),
];

/// The student DenseNet40-12: deeper and wider teachers (figures).
const DENSENET_BC_40_12: [Published; 16] = [
    full("wrn-40-1", 7.39),
    full("wrn-52-1", 7.64),
    full("wrn-64-1", 7.60),
    full("wrn-76-1", 7.41),
    full("wrn-88-1", 7.65),
    barred("wrn-100-1", 7.69, 0.12),
    barred("wrn-154-1", 7.78, 0.29),
    barred("wrn-250-1", 7.71, 0.15),
    barred("wrn-16-3", 6.96, 0.15),
    barred("wrn-16-4", 7.01, 0.13),
    barred("wrn-16-6", 7.04, 0.23),
    barred("wrn-16-8", 7.30, 0.28),
    barred("wrn-28-3", 7.49, 0.30),
    barred("wrn-28-4", 7.52, 0.21),
    barred("wrn-28-6", 7.75, 0.26),
    barred("wrn-28-8", 7.79, 0.16),
];

/// The paper's students on CIFAR-10.
const STUDENTS: [(&str, &[Published]); 3] =
    [("wrn-16-1", &WRN_16_1), ("wrn-28-1", &WRN_28_1), ("densenet-bc-40-12", &DENSENET_BC_40_12)];

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
    let point = match &arm.distillation {
        None => published(arm.student).find(|point| point.teacher.is_none())?,
        Some(it) => {
            let to_the_end = it.kd_stop_epoch == arm.epochs && it.teacher_stop_epoch == it.teacher_epochs;
            let kd = Scheme::Kd { temperature: TEMPERATURE, kd_weight: KD_WEIGHT };
            let as_published = it.scheme == kd && it.line == Line::default();
            let teacher = it.teacher.to_string();
            let is_it =
                |point: &&Published| point.teacher == Some(&teacher) && point.teacher_epochs == it.teacher_epochs.0;
            published(arm.student).find(is_it).filter(|_| to_the_end && as_published)?
        }
    };
    let accuracy = 100.0 - point.error;
    let half = |deviation: f64| statistics::critical_value_of_mean(RUNS) * deviation / (RUNS as f64).sqrt();
    let interval = point.deviation.map(half).map(|half| (accuracy - half, accuracy + half));
    Some(Found { accuracy, interval, reading: point.reading })
}

/// What the paper found for a student on CIFAR-10; empty where it has nothing to say.
pub fn published(student: Architecture) -> impl Iterator<Item = &'static Published> {
    let student = student.to_string();
    STUDENTS.iter().filter(move |(name, _)| *name == student).flat_map(|(_, points)| *points)
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
        // SciPy: stats.t.interval(0.95, 4, 92.27, 0.18 / 5**0.5)
        let (low, high) = found[2].unwrap().interval.unwrap();
        assert!((low - 92.04650).abs() < 1e-4 && (high - 92.49350).abs() < 1e-4, "{low} {high}");
        // SciPy: stats.t.interval(0.95, 4, 91.249, 0.129 / 5**0.5)
        let (low, high) = found[0].unwrap().interval.unwrap();
        assert!((low - 91.08883).abs() < 1e-4 && (high - 91.40917).abs() < 1e-4, "{low} {high}");
        assert_eq!(accuracies(found), [Some(91.249), Some(92.25), Some(92.27)]);

        let none = |found: Vec<Option<Found>>| found.iter().all(Option::is_none);
        assert!(none(beside(Dataset::FashionMnist12k, student, "{ kd_stop_epoch = [0, 60] }")));
        assert!(none(beside(Dataset::Cifar10, student, "{ kd_stop_epoch = 30 }")), "stopped early");
        assert!(none(beside(Dataset::Cifar10, student, "{ temperature = 16.0 }")));
        assert!(none(beside(Dataset::Cifar10, student, "{ teacher_stop_epoch = 20 }")));
        let other = "{ architecture = \"wrn-10-1\", epochs = 200 }";
        assert!(none(beside(Dataset::Cifar10, other, "{ kd_stop_epoch = [0, 200] }")));
        let lengths = "{ architecture = \"wrn-16-1\", epochs = [100, 200] }";
        let found = accuracies(beside(Dataset::Cifar10, lengths, "{}"));
        assert_eq!(found, [None, None, Some(92.25), Some(92.27)], "the paper's own length where lengths are compared");
    }

    #[test]
    fn every_published_network_is_one_that_can_be_trained_here() {
        let mut pairs = std::collections::BTreeSet::new();
        for (student, points) in STUDENTS {
            for point in points {
                for name in [Some(student), point.teacher].into_iter().flatten() {
                    assert_eq!(name.parse::<Architecture>().map(|it| it.to_string()), Ok(name.into()));
                }
                assert!(
                    pairs.insert((student, point.teacher, point.teacher_epochs)),
                    "{student}, {:?} twice",
                    point.teacher
                );
                assert!(point.reading == Reading::Digitised || point.deviation.is_some());
            }
        }
        assert_eq!(pairs.len(), 73);
        assert_eq!(published("wrn-10-1".parse().unwrap()).count(), 0);
    }
}
