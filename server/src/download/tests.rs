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
const PUBLISHED: Published = Published {
    name: "file.gz",
    bytes: 100_000,
    sha256: "db6661995e16fdd1cbdff22eac989ef31261b03a173e182d64432c06da838c47",
};

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
    /// Of another one that is as long.
    OtherAsLong,
    /// More than the file has, and not said how many.
    Endless,
    /// The whole file as if it were the part that was asked for.
    AnotherPart,
    /// Look there.
    Redirect(&'static str),
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
        Answer::OtherAsLong => [head("200 OK", content.len(), ""), vec![7; content.len()]].concat(),
        Answer::Endless => [&b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"[..], &content, &content].concat(),
        Answer::AnotherPart => {
            let more = format!("content-range: bytes 0-{}/{}\r\n", content.len() - 1, content.len());
            [head("206 Partial Content", content.len(), &more), content.clone()].concat()
        }
        Answer::Redirect(place) => head("302 Found", 0, &format!("location: {place}\r\n")),
        Answer::AsAsked => asked_for(usize::MAX),
        Answer::Until(bytes) => asked_for(bytes),
    };
    // A client that has heard enough hangs up.
    let _ = stream.write_all(&answer);
}

/// The ranges that were asked for, and how it ended.
fn downloaded(folder: &TempDir, answers: Vec<Answer>) -> (Vec<Option<String>>, Result<(), DownloadError>, Vec<u64>) {
    let (url, ranges) = serve(answers);
    let mut told = Vec::new();
    let result = download_file(&url, PUBLISHED, folder.path(), |bytes| {
        told.push(bytes);
        ControlFlow::Continue(())
    });
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
    let (asked, result, told) = downloaded(&folder, vec![Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!(asked, [None]);
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
    assert_eq!(lies_there(&folder), ["file.gz"]);
    assert_eq!((told.first(), told.last()), (Some(&0), Some(&100_000)));
    assert!(told.is_sorted());
    let (asked, result, told) = downloaded(&folder, Vec::new());
    assert!(result.is_ok() && asked.is_empty() && told.is_empty());
}

#[test]
fn what_broke_off_goes_on_where_it_ended() {
    let folder = TempDir::new().expect("a folder");
    let (asked, result, told) =
        downloaded(&folder, vec![Answer::Until(30_000), Answer::Until(20_000), Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!(asked, [None, range(30_000), range(50_000)]);
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
    assert!(told.is_sorted() && told.last() == Some(&100_000), "{told:?}");
}

#[test]
fn who_wants_no_more_of_it_keeps_what_came_for_another_time() {
    let folder = TempDir::new().expect("a folder");
    let (url, _) = serve(vec![Answer::AsAsked]);
    let until_some = |bytes| if bytes > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let given_up = download_file(&url, PUBLISHED, folder.path(), until_some);
    assert!(matches!(given_up, Err(DownloadError::GivenUp { .. })), "{given_up:?}");
    let came = fs::metadata(folder.path().join("file.gz.part")).expect("it is kept").len();
    assert!(0 < came && came < 100_000, "{came}");
    let (asked, result, _) = downloaded(&folder, vec![Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!((asked, lies_there(&folder)), (vec![range(came)], vec!["file.gz".to_owned()]));
}

#[test]
fn what_breaks_off_again_and_again_is_given_up_and_kept() {
    let folder = TempDir::new().expect("a folder");
    let answers = [vec![Answer::Until(1); CONNECTIONS_MAX], vec![Answer::AsAsked]].concat();
    let (asked, result, _) = downloaded(&folder, answers);
    let error = result.expect_err("it broke off too often").to_string();
    assert!(error.contains("what has come is kept, and the next attempt goes on from there"), "{error}");
    assert_eq!(asked.len(), CONNECTIONS_MAX);
    assert_eq!(length(&folder.path().join("file.gz.part")).expect("it is there"), CONNECTIONS_MAX as u64);
}

#[test]
fn a_later_attempt_goes_on_from_an_earlier_one() {
    let folder = TempDir::new().expect("a folder");
    let (_, result, _) = downloaded(&folder, vec![Answer::Until(30_000), Answer::Status("503 Service Unavailable")]);
    let error = result.expect_err("it broke off").to_string();
    assert!(error.contains("the server answers 503") && error.contains("goes on from there"), "{error}");
    assert_eq!(lies_there(&folder), ["file.gz.part"]);
    let (asked, result, told) = downloaded(&folder, vec![Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!((asked, told[0]), (vec![range(30_000)], 30_000));
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
}

#[test]
fn a_server_that_knows_no_ranges_sends_it_again() {
    let folder = TempDir::new().expect("a folder");
    let (asked, result, _) = downloaded(&folder, vec![Answer::Until(30_000), Answer::Whole]);
    result.expect("it comes");
    assert_eq!(asked, [None, range(30_000)]);
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
}

#[test]
fn a_whole_part_is_only_checked() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("file.gz.part"), content()).expect("it is written");
    let (asked, result, _) = downloaded(&folder, Vec::new());
    result.expect("it is whole");
    assert_eq!((asked, lies_there(&folder)), (Vec::new(), vec!["file.gz".to_owned()]));
}

#[test]
fn another_file_is_refused_and_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    let (_, result, _) = downloaded(&folder, vec![Answer::Other]);
    let error = result.expect_err("it is another file").to_string();
    assert!(error.contains("is not the file that was published: its length is 5; expected 100000"), "{error}");
    let (_, result, told) = downloaded(&folder, vec![Answer::Endless]);
    let error = result.expect_err("it does not end where it should").to_string();
    assert!(error.contains("or more; expected 100000") && told.last() <= Some(&100_000), "{error} {told:?}");
    let (asked, result, _) = downloaded(&folder, vec![Answer::OtherAsLong]);
    let error = result.expect_err("it is another file").to_string();
    assert!(asked.len() == 1 && error.contains("SHA-256") && error.contains(PUBLISHED.sha256), "{error}");
    assert!(lies_there(&folder).is_empty());
    // A file that was damaged where it lies comes again.
    fs::write(folder.path().join("file.gz"), b"damaged").expect("it is written");
    downloaded(&folder, vec![Answer::AsAsked]).1.expect("it comes again");
    assert_eq!(fs::read(folder.path().join("file.gz")).expect("it is there"), content());
}

#[test]
fn what_came_of_two_files_is_given_up_once() {
    // By an earlier attempt, and by an earlier connection of this one.
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("file.gz.part"), vec![7; 500]).expect("it is written");
    let (asked, result, _) = downloaded(&folder, vec![Answer::AsAsked, Answer::Until(9), Answer::AsAsked]);
    result.expect("it comes");
    assert_eq!(asked, [range(500), None, range(9)]);
    for mixed in [vec![7; 100_001], vec![7; 100_000]] {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("file.gz.part"), mixed).expect("it is written");
        let (asked, result, _) = downloaded(&folder, vec![Answer::OtherAsLong]);
        assert!(matches!(result, Err(DownloadError::AnotherFile { .. })), "{result:?}");
        assert_eq!((asked, lies_there(&folder).len()), (vec![None], 0), "it is asked for once");
    }
}

#[test]
fn a_part_that_begins_elsewhere_is_not_taken() {
    let folder = TempDir::new().expect("a folder");
    let (asked, result, _) = downloaded(&folder, vec![Answer::Until(30_000), Answer::AnotherPart]);
    let error = result.expect_err("it is another part").to_string();
    assert!(error.contains("another part than that behind 30000 bytes"), "{error}");
    assert_eq!(asked, [None, range(30_000)]);
    assert_eq!(fs::read(folder.path().join("file.gz.part")).expect("it is kept"), content()[..30_000]);
}

#[test]
fn where_nothing_is_encrypted_nobody_is_led_from_where_it_is() {
    // This server encrypts nothing itself: that it may lead elsewhere shows that https alone is what forbids it.
    let (elsewhere, asked) = serve(vec![Answer::AsAsked]);
    let (url, _) = serve(vec![Answer::Redirect(elsewhere.leak())]);
    let folder = TempDir::new().expect("a folder");
    download_file(&url, PUBLISHED, folder.path(), |_| ControlFlow::Continue(())).expect("it comes from there");
    assert_eq!(asked.try_iter().count(), 1);
    let error = encrypted_if(true).get(&url).call().expect_err("it is not asked").to_string();
    assert!(error.contains("https"), "{error}");
}

#[test]
fn a_data_set_has_its_name_once_all_of_it_is_there() {
    let data = TempDir::new().expect("a folder");
    let folder = data.path().join("cifar-10");
    let part = data.path().join("cifar-10.part");
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        names
    };
    // Nothing came: nothing is left.
    let (url, _) = serve(vec![Answer::Status("404 Not Found")]);
    let base = url.trim_end_matches("file.gz");
    let error = download(Dataset::Cifar10, &folder, Some(base), |_, _| ControlFlow::Continue(()))
        .expect_err("it is not there")
        .to_string();
    assert!(error.contains("cifar-10-binary.tar.gz: the server answers 404"), "{error}");
    assert!(names(data.path()).is_empty());
    // What has come is kept, without the name of a data set.
    fs::create_dir(&part).expect("a folder");
    fs::write(part.join("cifar-10-binary.tar.gz.part"), b"some").expect("it is written");
    let (url, _) = serve(vec![Answer::Status("503 Service Unavailable")]);
    let base = url.trim_end_matches("file.gz");
    download(Dataset::Cifar10, &folder, Some(base), |_, _| ControlFlow::Continue(())).expect_err("it is not there");
    assert_eq!(
        (names(data.path()), names(&part)),
        (vec!["cifar-10.part".to_owned()], vec!["cifar-10-binary.tar.gz.part".to_owned()])
    );
    // All of it is: the folder gets its name, and one that a person made is filled.
    fs::write(part.join("one"), b"1").expect("it is written");
    put_in_place(&part, &folder).expect("it is put in place");
    assert_eq!(names(data.path()), ["cifar-10"]);
    fs::create_dir(&part).expect("a folder");
    fs::write(part.join("one"), b"2").expect("it is written");
    fs::write(part.join("two"), b"2").expect("it is written");
    put_in_place(&part, &folder).expect("it is put in place");
    assert_eq!(names(data.path()), ["cifar-10"]);
    assert_eq!((names(&folder).len(), fs::read(folder.join("one")).expect("it is there")), (3, b"2".to_vec()));
}

#[test]
fn of_two_that_bring_the_same_one_waits() {
    let data = TempDir::new().expect("a folder");
    let (folder, part) = (data.path().join("mnist"), data.path().join("mnist.part"));
    let first = turn(&part).expect("a turn");
    let (began, has_begun) = mpsc::channel();
    let second = thread::spawn({
        let part = part.clone();
        move || {
            began.send(()).expect("somebody waits");
            turn(&part).map(drop)
        }
    });
    has_begun.recv().expect("it began");
    put_in_place(&part, &folder).expect("it is put in place");
    drop(first);
    second.join().expect("no panic").expect("a turn");
    // It has one of its own, not that of what is in place by now.
    assert!(part.is_dir() && folder.is_dir());
}

#[test]
fn nobody_there_is_an_error_that_names_the_address() {
    let folder = TempDir::new().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/file.gz", listener.local_addr().expect("an address"));
    drop(listener);
    let error = download_file(&url, PUBLISHED, folder.path(), |_| ControlFlow::Continue(()))
        .expect_err("nobody is there")
        .to_string();
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
            assert!(file.bytes > 0, "{}", file.name);
            assert_eq!((file.sha256.len(), file.sha256.chars().all(|digit| digit.is_ascii_hexdigit())), (64, true));
        }
    }
    // The page's buttons are for these.
    assert!(Dataset::KNOWN.into_iter().all(|dataset| can_be_downloaded(dataset) == super::source(dataset).is_some()));
}
