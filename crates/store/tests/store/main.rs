//! The store's promises, on real database files.

mod examples;
mod facts;
mod opening;
mod shares;
mod size;
mod studies;
