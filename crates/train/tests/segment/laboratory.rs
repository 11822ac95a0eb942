//! Small data, segments side by side, and what a worker leaves in their folders.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, OpenOptions},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::OnceLock,
};
use study::{
    Architecture, Augmentation, Dataset, Device, Epoch, EpochMetrics, EvaluateTest, Event, Job, Kept, Numerics,
    Optimizer, Schedule, Seed, Segment, SegmentKey, Start, Term,
};
use tempfile::TempDir;
use train::{
    checkpoint::{load_logits, load_momentum, load_weights},
    dataset::{self, Images, Split},
    engine::Weights,
    folder,
    worker::{Outcome, work, work_until},
};

/// 172 training, 60 validation and 80 test images of Fashion-MNIST in its official files, and segments side by side.
pub struct Laboratory {
    pub root: TempDir,
    pub segment: Segment,
}

const VALIDATION: u32 = 60;

impl Laboratory {
    pub fn new() -> Laboratory {
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
            augmentation_seed: None,
            dataset,
            numerics: Numerics::CpuF32,
            until: Epoch(3),
            stops: [Epoch(3)].into(),
            ends: [Epoch(3)].into(),
            observers: vec![],
        };
        Laboratory { root, segment }
    }

    pub fn job(&self, segment: &Segment) -> Job {
        Job {
            version: Job::VERSION,
            segment: segment.clone(),
            dataset_path: Some(self.root.path().to_str().unwrap().into()),
            device: Device::Cpu,
            threads: 1,
            evaluate_test: EvaluateTest::Checkpoints,
            shared_folder: None,
            teacher_logits: Vec::new(),
        }
    }

    pub fn folder(&self, segment: &Segment) -> PathBuf {
        self.root.path().join("segments").join(&segment.key.0)
    }

    /// Says what to train, and where.
    pub fn ask(&self, job: &Job) -> PathBuf {
        let folder = self.folder(&job.segment);
        folder::write_job(&folder, job).unwrap();
        folder
    }

    /// Trains a segment to its end, in one go.
    pub fn train(&self, segment: &Segment) -> PathBuf {
        let folder = self.ask(&self.job(segment));
        assert_eq!(work(&folder).unwrap(), Outcome::Finished);
        folder
    }

    /// The same segment in a folder of its own, trained in one go.
    pub fn uninterrupted(&self, name: &str) -> PathBuf {
        self.train(&Segment { key: key(name), ..self.segment.clone() })
    }
}

pub fn built_in() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| dataset::load(Dataset::FashionMnist12k, None, Some(0)).unwrap())
}

pub fn key(name: &str) -> SegmentKey {
    SegmentKey(format!("{:0>32}", name.bytes().map(|byte| format!("{byte:x}")).collect::<String>()))
}

pub fn write_idx(folder: &Path, name: &str, split: &Split, count: u32) {
    let be = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let images = [be(&[0x803, count, 28, 28]), split.images[..count as usize * 784].to_vec()].concat();
    let labels = [be(&[0x801, count]), split.labels[..count as usize].to_vec()].concat();
    fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
}

pub fn events(folder: &Path) -> Vec<Event> {
    folder::read_events(folder, 0).unwrap().0
}

/// What a reader knows who takes each event in turn; wall times are left out, which no two trainings share.
pub fn metrics(folder: &Path) -> BTreeMap<Epoch, EpochMetrics> {
    let told = events(folder).into_iter().filter_map(|event| match event {
        Event::Epoch(metrics) => Some(metrics),
        _ => None,
    });
    told.map(|told| (told.epoch, EpochMetrics { seconds: 0.0, images_per_second: 0.0, ..told })).collect()
}

pub fn notes(folder: &Path) -> Vec<String> {
    let note = |event| match event {
        Event::Note { message } => Some(message),
        _ => None,
    };
    events(folder).into_iter().filter_map(note).collect()
}

/// Checkpoints promised and not taken back, with why they are kept.
pub fn promised(folder: &Path) -> BTreeMap<Epoch, Kept> {
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

pub fn network(folder: &Path, epoch: u32) -> (Weights, Weights) {
    (load_weights(folder, Epoch(epoch)).unwrap().0, load_momentum(folder, Epoch(epoch)).unwrap())
}

#[track_caller]
pub fn assert_same_end(folder: &Path, expected: &Path, epoch: u32) {
    assert!(network(folder, epoch) == network(expected, epoch), "other weights or momentum");
    assert_eq!(load_logits(folder, Epoch(epoch)).unwrap(), load_logits(expected, Epoch(epoch)).unwrap());
    assert_eq!(metrics(folder), metrics(expected));
    assert_eq!(promised(folder), promised(expected));
}

/// Leaves, or dies without a word, at the `n`-th step or evaluated chunk.
pub fn interrupted(folder: &Path, n: usize, dies: bool) {
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
pub fn tear_last_line(folder: &Path) {
    let path = folder::events_path(folder);
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(path).unwrap().set_len(length - 9).unwrap();
}
