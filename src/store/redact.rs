//! What of a call's arguments may be kept in the audit trail.
//!
//! The rule goes by the argument's name and the shape of its value, and errs on the side of silence:
//!
//! * **secrets** (tokens, passwords, keys, codes …) are removed with their name;
//! * numbers, booleans, nulls, and the names of all other arguments are kept;
//! * **text** is kept only under a name known to hold none of a person's data (`sort`, `tag`, `since`,
//!   `domain` …) or when it has the shape of a time, a length of time, a number or a provider's id;
//! * every other text is a name, an address, a note or a search until proven otherwise: `"[redacted]"`.
//!   Not a hash: a name can be guessed back from one;
//! * lists keep their length, objects their names; a number under a personal name is masked as well.

use serde_json::{Map, Value};

/// What stands in the place of personal data.
pub const REDACTED: &str = "[redacted]";

const SECRET: [&str; 16] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "authorization",
    "cookie",
    "credential",
    "apikey",
    "api_key",
    "private_key",
    "signature",
    "bearer",
    "otp",
    "verifier",
    "auth_code",
];

// Parts of a name, between underscores, under which even a number is somebody's.
const PERSONAL: [&str; 12] = [
    "phone", "email", "name", "address", "birth", "note", "body", "who", "query", "text", "iban",
    "card",
];

const PLAIN: [&str; 45] = [
    "sort",
    "since",
    "until",
    "from_date",
    "to_date",
    "due",
    "tag",
    "tags",
    "source",
    "status",
    "state",
    "type",
    "kind",
    "output",
    "fields",
    "format",
    "mode",
    "max_age",
    "timeout",
    "period",
    "basis",
    "currency",
    "domain",
    "zone",
    "record",
    "record_type",
    "region",
    "size",
    "image",
    "marketplace",
    "sku",
    "calendar",
    "pipeline",
    "stage",
    "if_stage",
    "ecosystem",
    "method",
    "business",
    "effect",
    "collection",
    "client_id",
    "scope",
    "key_name",
    "program",
    "network",
];

/// The arguments as the audit trail may hold them.
pub fn params(params: &Value) -> Value {
    match params {
        Value::Object(fields) => object(fields),
        other => value("", other),
    }
}

fn object(fields: &Map<String, Value>) -> Value {
    Value::Object(
        fields
            .iter()
            .filter(|(name, _)| !is_secret(name))
            .map(|(name, field)| (name.clone(), value(name, field)))
            .collect(),
    )
}

fn value(name: &str, field: &Value) -> Value {
    match field {
        Value::Object(fields) => object(fields),
        Value::Array(items) => items.iter().map(|item| value(name, item)).collect(),
        Value::String(text) if PLAIN.contains(&plain_name(name).as_str()) || is_harmless(text) => {
            field.clone()
        }
        Value::String(_) => REDACTED.into(),
        Value::Number(_) if is_personal(name) => REDACTED.into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => field.clone(),
    }
}

/// A message without the values that [`params`] masks, and without anything that looks like an e-mail
/// address or a phone number.
pub fn message(message: &str, given: &Value) -> String {
    let mut hidden = Vec::new();
    masked("", given, &mut hidden);
    // Longest first, or a first name would tear a hole into the full one.
    hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let mut clean = message.to_owned();
    for text in hidden.into_iter().filter(|text| text.chars().count() >= 2) {
        clean = clean.replace(text, REDACTED);
    }
    clean
        .split_inclusive(char::is_whitespace)
        .map(|word| {
            if looks_reachable(word) {
                word.replace(core(word), REDACTED)
            } else {
                word.into()
            }
        })
        .collect()
}

fn masked<'a>(name: &str, given: &'a Value, hidden: &mut Vec<&'a str>) {
    match given {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            if is_secret(name) {
                secrets(field, hidden);
            } else {
                masked(name, field, hidden);
            }
        }),
        Value::Array(items) => items.iter().for_each(|item| masked(name, item, hidden)),
        Value::String(text) if value(name, given) == REDACTED => hidden.push(text),
        _ => {}
    }
}

fn secrets<'a>(given: &'a Value, hidden: &mut Vec<&'a str>) {
    match given {
        Value::Object(fields) => fields.values().for_each(|field| secrets(field, hidden)),
        Value::Array(items) => items.iter().for_each(|item| secrets(item, hidden)),
        Value::String(text) => hidden.push(text),
        _ => {}
    }
}

fn core(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric() && c != '+')
}

fn looks_reachable(word: &str) -> bool {
    let word = core(word);
    let email = word
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let phone = word.starts_with('+') && digits >= 7 && digits + 6 >= word.len();
    email || phone
}

fn plain_name(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

fn is_secret(name: &str) -> bool {
    let name = plain_name(name);
    SECRET.iter().any(|secret| name.contains(secret)) || name == "key" || name == "code"
}

fn is_personal(name: &str) -> bool {
    plain_name(name)
        .split('_')
        .any(|part| PERSONAL.contains(&part))
}

/// A time, a length of time, a number, or an id a machine made up.
pub(crate) fn is_harmless(text: &str) -> bool {
    let time = chrono::DateTime::parse_from_rfc3339(text).is_ok()
        || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
    let letters = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    // Short enough that a phone number is none: `15m`, `20`, `3d`.
    let small = letters
        && (1..=4).contains(&digits)
        && text.len() <= 5
        && text.as_bytes()[0].is_ascii_digit();
    let upper = text.bytes().any(|b| b.is_ascii_uppercase());
    let lower = text.bytes().any(|b| b.is_ascii_lowercase());
    let uuid = uuid::Uuid::parse_str(text).is_ok();
    let id = text.len() >= 16
        && digits > 0
        && upper
        && lower
        && text.bytes().all(|b| b.is_ascii_alphanumeric());
    time || small || uuid || id
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_what_is_nobodys_and_masks_the_rest() {
        let kept = params(&json!({
            "limit": 20, "fresh": true, "sort": "name", "since": "2026-01-02", "max_age": "5m",
            "who": "Peggy Sue", "query": "acme", "email": "p@acme.test", "phone": 15550100,
            "nickname": ["Peg", "Bob"], "note": "owes me", "id": "ocQHyuzHvysMo5N5VsXc",
            "tags": ["vip"], "unheard_of": "anything", "api-key": "k", "token": "t", "code": "c",
            "lines": [{ "qty": 2, "description": "for Peggy", "client_secret": "x" }],
        }));
        assert_eq!(
            kept,
            json!({
                "limit": 20, "fresh": true, "sort": "name", "since": "2026-01-02", "max_age": "5m",
                "who": "[redacted]", "query": "[redacted]", "email": "[redacted]", "phone": "[redacted]",
                "nickname": ["[redacted]", "[redacted]"], "note": "[redacted]", "id": "ocQHyuzHvysMo5N5VsXc",
                "tags": ["vip"], "unheard_of": "[redacted]",
                "lines": [{ "qty": 2, "description": "[redacted]" }],
            })
        );
    }

    #[test]
    fn messages_lose_the_values_that_arguments_lose() {
        let given = json!({ "who": "Peggy Sue", "tag": "vip", "token": "pit-1" });
        assert_eq!(
            message(
                "no contact `Peggy Sue` with tag `vip` (pit-1); ask p.s@acme.test or +1-555-0100.",
                &given
            ),
            "no contact `[redacted]` with tag `vip` ([redacted]); ask [redacted] or [redacted]."
        );
    }
}
