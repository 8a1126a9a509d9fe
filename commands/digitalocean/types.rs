//! DigitalOcean's records as they are read: every field may be missing, since a token without its scope
//! does not get to see it, or null.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// A droplet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Droplet {
    #[serde(deserialize_with = "loose")]
    pub id: Option<u64>,
    #[serde(deserialize_with = "loose")]
    pub name: Option<String>,
    /// `new`, `active`, `off` or `archive`.
    #[serde(deserialize_with = "loose")]
    pub status: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub locked: Option<bool>,
    /// Megabytes.
    #[serde(deserialize_with = "loose")]
    pub memory: Option<u64>,
    #[serde(deserialize_with = "loose")]
    pub vcpus: Option<u64>,
    /// Gigabytes.
    #[serde(deserialize_with = "loose")]
    pub disk: Option<u64>,
    #[serde(deserialize_with = "loose")]
    pub size_slug: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub size: Option<Size>,
    #[serde(deserialize_with = "loose")]
    pub region: Option<Region>,
    #[serde(deserialize_with = "loose")]
    pub image: Option<Image>,
    #[serde(deserialize_with = "loose")]
    pub networks: Option<Networks>,
    #[serde(deserialize_with = "loose")]
    pub tags: Option<Vec<String>>,
    #[serde(deserialize_with = "loose")]
    pub volume_ids: Option<Vec<String>>,
    #[serde(deserialize_with = "loose")]
    pub snapshot_ids: Option<Vec<u64>>,
    #[serde(deserialize_with = "loose")]
    pub features: Option<Vec<String>>,
    #[serde(deserialize_with = "loose")]
    pub created_at: Option<DateTime<Utc>>,
}

/// Addresses; empty while a droplet is new.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Networks {
    #[serde(deserialize_with = "loose")]
    pub v4: Option<Vec<Network>>,
    #[serde(deserialize_with = "loose")]
    pub v6: Option<Vec<Network>>,
}

/// One address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Network {
    /// The address.
    #[serde(deserialize_with = "loose")]
    pub ip_address: Option<IpAddr>,
    /// `public` or `private`.
    #[serde(rename = "type", deserialize_with = "loose")]
    pub kind: Option<String>,
}

/// A size.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Size {
    #[serde(deserialize_with = "loose")]
    pub slug: Option<String>,
    /// Megabytes.
    #[serde(deserialize_with = "loose")]
    pub memory: Option<u64>,
    #[serde(deserialize_with = "loose")]
    pub vcpus: Option<u64>,
    /// Gigabytes.
    #[serde(deserialize_with = "loose")]
    pub disk: Option<u64>,
    /// Terabytes a month.
    #[serde(deserialize_with = "loose")]
    pub transfer: Option<f64>,
    /// US dollars.
    #[serde(deserialize_with = "loose")]
    pub price_monthly: Option<Decimal>,
    /// US dollars.
    #[serde(deserialize_with = "loose")]
    pub price_hourly: Option<Decimal>,
    #[serde(deserialize_with = "loose")]
    pub regions: Option<Vec<String>>,
    #[serde(deserialize_with = "loose")]
    pub available: Option<bool>,
    #[serde(deserialize_with = "loose")]
    pub description: Option<String>,
}

/// A region.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Region {
    #[serde(deserialize_with = "loose")]
    pub slug: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub name: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub features: Option<Vec<String>>,
    #[serde(deserialize_with = "loose")]
    pub sizes: Option<Vec<String>>,
    #[serde(deserialize_with = "loose")]
    pub available: Option<bool>,
}

/// An image: of theirs, or a snapshot, a backup or an upload of ours.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Image {
    #[serde(deserialize_with = "loose")]
    pub id: Option<u64>,
    #[serde(deserialize_with = "loose")]
    pub name: Option<String>,
    /// `base`, `snapshot`, `backup`, `custom` or `admin`.
    #[serde(rename = "type", deserialize_with = "loose")]
    pub kind: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub distribution: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub slug: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub public: Option<bool>,
    #[serde(deserialize_with = "loose")]
    pub regions: Option<Vec<String>>,
    /// Gigabytes.
    #[serde(deserialize_with = "loose")]
    pub min_disk_size: Option<u64>,
    #[serde(deserialize_with = "loose")]
    pub size_gigabytes: Option<f64>,
    /// `NEW`, `available`, `pending`, `deleted` or `retired`.
    #[serde(deserialize_with = "loose")]
    pub status: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub created_at: Option<DateTime<Utc>>,
}

/// An SSH key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Key {
    #[serde(deserialize_with = "loose")]
    pub id: Option<u64>,
    #[serde(deserialize_with = "loose")]
    pub fingerprint: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub name: Option<String>,
}

/// Something that happens, or happened, to a droplet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Action {
    #[serde(deserialize_with = "loose")]
    pub id: Option<u64>,
    /// `in-progress`, `completed` or `errored`.
    #[serde(deserialize_with = "loose")]
    pub status: Option<String>,
    #[serde(rename = "type", deserialize_with = "loose")]
    pub kind: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "loose")]
    pub completed_at: Option<DateTime<Utc>>,
}

/// The account a token belongs to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Account {
    #[serde(deserialize_with = "loose")]
    pub uuid: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub email: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub name: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub status: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub status_message: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub droplet_limit: Option<i64>,
    #[serde(deserialize_with = "loose")]
    pub team: Option<Team>,
}

/// The team of an account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Team {
    #[serde(deserialize_with = "loose")]
    pub uuid: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub name: Option<String>,
}

/// What is owed: decimal text, US dollars.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Balance {
    #[serde(deserialize_with = "loose")]
    pub month_to_date_balance: Option<Decimal>,
    #[serde(deserialize_with = "loose")]
    pub account_balance: Option<Decimal>,
    #[serde(deserialize_with = "loose")]
    pub month_to_date_usage: Option<Decimal>,
    #[serde(deserialize_with = "loose")]
    pub generated_at: Option<DateTime<Utc>>,
}

/// What belongs to a droplet and outlives it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Associated {
    #[serde(deserialize_with = "loose")]
    pub reserved_ips: Option<Vec<Resource>>,
    #[serde(deserialize_with = "loose")]
    pub snapshots: Option<Vec<Resource>>,
    #[serde(deserialize_with = "loose")]
    pub volumes: Option<Vec<Resource>>,
    #[serde(deserialize_with = "loose")]
    pub volume_snapshots: Option<Vec<Resource>>,
}

/// One thing of those.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as DigitalOcean calls them")]
pub struct Resource {
    #[serde(deserialize_with = "loose")]
    pub id: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub name: Option<String>,
    /// US dollars a month.
    #[serde(deserialize_with = "loose")]
    pub cost: Option<Decimal>,
}

macro_rules! readable {
    ($($type:ident),*) => { $(impl $type {
        /// Reads a stored or fetched one. What is not an object has no fields.
        pub fn read(json: &str) -> $type {
            serde_json::from_str(json).unwrap_or_default()
        }
    })* };
}

readable!(Droplet, Size, Region, Image, Key, Account, Balance);

impl Droplet {
    /// Every address it has.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let networks = self.networks.iter();
        networks
            .flat_map(|networks| networks.v4.iter().chain(&networks.v6))
            .flatten()
            .filter_map(|network| network.ip_address)
    }

    /// The first IPv4 address of a kind, `public` or `private`.
    pub fn ipv4(&self, kind: &str) -> Option<IpAddr> {
        let v4 = self.networks.as_ref()?.v4.as_ref()?;
        v4.iter()
            .filter(|network| network.kind.as_deref() == Some(kind))
            .find_map(|network| network.ip_address)
    }

    /// The first public IPv6 address.
    pub fn ipv6(&self) -> Option<IpAddr> {
        let v6 = self.networks.as_ref()?.v6.as_ref()?;
        v6.iter()
            .filter(|network| network.kind.as_deref() != Some("private"))
            .find_map(|network| network.ip_address)
    }

    /// The slug of its size.
    pub fn size_slug(&self) -> Option<&str> {
        let size = self.size.as_ref();
        self.size_slug.as_deref().or_else(|| size?.slug.as_deref())
    }

    /// What it costs a month, in US dollars; without backups, volumes, snapshots and traffic.
    pub fn monthly(&self) -> Option<Decimal> {
        self.size.as_ref()?.price_monthly.map(cents)
    }

    /// Whether it has this tag; tags are compared without their case, as they do.
    pub fn has_tag(&self, tag: &str) -> bool {
        let mut tags = self.tags.iter().flatten();
        tags.any(|known| known.eq_ignore_ascii_case(tag))
    }
}

impl Image {
    /// What a request calls it: the slug of a public one, else the id.
    pub fn key(&self) -> Option<String> {
        self.slug
            .clone()
            .or_else(|| self.id.map(|id| id.to_string()))
    }
}

/// An amount of money as people write it.
pub fn cents(amount: Decimal) -> Decimal {
    let mut amount = amount.round_dp(2);
    amount.rescale(2);
    amount
}

/// A field of another type than expected is one that is not there, not the end of the record.
fn loose<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_shape_of_a_droplet_is_read() {
        let droplet = Droplet::read(
            r#"{"id":12345678901,"name":"web","tags":null,"size":{"price_monthly":6.0,"price_hourly":0.00893},
                "networks":{"v4":[{"ip_address":"10.0.0.2","type":"private"},{"ip_address":"nonsense","type":"public"},
                {"ip_address":"203.0.113.9","type":"public"}],"v6":[{"ip_address":"2001:db8::1","type":"public"}]},
                "created_at":"2026-01-02T03:04:05Z","region":"nyc3","memory":"lots"}"#,
        );
        assert_eq!(droplet.id, Some(12_345_678_901));
        assert_eq!(droplet.monthly().unwrap().to_string(), "6.00");
        assert_eq!(droplet.ipv4("private").unwrap().to_string(), "10.0.0.2");
        assert_eq!(droplet.ipv4("public").unwrap().to_string(), "203.0.113.9");
        assert_eq!(droplet.addresses().count(), 3);
        assert!(droplet.tags.is_none() && droplet.region.is_none() && droplet.memory.is_none());
        for odd in ["null", "[]", "\"x\"", "7"] {
            assert!(Droplet::read(odd).id.is_none(), "{odd}");
        }
    }

    #[test]
    fn money_is_never_a_float() {
        let size = Size::read(r#"{"price_monthly":672,"price_hourly":0.00743999984115362}"#);
        assert_eq!(cents(size.price_monthly.unwrap()).to_string(), "672.00");
        assert_eq!(
            size.price_hourly.unwrap().round_dp(5).to_string(),
            "0.00744"
        );
        let balance =
            Balance::read(r#"{"account_balance":"-12.5","month_to_date_usage":"nothing"}"#);
        assert_eq!(
            cents(balance.account_balance.unwrap()).to_string(),
            "-12.50"
        );
        assert!(balance.month_to_date_usage.is_none());
    }
}
