//! What the planner of Postgres knows of tables that were just filled.

use sqlx::PgConnection;

use crate::Result;

// Of a table without statistics the planner believes that next to nothing passes a condition, and sorts the
// whole of it where it should walk an index. Autovacuum sees to that a minute later or, when it is off or
// busy, never. A sample a third of the usual one takes a third of the time, and what is asked here does not
// need more. Whoever works on a table is not waited for.
pub(super) const ANALYZE_NEW: &str = "\
do $$
declare
    filled regclass;
begin
    perform set_config('default_statistics_target', '30', true);
    for filled in
        select c.oid from pg_class c
         where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and c.relpersistence = 'p'
           and pg_relation_size(c.oid) > 0 and pg_has_role(c.relowner, 'usage')
           and not exists (select from pg_stats s
                            where s.schemaname = current_schema() and s.tablename = c.relname)
    loop
        execute format('analyze (skip_locked) %s', filled);
    end loop;
end
$$";

/// Looks at the tables that have rows and no statistics.
pub(super) async fn analyze_new(conn: &mut PgConnection) -> Result<()> {
    sqlx::query(ANALYZE_NEW).execute(conn).await?;
    Ok(())
}
