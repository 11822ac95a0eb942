//! Bytes that are read in memory, whoever holds them there.

use std::{
    fmt,
    ops::{Deref, Range},
    sync::Arc,
};

/// Bytes of this process, or part of a file that is mapped by all who use it. Cloning and taking a part copies nothing.
#[derive(Clone)]
pub struct Bytes {
    all: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl Bytes {
    pub fn of(all: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Bytes {
        let range = 0..(*all).as_ref().len();
        Bytes { all, range }
    }

    /// # Panics
    /// Where `range` does not lie within these bytes.
    pub fn part(&self, range: Range<usize>) -> Bytes {
        assert!(range.start <= range.end && range.end <= self.range.len(), "a part lies within the whole");
        Bytes { all: Arc::clone(&self.all), range: self.range.start + range.start..self.range.start + range.end }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::of(Arc::new(bytes))
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Vec::new().into()
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &(*self.all).as_ref()[self.range.clone()]
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_part_is_counted_from_its_own_beginning() {
        let bytes = Bytes::from((0..10).collect::<Vec<u8>>());
        let part = bytes.part(2..8);
        assert_eq!(part[..], [2, 3, 4, 5, 6, 7]);
        assert_eq!(part.part(1..3)[..], [3, 4]);
        assert!(part.part(6..6).is_empty());
    }

    #[test]
    #[should_panic(expected = "within the whole")]
    fn a_part_does_not_reach_beyond_its_whole() {
        Bytes::from(vec![0; 10]).part(2..8).part(5..7);
    }
}
