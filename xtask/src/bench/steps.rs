//! One training step and one evaluation.

use anyhow::Result;
use study::Architecture;
use study::numbers::counted;

use super::table::{Bound, Row};
use super::{Bench, Group, Measured};

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Forward, loss, backward, update.
    Step,
    /// The forward pass of a network that is not trained.
    Evaluate,
}

/// A network and how it is run, on random 32×32×3 images.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub architecture: Architecture,
    pub batch: u32,
    pub threads: u32,
    /// Both sides limited to AVX2.
    pub avx2: bool,
}

impl Case {
    /// As both sides take it.
    pub fn arguments(&self) -> [String; 6] {
        let [architecture, batch, threads] = ["--architecture", "--batch", "--threads"].map(String::from);
        [architecture, self.architecture.to_string(), batch, self.batch.to_string(), threads, self.threads.to_string()]
    }
}

impl Work {
    /// As both sides call it.
    pub fn name(self) -> &'static str {
        match self {
            Work::Step => "step",
            Work::Evaluate => "evaluate",
        }
    }

    /// Forward passes it counts as: the gradients of inputs and of weights cost one each.
    fn passes(self) -> u64 {
        match self {
            Work::Step => 3,
            Work::Evaluate => 1,
        }
    }
}

impl Case {
    pub const fn new(depth: u32, width: u32, batch: u32, threads: u32) -> Case {
        Case { architecture: Architecture::WideResNet { depth, width }, batch, threads, avx2: false }
    }

    pub fn name(&self) -> String {
        let threads = counted(self.threads.into(), "thread");
        let limit = if self.avx2 { ", AVX2 only" } else { "" };
        format!("{}, {}, {threads}{limit}", self.architecture, self.batch)
    }

    /// The part of a matrix product's rate that `milliseconds` come to. Multiply-adds are counted as a direct convolution
    /// makes them, so that an algorithm that makes fewer shows as a larger fraction.
    fn product_fraction(&self, work: Work, milliseconds: f64, gflops: f64) -> f64 {
        let multiply_adds = work.passes() * u64::from(self.batch) * self.architecture.multiply_accumulates(3, 32, 10);
        2.0 * multiply_adds as f64 / (milliseconds * 1e6) / gflops
    }
}

/// (depth, width, batch, AVX2 only, floor, reach); each with one and with two threads.
const STEPS: [(u32, u32, u32, bool, f64, f64); 9] = [
    (16, 1, 64, false, 1.5, 1.9),
    (16, 1, 128, false, 1.5, 1.9),
    (16, 2, 64, false, 1.25, 1.6),
    (28, 2, 64, false, 1.2, 1.5),
    (28, 2, 128, false, 1.2, 1.5),
    (40, 2, 128, false, 1.0, 1.3),
    (16, 4, 128, false, 1.0, 1.3),
    (16, 1, 64, true, 1.35, 1.5),
    (16, 2, 64, true, 1.35, 1.5),
];

/// Evaluated networks: a student of the sweeps, and teachers.
const EVALUATIONS: [(u32, u32, u32); 3] = [(16, 1, 64), (16, 2, 64), (28, 2, 128)];

pub const THREADS: [u32; 2] = [1, 2];

pub fn steps(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::default();
    let avx2_here = has_avx2();
    for (depth, width, batch, avx2, floor, reach) in STEPS {
        if avx2 && !avx2_here {
            measured.notes.push(format!("wrn-{depth}-{width} limited to AVX2: this processor does not have it."));
            continue;
        }
        for threads in THREADS {
            let case = Case { avx2, ..Case::new(depth, width, batch, threads) };
            let [row] = alternating(bench, Group::Steps, &case, [Work::Step])?;
            measured.rows.push(Row { bound: Bound::Ratio { floor, reach }, ..row });
        }
    }
    Ok(measured)
}

/// Each network's forward pass beside the peer's, and beside a training step of its own.
pub fn evaluations(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::default();
    for (depth, width, batch) in EVALUATIONS {
        let case = Case::new(depth, width, batch, 1);
        let works = [Work::Evaluate, Work::Step];
        let [evaluation, step] = alternating(bench, Group::Evaluate, &case, works)?;
        let share = |evaluation: Option<f64>, step: Option<f64>| Some(evaluation? / step?);
        let of_a_step = Row {
            ours: share(evaluation.ours, step.ours),
            peer: share(evaluation.peer, step.peer),
            bound: Bound::AtMost(1.0 / 3.0),
            ..Row::new(Group::Evaluate, format!("evaluate / step, {}", case.name()), "")
        };
        measured.rows.extend([Row { name: format!("evaluate, {}", case.name()), ..evaluation }, of_a_step]);
    }
    Ok(measured)
}

/// A row for each of `works`, measured in turns: ours, the peer's, ours, ..., and the least of each.
fn alternating<const N: usize>(bench: &Bench<'_>, group: Group, case: &Case, works: [Work; N]) -> Result<[Row; N]> {
    let gflops = bench.ours.product_rate(case.threads, case.avx2, "fp32")?;
    let serve = |work: &Work| bench.peer.as_ref().map(|peer| peer.serve(*work, case)).transpose();
    let mut peers = works.iter().map(serve).collect::<Result<Vec<_>>>()?;
    let mut rows = works.map(|_| Row::new(group, case.name(), "ms"));
    for round in 1..=bench.rounds() {
        for ((work, peer), row) in works.iter().zip(&mut peers).zip(&mut rows) {
            let ours = bench.ours.time(*work, case)?.min;
            row.ours = least(row.ours, ours);
            if let Some(peer) = peer {
                let peer = peer.time()?.min;
                row.peer = least(row.peer, peer);
                row.round_ratios.push(peer / ours);
            }
            let both = row.round_ratios.last().map_or(String::new(), |ratio| format!(", ratio {ratio:.2}"));
            let rounds = bench.rounds();
            bench.say(&format!("{} {}: round {round} of {rounds}: {ours:.2} ms{both}", work.name(), case.name()));
        }
    }
    // Before and after: whatever held the machine back at one of the two times.
    let gflops = gflops.max(bench.ours.product_rate(case.threads, case.avx2, "fp32")?);
    for (work, row) in works.iter().zip(&mut rows) {
        row.product_fraction = row.ours.map(|milliseconds| case.product_fraction(*work, milliseconds, gflops));
    }
    Ok(rows)
}

pub fn least(before: Option<f64>, now: f64) -> Option<f64> {
    Some(before.map_or(now, |before| before.min(now)))
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_of_two_operations_for_each_multiply_add() {
        let case = Case::new(16, 1, 64, 1);
        let forward = 64.0 * case.architecture.multiply_accumulates(3, 32, 10) as f64;
        // A step of a second that makes as many operations as the product makes in half a second.
        let gflops = 2.0 * (2.0 * 3.0 * forward) / 1e9;
        assert!((case.product_fraction(Work::Step, 1e3, gflops) - 0.5).abs() < 1e-12);
        assert!((case.product_fraction(Work::Evaluate, 1e3, gflops) - 0.5 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_least_round_counts() {
        assert_eq!([3.0, 2.0, 4.0].into_iter().fold(None, least), Some(2.0));
    }

    #[test]
    fn cases_are_named_as_people_compare_them() {
        assert_eq!(Case::new(16, 1, 64, 1).name(), "wrn-16-1, 64, 1 thread");
        let limited = Case { avx2: true, ..Case::new(16, 2, 64, 2) };
        assert_eq!(limited.name(), "wrn-16-2, 64, 2 threads, AVX2 only");
    }
}
