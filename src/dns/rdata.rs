//! The data of records, type by type: reading what people and providers write, and writing it back.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::name::DomainName;
use super::record::{Caa, Draft, Record, RecordType};
use crate::error::{Error, Result};

/// What the data of a record comes apart into.
pub(super) struct Parts {
    pub data: String,
    pub priority: Option<u16>,
    pub weight: Option<u16>,
    pub port: Option<u16>,
}

impl Parts {
    fn plain(data: impl Into<String>) -> Self {
        Parts {
            data: data.into(),
            priority: None,
            weight: None,
            port: None,
        }
    }
}

/// Reads the value of a draft.
pub(super) fn parse(kind: &RecordType, draft: &Draft, zone: &DomainName) -> Result<Parts> {
    let value = draft.value.trim();
    if value.is_empty() && *kind != RecordType::Txt {
        return Err(Error::usage("it has no value").hint(format!(
            "A record of type {kind} looks like {}.",
            example(kind)
        )));
    }
    if draft.priority.is_some() && !matches!(kind, RecordType::Mx | RecordType::Srv) {
        return Err(Error::usage("only MX and SRV have a priority").hint("Leave it away."));
    }
    if (draft.weight.is_some() || draft.port.is_some()) && *kind != RecordType::Srv {
        return Err(Error::usage("only SRV has a weight and a port").hint("Leave them away."));
    }
    match kind {
        RecordType::A => address4(value).map(Parts::plain),
        RecordType::Aaaa => address6(value).map(Parts::plain),
        RecordType::Mx => mx(draft, value, zone),
        RecordType::Srv => srv(draft, value, zone),
        // Blanks at either end of a text are part of it.
        RecordType::Txt => text(&draft.value).map(Parts::plain),
        RecordType::Caa => caa(value).map(|caa| Parts::plain(show_caa(&caa))),
        RecordType::Soa => soa(value, zone).map(Parts::plain),
        kind if kind.is_name() => target(value, zone).map(|name| Parts::plain(name.as_str())),
        RecordType::Other(name) if name == "SPF" => text(value).map(Parts::plain),
        kind => Ok(Parts::plain(other(kind.as_str(), value))),
    }
}

/// What a draft says that cannot be read; the priority in front of a strange MX host still is one.
pub(super) fn keep(kind: &RecordType, draft: &Draft) -> Parts {
    let value = draft.value.trim();
    let (mut priority, mut data) = (draft.priority, value);
    if *kind == RecordType::Mx
        && priority.is_none()
        && let Some((first, rest)) = value.split_once(' ')
        && let Ok(number) = first.parse()
    {
        (priority, data) = (Some(number), rest.trim());
    }
    Parts {
        data: data.to_owned(),
        priority,
        weight: draft.weight,
        port: draft.port,
    }
}

/// What a value of the type looks like, in backticks.
fn example(kind: &RecordType) -> &'static str {
    match kind {
        RecordType::A => "`192.0.2.10`",
        RecordType::Aaaa => "`2001:db8::10`",
        RecordType::Mx => "`10 mail.example.com`",
        RecordType::Srv => "`10 5 5060 sip.example.com` (priority, weight, port, target)",
        RecordType::Caa => "`0 issue \"letsencrypt.org\"`",
        RecordType::Soa => "`ns1.example.com hostmaster.example.com 1 3600 600 604800 300`",
        _ => "`target.example.com`",
    }
}

fn bad(kind: RecordType, value: &str) -> Error {
    Error::usage(format!(
        "`{}` is not the data of a record of this type",
        value.escape_debug()
    ))
    .hint(format!("It looks like {}.", example(&kind)))
}

fn address4(value: &str) -> Result<String> {
    if let Ok(address) = value.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    let message = format!("`{}` is not an IPv4 address", value.escape_debug());
    Err(if value.parse::<Ipv6Addr>().is_ok() {
        Error::usage(message).hint("An IPv6 address goes into a record of type `AAAA`.")
    } else if value.contains(|c: char| c.is_ascii_alphabetic()) {
        Error::usage(message).hint("Another name goes into a record of type `CNAME`.")
    } else {
        Error::usage(message).hint("An IPv4 address looks like `192.0.2.10`.")
    })
}

fn address6(value: &str) -> Result<String> {
    if let Ok(address) = value.parse::<Ipv6Addr>() {
        return Ok(address.to_string());
    }
    let message = format!("`{}` is not an IPv6 address", value.escape_debug());
    Err(if value.parse::<Ipv4Addr>().is_ok() {
        Error::usage(message).hint("An IPv4 address goes into a record of type `A`.")
    } else {
        Error::usage(message).hint("An IPv6 address looks like `2001:db8::10`.")
    })
}

/// A target: a whole name with or without its dot, or `@` for the zone.
fn target(value: &str, zone: &DomainName) -> Result<DomainName> {
    if value == "@" {
        return Ok(zone.clone());
    }
    if value.parse::<Ipv4Addr>().is_ok() || value.parse::<Ipv6Addr>().is_ok() {
        return Err(
            Error::usage(format!("`{value}` is an address where a name has to be")).hint(
                "Give the address a name with a record of type `A` or `AAAA`, and use that name.",
            ),
        );
    }
    let name: DomainName = value.parse()?;
    if !name.is_root() && !value.contains('.') && !value.contains('\u{3002}') {
        return Err(
            Error::usage(format!("`{value}` is not a whole name")).hint(format!(
                "Write `{name}.{zone}` for a name in the zone, or `{name}.` for a top-level domain."
            )),
        );
    }
    Ok(name)
}

fn number<T: std::str::FromStr>(word: &str, what: &str, most: u64) -> Result<T> {
    word.parse().map_err(|_| {
        Error::usage(format!("`{}` is not a {what}", word.escape_debug()))
            .hint(format!("It is a whole number from 0 to {most}."))
    })
}

const MOST: u64 = u16::MAX as u64;

/// The same number given twice, or once.
fn agreed(apart: Option<u16>, within: Option<u16>, what: &str) -> Result<Option<u16>> {
    match (apart, within) {
        (Some(apart), Some(within)) if apart != within => Err(Error::usage(format!(
            "the {what} is given twice: {apart} and {within}"
        ))
        .hint("Give it once.")),
        (apart, within) => Ok(apart.or(within)),
    }
}

fn mx(draft: &Draft, value: &str, zone: &DomainName) -> Result<Parts> {
    let words: Vec<_> = value.split_whitespace().collect();
    let (priority, host) = match words[..] {
        [host] => (None, host),
        [priority, host] => (Some(number(priority, "priority", MOST)?), host),
        _ => return Err(bad(RecordType::Mx, value)),
    };
    let host = target(host, zone)?;
    // Null MX (RFC 7505) has only one priority it can have.
    let null = host.is_root().then_some(0);
    let priority = agreed(draft.priority, priority, "priority")?.or(null);
    let Some(priority) = priority else {
        return Err(Error::usage("it has no priority").hint(format!(
            "Write the priority in front, such as `10 {host}`; mail goes to the smallest first."
        )));
    };
    Ok(Parts {
        priority: Some(priority),
        ..Parts::plain(host.as_str())
    })
}

fn srv(draft: &Draft, value: &str, zone: &DomainName) -> Result<Parts> {
    let words: Vec<_> = value.split_whitespace().collect();
    let (numbers, host) = match &words[..] {
        [host] => (&[][..], host),
        [numbers @ .., host] if numbers.len() == 3 => (numbers, host),
        // Some providers keep the priority apart and the rest in the value.
        [numbers @ .., host] if numbers.len() == 2 && draft.priority.is_some() => (numbers, host),
        _ => return Err(bad(RecordType::Srv, value)),
    };
    let what = ["priority", "weight", "port"];
    let apart = [draft.priority, draft.weight, draft.port];
    let mut given = [None; 3];
    let skipped = if numbers.len() == 2 { 1 } else { 0 };
    for (place, word) in numbers.iter().enumerate() {
        let place = place + skipped;
        given[place] = Some(number(word, what[place], MOST)?);
    }
    for place in 0..3 {
        given[place] = agreed(apart[place], given[place], what[place])?;
    }
    if let Some(place) = given.iter().position(Option::is_none) {
        return Err(Error::usage(format!("it has no {}", what[place]))
            .hint(format!("It looks like {}.", example(&RecordType::Srv))));
    }
    let [priority, weight, port] = given;
    Ok(Parts {
        data: target(host, zone)?.as_str().to_owned(),
        priority,
        weight,
        port,
    })
}

fn soa(value: &str, zone: &DomainName) -> Result<String> {
    let words: Vec<_> = value
        .split_whitespace()
        .filter(|word| !matches!(*word, "(" | ")"))
        .collect();
    let [primary, mailbox, numbers @ ..] = &words[..] else {
        return Err(bad(RecordType::Soa, value));
    };
    if numbers.len() != 5 {
        return Err(bad(RecordType::Soa, value));
    }
    let mut out = vec![
        target(primary, zone)?.as_str().to_owned(),
        // A mailbox may have an escaped dot in front, so it is not a name in our sense.
        match mailbox.to_lowercase().trim_end_matches('.') {
            "" => ".".to_owned(),
            mailbox => mailbox.to_owned(),
        },
    ];
    for word in numbers {
        out.push(number::<u32>(word, "number", u64::from(u32::MAX))?.to_string());
    }
    Ok(out.join(" "))
}

/// Reads the data of a CAA record.
pub(super) fn caa(value: &str) -> Result<Caa> {
    let bad = || bad(RecordType::Caa, value);
    let (flags, rest) = value.split_once(char::is_whitespace).ok_or_else(bad)?;
    let (tag, rest) = rest
        .trim_start()
        .split_once(char::is_whitespace)
        .ok_or_else(bad)?;
    if tag.is_empty() || !tag.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(bad());
    }
    Ok(Caa {
        flags: number(flags, "flag", 255)?,
        tag: tag.to_ascii_lowercase(),
        value: text(rest.trim())?,
    })
}

/// The data of a CAA record as it is kept.
pub(super) fn show_caa(caa: &Caa) -> String {
    format!("{} {} {}", caa.flags, caa.tag, quote(&caa.value))
}

/// Any other type: words with one space between them, what is quoted left alone.
fn other(kind: &str, value: &str) -> String {
    let words = words(value);
    let hex_from = match kind {
        "DS" | "CDS" | "TLSA" | "SMIMEA" => Some(3),
        "SSHFP" => Some(2),
        _ => None,
    };
    if let Some(from) = hex_from
        && words.len() > from
    {
        // Hexadecimal may be cut by spaces and written in capitals.
        let digits: String = words[from..].concat().to_ascii_lowercase();
        return format!("{} {digits}", words[..from].join(" "));
    }
    if matches!(kind, "HTTPS" | "SVCB") && words.len() >= 2 {
        let mut words = words;
        words[1] = DomainName::lenient(&words[1]).as_str().to_owned();
        for word in &mut words[2..] {
            *word = parameter(word);
        }
        return words.join(" ");
    }
    words.join(" ")
}

/// A parameter of HTTPS and SVCB without the quotes it does not need.
fn parameter(word: &str) -> String {
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"\"\\;()".contains(&byte))
    };
    match word.split_once('=') {
        Some((key, value)) => match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
            Some(inner) if plain(inner) => format!("{key}={inner}"),
            _ => word.to_owned(),
        },
        None => word.to_owned(),
    }
}

/// Words, with what is in quotes kept whole.
pub(super) fn words(value: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for c in value.chars() {
        if !quoted && !escaped && c.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.push(c);
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The text of a TXT value: as it is, or out of one or more quoted strings.
pub(super) fn text(value: &str) -> Result<String> {
    let text = if value.trim_start().starts_with('"') {
        let octets = unquote(value).ok_or_else(|| {
            Error::usage("the quotes of the text do not match")
                .hint("Write the text without quotes, or as `\"…\"` with `\\\"` for a quote in it.")
        })?;
        String::from_utf8(octets).map_err(|_| {
            Error::usage("the text is not UTF-8").hint("Write it in UTF-8, or as Base64.")
        })?
    } else {
        value.to_owned()
    };
    if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(
            Error::usage(format!("the text holds `{}`", control.escape_default()))
                .hint("Control characters and line breaks do not belong in a record."),
        );
    }
    if text.len() > LONGEST_TEXT {
        return Err(Error::usage(format!(
            "the text has {} octets; {LONGEST_TEXT} is the most",
            text.len()
        ))
        .hint("Put it behind a link, or into several records."));
    }
    Ok(text)
}

/// As many octets as 255 strings of 255 hold: with their lengths they fit in one record.
const LONGEST_TEXT: usize = 65_025;

/// The octets of one or more quoted strings, if the value is nothing but that.
fn unquote(value: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        if byte != b'"' {
            return None;
        }
        loop {
            match rest.next()? {
                b'"' => break,
                b'\\' => {
                    let first = rest.next()?;
                    if !first.is_ascii_digit() {
                        octets.push(first);
                        continue;
                    }
                    let digits = [first, rest.next()?, rest.next()?];
                    let code = std::str::from_utf8(&digits).ok()?.parse().ok()?;
                    octets.push(code);
                }
                byte => octets.push(byte),
            }
        }
    }
    Some(octets)
}

/// One quoted string, with escapes where the syntax of zone files wants them.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("\\{byte:03}")),
        }
    }
    out.push('"');
    out
}

/// Cut into strings of at most 255 octets, between characters; one empty string for no text.
pub(super) fn strings(text: &str) -> Vec<&str> {
    let mut strings = Vec::new();
    let mut rest = text;
    loop {
        let mut end = rest.len().min(255);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (string, after) = rest.split_at(end);
        strings.push(string);
        if after.is_empty() {
            return strings;
        }
        rest = after;
    }
}

/// The data as text: for people, or with the dots and quotes a zone file wants.
pub(super) fn show(record: &Record, file: bool) -> String {
    let name = |text: &str| match text.parse::<DomainName>() {
        Ok(name) if file => name.absolute(),
        _ => text.to_owned(),
    };
    let numbers = [record.priority, record.weight, record.port]
        .into_iter()
        .flatten()
        .map(|number| format!("{number} "))
        .collect::<String>();
    match &record.kind {
        RecordType::Mx | RecordType::Srv => format!("{numbers}{}", name(&record.data)),
        RecordType::Txt => show_text(&record.data, file),
        RecordType::Other(kind) if kind == "SPF" => show_text(&record.data, file),
        RecordType::Soa if file => {
            let mut words = record.data.split(' ');
            let names: Vec<_> = words
                .by_ref()
                .take(2)
                .map(|word| {
                    if word == "." {
                        word.to_owned()
                    } else {
                        format!("{word}.")
                    }
                })
                .collect();
            let numbers: Vec<_> = words.collect();
            format!("{} {}", names.join(" "), numbers.join(" "))
        }
        RecordType::Other(kind) if file && matches!(kind.as_str(), "HTTPS" | "SVCB") => {
            let mut words: Vec<_> = words(&record.data);
            if let Some(word) = words.get_mut(1) {
                *word = name(word);
            }
            words.join(" ")
        }
        kind if kind.is_name() => name(&record.data),
        _ => record.data.clone(),
    }
}

/// The text as strings of a zone file, or in one piece with its letters for people.
fn show_text(text: &str, file: bool) -> String {
    if file {
        let strings: Vec<_> = strings(text).into_iter().map(quote).collect();
        return strings.join(" ");
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
