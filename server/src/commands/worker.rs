//! `stillroom worker FOLDER`: trains one segment. What comes of it is told in the folder's events.

use crate::error::CommandError;
use std::path::Path;
use train::worker::Outcome;

pub fn worker(folder: &Path) -> Result<(), CommandError> {
    match train::worker::work(folder)? {
        Outcome::Finished | Outcome::Left => Ok(()),
        Outcome::Failed(failure) => Err(CommandError::Unfinished(failure.reason)),
    }
}
