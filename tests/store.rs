//! The store: adoption, migrations that meet, businesses that do not, and the audit trail.

use std::time::Duration;

use medtainer_core::store::audit::{Caller, Execution, Recorder};
use medtainer_core::store::{Business, Store, needs_migration};
use medtainer_core::sync::Board;
use medtainer_core::{Error, Kind};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};

use crate::database;

const SCHEMA: &str = include_str!("fixtures/legacy_schema.sql");
const ROWS: &str = include_str!("fixtures/legacy_rows.sql");

const TABLES: [(&str, i64); 11] = [
    ("tool_executions", 2),
    ("api_calls", 1),
    ("contacts", 7),
    ("invoices", 1),
    ("orders", 1),
    ("contact_context", 1),
    ("interaction_history", 1),
    ("godaddy_domains", 1),
    ("godaddy_dns_records", 1),
    ("godaddy_mx_records", 1),
    ("godaddy_subdomains", 1),
];

async fn count(conn: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}")))
        .fetch_one(conn)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_database_of_the_old_system_is_adopted_with_every_row() {
    let options = database::fresh().await;
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(SCHEMA).execute(&mut conn).await.unwrap();
    sqlx::raw_sql(ROWS).execute(&mut conn).await.unwrap();
    let before: Vec<(String, String, Option<chrono::DateTime<chrono::Utc>>)> =
        sqlx::query_as("select id, data::text, last_synced from contacts order by id")
            .fetch_all(&mut conn)
            .await
            .unwrap();

    let store = database::store(&options, "default");
    store.prepare().await.unwrap();
    store.prepare().await.unwrap();

    let mut conn = store.pool().acquire().await.unwrap();
    for (table, rows) in TABLES {
        assert_eq!(count(&mut conn, table).await, rows, "{table}");
    }
    let after: Vec<(String, String, Option<chrono::DateTime<chrono::Utc>>)> =
        sqlx::query_as("select id, data::text, last_synced from contacts order by id")
            .fetch_all(&mut *conn)
            .await
            .unwrap();
    assert_eq!(before, after);

    type Whole = (
        String,
        String,
        String,
        String,
        Vec<String>,
        String,
        String,
        Option<String>,
    );
    let whole: Whole = sqlx::query_as(
        "select name, first_name, email, company, tags, assigned_to, created_at::date::text, account
           from contacts where id = 'whole'",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert_eq!(
        whole,
        (
            "Peggy Sue".into(),
            "Peggy".into(),
            "peggy@acme.test".into(),
            "Acme".into(),
            vec!["vip".into()],
            "u1".into(),
            "2025-01-02".into(),
            Some("L1".into())
        )
    );
    let odd: Vec<(String, Option<String>, i32)> = sqlx::query_as(
        "select id, name, cardinality(tags) from contacts where id <> 'whole' and deleted_at is null order by id",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let odd: Vec<_> = odd
        .iter()
        .map(|(id, name, tags)| (id.as_str(), name.as_deref(), *tags))
        .collect();
    assert_eq!(
        odd[..4],
        [
            ("array", None, 0),
            ("bad-dates", Some("Bob"), 0),
            ("empty", None, 0),
            ("nested", None, 0)
        ]
    );

    // What the old system writes still goes in, and its owner's queries still work.
    let old = "insert into contacts (id, data) values ('late', '{}') on conflict (id) do update set data = excluded.data";
    conn.execute(old).await.unwrap();
    assert_eq!(count(&mut conn, "owners_contacts").await, 8);
    let extension: String = sqlx::query_scalar(
        "select extnamespace::regnamespace::text from pg_extension where extname = 'pg_trgm'",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert_eq!(extension, "ext");
}

#[tokio::test]
async fn many_that_migrate_at_once_migrate_once() {
    let options = database::fresh().await;
    let stores: Vec<Store> = [
        "default", "acme", "sandbox", "default", "acme", "default", "acme", "default",
    ]
    .iter()
    .map(|name| database::store(&options, name))
    .collect();
    let done = futures::future::join_all(stores.iter().map(Store::prepare)).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    for store in &stores {
        let (applied, known) = store.versions().await.unwrap();
        assert_eq!(applied, Some(known));
    }
}

#[tokio::test]
async fn work_that_meets_no_tables_makes_them_and_goes_on() {
    let store = database::store(&database::fresh().await, "acme");
    assert_eq!(store.versions().await.unwrap().0, None);
    let raw = sqlx::query("select id from contacts")
        .execute(store.pool())
        .await
        .unwrap_err();
    assert!(needs_migration(&raw) && needs_migration(&Error::from(raw)));
    let rows: i64 = store
        .retrying(|pool| {
            Box::pin(async move {
                Ok(sqlx::query_scalar("select count(*) from contacts")
                    .fetch_one(pool)
                    .await?)
            })
        })
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_business_sees_no_other_business() {
    let options = database::fresh().await;
    let default = database::store(&options, "default");
    default.prepare().await.unwrap();
    default
        .pool()
        .execute("insert into contacts (id, data) values ('mine', '{}')")
        .await
        .unwrap();

    // Not even before it has tables of its own.
    let acme = database::store(&options, "acme");
    let error = acme
        .pool()
        .execute("select id from contacts")
        .await
        .unwrap_err();
    assert!(needs_migration(&error));
    acme.prepare().await.unwrap();
    let mut conn = acme.pool().acquire().await.unwrap();
    assert_eq!(count(&mut conn, "contacts").await, 0);
    conn.execute("insert into contacts (id, data) values ('theirs', '{}'), ('mine', '{}')")
        .await
        .unwrap();
    assert_eq!(
        count(&mut default.pool().acquire().await.unwrap(), "contacts").await,
        1
    );
    let sandbox = "acme".parse::<Business>().unwrap().sandboxed();
    let sandbox = database::store(&options, sandbox.name());
    sandbox.prepare().await.unwrap();
    assert_eq!(
        count(&mut sandbox.pool().acquire().await.unwrap(), "contacts").await,
        0
    );
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let store = database::migrated().await;
    store
        .pool()
        .execute("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)")
        .await
        .unwrap();
    let error = store.prepare().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().contains("9999"), "{error}");
}

#[tokio::test]
async fn every_statement_fits_the_tables() {
    let store = database::migrated().await;
    let mut conn = store.pool().acquire().await.unwrap();
    let core = [
        medtainer_core::store::STATEMENTS,
        medtainer_core::http::STATEMENTS,
        medtainer_core::auth::STATEMENTS,
        &[medtainer_core::sync::STATEMENTS],
        &[medtainer_core::mcp::keys::STATEMENTS],
        &[medtainer_core::mcp::seals::STATEMENTS],
        medtainer_core::mcp::oauth::STATEMENTS,
        &[medtainer_core::mcp::client::shelf::STATEMENTS],
        &[medtainer::digitalocean::store::STATEMENTS],
        &[medtainer::ghl::lessons::STATEMENTS],
        &[medtainer::ghl::lookup::STATEMENTS],
        medtainer::godaddy::store::STATEMENTS,
        &[medtainer::ghl::store::activity::STATEMENTS],
        &[medtainer::ghl::store::advice::STATEMENTS],
        &[medtainer::ghl::store::figures::STATEMENTS],
        &[medtainer::ghl::store::portrait::STATEMENTS],
        &[medtainer::ghl::store::deals::STATEMENTS],
        &[medtainer::ghl::store::rollups::STATEMENTS],
        &[medtainer::ghl::store::timeline::STATEMENTS],
        medtainer_core::daemon::STATEMENTS,
        &[medtainer_core::writes::ledger::STATEMENTS],
        &[medtainer_core::jobs::STATEMENTS],
    ]
    .concat();
    let core = core
        .into_iter()
        .flatten()
        .map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned()));
    let mut described = 0;
    let tables = medtainer::ghl::store::crm::TABLES;
    let tables = tables.iter().flat_map(|table| table.statements());
    for (name, statement) in core
        .chain(medtainer::ghl::store::statements())
        .chain(tables)
    {
        let fits = conn.describe(AssertSqlSafe(statement).into_sql_str()).await;
        assert!(fits.is_ok(), "{name}: {}", fits.unwrap_err());
        described += 1;
    }
    assert!(described >= 35, "only {described}");
}

fn call(params: &serde_json::Value) -> Execution {
    Execution::new(
        "gohighlevel.read_contacts",
        "ghl contacts",
        "read",
        Caller::Mcp,
        params,
    )
    .principal("claude")
    .timed(chrono::Utc::now(), Duration::from_millis(12))
}

#[tokio::test]
async fn a_call_is_recorded_without_what_is_private() {
    let store = database::store(&database::fresh().await, "default");
    let recorder = Recorder::alone(store.clone());
    let params = json!({ "who": "Peggy Sue\u{0}", "limit": 5, "token": "pit-1" });
    let summary = json!({ "count": 5, "complete": true })
        .as_object()
        .cloned()
        .unwrap();
    let first = recorder
        .record(call(&params).answered("success", Some("cached"), summary))
        .await
        .unwrap();
    let error = Error::not_found("no contact `Peggy Sue\u{0}`");
    let second = recorder
        .record(call(&params).calls(2).failed(&error, &params))
        .await
        .unwrap();
    assert!(second > first);

    type Row = (
        String,
        String,
        String,
        String,
        String,
        Option<String>,
        Option<String>,
        i16,
        i32,
        i32,
    );
    let rows: Vec<Row> = sqlx::query_as(
        "select tool_name, params::text, response::text, status, caller, source, error_message, exit_code, calls, duration_ms
           from tool_executions order by id",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    let params = r#"{"who": "[redacted]", "limit": 5}"#;
    let tool = "gohighlevel.read_contacts";
    assert_eq!(
        rows,
        [
            (
                tool.into(),
                params.into(),
                r#"{"count": 5, "complete": true}"#.into(),
                "success".into(),
                "mcp".into(),
                Some("cached".into()),
                None,
                0,
                0,
                12
            ),
            (
                tool.into(),
                params.into(),
                "{}".into(),
                "error".into(),
                "mcp".into(),
                None,
                Some("no contact `[redacted]`".into()),
                4,
                2,
                12
            ),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_share_commits_each_get_their_own_row() {
    let store = database::migrated().await;
    let (recorder, task) = Recorder::grouped(store.clone());
    let calls = (0..500).map(|n| {
        let recorder = recorder.clone();
        tokio::spawn(async move {
            (
                n,
                recorder.record(call(&json!({ "limit": n }))).await.unwrap(),
            )
        })
    });
    let recorded = futures::future::join_all(calls).await;
    drop(recorder);
    task.await.unwrap();
    for call in recorded {
        let (n, id) = call.unwrap();
        let limit: i32 = sqlx::query_scalar(
            "select (params ->> 'limit')::int from tool_executions where id = $1",
        )
        .bind(id)
        .fetch_one(store.pool())
        .await
        .unwrap();
        assert_eq!(limit, n);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_share_a_reading_are_told_nothing_older_than_their_question() {
    let store = database::migrated().await;
    sqlx::query("insert into sync_state (collection, provider_total) values ('x', 0)")
        .execute(store.pool())
        .await
        .unwrap();
    let board = Board::new(store.clone());
    let callers = (0..16).map(|_| {
        let (store, board) = (store.clone(), board.clone());
        tokio::spawn(async move {
            for _ in 0..25 {
                let written: i64 = sqlx::query_scalar(
                    "update sync_state set provider_total = provider_total + 1 returning provider_total",
                )
                .fetch_one(store.pool())
                .await
                .unwrap();
                let state = board.state("x").await.unwrap();
                assert!(state.provider_total.unwrap() >= written);
            }
        })
    });
    for caller in futures::future::join_all(callers).await {
        caller.unwrap();
    }
    assert_eq!(board.state("y").await.unwrap().last_run_id, None);
}

#[tokio::test]
async fn what_ails_postgres_is_told_apart_from_our_defects() {
    let mut conn = PgConnection::connect_with(&database::fresh().await)
        .await
        .unwrap();
    for (code, kind, words) in [
        ("53100", Kind::Unavailable, "disk is full"),
        ("53300", Kind::Unavailable, "no connection left"),
        (
            "57P01",
            Kind::Unavailable,
            "connection to Postgres was lost",
        ),
        ("22012", Kind::Internal, "a statement failed"),
    ] {
        let sql = format!("do $$ begin raise sqlstate '{code}'; end $$");
        let failed = conn.execute(AssertSqlSafe(sql)).await.unwrap_err();
        let error = Error::from(failed);
        assert_eq!(error.kind(), kind, "{code}");
        assert!(error.message().contains(words), "{code}: {error}");
    }
}
