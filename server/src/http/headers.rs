//! Headers that every answer carries, so that a browser does no more with it than was meant.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// What a page may do: run this server's own script (and the inline ones that carry this answer's nonce), and talk to this server.
pub fn content_security_policy(nonce: Option<&str>) -> String {
    let nonce = nonce.map_or(String::new(), |nonce| format!(" 'nonce-{nonce}'"));
    format!(
        "default-src 'none'; script-src 'self'{nonce} 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// For a page that stands alone in one file: its own style, and nothing that runs.
pub const STANDALONE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub async fn secure(request: Request, next: Next) -> Response {
    let shared = request.uri().path().starts_with("/s/");
    let mut response = next.run(request).await;
    add(response.headers_mut(), shared);
    response
}

fn add(headers: &mut HeaderMap, shared: bool) {
    let mut unless_there = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    unless_there(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_there(header::X_FRAME_OPTIONS, "DENY");
    unless_there(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    unless_there(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // Pages set theirs with a nonce; nothing else is a page that runs anything.
    unless_there(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
    if shared {
        // The address is the key: it is told to nobody.
        unless_there(header::REFERRER_POLICY, "no-referrer");
        unless_there(HeaderName::from_static("x-robots-tag"), "noindex, nofollow");
        unless_there(header::CACHE_CONTROL, "private, no-store");
    } else {
        // Not `no-referrer`: a browser would then call the origin of its own forms `null`.
        unless_there(header::REFERRER_POLICY, "same-origin");
    }
}
