//! Asking the person at the terminal.

use std::io::Write;

use futures::future::BoxFuture;

use super::visible;
use crate::error::{Error, Result};

/// Somebody who can be asked.
pub trait Person: Send + Sync {
    /// Shows a plan and asks for a yes; for the `word` to be typed, where there is one.
    fn confirms<'a>(&'a self, plan: &'a str, word: Option<&'a str>) -> BoxFuture<'a, Result<bool>>;
}

/// The person at this process's terminal.
#[derive(Debug)]
pub struct AtTerminal;

impl Person for AtTerminal {
    fn confirms<'a>(&'a self, plan: &'a str, word: Option<&'a str>) -> BoxFuture<'a, Result<bool>> {
        let plan = visible(plan);
        let word = word.map(str::to_owned);
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || ask(&plan, word.as_deref()));
            let answer = asked.await.map_err(|error| {
                Error::internal("the question could not be asked").because(error)
            })?;
            // Ctrl-C and the end of the input are a no.
            Ok(answer.unwrap_or(false))
        })
    }
}

fn ask(plan: &str, word: Option<&str>) -> std::io::Result<bool> {
    writeln!(std::io::stderr(), "{plan}")?;
    let answer = match word {
        Some(word) => dialoguer::Input::<String>::new()
            .with_prompt(format!("Type {} to do it", visible(word)))
            .allow_empty(true)
            .interact_text()
            .map(|typed| typed.trim() == word),
        None => dialoguer::Confirm::new()
            .with_prompt("Do it?")
            .default(false)
            .interact(),
    };
    answer.map_err(std::io::Error::other)
}
