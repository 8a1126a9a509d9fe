//! Connections: taken in, bounded in number and in how long they may dawdle, and ended in good order.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::Listen;
use super::client::{self, ClientAddress, Remote};
use super::limits::{Limits, Taken, Tally};

/// The connections of a server.
#[derive(Clone)]
pub(super) struct Connections {
    router: Router,
    limits: Limits,
    open: TaskTracker,
    room: Arc<Semaphore>,
    of_one: Tally,
    proxy: Proxy,
    warned: Arc<Mutex<Option<Instant>>>,
    // No new request is read any more; the one under way is answered.
    winding_up: CancellationToken,
    // What is still open is closed as it stands.
    cut: CancellationToken,
}

/// How often the log says that connections are turned away.
const WARNED: Duration = Duration::from_secs(60);

/// Where a proxy stands whose connections are those of all its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    /// There is none.
    Nowhere,
    /// On this machine or in its network.
    Near,
    /// Wherever a connection comes from: nobody comes but through it.
    Anywhere,
}

impl Proxy {
    pub(super) fn of(listen: &Listen) -> Proxy {
        match (listen.trust_proxy, &listen.public_url) {
            (true, _) => Proxy::Anywhere,
            (false, Some(_)) => Proxy::Near,
            (false, None) => Proxy::Nowhere,
        }
    }
}

/// What a client is told when there is no room for its connection.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 29\r\nconnection: close\r\n\r\n\
    too many connections at once\n";

/// What one is told that has too many of them.
const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 39\r\nconnection: close\r\n\r\n\
    too many connections from this address\n";

impl Connections {
    pub(super) fn new(router: Router, limits: Limits, proxy: Proxy) -> Self {
        Connections {
            router,
            limits,
            of_one: Tally::new(limits.connections_of_one),
            proxy,
            warned: Arc::default(),
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
                Ok((stream, remote)) => {
                    let place = match self.place(remote) {
                        Ok(place) => place,
                        Err(why) => {
                            self.warn(remote, why);
                            turn_away(stream, why).await;
                            continue;
                        }
                    };
                    let serving = self.clone().serve(stream, Remote(remote));
                    self.open.spawn(async move {
                        serving.await;
                        drop(place);
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

    /// A place for one more connection of this address, or what to say where there is none.
    fn place(
        &self,
        remote: SocketAddr,
    ) -> Result<(OwnedSemaphorePermit, Option<Taken>), &'static [u8]> {
        let of_one = match counted(remote.ip().to_canonical(), self.proxy) {
            None => None,
            Some(address) => Some(self.of_one.take(address.to_string()).ok_or(TOO_MANY)?),
        };
        let room = self.room.clone().try_acquire_owned();
        Ok((room.map_err(|_| FULL)?, of_one))
    }

    /// Says in the log that somebody is turned away, not more than once a minute.
    fn warn(&self, remote: SocketAddr, why: &[u8]) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_due(&mut warned, Instant::now()) {
            return;
        }
        if why == FULL {
            tracing::warn!(
                "connections are turned away: {} are open",
                self.limits.connections
            );
        } else {
            let network = ClientAddress(remote.ip().to_canonical()).network();
            tracing::warn!(
                "connections from {network} are turned away: it has {}; if it is a proxy, `--public-url` or `--trust-proxy` says so",
                self.limits.connections_of_one
            );
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

/// What the connections of an address are counted under; not those of this machine, nor those of a proxy,
/// which are those of all its clients.
fn counted(address: IpAddr, proxy: Proxy) -> Option<IpAddr> {
    let is_proxy = match proxy {
        Proxy::Nowhere => address.is_loopback(),
        Proxy::Near => client::is_near(address),
        Proxy::Anywhere => true,
    };
    (!is_proxy).then(|| ClientAddress(address).network())
}

/// Whether it is time to warn once more, which is remembered.
fn is_due(warned: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = warned.is_none_or(|last| now >= last + WARNED);
    if is_due {
        *warned = Some(now);
    }
    is_due
}

/// As much as fits into the socket's buffer, without waiting for the client.
async fn turn_away(mut stream: TcpStream, why: &[u8]) {
    stream.try_write(why).ok();
    stream.shutdown().await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_and_this_machine_are_not_counted() {
        let counted = |address: &str, proxy| {
            let address: IpAddr = address.parse().unwrap();
            counted(address, proxy).map(|address| address.to_string())
        };
        let far = Some("203.0.113.7");
        let far_v6 = Some("2001:db8:1:2::");
        for (address, alone, public) in [
            ("127.0.0.1", None, None),
            ("::1", None, None),
            ("10.0.0.7", Some("10.0.0.7"), None),
            ("fd00::7", Some("fd00::"), None),
            ("203.0.113.7", far, far),
            ("2001:db8:1:2:3::4", far_v6, far_v6),
        ] {
            let told = |proxy| counted(address, proxy);
            assert_eq!(told(Proxy::Nowhere).as_deref(), alone, "{address}");
            assert_eq!(told(Proxy::Near).as_deref(), public, "{address}");
            assert_eq!(told(Proxy::Anywhere), None, "{address}");
        }
    }

    #[test]
    fn the_log_is_not_flooded_too() {
        let (mut warned, now) = (None, Instant::now());
        let mut due = |second| is_due(&mut warned, now + Duration::from_secs(second));
        let asked = [0, 1, 59, 60, 61, 119, 121];
        assert_eq!(
            asked.map(&mut due),
            [true, false, false, true, false, false, true]
        );
    }
}
