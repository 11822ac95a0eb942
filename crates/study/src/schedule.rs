//! The learning rate, a pure function of the epoch: resuming needs no state.

use crate::{Epoch, Recipe};
use serde::{Deserialize, Serialize};

/// A step schedule: `learning_rate`, times `decay` at each of `drops`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The epoch the schedule was made for. A training may be stopped earlier; beyond it the last rate goes on.
    pub horizon: Epoch,
    /// Epochs complete when the rate drops, rising, all before the horizon.
    pub drops: Vec<Epoch>,
    pub learning_rate: f64,
    pub decay: f64,
}

impl Schedule {
    /// The schedule of a training of `epochs` epochs under `recipe`. Unless the recipe names drops: three, every
    /// `max(1, ⌊3·epochs/10⌋)` epochs, and from 35 epochs on every `0.3·epochs` rounded to the nearest 5 (halves up:
    /// 10, 15, 20, 25, 60 for 35, 50, 65, 80, 200, as the paper compressed them). Drops at or after the end fall away.
    pub fn new(epochs: Epoch, recipe: &Recipe) -> Schedule {
        let drops = match &recipe.drop_epochs {
            Some(drops) => drops.clone(),
            None => {
                let every = recipe.drop_every.unwrap_or_else(|| drop_every(epochs.0));
                (1..=3).map(|times| every.saturating_mul(times)).collect()
            }
        };
        Schedule {
            horizon: epochs,
            drops: drops.into_iter().filter(|drop| *drop < epochs.0).map(Epoch).collect(),
            learning_rate: recipe.learning_rate,
            decay: recipe.learning_rate_decay,
        }
    }

    /// The learning rate of the epoch that follows `complete` epochs.
    pub fn learning_rate_after(&self, complete: Epoch) -> f64 {
        // Multiplied drop by drop: the same bits on every machine, which `powi` does not promise.
        self.drops.iter().filter(|drop| **drop <= complete).fold(self.learning_rate, |rate, _| rate * self.decay)
    }
}

/// Epochs between drops where the recipe does not say.
fn drop_every(epochs: u32) -> u32 {
    let three_tenths = u64::from(epochs) * 3;
    let every = match epochs {
        0..35 => (three_tenths / 10).max(1),
        _ => (three_tenths + 25) / 50 * 5,
    };
    u32::try_from(every).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drops(epochs: u32, recipe: &Recipe) -> Vec<u32> {
        Schedule::new(Epoch(epochs), recipe).drops.iter().map(|drop| drop.0).collect()
    }

    #[test]
    fn drops_are_those_of_the_paper_and_shorter_ones_follow() {
        let recipe = Recipe::default();
        assert_eq!(drops(200, &recipe), [60, 120, 180]);
        assert_eq!(drops(80, &recipe), [25, 50, 75]);
        assert_eq!(drops(65, &recipe), [20, 40, 60]);
        assert_eq!(drops(50, &recipe), [15, 30, 45]);
        assert_eq!(drops(35, &recipe), [10, 20, 30]);
        assert_eq!(drops(34, &recipe), [10, 20, 30]);
        assert_eq!(drops(20, &recipe), [6, 12, 18]);
        assert_eq!(drops(3, &recipe), [1, 2]);
        assert_eq!(drops(1, &recipe), [0u32; 0]);
    }

    #[test]
    fn the_recipe_may_name_its_drops_and_late_ones_fall_away() {
        let every = Recipe { drop_every: Some(7), ..Recipe::default() };
        assert_eq!(drops(20, &every), [7, 14]);
        let named = Recipe { drop_epochs: Some(vec![3, 19, 20, 30]), ..Recipe::default() };
        assert_eq!(drops(20, &named), [3, 19]);
        let constant = Recipe { drop_epochs: Some(Vec::new()), ..Recipe::default() };
        assert_eq!(drops(20, &constant), [0u32; 0]);
    }

    #[test]
    fn the_rate_drops_in_the_epoch_after_the_drop_and_goes_on_beyond_the_horizon() {
        let schedule = Schedule::new(Epoch(20), &Recipe::default());
        let rate = |complete| schedule.learning_rate_after(Epoch(complete));
        assert_eq!(rate(0), 0.1);
        assert_eq!(rate(5), 0.1);
        assert_eq!(rate(6), 0.1 * 0.2);
        assert_eq!(rate(12), 0.1 * 0.2 * 0.2);
        assert_eq!(rate(18), 0.1 * 0.2 * 0.2 * 0.2);
        assert_eq!(rate(500), rate(18));
    }
}
