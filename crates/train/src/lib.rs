//! Trains one segment of a study on a device. Knows tensors; knows neither HTTP nor SQL nor async.

pub mod augmentation;
pub mod candle_network;
pub mod checkpoint;
pub mod cosine;
pub mod course;
pub mod cpu_network;
pub mod dataset;
pub mod engine;
pub mod error;
pub mod evaluation;
pub mod folder;
mod frozen;
pub mod imported;
pub mod initial;
pub mod measures;
pub mod memory;
mod names;
pub mod objective;
mod observers;
mod probe;
pub mod random;
pub mod segment;
pub mod speed;
pub mod teacher_logits;
pub mod worker;

pub use error::TrainError;
