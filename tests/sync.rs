//! The sync engine, against a provider in memory that can be told to misbehave.

mod bulk;
mod interrupted;
mod sweeps;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use medtainer::ghl::store as contacts;
use medtainer::ghl::store::{After, Filter, Sort};
use medtainer_core::store::Store;
use medtainer_core::sync::{
    self, Applied, Busy, Collection, Cursor, Mode, Options, Page, Phase, Progress, Report, Row,
    Source, Span, Step,
};
use medtainer_core::{Error, Kind, Result};
use sqlx::{Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::database;

struct Contacts;

impl Collection for Contacts {
    fn name(&self) -> &'static str {
        "ghl.contacts"
    }
    fn freshness(&self) -> Duration {
        Duration::from_secs(900)
    }
    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(
            async move { Ok((&contacts::upsert_contacts(conn, rows, Some(run)).await?).into()) },
        )
    }
    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>> {
        Box::pin(contacts::count_contacts(conn))
    }
    fn missing<'a>(&'a self, conn: &'a mut PgConnection, run: i64) -> BoxFuture<'a, Result<i64>> {
        Box::pin(contacts::count_missing(conn, run))
    }
    fn bury<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        run: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            let buried = contacts::bury_missing(conn, run, limit).await?;
            Ok(i64::try_from(buried.len()).unwrap())
        })
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Trouble {
    None,
    /// Page one for ever, with a new cursor each time, as a provider does that ignores the parameter.
    Repeats,
    /// Two pages that take turns.
    TakesTurns,
    /// The same cursor again.
    SameCursor,
    /// Fails at this page.
    FailsAt(usize),
    /// Knows no cursors of yesterday.
    ForgetsCursors,
    /// Lies about how many there are, by this much.
    Miscounts(i64),
    /// Does not tell how many there are.
    TellsNoTotal,
}

type People = BTreeMap<String, (Option<DateTime<Utc>>, String)>;

/// A provider: contacts by id with a time of change and a name.
struct Provider {
    people: Mutex<People>,
    page: usize,
    trouble: Mutex<Trouble>,
    fetched: AtomicUsize,
}

impl Provider {
    fn new(people: usize, page: usize) -> Provider {
        let people = (0..people)
            .map(|n| (format!("c{n:07}"), (Some(time(n)), format!("Person {n}"))))
            .collect();
        Provider {
            people: Mutex::new(people),
            page,
            trouble: Mutex::new(Trouble::None),
            fetched: AtomicUsize::new(0),
        }
    }
    fn trouble(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
        self.fetched.store(0, Ordering::Relaxed);
    }
    fn set(&self, id: &str, changed: Option<DateTime<Utc>>, name: &str) {
        self.people
            .lock()
            .unwrap()
            .insert(id.into(), (changed, name.into()));
    }
    fn remove(&self, id: &str) {
        self.people.lock().unwrap().remove(id).unwrap();
    }
    fn answer(&self, span: Span, cursor: Option<&Cursor>) -> Result<Page> {
        let count = self.fetched.fetch_add(1, Ordering::Relaxed);
        let trouble = *self.trouble.lock().unwrap();
        match trouble {
            Trouble::FailsAt(at) if count == at => {
                return Err(Error::unavailable("the provider is down"));
            }
            Trouble::ForgetsCursors if cursor.is_some() && count == 0 => {
                return Err(Error::refused("the cursor has expired"));
            }
            _ => {}
        }
        let people = self.people.lock().unwrap();
        let mut wanted: Vec<_> = people
            .iter()
            .filter(|(_, (changed, _))| match span {
                Span::Everything => true,
                Span::Since(since) => changed.is_some_and(|at| at >= since),
            })
            .collect();
        if span != Span::Everything {
            wanted.sort_by_key(|(id, (changed, _))| (*changed, (*id).clone()));
        }
        let from: usize = match (trouble, cursor) {
            (Trouble::Repeats, _) | (_, None) => 0,
            (Trouble::TakesTurns, _) => (count % 2) * self.page,
            (_, Some(Cursor(at))) => at.parse().unwrap(),
        };
        let rows: Vec<_> = wanted.iter().skip(from).take(self.page).map(|(id, (changed, name))| {
            let body = serde_json::json!({ "id": id, "firstName": name, "dateUpdated": changed, "tags": ["A"] });
            Row::new(id.as_str(), *changed, &body.to_string())
        }).collect();
        let next = match trouble {
            Trouble::Repeats | Trouble::TakesTurns => Some(Cursor(format!("9{count}"))),
            Trouble::SameCursor if cursor.is_some() => cursor.cloned(),
            _ => (rows.len() == self.page).then(|| Cursor((from + self.page).to_string())),
        };
        let total = i64::try_from(wanted.len()).unwrap();
        let total = match trouble {
            Trouble::Miscounts(by) => Some(total + by),
            Trouble::TellsNoTotal => None,
            _ => Some(total),
        };
        Ok(Page {
            rows,
            next,
            total,
            calls: 1,
            skipped: 0,
            ..Page::default()
        })
    }
}

impl Source for Provider {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.answer(span, cursor)
        })
    }
}

fn time(n: usize) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(i64::try_from(n).unwrap())
}

async fn sync(store: &Store, provider: &Provider) -> Result<Report> {
    sync::run(store, &Contacts, provider, &Options::default()).await
}

async fn full(store: &Store, provider: &Provider) -> Report {
    let options = Options {
        mode: Mode::Full,
        ..Options::default()
    };
    sync::run(store, &Contacts, provider, &options)
        .await
        .unwrap()
}

async fn live(store: &Store) -> i64 {
    contacts::count_contacts(&mut store.pool().acquire().await.unwrap())
        .await
        .unwrap()
}

async fn number(store: &Store, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(store.pool())
        .await
        .unwrap()
}

/// Calls after so many pages.
struct StopAfter<'a>(i32, &'a (dyn Fn() + Sync));

impl Progress for StopAfter<'_> {
    fn step(&self, step: &Step) {
        if step.pages >= self.0 {
            (self.1)();
        }
    }
}

#[tokio::test]
async fn the_first_is_full_the_next_incremental_and_nothing_is_written_twice() {
    let (store, provider) = (
        database::store(&database::fresh().await, "acme"),
        Provider::new(250, 100),
    );
    let first = sync(&store, &provider).await.unwrap();
    assert!(first.is_complete(), "{first:?}");
    assert_eq!(
        (first.run.mode.as_str(), first.run.pages, first.run.inserted),
        ("full", 3, 250)
    );
    assert_eq!(first.run.api_calls, 3);

    provider.set("c0000007", Some(time(1000)), "Someone Else");
    provider.set("new", Some(time(1001)), "New");
    let second = sync(&store, &provider).await.unwrap();
    assert!(second.is_complete());
    let run = &second.run;
    // The watermark is the newest change seen, and the overlap goes five minutes back from there.
    assert_eq!(run.since, Some(time(249) - TimeDelta::minutes(5)));
    assert_eq!(
        (run.mode.as_str(), run.inserted, run.updated, run.unchanged),
        ("incremental", 1, 1, 249)
    );
    assert_eq!(number(&store, "select count(*) from record_history where kind = 'update' and record_id = 'c0000007' and data ->> 'firstName' = 'Person 7'").await, 1);

    let third = full(&store, &provider).await;
    assert_eq!(
        (third.run.inserted, third.run.updated, third.run.unchanged),
        (0, 0, 251)
    );
    assert_eq!(number(&store, "select count(*) from sync_seen").await, 0);
}

/// A provider that gives its second page only when told to.
struct Held<'a>(&'a Provider, CancellationToken);

impl Source for Held<'_> {
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            if cursor.is_some() {
                self.1.cancelled().await;
            }
            self.0.answer(span, cursor)
        })
    }
}

/// Counts those that wait for another process, and lets the provider go on when it is three.
struct ThreeWait<'a>(&'a AtomicUsize, CancellationToken);

impl Progress for ThreeWait<'_> {
    fn step(&self, step: &Step) {
        if step.phase == Phase::Waiting && self.0.fetch_add(1, Ordering::Relaxed) == 2 {
            self.1.cancel();
        }
    }
}

#[tokio::test]
async fn one_run_at_a_time_and_the_others_take_its_result() {
    let options = database::fresh().await;
    let (store, other) = (
        database::store(&options, "default"),
        database::store(&options, "acme"),
    );
    let provider = Provider::new(300, 100);
    let (begun, release) = (CancellationToken::new(), CancellationToken::new());
    let begin = || begun.cancel();
    let progress = StopAfter(1, &begin);
    let held = Held(&provider, release.clone());
    let first = async {
        let options = Options {
            progress: &progress,
            ..Options::default()
        };
        sync::run(&store, &Contacts, &held, &options).await.unwrap()
    };
    let waiting = AtomicUsize::new(0);
    let others = async {
        begun.cancelled().await;
        // Another business is another matter.
        assert_eq!(sync(&other, &provider).await.unwrap().run.inserted, 300);
        let mut conn = store.pool().acquire().await.unwrap();
        assert!(sync::active(&mut conn, "ghl.contacts").await.unwrap());
        let options = Options {
            busy: Busy::Refuse,
            ..Options::default()
        };
        let error = sync::run(&store, &Contacts, &provider, &options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(
            error
                .message()
                .contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        let progress = ThreeWait(&waiting, release.clone());
        let options = Options {
            progress: &progress,
            ..Options::default()
        };
        let runs = (0..3).map(|_| sync::run(&store, &Contacts, &provider, &options));
        futures::future::join_all(runs).await
    };
    let (first, others) = tokio::join!(first, others);
    assert!(!first.joined && first.is_complete());
    for report in others.into_iter().map(Result::unwrap) {
        assert!(report.joined && report.run.id == first.run.id, "{report:?}");
    }
    let mut conn = store.pool().acquire().await.unwrap();
    assert!(!sync::active(&mut conn, "ghl.contacts").await.unwrap());
}

#[tokio::test]
async fn what_postgres_cannot_keep_is_kept_as_well_as_it_can() {
    let store = database::migrated().await;
    let mut conn = store.pool().acquire().await.unwrap();
    let nothing = r#"{"id":"b","firstName":null,"tags":null,"email":null,"dateUpdated":null}"#;
    let rows = [
        Row::new(
            "a",
            None,
            r#"{"id":"a","firstName":"N\u0000UL","lastName":"\ud800","tags":["A\u001fB","c"]}"#,
        ),
        Row::new("b", None, nothing),
    ];
    let stored = contacts::upsert_contacts(&mut conn, &rows, None)
        .await
        .unwrap();
    assert_eq!(stored.inserted, [0, 1]);
    let name: String = sqlx::query_scalar(
        "select name || array_to_string(tags, ',') from contacts where id = 'a'",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert_eq!(name, "N\u{fffd}UL \u{fffd}a b,c");
    let whole = contacts::contact(&mut conn, "b").await.unwrap().unwrap();
    assert_eq!(whole.data.replace(' ', "").len(), nothing.len());
}

#[tokio::test]
async fn a_list_is_read_page_by_page_in_every_order() {
    let (store, provider) = (database::migrated().await, Provider::new(95, 50));
    for n in 0..5 {
        provider.set(&format!("same{n}"), None, "Same");
    }
    full(&store, &provider).await;
    let mut conn = store.pool().acquire().await.unwrap();
    for sort in [Sort::Changed, Sort::Added, Sort::Name] {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let mut lines = contacts::list(&mut conn, &Filter::default(), sort, after.as_ref(), 7)
                .await
                .unwrap();
            let more = lines.len() > 7;
            lines.truncate(7);
            let last = lines.last().filter(|_| more);
            let next = last.map(|line| After::of(line, sort).to_text());
            ids.extend(lines.into_iter().map(|line| line.id));
            let Some(next) = next else { break };
            after = Some(After::parse(&next, sort).unwrap());
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!((count, ids.len()), (100, 100), "{sort:?}");
    }
    let filter = Filter {
        tags: vec!["a".into()],
        since: Some(time(90)),
        query: Some("son 9".into()),
        ..Filter::default()
    };
    let lines = contacts::list(&mut conn, &filter, Sort::Changed, None, 10)
        .await
        .unwrap();
    assert_eq!(
        (lines.len(), lines[0].name.as_deref()),
        (5, Some("Person 94"))
    );
    let filter = Filter {
        query: Some("100%_\\".into()),
        ..Filter::default()
    };
    assert!(
        contacts::list(&mut conn, &filter, Sort::Changed, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        After::parse("n~", Sort::Changed).unwrap_err().kind(),
        Kind::Usage
    );
}
