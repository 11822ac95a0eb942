//! The trainings that others learn from, as results of their own.

use crate::{
    Architecture, CheckpointId, Epoch, EpochMetrics, Plan, Point, Provenance, Seed, Segment, SegmentKey, Series, Start,
    TeacherNetwork,
    imported::quoted,
    lineage::{Way, lessons, taught_by, way},
    metrics::Facts,
    teacher_logits,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A training that others learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherTraining<'a> {
    /// "wrn-16-2, seed 0"; with the length of its schedule where several differ in that alone. One that was itself taught says by
    /// whom: "wrn-10-1, seed 0, taught by wrn-16-2", and how where others were taught by the same.
    pub label: String,
    /// Its last.
    pub segment: &'a Segment,
    /// The epochs at which it teaches, rising.
    pub teaches_at: BTreeSet<Epoch>,
    way: Way<'a>,
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

    /// Its epochs that the study asks for, from its first: another may have had it trained further.
    pub fn epochs<'f>(&self, facts: &'f Facts) -> impl Iterator<Item = &'f EpochMetrics> + use<'f> {
        let mut epochs = Vec::new();
        for (segment, until) in &self.way {
            let metrics = facts.get(&segment.key).map_or(&[][..], |facts| &facts.metrics);
            epochs.extend(metrics.iter().filter(|metrics| segment.from() < metrics.epoch && metrics.epoch <= *until));
        }
        epochs.into_iter()
    }

    /// Where its checkpoints stay, rising.
    pub fn stops(&self) -> BTreeSet<Epoch> {
        let of_leg = |(segment, until): &(&Segment, Epoch)| segment.stops.range(..=*until).copied().collect::<Vec<_>>();
        self.way.iter().flat_map(of_leg).collect()
    }

    /// Its test accuracy in percent at each stop that is trained and tested.
    pub fn test_accuracies(&self, facts: &Facts) -> Vec<(Epoch, f64)> {
        let stops = self.stops();
        let at_stops = self.epochs(facts).filter(|metrics| stops.contains(&metrics.epoch));
        at_stops.filter_map(|metrics| Some((metrics.epoch, 100.0 * metrics.test?.accuracy))).collect()
    }

    /// What it leaves behind at `epoch`.
    pub fn checkpoint(&self, epoch: Epoch) -> CheckpointId {
        let leg = self.way.iter().find(|(_, until)| epoch <= *until);
        CheckpointId { segment: leg.map_or(self.segment, |(segment, _)| segment).key.clone(), epoch }
    }

    fn summary(&self, index: usize, facts: &Facts) -> TeacherSummary {
        let TeacherTraining { label, segment, teaches_at, .. } = self;
        let tested: BTreeMap<Epoch, f64> = self.test_accuracies(facts).into_iter().collect();
        let validated = self.epochs(facts).filter_map(|it| Some((it.epoch, 100.0 * it.validation?.accuracy)));
        let points = validated.map(|(epoch, mean)| Point { epoch, mean, low: mean, high: mean, seeds: 1 });
        TeacherSummary {
            label: label.clone(),
            architecture: segment.architecture,
            seed: segment.seed,
            epochs_done: Epoch(self.epochs(facts).count() as u32),
            epochs_total: segment.until,
            training: self.way.iter().any(|(segment, _)| facts.get(&segment.key).is_some_and(|facts| facts.working)),
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
    /// Every training that others learn from, in the plan's order. One that teaches at several epochs is there once, also where it
    /// passes through several segments on the way.
    pub fn teachers(&self) -> Vec<TeacherTraining<'_>> {
        let mut teaching: BTreeMap<&SegmentKey, BTreeSet<Epoch>> = BTreeMap::new();
        for CheckpointId { segment, epoch } in self.segments.iter().flat_map(teacher_logits::teachers) {
            teaching.entry(segment).or_default().insert(*epoch);
        }
        let segments = self.by_key();
        let ways: Vec<Way<'_>> =
            self.segments.iter().filter(|it| teaching.contains_key(&it.key)).map(|it| way(&segments, it)).collect();
        let teaches_at = |(segment, until): &(&Segment, Epoch)| {
            teaching
                .get(&segment.key)
                .into_iter()
                .flat_map(|epochs| epochs.range(..=*until))
                .copied()
                .collect::<Vec<_>>()
        };
        // What all of a segment's teaching lies before is told where the training goes on to teach later.
        let goes_on = |own: &Way<'_>| {
            let Some((last, _)) = own.last() else { return false };
            let passes = |(segment, until): &(&Segment, Epoch)| {
                segment.key == last.key && teaching[&last.key].last().is_some_and(|furthest| furthest <= until)
            };
            ways.iter().any(|other| other[..other.len() - 1].iter().any(passes))
        };
        let lasting: Vec<Way<'_>> = ways.iter().filter(|way| !goes_on(way)).cloned().collect();
        let labels = labels(self, &segments, &lasting);
        let mut teachers = Vec::new();
        for (way, label) in lasting.into_iter().zip(labels) {
            let Some((segment, _)) = way.last().copied() else { continue };
            let teaches_at = way.iter().flat_map(teaches_at).collect();
            teachers.push(TeacherTraining { label, segment, teaches_at, way });
        }
        teachers
    }
}

/// What tells each teacher from the others, and no more: network and seed, then the length of its schedule, how it learnt, and at
/// last its place among those that nothing else tells apart.
fn labels(plan: &Plan, segments: &BTreeMap<&SegmentKey, &Segment>, ways: &[Way<'_>]) -> Vec<String> {
    let said = |way: &Way<'_>, length: bool| {
        let (segment, _) = way.last()?;
        let of = if length { format!(" of {} epochs", segment.schedule.horizon) } else { String::new() };
        let by = taught_by(segments, way).map_or_else(String::new, |line| format!(", taught by {line}"));
        let (called, origin) = match way.first().map(|(first, _)| &first.start) {
            Some(Start::Imported(weights)) => {
                let network = TeacherNetwork { architecture: segment.architecture, imported: Some(*weights) };
                (quoted(plan.name_of(&network)), format!("imported {}", weights.short()))
            }
            _ => (String::new(), format!("seed {}", segment.seed)),
        };
        Some(format!("{}{called}{of}, {origin}{by}", segment.architecture))
    };
    let alike = |labels: &[String], index: usize| labels.iter().filter(|label| **label == labels[index]).count() > 1;
    let retold = |labels: &[String], tell: &dyn Fn(usize) -> String| -> Vec<String> {
        (0..labels.len()).map(|index| if alike(labels, index) { tell(index) } else { labels[index].clone() }).collect()
    };
    let short: Vec<String> = ways.iter().map(|way| said(way, false).unwrap_or_default()).collect();
    let by_length = retold(&short, &|index| said(&ways[index], true).unwrap_or_default());
    // A length that all have tells nothing.
    let told = retold(&by_length, &|index| format!("{} ({})", short[index], lessons(&ways[index])));
    let place = |index: usize| told[..=index].iter().filter(|label| **label == told[index]).count();
    retold(&told, &|index| format!("{}, {} of its kind", told[index], place(index)))
}

/// Every teacher of the plan, in its order.
pub(crate) fn summaries(plan: &Plan, facts: &Facts) -> Vec<TeacherSummary> {
    plan.teachers().iter().enumerate().map(|(index, teacher)| teacher.summary(index, facts)).collect()
}
