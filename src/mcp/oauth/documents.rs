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
const AT_ONCE: usize = 4;

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
    let got = timeout(PATIENCE, async {
        let _turn = ROOM.acquire().await.map_err(|_| "it was not tried")?;
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
