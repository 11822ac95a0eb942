use super::problem::Problem;
use crate::{
    api,
    chart::Lit,
    clipboard::copy,
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
    let report = Resource::new(move || id.get(), read);
    let (metric, lit) = (picked_metric(), Lit::new());
    view! {
        <Transition fallback=|| view! { <p class="waiting">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match (report.await, id.get()) {
                    (Ok(report), Some(id)) => view! { <Found id=id first=report metric=metric lit=lit/> }.into_any(),
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

/// The page of a study that is there. It is built once: what moves is what a reader sees change, so that nothing that was opened
/// or marked is lost when an epoch arrives.
#[component]
fn Found(id: StudyId, first: Report, metric: Signal<Metric>, lit: Lit) -> impl IntoView {
    let title = first.study.title.clone();
    let (report, lost) = kept_up_to_date(id, first);
    let acts = Acts::new();
    let tab = {
        let title = title.clone();
        move || match report.with(|report| percent_done(&report.progress)) {
            Some(percent) => format!("{percent} % · {title}"),
            None => title.clone(),
        }
    };
    let state = Memo::new(move |_| report.with(|report| report.progress.state));
    let may_retry = Memo::new(move |_| report.with(|report| may_retry(&report.progress)));
    let curve = Curve::Picked { metric, page: format!("/studies/{id}") };
    view! {
        <Title text=tab/>
        <article class="page report">
            <h1>{title}</h1>
            {move || lost.get().map(|error| view! { <Problem error=error/> })}
            <Answer report=report/>
            {move || view! { <StateLine progress=report.with(|report| report.progress.clone())/> }}
            <Buttons id=id state=state may_retry=may_retry acts=acts/>
            <ReportView report=report curve=curve lit=lit downloads=Some(id)/>
        </article>
    }
}

/// The report as it is by now, and why it could not be read the last time. On the server it is `first`.
fn kept_up_to_date(id: StudyId, first: Report) -> (RwSignal<Report>, RwSignal<Option<ApiError>>) {
    let (report, lost) = (RwSignal::new(first), RwSignal::new(None));
    let revision = live::revision();
    let later = LocalResource::new(move || {
        let moved = revision.get() > 0;
        async move { if moved { Some(api::study_report(id).await) } else { None } }
    });
    Effect::new(move |_| match later.get().flatten() {
        Some(Ok(now)) => {
            lost.set(None);
            report.set(now);
        }
        Some(Err(error)) => lost.set(Some(error)),
        None => {}
    });
    (report, lost)
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
fn Buttons(id: StudyId, state: Memo<State>, may_retry: Memo<bool>, acts: Acts) -> impl IntoView {
    let hidden = move || view! { <input type="hidden" name="id" value=id.to_string()/> };
    let stop_or_resume = move || {
        let resume = |label: &'static str| {
            view! {
                <ActionForm action=acts.resume>
                    {hidden()}
                    <button type="submit" class="button quiet" disabled=acts.resume.pending()>{label}</button>
                </ActionForm>
            }
        };
        match state.get() {
            State::Waiting | State::Training => view! {
                <ActionForm action=acts.stop>
                    {hidden()}
                    <button type="submit" class="button quiet" disabled=acts.stop.pending()>"Stop"</button>
                </ActionForm>
            }
            .into_any(),
            State::Stopped => resume("Resume").into_any(),
            State::Failed if may_retry.get() => resume("Try again").into_any(),
            State::Failed | State::Finished => ().into_any(),
        }
    };
    view! {
        <div class="actions">
            {stop_or_resume}
            <ActionForm action=acts.share>
                {hidden()}
                <button type="submit" class="button" disabled=acts.share.pending()>"Share"</button>
            </ActionForm>
            <a class="button quiet" href=format!("/studies/new?from={id}")>"The same, but …"</a>
            <details class="confirm">
                <summary class="button quiet">"Delete …"</summary>
                <div class="confirm-body">
                    <p>"The study and the trainings that no other study uses are removed for good. Shared links stay."</p>
                    <ActionForm action=acts.delete>
                        {hidden()}
                        <button type="submit" class="button danger" disabled=acts.delete.pending()>"Delete this study"</button>
                    </ActionForm>
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
    const ID: &str = "new-link";
    let copied = RwSignal::new(false);
    let only_here = opens_only_here(&link);
    view! {
        <div class="new-link">
            <label for=ID>"This comparison, frozen. Only whoever has this link can open it; it is shown this once:"</label>
            <div class="copy-row">
                <input id=ID type="text" readonly="" value=link.clone()/>
                <button type="button" class="button quiet" on:click=move |_| copy(ID, copied)>
                    {move || if copied.get() { "Copied" } else { "Copy" }}
                </button>
                <a class="button quiet" href=link.clone() rel="external">"Open"</a>
                <a class="button quiet" href=format!("{link}/download") rel="external" download="comparison.html">
                    "Download as one file"
                </a>
            </div>
            {only_here.then(|| view! {
                <p class="notice">
                    "This address opens on this machine only. For others, start Stillroom with "
                    <code>"--bind"</code>" and a password or behind a "<code>"--public-url"</code>", or send them the file by mail."
                </p>
            })}
            <p class="aside">"It can be taken back under "<a href="/shares">"Shared links"</a>"."</p>
        </div>
    }
}

/// Whether a link's host is this machine's own name for itself.
fn opens_only_here(link: &str) -> bool {
    let host = link.split_once("://").map_or(link, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_this_machine_is_known_by_its_host() {
        for here in ["http://127.0.0.1:3000/s/1", "http://localhost:3000/s/1", "http://[::1]:3000/s/1"] {
            assert!(opens_only_here(here), "{here}");
        }
        for elsewhere in ["https://lab.example.org/s/127.0.0.1", "http://192.168.1.2:3000/s/1"] {
            assert!(!opens_only_here(elsewhere), "{elsewhere}");
        }
    }
}
