//! Who may ask what is free, what it costs, and RDAP for those who may not.

use axum::http::StatusCode;
use medtainer_core::sandbox::scramble;
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal, Reply};
use super::world::iso;

/// Names in one bulk question.
const MOST: usize = 500;

/// What a year costs, in millionths of a dollar.
const PRICES: &[(&str, u64)] = &[
    ("com", 12_990_000),
    ("net", 15_990_000),
    ("org", 10_990_000),
    ("shop", 4_990_000),
    ("co.uk", 8_990_000),
    ("de", 9_490_000),
];

/// Names that others have.
const TAKEN: &[&str] = &["example.com", "example.net", "example.org", "google.com"];

pub(super) fn one(call: &mut Call<'_>) -> Reply {
    let full = full(call)?;
    let Some(domain) = call.query("domain") else {
        return Err(Refusal::field("MISSING_VALUE", "domain", "is required"));
    };
    match answer(call, domain, full) {
        Ok(answer) => Answer::ok(&answer),
        Err((code, message)) => Err(Refusal::field(code, "domain", message)),
    }
}

pub(super) fn many(call: &mut Call<'_>) -> Reply {
    let full = full(call)?;
    let names: Option<Vec<&str>> = call
        .body
        .as_array()
        .and_then(|names| names.iter().map(Value::as_str).collect());
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Err(Refusal::field(
            "INVALID_BODY",
            "body",
            "is not an array of domains",
        ));
    };
    if names.len() > MOST {
        return Err(Refusal::field(
            "ARRAY_TOO_LONG",
            "body",
            "must have at most 500 items",
        ));
    }
    let (mut domains, mut errors) = (Vec::new(), Vec::new());
    for (i, name) in names.iter().enumerate() {
        match answer(call, name, full) {
            Ok(answer) => domains.push(answer),
            Err((code, message)) => errors.push(json!({
                "code": code,
                "domain": name,
                "message": message,
                "path": format!("body[{i}]"),
                "status": 422,
            })),
        }
    }
    // The order is not promised.
    domains.reverse();
    if errors.is_empty() {
        return Answer::ok(&json!({ "domains": domains }));
    }
    Answer::with(
        StatusCode::NON_AUTHORITATIVE_INFORMATION,
        &json!({ "domains": domains, "errors": errors }),
    )
}

fn full(call: &Call<'_>) -> Result<bool, Refusal> {
    match call.query("checkType").unwrap_or("FAST") {
        "FAST" | "fast" => Ok(false),
        "FULL" | "full" => Ok(true),
        _ => Err(Refusal::field(
            "INVALID_VALUE_ENUM",
            "checkType",
            "is not one of the accepted values [FAST,FULL]",
        )),
    }
}

fn answer(call: &Call<'_>, name: &str, full: bool) -> Result<Value, (&'static str, &'static str)> {
    let price = price(name)?;
    let taken = is_taken(call, name);
    let mut answer = json!({
        "available": !taken,
        // The quick answer comes from a cache now and then.
        "definitive": full || !number(name).is_multiple_of(3),
        "domain": name,
    });
    if !taken {
        answer["currency"] = json!("USD");
        answer["period"] = json!(1);
        answer["price"] = json!(price);
    }
    Ok(answer)
}

fn is_taken(call: &Call<'_>, name: &str) -> bool {
    call.world.domains.contains_key(name)
        || TAKEN.contains(&name)
        || number(name).is_multiple_of(4) && !name.starts_with("free")
}

fn number(name: &str) -> u64 {
    let sum = name.bytes().fold(7, |sum: u64, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    scramble(sum)
}

fn price(name: &str) -> Result<u64, (&'static str, &'static str)> {
    let Some((label, tld)) = name.split_once('.') else {
        return Err(("INVALID_DOMAIN", "FQDN fails generic validity regex"));
    };
    if label.starts_with('-') || label.ends_with('-') || label.is_empty() || label.len() > 63 {
        return Err(("INVALID_DOMAIN", "Domain segment ends with dash"));
    }
    if !label
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err(("INVALID_CHARACTERS", "Invalid character(s) error"));
    }
    PRICES
        .iter()
        .find(|(known, _)| *known == tld)
        .map(|(_, price)| *price)
        .ok_or(("UNSUPPORTED_TLD", "TLD is not supported"))
}

/// The list of who answers RDAP for which top-level domain, as IANA publishes it: all of them here.
pub(super) fn bootstrap(call: &mut Call<'_>) -> Reply {
    let server = format!("{}/rdap/", call.origin);
    Answer::ok(&json!({
        "description": "RDAP bootstrap file for Domain Name System registrations",
        "publication": "2026-11-01T00:00:00Z",
        "services": [
            [["com", "net", "org", "shop"], [server]],
            [["uk"], [server]],
        ],
        "version": "1.0",
    }))
}

/// RDAP (RFC 9083): a registration, or 404 where there is none.
pub(super) fn rdap(call: &mut Call<'_>) -> Reply {
    let name = &call.path[0];
    if !is_taken(call, name) {
        return Err(Refusal {
            status: StatusCode::NOT_FOUND,
            body: json!({ "errorCode": 404, "title": "Not Found", "description": ["no such domain"] }),
        });
    }
    let events = call.world.domains.get(name).map(|domain| {
        json!([
            { "eventAction": "registration", "eventDate": iso(domain.created) },
            { "eventAction": "expiration", "eventDate": iso(domain.expires) },
        ])
    });
    let mut reply = Answer::ok(&json!({
        "objectClassName": "domain",
        "ldhName": name,
        "status": ["active"],
        "events": events.unwrap_or_else(|| json!([])),
        "rdapConformance": ["rdap_level_0"],
    }));
    if let Ok(answer) = &mut reply {
        answer.media = "application/rdap+json";
    }
    reply
}
