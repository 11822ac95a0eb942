//! What the paper says of pairs of arms, judged by what a study found: as it says, the opposite, or neither.

use crate::{Arm, ArmSummary, Distillation, Report, comparison::Model, gallery::Card, statistics};

/// Which arms the paper says are above which, in test accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// With distillation to the end, the smallest teacher's students above the largest one's, at each temperature.
    SmallestTeacherAboveLargest,
    /// Labels alone above distillation to the end.
    LabelsAboveDistilled,
    /// Distillation that stops early above distillation to the end, and above labels alone.
    EarlyStopAboveEndAndLabels,
    /// Labels alone above the last generation of a sequence.
    LabelsAboveLastGeneration,
    /// Of each teacher, a shorter training above the longest.
    ShortTeacherAboveLong,
    /// Teacher and distillation stopped early above neither.
    BothStopsAboveNone,
    /// Of the KD loss that is left, and not of accuracies: it grows with the teacher.
    KdLossGrows,
}

/// A pair of arms, and what became of the claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The arm that the paper says is above, and the other; indices into the report's arms.
    pub above: usize,
    pub below: usize,
    /// The first minus the second, in points.
    pub difference: f64,
    pub interval: Option<(f64, f64)>,
    /// Two-sided, Holm-corrected over the claims of this study.
    pub p_value: Option<f64>,
    pub judged: Judged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    AsThePaperSays,
    TheOpposite,
    NotDistinguishable,
    TooFewSeeds,
}

/// Each claim of the paper's experiment that a report is of, as far as both arms have results; empty where it is of none.
pub fn judge(report: &Report) -> Vec<Judgement> {
    let Some(card) = Card::of_title(&report.study.title) else { return Vec::new() };
    let summaries = &report.comparison.arms;
    let model = Model::fit(summaries, 100.0 / f64::from(report.test_images.max(1)));
    let mut judged: Vec<Judgement> = pairs(card.claim, &report.arms, summaries)
        .into_iter()
        .filter_map(|(above, below)| {
            let difference = summaries[above].mean? - summaries[below].mean?;
            let enough = summaries[above].n.min(summaries[below].n) > 1;
            let contrast = model
                .blocks
                .as_ref()
                .filter(|_| enough)
                .and_then(|blocks| Some(blocks.contrast(model.position(above)?, model.position(below)?)));
            Some(Judgement {
                above,
                below,
                difference,
                interval: contrast.map(|it| (it.low, it.high)),
                p_value: contrast.map(|it| it.p_value),
                judged: Judged::TooFewSeeds,
            })
        })
        .collect();
    let uncorrected: Vec<f64> = judged.iter().filter_map(|it| it.p_value).collect();
    let mut corrected = statistics::holm(&uncorrected).into_iter();
    for it in &mut judged {
        it.p_value = it.p_value.and_then(|_| corrected.next());
        it.judged = match it.p_value {
            None => Judged::TooFewSeeds,
            Some(p) if p >= 1.0 - statistics::CONFIDENCE => Judged::NotDistinguishable,
            Some(_) if it.difference > 0.0 => Judged::AsThePaperSays,
            Some(_) => Judged::TheOpposite,
        };
    }
    judged
}

/// (above, below). Where the paper speaks of one of several arms, such as "stopped early", the one that is best on validation.
fn pairs(claim: Claim, arms: &[Arm], summaries: &[ArmSummary]) -> Vec<(usize, usize)> {
    let of = |index: usize| arms[index].distillation.as_ref();
    let distilling = |wanted: &dyn Fn(&Arm, &Distillation) -> bool| -> Vec<usize> {
        let wanted = |index: &usize| of(*index).is_some_and(|it| wanted(&arms[*index], it));
        (0..arms.len()).filter(wanted).collect()
    };
    let labels = arms.iter().position(|arm| arm.distillation.is_none());
    let to_the_end = |arm: &Arm, it: &Distillation| it.kd_stop_epoch == arm.epochs;
    let best = |of: &[usize]| {
        let known = of.iter().filter_map(|index| Some((summaries[*index].validation_mean?, *index)));
        known.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, index)| index)
    };
    let size = |index: &usize| of(*index).map_or(0, |it| it.teacher.architecture.parameters(3, 10));
    match claim {
        Claim::SmallestTeacherAboveLargest => {
            let mut all = distilling(&to_the_end);
            all.sort_by_key(size);
            let temperature = |index: usize| of(index).and_then(|it| it.scheme.number(crate::Number::Temperature));
            let smallest = all.iter().filter(|index| size(index) == all.first().map_or(0, size));
            let largest_at = |at: Option<f64>| all.iter().rev().find(|index| temperature(**index) == at).copied();
            let pairs = smallest.filter_map(|small| Some((*small, largest_at(temperature(*small))?)));
            pairs.filter(|(small, large)| size(small) < size(large)).collect()
        }
        Claim::LabelsAboveDistilled => labels
            .into_iter()
            .flat_map(|labels| distilling(&to_the_end).into_iter().map(move |it| (labels, it)))
            .collect(),
        Claim::EarlyStopAboveEndAndLabels => {
            let early = best(&distilling(&|arm, it| !to_the_end(arm, it)));
            let others = distilling(&to_the_end).into_iter().chain(labels);
            early.into_iter().flat_map(|early| others.clone().map(move |other| (early, other))).collect()
        }
        Claim::LabelsAboveLastGeneration => {
            let generation = |index: &usize| of(*index).map(|it| it.line.generation);
            let last = distilling(&to_the_end).into_iter().max_by_key(generation);
            labels.zip(last).into_iter().collect()
        }
        Claim::ShortTeacherAboveLong => {
            let all = distilling(&to_the_end);
            let longest = all.iter().filter_map(|index| of(*index)).map(|it| it.teacher_epochs).max();
            let long = all.iter().copied().filter(|index| of(*index).map(|it| it.teacher_epochs) == longest);
            let short_of = |long: usize| {
                let teacher = of(long).map(|it| it.teacher);
                let its = |index: &usize| *index != long && of(*index).map(|it| it.teacher) == teacher;
                best(&all.iter().copied().filter(its).collect::<Vec<_>>())
            };
            long.filter_map(|long| Some((short_of(long)?, long))).collect()
        }
        Claim::BothStopsAboveNone => {
            let longest = arms.iter().filter_map(|arm| arm.distillation.as_ref()).map(|it| it.teacher_epochs).max();
            let full =
                |it: &Distillation| it.teacher_stop_epoch == it.teacher_epochs && Some(it.teacher_epochs) == longest;
            let both = best(&distilling(&|arm, it| !to_the_end(arm, it) && !full(it)));
            let none = distilling(&|arm, it| to_the_end(arm, it) && full(it));
            both.into_iter().flat_map(|both| none.iter().map(move |none| (both, *none)).collect::<Vec<_>>()).collect()
        }
        Claim::KdLossGrows => Vec::new(),
    }
}
