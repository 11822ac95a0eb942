//! All that a study's page shows, put together from facts.

use crate::{
    Arm, Comparison, Conflict, Confusion, DatasetFacts, Ensembles, Facts, Incident, Machine, Metric, Plan, Progress,
    Provenance, SearchReport, Series, State, Study, TeacherSummary, answer, comparison, conflict::conflicts,
    curves::series, incidents::incidents, progress::WaitsFor, search::Asked, teachers,
};
use serde::{Deserialize, Serialize};

/// Everything the page of a study shows, of a study that runs as of one that is done; frozen, it is a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub study: Study,
    pub arms: Vec<Arm>,
    /// "15 runs, 16 segments, 272 epochs instead of 320" comes from these.
    pub runs: u64,
    pub segments: u64,
    pub epochs: u64,
    pub epochs_without_sharing: u64,
    pub progress: Progress,
    pub comparison: Comparison,
    pub curves: Vec<(Metric, Vec<Series>)>,
    pub provenance: Vec<Provenance>,
    pub test_images: u32,
    /// What went wrong or was put right, and which runs it touches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// What became of the teachers; empty too in what was frozen before this was kept, as are the next three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<TeacherSummary>,
    /// The images, split as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<DatasetFacts>,
    /// When a person started it, in seconds since 1970-01-01 UTC; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// What its epochs took so far, summed over workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_seconds: Option<f64>,
    /// Where the gradients of the two losses conflict, arm by arm; empty where that was not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// What is taken for what on the test images, where classes are few enough to be shown ([`Confusion::CLASSES_MAX`]) and a run is
    /// at its end. It is counted from kept logits, by whoever has their files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// How the arms were searched; `None` where all of them were trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchReport>,
    /// What networks come to that vote together, where a study has generations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensembles: Option<Ensembles>,
}

impl Report {
    /// Of a study before which others stand: no time is promised, and where nobody works on it the answer says what it waits for.
    pub fn waiting_for(mut self, what: &WaitsFor) -> Report {
        if self.progress.state == State::Waiting {
            self.comparison.answer = answer::waiting(what, &self.progress.runs);
        }
        Report { progress: self.progress.behind_others(), ..self }
    }
}

/// Puts a study's page together from facts. Of a search it shows every run that was ever asked for. `stopped`: a person asked for it to
/// stop.
pub fn report(study: &Study, asked: &Asked<'_>, facts: &Facts, stopped: bool, machine: &Machine) -> Report {
    let plan: &Plan = &asked.so_far;
    let curves = Metric::ALL.into_iter().map(|metric| (metric, series(plan, facts, metric)));
    let curves = curves.filter(|(_, series)| series.iter().any(|series| !series.points.is_empty())).collect();
    Report { curves, conflicts: conflicts(plan, facts), ..without_curves(study, asked, facts, stopped, machine) }
}

/// As [`report`], without its curves: for a list of studies.
pub fn without_curves(study: &Study, asked: &Asked<'_>, facts: &Facts, stopped: bool, machine: &Machine) -> Report {
    let plan: &Plan = &asked.so_far;
    let progress = asked.progress(facts, stopped, machine);
    let mut provenance: Vec<Provenance> = Vec::new();
    for its in plan.segments.iter().filter_map(|segment| facts.get(&segment.key)?.provenance.as_ref()) {
        if !provenance.contains(its) {
            provenance.push(its.clone());
        }
    }
    Report {
        study: study.clone(),
        arms: plan.arms.clone(),
        runs: plan.runs.len() as u64,
        segments: plan.segments.len() as u64,
        epochs: plan.epochs,
        epochs_without_sharing: plan.epochs_without_sharing,
        comparison: comparison::compared(study, plan, facts, &progress.runs, progress.state),
        progress,
        curves: Vec::new(),
        provenance,
        test_images: plan.segments.first().map_or(0, |segment| segment.dataset.test),
        incidents: incidents(plan, facts),
        teachers: teachers::summaries(plan, facts),
        images: plan.segments.first().map(|segment| segment.dataset.clone()),
        started_at: None,
        training_seconds: training_seconds(plan, facts),
        conflicts: Vec::new(),
        confusion: None,
        ensembles: None,
        search: asked.report.clone(),
    }
}

/// `None` before the first epoch.
fn training_seconds(plan: &Plan, facts: &Facts) -> Option<f64> {
    let trained = plan.segments.iter().filter_map(|segment| Some((segment, facts.get(&segment.key)?)));
    let seconds: f64 = trained
        .flat_map(|(segment, facts)| facts.metrics.iter().filter(|metrics| metrics.epoch <= segment.until))
        .map(|metrics| metrics.seconds)
        .sum();
    (seconds > 0.0).then_some(seconds)
}
