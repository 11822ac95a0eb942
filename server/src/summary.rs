//! What a study comes to and what it found, for a terminal and for a program.

use serde_json::{Value, json};
use std::fmt::Write;
use study::{Arm, ArmSummary, Comparison, Plan, Run, Verdict};

/// The object of `stillroom plan --json`: counts and arms, no results.
pub fn plan_object(plan: &Plan) -> Value {
    let arms: Vec<Value> = plan.arms.iter().enumerate().map(|(index, arm)| arm_object(plan, index, arm)).collect();
    json!({ "plan": counts_object(plan), "arms": arms })
}

/// The object of `stillroom run --json`. Accuracies in percent, differences in points.
pub fn result_object(plan: &Plan, comparison: &Comparison, seconds: f64) -> Value {
    let arms: Vec<Value> = plan
        .arms
        .iter()
        .enumerate()
        .map(|(index, arm)| {
            let mut object = arm_object(plan, index, arm);
            let summary = comparison.arms.iter().find(|summary| summary.arm == index);
            object["test_accuracy"] = summary.map_or(Value::Null, accuracy_object);
            object["difference"] = summary.map_or(Value::Null, |summary| difference_object(plan, summary));
            object
        })
        .collect();
    json!({ "plan": counts_object(plan), "arms": arms, "seconds": seconds })
}

fn counts_object(plan: &Plan) -> Value {
    json!({
        "runs": plan.runs.len(),
        "segments": plan.segments.len(),
        "epochs": plan.epochs,
        "epochs_without_sharing": plan.epochs_without_sharing,
    })
}

fn arm_object(plan: &Plan, index: usize, arm: &Arm) -> Value {
    let runs: Vec<&Run> = plan.runs.iter().filter(|run| run.arm == index).collect();
    json!({
        "label": arm.label,
        "student": arm.student,
        "teacher": arm.distillation.as_ref().map(|distillation| distillation.teacher),
        "treatment": treatment_object(arm),
        "runs": runs.iter().map(|run| &run.id).collect::<Vec<_>>(),
        "seeds": runs.iter().map(|run| run.seed).collect::<Vec<_>>(),
    })
}

/// The canonical `[treatment]`: the fields that count, each with one value.
fn treatment_object(arm: &Arm) -> Value {
    let Some(distillation) = &arm.distillation else { return json!({ "kd_stop_epoch": 0 }) };
    let mut treatment = json!({
        "method": distillation.method,
        "temperature": distillation.temperature,
        "kd_weight": distillation.kd_weight,
        "kd_stop_epoch": distillation.kd_stop_epoch,
        "teacher_stop_epoch": distillation.teacher_stop_epoch,
    });
    if let Some(weight) = distillation.cross_entropy_weight_after_stop {
        treatment["cross_entropy_weight_after_stop"] = json!(weight);
    }
    treatment
}

fn accuracy_object(summary: &ArmSummary) -> Value {
    json!({
        "mean": summary.mean,
        "low": summary.interval.map(|(low, _)| low),
        "high": summary.interval.map(|(_, high)| high),
        "by_seed": summary.by_seed,
    })
}

fn difference_object(plan: &Plan, summary: &ArmSummary) -> Value {
    let Some(difference) = &summary.difference else { return Value::Null };
    json!({
        "baseline": plan.arms.get(difference.baseline).map(|arm| &arm.label),
        "mean": difference.mean,
        "low": difference.interval.map(|(low, _)| low),
        "high": difference.interval.map(|(_, high)| high),
        "p_value": difference.p_value,
        "verdict": difference.verdict,
    })
}

/// "15 runs, 16 segments, 272 epochs instead of 320".
pub fn counts(plan: &Plan) -> String {
    let many = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!(
        "{}, {}, {}, {} epochs instead of {}",
        many(plan.arms.len(), "arm"),
        many(plan.runs.len(), "run"),
        many(plan.segments.len(), "segment"),
        plan.epochs,
        plan.epochs_without_sharing
    )
}

/// A table of the arms, for a terminal.
pub fn plan_table(plan: &Plan) -> String {
    let heads = ["arm", "student", "teacher", "seeds"];
    let rows = plan.arms.iter().enumerate().map(|(index, arm)| {
        let teacher = arm.distillation.as_ref().map_or("-".to_owned(), |distillation| distillation.teacher.to_string());
        let seeds = plan.runs.iter().filter(|run| run.arm == index).count();
        [arm.label.clone(), arm.student.to_string(), teacher, seeds.to_string()]
    });
    table(heads, rows.collect())
}

/// A table of what was found, for a terminal, with the answer above and how it was computed below.
pub fn result_table(comparison: &Comparison) -> String {
    let heads = ["arm", "seeds", "test accuracy %", "difference, points", "p", "verdict"];
    let rows = comparison.arms.iter().map(|summary| {
        let half = |interval: Option<(f64, f64)>| {
            interval.map_or(String::new(), |(low, high)| format!(" ± {:.2}", (high - low) / 2.0))
        };
        let accuracy = summary.mean.map_or("-".into(), |mean| format!("{mean:.2}{}", half(summary.interval)));
        let difference = summary.difference.as_ref();
        [
            summary.label.clone(),
            summary.n.to_string(),
            accuracy,
            difference.map_or("-".into(), |difference| format!("{:+.2}{}", difference.mean, half(difference.interval))),
            difference.and_then(|difference| difference.p_value).map_or("-".into(), |p| format!("{p:.3}")),
            difference.map_or("-", |difference| verdict(difference.verdict)).to_owned(),
        ]
    });
    let mut text = format!("{}\n\n{}", comparison.answer, table(heads, rows.collect()));
    for line in std::iter::once(&comparison.model).chain(&comparison.remarks).filter(|line| !line.is_empty()) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{line}");
    }
    text
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NotDistinguishable => "not distinguishable",
        Verdict::TooFewSeeds => "too few seeds",
    }
}

/// Columns as wide as their widest cell, two spaces apart; the first to the left, the others to the right.
fn table<const N: usize>(heads: [&str; N], rows: Vec<[String; N]>) -> String {
    let heads = heads.map(str::to_owned);
    let width = |column: usize| std::iter::once(&heads).chain(&rows).map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rule = widths.map(|width| "─".repeat(width)).join("  ");
    let body = rows.iter().map(line).collect::<Vec<_>>().join("\n");
    format!("{}\n{rule}\n{body}\n", line(&heads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_stands_in_them() {
        let rows = vec![["labels only".into(), "71.20 ± 0.31".into()], ["KD".into(), "-".into()]];
        let expected = "arm          test accuracy %\n───────────  ───────────────\nlabels only     71.20 ± 0.31\nKD                         -\n";
        assert_eq!(table(["arm", "test accuracy %"], rows), expected);
    }
}
