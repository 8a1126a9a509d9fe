//! One run of a sync, from the lock to the verdict.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::beside::Beside;
use super::bulk;
use super::page::{Turns, check_progress, distinct};
use super::state::{self, Reached, Run, State, Verdict};
use super::statistics;
use super::{Busy, Collection, Cursor, Mode, Options, Page, Phase, Report, Source, Span, Step};
use crate::store::{Store, needs_migration};
use crate::{Error, Kind, Result};

// How often a waiting process looks whether the other one is done.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

// Tombstones per statement.
const BURIED_AT_ONCE: i64 = 20_000;

/// Syncs a collection from its source.
///
/// Ends with a report when it is done or was stopped, and with the error of the source or of Postgres
/// otherwise; whatever was stored stays, and the next run goes on from there.
pub async fn run(
    store: &Store,
    collection: &dyn Collection,
    source: &dyn Source,
    options: &Options<'_>,
) -> Result<Report> {
    // A page that a crash of the server takes back takes its checkpoint along, so nobody has to wait for
    // the disk; only the verdict does.
    let connect = store.options().options([("synchronous_commit", "off")]);
    let mut conn = PgConnection::connect_with(&connect).await?;
    // Before the lock, whose key holds the name of a schema that has to exist.
    match state::state(&mut conn, collection.name()).await {
        Err(error) if needs_migration(&error) => store.prepare().await?,
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let mut beside = Beside::new(&connect);
    let done = locked(&mut conn, &mut beside, collection, source, options).await;
    beside.close().await;
    // The server takes its time to notice a closed connection; the lock is to be free when we return.
    state::unlock(&mut conn).await.ok();
    conn.close().await.ok();
    done
}

async fn locked(
    conn: &mut PgConnection,
    beside: &mut Beside,
    collection: &dyn Collection,
    source: &dyn Source,
    options: &Options<'_>,
) -> Result<Report> {
    let name = collection.name();
    // Before the lock is tried: the other run may end between the two.
    let since = state::now(conn).await?;
    if !state::try_lock(conn, name).await? {
        wait(conn, name, options).await?;
        if let Some(run) = state::finished_since(conn, name, since, options.mode).await? {
            return Ok(Report { run, joined: true });
        }
    }
    let mut work = Work::begin(conn, collection, source, options).await?;
    let id = match work.all(beside).await {
        Ok(()) => work.id,
        Err(error) => {
            let id = work.id;
            // A refusal would be the answer to the same cursor for ever: the next run begins again.
            if error.kind() == Kind::Refused {
                state::forget(conn, name).await.ok();
            }
            state::fail(conn, id, &error).await.ok();
            return Err(error);
        }
    };
    Ok(Report {
        run: state::run(conn, id).await?,
        joined: false,
    })
}

async fn wait(conn: &mut PgConnection, name: &str, options: &Options<'_>) -> Result<()> {
    if options.busy == Busy::Refuse {
        return Err(busy(conn, name).await?);
    }
    options
        .progress
        .step(&Step::first(Phase::Waiting, options.mode));
    loop {
        tokio::select! {
            () = stopped(options) => return Err(busy(conn, name).await?),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        if state::try_lock(conn, name).await? {
            return Ok(());
        }
    }
}

async fn busy(conn: &mut PgConnection, name: &str) -> Result<Error> {
    let holder = state::runs(conn, Some(name), 1).await?;
    let who = holder
        .first()
        .filter(|run| run.state == "running")
        .map(|run| {
            format!(
                " by process {} on `{}` since {}",
                run.pid,
                run.host,
                run.started_at.format("%Y-%m-%d %H:%M:%S UTC")
            )
        });
    Ok(Error::conflict(format!(
        "`{name}` is being synced{}",
        who.unwrap_or_default()
    ))
    .hint("Wait for it, or look at it with `medtainer sync status`."))
}

fn stop_asked(options: &Options<'_>) -> bool {
    options.cancel.is_cancelled() || options.deadline.is_some_and(|at| at <= Instant::now())
}

async fn stopped(options: &Options<'_>) {
    let deadline = async {
        match options.deadline {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = options.cancel.cancelled() => {}
        () = deadline => {}
    }
}

struct Work<'a> {
    conn: &'a mut PgConnection,
    collection: &'a dyn Collection,
    source: &'a dyn Source,
    options: &'a Options<'a>,
    id: i64,
    mode: Mode,
    span: Span,
    resumed: bool,
    cursor: Option<Cursor>,
    last_first: Option<String>,
    turns: Turns,
    reached: Reached,
    all_fetched: bool,
    progress: Step,
    warnings: Vec<String>,
}

impl<'a> Work<'a> {
    async fn begin(
        conn: &'a mut PgConnection,
        collection: &'a dyn Collection,
        source: &'a dyn Source,
        options: &'a Options<'a>,
    ) -> Result<Work<'a>> {
        let name = collection.name();
        let state = state::state(conn, name).await?;
        let mut warnings = Vec::new();
        if let Some(id) = state.run_id.filter(|_| state.resumable) {
            let run = state::run(conn, id).await?;
            let full = run.mode == Mode::Full.as_str();
            if !full && options.mode == Mode::Full {
                tracing::debug!(
                    collection = name,
                    run = id,
                    "a full sweep replaces the unfinished run"
                );
            } else if state::seen(conn, id).await? == state.seen {
                state::resume(conn, id).await?;
                tracing::info!(
                    collection = name,
                    run = id,
                    "the sync goes on where it stopped"
                );
                return Ok(Work::resumed(
                    conn, collection, source, options, &state, &run,
                ));
            } else {
                // Unlogged tables are empty after a crash of the server; going on would bury the rest.
                warnings
                    .push("the database server crashed in mid-sync, the sync began again".into());
            }
        }
        let full = options.mode == Mode::Full
            || collection.always_whole()
            || state.full_due(collection.sweeps_every());
        Work::anew(conn, collection, source, options, &state, full, warnings).await
    }

    async fn anew(
        conn: &'a mut PgConnection,
        collection: &'a dyn Collection,
        source: &'a dyn Source,
        options: &'a Options<'a>,
        state: &State,
        full: bool,
        warnings: Vec<String>,
    ) -> Result<Work<'a>> {
        let mode = if full { Mode::Full } else { Mode::Incremental };
        let overlap = chrono::Duration::from_std(collection.overlap()).unwrap_or_default();
        let since = state
            .watermark
            .filter(|_| !full)
            .map(|watermark| watermark - overlap);
        let id = state::begin(conn, collection.name(), mode, since).await?;
        Ok(Work {
            conn,
            collection,
            source,
            options,
            id,
            mode,
            span: since.map_or(Span::Everything, Span::Since),
            resumed: false,
            cursor: None,
            last_first: None,
            turns: Turns::default(),
            reached: Reached {
                total_low: None,
                total_high: None,
            },
            all_fetched: false,
            progress: Step::first(Phase::Fetching, mode),
            warnings,
        })
    }

    fn resumed(
        conn: &'a mut PgConnection,
        collection: &'a dyn Collection,
        source: &'a dyn Source,
        options: &'a Options<'a>,
        state: &State,
        run: &Run,
    ) -> Work<'a> {
        let mode = if run.mode == Mode::Full.as_str() {
            Mode::Full
        } else {
            Mode::Incremental
        };
        Work {
            conn,
            collection,
            source,
            options,
            id: run.id,
            mode,
            span: run.since.map_or(Span::Everything, Span::Since),
            resumed: true,
            cursor: state.cursor.clone().map(Cursor),
            last_first: state.last_first.clone(),
            turns: Turns::default(),
            reached: Reached {
                total_low: state.total_low,
                total_high: state.total_high,
            },
            all_fetched: state.all_fetched,
            progress: Step {
                phase: Phase::Fetching,
                resumed: true,
                mode,
                fetched: run.fetched,
                total: run.provider_total,
                pages: run.pages,
                written: run.inserted + run.updated,
            },
            warnings: Vec::new(),
        }
    }

    async fn all(&mut self, beside: &mut Beside) -> Result<()> {
        self.options.progress.step(&self.progress);
        if self.all_fetched || self.pages(beside).await? {
            self.sweep().await
        } else {
            state::stop(self.conn, self.id).await
        }
    }

    // True when the last page is stored, false when asked to stop before.
    async fn pages(&mut self, beside: &mut Beside) -> Result<bool> {
        let Some(mut page) = self.first_page().await? else {
            return Ok(false);
        };
        self.put_off(&page).await;
        loop {
            let following = page.next.clone();
            let (source, span, options) = (self.source, self.span, self.options);
            // The next page is on its way while this one is read and stored; nobody waits for it once a stop is asked.
            let prefetch = async {
                match &following {
                    Some(cursor) if !stop_asked(options) => tokio::select! {
                        biased;
                        () = stopped(options) => None,
                        page = source.fetch(span, Some(cursor)) => Some(page),
                    },
                    _ => None,
                }
            };
            // The request leaves before the page is read.
            let (fetched, stored) = futures::future::join(prefetch, self.store(page, beside)).await;
            self.last_first = stored?;
            if following.is_none() {
                return Ok(true);
            }
            self.cursor = following;
            match fetched {
                Some(next) => page = next?,
                None => return Ok(false),
            }
        }
    }

    // Only a help, and not everybody may drop an index.
    async fn put_off(&mut self, page: &Page) {
        let name = self.collection.name();
        let first = self.mode == Mode::Full && self.cursor.is_none();
        let Some(bulk) = self.collection.bulk().filter(|bulk| {
            first && page.next.is_some() && page.total.is_some_and(|total| total >= bulk.from)
        }) else {
            return;
        };
        if let Err(error) = bulk::put_off(self.conn, name, bulk).await {
            tracing::debug!(collection = name, %error, "indexes are built row by row");
        }
    }

    async fn first_page(&mut self) -> Result<Option<Page>> {
        if stop_asked(self.options) {
            return Ok(None);
        }
        let first = tokio::select! {
            biased;
            () = stopped(self.options) => return Ok(None),
            page = self.source.fetch(self.span, self.cursor.as_ref()) => page,
        };
        match first {
            // The provider has forgotten the cursor of yesterday: begin again.
            Err(error)
                if self.resumed
                    && self.cursor.is_some()
                    && matches!(error.kind(), Kind::Refused | Kind::Usage | Kind::NotFound) =>
            {
                let name = self.collection.name();
                tracing::warn!(collection = name, %error, "the checkpoint is no longer accepted");
                let state = state::state(self.conn, name).await?;
                let full = self.mode == Mode::Full;
                let warnings =
                    vec!["the provider no longer knew the checkpoint, the sync began again".into()];
                self.restart(&state, full, warnings).await?;
                Ok(Some(self.source.fetch(self.span, None).await?))
            }
            first => first.map(Some),
        }
    }

    async fn restart(&mut self, state: &State, full: bool, warnings: Vec<String>) -> Result<()> {
        let Work {
            collection,
            source,
            options,
            ..
        } = *self;
        let anew = Work::anew(
            self.conn, collection, source, options, state, full, warnings,
        )
        .await?;
        let Work {
            id,
            span,
            progress,
            warnings,
            reached,
            ..
        } = anew;
        (
            self.id,
            self.span,
            self.progress,
            self.warnings,
            self.reached,
        ) = (id, span, progress, warnings, reached);
        (self.resumed, self.cursor, self.last_first) = (false, None, None);
        self.turns = Turns::default();
        Ok(())
    }

    // Returns what tells the page's first record.
    async fn store(&mut self, page: Page, beside: &mut Beside) -> Result<Option<String>> {
        let name = self.collection.name();
        let mut page = page.read().await?;
        check_progress(
            name,
            &page,
            self.cursor.as_ref(),
            self.last_first.as_deref(),
        )?;
        self.turns.check(name, &page)?;
        distinct(&mut page.rows);
        let mut tx = self.conn.begin().await?;
        let applied = self
            .collection
            .apply_beside(&mut tx, beside, &page.rows, self.id)
            .await?;
        self.reached = state::checkpoint(&mut tx, name, self.id, &page, applied).await?;
        tx.commit().await?;
        let step = &mut self.progress;
        step.pages += 1;
        step.fetched += i64::try_from(page.rows.len()).unwrap_or(i64::MAX);
        step.written += applied.inserted + applied.updated;
        step.total = page.total.or(step.total);
        self.options.progress.step(step);
        Ok(super::page::first(&page.rows))
    }

    async fn sweep(&mut self) -> Result<()> {
        self.progress.phase = Phase::Sweeping;
        self.options.progress.step(&self.progress);
        bulk::build(self.conn, self.collection.name()).await?;
        let mut verdict = Verdict {
            counted: state::counted(self.conn, self.id).await?,
            complete: true,
            move_watermark: true,
            warnings: std::mem::take(&mut self.warnings),
            ..Verdict::default()
        };
        // Records come and go while a run lasts, so anything between its lowest and its highest total is right.
        let short = self.reached.total_low.filter(|low| verdict.counted < *low);
        let over = self
            .reached
            .total_high
            .filter(|high| verdict.counted > *high);
        if let Some(total) = short.or(over) {
            verdict.complete = false;
            let mut warning = format!(
                "the provider says it has {total} records, {} were fetched",
                verdict.counted
            );
            if short.is_some() && self.mode == Mode::Full {
                warning.push_str("; nothing was marked as gone");
            }
            verdict.warnings.push(warning);
        }
        // What a short incremental run missed lies behind the old watermark still; what a short sweep
        // missed is for the next sweep.
        verdict.move_watermark = short.is_none() || self.mode == Mode::Full;
        let mut tx = self.conn.begin().await?;
        if self.mode == Mode::Full && short.is_none() {
            bury(
                &mut tx,
                self.collection,
                self.id,
                self.options.force,
                self.reached.total_low.is_some(),
                &mut verdict,
            )
            .await?;
        }
        state::durable(&mut tx).await?;
        state::finish(&mut tx, self.collection.name(), self.id, &verdict).await?;
        tx.commit().await?;
        if self.progress.written > 0 {
            self.collection.settle(self.conn).await?;
            // Only a help: what was written is there all the same.
            if let Err(error) = statistics::analyze_new(self.conn).await {
                let name = self.collection.name();
                tracing::debug!(collection = name, %error, "new tables were not analyzed");
            }
        }
        Ok(())
    }
}

async fn bury(
    conn: &mut PgConnection,
    collection: &dyn Collection,
    run: i64,
    force: bool,
    counted_there: bool,
    verdict: &mut Verdict,
) -> Result<()> {
    let missing = collection.missing(conn, run).await?;
    if missing == 0 {
        return Ok(());
    }
    let live = collection.live(conn).await?;
    // Nothing at all, from a provider that does not say how much it has, is rather a fault than a wish.
    let nothing = verdict.counted == 0 && !counted_there;
    if !force && (nothing || live >= 10 && missing * 10 > live * 3) {
        verdict.held_back = missing;
        verdict.complete = false;
        verdict.warnings.push(format!(
            "{missing} of {live} records are gone at the provider, more than three in ten: none was marked as gone without `--force`"
        ));
        return Ok(());
    }
    loop {
        let buried = collection.bury(conn, run, BURIED_AT_ONCE).await?;
        verdict.deleted += buried;
        if buried < BURIED_AT_ONCE {
            return Ok(());
        }
    }
}
