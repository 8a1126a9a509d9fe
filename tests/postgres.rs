//! The private Postgres through its public face: real servers, real processes, real disks.
//!
//! As root the server is another user, and disks can be made small or read-only; what cannot be done on
//! this machine is skipped loudly. `MEDTAINER_PG_BIN` chooses the server, `MEDTAINER_TEST_OTHER_PG_BIN`
//! names one of another major.
#![allow(clippy::print_stderr, reason = "figures and skips are for the reader")]

// With its path, since this file is read as a crate or as a module.
#[path = "postgres/scene.rs"]
mod scene;
#[path = "postgres/trouble.rs"]
mod trouble;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use medtainer_core::Kind;
use medtainer_core::postgres::{Cluster, Stop};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};

use scene::*;

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
    let scene = Scene::durable();

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
    assert_ne!(data.uid(), 0, "the server never runs as root");

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
    let dir = long.cluster.socket_dir();
    drop(long);
    std::fs::remove_dir(dir).ok();
}

#[tokio::test]
async fn a_process_with_another_environment_finds_the_same_server() {
    let scene = Scene::new();
    scene.ensure().await;
    let cron = Cluster::new(&scene.home, None, None);
    assert_eq!(ensure(&cron).await.unwrap(), Vec::<String>::new());
    assert_eq!(cron.url(), scene.cluster.url());
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

/// A folder that says it holds a newer minor and runs the real one.
fn updated(scene: &Scene) -> PathBuf {
    let real = std::env::var("MEDTAINER_PG_BIN").unwrap_or_default();
    let real = match real.as_str() {
        "" => PathBuf::from(scene.cluster.psql().unwrap().get_program()),
        dir => Path::new(dir).join("psql"),
    };
    let real = real.parent().unwrap();
    let dir = scene.temp.path().join("updated");
    std::fs::create_dir(&dir).unwrap();
    std::os::unix::fs::symlink(real.join("initdb"), dir.join("initdb")).unwrap();
    let major = std::fs::read_to_string(scene.cluster.data_dir().join("PG_VERSION")).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 'postgres (PostgreSQL) {}.99'\nexec '{}' \"$@\"\n",
        major.trim(),
        real.join("postgres").display()
    );
    std::fs::write(dir.join("postgres"), script).unwrap();
    for path in [dir.clone(), dir.join("postgres")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir
}

#[tokio::test]
async fn an_updated_server_is_restarted_when_nobody_is_connected() {
    let scene = Scene::new();
    scene.ensure().await;
    let quiet = |_: &str| {};
    assert!(!scene.cluster.restart_if_updated(&quiet).await.unwrap());
    let new = scene.cluster.clone().search_only(vec![updated(&scene)]);
    let db = scene.connect().await;
    let before = scene.server_pid().await;
    assert!(new.status().await.unwrap().restart_needed);
    assert!(!new.restart_if_updated(&quiet).await.unwrap());
    assert_eq!(scene.server_pid().await, before);
    db.close().await.unwrap();
    wait_until_idle(&new).await;
    assert!(new.restart_if_updated(&quiet).await.unwrap());
    assert_ne!(scene.server_pid().await, before);
}

async fn wait_until_idle(cluster: &Cluster) {
    while cluster.status().await.unwrap().connections != Some(0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
