use super::study::picked_curve;
use crate::{
    api, numbers,
    report::{Curve, answer, report_view, setup},
    shell::Still,
};
use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use leptos_router::hooks::use_params_map;
use study::{Snapshot, State};

/// A comparison as it stood when it was shared: complete without scripts, and without a way to its owner's things.
#[component]
pub fn Shared() -> impl IntoView {
    let params = use_params_map();
    let token = params.read_untracked().get("token").unwrap_or_default();
    let page = format!("/s/{token}");
    let download = format!("{page}/download");
    let curve = picked_curve(page);
    view! {
        <Meta name="robots" content="noindex"/>
        <Suspense>
            {Suspend::new(async move {
                match api::shared(token).await {
                    Ok(snapshot) => {
                        view! {
                            <Title text=snapshot.report.study.title.clone()/>
                            <Meta name="description" content=snapshot.report.comparison.answer.clone()/>
                            {frozen_page(&snapshot, &curve, Some(download))}
                        }
                        .into_any()
                    }
                    Err(_) => view! {
                        <Title text="Not shared"/>
                        <main class="alone">
                            <article class="page">
                                <h1>"This link opens nothing"</h1>
                                <p>
                                    "It may have been mistyped, or whoever shared it took it back. Ask them for a new one."
                                </p>
                            </article>
                        </main>
                    }
                    .into_any(),
                }
            })}
        </Suspense>
    }
}

/// A snapshot as a page of its own, on the server or in a file.
pub fn frozen_page(snapshot: &Snapshot, curve: &Curve, download: Option<String>) -> impl IntoView + use<> {
    view! {
        <header class="site alone">
            <span class="wordmark"><Still/>"Stillroom"</span>
            {download.map(|address| view! {
                <a class="download" href=address download="">"Download as one HTML file"</a>
            })}
        </header>
        <main class="alone" id="content">
            <article class="page report">
                <p class="kicker">"A shared comparison"</p>
                {frozen(snapshot, curve)}
            </article>
        </main>
    }
}

/// Question, answer, when it was frozen, and all that was found.
pub fn frozen(snapshot: &Snapshot, curve: &Curve) -> impl IntoView + use<> {
    let Snapshot { frozen_at, report, .. } = snapshot;
    let unfinished = if report.progress.state == State::Finished { "" } else { " Its training was not finished then." };
    let frozen = format!("Frozen on {}: it stays as it was then.{unfinished}", numbers::moment(*frozen_at));
    view! {
        <h1>{report.study.title.clone()}</h1>
        {answer(report)}
        {setup(report)}
        <p class="frozen">{frozen}</p>
        {report_view(report, curve, None)}
    }
}
