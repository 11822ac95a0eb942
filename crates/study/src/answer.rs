//! What a study found, in one sentence that says how sure it is.

use crate::{
    ArmSummary, Difference, Plan, State, Verdict,
    arms::distilling,
    numbers::{self, kept_together},
    progress::{RunProgress, WaitsFor},
};

/// In place of an answer where the numbers are synthetic.
pub(crate) const MADE_UP: &str =
    "Synthetic: nothing was trained and every number here is made up, to see how a large study is shown.";

/// The arm that is best on validation against its baseline on test, once no run is left that can still change it. A whole sentence.
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
    let compared = with_differences(arms);
    let said = match compared[..] {
        [] => alone(arms, plan),
        [(arm, difference)] => of_one(arms, arm, difference, &searched(plan)),
        _ => match best_on_validation(&compared) {
            Some((arm, difference)) => {
                let chosen = format!(", best of {} arms on validation,", compared.len());
                of_one(arms, arm, difference, &chosen)
            }
            None => of_all(arms, &compared),
        },
    };
    format!("{said}.")
}

/// The difference that the answer is about once there is one; `None` where it is about none, or about all.
pub(crate) fn difference_told(arms: &[ArmSummary]) -> Option<&Difference> {
    let compared = with_differences(arms);
    match compared[..] {
        [(_, difference)] => Some(difference),
        _ => best_on_validation(&compared).map(|(_, difference)| difference),
    }
}

fn with_differences(arms: &[ArmSummary]) -> Vec<(&ArmSummary, &Difference)> {
    arms.iter().filter_map(|arm| Some((arm, arm.difference.as_ref()?))).collect()
}

/// How the one arm that a search tested was found; empty where nothing was searched.
fn searched(plan: &Plan) -> String {
    let arms = numbers::counted(distilling(&plan.arms).count() as u64, "arm");
    if plan.rounds.is_empty() { String::new() } else { format!(", found by searching {arms},") }
}

/// Of several arms the one that a person would take, who must not look at test accuracies to choose: the first of those that are
/// equally good. `None` where nothing was held out.
fn best_on_validation<'a>(compared: &[(&'a ArmSummary, &'a Difference)]) -> Option<(&'a ArmSummary, &'a Difference)> {
    let known = compared.iter().filter_map(|(arm, difference)| Some((arm.validation_mean?, (*arm, *difference))));
    known.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, best)| best)
}

/// Where none may be chosen: how many came out how.
fn of_all(arms: &[ArmSummary], compared: &[(&ArmSummary, &Difference)]) -> String {
    let first = compared[0].1.baseline;
    let baseline = match compared.iter().all(|(_, difference)| difference.baseline == first) {
        true => arms[first].label.as_str(),
        false => "their baselines",
    };
    let count = |verdict| compared.iter().filter(|(_, difference)| difference.verdict == verdict).count();
    let found = [
        (Verdict::Better, "better"),
        (Verdict::Worse, "worse"),
        (Verdict::NotDistinguishable, "not distinguishable"),
        (Verdict::TooFewSeeds, "of too few seeds to tell"),
    ];
    let mut found: Vec<String> = found
        .into_iter()
        .filter(|(verdict, _)| count(*verdict) > 0)
        .map(|(verdict, words)| {
            format!("{} {} {words}", count(verdict), if count(verdict) == 1 { "is" } else { "are" })
        })
        .collect();
    if count(Verdict::NotDistinguishable) == compared.len() {
        found = vec!["none is distinguishable".into()];
    }
    let corrected = match self::compared(arms) {
        0 | 1 => String::new(),
        several => format!(" (Holm-corrected for {several} comparisons)"),
    };
    format!(
        "Of {} arms compared with {baseline} {}{corrected}; no image was held out for validation to choose one by",
        compared.len(),
        found.join(", ")
    )
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

/// One arm against its baseline. `chosen`: how it was, set after its name.
fn of_one(arms: &[ArmSummary], arm: &ArmSummary, difference: &Difference, chosen: &str) -> String {
    let baseline = &arms[difference.baseline].label;
    let seeds = seeds(difference.n);
    let label = format!("{}{chosen}", arm.label);
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
        Verdict::Worse => format!("{label} is worse than {baseline} by {size} points {behind}"),
        Verdict::NotDistinguishable | Verdict::TooFewSeeds => {
            let signed = kept_together(&numbers::signed_with_interval(difference.mean, Some(interval)));
            let leaves_out_zero = interval.0 > 0.0 || interval.1 < 0.0;
            let alone = if leaves_out_zero && compared > 1 {
                format!("; by itself this difference would be clear, among {compared} comparisons it may be chance")
            } else {
                String::new()
            };
            let settle = match difference.more_seeds_needed() {
                Some(more) => {
                    let more = kept_together(&numbers::counted(u64::from(more), "more seed"));
                    format!("; about {more} would settle a difference this size")
                }
                None => String::new(),
            };
            format!("{label} is not distinguishable from {baseline}: {signed} points {behind}{alone}{settle}")
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
