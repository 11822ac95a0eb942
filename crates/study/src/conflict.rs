//! Where the gradients of the two losses conflict, arm by arm: by epoch and group of layers.

use crate::{
    Cosine, Epoch, Plan,
    metrics::{Facts, run_metrics},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The cosines of one arm, means over its seeds, in columns: a study has as many as it has epochs and groups of layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// Index into the plan's arms.
    pub arm: usize,
    /// Those that were measured, rising.
    pub epochs: Vec<Epoch>,
    /// By group of layers, in the order of [`GradientCosine::groups`](crate::GradientCosine), a mean at each of `epochs`, with four
    /// decimals; `None` where no seed has one.
    pub groups: Vec<Vec<Option<f64>>>,
}

/// Of every arm of which anything was measured, in the plan's order: against its own teacher; for labels only, the study's first.
pub fn conflicts(plan: &Plan, facts: &Facts) -> Vec<Conflict> {
    let measured_against = plan.measured_against();
    let mut sums: BTreeMap<usize, BTreeMap<Epoch, Vec<Sum>>> = BTreeMap::new();
    for (run, observer) in plan.runs.iter().zip(&measured_against) {
        let Some(observer) = observer else { continue };
        for epoch in run_metrics(run, facts) {
            let fidelity = epoch.fidelity_to(observer);
            let Some(cosine) = fidelity.and_then(|fidelity| fidelity.gradient_cosine.as_ref()) else { continue };
            let groups = sums.entry(run.arm).or_default().entry(epoch.epoch).or_default();
            groups.resize(groups.len().max(cosine.groups.len()), Sum::default());
            for (sum, cosine) in groups.iter_mut().zip(&cosine.groups) {
                sum.add(*cosine);
            }
        }
    }
    sums.into_iter().map(|(arm, by_epoch)| conflict(arm, &by_epoch)).collect()
}

fn conflict(arm: usize, by_epoch: &BTreeMap<Epoch, Vec<Sum>>) -> Conflict {
    let groups = by_epoch.values().map(Vec::len).max().unwrap_or(0);
    let mean = |sums: &Vec<Sum>, group: usize| sums.get(group).and_then(|sum| sum.mean());
    Conflict {
        arm,
        epochs: by_epoch.keys().copied().collect(),
        groups: (0..groups).map(|group| by_epoch.values().map(|sums| mean(sums, group)).collect()).collect(),
    }
}

#[derive(Clone, Copy, Default)]
struct Sum {
    cosines: f64,
    seeds: u32,
}

impl Sum {
    fn add(&mut self, cosine: Option<Cosine>) {
        if let Some(cosine) = cosine {
            self.cosines += f64::from(cosine);
            self.seeds += 1;
        }
    }

    /// With four decimals: more say nothing of a cosine on a handful of images, and a study has many.
    fn mean(self) -> Option<f64> {
        const STEPS: f64 = 1e4;
        (self.seeds > 0).then(|| (self.cosines / f64::from(self.seeds) * STEPS).round() / STEPS)
    }
}
