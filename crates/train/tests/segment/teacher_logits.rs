//! What teachers say is kept, and changes nothing: no bit of what is trained, whatever lies in the table.

use super::{laboratory::*, taught};
use std::{fs, path::PathBuf, thread};
use study::{Architecture, CheckpointId, Epoch, Job, Seed, Segment};
use train::{
    checkpoint::weights_digest,
    folder::{images_path, teacher_logits_path, weights_path},
    teacher_logits::TeacherLogits,
    worker::{Outcome, work},
};

const IMAGES: u32 = 172;
const VIEWS: u32 = 162;

/// A teacher, and a student that was taught without any table.
struct Taught {
    laboratory: Laboratory,
    teacher: CheckpointId,
    expected: PathBuf,
}

impl Taught {
    fn new() -> Taught {
        let laboratory = Laboratory::new();
        let mut teacher = Segment { key: key("teacher"), seed: Seed(7), ..laboratory.segment.clone() };
        teacher.architecture = Architecture::WideResNet { depth: 10, width: 2 };
        laboratory.train(&teacher);
        let teacher = CheckpointId { segment: teacher.key, epoch: Epoch(3) };
        let expected = laboratory.train(&taught(&laboratory, "expected", &teacher));
        Taught { laboratory, teacher, expected }
    }

    fn shared(&self) -> PathBuf {
        self.laboratory.root.path().join("shared")
    }

    fn job(&self, name: &str) -> Job {
        let shared = self.shared().to_str().unwrap().to_owned();
        let job = self.laboratory.job(&taught(&self.laboratory, name, &self.teacher));
        Job { shared_folder: Some(shared), teacher_logits: vec![self.teacher.clone()], ..job }
    }

    /// Trains the same student with the table as it is found, and looks whether it came to the same.
    #[track_caller]
    fn train(&self, name: &str) -> PathBuf {
        let folder = self.laboratory.ask(&self.job(name));
        assert_eq!(work(&folder).unwrap(), Outcome::Finished);
        for epoch in [1, 2] {
            assert_same_end(&folder, &self.expected, epoch);
        }
        folder
    }

    fn table(&self) -> TeacherLogits {
        let home = self.laboratory.root.path().join("segments").join(&self.teacher.segment.0);
        let digest = weights_digest(&home, self.teacher.epoch).unwrap();
        let segment = taught(&self.laboratory, "any", &self.teacher);
        TeacherLogits::open(&teacher_logits_path(&self.shared()), &segment, &self.teacher, &digest).unwrap()
    }

    fn file(&self) -> PathBuf {
        let mut files = fs::read_dir(teacher_logits_path(&self.shared())).unwrap();
        let file = files.next().expect("a table").unwrap().path();
        assert!(files.next().is_none(), "one table, and nothing left beside it");
        file
    }
}

/// Slots that hold something, with it.
fn filled(table: &TeacherLogits) -> Vec<(u32, u32, Vec<u32>)> {
    let slots = (0..IMAGES).flat_map(|image| (0..VIEWS).map(move |view| (image, view)));
    let held = |(image, view)| {
        let mut logits = [0.0; 10];
        let known = table.get(image, view, &mut logits);
        known.then(|| (image, view, logits.map(f32::to_bits).to_vec()))
    };
    slots.filter_map(held).collect()
}

/// The teacher's weights, away while `during` lasts: whoever asks for them fails.
fn without_the_network(taught: &Taught, during: impl FnOnce()) {
    let home = taught.laboratory.root.path().join("segments").join(&taught.teacher.segment.0);
    let weights = weights_path(&home, taught.teacher.epoch);
    let away = weights.with_extension("away");
    fs::rename(&weights, &away).unwrap();
    during();
    fs::rename(&away, &weights).unwrap();
}

#[test]
fn the_same_bits_with_an_empty_a_full_a_half_filled_and_a_damaged_table() {
    let taught = Taught::new();
    taught.train("with an empty one");
    let full = filled(&taught.table());
    // Two epochs drew two views of each image, now and then the same; and 128 were looked at as they are.
    assert!((300 + 120..=344 + 128).contains(&full.len()), "{}", full.len());
    without_the_network(&taught, || drop(taught.train("with a full one")));
    assert_eq!(filled(&taught.table()), full);

    // Every other slot is emptied, and every seventh has a bit that changed; the header stays.
    let file = taught.file();
    let mut bytes = fs::read(&file).unwrap();
    for (index, (image, view, _)) in full.iter().enumerate() {
        let slot = 4096 + (image * VIEWS + view) as usize * 44;
        match index % 7 {
            3 => bytes[slot + index % 44] ^= 1 << (index % 8),
            _ if index % 2 == 0 => bytes[slot..slot + 44].fill(0),
            _ => {}
        }
    }
    fs::write(&file, &bytes).unwrap();
    let left = filled(&taught.table());
    assert!(left.len() < full.len() / 2 + full.len() / 10 && left.iter().all(|slot| full.contains(slot)));
    taught.train("with a damaged one");
    assert_eq!(filled(&taught.table()), full);

    // Another file in its place is no table.
    fs::write(&file, b"stillroom").unwrap();
    taught.train("with none");
    assert_eq!(filled(&taught.table()), full);
    assert!(fs::read_dir(images_path(&taught.shared())).unwrap().count() == 1, "the images lie there for all");
}

#[test]
fn workers_at_work_at_once_fill_one_table() {
    let taught = Taught::new();
    let names = ["one", "another", "a third"];
    thread::scope(|scope| {
        for name in names {
            let folder = taught.laboratory.ask(&taught.job(name));
            scope.spawn(move || assert_eq!(work(&folder).unwrap(), Outcome::Finished));
        }
    });
    for name in names {
        let folder = taught.laboratory.root.path().join("segments").join(key(name).0);
        assert_same_end(&folder, &taught.expected, 2);
        assert_eq!(notes(&folder), [""; 0]);
    }
    taught.file();
    without_the_network(&taught, || drop(taught.train("from what they kept")));
}

#[test]
fn where_nothing_can_be_kept_it_is_told_and_nothing_else_changes() {
    let taught = Taught::new();
    fs::create_dir(taught.shared()).unwrap();
    fs::write(teacher_logits_path(&taught.shared()), b"a file where the folder would be").unwrap();
    let folder = taught.train("without");
    let notes = notes(&folder);
    assert!(matches!(&notes[..], [note] if note.contains("is not kept")), "{notes:?}");
}

#[test]
fn a_teacher_with_other_weights_has_another_table() {
    let taught = Taught::new();
    let segment = super::taught(&taught.laboratory, "any", &taught.teacher);
    let folder = teacher_logits_path(&taught.shared());
    let open =
        |segment: &Segment, digest: &str| TeacherLogits::open(&folder, segment, &taught.teacher, digest).unwrap();
    open(&segment, "one").put(171, 161, &[1.0; 10]).unwrap();
    let known = |table: TeacherLogits| table.get(171, 161, &mut [0.0; 10]);
    assert!(known(open(&segment, "one")) && !known(open(&segment, "other")));
    let mut other = segment.clone();
    other.dataset.checksum = "0".repeat(64);
    assert!(!known(open(&other, "one")));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
}
