//! What a study found, in one sentence that says how sure it is.

use crate::{ArmSummary, Difference, Plan, State, Verdict, comparison::counted, numbers, progress::RunProgress};

/// In place of an answer where the numbers are synthetic.
pub(crate) const MADE_UP: &str =
    "Synthetic: nothing was trained and every number here is made up, to see how a large study is shown";

/// The best arm against its baseline, once no run is left that can still change it.
pub(crate) fn answer(arms: &[ArmSummary], plan: &Plan, runs: &[RunProgress], state: State) -> String {
    let finished = runs.iter().filter(|run| run.state == State::Finished).count();
    let all = counted(runs.len(), "run", "runs");
    let done = format!("{finished} of {all} {} done", if finished == 1 { "is" } else { "are" });
    if state != State::Finished && plan.is_of_another_version() {
        return format!("Left unfinished by another version of this program: {done}. Start it anew to train the rest");
    }
    match state {
        State::Stopped => return format!("Stopped: {done}"),
        State::Training => return format!("Still training: {done}"),
        State::Waiting if runs.iter().all(|run| run.epochs_done == 0) => return format!("Not started yet: {done}"),
        // Between two workers nothing trains for a moment.
        State::Waiting => return format!("Still training: {done}"),
        State::Finished | State::Failed => {}
    }
    if finished == 0 {
        return "No run could be finished: nothing to compare".into();
    }
    let best = arms
        .iter()
        .filter_map(|arm| Some((arm, arm.difference.as_ref()?)))
        .max_by(|(_, one), (_, other)| one.mean.total_cmp(&other.mean));
    match best {
        Some((arm, difference)) => of_best(arms, arm, difference),
        None => alone(arms, plan),
    }
}

/// How many differences have a p-value.
pub(crate) fn compared(arms: &[ArmSummary]) -> usize {
    arms.iter().filter(|arm| arm.difference.as_ref().is_some_and(|it| it.p_value.is_some())).count()
}

fn of_best(arms: &[ArmSummary], arm: &ArmSummary, difference: &Difference) -> String {
    let baseline = &arms[difference.baseline].label;
    let seeds = counted(difference.n as usize, "seed", "seeds");
    let label = &arm.label;
    let (Some(interval), Some(p)) = (difference.interval, difference.p_value) else {
        let size = with_interval(difference.mean.abs(), None);
        let side = if difference.mean < 0.0 { "below" } else { "above" };
        return format!(
            "{label} is {size} points {side} {baseline} with {seeds}: too few to tell, at least 2 are needed"
        );
    };
    let compared = compared(arms);
    let corrected = if compared > 1 { format!(", Holm-corrected for {compared} comparisons") } else { String::new() };
    let behind = format!("({seeds}, {}{corrected})", p_value(p));
    let half = (interval.1 - interval.0) / 2.0;
    let size = with_interval(difference.mean.abs(), Some(half));
    match difference.verdict {
        Verdict::Better => format!("{label} beats {baseline} by {size} points {behind}"),
        Verdict::Worse if compared > 1 => {
            format!("No arm beats {baseline}: the best, {label}, is worse by {size} points {behind}")
        }
        Verdict::Worse => format!("{label} is worse than {baseline} by {size} points {behind}"),
        Verdict::NotDistinguishable | Verdict::TooFewSeeds => {
            let signed = with_interval(difference.mean, Some(half));
            let plus = if difference.mean > 0.0 { "+" } else { "" };
            let settle = match difference.seeds_needed {
                Some(needed) => format!("; about {needed} seeds would settle a difference this size"),
                None => String::new(),
            };
            let best = if compared > 1 { ", the best of the others," } else { "" };
            format!("{label}{best} is not distinguishable from {baseline}: {plus}{signed} points {behind}{settle}")
        }
    }
}

/// Where nothing is compared: there is one arm, or the others have failed.
fn alone(arms: &[ArmSummary], plan: &Plan) -> String {
    let with_mean: Vec<(&ArmSummary, f64)> = arms.iter().filter_map(|arm| Some((arm, arm.mean?))).collect();
    let Some((arm, mean)) = with_mean.iter().copied().max_by(|(_, one), (_, other)| one.total_cmp(other)) else {
        return "No run could be finished: nothing to compare".into();
    };
    let half = arm.interval.map(|(low, high)| (high - low) / 2.0);
    let seeds = counted(arm.n as usize, "seed", "seeds");
    let reaches = format!("{} reaches {} % on test images ({seeds})", arm.label, with_interval(mean, half));
    let baseline = plan.arms[arm.arm].baseline;
    match with_mean.len() {
        _ if arms.len() == 1 => reaches,
        1 if baseline == arm.arm => format!("{reaches}; no other arm has a result to compare with it"),
        1 => format!("{reaches}; its baseline, {}, has no result to compare it with", arms[baseline].label),
        others => format!(
            "{reaches}, the best of {others} arms; its baseline, {}, has no result to compare it with",
            arms[baseline].label
        ),
    }
}

/// "0.42 ± 0.30": rounded to two digits of the half width, within what a test set of thousands can tell.
fn with_interval(value: f64, half: Option<f64>) -> String {
    let decimals = match half {
        Some(half) if half > 0.0 => (1.0 - half.log10().floor()).clamp(0.0, 2.0) as usize,
        _ => 2,
    };
    let half = half.map(|half| format!(" ± {half:.decimals$}")).unwrap_or_default();
    format!("{}{half}", numbers::fixed(value, decimals))
}

/// Never rounded across the border at which a verdict turns.
fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "p < 0.001".into(),
        p if p < 0.01 || (0.045..0.055).contains(&p) => format!("p = {p:.3}"),
        p => format!("p = {p:.2}"),
    }
}
