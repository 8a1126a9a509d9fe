//! A second connection of a run.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::Result;

// Postgres does not see that the first connection waits for this one, so neither would it see a circle.
const NO_WAITING: [(&str, &str); 2] = [("lock_timeout", "1s"), ("statement_timeout", "30s")];

/// A connection for what is derived from the records of a page, opened when it is first wanted: a page
/// of a first sync takes as long as its slower half then, and not as both.
///
/// It is a help and no more: whatever goes wrong on it is left to the first connection.
#[derive(Debug)]
pub struct Beside {
    options: PgConnectOptions,
    conn: Option<PgConnection>,
    tired: bool,
}

impl Beside {
    pub(super) fn new(options: &PgConnectOptions) -> Beside {
        Beside {
            options: options.clone().options(NO_WAITING),
            conn: None,
            tired: false,
        }
    }

    /// Does the work in a transaction of its own and tells whether it is committed. What is not has to be
    /// done again elsewhere.
    ///
    /// `work` answers false when it would rather not.
    pub async fn commits<F>(&mut self, work: F) -> bool
    where
        F: AsyncFnOnce(&mut PgConnection) -> Result<bool>,
    {
        if self.tired {
            return false;
        }
        match self.attempt(work).await {
            Ok(done) => done,
            Err(error) => {
                tracing::debug!(%error, "the second connection gives up");
                self.tired = true;
                self.conn = None;
                false
            }
        }
    }

    async fn attempt<F>(&mut self, work: F) -> Result<bool>
    where
        F: AsyncFnOnce(&mut PgConnection) -> Result<bool>,
    {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(PgConnection::connect_with(&self.options).await?),
        };
        let mut tx = conn.begin().await?;
        let done = work(&mut tx).await?;
        if done {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(done)
    }

    pub(super) async fn close(self) {
        if let Some(conn) = self.conn {
            conn.close().await.ok();
        }
    }
}
