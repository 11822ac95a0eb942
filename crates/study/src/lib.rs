//! The nouns and rules of a distillation study.
//!
//! Pure: no I/O, no async, no clock, no randomness; it compiles for the browser too. It can fail in
//! one way only: by saying what is wrong with a study ([`SpecError`]).
//!
//! A [`Study`] is planned ([`Plan`]) into [`Segment`]s; segments are trained, elsewhere, into checkpoints
//! and [`EpochMetrics`]; metrics are compared ([`Report`]); a report can be frozen ([`Snapshot`]).

pub mod agreement;
mod answer;
pub mod architecture;
mod arms;
mod blocks;
pub mod bytes_of_candle;
pub mod chain;
pub mod check;
pub mod claims;
pub mod comparison;
pub mod conflict;
pub mod confusion;
pub mod cost;
mod count;
pub mod curves;
pub mod dataset;
mod engine_bytes;
pub mod ensembles;
mod file;
mod fitting;
pub mod gallery;
pub mod growth;
pub mod imported;
mod incidents;
mod key;
mod kinds;
mod known_epochs;
mod labels;
pub mod laboratory;
pub mod layout;
mod lessons;
mod lineage;
pub mod machine;
pub mod method;
pub mod metrics;
pub mod numbers;
pub mod numeral;
mod ordered;
pub mod outlook;
mod part;
pub mod plan;
pub mod progress;
pub mod published;
mod read;
pub mod report;
pub mod schedule;
pub mod search;
mod section;
mod sharing;
mod slow;
pub mod snapshot;
pub mod spec;
pub mod statistics;
pub mod teacher_logits;
mod teachers;
mod timetable;
pub mod training;

pub use architecture::Architecture;
pub use chain::{Chain, Member};
pub use check::SpecError;
pub use comparison::{ArmSummary, Comparison, Difference, Verdict};
pub use conflict::Conflict;
pub use confusion::{ArmConfusion, Confusion};
pub use cost::{Estimate, Speed};
pub use curves::{Metric, Point, Series};
pub use dataset::{Dataset, DatasetFacts, DatasetSamples, FolderName, Sample};
pub use ensembles::Ensembles;
pub use growth::{Growth, SeedAddition};
pub use imported::{ImportedTeacher, TeacherNetwork, WeightsDigest};
pub use incidents::{Happened, Incident, incidents};
pub use known_epochs::KnownEpochs;
pub use laboratory::{ExampleCard, Share, ShareId, StudyCard, StudyId};
pub use machine::{Machine, Ready, Unusable};
pub use method::{Method, Number, Scheme};
pub use metrics::{
    CheckpointFile, Cosine, EpochMetrics, Event, Facts, Failure, Fidelity, GradientCosine, Job, Kept, PROBE_IMAGES,
    Provenance, Scores, SegmentFacts,
};
pub use outlook::Outlook;
pub use plan::{Arm, Distillation, Leg, Line, Numerics, Observer, Plan, Run, RunId, Segment, SegmentKey, Start};
pub use progress::{Progress, State, WaitsFor};
pub use report::Report;
pub use schedule::Schedule;
pub use search::{Asked, Search, SearchReport};
pub use snapshot::Snapshot;
pub use spec::{
    Augmentation, AugmentationSeed, Choices, Device, EvaluateTest, Recipe, Student, Study, TeacherChoices, Treatment,
};
pub use teachers::{TeacherSummary, TeacherTraining};
pub use training::{CheckpointId, Epoch, Lesson, Optimizer, Seed, Teacher, Term, Training};

/// Raised by hand whenever the bits that a training leaves behind change: a new version trains anew
/// instead of mixing results. A test in the training crate holds golden bits and fails unless this moves with them.
pub const TRAINING_VERSION: u32 = 2;
