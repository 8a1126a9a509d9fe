//! API keys: made once, shown once, kept as a hash, each with the most it is good for.

mod guard;
mod rate;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::grant::{Grant, Scope, Scopes};
use super::toolset::Toolset;
use crate::app::App;
use crate::error::{Error, Result};
use crate::privacy::{Class, Classes};
use crate::store::Business;

pub(super) use guard::{Guard, Pass};
pub use rate::Rate;

/// What every key begins with, so that a leaked one is recognised.
const PREFIX: &str = "mtk_";

const CREATE: &str = "\
insert into api_keys (name, hash, businesses, tools, effect, masked, rate, rate_seconds, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9::double precision))
on conflict (name) do nothing
returning expires_at";
const LIST: &str = "\
select name, created_at, last_used_at, revoked_at, businesses, tools, effect, masked, rate, rate_seconds,
    expires_at, coalesce(expires_at <= now(), false) as expired
from api_keys order by created_at, name";
const REVOKE: &str =
    "update api_keys set revoked_at = now() where name = $1 and revoked_at is null";
// The time of use is kept to the minute, so that a busy key does not cost a write for each call.
const CHECK: &str = "\
with found as (
    select name, businesses, tools, effect, masked, rate, rate_seconds, expires_at, last_used_at
    from api_keys where hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())
),
used as (
    update api_keys k set last_used_at = now() from found f
    where k.name = f.name and (f.last_used_at is null or f.last_used_at < now() - interval '1 minute')
)
select name, businesses, tools, effect, masked, rate, rate_seconds,
    extract(epoch from expires_at - now())::double precision as seconds_left
from found";

const NAMED: &str = "\
select name, businesses, tools, effect, masked, rate, rate_seconds,
    extract(epoch from expires_at - now())::double precision as seconds_left
from api_keys where name = $1 and revoked_at is null and (expires_at is null or expires_at > now())";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("keys::CREATE", CREATE),
    ("keys::LIST", LIST),
    ("keys::REVOKE", REVOKE),
    ("keys::CHECK", CHECK),
    ("keys::NAMED", NAMED),
    ("keys::TAKE", rate::TAKE),
];

/// The worst that the commands of a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Worst {
    /// Read, and nothing else
    Read,
    /// Create, change and restart, nearly all of which can be undone
    Write,
    /// Destroy, send, or cost money
    Destroy,
}

impl Worst {
    /// The word in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Worst::Read => "read",
            Worst::Write => "write",
            Worst::Destroy => "destroy",
        }
    }

    // A word nobody knows is the least.
    fn scopes(word: Option<&str>) -> Scopes {
        let read = Scopes::NONE.with(Scope::Read);
        match word {
            None | Some("destroy") => Scopes::ALL,
            Some("write") => read.with(Scope::Write),
            Some(_) => read,
        }
    }
}

/// The most a key is good for.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The businesses it may work for.
    pub businesses: Vec<Business>,
    /// Its tools; all when absent.
    pub tools: Option<Toolset>,
    /// The worst its tools may do.
    pub worst: Worst,
    /// The classes of personal data it does not get to see.
    pub masked: Classes,
    /// How often it may call; as often as it likes when absent.
    pub rate: Option<Rate>,
    /// For how many seconds it is good; until it is revoked when absent.
    pub seconds: Option<f64>,
}

/// A key without its secret.
#[derive(Debug, FromRow)]
pub struct Key {
    /// What the owner calls it.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it has.
    pub expired: bool,
    /// The most it is good for.
    #[sqlx(flatten)]
    pub bounds: Kept,
}

/// The bounds of a key as they are kept.
#[derive(Debug, Clone, FromRow)]
pub struct Kept {
    /// The businesses it may work for; with keys of old, the one of the server it is shown to.
    pub businesses: Option<Vec<String>>,
    /// Its tools.
    pub tools: Option<Vec<String>>,
    /// The worst they may do.
    pub effect: Option<String>,
    /// The classes of personal data it does not get to see.
    pub masked: Option<Vec<String>>,
    rate: Option<i32>,
    rate_seconds: Option<i32>,
}

impl Kept {
    // A class nobody knows hides them all.
    fn masked(&self) -> Classes {
        let words = self.masked.iter().flatten();
        let classes: Result<Classes, _> = words.map(|word| word.parse::<Class>()).collect();
        classes.unwrap_or(Classes::ALL)
    }

    /// How often it may call.
    pub fn rate(&self) -> Option<Rate> {
        let (calls, seconds) = (self.rate?, self.rate_seconds?);
        Some(Rate { calls, seconds })
    }
}

impl Key {
    /// Whether it opens anything.
    pub fn is_valid(&self) -> bool {
        self.revoked_at.is_none() && !self.expired
    }
}

/// A valid key as it was found.
#[derive(Debug, FromRow)]
struct Found {
    name: String,
    seconds_left: Option<f64>,
    #[sqlx(flatten)]
    bounds: Kept,
}

/// Makes a key and returns it, with the time it ends; it cannot be shown again.
pub async fn create(
    conn: &mut PgConnection,
    name: &str,
    bounds: &Bounds,
) -> Result<(String, Option<DateTime<Utc>>)> {
    // Two version 4 UUIDs hold 244 random bits from the operating system.
    let key = format!(
        "{PREFIX}{}{}",
        Uuid::new_v4().simple(),
        Uuid::new_v4().simple()
    );
    let businesses = bounds.businesses.iter().map(ToString::to_string);
    let tools: Option<Vec<&str>> = match &bounds.tools {
        Some(Toolset::Only(names)) => Some(names.iter().map(String::as_str).collect()),
        Some(Toolset::All) | None => None,
    };
    let masked: Vec<&str> = bounds.masked.iter().map(Class::as_str).collect();
    let made: Option<Option<DateTime<Utc>>> = sqlx::query_scalar(CREATE)
        .bind(name)
        .bind(hash(&key))
        .bind(businesses.collect::<Vec<_>>())
        .bind(tools)
        .bind(bounds.worst.as_str())
        .bind((!masked.is_empty()).then_some(masked))
        .bind(bounds.rate.map(|rate| rate.calls))
        .bind(bounds.rate.map(|rate| rate.seconds))
        .bind(bounds.seconds)
        .fetch_optional(conn)
        .await?;
    match made {
        Some(expires_at) => Ok((key, expires_at)),
        None => Err(Error::conflict(format!("there is or was a key `{name}`"))
            .hint("Choose another name; `medtainer mcp keys list` shows them all.")),
    }
}

/// All keys, revoked ones too.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Key>> {
    Ok(sqlx::query_as(LIST).fetch_all(conn).await?)
}

/// Makes a key useless.
pub async fn revoke(conn: &mut PgConnection, name: &str) -> Result<()> {
    match sqlx::query(REVOKE)
        .bind(name)
        .execute(conn)
        .await?
        .rows_affected()
    {
        0 => Err(Error::not_found(format!("there is no valid key `{name}`"))
            .hint("`medtainer mcp keys list` shows them.")),
        _ => Ok(()),
    }
}

/// Whether this may be a key at all.
pub(super) fn is_key(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == 64 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The valid key, if this is one.
async fn check(conn: &mut PgConnection, hash: &[u8]) -> Result<Option<Found>> {
    Ok(sqlx::query_as(CHECK)
        .bind(hash)
        .fetch_optional(conn)
        .await?)
}

/// The most whoever has the valid key of this name may do: a name is given once.
pub(super) async fn named(app: &App, name: &str) -> Result<Option<Grant>> {
    let desk = app.desk(&Business::default()).await?;
    let mut conn = desk.store.acquire().await?;
    let found: Option<Found> = sqlx::query_as(NAMED)
        .bind(name)
        .fetch_optional(&mut *conn)
        .await?;
    Ok(found.as_ref().map(Found::grant))
}

impl Found {
    /// The most whoever shows it may do.
    fn grant(&self) -> Grant {
        let tools = self.bounds.tools.iter();
        let tools = tools.map(|names| Toolset::Only(names.iter().cloned().collect()));
        let businesses = self.bounds.businesses.as_ref();
        Grant {
            principal: Some(self.name.clone()),
            owner: format!("key:{}", self.name),
            scopes: Worst::scopes(self.bounds.effect.as_deref()),
            businesses: businesses.map(|names| names.iter().cloned().collect::<BTreeSet<_>>()),
            business: None,
            can_step_up: false,
            tools: tools.collect(),
            masked: self.bounds.masked(),
        }
    }
}

fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}
