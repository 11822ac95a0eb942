//! What can go wrong while training, with variants a caller can act on.

use std::path::PathBuf;
use study::Epoch;

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file or folder could not be read or written; `doing` says what for ("write checkpoint").
    #[error("could not {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// A data set's file is missing, damaged or not in its official format.
    #[error("{}: {problem}", path.display())]
    Dataset { path: PathBuf, problem: String },
    /// A checkpoint's bytes are not those that were written, or do not fit the network.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint { path: PathBuf, problem: String },
    /// Weights that do not fit the network; `problem` names tensors that are missing, extra or misshapen.
    #[error("the weights do not fit the network: {problem}")]
    Weights { problem: String },
    /// `segment.json` cannot be understood by this version of the program.
    #[error("segment description {}: {problem}", path.display())]
    Job { path: PathBuf, problem: String },
    /// The device asked for is not there.
    #[error("device {device}: {problem}")]
    Device { device: String, problem: String },
    /// The loss is no longer a number: training stops at this step, counted from 1, of the epoch that follows `epoch`.
    #[error("the loss was not finite at step {step} of epoch {}: lower the learning rate", epoch.0 + 1)]
    NonFinite { epoch: Epoch, step: usize },
    #[error(transparent)]
    Kernel(#[from] kernels::KernelError),
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
