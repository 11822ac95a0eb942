//! Epochs that were read lately. Of a study's tens of thousands a worker changes one now and then: a reader reads again only the segments
//! that were written since.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use study::{KnownEpochs, SegmentKey};

/// What readers of one database share. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Lately {
    inner: Arc<Mutex<Inner>>,
    /// Epochs that are kept at most; those of the segments that were not asked for longest go first.
    epochs_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    read: BTreeMap<SegmentKey, Read>,
    epochs: usize,
    /// Counts readings and writings.
    time: u64,
    /// When segments were last written to, and how many are at it.
    written: BTreeMap<SegmentKey, Written>,
}

#[derive(Debug)]
struct Read {
    epochs: KnownEpochs,
    asked_for: u64,
}

#[derive(Debug, Default)]
struct Written {
    last: u64,
    now: usize,
}

/// A moment after which a reader looks at the database, to tell what was written meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Moment(u64);

impl Lately {
    pub fn new(epochs_max: usize) -> Lately {
        Lately { inner: Arc::default(), epochs_max }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in it is half done at a panic: what panics holds no lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of these segments, as of now.
    pub fn read(&self, keys: &[&SegmentKey]) -> (Moment, BTreeMap<SegmentKey, KnownEpochs>) {
        let mut inner = self.inner();
        inner.time += 1;
        let now = inner.time;
        let known = keys.iter().filter_map(|key| {
            let read = inner.read.get_mut(*key)?;
            read.asked_for = now;
            Some(((*key).clone(), read.epochs.clone()))
        });
        (Moment(now), known.collect())
    }

    /// Leaves what nobody wrote to since a moment, or is writing to: a reader whose look at the database began after that moment sees
    /// the same there.
    pub fn retain_unwritten(&self, known: &mut BTreeMap<SegmentKey, KnownEpochs>, since: Moment) {
        let inner = self.inner();
        known.retain(|key, _| inner.is_unwritten(key, since));
    }

    /// Keeps what a reader found whose look at the database began after a moment, unless it is older than what is there by now.
    pub fn keep(&self, found: impl IntoIterator<Item = (SegmentKey, KnownEpochs)>, since: Moment) {
        let mut inner = self.inner();
        for (key, epochs) in found {
            if inner.is_unwritten(&key, since) {
                inner.epochs += epochs.len();
                let before = inner.read.insert(key, Read { epochs, asked_for: since.0 });
                inner.epochs -= before.map_or(0, |read| read.epochs.len());
            }
        }
        while inner.epochs > self.epochs_max {
            let Some(key) = inner.read.iter().min_by_key(|(_, read)| read.asked_for).map(|(key, _)| key.clone()) else {
                break;
            };
            inner.forget(&key);
        }
    }

    /// To be held while what was written of these segments becomes what readers see.
    pub fn write<'a>(&'a self, keys: &'a [SegmentKey]) -> Writing<'a> {
        let mut inner = self.inner();
        for key in keys {
            inner.forget(key);
            inner.written.entry(key.clone()).or_default().now += 1;
        }
        Writing { lately: self, keys }
    }
}

impl Inner {
    fn is_unwritten(&self, key: &SegmentKey, since: Moment) -> bool {
        self.written.get(key).is_none_or(|written| written.now == 0 && written.last < since.0)
    }

    fn forget(&mut self, key: &SegmentKey) {
        if let Some(read) = self.read.remove(key) {
            self.epochs -= read.epochs.len();
        }
    }
}

/// A change of the database under way.
pub(crate) struct Writing<'a> {
    lately: &'a Lately,
    keys: &'a [SegmentKey],
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut inner = self.lately.inner();
        inner.time += 1;
        let now = inner.time;
        for key in self.keys {
            let written = inner.written.entry(key.clone()).or_default();
            written.now -= 1;
            written.last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::{Epoch, EpochMetrics, Scores};

    fn key(name: &str) -> SegmentKey {
        SegmentKey(name.into())
    }

    fn epochs(count: u32) -> KnownEpochs {
        let scores = Scores { cross_entropy: 1.0, accuracy: 0.5, calibration_error: None };
        let epoch = |epoch| EpochMetrics {
            epoch: Epoch(epoch),
            learning_rate: 0.1,
            train: scores,
            train_clean: None,
            validation: None,
            test: None,
            fidelity: Vec::new(),
            seconds: 1.0,
            images_per_second: 1.0,
        };
        (1..=count).map(epoch).collect()
    }

    fn kept(lately: &Lately, names: &[&str]) -> Vec<usize> {
        let keys: Vec<SegmentKey> = names.iter().copied().map(key).collect();
        let known = lately.read(&keys.iter().collect::<Vec<_>>()).1;
        keys.iter().map(|key| known.get(key).map_or(0, |epochs| epochs.len())).collect()
    }

    #[test]
    fn what_is_written_while_somebody_reads_is_neither_kept_nor_taken() {
        let lately = Lately::new(100);
        let both = [key("a"), key("b")];
        let (moment, known) = lately.read(&both.iter().collect::<Vec<_>>());
        assert!(known.is_empty());
        let writing = lately.write(&both[..1]);
        lately.keep(both.clone().map(|key| (key, epochs(3))), moment);
        assert_eq!(kept(&lately, &["a", "b"]), [0, 3], "what is being written is not known");
        drop(writing);
        lately.keep([(key("a"), epochs(3))], moment);
        assert_eq!(kept(&lately, &["a", "b"]), [0, 3], "it was read before it was written");

        let (moment, mut known) = lately.read(&both.iter().collect::<Vec<_>>());
        lately.keep([(key("a"), epochs(4))], moment);
        assert_eq!(kept(&lately, &["a", "b"]), [4, 3]);
        drop(lately.write(&both[1..]));
        lately.retain_unwritten(&mut known, moment);
        assert!(known.is_empty(), "what was taken is older than the database by now");
        assert_eq!(kept(&lately, &["a", "b"]), [4, 0]);
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let lately = Lately::new(10);
        for name in ["a", "b", "c"] {
            let (moment, _) = lately.read(&[]);
            lately.keep([(key(name), epochs(4))], moment);
            assert_eq!(kept(&lately, &["a"]), [4]);
        }
        assert_eq!(kept(&lately, &["a", "b", "c"]), [4, 0, 4]);
        let (moment, _) = lately.read(&[]);
        lately.keep([(key("a"), epochs(6))], moment);
        assert_eq!(kept(&lately, &["a", "c"]), [6, 4], "it takes the place of what was there");
        let none = Lately::new(0);
        none.keep([(key("a"), epochs(4))], moment);
        assert_eq!(kept(&none, &["a"]), [0]);
    }
}
