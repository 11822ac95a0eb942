//! Which quantity a study sweeps: what stands on the horizontal axis, which lines there are, and each arm's colour.

use study::Arm;

/// A field of a treatment or a network that may differ between arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    KdStopEpoch,
    TeacherStopEpoch,
    Temperature,
    KdWeight,
    TeacherEpochs,
    StudentEpochs,
    LabelWeightAfterStop,
    Teacher,
    Student,
}

/// An arm's value of a quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub number: f64,
    pub written: String,
}

impl Quantity {
    /// In the order in which they are preferred for the horizontal axis where several have as many values.
    const ALL: [Quantity; 9] = [
        Self::KdStopEpoch,
        Self::TeacherStopEpoch,
        Self::Temperature,
        Self::KdWeight,
        Self::TeacherEpochs,
        Self::StudentEpochs,
        Self::LabelWeightAfterStop,
        Self::Teacher,
        Self::Student,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::KdStopEpoch => "KD stop epoch",
            Self::TeacherStopEpoch => "teacher stop epoch",
            Self::Temperature => "temperature",
            Self::KdWeight => "KD weight",
            Self::TeacherEpochs => "teacher’s epochs",
            Self::StudentEpochs => "student’s epochs",
            Self::LabelWeightAfterStop => "label weight after the stop",
            Self::Teacher => "teacher",
            Self::Student => "student",
        }
    }

    /// `None` where the quantity does not count for the arm. Labels only is a KD stop at epoch 0.
    pub fn of(self, arm: &Arm) -> Option<Value> {
        let distillation = arm.distillation.as_ref();
        let number = match self {
            Self::KdStopEpoch => Some(distillation.map_or(0.0, |it| f64::from(it.kd_stop_epoch.0))),
            Self::TeacherStopEpoch => distillation.map(|it| f64::from(it.teacher_stop_epoch.0)),
            Self::Temperature => distillation.map(|it| it.temperature),
            Self::KdWeight => Some(distillation.map_or(0.0, |it| it.kd_weight)),
            Self::TeacherEpochs => distillation.map(|it| f64::from(it.teacher_epochs.0)),
            Self::StudentEpochs => Some(f64::from(arm.epochs.0)),
            Self::LabelWeightAfterStop => distillation.and_then(|it| it.cross_entropy_weight_after_stop),
            // Networks are ordered by their size; any image will do for that.
            Self::Teacher => distillation.map(|it| it.teacher.parameters(3, 10) as f64),
            Self::Student => Some(arm.student.parameters(3, 10) as f64),
        }?;
        let written = match self {
            Self::Teacher => distillation.map(|it| it.teacher.to_string())?,
            Self::Student => arm.student.to_string(),
            _ => number.to_string(),
        };
        Some(Value { number, written })
    }

    /// Networks have names, not numbers, on an axis.
    pub fn is_named(self) -> bool {
        matches!(self, Self::Teacher | Self::Student)
    }

    fn distinct(self, arms: &[Arm]) -> usize {
        let mut numbers: Vec<f64> = arms.iter().filter_map(|arm| self.of(arm)).map(|value| value.number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        numbers.len()
    }
}

/// What a study sweeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// On the horizontal axis: the quantity with the most values, at least three.
    pub quantity: Quantity,
    /// Arms that differ only in it, in its order: a line each. Arms without a value are in none.
    pub lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What tells this line from the others; empty where there is one.
    pub label: String,
    pub arms: Vec<usize>,
}

/// `None` where no quantity has three values: such arms are compared side by side.
pub fn sweep(arms: &[Arm]) -> Option<Sweep> {
    let most = Quantity::ALL.into_iter().map(|quantity| quantity.distinct(arms)).max()?;
    let quantity = Quantity::ALL.into_iter().find(|quantity| quantity.distinct(arms) == most).filter(|_| most >= 3)?;
    let others: Vec<Quantity> = Quantity::ALL
        .into_iter()
        .filter(|other| *other != quantity && other.distinct(&distilling(arms)) > 1 && !follows(*other, quantity, arms))
        .collect();

    let mut lines: Vec<Line> = Vec::new();
    for (index, arm) in arms.iter().enumerate() {
        if quantity.of(arm).is_none() || arm.distillation.is_none() && lines_through_labels(quantity) {
            continue;
        }
        let label = line_label(arm, &others);
        match lines.iter_mut().find(|line| line.label == label) {
            Some(line) => line.arms.push(index),
            None => lines.push(Line { label, arms: vec![index] }),
        }
    }
    // Every line of a KD stop begins at the arm that never distils.
    for line in lines.iter_mut().filter(|_| lines_through_labels(quantity)) {
        let baseline = arms[line.arms[0]].baseline;
        if arms[baseline].distillation.is_none() {
            line.arms.insert(0, baseline);
        }
    }
    let number = |index: &usize| quantity.of(&arms[*index]).map_or(0.0, |value| value.number);
    lines.iter_mut().for_each(|line| line.arms.sort_by(|a, b| number(a).total_cmp(&number(b))));
    Some(Sweep { quantity, lines })
}

fn lines_through_labels(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::KdStopEpoch | Quantity::KdWeight)
}

fn distilling(arms: &[Arm]) -> Vec<Arm> {
    let distilling: Vec<Arm> = arms.iter().filter(|arm| arm.distillation.is_some()).cloned().collect();
    if distilling.is_empty() { arms.to_vec() } else { distilling }
}

/// A quantity that moves only where the swept one does makes no lines: the label weight after a stop that comes at the end.
fn follows(other: Quantity, quantity: Quantity, arms: &[Arm]) -> bool {
    let written = |quantity: Quantity, arm: &Arm| quantity.of(arm).map(|value| value.written);
    distilling(arms).iter().all(|one| {
        let same = |two: &&Arm| {
            two.distillation.is_some() == one.distillation.is_some() && written(quantity, one) == written(quantity, two)
        };
        arms.iter().filter(same).all(|two| written(other, one) == written(other, two))
    })
}

fn line_label(arm: &Arm, others: &[Quantity]) -> String {
    let said = others.iter().filter_map(|other| {
        let written = other.of(arm)?.written;
        Some(match other {
            Quantity::TeacherStopEpoch => format!("teacher stopped at {written}"),
            Quantity::KdStopEpoch => format!("KD until {written}"),
            Quantity::Temperature => format!("T {written}"),
            Quantity::Teacher => format!("{written} teaches"),
            Quantity::Student => written,
            _ => format!("{} {written}", other.name()),
        })
    });
    said.collect::<Vec<_>>().join(", ")
}

/// A colour by its place in the style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tint {
    /// From labels alone, where others distil.
    Labels,
    /// A step of the sequential ramp, 0 to [`Tint::RAMP_LAST`].
    Ramp(usize),
    /// One of [`Tint::CATEGORIES`] colours that are told apart at a glance.
    Category(usize),
}

impl Tint {
    pub const RAMP_LAST: usize = 11;
    pub const CATEGORIES: usize = 8;

    /// The class that sets `--tint`.
    pub fn class(self) -> String {
        match self {
            Tint::Labels => "arm tint-labels".into(),
            Tint::Ramp(step) => format!("arm tint-ramp-{step}"),
            Tint::Category(index) => format!("arm tint-category-{index}"),
        }
    }
}

/// Each arm's colour, the same everywhere on a page: one swept quantity is a ramp, a few other arms are categories, and the
/// one arm that learns from labels alone is neutral.
pub fn tints(arms: &[Arm]) -> Vec<Tint> {
    let is_labels = |arm: &Arm| arm.distillation.is_none();
    let one_neutral = arms.iter().filter(|arm| is_labels(arm)).count() == 1 && arms.len() > 1;
    let coloured: Vec<usize> = (0..arms.len()).filter(|index| !(one_neutral && is_labels(&arms[*index]))).collect();
    let one_line = sweep(arms).filter(|sweep| sweep.lines.len() == 1);

    let mut tints = vec![Tint::Labels; arms.len()];
    let ordered = match one_line {
        Some(sweep) => {
            let number = |index: &usize| sweep.quantity.of(&arms[*index]).map_or(0.0, |value| value.number);
            let mut ordered = coloured;
            ordered.sort_by(|a, b| number(a).total_cmp(&number(b)));
            ordered
        }
        None if coloured.len() <= Tint::CATEGORIES => {
            coloured.iter().enumerate().for_each(|(category, index)| tints[*index] = Tint::Category(category));
            return tints;
        }
        None => coloured,
    };
    let last = ordered.len().saturating_sub(1).max(1);
    for (rank, index) in ordered.iter().enumerate() {
        tints[*index] = Tint::Ramp((rank * Tint::RAMP_LAST + last / 2) / last);
    }
    tints
}
