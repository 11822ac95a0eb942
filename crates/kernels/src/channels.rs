//! Which of the channels in whole blocks are a network's own.

use crate::buffer::BLOCK;

/// Where channels lie in a whole number of blocks. Channels come side by side, but for those that are appended so many at a time:
/// each time they begin a block of their own. What is left of a last block stays zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    pub(crate) count: usize,
    /// So many lie side by side; the others were appended.
    first: usize,
    /// So many at a time.
    growth: usize,
}

impl Channels {
    /// All of them, from the first place on.
    pub(crate) fn side_by_side(count: usize) -> Self {
        Channels { count, first: count, growth: 1 }
    }

    /// After `first` channels `growth` channels appended so many `times`.
    pub(crate) fn grown(first: usize, growth: usize, times: usize) -> Self {
        Channels { count: first + growth * times, first, growth }
    }

    /// All that they take up, zeros and all. An image's own channels, which take up no blocks, are not asked for this.
    pub(crate) fn padded(&self) -> usize {
        self.first.next_multiple_of(BLOCK)
            + (self.count - self.first) / self.growth * self.growth.next_multiple_of(BLOCK)
    }

    /// Where a channel lies, counted from 0.
    pub(crate) fn place(&self, channel: usize) -> usize {
        let Some(appended) = channel.checked_sub(self.first) else { return channel };
        self.first.next_multiple_of(BLOCK)
            + appended / self.growth * self.growth.next_multiple_of(BLOCK)
            + appended % self.growth
    }

    /// Where each lies.
    pub(crate) fn places(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |channel| self.place(channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_begins_blocks_of_its_own() {
        assert_eq!(Channels::side_by_side(48).places().collect::<Vec<_>>(), (0..48).collect::<Vec<_>>());
        assert_eq!(Channels::side_by_side(24).padded(), 32);
        let narrow = Channels::grown(16, 12, 2);
        assert_eq!((narrow.count, narrow.padded()), (40, 48));
        let expected: Vec<usize> = (0..28).chain(32..44).collect();
        assert_eq!(narrow.places().collect::<Vec<_>>(), expected);
        // After a block that is not full.
        let halved = Channels::grown(60, 12, 2);
        assert_eq!((halved.count, halved.padded()), (84, 96));
        let expected: Vec<usize> = (0..60).chain(64..76).chain(80..92).collect();
        assert_eq!(halved.places().collect::<Vec<_>>(), expected);
        let wide = Channels::grown(0, 24, 1);
        assert_eq!((wide.count, wide.padded(), wide.place(23)), (24, 32, 23));
        assert_eq!(Channels::grown(32, 48, 2).padded(), 128);
    }
}
