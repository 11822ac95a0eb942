use super::problem::Problem;
use crate::{
    api,
    chart::Lit,
    error::{ApiError, answer_with_status_of},
    live, numbers,
    report::{Answer, Curve, ReportView, metric, state_class, state_in_words},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use study::{Metric, Progress, Report, State, StudyId};

/// The curve that the address names: `?metric=kd_loss_validation`; validation accuracy where it names none.
pub fn picked_metric() -> Signal<Metric> {
    let query = use_query_map();
    Signal::derive(move || {
        let named = query.read().get("metric");
        named.and_then(|text| metric::of_address(&text)).unwrap_or(Metric::ValidationAccuracy)
    })
}

/// A study: what it found so far, read anew whenever the store moves.
#[component]
pub fn StudyPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").and_then(|text| text.parse::<StudyId>().ok()));
    let revision = live::revision();
    let report = Resource::new(move || (id.get(), revision.get()), |(id, _)| read(id));
    let (metric, lit) = (picked_metric(), Lit::new());
    let acts = Acts::new();
    view! {
        <Transition fallback=|| view! { <p class="waiting">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match (report.await, id.get()) {
                    (Ok(report), Some(id)) => view! { <Found id=id report=report metric=metric lit=lit acts=acts/> }.into_any(),
                    (Err(error), _) => failed(error).into_any(),
                    (Ok(_), None) => failed(no_study()).into_any(),
                }
            })}
        </Transition>
    }
}

async fn read(id: Option<StudyId>) -> Result<Report, ApiError> {
    match id {
        Some(id) => api::study_report(id).await,
        None => Err(no_study()).inspect_err(answer_with_status_of),
    }
}

fn no_study() -> ApiError {
    ApiError::NotFound("study".into())
}

fn failed(error: ApiError) -> impl IntoView {
    view! {
        <Title text="No study"/>
        <article class="page"><h1>"Study"</h1><Problem error=error/><p><a href="/">"All studies"</a></p></article>
    }
}

/// What a person can do to a study. Made once a page, so that reading the report anew forgets no answer.
#[derive(Clone, Copy)]
struct Acts {
    stop: ServerAction<api::StopStudy>,
    resume: ServerAction<api::ResumeStudy>,
    delete: ServerAction<api::DeleteStudy>,
    share: ServerAction<api::ShareStudy>,
}

impl Acts {
    fn new() -> Acts {
        Acts {
            stop: ServerAction::new(),
            resume: ServerAction::new(),
            delete: ServerAction::new(),
            share: ServerAction::new(),
        }
    }

    fn refused(self) -> Option<ApiError> {
        let refused = [
            self.stop.value().get().and_then(Result::err),
            self.resume.value().get().and_then(Result::err),
            self.delete.value().get().and_then(Result::err),
            self.share.value().get().and_then(Result::err),
        ];
        refused.into_iter().flatten().next()
    }
}

#[component]
fn Found(id: StudyId, report: Report, metric: Signal<Metric>, lit: Lit, acts: Acts) -> impl IntoView {
    let title = match percent_done(&report.progress) {
        Some(percent) => format!("{percent} % · {}", report.study.title),
        None => report.study.title.clone(),
    };
    let curve = Curve::Picked { metric, page: format!("/studies/{id}") };
    view! {
        <Title text=title/>
        <article class="page report">
            <h1>{report.study.title.clone()}</h1>
            <Answer report=report.clone()/>
            <StateLine progress=report.progress.clone()/>
            <Buttons id=id state=report.progress.state may_retry=may_retry(&report.progress) acts=acts/>
            <ReportView report=report curve=curve lit=lit downloads=Some(id)/>
        </article>
    }
}

/// While something is left to train.
fn percent_done(progress: &Progress) -> Option<u64> {
    let unfinished = matches!(progress.state, State::Waiting | State::Training);
    unfinished.then(|| progress.epochs_done * 100 / progress.epochs_total.max(1))
}

fn may_retry(progress: &Progress) -> bool {
    progress.failures.iter().any(|failure| failure.may_succeed_again)
}

/// State, progress and time left.
#[component]
fn StateLine(progress: Progress) -> impl IntoView {
    let unfinished = progress.state != State::Finished;
    let done = format!("{} of {} epochs", numbers::count(progress.epochs_done), numbers::count(progress.epochs_total));
    let running = progress.runs.iter().filter(|run| run.state == State::Finished).count();
    let runs = format!("{running} of {} done", numbers::counted(progress.runs.len() as u64, "run"));
    let left = progress.left.filter(|_| matches!(progress.state, State::Training | State::Waiting));
    view! {
        <div class="state-line">
            <span class=state_class(progress.state)>{state_in_words(progress.state)}</span>
            {unfinished.then(|| view! {
                <progress max=progress.epochs_total value=progress.epochs_done aria-label="Epochs trained"></progress>
                <span>{done}</span>
            })}
            <span>{runs}</span>
            {left.map(|estimate| view! { <span>{format!("about {} left", numbers::duration(estimate.seconds))}</span> })}
        </div>
    }
}

#[component]
fn Buttons(id: StudyId, state: State, may_retry: bool, acts: Acts) -> impl IntoView {
    let id_text = id.to_string();
    let hidden = move || view! { <input type="hidden" name="id" value=id_text.clone()/> };
    let stop_or_resume = match state {
        State::Waiting | State::Training => {
            let hidden = hidden.clone();
            view! { <ActionForm action=acts.stop>{hidden()}<button type="submit" class="button quiet">"Stop"</button></ActionForm> }.into_any()
        }
        State::Stopped | State::Failed if state == State::Stopped || may_retry => {
            let (hidden, label) = (hidden.clone(), if state == State::Stopped { "Resume" } else { "Try again" });
            view! { <ActionForm action=acts.resume>{hidden()}<button type="submit" class="button quiet">{label}</button></ActionForm> }.into_any()
        }
        _ => ().into_any(),
    };
    let share_hidden = hidden.clone();
    view! {
        <div class="actions">
            {stop_or_resume}
            <ActionForm action=acts.share>{share_hidden()}<button type="submit" class="button">"Share"</button></ActionForm>
            <a class="button quiet" href=format!("/studies/new?from={id}")>"The same, but …"</a>
            <details class="confirm">
                <summary class="button quiet">"Delete …"</summary>
                <div class="confirm-body">
                    <p>"The study and the trainings that no other study uses are removed for good. Shared links stay."</p>
                    <ActionForm action=acts.delete>{hidden()}<button type="submit" class="button danger">"Delete this study"</button></ActionForm>
                </div>
            </details>
        </div>
        {move || acts.refused().map(|error| view! { <Problem error=error/> })}
        <div aria-live="polite">{move || acts.share.value().get().and_then(Result::ok).map(|link| view! { <NewLink link=link/> })}</div>
    }
}

/// A link that was just made: the only time it is shown.
#[component]
fn NewLink(link: String) -> impl IntoView {
    let copied = RwSignal::new(false);
    let address = link.clone();
    view! {
        <div class="new-link">
            <label for="new-link">"This comparison, frozen. Only whoever has this link can open it; it is shown this once:"</label>
            <div class="copy-row">
                <input id="new-link" type="text" readonly="" value=link.clone()/>
                <button type="button" class="button quiet" on:click=move |_| { copy(&link); copied.set(true); }>
                    {move || if copied.get() { "Copied" } else { "Copy" }}
                </button>
                <a class="button quiet" href=address rel="external">"Open"</a>
            </div>
            <p class="aside">"It can be taken back under "<a href="/shares">"Shared links"</a>"."</p>
        </div>
    }
}

/// Puts text on the clipboard; where the browser does not allow it, the text can be selected.
pub fn copy(text: &str) {
    #[cfg(feature = "hydrate")]
    {
        // The promise's refusal needs no answer: the text stands there to be selected.
        let _ = window().navigator().clipboard().write_text(text);
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = text;
}
