//! Segments and their folders, on real images: what a worker leaves behind does not depend on how often it was interrupted.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, OpenOptions},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::OnceLock,
};
use study::{
    Architecture, Augmentation, CheckpointId, Dataset, Device, Epoch, EpochMetrics, EvaluateTest, Event, Failure, Job,
    Kept, Numerics, Observer, Optimizer, Schedule, Seed, Segment, SegmentKey, Start, Term,
};
use tempfile::TempDir;
use train::{
    TrainError,
    checkpoint::{KeptLogits, load_logits, load_momentum, load_weights},
    dataset::{self, Images, Split},
    engine::{Values, Weights},
    folder,
    worker::{Outcome, is_working, work, work_until},
};

/// 172 training, 60 validation and 80 test images of Fashion-MNIST in its official files, and segments side by side.
struct Laboratory {
    root: TempDir,
    segment: Segment,
}

const VALIDATION: u32 = 60;

impl Laboratory {
    fn new() -> Laboratory {
        let root = TempDir::new().unwrap();
        let images = built_in();
        write_idx(root.path(), "train", &images.train, 232);
        write_idx(root.path(), "t10k", &images.test, 80);
        let dataset = dataset::facts(Dataset::FashionMnist, Some(root.path()), Some(VALIDATION)).unwrap();
        let segment = Segment {
            key: key("labels"),
            seed: Seed(0),
            start: Start::Initialisation,
            architecture: Architecture::WideResNet { depth: 10, width: 1 },
            schedule: Schedule { horizon: Epoch(3), drops: vec![Epoch(1)], learning_rate: 0.1, decay: 0.2 },
            terms: vec![(1.0, Term::CrossEntropy)],
            optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 },
            // The last batch has 44 images.
            batch_size: 64,
            augmentation: Augmentation::CropFlip,
            dataset,
            numerics: Numerics::CpuF32,
            until: Epoch(3),
            stops: [Epoch(3)].into(),
            ends: [Epoch(3)].into(),
            observers: vec![],
        };
        Laboratory { root, segment }
    }

    fn job(&self, segment: &Segment) -> Job {
        Job {
            version: Job::VERSION,
            segment: segment.clone(),
            dataset_path: Some(self.root.path().to_str().unwrap().into()),
            device: Device::Cpu,
            threads: 1,
            evaluate_test: EvaluateTest::Checkpoints,
        }
    }

    fn folder(&self, segment: &Segment) -> PathBuf {
        self.root.path().join("segments").join(&segment.key.0)
    }

    /// Says what to train, and where.
    fn ask(&self, job: &Job) -> PathBuf {
        let folder = self.folder(&job.segment);
        folder::write_job(&folder, job).unwrap();
        folder
    }

    /// Trains a segment to its end, in one go.
    fn train(&self, segment: &Segment) -> PathBuf {
        let folder = self.ask(&self.job(segment));
        assert_eq!(work(&folder).unwrap(), Outcome::Finished);
        folder
    }

    /// The same segment in a folder of its own, trained in one go.
    fn uninterrupted(&self, name: &str) -> PathBuf {
        self.train(&Segment { key: key(name), ..self.segment.clone() })
    }
}

fn built_in() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| dataset::load(Dataset::FashionMnist12k, None, Some(0)).unwrap())
}

fn key(name: &str) -> SegmentKey {
    SegmentKey(format!("{:0>32}", name.bytes().map(|byte| format!("{byte:x}")).collect::<String>()))
}

fn write_idx(folder: &Path, name: &str, split: &Split, count: u32) {
    let be = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let images = [be(&[0x803, count, 28, 28]), split.images[..count as usize * 784].to_vec()].concat();
    let labels = [be(&[0x801, count]), split.labels[..count as usize].to_vec()].concat();
    fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
}

fn events(folder: &Path) -> Vec<Event> {
    folder::read_events(folder, 0).unwrap().0
}

/// What a reader knows who takes each event in turn; wall times are left out, which no two trainings share.
fn metrics(folder: &Path) -> BTreeMap<Epoch, EpochMetrics> {
    let told = events(folder).into_iter().filter_map(|event| match event {
        Event::Epoch(metrics) => Some(metrics),
        _ => None,
    });
    told.map(|told| (told.epoch, EpochMetrics { seconds: 0.0, images_per_second: 0.0, ..told })).collect()
}

fn notes(folder: &Path) -> Vec<String> {
    let note = |event| match event {
        Event::Note { message } => Some(message),
        _ => None,
    };
    events(folder).into_iter().filter_map(note).collect()
}

/// Checkpoints promised and not taken back, with why they are kept.
fn promised(folder: &Path) -> BTreeMap<Epoch, Kept> {
    let mut promised = BTreeMap::new();
    for event in events(folder) {
        match event {
            Event::Checkpoint(file) => drop(promised.insert(file.epoch, file.kept)),
            Event::Pruned { epochs } => promised.retain(|epoch, _| !epochs.contains(epoch)),
            _ => {}
        }
    }
    promised
}

fn network(folder: &Path, epoch: u32) -> (Weights, Weights) {
    (load_weights(folder, Epoch(epoch)).unwrap().0, load_momentum(folder, Epoch(epoch)).unwrap())
}

#[track_caller]
fn assert_same_end(folder: &Path, expected: &Path, epoch: u32) {
    assert!(network(folder, epoch) == network(expected, epoch), "other weights or momentum");
    assert_eq!(load_logits(folder, Epoch(epoch)).unwrap(), load_logits(expected, Epoch(epoch)).unwrap());
    assert_eq!(metrics(folder), metrics(expected));
    assert_eq!(promised(folder), promised(expected));
}

/// Leaves, or dies without a word, at the `n`-th step or evaluated chunk.
fn interrupted(folder: &Path, n: usize, dies: bool) {
    let asked = Cell::new(0);
    let wish = || {
        asked.set(asked.get() + 1);
        assert!(!(dies && asked.get() == n), "killed");
        asked.get() == n
    };
    match dies {
        true => drop(catch_unwind(AssertUnwindSafe(|| work_until(folder, &wish))).expect_err("it was killed")),
        false => assert_eq!(work_until(folder, &wish).unwrap(), Outcome::Left),
    }
}

/// Half of the last line is lost, as when a machine loses power.
fn tear_last_line(folder: &Path) {
    let path = folder::events_path(folder);
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(path).unwrap().set_len(length - 9).unwrap();
}

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

#[test]
fn one_thread_or_two_the_bits_are_the_same() {
    let laboratory = Laboratory::new();
    let expected = laboratory.uninterrupted("one thread");
    let job = Job { threads: 2, ..laboratory.job(&laboratory.segment) };
    let folder = laboratory.ask(&job);
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
    assert_same_end(&folder, &expected, 3);
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
    let told = load_logits(&teachers, Epoch(2)).unwrap().validation;
    for (epoch, metrics) in metrics(&folder) {
        let [fidelity] = &metrics.fidelity[..] else { panic!("{:?}", metrics.fidelity) };
        assert_eq!((&fidelity.teacher, fidelity.temperature), (&checkpoint, 4.0));
        assert!(fidelity.kd_loss_train.unwrap() > 0.0);
        assert!((0.0..=1.0).contains(&fidelity.agreement_train.unwrap()));
        let own = load_logits(&folder, epoch).unwrap().validation;
        let expected = kd_loss(&own, &told, 4.0);
        assert!((fidelity.kd_loss_validation.unwrap() - expected).abs() < 1e-5 * expected, "{fidelity:?} {expected}");
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
    }

    // Killed while it is taught, and gone on with by two threads.
    let again = taught(&laboratory, "again", &checkpoint);
    let folder = laboratory.ask(&Job { threads: 2, ..laboratory.job(&again) });
    interrupted(&folder, 6, true);
    assert_eq!(work(&folder).unwrap(), Outcome::Finished);
    assert_same_end(&folder, &laboratory.folder(&student), 2);
}

#[test]
fn a_damaged_teacher_is_told_and_taught_by_nobody() {
    let laboratory = Laboratory::new();
    let teachers = laboratory.uninterrupted("teacher");
    let path = folder::weights_path(&teachers, Epoch(3));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let student = taught(&laboratory, "student", &CheckpointId { segment: key("teacher"), epoch: Epoch(3) });
    let folder = laboratory.ask(&laboratory.job(&student));
    let Outcome::Failed(failure) = work(&folder).unwrap() else { panic!("it did not fail") };
    assert!(failure.may_succeed_again && failure.reason.contains("damaged"), "{failure:?}");
    assert!(failure.reason.contains(&key("teacher").0), "{failure:?}");
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
    let repeated = events(&folder).split_off(before);
    assert!(repeated.iter().all(|event| !matches!(event, Event::Epoch(_))), "{repeated:?}");
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
