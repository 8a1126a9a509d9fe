//! The server process: started, found, told to stop.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal};
use tokio::sync::oneshot;

use super::account::Account;
use super::binaries::Binaries;
use super::trouble;
use crate::{Error, Result};

/// A log beyond this is put aside at the next start.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;

/// What `postmaster.pid` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub pid: i32,
    pub socket_dir: Option<PathBuf>,
    /// The server said it accepts connections.
    pub ready: bool,
}

impl PidFile {
    pub fn path(data: &Path) -> PathBuf {
        data.join("postmaster.pid")
    }

    pub fn read(data: &Path) -> Option<PidFile> {
        Self::read_at(&Self::path(data))
    }

    pub fn read_at(path: &Path) -> Option<PidFile> {
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    fn parse(text: &str) -> Option<PidFile> {
        let lines: Vec<&str> = text.lines().collect();
        // Single-user mode writes its own number as a negative one.
        let pid = lines.first()?.trim().parse::<i32>().ok()?.checked_abs()?;
        let socket_dir = lines
            .get(4)
            .filter(|line| line.starts_with('/'))
            .map(PathBuf::from);
        let ready = lines.get(7).is_some_and(|line| line.trim() == "ready");
        (pid > 0).then_some(PidFile {
            pid,
            socket_dir,
            ready,
        })
    }
}

/// What runs under a process number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running {
    /// Nothing.
    Nobody,
    /// The server of this cluster.
    Server,
    /// Something else for certain.
    Another,
    /// It cannot be told.
    Unsure,
}

/// What runs as `pid`: the server of the cluster at `data`?
pub(super) fn look_at(pid: i32, data: &Path) -> Running {
    let Some(number) = Pid::from_raw(pid) else {
        return Running::Nobody;
    };
    if rustix::process::test_kill_process(number) == Err(rustix::io::Errno::SRCH) {
        return Running::Nobody;
    }
    if Path::new("/proc/self/stat").exists() {
        look_in_proc(pid, data)
    } else {
        look_with_ps(pid, data)
    }
}

fn look_in_proc(pid: i32, data: &Path) -> Running {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return Running::Unsure;
    };
    // `pid (name) S …`, and the name may hold anything.
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    if matches!(state, Some('Z' | 'X')) {
        // Dead, but not buried by its parent; to the server it looks alive.
        return Running::Another;
    }
    match is_server_in(pid, data) {
        Some(true) => Running::Server,
        Some(false) => Running::Another,
        None => Running::Unsure,
    }
}

/// Whether `pid` is a `postgres` at work in `data`: they all change into their directory.
fn is_server_in(pid: i32, data: &Path) -> Option<bool> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let at = std::fs::metadata(format!("/proc/{pid}/cwd")).ok()?;
    let data = std::fs::metadata(data).ok()?;
    // A package upgrade leaves `/…/postgres (deleted)` behind.
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    Some(name.starts_with("postgres") && (at.dev(), at.ino()) == (data.dev(), data.ino()))
}

fn look_with_ps(pid: i32, data: &Path) -> Running {
    let out = Command::new("ps")
        .args(["-o", "stat=,command=", "-p", &pid.to_string()])
        .output();
    let Ok(out) = out else { return Running::Unsure };
    let said = String::from_utf8_lossy(&out.stdout);
    let Some((state, command)) = said.trim().split_once(char::is_whitespace) else {
        return Running::Nobody;
    };
    if state.starts_with('Z') || !command.contains("postgres") {
        Running::Another
    } else if command.contains(&*data.to_string_lossy()) {
        Running::Server
    } else {
        Running::Unsure
    }
}

/// Every server process at work in `data`; `None` when this machine does not tell.
pub(super) fn at_work_in(data: &Path) -> Option<Vec<i32>> {
    let entries = std::fs::read_dir("/proc").ok()?;
    let mut seen_self = false;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        seen_self |= u32::try_from(pid) == Ok(std::process::id());
        if is_server_in(pid, data) == Some(true) {
            found.push(pid);
        }
    }
    seen_self.then_some(found)
}

/// Send a signal; a process that has gone is as good as one that got it.
pub(super) fn signal(pid: i32, signal: Signal) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(pid) else {
        return Ok(());
    };
    match rustix::process::kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Wait until `pid` is no longer the server of `data`; false when it still is after `limit`.
pub(super) async fn gone(pid: i32, data: &Path, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        if !matches!(look_at(pid, data), Running::Server) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A server that was just started.
pub(super) struct Started {
    /// Says how it ended, if it does.
    pub ended: oneshot::Receiver<io::Result<ExitStatus>>,
    log: PathBuf,
    log_from: u64,
}

/// Start the server of the cluster at `data`; it outlives us.
pub(super) fn start(
    binaries: &Binaries,
    account: &Account,
    data: &Path,
    log: &Path,
) -> Result<Started> {
    if std::fs::metadata(log).is_ok_and(|found| found.len() > LOG_LIMIT) {
        std::fs::rename(log, log.with_extension("log.1")).ok();
    }
    let opened = open_log(log, account).map_err(|e| trouble::io("write", log, e))?;
    let log_from = opened.metadata().map_or(0, |found| found.len());
    let both = opened
        .try_clone()
        .map_err(|e| trouble::io("write", log, e))?;

    let program = binaries.program("postgres");
    let mut command = Command::new(&program);
    account.prepare(&mut command);
    command
        .arg("-D")
        .arg(data)
        .stdout(Stdio::from(opened))
        .stderr(Stdio::from(both))
        // Its own group: Ctrl-C in the terminal is for us alone. Without a session of its own a closing
        // terminal may still send it SIGHUP, which to this server means "read your settings again".
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|e| cannot_run(&program, account, e))?;
    let (tell, ended) = oneshot::channel();
    // Somebody must bury it, or its number would look alive to the next server for as long as we live.
    std::thread::Builder::new()
        .name("postgres".into())
        .spawn(move || tell.send(child.wait()))
        .map_err(|e| Error::internal("cannot start a thread").because(e))?;
    Ok(Started {
        ended,
        log: log.to_path_buf(),
        log_from,
    })
}

impl Started {
    /// What the server wrote since it started.
    pub fn said(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log_from))?;
            file.take(1024 * 1024).read_to_end(&mut text)
        });
        if let Err(error) = read {
            return format!("its log cannot be read: {error}");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn open_log(log: &Path, account: &Account) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(log)?;
    account.give(&file)?;
    Ok(file)
}

/// The error of a program of Postgres that could not even be started.
pub(super) fn cannot_run(program: &Path, account: &Account, error: io::Error) -> Error {
    if account.switch
        && error.kind() == io::ErrorKind::PermissionDenied
        && let Some(dir) = program.parent()
        && let Err(told) = account.check_reach(dir)
    {
        return told;
    }
    Error::conflict(format!("cannot run `{}`: {error}", program.display()))
        .hint("Set MEDTAINER_PG_BIN to the folder of a Postgres that runs here.")
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pid_files_whole_and_half_written() {
        let whole = "811\n/var/lib/medtainer/pg\n1700000000\n5432\n/run/medtainer/abc\n\n  5432001    12\nready   \n";
        assert_eq!(
            PidFile::parse(whole),
            Some(PidFile {
                pid: 811,
                socket_dir: Some("/run/medtainer/abc".into()),
                ready: true
            })
        );
        let half = PidFile::parse("811\n/var/lib/medtainer/pg\n1700000000\n5432\n").unwrap();
        assert_eq!((half.pid, half.socket_dir, half.ready), (811, None, false));
        for text in ["", "\n", "x\n", "0\n"] {
            assert_eq!(PidFile::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn tells_processes_apart() {
        let here = std::env::temp_dir();
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(look_at(me, &here), Running::Another);
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert_eq!(look_at(pid, &here), Running::Nobody);
    }

    #[test]
    fn an_unburied_process_is_not_the_server() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(look_at(pid, &std::env::temp_dir()), Running::Another);
        child.wait().unwrap();
    }
}
