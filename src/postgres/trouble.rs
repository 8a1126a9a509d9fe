//! What went wrong, told so that the reader knows what to do: disks, permissions, Postgres' own words.

use std::io;
use std::path::Path;

use crate::{Error, Kind};

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A file operation of ours that failed.
pub(super) fn io(doing: &str, path: &Path, error: io::Error) -> Error {
    let told = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => disk_full(path),
        io::ErrorKind::ReadOnlyFilesystem => read_only(path),
        io::ErrorKind::PermissionDenied => no_permission(path),
        _ => Error::new(
            Kind::Conflict,
            format!("cannot {doing} `{}`: {error}", path.display()),
        )
        .hint("Set MEDTAINER_HOME to a directory where medtainer may keep its data."),
    };
    told.because(error)
}

pub(super) fn disk_full(path: &Path) -> Error {
    Error::unavailable(format!("the disk is full at `{}`", path.display())).hint(format!(
        "Free some space (`df -h {}` shows it), then run the command again; nothing was half written.",
        quoted(path)
    ))
}

fn read_only(path: &Path) -> Error {
    Error::conflict(format!(
        "`{}` is on a read-only file system",
        path.display()
    ))
    .hint(
        "Make it writable, or set MEDTAINER_HOME to a directory where medtainer may keep its data.",
    )
}

fn no_permission(path: &Path) -> Error {
    Error::conflict(format!("no permission to use `{}`", path.display())).hint(format!(
        "`ls -ld {}` shows who may; or set MEDTAINER_HOME to a directory of yours.",
        quoted(path)
    ))
}

/// A program of Postgres that failed, from what it wrote.
///
/// `about` says what was tried, `place` where, `log` where the whole text is.
pub(super) fn said(about: &str, place: &Path, text: &str, log: Option<&Path>) -> Error {
    let told = if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        disk_full(place)
    } else if text.contains("Read-only file system") {
        read_only(place)
    } else {
        let reason = telling_line(text).unwrap_or("it said nothing");
        let error = Error::unavailable(format!("{about}: {reason}"));
        match log {
            Some(log) => error.hint(format!(
                "The whole story is in the log: `tail {}`.",
                quoted(log)
            )),
            None => error.hint("`medtainer doctor` checks the database; `-v` shows all it said."),
        }
    };
    let last: Vec<&str> = last_lines(text, 10);
    told.details(serde_json::json!({ "postgres_said": last }))
        .because(last.join("\n"))
}

/// The line that tells most: the last complaint, else the last line.
fn telling_line(text: &str) -> Option<&str> {
    let lines = || text.lines().rev().map(str::trim).filter(|l| !l.is_empty());
    let grave = |line: &&str| {
        ["PANIC:", "FATAL:", "error:", "ERROR:"]
            .iter()
            .any(|word| line.contains(word))
    };
    let line = lines().find(grave).or_else(|| lines().next())?;
    // The time and process number before it are noise in a sentence.
    let from = ["PANIC:", "FATAL:", "ERROR:"]
        .iter()
        .filter_map(|word| line.find(word).map(|at| at + word.len()))
        .next();
    Some(from.map_or(line, |at| line[at..].trim()))
}

fn last_lines(text: &str, count: usize) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_the_line_that_tells() {
        let log = "2026-11-22 10:00:00.000 UTC [9] LOG:  starting\n\
                   2026-11-22 10:00:00.001 UTC [9] FATAL:  could not map anonymous shared memory: Cannot allocate memory\n\
                   2026-11-22 10:00:00.002 UTC [9] LOG:  database system is shut down\n";
        let error = said("Postgres did not start", Path::new("/x"), log, None);
        assert_eq!(
            error.message(),
            "Postgres did not start: could not map anonymous shared memory: Cannot allocate memory"
        );
        assert_eq!(telling_line("  \n\n"), None);
    }

    #[test]
    fn knows_a_full_disk_from_both_sides() {
        let theirs = said(
            "x",
            Path::new("/d"),
            "PANIC:  a: No space left on device",
            None,
        );
        let ours = io("write", Path::new("/d"), io::ErrorKind::StorageFull.into());
        assert_eq!(theirs.message(), ours.message());
        assert_eq!(theirs.kind(), Kind::Unavailable);
    }

    #[test]
    fn quotes_what_a_shell_would_split() {
        assert_eq!(quoted(Path::new("/a/b-c")), "/a/b-c");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
