//! The way that a teacher's training took, and who taught it: what tells it from other teachers of the same network.

use crate::{CheckpointId, Epoch, Optimizer, Segment, SegmentKey, Start, Term};
use std::collections::BTreeMap;

/// The segments of a training from its initialisation on, each with the epoch at which it is left.
pub(crate) type Way<'a> = Vec<(&'a Segment, Epoch)>;

/// The way to a segment, up to its furthest epoch.
pub(crate) fn way<'a>(segments: &BTreeMap<&SegmentKey, &'a Segment>, last: &'a Segment) -> Way<'a> {
    let mut way = vec![(last, last.until)];
    let mut segment = last;
    while let Start::Checkpoint(start) = &segment.start {
        let Some(before) = segments.get(&start.segment) else { break };
        way.push((before, start.epoch));
        segment = before;
    }
    way.reverse();
    way
}

/// Who taught it, the first one first: "wrn-16-2@8 > 3 × wrn-10-1" (@8: stopped early, as in a chain). `None` where labels alone did.
pub(crate) fn taught_by(segments: &BTreeMap<&SegmentKey, &Segment>, way: &Way<'_>) -> Option<String> {
    let mut line: Vec<(String, u32)> = Vec::new();
    let mut teacher = last_teacher(way);
    while let Some(CheckpointId { segment, epoch }) = teacher {
        let Some(segment) = segments.get(&segment) else { break };
        let stop = if epoch < segment.schedule.horizon { format!("@{epoch}") } else { String::new() };
        let member = format!("{}{stop}", segment.architecture);
        match line.last_mut() {
            Some((same, times)) if *same == member => *times += 1,
            _ => line.push((member, 1)),
        }
        teacher = last_teacher(&self::way(segments, segment));
    }
    let members = line.into_iter().rev().map(|(member, times)| match times {
        1 => member,
        _ => format!("{times} × {member}"),
    });
    let members: Vec<String> = members.collect();
    (!members.is_empty()).then(|| members.join(" > "))
}

/// Of several one after the other, the one that it ends with.
fn last_teacher(way: &Way<'_>) -> Option<CheckpointId> {
    way.iter().rev().find_map(|(segment, _)| segment.own_teachers().next()).map(|observer| observer.teacher)
}

/// How it learnt: "0.9 KD (T 4) until 8, then 1 CE".
pub(crate) fn lessons(way: &Way<'_>) -> String {
    let mut lessons: Vec<(String, Epoch)> = Vec::new();
    for (segment, until) in way {
        let words = terms(segment);
        match lessons.last_mut() {
            Some((same, end)) if *same == words => *end = *until,
            _ => lessons.push((words, *until)),
        }
    }
    let last = lessons.len().saturating_sub(1);
    let said = lessons.into_iter().enumerate().map(|(index, (words, until))| match index {
        _ if index == last => words,
        _ => format!("{words} until {until}"),
    });
    said.collect::<Vec<_>>().join(", then ")
}

/// Cross-entropy is left out where a teacher teaches: its weight follows from the others.
fn terms(segment: &Segment) -> String {
    let taught = segment.own_teachers().next().is_some();
    let term = |(weight, term): &(f64, Term<CheckpointId>)| match term {
        Term::CrossEntropy if taught => None,
        Term::CrossEntropy => Some(format!("{weight} CE")),
        Term::Kd { temperature, .. } => Some(format!("{weight} KD (T {temperature})")),
        Term::StandardisedKd { temperature, .. } => Some(format!("{weight} standardised KD (T {temperature})")),
        Term::Attention { .. } => Some(format!("{weight} AT")),
        Term::Dkd { temperature, target_weight, non_target_weight, warm_up, .. } => {
            Some(format!("DKD (T {temperature}, {target_weight} and {non_target_weight}, warm-up {warm_up})"))
        }
        Term::Dist { temperature, between_weight, within_weight, .. } => {
            Some(format!("DIST (T {temperature}, {between_weight} and {within_weight})"))
        }
    };
    let terms = segment.terms.iter().filter_map(term).collect::<Vec<_>>().join(" + ");
    match segment.optimizer {
        Optimizer::Sgd { .. } => terms,
        Optimizer::Dot { momentum_difference, .. } => format!("{terms} by DOT {momentum_difference}"),
    }
}
