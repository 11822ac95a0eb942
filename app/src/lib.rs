//! What a person sees: pages, the form and the charts. Pages are made on the server, whole; in the browser run the few islands in
//! them that move: the form, the share button, what follows the pointer, and what keeps a page up to date.
//!
//! A page is a file in `pages`: a component and what it reads. What a study found is shown by one view ([`report::report_view`]),
//! whether the study runs, is shared, is the example or goes by mail.
#![recursion_limit = "256"]

pub mod api;
#[cfg(feature = "ssr")]
pub mod chart;
mod clipboard;
pub mod error;
pub mod form;
#[cfg(feature = "ssr")]
pub mod laboratory;
mod live;
#[cfg(feature = "ssr")]
mod pages;
mod pointer;
mod problem;
pub mod readout;
#[cfg(feature = "ssr")]
pub mod report;
mod share;
#[cfg(feature = "ssr")]
mod shell;
#[cfg(feature = "ssr")]
mod snapshot_html;
#[cfg(feature = "hydrate")]
mod update;

#[cfg(feature = "ssr")]
pub use chart::at_the_end::picture_svg;
#[cfg(feature = "ssr")]
pub use shell::{App, AssetVersions, shell};
#[cfg(feature = "ssr")]
pub use snapshot_html::{snapshot_file_name, snapshot_html};
pub use study::numbers::{self, about};

/// The study that a first start offers: about two minutes on two cores.
#[cfg(feature = "ssr")]
pub const SHORT_STUDY: &str = include_str!("starter.toml");

/// Makes ready for the page's islands, which the page's script then calls one by one.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
}
