use super::{shared::frozen, study::picked_curve};
use crate::{api, problem::Problem};
use leptos::prelude::*;
use leptos_meta::Title;

/// A study that was trained beforehand by this program.
#[component]
pub fn Example() -> impl IntoView {
    let curve = picked_curve("/example".into());
    view! {
        <Suspense>
            {Suspend::new(async move {
                match api::example().await {
                    Ok(snapshot) => {
                        view! {
                            <Title text="An example"/>
                            <article class="page report">
                                <p class="kicker">"An example, trained beforehand by this program"</p>
                                {frozen(&snapshot, &curve)}
                            </article>
                        }
                        .into_any()
                    }
                    Err(error) => view! { <article class="page"><h1>"Example"</h1><Problem error=error/></article> }.into_any(),
                }
            })}
        </Suspense>
    }
}
