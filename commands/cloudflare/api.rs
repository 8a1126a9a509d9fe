//! The requests medtainer sends to Cloudflare, and its envelope.

use medtainer_core::context::Context;
use medtainer_core::http::{Method, Reply, Request};
use medtainer_core::store::audit::Caller;
use medtainer_core::{Error, Kind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{CLOUDFLARE, types};

/// Zones in a page: the most there may be.
const ZONES: u32 = 50;

/// Records in a page. Far more are allowed, but a page is held in memory whole.
const RECORDS: u32 = 1_000;

/// A page of zones, by name.
pub fn zones(page: u32) -> Result<Request> {
    Ok(Request::new(Method::Get, "/zones", &[])?
        .query("page", page.to_string())
        .query("per_page", ZONES.to_string())
        .query("order", "name"))
}

/// A page of the records of a zone.
pub fn records(zone: &str, page: u32) -> Result<Request> {
    Ok(
        Request::new(Method::Get, "/zones/{zone}/dns_records", &[zone])?
            .query("page", page.to_string())
            .query("per_page", RECORDS.to_string())
            .query("order", "name"),
    )
}

/// All records of a zone at once: what a plan looks at.
pub fn all_records(zone: &str) -> Result<Request> {
    let request = Request::new(Method::Get, "/zones/{zone}/dns_records", &[zone])?;
    Ok(request.query("per_page", MOST.to_string()))
}

/// The most records a plan can be about; Cloudflare gives more in one page than any zone has.
pub const MOST: usize = 50_000;

/// Changes of a zone's records, done whole or not at all.
pub fn batch(zone: &str, body: &Value) -> Result<Request> {
    Request::new(Method::Post, "/zones/{zone}/dns_records/batch", &[zone])?.json(body)
}

/// How a zone is signed.
pub fn dnssec(zone: &str) -> Result<Request> {
    Request::new(Method::Get, "/zones/{zone}/dnssec", &[zone])
}

/// How Cloudflare talks to visitors and to the origin.
pub fn ssl(zone: &str) -> Result<Request> {
    Request::new(Method::Get, "/zones/{zone}/settings/ssl", &[zone])
}

/// A page of a list; its rows stay text.
#[derive(Debug, Deserialize)]
pub struct Listed {
    /// The rows.
    pub result: Vec<Box<RawValue>>,
    #[serde(default)]
    result_info: Info,
}

#[derive(Debug, Default, Deserialize)]
struct Info {
    #[serde(default)]
    page: Option<u32>,
    #[serde(default)]
    per_page: Option<usize>,
    #[serde(default)]
    total_count: Option<i64>,
    #[serde(default)]
    total_pages: Option<u32>,
}

impl Listed {
    /// How many rows the whole list has.
    pub fn total(&self) -> Option<i64> {
        self.result_info.total_count
    }

    /// The page after this one, which was asked for as `page`.
    pub fn next(&self, page: u32) -> Option<u32> {
        let info = &self.result_info;
        let more = match info.total_pages {
            Some(pages) => page < pages,
            // Where the number of pages is missing, a short page is the last one.
            None => info.per_page.is_some_and(|size| self.result.len() >= size),
        };
        // An answer about another page than was asked for is for the sync to refuse.
        (more && info.page.is_none_or(|there| there == page)).then_some(page + 1)
    }
}

/// Sends a request, letting people go first when nobody waits for the answer.
async fn send(cx: &Context, request: Request) -> Result<Reply> {
    if cx.caller() == Caller::Schedule {
        cx.send_in_background(&CLOUDFLARE, request).await
    } else {
        cx.send(&CLOUDFLARE, request).await
    }
}

/// A page of a list.
pub async fn page(cx: &Context, request: Request) -> Result<Listed> {
    read(&send(cx, request).await?)
}

/// The `result` of an answer, as text.
pub async fn result(cx: &Context, request: Request) -> Result<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Body {
        result: Box<RawValue>,
    }
    let body: Body = read(&send(cx, request).await?)?;
    Ok(body.result)
}

/// Reads the envelope, which may say no with a status that says yes.
fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T> {
    #[derive(Deserialize)]
    struct Verdict {
        success: bool,
    }
    let unexpected = |error: serde_json::Error| {
        Error::unavailable("Cloudflare answered with something that is not in its envelope")
            .hint("Try again; if it stays so, their API may have changed.")
            .because(error)
    };
    let verdict: Verdict = serde_json::from_str(&reply.text).map_err(unexpected)?;
    if verdict.success {
        return serde_json::from_str(&reply.text).map_err(unexpected);
    }
    let said = super::read_error(reply.status, &reply.text);
    let message = said
        .message
        .unwrap_or_else(|| "no reason was given".to_owned());
    let error = Error::new(
        said.kind.unwrap_or(Kind::Refused),
        format!("Cloudflare refused: {message} ({})", reply.status),
    );
    let error = match said.details {
        Some(details) => error.details(details),
        None => error,
    };
    Err(match said.hint {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

/// Proves a token, and tells what it sees: a good token may still lack every permission.
pub async fn probe(cx: &Context) -> Result<String> {
    #[derive(Deserialize)]
    struct Token {
        status: String,
    }
    let verify = Request::new(Method::Get, "/user/tokens/verify", &[])?;
    let (token, seen) = match result(cx, verify).await {
        Ok(token) => (token, None),
        // A token that belongs to an account is verified there.
        Err(error) if error.kind() == Kind::Auth => {
            let Ok(seen) = page(cx, zones(1)?).await else {
                return Err(error);
            };
            let zone = seen.result.first();
            let zone = zone.and_then(|zone| types::Zone::read(zone.get()));
            let Some(account) = zone.and_then(|zone| zone.account) else {
                return Err(error);
            };
            let path = "/accounts/{account}/tokens/verify";
            let verify = Request::new(Method::Get, path, &[&account.id])?;
            (result(cx, verify).await?, Some(seen))
        }
        Err(error) => return Err(error),
    };
    let token: Token = serde_json::from_str(token.get())
        .map_err(|e| Error::unavailable("Cloudflare does not say how the token is").because(e))?;
    if token.status != "active" {
        return Err(Error::auth(format!("the token is {}", token.status))
            .hint("Make another at Cloudflare and store it with `medtainer auth login cf`."));
    }
    let seen = match seen {
        Some(seen) => seen,
        None => page(cx, zones(1)?).await?,
    };
    Ok(match seen.total() {
        Some(0) => "a token that sees no zone: it may lack Zone Read".to_owned(),
        Some(1) => "a token that sees one zone".to_owned(),
        Some(total) => format!("a token that sees {total} zones"),
        None => "an active token".to_owned(),
    })
}
