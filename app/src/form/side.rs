//! What stands beside the form: what its study comes to, and the study file.

use super::{
    Fields, Preview,
    entry::field_of,
    words::{in_the_forms_words, said_of_the_rest},
};
use crate::{api, clipboard::copy, numbers};
use leptos::{prelude::*, task::spawn_local};
use study::{Arm, Outlook, Plan, SpecError, teacher_logits::in_words};

/// Kept up to date as one types.
#[component]
pub(super) fn Side(typed: RwSignal<Fields>, shown: Memo<Preview>, errors: Memo<Vec<SpecError>>) -> impl IntoView {
    let homeless = move || {
        errors.with(|errors| {
            let homeless = errors.iter().filter(|error| field_of(error).is_none());
            homeless.map(|error| view! { <p class="problem">{said_of_the_rest(error)}</p> }).collect_view()
        })
    };
    let toml = Memo::new(move |_| typed.with(Fields::toml));
    let copied = RwSignal::new(false);
    // What was copied is not what stands there any more.
    Effect::new(move |_| {
        toml.track();
        copied.set(false);
    });
    view! {
        <aside class="side panel" aria-label="What this study comes to">
            <h2>"What this comes to"</h2>
            <div aria-live="polite">
                {homeless}
                {move || shown.with(|preview| match &preview.planned {
                    Some((plan, outlook)) => in_numbers(plan, outlook).into_any(),
                    None => view! { <p class="empty">"The plan stands here once nothing is wrong."</p> }.into_any(),
                })}
            </div>
            {move || shown.with(|preview| preview.planned.as_ref().map(|(plan, _)| arms(plan).into_any()))}
            <details>
                <summary>"The study file"</summary>
                <pre class="toml" id="study-file" tabindex="0"><code>{toml}</code></pre>
                <button type="button" class="button quiet" on:click=move |_| copy("study-file", copied)>
                    {move || if copied.get() { "Copied" } else { "Copy" }}
                </button>
            </details>
            <Paste typed=typed/>
        </aside>
    }
}

fn in_numbers(plan: &Plan, outlook: &Outlook) -> impl IntoView + use<> {
    let time = match outlook.time() {
        Some(time) => format!("On this machine it takes {time}."),
        None => "How long it takes is not known before it begins.".into(),
    };
    // What a search shares depends on the arms that go on.
    let shared = (plan.epochs_without_sharing > plan.epochs && outlook.at_most.is_none()).then(|| {
        let saved = 100 - plan.epochs * 100 / plan.epochs_without_sharing.max(1);
        format!(" What several arms share is trained once, which saves {saved} %.")
    });
    let images = plan.segments.first().map(|segment| {
        let images = |count: u32, of: &str| numbers::counted(u64::from(count), of);
        let split = &segment.dataset;
        format!(
            "Trains on {}, with {} held out for validation and {} to test.",
            images(split.train, "image"),
            numbers::count(u64::from(split.validation)),
            numbers::count(u64::from(split.test))
        )
    });
    view! {
        <p class="plan-counts">{outlook.counts(plan)}</p>
        <p>{time}{shared}</p>
        <p>{images}</p>
        {in_words(&outlook.teacher_logits).map(|teachers| view! { <p>{in_the_forms_words(&teachers)}</p> })}
        {outlook.slow.clone().map(|slow| view! { <p>{slow}</p> })}
        {(!plan.remarks.is_empty()).then(|| view! {
            <ul class="remarks">{plan.remarks.iter().map(|remark| view! { <li>{in_the_forms_words(remark)}</li> }).collect_view()}</ul>
        })}
    }
}

/// Arms listed before the rest is only counted.
const ARMS_SHOWN: usize = 24;

/// Every arm with a drawing of its time: how long KD goes on, then labels alone.
fn arms(plan: &Plan) -> impl IntoView + use<> {
    let longest = plan.arms.iter().map(|arm| arm.epochs.0).max().unwrap_or(1).max(1);
    let items = plan.arms.iter().take(ARMS_SHOWN).map(|arm| {
        view! { <li><span class="arm-label">{arm.label.clone()}</span>{timeline(arm, longest)}</li> }
    });
    let more = plan.arms.len().saturating_sub(ARMS_SHOWN);
    view! {
        <h3>{numbers::counted(plan.arms.len() as u64, "arm")}</h3>
        <ul class="arm-list">{items.collect_view()}</ul>
        {(more > 0).then(|| view! { <p class="aside">{format!("and {more} more")}</p> })}
        <p class="timeline-key aside"><span class="key-kd"></span>"teacher and labels "<span class="key-labels"></span>"labels alone"</p>
    }
}

fn timeline(arm: &Arm, longest: u32) -> impl IntoView + use<> {
    let width = |epochs: u32| format!("{:.1}%", 100.0 * f64::from(epochs) / f64::from(longest));
    let stop = arm.distillation.as_ref().map_or(0, |it| it.kd_stop_epoch.0);
    view! {
        <svg class="timeline" height="8" width="100%" aria-hidden="true">
            <rect class="labels-time" x="0" y="0" height="8" width=width(arm.epochs.0)></rect>
            <rect class="kd-time" x="0" y="0" height="8" width=width(stop)></rect>
        </svg>
    }
}

/// Fills the form from a study file.
#[component]
fn Paste(typed: RwSignal<Fields>) -> impl IntoView {
    let pasted = RwSignal::new(String::new());
    let trouble = RwSignal::new(Vec::<String>::new());
    let fill = move |_| {
        spawn_local(async move {
            match api::read_study_file(pasted.get_untracked()).await {
                Ok((fields, errors)) => {
                    // Errors that a field of the form shows are shown there; here stand those that have no place in it.
                    let homeless = errors.into_iter().filter(|error| field_of(error).is_none());
                    trouble.set(homeless.map(|error| error.to_string()).collect());
                    if let Some(fields) = fields {
                        typed.set(fields);
                    }
                }
                Err(error) => trouble.set(vec![error.to_string()]),
            }
        });
    };
    view! {
        <details class="paste">
            <summary>"Paste a study file"</summary>
            <label for="pasted-study">"A study in TOML"</label>
            <textarea id="pasted-study" rows="10" spellcheck="false" prop:value=pasted on:input=move |event| pasted.set(event_target_value(&event))></textarea>
            <div aria-live="polite">
                {move || trouble.get().into_iter().map(|trouble| view! { <p class="problem">{trouble}</p> }).collect_view()}
            </div>
            <button type="button" class="button quiet" on:click=fill>"Fill the form"</button>
        </details>
    }
}
