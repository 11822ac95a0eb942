use crate::error::{ApiError, answer_with_status_of};
use leptos::prelude::*;
use leptos_meta::Title;

/// An address that leads nowhere.
#[component]
pub fn NotFound() -> impl IntoView {
    answer_with_status_of(&ApiError::NotFound("page".into()));
    view! {
        <Title text="Nothing here"/>
        <article class="page">
            <h1>"There is nothing at this address"</h1>
            <p>"It may have been mistyped, or what stood here was deleted. "<a href="/">"All studies"</a>" are on the first page."</p>
        </article>
    }
}
