//! What can go wrong with the store.

use sqlx::migrate::MigrateError;
use std::path::PathBuf;
use study::{Epoch, SegmentKey, StudyId};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the data folder {path} cannot be made: {source}", path = path.display())]
    Folder { path: PathBuf, source: std::io::Error },

    #[error(
        "there is no database {path}: nothing was trained in that data folder; --data-dir names another",
        path = path.display()
    )]
    Missing { path: PathBuf },

    #[error("the database {path} cannot be opened: {source}", path = path.display())]
    Open { path: PathBuf, source: sqlx::Error },

    /// The database has a migration that this program does not know.
    #[error(
        "the database {path} was written by a newer version of this program (migration {migration}): start that version, or name another data folder",
        path = path.display()
    )]
    Newer { path: PathBuf, migration: i64 },

    /// The database lacks a migration, and was opened to be read alone.
    #[error(
        "the database {path} was written by an older version of this program: start the server on it once, which brings it to this one",
        path = path.display()
    )]
    Older { path: PathBuf },

    #[error("the database {path} cannot be brought to this version: {source}", path = path.display())]
    Migration { path: PathBuf, source: MigrateError },

    /// Nothing was written. Reading goes on; writing does once there is room.
    #[error("the disk is full: make room where the data folder lies")]
    DiskFull,

    /// No study uses the segment (any more): it was deleted.
    #[error("no study uses the segment {0}")]
    UnknownSegment(SegmentKey),

    #[error("there is no study {0}")]
    UnknownStudy(StudyId),

    /// A worker told a metric that is not a number; it would come back as absent. Nothing of the batch was written.
    #[error("epoch {epoch} of segment {segment}: {metric} is not a number")]
    NotANumber { segment: SegmentKey, epoch: Epoch, metric: &'static str },

    /// What is stored is not what this program writes.
    #[error("{what} cannot be read from the database: {source}")]
    Unreadable { what: String, source: serde_json::Error },

    #[error("{what} cannot be written as JSON: {source}")]
    Unwritable { what: &'static str, source: serde_json::Error },

    #[error("the database refused: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        // SQLITE_FULL.
        match error.as_database_error().and_then(|error| error.code()) {
            Some(code) if code == "13" => StoreError::DiskFull,
            _ => StoreError::Database(error),
        }
    }
}
