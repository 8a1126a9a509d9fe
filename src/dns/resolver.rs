//! Asking the DNS of the world, or the name server a variable names.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use hickory_proto::op::ResponseCode;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::lookup::{Answer, Lookup, found};
use super::name::DomainName;
use super::record::RecordType;
use super::wire;
use crate::env::Env;
use crate::error::{Error, Result};

/// The name server to ask instead of the machine's: `ADDRESS` or `ADDRESS:PORT`.
pub const VARIABLE: &str = "MEDTAINER_DNS";

/// How long one server may take to answer, how often it is asked again, and how long a question may take.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 1;
const LONGEST: Duration = Duration::from_secs(8);
/// How many questions are asked at once, and how many in one call.
const AT_ONCE: usize = 16;
const MOST: usize = 2_000;

const SILENT: &str = "no name server answered in time";
const ABSENT: &str = "no name server could be asked";

/// A resolver for a process: what it knows is kept as long as the answers say.
#[derive(Clone)]
pub struct Resolver(Arc<TokioResolver>);

impl Resolver {
    /// The one the environment names, else the machine's.
    pub fn of(env: &Env) -> Result<Self> {
        match env.get(VARIABLE) {
            Some(text) => Resolver::at(address(text)?),
            None => Resolver::of_machine(),
        }
    }

    /// The machine's.
    fn of_machine() -> Result<Self> {
        let builder = TokioResolver::builder_tokio().map_err(unusable)?;
        Resolver::build(builder)
    }

    /// One name server.
    pub fn at(server: SocketAddr) -> Result<Self> {
        let connections =
            [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        let provider = TokioRuntimeProvider::default();
        Resolver::build(TokioResolver::builder_with_config(config, provider))
    }

    fn build(mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>) -> Result<Self> {
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = PATIENCE;
        options.attempts = ATTEMPTS;
        options.edns0 = true;
        options.preserve_intermediates = true;
        // What this machine calls a name is not what the world calls it.
        options.use_hosts_file = ResolveHosts::Never;
        options.num_concurrent_reqs = 1;
        Ok(Resolver(Arc::new(builder.build().map_err(unusable)?)))
    }

    /// For one call: each question is asked once, and none after `until`.
    pub fn session(&self, until: Instant) -> Session {
        Session {
            resolver: self.clone(),
            until,
            room: Semaphore::new(AT_ONCE),
            asked: Mutex::default(),
            is_unheard: AtomicBool::new(false),
            heard: OnceCell::new(),
        }
    }

    async fn ask(&self, name: &DomainName, kind: &RecordType, until: Instant) -> Answer {
        let (Some(wire_name), Some(wire_kind)) = (wire::name(name), wire::kind(kind)) else {
            return Answer::Unknown(format!("`{name} {kind}` cannot be asked for"));
        };
        let until = until.min(Instant::now() + LONGEST);
        let asking = self.0.lookup(wire_name, wire_kind);
        match tokio::time::timeout_at(until, asking).await {
            Err(_) => Answer::Unknown(SILENT.to_owned()),
            Ok(Ok(lookup)) => {
                let (mut records, mut aliases) = (Vec::new(), Vec::new());
                for record in lookup.answers().iter().filter_map(wire::record_of) {
                    if record.kind == *kind {
                        records.push(record);
                    } else if record.kind == RecordType::Cname {
                        aliases.extend(record.target());
                    }
                }
                found(records, aliases)
            }
            Ok(Err(error)) => refused(&error),
        }
    }
}

/// What an answer without records says.
fn refused(error: &NetError) -> Answer {
    let said = |code: ResponseCode| match code {
        ResponseCode::NXDomain => Answer::NoName,
        ResponseCode::NoError => Answer::Empty,
        ResponseCode::ServFail => {
            Answer::Unknown("the name servers of the name do not answer".to_owned())
        }
        ResponseCode::Refused => {
            Answer::Unknown("the name server refuses to answer for the name".to_owned())
        }
        _ => Answer::Unknown("the name server answered with an error".to_owned()),
    };
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => said(none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => said(*code),
        NetError::Timeout => Answer::Unknown(SILENT.to_owned()),
        _ => Answer::Unknown(ABSENT.to_owned()),
    }
}

type Question = (DomainName, RecordType);

/// The questions of one call.
pub struct Session {
    resolver: Resolver,
    until: Instant,
    room: Semaphore,
    asked: Mutex<HashMap<Question, Arc<OnceCell<Answer>>>>,
    /// Whether a question was not answered.
    is_unheard: AtomicBool,
    heard: OnceCell<bool>,
}

fn is_silence(answer: &Answer) -> bool {
    matches!(answer, Answer::Unknown(why) if why == SILENT || why == ABSENT)
}

impl Session {
    /// Whether a name server answers at all: every one knows the root's. Without it each question would
    /// be waited for in turn.
    async fn is_anybody_there(&self) -> bool {
        let ask = || async {
            let answer = self
                .resolver
                .ask(&DomainName::root(), &RecordType::Ns, self.until)
                .await;
            !is_silence(&answer)
        };
        *self.heard.get_or_init(ask).await
    }

    /// The place of a question's answer, unless there were too many.
    fn place(&self, name: &DomainName, kind: &RecordType) -> Option<Arc<OnceCell<Answer>>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let question = (name.clone(), kind.clone());
        if asked.len() >= MOST && !asked.contains_key(&question) {
            return None;
        }
        Some(asked.entry(question).or_default().clone())
    }
}

impl Lookup for Session {
    fn lookup<'a>(&'a self, name: &'a DomainName, kind: &'a RecordType) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let Some(place) = self.place(name, kind) else {
                return Answer::Unknown(format!("more than {MOST} look-ups"));
            };
            let ask = || async {
                let Ok(Ok(_turn)) = tokio::time::timeout_at(self.until, self.room.acquire()).await
                else {
                    return Answer::Unknown(SILENT.to_owned());
                };
                if self.is_unheard.load(Relaxed) && !self.is_anybody_there().await {
                    return Answer::Unknown(ABSENT.to_owned());
                }
                let answer = self.resolver.ask(name, kind, self.until).await;
                if is_silence(&answer) {
                    self.is_unheard.store(true, Relaxed);
                }
                answer
            };
            place.get_or_init(ask).await.clone()
        })
    }
}

fn address(text: &str) -> Result<SocketAddr> {
    text.parse()
        .or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| {
            Error::usage(format!("`{VARIABLE}` is not the address of a name server"))
                .hint("It looks like `192.0.2.53` or `127.0.0.1:5353`.")
        })
}

fn unusable(error: NetError) -> Error {
    Error::unavailable("the machine's name servers cannot be found")
        .hint(format!("Name one with `{VARIABLE}`."))
        .because(error)
}
