//! Indexes that a first sync of many records builds at its end.
//!
//! Row by row they cost more than the records themselves. While they are missing every answer is right and
//! only slower; which ones are missing is in the database, so the run that comes to its end builds them,
//! whatever happened to those before it.

use sqlx::{Acquire as _, PgConnection};

use crate::Result;

/// What may be put off until the end of a first sync.
#[derive(Debug, Clone, Copy)]
pub struct Bulk {
    /// Tables that the collection fills. One that has rows keeps its indexes.
    pub tables: &'static [&'static str],
    /// From how many records on it is worth it.
    pub from: i64,
}

// Somebody who reads the table for long is not waited for, and nobody waits behind us.
pub(super) const IMPATIENT: &str = "set local lock_timeout = '200ms'";

pub(super) const PUT_OFF: &str = "select sync_put_off($1, $2)";

pub(super) const WAITING: &str =
    "select name from sync_indexes where collection = $1 order by name";

pub(super) const BUILD: &str = "select sync_build($1)::text";

/// Drops the indexes of tables that are empty, or leaves everything as it is.
pub(super) async fn put_off(conn: &mut PgConnection, collection: &str, bulk: Bulk) -> Result<()> {
    let mut tx = conn.begin().await?;
    sqlx::query(IMPATIENT).execute(&mut *tx).await?;
    let count: i32 = sqlx::query_scalar(PUT_OFF)
        .bind(collection)
        .bind(bulk.tables)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    tracing::debug!(collection, count, "indexes are built at the end");
    Ok(())
}

/// Builds what is missing, one after the other: writers wait for one index at a time.
pub(super) async fn build(conn: &mut PgConnection, collection: &str) -> Result<()> {
    let waiting: Vec<String> = sqlx::query_scalar(WAITING)
        .bind(collection)
        .fetch_all(&mut *conn)
        .await?;
    for name in waiting {
        sqlx::query(BUILD).bind(name).execute(&mut *conn).await?;
    }
    Ok(())
}
