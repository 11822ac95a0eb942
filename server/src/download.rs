//! Official files from the servers of their makers: they are resumed where they broke off, and are theirs by checksum or are not taken.

mod published;

pub use published::{Published, Source, source};

use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};
use study::Dataset;
use train::folder::sync_folder;
use ureq::{Agent, http::StatusCode};

/// A server that says nothing for so long has gone away.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// So often a connection is taken up again that broke off: a server that gives some bytes each time would be asked for ever.
const CONNECTIONS_MAX: usize = 100;

/// Whether there is a place from which it can be downloaded.
pub fn can_be_downloaded(dataset: Dataset) -> bool {
    Dataset::PUBLISHED.contains(&dataset)
}

/// Why a data set was not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Nobody publishes it, so there is nothing to ask for.
    #[error("{0} cannot be downloaded: mnist, fashion-mnist, cifar-10, cifar-100 and tiny-imagenet can")]
    NotPublished(Dataset),
    /// What was there stays, and the next attempt goes on from it.
    #[error("{url}: {problem}; what has come is kept, and the next attempt goes on from there")]
    BrokeOff { url: String, problem: String },
    /// Whoever was told how far it is wants no more of it. What was there stays.
    #[error("{url} is not asked for any more; what has come is kept, and the next attempt goes on from there")]
    GivenUp { url: String },
    /// Nothing of it stays. `what` of it differs: its length or its SHA-256.
    #[error("{url} is not the file that was published: its {what} is {found}; expected {expected}")]
    AnotherFile { url: String, what: &'static str, found: String, expected: String },
    /// What was there stays.
    #[error("could not {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// Brings all files of a data set into `folder`, which is there under its name only once all of them are; until then they come in
/// `folder` with `.part` behind its name. Where a person has put such a folder, what lacks is put into it. `from`: another server that
/// has the files. `told` hears how many bytes of each file are here, and says whether to go on.
///
/// Of several that bring the same data set, also other processes, one does; whoever waited finds the files there.
///
/// # Errors
/// Where nothing is published, the files cannot be had or are others, or the disk refuses. What came of a file that broke off is kept.
pub fn download(
    dataset: Dataset,
    folder: &Path,
    from: Option<&str>,
    mut told: impl FnMut(Published, u64) -> ControlFlow<()>,
) -> Result<(), DownloadError> {
    let source = source(dataset).ok_or(DownloadError::NotPublished(dataset))?;
    let base = from.unwrap_or(source.url).trim_end_matches('/');
    let part = beside(folder, "part");
    let _turn = turn(&part)?;
    let brought = source.files.iter().try_for_each(|file| {
        // It may have been there before, or have come while this one waited.
        match is_right(&folder.join(file.name), file)? {
            true => Ok(()),
            false => download_file(&format!("{base}/{}", file.name), *file, &part, |bytes| told(*file, bytes)),
        }
    });
    if brought.is_err() {
        // Only an empty one goes: what has come is kept.
        let _ = fs::remove_dir(&part);
        return brought;
    }
    put_in_place(&part, folder)
}

/// `folder` with a word behind its name, which makes it no data set's: `cifar-10.part`.
pub fn beside(folder: &Path, word: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".");
    name.push(word);
    name.into()
}

/// Makes the folder, and waits until nobody else brings anything into it.
fn turn(part: &Path) -> Result<File, DownloadError> {
    loop {
        fs::create_dir_all(part).map_err(failed("make", part))?;
        let turn = match File::open(part) {
            // Whoever had it has put it in place just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed("open", part))?,
        };
        turn.lock().map_err(failed("lock", part))?;
        let is_it = |here: fs::Metadata| turn.metadata().is_ok_and(|own| own.ino() == here.ino());
        if fs::metadata(part).is_ok_and(is_it) {
            return Ok(turn);
        }
    }
}

/// Gives the whole folder its name, or puts its files into the one that has it already.
fn put_in_place(part: &Path, folder: &Path) -> Result<(), DownloadError> {
    if folder.is_dir() {
        for entry in fs::read_dir(part).map_err(failed("list", part))? {
            let name = entry.map_err(failed("list", part))?.file_name();
            let place = folder.join(&name);
            fs::rename(part.join(&name), &place).and_then(|()| sync_folder(&place)).map_err(failed("name", &place))?;
        }
        return fs::remove_dir(part).map_err(failed("remove", part));
    }
    fs::rename(part, folder).and_then(|()| sync_folder(folder)).map_err(failed("name", folder))
}

fn is_right(place: &Path, published: &Published) -> Result<bool, DownloadError> {
    Ok(length(place)? == published.bytes && sha256(place)? == published.sha256)
}

/// Brings one file from `url` to `folder`, under its name once all of it is there and its checksum is right; until then it grows
/// as `NAME.part`. A connection that breaks off is taken up again for as long as each one brings something, up to a hundred times. `told`
/// hears how many bytes are there, and says whether to go on.
///
/// # Errors
/// Where it cannot be had, is not wanted any more, is another file, or the disk refuses. Of another file nothing is kept.
pub fn download_file(
    url: &str,
    published: Published,
    folder: &Path,
    mut told: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), DownloadError> {
    let place = folder.join(published.name);
    let part = beside(&place, "part");
    if is_right(&place, &published)? {
        return Ok(());
    }
    // Whoever is led elsewhere is not led where nothing is encrypted.
    let agent = encrypted_if(url.starts_with("https://"));
    // What came by more than one connection may be of two files, where the first was replaced meanwhile: it is given up once.
    let mut may_be_mixed = true;
    let mut connections = 0;
    loop {
        let before = length(&part)?;
        if before < published.bytes {
            connections += 1;
            match more(&agent, url, &published, &part, before, &mut told)? {
                Came::Whole => {}
                Came::BrokeOff(_) if connections < CONNECTIONS_MAX && length(&part)? > before => continue,
                Came::BrokeOff(problem) => return Err(DownloadError::BrokeOff { url: url.to_owned(), problem }),
            }
        }
        if is_right(&part, &published)? {
            let named = fs::rename(&part, &place).and_then(|()| sync_folder(&place));
            return named.map_err(failed("name", &place));
        }
        let found = sha256(&part)?;
        fs::remove_file(&part).map_err(failed("remove", &part))?;
        if before == 0 || !std::mem::take(&mut may_be_mixed) {
            return Err(another(url, "SHA-256", found, published.sha256));
        }
    }
}

/// Asks over HTTP. `https_alone`: nothing else, also where it is led elsewhere.
fn encrypted_if(https_alone: bool) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .https_only(https_alone)
        .timeout_connect(Some(SILENT_FOR))
        .timeout_recv_response(Some(SILENT_FOR))
        .timeout_per_read(Some(SILENT_FOR))
        .build()
        .into()
}

fn another(url: &str, what: &'static str, found: impl ToString, expected: impl ToString) -> DownloadError {
    DownloadError::AnotherFile { url: url.to_owned(), what, found: found.to_string(), expected: expected.to_string() }
}

/// How one connection ended.
enum Came {
    Whole,
    BrokeOff(String),
}

/// Asks for what is missing behind the first `begin` bytes and appends it.
fn more(
    agent: &Agent,
    url: &str,
    published: &Published,
    part: &Path,
    begin: u64,
    told: &mut impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Came, DownloadError> {
    let mut request = agent.get(url);
    if begin > 0 {
        request = request.header("range", format!("bytes={begin}-"));
    }
    let mut response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Came::BrokeOff(error.to_string())),
    };
    let range = response.headers().get("content-range").and_then(|range| range.to_str().ok()).and_then(first_byte);
    let mut bytes = match response.status() {
        StatusCode::PARTIAL_CONTENT if range == Some(begin) => begin,
        StatusCode::PARTIAL_CONTENT => {
            return Ok(Came::BrokeOff(format!("the server sends another part than that behind {begin} bytes")));
        }
        // This server sends files whole or not at all.
        StatusCode::OK => 0,
        other => return Ok(Came::BrokeOff(format!("the server answers {other}"))),
    };
    // What is there already may be right all the same: another server may have what lacks.
    if let Some(length) = response.body().content_length().filter(|length| bytes + length != published.bytes) {
        return Err(another(url, "length", bytes + length, published.bytes));
    }
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(failed("open", part))?;
    if bytes == 0 {
        file.set_len(0).map_err(failed("write", part))?;
    }
    let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        if told(bytes).is_break() {
            return Err(DownloadError::GivenUp { url: url.to_owned() });
        }
        let read = match reader.read(&mut buffer) {
            Ok(0) if bytes < published.bytes => {
                return Ok(Came::BrokeOff("the connection ended before the file did".into()));
            }
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Came::BrokeOff(error.to_string())),
        };
        bytes += read as u64;
        if bytes > published.bytes {
            fs::remove_file(part).map_err(failed("remove", part))?;
            return Err(another(url, "length", format!("{bytes} or more"), published.bytes));
        }
        file.write_all(&buffer[..read]).map_err(failed("write", part))?;
    }
    file.sync_all().map_err(failed("write", part))?;
    Ok(Came::Whole)
}

/// Of "bytes 200-999/1000" the 200.
fn first_byte(content_range: &str) -> Option<u64> {
    content_range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// 0 where there is no such file.
fn length(path: &Path) -> Result<u64, DownloadError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

fn sha256(path: &Path) -> Result<String, DownloadError> {
    let mut file = File::open(path).map_err(failed("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(failed("read", path))? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DownloadError + use<> {
    let path = path.to_owned();
    move |source| DownloadError::Io { doing, path, source }
}

#[cfg(test)]
mod tests;
