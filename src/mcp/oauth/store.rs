//! What the authorization server keeps: clients, consents, codes, tokens.
//!
//! Everything is in Postgres, so that servers can be restarted and there can be several; times are the
//! database's. It is all kept with the default business.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::client::{Client, Kind};
use super::scope;
use crate::app::App;
use crate::error::{self, Error, Result};
use crate::store::{Business, needs_migration};

const CLIENT: &str = "\
select id, kind, name, redirect_uris, auth_method, secret_hash
  from oauth_clients where id = $1 and revoked_at is null";
// The same registration again is the same client, which lives on.
const ADD_CLIENT: &str = "\
insert into oauth_clients (id, kind, name, redirect_uris, auth_method, secret_hash, fingerprint)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (fingerprint) where revoked_at is null and fingerprint is not null
do update set seen_at = now()
returning id, created_at";
const KEEP_CLIENT: &str = "\
insert into oauth_clients (id, kind, name, redirect_uris, auth_method)
values ($1, 'document', $2, $3, 'none')
on conflict (id) do update set name = excluded.name, redirect_uris = excluded.redirect_uris,
    seen_at = now(), revoked_at = null";
const SEE_CLIENT: &str =
    "update oauth_clients set seen_at = now() where id = $1 and revoked_at is null";
// What was asked for and not allowed is taken away; what was not asked for stays as it was.
const CONSENT: &str = "\
insert into oauth_consents (client_id, scopes) values ($1, $2)
on conflict (client_id) where revoked_at is null
do update set given_at = now(), scopes = excluded.scopes ||
    array(select word from unnest(oauth_consents.scopes) as had (word) where word <> all($3))
returning id";
const CONSENTED: &str =
    "select scopes, given_at from oauth_consents where client_id = $1 and revoked_at is null";
const ADD_CODE: &str = "\
insert into oauth_codes (hash, consent_id, redirect_uri, challenge, resource, scopes, expires_at)
values ($1, $2, $3, $4, $5, $6, now() + interval '60 seconds')";
const CODE: &str = "\
select c.consent_id, k.client_id, c.redirect_uri, c.challenge, c.resource, c.scopes, c.family_id,
       k.scopes as allowed,
       c.used_at is not null as used, c.expires_at > now() and k.revoked_at is null as good
  from oauth_codes c join oauth_consents k on k.id = c.consent_id
 where c.hash = $1 for update of c";
const USE_CODE: &str = "update oauth_codes set used_at = now(), family_id = $2 where hash = $1";
const ADD_FAMILY: &str =
    "insert into oauth_families (consent_id, resource, scopes) values ($1, $2, $3) returning id";
const END_FAMILY: &str = "update oauth_families set ended_at = now(), ended_because = $2 where id = $1 and ended_at is null";
const ADD_TOKENS: &str = "\
insert into oauth_tokens (hash, family_id, kind, scopes, expires_at)
values ($1, $3, 'access', $4, now() + make_interval(secs => $5)),
       ($2, $3, 'refresh', $4, now() + interval '90 days')";
const REFRESH: &str = "\
select t.family_id, k.client_id, f.resource, f.scopes, k.scopes as allowed,
       t.expires_at > now() and f.ended_at is null and k.revoked_at is null as good,
       extract(epoch from now() - t.replaced_at)::float8 as replaced_for, t.successor
  from oauth_tokens t
  join oauth_families f on f.id = t.family_id
  join oauth_consents k on k.id = f.consent_id
 where t.hash = $1 and t.kind = 'refresh' for update of t";
const REPLACE: &str = "update oauth_tokens set replaced_at = now(), successor = $2 where hash = $1";
const LEFT: &str = "\
select extract(epoch from expires_at - now())::float8 as seconds, scopes from oauth_tokens where hash = $1";
// The time of use is kept to the minute, so that a busy client does not cost a write for each call.
const CHECK: &str = "\
with found as (
    select k.id, k.used_at, t.scopes, k.scopes as allowed, c.name
      from oauth_tokens t
      join oauth_families f on f.id = t.family_id
      join oauth_consents k on k.id = f.consent_id
      join oauth_clients c on c.id = k.client_id
     where t.hash = $1 and t.kind = 'access' and t.expires_at > now()
       and f.ended_at is null and k.revoked_at is null and f.resource = any($2)),
used as (
    update oauth_consents k set used_at = now() from found f
     where k.id = f.id and (f.used_at is null or f.used_at < now() - interval '1 minute'))
select id, name, scopes, allowed from found";
const HOLDER: &str = "\
select c.name, k.scopes
  from oauth_consents k
  join oauth_clients c on c.id = k.client_id
 where k.id = $1 and k.revoked_at is null
   and exists (select from oauth_families f where f.consent_id = k.id and f.ended_at is null)";
const TOKEN: &str = "\
select t.kind, t.family_id, k.client_id
  from oauth_tokens t
  join oauth_families f on f.id = t.family_id
  join oauth_consents k on k.id = f.consent_id
 where t.hash = $1";
const DROP_TOKEN: &str = "delete from oauth_tokens where hash = $1";
const LIST: &str = "\
select c.id, c.kind, c.name, c.redirect_uris, c.auth_method, c.created_at, k.scopes, k.given_at, k.used_at,
       coalesce(c.revoked_at, k.revoked_at) as revoked_at
  from oauth_clients c
  left join lateral (
       select scopes, given_at, used_at, revoked_at from oauth_consents
        where client_id = c.id order by revoked_at is null desc, given_at desc limit 1) k on true
 order by c.created_at, c.id";
const NAMED: &str = "\
select id from oauth_clients where revoked_at is null and (id = $1 or name = $1) order by id = $1 desc, created_at";
const REVOKE_CLIENT: &str =
    "update oauth_clients set revoked_at = now() where id = $1 and revoked_at is null";
const REVOKE_CONSENT: &str =
    "update oauth_consents set revoked_at = now() where client_id = $1 and revoked_at is null";

// A code that was used is kept for a day and a token for a day beyond its time, so that their second
// use is noticed; what could be told again is forgotten as soon as it may no longer be told.
const SWEEP: &[(&str, &str)] = &[
    ("oauth::SWEEP_CODES", "delete from oauth_codes where expires_at < now() - interval '1 day'"),
    ("oauth::SWEEP_TOKENS", "delete from oauth_tokens where expires_at < now() - interval '1 day'"),
    (
        "oauth::SWEEP_FAMILIES",
        "delete from oauth_families f where created_at < now() - interval '1 day'
            and not exists (select 1 from oauth_tokens t where t.family_id = f.id)",
    ),
    (
        "oauth::SWEEP_CLIENTS",
        "delete from oauth_clients c where kind = 'registered'
            and (seen_at < now() - interval '7 days'
                 or id in (select id from oauth_clients n where n.kind = 'registered'
                              and not exists (select 1 from oauth_consents k where k.client_id = n.id)
                            order by n.seen_at desc offset 1000))
            and not exists (select 1 from oauth_consents k where k.client_id = c.id)",
    ),
    (
        "oauth::SWEEP_REVOKED",
        "delete from oauth_clients where revoked_at < now() - interval '90 days'",
    ),
    ("oauth::SWEEP_LOGINS", "delete from oauth_logins where expires_at < now()"),
    ("oauth::SWEEP_ATTEMPTS", "delete from oauth_attempts where at < now() - interval '1 hour'"),
];
const FORGET_SUCCESSORS: &str = "\
update oauth_tokens set successor = null
 where successor is not null and replaced_at < now() - make_interval(secs => $1)";

/// Every statement here, for the test that describes them all.
pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("oauth::CLIENT", CLIENT),
    ("oauth::ADD_CLIENT", ADD_CLIENT),
    ("oauth::KEEP_CLIENT", KEEP_CLIENT),
    ("oauth::SEE_CLIENT", SEE_CLIENT),
    ("oauth::CONSENT", CONSENT),
    ("oauth::CONSENTED", CONSENTED),
    ("oauth::ADD_CODE", ADD_CODE),
    ("oauth::CODE", CODE),
    ("oauth::USE_CODE", USE_CODE),
    ("oauth::ADD_FAMILY", ADD_FAMILY),
    ("oauth::END_FAMILY", END_FAMILY),
    ("oauth::ADD_TOKENS", ADD_TOKENS),
    ("oauth::REFRESH", REFRESH),
    ("oauth::REPLACE", REPLACE),
    ("oauth::LEFT", LEFT),
    ("oauth::CHECK", CHECK),
    ("oauth::HOLDER", HOLDER),
    ("oauth::TOKEN", TOKEN),
    ("oauth::DROP_TOKEN", DROP_TOKEN),
    ("oauth::LIST", LIST),
    ("oauth::NAMED", NAMED),
    ("oauth::REVOKE_CLIENT", REVOKE_CLIENT),
    ("oauth::REVOKE_CONSENT", REVOKE_CONSENT),
    ("oauth::FORGET_SUCCESSORS", FORGET_SUCCESSORS),
];

/// The statements that forget what is over.
pub(super) const SWEEPING: &[(&str, &str)] = SWEEP;

/// A transaction on a connection that works: the server may have been restarted, and the tables of the
/// default business not be there yet.
pub async fn begin(app: &App) -> Result<Transaction<'static, Postgres>> {
    let desk = app.desk(&Business::default()).await?;
    match desk.store.pool().begin().await.map_err(Error::from) {
        Err(error) if error.kind() == error::Kind::Unavailable => {
            desk.store.forget_idle();
            app.ensure_database(&|_| {}).await?;
            Ok(desk.store.pool().begin().await?)
        }
        done => done,
    }
}

#[derive(FromRow)]
struct ClientRow {
    id: String,
    kind: String,
    name: String,
    redirect_uris: Vec<String>,
    auth_method: String,
    secret_hash: Option<Vec<u8>>,
}

/// The client of this id, if it is kept and not revoked.
pub async fn client(conn: &mut PgConnection, id: &str) -> Result<Option<Client>> {
    let row: Option<ClientRow> = sqlx::query_as(CLIENT).bind(id).fetch_optional(conn).await?;
    Ok(row.map(|row| Client {
        id: row.id,
        kind: Kind::parse(&row.kind),
        name: row.name,
        redirect_uris: row.redirect_uris,
        auth_method: row.auth_method,
        secret_hash: row.secret_hash,
    }))
}

/// Adds a client; its id and when it was made, which are another's where the fingerprint is known.
pub async fn add_client(
    conn: &mut PgConnection,
    client: &Client,
    fingerprint: Option<Vec<u8>>,
) -> Result<(String, DateTime<Utc>)> {
    Ok(sqlx::query_as(ADD_CLIENT)
        .bind(&client.id)
        .bind(client.kind.as_str())
        .bind(&client.name)
        .bind(&client.redirect_uris)
        .bind(&client.auth_method)
        .bind(&client.secret_hash)
        .bind(fingerprint)
        .fetch_one(conn)
        .await?)
}

/// What the owner allows a client.
#[derive(Debug)]
pub struct Allowed<'a> {
    /// The hash of the code that stands for it.
    pub code: Vec<u8>,
    /// Where the code is sent.
    pub redirect_uri: &'a str,
    /// What the client proves itself by.
    pub challenge: &'a str,
    /// The server the tokens will be for.
    pub resource: &'a str,
    /// What it may do, and whether it asked to stay.
    pub scopes: &'a [String],
    /// The same without words that are no scopes of ours.
    pub remembered: &'a [String],
    /// What it asked for: what of that was not allowed is taken from its earlier logins too.
    pub asked: &'a [String],
}

/// Keeps a consent and the code for it. False when the client was revoked meanwhile.
pub async fn allow(
    conn: &mut PgConnection,
    client: &Client,
    allowed: &Allowed<'_>,
) -> Result<bool> {
    if client.kind == Kind::Document {
        sqlx::query(KEEP_CLIENT)
            .bind(&client.id)
            .bind(&client.name)
            .bind(&client.redirect_uris)
            .execute(&mut *conn)
            .await?;
    } else {
        let seen = sqlx::query(SEE_CLIENT)
            .bind(&client.id)
            .execute(&mut *conn)
            .await?;
        if seen.rows_affected() == 0 {
            return Ok(false);
        }
    }
    let consent: Uuid = sqlx::query_scalar(CONSENT)
        .bind(&client.id)
        .bind(allowed.remembered)
        .bind(allowed.asked)
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query(ADD_CODE)
        .bind(&allowed.code)
        .bind(consent)
        .bind(allowed.redirect_uri)
        .bind(allowed.challenge)
        .bind(allowed.resource)
        .bind(allowed.scopes)
        .execute(conn)
        .await?;
    Ok(true)
}

/// What the owner allowed a client last, and when.
pub async fn consented(
    conn: &mut PgConnection,
    client: &str,
) -> Result<Option<(Vec<String>, DateTime<Utc>)>> {
    Ok(sqlx::query_as(CONSENTED)
        .bind(client)
        .fetch_optional(conn)
        .await?)
}

/// A code as it was kept; locked until the transaction ends.
#[derive(Debug, FromRow)]
pub struct Code {
    /// The consent it stands for.
    pub consent_id: Uuid,
    /// Whose it is.
    pub client_id: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// What the client has to answer.
    pub challenge: String,
    /// The server the tokens will be for.
    pub resource: String,
    /// What they may do.
    pub scopes: Vec<String>,
    /// What the consent allows by now.
    pub allowed: Vec<String>,
    /// The tokens that came of it.
    pub family_id: Option<Uuid>,
    /// Whether it was used.
    pub used: bool,
    /// Whether its time is not over and the consent in force.
    pub good: bool,
}

/// Finds a code by its hash.
pub async fn code(conn: &mut PgConnection, hash: &[u8]) -> Result<Option<Code>> {
    Ok(sqlx::query_as(CODE).bind(hash).fetch_optional(conn).await?)
}

/// Uses a code up, for these tokens or for none.
pub async fn use_code(conn: &mut PgConnection, hash: &[u8], family: Option<Uuid>) -> Result<()> {
    sqlx::query(USE_CODE)
        .bind(hash)
        .bind(family)
        .execute(conn)
        .await?;
    Ok(())
}

/// Begins a family of tokens.
pub async fn add_family(
    conn: &mut PgConnection,
    consent: Uuid,
    resource: &str,
    scopes: &[String],
) -> Result<Uuid> {
    Ok(sqlx::query_scalar(ADD_FAMILY)
        .bind(consent)
        .bind(resource)
        .bind(scopes)
        .fetch_one(conn)
        .await?)
}

/// Makes all tokens of a family useless at once; false where they were already.
pub async fn end_family(conn: &mut PgConnection, family: Uuid, because: &str) -> Result<bool> {
    let ended = sqlx::query(END_FAMILY)
        .bind(family)
        .bind(because)
        .execute(conn)
        .await?;
    Ok(ended.rows_affected() > 0)
}

/// Keeps a pair of tokens, by their hashes.
pub async fn add_tokens(
    conn: &mut PgConnection,
    family: Uuid,
    access: &[u8],
    refresh: &[u8],
    scopes: &[String],
    seconds: f64,
) -> Result<()> {
    sqlx::query(ADD_TOKENS)
        .bind(access)
        .bind(refresh)
        .bind(family)
        .bind(scopes)
        .bind(seconds)
        .execute(conn)
        .await?;
    Ok(())
}

/// A refresh token as it was kept; locked until the transaction ends.
#[derive(Debug, FromRow)]
pub struct Refresh {
    /// Its family.
    pub family_id: Uuid,
    /// Whose it is.
    pub client_id: String,
    /// The server its access tokens are for.
    pub resource: String,
    /// What the family may do.
    pub scopes: Vec<String>,
    /// What the consent allows by now.
    pub allowed: Vec<String>,
    /// Whether its time is not over, nor its family's.
    pub good: bool,
    /// For how many seconds another one has been in its place.
    pub replaced_for: Option<f64>,
    /// The pair in its place, encrypted.
    pub successor: Option<Vec<u8>>,
}

/// Finds a refresh token by its hash.
pub async fn refresh(conn: &mut PgConnection, hash: &[u8]) -> Result<Option<Refresh>> {
    Ok(sqlx::query_as(REFRESH)
        .bind(hash)
        .fetch_optional(conn)
        .await?)
}

/// Puts an encrypted pair in the place of a refresh token.
pub async fn replace(conn: &mut PgConnection, hash: &[u8], successor: &[u8]) -> Result<()> {
    sqlx::query(REPLACE)
        .bind(hash)
        .bind(successor)
        .execute(conn)
        .await?;
    Ok(())
}

/// The seconds a token is good for, and what it may do.
pub async fn left(conn: &mut PgConnection, hash: &[u8]) -> Result<Option<(f64, Vec<String>)>> {
    Ok(sqlx::query_as(LEFT).bind(hash).fetch_optional(conn).await?)
}

/// What a valid access token stands for.
#[derive(Debug, FromRow)]
pub struct Checked {
    /// The consent.
    pub id: Uuid,
    /// The client's name.
    pub name: String,
    /// What the token was made for.
    pub scopes: Vec<String>,
    /// What the consent allows by now.
    pub allowed: Vec<String>,
}

/// What an access token stands for, if it is valid for one of these resources.
pub async fn check(app: &App, hash: &[u8], audiences: &[String]) -> Result<Option<Checked>> {
    let desk = app.desk(&Business::default()).await?;
    let find = async || -> Result<Option<Checked>> {
        let mut conn = desk.store.acquire().await?;
        Ok(sqlx::query_as(CHECK)
            .bind(hash)
            .bind(audiences)
            .fetch_optional(&mut *conn)
            .await?)
    };
    match find().await {
        Err(error) if needs_migration(&error) => desk.store.prepare().await?,
        Err(error) if error.kind() == error::Kind::Unavailable => {
            desk.store.forget_idle();
            app.ensure_database(&|_| {}).await?;
        }
        done => return done,
    }
    find().await
}

/// Whose a consent is and what it allows, where it is in force and a login of it has not ended.
pub async fn holder(app: &App, consent: Uuid) -> Result<Option<(String, Vec<String>)>> {
    let desk = app.desk(&Business::default()).await?;
    let mut conn = desk.store.acquire().await?;
    Ok(sqlx::query_as(HOLDER)
        .bind(consent)
        .fetch_optional(&mut *conn)
        .await?)
}

/// The kind of a token, its family and whose it is.
pub async fn token(conn: &mut PgConnection, hash: &[u8]) -> Result<Option<(String, Uuid, String)>> {
    Ok(sqlx::query_as(TOKEN)
        .bind(hash)
        .fetch_optional(conn)
        .await?)
}

/// Forgets one token.
pub async fn drop_token(conn: &mut PgConnection, hash: &[u8]) -> Result<()> {
    sqlx::query(DROP_TOKEN).bind(hash).execute(conn).await?;
    Ok(())
}

/// A client and what it was allowed.
#[derive(Debug, FromRow)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Where it is known from.
    pub kind: String,
    /// What it calls itself.
    pub name: String,
    /// Where answers to it may go.
    pub redirect_uris: Vec<String>,
    /// How it proves who it is.
    pub auth_method: String,
    /// When it was first known.
    pub created_at: DateTime<Utc>,
    /// What it may do, by any of its logins.
    pub scopes: Option<Vec<String>>,
    /// When.
    pub given_at: Option<DateTime<Utc>>,
    /// When it last called, to the minute.
    pub used_at: Option<DateTime<Utc>>,
    /// When that ended.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// All clients, revoked ones too.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Listed>> {
    let mut all: Vec<Listed> = sqlx::query_as(LIST).fetch_all(conn).await?;
    for client in &mut all {
        let scopes = client.scopes.take();
        client.scopes = scopes.map(|scopes| scope::words(scope::known(&scopes), false));
    }
    Ok(all)
}

/// The ids of the clients that are called so; one, where it is an id.
pub async fn named(conn: &mut PgConnection, name: &str) -> Result<Vec<String>> {
    let mut ids: Vec<String> = sqlx::query_scalar(NAMED).bind(name).fetch_all(conn).await?;
    if ids.first().is_some_and(|id| id == name) {
        ids.truncate(1);
    }
    Ok(ids)
}

/// Makes a client and all that it was allowed useless at once.
pub async fn revoke(conn: &mut PgConnection, id: &str) -> Result<()> {
    sqlx::query(REVOKE_CONSENT)
        .bind(id)
        .execute(&mut *conn)
        .await?;
    sqlx::query(REVOKE_CLIENT).bind(id).execute(conn).await?;
    Ok(())
}

/// Forgets what is over.
pub async fn sweep(conn: &mut PgConnection, grace: f64) -> Result<()> {
    sqlx::query(FORGET_SUCCESSORS)
        .bind(grace)
        .execute(&mut *conn)
        .await?;
    for (_, statement) in SWEEP {
        sqlx::query(*statement).execute(&mut *conn).await?;
    }
    Ok(())
}
