//! A worker and its folder, on real images: what is left behind is a function of the segment alone, however often the
//! work was interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use study::{
    Dataset, Device, Epoch, EpochMetrics, EvaluateTest, Event, Job, Kept, Numerics, Plan, Segment, Start, Study,
};
use train::folder::{self, read_events, weights_path, write_job};
use train::worker::{Outcome, work};
use train::{checkpoint, dataset};

/// Writes 500 training and 100 test images of the built-in set as official files of Fashion-MNIST.
fn small_data(folder: &Path) -> PathBuf {
    let images = dataset::load(Dataset::FashionMnist12k, None, None).expect("the built-in images");
    let path = folder.join("fashion-mnist");
    fs::create_dir_all(&path).expect("a folder");
    for (name, split, count) in [("train", &images.train, 500usize), ("t10k", &images.test, 100)] {
        let sizes = [0x803u32, count as u32, 28, 28].map(u32::to_be_bytes).concat();
        let pixels = &split.images[..count * 784];
        fs::write(path.join(format!("{name}-images-idx3-ubyte")), [&sizes, pixels].concat()).expect("images");
        let sizes = [0x801u32, count as u32].map(u32::to_be_bytes).concat();
        fs::write(path.join(format!("{name}-labels-idx1-ubyte")), [&sizes, &split.labels[..count]].concat())
            .expect("labels");
    }
    path
}

/// A study of a small teacher and a smaller student; `changes` are lines put in place of its own.
fn plan(data: &Path, validation: u32, changes: &[(&str, &str)]) -> Plan {
    let mut text = format!(
        r#"
        title = "Does it hold?"
        dataset = "fashion-mnist"
        validation = {validation}
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
        "#
    );
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is in the study");
        text = text.replace(from, to);
    }
    let study = Study::from_toml(&text).expect("a study");
    let facts = dataset::facts(Dataset::FashionMnist, Some(data), Some(validation)).expect("the data");
    Plan::new(&study, &facts, Numerics::CpuF32).expect("a plan")
}

fn job(segment: &Segment, data: &Path, threads: u32) -> Job {
    Job {
        version: Job::VERSION,
        segment: segment.clone(),
        dataset_path: Some(data.to_string_lossy().into_owned()),
        device: Device::Cpu,
        threads,
        evaluate_test: EvaluateTest::Checkpoints,
    }
}

fn home(root: &Path, segment: &Segment) -> PathBuf {
    root.join(&segment.key.0)
}

fn train_all(root: &Path, plan: &Plan, data: &Path, threads: u32) {
    for segment in &plan.segments {
        let folder = home(root, segment);
        write_job(&folder, &job(segment, data, threads)).expect("a job");
        assert_eq!(work(&folder).expect("a worker"), Outcome::Finished);
    }
}

fn told(folder: &Path) -> Vec<Event> {
    read_events(folder, 0).expect("events").0
}

/// The last word on each epoch, without what a clock says.
fn metrics(folder: &Path) -> BTreeMap<Epoch, EpochMetrics> {
    let events = told(folder).into_iter().filter_map(|event| match event {
        Event::Epoch(metrics) => {
            Some((metrics.epoch, EpochMetrics { seconds: 0.0, images_per_second: 0.0, ..metrics }))
        }
        _ => None,
    });
    events.collect()
}

/// Weights, optimizer state and logits of a checkpoint, without the weights file's provenance.
fn contents(folder: &Path, epoch: Epoch) -> (train::engine::Weights, train::engine::Weights, checkpoint::KeptLogits) {
    (
        checkpoint::load_weights(folder, epoch).expect("weights").0,
        checkpoint::load_momentum(folder, epoch).expect("optimizer state"),
        checkpoint::load_logits(folder, epoch).expect("logits"),
    )
}

fn assert_same(root: &Path, other: &Path, plan: &Plan) {
    for segment in &plan.segments {
        let (a, b) = (home(root, segment), home(other, segment));
        assert_eq!(metrics(&a), metrics(&b));
        for stop in &segment.stops {
            assert!(contents(&a, *stop) == contents(&b, *stop), "{} at {stop}", segment.key);
        }
    }
}

#[test]
fn a_study_is_trained_segment_by_segment_and_threads_change_nothing() {
    let root = tempfile::tempdir().expect("a folder");
    let data = small_data(root.path());
    let plan = plan(&data, 100, &[]);
    let (one, two) = (root.path().join("one"), root.path().join("two"));
    train_all(&one, &plan, &data, 1);
    train_all(&two, &plan, &data, 2);
    assert_same(&one, &two, &plan);

    for segment in &plan.segments {
        let folder = home(&one, segment);
        let metrics = metrics(&folder);
        let epochs: Vec<u32> = metrics.keys().map(|epoch| epoch.0).collect();
        assert_eq!(epochs, (segment.from().0 + 1..=segment.until.0).collect::<Vec<_>>());
        for (epoch, metrics) in &metrics {
            assert!(metrics.validation.is_some() && metrics.train.cross_entropy > 0.0);
            assert_eq!(metrics.train_clean.is_some(), segment.ends.contains(epoch));
            assert!(metrics.test.is_some() || !segment.stops.contains(epoch), "a stop is tested");
            assert_eq!(metrics.fidelity.len(), segment.measured_against().len());
            for fidelity in &metrics.fidelity {
                let teaches = segment.terms.iter().any(|(_, term)| term.teacher() == Some(&fidelity.teacher));
                assert_eq!(fidelity.kd_loss_train.is_some(), teaches);
                assert!(fidelity.kd_loss_validation.is_some_and(|loss| loss > 0.0));
                assert!(fidelity.agreement_validation.is_some_and(|share| (0.0..=1.0).contains(&share)));
            }
        }
        let best = train::segment::best_epoch(metrics.values()).expect("validated");
        assert!(metrics[&best].test.is_some(), "the best on validation is tested");
        assert!(told(&folder).iter().any(|event| matches!(event, Event::Finished { .. })));
        assert!(told(&folder).iter().any(|event| matches!(event, Event::Checkpoint(file) if file.kept == Kept::Stop)));
    }
    let students = plan.segments.iter().filter(|segment| segment.start != Start::Initialisation).count();
    assert_eq!(students, 2, "two tails go on from a parent's checkpoint");
    let observed = plan.segments.iter().filter(|segment| segment.observers.len() == 2).count();
    assert_eq!(observed, 1, "labels alone are observed by both teachers");
}

/// Undisturbed, and through every fault that a folder can show a worker when it starts.
#[test]
fn whatever_happens_between_two_workers_the_numbers_are_the_same() {
    let root = tempfile::tempdir().expect("a folder");
    let data = small_data(root.path());
    let plan = plan(&data, 100, &[("epochs = 3", "epochs = 5"), ("kd_stop_epoch = [0, 2]", "kd_stop_epoch = 0")]);
    let [segment] = &plan.segments[..] else { panic!("labels alone are one segment") };
    let (whole, broken) = (root.path().join("whole"), root.path().join("broken"));
    train_all(&whole, &plan, &data, 1);

    let folder = home(&broken, segment);
    let mut part = segment.clone();
    (part.until, part.stops, part.ends) = (Epoch(3), BTreeSet::from([Epoch(3)]), BTreeSet::new());
    write_job(&folder, &job(&part, &data, 1)).expect("a job");
    assert_eq!(work(&folder).expect("a worker"), Outcome::Finished);

    // Asked to leave: it leaves at once and says what is covered.
    write_job(&folder, &job(segment, &data, 1)).expect("a job");
    folder::ask_to_leave(&folder).expect("a request");
    assert_eq!(work(&folder).expect("a worker"), Outcome::Left);
    assert_eq!(told(&folder).last(), Some(&Event::Left { epoch: Epoch(3) }));
    folder::clear_request_to_leave(&folder).expect("taken back");

    // Killed while it wrote a line, and while it wrote a file; then the newest checkpoint is damaged.
    let events = folder::events_path(&folder);
    let text = fs::read(&events).expect("events");
    fs::write(&events, [&text[..], b"{\"event\":\"epo"].concat()).expect("a torn line");
    fs::write(weights_path(&folder, Epoch(4)), b"half of a file").expect("a torn file");
    let weights = weights_path(&folder, Epoch(3));
    let mut bytes = fs::read(&weights).expect("weights");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).expect("one bit flipped");

    assert_eq!(work(&folder).expect("a worker"), Outcome::Finished);
    let notes: Vec<_> = told(&folder).into_iter().filter(|event| matches!(event, Event::Note { .. })).collect();
    assert!(matches!(&notes[..], [Event::Note { message }] if message.contains("epoch 3")), "{notes:?}");
    // The stop at 3, which only the first job had, was tested; all else agrees.
    let (mut ours, mut undisturbed) = (metrics(&folder), metrics(&home(&whole, segment)));
    for metrics in [&mut ours, &mut undisturbed] {
        metrics.iter_mut().filter(|(epoch, _)| epoch.0 < 5).for_each(|(_, metrics)| metrics.test = None);
    }
    assert_eq!(ours, undisturbed);
    assert!(contents(&folder, Epoch(5)) == contents(&home(&whole, segment), Epoch(5)));
}

#[test]
fn a_stop_between_two_that_were_kept_is_trained_again_to_the_same_bits() {
    let root = tempfile::tempdir().expect("a folder");
    let data = small_data(root.path());
    let labels = [("kd_stop_epoch = [0, 2]", "kd_stop_epoch = 0")];
    let plan = plan(&data, 100, &[("epochs = 3", "epochs = 5"), labels[0]]);
    let segment = &plan.segments[0];
    let (late, early) = (root.path().join("late"), root.path().join("early"));
    train_all(&late, &plan, &data, 1);
    let mut asked = segment.clone();
    asked.stops.insert(Epoch(2));
    for root in [&late, &early] {
        write_job(&home(root, segment), &job(&asked, &data, 1)).expect("a job");
        assert_eq!(work(&home(root, segment)).expect("a worker"), Outcome::Finished);
    }
    for stop in [Epoch(2), Epoch(5)] {
        assert!(contents(&home(&late, segment), stop) == contents(&home(&early, segment), stop), "{stop}");
    }
    // A worker with nothing left to do changes nothing.
    let before = metrics(&home(&late, segment));
    assert_eq!(work(&home(&late, segment)).expect("a worker"), Outcome::Finished);
    assert_eq!(metrics(&home(&late, segment)), before);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_for_good() {
    let root = tempfile::tempdir().expect("a folder");
    let data = small_data(root.path());
    let recipe = ("batch_size = 64", "batch_size = 64\nlearning_rate = 1e30");
    let plan = plan(&data, 100, &[recipe, ("kd_stop_epoch = [0, 2]", "kd_stop_epoch = 0")]);
    let folder = home(root.path(), &plan.segments[0]);
    write_job(&folder, &job(&plan.segments[0], &data, 1)).expect("a job");
    let Outcome::Failed(failure) = work(&folder).expect("a worker") else { panic!("it cannot succeed") };
    assert!(!failure.may_succeed_again && failure.reason.contains("not finite"), "{failure:?}");
    assert_eq!(told(&folder).last(), Some(&Event::Failed(failure)));
}

#[test]
fn without_validation_there_is_no_curve_and_no_best() {
    let root = tempfile::tempdir().expect("a folder");
    let data = small_data(root.path());
    let plan = plan(&data, 0, &[("epochs = 3", "epochs = 2"), ("kd_stop_epoch = [0, 2]", "kd_stop_epoch = 1")]);
    train_all(root.path(), &plan, &data, 2);
    for segment in &plan.segments {
        let folder = home(root.path(), segment);
        for (epoch, metrics) in metrics(&folder) {
            assert_eq!(metrics.validation, None);
            assert_eq!(metrics.test.is_some(), segment.stops.contains(&epoch));
            assert!(metrics.fidelity.iter().all(|fidelity| fidelity.kd_loss_validation.is_none()));
        }
        assert!(told(&folder).iter().all(|event| !matches!(event, Event::Checkpoint(file) if file.kept == Kept::Best)));
    }
}

#[test]
fn a_teacher_that_is_not_there_and_data_that_changed_are_said() {
    let root = tempfile::tempdir().expect("a folder");
    let data = small_data(root.path());
    let plan = plan(&data, 100, &[]);
    let taught = plan.segments.iter().find(|segment| segment.terms.len() == 2).expect("a distilling segment");
    let folder = home(root.path(), taught);
    write_job(&folder, &job(taught, &data, 1)).expect("a job");
    let Outcome::Failed(failure) = work(&folder).expect("a worker") else { panic!("it has no teacher") };
    assert!(failure.may_succeed_again && failure.reason.contains("is not there"), "{failure:?}");

    let labels = data.join("t10k-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).expect("labels");
    bytes[20] = (bytes[20] + 1) % 10;
    fs::write(&labels, bytes).expect("another label");
    let Outcome::Failed(failure) = work(&folder).expect("a worker") else { panic!("the data changed") };
    assert!(failure.reason.contains("changed"), "{failure:?}");
}
