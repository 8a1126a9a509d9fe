//! `medtainer man`: manual pages, made from the command tree.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use medtainer_core::cli::{self, Host};
use medtainer_core::command::Chore;
use medtainer_core::output::Text;
use medtainer_core::{Error, Result};

/// Print the manual page, or write a page for every command
#[derive(Debug, Args)]
pub struct Man {
    /// Write all pages into this folder
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

impl Chore for Man {
    type Output = Text;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let pages = pages(cli::command(host.app.product))?;
        match &self.out {
            None => Ok(Text::new(
                pages
                    .into_iter()
                    .next()
                    .map(|(_, page)| page)
                    .unwrap_or_default(),
            )),
            Some(folder) => {
                write(folder, &pages)?;
                Ok(Text::new(format!(
                    "{} pages are in {}.",
                    pages.len(),
                    folder.display()
                )))
            }
        }
    }
}

fn write(folder: &Path, pages: &[(String, String)]) -> Result<()> {
    let failed =
        |e| Error::unavailable(format!("`{}` cannot be written", folder.display())).because(e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (name, page) in pages {
        std::fs::write(folder.join(name), page).map_err(failed)?;
    }
    Ok(())
}

/// A page for the program and for every command below it: file name and text, the program's first.
pub fn pages(command: clap::Command) -> Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    let mut command = command.disable_help_subcommand(true);
    command.build();
    collect(&command, command.get_name(), &mut pages)?;
    Ok(pages)
}

fn collect(command: &clap::Command, name: &str, pages: &mut Vec<(String, String)>) -> Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone().name(name.to_owned()))
        .render(&mut text)
        .map_err(|e| Error::internal("a manual page could not be written").because(e))?;
    let text = String::from_utf8(text)
        .map_err(|e| Error::internal("a manual page is not text").because(e))?;
    pages.push((format!("{name}.1"), text));
    for below in command.get_subcommands() {
        collect(below, &format!("{name}-{}", below.get_name()), pages)?;
    }
    Ok(())
}
