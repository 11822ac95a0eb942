//! What a worker holds for itself, of few images and of many: all workers hold the images together.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use study::{Dataset, Event};

use super::memory::{bytes, watch};
use super::table::{Bound, Row};
use super::{Bench, Group, Measured, reduced};
use crate::workspace::scratch::Scratch;

/// Those that are measured where their folder is given.
const MANY: [Dataset; 2] = [Dataset::FashionMnist, Dataset::Cifar10];
/// By how many megabytes a worker may grow with the images: that is less than a fifth of Fashion-MNIST's.
const BOUND: Bound = Bound::AtMost(10.0);

/// Images to train on, and where their official files lie; the built-in ones have no folder.
struct Images {
    dataset: Dataset,
    folder: Option<PathBuf>,
    held_out: u32,
}

pub fn data(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::default();
    for dataset in MANY {
        let Some(folder) = folder(bench, dataset) else {
            let variable = variable(dataset);
            measured.notes.push(format!(
                "A worker's memory with {dataset} was not measured. To measure it, name the folder of its official files: \
                 `cargo xtask bench --only data --dataset {dataset}=FOLDER`, or {variable}=FOLDER in the environment."
            ));
            continue;
        };
        let scratch = Scratch::new(&format!("data-{dataset}"))?;
        let held_out = Dataset::VALIDATION_DEFAULT;
        let (few_name, few) = if dataset == Dataset::Cifar10 {
            let tenth = scratch.path().join("images");
            fs::create_dir(&tenth)?;
            reduced::write_tenth_of_cifar(&folder, &tenth)?;
            (format!("a tenth of {dataset}"), Images { dataset, folder: Some(tenth), held_out: held_out / 10 })
        } else {
            let built_in = Dataset::FashionMnist12k;
            (built_in.to_string(), Images { dataset: built_in, folder: None, held_out })
        };
        let many = Images { dataset, folder: Some(folder), held_out };
        let [_, few] = workers_bytes(bench, &scratch, "few", &few)?;
        let [unpacking, many] = workers_bytes(bench, &scratch, "many", &many)?;
        let row = |name: String, bytes: f64| Row { ours: Some(bytes / 1e6), ..Row::new(Group::Data, name, "MB") };
        measured.rows.extend([
            row(format!("a worker, {few_name}"), few),
            row(format!("a worker, {dataset}"), many),
            Row { bound: BOUND, ..row(format!("{dataset} beyond {few_name}"), many - few) },
            row(format!("the worker that unpacks {dataset}"), unpacking),
        ]);
    }
    Ok(measured)
}

/// Trains two seeds for an epoch, one after the other, each by a worker of one thread that tests and looks at all training images
/// in the end. The most that each held for itself, by what the kernel says again and again; the first one unpacks the images.
fn workers_bytes(bench: &Bench<'_>, scratch: &Scratch, name: &str, images: &Images) -> Result<[f64; 2]> {
    let Images { dataset, folder, held_out } = images;
    bench.say(&format!("a worker's memory with {dataset}, {name} images"));
    let study = scratch.path().join(format!("{name}.toml"));
    let architecture = if bench.quick { "wrn-10-1" } else { "wrn-16-1" };
    let text = format!(
        "title = \"What does a worker hold?\"\ndataset = \"{dataset}\"\nvalidation = {held_out}\nseeds = 2\n\
         student = {{ architecture = \"{architecture}\", epochs = 1 }}\n"
    );
    fs::write(&study, text)?;
    let data_dir = scratch.path().join(name);
    let mut command = Command::new(&bench.ours.binary);
    command.arg("run").arg(&study).args(["--json", "--threads", "1"]).arg("--data-dir").arg(&data_dir);
    if let Some(folder) = folder {
        command.arg("--dataset").arg(format!("{dataset}={}", folder.display()));
    }
    let started = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = started.context("cannot start stillroom")?;
    // By process, in the order of their beginning.
    let mut peaks: Vec<(u32, f64)> = Vec::new();
    watch(&mut child, || {
        for process in workers(&data_dir) {
            let Some(now) = bytes(process, "RssAnon") else { continue };
            match peaks.iter_mut().find(|(known, _)| *known == process) {
                Some((_, peak)) => *peak = peak.max(now),
                None => peaks.push((process, now)),
            }
        }
        Ok(())
    })?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`stillroom run` ended with {}\n{}", output.status, said.trim_end());
    let peaks: Vec<f64> = peaks.into_iter().map(|(_, peak)| peak).collect();
    <[f64; 2]>::try_from(peaks)
        .map_err(|seen| anyhow::anyhow!("the memory of {} workers was seen, not of two", seen.len()))
}

/// The processes that have begun on a segment, by what they tell in its folder.
fn workers(data_dir: &Path) -> Vec<u32> {
    let Ok(segments) = fs::read_dir(data_dir.join("segments")) else { return Vec::new() };
    let begun = |segment: PathBuf| first_process(&fs::read_to_string(segment.join("events.jsonl")).ok()?);
    segments.filter_map(|segment| begun(segment.ok()?.path())).collect()
}

fn first_process(events: &str) -> Option<u32> {
    match serde_json::from_str(events.lines().next()?).ok()? {
        Event::Started { process, .. } => Some(process),
        _ => None,
    }
}

/// Reads "fashion-mnist=FOLDER".
pub fn named(typed: &str) -> Result<(Dataset, PathBuf), String> {
    let (name, folder) = typed.split_once('=').ok_or("write NAME=FOLDER, such as fashion-mnist=/data/fashion-mnist")?;
    let dataset = MANY.into_iter().find(|dataset| dataset.to_string() == name);
    let dataset = dataset.ok_or_else(|| format!("{name:?} is not measured; {} and {} are", MANY[0], MANY[1]))?;
    Ok((dataset, folder.into()))
}

/// As it was typed, else from the environment.
fn folder(bench: &Bench<'_>, dataset: Dataset) -> Option<PathBuf> {
    let typed = bench.datasets.iter().rev().find(|(named, _)| *named == dataset).map(|(_, folder)| folder.clone());
    typed.or_else(|| env::var_os(variable(dataset)).filter(|folder| !folder.is_empty()).map(PathBuf::from))
}

/// By which `stillroom` is told too: `STILLROOM_DATASET_CIFAR_10`.
fn variable(dataset: Dataset) -> String {
    format!("STILLROOM_DATASET_{}", dataset.to_string().to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_typed_with_its_data_set() {
        assert_eq!(named("cifar-10=/data/c=1"), Ok((Dataset::Cifar10, PathBuf::from("/data/c=1"))));
        for wrong in ["cifar-10", "mnist=/data/mnist", "fashion-mnist-12k=/data"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
        assert_eq!(variable(Dataset::FashionMnist), "STILLROOM_DATASET_FASHION_MNIST");
    }

    #[test]
    fn a_worker_is_found_by_what_it_told_first() {
        let started = r#"{"event":"started","version":1,"epoch":0,"provenance":{"version":"0.1.0","training_version":1,
            "host":"one","instruction_set":"avx2","threads":1,"device":"cpu","data_checksum":"00"},"process":4711}"#;
        let started = started.replace('\n', "");
        assert_eq!(first_process(&format!("{started}\n{{\"event\":\"fin")), Some(4711));
        assert_eq!((first_process(&started[..40]), first_process("")), (None, None));
    }
}
