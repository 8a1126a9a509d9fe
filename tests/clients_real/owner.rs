//! The owner of the server, before a browser that clients open.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::registry::Npm;

/// Programs that stand for the owner and the browser: they fill in the consent form and send it.
pub struct Owner {
    dir: TempDir,
}

impl Owner {
    pub fn new(npm: &Npm, passphrase: &str) -> Owner {
        let dir = tempfile::tempdir().unwrap();
        let browser = npm.script("browser.mjs");
        let mut words: Vec<_> = [browser.get_program()]
            .into_iter()
            .chain(browser.get_args())
            .map(|word| word.to_str().unwrap().to_owned())
            .collect();
        let home = browser.get_current_dir().unwrap();
        words[1] = home.join(&words[1]).to_str().unwrap().to_owned();
        let owner = dir.path().join("owner");
        let run = format!("exec '{}' '{}' '{passphrase}' \"$@\"", words[0], words[1]);
        write(&owner, &run);
        // As a browser does, it lets the client go on.
        let open = format!("'{}' \"$1\" > /dev/null 2>&1 &", owner.display());
        for name in ["xdg-open", "www-browser", "open"] {
            write(&dir.path().join(name), &open);
        }
        Owner { dir }
    }

    /// The program that opens an address.
    pub fn program(&self) -> PathBuf {
        self.dir.path().join("owner")
    }

    /// A client that finds this browser and no other.
    pub fn before(&self, mut command: Command) -> Command {
        let path = command
            .get_envs()
            .find(|(name, _)| *name == "PATH")
            .and_then(|(_, value)| value.map(ToOwned::to_owned))
            .or_else(|| std::env::var_os("PATH"))
            .unwrap_or_default();
        let mut found = self.dir.path().as_os_str().to_owned();
        found.push(":");
        found.push(path);
        command
            .env("PATH", found)
            .env("BROWSER", self.dir.path().join("xdg-open"))
            // No other one, even where the desktop knows one.
            .env("XDG_DATA_DIRS", self.dir.path())
            .env_remove("DISPLAY");
        command
    }
}

fn write(program: &Path, script: &str) {
    std::fs::write(program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o700)).unwrap();
}
