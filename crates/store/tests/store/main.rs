//! The store's promises, on real database files.

mod examples;
mod facts;
mod growth;
mod opening;
mod shares;
mod size;
mod studies;
