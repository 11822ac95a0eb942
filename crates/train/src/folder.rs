//! A segment's folder: how a worker is told what to do, and how it tells what it did. The folder is the truth about a training;
//! whoever reads it may come and go.
//!
//! ```text
//! segment.json     what to train; written by the runner, renamed into place
//! events.jsonl     what happened, a line each; only the worker appends
//! stop             while it lies there, the worker is asked to leave
//! worker.lock      locked by the worker while it lives
//! checkpoints/     files that are renamed into place whole
//! ```
//!
//! What all workers share lies in a folder that the job names:
//!
//! ```text
//! images/            data sets, unpacked
//! imported/          teachers that were trained elsewhere
//! teacher-logits/    what teachers said of views of images
//! ```

use crate::TrainError;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use study::{CheckpointId, Epoch, Event, Job, WeightsDigest};

pub fn job_path(folder: &Path) -> PathBuf {
    folder.join("segment.json")
}

pub fn events_path(folder: &Path) -> PathBuf {
    folder.join("events.jsonl")
}

pub fn stop_path(folder: &Path) -> PathBuf {
    folder.join("stop")
}

pub fn checkpoints_path(folder: &Path) -> PathBuf {
    folder.join("checkpoints")
}

/// Parameters and running statistics, in the model zoo's names.
pub fn weights_path(folder: &Path, epoch: Epoch) -> PathBuf {
    checkpoint_path(folder, epoch, "safetensors")
}

/// The optimizer's momentum, by the parameters' names.
pub fn optimizer_path(folder: &Path, epoch: Epoch) -> PathBuf {
    checkpoint_path(folder, epoch, "optimizer.safetensors")
}

/// `validation` and `test`: (n, classes) logits, in the data set's order.
pub fn logits_path(folder: &Path, epoch: Epoch) -> PathBuf {
    checkpoint_path(folder, epoch, "logits.safetensors")
}

/// Digests of the files above, as `b3sum` writes and checks them. A checkpoint is there when this file is.
pub fn digests_path(folder: &Path, epoch: Epoch) -> PathBuf {
    checkpoint_path(folder, epoch, "b3sum")
}

fn checkpoint_path(folder: &Path, epoch: Epoch, extension: &str) -> PathBuf {
    checkpoints_path(folder).join(format!("epoch-{:06}.{extension}", epoch.0))
}

/// The folder of the segment that a checkpoint belongs to; segments lie side by side.
pub fn sibling(folder: &Path, checkpoint: &CheckpointId) -> PathBuf {
    folder.parent().unwrap_or(folder).join(&checkpoint.segment.0)
}

/// Data sets, unpacked, in the folder that all workers share.
pub fn images_path(shared: &Path) -> PathBuf {
    shared.join("images")
}

/// The file of a teacher that was trained elsewhere, in the folder that all workers share.
pub fn imported_path(shared: &Path, weights: WeightsDigest) -> PathBuf {
    shared.join("imported").join(format!("{weights}.safetensors"))
}

/// What teachers said, in the folder that all workers share.
pub fn teacher_logits_path(shared: &Path) -> PathBuf {
    shared.join("teacher-logits")
}

/// Says what to train: makes the folder where it is missing, and replaces an earlier job in one step.
pub fn write_job(folder: &Path, job: &Job) -> Result<(), TrainError> {
    make_folder(folder)?;
    let path = job_path(folder);
    let text = serde_json::to_string_pretty(job)
        .map_err(|error| TrainError::Job { path: path.clone(), problem: error.to_string() })?;
    write_whole(&path, text.as_bytes())
}

/// What to train, as [`write_job`] said it.
pub fn read_job(folder: &Path) -> Result<Job, TrainError> {
    let path = job_path(folder);
    let text =
        fs::read_to_string(&path).map_err(|source| TrainError::Io { doing: "read", path: path.clone(), source })?;
    let wrong = |problem: String| TrainError::Job { path: path.clone(), problem };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let version = json.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(Job::VERSION)) {
        let found = version.map_or("none".into(), |version| version.to_string());
        return Err(wrong(format!("has version {found}; this program reads version {}", Job::VERSION)));
    }
    serde_json::from_value(json).map_err(|error| wrong(error.to_string()))
}

/// Asks the worker to leave at its next step. It stays asked until [`clear_request_to_leave`].
pub fn ask_to_leave(folder: &Path) -> Result<(), TrainError> {
    let path = stop_path(folder);
    File::create(&path).map(drop).map_err(|source| TrainError::Io { doing: "write", path, source })
}

/// Whoever starts a worker takes an earlier request back first.
pub fn clear_request_to_leave(folder: &Path) -> Result<(), TrainError> {
    let path = stop_path(folder);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(TrainError::Io { doing: "remove", path, source: error })
        }
        _ => Ok(()),
    }
}

pub fn is_asked_to_leave(folder: &Path) -> bool {
    stop_path(folder).exists()
}

/// Writes a file so that it is there whole or not at all, also after power loss: a temporary file beside it, synced, renamed,
/// and the folder synced. A temporary file that cannot be finished is removed, so that a full disk has that room again.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let temporary = temporary(path);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(source) = written {
        // Only the first error says why.
        let _ = fs::remove_file(&temporary);
        return Err(TrainError::Io { doing: "write", path: path.into(), source });
    }
    fs::rename(&temporary, path).and_then(|()| sync_folder(path)).map_err(|source| TrainError::Io {
        doing: "rename into place",
        path: path.into(),
        source,
    })
}

/// Makes a folder where it is missing, so that it is there also after power loss.
pub(crate) fn make_folder(path: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(path).and_then(|()| sync_folder(path)).map_err(|source| TrainError::Io {
        doing: "make the folder",
        path: path.into(),
        source,
    })
}

/// A name beside `path` under which it is written before it is renamed; such files are rubbish once no worker lives.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Makes a rename or a removal in `path`'s folder outlast power loss.
///
/// # Errors
/// Where the folder cannot be opened or its disk refuses.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        // A bare name lies in the folder one stands in.
        Some(parent) if cfg!(unix) && parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) if cfg!(unix) => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// The events from byte `offset` on, and the offset behind the last one. Only whole lines count: a line without its end is
/// still being written, or torn, and is left for the next call. Where the file was cut since, it is read again from its
/// beginning: a reader upserts. A line that says nothing this program knows becomes a note.
pub fn read_events(folder: &Path, offset: u64) -> Result<(Vec<Event>, u64), TrainError> {
    let path = events_path(folder);
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Vec::new(), 0)),
        opened => opened.and_then(|file| read_lines(file, offset)).map_err(|source| TrainError::Io {
            doing: "read",
            path,
            source,
        }),
    }
}

fn read_lines(mut file: File, offset: u64) -> io::Result<(Vec<Event>, u64)> {
    let mut offset = if follows_a_line(&mut file, offset)? { offset } else { 0 };
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::new(file);
    let mut events = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok((events, offset));
        }
        offset += length as u64;
        events.push(serde_json::from_slice(&line).unwrap_or_else(|error| Event::Note {
            message: format!("a line of events.jsonl that ends at byte {offset} could not be understood: {error}"),
        }));
    }
}

fn follows_a_line(file: &mut File, offset: u64) -> io::Result<bool> {
    if offset == 0 {
        return Ok(true);
    }
    let mut before = [0];
    file.seek(SeekFrom::Start(offset - 1))?;
    Ok(file.read(&mut before)? == 1 && before == *b"\n")
}

/// The worker's end of `events.jsonl`.
pub struct EventLog {
    file: File,
    path: PathBuf,
}

impl EventLog {
    /// Opens it to append, after cutting off a last line that a worker which was killed did not finish.
    pub fn open(folder: &Path) -> Result<EventLog, TrainError> {
        let path = events_path(folder);
        let opened = OpenOptions::new().create(true).read(true).append(true).open(&path).and_then(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            if whole < bytes.len() {
                file.set_len(whole as u64)?;
            }
            sync_folder(&path)?;
            Ok(file)
        });
        match opened {
            Ok(file) => Ok(EventLog { file, path }),
            Err(source) => Err(TrainError::Io { doing: "open", path, source }),
        }
    }

    /// Appends one line and waits until it is on the disk.
    pub fn append(&mut self, event: &Event) -> Result<(), TrainError> {
        let failed = |source| TrainError::Io { doing: "append to", path: self.path.clone(), source };
        let mut line = serde_json::to_vec(event).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        let before = self.file.metadata().map_err(failed)?.len();
        if let Err(source) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            // A full disk may have taken half of the line; what follows it must begin a line of its own.
            let _ = self.file.set_len(before);
            return Err(TrainError::Io { doing: "append to", path: self.path.clone(), source });
        }
        Ok(())
    }
}

/// Held by a worker while it lives; the system lets go of it however the process ends.
pub struct Lock {
    _file: File,
}

/// Takes the folder, or `None` where another worker has it.
pub fn lock(folder: &Path) -> Result<Option<Lock>, TrainError> {
    let path = lock_path(folder);
    let failed = |source| TrainError::Io { doing: "lock", path: path.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    // Someone who asks whether a worker lives holds the lock for an instant, which must not turn a worker away.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Ok(None)
}

const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Whether a worker is alive in the folder, whoever started it.
pub fn is_locked(folder: &Path) -> bool {
    File::open(lock_path(folder)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("worker.lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Event {
        Event::Note { message: message.into() }
    }

    #[test]
    fn whole_lines_are_read_once_and_a_torn_one_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_events(folder.path(), 0).unwrap(), (vec![], 0));
        let mut log = EventLog::open(folder.path()).unwrap();
        log.append(&note("one")).unwrap();
        let (events, offset) = read_events(folder.path(), 0).unwrap();
        assert_eq!(events, [note("one")]);
        log.append(&note("two")).unwrap();
        let path = events_path(folder.path());
        let whole = fs::read(&path).unwrap();
        for end in offset as usize..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(read_events(folder.path(), offset).unwrap(), (vec![], offset));
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(read_events(folder.path(), offset).unwrap(), (vec![note("two")], whole.len() as u64));
    }

    #[test]
    fn a_torn_line_is_cut_off_when_a_worker_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        EventLog::open(folder.path()).unwrap().append(&note("one")).unwrap();
        let path = events_path(folder.path());
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], &whole[..whole.len() - 1]].concat()).unwrap();
        EventLog::open(folder.path()).unwrap().append(&note("two")).unwrap();
        assert_eq!(read_events(folder.path(), 0).unwrap().0, [note("one"), note("two")]);
    }

    #[test]
    fn a_file_that_was_cut_is_read_again_and_a_foreign_line_does_not_stop_the_reader() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = EventLog::open(folder.path()).unwrap();
        log.append(&note("one")).unwrap();
        let (_, offset) = read_events(folder.path(), 0).unwrap();
        assert_eq!(read_events(folder.path(), offset + 100).unwrap(), (vec![note("one")], offset));
        assert_eq!(read_events(folder.path(), offset - 3).unwrap(), (vec![note("one")], offset));
        log.file.write_all(b"\0\0\0 nothing\n").unwrap();
        log.append(&note("two")).unwrap();
        let (events, _) = read_events(folder.path(), offset).unwrap();
        assert!(
            matches!(&events[..], [Event::Note { message }, last] if message.contains("events.jsonl") && *last == note("two"))
        );
    }

    #[test]
    fn a_folder_has_one_worker() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_locked(folder.path()));
        let lock_held = lock(folder.path()).unwrap().unwrap();
        assert!(is_locked(folder.path()));
        assert!(lock(folder.path()).unwrap().is_none());
        drop(lock_held);
        assert!(!is_locked(folder.path()));
        assert!(lock(folder.path()).unwrap().is_some());
    }

    #[test]
    fn a_job_of_another_version_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(job_path(folder.path()), r#"{"version": 7}"#).unwrap();
        let error = read_job(folder.path()).unwrap_err().to_string();
        assert!(error.contains("segment.json") && error.contains("version 7"), "{error}");
    }

    #[test]
    fn a_write_that_fails_leaves_neither_half_a_file_nor_a_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no-such-folder/file");
        assert!(write_whole(&path, b"bytes").is_err());
        let path = folder.path().join("file");
        write_whole(&path, b"first").unwrap();
        write_whole(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bare_file_name_is_synced_where_one_stands() {
        sync_folder(Path::new("events.jsonl")).unwrap();
    }

    #[test]
    fn a_request_to_leave_stands_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_asked_to_leave(folder.path()));
        ask_to_leave(folder.path()).unwrap();
        assert!(is_asked_to_leave(folder.path()));
        clear_request_to_leave(folder.path()).unwrap();
        clear_request_to_leave(folder.path()).unwrap();
        assert!(!is_asked_to_leave(folder.path()));
    }
}
