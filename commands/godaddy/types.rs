//! What GoDaddy sends. Every field is optional and a field of the wrong type is an absent one; what we
//! do not look into stays as it came.

use chrono::{DateTime, Utc};
use medtainer_core::dns::{DomainName, Draft, Owner, Record, Ttl};
use medtainer_core::sync::Row;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A domain, as far as we look into it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Domain {
    /// Lower case, A-labels.
    #[serde(deserialize_with = "loose")]
    pub domain: Option<String>,
    /// GoDaddy's number of it.
    #[serde(deserialize_with = "loose")]
    pub domain_id: Option<i64>,
    /// An open set of words, such as `ACTIVE`.
    #[serde(deserialize_with = "loose")]
    pub status: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub created_at: Option<DateTime<Utc>>,
    /// When the registration ends.
    #[serde(deserialize_with = "loose")]
    pub expires: Option<DateTime<Utc>>,
    /// Until when it can still be renewed.
    #[serde(deserialize_with = "loose")]
    pub renew_deadline: Option<DateTime<Utc>>,
    /// Whether GoDaddy renews it by itself.
    #[serde(deserialize_with = "loose")]
    pub renew_auto: Option<bool>,
    /// Whether it is locked against transfers.
    #[serde(deserialize_with = "loose")]
    pub locked: Option<bool>,
    /// Whether its contacts are hidden from the public.
    #[serde(deserialize_with = "loose")]
    pub privacy: Option<bool>,
    /// Who answers for it; absent where it was not asked for.
    #[serde(deserialize_with = "loose")]
    pub name_servers: Option<Vec<String>>,
}

/// The roles of contacts: the field GoDaddy has them in, and our word.
pub const ROLES: [(&str, &str); 4] = [
    ("contactRegistrant", "registrant"),
    ("contactAdmin", "admin"),
    ("contactBilling", "billing"),
    ("contactTech", "tech"),
];

/// A person or an organisation, as far as we look into it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Contact {
    #[serde(deserialize_with = "loose")]
    pub name_first: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub name_last: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub organization: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub email: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub phone: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub address_mailing: Option<Address>,
}

/// Where post goes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Address {
    #[serde(deserialize_with = "loose")]
    pub address1: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub address2: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub city: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub state: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub postal_code: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub country: Option<String>,
}

impl Domain {
    /// Reads a stored or fetched domain. What is not an object is a domain without fields.
    pub fn read(json: &str) -> Domain {
        serde_json::from_str(json).unwrap_or_default()
    }
}

/// A domain as a sync takes it. None for one without a name.
pub fn row(domain: &RawValue) -> Option<Row> {
    let name = Domain::read(domain.get()).domain?;
    let known = name.len() <= 255 && !name.contains('\0');
    known.then(|| Row::new(name.to_lowercase(), None, domain.get()))
}

/// A domain without what is not kept with it: its contacts, and the code that gives it away.
pub fn without_private(json: &str) -> (String, Vec<(&'static str, Value)>) {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(json) else {
        return ("{}".to_owned(), Vec::new());
    };
    fields.shift_remove("authCode");
    let contacts = ROLES
        .iter()
        .filter_map(|(field, role)| Some((*role, fields.shift_remove(*field)?)))
        .filter(|(_, contact)| contact.is_object())
        .collect();
    (Value::Object(fields).to_string(), contacts)
}

/// A record as GoDaddy writes it, and what it means.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Everything, to be sent back as it came.
    pub body: Map<String, Value>,
    /// The type, which names the set together with `name`.
    pub kind: String,
    /// The name of the set, which for an SRV lacks service and protocol.
    pub name: String,
    /// The record in the spelling of all providers.
    pub record: Record,
}

impl Wire {
    /// Reads a record of a zone. None for one without type or name: there is no way to name it.
    pub fn read(body: Map<String, Value>, zone: &DomainName) -> Option<Wire> {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let number = |name: &str| {
            let value = body.get(name)?;
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
            u16::try_from(number).ok()
        };
        let (kind, name) = (text("type")?.to_owned(), text("name")?.to_owned());
        // The labels of a service stand in fields of their own, unless they stand in the name.
        let labels = [text("service"), text("protocol")];
        let owner = match labels {
            [Some(service), Some(protocol)]
                if kind == "SRV" && !name.starts_with(&format!("{service}.")) =>
            {
                match name.as_str() {
                    "@" | "" => format!("{service}.{protocol}"),
                    below => format!("{service}.{protocol}.{below}"),
                }
            }
            _ => name.clone(),
        };
        let data = text("data").unwrap_or_default();
        let ttl = body.get("ttl").and_then(Value::as_u64);
        let draft = Draft {
            ttl: ttl
                .and_then(|ttl| u32::try_from(ttl).ok())
                .map(Ttl::Seconds),
            priority: number("priority").filter(|_| matches!(kind.as_str(), "MX" | "SRV")),
            weight: number("weight").filter(|_| kind == "SRV"),
            port: number("port").filter(|_| kind == "SRV"),
            ..Draft::new(kind.as_str(), owner.as_str(), as_written(&kind, data))
        };
        let record = draft.accept(Owner::relative(&owner), zone);
        Some(Wire {
            record,
            kind,
            name,
            body,
        })
    }

    /// A field that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// A field that is a number.
    pub fn number(&self, name: &str) -> Option<i32> {
        let number = self.body.get(name).and_then(Value::as_i64)?;
        i32::try_from(number).ok()
    }
}

/// The data as [`Draft`] takes it: the text of a TXT comes bare, and may begin with a quote of its own.
fn as_written(kind: &str, data: &str) -> String {
    if kind != "TXT" || !data.trim_start().starts_with('"') {
        return data.to_owned();
    }
    let whole = data.len() > 1 && data.ends_with('"') && !data[1..data.len() - 1].contains('"');
    if whole {
        return data.to_owned();
    }
    format!("\"{}\"", data.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The records of a zone, in the provider's order, and how many could not be read.
pub fn records(json: &str, zone: &DomainName) -> (Vec<Wire>, usize) {
    let rows: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    let all = rows.len();
    let wires: Vec<Wire> = rows
        .into_iter()
        .filter_map(|row| match row {
            Value::Object(body) => Wire::read(body, zone),
            _ => None,
        })
        .collect();
    let unread = all - wires.len();
    (wires, unread)
}

/// What is free, and what it costs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Availability {
    #[serde(deserialize_with = "loose")]
    pub domain: Option<String>,
    /// Whether it can be registered.
    #[serde(deserialize_with = "loose")]
    pub available: Option<bool>,
    /// Whether the registry was asked, and not a cache.
    #[serde(deserialize_with = "loose")]
    pub definitive: Option<bool>,
    /// In millionths of the currency.
    #[serde(deserialize_with = "loose")]
    pub price: Option<i64>,
    #[serde(deserialize_with = "loose")]
    pub currency: Option<String>,
    /// Years the price is for.
    #[serde(deserialize_with = "loose")]
    pub period: Option<i64>,
    /// What is wrong with the name, in the list of errors.
    #[serde(deserialize_with = "loose")]
    pub code: Option<String>,
    /// The same in words.
    #[serde(deserialize_with = "loose")]
    pub message: Option<String>,
}

/// An answer about many names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Availabilities {
    /// Names there is an answer for, in any order.
    pub domains: Vec<Availability>,
    /// Names there is none for.
    pub errors: Vec<Availability>,
}

// What does not have the type it should have is not there. NUL cannot be kept.
fn loose<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = match Value::deserialize(deserializer)? {
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => Value::String(text.replace('\0', "")),
        other => other,
    };
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(json: &str) -> Wire {
        let zone = "example.com".parse().unwrap();
        records(&format!("[{json}]"), &zone).0.remove(0)
    }

    #[test]
    fn any_shape_of_a_domain_is_read() {
        let domain = Domain::read(
            r#"{"domain":"a.com","domainId":1.0,"status":null,"expires":"soon","locked":"yes","nameServers":null,"renewAuto":true}"#,
        );
        assert_eq!(domain.domain.as_deref(), Some("a.com"));
        assert_eq!((domain.expires, domain.locked), (None, None));
        assert_eq!(domain.renew_auto, Some(true));
        for odd in ["null", "[]", "7", "{}"] {
            assert!(Domain::read(odd).domain.is_none(), "{odd}");
        }
    }

    #[test]
    fn what_gives_a_domain_away_is_not_kept() {
        let (kept, contacts) = without_private(
            r#"{"domain":"a.com","authCode":"s3cret","contactAdmin":{"email":"x@y.test"},"contactTech":null,"locked":true}"#,
        );
        assert_eq!(kept, r#"{"domain":"a.com","locked":true}"#);
        assert_eq!(contacts.len(), 1);
        assert_eq!(contacts[0].0, "admin");
    }

    #[test]
    fn services_stand_in_fields_or_in_the_name() {
        let apart = wire(
            r#"{"type":"SRV","name":"@","service":"_sip","protocol":"_tcp","data":"sip.example.com","priority":1,"weight":2,"port":5060,"ttl":3600}"#,
        );
        assert_eq!(apart.record.name.as_str(), "_sip._tcp");
        assert_eq!(apart.name, "@");
        let below = wire(
            r#"{"type":"SRV","name":"eu","service":"_sip","protocol":"_tcp","data":"@","priority":1,"weight":2,"port":5060,"ttl":3600}"#,
        );
        assert_eq!(below.record.name.as_str(), "_sip._tcp.eu");
        let whole = wire(
            r#"{"type":"SRV","name":"_sip._tcp","service":"_sip","protocol":"_tcp","data":"sip.example.com","priority":1,"weight":2,"port":5060,"ttl":3600}"#,
        );
        assert_eq!(whole.record.name.as_str(), "_sip._tcp");
        assert_eq!(whole.record.value(), "1 2 5060 sip.example.com");
    }

    #[test]
    fn data_is_never_refused() {
        for (json, value) in [
            (
                r#"{"type":"A","name":"@","data":"Parked","ttl":600}"#,
                "Parked",
            ),
            (
                r#"{"type":"CNAME","name":"www","data":"@","ttl":600}"#,
                "example.com",
            ),
            (
                r#"{"type":"SOA","name":"@","data":"Primary nameserver: ns1.example.","ttl":600}"#,
                "Primary nameserver: ns1.example.",
            ),
            (
                r#"{"type":"MX","name":"@","data":"mx.example.com.","priority":5}"#,
                "5 mx.example.com",
            ),
        ] {
            assert_eq!(wire(json).record.value(), value);
        }
        let text = wire(r#"{"type":"TXT","name":"@","data":"v=spf1 -all","ttl":600}"#);
        assert_eq!(text.record.data, "v=spf1 -all");
        let quote = wire(r#"{"type":"TXT","name":"@","data":"\"a\" and \\ b","ttl":600}"#);
        assert_eq!(quote.record.data, "\"a\" and \\ b");
    }
}
