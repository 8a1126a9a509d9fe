//! The private Postgres through its public face: real servers, real processes, real disks.
//!
//! As root the server is another user, and disks can be made small or read-only; what cannot be done on
//! this machine is skipped loudly.
#![allow(clippy::print_stderr, reason = "figures and skips are for the reader")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use medtainer_core::Kind;
use medtainer_core::postgres::{Cluster, Stop};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

/// A cluster in a directory that goes away, server and all.
struct Scene {
    temp: TempDir,
    home: PathBuf,
    cluster: Cluster,
}

impl Scene {
    fn new() -> Scene {
        Scene::at("home")
    }

    fn at(name: &str) -> Scene {
        let temp = open_temp();
        let home = temp.path().join(name);
        let cluster = cluster(&home, temp.path());
        Scene {
            temp,
            home,
            cluster,
        }
    }

    /// Bring the server up and tell what a person would have read meanwhile.
    async fn ensure(&self) -> Vec<String> {
        ensure(&self.cluster).await.expect("the cluster comes up")
    }

    async fn connect(&self) -> PgConnection {
        connect(&self.cluster).await
    }

    async fn server_pid(&self) -> i32 {
        self.cluster.status().await.unwrap().pid.expect("it runs")
    }

    /// What is in the home, sorted.
    fn contents(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.home)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let pid_file = self.cluster.data_dir().join("postmaster.pid");
        let Ok(text) = std::fs::read_to_string(&pid_file) else {
            return;
        };
        let pid = text.lines().next().unwrap_or_default().to_string();
        let Ok(at) = std::fs::metadata(format!("/proc/{pid}/cwd")) else {
            return;
        };
        let data = std::fs::metadata(self.cluster.data_dir()).unwrap();
        if (at.dev(), at.ino()) != (data.dev(), data.ino()) {
            return;
        }
        kill("-QUIT", &pid);
        wait_until("the server is gone", || !pid_file.exists());
    }
}

/// A temporary directory that the server's user can pass through.
fn open_temp() -> TempDir {
    let temp = tempfile::Builder::new()
        .prefix("mdt")
        .tempdir_in("/tmp")
        .unwrap();
    std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    temp
}

fn cluster(home: &Path, temp: &Path) -> Cluster {
    let bin = std::env::var_os("MEDTAINER_PG_BIN").map(PathBuf::from);
    Cluster::new(home, Some(&temp.join("run")), bin)
        .download(false)
        .throw_away()
}

async fn ensure(cluster: &Cluster) -> medtainer_core::Result<Vec<String>> {
    let said = Mutex::new(Vec::new());
    cluster
        .ensure(&|line| said.lock().unwrap().push(line.to_string()))
        .await?;
    Ok(said.into_inner().unwrap())
}

async fn connect(cluster: &Cluster) -> PgConnection {
    cluster.connect_options().connect().await.unwrap()
}

async fn text(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

fn is_root() -> bool {
    let out = Command::new("id").arg("-u").output().unwrap();
    out.stdout.trim_ascii() == b"0"
}

fn kill(signal: &str, pid: &str) {
    Command::new("kill").args([signal, pid]).status().unwrap();
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// This test binary again, as a medtainer of its own that does one thing.
fn another(scene: &Scene, what: &str) -> Command {
    // Alone this file is a crate; in the common binary it is a module of it.
    let name = match module_path!().split_once("::") {
        Some((_, module)) => format!("{module}::child"),
        None => "child".to_string(),
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", &name, "--nocapture"])
        .env("MEDTAINER_TEST_CHILD", what)
        .env("MEDTAINER_TEST_HOME", &scene.home)
        .env("MEDTAINER_TEST_TEMP", scene.temp.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Not a test: what the other processes do.
#[tokio::test]
#[ignore = "run by other tests"]
async fn child() {
    let Ok(what) = std::env::var("MEDTAINER_TEST_CHILD") else {
        return;
    };
    let var = |name| PathBuf::from(std::env::var_os(name).unwrap());
    let cluster = cluster(&var("MEDTAINER_TEST_HOME"), &var("MEDTAINER_TEST_TEMP"));
    match what.as_str() {
        "ensure" => {
            let said = ensure(&cluster).await.unwrap();
            let mut connection = connect(&cluster).await;
            let db = text(&mut connection, "select current_database()::text").await;
            eprintln!("{db} {said:?}");
        }
        "download" => {
            let cluster = cluster.search_only(Vec::new()).download(true);
            let error = ensure(&cluster).await.unwrap_err();
            eprintln!(
                "kind={} {error} HINT {}",
                error.kind(),
                error.hint_text().unwrap()
            );
        }
        other => panic!("{other}?"),
    }
}

#[tokio::test]
async fn first_use_makes_it_and_the_second_only_connects() {
    let temp = open_temp();
    let home = temp.path().join("home");
    let durable = Cluster::new(&home, Some(&temp.path().join("run")), None).download(false);
    let scene = Scene {
        home,
        cluster: durable,
        temp,
    };

    assert!(!scene.cluster.status().await.unwrap().running);
    let begun = Instant::now();
    let said = scene.ensure().await;
    let first = begun.elapsed();
    assert_eq!(
        said,
        [
            "creating the private Postgres",
            "starting the private Postgres"
        ]
    );
    assert_eq!(scene.contents(), ["pg", "pg.lock", "pg.log"]);

    let begun = Instant::now();
    assert_eq!(scene.ensure().await, Vec::<String>::new());
    let second = begun.elapsed();

    let begun = Instant::now();
    let mut db = scene.connect().await;
    let connected = begun.elapsed();
    for (setting, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("shared_buffers", "32MB"),
        ("max_connections", "40"),
        ("wal_level", "minimal"),
        ("unix_socket_permissions", "0700"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ] {
        let is: String = sqlx::query_scalar("select current_setting($1)")
            .bind(setting)
            .fetch_one(&mut db)
            .await
            .unwrap();
        assert_eq!(is, value, "{setting}");
    }
    assert_eq!(
        text(
            &mut db,
            "select concat_ws(' ', current_user, current_database(), upper('é'))"
        )
        .await,
        "medtainer medtainer É"
    );
    for extension in ["pg_trgm", "unaccent", "fuzzystrmatch", "btree_gin"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("create extension {extension}")))
            .execute(&mut db)
            .await
            .unwrap();
    }

    let status = scene.cluster.status().await.unwrap();
    assert!(status.running && !status.restart_needed);
    assert_eq!(status.connections, Some(1));
    assert!(status.size_bytes.unwrap() > 5_000_000);
    assert!(
        status
            .server_version
            .unwrap()
            .starts_with(&status.binaries_version.unwrap())
    );
    let data = std::fs::metadata(scene.cluster.data_dir()).unwrap();
    assert_eq!(data.mode() & 0o777, 0o700);
    assert_eq!(data.uid() == 0, false, "the server never runs as root");

    drop(db);
    assert!(scene.cluster.stop(Stop::Fast).await.unwrap());
    assert!(!scene.cluster.stop(Stop::Fast).await.unwrap());
    assert!(!scene.cluster.status().await.unwrap().running);
    let begun = Instant::now();
    assert_eq!(scene.ensure().await, ["starting the private Postgres"]);
    let started = begun.elapsed();
    eprintln!(
        "FIGURES first {first:?}, start {started:?}, fast path {second:?}, connect {connected:?}"
    );
}

#[tokio::test]
async fn psql_is_a_real_one_and_gets_in() {
    let scene = Scene::new();
    scene.ensure().await;
    let mut psql = match scene.cluster.psql() {
        Ok(psql) => psql,
        Err(error) => return eprintln!("SKIPPED psql: {error}"),
    };
    let mut start = [0; 2];
    let mut file = std::fs::File::open(psql.get_program()).unwrap();
    std::io::Read::read_exact(&mut file, &mut start).unwrap();
    assert_ne!(&start, b"#!");
    let out = psql
        .args(["-XAtc", "select 'in as ' || current_user"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&out.stdout),
        "in as medtainer\n",
        "{out:?}"
    );
}

#[tokio::test]
async fn a_killed_server_comes_back_with_every_row() {
    let scene = Scene::new();
    scene.ensure().await;
    let mut db = scene.connect().await;
    run(
        &mut db,
        "create table kept as select g from generate_series(1, 10000) g",
    )
    .await;
    let pid = scene.server_pid().await;
    kill("-KILL", &pid.to_string());
    wait_until("it is dead", || {
        std::fs::metadata(format!("/proc/{pid}/exe")).is_err()
    });

    let error = sqlx::query("select 1").execute(&mut db).await.unwrap_err();
    assert_eq!(medtainer_core::Error::from(error).kind(), Kind::Unavailable);
    let error = scene.cluster.connect_options().connect().await.unwrap_err();
    assert!(Cluster::is_down(&error), "{error}");

    let begun = Instant::now();
    assert_eq!(scene.ensure().await[0], "starting the private Postgres");
    eprintln!("FIGURES kill -9 to ready {:?}", begun.elapsed());
    let mut db = scene.connect().await;
    assert_eq!(
        text(&mut db, "select count(*)::text from kept").await,
        "10000"
    );
}

#[tokio::test]
async fn busy_children_of_a_killed_server_do_not_stand_in_the_way() {
    let scene = Scene::new();
    scene.ensure().await;
    let mut db = scene.connect().await;
    let busy: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut db)
        .await
        .unwrap();
    // Arithmetic that never looks up from its work.
    let query = tokio::spawn(async move {
        let endless =
            "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b";
        sqlx::query(endless).execute(&mut db).await.unwrap_err();
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill("-KILL", &scene.server_pid().await.to_string());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        Path::new(&format!("/proc/{busy}/exe")).exists(),
        "the child outlives its server"
    );
    let said = scene.ensure().await;
    assert!(said.iter().any(|line| line.contains("crashed")), "{said:?}");
    query.await.unwrap();
}

#[tokio::test]
async fn a_number_that_now_belongs_to_somebody_else_is_not_the_server() {
    let scene = Scene::new();
    scene.ensure().await;
    let pid_file = scene.cluster.data_dir().join("postmaster.pid");
    let was = std::fs::read_to_string(&pid_file).unwrap();
    scene.cluster.stop(Stop::Fast).await.unwrap();

    // Of the server's own user: another user's process the server itself can tell apart.
    let owner = std::fs::metadata(scene.cluster.data_dir()).unwrap();
    let mut sleep = Command::new("sleep");
    sleep.arg("60");
    if is_root() {
        sleep.uid(owner.uid()).gid(owner.gid());
    }
    let mut stranger = sleep.spawn().unwrap();
    let (_, rest) = was.split_once('\n').unwrap();
    std::fs::write(&pid_file, format!("{}\n{rest}", stranger.id())).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&pid_file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    assert!(
        !scene.cluster.stop(Stop::Fast).await.unwrap(),
        "the stranger is left alone"
    );
    assert_eq!(scene.ensure().await, ["starting the private Postgres"]);
    assert!(
        stranger.try_wait().unwrap().is_none(),
        "the stranger is left alone"
    );
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn ten_processes_at_once_make_one_cluster() {
    let scene = Scene::new();
    for round in ["creating", "starting"] {
        let begun = Instant::now();
        let children: Vec<Child> = (0..10)
            .map(|_| another(&scene, "ensure").spawn().unwrap())
            .collect();
        let said: Vec<String> = children
            .into_iter()
            .map(|child| {
                let out = child.wait_with_output().unwrap();
                let said = String::from_utf8_lossy(&out.stderr).into_owned();
                assert!(out.status.success(), "{said}");
                assert!(said.contains("medtainer ["), "{said}");
                said
            })
            .collect();
        let doing = format!("{round} the private Postgres");
        let did = said.iter().filter(|said| said.contains(&doing)).count();
        assert_eq!(did, 1, "{said:#?}");
        eprintln!("FIGURES ten at once, {round}: {:?}", begun.elapsed());
        assert_eq!(scene.contents(), ["pg", "pg.lock", "pg.log"]);
        // Their ends did not end the server.
        assert!(scene.cluster.status().await.unwrap().running);
        kill("-KILL", &scene.server_pid().await.to_string());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_first_use_killed_half_way_leaves_nothing() {
    let scene = Scene::new();
    for wait in [0, 150, 300] {
        let mut first = another(&scene, "ensure").spawn().unwrap();
        wait_until("it has begun", || {
            scene.home.exists()
                && scene
                    .contents()
                    .iter()
                    .any(|name| name.starts_with("pg.init-"))
        });
        std::thread::sleep(Duration::from_millis(wait));
        first.kill().unwrap();
        first.wait().unwrap();
        assert!(
            !scene.cluster.data_dir().exists(),
            "killed too late after {wait} ms"
        );
    }
    scene.ensure().await;
    // The orphaned initdb of the last round may still have been writing when its place was swept.
    std::thread::sleep(Duration::from_secs(2));
    scene.cluster.stop(Stop::Fast).await.unwrap();
    assert_eq!(scene.ensure().await, ["starting the private Postgres"]);
    assert_eq!(scene.contents(), ["pg", "pg.lock", "pg.log"]);
}

#[tokio::test]
async fn a_cluster_of_another_major_says_how_to_go_on() {
    let scene = Scene::new();
    scene.ensure().await;
    scene.cluster.stop(Stop::Fast).await.unwrap();
    let version = scene.cluster.data_dir().join("PG_VERSION");
    let real = std::fs::read_to_string(&version).unwrap();
    std::fs::write(&version, "11\n").unwrap();

    let error = ensure(&scene.cluster).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(
        error.message().contains("was made by Postgres 11"),
        "{error}"
    );
    let hint = error.hint_text().unwrap();
    for way_out in [
        "apt-get install postgresql-11",
        "MEDTAINER_PG_BIN",
        "pg_dump",
        "pg_restore",
    ] {
        assert!(hint.contains(way_out), "{hint}");
    }
    assert_eq!(
        scene.cluster.status().await.unwrap().cluster_major,
        Some(11)
    );

    std::fs::write(&version, real).unwrap();
    scene.ensure().await;
}

/// Makes with the machine's own server, then lets only another major be found; and the reverse.
#[tokio::test]
async fn two_majors_each_keep_their_own_cluster() {
    let Some(other) = std::env::var_os("MEDTAINER_TEST_OTHER_PG_BIN").map(PathBuf::from) else {
        return eprintln!("SKIPPED two majors: MEDTAINER_TEST_OTHER_PG_BIN is not set");
    };
    let scene = Scene::new();
    let others = scene.cluster.clone().search_only(vec![other]);
    ensure(&others).await.unwrap();
    let version = others.status().await.unwrap();
    eprintln!("FIGURES the other major is {:?}", version.server_version);
    assert_ne!(version.cluster_major, Some(0));
    others.stop(Stop::Fast).await.unwrap();
    let error = ensure(&scene.cluster).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
    ensure(&others).await.unwrap();
}

#[tokio::test]
async fn no_server_anywhere_names_the_package() {
    let scene = Scene::new();
    let bare = scene.cluster.clone().search_only(Vec::new());
    let error = ensure(&bare).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.message(), "there is no Postgres on this machine");
    assert!(error.hint_text().unwrap().contains("install postgresql"));
    assert_eq!(scene.contents(), ["pg.lock"]);
}

#[tokio::test]
async fn no_server_and_no_network_names_the_package() {
    let scene = Scene::new();
    let mut child = another(&scene, "download");
    child
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("https_proxy", "http://127.0.0.1:9");
    let begun = Instant::now();
    let out = child.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("kind=unavailable"), "{said}");
    assert!(
        said.contains("none could be downloaded HINT Install it with"),
        "{said}"
    );
    eprintln!(
        "FIGURES a download without network fails after {:?}",
        begun.elapsed()
    );
    assert!(!scene.contents().contains(&"pg".to_string()));
}

#[tokio::test]
async fn something_else_in_its_place_is_left_alone() {
    let scene = Scene::new();
    std::fs::create_dir(&scene.home).unwrap();
    std::fs::set_permissions(&scene.home, std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = scene.cluster.data_dir();
    std::fs::create_dir(data).unwrap();
    std::fs::write(data.join("letter"), "dear").unwrap();
    if is_root() {
        let error = ensure(&scene.cluster).await.unwrap_err();
        assert!(error.message().contains("belongs to root"), "{error}");
        let chown = error
            .hint_text()
            .unwrap()
            .split('`')
            .nth(1)
            .unwrap()
            .to_string();
        assert!(
            Command::new("sh")
                .args(["-c", &chown])
                .status()
                .unwrap()
                .success()
        );
    }
    let error = ensure(&scene.cluster).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(
        error
            .message()
            .ends_with("is not empty and holds no Postgres cluster"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_to_string(data.join("letter")).unwrap(),
        "dear"
    );
    std::fs::remove_file(data.join("letter")).unwrap();
    scene.ensure().await;
}

#[tokio::test]
async fn a_home_that_is_no_directory_is_refused() {
    let scene = Scene::new();
    std::fs::write(&scene.home, "").unwrap();
    let error = ensure(&scene.cluster).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().ends_with("is not a directory"), "{error}");
    let below = cluster(&scene.home.join("deeper"), scene.temp.path());
    let error = ensure(&below).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
}

#[tokio::test]
async fn odd_and_long_paths_work() {
    let odd = Scene::at("it's a \"home\", with $everything; é");
    odd.ensure().await;
    assert_eq!(text(&mut odd.connect().await, "select 'in'").await, "in");

    let temp = open_temp();
    let home = temp.path().join("h".repeat(120)).join("i".repeat(120));
    // Too long for a socket, so that it goes elsewhere.
    let run = temp.path().join("r".repeat(100));
    let cluster = Cluster::new(&home, Some(&run), None)
        .download(false)
        .throw_away();
    let long = Scene {
        temp,
        home,
        cluster,
    };
    long.ensure().await;
    let socket = long.cluster.status().await.unwrap().socket;
    assert!(
        socket.as_os_str().len() <= 107 && !socket.starts_with(long.temp.path()),
        "{socket:?}"
    );
    // Somebody with another environment finds it all the same.
    let cron = Cluster::new(&long.home, None, None);
    assert_eq!(text(&mut connect(&cron).await, "select 'in'").await, "in");
    let dir = long.cluster.socket_dir();
    drop(long);
    std::fs::remove_dir(dir).ok();
}

#[tokio::test]
async fn a_server_whose_socket_was_swept_away_is_started_again() {
    let scene = Scene::new();
    scene.ensure().await;
    let before = scene.server_pid().await;
    std::fs::remove_dir_all(scene.temp.path().join("run")).unwrap();
    let error = scene.cluster.connect_options().connect().await.unwrap_err();
    assert!(Cluster::is_down(&error), "{error}");
    scene.ensure().await;
    assert_ne!(scene.server_pid().await, before);
}

#[tokio::test]
async fn somebody_elses_directory_is_not_used_for_the_socket() {
    let scene = Scene::new();
    let run = scene.temp.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o777)).unwrap();
    scene.ensure().await;
    let dir = scene.cluster.socket_dir();
    assert!(!dir.starts_with(&run), "{dir:?}");
    drop(scene);
    std::fs::remove_dir(dir).ok();
}

#[tokio::test]
async fn stopped_in_the_middle_of_a_command() {
    let scene = Scene::new();
    scene.ensure().await;
    let mut db = scene.connect().await;
    let command = tokio::spawn(async move {
        let outcome = sqlx::query("select pg_sleep(60)").execute(&mut db).await;
        medtainer_core::Error::from(outcome.unwrap_err())
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(scene.cluster.stop(Stop::Fast).await.unwrap());
    let error = command.await.unwrap();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.hint_text().unwrap().contains("again"), "{error}");
    scene.ensure().await;
}

#[tokio::test]
async fn an_opened_data_directory_is_closed_again() {
    let scene = Scene::new();
    scene.ensure().await;
    scene.cluster.stop(Stop::Immediate).await.unwrap();
    let data = scene.cluster.data_dir();
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o755)).unwrap();
    scene.ensure().await;
    assert_eq!(std::fs::metadata(data).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_dropped_database_is_made_again() {
    let scene = Scene::new();
    scene.ensure().await;
    let mut db: PgConnection = scene
        .cluster
        .connect_options()
        .database("postgres")
        .connect()
        .await
        .unwrap();
    run(&mut db, "drop database medtainer").await;
    let error = scene.cluster.connect_options().connect().await.unwrap_err();
    assert!(Cluster::is_down(&error), "{error}");
    scene.ensure().await;
    scene.connect().await.close().await.unwrap();
}

#[tokio::test]
async fn two_locks_keep_other_users_out() {
    if !is_root() {
        return eprintln!("SKIPPED other users: only root can become one");
    }
    let scene = Scene::new();
    scene.ensure().await;
    let Ok(psql) = scene.cluster.psql() else {
        return eprintln!("SKIPPED other users: no psql");
    };
    let ask = || {
        let mut other = Command::new(psql.get_program());
        other
            .args(psql.get_args())
            .args(["-XAtc", "select 'in'"])
            .uid(65534)
            .gid(65534);
        let out = other.output().unwrap();
        assert!(!out.status.success(), "{out:?}");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let said = ask();
    assert!(said.contains("Permission denied"), "{said}");
    let dir = scene.cluster.socket_dir();
    for (path, mode) in [
        (dir.parent().unwrap(), 0o755),
        (&dir, 0o755),
        (&dir.join(".s.PGSQL.5432"), 0o777),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let said = ask();
    assert!(
        said.to_lowercase().contains("peer authentication failed"),
        "{said}"
    );
}

#[tokio::test]
async fn root_is_told_which_door_is_closed_to_the_server() {
    if !is_root() {
        return eprintln!("SKIPPED closed doors: this is about root");
    }
    let scene = Scene::new();
    let door = scene.temp.path();
    std::fs::set_permissions(door, std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = ensure(&scene.cluster).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(
        error.message().contains("is closed to user `postgres`"),
        "{error}"
    );
    let mend = error
        .hint_text()
        .unwrap()
        .split('`')
        .nth(1)
        .unwrap()
        .to_string();
    assert_eq!(mend, format!("chmod o+x {}", door.display()));
    assert!(
        Command::new("sh")
            .args(["-c", &mend])
            .status()
            .unwrap()
            .success()
    );
    scene.ensure().await;
    assert_eq!(
        std::fs::metadata(&scene.home).unwrap().mode() & 0o777,
        0o711
    );
}

#[tokio::test]
async fn under_sudo_the_cluster_is_the_users() {
    if !is_root() {
        return eprintln!("SKIPPED sudo: this is about root");
    }
    let scene = Scene::new();
    std::fs::create_dir(&scene.home).unwrap();
    std::fs::set_permissions(&scene.home, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&scene.home, Some(65534), Some(65534)).unwrap();
    scene.ensure().await;
    for name in ["pg", "pg.lock", "pg.log"] {
        assert_eq!(
            std::fs::metadata(scene.home.join(name)).unwrap().uid(),
            65534,
            "{name}"
        );
    }
    // The user goes on without root.
    let mut user = another(&scene, "ensure");
    let out = user.uid(65534).gid(65534).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// A file system of its own, gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(at: &Path, size: &str) -> Option<Disk> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0711");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        match mounted {
            Ok(status) if is_root() && status.success() => Some(Disk(at.to_path_buf())),
            _ => {
                eprintln!("SKIPPED a disk of its own: mounting is not possible here");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[tokio::test]
async fn a_full_disk_says_so_and_recovers_when_there_is_room() {
    let temp = open_temp();
    let Some(disk) = Disk::new(&temp.path().join("disk"), "20m") else {
        return;
    };
    let home = temp.path().join("disk/home");
    let full = Scene {
        cluster: cluster(&home, temp.path()),
        home,
        temp,
    };

    let error = ensure(&full.cluster).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(
        error.message().starts_with("the disk is full at"),
        "{error}"
    );
    assert_eq!(full.contents(), ["pg.lock"], "nothing half made is left");

    disk.remount("size=80m");
    full.ensure().await;
    let mut db = full.connect().await;
    run(
        &mut db,
        "create table kept as select g from generate_series(1, 1000) g",
    )
    .await;
    run(&mut db, "create table big (t text)").await;
    let filled = loop {
        let grow =
            "insert into big select repeat(md5(g::text), 50) from generate_series(1, 2000) g";
        if let Err(error) = sqlx::query(grow).execute(&mut db).await {
            break medtainer_core::Error::from(error);
        }
    };
    assert_eq!(filled.kind(), Kind::Unavailable);
    eprintln!("FIGURES while running, a full disk is: {filled}");

    // Not a byte left for the server's own files.
    let ballast = full.home.join("ballast");
    std::fs::write(&ballast, vec![0; 80 * 1024 * 1024]).unwrap_err();
    full.cluster.stop(Stop::Immediate).await.unwrap();
    let error = ensure(&full.cluster).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(
        error.message().starts_with("the disk is full at"),
        "{error} {error:?}"
    );

    std::fs::remove_file(&ballast).unwrap();
    disk.remount("size=200m");
    full.ensure().await;
    let mut db = full.connect().await;
    assert_eq!(
        text(&mut db, "select count(*)::text from kept").await,
        "1000"
    );
    full.cluster.stop(Stop::Fast).await.unwrap();
    drop(disk);
}

#[tokio::test]
async fn a_read_only_disk_is_named() {
    let temp = open_temp();
    let Some(disk) = Disk::new(&temp.path().join("disk"), "120m") else {
        // Without root the permission bits do the same.
        let home = temp.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o500)).unwrap();
        let error = ensure(&cluster(&home, temp.path())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(
            error.message().starts_with("no permission to use"),
            "{error}"
        );
        return;
    };
    let home = temp.path().join("disk/home");
    let scene = Scene {
        cluster: cluster(&home, temp.path()),
        home,
        temp,
    };
    disk.remount("ro");
    for _ in ["before there is a cluster", "and with one"] {
        let error = ensure(&scene.cluster).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(
            error.message().ends_with("is on a read-only file system"),
            "{error}"
        );
        assert!(error.hint_text().unwrap().contains("MEDTAINER_HOME"));
        disk.remount("rw");
        scene.ensure().await;
        scene.cluster.stop(Stop::Fast).await.unwrap();
        disk.remount("ro");
    }
    disk.remount("rw");
    drop(disk);
}
