//! Which quantity a study sweeps: what stands on the horizontal axis, which lines there are, and each arm's colour.

use std::collections::{BTreeMap, BTreeSet};
use study::{Arm, Distillation, Method, Number};

/// A field of a treatment or a network that may differ between arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    KdStopEpoch,
    TeacherStopEpoch,
    /// Of a method.
    Number(Number),
    Generation,
    GenerationStopEpoch,
    TeacherEpochs,
    StudentEpochs,
    LabelWeightAfterStop,
    Teacher,
    Student,
    /// Methods and chains have no order: they make lines, and never an axis.
    Method,
    Chain,
}

/// An arm's value of a quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub number: f64,
    pub written: String,
}

impl Quantity {
    /// In the order in which they are preferred for the horizontal axis where several have as many values.
    fn all() -> impl Iterator<Item = Quantity> {
        let first = [Self::KdStopEpoch, Self::TeacherStopEpoch];
        let last = [
            Self::Generation,
            Self::GenerationStopEpoch,
            Self::TeacherEpochs,
            Self::StudentEpochs,
            Self::LabelWeightAfterStop,
            Self::Teacher,
            Self::Student,
            Self::Method,
            Self::Chain,
        ];
        first.into_iter().chain(Number::ALL.map(Self::Number)).chain(last)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::KdStopEpoch => "KD stop epoch",
            Self::TeacherStopEpoch => "teacher stop epoch",
            Self::Number(number) => number.name(),
            Self::Generation => "generation",
            Self::GenerationStopEpoch => "generation stop epoch",
            Self::TeacherEpochs => "teacher’s epochs",
            Self::StudentEpochs => "student’s epochs",
            Self::LabelWeightAfterStop => "label weight after the stop",
            Self::Teacher => "teacher",
            Self::Student => "student",
            Self::Method => "method",
            Self::Chain => "chain",
        }
    }

    /// `None` where the quantity does not count for the arm. Labels only is a KD stop at epoch 0.
    pub fn of(self, arm: &Arm) -> Option<Value> {
        let distillation = arm.distillation.as_ref();
        let method = distillation.map(|it| it.scheme.method());
        let number = match self {
            Self::KdStopEpoch => Some(distillation.map_or(0.0, |it| f64::from(it.kd_stop_epoch.0))),
            Self::TeacherStopEpoch => distillation.map(|it| f64::from(it.teacher_stop_epoch.0)),
            Self::Number(Number::KdWeight) if distillation.is_none() => Some(0.0),
            Self::Number(number) => distillation.and_then(|it| it.scheme.number(number)),
            Self::Generation => distillation.map(|it| f64::from(it.line.generation)),
            Self::GenerationStopEpoch => {
                distillation.and_then(|it| it.line.generation_stop_epoch).map(|stop| f64::from(stop.0))
            }
            Self::TeacherEpochs => distillation.map(|it| f64::from(it.teacher_epochs.0)),
            Self::StudentEpochs => Some(f64::from(arm.epochs.0)),
            Self::LabelWeightAfterStop => distillation.and_then(|it| it.cross_entropy_weight_after_stop),
            // Networks are ordered by their size; any image will do for that.
            Self::Teacher => distillation.map(|it| it.teacher.architecture.parameters(3, 10) as f64),
            Self::Student => Some(arm.student.parameters(3, 10) as f64),
            Self::Method => method.and_then(|it| Method::ALL.iter().position(|other| *other == it)).map(|it| it as f64),
            Self::Chain => distillation.map(|it| it.line.chain.0.len() as f64),
        }?;
        let written = match self {
            Self::Teacher => distillation.map(Distillation::teacher_label)?,
            Self::Student => arm.student.to_string(),
            Self::Method => method?.label().to_owned(),
            Self::Chain => distillation.map(|it| it.line.chain.to_string())?,
            _ => number.to_string(),
        };
        Some(Value { number, written })
    }

    /// Networks have names, not numbers, on an axis.
    pub fn is_named(self) -> bool {
        matches!(self, Self::Teacher | Self::Student)
    }

    fn makes_an_axis(self) -> bool {
        !matches!(self, Self::Method | Self::Chain)
    }

    fn distinct(self, arms: &[Arm]) -> usize {
        let written: BTreeSet<String> = arms.iter().filter_map(|arm| self.of(arm)).map(|value| value.written).collect();
        written.len()
    }

    /// A stop that always comes at the end of its training is no choice: it only repeats how long the training is. Nor is a number
    /// that differs between methods alone, each of which has its own default.
    fn is_chosen(self, arms: &[Arm]) -> bool {
        let mut distilling = arms.iter().filter_map(|arm| Some((arm, arm.distillation.as_ref()?)));
        match self {
            Self::KdStopEpoch => distilling.any(|(arm, it)| it.kd_stop_epoch < arm.epochs),
            Self::TeacherStopEpoch => distilling.any(|(_, it)| it.teacher_stop_epoch < it.teacher_epochs),
            Self::Number(number) => {
                let mut of_method: BTreeMap<Method, f64> = BTreeMap::new();
                let mut values = distilling.filter_map(|(_, it)| Some((it.scheme.method(), it.scheme.number(number)?)));
                values.any(|(method, value)| *of_method.entry(method).or_insert(value) != value)
            }
            _ => true,
        }
    }

    /// Whether labels only is a value of it like others: KD stopped at 0, KD of weight 0.
    fn begins_with_labels(self) -> bool {
        matches!(self, Self::KdStopEpoch | Self::Number(Number::KdWeight))
    }
}

/// What a study sweeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// On the horizontal axis: the quantity with the most values, at least three.
    pub quantity: Quantity,
    /// Arms that differ only in it, in its order: a line each.
    pub lines: Vec<Line>,
    /// Arms for which the quantity does not count: they stand beside the axis.
    pub beside: Vec<usize>,
}

impl Sweep {
    /// Whether lines begin at this arm, labels only: it is no line's own.
    pub fn is_shared(&self, arm: &Arm) -> bool {
        arm.distillation.is_none() && self.quantity.begins_with_labels()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What tells this line from the others; empty where there is one.
    pub label: String,
    pub arms: Vec<usize>,
}

/// `None` where no quantity has three values: such arms are compared side by side.
pub fn sweep(arms: &[Arm]) -> Option<Sweep> {
    let chosen: Vec<Quantity> = Quantity::all().filter(|quantity| quantity.is_chosen(arms)).collect();
    let axes = || chosen.iter().filter(|quantity| quantity.makes_an_axis());
    let most = axes().map(|quantity| quantity.distinct(arms)).max()?;
    let quantity = *axes().find(|quantity| quantity.distinct(arms) == most).filter(|_| most >= 3)?;
    let differs = |other: &Quantity| {
        *other != quantity && other.distinct(&distilling(arms)) > 1 && !follows(*other, quantity, arms)
    };
    let others: Vec<Quantity> = chosen.into_iter().filter(differs).collect();

    let mut lines: Vec<Line> = Vec::new();
    let mut beside = Vec::new();
    let any_distils = arms.iter().any(|arm| arm.distillation.is_some());
    for (index, arm) in arms.iter().enumerate() {
        if quantity.of(arm).is_none() {
            beside.push(index);
            continue;
        }
        let from_labels = any_distils && arm.distillation.is_none();
        if from_labels && quantity.begins_with_labels() {
            continue;
        }
        let label = line_label(arm, &others, from_labels);
        match lines.iter_mut().find(|line| line.label == label) {
            Some(line) => line.arms.push(index),
            None => lines.push(Line { label, arms: vec![index] }),
        }
    }
    // Every line of a KD stop begins at the arm that never distils.
    for line in lines.iter_mut().filter(|_| quantity.begins_with_labels()) {
        let baseline = arms[line.arms[0]].baseline;
        if arms[baseline].distillation.is_none() {
            line.arms.insert(0, baseline);
        }
    }
    let number = |index: &usize| quantity.of(&arms[*index]).map_or(0.0, |value| value.number);
    lines.iter_mut().for_each(|line| line.arms.sort_by(|a, b| number(a).total_cmp(&number(b))));
    if lines.len() > 1 {
        lines.iter_mut().filter(|line| line.label.is_empty()).for_each(|line| line.label = "distilled".into());
    }
    Some(Sweep { quantity, lines, beside })
}

/// The arms that others are compared with, for a rule each; none that already stands on a line of its own kind along the
/// axis, where each of its neighbours has another baseline.
pub fn ruled(arms: &[Arm], sweep: Option<&Sweep>) -> Vec<usize> {
    let compared =
        |index: &usize| arms.iter().enumerate().any(|(other, arm)| other != *index && arm.baseline == *index);
    let on_a_line = |arm: &Arm| {
        let quantity = sweep.map(|sweep| sweep.quantity).filter(|quantity| !quantity.begins_with_labels());
        arm.distillation.is_none() && quantity.is_some_and(|quantity| quantity.of(arm).is_some())
    };
    (0..arms.len()).filter(compared).filter(|index| !on_a_line(&arms[*index])).collect()
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

fn line_label(arm: &Arm, others: &[Quantity], from_labels: bool) -> String {
    let said = others.iter().filter(|other| !from_labels || !other.begins_with_labels()).filter_map(|other| {
        let written = other.of(arm)?.written;
        // Which method goes on that long is said once.
        let method = match &arm.distillation {
            Some(it) if !others.contains(&Quantity::Method) => format!("{} ", it.scheme.method().label()),
            _ => String::new(),
        };
        Some(match other {
            Quantity::TeacherStopEpoch => format!("teacher stopped at {written}"),
            Quantity::KdStopEpoch if written == arm.epochs.to_string() => format!("{method}to the end"),
            Quantity::KdStopEpoch => format!("{method}until {written}"),
            Quantity::Number(number) => number.said(other.of(arm)?.number),
            Quantity::Teacher => format!("{written} teaches"),
            Quantity::Student | Quantity::Method => written,
            Quantity::Chain if written.is_empty() => "no chain".to_owned(),
            Quantity::Chain => format!("through {written}"),
            Quantity::GenerationStopEpoch => format!("generations stopped at {written}"),
            _ => format!("{} {written}", other.name()),
        })
    });
    from_labels.then(|| "labels only".to_owned()).into_iter().chain(said).collect::<Vec<_>>().join(", ")
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
    /// A line's colour, and the place along it as a shade (0, light, to [`Tint::SHADE_LAST`]) and a way of drawing.
    Line { category: usize, shade: usize, dash: usize },
}

impl Tint {
    pub const RAMP_LAST: usize = 11;
    pub const CATEGORIES: usize = 8;
    pub const SHADE_LAST: usize = 4;
    /// Ways of drawing a curve: unbroken, dashed, dotted.
    const DASHES: usize = 3;

    /// The class that sets `--tint`.
    pub fn class(self) -> String {
        match self {
            Tint::Labels => "arm tint-labels".into(),
            Tint::Ramp(step) => format!("arm tint-ramp-{step}"),
            Tint::Category(index) => format!("arm tint-category-{index}"),
            Tint::Line { category, shade, dash } => {
                format!("arm tint-category-{category} shade-{shade} dash-{dash}")
            }
        }
    }

    /// The colour of a sweep's line, whatever the place along it.
    pub fn of_line(line: usize) -> Tint {
        Tint::Category(line % Tint::CATEGORIES)
    }
}

/// Each arm's colour, the same everywhere on a page: one swept quantity is a ramp, of several lines each has a colour and its
/// arms are shades of it, a few other arms are categories, and the one arm that learns from labels alone is neutral.
pub fn tints(arms: &[Arm]) -> Vec<Tint> {
    let is_labels = |arm: &Arm| arm.distillation.is_none();
    let one_neutral = arms.iter().filter(|arm| is_labels(arm)).count() == 1 && arms.len() > 1;
    let coloured: Vec<usize> = (0..arms.len()).filter(|index| !(one_neutral && is_labels(&arms[*index]))).collect();

    let mut tints = vec![Tint::Labels; arms.len()];
    let ordered = match sweep(arms) {
        Some(sweep) if sweep.lines.len() > 1 => {
            shade_lines(arms, &sweep, &mut tints);
            return tints;
        }
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

/// Gives each arm of a line the line's colour and the shade of its place; where a line begins at labels only, that stays neutral.
fn shade_lines(arms: &[Arm], sweep: &Sweep, tints: &mut [Tint]) {
    let number = |index: usize| sweep.quantity.of(&arms[index]).map_or(0.0, |value| value.number);
    let is_own = |index: &usize| !sweep.is_shared(&arms[*index]);
    let on_lines = || sweep.lines.iter().flat_map(|line| &line.arms).copied().filter(is_own);
    let mut places: Vec<f64> = on_lines().map(number).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let last = places.len().saturating_sub(1).max(1);
    for (line, its) in sweep.lines.iter().enumerate() {
        for index in its.arms.iter().copied().filter(is_own) {
            let rank = places.iter().position(|place| *place == number(index)).unwrap_or(0);
            let shade = match places.len() {
                1 => Tint::SHADE_LAST / 2,
                _ => (rank * Tint::SHADE_LAST + last / 2) / last,
            };
            let dash = (places.len() - 1 - rank) % Tint::DASHES;
            tints[index] = Tint::Line { category: line % Tint::CATEGORIES, shade, dash };
        }
    }
    for (rank, index) in sweep.beside.iter().filter(|index| arms[**index].distillation.is_some()).enumerate() {
        tints[*index] = Tint::Category((sweep.lines.len() + rank) % Tint::CATEGORIES);
    }
}
