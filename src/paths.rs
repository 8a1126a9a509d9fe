//! Where things are kept: under `MEDTAINER_HOME` when it is set, under the system's folders for
//! root (a server), else under the user's own.

use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::{Error, Result};

/// The folders of this installation.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Holds the private Postgres and what it was downloaded from.
    pub data: PathBuf,
    /// Holds `config.toml` and the key file.
    pub config: PathBuf,
    /// Holds sockets; `None` lets the cluster choose.
    pub runtime: Option<PathBuf>,
}

impl Paths {
    /// The folders for this environment; nothing is created.
    pub fn find(env: &Env) -> Result<Self> {
        if let Some(home) = env.path("MEDTAINER_HOME") {
            let home = absolute(&home)?;
            return Ok(Paths {
                data: home.clone(),
                config: home,
                runtime: None,
            });
        }
        if rustix::process::geteuid().is_root() {
            return Ok(Paths {
                data: "/var/lib/medtainer".into(),
                config: "/etc/medtainer".into(),
                runtime: Some("/run/medtainer".into()),
            });
        }
        let dirs = directories::ProjectDirs::from("", "", "medtainer").ok_or_else(|| {
            Error::usage("this user has no home folder")
                .hint("Set `MEDTAINER_HOME` to a folder for medtainer's data.")
        })?;
        Ok(Paths {
            data: dirs.data_local_dir().to_owned(),
            config: dirs.config_dir().to_owned(),
            runtime: dirs.runtime_dir().map(Path::to_owned),
        })
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|e| Error::usage(format!("`{}` is no usable path", path.display())).because(e))
}
