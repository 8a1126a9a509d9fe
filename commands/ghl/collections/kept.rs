//! A table of the CRM as a collection to sync.

use std::time::Duration;

use futures::future::BoxFuture;
use medtainer_core::Result;
use medtainer_core::sync::{Applied, Collection, Row};
use sqlx::PgConnection;

use crate::ghl::store::table::Table;

/// A table and how fresh it has to be.
pub struct Kept {
    /// The table.
    pub table: &'static Table,
    /// How old an answer from it may be.
    pub freshness: Duration,
    /// How far an incremental run reaches back: the provider's index lags behind.
    pub overlap: Duration,
    /// How often a sweep fetches all of it, which costs a request for each page.
    pub sweeps_every: Duration,
}

/// A quarter of an hour: as often as the schedule runs.
pub const FRESH: Duration = Duration::from_secs(15 * 60);

/// Once a day, as for contacts.
pub const DAY: Duration = Duration::from_secs(24 * 3_600);

/// As for contacts.
pub const OVERLAP: Duration = Duration::from_secs(300);

impl Collection for Kept {
    fn name(&self) -> &'static str {
        self.table.collection
    }

    fn freshness(&self) -> Duration {
        self.freshness
    }

    fn overlap(&self) -> Duration {
        self.overlap
    }

    fn sweeps_every(&self) -> Duration {
        self.sweeps_every
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(self.table.put(conn, rows, Some(run)))
    }

    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>> {
        Box::pin(self.table.live(conn))
    }

    fn missing<'a>(&'a self, conn: &'a mut PgConnection, run: i64) -> BoxFuture<'a, Result<i64>> {
        Box::pin(self.table.missing(conn, run))
    }

    fn bury<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        run: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<i64>> {
        Box::pin(self.table.bury(conn, run, limit))
    }
}
