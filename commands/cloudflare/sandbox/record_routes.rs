//! DNS records: lists with their filters, changes one by one and in batches, exports.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal, Reply, Sizes};
use super::records::Record;
use super::world::{NAME_SERVERS, Zone};

/// `GET /zones/{id}/dns_records`.
pub(super) fn list(call: &mut Call<'_>) -> Reply {
    let filter = Filter::of(&call.query)?;
    let order = call.query("order").unwrap_or("type").to_owned();
    let descending = call.query("direction") == Some("desc");
    let zone = call.zone()?;
    let mut found: Vec<&Record> = zone
        .records
        .iter()
        .filter(|record| filter.fits(record))
        .collect();
    let key = |record: &Record| match order.as_str() {
        "name" => record.name.clone(),
        "content" => record.content.clone(),
        "ttl" => format!("{:06}", record.ttl),
        "proxied" => record.proxied.to_string(),
        _ => record.kind.clone(),
    };
    if !matches!(
        order.as_str(),
        "type" | "name" | "content" | "ttl" | "proxied"
    ) {
        return Err(Refusal::invalid("order is invalid"));
    }
    found.sort_by_cached_key(|record| (key(record), record.name.clone(), record.id.clone()));
    if descending {
        found.reverse();
    }
    let found = found.into_iter().map(Record::json).collect();
    call.page(
        found,
        Sizes {
            usual: 100,
            least: 1,
            most: 5_000_000,
        },
    )
}

/// What a list is narrowed to.
struct Filter {
    any: bool,
    tests: Vec<(String, String, String)>,
    search: Option<String>,
}

impl Filter {
    fn of(query: &[(String, String)]) -> Result<Filter, Refusal> {
        let mut filter = Filter {
            any: false,
            tests: Vec::new(),
            search: None,
        };
        for (name, value) in query {
            let (field, how) = name.split_once('.').unwrap_or((name, ""));
            match field {
                "match" => filter.any = value == "any",
                "search" => filter.search = Some(value.to_lowercase()),
                "proxied" if value != "true" && value != "false" => {
                    return Err(Refusal::invalid("proxied must be true or false"));
                }
                "type" | "proxied" | "name" | "content" | "comment" => {
                    let test = (field.to_owned(), how.to_owned(), value.to_lowercase());
                    filter.tests.push(test);
                }
                _ => {}
            }
        }
        Ok(filter)
    }

    fn fits(&self, record: &Record) -> bool {
        let comment = record.comment.as_deref().unwrap_or_default();
        let held = |(field, how, value): &(String, String, String)| {
            let known = match field.as_str() {
                "type" => record.kind.to_lowercase(),
                "proxied" => record.proxied.to_string(),
                "name" => record.name.clone(),
                "content" => record.content.to_lowercase(),
                _ => comment.to_lowercase(),
            };
            match how.as_str() {
                "contains" => known.contains(value.as_str()),
                "startswith" => known.starts_with(value.as_str()),
                "endswith" => known.ends_with(value.as_str()),
                "present" => !known.is_empty(),
                "absent" => known.is_empty(),
                _ => known == *value,
            }
        };
        let searched = self.search.as_ref().is_none_or(|text| {
            let all = format!("{} {} {comment}", record.name, record.content);
            text.split_whitespace()
                .all(|word| all.to_lowercase().contains(word))
        });
        let tested = if self.any && !self.tests.is_empty() {
            self.tests.iter().any(held)
        } else {
            self.tests.iter().all(held)
        };
        searched && tested
    }
}

fn missing() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, 81_044, "Record does not exist.")
}

/// Where a record is in its zone.
fn place(zone: &Zone, id: &str) -> Result<usize, Refusal> {
    zone.records
        .iter()
        .position(|record| record.id == id)
        .ok_or_else(missing)
}

/// `GET /zones/{id}/dns_records/{id}`.
pub(super) fn get(call: &mut Call<'_>) -> Reply {
    let id = call.part(1);
    let zone = call.zone()?;
    Answer::ok(zone.records[place(zone, id)?].json())
}

/// What one part of a batch, or a request of its own, does.
enum Work<'b> {
    Delete(&'b str),
    Patch(&'b str, &'b Value),
    Put(&'b str, &'b Value),
    Post(&'b Value),
}

/// Does one thing to the records of a zone and answers with the record.
fn work(zone: &mut Zone, work: &Work<'_>, id: String, now: i64) -> Result<Record, Refusal> {
    match work {
        Work::Delete(id) => {
            let place = place(zone, id)?;
            Ok(zone.records.remove(place))
        }
        Work::Patch(id, body) => {
            let place = place(zone, id)?;
            let base = zone.records[place].clone();
            let mut record = Record::made(zone, body, Some(&base))?;
            record.check_beside(zone.records.iter())?;
            record.touch(now);
            zone.records[place] = record.clone();
            Ok(record)
        }
        Work::Put(id, body) => {
            let place = place(zone, id)?;
            let mut record = Record::made(zone, body, None)?;
            record.born((*id).to_owned(), now);
            record.created = zone.records[place].created;
            record.check_beside(zone.records.iter())?;
            zone.records[place] = record.clone();
            Ok(record)
        }
        Work::Post(body) => {
            let mut record = Record::made(zone, body, None)?;
            record.born(id, now);
            record.check_beside(zone.records.iter())?;
            if zone.records.len() >= zone.plan.2 {
                return Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    81_045,
                    "Record quota exceeded.",
                ));
            }
            zone.records.push(record.clone());
            Ok(record)
        }
    }
}

/// A request that does one thing.
fn alone(
    call: &mut Call<'_>,
    what: for<'b> fn(&'b str, &'b Value) -> Work<'b>,
) -> Result<Record, Refusal> {
    let body = std::mem::take(&mut call.body);
    let (now, id) = (call.world.now_ms(), call.world.next_id());
    let named = call.part(1);
    work(call.zone()?, &what(named, &body), id, now)
}

/// `POST /zones/{id}/dns_records`.
pub(super) fn create(call: &mut Call<'_>) -> Reply {
    Answer::ok(alone(call, |_, body| Work::Post(body))?.json())
}

/// `PUT /zones/{id}/dns_records/{id}`.
pub(super) fn overwrite(call: &mut Call<'_>) -> Reply {
    Answer::ok(alone(call, |id, body| Work::Put(id, body))?.json())
}

/// `PATCH /zones/{id}/dns_records/{id}`.
pub(super) fn update(call: &mut Call<'_>) -> Reply {
    Answer::ok(alone(call, |id, body| Work::Patch(id, body))?.json())
}

/// `DELETE /zones/{id}/dns_records/{id}`.
pub(super) fn delete(call: &mut Call<'_>) -> Reply {
    let gone = alone(call, |id, _| Work::Delete(id))?;
    Ok(Answer::Bare(json!({"result": {"id": gone.id}})))
}

/// `POST /zones/{id}/dns_records/batch`: all or nothing, in Cloudflare's order whatever the caller's.
pub(super) fn batch(call: &mut Call<'_>) -> Reply {
    let body = std::mem::take(&mut call.body);
    let now = call.world.now_ms();
    let parts = ["deletes", "patches", "puts", "posts"];
    let count: usize = parts
        .iter()
        .filter_map(|part| body[*part].as_array())
        .map(Vec::len)
        .sum();
    let mut ids: Vec<_> = (0..count).map(|_| call.world.next_id()).collect();
    let zone = call.zone()?;
    let most = if zone.plan.0 == "free" { 200 } else { 3_500 };
    if count > most {
        let message = format!("A batch can hold up to {most} operations.");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, 1_004, &message));
    }
    let mut draft = zone.clone();
    let mut done: HashMap<&str, Vec<Value>> = HashMap::new();
    for part in parts {
        for item in body[part].as_array().into_iter().flatten() {
            let id = item["id"].as_str().unwrap_or_default();
            let what = match part {
                "deletes" => Work::Delete(id),
                "patches" => Work::Patch(id, item),
                "puts" => Work::Put(id, item),
                _ => Work::Post(item),
            };
            let record = work(&mut draft, &what, ids.pop().unwrap_or_default(), now)?;
            done.entry(part).or_default().push(record.json());
        }
    }
    *zone = draft;
    let mut result = json!({});
    for part in parts {
        result[part] = done.remove(part).unwrap_or_default().into();
    }
    Answer::ok(result)
}

/// `GET /zones/{id}/dns_records/usage`.
pub(super) fn usage(call: &mut Call<'_>) -> Reply {
    let zone = call.zone()?;
    Answer::ok(json!({"record_quota": zone.plan.2, "record_usage": zone.records.len()}))
}

/// `GET /zones/{id}/dns_records/export`.
pub(super) fn export(call: &mut Call<'_>) -> Reply {
    let zone = call.zone()?;
    let name = &zone.name;
    let [first, second] = NAME_SERVERS;
    let mut text = format!(
        ";;\n;; Domain:     {name}.\n;;\n;; SOA Record\n\
         {name}\t3600\tIN\tSOA\t{first}. dns.cloudflare.com. 2052134567 10000 2400 604800 3600\n\n\
         ;; NS Records\n{name}.\t86400\tIN\tNS\t{first}.\n{name}.\t86400\tIN\tNS\t{second}.\n"
    );
    let mut records: Vec<_> = zone.records.iter().collect();
    records.sort_by_key(|record| (&record.kind, &record.name));
    let mut kind = "";
    for record in records {
        if record.kind != kind {
            kind = &record.kind;
            text.push_str(&format!("\n;; {kind} Records\n"));
        }
        text.push_str(&record.line());
        text.push('\n');
    }
    Ok(Answer::Text(text))
}
