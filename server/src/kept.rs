//! Teachers' logits that are kept for whoever asks next: within their limit, the oldest go first.

use crate::{next_work::is_done, wanted::Wanted};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};
use study::{
    CheckpointId, Facts, Job, Segment,
    cost::bytes_in_words,
    teacher_logits::{TeacherLogits, teacher_logits_of, teachers},
};
use train::folder::teacher_logits_path;

/// Tables of the teachers that somebody is still to learn from. What is done counts too: it filled the table.
pub fn tables(wanted: &[Wanted], facts: &Facts, limit: u64) -> Vec<TeacherLogits> {
    let is_left = |wanted: &&Wanted| {
        let Wanted { segment, evaluate_test, .. } = wanted;
        !facts.get(&segment.key).is_some_and(|facts| is_done(segment, *evaluate_test, facts))
    };
    let segments = || wanted.iter().map(|wanted| &wanted.segment);
    let left = wanted.iter().filter(is_left);
    let teach: BTreeSet<&CheckpointId> = left.flat_map(|wanted| teachers(&wanted.segment)).collect();
    let learns = |segment: &&Segment| teachers(segment).iter().any(|teacher| teach.contains(teacher));
    teacher_logits_of(segments().filter(learns), segments(), limit)
}

/// Makes room for the tables of `jobs`: workers at work, and the one that is to start. Where that cannot be done, too much is kept
/// for a while.
pub fn make_room<'a>(data_dir: &Path, limit: u64, tables: &[TeacherLogits], jobs: impl Iterator<Item = &'a Job>) {
    let in_use: BTreeSet<CheckpointId> = jobs.flat_map(|job| job.teacher_logits.iter().cloned()).collect();
    let needed = tables.iter().filter(|table| in_use.contains(&table.teacher)).map(|table| table.bytes).sum();
    match remove_oldest(&teacher_logits_path(data_dir), limit, needed, &in_use) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "the oldest of teachers' logits make room"),
        Err(error) => tracing::warn!(%error, "teachers' logits that nobody uses could not be removed"),
    }
}

/// Looks how many bytes teachers' logits take, and says so at every tenth of the limit.
pub fn weigh(data_dir: &Path, limit: u64, shown: &AtomicU64) {
    // What cannot be looked at now is shown as it was.
    let Ok(now) = bytes(&teacher_logits_path(data_dir)) else { return };
    let before = shown.swap(now, Ordering::Relaxed);
    let tenths = |bytes: u64| bytes / (limit / 10).max(1);
    if tenths(now) != tenths(before) {
        tracing::info!("teachers' logits kept: {} of {}", bytes_in_words(now), bytes_in_words(limit));
    }
}

/// A file of the folder of teachers' logits.
struct Table {
    path: PathBuf,
    /// That it takes on the disk now.
    bytes: u64,
    /// When a worker opened it or wrote to it last.
    used: SystemTime,
}

/// Bytes that a folder of tables takes on the disk; 0 where there is none.
fn bytes(folder: &Path) -> io::Result<u64> {
    Ok(files(folder)?.iter().map(|table| table.bytes).sum())
}

/// Removes the tables that were not used for longest, until what is left of those that nobody uses leaves `needed` of `limit` bytes
/// to those of the teachers `in_use`. Returns how many were removed. Who has a removed file open keeps it until it is through.
fn remove_oldest(folder: &Path, limit: u64, needed: u64, in_use: &BTreeSet<CheckpointId>) -> io::Result<usize> {
    let is_in_use =
        |table: &Table| train::teacher_logits::teacher_of(&table.path).is_some_and(|it| in_use.contains(&it));
    let mut idle: Vec<Table> = files(folder)?.into_iter().filter(|table| !is_in_use(table)).collect();
    idle.sort_by_key(|table| table.used);
    let mut kept: u64 = idle.iter().map(|table| table.bytes).sum();
    let mut removed = 0;
    for table in idle {
        if kept.saturating_add(needed) <= limit {
            break;
        }
        fs::remove_file(&table.path)?;
        kept -= table.bytes;
        removed += 1;
    }
    Ok(removed)
}

fn files(folder: &Path) -> io::Result<Vec<Table>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut tables = Vec::new();
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => {
                let used = metadata.modified()?;
                // In blocks of 512 bytes, whatever the file system's own are.
                tables.push(Table { path: entry.path(), bytes: 512 * metadata.blocks(), used });
            }
            Ok(_) => {}
            // Renamed or removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use study::{Epoch, SegmentKey};

    fn teacher(name: &str) -> CheckpointId {
        CheckpointId { segment: SegmentKey(name.into()), epoch: Epoch(8) }
    }

    /// A file as a table begins, `age` seconds old.
    fn table(folder: &Path, name: &str, age: u64) {
        let mut bytes = serde_json::to_vec(&serde_json::json!({ "teacher": teacher(name) })).expect("JSON");
        bytes.resize(100_000, 0);
        let path = folder.join(name);
        fs::write(&path, bytes).expect("it is written");
        let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age)).expect("it is older");
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_that_nobody_uses_go_first_and_only_as_many_as_must() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        for (name, age) in [("young", 1), ("oldest", 9), ("used", 8), ("old", 7)] {
            table(folder, name, age);
        }
        let one = bytes(folder).expect("a size") / 4;
        assert!((100_000..200_000).contains(&one), "{one}");
        let in_use = BTreeSet::from([teacher("used")]);
        let remove = |limit, needed| remove_oldest(folder, limit, needed, &in_use).expect("a folder");
        assert_eq!(remove(4 * one, one), 0);
        assert_eq!((remove(3 * one, one), names(folder)), (1, vec!["old".into(), "used".into(), "young".into()]));
        assert_eq!((remove(2 * one, one), names(folder)), (1, vec!["used".into(), "young".into()]));
        assert_eq!((remove(0, one), names(folder)), (1, vec!["used".into()]));
        fs::write(folder.join("what a killed worker left"), b"").expect("it is written");
        assert_eq!((remove(0, one), names(folder)), (1, vec!["used".into()]));
        assert_eq!(bytes(&folder.join("nowhere")).expect("no folder is no error"), 0);
    }
}
