//! What is known of a segment's epochs, for as many as look at it.

use crate::EpochMetrics;
use serde::{Deserialize, Serialize};
use std::{
    ops::{Deref, DerefMut},
    slice,
    sync::Arc,
};

/// Epochs of a segment, rising. Clones are one: a study has tens of thousands of epochs, most of which change no more once they were told.
/// Whoever changes a clone makes it another first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<EpochMetrics>", into = "Vec<EpochMetrics>")]
pub struct KnownEpochs(Arc<Vec<EpochMetrics>>);

impl From<Vec<EpochMetrics>> for KnownEpochs {
    fn from(epochs: Vec<EpochMetrics>) -> Self {
        KnownEpochs(Arc::new(epochs))
    }
}

impl From<KnownEpochs> for Vec<EpochMetrics> {
    fn from(epochs: KnownEpochs) -> Self {
        Arc::unwrap_or_clone(epochs.0)
    }
}

impl FromIterator<EpochMetrics> for KnownEpochs {
    fn from_iter<T: IntoIterator<Item = EpochMetrics>>(epochs: T) -> Self {
        Vec::from_iter(epochs).into()
    }
}

impl Deref for KnownEpochs {
    type Target = Vec<EpochMetrics>;

    fn deref(&self) -> &Vec<EpochMetrics> {
        &self.0
    }
}

impl DerefMut for KnownEpochs {
    fn deref_mut(&mut self) -> &mut Vec<EpochMetrics> {
        Arc::make_mut(&mut self.0)
    }
}

impl<'a> IntoIterator for &'a KnownEpochs {
    type Item = &'a EpochMetrics;
    type IntoIter = slice::Iter<'a, EpochMetrics>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut KnownEpochs {
    type Item = &'a mut EpochMetrics;
    type IntoIter = slice::IterMut<'a, EpochMetrics>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}
