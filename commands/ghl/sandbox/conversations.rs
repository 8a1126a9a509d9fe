//! Conversations and their messages: how they are invented and shown.
//!
//! A contact has at most one conversation, under its own number. Message `k` of conversation `n` has
//! the number `n << 12 | k`.

use serde_json::{Value, json};

use super::collection::{Key, Record, Seed};
use super::contacts::{Contact, Text, iso, present};
use super::filter::Datum;
use super::ids::{self, Dice, Kind};
use super::{ANCHOR_MS, LOCATION_ID, fixed, names};

/// A thread with one contact.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conversation {
    /// The contact's number.
    pub(super) number: u64,
    pub(super) unread: u64,
    pub(super) starred: bool,
    pub(super) last: Option<Message>,
    pub(super) date_added: i64,
    pub(super) date_updated: i64,
}

/// The way a message took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Call,
    Sms,
    Email,
    WhatsApp,
}

impl Channel {
    /// `messageType`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Channel::Call => "TYPE_CALL",
            Channel::Sms => "TYPE_SMS",
            Channel::Email => "TYPE_EMAIL",
            Channel::WhatsApp => "TYPE_WHATSAPP",
        }
    }

    /// `type` of a message.
    fn number(self) -> u64 {
        match self {
            Channel::Call => 1,
            Channel::Sms => 2,
            Channel::Email => 3,
            Channel::WhatsApp => 19,
        }
    }

    /// `channel` of the export.
    pub(super) fn export_name(self) -> &'static str {
        match self {
            Channel::Call => "Call",
            Channel::Sms => "SMS",
            Channel::Email => "Email",
            Channel::WhatsApp => "WhatsApp",
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) channel: Channel,
    pub(super) inbound: bool,
    pub(super) body: String,
    pub(super) subject: Option<String>,
    pub(super) user: Option<Text>,
    pub(super) source: &'static str,
    pub(super) status: Status,
    pub(super) attachments: Vec<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) cc: Vec<String>,
    pub(super) bcc: Vec<String>,
    pub(super) date_added: i64,
}

/// How far a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Fixed(&'static str),
    /// Sent by a client: pending for two seconds, then sent, delivered after five.
    Travelling,
}

impl Message {
    /// Its conversation, which is its contact.
    pub(super) fn conversation(&self) -> u64 {
        self.number >> 12
    }

    /// When it last changed; the status of a message settles soon after it was made.
    pub(super) fn updated(&self) -> i64 {
        self.date_added + 5_000
    }

    pub(super) fn status_at(&self, now: i64) -> &'static str {
        match self.status {
            Status::Fixed(status) => status,
            Status::Travelling => match now - self.date_added {
                ..2_000 => "pending",
                2_000..5_000 => "sent",
                _ => "delivered",
            },
        }
    }

    /// The provider's shape. E-mails come without a body, which has a route of its own.
    pub(super) fn json(&self, now: i64) -> Value {
        let email = self.channel == Channel::Email;
        let meta = match self.channel {
            Channel::Email => json!({"email": {"messageIds":
                [ids::encode(Kind::EmailMessage, self.number)]}}),
            Channel::Call => json!({"callDuration": "120", "callStatus": "completed"}),
            _ => Value::Null,
        };
        present(json!({
            "id": ids::encode(Kind::Message, self.number),
            "type": self.channel.number(),
            "messageType": self.channel.name(),
            "locationId": LOCATION_ID,
            "contactId": ids::encode(Kind::Contact, self.conversation()),
            "conversationId": ids::encode(Kind::Conversation, self.conversation()),
            "dateAdded": iso(self.date_added),
            "dateUpdated": iso(self.updated()),
            "body": (!email).then_some(&self.body),
            "direction": if self.inbound { "inbound" } else { "outbound" },
            "status": self.status_at(now),
            "contentType": if email { "text/html" } else { "text/plain" },
            "attachments": self.attachments,
            "meta": meta,
            "source": self.source,
            "userId": self.user,
        }))
    }

    /// The shape of an e-mail's own route.
    pub(super) fn email_json(&self, now: i64) -> Value {
        let status = match self.status_at(now) {
            "queued" | "clicked" | "opt_out" => "sent",
            other => other,
        };
        present(json!({
            "id": ids::encode(Kind::EmailMessage, self.number),
            "threadId": ids::encode(Kind::Thread, self.conversation()),
            "locationId": LOCATION_ID,
            "contactId": ids::encode(Kind::Contact, self.conversation()),
            "conversationId": ids::encode(Kind::Conversation, self.conversation()),
            "dateAdded": iso(self.date_added),
            "subject": self.subject,
            "body": self.body,
            "direction": if self.inbound { "inbound" } else { "outbound" },
            "status": status,
            "contentType": "text/html",
            "attachments": self.attachments,
            "provider": "Leadconnector Gmail",
            "from": self.from.as_deref().unwrap_or("office@medtainer-sandbox.example"),
            "to": [self.to.as_deref().unwrap_or("office@medtainer-sandbox.example")],
            "cc": self.cc,
            "bcc": self.bcc,
            "source": self.source,
        }))
    }
}

/// How many messages a contact was seeded with; none means no conversation.
pub(super) fn count_of(seed: &Seed, contact: u64) -> u64 {
    if contact >= seed.contacts {
        return 0;
    }
    let mut dice = Dice::new(seed.seed, 6, contact);
    if dice.percent(45) {
        1 + dice.below(9)
    } else {
        0
    }
}

/// The times of a conversation's messages, oldest first.
fn times(seed: &Seed, contact: u64) -> Vec<i64> {
    let mut dice = Dice::new(seed.seed, 7, contact);
    let (added, _) = Contact::seeded_dates(seed, contact).unwrap_or((ANCHOR_MS, ANCHOR_MS));
    let mut times: Vec<_> = (0..count_of(seed, contact))
        .map(|_| added + dice.below((ANCHOR_MS - added).max(1) as u64) as i64)
        .collect();
    times.sort_unstable();
    times
}

const SENT_BY: &[&str] = &["app", "workflow", "campaign"];
const OUTCOMES: &[&str] = &["delivered", "opened", "sent", "failed"];

/// The seeded messages of a contact, oldest first.
pub(super) fn messages(seed: &Seed, contact: u64) -> Vec<Message> {
    let times = times(seed, contact);
    if times.is_empty() {
        return Vec::new();
    }
    let person = Contact::seeded(seed, contact);
    let address = person
        .as_ref()
        .and_then(|person| person.email.as_deref())
        .map(str::to_owned);
    times
        .into_iter()
        .enumerate()
        .map(|(at, date_added)| {
            let number = contact << 12 | at as u64;
            let dice = &mut Dice::new(seed.seed, 8, number);
            let inbound = dice.percent(45);
            let channel = match (dice.below(10), &address) {
                (0..=4, Some(_)) => Channel::Email,
                (5, _) => Channel::Call,
                (6, _) => Channel::WhatsApp,
                _ => Channel::Sms,
            };
            let text = *dice.pick(if inbound {
                names::INBOUND
            } else {
                names::OUTBOUND
            });
            let email = channel == Channel::Email;
            Message {
                number,
                channel,
                inbound,
                body: if email {
                    format!("<p>{text}</p>")
                } else {
                    text.to_owned()
                },
                subject: email.then(|| (*dice.pick(names::SUBJECTS)).to_owned()),
                user: (!inbound).then(|| dice.pick(fixed::USERS).id.into()),
                source: if inbound { "app" } else { dice.word(SENT_BY) },
                status: Status::Fixed(if inbound { "read" } else { dice.word(OUTCOMES) }),
                attachments: Vec::new(),
                from: address.clone().filter(|_| inbound && email),
                to: address.clone().filter(|_| !inbound && email),
                cc: Vec::new(),
                bcc: Vec::new(),
                date_added,
            }
        })
        .collect()
}

impl Record for Conversation {
    const KIND: Kind = Kind::Conversation;

    fn numbers(seed: &Seed) -> Box<dyn Iterator<Item = u64> + '_> {
        Box::new((0..seed.contacts).filter(|contact| count_of(seed, *contact) > 0))
    }

    fn seeded(seed: &Seed, number: u64) -> Option<Self> {
        let last = messages(seed, number).pop()?;
        let (date_added, date_updated) = Self::seeded_dates(seed, number)?;
        let mut dice = Dice::new(seed.seed, 9, number);
        Some(Conversation {
            number,
            unread: if last.inbound { dice.below(4) } else { 0 },
            starred: dice.percent(4),
            last: Some(last),
            date_added,
            date_updated,
        })
    }

    fn seeded_dates(seed: &Seed, number: u64) -> Option<(i64, i64)> {
        let times = times(seed, number);
        Some((*times.first()?, *times.last()?))
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn dates(&self) -> (i64, i64) {
        (self.date_added, self.date_updated)
    }

    fn date_fields() -> (&'static str, &'static str) {
        ("dateAdded", "lastMessageDate")
    }

    fn sort_fields() -> &'static [&'static str] {
        &["lastMessageDate"]
    }

    fn key(&self, _: &str) -> Key {
        Key::Number(self.date_updated)
    }

    fn matches_query(&self, words: &str) -> bool {
        self.last
            .as_ref()
            .is_some_and(|last| last.body.to_lowercase().contains(words))
    }

    fn datum(&self, field: &str) -> Datum<'_> {
        let last = self.last.as_ref();
        match field {
            "lastMessageType" => {
                last.map_or(Datum::Nothing, |last| Datum::text(last.channel.name()))
            }
            "lastMessageDirection" => last.map_or(Datum::Nothing, |last| {
                Datum::text(if last.inbound { "inbound" } else { "outbound" })
            }),
            "contactId" => Datum::Text(ids::encode(Kind::Contact, self.number).into()),
            "unread" => Datum::Bool(self.unread > 0),
            "starred" => Datum::Bool(self.starred),
            "dateAdded" => Datum::Time(self.date_added),
            "lastMessageDate" => Datum::Time(self.date_updated),
            _ => Datum::Nothing,
        }
    }

    fn knows_field(_: &str) -> bool {
        true
    }
}

impl Conversation {
    /// The shape of a search.
    pub(super) fn searched(&self, contact: Option<&Contact>) -> Value {
        let name = contact.map(Contact::display_name).unwrap_or_default();
        let last = self.last.as_ref();
        json!({
            "id": ids::encode(Kind::Conversation, self.number),
            "contactId": ids::encode(Kind::Contact, self.number),
            "locationId": LOCATION_ID,
            "lastMessageBody": last.map_or("", |last| last.body.as_str()),
            "lastMessageType": last.map_or("TYPE_SMS", |last| last.channel.name()),
            "lastMessageDirection":
                last.map_or("outbound", |last| if last.inbound { "inbound" } else { "outbound" }),
            "lastMessageDate": self.date_updated,
            "type": "TYPE_PHONE",
            "unreadCount": self.unread,
            "fullName": name,
            "contactName": name,
            "email": contact.and_then(|contact| contact.email.as_deref()).unwrap_or_default(),
            "phone": contact.and_then(|contact| contact.phone.as_deref()).unwrap_or_default(),
            "assignedTo": contact.and_then(|contact| contact.assigned_to.as_deref()),
            "dateAdded": self.date_added,
            "dateUpdated": self.date_updated,
            // The sort value, as the next page wants it in `startAfterDate`.
            "sort": [self.date_updated],
        })
    }

    /// The shape of one.
    pub(super) fn one(&self) -> Value {
        json!({
            "id": ids::encode(Kind::Conversation, self.number),
            "contactId": ids::encode(Kind::Contact, self.number),
            "locationId": LOCATION_ID,
            "deleted": false,
            "inbox": true,
            "type": 1,
            "unreadCount": self.unread,
            "starred": self.starred,
        })
    }
}
