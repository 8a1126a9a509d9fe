//! Where the logins to remote servers are kept: encrypted in the vault, one for each address.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection};

use super::oauth::Grant;
use crate::app::{App, Database};
use crate::error::{Error, Kind, Result};
use crate::store::{Business, needs_migration};

/// What logs in to remote servers, among the services of the vault.
const SERVICE: &str = "mcp";

// Of this schema: advisory locks belong to databases. A refresh token works once, so whoever uses it
// holds this, whichever process on whichever machine it is.
const TRY_LOCK: &str = "\
select pg_try_advisory_lock(hashtextextended('medtainer mcp login ' || current_schema() || ' ' || $1, 0))";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[("mcp::shelf::TRY_LOCK", TRY_LOCK)];

/// What is kept of a login.
#[derive(Debug, Clone)]
pub enum Kept {
    /// A key that a person typed.
    Key(SecretString),
    /// What an authorization server granted.
    Grant(Box<Grant>),
}

/// The login of one address.
#[derive(Clone)]
pub struct Shelf {
    app: Arc<App>,
    account: String,
}

/// The right to change what is kept, until it is ended or dropped.
pub struct Turn(PgConnection);

impl Turn {
    /// Lets the next one.
    pub async fn end(self) {
        // The lock goes with the connection, however that ends.
        self.0.close().await.ok();
    }
}

impl Shelf {
    /// The place for the login of `account`, which is the address of a server.
    pub fn new(app: Arc<App>, account: String) -> Self {
        Shelf { app, account }
    }

    /// What is kept. No database is made to look into an empty one.
    pub async fn load(&self) -> Result<Option<Kept>> {
        if let Database::Private(cluster) = self.app.database()
            && !cluster.data_dir().exists()
        {
            return Ok(None);
        }
        let desk = self.app.desk(&Business::default()).await?;
        let values = match desk.vault.load(SERVICE, &self.account).await {
            Err(error) if needs_migration(&error) => return Ok(None),
            Err(error) if error.kind() == Kind::Unavailable => {
                self.app.ensure_database(&|_| {}).await?;
                match desk.vault.load(SERVICE, &self.account).await {
                    Err(error) if needs_migration(&error) => return Ok(None),
                    done => done?,
                }
            }
            done => done?,
        };
        let Some((field, value)) = values.into_iter().next() else {
            return Ok(None);
        };
        if field == "key" {
            return Ok(Some(Kept::Key(value)));
        }
        // What a later version wrote in another way is no login of this one's.
        Ok(Grant::from_json(value.expose_secret()).map(|grant| Kept::Grant(Box::new(grant))))
    }

    /// Keeps a login in place of what was there.
    pub async fn store(&self, kept: &Kept) -> Result<()> {
        let desk = self.open().await?;
        let (field, value) = match kept {
            Kept::Key(key) => ("key", key.clone()),
            Kept::Grant(grant) => ("grant", grant.to_json()?),
        };
        desk.vault
            .store(SERVICE, &self.account, &[(field, &value)])
            .await
    }

    /// Forgets the login; says whether there was one.
    pub async fn forget(&self) -> Result<bool> {
        let desk = self.open().await?;
        Ok(desk.vault.forget(SERVICE, &self.account).await? > 0)
    }

    /// Waits until nobody else is changing what is kept.
    pub async fn turn(&self, patience: Duration) -> Result<Turn> {
        let desk = self.open().await?;
        let mut conn = PgConnection::connect_with(&desk.store.options()).await?;
        let since = Instant::now();
        loop {
            let got: bool = sqlx::query_scalar(TRY_LOCK)
                .bind(&self.account)
                .fetch_one(&mut conn)
                .await?;
            if got {
                return Ok(Turn(conn));
            }
            if since.elapsed() > patience {
                conn.close().await.ok();
                return Err(
                    Error::unavailable("another process is logging in to that server")
                        .hint("Finish that login in the browser, or end the other process."),
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn open(&self) -> Result<Arc<crate::app::Desk>> {
        self.app.ensure_database(&|_| {}).await?;
        let desk = self.app.desk(&Business::default()).await?;
        desk.store.prepare().await?;
        Ok(desk)
    }
}
