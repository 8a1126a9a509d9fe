//! One process of medtainer: the product, where things are, and the businesses it has opened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, OnceCell};

use crate::auth::{KEY_VARIABLE, KeyRing, SecretString, Vault};
use crate::config::Config;
use crate::dns::Resolver;
use crate::ecosystem::{Ecosystem, SandboxOptions, Sandboxes};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::http::Gateway;
use crate::paths::Paths;
use crate::postgres::Cluster;
use crate::prompt::{Prompt, Step};
use crate::resource::Resource;
use crate::store::audit::Recorder;
use crate::store::{Business, Store};
use crate::sync::Board;
use crate::tree::Group;

/// What is being run: known at compile time.
#[derive(Debug)]
pub struct Product {
    /// The name of the binary.
    pub name: &'static str,
    /// The version of the binary.
    pub version: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The whole command tree.
    pub tree: fn() -> Group,
    /// Its tables.
    pub migrator: &'static Migrator,
    /// Its providers.
    pub ecosystems: &'static [&'static Ecosystem],
    /// What of the house can be read by an address.
    pub resources: &'static [Resource],
    /// What of the house can be started with one choice.
    pub prompts: &'static [Prompt],
}

impl Product {
    /// Everything that can be read by an address: of the house, then of each ecosystem.
    pub fn all_resources(&self) -> impl Iterator<Item = &'static Resource> {
        let ecosystems = self.ecosystems.iter();
        let theirs = ecosystems.flat_map(|ecosystem| ecosystem.resources);
        self.resources.iter().chain(theirs)
    }

    /// Everything that can be started with one choice: of the house, then of each ecosystem.
    pub fn all_prompts(&self) -> impl Iterator<Item = &'static Prompt> {
        let ecosystems = self.ecosystems.iter();
        let theirs = ecosystems.flat_map(|ecosystem| ecosystem.prompts);
        self.prompts.iter().chain(theirs)
    }

    /// The steps of a prompt: its own, then those that ecosystems add.
    pub fn steps_of(&self, prompt: &'static Prompt) -> impl Iterator<Item = &'static Step> {
        let ecosystems = self.ecosystems.iter();
        let added = ecosystems.flat_map(|ecosystem| ecosystem.steps);
        let added = added.filter(|(name, _)| *name == prompt.name);
        prompt.steps.iter().chain(added.map(|(_, step)| step))
    }
}

/// One process of medtainer.
pub struct App {
    /// What is being run.
    pub product: &'static Product,
    /// The environment it was started with.
    pub env: Env,
    /// Where things are kept.
    pub paths: Paths,
    /// The configuration file.
    pub config: Config,
    database: Database,
    serves: bool,
    shares_commits: bool,
    desks: Mutex<HashMap<Business, Arc<Desk>>>,
    sandboxes: OnceCell<Sandboxes>,
    resolver: OnceCell<Resolver>,
    sandbox_resolver: OnceCell<Resolver>,
}

/// Where the tables are.
#[derive(Debug)]
pub enum Database {
    /// A server that somebody else runs, named by `DATABASE_URL`.
    Given(Box<PgConnectOptions>),
    /// Our own.
    Private(Cluster),
}

/// What one business works with.
#[derive(Debug)]
pub struct Desk {
    /// Its tables.
    pub store: Store,
    /// Its way to providers.
    pub gateway: Gateway,
    /// Its stored credentials.
    pub vault: Vault,
    /// Its audit trail.
    pub recorder: Recorder,
    /// Where its collections stand, for a server.
    pub board: Option<Board>,
}

impl App {
    /// Reads the configuration and finds the database, without touching either server or network.
    ///
    /// A command that runs once opens few connections; one that `serves` opens at least 10, and its
    /// callers share the commits of the audit trail.
    pub fn new(product: &'static Product, env: Env, serves: bool) -> Result<Arc<Self>> {
        App::open(product, env, serves, serves)
    }

    /// The same server with a commit for each call, which the benchmark holds shared ones against.
    #[doc(hidden)]
    pub fn with_a_commit_for_each(product: &'static Product, env: Env) -> Result<Arc<Self>> {
        App::open(product, env, true, false)
    }

    fn open(
        product: &'static Product,
        env: Env,
        serves: bool,
        shares_commits: bool,
    ) -> Result<Arc<Self>> {
        let paths = Paths::find(&env)?;
        let config = Config::read(&paths.config_file())?;
        let known: Vec<_> = product.ecosystems.iter().map(|e| e.service.name).collect();
        if let Some(name) = config
            .providers
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            return Err(Error::usage(format!(
                "`{}`: there is no provider `{name}`",
                paths.config_file().display()
            ))
            .hint(format!("The providers are: {}.", known.join(", "))));
        }
        let database = match env.get("DATABASE_URL") {
            Some(url) => Database::Given(Box::new(with_host(url).parse().map_err(|_| {
                // The parser's message may quote the URL, and with it a password.
                Error::usage("`DATABASE_URL` is not a Postgres URL")
                    .hint("It looks like `postgres://user@host/database`; unset it to use the private Postgres.")
            })?)),
            None => Database::Private(Cluster::new(&paths.data, paths.runtime.as_deref(), env.path("MEDTAINER_PG_BIN"))),
        };
        Ok(Arc::new(App {
            product,
            env,
            paths,
            config,
            database,
            serves,
            shares_commits,
            desks: Mutex::default(),
            sandboxes: OnceCell::new(),
            resolver: OnceCell::new(),
            sandbox_resolver: OnceCell::new(),
        }))
    }

    /// A length of time that can be shortened from the environment, undocumented: a test cannot wait for
    /// minutes.
    pub(crate) fn seconds(&self, variable: &str, usual: u64) -> u64 {
        let said = self.env.get(variable).and_then(|text| text.parse().ok());
        said.unwrap_or(usual)
    }

    /// Where the tables are.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The private cluster, for commands that manage it.
    pub fn cluster(&self) -> Result<&Cluster> {
        match &self.database {
            Database::Private(cluster) => Ok(cluster),
            Database::Given(_) => Err(Error::usage("the database is the one `DATABASE_URL` names")
                .hint("Unset `DATABASE_URL` to manage the private Postgres.")),
        }
    }

    /// Which business a caller means: the one it names, else the configured one; the sandbox has one
    /// of its own beside each.
    pub fn business(&self, named: Option<&str>, sandbox: bool) -> Result<Business> {
        let business = match named.or(self.config.business.as_deref()) {
            None => Business::default(),
            Some(name) => name.parse()?,
        };
        Ok(if sandbox {
            business.sandboxed()
        } else {
            business
        })
    }

    /// What a business works with; opened once, connected when first used.
    pub async fn desk(&self, business: &Business) -> Result<Arc<Desk>> {
        let mut desks = self.desks.lock().await;
        if let Some(desk) = desks.get(business) {
            return Ok(desk.clone());
        }
        let options = match &self.database {
            Database::Given(options) => (**options).clone(),
            Database::Private(cluster) => cluster.connect_options(),
        };
        let store = Store::new(
            options,
            business.clone(),
            self.product.migrator,
            if self.serves { 16 } else { 4 },
        );
        let key = self.env.get(KEY_VARIABLE).map(SecretString::from);
        let keys = KeyRing::new(key, &self.paths.config);
        let vault = Vault::new(store.pool().clone(), business, keys);
        let gateway = Gateway::new(store.pool().clone());
        let recorder = if self.shares_commits {
            Recorder::grouped(store.clone()).0
        } else {
            Recorder::alone(store.clone())
        };
        let board = self.serves.then(|| Board::new(store.clone()));
        let desk = Arc::new(Desk {
            store,
            gateway,
            vault,
            recorder,
            board,
        });
        desks.insert(business.clone(), desk.clone());
        Ok(desk)
    }

    /// Makes sure the database answers; starts the private Postgres when it does not run.
    pub async fn ensure_database(&self, say: &(dyn Fn(&str) + Send + Sync)) -> Result<()> {
        match &self.database {
            Database::Given(options) => {
                let connection = match tokio::time::timeout(PATIENCE, options.connect()).await {
                    Ok(answer) => answer.map_err(unreachable)?,
                    Err(_) => return Err(unreachable(sqlx::Error::PoolTimedOut)),
                };
                Ok(connection.close().await?)
            }
            Database::Private(cluster) => {
                cluster.ensure(say).await?;
                for desk in self.desks.lock().await.values() {
                    desk.store.move_to(cluster.connect_options());
                }
                Ok(())
            }
        }
    }

    /// The ecosystem of a name or an alias.
    pub fn ecosystem(&self, name: &str) -> Result<&'static Ecosystem> {
        let found = self.product.ecosystems.iter().find(|ecosystem| {
            let group = (ecosystem.group)();
            group.name == name || group.aliases.contains(&name)
        });
        found.copied().ok_or_else(|| {
            let names: Vec<_> = self
                .product
                .ecosystems
                .iter()
                .map(|e| e.service.name)
                .collect();
            Error::usage(format!("there is no ecosystem `{name}`"))
                .hint(format!("The ecosystems are: {}.", names.join(", ")))
        })
    }

    /// The base URL of the in-process sandbox of an ecosystem, started when first asked for.
    pub async fn sandbox_url(&self, ecosystem: &Ecosystem) -> Result<String> {
        self.sandboxes()
            .await?
            .url(ecosystem.service.name)
            .ok_or_else(|| Error::internal(format!("`{}` has no sandbox", ecosystem.service.name)))
    }

    async fn sandboxes(&self) -> Result<&Sandboxes> {
        let start = || async {
            Sandboxes::start(self.product.ecosystems, |_| SandboxOptions::default(), None)
                .await
                .map_err(|e| {
                    Error::internal("the sandbox could not listen on a loopback port").because(e)
                })
        };
        self.sandboxes.get_or_try_init(start).await
    }

    /// Whom a business asks about names: the DNS of its sandbox, or the world's.
    pub(crate) async fn resolver(&self, business: &Business) -> Result<Resolver> {
        if business.is_sandbox() {
            let made = self
                .sandbox_resolver
                .get_or_try_init(|| async { Resolver::at(self.sandboxes().await?.dns()) });
            return Ok(made.await?.clone());
        }
        let made = self
            .resolver
            .get_or_try_init(|| async { Resolver::of(&self.env) });
        Ok(made.await?.clone())
    }

    /// Writes down what was asked of providers and waits for its group.
    pub(crate) async fn flush(&self) {
        let desks: Vec<_> = self.desks.lock().await.values().cloned().collect();
        for desk in desks {
            if desk.gateway.flush().await.is_err() {
                tracing::warn!("some requests could not be recorded");
            }
        }
    }

    /// Ends the process's work in good order: what waits for a commit is committed.
    pub async fn close(&self) {
        self.flush().await;
        let desks: Vec<_> = self.desks.lock().await.drain().collect();
        for (_, desk) in desks {
            desk.store.pool().close().await;
        }
    }
}

/// How long a server may take to let a connection in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A URL may leave out the host where a parameter names the folder of a socket, as ours does; the parser
/// insists on one, and lets the parameter win.
fn with_host(url: &str) -> String {
    url.replacen("@/", "@localhost/", 1)
}

/// Why the database that was given cannot be used; never with its URL, which may hold a password.
fn unreachable(error: sqlx::Error) -> Error {
    let code = error
        .as_database_error()
        .and_then(|e| e.code().map(|code| code.into_owned()));
    let problem = match code.as_deref() {
        Some("28P01" | "28000") => Error::auth("the database of `DATABASE_URL` refuses the user or the password")
            .hint("Mend the URL, or unset it to use the private Postgres."),
        Some("3D000") => Error::not_found("the database of `DATABASE_URL` does not exist")
            .hint("Create it with `createdb`, or unset the variable to use the private Postgres."),
        _ => Error::unavailable("the database of `DATABASE_URL` cannot be reached")
            .hint("Does its server run, and is the address right? Unset the variable to use the private Postgres."),
    };
    problem.because(error)
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("product", &self.product.name)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}
