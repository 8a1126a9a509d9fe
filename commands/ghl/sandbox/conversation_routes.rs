//! The routes of conversations and messages.

use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Value, json};

use super::call::{Answer, Call, Field, Is, Need, Refusal, Reply};
use super::collection::{Record, Search, Sort, Start};
use super::contact_routes;
use super::contacts::iso;
use super::conversations::{Channel, Conversation, Message, Status};
use super::filter::{Filter, Test, moment};
use super::ids::{self, Kind};
use super::{LOCATION_ID, contacts};

pub(super) fn search(call: &mut Call<'_>) -> Reply {
    let limit = call.limit(20, 100)?;
    let equals = |name: &str, value: Value| {
        let values = vec![value];
        Filter::Test(name.to_owned(), Test::Equals { values, not: false })
    };
    let mut tests = Vec::new();
    for name in ["contactId", "lastMessageType", "lastMessageDirection"] {
        if let Some(value) = call.query(name) {
            tests.push(equals(name, json!(value)));
        }
    }
    match call.query("status") {
        Some("read") => tests.push(equals("unread", json!(false))),
        Some("unread") => tests.push(equals("unread", json!(true))),
        Some("starred") => tests.push(equals("starred", json!(true))),
        Some("all" | "recents") | None => {}
        Some(_) => {
            return Err(Refusal::invalid([
                "status must be one of the following values: all, read, unread, starred, recents"
                    .to_owned(),
            ]));
        }
    }
    let ms = |name| call.query(name).and_then(|text| text.parse::<i64>().ok());
    let (from, to) = (ms("startDate"), ms("endDate"));
    // The cursor is a date alone: rows of the same millisecond are lost between two pages.
    let after = ms("startAfterDate").filter(|_| !call.repeats);
    if from.is_some() || to.is_some() {
        tests.push(Filter::Test("dateAdded".to_owned(), Test::Range(from, to)));
    }
    let ascending = call.query("sort") == Some("asc");
    let base = Search {
        filter: Filter::All(tests.clone()),
        query: call.query("query").map(str::to_lowercase),
        sort: Sort::by("lastMessageDate", !ascending),
        start: Start::Skip(0),
        limit,
    };
    let total = call.world.conversations.total(&base);
    if let Some(after) = after {
        let range = if ascending {
            Test::Range(Some(after + 1), None)
        } else {
            Test::Range(None, Some(after - 1))
        };
        tests.push(Filter::Test("lastMessageDate".to_owned(), range));
    }
    let assigned = call.query("assignedTo").map(str::to_owned);
    let page = Search {
        filter: Filter::All(tests),
        ..base
    };
    let rows = call
        .world
        .conversations
        .page(&page)
        .map_err(|_| Refusal::bad("startAfterDate is not valid"))?;
    let conversations: Vec<_> = rows
        .iter()
        .map(|(conversation, _)| (conversation, call.world.contacts.get(conversation.number)))
        .filter(|(_, contact)| {
            let user = contact
                .as_ref()
                .and_then(|contact| contact.assigned_to.as_deref());
            assigned.is_none() || assigned.as_deref() == user
        })
        .map(|(conversation, contact)| conversation.searched(contact.as_deref()))
        .collect();
    Answer::ok(json!({"conversations": conversations, "total": total, "traceId": call.trace}))
}

fn named(call: &Call<'_>) -> Result<Arc<Conversation>, Refusal> {
    let id = call.path[0];
    call.world
        .conversations
        .find(id)
        .ok_or_else(|| Refusal::bad(format!("Conversation with id {id} not found")))
}

pub(super) fn get(call: &mut Call<'_>) -> Reply {
    let mut body = named(call)?.one();
    body["traceId"] = json!(call.trace);
    Answer::ok(body)
}

pub(super) fn create(call: &mut Call<'_>) -> Reply {
    call.check(&[
        Field("locationId", Is::Text, Need::Required),
        Field("contactId", Is::Text, Need::Required),
    ])?;
    let id = call.text("contactId").unwrap_or_default().to_owned();
    let contact = contact_routes::find(call, &id)?;
    let conversation_id = ids::encode(Kind::Conversation, contact.number);
    if call.world.conversations.get(contact.number).is_some() {
        return Err(Refusal::bad("Conversation already exists")
            .with("conversationId", json!(conversation_id)));
    }
    let lag = call.world.lag;
    let conversation = Conversation {
        number: contact.number,
        unread: 0,
        starred: false,
        last: None,
        date_added: call.now,
        date_updated: call.now,
    };
    call.world.conversations.put(conversation, lag);
    let now = iso(call.now);
    Answer::created(json!({"success": true, "conversation": {
        "id": conversation_id, "contactId": id, "locationId": LOCATION_ID, "deleted": false,
        "dateAdded": now, "dateUpdated": now, "lastMessageDate": now,
    }, "traceId": call.trace}))
}

/// Newest first, and one object deeper than documented.
pub(super) fn messages(call: &mut Call<'_>) -> Reply {
    let conversation = named(call)?;
    let limit = call.limit(20, 100)?;
    let types: Option<Vec<&str>> = call.query("type").map(|types| types.split(',').collect());
    let mut messages = call.world.messages(conversation.number);
    messages.reverse();
    if let Some(types) = types {
        messages.retain(|message| types.contains(&message.channel.name()));
    }
    let last = call.query("lastMessageId").filter(|_| !call.repeats);
    if let Some(last) = last.and_then(|id| ids::decode(Kind::Message, id)) {
        // Numbers grow with time within a conversation.
        messages.retain(|message| message.number < last);
    }
    let more = messages.len() > limit;
    messages.truncate(limit);
    let last_id = messages
        .last()
        .map(|message| ids::encode(Kind::Message, message.number));
    let now = call.now;
    let rows: Vec<_> = messages.iter().map(|message| message.json(now)).collect();
    Answer::ok(json!({
        "messages": {
            "lastMessageId": last_id.unwrap_or_default(),
            "nextPage": more || call.repeats,
            "messages": rows,
        },
        "traceId": call.trace,
    }))
}

pub(super) fn message(call: &mut Call<'_>) -> Reply {
    let id = call.path[0];
    let message = ids::decode(Kind::Message, id)
        .and_then(|number| call.world.message(number))
        .ok_or_else(|| Refusal::bad(format!("Message with id {id} not found")))?;
    let mut body = message.json(call.now);
    body["traceId"] = json!(call.trace);
    Answer::ok(body)
}

pub(super) fn email(call: &mut Call<'_>) -> Reply {
    let id = call.path[0];
    let message = ids::decode(Kind::EmailMessage, id)
        .and_then(|number| call.world.message(number))
        .filter(|message| message.channel == Channel::Email)
        .ok_or_else(|| Refusal::bad(format!("Email message with id {id} not found")))?;
    let mut body = message.email_json(call.now);
    body["traceId"] = json!(call.trace);
    Answer::ok(body)
}

/// Every message of the location by cursor; e-mails only when asked for.
pub(super) fn export(call: &mut Call<'_>) -> Reply {
    let limit = call.limit(100, 500)?;
    if limit < 10 {
        return Err(Refusal::invalid([
            "limit must not be less than 10".to_owned()
        ]));
    }
    let by_update = match call.query("sortBy") {
        None | Some("createdAt") => false,
        Some("updatedAt") => true,
        Some(_) => {
            return Err(Refusal::invalid([
                "sortBy must be one of the following values: createdAt, updatedAt".to_owned(),
            ]));
        }
    };
    let descending = call.query("sortOrder") != Some("asc");
    let channel = call.query("channel").map(str::to_owned);
    let contact = call
        .query("contactId")
        .map(|id| ids::decode(Kind::Contact, id).unwrap_or(u64::MAX));
    let conversation = call
        .query("conversationId")
        .map(|id| ids::decode(Kind::Conversation, id).unwrap_or(u64::MAX));
    let time = |name| match call.query(name) {
        None => Ok(None),
        Some(text) => moment(&json!(text))
            .map(Some)
            .ok_or_else(|| Refusal::bad(format!("{name} must be a valid date"))),
    };
    let (from, to) = (time("startDate")?, time("endDate")?);
    let cursor = match call.query("cursor").filter(|_| !call.repeats) {
        None => None,
        Some(text) => Some(
            text.split_once('.')
                .and_then(|(ms, number)| {
                    Some((
                        i64::from_str_radix(ms, 36).ok()?,
                        u64::from_str_radix(number, 36).ok()?,
                    ))
                })
                .ok_or_else(|| Refusal::bad("cursor is not valid"))?,
        ),
    };
    // A message settles a fixed time after it was made, so both orders are one.
    let shift = if by_update { 5_000 } else { 0 };
    let fits = |entry: &(i64, u64, &'static str)| {
        let (ms, number, way) = *entry;
        let right_way = match channel.as_deref() {
            Some(channel) => way == channel,
            None => way != "Email",
        };
        right_way
            && contact.is_none_or(|contact| number >> 12 == contact)
            && conversation.is_none_or(|conversation| number >> 12 == conversation)
            && from.is_none_or(|from| ms + shift >= from)
            && to.is_none_or(|to| ms + shift <= to)
    };
    let all = call.world.export();
    let total = all.iter().filter(|entry| fits(entry)).count();
    // Below and above every name of a channel.
    let (low, high) = match (cursor, descending) {
        (None, _) => (Bound::Unbounded, Bound::Unbounded),
        (Some((ms, number)), true) => (Bound::Unbounded, Bound::Excluded((ms, number, ""))),
        (Some((ms, number)), false) => (Bound::Excluded((ms, number, "~")), Bound::Unbounded),
    };
    let range = all.range((low, high));
    let picked: Vec<_> = if descending {
        range
            .rev()
            .filter(|entry| fits(entry))
            .take(limit + 1)
            .copied()
            .collect()
    } else {
        range
            .filter(|entry| fits(entry))
            .take(limit + 1)
            .copied()
            .collect()
    };
    let more = picked.len() > limit || (call.repeats && !picked.is_empty());
    let picked = &picked[..picked.len().min(limit)];
    let now = call.now;
    let messages: Vec<_> = picked
        .iter()
        .filter_map(|(_, number, _)| call.world.message(*number))
        .map(|message| message.json(now))
        .collect();
    let next = picked
        .last()
        .filter(|_| more)
        .map(|(ms, number, _)| format!("{}.{}", base36(*ms as u64), base36(*number)));
    Answer::ok(contacts::present(json!({
        "messages": messages,
        "nextCursor": next,
        "total": total,
        "traceId": call.trace,
    })))
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// Sends a message, as far as a sandbox does: it is queued, and some seconds later delivered.
pub(super) fn send(call: &mut Call<'_>) -> Reply {
    use Need::{Optional, Required};
    const TYPES: Is = Is::OneOf(&[
        "SMS",
        "RCS",
        "Email",
        "WhatsApp",
        "IG",
        "FB",
        "Custom",
        "Live_Chat",
        "TIKTOK",
    ]);
    call.check(&[
        Field("type", TYPES, Required),
        Field("contactId", Is::Text, Required),
        Field("subType", Is::Text, Optional),
        Field("status", Is::Text, Optional),
        Field("appointmentId", Is::Text, Optional),
        Field("attachments", Is::List, Optional),
        Field("emailFrom", Is::Text, Optional),
        Field("emailTo", Is::Text, Optional),
        Field("emailCc", Is::List, Optional),
        Field("emailBcc", Is::List, Optional),
        Field(
            "emailReplyMode",
            Is::OneOf(&["reply", "reply_all"]),
            Optional,
        ),
        Field("html", Is::Text, Optional),
        Field("message", Is::Text, Optional),
        Field("subject", Is::Text, Optional),
        Field("replyMessageId", Is::Text, Optional),
        Field("templateId", Is::Text, Optional),
        Field("threadId", Is::Text, Optional),
        Field("scheduledTimestamp", Is::Number, Optional),
        Field("conversationProviderId", Is::Text, Optional),
        Field("customSubtypeId", Is::Text, Optional),
        Field("fromNumber", Is::Text, Optional),
        Field("toNumber", Is::Text, Optional),
        Field("forward", Is::Map, Optional),
        Field("usesNativeSchedulingAi", Is::Flag, Optional),
        Field("optimizationPeriod", Is::Text, Optional),
    ])?;
    let id = call.text("contactId").unwrap_or_default().to_owned();
    let contact = contact_routes::find(call, &id)?;
    let (channel, dnd_name, address) = match call.text("type") {
        Some("Email") => (Channel::Email, "Email", contact.email.as_deref()),
        Some("SMS") => (Channel::Sms, "SMS", contact.phone.as_deref()),
        Some("WhatsApp") => (Channel::WhatsApp, "WhatsApp", contact.phone.as_deref()),
        Some(other) => {
            return Err(Refusal::bad(format!(
                "No {other} channel is connected to this location"
            )));
        }
        None => return Err(Refusal::bad("type is missing")),
    };
    let Some(address) = address else {
        return Err(Refusal::bad(format!(
            "Contact has no address for {dnd_name}"
        )));
    };
    let channel_dnd = contact
        .dnd_settings
        .as_ref()
        .is_some_and(|settings| settings[dnd_name]["status"] == "active");
    if contact.dnd || channel_dnd {
        return Err(Refusal::bad(format!(
            "Cannot send message as DND is active for {dnd_name}."
        )));
    }
    let email = channel == Channel::Email;
    if let Some(to) = call.text("emailTo").filter(|_| email) {
        let known = std::iter::once(address)
            .chain(contact.additional_emails.iter().map(|email| &**email))
            .any(|known| known.eq_ignore_ascii_case(to));
        if !known {
            return Err(Refusal::bad("emailTo is not an address of the contact"));
        }
    }
    let body = if email {
        call.text("html").or(call.text("message"))
    } else {
        call.text("message")
    };
    let attachments = call.texts("attachments");
    if body.is_none_or(str::is_empty) && attachments.is_empty() {
        return Err(Refusal::invalid([
            "There is no message or attachments for this message. Skip sending.".to_owned(),
        ]));
    }
    // Seconds, unlike every other time here.
    let scheduled = call.body.get("scheduledTimestamp").and_then(Value::as_i64);
    if scheduled.is_some_and(|seconds| seconds * 1000 <= call.now) {
        return Err(Refusal::bad("scheduledTimestamp must be in the future"));
    }
    let message = Message {
        number: 0,
        channel,
        inbound: false,
        body: body.unwrap_or_default().to_owned(),
        subject: call.text("subject").filter(|_| email).map(str::to_owned),
        user: None,
        source: "api",
        status: match scheduled {
            Some(_) => Status::Fixed("scheduled"),
            None => Status::Travelling,
        },
        attachments,
        from: call.text("emailFrom").filter(|_| email).map(str::to_owned),
        to: email.then(|| call.text("emailTo").unwrap_or(address).to_owned()),
        cc: call.texts("emailCc"),
        bcc: call.texts("emailBcc"),
        date_added: call.now,
    };
    let sent = call.world.send(contact.number, message);
    let message_id = ids::encode(Kind::Message, sent.number);
    let email_id = email.then(|| ids::encode(Kind::EmailMessage, sent.number));
    Answer::ok(contacts::present(json!({
        "conversationId": ids::encode(Conversation::KIND, contact.number),
        "messageId": message_id,
        "emailMessageId": email_id,
        "messageIds": [message_id],
        "msg": if email { "Email queued successfully." } else { "Message queued successfully." },
        "status": "pending",
        "traceId": call.trace,
    })))
}

/// Takes a scheduled message back, by its own id or by that of its e-mail.
pub(super) fn cancel(call: &mut Call<'_>) -> Reply {
    let id = call.path[0];
    let number = ids::decode(Kind::Message, id).or_else(|| ids::decode(Kind::EmailMessage, id));
    if !number.is_some_and(|number| call.world.unsend(number)) {
        return Err(Refusal::bad("The message is not scheduled"));
    }
    Answer::ok(json!({"status": 200, "message": "Message cancelled", "traceId": call.trace}))
}
