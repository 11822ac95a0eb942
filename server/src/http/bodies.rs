//! Bodies of requests: read whole before anything is done about them, within a size and a time.

use super::{To, form, refusal};
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use std::{error::Error, time::Duration};
use tokio::time;

/// Largest body that is read. A study file has a few hundred bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// A client that trickles its body would hold a connection for ever.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// The middleware: passes on a request with its whole body, or refuses it. An upload has limits of its own.
pub async fn whole(request: Request, next: Next) -> Response {
    if form::has_a_file(&request) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let refuse = |status, title, sentence: &str| refusal(To::of_path(head.uri.path()), status, title, sentence);
    let body = match time::timeout(BODY_WITHIN, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Body::from(bytes),
        Ok(Err(error)) if is_too_large(&error) => {
            let sentence = format!("A request may carry up to {BODY_BYTES_MAX} bytes.");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "This is too much", &sentence);
        }
        Ok(Err(_)) => {
            return refuse(StatusCode::BAD_REQUEST, "This broke off", "The request ended before its body did.");
        }
        Err(_) => {
            let sentence = format!("A request\u{2019}s body may take {} seconds.", BODY_WITHIN.as_secs());
            return refuse(StatusCode::REQUEST_TIMEOUT, "This took too long", &sentence);
        }
    };
    next.run(Request::from_parts(head, body)).await
}

fn is_too_large(error: &axum::Error) -> bool {
    error.source().is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
