//! The trainings that others learn from, as results of their own.

use crate::{
    Architecture, CheckpointId, Epoch, EpochMetrics, Plan, Point, Provenance, Seed, Segment, SegmentKey, Series,
    metrics::Facts, progress::epochs_done, teacher_logits,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A training that others learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherTraining<'a> {
    /// "wrn-16-2, seed 0"; with the length of its schedule where several differ in that alone.
    pub label: String,
    pub segment: &'a Segment,
    /// The epochs at which it teaches, rising.
    pub teaches_at: BTreeSet<Epoch>,
}

/// A teacher of a study: how far its own training is, and how good it was where it teaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeacherSummary {
    /// As [`TeacherTraining::label`].
    pub label: String,
    pub architecture: Architecture,
    pub seed: Seed,
    pub epochs_done: Epoch,
    /// The furthest epoch asked for.
    pub epochs_total: Epoch,
    /// A worker trains it now.
    pub training: bool,
    /// The epochs at which it teaches, rising, each with its test accuracy in percent once that was measured.
    pub teaches_at: Vec<(Epoch, Option<f64>)>,
    /// Its accuracy in percent on held-out images, by epoch; `arm` counts the study's teachers.
    pub validation: Series,
}

impl TeacherTraining<'_> {
    /// "teacher wrn-16-2, seed 0", and says so where its numbers are made up.
    pub fn name(&self, facts: &Facts) -> String {
        let provenance = facts.get(&self.segment.key).and_then(|facts| facts.provenance.as_ref());
        let made_up = if provenance.is_some_and(Provenance::is_synthetic) { "synthetic: " } else { "" };
        format!("{made_up}teacher {}", self.label)
    }

    /// Its epochs that the study asks for: another may have had it trained further.
    pub fn epochs<'f>(&self, facts: &'f Facts) -> impl Iterator<Item = &'f EpochMetrics> + use<'f> {
        let until = self.segment.until;
        let metrics = facts.get(&self.segment.key).map_or(&[][..], |facts| &facts.metrics);
        metrics.iter().filter(move |metrics| metrics.epoch <= until)
    }

    /// Its test accuracy in percent at each stop that is trained and tested.
    pub fn test_accuracies(&self, facts: &Facts) -> Vec<(Epoch, f64)> {
        let at_stops = self.epochs(facts).filter(|metrics| self.segment.stops.contains(&metrics.epoch));
        at_stops.filter_map(|metrics| Some((metrics.epoch, 100.0 * metrics.test?.accuracy))).collect()
    }

    /// What it leaves behind at `epoch`.
    pub fn checkpoint(&self, epoch: Epoch) -> CheckpointId {
        CheckpointId { segment: self.segment.key.clone(), epoch }
    }

    fn summary(&self, index: usize, facts: &Facts) -> TeacherSummary {
        let TeacherTraining { label, segment, teaches_at } = self;
        let tested: BTreeMap<Epoch, f64> = self.test_accuracies(facts).into_iter().collect();
        let validated = self.epochs(facts).filter_map(|it| Some((it.epoch, 100.0 * it.validation?.accuracy)));
        let points = validated.map(|(epoch, mean)| Point { epoch, mean, low: mean, high: mean, seeds: 1 });
        TeacherSummary {
            label: label.clone(),
            architecture: segment.architecture,
            seed: segment.seed,
            epochs_done: Epoch(segment.from().0 + epochs_done(segment, facts)),
            epochs_total: segment.until,
            training: facts.get(&segment.key).is_some_and(|facts| facts.working),
            teaches_at: teaches_at.iter().map(|epoch| (*epoch, tested.get(epoch).copied())).collect(),
            validation: Series {
                arm: index,
                label: label.clone(),
                points: points.filter(|point| point.mean.is_finite()).collect(),
                kd_stops_at: None,
                drops: segment.schedule.drops.clone(),
            },
        }
    }
}

impl Plan {
    /// Every training that others learn from, in the plan's order.
    pub fn teachers(&self) -> Vec<TeacherTraining<'_>> {
        let mut teaching: BTreeMap<&SegmentKey, BTreeSet<Epoch>> = BTreeMap::new();
        for CheckpointId { segment, epoch } in self.segments.iter().flat_map(teacher_logits::teachers) {
            teaching.entry(segment).or_default().insert(*epoch);
        }
        let teachers = || self.segments.iter().filter(|segment| teaching.contains_key(&segment.key));
        let label = |segment: &Segment| {
            let alike = |other: &&Segment| other.architecture == segment.architecture && other.seed == segment.seed;
            let of = match teachers().filter(alike).count() {
                1 => String::new(),
                _ => format!(" of {} epochs", segment.schedule.horizon),
            };
            format!("{}{of}, seed {}", segment.architecture, segment.seed)
        };
        let training =
            |segment| TeacherTraining { label: label(segment), segment, teaches_at: teaching[&segment.key].clone() };
        teachers().map(training).collect()
    }
}

/// Every teacher of the plan, in its order.
pub(crate) fn summaries(plan: &Plan, facts: &Facts) -> Vec<TeacherSummary> {
    plan.teachers().iter().enumerate().map(|(index, teacher)| teacher.summary(index, facts)).collect()
}
