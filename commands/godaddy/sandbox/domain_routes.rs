//! Domains: the list with its marker, and one with its contacts.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal, Reply};
use super::world::Domain;

/// Rows of a page unless the caller says.
const USUAL: usize = 100;
/// The most.
const MOST: usize = 1_000;

/// A part of the statuses the description lists; plain `EXPIRED` is none of them.
const STATUSES: &[&str] = &[
    "ACTIVE",
    "AWAITING_VERIFICATION_ICANN",
    "CANCELLED",
    "CANCELLED_HELD",
    "CANCELLED_REDEEMABLE",
    "CANCELLED_TRANSFER",
    "CONFISCATED",
    "EXPIRED_REASSIGNED",
    "HELD_EXPIRATION_PROTECTION",
    "HELD_REGISTRAR_REMOVE",
    "LOCKED_REGISTRY",
    "PARKED_EXPIRED",
    "PENDING_DNS",
    "PENDING_TRANSFER_IN",
    "PENDING_TRANSFER_OUT",
    "PENDING_UPDATE",
    "TRANSFERRED_OUT",
    "UPDATED_OWNERSHIP",
];
const GROUPS: &[&str] = &[
    "INACTIVE",
    "PRE_REGISTRATION",
    "REDEMPTION",
    "RENEWABLE",
    "VERIFICATION_ICANN",
    "VISIBLE",
];
const INCLUDES: &[&str] = &["authCode", "contacts", "nameServers"];

pub(super) fn list(call: &mut Call<'_>) -> Reply {
    let limit = call.number("limit", 1, MOST)?.unwrap_or(USUAL);
    for (name, allowed) in [
        ("statuses", STATUSES),
        ("statusGroups", GROUPS),
        ("includes", INCLUDES),
    ] {
        let unknown = call
            .list(name)
            .into_iter()
            .enumerate()
            .find(|(_, value)| !allowed.contains(value));
        if let Some((i, _)) = unknown {
            return Err(Refusal::field(
                "INVALID_VALUE_ENUM",
                &format!("{name}[{i}]"),
                "is not one of the accepted values",
            ));
        }
    }
    let since = match call.query("modifiedDate") {
        None => None,
        Some(text) => Some(
            DateTime::parse_from_rfc3339(text)
                .map_err(|_| {
                    Refusal::field("INVALID_VALUE", "modifiedDate", "is not an ISO date-time")
                })?
                .with_timezone(&Utc),
        ),
    };
    let marker = call.query("marker").filter(|_| !call.repeats);
    let (statuses, groups) = (call.list("statuses"), call.list("statusGroups"));
    let includes = call.list("includes");
    let rows: Vec<Value> = call
        .world
        .domains
        .values()
        .filter(|domain| marker.is_none_or(|marker| domain.name.as_str() > marker))
        .filter(|domain| statuses.is_empty() || statuses.contains(&domain.status.as_str()))
        .filter(|domain| groups.is_empty() || groups.iter().any(|group| is_in(domain, group)))
        .filter(|domain| since.is_none_or(|since| domain.modified >= since))
        .take(limit)
        .map(|domain| domain.summary(&includes))
        .collect();
    Answer::ok(&json!(rows))
}

fn is_in(domain: &Domain, group: &str) -> bool {
    match group {
        "INACTIVE" => domain.status.starts_with("CANCELLED"),
        "REDEMPTION" => domain.status.contains("REDEE"),
        "RENEWABLE" => domain.status == "ACTIVE",
        "VISIBLE" => true,
        _ => false,
    }
}

pub(super) fn get(call: &mut Call<'_>) -> Reply {
    let name = &call.path[0];
    let domain = call
        .world
        .domains
        .get(name)
        .ok_or_else(|| Refusal::unknown_domain(name))?;
    // A domain that waits for a check is only partly told.
    let status = if domain.status.starts_with("PENDING") {
        StatusCode::NON_AUTHORITATIVE_INFORMATION
    } else {
        StatusCode::OK
    };
    Answer::with(status, &domain.detail())
}
