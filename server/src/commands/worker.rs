//! `stillroom worker FOLDER`: trains one segment. What comes of it is told in the folder's events.

use crate::error::CommandError;
use std::path::Path;
use train::worker::Outcome;

pub fn worker(folder: &Path) -> Result<(), CommandError> {
    // What a segment needs lies beside its folder, which `.` does not say.
    let failed = |source| CommandError::Io { doing: "find", path: folder.into(), source };
    let folder = std::path::absolute(folder).map_err(failed)?;
    match train::worker::work(&folder)? {
        Outcome::Finished | Outcome::Left => Ok(()),
        Outcome::Failed(failure) => Err(CommandError::Unfinished(failure.reason)),
    }
}
