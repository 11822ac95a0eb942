//! What is started, who leaves, and that all of it comes to an end.

use super::*;
use crate::wanted::wanted;
use store::StoredStudy;
use study::{CheckpointFile, DatasetFacts, EpochMetrics, Failure, Fidelity, Leg, Plan, Scores, Study, StudyId};

/// With memory for all.
fn next_work(wanted: &[Wanted], facts: &Facts, working: &BTreeMap<SegmentKey, Working>, threads: u32) -> Decision {
    super::next_work(wanted, facts, working, &Room { threads, memory: None, teacher_logits: &[] })
}

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
        dataset: study.dataset,
        checksum: "d".repeat(64),
        classes: 10,
        channels: 1,
        image_size: study.dataset.image_size(),
        train: 12_000,
        validation: 5_000,
        test: 10_000,
    };
    let plan = Plan::new(&study, &dataset, Numerics::CpuF32).expect("a plan");
    StoredStudy { id: StudyId(id), created_at: 0, stopped_at: None, study, plan, dataset }
}

fn measured(observer: Observer) -> Fidelity {
    Fidelity { kd_loss_validation: Some(0.1), agreement_validation: Some(0.9), ..Fidelity::to(observer) }
}

/// Facts of a segment that was trained until `epoch`, with every stop up to there, and measured against all it was asked for.
fn trained(segment: &Segment, epoch: u32) -> SegmentFacts {
    let scores = Scores { cross_entropy: 1.0, accuracy: 0.5, calibration_error: None };
    let epochs = (segment.from().0 + 1..=epoch).map(|epoch| EpochMetrics {
        epoch: Epoch(epoch),
        learning_rate: 0.1,
        train: scores,
        train_clean: segment.ends.contains(&Epoch(epoch)).then_some(scores),
        validation: Some(Scores { accuracy: f64::from(epoch) / 1000.0, ..scores }),
        test: segment.stops.contains(&Epoch(epoch)).then_some(scores),
        fidelity: segment.measured_against().into_iter().map(measured).collect(),
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
    let (asked, evaluate_test) = (wanted.in_passing.clone(), wanted.evaluate_test);
    (wanted.segment.key.clone(), Working { threads, asked, evaluate_test })
}

/// The labels-only arm's training of seed 1, which is nobody's teacher.
fn labels_only(study: &StoredStudy) -> &SegmentKey {
    let alone = |run: &&study::Run| study.plan.arms[run.arm].distillation.is_none() && run.seed.0 == 1;
    &study.plan.runs.iter().find(alone).expect("an arm from labels alone").legs[0].segment
}

fn find<'a>(wanted: &'a [Wanted], key: &SegmentKey) -> &'a Wanted {
    wanted.iter().find(|wanted| wanted.segment.key == *key).expect("it is wanted")
}

/// Facts of everything that is wanted, trained by workers that were told all.
fn all_trained(wanted: &[Wanted]) -> Facts {
    wanted.iter().map(|it| (it.segment.key.clone(), trained(&it.segment, it.segment.until.0))).collect()
}

fn started(decision: Decision) -> Vec<SegmentKey> {
    decision.start.into_iter().map(|launch| launch.segment.key).collect()
}

/// Works through a plan as a runner would whose workers finish in the order in which they started; returns the order.
fn work_through(wanted: &[Wanted], threads: u32) -> Vec<SegmentKey> {
    let (mut facts, mut order) = (Facts::new(), Vec::new());
    let mut at_work: BTreeMap<SegmentKey, Working> = BTreeMap::new();
    let mut queue: Vec<SegmentKey> = Vec::new();
    let mut left = 0;
    loop {
        let decision = next_work(wanted, &facts, &at_work, threads);
        let some_left = !decision.leave.is_empty();
        // They leave only to come back with an observer that is there by now: so often, and no more.
        for key in decision.leave {
            at_work.remove(&key);
            queue.retain(|other| *other != key);
            left += 1;
        }
        assert!(left <= wanted.len() * wanted.len(), "workers come and go for ever");
        for Launch { segment, threads } in decision.start {
            queue.push(segment.key.clone());
            let evaluate_test = EvaluateTest::Checkpoints;
            at_work.insert(segment.key.clone(), Working { threads, asked: segment, evaluate_test });
        }
        assert!(at_work.values().map(|worker| worker.threads).sum::<u32>() <= threads);
        if some_left {
            continue;
        }
        if queue.is_empty() {
            return order;
        }
        let key = queue.remove(0);
        let done = at_work.remove(&key).expect("it is at work").asked;
        facts.insert(key.clone(), trained(&done, done.until.0));
        order.push(key);
    }
}

/// Whose segments are started first.
fn turns(wanted: &[Wanted], order: &[SegmentKey]) -> Vec<u64> {
    order.iter().map(|key| find(wanted, key).study.0).collect()
}

#[test]
fn studies_are_taken_in_turn() {
    let short = "title = \"Short?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 3\n\
                 student = { architecture = \"wrn-10-1\", epochs = 2 }\nrecipe = { momentum = 0.5 }";
    // The younger study has the longer path, and shares nothing.
    let wanted = wanted(&[stored(1, short), stored(2, EXAMPLE)]);
    assert!(turns(&wanted, &work_through(&wanted, 1)).is_sorted());
    let decision = next_work(&wanted, &Facts::new(), &BTreeMap::new(), 2);
    assert_eq!(turns(&wanted, &started(decision)), [1, 1]);
    // It fills what is left.
    let decision = next_work(&wanted, &Facts::new(), &BTreeMap::new(), 5);
    assert_eq!(turns(&wanted, &started(decision)), [1, 1, 1, 2]);
}

#[test]
fn what_a_younger_study_waits_for_does_not_bring_an_older_segment_forward() {
    // Alone, the labels-only runs of the older study come before its short teacher.
    let older = EXAMPLE
        .replace("seeds = 3", "seeds = 1")
        .replace("epochs = 20\n    [treatment]", "epochs = 1\n    [treatment]");
    let older = older.replace("[8, 20]", "1").replace("wrn-16-2", "wrn-10-1").replace("[0, 8, 20]", "[0, 1]");
    let younger = older
        .replace("[0, 1]", "20")
        .replace("seeds = 1", "seeds = 3")
        .replace("wrn-10-1\"\n    epochs = 20", "wrn-40-4\"\n    epochs = 20");
    let alone = wanted(&[stored(1, &older)]);
    let both = wanted(&[stored(1, &older), stored(2, &younger)]);
    let first = |wanted: &[Wanted]| started(next_work(wanted, &Facts::new(), &BTreeMap::new(), 1)).remove(0);
    assert_eq!(first(&alone), first(&both));
    assert_eq!(turns(&both, &work_through(&both, 1)), [1, 1, 1, 1, 2, 2, 2]);
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
    assert!(is_done(teacher, EvaluateTest::Checkpoints, &facts));
    // Epoch 15 was the best, and the worker died before it tested that one.
    facts.metrics[14].validation = Some(Scores { cross_entropy: 1.0, accuracy: 0.9, calibration_error: None });
    assert!(!is_done(teacher, EvaluateTest::Checkpoints, &facts));
    facts.metrics[14].test = facts.metrics[19].test;
    assert!(is_done(teacher, EvaluateTest::Checkpoints, &facts));
    // Most epochs were not tested, which is enough unless all were to be.
    assert!(!is_done(teacher, EvaluateTest::EveryEpoch, &facts));
    facts.checkpoints.pop();
    assert!(!is_done(teacher, EvaluateTest::Checkpoints, &facts));
}

#[test]
fn one_segment_gets_all_threads_and_many_get_one_each() {
    let wanted = wanted(&[stored(1, EXAMPLE)]);
    let teacher = &wanted[0].segment;
    for (there, used) in [(6, 6), (64, THREADS_MAX)] {
        let alone = next_work(&wanted, &Facts::new(), &BTreeMap::new(), there);
        assert_eq!(alone.start, [Launch { segment: teacher.clone(), threads: used }]);
    }

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
    // Distilling costs the teacher's forward pass besides, and a tail may wait for it: labels alone come last.
    assert!(decision.start.iter().all(|launch| launch.segment.terms.len() == 2));
}

#[test]
fn a_worker_that_does_not_fit_into_memory_waits_and_a_smaller_one_goes_before_it() {
    let study = stored(1, EXAMPLE);
    let wanted = wanted(std::slice::from_ref(&study));
    let images = &study.dataset;
    let teacher = &study.plan.segments[0];
    let own = |segment: &Segment| cost::worker_bytes(segment.architecture, images, segment.batch_size, 1, 1);
    // The teacher's first stop is there: three students learn from it.
    let facts = Facts::from([(teacher.key.clone(), trained(teacher, 8))]);
    let learns = |segment: &&Segment| teachers(segment).iter().any(|teacher| teacher.epoch == Epoch(8));
    let student = study.plan.segments.iter().find(learns).expect("a student");
    let (of_teacher, of_student) = (own(teacher), own(student) + cost::teacher_bytes(teacher.architecture, images, 1));
    let starts = |working: &BTreeMap<SegmentKey, Working>, memory: u64| {
        let room = Room { threads: 4, memory: Some(memory), teacher_logits: &[] };
        started(super::next_work(&wanted, &facts, working, &room))
    };
    // Alone, the one with the longest path starts however little there is.
    assert_eq!(starts(&BTreeMap::new(), 1), std::slice::from_ref(&teacher.key));
    let at_work = BTreeMap::from([working(find(&wanted, &teacher.key), 1)]);
    assert_eq!(starts(&at_work, 1), []);
    let both = cost::images_bytes(images) + of_teacher + of_student;
    assert_eq!(starts(&at_work, both - 1), []);
    assert_eq!(starts(&at_work, both).len(), 1);
    // The images are there once: a second student needs what a student needs, and nothing else.
    assert_eq!(starts(&at_work, both + of_student).len(), 2);
    // Beside a student at work the teacher does not fit, but another student does.
    assert!(of_teacher > of_student);
    let at_work = BTreeMap::from([working(find(&wanted, &student.key), 1)]);
    let others = starts(&at_work, cost::images_bytes(images) + 2 * of_student);
    assert!(others.len() == 1 && others[0] != teacher.key, "{others:?}");
}

/// What candle holds on a GPU is not this machine's memory, and on the CPU it is.
#[test]
fn a_network_without_kernels_takes_memory_where_no_gpu_trains_it() {
    let text = EXAMPLE.replace("fashion-mnist-12k", "cifar-10").replace("wrn-16-2", "resnet18");
    let both = |device: &str| wanted(&[stored(1, &format!("{text}[recipe]\ndevice = \"{device}\"\n"))]);
    for (device, takes) in [("cpu", true), ("cuda:0", false)] {
        let wanted = both(device);
        let teacher = &wanted[0].segment;
        assert_eq!(teacher.numerics, Numerics::CandleF32);
        let needs = Memory::of(&wanted, &BTreeMap::new()).needs(teacher, 1);
        let own = cost::worker_bytes(teacher.architecture, &teacher.dataset, teacher.batch_size, 1, 1);
        assert_eq!(needs, if takes { own + cost::images_bytes(&teacher.dataset) } else { 0 }, "{device}");
    }
}

#[test]
fn a_teacher_whose_logits_are_kept_makes_a_path_shorter() {
    let text = EXAMPLE.replace("seeds = 3", "seeds = 1").replace("[8, 20]", "20");
    let study = stored(1, &text);
    let wanted = wanted(std::slice::from_ref(&study));
    let tables = study::teacher_logits::teacher_logits(&study.plan.segments, u64::MAX);
    let kept: Vec<TeacherLogits> = tables
        .iter()
        .map(|table| TeacherLogits { passes_with: 0, usage: study::teacher_logits::Usage::Used, ..table.clone() })
        .collect();
    let (without, with) =
        (remaining_paths(&wanted, &Facts::new(), &tables), remaining_paths(&wanted, &Facts::new(), &kept));
    let distils = |segment: &Segment| !teachers(segment).is_empty();
    for ((wanted, without), with) in wanted.iter().zip(without).zip(with) {
        assert_eq!(with < without, distils(&wanted.segment) || wanted.segment.key == study.plan.segments[0].key);
    }
}

#[test]
fn a_teacher_stopped_early_teaches_while_it_goes_on_learning() {
    let wanted = wanted(&[stored(1, EXAMPLE)]);
    let teacher = &wanted[0];
    let facts = Facts::from([(teacher.segment.key.clone(), trained(&teacher.segment, 8))]);
    let decision = next_work(&wanted, &facts, &BTreeMap::from([working(teacher, 1)]), 4);
    assert_eq!(decision.start.len(), 3);
    for Launch { segment, .. } in &decision.start {
        assert!(segment.terms.len() == 2 && segment.needs().iter().all(|need| need.epoch == Epoch(8)));
    }
}

#[test]
fn what_failed_waits_for_a_person_and_holds_up_only_what_needs_it() {
    let wanted = wanted(&[stored(1, EXAMPLE)]);
    let failure = Failure { epoch: Epoch(3), reason: "the disk is full".into(), may_succeed_again: true };
    let failed = SegmentFacts { failure: Some(failure), ..SegmentFacts::default() };
    let teacher = &wanted[0].segment;
    let mut facts = Facts::from([(teacher.key.clone(), failed.clone())]);
    // Labels alone need no teacher: this one only would have observed them.
    let start = next_work(&wanted, &facts, &BTreeMap::new(), 16).start;
    assert_eq!(start.len(), 3);
    for Launch { segment, .. } in start {
        assert!(segment.terms.len() == 1 && segment.observers.is_empty());
        facts.insert(segment.key.clone(), trained(&segment, 20));
    }
    assert_eq!(next_work(&wanted, &facts, &BTreeMap::new(), 16), Decision::default());

    facts.insert(teacher.key.clone(), trained(teacher, 20));
    let first = started(next_work(&wanted, &facts, &BTreeMap::new(), 1));
    facts.insert(first[0].clone(), failed);
    let second = started(next_work(&wanted, &facts, &BTreeMap::new(), 1));
    assert_ne!(first, second);
}

#[test]
fn only_the_study_that_asked_first_waits_for_its_observers() {
    let one = stored(1, EXAMPLE);
    let other = stored(2, &EXAMPLE.replace("wrn-16-2", "wrn-22-1"));
    let alone = labels_only(&one);
    assert_eq!(alone, labels_only(&other));
    let both = wanted(&[one.clone(), other.clone()]);
    let mut facts = Facts::new();
    let starts = |facts: &Facts| started(next_work(&both, facts, &BTreeMap::new(), 64)).contains(alone);
    assert!(!starts(&facts), "its teacher is to observe it from the first epoch on");
    let teacher = &one.plan.segments[0];
    facts.insert(teacher.key.clone(), trained(teacher, 8));
    assert!(!starts(&facts), "and that at 20 epochs too");
    facts.insert(teacher.key.clone(), trained(teacher, 20));
    assert!(starts(&facts), "the other study's teacher holds nobody up");
    let launched = next_work(&both, &facts, &BTreeMap::new(), 64).start;
    let launched = launched.into_iter().find(|launch| launch.segment.key == *alone).expect("it starts");
    assert!(launched.segment.observers.iter().all(|observer| observer.teacher.segment == teacher.key));
    assert_eq!(launched.segment.observers.len(), 2);
}

#[test]
fn observers_that_come_later_are_measured_at_kept_checkpoints_and_then_it_is_done() {
    let (one, other) = (stored(1, EXAMPLE), stored(2, &EXAMPLE.replace("[treatment]", "[treatment]\ntemperature = 2")));
    let first = wanted(std::slice::from_ref(&one));
    let both = wanted(&[one.clone(), other]);
    let mut facts = all_trained(&first);
    let alone = labels_only(&one);
    let start = next_work(&both, &facts, &BTreeMap::new(), 64).start;
    let launched = start.iter().find(|launch| launch.segment.key == *alone).expect("it is measured again");
    assert_eq!(launched.segment.observers.len(), 4);
    // Only at the stop, which is also the best: the other epochs' checkpoints are gone.
    let own = facts.get_mut(alone).expect("it was trained");
    own.metrics[19].fidelity = launched.segment.measured_against().into_iter().map(measured).collect();
    assert!(!started(next_work(&both, &facts, &BTreeMap::new(), 64)).contains(alone));
    // The best epoch is kept, and was not measured.
    let own = facts.get_mut(alone).expect("it was trained");
    own.metrics[14].validation = Some(Scores { cross_entropy: 1.0, accuracy: 0.9, calibration_error: None });
    own.metrics[14].test = own.metrics[19].test;
    assert!(!started(next_work(&both, &facts, &BTreeMap::new(), 64)).contains(alone), "its checkpoint is gone");
    let own = facts.get_mut(alone).expect("it was trained");
    own.checkpoints.push(CheckpointFile { epoch: Epoch(15), kept: Kept::Best, digest: String::new(), bytes: 1 });
    assert!(started(next_work(&both, &facts, &BTreeMap::new(), 64)).contains(alone));
    assert!(!is_done(&find(&both, alone).segment, EvaluateTest::Checkpoints, &facts[alone]));
}

#[test]
fn nobody_is_measured_where_nothing_is_held_out() {
    let without = |id, text: &str| stored(id, &text.replace("seeds = 3", "seeds = 3\nvalidation = 0"));
    let one = without(1, EXAMPLE);
    let both = wanted(&[one.clone(), without(2, &EXAMPLE.replace("[treatment]", "[treatment]\ntemperature = 2"))]);
    let facts = all_trained(&wanted(std::slice::from_ref(&one)));
    let start = started(next_work(&both, &facts, &BTreeMap::new(), 64));
    assert!(!start.contains(labels_only(&one)));
}

#[test]
fn a_test_at_every_epoch_that_is_asked_for_later_is_made_up_for() {
    let (one, other) =
        (stored(1, EXAMPLE), stored(2, &format!("{EXAMPLE}\n[recipe]\nevaluate_test = \"every-epoch\"")));
    let both = wanted(&[one.clone(), other]);
    let mut facts = all_trained(&wanted(&[one]));
    assert_eq!(next_work(&both, &facts, &BTreeMap::new(), 64).start.len(), 16);
    for metrics in facts.values_mut().flat_map(|facts| &mut facts.metrics) {
        metrics.test = Some(metrics.train);
    }
    assert_eq!(next_work(&both, &facts, &BTreeMap::new(), 64), Decision::default());
}

#[test]
fn a_worker_leaves_to_come_back_with_what_each_epoch_is_to_be_measured_by() {
    let one = stored(1, EXAMPLE);
    let alone = labels_only(&one);
    let before = wanted(std::slice::from_ref(&one));
    let worker = BTreeMap::from([working(find(&before, alone), 1)]);
    let leave = |other: &str, epoch: u32| {
        let both = wanted(&[one.clone(), stored(2, other)]);
        let mut facts = all_trained(&before);
        facts.insert(alone.clone(), trained(&find(&before, alone).segment, epoch));
        next_work(&both, &facts, &worker, 2).leave
    };
    let own = std::slice::from_ref(alone);
    let temperature = EXAMPLE.replace("[treatment]", "[treatment]\ntemperature = 2");
    assert_eq!(leave(&temperature, 3), own);
    assert_eq!(leave(&temperature, 20), [], "it is through, and its checkpoints are measured afterwards");
    assert_eq!(leave(&EXAMPLE.replace("wrn-16-2", "wrn-22-1"), 3), [], "that teacher is not there yet");
    assert_eq!(leave(&format!("{EXAMPLE}\n[recipe]\nevaluate_test = \"every-epoch\""), 3), own);
    assert_eq!(leave(EXAMPLE, 3), []);
}

#[test]
fn a_worker_leaves_where_what_is_wanted_by_now_is_there_and_it_was_asked_for_more() {
    let short = stored(1, &EXAMPLE.replace("[0, 8, 20]", "[8]").replace("[8, 20]", "8"));
    let long = stored(2, EXAMPLE);
    let both = wanted(&[short.clone(), long.clone()]);
    let teacher = &both[0];
    let worker = BTreeMap::from([working(teacher, 1)]);
    let stopped = StoredStudy { stopped_at: Some(1), ..long.clone() };
    let leave = |studies: &[StoredStudy], epoch| {
        let facts = Facts::from([(teacher.segment.key.clone(), trained(&teacher.segment, epoch))]);
        next_work(&wanted(studies), &facts, &worker, 1).leave
    };
    for left in [&[short.clone(), stopped][..], std::slice::from_ref(&short)] {
        assert_eq!(leave(left, 7), [], "the shorter one still wants 8 epochs");
        assert_eq!(leave(left, 9), std::slice::from_ref(&teacher.segment.key));
    }
    assert_eq!(leave(&[short.clone(), long], 9), []);
    // Nothing beyond what is wanted was asked of it: it is about to say that it finished.
    let alone = wanted(std::slice::from_ref(&short));
    let worker = BTreeMap::from([working(&alone[0], 1)]);
    let facts = Facts::from([(teacher.segment.key.clone(), trained(&alone[0].segment, 8))]);
    assert_eq!(next_work(&alone, &facts, &worker, 1).leave, []);
}

#[test]
fn at_the_end_the_slowest_comes_back_with_all_threads_where_that_pays() {
    let one = stored(1, EXAMPLE);
    let wanted = wanted(std::slice::from_ref(&one));
    let last = find(&wanted, labels_only(&one));
    let leave = |threads: u32, reached: u32, seconds: f64| {
        let mut facts = all_trained(&wanted);
        let mut own = trained(&last.segment, reached);
        own.metrics.iter_mut().for_each(|metrics| metrics.seconds = seconds);
        facts.insert(last.segment.key.clone(), own);
        next_work(&wanted, &facts, &BTreeMap::from([working(last, threads)]), 4).leave
    };
    assert_eq!(leave(1, 3, 5.0), std::slice::from_ref(&last.segment.key));
    assert_eq!(leave(3, 3, 5.0), std::slice::from_ref(&last.segment.key));
    assert_eq!(leave(4, 3, 5.0), [], "it has them all");
    assert_eq!(leave(1, 19, 60.0), [], "it is nearly through");
    assert_eq!(leave(1, 3, 0.1), [], "it is through before it would have begun again");
    // candle's on the CPU too, where they change no bit either; a GPU's has no use for them.
    for (device, leaves) in [(Device::Cpu, true), (Device::Cuda(0), false)] {
        let mut wanted = wanted.clone();
        let own = wanted.iter_mut().find(|it| it.segment.key == last.segment.key).expect("it is wanted");
        (own.segment.numerics, own.in_passing.numerics, own.device) =
            (Numerics::CandleF32, Numerics::CandleF32, device);
        let mut facts = all_trained(&wanted);
        let mut reached = trained(&last.segment, 3);
        reached.metrics.iter_mut().for_each(|metrics| metrics.seconds = 5.0);
        facts.insert(last.segment.key.clone(), reached);
        let at_work = BTreeMap::from([working(find(&wanted, &last.segment.key), 1)]);
        assert_eq!(!next_work(&wanted, &facts, &at_work, 4).leave.is_empty(), leaves, "{device:?}");
    }
    // While others can start, threads are theirs.
    let facts = Facts::from([(last.segment.key.clone(), trained(&last.segment, 3))]);
    assert_eq!(next_work(&wanted, &facts, &BTreeMap::from([working(last, 1)]), 4).leave, []);
}

#[test]
fn a_stopped_study_makes_nobody_train() {
    let one = stored(1, EXAMPLE);
    let stops = EXAMPLE.replace("teacher_stop_epoch = [8, 20]", "teacher_stop_epoch = [5, 20]");
    let stopped = StoredStudy { stopped_at: Some(1), ..stored(2, &stops) };
    let before = wanted(std::slice::from_ref(&one));
    let both = wanted(&[one, stopped]);
    assert_eq!(next_work(&both, &all_trained(&before), &BTreeMap::new(), 4), Decision::default());
    // Where training starts anyway, its stop is kept on the way.
    let start = next_work(&both, &Facts::new(), &BTreeMap::new(), 4).start;
    assert!(start[0].segment.stops.contains(&Epoch(5)) && !both[0].segment.stops.contains(&Epoch(5)));
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
    // In the second study the first one's teacher is a student, and is observed by what it taught.
    let order = work_through(&wanted, 2);
    for Wanted { segment, awaited, .. } in &wanted {
        assert!(order.contains(&segment.key));
        let first = order.iter().position(|key| *key == segment.key);
        let before = |it: &CheckpointId| order.iter().position(|key| *key == it.segment) < first;
        assert!(segment.needs().into_iter().chain(awaited).all(before));
    }
    assert!(order.len() > wanted.len(), "who is observed by one that comes later is measured afterwards");
    let legs = studies.iter().flat_map(|study| &study.plan.runs).flat_map(|run| &run.legs);
    assert!(legs.into_iter().all(|Leg { segment, .. }| wanted.iter().any(|wanted| wanted.segment.key == *segment)));
}
