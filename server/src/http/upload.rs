//! An archive of images that a person sends, by class or as a data set is published: it is kept as it came, unpacked in memory alone,
//! and is a data set at once if all of it can be read.

use super::{
    Site,
    download::TELL_EVERY,
    form::{self, NotTaken, Sent, Unfinished, not_kept},
};
use crate::{
    datasets::{Coming, NotBrought, Shelf, built_in},
    download::beside,
};
use app::laboratory::{Current, Download};
use axum::{
    extract::{Multipart, Request, State, multipart::Field},
    http::StatusCode,
    response::Response,
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};
use study::{Dataset, DatasetFacts};
use tokio::task;
use train::{TrainError, folder::sync_folder};

const ENDINGS: [&str; 4] = [".zip", ".tar.gz", ".tgz", ".tar"];

/// A form with `name` (such as flowers@64) and, behind it, `archive`. Programs are told the data set's facts; a browser is led to
/// where it is shown.
pub async fn upload(State(site): State<Site>, request: Request) -> Response {
    let (shelf, bytes_max, told) = (site.shelf, site.laboratory.upload_limit, site.laboratory.downloads);
    let take = |form, sent| take(shelf, bytes_max, told, form, sent);
    let shown_at = |facts: &DatasetFacts| format!("/data#{}", facts.dataset);
    form::answer(request, bytes_max, "name and, behind it, archive", take, shown_at).await
}

/// Of a data set that comes, or is here, already.
fn has_a_place(dataset: Dataset, why: NotBrought) -> NotTaken {
    let sentence = match (why, dataset) {
        (NotBrought::Comes, _) => format!("{dataset} is on its way here already: wait for it."),
        (_, Dataset::Folder(_)) => {
            format!("{dataset} has a place already: choose another name, or remove it first, on the page Data.")
        }
        _ => format!("{dataset} has a place already: remove it first, on the page Data."),
    };
    NotTaken(StatusCode::CONFLICT, sentence)
}

/// What pages and programs are told of what comes.
type Told = Current<BTreeMap<Dataset, Download>>;

/// An upload of which they are told, until this is dropped.
struct OnItsWay {
    dataset: Dataset,
    told: Told,
}

impl OnItsWay {
    fn say(&self, far: Download) {
        self.told.change(|all| {
            all.insert(self.dataset, far);
        });
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.told.change(|all| {
            all.remove(&self.dataset);
        });
    }
}

async fn take(
    shelf: Shelf,
    bytes_max: u64,
    told: Told,
    mut form: Multipart,
    sent: Sent,
) -> Result<DatasetFacts, NotTaken> {
    let mut name = None;
    while let Some(field) = sent.next(form.next_field()).await? {
        match field.name() {
            Some("name") => name = Some(form::text(field, &sent).await?),
            Some("archive") => {
                let name =
                    name.as_deref().ok_or_else(|| NotTaken::wrong("The form’s name must come before its archive."))?;
                let dataset = named(name)?;
                let coming = shelf.begin(dataset).map_err(|why| has_a_place(dataset, why))?;
                let folder = shelf.folder(dataset);
                if tokio::fs::try_exists(&folder).await.map_err(not_kept)? {
                    return Err(has_a_place(dataset, NotBrought::HasAPlace));
                }
                let received = receive(&folder, bytes_max, OnItsWay { dataset, told }, field, &sent).await?;
                let added = task::spawn_blocking(move || add(&shelf, coming, received));
                return added.await.unwrap_or_else(|ended| {
                    tracing::error!(%ended, "reading an upload ended by itself");
                    let sentence = "The archive could not be read; the server’s log says why.";
                    Err(NotTaken(StatusCode::INTERNAL_SERVER_ERROR, sentence.into()))
                });
            }
            _ => form::pass_over(field, &sent).await?,
        }
    }
    Err(NotTaken::wrong("The form has no archive."))
}

fn named(name: &str) -> Result<Dataset, NotTaken> {
    match name.trim().parse() {
        Ok(dataset) if !built_in(dataset) => Ok(dataset),
        _ => Err(NotTaken::wrong(format!(
            "An archive is named as its data set is, of which fashion-mnist-12k is here already: {}.",
            Dataset::ALLOWED
        ))),
    }
}

/// An archive that has come.
struct Received {
    /// Where it lies for as long as it is looked at.
    part: Unfinished,
    /// In that folder.
    archive: PathBuf,
    /// What it is called by who sent it.
    called: String,
    on_its_way: OnItsWay,
}

impl Received {
    /// What is wrong with it, said of the file that was sent: where this server put it is nobody else's business.
    fn as_sent(&self, problem: &TrainError) -> String {
        let places = [self.archive.as_path(), self.part.path()].map(|place| place.display().to_string());
        places.iter().fold(problem.to_string(), |said, place| said.replace(place, &self.called))
    }
}

/// Writes the archive into a folder beside that which it is to have.
async fn receive(
    folder: &Path,
    bytes_max: u64,
    on_its_way: OnItsWay,
    field: Field<'_>,
    sent: &Sent,
) -> Result<Received, NotTaken> {
    const LETTERS_MAX: usize = 100;
    let called = Path::new(field.file_name().unwrap_or_default()).file_name().unwrap_or_default();
    let called: String = called.to_string_lossy().chars().take(LETTERS_MAX).collect();
    let given = field.file_name().unwrap_or_default().to_lowercase();
    let ending = ENDINGS.into_iter().find(|ending| given.ends_with(ending));
    let ending =
        ending.ok_or_else(|| NotTaken::wrong(format!("The archive’s name must end with {}.", ENDINGS.join(", "))))?;
    let part = Unfinished::new(beside(folder, "upload")).await?;
    let archive = part.path().join(format!("images{ending}"));
    let mut said: Option<Instant> = None;
    let tell = |bytes| {
        // Every page that is open reads itself anew.
        if said.is_none_or(|when| when.elapsed() >= TELL_EVERY) {
            said = Some(Instant::now());
            on_its_way.say(Download::Sent { bytes, total: sent.length });
        }
    };
    form::write(field, sent, &archive, bytes_max, tell).await?;
    Ok(Received { part, archive, called, on_its_way })
}

/// Reads all of it: then it gets its name and is a data set of this machine, or it goes away, also where nobody waits for the answer any
/// more. Only then may the same data set come in another way: `received` is let go of before `coming`, which stands before it.
fn add(shelf: &Shelf, coming: Coming, received: Received) -> Result<DatasetFacts, NotTaken> {
    received.on_its_way.say(Download::BeingRead);
    let read = shelf.read(coming.dataset, received.part.path());
    let refused = |error| NotTaken::wrong(format!("The archive cannot be used: {}.", received.as_sent(&error)));
    let read = read.map_err(refused)?;
    let folder = shelf.folder(coming.dataset);
    put_in_place(received.part, &folder).map_err(not_kept)?;
    let facts = read.0.clone();
    shelf.add(read, &folder);
    Ok(facts)
}

/// Gives it its name. From then on it is there, and a server that starts finds it.
fn put_in_place(part: Unfinished, folder: &Path) -> io::Result<()> {
    fs::rename(part.path(), folder)?;
    part.keep();
    if let Err(error) = sync_folder(folder) {
        tracing::warn!(%error, "a data set that was sent may be gone after a power failure");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{datasets::DatasetPaths, machine};
    use std::{os::unix::fs::PermissionsExt, thread};
    use store::Store;
    use train::dataset::Notes;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_name_of_a_refused_upload_is_free_once_its_folder_is_gone() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(root.path()).await.expect("a store");
        let (machine, samples) = machine::find(root.path(), &DatasetPaths::new(), Notes::None, Some(1), 0);
        let paths = DatasetPaths::new();
        let place = root.path().to_owned();
        let shelf = Shelf::new(place, paths.clone(), paths.into(), machine.into(), samples.into(), store.clone());
        let dataset = "flowers@8".parse().expect("a data set");
        let coming = shelf.begin(dataset).expect("it comes");
        let part = Unfinished::new(beside(&shelf.folder(dataset), "upload")).await.expect("a folder");
        let folder = part.path().to_owned();
        // So many that removing them takes longer than asking again does.
        for file in 0..10_000 {
            fs::write(folder.join(format!("{file}.txt")), b"").expect("a file");
        }
        let (own, waits) = (shelf.clone(), folder.clone());
        let again = thread::spawn(move || {
            let again = loop {
                match own.begin(dataset) {
                    Ok(coming) => break coming,
                    Err(why) => assert_eq!(why, NotBrought::Comes),
                }
            };
            (waits.exists(), again)
        });
        let told = Told::from(BTreeMap::new());
        let received = Received {
            part,
            archive: folder.join("images.zip"),
            called: "flowers.zip".into(),
            on_its_way: OnItsWay { dataset, told: told.clone() },
        };
        let refused = add(&shelf, coming, received).map(drop).expect_err("these are no images");
        assert!(told.get().is_empty(), "it is not on its way any more");
        assert_eq!(refused.0, StatusCode::UNPROCESSABLE_ENTITY);
        let (was_there, again) = again.join().expect("it may come again");
        assert!(!was_there && !folder.exists(), "whoever comes next would have lost its folder");
        drop(again);
        store.close().await;
    }

    #[tokio::test]
    async fn what_has_its_name_is_there_even_where_that_cannot_be_synced() {
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: root may open every folder");
            return;
        }
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("flowers@8");
        let part = Unfinished::new(beside(&folder, "upload")).await.expect("a folder");
        // Files in it can be named, and it cannot be opened.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o300)).expect("it is ours");
        let put = put_in_place(part, &folder);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        put.expect("it has its name");
        assert!(folder.is_dir());
    }
}
