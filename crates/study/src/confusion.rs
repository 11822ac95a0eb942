//! What the networks of each arm take for what.

use crate::{CheckpointId, Plan, Seed};
use serde::{Deserialize, Serialize};

/// By arm, on the test images, at the end of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// What the classes are called.
    pub classes: Vec<String>,
    /// Those of which a run is at its end, in the plan's order.
    pub arms: Vec<ArmConfusion>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmConfusion {
    /// Index into the plan's arms.
    pub arm: usize,
    pub label: String,
    /// Those whose networks were counted.
    pub seeds: Vec<Seed>,
    /// Images: `counts[true class][named class]`, summed over seeds.
    pub counts: Vec<Vec<u32>>,
}

impl Confusion {
    /// Classes up to which each pair has a cell on a page: of more the counts can be had, and nobody would read them.
    pub const CLASSES_MAX: usize = 20;

    /// Sums over each arm's seeds what `counts` says of the network that each run ends with, `None` where there is none yet. What
    /// the classes are called a plan does not know.
    pub fn of(plan: &Plan, mut counts: impl FnMut(&CheckpointId) -> Option<Vec<Vec<u32>>>) -> Confusion {
        let mut arms: Vec<ArmConfusion> = Vec::new();
        for run in &plan.runs {
            let (Some(arm), Some(last)) = (plan.arms.get(run.arm), run.legs.last()) else { continue };
            let end = CheckpointId { segment: last.segment.clone(), epoch: last.until };
            let Some(counts) = counts(&end) else { continue };
            match arms.iter_mut().find(|known| known.arm == run.arm) {
                Some(known) => {
                    known.seeds.push(run.seed);
                    let cells = known.counts.iter_mut().flatten().zip(counts.iter().flatten());
                    cells.for_each(|(sum, count)| *sum += count);
                }
                None => {
                    let (label, seeds) = (arm.label.clone(), vec![run.seed]);
                    arms.push(ArmConfusion { arm: run.arm, label, seeds, counts });
                }
            }
        }
        arms.sort_by_key(|arm| arm.arm);
        Confusion { classes: Vec::new(), arms }
    }
}
