//! The owner's passphrase, the browsers that know it, and those who guess.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sqlx::{FromRow, PgConnection};
use tokio::sync::Semaphore;

use super::secrets;
use crate::app::App;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::mcp::http::ClientAddress;

/// The variable that holds the passphrase of a server, instead of the one in the database.
pub const VARIABLE: &str = "MEDTAINER_MCP_PASSPHRASE";

/// The fewest letters that are taken.
const SHORTEST: usize = 10;

/// What [`guess`] allows within a quarter of an hour from one address, and within an hour from all. Too
/// many from all only slow it down: strangers are not to lock the owner out.
const OF_ONE: i64 = 5;
const OF_ALL: i64 = 50;

// Servers that start at the same time agree on one key.
const FOUND: &str =
    "insert into oauth_owner (signing_key) values ($1) on conflict (only_one) do nothing";
const OWNER: &str = "select passphrase, signing_key from oauth_owner";
const SET: &str = "update oauth_owner set passphrase = $1, passphrase_set_at = now()";
const FORGET_LOGINS: &str = "delete from oauth_logins";
const FORGET_ATTEMPTS: &str = "delete from oauth_attempts where $1::text is null or address = $1";
const LOCK: &str = "select pg_advisory_xact_lock(hashtextextended('oauth_attempts', 0))";
const COUNT: &str = "\
select count(*) filter (where address = $1 and at > now() - interval '15 minutes'), count(*),
       count(*) filter (where at > now() - interval '30 seconds')
  from oauth_attempts where at > now() - interval '1 hour'";
const ATTEMPT: &str = "insert into oauth_attempts (address) values ($1)";
const LOG_IN: &str =
    "insert into oauth_logins (hash, expires_at) values ($1, now() + interval '12 hours')";
const LOGGED_IN: &str =
    "select exists (select 1 from oauth_logins where hash = $1 and expires_at > now())";

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("passphrase::FOUND", FOUND),
    ("passphrase::OWNER", OWNER),
    ("passphrase::SET", SET),
    ("passphrase::FORGET_LOGINS", FORGET_LOGINS),
    ("passphrase::FORGET_ATTEMPTS", FORGET_ATTEMPTS),
    ("passphrase::LOCK", LOCK),
    ("passphrase::COUNT", COUNT),
    ("passphrase::ATTEMPT", ATTEMPT),
    ("passphrase::LOG_IN", LOG_IN),
    ("passphrase::LOGGED_IN", LOGGED_IN),
];

/// What the owner is recognised by.
#[derive(FromRow)]
pub struct Owner {
    passphrase: Option<String>,
    /// What signs forms, the same on every server.
    pub signing_key: Vec<u8>,
}

impl Owner {
    /// The owner, as the database knows them.
    pub async fn find(conn: &mut PgConnection) -> Result<Owner> {
        let find = sqlx::query_as(OWNER);
        if let Some(owner) = find.fetch_optional(&mut *conn).await? {
            return Ok(owner);
        }
        found(conn).await?;
        Ok(sqlx::query_as(OWNER).fetch_one(conn).await?)
    }

    /// Whether there is a passphrase.
    pub fn is_known(&self, app: &App) -> bool {
        self.passphrase.is_some() || app.env.get(VARIABLE).is_some()
    }

    /// Whether these are the owner's words.
    pub async fn said(&self, app: &App, words: &str) -> Result<bool> {
        if words.trim().is_empty() {
            return Ok(false);
        }
        if let Some(known) = app.env.get(VARIABLE) {
            let (known, words) = (secrets::hash(known.trim()), secrets::hash(words.trim()));
            return Ok(secrets::same(&known, &words));
        }
        let Some(known) = self.passphrase.clone() else {
            return Ok(false);
        };
        let words = words.trim().to_owned();
        let checked = hashing(move || {
            let known = PasswordHash::new(&known).map_err(unhashed)?;
            Ok(Argon2::default()
                .verify_password(words.as_bytes(), &known)
                .is_ok())
        });
        checked.await
    }
}

async fn found(conn: &mut PgConnection) -> Result<()> {
    sqlx::query(FOUND)
        .bind(secrets::key()?.as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

/// Refuses a passphrase that is guessed too soon.
fn check(words: &str, whose: &str) -> Result<()> {
    if words.trim().chars().count() >= SHORTEST {
        return Ok(());
    }
    Err(Error::usage(format!("{whose} has at least {SHORTEST} letters"))
        .hint("Four or five words that have nothing to do with each other are easy to remember and hard to guess."))
}

/// Refuses an environment whose passphrase is guessed too soon.
pub(super) fn check_environment(env: &Env) -> Result<()> {
    match env.get(VARIABLE) {
        Some(words) => check(words, &format!("the passphrase of `{VARIABLE}`")),
        None => Ok(()),
    }
}

/// Sets the passphrase; browsers that knew another one have to be told.
pub async fn set(conn: &mut PgConnection, words: &str) -> Result<()> {
    check(words, "a passphrase")?;
    let words = words.trim().to_owned();
    let hashed = hashing(move || {
        let hash = Argon2::default()
            .hash_password(words.as_bytes())
            .map_err(unhashed)?;
        Ok(hash.to_string())
    });
    let hashed = hashed.await?;
    found(conn).await?;
    sqlx::query(SET).bind(hashed).execute(&mut *conn).await?;
    sqlx::query(FORGET_LOGINS).execute(&mut *conn).await?;
    forget_attempts(conn, None).await
}

/// Runs what takes long and much memory, two at a time, beside everything else.
async fn hashing<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    static ROOM: Semaphore = Semaphore::const_new(2);
    let failed = "the passphrase could not be checked";
    let _turn = ROOM
        .acquire()
        .await
        .map_err(|error| Error::internal(failed).because(error))?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(failed).because(error))?
}

fn unhashed(error: impl std::fmt::Display) -> Error {
    Error::internal("the passphrase could not be hashed").because(error.to_string())
}

/// Who guesses, as guesses are counted.
#[derive(Debug, Clone, Copy)]
pub enum Guesser<'a> {
    /// Somebody at an address.
    Somebody(ClientAddress),
    /// A browser in which the owner once typed the passphrase, wherever it is: others' guesses are not
    /// held against it.
    Known(&'a str),
}

impl Guesser<'_> {
    fn name(self) -> String {
        match self {
            Guesser::Somebody(address) => address.network().to_string(),
            Guesser::Known(browser) => format!("browser {browser}"),
        }
    }
}

/// How long to wait after too many guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A quarter of an hour, after too many of one's own.
    Quarter,
    /// Half a minute, after too many of everybody's.
    Moment,
}

/// Counts a guess before it is checked; after too many, says how long to wait.
pub async fn guess(conn: &mut PgConnection, who: Guesser<'_>) -> Result<Result<(), Wait>> {
    let name = who.name();
    // Until the transaction ends: many guesses at the same time are counted one by one.
    sqlx::query(LOCK).execute(&mut *conn).await?;
    let (of_one, of_all, just_now): (i64, i64, i64) = sqlx::query_as(COUNT)
        .bind(&name)
        .fetch_one(&mut *conn)
        .await?;
    if of_one >= OF_ONE {
        return Ok(Err(Wait::Quarter));
    }
    if matches!(who, Guesser::Somebody(_)) && of_all >= OF_ALL && just_now > 0 {
        return Ok(Err(Wait::Moment));
    }
    sqlx::query(ATTEMPT).bind(name).execute(conn).await?;
    Ok(Ok(()))
}

/// Forgets the guesses of somebody who knew it after all.
pub async fn forgive(conn: &mut PgConnection, who: Guesser<'_>) -> Result<()> {
    forget_attempts(conn, Some(who.name())).await
}

async fn forget_attempts(conn: &mut PgConnection, address: Option<String>) -> Result<()> {
    sqlx::query(FORGET_ATTEMPTS)
        .bind(address)
        .execute(conn)
        .await?;
    Ok(())
}

/// Remembers for a while that the owner sits before the browser with this cookie.
pub async fn log_in(conn: &mut PgConnection, cookie: &str) -> Result<()> {
    sqlx::query(LOG_IN)
        .bind(secrets::hash(cookie))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether it is so.
pub async fn is_logged_in(conn: &mut PgConnection, cookie: &str) -> Result<bool> {
    Ok(sqlx::query_scalar(LOGGED_IN)
        .bind(secrets::hash(cookie))
        .fetch_one(conn)
        .await?)
}
