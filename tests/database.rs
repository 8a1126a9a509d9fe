//! A fresh Postgres database for a test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use medtainer_core::store::{Business, Store};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// How to reach a new, empty database: in the server of `MEDTAINER_TEST_DATABASE_URL`, else in a
/// throw-away one that ends with this process.
pub async fn fresh() -> PgConnectOptions {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("medtainer_test_{}_{count}", std::process::id());
    let mut conn = PgConnection::connect_with(&server)
        .await
        .expect("the test server answers");
    for statement in [
        format!("drop database if exists {name}"),
        format!("create database {name}"),
    ] {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut conn)
            .await
            .unwrap();
    }
    server.database(&name)
}

/// The same as a URL, for another process.
pub fn url(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or_default();
    match options.get_socket() {
        Some(dir) => format!(
            "postgres://{}@localhost/{name}?host={}",
            options.get_username(),
            dir.display()
        ),
        None => {
            let url = std::env::var("MEDTAINER_TEST_DATABASE_URL").expect("the server was given");
            let (base, query) = url.split_once('?').unwrap_or((&url, ""));
            let server = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
            format!("{server}/{name}?{query}")
        }
    }
}

/// A business in that database, not yet migrated.
pub fn store(options: &PgConnectOptions, business: &str) -> Store {
    Store::new(
        options.clone(),
        business.parse::<Business>().unwrap(),
        &medtainer::MIGRATOR,
        10,
    )
}

/// A migrated default business in a fresh database.
pub async fn migrated() -> Store {
    let store = store(&fresh().await, "default");
    store.prepare().await.unwrap();
    store
}

fn server() -> PgConnectOptions {
    if let Ok(url) = std::env::var("MEDTAINER_TEST_DATABASE_URL") {
        return url.parse().expect("MEDTAINER_TEST_DATABASE_URL is a URL");
    }
    static SOCKETS: OnceLock<PathBuf> = OnceLock::new();
    let sockets = SOCKETS.get_or_init(throw_away);
    PgConnectOptions::new_without_pgpass()
        .socket(sockets)
        .username("medtainer")
        .database("postgres")
}

// The shell reads our pipe: however this process ends, the pipe closes and the server goes.
#[expect(clippy::zombie_processes, reason = "it outlives us by design")]
fn throw_away() -> PathBuf {
    let bin =
        newest_binaries().expect("Postgres is installed, or MEDTAINER_TEST_DATABASE_URL is set");
    let dir = tempfile::Builder::new()
        .prefix("medtainer-test-")
        .tempdir()
        .unwrap()
        .keep();
    let script = r#"
        cd "$1" || exit 1
        trap '' INT TERM
        if [ "$(id -u)" = 0 ]; then chown nobody "$1"; as="setpriv --reuid=nobody --clear-groups"; fi
        $as "$2/initdb" -D data -U medtainer -A trust --encoding=UTF8 --locale=C --no-sync --no-instructions >init.log 2>&1 &&
        { $as "$2/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c max_connections=400 >log 2>&1 & } || { echo failed; cat init.log; exit 1; }
        server=$!
        until "$2/pg_isready" -q -h "$1" -U medtainer; do kill -0 $server || { echo failed; cat log; exit 1; }; sleep 0.05; done
        echo ready
        cat >/dev/null
        kill -QUIT $server; wait $server; rm -rf "$1"
    "#;
    let mut shell = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([&dir, &bin])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = std::io::BufReader::new(shell.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut said).unwrap();
    assert_eq!(
        said.trim(),
        "ready",
        "{}",
        std::io::read_to_string(stdout).unwrap_or_default()
    );
    let mut pipe = shell.stdin.take().unwrap();
    pipe.write_all(b"\n").unwrap();
    std::mem::forget(pipe);
    dir
}

fn newest_binaries() -> Option<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    installed
        .map(|version| version.path().join("bin"))
        .filter(|bin| Path::new(bin).join("initdb").exists())
        .max()
}
