//! The requests medtainer sends to GoHighLevel.

pub mod acts;
pub mod crm;

use chrono::{DateTime, SecondsFormat, Utc};
use medtainer_core::context::Context;
use medtainer_core::http::{Method, Reply, Request};
use medtainer_core::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::GHL;

/// Contacts in a page: what the documentation allows.
pub const PAGE: usize = 500;

/// The location all requests are about.
pub async fn location(cx: &Context) -> Result<String> {
    let credential = cx.credential(&GHL).await?;
    credential
        .text("location")
        .map(str::to_owned)
        .ok_or_else(|| {
            Error::auth("no GoHighLevel location is known")
                .hint("Set `MEDTAINER_GHL_LOCATION`, or run `medtainer auth login ghl`.")
        })
}

/// The name of the location: proves token and location at once.
pub async fn location_name(cx: &Context) -> Result<String> {
    // One contact, since that is what medtainer needs the token for; the location's name needs a scope of its own.
    let location = location(cx).await?;
    let reply = cx.send(&GHL, search(&location, 1, None, None)?).await?;
    let found = page(&reply)?;
    Ok(match found.total {
        Some(total) => format!("location {location} with {total} contacts"),
        None => format!("location {location}"),
    })
}

/// One page of contacts, oldest first: all of them by date added, or those changed since a moment.
///
/// Never `page`, which ends at 10,000 rows; the cursor is the `searchAfter` of the last contact.
pub fn search(
    location: &str,
    limit: usize,
    since: Option<DateTime<Utc>>,
    after: Option<&str>,
) -> Result<Request> {
    let field = if since.is_some() {
        "dateUpdated"
    } else {
        "dateAdded"
    };
    let mut body = json!({
        "locationId": location,
        "pageLimit": limit,
        "sort": [{ "field": field, "direction": "asc" }],
    });
    if let Some(since) = since {
        let since = since.to_rfc3339_opts(SecondsFormat::Millis, true);
        body["filters"] =
            json!([{ "field": "dateUpdated", "operator": "range", "value": { "gte": since } }]);
    }
    if let Some(after) = after {
        body["searchAfter"] = serde_json::from_str::<Value>(after)
            .map_err(|e| Error::internal("a stored cursor is not JSON").because(e))?;
    }
    Ok(Request::new(Method::Post, "/contacts/search", &[])?
        .json(&body)?
        .reading())
}

/// What a page of contacts holds; each contact stays text.
#[derive(Deserialize)]
pub struct Found {
    /// The contacts.
    #[serde(default)]
    pub contacts: Vec<Box<RawValue>>,
    /// How many the whole search has.
    #[serde(default)]
    pub total: Option<i64>,
}

/// Reads a page of contacts.
pub fn page(reply: &Reply) -> Result<Found> {
    serde_json::from_str(&reply.text).map_err(|e| unexpected("a page of contacts", e))
}

/// One contact by its id.
pub async fn contact(cx: &Context, id: &str) -> Result<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Body {
        contact: Box<RawValue>,
    }
    let reply = cx
        .send(&GHL, Request::new(Method::Get, "/contacts/{id}", &[id])?)
        .await?;
    let body: Body = serde_json::from_str(&reply.text).map_err(|e| unexpected("a contact", e))?;
    Ok(body.contact)
}

/// A user of the location by id, e-mail address or name: the id, and the name for people.
pub async fn user(cx: &Context, who: &str) -> Result<(String, String)> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        users: Vec<User>,
    }
    #[derive(Deserialize)]
    struct User {
        id: String,
        name: Option<String>,
        email: Option<String>,
    }
    let location = location(cx).await?;
    let request = Request::new(Method::Get, "/users/", &[])?.query("locationId", location);
    let reply = cx.send(&GHL, request).await?;
    let body: Body =
        serde_json::from_str(&reply.text).map_err(|e| unexpected("a list of users", e))?;
    let wanted = who.trim().to_lowercase();
    let is_meant = |user: &&User| {
        let said =
            |text: &Option<String>| text.as_ref().is_some_and(|t| t.to_lowercase() == wanted);
        user.id == who.trim() || said(&user.email) || said(&user.name)
    };
    let label = |user: &User| user.name.clone().or_else(|| user.email.clone());
    let meant: Vec<&User> = body.users.iter().filter(is_meant).collect();
    match meant.as_slice() {
        [user] => Ok((
            user.id.clone(),
            label(user).unwrap_or_else(|| user.id.clone()),
        )),
        [] => {
            let names: Vec<_> = body.users.iter().filter_map(label).collect();
            Err(Error::not_found(format!("no user is called `{who}`"))
                .hint(format!("The users are: {}.", names.join(", "))))
        }
        several => Err(
            Error::conflict(format!("`{who}` may be any of {}", several.len()))
                .hint("Give the id of the one you mean.")
                .details(json!({
                    "argument": "assigned_to",
                    "candidates": several
                        .iter()
                        .map(|user| json!({ "id": user.id, "label": label(user) }))
                        .collect::<Vec<_>>(),
                })),
        ),
    }
}

/// Says that an answer is not what the description promises.
pub fn unexpected(what: &str, error: serde_json::Error) -> Error {
    Error::unavailable(format!(
        "GoHighLevel answered with something that is not {what}"
    ))
    .hint("Try again; if it stays so, their API may have changed.")
    .because(error)
}
