//! Where the socket is: short enough for the kernel, the same for every process, closed to others.
//!
//! A shell has `XDG_RUNTIME_DIR` and cron has not, so the place cannot be computed alone: the running
//! server's own `postmaster.pid` says where it listens, and only a start decides anew.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::Account;
use super::server::PidFile;
use super::trouble;
use crate::{Error, Result};

/// The socket's name; the port is only a name here.
pub(super) const FILE: &str = ".s.PGSQL.5432";

/// The longest path `sockaddr_un` takes, without its closing zero.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Where no socket can be: connecting there says "not found", and then `ensure` says the rest.
const NOWHERE: &str = "/nonexistent/medtainer";

/// The folder to connect through, without asking the server.
pub(super) fn current(runtime_dir: Option<&Path>, data: &Path) -> PathBuf {
    let told = PidFile::read(data).and_then(|pid_file| pid_file.socket_dir);
    let me = rustix::process::geteuid().as_raw();
    let uid = match (me, std::fs::metadata(data)) {
        (0, Ok(found)) => found.uid(),
        _ => me,
    };
    told.into_iter()
        .chain(candidates(runtime_dir, data, me, uid))
        // Somebody else's folder in /tmp could hold a server that listens to what we say.
        .find(|dir| is_private(dir, uid))
        .unwrap_or_else(|| NOWHERE.into())
}

/// The folders a server of user `uid` may listen in, best first.
fn candidates(runtime_dir: Option<&Path>, data: &Path, me: u32, uid: u32) -> Vec<PathBuf> {
    let mut bases: Vec<PathBuf> = runtime_dir.map(Path::to_path_buf).into_iter().collect();
    if me == 0 {
        bases.push("/run/medtainer".into());
    }
    bases.push(format!("/tmp/medtainer-{uid}").into());
    let name = short_name(data);
    bases
        .into_iter()
        .map(|base| base.join(&name))
        .filter(|dir| fits(dir))
        .collect()
}

fn fits(dir: &Path) -> bool {
    // sqlx and the server's settings want text.
    let text = dir
        .to_str()
        .is_some_and(|text| !text.contains(['\n', '\r']));
    text && dir.is_absolute() && dir.as_os_str().len() + 1 + FILE.len() <= LONGEST
}

/// A short name for the cluster at `data`.
fn short_name(data: &Path) -> String {
    let digest = Sha256::digest(data.as_os_str().as_bytes());
    digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn is_private(dir: &Path, uid: u32) -> bool {
    std::fs::symlink_metadata(dir)
        .is_ok_and(|found| found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0)
}

/// The folder for a server about to start, made if need be.
pub(super) fn prepare(
    runtime_dir: Option<&Path>,
    data: &Path,
    account: &Account,
) -> Result<PathBuf> {
    let me = rustix::process::geteuid().as_raw();
    let mut refusal = None;
    for dir in candidates(runtime_dir, data, me, account.uid) {
        let Some(base) = dir.parent() else { continue };
        match make(base, account).and_then(|()| make(&dir, account)) {
            Ok(()) => return Ok(dir),
            Err(error) => {
                tracing::debug!(dir = %dir.display(), %error, "no socket here");
                refusal = Some(error);
            }
        }
    }
    Err(refusal.unwrap_or_else(|| {
        Error::conflict("there is no directory with a path short enough for Postgres' socket")
            .hint("Set XDG_RUNTIME_DIR to a directory of yours with a path below 70 bytes.")
    }))
}

fn make(dir: &Path, account: &Account) -> Result<()> {
    if let Some(parent) = dir.parent()
        && parent.is_dir()
    {
        account.check_reach(parent)?;
    }
    match account.make_dir(dir) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(trouble::io("create", dir, e)),
    }
    if is_private(dir, account.uid) {
        return account.check_reach(dir);
    }
    Err(Error::conflict(format!(
        "`{}` is not a private directory of user `{}`",
        dir.display(),
        account.name
    ))
    .hint(format!(
        "Postgres' socket goes there; look with `ls -ld {0}`, and remove it if it is not needed: `rm -r {0}`.",
        trouble::quoted(dir)
    )))
}

/// The socket as `psql` and other programs take it.
pub(super) fn url(dir: &Path) -> String {
    let mut host = String::new();
    for byte in OsStr::as_bytes(dir.as_os_str()) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                host.push(char::from(*byte));
            }
            _ => host.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("postgresql://medtainer@/medtainer?host={host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_runtime_directory_is_passed_over() {
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(90)));
        let data = Path::new("/home/somebody/.local/share/medtainer/pg");
        let found = candidates(Some(&long), data, 1000, 1000);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("/tmp/medtainer-1000"), "{found:?}");
        let longest = PathBuf::from(format!(
            "/{}",
            "x".repeat(LONGEST - 1 - 13 - FILE.len() - 1)
        ));
        let found = candidates(Some(&longest), data, 1000, 1000);
        assert_eq!(found[0].join(FILE).as_os_str().len(), LONGEST);
    }

    #[test]
    fn two_clusters_have_two_names() {
        assert_ne!(
            short_name(Path::new("/a/pg")),
            short_name(Path::new("/b/pg"))
        );
        assert_eq!(short_name(Path::new("/a/pg")).len(), 12);
    }

    #[test]
    fn url_escapes_what_is_not_plain() {
        assert_eq!(
            url(Path::new("/tmp/a b&c")),
            "postgresql://medtainer@/medtainer?host=/tmp/a%20b%26c"
        );
    }

    #[test]
    fn a_folder_open_to_others_is_nowhere() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(is_private(temp.path(), uid));
        assert!(!is_private(temp.path(), uid + 1));
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!is_private(temp.path(), uid));
    }
}
