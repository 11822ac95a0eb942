//! A page is a file: a component and what it reads. Pages are made on the server alone; what moves in the browser is an island in them.

mod data;
mod examples;
mod gallery;
mod home;
mod new_study;
mod not_found;
mod shared;
mod shares;
mod study;

pub use data::Data;
pub use examples::{Example, Examples};
pub use gallery::Gallery;
pub use home::Home;
pub use new_study::NewStudy;
pub use not_found::NotFound;
pub use shared::{Shared, frozen_page};
pub use shares::Shares;
pub use study::StudyPage;

use crate::error::ApiError;
use leptos::{prelude::*, server_fn::ServerFn};

/// Why what a person last asked for on this page was refused: it led back here with the error in the address.
fn refused<S>(act: ServerAction<S>) -> Option<ApiError>
where
    S: ServerFn<Error = ApiError> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    act.value().get_untracked().and_then(Result::err)
}
