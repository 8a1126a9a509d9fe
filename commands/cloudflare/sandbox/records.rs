//! A DNS record as Cloudflare keeps it, and the rules it has to pass.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

use super::call::Refusal;
use super::world::{Zone, stamp};

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: String,
    /// The full name.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) content: String,
    pub(super) ttl: u32,
    pub(super) proxied: bool,
    pub(super) priority: Option<u16>,
    data: Option<Value>,
    pub(super) comment: Option<String>,
    tags: Vec<String>,
    settings: Value,
    pub(super) created: i64,
    modified: i64,
    comment_modified: Option<i64>,
}

/// The types whose values come in `data`, with its properties in the order the content shows them.
const STRUCTURED: &[(&str, &[&str])] = &[
    ("CAA", &["flags", "tag", "value"]),
    ("CERT", &["type", "key_tag", "algorithm", "certificate"]),
    ("DNSKEY", &["flags", "protocol", "algorithm", "public_key"]),
    ("DS", &["key_tag", "algorithm", "digest_type", "digest"]),
    ("HTTPS", &["priority", "target", "value"]),
    (
        "LOC",
        &[
            "lat_degrees",
            "lat_minutes",
            "lat_seconds",
            "lat_direction",
            "long_degrees",
            "long_minutes",
            "long_seconds",
            "long_direction",
            "altitude",
            "size",
            "precision_horz",
            "precision_vert",
        ],
    ),
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
    ("SRV", &["weight", "port", "target"]),
    ("SSHFP", &["algorithm", "type", "fingerprint"]),
    ("SVCB", &["priority", "target", "value"]),
    (
        "TLSA",
        &["usage", "selector", "matching_type", "certificate"],
    ),
    ("URI", &["weight", "target"]),
];

/// The types whose values come in `content`.
const PLAIN: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "OPENPGPKEY", "PTR", "TXT"];

/// Whether a type may be proxied.
pub(super) fn proxiable(kind: &str) -> bool {
    matches!(kind, "A" | "AAAA" | "CNAME")
}

impl Record {
    /// A record of this zone as a body describes it; what the body leaves out is taken from `base`.
    pub(super) fn made(
        zone: &Zone,
        body: &Value,
        base: Option<&Record>,
    ) -> Result<Record, Refusal> {
        let given = |name: &str| body.get(name).filter(|value| !value.is_null());
        let text = |name: &str| given(name).and_then(Value::as_str);
        let kind = text("type")
            .or(base.map(|base| base.kind.as_str()))
            .ok_or_else(|| Refusal::record(9_000, "DNS record type is invalid."))?;
        let shape = STRUCTURED.iter().find(|(known, _)| *known == kind);
        if shape.is_none() && !PLAIN.contains(&kind) {
            return Err(Refusal::record(
                9_000,
                &format!("DNS record type {kind} is invalid."),
            ));
        }
        let name = match (text("name"), base) {
            (Some(name), _) => full_name(zone, name)?,
            (None, Some(base)) => base.name.clone(),
            (None, None) => return Err(Refusal::record(9_000, "DNS name is invalid.")),
        };
        let proxied = match given("proxied").map(Value::as_bool) {
            Some(Some(proxied)) => proxied,
            Some(None) => return Err(Refusal::record(9_004, "proxied must be a boolean")),
            None => base.is_some_and(|base| base.proxied),
        };
        if proxied && !proxiable(kind) {
            return Err(Refusal::record(
                9_004,
                "This record type cannot be proxied.",
            ));
        }
        let ttl = match given("ttl").map(Value::as_f64) {
            Some(Some(ttl)) => ttl as u32,
            Some(None) => 0,
            None => base.map(|base| base.ttl).unwrap_or_default(),
        };
        let least = if zone.plan.0 == "enterprise" { 30 } else { 60 };
        if ttl != 1 && !(least..=86_400).contains(&ttl) {
            let rule =
                format!("TTL must be between {least} and 86400 seconds, or 1 for Automatic.");
            return Err(Refusal::record(9_021, &rule));
        }
        let mut priority = given("priority")
            .and_then(Value::as_u64)
            .and_then(|number| u16::try_from(number).ok())
            .or(base.and_then(|base| base.priority));
        let (content, data) = match shape {
            Some((_, names)) => {
                let data = given("data").or(base.and_then(|base| base.data.as_ref()));
                let data = data.and_then(Value::as_object).ok_or_else(|| {
                    Refusal::record(9_101, &format!("{kind} record data is missing."))
                })?;
                if kind == "SRV" {
                    priority = data
                        .get("priority")
                        .and_then(Value::as_u64)
                        .and_then(|n| u16::try_from(n).ok());
                }
                (shown(kind, names, data)?, Some(Value::Object(data.clone())))
            }
            None => {
                let content = text("content").or(base.map(|base| base.content.as_str()));
                let content = content.unwrap_or_default().trim();
                (plain(kind, content)?, None)
            }
        };
        match (kind, priority) {
            ("MX" | "URI" | "SRV", None) => {
                return Err(Refusal::record(
                    9_011,
                    &format!("{kind} priority is missing."),
                ));
            }
            ("MX" | "URI" | "SRV", Some(_)) => {}
            _ => priority = None,
        }
        let comment = match body.get("comment") {
            Some(Value::String(comment)) => Some(comment.clone()).filter(|text| !text.is_empty()),
            Some(_) => None,
            None => base.and_then(|base| base.comment.clone()),
        };
        let longest = if zone.plan.0 == "free" { 100 } else { 500 };
        if comment
            .as_ref()
            .is_some_and(|text| text.chars().count() > longest)
        {
            let rule = format!("Comments can have up to {longest} characters.");
            return Err(Refusal::record(9_300, &rule));
        }
        let tags = match body.get("tags").and_then(Value::as_array) {
            Some(tags) => tags
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            None => base.map(|base| base.tags.clone()).unwrap_or_default(),
        };
        if !tags.is_empty() && zone.plan.0 == "free" {
            return Err(Refusal::record(
                9_301,
                "DNS record has 1 tag, exceeding the quota of 0.",
            ));
        }
        Ok(Record {
            id: base.map(|base| base.id.clone()).unwrap_or_default(),
            name,
            kind: kind.to_owned(),
            content,
            ttl: if proxied { 1 } else { ttl },
            proxied,
            priority,
            data,
            comment,
            tags,
            settings: given("settings").cloned().unwrap_or_else(|| json!({})),
            created: base.map(|base| base.created).unwrap_or_default(),
            modified: base.map(|base| base.modified).unwrap_or_default(),
            comment_modified: base.and_then(|base| base.comment_modified),
        })
    }

    /// Gives it its id and its times.
    pub(super) fn born(&mut self, id: String, now: i64) {
        self.id = id;
        self.created = now;
        self.touch(now);
    }

    /// Notes that it changed.
    pub(super) fn touch(&mut self, now: i64) {
        self.modified = now;
        self.comment_modified = self.comment.as_ref().map(|_| now);
    }

    /// Refuses it where it cannot stand beside the others of its zone.
    pub(super) fn check_beside<'a>(
        &self,
        others: impl Iterator<Item = &'a Record>,
    ) -> Result<(), Refusal> {
        let refuse = |code, message| {
            Err(Refusal::new(
                axum::http::StatusCode::BAD_REQUEST,
                code,
                message,
            ))
        };
        for other in others.filter(|other| other.id != self.id && other.name == self.name) {
            if other.kind == self.kind
                && other.content.eq_ignore_ascii_case(&self.content)
                && other.priority == self.priority
            {
                return refuse(81_058, "An identical record already exists.");
            }
            if other.kind == "CNAME" {
                return refuse(81_054, "A CNAME record with that host already exists.");
            }
            if self.kind == "CNAME" && proxiable(&other.kind) {
                return refuse(
                    81_053,
                    "An A, AAAA, or CNAME record with that host already exists.",
                );
            }
        }
        Ok(())
    }

    /// As Cloudflare shows it.
    pub(super) fn json(&self) -> Value {
        let mut body = json!({
            "id": self.id,
            "name": self.name,
            "type": self.kind,
            "content": self.content,
            "proxiable": proxiable(&self.kind),
            "proxied": self.proxied,
            "ttl": self.ttl,
            "settings": self.settings,
            "meta": {},
            "comment": self.comment,
            "tags": self.tags,
            "created_on": stamp(self.created),
            "modified_on": stamp(self.modified),
        });
        if let Some(at) = self.comment_modified {
            body["comment_modified_on"] = stamp(at).into();
        }
        if let Some(priority) = self.priority {
            body["priority"] = priority.into();
        }
        if let Some(data) = &self.data {
            body["data"] = data.clone();
        }
        body
    }

    /// A line of a zone file, as an export has it.
    pub(super) fn line(&self) -> String {
        let ttl = self.ttl;
        let content = match (self.kind.as_str(), self.priority) {
            ("CNAME" | "NS" | "PTR", _) => format!("{}.", self.content),
            ("MX", Some(priority)) => format!("{priority} {}.", self.content),
            ("SRV", Some(priority)) => format!("{priority} {}.", self.content),
            ("URI", Some(priority)) => format!("{priority} {}", self.content),
            _ => self.content.clone(),
        };
        let mut line = format!("{}.\t{ttl}\tIN\t{}\t{content}", self.name, self.kind);
        let comment = self.comment.as_deref();
        if proxiable(&self.kind) {
            line.push_str(&format!(" ; cf_tags=cf-proxied:{}", self.proxied));
        }
        if let Some(comment) = comment {
            line.push_str(if proxiable(&self.kind) { " " } else { " ; " });
            line.push_str(comment);
        }
        line
    }
}

/// The full name of what a caller wrote.
fn full_name(zone: &Zone, name: &str) -> Result<String, Refusal> {
    let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
    let full = if name.is_empty() || name == "@" {
        zone.name.clone()
    } else if name == zone.name || name.ends_with(&format!(".{}", zone.name)) {
        name
    } else {
        format!("{name}.{}", zone.name)
    };
    let good = full.len() <= 253
        && full.split('.').enumerate().all(|(place, label)| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len())
                && (label.bytes().all(letters) || place == 0 && label == "*")
        });
    if good {
        Ok(full)
    } else {
        Err(Refusal::record(9_000, "DNS name is invalid."))
    }
}

/// The content of a type that has one.
fn plain(kind: &str, content: &str) -> Result<String, Refusal> {
    let host = || {
        let host = content.trim_end_matches('.').to_ascii_lowercase();
        let fine = !host.is_empty()
            && host.len() <= 253
            && host.parse::<Ipv4Addr>().is_err()
            && host.split('.').all(|label| (1..=63).contains(&label.len()))
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if fine {
            Ok(host)
        } else {
            let code = if kind == "CNAME" { 9_005 } else { 9_009 };
            Err(Refusal::record(
                code,
                &format!("Content for {kind} record is invalid."),
            ))
        }
    };
    match kind {
        "A" => content
            .parse::<Ipv4Addr>()
            .map(|address| address.to_string())
            .map_err(|_| {
                Refusal::record(9_005, "Content for A record must be a valid IPv4 address.")
            }),
        "AAAA" => content
            .parse::<Ipv6Addr>()
            .map(|address| address.to_string())
            .map_err(|_| {
                Refusal::record(
                    9_005,
                    "Content for AAAA record must be a valid IPv6 address.",
                )
            }),
        "CNAME" | "MX" | "NS" | "PTR" => host(),
        "TXT" => Ok(quoted(content)),
        _ if content.is_empty() => Err(Refusal::record(
            9_009,
            &format!("Content for {kind} record is missing."),
        )),
        _ => Ok(content.to_owned()),
    }
}

/// Texts in double quotes, none longer than 255 octets.
fn quoted(content: &str) -> String {
    if content.starts_with('"') && content.ends_with('"') && content.len() > 1 {
        return content.to_owned();
    }
    let mut texts = vec![String::new()];
    for c in content.chars() {
        if texts
            .last()
            .is_some_and(|text| text.len() + c.len_utf8() > 255)
        {
            texts.push(String::new());
        }
        if let Some(text) = texts.last_mut() {
            text.push(c);
        }
    }
    let escaped =
        |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    texts.iter().map(escaped).collect::<Vec<_>>().join(" ")
}

/// The content that Cloudflare computes from `data`.
fn shown(kind: &str, names: &[&str], data: &Map<String, Value>) -> Result<String, Refusal> {
    let mut parts = Vec::new();
    for name in names {
        let part = match data.get(*name) {
            Some(Value::String(text)) if *name == "value" && kind == "CAA" => format!("\"{text}\""),
            Some(Value::String(text)) if *name == "target" && kind == "URI" => {
                format!("\"{text}\"")
            }
            Some(Value::String(text)) => text.trim_end_matches('.').to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            // Only the precision of a place, and the parameters of a service, may be left out.
            _ if matches!(kind, "LOC" | "HTTPS" | "SVCB") => continue,
            _ => {
                return Err(Refusal::record(
                    9_101,
                    &format!("{name} is a required data field."),
                ));
            }
        };
        parts.push(if part.is_empty() {
            ".".to_owned()
        } else {
            part
        });
    }
    Ok(parts.join(" "))
}
