//! Finding `initdb` and `postgres` on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::trouble;
use crate::{Error, Result};

/// The oldest major a new cluster is made with.
pub(super) const OLDEST: u32 = 14;

/// A folder with a server in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub dir: PathBuf,
    /// `15`
    pub major: u32,
    /// `15.14`
    pub version: String,
}

impl Binaries {
    /// The binaries in `dir`, when it holds a server of a known version.
    pub fn at(dir: &Path) -> Option<Binaries> {
        let postgres = dir.join("postgres");
        if !postgres.is_file() || !dir.join("initdb").is_file() {
            return None;
        }
        let out = Command::new(&postgres)
            .arg("--version")
            .env_clear()
            .output()
            .ok()?;
        let (major, version) = parse_version(&String::from_utf8_lossy(&out.stdout))?;
        Some(Binaries {
            dir: dir.to_path_buf(),
            major,
            version,
        })
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The minor number, for comparing two servers of one major.
    fn rank(&self) -> (u32, u32) {
        let minor = self.version.split('.').nth(1).and_then(|m| m.parse().ok());
        (self.major, minor.unwrap_or(0))
    }
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15 and `15.14`.
fn parse_version(said: &str) -> Option<(u32, String)> {
    let version = said.split(')').nth(1)?.split_whitespace().next()?;
    let digits = version
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .filter(|d| !d.is_empty())?;
    Some((digits.parse().ok()?, version.to_string()))
}

/// Where to look.
#[derive(Debug, Clone)]
pub(super) enum Search {
    /// In this folder only, because somebody said so (`MEDTAINER_PG_BIN`).
    Told(PathBuf),
    /// In the usual places of this machine.
    Usual,
    /// In these folders.
    Only(Vec<PathBuf>),
}

impl Search {
    /// The folders to look into, best first.
    pub fn dirs(&self, downloads: &Path) -> Vec<PathBuf> {
        let mut dirs = match self {
            Search::Told(dir) => return vec![dir.clone()],
            Search::Only(dirs) => dirs.clone(),
            Search::Usual => usual_dirs(),
        };
        dirs.extend(below(downloads, "", "bin"));
        let mut seen = Vec::new();
        dirs.retain(|dir| {
            let real = dir.canonicalize().unwrap_or_else(|_| dir.clone());
            let new = !seen.contains(&real);
            seen.push(real);
            new
        });
        dirs
    }

    /// Every server found, newest first; in the order of the folders where they are equal.
    pub fn all(&self, downloads: &Path) -> Vec<Binaries> {
        let mut found: Vec<Binaries> = self
            .dirs(downloads)
            .iter()
            .filter_map(|dir| Binaries::at(dir))
            .collect();
        found.sort_by_key(|binaries| std::cmp::Reverse(binaries.rank()));
        found
    }

    /// The server for an existing cluster of `major`, or for a new one.
    ///
    /// `None` when there is none and it may be looked for elsewhere.
    pub fn pick(
        &self,
        downloads: &Path,
        major: Option<u32>,
        data: &Path,
    ) -> Result<Option<Binaries>> {
        let found = self.all(downloads);
        let fits = |binaries: &&Binaries| match major {
            Some(major) => binaries.major == major,
            None => binaries.major >= OLDEST,
        };
        if let Some(binaries) = found.iter().find(fits) {
            return Ok(Some(binaries.clone()));
        }
        let Search::Told(dir) = self else {
            return Ok(None);
        };
        let Some(other) = found.first() else {
            return Err(Error::usage(format!(
                "MEDTAINER_PG_BIN is `{}`, which holds no `initdb` and `postgres` that run",
                dir.display()
            ))
            .hint("Set it to the folder of `initdb`, such as `/usr/lib/postgresql/17/bin`, or unset it."));
        };
        match major {
            Some(major) => Err(other_major(data, major, &found)),
            None => Err(Error::usage(format!(
                "MEDTAINER_PG_BIN holds Postgres {}; at least {OLDEST} is needed",
                other.version
            ))
            .hint("Set it to the folder of a newer one, or unset it.")),
        }
    }
}

fn usual_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| {
            std::env::split_paths(&path)
                .filter(|d| d.is_absolute())
                .collect()
        })
        .unwrap_or_default();
    dirs.extend(below("/usr/lib/postgresql", "", "bin"));
    dirs.extend(below("/usr", "pgsql-", "bin"));
    for opt in [
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/home/linuxbrew/.linuxbrew/opt",
    ] {
        dirs.extend(below(opt, "postgresql", "bin"));
    }
    dirs.extend(below(
        "/Applications/Postgres.app/Contents/Versions",
        "",
        "bin",
    ));
    // Alpine, Arch and the BSDs.
    dirs.extend(below("/usr/libexec", "postgresql", ""));
    dirs.extend(["/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
    dirs
}

/// `parent/prefix*/last`, those that exist.
fn below(parent: impl AsRef<Path>, prefix: &str, last: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut dirs: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(last))
        .filter(|dir| dir.is_dir())
        .collect();
    dirs.sort();
    dirs
}

/// No server at all: what to install.
pub(super) fn none_found() -> Error {
    Error::not_found("there is no Postgres on this machine").hint(install_hint(None))
}

fn install_hint(major: Option<u32>) -> String {
    let version = major.map(|major| format!("-{major}")).unwrap_or_default();
    let formula = major.map_or("postgresql".into(), |major| format!("postgresql@{major}"));
    if cfg!(target_os = "macos") {
        format!(
            "Install it with `brew install {formula}` or Postgres.app, or set DATABASE_URL to a server of yours."
        )
    } else {
        format!(
            "Install it with `apt-get install postgresql{version}` (`dnf install postgresql-server`, `brew install {formula}`), or set DATABASE_URL to a server of yours."
        )
    }
}

/// The cluster needs a major that is not here.
pub(super) fn other_major(data: &Path, major: u32, found: &[Binaries]) -> Error {
    let here: Vec<&str> = found.iter().map(|b| b.version.as_str()).collect();
    let here_text = if here.is_empty() {
        "no Postgres".to_string()
    } else {
        format!("only Postgres {}", here.join(", "))
    };
    Error::conflict(format!(
        "the data in `{}` was made by Postgres {major}, and this machine has {here_text}",
        data.display()
    ))
    .hint(format!(
        "Install Postgres {major} again (`apt-get install postgresql-{major}`, `brew install postgresql@{major}`) or set MEDTAINER_PG_BIN to its `bin` folder: the data is untouched. \
         To move to a newer major, dump with the old one (`pg_dump -Fc`), move `{}` away, and restore with `pg_restore`.",
        trouble::quoted(data)
    ))
    .details(json!({ "cluster_major": major, "found": here, "data_dir": data }))
}

/// A real `psql`: beside a server when possible, and never a wrapper script.
pub(super) fn psql(found: &[Binaries], dirs: &[PathBuf]) -> Option<PathBuf> {
    let beside = found.iter().map(|binaries| binaries.dir.as_path());
    beside
        .chain(dirs.iter().map(PathBuf::as_path))
        .map(|dir| dir.join("psql"))
        .find(|psql| is_program(psql))
}

// Debian's `psql` on PATH is a Perl script that takes 30 ms and picks a cluster of its own.
fn is_program(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 2];
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| &start != b"#!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_servers_call_themselves() {
        for (said, major, version) in [
            (
                "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n",
                15,
                "15.14",
            ),
            ("postgres (PostgreSQL) 18.4\n", 18, "18.4"),
            ("postgres (PostgreSQL) 19beta1\n", 19, "19beta1"),
        ] {
            assert_eq!(parse_version(said), Some((major, version.to_string())));
        }
        assert_eq!(parse_version("command not found"), None);
    }

    /// A folder that looks like a server of `version`.
    fn fake(parent: &Path, version: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let dir = parent.join(version);
        std::fs::create_dir(&dir).unwrap();
        for name in ["postgres", "initdb"] {
            let program = dir.join(name);
            std::fs::write(
                &program,
                format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"),
            )
            .unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    }

    #[test]
    fn the_newest_wins_and_a_cluster_keeps_its_major() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = ["9.6", "13.20", "14.9", "16.10", "16.9"].map(|v| fake(temp.path(), v));
        let search = Search::Only(dirs.to_vec());
        let none = Path::new("/nonexistent");
        let pick = |major| {
            search
                .pick(none, major, Path::new("/d"))
                .unwrap()
                .map(|b| b.version)
        };
        assert_eq!(pick(None).as_deref(), Some("16.10"));
        assert_eq!(pick(Some(14)).as_deref(), Some("14.9"));
        assert_eq!(pick(Some(17)), None);
        let old = Search::Only(dirs[..2].to_vec());
        assert!(old.pick(none, None, Path::new("/d")).unwrap().is_none());
    }

    #[test]
    fn a_told_folder_is_the_only_one() {
        let temp = tempfile::tempdir().unwrap();
        let none = Path::new("/nonexistent");
        let told = Search::Told(fake(temp.path(), "16.1"));
        assert_eq!(told.pick(none, None, none).unwrap().unwrap().major, 16);
        let error = told.pick(none, Some(15), Path::new("/d/pg")).unwrap_err();
        assert!(error.message().contains("made by Postgres 15"), "{error}");
        let empty = Search::Told(temp.path().into());
        assert_eq!(
            empty.pick(none, None, none).unwrap_err().kind(),
            crate::Kind::Usage
        );
        let old = Search::Told(fake(temp.path(), "12.1"));
        assert!(
            old.pick(none, None, none)
                .unwrap_err()
                .message()
                .contains("at least 14")
        );
    }

    #[test]
    fn psql_is_never_a_script() {
        let temp = tempfile::tempdir().unwrap();
        let script = temp.path().join("a");
        let real = temp.path().join("b");
        for (dir, text) in [(&script, "#!/usr/bin/perl\n"), (&real, "\x7fELF")] {
            std::fs::create_dir(dir).unwrap();
            std::fs::write(dir.join("psql"), text).unwrap();
        }
        assert_eq!(psql(&[], &[script, real.clone()]), Some(real.join("psql")));
    }
}
