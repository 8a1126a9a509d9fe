//! One record: what it is, in one spelling, whoever wrote it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::name::{DomainName, Owner};
use super::rdata;
use super::zone::Limits;
use crate::error::{Error, Result};

/// The type of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Which certificate authorities may sign for the name.
    Caa,
    /// Another name for the name.
    Cname,
    /// Where mail goes.
    Mx,
    /// Who answers for the name.
    Ns,
    /// The name of an address.
    Ptr,
    /// The zone's own data.
    Soa,
    /// Where a service is.
    Srv,
    /// Text.
    Txt,
    /// Any other, by its name in capitals.
    Other(String),
}

impl RecordType {
    /// Its name, in capitals.
    pub fn as_str(&self) -> &str {
        match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Caa => "CAA",
            RecordType::Cname => "CNAME",
            RecordType::Mx => "MX",
            RecordType::Ns => "NS",
            RecordType::Ptr => "PTR",
            RecordType::Soa => "SOA",
            RecordType::Srv => "SRV",
            RecordType::Txt => "TXT",
            RecordType::Other(name) => name,
        }
    }

    /// Whether its data is a name and nothing else.
    pub fn is_name(&self) -> bool {
        match self {
            RecordType::Cname | RecordType::Ns | RecordType::Ptr => true,
            RecordType::Other(name) => matches!(name.as_str(), "ALIAS" | "ANAME" | "DNAME"),
            _ => false,
        }
    }
}

impl FromStr for RecordType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.trim().to_ascii_uppercase();
        let known = [
            RecordType::A,
            RecordType::Aaaa,
            RecordType::Caa,
            RecordType::Cname,
            RecordType::Mx,
            RecordType::Ns,
            RecordType::Ptr,
            RecordType::Soa,
            RecordType::Srv,
            RecordType::Txt,
        ];
        if let Some(known) = known.into_iter().find(|known| known.as_str() == name) {
            return Ok(known);
        }
        let sound = name.len() <= 16
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-');
        if !sound {
            return Err(
                Error::usage(format!("`{}` is not a record type", text.escape_debug())).hint(
                    "Types are `A`, `AAAA`, `CNAME`, `MX`, `TXT`, `SRV`, `CAA`, `NS` and the like.",
                ),
            );
        }
        Ok(RecordType::Other(name))
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for RecordType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RecordType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(name.parse().unwrap_or(RecordType::Other(name)))
    }
}

impl JsonSchema for RecordType {
    fn schema_name() -> Cow<'static, str> {
        "RecordType".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ttl {
    /// As the provider thinks best.
    Automatic,
    /// So many seconds.
    Seconds(u32),
}

impl Ttl {
    /// The seconds, where somebody said how many.
    pub fn seconds(self) -> Option<u32> {
        match self {
            Ttl::Automatic => None,
            Ttl::Seconds(seconds) => Some(seconds),
        }
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ttl::Automatic => f.pad("auto"),
            Ttl::Seconds(seconds) => f.pad(&seconds.to_string()),
        }
    }
}

impl Serialize for Ttl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ttl::Automatic => serializer.serialize_str("auto"),
            Ttl::Seconds(seconds) => serializer.serialize_u32(*seconds),
        }
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(word) if word == "auto" => Ok(Ttl::Automatic),
            value => value
                .as_u64()
                .and_then(|seconds| u32::try_from(seconds).ok())
                .map(Ttl::Seconds)
                .ok_or_else(|| de::Error::custom("a TTL is a number of seconds or `auto`")),
        }
    }
}

impl JsonSchema for Ttl {
    fn schema_name() -> Cow<'static, str> {
        "Ttl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"] })
    }
}

/// A record in one spelling.
///
/// `data` is the address, the target without its dot, or the text of a TXT without quotes; what
/// follows from the type has a field of its own. `None` is "not said": a TTL or a proxy state that is
/// not said is no difference to one that is.
///
/// Reading one back from JSON takes it as it was written: for what we keep ourselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What the provider calls it, where it has ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: RecordType,
    /// Its name, relative to the zone; `@` is the zone itself.
    pub name: Owner,
    /// The address, the target, the text.
    pub data: String,
    /// Of MX and SRV: the smallest is tried first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// Of SRV: how often, among those of one priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Of SRV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How long answers may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Whether the provider stands in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxied: Option<bool>,
}

/// By hand, because it goes into the schema of a tool once for every place a record is in.
impl JsonSchema for Record {
    fn schema_name() -> Cow<'static, str> {
        "Record".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "properties": {
            "id": { "type": "string" },
            "type": { "type": "string" },
            "name": { "type": "string", "description": "`@`: the zone" },
            "data": { "type": "string" },
            "priority": { "type": "integer" },
            "weight": { "type": "integer" },
            "port": { "type": "integer" },
            "ttl": { "type": ["integer", "string"], "description": "Seconds or `auto`" },
            "proxied": { "type": "boolean" }
        }})
    }
}

/// What a CAA record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caa {
    /// 128 where an authority that does not know the tag must not sign.
    pub flags: u8,
    /// `issue`, `issuewild`, `iodef`.
    pub tag: String,
    /// The authority, or where to report.
    pub value: String,
}

/// A record as somebody wrote it.
///
/// `value` is what a zone file has behind the type (`10 mail.example.com.`, `"v=spf1" " -all"`), or
/// the same with priority, weight and port given apart. Targets need no dot at their end; `@` is the
/// zone.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The type, in any case.
    pub kind: String,
    /// Relative or in full.
    pub name: String,
    /// The data.
    pub value: String,
    /// How long answers may be kept.
    pub ttl: Option<Ttl>,
    /// Of MX and SRV, unless `value` has it.
    pub priority: Option<u16>,
    /// Of SRV, unless `value` has it.
    pub weight: Option<u16>,
    /// Of SRV, unless `value` has it.
    pub port: Option<u16>,
    /// Whether the provider stands in front.
    pub proxied: Option<bool>,
    /// What the provider calls it.
    pub id: Option<String>,
}

impl Draft {
    /// A draft of a type, a name and a value.
    pub fn new(kind: impl Into<String>, name: impl Into<String>, value: impl Into<String>) -> Self {
        Draft {
            kind: kind.into(),
            name: name.into(),
            value: value.into(),
            ..Draft::default()
        }
    }

    /// The record, or what is wrong with the words: for what people and files ask for.
    pub fn parse(&self, zone: &DomainName, limits: &Limits) -> Result<Record> {
        let kind: RecordType = self.kind.parse()?;
        let name = Owner::parse(&self.name, zone)?;
        let label = format!("{kind} {name}");
        let about = |error: Error| about(&label, error);
        let parts = rdata::parse(&kind, self, zone).map_err(about)?;
        let record = self.record(kind, name, parts);
        limits.check(&record).map_err(about)?;
        Ok(record)
    }

    /// The record as a provider has it: in our spelling as far as it has one, never refused.
    ///
    /// The name of the draft is not read: say with [`Owner::relative`] or [`Owner::within`] how the
    /// provider writes names.
    pub fn accept(&self, name: Owner, zone: &DomainName) -> Record {
        let kind = self
            .kind
            .parse()
            .unwrap_or_else(|_| RecordType::Other(self.kind.trim().to_uppercase()));
        let parts = rdata::parse(&kind, self, zone).unwrap_or_else(|_| rdata::keep(&kind, self));
        self.record(kind, name, parts)
    }

    fn record(&self, kind: RecordType, name: Owner, parts: rdata::Parts) -> Record {
        Record {
            id: self.id.clone(),
            kind,
            name,
            data: parts.data,
            priority: parts.priority,
            weight: parts.weight,
            port: parts.port,
            ttl: settled(self.proxied, self.ttl),
            proxied: self.proxied,
        }
    }
}

/// Who stands in front decides how long its own answers are kept.
fn settled(proxied: Option<bool>, ttl: Option<Ttl>) -> Option<Ttl> {
    match proxied {
        Some(true) => Some(Ttl::Automatic),
        _ => ttl,
    }
}

/// The same error, saying which record it is about.
fn about(label: &str, error: Error) -> Error {
    let told = Error::new(error.kind(), format!("{label}: {}", error.message()));
    match error.hint_text() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

impl Record {
    /// Whether two records say the same to a resolver, whatever their TTL, proxy state and id.
    pub fn says_the_same(&self, other: &Record) -> bool {
        self.name == other.name && self.kind == other.kind && self.value_key() == other.value_key()
    }

    /// Whether the other is what this one asks for: what is not said here is no difference.
    pub fn is_met_by(&self, other: &Record) -> bool {
        let asked = self.over(other);
        self.says_the_same(other) && asked.ttl == other.ttl && asked.proxied == other.proxied
    }

    /// What becomes of another record that is made this one: what is not said here stays.
    pub fn over(&self, other: &Record) -> Record {
        let proxied = self.proxied.or(other.proxied);
        Record {
            id: other.id.clone(),
            ttl: settled(proxied, self.ttl.or(other.ttl)),
            proxied,
            ..self.clone()
        }
    }

    /// The data with its numbers, for comparing and sorting within a set.
    pub fn value_key(&self) -> (Option<u16>, Option<u16>, Option<u16>, &str) {
        (self.priority, self.weight, self.port, &self.data)
    }

    /// The set it belongs to: what resolvers ask for, and what some providers replace as a whole.
    pub fn set(&self) -> (&Owner, &RecordType) {
        (&self.name, &self.kind)
    }

    /// The data as people read it: `10 mail.example.com`, `"v=spf1 -all"`, with a TXT in quotes.
    pub fn value(&self) -> String {
        rdata::show(self, false)
    }

    /// The data as a zone file has it: targets end in a dot, text is quoted and cut to 255 octets.
    pub fn presentation(&self) -> String {
        rdata::show(self, true)
    }

    /// All that is said, in one line: for comparing and fingerprints, not for files.
    pub(super) fn line(&self) -> String {
        format!(
            "{} {} {:?} {:?} {:?} {:?} {:?} {}",
            self.name,
            self.kind,
            self.priority,
            self.weight,
            self.port,
            self.ttl,
            self.proxied,
            self.data
        )
    }

    /// The name the data points at, where it points at one.
    pub fn target(&self) -> Option<DomainName> {
        match &self.kind {
            RecordType::Mx | RecordType::Srv => self.data.parse().ok(),
            kind if kind.is_name() => self.data.parse().ok(),
            _ => None,
        }
    }

    /// The strings of a TXT record, none longer than 255 octets, cut between characters.
    pub fn txt_strings(&self) -> Vec<&str> {
        rdata::strings(&self.data)
    }

    /// What a CAA record says.
    pub fn caa(&self) -> Option<Caa> {
        (self.kind == RecordType::Caa)
            .then(|| rdata::caa(&self.data).ok())
            .flatten()
    }
}

/// `www CNAME example.com`
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.kind, self.value())
    }
}

/// By name, type and value: the order in which zones are shown.
impl Ord for Record {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let order = |kind: &RecordType| match kind {
            RecordType::Soa => 0,
            RecordType::Ns => 1,
            _ => 2,
        };
        self.name
            .cmp(&other.name)
            .then_with(|| order(&self.kind).cmp(&order(&other.kind)))
            .then_with(|| self.kind.as_str().cmp(other.kind.as_str()))
            .then_with(|| self.value_key().cmp(&other.value_key()))
            .then_with(|| self.ttl.cmp(&other.ttl))
            .then_with(|| self.proxied.cmp(&other.proxied))
            .then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Record {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
