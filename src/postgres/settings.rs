//! The files that tell the server how to be: small, on a socket only, for its owner only.

use std::path::Path;

/// The line that makes `postgresql.conf` take our settings in; what a person adds below it wins.
pub(super) const INCLUDE: &str = "\n# medtainer writes this file at each start. Settings of yours go below this line and win.\n\
                                  include_if_exists = 'medtainer.conf'\n";

// fsync stays on: this is the only copy of what people told us.
const EVERYWHERE: &str = "\
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 40
shared_buffers = 32MB
wal_level = minimal
max_wal_senders = 0
max_wal_size = 512MB
jit = off
autovacuum_max_workers = 2

# Times are stored with their zone and shown by medtainer.
timezone = 'UTC'
log_timezone = 'UTC'

# Everything goes to one log, in English because it is read by programs too. Texts of statements and
# the details of their errors hold personal data and stay out of it.
logging_collector = off
lc_messages = 'C'
log_checkpoints = off
log_min_error_statement = panic
log_error_verbosity = terse
";

// A setting unknown to a major is fatal at its start.
const FROM_18: &str = "\
# Three resident workers are more than a small database reads.
io_method = sync
";

// Made for tests: the data need not outlive the machine.
const UNSAFE: &str = "\
fsync = off
full_page_writes = off
synchronous_commit = off
";

/// `medtainer.conf` for a server of `major` whose socket is in `socket_dir`.
pub(super) fn conf(major: u32, socket_dir: &str, durable: bool) -> String {
    // The value is a list of names, and names with a comma or a blank need quotes of their own.
    let dir = format!("\"{}\"", socket_dir.replace('"', "\"\""));
    let mut text = String::from("# Written by medtainer at each start: changes here are lost.\n");
    text.push_str(EVERYWHERE);
    if major >= 18 {
        text.push_str(FROM_18);
    }
    if !durable {
        text.push_str(UNSAFE);
    }
    text.push_str(&format!(
        "unix_socket_directories = '{}'\n",
        dir.replace('\\', "\\\\").replace('\'', "''")
    ));
    text
}

/// Who may connect: whoever the machine says is one of `ident`'s users, and nobody else.
pub(super) const HBA: &str = "\
# Written by medtainer at each start: changes here are lost.
local all all peer map=medtainer
";

/// The users of the machine that are `medtainer` in the database.
pub(super) fn ident(users: &[&str]) -> String {
    let mut text = String::from("# Written by medtainer at each start: changes here are lost.\n");
    let mut seen = Vec::new();
    for user in users {
        if seen.contains(user) {
            continue;
        }
        seen.push(user);
        text.push_str(&format!(
            "medtainer \"{}\" medtainer\n",
            user.replace('"', "\"\"")
        ));
    }
    text
}

/// The ways to ask `initdb` of `major` for UTF-8 text, best first: not every machine has C.UTF-8.
pub(super) fn locales(major: u32) -> Vec<Vec<&'static str>> {
    match major {
        17.. => vec![
            vec![
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C.UTF-8",
            ],
            vec![
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
            ],
        ],
        15..=16 => vec![
            vec!["--locale=C.UTF-8"],
            vec!["--locale-provider=icu", "--icu-locale=und", "--locale=C"],
            vec!["--locale=C"],
        ],
        _ => vec![vec!["--locale=C.UTF-8"], vec!["--locale=C"]],
    }
}

/// The major that made the cluster at `data`; `None` when there is no cluster.
pub(super) fn cluster_major(data: &Path) -> std::io::Result<Option<u32>> {
    match std::fs::read_to_string(data.join("PG_VERSION")) {
        Ok(text) => {
            // Before 10 the major had a dot: `9.6`.
            let major = text.trim().split('.').next().and_then(|m| m.parse().ok());
            major.map(Some).ok_or_else(|| {
                std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    "PG_VERSION holds no version",
                )
            })
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_by_version_and_durable() {
        assert!(!conf(17, "/run/x", true).contains("io_method"));
        assert!(conf(18, "/run/x", true).contains("io_method = sync"));
        assert!(!conf(18, "/run/x", true).contains("fsync"));
        assert!(conf(15, "/run/x", false).contains("fsync = off"));
    }

    #[test]
    fn odd_names_stay_one_name() {
        let text = conf(15, "/a b/it's, \"so\"", true);
        assert!(
            text.ends_with("unix_socket_directories = '\"/a b/it''s, \"\"so\"\"\"'\n"),
            "{text}"
        );
        let text = ident(&["root", "DOMAIN\\some one", "root"]);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("medtainer \"DOMAIN\\some one\" medtainer"));
    }
}
