use super::refused;
use crate::{
    api,
    error::ApiError,
    form::{Fields, Form},
    problem::Problem,
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use study::{Study, StudyId};

/// One page on which a study is set up: `?from=ID` starts from another one, and a plain form's fields come back in the address.
#[component]
pub fn NewStudy() -> impl IntoView {
    let query = use_query_map().get_untracked();
    let from = query.get("from").and_then(|text| text.parse::<StudyId>().ok());
    let pairs: Vec<(String, String)> = query.into_iter().map(|(path, text)| (path.to_string(), text)).collect();
    let typed = Fields::of_query(pairs.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    view! {
        <Title text="New study"/>
        <article class="page">
            <h1>"New study"</h1>
            <p class="lead">
                "Wherever several values make sense, write them with commas: "<kbd>"0, 8, 20"</kbd>
                " trains an arm for each, and every combination with the others."
            </p>
            {refused(ServerAction::<api::StartStudy>::new()).map(|error| view! { <Problem error=error/> })}
            <Suspense>
                {Suspend::new(async move {
                    match (api::this_machine().await, written(from).await) {
                        (Ok(machine), Ok(from)) => {
                            view! { <Form first=typed.unwrap_or_else(|| begin(from)) machine=machine/> }.into_any()
                        }
                        (Err(error), _) | (_, Err(error)) => view! { <Problem error=error/> }.into_any(),
                    }
                })}
            </Suspense>
        </article>
    }
}

/// The study to start from, where the address names one.
async fn written(id: Option<StudyId>) -> Result<Option<Study>, ApiError> {
    match id {
        Some(id) => api::study_as_written(id).await.map(Some),
        None => Ok(None),
    }
}

fn begin(from: Option<Study>) -> Fields {
    from.map_or_else(Fields::first, |study| Fields::of_study(&study))
}
