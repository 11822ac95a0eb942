//! How much memory the pictures of a data set may take: shares of what the machine has, so that an archive, whatever is in it, does not
//! take down who reads it.

use crate::memory;
use std::sync::{Condvar, Mutex, PoisonError};

/// In bytes. All of it together is no more than the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// What is held of an archive, its pictures as they are packed.
    pub archive: u64,
    /// All squares of a data set: Tiny-ImageNet's take 1.4 GB.
    pub squares: u64,
    /// One picture, unpacked.
    pub picture: u64,
    /// All pictures that are unpacked at one moment, each with the copy that is made of it on its way to a square.
    pub at_once: u64,
}

impl Room {
    /// On this machine.
    pub fn here() -> Room {
        Room::of(memory::bytes())
    }

    /// On a machine with so many bytes of memory; `None`: where that is not known.
    fn of(memory: Option<u64>) -> Room {
        let share = |parts: u64, most: u64| memory.map_or(most, |memory| (memory / parts).min(most));
        Room {
            archive: share(4, 1 << 30),
            squares: share(2, 4 << 30),
            picture: share(8, 256 << 20),
            at_once: share(4, 2 << 30),
        }
    }
}

/// Bytes that threads share: who asks for some waits until others have given back enough.
pub(super) struct Budget {
    left: Mutex<u64>,
    given_back: Condvar,
}

/// Given back when it is dropped.
pub(super) struct Taken<'a> {
    of: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub fn new(bytes: u64) -> Budget {
        Budget { left: Mutex::new(bytes), given_back: Condvar::new() }
    }

    /// Of more bytes than there are altogether it would wait for ever.
    pub fn take(&self, bytes: u64) -> Taken<'_> {
        // A number is whole whatever its last holder was doing.
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = self.given_back.wait_while(left, |left| *left < bytes);
        *enough.unwrap_or_else(PoisonError::into_inner) -= bytes;
        Taken { of: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.of.left.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.of.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    #[test]
    fn all_shares_together_are_no_more_than_there_is() {
        let unknown = Room { archive: 1 << 30, squares: 4 << 30, picture: 256 << 20, at_once: 2 << 30 };
        assert_eq!(Room::of(None), unknown);
        assert_eq!(Room::of(Some(64 << 30)), unknown);
        for memory in [0, 1, 7, 500_000_000, 1 << 30, 2_000_000_001, 4 << 30, 6_000_000_000, 8 << 30] {
            let room = Room::of(Some(memory));
            assert!(room.archive + room.squares + room.at_once <= memory, "{memory}: {room:?}");
            // Or a picture that is allowed would be waited for for ever.
            assert!(2 * room.picture <= room.at_once, "{memory}: {room:?}");
        }
        // Tiny-ImageNet: 110,000 squares of 64 × 64 × 3 out of an archive of 248 MB.
        let small = Room::of(Some(4 << 30));
        assert!(small.squares > 110_000 * 3 * 64 * 64 && small.archive > 250_000_000, "{small:?}");
    }

    #[test]
    fn no_more_is_taken_at_one_moment_than_there_is() {
        let (budget, taken, most) = (Budget::new(10), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for own in [1, 3, 6, 7, 10] {
                let (budget, taken, most) = (&budget, &taken, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let held = budget.take(own);
                        most.fetch_max(taken.fetch_add(own, Ordering::SeqCst) + own, Ordering::SeqCst);
                        taken.fetch_sub(own, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), taken.into_inner()), (10, 0));
        drop(budget.take(10));
    }
}
