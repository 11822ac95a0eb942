use super::refused;
use crate::{
    about, api,
    error::{ApiError, answer_with_status_of},
    laboratory::{self, Laboratory, Shown},
    live::Live,
    numbers,
    pointer::PART,
    problem::Problem,
    report::{Curve, Part, answer, metric, report_view, setup, state_class, state_in_words, teachers_in_training},
    share::ShareButton,
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use study::{Growth, Metric, Progress, Report, State, StudyId};

/// The curve that the address of `page` names: `?metric=kd_loss_validation`; validation accuracy where it names none. And the arm to
/// be looked at closely: `&arm=3`.
pub fn picked_curve(page: String) -> Curve {
    let query = use_query_map();
    let query = query.read_untracked();
    let metric = query.get("metric").and_then(|text| metric::of_address(&text)).unwrap_or(Metric::ValidationAccuracy);
    let arm = query.get("arm").and_then(|text| text.parse().ok());
    let part = query.get(PART).map_or(Part::Whole, |text| Part::of_address(&text));
    Curve::Picked { metric, arm, page, part }
}

/// A study: what it found so far. While it can change, the page keeps up with it.
#[component]
pub fn StudyPage() -> impl IntoView {
    let id = use_params_map().read_untracked().get("id").and_then(|text| text.parse::<StudyId>().ok());
    let curve = picked_curve(id.map(|id| format!("/studies/{id}")).unwrap_or_default());
    view! {
        <Suspense>
            {Suspend::new(async move {
                match read(id, &curve).await {
                    Ok((id, shown)) => found(id, &shown, &curve).into_any(),
                    Err(error) => failed(error).into_any(),
                }
            })}
        </Suspense>
    }
}

async fn read(id: Option<StudyId>, curve: &Curve) -> Result<(StudyId, Shown), ApiError> {
    let laboratory = expect_context::<Laboratory>();
    let found = match id {
        Some(id) if curve.is_part() => laboratory::shown_last(&laboratory, id).await.map(|shown| (id, shown)),
        Some(id) => laboratory::shown(&laboratory, id).await.map(|shown| (id, shown)),
        None => Err(ApiError::NotFound("study".into())),
    };
    found.inspect_err(answer_with_status_of)
}

fn failed(error: ApiError) -> impl IntoView {
    view! {
        <Title text="No study"/>
        <article class="page"><h1>"Study"</h1><Problem error=error/><p><a href="/">"All studies"</a></p></article>
    }
}

/// The page of a study that is there.
fn found(id: StudyId, shown: &Shown, curve: &Curve) -> impl IntoView + use<> {
    let report: &Report = &shown.report;
    let title = report.study.title.clone();
    let tab = match percent_done(&report.progress) {
        Some(percent) => format!("{percent} % · {title}"),
        None => title.clone(),
    };
    let can_change = report.progress.state != State::Finished;
    view! {
        <Title text=tab/>
        <article class="page report">
            <h1>{title}</h1>
            {answer(report)}
            {setup(report)}
            {state_line(&report.progress, report.search.is_some())}
            {teachers_in_training(report).map(|said| view! { <p class="teacher-line">{said}</p> })}
            {buttons(id, &report.progress, shown.growth)}
            {report_view(report, curve, Some(id))}
            {can_change.then(|| view! { <Live/> })}
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

/// State, progress and time left; of a search what it comes to at most.
fn state_line(progress: &Progress, is_searched: bool) -> impl IntoView + use<> {
    let (state, total, trained) = (progress.state, progress.epochs_total, progress.epochs_done);
    let at_most = numbers::at_most(is_searched);
    let done = format!("{} of {at_most}{} epochs", numbers::count(trained), numbers::count(total));
    let finished = progress.runs.iter().filter(|run| run.state == State::Finished).count();
    let runs = format!("{finished} of {} done", numbers::counted(progress.runs.len() as u64, "run"));
    let left = progress.left.filter(|_| matches!(state, State::Training | State::Waiting));
    view! {
        <div class="state-line">
            <span class=state_class(state)>{state_in_words(state)}</span>
            {(state != State::Finished).then(|| view! {
                <progress max=total value=trained aria-label="Epochs trained"></progress>
                <span>{done}</span>
            })}
            <span>{runs}</span>
            {left.map(|estimate| view! { <span>{format!("{} left", about(estimate.seconds))}</span> })}
        </div>
    }
}

/// What a person can do to a study. Plain forms: what was done shows on the page that follows.
fn buttons(id: StudyId, progress: &Progress, growth: Option<Growth>) -> impl IntoView + use<> {
    let stop = ServerAction::<api::StopStudy>::new();
    let resume = ServerAction::<api::ResumeStudy>::new();
    let add_seeds = ServerAction::<api::AddSeeds>::new();
    let delete = ServerAction::<api::DeleteStudy>::new();
    let hidden = move || view! { <input type="hidden" name="id" value=id.to_string()/> };
    let again = |label: &'static str| {
        view! {
            <ActionForm action=resume>
                {hidden()}
                <button type="submit" class="button quiet">{label}</button>
            </ActionForm>
        }
    };
    let stop_or_resume = match progress.state {
        State::Waiting | State::Training => view! {
            <ActionForm action=stop>
                {hidden()}
                <button type="submit" class="button quiet">"Stop"</button>
            </ActionForm>
        }
        .into_any(),
        State::Stopped => again("Resume").into_any(),
        State::Failed if may_retry(progress) => again("Try again").into_any(),
        State::Failed | State::Finished => ().into_any(),
    };
    let share = refused(ServerAction::<api::ShareStudy>::new());
    let refused =
        refused(stop).or_else(|| refused(resume)).or_else(|| refused(add_seeds)).or_else(|| refused(delete)).or(share);
    view! {
        <div class="actions">
            {stop_or_resume}
            {growth.map(|growth| more_seeds(id, growth, add_seeds))}
            <ShareButton id=id/>
            <a class="button quiet" href=format!("/studies/new?from={id}")>"The same, but …"</a>
            <details class="confirm">
                <summary class="button quiet">"Delete …"</summary>
                <div class="confirm-body">
                    <p>"The study and the trainings that no other study uses are removed for good. Shared links stay."</p>
                    <ActionForm action=delete>
                        {hidden()}
                        <button type="submit" class="button danger">"Delete this study"</button>
                    </ActionForm>
                </div>
            </details>
        </div>
        {refused.map(|error| view! { <Problem error=error/> })}
    }
}

/// Asks how many seeds are to be added, with as many as would settle the answer filled in.
fn more_seeds(id: StudyId, growth: Growth, add: ServerAction<api::AddSeeds>) -> impl IntoView + use<> {
    view! {
        <details class="confirm" id="add-seeds">
            <summary class="button quiet">"Add seeds …"</summary>
            <div class="confirm-body calm">
                <ActionForm action=add>
                    <input type="hidden" name="id" value=id.to_string()/>
                    <label for="more-seeds">"More seeds"</label>
                    <input type="number" id="more-seeds" name="more" min="1" max=growth.most value=growth.proposed required/>
                    <p>{comes_to(&growth)}</p>
                    <p>"p-values do not know that seeds were added after a look at results. Where there was anything to be seen, this page will say so."</p>
                    <button type="submit" class="button">"Train them"</button>
                </ActionForm>
            </div>
        </details>
    }
}

/// "What is trained stays. 5 more seeds are 25 runs and 330 epochs, which take about 1 h 30 min."
fn comes_to(growth: &Growth) -> String {
    let are = if growth.proposed == 1 { "is" } else { "are" };
    let time = growth.estimate.map(|estimate| format!(", which take {}", about(estimate.seconds)));
    format!(
        "What is trained stays. {} {are} {} and {}{}.",
        numbers::counted(growth.proposed.into(), "more seed"),
        numbers::counted(growth.runs, "run"),
        numbers::counted(growth.epochs, "epoch"),
        time.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::Estimate;

    const GROWTH: Growth =
        Growth { proposed: 5, runs: 25, epochs: 1_330, estimate: Some(Estimate { seconds: 5_400.0 }), most: 97 };

    #[test]
    fn more_seeds_are_asked_for_by_a_form_that_works_without_scripts() {
        let html = Owner::new().with(|| more_seeds(StudyId(7), GROWTH, ServerAction::new()).to_html());
        let field = html.split("<input").find(|it| it.contains("type=\"number\"")).expect("a field for a number");
        for expected in ["name=\"more\"", "min=\"1\"", "max=\"97\"", "value=\"5\"", "required"] {
            assert!(field.contains(expected), "{expected} is not in {field}");
        }
        for expected in ["action=\"/api/add-seeds\"", "method=\"post\"", "name=\"id\"", "value=\"7\"", "after a look"] {
            assert!(html.contains(expected), "{expected} is not in {html}");
        }
    }

    #[test]
    fn what_more_seeds_come_to_is_told_with_the_time_where_that_is_known() {
        assert_eq!(
            comes_to(&GROWTH),
            "What is trained stays. 5 more seeds are 25 runs and 1,330 epochs, which take about 1 h 30 min."
        );
        let one = Growth { proposed: 1, runs: 2, epochs: 1, estimate: None, ..GROWTH };
        assert_eq!(comes_to(&one), "What is trained stays. 1 more seed is 2 runs and 1 epoch.");
    }
}
