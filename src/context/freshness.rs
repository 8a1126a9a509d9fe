//! Fresh enough, or asked for now: how a read keeps the cache true.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Context, within};
use crate::answer::Source;
use crate::ecosystem::{Ecosystem, Feed, READ_TIMEOUT};
use crate::error::{Error, Kind, Result};
use crate::sync::{self, Mode};
use crate::ui::progress::{Step, Watcher};

impl Context {
    /// Brings a collection up to date if it is older than asked for, and notes where the data comes
    /// from; when the provider cannot be reached, what is here is good enough, and the reader is told.
    pub async fn read_through(&self, ecosystem: &'static Ecosystem, feed: &Feed) -> Result<()> {
        let limit = self.fresh_for(feed.collection.freshness());
        self.read_within(ecosystem, feed, limit).await
    }

    /// The same for an age of the caller's choice: something is missing that may be younger than what is
    /// here.
    pub async fn read_within(
        &self,
        ecosystem: &'static Ecosystem,
        feed: &Feed,
        limit: Duration,
    ) -> Result<()> {
        let collection = feed.collection;
        let state = self.state_of(collection.name()).await?;
        let options = &self.invocation.answer;
        let age = state
            .last_success_at
            .map(|at| self.now().signed_duration_since(at));
        // A time to come was told by a clock that was set back since: nobody knows how old that is.
        let young = !state.touched
            && age.is_some_and(|age| age.abs().to_std().is_ok_and(|age| age <= limit));
        if options.offline {
            if state.last_success_at.is_none() {
                self.note_partial();
                self.warn(format!(
                    "nothing was ever fetched completely; `{} {} sync` does",
                    self.app.product.name, ecosystem.service.name
                ));
            }
            let source = if young { Source::Cached } else { Source::Stale };
            self.note_source(source, state.last_success_at);
            return Ok(());
        }
        if young && !options.fresh {
            self.note_source(Source::Cached, state.last_success_at);
            return Ok(());
        }
        let deadline = within(self.invocation.timeout.unwrap_or(READ_TIMEOUT.duration()));
        self.notes().patience = Some(deadline);
        let report = self
            .sync(
                feed,
                Mode::Incremental,
                false,
                Some(deadline),
                sync::Busy::Wait,
            )
            .await;
        self.notes().patience = None;
        match report {
            Ok(report) if report.is_done() => {
                if !report.is_complete() {
                    self.note_partial();
                }
                report
                    .run
                    .warnings
                    .iter()
                    .for_each(|warning| self.warn(warning));
                self.note_source(Source::Live, Some(report.run.started_at));
                Ok(())
            }
            Ok(report) if options.fresh => {
                Err(Error::unavailable(match report.run.provider_total {
                    Some(total) => format!(
                        "{} of {total} had come in when the time was up",
                        report.run.fetched
                    ),
                    None => "nothing had come in when the time was up".to_owned(),
                })
                .hint(format!(
                    "`{} {} sync` goes on from there without a time limit.",
                    self.app.product.name, ecosystem.service.name
                )))
            }
            Ok(report) => {
                self.note_partial();
                self.note_source(Source::Stale, state.last_success_at);
                self.warn(format!(
                    "fetching was not finished in time ({} rows so far); `{} {} sync` goes on from there",
                    report.run.fetched, self.app.product.name, ecosystem.service.name
                ));
                Ok(())
            }
            Err(error)
                if !options.fresh
                    && (error.kind() == Kind::Unavailable && state.last_success_at.is_some()
                        // Another process is at it, and was not done in time.
                        || error.kind() == Kind::Conflict && deadline <= Instant::now()) =>
            {
                if state.last_success_at.is_none() {
                    self.note_partial();
                }
                self.note_source(Source::Stale, state.last_success_at);
                self.warn(format!(
                    "{}; this is what was known before",
                    error.message()
                ));
                Ok(())
            }
            // A first sync that was cut short leaves a part: the same answer as at a time that is up.
            Err(error) if error.kind() == Kind::Unavailable && !options.fresh => {
                let part = self.state_of(collection.name()).await?.resumable;
                if !part {
                    return Err(error);
                }
                self.note_partial();
                self.note_source(Source::Stale, None);
                self.warn(format!(
                    "{}; this is only what came in so far, and `{} {} sync` goes on from there",
                    error.message(),
                    self.app.product.name,
                    ecosystem.service.name
                ));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The same for an answer that rests on several collections: it is as old as the oldest of them.
    pub async fn read_all_through(
        &self,
        ecosystem: &'static Ecosystem,
        feeds: &[&Feed],
    ) -> Result<()> {
        let mut all = (Source::Live, None);
        for (place, feed) in feeds.iter().enumerate() {
            self.read_through(ecosystem, feed).await?;
            let notes = self.notes();
            let source = match notes.source {
                _ if notes.stale => Source::Stale,
                Some(Source::Cached) => Source::Cached,
                _ => Source::Live,
            };
            let as_of = notes.as_of;
            all = match (place, all) {
                (0, _) => (source, as_of),
                (_, (worst, oldest)) => (worst.max(source), oldest.min(as_of)),
            };
        }
        self.note_source(all.0, all.1);
        Ok(())
    }

    /// How old an answer may be, where its data is usually good for so long.
    pub fn fresh_for(&self, usual: Duration) -> Duration {
        let asked = self.invocation.answer.max_age;
        asked.map_or(usual, |span| span.duration())
    }

    /// Does what asks a provider, and gives it no longer than a read waits.
    pub async fn patiently<T>(&self, work: impl Future<Output = T>) -> T {
        let deadline = within(self.invocation.timeout.unwrap_or(READ_TIMEOUT.duration()));
        self.notes().patience = Some(deadline);
        let done = work.await;
        self.notes().patience = None;
        done
    }

    async fn state_of(&self, collection: &str) -> Result<sync::State> {
        if let Some(board) = &self.desk.board
            && let Some(state) = board.state(collection).await
        {
            return Ok(state);
        }
        let mut conn = self.db().await?;
        sync::state(&mut conn, collection).await
    }

    /// The same for a part of a collection that is fetched by itself, such as one zone: `as_of` is when
    /// that was done last, `touched` whether we wrote to it since, `fetch` does it now.
    pub async fn read_part_through(
        &self,
        as_of: Option<DateTime<Utc>>,
        touched: bool,
        freshness: Duration,
        fetch: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let options = &self.invocation.answer;
        let limit = self.fresh_for(freshness);
        let age = as_of.map(|at| self.now().signed_duration_since(at));
        let young =
            !touched && age.is_some_and(|age| age.abs().to_std().is_ok_and(|age| age <= limit));
        if options.offline {
            if as_of.is_none() {
                self.note_partial();
                self.warn("this was never fetched; leave out `--offline` to fetch it");
            }
            let source = if young { Source::Cached } else { Source::Stale };
            self.note_source(source, as_of);
            return Ok(());
        }
        if young && !options.fresh {
            self.note_source(Source::Cached, as_of);
            return Ok(());
        }
        let started = self.now();
        match self.patiently(fetch).await {
            Ok(()) => {
                self.note_source(Source::Live, Some(started));
                Ok(())
            }
            Err(error)
                if error.kind() == Kind::Unavailable && as_of.is_some() && !options.fresh =>
            {
                self.note_source(Source::Stale, as_of);
                self.warn(format!(
                    "{}; this is what was known before",
                    error.message()
                ));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a sync of a collection.
    pub async fn sync(
        &self,
        feed: &Feed,
        mode: Mode,
        force: bool,
        deadline: Option<Instant>,
        busy: sync::Busy,
    ) -> Result<sync::Report> {
        self.give_back();
        let source = (feed.source)(self);
        let options = sync::Options {
            mode,
            force,
            busy,
            deadline,
            cancel: self.invocation.cancel.clone(),
            progress: &Relay(self.invocation.watcher.as_ref()),
        };
        sync::run(&self.desk.store, feed.collection, source.as_ref(), &options).await
    }
}

/// Shows the steps of a sync to whoever watches the call.
struct Relay<'a>(&'a dyn Watcher);

impl sync::Progress for Relay<'_> {
    fn step(&self, step: &sync::Step) {
        let message = match (step.phase, step.resumed) {
            (sync::Phase::Waiting, _) => "waiting for another process",
            (sync::Phase::Fetching, false) => "fetching",
            (sync::Phase::Fetching, true) => "going on",
            (sync::Phase::Sweeping, _) => "looking for what is gone",
        };
        self.0.step(Step {
            done: u64::try_from(step.fetched).unwrap_or_default(),
            total: step.total.and_then(|total| u64::try_from(total).ok()),
            message: message.to_owned(),
        });
    }
}
