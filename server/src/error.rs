//! Why a command ended, and with which exit code.

use crate::{data_folder::DataFolderError, download::DownloadError};
use std::{io, path::PathBuf};
use store::StoreError;
use study::{CheckpointId, RunId, SpecError};
use train::TrainError;

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Every reason, a line each.
    #[error("{}", .0.iter().map(SpecError::to_string).collect::<Vec<_>>().join("\n"))]
    Study(Vec<SpecError>),
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error("could not {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("no run is called {0} in this data folder; `stillroom run --json` and a study's page name the runs")]
    UnknownRun(RunId),
    #[error("nothing was trained as {0} in this data folder; a study's metrics name what its teachers left behind")]
    UnknownCheckpoint(CheckpointId),
    #[error("could not listen on {address}: {source}; --port chooses another port, 0 any that is free")]
    Listen { address: std::net::SocketAddr, source: io::Error },
    #[error(
        "{0} can be reached from other machines, so a password is needed: set STILLROOM_PASSWORD, or name a file that holds it \
         with --password-file"
    )]
    PasswordNeeded(std::net::IpAddr),
    #[error("the password is empty")]
    PasswordEmpty,
    #[error("--public-url {given}: {problem}; write it like https://lab.example.org")]
    PublicUrl { given: String, problem: &'static str },
    /// The study did not come to its end.
    #[error("{0}")]
    Unfinished(String),
    /// A person pressed Ctrl-C.
    #[error("stopped; what was trained is kept, and the same command goes on from there")]
    Interrupted,
}

impl CommandError {
    /// 2: what was asked for is wrong; 130: Ctrl-C; 1: everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            CommandError::Study(_) | CommandError::PublicUrl { .. } => 2,
            CommandError::Interrupted => 130,
            _ => 1,
        }
    }
}
