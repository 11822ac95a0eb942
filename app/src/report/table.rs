//! The table: every arm in the order and colours of the charts, then every run.

use super::{state_class, state_in_words};
use crate::{
    chart::{Lit, swept::Tint},
    numbers,
};
use leptos::prelude::*;
use study::{ArmSummary, Difference, Report, State, Verdict};

#[component]
pub fn Arms(report: Report, tints: Vec<Tint>, lit: Lit) -> impl IntoView {
    let rows = report.comparison.arms.iter().map(|summary| {
        let arm = summary.arm;
        let state = state_of(arm, &report);
        let (difference, p, verdict) = difference(summary, &report);
        view! {
            <tr
                tabindex="0"
                class=tints[arm].class()
                class:faded=move || lit.fades(arm)
                on:pointerenter=move |_| lit.0.set(Some(arm))
                on:pointerleave=move |_| lit.0.set(None)
                on:focus=move |_| lit.0.set(Some(arm))
                on:blur=move |_| lit.0.set(None)
            >
                <th scope="row"><span class="swatch"></span>{summary.label.clone()}</th>
                <td class="number">{seeds_done(summary)}</td>
                <td class="number">{summary.mean.map(|mean| numbers::with_interval(mean, summary.interval))}</td>
                <td class="number">{summary.best_mean.map(|mean| numbers::fixed(mean, 2))}</td>
                <td class="number">{difference}</td>
                <td class="number">{p}</td>
                <td class="verdict">{verdict.0}{verdict.1.map(|detail| view! { <span class="aside">{detail}</span> })}</td>
                <td><span class=state_class(state)>{state_in_words(state)}</span></td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    view! {
        <section class="panel" aria-labelledby="arms-heading">
            <h2 id="arms-heading">"Arms"</h2>
            <div class="scrolled" role="region" aria-label="Table of arms" tabindex="0">
                <table class="arms">
                    <thead>
                        <tr>
                            <th scope="col">"Arm"</th>
                            <th scope="col" class="number">"Seeds"</th>
                            <th scope="col" class="number">"Test accuracy, %"</th>
                            <th scope="col" class="number"><abbr title="Test accuracy at the epoch that was best on validation">"At best, %"</abbr></th>
                            <th scope="col" class="number">"Difference, points"</th>
                            <th scope="col" class="number"><abbr title="Two-sided, Holm-corrected over the study’s comparisons">"p"</abbr></th>
                            <th scope="col">"Verdict"</th>
                            <th scope="col">"State"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <Runs report=report/>
        </section>
    }
}

fn seeds_done(summary: &ArmSummary) -> String {
    let done = summary.by_seed.iter().flatten().count();
    format!("{done} of {}", summary.seeds.len())
}

/// A verdict in words, and what would change it.
type Said = (&'static str, Option<String>);

/// Difference, p and verdict as they stand in the table; a baseline says what it is.
fn difference(summary: &ArmSummary, report: &Report) -> (String, String, Said) {
    let is_baseline = report.arms.get(summary.arm).is_some_and(|arm| arm.baseline == summary.arm);
    match &summary.difference {
        Some(difference) => (
            numbers::signed_with_interval(difference.mean, difference.interval),
            difference.p_value.map(numbers::p_value).unwrap_or_default(),
            verdict(difference),
        ),
        None => (String::new(), String::new(), (if is_baseline { "baseline" } else { "" }, None)),
    }
}

fn verdict(difference: &Difference) -> Said {
    let settled_by = |seeds| format!("about {} would settle it", numbers::counted(u64::from(seeds), "seed"));
    match difference.verdict {
        Verdict::Better => ("better", None),
        Verdict::Worse => ("worse", None),
        Verdict::NotDistinguishable => ("not distinguishable", difference.seeds_needed.map(settled_by)),
        Verdict::TooFewSeeds => ("too few seeds", None),
    }
}

/// An arm's state, from those of its runs: what keeps it from being finished.
fn state_of(arm: usize, report: &Report) -> State {
    let states: Vec<State> = report.progress.runs.iter().filter(|run| run.arm == arm).map(|run| run.state).collect();
    [State::Training, State::Failed, State::Stopped, State::Waiting]
        .into_iter()
        .find(|state| states.contains(state))
        .unwrap_or(State::Finished)
}

/// Every run by itself: the numbers behind the dots.
#[component]
fn Runs(report: Report) -> impl IntoView {
    let rows = report.comparison.arms.iter().flat_map(|summary| {
        let runs = &report.progress.runs;
        summary.seeds.iter().enumerate().map(move |(index, seed)| {
            let run = summary.runs.get(index);
            let progress = run.and_then(|run| runs.iter().find(|progress| progress.run == *run && progress.arm == summary.arm));
            let best = summary.best_by_seed.get(index).copied().flatten();
            view! {
                <tr>
                    <th scope="row">{summary.label.clone()}</th>
                    <td class="number">{*seed}</td>
                    <td><code>{run.map(|run| run.to_string())}</code></td>
                    <td class="number">{summary.by_seed.get(index).copied().flatten().map(|accuracy| numbers::fixed(accuracy, 2))}</td>
                    <td class="number">{best.map(|(epoch, accuracy)| format!("{} (epoch {epoch})", numbers::fixed(accuracy, 2)))}</td>
                    <td class="number">{progress.map(|progress| format!("{} of {}", progress.epochs_done, progress.epochs_total))}</td>
                    <td>{progress.map(|progress| view! { <span class=state_class(progress.state)>{state_in_words(progress.state)}</span> })}</td>
                </tr>
            }
        })
    });
    let rows = rows.collect_view();
    view! {
        <details class="runs">
            <summary>"Every run"</summary>
            <div class="scrolled" role="region" aria-label="Every run" tabindex="0">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Arm"</th>
                            <th scope="col" class="number">"Seed"</th>
                            <th scope="col">"Run"</th>
                            <th scope="col" class="number">"Test accuracy, %"</th>
                            <th scope="col" class="number">"At best on validation, %"</th>
                            <th scope="col" class="number">"Epochs"</th>
                            <th scope="col">"State"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </details>
    }
}
