//! One command a file.

pub mod bench;
pub mod export;
pub mod plan;
pub mod run;
pub mod serve;
pub mod worker;

use crate::{
    command_line::{Bench, Command, Installation},
    datasets::{self, DatasetPaths},
    error::CommandError,
    machine,
};
use std::{
    fs,
    io::{self, Read},
    path::Path,
};
use study::{DatasetFacts, Plan, Study};

/// Does what was typed.
pub async fn execute(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(arguments) => serve::serve(arguments).await,
        Command::Run(arguments) => run::run(arguments).await,
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Worker { folder } => worker::worker(&folder),
        Command::Export(arguments) => export::export(arguments).await,
        Command::Bench { bench: Bench::Step(arguments) } => bench::step(&arguments),
    }
}

/// A study that was read and planned.
struct Planned {
    study: Study,
    dataset: DatasetFacts,
    plan: Plan,
    paths: DatasetPaths,
}

/// Reads a study file and plans it. What a person should know before the plan is said first, on the standard error.
fn read_and_plan(path: &Path, installation: &Installation) -> Result<Planned, CommandError> {
    let text =
        read(path).map_err(|source| CommandError::Io { doing: "read the study file", path: path.into(), source })?;
    let study = Study::from_toml(&text).map_err(CommandError::Study)?;
    let paths = datasets::find(&installation.data_dir, &installation.datasets);
    if let (_, Some(notice)) = train::engine::resolve(study.recipe.device) {
        eprintln!("{notice}");
    }
    let (dataset, numerics) = (datasets::facts(&study, &paths), machine::numerics(study.recipe.device));
    let (dataset, numerics) = match (dataset, numerics) {
        (Ok(dataset), Ok(numerics)) => (dataset, numerics),
        (dataset, numerics) => {
            return Err(CommandError::Study(dataset.err().into_iter().chain(numerics.err()).collect()));
        }
    };
    let plan = Plan::new(&study, &dataset, numerics).map_err(CommandError::Study)?;
    Ok(Planned { study, dataset, plan, paths })
}

fn read(path: &Path) -> io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path)
}
