//! What the owner taught about contacts: `contact_context`, a table of the system being replaced.

use medtainer_core::Result;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

// The old system may have left several rows for one contact; they are one lesson together.
const TAUGHT: &str = "\
select coalesce(array(select distinct name from contact_context c, unnest(c.nicknames) name
                       where c.contact_id = $1 order by name), '{}') as nicknames,
       coalesce(array(select distinct name from contact_context c, unnest(c.aliases) name
                       where c.contact_id = $1 order by name), '{}') as aliases,
       (select notes from contact_context where contact_id = $1 and notes is not null
         order by updated_at desc nulls last, id desc limit 1) as notes,
       (select importance from contact_context where contact_id = $1 and importance is not null
         order by updated_at desc nulls last, id desc limit 1) as importance
 where exists (select from contact_context where contact_id = $1)";

// Two lessons at once must not make two rows: the contact's row is the lock.
const LOCK: &str = "select id from contacts where id = $1 for update";

const ADD: &str = "\
insert into contact_context (contact_id, nicknames, aliases, importance)
select id, '{}', '{}', null from contacts c
 where c.id = $1 and not exists (select from contact_context where contact_id = c.id)";

const TEACH: &str = "\
update contact_context c
   set nicknames = array(select distinct name from unnest(coalesce(c.nicknames, '{}') || $2::text[]) name order by name),
       aliases = array(select distinct name from unnest(coalesce(c.aliases, '{}') || $3::text[]) name order by name),
       notes = coalesce($4, c.notes),
       importance = coalesce($5, c.importance),
       updated_at = now()
 where c.id = (select id from contact_context where contact_id = $1 order by updated_at desc nulls last, id desc limit 1)";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::TAUGHT", TAUGHT),
    ("ghl::LOCK", LOCK),
    ("ghl::ADD", ADD),
    ("ghl::TEACH", TEACH),
];

/// What is known of a contact besides what the provider has.
#[derive(Debug, Default, Serialize, JsonSchema, FromRow)]
pub struct Taught {
    /// Nicknames.
    pub nicknames: Vec<String>,
    /// What the owner calls them.
    pub aliases: Vec<String>,
    /// The owner's note.
    pub notes: Option<String>,
    /// How important, 0 to 10; absent when nobody said.
    pub importance: Option<i32>,
}

/// What is to be added.
#[derive(Debug)]
pub struct Lesson {
    /// Nicknames to add.
    pub nicknames: Vec<String>,
    /// Other names to add.
    pub aliases: Vec<String>,
    /// A note in place of the one there is.
    pub note: Option<String>,
    /// How important, 0 to 10.
    pub importance: Option<i32>,
}

impl Lesson {
    /// Whether there is nothing to learn.
    pub fn is_empty(&self) -> bool {
        self.nicknames.is_empty()
            && self.aliases.is_empty()
            && self.note.is_none()
            && self.importance.is_none()
    }
}

/// What was taught about a contact, if anything.
pub async fn taught(conn: &mut PgConnection, id: &str) -> Result<Option<Taught>> {
    Ok(sqlx::query_as(TAUGHT).bind(id).fetch_optional(conn).await?)
}

/// Adds a lesson about a contact, whole or not at all.
pub async fn teach(conn: &mut PgConnection, id: &str, lesson: &Lesson) -> Result<()> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    sqlx::query(LOCK).bind(id).execute(&mut *tx).await?;
    sqlx::query(ADD).bind(id).execute(&mut *tx).await?;
    sqlx::query(TEACH)
        .bind(id)
        .bind(&lesson.nicknames)
        .bind(&lesson.aliases)
        .bind(&lesson.note)
        .bind(lesson.importance)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
