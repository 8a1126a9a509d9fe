//! The HTTP clients: made late, once, and never for an answer that is already here.

use std::net::SocketAddr;
use std::sync::{Once, OnceLock};
use std::time::Duration;

use reqwest::{Certificate, Client, Url};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::error::{Error, Result};

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub read: Duration,
    /// For one attempt. A read ends earlier when its caller's deadline does; a write does not, since
    /// leaving early only means not to know what happened.
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            attempt: Duration::from_secs(60),
        }
    }
}

/// One client for the world and one for this machine.
///
/// What runs here and speaks plain HTTP is reached without a proxy and without reading the machine's
/// root certificates, which takes up to 70 ms when they are not in memory.
#[derive(Default)]
pub(crate) struct Clients {
    world: OnceLock<Client>,
    near: OnceLock<Client>,
}

impl Clients {
    pub fn for_url(&self, url: &Url, timeouts: Timeouts) -> Result<&Client> {
        let near = url.scheme() == "http" && is_loopback(url);
        let (place, build): (_, fn(Timeouts) -> Result<Client>) = if near {
            (&self.near, near_client)
        } else {
            (&self.world, world_client)
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // Two tasks may build one each at the same time; the second is dropped unused.
        let client = build(timeouts)?;
        Ok(place.get_or_init(|| client))
    }
}

/// Whether a URL is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// Says which cryptography TLS uses; the first call counts, later ones do nothing.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that somebody installed one before, which is just as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

fn builder(timeouts: Timeouts) -> reqwest::ClientBuilder {
    install_crypto();
    Client::builder()
        .tls_backend_rustls()
        .user_agent(concat!("medtainer/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Who may repeat a request is decided in one place, and it is not there.
        .retry(reqwest::retry::never())
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.read)
        // Shorter than servers keep theirs, so that a write rarely meets a connection that is just closing.
        .pool_idle_timeout(Duration::from_secs(20))
        .tcp_nodelay(true)
}

/// A client for one host, which it reaches at these addresses and nowhere else, proxies included.
pub(crate) fn pinned(host: &str, addresses: &[SocketAddr], patience: Duration) -> Result<Client> {
    let timeouts = Timeouts {
        connect: patience,
        read: patience,
        attempt: patience,
    };
    world(&|| {
        builder(timeouts)
            .no_proxy()
            .resolve_to_addrs(host, addresses)
    })
}

fn near_client(timeouts: Timeouts) -> Result<Client> {
    builder(timeouts)
        .no_proxy()
        .tls_certs_only([])
        .build()
        .map_err(unbuilt)
}

fn world_client(timeouts: Timeouts) -> Result<Client> {
    world(&|| builder(timeouts))
}

fn world(builder: &dyn Fn() -> reqwest::ClientBuilder) -> Result<Client> {
    let error = match builder().build() {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    tracing::debug!(%error, "no root certificates on this machine, using the ones built in");
    let roots = TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok());
    builder().tls_certs_only(roots).build().map_err(unbuilt)
}

fn unbuilt(error: reqwest::Error) -> Error {
    Error::internal("the HTTP client could not be made").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_for_the_world_and_one_for_this_machine() {
        // Without root certificates: run the test binary itself with SSL_CERT_FILE and SSL_CERT_DIR naming nothing
        // (cargo would set them right again).
        let clients = Clients::default();
        let client = |url: &str| -> *const Client {
            clients
                .for_url(&url.parse().unwrap(), Timeouts::default())
                .unwrap()
        };
        let near = client("http://127.0.0.1:1/");
        assert!(clients.world.get().is_none());
        assert_eq!(near, client("http://[::1]:2/"));
        assert_eq!(near, client("http://localhost/"));
        let world = client("https://api.example.com/");
        assert_ne!(near, world);
        assert_eq!(world, client("https://127.0.0.1/"));
        assert_eq!(world, client("http://api.example.com/"));
    }
}
