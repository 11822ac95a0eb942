//! What the studies that go on ask for, all together: each segment once.

use std::collections::{BTreeMap, BTreeSet};
use store::StoredStudy;
use study::{
    CheckpointId, Device, EvaluateTest, Numerics, Segment, SegmentKey, Start, TRAINING_VERSION, Term,
    laboratory::merge_active,
};

/// A segment to be trained, with what its studies say besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub segment: Segment,
    /// As the study says it that asked first; `auto` is not resolved yet.
    pub device: Device,
    pub evaluate_test: EvaluateTest,
}

/// Merges the plans of studies that go on (`stopped_at` is none) into segments, each after those it needs.
///
/// Observers are wishes, not causes: two studies in which teacher and student change places could wait for each other for
/// ever. Where that happens, the observer of the segment that was asked for first is left out.
pub fn wanted(studies: &[StoredStudy]) -> Vec<Wanted> {
    // Plans of another training version name other bits: this program cannot go on with them.
    let studies = || studies.iter().filter(|study| study.plan.training_version == TRAINING_VERSION);
    let asked = |stopped: bool| {
        let mut asked: BTreeMap<&SegmentKey, Vec<&Segment>> = BTreeMap::new();
        for study in studies().filter(|study| study.stopped_at.is_some() == stopped) {
            for segment in &study.plan.segments {
                asked.entry(&segment.key).or_default().push(segment);
            }
        }
        asked
    };
    let (active, stopped) = (asked(false), asked(true));
    let stopped_ones = |key: &SegmentKey| stopped.get(key).cloned().unwrap_or_default();
    let mut merged = Vec::new();
    let mut seen = BTreeSet::new();
    for study in studies().filter(|study| study.stopped_at.is_none()) {
        for segment in study.plan.segments.iter().filter(|segment| seen.insert(&segment.key)) {
            let together = merge_active(active[&segment.key].iter().copied(), stopped_ones(&segment.key));
            merged.extend(together.map(|segment| {
                let device = match segment.numerics {
                    Numerics::CpuF32 => Device::Cpu,
                    Numerics::CandleF32 => study.study.recipe.device,
                };
                Wanted { segment, device, evaluate_test: EvaluateTest::Checkpoints }
            }));
        }
    }
    let every_epoch: BTreeSet<&SegmentKey> = studies()
        .filter(|study| study.stopped_at.is_none() && study.study.recipe.evaluate_test == EvaluateTest::EveryEpoch)
        .flat_map(|study| study.plan.segments.iter().map(|segment| &segment.key))
        .collect();
    for wanted in &mut merged {
        if every_epoch.contains(&wanted.segment.key) {
            wanted.evaluate_test = EvaluateTest::EveryEpoch;
        }
    }
    in_order_of_need(merged)
}

/// Checkpoints without which a segment cannot be trained: its start and its teachers, not its observers.
fn causes(segment: &Segment) -> impl Iterator<Item = &CheckpointId> {
    let start = match &segment.start {
        Start::Initialisation => None,
        Start::Checkpoint(checkpoint) => Some(checkpoint),
    };
    let teachers = segment.terms.iter().filter_map(|(_, term)| match term {
        Term::CrossEntropy => None,
        Term::Kd { teacher, .. } => Some(teacher),
    });
    start.into_iter().chain(teachers)
}

fn in_order_of_need(mut waiting: Vec<Wanted>) -> Vec<Wanted> {
    let known: BTreeSet<SegmentKey> = waiting.iter().map(|wanted| wanted.segment.key.clone()).collect();
    let mut placed = BTreeSet::new();
    let mut order = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let there =
            |checkpoint: &CheckpointId| placed.contains(&checkpoint.segment) || !known.contains(&checkpoint.segment);
        let ready = |wanted: &Wanted| {
            let observers = wanted.segment.observers.iter().map(|observer| &observer.teacher);
            causes(&wanted.segment).chain(observers).all(there)
        };
        let all_but_observers = |wanted: &Wanted| causes(&wanted.segment).all(there);
        // A key is a hash over the keys it builds on, so among causes there is no circle and the last `0` is never reached.
        let next = waiting.iter().position(ready).or_else(|| waiting.iter().position(all_but_observers)).unwrap_or(0);
        let mut wanted = waiting.remove(next);
        wanted.segment.observers.retain(|observer| there(&observer.teacher));
        placed.insert(wanted.segment.key.clone());
        order.push(wanted);
    }
    order
}
