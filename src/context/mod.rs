//! What a command reaches the world through: the clock, the store, a provider, whoever watches.
//!
//! A context belongs to one call. It collects what the envelope will say about the answer.

mod files;
mod freshness;
mod send;
mod writing;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::{Metadata, Source};
use crate::app::{App, Desk};
use crate::auth::{self, Credentials, DEFAULT_ACCOUNT, FieldStatus, SecretString, Vault};
use crate::cli::options::{AnswerOptions, WriteOptions};
use crate::dns::{Lookup, Offline};
use crate::ecosystem::Ecosystem;
use crate::error::{Error, Kind, Result};
use crate::http::Gateway;
use crate::part::Part;
use crate::privacy::{Class, Classes};
use crate::store::audit::{self, Caller, Execution};
use crate::store::{Business, Store};
use crate::ui::person::Person;
use crate::ui::progress::{Nobody, Step, Watcher};
use crate::when::Zone;

/// How a command is called, besides its arguments.
#[derive(Clone)]
pub struct Invocation {
    /// Who is asking.
    pub caller: Caller,
    /// The name of the key or the schedule, if there is one.
    pub principal: Option<String>,
    /// The classes of personal data that the caller does not get to see.
    pub masked: Classes,
    /// Whose data.
    pub business: Business,
    /// How fresh.
    pub answer: AnswerOptions,
    /// How much of the answer.
    pub part: Part,
    /// How long to wait for providers.
    pub timeout: Option<Duration>,
    /// Rather fail than answer with stale or partial data.
    pub strict: bool,
    /// What may be sent.
    pub write: WriteOptions,
    /// Whether the caller has confirmed beforehand.
    pub yes: bool,
    /// Whoever can be asked to confirm.
    pub person: Option<Arc<dyn Person>>,
    /// An argument a person chose among candidates: its name and the id.
    pub chosen: Option<(String, String)>,
    /// Whose jobs it may see; every one where nobody is named.
    pub owner: Option<String>,
    /// Its number in the audit trail, for whoever has to know it before the call has ended.
    pub execution: Option<Arc<OnceCell<i64>>>,
    /// Who watches.
    pub watcher: Arc<dyn Watcher>,
    /// Ends it early.
    pub cancel: CancellationToken,
}

impl Invocation {
    /// A call with nothing said about it, that nobody watches and nobody can be asked about.
    pub fn new(caller: Caller, business: Business, cancel: CancellationToken) -> Self {
        Invocation {
            caller,
            principal: None,
            masked: Classes::default(),
            business,
            answer: AnswerOptions::default(),
            part: Part::default(),
            timeout: None,
            strict: false,
            write: WriteOptions::default(),
            yes: false,
            person: None,
            chosen: None,
            owner: None,
            execution: None,
            watcher: Arc::new(Nobody),
            cancel,
        }
    }
}

/// What one call works with.
pub struct Context {
    app: Arc<App>,
    desk: Arc<Desk>,
    gateway: Gateway,
    invocation: Invocation,
    deadline: Option<Instant>,
    credential: Option<(&'static str, Credentials)>,
    execution: Option<Arc<OnceCell<i64>>>,
    call: Option<Execution>,
    input: OnceCell<Vec<u8>>,
    spare: Mutex<Option<PoolConnection<Postgres>>>,
    notes: Mutex<Notes>,
}

/// A connection lent to a command; the call keeps it for its next statement.
pub struct Lent<'a> {
    // Taken out when dropped, never before.
    conn: Option<PoolConnection<Postgres>>,
    spare: &'a Mutex<Option<PoolConnection<Postgres>>>,
}

#[derive(Default)]
struct Notes {
    source: Option<Source>,
    as_of: Option<DateTime<Utc>>,
    account: Option<String>,
    warnings: Vec<String>,
    partial: bool,
    stale: bool,
    // Until when a read waits for the provider before it answers with what it has.
    patience: Option<Instant>,
    // Whether the call has its row in the audit trail already.
    begun: bool,
    // The write of which a request left and the ledger does not say yet what became of it.
    in_flight: Option<i64>,
}

impl Context {
    /// A context for a command of the house. What it sends is recorded under `execution`, or under no
    /// call where the audit trail does not keep the command.
    pub(crate) async fn for_chore(
        app: Arc<App>,
        invocation: Invocation,
        execution: Option<Arc<OnceCell<i64>>>,
    ) -> Result<Self> {
        let desk = app.desk(&invocation.business).await?;
        let mut cx = Context::new(app, desk, invocation);
        cx.execution = execution;
        Ok(cx)
    }

    /// The same call with a credential that is not stored yet.
    #[must_use]
    pub fn with_credential(mut self, ecosystem: &Ecosystem, credential: Credentials) -> Self {
        self.credential = Some((ecosystem.service.name, credential));
        self
    }

    /// The same call, which may write: its row goes into the audit trail before anything is sent.
    #[must_use]
    pub(crate) fn writing(mut self, call: Execution) -> Self {
        self.call = Some(call);
        self
    }

    /// A context for one call.
    pub(crate) fn new(app: Arc<App>, desk: Arc<Desk>, invocation: Invocation) -> Self {
        let gateway = desk.gateway.metered();
        let deadline = invocation.timeout.map(within);
        let execution = invocation.execution.clone().unwrap_or_default();
        Context {
            app,
            desk,
            gateway,
            invocation,
            deadline,
            credential: None,
            execution: Some(execution),
            call: None,
            input: OnceCell::new(),
            spare: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    /// The time, by this machine's clock.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// Where the owner's clocks are.
    pub fn zone(&self) -> Result<Zone> {
        Zone::named(self.app.config.timezone.as_deref())
    }

    /// Whether the caller does not get to see this class of personal data: then it must not be found by
    /// it either, bit by bit.
    pub fn hides(&self, class: Class) -> bool {
        self.invocation.masked.has(class)
    }

    /// Whose data this call is about.
    pub fn business(&self) -> &Business {
        &self.invocation.business
    }

    /// What the caller is known by: whose jobs it may see, and whose approvals it may use; every job where
    /// nobody is named.
    pub fn owner(&self) -> Option<&str> {
        self.invocation.owner.as_deref()
    }

    /// Ends the call early.
    pub fn cancel(&self) -> &CancellationToken {
        &self.invocation.cancel
    }

    /// The process it runs in.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// What the business works with.
    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The tables of this business.
    pub fn store(&self) -> &Store {
        &self.desk.store
    }

    /// The pool of connections to them.
    pub fn pool(&self) -> &PgPool {
        self.desk.store.pool()
    }

    /// The stored credentials of this business.
    pub fn vault(&self) -> &Vault {
        &self.desk.vault
    }

    /// Starts the database and brings the tables up to date, as far as that is needed.
    pub async fn prepare(&self) -> Result<()> {
        self.ensure_database().await?;
        self.desk.store.prepare().await
    }

    /// A connection that sees the tables of this business.
    ///
    /// The call keeps it between its statements: handing it to the pool and taking it back costs a
    /// round trip, and a second connection costs more than a cached read.
    pub async fn db(&self) -> Result<Lent<'_>> {
        let spare = self.spare().take();
        let conn = match spare {
            Some(conn) => conn,
            None => match self.desk.store.acquire().await {
                Ok(conn) => conn,
                Err(_) => {
                    // Either starts it, or says what is wrong with it.
                    self.ensure_database().await?;
                    self.desk.store.acquire().await?
                }
            },
        };
        Ok(Lent {
            conn: Some(conn),
            spare: &self.spare,
        })
    }

    /// Lets others have the connection: this call does not need it for a while, it is broken, or what
    /// comes next borrows one of its own. Where every call of a server keeps one and waits for a second,
    /// none goes on.
    fn give_back(&self) {
        let spare = self.spare().take();
        drop(spare);
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Option<PoolConnection<Postgres>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what was asked of providers.
    pub(crate) async fn flush(&self) -> Result<()> {
        if self.desk.recorder.shares_commits() {
            self.give_back();
        }
        self.gateway.flush().await
    }

    /// Writes the call into the audit trail.
    pub(crate) async fn record(&self, row: Execution) -> Result<i64> {
        if self.notes().begun {
            let mut conn = self.db().await?;
            return audit::finish(&mut conn, &row).await;
        }
        let recorder = &self.desk.recorder;
        if recorder.shares_commits() {
            self.give_back();
            return recorder.record(row).await;
        }
        let mut conn = self.db().await?;
        audit::insert_one(&self.desk.store, &mut conn, &row).await
    }

    /// Makes sure the database answers; starts the private Postgres when it does not run.
    pub(crate) async fn ensure_database(&self) -> Result<()> {
        self.give_back();
        self.desk.store.forget_idle();
        let watcher = self.invocation.watcher.clone();
        self.app
            .ensure_database(&move |text| watcher.say(text))
            .await
    }

    /// The argument's value, or the id a person chose where it was ambiguous.
    pub fn chosen<'a>(&'a self, argument: &str, given: &'a str) -> &'a str {
        match &self.invocation.chosen {
            Some((name, id)) if name == argument => id,
            _ => given,
        }
    }

    /// Tells the reader something to know before trusting the answer.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut notes = self.notes();
        if !notes.warnings.contains(&text) {
            notes.warnings.push(text);
        }
    }

    /// Says where the data came from and when it was last known to be true.
    pub fn note_source(&self, source: Source, as_of: Option<DateTime<Utc>>) {
        let mut notes = self.notes();
        // Sample data is never called anything else.
        notes.source = Some(if self.business().is_sandbox() {
            Source::Sample
        } else {
            source
        });
        notes.stale = source == Source::Stale;
        notes.as_of = as_of;
    }

    /// Where the data came from, as far as it was said: what several sources in one answer are told by.
    pub fn noted(&self) -> (Option<Source>, Option<DateTime<Utc>>) {
        let notes = self.notes();
        let source = match notes.source {
            _ if notes.stale => Some(Source::Stale),
            // Sample data hides how it was had.
            Some(Source::Sample) => Some(Source::Live),
            source => source,
        };
        (source, notes.as_of)
    }

    /// Says that the answer is not all there is.
    pub fn note_partial(&self) {
        self.notes().partial = true;
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the envelope will say so far.
    pub(crate) fn metadata(&self) -> Metadata {
        let notes = self.notes();
        Metadata {
            source: notes.source,
            as_of: notes.as_of,
            complete: !notes.partial,
            business: self.business().to_string(),
            account: notes.account.clone(),
            calls: self.gateway.calls(),
            warnings: notes.warnings.clone(),
            ..Metadata::default()
        }
    }

    /// Whether the provider may not be asked.
    pub fn is_offline(&self) -> bool {
        self.invocation.answer.offline
    }

    /// Whether nothing but a live answer will do.
    pub fn wants_live(&self) -> bool {
        self.invocation.answer.fresh
    }

    /// The number of this call in the audit trail.
    pub(crate) async fn execution_id(&self) -> Result<i64> {
        let Some(execution) = &self.execution else {
            return Err(Error::internal(
                "the audit trail does not keep this command",
            ));
        };
        let draw = || async { audit::draw(&mut *self.db().await?).await };
        Ok(*execution.get_or_try_init(draw).await?)
    }

    /// The number under which its requests were recorded, if it sent any.
    pub(crate) fn execution(&self) -> Option<i64> {
        self.execution.as_ref()?.get().copied()
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.invocation.strict
    }

    pub(crate) fn is_fresh_and_whole(&self) -> bool {
        let notes = self.notes();
        !notes.stale && !notes.partial
    }

    pub(crate) fn has_sent(&self) -> bool {
        self.gateway.calls() > 0
    }

    /// Tells whoever watches how far it is.
    pub fn progress(&self, step: Step) {
        self.invocation.watcher.step(step);
    }

    /// Whom to ask about names: the world, the sandbox's own DNS, or nobody when offline.
    ///
    /// Each question is asked once in a call, and none after the call's time is up; what was not
    /// answered is unknown, and says why. So is everything on a machine without name servers.
    pub async fn lookup(&self) -> Result<Box<dyn Lookup>> {
        if self.is_offline() {
            return Ok(Box::new(Offline::default()));
        }
        let resolver = match self.app.resolver(self.business()).await {
            Ok(resolver) => resolver,
            Err(error) if error.kind() == Kind::Unavailable => {
                return Ok(Box::new(Offline(error.message().to_owned())));
            }
            Err(error) => return Err(error),
        };
        let patience = Instant::now() + LOOKUPS;
        Ok(Box::new(resolver.session(self.until().min(patience))))
    }

    /// Where an ecosystem's provider is: the sandbox, the environment's or the configuration's
    /// address, or the provider's own.
    pub async fn base_url(&self, ecosystem: &Ecosystem) -> Result<String> {
        if self.business().is_sandbox() {
            return self.app.sandbox_url(ecosystem).await;
        }
        let service = ecosystem.service;
        let configured = self
            .app
            .config
            .providers
            .get(service.name)
            .and_then(|provider| provider.url.as_deref());
        Ok(self
            .app
            .env
            .get(service.url_variable)
            .or(configured)
            .unwrap_or(service.base_url)
            .to_owned())
    }

    /// The credential of an ecosystem, or how to get one.
    pub async fn credential(&self, ecosystem: &Ecosystem) -> Result<Credentials> {
        let service = ecosystem.service;
        if let Some((name, credential)) = &self.credential
            && *name == service.name
        {
            return Ok(credential.clone());
        }
        if self.business().is_sandbox() {
            let pairs = ecosystem.sandbox.credentials.iter();
            let values = pairs.map(|(name, value)| (*name, SecretString::from(*value)));
            return Ok(Credentials::given(service, values.collect()));
        }
        self.give_back();
        auth::find(
            service,
            DEFAULT_ACCOUNT,
            &self.environment(),
            Some(self.vault()),
        )
        .await
    }

    /// Where each value of an ecosystem's credential comes from, never what it is.
    pub async fn credential_status(&self, ecosystem: &Ecosystem) -> Result<Vec<FieldStatus>> {
        let environment = self.environment();
        self.give_back();
        auth::status(
            ecosystem.service,
            DEFAULT_ACCOUNT,
            &environment,
            Some(self.vault()),
        )
        .await
    }

    fn environment(&self) -> impl Fn(&str) -> Option<String> + Send + Sync {
        |name| self.app.env.get(name).map(str::to_owned)
    }

    /// Until when an answer of a provider is of use.
    fn until(&self) -> Instant {
        let patience = self.notes().patience;
        [self.deadline, patience]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + PATIENCE)
    }
}

impl std::ops::Deref for Lent<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.conn.as_deref().expect(HELD)
    }
}

impl std::ops::DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.conn.as_deref_mut().expect(HELD)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = self.conn.take();
    }
}

const HELD: &str = "only dropping takes the connection out";

/// That long from now; nobody waits for more than a year, and clocks do not count for ever.
fn within(time: Duration) -> Instant {
    Instant::now() + time.min(Duration::from_secs(365 * 24 * 3_600))
}

/// How long all look-ups of a call may take: an analysis is worth having without the last of them.
const LOOKUPS: Duration = Duration::from_secs(25);

/// How long a request may take in all where nobody said: waiting for the budget included.
const PATIENCE: Duration = Duration::from_secs(3_600);
