//! Completion: of words from the tree, of values from the store, never from the network.

use std::ffi::{OsStr, OsString};

use clap_complete::env::CompleteEnv;
use clap_complete::{ArgValueCompleter, CompletionCandidate};

use crate::app::{App, Product};
use crate::complete::Candidates;
use crate::env::Env;
use crate::error::Result;

/// The most candidates a shell is given.
const MOST: usize = 100;

/// Answers a shell that asks for completions, and then ends the process; otherwise does nothing.
pub(super) fn answer(product: &'static Product) {
    CompleteEnv::with_factory(|| completed(super::command(product), product))
        .bin(product.name)
        .completer(product.name)
        .complete();
}

/// The command with a completer at each argument whose values the store knows.
fn completed(command: clap::Command, product: &'static Product) -> clap::Command {
    command
        .mut_args(|arg| match Candidates::of(&arg) {
            Some(candidates) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| {
                from_store(product, typed, candidates)
            })),
            None => arg,
        })
        .mut_subcommands(|below| completed(below, product))
}

fn from_store(
    product: &'static Product,
    typed: &OsStr,
    candidates: Candidates,
) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else {
        return Vec::new();
    };
    // Shells hand over what was typed as it is, quotes and all; Bash also takes what it gets as it is,
    // and keeps a quote that begins the word. Only its script sets these variables.
    let raw = std::env::var_os("_CLAP_COMPLETE_COMP_TYPE").is_some();
    let open = std::env::var("_CLAP_COMPLETE_QUOTE")
        .ok()
        .and_then(|word| word.chars().next())
        .filter(|c| matches!(c, '\'' | '"'));
    let typed = unquoted(typed, open);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let found: Result<_> = runtime.block_on(async {
        let env = Env::of_process();
        let words: Vec<_> = std::env::args_os().collect();
        let sandbox =
            env.is_on("MEDTAINER_SANDBOX") || words.iter().any(|word| word == "--sandbox");
        let named = business(&words).or_else(|| env.get("MEDTAINER_BUSINESS").map(str::to_owned));
        let app = App::new(product, env, false)?;
        let business = app.business(named.as_deref(), sandbox)?;
        let desk = app.desk(&business).await?;
        Ok(candidates.find(&desk, &typed, MOST).await)
    });
    found
        .unwrap_or_default()
        .into_iter()
        .map(|(value, help)| {
            let value = if raw { quoted(&value, open) } else { value };
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

/// What a shell would read, after a quote that is open already.
fn unquoted(word: &str, open: Option<char>) -> String {
    let mut text = String::with_capacity(word.len());
    let mut quote = open;
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => text.extend(chars.next()),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(closing)) if c == closing => quote = None,
            _ => text.push(c),
        }
    }
    text
}

/// A word that Bash reads as this text, after a quote that is open already.
fn quoted(text: &str, open: Option<char>) -> String {
    let mut word = String::with_capacity(text.len());
    for c in text.chars() {
        match open {
            Some('\'') if c == '\'' => word.push_str("'\\'"),
            Some('"') if matches!(c, '"' | '\\' | '$' | '`') => word.push('\\'),
            None if !c.is_alphanumeric()
                && !matches!(c, '-' | '_' | '.' | '@' | '+' | '/' | ',') =>
            {
                word.push('\\');
            }
            _ => {}
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
        let name = "Sean O'Hara (\"x\")";
        assert_eq!(quoted(name, None), "Sean\\ O\\'Hara\\ \\(\\\"x\\\"\\)");
        assert_eq!(quoted(name, Some('"')), "Sean O'Hara (\\\"x\\\")");
        assert_eq!(quoted(name, Some('\'')), "Sean O'\\''Hara (\"x\")");
        assert_eq!(quoted("a@b.example", None), "a@b.example");
        for open in [None, Some('"'), Some('\'')] {
            assert_eq!(unquoted(&quoted(name, open), open), name);
        }
    }

    #[test]
    fn words_are_read_as_shells_read_them() {
        for typed in ["Isha\\ K", "\"Isha K", "'Isha K", "Isha K", "Isha' K'"] {
            assert_eq!(unquoted(typed, None), "Isha K", "{typed}");
        }
        assert_eq!(unquoted("O'H", Some('"')), "O'H");
    }
}
