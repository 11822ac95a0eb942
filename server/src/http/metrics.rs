//! Everything that was measured, per run and epoch, to be taken along.

use serde_json::{Value, json};
use std::fmt::Write;
use study::{Arm, EpochMetrics, Facts, Fidelity, Observer, Plan, Run, Scores, metrics::run_metrics};

const COLUMNS: &str = "run,arm,label,student,teacher,seed,epoch,learning_rate,train_cross_entropy,train_accuracy,\
train_clean_cross_entropy,train_clean_accuracy,validation_cross_entropy,validation_accuracy,test_cross_entropy,test_accuracy,\
temperature,kd_loss_train,kd_loss_validation,agreement_train,agreement_validation,seconds,images_per_second";

/// One line a run and epoch, as measured: accuracies and agreement from 0 to 1, cross-entropy in nats, losses without their
/// weights. Fidelity is that to the run's own teacher; for labels alone, to the study's first with the same seed, as in the
/// charts. An empty cell was not measured.
pub fn csv(plan: &Plan, facts: &Facts) -> String {
    let mut text = format!("{COLUMNS}\n");
    for (run, observer) in plan.runs.iter().zip(plan.measured_against()) {
        let Some(arm) = plan.arms.get(run.arm) else { continue };
        for metrics in run_metrics(run, facts) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", line(run, arm, metrics, observer.as_ref()).join(","));
        }
    }
    text
}

/// The same as JSON, with every teacher that a run was measured against.
pub fn object(plan: &Plan, facts: &Facts) -> Value {
    let runs = plan.runs.iter().filter_map(|run| {
        let arm = plan.arms.get(run.arm)?;
        Some(json!({
            "run": run.id,
            "arm": run.arm,
            "label": arm.label,
            "seed": run.seed,
            "epochs": run_metrics(run, facts),
        }))
    });
    json!({ "runs": runs.collect::<Vec<_>>() })
}

fn line(run: &Run, arm: &Arm, metrics: &EpochMetrics, observer: Option<&Observer>) -> [String; 23] {
    let cross_entropy = |scores: Option<Scores>| number(scores.map(|scores| scores.cross_entropy));
    let accuracy = |scores: Option<Scores>| number(scores.map(|scores| scores.accuracy));
    let fidelity = observer.and_then(|observer| metrics.fidelity_to(observer));
    let measured = |read: fn(&Fidelity) -> Option<f64>| number(fidelity.and_then(read));
    [
        run.id.to_string(),
        run.arm.to_string(),
        text_cell(&arm.label),
        arm.student.to_string(),
        arm.distillation.as_ref().map_or(String::new(), |distillation| distillation.teacher.to_string()),
        run.seed.to_string(),
        metrics.epoch.to_string(),
        metrics.learning_rate.to_string(),
        metrics.train.cross_entropy.to_string(),
        metrics.train.accuracy.to_string(),
        cross_entropy(metrics.train_clean),
        accuracy(metrics.train_clean),
        cross_entropy(metrics.validation),
        accuracy(metrics.validation),
        cross_entropy(metrics.test),
        accuracy(metrics.test),
        measured(|fidelity| Some(fidelity.temperature)),
        measured(|fidelity| fidelity.kd_loss_train),
        measured(|fidelity| fidelity.kd_loss_validation),
        measured(|fidelity| fidelity.agreement_train),
        measured(|fidelity| fidelity.agreement_validation),
        metrics.seconds.to_string(),
        metrics.images_per_second.to_string(),
    ]
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Text as a CSV cell. What a spreadsheet would take for a formula gets an apostrophe before it.
fn text_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::{Dataset, DatasetFacts, Numerics, Study};

    #[test]
    fn labels_alone_are_measured_against_the_studys_first_teacher_in_whatever_order_they_were_measured() {
        let text = r#"
            title = "Which temperature?"
            dataset = "mnist"
            seeds = 1
            student = { architecture = "wrn-10-1", epochs = 1 }
            teacher = { architecture = "wrn-10-1", epochs = 2 }
            treatment = { temperature = [16, 4], kd_stop_epoch = [0, 1] }
        "#;
        let dataset = DatasetFacts {
            dataset: Dataset::Mnist,
            checksum: String::new(),
            classes: 10,
            channels: 1,
            image_size: 28,
            train: 55_000,
            validation: 5_000,
            test: 10_000,
        };
        let plan = Plan::new(&Study::from_toml(text).expect("a study"), &dataset, Numerics::CpuF32).expect("a plan");
        let mut facts = Facts::new();
        for segment in &plan.segments {
            let mut observers = segment.measured_against();
            // As they are merged for training: by temperature, rising.
            observers.sort_by(|one, other| one.temperature.total_cmp(&other.temperature));
            let fidelity = observers.into_iter().map(|observer| Fidelity {
                teacher: observer.teacher,
                temperature: observer.temperature,
                kd_loss_train: None,
                kd_loss_validation: Some(observer.temperature / 100.0),
                agreement_train: None,
                agreement_validation: None,
            });
            let scores = Scores { cross_entropy: 1.0, accuracy: 0.5 };
            let metrics = EpochMetrics {
                epoch: segment.until,
                learning_rate: 0.1,
                train: scores,
                train_clean: None,
                validation: None,
                test: None,
                fidelity: fidelity.collect(),
                seconds: 1.0,
                images_per_second: 1.0,
            };
            facts.entry(segment.key.clone()).or_default().metrics.push(metrics);
        }
        let csv = csv(&plan, &facts);
        // Counted from the end: a label may hold commas.
        let cells = csv.lines().map(|line| {
            let cells: Vec<&str> = line.rsplit(',').collect();
            format!("{} {}", cells[6], cells[4])
        });
        let expected = ["temperature kd_loss_validation", "16 0.16", "16 0.16", "4 0.04"];
        assert_eq!(cells.collect::<Vec<_>>(), expected, "{csv}");
    }

    #[test]
    fn text_stays_text_in_a_spreadsheet() {
        for (text, cell) in [
            ("labels only", "labels only"),
            ("KD until 8, teacher stopped at 8", "\"KD until 8, teacher stopped at 8\""),
            ("say \"KD\"", "\"say \"\"KD\"\"\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum(a1)", "'@sum(a1)"),
            ("=a,b", "\"'=a,b\""),
        ] {
            assert_eq!(text_cell(text), cell);
        }
    }
}
