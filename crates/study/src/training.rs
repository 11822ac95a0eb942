//! The central idea: a teacher is only another training, stopped at some epoch.

use crate::{Architecture, Schedule, SegmentKey};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// `n` epochs complete; 0 is the initialisation. Never an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Keys every random stream of a training: initial weights, batch order, augmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u32);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A whole training from its initialisation: every scheme of the paper is a value of this type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub architecture: Architecture,
    pub schedule: Schedule,
    /// In order; each ends where the next begins; the last ends at the training's end.
    pub lessons: Vec<Lesson>,
}

/// A stretch of a training with one objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// The loss is the weighted sum of its terms.
    pub terms: Vec<(f64, Term)>,
    pub optimizer: Optimizer,
    pub until: Epoch,
}

/// One term of a loss, unweighted. `T` names the teacher: a whole training ([`Teacher`]) before planning, the
/// checkpoint of one ([`CheckpointId`]) after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term<T = Teacher> {
    /// `−log softmax(logits)[label]`, mean over the batch.
    CrossEntropy,
    /// Hinton et al. 2015: `T²·KL(softmax(teacher/T) ‖ softmax(student/T))`, mean over the batch.
    Kd { teacher: T, temperature: f64 },
}

impl<T> Term<T> {
    /// The network it learns from; `None` for what needs only labels.
    pub fn teacher(&self) -> Option<&T> {
        match self {
            Term::CrossEntropy => None,
            Term::Kd { teacher, .. } => Some(teacher),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent as PyTorch defines it: `v ← momentum·v + (gradient + weight_decay·w)`, `w ← w − learning_rate·v`.
    Sgd { momentum: f64, weight_decay: f64 },
    /// Zhao et al. 2023, "DOT: A Distillation-Oriented Trainer": the gradients of the labels' share of the loss and of the
    /// teacher's, each weighted, keep momentum apart, with `Δ = momentum_difference`, from 0 to below `momentum` and `1 − momentum`:
    /// `v_ce ← (momentum − Δ)·v_ce + (g_ce + weight_decay·w)`, `v_kd ← (momentum + Δ)·v_kd + g_kd`,
    /// `w ← w − learning_rate·(v_ce + v_kd)`. With Δ = 0 it is [`Optimizer::Sgd`] on their sum.
    Dot { momentum: f64, weight_decay: f64, momentum_difference: f64 },
}

/// A frozen network that others learn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Teacher {
    /// A training of this laboratory, at `stopped_at` epochs.
    Trained { training: Box<Training>, seed: Seed, stopped_at: Epoch },
}

/// Written "KEY@EPOCH": how weights are asked for that no run ends at, such as a teacher's.
impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.segment, self.epoch)
    }
}

impl FromStr for CheckpointId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write KEY@EPOCH, with the 32 hexadecimal digits of a segment's key".to_owned();
        let (key, epoch) = text.split_once('@').ok_or_else(wrong)?;
        let digits = key.len() == 32 && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let epoch = epoch.parse().map_err(|_| wrong())?;
        if digits { Ok(CheckpointId { segment: SegmentKey(key.into()), epoch: Epoch(epoch) }) } else { Err(wrong()) }
    }
}

/// A checkpoint, named by what made it: a segment at an epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckpointId {
    pub segment: SegmentKey,
    pub epoch: Epoch,
}
