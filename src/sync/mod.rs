//! Bringing a provider's collection into Postgres, and keeping it true.
//!
//! A [`Source`] says how to fetch a page after a cursor, a [`Collection`] how its rows are stored and
//! buried; [`run()`] does the rest. It holds one connection: the advisory lock that makes a collection
//! sync once at a time over all processes is on it, and so is every write of a record, so that whoever
//! loses the lock cannot write either. Rows, the ids seen and the checkpoint of a page are one transaction,
//! while the next page is already being fetched; memory is two pages, however many there are. What is
//! derived from new records alone, and means nothing without them, may be written [`Beside`] it.
//!
//! * **Incremental** from the watermark (the newest provider time of change of the last good run) minus
//!   an overlap for the provider's index lag; **full** when there never was one, when asked, when the
//!   last is older than a day, or always, for a collection that is fetched whole.
//! * A run that was killed, stopped or failed is taken up at its checkpoint, for a day.
//! * What a full sweep did not see is gone and gets a tombstone, but only when the sweep saw as many
//!   records as the provider says it has, and not when more than three in ten would go ([`Options::force`]).
//! * A page that repeats itself ends the run: providers ignore paging parameters they do not know.

mod beside;
mod board;
mod bulk;
mod engine;
mod page;
mod state;
mod statistics;

use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use beside::Beside;
pub use board::Board;
pub use bulk::Bulk;
pub use engine::run;
pub use state::{Run, STATEMENTS, State, active, runs, state};

use crate::{Error, Result};

/// Where a source goes on; whatever text the source likes, kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Which records a run wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All of them, in an order that does not change while they are fetched.
    Everything,
    /// Those changed at or after this time, oldest change first.
    Since(DateTime<Utc>),
}

/// A record as the provider gave it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The provider's id.
    pub id: String,
    /// The provider's time of the last change, where it tells one.
    pub changed_at: Option<DateTime<Utc>>,
    /// Its JSON, fit for a `jsonb` column.
    pub body: String,
    hash: OnceLock<i64>,
    /// The id of what it belongs to, where only the request tells: of a DNS record, its zone.
    pub parent: Option<String>,
}

impl Row {
    /// A record; what Postgres cannot keep in its text is replaced.
    pub fn new(id: impl Into<String>, changed_at: Option<DateTime<Utc>>, body: &str) -> Row {
        Row {
            id: id.into(),
            changed_at,
            body: crate::store::storable(body).into_owned(),
            hash: OnceLock::new(),
            parent: None,
        }
    }

    /// Of the body: tells whether anything changed without sending it to Postgres. Made when it is first asked
    /// for.
    pub fn hash(&self) -> i64 {
        *self.hash.get_or_init(|| {
            let digest: [u8; 32] = Sha256::digest(self.body.as_bytes()).into();
            let [a, b, c, d, e, f, g, h, ..] = digest;
            i64::from_be_bytes([a, b, c, d, e, f, g, h])
        })
    }

    /// Says what it belongs to.
    #[must_use]
    pub fn under(mut self, parent: impl Into<String>) -> Row {
        self.parent = Some(parent.into());
        self
    }
}

/// What a source fetched.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The records, in the provider's order.
    pub rows: Vec<Row>,
    /// Where to go on; none when this was the last page.
    pub next: Option<Cursor>,
    /// How many records the provider says the span has.
    pub total: Option<i64>,
    /// Requests this page cost, repeated ones included.
    pub calls: u32,
    /// Records that could not be kept (no id): they make the run incomplete.
    pub skipped: u32,
    /// Records that nobody has looked at; they come after `rows`.
    pub unread: Option<Unread>,
}

/// Records as they came: where the next page begins can be told without reading them, so it is asked for
/// first.
#[derive(Debug, Clone)]
pub struct Unread {
    /// JSON, a record each.
    pub records: Vec<Box<RawValue>>,
    /// How one is read; none for a record without a usable id.
    pub read: fn(&RawValue) -> Option<Row>,
}

impl Page {
    /// With what was unread as rows. They are read on a thread of their own, so that the next page can come in
    /// meanwhile.
    async fn read(mut self) -> Result<Page> {
        let Some(Unread { records, read }) = self.unread.take() else {
            return Ok(self);
        };
        let reading = tokio::task::spawn_blocking(move || {
            let before = self.rows.len();
            self.rows.reserve(records.len());
            for row in records.iter().filter_map(|record| read(record)) {
                row.hash();
                self.rows.push(row);
            }
            let unusable = records.len() - (self.rows.len() - before);
            self.skipped += u32::try_from(unusable).unwrap_or(u32::MAX);
            self
        });
        let failed = |e| Error::internal("a page could not be read").because(e);
        reading.await.map_err(failed)
    }
}

/// Where the pages come from.
pub trait Source: Send + Sync {
    /// The page after a cursor; the first page without one.
    fn fetch<'a>(&'a self, span: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>>;
}

/// What became of the rows of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// New here.
    pub inserted: i64,
    /// Different from before, those that came back included.
    pub updated: i64,
    /// Of the updated, those that had a tombstone.
    pub returned: i64,
    /// As they were; not written.
    pub unchanged: i64,
}

/// The rows of a page that have to be written, those of them that were known before, and the count of
/// both: by the place of each changed row, whether it was known, and whether it had a tombstone.
pub fn sort_out<'a>(
    rows: &'a [Row],
    changed: &[(i32, bool, bool)],
) -> (Applied, Vec<&'a Row>, Vec<&'a Row>) {
    let unchanged = rows.len().saturating_sub(changed.len());
    let mut applied = Applied {
        unchanged: i64::try_from(unchanged).unwrap_or(i64::MAX),
        ..Applied::default()
    };
    let (mut write, mut known) = (Vec::with_capacity(changed.len()), Vec::new());
    for &(place, is_known, was_gone) in changed {
        let Some(row) = usize::try_from(place).ok().and_then(|at| rows.get(at)) else {
            continue;
        };
        write.push(row);
        if is_known {
            known.push(row);
            applied.updated += 1;
            applied.returned += i64::from(was_gone);
        } else {
            applied.inserted += 1;
        }
    }
    (applied, write, known)
}

/// A kind of record and the table it is kept in.
pub trait Collection: Send + Sync {
    /// Its name over all ecosystems, such as `ghl.contacts`.
    fn name(&self) -> &'static str;

    /// How old an answer from here may be.
    fn freshness(&self) -> Duration;

    /// How far before the watermark an incremental run begins: the provider's index lags behind.
    fn overlap(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// Whether every run is a full sweep: for what is small, or whose provider tells no time of change.
    fn always_whole(&self) -> bool {
        false
    }

    /// How long after a full sweep the next is made by itself.
    fn sweeps_every(&self) -> Duration {
        Duration::from_secs(24 * 3_600)
    }

    /// Writes one page, inside the engine's transaction. No id occurs twice in it. Unchanged rows are
    /// dropped before anything is sent; the previous version of a changed one becomes history.
    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>>;

    /// The same, with a second connection beside the first for what is only derived from records that
    /// are new. It commits before the page does and may leave more behind than the page, never less.
    fn apply_beside<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        _beside: &'a mut Beside,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        self.apply(conn, rows, run)
    }

    /// What a first sync may put off until its end.
    fn bulk(&self) -> Option<Bulk> {
        None
    }

    /// How many live records there are.
    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>>;

    /// How many live records are not among the ids the run has seen (`sync_seen`), those written since
    /// the run began left out.
    fn missing<'a>(&'a self, conn: &'a mut PgConnection, run: i64) -> BoxFuture<'a, Result<i64>>;

    /// Gives tombstones to at most `limit` of the missing records and tells how many got one.
    fn bury<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        run: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<i64>>;

    /// Tidies up after a run that wrote something and ended well, outside of any transaction.
    fn settle<'a>(&'a self, _conn: &'a mut PgConnection) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// How much is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What changed.
    Incremental,
    /// Everything, and what is gone.
    Full,
}

impl Mode {
    /// The name in `sync_runs`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Incremental => "incremental",
            Mode::Full => "full",
        }
    }
}

/// What to do when another process is syncing the collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Wait, and take its result when it did what was asked.
    Wait,
    /// Say who it is: a `conflict` error.
    Refuse,
}

/// How a run is to be done.
pub struct Options<'a> {
    /// `Incremental` becomes a full sweep when one is due.
    pub mode: Mode,
    /// Lets a full sweep bury more than three in ten records.
    pub force: bool,
    /// When another process is at it.
    pub busy: Busy,
    /// End after the page at hand when this is past; the next run goes on from there.
    pub deadline: Option<Instant>,
    /// End after the page at hand when this is cancelled; the next run goes on from there.
    pub cancel: CancellationToken,
    /// Who watches.
    pub progress: &'a dyn Progress,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            mode: Mode::Incremental,
            force: false,
            busy: Busy::Wait,
            deadline: None,
            cancel: CancellationToken::new(),
            progress: &(),
        }
    }
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Another process has the collection.
    Waiting,
    /// Pages come in.
    Fetching,
    /// Looking for what is gone.
    Sweeping,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it is doing.
    pub phase: Phase,
    /// Whether it went on from a checkpoint.
    pub resumed: bool,
    /// How much it fetches.
    pub mode: Mode,
    /// Records so far, those before a checkpoint included.
    pub fetched: i64,
    /// How many the provider says there are.
    pub total: Option<i64>,
    /// Pages so far.
    pub pages: i32,
    /// Records so far that were written.
    pub written: i64,
}

impl Step {
    /// Nothing done yet.
    fn first(phase: Phase, mode: Mode) -> Step {
        Step {
            phase,
            resumed: false,
            mode,
            fetched: 0,
            total: None,
            pages: 0,
            written: 0,
        }
    }
}

/// Who watches a run: a progress bar, an MCP client, nobody (`&()`).
pub trait Progress: Send + Sync {
    /// Called after every page, and when the phase changes. Must not block.
    fn step(&self, step: &Step);
}

impl Progress for () {
    fn step(&self, _: &Step) {}
}

/// How a run ended; errors aside.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run as `sync_runs` has it.
    pub run: Run,
    /// Whether it was another process's run that did what was asked.
    pub joined: bool,
}

impl Report {
    /// Whether it came to its end, and was not stopped on the way.
    pub fn is_done(&self) -> bool {
        self.run.state == "done"
    }

    /// Whether everything the provider says it has is here.
    pub fn is_complete(&self) -> bool {
        self.is_done() && self.run.complete == Some(true)
    }
}
