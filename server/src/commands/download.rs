//! `stillroom download`: a data set's official files, from where they are published.

use crate::{
    command_line,
    datasets::usual_folder,
    download,
    error::CommandError,
    terminal::{self, Tenths, tell},
};
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::{io::IsTerminal, ops::ControlFlow};
use tokio::task;
use train::{
    dataset::{Notes, look},
    folder::images_path,
};

/// Brings the files, shows how far they are, and says what is in them.
///
/// # Errors
/// Where the files cannot be had, or are none that can be read.
pub async fn download(arguments: command_line::Download, bar: ProgressBar) -> Result<(), CommandError> {
    let downloaded = task::spawn_blocking(move || download_and_look(&arguments, &bar)).await;
    downloaded.unwrap_or_else(|ended| Err(CommandError::Unfinished(format!("The download ended by itself ({ended})."))))
}

fn download_and_look(arguments: &command_line::Download, bar: &ProgressBar) -> Result<(), CommandError> {
    let command_line::Download { dataset, data, from } = arguments;
    let folder = usual_folder(&data.dir, *dataset);
    if std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    bar.set_style(terminal::style("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} left  {msg}"));
    let (mut tenths, mut of) = (Tenths::default(), "");
    download::download(*dataset, &folder, from.as_deref(), |file, bytes| {
        bar.set_message(file.name);
        bar.set_length(file.bytes);
        bar.set_position(bytes);
        if std::mem::replace(&mut of, file.name) != file.name {
            tenths = Tenths::default();
        }
        if bar.is_hidden() && tenths.passed(bytes, file.bytes) {
            eprintln!("{}: {bytes} of {} bytes", file.name, file.bytes);
        }
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    // What is seen is kept: the next start need not read it again.
    let (facts, _) = look(*dataset, Some(&folder), Notes::Kept(&images_path(&data.dir)))?;
    tell(&format!(
        "{dataset} is in {}: {} images to train on and {} to test. A server that runs finds it when it is started again.\n",
        folder.display(),
        facts.train,
        facts.test
    ))
}
