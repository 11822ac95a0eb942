//! One command a file.

pub mod bench;
pub mod export;
pub mod fetch_data;
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
use study::{DatasetFacts, Device, Machine, Plan, Study};

/// Does what was typed. `bar` is shown where progress is.
pub async fn execute(command: Command, bar: ProgressBar) -> Result<(), CommandError> {
    match command {
        Command::Serve(arguments) => serve::serve(arguments).await,
        Command::Run(arguments) => run::run(arguments, bar).await,
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Worker { folder } => worker::worker(&folder),
        Command::FetchData(arguments) => fetch_data::fetch_data(arguments, bar).await,
        Command::Export(arguments) => export::export(arguments).await,
        Command::ImportTeacher(arguments) => import_teacher::import_teacher(&arguments),
        Command::Results(arguments) => results::results(arguments).await,
        Command::FillSynthetic(arguments) => fill_synthetic::fill_synthetic(arguments).await,
        Command::Bench { bench } => match bench {
            Bench::Step(arguments) => bench::step(&arguments),
            Bench::Evaluate(arguments) => bench::evaluate(&arguments),
            Bench::Augmentation(arguments) => bench::augmentation(&arguments),
            Bench::Product(arguments) => bench::product(&arguments),
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

/// Reads a study file and plans it. What a person should know before the plan is said first, on the standard error.
fn read_and_plan(path: &Path, installation: &Installation, threads: Option<u32>) -> Result<Planned, CommandError> {
    let bytes =
        read(path).map_err(|source| CommandError::Io { doing: "read the study file", path: path.into(), source })?;
    let table = Study::text(&bytes).and_then(Study::table).map_err(CommandError::Study)?;
    let paths = datasets::find(&installation.data_dir, &installation.datasets);
    let (machine, _) = machine::find(&installation.data_dir, &paths, threads, installation.teacher_logits_limit);
    let ready = machine.ready(&table).map_err(CommandError::Study)?;
    if let (Device::Auto, Some(no_gpu)) = (ready.study.recipe.device, &machine.no_gpu) {
        eprintln!("{}", machine::on_the_cpu(no_gpu));
    }
    let plan = ready.plan();
    Ok(Planned { study: ready.study, dataset: ready.dataset, plan, paths, machine })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    fs::read(path)
}
