//! The configuration file: everything in it is optional.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::values::Span;
use crate::writes::policy::Policy;

/// `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The business to work for when `--business` names none.
    pub business: Option<String>,
    /// The IANA time zone the owner's days and times are in, such as `Europe/Berlin`; this machine's when absent.
    pub timezone: Option<String>,
    /// Settings of providers, by the first word of their commands.
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
    /// What `medtainer sync daemon` runs, by name; replaces a built-in schedule of the same name.
    #[serde(default)]
    pub schedules: BTreeMap<String, Schedule>,
    /// Who may do what without being asked.
    #[serde(default)]
    pub policy: Policy,
}

/// Settings of a provider.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Another base URL, such as a proxy or a mock.
    pub url: Option<String>,
    /// `false` sends as fast as the provider answers; for a sandbox or a mock.
    pub budget: Option<bool>,
}

/// A command run on a schedule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The command, as words: `["ghl", "sync"]`; that of the built-in schedule when absent.
    #[serde(default)]
    pub command: Vec<String>,
    /// When, in the five fields of cron: `*/15 * * * *`; that of the built-in schedule when absent.
    #[serde(default)]
    pub cron: String,
    /// The IANA time zone the fields are in; UTC when absent.
    pub timezone: Option<String>,
    /// `false` keeps it from running.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// A run that could not start for this long is skipped and recorded as missed.
    #[serde(default)]
    pub grace: Option<Grace>,
}

fn yes() -> bool {
    true
}

/// A length of time in the file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct Grace(pub Span);

impl TryFrom<String> for Grace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Grace)
    }
}

impl Config {
    /// Reads the file; one that is not there is empty.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Config::default());
            }
            Err(e) => {
                return Err(Error::usage(format!("`{}` cannot be read", path.display()))
                    .hint("Check that it is a text file this user may read.")
                    .because(e));
            }
        };
        toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(1, |span| {
                let before = &text.as_bytes()[..span.start.min(text.len())];
                before.iter().filter(|byte| **byte == b'\n').count() + 1
            });
            Error::usage(format!(
                "`{}`, line {line}: {}",
                path.display(),
                e.message().replace('\n', ", ")
            ))
            .hint("Mend that line, or move the file away: everything in it is optional.")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn an_absent_file_is_empty() {
        let config = Config::read(Path::new("/nonexistent/config.toml")).unwrap();
        assert!(config.business.is_none() && config.providers.is_empty());
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let error = read("business = \"x\"\n[providers.ghl]\nurll = \"x\"\n").unwrap_err();
        assert!(
            error
                .message()
                .contains("config.toml`, line 3: unknown field `urll`"),
            "{error}"
        );
        let error = read("business = \n").unwrap_err();
        assert!(error.message().contains("line 1"), "{error}");
    }
}
