//! What the studies that go on ask for, all together: each segment once.

use std::collections::{BTreeMap, BTreeSet};
use store::StoredStudy;
use study::{
    CheckpointId, Device, EvaluateTest, Numerics, Segment, SegmentKey, StudyId, TRAINING_VERSION,
    laboratory::{merge, merge_active},
};

/// A segment to be trained, with what its studies say besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// As the studies that go on ask for it together: by this it is judged whether there is anything to do.
    pub segment: Segment,
    /// The oldest study that asks for it: studies are taken in turn.
    pub study: StudyId,
    /// As a worker that starts is told: with what studies that were stopped would keep on the way.
    pub in_passing: Segment,
    /// Observers of the study that asked first whose segments come before this one: it waits for them while they can still
    /// come, so that its curve is measured from the first epoch on.
    pub awaited: BTreeSet<CheckpointId>,
    /// As the study says it that asked first; `auto` is not resolved yet.
    pub device: Device,
    pub evaluate_test: EvaluateTest,
}

/// Merges the plans of studies that go on (`stopped_at` is none) into segments, in the order in which they were first asked for.
///
/// Each comes after those that it needs or awaits: a plan has needs first, and only what stands before is awaited. So nothing
/// waits in a circle, also where teacher and student change places, within a study or between two.
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
    let every_epoch: BTreeSet<&SegmentKey> = studies()
        .filter(|study| study.stopped_at.is_none() && study.study.recipe.evaluate_test == EvaluateTest::EveryEpoch)
        .flat_map(|study| study.plan.segments.iter().map(|segment| &segment.key))
        .collect();
    // Where a search still chooses, test is not looked at; unless another study looks.
    let chooses = |study: &StoredStudy| {
        study.study.search.is_some() && study.plan.segments.iter().all(|segment| segment.ends.is_empty())
    };
    let tested: BTreeSet<&SegmentKey> = studies()
        .filter(|study| study.stopped_at.is_none() && !chooses(study))
        .flat_map(|study| study.plan.segments.iter().map(|segment| &segment.key))
        .collect();
    let mut wanted = Vec::with_capacity(active.len());
    let mut placed = BTreeSet::new();
    for study in studies().filter(|study| study.stopped_at.is_none()) {
        for first in &study.plan.segments {
            if placed.contains(&first.key) {
                continue;
            }
            let all = || active[&first.key].iter().copied();
            let of_stopped = stopped.get(&first.key).into_iter().flatten().copied();
            let (Some(segment), Some(in_passing)) = (merge(all()), merge_active(all(), of_stopped)) else { continue };
            let observers = first.observers.iter().map(|observer| &observer.teacher);
            wanted.push(Wanted {
                study: study.id,
                awaited: observers.filter(|teacher| placed.contains(&teacher.segment)).cloned().collect(),
                device: match segment.numerics {
                    Numerics::CpuF32 => Device::Cpu,
                    Numerics::CandleF32 => study.study.recipe.device,
                },
                evaluate_test: match (every_epoch.contains(&first.key), tested.contains(&first.key)) {
                    (true, _) => EvaluateTest::EveryEpoch,
                    (false, true) => EvaluateTest::Checkpoints,
                    (false, false) => EvaluateTest::Never,
                },
                segment,
                in_passing,
            });
            placed.insert(&first.key);
        }
    }
    wanted
}
