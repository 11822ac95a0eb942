//! Official files from the servers of their makers: they are resumed where they broke off, and are theirs by checksum or are not taken.

use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use study::Dataset;
use ureq::{Agent, http::StatusCode};

/// No official file is larger: the largest is Tiny-ImageNet's archive, 248,100,043 bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// A server that says nothing for so long has gone away.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// A file that is published.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub name: &'static str,
    /// SHA-256 in hexadecimal digits.
    pub sha256: &'static str,
}

/// Where a data set's files are published, and which they are.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// With a slash at its end.
    pub url: &'static str,
    pub files: &'static [Published],
}

const MNIST: Source = Source {
    // The mirror that PyTorch uses: the makers' own server asks for a password since 2022.
    url: "https://ossci-datasets.s3.amazonaws.com/mnist/",
    files: &[
        Published {
            name: "train-images-idx3-ubyte.gz",
            sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        },
        Published {
            name: "train-labels-idx1-ubyte.gz",
            sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        },
        Published {
            name: "t10k-images-idx3-ubyte.gz",
            sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        },
        Published {
            name: "t10k-labels-idx1-ubyte.gz",
            sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ],
};

const FASHION_MNIST: Source = Source {
    // The repository of its makers: the server that they name beside it cannot encrypt.
    url: "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    files: &[
        Published {
            name: "train-images-idx3-ubyte.gz",
            sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        },
        Published {
            name: "train-labels-idx1-ubyte.gz",
            sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        },
        Published {
            name: "t10k-images-idx3-ubyte.gz",
            sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        },
        Published {
            name: "t10k-labels-idx1-ubyte.gz",
            sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ],
};

const CIFAR: &str = "https://www.cs.toronto.edu/~kriz/";

const CIFAR_10: Source = Source {
    url: CIFAR,
    files: &[Published {
        name: "cifar-10-binary.tar.gz",
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    }],
};

const CIFAR_100: Source = Source {
    url: CIFAR,
    files: &[Published {
        name: "cifar-100-binary.tar.gz",
        sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    }],
};

const TINY_IMAGENET: Source = Source {
    url: "https://cs231n.stanford.edu/",
    files: &[Published {
        name: "tiny-imagenet-200.zip",
        sha256: "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
    }],
};

/// `None` where nothing is published.
pub fn source(dataset: Dataset) -> Option<Source> {
    match dataset {
        Dataset::Mnist => Some(MNIST),
        Dataset::FashionMnist => Some(FASHION_MNIST),
        Dataset::Cifar10 => Some(CIFAR_10),
        Dataset::Cifar100 => Some(CIFAR_100),
        Dataset::TinyImageNet => Some(TINY_IMAGENET),
        Dataset::FashionMnist12k | Dataset::Folder(_) => None,
    }
}

pub fn can_fetch(dataset: Dataset) -> bool {
    Dataset::PUBLISHED.contains(&dataset)
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0} cannot be downloaded: mnist, fashion-mnist, cifar-10, cifar-100 and tiny-imagenet can")]
    NotPublished(Dataset),
    /// What was there stays, and the next attempt goes on from it.
    #[error("{url}: {problem}; what has come is kept, and the same command goes on from there")]
    BrokeOff { url: String, problem: String },
    /// Nothing of it stays.
    #[error("{url} is not the file that was published: its SHA-256 is {found}; expected {expected}")]
    Checksum { url: String, found: String, expected: String },
    #[error("{url} holds more than {FILE_BYTES_MAX} bytes, which no file known here does")]
    TooLarge { url: String },
    #[error("could not {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// Brings all files of a data set into `folder`, which is made where it is missing. `from`: another server that has them. `told` hears
/// how far each file is.
pub fn fetch_all(
    dataset: Dataset,
    folder: &Path,
    from: Option<&str>,
    mut told: impl FnMut(Published, Progress),
) -> Result<(), FetchError> {
    let source = source(dataset).ok_or(FetchError::NotPublished(dataset))?;
    let base = from.unwrap_or(source.url);
    let base = base.strip_suffix('/').unwrap_or(base);
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    for file in source.files {
        fetch(&format!("{base}/{}", file.name), *file, folder, |progress| told(*file, progress))?;
    }
    Ok(())
}

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub bytes: u64,
    /// As the server says it.
    pub total: Option<u64>,
}

/// Brings one file from `url` to `folder`, under its name once all of it is there and its checksum is right; until then it grows
/// as `NAME.part`. A connection that breaks off is taken up again for as long as each one brings something.
pub fn fetch(url: &str, published: Published, folder: &Path, mut told: impl FnMut(Progress)) -> Result<(), FetchError> {
    let (place, part) = (folder.join(published.name), folder.join(format!("{}.part", published.name)));
    if place.is_file() && sha256(&place)? == published.sha256 {
        return Ok(());
    }
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        // Whoever is led elsewhere is not led where nothing is encrypted.
        .https_only(url.starts_with("https://"))
        .timeout_connect(Some(SILENT_FOR))
        .timeout_recv_response(Some(SILENT_FOR))
        .timeout_per_read(Some(SILENT_FOR))
        .build()
        .into();
    // Bytes of another file, or of another version of it, may lie there from an earlier time: they are given up once.
    let mut from_an_earlier_time = length(&part)? > 0;
    loop {
        let before = length(&part)?;
        let came = more(&agent, url, &part, before, &mut told)?;
        let after = length(&part)?;
        match came {
            Came::BrokeOff(_) if after > before => continue,
            Came::BrokeOff(problem) => return Err(FetchError::BrokeOff { url: url.to_owned(), problem }),
            Came::Whole => {}
        }
        let found = sha256(&part)?;
        if found == published.sha256 {
            return fs::rename(&part, &place).map_err(failed("name", &place));
        }
        fs::remove_file(&part).map_err(failed("remove", &part))?;
        if !std::mem::take(&mut from_an_earlier_time) {
            let expected = published.sha256.to_owned();
            return Err(FetchError::Checksum { url: url.to_owned(), found, expected });
        }
    }
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
    part: &Path,
    begin: u64,
    told: &mut impl FnMut(Progress),
) -> Result<Came, FetchError> {
    let mut request = agent.get(url);
    if begin > 0 {
        request = request.header("range", format!("bytes={begin}-"));
    }
    let mut response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Came::BrokeOff(error.to_string())),
    };
    let (status, headers) = (response.status(), response.headers());
    let goes_on =
        headers.get("content-range").and_then(|range| range.to_str().ok()).and_then(first_byte) == Some(begin);
    let mut bytes = match status {
        StatusCode::PARTIAL_CONTENT if goes_on => begin,
        // This server sends files whole or not at all.
        StatusCode::OK => 0,
        // Nothing lies behind what is there: it is whole, or it is not this file.
        StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Came::Whole),
        other => return Ok(Came::BrokeOff(format!("the server answers {other}"))),
    };
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(failed("open", part))?;
    if bytes == 0 {
        file.set_len(0).map_err(failed("write", part))?;
    }
    let total = response.body().content_length().map(|length| bytes + length);
    let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        told(Progress { bytes, total });
        let read = match reader.read(&mut buffer) {
            Ok(0) if total.is_some_and(|total| bytes < total) => {
                return Ok(Came::BrokeOff("the connection ended before the file did".into()));
            }
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Came::BrokeOff(error.to_string())),
        };
        file.write_all(&buffer[..read]).map_err(failed("write", part))?;
        bytes += read as u64;
        if bytes > FILE_BYTES_MAX {
            fs::remove_file(part).map_err(failed("remove", part))?;
            return Err(FetchError::TooLarge { url: url.to_owned() });
        }
    }
    file.sync_all().map_err(failed("write", part))?;
    Ok(Came::Whole)
}

/// Of "bytes 200-999/1000" the 200.
fn first_byte(content_range: &str) -> Option<u64> {
    content_range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// 0 where there is no such file.
fn length(path: &Path) -> Result<u64, FetchError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

fn sha256(path: &Path) -> Result<String, FetchError> {
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

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FetchError + use<> {
    let path = path.to_owned();
    move |source| FetchError::Io { doing, path, source }
}

#[cfg(test)]
mod tests;
