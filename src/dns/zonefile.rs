//! Master files (RFC 1035, section 5).
//!
//! hickory's parser is not used: it opens any path a `$INCLUDE` names, tells no line of what it
//! refuses, loses the order, records that are there twice, comments (where Cloudflare keeps the proxy
//! state) and types it does not know.

use super::file::{Builder, ZoneFile, ttl};
use super::name::{DomainName, Owner};
use super::record::{Draft, Record, RecordType, Ttl};
use super::zone::{Limits, Zone};
use crate::error::{Error, Result};

/// A word of an entry; escapes are still in it.
#[derive(Debug)]
struct Word<'a> {
    text: &'a str,
    quoted: bool,
}

/// A line with what parentheses add to it.
#[derive(Debug, Default)]
struct Entry<'a> {
    line: usize,
    /// Whether it begins with a blank: the owner is the one of the entry before.
    indented: bool,
    words: Vec<Word<'a>>,
    comment: &'a str,
}

/// Reads a master file.
pub(super) fn read(text: &str, zone: &DomainName, limits: &Limits) -> Result<ZoneFile> {
    let mut builder = Builder::new(zone, limits);
    let mut state = State {
        origin: zone.clone(),
        owner: None,
        default_ttl: None,
        warned: false,
    };
    for entry in entries(text, &mut builder) {
        if let Err(error) = state.entry(&entry, &mut builder) {
            builder.problem(entry.line, error);
        }
    }
    builder.finish()
}

/// Cuts the text into entries. What cannot be cut is a problem of its line.
fn entries<'a>(text: &'a str, builder: &mut Builder) -> Vec<Entry<'a>> {
    let (mut entries, mut entry, mut depth) = (Vec::new(), Entry::default(), 0usize);
    let mut opened = 0;
    for (number, line) in (1usize..).zip(text.lines()) {
        if depth == 0 {
            entry = Entry {
                line: number,
                indented: line.starts_with([' ', '\t']),
                ..Entry::default()
            };
        }
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            match first {
                ' ' | '\t' | '\r' | '\u{c}' => rest = &rest[1..],
                ';' => {
                    entry.comment = &rest[1..];
                    break;
                }
                '(' => {
                    (depth, opened, rest) = (depth + 1, number, &rest[1..]);
                }
                ')' if depth > 0 => (depth, rest) = (depth - 1, &rest[1..]),
                ')' => {
                    builder.problem(
                        number,
                        Error::usage("a `)` without its `(`")
                            .hint("Put it into quotes, or drop it."),
                    );
                    rest = &rest[1..];
                }
                '"' => {
                    let Some(end) = end_of(&rest[1..], |c| c == '"') else {
                        builder.problem(
                            number,
                            Error::usage("a `\"` without its end on the line")
                                .hint("Close the string; longer text is several strings."),
                        );
                        break;
                    };
                    entry.words.push(Word {
                        text: &rest[1..=end],
                        quoted: true,
                    });
                    rest = &rest[end + 2..];
                }
                _ => {
                    let ends =
                        |c: char| c.is_ascii_whitespace() || matches!(c, ';' | '(' | ')' | '"');
                    let end = end_of_word(rest, ends);
                    entry.words.push(Word {
                        text: &rest[..end],
                        quoted: false,
                    });
                    rest = &rest[end..];
                }
            }
        }
        if depth == 0 && !entry.words.is_empty() {
            entries.push(std::mem::take(&mut entry));
        }
    }
    if depth > 0 {
        builder.problem(
            opened,
            Error::usage("a `(` without its `)`").hint("Close it at the end of the record."),
        );
    }
    entries
}

/// Where the first unescaped character of a kind is.
fn end_of(text: &str, is: impl Fn(char) -> bool) -> Option<usize> {
    let mut escaped = false;
    for (place, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if is(c) {
            return Some(place);
        }
    }
    None
}

/// Where a word ends. A quote within it, as in `alpn="h2,h3"`, holds what is in it together.
fn end_of_word(text: &str, ends: impl Fn(char) -> bool) -> usize {
    let mut at = 0;
    loop {
        let Some(end) = end_of(&text[at..], &ends).map(|end| end + at) else {
            return text.len();
        };
        if !text[end..].starts_with('"') || !text[..end].ends_with('=') {
            return end;
        }
        match end_of(&text[end + 1..], |c| c == '"') {
            Some(close) => at = end + close + 2,
            None => return text.len(),
        }
    }
}

struct State {
    origin: DomainName,
    owner: Option<DomainName>,
    default_ttl: Option<u32>,
    warned: bool,
}

impl State {
    fn entry(&mut self, entry: &Entry, builder: &mut Builder) -> Result<()> {
        let mut words = entry.words.as_slice();
        let first = &words[0];
        if !entry.indented && !first.quoted && first.text.starts_with('$') {
            return self.directive(words);
        }
        if !entry.indented {
            self.owner = Some(self.name(first.text)?);
            words = &words[1..];
        }
        let owner = self.owner.clone().ok_or_else(|| {
            Error::usage("the first record has no name")
                .hint("Begin the line with the name, or with `@` for the zone itself.")
        })?;
        let mut given = None;
        while let Some(word) = words.first() {
            if let Some(seconds) = ttl(word.text).filter(|_| given.is_none()) {
                given = Some(seconds);
            } else if word.text.eq_ignore_ascii_case("IN") {
            } else if ["CH", "HS", "CS"]
                .iter()
                .any(|c| word.text.eq_ignore_ascii_case(c))
            {
                return Err(
                    Error::usage(format!("the class `{}` is not kept here", word.text))
                        .hint("Records are of the class `IN`."),
                );
            } else {
                break;
            }
            words = &words[1..];
        }
        let Some((kind, data)) = words.split_first() else {
            return Err(Error::usage(format!("`{owner}` has no type and no data"))
                .hint("A record looks like `www 3600 IN A 192.0.2.10`."));
        };
        let kind: RecordType = kind.text.parse()?;
        let proxied = proxied(entry, builder);
        let ttl = match given.or(self.default_ttl) {
            Some(1) if builder.limits.automatic_ttl => Some(Ttl::Automatic),
            Some(seconds) => Some(Ttl::Seconds(seconds)),
            None => {
                if !std::mem::replace(&mut self.warned, true) && proxied != Some(true) {
                    builder.warn(
                        entry.line,
                        "there is no TTL, here or in a `$TTL` before: it is left as it is",
                    );
                }
                None
            }
        };
        let draft = Draft {
            ttl,
            proxied,
            ..Draft::new(kind.as_str(), owner.absolute(), self.value(&kind, data)?)
        };
        builder.record(entry.line, draft);
        Ok(())
    }

    fn directive(&mut self, words: &[Word]) -> Result<()> {
        let argument = words.get(1).map(|word| word.text);
        match (words[0].text.to_ascii_uppercase().as_str(), argument) {
            ("$ORIGIN", Some(name)) => self.origin = self.name(name)?,
            ("$TTL", Some(text)) => {
                let seconds = ttl(text).ok_or_else(|| {
                    Error::usage(format!("`{text}` is not a TTL"))
                        .hint("Write seconds, or `1h`, `30m`, `1d`.")
                })?;
                self.default_ttl = Some(seconds);
            }
            ("$ORIGIN" | "$TTL", None) => {
                return Err(Error::usage(format!("`{}` says nothing", words[0].text))
                    .hint("It looks like `$ORIGIN example.com.` or `$TTL 3600`."));
            }
            (directive, _) => {
                return Err(Error::usage(format!("`{directive}` is not followed here"))
                    .hint("Write its records into the file."));
            }
        }
        Ok(())
    }

    /// A name of the file, seen from its origin.
    fn name(&self, text: &str) -> Result<DomainName> {
        if text == "@" {
            return Ok(self.origin.clone());
        }
        let text = unescape(text)?;
        if text.ends_with('.') {
            return text.parse();
        }
        if self.origin.is_root() {
            return format!("{text}.").parse();
        }
        format!("{text}.{}", self.origin).parse()
    }

    /// The value of a draft: names in full, text in quotes.
    fn value(&self, kind: &RecordType, data: &[Word]) -> Result<String> {
        let plain = |word: &Word| {
            if word.quoted {
                format!("\"{}\"", word.text)
            } else {
                word.text.to_owned()
            }
        };
        let names: &[usize] = match kind {
            RecordType::Mx => &[1],
            RecordType::Srv => &[3],
            RecordType::Soa => &[0],
            RecordType::Other(name) if matches!(name.as_str(), "HTTPS" | "SVCB") => &[1],
            kind if kind.is_name() => &[0],
            _ => &[],
        };
        let text = match kind {
            RecordType::Txt => true,
            RecordType::Other(name) => name == "SPF",
            _ => false,
        };
        let mut out = Vec::with_capacity(data.len());
        for (place, word) in data.iter().enumerate() {
            out.push(if text {
                format!("\"{}\"", word.text)
            } else if names.contains(&place) && !word.quoted {
                self.name(word.text)?.absolute()
            } else if *kind == RecordType::Soa && place == 1 && !word.text.ends_with('.') {
                format!("{}.{}", word.text, self.origin)
            } else {
                plain(word)
            });
        }
        if text && out.is_empty() {
            return Err(Error::usage("it has no text").hint("Write it in quotes."));
        }
        Ok(out.join(" "))
    }
}

/// A name without its escapes; a dot within a label has no place in our names.
fn unescape(text: &str) -> Result<String> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let code: String = rest.clone().take(3).collect();
        let c = match code.parse::<u8>() {
            Ok(byte) if code.len() == 3 => {
                rest.nth(2);
                Some(char::from(byte))
            }
            _ => rest.next(),
        };
        match c {
            Some(c) if c.is_ascii() && c != '.' => out.push(c),
            _ => {
                return Err(
                    Error::usage(format!("`{text}` has an escape that cannot be kept"))
                        .hint("Names are letters, digits, `-`, `_` and dots."),
                );
            }
        }
    }
    Ok(out)
}

/// The proxy state Cloudflare writes behind its records, `; cf_tags=cf-proxied:true`.
fn proxied(entry: &Entry, builder: &mut Builder) -> Option<bool> {
    let (_, tags) = entry.comment.split_once("cf_tags=")?;
    let tags = tags.split_whitespace().next().unwrap_or_default();
    let mut proxied = None;
    for tag in tags.split(',').filter(|tag| !tag.is_empty()) {
        match tag {
            "cf-proxied:true" => proxied = Some(true),
            "cf-proxied:false" => proxied = Some(false),
            tag => builder.warn(entry.line, format!("the tag `{tag}` has no effect")),
        }
    }
    proxied
}

/// Writes a master file: the SOA first, names relative to the zone.
pub(super) fn write(zone: &Zone) -> String {
    let mut records: Vec<&Record> = zone.records.iter().collect();
    records.sort();
    let owners: Vec<_> = records.iter().map(|record| escape(&record.name)).collect();
    let width = owners.iter().map(String::len).max().unwrap_or(0).min(40);
    let mut out = format!("$ORIGIN {}\n", zone.name.absolute());
    for (record, owner) in records.into_iter().zip(owners) {
        let ttl = match record.ttl {
            None => String::new(),
            // Cloudflare's own way to say it.
            Some(Ttl::Automatic) => "1".to_owned(),
            Some(Ttl::Seconds(seconds)) => seconds.to_string(),
        };
        let tags = match record.proxied {
            None => "",
            Some(true) => " ; cf_tags=cf-proxied:true",
            Some(false) => " ; cf_tags=cf-proxied:false",
        };
        out.push_str(&format!(
            "{owner:width$} {ttl:>6} IN {:5} {}{tags}\n",
            record.kind,
            one_line(&record.presentation()),
        ));
    }
    out
}

/// The owner with everything escaped that would end the word.
fn escape(owner: &Owner) -> String {
    owner
        .as_str()
        .bytes()
        .map(|byte| match byte {
            b'!'..=b'~' if !b"\"();\\$".contains(&byte) => char::from(byte).to_string(),
            byte => format!("\\{byte:03}"),
        })
        .collect()
}

/// What a provider has and no type explains may hold anything; it does not get a line of its own.
fn one_line(data: &str) -> String {
    data.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
