//! What a study found: each arm's accuracy, the differences, and how sure one can be.

use crate::{
    Arm, Epoch, Plan, Provenance, RunId, State, Study, answer, arms, blocks,
    metrics::{Facts, best_on_validation, result, run_metrics},
    numbers,
    progress::RunProgress,
    search::{self, Asked},
    statistics::{self, Blocks},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An arm's result. Accuracies in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Index into the plan's arms.
    pub arm: usize,
    pub label: String,
    pub runs: Vec<RunId>,
    pub seeds: Vec<u32>,
    /// Test accuracy at each run's last epoch, by seed; `None` where it is not there yet or the run failed.
    pub by_seed: Vec<Option<f64>>,
    /// Test accuracy at each run's best epoch on validation, by seed, with that epoch.
    pub best_by_seed: Vec<Option<(Epoch, f64)>>,
    /// Of the `n` seeds that are there; where the model holds, adjusted for those that are missing. `None` where none is there.
    pub mean: Option<f64>,
    /// 95 % interval of the mean; `None` for fewer than two seeds.
    pub interval: Option<(f64, f64)>,
    /// Seeds with a result.
    pub n: u32,
    pub best_mean: Option<f64>,
    /// Validation accuracy at the runs' last epochs, mean over the seeds with a result: what an arm is chosen by. `None` where nothing
    /// is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_mean: Option<f64>,
    /// To the arm's baseline; `None` for the baseline itself or while there is too little.
    pub difference: Option<Difference>,
}

/// Arm minus baseline, in points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub baseline: usize,
    pub mean: f64,
    /// 95 % interval; `None` for fewer than two seeds.
    pub interval: Option<(f64, f64)>,
    /// Two-sided, Holm-corrected over the study's comparisons.
    pub p_value: Option<f64>,
    pub verdict: Verdict,
    /// Seeds in all that would settle a difference of this size (95 %, power 80 %); `None` where it is settled or cannot be said.
    pub seeds_needed: Option<u32>,
    /// Seeds with a result, of that of the two which has fewer.
    pub n: u32,
}

impl Difference {
    /// Seeds beyond those with a result that would settle it; `None` where `seeds_needed` is.
    pub fn more_seeds_needed(&self) -> Option<u32> {
        self.seeds_needed.map(|needed| needed.saturating_sub(self.n))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Better,
    Worse,
    NotDistinguishable,
    TooFewSeeds,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub arms: Vec<ArmSummary>,
    /// How the intervals were made, to be read after "intervals by the model": "arm + seed (randomised blocks), 5 arms × 3 seeds,
    /// 8 degrees of freedom".
    pub model: String,
    /// Behind every interval; `None` where there is none, or where they differ from arm to arm.
    pub degrees_of_freedom: Option<u32>,
    /// Residual standard deviation in points: the noise a seed adds beyond its own level.
    pub residual_deviation: Option<f64>,
    /// The test set's own sampling error of one accuracy, in points (95 %, binomial): shown apart, it is shared by all arms.
    pub test_sampling_error: Option<f64>,
    /// The answer in a sentence, computed from the data, or what is still missing.
    pub answer: String,
    /// What else a reader must know: "students of one teacher (seed 0)", ...
    pub remarks: Vec<String>,
}

/// Compares what is there. `stopped`: a person asked for it to stop.
///
/// Intervals come from the additive model arm + seed ([`Blocks`]) over every result there is, so that a run that failed takes
/// nothing from the other arms. An arm with one result alone has no interval, nor has a difference to it. Where the model cannot
/// be fitted (one arm, or no seed that two arms share), each arm has its own t. p-values are Holm-corrected over all comparisons
/// of the study; intervals are not. Accuracies come in steps of one test image, which is the least noise they are taken to have
/// ([`statistics::rounding_variance`]).
///
/// Of a search every run is compared that was ever asked for.
pub fn compare(study: &Study, asked: &Asked<'_>, facts: &Facts, stopped: bool) -> Comparison {
    let (state, states) = asked.states(facts, stopped);
    compared(study, &asked.so_far, facts, &states, state)
}

pub(crate) fn compared(study: &Study, plan: &Plan, facts: &Facts, states: &[RunProgress], state: State) -> Comparison {
    let mut arms: Vec<ArmSummary> = plan.arms.iter().enumerate().map(|(index, arm)| empty(index, arm)).collect();
    let mut validation: Vec<Vec<f64>> = vec![Vec::new(); arms.len()];
    let tested = plan.tested();
    for (run, tested) in plan.runs.iter().zip(&tested) {
        let metrics = run_metrics(run, facts);
        // Another study may have tested what this one has dropped.
        let result = result(run, &metrics).filter(|_| *tested);
        let best = result.and_then(|_| best_on_validation(&metrics));
        let held_out = result.and_then(|_| metrics.last()?.validation);
        validation[run.arm].extend(held_out.map(|scores| 100.0 * scores.accuracy));
        let arm = &mut arms[run.arm];
        arm.runs.push(run.id.clone());
        arm.seeds.push(run.seed.0);
        arm.by_seed.push(result.map(|(_, test)| without_dust(100.0 * test.accuracy)));
        arm.best_by_seed.push(best.and_then(|epoch| Some((epoch.epoch, without_dust(100.0 * epoch.test?.accuracy)))));
    }
    let mean = |values: &[f64]| (!values.is_empty()).then(|| statistics::mean(values));
    for (arm, validation) in arms.iter_mut().zip(&validation) {
        let best: Vec<f64> = arm.best_by_seed.iter().flatten().map(|(_, accuracy)| *accuracy).collect();
        arm.best_mean = mean(&best);
        arm.validation_mean = mean(validation);
    }

    let test_images = plan.segments.first().map_or(0, |segment| segment.dataset.test);
    let model = Model::fit(&arms, 100.0 / f64::from(test_images.max(1)));
    summarise(&mut arms, &model);
    let baselines: Vec<usize> = plan.arms.iter().map(|arm| arm.baseline).collect();
    differences(&mut arms, &baselines, &model);

    for arm in &mut arms {
        clean(arm);
    }

    let accuracies: Vec<f64> = arms.iter().filter_map(|arm| arm.mean).collect();
    let sampling_error = || 100.0 * statistics::binomial_half_width(statistics::mean(&accuracies) / 100.0, test_images);
    // A difference is of an arm and its baseline that both have results.
    let both_tested = arms.iter().any(|arm| arm.difference.is_some());
    let searched = search::remark(study, &plan.arms, both_tested, state);
    let made_up = facts.values().filter_map(|facts| facts.provenance.as_ref()).any(Provenance::is_synthetic);
    Comparison {
        model: model.description(&arms),
        degrees_of_freedom: model.degrees_of_freedom(&arms),
        residual_deviation: model.blocks.as_ref().map(|blocks| blocks.mean_square_error.sqrt()),
        test_sampling_error: (!accuracies.is_empty() && test_images > 0).then(sampling_error),
        answer: if made_up { answer::MADE_UP.to_owned() } else { answer::answer(&arms, plan, states, state) },
        remarks: searched.into_iter().chain(remarks(study, plan, &arms, states, &model)).collect(),
        arms,
    }
}

/// A percentage without what binary fractions leave behind the last digit that means anything: 75.99, not 75.99000000000001.
fn without_dust(percent: f64) -> f64 {
    const STEPS: f64 = 1e10;
    (percent * STEPS).round() / STEPS
}

/// What is computed of accuracies is written as they are.
fn clean(arm: &mut ArmSummary) {
    let both = |(low, high)| (without_dust(low), without_dust(high));
    arm.mean = arm.mean.map(without_dust);
    arm.interval = arm.interval.map(both);
    arm.best_mean = arm.best_mean.map(without_dust);
    arm.validation_mean = arm.validation_mean.map(without_dust);
    if let Some(difference) = &mut arm.difference {
        difference.mean = without_dust(difference.mean);
        difference.interval = difference.interval.map(both);
    }
}

fn empty(index: usize, arm: &Arm) -> ArmSummary {
    ArmSummary {
        arm: index,
        label: arm.label.clone(),
        runs: Vec::new(),
        seeds: Vec::new(),
        by_seed: Vec::new(),
        best_by_seed: Vec::new(),
        mean: None,
        interval: None,
        n: 0,
        best_mean: None,
        validation_mean: None,
        difference: None,
    }
}

/// The additive model over the results there are, where there are enough of them.
pub(crate) struct Model {
    pub(crate) blocks: Option<Blocks>,
    /// The arms in it, by their index in the plan.
    arms: Vec<usize>,
    /// In which accuracies come.
    step: f64,
}

impl Model {
    pub(crate) fn fit(arms: &[ArmSummary], step: f64) -> Model {
        let values: Vec<Vec<Option<f64>>> = arms.iter().map(|arm| arm.by_seed.clone()).collect();
        let tied = blocks::tied(&values);
        let values: Vec<Vec<Option<f64>>> = tied.iter().map(|arm| values[*arm].clone()).collect();
        Model { blocks: Blocks::fit(&values, step), arms: tied, step }
    }

    pub(crate) fn position(&self, arm: usize) -> Option<usize> {
        self.arms.iter().position(|it| *it == arm)
    }

    /// By their own t, arms with as many seeds each have the same.
    fn degrees_of_freedom(&self, arms: &[ArmSummary]) -> Option<u32> {
        match (&self.blocks, seeds_of(arms)) {
            (Some(blocks), _) => Some(blocks.degrees_of_freedom),
            (None, Some((fewest, most))) if fewest == most && most > 1 => Some(most - 1),
            (None, _) => None,
        }
    }

    fn description(&self, arms: &[ArmSummary]) -> String {
        let freedom = |degrees: u32| format!("{} of freedom", numbers::counted(degrees.into(), "degree"));
        match (&self.blocks, seeds_of(arms)) {
            (Some(blocks), _) => {
                let compared = answer::compared(arms);
                let corrected = match compared {
                    0 | 1 => String::new(),
                    _ => format!("; p-values Holm-corrected over {compared} comparisons, intervals not"),
                };
                let Blocks { arms, seeds, values, .. } = blocks;
                let missing = match arms * seeds - values {
                    0 => "randomised blocks".to_owned(),
                    missing => format!("least squares, {missing} of {} results missing", arms * seeds),
                };
                let freedom = freedom(blocks.degrees_of_freedom);
                format!("arm + seed ({missing}), {arms} arms × {seeds} seeds, {freedom}{corrected}")
            }
            (None, None) => "no result yet".into(),
            (None, Some((_, 1))) => "arm + noise, n = 1, which leaves no degree of freedom and no interval".into(),
            (None, Some((fewest, most))) if fewest == most => {
                format!("arm + noise (each arm by its own t), n = {most}, {}", freedom(most - 1))
            }
            (None, Some((fewest, most))) => format!(
                "arm + noise (each arm by its own t), n = {fewest} to {most}, {} to {}",
                fewest - 1,
                freedom(most - 1)
            ),
        }
    }
}

/// The fewest and the most seeds that an arm with results has.
fn seeds_of(arms: &[ArmSummary]) -> Option<(u32, u32)> {
    let seeds = || arms.iter().map(|arm| arm.n).filter(|n| *n > 0);
    Some((seeds().min()?, seeds().max()?))
}

fn summarise(arms: &mut [ArmSummary], model: &Model) {
    for arm in arms {
        let own: Vec<f64> = arm.by_seed.iter().flatten().copied().collect();
        arm.n = own.len() as u32;
        let (mean, interval) = match (&model.blocks, model.position(arm.arm)) {
            (Some(blocks), Some(position)) => (Some(blocks.means[position]), Some(blocks.interval(position))),
            _ => {
                let interval = statistics::interval_of_mean(&own, model.step).map(|(_, low, high)| (low, high));
                ((!own.is_empty()).then(|| statistics::mean(&own)), interval)
            }
        };
        (arm.mean, arm.interval) = (mean, interval.filter(|_| arm.n > 1));
    }
}

/// Fills in every difference, corrected and judged.
fn differences(arms: &mut [ArmSummary], baselines: &[usize], model: &Model) {
    let mut found: Vec<(usize, Difference)> = (0..arms.len())
        .filter_map(|arm| difference(arms, arm, baselines[arm], model).map(|difference| (arm, difference)))
        .collect();
    let uncorrected: Vec<f64> = found.iter().filter_map(|(_, difference)| difference.p_value).collect();
    let mut corrected = statistics::holm(&uncorrected).into_iter();
    let noise = model.blocks.as_ref().map_or(f64::NAN, |blocks| blocks.mean_square_error.sqrt());
    for (_, difference) in &mut found {
        difference.p_value = difference.p_value.and_then(|_| corrected.next());
        difference.verdict = match difference.p_value {
            None => Verdict::TooFewSeeds,
            Some(p) if p >= 1.0 - statistics::CONFIDENCE => Verdict::NotDistinguishable,
            Some(_) if difference.mean > 0.0 => Verdict::Better,
            Some(_) => Verdict::Worse,
        };
        if difference.verdict == Verdict::NotDistinguishable {
            let needed = statistics::seeds_needed(difference.mean, noise, model.arms.len());
            difference.seeds_needed = needed.map(|seeds| seeds.max(difference.n + 1));
        }
    }
    for (arm, difference) in found {
        arms[arm].difference = Some(difference);
    }
}

/// An arm minus its baseline, not yet corrected nor judged.
fn difference(arms: &[ArmSummary], arm: usize, baseline: usize, model: &Model) -> Option<Difference> {
    if arm == baseline {
        return None;
    }
    let (own, its) = (&arms[arm], &arms[baseline]);
    let n = own.n.min(its.n);
    let found = |mean, interval, p_value| Difference {
        baseline,
        mean,
        interval,
        p_value,
        verdict: Verdict::TooFewSeeds,
        seeds_needed: None,
        n,
    };
    let mean = own.mean? - its.mean?;
    match (&model.blocks, model.position(arm), model.position(baseline)) {
        (Some(blocks), Some(arm), Some(baseline)) if n > 1 => {
            let contrast = blocks.contrast(arm, baseline);
            Some(found(contrast.mean, Some((contrast.low, contrast.high)), Some(contrast.p_value)))
        }
        _ => Some(found(mean, None, None)),
    }
}

/// Said wherever an interval is shown.
fn remarks(
    study: &Study,
    plan: &Plan,
    arms: &[ArmSummary],
    states: &[RunProgress],
    model: &Model,
) -> impl Iterator<Item = String> {
    let distils = plan.arms.iter().any(|arm| arm.distillation.is_some());
    let one_teacher = (distils && !study.teacher_per_seed()).then(|| {
        "One teacher (seed 0) serves all seeds: the intervals speak of students of that one teacher, not of teachers \
         trained anew."
            .to_owned()
    });
    let differs = |segment: &crate::Segment| segment.augmentation_seed.is_some();
    let shared_views = plan.segments.iter().any(differs).then(|| {
        "All seeds see their images in the same views (augmentation_seed = \"shared\"): they are a little less independent of \
         each other than the intervals take them to be."
            .to_owned()
    });
    let unfinished = states.iter().any(|run| run.state != State::Finished);
    let abandoned = (unfinished && plan.is_of_another_version()).then(|| {
        "This study was planned by another version of this program, which trains with other bits: what it found stays, but \
         nothing more is trained for it. Start a new study with the same fields to train it anew."
            .to_owned()
    });
    let failed = states.iter().filter(|run| run.state == State::Failed).count();
    let failed = (failed > 0 && abandoned.is_none())
        .then(|| format!("{failed} of {} failed.", numbers::counted(states.len() as u64, "run")));
    let tested = plan.runs.iter().zip(plan.tested()).filter(|(_, tested)| *tested);
    let tested: BTreeSet<usize> = tested.map(|(run, _)| run.arm).collect();
    let remarks = [
        one_teacher,
        shared_views,
        arms::baseline_remark(&plan.arms),
        abandoned,
        failed,
        missing(arms.iter().filter(|arm| tested.contains(&arm.arm)), model),
    ];
    remarks.into_iter().flatten()
}

/// Arms of which the missing seeds are told one by one; the rest are only counted.
const MISSING_MAX: usize = 8;

/// Which results the model has to do without, of arms that are tested: those of whole arms move no other arm's mean.
fn missing<'a>(arms: impl Iterator<Item = &'a ArmSummary>, model: &Model) -> Option<String> {
    model.blocks.as_ref()?;
    let of_arm = |arm: &ArmSummary| {
        let seeds: Vec<String> = arm
            .seeds
            .iter()
            .zip(&arm.by_seed)
            .filter(|(_, value)| value.is_none())
            .map(|(seed, _)| seed.to_string())
            .collect();
        match seeds.len() {
            0 => None,
            n if n == arm.seeds.len() => Some(format!("{} (every seed)", arm.label)),
            1 => Some(format!("{} (seed {})", arm.label, seeds[0])),
            _ => Some(format!("{} (seeds {})", arm.label, seeds.join(", "))),
        }
    };
    let arms: Vec<&ArmSummary> = arms.collect();
    let has_gap = |arm: &&ArmSummary| arm.by_seed.iter().flatten().count() > 0 && arm.by_seed.contains(&None);
    let adjusted = match arms.iter().any(has_gap) {
        true => ": means are adjusted to all seeds, and intervals are wider for it",
        false => "",
    };
    let mut incomplete: Vec<String> = arms.into_iter().filter_map(of_arm).collect();
    let more = incomplete.len().saturating_sub(MISSING_MAX);
    incomplete.truncate(MISSING_MAX);
    let more = if more > 0 { format!(" and {}", numbers::counted(more as u64, "other arm")) } else { String::new() };
    (!incomplete.is_empty()).then(|| format!("Results are missing of {}{more}{adjusted}.", incomplete.join("; ")))
}
