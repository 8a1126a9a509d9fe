//! Completion: of words from the tree, of values from the store, never from the network.

use std::ffi::{OsStr, OsString};

use clap_complete::CompletionCandidate;
use clap_complete::env::CompleteEnv;
use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::app::{App, Product};
use crate::env::Env;
use crate::error::Result;

/// Answers a shell that asks for completions, and then ends the process; otherwise does nothing.
pub(super) fn answer(product: &'static Product) {
    CompleteEnv::with_factory(|| super::command(product))
        .bin(product.name)
        .completer(product.name)
        .complete();
}

/// Candidates from the store: an id and what it stands for. Nothing is started, made or migrated for
/// a key press: where the database does not answer there are none.
pub fn from_store<F>(product: &'static Product, typed: &OsStr, ask: F) -> Vec<CompletionCandidate>
where
    F: for<'a> FnOnce(
        &'a mut PgConnection,
        &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>>,
{
    let Some(typed) = typed.to_str() else {
        return Vec::new();
    };
    // Bash hands over what was typed as it is, quotes and all, and takes what it gets as it is. Only its
    // script sets this variable.
    let raw = std::env::var_os("_CLAP_COMPLETE_COMP_TYPE").is_some();
    let typed: String = typed
        .chars()
        .filter(|c| !raw || !matches!(c, '\\' | '"' | '\''))
        .collect();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let found = runtime.block_on(async {
        let env = Env::of_process();
        let words: Vec<_> = std::env::args_os().collect();
        let sandbox =
            env.is_on("MEDTAINER_SANDBOX") || words.iter().any(|word| word == "--sandbox");
        let named = business(&words).or_else(|| env.get("MEDTAINER_BUSINESS").map(str::to_owned));
        let app = App::new(product, env, false)?;
        let business = app.business(named.as_deref(), sandbox)?;
        let desk = app.desk(&business).await?;
        let mut connection = desk.store.acquire().await?;
        ask(&mut connection, &typed).await
    });
    found
        .unwrap_or_default()
        .into_iter()
        .map(|(value, help)| {
            let value = if raw { quoted(&value) } else { value };
            CompletionCandidate::new(value).help(Some(help.into()))
        })
        .collect()
}

/// The business that the words on the line name so far.
fn business(words: &[OsString]) -> Option<String> {
    words.iter().enumerate().rev().find_map(|(i, word)| {
        let word = word.to_str()?;
        match word.strip_prefix("--business") {
            Some("") => words.get(i + 1)?.to_str().map(str::to_owned),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        }
    })
}

/// A word that Bash reads as this text.
fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.' | '@' | '+' | '/' | ',') {
            word.push('\\');
        }
        word.push(c);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_business_on_the_line_counts() {
        let named =
            |words: &[&str]| business(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(named(&["ghl", "contact", "b"]), None);
        assert_eq!(
            named(&["--business", "acme", "ghl"]).as_deref(),
            Some("acme")
        );
        let both = ["--business", "a", "ghl", "--business=b"];
        assert_eq!(named(&both).as_deref(), Some("b"));
        assert_eq!(named(&["--business"]), None);
    }

    #[test]
    fn words_for_bash_are_one_word() {
        assert_eq!(quoted("Sean O'Hara (x)"), "Sean\\ O\\'Hara\\ \\(x\\)");
        assert_eq!(quoted("a@b.example"), "a@b.example");
    }
}
