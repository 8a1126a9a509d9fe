//! `medtainer config`: the configuration file.

use clap::Args;
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::output::Text;
use medtainer_core::tree::Group;
use medtainer_core::{Error, Result};

/// The commands of this group.
pub fn group() -> Group {
    Group::new("config", "The configuration file")
        .chore::<ConfigPath>("path")
        .chore::<Show>("show")
}

/// Print where the configuration file is, or would be
#[derive(Debug, Args)]
pub struct ConfigPath;

impl Chore for ConfigPath {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        Ok(Text::new(
            host.app.paths.config_file().display().to_string(),
        ))
    }
}

/// Print the configuration file
#[derive(Debug, Args)]
pub struct Show;

impl Chore for Show {
    type Output = Text;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let path = host.app.paths.config_file();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Text::new(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                host.printer.say(&format!(
                    "There is no {}; everything is at its default.",
                    path.display()
                ));
                Ok(Text::new(""))
            }
            Err(e) => Err(Error::usage(format!("`{}` cannot be read", path.display())).because(e)),
        }
    }
}
