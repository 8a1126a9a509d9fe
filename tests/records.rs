//! The small collections: one table, told apart by name, swept whole each time.

use std::sync::Mutex;
use std::time::Duration;

use futures::future::BoxFuture;
use medtainer_core::Result;
use medtainer_core::store::Store;
use medtainer_core::store::records::{Filter, Record, Records};
use medtainer_core::sync::{self, Cursor, Options, Page, Report, Row, Source, Span};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::database;

static ZONES: Records = Records {
    collection: "test.zones",
    freshness: Duration::from_secs(60),
    name: &["/label", "/name"],
    parent: Some("/owner/id"),
    account: Some("/account"),
};

static USERS: Records = Records {
    collection: "test.users",
    ..ZONES
};

/// A provider of whatever it was given, two to a page.
struct Things(Mutex<Vec<Row>>);

impl Things {
    fn new(things: &[Value]) -> Things {
        let rows = things.iter().map(row).collect();
        Things(Mutex::new(rows))
    }
}

fn row(thing: &Value) -> Row {
    let id = thing["id"].as_u64().unwrap().to_string();
    Row::new(id, None, &thing.to_string())
}

impl Source for Things {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        assert_eq!(span, Span::Everything);
        let from = cursor.map_or(0, |Cursor(at)| at.parse().unwrap());
        let all = self.0.lock().unwrap().clone();
        let page = Page {
            rows: all.iter().skip(from).take(2).cloned().collect(),
            next: (from + 2 < all.len()).then(|| Cursor((from + 2).to_string())),
            total: Some(i64::try_from(all.len()).unwrap()),
            calls: 1,
            skipped: 0,
            ..Page::default()
        };
        Box::pin(std::future::ready(Ok(page)))
    }
}

async fn run(store: &Store, records: &Records, things: &Things) -> Report {
    sync::run(store, records, things, &Options::default())
        .await
        .unwrap()
}

async fn names(conn: &mut PgConnection, records: &Records, filter: Filter<'_>) -> Vec<String> {
    let found = records.list(conn, filter).await.unwrap();
    found.into_iter().filter_map(|record| record.name).collect()
}

#[tokio::test]
async fn every_sync_sees_what_changed_and_what_is_gone() {
    let store = database::migrated().await;
    let mut things = vec![
        json!({"id": 1, "name": "b.test", "owner": {"id": 7}, "account": "acme"}),
        json!({"id": 2, "name": "A.test", "owner": {"id": 8}}),
        json!({"id": 3, "name": "hidden", "label": "c.test\u{0}", "owner": null}),
    ];
    let first = run(&store, &ZONES, &Things::new(&things)).await;
    assert!(first.is_complete());
    assert_eq!((first.run.inserted, first.run.pages), (3, 2));
    let again = run(&store, &ZONES, &Things::new(&things)).await;
    assert_eq!((again.run.unchanged, again.run.updated), (3, 0));
    assert_eq!(again.run.mode, "full");

    things[0]["name"] = json!("z.test");
    things.remove(1);
    let third = run(&store, &ZONES, &Things::new(&things)).await;
    assert_eq!((third.run.updated, third.run.deleted), (1, 1));
    let mut conn = store.pool().acquire().await.unwrap();
    // What JSON can hold and Postgres cannot is shown as a mark.
    assert_eq!(
        names(&mut conn, &ZONES, Filter::default()).await,
        ["c.test\u{fffd}", "z.test"]
    );
    let gone = ZONES.get(&mut conn, "2").await.unwrap().unwrap();
    assert!(gone.deleted_at.is_some());
    let kept: Vec<(String, String, Option<i64>)> = sqlx::query_as(
        "select kind, data ->> 'name', run_id from record_history where collection = 'test.zones' order by id",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    assert_eq!(
        kept,
        [
            ("update".into(), "b.test".into(), Some(third.run.id)),
            ("delete".into(), "A.test".into(), Some(third.run.id))
        ]
    );

    things.push(json!({"id": 2, "name": "back.test", "owner": {"id": 8}}));
    let fourth = run(&store, &ZONES, &Things::new(&things)).await;
    assert_eq!((fourth.run.returned, fourth.run.updated), (1, 1));
    assert_eq!(ZONES.count(&mut conn, None).await.unwrap(), 3);
}

#[tokio::test]
async fn records_are_found_by_name_parent_and_id_in_their_own_collection() {
    let store = database::migrated().await;
    let mut conn = store.pool().acquire().await.unwrap();
    let rows: Vec<Row> = [
        json!({"id": 1, "name": "Web-1", "owner": {"id": "x"}, "account": 42}),
        json!({"id": 2, "name": "web-1", "owner": {"id": "y"}}),
        json!({"id": 3, "name": "100%_sure"}),
    ]
    .iter()
    .map(row)
    .collect();
    let applied = ZONES.put(&mut conn, &rows, None).await.unwrap();
    assert_eq!(applied.inserted, 3);
    let moved = [row(&json!({"id": 3, "name": "100%_sure"})).under("y")];
    assert_eq!(ZONES.put(&mut conn, &moved, None).await.unwrap().updated, 1);
    assert_eq!(
        ZONES.put(&mut conn, &moved, None).await.unwrap().unchanged,
        1
    );
    USERS.put(&mut conn, &rows[..1], None).await.unwrap();

    let named = ZONES.named(&mut conn, "WEB-1").await.unwrap();
    assert_eq!(
        named
            .iter()
            .map(|record| record.id.as_str())
            .collect::<Vec<_>>(),
        ["1", "2"]
    );
    let Record {
        account,
        parent,
        data,
        ..
    } = &named[0];
    assert_eq!(
        (account.as_deref(), parent.as_deref()),
        (Some("42"), Some("x"))
    );
    assert_eq!(
        serde_json::from_str::<Value>(data).unwrap()["name"],
        "Web-1"
    );
    let of_y = Filter {
        parent: Some("y"),
        ..Filter::default()
    };
    assert_eq!(names(&mut conn, &ZONES, of_y).await, ["100%_sure", "web-1"]);
    let one = Filter {
        name: Some("%_"),
        limit: Some(1),
        ..Filter::default()
    };
    assert_eq!(names(&mut conn, &ZONES, one).await, ["100%_sure"]);
    assert_eq!(ZONES.count(&mut conn, Some("y")).await.unwrap(), 2);
    assert_eq!(USERS.count(&mut conn, None).await.unwrap(), 1);

    assert!(ZONES.bury_one(&mut conn, "1").await.unwrap());
    assert!(!ZONES.bury_one(&mut conn, "1").await.unwrap());
    assert_eq!(ZONES.named(&mut conn, "web-1").await.unwrap().len(), 1);
    assert_eq!(USERS.count(&mut conn, None).await.unwrap(), 1);
    assert!(USERS.get(&mut conn, "2").await.unwrap().is_none());
}
