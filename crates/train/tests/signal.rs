//! SIGTERM asks a worker to leave. A test of its own process, for a signal reaches all of one.

use signal_hook::{consts::SIGTERM, flag, low_level};
use std::{
    sync::{Arc, atomic::AtomicBool},
    thread,
};
use study::{
    Architecture, Augmentation, Dataset, Device, Epoch, EvaluateTest, Event, Job, Numerics, Optimizer, Schedule, Seed,
    Segment, SegmentKey, Start, Term,
};
use train::{
    dataset,
    folder::{read_events, write_job},
    worker::{Outcome, work},
};

#[test]
fn a_worker_leaves_at_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let job = Job {
        version: Job::VERSION,
        segment: Segment {
            key: SegmentKey("0".repeat(32)),
            seed: Seed(0),
            start: Start::Initialisation,
            architecture: Architecture::WideResNet { depth: 10, width: 1 },
            schedule: Schedule { horizon: Epoch(9), drops: vec![], learning_rate: 0.1, decay: 0.2 },
            terms: vec![(1.0, Term::CrossEntropy)],
            optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 },
            batch_size: 128,
            augmentation: Augmentation::CropFlip,
            augmentation_seed: None,
            dataset: dataset::facts(Dataset::FashionMnist12k, None, None).unwrap(),
            numerics: Numerics::CpuF32,
            until: Epoch(9),
            stops: [Epoch(9)].into(),
            ends: [Epoch(9)].into(),
            observers: vec![],
        },
        dataset_path: None,
        device: Device::Cpu,
        threads: 1,
        evaluate_test: EvaluateTest::Checkpoints,
        shared_folder: None,
        teacher_logits: Vec::new(),
    };
    write_job(folder.path(), &job).unwrap();
    // From here on the signal does not end the process, whether the worker listens already or not.
    flag::register(SIGTERM, Arc::new(AtomicBool::new(false))).unwrap();
    let outcome = thread::scope(|scope| {
        let worker = scope.spawn(|| work(folder.path()).unwrap());
        while !worker.is_finished() {
            if read_events(folder.path(), 0).unwrap().0.iter().any(|event| matches!(event, Event::Started { .. })) {
                low_level::raise(SIGTERM).unwrap();
            }
            thread::yield_now();
        }
        worker.join().unwrap()
    });
    assert_eq!(outcome, Outcome::Left);
    let told = read_events(folder.path(), 0).unwrap().0;
    assert!(matches!(told.last(), Some(Event::Left { .. })), "{:?}", told.last());
}
