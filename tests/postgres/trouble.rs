//! Everyday trouble: crashes, stale files, other majors, full and read-only disks.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use medtainer_core::Kind;
use medtainer_core::postgres::{Cluster, Stop};
use sqlx::ConnectOptions;

use super::scene::*;

/// Not a test: what the other processes do.

#[tokio::test]
async fn a_killed_server_comes_back_with_every_row() {
    let scene = Scene::durable();
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

    // An idle child may serve one more statement before it notices.
    let error = loop {
        if let Err(error) = sqlx::query("select 1").execute(&mut db).await {
            break error;
        }
    };
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
async fn a_first_use_killed_half_way_leaves_nothing() {
    let scene = Scene::new();
    for wait in [0, 3, 10, 50, 100, 150, 200] {
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
    // The orphaned initdb of the last round was still writing when its place was swept.
    std::thread::sleep(Duration::from_secs(1));
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
    full.cluster.stop(Stop::Immediate).await.unwrap();
    let ballast = full.home.join("ballast");
    std::fs::write(&ballast, vec![0; 80 * 1024 * 1024]).unwrap_err();
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
