//! Connections: each may take five seconds to say what it wants, and there are never more than [`CONNECTIONS_MAX`].
//!
//! A connection carries one request. Kept alive, it would have to end some day without a word, and a client that sends its next
//! request at that moment could not tell whether it was heard. A page is a handful of requests: connecting anew costs it nothing
//! that a person would notice.

use axum::{Extension, Router};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    time,
};
use tower::ServiceExt;

/// A client that trickles its request's head would hold a connection for ever.
const HEADER_WITHIN: Duration = Duration::from_secs(5);
const CONNECTIONS_MAX: usize = 1024;
/// Answers in progress may take this long once the server stops.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// The address of the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Serves until `shutdown` turns true, then lets answers in progress finish.
pub async fn serve(listener: TcpListener, router: Router, mut shutdown: watch::Receiver<bool>) {
    // HTTP/1 from the first byte: while the version is still to be found out, no clock would run.
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WITHIN).keep_alive(false);
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    loop {
        // A place first: beyond the limit, connections wait in the operating system's queue.
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = shutdown.wait_for(|shutdown| *shutdown) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, say: trying again at once would only burn the processor.
                tracing::warn!(%error, "a connection was not accepted");
                time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Small answers should not wait for more.
        let _ = stream.set_nodelay(true);
        let service = router.clone().layer(Extension(Peer(peer.ip()))).into_service();
        let service = TowerToHyperService::new(
            service.map_request(|request: hyper::Request<hyper::body::Incoming>| request.map(axum::body::Body::new)),
        );
        let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away is no error of ours.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if time::timeout(FINISH_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers were cut off");
    }
}
