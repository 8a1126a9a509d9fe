//! A contact: how one is invented, and the three shapes in which the provider shows it.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat};
use serde::Serialize;
use serde_json::{Value, json};

use super::collection::{Key, Record, Seed};
use super::filter::Datum;
use super::ids::Kind;
use super::people;
use super::{LOCATION_ID, fixed};

/// Text that is often one of our constants.
pub(super) type Text = Cow<'static, str>;

/// A contact as the sandbox keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Contact {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) first_name: Option<Text>,
    pub(super) last_name: Option<Text>,
    pub(super) company_name: Option<Text>,
    pub(super) email: Option<Text>,
    pub(super) additional_emails: Vec<Text>,
    pub(super) phone: Option<Text>,
    pub(super) additional_phones: Vec<Text>,
    pub(super) address1: Option<Text>,
    pub(super) city: Option<Text>,
    pub(super) state: Option<Text>,
    pub(super) country: Option<Text>,
    pub(super) postal_code: Option<Text>,
    pub(super) website: Option<Text>,
    pub(super) timezone: Option<Text>,
    pub(super) kind: Text,
    pub(super) source: Option<Text>,
    pub(super) assigned_to: Option<Text>,
    pub(super) dnd: bool,
    pub(super) dnd_settings: Option<Value>,
    pub(super) tags: Vec<Text>,
    pub(super) custom_fields: Vec<CustomValue>,
    pub(super) date_of_birth: Option<NaiveDate>,
    pub(super) followers: Vec<Text>,
    pub(super) date_added: i64,
    pub(super) date_updated: i64,
}

/// The value of a custom field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct CustomValue {
    pub(super) id: Text,
    pub(super) value: Value,
}

/// Milliseconds as the provider writes times.
pub(super) fn iso(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Record for Contact {
    const KIND: Kind = Kind::Contact;

    fn numbers(seed: &Seed) -> Box<dyn Iterator<Item = u64> + '_> {
        Box::new(0..seed.contacts)
    }

    fn seeded(seed: &Seed, number: u64) -> Option<Self> {
        (number < seed.contacts).then(|| people::invent(seed, number))
    }

    fn seeded_dates(seed: &Seed, number: u64) -> Option<(i64, i64)> {
        (number < seed.contacts).then(|| people::dates(seed, number))
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn dates(&self) -> (i64, i64) {
        (self.date_added, self.date_updated)
    }

    fn date_fields() -> (&'static str, &'static str) {
        ("dateAdded", "dateUpdated")
    }

    fn sort_fields() -> &'static [&'static str] {
        &[
            "firstNameLowerCase",
            "lastNameLowerCase",
            "businessName",
            "dateAdded",
            "dateUpdated",
            "email",
            "dnd",
            "source",
        ]
    }

    fn key(&self, field: &str) -> Key {
        match field {
            "firstNameLowerCase" => Key::text(self.first_name.as_deref().map(str::to_lowercase)),
            "lastNameLowerCase" => Key::text(self.last_name.as_deref().map(str::to_lowercase)),
            "businessName" => Key::text(self.company_name.as_deref()),
            "email" => Key::text(self.email.as_deref()),
            "source" => Key::text(self.source.as_deref()),
            "dnd" => Key::Number(i64::from(self.dnd)),
            "dateUpdated" => Key::Number(self.date_updated),
            _ => Key::Number(self.date_added),
        }
    }

    fn matches_query(&self, words: &str) -> bool {
        let has = |text: &Option<Text>| {
            text.as_deref()
                .is_some_and(|text| text.to_lowercase().contains(words))
        };
        self.full_name().to_lowercase().contains(words)
            || has(&self.email)
            || has(&self.company_name)
            || has(&self.phone)
    }

    fn datum(&self, field: &str) -> Datum<'_> {
        fn text(text: &Option<Text>) -> Datum<'_> {
            text.as_deref().map_or(Datum::Nothing, Datum::text)
        }
        fn list(items: &[Text]) -> Datum<'_> {
            Datum::List(items.iter().map(|item| Cow::Borrowed(&**item)).collect())
        }
        match field {
            "id" => Datum::text(&self.id),
            "address" => text(&self.address1),
            "assignedTo" => text(&self.assigned_to),
            "businessName" | "companyName" => text(&self.company_name),
            "city" => text(&self.city),
            "country" => text(&self.country),
            "contactName" => Datum::Text(Cow::Owned(self.full_name())),
            "dateAdded" => Datum::Time(self.date_added),
            "dateUpdated" => Datum::Time(self.date_updated),
            "dateOfBirth" => self.birth_ms().map_or(Datum::Nothing, Datum::Time),
            "dnd" => Datum::Bool(self.dnd),
            "email" => text(&self.email),
            "followers" => list(&self.followers),
            "firstNameLowerCase" => text(&self.first_name),
            "lastNameLowerCase" => text(&self.last_name),
            "phone" => text(&self.phone),
            "postalCode" => text(&self.postal_code),
            "source" => text(&self.source),
            "state" => text(&self.state),
            "tags" => list(&self.tags),
            "timezone" => text(&self.timezone),
            "type" => Datum::text(&self.kind),
            "validEmail" => Datum::Nothing,
            "website" => text(&self.website),
            other => match other.strip_prefix("customFields.") {
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
            "address",
            "assignedTo",
            "businessName",
            "city",
            "country",
            "companyName",
            "contactName",
            "dateAdded",
            "dateUpdated",
            "dateOfBirth",
            "dnd",
            "email",
            "followers",
            "firstNameLowerCase",
            "lastNameLowerCase",
            "phone",
            "postalCode",
            "source",
            "state",
            "tags",
            "timezone",
            "type",
            "validEmail",
            "website",
        ];
        // By id only; the key of a custom field is no name of it here.
        FIELDS.contains(&field)
            || field
                .strip_prefix("customFields.")
                .is_some_and(|id| fixed::CUSTOM_FIELDS.iter().any(|known| known.id == id))
    }
}

impl Contact {
    /// First and last name, or the company's.
    pub(super) fn full_name(&self) -> String {
        match (self.first_name.as_deref(), self.last_name.as_deref()) {
            (Some(first), Some(last)) => format!("{first} {last}"),
            (Some(name), None) | (None, Some(name)) => name.to_owned(),
            (None, None) => String::new(),
        }
    }

    /// What a list of people would print.
    pub(super) fn display_name(&self) -> String {
        let name = self.full_name();
        if !name.is_empty() {
            return name;
        }
        [&self.company_name, &self.email, &self.phone]
            .into_iter()
            .flatten()
            .next()
            .map_or_else(String::new, |text| text.to_string())
    }

    fn birth_ms(&self) -> Option<i64> {
        Some(
            self.date_of_birth?
                .and_hms_opt(0, 0, 0)?
                .and_utc()
                .timestamp_millis(),
        )
    }

    /// The shape of `GET /contacts/{id}` and of the answers to writes: absent is absent.
    pub(super) fn one(&self) -> Value {
        let lower = |text: &Option<Text>| text.as_deref().map(str::to_lowercase);
        let name = self.full_name();
        let all = json!({
            "id": self.id,
            "locationId": LOCATION_ID,
            "name": (!name.is_empty()).then_some(&name),
            "fullNameLowerCase": (!name.is_empty()).then(|| name.to_lowercase()),
            "firstName": self.first_name,
            "firstNameLowerCase": lower(&self.first_name),
            "lastName": self.last_name,
            "lastNameLowerCase": lower(&self.last_name),
            "companyName": self.company_name,
            "email": self.email,
            "emailLowerCase": lower(&self.email),
            "additionalEmails": self.additional_emails,
            "phone": self.phone,
            "additionalPhones": self.additional_phones,
            "address1": self.address1,
            "city": self.city,
            "state": self.state,
            "country": self.country,
            "postalCode": self.postal_code,
            "website": self.website,
            "timezone": self.timezone,
            "type": self.kind,
            "source": self.source,
            "assignedTo": self.assigned_to,
            "dnd": self.dnd,
            "dndSettings": self.dnd_settings,
            "tags": self.tags,
            "customFields": self.custom_fields,
            "dateOfBirth": self.date_of_birth.map(|day| format!("{day}T00:00:00.000Z")),
            "birthMonth": self.date_of_birth.map(|day| day.month()),
            "birthDay": self.date_of_birth.map(|day| day.day()),
            "followers": self.followers,
            "dateAdded": iso(self.date_added),
            "dateUpdated": iso(self.date_updated),
        });
        present(all)
    }

    /// The shape of `GET /contacts/`.
    pub(super) fn listed(&self) -> Value {
        let name = self.full_name();
        json!({
            "id": self.id,
            "locationId": LOCATION_ID,
            // In lower case, as the provider's list shows it.
            "contactName": name.to_lowercase(),
            "firstName": self.first_name,
            "lastName": self.last_name,
            "companyName": self.company_name,
            "email": self.email.as_deref().unwrap_or_default(),
            "phone": self.phone,
            "dnd": self.dnd,
            "type": self.kind,
            "source": self.source.as_deref().unwrap_or_default(),
            "assignedTo": self.assigned_to,
            "city": self.city,
            "state": self.state,
            "postalCode": self.postal_code,
            "address1": self.address1,
            "country": self.country.as_deref().unwrap_or_default(),
            "timezone": self.timezone.as_deref().unwrap_or_default(),
            "website": self.website,
            "dateOfBirth": self.date_of_birth.map(|day| format!("{day}T00:00:00.000Z")),
            "dateAdded": iso(self.date_added),
            "dateUpdated": iso(self.date_updated),
            "tags": self.tags,
            "additionalEmails": self.additional_emails,
            "customFields": self.custom_fields,
            "followers": self.followers,
        })
    }

    /// The shape of `POST /contacts/search`, written straight into a page.
    pub(super) fn write_searched(
        &self,
        opportunities: &[Value],
        search_after: &[Value],
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let lower = |text: &Option<Text>| text.as_deref().map(str::to_lowercase);
        serde_json::to_writer(
            out,
            &Searched {
                id: &self.id,
                phone_label: None,
                country: self.country.as_deref(),
                address: self.address1.as_deref(),
                source: self.source.as_deref(),
                kind: &self.kind,
                location_id: LOCATION_ID,
                dnd: self.dnd,
                dnd_settings: self.dnd_settings.as_ref(),
                state: self.state.as_deref(),
                business_name: None,
                custom_fields: &self.custom_fields,
                tags: &self.tags,
                date_added: iso(self.date_added),
                date_updated: iso(self.date_updated),
                additional_emails: &self.additional_emails,
                additional_phones: &self.additional_phones,
                company_name: self.company_name.as_deref(),
                first_name_lower_case: lower(&self.first_name),
                last_name_lower_case: lower(&self.last_name),
                email: self.email.as_deref(),
                assigned_to: self.assigned_to.as_deref(),
                followers: &self.followers,
                valid_email: None,
                opportunities,
                postal_code: self.postal_code.as_deref(),
                business_id: None,
                search_after,
                first_name: self.first_name.as_deref(),
                last_name: self.last_name.as_deref(),
                phone: self.phone.as_deref(),
                date_of_birth: self.birth_ms(),
                website: self.website.as_deref(),
                city: self.city.as_deref(),
                timezone: self.timezone.as_deref(),
            },
        )
    }
}

/// Drops the fields that are null.
pub(super) fn present(mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.retain(|_, value| !value.is_null());
    }
    value
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Searched<'a> {
    id: &'a str,
    phone_label: Option<&'a str>,
    country: Option<&'a str>,
    address: Option<&'a str>,
    source: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    location_id: &'a str,
    dnd: bool,
    dnd_settings: Option<&'a Value>,
    state: Option<&'a str>,
    business_name: Option<&'a str>,
    custom_fields: &'a [CustomValue],
    tags: &'a [Text],
    date_added: String,
    date_updated: String,
    additional_emails: &'a [Text],
    additional_phones: &'a [Text],
    company_name: Option<&'a str>,
    first_name_lower_case: Option<String>,
    last_name_lower_case: Option<String>,
    email: Option<&'a str>,
    assigned_to: Option<&'a str>,
    followers: &'a [Text],
    valid_email: Option<bool>,
    opportunities: &'a [Value],
    postal_code: Option<&'a str>,
    business_id: Option<&'a str>,
    search_after: &'a [Value],
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    phone: Option<&'a str>,
    date_of_birth: Option<i64>,
    website: Option<&'a str>,
    city: Option<&'a str>,
    timezone: Option<&'a str>,
}
