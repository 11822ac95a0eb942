//! `cargo xtask bench`: how fast this program is, beside the same work in PyTorch on the same machine in the same minutes.
//!
//! A bench, not a test: it fails where something cannot be measured, never because something is slow. Docs: docs/performance.md.

mod augmentation;
mod data;
mod machine;
mod memory;
mod ours;
mod page;
mod peer;
mod product;
mod record;
mod reduced;
mod steps;
mod sweep;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use study::Dataset;

use crate::workspace::say;
use crate::{Build, build};
use machine::Machine;
use ours::Ours;
use peer::Peer;
use table::{Row, Written};

#[derive(clap::Args)]
pub struct Arguments {
    /// Measure these alone
    #[arg(long, value_name = "GROUP", num_args = 1.., value_delimiter = ',')]
    only: Vec<Group>,
    /// Write the table, every round and the machine's description here too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The Python that has torch
    #[arg(long, env = "STILLROOM_PYTHON", default_value = "python3", value_name = "PATH")]
    python: PathBuf,
    /// Fewer rounds and a smaller sweep, to see that all of it works: not for numbers that are reported
    #[arg(long, conflicts_with_all = ["full", "record"])]
    quick: bool,
    /// Folder with the official files of fashion-mnist or cifar-10, for what is measured of many images; also
    /// STILLROOM_DATASET_FASHION_MNIST and the like
    #[arg(long = "dataset", value_name = "NAME=FOLDER", value_parser = data::named)]
    datasets: Vec<(Dataset, PathBuf)>,
    /// The sweep with all its images on both sides: takes hours
    #[arg(long)]
    full: bool,
    /// Put what was measured into docs/performance.md
    #[arg(long)]
    record: bool,
}

/// Rows that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Whole training steps
    Steps,
    /// Forward passes without training
    Evaluate,
    /// Drawing and rendering what a step is shown, beside the step
    Augmentation,
    /// A matrix product in single precision and in bf16
    Product,
    /// Peak resident size of training
    Memory,
    /// What a worker holds for itself, of few images and of many
    Data,
    /// A study of many arms
    Sweep,
    /// Pages in a browser, start, sizes, and the cost of reading what workers tell
    Page,
}

impl Group {
    /// The name as it is typed.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What every measurement needs.
struct Bench<'a> {
    root: &'a Path,
    started: Instant,
    ours: Ours,
    peer: Option<Peer>,
    datasets: &'a [(Dataset, PathBuf)],
    quick: bool,
    full: bool,
}

impl Bench<'_> {
    /// How often each side is measured in turn.
    fn rounds(&self) -> usize {
        if self.quick { 2 } else { 5 }
    }

    fn say(&self, what: &str) {
        say(self.started, what);
    }
}

/// What a group gave: its rows and what one has to know to read them.
#[derive(Default)]
struct Measured {
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// Everything that was measured, as it is written.
#[derive(Serialize)]
struct Record<'a> {
    machine: &'a Machine,
    quick: bool,
    rows: Vec<Written<'a>>,
    notes: &'a [String],
}

/// Builds, measures, prints one table; where a group could not be measured the others are, and it ends in an error.
pub fn bench(root: &Path, started: Instant, arguments: &Arguments) -> Result<()> {
    let load_before = machine::load_average();
    build::build(root, started, &Build { cuda: false })?;
    let peer = match Peer::find(&arguments.python, &root.join("bench/peer.py")) {
        Ok(peer) => Some(peer),
        Err(missing) => {
            println!("{missing}");
            None
        }
    };
    let machine = Machine::find(root, load_before, peer.as_ref());
    println!("\n{machine}");
    let bench = Bench {
        root,
        started,
        ours: Ours { binary: build::binary(root) },
        peer,
        datasets: &arguments.datasets,
        quick: arguments.quick,
        full: arguments.full,
    };
    let mut all = Measured::default();
    let mut failed = Vec::new();
    for group in chosen(&arguments.only) {
        match measure(&bench, group) {
            Ok(measured) => {
                if arguments.record {
                    record::record(root, group, &machine, &measured)?;
                }
                all.rows.extend(measured.rows);
                all.notes.extend(measured.notes);
            }
            Err(error) => failed.push(format!("{}: {error:#}", group.name())),
        }
    }
    println!("\n{}", table::text(&all.rows));
    for note in &all.notes {
        println!("{note}");
    }
    if let Some(warning) = machine.warning() {
        println!("{warning}");
    }
    if let Some(path) = &arguments.json {
        let rows = all.rows.iter().map(Row::written).collect();
        let record = Record { machine: &machine, quick: arguments.quick, rows, notes: &all.notes };
        let text = serde_json::to_string_pretty(&record).context("a bench's record is JSON")?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !failed.is_empty() {
        bail!("not measured:\n{}", failed.join("\n"));
    }
    Ok(())
}

/// In the order in which they are measured, each once.
fn chosen(only: &[Group]) -> Vec<Group> {
    let all = Group::value_variants().iter().copied();
    all.filter(|group| only.is_empty() || only.contains(group)).collect()
}

fn measure(bench: &Bench<'_>, group: Group) -> Result<Measured> {
    match group {
        Group::Steps => steps::steps(bench),
        Group::Evaluate => steps::evaluations(bench),
        Group::Augmentation => augmentation::augmentation(bench),
        Group::Product => product::products(bench),
        Group::Memory => memory::memory(bench),
        Group::Data => data::data(bench),
        Group::Sweep => sweep::sweep(bench),
        Group::Page => page::page(bench),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_measured_once_and_in_their_own_order() {
        assert_eq!(chosen(&[Group::Memory, Group::Steps, Group::Memory]), [Group::Steps, Group::Memory]);
        assert_eq!(chosen(&[]), Group::value_variants());
    }
}
