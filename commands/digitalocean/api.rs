//! The requests medtainer sends to DigitalOcean, and the pages of its lists.

use futures::future::BoxFuture;
use medtainer_core::context::Context;
use medtainer_core::http::{Method, Reply, Request};
use medtainer_core::sync::{Cursor, Page, Row, Source, Span};
use medtainer_core::{Error, Kind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::DO;
use super::types::{Account, Action, Associated};

/// Records in a page: the most they allow.
pub const PAGE: u32 = 200;

/// A list of theirs.
#[derive(Debug)]
pub struct List {
    /// Its path, which is its template too.
    pub path: &'static str,
    /// The field of the answer that holds it.
    pub field: &'static str,
    /// Where the id of a record is.
    pub id: &'static str,
    /// The queries it takes to see all of it, one after the other.
    pub parts: &'static [&'static [(&'static str, &'static str)]],
}

/// One listing without a filter shows everything.
const WHOLE: &[&[(&str, &str)]] = &[&[]];

/// Droplets. Those with GPUs are left out unless asked for by themselves.
pub static DROPLETS: List = List {
    path: "/v2/droplets",
    field: "droplets",
    id: "/id",
    parts: &[&[("type", "droplets")], &[("type", "gpus")]],
};

/// Sizes.
pub static SIZES: List = List {
    path: "/v2/sizes",
    field: "sizes",
    id: "/slug",
    parts: WHOLE,
};

/// Regions.
pub static REGIONS: List = List {
    path: "/v2/regions",
    field: "regions",
    id: "/slug",
    parts: WHOLE,
};

/// Images: theirs and ours.
pub static IMAGES: List = List {
    path: "/v2/images",
    field: "images",
    id: "/id",
    parts: WHOLE,
};

/// SSH keys.
pub static KEYS: List = List {
    path: "/v2/account/keys",
    field: "ssh_keys",
    id: "/id",
    parts: WHOLE,
};

/// Reserved IPs.
pub static RESERVED_IPS: List = List {
    path: "/v2/reserved_ips",
    field: "reserved_ips",
    id: "/ip",
    parts: WHOLE,
};

impl List {
    /// One page of one part, counted from 1.
    pub fn page(&self, part: usize, page: u32) -> Result<Request> {
        let mut request = Request::new(Method::Get, self.path, &[])?
            .query("page", page.to_string())
            .query("per_page", PAGE.to_string());
        for (name, value) in self.parts.get(part).copied().unwrap_or_default() {
            request = request.query(*name, *value);
        }
        Ok(request)
    }
}

/// The pages of a list, for one call.
pub struct Pages<'a> {
    /// The call.
    pub cx: &'a Context,
    /// What is listed.
    pub list: &'static List,
}

/// Where a listing goes on: part, page, and how many records the parts before have.
struct Place(usize, u32, i64);

impl Place {
    fn read(cursor: Option<&Cursor>) -> Option<Place> {
        let Some(Cursor(text)) = cursor else {
            return Some(Place(0, 1, 0));
        };
        let mut numbers = text.split(':');
        let place = Place(
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
        );
        numbers.next().is_none().then_some(place)
    }

    fn cursor(&self) -> Cursor {
        let Place(part, page, before) = self;
        Cursor(format!("{part}:{page}:{before}"))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Envelope {
    links: Option<Links>,
    meta: Option<Meta>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Links {
    pages: Option<PageLinks>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PageLinks {
    next: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Meta {
    total: Option<i64>,
}

impl Source for Pages<'_> {
    fn fetch<'a>(&'a self, _: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let Place(part, page, before) = Place::read(cursor)
                .ok_or_else(|| Error::refused("a stored cursor is not one of DigitalOcean's"))?;
            let request = self.list.page(part, page)?;
            let reply = self.cx.send_in_background(&DO, request).await?;
            let (rows, skipped) = rows(self.list, &reply)?;
            let Envelope { links, meta } = read(&reply, "a list")?;
            let total = meta.and_then(|meta| meta.total);
            // A page may be the last although a later one exists by its number: the link decides. It is
            // never followed, so that it cannot lead the token elsewhere.
            let more = links
                .and_then(|links| links.pages)
                .is_some_and(|pages| pages.next.is_some());
            let is_last_part = part + 1 >= self.list.parts.len();
            let so_far = total.map(|total| before + total);
            let next = match (more, is_last_part) {
                (true, _) => Some(Place(part, page + 1, before)),
                (false, false) => Some(Place(part + 1, 1, so_far.unwrap_or(before))),
                (false, true) => None,
            };
            Ok(Page {
                rows,
                next: next.map(|place| place.cursor()),
                // Only the last part knows how many there are in all.
                total: so_far.filter(|_| is_last_part),
                calls: 1,
                skipped,
                ..Page::default()
            })
        })
    }
}

/// The records of a list as a sync takes them, and how many could not be.
fn rows(list: &List, reply: &Reply) -> Result<(Vec<Row>, u32)> {
    let fields: std::collections::HashMap<String, Box<RawValue>> = read(reply, "a list")?;
    let records: Vec<Box<RawValue>> = match fields.get(list.field) {
        Some(text) => serde_json::from_str(text.get()).map_err(|e| unexpected("a list", e))?,
        None => {
            return Err(Error::unavailable(format!(
                "DigitalOcean answered without `{}`",
                list.field
            ))
            .hint("Try again; if it stays so, their API may have changed."));
        }
    };
    let rows: Vec<Row> = records
        .iter()
        .filter_map(|record| row(list, record))
        .collect();
    let skipped = u32::try_from(records.len() - rows.len()).unwrap_or(u32::MAX);
    Ok((rows, skipped))
}

/// A record as a sync takes it; none without an id.
pub fn row(list: &List, record: &RawValue) -> Option<Row> {
    let value: Value = serde_json::from_str(record.get()).ok()?;
    let id = match value.pointer(list.id)? {
        Value::String(id) if !id.is_empty() && !id.contains('\0') => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    Some(Row::new(id, None, record.get()))
}

/// One droplet; the id may be a token.
pub fn droplet(id: &str) -> Result<Request> {
    Request::new(Method::Get, "/v2/droplets/{id}", &[id])
}

/// Droplets of a name, of a kind: `droplets` or `gpus`.
pub fn named(name: &str, kind: &str) -> Result<Request> {
    Ok(Request::new(Method::Get, "/v2/droplets", &[])?
        .query("name", name)
        .query("type", kind))
}

/// Droplets with a tag.
pub fn tagged(tag: &str) -> Result<Request> {
    Ok(Request::new(Method::Get, "/v2/droplets", &[])?.query("tag_name", tag))
}

/// Makes a droplet.
pub fn create() -> Result<Request> {
    Request::new(Method::Post, "/v2/droplets", &[])
}

/// Does something to a droplet.
pub fn act(id: &str) -> Result<Request> {
    Request::new(Method::Post, "/v2/droplets/{id}/actions", &[id])
}

/// One action of a droplet; the ids may be tokens.
pub fn action(droplet: &str, id: &str) -> Result<Request> {
    Request::new(
        Method::Get,
        "/v2/droplets/{id}/actions/{action}",
        &[droplet, id],
    )
}

/// The newest action of a droplet.
pub fn newest_action(droplet: &str) -> Result<Request> {
    newest(droplet, 1)
}

/// The newest actions of a droplet, as many as there are in a page.
pub fn newest_actions(droplet: &str) -> Result<Request> {
    newest(droplet, PAGE)
}

fn newest(droplet: &str, count: u32) -> Result<Request> {
    Ok(
        Request::new(Method::Get, "/v2/droplets/{id}/actions", &[droplet])?
            .query("page", "1")
            .query("per_page", count.to_string()),
    )
}

/// The snapshots of a droplet.
pub fn snapshots(droplet: &str) -> Result<Request> {
    let request = Request::new(Method::Get, "/v2/droplets/{id}/snapshots", &[droplet])?;
    Ok(request.query("per_page", PAGE.to_string()))
}

/// The snapshots of all droplets, those of deleted ones included.
pub fn all_snapshots() -> Result<Request> {
    Ok(Request::new(Method::Get, "/v2/snapshots", &[])?
        .query("resource_type", "droplet")
        .query("per_page", PAGE.to_string()))
}

/// What stays behind when a droplet is deleted.
pub async fn associated(cx: &Context, id: &str) -> Result<Associated> {
    let path = "/v2/droplets/{id}/destroy_with_associated_resources";
    let reply = cx
        .send(&DO, Request::new(Method::Get, path, &[id])?)
        .await?;
    read(&reply, "a list of what belongs to a droplet")
}

/// The newest actions of a droplet.
pub async fn actions(cx: &Context, droplet: &str, limit: u32) -> Result<Vec<Action>> {
    #[derive(Deserialize)]
    struct Body {
        actions: Vec<Action>,
    }
    let reply = cx.send(&DO, newest(droplet, limit)?).await?;
    let body: Body = read(&reply, "a list of actions")?;
    Ok(body.actions)
}

/// The account, as it came.
pub async fn account(cx: &Context) -> Result<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Body {
        account: Box<RawValue>,
    }
    let reply = cx
        .send(&DO, Request::new(Method::Get, "/v2/account", &[])?)
        .await?;
    let body: Body = read(&reply, "an account")?;
    Ok(body.account)
}

/// The balance, as it came.
pub async fn balance(cx: &Context) -> Result<Box<RawValue>> {
    let request = Request::new(Method::Get, "/v2/customers/my/balance", &[])?;
    let reply = cx.send(&DO, request).await?;
    read(&reply, "a balance")
}

/// Whose token it is: proves it, and says so.
pub async fn whose(cx: &Context) -> Result<String> {
    match account(cx).await {
        Ok(account) => {
            let account = Account::read(account.get());
            let team = account.team.and_then(|team| team.name);
            let limit = account.droplet_limit;
            Ok(match (team, limit) {
                (Some(team), Some(limit)) => format!("team {team}, up to {limit} droplets"),
                (Some(team), None) => format!("team {team}"),
                (None, _) => format!("account {}", account.uuid.unwrap_or_default()),
            })
        }
        // The token is good, it only may not read the account.
        Err(error) if error.kind() == Kind::Auth && is_forbidden(&error) => {
            let request = Request::new(Method::Get, REGIONS.path, &[])?.query("per_page", "1");
            cx.send(&DO, request).await?;
            Ok("a token that may not read the account".to_owned())
        }
        Err(error) => Err(error),
    }
}

/// Whether a refusal means that the token is good and lacks a scope.
pub fn is_forbidden(error: &Error) -> bool {
    let status = error
        .details_value()
        .and_then(|details| details.get("status"));
    status.and_then(Value::as_u64) == Some(403)
}

/// Reads an answer.
pub fn read<T: DeserializeOwned>(reply: &Reply, what: &str) -> Result<T> {
    serde_json::from_str(&reply.text).map_err(|e| unexpected(what, e))
}

fn unexpected(what: &str, error: serde_json::Error) -> Error {
    Error::unavailable(format!(
        "DigitalOcean answered with something that is not {what}"
    ))
    .hint("Try again; if it stays so, their API may have changed.")
    .because(error)
}
