//! What an epoch does before each step: drawing how each image of the batch is seen, and rendering it.

use anyhow::{Context, Result};

use super::steps::{Case, THREADS, least};
use super::table::{Bound, Row};
use super::{Bench, Group, Measured};

/// Of the step, in percent.
const BOUND: Bound = Bound::AtMost(3.0);

/// (depth, width, batch, colour): random images of 32×32×3, or the built-in ones of 28×28×1. A smaller network makes the step
/// shorter, not what comes before it.
const CASES: [(u32, u32, u32, bool); 2] = [(16, 1, 64, true), (10, 1, 128, false)];

pub fn augmentation(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::default();
    for (depth, width, batch, colour) in CASES {
        for threads in THREADS {
            let case = Case { threads, ..Case::new(depth, width, batch, 1) };
            let images = if colour { "32×32×3" } else { "28×28×1" };
            let (mut drawn, mut stepped) = (None, None);
            for _ in 0..bench.rounds() {
                let [augmentation, step] = bench.ours.augmentation_and_step(&case, colour)?;
                drawn = least(drawn, augmentation.min);
                stepped = least(stepped, step.min);
            }
            let (drawn, stepped) = drawn.zip(stepped).context("a bench has a round")?;
            bench.say(&format!("augmentation for {}: {drawn:.3} ms before a step of {stepped:.2} ms", case.name()));
            measured.rows.push(Row {
                ours: Some(100.0 * drawn / stepped),
                bound: BOUND,
                ..Row::new(Group::Augmentation, format!("augmentation / step, {images}, {}", case.name()), "%")
            });
        }
    }
    Ok(measured)
}
