//! Bringing a database up to date, by whichever process notices first.

use sqlx::migrate::MigrateError;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{EXTENSIONS_SCHEMA, Store};
use crate::{Error, Result};

// Advisory locks belong to a database, and so do extensions: one key for all businesses.
const LOCK_KEY: i64 = 0x6d65_6474_6169_6e65;

const LOCK: &str = "select pg_advisory_lock($1)";

const CURRENT_SCHEMA: &str = "select current_schema()::text";

const EXTENSION_SCHEMAS: &str = "\
select e.extname::text, n.nspname::text
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace
 where e.extname = any($1)";

const HAS_VERSIONS: &str = "select to_regclass('_sqlx_migrations') is not null";

const VERSION: &str = "select max(version) from _sqlx_migrations where success";

const SCHEMA_EXISTS: &str = "select exists (select 1 from pg_namespace where nspname = $1)";

const EXTENSIONS: [&str; 4] = ["pg_trgm", "unaccent", "fuzzystrmatch", "btree_gin"];

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("prepare::LOCK", LOCK),
    ("prepare::CURRENT_SCHEMA", CURRENT_SCHEMA),
    ("prepare::EXTENSION_SCHEMAS", EXTENSION_SCHEMAS),
    ("prepare::HAS_VERSIONS", HAS_VERSIONS),
    ("prepare::VERSION", VERSION),
    ("prepare::SCHEMA_EXISTS", SCHEMA_EXISTS),
];

/// Whether an error (ours or sqlx's) means that tables, columns or extensions are still missing.
pub fn needs_migration(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(sqlx::Error::Database(db)) = error.downcast_ref::<sqlx::Error>() {
            // undefined table, column, schema, function, object
            return matches!(
                db.code().as_deref(),
                Some("42P01" | "42703" | "3F000" | "42883" | "42704")
            );
        }
        next = error.source();
    }
    false
}

pub(super) async fn versions(store: &Store) -> Result<(Option<i64>, i64)> {
    let known = store.0.migrator.iter().map(|m| m.version).max();
    let mut conn = store.acquire().await?;
    Ok((applied(&mut conn).await?, known.unwrap_or_default()))
}

async fn applied(conn: &mut PgConnection) -> Result<Option<i64>> {
    let migrated: bool = sqlx::query_scalar(HAS_VERSIONS)
        .fetch_one(&mut *conn)
        .await?;
    if !migrated {
        return Ok(None);
    }
    Ok(sqlx::query_scalar(VERSION).fetch_one(conn).await?)
}

pub(super) async fn prepare(store: &Store) -> Result<()> {
    // A connection of its own, closed at the end: a migration that fails leaves its advisory lock
    // on the session, which must not go back to a pool.
    let mut conn = PgConnection::connect_with(&store.options())
        .await
        .map_err(connecting)?;
    let done = migrate(store, &mut conn).await;
    conn.close().await.ok();
    done
}

async fn migrate(store: &Store, conn: &mut PgConnection) -> Result<()> {
    sqlx::query(LOCK).bind(LOCK_KEY).execute(&mut *conn).await?;
    let known = store
        .0
        .migrator
        .iter()
        .map(|m| m.version)
        .max()
        .unwrap_or_default();
    if let Some(applied) = applied(conn).await?
        && applied > known
    {
        return Err(newer(applied, known));
    }
    // `create schema if not exists` asks for the right to create schemas even where there is
    // nothing to do, and an owner of one database need not have it.
    let schema = store.business().schema();
    for name in [schema.as_str(), EXTENSIONS_SCHEMA] {
        if !schema_exists(conn, name).await? {
            run(conn, format!("create schema \"{name}\"")).await?;
        }
    }
    extensions(conn).await?;
    let current: Option<String> = sqlx::query_scalar(CURRENT_SCHEMA)
        .fetch_one(&mut *conn)
        .await?;
    if current.as_deref() != Some(schema.as_str()) {
        return Err(Error::internal(format!(
            "the connection is in schema `{}`, not in `{schema}`",
            current.unwrap_or_default()
        ))
        .hint("A proxy that drops connection options, such as PgBouncer, cannot stand between: point `DATABASE_URL` at Postgres itself."));
    }
    // `run` itself is generic in a way that keeps the future from being `Send`; this is what it calls.
    store
        .0
        .migrator
        .run_direct(None, conn, false)
        .await
        .map_err(migrating)?;
    Ok(())
}

async fn schema_exists(conn: &mut PgConnection, name: &str) -> Result<bool> {
    Ok(sqlx::query_scalar(SCHEMA_EXISTS)
        .bind(name)
        .fetch_one(conn)
        .await?)
}

async fn extensions(conn: &mut PgConnection) -> Result<()> {
    let present: Vec<(String, String)> = sqlx::query_as(EXTENSION_SCHEMAS)
        .bind(EXTENSIONS.map(String::from).to_vec())
        .fetch_all(&mut *conn)
        .await?;
    for name in EXTENSIONS {
        let found = present.iter().find(|(extension, _)| extension == name);
        let statement = match found {
            Some((_, schema)) if schema == EXTENSIONS_SCHEMA => continue,
            // An adopted database has them in `public`, where other businesses do not look.
            Some(_) => format!("alter extension {name} set schema {EXTENSIONS_SCHEMA}"),
            None => format!("create extension {name} schema {EXTENSIONS_SCHEMA}"),
        };
        run(conn, statement).await.map_err(|error| {
            Error::refused(format!("the Postgres extension `{name}` could not be put into schema `{EXTENSIONS_SCHEMA}`"))
                .hint(format!("Install Postgres's contrib package, or let a superuser run `create extension {name} schema {EXTENSIONS_SCHEMA}`."))
                .because(error)
        })?;
    }
    Ok(())
}

// Only names that are constants or a parsed `Business` get here.
async fn run(conn: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement))
        .execute(conn)
        .await
        .map(drop)
}

fn newer(applied: i64, known: i64) -> Error {
    Error::conflict(format!(
        "the database is at version {applied}, this medtainer knows versions up to {known}"
    ))
    .hint("A newer medtainer has migrated it: install that version, `medtainer --version` tells this one's.")
}

fn migrating(error: MigrateError) -> Error {
    match error {
        // A newer database was told apart above; this one went another way.
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => Error::conflict(format!(
            "migration {version} of the database is not the one this medtainer knows"
        ))
        .hint("It was migrated by another build: `medtainer db migrate` of that build goes on from there."),
        error => Error::internal("the database could not be migrated")
            .hint("Nothing was half done; `-v` shows the statement that failed.")
            .because(error),
    }
}

fn connecting(error: sqlx::Error) -> Error {
    let code = match &error {
        sqlx::Error::Database(db) => db.code().map(|code| code.into_owned()),
        _ => None,
    };
    match code.as_deref() {
        Some("28P01" | "28000") => Error::auth("Postgres refused the user or the password")
            .hint("Mend the user or the password in `DATABASE_URL`.")
            .because(error),
        Some("3D000") => Error::not_found("there is no such database in Postgres")
            .hint("Create it with `createdb`, or correct `DATABASE_URL`.")
            .because(error),
        _ => error.into(),
    }
}
