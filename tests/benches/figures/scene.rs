//! An installation of its own, and processes that are watched.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use medtainer_core::postgres::Cluster;

/// What the sandbox takes.
const TOKEN: &str = "pit-sandbox";
const LOCATION: &str = "sandboxLocation01abc";

/// The binary under test.
pub const MEDTAINER: &str = env!("CARGO_BIN_EXE_medtainer");

/// A home of medtainer's, and its Postgres; both end with it.
pub struct Scene {
    home: tempfile::TempDir,
    provider: Option<Provider>,
}

impl Scene {
    pub fn new() -> Scene {
        let home = tempfile::tempdir().expect("a folder");
        // The server runs as another user when we are root.
        std::fs::set_permissions(
            home.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("a readable folder");
        std::fs::write(
            home.path().join("config.toml"),
            "[providers.ghl]\nbudget = false\n",
        )
        .expect("a configuration");
        let scene = Scene {
            home,
            provider: None,
        };
        scene.run(&["db", "migrate"]);
        scene
    }

    /// One with a provider that has so many contacts.
    pub fn with_contacts(records: usize) -> Scene {
        let mut scene = Scene::new();
        scene.provider = Some(Provider::start(&scene, records));
        scene
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn cluster(&self) -> Cluster {
        Cluster::new(self.home(), None, None)
    }

    pub fn medtainer(&self, words: &[&str]) -> Command {
        let mut command = Command::new(MEDTAINER);
        command
            .args(words)
            .env("MEDTAINER_HOME", self.home())
            .env_remove("DATABASE_URL");
        if let Some(provider) = &self.provider {
            command
                .env("MEDTAINER_GHL_URL", &provider.url)
                .env("MEDTAINER_GHL_TOKEN", TOKEN)
                .env("MEDTAINER_GHL_LOCATION", LOCATION);
        }
        command
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        watch(self.medtainer(words))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.provider.take());
        let mut stop = self.medtainer(&["db", "stop"]);
        stop.stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok();
    }
}

/// A sandbox in a process of its own.
struct Provider {
    child: Child,
    url: String,
}

impl Provider {
    fn start(scene: &Scene, records: usize) -> Provider {
        let records = records.to_string();
        let mut command = scene.medtainer(&[
            "sandbox",
            "serve",
            "ghl",
            "--no-limits",
            "--quiet",
            "--records",
            &records,
        ]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a sandbox");
        let url = first_line(&mut child);
        let url = url["ghl"].as_str().expect("its address").to_owned();
        Provider { child, url }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The line of JSON a server prints when it listens.
pub fn first_line(child: &mut Child) -> serde_json::Value {
    use std::io::BufRead as _;
    let mut line = String::new();
    let out = child.stdout.take().expect("a pipe");
    std::io::BufReader::new(out)
        .read_line(&mut line)
        .expect("a line");
    serde_json::from_str(&line).expect("JSON")
}

/// How a process went.
pub struct Ran {
    pub time: Duration,
    /// Its highest resident memory, in MB; as often as it could be looked at.
    pub peak_mb: f64,
}

/// Runs a process to its end; it has to end well.
pub fn watch(mut command: Command) -> Ran {
    let start = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let looking = std::thread::spawn(move || {
        let mut peak = 0.0_f64;
        loop {
            peak = peak.max(high_water(&status).unwrap_or_default());
            match stopped.recv_timeout(Duration::from_millis(20)) {
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                _ => return peak,
            }
        }
    });
    let ended = child.wait().expect("an end");
    let time = start.elapsed();
    drop(stop);
    let peak_mb = looking.join().expect("a peak");
    assert!(ended.success(), "{command:?} ended with {ended}");
    Ran { time, peak_mb }
}

/// Runs a process and does nothing but wait.
pub fn time(command: &mut Command) -> f64 {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let ended = command.status().expect("a process");
    let time = start.elapsed().as_secs_f64() * 1000.0;
    assert!(ended.success(), "{command:?} ended with {ended}");
    time
}

/// The kernel's own count of the most memory a process ever had, in MB.
pub fn high_water(status: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kb: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kb / 1024.0)
}
