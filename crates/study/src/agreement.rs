//! Whether another program finds the same: its results of a study's arms and seeds, beside ours.

use crate::{Arm, Epoch, Number, Report, Seed, statistics};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What another program found when it trained a study's arms: a file beside the frozen study, as `bench/peer.py sweep` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// "PyTorch 2.15.0".
    pub program: String,
    pub runs: Vec<PeerRun>,
}

/// One student of another program. Its seed draws other numbers than ours, so that seeds of the same number have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRun {
    /// T, by which both programs soften outputs (Hinton et al. 2015).
    pub temperature: f64,
    /// 0: from labels alone, whatever the temperature and the teacher's stop are.
    pub kd_stop_epoch: Epoch,
    pub teacher_stop_epoch: Epoch,
    /// Of the other program.
    pub seed: Seed,
    /// After the last epoch, from 0 to 1.
    pub test_accuracy: f64,
}

/// How another program's results of an arm lie to ours, in percent and points.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Index into the report's arms.
    pub arm: usize,
    /// Mean test accuracy of our seeds, in percent.
    pub ours: f64,
    /// Of the other program's.
    pub peers: f64,
    pub seeds: u32,
    pub peer_seeds: u32,
    /// Ours minus the peer's, in points.
    pub difference: f64,
    /// 95 % by Welch's t over seeds. Where one teacher serves all seeds of a program, that teacher's own luck is not in it. `None` where
    /// one of the programs has a single seed.
    pub interval: Option<(f64, f64)>,
}

impl Agreement {
    /// Whether 0 lies inside the interval: what is there does not tell the programs apart. `None` where there is no interval.
    pub fn agrees(&self) -> Option<bool> {
        self.interval.map(|(low, high)| low <= 0.0 && 0.0 <= high)
    }
}

/// Every arm that both have trained, in the report's order. A peer's run names an arm by three numbers: one that more than one arm has says
/// nothing of any of them. Of several runs of one arm and seed the first counts.
pub fn agreements(report: &Report, peer: &Peer) -> Vec<Agreement> {
    // Both accuracies come in steps of one test image.
    let step = 100.0 / f64::from(report.test_images.max(1));
    let is_of_one = |run: &&PeerRun| report.arms.iter().filter(|arm| run.is_of(arm)).count() == 1;
    let runs: Vec<&PeerRun> = peer.runs.iter().filter(is_of_one).collect();
    let summaries = report.comparison.arms.iter();
    let both = summaries.filter_map(|summary| {
        let mut by_seed: BTreeMap<Seed, f64> = BTreeMap::new();
        for run in runs.iter().filter(|run| run.is_of(&report.arms[summary.arm])) {
            by_seed.entry(run.seed).or_insert(100.0 * run.test_accuracy);
        }
        let peers: Vec<f64> = by_seed.into_values().collect();
        let ours: Vec<f64> = summary.by_seed.iter().flatten().copied().collect();
        (!peers.is_empty() && !ours.is_empty()).then(|| Agreement {
            arm: summary.arm,
            ours: statistics::mean(&ours),
            peers: statistics::mean(&peers),
            seeds: ours.len() as u32,
            peer_seeds: peers.len() as u32,
            difference: statistics::mean(&ours) - statistics::mean(&peers),
            interval: statistics::interval_of_difference(&ours, &peers, step),
        })
    });
    both.collect()
}

impl PeerRun {
    fn is_of(&self, arm: &Arm) -> bool {
        match &arm.distillation {
            None => self.kd_stop_epoch == Epoch(0),
            Some(it) => {
                self.kd_stop_epoch == it.kd_stop_epoch
                    && self.teacher_stop_epoch == it.teacher_stop_epoch
                    && it.scheme.number(Number::Temperature) == Some(self.temperature)
            }
        }
    }
}
