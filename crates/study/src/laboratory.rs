//! What a laboratory holds: its studies and its shared links, by name, and what several studies ask of one segment.

use crate::{Epoch, Report, Segment, State};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, num::ParseIntError, str::FromStr};

/// Names a study of this laboratory. Counted up and never given twice, so that the address of a deleted study leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StudyId(pub u64);

/// Names a shared link in its owner's list. It opens nothing: the link itself holds a token that only its receivers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShareId(pub u64);

impl fmt::Display for StudyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for StudyId {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(StudyId)
    }
}

impl FromStr for ShareId {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(ShareId)
    }
}

/// A link to a frozen comparison, as its owner sees it. Times are seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub id: ShareId,
    /// The study it was frozen from; `None` once that was deleted: the link outlives it.
    pub study: Option<StudyId>,
    /// The study's title when it was frozen.
    pub title: String,
    pub created_at: i64,
    /// From this second on it opens nothing; `None`: it never expires.
    pub expires_at: Option<i64>,
    /// `None` unless its owner took it back.
    pub revoked_at: Option<i64>,
    /// `None`: nobody has opened it yet.
    pub last_opened_at: Option<i64>,
}

impl Share {
    /// Whether the link still opens at `now`.
    pub fn is_open(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// A study that was trained beforehand, in the list of examples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleCard {
    /// Names it in addresses and files: its question in small letters, "when-should-distillation-stop".
    pub name: String,
    pub title: String,
    pub answer: String,
}

/// A study in the list of studies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyCard {
    pub id: StudyId,
    /// The question.
    pub title: String,
    /// Seconds since 1970-01-01 UTC.
    pub created_at: i64,
    pub state: State,
    /// Epochs of its plan that are trained, each shared one once.
    pub epochs_done: u64,
    pub epochs_total: u64,
    pub arms: u64,
    pub runs: u64,
    /// The answer in a sentence, or what is still missing.
    pub answer: String,
}

impl StudyCard {
    /// The card of the study whose page is `report`.
    pub fn new(id: StudyId, created_at: i64, report: &Report) -> StudyCard {
        StudyCard {
            id,
            title: report.study.title.clone(),
            created_at,
            state: report.progress.state,
            epochs_done: report.progress.epochs_done,
            epochs_total: report.progress.epochs_total,
            arms: report.arms.len() as u64,
            runs: report.runs,
            answer: report.comparison.answer.clone(),
        }
    }
}

/// One training that gives every study what it asks of a segment: until the furthest epoch, with everyone's stops, ends and
/// observers. `asked` holds the same segment as several studies planned it; others than the first one's key are passed over.
/// The order in which they are given does not matter: observers are sorted by teacher and temperature. `None` if nobody asks.
pub fn merge<'a>(asked: impl IntoIterator<Item = &'a Segment>) -> Option<Segment> {
    let mut asked = asked.into_iter();
    let first = asked.next()?;
    let mut merged = first.clone();
    for segment in asked.filter(|segment| segment.key == first.key) {
        merged.until = merged.until.max(segment.until);
        merged.stops.extend(&segment.stops);
        merged.ends.extend(&segment.ends);
        merged.observers.extend(segment.observers.iter().cloned());
    }
    merged.observers.sort_by(|a, b| a.teacher.cmp(&b.teacher).then_with(|| a.temperature.total_cmp(&b.temperature)));
    merged.observers.dedup();
    Some(merged)
}

/// The segment to train now: what the studies that go on ask for together ([`merge`]). Where a study that was stopped by a
/// person would stop or end on that way, its checkpoints are kept too, so that resuming it trains nothing twice; it
/// lengthens nothing and brings no observers, whose teachers nobody may be training. `None` if no study that goes on asks.
pub fn merge_active<'a>(
    active: impl IntoIterator<Item = &'a Segment>,
    stopped: impl IntoIterator<Item = &'a Segment>,
) -> Option<Segment> {
    let mut merged = merge(active)?;
    let (key, until) = (merged.key.clone(), merged.until);
    let on_the_way = |epochs: &'a BTreeSet<Epoch>| epochs.iter().copied().filter(move |epoch| *epoch <= until);
    for segment in stopped.into_iter().filter(|segment| segment.key == key) {
        merged.stops.extend(on_the_way(&segment.stops));
        merged.ends.extend(on_the_way(&segment.ends));
    }
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Architecture, Augmentation, CheckpointId, Dataset, DatasetFacts, Numerics, Observer, Optimizer, Schedule, Seed,
        SegmentKey, Start, Term,
    };
    use proptest::prelude::*;

    fn segment(until: u32, stops: &[u32], ends: &[u32], observers: &[(&str, u32, f64)]) -> Segment {
        Segment {
            key: SegmentKey("5".repeat(32)),
            seed: Seed(0),
            start: Start::Initialisation,
            architecture: Architecture::WideResNet { depth: 10, width: 1 },
            schedule: Schedule { horizon: Epoch(20), drops: vec![Epoch(6)], learning_rate: 0.1, decay: 0.2 },
            terms: vec![(1.0, Term::CrossEntropy)],
            optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 },
            batch_size: 128,
            augmentation: Augmentation::CropFlip,
            augmentation_seed: None,
            dataset: DatasetFacts {
                dataset: Dataset::FashionMnist12k,
                checksum: "d".repeat(64),
                classes: 10,
                channels: 1,
                image_size: 28,
                train: 12_000,
                validation: 5_000,
                test: 10_000,
            },
            numerics: Numerics::CpuF32,
            until: Epoch(until),
            stops: stops.iter().copied().map(Epoch).chain([Epoch(until)]).collect(),
            ends: ends.iter().copied().map(Epoch).collect(),
            observers: observers
                .iter()
                .map(|(teacher, epoch, temperature)| Observer {
                    teacher: CheckpointId { segment: SegmentKey((*teacher).into()), epoch: Epoch(*epoch) },
                    temperature: *temperature,
                })
                .collect(),
        }
    }

    #[test]
    fn a_merged_segment_gives_every_study_what_it_asked_for() {
        let short = segment(8, &[4], &[8], &[("b", 20, 4.0)]);
        let long = segment(20, &[8], &[20], &[("a", 8, 16.0), ("a", 8, 4.0), ("b", 20, 4.0)]);
        let merged = merge([&short, &long]);
        let expected = segment(20, &[4, 8], &[8, 20], &[("a", 8, 4.0), ("a", 8, 16.0), ("b", 20, 4.0)]);
        assert_eq!(merged, Some(expected));
        assert_eq!(merge([]), None);
    }

    #[test]
    fn a_segment_with_another_key_is_passed_over() {
        let mut other = segment(20, &[], &[20], &[]);
        other.key = SegmentKey("6".repeat(32));
        let asked = segment(8, &[], &[8], &[]);
        assert_eq!(merge([&asked, &other]), Some(asked));
    }

    #[test]
    fn a_stopped_study_keeps_its_checkpoints_but_lengthens_nothing() {
        let active = segment(8, &[], &[8], &[("a", 8, 4.0)]);
        let stopped = segment(20, &[4, 12], &[4, 20], &[("b", 8, 4.0)]);
        assert_eq!(merge_active([&active], [&stopped]), Some(segment(8, &[4], &[4, 8], &[("a", 8, 4.0)])));
        assert_eq!(merge_active([], [&stopped]), None);
    }

    #[test]
    fn a_share_opens_until_it_expires_or_is_revoked() {
        let share = Share {
            id: ShareId(1),
            study: None,
            title: "Does it help?".into(),
            created_at: 100,
            expires_at: Some(200),
            revoked_at: None,
            last_opened_at: None,
        };
        assert!(share.is_open(199));
        assert!(!share.is_open(200));
        assert!(!Share { revoked_at: Some(150), ..share.clone() }.is_open(160));
        assert!(Share { expires_at: None, ..share }.is_open(i64::MAX));
    }

    #[test]
    fn a_study_is_named_by_a_number_and_by_nothing_else() {
        assert_eq!("17".parse(), Ok(StudyId(17)));
        assert_eq!(StudyId(17).to_string(), "17");
        for wrong in ["", "-1", "1.5", "../1", "1e3", ":id", "18446744073709551616"] {
            assert!(wrong.parse::<StudyId>().is_err(), "{wrong}");
        }
    }

    fn any_segment() -> impl Strategy<Value = Segment> {
        let epochs = || prop::collection::vec(1u32..20, 0..4);
        let observers = prop::collection::vec((prop::sample::select(vec!["a", "b"]), 1u32..4, 1u32..4), 0..4);
        (1u32..20, epochs(), epochs(), observers).prop_map(|(until, stops, ends, observers)| {
            let observers: Vec<_> = observers.iter().map(|(key, epoch, t)| (*key, *epoch, f64::from(*t))).collect();
            segment(until, &stops, &ends, &observers)
        })
    }

    proptest! {
        #[test]
        fn merging_minds_neither_order_nor_grouping_nor_repetition(a in any_segment(), b in any_segment(), c in any_segment()) {
            let all = merge([&a, &b, &c]);
            prop_assert_eq!(&merge([&c, &a, &b]), &all);
            prop_assert_eq!(&merge([&merge([&a, &b]).unwrap(), &c]), &all);
            prop_assert_eq!(&merge([&a, &b, &c, &b]), &all);
        }
    }
}
