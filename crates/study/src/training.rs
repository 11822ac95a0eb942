//! The central idea: a teacher is only another training, stopped at some epoch.

use crate::{Architecture, Method, Schedule, SegmentKey, WeightsDigest};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

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

/// A whole training from its initialisation: every scheme is a value of this type.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    pub architecture: Architecture,
    pub schedule: Schedule,
    /// In order; each ends where the next begins; the last ends at the training's end.
    pub lessons: Vec<Lesson>,
}

impl Training {
    /// What stands for the training of a network that was trained elsewhere: one epoch, in which nothing is learnt.
    pub(crate) fn of_imported(architecture: Architecture) -> Training {
        let until = Epoch(1);
        Training {
            architecture,
            schedule: Schedule { horizon: until, drops: Vec::new(), learning_rate: 0.0, decay: 1.0 },
            lessons: vec![Lesson {
                terms: vec![(1.0, Term::CrossEntropy)],
                optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
                until,
            }],
        }
    }
}

/// A stretch of a training with one objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// The loss is the weighted sum of its terms.
    pub terms: Vec<(f64, Term)>,
    pub optimizer: Optimizer,
    pub until: Epoch,
}

/// One term of a loss, unweighted. `T` names the teacher: a whole training ([`Teacher`]) before planning, the
/// checkpoint of one ([`CheckpointId`]) after. Losses over logits are means over the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term<T = Teacher> {
    /// `−log softmax(logits)[label]`, mean over the batch.
    CrossEntropy,
    /// Hinton et al. 2015: `T²·KL(softmax(teacher/T) ‖ softmax(student/T))`, mean over the batch.
    Kd { teacher: T, temperature: f64 },
    /// Sun et al. 2024 (logit standardisation): [`Term::Kd`] of each image's logits with their mean taken off and divided by their
    /// standard deviation, so that a student need not have logits as large as its teacher's.
    StandardisedKd { teacher: T, temperature: f64 },
    /// Zagoruyko & Komodakis 2017 (attention transfer): `Σ over the groups of blocks of mean((Q_student − Q_teacher)²)`, where `Q` is
    /// the mean over channels of the squared activations after a group, an image's divided by their L2 norm.
    Attention { teacher: T },
    /// Zhao et al. 2022 (decoupled KD): `target_weight·TCKD + non_target_weight·NCKD`, each `T²·KL` between teacher and student at
    /// the temperature: TCKD of the probabilities of the label's class and of all others together, NCKD of those of the others among
    /// themselves. Warmed up by [`Term::ramp`] over the student's first `warm_up` epochs; 0: not at all.
    Dkd { teacher: T, temperature: f64, target_weight: f64, non_target_weight: f64, warm_up: Epoch },
    /// Huang et al. 2022 (DIST): `T²·(between_weight·(1 − mean ρ between the classes of an image) + within_weight·(1 − mean ρ within a
    /// class over the batch))`, where `ρ` is Pearson's correlation of the student's and the teacher's probabilities at the
    /// temperature.
    Dist { teacher: T, temperature: f64, between_weight: f64, within_weight: f64 },
}

impl<T> Term<T> {
    /// The network it learns from; `None` for what needs only labels.
    pub fn teacher(&self) -> Option<&T> {
        match self {
            Term::CrossEntropy => None,
            Term::Kd { teacher, .. }
            | Term::StandardisedKd { teacher, .. }
            | Term::Attention { teacher }
            | Term::Dkd { teacher, .. }
            | Term::Dist { teacher, .. } => Some(teacher),
        }
    }

    /// The temperature at which the KD loss tells how close the student is to the teacher; `None` for what needs only labels.
    /// Attention transfer has none of its own: there it is the usual one.
    pub fn temperature(&self) -> Option<f64> {
        match self {
            Term::CrossEntropy => None,
            Term::Attention { .. } => Some(Method::TEMPERATURE_USUAL),
            Term::Kd { temperature, .. }
            | Term::StandardisedKd { temperature, .. }
            | Term::Dkd { temperature, .. }
            | Term::Dist { temperature, .. } => Some(*temperature),
        }
    }

    /// The share of its weight that counts in the epoch after `complete` ones: above 0, up to 1. Below 1 only in a warm-up, where it
    /// rises in equal steps: `(complete + 1) / warm_up`.
    pub fn ramp(&self, complete: Epoch) -> f64 {
        match self {
            Term::Dkd { warm_up, .. } if complete < *warm_up => (f64::from(complete.0) + 1.0) / f64::from(warm_up.0),
            _ => 1.0,
        }
    }

    /// Whether it asks for what a teacher's network looks at, and not for its logits alone.
    pub fn needs_attention_maps(&self) -> bool {
        matches!(self, Term::Attention { .. })
    }

    /// The same term with its teacher named in another way.
    pub(crate) fn map_teacher<U>(&self, mut name: impl FnMut(&T) -> U) -> Term<U> {
        match *self {
            Term::CrossEntropy => Term::CrossEntropy,
            Term::Kd { ref teacher, temperature } => Term::Kd { teacher: name(teacher), temperature },
            Term::StandardisedKd { ref teacher, temperature } => {
                Term::StandardisedKd { teacher: name(teacher), temperature }
            }
            Term::Attention { ref teacher } => Term::Attention { teacher: name(teacher) },
            Term::Dkd { ref teacher, temperature, target_weight, non_target_weight, warm_up } => {
                Term::Dkd { teacher: name(teacher), temperature, target_weight, non_target_weight, warm_up }
            }
            Term::Dist { ref teacher, temperature, between_weight, within_weight } => {
                Term::Dist { teacher: name(teacher), temperature, between_weight, within_weight }
            }
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

impl Optimizer {
    /// [`Optimizer::passes_of_a_step`] of SGD.
    pub const SGD_PASSES: u32 = 3;

    /// Gradients that a step takes, each with a momentum of its own.
    pub fn gradients(&self) -> u32 {
        match self {
            Optimizer::Sgd { .. } => 1,
            Optimizer::Dot { .. } => 2,
        }
    }

    /// What a step takes, counted in forward passes: one forward, and a backward pass as long as two for each gradient.
    pub fn passes_of_a_step(&self) -> u32 {
        1 + 2 * self.gradients()
    }
}

/// A frozen network that others learn from.
#[derive(Clone, Debug, PartialEq)]
pub enum Teacher {
    /// A training of this laboratory, at `stopped_at` epochs. Its lessons may have teachers in turn; those that several terms
    /// name are there once, or twenty generations would be millions of trainings.
    Trained { training: Arc<Training>, seed: Seed, stopped_at: Epoch },
    /// A network that was trained elsewhere: always as it is.
    Imported { architecture: Architecture, weights: WeightsDigest },
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
