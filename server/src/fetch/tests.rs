//! Against a server on this machine that breaks off, sends again from the beginning, or sends something else.

use super::*;
use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};
use tempfile::TempDir;

/// What the file says: 100,000 bytes that do not repeat within a buffer.
fn content() -> Vec<u8> {
    (0..100_000u64).map(|index| (index * index / 7 + index % 251) as u8).collect()
}

/// Its SHA-256, as `sha256sum` says it:
///
/// ```python
/// import hashlib
/// print(hashlib.sha256(bytes((i * i // 7 + i % 251) % 256 for i in range(100000))).hexdigest())
/// ```
const PUBLISHED: Published =
    Published { name: "file.gz", sha256: "db6661995e16fdd1cbdff22eac989ef31261b03a173e182d64432c06da838c47" };

/// How the server answers one request.
#[derive(Clone, Copy)]
enum Answer {
    /// As asked, but the connection ends after so many bytes.
    Until(usize),
    /// The whole file, whatever was asked for.
    Whole,
    /// As asked.
    AsAsked,
    Status(&'static str),
    /// Bytes of another file.
    Other,
}

/// Serves one request for each answer. Says what range each asked for.
fn serve(answers: Vec<Answer>) -> (String, mpsc::Receiver<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/file.gz", listener.local_addr().expect("an address"));
    let (asked, ranges) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().expect("a request");
            let range = range_asked_for(&stream);
            // Said before it is answered: whoever has the answer finds it. Whoever is gone does not hear it.
            let _ = asked.send(range.clone());
            answer_one(stream, range, answer);
        }
    });
    (url, ranges)
}

fn range_asked_for(stream: &TcpStream) -> Option<String> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone().expect("a stream")).lines() {
        let line = line.expect("a line").to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("range: ") {
            range = Some(value.to_owned());
        }
        if line.is_empty() {
            break;
        }
    }
    range
}

fn answer_one(mut stream: TcpStream, range: Option<String>, answer: Answer) {
    let content = content();
    let begin = range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let begin: usize = begin.unwrap_or(0);
    let head = |status: &str, length: usize, more: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n").into_bytes()
    };
    let asked_for = |until: usize| {
        let rest = &content[begin..];
        let more = format!("content-range: bytes {begin}-{}/{}\r\n", content.len() - 1, content.len());
        let head =
            if begin > 0 { head("206 Partial Content", rest.len(), &more) } else { head("200 OK", rest.len(), "") };
        [&head[..], &rest[..until.min(rest.len())]].concat()
    };
    let answer = match answer {
        Answer::Status(status) => head(status, 0, ""),
        Answer::Whole => [head("200 OK", content.len(), ""), content.clone()].concat(),
        Answer::Other => [head("200 OK", 5, ""), b"other".to_vec()].concat(),
        Answer::AsAsked if begin >= content.len() => head("416 Range Not Satisfiable", 0, ""),
        Answer::AsAsked => asked_for(usize::MAX),
        Answer::Until(bytes) => asked_for(bytes),
    };
    // A client that has heard enough hangs up.
    let _ = stream.write_all(&answer);
}

/// The ranges that were asked for, and how it ended.
fn fetched(folder: &TempDir, answers: Vec<Answer>) -> (Vec<Option<String>>, Result<(), FetchError>, Vec<Progress>) {
    let (url, ranges) = serve(answers);
    let mut told = Vec::new();
    let result = fetch(&url, PUBLISHED, folder.path(), |progress| told.push(progress));
    (ranges.try_iter().collect(), result, told)
}

fn range(begin: u64) -> Option<String> {
    Some(format!("bytes={begin}-"))
}

fn lies_there(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("the folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

#[test]
fn a_file_comes_whole_and_is_not_asked_for_again() {
    let folder = TempDir::new().expect("a folder");
    let (asked, result, told) = fetched(&folder, vec![Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!(asked, [None]);
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
    assert_eq!(lies_there(&folder), ["file.gz"]);
    assert_eq!(told.first(), Some(&Progress { bytes: 0, total: Some(100_000) }));
    assert_eq!(told.last(), Some(&Progress { bytes: 100_000, total: Some(100_000) }));
    assert!(told.is_sorted_by_key(|progress| progress.bytes));
    let (asked, result, told) = fetched(&folder, Vec::new());
    assert!(result.is_ok() && asked.is_empty() && told.is_empty());
}

#[test]
fn what_broke_off_goes_on_where_it_ended() {
    let folder = TempDir::new().expect("a folder");
    let (asked, result, told) = fetched(&folder, vec![Answer::Until(30_000), Answer::Until(20_000), Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!(asked, [None, range(30_000), range(50_000)]);
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
    assert!(told.iter().all(|progress| progress.total == Some(100_000)), "{told:?}");
}

#[test]
fn a_later_attempt_goes_on_from_an_earlier_one() {
    let folder = TempDir::new().expect("a folder");
    let (_, result, _) = fetched(&folder, vec![Answer::Until(30_000), Answer::Status("503 Service Unavailable")]);
    let error = result.expect_err("it broke off").to_string();
    assert!(error.contains("the server answers 503") && error.contains("goes on from there"), "{error}");
    assert_eq!(lies_there(&folder), ["file.gz.part"]);
    let (asked, result, told) = fetched(&folder, vec![Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!((asked, told[0].bytes), (vec![range(30_000)], 30_000));
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
}

#[test]
fn a_server_that_knows_no_ranges_sends_it_again() {
    let folder = TempDir::new().expect("a folder");
    let (asked, result, _) = fetched(&folder, vec![Answer::Until(30_000), Answer::Whole]);
    result.expect("it comes");
    assert_eq!(asked, [None, range(30_000)]);
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
}

#[test]
fn a_whole_part_is_only_checked() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("file.gz.part"), content()).expect("it is written");
    let (asked, result, _) = fetched(&folder, vec![Answer::AsAsked]);
    result.expect("it is whole");
    assert_eq!((asked, lies_there(&folder)), (vec![range(100_000)], vec!["file.gz".to_owned()]));
}

#[test]
fn another_file_is_refused_and_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    let (_, result, _) = fetched(&folder, vec![Answer::Other]);
    let error = result.expect_err("it is another file");
    assert!(matches!(&error, FetchError::Checksum { .. }) && error.to_string().contains(PUBLISHED.sha256), "{error}");
    assert!(lies_there(&folder).is_empty());
    // What an earlier attempt left may be of another file: it is given up, once.
    fs::write(folder.path().join("file.gz.part"), vec![7; 500]).expect("it is written");
    let (asked, result, _) = fetched(&folder, vec![Answer::AsAsked, Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!(asked, [range(500), None]);
    // So is a file that was damaged where it lies.
    fs::write(folder.path().join("file.gz"), b"damaged").expect("it is written");
    fetched(&folder, vec![Answer::AsAsked]).1.expect("it comes again");
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
}

#[test]
fn nobody_there_is_an_error_that_names_the_address() {
    let folder = TempDir::new().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/file.gz", listener.local_addr().expect("an address"));
    drop(listener);
    let error = fetch(&url, PUBLISHED, folder.path(), |_| {}).expect_err("nobody is there").to_string();
    assert!(error.starts_with(&url), "{error}");
}

#[test]
fn what_is_published_is_known_by_its_checksum() {
    for dataset in Dataset::KNOWN {
        let source = source(dataset);
        assert!(
            source.is_none_or(|source| source.url.starts_with("https://") && source.url.ends_with('/')),
            "{dataset}"
        );
        for file in source.into_iter().flat_map(|source| source.files) {
            assert_eq!((file.sha256.len(), file.sha256.chars().all(|digit| digit.is_ascii_hexdigit())), (64, true));
        }
    }
    // The page's buttons are for these.
    assert!(Dataset::KNOWN.into_iter().all(|dataset| can_fetch(dataset) == super::source(dataset).is_some()));
}
