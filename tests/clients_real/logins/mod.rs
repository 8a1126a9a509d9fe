//! Logins: clients that are sent to the consent page, refresh their tokens, outlive a restart of
//! the server, and ask again when a call needs more.
//!
//! Each is known to the server in three ways, where it has a word for it:
//!
//! | client | a document | registers itself | added by hand |
//! | --- | --- | --- | --- |
//! | Python 2.3 and 1.30 | `client_metadata_url` | unasked | what its storage gives |
//! | TypeScript 2 and 1 | `clientMetadataUrl` of its provider | unasked | `clientInformation` of it |
//! | fastmcp | `client_metadata_url` | unasked | `client_id`, `client_secret` |
//! | Inspector | `--client-metadata-url` | unasked | `--client-id`, `--client-secret` |
//! | mcp-remote | `--client-metadata-url` | unasked | `--static-oauth-client-info` |
//! | Claude Code | unasked | where the server knows no documents | `--client-id`, `--client-secret` |
//!
//! And who asks the owner again when a call is answered with `insufficient_scope`: all but the old
//! TypeScript SDK, which refreshes its token where it should ask for more, and gives up. Inspector
//! wants a word of whoever runs it, and Claude Code has its person log in once more.

mod programs;
mod sdks;
mod strangers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::between::Between;
use super::free;
use super::owner::Owner;
use crate::mcp::house::{Home, House};
use crate::registry::Npm;

pub use sdks::{Told, python};

/// How long access lasts. Some clients do not refresh what their own clock calls good, so there has to
/// be time for a call before it ends, even on a machine with much to do.
pub const TTL: Duration = Duration::from_secs(6);

/// A document that describes a client, of which the server has a copy. It names
/// `http://localhost/callback` and `http://127.0.0.1/callback`.
pub const DOCUMENT: &str = "https://claude.ai/oauth/claude-code-client-metadata";

/// A server that lets nobody in, with its owner, and tokens that do not last.
pub struct Guarded {
    pub house: House,
    pub passphrase: String,
    pub owner: Owner,
    /// The address that clients use.
    pub url: String,
    public: Option<String>,
}

/// A home whose owner has a passphrase, and whose tokens do not last.
pub async fn home() -> (Home, String) {
    let passphrase = format!("open {}", Uuid::new_v4());
    let mut home = Home::new().await;
    let ttl = TTL.as_secs().to_string();
    for (name, value) in [
        ("MEDTAINER_MCP_PASSPHRASE", passphrase.as_str()),
        ("MEDTAINER_MCP_ACCESS_TTL", &ttl),
        ("MEDTAINER_LOG", "info"),
    ] {
        home.env.push((name.into(), value.into()));
    }
    (home, passphrase)
}

impl Guarded {
    pub async fn new(npm: &Npm) -> Guarded {
        let (home, passphrase) = home().await;
        let house = House::start(home, &serve(&here(), None)).await;
        Guarded {
            url: house.url.clone(),
            public: None,
            owner: Owner::new(npm, &passphrase),
            house,
            passphrase,
        }
    }

    /// One behind a proxy that changes the documents which tell clients how to log in.
    pub async fn behind(npm: &Npm, changes: fn(&str, &mut serde_json::Value)) -> Guarded {
        let (home, passphrase) = home().await;
        let between = Between::new().await;
        let public = between.origin.clone();
        let house = House::start(home, &serve(&here(), Some(&public))).await;
        between.before(vec![house.url.replace("/mcp", "")], changes);
        Guarded {
            url: format!("{public}/mcp"),
            public: Some(public),
            owner: Owner::new(npm, &passphrase),
            house,
            passphrase,
        }
    }

    /// The id and the secret of a client that the owner added.
    pub async fn by_hand(&self, redirect: &str) -> (String, String) {
        let add = ["mcp", "clients", "add", "By hand", "--secret"];
        let client = self
            .house
            .home
            .run(&[&add[..], &["--redirect", redirect]].concat())
            .await;
        let text = |field: &str| client[field].as_str().unwrap().to_owned();
        (text("client_id"), text("client_secret"))
    }

    /// The same server in a new process, at the same address.
    pub async fn restart(self) -> Guarded {
        let House {
            home,
            mut served,
            url,
            ..
        } = self.house;
        served.signal(rustix::process::Signal::TERM);
        served.ended().await;
        let address: reqwest::Url = url.parse().unwrap();
        let listen = format!("127.0.0.1:{}", address.port().unwrap());
        Guarded {
            house: House::start(home, &serve(&listen, self.public.as_deref())).await,
            ..self
        }
    }

    /// Lines of the log about the authorization server, of which each named its resource.
    async fn asked(&self, what: &str) -> Vec<String> {
        // What was written a moment ago may not have been read yet.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let log = self.house.served.log();
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains(what))
            .map(str::to_owned)
            .collect();
        let resource = format!("resource=\"{}\"", self.url);
        for line in &lines {
            assert!(line.contains(&resource), "{line}");
        }
        lines
    }

    /// What the owner was asked to allow since the start of the process: client and scopes.
    pub async fn consents(&self) -> Vec<(String, String)> {
        let lines = self.asked("access is asked for").await;
        let pair = |line: &String| (value(line, "client_id"), value(line, "scope"));
        lines.iter().map(pair).collect()
    }

    /// All who got tokens since the start of the process refreshed them: these, and so many more that
    /// had registered themselves.
    pub async fn refreshed(&self, known: &[&str], registered: usize) {
        let mut refreshes = BTreeMap::<String, usize>::new();
        for line in self.asked("tokens were asked for").await {
            assert!(line.contains("given=true"), "{line}");
            let count = refreshes.entry(value(&line, "client_id")).or_default();
            *count += usize::from(line.contains("grant_type=\"refresh_token\""));
        }
        let log = self.house.served.log();
        assert!(refreshes.values().all(|count| *count > 0), "{log}");
        let ids: BTreeSet<_> = refreshes.keys().map(String::as_str).collect();
        assert!(known.iter().all(|id| ids.contains(id)), "{known:?}: {log}");
        let others: Vec<_> = ids.iter().filter(|id| !known.contains(id)).collect();
        assert!(others.iter().all(|id| id.starts_with("mtc_")), "{others:?}");
        assert_eq!(others.len(), registered, "{others:?}: {log}");
    }
}

/// An address that it can have again after a restart.
fn here() -> String {
    format!("127.0.0.1:{}", free())
}

/// A field of a line of the log.
fn value(line: &str, field: &str) -> String {
    let begin = format!("{field}=\"");
    let rest = line.split_once(&begin).map_or("", |(_, rest)| rest);
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn serve<'a>(listen: &'a str, public: Option<&'a str>) -> Vec<&'a str> {
    let mut words = vec!["--sandbox", "mcp", "serve", "--listen", listen];
    match public {
        Some(public) => words.extend(["--public-url", public]),
        None => words.push("--auth"),
    }
    words
}
