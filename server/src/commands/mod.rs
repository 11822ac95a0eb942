//! One command a file.

pub mod bench;
pub mod download;
pub mod export;
pub mod fill_synthetic;
pub mod import_teacher;
pub mod plan;
pub mod results;
pub mod run;
pub mod serve;
pub mod worker;

use crate::{
    command_line::{Bench, Command, Installation},
    datasets::{self, DatasetPaths},
    error::CommandError,
    machine,
};
use indicatif::ProgressBar;
use std::{
    fs,
    io::{self, Read},
    path::Path,
};
use study::{Dataset, DatasetFacts, Device, Machine, Plan, Study, machine::on_the_cpu};
use train::dataset::Notes;

/// Does what was typed. `bar` is shown where progress is.
pub async fn execute(command: Command, bar: ProgressBar) -> Result<(), CommandError> {
    match command {
        Command::Serve(arguments) => serve::serve(arguments).await,
        Command::Run(arguments) => run::run(arguments, bar).await,
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Worker { folder } => worker::worker(&folder),
        Command::Download(arguments) => download::download(arguments, bar).await,
        Command::Export(arguments) => export::export(arguments).await,
        Command::ImportTeacher(arguments) => import_teacher::import_teacher(&arguments),
        Command::Results(arguments) => results::results(arguments).await,
        Command::FillSynthetic(arguments) => fill_synthetic::fill_synthetic(arguments).await,
        Command::Bench { bench } => match bench {
            Bench::Step(arguments) => bench::step(&arguments),
            Bench::Evaluate(arguments) => bench::evaluate(&arguments),
            Bench::Augmentation(arguments) => bench::augmentation(&arguments),
            Bench::Product(arguments) => bench::product(&arguments),
            Bench::CandleSpeed => bench::speed_of_candle(),
        },
    }
}

/// A study that was read and planned, and the machine for which it was.
struct Planned {
    study: Study,
    dataset: DatasetFacts,
    plan: Plan,
    paths: DatasetPaths,
    machine: Machine,
}

/// What a command that plans leaves behind.
#[derive(Clone, Copy, PartialEq)]
enum Leaves {
    Nothing,
    /// What was seen of the study's data set, where there is a data folder.
    Notes,
}

/// Reads a study file and plans it. What a person should know before the plan is said first, on the standard error.
fn read_and_plan(
    path: &Path,
    installation: &Installation,
    threads: Option<u32>,
    leaves: Leaves,
) -> Result<Planned, CommandError> {
    let bytes =
        read(path).map_err(|source| CommandError::Io { doing: "read the study file", path: path.into(), source })?;
    let table = Study::text(&bytes).and_then(Study::table).map_err(CommandError::Study)?;
    let data_dir = &installation.data.dir;
    let paths = datasets::find(data_dir, &installation.datasets);
    let images = train::folder::images_path(data_dir);
    let notes = match leaves {
        Leaves::Notes if data_dir.is_dir() => Notes::Kept(&images),
        _ => Notes::Read(&images),
    };
    let machine_with =
        |paths: &DatasetPaths| machine::find(data_dir, paths, notes, threads, installation.teacher_logits_limit).0;
    // Reading all that is here may take minutes: the others matter only where this one is refused, with what is allowed.
    let asked: Option<Dataset> = table.get("dataset").and_then(|name| name.as_str()?.parse().ok());
    let own = paths.iter().filter(|(dataset, _)| asked == Some(**dataset));
    let mut machine = machine_with(&own.map(|(dataset, path)| (*dataset, path.clone())).collect());
    let mut ready = machine.ready(&table);
    if ready.as_ref().is_err_and(|errors| errors.iter().any(|error| error.field == "dataset")) {
        machine = machine_with(&paths);
        ready = machine.ready(&table);
    }
    let ready = ready.map_err(CommandError::Study)?;
    if let (Device::Auto, Some(no_gpu)) = (ready.study.recipe.device, &machine.no_gpu) {
        eprintln!("{}", on_the_cpu(no_gpu));
    }
    Ok(Planned { study: ready.study, dataset: ready.dataset, plan: ready.plan, paths, machine })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    fs::read(path)
}
