//! Postgres as medtainer sees it: one pool per business, migrated when it turns out to be needed.
//!
//! A connection's `search_path` is set when it opens, so no query names a schema or a tenant and
//! none can forget to. Migrations are not on the fast path (a migrator with nothing to do costs as
//! much as a cached read): run the statement; when [`needs_migration`] says so, [`Store::prepare`]
//! and run it once more. [`Store::retrying`] is those two steps in one.

pub mod audit;
mod business;
mod json;
mod prepare;
pub mod records;
pub mod redact;
pub mod trail;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{PgPool, Postgres};
use tokio::net::{TcpStream, UnixStream};

pub use business::{Business, EXTENSIONS_SCHEMA};
pub use json::storable;
pub use prepare::needs_migration;

use crate::Result;

/// Every statement of the store, for the test that describes them all.
pub const STATEMENTS: &[&[(&str, &str)]] = &[
    prepare::STATEMENTS,
    audit::STATEMENTS,
    trail::STATEMENTS,
    records::STATEMENTS,
];

/// The tables of one business. Cheap to clone; connects when first used.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    business: Business,
    options: RwLock<PgConnectOptions>,
    pool: PgPool,
    migrator: &'static Migrator,
}

impl Store {
    /// A store that will connect with these options, at most `pool_size` times: a few for a one-shot
    /// command, at least 10 for a server. Must be called inside a tokio runtime.
    pub fn new(
        options: PgConnectOptions,
        business: Business,
        migrator: &'static Migrator,
        pool_size: u32,
    ) -> Store {
        let options = for_business(options, &business);
        let pool = PgPoolOptions::new()
            .max_connections(pool_size)
            .min_connections(0)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy_with(options.clone());
        Store(Arc::new(Inner {
            business,
            options: RwLock::new(options),
            pool,
            migrator,
        }))
    }

    /// The pool; every connection sees the tables of this business only.
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// A connection, or soon the news that there is none: where nobody listens, the pool would go on
    /// knocking for as long as it may wait, since it takes a refusal for a server that is about to start.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>> {
        let acquiring = self.0.pool.acquire();
        tokio::pin!(acquiring);
        match tokio::time::timeout(DOUBT, &mut acquiring).await {
            Ok(acquired) => Ok(acquired?),
            // Not sooner: whoever knocks costs Postgres a process, and callers that merely wait for each
            // other must not.
            Err(_) => {
                self.knock().await?;
                Ok(acquiring.await?)
            }
        }
    }

    async fn knock(&self) -> Result<()> {
        let options = self.options();
        let (host, port) = (options.get_host(), options.get_port());
        let folder = options.get_socket().map(|path| path.as_path());
        let folder = folder.or_else(|| host.starts_with('/').then(|| Path::new(host)));
        let answer = async {
            match folder {
                Some(folder) => {
                    let socket = folder.join(format!(".s.PGSQL.{port}"));
                    UnixStream::connect(socket).await.map(drop)
                }
                None => TcpStream::connect((host, port)).await.map(drop),
            }
        };
        match tokio::time::timeout(KNOCK, answer).await {
            Ok(answer) => Ok(answer.map_err(sqlx::Error::Io)?),
            Err(_) => Err(sqlx::Error::Io(ErrorKind::TimedOut.into()).into()),
        }
    }

    /// Lets go of the connections nobody uses: their server may be gone.
    pub fn forget_idle(&self) {
        while let Some(idle) = self.0.pool.try_acquire() {
            drop(idle.detach());
        }
    }

    /// Whose tables these are.
    pub fn business(&self) -> &Business {
        &self.0.business
    }

    /// How a connection outside the pool is opened, search path included.
    pub fn options(&self) -> PgConnectOptions {
        let options = self.0.options.read();
        options.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connects elsewhere from now on: the server was made or started, and may listen on another socket
    /// than was thought.
    pub fn move_to(&self, options: PgConnectOptions) {
        let options = for_business(options, &self.0.business);
        self.0.pool.set_connect_options(options.clone());
        *self
            .0
            .options
            .write()
            .unwrap_or_else(PoisonError::into_inner) = options;
    }

    /// Makes the schema, the extensions and the tables, as far as they are missing.
    ///
    /// Any number of processes may do so at once; an older database is brought up to date, and one
    /// that a newer medtainer has migrated is refused.
    pub async fn prepare(&self) -> Result<()> {
        prepare::prepare(self).await
    }

    /// The newest migration the database has, and the newest this program knows. `None` where the
    /// business has no tables yet.
    pub async fn versions(&self) -> Result<(Option<i64>, i64)> {
        prepare::versions(self).await
    }

    /// Runs the work; when it failed for want of a migration, migrates and runs it once more.
    pub async fn retrying<T, F>(&self, mut work: F) -> Result<T>
    where
        F: for<'a> FnMut(&'a PgPool) -> BoxFuture<'a, Result<T>>,
    {
        match work(self.pool()).await {
            Err(error) if needs_migration(&error) => {
                self.prepare().await?;
                work(self.pool()).await
            }
            done => done,
        }
    }
}

fn for_business(options: PgConnectOptions, business: &Business) -> PgConnectOptions {
    let on_socket = options.get_socket().is_some() || options.get_host().starts_with('/');
    let options = options
        .options([("search_path", business.search_path())])
        .application_name("medtainer");
    if on_socket {
        options.ssl_mode(PgSslMode::Disable)
    } else {
        options
    }
}

/// How long a server may take to accept a connection.
// How long the pool may take before we ask whether anybody listens.
const DOUBT: Duration = Duration::from_millis(150);

const KNOCK: Duration = Duration::from_secs(5);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options hold a password.
        f.debug_tuple("Store").field(&self.0.business).finish()
    }
}
