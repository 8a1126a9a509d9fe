//! Who owns the cluster and runs its server.
//!
//! Postgres refuses to run as root, so root hands the cluster to another account: the one that owns
//! the directory already, else `postgres`, else `nobody`. Everybody else runs it as themselves.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::OFlags;

use super::trouble;
use crate::{Error, Result};

/// The account of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
    pub name: String,
    /// We are root and become this account before running anything of Postgres.
    pub switch: bool,
}

impl Account {
    /// The account for the cluster at `data`, which need not exist, below `home`, which must.
    pub fn choose(home: &Path, data: &Path) -> Result<Account> {
        let me = rustix::process::geteuid().as_raw();
        let owner = match std::fs::symlink_metadata(data) {
            Ok(found) => Some(found.uid()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(trouble::io("look at", data, e)),
        };
        if me != 0 {
            if owner.is_some_and(|owner| owner != me) {
                return Err(Error::conflict(format!(
                    "`{}` belongs to another user",
                    data.display()
                ))
                .hint(
                    "Run medtainer as that user, or set MEDTAINER_HOME to a directory of yours.",
                ));
            }
            let gid = rustix::process::getegid().as_raw();
            let Some(found) = Passwd::of_uid(me) else {
                return Err(nameless(me));
            };
            return Ok(Account {
                uid: me,
                gid,
                name: found.name,
                switch: false,
            });
        }
        let found = match owner {
            Some(0) => {
                let name = ["postgres", "nobody"]
                    .into_iter()
                    .find(|name| Passwd::of_name(name).is_some())
                    .unwrap_or("nobody");
                return Err(Error::conflict(format!(
                    "`{}` belongs to root, and Postgres does not run as root",
                    data.display()
                ))
                .hint(format!(
                    "Give it to another account: `chown -R {name} {}`.",
                    trouble::quoted(data)
                )));
            }
            Some(owner) => Passwd::of_uid(owner).ok_or_else(|| nameless(owner))?,
            None => {
                // Under `sudo` the directory is that of the user, who must be able to go on without.
                let home_owner = std::fs::metadata(home)
                    .map_err(|e| trouble::io("look at", home, e))?
                    .uid();
                let of_home = (home_owner != 0)
                    .then(|| Passwd::of_uid(home_owner))
                    .flatten();
                of_home
                    .or_else(|| Passwd::of_name("postgres"))
                    .or_else(|| Passwd::of_name("nobody"))
                    .ok_or_else(|| {
                        Error::conflict("Postgres does not run as root, and there is no user `postgres` or `nobody`")
                            .hint("Make one with `useradd --system postgres`, or run medtainer as an ordinary user.")
                    })?
            }
        };
        Ok(Account {
            uid: found.uid,
            gid: found.gid,
            name: found.name,
            switch: true,
        })
    }

    /// Make `command` run as this account, with nothing of our environment and no terminal.
    pub fn prepare(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            // Messages are matched by their text, and a locale of ours must not reach the data.
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null());
        if self.switch {
            // The standard library also drops the supplementary groups when root sets a uid.
            command.gid(self.gid).uid(self.uid);
        }
    }

    /// Hand an open file or directory to this account.
    pub fn give(&self, file: &File) -> io::Result<()> {
        if !self.switch {
            return Ok(());
        }
        std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid))
    }

    /// Make a directory of this account that nobody else may enter.
    pub fn make_dir(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(dir)?;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::DIRECTORY).bits() as i32)
            .open(dir)?;
        opened.set_permissions(Permissions::from_mode(0o700))?;
        self.give(&opened)
    }

    /// Write a whole file of this account, so that a reader sees the old text or the new.
    pub fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}", uuid::Uuid::new_v4().simple()));
        let beside = path.with_file_name(name);
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            self.give(&file)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        })();
        if written.is_err() {
            std::fs::remove_file(&beside).ok();
        }
        written
    }

    /// Refuse a directory this account cannot enter, naming the one that stands in the way.
    pub fn check_reach(&self, dir: &Path) -> Result<()> {
        if !self.switch {
            return Ok(());
        }
        if !self.can_enter(Path::new("/")) {
            return Err(Error::conflict(format!(
                "root cannot become user `{}` here",
                self.name
            ))
            .hint("Run medtainer as an ordinary user: the container or sandbox forbids changing user."));
        }
        if self.can_enter(dir) {
            return Ok(());
        }
        let mut ancestors: Vec<&Path> = dir.ancestors().collect();
        ancestors.reverse();
        let blamed = ancestors
            .into_iter()
            .find(|dir| !self.can_enter(dir))
            .unwrap_or(dir);
        Err(Error::conflict(format!(
            "`{}` is closed to user `{}`, who runs Postgres because root may not",
            blamed.display(),
            self.name
        ))
        .hint(format!(
            "Open the way through it with `chmod o+x {}`, or set MEDTAINER_HOME to another directory, such as `/var/lib/medtainer`.",
            trouble::quoted(blamed)
        )))
    }

    /// Whether this account may enter `dir`, which exists.
    ///
    /// The kernel is asked, since access lists and mounts decide too: a child that has become this
    /// account enters the directory before it fails to find its program.
    fn can_enter(&self, dir: &Path) -> bool {
        let mut probe = Command::new("/nonexistent/medtainer");
        self.prepare(&mut probe);
        match probe.current_dir(dir).spawn() {
            Err(e) => e.kind() != io::ErrorKind::PermissionDenied,
            Ok(_) => true,
        }
    }
}

/// Make `home` and what is missing above it; says nothing when it is there.
///
/// Made by root, the way through is open (0711), because the server is another user.
pub(super) fn make_home(home: &Path) -> Result<()> {
    let missing: Vec<PathBuf> = home
        .ancestors()
        .take_while(|dir| std::fs::symlink_metadata(dir).is_err())
        .map(Path::to_path_buf)
        .collect();
    let mode = if rustix::process::geteuid().is_root() {
        0o711
    } else {
        0o700
    };
    for dir in missing.iter().rev() {
        // At once as it has to be: another process may look at it the moment it is there.
        match DirBuilder::new().mode(mode).create(dir) {
            // What a strict umask took away.
            Ok(()) => std::fs::set_permissions(dir, Permissions::from_mode(mode))
                .map_err(|e| trouble::io("open", dir, e))?,
            // Another process was faster, which is as good.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(trouble::io("create", dir, e)),
        }
    }
    match std::fs::metadata(home) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(
            Error::conflict(format!("`{}` is not a directory", home.display()))
                .hint("Set MEDTAINER_HOME to a directory."),
        ),
        Err(e) => Err(trouble::io("open", home, e)),
    }
}

fn nameless(uid: u32) -> Error {
    Error::conflict(format!(
        "user id {uid} has no name on this machine, and Postgres insists on one"
    ))
    .hint(format!(
        "Add it to /etc/passwd: `echo 'medtainer:x:{uid}:{uid}::/tmp:/bin/sh' >> /etc/passwd`."
    ))
}

/// What the machine knows of a user.
#[derive(Debug)]
pub(super) struct Passwd {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Passwd {
    pub fn of_uid(uid: u32) -> Option<Passwd> {
        Self::in_file(|entry| entry.uid == uid).or_else(|| Self::asked(&uid.to_string()))
    }

    pub fn of_name(name: &str) -> Option<Passwd> {
        Self::in_file(|entry| entry.name == name).or_else(|| Self::asked(name))
    }

    fn in_file(wanted: impl Fn(&Passwd) -> bool) -> Option<Passwd> {
        let text = std::fs::read_to_string("/etc/passwd").ok()?;
        text.lines().filter_map(Self::parse).find(wanted)
    }

    fn parse(line: &str) -> Option<Passwd> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_string();
        fields.next()?;
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Passwd { name, uid, gid })
    }

    // Directory services, and macOS, keep users outside /etc/passwd; `id` asks them all.
    fn asked(who: &str) -> Option<Passwd> {
        let id = |flag: &str| {
            let out = Command::new("id").args([flag, who]).output().ok()?;
            let said = String::from_utf8(out.stdout).ok()?.trim().to_string();
            (out.status.success() && !said.is_empty()).then_some(said)
        };
        Some(Passwd {
            name: id("-un")?,
            uid: id("-u")?.parse().ok()?,
            gid: id("-g")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_passwd_lines() {
        let found = Passwd::parse("postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash");
        let found = found.unwrap();
        assert_eq!(
            (found.name.as_str(), found.uid, found.gid),
            ("postgres", 101, 104)
        );
        assert!(Passwd::parse("+::::::").is_none());
        assert!(Passwd::parse("").is_none());
    }

    #[test]
    fn a_home_is_never_seen_closed() {
        let temp = tempfile::tempdir().unwrap();
        for round in 0..300 {
            let home = temp.path().join(round.to_string());
            let seen = std::thread::scope(|scope| {
                let first = scope.spawn(|| {
                    loop {
                        if let Ok(found) = std::fs::metadata(&home) {
                            break found.mode() & 0o777;
                        }
                    }
                });
                make_home(&home).unwrap();
                first.join().unwrap()
            });
            assert_eq!(seen, std::fs::metadata(&home).unwrap().mode() & 0o777);
        }
    }

    #[test]
    fn knows_root_by_name_and_number() {
        assert_eq!(Passwd::of_name("root").unwrap().uid, 0);
        assert_eq!(Passwd::of_uid(0).unwrap().name, "root");
        assert!(Passwd::of_uid(3_999_999_999).is_none());
    }
}
