//! Everything that was measured, per run and epoch, to be taken along.

use serde_json::{Value, json};
use std::fmt::Write;
use study::{Arm, EpochMetrics, Facts, Fidelity, Plan, Run, Scores, metrics::run_metrics};

const COLUMNS: &str = "run,arm,label,student,teacher,seed,epoch,learning_rate,train_cross_entropy,train_accuracy,\
train_clean_cross_entropy,train_clean_accuracy,validation_cross_entropy,validation_accuracy,test_cross_entropy,test_accuracy,\
temperature,kd_loss_train,kd_loss_validation,agreement_train,agreement_validation,seconds,images_per_second";

/// One line a run and epoch, as measured: accuracies and agreement from 0 to 1, cross-entropy in nats, losses without their
/// weights. Fidelity is that to the run's own teacher; for labels alone, to the study's first. An empty cell was not measured.
pub fn csv(plan: &Plan, facts: &Facts) -> String {
    let mut text = format!("{COLUMNS}\n");
    for run in &plan.runs {
        let Some(arm) = plan.arms.get(run.arm) else { continue };
        for metrics in run_metrics(run, facts) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", line(run, arm, metrics).join(","));
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

fn line(run: &Run, arm: &Arm, metrics: &EpochMetrics) -> [String; 23] {
    let cross_entropy = |scores: Option<Scores>| number(scores.map(|scores| scores.cross_entropy));
    let accuracy = |scores: Option<Scores>| number(scores.map(|scores| scores.accuracy));
    let fidelity = metrics.fidelity.first();
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
