//! Records as Cloudflare is told them, and as it shows them.

use medtainer_core::dns::{DomainName, Record, RecordType, Ttl};
use medtainer_core::{Error, Result};
use serde_json::{Map, Value, json};

/// Whether Cloudflare may stand in front of a record of this type.
pub(super) fn proxiable(kind: &RecordType) -> bool {
    matches!(kind, RecordType::A | RecordType::Aaaa | RecordType::Cname)
}

/// The body that makes the record.
pub(super) fn body(record: &Record, zone: &DomainName) -> Result<Map<String, Value>> {
    let mut body = head(record, zone);
    if proxiable(&record.kind) {
        body.insert("proxied".to_owned(), json!(record.proxied.unwrap_or(false)));
    }
    match &record.kind {
        RecordType::Caa => {
            let caa = record.caa().ok_or_else(|| unreadable(record))?;
            let data = json!({ "flags": caa.flags, "tag": caa.tag, "value": caa.value });
            body.insert("data".to_owned(), data);
        }
        RecordType::Srv => {
            let data = json!({
                "priority": record.priority, "weight": record.weight, "port": record.port,
                "target": record.data,
            });
            body.insert("data".to_owned(), data);
        }
        RecordType::Other(kind) if kind != "OPENPGPKEY" => {
            let (priority, data) = structured(kind, record)?;
            if let Some(priority) = priority {
                body.insert("priority".to_owned(), priority);
            }
            body.insert("data".to_owned(), data);
        }
        _ => {
            body.insert("content".to_owned(), content(record).into());
            if let Some(priority) = record.priority {
                body.insert("priority".to_owned(), priority.into());
            }
        }
    }
    Ok(body)
}

fn head(record: &Record, zone: &DomainName) -> Map<String, Value> {
    let ttl = match record.ttl {
        Some(Ttl::Seconds(seconds)) => seconds,
        Some(Ttl::Automatic) | None => 1,
    };
    let name = record.name.fqdn(zone);
    Map::from_iter([
        ("name".to_owned(), Value::from(name.as_str())),
        ("type".to_owned(), record.kind.as_str().into()),
        ("ttl".to_owned(), ttl.into()),
    ])
}

/// The record as a list will show it, so far as a check compares it.
pub(super) fn as_shown(record: &Record, zone: &DomainName) -> Map<String, Value> {
    let mut shown = head(record, zone);
    shown.insert("content".to_owned(), content(record).into());
    shown.insert("proxied".to_owned(), json!(record.proxied.unwrap_or(false)));
    let priority = match &record.kind {
        RecordType::Other(kind) if kind == "URI" => {
            let first = record.data.split_whitespace().next();
            first.and_then(|number| number.parse::<u16>().ok())
        }
        _ => record.priority,
    };
    shown.insert("priority".to_owned(), json!(priority));
    shown
}

/// What stands in `content`: the data without what has a field of its own.
fn content(record: &Record) -> String {
    match &record.kind {
        RecordType::Mx => record.data.clone(),
        RecordType::Txt => record.presentation(),
        RecordType::Srv => {
            let number = |number: Option<u16>| number.unwrap_or_default();
            format!(
                "{} {} {}",
                number(record.weight),
                number(record.port),
                record.data
            )
        }
        RecordType::Other(kind) if kind == "URI" => {
            let rest = record
                .data
                .split_once(' ')
                .map(|(_, rest)| rest.trim_start());
            rest.unwrap_or(&record.data).to_owned()
        }
        _ => record.value(),
    }
}

/// The types that have `data`, and its properties in the order a zone file has them. The last one takes
/// all that is left.
const STRUCTURED: &[(&str, &[&str])] = &[
    ("CERT", &["type", "key_tag", "algorithm", "certificate"]),
    ("DNSKEY", &["flags", "protocol", "algorithm", "public_key"]),
    ("DS", &["key_tag", "algorithm", "digest_type", "digest"]),
    ("HTTPS", &["priority", "target", "value"]),
    (
        "NAPTR",
        &[
            "order",
            "preference",
            "flags",
            "service",
            "regex",
            "replacement",
        ],
    ),
    (
        "SMIMEA",
        &["usage", "selector", "matching_type", "certificate"],
    ),
    ("SSHFP", &["algorithm", "type", "fingerprint"]),
    ("SVCB", &["priority", "target", "value"]),
    (
        "TLSA",
        &["usage", "selector", "matching_type", "certificate"],
    ),
    ("URI", &["priority", "weight", "target"]),
];

/// The properties whose values are text even where they look like a number.
const TEXT: &[&str] = &[
    "certificate",
    "digest",
    "fingerprint",
    "flags",
    "public_key",
    "regex",
    "replacement",
    "service",
    "target",
    "value",
];

/// The `data` of a type that has one, with the priority where it stands beside.
fn structured(kind: &str, record: &Record) -> Result<(Option<Value>, Value)> {
    let Some((_, names)) = STRUCTURED.iter().find(|(known, _)| *known == kind) else {
        return Err(Error::usage(format!(
            "{} {}: Cloudflare has no records of this type",
            kind, record.name
        ))
        .hint("Leave it away; an `ALIAS` is written as a `CNAME` here."));
    };
    let words: Vec<_> = words(&record.data);
    if words.len() < names.len() && !(matches!(kind, "HTTPS" | "SVCB") && words.len() == 2) {
        return Err(unreadable(record));
    }
    let (mut data, mut priority) = (Map::new(), None);
    for (place, name) in names.iter().enumerate() {
        let text = match words.get(place) {
            Some(_) if place + 1 == names.len() => {
                words[place..].join(if *name == "value" { " " } else { "" })
            }
            Some(word) => word.clone(),
            None => String::new(),
        };
        let is_text = TEXT.contains(name) && !(*name == "flags" && kind == "DNSKEY");
        let value = match text.parse::<u32>() {
            Ok(number) if !is_text => Value::from(number),
            _ if is_text => Value::from(text),
            _ => return Err(unreadable(record)),
        };
        if *name == "priority" && kind == "URI" {
            priority = Some(value);
        } else {
            data.insert((*name).to_owned(), value);
        }
    }
    Ok((priority, Value::Object(data)))
}

/// The words of a value; one in quotes is one word, without them.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            // Inside of a parameter such as `alpn="h2,h3"` quotes stay.
            '"' if word.is_empty() || quoted && any => {
                quoted = !quoted;
                any = true;
            }
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() || any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() || any {
        words.push(word);
    }
    words
}

fn unreadable(record: &Record) -> Error {
    Error::usage(format!(
        "`{}` is not the data of a record of type {}",
        record.data.escape_debug(),
        record.kind
    ))
    .hint("Write it as a zone file has it.")
}
