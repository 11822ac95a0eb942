//! Where there is a password: who may pass, and the page that asks for it.

use super::{
    Site, To,
    connections::Peer,
    escape_html,
    headers::content_security_policy,
    password::{COOKIE, Given, Password, SESSION_SECONDS},
    refusal,
};
use crate::process;
use axum::{
    Extension, Form, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;
use std::{sync::Arc, time::Instant};

pub fn routes() -> Router<Site> {
    Router::new().route("/login", get(page).post(enter)).route("/logout", axum::routing::post(leave))
}

const WRONG: &str = "This is not the password.";
const TOO_MANY: &str = "Too many wrong passwords: wait a minute.";
const WAIT: (header::HeaderName, &str) = (header::RETRY_AFTER, "60");

/// Paths that need no password: shared pages, and what they are made of.
fn open(path: &str) -> bool {
    path == "/login"
        || path.starts_with("/s/")
        || path.starts_with("/pkg/")
        || path == "/favicon.svg"
        || path == "/favicon.ico"
}

/// The middleware: passes on who may pass, sends browsers to the login page and tells programs 401.
pub async fn require(
    State(password): State<Option<Arc<Password>>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let Some(password) = password else { return next.run(request).await };
    let path = request.uri().path();
    if open(path) {
        return next.run(request).await;
    }
    if has_session(&password, request.headers()) {
        return unkept(next.run(request).await);
    }
    if let Some(given) = bearer(request.headers()) {
        return match password.check(given, peer, Instant::now()) {
            Given::Right => unkept(next.run(request).await),
            Given::Wrong => refusal(To::of_path(path), StatusCode::UNAUTHORIZED, "Not let in", WRONG),
            Given::TooMany => {
                ([WAIT], refusal(To::of_path(path), StatusCode::TOO_MANY_REQUESTS, "Not let in", TOO_MANY))
                    .into_response()
            }
        };
    }
    if path.starts_with("/api/") || path == "/events" {
        let how = [(header::WWW_AUTHENTICATE, "Bearer realm=\"Stillroom\"")];
        let sentence = "Send the password as a bearer token, or log in at /login.";
        return (how, refusal(To::of_path(path), StatusCode::UNAUTHORIZED, "Not let in", sentence)).into_response();
    }
    let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
    Redirect::to(&format!("/login?next={}", escape_query(asked))).into_response()
}

/// What a password protects stays in no browser's memory, where it could be seen after logging out.
fn unkept(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn has_session(password: &Password, headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut cookies = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.any(|(name, value)| name == COOKIE && password.knows(value, process::now()))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Entered {
    password: String,
    #[serde(default)]
    next: String,
}

async fn page(State(site): State<Site>, Query(Asked { next }): Query<Asked>) -> Response {
    if site.password.is_none() {
        return Redirect::to("/").into_response();
    }
    form(StatusCode::OK, "", &next)
}

async fn enter(
    State(site): State<Site>,
    Extension(Peer(peer)): Extension<Peer>,
    Form(entered): Form<Entered>,
) -> Response {
    let Some(password) = &site.password else { return Redirect::to("/").into_response() };
    match password.check(&entered.password, peer, Instant::now()) {
        Given::TooMany => ([WAIT], form(StatusCode::TOO_MANY_REQUESTS, TOO_MANY, &entered.next)).into_response(),
        Given::Wrong => form(StatusCode::UNAUTHORIZED, WRONG, &entered.next),
        Given::Right => {
            let session = password.session(process::now());
            let secure = site.laboratory.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
            let cookie = cookie(&session, SESSION_SECONDS, secure);
            ([(header::SET_COOKIE, cookie)], Redirect::to(&local(&entered.next))).into_response()
        }
    }
}

async fn leave() -> Response {
    ([(header::SET_COOKIE, cookie("", 0, false))], Redirect::to("/login")).into_response()
}

fn cookie(session: &str, seconds: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// Where to go on: a path of this server, and never a whole address that somebody slipped into the link.
fn local(next: &str) -> String {
    let path = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if path && next.is_ascii() { next.to_owned() } else { "/".to_owned() }
}

fn form(status: StatusCode, problem: &'static str, next: &str) -> Response {
    let css = crate::assets::versions().css;
    let problem =
        if problem.is_empty() { String::new() } else { format!("<p class=\"problem\" role=\"alert\">{problem}</p>") };
    let next = escape_html(&local(next));
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Log in · Stillroom</title>\
         <link rel=\"icon\" href=\"/favicon.svg\"><link rel=\"stylesheet\" href=\"/pkg/stillroom.css?v={css}\"></head>\
         <body class=\"login\"><main class=\"panel\"><h1>Stillroom</h1><p>This laboratory asks for its password.</p>{problem}\
         <form class=\"field\" method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"next\" value=\"{next}\">\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required autofocus>\
         <button class=\"button\" type=\"submit\">Log in</button></form></main></body></html>"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, content_security_policy(None)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (status, headers, Html(page)).into_response()
}

fn escape_query(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => (byte as char).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_path_of_this_server_and_nowhere_else() {
        assert_eq!(local("/studies/1?metric=x"), "/studies/1?metric=x");
        for elsewhere in
            ["", "https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nset-cookie: x", "javascript:x"]
        {
            assert_eq!(local(elsewhere), "/", "{elsewhere}");
        }
    }

    #[test]
    fn only_shared_pages_and_what_they_are_made_of_are_open() {
        for path in ["/login", "/s/0123", "/s/0123/download", "/pkg/stillroom.css", "/favicon.svg"] {
            assert!(open(path), "{path}");
        }
        let closed =
            ["/", "/s", "/shares", "/studies/1", "/examples", "/data", "/data/mnist/0.png", "/events", "/loginx"];
        for path in closed.into_iter().chain(["/api/v1/studies", "/api/v1/datasets", "/api/shared"]) {
            assert!(!open(path), "{path}");
        }
    }
}
