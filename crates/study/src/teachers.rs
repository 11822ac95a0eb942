//! The trainings that others learn from, as results of their own.

use crate::{CheckpointId, Epoch, Facts, Plan, Segment, SegmentKey};
use std::collections::BTreeSet;

/// A training that others learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherTraining<'a> {
    /// "teacher wrn-16-2, seed 0"; with the length of its schedule where several differ in that alone.
    pub name: String,
    pub segment: &'a Segment,
}

impl TeacherTraining<'_> {
    /// Its test accuracy in percent at each stop that is trained and tested.
    pub fn test_accuracies(&self, facts: &Facts) -> Vec<(Epoch, f64)> {
        let metrics = facts.get(&self.segment.key).map_or(&[][..], |facts| &facts.metrics);
        let at_stops = metrics.iter().filter(|metrics| self.segment.stops.contains(&metrics.epoch));
        at_stops.filter_map(|metrics| Some((metrics.epoch, 100.0 * metrics.test?.accuracy))).collect()
    }

    /// What it leaves behind at `epoch`.
    pub fn checkpoint(&self, epoch: Epoch) -> CheckpointId {
        CheckpointId { segment: self.segment.key.clone(), epoch }
    }
}

impl Plan {
    /// Every training that others learn from, in the plan's order.
    pub fn teachers(&self) -> Vec<TeacherTraining<'_>> {
        let terms = self.segments.iter().flat_map(|segment| &segment.terms);
        let teaching: BTreeSet<&SegmentKey> = terms.filter_map(|(_, term)| Some(&term.teacher()?.segment)).collect();
        let teaching = || self.segments.iter().filter(|segment| teaching.contains(&segment.key));
        let name = |segment: &Segment| {
            let alike = |other: &&Segment| other.architecture == segment.architecture && other.seed == segment.seed;
            let of = match teaching().filter(alike).count() {
                1 => String::new(),
                _ => format!(" of {} epochs", segment.schedule.horizon),
            };
            format!("teacher {}{of}, seed {}", segment.architecture, segment.seed)
        };
        teaching().map(|segment| TeacherTraining { name: name(segment), segment }).collect()
    }
}
