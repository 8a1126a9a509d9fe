//! `medtainer db`: the database medtainer keeps everything in.

use std::os::unix::process::CommandExt;

use clap::Args;
use medtainer_core::app::Database;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::output::{Column, One, Row, Text};
use medtainer_core::postgres::{Status as ClusterStatus, Stop as How};
use medtainer_core::tree::Group;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

/// The commands of this group.
pub fn group() -> Group {
    Group::new("db", "The database: start, stop, look inside, migrate")
        .chore::<Start>("start")
        .chore::<Stop>("stop")
        .chore::<Status>("status")
        .chore::<Url>("url")
        .chore::<Psql>("psql")
        .chore::<Migrate>("migrate")
}

/// The private Postgres as it is now.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Standing(ClusterStatus);

impl Row for Standing {
    const COLUMNS: &'static [Column] = &[
        Column::text("Running", "running"),
        Column::number("Process", "pid"),
        Column::id("Data", "data_dir"),
        Column::id("Log", "log"),
        Column::id("Socket", "socket"),
        Column::id("URL", "url"),
        Column::text("Server", "server_version"),
        Column::age("Started", "started_at"),
        Column::number("Others connected", "connections"),
        Column::number("Made by major", "cluster_major"),
        Column::text("Programs", "binaries"),
        Column::text("Their version", "binaries_version"),
        Column::text("Restart needed", "restart_needed"),
        Column::bytes("On disk", "size_bytes"),
    ];
}

/// Start the private Postgres, creating it on first use
#[derive(Debug, Args)]
pub struct Start;

impl Chore for Start {
    type Output = One<Standing>;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let cluster = host.app.cluster()?;
        cluster.ensure(&|text| host.printer.say(text)).await?;
        // A newer minor version takes over when nobody is connected.
        let say = |text: &str| host.printer.say(text);
        cluster.restart_if_updated(&say).await?;
        Ok(One(Standing(cluster.status().await?)))
    }
}

/// Stop the private Postgres; the next command starts it again
#[derive(Debug, Args)]
pub struct Stop {
    /// Wait until everybody has disconnected
    #[arg(long)]
    wait: bool,
}

impl Chore for Stop {
    type Output = One<Standing>;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let cluster = host.app.cluster()?;
        let stopped = cluster
            .stop(if self.wait { How::Smart } else { How::Fast })
            .await?;
        if !stopped {
            host.printer.say("It was not running.");
        }
        Ok(One(Standing(cluster.status().await?)))
    }
}

/// Show whether the database runs, where it is, how large it is
#[derive(Debug, Args)]
pub struct Status;

impl Chore for Status {
    type Output = One<Standing>;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        Ok(One(Standing(host.app.cluster()?.status().await?)))
    }
}

/// Print the address of the database, for psql and other programs
#[derive(Debug, Args)]
pub struct Url;

impl Chore for Url {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let cluster = host.app.cluster()?;
        cluster.ensure(&|text| host.printer.say(text)).await?;
        Ok(Text::new(cluster.url()))
    }
}

/// Open psql on the database
#[derive(Debug, Args)]
pub struct Psql {
    /// Words for psql itself, after `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

impl Chore for Psql {
    type Output = Text;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let business = host.invocation()?.business;
        let mut command = match host.app.database() {
            Database::Private(cluster) => {
                cluster.ensure(&|text| host.printer.say(text)).await?;
                cluster.psql()?
            }
            Database::Given(_) => {
                return Err(Error::usage("the database is the one `DATABASE_URL` names")
                    .hint("Run `psql \"$DATABASE_URL\"` instead."));
            }
        };
        command.env(
            "PGOPTIONS",
            format!("-c search_path={},ext", business.schema()),
        );
        command.args(&self.arguments);
        // Only comes back when it could not start.
        let error = command.exec();
        Err(Error::unavailable("psql could not be started")
            .hint("Is the Postgres client installed?")
            .because(error))
    }
}

/// What the tables look like now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Migrated {
    /// Whose tables.
    business: String,
    /// The newest migration the database has.
    version: Option<i64>,
}

impl Row for Migrated {
    const COLUMNS: &'static [Column] = &[
        Column::text("Business", "business"),
        Column::number("Version", "version"),
    ];
}

/// Bring the tables of a business up to date; every command does so when it has to
#[derive(Debug, Args)]
pub struct Migrate;

impl Chore for Migrate {
    type Output = One<Migrated>;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let business = host.invocation()?.business;
        host.app
            .ensure_database(&|text| host.printer.say(text))
            .await?;
        let store = &host.app.desk(&business).await?.store;
        store.prepare().await?;
        let (version, _) = store.versions().await?;
        Ok(One(Migrated {
            business: business.to_string(),
            version,
        }))
    }
}
