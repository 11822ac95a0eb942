//! Runs laid onto segments, so that whatever they share is there once.

use crate::{
    Arm, Augmentation, AugmentationSeed, CheckpointId, DatasetFacts, Epoch, Leg, Numerics, Observer, Optimizer, Plan,
    Run, Seed, Segment, SegmentKey, Start, Study, Teacher, Term, Training,
    key::{Content, run_id, segment_key},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What all trainings of a study stand on.
pub(crate) struct Ground {
    pub dataset: DatasetFacts,
    /// Of the device: a network may have [its own](Numerics::of).
    pub numerics: Numerics,
    pub batch_size: u32,
    pub augmentation: Augmentation,
    pub augmentation_seed: AugmentationSeed,
}

impl Ground {
    /// The seed by which views are drawn for trainings of `seed`, where that is another one and where it matters: so that what
    /// comes to the same has one key.
    fn views_seed(&self, seed: Seed) -> Option<Seed> {
        let others = self.augmentation_seed == AugmentationSeed::Shared && seed != Seed(0);
        (others && self.augmentation != Augmentation::None).then_some(Seed(0))
    }
}

pub(crate) struct Shared {
    pub runs: Vec<Run>,
    /// Teachers first, then in the order of the runs that came to need them: each one's needs come before it.
    pub segments: Vec<Segment>,
    pub epochs_without_sharing: u64,
}

/// Lays every run onto segments: arm by arm, seed by seed.
pub(crate) fn share(study: &Study, arms: &[Arm], ground: Ground) -> Shared {
    let mut laid = Laid { ground, segments: Vec::new(), index: BTreeMap::new(), teachers: BTreeMap::new() };
    let mut runs = Vec::new();
    for (index, arm) in arms.iter().enumerate() {
        for seed in (0..study.seeds).map(Seed) {
            let training = Plan::training(study, arm, seed);
            let legs = laid.lay(&training, seed, Start::Initialisation, arm.epochs, &mut BTreeMap::new());
            if let Some(last) = legs.last() {
                laid.segment(&last.segment).ends.insert(last.until);
                runs.push(Run { id: run_id(&last.segment, last.until), arm: index, seed, legs });
            }
        }
    }
    observe(&mut laid, arms, &runs);

    let students: u64 = runs.iter().map(|run| u64::from(arms[run.arm].epochs.0)).sum();
    let teachers: u64 =
        laid.teachers.iter().map(|(key, stop)| u64::from(stop.0 - laid.segments[laid.index[key]].from().0)).sum();
    let (mut segments, others): (Vec<_>, Vec<_>) =
        laid.segments.into_iter().partition(|segment| laid.teachers.contains_key(&segment.key));
    segments.extend(others);
    Shared { runs, segments, epochs_without_sharing: students + teachers }
}

struct Laid {
    ground: Ground,
    /// In the order in which they were first needed; what one needs was needed before it.
    segments: Vec<Segment>,
    index: BTreeMap<SegmentKey, usize>,
    /// Segments whose checkpoints teach, with the furthest epoch asked of each.
    teachers: BTreeMap<SegmentKey, Epoch>,
}

impl Laid {
    fn segment(&mut self, key: &SegmentKey) -> &mut Segment {
        &mut self.segments[self.index[key]]
    }

    /// Whether the training that leaves this checkpoint had a teacher.
    fn was_taught(&self, checkpoint: &CheckpointId) -> bool {
        let segment = &self.segments[self.index[&checkpoint.segment]];
        let before = match &segment.start {
            Start::Initialisation | Start::Imported(_) => false,
            Start::Checkpoint(start) => self.was_taught(start),
        };
        before || segment.own_teachers().next().is_some()
    }

    /// Lays a training up to `until`, and its teachers before it. Lessons whose objective continues unchanged are one.
    fn lay(&mut self, training: &Training, seed: Seed, start: Start, until: Epoch, taught: &mut Taught) -> Vec<Leg> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut from = Epoch(0);
        for lesson in &training.lessons {
            let stop = lesson.until.min(until);
            if stop <= from {
                continue;
            }
            let mut name = |teacher: &Teacher| self.lay_teacher(teacher, taught);
            let terms = lesson.terms.iter().map(|(weight, term)| (*weight, term.map_teacher(&mut name))).collect();
            let next = Stretch { terms, optimizer: lesson.optimizer, until: stop };
            match stretches.last_mut() {
                Some(last) if last.optimizer == next.optimizer && last.terms == next.terms => last.until = stop,
                _ => stretches.push(next),
            }
            from = stop;
        }
        let mut legs: Vec<Leg> = Vec::new();
        let (mut start, mut from) = (start, Epoch(0));
        for stretch in stretches {
            let until = stretch.until;
            let key = self.meet(training, seed, start, stretch);
            start = Start::Checkpoint(CheckpointId { segment: key.clone(), epoch: until });
            legs.push(Leg { segment: key, from, until });
            from = until;
        }
        legs
    }

    fn lay_teacher(&mut self, teacher: &Teacher, taught: &mut Taught) -> CheckpointId {
        match teacher {
            Teacher::Trained { training, seed, stopped_at } => {
                let place = (Arc::as_ptr(training), *seed, *stopped_at);
                if let Some(there) = taught.get(&place) {
                    return there.clone();
                }
                let checkpoint = self.lay_frozen(training, *seed, Start::Initialisation, *stopped_at, taught);
                taught.insert(place, checkpoint.clone());
                checkpoint
            }
            Teacher::Imported { architecture, weights } => {
                let read = Training::of_imported(*architecture);
                self.lay_frozen(&read, Seed(0), Start::Imported(*weights), Epoch(1), taught)
            }
        }
    }

    /// Lays a training that teaches as it is after `until` epochs.
    fn lay_frozen(
        &mut self,
        training: &Training,
        seed: Seed,
        start: Start,
        until: Epoch,
        taught: &mut Taught,
    ) -> CheckpointId {
        let legs = self.lay(training, seed, start, until, taught);
        for leg in &legs {
            let furthest = self.teachers.entry(leg.segment.clone()).or_default();
            *furthest = (*furthest).max(leg.until);
        }
        let segment = legs.into_iter().last().expect("a teacher is trained for an epoch at least").segment;
        CheckpointId { segment, epoch: until }
    }

    /// The segment that trains this, made where it is not there yet, and asked to reach `stop`.
    fn meet(
        &mut self,
        training: &Training,
        seed: Seed,
        start: Start,
        Stretch { terms, optimizer, until: stop }: Stretch,
    ) -> SegmentKey {
        let key = segment_key(&Content {
            seed,
            start: &start,
            architecture: training.architecture,
            schedule: &training.schedule,
            terms: &terms,
            optimizer,
            ground: &self.ground,
            augmentation_seed: self.ground.views_seed(seed),
        });
        if !self.index.contains_key(&key) {
            self.index.insert(key.clone(), self.segments.len());
            self.segments.push(Segment {
                key: key.clone(),
                seed,
                start,
                architecture: training.architecture,
                schedule: training.schedule.clone(),
                terms,
                optimizer,
                batch_size: self.ground.batch_size,
                augmentation: self.ground.augmentation,
                augmentation_seed: self.ground.views_seed(seed),
                dataset: self.ground.dataset.clone(),
                numerics: self.ground.numerics.of(training.architecture),
                until: stop,
                stops: BTreeSet::new(),
                ends: BTreeSet::new(),
                observers: Vec::new(),
            });
        }
        let segment = self.segment(&key);
        segment.until = segment.until.max(stop);
        segment.stops.insert(stop);
        key
    }
}

/// What was laid of the teachers of the run that is being laid, by where they stand in memory: what several terms or lessons name
/// is laid once.
type Taught = BTreeMap<(*const Training, Seed, Epoch), CheckpointId>;

/// A stretch of a training with one objective, whose teachers are laid.
struct Stretch {
    terms: Vec<(f64, Term<CheckpointId>)>,
    optimizer: Optimizer,
    until: Epoch,
}

/// Lets teachers look on where they do not teach: at each run the one that it ends with, and at training from labels alone every
/// teacher that learnt from labels alone itself, with every temperature, and in any case the study's first. Others would have it
/// wait for a whole line of teachers. Training from labels alone may itself be the teacher, or come before it: then it is observed
/// afterwards, where its checkpoints are kept, so that none waits for another that waits for it.
fn observe(laid: &mut Laid, arms: &[Arm], runs: &[Run]) {
    let mut of_seed: BTreeMap<Seed, Watching> = BTreeMap::new();
    for run in runs {
        let of_leg = |leg: &Leg| laid.segments[laid.index[&leg.segment]].own_teachers().collect::<Vec<_>>();
        let own = run.legs.iter().rev().map(of_leg).find(|own| !own.is_empty()).unwrap_or_default();
        for observer in &own {
            let watching = of_seed.entry(run.seed).or_default();
            if watching.observers.is_empty() || !laid.was_taught(&observer.teacher) {
                watching.add(observer);
            }
        }
        for leg in &run.legs {
            let segment = laid.segment(&leg.segment);
            let known = segment.measured_against();
            segment.observers.extend(own.iter().filter(|observer| !known.contains(observer)).cloned());
        }
    }
    for run in runs.iter().filter(|run| arms[run.arm].distillation.is_none()) {
        for leg in &run.legs {
            let watching = of_seed.get(&run.seed).map(|watching| watching.observers.clone());
            laid.segments[laid.index[&leg.segment]].observers = watching.unwrap_or_default();
        }
    }
}

/// Teachers with temperatures, each once, in the order of the arms.
#[derive(Default)]
struct Watching {
    observers: Vec<Observer>,
    seen: BTreeSet<(CheckpointId, u64)>,
}

impl Watching {
    fn add(&mut self, observer: &Observer) {
        if self.seen.insert((observer.teacher.clone(), observer.temperature.to_bits())) {
            self.observers.push(observer.clone());
        }
    }
}
