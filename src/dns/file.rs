//! Zones in files: BIND master files and octoDNS YAML, read and written.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::name::DomainName;
use super::record::{Draft, Record, Ttl};
use super::zone::{Limits, Zone};
use super::{octodns, zonefile};
use crate::error::{Error, Result};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A master file (RFC 1035), as BIND and most providers export it.
    Bind,
    /// octoDNS-style YAML; JSON of the same shape too.
    Octodns,
}

impl Format {
    /// By the name of the file, else by how it begins.
    pub fn guess(path: &Path, text: &str) -> Self {
        let extension = path
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default()
            .to_ascii_lowercase();
        match extension.as_str() {
            "yaml" | "yml" | "json" => return Format::Octodns,
            "zone" | "db" | "bind" => return Format::Bind,
            _ => {}
        }
        let first = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with([';', '#']))
            .unwrap_or_default();
        if first == "---" || first.starts_with('{') || first.ends_with(':') {
            Format::Octodns
        } else {
            Format::Bind
        }
    }
}

/// What a file says.
#[derive(Debug, Clone, Default)]
pub struct ZoneFile {
    /// Its records, in its order.
    pub records: Vec<Record>,
    /// What was understood otherwise than written, or not at all; each with its line.
    pub warnings: Vec<String>,
}

/// Reads a file of a zone; what is wrong with it is told with the line.
pub fn read(text: &str, format: Format, zone: &DomainName, limits: &Limits) -> Result<ZoneFile> {
    if text.len() > LONGEST {
        return Err(Error::usage("the file is larger than 16 MiB")
            .hint("A file holds the records of one zone."));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Bind => zonefile::read(text, zone, limits),
        Format::Octodns => octodns::read(text, zone, limits),
    }
}

/// Writes a zone as a file that [`read`] takes back.
pub fn write(zone: &Zone, format: Format) -> String {
    match format {
        Format::Bind => zonefile::write(zone),
        Format::Octodns => octodns::write(zone),
    }
}

/// Writes the data of a list of records as a zone file: `items`, each a [`Record`] with its `fqdn` beside it.
pub fn zone_file(data: &Value) -> Result<String> {
    #[derive(Deserialize)]
    struct Listed {
        fqdn: DomainName,
        #[serde(flatten)]
        record: Record,
    }
    let other = |e| Error::internal("the answer is no list of records").because(e);
    let items = data.get("items").cloned().unwrap_or_default();
    let listed: Vec<Listed> = serde_json::from_value(items).map_err(other)?;
    let Some(first) = listed.first() else {
        return Ok(String::new());
    };
    let fqdn = first.fqdn.as_str();
    let owner = format!("{}.", first.record.name.as_str());
    let zone = match first.record.name.is_apex() {
        true => fqdn,
        false => fqdn.strip_prefix(&owner).unwrap_or(fqdn),
    };
    let zone = Zone::new(DomainName::lenient(zone), Limits::default());
    let records = listed.into_iter().map(|listed| listed.record).collect();
    Ok(write(&zone.with(records), Format::Bind))
}

const LONGEST: usize = 16 << 20;

/// Collects what a file says, and what is wrong with it.
pub(super) struct Builder<'a> {
    pub zone: &'a DomainName,
    pub limits: &'a Limits,
    file: ZoneFile,
    lines: Vec<usize>,
    problems: Vec<(usize, Error)>,
}

impl<'a> Builder<'a> {
    pub fn new(zone: &'a DomainName, limits: &'a Limits) -> Self {
        Builder {
            zone,
            limits,
            file: ZoneFile::default(),
            lines: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// A record; what only another provider knows is left out of it, with a warning.
    pub fn record(&mut self, line: usize, mut draft: Draft) {
        if draft.proxied.is_some() && !self.limits.proxied {
            draft.proxied = None;
            self.warn(line, "nothing is proxied here: `proxied` has no effect");
        }
        if draft.ttl == Some(Ttl::Automatic) && !self.limits.automatic_ttl {
            draft.ttl = None;
            self.warn(
                line,
                "there is no automatic TTL here: the TTL is left as it is",
            );
        }
        match draft.parse(self.zone, self.limits) {
            Ok(record) => {
                self.file.records.push(record);
                self.lines.push(line);
            }
            Err(error) => self.problem(line, error),
        }
    }

    pub fn warn(&mut self, line: usize, text: impl std::fmt::Display) {
        self.file.warnings.push(format!("line {line}: {text}"));
    }

    pub fn problem(&mut self, line: usize, error: Error) {
        self.problems.push((line, error));
    }

    /// The file, or all that is wrong with it in one error.
    pub fn finish(mut self) -> Result<ZoneFile> {
        self.find_twice();
        self.problems.sort_by_key(|(line, _)| *line);
        let Some((line, first)) = self.problems.first() else {
            if self.file.records.is_empty() {
                return Err(Error::usage("the file holds no records").hint(
                    "An empty file would mean an empty zone; that is never done by a file.",
                ));
            }
            return Ok(self.file);
        };
        let more = match self.problems.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let all: Vec<_> = self
            .problems
            .iter()
            .take(100)
            .map(|(line, error)| json!({ "line": line, "message": error.message() }))
            .collect();
        let error = Error::usage(format!("line {line}: {}{more}", first.message()))
            .details(json!({ "problems": all }));
        Err(match first.hint_text() {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }

    fn find_twice(&mut self) {
        let mut order: Vec<_> = (0..self.file.records.len()).collect();
        let records = &self.file.records;
        order.sort_by(|a, b| {
            let (one, other) = (&records[*a], &records[*b]);
            (one.set(), one.value_key())
                .cmp(&(other.set(), other.value_key()))
                .then(a.cmp(b))
        });
        for pair in order.windows(2) {
            if records[pair[0]].says_the_same(&records[pair[1]]) {
                let error = Error::usage(format!(
                    "`{}` is on line {} already",
                    records[pair[1]], self.lines[pair[0]]
                ))
                .hint("Leave one of the two away.");
                self.problems.push((self.lines[pair[1]], error));
            }
        }
    }
}

/// Seconds, as a number or with units: `3600`, `1h30m`.
pub(super) fn ttl(text: &str) -> Option<u32> {
    let (mut total, mut number) = (0u32, None::<u32>);
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    match number {
        Some(number) => total.checked_add(number),
        None => (!text.is_empty()).then_some(total),
    }
}

#[cfg(test)]
mod tests;
