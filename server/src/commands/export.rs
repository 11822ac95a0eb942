//! `stillroom export RUN --weights FILE`: a run's last weights, under the names that KD researchers use.

use crate::{command_line, data_folder::segment_folder, error::CommandError};
use store::Store;

pub async fn export(arguments: command_line::Export) -> Result<(), CommandError> {
    let data_dir = &arguments.installation.data_dir;
    // Another process may hold the folder: nothing is written to it.
    let store = Store::open_read_only(data_dir).await?;
    let unknown = || CommandError::UnknownRun(arguments.run.clone());
    let (_, run) = store.run(&arguments.run).await?.ok_or_else(unknown)?;
    let last = run.legs.last().ok_or_else(unknown)?;
    // A bare file name has no folder beside it that could be synced.
    let weights = std::path::absolute(&arguments.weights).map_err(|source| CommandError::Io {
        doing: "find",
        path: arguments.weights.clone(),
        source,
    })?;
    train::checkpoint::export(&segment_folder(data_dir, &last.segment), last.until, &weights)?;
    println!("{}", weights.display());
    Ok(())
}
