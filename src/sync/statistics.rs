//! What the planner of Postgres knows of tables that were just filled.

use sqlx::PgConnection;

use crate::Result;

// Of a table that was never analyzed the planner believes that next to nothing passes a condition, and
// sorts the whole of it where it should walk an index. Autovacuum would see to it a minute later, and
// more thoroughly: a sample ten times smaller than its own is enough until then. Who works on the table
// meanwhile is not waited for.
pub(super) const ANALYZE_NEW: &str = "\
do $$
declare
    filled regclass;
begin
    perform set_config('default_statistics_target', '10', true), set_config('lock_timeout', '200ms', true);
    for filled in
        select oid from pg_class
         where relnamespace = current_schema()::regnamespace and relkind = 'r' and relpersistence = 'p'
           and reltuples < 0 and pg_relation_size(oid) > 0
           and pg_has_role(relowner, 'usage')
    loop
        execute format('analyze %s', filled);
    end loop;
end
$$";

/// Looks at the tables that have rows and that nobody has looked at yet.
pub(super) async fn analyze_new(conn: &mut PgConnection) -> Result<()> {
    sqlx::query(ANALYZE_NEW).execute(conn).await?;
    Ok(())
}
