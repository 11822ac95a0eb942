//! Studies, plans and events made by hand: the store must keep any plan, not only those that today's planner makes.

use store::Store;
use study::{
    Architecture, Arm, Augmentation, CheckpointFile, CheckpointId, Choices, Comparison, Dataset, DatasetFacts, Epoch,
    EpochMetrics, Event, Fidelity, GradientCosine, Kept, Leg, Metric, Numerics, Observer, Optimizer, Plan, Point,
    Progress, Provenance, Recipe, Report, Run, RunId, Schedule, Scores, Seed, Segment, SegmentKey, Series, Snapshot,
    Start, State, Student, Study, StudyId, Term,
};
use tempfile::TempDir;

pub async fn empty_store() -> (TempDir, Store) {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(folder.path()).await.expect("a store");
    (folder, store)
}

pub const STUDENT: Architecture = Architecture::WideResNet { depth: 10, width: 1 };

pub fn study(title: &str) -> Study {
    Study {
        title: title.into(),
        dataset: Dataset::FashionMnist12k,
        validation: None,
        seeds: 3,
        student: Student { architecture: STUDENT.into(), epochs: Choices(vec![20]) },
        teacher: None,
        treatment: None,
        recipe: Recipe::default(),
        search: None,
    }
}

pub fn dataset() -> DatasetFacts {
    DatasetFacts {
        dataset: Dataset::FashionMnist12k,
        checksum: "d".repeat(64),
        classes: 10,
        channels: 1,
        image_size: 28,
        train: 12_000,
        validation: 5_000,
        test: 10_000,
    }
}

/// A key as keys look, from a number.
pub fn key(number: u32) -> SegmentKey {
    SegmentKey(format!("{:032x}", u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// A segment from its initialisation until `until`, with the weights of a sum that is not exact in decimals.
pub fn segment(number: u32, until: u32, observers: Vec<Observer>) -> Segment {
    Segment {
        key: key(number),
        seed: Seed(0),
        start: Start::Initialisation,
        architecture: STUDENT,
        schedule: Schedule { horizon: Epoch(20), drops: vec![Epoch(6), Epoch(12)], learning_rate: 0.1, decay: 0.2 },
        terms: vec![
            (1.0 - 0.9, Term::CrossEntropy),
            (0.1 + 0.2, Term::Kd { teacher: teacher(0), temperature: 1.0 / 3.0 }),
        ],
        optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 },
        batch_size: 128,
        augmentation: Augmentation::CropFlip,
        augmentation_seed: None,
        dataset: dataset(),
        numerics: Numerics::CpuF32,
        until: Epoch(until),
        stops: [Epoch(until)].into(),
        ends: [Epoch(until)].into(),
        observers,
    }
}

pub fn teacher(number: u32) -> CheckpointId {
    CheckpointId { segment: key(1_000_000 + number), epoch: Epoch(20) }
}

/// A plan of these segments, each of them a run.
pub fn plan(segments: Vec<Segment>) -> Plan {
    let run = |(index, segment): (usize, &Segment)| Run {
        id: RunId(segment.key.0[..16].into()),
        arm: 0,
        seed: Seed(index as u32),
        legs: vec![Leg { segment: segment.key.clone(), from: Epoch(0), until: segment.until }],
    };
    Plan {
        training_version: study::TRAINING_VERSION,
        numerics: Numerics::CpuF32,
        arms: vec![Arm {
            label: "labels only".into(),
            student: STUDENT,
            epochs: Epoch(20),
            distillation: None,
            baseline: 0,
        }],
        runs: segments.iter().enumerate().map(run).collect(),
        epochs: segments.iter().map(|segment| u64::from(segment.until.0)).sum(),
        epochs_without_sharing: 320,
        segments,
        remarks: vec!["no labels-only arm: the first arm is the baseline".into()],
        rounds: Vec::new(),
    }
}

pub async fn create(store: &Store, title: &str, plan: &Plan) -> StudyId {
    store.create_study(&study(title), plan, &dataset(), 1_700_000_000).await.expect("a study")
}

pub fn metrics(epoch: u32) -> EpochMetrics {
    let epoch_value = f64::from(epoch);
    EpochMetrics {
        epoch: Epoch(epoch),
        learning_rate: 0.1 * 0.2_f64.powi(epoch as i32 / 6),
        train: Scores {
            cross_entropy: 2.3 / epoch_value.max(1.0),
            accuracy: 1.0 - 1.0 / (epoch_value + 1.0),
            calibration_error: None,
        },
        train_clean: None,
        validation: Some(Scores {
            cross_entropy: 0.7 / 3.0 + epoch_value,
            accuracy: 4_213.0 / 5_000.0,
            calibration_error: Some(0.0333),
        }),
        test: None,
        fidelity: Vec::new(),
        seconds: 3.3 + epoch_value / 7.0,
        images_per_second: 12_000.0 / 3.3,
    }
}

pub fn fidelity(number: u32, temperature: f64) -> Fidelity {
    Fidelity {
        teacher: teacher(number),
        temperature,
        kd_loss_train: Some(1.0 / 7.0),
        kd_loss_validation: Some(2.0 / 7.0),
        kd_loss_test: None,
        agreement_train: Some(0.75),
        agreement_validation: Some(0.5),
        agreement_test: None,
        gradient_cosine: Some(GradientCosine {
            all: Some((-1.0 / 3.0).into()),
            groups: vec![Some(0.1.into()), None, Some(0.0.into()), Some((-1.0).into()), Some(1.0.into())],
        }),
    }
}

pub fn provenance(host: &str) -> Provenance {
    Provenance {
        version: "0.1.0".into(),
        training_version: study::TRAINING_VERSION,
        host: host.into(),
        instruction_set: "avx2".into(),
        threads: 1,
        device: "cpu".into(),
        data_checksum: "d".repeat(64),
    }
}

pub fn started(host: &str) -> Event {
    Event::Started { version: 1, epoch: Epoch(0), provenance: provenance(host), process: 4_242 }
}

pub fn checkpoint(epoch: u32, kept: Kept) -> CheckpointFile {
    CheckpointFile { epoch: Epoch(epoch), kept, digest: format!("{epoch:064x}"), bytes: 312_000 + u64::from(epoch) }
}

pub fn note(message: &str) -> Event {
    Event::Note { message: message.into() }
}

pub fn snapshot(title: &str) -> Snapshot {
    let report = Report {
        study: study(title),
        arms: plan(Vec::new()).arms,
        runs: 3,
        segments: 3,
        epochs: 60,
        epochs_without_sharing: 60,
        progress: Progress {
            state: State::Finished,
            epochs_done: 60,
            epochs_total: 60,
            runs: Vec::new(),
            left: None,
            failures: Vec::new(),
        },
        comparison: Comparison {
            arms: Vec::new(),
            model: "arm + seed (randomised blocks)".into(),
            degrees_of_freedom: Some(8),
            residual_deviation: Some(1.0 / 3.0),
            test_sampling_error: None,
            answer: "Not distinguishable.".into(),
            remarks: vec!["students of one teacher (seed 0)".into()],
        },
        curves: vec![(
            Metric::ValidationAccuracy,
            vec![Series {
                arm: 0,
                label: "labels only".into(),
                points: vec![Point { epoch: Epoch(1), mean: 200.0 / 3.0, low: 66.0, high: 67.0, seeds: 3 }],
                kd_stops_at: None,
                drops: vec![Epoch(6)],
            }],
        )],
        provenance: vec![provenance("")],
        incidents: Vec::new(),
        test_images: 10_000,
        teachers: Vec::new(),
        images: None,
        started_at: None,
        training_seconds: None,
        conflicts: Vec::new(),
        ensembles: None,
        search: None,
        confusion: None,
    };
    Snapshot { version: Snapshot::VERSION, frozen_at: 1_700_000_000, report }
}
