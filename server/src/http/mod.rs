//! What is answered over HTTP: pages, their files, the API, and one stream of news.
//!
//! A request passes, in this order: connection limits, security headers, [`guard`] (does it name this server, and does a change come
//! from its own pages), [`login`] (where there is a password), the limit on bodies, and its route.

pub mod api;
pub mod connections;
pub mod events;
pub mod guard;
pub mod headers;
pub mod json;
pub mod login;
pub mod metrics;
pub mod pages;
pub mod password;

use app::laboratory::Laboratory;
use axum::{
    Router,
    extract::FromRef,
    http::{StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Response},
};
use guard::Names;
use leptos::config::LeptosOptions;
use password::Password;
use std::sync::Arc;
use tokio::sync::watch;
use tower_http::{compression::CompressionLayer, limit::RequestBodyLimitLayer};

/// Largest body that is read. A study file has a few hundred bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What routes need.
#[derive(Clone, FromRef)]
pub struct Site {
    pub laboratory: Laboratory,
    pub options: LeptosOptions,
    /// `None`: only this machine can ask, and everyone on it may.
    pub password: Option<Arc<Password>>,
    /// Turns true when the server stops: streams end then.
    pub shutdown: Shutdown,
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
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(password, login::require))
        .layer(middleware::from_fn_with_state(Arc::new(names), guard::guard))
        .layer(middleware::from_fn(headers::secure))
}

/// A page for a request that is not answered: complete by itself, since the person may not even see this server's style.
fn refusal(status: StatusCode, title: &'static str, sentence: &'static str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title}</h1><p>{sentence}</p></body></html>"
    );
    (status, [(header::CACHE_CONTROL, "no-store")], Html(page)).into_response()
}
