//! The process: reads what was typed, opens the store, runs workers, serves pages.

// The type of a page is as deep as its markup, and this crate is where the pages are instantiated.
#![recursion_limit = "512"]

pub mod assets;
pub mod command_line;
pub mod commands;
pub mod confusion;
pub mod data_folder;
pub mod datasets;
pub mod download;
pub mod error;
pub mod examples;
pub mod executor;
pub mod http;
pub mod kept;
pub mod machine;
pub mod next_work;
pub mod process;
pub mod runner;
pub mod speed_of_candle;
pub mod summary;
pub mod terminal;
pub mod votes;
pub mod wanted;
