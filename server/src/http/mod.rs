//! What is answered over HTTP: pages, their files, the API, and one stream of news.
//!
//! A request passes, in this order: connection limits, security headers, [`guard`] (does it name this server, and does a change come
//! from its own pages), [`login`] (where there is a password), [`bodies`] (their limits), and its route.

pub mod api;
pub mod bodies;
pub mod connections;
pub mod download;
pub mod events;
pub mod guard;
pub mod headers;
pub mod json;
pub mod login;
pub mod metrics;
pub mod pages;
pub mod password;
pub mod upload;

use app::laboratory::Laboratory;
use axum::{
    Json, Router,
    extract::FromRef,
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Response},
};
use download::Downloads;
use guard::Names;
use leptos::config::LeptosOptions;
use password::Password;
use std::sync::Arc;
use tokio::sync::watch;
use tower_http::{CompressionLevel, compression::CompressionLayer};
use upload::Uploads;

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
    pub uploads: Uploads,
    pub downloads: Downloads,
}

/// Turns true when the server stops.
#[derive(Clone)]
pub struct Shutdown(pub watch::Receiver<bool>);

/// Everything this server answers.
pub fn router(site: Site, names: Names) -> Router {
    let password = site.password.clone();
    let routes = Router::new()
        .nest("/api/v1", api::routes())
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

/// Whether a page's plain form asks, whose answer a person reads.
fn from_a_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accepted.is_some_and(|accept| accept.contains("text/html"))
}

/// The answer to a request that is refused: JSON below `/api/v1/`, elsewhere a page that is complete by itself, since the person
/// may not even see this server's style.
fn refusal(path: &str, status: StatusCode, title: &str, sentence: &str) -> Response {
    if path.starts_with("/api/v1/") {
        return (status, Json(serde_json::json!({ "error": sentence }))).into_response();
    }
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title}</h1><p>{sentence}</p></body></html>"
    );
    (status, [(header::CACHE_CONTROL, "no-store")], Html(page)).into_response()
}
