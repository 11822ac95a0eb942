//! Networks that vote together: whether a sequence of generations is worth more than as many networks that learnt from labels alone
//! (Cho & Hariharan 2019, section 4.2, of born-again networks, Furlanello et al. 2018).

use crate::{Arm, CheckpointId, Distillation, Epoch, Line, Plan, Run, numbers, statistics};
use serde::{Deserialize, Serialize};

/// The test accuracy of ensembles by their size, a line for each way of coming to members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ensembles {
    pub lines: Vec<EnsembleLine>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnsembleLine {
    pub label: String,
    pub members: Members,
    /// By size from one member on, without a gap.
    pub points: Vec<EnsemblePoint>,
}

/// Where the members of an ensemble come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Members {
    /// The first generations of a sequence, all of one seed: an ensemble for each seed, which have no network in common.
    Generations,
    /// Students of as many seeds, each from its own start: an ensemble from each seed on, in a circle. They have networks in common.
    Seeds,
}

/// Ensembles of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnsemblePoint {
    pub members: u32,
    /// Of each ensemble, in percent: of the class that the mean of its members' probabilities names.
    pub accuracies: Vec<f64>,
    pub mean: f64,
    /// The 95 % interval of the mean, where at least two ensembles have no network in common.
    pub interval: Option<(f64, f64)>,
}

impl Ensembles {
    /// Of a plan in which a generation is taught by another one: each of its sequences, and its students from labels alone beside
    /// them. `accuracy` says what these networks come to together, from 0 to 1; `None` where one of them is not there.
    pub fn of(plan: &Plan, mut accuracy: impl FnMut(&[CheckpointId]) -> Option<f64>) -> Option<Ensembles> {
        let images = plan.segments.first()?.dataset.test;
        let step = 100.0 / f64::from(images.max(1));
        let mut point = |members: Members, size: usize, ensembles: Vec<Vec<CheckpointId>>| {
            let accuracies: Vec<f64> = ensembles.iter().filter_map(|it| Some(100.0 * accuracy(it)?)).collect();
            let apart = members == Members::Generations;
            let interval = statistics::interval_of_mean(&accuracies, step).filter(|_| apart);
            let interval = interval.map(|(_, low, high)| (low, high));
            let mean = statistics::mean(&accuracies);
            (!accuracies.is_empty()).then_some(EnsemblePoint { members: size as u32, accuracies, mean, interval })
        };
        let mut lines = Vec::new();
        for arms in sequences(&plan.arms) {
            let [.., last] = arms[..] else { continue };
            let ensembles = |size: usize| {
                let of_seed =
                    |run: &Run| arms[..size].iter().map(|arm| end(plan, *arm, run)).collect::<Option<Vec<_>>>();
                plan.runs.iter().filter(|run| run.arm == last).filter_map(of_seed).collect()
            };
            let members = Members::Generations;
            let points = (1..=arms.len()).map_while(|size| point(members, size, ensembles(size))).collect();
            // "generation 3" is said of the last one.
            let label = &plan.arms[last].label;
            let label =
                label.replace(&format!("generation {}", arms.len()), &format!("generations 1 to {}", arms.len()));
            lines.push(EnsembleLine { label, members, points });
        }
        let longest = lines.iter().map(|line| line.points.len()).max().filter(|longest| *longest > 1)?;
        let alone = plan.arms.iter().enumerate().filter(|(_, arm)| arm.distillation.is_none());
        for (index, arm) in alone {
            let ends: Vec<CheckpointId> = plan.runs.iter().filter(|run| run.arm == index).filter_map(last_of).collect();
            let sizes = 1..=longest.min(ends.len());
            let members = Members::Seeds;
            let points = sizes.map_while(|size| point(members, size, circles(&ends, size))).collect();
            lines.push(EnsembleLine { label: arm.label.clone(), members, points });
        }
        lines.retain(|line| !line.points.is_empty());
        Some(Ensembles { lines })
    }

    /// Each sequence beside as many networks from labels alone, as many as both have, in a sentence each; `None` where there are no two
    /// of either.
    pub fn answer(&self) -> Option<String> {
        let of = |members: Members| self.lines.iter().filter(move |line| line.members == members);
        let alone = of(Members::Seeds).next()?;
        let sentence = |line: &EnsembleLine| {
            let size = line.points.len().min(alone.points.len());
            let (together, others) = (line.points[..size].last()?, alone.points[..size].last()?);
            let difference = together.mean - others.mean;
            let side = if difference < 0.0 { "below" } else { "above" };
            (size > 1).then(|| {
                format!(
                    "{size} of {} reach {}{percent} together, {} points {side} {size} networks of {} ({}{percent}).",
                    line.label,
                    numbers::with_interval(together.mean, together.interval),
                    numbers::fixed(difference.abs(), 2),
                    alone.label,
                    numbers::fixed(others.mean, 2),
                    percent = numbers::PERCENT,
                )
            })
        };
        let sentences: Vec<String> = of(Members::Generations).filter_map(sentence).collect();
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }
}

/// Arms that are one another's generations, from the first on: of each sequence that has several.
fn sequences(arms: &[Arm]) -> Vec<Vec<usize>> {
    let place = |like: &Arm, generation: u32, stop: Option<Epoch>| {
        let own = like.distillation.as_ref()?;
        let line = Line { generation, generation_stop_epoch: stop, ..own.line.clone() };
        let sought = Distillation { line, ..own.clone() };
        let is_it = |arm: &Arm| {
            (arm.student, arm.epochs) == (like.student, like.epochs) && arm.distillation.as_ref() == Some(&sought)
        };
        arms.iter().position(is_it)
    };
    let second = arms.iter().filter(|arm| arm.distillation.as_ref().is_some_and(|it| it.line.generation == 2));
    let sequences = second.map(|second| {
        let stop = second.distillation.as_ref().and_then(|it| it.line.generation_stop_epoch);
        let first = place(second, 1, None);
        let others = (2..).map_while(|generation| place(second, generation, stop));
        first.into_iter().chain(others).collect()
    });
    sequences.filter(|sequence: &Vec<usize>| sequence.len() > 1).collect()
}

fn last_of(run: &Run) -> Option<CheckpointId> {
    run.legs.last().map(|leg| CheckpointId { segment: leg.segment.clone(), epoch: leg.until })
}

/// What an arm ends with for the seed of another arm's run.
fn end(plan: &Plan, arm: usize, run: &Run) -> Option<CheckpointId> {
    plan.runs.iter().find(|other| other.arm == arm && other.seed == run.seed).and_then(last_of)
}

/// As many members from each on, in a circle: each is in equally many. All of them are one ensemble.
fn circles(all: &[CheckpointId], size: usize) -> Vec<Vec<CheckpointId>> {
    let starts = if size == all.len() { 1 } else { all.len() };
    (0..starts).map(|start| all.iter().cycle().skip(start).take(size).cloned().collect()).collect()
}
