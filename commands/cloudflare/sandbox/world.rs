//! The zones of the sandbox.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, SecondsFormat, Utc};
use medtainer_core::dns::{self, DomainName, Draft, Limits, Owner};
use medtainer_core::sandbox::scramble;
use serde_json::{Value, json};

use super::records::Record;
use super::seed::ELSEWHERE;
use crate::cloudflare::types;

/// An account: its id and its name.
pub(super) const ACCOUNTS: [(&str, &str); 2] = [
    ("6f1c2a94d0b84e7fa3d5b0c19e8d7a21", "Medtainer Sandbox"),
    ("b27e90d45c1f4a6d8e03f7a9c6d2b518", "Northside Web Agency"),
];

/// A plan as prices and limits see it: its legacy id, its name, and how many records a zone may have.
pub(super) type Plan = (&'static str, &'static str, usize);

/// A zone.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) id: String,
    /// In Punycode.
    pub(super) name: String,
    pub(super) status: String,
    pub(super) paused: bool,
    /// Its place in [`ACCOUNTS`].
    pub(super) account: usize,
    pub(super) plan: Plan,
    pub(super) registrar: &'static str,
    pub(super) created: i64,
    pub(super) modified: i64,
    pub(super) activated: Option<i64>,
    pub(super) dnssec: String,
    pub(super) ssl: String,
    /// Other settings, by their ids.
    pub(super) settings: BTreeMap<&'static str, Value>,
    pub(super) records: Vec<Record>,
}

/// Everything there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) zones: Vec<Zone>,
    seed: u64,
    drawn: u64,
}

/// What a proxied name answers with.
const EDGE: &str = "198.18.0.104";

/// The two name servers every zone here is given.
pub(super) const NAME_SERVERS: [&str; 2] = ["ada.ns.cloudflare.com", "rob.ns.cloudflare.com"];

impl World {
    pub(super) fn new(seed: u64) -> Self {
        World {
            zones: Vec::new(),
            seed,
            drawn: 0,
        }
    }

    /// An id that nothing has yet: 32 hexadecimal digits.
    pub(super) fn next_id(&mut self) -> String {
        self.drawn += 1;
        let first = scramble(self.seed.rotate_left(32) ^ self.drawn);
        format!("{first:016x}{:016x}", scramble(first))
    }

    pub(super) fn now_ms(&self) -> i64 {
        Utc::now().timestamp_millis()
    }

    /// Where a zone is, by its id.
    pub(super) fn zone_place(&self, id: &str) -> Option<usize> {
        self.zones.iter().position(|zone| zone.id == id)
    }

    /// The zones that are active, as the world sees them, and one of a provider they lean on.
    pub(super) fn published(&self) -> Vec<dns::Zone> {
        let active = self.zones.iter().filter(|zone| zone.status == "active");
        let (name, owner, text) = ELSEWHERE;
        let name = DomainName::lenient(name);
        let key = Draft::new("TXT", "", text).accept(Owner::relative(owner), &name);
        let elsewhere = dns::Zone::new(name, Limits::default()).with(vec![key]);
        active.map(Zone::published).chain([elsewhere]).collect()
    }

    /// A zone by its name or id, for the door for tests.
    pub(super) fn named(&mut self, name: &Value) -> Result<&mut Zone, String> {
        self.zones
            .iter_mut()
            .find(|zone| *name == zone.name || *name == zone.id)
            .ok_or_else(|| format!("no zone is called {name}"))
    }
}

impl Zone {
    fn published(&self) -> dns::Zone {
        let name = DomainName::lenient(&self.name);
        let servers =
            NAME_SERVERS.map(|server| Draft::new("NS", "@", server).accept(Owner::apex(), &name));
        let mut records: Vec<_> = servers.into();
        let mut proxied = HashSet::new();
        for record in &self.records {
            let Ok(wire) = types::Record::stored(&record.json().to_string()) else {
                continue;
            };
            let record = wire.common(&name);
            if wire.proxied != Some(true) {
                records.push(record);
            } else if proxied.insert(record.name.as_str().to_owned()) {
                records.push(Draft::new("A", "", EDGE).accept(record.name, &name));
            }
        }
        dns::Zone::new(name, Limits::default()).with(records)
    }

    /// As Cloudflare shows it.
    pub(super) fn json(&self) -> Value {
        let (account, name) = ACCOUNTS[self.account];
        let (legacy, plan, _) = self.plan;
        let price = match legacy {
            "free" => 0,
            "pro" => 20,
            "business" => 200,
            _ => 5_000,
        };
        json!({
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "paused": self.paused,
            "type": "full",
            "development_mode": 0,
            "name_servers": NAME_SERVERS,
            "original_name_servers": ["ns07.domaincontrol.com", "ns08.domaincontrol.com"],
            "original_registrar": self.registrar,
            "original_dnshost": null,
            "modified_on": stamp(self.modified),
            "created_on": stamp(self.created),
            "activated_on": self.activated.map(stamp),
            "vanity_name_servers": [],
            "vanity_name_servers_ips": null,
            "meta": {
                "step": if self.status == "active" { 2 } else { 4 },
                "custom_certificate_quota": 0,
                "page_rule_quota": 3,
                "phishing_detected": false,
            },
            "owner": {"id": account, "type": "user", "name": name},
            "account": {"id": account, "name": name},
            "permissions": ["#dns_records:edit", "#dns_records:read", "#zone:read", "#zone_settings:read"],
            "plan": {
                "id": format!("{:032x}", price + 0x0fee_eeee),
                "name": plan,
                "price": price,
                "currency": "USD",
                "frequency": if price == 0 { "" } else { "monthly" },
                "is_subscribed": price > 0,
                "can_subscribe": false,
                "legacy_id": legacy,
                "legacy_discount": false,
                "externally_managed": false,
            },
        })
    }

    /// Its DNSSEC as Cloudflare shows it: all but the status is null while it is off.
    pub(super) fn dnssec_json(&self) -> Value {
        if self.dnssec == "disabled" {
            return json!({
                "status": "disabled", "flags": null, "algorithm": null, "key_type": null,
                "digest_type": null, "digest_algorithm": null, "digest": null, "ds": null,
                "key_tag": null, "public_key": null, "modified_on": null,
            });
        }
        let draw = |round: u64| {
            scramble(
                self.name
                    .bytes()
                    .fold(round, |sum, byte| scramble(sum ^ u64::from(byte))),
            )
        };
        let digest: String = (0..4)
            .map(|round| format!("{:016X}", draw(round)))
            .collect();
        let key_tag = draw(9) % 65_536;
        json!({
            "status": self.dnssec,
            "flags": 257,
            "algorithm": "13",
            "key_type": "ECDSAP256SHA256",
            "digest_type": "2",
            "digest_algorithm": "SHA256",
            "digest": digest,
            "ds": format!("{}. 3600 IN DS {key_tag} 13 2 {digest}", self.name),
            "key_tag": key_tag,
            "public_key": "mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==",
            "modified_on": stamp(self.modified),
        })
    }

    /// A setting as Cloudflare shows it.
    pub(super) fn setting(&self, name: &str) -> Option<Value> {
        if name == "ssl" {
            return Some(json!({
                "id": "ssl", "value": self.ssl, "editable": true, "modified_on": stamp(self.modified),
                "certificate_status": if self.status == "active" { "active" } else { "none" },
                "validation_errors": [],
            }));
        }
        let value = self.settings.get(name)?;
        Some(json!({"id": name, "value": value, "editable": true, "modified_on": null}))
    }
}

/// A moment as Cloudflare writes it.
pub(super) fn stamp(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Micros, true)
}
