//! The vault: credentials in Postgres, each value encrypted by itself.

use std::fmt;

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use zeroize::Zeroizing;

use super::key::{Key, KeyRing};
use super::tidy;
use crate::error::{Error, Result};
use crate::store::Business;

const STORE: &str = "
with gone as (
    delete from credentials where service = $1 and account = $2 and field <> all($4::text[])
)
insert into credentials (service, account, field, nonce, ciphertext, key_id)
select $1, $2, v.field, v.nonce, v.ciphertext, $3
from unnest($4::text[], $5::bytea[], $6::bytea[]) as v(field, nonce, ciphertext)
on conflict (service, account, field) do update
set nonce = excluded.nonce, ciphertext = excluded.ciphertext, key_id = excluded.key_id,
    updated_at = clock_timestamp()";

const LOAD: &str = "
select field, nonce, ciphertext, key_id, updated_at
from credentials where service = $1 and account = $2 order by field";

const FORGET: &str = "delete from credentials where service = $1 and account = $2";

const ACCOUNTS: &str =
    "select distinct service, account from credentials order by service, account";

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("vault::STORE", STORE),
    ("vault::LOAD", LOAD),
    ("vault::FORGET", FORGET),
    ("vault::ACCOUNTS", ACCOUNTS),
];

/// The stored credentials of one business.
#[derive(Clone)]
pub struct Vault {
    pool: PgPool,
    business: String,
    keys: KeyRing,
}

/// A stored value, and whether it can be used.
pub(super) struct Kept {
    pub field: String,
    pub updated_at: DateTime<Utc>,
    pub problem: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Sealed {
    field: String,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
    key_id: String,
    updated_at: DateTime<Utc>,
}

impl Vault {
    /// The vault of a business. Touches neither database nor key until it is used.
    pub fn new(pool: PgPool, business: &Business, keys: KeyRing) -> Self {
        Vault {
            pool,
            business: business.name().to_owned(),
            keys,
        }
    }

    /// Stores the values of an account, all or none, in place of what was there: a credential of another
    /// form does not stay behind.
    pub async fn store(
        &self,
        service: &str,
        account: &str,
        values: &[(&str, &SecretString)],
    ) -> Result<()> {
        let key = self.keys.for_sealing().await?;
        let mut fields = Vec::new();
        let mut nonces = Vec::new();
        let mut ciphertexts = Vec::new();
        for (field, value) in values {
            let value = tidy(field, value)?;
            let (nonce, ciphertext) = seal(&key, &self.bound_to(service, account, field), &value)?;
            fields.push((*field).to_owned());
            nonces.push(nonce);
            ciphertexts.push(ciphertext);
        }
        sqlx::query(STORE)
            .bind(service)
            .bind(account)
            .bind(key.id())
            .bind(fields)
            .bind(nonces)
            .bind(ciphertexts)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The values of an account by field; empty when nothing is stored.
    pub async fn load(&self, service: &str, account: &str) -> Result<Vec<(String, SecretString)>> {
        let mut values = Vec::new();
        for sealed in self.sealed(service, account).await? {
            let value = self.open(service, account, &sealed).await?;
            values.push((sealed.field, value));
        }
        Ok(values)
    }

    /// Forgets the values of an account; says how many there were.
    pub async fn forget(&self, service: &str, account: &str) -> Result<u64> {
        let done = sqlx::query(FORGET)
            .bind(service)
            .bind(account)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }

    /// The services and accounts that have something stored.
    pub async fn accounts(&self) -> Result<Vec<(String, String)>> {
        Ok(sqlx::query_as(ACCOUNTS).fetch_all(&self.pool).await?)
    }

    /// What is stored for an account, and whether it opens.
    pub(super) async fn inspect(&self, service: &str, account: &str) -> Result<Vec<Kept>> {
        let mut all = Vec::new();
        for sealed in self.sealed(service, account).await? {
            let opened = self.open(service, account, &sealed).await;
            all.push(Kept {
                problem: opened.err().map(|error| error.message().to_owned()),
                field: sealed.field,
                updated_at: sealed.updated_at,
            });
        }
        Ok(all)
    }

    async fn sealed(&self, service: &str, account: &str) -> Result<Vec<Sealed>> {
        Ok(sqlx::query_as(LOAD)
            .bind(service)
            .bind(account)
            .fetch_all(&self.pool)
            .await?)
    }

    async fn open(&self, service: &str, account: &str, sealed: &Sealed) -> Result<SecretString> {
        let key = self.keys.for_opening(&sealed.key_id).await?;
        let bound_to = self.bound_to(service, account, &sealed.field);
        open(&key, &bound_to, &sealed.nonce, &sealed.ciphertext).ok_or_else(|| {
            Error::auth(format!(
                "the stored `{}` of `{service}` does not open: it was changed, or it was stored for another business or account",
                sealed.field
            ))
            .hint(format!("Store it anew with `medtainer auth login {service}`."))
        })
    }

    /// What a value belongs to, written so that no two are alike.
    fn bound_to(&self, service: &str, account: &str, field: &str) -> Vec<u8> {
        let mut all = b"medtainer credential 1".to_vec();
        for part in [&self.business, service, account, field] {
            all.extend_from_slice(&(part.len() as u64).to_le_bytes());
            all.extend_from_slice(part.as_bytes());
        }
        all
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("business", &self.business)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

fn seal(key: &Key, bound_to: &[u8], value: &SecretString) -> Result<(Vec<u8>, Vec<u8>)> {
    let nonce = XNonce::try_generate().map_err(|error| {
        Error::internal("the operating system gave no random numbers").because(error)
    })?;
    let payload = Payload {
        msg: value.expose_secret().as_bytes(),
        aad: bound_to,
    };
    let ciphertext = key
        .cipher()
        .encrypt(&nonce, payload)
        .map_err(|_| Error::internal("a credential could not be encrypted"))?;
    Ok((nonce.to_vec(), ciphertext))
}

fn open(key: &Key, bound_to: &[u8], nonce: &[u8], ciphertext: &[u8]) -> Option<SecretString> {
    let nonce: [u8; 24] = nonce.try_into().ok()?;
    let payload = Payload {
        msg: ciphertext,
        aad: bound_to,
    };
    let plain = key.cipher().decrypt(&nonce.into(), payload).ok()?;
    let plain = Zeroizing::new(plain);
    Some(SecretString::from(std::str::from_utf8(&plain).ok()?))
}
