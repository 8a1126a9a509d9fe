//! Cloudflare's wire types, as far as they are read; the rest stays text.

use chrono::{DateTime, Utc};
use medtainer_core::dns::{self, DomainName, Draft, Owner, Ttl};
use medtainer_core::sync::Row;
use medtainer_core::{Error, Result};
use serde::Deserialize;

/// A zone.
#[derive(Debug, Clone, Deserialize)]
pub struct Zone {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub paused: Option<bool>,
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    #[serde(default)]
    pub name_servers: Option<Vec<String>>,
    #[serde(default)]
    pub original_name_servers: Option<Vec<String>>,
    #[serde(default)]
    pub account: Option<Account>,
    #[serde(default)]
    pub plan: Option<Plan>,
    #[serde(default)]
    pub activated_on: Option<DateTime<Utc>>,
    #[serde(default)]
    pub modified_on: Option<DateTime<Utc>>,
}

/// Whose a zone is.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
}

/// What is paid for a zone.
#[derive(Debug, Clone, Deserialize)]
pub struct Plan {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub legacy_id: Option<String>,
}

/// A DNS record.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    pub id: String,
    /// The full name, in Punycode.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub content: Option<String>,
    #[serde(default)]
    pub ttl: Option<f64>,
    #[serde(default)]
    pub proxied: Option<bool>,
    #[serde(default)]
    pub proxiable: Option<bool>,
    #[serde(default)]
    pub priority: Option<f64>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    #[serde(default)]
    pub modified_on: Option<DateTime<Utc>>,
}

impl Zone {
    /// A zone out of an answer, if it is one.
    pub fn read(json: &str) -> Option<Zone> {
        serde_json::from_str(json).ok()
    }

    /// A zone out of the store.
    pub fn stored(json: &str) -> Result<Zone> {
        serde_json::from_str(json)
            .map_err(|e| Error::internal("a stored zone cannot be read").because(e))
    }
}

impl Record {
    /// A record out of the store.
    pub fn stored(json: &str) -> Result<Record> {
        serde_json::from_str(json)
            .map_err(|e| Error::internal("a stored DNS record cannot be read").because(e))
    }

    /// The record as everybody spells it.
    pub fn common(&self, zone: &DomainName) -> dns::Record {
        let content = self.content.clone().unwrap_or_default();
        let number = |number: f64| (0.0..=65_535.0).contains(&number).then_some(number as u16);
        let priority = self.priority.and_then(number);
        let apart = matches!(self.kind.as_str(), "MX" | "SRV");
        let value = match priority {
            // Only `content` lacks it: in a zone file it stands in front of the rest.
            Some(priority) if self.kind == "URI" => format!("{priority} {content}"),
            _ => content,
        };
        let ttl = match self.ttl {
            Some(1.0) => Some(Ttl::Automatic),
            Some(seconds) => Some(Ttl::Seconds(seconds as u32)),
            None => None,
        };
        let draft = Draft {
            ttl,
            priority: priority.filter(|_| apart),
            proxied: self
                .proxied
                .filter(|proxied| *proxied || self.proxiable == Some(true)),
            id: Some(self.id.clone()),
            ..Draft::new(&self.kind, "", value)
        };
        let name = DomainName::lenient(&self.name);
        let owner = Owner::within(&name, zone).unwrap_or_else(|| Owner::relative(&self.name));
        draft.accept(owner, zone)
    }
}

/// A row of a sync: its id and its time of change, whatever else it holds.
pub fn row(json: &str) -> Option<Row> {
    #[derive(Deserialize)]
    struct Head {
        id: String,
        #[serde(default)]
        modified_on: Option<DateTime<Utc>>,
    }
    let head: Head = serde_json::from_str(json).ok()?;
    Some(Row::new(head.id, head.modified_on, json))
}
