//! The paper's own numbers (Cho & Hariharan, "On the Efficacy of Knowledge Distillation", ICCV 2019), to be drawn beside ours
//! and never mixed into our averages. CIFAR-10, student WRN16-1, 200 epochs; test errors in percent.

use crate::Architecture;

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

/// What the paper found for a student on CIFAR-10; empty where it has nothing to say.
pub fn published(student: Architecture) -> impl Iterator<Item = &'static Published> {
    let student = student.to_string();
    WRN_16_1.iter().filter(move |published| published.student == student)
}

#[cfg(test)]
mod tests {
    use super::*;

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
