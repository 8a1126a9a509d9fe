//! Serving over real sockets that a handler can hang up.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The other end of a connection, as handlers see it (`ConnectInfo<Peer>`).
#[derive(Debug, Clone)]
pub struct Peer {
    address: SocketAddr,
    hung_up: Arc<AtomicBool>,
}

impl Peer {
    /// Where the connection comes from.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the connection without another byte; what the handler answers is lost.
    pub fn hang_up(&self) {
        self.hung_up.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Peer {
            address: *stream.remote_addr(),
            hung_up: stream.io().hung_up.clone(),
        }
    }
}

/// A listener whose connections a handler can hang up.
struct Door(TcpListener);

impl Listener for Door {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Without it answers wait for the peer's delayed acknowledgement; a socket that refuses the
        // option is merely slow.
        let _ = stream.set_nodelay(true);
        let line = Line {
            stream,
            hung_up: Arc::default(),
        };
        (line, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

struct Line {
    stream: TcpStream,
    hung_up: Arc<AtomicBool>,
}

impl Line {
    fn check(&self) -> io::Result<()> {
        if self.hung_up.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A sandbox that is being served; dropping it stops it too.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for a client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more connections and waits a second for the answers under way.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stop.take();
        let Some(mut task) = self.task.take() else {
            return Ok(());
        };
        match tokio::time::timeout(Duration::from_secs(1), &mut task).await {
            Ok(done) => done.map_err(io::Error::other)?,
            Err(_) => {
                task.abort();
                Ok(())
            }
        }
    }

    /// Serves until the process ends.
    pub async fn wait(mut self) -> io::Result<()> {
        match self.task.take() {
            Some(task) => task.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }
}

/// Serves a router on an address (port 0 picks a free one).
pub async fn serve(router: Router, address: SocketAddr) -> io::Result<Running> {
    let door = Door(TcpListener::bind(address).await?);
    let address = Listener::local_addr(&door)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(door, router.into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(async move {
            // A dropped sender is the signal.
            let _ = stopped.await;
        });
    let task = tokio::spawn(serving.into_future());
    Ok(Running {
        address,
        stop: Some(stop),
        task: Some(task),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hangs_up_without_a_byte_and_goes_on_serving() {
        let router = Router::new()
            .route(
                "/gone",
                axum::routing::get(
                    |axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<Peer>| async move {
                        peer.hang_up();
                        "never seen"
                    },
                ),
            )
            .route("/here", axum::routing::get(|| async { "here" }));
        let running = serve(router, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let gone = client.get(format!("{}/gone", running.url())).send().await;
        assert!(gone.is_err());
        let here = client
            .get(format!("{}/here", running.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(here.text().await.unwrap(), "here");
        let url = running.url();
        running.stop().await.unwrap();
        assert!(client.get(format!("{url}/here")).send().await.is_err());
    }
}
