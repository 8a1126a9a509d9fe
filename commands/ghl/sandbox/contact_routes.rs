//! The routes of contacts.

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::LOCATION_ID;
use super::call::{Answer, Call, Field, Is, Need, Refusal, Reply};
use super::collection::{Record, Search, Sort, Start};
use super::contacts::{Contact, CustomValue, Text};
use super::filter::Filter;
use super::fixed::CUSTOM_FIELDS;
use super::ids::{self, Kind};

/// Page mode ends here.
pub(super) const PAGE_MODE_ROWS: usize = 10_000;

/// The contact the path names.
pub(super) fn named(call: &Call<'_>) -> Result<Arc<Contact>, Refusal> {
    find(call, call.path[0])
}

pub(super) fn find(call: &Call<'_>, id: &str) -> Result<Arc<Contact>, Refusal> {
    call.world
        .contacts
        .find(id)
        .ok_or_else(|| Refusal::bad(format!("Contact with id {id} not found")))
}

pub(super) fn get(call: &mut Call<'_>) -> Reply {
    Answer::ok(json!({"contact": named(call)?.one(), "traceId": call.trace}))
}

/// `sort` of a search body: at most two fields; newest first without it.
pub(super) fn sort_of<R: Record>(value: Option<&Value>) -> Result<Sort, Refusal> {
    let wrong = |text: String| Refusal::invalid([text]);
    let items = match value {
        None | Some(Value::Null) => return Ok(Sort::by(R::date_fields().0, true)),
        Some(Value::Array(items)) if items.is_empty() => {
            return Ok(Sort::by(R::date_fields().0, true));
        }
        Some(Value::Array(items)) => items,
        Some(_) => return Err(wrong("sort must be an array".to_owned())),
    };
    if items.len() > 2 {
        return Err(wrong(
            "sort must contain no more than 2 elements".to_owned(),
        ));
    }
    let mut sort = Vec::new();
    for item in items {
        let field = item
            .get("field")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let field = R::sort_fields()
            .iter()
            .find(|known| **known == field)
            .ok_or_else(|| wrong(format!("Invalid sort field: {field}")))?;
        let descending = match item.get("direction").and_then(Value::as_str) {
            Some("asc") => false,
            Some("desc") => true,
            _ => {
                return Err(wrong(
                    "sort.direction must be one of the following values: asc, desc".to_owned(),
                ));
            }
        };
        sort.push((*field, descending));
    }
    Ok(Sort(sort))
}

/// The parts that both POST searches share.
pub(super) fn search_of<R: Record>(call: &Call<'_>, limit: usize) -> Result<Search, Refusal> {
    let filter = match call.body.get("filters") {
        None | Some(Value::Null) => Filter::default(),
        Some(filters) => {
            Filter::parse(filters, R::knows_field).map_err(|text| Refusal::invalid([text]))?
        }
    };
    let query = call.text("query").map(|query| query.trim().to_lowercase());
    if query
        .as_ref()
        .is_some_and(|query| query.chars().count() > 75)
    {
        return Err(Refusal::invalid([
            "query must be shorter than or equal to 75 characters".to_owned(),
        ]));
    }
    let page = call.body.get("page").filter(|page| !page.is_null());
    let cursor = call
        .body
        .get("searchAfter")
        .filter(|cursor| !cursor.is_null());
    let start = match (page, cursor) {
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid([
                "page and searchAfter cannot be used together".to_owned(),
            ]));
        }
        _ if call.repeats => Start::Skip(0),
        (None, None) => Start::Skip(0),
        (None, Some(Value::Array(values))) => Start::After(values.clone()),
        (None, Some(_)) => {
            return Err(Refusal::invalid(
                ["searchAfter must be an array".to_owned()],
            ));
        }
        (Some(page), None) => {
            let page = page
                .as_u64()
                .filter(|page| *page >= 1)
                .ok_or_else(|| Refusal::invalid(["page must not be less than 1".to_owned()]))?;
            let end = (page as usize).saturating_mul(limit);
            if end > PAGE_MODE_ROWS {
                return Err(Refusal::bad(format!(
                    "Result window is too large: page * limit must not exceed {PAGE_MODE_ROWS}. \
                     Use searchAfter to go on."
                )));
            }
            Start::Skip(end - limit)
        }
    };
    Ok(Search {
        filter,
        query: query.filter(|query| !query.is_empty()),
        sort: sort_of::<R>(call.body.get("sort"))?,
        start,
        limit,
    })
}

/// What a cursor that is none is answered with.
pub(super) fn bad_cursor() -> Refusal {
    Refusal::bad("searchAfter must hold the sort values and the id of the last row")
}

pub(super) fn search(call: &mut Call<'_>) -> Reply {
    use Need::{Optional, Required};
    call.check(&[
        Field("locationId", Is::Text, Required),
        Field("pageLimit", Is::Number, Required),
        Field("page", Is::Number, Optional),
        Field("searchAfter", Is::List, Optional),
        Field("filters", Is::List, Optional),
        Field("sort", Is::List, Optional),
        Field("query", Is::Text, Optional),
    ])?;
    if call.text("locationId") != Some(LOCATION_ID) {
        return Err(Refusal::location());
    }
    let limit = match call.body.get("pageLimit").and_then(Value::as_u64) {
        Some(limit @ 1..=500) => limit as usize,
        _ => {
            return Err(Refusal::invalid([
                "pageLimit must not be greater than 500".to_owned()
            ]));
        }
    };
    let search = search_of::<Contact>(call, limit)?;
    let world = &mut *call.world;
    let total = world.contacts.total(&search);
    let rows = world.contacts.page(&search).map_err(|_| bad_cursor())?;
    let mut body = Vec::with_capacity(64 + rows.len() * 1_300);
    body.extend_from_slice(b"{\"contacts\":[");
    for (at, (contact, cursor)) in rows.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        let deals: Vec<_> = world
            .opportunities_of(contact.number)
            .iter()
            .map(|deal| deal.brief())
            .collect();
        contact
            .write_searched(&deals, cursor, &mut body)
            .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    }
    body.extend_from_slice(
        format!("],\"total\":{total},\"traceId\":\"{}\"}}", call.trace).as_bytes(),
    );
    Ok(Answer {
        status: StatusCode::OK,
        body,
    })
}

/// The old list: `startAfter` and `startAfterId` go on, anything else is ignored.
pub(super) fn list(call: &mut Call<'_>) -> Reply {
    let limit = call.limit(20, 100)?;
    let query = call.query("query").map(str::to_lowercase);
    let after = match (call.query("startAfter"), call.query("startAfterId")) {
        (Some(ms), id) => ms.parse::<i64>().ok().map(|ms| (ms, id.map(str::to_owned))),
        (None, Some(id)) => call
            .world
            .contacts
            .find(id)
            .map(|contact| (contact.date_added, Some(id.to_owned()))),
        (None, None) => None,
    };
    let start = match after {
        // Without an id everything of that millisecond has been seen.
        Some((ms, id)) if !call.repeats => {
            Start::After(vec![json!(ms), json!(id.unwrap_or_else(|| "~".repeat(20)))])
        }
        _ => Start::Skip(0),
    };
    let search = Search {
        filter: Filter::default(),
        query,
        sort: Sort::by("dateAdded", true),
        start,
        limit: limit + 1,
    };
    let world = &mut *call.world;
    let total = world.contacts.total(&search);
    let mut rows = world
        .contacts
        .page(&search)
        .map_err(|_| Refusal::bad("startAfterId is not valid"))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let contacts: Vec<_> = rows.iter().map(|(contact, _)| contact.listed()).collect();
    let last = rows.last().map(|(contact, _)| contact);
    let next = last.filter(|_| more).map(|last| {
        let query = search
            .query
            .as_deref()
            .map(|query| {
                let escaped: String = query
                    .bytes()
                    .map(|byte| match byte {
                        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
                        b => format!("%{b:02X}"),
                    })
                    .collect();
                format!("&query={escaped}")
            })
            .unwrap_or_default();
        format!(
            "{}/contacts/?locationId={LOCATION_ID}&limit={limit}{query}&startAfter={}&startAfterId={}",
            call.origin, last.date_added, last.id
        )
    });
    let first_page = search.start == Start::Skip(0);
    let page = if first_page { 1 } else { 2 };
    Answer::ok(json!({
        "contacts": contacts,
        "count": total,
        "meta": {
            "total": total,
            "nextPageUrl": next,
            "startAfterId": last.map(|last| &last.id),
            "startAfter": last.map(|last| last.date_added),
            // The provider does not count pages of a cursor: every later one is the second.
            "currentPage": page,
            "nextPage": more.then_some(page + 1),
            "prevPage": (!first_page).then_some(page - 1),
        },
        "traceId": call.trace,
    }))
}

pub(super) fn duplicate(call: &mut Call<'_>) -> Reply {
    let email = call.query("email").map(str::to_owned);
    let number = call.query("number").map(str::to_owned);
    let found = match (email, number) {
        (None, None) => {
            return Err(Refusal::bad("Either number or email must be provided"));
        }
        (Some(email), number) => call
            .world
            .by_email(&email)
            .or_else(|| call.world.by_phone(&phone(&number?))),
        (None, Some(number)) => call.world.by_phone(&phone(&number)),
    };
    Answer::ok(json!({"contact": found.map(|contact| contact.one()), "traceId": call.trace}))
}

/// A telephone number as the provider keeps it.
fn phone(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    match (text.trim().starts_with('+'), digits.len()) {
        (false, 10) => format!("+1{digits}"),
        _ => format!("+{digits}"),
    }
}

const FIELDS: &[Field] = &[
    Field("firstName", Is::Text, Need::Optional),
    Field("lastName", Is::Text, Need::Optional),
    Field("name", Is::Text, Need::Optional),
    Field("email", Is::Text, Need::Optional),
    Field("phone", Is::Text, Need::Optional),
    Field("address1", Is::Text, Need::Optional),
    Field("city", Is::Text, Need::Optional),
    Field("state", Is::Text, Need::Optional),
    Field("postalCode", Is::Text, Need::Optional),
    Field("website", Is::Text, Need::Optional),
    Field("timezone", Is::Text, Need::Optional),
    Field("dnd", Is::Flag, Need::Optional),
    Field("dndSettings", Is::Map, Need::Optional),
    Field("inboundDndSettings", Is::Map, Need::Optional),
    Field("tags", Is::List, Need::Optional),
    Field("customFields", Is::List, Need::Optional),
    Field("source", Is::Text, Need::Optional),
    Field("dateOfBirth", Is::Any, Need::Optional),
    Field("country", Is::Text, Need::Optional),
    Field("assignedTo", Is::Text, Need::Optional),
];

/// An update takes neither a location nor a company.
fn check_update(call: &Call<'_>) -> Result<(), Refusal> {
    call.check(FIELDS)
}

fn check_create(call: &Call<'_>, upsert: bool) -> Result<(), Refusal> {
    const MORE: [Field; 3] = [
        Field("locationId", Is::Text, Need::Required),
        Field("gender", Is::Text, Need::Optional),
        Field("companyName", Is::Text, Need::Optional),
    ];
    const FLAG: Field = Field("createNewIfDuplicateAllowed", Is::Flag, Need::Optional);
    let mut shape: Vec<Field> = MORE.into();
    shape.extend(FIELDS.iter().map(|field| Field(field.0, field.1, field.2)));
    if upsert {
        shape.push(FLAG);
    }
    call.check(&shape)
}

/// Writes the fields of a body into a contact.
fn apply(contact: &mut Contact, body: &Map<String, Value>) -> Result<(), Refusal> {
    let mut wrong = Vec::new();
    for (name, value) in body {
        let text = || -> Option<Text> {
            value
                .as_str()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(|text| Text::Owned(text.to_owned()))
        };
        match name.as_str() {
            "firstName" => contact.first_name = text(),
            "lastName" => contact.last_name = text(),
            "name" if !body.contains_key("firstName") => {
                let name = text().unwrap_or_default().into_owned();
                let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
                contact.first_name = Some(Text::Owned(first.to_owned()));
                contact.last_name = Some(Text::Owned(last.trim().to_owned()));
                contact.last_name.take_if(|last| last.is_empty());
                contact.first_name.take_if(|first| first.is_empty());
            }
            "email" => {
                contact.email = text().map(|email| email.to_lowercase().into());
                if contact
                    .email
                    .as_ref()
                    .is_some_and(|email| !email.contains('@'))
                {
                    wrong.push("email must be an email".to_owned());
                }
            }
            "phone" => contact.phone = text().map(|text| phone(&text).into()),
            "companyName" => contact.company_name = text(),
            "address1" => contact.address1 = text(),
            "city" => contact.city = text(),
            "state" => contact.state = text(),
            "postalCode" => contact.postal_code = text(),
            "website" => contact.website = text(),
            "timezone" => contact.timezone = text(),
            "country" => contact.country = text(),
            "source" => contact.source = text(),
            "assignedTo" => contact.assigned_to = text(),
            "dnd" => contact.dnd = value.as_bool().unwrap_or(contact.dnd),
            "dndSettings" => contact.dnd_settings = Some(value.clone()).filter(Value::is_object),
            // The whole list is replaced.
            "tags" => contact.tags = tags_of(value),
            "customFields" => custom_fields(contact, value),
            "dateOfBirth" => {
                let day = value.as_str().and_then(|text| text.get(..10));
                contact.date_of_birth =
                    day.and_then(|day| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok());
                if !value.is_null() && contact.date_of_birth.is_none() {
                    wrong.push("dateOfBirth must be a valid date".to_owned());
                }
            }
            _ => {}
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid(wrong))
    }
}

/// Tags come back in lower case, each once.
pub(super) fn tags_of(value: &Value) -> Vec<Text> {
    let mut tags: Vec<Text> = Vec::new();
    for tag in value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let tag = Text::Owned(tag.trim().to_lowercase());
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// Custom fields by id or key; the others keep their values.
fn custom_fields(contact: &mut Contact, value: &Value) {
    for item in value.as_array().into_iter().flatten() {
        let known = CUSTOM_FIELDS.iter().find(|field| {
            item["id"] == field.id
                || item["key"] == field.key
                || field
                    .key
                    .strip_prefix("contact.")
                    .is_some_and(|key| item["key"] == key)
        });
        let Some(field) = known else { continue };
        let written = ["field_value", "fieldValue", "value"]
            .into_iter()
            .find_map(|name| item.get(name))
            .cloned()
            .unwrap_or_default();
        contact.custom_fields.retain(|old| old.id != field.id);
        if !written.is_null() && written != "" {
            contact.custom_fields.push(CustomValue {
                id: field.id.into(),
                value: written,
            });
        }
    }
}

/// The other contact that has this one's e-mail or else phone, and which of them.
fn double_of(call: &mut Call<'_>, contact: &Contact) -> Option<(Arc<Contact>, &'static str)> {
    let email = contact.email.as_deref();
    if let Some(found) = email.and_then(|email| call.world.by_email(email)) {
        return Some((found, "email"));
    }
    let found = call.world.by_phone(contact.phone.as_deref()?)?;
    Some((found, "phone"))
}

fn refuse_double(call: &mut Call<'_>, contact: &Contact) -> Result<(), Refusal> {
    match double_of(call, contact) {
        Some((other, field)) if other.number != contact.number => Err(Refusal::bad(
            "This location does not allow duplicated contacts.",
        )
        .with(
            "meta",
            json!({"contactId": other.id, "contactName": other.full_name(), "matchingField": field}),
        )),
        _ => Ok(()),
    }
}

fn blank(call: &mut Call<'_>) -> Contact {
    let number = call.world.new_contact();
    Contact {
        number,
        id: ids::encode(Kind::Contact, number),
        kind: "lead".into(),
        country: Some("US".into()),
        date_added: call.now,
        date_updated: call.now,
        ..Default::default()
    }
}

pub(super) fn create(call: &mut Call<'_>) -> Reply {
    check_create(call, false)?;
    let mut contact = blank(call);
    apply(&mut contact, &call.body)?;
    refuse_double(call, &contact)?;
    let contact = call.world.put_contact(contact);
    Answer::created(json!({"contact": contact.one(), "traceId": call.trace}))
}

pub(super) fn upsert(call: &mut Call<'_>) -> Reply {
    check_create(call, true)?;
    let mut wanted = Contact::default();
    apply(&mut wanted, &call.body)?;
    let known = double_of(call, &wanted);
    let new = known.is_none();
    let mut contact = match known {
        Some((known, _)) => Contact::clone(&known),
        None => blank(call),
    };
    apply(&mut contact, &call.body)?;
    refuse_double(call, &contact)?;
    contact.date_updated = call.now;
    let contact = call.world.put_contact(contact);
    Answer::ok(json!({"new": new, "contact": contact.one(), "traceId": call.trace}))
}

pub(super) fn update(call: &mut Call<'_>) -> Reply {
    let known = named(call)?;
    check_update(call)?;
    let mut contact = Contact::clone(&known);
    apply(&mut contact, &call.body)?;
    if contact.email != known.email || contact.phone != known.phone {
        refuse_double(call, &contact)?;
    }
    contact.date_updated = call.now;
    let contact = call.world.put_contact(contact);
    Answer::ok(json!({"succeded": true, "contact": contact.one(), "traceId": call.trace}))
}

pub(super) fn delete(call: &mut Call<'_>) -> Reply {
    let contact = named(call)?;
    call.world.remove_contact(contact.number);
    Answer::ok(json!({"succeded": true, "traceId": call.trace}))
}
