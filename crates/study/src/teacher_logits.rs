//! The table of a teacher's logits: what it saves, what it takes, and where it is used.
//!
//! A frozen teacher says the same of one view of one image whenever it is asked. Views are drawn by (seed, image, epoch), so all
//! students that share a seed ask for the same ones, whatever their temperature, weight or network; other seeds and epochs meet
//! them by chance.

use crate::ordered::{map, set};
use crate::{Augmentation, CheckpointId, Numerics, Seed, Segment, SegmentKey, cost::bytes_in_words, numbers};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Padded by 4 pixels on each side, an image can be cropped back in so many ways.
const CROPS: u32 = 9 * 9;

/// In how many ways an image can be seen.
pub fn views(augmentation: Augmentation) -> u32 {
    match augmentation {
        Augmentation::None => 1,
        Augmentation::Crop => CROPS,
        Augmentation::CropFlip => 2 * CROPS,
    }
}

/// Words of 32 bits that a table keeps for one view of one image: its logits and a check word.
pub fn slot_words(classes: u32) -> usize {
    classes as usize + 1
}

/// One teacher, and what a table of its logits would come to. A pass is the teacher's forward pass of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherLogits {
    pub teacher: CheckpointId,
    /// In how many ways an image can be seen.
    pub views: u32,
    /// Epochs whose views are drawn apart from each other, over all seeds.
    pub distinct_epochs: u32,
    /// Passes without a table: one for each image and epoch taught.
    pub passes_without: u64,
    /// Passes with a table, as many as are to be expected.
    pub passes_with: u64,
    /// Of both, those of students that ask for its attention maps: no table has them.
    pub passes_for_maps: u64,
    /// Of a table that is full.
    pub bytes: u64,
    pub usage: Usage,
}

/// Whether a table is used, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    Used,
    /// Too few views would be asked for twice: it saves less than a tenth.
    SavesTooLittle,
    /// The limit is taken up by tables that save more, or is less than this one alone.
    NoRoom,
    /// What this engine says of an image may depend on the images beside it.
    OtherEngine,
    /// All that learn from it ask for its attention maps, which a table of logits does not have.
    NeedsMaps,
}

impl TeacherLogits {
    /// Passes to be expected, with the table where it is used.
    pub fn passes(&self) -> u64 {
        if self.usage == Usage::Used { self.passes_with } else { self.passes_without }
    }
}

/// Every teacher of `segments`, with whether a table of its logits is used where all tables may take `limit` bytes: it must save
/// a tenth of the passes, and what saves most comes first.
pub fn teacher_logits<'a>(segments: impl IntoIterator<Item = &'a Segment>, limit: u64) -> Vec<TeacherLogits> {
    let segments: Vec<&Segment> = segments.into_iter().collect();
    teacher_logits_of(segments.iter().copied(), segments.iter().copied(), limit)
}

/// As [`teacher_logits`], of those segments alone that are `learning`; their teachers' are among `all`.
pub fn teacher_logits_of<'a>(
    learning: impl IntoIterator<Item = &'a Segment>,
    all: impl IntoIterator<Item = &'a Segment>,
    limit: u64,
) -> Vec<TeacherLogits> {
    let numerics: BTreeMap<&SegmentKey, Numerics> =
        map(all.into_iter().map(|segment| (&segment.key, segment.numerics)));
    let mut taught: BTreeMap<&CheckpointId, Taught<'_>> = BTreeMap::new();
    for segment in learning {
        for teacher in teachers(segment) {
            let taught = taught.entry(teacher).or_insert_with(|| Taught {
                of: segment,
                // What is not among them is as those that it teaches.
                numerics: numerics.get(&teacher.segment).copied().unwrap_or(segment.numerics),
                epochs: 0,
                epochs_for_maps: 0,
                drawn: Drawn::default(),
            });
            let epochs = u64::from(segment.until.0 - segment.from().0);
            if segment.needs_attention_maps() {
                taught.epochs_for_maps += epochs;
            } else {
                taught.epochs += epochs;
                taught.drawn.add(segment);
            }
        }
    }
    let mut found: Vec<TeacherLogits> = taught.into_iter().map(|(teacher, taught)| taught.judge(teacher)).collect();
    found.sort_by_key(|it| Reverse(it.passes_without - it.passes_with));
    let mut room = limit;
    for table in found.iter_mut().filter(|table| table.usage == Usage::Used) {
        match room.checked_sub(table.bytes) {
            Some(left) => room = left,
            None => table.usage = Usage::NoRoom,
        }
    }
    found
}

/// The teachers that a segment learns from, each once.
pub fn teachers(segment: &Segment) -> BTreeSet<&CheckpointId> {
    set(segment.terms.iter().filter_map(|(_, term)| term.teacher()))
}

/// What a teacher teaches. `of` is any segment that it teaches: all have the same images and augmentation, which are part of the
/// teacher's own key.
struct Taught<'a> {
    of: &'a Segment,
    /// The teacher's own.
    numerics: Numerics,
    /// Of students that ask for its logits alone.
    epochs: u64,
    epochs_for_maps: u64,
    drawn: Drawn,
}

impl Taught<'_> {
    fn judge(&self, teacher: &CheckpointId) -> TeacherLogits {
        let images = u64::from(self.of.dataset.train);
        let views = views(self.of.augmentation);
        let distinct_epochs = self.drawn.count();
        let passes_without = images * self.epochs;
        let passes_with = (images as f64 * expected_views(views, distinct_epochs)).round() as u64;
        let passes_for_maps = images * self.epochs_for_maps;
        let slot_bytes = (slot_words(self.of.dataset.classes) * size_of::<u32>()) as u64;
        let usage = match self.numerics {
            _ if self.epochs == 0 => Usage::NeedsMaps,
            Numerics::CandleF32 => Usage::OtherEngine,
            Numerics::CpuF32 if passes_with <= passes_without / 10 * 9 => Usage::Used,
            Numerics::CpuF32 => Usage::SavesTooLittle,
        };
        TeacherLogits {
            teacher: teacher.clone(),
            views,
            distinct_epochs,
            passes_without: passes_without + passes_for_maps,
            passes_with: passes_with + passes_for_maps,
            passes_for_maps,
            bytes: images * u64::from(views) * slot_bytes,
            usage,
        }
    }
}

/// Of `views` equally likely ones, how many are seen in `draws` draws.
pub(crate) fn expected_views(views: u32, draws: u32) -> f64 {
    let views = f64::from(views);
    views * (1.0 - (1.0 - 1.0 / views).powf(f64::from(draws)))
}

/// Pairs of seed and epoch whose views were asked for: by seed, stretches of epochs that neither meet nor overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drawn(BTreeMap<Seed, Vec<(u32, u32)>>);

impl Drawn {
    /// Asks for all epochs of a segment; how many of them nobody had asked for.
    pub(crate) fn add(&mut self, segment: &Segment) -> u32 {
        let before = self.count();
        let stretches = self.0.entry(segment.views_seed()).or_default();
        let (mut from, mut until) = (segment.from().0, segment.until.0);
        stretches.retain(|&(start, end)| {
            let apart = end < from || until < start;
            if !apart {
                (from, until) = (from.min(start), until.max(end));
            }
            apart
        });
        stretches.push((from, until));
        self.count() - before
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.values().flatten().map(|(from, until)| until - from).sum()
    }
}

/// The tables that lie on the disk, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub bytes: u64,
    pub limit: u64,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", bytes_in_words(self.bytes), bytes_in_words(self.limit))
    }
}

/// What tables of teachers' logits do for a study, for the person who plans it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// Teachers' forward passes to be expected.
    pub expected: u64,
    /// Without any table.
    pub without: u64,
    /// Of all tables that are used, once they are full.
    pub bytes: u64,
}

/// `None` where nobody teaches.
pub fn passes(teachers: &[TeacherLogits]) -> Option<Passes> {
    let used = teachers.iter().filter(|table| table.usage == Usage::Used);
    (!teachers.is_empty()).then(|| Passes {
        expected: teachers.iter().map(TeacherLogits::passes).sum(),
        without: teachers.iter().map(|table| table.passes_without).sum(),
        bytes: used.map(|table| table.bytes).sum(),
    })
}

/// "Teachers' logits are kept (171 MB on disk): 1.2 million forward passes of teachers are paid instead of 2.9 million.", why they are
/// not where they are not, and what they are of no use for; `None` where nobody teaches.
pub fn in_words(teachers: &[TeacherLogits]) -> Option<String> {
    let Passes { expected, without, bytes } = passes(teachers)?;
    let (used, others): (Vec<_>, Vec<_>) = teachers.iter().partition(|table| table.usage == Usage::Used);
    let unused: Vec<_> = others.into_iter().filter(|table| table.usage != Usage::NeedsMaps).collect();
    let paid = (!used.is_empty()).then(|| {
        format!(
            "Teachers' logits are kept ({} on disk): {} forward passes of teachers are paid instead of {}.",
            bytes_in_words(bytes),
            count(expected),
            count(without)
        )
    });
    // One reason stands for all: they differ in numbers alone, and those that save more come first.
    let why = unused.first().map(|table| {
        let whose = match (used.len(), unused.len()) {
            (0, _) => "Teachers' logits are not kept".to_owned(),
            (_, 1) => "Those of one more teacher are not".to_owned(),
            (_, more) => format!("Those of {more} more teachers are not"),
        };
        format!("{whose}: {}.", table.why_not())
    });
    let for_maps: u64 = teachers.iter().map(|table| table.passes_for_maps).sum();
    let maps = (for_maps > 0).then(|| {
        format!(
            "Attention transfer learns from attention maps too, which are not kept: it asks its teachers' networks at every step, {} \
             forward passes.",
            count(for_maps)
        )
    });
    Some([paid, why, maps].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

impl TeacherLogits {
    fn why_not(&self) -> String {
        match self.usage {
            Usage::Used => "they are".into(),
            Usage::SavesTooLittle => format!(
                "an image is seen in {}, and in {} hardly one of them comes again",
                numbers::counted(self.views.into(), "way"),
                numbers::counted(self.distinct_epochs.into(), "epoch")
            ),
            Usage::NoRoom => {
                format!(
                    "their {} are more than is left of the limit (--teacher-logits-limit)",
                    bytes_in_words(self.bytes)
                )
            }
            Usage::OtherEngine => {
                "only the CPU's own engine says the same of an image whatever stands beside it".into()
            }
            Usage::NeedsMaps => "all that learn from it ask for its attention maps".into(),
        }
    }
}

/// "1.2 million", "36,000".
fn count(passes: u64) -> String {
    match passes {
        0..1_000_000 => numbers::count(passes),
        _ => format!("{:.1} million", passes as f64 / 1e6),
    }
}
