//! What a study found, in one sentence that says how sure it is.

use crate::{
    ArmSummary, Difference, Plan, State, Verdict,
    numbers::{self, kept_together},
    progress::{RunProgress, WaitsFor},
};

/// In place of an answer where the numbers are synthetic.
pub(crate) const MADE_UP: &str =
    "Synthetic: nothing was trained and every number here is made up, to see how a large study is shown.";

/// The best arm against its baseline, once no run is left that can still change it. A whole sentence.
pub(crate) fn answer(arms: &[ArmSummary], plan: &Plan, runs: &[RunProgress], state: State) -> String {
    if state != State::Finished && plan.is_of_another_version() {
        // None of them has failed by what it does.
        let done = finished(runs);
        return format!("Left unfinished by another version of this program: {done}. Start it anew to train the rest.");
    }
    let done = done(runs);
    match state {
        State::Stopped => return format!("Stopped: {done}."),
        State::Waiting if runs.iter().all(|run| run.epochs_done == 0 && run.state == State::Waiting) => {
            return format!("Not started yet: {done}.");
        }
        // Between two workers nothing trains for a moment.
        State::Training | State::Waiting => return format!("Still training: {done}."),
        State::Finished | State::Failed => {}
    }
    if runs.iter().all(|run| run.state != State::Finished) {
        return NOTHING.into();
    }
    let best = arms
        .iter()
        .filter_map(|arm| Some((arm, arm.difference.as_ref()?)))
        .max_by(|(_, one), (_, other)| one.mean.total_cmp(&other.mean));
    match best {
        Some((arm, difference)) => format!("{}.", of_best(arms, arm, difference)),
        None => format!("{}.", alone(arms, plan)),
    }
}

const NOTHING: &str = "No run could be finished: nothing to compare.";

/// While nobody works on a study that goes on, and what it waits for is known.
pub(crate) fn waiting(what: &WaitsFor, runs: &[RunProgress]) -> String {
    let done = done(runs);
    match what {
        WaitsFor::AnotherStudy => format!("Waiting for another study: {done}."),
        WaitsFor::Images(reason) => format!("Waiting for its images, {done}: {reason}."),
    }
}

/// "7 of 9 runs are done", "2 of 9 runs are done, 3 failed".
fn done(runs: &[RunProgress]) -> String {
    let failed = runs.iter().filter(|run| run.state == State::Failed).count();
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    format!("{}{failed}", finished(runs))
}

fn finished(runs: &[RunProgress]) -> String {
    let finished = runs.iter().filter(|run| run.state == State::Finished).count();
    let are = if finished == 1 || runs.len() == 1 { "is" } else { "are" };
    format!("{finished} of {} {are} done", numbers::counted(runs.len() as u64, "run"))
}

/// How many differences have a p-value.
pub(crate) fn compared(arms: &[ArmSummary]) -> usize {
    arms.iter().filter(|arm| arm.difference.as_ref().is_some_and(|it| it.p_value.is_some())).count()
}

fn of_best(arms: &[ArmSummary], arm: &ArmSummary, difference: &Difference) -> String {
    let baseline = &arms[difference.baseline].label;
    let seeds = seeds(difference.n);
    let label = &arm.label;
    let (Some(interval), Some(p)) = (difference.interval, difference.p_value) else {
        let size = numbers::fixed(difference.mean.abs(), 2);
        let side = if difference.mean < 0.0 { "below" } else { "above" };
        return format!(
            "{label} is {size} points {side} {baseline} with {seeds}: too few to tell, at least 2 are needed"
        );
    };
    let compared = compared(arms);
    let corrected = if compared > 1 { format!(", Holm-corrected for {compared} comparisons") } else { String::new() };
    let behind = format!("({seeds}, {}{corrected})", p_value(p));
    let half = numbers::half_width(interval);
    let size = kept_together(&numbers::with_interval(difference.mean.abs(), Some((-half, half))));
    match difference.verdict {
        Verdict::Better => format!("{label} beats {baseline} by {size} points {behind}"),
        Verdict::Worse if compared > 1 => {
            format!("No arm beats {baseline}: the best of the others, {label}, is worse by {size} points {behind}")
        }
        Verdict::Worse => format!("{label} is worse than {baseline} by {size} points {behind}"),
        Verdict::NotDistinguishable | Verdict::TooFewSeeds => {
            let signed = kept_together(&numbers::signed_with_interval(difference.mean, Some(interval)));
            let leaves_out_zero = interval.0 > 0.0 || interval.1 < 0.0;
            let alone = if leaves_out_zero && compared > 1 {
                format!("; by itself this difference would be clear, among {compared} comparisons it may be chance")
            } else {
                String::new()
            };
            let settle = match difference.seeds_needed {
                Some(needed) => {
                    format!("; about {} would settle a difference this size", self::seeds(needed))
                }
                None => String::new(),
            };
            let said = match (compared > 1, difference.mean > 0.0) {
                (false, _) => format!("{label} is not distinguishable from {baseline}:"),
                (true, true) => format!("No arm is shown to beat {baseline}: the best of the others, {label}, is at"),
                (true, false) => format!("No arm beats {baseline}: the best of the others, {label}, is at"),
            };
            format!("{said} {signed} points {behind}{alone}{settle}")
        }
    }
}

/// Where nothing is compared: there is one arm, or the others have failed.
fn alone(arms: &[ArmSummary], plan: &Plan) -> String {
    let with_mean: Vec<(&ArmSummary, f64)> = arms.iter().filter_map(|arm| Some((arm, arm.mean?))).collect();
    // The first of several that are equally good.
    let best = with_mean.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best });
    let Some((arm, mean)) = best else {
        return NOTHING.trim_end_matches('.').into();
    };
    let accuracy = kept_together(&numbers::with_interval(mean, arm.interval));
    let reaches = format!("{} reaches {accuracy}{} on test images ({})", arm.label, numbers::PERCENT, seeds(arm.n));
    let baseline = plan.arms[arm.arm].baseline;
    let without = format!("its baseline, {}, has no result to compare it with", arms[baseline].label);
    match with_mean.len() {
        _ if arms.len() == 1 => reaches,
        1 if baseline == arm.arm => format!("{reaches}; no other arm has a result to compare with it"),
        1 => format!("{reaches}; {without}"),
        others => match with_mean.iter().filter(|(_, other)| *other == mean).count() {
            1 => format!("{reaches}, the best of {others} arms; {without}"),
            equal => format!("{reaches}, and {equal} of {others} arms are equally good; {without}"),
        },
    }
}

/// "3 seeds", on one line.
fn seeds(n: u32) -> String {
    kept_together(&numbers::counted(u64::from(n), "seed"))
}

/// "p = 0.017", on one line, rounded as everywhere.
fn p_value(p: f64) -> String {
    let value = numbers::p_value(p);
    let is = if value.starts_with('<') { value } else { format!("= {value}") };
    kept_together(&format!("p {is}"))
}
