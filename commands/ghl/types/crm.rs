//! What GoHighLevel sends besides contacts. As with those, every field is optional and one of the wrong
//! type is an absent one.

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use medtainer_core::sync::Row;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{LONGEST_ID, parse_time, within_years, without_field};

/// A text or a number as text; blank is nothing.
pub fn text(object: &Value, name: &str) -> Option<String> {
    let text = match object.get(name)? {
        Value::String(text) => text.trim().replace('\0', ""),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// RFC 3339, a bare date, or milliseconds.
pub fn time(object: &Value, name: &str) -> Option<DateTime<Utc>> {
    match object.get(name)? {
        Value::String(text) => parse_time(text.trim()),
        Value::Number(number) => number.as_i64().and_then(DateTime::from_timestamp_millis),
        _ => None,
    }
    .and_then(within_years)
}

/// A time that may come without its zone: then it is the location's.
fn local_time(object: &Value, name: &str, zone: Option<Tz>) -> Option<DateTime<Utc>> {
    time(object, name).or_else(|| {
        let text = text(object, name)?;
        let local = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())?;
        let at = zone?.from_local_datetime(&local).earliest()?;
        within_years(at.to_utc())
    })
}

/// A sum of money, exactly as it was written.
fn money(object: &Value, name: &str) -> Option<Decimal> {
    let text = text(object, name)?;
    text.parse()
        .or_else(|_| Decimal::from_scientific(&text))
        .ok()
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or(Value::Null)
}

/// The columns of a deal.
pub fn opportunity(json: &str) -> Value {
    let it = read(json);
    json!({
        "contact_id": text(&it, "contactId").or_else(|| text(it.get("contact")?, "id")),
        "pipeline_id": text(&it, "pipelineId"),
        "stage_id": text(&it, "pipelineStageId"),
        "status": text(&it, "status").map(|status| status.to_lowercase()),
        "value": money(&it, "monetaryValue"),
        "name": text(&it, "name"),
        "source": text(&it, "source"),
        "assigned_to": text(&it, "assignedTo"),
        "lost_reason_id": text(&it, "lostReasonId"),
        "created_at": time(&it, "createdAt"),
        "stage_changed_at": time(&it, "lastStageChangeAt"),
        "status_changed_at": time(&it, "lastStatusChangeAt"),
    })
}

/// The columns of a conversation.
pub fn conversation(json: &str) -> Value {
    let it = read(json);
    json!({
        "contact_id": text(&it, "contactId"),
        "last_message_at": time(&it, "lastMessageDate"),
        "last_direction": text(&it, "lastMessageDirection"),
        "last_type": text(&it, "lastMessageType"),
        "unread": it["unreadCount"].as_i64().and_then(|count| i32::try_from(count).ok()),
        "assigned_to": text(&it, "assignedTo"),
        "created_at": time(&it, "dateAdded"),
    })
}

/// Senders that are no person.
const MACHINES: [&str; 3] = ["workflow", "campaign", "bulk_actions"];

/// The columns of a message.
pub fn message(json: &str) -> Value {
    let it = read(json);
    let source = text(&it, "source").map(|source| source.to_lowercase());
    json!({
        "contact_id": text(&it, "contactId"),
        "conversation_id": text(&it, "conversationId"),
        "sent_at": time(&it, "dateAdded"),
        "channel": text(&it, "messageType").map(|kind| {
            let kind = kind.to_lowercase();
            kind.strip_prefix("type_").map(str::to_owned).unwrap_or(kind)
        }),
        "direction": text(&it, "direction"),
        "automated": source.map(|source| MACHINES.contains(&&*source)),
        "status": text(&it, "status"),
        "user_id": text(&it, "userId"),
    })
}

/// The columns of a note.
pub fn note(json: &str) -> Value {
    let it = read(json);
    json!({
        "contact_id": text(&it, "contactId"),
        "user_id": text(&it, "userId"),
        "written_at": time(&it, "dateAdded"),
    })
}

/// The columns of a task.
pub fn task(json: &str) -> Value {
    let it = read(json);
    json!({
        "contact_id": text(&it, "contactId"),
        "title": text(&it, "title"),
        "due_at": time(&it, "dueDate"),
        "completed": it["completed"].as_bool(),
        "assigned_to": text(&it, "assignedTo"),
    })
}

/// The columns of an appointment, as [`appointment_row`] made it.
pub fn appointment(json: &str) -> Value {
    let it = read(json);
    json!({
        "contact_id": text(&it, "contactId"),
        "calendar_id": text(&it, "calendarId"),
        "title": text(&it, "title"),
        "status": text(&it, "appointmentStatus").or_else(|| text(&it, "appoinmentStatus")),
        "starts_at": time(&it, "startTime"),
        "ends_at": time(&it, "endTime"),
        "assigned_to": text(&it, "assignedUserId"),
    })
}

/// A record as a sync takes it. None without a usable id.
///
/// `listed` are fields of a record that belong to its place in a listing: kept, they would make every
/// record seem changed whenever it came by another way.
pub fn row(record: &RawValue, changed: &[&str], listed: &[&str]) -> Option<Row> {
    let json = record.get();
    let it = read(json);
    let id = id_of(&it)?;
    let changed_at = changed.iter().find_map(|name| time(&it, name));
    let mut rest: Option<String> = None;
    for name in listed {
        rest = without(rest.as_deref().unwrap_or(json), name).or(rest);
    }
    Some(Row::new(id, changed_at, rest.as_deref().unwrap_or(json)))
}

fn id_of(it: &Value) -> Option<String> {
    text(it, "id")
        .or_else(|| text(it, "_id"))
        .filter(|id| id.len() <= LONGEST_ID)
}

fn without(json: &str, name: &str) -> Option<String> {
    let fields: std::collections::HashMap<&str, &RawValue> = serde_json::from_str(json).ok()?;
    without_field(json, name, fields.get(name)?.get())
}

/// A note or a task as a sync takes it: says whose it is, which a list of one contact's need not.
pub fn row_of(record: &RawValue, contact: &str) -> Option<Row> {
    let it = read(record.get());
    let id = id_of(&it)?;
    let changed_at = time(&it, "dateUpdated").or_else(|| time(&it, "dateAdded"));
    if text(&it, "contactId").is_some() {
        return Some(Row::new(id, changed_at, record.get()));
    }
    let mut fields: Map<String, Value> = serde_json::from_value(it).ok()?;
    fields.insert("contactId".to_owned(), json!(contact));
    Some(Row::new(id, changed_at, &Value::Object(fields).to_string()))
}

/// An appointment as a sync takes it. One list gives times with their offset, another the location's
/// own without: kept is the same, or it would change for ever.
pub fn appointment_row(record: &RawValue, zone: Option<Tz>) -> Option<Row> {
    let mut it = read(record.get());
    let id = id_of(&it)?;
    for name in ["startTime", "endTime", "dateAdded", "dateUpdated"] {
        if let Some(at) = local_time(&it, name, zone) {
            it[name] = json!(at);
        }
    }
    let changed_at = time(&it, "dateUpdated").or_else(|| time(&it, "dateAdded"));
    Some(Row::new(id, changed_at, &it.to_string()))
}

/// A pipeline, as far as we look into it.
#[derive(Debug, Clone, Deserialize)]
pub struct Pipeline {
    /// Its id.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Its stages; not yet in order.
    #[serde(default)]
    pub stages: Vec<Stage>,
}

/// A stage of a pipeline.
#[derive(Debug, Clone, Deserialize)]
pub struct Stage {
    /// Its id.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Where it stands; not all locations have it.
    #[serde(default)]
    pub position: Option<f64>,
}

impl Pipeline {
    /// Reads a stored or fetched pipeline, its stages in order.
    pub fn read(json: &str) -> Option<Pipeline> {
        let mut pipeline: Pipeline = serde_json::from_str(json).ok()?;
        let place = |stage: &Stage| stage.position.unwrap_or(f64::MAX);
        pipeline
            .stages
            .sort_by(|a, b| place(a).total_cmp(&place(b)));
        Some(pipeline)
    }
}
