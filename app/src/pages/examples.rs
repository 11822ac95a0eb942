use super::{shared::frozen, study::picked_curve};
use crate::{api, problem::Problem};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use study::ExampleCard;

/// What was trained beforehand by this program.
#[component]
pub fn Examples() -> impl IntoView {
    view! {
        <Title text="Examples"/>
        <article class="page">
            <h1>"Examples"</h1>
            <p class="lead">"Studies that were trained beforehand by this program, with all that they found."</p>
            <Suspense>
                {Suspend::new(async move {
                    match api::examples().await {
                        Ok(cards) => view! { <ul class="cards">{cards.into_iter().map(card).collect_view()}</ul> }.into_any(),
                        Err(error) => view! { <Problem error=error/> }.into_any(),
                    }
                })}
            </Suspense>
        </article>
    }
}

fn card(card: ExampleCard) -> impl IntoView {
    view! {
        <li class="card">
            <h2><a href=address(&card.name)>{card.title}</a></h2>
            <p class="card-answer">{card.answer}</p>
        </li>
    }
}

/// Where an example stands, by its card's name.
pub fn address(name: &str) -> String {
    format!("/examples/{name}")
}

/// The example that the address names.
#[component]
pub fn Example() -> impl IntoView {
    let name = use_params_map().read_untracked().get("name").unwrap_or_default();
    let curve = picked_curve(address(&name));
    view! {
        <Suspense>
            {Suspend::new(async move {
                match api::example(name).await {
                    Ok(snapshot) => {
                        view! {
                            <Title text=snapshot.report.study.title.clone()/>
                            <article class="page report">
                                <p class="kicker"><a href="/examples">"An example"</a>", trained beforehand by this program"</p>
                                {frozen(&snapshot, &curve)}
                            </article>
                        }
                        .into_any()
                    }
                    Err(error) => view! {
                        <Title text="No example"/>
                        <article class="page"><h1>"Example"</h1><Problem error=error/></article>
                    }
                    .into_any(),
                }
            })}
        </Suspense>
    }
}
