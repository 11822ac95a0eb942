//! What a study found, from the answer down to how it was trained: one view for a study that runs, a shared comparison, the
//! example and the page that is sent by mail.

mod evidence;
pub mod metric;
mod provenance;
mod table;

#[cfg(test)]
mod tests;

pub use evidence::Curve;

use crate::{
    chart::{Lit, final_accuracy::FinalAccuracy, swept::tints},
    numbers,
};
use evidence::Evidence;
use leptos::prelude::*;
use provenance::HowItWasTrained;
pub use provenance::plan_in_words;
use study::{Report, State, StudyId};
use table::Arms;

/// Answer, picture, evidence, table and provenance. `downloads` names the study whose files can be fetched from here.
#[component]
pub fn ReportView(
    report: Report,
    curve: Curve,
    lit: Lit,
    #[prop(optional_no_strip)] downloads: Option<StudyId>,
) -> impl IntoView {
    let tints = tints(&report.arms);
    let has_result = report.comparison.arms.iter().any(|arm| arm.mean.is_some());
    let picture = match has_result {
        true => view! { <FinalAccuracy report=report.clone() tints=tints.clone() lit=lit name="final-accuracy"/> }
            .into_any(),
        false => {
            view! { <p class="empty">"No run is finished yet: the picture appears with the first test accuracy."</p> }
                .into_any()
        }
    };
    view! {
        <section class="panel picture" aria-labelledby="picture-heading">
            <h2 id="picture-heading">"Final test accuracy"</h2>
            {picture}
            <UnderThePicture report=report.clone()/>
        </section>
        <Evidence report=report.clone() tints=tints.clone() curve=curve lit=lit/>
        <Arms report=report.clone() tints=tints lit=lit/>
        <HowItWasTrained report=report downloads=downloads/>
    }
}

/// The answer in a sentence: the page's first line under its question.
#[component]
pub fn Answer(report: Report) -> impl IntoView {
    view! { <p class="answer" aria-live="polite">{report.comparison.answer}</p> }
}

/// Model, n, degrees of freedom, the test set's own error, and what else a reader must know.
#[component]
fn UnderThePicture(report: Report) -> impl IntoView {
    let comparison = report.comparison;
    let has_result = comparison.arms.iter().any(|arm| arm.mean.is_some());
    let sampling = comparison.test_sampling_error.map(|error| {
        format!(
            "The {} test images themselves leave an accuracy uncertain by ±{} points; all arms share that error, and it is not in the intervals.",
            numbers::count(u64::from(report.test_images)),
            numbers::fixed(error, 2)
        )
    });
    let residual = comparison.residual_deviation.map(|deviation| {
        format!("A seed adds about {} points of noise beyond its own level.", numbers::fixed(deviation, 2))
    });
    view! {
        <div class="small-print">
            <p>
                {has_result.then_some("Small dots: one seed each. Large dot and bar: mean and 95 % interval. Dashed: the baseline. ")}
                {(has_result && !comparison.model.is_empty()).then(|| format!("Intervals by the model {}. ", comparison.model))}
                {residual}
            </p>
            {sampling.map(|sentence| view! { <p>{sentence}</p> })}
            {(!comparison.remarks.is_empty()).then(|| view! {
                <ul class="remarks">
                    {comparison.remarks.into_iter().map(|remark| view! { <li>{remark}</li> }).collect_view()}
                </ul>
            })}
        </div>
    }
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
