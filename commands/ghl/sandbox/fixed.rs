//! What a sandbox has exactly one of, whatever its seed: the location, its users, its fields.

use serde_json::{Value, json};

use super::contacts::{CustomValue, iso};
use super::ids::Dice;
use super::names::PLACES;
use super::{ANCHOR_MS, COMPANY_ID, LOCATION_ID};

/// Somebody who works for the business.
pub(super) struct User {
    pub(super) id: &'static str,
    pub(super) first: &'static str,
    pub(super) last: &'static str,
    pub(super) role: &'static str,
}

/// Contacts, tasks and deals are assigned to these.
pub(super) const USERS: &[User] = &[
    User {
        id: "sandboxUser00Alvarez",
        first: "Dolores",
        last: "Álvarez",
        role: "admin",
    },
    User {
        id: "sandboxUser000Becker",
        first: "Jonas",
        last: "Becker",
        role: "user",
    },
    User {
        id: "sandboxUser0000Nkosi",
        first: "Thandi",
        last: "Nkosi",
        role: "user",
    },
    User {
        id: "sandboxUser000OShea0",
        first: "Maeve",
        last: "O'Shea",
        role: "user",
    },
    User {
        id: "sandboxUser00Whitman",
        first: "Cole",
        last: "Whitman",
        role: "user",
    },
];

impl User {
    /// The provider's shape.
    pub(super) fn json(&self) -> Value {
        let email: String = self
            .first
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        json!({
            "id": self.id,
            "name": format!("{} {}", self.first, self.last),
            "firstName": self.first,
            "lastName": self.last,
            "email": format!("{email}@medtainer-sandbox.example"),
            "phone": "+14805550100",
            "extension": "",
            "deleted": false,
            "permissions": {"contactsEnabled": true, "opportunitiesEnabled": true,
                "conversationsEnabled": true, "assignedDataOnly": false},
            "roles": {"type": "account", "role": self.role, "locationIds": [LOCATION_ID],
                "restrictSubAccount": false},
        })
    }
}

/// A field the business added to contacts or deals.
pub(super) struct CustomField {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) kind: &'static str,
    pub(super) options: &'static [&'static str],
    pub(super) model: &'static str,
}

/// Text, a choice, several choices, money, a date, and two on deals.
pub(super) const CUSTOM_FIELDS: &[CustomField] = &[
    CustomField {
        id: "sandboxFieldReferral",
        name: "Referred by",
        key: "contact.referred_by",
        kind: "TEXT",
        options: &[],
        model: "contact",
    },
    CustomField {
        id: "sandboxField0Channel",
        name: "Preferred channel",
        key: "contact.preferred_channel",
        kind: "SINGLE_OPTIONS",
        options: &["E-mail", "Phone", "Text"],
        model: "contact",
    },
    CustomField {
        id: "sandboxFieldInterest",
        name: "Interests",
        key: "contact.interests",
        kind: "MULTIPLE_OPTIONS",
        options: &["Jars", "Labels", "Grinders", "Bulk"],
        model: "contact",
    },
    CustomField {
        id: "sandboxField000Spent",
        name: "Lifetime spend",
        key: "contact.lifetime_spend",
        kind: "MONETORY",
        options: &[],
        model: "contact",
    },
    CustomField {
        id: "sandboxField0Reorder",
        name: "Next re-order",
        key: "contact.next_reorder",
        kind: "DATE",
        options: &[],
        model: "contact",
    },
    CustomField {
        id: "sandboxField000Units",
        name: "Expected units",
        key: "opportunity.expected_units",
        kind: "NUMERICAL",
        options: &[],
        model: "opportunity",
    },
    CustomField {
        id: "sandboxField00Colour",
        name: "Colour",
        key: "opportunity.colour",
        kind: "TEXT",
        options: &[],
        model: "opportunity",
    },
];

impl CustomField {
    /// The provider's shape.
    pub(super) fn json(&self, position: usize) -> Value {
        let mut out = json!({
            "id": self.id,
            "name": self.name,
            "fieldKey": self.key,
            "dataType": self.kind,
            "position": position * 50,
            "model": self.model,
            "locationId": LOCATION_ID,
            "placeholder": "",
        });
        if !self.options.is_empty() {
            out["picklistOptions"] = json!(self.options);
        }
        out
    }
}

/// Values of the custom fields for one contact; most contacts have none or one.
pub(super) fn invent_custom_values(dice: &mut Dice) -> Vec<CustomValue> {
    let mut values = Vec::new();
    for field in CUSTOM_FIELDS
        .iter()
        .filter(|field| field.model == "contact")
    {
        if !dice.percent(18) {
            continue;
        }
        let value = match field.kind {
            "SINGLE_OPTIONS" => json!(dice.pick(field.options)),
            "MULTIPLE_OPTIONS" => json!([
                dice.pick(&field.options[..2]),
                dice.pick(&field.options[2..])
            ]),
            "MONETORY" => json!(dice.below(900_000) as f64 / 100.0),
            "DATE" => json!(iso(ANCHOR_MS + dice.below(200) as i64 * 86_400_000)[..10]),
            _ => json!(format!("A friend in {}", dice.pick(PLACES).0)),
        };
        values.push(CustomValue {
            id: field.id.into(),
            value,
        });
    }
    values
}

/// A pipeline: id, name and stages (id, name).
pub(super) struct Pipeline {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) stages: &'static [(&'static str, &'static str)],
}

/// Two ways a deal can go.
pub(super) const PIPELINES: &[Pipeline] = &[
    Pipeline {
        id: "sandboxPipelineWhole",
        name: "Wholesale",
        stages: &[
            ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0001", "New lead"),
            ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0002", "Qualified"),
            ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0003", "Samples sent"),
            ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0004", "Quote sent"),
            ("b7a1c2d0-0001-4a51-9f10-5a4d1b0c0005", "Negotiation"),
        ],
    },
    Pipeline {
        id: "sandboxPipelineBrand",
        name: "Custom branding",
        stages: &[
            ("b7a1c2d0-0002-4a51-9f10-5a4d1b0c0001", "Inquiry"),
            ("b7a1c2d0-0002-4a51-9f10-5a4d1b0c0002", "Artwork"),
            ("b7a1c2d0-0002-4a51-9f10-5a4d1b0c0003", "Proof approved"),
            ("b7a1c2d0-0002-4a51-9f10-5a4d1b0c0004", "In production"),
        ],
    },
];

impl Pipeline {
    /// The provider's shape.
    pub(super) fn json(&self) -> Value {
        let stages: Vec<_> = self
            .stages
            .iter()
            .enumerate()
            .map(|(position, (id, name))| {
                json!({"id": id, "name": name, "position": position,
                    "showInFunnel": true, "showInPieChart": true})
            })
            .collect();
        json!({"id": self.id, "name": self.name, "stages": stages, "showInFunnel": true,
            "showInPieChart": true, "locationId": LOCATION_ID})
    }
}

/// Why deals are lost.
pub(super) const LOST_REASONS: &[(&str, &str)] = &[
    ("sandboxLost000Price0", "Too expensive"),
    ("sandboxLost00Timing0", "Not this year"),
    ("sandboxLost000Rival0", "Chose a competitor"),
];

/// Workflows: id, name, status.
pub(super) const WORKFLOWS: &[(&str, &str, &str)] = &[
    (
        "78559bb3-b920-461e-b010-7b2a2816d201",
        "Welcome series",
        "published",
    ),
    (
        "78559bb3-b920-461e-b010-7b2a2816d202",
        "Re-order reminder",
        "published",
    ),
    (
        "78559bb3-b920-461e-b010-7b2a2816d203",
        "Trade show follow-up",
        "draft",
    ),
];

/// The calendar of all appointments.
pub(super) const CALENDAR_ID: &str = "sandboxCalendarCalls";

/// The time zone of the location, which knows no summer time.
pub(super) const UTC_OFFSET_HOURS: i32 = -7;

/// The location.
pub(super) fn location() -> Value {
    json!({
        "id": LOCATION_ID,
        "companyId": COMPANY_ID,
        "name": "Medtainer Sandbox",
        "address": "1620 E Camelback Rd",
        "city": "Phoenix",
        "state": "AZ",
        "country": "US",
        "postalCode": "85016",
        "website": "https://medtainer-sandbox.example",
        "timezone": "America/Phoenix",
        "firstName": "Dolores",
        "lastName": "Álvarez",
        "email": "office@medtainer-sandbox.example",
        "phone": "+14805550100",
        "business": {"name": "Medtainer Sandbox", "address": "1620 E Camelback Rd", "city": "Phoenix",
            "state": "AZ", "country": "US", "postalCode": "85016",
            "website": "https://medtainer-sandbox.example", "timezone": "America/Phoenix"},
        "social": {},
        "settings": {"allowDuplicateContact": false, "allowDuplicateOpportunity": true,
            "allowFacebookNameMerge": false, "disableContactTimezone": false},
    })
}
