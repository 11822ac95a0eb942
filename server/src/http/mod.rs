//! What is answered over HTTP: pages, their files, the API, and one stream of news.
//!
//! A request passes, in this order: connection limits, security headers, [`guard`] (does it name this server, and does a change come
//! from its own pages), [`login`] (where there is a password), [`bodies`] (their limits), and its route.

pub mod api;
pub mod bodies;
pub mod connections;
pub mod download;
pub mod events;
pub mod form;
pub mod guard;
pub mod headers;
pub mod json;
pub mod login;
pub mod metrics;
pub mod pages;
pub mod password;
pub mod removal;
pub mod teachers;
pub mod upload;

use crate::datasets::Shelf;
use app::laboratory::Laboratory;
use axum::{
    Json, Router,
    extract::FromRef,
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Response},
};
use guard::Names;
use leptos::config::LeptosOptions;
use password::Password;
use std::sync::Arc;
use tokio::sync::watch;
use tower_http::{CompressionLevel, compression::CompressionLayer};

/// How hard answers are compressed as they are made: Brotli, even at its quickest, took as long for a large page as making it. The
/// program's own files lie there compressed by it once and for all.
const COMPRESSION: CompressionLevel = CompressionLevel::Fastest;

/// What routes need.
#[derive(Clone, FromRef)]
pub struct Site {
    pub laboratory: Laboratory,
    pub options: LeptosOptions,
    /// `None`: only this machine can ask, and everyone on it may.
    pub password: Option<Arc<Password>>,
    /// Turns true when the server stops: streams end then.
    pub shutdown: Shutdown,
    /// Where data sets and teachers come.
    pub shelf: Shelf,
    /// Another server than those where data sets are published, with a folder for each of them.
    pub download_from: Option<String>,
}

/// Turns true when the server stops.
#[derive(Clone)]
pub struct Shutdown(pub watch::Receiver<bool>);

/// Everything this server answers.
pub fn router(site: Site, names: Names) -> Router {
    let password = site.password.clone();
    let routes = Router::new()
        .nest(api::ROOT, api::routes())
        .merge(login::routes())
        .merge(events::routes())
        .merge(pages::routes(&site))
        .with_state(site);
    routes
        .layer(middleware::from_fn(bodies::whole))
        .layer(CompressionLayer::new().no_br().quality(COMPRESSION))
        .layer(middleware::from_fn_with_state(password, login::require))
        .layer(middleware::from_fn_with_state(Arc::new(names), guard::guard))
        .layer(middleware::from_fn(headers::secure))
}

/// Who reads an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// A person, in a browser.
    Page,
    Program,
}

impl To {
    /// By what was asked for: programs ask below `/api/v1/`.
    fn of_path(path: &str) -> To {
        if path.starts_with("/api/v1/") { To::Program } else { To::Page }
    }

    /// By what the answer should be, where a page's plain form asks for what programs do.
    fn of(headers: &HeaderMap) -> To {
        let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        if accepted.is_some_and(|accept| accept.contains("text/html")) { To::Page } else { To::Program }
    }
}

/// The answer to a request that is refused, in plain text: JSON for a program, for a person a page that is complete by itself, since
/// they may not even see this server's style.
fn refusal(to: To, status: StatusCode, title: &str, sentence: &str) -> Response {
    if to == To::Program {
        return (status, Json(serde_json::json!({ "error": sentence }))).into_response();
    }
    let (title, sentence) = (escape_html(title), escape_html(sentence));
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title}</h1><p>{sentence}</p></body></html>"
    );
    (status, [(header::CACHE_CONTROL, "no-store")], Html(page)).into_response()
}

/// Text as it stands in a page or in an attribute: names, of files too, come from anybody.
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
