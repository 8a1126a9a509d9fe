//! The private Postgres: found or fetched, made once, started by whoever needs it first, left running.
//!
//! Any number of processes share one cluster. Each first tries to connect, which is all that a running
//! server costs. Only who finds nobody there takes the lock beside the data, looks again, and makes or
//! starts what is missing; a crash, a stale `postmaster.pid`, a vanished socket and a lost race are
//! ordinary ways to get there. Nothing here is remembered between calls: the files and the server know.

mod account;
mod answer;
mod binaries;
#[cfg(feature = "pg-download")]
mod download;
mod init;
mod server;
mod settings;
mod socket;
mod status;
mod trouble;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use account::Account;
use answer::Answer;
use binaries::{Binaries, Search};
use server::{PidFile, Running, Started};
pub use status::Status;

use crate::{Error, Result};

/// Short sentences for the person who waits.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Recovery after a crash reads at most `max_wal_size`; slow disks take their time.
const START_LIMIT: Duration = Duration::from_secs(180);
/// A fast shutdown writes one checkpoint.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long children of a killed server may take to notice that it died.
const ORPHAN_LIMIT: Duration = Duration::from_secs(2);

/// The private Postgres below one directory. Cheap: it holds paths, and touches nothing until asked.
#[derive(Debug, Clone)]
pub struct Cluster {
    home: PathBuf,
    data: PathBuf,
    runtime_dir: Option<PathBuf>,
    search: Search,
    download: bool,
    durable: bool,
}

/// How [`Cluster::stop`] treats those who are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Wait until they have left.
    Smart,
    /// Roll back what they do and cut them off; what was committed is on disk.
    Fast,
    /// As if it crashed: the next start recovers.
    Immediate,
}

impl Cluster {
    /// The cluster in `home/pg`, with its lock and its log beside it.
    ///
    /// `runtime_dir` is where sockets may go (`$XDG_RUNTIME_DIR/medtainer`); without it, or where it is
    /// too long or closed to the server's user, `/run/medtainer` or `/tmp/medtainer-UID` is used.
    /// `pg_bin` is the folder of `initdb` when somebody named one (`MEDTAINER_PG_BIN`).
    pub fn new(home: &Path, runtime_dir: Option<&Path>, pg_bin: Option<PathBuf>) -> Cluster {
        let home = real_path(home);
        Cluster {
            data: home.join("pg"),
            home,
            runtime_dir: runtime_dir.map(Path::to_path_buf),
            search: pg_bin.map_or(Search::Usual, Search::Told),
            download: cfg!(feature = "pg-download"),
            durable: true,
        }
    }

    /// Look for a server in these folders only, and never download one.
    #[must_use]
    pub fn search_only(mut self, dirs: Vec<PathBuf>) -> Cluster {
        self.search = Search::Only(dirs);
        self.download = false;
        self
    }

    /// Whether a server may be downloaded when the machine has none.
    #[must_use]
    pub fn download(mut self, allowed: bool) -> Cluster {
        self.download = allowed && cfg!(feature = "pg-download");
        self
    }

    /// Give up durability for speed: for clusters that live as long as a test.
    #[must_use]
    pub fn throw_away(mut self) -> Cluster {
        self.durable = false;
        self
    }

    /// Where the data is.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Where the server writes its log.
    pub fn log_file(&self) -> PathBuf {
        self.home.join("pg.log")
    }

    /// The folder of the socket: that of the running server, else where the next one will listen.
    pub fn socket_dir(&self) -> PathBuf {
        socket::current(self.runtime_dir.as_deref(), &self.data)
    }

    /// How to connect: database and user `medtainer` through the socket. Does not touch the server.
    ///
    /// Ask again after [`Cluster::ensure`]: a server that was started may listen elsewhere than the last.
    pub fn connect_options(&self) -> PgConnectOptions {
        // sqlx begins with the PG* variables; all that matter here are set.
        PgConnectOptions::new_without_pgpass()
            .socket(self.socket_dir())
            .port(5432)
            .username("medtainer")
            .database("medtainer")
            .application_name("medtainer")
            .ssl_mode(PgSslMode::Disable)
    }

    /// The address for `psql` and other programs.
    pub fn url(&self) -> String {
        socket::url(&self.socket_dir())
    }

    /// `psql` on this database: a real one, never Debian's wrapper.
    pub fn psql(&self) -> Result<Command> {
        let downloads = self.downloads();
        let major = self.major()?;
        let mut found = self.search.all(&downloads);
        // The cluster's own first: a newer one works too, an older one only mostly.
        found.sort_by_key(|binaries| Some(binaries.major) != major);
        let program = binaries::psql(&found, &self.search.dirs(&downloads)).ok_or_else(|| {
            Error::not_found("there is no `psql` on this machine").hint(
                "Install it with `apt-get install postgresql-client` or `brew install libpq`.",
            )
        })?;
        let mut command = Command::new(program);
        command.arg(self.url());
        Ok(command)
    }

    /// Whether this error from connecting means that [`Cluster::ensure`] can help.
    pub fn is_down(error: &sqlx::Error) -> bool {
        !matches!(answer::of(error), None | Some(Answer::Up))
    }

    /// Have the server running: at once when it is, else made and started.
    pub async fn ensure(&self, progress: Progress<'_>) -> Result<()> {
        if let Answer::Up = answer::ask(&self.connect_options()).await? {
            return Ok(());
        }
        account::make_home(&self.home)?;
        let _lock = self.lock(progress).await?;
        self.bring_up(progress).await
    }

    /// Stop the server and wait until it is gone; false when it was not running.
    pub async fn stop(&self, how: Stop) -> Result<bool> {
        if !self.data.exists() {
            return Ok(false);
        }
        let _lock = self.lock(&|_| {}).await?;
        self.stop_locked(how).await
    }

    /// Restart the server when its binaries were updated and nobody else is connected.
    ///
    /// True when it was restarted; the caller must have closed its own connections.
    pub async fn restart_if_updated(&self, progress: Progress<'_>) -> Result<bool> {
        let idle_and_old = |status: &Status| status.restart_needed && status.connections == Some(0);
        if !idle_and_old(&self.status().await?) {
            return Ok(false);
        }
        let _lock = self.lock(progress).await?;
        // Another process may have done it while we waited.
        if !idle_and_old(&self.status().await?) {
            return Ok(false);
        }
        progress("restarting the private Postgres after its update");
        self.stop_locked(Stop::Fast).await?;
        self.bring_up(progress).await?;
        Ok(true)
    }

    async fn stop_locked(&self, how: Stop) -> Result<bool> {
        let Some(pid_file) = PidFile::read(&self.data) else {
            return Ok(false);
        };
        let pid = pid_file.pid;
        match server::look_at(pid, &self.data) {
            Running::Nobody | Running::Another => return Ok(false),
            Running::Unsure => return Err(self.unsure(pid)),
            Running::Server => {}
        }
        let signal = match how {
            Stop::Smart => Signal::TERM,
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        server::signal(pid, signal).map_err(|e| {
            Error::conflict(format!("cannot stop Postgres, process {pid}: {e}"))
                .hint("Run the command as the user who owns the data, or as root.")
        })?;
        if server::gone(pid, &self.data, STOP_LIMIT).await {
            return Ok(true);
        }
        Err(Error::unavailable(format!(
            "Postgres, process {pid}, was told to stop and has not within {} s",
            STOP_LIMIT.as_secs()
        ))
        .hint("Others may be connected, or the disk slow; `medtainer db status` tells when it is gone."))
    }

    /// What is known of the cluster, asking the server if it runs; starts nothing.
    pub async fn status(&self) -> Result<Status> {
        status::read(self).await
    }

    /// The lock of the cluster, held until the file is dropped or its process dies.
    async fn lock(&self, progress: Progress<'_>) -> Result<File> {
        let path = self.home.join("pg.lock");
        let told = |e| trouble::io("lock", &path, e);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(told)?;
        // Root must not lock out the user whose directory this is.
        Account::choose(&self.home, &self.data)?
            .give(&file)
            .map_err(told)?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(e)) => return Err(told(e)),
        }
        progress("waiting for another medtainer that is starting Postgres");
        let waited = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        waited
            .map_err(|e| Error::internal("waiting for a lock failed").because(e))?
            .map_err(told)
    }

    /// Under the lock: whatever it takes until the server answers.
    async fn bring_up(&self, progress: Progress<'_>) -> Result<()> {
        let end = Instant::now() + START_LIMIT;
        let begun = Instant::now();
        let mut started: Option<Started> = None;
        let mut attempts = 0;
        let mut busy_since: Option<Instant> = None;
        let mut told = false;
        loop {
            match answer::ask(&self.connect_options()).await? {
                Answer::Up => return Ok(()),
                Answer::NoDatabase => return self.create_database().await,
                Answer::Busy => {
                    let since = *busy_since.get_or_insert_with(Instant::now);
                    if !told && since.elapsed() > Duration::from_secs(1) {
                        told = true;
                        progress(if started.is_some() {
                            "Postgres is getting ready"
                        } else {
                            "Postgres is busy starting or stopping, perhaps after a crash"
                        });
                    }
                }
                Answer::Down => match &mut started {
                    None if self.is_on_its_way().await? => {}
                    None => {
                        attempts += 1;
                        started = Some(self.start(progress).await?);
                    }
                    Some(server) => {
                        if server.ended.try_recv().is_ok() {
                            self.after_failure(&server.said(), attempts, progress)
                                .await?;
                            started = None;
                        }
                    }
                },
            }
            if Instant::now() >= end {
                return Err(Error::unavailable(format!(
                    "Postgres has not come up within {} s",
                    START_LIMIT.as_secs()
                ))
                .hint(format!(
                    "It goes on by itself; its log tells how far it is: `tail {}`.",
                    trouble::quoted(&self.log_file())
                )));
            }
            let pause = if begun.elapsed() < Duration::from_millis(300) {
                3
            } else {
                20
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// The socket refuses: is there nevertheless a server that will answer soon?
    ///
    /// Clears what stands in the way of a start: a number that now belongs to somebody else, a server
    /// whose socket was swept away.
    async fn is_on_its_way(&self) -> Result<bool> {
        let Some(pid_file) = PidFile::read(&self.data) else {
            return Ok(false);
        };
        match server::look_at(pid_file.pid, &self.data) {
            Running::Nobody => Ok(false),
            Running::Server => {
                let path = pid_file.socket_dir.map(|dir| dir.join(socket::FILE));
                if pid_file.ready && path.is_some_and(|path| !path.exists()) {
                    // Log-out and cleaners of /tmp do this. Nobody can reach it any more.
                    tracing::info!(
                        pid = pid_file.pid,
                        "the socket is gone: restarting Postgres"
                    );
                    self.stop_locked(Stop::Fast).await?;
                    return Ok(false);
                }
                Ok(true)
            }
            Running::Another => {
                // The server would take the stranger for itself, and refuse to start.
                if server::at_work_in(&self.data).is_some_and(|found| !found.is_empty()) {
                    self.outlive_orphans().await?;
                }
                tracing::info!(pid = pid_file.pid, "removing a stale postmaster.pid");
                let path = PidFile::path(&self.data);
                std::fs::remove_file(&path).map_err(|e| trouble::io("remove", &path, e))?;
                Ok(false)
            }
            Running::Unsure => {
                // Another user's process: the server tells by itself that it is not a server of its own.
                Ok(false)
            }
        }
    }

    /// Beside its socket the server keeps a second file with its number, which goes stale as the first does.
    fn clear_socket_lock(&self, socket_dir: &Path) -> Result<()> {
        let path = socket_dir.join(format!("{}.lock", socket::FILE));
        let Some(pid_file) = PidFile::read_at(&path) else {
            return Ok(());
        };
        // The folder is this cluster's alone, so no other cluster's server can be meant.
        match server::look_at(pid_file.pid, &self.data) {
            Running::Server | Running::Unsure => Ok(()),
            Running::Nobody | Running::Another => {
                std::fs::remove_file(&path).map_err(|e| trouble::io("remove", &path, e))
            }
        }
    }

    async fn start(&self, progress: Progress<'_>) -> Result<Started> {
        let account = Account::choose(&self.home, &self.data)?;
        account.check_reach(&self.home)?;
        let major = self.major()?;
        if major.is_none() {
            self.refuse_strange_data()?;
        }
        let binaries = self.binaries(major, progress).await?;
        init::sweep(&self.home).await;
        if major.is_none() {
            progress("creating the private Postgres");
            init::create(&binaries, &account, &self.home, &self.data, self.durable).await?;
        }
        progress("starting the private Postgres");
        let socket_dir = socket::prepare(self.runtime_dir.as_deref(), &self.data, &account)?;
        self.clear_socket_lock(&socket_dir)?;
        init::configure(&binaries, &account, &self.data, &socket_dir, self.durable)?;
        server::start(&binaries, &account, &self.data, &self.log_file())
    }

    /// A server that we started has ended: go on, or say why not.
    async fn after_failure(&self, said: &str, attempts: u32, progress: Progress<'_>) -> Result<()> {
        let lost_race = said.contains("lock file") && said.contains("already exists");
        if lost_race && attempts < 3 {
            return Ok(());
        }
        // Children of a killed server hold its memory until they notice.
        if said.contains("pre-existing shared memory block") && attempts < 4 {
            progress("waiting for the processes of a crashed Postgres to end");
            return self.outlive_orphans().await;
        }
        if lost_race && let Some(pid_file) = PidFile::read(&self.data) {
            return Err(self.unsure(pid_file.pid));
        }
        let error = trouble::said(
            "Postgres did not start",
            &self.data,
            said,
            Some(&self.log_file()),
        );
        Err(error)
    }

    async fn outlive_orphans(&self) -> Result<()> {
        let end = Instant::now() + ORPHAN_LIMIT;
        while Instant::now() < end {
            match server::at_work_in(&self.data) {
                Some(found) if found.is_empty() => return Ok(()),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        // Their server is dead, so they can only do harm; it would have ended them the same way.
        for pid in server::at_work_in(&self.data).unwrap_or_default() {
            tracing::warn!(pid, "ending a process of a crashed Postgres");
            server::signal(pid, Signal::QUIT).ok();
            server::gone(pid, &self.data, ORPHAN_LIMIT).await;
        }
        Ok(())
    }

    async fn create_database(&self) -> Result<()> {
        let options = self.connect_options().database("postgres");
        let mut connection: PgConnection = options.connect().await?;
        let made = sqlx::query(CREATE_DATABASE).execute(&mut connection).await;
        connection.close().await.ok();
        made?;
        Ok(())
    }

    /// The server to use for a cluster of `major`, or for a new one.
    async fn binaries(&self, major: Option<u32>, progress: Progress<'_>) -> Result<Binaries> {
        let downloads = self.downloads();
        if let Some(found) = self.search.pick(&downloads, major, &self.data)? {
            return Ok(found);
        }
        let none = match major {
            Some(major) => binaries::other_major(&self.data, major, &self.search.all(&downloads)),
            None => binaries::none_found(),
        };
        if !self.download {
            return Err(none);
        }
        self.fetch(&downloads, major, none, progress).await
    }

    #[cfg(feature = "pg-download")]
    async fn fetch(
        &self,
        downloads: &Path,
        major: Option<u32>,
        none: Error,
        progress: Progress<'_>,
    ) -> Result<Binaries> {
        let fetched = download::fetch(downloads, major, progress).await;
        // A cluster that needs its old major has a better story than the failed download.
        fetched.map_err(|error| {
            if major.is_some() {
                none.because(error)
            } else {
                error
            }
        })
    }

    #[cfg(not(feature = "pg-download"))]
    async fn fetch(
        &self,
        _downloads: &Path,
        _major: Option<u32>,
        none: Error,
        _progress: Progress<'_>,
    ) -> Result<Binaries> {
        Err(none)
    }

    fn downloads(&self) -> PathBuf {
        self.home.join("pg-bin")
    }

    fn major(&self) -> Result<Option<u32>> {
        settings::cluster_major(&self.data)
            .map_err(|e| trouble::io("read", &self.data.join("PG_VERSION"), e))
    }

    /// Something that is no cluster is in its place; an empty directory is not in the way.
    fn refuse_strange_data(&self) -> Result<()> {
        let mut entries = match std::fs::read_dir(&self.data) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(trouble::io("read", &self.data, e)),
        };
        if entries.next().is_none() {
            return Ok(());
        }
        Err(Error::conflict(format!(
            "`{}` is not empty and holds no Postgres cluster",
            self.data.display()
        ))
        .hint(format!(
            "Move it away: `mv {0} {0}.old`.",
            trouble::quoted(&self.data)
        )))
    }

    fn unsure(&self, pid: i32) -> Error {
        Error::conflict(format!(
            "`{}` names process {pid}, which may or may not be its server",
            PidFile::path(&self.data).display()
        ))
        .hint(format!(
            "See what it is with `ps -p {pid}`; if it is not Postgres, remove the file: `rm {}`.",
            trouble::quoted(&PidFile::path(&self.data))
        ))
    }
}

// A name that is free of quotes, and the only statement outside the store.
const CREATE_DATABASE: &str = "create database medtainer template template0";

/// `path` without symbolic links as far as it exists, so that every process means the same cluster.
fn real_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for there in path.ancestors() {
        if let Ok(real) = there.canonicalize() {
            return match path.strip_prefix(there) {
                Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
                _ => real,
            };
        }
    }
    path
}
