//! A form with a file, from a page or a program: bounded in how long it may be silent and may take, in what is held of it in memory, and in
//! its bytes.

use super::{To, api, refusal};
use axum::{
    Json,
    body::{Body, BodyDataStream},
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use futures::{StreamExt, stream};
use serde::Serialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use study::cost::bytes_in_words;
use tokio::{
    fs::File,
    io::AsyncWriteExt,
    sync::Mutex,
    task,
    time::{self, Instant},
};

/// A client that sends nothing for so long has gone away.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// A form may take so long, and so much longer as its file would at [`BYTES_A_SECOND_MIN`].
const WITHIN: Duration = Duration::from_mins(10);
const BYTES_A_SECOND_MIN: u64 = 10_000;
/// How long what is not taken is listened to.
const HEAR_OUT: Duration = Duration::from_secs(60);
/// What may have come of a form without being handed on, before more is let come: its boundaries and the heads of its parts are short.
const HELD_BYTES_MAX: u64 = 1 << 16;
const TEXT_BYTES_MAX: usize = 200;
/// Of a part that nobody asked for.
const PASSED_OVER_BYTES_MAX: usize = 1 << 20;

/// Whether a request is one whose body is not read before its route reads it.
pub fn has_a_file(request: &Request) -> bool {
    let below = request.uri().path().strip_prefix(api::ROOT);
    request.method() == Method::POST && below.is_some_and(|path| api::WITH_A_FILE.contains(&path))
}

/// Why a form is not taken, in a sentence.
#[derive(Debug)]
pub(super) struct NotTaken(pub(super) StatusCode, pub(super) String);

impl NotTaken {
    pub(super) fn wrong(sentence: impl Into<String>) -> NotTaken {
        NotTaken(StatusCode::UNPROCESSABLE_ENTITY, sentence.into())
    }

    fn too_large(bytes_max: u64) -> NotTaken {
        let sentence = format!("A file may have up to {} (stillroom serve --upload-limit).", bytes_in_words(bytes_max));
        NotTaken(StatusCode::PAYLOAD_TOO_LARGE, sentence)
    }
}

/// The disk's trouble, which is logged and told in no detail.
pub(super) fn not_kept(error: io::Error) -> NotTaken {
    tracing::error!(%error, "an upload could not be kept");
    NotTaken(StatusCode::INTERNAL_SERVER_ERROR, "The file could not be kept; the server’s log says why.".into())
}

/// A folder for what is being sent, which goes away unless it is kept.
pub(super) struct Unfinished {
    path: PathBuf,
    is_kept: bool,
}

impl Unfinished {
    /// Empty, whatever was there.
    pub(super) async fn new(path: PathBuf) -> Result<Unfinished, NotTaken> {
        // One that could not be removed before.
        let _ = tokio::fs::remove_dir_all(&path).await;
        tokio::fs::create_dir_all(&path).await.map_err(not_kept)?;
        Ok(Unfinished { path, is_kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It is what it was to become: whoever has it now has given it another name.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed is in nobody's way: its name is none that anybody looks for.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Answers a form by what `take` makes of it: a program is told that, a browser is led to where it is shown. `fields`: those that it must
/// have, in words; `bytes_max`: bytes that its file may have, 0 where none is taken.
pub(super) async fn answer<T: Serialize, Taken: Future<Output = Result<T, NotTaken>>>(
    request: Request,
    bytes_max: u64,
    fields: &str,
    take: impl FnOnce(Multipart, Sent) -> Taken,
    shown_at: impl FnOnce(&T) -> String,
) -> Response {
    let to = To::of(request.headers());
    let (form, sent) = match open(request, bytes_max, fields).await {
        Ok(opened) => opened,
        Err(refusal) => return refusal,
    };
    match (take(form, sent.clone()).await, to) {
        (Ok(taken), To::Page) => Redirect::to(&shown_at(&taken)).into_response(),
        (Ok(taken), To::Program) => (StatusCode::CREATED, Json(taken)).into_response(),
        (Err(refused), to) => refuse(to, refused, Some(sent)).await,
    }
}

/// The form of a request, and its body as it comes.
///
/// # Errors
/// The answer to one that is no such form, or says beforehand that it is too long.
async fn open(request: Request, bytes_max: u64, fields: &str) -> Result<(Multipart, Sent), Response> {
    let to = To::of(request.headers());
    // Such a client sends nothing before it is told to, which the first look at its body does.
    let waits = request.headers().contains_key(header::EXPECT);
    if let Some(refused) = refuse_by_head(request.headers(), bytes_max, fields) {
        return Err(refuse(to, refused, (!waits).then(|| Sent::new(request.into_body(), HEAR_OUT))).await);
    }
    let (head, body) = request.into_parts();
    let within = WITHIN + Duration::from_secs(bytes_max / BYTES_A_SECOND_MIN);
    let sent = Sent { length: content_length(&head.headers), ..Sent::new(body, within) };
    match Multipart::from_request(Request::from_parts(head, sent.form()), &()).await {
        Ok(form) => Ok((form, sent)),
        Err(_) => Err(refuse(to, not_a_form(fields), Some(sent)).await),
    }
}

/// The answer to a form that is not taken. What is `unheard` of it is listened to first: whoever still sends would not hear the answer.
async fn refuse(to: To, NotTaken(status, sentence): NotTaken, unheard: Option<Sent>) -> Response {
    if let Some(sent) = unheard {
        let _ = time::timeout(HEAR_OUT, sent.hear_out()).await;
    }
    refusal(to, status, "This is not taken", &sentence)
}

fn not_a_form(fields: &str) -> NotTaken {
    NotTaken::wrong(format!("Send a form (multipart/form-data) with the fields {fields}."))
}

/// What can be said before anything of the body has come.
fn refuse_by_head(headers: &HeaderMap, bytes_max: u64, fields: &str) -> Option<NotTaken> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if bytes_max == 0 {
        let sentence = "This server takes no files (stillroom serve --upload-limit).";
        return Some(NotTaken(StatusCode::FORBIDDEN, sentence.into()));
    }
    if !text(header::CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data")) {
        return Some(not_a_form(fields));
    }
    let most = bytes_max.saturating_add(HELD_BYTES_MAX);
    content_length(headers).filter(|length| *length > most).map(|_| NotTaken::too_large(bytes_max))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A form's body as it comes. It is counted: whoever finds the form's parts in it holds all that was not handed on yet, and looks through
/// all of it for the end of what it is at.
#[derive(Clone)]
pub(super) struct Sent {
    body: Arc<Mutex<BodyDataStream>>,
    /// Bytes of parts that were taken over.
    handed_on: Arc<AtomicU64>,
    /// More came than may be held.
    is_endless: Arc<AtomicBool>,
    /// Bytes that all of it has, where its sender said so.
    pub(super) length: Option<u64>,
    /// How long all of it may take, and when that is over: who sends a byte now and then would hold a place and a name for ever.
    within: Duration,
    deadline: Instant,
}

impl Sent {
    fn new(body: Body, within: Duration) -> Sent {
        let body = Arc::new(Mutex::new(body.into_data_stream()));
        let deadline = Instant::now() + within;
        Sent { body, handed_on: Arc::default(), is_endless: Arc::default(), length: None, within, deadline }
    }

    /// For whoever finds the form's parts: it fails once more came than may be held.
    fn form(&self) -> Body {
        let sent = self.clone();
        Body::from_stream(stream::unfold(0u64, move |came| {
            let sent = sent.clone();
            async move {
                // Whoever reads takes all that is there before it looks at any of it: there is one piece at a time.
                task::yield_now().await;
                if came.saturating_sub(sent.handed_on.load(Ordering::Relaxed)) > HELD_BYTES_MAX {
                    sent.is_endless.store(true, Ordering::Relaxed);
                    return Some((Err(axum::Error::new(io::Error::other("a part of the form has no end"))), came));
                }
                let chunk = sent.body.lock().await.next().await?;
                let came = came + chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                Some((chunk, came))
            }
        }))
    }

    fn taken_over(&self, bytes: usize) {
        self.handed_on.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What comes next of a form; `None` at its end.
    ///
    /// # Errors
    /// 400 where it breaks off or more of it came than may be held; 408 where nothing comes, or all of it takes too long.
    pub(super) async fn next<T>(
        &self,
        next: impl Future<Output = Result<Option<T>, MultipartError>>,
    ) -> Result<Option<T>, NotTaken> {
        if Instant::now() >= self.deadline {
            let sentence = format!("A file may take {} minutes.", self.within.as_secs() / 60);
            return Err(NotTaken(StatusCode::REQUEST_TIMEOUT, sentence));
        }
        match time::timeout(SILENT_FOR, next).await {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(_)) if self.is_endless.load(Ordering::Relaxed) => {
                Err(NotTaken(StatusCode::BAD_REQUEST, "A part of the form has no end.".into()))
            }
            Ok(Err(_)) => Err(NotTaken(StatusCode::BAD_REQUEST, "The upload ended before its file did.".into())),
            Err(_) => {
                let sentence = format!("Nothing came for {} seconds.", SILENT_FOR.as_secs());
                Err(NotTaken(StatusCode::REQUEST_TIMEOUT, sentence))
            }
        }
    }

    /// The next bytes of a part.
    async fn chunk(&self, field: &mut Field<'_>) -> Result<Option<axum::body::Bytes>, NotTaken> {
        let chunk = self.next(field.chunk()).await?;
        self.taken_over(chunk.as_ref().map_or(0, |chunk| chunk.len()));
        Ok(chunk)
    }

    /// Lets the rest come, and keeps nothing of it.
    async fn hear_out(&self) {
        let mut body = self.body.lock().await;
        while let Some(Ok(_)) = body.next().await {}
    }
}

/// A part that is a short text.
pub(super) async fn text(mut field: Field<'_>, sent: &Sent) -> Result<String, NotTaken> {
    let mut bytes = Vec::new();
    while let Some(chunk) = sent.chunk(&mut field).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(NotTaken::wrong(format!("A field may have up to {TEXT_BYTES_MAX} bytes.")));
        }
    }
    String::from_utf8(bytes).map_err(|_| NotTaken::wrong("A field is not text."))
}

/// Lets a part come that nobody asked for, and keeps nothing of it.
pub(super) async fn pass_over(mut field: Field<'_>, sent: &Sent) -> Result<(), NotTaken> {
    let mut bytes = 0;
    while let Some(chunk) = sent.chunk(&mut field).await? {
        bytes += chunk.len();
        if bytes > PASSED_OVER_BYTES_MAX {
            return Err(NotTaken::wrong("The form has a long part that is none of its fields."));
        }
    }
    Ok(())
}

/// Writes a part of up to so many bytes into a file. `told` hears how many have come.
pub(super) async fn write(
    mut field: Field<'_>,
    sent: &Sent,
    path: &Path,
    bytes_max: u64,
    mut told: impl FnMut(u64),
) -> Result<(), NotTaken> {
    let mut file = File::create(path).await.map_err(not_kept)?;
    let mut left = bytes_max;
    while let Some(chunk) = sent.chunk(&mut field).await? {
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| NotTaken::too_large(bytes_max))?;
        file.write_all(&chunk).await.map_err(not_kept)?;
        told(bytes_max - left);
    }
    // Syncing alone forgets what the last write met, such as a full disk.
    file.flush().await.map_err(not_kept)?;
    file.sync_all().await.map_err(not_kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use std::convert::Infallible;

    /// Pieces of a form's body, without an end where `piece` never is `None`, and how many of them were asked for.
    async fn form(piece: impl Fn(usize) -> Option<Bytes> + Send + 'static) -> (Multipart, Sent, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        let pieces = stream::iter((0..).map_while(move |index| {
            count.fetch_add(1, Ordering::Relaxed);
            piece(index).map(Ok::<_, Infallible>)
        }));
        let sent = Sent::new(Body::from_stream(pieces), WITHIN);
        let request = Request::post("/").header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
        let form = Multipart::from_request(request.body(sent.form()).expect("a request"), &()).await;
        (form.expect("a form"), sent, asked)
    }

    const PIECE: usize = 1 << 12;

    #[tokio::test]
    async fn of_a_form_without_an_end_no_more_is_held_than_may_be() {
        // No boundary at all, and a part whose head does not end.
        for begin in ["", "--edge\r\ncontent-disposition: form-data; name=\"name\"\r\nx: "] {
            let piece = move |index| Some(if index == 0 { Bytes::from(begin) } else { Bytes::from(vec![b'a'; PIECE]) });
            let (mut form, sent, asked) = form(piece).await;
            let refused = sent.next(form.next_field()).await.map(drop).expect_err("it has no end");
            assert_eq!((refused.0, refused.1.as_str()), (StatusCode::BAD_REQUEST, "A part of the form has no end."));
            let pieces = asked.load(Ordering::Relaxed) as usize;
            assert!(
                (HELD_BYTES_MAX as usize / PIECE..=HELD_BYTES_MAX as usize / PIECE + 3).contains(&pieces),
                "{pieces}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_taken_over_may_be_as_long_as_it_likes() {
        let begin = "--edge\r\ncontent-disposition: form-data; name=\"archive\"\r\n\r\n";
        let pieces = 20 * HELD_BYTES_MAX as usize / PIECE;
        let piece = move |index| match index {
            0 => Some(Bytes::from(begin)),
            last if last == pieces + 1 => Some(Bytes::from("\r\n--edge--\r\n")),
            past if past > pieces => None,
            _ => Some(Bytes::from(vec![b'a'; PIECE])),
        };
        let (mut form, sent, _) = form(piece).await;
        let mut field = sent.next(form.next_field()).await.expect("it goes on").expect("a part");
        let mut bytes = 0;
        while let Some(chunk) = sent.chunk(&mut field).await.expect("it goes on") {
            bytes += chunk.len();
        }
        assert_eq!(bytes, pieces * PIECE);
        drop(field);
        assert!(sent.next(form.next_field()).await.expect("it ends").is_none());
    }

    #[tokio::test]
    async fn a_part_that_nobody_asked_for_is_let_come_and_not_for_ever() {
        // Longer than may be held of what is not handed on.
        for (pieces, is_taken) in [(PASSED_OVER_BYTES_MAX / PIECE, true), (PASSED_OVER_BYTES_MAX / PIECE + 1, false)] {
            let piece = move |index| match index {
                0 => Some(Bytes::from("--edge\r\ncontent-disposition: form-data; name=\"picture\"\r\n\r\n")),
                last if last == pieces + 1 => Some(Bytes::from("\r\n--edge--\r\n")),
                past if past > pieces => None,
                _ => Some(Bytes::from(vec![b'a'; PIECE])),
            };
            let (mut form, sent, _) = form(piece).await;
            let field = sent.next(form.next_field()).await.expect("it goes on").expect("a part");
            let passed = pass_over(field, &sent).await;
            assert_eq!(passed.is_ok(), is_taken, "{passed:?}");
            if is_taken {
                assert!(sent.next(form.next_field()).await.expect("it ends").is_none());
            }
        }
    }

    #[tokio::test]
    async fn what_comes_forever_though_never_silent_is_given_up() {
        let (mut form, mut sent, _) = form(|_| Some(Bytes::from(vec![b'a'; PIECE]))).await;
        sent.deadline = Instant::now();
        let refused = sent.next(form.next_field()).await.map(drop).expect_err("its time is over");
        assert_eq!((refused.0, refused.1.as_str()), (StatusCode::REQUEST_TIMEOUT, "A file may take 10 minutes."));
    }

    #[tokio::test]
    async fn a_folder_for_what_is_sent_is_empty_and_goes_away_unless_it_is_kept() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("flowers@8.upload");
        fs::create_dir_all(path.join("of before")).expect("a folder");
        let unfinished = Unfinished::new(path.clone()).await.expect("a folder");
        assert_eq!(fs::read_dir(unfinished.path()).expect("a folder").count(), 0);
        drop(unfinished);
        assert!(!path.exists());
        Unfinished::new(path.clone()).await.expect("a folder").keep();
        assert!(path.exists());
    }

    #[test]
    fn what_a_head_says_is_refused_before_the_body_comes() {
        let refused = |kind: &str, length: u64, bytes_max| {
            let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
            let headers: HeaderMap =
                headers.into_iter().map(|(name, value)| (name, value.parse().expect("a value"))).collect();
            refuse_by_head(&headers, bytes_max, "name and archive").map(|NotTaken(status, _)| status)
        };
        let form = "multipart/form-data; boundary=edge";
        assert_eq!(refused(form, 1000, 1000), None);
        assert_eq!(refused(form, 1000 + HELD_BYTES_MAX, 1000), None);
        assert_eq!(refused(form, 1001 + HELD_BYTES_MAX, 1000), Some(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(refused(form, 1, 0), Some(StatusCode::FORBIDDEN));
        assert_eq!(refused("application/zip", 1, 1000), Some(StatusCode::UNPROCESSABLE_ENTITY));
    }
}
