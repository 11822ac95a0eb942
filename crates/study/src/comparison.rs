//! What a study found: each arm's accuracy, the differences, and how sure one can be.

use crate::{
    Arm, Epoch, Incident, Machine, Metric, Plan, Progress, Provenance, RunId, Series, State, Study, answer, arms,
    incidents::incidents,
    metrics::{Facts, best_on_validation, result, run_metrics, series},
    progress::{self, RunProgress},
    statistics::{self, Blocks},
};
use serde::{Deserialize, Serialize};

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
    /// Over `n` seeds: those complete in every arm where the model holds, else the arm's own; `None` where none is.
    pub mean: Option<f64>,
    /// 95 % interval of the mean; `None` for fewer than two seeds.
    pub interval: Option<(f64, f64)>,
    /// Seeds behind mean and interval.
    pub n: u32,
    pub best_mean: Option<f64>,
    /// To the arm's baseline; `None` for the baseline itself or while there is too little.
    pub difference: Option<Difference>,
}

/// Arm minus baseline over the seeds both have, in points.
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
    pub n: u32,
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
    /// How the intervals were made: "arm + seed (randomised blocks), 5 arms × 3 seeds, 8 degrees of freedom".
    pub model: String,
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

/// Everything the page of a study shows, of a study that runs as of one that is done; frozen, it is a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub study: Study,
    pub arms: Vec<crate::Arm>,
    /// "15 runs, 16 segments, 272 epochs instead of 320" comes from these.
    pub runs: u64,
    pub segments: u64,
    pub epochs: u64,
    pub epochs_without_sharing: u64,
    pub progress: Progress,
    pub comparison: Comparison,
    pub curves: Vec<(Metric, Vec<Series>)>,
    pub provenance: Vec<Provenance>,
    pub test_images: u32,
    /// What went wrong or was put right, and which runs it touches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
}

/// Compares what is there.
///
/// Intervals come from the additive model arm + seed ([`Blocks`]) over the arms that have a result, on the seeds that are
/// complete in all of these: a seed broken by a failed run is left out, and n says so. With fewer than two such seeds, or one
/// arm, each arm has its own t, and a difference is paired over the seeds that both have. p-values are Holm-corrected over
/// all comparisons of the study; intervals are not.
pub fn compare(study: &Study, plan: &Plan, facts: &Facts) -> Comparison {
    let states = progress::runs(plan, facts, false);
    let mut arms: Vec<ArmSummary> = plan.arms.iter().enumerate().map(|(index, arm)| empty(index, arm)).collect();
    for run in &plan.runs {
        let metrics = run_metrics(run, facts);
        let result = result(run, &metrics);
        let best = result.and_then(|_| best_on_validation(&metrics));
        let arm = &mut arms[run.arm];
        arm.runs.push(run.id.clone());
        arm.seeds.push(run.seed.0);
        arm.by_seed.push(result.map(|(_, test)| 100.0 * test.accuracy));
        arm.best_by_seed.push(best.and_then(|epoch| Some((epoch.epoch, 100.0 * epoch.test?.accuracy))));
    }
    for arm in &mut arms {
        let best: Vec<f64> = arm.best_by_seed.iter().flatten().map(|(_, accuracy)| *accuracy).collect();
        arm.best_mean = (!best.is_empty()).then(|| statistics::mean(&best));
    }

    let model = Model::fit(&arms);
    summarise(&mut arms, &model);
    let baselines: Vec<usize> = plan.arms.iter().map(|arm| arm.baseline).collect();
    let residual_deviation = differences(&mut arms, &baselines, &model);

    let accuracies: Vec<f64> = arms.iter().filter_map(|arm| arm.mean).collect();
    let test_images = plan.segments.first().map_or(0, |segment| segment.dataset.test);
    let sampling_error = || 100.0 * statistics::binomial_half_width(statistics::mean(&accuracies) / 100.0, test_images);
    Comparison {
        model: model.description(&arms),
        degrees_of_freedom: model.blocks.as_ref().map(|blocks| blocks.degrees_of_freedom),
        residual_deviation,
        test_sampling_error: (!accuracies.is_empty() && test_images > 0).then(sampling_error),
        answer: answer::answer(&arms, &states, progress::state(plan, facts, false, &states)),
        remarks: remarks(study, plan, &states, &model),
        arms,
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
        difference: None,
    }
}

/// The additive model over the arms with results, where there are enough of them.
struct Model {
    blocks: Option<Blocks>,
    /// The arms in it, by their index in the plan.
    arms: Vec<usize>,
    /// Seeds with a result in some of them only.
    incomplete: Vec<usize>,
}

impl Model {
    fn fit(arms: &[ArmSummary]) -> Model {
        let with_results: Vec<&ArmSummary> =
            arms.iter().filter(|arm| arm.by_seed.iter().any(Option::is_some)).collect();
        let seeds = with_results.first().map_or(0, |arm| arm.by_seed.len());
        let (complete, others): (Vec<usize>, Vec<usize>) =
            (0..seeds).partition(|seed| with_results.iter().all(|arm| arm.by_seed[*seed].is_some()));
        let values: Vec<Vec<f64>> =
            with_results.iter().map(|arm| complete.iter().filter_map(|seed| arm.by_seed[*seed]).collect()).collect();
        let started = |seed: &usize| with_results.iter().any(|arm| arm.by_seed[*seed].is_some());
        Model {
            blocks: Blocks::fit(&values),
            arms: with_results.iter().map(|arm| arm.arm).collect(),
            incomplete: others.into_iter().filter(started).collect(),
        }
    }

    fn position(&self, arm: usize) -> Option<usize> {
        self.arms.iter().position(|it| *it == arm)
    }

    fn description(&self, arms: &[ArmSummary]) -> String {
        let compared = arms.iter().filter(|arm| arm.difference.as_ref().is_some_and(|it| it.p_value.is_some())).count();
        let corrected = match compared {
            0 | 1 => String::new(),
            _ => format!("; p-values Holm-corrected over {compared} comparisons, intervals not"),
        };
        match &self.blocks {
            Some(blocks) => format!(
                "arm + seed (randomised blocks), {} arms × {} seeds, {} of freedom{corrected}",
                self.arms.len(),
                blocks.seeds,
                counted(blocks.degrees_of_freedom as usize, "degree", "degrees"),
            ),
            None if self.arms.is_empty() => "no result yet".into(),
            None if arms.iter().all(|arm| arm.n < 2) => "one seed: no interval".into(),
            None if compared == 0 => "each arm by its own t".into(),
            None => format!("each arm by its own t, differences paired over the seeds of both arms{corrected}"),
        }
    }
}

fn summarise(arms: &mut [ArmSummary], model: &Model) {
    for arm in arms {
        let own: Vec<f64> = arm.by_seed.iter().flatten().copied().collect();
        match (&model.blocks, model.position(arm.arm)) {
            (Some(blocks), Some(position)) => {
                arm.mean = Some(blocks.means[position]);
                arm.interval = Some(blocks.interval(position));
                arm.n = blocks.seeds as u32;
            }
            _ => {
                arm.mean = (!own.is_empty()).then(|| statistics::mean(&own));
                arm.interval = statistics::interval_of_mean(&own).map(|(_, low, high)| (low, high));
                arm.n = own.len() as u32;
            }
        }
    }
}

/// Fills in every difference, corrected and judged; gives the model's residual deviation.
fn differences(arms: &mut [ArmSummary], baselines: &[usize], model: &Model) -> Option<f64> {
    let of = |arm: usize| difference(arms, arm, baselines[arm], model);
    let mut found: Vec<(usize, Difference, f64)> =
        (0..arms.len()).filter_map(|arm| of(arm).map(|(difference, noise)| (arm, difference, noise))).collect();
    let uncorrected: Vec<f64> = found.iter().filter_map(|(_, difference, _)| difference.p_value).collect();
    let mut corrected = statistics::holm(&uncorrected).into_iter();
    for (_, difference, noise) in &mut found {
        difference.p_value = difference.p_value.and_then(|_| corrected.next());
        difference.verdict = match difference.p_value {
            None => Verdict::TooFewSeeds,
            Some(p) if p >= 1.0 - statistics::CONFIDENCE => Verdict::NotDistinguishable,
            Some(_) if difference.mean > 0.0 => Verdict::Better,
            Some(_) => Verdict::Worse,
        };
        if difference.verdict == Verdict::NotDistinguishable {
            let compared = if model.blocks.is_some() { model.arms.len() } else { 2 };
            difference.seeds_needed =
                statistics::seeds_needed(difference.mean, *noise, compared).map(|seeds| seeds.max(difference.n + 1));
        }
    }
    for (arm, difference, _) in found {
        arms[arm].difference = Some(difference);
    }
    model.blocks.as_ref().map(|blocks| blocks.mean_square_error.sqrt())
}

/// An arm minus its baseline, with the residual deviation behind it; not yet corrected nor judged.
fn difference(arms: &[ArmSummary], arm: usize, baseline: usize, model: &Model) -> Option<(Difference, f64)> {
    if arm == baseline {
        return None;
    }
    let found = |mean, interval, p_value, n| Difference {
        baseline,
        mean,
        interval,
        p_value,
        verdict: Verdict::TooFewSeeds,
        seeds_needed: None,
        n,
    };
    let contrast = |blocks: &Blocks, arm, baseline| {
        let contrast = blocks.contrast(arm, baseline);
        let interval = Some((contrast.low, contrast.high));
        let difference = found(contrast.mean, interval, Some(contrast.p_value), blocks.seeds as u32);
        (difference, blocks.mean_square_error.sqrt())
    };
    if let Some(blocks) = &model.blocks {
        return Some(contrast(blocks, model.position(arm)?, model.position(baseline)?));
    }
    let both = arms[arm].by_seed.iter().zip(&arms[baseline].by_seed);
    let (own, others): (Vec<f64>, Vec<f64>) = both.filter_map(|(own, other)| Some(((*own)?, (*other)?))).unzip();
    if own.is_empty() {
        return None;
    }
    let mean = statistics::mean(&own) - statistics::mean(&others);
    let seeds = own.len() as u32;
    match Blocks::fit(&[own, others]) {
        Some(blocks) => Some(contrast(&blocks, 0, 1)),
        None => Some((found(mean, None, None, seeds), f64::NAN)),
    }
}

/// Said wherever an interval is shown.
fn remarks(study: &Study, plan: &Plan, states: &[RunProgress], model: &Model) -> Vec<String> {
    let distils = plan.arms.iter().any(|arm| arm.distillation.is_some());
    let one_teacher = (distils && !study.teacher_per_seed()).then(|| {
        "One teacher (seed 0) serves all seeds: the intervals speak of students of that one teacher, not of teachers \
         trained anew."
            .to_owned()
    });
    let failed = states.iter().filter(|run| run.state == State::Failed).count();
    let failed = (failed > 0).then(|| format!("{failed} of {} failed.", counted(states.len(), "run", "runs")));
    let left_out = model.blocks.as_ref().filter(|_| !model.incomplete.is_empty()).map(|_| {
        let seeds: Vec<String> = model.incomplete.iter().map(usize::to_string).collect();
        let noun = if seeds.len() == 1 { "Seed" } else { "Seeds" };
        let (is, it) = if seeds.len() == 1 { ("is", "it") } else { ("are", "them") };
        format!("{noun} {} {is} left out of the comparison: not every arm has a result for {it}.", seeds.join(", "))
    });
    [one_teacher, arms::baseline_remark(&plan.arms), failed, left_out].into_iter().flatten().collect()
}

pub(crate) fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Puts a study's page together from facts.
pub fn report(study: &Study, plan: &Plan, facts: &Facts, stopped: bool, machine: &Machine) -> Report {
    let progress = progress::progress(plan, facts, stopped, machine);
    let mut comparison = compare(study, plan, facts);
    if progress.state == State::Stopped {
        comparison.answer = answer::answer(&comparison.arms, &progress.runs, State::Stopped);
    }
    let mut provenance: Vec<Provenance> = Vec::new();
    for its in plan.segments.iter().filter_map(|segment| facts.get(&segment.key)?.provenance.as_ref()) {
        if !provenance.contains(its) {
            provenance.push(its.clone());
        }
    }
    let curves = Metric::ALL.into_iter().map(|metric| (metric, series(plan, facts, metric)));
    Report {
        study: study.clone(),
        arms: plan.arms.clone(),
        runs: plan.runs.len() as u64,
        segments: plan.segments.len() as u64,
        epochs: plan.epochs,
        epochs_without_sharing: plan.epochs_without_sharing,
        progress,
        comparison,
        curves: curves.filter(|(_, series)| series.iter().any(|series| !series.points.is_empty())).collect(),
        provenance,
        test_images: plan.segments.first().map_or(0, |segment| segment.dataset.test),
        incidents: incidents(plan, facts),
    }
}
