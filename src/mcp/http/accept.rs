//! Connections: taken in, bounded in number and in how long they may dawdle, and ended in good order.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::client::Remote;
use super::limits::Limits;

/// The connections of a server.
#[derive(Clone)]
pub(super) struct Connections {
    router: Router,
    limits: Limits,
    open: TaskTracker,
    room: Arc<Semaphore>,
    // No new request is read any more; the one under way is answered.
    winding_up: CancellationToken,
    // What is still open is closed as it stands.
    cut: CancellationToken,
}

/// What a client is told when there is no room for its connection.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 29\r\nconnection: close\r\n\r\n\
    too many connections at once\n";

impl Connections {
    pub(super) fn new(router: Router, limits: Limits) -> Self {
        Connections {
            router,
            limits,
            open: TaskTracker::new(),
            room: Arc::new(Semaphore::new(limits.connections)),
            winding_up: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Takes connections until `asked` to end.
    pub(super) async fn take(&self, listener: TcpListener, asked: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = asked.cancelled() => return self.winding_up.cancel(),
            };
            match accepted {
                Ok((mut stream, remote)) => {
                    let Ok(room) = self.room.clone().try_acquire_owned() else {
                        // As much as fits into the socket's buffer, without waiting for the client.
                        stream.try_write(FULL).ok();
                        stream.shutdown().await.ok();
                        continue;
                    };
                    let serving = self.clone().serve(stream, Remote(remote));
                    self.open.spawn(async move {
                        serving.await;
                        drop(room);
                    });
                }
                Err(e) => {
                    // Out of file descriptors, as a rule: others will be closed.
                    tracing::warn!("a connection could not be taken: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn serve(self, stream: TcpStream, remote: Remote) -> impl Future<Output = ()> {
        // Replies in several small writes would wait for the peer's delayed acknowledgement.
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY could not be set: {e}");
        }
        let router = self.router;
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(remote);
            let answer = router.clone().oneshot(request);
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
        });
        let mut connection = Box::pin(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.header_time)
                .serve_connection(TokioIo::new(stream), service),
        );
        async move {
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = self.winding_up.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection => ended,
                        () = self.cut.cancelled() => return,
                    }
                }
            };
            if let Err(e) = ended {
                tracing::debug!("a connection ended badly: {e}");
            }
        }
    }

    /// Waits until all are closed, but no longer than this.
    pub(super) async fn closed_within(&self, time: Duration) -> bool {
        self.open.close();
        tokio::time::timeout(time, self.open.wait()).await.is_ok()
    }

    /// Closes what is still open.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }
}
