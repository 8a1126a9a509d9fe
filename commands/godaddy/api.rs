//! The requests medtainer sends to GoDaddy, and to RDAP where GoDaddy does not answer.

use std::future::Future;

use medtainer_core::context::Context;
use medtainer_core::dns::DomainName;
use medtainer_core::ecosystem::Companion;
use medtainer_core::http::{
    Auth, ErrorBody, LimitHeaders, Limits, Method, Reply, Request, Service, Version,
};
use medtainer_core::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::GODADDY;
use super::types::Availabilities;

/// Domains in a page: the most there may be.
pub const PAGE: usize = 1_000;

/// Records in a page: the most there may be.
pub const RECORDS: usize = 500;

/// Names in one question about what is free: the most there may be.
pub const NAMES: usize = 500;

/// One page of domains, those after a name.
pub fn domains(limit: usize, marker: Option<&str>) -> Result<Request> {
    let mut request = Request::new(Method::Get, "/v1/domains", &[])?
        .query("limit", limit.to_string())
        // Never `authCode`, which gives a domain away.
        .query("includes", "nameServers,contacts");
    if let Some(marker) = marker {
        request = request.query("marker", marker);
    }
    Ok(request)
}

/// Reads a page of domains; each stays text.
pub fn page(reply: &Reply) -> Result<Vec<Box<RawValue>>> {
    serde_json::from_str(&reply.text).map_err(|e| unexpected("a list", e))
}

/// What the key can do: proves it, and tells what its account may not ask.
pub async fn standing(cx: &Context) -> Result<String> {
    let reply = cx.send(&GODADDY, domains(1, None)?).await?;
    let some = if page(&reply)?.is_empty() {
        "an account without domains"
    } else {
        "the account's domains"
    };
    // Only accounts of a certain size may ask this; that is worth knowing before it is needed.
    let free = Request::new(Method::Get, "/v1/domains/available", &[])?
        .query("domain", "example.com")
        .query("checkType", "FAST");
    Ok(match cx.send(&GODADDY, free).await {
        Ok(_) => format!("{some}, and what is available"),
        Err(error) if error.kind() == Kind::Auth => format!(
            "{some}; availability is not open to this account, so `medtainer godaddy available` asks the registries (RDAP)"
        ),
        Err(_) => some.to_owned(),
    })
}

/// One domain.
pub fn domain(name: &DomainName) -> Result<Request> {
    Request::new(Method::Get, "/v1/domains/{domain}", &[name.as_str()])
}

/// The first page of a zone, or the one at an offset.
pub fn records(domain: &DomainName, offset: Option<usize>) -> Result<Request> {
    let request = Request::new(
        Method::Get,
        "/v1/domains/{domain}/records",
        &[domain.as_str()],
    )?
    .query("limit", RECORDS.to_string());
    Ok(match offset {
        Some(offset) => request.query("offset", offset.to_string()),
        None => request,
    })
}

/// A set of records: those of one type and one name.
pub fn set(method: Method, domain: &DomainName, kind: &str, name: &str) -> Result<Request> {
    Request::new(
        method,
        "/v1/domains/{domain}/records/{type}/{name}",
        &[domain.as_str(), kind, name],
    )
}

/// All records of a zone as JSON text, and how many requests that took; none where GoDaddy has no zone.
///
/// The description calls `offset` the number of records to skip; the API takes it for the number of a
/// page, counted from 1. What comes at 2 tells which it is.
pub async fn zone<'a, F>(
    domain: &DomainName,
    send: impl Fn(Request) -> F,
) -> Result<(Option<String>, u32)>
where
    F: Future<Output = Result<Reply>> + 'a,
{
    let page = async |offset| -> Result<Vec<Box<RawValue>>> {
        let reply = send(records(domain, offset)?).await?;
        serde_json::from_str(&reply.text).map_err(|e| unexpected("a list of records", e))
    };
    let mut calls = 1;
    let mut rows = match page(None).await {
        Ok(rows) => rows,
        Err(error) if error.kind() == Kind::NotFound => return Ok((None, calls)),
        Err(error) => return Err(error),
    };
    let mut whole = rows.len() < RECORDS;
    let mut offset = 2;
    while !whole {
        calls += 1;
        let next = page(Some(offset)).await?;
        let begins_like = |place: usize| {
            let there = rows.get(place).map(|row| row.get());
            there.is_some() && there == next.first().map(|row| row.get())
        };
        if begins_like(2) && offset == 2 {
            offset = rows.len();
            continue;
        }
        if begins_like(0) {
            return Err(Error::refused(format!(
                "GoDaddy repeats itself: a page of the records of `{domain}` came twice"
            ))
            .hint("Half a zone is worse than none; try again later."));
        }
        whole = next.len() < RECORDS;
        // A page number goes up by one, a number of records by as many as came.
        offset += if offset < RECORDS { 1 } else { next.len() };
        rows.extend(next);
    }
    let text = serde_json::to_string(&rows)
        .map_err(|e| Error::internal("records could not be put together").because(e))?;
    Ok((Some(text), calls))
}

/// Asks what is free; 500 names at most.
pub async fn available(cx: &Context, names: &[DomainName], full: bool) -> Result<Availabilities> {
    let names: Vec<&str> = names.iter().map(DomainName::as_str).collect();
    let request = Request::new(Method::Post, "/v1/domains/available", &[])?
        .query("checkType", if full { "FULL" } else { "FAST" })
        .json(&names)?
        .reading();
    let reply = cx.send(&GODADDY, request).await?;
    serde_json::from_str(&reply.text).map_err(|e| unexpected("a list of what is available", e))
}

/// RDAP: the registries' own answer to who has a domain. IANA publishes who answers for which
/// top-level domain (RFC 9224).
pub const RDAP: Companion = Companion {
    service: &RDAP_SERVICE,
    sandbox: "/rdap",
};

const RDAP_SERVICE: Service = Service {
    name: "rdap",
    catalog_name: "rdap",
    title: "RDAP",
    base_url: "https://data.iana.org/rdap",
    url_variable: "MEDTAINER_RDAP_URL",
    auth: Auth::NONE,
    // Registries publish none and block who asks too much.
    limits: Some(Limits {
        max_requests: 10,
        window_ms: 10_000,
        quota: None,
    }),
    limit_headers: LimitHeaders {
        max: None,
        window_ms: None,
        quota: None,
    },
    retry_after: true,
    request_id_header: None,
    versions: &[Version {
        prefix: "/domain",
        header: "accept",
        value: "application/rdap+json",
    }],
    transient: &[],
    read_error: |_, _| ErrorBody::default(),
    credentials: &[],
};

/// Who answers RDAP for which top-level domains.
pub struct Registries(Option<Vec<(Vec<String>, Vec<String>)>>);

impl Registries {
    /// As IANA publishes it; where `MEDTAINER_RDAP_URL` names a server that publishes nothing, that
    /// server answers for all.
    pub async fn ask(cx: &Context) -> Result<Registries> {
        #[derive(Deserialize)]
        struct Published {
            services: Vec<(Vec<String>, Vec<String>)>,
        }
        let request = Request::new(Method::Get, "/dns.json", &[])?;
        match cx.ask(&GODADDY, &RDAP, None, request).await {
            Ok(reply) => {
                let published: Published = serde_json::from_str(&reply.text)
                    .map_err(|e| unexpected("a list of registries", e))?;
                Ok(Registries(Some(published.services)))
            }
            Err(error) if error.kind() == Kind::NotFound => Ok(Registries(None)),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody has the domain; none where its registry does not answer RDAP.
    pub async fn has(&self, cx: &Context, domain: &DomainName) -> Result<Option<bool>> {
        let server = match &self.0 {
            None => None,
            Some(services) => match server(services, domain) {
                Some(server) => Some(server),
                None => return Ok(None),
            },
        };
        let request = Request::new(Method::Get, "/domain/{domain}", &[domain.as_str()])?;
        match cx.ask(&GODADDY, &RDAP, server, request).await {
            Ok(reply) => {
                let answer: Value = serde_json::from_str(&reply.text).unwrap_or_default();
                Ok((answer["objectClassName"] == "domain").then_some(true))
            }
            Err(error) if error.kind() == Kind::NotFound => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }
}

/// The server of the longest suffix that is published, the encrypted one if there is a choice.
fn server<'a>(services: &'a [(Vec<String>, Vec<String>)], domain: &DomainName) -> Option<&'a str> {
    let mut suffix = domain.parent();
    while let Some(tld) = suffix {
        let found = services.iter().find(|(tlds, _)| {
            tlds.iter()
                .any(|known| known.eq_ignore_ascii_case(tld.as_str()))
        });
        if let Some((_, urls)) = found {
            let secure = urls.iter().find(|url| url.starts_with("https:"));
            return secure.or(urls.first()).map(String::as_str);
        }
        suffix = tld.parent();
    }
    None
}

fn unexpected(what: &str, error: serde_json::Error) -> Error {
    Error::unavailable(format!("the answer is not {what}"))
        .hint("Try again; if it stays so, their API may have changed.")
        .because(error)
}
