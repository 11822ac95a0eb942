use super::{
    shared::frozen,
    study::{picked_arm, picked_metric},
};
use crate::{api, problem::Problem, report::Curve};
use leptos::prelude::*;
use leptos_meta::Title;

/// A study that was trained beforehand by this program.
#[component]
pub fn Example() -> impl IntoView {
    let (metric, arm) = (picked_metric(), picked_arm());
    view! {
        <Suspense>
            {Suspend::new(async move {
                match api::example().await {
                    Ok(snapshot) => {
                        let curve = Curve::Picked { metric, arm, page: "/example".into() };
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
