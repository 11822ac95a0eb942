//! The methods of distillation, each with its numbers, and what it learns by.

use crate::{
    Epoch, Optimizer, Recipe, Term, Treatment,
    check::{self, Interval},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a student learns from a teacher. "KD" is Hinton's loss, "CE" cross-entropy with the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Hinton et al. 2015: `(1 − kd_weight)·CE + kd_weight·KD`.
    Kd,
    /// Sun et al. 2024: `0.1·CE + kd_weight·KD` of standardised logits.
    StandardisedKd,
    /// Zagoruyko & Komodakis 2017, attention transfer: `CE + attention_weight·AT`.
    At,
    /// Both at once: `(1 − kd_weight)·CE + kd_weight·KD + attention_weight·AT`.
    KdAt,
    /// Zhao et al. 2022, decoupled KD: `CE + target_weight·TCKD + non_target_weight·NCKD`, the latter two warmed up.
    Dkd,
    /// Huang et al. 2022: `CE + between_weight·(1 − ρ between classes) + within_weight·(1 − ρ within a class)`.
    Dist,
    /// Zhao et al. 2023: the loss of `kd`, by an optimizer that follows the teacher with more momentum than the labels.
    Dot,
    /// Jin et al. 2019, route-constrained optimization: `kd` by one teacher at rising epochs of its training, one after the other.
    Rco,
}

/// A number that some methods have: a field of `[treatment]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Number {
    Temperature,
    KdWeight,
    AttentionWeight,
    TargetWeight,
    NonTargetWeight,
    WarmUpEpochs,
    BetweenWeight,
    WithinWeight,
    MomentumDifference,
    Anchors,
}

/// A method with its numbers. Written as `"method": "kd"` with the numbers beside it, under their fields' names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Scheme {
    Kd { temperature: f64, kd_weight: f64 },
    StandardisedKd { temperature: f64, kd_weight: f64 },
    At { attention_weight: f64 },
    KdAt { temperature: f64, kd_weight: f64, attention_weight: f64 },
    Dkd { temperature: f64, target_weight: f64, non_target_weight: f64, warm_up_epochs: u32 },
    Dist { temperature: f64, between_weight: f64, within_weight: f64 },
    Dot { temperature: f64, kd_weight: f64, momentum_difference: f64 },
    Rco { temperature: f64, kd_weight: f64, anchors: u32 },
}

impl Method {
    pub const ALL: [Method; 8] = [
        Method::Kd,
        Method::StandardisedKd,
        Method::At,
        Method::KdAt,
        Method::Dkd,
        Method::Dist,
        Method::Dot,
        Method::Rco,
    ];
    /// Of the KD loss, where nobody says another and the method has none of its own.
    pub(crate) const TEMPERATURE_USUAL: f64 = 4.0;
    /// Cross-entropy's weight beside standardised KD, in the authors' code.
    const CROSS_ENTROPY_WEIGHT_STANDARDISED: f64 = 0.1;

    /// As it is written in a study: "standardised-kd".
    pub fn name(self) -> &'static str {
        match self {
            Method::Kd => "kd",
            Method::StandardisedKd => "standardised-kd",
            Method::At => "at",
            Method::KdAt => "kd-at",
            Method::Dkd => "dkd",
            Method::Dist => "dist",
            Method::Dot => "dot",
            Method::Rco => "rco",
        }
    }

    /// As people call it: "standardised KD".
    pub fn label(self) -> &'static str {
        match self {
            Method::Kd => "KD",
            Method::StandardisedKd => "standardised KD",
            Method::At => "AT",
            Method::KdAt => "KD + AT",
            Method::Dkd => "DKD",
            Method::Dist => "DIST",
            Method::Dot => "DOT",
            Method::Rco => "RCO",
        }
    }

    /// Its numbers in the order of the file, each with its default: what its own paper uses.
    pub fn numbers(self) -> &'static [(Number, f64)] {
        use Number::*;
        match self {
            Method::Kd => &[(Temperature, 4.0), (KdWeight, 0.9)],
            Method::StandardisedKd => &[(Temperature, 2.0), (KdWeight, 9.0)],
            Method::At => &[(AttentionWeight, 1000.0)],
            Method::KdAt => &[(Temperature, 4.0), (KdWeight, 0.9), (AttentionWeight, 1000.0)],
            Method::Dkd => &[(Temperature, 4.0), (TargetWeight, 1.0), (NonTargetWeight, 8.0), (WarmUpEpochs, 20.0)],
            Method::Dist => &[(Temperature, 1.0), (BetweenWeight, 1.0), (WithinWeight, 1.0)],
            Method::Dot => &[(Temperature, 4.0), (KdWeight, 0.9), (MomentumDifference, 0.075)],
            Method::Rco => &[(Temperature, 4.0), (KdWeight, 0.9), (Anchors, 4.0)],
        }
    }

    pub fn has(self, number: Number) -> bool {
        self.numbers().iter().any(|(its, _)| *its == number)
    }

    /// Its weights: where all of them are 0, labels alone are left.
    pub(crate) fn weights(self) -> impl Iterator<Item = Number> {
        self.numbers().iter().map(|(number, _)| *number).filter(|number| number.is_weight())
    }

    /// This method with each of its numbers as `value` says.
    fn scheme(self, value: impl Fn(Number) -> f64) -> Scheme {
        let (temperature, kd_weight) = (value(Number::Temperature), value(Number::KdWeight));
        let attention_weight = value(Number::AttentionWeight);
        match self {
            Method::Kd => Scheme::Kd { temperature, kd_weight },
            Method::StandardisedKd => Scheme::StandardisedKd { temperature, kd_weight },
            Method::At => Scheme::At { attention_weight },
            Method::KdAt => Scheme::KdAt { temperature, kd_weight, attention_weight },
            Method::Dkd => Scheme::Dkd {
                temperature,
                target_weight: value(Number::TargetWeight),
                non_target_weight: value(Number::NonTargetWeight),
                warm_up_epochs: value(Number::WarmUpEpochs) as u32,
            },
            Method::Dist => Scheme::Dist {
                temperature,
                between_weight: value(Number::BetweenWeight),
                within_weight: value(Number::WithinWeight),
            },
            Method::Dot => {
                Scheme::Dot { temperature, kd_weight, momentum_difference: value(Number::MomentumDifference) }
            }
            Method::Rco => Scheme::Rco { temperature, kd_weight, anchors: value(Number::Anchors) as u32 },
        }
    }

    /// This method with every combination of the treatment's numbers, the last field fastest; as written, not yet canonical.
    pub(crate) fn schemes(self, treatment: &Treatment) -> impl Iterator<Item = Scheme> {
        let lists: Vec<(Number, Vec<f64>)> =
            self.numbers().iter().map(|(number, _)| (*number, treatment.values(self, *number))).collect();
        let combinations: usize = lists.iter().map(|(_, values)| values.len()).product();
        (0..combinations).map(move |combination| {
            let mut rest = combination;
            let mut chosen = Vec::with_capacity(lists.len());
            for (number, values) in lists.iter().rev() {
                chosen.push((*number, values[rest % values.len()]));
                rest /= values.len();
            }
            // A number that the method does not have is asked for and not used.
            self.scheme(|number| chosen.iter().find(|(its, _)| *its == number).map_or(0.0, |(_, value)| *value))
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Number {
    pub const ALL: [Number; 10] = [
        Number::Temperature,
        Number::KdWeight,
        Number::AttentionWeight,
        Number::TargetWeight,
        Number::NonTargetWeight,
        Number::WarmUpEpochs,
        Number::BetweenWeight,
        Number::WithinWeight,
        Number::MomentumDifference,
        Number::Anchors,
    ];

    /// Its field in `[treatment]`.
    pub fn field(self) -> &'static str {
        match self {
            Number::Temperature => "temperature",
            Number::KdWeight => "kd_weight",
            Number::AttentionWeight => "attention_weight",
            Number::TargetWeight => "target_weight",
            Number::NonTargetWeight => "non_target_weight",
            Number::WarmUpEpochs => "warm_up_epochs",
            Number::BetweenWeight => "between_weight",
            Number::WithinWeight => "within_weight",
            Number::MomentumDifference => "momentum_difference",
            Number::Anchors => "anchors",
        }
    }

    /// In words: "KD weight".
    pub fn name(self) -> &'static str {
        match self {
            Number::Temperature => "temperature",
            Number::KdWeight => "KD weight",
            Number::AttentionWeight => "attention weight",
            Number::TargetWeight => "target weight",
            Number::NonTargetWeight => "non-target weight",
            Number::WarmUpEpochs => "warm-up epochs",
            Number::BetweenWeight => "between weight",
            Number::WithinWeight => "within weight",
            Number::MomentumDifference => "momentum difference",
            Number::Anchors => "anchors",
        }
    }

    /// In an arm's label: "T 4", "KD weight 0.9", "4 anchors".
    pub fn said(self, value: f64) -> String {
        match self {
            Number::Temperature => format!("T {value}"),
            Number::WarmUpEpochs => format!("warm-up {value}"),
            Number::Anchors if value == 1.0 => "1 anchor".into(),
            Number::Anchors => format!("{value} anchors"),
            _ => format!("{} {value}", self.name()),
        }
    }

    pub(crate) fn is_weight(self) -> bool {
        matches!(
            self,
            Number::KdWeight
                | Number::AttentionWeight
                | Number::TargetWeight
                | Number::NonTargetWeight
                | Number::BetweenWeight
                | Number::WithinWeight
        )
    }

    /// Where it may lie for `method` under a recipe's momentum, where that is known. Epochs and anchors are counted instead.
    pub(crate) fn interval(self, method: Method, momentum: Option<f64>) -> Interval {
        match (self, method, momentum) {
            (Number::KdWeight, Method::StandardisedKd, _) => check::WEIGHT,
            (Number::KdWeight, _, _) => check::KD_WEIGHT,
            (Number::MomentumDifference, _, Some(momentum)) => check::momentum_difference(momentum),
            _ => self.widest(),
        }
    }

    /// Where it may lie for any method.
    pub(crate) fn widest(self) -> Interval {
        match self {
            Number::Temperature => check::TEMPERATURE,
            Number::AttentionWeight => check::ATTENTION_WEIGHT,
            Number::MomentumDifference => check::MOMENTUM,
            _ => check::WEIGHT,
        }
    }
}

impl Scheme {
    pub fn method(&self) -> Method {
        match self {
            Scheme::Kd { .. } => Method::Kd,
            Scheme::StandardisedKd { .. } => Method::StandardisedKd,
            Scheme::At { .. } => Method::At,
            Scheme::KdAt { .. } => Method::KdAt,
            Scheme::Dkd { .. } => Method::Dkd,
            Scheme::Dist { .. } => Method::Dist,
            Scheme::Dot { .. } => Method::Dot,
            Scheme::Rco { .. } => Method::Rco,
        }
    }

    /// Its numbers in the order of the file.
    pub fn numbers(&self) -> Vec<(Number, f64)> {
        use Number::*;
        match *self {
            Scheme::Kd { temperature, kd_weight } | Scheme::StandardisedKd { temperature, kd_weight } => {
                vec![(Temperature, temperature), (KdWeight, kd_weight)]
            }
            Scheme::At { attention_weight } => vec![(AttentionWeight, attention_weight)],
            Scheme::KdAt { temperature, kd_weight, attention_weight } => {
                vec![(Temperature, temperature), (KdWeight, kd_weight), (AttentionWeight, attention_weight)]
            }
            Scheme::Dkd { temperature, target_weight, non_target_weight, warm_up_epochs } => vec![
                (Temperature, temperature),
                (TargetWeight, target_weight),
                (NonTargetWeight, non_target_weight),
                (WarmUpEpochs, f64::from(warm_up_epochs)),
            ],
            Scheme::Dist { temperature, between_weight, within_weight } => {
                vec![(Temperature, temperature), (BetweenWeight, between_weight), (WithinWeight, within_weight)]
            }
            Scheme::Dot { temperature, kd_weight, momentum_difference } => {
                vec![(Temperature, temperature), (KdWeight, kd_weight), (MomentumDifference, momentum_difference)]
            }
            Scheme::Rco { temperature, kd_weight, anchors } => {
                vec![(Temperature, temperature), (KdWeight, kd_weight), (Anchors, f64::from(anchors))]
            }
        }
    }

    /// `None` where its method does not have it.
    pub fn number(&self, number: Number) -> Option<f64> {
        self.numbers().into_iter().find(|(its, _)| *its == number).map(|(_, value)| value)
    }

    /// The same training under one name: `None` where every weight is 0, which is labels alone; KD + AT without one of its terms is
    /// the other alone; a curriculum of one teacher is KD. `anchors_most`: teachers that a curriculum can have.
    pub(crate) fn canonical(self, anchors_most: u32) -> Option<Scheme> {
        let weighs = |number: Number| self.number(number).is_some_and(|weight| weight > 0.0);
        self.method().weights().any(weighs).then_some(match self {
            Scheme::KdAt { attention_weight, kd_weight: 0.0, .. } => Scheme::At { attention_weight },
            Scheme::KdAt { temperature, kd_weight, attention_weight: 0.0 } => Scheme::Kd { temperature, kd_weight },
            Scheme::Rco { temperature, kd_weight, anchors } => match anchors.min(anchors_most) {
                0 | 1 => Scheme::Kd { temperature, kd_weight },
                anchors => Scheme::Rco { temperature, kd_weight, anchors },
            },
            other => other,
        })
    }

    /// Teachers one after the other: one, and for a curriculum its anchors.
    pub(crate) fn stages(&self) -> u32 {
        match self {
            Scheme::Rco { anchors, .. } => *anchors,
            _ => 1,
        }
    }

    /// What is learnt from `teacher` and the labels. A weight of 0 leaves its term out.
    pub(crate) fn terms<T: Clone>(&self, teacher: &T) -> Vec<(f64, Term<T>)> {
        let teacher = || teacher.clone();
        let kd = |temperature| Term::Kd { teacher: teacher(), temperature };
        let mut terms = match *self {
            Scheme::Kd { temperature, kd_weight }
            | Scheme::Dot { temperature, kd_weight, .. }
            | Scheme::Rco { temperature, kd_weight, .. } => {
                vec![(1.0 - kd_weight, Term::CrossEntropy), (kd_weight, kd(temperature))]
            }
            Scheme::StandardisedKd { temperature, kd_weight } => vec![
                (Method::CROSS_ENTROPY_WEIGHT_STANDARDISED, Term::CrossEntropy),
                (kd_weight, Term::StandardisedKd { teacher: teacher(), temperature }),
            ],
            Scheme::At { attention_weight } => {
                vec![(1.0, Term::CrossEntropy), (attention_weight, Term::Attention { teacher: teacher() })]
            }
            Scheme::KdAt { temperature, kd_weight, attention_weight } => vec![
                (1.0 - kd_weight, Term::CrossEntropy),
                (kd_weight, kd(temperature)),
                (attention_weight, Term::Attention { teacher: teacher() }),
            ],
            Scheme::Dkd { temperature, target_weight, non_target_weight, warm_up_epochs } => {
                let (teacher, warm_up) = (teacher(), Epoch(warm_up_epochs));
                let dkd = Term::Dkd { teacher, temperature, target_weight, non_target_weight, warm_up };
                vec![(1.0, Term::CrossEntropy), (1.0, dkd)]
            }
            Scheme::Dist { temperature, between_weight, within_weight } => {
                let dist = Term::Dist { teacher: teacher(), temperature, between_weight, within_weight };
                vec![(1.0, Term::CrossEntropy), (1.0, dist)]
            }
        };
        terms.retain(|(weight, _)| *weight != 0.0);
        terms
    }

    pub(crate) fn optimizer(&self, recipe: &Recipe) -> Optimizer {
        let Recipe { momentum, weight_decay, .. } = *recipe;
        match *self {
            Scheme::Dot { momentum_difference, .. } => Optimizer::Dot { momentum, weight_decay, momentum_difference },
            _ => recipe.optimizer(),
        }
    }
}
