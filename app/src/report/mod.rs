//! What a study found, from the answer down to how it was trained: one view for a study that runs, a shared comparison, the
//! example and the page that is sent by mail.

mod closer;
mod document;
mod ensembles;
mod evidence;
mod incidents;
pub mod metric;
pub mod mimicry;
mod provenance;
mod search;
mod setup;
mod table;
mod teachers;

#[cfg(test)]
pub mod tests;

pub use document::{Recorded, document};
pub use evidence::{Curve, Part};
pub use setup::setup;
pub use teachers::teachers_in_training;

use crate::{
    chart::{
        at_the_end::final_accuracy,
        swept::{ruled, sweep},
    },
    numbers,
    pointer::Pointer,
};
use closer::closer;
use ensembles::ensembles;
use evidence::evidence;
use incidents::what_failed;
use leptos::prelude::*;
use mimicry::mimicry;
use provenance::how_it_was_trained;
use search::search;
use study::{
    Provenance, Report, State, StudyId,
    published::{self, Reading},
};
use table::arms;
use teachers::teachers;

/// What failed, picture, evidence, an arm closer, table and provenance. `downloads` names the study whose files can be fetched from here.
pub fn report_view(report: &Report, curve: &Curve, downloads: Option<StudyId>) -> AnyView {
    if curve.is_part() {
        return view! {
            {evidence(report, curve)}
            {closer(report, curve)}
        }
        .into_any();
    }
    let picture = match report.comparison.arms.iter().any(|arm| arm.mean.is_some()) {
        true => final_accuracy(report, "final-accuracy"),
        false => view! { <p class="empty">{nothing_yet(report.progress.state)}</p> }.into_any(),
    };
    let (first, later) = match mimicry::is_asked(report) {
        true => (mimicry(report), None),
        false => (None, mimicry(report)),
    };
    // A file that goes by mail runs nothing.
    let pointer = matches!(curve, Curve::Picked { .. }).then(|| view! { <Pointer/> });
    view! {
        {what_failed(report)}
        {first}
        <section class="panel picture" aria-labelledby="picture-heading">
            <h2 id="picture-heading">"Final test accuracy"</h2>
            {picture}
            {under_the_picture(report)}
        </section>
        {evidence(report, curve)}
        {later}
        {closer(report, curve)}
        {search(report)}
        {ensembles(report)}
        {teachers(report)}
        {arms(report)}
        {how_it_was_trained(report, downloads)}
        {pointer}
    }
    .into_any()
}

/// In place of the picture.
fn nothing_yet(state: State) -> &'static str {
    match state {
        State::Failed => "No run came to its end: there is nothing to picture.",
        _ => "No run is finished yet: the picture appears with the first test accuracy.",
    }
}

/// The answer in a sentence: the page's first line under its question.
pub fn answer(report: &Report) -> impl IntoView + use<> {
    let made_up = report.provenance.iter().any(Provenance::is_synthetic).then(|| {
        view! {
            <p class="notice">
                "This is no result. The numbers on this page were made up by a formula, to see how a study of this size is shown."
            </p>
        }
    });
    let left = mimicry::left_in_words(report).filter(|_| mimicry::is_asked(report));
    view! {
        {left.map(|left| view! { <p class="answer">"Left of the KD loss on held-out images: "{left}"."</p> })}
        <p class="answer" aria-live="polite">{report.comparison.answer.clone()}</p>
        {made_up}
    }
}

/// Model, n, degrees of freedom, the test set's own error, and what else a reader must know.
fn under_the_picture(report: &Report) -> impl IntoView + use<> {
    let key = key(report);
    let published = published_in_words(report);
    let comparison = &report.comparison;
    let has_result = comparison.arms.iter().any(|arm| arm.mean.is_some());
    let sampling = comparison.test_sampling_error.map(|error| {
        format!(
            "The {} test images themselves leave an accuracy uncertain by ±{} points; all arms share that error, and it is not in the intervals.",
            numbers::count(u64::from(report.test_images)),
            numbers::fixed(error, 2)
        )
    });
    let residual = comparison.residual_deviation.map(|deviation| {
        format!(
            "What arm and seed leave unexplained of one run’s accuracy has a standard deviation of {} points.",
            numbers::fixed(deviation, 2)
        )
    });
    let unvalidated = report.images.as_ref().is_some_and(|images| images.validation == 0);
    let unvalidated = unvalidated
        .then(|| "No image was held out for validation: there is no validation curve and no best epoch.".to_owned());
    let remarks: Vec<String> = comparison.remarks.iter().cloned().chain(unvalidated).collect();
    view! {
        <div class="small-print">
            <p>
                {has_result.then_some(key)}
                {(has_result && !comparison.model.is_empty()).then(|| format!("Intervals by the model {}. ", comparison.model))}
                {residual}
            </p>
            {published.filter(|_| has_result).map(|sentence| view! { <p>{sentence}</p> })}
            {sampling.map(|sentence| view! { <p>{sentence}</p> })}
            {(!remarks.is_empty()).then(|| view! {
                <ul class="remarks">{remarks.into_iter().map(|remark| view! { <li>{remark}</li> }).collect_view()}</ul>
            })}
        </div>
    }
}

/// What the marks of the picture mean, and how many seeds stand behind a mean.
fn key(report: &Report) -> String {
    let drawn = |arm: &usize| report.comparison.arms.get(*arm).is_some_and(|arm| arm.mean.is_some());
    let baselines = match ruled(&report.arms, sweep(&report.arms).as_ref()).into_iter().filter(drawn).count() {
        0 => "",
        1 => "Dashed: the baseline. ",
        _ => "Dashed: the baselines, each of its own student. ",
    };
    let with_mean = || report.comparison.arms.iter().filter(|arm| arm.mean.is_some());
    let behind = match with_mean().next().map(|arm| arm.n) {
        Some(n) if with_mean().all(|arm| arm.n == n) => format!("Behind each mean: {}. ", numbers::behind(n)),
        _ => "How many seeds are behind a mean (n) stands beside it in the table. ".to_owned(),
    };
    format!("Small dots: one seed each. Large dot and bar: mean and 95 % interval. {baselines}{behind}")
}

/// Where the paper's own points stand in the picture: what they are and how they were read.
fn published_in_words(report: &Report) -> Option<String> {
    let found = published::beside(report.study.dataset, &report.arms);
    let any = |reading| found.iter().flatten().any(|found| found.reading == reading);
    let read = match (any(Reading::Exact), any(Reading::Digitised)) {
        (false, false) => return None,
        (true, false) => "circles are exact, from a table",
        (false, true) => "squares are digitised, from figures, to about ±0.01 points",
        (true, true) => "circles are exact, from a table; squares are digitised, from figures, to about ±0.01 points",
    };
    let has_bars = found.iter().flatten().any(|found| found.interval.is_some());
    let bars = if has_bars { " Bars: 95 % intervals of the mean, where the paper gives a deviation." } else { "" };
    let (runs, epochs) = (published::RUNS, published::EPOCHS);
    // It does not say that it held images out.
    let fewer = report.images.as_ref().filter(|images| images.validation > 0).map(|images| {
        let ours = numbers::count(u64::from(images.train));
        format!(
            " Theirs were trained on all {} images, as far as is known, ours on {ours}.",
            numbers::count(u64::from(images.train + images.validation))
        )
    });
    Some(format!(
        "Hollow: published by Cho & Hariharan (ICCV 2019), students of {epochs} epochs on CIFAR-10, mean of {runs} runs; \
         {read}.{bars}{} They are in none of our averages.",
        fewer.unwrap_or_default()
    ))
}

/// "finished", "training", ... as a person says it.
pub fn state_in_words(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Training => "training",
        State::Stopped => "stopped",
        State::Finished => "finished",
        State::Failed => "failed",
    }
}

/// The class that colours a state.
pub fn state_class(state: State) -> String {
    format!("state state-{}", state_in_words(state))
}
