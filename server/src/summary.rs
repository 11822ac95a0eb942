//! What a study comes to and what it found, for a terminal and for a program.

use serde::Serialize;
use std::fmt::Write;
use study::{
    Architecture, Arm, ArmSummary, Comparison, Distillation, Epoch, Facts, Happened, Line, Outlook, Plan, RunId,
    Scheme, Seed, TeacherNetwork, TeacherTraining, Verdict, numbers,
    teacher_logits::{Passes, TeacherLogits, in_words, passes},
};

/// The object of `stillroom run --json` and, without results, of `stillroom plan --json`. Keys stand in the order of the fields.
#[derive(Serialize)]
pub struct Object<'a> {
    plan: Counts,
    arms: Vec<ArmObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

#[derive(Serialize)]
struct Counts {
    runs: usize,
    segments: usize,
    epochs: u64,
    epochs_without_sharing: u64,
    /// Of a study that is searched: those of the whole grid, where the others are of what it comes to at most, or has asked for so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    grid_epochs: Option<u64>,
    /// Wall time of the whole plan, or of a search at most, estimated before it begins; `None` where that is not known, as for a GPU.
    seconds_estimated: Option<f64>,
    /// Which networks are slow on this machine, and what they cost, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<String>,
    /// `None` where nobody teaches.
    teacher_logits: Option<TeachersObject>,
}

/// What keeping teachers' logits comes to: forward passes of one image each.
#[derive(Serialize)]
struct TeachersObject {
    forward_passes: u64,
    forward_passes_without: u64,
    /// Of all tables that are used, once they are full.
    bytes: u64,
    in_words: Option<String>,
}

#[derive(Serialize)]
struct ArmObject<'a> {
    label: &'a str,
    student: Architecture,
    teacher: Option<TeacherNetwork>,
    treatment: TreatmentObject<'a>,
    /// By seed.
    runs: Vec<&'a RunId>,
    seeds: Vec<Seed>,
    #[serde(flatten)]
    found: Option<Found<'a>>,
}

/// The canonical `[treatment]`: the fields that count, each with one value.
#[derive(Default, Serialize)]
struct TreatmentObject<'a> {
    #[serde(flatten)]
    scheme: Option<&'a Scheme>,
    kd_stop_epoch: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    teacher_stop_epoch: Option<Epoch>,
    #[serde(flatten)]
    line: Option<&'a Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cross_entropy_weight_after_stop: Option<f64>,
}

#[derive(Serialize)]
struct Found<'a> {
    test_accuracy: Accuracy<'a>,
    difference: Option<DifferenceObject<'a>>,
}

/// In percent.
#[derive(Serialize)]
struct Accuracy<'a> {
    mean: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    by_seed: &'a [Option<f64>],
}

/// In points.
#[derive(Serialize)]
struct DifferenceObject<'a> {
    baseline: Option<&'a str>,
    mean: f64,
    low: Option<f64>,
    high: Option<f64>,
    p_value: Option<f64>,
    verdict: Verdict,
}

/// Counts and arms. `so_far`: all that was asked for, once it began; before, the counts of a search are of what it comes to at most, and
/// its arms have the runs of the `whole` plan. `found`: what was found, and in how many seconds.
pub fn object<'a>(
    whole: &'a Plan,
    so_far: Option<&'a Plan>,
    outlook: &Outlook,
    found: Option<(&'a Comparison, f64)>,
) -> Object<'a> {
    let shown = so_far.unwrap_or(whole);
    let counted = so_far.or(outlook.at_most.as_ref()).unwrap_or(whole);
    let summary = |index| found?.0.arms.iter().find(|summary| summary.arm == index);
    let arms = shown.arms.iter().enumerate().map(|(index, arm)| arm_object(shown, index, arm, summary(index)));
    let plan = Counts {
        runs: counted.runs.len(),
        segments: counted.segments.len(),
        epochs: counted.epochs,
        epochs_without_sharing: counted.epochs_without_sharing,
        grid_epochs: outlook.at_most.as_ref().map(|_| whole.epochs),
        seconds_estimated: outlook.estimate.map(|estimate| estimate.seconds),
        slow: outlook.slow.clone(),
        teacher_logits: teachers_object(&outlook.teacher_logits),
    };
    Object { plan, arms: arms.collect(), seconds: found.map(|(_, seconds)| seconds) }
}

/// For a terminal and for a program.
pub fn in_json(object: &Object<'_>) -> String {
    serde_json::to_string_pretty(object).expect("an object of texts and numbers is JSON")
}

fn teachers_object(teachers: &[TeacherLogits]) -> Option<TeachersObject> {
    passes(teachers).map(|Passes { expected, without, bytes }| TeachersObject {
        forward_passes: expected,
        forward_passes_without: without,
        bytes,
        in_words: in_words(teachers),
    })
}

fn arm_object<'a>(plan: &'a Plan, index: usize, arm: &'a Arm, summary: Option<&'a ArmSummary>) -> ArmObject<'a> {
    let runs = || plan.runs.iter().filter(move |run| run.arm == index);
    ArmObject {
        label: &arm.label,
        student: arm.student,
        teacher: arm.distillation.as_ref().map(|distillation| distillation.teacher),
        treatment: treatment_object(arm),
        runs: runs().map(|run| &run.id).collect(),
        seeds: runs().map(|run| run.seed).collect(),
        found: summary.map(|summary| found(plan, summary)),
    }
}

fn treatment_object(arm: &Arm) -> TreatmentObject<'_> {
    let Some(distillation) = &arm.distillation else { return TreatmentObject::default() };
    TreatmentObject {
        scheme: Some(&distillation.scheme),
        kd_stop_epoch: distillation.kd_stop_epoch,
        teacher_stop_epoch: Some(distillation.teacher_stop_epoch),
        line: Some(&distillation.line),
        cross_entropy_weight_after_stop: distillation.cross_entropy_weight_after_stop,
    }
}

fn found<'a>(plan: &'a Plan, summary: &'a ArmSummary) -> Found<'a> {
    let difference = summary.difference.as_ref().map(|difference| DifferenceObject {
        baseline: plan.arms.get(difference.baseline).map(|arm| arm.label.as_str()),
        mean: difference.mean,
        low: difference.interval.map(|(low, _)| low),
        high: difference.interval.map(|(_, high)| high),
        p_value: difference.p_value,
        verdict: difference.verdict,
    });
    let test_accuracy = Accuracy {
        mean: summary.mean,
        low: summary.interval.map(|(low, _)| low),
        high: summary.interval.map(|(_, high)| high),
        by_seed: &summary.by_seed,
    };
    Found { test_accuracy, difference }
}

/// "5 arms, 15 runs, 16 segments, 272 epochs instead of 320", and on how many images. `plan`: the whole one.
pub fn counts(plan: &Plan, outlook: &Outlook) -> String {
    let arms = numbers::counted(plan.arms.len() as u64, "arm");
    let trained = outlook.counts(plan);
    let images = plan.segments.first().map_or(String::new(), |segment| {
        let images = &segment.dataset;
        let [train, validation, test] =
            [images.train, images.validation, images.test].map(|it| numbers::count(it.into()));
        format!("\n{}: {train} images to train on, {validation} to validate, {test} to test", images.dataset)
    });
    format!("{arms}, {trained}{images}")
}

/// A table of the arms, for a terminal; of a study that is searched with the seeds that each has at most.
pub fn plan_table(plan: &Plan) -> String {
    let heads = ["arm", "student", "teacher", "seeds"];
    let rows = plan.arms.iter().enumerate().map(|(index, arm)| {
        let teacher = arm.distillation.as_ref().map_or("-".to_owned(), Distillation::teacher_label);
        let seeds = plan.runs.iter().filter(|run| run.arm == index).count();
        [arm.label.clone(), arm.student.to_string(), teacher, seeds.to_string()]
    });
    table(heads, rows.collect())
}

/// A table of what was found, for a terminal, with the answer above and how it was computed below.
pub fn result_table(comparison: &Comparison) -> String {
    let heads = ["arm", "seeds", "test accuracy %", "difference, points", "p", "verdict"];
    let rows = comparison.arms.iter().map(|summary| {
        let accuracy = summary.mean.map_or("-".into(), |mean| numbers::with_interval(mean, summary.interval));
        let difference = summary.difference.as_ref();
        [
            summary.label.clone(),
            summary.n.to_string(),
            accuracy,
            difference.map_or("-".into(), |it| numbers::signed_with_interval(it.mean, it.interval)),
            difference.and_then(|difference| difference.p_value).map_or("-".into(), numbers::p_value),
            difference.map_or("-", |difference| verdict(difference.verdict)).to_owned(),
        ]
    });
    format!("{}\n\n{}\n{}", comparison.answer, table(heads, rows.collect()), footnotes(comparison).trim_end())
}

/// By which model intervals were made and what else a reader must know, a line each.
pub fn footnotes(comparison: &Comparison) -> String {
    let has_result = comparison.arms.iter().any(|arm| arm.n > 0);
    let mut text = if has_result { format!("Intervals by the model {}.\n", comparison.model) } else { String::new() };
    for remark in &comparison.remarks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{remark}");
    }
    text
}

/// What each teacher came to by itself, a line each: where it teaches from, and as what its weights are exported.
pub fn teachers(plan: &Plan, facts: &Facts) -> String {
    let line = |teacher: TeacherTraining<'_>| {
        let found = teacher.test_accuracies(facts);
        let said = found.into_iter().map(|(epoch, accuracy)| {
            let after = numbers::counted(epoch.0.into(), "epoch");
            format!("{} after {after} ({})", numbers::percent(accuracy, 2), teacher.checkpoint(epoch))
        });
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| format!("{} on test images: {}.\n", sentence(&teacher.name(facts)), said.join(", ")))
    };
    plan.teachers().into_iter().filter_map(line).collect()
}

/// What keeps runs from their end, a line each with whom it touches.
pub fn failures(plan: &Plan, facts: &Facts) -> Vec<String> {
    let runs = plan.runs.len() as u64;
    let told = study::incidents(plan, facts).into_iter().filter_map(|incident| match &incident.happened {
        Happened::Failed(failure) => {
            let waiting = incident.teacher && !incident.runs.is_empty();
            let touched = || format!(" (needed by {})", incident.touched(&plan.arms, runs));
            let touched = if waiting { touched() } else { String::new() };
            Some(format!("{}{touched}: {}", incident.trained(&plan.arms, runs), failure.reason))
        }
        Happened::Noted(_) => None,
    });
    told.collect()
}

/// With a capital.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
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
