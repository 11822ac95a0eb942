//! Which segments to start now, and which workers to send home: decided here, done by the runner.

use crate::wanted::Wanted;
use std::{cmp::Reverse, collections::BTreeMap};
use study::{CheckpointId, Epoch, Facts, Kept, Segment, SegmentFacts, SegmentKey, Term};

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq)]
pub struct Working {
    pub threads: u32,
    /// What it was asked to do, which may be less than what is wanted by now.
    pub asked: Segment,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// In the order in which to start them.
    pub start: Vec<Launch>,
    /// Workers that should write a checkpoint and leave.
    pub leave: Vec<SegmentKey>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    pub key: SegmentKey,
    pub threads: u32,
}

/// Decides. `wanted` is in an order of need; `threads` may train at once.
///
/// What can start, starts with the longest remaining path first (its own remaining work and that of what waits for it), so that
/// all ends as early as it can. One-thread workers side by side train more images a second than many threads on one small
/// network: only where there are fewer segments than threads does a worker get several.
pub fn next_work(wanted: &[Wanted], facts: &Facts, working: &BTreeMap<SegmentKey, Working>, threads: u32) -> Decision {
    let leave =
        working.iter().filter(|(key, worker)| should_leave(key, worker, wanted, facts)).map(|(key, _)| key.clone());
    let leave = leave.collect();
    let remaining = remaining_paths(wanted, facts);
    let mut ready: Vec<(&SegmentKey, u128)> = wanted
        .iter()
        .zip(remaining)
        .filter(|(wanted, _)| !working.contains_key(&wanted.segment.key) && can_start(&wanted.segment, facts))
        .map(|(wanted, path)| (&wanted.segment.key, path))
        .collect();
    ready.sort_by_key(|&(_, path)| Reverse(path));
    let busy: u32 = working.values().map(|worker| worker.threads).sum();
    let free = threads.saturating_sub(busy);
    let places = free.min(ready.len() as u32);
    let start = ready.iter().take(places as usize).zip(0..).map(|(&(key, _), place)| Launch {
        key: key.clone(),
        threads: free / places + u32::from(place < free % places),
    });
    Decision { start: start.collect(), leave }
}

/// Whether all that is asked of a segment lies there: every stop's checkpoint with its test score and that of the best epoch so
/// far, and the clean pass at every end.
pub fn is_done(segment: &Segment, facts: &SegmentFacts) -> bool {
    let scores = |epoch: Epoch| facts.metrics.iter().find(|metrics| metrics.epoch == epoch);
    let tested = |epoch: Epoch| scores(epoch).is_some_and(|scores| scores.test.is_some());
    let best = |stop: Epoch| train::segment::best_epoch(facts.metrics.iter().filter(|metrics| metrics.epoch <= stop));
    let stopped = |stop: &Epoch| has_stop(facts, *stop) && tested(*stop) && best(*stop).is_none_or(tested);
    let closed = |epoch: &Epoch| scores(*epoch).is_some_and(|scores| scores.train_clean.is_some());
    segment.stops.iter().all(stopped) && segment.ends.iter().all(closed)
}

fn has_stop(facts: &SegmentFacts, epoch: Epoch) -> bool {
    facts.checkpoints.iter().any(|checkpoint| checkpoint.epoch == epoch && checkpoint.kept == Kept::Stop)
}

fn can_start(segment: &Segment, facts: &Facts) -> bool {
    let nothing = SegmentFacts::default();
    let own = facts.get(&segment.key).unwrap_or(&nothing);
    let there = |checkpoint: &&CheckpointId| {
        facts.get(&checkpoint.segment).is_some_and(|facts| has_stop(facts, checkpoint.epoch))
    };
    own.failure.is_none() && !is_done(segment, own) && segment.needs().iter().all(there)
}

/// A worker leaves where nobody wants its segment any more, or where a stop was asked for since that lies ahead of it: it would
/// pass it by, and the way there would have to be trained again.
fn should_leave(key: &SegmentKey, worker: &Working, wanted: &[Wanted], facts: &Facts) -> bool {
    let Some(wanted) = wanted.iter().find(|wanted| wanted.segment.key == *key) else { return true };
    let reached = facts.get(key).and_then(|facts| facts.metrics.last()).map_or(Epoch(0), |metrics| metrics.epoch);
    let ahead = |stop: &&Epoch| **stop > reached && **stop < worker.asked.until && !worker.asked.stops.contains(stop);
    wanted.segment.stops.iter().any(|stop| ahead(&stop))
}

/// For each segment, the multiply-accumulates of the longest chain of trainings that begins with what is left of it.
fn remaining_paths(wanted: &[Wanted], facts: &Facts) -> Vec<u128> {
    let place: BTreeMap<&SegmentKey, usize> = wanted.iter().map(|wanted| &wanted.segment.key).zip(0..).collect();
    let mut paths: Vec<u128> = vec![0; wanted.len()];
    for index in (0..wanted.len()).rev() {
        let segment = &wanted[index].segment;
        // Whatever waits for this one stands behind it, so that its own path has been handed forward already.
        let path = paths[index] + remaining(segment, wanted, &place, facts);
        paths[index] = path;
        for need in segment.needs() {
            if let Some(&needed) = place.get(&need.segment).filter(|needed| **needed < index) {
                paths[needed] = paths[needed].max(path);
            }
        }
    }
    paths
}

fn remaining(segment: &Segment, wanted: &[Wanted], place: &BTreeMap<&SegmentKey, usize>, facts: &Facts) -> u128 {
    let own = facts.get(&segment.key);
    if own.is_some_and(|own| is_done(segment, own)) {
        return 0;
    }
    let images = &segment.dataset;
    let one_image = |segment: &Segment| {
        u128::from(segment.architecture.multiply_accumulates(images.channels, images.image_size, images.classes))
    };
    let teachers = segment.terms.iter().filter_map(|(_, term)| match term {
        Term::CrossEntropy => None,
        Term::Kd { teacher, .. } => place.get(&teacher.segment).map(|&teacher| one_image(&wanted[teacher].segment)),
    });
    let reached = own.and_then(|own| own.metrics.last()).map_or(segment.from(), |metrics| metrics.epoch);
    // An earlier stop than what is reached is trained anew, from a checkpoint that is not known here: one epoch at least.
    let epochs = u128::from(segment.until.0.saturating_sub(reached.0)).max(1);
    epochs * u128::from(images.train) * (3 * one_image(segment) + teachers.sum::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wanted::wanted;
    use store::StoredStudy;
    use study::{
        CheckpointFile, Dataset, DatasetFacts, EpochMetrics, Failure, Leg, Numerics, Plan, Scores, Study, StudyId,
    };

    const EXAMPLE: &str = r#"
        title = "When should distillation stop?"
        dataset = "fashion-mnist-12k"
        seeds = 3
        [student]
        architecture = "wrn-10-1"
        epochs = 20
        [teacher]
        architecture = "wrn-16-2"
        epochs = 20
        [treatment]
        kd_stop_epoch = [0, 8, 20]
        teacher_stop_epoch = [8, 20]
    "#;

    fn stored(id: u64, toml: &str) -> StoredStudy {
        let study = Study::from_toml(toml).expect("a study without errors");
        let dataset = DatasetFacts {
            dataset: Dataset::FashionMnist12k,
            checksum: "d".repeat(64),
            classes: 10,
            channels: 1,
            image_size: 28,
            train: 12_000,
            validation: 5_000,
            test: 10_000,
        };
        let plan = Plan::new(&study, &dataset, Numerics::CpuF32).expect("a plan");
        StoredStudy { id: StudyId(id), created_at: 0, stopped_at: None, study, plan, dataset }
    }

    /// Facts of a segment that was trained until `epoch`, with every stop up to there.
    fn trained(segment: &Segment, epoch: u32) -> SegmentFacts {
        let scores = Scores { cross_entropy: 1.0, accuracy: 0.5 };
        let epochs = (segment.from().0 + 1..=epoch).map(|epoch| EpochMetrics {
            epoch: Epoch(epoch),
            learning_rate: 0.1,
            train: scores,
            train_clean: segment.ends.contains(&Epoch(epoch)).then_some(scores),
            validation: Some(Scores { accuracy: f64::from(epoch) / 1000.0, ..scores }),
            test: segment.stops.contains(&Epoch(epoch)).then_some(scores),
            fidelity: Vec::new(),
            seconds: 1.0,
            images_per_second: 12_000.0,
        });
        let stops = segment.stops.iter().filter(|stop| stop.0 <= epoch).map(|stop| CheckpointFile {
            epoch: *stop,
            kept: Kept::Stop,
            digest: String::new(),
            bytes: 1,
        });
        SegmentFacts { metrics: epochs.collect(), checkpoints: stops.collect(), ..SegmentFacts::default() }
    }

    fn working(wanted: &Wanted, threads: u32) -> (SegmentKey, Working) {
        (wanted.segment.key.clone(), Working { threads, asked: wanted.segment.clone() })
    }

    /// Works through a plan as a runner would whose workers finish in the order in which they started; returns the order.
    fn work_through(wanted: &[Wanted], threads: u32) -> Vec<SegmentKey> {
        let (mut facts, mut order) = (Facts::new(), Vec::new());
        let mut at_work: BTreeMap<SegmentKey, Working> = BTreeMap::new();
        let mut queue: Vec<SegmentKey> = Vec::new();
        loop {
            let decision = next_work(wanted, &facts, &at_work, threads);
            assert!(decision.leave.is_empty());
            for Launch { key, threads } in decision.start {
                let wanted = wanted.iter().find(|wanted| wanted.segment.key == key).expect("what starts is wanted");
                at_work.insert(key.clone(), Working { threads, asked: wanted.segment.clone() });
                queue.push(key);
            }
            assert!(at_work.values().map(|worker| worker.threads).sum::<u32>() <= threads);
            if queue.is_empty() {
                return order;
            }
            let key = queue.remove(0);
            let done = at_work.remove(&key).expect("it is at work").asked;
            facts.insert(key.clone(), trained(&done, done.until.0));
            order.push(key);
        }
    }

    #[test]
    fn every_segment_is_trained_once_and_after_what_it_needs() {
        let wanted = wanted(&[stored(1, EXAMPLE)]);
        assert_eq!(wanted.len(), 16);
        for threads in [1, 2, 7, 64] {
            let order = work_through(&wanted, threads);
            assert_eq!(order.len(), 16, "{threads} threads");
            let place = |key: &SegmentKey| order.iter().position(|other| other == key).expect("it was trained");
            for Wanted { segment, .. } in &wanted {
                for need in segment.needs() {
                    assert!(place(&need.segment) < place(&segment.key));
                }
            }
        }
    }

    #[test]
    fn a_segment_is_done_when_the_best_epochs_are_tested_too() {
        let wanted = wanted(&[stored(1, EXAMPLE)]);
        let teacher = &wanted[0].segment;
        let mut facts = trained(teacher, 20);
        assert!(is_done(teacher, &facts));
        // Epoch 15 was the best, and the worker died before it tested that one.
        facts.metrics[14].validation = Some(Scores { cross_entropy: 1.0, accuracy: 0.9 });
        assert!(!is_done(teacher, &facts));
        facts.metrics[14].test = facts.metrics[19].test;
        assert!(is_done(teacher, &facts));
        facts.checkpoints.pop();
        assert!(!is_done(teacher, &facts));
    }

    #[test]
    fn one_segment_gets_all_threads_and_many_get_one_each() {
        let wanted = wanted(&[stored(1, EXAMPLE)]);
        let teacher = &wanted[0].segment;
        let alone = next_work(&wanted, &Facts::new(), &BTreeMap::new(), 6);
        assert_eq!(alone.start, [Launch { key: teacher.key.clone(), threads: 6 }]);

        let facts = Facts::from([(teacher.key.clone(), trained(teacher, 20))]);
        let threads = |threads: u32| {
            let decision = next_work(&wanted, &facts, &BTreeMap::new(), threads);
            decision.start.iter().map(|launch| launch.threads).collect::<Vec<_>>()
        };
        // Three from labels alone, and one distilled by each of two teachers for each of three seeds.
        assert_eq!(threads(2), [1, 1]);
        assert_eq!(threads(9), [1; 9]);
        assert_eq!(threads(11), [2, 2, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn the_longest_remaining_path_goes_first() {
        let wanted = wanted(&[stored(1, EXAMPLE)]);
        let teacher = &wanted[0].segment;
        let facts = Facts::from([(teacher.key.clone(), trained(teacher, 20))]);
        let decision = next_work(&wanted, &facts, &BTreeMap::new(), 6);
        let first = decision.start.iter().map(|launch| {
            wanted.iter().find(|wanted| wanted.segment.key == launch.key).map(|wanted| wanted.segment.terms.len())
        });
        // Distilling costs the teacher's forward pass besides, and a tail may wait for it: labels alone come last.
        assert!(first.into_iter().all(|terms| terms == Some(2)));
    }

    #[test]
    fn a_teacher_stopped_early_teaches_while_it_goes_on_learning() {
        let wanted = wanted(&[stored(1, EXAMPLE)]);
        let teacher = &wanted[0];
        let facts = Facts::from([(teacher.segment.key.clone(), trained(&teacher.segment, 8))]);
        let decision = next_work(&wanted, &facts, &BTreeMap::from([working(teacher, 1)]), 4);
        assert_eq!(decision.start.len(), 3);
        for launch in &decision.start {
            let segment = &wanted.iter().find(|wanted| wanted.segment.key == launch.key).expect("it is wanted").segment;
            assert!(segment.needs().iter().all(|need| need.epoch == Epoch(8)));
        }
    }

    #[test]
    fn what_failed_waits_for_a_person_and_holds_up_only_what_needs_it() {
        let wanted = wanted(&[stored(1, EXAMPLE)]);
        let failure = Failure { epoch: Epoch(3), reason: "the disk is full".into(), may_succeed_again: true };
        let failed = SegmentFacts { failure: Some(failure), ..SegmentFacts::default() };
        let teacher = &wanted[0].segment;
        let mut facts = Facts::from([(teacher.key.clone(), failed.clone())]);
        assert_eq!(next_work(&wanted, &facts, &BTreeMap::new(), 2), Decision::default());

        facts.insert(teacher.key.clone(), trained(teacher, 20));
        let first = next_work(&wanted, &facts, &BTreeMap::new(), 1).start.remove(0);
        facts.insert(first.key.clone(), failed);
        let second = next_work(&wanted, &facts, &BTreeMap::new(), 1).start.remove(0);
        assert_ne!(first.key, second.key);
    }

    #[test]
    fn a_worker_leaves_when_nobody_wants_its_segment_or_a_stop_lies_ahead_that_it_does_not_know() {
        let short = stored(1, EXAMPLE);
        let at_work = wanted(std::slice::from_ref(&short));
        let teacher = &at_work[0];
        let at_work = BTreeMap::from([working(teacher, 2)]);
        let leave = |studies: &[StoredStudy], epoch| {
            let facts = Facts::from([(teacher.segment.key.clone(), trained(&teacher.segment, epoch))]);
            next_work(&wanted(studies), &facts, &at_work, 2).leave
        };
        assert_eq!(leave(std::slice::from_ref(&short), 3), []);
        let own = std::slice::from_ref(&teacher.segment.key);
        assert_eq!(leave(&[], 3), own);
        let another = stored(2, &EXAMPLE.replace("teacher_stop_epoch = [8, 20]", "teacher_stop_epoch = [5, 20]"));
        assert_eq!(leave(&[short.clone(), another.clone()], 3), own);
        // Behind it already: it would be trained anew in any case.
        assert_eq!(leave(&[short, another], 6), []);
    }

    #[test]
    fn two_studies_share_and_a_stopped_one_asks_for_nothing() {
        let one = stored(1, EXAMPLE);
        let other = stored(2, &EXAMPLE.replace("kd_stop_epoch = [0, 8, 20]", "kd_stop_epoch = [0, 4, 8, 20]"));
        let together = wanted(&[one.clone(), other.clone()]);
        assert_eq!(together.len(), other.plan.segments.len());
        let stopped = StoredStudy { stopped_at: Some(1), ..other.clone() };
        let without = wanted(&[one.clone(), stopped]);
        assert_eq!(without.len(), one.plan.segments.len());
        assert_eq!(wanted(&[StoredStudy { stopped_at: Some(1), ..other }]), []);
    }

    #[test]
    fn studies_in_which_teacher_and_student_change_places_do_not_wait_for_each_other() {
        let labels = |id, student: &str, teacher: &str| {
            let text = EXAMPLE.replace("wrn-10-1", "STUDENT").replace("wrn-16-2", teacher).replace("STUDENT", student);
            stored(id, &text.replace("[0, 8, 20]", "[0, 20]").replace("teacher_stop_epoch = [8, 20]", ""))
        };
        let studies = [labels(1, "wrn-10-1", "wrn-16-1"), labels(2, "wrn-16-1", "wrn-10-1")];
        let wanted = wanted(&studies);
        let planned = |segment: &Segment| -> usize {
            let planned = studies.iter().filter_map(|study| study.plan.segment(&segment.key));
            planned.map(|segment| segment.observers.len()).sum()
        };
        let left_out = |wanted: &&Wanted| planned(&wanted.segment) > wanted.segment.observers.len();
        assert_eq!(wanted.iter().filter(left_out).count(), 1, "each would wait for the other");
        assert_eq!(work_through(&wanted, 2).len(), wanted.len());
        let legs = studies.iter().flat_map(|study| &study.plan.runs).flat_map(|run| &run.legs);
        assert!(legs.into_iter().all(|Leg { segment, .. }| wanted.iter().any(|wanted| wanted.segment.key == *segment)));
    }
}
