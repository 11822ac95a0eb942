//! A segment's name: a hash over everything that decides its bits, written out by hand so that it depends on no
//! serialiser and on no way of printing a number.

use crate::{
    Architecture, Augmentation, CheckpointId, Epoch, Numerics, Optimizer, RunId, Schedule, SegmentKey, Start,
    TRAINING_VERSION, Term, sharing::Ground,
};

/// What a segment trains, apart from where it ends and who looks on. `seed` counts at the initialisation only: a
/// checkpoint's key has it already.
pub(crate) struct Content<'a> {
    pub seed: crate::Seed,
    pub start: &'a Start,
    pub architecture: Architecture,
    pub schedule: &'a Schedule,
    pub terms: &'a [(f64, Term<CheckpointId>)],
    pub optimizer: Optimizer,
    pub ground: &'a Ground,
    /// By which the views of images are drawn, where that is not the training's own.
    pub augmentation_seed: Option<crate::Seed>,
}

/// The layout of these bytes must never change without a new first line: stored trainings are found by it. Each choice
/// begins with its own tag and texts carry their length, so that no two contents have the same bytes.
pub(crate) fn segment_key(content: &Content<'_>) -> SegmentKey {
    let mut bytes = Bytes(Vec::with_capacity(512));
    bytes.text("stillroom segment 1");
    bytes.number(TRAINING_VERSION);
    match content.start {
        Start::Initialisation => {
            bytes.tag(0);
            bytes.number(content.seed.0);
        }
        Start::Checkpoint(checkpoint) => {
            bytes.tag(1);
            bytes.checkpoint(checkpoint);
        }
        Start::Imported(weights) => {
            bytes.tag(2);
            bytes.text(&weights.to_string());
        }
    }
    match content.architecture {
        Architecture::WideResNet { depth, width } => {
            bytes.tag(0);
            bytes.number(depth);
            bytes.number(width);
        }
        Architecture::ResNet { depth, width } => {
            bytes.tag(1);
            bytes.number(depth);
            bytes.number(width);
        }
        Architecture::DenseNet { depth, growth } => {
            bytes.tag(2);
            bytes.number(depth);
            bytes.number(growth);
        }
        Architecture::ImageNetResNet { depth } => {
            bytes.tag(3);
            bytes.number(depth);
        }
        Architecture::DenseNetBc { depth, growth } => {
            bytes.tag(4);
            bytes.number(depth);
            bytes.number(growth);
        }
    }
    let Schedule { horizon, drops, learning_rate, decay } = content.schedule;
    bytes.epoch(*horizon);
    bytes.length(drops.len());
    drops.iter().for_each(|drop| bytes.epoch(*drop));
    bytes.real(*learning_rate);
    bytes.real(*decay);
    bytes.length(content.terms.len());
    for (weight, term) in content.terms {
        bytes.real(*weight);
        match term {
            Term::CrossEntropy => bytes.tag(0),
            Term::Kd { teacher, temperature } => {
                bytes.tag(1);
                bytes.checkpoint(teacher);
                bytes.real(*temperature);
            }
            Term::StandardisedKd { teacher, temperature } => {
                bytes.tag(2);
                bytes.checkpoint(teacher);
                bytes.real(*temperature);
            }
            Term::Attention { teacher } => {
                bytes.tag(3);
                bytes.checkpoint(teacher);
            }
            Term::Dkd { teacher, temperature, target_weight, non_target_weight, warm_up } => {
                bytes.tag(4);
                bytes.checkpoint(teacher);
                [temperature, target_weight, non_target_weight].iter().for_each(|real| bytes.real(**real));
                // Counted from the student's own first epoch: the segment's start, which is in here, says where in it that is.
                bytes.epoch(*warm_up);
            }
            Term::Dist { teacher, temperature, between_weight, within_weight } => {
                bytes.tag(5);
                bytes.checkpoint(teacher);
                [temperature, between_weight, within_weight].iter().for_each(|real| bytes.real(**real));
            }
        }
    }
    match content.optimizer {
        Optimizer::Sgd { momentum, weight_decay } => {
            bytes.tag(0);
            bytes.real(momentum);
            bytes.real(weight_decay);
        }
        Optimizer::Dot { momentum, weight_decay, momentum_difference } => {
            bytes.tag(1);
            bytes.real(momentum);
            bytes.real(weight_decay);
            bytes.real(momentum_difference);
        }
    }
    bytes.number(content.ground.batch_size);
    bytes.tag(match content.ground.augmentation {
        Augmentation::None => 0,
        Augmentation::Crop => 1,
        Augmentation::CropFlip => 2,
    });
    let dataset = &content.ground.dataset;
    bytes.text(&dataset.checksum);
    bytes.number(dataset.train);
    bytes.number(dataset.validation);
    bytes.number(dataset.test);
    bytes.tag(match content.ground.numerics.of(content.architecture) {
        Numerics::CpuF32 => 0,
        Numerics::CandleF32 => 1,
    });
    // Nothing stands here where it is the training's own: keys from before there was a choice stay what they were.
    if let Some(seed) = content.augmentation_seed {
        bytes.text("augmentation seed");
        bytes.number(seed.0);
    }
    SegmentKey(bytes.digest(32))
}

/// A run is known by where it ends.
pub(crate) fn run_id(last: &SegmentKey, end: Epoch) -> RunId {
    let mut bytes = Bytes(Vec::new());
    bytes.text("stillroom run 1");
    bytes.text(&last.0);
    bytes.epoch(end);
    RunId(bytes.digest(16))
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn tag(&mut self, tag: u8) {
        self.0.push(tag);
    }
    fn number(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }
    fn real(&mut self, real: f64) {
        self.0.extend(real.to_bits().to_le_bytes());
    }
    fn length(&mut self, length: usize) {
        self.0.extend((length as u64).to_le_bytes());
    }
    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend(text.as_bytes());
    }
    fn epoch(&mut self, epoch: Epoch) {
        self.number(epoch.0);
    }
    fn checkpoint(&mut self, checkpoint: &CheckpointId) {
        self.text(&checkpoint.segment.0);
        self.epoch(checkpoint.epoch);
    }
    /// The first `digits` hexadecimal digits of the hash.
    fn digest(&self, digits: usize) -> String {
        blake3::hash(&self.0).to_hex()[..digits].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AugmentationSeed, Dataset, DatasetFacts, Seed};
    use std::collections::BTreeSet;

    #[test]
    fn every_number_of_an_optimizer_is_in_the_key() {
        let dataset = DatasetFacts {
            dataset: Dataset::FashionMnist12k,
            checksum: "d".repeat(64),
            classes: 10,
            channels: 1,
            image_size: 28,
            train: 10_000,
            validation: 2_000,
            test: 10_000,
        };
        let ground = Ground {
            dataset,
            numerics: Numerics::CpuF32,
            batch_size: 128,
            augmentation: Augmentation::CropFlip,
            augmentation_seed: AugmentationSeed::Own,
        };
        let schedule = Schedule { horizon: Epoch(20), drops: vec![Epoch(6)], learning_rate: 0.1, decay: 0.2 };
        let key = |optimizer| {
            segment_key(&Content {
                seed: Seed(0),
                start: &Start::Initialisation,
                architecture: Architecture::WideResNet { depth: 10, width: 1 },
                schedule: &schedule,
                terms: &[(1.0, Term::CrossEntropy)],
                optimizer,
                ground: &ground,
                augmentation_seed: None,
            })
        };
        let dot = |momentum, weight_decay, momentum_difference| {
            key(Optimizer::Dot { momentum, weight_decay, momentum_difference })
        };
        let keys: BTreeSet<_> = [
            key(Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 }),
            dot(0.9, 0.0, 0.0),
            dot(0.9, 0.0, 0.075),
            dot(0.9, 5e-4, 0.075),
            dot(0.8, 5e-4, 0.075),
        ]
        .into();
        assert_eq!(keys.len(), 5);
    }
}
