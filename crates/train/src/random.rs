//! Random streams without state: each is a function of what it is for.
//!
//! ChaCha8 counts blocks from a key, and the key is (seed, purpose, epoch, index): whoever asks for the same key reads the
//! same numbers, in any order, on any thread, before or after a restart.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use study::{Epoch, Seed};

/// What a stream is for; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `index` is the tensor's place in the network.
    InitialWeights = 1,
    BatchOrder = 2,
    /// `index` is the image's place in the training split.
    Augmentation = 3,
    /// Numbers for tests and benches.
    Probe = 4,
    /// On which images gradients are compared.
    GradientProbe = 5,
    /// The order that the images of a folder are given once for all.
    FolderOrder = 6,
}

/// The stream of one key. `epoch` is the number of epochs complete when it is used.
pub fn stream(seed: Seed, purpose: Purpose, epoch: Epoch, index: u64) -> Stream {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&seed.0.to_le_bytes());
    key[4] = purpose as u8;
    key[8..12].copy_from_slice(&epoch.0.to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    Stream(ChaCha8Rng::from_seed(key))
}

pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Uniform in [0, 1), in steps of 2⁻²⁴.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// Standard normal (Box & Muller 1958), computed in double precision.
    pub fn normal(&mut self) -> f32 {
        let scale = 1.0 / (1u64 << 32) as f64;
        // In (0, 1): its logarithm is finite.
        let radius = (f64::from(self.0.next_u32()) + 0.5) * scale;
        let angle = f64::from(self.0.next_u32()) * scale * std::f64::consts::TAU;
        ((-2.0 * radius.ln()).sqrt() * angle.cos()) as f32
    }

    /// Uniform among `0..n`, without bias (Lemire 2019). `n` is at least 1.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "there is no number below 0");
        let reject = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.0.next_u32()) * u64::from(n);
            if product as u32 >= reject {
                return (product >> 32) as u32;
            }
        }
    }

    /// Every order is equally likely (Fisher & Yates).
    pub fn shuffle(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u32, purpose: Purpose, epoch: u32, index: u64) -> [u32; 4] {
        let mut stream = stream(Seed(seed), purpose, Epoch(epoch), index);
        std::array::from_fn(|_| stream.below(u32::MAX))
    }

    #[test]
    fn one_key_one_stream() {
        let streams = [
            first(1, Purpose::Augmentation, 2, 3),
            first(2, Purpose::Augmentation, 2, 3),
            first(1, Purpose::BatchOrder, 2, 3),
            first(1, Purpose::InitialWeights, 2, 3),
            first(1, Purpose::Augmentation, 3, 3),
            first(1, Purpose::Augmentation, 3, 2),
            first(1, Purpose::Augmentation, 2, 4),
            first(1, Purpose::Augmentation, 2, 3 + (1 << 32)),
        ];
        assert_eq!(streams[0], first(1, Purpose::Augmentation, 2, 3));
        for (index, own) in streams.iter().enumerate() {
            for other in &streams[..index] {
                assert!(own.iter().zip(other).all(|(own, other)| own != other), "{own:?} {other:?}");
            }
        }
    }

    /// Every training hangs on these numbers: `study::TRAINING_VERSION` moves with them.
    #[test]
    fn a_stream_never_changes() {
        let mut stream = stream(Seed(7), Purpose::BatchOrder, Epoch(5), 11);
        let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
        let uniform = [stream.uniform(), stream.uniform()];
        let normal = [stream.normal(), stream.normal()];
        let below = [stream.below(10), stream.below(1000)];
        stream.shuffle(&mut items);
        assert_eq!(
            format!("{uniform:?} {normal:?} {below:?} {items:?}"),
            "[0.8250483, 0.39451993] [1.0972117, -0.2182901] [6, 864] [1, 4, 2, 7, 0, 5, 6, 3]"
        );
    }

    #[test]
    fn numbers_have_their_distributions() {
        let mut stream = stream(Seed(0), Purpose::Probe, Epoch(0), 0);
        let n = 100_000;
        let normal: Vec<f64> = (0..n).map(|_| f64::from(stream.normal())).collect();
        let mean = normal.iter().sum::<f64>() / n as f64;
        let variance = normal.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "mean {mean}, variance {variance}");
        let mut counts = [0u32; 7];
        (0..n).for_each(|_| counts[stream.below(7) as usize] += 1);
        assert!(counts.iter().all(|count| (13_700..14_900).contains(count)), "{counts:?}");
        assert!((0..n).map(|_| stream.uniform()).all(|x| (0.0..1.0).contains(&x)));
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..1000).collect();
        stream(Seed(0), Purpose::BatchOrder, Epoch(0), 0).shuffle(&mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
    }
}
