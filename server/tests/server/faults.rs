//! What goes wrong in one segment is mended or told there, and holds up nobody else.

use crate::laboratory::{Bench, DEADLINE, Laboratory, study, timeless_metrics, weights};
use serde_json::Value;
use server::{
    datasets::DatasetPaths,
    runner::{self, Runner},
};
use std::{fs, path::Path, sync::Arc};
use store::Store;
use study::{
    CheckpointId, Dataset, DatasetFacts, Epoch, Event, Numerics, Plan, Segment, SegmentFacts, SegmentKey, Study,
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use train::folder::weights_path;

/// A study of the bench's images as the program plans it.
fn planned(bench: &Bench, text: &str) -> (Study, Plan, DatasetFacts) {
    let study = Study::from_toml(text).expect("a study");
    let images = bench.folder.path().join("images");
    let facts = train::dataset::facts(Dataset::FashionMnist, Some(&images), study.validation).expect("its images");
    let plan = Plan::new(&study, &facts, Numerics::CpuF32).expect("a plan");
    (study, plan, facts)
}

fn labels_only(plan: &Plan) -> Vec<&Segment> {
    let alone = |run: &&study::Run| plan.arms[run.arm].distillation.is_none();
    plan.runs.iter().filter(alone).filter_map(|run| plan.segment(&run.legs[0].segment)).collect()
}

/// A runner without a server, on a study of its own.
struct Alone {
    store: Store,
    plan: Plan,
    finish: watch::Sender<bool>,
    runner: JoinHandle<()>,
}

impl Alone {
    async fn run(bench: &Bench, text: &str, program: &str, prepare: impl FnOnce(&Plan, &Path)) -> Alone {
        let (study, plan, facts) = planned(bench, text);
        let data_dir = bench.data_dir("alone");
        fs::create_dir_all(data_dir.join("segments")).expect("a data folder");
        prepare(&plan, &data_dir.join("segments"));
        let store = Store::open(&data_dir).await.expect("a store");
        store.create_study(&study, &plan, &facts, 0).await.expect("a study");
        let (finish, finished) = watch::channel(false);
        let datasets = DatasetPaths::from([(Dataset::FashionMnist, bench.folder.path().join("images"))]);
        let runner = Runner {
            store: store.clone(),
            data_dir,
            datasets: datasets.into(),
            threads: 2,
            memory: None,
            teacher_logits_limit: 0,
            teacher_logits_bytes: Arc::default(),
            only: None,
            program: program.into(),
        };
        Alone { store, plan, finish, runner: tokio::spawn(runner::run(runner, finished)) }
    }

    /// Waits until something is known of a segment.
    async fn until(&self, key: &SegmentKey, holds: impl Fn(&SegmentFacts) -> bool) -> SegmentFacts {
        let mut changes = self.store.changes();
        let waited = timeout(DEADLINE, async {
            loop {
                changes.borrow_and_update();
                let facts = self.store.facts(&self.plan).await.expect("facts").remove(key).unwrap_or_default();
                if holds(&facts) {
                    return facts;
                }
                changes.changed().await.expect("the store is open");
            }
        });
        waited.await.expect("it comes to that")
    }

    async fn end(self) {
        self.finish.send(true).expect("the runner listens");
        self.runner.await.expect("the runner ends");
    }
}

/// A study of one training from labels alone.
fn one_training() -> String {
    study("Who dies?", 2, "0").replace("seeds = 2", "seeds = 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_always_dies_is_given_up_though_it_promises_its_checkpoint_each_time() {
    let bench = Bench::new();
    // The shell is started as a worker is, and finds a script of that name in the segment's folder.
    let script = r#"echo '{"event":"checkpoint","epoch":1,"kept":"latest","digest":"d","bytes":1}' >> events.jsonl
echo "out of luck" >&2
exit 3
"#;
    let alone = Alone::run(&bench, &one_training(), "/bin/sh", |plan, segments| {
        let folder = segments.join(&plan.segments[0].key.0);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("worker"), script).expect("a script");
    })
    .await;
    let key = alone.plan.segments[0].key.clone();
    let failure = alone.until(&key, |facts| facts.failure.is_some()).await.failure.expect("a failure");
    assert!(failure.may_succeed_again && failure.reason.contains("6 times in a row"), "{failure:?}");
    assert!(failure.reason.contains("out of luck"), "{failure:?}");
    let folder = bench.data_dir("alone").join("segments").join(&key.0);
    assert_eq!(train::folder::read_events(&folder, 0).expect("events").0.len(), 6, "one life and five more");
    alone.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_read_holds_up_no_other() {
    let bench = Bench::new();
    let text = study("Who goes on?", 1, "0");
    let program = env!("CARGO_BIN_EXE_stillroom");
    let alone = Alone::run(&bench, &text, program, |plan, segments| {
        let events = segments.join(&plan.segments[0].key.0).join("events.jsonl");
        fs::create_dir_all(events).expect("a folder where a file should be");
    })
    .await;
    let [broken, whole] = [0, 1].map(|index| alone.plan.segments[index].key.clone());
    alone.until(&whole, |facts| facts.checkpoints.iter().any(|checkpoint| checkpoint.epoch == Epoch(1))).await;
    let failure = alone.until(&broken, |facts| facts.failure.is_some()).await.failure.expect("a failure");
    assert!(failure.reason.contains("events.jsonl"), "{failure:?}");
    alone.end().await;
}

/// Whether every run from labels alone was measured against each of its observers at its end.
fn all_measured(laboratory: &Laboratory, plan: &Plan) -> bool {
    labels_only(plan).into_iter().all(|segment| {
        let told = laboratory.events(&segment.key);
        let measured = |observer: &study::Observer| {
            told.iter().any(|event| match event {
                Event::Epoch(metrics) if metrics.epoch == segment.until => metrics.fidelity.iter().any(|it| {
                    (&it.teacher, it.temperature) == (&observer.teacher, observer.temperature)
                        && it.kd_loss_validation.is_some()
                }),
                _ => false,
            })
        };
        segment.observers.iter().all(measured)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_study_of_another_temperature_gets_its_curve_for_labels_alone() {
    let bench = Bench::new();
    let cold = study("How warm?", 4, "[0, 4]");
    let warm = cold.replace("[treatment]", "[treatment]\ntemperature = 16.0");
    let laboratory = bench.serve("data");
    let first = laboratory.create(&cold).await;
    laboratory.until_finished(first).await;
    let plan = planned(&bench, &warm).1;
    assert!(!all_measured(&laboratory, &plan));
    let second = laboratory.create(&warm).await;
    let measured = |study: &Value| study["working"] == 0 && all_measured(&laboratory, &plan);
    laboratory.until(second, "labels alone to be measured at the other temperature", measured).await;
    let study = laboratory.until_finished(second).await;
    assert_eq!(study["progress"]["failures"], Value::Array(Vec::new()));
    // Its worker came back once, and had all in a checkpoint.
    for segment in labels_only(&plan) {
        let told = laboratory.events(&segment.key);
        let begun = told.iter().filter_map(|event| match event {
            Event::Started { epoch, .. } => Some(*epoch),
            _ => None,
        });
        assert_eq!(begun.collect::<Vec<_>>(), [Epoch(0), segment.until]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_that_is_its_own_teacher_has_a_curve_where_its_checkpoints_are_kept() {
    let bench = Bench::new();
    let text = study("Does it learn from itself?", 3, "[0, 3]");
    let plan = planned(&bench, &text).1;
    let itself = labels_only(&plan).into_iter().find(|segment| segment.seed.0 == 0).expect("seed 0 teaches");
    assert!(itself.observers.iter().all(|observer| observer.teacher.segment == itself.key));
    let laboratory = bench.serve("data");
    let id = laboratory.create(&text).await;
    let measured = |study: &Value| study["working"] == 0 && all_measured(&laboratory, &plan);
    laboratory.until(id, "the teacher to be measured against itself", measured).await;
    laboratory.until_finished(id).await;
}

fn flip_last_byte(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(path, bytes).expect("it is damaged");
}

/// A damaged teacher is met by a worker, where its checkpoint was looked at before, or before one starts, where it was not.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_teacher_is_made_again_and_its_students_go_on() {
    for server_starts_anew in [false, true] {
        let bench = Bench::new();
        let first = study("Who teaches?", 2, "[0, 2]");
        let mut laboratory = bench.serve("data");
        let id = laboratory.create(&first).await;
        laboratory.until_finished(id).await;
        let plan = planned(&bench, &first).1;
        let teacher = plan.segments.iter().flat_map(|segment| segment.needs()).next().expect("a teacher");
        let CheckpointId { segment, epoch } = teacher.clone();
        let path = weights_path(&laboratory.segment_folder(&segment), epoch);
        let whole = weights(&path);
        flip_last_byte(&path);
        if server_starts_anew {
            laboratory.stop();
            laboratory = bench.serve("data");
        }

        let second = laboratory.create(&first.replace("[treatment]", "[treatment]\ntemperature = 2.0")).await;
        let study = laboratory.until_finished(second).await;
        assert_eq!(study["progress"]["failures"], Value::Array(Vec::new()));
        assert!(weights(&path) == whole, "the teacher came to other bits");
        let made_again = |event: &Event| matches!(event, Event::Note { message } if message.contains("going on from"));
        assert!(laboratory.events(&segment).iter().any(made_again));
        let study = laboratory.get(&format!("/api/v1/studies/{second}")).await;
        assert_eq!(study["progress"]["state"], "finished");
        assert!(!timeless_metrics(&laboratory, second).await["runs"].as_array().expect("runs").is_empty());
    }
}
