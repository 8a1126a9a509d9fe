//! The sync engine, against a provider in memory that can be told to misbehave.

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

/// Contacts that hang in the middle of a page, when its rows are written and nothing is committed; or in
/// the sweep.
struct Hangs {
    at: Option<usize>,
    page: AtomicUsize,
    hanging: CancellationToken,
}

impl Collection for Hangs {
    fn name(&self) -> &'static str {
        Contacts.name()
    }
    fn freshness(&self) -> Duration {
        Contacts.freshness()
    }
    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(async move {
            let applied = Contacts.apply(conn, rows, run).await?;
            if Some(self.page.fetch_add(1, Ordering::Relaxed)) == self.at {
                self.hanging.cancel();
                std::future::pending::<()>().await;
            }
            Ok(applied)
        })
    }
    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>> {
        Contacts.live(conn)
    }
    fn missing<'a>(&'a self, conn: &'a mut PgConnection, run: i64) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            if self.at.is_none() {
                self.hanging.cancel();
                std::future::pending::<()>().await;
            }
            Contacts.missing(conn, run).await
        })
    }
    fn bury<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        run: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<i64>> {
        Contacts.bury(conn, run, limit)
    }
}

#[tokio::test]
async fn a_run_killed_at_any_page_goes_on_there() {
    // The seventh page is the empty one that ends it.
    for page in 0..7 {
        let (store, provider) = (database::migrated().await, Provider::new(1200, 200));
        let hanging = CancellationToken::new();
        let hangs = Hangs {
            at: Some(page),
            page: AtomicUsize::new(0),
            hanging: hanging.clone(),
        };
        let options = Options::default();
        tokio::select! {
            () = hanging.cancelled() => {}
            done = sync::run(&store, &hangs, &provider, &options) => panic!("page {page}: {done:?}"),
        }
        let stored = i64::try_from(page).unwrap() * 200;
        assert_eq!(live(&store).await, stored);
        assert_eq!(
            number(&store, "select count(*) from sync_seen").await,
            stored
        );
        assert_eq!(
            number(
                &store,
                "select count(*) from sync_runs where state = 'running'"
            )
            .await,
            1
        );
        let fetched = provider.fetched.swap(0, Ordering::Relaxed);
        let done = sync(&store, &provider).await.unwrap();
        assert!(done.is_complete(), "{done:?}");
        let run = done.run;
        // A run that stored nothing is not taken up: its start says nothing about what comes.
        let (id, resumed) = if page == 0 { (2, 0) } else { (1, 1) };
        assert_eq!(
            (
                run.id,
                run.resumed,
                run.pages,
                run.inserted,
                run.fetched,
                live(&store).await
            ),
            (id, resumed, 7, 1200, 1200, 1200),
            "page {page}"
        );
        // Nothing that was stored is asked for again.
        assert_eq!(
            provider.fetched.load(Ordering::Relaxed),
            7 - page,
            "{fetched} before"
        );
    }
}

#[tokio::test]
async fn a_run_that_an_older_version_began_goes_on_after_the_migration() {
    let options = database::fresh().await;
    let (store, provider) = (
        database::store(&options, "default"),
        Provider::new(1200, 200),
    );
    let hanging = CancellationToken::new();
    let hangs = Hangs {
        at: Some(3),
        page: AtomicUsize::new(0),
        hanging: hanging.clone(),
    };
    let usual = Options::default();
    tokio::select! {
        () = hanging.cancelled() => {}
        done = sync::run(&store, &hangs, &provider, &usual) => panic!("{done:?}"),
    }
    // As the migration found it: a row for each id.
    for statement in [
        "create unlogged table was as select run_id, id from sync_seen",
        "drop view sync_seen",
        "drop table sync_pages",
        "alter table was rename to sync_seen",
        "delete from _sqlx_migrations where version = 22",
    ] {
        store.pool().execute(statement).await.unwrap();
    }
    let store = database::store(&options, "default");
    store.prepare().await.unwrap();
    let done = sync(&store, &provider).await.unwrap();
    assert!(
        done.is_complete() && done.run.warnings.is_empty(),
        "{done:?}"
    );
    assert_eq!((done.run.resumed, done.run.inserted), (1, 1200), "{done:?}");
    assert_eq!(live(&store).await, 1200);
}

#[tokio::test]
async fn a_run_killed_before_its_sweep_only_sweeps() {
    let (store, provider) = (database::migrated().await, Provider::new(50, 20));
    full(&store, &provider).await;
    provider.remove("c0000004");
    let hanging = CancellationToken::new();
    let hangs = Hangs {
        at: None,
        page: AtomicUsize::new(0),
        hanging: hanging.clone(),
    };
    let options = Options {
        mode: Mode::Full,
        ..Options::default()
    };
    tokio::select! {
        () = hanging.cancelled() => {}
        done = sync::run(&store, &hangs, &provider, &options) => panic!("{done:?}"),
    }
    provider.fetched.store(0, Ordering::Relaxed);
    let done = full(&store, &provider).await;
    assert_eq!(
        (done.run.resumed, done.run.deleted, live(&store).await),
        (1, 1, 49)
    );
    assert_eq!(provider.fetched.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_failed_run_keeps_its_pages_and_goes_on() {
    let (store, provider) = (database::migrated().await, Provider::new(500, 100));
    provider.trouble(Trouble::FailsAt(3));
    let error = sync(&store, &provider).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(live(&store).await, 300);
    let runs = sync::runs(
        &mut store.pool().acquire().await.unwrap(),
        Some("ghl.contacts"),
        5,
    )
    .await
    .unwrap();
    assert_eq!(
        (runs[0].state.as_str(), runs[0].error_kind.as_deref()),
        ("failed", Some("unavailable"))
    );
    provider.trouble(Trouble::None);
    let done = sync(&store, &provider).await.unwrap();
    assert_eq!(
        (done.run.resumed, done.run.inserted, done.is_complete()),
        (1, 500, true)
    );
}

/// Fails in words that hold somebody's data.
struct Talkative;

impl Source for Talkative {
    fn fetch<'a>(&'a self, _: Span, _: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        let words = "no room for peggy@example.com (+1 is not +15551234567) in page 3";
        Box::pin(std::future::ready(Err(Error::unavailable(words))))
    }
}

#[tokio::test]
async fn a_failed_run_keeps_nobodys_data_in_its_error() {
    let store = database::migrated().await;
    let options = Options::default();
    let failed = sync::run(&store, &Contacts, &Talkative, &options).await;
    assert!(failed.is_err());
    let kept: String = sqlx::query_scalar("select error from sync_runs")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(
        kept,
        "no room for [redacted] (+1 is not [redacted]) in page 3"
    );
}

#[tokio::test]
async fn a_checkpoint_the_provider_no_longer_knows_begins_the_sync_again() {
    let (store, provider) = (database::migrated().await, Provider::new(500, 100));
    provider.trouble(Trouble::FailsAt(3));
    sync(&store, &provider).await.unwrap_err();
    provider.trouble(Trouble::ForgetsCursors);
    let done = sync(&store, &provider).await.unwrap();
    assert_eq!(
        (done.run.id, done.run.inserted, done.run.unchanged),
        (2, 200, 300)
    );
    assert!(
        done.is_complete() && done.run.warnings[0].contains("checkpoint"),
        "{done:?}"
    );
}

#[tokio::test]
async fn cancelled_it_ends_after_the_page_at_hand_and_goes_on_later() {
    let (store, provider) = (database::migrated().await, Provider::new(500, 100));
    let options = Options::default();
    let cancel = options.cancel.clone();
    let cancel = || cancel.cancel();
    let progress = StopAfter(2, &cancel);
    let options = Options {
        progress: &progress,
        ..options
    };
    let stopped = sync::run(&store, &Contacts, &provider, &options)
        .await
        .unwrap();
    assert_eq!(
        (stopped.run.state.as_str(), stopped.is_done()),
        ("stopped", false)
    );
    // The third page may have come while the second was being stored: then it is kept.
    let pages = stopped.run.pages;
    assert!((2..=3).contains(&pages), "{pages}");
    assert_eq!(live(&store).await, i64::from(pages) * 100);
    let past = Options {
        deadline: Some(tokio::time::Instant::now()),
        ..Options::default()
    };
    assert!(
        !sync::run(&store, &Contacts, &provider, &past)
            .await
            .unwrap()
            .is_done()
    );
    let done = sync(&store, &provider).await.unwrap();
    assert_eq!(
        (done.run.resumed, done.run.inserted, done.is_complete()),
        (2, 500, true)
    );
}

#[tokio::test]
async fn a_page_that_repeats_itself_is_refused_and_nothing_is_lost() {
    for (trouble, pages) in [
        (Trouble::Repeats, 2),
        (Trouble::SameCursor, 2),
        (Trouble::TakesTurns, 4),
    ] {
        let (store, provider) = (database::migrated().await, Provider::new(500, 100));
        assert!(full(&store, &provider).await.is_complete());
        provider.set("c0000003", Some(Utc::now()), "Changed");
        provider.trouble(trouble);
        let options = Options {
            mode: Mode::Full,
            ..Options::default()
        };
        let error = sync::run(&store, &Contacts, &provider, &options)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (
                Kind::Refused,
                "the provider repeats itself: a page of `ghl.contacts` came twice"
            )
        );
        let asked = provider.fetched.load(Ordering::Relaxed);
        assert!(asked <= pages + 1, "{trouble:?} took {asked} requests");
        assert_eq!(live(&store).await, 500);
        provider.trouble(Trouble::None);
        let done = full(&store, &provider).await;
        assert_eq!(
            (done.is_complete(), done.run.deleted, done.run.fetched),
            (true, 0, 500),
            "{trouble:?}"
        );
    }
}

#[tokio::test]
async fn what_a_sweep_does_not_see_is_gone_and_may_come_back() {
    let (store, provider) = (database::migrated().await, Provider::new(50, 20));
    full(&store, &provider).await;
    provider.remove("c0000004");
    assert_eq!(sync(&store, &provider).await.unwrap().run.deleted, 0);
    let done = full(&store, &provider).await;
    assert_eq!(
        (done.run.deleted, done.is_complete(), live(&store).await),
        (1, true, 49)
    );
    assert_eq!(
        number(
            &store,
            "select count(*) from record_history where kind = 'delete' and record_id = 'c0000004'"
        )
        .await,
        1
    );
    assert_eq!(full(&store, &provider).await.run.deleted, 0);

    provider.set("c0000004", Some(time(4)), "Person 4");
    let done = full(&store, &provider).await;
    assert_eq!(
        (done.run.returned, done.run.updated, live(&store).await),
        (1, 1, 50)
    );
}

#[tokio::test]
async fn a_sweep_that_would_bury_too_many_buries_none_unless_forced() {
    let (store, provider) = (database::migrated().await, Provider::new(50, 20));
    full(&store, &provider).await;
    for n in 0..16 {
        provider.remove(&format!("c{n:07}"));
    }
    let held = full(&store, &provider).await;
    assert_eq!(
        (
            held.run.held_back,
            held.run.deleted,
            held.is_complete(),
            live(&store).await
        ),
        (16, 0, false, 50)
    );
    assert!(
        held.run.warnings[0].starts_with("16 of 50 records"),
        "{:?}",
        held.run.warnings
    );
    let options = Options {
        mode: Mode::Full,
        force: true,
        ..Options::default()
    };
    let forced = sync::run(&store, &Contacts, &provider, &options)
        .await
        .unwrap();
    assert_eq!(
        (forced.run.deleted, forced.is_complete(), live(&store).await),
        (16, true, 34)
    );
}

#[tokio::test]
async fn a_count_that_does_not_match_is_told_and_buries_nothing() {
    let (store, provider) = (database::migrated().await, Provider::new(50, 20));
    full(&store, &provider).await;
    provider.remove("c0000004");
    provider.trouble(Trouble::Miscounts(2));
    let short = full(&store, &provider).await;
    assert_eq!(
        (short.is_done(), short.is_complete(), short.run.deleted),
        (true, false, 0)
    );
    assert_eq!(
        short.run.warnings,
        ["the provider says it has 51 records, 49 were fetched; nothing was marked as gone"]
    );
    provider.trouble(Trouble::Miscounts(-2));
    let over = full(&store, &provider).await;
    assert_eq!((over.is_complete(), over.run.deleted), (false, 1));
    assert_eq!(
        over.run.warnings,
        ["the provider says it has 47 records, 49 were fetched"]
    );
    provider.trouble(Trouble::TellsNoTotal);
    assert!(full(&store, &provider).await.is_complete());
}

#[tokio::test]
async fn a_crash_of_the_server_that_empties_the_seen_ids_buries_nobody() {
    let (store, provider) = (database::migrated().await, Provider::new(500, 100));
    full(&store, &provider).await;
    provider.trouble(Trouble::FailsAt(3));
    let options = Options {
        mode: Mode::Full,
        ..Options::default()
    };
    sync::run(&store, &Contacts, &provider, &options)
        .await
        .unwrap_err();
    // What recovery does to an unlogged table.
    store.pool().execute("truncate sync_pages").await.unwrap();
    provider.trouble(Trouble::None);
    let done = full(&store, &provider).await;
    assert_eq!(
        (
            done.run.deleted,
            done.run.fetched,
            done.is_complete(),
            live(&store).await
        ),
        (0, 500, true, 500)
    );
    assert!(
        done.run.warnings[0].contains("crashed"),
        "{:?}",
        done.run.warnings
    );
}

#[tokio::test]
async fn clocks_ahead_and_records_without_a_time_lose_no_change() {
    let (store, provider) = (database::migrated().await, Provider::new(20, 10));
    provider.set(
        "future",
        Some(Utc::now() + TimeDelta::days(3000)),
        "From the future",
    );
    provider.set("timeless", None, "Timeless");
    assert!(full(&store, &provider).await.is_complete());
    // Changed now, long before the one from the future.
    provider.set("c0000003", Some(Utc::now()), "Changed");
    let done = sync(&store, &provider).await.unwrap();
    assert_eq!(
        (done.run.mode.as_str(), done.run.updated),
        ("incremental", 1),
        "{done:?}"
    );
    assert!(done.run.since.unwrap() < Utc::now());
    let listed = contacts::list(
        &mut store.pool().acquire().await.unwrap(),
        &Filter::default(),
        Sort::Changed,
        None,
        100,
    )
    .await
    .unwrap();
    assert_eq!(listed.last().map(|line| line.id.as_str()), Some("timeless"));
}

#[tokio::test]
async fn a_full_sweep_is_due_when_the_last_is_older_than_a_day() {
    let (store, provider) = (database::migrated().await, Provider::new(20, 10));
    full(&store, &provider).await;
    assert_eq!(
        sync(&store, &provider).await.unwrap().run.mode,
        "incremental"
    );
    store
        .pool()
        .execute("update sync_state set last_full_at = last_full_at - interval '25 hours'")
        .await
        .unwrap();
    assert_eq!(sync(&store, &provider).await.unwrap().run.mode, "full");
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
