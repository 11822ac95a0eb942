//! The data folder: one process at a time works in it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};
use study::SegmentKey;

/// A data folder that this process, and no other, works in until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process holds it; `holder` is what that one wrote about itself.
    #[error(
        "the data folder {} is in use{}: stop that one first, or use another folder with --data-dir",
        path.display(),
        if holder.is_empty() { String::new() } else { format!(" by {holder}") }
    )]
    InUse { path: PathBuf, holder: String },
    #[error("could not {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl DataFolder {
    /// Makes the folder where it is missing and takes its lock. The lock is the operating system's: it is gone with the process,
    /// however that ends.
    pub fn open(path: &Path, who: &str) -> Result<DataFolder, DataFolderError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| DataFolderError::Io { doing, path, source }
        };
        let path = std::path::absolute(path).map_err(failed("find", path))?;
        fs::create_dir_all(path.join("segments")).map_err(failed("make", &path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&lock_path);
        let mut lock = lock.map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What the other one says about itself only makes the sentence better.
                let _ = lock.read_to_string(&mut holder);
                return Err(DataFolderError::InUse { path, holder: holder.trim().chars().take(200).collect() });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }
        let folder = DataFolder { path, lock };
        folder.say(who).map_err(failed("write", &lock_path))?;
        Ok(folder)
    }

    /// Tells whoever is refused who works here: "the server at http://127.0.0.1:3000 (process 17)".
    pub fn say(&self, who: &str) -> io::Result<()> {
        let mut lock = &self.lock;
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{who} (process {})", std::process::id())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A segment's folder under a data folder.
pub fn segment_folder(data_dir: &Path, key: &SegmentKey) -> PathBuf {
    data_dir.join("segments").join(&key.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_and_told_by_whom_until_the_first_is_gone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = DataFolder::open(folder.path(), "a study in training").expect("the first opens");
        let refused = DataFolder::open(folder.path(), "another").expect_err("the second is refused").to_string();
        assert!(refused.contains("in use by a study in training"), "{refused}");
        assert!(refused.contains("--data-dir"), "{refused}");
        drop(first);
        DataFolder::open(folder.path(), "another").expect("it is free again");
    }
}
