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
        let _ = (epochs, recipe);
        todo!()
    }

    /// The learning rate of the epoch that follows `complete` epochs.
    pub fn learning_rate_after(&self, complete: Epoch) -> f64 {
        let _ = complete;
        todo!()
    }
}
