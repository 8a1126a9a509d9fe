//! API keys: made once, shown once, kept as a hash.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::grant::Grant;
use crate::error::{Error, Result};

/// What every key begins with, so that a leaked one is recognised.
const PREFIX: &str = "mtk_";

const CREATE: &str =
    "insert into api_keys (name, hash) values ($1, $2) on conflict (name) do nothing";
const LIST: &str =
    "select name, created_at, last_used_at, revoked_at from api_keys order by created_at, name";
const REVOKE: &str =
    "update api_keys set revoked_at = now() where name = $1 and revoked_at is null";
// The time of use is kept to the minute, so that a busy key does not cost a write for each call.
const CHECK: &str = "\
with found as (select name, last_used_at from api_keys where hash = $1 and revoked_at is null),
     used as (update api_keys k set last_used_at = now() from found f
               where k.name = f.name and (f.last_used_at is null or f.last_used_at < now() - interval '1 minute'))
select name from found";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("keys::CREATE", CREATE),
    ("keys::LIST", LIST),
    ("keys::REVOKE", REVOKE),
    ("keys::CHECK", CHECK),
];

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
}

/// Makes a key and returns it; it cannot be shown again.
pub async fn create(conn: &mut PgConnection, name: &str) -> Result<String> {
    // Two version 4 UUIDs hold 244 random bits from the operating system.
    let key = format!(
        "{PREFIX}{}{}",
        Uuid::new_v4().simple(),
        Uuid::new_v4().simple()
    );
    let made = sqlx::query(CREATE)
        .bind(name)
        .bind(hash(&key))
        .execute(conn)
        .await?;
    if made.rows_affected() == 0 {
        return Err(Error::conflict(format!("there is or was a key `{name}`"))
            .hint("Choose another name; `medtainer mcp keys list` shows them all."));
    }
    Ok(key)
}

/// All keys, revoked ones too.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Key>> {
    Ok(sqlx::query_as(LIST).fetch_all(conn).await?)
}

/// Makes a key useless at once.
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

/// The name of the valid key, if this is one.
pub async fn check(conn: &mut PgConnection, key: &str) -> Result<Option<String>> {
    if !key.starts_with(PREFIX) {
        return Ok(None);
    }
    Ok(sqlx::query_scalar(CHECK)
        .bind(hash(key))
        .fetch_optional(conn)
        .await?)
}

/// What a valid key of this name is good for.
pub fn grant(name: String) -> Grant {
    Grant {
        owner: format!("key:{name}"),
        principal: Some(name),
        ..Grant::local()
    }
}

fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}
