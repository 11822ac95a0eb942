//! The planner: a study becomes arms, runs and segments, and everything shared is paid for once.

use crate::{
    Architecture, Augmentation, Chain, CheckpointId, Dataset, DatasetFacts, Epoch, Optimizer, Schedule, Scheme, Seed,
    SpecError, Study, TeacherNetwork, Term, WeightsDigest, arms, numbers, ordered::map, read, search, sharing,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Names a segment by everything that decides its bits: a hash of start, architecture, schedule, terms, optimizer, batch size,
/// augmentation (and its seed where that is another one's), data checksum and split sizes, numerics and `TRAINING_VERSION`. Not of where it ends, of what is evaluated
/// when, nor of who observes. 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentKey(pub String);

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a run by its last segment and epoch: the same run in two studies has one name. 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which arithmetic makes the bits: engine and precision. Instruction set, threads and host are provenance instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numerics {
    /// The hand-written engine.
    CpuF32,
    /// candle, on the CPU or a GPU.
    CandleF32,
}

impl Numerics {
    /// That of a network on a device whose networks usually have this one: where the hand-written engine has no operators for it, candle
    /// trains it on the CPU too.
    pub fn of(self, architecture: Architecture) -> Numerics {
        if architecture.has_kernels() { self } else { Numerics::CandleF32 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// From initial weights drawn by the segment's seed.
    Initialisation,
    /// From another segment's checkpoint, optimizer state included.
    Checkpoint(CheckpointId),
    /// From weights that were trained elsewhere: its one epoch is that in which they are read and looked at.
    Imported(WeightsDigest),
}

/// One stretch of training with one objective: what a worker trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub key: SegmentKey,
    pub seed: Seed,
    pub start: Start,
    pub architecture: Architecture,
    pub schedule: Schedule,
    /// The loss is the weighted sum of these.
    pub terms: Vec<(f64, Term<CheckpointId>)>,
    pub optimizer: Optimizer,
    pub batch_size: u32,
    pub augmentation: Augmentation,
    /// The seed by which the views of its images are drawn, where that is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augmentation_seed: Option<Seed>,
    pub dataset: DatasetFacts,
    pub numerics: Numerics,
    /// The furthest epoch asked for.
    pub until: Epoch,
    /// Epochs whose checkpoints others need or a run ends at; `until` is one of them. Test is evaluated and logits are kept here.
    pub stops: BTreeSet<Epoch>,
    /// The stops at which a run ends: a clean pass over the training split closes it.
    pub ends: BTreeSet<Epoch>,
    /// Teachers it is measured against and does not learn from; one of them may be itself, at a stop. Not part of the key.
    pub observers: Vec<Observer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observer {
    pub teacher: CheckpointId,
    pub temperature: f64,
}

impl Segment {
    /// Epochs complete when it starts.
    pub fn from(&self) -> Epoch {
        match &self.start {
            Start::Initialisation | Start::Imported(_) => Epoch(0),
            Start::Checkpoint(checkpoint) => checkpoint.epoch,
        }
    }

    /// The seed by which the views of its images are drawn.
    pub fn views_seed(&self) -> Seed {
        self.augmentation_seed.unwrap_or(self.seed)
    }

    /// Checkpoints of other segments without which it cannot be trained: its start and its teachers. Not its observers: what
    /// is trained does not depend on who looks on.
    pub fn needs(&self) -> Vec<&CheckpointId> {
        let start = match &self.start {
            Start::Initialisation | Start::Imported(_) => None,
            Start::Checkpoint(checkpoint) => Some(checkpoint),
        };
        let teachers = self.terms.iter().filter_map(|(_, term)| term.teacher());
        let mut seen = BTreeSet::new();
        start.into_iter().chain(teachers).filter(|need| seen.insert(*need)).collect()
    }

    /// Every teacher it is measured against, its own first, with the temperature.
    pub fn measured_against(&self) -> Vec<Observer> {
        let mut seen = BTreeSet::new();
        self.own_teachers()
            .chain(self.observers.iter().cloned())
            .filter(|it| seen.insert((it.teacher.clone(), it.temperature.to_bits())))
            .collect()
    }
}

impl Segment {
    /// The teachers it learns from, each with the temperature of its loss; where none of a teacher's losses has one, with the usual.
    pub(crate) fn own_teachers(&self) -> impl Iterator<Item = Observer> {
        let softens = |teacher: &CheckpointId| {
            self.terms.iter().any(|(_, term)| term.teacher() == Some(teacher) && !term.needs_attention_maps())
        };
        self.terms.iter().filter_map(move |(_, term)| {
            let (teacher, temperature) = (term.teacher()?, term.temperature()?);
            let said_by_another = term.needs_attention_maps() && softens(teacher);
            (!said_by_another).then(|| Observer { teacher: teacher.clone(), temperature })
        })
    }

    /// Whether any of its losses asks for what a teacher's network looks at, and not for its logits alone.
    pub fn needs_attention_maps(&self) -> bool {
        self.terms.iter().any(|(_, term)| term.needs_attention_maps())
    }
}

/// One treatment of one student, canonical: fields that do not count are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Says what tells this arm from the others of its study: "labels only", "KD until 8, teacher stopped at 8".
    pub label: String,
    pub student: Architecture,
    pub epochs: Epoch,
    /// `None`: labels only.
    pub distillation: Option<Distillation>,
    /// Index of the arm this one is compared with; its own index for a baseline.
    pub baseline: usize,
}

/// A method with its numbers, when it stops, and who teaches. Written flat, as in `[treatment]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distillation {
    #[serde(flatten)]
    pub scheme: Scheme,
    /// From 1 to the arm's epochs.
    pub kd_stop_epoch: Epoch,
    /// `None` where distillation goes on to the end.
    pub cross_entropy_weight_after_stop: Option<f64>,
    pub teacher: TeacherNetwork,
    /// What a person calls an imported one, where that was known; its digest stands for it, which is of its name too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_name: Option<String>,
    /// Of an imported one 1: that in which it is read.
    pub teacher_epochs: Epoch,
    pub teacher_stop_epoch: Epoch,
    #[serde(flatten)]
    pub line: Line,
}

/// Who stands between the teacher and the student: nobody, unless a study says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    #[serde(skip_serializing_if = "Chain::is_empty")]
    pub chain: Chain,
    /// The first is taught by the teacher, or the last of its chain; each other one by the one before.
    #[serde(skip_serializing_if = "Line::is_first")]
    pub generation: u32,
    /// Epochs of its training after which each earlier generation is frozen; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_stop_epoch: Option<Epoch>,
}

impl Default for Line {
    fn default() -> Self {
        Line { chain: Chain::default(), generation: 1, generation_stop_epoch: None }
    }
}

impl Line {
    fn is_first(generation: &u32) -> bool {
        *generation == 1
    }

    /// The least number of epochs that anyone in it is trained for, of students of `epochs` epochs.
    pub(crate) fn first_stop(&self, epochs: Epoch) -> Epoch {
        [self.chain.first_stop(), self.generation_stop_epoch].into_iter().flatten().fold(epochs, Epoch::min)
    }
}

/// One arm with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    /// Index into [`Plan::arms`].
    pub arm: usize,
    pub seed: Seed,
    /// The segments it passes through, from epoch 0 to its end without a gap.
    pub legs: Vec<Leg>,
}

/// A run's share of a segment: the epochs after `from`, up to and including `until`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    pub segment: SegmentKey,
    pub from: Epoch,
    pub until: Epoch,
}

/// What a study comes to. `segments` are in an order in which each one's needs come before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub training_version: u32,
    /// That which most networks have on the device that trains it: [`Numerics::CpuF32`] is the CPU, the other a GPU.
    #[serde(default = "on_the_cpu")]
    pub numerics: Numerics,
    pub arms: Vec<Arm>,
    /// Arm by arm, seed by seed.
    pub runs: Vec<Run>,
    pub segments: Vec<Segment>,
    /// Epochs to train, each shared one once.
    pub epochs: u64,
    /// Epochs if each run were trained from its start, and each teacher once.
    pub epochs_without_sharing: u64,
    /// Remarks for the person who plans: "no labels-only arm: the first arm is the baseline", "teachers on a compressed
    /// schedule share nothing", ...
    pub remarks: Vec<String>,
    /// Of a search, one at least; empty where all of it is trained, and in what was planned before they were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<search::Round>,
}

/// What a plan that was made before it said so was most often made for.
fn on_the_cpu() -> Numerics {
    Numerics::CpuF32
}

impl Plan {
    /// Most runs a plan may have, so that absurd lists are refused before anything is allocated.
    pub const RUNS_MAX: u64 = 10_000;

    /// Plans a study for a device whose networks usually have `numerics`. Refuses, with every reason, what [`Study::check`] refuses and
    /// what the data set cannot give.
    pub fn new(study: &Study, dataset: &DatasetFacts, numerics: Numerics) -> Result<Plan, Vec<SpecError>> {
        let mut errors = study.check();
        if dataset.dataset != study.dataset {
            errors.push(SpecError {
                field: "dataset".into(),
                problem: "is not the data set that was read".into(),
                given: study.dataset.to_string(),
                allowed: dataset.dataset.to_string(),
            });
        }
        match dataset.split(study.validation) {
            Ok(split) if errors.is_empty() => Plan::of(study, split, numerics).map_err(|error| vec![error]),
            split => {
                errors.extend(split.err());
                read::sort(&mut errors);
                Err(errors)
            }
        }
    }

    /// Plans a study that is right, on a data set that is split as it asks.
    ///
    /// # Errors
    /// Where it is to be searched with too few epochs.
    pub(crate) fn of(study: &Study, dataset: DatasetFacts, numerics: Numerics) -> Result<Plan, SpecError> {
        let arms = arms::arms(study);
        let ground = sharing::Ground {
            dataset,
            numerics,
            batch_size: study.recipe.batch_size,
            augmentation: study.augmentation(),
            augmentation_seed: study.recipe.augmentation_seed,
        };
        let shared = sharing::share(study, &arms, ground);
        let remarks = remarks(study, &arms, &shared.segments);
        let mut plan = Plan {
            training_version: crate::TRAINING_VERSION,
            numerics,
            epochs: shared.segments.iter().map(|it| u64::from(it.until.0) - u64::from(it.from().0)).sum(),
            epochs_without_sharing: shared.epochs_without_sharing,
            runs: shared.runs,
            segments: shared.segments,
            arms,
            remarks,
            rounds: Vec::new(),
        };
        if let Some(search) = &study.search {
            plan.rounds = search::rounds(study, search, &plan)?;
            plan.remarks.push(search::plan_remark(search, &plan.rounds));
        }
        Ok(plan)
    }

    /// Whether the CPU trains it, be it by candle.
    pub fn is_on_the_cpu(&self) -> bool {
        self.numerics == Numerics::CpuF32
    }

    pub fn segment(&self, key: &SegmentKey) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.key == *key)
    }

    /// Whether another version of the program planned it, with whose trainings this one cannot go on.
    pub fn is_of_another_version(&self) -> bool {
        self.training_version != crate::TRAINING_VERSION
    }

    /// Every segment by its key, for walks over many runs.
    pub fn by_key(&self) -> BTreeMap<&SegmentKey, &Segment> {
        map(self.segments.iter().map(|segment| (&segment.key, segment)))
    }

    /// Whether each run is tested at its end, run by run: all are, but of a search only those of the winner and its baseline.
    pub fn tested(&self) -> Vec<bool> {
        let segments = self.by_key();
        let ends = |leg: &Leg| segments.get(&leg.segment).is_some_and(|segment| segment.ends.contains(&leg.until));
        self.runs.iter().map(|run| run.legs.last().is_some_and(ends)).collect()
    }

    /// The teacher and temperature each run is measured against, run by run: its own, the last where it has several one after the
    /// other; for training from labels alone, the study's first with the same seed, of those that are tested if any is; `None` where no
    /// arm distils.
    pub fn measured_against(&self) -> Vec<Option<Observer>> {
        let segments = self.by_key();
        let of_leg = |leg: &Leg| segments.get(&leg.segment)?.own_teachers().next();
        let own: Vec<Option<Observer>> = self.runs.iter().map(|run| run.legs.iter().rev().find_map(of_leg)).collect();
        let mut first_of_seed: BTreeMap<Seed, &Observer> = BTreeMap::new();
        let tested = self.tested();
        let of_tested = |is: bool| self.runs.iter().zip(&own).zip(&tested).filter(move |(_, tested)| **tested == is);
        for ((run, observer), _) in of_tested(true).chain(of_tested(false)) {
            if let Some(observer) = observer {
                first_of_seed.entry(run.seed).or_insert(observer);
            }
        }
        // Labels alone may be what trained the teacher: it is not measured against itself.
        let is_itself =
            |run: &Run, observer: &Observer| run.legs.iter().any(|leg| leg.segment == observer.teacher.segment);
        let of = |(run, own): (&Run, &Option<Observer>)| {
            let others = first_of_seed.get(&run.seed).filter(|observer| !is_itself(run, observer));
            own.clone().or_else(|| others.map(|observer| (*observer).clone()))
        };
        self.runs.iter().zip(&own).map(of).collect()
    }
}

fn remarks(study: &Study, arms: &[Arm], segments: &[Segment]) -> Vec<String> {
    let distils = arms.iter().any(|arm| arm.distillation.is_some());
    let several_schedules = study.teacher.as_ref().is_some_and(|teacher| teacher.epochs.0.len() > 1);
    let unused = (study.teacher.is_some() && !distils)
        .then(|| "No arm distils: the teacher is not used and not trained.".to_owned());
    let compressed = (distils && several_schedules).then(|| {
        "Teachers of different epochs each have a learning-rate schedule of their own and share nothing; \
         teacher_stop_epoch stops one training at several epochs and shares all of it."
            .to_owned()
    });
    let images = segments.first().and_then(|segment| images_remark(study, &segment.dataset));
    let all = [arms::baseline_remark(arms), unused, compressed, images].into_iter().flatten();
    all.chain(arms::method_remarks(study, arms)).collect()
}

/// How many images are left to train on, where a study says another split than is usual.
fn images_remark(study: &Study, images: &DatasetFacts) -> Option<String> {
    let trained_on = numbers::counted(u64::from(images.train), "image");
    match images.validation {
        _ if images.train < study.recipe.batch_size => Some(format!(
            "Only {trained_on} {} left to train on, which is less than one batch of {}.",
            if images.train == 1 { "is" } else { "are" },
            study.recipe.batch_size
        )),
        0 => Some(format!(
            "No image is held out for validation: training is on {trained_on}, and there is no validation curve and no best \
             checkpoint."
        )),
        Dataset::VALIDATION_DEFAULT => None,
        held_out => Some(format!(
            "Training is on {trained_on}: {} held out for validation.",
            match held_out {
                1 => "1 image is".into(),
                many => format!("{} are", numbers::count(u64::from(many))),
            }
        )),
    }
}
