//! The document around every page, and which page stands at which address.

use crate::pages::{Data, Example, Examples, Gallery, Home, NewStudy, NotFound, Shared, Shares, StudyPage};
use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Outlet, ParentRoute, Route, Router, Routes},
    path,
};

/// What the names of the page's files carry, so that a browser never mixes two versions of the program.
#[derive(Clone, Debug)]
pub struct AssetVersions {
    pub js: String,
    pub wasm: String,
    pub css: String,
}

/// The HTML document. `has_password`: whoever reads it has logged in, and may log out.
pub fn shell(assets: AssetVersions, has_password: bool) -> impl IntoView {
    let nonce = leptos::nonce::use_nonce().map(|nonce| nonce.as_inner().to_string());
    let (script, program) =
        (format!("/pkg/stillroom.js?v={}", assets.js), format!("/pkg/stillroom_bg.wasm?v={}", assets.wasm));
    // Nothing is told to the browser beside the page but what its islands are given.
    if let Some(context) = Owner::current_shared_context() {
        context.set_is_hydrating(false);
    }
    // Islands are made lively from outside in. The mark on the document says that all are: a button pressed before does what a plain
    // form does.
    let start = format!(
        "import start, * as program from {script:?};\n\
         start({{ module_or_path: {program:?} }}).then(() => {{\n\
           program.hydrate();\n\
           for (const island of document.querySelectorAll(\"leptos-island\")) program[island.dataset.component](island);\n\
           document.documentElement.dataset.hydrated = \"\";\n\
         }});"
    );
    view! {
        <!DOCTYPE html>
        <html lang="en" data-password=has_password.then_some("")>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="stylesheet" href=format!("/pkg/stillroom.css?v={}", assets.css)/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="modulepreload" href=script crossorigin="" nonce=nonce.clone()/>
                <link rel="preload" href=program r#as="fetch" r#type="application/wasm" crossorigin=""/>
                <script type="module" nonce=nonce>{start}</script>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

/// What stands in the browser's tab. leptos_meta writes it into the server's HTML as it is, where a study's title could end
/// the element and begin another.
fn document_title(title: String) -> String {
    let title = if title.is_empty() { "Stillroom".to_owned() } else { format!("{title} · Stillroom") };
    title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Every page. All are whole in the server's HTML: they read without scripts, and their status codes are right.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Title formatter=document_title/>
        <Router>
            <Routes fallback=|| view! { <Frame><NotFound/></Frame> }>
                <ParentRoute path=path!("") view=|| view! { <Frame><Outlet/></Frame> }>
                    <Route path=path!("/") view=Home ssr=SsrMode::Async/>
                    <Route path=path!("/studies/new") view=NewStudy ssr=SsrMode::Async/>
                    <Route path=path!("/studies/:id") view=StudyPage ssr=SsrMode::Async/>
                    <Route path=path!("/gallery") view=Gallery ssr=SsrMode::Async/>
                    <Route path=path!("/data") view=Data ssr=SsrMode::Async/>
                    <Route path=path!("/shares") view=Shares ssr=SsrMode::Async/>
                    <Route path=path!("/examples") view=Examples ssr=SsrMode::Async/>
                    <Route path=path!("/examples/:name") view=Example ssr=SsrMode::Async/>
                </ParentRoute>
                <Route path=path!("/s/:token") view=Shared ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
}

/// The owner's pages: the house's name, the way around, the page.
#[component]
fn Frame(children: Children) -> impl IntoView {
    view! {
        <a class="skip" href="#content">"Skip to the page"</a>
        <header class="site">
            <a class="wordmark" href="/"><Still/>"Stillroom"</a>
            <nav aria-label="Site">
                <ul>
                    <li><a href="/">"Studies"</a></li>
                    <li><a href="/studies/new">"New study"</a></li>
                    <li><a href="/gallery">"Gallery"</a></li>
                    <li><a href="/data">"Data"</a></li>
                    <li><a href="/shares">"Shared links"</a></li>
                    <li><a href="/examples">"Examples"</a></li>
                </ul>
            </nav>
        </header>
        <main id="content" tabindex="-1">{children()}</main>
        <footer class="site">
            <p>"Stillroom: a laboratory for knowledge distillation. Everything stays on this machine until you share it."</p>
            // The style shows it where there is a password: the browser's pages do not know.
            <form class="log-out" method="post" action="/logout"><button class="quiet" type="submit">"Log out"</button></form>
        </footer>
    }
}

/// A small still: what drips from the teacher into the student.
#[component]
pub(crate) fn Still() -> impl IntoView {
    view! {
        <svg class="still" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
            <path d="M9 3h4v4.2l3.4 6.1a4.6 4.6 0 0 1-4 6.9H9.6a4.6 4.6 0 0 1-4-6.9L9 7.2z"></path>
            <path d="M13 5h4.5q3 0 3 3v5"></path>
            <path class="drop" d="M20.5 15.5q1.8 2.4 1.8 3.6a1.8 1.8 0 0 1-3.6 0q0-1.2 1.8-3.6z"></path>
        </svg>
    }
}
