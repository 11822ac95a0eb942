//! The real program, on port 0 with a data folder of its own, real workers and real images. Needs no network.

mod alike;
mod alone;
mod api;
mod commands;
mod data;
mod epochs;
mod faults;
mod growth;
mod laboratory;
mod large_images;
mod memory;
mod removal;
mod sharing;
mod survival;
mod synthetic;
mod teachers;
mod waiting;
