//! The one error that crosses the wire, and the only one with a status code.

use leptos::server_fn::{codec::JsonEncoding, error::FromServerFnError, error::ServerFnErrorErr};
use serde::{Deserialize, Serialize};
use study::SpecError;

/// What a page or an API call can be refused with. Inner detail stays in the server's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", content = "detail", rename_all = "snake_case")]
pub enum ApiError {
    /// The study cannot be run as it is written: every reason, each with its field.
    #[error("this study cannot be run as it is written")]
    Spec(Vec<SpecError>),
    #[error("there is no such {0} here")]
    NotFound(String),
    /// The server could not do it; its log says why.
    #[error("the server could not do this; its log says why")]
    Internal,
    /// The server was not reached, or its answer was not understood.
    #[error("the server did not answer as expected; is it still running?")]
    Unreachable,
}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(problem) | ServerFnErrorErr::MissingArg(problem) => {
                ApiError::Spec(vec![SpecError {
                    field: String::new(),
                    problem: "the request was not understood".into(),
                    given: problem,
                    allowed: "the fields of a study".into(),
                }])
            }
            ServerFnErrorErr::ServerError(_)
            | ServerFnErrorErr::MiddlewareError(_)
            | ServerFnErrorErr::Registration(_)
            | ServerFnErrorErr::Serialization(_)
            | ServerFnErrorErr::Response(_) => ApiError::Internal,
            ServerFnErrorErr::Request(_)
            | ServerFnErrorErr::Deserialization(_)
            | ServerFnErrorErr::UnsupportedRequestMethod(_) => ApiError::Unreachable,
        }
    }
}

/// Whether a status says that the server could not do it now, so that what a page shows is still the best there is.
#[cfg(feature = "hydrate")]
pub fn is_trouble(status: u16) -> bool {
    status >= 500
}

#[cfg(feature = "ssr")]
impl ApiError {
    pub fn status(&self) -> http::StatusCode {
        match self {
            ApiError::Spec(_) => http::StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::NotFound(_) => http::StatusCode::NOT_FOUND,
            ApiError::Internal => http::StatusCode::INTERNAL_SERVER_ERROR,
            ApiError::Unreachable => http::StatusCode::BAD_GATEWAY,
        }
    }
}

#[cfg(feature = "ssr")]
impl From<store::StoreError> for ApiError {
    /// The one place where a store's error is handled: it is logged here and leaves as [`ApiError::Internal`].
    fn from(error: store::StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
        ApiError::Internal
    }
}

/// Gives the page or answer being made the error's status, so that a wrong address is not "200 OK".
#[cfg(feature = "ssr")]
pub fn answer_with_status_of(error: &ApiError) {
    if let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(error.status());
    }
}
