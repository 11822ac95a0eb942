//! The index of what was found. The only place for SQL.
//!
//! One SQLite file holds studies with their plans, what workers told of each segment, and shared comparisons. Segment folders
//! are the truth about a training; a lost index is read again from them. One process writes: through one connection, every
//! change in one transaction that is on disk when the call returns. Readers see the last commit and never wait for it.

mod cosines;
mod error;
mod facts;
mod growth;
mod lately;
mod record;
mod shares;
mod studies;

pub use error::StoreError;
pub use studies::{GoingOn, StoredStudy};

use lately::Lately;
use sqlx::{
    Connection, Sqlite, SqlitePool, Transaction,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use study::SegmentKey;
use tokio::sync::watch;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// An open database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    /// One connection: writes stand in line here instead of meeting in SQLite.
    writer: SqlitePool,
    readers: SqlitePool,
    revision: watch::Sender<u64>,
    /// Segments that have a living worker: a fact of this process and never stored.
    working: Arc<Mutex<BTreeSet<SegmentKey>>>,
    lately: Lately,
}

impl Store {
    /// The database's name inside the data folder.
    pub const FILE: &str = "stillroom.db";

    const READERS: u32 = 4;
    /// Epochs that are kept in memory once they were read, in the two dozen MB that a study of 200 runs takes while it is shown.
    const EPOCHS_KEPT: usize = 50_000;
    /// Each connection's own cache, in KiB: the file's pages lie in the system's cache anyway, which all connections share.
    const CACHE: &str = "-256";
    /// How long to wait for another process that holds the file, such as a copy being made.
    const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

    /// Opens the database of a data folder, making and migrating what is not there yet. Whoever opens it holds the folder's
    /// lock: the revision and who works are known in one process only.
    pub async fn open(data_dir: &Path) -> Result<Store, StoreError> {
        tokio::fs::create_dir_all(data_dir)
            .await
            .map_err(|source| StoreError::Folder { path: data_dir.to_owned(), source })?;
        let path = data_dir.join(Self::FILE);
        let unopened = |source| StoreError::Open { path: path.clone(), source };

        let options = SqliteConnectOptions::new()
            .filename(&path)
            .foreign_keys(true)
            .busy_timeout(Self::BUSY_TIMEOUT)
            .pragma("cache_size", Self::CACHE);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            // On a full disk SQLite takes a transaction back by itself, and the connection goes on counting it as open: every
            // later one would be refused. The pool has waited for rollbacks here, so such a connection makes room for another.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(
                options
                    .clone()
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // An acknowledged epoch survives a power cut.
                    .synchronous(SqliteSynchronous::Full),
            )
            .await
            .map_err(unopened)?;
        MIGRATIONS.run(&writer).await.map_err(|source| match source {
            MigrateError::VersionMissing(migration) => StoreError::Newer { path: path.clone(), migration },
            source => StoreError::Migration { path: path.clone(), source },
        })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(Self::READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.read_only(true))
            .await
            .map_err(unopened)?;
        let lately = Lately::new(Self::EPOCHS_KEPT);
        Ok(Store { writer, readers, revision: watch::Sender::new(0), working: Arc::default(), lately })
    }

    /// Opens the database of a data folder to be read, beside the process that may be at work there: makes and migrates nothing.
    pub async fn open_read_only(data_dir: &Path) -> Result<Store, StoreError> {
        let path = data_dir.join(Self::FILE);
        if !tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Err(StoreError::Missing { path });
        }
        let unopened = |source| StoreError::Open { path: path.clone(), source };
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(Self::BUSY_TIMEOUT).read_only(true);
        let readers =
            SqlitePoolOptions::new().max_connections(Self::READERS).connect_with(options).await.map_err(unopened)?;
        let found: Option<i64> = sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
            .fetch_one(&readers)
            .await
            .map_err(unopened)?;
        let known = MIGRATIONS.iter().map(|migration| migration.version).max();
        match found {
            Some(migration) if found > known => return Err(StoreError::Newer { path, migration }),
            _ if found < known => return Err(StoreError::Older { path }),
            _ => {}
        }
        // Another process writes there, and does not say when.
        let lately = Lately::new(0);
        Ok(Store { writer: readers.clone(), readers, revision: watch::Sender::new(0), working: Arc::default(), lately })
    }

    /// Finishes what is being written, folds the log into the database file and closes it. Every clone is closed with it.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A number that moves after every commit that a page could show, whenever a worker comes or goes, and by [`Store::touch`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Says that something moved that a page shows and that is not kept here, such as which images are at hand: whoever follows
    /// [`Store::changes`] looks again.
    pub fn touch(&self) {
        self.changed();
    }

    /// Says whether a worker is alive on the segment. Forgotten when the process ends.
    pub async fn set_working(&self, key: &SegmentKey, working: bool) {
        let moved = if working { self.working().insert(key.clone()) } else { self.working().remove(key) };
        if moved {
            self.changed();
        }
    }

    fn working(&self) -> MutexGuard<'_, BTreeSet<SegmentKey>> {
        // A set of keys is whole whatever its last holder was doing.
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// Takes the write lock at once: a transaction that reads first and writes later could be refused in its middle.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("begin immediate").await?)
    }
}

/// Reads stored JSON; `what` says whose it is, should it be unreadable.
fn read_json<T: serde::de::DeserializeOwned>(text: &str, what: impl FnOnce() -> String) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Unreadable { what: what(), source })
}

fn write_json<T: serde::Serialize>(value: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Unwritable { what, source })
}
