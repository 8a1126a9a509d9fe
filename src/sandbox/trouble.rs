//! Trouble on demand: which requests it befalls, and what it does to the transport.

use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use futures::StreamExt;
use serde_json::Value;

use super::Peer;

/// A kind of trouble a sandbox can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TroubleKind {
    /// `429`: too many requests.
    TooMany,
    /// `5xx`: one of 500, 502, 503 and 504 in turn.
    ServerError,
    /// `slow`: waits before it answers; the amount is seconds (5).
    Slow,
    /// `drop`: the connection closes before anything was done or answered.
    Drop,
    /// `done-but-error`: does the write and answers that it refused.
    DoneButError,
    /// `done-but-drop`: does the write and closes the connection without an answer.
    DoneButDrop,
    /// `html`: a page of HTML with status 200 where JSON was due.
    Html,
    /// `half-json`: the first half of the answer, as if it were whole.
    HalfJson,
    /// `cut`: promises the whole answer, sends half of it and closes the connection.
    Cut,
    /// `huge`: the answer with filler in it; the amount is megabytes (10).
    Huge,
    /// `repeat-page`: every page of a list is its first page, for ever.
    RepeatPage,
    /// `bad-utf8`: text fields hold bytes that are no UTF-8.
    BadUtf8,
    /// `nul`: text fields hold NUL and other characters a database may refuse.
    Nul,
    /// `token`: the token is refused.
    Token,
    /// `auth-timeout`: a time-out of the gateway dressed as a refused token.
    AuthTimeout,
    /// `daily`: the budget of the day is spent.
    Daily,
    /// `index-lag`: writes show late in searches; the amount is seconds (30).
    IndexLag,
}

impl TroubleKind {
    /// Every kind.
    pub const ALL: [TroubleKind; 17] = [
        TroubleKind::TooMany,
        TroubleKind::ServerError,
        TroubleKind::Slow,
        TroubleKind::Drop,
        TroubleKind::DoneButError,
        TroubleKind::DoneButDrop,
        TroubleKind::Html,
        TroubleKind::HalfJson,
        TroubleKind::Cut,
        TroubleKind::Huge,
        TroubleKind::RepeatPage,
        TroubleKind::BadUtf8,
        TroubleKind::Nul,
        TroubleKind::Token,
        TroubleKind::AuthTimeout,
        TroubleKind::Daily,
        TroubleKind::IndexLag,
    ];

    /// The word for it on a command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            TroubleKind::TooMany => "429",
            TroubleKind::ServerError => "5xx",
            TroubleKind::Slow => "slow",
            TroubleKind::Drop => "drop",
            TroubleKind::DoneButError => "done-but-error",
            TroubleKind::DoneButDrop => "done-but-drop",
            TroubleKind::Html => "html",
            TroubleKind::HalfJson => "half-json",
            TroubleKind::Cut => "cut",
            TroubleKind::Huge => "huge",
            TroubleKind::RepeatPage => "repeat-page",
            TroubleKind::BadUtf8 => "bad-utf8",
            TroubleKind::Nul => "nul",
            TroubleKind::Token => "token",
            TroubleKind::AuthTimeout => "auth-timeout",
            TroubleKind::Daily => "daily",
            TroubleKind::IndexLag => "index-lag",
        }
    }

    const fn usual_amount(self) -> f64 {
        match self {
            TroubleKind::Slow => 5.0,
            TroubleKind::Huge => 10.0,
            TroubleKind::IndexLag => 30.0,
            _ => 0.0,
        }
    }

    /// Whether it only makes sense for a request that changes something.
    const fn only_writes(self) -> bool {
        matches!(self, TroubleKind::DoneButError | TroubleKind::DoneButDrop)
    }
}

/// One switch: a kind, how often, how much, and for which requests.
///
/// Parsed from `KIND[=AMOUNT][:RATE]`, such as `429:0.2`, `slow=30` or `drop`.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    kind: TroubleKind,
    rate: f64,
    amount: f64,
    times: Option<u64>,
    path: Option<String>,
    method: Option<String>,
}

impl Trouble {
    /// Trouble with every request it fits.
    pub fn new(kind: TroubleKind) -> Self {
        Trouble {
            kind,
            rate: 1.0,
            amount: kind.usual_amount(),
            times: None,
            path: None,
            method: None,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> TroubleKind {
        self.kind
    }

    /// Its amount: seconds or megabytes.
    pub fn amount(&self) -> f64 {
        self.amount
    }

    /// Ends by itself after so many hits.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Only for paths that begin like this.
    #[must_use]
    pub fn path(mut self, prefix: impl Into<String>) -> Self {
        self.path = Some(prefix.into());
        self
    }

    /// Only for requests of this method.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    fn fits(&self, request: &Request<'_>) -> bool {
        if self.kind.only_writes() && !request.writes {
            return false;
        }
        self.path
            .as_deref()
            .is_none_or(|prefix| request.path.starts_with(prefix))
            && self
                .method
                .as_deref()
                .is_none_or(|method| request.method.eq_ignore_ascii_case(method))
    }
}

/// Why a text is no trouble switch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTrouble {
    /// The kind is none of [`TroubleKind::ALL`].
    #[error("no trouble is called `{0}`")]
    Kind(String),
    /// The rate is no number from 0 to 1.
    #[error("`{0}` is no rate from 0 to 1")]
    Rate(String),
    /// The amount is no number above 0.
    #[error("`{0}` is no amount above 0")]
    Amount(String),
}

impl FromStr for Trouble {
    type Err = BadTrouble;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, rate) = match text.split_once(':') {
            None => (text, 1.0),
            Some((rest, rate)) => match rate.parse::<f64>() {
                Ok(value) if (0.0..=1.0).contains(&value) => (rest, value),
                _ => return Err(BadTrouble::Rate(rate.to_owned())),
            },
        };
        let (name, amount) = match text.split_once('=') {
            None => (text, None),
            Some((name, amount)) => match amount.parse::<f64>() {
                Ok(value) if value > 0.0 && value <= 1e6 => (name, Some(value)),
                _ => return Err(BadTrouble::Amount(amount.to_owned())),
            },
        };
        let kind = TroubleKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| BadTrouble::Kind(name.to_owned()))?;
        let mut trouble = Trouble::new(kind);
        trouble.rate = rate;
        trouble.amount = amount.unwrap_or(trouble.amount);
        Ok(trouble)
    }
}

/// What a trouble may look at to decide.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// Whether it changes something.
    pub writes: bool,
}

/// The switches of a running sandbox.
#[derive(Debug, Default)]
pub struct Troubles {
    switches: Mutex<Vec<Trouble>>,
    dice: AtomicU64,
    errors: AtomicU64,
}

impl Troubles {
    /// Starts with these switched on.
    pub fn new(switches: Vec<Trouble>) -> Self {
        Troubles {
            switches: Mutex::new(switches),
            ..Default::default()
        }
    }

    /// Switches one more on.
    pub fn add(&self, trouble: Trouble) {
        self.lock().push(trouble);
    }

    /// Switches everything off.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The longest lag that is switched on, whatever its rate.
    pub fn index_lag(&self) -> Option<Duration> {
        self.lock()
            .iter()
            .filter(|trouble| trouble.kind == TroubleKind::IndexLag)
            .map(|trouble| Duration::from_secs_f64(trouble.amount))
            .max()
    }

    /// Decides what goes wrong with one request; the dice fall the same way in every run.
    pub fn roll(&self, request: &Request<'_>) -> Hits {
        let mut switches = self.lock();
        if switches.is_empty() {
            return Hits::default();
        }
        let mut hits = Vec::new();
        for trouble in switches.iter_mut() {
            if trouble.kind == TroubleKind::IndexLag
                || trouble.times == Some(0)
                || !trouble.fits(request)
            {
                continue;
            }
            let turn = self.dice.fetch_add(1, Ordering::Relaxed);
            // 53 bits make a fraction below 1.
            let fraction = (scramble(turn) >> 11) as f64 / (1u64 << 53) as f64;
            if fraction >= trouble.rate {
                continue;
            }
            if let Some(times) = &mut trouble.times {
                *times -= 1;
            }
            hits.push(Hit {
                kind: trouble.kind,
                amount: trouble.amount,
            });
        }
        Hits(hits)
    }

    /// The next status of `5xx`.
    pub fn next_server_error(&self) -> StatusCode {
        const STATUSES: [StatusCode; 4] = [
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        STATUSES[self.errors.fetch_add(1, Ordering::Relaxed) as usize % STATUSES.len()]
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Trouble>> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spreads a counter over all 64 bits (the finaliser of splitmix64).
pub const fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One trouble that befalls a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// What.
    pub kind: TroubleKind,
    /// How much: seconds or megabytes.
    pub amount: f64,
}

/// All that befalls one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hits(Vec<Hit>);

impl Hits {
    /// Whether this kind befell it.
    pub fn has(&self, kind: TroubleKind) -> bool {
        self.0.iter().any(|hit| hit.kind == kind)
    }

    /// What happens before the sandbox looks at the request; `false` means that it never gets it.
    pub async fn before(&self, peer: Option<&Peer>) -> bool {
        if let Some(hit) = self.0.iter().find(|hit| hit.kind == TroubleKind::Slow) {
            tokio::time::sleep(Duration::from_secs_f64(hit.amount)).await;
        }
        if self.has(TroubleKind::Drop) {
            hang_up(peer);
            return false;
        }
        true
    }

    /// What becomes of the sandbox's answer. `fields` are the names of text fields that may be spoilt.
    pub fn after(
        &self,
        answer: Response<Bytes>,
        fields: &[&str],
        peer: Option<&Peer>,
    ) -> Response<Body> {
        let (mut parts, mut bytes) = answer.into_parts();
        for hit in &self.0 {
            match hit.kind {
                TroubleKind::Html => {
                    parts.status = StatusCode::OK;
                    parts.headers.insert(
                        CONTENT_TYPE,
                        HeaderValue::from_static("text/html; charset=utf-8"),
                    );
                    bytes = Bytes::from_static(
                        b"<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head>\
                          <body><h1>Checking your browser</h1></body></html>\n",
                    );
                }
                TroubleKind::Nul => bytes = spoil(&bytes, fields, "\0\u{FFFE}\u{1F}"),
                TroubleKind::BadUtf8 => {
                    // A private-use character stands in for the bytes, which no string can hold.
                    let marked = spoil(&bytes, fields, "\u{E000}");
                    bytes = replace(&marked, "\u{E000}".as_bytes(), &[0xC3, 0x28, 0xFF]);
                }
                TroubleKind::Huge => bytes = fill(&bytes, (hit.amount * 1e6) as usize),
                TroubleKind::HalfJson => bytes = bytes.slice(..bytes.len() / 2),
                TroubleKind::DoneButDrop => {
                    hang_up(peer);
                    return Response::from_parts(parts, Body::empty());
                }
                _ => {}
            }
        }
        if self.has(TroubleKind::Cut) {
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            let half = bytes.slice(..bytes.len() / 2);
            let pieces = [Ok(half), Err(io::Error::from(io::ErrorKind::BrokenPipe))];
            // Time for the first half to leave; an error right away would take it along.
            let paced = futures::stream::iter(pieces).then(|piece| async {
                if piece.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                piece
            });
            return Response::from_parts(parts, Body::from_stream(paced));
        }
        Response::from_parts(parts, Body::from(bytes))
    }
}

fn hang_up(peer: Option<&Peer>) {
    if let Some(peer) = peer {
        peer.hang_up();
    }
}

/// Appends `what` to every text of these names, wherever in the JSON it is.
fn spoil(json: &Bytes, fields: &[&str], what: &str) -> Bytes {
    fn walk(value: &mut Value, fields: &[&str], what: &str) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, fields, what)),
            Value::Object(map) => {
                for (name, value) in map.iter_mut() {
                    match value {
                        Value::String(text) if fields.contains(&name.as_str()) => {
                            text.push_str(what);
                        }
                        other => walk(other, fields, what),
                    }
                }
            }
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(json) else {
        return json.clone();
    };
    walk(&mut value, fields, what);
    Bytes::from(value.to_string())
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    Bytes::from(out)
}

/// Puts a field of filler in front of the others of a JSON object.
fn fill(json: &Bytes, size: usize) -> Bytes {
    let Some(rest) = json.strip_prefix(b"{") else {
        return json.clone();
    };
    let mut out = Vec::with_capacity(size + json.len() + 16);
    out.extend_from_slice(b"{\"filler\":\"");
    out.resize(out.len() + size, b'x');
    out.push(b'"');
    if !rest.starts_with(b"}") {
        out.push(b',');
    }
    out.extend_from_slice(rest);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request<'_> {
        Request {
            method: "GET",
            path,
            writes: false,
        }
    }

    #[test]
    fn parses_kind_amount_and_rate() {
        let trouble: Trouble = "slow=0.5:0.25".parse().unwrap();
        assert_eq!(trouble.kind(), TroubleKind::Slow);
        assert_eq!((trouble.amount, trouble.rate), (0.5, 0.25));
        for kind in TroubleKind::ALL {
            assert_eq!(
                kind.as_str().parse::<Trouble>().unwrap(),
                Trouble::new(kind)
            );
        }
        assert_eq!(
            "sloth".parse::<Trouble>(),
            Err(BadTrouble::Kind("sloth".to_owned()))
        );
        assert!("429:1.5".parse::<Trouble>().is_err());
        assert!("huge=-1".parse::<Trouble>().is_err());
    }

    #[test]
    fn strikes_about_as_often_as_asked() {
        let troubles = Troubles::new(vec!["429:0.3".parse().unwrap()]);
        let hits = (0..10_000)
            .filter(|_| troubles.roll(&request("/x")).has(TroubleKind::TooMany))
            .count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
    }

    #[test]
    fn keeps_to_its_path_its_times_and_to_writes() {
        let troubles = Troubles::new(vec![
            Trouble::new(TroubleKind::Drop).path("/a").times(2),
            Trouble::new(TroubleKind::DoneButError),
        ]);
        assert_eq!(troubles.roll(&request("/b")), Hits::default());
        assert!(troubles.roll(&request("/a/1")).has(TroubleKind::Drop));
        assert!(troubles.roll(&request("/a/2")).has(TroubleKind::Drop));
        assert_eq!(troubles.roll(&request("/a/3")), Hits::default());
        let write = Request {
            writes: true,
            ..request("/b")
        };
        assert!(troubles.roll(&write).has(TroubleKind::DoneButError));
    }

    #[test]
    fn spoils_only_the_named_fields() {
        let json = Bytes::from_static(br#"{"id":"a","rows":[{"name":"b","id":"c"}]}"#);
        assert_eq!(
            spoil(&json, &["name"], "\0"),
            r#"{"id":"a","rows":[{"name":"b\u0000","id":"c"}]}"#
        );
        let hits = Hits(vec![Hit {
            kind: TroubleKind::BadUtf8,
            amount: 0.0,
        }]);
        let spoilt = futures::executor::block_on(axum::body::to_bytes(
            hits.after(Response::new(json), &["name"], None).into_body(),
            1000,
        ))
        .unwrap();
        assert!(std::str::from_utf8(&spoilt).is_err());
        assert_eq!(fill(&Bytes::from_static(b"{}"), 2), r#"{"filler":"xx"}"#);
    }
}
