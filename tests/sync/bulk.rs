//! What a first sync of many records puts off, and who does it when that run does not come to its end.

use std::time::Duration;

use futures::future::BoxFuture;
use medtainer::ghl;
use medtainer_core::store::Store;
use medtainer_core::sync::{
    self, Applied, Beside, Bulk, Collection, Cursor, Mode, Options, Page, Row, Source, Span,
};
use medtainer_core::{Error, Result};
use sqlx::{Connection as _, PgConnection};

use super::number;
use crate::database;

/// The contacts of the product, of which few are many.
struct Few;

fn contacts() -> &'static dyn Collection {
    ghl::GHL.feeds[0].collection
}

impl Collection for Few {
    fn name(&self) -> &'static str {
        contacts().name()
    }
    fn freshness(&self) -> Duration {
        contacts().freshness()
    }
    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        contacts().apply(conn, rows, run)
    }
    fn apply_beside<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        beside: &'a mut Beside,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        contacts().apply_beside(conn, beside, rows, run)
    }
    fn bulk(&self) -> Option<Bulk> {
        contacts().bulk().map(|bulk| Bulk { from: 400, ..bulk })
    }
    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>> {
        contacts().live(conn)
    }
    fn missing<'a>(&'a self, conn: &'a mut PgConnection, run: i64) -> BoxFuture<'a, Result<i64>> {
        contacts().missing(conn, run)
    }
    fn bury<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        run: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<i64>> {
        contacts().bury(conn, run, limit)
    }
    fn settle<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<()>> {
        contacts().settle(conn)
    }
}

/// So many people, two hundred in a page, up to a page that fails.
struct People(usize, Option<usize>);

impl Source for People {
    fn fetch<'a>(&'a self, _: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        let from: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        let People(all, fails_at) = *self;
        Box::pin(async move {
            if fails_at == Some(from / 200) {
                return Err(Error::unavailable("the provider is down"));
            }
            let rows: Vec<Row> = (from..all.min(from + 200))
                .map(|n| {
                    let body =
                        format!(r#"{{"id":"b{n:05}","firstName":"Ada","lastName":"L{n}x"}}"#);
                    Row::new(format!("b{n:05}"), None, &body)
                })
                .collect();
            Ok(Page {
                next: (rows.len() == 200).then(|| Cursor((from + 200).to_string())),
                rows,
                total: i64::try_from(all).ok(),
                calls: 1,
                skipped: 0,
                ..Page::default()
            })
        })
    }
}

async fn indexes(store: &Store) -> Vec<String> {
    sqlx::query_scalar(
        "select indexdef from pg_indexes where schemaname = current_schema() and tablename in ('contacts', 'people') order by 1",
    )
    .fetch_all(store.pool())
    .await
    .unwrap()
}

const UNFOUND: &str = "select count(*) from contacts c full join people p on p.contact_id = c.id
    where c.id is null or p.contact_id is null";

async fn found(store: &Store, text: &str) -> Vec<String> {
    let mut conn = store.pool().acquire().await.unwrap();
    let hits = medtainer_core::people::search(&mut conn, text, 3).await;
    hits.unwrap().into_iter().map(|hit| hit.id).collect()
}

#[tokio::test]
async fn indexes_put_off_are_built_by_the_run_that_comes_to_its_end() {
    let store = database::migrated().await;
    let before = indexes(&store).await;
    assert!(before.len() > 8, "{before:?}");
    let options = Options::default();
    let failed = sync::run(&store, &Few, &People(900, Some(2)), &options).await;
    assert!(failed.is_err());
    let keys: Vec<_> = indexes(&store).await;
    assert!(
        keys.iter().all(|index| index.contains("UNIQUE")),
        "{keys:?}"
    );
    assert_eq!(
        number(&store, "select count(*) from sync_indexes").await,
        i64::try_from(before.len() - keys.len()).unwrap()
    );
    // What is there is found all the same.
    assert_eq!(number(&store, UNFOUND).await, 0);
    assert_eq!(found(&store, "ada l177x").await[0], "b00177");

    let done = sync::run(&store, &Few, &People(900, None), &options)
        .await
        .unwrap();
    assert!(done.is_complete() && done.run.resumed == 1, "{done:?}");
    assert_eq!((done.run.inserted, done.run.fetched), (900, 900));
    assert_eq!(indexes(&store).await, before);
    assert_eq!(number(&store, "select count(*) from sync_indexes").await, 0);
    assert_eq!(number(&store, UNFOUND).await, 0);
    assert_eq!(found(&store, "ada l877x").await[0], "b00877");
}

#[tokio::test]
async fn a_table_with_rows_or_with_a_long_reader_keeps_its_indexes() {
    let store = database::migrated().await;
    let before = indexes(&store).await;
    let mut reader = PgConnection::connect_with(&store.options()).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("select count(*) from contacts")
        .execute(&mut *reading)
        .await
        .unwrap();
    let options = Options::default();
    let failed = sync::run(&store, &Few, &People(900, Some(1)), &options).await;
    assert!(failed.is_err());
    assert_eq!(indexes(&store).await, before);
    drop(reading);

    let full = Options {
        mode: Mode::Full,
        ..Options::default()
    };
    sqlx::query("delete from sync_state")
        .execute(store.pool())
        .await
        .unwrap();
    sync::run(&store, &Few, &People(900, Some(3)), &full)
        .await
        .unwrap_err();
    assert_eq!(indexes(&store).await, before);
    assert_eq!(number(&store, UNFOUND).await, 0);
}

#[tokio::test]
async fn what_the_second_connection_cannot_file_the_first_one_does() {
    let store = database::migrated().await;
    // In the queue, and being worked at: its page has to be filed with the contacts themselves.
    sqlx::query("insert into people_stale (contact_id) values ('b00007')")
        .execute(store.pool())
        .await
        .unwrap();
    // And somebody has an entry that another page wants to write.
    let mut other = PgConnection::connect_with(&store.options()).await.unwrap();
    let mut holds = other.begin().await.unwrap();
    sqlx::query(
        "insert into people (contact_id, name, company, emails, phones, taught, name_key, keys)
         values ('b00300', '', '', '', '', '', 0, '{}')",
    )
    .execute(&mut *holds)
    .await
    .unwrap();
    let run = async {
        let options = Options::default();
        sync::run(&store, contacts(), &People(500, None), &options).await
    };
    let lets_go = async {
        // Longer than the second connection waits.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        holds.rollback().await.unwrap();
    };
    let (done, ()) = futures::future::join(run, lets_go).await;
    assert!(done.unwrap().is_complete());
    assert_eq!(number(&store, UNFOUND).await, 0);
    assert_eq!(number(&store, "select count(*) from people_stale").await, 0);
    assert_eq!(found(&store, "ada l300x").await[0], "b00300");
}

#[tokio::test]
async fn the_first_list_after_a_first_sync_walks_its_index() {
    let collections: [(&str, &dyn Collection); 2] = [("few", contacts()), ("many", &Few)];
    for (what, collection) in collections {
        let store = database::migrated().await;
        let done = sync::run(&store, collection, &People(900, None), &Options::default()).await;
        assert!(done.unwrap().is_complete());
        let plan: Vec<String> = sqlx::query_scalar(
            "explain select id from contacts where deleted_at is null and ecosystem = 'gohighlevel'
              order by changed_at desc, id desc limit 11",
        )
        .fetch_all(store.pool())
        .await
        .unwrap();
        let plan = plan.join("\n");
        assert!(
            plan.contains("idx_contacts_changed") && !plan.contains("Sort"),
            "{what}: {plan}"
        );
    }
}
