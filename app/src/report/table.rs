//! The table: every arm in the order and colours of the charts, then every run.

use super::{state_class, state_in_words};
use crate::{chart::swept::tints, numbers};
use leptos::prelude::*;
use study::{ArmSummary, Difference, Report, State, Verdict};

pub fn arms(report: &Report) -> impl IntoView + use<> {
    view! {
        <section class="panel" aria-labelledby="arms-heading">
            <h2 id="arms-heading">"Arms"</h2>
            {table(report)}
            <details class="runs">
                <summary>"Every run"</summary>
                {runs(report)}
            </details>
        </section>
    }
}

fn table(report: &Report) -> impl IntoView + use<> {
    let tints = tints(&report.arms);
    let has_best = report.comparison.arms.iter().any(|summary| summary.best_mean.is_some());
    let has_validation = report.comparison.arms.iter().any(|summary| summary.validation_mean.is_some());
    // So many lists under each other would be longer than a table that is moved sideways.
    let class = if report.arms.len() <= STACKED_MAX { "arms stacked" } else { "arms" };
    let rows = report.comparison.arms.iter().map(|summary| {
        let arm = summary.arm;
        let state = state_cell(arm, state_of(arm, report), report);
        let (difference, p, verdict) = difference(summary, report);
        let verdict = verdict.map(|(said, detail)| {
            view! { <span>{said}{detail.map(|detail| view! { <span class="aside">{detail}</span> })}</span> }
        });
        let mean = summary.mean.map(|mean| {
            let behind = numbers::behind(summary.n);
            view! { <span>{numbers::with_interval(mean, summary.interval)}<span class="behind">{behind}</span></span> }
        });
        view! {
            <tr role="row" tabindex="0" class=tints[arm].class() data-arm=arm>
                <th role="rowheader" scope="row"><span class="swatch"></span>{summary.label.clone()}</th>
                <td role="cell" class="number" data-label="Seeds done">{seeds_done(summary, report)}</td>
                {has_validation.then(|| view! {
                    <td role="cell" class="number" data-label="Validation, %">{summary.validation_mean.map(|mean| numbers::fixed(mean, 2))}</td>
                })}
                <td role="cell" class="number" data-label="Test accuracy, %">{mean}</td>
                {has_best.then(|| view! {
                    <td role="cell" class="number" data-label="At best, %">{summary.best_mean.map(|mean| numbers::fixed(mean, 2))}</td>
                })}
                <td role="cell" class="number first" data-label="Difference, points">{difference}</td>
                <td role="cell" class="number first" data-label="p">{p}</td>
                <td role="cell" class="verdict first" data-label="Verdict">{verdict}</td>
                <td role="cell" data-label="State">{state}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let at_best = has_best.then_some("At best: test accuracy at the epoch that was best on validation. ");
    let has_p =
        report.comparison.arms.iter().filter_map(|summary| summary.difference.as_ref()).any(|it| it.p_value.is_some());
    let p = has_p.then_some("p: two-sided, Holm-corrected over the study’s comparisons.");
    let validation = has_validation
        .then_some("Validation: accuracy on held-out images after the last epoch, by which an arm is chosen. ");
    let searched = (report.search.is_some() && has_p).then_some(
        " The arm was found by a search on validation; the interval speaks of that arm, and another search may find another.",
    );
    let notes = [validation, at_best, p, searched].into_iter().flatten().collect::<String>();
    view! {
            <div class="scrolled" role="region" aria-label="Table of arms" tabindex="0">
                <table role="table" class=class>
                    <thead role="rowgroup">
                        <tr role="row">
                            <th role="columnheader" scope="col">"Arm"</th>
                            <th role="columnheader" scope="col" class="number">"Seeds done"</th>
                            {has_validation.then(|| view! { <th role="columnheader" scope="col" class="number">"Validation, %"</th> })}
                            <th role="columnheader" scope="col" class="number">"Test accuracy, %"</th>
                            {has_best.then(|| view! { <th role="columnheader" scope="col" class="number">"At best, %"</th> })}
                            <th role="columnheader" scope="col" class="number">"Difference, points"</th>
                            <th role="columnheader" scope="col" class="number">"p"</th>
                            <th role="columnheader" scope="col">"Verdict"</th>
                            <th role="columnheader" scope="col">"State"</th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">{rows}</tbody>
                </table>
            </div>
            <p class="small-print arms-notes">{notes}</p>
    }
}

/// Of an arm that a search dropped none are to be done.
fn seeds_done(summary: &ArmSummary, report: &Report) -> Option<String> {
    let done = summary.by_seed.iter().flatten().count();
    let asked_for = !summary.seeds.is_empty() && dropped_in(summary.arm, report).is_none();
    asked_for.then(|| format!("{done} of {}", summary.seeds.len()))
}

/// The round after which a search dropped an arm.
fn dropped_in(arm: usize, report: &Report) -> Option<usize> {
    report.search.as_ref()?.dropped_in(arm)
}

/// Arms that a narrow screen shows as a list of named values each.
const STACKED_MAX: usize = 12;

/// A verdict in words, and what would change it.
type Said = (&'static str, Option<String>);

/// Difference, p and verdict as they stand in the table; a baseline says what it is.
fn difference(summary: &ArmSummary, report: &Report) -> (Option<String>, Option<String>, Option<Said>) {
    let is_baseline = report.arms.get(summary.arm).is_some_and(|arm| arm.baseline == summary.arm);
    match &summary.difference {
        Some(difference) => (
            Some(numbers::signed_with_interval(difference.mean, difference.interval)),
            difference.p_value.map(numbers::p_value),
            Some(verdict(difference)),
        ),
        None => (None, None, is_baseline.then_some(("baseline", None))),
    }
}

fn verdict(difference: &Difference) -> Said {
    let settled_by = |more| format!("about {} would settle it", numbers::counted(u64::from(more), "more seed"));
    match difference.verdict {
        Verdict::Better => ("better", None),
        Verdict::Worse => ("worse", None),
        Verdict::NotDistinguishable => ("not distinguishable", difference.more_seeds_needed().map(settled_by)),
        Verdict::TooFewSeeds => ("too few seeds", None),
    }
}

/// How an arm or one of its runs stands: its state, or in which round of a search it was dropped.
fn state_cell(arm: usize, state: Option<State>, report: &Report) -> AnyView {
    match (dropped_in(arm, report), state) {
        (Some(round), _) => format!("dropped in round {round}").into_any(),
        (None, Some(state)) => view! { <span class=state_class(state)>{state_in_words(state)}</span> }.into_any(),
        (None, None) => ().into_any(),
    }
}

/// An arm's state, from those of its runs: what may still come of it, then what keeps it from being finished. One that a search has not
/// asked for yet waits, or is stopped with the rest; `None` where it will not come to be asked for.
fn state_of(arm: usize, report: &Report) -> Option<State> {
    let states: Vec<State> = report.progress.runs.iter().filter(|run| run.arm == arm).map(|run| run.state).collect();
    if states.is_empty() {
        return match report.progress.state {
            State::Training | State::Waiting => Some(State::Waiting),
            State::Stopped => Some(State::Stopped),
            State::Finished | State::Failed => None,
        };
    }
    [State::Training, State::Waiting, State::Stopped, State::Failed, State::Finished]
        .into_iter()
        .find(|state| states.contains(state))
}

/// Every run by itself: the numbers behind the dots.
fn runs(report: &Report) -> impl IntoView + use<> {
    let rows = report.comparison.arms.iter().flat_map(|summary| {
        let runs = &report.progress.runs;
        summary.seeds.iter().enumerate().map(move |(index, seed)| {
            let run = summary.runs.get(index);
            let progress = run.and_then(|run| runs.iter().find(|progress| progress.run == *run && progress.arm == summary.arm));
            let best = summary.best_by_seed.get(index).copied().flatten();
            view! {
                <tr role="row">
                    <th role="rowheader" scope="row">{summary.label.clone()}</th>
                    <td role="cell" class="number" data-label="Seed">{*seed}</td>
                    <td role="cell" data-label="Run"><code>{run.map(|run| run.to_string())}</code></td>
                    <td role="cell" class="number" data-label="Test accuracy, %">{summary.by_seed.get(index).copied().flatten().map(|accuracy| numbers::fixed(accuracy, 2))}</td>
                    <td role="cell" class="number" data-label="At best on validation, %">{best.map(|(epoch, accuracy)| format!("{} (epoch {epoch})", numbers::fixed(accuracy, 2)))}</td>
                    <td role="cell" class="number" data-label="Epochs">{progress.map(|progress| format!("{} of {}", progress.epochs_done, progress.epochs_total))}</td>
                    <td role="cell" data-label="State">{state_cell(summary.arm, progress.map(|progress| progress.state), report)}</td>
                </tr>
            }
        })
    });
    let rows = rows.collect_view();
    view! {
            <div class="scrolled" role="region" aria-label="Every run" tabindex="0">
                <table role="table" class="stacked">
                    <thead role="rowgroup">
                        <tr role="row">
                            <th role="columnheader" scope="col">"Arm"</th>
                            <th role="columnheader" scope="col" class="number">"Seed"</th>
                            <th role="columnheader" scope="col">"Run"</th>
                            <th role="columnheader" scope="col" class="number">"Test accuracy, %"</th>
                            <th role="columnheader" scope="col" class="number">"At best on validation, %"</th>
                            <th role="columnheader" scope="col" class="number">"Epochs"</th>
                            <th role="columnheader" scope="col">"State"</th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">{rows}</tbody>
                </table>
            </div>
    }
}
