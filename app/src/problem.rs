use crate::error::ApiError;
use leptos::prelude::*;

/// What went wrong, in place of what was asked for, and what to do.
#[component]
pub fn Problem(error: ApiError) -> impl IntoView {
    let said = match &error {
        ApiError::NotFound(what) => format!("There is no such {what} here. It may have been deleted."),
        ApiError::Spec(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        ApiError::Internal => {
            "The server could not do this; its log says why. Nothing that was trained is lost.".into()
        }
        ApiError::Unreachable => {
            "The server does not answer. Is it still running? This page goes on by itself when it is back.".into()
        }
    };
    view! { <p class="problem" role="alert">{said}</p> }
}
