//! Files that several processes see as memory: each page of them lies in memory once, whoever looks at it.
//!
//! Both kinds of file are made beside their place and put there whole. Nobody may shorten one while it is mapped: reading behind
//! its new end would end the process.

mod bytes;
mod words;

pub use bytes::MappedBytes;
pub use words::MappedWords;

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A new file beside `path`, under a name that nobody else writes to.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{count}.tmp", std::process::id()));
    let name = PathBuf::from(name);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&name)?;
    Ok((name, file))
}

/// Makes what happened to `path`'s name outlast power loss.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// Removes a file; that it is gone already is as good.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Writes a file beside `path`, syncs it and puts it into place; what could not be finished is removed, so that a full disk has
/// that room again.
fn put(
    path: &Path,
    write: impl FnOnce(&File) -> io::Result<()>,
    into_place: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let (temporary, file) = beside(path)?;
    let done = write(&file).and_then(|()| file.sync_all()).and_then(|()| into_place(&temporary));
    // Where it was renamed, nothing of it is left; why it could not be written matters more than that it cannot be removed.
    let removed = remove(&temporary);
    done.and(removed).and_then(|()| sync_folder(path))
}
