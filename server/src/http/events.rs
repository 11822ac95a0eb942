//! `GET /events`: says that something changed, never what. Pages then ask again for what they show.

use super::{Shutdown, Site};
use axum::{
    Router,
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
    routing::get,
};
use futures::{Stream, stream};
use std::{convert::Infallible, time::Duration};
use store::Store;
use tokio::{sync::watch, time};

/// The least time between two messages to one page.
const PAUSE: Duration = Duration::from_millis(400);

pub fn routes() -> Router<Site> {
    Router::new().route("/events", get(events))
}

async fn events(State(site): State<Site>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let Shutdown(shutdown) = site.shutdown;
    let changes = revisions(&site.laboratory.store, site.laboratory.downloads.subscribe(), shutdown);
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

/// The store's revision now, and whenever it or a download has moved. Ends when the server stops: an open stream would hold it up.
fn revisions<T: Send + Sync>(
    store: &Store,
    downloads: watch::Receiver<T>,
    shutdown: watch::Receiver<bool>,
) -> impl Stream<Item = Result<Event, Infallible>> + use<T> {
    let mut changes = store.changes();
    changes.mark_changed();
    stream::unfold(
        (changes, downloads, shutdown, false),
        |(mut changes, mut downloads, mut shutdown, told)| async move {
            let next = async {
                if told {
                    time::sleep(PAUSE).await;
                }
                tokio::select! {
                    changed = changes.changed() => changed.ok()?,
                    moved = downloads.changed() => moved.ok()?,
                }
                Some(*changes.borrow_and_update())
            };
            let revision = tokio::select! {
                revision = next => revision?,
                _ = shutdown.wait_for(|shutdown| *shutdown) => return None,
            };
            Some((Ok(Event::default().data(revision.to_string())), (changes, downloads, shutdown, true)))
        },
    )
}
