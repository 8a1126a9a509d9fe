//! Everything a sandbox holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveTime, SecondsFormat, Utc};
use medtainer_core::dns::{DomainName, Limits, Names, Zone};
use serde_json::{Map, Value, json};

use super::{seed, zones};
use crate::godaddy::types::Wire;

/// See the module.
pub(super) struct World {
    /// By name.
    pub(super) domains: BTreeMap<String, Domain>,
    /// How late reads of a zone see writes.
    pub(super) lag: Duration,
    /// What the sandboxes' DNS answers from.
    names: Names,
    /// Zones as reads still see them, and until when.
    before: BTreeMap<String, (Instant, Vec<Record>)>,
}

/// A domain of the account.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) status: String,
    pub(super) created: DateTime<Utc>,
    pub(super) expires: DateTime<Utc>,
    pub(super) modified: DateTime<Utc>,
    pub(super) renew_auto: bool,
    pub(super) locked: bool,
    pub(super) privacy: bool,
    pub(super) nameservers: Vec<String>,
    pub(super) contact: Value,
    /// Its records, unless it has no zone here.
    pub(super) zone: Option<Vec<Record>>,
}

/// A record as the API writes it; absent fields do not belong to its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) data: String,
    pub(super) ttl: u64,
    pub(super) priority: Option<u64>,
    pub(super) weight: Option<u64>,
    pub(super) port: Option<u64>,
    pub(super) service: Option<String>,
    pub(super) protocol: Option<String>,
}

impl World {
    pub(super) fn new(domains: usize, seed: u64, now: DateTime<Utc>, names: Names) -> Self {
        let today = now.with_time(NaiveTime::MIN).earliest().unwrap_or(now);
        let world = World {
            names,
            domains: seed::domains(domains, seed, today)
                .into_iter()
                .map(|domain| (domain.name.clone(), domain))
                .collect(),
            lag: Duration::ZERO,
            before: BTreeMap::new(),
        };
        world.publish();
        world
    }

    /// Lets the world's resolvers see the zones: those GoDaddy's name servers answer for.
    pub(super) fn publish(&self) {
        let ours = self.domains.values().filter(|domain| {
            let mut servers = domain.nameservers.iter();
            servers.all(|server| server.ends_with("domaincontrol.com"))
        });
        let mut zones: Vec<Zone> = ours
            .map(|domain| published(&domain.name, domain.zone.iter().flatten()))
            .collect();
        for (name, lines) in [zones::ELSEWHERE, zones::OTHERS].concat() {
            let records: Vec<Record> = lines
                .lines()
                .map(|line| Record::of_line(name, line))
                .collect();
            zones.push(published(name, records.iter()));
        }
        self.names.publish("godaddy", &zones);
    }

    /// The zone as a read sees it now.
    pub(super) fn seen_zone(&self, domain: &str) -> Option<&[Record]> {
        let now = self.domains.get(domain)?.zone.as_deref()?;
        match self.before.get(domain) {
            Some((until, old)) if *until > Instant::now() => Some(old),
            _ => Some(now),
        }
    }

    /// Puts a zone in the place of what there was.
    pub(super) fn put_zone(&mut self, domain: &str, records: Vec<Record>) {
        let lag = self.lag;
        if let Some(domain) = self.domains.get_mut(domain) {
            let old = domain.zone.replace(records).unwrap_or_default();
            let name = domain.name.clone();
            if lag.is_zero() {
                self.before.remove(&name);
            } else {
                self.before.insert(name, (Instant::now() + lag, old));
            }
            self.publish();
        }
    }

    /// Lets reads see every write.
    pub(super) fn settle(&mut self) {
        self.before.clear();
    }
}

impl Domain {
    /// A row of the list.
    pub(super) fn summary(&self, includes: &[&str]) -> Value {
        let mut row = json!({
            "createdAt": iso(self.created),
            "domain": self.name,
            "domainId": self.id,
            "expirationProtected": self.status.contains("PROTECTION"),
            "expires": iso(self.expires),
            "exposeWhois": !self.privacy,
            "holdRegistrar": false,
            "locked": self.locked,
            "nameServers": null,
            "privacy": self.privacy,
            "registrarCreatedAt": iso(self.created + chrono::Duration::seconds(2)),
            "renewAuto": self.renew_auto,
            "renewDeadline": iso(self.expires + chrono::Duration::days(45)),
            "renewable": self.status == "ACTIVE",
            "status": self.status,
            "transferAwayEligibleAt": iso(self.created + chrono::Duration::days(60)),
            "transferProtected": false,
        });
        if includes.contains(&"nameServers") {
            row["nameServers"] = json!(self.nameservers);
        }
        if includes.contains(&"authCode") {
            row["authCode"] = json!(self.auth_code());
        }
        if includes.contains(&"contacts") {
            self.add_contacts(&mut row);
        }
        row
    }

    /// The domain whole.
    pub(super) fn detail(&self) -> Value {
        let mut detail = self.summary(&["nameServers", "authCode"]);
        self.add_contacts(&mut detail);
        detail
    }

    fn add_contacts(&self, row: &mut Value) {
        for role in ["Admin", "Billing", "Registrant", "Tech"] {
            row[format!("contact{role}")] = self.contact.clone();
        }
    }

    // Whoever has it can take the domain away.
    fn auth_code(&self) -> String {
        format!("sandbox-auth-{}", self.id)
    }
}

/// A zone as a name server has it: what no server could answer is not in it.
fn published<'a>(name: &str, records: impl Iterator<Item = &'a Record>) -> Zone {
    let name = DomainName::lenient(name);
    let records = records
        .filter(|record| record.kind != "SOA" && record.data != "Parked")
        .filter_map(|record| match record.json() {
            Value::Object(body) => Wire::read(body, &name),
            _ => None,
        })
        .map(|wire| wire.record)
        .collect();
    Zone::new(name, Limits::default()).with(records)
}

/// A time as the API writes it.
pub(super) fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Record {
    pub(super) fn new(kind: &str, name: &str, data: impl Into<String>, ttl: u64) -> Self {
        Record {
            kind: kind.to_owned(),
            name: name.to_owned(),
            data: data.into(),
            ttl,
            priority: None,
            weight: None,
            port: None,
            service: None,
            protocol: None,
        }
    }

    /// A line of a zone file, `NAME TTL TYPE DATA`, as the API keeps it: targets without their dot, the
    /// zone's own name as `@`, an SRV's service and protocol in fields of their own.
    pub(super) fn of_line(domain: &str, line: &str) -> Self {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (name, ttl, kind, data) = (word(), word(), word(), word());
        let target = |text: &str| {
            let text = text.strip_suffix('.').unwrap_or(text);
            if text == domain { "@" } else { text }.to_owned()
        };
        let mut record = Record::new(kind, name, data, ttl.parse().unwrap_or(3_600));
        let numbers: Vec<&str> = data.split(' ').collect();
        match (kind, numbers.as_slice()) {
            ("CNAME" | "NS", _) => record.data = target(data),
            ("MX", [priority, host]) => {
                record.priority = priority.parse().ok();
                record.data = target(host);
            }
            ("SRV", [priority, weight, port, host]) => {
                record.priority = priority.parse().ok();
                record.weight = weight.parse().ok();
                record.port = port.parse().ok();
                record.data = target(host);
                let mut labels = name.splitn(3, '.');
                record.service = labels.next().map(str::to_owned);
                record.protocol = labels.next().map(str::to_owned);
                record.name = labels.next().unwrap_or("@").to_owned();
            }
            ("TXT", _) => record.data = data.trim_matches('"').to_owned(),
            _ => {}
        }
        record
    }

    /// The provider's shape.
    pub(super) fn json(&self) -> Value {
        let mut row = Map::new();
        row.insert("data".into(), json!(self.data));
        row.insert("name".into(), json!(self.name));
        let numbers = [
            ("port", self.port),
            ("priority", self.priority),
            ("weight", self.weight),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                row.insert(name.into(), json!(number));
            }
        }
        for (name, text) in [("protocol", &self.protocol), ("service", &self.service)] {
            if let Some(text) = text {
                row.insert(name.into(), json!(text));
            }
        }
        row.insert("ttl".into(), json!(self.ttl));
        row.insert("type".into(), json!(self.kind));
        Value::Object(row)
    }

    /// Whether it says the same as another, whatever the TTL.
    pub(super) fn repeats(&self, other: &Record) -> bool {
        let other = Record {
            ttl: self.ttl,
            ..other.clone()
        };
        *self == other
    }
}
