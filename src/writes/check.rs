//! Looking at the world: before a write, after it, and when nobody knows what became of it.

use std::time::Duration;

use chrono::DateTime;
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::plan::{Check, Expect, Look};
use super::tokens::Known;
use crate::context::Context;
use crate::ecosystem::Ecosystem;
use crate::error::{Error, Kind, Result};

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It holds; with what was seen.
    Holds(Value),
    /// It does not; with what was seen.
    Differs(Value),
    /// It never will.
    Failed(Value),
    /// It needs an answer that is not there.
    Unanswered,
}

/// How long to wait between two looks: short at first, since most things take no time.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Looks until the check holds, can no longer hold, or its time is over.
pub async fn look(
    cx: &Context,
    ecosystem: &'static Ecosystem,
    check: &Check,
    known: &Known,
) -> Result<Found> {
    let Some(check) = known.check(check)? else {
        return Ok(Found::Unanswered);
    };
    let until = Instant::now() + Duration::from_secs(check.within);
    let mut pauses = PAUSES.iter();
    let mut pause = PAUSES[0];
    loop {
        let found = once(cx, ecosystem, &check).await?;
        if !matches!(found, Found::Differs(_)) {
            return Ok(found);
        }
        pause = pauses.next().copied().unwrap_or(pause);
        if Instant::now() + pause > until || cx.cancel().is_cancelled() {
            return Ok(found);
        }
        tokio::time::sleep(pause).await;
    }
}

async fn once(cx: &Context, ecosystem: &'static Ecosystem, check: &Check) -> Result<Found> {
    match &check.look {
        Look::Reach { host, port } => {
            let connect = TcpStream::connect((host.as_str(), *port));
            let reached = tokio::time::timeout(Duration::from_secs(5), connect).await;
            Ok(match reached {
                Ok(Ok(_)) => Found::Holds(Value::Null),
                _ => Found::Differs(Value::Null),
            })
        }
        Look::Ask {
            request,
            expect,
            unless,
        } => {
            let reply = match cx.send(ecosystem, (**request).clone()).await {
                Ok(reply) => Some(
                    serde_json::from_str(&reply.text)
                        .map_err(|error| Error::internal("an answer is not JSON").because(error))?,
                ),
                Err(error) if error.kind() == Kind::NotFound => None,
                Err(error) => return Err(error),
            };
            if unless
                .as_ref()
                .is_some_and(|unless| unless.holds(reply.as_ref()))
            {
                return Ok(Found::Failed(reply.unwrap_or_default()));
            }
            let holds = expect.holds(reply.as_ref());
            let seen = reply.unwrap_or_default();
            Ok(if holds {
                Found::Holds(seen)
            } else {
                Found::Differs(seen)
            })
        }
    }
}

impl Expect {
    /// Whether an answer is this; none means that the provider does not know the thing.
    pub fn holds(&self, answer: Option<&Value>) -> bool {
        match (self, answer) {
            (Expect::Gone, answer) => answer.is_none(),
            (Expect::Exists, answer) => answer.is_some(),
            // A list of a thing that is not there has nothing in it.
            (Expect::Count { count, .. }, None) => *count == 0,
            (Expect::Set { items, .. }, None) => items.is_empty(),
            (Expect::Fields(_), None) => false,
            (Expect::Fields(fields), Some(answer)) => fields.iter().all(|(pointer, value)| {
                same(answer.pointer(pointer).unwrap_or(&Value::Null), value)
            }),
            (Expect::Count { list, like, count }, Some(answer)) => {
                let is_like = |item: &&Value| {
                    like.iter()
                        .all(|(name, value)| same(item.get(name).unwrap_or(&Value::Null), value))
                };
                elements(answer, list).iter().filter(is_like).count() as u64 == *count
            }
            (
                Expect::Set {
                    list,
                    fields,
                    items,
                },
                Some(answer),
            ) => {
                let wanted = items.iter().map(|item| key(item, fields));
                let there = elements(answer, list).iter().map(|item| match item {
                    Value::Object(item) => key(item, fields),
                    other => other.to_string(),
                });
                sorted(wanted) == sorted(there)
            }
        }
    }
}

fn elements<'a>(answer: &'a Value, list: &str) -> &'a [Value] {
    answer
        .pointer(list)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn key(item: &Map<String, Value>, fields: &[String]) -> String {
    let values = fields
        .iter()
        .map(|field| plain(item.get(field).unwrap_or(&Value::Null)));
    Value::Array(values.collect()).to_string()
}

fn sorted(keys: impl Iterator<Item = String>) -> Vec<String> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys
}

/// Whether two values are the same; 5 and 5.0 are, and a moment is however it is written.
fn same(a: &Value, b: &Value) -> bool {
    plain(a) == plain(b)
}

fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            // Exact in both: whole and below 2^53.
            #[expect(clippy::cast_possible_truncation)]
            Some(float) if float.fract() == 0.0 && float.abs() < 9.0e15 => {
                Value::from(float as i64)
            }
            _ => value.clone(),
        },
        Value::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(moment) => Value::from(moment.to_utc().to_rfc3339()),
            Err(_) => value.clone(),
        },
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn fields_are_compared_where_they_stand() {
        let answer = json!({ "a": { "b": [1, { "c": null }] }, "n": 5.0 });
        let holds = |expect: Expect| expect.holds(Some(&answer));
        assert!(holds(Expect::field("/a/b/0", 1).and("/n", 5)));
        assert!(holds(
            Expect::field("/a/b/1/c", Value::Null).and("/gone", Value::Null)
        ));
        assert!(!holds(Expect::field("/a/b/0", 2)));
        let due = |text: &str| {
            Expect::field("/due", text).holds(Some(&json!({ "due": "2027-03-01T09:00:00.000Z" })))
        };
        assert!(due("2027-03-01T09:00:00Z") && due("2027-03-01T10:00:00+01:00"));
        assert!(!due("2027-03-01T09:00:01Z") && !due("2027-03-01"));
        assert!(!Expect::field("/a", 1).holds(None));
        assert!(Expect::Gone.holds(None) && !Expect::Gone.holds(Some(&answer)));
    }

    #[test]
    fn sets_have_no_order_and_count_every_element() {
        let set = |items: Value| Expect::Set {
            list: String::new(),
            fields: vec!["data".into(), "ttl".into()],
            items: items
                .as_array()
                .unwrap()
                .iter()
                .map(|item| object(item.clone()))
                .collect(),
        };
        let wanted = set(json!([{ "data": "b", "ttl": 600 }, { "data": "a", "ttl": 600 }]));
        assert!(wanted.holds(Some(
            &json!([{ "data": "a", "ttl": 600, "type": "A" }, { "data": "b", "ttl": 600 }])
        )));
        assert!(!wanted.holds(Some(&json!([{ "data": "a", "ttl": 600 }]))));
        assert!(!wanted.holds(Some(
            &json!([{ "data": "a", "ttl": 600 }, { "data": "a", "ttl": 600 }, { "data": "b", "ttl": 600 }])
        )));
        assert!(set(json!([])).holds(None) && !wanted.holds(None));
    }

    #[test]
    fn likes_are_counted() {
        let tasks = json!({ "tasks": [{ "title": "Call", "done": false }, { "title": "Call", "done": true }] });
        let count = |like: Value, count| Expect::Count {
            list: "/tasks".into(),
            like: object(like),
            count,
        };
        assert!(count(json!({ "title": "Call" }), 2).holds(Some(&tasks)));
        assert!(count(json!({ "title": "Call", "done": true }), 1).holds(Some(&tasks)));
        assert!(!count(json!({ "title": "Mail" }), 1).holds(Some(&tasks)));
        assert!(count(json!({ "title": "Mail" }), 0).holds(None));
    }
}
