//! `stillroom fetch-data`: a data set's official files, from where they are published.

use crate::{
    command_line::FetchData,
    datasets::usual_folder,
    error::CommandError,
    fetch::{self, FetchError, Progress},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{fs, io::IsTerminal};
use tokio::task;

pub async fn fetch_data(arguments: FetchData, bar: ProgressBar) -> Result<(), CommandError> {
    let fetched = task::spawn_blocking(move || fetch_all(&arguments, &bar)).await;
    fetched.unwrap_or_else(|ended| Err(CommandError::Unfinished(format!("The download ended by itself ({ended})."))))
}

fn fetch_all(FetchData { dataset, data_dir, from }: &FetchData, bar: &ProgressBar) -> Result<(), CommandError> {
    let source = fetch::source(*dataset).ok_or(FetchError::NotPublished(*dataset))?;
    let base = from.as_deref().unwrap_or(source.url);
    let base = base.strip_suffix('/').unwrap_or(base);
    let folder = usual_folder(data_dir, *dataset);
    fs::create_dir_all(&folder).map_err(|source| CommandError::Io { doing: "make", path: folder.clone(), source })?;
    if std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} left  {msg}");
    // The template is a constant; a wrong one would only look plain.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    for file in source.files {
        let url = format!("{base}/{}", file.name);
        bar.set_message(file.name);
        let mut tenth = None;
        fetch::fetch(&url, *file, &folder, |Progress { bytes, total }| {
            bar.set_length(total.unwrap_or(bytes));
            bar.set_position(bytes);
            // Without a terminal, a line each tenth of the way says that it is alive.
            let now = total.map(|total| bytes * 10 / total.max(1));
            if bar.is_hidden() && now != tenth {
                eprintln!("{}: {bytes} of {} bytes", file.name, total.unwrap_or_default());
                tenth = now;
            }
        })?;
    }
    bar.finish_and_clear();
    let facts = train::dataset::facts(*dataset, Some(&folder), Some(0))?;
    println!(
        "{dataset} is in {}: {} images to train on and {} to test. A server that runs finds it when it is started again.",
        folder.display(),
        facts.train,
        facts.test
    );
    Ok(())
}
