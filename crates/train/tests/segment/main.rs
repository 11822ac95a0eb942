//! Segments and their folders, on real images: what a worker leaves behind does not depend on how often it was interrupted.

mod imported;
mod laboratory;
mod large_images;
mod teacher_logits;

use laboratory::*;
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    path::Path,
};
use study::{
    Architecture, CheckpointId, Dataset, Epoch, EpochMetrics, EvaluateTest, Event, Failure, Fidelity, Job, Kept,
    Numerics, Observer, Optimizer, Plan, Schedule, Scores, Seed, Segment, Start, Study, Term,
};
use train::{
    TrainError,
    checkpoint::{KeptLogits, load_logits, load_weights},
    dataset,
    engine::{Values, Weights},
    evaluation::kept_confusion,
    folder,
    worker::{Outcome, is_working, work},
};

#[test]
fn a_segment_is_trained_measured_and_kept() {
    let laboratory = Laboratory::new();
    let mut segment = laboratory.segment.clone();
    segment.stops.insert(Epoch(1));
    let folder = laboratory.train(&segment);
    let metrics = metrics(&folder);
    assert_eq!(metrics.keys().map(|epoch| epoch.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(metrics.values().map(|it| it.learning_rate).collect::<Vec<_>>(), [0.1, 0.1 * 0.2, 0.1 * 0.2]);
    assert!(metrics[&Epoch(3)].train.cross_entropy < metrics[&Epoch(1)].train.cross_entropy);
    assert!(metrics[&Epoch(3)].train.accuracy > metrics[&Epoch(1)].train.accuracy);
    assert!(metrics.values().all(|it| it.validation.is_some() && it.fidelity.is_empty()));
    assert!(metrics.values().all(|it| it.train_clean.is_some() == (it.epoch == Epoch(3))));
    let accuracy = |epoch: &Epoch| metrics[epoch].validation.unwrap().accuracy;
    let best = metrics.keys().copied().reduce(|best, next| if accuracy(&next) > accuracy(&best) { next } else { best });
    let tested: Vec<Epoch> = metrics.values().filter(|it| it.test.is_some()).map(|it| it.epoch).collect();
    let mut expected = vec![Epoch(1), best.unwrap(), Epoch(3)];
    expected.dedup();
    assert_eq!(tested, expected);
    for (epoch, kept) in promised(&folder) {
        assert_eq!(kept, if segment.stops.contains(&epoch) { Kept::Stop } else { Kept::Best });
        let KeptLogits { validation, test } = load_logits(&folder, epoch).unwrap();
        assert_eq!((validation.shape, test.shape), (vec![60, 10], vec![80, 10]));
    }
    let labels = &built_in().test.class_numbers()[..80];
    let counts = kept_confusion(&folder, Epoch(3), labels, 10).unwrap();
    let of_class = |class: u32| labels.iter().filter(|label| **label == class).count() as u32;
    assert!((0..10).all(|class| counts[class as usize].iter().sum::<u32>() == of_class(class)));
    let right: u32 = (0..10).map(|class| counts[class][class]).sum();
    assert_eq!(f64::from(right) / 80.0, metrics[&Epoch(3)].test.unwrap().accuracy);
    assert!(
        kept_confusion(&folder, Epoch(3), &labels[1..], 10).is_err()
            && kept_confusion(&folder, Epoch(9), labels, 10).is_err()
    );
    let (weights, metadata) = load_weights(&folder, Epoch(3)).unwrap();
    assert!(weights.contains_key("block2.layer.0.convShortcut.weight"));
    for field in ["architecture", "mean", "deviation", "class_names", "provenance"] {
        assert!(metadata.contains_key(field), "{field}");
    }
    let told = events(&folder);
    assert!(matches!(&told[0], Event::Started { epoch: Epoch(0), provenance, .. } if provenance.device == "cpu"));
    assert_eq!(told.last(), Some(&Event::Finished { epoch: Epoch(3) }));
    assert!(!is_working(&folder));
}

#[test]
fn a_promise_is_made_once_all_that_it_says_is_there() {
    let laboratory = Laboratory::new();
    let folder = laboratory.train(&laboratory.segment);
    let mut known: BTreeMap<Epoch, EpochMetrics> = BTreeMap::new();
    for event in events(&folder) {
        match event {
            Event::Epoch(metrics) => drop(known.insert(metrics.epoch, metrics)),
            Event::Checkpoint(file) if file.kept == Kept::Stop => {
                let metrics = &known[&file.epoch];
                assert!(metrics.test.is_some() && metrics.train_clean.is_some());
            }
            Event::Checkpoint(file) => assert!(known.contains_key(&file.epoch)),
            _ => {}
        }
    }
}

/// A teacher that is stopped twice, what it teaches, a tail after each, and labels alone.
const STUDY: &str = r#"
    title = "Does it hold?"
    dataset = "fashion-mnist"
    validation = 60
    seeds = 1
    [student]
    architecture = "wrn-10-1"
    epochs = 3
    [teacher]
    architecture = "wrn-10-2"
    epochs = 2
    [treatment]
    kd_stop_epoch = [0, 2]
    teacher_stop_epoch = [1, 2]
    [recipe]
    batch_size = 64
"#;

#[test]
fn a_study_is_trained_segment_by_segment_and_threads_change_nothing() {
    let (one, two) = (Laboratory::new(), Laboratory::new());
    let plan = Plan::new(&Study::from_toml(STUDY).unwrap(), &one.segment.dataset, Numerics::CpuF32).unwrap();
    for segment in &plan.segments {
        let folder = one.train(segment);
        let other = two.ask(&Job { threads: 2, ..two.job(segment) });
        assert_eq!(work(&other).unwrap(), Outcome::Finished);
        assert_eq!(metrics(&folder), metrics(&other));
        assert_eq!(promised(&folder), promised(&other));
        for stop in &segment.stops {
            assert!(network(&folder, stop.0) == network(&other, stop.0), "{} at {stop}", segment.key);
            assert_eq!(load_logits(&folder, *stop).unwrap(), load_logits(&other, *stop).unwrap());
        }
    }
    for segment in &plan.segments {
        let metrics = metrics(&one.folder(segment));
        assert!(metrics.keys().map(|epoch| epoch.0).eq(segment.from().0 + 1..=segment.until.0));
        for (epoch, metrics) in &metrics {
            assert!(metrics.validation.is_some() && metrics.train.cross_entropy > 0.0);
            let is_calibrated =
                |scores: Scores| scores.calibration_error.is_some_and(|error| (0.0..1.0).contains(&error));
            assert!([metrics.validation, metrics.test].into_iter().flatten().all(is_calibrated));
            let in_training = [Some(metrics.train), metrics.train_clean];
            assert!(in_training.into_iter().flatten().all(|scores| scores.calibration_error.is_none()));
            assert_eq!(metrics.train_clean.is_some(), segment.ends.contains(epoch));
            assert!(metrics.test.is_some() || !segment.stops.contains(epoch), "a stop is tested");
            assert_eq!(metrics.fidelity.len(), segment.measured_against().len());
            for fidelity in &metrics.fidelity {
                let teaches = segment.terms.iter().any(|(_, term)| term.teacher() == Some(&fidelity.teacher));
                assert_eq!(fidelity.kd_loss_train.is_some(), teaches);
                assert!(fidelity.kd_loss_validation.is_some_and(|loss| loss > 0.0));
                assert!(fidelity.agreement_validation.is_some_and(|share| (0.0..=1.0).contains(&share)));
                let on_test = [fidelity.kd_loss_test, fidelity.agreement_test].map(|it| it.is_some());
                assert_eq!(on_test, [metrics.test.is_some(); 2]);
                assert_cosines(fidelity);
            }
        }
        let best = train::segment::best_epoch(metrics.values()).unwrap();
        assert!(metrics[&best].test.is_some(), "the best on validation is tested");
    }
    let tails = plan.segments.iter().filter(|segment| segment.start != Start::Initialisation);
    assert_eq!(tails.count(), 2, "two go on from a parent's checkpoint");
    let observed = plan.segments.iter().filter(|segment| segment.observers.len() == 2);
    assert_eq!(observed.count(), 1, "labels alone are observed by both teachers");
}

/// Cosines of the first convolution, three groups and the head, and of all.
#[track_caller]
fn assert_cosines(fidelity: &Fidelity) {
    let cosines = fidelity.gradient_cosine.as_ref().unwrap();
    assert_eq!(cosines.groups.len(), 5);
    assert!(cosines.all.is_some() && cosines.groups.iter().all(|cosine| cosine.is_some()), "{cosines:?}");
    assert!(cosines.groups.iter().min() < cosines.groups.iter().max(), "groups differ: {cosines:?}");
}

#[test]
fn left_or_killed_at_any_step_it_ends_the_same() {
    let laboratory = Laboratory::new();
    let expected = laboratory.uninterrupted("in one go");
    // An epoch has three steps and one chunk of validation images; the end has the test and the training images.
    for (first, second) in [(2, 4), (5, 1), (7, 9), (11, 2), (14, 1)] {
        let name = format!("{first} {second}");
        let segment = Segment { key: key(&name), ..laboratory.segment.clone() };
        let folder = laboratory.ask(&laboratory.job(&segment));
        interrupted(&folder, first, true);
        tear_last_line(&folder);
        interrupted(&folder, second, false);
        assert!(matches!(events(&folder).last(), Some(Event::Left { .. })));
        assert_eq!(work(&folder).unwrap(), Outcome::Finished);
        assert_same_end(&folder, &expected, 3);
    }
}

#[test]
fn a_request_to_leave_is_a_file() {
    let laboratory = Laboratory::new();
    let folder = laboratory.ask(&laboratory.job(&laboratory.segment));
    folder::ask_to_leave(&folder).unwrap();
    assert_eq!(work(&folder).unwrap(), Outcome::Left);
    assert_eq!(events(&folder).last(), Some(&Event::Left { epoch: Epoch(0) }));
    folder::clear_request_to_leave(&folder).unwrap();
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
}

#[test]
fn a_damaged_or_lost_checkpoint_is_told_and_made_again() {
    let laboratory = Laboratory::new();
    let expected = laboratory.uninterrupted("whole");
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("flipped", |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(path, bytes).unwrap();
        }),
        ("cut", |path| OpenOptions::new().write(true).open(path).unwrap().set_len(1_000).unwrap()),
        ("gone", |path| fs::remove_file(path).unwrap()),
        ("all gone", |path| fs::remove_dir_all(path.parent().unwrap()).unwrap()),
    ];
    for (name, damage) in damages {
        let segment = Segment { key: key(name), ..laboratory.segment.clone() };
        let folder = laboratory.ask(&laboratory.job(&segment));
        // In the third epoch: checkpoints of the first and the second lie there.
        interrupted(&folder, 10, true);
        damage(&folder::weights_path(&folder, Epoch(2)));
        assert_eq!(work(&folder).unwrap(), Outcome::Finished);
        let notes = notes(&folder);
        assert!(
            notes.iter().any(|note| note.contains("epoch 2") && note.contains("going on from")),
            "{name}: {notes:?}"
        );
        assert_same_end(&folder, &expected, 3);
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_it_and_the_last_finite_checkpoint_stays() {
    let laboratory = Laboratory::new();
    let mut segment = laboratory.segment.clone();
    segment.schedule = Schedule { decay: 1e30, ..segment.schedule };
    let folder = laboratory.ask(&laboratory.job(&segment));
    for _ in 0..2 {
        let Outcome::Failed(Failure { epoch, reason, may_succeed_again }) = work(&folder).unwrap() else {
            panic!("it did not fail");
        };
        assert_eq!((epoch, may_succeed_again), (Epoch(1), false));
        assert!(reason.contains("not finite") && reason.contains("learning rate"), "{reason}");
        // The rate rises with the second epoch: its first step still has the loss of a sound network.
        assert!(reason.contains("at step 2 of epoch 2"), "{reason}");
        assert_eq!(metrics(&folder).len(), 1);
        let (weights, momentum) = network(&folder, 1);
        let finite = |weights: &Weights| weights.values().flat_map(|it| &it.values).all(|value| value.is_finite());
        assert!(finite(&weights) && finite(&momentum));
    }
}

/// `T²·KL(teacher ‖ student)` of two sets of logits, mean over images, in double precision.
fn kd_loss(student: &Values, teacher: &Values, temperature: f64) -> f64 {
    let log_softmax = |row: &[f32]| {
        let scaled: Vec<f64> = row.iter().map(|logit| f64::from(*logit) / temperature).collect();
        let total = scaled.iter().map(|logit| logit.exp()).sum::<f64>().ln();
        scaled.into_iter().map(|logit| logit - total).collect::<Vec<f64>>()
    };
    let rows = student.values.chunks(10).zip(teacher.values.chunks(10));
    let losses = rows.map(|(student, teacher)| {
        let pairs = log_softmax(student).into_iter().zip(log_softmax(teacher));
        pairs.map(|(student, teacher)| teacher.exp() * (teacher - student)).sum::<f64>()
    });
    losses.sum::<f64>() / student.shape[0] as f64 * temperature * temperature
}

fn taught(laboratory: &Laboratory, name: &str, teacher: &CheckpointId) -> Segment {
    let kd = Term::Kd { teacher: teacher.clone(), temperature: 4.0 };
    Segment {
        key: key(name),
        terms: vec![(0.1, Term::CrossEntropy), (0.9, kd)],
        until: Epoch(2),
        stops: [Epoch(1), Epoch(2)].into(),
        ends: [Epoch(2)].into(),
        ..laboratory.segment.clone()
    }
}

#[test]
fn a_student_learns_from_a_frozen_teacher_and_is_measured_against_it() {
    let laboratory = Laboratory::new();
    let mut teacher = Segment { key: key("teacher"), seed: Seed(7), ..laboratory.segment.clone() };
    teacher.architecture = Architecture::WideResNet { depth: 10, width: 2 };
    teacher.stops.insert(Epoch(2));
    let teachers = laboratory.train(&teacher);
    let checkpoint = CheckpointId { segment: teacher.key.clone(), epoch: Epoch(2) };
    let student = taught(&laboratory, "student", &checkpoint);
    let folder = laboratory.train(&student);
    let told = load_logits(&teachers, Epoch(2)).unwrap();
    for (epoch, metrics) in metrics(&folder) {
        let [fidelity] = &metrics.fidelity[..] else { panic!("{:?}", metrics.fidelity) };
        assert_eq!((&fidelity.teacher, fidelity.temperature), (&checkpoint, 4.0));
        assert!(fidelity.kd_loss_train.unwrap() > 0.0);
        assert!((0.0..=1.0).contains(&fidelity.agreement_train.unwrap()));
        let own = load_logits(&folder, epoch).unwrap();
        let expected = [kd_loss(&own.validation, &told.validation, 4.0), kd_loss(&own.test, &told.test, 4.0)];
        for (measured, expected) in [fidelity.kd_loss_validation, fidelity.kd_loss_test].into_iter().zip(expected) {
            assert!((measured.unwrap() - expected).abs() < 1e-5 * expected, "{fidelity:?} {expected}");
        }
        let classes = |logits: &Values| {
            let named = logits.values.chunks(10).map(|row| (0..10).max_by(|a, b| row[*a].total_cmp(&row[*b])));
            named.collect::<Vec<_>>()
        };
        let (named, by_teacher) = (classes(&own.test), classes(&told.test));
        let agreeing = named.iter().zip(&by_teacher).filter(|(own, teacher)| own == teacher).count();
        assert_eq!(fidelity.agreement_test, Some(agreeing as f64 / 80.0));
        assert_cosines(fidelity);
    }
    assert_ne!(network(&folder, 2).0, network(&laboratory.uninterrupted("alone"), 3).0);

    // From labels alone after epoch 1: its teacher goes on observing.
    let tail = Segment {
        key: key("tail"),
        start: Start::Checkpoint(CheckpointId { segment: student.key.clone(), epoch: Epoch(1) }),
        observers: vec![Observer { teacher: checkpoint.clone(), temperature: 4.0 }],
        ..laboratory.segment.clone()
    };
    let folder = laboratory.train(&tail);
    assert_eq!(metrics(&folder).keys().map(|epoch| epoch.0).collect::<Vec<_>>(), [2, 3]);
    for metrics in metrics(&folder).into_values() {
        let [fidelity] = &metrics.fidelity[..] else { panic!("{:?}", metrics.fidelity) };
        assert!(fidelity.kd_loss_train.is_none() && fidelity.agreement_train.is_none());
        assert!(fidelity.kd_loss_validation.is_some() && fidelity.agreement_validation.is_some());
        assert_cosines(fidelity);
    }

    // Killed while it is taught, and gone on with by two threads.
    let again = taught(&laboratory, "again", &checkpoint);
    let folder = laboratory.ask(&Job { threads: 2, ..laboratory.job(&again) });
    interrupted(&folder, 6, true);
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
    assert_same_end(&folder, &laboratory.folder(&student), 2);
}

/// A worker that goes on from a checkpoint goes on from before anything was compared.
#[test]
fn every_method_is_measured_and_goes_on_as_if_it_was_not() {
    let laboratory = Laboratory::new();
    let mut teacher = Segment { key: key("teacher"), seed: Seed(7), until: Epoch(1), ..laboratory.segment.clone() };
    teacher.architecture = Architecture::WideResNet { depth: 10, width: 2 };
    (teacher.stops, teacher.ends) = ([Epoch(1)].into(), [Epoch(1)].into());
    laboratory.train(&teacher);
    let teacher = CheckpointId { segment: teacher.key, epoch: Epoch(1) };
    let of = || teacher.clone();
    let attention = || (1000.0, Term::Attention { teacher: of() });
    let kd = || (0.9, Term::Kd { teacher: of(), temperature: 4.0 });
    let dkd =
        Term::Dkd { teacher: of(), temperature: 4.0, target_weight: 1.0, non_target_weight: 8.0, warm_up: Epoch(2) };
    let dist = Term::Dist { teacher: of(), temperature: 1.0, between_weight: 1.0, within_weight: 1.0 };
    let sgd = laboratory.segment.optimizer;
    let dot = Optimizer::Dot { momentum: 0.9, weight_decay: 5e-4, momentum_difference: 0.075 };
    let methods = [
        ("at", sgd, vec![attention()]),
        ("kd at", sgd, vec![kd(), attention()]),
        ("standardised", sgd, vec![(9.0, Term::StandardisedKd { teacher: of(), temperature: 2.0 })]),
        ("dkd", sgd, vec![(1.0, dkd)]),
        ("dist", sgd, vec![(1.0, dist)]),
        ("dot", dot, vec![kd()]),
    ];
    let mut found = Vec::new();
    for (name, optimizer, asked) in methods {
        let terms = [vec![(0.1, Term::CrossEntropy)], asked].concat();
        let student = Segment { terms, optimizer, ..taught(&laboratory, name, &teacher) };
        let folder = laboratory.train(&student);
        for metrics in metrics(&folder).into_values() {
            let [fidelity] = &metrics.fidelity[..] else { panic!("{name}: {:?}", metrics.fidelity) };
            assert!(fidelity.kd_loss_train.is_some() && fidelity.kd_loss_test.is_some(), "{name}");
            let cosines = fidelity.gradient_cosine.clone().unwrap();
            // What is behind the last group moves no attention map.
            let moved: Vec<bool> = cosines.groups.iter().map(Option::is_some).collect();
            assert_eq!(moved, [true, true, true, true, name != "at"], "{name}");
            found.push(cosines);
        }
        let again = Segment { key: key(&format!("{name} 2")), ..student };
        let resumed = laboratory.ask(&laboratory.job(&again));
        interrupted(&resumed, 9, true);
        assert_eq!(metrics(&resumed).len(), 1, "{name} was killed in its second epoch");
        assert_eq!(work(&resumed).unwrap(), Outcome::Finished);
        assert_same_end(&resumed, &folder, 2);
    }
    // By another optimizer the first epoch ends elsewhere; no two methods ask for the same.
    let distinct = (0..found.len()).all(|one| !found[..one].contains(&found[one]));
    assert!(distinct, "{found:?}");
}

/// Attention maps have as many pixels in networks of any kind.
#[test]
fn a_network_of_one_kind_teaches_that_of_another() {
    let laboratory = Laboratory::new();
    let teacher = Segment {
        key: key("teacher"),
        architecture: Architecture::DenseNet { depth: 40, growth: 12 },
        until: Epoch(1),
        stops: [Epoch(1)].into(),
        ends: [Epoch(1)].into(),
        ..laboratory.segment.clone()
    };
    let teachers = laboratory.train(&teacher);
    let checkpoint = CheckpointId { segment: teacher.key, epoch: Epoch(1) };
    let mut student = taught(&laboratory, "student", &checkpoint);
    student.architecture = Architecture::ResNet { depth: 8, width: 1 };
    student.terms.push((1000.0, Term::Attention { teacher: checkpoint.clone() }));
    let folder = laboratory.train(&student);
    let told = load_logits(&teachers, Epoch(1)).unwrap();
    for (epoch, metrics) in metrics(&folder) {
        let [fidelity] = &metrics.fidelity[..] else { panic!("{:?}", metrics.fidelity) };
        let own = load_logits(&folder, epoch).unwrap();
        let expected = kd_loss(&own.test, &told.test, 4.0);
        assert!((fidelity.kd_loss_test.unwrap() - expected).abs() < 1e-5 * expected, "{fidelity:?} {expected}");
        assert_cosines(fidelity);
    }
    let again = Segment { key: key("again"), ..student };
    let resumed = laboratory.ask(&laboratory.job(&again));
    interrupted(&resumed, 5, true);
    assert_eq!(work(&resumed).unwrap(), Outcome::Finished);
    assert_same_end(&resumed, &folder, 2);
}

#[test]
fn a_damaged_or_missing_teacher_is_told_and_teaches_nobody() {
    let laboratory = Laboratory::new();
    let teachers = laboratory.uninterrupted("teacher");
    let path = folder::weights_path(&teachers, Epoch(3));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    for (name, problem) in [("teacher", "damaged"), ("nobody", "is not there")] {
        let teacher = CheckpointId { segment: key(name), epoch: Epoch(3) };
        let student = taught(&laboratory, "student", &teacher);
        let folder = laboratory.ask(&laboratory.job(&student));
        let Outcome::Failed(failure) = work(&folder).unwrap() else { panic!("it did not fail") };
        assert!(failure.may_succeed_again && failure.reason.contains(problem), "{failure:?}");
        assert!(failure.reason.contains(&key(name).0), "{failure:?}");
    }
}

#[test]
fn a_segment_that_branches_off_goes_on_as_if_it_had_not() {
    let laboratory = Laboratory::new();
    let whole = laboratory.uninterrupted("whole");
    let parent = Segment {
        key: key("parent"),
        until: Epoch(1),
        stops: [Epoch(1)].into(),
        ends: [].into(),
        ..laboratory.segment.clone()
    };
    laboratory.train(&parent);
    let start = Start::Checkpoint(CheckpointId { segment: parent.key, epoch: Epoch(1) });
    let tail = Segment { key: key("tail"), start, ..laboratory.segment.clone() };
    let folder = laboratory.train(&tail);
    assert!(network(&folder, 3) == network(&whole, 3));
    let (tail, whole) = (metrics(&folder), metrics(&whole));
    assert_eq!(tail.keys().copied().collect::<Vec<_>>(), [Epoch(2), Epoch(3)]);
    assert_eq!(tail[&Epoch(3)], whole[&Epoch(3)]);
    assert_eq!(tail[&Epoch(2)].validation, whole[&Epoch(2)].validation);
}

#[test]
fn an_earlier_stop_and_more_epochs_are_asked_for_later() {
    let laboratory = Laboratory::new();
    let stops = |stops: &[u32], name: &str| Segment {
        key: key(name),
        until: Epoch(*stops.last().unwrap()),
        stops: stops.iter().copied().map(Epoch).collect(),
        ends: [].into(),
        ..laboratory.segment.clone()
    };
    let all = laboratory.train(&stops(&[1, 2, 3], "all"));
    let folder = laboratory.train(&stops(&[2], "asked"));
    laboratory.train(&stops(&[2, 3], "asked"));
    laboratory.train(&stops(&[1, 2, 3], "asked"));
    for epoch in [1, 2, 3] {
        assert!(network(&folder, epoch) == network(&all, epoch));
    }
    assert_same_end(&folder, &all, 3);
    // Nothing is left to do.
    let before = events(&folder).len();
    laboratory.train(&stops(&[1, 2, 3], "asked"));
    // And nothing is said that was said before.
    let repeated = events(&folder).split_off(before);
    assert!(matches!(&repeated[..], [Event::Started { .. }, Event::Finished { .. }]), "{repeated:?}");
}

#[test]
fn who_observes_later_is_measured_at_the_kept_checkpoints() {
    let laboratory = Laboratory::new();
    let teachers = laboratory.train(&Segment { key: key("teacher"), seed: Seed(7), ..laboratory.segment.clone() });
    let folder = laboratory.train(&laboratory.segment);
    let before = network(&folder, 3);
    let observer = Observer { teacher: CheckpointId { segment: key("teacher"), epoch: Epoch(3) }, temperature: 2.0 };
    laboratory.train(&Segment { observers: vec![observer], ..laboratory.segment.clone() });
    assert!(network(&folder, 3) == before);
    let fidelity = &metrics(&folder)[&Epoch(3)].fidelity[0];
    let validation = |folder: &Path| load_logits(folder, Epoch(3)).unwrap().validation;
    let expected = kd_loss(&validation(&folder), &validation(&teachers), 2.0);
    assert!((fidelity.kd_loss_validation.unwrap() - expected).abs() < 1e-5 * expected);
    let test = |folder: &Path| load_logits(folder, Epoch(3)).unwrap().test;
    let expected = kd_loss(&test(&folder), &test(&teachers), 2.0);
    assert!((fidelity.kd_loss_test.unwrap() - expected).abs() < 1e-5 * expected);
    assert_eq!(fidelity.gradient_cosine, None, "the network was trained before");
}

/// A teacher whose weights are damaged is not looked at by its network; what it said of held-out images is kept.
#[test]
fn who_looks_on_changes_no_bit_of_what_is_trained() {
    let laboratory = Laboratory::new();
    let mut teacher = Segment { key: key("teacher"), seed: Seed(7), ..laboratory.segment.clone() };
    teacher.architecture = Architecture::WideResNet { depth: 10, width: 2 };
    let teachers = laboratory.train(&teacher);
    let alone = laboratory.uninterrupted("alone");
    let checkpoint = CheckpointId { segment: teacher.key, epoch: Epoch(3) };
    let observers = [1.0, 4.0].map(|temperature| Observer { teacher: checkpoint.clone(), temperature });
    let observed = |name: &str| {
        let folder =
            laboratory.train(&Segment { key: key(name), observers: observers.to_vec(), ..laboratory.segment.clone() });
        assert!(network(&folder, 3) == network(&alone, 3), "weights, statistics, momentum");
        assert_eq!(load_logits(&folder, Epoch(3)).unwrap(), load_logits(&alone, Epoch(3)).unwrap());
        let metrics: Vec<_> = metrics(&folder).into_values().collect();
        assert_eq!(metrics.len(), 3);
        assert!(metrics.iter().all(|metrics| metrics.fidelity.len() == 2));
        let nobody = |metrics: &EpochMetrics| EpochMetrics { fidelity: vec![], ..metrics.clone() };
        assert!(metrics.iter().map(nobody).eq(self::metrics(&alone).into_values()));
        (folder, metrics)
    };
    for metrics in observed("observed").1 {
        metrics.fidelity.iter().for_each(assert_cosines);
        // The temperature makes another gradient.
        assert_ne!(metrics.fidelity[0].gradient_cosine, metrics.fidelity[1].gradient_cosine);
    }

    let path = folder::weights_path(&teachers, Epoch(3));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let (folder, metrics) = observed("observed from afar");
    let fidelity = metrics.iter().flat_map(|metrics| &metrics.fidelity);
    assert!(fidelity.clone().all(|it| it.gradient_cosine.is_none() && it.kd_loss_validation.is_some()));
    let notes = notes(&folder);
    assert!(matches!(&notes[..], [note] if note.contains("not compared") && note.contains("damaged")), "{notes:?}");
}

#[test]
fn without_validation_there_is_no_curve_and_no_best() {
    let laboratory = Laboratory::new();
    let mut segment = laboratory.segment.clone();
    segment.dataset = dataset::facts(Dataset::FashionMnist, Some(laboratory.root.path()), Some(0)).unwrap();
    assert_eq!(segment.dataset.train, 232);
    let folder = laboratory.train(&segment);
    let metrics = metrics(&folder);
    assert!(metrics.values().all(|it| it.validation.is_none()));
    assert_eq!(metrics.values().filter(|it| it.test.is_some()).count(), 1);
    assert_eq!(promised(&folder), [(Epoch(3), Kept::Stop)].into());
    assert_eq!(load_logits(&folder, Epoch(3)).unwrap().validation.shape, [0, 10]);

    // It teaches all the same, and how well it is mimicked is known of training images alone.
    let teacher = CheckpointId { segment: segment.key.clone(), epoch: Epoch(3) };
    let student = Segment { dataset: segment.dataset.clone(), ..taught(&laboratory, "student", &teacher) };
    let folder = laboratory.train(&student);
    for (epoch, metrics) in self::metrics(&folder) {
        let [fidelity] = &metrics.fidelity[..] else { panic!("{:?}", metrics.fidelity) };
        assert!(fidelity.kd_loss_train.is_some() && fidelity.agreement_train.is_some());
        assert!(fidelity.kd_loss_validation.is_none() && fidelity.agreement_validation.is_none());
        assert_eq!(fidelity.kd_loss_test.is_some(), student.stops.contains(&epoch));
        assert_cosines(fidelity);
        assert!(metrics.validation.is_none() && metrics.test.is_some() == student.stops.contains(&epoch));
    }
    assert!(promised(&folder).into_values().all(|kept| kept == Kept::Stop));
}

#[test]
fn test_at_every_epoch_changes_nothing_else() {
    let laboratory = Laboratory::new();
    let expected = laboratory.uninterrupted("checkpoints");
    let job = Job { evaluate_test: EvaluateTest::EveryEpoch, ..laboratory.job(&laboratory.segment) };
    let folder = laboratory.ask(&job);
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
    assert!(metrics(&folder).values().all(|it| it.test.is_some()));
    assert!(network(&folder, 3) == network(&expected, 3));
    assert_eq!(metrics(&folder)[&Epoch(3)], metrics(&expected)[&Epoch(3)]);
}

#[test]
fn other_data_than_planned_is_refused_and_may_be_put_right() {
    let laboratory = Laboratory::new();
    let folder = laboratory.ask(&laboratory.job(&laboratory.segment));
    let images = built_in();
    write_idx(laboratory.root.path(), "t10k", &images.train, 80);
    let Outcome::Failed(failure) = work(&folder).unwrap() else { panic!("it did not fail") };
    assert!(failure.may_succeed_again && failure.reason.contains("not the data"), "{failure:?}");
    write_idx(laboratory.root.path(), "t10k", &images.test, 80);
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
}

#[test]
fn a_second_worker_is_refused() {
    let laboratory = Laboratory::new();
    let folder = laboratory.ask(&laboratory.job(&laboratory.segment));
    let held = folder::lock(&folder).unwrap().unwrap();
    assert!(is_working(&folder));
    assert!(matches!(work(&folder), Err(TrainError::Job { .. })));
    drop(held);
    assert!(!is_working(&folder));
}
