//! What became of the teachers that a study trains.

use crate::{
    Architecture, CheckpointId, Epoch, Plan, Point, Seed, Segment, SegmentKey, Series, metrics::Facts,
    progress::epochs_done,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A teacher of a study: how far its own training is, and how good it was where it teaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeacherSummary {
    /// Says what tells it from the study's other teachers: "wrn-16-2", "wrn-16-2 of 35 epochs, seed 1".
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

/// Every teacher of the plan, in its order.
pub(crate) fn teachers(plan: &Plan, facts: &Facts) -> Vec<TeacherSummary> {
    let mut taught_at: BTreeMap<&SegmentKey, BTreeSet<Epoch>> = BTreeMap::new();
    let terms = plan.segments.iter().flat_map(|segment| &segment.terms);
    for CheckpointId { segment, epoch } in terms.filter_map(|(_, term)| term.teacher()) {
        taught_at.entry(segment).or_default().insert(*epoch);
    }
    let teachers: Vec<&Segment> = plan.segments.iter().filter(|it| taught_at.contains_key(&it.key)).collect();
    let labels = labels(&teachers);
    let summaries = teachers.iter().zip(labels).enumerate().map(|(index, (segment, label))| {
        let stops = taught_at.get(&segment.key).into_iter().flatten();
        summary(index, label, segment, stops, facts)
    });
    summaries.collect()
}

fn summary<'a>(
    index: usize,
    label: String,
    segment: &Segment,
    stops: impl Iterator<Item = &'a Epoch>,
    facts: &Facts,
) -> TeacherSummary {
    let its = facts.get(&segment.key);
    let metrics = its.map_or(&[][..], |facts| &facts.metrics);
    let test_at = |stop: &Epoch| metrics.iter().find(|it| it.epoch == *stop)?.test.map(|test| 100.0 * test.accuracy);
    let validated = metrics.iter().filter_map(|it| Some((it.epoch, 100.0 * it.validation?.accuracy)));
    let points = validated.map(|(epoch, mean)| Point { epoch, mean, low: mean, high: mean, seeds: 1 });
    TeacherSummary {
        architecture: segment.architecture,
        seed: segment.seed,
        epochs_done: Epoch(segment.from().0 + epochs_done(segment, facts)),
        epochs_total: segment.until,
        training: its.is_some_and(|facts| facts.working),
        teaches_at: stops.map(|stop| (*stop, test_at(stop))).collect(),
        validation: Series {
            arm: index,
            label: label.clone(),
            points: points.filter(|point| point.mean.is_finite()).collect(),
            kd_stops_at: None,
            drops: segment.schedule.drops.clone(),
        },
        label,
    }
}

/// Each teacher by its network, with the length of its schedule and its seed where these differ.
fn labels(teachers: &[&Segment]) -> Vec<String> {
    let several = |of: fn(&Segment) -> u32| teachers.iter().map(|it| of(it)).collect::<BTreeSet<u32>>().len() > 1;
    let (horizons, seeds) = (several(|it| it.schedule.horizon.0), several(|it| it.seed.0));
    let label = |it: &&Segment| {
        let horizon = if horizons { format!(" of {} epochs", it.schedule.horizon) } else { String::new() };
        let seed = if seeds { format!(", seed {}", it.seed) } else { String::new() };
        format!("{}{horizon}{seed}", it.architecture)
    };
    teachers.iter().map(label).collect()
}
