//! What a person sees: pages, the form and the charts, rendered on the server and made lively in the browser.
//!
//! A page is a file in `pages`: a component and the resource it reads. What a study found is shown by one view
//! ([`report::ReportView`]), whether the study runs, is shared, is the example or goes by mail.
#![recursion_limit = "256"]

pub mod api;
pub mod chart;
mod clipboard;
pub mod error;
pub mod form;
#[cfg(feature = "ssr")]
pub mod laboratory;
mod live;
mod pages;
pub mod report;
mod shell;
#[cfg(feature = "ssr")]
mod snapshot_html;

pub use shell::App;
#[cfg(feature = "ssr")]
pub use shell::{AssetVersions, shell};
#[cfg(feature = "ssr")]
pub use snapshot_html::snapshot_html;
pub use study::numbers;

/// The study that a first start offers: about two minutes on two cores.
pub const SHORT_STUDY: &str = include_str!("starter.toml");

/// Makes the server's page lively, and says so on `<html data-hydrated>`: a button pressed before does what a plain form does.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(App);
    if let Some(page) = leptos::prelude::document().document_element() {
        // A page without the mark works all the same: nothing to do where it cannot be set.
        let _ = page.set_attribute("data-hydrated", "");
    }
}
