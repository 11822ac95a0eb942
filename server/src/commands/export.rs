//! `stillroom export RUN --weights FILE`: weights under the names that KD researchers use, a run's last ones or a teacher's.

use crate::{
    command_line::{self, WeightsOf},
    data_folder::segment_folder,
    error::CommandError,
    terminal::tell,
};
use store::Store;
use study::{CheckpointId, RunId};

pub async fn export(arguments: command_line::Export) -> Result<(), CommandError> {
    let data_dir = &arguments.installation.data.dir;
    // Another process may hold the folder: nothing is written to it.
    let store = Store::open_read_only(data_dir).await?;
    let checkpoint = match arguments.weights_of {
        WeightsOf::Run(run) => last_of(&store, run).await?,
        WeightsOf::Checkpoint(checkpoint) => checkpoint,
    };
    let folder = segment_folder(data_dir, &checkpoint.segment);
    if !folder.is_dir() {
        return Err(CommandError::UnknownCheckpoint(checkpoint));
    }
    // A bare file name has no folder beside it that could be synced.
    let weights = std::path::absolute(&arguments.weights).map_err(|source| CommandError::Io {
        doing: "find",
        path: arguments.weights.clone(),
        source,
    })?;
    train::checkpoint::export(&folder, checkpoint.epoch, &weights)?;
    tell(&format!("{}\n", weights.display()))
}

async fn last_of(store: &Store, id: RunId) -> Result<CheckpointId, CommandError> {
    let run = store.run(&id).await?.map(|(_, run)| run);
    let last = run.and_then(|run| run.legs.last().cloned()).ok_or(CommandError::UnknownRun(id))?;
    Ok(CheckpointId { segment: last.segment, epoch: last.until })
}
