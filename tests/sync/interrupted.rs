//! Runs that do not come to their end, and what the next one makes of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

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
