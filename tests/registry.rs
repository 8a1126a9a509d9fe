//! Tools of other people, from npm and PyPI at pinned versions, installed once under `target/`.
//!
//! Where they cannot be had, the tests that need them are skipped with a line nobody overlooks;
//! `MEDTAINER_TEST_CLIENTS=required` makes that a failure.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Programs of npm packages, with a Node new enough for all of them.
pub struct Npm(PathBuf);

impl Npm {
    /// Installs what `tests/clients/package.json` names, unless it is there.
    pub fn installed() -> Option<Npm> {
        let wanted = include_str!("clients/package.json");
        let dir = once("npm", wanted, |dir| {
            std::fs::write(dir.join("package.json"), wanted).map_err(|e| e.to_string())?;
            run(Command::new("npm")
                .args([
                    "install",
                    "--no-audit",
                    "--no-fund",
                    "--ignore-scripts",
                    "--loglevel=error",
                    // Where there is no network, nobody wants to wait for it.
                    "--fetch-retries=1",
                    "--fetch-retry-mintimeout=1000",
                ])
                .current_dir(dir))?;
            // The package `node` fetches the binary for this machine when it is told to.
            run(Command::new("node")
                .arg("installArchSpecificPackage.js")
                .current_dir(dir.join("node_modules/node")))
        })?;
        Some(Npm(dir))
    }

    /// A program, by its name or as `node`.
    pub fn command(&self, program: &str) -> Command {
        let node = self.0.join("node_modules/node/bin");
        let mut path = OsString::from(&node);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let program = if program == "node" {
            node.join(program)
        } else {
            self.0.join("node_modules/.bin").join(program)
        };
        let mut command = Command::new(program);
        command.current_dir(&self.0).env("PATH", path);
        command
    }

    /// Claude Code, which is one program for this machine, and keeps to itself.
    pub fn claude(&self) -> Command {
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            os => os,
        };
        let arch = match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            arch => arch,
        };
        let package = format!("node_modules/@anthropic-ai/claude-code-{os}-{arch}/claude");
        let mut command = Command::new(self.0.join(package));
        command
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("DISABLE_TELEMETRY", "1")
            .env("DISABLE_AUTOUPDATER", "1");
        command
    }

    /// A script of `tests/clients`, put where it finds its packages.
    pub fn script(&self, name: &str) -> Command {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/clients")
            .join(name);
        // Another test may be about to run it: it is there whole or not at all.
        let mut whole = tempfile::NamedTempFile::new_in(&self.0).unwrap();
        whole.write_all(&std::fs::read(from).unwrap()).unwrap();
        whole.persist(self.0.join(name)).unwrap();
        let mut command = self.command("node");
        command.arg(name);
        command
    }
}

/// A Python with one package of this version.
pub fn python(package: &str) -> Option<PathBuf> {
    let dir = once(&package.replace("==", "-"), package, |dir| {
        run(Command::new("python3")
            .args(["-m", "venv", "."])
            .current_dir(dir))?;
        run(Command::new(dir.join("bin/python")).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries=1",
            package,
        ]))
    })?;
    Some(dir.join("bin/python"))
}

/// Past the capture of the test harness.
pub fn skip(what: &str) {
    writeln!(std::io::stderr(), "\nSKIPPED: {what}\n").ok();
    assert!(
        std::env::var("MEDTAINER_TEST_CLIENTS").as_deref() != Ok("required"),
        "{what}"
    );
}

fn once(
    name: &str,
    wanted: &str,
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    static BUSY: Mutex<()> = Mutex::new(());
    let _alone = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("clients")
        .join(name);
    let stamp = dir.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Some(dir);
    }
    std::fs::remove_dir_all(&dir).ok();
    std::fs::create_dir_all(&dir).unwrap();
    match install(&dir) {
        Ok(()) => {
            std::fs::write(stamp, wanted).unwrap();
            Some(dir)
        }
        Err(why) => {
            skip(&format!("{name} could not be installed: {why}"));
            None
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{}: {}",
        command.get_program().display(),
        said.lines().last().unwrap_or("it failed")
    ))
}
