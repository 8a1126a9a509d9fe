//! What GoHighLevel sends. Every field is optional and a field of the wrong type is an absent one: list,
//! search and get give the same contact in three shapes, and null is common in all of them.

pub mod acts;
pub mod crm;

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use medtainer_core::sync::Row;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A contact, as far as we look into it; all of it is kept as it came.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Contact {
    /// Opaque.
    #[serde(deserialize_with = "text")]
    pub id: Option<String>,
    /// The sub-account.
    #[serde(deserialize_with = "text")]
    pub location_id: Option<String>,
    #[serde(deserialize_with = "text")]
    #[expect(missing_docs, reason = "says it all")]
    pub first_name: Option<String>,
    #[serde(deserialize_with = "text")]
    #[expect(missing_docs, reason = "says it all")]
    pub last_name: Option<String>,
    /// The whole name, of old often in lower case.
    #[serde(deserialize_with = "text")]
    pub contact_name: Option<String>,
    /// The whole name, where `contactName` is missing.
    #[serde(deserialize_with = "text")]
    pub name: Option<String>,
    /// The first of their addresses.
    #[serde(deserialize_with = "text")]
    pub email: Option<String>,
    /// The first of their numbers, E.164 as a rule.
    #[serde(deserialize_with = "text")]
    pub phone: Option<String>,
    /// The others; text or `{"email": …}`. Only search has them.
    #[serde(deserialize_with = "texts")]
    pub additional_emails: Vec<String>,
    /// The others; text or `{"phone": …}`. Only search has them.
    #[serde(deserialize_with = "texts")]
    pub additional_phones: Vec<String>,
    /// Whom they work for.
    #[serde(deserialize_with = "text")]
    pub company_name: Option<String>,
    /// The street, as search has it.
    #[serde(deserialize_with = "text")]
    pub address: Option<String>,
    /// The street, as get has it.
    #[serde(deserialize_with = "text")]
    pub address1: Option<String>,
    #[serde(deserialize_with = "text")]
    #[expect(missing_docs, reason = "says it all")]
    pub city: Option<String>,
    /// `1980-02-30T…` in get, milliseconds in search.
    #[serde(deserialize_with = "time")]
    pub date_of_birth: Option<DateTime<Utc>>,
    /// As written; reported to come back in lower case.
    #[serde(deserialize_with = "texts")]
    pub tags: Vec<String>,
    /// Where they were found.
    #[serde(deserialize_with = "text")]
    pub source: Option<String>,
    /// A user's id.
    #[serde(deserialize_with = "text")]
    pub assigned_to: Option<String>,
    #[serde(deserialize_with = "time")]
    #[expect(missing_docs, reason = "says it all")]
    pub date_added: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "time")]
    #[expect(missing_docs, reason = "says it all")]
    pub date_updated: Option<DateTime<Utc>>,
}

impl Contact {
    /// Reads a stored or fetched contact. What is not an object is a contact without fields.
    pub fn read(json: &str) -> Contact {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// The whole name, best spelling first.
    pub fn full_name(&self) -> Option<String> {
        match (self.first_name.as_deref(), self.last_name.as_deref()) {
            (Some(first), Some(last)) => Some(format!("{first} {last}")),
            (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
            (None, None) => self.contact_name.clone().or_else(|| self.name.clone()),
        }
    }
}

// The column is varchar(100); a longer id is no id of GoHighLevel's.
const LONGEST_ID: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "time")]
    date_updated: Option<DateTime<Utc>>,
    #[serde(borrow, default)]
    search_after: Option<&'a RawValue>,
}

/// Whether a text has the form of an id, so that asking the provider for it makes sense.
pub fn is_id(text: &str) -> bool {
    (10..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A contact's own `searchAfter`, with which the page after it is asked for. None for a record without a
/// usable id.
pub fn place(contact: &RawValue) -> Option<Option<String>> {
    let head = head(contact)?;
    let place = head.search_after.map(RawValue::get);
    Some(
        place
            .filter(|value| value.starts_with('['))
            .map(str::to_owned),
    )
}

/// A contact as a sync takes it. None for a record without a usable id.
///
/// `searchAfter` depends on the sort order of the request, so it is not part of what is kept: else every
/// contact would seem changed whenever it came by another way.
pub fn row(contact: &RawValue) -> Option<Row> {
    let json = contact.get();
    let head = head(contact)?;
    let place = head.search_after.map(RawValue::get);
    Some(
        match place.and_then(|value| without_field(json, "searchAfter", value)) {
            Some(rest) => Row::new(head.id?, head.date_updated, &rest),
            None => Row::new(head.id?, head.date_updated, json),
        },
    )
}

fn head(contact: &RawValue) -> Option<Head<'_>> {
    let head: Head<'_> = serde_json::from_str(contact.get()).ok()?;
    let is_usable = |id: &str| id.len() <= LONGEST_ID && !id.contains('\0');
    head.id.as_deref().is_some_and(is_usable).then_some(head)
}

// The object without one field: cut out of the text, the rest stays as it came. `value` is a part of `json`.
fn without_field(json: &str, name: &str, value: &str) -> Option<String> {
    let begin = (value.as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
    let end = begin + value.len();
    let before = json.get(..begin)?;
    let key = before.rfind(&format!("\"{name}\""))?;
    let (before, after) = (json.get(..key)?, json.get(end..)?);
    let rest = match after.trim_start().strip_prefix(',') {
        Some(after) => [before, after.trim_start()].concat(),
        None => [before.trim_end().trim_end_matches(','), after].concat(),
    };
    Some(rest)
}

// What a field holds, as far as it can be a text or a number. Read by hand: a page has ten thousand fields,
// and an untagged enum keeps a copy of each before it looks at it.
enum Loose {
    Text(String),
    Number(serde_json::Number),
    Other,
}

impl Loose {
    fn text(self) -> Option<String> {
        match self {
            Loose::Text(text) => Some(text),
            Loose::Number(number) => Some(number.to_string()),
            Loose::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match deserializer.deserialize_any(Reader)? {
            Found::One(value) => value,
            Found::Many(_) => Loose::Other,
        })
    }
}

enum Found {
    One(Loose),
    Many(Vec<Loose>),
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        let text = text.trim();
        let text = if text.contains('\0') {
            text.replace('\0', "")
        } else {
            text.to_owned()
        };
        Ok(Found::One(if text.is_empty() {
            Loose::Other
        } else {
            Loose::Text(text)
        }))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
        Ok(Found::One(Loose::Number(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
        Ok(Found::One(Loose::Number(number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Found, E> {
        let number = serde_json::Number::from_f64(number).map(Loose::Number);
        Ok(Found::One(number.unwrap_or(Loose::Other)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::One(Loose::Other))
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::One(Loose::Other))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Found::Many(values))
    }

    // `{"email": …}` or `{"phone": …}`.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if matches!(&*name, "email" | "phone") {
                let value: Loose = map.next_value()?;
                found = found.or(match value {
                    Loose::Text(_) => Some(value),
                    _ => None,
                });
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Found::One(found.unwrap_or(Loose::Other)))
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Loose::deserialize(deserializer).map(Loose::text)
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let many = match deserializer.deserialize_any(Reader)? {
        Found::Many(many) => many,
        Found::One(one) => vec![one],
    };
    Ok(many.into_iter().filter_map(Loose::text).collect())
}

// RFC 3339, a bare date, or milliseconds.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let time = match Loose::deserialize(deserializer)? {
        Loose::Text(text) => parse_time(text.trim()),
        Loose::Number(number) => number.as_i64().and_then(DateTime::from_timestamp_millis),
        Loose::Other => None,
    };
    Ok(time.and_then(within_years))
}

// Postgres keeps years from -4713 on; nobody here is older than this.
fn within_years(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    Some(time).filter(|time| (0..10_000).contains(&chrono::Datelike::year(time)))
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    if let Ok(date) = text.parse::<chrono::NaiveDate>() {
        return date.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    }
    text.parse().ok().and_then(DateTime::from_timestamp_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.into()).unwrap()
    }

    #[test]
    fn any_shape_of_a_contact_is_read() {
        let search = Contact::read(
            r#"{"id":"a","firstName":" Peggy ","lastName":null,"address":"1 Main St","dateOfBirth":315532800000,
                "additionalEmails":[{"email":"x@y.test"},"z@y.test",null],"additionalPhones":null,"phone":15550100,
                "tags":null,"dateUpdated":"2026-01-02T03:04:05.678Z","customFields":[{"id":"c","value":[1]}]}"#,
        );
        assert_eq!(search.full_name().as_deref(), Some("Peggy"));
        assert_eq!(search.address.as_deref(), Some("1 Main St"));
        assert_eq!(search.additional_emails, ["x@y.test", "z@y.test"]);
        assert_eq!(search.phone.as_deref(), Some("15550100"));
        assert_eq!(
            search.date_of_birth.unwrap().to_rfc3339(),
            "1980-01-01T00:00:00+00:00"
        );
        let got = Contact::read(
            r#"{"firstName":{"a":1},"contactName":"bob","dateOfBirth":"1980-01-01","tags":"vip","dateUpdated":"soon"}"#,
        );
        assert_eq!(got.full_name().as_deref(), Some("bob"));
        assert_eq!((got.tags, got.date_updated), (vec!["vip".to_owned()], None));
        assert_eq!(got.date_of_birth, search.date_of_birth);
        for odd in ["null", "[]", "\"x\"", "{}", "7"] {
            assert_eq!(Contact::read(odd), Contact::default(), "{odd}");
        }
    }

    #[test]
    fn the_place_in_a_listing_is_not_part_of_a_contact() {
        let ways = [
            r#"{"searchAfter":[1,"a"], "id":"a","x":"searchAfter"}"#,
            r#"{"id":"a","x":"searchAfter","searchAfter": [2, "a"] }"#,
            r#"{"id":"a","x":"searchAfter"}"#,
        ];
        let rows = ways.map(|way| row(&raw(way)).unwrap());
        let body: serde_json::Value = serde_json::from_str(ways[2]).unwrap();
        for row in &rows {
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&row.body).unwrap(),
                body
            );
        }
        assert_eq!(rows[0].hash(), rows[2].hash());
        assert_eq!(place(&raw(ways[1])), Some(Some(r#"[2, "a"]"#.to_owned())));
        assert_eq!(place(&raw(ways[2])), Some(None));
        for no_id in [r#"{"id":null}"#, "{}", "null", "[]"] {
            assert!(row(&raw(no_id)).is_none(), "{no_id}");
        }
    }
}
