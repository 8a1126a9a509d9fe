//! Asking a person for a yes.

use std::io::Write;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{prompt, visible};
use crate::error::{Kind, Result};

/// What a person is asked to allow.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The plan, in words.
    pub plan: &'a str,
    /// What the plan is known by.
    pub hash: &'a str,
    /// What has to be typed for a yes, where a yes alone is too little.
    pub word: Option<&'a str>,
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Yes.
    Yes,
    /// No, or not clearly yes.
    No,
    /// Nobody answered in time.
    Unanswered,
    /// The caller takes the question to them, and calls again with what they say.
    Later,
}

/// Somebody who can be asked.
pub trait Person: Send + Sync {
    /// Shows a plan and asks for a yes.
    fn confirms<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Reply>>;
}

/// The person at this process's terminal.
#[derive(Debug)]
pub struct AtTerminal {
    /// Ends the question.
    pub cancel: CancellationToken,
}

impl Person for AtTerminal {
    fn confirms<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Reply>> {
        let plan = visible(question.plan);
        let word = question.word.map(str::to_owned);
        Box::pin(async move {
            let asked = prompt::ask(&self.cancel, move || ask(&plan, word.as_deref()));
            // Ctrl-C and the end of the input are a no.
            match asked.await {
                Ok(true) => Ok(Reply::Yes),
                Err(error) if error.kind() == Kind::Internal => Err(error),
                _ => Ok(Reply::No),
            }
        })
    }
}

fn ask(plan: &str, word: Option<&str>) -> dialoguer::Result<bool> {
    writeln!(std::io::stderr(), "{plan}")?;
    match word {
        Some(word) => dialoguer::Input::<String>::new()
            .with_prompt(format!("Type {} to do it", visible(word)))
            .allow_empty(true)
            .interact_text()
            .map(|typed| typed.trim() == word),
        None => dialoguer::Confirm::new()
            .with_prompt("Do it?")
            .default(false)
            .interact(),
    }
}
