//! What a question that goes with the client is sealed with: a key that all replicas share, so that any of
//! them can open it, and the uses of those that were answered with a yes, so that each counts once.
//!
//! The key is in the database as it is, and so is the one that signs forms (`oauth_owner`): replicas share
//! the database, and the key of the vault only where their owner gave it to each. Whoever reads it can make
//! up a question, which a client could answer with a yes by itself anyway, and no credential.

use std::time::Duration;

use rmcp::model::{RequestStateCodec, SealOptions};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Server;
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::store::{Business, Store, needs_migration};

/// How long a question may be out.
const OPEN: Duration = Duration::from_secs(600);

/// The name of the key.
const KEY: &str = "question";

const MAKE: &str =
    "insert into mcp_secrets (name, secret) values ($1, $2) on conflict (name) do nothing";
const READ: &str = "select secret from mcp_secrets where name = $1";
// Twice as long as a seal can be opened is long enough to know it by.
const USE: &str = "\
with old as (delete from mcp_answers where used_at < now() - interval '20 minutes')
insert into mcp_answers (seal) values ($1) on conflict (seal) do nothing";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("seals::MAKE", MAKE),
    ("seals::READ", READ),
    ("seals::USE", USE),
];

/// What was asked, as the client takes it along.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seal {
    /// Its own name, by which it counts once.
    id: Uuid,
    /// The plan that the person was shown.
    pub hash: String,
}

impl Seal {
    /// For a plan with this hash.
    pub fn new(hash: &str) -> Seal {
        Seal {
            id: Uuid::new_v4(),
            hash: hash.to_owned(),
        }
    }

    /// Takes it for a yes; tells whether it was not taken for one before.
    pub async fn spend(&self, app: &App) -> Result<bool> {
        let store = books(app).await?;
        let mut conn = store.acquire().await?;
        let done = sqlx::query(USE).bind(self.id).execute(&mut *conn).await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Server {
    /// The seal as text, which opens for the same caller, tool and arguments alone: `about`.
    pub(super) async fn seal(&self, seal: &Seal, about: &str) -> Result<String> {
        let options = SealOptions::new()
            .associated_data(about.as_bytes())
            .ttl(OPEN);
        self.codec()
            .await?
            .seal_json_with(seal, &options)
            .map_err(|e| Error::internal("a question could not be sealed").because(e))
    }

    /// What is in a seal; none where it is not one of ours, for another caller or call, or too old.
    pub(super) async fn open_seal(&self, text: &str, about: &str) -> Result<Option<Seal>> {
        let codec = self.codec().await?;
        Ok(codec.open_json_with(text, about.as_bytes()).ok())
    }

    async fn codec(&self) -> Result<&RequestStateCodec> {
        let make = || async {
            let key = key(&self.0.app).await?;
            RequestStateCodec::try_new(key)
                .map_err(|e| Error::internal("the key for questions is no good").because(e))
        };
        self.0.codec.get_or_try_init(make).await
    }
}

async fn key(app: &App) -> Result<Vec<u8>> {
    let store = books(app).await?;
    let mut conn = store.acquire().await?;
    // Three of them hold 366 random bits from the operating system.
    let fresh = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    let fresh: Vec<u8> = fresh.iter().flat_map(|id| *id.as_bytes()).collect();
    sqlx::query(MAKE)
        .bind(KEY)
        .bind(fresh)
        .execute(&mut *conn)
        .await?;
    Ok(sqlx::query_scalar(READ)
        .bind(KEY)
        .fetch_one(&mut *conn)
        .await?)
}

/// Where the server keeps its own things, whatever business it works for; with its tables.
async fn books(app: &App) -> Result<Store> {
    let store = app.desk(&Business::default()).await?.store.clone();
    let look = async |store: &Store| -> Result<()> {
        let mut conn: sqlx::pool::PoolConnection<_> = store.acquire().await?;
        let conn: &mut PgConnection = &mut conn;
        let found: Option<Vec<u8>> = sqlx::query_scalar(READ)
            .bind(KEY)
            .fetch_optional(conn)
            .await?;
        drop(found);
        Ok(())
    };
    match look(&store).await {
        Err(error) if needs_migration(&error) => store.prepare().await?,
        Err(error) if error.kind() == Kind::Unavailable => {
            app.ensure_database(&|_| {}).await?;
            store.prepare().await?;
        }
        done => done?,
    }
    Ok(store)
}
