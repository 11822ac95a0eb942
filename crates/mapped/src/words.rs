//! Files of words that several processes fill together.

use memmap2::{MmapOptions, MmapRaw};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

/// Bytes before the first word: what the file is, for whoever finds it.
const HEADER_BYTES: usize = 4096;

/// Words of 32 bits that several processes read and fill; all are 0 at first, and take room on the disk only where they were
/// written.
///
/// They are read in memory. They are written through the file, which is the same pages: a disk without room is then an error that
/// can be told, where writing into memory would end the process.
#[derive(Debug)]
pub struct MappedWords {
    file: File,
    map: MmapRaw,
}

impl MappedWords {
    /// Opens the file of `words` words at `path`, made where there is none. Where another process makes it at the same time, both
    /// get the same one. `header`: what it is; a file with another header or length is damaged, and another is put into its place.
    ///
    /// # Panics
    /// Where the header is longer than 4,095 bytes or ends with a zero.
    pub fn open(path: &Path, header: &[u8], words: usize) -> io::Result<MappedWords> {
        assert!(
            header.len() < HEADER_BYTES && header.last() != Some(&0),
            "a header is short and ends before its zeros"
        );
        for _ in 0..2 {
            match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) if is_whole(&file, header, words)? => {
                    // Whoever makes room removes first what was not opened for long.
                    file.set_modified(SystemTime::now())?;
                    let map = MmapOptions::new().map_raw(&file)?;
                    return Ok(MappedWords { file, map });
                }
                Ok(_) => crate::remove(path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let write = |file: &File| {
                file.write_all_at(header, 0)?;
                file.set_len(file_bytes(words))
            };
            // A link is refused where a name is there already, and a file renamed would push the other's aside.
            let into_place = |temporary: &Path| match fs::hard_link(temporary, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            };
            crate::put(path, write, into_place)?;
        }
        Err(io::Error::other("others put something else into its place again and again"))
    }

    /// What the file at `path` says that it is.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn header(path: &Path) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        File::open(path)?.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
        let end = header.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        header.truncate(end);
        Ok(header)
    }

    /// Words in all.
    fn len(&self) -> usize {
        (self.map.len() - HEADER_BYTES) / size_of::<u32>()
    }

    /// Reads words from place `at` on. Another process may be writing the same: each word is then the old or the new one.
    ///
    /// # Panics
    /// Where they are not all within the file.
    pub fn read(&self, at: usize, words: &mut [u32]) {
        assert!(at.checked_add(words.len()).is_some_and(|end| end <= self.len()), "words lie within the file");
        let first = self.map.as_mut_ptr().wrapping_add(HEADER_BYTES).cast::<u32>().wrapping_add(at);
        for (place, word) in words.iter_mut().enumerate() {
            // SAFETY: the place lies within the map (asserted above), which is readable and writable and lives as long as
            // `self`; it is aligned, since a map begins at a page and the header is whole words. In this process nobody reads or
            // writes these pages otherwise than here; others do so through the system. Relaxed is enough: what belongs together
            // is known by a check word, not by the order of writes.
            *word = unsafe { AtomicU32::from_ptr(first.wrapping_add(place)) }.load(Ordering::Relaxed);
        }
    }

    /// Writes words from place `at` on, for all to see.
    ///
    /// # Errors
    /// No room on the disk, among others. Part of the words may then be written.
    pub fn write(&self, at: usize, words: &[u32]) -> io::Result<()> {
        assert!(at.checked_add(words.len()).is_some_and(|end| end <= self.len()), "words lie within the file");
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.file.write_all_at(&bytes, (HEADER_BYTES + at * size_of::<u32>()) as u64)
    }
}

fn file_bytes(words: usize) -> u64 {
    HEADER_BYTES as u64 + words as u64 * size_of::<u32>() as u64
}

fn is_whole(file: &File, header: &[u8], words: usize) -> io::Result<bool> {
    if file.metadata()?.len() != file_bytes(words) {
        return Ok(false);
    }
    let mut found = [0; HEADER_BYTES];
    file.read_exact_at(&mut found, 0)?;
    Ok(found.starts_with(header) && found[header.len()..].iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn all(words: &MappedWords) -> Vec<u32> {
        let mut read = vec![0; words.len()];
        words.read(0, &mut read);
        read
    }

    #[test]
    fn what_one_writes_all_read_and_find_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("words");
        let one = MappedWords::open(&path, b"numbers", 5).expect("it is made");
        let other = MappedWords::open(&path, b"numbers", 5).expect("it is opened");
        assert_eq!(all(&other), [0; 5]);
        one.write(3, &[7, u32::MAX]).expect("there is room");
        other.write(0, &[1]).expect("there is room");
        assert_eq!((all(&one), all(&other)), (vec![1, 0, 0, 7, u32::MAX], vec![1, 0, 0, 7, u32::MAX]));
        drop((one, other));
        assert_eq!(all(&MappedWords::open(&path, b"numbers", 5).expect("it is opened")), [1, 0, 0, 7, u32::MAX]);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn those_who_make_it_at_once_get_the_same_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("words");
        let opened: Vec<MappedWords> = std::thread::scope(|scope| {
            let open = || MappedWords::open(&path, b"numbers", 1_000).expect("it is opened");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        for (place, words) in opened.iter().enumerate() {
            words.write(place, &[place as u32 + 1]).expect("there is room");
        }
        for words in &opened {
            assert_eq!(all(words)[..9], [1, 2, 3, 4, 5, 6, 7, 8, 0]);
        }
    }

    #[test]
    fn a_file_that_is_something_else_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("words");
        MappedWords::open(&path, b"numbers", 5).and_then(|it| it.write(0, &[9])).expect("it is made");
        for (header, words) in [(&b"others"[..], 5), (b"others", 6), (b"other", 6)] {
            let replaced = MappedWords::open(&path, header, words).expect("it is replaced");
            assert_eq!(all(&replaced), vec![0; words]);
            replaced.write(0, &[9]).expect("there is room");
        }
        fs::write(&path, b"torn").expect("it is damaged");
        assert_eq!(all(&MappedWords::open(&path, b"other", 6).expect("it is replaced")), [0; 6]);
    }

    #[test]
    fn room_is_taken_only_where_something_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("words");
        let words = MappedWords::open(&path, b"numbers", 50_000_000).expect("it is made");
        words.write(49_999_999, &[1]).expect("there is room");
        let metadata = fs::metadata(&path).expect("it is there");
        assert_eq!(metadata.len(), 200_004_096);
        assert!(metadata.blocks() * 512 < 1_000_000, "{} blocks", metadata.blocks());
    }

    #[test]
    #[should_panic(expected = "within the file")]
    fn nobody_reads_behind_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let words = MappedWords::open(&folder.path().join("words"), b"numbers", 5).expect("it is made");
        words.read(4, &mut [0; 2]);
    }
}
