//! octoDNS-style YAML: names, below each a record or a list of them.
//!
//! `type`, `ttl`, `value` or `values`, and below `octodns: cloudflare:` the proxy state and the
//! automatic TTL. What octoDNS has and we do not is told as a warning; what would change which records
//! are meant is refused. The SOA has no place in such files.

use std::cmp::Ordering;

use super::file::{Builder, ZoneFile};
use super::name::DomainName;
use super::rdata;
use super::record::{Draft, Record, RecordType, Ttl};
use super::yaml::{self, Node, Value, scalar};
use super::zone::{Limits, Zone};
use crate::error::{Error, Result};

/// Reads a file.
pub(super) fn read(text: &str, zone: &DomainName, limits: &Limits) -> Result<ZoneFile> {
    let mut builder = Builder::new(zone, limits);
    match yaml::parse(text) {
        Err((line, error)) => builder.problem(line, error),
        Ok(root) => match &root.value {
            Value::Map(names) => {
                for (name, records) in names {
                    read_name(name, records, &mut builder);
                }
            }
            Value::Null => {}
            _ => builder.problem(
                root.line,
                Error::usage("not a mapping of names to records").hint(SHAPE),
            ),
        },
    }
    builder.finish()
}

const SHAPE: &str = "It looks like `www: {type: A, ttl: 3600, value: 192.0.2.10}`.";

fn read_name(name: &Node, records: &Node, builder: &mut Builder) {
    // YAML takes a bare `:` for a name that is nothing.
    let text = match (&name.value, name.text()) {
        (Value::Null, _) => "@",
        (_, Some("")) => "@",
        (_, Some(text)) => text,
        _ => {
            builder.problem(name.line, Error::usage("a name is not text").hint(SHAPE));
            return;
        }
    };
    let list = match &records.value {
        Value::List(list) => list.as_slice(),
        _ => std::slice::from_ref(records),
    };
    for record in list {
        if let Err((line, error)) = read_record(text, record, builder) {
            builder.problem(line, error);
        }
    }
}

fn read_record(name: &str, record: &Node, builder: &mut Builder) -> Result<(), yaml::Problem> {
    let fail = |node: &Node, message: String| (node.line, Error::usage(message).hint(SHAPE));
    let Value::Map(entries) = &record.value else {
        return Err(fail(
            record,
            format!("the record of `{name}` is not a mapping"),
        ));
    };
    let kind = record
        .get("type")
        .and_then(Node::text)
        .ok_or_else(|| fail(record, format!("the record of `{name}` has no `type`")))?;
    let kind: RecordType = kind.parse().map_err(|error| (record.line, error))?;
    let mut ttl = match record.get("ttl") {
        None => None,
        Some(node) => {
            let seconds = node.text().and_then(super::file::ttl);
            Some(Ttl::Seconds(seconds.ok_or_else(|| {
                fail(
                    node,
                    format!("the `ttl` of `{name}` is not a number of seconds"),
                )
            })?))
        }
    };
    let mut special = Special::default();
    for (key, value) in entries {
        match key.text().unwrap_or_default() {
            "type" | "ttl" | "value" | "values" => {}
            "octodns" => special.read(value, builder)?,
            other => builder.warn(key.line, format!("`{other}` has no effect")),
        }
    }
    if special.automatic && builder.limits.automatic_ttl {
        ttl = Some(Ttl::Automatic);
    } else if special.automatic {
        builder.warn(record.line, "there is no automatic TTL here");
    }
    let values = match (record.get("values"), record.get("value")) {
        (Some(node), Some(_)) => {
            return Err(fail(
                node,
                format!("`{name}` has both `value` and `values`"),
            ));
        }
        (None, None) => {
            return Err(fail(
                record,
                format!("the record of `{name}` has no `value`"),
            ));
        }
        (Some(node), None) | (None, Some(node)) => node,
    };
    let list = match &values.value {
        Value::List(list) => list.as_slice(),
        _ => std::slice::from_ref(values),
    };
    if list.is_empty() {
        return Err(fail(values, format!("`{name}` has no `values`")));
    }
    // A name of the file is relative, unless it ends in a dot.
    let owner = match name {
        "@" => builder.zone.absolute(),
        name if name.ends_with('.') => name.to_owned(),
        name => format!("{name}.{}", builder.zone.absolute()),
    };
    for value in list {
        let draft = Draft {
            ttl,
            proxied: special.proxied,
            ..Draft::new(
                kind.as_str(),
                owner.clone(),
                read_value(&kind, value, builder)?,
            )
        };
        builder.record(value.line, draft);
    }
    Ok(())
}

/// What stands below `octodns:`.
#[derive(Default)]
struct Special {
    proxied: Option<bool>,
    automatic: bool,
}

impl Special {
    fn read(&mut self, node: &Node, builder: &mut Builder) -> Result<(), yaml::Problem> {
        let Value::Map(entries) = &node.value else {
            return Ok(());
        };
        for (key, value) in entries {
            match key.text().unwrap_or_default() {
                "cloudflare" => self.read_cloudflare(value, builder)?,
                // Leaving such a record out would read as its deletion.
                word @ ("ignored" | "included" | "excluded") => {
                    return Err((
                        key.line,
                        Error::usage(format!("`octodns: {word}` is not followed here"))
                            .hint("Leave the word away, or the whole record."),
                    ));
                }
                other => builder.warn(key.line, format!("`octodns: {other}` has no effect")),
            }
        }
        Ok(())
    }

    fn read_cloudflare(&mut self, node: &Node, builder: &mut Builder) -> Result<(), yaml::Problem> {
        let Value::Map(entries) = &node.value else {
            return Ok(());
        };
        for (key, value) in entries {
            let switch = || match value.text().map(str::to_ascii_lowercase).as_deref() {
                Some("true" | "yes" | "on") => Ok(true),
                Some("false" | "no" | "off") => Ok(false),
                _ => Err((
                    value.line,
                    Error::usage("neither `true` nor `false`").hint("Write one of them."),
                )),
            };
            match key.text().unwrap_or_default() {
                "proxied" => self.proxied = Some(switch()?),
                "auto-ttl" => self.automatic = switch()?,
                other => builder.warn(
                    key.line,
                    format!("`octodns: cloudflare: {other}` has no effect"),
                ),
            }
        }
        Ok(())
    }
}

/// A part of a structured value: its name, and an older one.
type Part = (&'static str, &'static str);

/// The parts of a structured value, in the order a zone file has them.
fn parts(kind: &RecordType) -> &'static [Part] {
    match kind.as_str() {
        "MX" => &[("preference", "priority"), ("exchange", "value")],
        "SRV" => &[
            ("priority", ""),
            ("weight", ""),
            ("port", ""),
            ("target", ""),
        ],
        "CAA" => &[("flags", ""), ("tag", ""), ("value", "")],
        "TLSA" => &[
            ("certificate_usage", ""),
            ("selector", ""),
            ("matching_type", ""),
            ("certificate_association_data", ""),
        ],
        "SSHFP" => &[
            ("algorithm", ""),
            ("fingerprint_type", ""),
            ("fingerprint", ""),
        ],
        "DS" => &[
            ("key_tag", ""),
            ("algorithm", ""),
            ("digest_type", ""),
            ("digest", ""),
        ],
        "NAPTR" => &[
            ("order", ""),
            ("preference", ""),
            ("flags", ""),
            ("service", ""),
            ("regexp", ""),
            ("replacement", ""),
        ],
        "LOC" => &[
            ("lat_degrees", ""),
            ("lat_minutes", ""),
            ("lat_seconds", ""),
            ("lat_direction", ""),
            ("long_degrees", ""),
            ("long_minutes", ""),
            ("long_seconds", ""),
            ("long_direction", ""),
            ("altitude", ""),
            ("size", ""),
            ("precision_horz", ""),
            ("precision_vert", ""),
        ],
        "HTTPS" | "SVCB" => &[("svcpriority", ""), ("targetname", "")],
        _ => &[],
    }
}

/// Parts that a zone file has in quotes.
fn is_quoted(kind: &RecordType, part: &str) -> bool {
    match kind.as_str() {
        "CAA" => part == "value",
        "NAPTR" => matches!(part, "flags" | "service" | "regexp"),
        _ => false,
    }
}

/// Parts that are metres, which a zone file says and octoDNS does not.
fn is_metres(part: &str) -> bool {
    matches!(
        part,
        "altitude" | "size" | "precision_horz" | "precision_vert"
    )
}

/// Parts that are names, which octoDNS wants with a dot at their end.
fn is_name(kind: &RecordType, part: &str) -> bool {
    matches!(part, "exchange" | "target" | "targetname" | "replacement")
        || kind.as_str() == "MX" && part == "value"
}

/// The value of a draft.
fn read_value(
    kind: &RecordType,
    node: &Node,
    builder: &mut Builder,
) -> Result<String, yaml::Problem> {
    let fail = |message: String| (node.line, Error::usage(message).hint(SHAPE));
    let Value::Map(entries) = &node.value else {
        let Some(text) = node.text() else {
            return Err(fail(format!("a value of type {kind} is missing")));
        };
        if matches!(kind.as_str(), "TXT" | "SPF") {
            // octoDNS wants semicolons escaped.
            return Ok(text.replace("\\;", ";"));
        }
        if kind.is_name() {
            check_dot(text, node.line, builder);
        }
        return Ok(text.to_owned());
    };
    let parts = parts(kind);
    if parts.is_empty() {
        return Err(fail(format!(
            "a value of type {kind} is text, not a mapping"
        )));
    }
    let mut out = Vec::new();
    for (part, older) in parts {
        let value = match (node.get(part).or_else(|| node.get(older)), *part) {
            (Some(value), _) => value.text().unwrap_or_default(),
            (None, "flags") if *kind == RecordType::Caa => "0",
            (None, _) => return Err(fail(format!("a value of type {kind} has no `{part}`"))),
        };
        if is_name(kind, part) {
            check_dot(value, node.line, builder);
        }
        out.push(if is_quoted(kind, part) {
            rdata::quote(value)
        } else if is_metres(part) && !value.ends_with('m') {
            format!("{value}m")
        } else {
            value.to_owned()
        });
    }
    for (key, value) in entries {
        let name = key.text().unwrap_or_default();
        if parts
            .iter()
            .any(|(part, older)| [*part, *older].contains(&name))
        {
            continue;
        }
        match (name, &value.value) {
            ("svcparams", Value::Map(params)) => {
                for (key, value) in params {
                    out.push(read_param(key, value));
                }
            }
            _ => builder.warn(key.line, format!("`{name}` has no effect")),
        }
    }
    Ok(out.join(" "))
}

fn read_param(key: &Node, value: &Node) -> String {
    let key = key.text().unwrap_or_default();
    let text = match &value.value {
        Value::List(list) => {
            let texts: Vec<_> = list.iter().filter_map(Node::text).collect();
            texts.join(",")
        }
        Value::Text(text) => text.clone(),
        _ => return key.to_owned(),
    };
    format!("{key}={}", rdata::quote(&text))
}

fn check_dot(name: &str, line: usize, builder: &mut Builder) {
    if name.contains('.') && !name.ends_with('.') {
        builder.warn(
            line,
            format!("`{name}` is taken as a whole name; octoDNS wants a dot at its end"),
        );
    }
}

/// Writes a file: names in the order octoDNS insists on, values in ours.
pub(super) fn write(zone: &Zone) -> String {
    let mut names: Vec<(&str, Vec<&Record>)> = Vec::new();
    let mut records: Vec<&Record> = zone
        .records
        .iter()
        .filter(|record| record.kind != RecordType::Soa)
        .collect();
    records.sort();
    for record in records {
        let name = if record.name.is_apex() {
            ""
        } else {
            record.name.as_str()
        };
        match names.last_mut() {
            Some((last, records)) if *last == name => records.push(record),
            _ => names.push((name, vec![record])),
        }
    }
    names.sort_by(|a, b| natural(a.0, b.0));
    let mut out = "---\n".to_owned();
    for (name, records) in names {
        out.push_str(&format!("{}:\n", scalar(name)));
        // A record of octoDNS has one TTL and one proxy state.
        let mut groups: Vec<Vec<&Record>> = Vec::new();
        for record in records {
            let key = |record: &Record| (record.kind.clone(), record.ttl, record.proxied);
            match groups.iter_mut().find(|group| key(group[0]) == key(record)) {
                Some(group) => group.push(record),
                None => groups.push(vec![record]),
            }
        }
        let (first, rest) = if groups.len() > 1 {
            ("- ", "  ")
        } else {
            ("", "")
        };
        for group in &groups {
            let lines = write_group(group);
            for (number, line) in lines.iter().enumerate() {
                let lead = if number == 0 { first } else { rest };
                out.push_str(&format!("  {lead}{line}\n"));
            }
        }
    }
    if zone.records.is_empty() {
        out.push_str("{}\n");
    }
    out
}

fn write_group(group: &[&Record]) -> Vec<String> {
    let record = group[0];
    let mut lines = Vec::new();
    let automatic = record.ttl == Some(Ttl::Automatic);
    if record.proxied.is_some() || automatic {
        lines.extend(["octodns:".to_owned(), "  cloudflare:".to_owned()]);
        if automatic {
            lines.push("    auto-ttl: true".to_owned());
        }
        if let Some(proxied) = record.proxied {
            lines.push(format!("    proxied: {proxied}"));
        }
    }
    if let Some(Ttl::Seconds(seconds)) = record.ttl {
        lines.push(format!("ttl: {seconds}"));
    }
    lines.push(format!("type: {}", record.kind));
    let (key, lead, rest) = if group.len() == 1 {
        ("value", "", "")
    } else {
        ("values", "- ", "  ")
    };
    let mut values = Vec::new();
    for record in group {
        match write_value(record) {
            Written::Scalar(text) => values.push(format!("{lead}{text}")),
            Written::Parts(parts) => {
                for (number, part) in parts.iter().enumerate() {
                    values.push(format!("{}{part}", if number == 0 { lead } else { rest }));
                }
            }
        }
    }
    match &values[..] {
        [one] if lead.is_empty() && matches!(write_value(record), Written::Scalar(_)) => {
            lines.push(format!("{key}: {one}"));
        }
        many => {
            lines.push(format!("{key}:"));
            lines.extend(many.iter().map(|line| format!("  {line}")));
        }
    }
    lines
}

enum Written {
    Scalar(String),
    Parts(Vec<String>),
}

fn write_value(record: &Record) -> Written {
    if matches!(record.kind.as_str(), "TXT" | "SPF") {
        let text = &record.data;
        let text = if text.trim_start().starts_with('"') {
            rdata::quote(text)
        } else {
            text.clone()
        };
        return Written::Scalar(scalar(&text.replace(';', "\\;")));
    }
    let data = record.presentation();
    let words = rdata::words(&data);
    let parts = parts(&record.kind);
    let params = matches!(record.kind.as_str(), "HTTPS" | "SVCB");
    if parts.is_empty() || words.len() < parts.len() || words.len() > parts.len() && !params {
        return Written::Scalar(scalar(&data));
    }
    let mut lines = Vec::new();
    for ((part, _), word) in parts.iter().zip(&words) {
        let text = if is_quoted(&record.kind, part) {
            match rdata::text(word) {
                Ok(text) => text,
                Err(_) => return Written::Scalar(scalar(&data)),
            }
        } else if is_metres(part) {
            word.trim_end_matches('m').to_owned()
        } else {
            word.clone()
        };
        // Numbers are numbers, everything else text.
        lines.push(match text.parse::<u32>() {
            Ok(number) if number.to_string() == text && !is_quoted(&record.kind, part) => {
                format!("{part}: {number}")
            }
            _ => format!("{part}: {}", scalar(&text)),
        });
    }
    let mut params = Vec::new();
    for word in &words[parts.len()..] {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if value.contains('"') {
            return Written::Scalar(scalar(&data));
        }
        let list = matches!(key, "alpn" | "ipv4hint" | "ipv6hint" | "mandatory");
        params.push(match (list, value) {
            (_, "") => format!("  {key}:"),
            (true, value) => {
                let values: Vec<_> = value.split(',').map(scalar).collect();
                format!("  {key}: [{}]", values.join(", "))
            }
            (false, value) => format!("  {key}: {}", scalar(value)),
        });
    }
    lines.sort();
    if !params.is_empty() {
        params.sort();
        params.insert(0, "svcparams:".to_owned());
        lines.splice(0..0, params);
    }
    Written::Parts(lines)
}

/// Numbers within names in the order of their values, as octoDNS sorts.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        match (digits(a), digits(b)) {
            (0, 0) => match (a.chars().next(), b.chars().next()) {
                (Some(one), Some(other)) if one == other => {
                    (a, b) = (&a[one.len_utf8()..], &b[other.len_utf8()..]);
                }
                (one, other) => return one.cmp(&other),
            },
            // The end comes before a number, a number before anything else.
            (0, _) if !a.is_empty() => return Ordering::Greater,
            (0, _) => return Ordering::Less,
            (_, 0) if !b.is_empty() => return Ordering::Less,
            (_, 0) => return Ordering::Greater,
            (one, other) => {
                let number = |text: &str| text.trim_start_matches('0').to_owned();
                let (x, y) = (number(&a[..one]), number(&b[..other]));
                match x.len().cmp(&y.len()).then_with(|| x.cmp(&y)) {
                    Ordering::Equal => (a, b) = (&a[one..], &b[other..]),
                    unequal => return unequal,
                }
            }
        }
    }
}
