//! Files that never change once they lie in their place.

use memmap2::Mmap;
use std::{
    fs::{self, File},
    io::{self, Write},
    ops::Deref,
    path::Path,
};

/// The bytes of a file that was put into its place whole and never changes.
#[derive(Debug)]
pub struct MappedBytes {
    map: Mmap,
}

impl MappedBytes {
    /// Maps the file at `path`.
    pub fn open(path: &Path) -> io::Result<MappedBytes> {
        let file = File::open(path)?;
        // SAFETY: such a file is written under another name and renamed into its place (`write`), and nobody writes to it after
        // that: another one of the same name is another file. Removing it leaves mapped pages where they are.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(MappedBytes { map })
    }

    /// Writes `parts`, one behind the other, so that they lie at `path` whole or not at all. Whoever mapped an earlier file of
    /// this name keeps that one.
    pub fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let all = |mut file: &File| parts.iter().try_for_each(|part| file.write_all(part));
        crate::put(path, all, |temporary| fs::rename(temporary, path))
    }
}

impl Deref for MappedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl AsRef<[u8]> for MappedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_together_and_a_second_file_leaves_the_first_to_whoever_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bytes");
        MappedBytes::write(&path, &[b"one", b"", b"two"]).expect("it is written");
        let first = MappedBytes::open(&path).expect("it is mapped");
        MappedBytes::write(&path, &[b"another"]).expect("it is written");
        assert_eq!((&first[..], &*MappedBytes::open(&path).expect("it is mapped")), (&b"onetwo"[..], &b"another"[..]));
        fs::remove_file(&path).expect("it is removed");
        assert_eq!(first.as_ref(), b"onetwo");
        assert!(MappedBytes::open(&path).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left beside it");
    }

    #[test]
    fn what_cannot_be_put_into_place_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bytes");
        fs::create_dir(&path).expect("a folder in its place");
        assert!(MappedBytes::write(&path, &[b"one"]).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        assert!(MappedBytes::write(&folder.path().join("nowhere/bytes"), &[b"one"]).is_err());
    }
}
