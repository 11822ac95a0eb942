//! bench/sweep.toml on both sides: here with everything shared and side by side, there each arm and seed from its start.
//!
//! With all images the peer takes hours, so both sides get fewer images and nothing else changes: the same arms, seeds, epochs,
//! stops, checkpoints and evaluations, and the same share of views asked for twice. What does not shrink with the images (starts
//! of processes, checkpoints) weighs more then. Two sizes tell both apart: seconds = fixed + images × each.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use study::{Choices, Dataset, Study};

use super::peer::Peer;
use super::reduced::{self, Size};
use super::table::{Bound, Row};
use super::{Bench, Group, Measured};
use crate::workspace::{read, scratch::Scratch};

/// Both sides may use as many at once.
const THREADS: u32 = 2;
const BOUND: Bound = Bound::Ratio { floor: 3.5, reach: 5.0 };
/// Of what was estimated before a sweep began over what it took.
const ESTIMATE_BOUND: Bound = Bound::Within { least: 0.75, most: 1.25 };
/// Images to train on: one full batch an epoch, and five. The rest of the whole's 94 batches is extrapolated.
const SIZES: [usize; 2] = [128, 640];
/// To see that it works.
const SIZES_QUICK: [usize; 2] = [64, 128];

/// What `stillroom run --json` and `plan --json` tell.
#[derive(Deserialize)]
struct Told {
    plan: Counts,
    arms: Vec<Arm>,
}

#[derive(Deserialize)]
struct Counts {
    runs: u64,
    epochs: u64,
    epochs_without_sharing: u64,
    seconds_estimated: Option<f64>,
}

#[derive(Deserialize)]
struct Arm {
    test_accuracy: Option<Accuracy>,
}

#[derive(Deserialize)]
struct Accuracy {
    by_seed: Vec<Option<f64>>,
}

/// What one peer process tells of the runs it trained.
#[derive(Deserialize)]
struct Students {
    runs: u64,
    epochs: u64,
    test_accuracies: Vec<f64>,
}

#[derive(Deserialize)]
struct Teacher {
    epochs: u64,
}

/// One side's sweep.
struct Side {
    seconds: f64,
    /// As they were estimated before it began; the peer does not.
    seconds_estimated: Option<f64>,
    /// In percent, of all runs.
    mean_accuracy: f64,
}

/// How the peer uses its two threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Division {
    OneProcess,
    TwoProcesses,
}

impl Division {
    /// Processes, and threads of each.
    fn shape(self) -> (u32, u32) {
        match self {
            Division::OneProcess => (1, THREADS),
            Division::TwoProcesses => (THREADS, 1),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Division::OneProcess => "one process with two threads",
            Division::TwoProcesses => "two processes with one thread each",
        }
    }
}

/// A study and images of one size, where both sides find them.
struct Place<'a> {
    bench: &'a Bench<'a>,
    scratch: Scratch,
    study: PathBuf,
    data: PathBuf,
    /// Images to train on.
    train: usize,
    /// `fashion-mnist=FOLDER` where the images are not the built-in ones.
    dataset: Option<String>,
}

pub fn sweep(bench: &Bench<'_>) -> Result<Measured> {
    let text = fs::read_to_string(bench.root.join("bench/sweep.toml")).context("cannot read bench/sweep.toml")?;
    let study = read_study(&text)?;
    let mut measured = Measured::default();
    if bench.full {
        let place = Place::whole(bench, &study)?;
        let (ours, peer) = place.both(&mut measured.notes)?;
        measured.rows.push(row("sweep, all 12,000 images", ours.seconds, peer.map(|peer| peer.seconds), BOUND));
        measured.rows.push(estimate("all 12,000 images", ours.seconds_estimated, ours.seconds));
        return Ok(measured);
    }
    let (study, sizes) = match bench.quick {
        true => (Study { seeds: 1, ..one_temperature(study) }, SIZES_QUICK),
        false => (study, SIZES),
    };
    let mut points = Vec::new();
    for train in sizes {
        let place = Place::reduced(bench, &study, train)?;
        let (ours, peer) = place.both(&mut measured.notes)?;
        let peer = peer.map(|peer| peer.seconds);
        let bound = if train == sizes[1] { BOUND } else { Bound::None };
        let name = format!("sweep, {train} of 12,000 images (measured)");
        measured.rows.push(row(&name, ours.seconds, peer, bound));
        measured.rows.push(estimate(&format!("{train} of 12,000 images"), ours.seconds_estimated, ours.seconds));
        points.push((train as f64, ours.seconds, peer));
    }
    if let [(few, ours_few, peer_few), (many, ours_many, peer_many)] = points[..] {
        let whole = |at_few, at_many| extrapolated((few, at_few), (many, at_many), reduced::TRAIN as f64);
        let peer = peer_few.zip(peer_many).map(|(at_few, at_many)| whole(at_few, at_many));
        let ours = whole(ours_few, ours_many);
        measured.rows.push(row("sweep, all 12,000 images (extrapolated)", ours, peer, BOUND));
        let estimated = Place::whole(bench, &study)?.plan()?.seconds_estimated;
        measured.rows.push(estimate("all 12,000 images (extrapolated)", estimated, ours));
        measured.notes.push(format!(
            "The sweep was run whole on both sides with {few} and with {many} of 12,000 training images; the row for all of them \
             lies on the line through these two on each side. `cargo xtask bench --only sweep --full` measures it instead."
        ));
    }
    Ok(measured)
}

fn read_study(text: &str) -> Result<Study> {
    Study::from_toml(text).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.problem)).collect();
        anyhow::anyhow!("bench/sweep.toml is not a study: {}", errors.join("; "))
    })
}

fn one_temperature(mut study: Study) -> Study {
    if let Some(treatment) = &mut study.treatment {
        treatment.temperature = Some(Choices::from(4.0));
    }
    study
}

fn row(name: &str, ours: f64, peer: Option<f64>, bound: Bound) -> Row {
    Row { ours: Some(ours), peer, bound, ..Row::new(Group::Sweep, name, "s") }
}

/// What was said of a sweep before it began, beside what it took.
fn estimate(name: &str, estimated: Option<f64>, taken: f64) -> Row {
    let ours = estimated.map(|estimated| estimated / taken);
    Row { ours, bound: ESTIMATE_BOUND, ..Row::new(Group::Sweep, format!("estimate / taken, {name}"), "") }
}

/// Where a line through two points is at `at`.
fn extrapolated((x0, y0): (f64, f64), (x1, y1): (f64, f64), at: f64) -> f64 {
    y0 + (y1 - y0) / (x1 - x0) * (at - x0)
}

impl<'a> Place<'a> {
    /// The study as it is.
    fn whole(bench: &'a Bench<'a>, study: &Study) -> Result<Place<'a>> {
        let data = bench.root.join("data/fashion-mnist-12k");
        Place::new(bench, Scratch::new("sweep")?, study, data, reduced::TRAIN, None)
    }

    /// The same with fewer images.
    fn reduced(bench: &'a Bench<'a>, study: &Study, train: usize) -> Result<Place<'a>> {
        let scratch = Scratch::new(&format!("sweep-{train}"))?;
        let data = scratch.path().join("images");
        fs::create_dir(&data)?;
        let size = Size::of(train);
        reduced::write(&bench.root.join("data/fashion-mnist-12k"), &data, size)?;
        let validation = Some(u32::try_from(size.validation)?);
        let study = Study { dataset: Dataset::FashionMnist, validation, ..study.clone() };
        let dataset = format!("{}={}", study.dataset, data.display());
        Place::new(bench, scratch, &study, data, train, Some(dataset))
    }

    fn new(
        bench: &'a Bench<'a>,
        scratch: Scratch,
        study: &Study,
        data: PathBuf,
        train: usize,
        dataset: Option<String>,
    ) -> Result<Place<'a>> {
        let file = scratch.path().join("study.toml");
        fs::write(&file, study.to_toml())?;
        Ok(Place { bench, scratch, study: file, data, train, dataset })
    }

    /// Ours, then the peer's where there is one; both must have trained the same.
    fn both(&self, notes: &mut Vec<String>) -> Result<(Side, Option<Side>)> {
        let Counts { runs, epochs, epochs_without_sharing: without_sharing, .. } = self.plan()?;
        self.bench.say(&format!("the sweep here: {runs} runs, {epochs} epochs instead of {without_sharing}"));
        let ours = self.ours()?;
        let estimated =
            ours.seconds_estimated.map_or(String::new(), |seconds| format!(", estimated before at {seconds:.1} s"));
        self.bench.say(&format!("    {:.1} s{estimated}", ours.seconds));
        let Some(peer) = &self.bench.peer else { return Ok((ours, None)) };
        let (teacher_seconds, teacher_epochs) = self.teacher(peer)?;
        let division = self.better_division(peer)?;
        self.bench.say(&format!("the sweep in PyTorch: every run from its start, in {}", division.name()));
        let (peer, trained) = self.students(peer, division, None)?;
        ensure!(
            (trained.runs, trained.epochs + teacher_epochs) == (runs, without_sharing),
            "the peer trained {} runs and {} epochs of students, which is not the same study",
            trained.runs,
            trained.epochs
        );
        let peer = Side { seconds: teacher_seconds + peer.seconds, ..peer };
        self.bench.say(&format!("    {:.1} s", peer.seconds));
        notes.push(format!(
            "Sweep with {} training images: the peer ran in {}, the better of the two ways; mean test accuracy of all runs \
             {:.1} % here, {:.1} % there.",
            self.train,
            division.name(),
            ours.mean_accuracy,
            peer.mean_accuracy
        ));
        Ok((ours, Some(peer)))
    }

    fn plan(&self) -> Result<Counts> {
        let told: Told = serde_json::from_str(&read(&mut self.stillroom("plan"))?).context("a plan is JSON")?;
        Ok(told.plan)
    }

    /// Each command has a data folder of its own, so that none finds what another left.
    fn stillroom(&self, command: &str) -> Command {
        let mut call = Command::new(&self.bench.ours.binary);
        call.arg(command).arg(&self.study).arg("--json").arg("--data-dir").arg(self.scratch.path().join(command));
        if let Some(dataset) = &self.dataset {
            call.args(["--dataset", dataset]);
        }
        call
    }

    /// From the start of the program to its end, in a data folder that did not exist.
    fn ours(&self) -> Result<Side> {
        let begin = Instant::now();
        let text = read(self.stillroom("run").args(["--threads", &THREADS.to_string()]))?;
        let seconds = begin.elapsed().as_secs_f64();
        let told: Told = serde_json::from_str(&text).context("`stillroom run` should print its results as JSON")?;
        let accuracies: Vec<f64> =
            told.arms.into_iter().filter_map(|arm| arm.test_accuracy).flat_map(|it| it.by_seed).flatten().collect();
        ensure!(accuracies.len() as u64 == told.plan.runs, "{} of {} runs ended", accuracies.len(), told.plan.runs);
        let seconds_estimated = told.plan.seconds_estimated;
        Ok(Side { seconds, seconds_estimated, mean_accuracy: mean(&accuracies) })
    }

    fn peer_sweep(&self, peer: &Peer, threads: u32, part: &str) -> Command {
        let mut command = peer.command(threads, false);
        command.arg("sweep").arg(&self.study).arg("--data").arg(&self.data);
        command.args(["--threads", &threads.to_string(), "--part", part]).arg("--checkpoints").arg(self.scratch.path());
        command
    }

    /// Trains the teacher once, on both threads: seconds and epochs.
    fn teacher(&self, peer: &Peer) -> Result<(f64, u64)> {
        let begin = Instant::now();
        let text = read(&mut self.peer_sweep(peer, THREADS, "teacher"))?;
        let seconds = begin.elapsed().as_secs_f64();
        let teacher: Teacher = serde_json::from_str(&text).context("`peer.py sweep` should print JSON")?;
        self.bench.say(&format!("the teacher in PyTorch: {} epochs in {seconds:.1} s", teacher.epochs));
        Ok((seconds, teacher.epochs))
    }

    /// By the dearest two runs, in each.
    fn better_division(&self, peer: &Peer) -> Result<Division> {
        let one = self.students(peer, Division::OneProcess, Some(2))?.0.seconds;
        let two = self.students(peer, Division::TwoProcesses, Some(1))?.0.seconds;
        Ok(if one <= two { Division::OneProcess } else { Division::TwoProcesses })
    }

    /// The students of all arms and seeds, or the first `runs` of each process: how it went, and what was trained.
    fn students(&self, peer: &Peer, division: Division, runs: Option<u32>) -> Result<(Side, Students)> {
        let (processes, threads) = division.shape();
        let begin = Instant::now();
        let mut started: Vec<Child> = Vec::new();
        for index in 0..processes {
            let mut command = self.peer_sweep(peer, threads, &format!("{index}/{processes}"));
            if let Some(runs) = runs {
                command.args(["--runs", &runs.to_string()]);
            }
            started.push(command.stdout(Stdio::piped()).spawn().context("cannot start bench/peer.py")?);
        }
        let outputs: Vec<_> = started.into_iter().map(Child::wait_with_output).collect();
        let seconds = begin.elapsed().as_secs_f64();
        let mut all = Students { runs: 0, epochs: 0, test_accuracies: Vec::new() };
        for output in outputs {
            let output = output?;
            ensure!(output.status.success(), "the peer ended with {}", output.status);
            let part: Students = serde_json::from_slice(&output.stdout).context("`peer.py sweep` should print JSON")?;
            all.runs += part.runs;
            all.epochs += part.epochs;
            all.test_accuracies.extend(part.test_accuracies);
        }
        Ok((Side { seconds, seconds_estimated: None, mean_accuracy: 100.0 * mean(&all.test_accuracies) }, all))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::root;

    #[test]
    fn the_line_through_two_sizes_leads_to_the_whole() {
        // 3 s fixed, and 10 ms for each image.
        assert!((extrapolated((128.0, 4.28), (640.0, 9.4), 12_000.0) - 123.0).abs() < 1e-9);
    }

    #[test]
    fn the_study_of_the_bench_is_one_and_stays_one_with_fewer_images() {
        let text = fs::read_to_string(root().expect("the workspace").join("bench/sweep.toml")).expect("the study");
        let study = read_study(&text).expect("a study");
        assert_eq!((study.seeds, study.dataset), (3, Dataset::FashionMnist12k));
        let fewer = Study { dataset: Dataset::FashionMnist, validation: Some(54), seeds: 1, ..one_temperature(study) };
        assert_eq!(Study::from_toml(&fewer.to_toml()), Ok(fewer));
    }

    #[test]
    fn both_divisions_use_all_threads() {
        for division in [Division::OneProcess, Division::TwoProcesses] {
            let (processes, threads) = division.shape();
            assert_eq!(processes * threads, THREADS, "{}", division.name());
        }
    }
}
