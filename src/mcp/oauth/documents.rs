//! Clients whose id is the address of a document that describes them.
//!
//! Fetching an address that a stranger names is done with care: https alone, addresses of the public
//! internet alone, the very ones that were looked at, no redirects, two seconds, 64 KiB. Documents of
//! well-known clients are built in, since their hosts turn servers away; those are never fetched.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client as Http, Url, header};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::client::{Client, Kind, shown};
use super::redirect;
use crate::app::App;
use crate::dns::{DomainName, Lookup, RecordType};
use crate::http;
use crate::store::Business;

/// How long a fetch may take, looking up included, and how long a document may be.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST: usize = 64 * 1_024;

/// How long a document is good for at least and at most, and how long a failure is remembered.
const SHORTEST_LIFE: Duration = Duration::from_secs(5 * 60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3_600);
const FAILURE: Duration = Duration::from_secs(30);

/// How many documents are kept, and how many fetched at once.
const MOST: usize = 500;
const AT_ONCE: usize = 16;

struct BuiltIn {
    id: &'static str,
    name: &'static str,
    redirect_uris: &'static [&'static str],
}

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        id: "https://claude.ai/oauth/mcp-oauth-client-metadata",
        name: "Claude",
        redirect_uris: &[
            "https://claude.ai/api/mcp/auth_callback",
            "https://claude.com/api/mcp/auth_callback",
        ],
    },
    BuiltIn {
        id: "https://claude.ai/oauth/claude-code-client-metadata",
        name: "Claude Code",
        redirect_uris: &["http://localhost/callback", "http://127.0.0.1/callback"],
    },
    BuiltIn {
        id: "https://vscode.dev/oauth/client-metadata.json",
        name: "Visual Studio Code",
        redirect_uris: &["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
    },
];

/// The documents that this server knows.
#[derive(Default)]
pub struct Documents {
    kept: Mutex<HashMap<String, Kept>>,
}

struct Kept {
    // None where it could not be had.
    client: Option<Client>,
    until: Instant,
}

/// Whether an id is the address of a document.
pub fn is_address(id: &str) -> bool {
    id.starts_with("https://")
}

impl Documents {
    /// The client that a document describes; none when it cannot be had. `known` is what was kept when
    /// the owner last allowed it something.
    pub async fn find(&self, app: &App, id: &str, known: Option<Client>) -> Option<Client> {
        if let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.id == id) {
            return Some(Client {
                id: id.to_owned(),
                kind: Kind::Document,
                name: built_in.name.to_owned(),
                redirect_uris: built_in
                    .redirect_uris
                    .iter()
                    .map(|uri| (*uri).into())
                    .collect(),
                auth_method: "none".to_owned(),
                secret_hash: None,
            });
        }
        if let Some(fresh) = self.fresh(id) {
            return fresh.or(known);
        }
        let fetched = fetch(app, id).await;
        if let Err(why) = &fetched {
            tracing::info!(client_id = id, "its document cannot be had: {why}");
        }
        self.keep(id, fetched.ok()).or(known)
    }

    fn fresh(&self, id: &str) -> Option<Option<Client>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(id).filter(|kept| kept.until > Instant::now())?;
        Some(kept.client.clone())
    }

    /// Keeps what was fetched; where nothing was, what was there before goes on being good for a while.
    fn keep(&self, id: &str, fetched: Option<(Client, Duration)>) -> Option<Client> {
        let now = Instant::now();
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(id) {
            all.retain(|_, kept| kept.until > now);
            if all.len() >= MOST {
                all.clear();
            }
        }
        let (client, life) = match fetched {
            Some((client, life)) => (Some(client), life),
            None => (all.remove(id).and_then(|kept| kept.client), FAILURE),
        };
        all.insert(
            id.to_owned(),
            Kept {
                client: client.clone(),
                until: now + life,
            },
        );
        client
    }
}

async fn fetch(app: &App, id: &str) -> Result<(Client, Duration), &'static str> {
    static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);
    let host = host_of(id)?;
    // The turn is waited for apart: hosts that dawdle are not to use up the time of others.
    let turn = timeout(PATIENCE, ROOM.acquire()).await;
    let _turn = turn
        .ok()
        .and_then(Result::ok)
        .ok_or("too many were fetched at once")?;
    let got = timeout(PATIENCE, async {
        let addresses = addresses(app, &host).await?;
        let http = http::pinned(&host, &addresses, PATIENCE).map_err(|_| "there is no client")?;
        load(&http, id).await
    });
    got.await.unwrap_or(Err("it took too long"))
}

/// The host of an address that may be fetched.
fn host_of(id: &str) -> Result<String, &'static str> {
    let url: Url = id.parse().map_err(|_| "it is no URL")?;
    let authority = id
        .strip_prefix("https://")
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .ok_or("it does not begin with https://")?;
    let path = url.path();
    if url.as_str() != id || id.len() > 500 {
        return Err("it is not written in the one way an address is");
    }
    if authority.contains(['@', ':', '[']) || url.fragment().is_some() {
        return Err("it has a user, a port or a fragment");
    }
    if path == "/" || path.split('/').any(|part| part == "." || part == "..") {
        return Err("it has no path");
    }
    // Names alone: an address has no certificate that says whose it is.
    match url.host_str() {
        Some(host) if host.contains('.') && host.parse::<IpAddr>().is_err() => Ok(host.to_owned()),
        _ => Err("its host is not a name of the internet"),
    }
}

/// The addresses of a host, all of them on the public internet.
async fn addresses(app: &App, host: &str) -> Result<Vec<SocketAddr>, &'static str> {
    let unknown = "its host is not known";
    let resolver = app.resolver(&Business::default()).await;
    let session = resolver
        .map_err(|_| unknown)?
        .session(Instant::now() + PATIENCE);
    let name: DomainName = host.parse().map_err(|_| unknown)?;
    let (v4, v6) = tokio::join!(
        session.lookup(&name, &RecordType::A),
        session.lookup(&name, &RecordType::Aaaa)
    );
    let all: Vec<IpAddr> = v4
        .data()
        .chain(v6.data())
        .filter_map(|data| data.parse().ok())
        .collect();
    match all.iter().all(|address| is_public(*address)) {
        _ if all.is_empty() => Err(unknown),
        true => Ok(all.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect()),
        false => Err("its host is not on the public internet"),
    }
}

/// Whether an address is one of the public internet, where nothing of ours is.
fn is_public(address: IpAddr) -> bool {
    let v6 = match address {
        IpAddr::V4(v4) => return is_public_v4(v4),
        IpAddr::V6(v6) => v6,
    };
    let segments = v6.segments();
    match segments {
        // Those that carry an IPv4 address: mapped ones, translated ones, 6to4.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x2002, ..] => false,
        // Teredo, ORCHID, benchmarks and whatever else has a meaning of its own; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    // This network, private ones, carriers', loopback, links, protocols, documentation, benchmarks,
    // 6to4 relays, multicast, reserved.
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

/// Fetches the document at its address.
async fn load(http: &Http, id: &str) -> Result<(Client, Duration), &'static str> {
    let asked = http.get(id).header(header::ACCEPT, "application/json");
    let mut reply = asked.send().await.map_err(|_| "its host does not answer")?;
    if reply.status() != reqwest::StatusCode::OK {
        return Err("its host answers with something else");
    }
    let life = life(reply.headers());
    let mut body = Vec::new();
    while let Some(part) = reply.chunk().await.map_err(|_| "it broke off")? {
        if body.len() + part.len() > LONGEST {
            return Err("it is too long");
        }
        body.extend_from_slice(&part);
    }
    Ok((read(id, &body)?, life))
}

/// How long the host says the document is good for, within our bounds.
fn life(headers: &header::HeaderMap) -> Duration {
    let said = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|part| {
            part.trim()
                .to_lowercase()
                .strip_prefix("max-age=")?
                .parse()
                .ok()
        });
    Duration::from_secs(said.unwrap_or_default()).clamp(SHORTEST_LIFE, LONGEST_LIFE)
}

#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_name: String,
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    #[serde(default, alias = "token_endpoint_auth_methods_supported")]
    token_endpoint_auth_methods: Vec<String>,
}

fn read(id: &str, body: &[u8]) -> Result<Client, &'static str> {
    let document: Document =
        serde_json::from_slice(body).map_err(|_| "it does not describe a client")?;
    if document.client_id != id {
        return Err("it describes another client");
    }
    let mut methods = document.token_endpoint_auth_methods;
    methods.extend(document.token_endpoint_auth_method);
    if !methods.is_empty() && !methods.iter().any(|method| method == "none") {
        return Err("it proves who it is in a way that we do not know");
    }
    let mut redirect_uris = document.redirect_uris;
    redirect_uris.retain(|uri| redirect::parse(uri).is_some());
    redirect_uris.truncate(20);
    if redirect_uris.is_empty() {
        return Err("it names no address that an answer may be sent to");
    }
    Ok(Client {
        id: id.to_owned(),
        kind: Kind::Document,
        name: shown(&document.client_name),
        redirect_uris,
        auth_method: "none".to_owned(),
        secret_hash: None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;

    use super::*;

    #[test]
    fn only_plain_addresses_of_names_are_fetched() {
        assert_eq!(
            host_of("https://client.example/metadata.json").unwrap(),
            "client.example"
        );
        assert!(host_of("https://client.example/a/b?version=1").is_ok());
        for id in [
            "http://client.example/x",
            "https://client.example",
            "https://client.example/",
            "https://client.example:8443/x",
            "https://client.example:443/x",
            "https://me@client.example/x",
            "https://client.example/x#y",
            "https://client.example/../x",
            "https://Client.example/x",
            "https://localhost/x",
            "https://127.0.0.1/x",
            "https://2130706433/x",
            "https://0x7f.1/x",
            "https://[::1]/x",
            "https://client.example\\@evil.example/x",
            "https:///x",
        ] {
            assert!(host_of(id).is_err(), "{id}");
        }
        assert!(host_of(&format!("https://client.example/{}", "x".repeat(500))).is_err());
    }

    #[test]
    fn only_the_public_internet_is_asked() {
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "100.63.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for other in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::7f00:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(other.parse().unwrap()), "{other}");
        }
    }

    /// A host that answers with this, reached under a name.
    async fn host(
        answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
    ) -> (Http, String, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let router = Router::new().fallback(get(move || {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(answer())
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let http = http::pinned(
            "client.example",
            &[SocketAddr::new(address.ip(), 0)],
            PATIENCE,
        )
        .unwrap();
        (
            http,
            format!("http://client.example:{}/client", address.port()),
            asked,
        )
    }

    #[tokio::test]
    async fn what_is_fetched_is_bounded() {
        let (http, id, asked) =
            host(|| (StatusCode::FOUND, [("location", "/elsewhere")]).into_response()).await;
        assert!(load(&http, &id).await.is_err());
        assert_eq!(
            asked.load(Ordering::Relaxed),
            1,
            "nobody is followed elsewhere"
        );
        let (http, id, _) = host(|| " ".repeat(LONGEST + 1).into_response()).await;
        assert_eq!(load(&http, &id).await.unwrap_err(), "it is too long");
        let (http, id, _) = host(|| StatusCode::FORBIDDEN.into_response()).await;
        assert!(load(&http, &id).await.is_err());
        let (http, id, _) = host(|| "{".into_response()).await;
        assert!(load(&http, &id).await.is_err());
        let (http, ..) = host(|| "".into_response()).await;
        assert!(
            load(&http, "http://other.example/client").await.is_err(),
            "the pinned host alone is there"
        );
    }

    #[tokio::test]
    async fn a_document_describes_the_client_at_its_own_address() {
        let document = |id: &str, more: &str| {
            format!(
                r#"{{"client_id":"{id}","client_name":"A\u0000 client","redirect_uris":["https://client.example/cb","app://cb"],"grant_types":["x"],"y":1{more}}}"#
            )
        };
        let id = "https://client.example/client";
        let client = read(id, document(id, "").as_bytes()).unwrap();
        assert_eq!(
            (client.name.as_str(), client.auth_method.as_str()),
            ("A client", "none")
        );
        assert_eq!(client.redirect_uris, ["https://client.example/cb"]);
        let both = r#","token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["none"]"#;
        assert!(read(id, document(id, both).as_bytes()).is_ok());
        let secret = r#","token_endpoint_auth_method":"private_key_jwt""#;
        assert!(read(id, document(id, secret).as_bytes()).is_err());
        assert!(read("https://other.example/client", document(id, "").as_bytes()).is_err());
        assert!(read(id, br#"{"client_id":"https://client.example/client","client_name":"x","redirect_uris":[]}"#).is_err());
        assert!(read(id, b"[]").is_err());

        // Its own address, whatever port it has here.
        let told = Arc::new(Mutex::new(String::new()));
        let body = told.clone();
        let (http, url, _) = host(move || {
            let body = body.lock().unwrap().clone();
            ([("cache-control", "public, max-age=7200")], body).into_response()
        })
        .await;
        *told.lock().unwrap() = document(&url, "");
        let (client, life_of_it) = load(&http, &url).await.unwrap();
        assert_eq!((client.id, life_of_it), (url, Duration::from_secs(7_200)));
        let life = |value: &str| {
            life(
                &[(header::CACHE_CONTROL, value.parse().unwrap())]
                    .into_iter()
                    .collect(),
            )
        };
        assert_eq!(life("max-age=7200"), Duration::from_secs(7_200));
        assert_eq!(life("no-store"), SHORTEST_LIFE);
        assert_eq!(life("max-age=99999999"), LONGEST_LIFE);
    }

    #[tokio::test]
    async fn what_cannot_be_fetched_again_goes_on_being_good() {
        let documents = Documents::default();
        let id = "https://client.example/client";
        assert!(documents.fresh(id).is_none());
        let client = Client {
            id: id.to_owned(),
            kind: Kind::Document,
            name: "A client".to_owned(),
            redirect_uris: Vec::new(),
            auth_method: "none".to_owned(),
            secret_hash: None,
        };
        documents.keep(id, Some((client, SHORTEST_LIFE)));
        assert!(documents.fresh(id).unwrap().is_some());
        documents.kept.lock().unwrap().get_mut(id).unwrap().until = Instant::now();
        assert!(documents.fresh(id).is_none(), "it is fetched again");
        assert!(documents.keep(id, None).is_some());
        assert!(
            documents.fresh(id).unwrap().is_some(),
            "and not at once again"
        );
        assert!(
            documents
                .keep("https://other.example/client", None)
                .is_none()
        );
        assert!(
            documents
                .fresh("https://other.example/client")
                .unwrap()
                .is_none()
        );
        for i in 0..2 * MOST {
            documents.keep(&format!("https://{i}.example/client"), None);
        }
        assert!(documents.kept.lock().unwrap().len() <= MOST);
    }
}
