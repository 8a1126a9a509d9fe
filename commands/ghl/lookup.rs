//! Contacts by id for a list that another search made, and names to complete.

use std::collections::HashMap;

use medtainer_core::Result;
use sqlx::PgConnection;

use super::store::Line;

const LINES: &str = "\
select id::text, name, company, email, phone, coalesce(tags, '{}') as tags, source, assigned_to, created_at,
       updated_at, changed_at, last_synced, lower(coalesce(name, '')) as sort_name
  from contacts where id = any($1)";

// A prefix of a name walks the index of names; ids and the words after the first are few enough.
const COMPLETE: &str = "\
select name, case count(*) when 1 then coalesce(min(company), min(email), min(phone), min(id))
                  else count(*) || ' contacts of this name' end
  from (select id::text, name, company, email, phone
          from contacts
         where deleted_at is null and ecosystem = 'gohighlevel'
           and lower(coalesce(name, '')) >= $1 and lower(coalesce(name, '')) < $2 and name is not null
         order by lower(coalesce(name, '')), id limit 1000) as named
 group by name order by lower(name) limit $3";

const COMPLETE_ID: &str = "\
select id::text, coalesce(name, company, email, phone, 'no name')
  from contacts
 where deleted_at is null and ecosystem = 'gohighlevel' and id >= $1 and id < $2
 order by id limit $3";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::LINES", LINES),
    ("ghl::COMPLETE", COMPLETE),
    ("ghl::COMPLETE_ID", COMPLETE_ID),
];

/// Lines of a list, in the order of the ids; an id that is not there has none.
pub async fn lines(conn: &mut PgConnection, ids: &[String]) -> Result<Vec<Line>> {
    let found: Vec<Line> = sqlx::query_as(LINES).bind(ids).fetch_all(conn).await?;
    let mut found: HashMap<String, Line> = found
        .into_iter()
        .map(|line| (line.id.clone(), line))
        .collect();
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// What a person calls a contact: the name, else what there is.
pub async fn called(conn: &mut PgConnection, id: &str) -> Result<String> {
    let line = lines(conn, &[id.to_owned()]).await?.pop();
    let names = line.map(|line| [line.name, line.company, line.email, line.phone]);
    Ok(names
        .and_then(|names| names.into_iter().flatten().next())
        .unwrap_or_else(|| format!("contact `{id}`")))
}

/// Names, and ids with the names they stand for, that begin like this.
pub async fn complete(
    conn: &mut PgConnection,
    typed: &str,
    most: usize,
) -> Result<Vec<(String, String)>> {
    let from = typed.to_lowercase();
    let mut candidates: Vec<(String, String)> = sqlx::query_as(COMPLETE)
        .bind(&from)
        .bind(format!("{from}\u{10ffff}"))
        .bind(most as i64)
        .fetch_all(&mut *conn)
        .await?;
    if candidates.is_empty() && !typed.is_empty() {
        candidates = sqlx::query_as(COMPLETE_ID)
            .bind(typed)
            .bind(format!("{typed}\u{10ffff}"))
            .bind(most as i64)
            .fetch_all(conn)
            .await?;
    }
    Ok(candidates)
}
