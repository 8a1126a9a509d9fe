//! A cluster to play with, other processes, disks.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use medtainer_core::postgres::Cluster;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;

/// A cluster in a directory that goes away, server and all.
pub struct Scene {
    pub temp: TempDir,
    pub home: PathBuf,
    pub cluster: Cluster,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::at("home")
    }

    pub fn at(name: &str) -> Scene {
        let temp = open_temp();
        let home = temp.path().join(name);
        let cluster = cluster(&home, temp.path());
        Scene {
            temp,
            home,
            cluster,
        }
    }

    /// One that must survive a crash.
    pub fn durable() -> Scene {
        let temp = open_temp();
        let home = temp.path().join("home");
        let cluster = Cluster::new(&home, Some(&temp.path().join("run")), None).download(false);
        Scene {
            temp,
            home,
            cluster,
        }
    }

    /// Bring the server up and tell what was done, as a person would have read it.
    pub async fn ensure(&self) -> Vec<String> {
        let mut said = ensure(&self.cluster).await.expect("the cluster comes up");
        // On a loaded machine there is more to say, and a fork of another test may hold a lock for a moment.
        said.retain(|line| !line.contains("another medtainer") && !line.contains("is busy"));
        said
    }

    pub async fn connect(&self) -> PgConnection {
        connect(&self.cluster).await
    }

    pub async fn server_pid(&self) -> i32 {
        self.cluster.status().await.unwrap().pid.expect("it runs")
    }

    /// What is in the home, sorted.
    pub fn contents(&self) -> Vec<String> {
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
pub fn open_temp() -> TempDir {
    let temp = tempfile::Builder::new()
        .prefix("mdt")
        .tempdir_in("/tmp")
        .unwrap();
    std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    temp
}

pub fn cluster(home: &Path, temp: &Path) -> Cluster {
    let bin = std::env::var_os("MEDTAINER_PG_BIN").map(PathBuf::from);
    Cluster::new(home, Some(&temp.join("run")), bin)
        .download(false)
        .throw_away()
}

pub async fn ensure(cluster: &Cluster) -> medtainer_core::Result<Vec<String>> {
    let said = Mutex::new(Vec::new());
    cluster
        .ensure(&|line| said.lock().unwrap().push(line.to_string()))
        .await?;
    Ok(said.into_inner().unwrap())
}

pub async fn connect(cluster: &Cluster) -> PgConnection {
    cluster.connect_options().connect().await.unwrap()
}

pub async fn text(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

pub async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

pub fn is_root() -> bool {
    let out = Command::new("id").arg("-u").output().unwrap();
    out.stdout.trim_ascii() == b"0"
}

pub fn kill(signal: &str, pid: &str) {
    Command::new("kill").args([signal, pid]).status().unwrap();
}

pub fn wait_until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// This test binary again, as a medtainer of its own that does one thing.
pub fn another(scene: &Scene, what: &str) -> Command {
    // Alone this file is a crate; in the common binary it is a module of it.
    let name = match module_path!().split_once("::") {
        Some((_, module)) => format!("{}child", module.trim_end_matches("scene")),
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

/// A file system of its own, gone when dropped.
pub struct Disk(PathBuf);

impl Disk {
    pub fn new(at: &Path, size: &str) -> Option<Disk> {
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

    pub fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        // A process that has just ended may hold a file for a moment longer.
        wait_until("the disk is remounted", || {
            let mut mount = Command::new("mount");
            mount
                .args(["-o", &options])
                .arg(&self.0)
                .stderr(Stdio::null());
            mount.status().unwrap().success()
        });
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
