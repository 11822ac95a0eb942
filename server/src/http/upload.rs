//! An archive of images that a person sends, by class or as a data set is published: it is kept as it came, unpacked in memory alone,
//! and is a data set at once if all of it can be read.

use super::{Site, To, refusal};
use crate::{
    datasets::{Coming, NotBrought, Shelf, built_in},
    download::beside,
};
use axum::{
    Json,
    body::{Body, BodyDataStream},
    extract::{
        FromRequest, Multipart, Request, State,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use futures::{StreamExt, stream};
use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use study::{Dataset, DatasetFacts, cost::bytes_in_words};
use tokio::{fs::File, io::AsyncWriteExt, sync::Mutex, task, time};
use train::folder::sync_folder;

const PATH: &str = "/api/v1/datasets";
/// A client that sends nothing for so long has gone away.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// How long what is not taken is listened to.
const HEAR_OUT: Duration = Duration::from_secs(60);
/// What may have come of a form without being handed on, before more is let come: its boundaries and the heads of its parts are short.
const HELD_BYTES_MAX: u64 = 1 << 16;
const NAME_BYTES_MAX: usize = 100;
const ENDINGS: [&str; 4] = [".zip", ".tar.gz", ".tgz", ".tar"];

/// What uploads need.
#[derive(Clone)]
pub struct Uploads {
    pub shelf: Shelf,
    /// Bytes that an archive may have; 0: none is taken.
    pub bytes_max: u64,
}

/// Whether a request is one whose body is not read before its route reads it.
pub fn is_upload(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == PATH
}

/// Why an upload is not taken, in a sentence.
#[derive(Debug)]
struct NotTaken(StatusCode, String);

impl NotTaken {
    fn wrong(sentence: impl Into<String>) -> NotTaken {
        NotTaken(StatusCode::UNPROCESSABLE_ENTITY, sentence.into())
    }

    fn too_large(bytes_max: u64) -> NotTaken {
        let sentence =
            format!("An archive may have up to {} (stillroom serve --upload-limit).", bytes_in_words(bytes_max));
        NotTaken(StatusCode::PAYLOAD_TOO_LARGE, sentence)
    }

    /// Of a data set that comes, or is here, already.
    fn has_a_place(dataset: Dataset, why: NotBrought) -> NotTaken {
        let remove =
            format!("remove datasets/{dataset} from the data folder, if it lies there, and start Stillroom again.");
        let sentence = match (why, dataset) {
            (NotBrought::Comes, _) => format!("{dataset} is on its way here already: wait for it."),
            (_, Dataset::Folder(_)) => format!("{dataset} has a place already: choose another name, or {remove}"),
            _ => format!("{dataset} has a place already: {remove}"),
        };
        NotTaken(StatusCode::CONFLICT, sentence)
    }
}

/// The disk's trouble, which is logged and told in no detail.
fn not_kept(error: io::Error) -> NotTaken {
    tracing::error!(%error, "an upload could not be kept");
    NotTaken(StatusCode::INTERNAL_SERVER_ERROR, "The archive could not be kept; the server’s log says why.".into())
}

/// A form with `name` (such as flowers@64) and, behind it, `archive`. Programs are told the data set's facts; a browser is led to
/// where it is shown.
pub async fn upload(State(site): State<Site>, request: Request) -> Response {
    let to = To::of(request.headers());
    // Such a client sends nothing before it is told to, which the first look at its body does.
    let waits = request.headers().contains_key(header::EXPECT);
    let uploads = site.uploads;
    let (taken, unheard) = match refuse_by_head(request.headers(), uploads.bytes_max) {
        Some(refused) => (Err(refused), (!waits).then(|| Sent::new(request.into_body()))),
        None => {
            let (head, body) = request.into_parts();
            let sent = Sent::new(body);
            let form = Multipart::from_request(Request::from_parts(head, sent.form()), &()).await;
            let taken = match form {
                Ok(mut form) => take(&uploads, &mut form, &sent).await,
                Err(_) => Err(not_a_form()),
            };
            (taken, Some(sent))
        }
    };
    match (taken, to) {
        (Ok(facts), To::Page) => Redirect::to(&format!("/data#{}", facts.dataset)).into_response(),
        (Ok(facts), To::Program) => (StatusCode::CREATED, Json(facts)).into_response(),
        (Err(NotTaken(status, sentence)), to) => {
            if let Some(sent) = unheard {
                // Whoever still sends would not hear the answer.
                let _ = time::timeout(HEAR_OUT, sent.hear_out()).await;
            }
            refusal(to, status, "This is not taken", &sentence)
        }
    }
}

fn not_a_form() -> NotTaken {
    NotTaken::wrong("Send a form (multipart/form-data) with the fields name and, behind it, archive.")
}

/// What can be said before anything of the body has come.
fn refuse_by_head(headers: &HeaderMap, bytes_max: u64) -> Option<NotTaken> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if bytes_max == 0 {
        let sentence = "This server takes no archives (stillroom serve --upload-limit).";
        return Some(NotTaken(StatusCode::FORBIDDEN, sentence.into()));
    }
    if !text(header::CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data")) {
        return Some(not_a_form());
    }
    let length: Option<u64> = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let most = bytes_max.saturating_add(HELD_BYTES_MAX);
    length.filter(|length| *length > most).map(|_| NotTaken::too_large(bytes_max))
}

/// A form's body as it comes. It is counted: whoever finds the form's parts in it holds all that was not handed on yet, and looks through
/// all of it for the end of what it is at.
#[derive(Clone)]
struct Sent {
    body: Arc<Mutex<BodyDataStream>>,
    /// Bytes of parts that were taken over.
    handed_on: Arc<AtomicU64>,
    /// More came than may be held.
    is_endless: Arc<AtomicBool>,
}

impl Sent {
    fn new(body: Body) -> Sent {
        let body = Arc::new(Mutex::new(body.into_data_stream()));
        Sent { body, handed_on: Arc::default(), is_endless: Arc::default() }
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
    async fn next<T>(
        &self,
        next: impl Future<Output = Result<Option<T>, MultipartError>>,
    ) -> Result<Option<T>, NotTaken> {
        match time::timeout(SILENT_FOR, next).await {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(_)) if self.is_endless.load(Ordering::Relaxed) => {
                Err(NotTaken(StatusCode::BAD_REQUEST, "A part of the form has no end.".into()))
            }
            Ok(Err(_)) => Err(NotTaken(StatusCode::BAD_REQUEST, "The upload ended before the archive did.".into())),
            Err(_) => {
                let sentence = format!("Nothing of the archive came for {} seconds.", SILENT_FOR.as_secs());
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

async fn take(uploads: &Uploads, form: &mut Multipart, sent: &Sent) -> Result<DatasetFacts, NotTaken> {
    let mut name = None;
    while let Some(field) = sent.next(form.next_field()).await? {
        match field.name() {
            Some("name") => name = Some(text(field, sent).await?),
            Some("archive") => {
                let name =
                    name.as_deref().ok_or_else(|| NotTaken::wrong("The form’s name must come before its archive."))?;
                let dataset = named(name)?;
                let coming = uploads.shelf.begin(dataset).map_err(|why| NotTaken::has_a_place(dataset, why))?;
                if tokio::fs::try_exists(uploads.shelf.folder(dataset)).await.map_err(not_kept)? {
                    return Err(NotTaken::has_a_place(dataset, NotBrought::HasAPlace));
                }
                let part = receive(uploads, field, &coming, sent).await?;
                return add(uploads.shelf.clone(), coming, part).await;
            }
            _ => {}
        }
    }
    Err(NotTaken::wrong("The form has no archive."))
}

fn named(name: &str) -> Result<Dataset, NotTaken> {
    match name.trim().parse() {
        Ok(dataset) if !built_in(dataset) => Ok(dataset),
        _ => Err(NotTaken::wrong(
            "Name it NAME@PIXELS, such as flowers@64: small letters, digits and hyphens, then 8 to 64 pixels, divisible by 4. \
             An archive as it is published is named fashion-mnist, mnist, cifar-10, cifar-100 or tiny-imagenet.",
        )),
    }
}

async fn text(mut field: Field<'_>, sent: &Sent) -> Result<String, NotTaken> {
    let mut bytes = Vec::new();
    while let Some(chunk) = sent.chunk(&mut field).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > NAME_BYTES_MAX {
            return Err(NotTaken::wrong("The name is too long."));
        }
    }
    String::from_utf8(bytes).map_err(|_| NotTaken::wrong("The name is not text."))
}

/// A folder that goes away unless it is kept.
struct Unfinished(PathBuf);

impl Unfinished {
    fn keep(mut self) {
        // What is left to remove has no path.
        self.0 = PathBuf::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way: it has no data set's name.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes the archive into a folder beside that which it is to have.
async fn receive(
    uploads: &Uploads,
    mut field: Field<'_>,
    coming: &Coming,
    sent: &Sent,
) -> Result<Unfinished, NotTaken> {
    let given = field.file_name().unwrap_or_default().to_lowercase();
    let ending = ENDINGS.into_iter().find(|ending| given.ends_with(ending));
    let ending =
        ending.ok_or_else(|| NotTaken::wrong(format!("The archive’s name must end with {}.", ENDINGS.join(", "))))?;
    let part = Unfinished(beside(&uploads.shelf.folder(coming.dataset), "upload"));
    // One that could not be removed before.
    let _ = tokio::fs::remove_dir_all(&part.0).await;
    tokio::fs::create_dir_all(&part.0).await.map_err(not_kept)?;
    let mut file = File::create(part.0.join(format!("images{ending}"))).await.map_err(not_kept)?;
    let mut left = uploads.bytes_max;
    while let Some(chunk) = sent.chunk(&mut field).await? {
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| NotTaken::too_large(uploads.bytes_max))?;
        file.write_all(&chunk).await.map_err(not_kept)?;
    }
    // Syncing alone forgets what the last write met, such as a full disk.
    file.flush().await.map_err(not_kept)?;
    file.sync_all().await.map_err(not_kept)?;
    Ok(part)
}

/// Reads all of it: then it gets its name and is a data set of this machine, or it goes away, also where nobody waits for the answer any
/// more. Only then may the same data set come in another way.
async fn add(shelf: Shelf, coming: Coming, part: Unfinished) -> Result<DatasetFacts, NotTaken> {
    let added = task::spawn_blocking(move || {
        let read = shelf.read(coming.dataset, &part.0);
        let read = read.map_err(|error| NotTaken::wrong(format!("The archive cannot be used: {error}.")))?;
        let folder = shelf.folder(coming.dataset);
        fs::rename(&part.0, &folder).and_then(|()| sync_folder(&folder)).map_err(not_kept)?;
        part.keep();
        let facts = read.0.clone();
        shelf.add(read, &folder);
        drop(coming);
        Ok(facts)
    });
    added.await.unwrap_or_else(|ended| {
        tracing::error!(%ended, "reading an upload ended by itself");
        let sentence = "The archive could not be read; the server’s log says why.";
        Err(NotTaken(StatusCode::INTERNAL_SERVER_ERROR, sentence.into()))
    })
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
        let sent = Sent::new(Body::from_stream(pieces));
        let request = Request::post(PATH).header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
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

    #[test]
    fn what_a_head_says_is_refused_before_the_body_comes() {
        let refused = |kind: &str, length: u64, bytes_max| {
            let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
            let headers: HeaderMap =
                headers.into_iter().map(|(name, value)| (name, value.parse().expect("a value"))).collect();
            refuse_by_head(&headers, bytes_max).map(|NotTaken(status, _)| status)
        };
        let form = "multipart/form-data; boundary=edge";
        assert_eq!(refused(form, 1000, 1000), None);
        assert_eq!(refused(form, 1000 + HELD_BYTES_MAX, 1000), None);
        assert_eq!(refused(form, 1001 + HELD_BYTES_MAX, 1000), Some(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(refused(form, 1, 0), Some(StatusCode::FORBIDDEN));
        assert_eq!(refused("application/zip", 1, 1000), Some(StatusCode::UNPROCESSABLE_ENTITY));
    }
}
