//! What is known of the cluster.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};

use super::answer::PROBE;
use super::server::{self, PidFile, Running};
use super::{Cluster, trouble};
use crate::{Error, Result};

/// The private Postgres as it is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Status {
    /// Whether the server accepts connections.
    pub running: bool,
    /// The number of the server's process.
    pub pid: Option<i32>,
    /// Where the data is.
    pub data_dir: PathBuf,
    /// Where the server writes its log.
    pub log: PathBuf,
    /// The socket it listens on.
    pub socket: PathBuf,
    /// The address for `psql` and other programs.
    pub url: String,
    /// The version of the running server.
    pub server_version: Option<String>,
    /// When the server was started.
    pub started_at: Option<chrono::DateTime<chrono::Utc>>,
    /// How many others are connected.
    pub connections: Option<i64>,
    /// The major version the data was made with; absent before the first start.
    pub cluster_major: Option<u32>,
    /// The folder of the programs the next start would use.
    pub binaries: Option<PathBuf>,
    /// The version of those programs.
    pub binaries_version: Option<String>,
    /// Whether the server runs an older minor version than the one installed.
    pub restart_needed: bool,
    /// The bytes that data, indexes and write-ahead log take on disk.
    pub size_bytes: Option<u64>,
}

const ASK: &str = "select current_setting('server_version'), pg_postmaster_start_time(), \
    (select count(*) from pg_stat_activity where backend_type = 'client backend' and application_name <> $1)";

type Asked = (String, chrono::DateTime<chrono::Utc>, i64);

pub(super) async fn read(cluster: &Cluster) -> Result<Status> {
    let cluster_major = cluster.major()?;
    // A folder that was named and is wrong is for `ensure` to refuse; here it is only absent.
    let binaries = cluster
        .search
        .pick(&cluster.downloads(), cluster_major, &cluster.data)
        .unwrap_or_default();
    let pid = PidFile::read(&cluster.data)
        .map(|pid_file| pid_file.pid)
        .filter(|pid| {
            matches!(
                server::look_at(*pid, &cluster.data),
                Running::Server | Running::Unsure
            )
        });
    let asked = ask(cluster).await?;
    let size_bytes = {
        let data = cluster.data.clone();
        tokio::task::spawn_blocking(move || size(&data))
            .await
            .map_err(|e| Error::internal("measuring the cluster failed").because(e))?
            .map_err(|e| trouble::io("measure", &cluster.data, e))?
    };
    let binaries_version = binaries.as_ref().map(|found| found.version.clone());
    // `15.14 (Debian 15.14-0+deb12u1)` against `15.14`.
    let runs = asked
        .as_ref()
        .and_then(|(version, ..)| version.split_whitespace().next().map(str::to_string));
    let restart_needed = match (&runs, &binaries_version) {
        (Some(runs), Some(installed)) => runs != installed,
        _ => false,
    };
    let socket_dir = cluster.socket_dir();
    Ok(Status {
        running: asked.is_some(),
        pid,
        data_dir: cluster.data.clone(),
        log: cluster.log_file(),
        socket: socket_dir.join(super::socket::FILE),
        url: super::socket::url(&socket_dir),
        started_at: asked.as_ref().map(|(_, at, _)| *at),
        connections: asked.as_ref().map(|(.., count)| *count),
        server_version: asked.map(|(version, ..)| version),
        cluster_major,
        binaries: binaries.map(|found| found.dir),
        binaries_version,
        restart_needed,
        size_bytes,
    })
}

async fn ask(cluster: &Cluster) -> Result<Option<Asked>> {
    let asking = async {
        let mut connection: PgConnection = cluster
            .connect_options()
            .application_name(PROBE)
            .connect()
            .await?;
        let asked: Asked = sqlx::query_as(ASK)
            .bind(PROBE)
            .fetch_one(&mut connection)
            .await?;
        connection.close().await.ok();
        Ok(asked)
    };
    match tokio::time::timeout(Duration::from_secs(5), asking).await {
        Ok(Ok(asked)) => Ok(Some(asked)),
        Ok(Err(error)) if Cluster::is_down(&error) => Ok(None),
        Ok(Err(error)) => Err(super::answer::refused(error)),
        // Alive perhaps, but of no use: its number is shown.
        Err(_) => Ok(None),
    }
}

/// The bytes that `dir` takes on disk; files may come and go meanwhile.
fn size(dir: &Path) -> std::io::Result<Option<u64>> {
    let gone = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if gone(&e) => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(found) if found.is_dir() => bytes += size(&entry.path())?.unwrap_or(0),
            Ok(found) => bytes += found.blocks() * 512,
            Err(e) if gone(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Some(bytes))
}
