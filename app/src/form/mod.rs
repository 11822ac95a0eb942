//! The form of a new study: its fields, what they say, and how they look.

mod entry;
pub mod fields;
mod preview;
mod side;
mod table;
mod words;

#[cfg(test)]
mod tests;

pub use entry::Form;
pub use preview::{Preview, preview};
pub use table::Fields;
