//! Everything a sandbox holds, and the writes that keep it consistent.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use super::collection::{Collection, Record, Seed};
use super::contacts::{Contact, Text, iso, present};
use super::conversations::{self, Channel, Conversation, Message};
use super::ids::{self, Dice, Kind};
use super::opportunities::{self, Opportunity};
use super::{ANCHOR_MS, LOCATION_ID, fixed, names};

/// See the module.
pub(super) struct World {
    pub(super) seed: Seed,
    pub(super) contacts: Collection<Contact>,
    pub(super) opportunities: Collection<Opportunity>,
    pub(super) conversations: Collection<Conversation>,
    notes: HashMap<u64, List<Note>>,
    tasks: HashMap<u64, List<Task>>,
    sent: HashMap<u64, Vec<Message>>,
    made_opportunities: HashMap<u64, Vec<u64>>,
    /// Every message by time, once somebody has exported.
    export: Option<BTreeSet<(i64, u64, &'static str)>>,
    emails: Lookup,
    phones: Lookup,
    pub(super) tags: Vec<String>,
    next_contact: u64,
    next_opportunity: u64,
    /// How long searches lag behind writes.
    pub(super) lag: Duration,
    started: Instant,
    base_ms: i64,
}

/// The things of one contact; numbers are never given twice.
#[derive(Debug, Clone)]
pub(super) struct List<T> {
    next: u64,
    pub(super) items: Vec<T>,
}

impl<T> List<T> {
    fn seeded(items: Vec<T>) -> Self {
        List {
            next: items.len() as u64,
            items,
        }
    }

    /// The number of the next item of this contact.
    pub(super) fn number(&mut self, contact: u64) -> u64 {
        self.next += 1;
        contact << 16 | (self.next - 1)
    }
}

/// A note on a contact.
#[derive(Debug, Clone, Default)]
pub(super) struct Note {
    pub(super) number: u64,
    pub(super) body: String,
    pub(super) user: Option<String>,
    pub(super) title: Option<String>,
    pub(super) color: Option<String>,
    pub(super) pinned: bool,
    pub(super) date_added: i64,
}

impl Note {
    /// The provider's shape.
    pub(super) fn json(&self) -> Value {
        present(json!({
            "id": ids::encode(Kind::Note, self.number),
            "body": self.body,
            "bodyText": self.body,
            "userId": self.user,
            "title": self.title,
            "color": self.color,
            "pinned": self.pinned,
            "dateAdded": iso(self.date_added),
            "contactId": ids::encode(Kind::Contact, self.number >> 16),
        }))
    }
}

/// Something to do for a contact.
#[derive(Debug, Clone, Default)]
pub(super) struct Task {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) assigned_to: Option<String>,
    pub(super) due: i64,
    pub(super) completed: bool,
}

impl Task {
    /// The provider's shape.
    pub(super) fn json(&self) -> Value {
        present(json!({
            "id": ids::encode(Kind::Task, self.number),
            "title": self.title,
            "body": self.body,
            "assignedTo": self.assigned_to,
            "dueDate": iso(self.due),
            "completed": self.completed,
            "contactId": ids::encode(Kind::Contact, self.number >> 16),
        }))
    }
}

/// Finds contacts by an exact value.
#[derive(Default)]
struct Lookup {
    /// Hash and number of every seeded contact, sorted; made when it is first needed.
    seeded: Option<Vec<(u64, u64)>>,
    changed: HashMap<u64, Vec<u64>>,
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.to_lowercase().hash(&mut hasher);
    hasher.finish()
}

impl Lookup {
    fn candidates(
        &mut self,
        seed: &Seed,
        text: &str,
        value: impl Fn(&Contact) -> Option<&Text>,
    ) -> Vec<u64> {
        let all = self.seeded.get_or_insert_with(|| {
            let mut all: Vec<_> = (0..seed.contacts)
                .filter_map(|number| {
                    let contact = Contact::seeded(seed, number)?;
                    Some((hash(value(&contact)?), number))
                })
                .collect();
            all.sort_unstable();
            all
        });
        let wanted = hash(text);
        let from = all.partition_point(|(hash, _)| *hash < wanted);
        let mut found: Vec<_> = all[from..]
            .iter()
            .take_while(|(hash, _)| *hash == wanted)
            .map(|(_, number)| *number)
            .collect();
        found.extend(self.changed.get(&wanted).into_iter().flatten());
        found
    }

    fn note(&mut self, text: Option<&Text>, number: u64) {
        if let Some(text) = text {
            self.changed.entry(hash(text)).or_default().push(number);
        }
    }
}

impl World {
    pub(super) fn new(seed: Seed, lag: Duration) -> Self {
        World {
            seed,
            contacts: Collection::new(seed),
            opportunities: Collection::new(seed),
            conversations: Collection::new(seed),
            notes: HashMap::new(),
            tasks: HashMap::new(),
            sent: HashMap::new(),
            made_opportunities: HashMap::new(),
            export: None,
            emails: Lookup::default(),
            phones: Lookup::default(),
            tags: names::TAGS.iter().map(|tag| (*tag).to_owned()).collect(),
            next_contact: seed.contacts,
            next_opportunity: seed.contacts * opportunities::PER_CONTACT,
            lag,
            started: Instant::now(),
            base_ms: Utc::now().timestamp_millis().max(ANCHOR_MS),
        }
    }

    /// The sandbox's clock: the wall's, but never before the last seeded record.
    pub(super) fn now_ms(&self) -> i64 {
        self.base_ms + self.started.elapsed().as_millis() as i64
    }

    /// Searches see every write from now on.
    pub(super) fn settle(&mut self) {
        self.contacts.settle(true);
        self.opportunities.settle(true);
        self.conversations.settle(true);
    }

    /// The number for a new contact.
    pub(super) fn new_contact(&mut self) -> u64 {
        self.next_contact += 1;
        self.next_contact - 1
    }

    /// Stores a contact and remembers its tags, e-mail and phone.
    pub(super) fn put_contact(&mut self, contact: Contact) -> Arc<Contact> {
        self.emails.note(contact.email.as_ref(), contact.number);
        self.phones.note(contact.phone.as_ref(), contact.number);
        for tag in &contact.tags {
            if !self.tags.iter().any(|known| known == tag) {
                self.tags.push(tag.to_string());
            }
        }
        self.contacts.put(contact, self.lag)
    }

    /// Deletes a contact with all that hangs on it.
    pub(super) fn remove_contact(&mut self, number: u64) {
        for opportunity in self.opportunities_of(number) {
            self.opportunities.remove(opportunity.number, self.lag);
        }
        self.conversations.remove(number, self.lag);
        self.notes.insert(number, List::seeded(Vec::new()));
        self.tasks.insert(number, List::seeded(Vec::new()));
        self.contacts.remove(number, self.lag);
    }

    /// The contact with this e-mail address.
    pub(super) fn by_email(&mut self, email: &str) -> Option<Arc<Contact>> {
        let found = self
            .emails
            .candidates(&self.seed, email, |contact| contact.email.as_ref());
        let same = |contact: &Arc<Contact>| {
            contact
                .email
                .as_deref()
                .is_some_and(|known| known.eq_ignore_ascii_case(email))
        };
        found
            .into_iter()
            .filter_map(|number| self.contacts.get(number))
            .find(same)
    }

    /// The contact with this number, which is in E.164.
    pub(super) fn by_phone(&mut self, phone: &str) -> Option<Arc<Contact>> {
        let found = self
            .phones
            .candidates(&self.seed, phone, |contact| contact.phone.as_ref());
        found
            .into_iter()
            .filter_map(|number| self.contacts.get(number))
            .find(|contact| contact.phone.as_deref() == Some(phone))
    }

    /// The deals of a contact.
    pub(super) fn opportunities_of(&self, contact: u64) -> Vec<Arc<Opportunity>> {
        let first = contact * opportunities::PER_CONTACT;
        let made = self.made_opportunities.get(&contact);
        (first..first + opportunities::count_of(&self.seed, contact))
            .chain(made.into_iter().flatten().copied())
            .filter_map(|number| self.opportunities.get(number))
            .collect()
    }

    /// The number for a new deal of a contact.
    pub(super) fn new_opportunity(&mut self, contact: u64) -> u64 {
        let number = self.next_opportunity;
        // Stay clear of numbers that look like a seeded contact's: those are all below.
        self.next_opportunity += 1;
        self.made_opportunities
            .entry(contact)
            .or_default()
            .push(number);
        number
    }

    /// The notes of a contact.
    pub(super) fn notes(&mut self, contact: u64) -> &mut List<Note> {
        let seed = self.seed;
        self.notes
            .entry(contact)
            .or_insert_with(|| List::seeded(seeded_notes(&seed, contact)))
    }

    /// The tasks of a contact.
    pub(super) fn tasks(&mut self, contact: u64) -> &mut List<Task> {
        let seed = self.seed;
        self.tasks
            .entry(contact)
            .or_insert_with(|| List::seeded(seeded_tasks(&seed, contact)))
    }

    /// The tasks of every contact, in the order of contacts, without keeping any.
    pub(super) fn all_tasks(&self) -> impl Iterator<Item = Task> + '_ {
        (0..self.next_contact).flat_map(|contact| match self.tasks.get(&contact) {
            Some(list) => list.items.clone(),
            None => seeded_tasks(&self.seed, contact),
        })
    }

    /// The messages of a contact, oldest first.
    pub(super) fn messages(&self, contact: u64) -> Vec<Message> {
        let mut messages = conversations::messages(&self.seed, contact);
        messages.extend(self.sent.get(&contact).into_iter().flatten().cloned());
        messages
    }

    /// A message by its number.
    pub(super) fn message(&self, number: u64) -> Option<Message> {
        self.conversations.get(number >> 12)?;
        self.messages(number >> 12)
            .into_iter()
            .find(|message| message.number == number)
    }

    /// Adds a message; its number is set here.
    pub(super) fn send(&mut self, contact: u64, mut message: Message) -> Message {
        message.number = contact << 12 | self.messages(contact).len() as u64;
        self.sent.entry(contact).or_default().push(message.clone());
        if let Some(export) = &mut self.export {
            export.insert(export_entry(&message));
        }
        let known = self.conversations.get(contact);
        let conversation = Conversation {
            number: contact,
            unread: known.as_ref().map_or(0, |known| known.unread),
            starred: known.as_ref().is_some_and(|known| known.starred),
            date_added: known
                .as_ref()
                .map_or(message.date_added, |known| known.date_added),
            date_updated: message.date_added,
            last: Some(message.clone()),
        };
        self.conversations.put(conversation, self.lag);
        message
    }

    /// Takes a scheduled message back.
    pub(super) fn unsend(&mut self, number: u64) -> bool {
        let Some(sent) = self.sent.get_mut(&(number >> 12)) else {
            return false;
        };
        let Some(message) = sent.iter_mut().find(|message| {
            message.number == number && message.status == conversations::Status::Fixed("scheduled")
        }) else {
            return false;
        };
        message.status = conversations::Status::Fixed("failed");
        true
    }

    /// Every message by time; `channel` is `None` for all but e-mails, as the provider has it.
    pub(super) fn export(&mut self) -> &BTreeSet<(i64, u64, &'static str)> {
        if self.export.is_none() {
            let mut all: BTreeSet<_> = Conversation::numbers(&self.seed)
                .flat_map(|contact| conversations::messages(&self.seed, contact))
                .map(|message| export_entry(&message))
                .collect();
            all.extend(self.sent.values().flatten().map(export_entry));
            self.export = Some(all);
        }
        self.export.get_or_insert_default()
    }
}

fn export_entry(message: &Message) -> (i64, u64, &'static str) {
    (
        message.date_added,
        message.number,
        Channel::export_name(message.channel),
    )
}

fn seeded_notes(seed: &Seed, contact: u64) -> Vec<Note> {
    let Some((added, _)) = Contact::seeded_dates(seed, contact) else {
        return Vec::new();
    };
    let dice = &mut Dice::new(seed.seed, 10, contact);
    let count = if dice.percent(30) {
        1 + dice.below(3)
    } else {
        0
    };
    (0..count)
        .map(|at| Note {
            number: contact << 16 | at,
            body: (*dice.pick(names::NOTE_TEXTS)).to_owned(),
            user: dice
                .percent(85)
                .then(|| dice.pick(fixed::USERS).id.to_owned()),
            title: None,
            color: None,
            pinned: false,
            date_added: added + dice.below((ANCHOR_MS - added).max(1) as u64) as i64,
        })
        .collect()
}

fn seeded_tasks(seed: &Seed, contact: u64) -> Vec<Task> {
    if contact >= seed.contacts {
        return Vec::new();
    }
    let dice = &mut Dice::new(seed.seed, 11, contact);
    let count = if dice.percent(14) {
        1 + dice.below(2)
    } else {
        0
    };
    (0..count)
        .map(|at| {
            // From three months before the anchor to one month after it.
            let due = ANCHOR_MS + (dice.below(120) as i64 - 90) * 86_400_000;
            Task {
                number: contact << 16 | at,
                title: (*dice.pick(names::TASK_TITLES)).to_owned(),
                body: None,
                assigned_to: dice
                    .percent(80)
                    .then(|| dice.pick(fixed::USERS).id.to_owned()),
                due,
                completed: due < ANCHOR_MS && dice.percent(70),
            }
        })
        .collect()
}

/// The appointments of a contact, which nothing changes.
pub(super) fn appointments(seed: &Seed, contact: u64) -> Vec<Value> {
    if contact >= seed.contacts {
        return Vec::new();
    }
    let dice = &mut Dice::new(seed.seed, 12, contact);
    let count = if dice.percent(9) {
        1 + dice.below(2)
    } else {
        0
    };
    (0..count)
        .map(|at| {
            let start = ANCHOR_MS
                + (dice.below(150) as i64 - 120) * 86_400_000
                + dice.below(16) as i64 * 1_800_000;
            let user = dice.pick(fixed::USERS).id;
            // In the location's time, without a zone.
            let local = |ms| iso(ms)[..19].replace('T', " ");
            let status = if start < ANCHOR_MS {
                *dice.pick(&["showed", "noshow", "cancelled"])
            } else {
                *dice.pick(&["confirmed", "new"])
            };
            json!({
                "id": ids::encode(Kind::Appointment, contact << 16 | at),
                "calendarId": fixed::CALENDAR_ID,
                "status": "booked",
                "appointmentStatus": status,
                "title": dice.pick(&["Product call", "Sample review", "Re-order call"]),
                "assignedUserId": user,
                "users": [user],
                "notes": "",
                "startTime": local(start),
                "endTime": local(start + 1_800_000),
                "address": "",
                "locationId": LOCATION_ID,
                "contactId": ids::encode(Kind::Contact, contact),
                "groupId": "",
                "dateAdded": local(start - 5 * 86_400_000),
                "dateUpdated": local(start - 5 * 86_400_000),
                "assignedResources": [],
            })
        })
        .collect()
}
