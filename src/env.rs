//! The process's environment, read once at the edge and handed down, so that nothing deep inside
//! depends on a global and tests can hold still.

use std::collections::HashMap;
use std::path::PathBuf;

/// A snapshot of environment variables; values never appear in its `Debug`.
#[derive(Clone, Default)]
pub struct Env(HashMap<String, String>);

impl Env {
    /// The variables of this process whose names and values are valid Unicode.
    pub fn of_process() -> Self {
        Env(std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect())
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether a variable switches something on, as the parser of options reads it.
    pub fn is_on(&self, name: &str) -> bool {
        let off = ["n", "no", "f", "false", "off", "0"];
        self.get(name)
            .is_some_and(|value| !off.contains(&value.to_lowercase().as_str()))
    }

    /// A variable that holds a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names: Vec<_> = self.0.keys().collect();
        names.sort();
        f.debug_list().entries(names).finish()
    }
}

impl FromIterator<(String, String)> for Env {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(iter: I) -> Self {
        Env(iter.into_iter().collect())
    }
}
