//! The requests for what GoHighLevel has besides contacts.

use chrono::{DateTime, SecondsFormat, Utc};
use medtainer_core::http::{Method, Reply, Request};
use medtainer_core::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::unexpected;

/// Deals in a page: what the documentation allows.
pub const DEALS: usize = 500;

/// One page of deals, oldest first: all of them by date added, or those changed since a moment.
///
/// Never `page`, which ends at 10,000 rows.
pub fn opportunities(
    location: &str,
    since: Option<DateTime<Utc>>,
    after: Option<&str>,
) -> Result<Request> {
    let field = if since.is_some() {
        "date_updated"
    } else {
        "date_added"
    };
    let mut body = json!({
        "locationId": location,
        "limit": DEALS,
        "sort": [{ "field": field, "direction": "asc" }],
    });
    if let Some(since) = since {
        let since = since.to_rfc3339_opts(SecondsFormat::Millis, true);
        body["filters"] =
            json!([{ "field": "date_updated", "operator": "range", "value": { "gte": since } }]);
    }
    if let Some(after) = after {
        body["searchAfter"] = serde_json::from_str::<Value>(after)
            .map_err(|e| Error::internal("a stored cursor is not JSON").because(e))?;
    }
    Ok(Request::new(Method::Post, "/opportunities/search", &[])?
        .json(&body)?
        .reading())
}

/// Conversations in a page.
pub const CONVERSATIONS: usize = 100;

/// One page of conversations, the longest silent first, from a moment in milliseconds on.
pub fn conversations(location: &str, after: Option<i64>) -> Result<Request> {
    let request = Request::new(Method::Get, "/conversations/search", &[])?
        .query("locationId", location)
        .query("limit", CONVERSATIONS.to_string())
        .query("sortBy", "last_message_date")
        .query("sort", "asc");
    Ok(match after {
        Some(after) => request.query("startAfterDate", after.to_string()),
        None => request,
    })
}

/// Messages in a page of the export.
pub const MESSAGES: usize = 500;

/// One page of messages changed since a moment, oldest first; e-mails come only when they are asked for.
pub fn messages(
    location: &str,
    emails: bool,
    since: DateTime<Utc>,
    cursor: Option<&str>,
) -> Result<Request> {
    let mut request = Request::new(Method::Get, "/conversations/messages/export", &[])?
        .query("locationId", location)
        .query("limit", MESSAGES.to_string())
        .query("sortBy", "updatedAt")
        .query("sortOrder", "asc")
        .query(
            "startDate",
            since.to_rfc3339_opts(SecondsFormat::Millis, true),
        );
    if emails {
        request = request.query("channel", "Email");
    }
    if let Some(cursor) = cursor {
        request = request.query("cursor", cursor);
    }
    Ok(request)
}

/// Tasks in a page. More may be possible; nobody says.
pub const TASKS: usize = 100;

/// Some tasks of the location, or of some contacts, or the open ones.
pub fn tasks(location: &str, open: bool, contacts: &[String], skip: usize) -> Result<Request> {
    let mut body = json!({ "limit": TASKS, "skip": skip });
    if open {
        body["completed"] = json!(false);
    }
    if !contacts.is_empty() {
        body["contactId"] = json!(contacts);
    }
    Ok(
        Request::new(Method::Post, "/locations/{id}/tasks/search", &[location])?
            .json(&body)?
            .reading(),
    )
}

/// The appointments of a calendar that begin in a span of time.
pub fn events(
    location: &str,
    calendar: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Request> {
    Ok(Request::new(Method::Get, "/calendars/events", &[])?
        .query("locationId", location)
        .query("calendarId", calendar)
        .query("startTime", from.timestamp_millis().to_string())
        .query("endTime", to.timestamp_millis().to_string()))
}

/// The conversations of a contact.
pub fn conversations_of(location: &str, contact: &str) -> Result<Request> {
    Ok(Request::new(Method::Get, "/conversations/search", &[])?
        .query("locationId", location)
        .query("contactId", contact)
        .query("limit", "20"))
}

/// One page of the messages of a conversation, newest first.
pub fn messages_of(conversation: &str, after: Option<&str>) -> Result<Request> {
    let request = Request::new(Method::Get, "/conversations/{id}/messages", &[conversation])?
        .query("limit", "100");
    Ok(match after {
        Some(after) => request.query("lastMessageId", after),
        None => request,
    })
}

/// An e-mail whole: lists leave out its subject and body.
pub fn email(id: &str) -> Result<Request> {
    Request::new(Method::Get, "/conversations/messages/email/{id}", &[id])
}

/// What hangs on a contact: `notes`, `tasks`, `appointments`.
pub fn of_contact(contact: &str, part: Part) -> Result<Request> {
    let template = match part {
        Part::Notes => "/contacts/{id}/notes",
        Part::Tasks => "/contacts/{id}/tasks",
        Part::Appointments => "/contacts/{id}/appointments",
    };
    Request::new(Method::Get, template, &[contact])
}

/// What can be asked for contact by contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Notes, which cannot be asked for otherwise.
    Notes,
    /// Tasks, done ones too.
    Tasks,
    /// Appointments of all times.
    Appointments,
}

/// A list that comes whole: calendars, pipelines, users.
pub fn whole(template: &'static str, location: &str) -> Result<Request> {
    Ok(Request::new(Method::Get, template, &[])?.query("locationId", location))
}

/// The location itself.
pub fn location(id: &str) -> Result<Request> {
    Request::new(Method::Get, "/locations/{id}", &[id])
}

/// What lists of the CRM hold; each record stays text.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listed {
    /// The records, whatever the provider calls them.
    #[serde(
        alias = "opportunities",
        alias = "conversations",
        alias = "messages",
        alias = "notes",
        alias = "tasks",
        alias = "events",
        alias = "calendars",
        alias = "pipelines",
        alias = "users"
    )]
    pub records: Vec<Box<RawValue>>,
    /// How many the whole search has.
    pub total: Option<i64>,
    /// Where an export goes on.
    pub next_cursor: Option<String>,
}

/// Reads a list.
pub fn list(reply: &Reply) -> Result<Listed> {
    serde_json::from_str(&reply.text).map_err(|e| unexpected("a list", e))
}

/// The messages of a conversation: one object deeper than documented.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Thread {
    /// The messages, newest first.
    pub messages: Vec<Box<RawValue>>,
    /// The last of them.
    pub last_message_id: Option<String>,
    /// Whether there are older ones.
    pub next_page: bool,
}

/// Reads a page of a conversation, nested or flat.
pub fn thread(reply: &Reply) -> Result<Thread> {
    #[derive(Deserialize)]
    struct Nested {
        messages: Thread,
    }
    serde_json::from_str::<Nested>(&reply.text)
        .map(|nested| nested.messages)
        .or_else(|_| serde_json::from_str(&reply.text))
        .map_err(|e| unexpected("messages", e))
}
