//! Scopes as clients ask for them and as a person reads them.

use crate::mcp::grant::{Scope, Scopes};

/// The word by which a client asks for a refresh token, which every client gets.
pub const OFFLINE: &str = "offline_access";

/// What is asked for where nothing is said.
pub const USUAL: Scopes = Scopes::NONE.with(Scope::Read);

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// What it wants to do.
    pub scopes: Scopes,
    /// Whether it said that it wants to stay.
    pub offline: bool,
}

impl Wanted {
    /// Reads a `scope` parameter; words we do not know are left out. None when nothing is left.
    pub fn parse(text: Option<&str>) -> Option<Wanted> {
        let words: Vec<_> = text.unwrap_or_default().split_whitespace().collect();
        let offline = words.contains(&OFFLINE);
        let known = words.iter().all(|word| *word == OFFLINE);
        let scopes: Scopes = words.iter().filter_map(|word| word.parse().ok()).collect();
        match (scopes.is_empty(), known) {
            (true, true) => Some(Wanted {
                scopes: USUAL,
                offline,
            }),
            (true, false) => None,
            (false, _) => Some(Wanted { scopes, offline }),
        }
    }
}

/// The words that are kept for a set of scopes.
pub fn words(scopes: Scopes, offline: bool) -> Vec<String> {
    let words = scopes.iter().map(Scope::as_str);
    words
        .chain(offline.then_some(OFFLINE))
        .map(str::to_owned)
        .collect()
}

/// The scopes among words that were kept.
pub fn known(words: &[String]) -> Scopes {
    words.iter().filter_map(|word| word.parse().ok()).collect()
}

/// The words of a login that are still allowed by its client's consent.
pub fn still(words_of_login: &[String], allowed: &[String]) -> Vec<String> {
    let scopes = known(words_of_login).and(known(allowed));
    words(scopes, words_of_login.iter().any(|word| word == OFFLINE))
}

/// What a scope lets a client do: in a few words, and what that means.
pub const fn in_words(scope: Scope) -> (&'static str, &'static str) {
    match scope {
        Scope::Read => (
            "Look things up",
            "Contacts, deals, invoices, domains, servers and everything else that can be read.",
        ),
        Scope::Write => (
            "Change things",
            "Create, update and restart; nearly all of it can be undone. And medtainer's own records.",
        ),
        Scope::Admin => (
            "Delete, send and spend",
            "What cannot be undone: deleting, sending messages, anything that costs money.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_we_do_not_know_are_left_out() {
        let read = |text| Wanted::parse(Some(text)).map(|wanted| wanted.scopes.to_string());
        assert_eq!(read("write read openid").as_deref(), Some("read write"));
        assert_eq!(read("").as_deref(), Some("read"));
        assert_eq!(read("offline_access").as_deref(), Some("read"));
        assert_eq!(read("root").as_deref(), None);
        assert!(Wanted::parse(None).is_some_and(|wanted| !wanted.offline));
        assert_eq!(
            words(Scopes::ALL, true),
            ["read", "write", "admin", OFFLINE]
        );
    }
}
