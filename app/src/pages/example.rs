use super::{problem::Problem, shared::FrozenBody, study::picked_metric};
use crate::{api, chart::Lit, report::Curve};
use leptos::prelude::*;
use leptos_meta::Title;

/// A study that was trained beforehand by this program.
#[component]
pub fn Example() -> impl IntoView {
    let snapshot = Resource::new(|| (), |()| api::example());
    let (metric, lit) = (picked_metric(), Lit::new());
    view! {
        <Suspense fallback=|| view! { <p class="waiting">"Opening the example …"</p> }>
            {move || Suspend::new(async move {
                match snapshot.await {
                    Ok(snapshot) => {
                        let curve = Curve::Picked { metric, page: "/example".into() };
                        view! {
                            <Title text="An example"/>
                            <article class="page report">
                                <p class="kicker">"An example, trained beforehand by this program"</p>
                                <FrozenBody snapshot=snapshot curve=curve lit=lit/>
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
