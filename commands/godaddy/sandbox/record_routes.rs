//! Records: sets that are replaced as a whole, and a door that adds.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Fault, Refusal, Reply};
use super::world::Record;

/// Types a path may name.
const TYPES: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT", "CAA"];
/// Of these, what can be deleted.
const DELETABLE: &[&str] = &["A", "AAAA", "CNAME", "MX", "SRV", "TXT"];
/// What an added record may be.
const ADDABLE: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT"];

/// Records in a page: as many as asked for, and no more than this.
const PAGE: usize = 500;

/// The most octets of a text.
const LONGEST_TEXT: usize = 512;

pub(super) fn all(call: &mut Call<'_>) -> Reply {
    listed(call, |_| true)
}

pub(super) fn of_type(call: &mut Call<'_>) -> Reply {
    let kind = type_of(call, TYPES)?;
    listed(call, |record| record.kind == kind)
}

pub(super) fn of_set(call: &mut Call<'_>) -> Reply {
    let kind = type_of(call, TYPES)?;
    let name = call.path[2].clone();
    listed(call, |record| record.kind == kind && record.name == name)
}

fn listed(call: &Call<'_>, wanted: impl Fn(&Record) -> bool) -> Reply {
    let zone = zone(call)?;
    // Called the number of records to skip, and taken for the number of a page.
    let page = call.number("offset", 0, 1_000_000)?.unwrap_or(1).max(1);
    let limit = call
        .number("limit", 1, usize::MAX)?
        .unwrap_or(PAGE)
        .min(PAGE);
    let offset = if call.repeats { 0 } else { (page - 1) * limit };
    let rows: Vec<Value> = zone
        .iter()
        .filter(|record| wanted(record))
        .skip(offset)
        .take(limit)
        .map(Record::json)
        .collect();
    Answer::ok(&json!(rows))
}

pub(super) fn add(call: &mut Call<'_>) -> Reply {
    let (domain, zone) = writable(call)?;
    let added = records(&call.body, None, None, ADDABLE)?;
    let mut after = zone.clone();
    for (i, record) in added.into_iter().enumerate() {
        if after.iter().any(|known| known.repeats(&record)) {
            return Err(Refusal::field(
                "DUPLICATE_RECORD",
                &format!("records[{i}]"),
                "Another record with the same attributes already exists",
            ));
        }
        after.push(record);
    }
    put(call, &domain, &zone, after, StatusCode::OK)
}

pub(super) fn replace_set(call: &mut Call<'_>) -> Reply {
    let kind = type_of(call, TYPES)?;
    let (domain, zone) = writable(call)?;
    let name = call.path[2].clone();
    managed(&kind, &name)?;
    let new = records(&call.body, Some(&kind), Some(&name), TYPES)?;
    replace(call, &domain, zone, new, |record| {
        record.kind == kind && record.name == name
    })
}

pub(super) fn replace_type(call: &mut Call<'_>) -> Reply {
    let kind = type_of(call, TYPES)?;
    let (domain, zone) = writable(call)?;
    managed(&kind, "@")?;
    let new = records(&call.body, Some(&kind), None, TYPES)?;
    replace(call, &domain, zone, new, |record| record.kind == kind)
}

/// The door nobody should use: whatever is not listed is gone.
pub(super) fn replace_zone(call: &mut Call<'_>) -> Reply {
    let (domain, zone) = writable(call)?;
    if zone.iter().any(|record| record.kind == "CAA") {
        return Err(Refusal::field(
            "INVALID_VALUE_ENUM",
            "records",
            "a zone that holds CAA records cannot be replaced",
        ));
    }
    let new = records(&call.body, None, None, TYPES)?;
    replace(call, &domain, zone, new, |record| {
        !(record.name == "@" && matches!(record.kind.as_str(), "NS" | "SOA"))
    })
}

fn replace(
    call: &mut Call<'_>,
    domain: &str,
    zone: Vec<Record>,
    new: Vec<Record>,
    goes: impl Fn(&Record) -> bool,
) -> Reply {
    let mut after: Vec<Record> = zone
        .iter()
        .filter(|record| !goes(record))
        .cloned()
        .collect();
    for (i, record) in new.into_iter().enumerate() {
        if after.iter().any(|known| known.repeats(&record)) {
            return Err(Refusal::field(
                "DUPLICATE_RECORD",
                &format!("records[{i}]"),
                "Another record with the same attributes already exists",
            ));
        }
        after.push(record);
    }
    put(call, domain, &zone, after, StatusCode::OK)
}

pub(super) fn delete_set(call: &mut Call<'_>) -> Reply {
    let kind = type_of(call, DELETABLE)?;
    let (domain, zone) = writable(call)?;
    let name = call.path[2].clone();
    let after: Vec<Record> = zone
        .iter()
        .filter(|record| !(record.kind == kind && record.name == name))
        .cloned()
        .collect();
    if after.len() == zone.len() {
        return Err(Refusal::missing("The requested records were not found"));
    }
    put(call, &domain, &zone, after, StatusCode::NO_CONTENT)
}

fn put(
    call: &mut Call<'_>,
    domain: &str,
    before: &[Record],
    after: Vec<Record>,
    status: StatusCode,
) -> Reply {
    for record in after.iter().filter(|record| !before.contains(record)) {
        let clash = after.iter().any(|other| {
            other.name == record.name
                && !other.repeats(record)
                && (other.kind == "CNAME" || record.kind == "CNAME")
        });
        if clash {
            return Err(Refusal::field(
                "DUPLICATE_RECORD",
                "records[0].name",
                format!("Record name {} conflicts with another record", record.name),
            ));
        }
    }
    call.world.put_zone(domain, after);
    Answer::empty(status)
}

fn zone<'a>(call: &'a Call<'_>) -> Result<&'a [Record], Refusal> {
    let domain = &call.path[0];
    call.world
        .seen_zone(domain)
        .ok_or_else(|| Refusal::unknown_domain(domain))
}

fn writable(call: &Call<'_>) -> Result<(String, Vec<Record>), Refusal> {
    let name = &call.path[0];
    let domain = call.world.domains.get(name);
    let Some((domain, zone)) = domain.and_then(|domain| Some((domain, domain.zone.clone()?)))
    else {
        return Err(Refusal::unknown_domain(name));
    };
    if domain.status.starts_with("CANCELLED") || domain.status.starts_with("PENDING_TRANSFER") {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "INVALID_STATUS",
            format!(
                "The domain status ({}) does not allow the change",
                domain.status
            ),
        ));
    }
    Ok((domain.name.clone(), zone))
}

fn type_of(call: &Call<'_>, allowed: &[&str]) -> Result<String, Refusal> {
    let kind = &call.path[1];
    if allowed.contains(&kind.as_str()) {
        return Ok(kind.clone());
    }
    Err(Refusal::field(
        "INVALID_VALUE_ENUM",
        "type",
        format!("is not one of the accepted values [{}]", allowed.join(",")),
    ))
}

fn managed(kind: &str, name: &str) -> Result<(), Refusal> {
    if kind == "SOA" || kind == "NS" && name == "@" {
        return Err(Refusal::field(
            "INVALID_VALUE",
            "type",
            "the name servers of the zone are managed by GoDaddy",
        ));
    }
    Ok(())
}

/// The records of a body; type and name are in the path, or in each record.
fn records(
    body: &Value,
    kind: Option<&str>,
    name: Option<&str>,
    allowed: &[&str],
) -> Result<Vec<Record>, Refusal> {
    let Some(rows) = body.as_array() else {
        return Err(Refusal::field("INVALID_BODY", "records", "is not an array"));
    };
    if rows.is_empty() {
        return Err(Refusal::field(
            "ARRAY_TOO_SHORT",
            "records",
            "must have at least 1 item",
        ));
    }
    let mut faults = Vec::new();
    let mut made: Vec<Record> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let mut fault = |code: &str, field: &str, message: &str| {
            faults.push(Fault {
                code: code.to_owned(),
                path: format!("records[{i}].{field}"),
                message: message.to_owned(),
            });
        };
        let text = |field: &str| row[field].as_str().map(str::to_owned);
        let kind = kind.map(str::to_owned).or_else(|| text("type"));
        let name = name.map(str::to_owned).or_else(|| text("name"));
        let (Some(kind), Some(name), Some(data)) = (kind, name, text("data")) else {
            fault("MISSING_VALUE", "data", "type, name and data are required");
            continue;
        };
        if !allowed.contains(&kind.as_str()) {
            fault(
                "INVALID_VALUE_ENUM",
                "type",
                "is not one of the accepted values",
            );
            continue;
        }
        let record = Record {
            ttl: row["ttl"].as_u64().unwrap_or(3_600),
            priority: row["priority"].as_u64(),
            weight: row["weight"].as_u64(),
            port: row["port"].as_u64(),
            service: text("service"),
            protocol: text("protocol"),
            ..Record::new(&kind, &name, data, 0)
        };
        for (field, message) in problems(&record) {
            fault("INVALID_VALUE", field, message);
        }
        made.push(record);
    }
    if faults.is_empty() {
        return Ok(made);
    }
    Err(Refusal::fields(faults))
}

fn problems(record: &Record) -> Vec<(&'static str, &'static str)> {
    let mut wrong = Vec::new();
    let Record { data, name, .. } = record;
    if !(600..=86_400).contains(&record.ttl) {
        wrong.push(("ttl", "must be between 600 and 86400"));
    }
    let host = |text: &str| {
        text == "@"
            || !text.is_empty()
                && text.len() <= 253
                && text.split('.').all(|label| {
                    (1..=63).contains(&label.len())
                        && label
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                })
    };
    let below = name.strip_prefix("*.").unwrap_or(name);
    if below != "*" && !host(below) || name.bytes().any(|b| b.is_ascii_uppercase()) {
        wrong.push(("name", "is not a valid record name"));
    }
    let right = match record.kind.as_str() {
        "A" => data.parse::<Ipv4Addr>().is_ok(),
        "AAAA" => data.parse::<Ipv6Addr>().is_ok(),
        "CNAME" | "MX" | "NS" | "SRV" => host(data.strip_suffix('.').unwrap_or(data)),
        "TXT" => (1..=LONGEST_TEXT).contains(&data.len()),
        "CAA" => data.splitn(3, ' ').count() == 3,
        _ => true,
    };
    if !right {
        wrong.push(("data", "is not valid for the record type"));
    }
    if record.kind == "CNAME" && name == "@" {
        wrong.push(("name", "a CNAME cannot be at the apex"));
    }
    if matches!(record.kind.as_str(), "MX" | "SRV") && record.priority.is_none() {
        wrong.push(("priority", "is required"));
    }
    if record.kind == "SRV" {
        let whole = record.weight.is_some()
            && record.port.is_some_and(|port| (1..=65_535).contains(&port))
            && record.service.is_some()
            && record.protocol.is_some();
        if !whole {
            wrong.push(("service", "weight, port, service and protocol are required"));
        }
    }
    wrong
}
