//! A deal: how one is invented and shown.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::collection::{Key, Record, Seed};
use super::contacts::{Contact, CustomValue, Text, iso, present};
use super::filter::Datum;
use super::fixed::{CUSTOM_FIELDS, LOST_REASONS, PIPELINES, Pipeline, USERS};
use super::ids::{self, Dice, Kind};
use super::{ANCHOR_MS, LOCATION_ID, names};

/// A deal as the sandbox keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Opportunity {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) value: Option<f64>,
    pub(super) pipeline_id: Text,
    pub(super) stage_id: Text,
    pub(super) status: Text,
    pub(super) assigned_to: Option<Text>,
    /// The number of its contact.
    pub(super) contact: u64,
    pub(super) source: Option<Text>,
    pub(super) lost_reason: Option<Text>,
    pub(super) custom_fields: Vec<CustomValue>,
    pub(super) date_added: i64,
    pub(super) date_updated: i64,
    pub(super) stage_changed: i64,
    pub(super) status_changed: i64,
}

/// Seeded deals of a contact have the numbers from this times its number on.
pub(super) const PER_CONTACT: u64 = 4;

/// How many deals a contact was seeded with: 29 for a hundred contacts.
pub(super) fn count_of(seed: &Seed, contact: u64) -> u64 {
    if contact >= seed.contacts {
        return 0;
    }
    match Dice::new(seed.seed, 3, contact).below(1000) {
        0..15 => 2,
        15..275 => 1,
        _ => 0,
    }
}

fn dates(seed: &Seed, number: u64) -> (i64, i64) {
    let mut dice = Dice::new(seed.seed, 4, number);
    let (contact_added, _) =
        Contact::seeded_dates(seed, number / PER_CONTACT).unwrap_or((ANCHOR_MS, ANCHOR_MS));
    let added = contact_added + dice.below((ANCHOR_MS - contact_added).max(1) as u64) as i64;
    let mut updated = added + dice.below((ANCHOR_MS - added).max(1) as u64) as i64;
    if status_of(&mut sorted(seed, number).2) == "open" {
        // Two throws, the smaller wins: most deals that are open have been worked on lately.
        let most = (ANCHOR_MS - added).min(LATELY) as u64;
        let ago = dice.below(most.max(1)).min(dice.below(most.max(1)));
        updated = ANCHOR_MS - 1 - ago as i64;
    }
    (added, updated.max(added))
}

/// How long ago an open deal was last touched at most.
const LATELY: i64 = 60 * 86_400_000;

/// The pipeline and the stage of a deal, and the dice that go on from there.
fn sorted(seed: &Seed, number: u64) -> (&'static Pipeline, &'static str, Dice) {
    let mut dice = Dice::new(seed.seed, 5, number);
    let pipeline = &PIPELINES[usize::from(dice.percent(35))];
    let stage = dice.pick(pipeline.stages).0;
    (pipeline, stage, dice)
}

fn status_of(dice: &mut Dice) -> &'static str {
    match dice.below(100) {
        0..=57 => "open",
        58..=79 => "won",
        80..=94 => "lost",
        _ => "abandoned",
    }
}

impl Record for Opportunity {
    const KIND: Kind = Kind::Opportunity;

    fn numbers(seed: &Seed) -> Box<dyn Iterator<Item = u64> + '_> {
        Box::new((0..seed.contacts).flat_map(|contact| {
            (0..count_of(seed, contact)).map(move |at| contact * PER_CONTACT + at)
        }))
    }

    fn seeded(seed: &Seed, number: u64) -> Option<Self> {
        let contact = number / PER_CONTACT;
        if number % PER_CONTACT >= count_of(seed, contact) {
            return None;
        }
        let (date_added, date_updated) = dates(seed, number);
        let (pipeline, stage, ref mut dice) = sorted(seed, number);
        let status = status_of(dice);
        // Where an open deal was touched last, it moved not long before.
        let since = match status {
            "open" => date_added.max(date_updated - LATELY / 2),
            _ => date_added,
        };
        let between =
            |dice: &mut Dice| since + dice.below((date_updated - since).max(1) as u64) as i64;
        let what = dice.pick(&[
            "jars",
            "pop-top order",
            "branded lids",
            "re-order",
            "sample kit",
        ]);
        let who = Contact::seeded(seed, contact).map(|contact| contact.display_name());
        let custom_fields = if dice.percent(30) {
            vec![CustomValue {
                id: CUSTOM_FIELDS[5].id.into(),
                value: json!(format!("{}", (1 + dice.below(40)) * 250)),
            }]
        } else {
            Vec::new()
        };
        Some(Opportunity {
            number,
            id: ids::encode(Kind::Opportunity, number),
            name: format!("{}: {what}", who.unwrap_or_default()),
            value: dice
                .percent(90)
                .then(|| (100 + dice.below(2_000_000)) as f64 / 100.0),
            pipeline_id: pipeline.id.into(),
            stage_id: stage.into(),
            status: status.into(),
            assigned_to: dice.percent(75).then(|| dice.pick(USERS).id.into()),
            contact,
            source: dice
                .percent(60)
                .then(|| (*dice.pick(names::SOURCES)).into()),
            lost_reason: (status == "lost" && dice.percent(70))
                .then(|| dice.pick(LOST_REASONS).0.into()),
            custom_fields,
            date_added,
            date_updated,
            stage_changed: between(dice),
            status_changed: between(dice),
        })
    }

    fn seeded_dates(seed: &Seed, number: u64) -> Option<(i64, i64)> {
        (number % PER_CONTACT < count_of(seed, number / PER_CONTACT)).then(|| dates(seed, number))
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn dates(&self) -> (i64, i64) {
        (self.date_added, self.date_updated)
    }

    fn date_fields() -> (&'static str, &'static str) {
        ("date_added", "date_updated")
    }

    fn sort_fields() -> &'static [&'static str] {
        &[
            "date_added",
            "date_updated",
            "monetary_value",
            "name",
            "status",
            "last_stage_change_date",
            "last_status_change_date",
        ]
    }

    fn key(&self, field: &str) -> Key {
        match field {
            "date_updated" => Key::Number(self.date_updated),
            // In cents, since keys are whole numbers.
            "monetary_value" => self.value.map_or(Key::Missing, |value| {
                Key::Number((value * 100.0).round() as i64)
            }),
            "name" => Key::text(Some(self.name.to_lowercase())),
            "status" => Key::text(Some(&self.status)),
            "last_stage_change_date" => Key::Number(self.stage_changed),
            "last_status_change_date" => Key::Number(self.status_changed),
            _ => Key::Number(self.date_added),
        }
    }

    fn matches_query(&self, words: &str) -> bool {
        self.name.to_lowercase().contains(words)
    }

    fn datum(&self, field: &str) -> Datum<'_> {
        match field {
            "status" => Datum::text(&self.status),
            "pipeline_id" => Datum::text(&self.pipeline_id),
            "pipeline_stage_id" => Datum::text(&self.stage_id),
            "assigned_to" => self
                .assigned_to
                .as_deref()
                .map_or(Datum::Nothing, Datum::text),
            "monetary_value" => self.value.map_or(Datum::Nothing, Datum::Number),
            "date_added" => Datum::Time(self.date_added),
            "date_updated" => Datum::Time(self.date_updated),
            "last_stage_change_date" => Datum::Time(self.stage_changed),
            "last_status_change_date" => Datum::Time(self.status_changed),
            "contact_id" => Datum::Text(Cow::Owned(ids::encode(Kind::Contact, self.contact))),
            "id" => Datum::text(&self.id),
            other => match other.strip_prefix("custom_fields.") {
                Some(id) => self
                    .custom_fields
                    .iter()
                    .find(|field| field.id == id)
                    .map_or(Datum::Nothing, |field| Datum::of(&field.value)),
                None => Datum::Nothing,
            },
        }
    }

    fn knows_field(field: &str) -> bool {
        const FIELDS: &[&str] = &[
            "id",
            "status",
            "pipeline_id",
            "pipeline_stage_id",
            "assigned_to",
            "monetary_value",
            "date_added",
            "date_updated",
            "last_stage_change_date",
            "last_status_change_date",
            "contact_id",
        ];
        FIELDS.contains(&field)
            || field
                .strip_prefix("custom_fields.")
                .is_some_and(|id| CUSTOM_FIELDS.iter().any(|known| known.id == id))
    }
}

impl Opportunity {
    /// The provider's shape; `contact` is `None` when it was deleted.
    pub(super) fn json(&self, contact: Option<&Contact>) -> Value {
        let custom_fields: Vec<_> = self
            .custom_fields
            .iter()
            .map(|field| json!({"id": field.id, "fieldValue": field.value}))
            .collect();
        let contact = contact.map(|contact| {
            present(json!({
                "id": contact.id,
                "name": contact.display_name(),
                "companyName": contact.company_name,
                "email": contact.email,
                "phone": contact.phone,
                "tags": contact.tags,
            }))
        });
        present(json!({
            "id": self.id,
            "name": self.name,
            "monetaryValue": self.value.unwrap_or_default(),
            "pipelineId": self.pipeline_id,
            "pipelineStageId": self.stage_id,
            "assignedTo": self.assigned_to,
            "status": self.status,
            "source": self.source,
            "lastStatusChangeAt": iso(self.status_changed),
            "lastStageChangeAt": iso(self.stage_changed),
            "createdAt": iso(self.date_added),
            "updatedAt": iso(self.date_updated),
            "contactId": ids::encode(Kind::Contact, self.contact),
            "locationId": LOCATION_ID,
            "contact": contact,
            "lostReasonId": self.lost_reason,
            "customFields": custom_fields,
            "followers": [],
        }))
    }

    /// The short shape inside a searched contact.
    pub(super) fn brief(&self) -> Value {
        json!({
            "id": self.id,
            "pipelineId": self.pipeline_id,
            "pipelineStageId": self.stage_id,
            "monetaryValue": self.value.unwrap_or_default(),
            "status": self.status,
        })
    }
}
