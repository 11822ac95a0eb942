//! A page is a file: a component and the resource it reads.

mod example;
mod home;
mod new_study;
mod not_found;
mod problem;
mod shared;
mod shares;
pub(crate) mod study;

pub use example::Example;
pub use home::Home;
pub use new_study::NewStudy;
pub use not_found::NotFound;
#[cfg(feature = "ssr")]
pub use shared::Frozen;
pub use shared::Shared;
pub use shares::Shares;
pub use study::StudyPage;
