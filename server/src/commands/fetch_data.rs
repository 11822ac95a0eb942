//! `stillroom fetch-data`: a data set's official files, from where they are published.

use crate::{
    command_line::FetchData,
    datasets::usual_folder,
    error::CommandError,
    fetch::{self, Progress},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use tokio::task;

pub async fn fetch_data(arguments: FetchData, bar: ProgressBar) -> Result<(), CommandError> {
    let fetched = task::spawn_blocking(move || fetch_and_look(&arguments, &bar)).await;
    fetched.unwrap_or_else(|ended| Err(CommandError::Unfinished(format!("The download ended by itself ({ended})."))))
}

fn fetch_and_look(FetchData { dataset, data_dir, from }: &FetchData, bar: &ProgressBar) -> Result<(), CommandError> {
    let folder = usual_folder(data_dir, *dataset);
    if std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} left  {msg}");
    // The template is a constant; a wrong one would only look plain.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut said = None;
    fetch::fetch_all(*dataset, &folder, from.as_deref(), |file, Progress { bytes, total }| {
        bar.set_message(file.name);
        bar.set_length(total.unwrap_or(bytes));
        bar.set_position(bytes);
        // Without a terminal, a line each tenth of the way says that it is alive.
        let tenth = Some((file.name, total.map(|total| bytes * 10 / total.max(1))));
        if bar.is_hidden() && tenth != said {
            let of = total.map_or_else(String::new, |total| format!(" of {total}"));
            eprintln!("{}: {bytes}{of} bytes", file.name);
            said = tenth;
        }
    })?;
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
