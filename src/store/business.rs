//! A business is a schema: its name decides which tables a connection sees.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The schema of the extensions, in the path of every business.
pub const EXTENSIONS_SCHEMA: &str = "ext";

/// Whose books these are; parsed once, safe inside an identifier for ever after.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Business(String);

impl Business {
    const DEFAULT: &str = "default";
    const SANDBOX: &str = "sandbox";
    const SANDBOX_SUFFIX: &str = "_sandbox";

    /// The same business played in the sandbox: other tables, never mixed with real ones.
    #[must_use]
    pub fn sandboxed(&self) -> Business {
        if self.is_sandbox() {
            self.clone()
        } else if self.is_default() {
            Business(Self::SANDBOX.into())
        } else {
            Business(format!("{}{}", self.0, Self::SANDBOX_SUFFIX))
        }
    }

    /// Whether its data is sample data, and has to be labelled so.
    pub fn is_sandbox(&self) -> bool {
        self.0 == Self::SANDBOX || self.0.ends_with(Self::SANDBOX_SUFFIX)
    }

    /// The business that is played where this one is the sandbox; else this one.
    #[must_use]
    pub fn real(&self) -> Business {
        match self.0.strip_suffix(Self::SANDBOX_SUFFIX) {
            Some(name) => Business(name.to_owned()),
            None if self.is_sandbox() => Business::default(),
            None => self.clone(),
        }
    }

    /// Whether this is the one that is meant when none is named.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }

    /// How a command for this business begins: what somebody is told to type must not mean another one.
    pub fn program(&self) -> String {
        let mut words = "medtainer".to_owned();
        if self.is_sandbox() {
            words.push_str(" --sandbox");
        }
        let real = self.real();
        if !real.is_default() {
            words.push_str(" --business ");
            words.push_str(real.name());
        }
        words
    }

    /// The name as the owner writes it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The Postgres schema that holds its tables.
    pub fn schema(&self) -> String {
        if self.is_default() {
            "public".into()
        } else {
            format!("biz_{}", self.0)
        }
    }

    // `public` is never in the path of another business: a table missing there would silently be
    // read from the default business.
    pub(super) fn search_path(&self) -> String {
        format!("{},{EXTENSIONS_SCHEMA}", self.schema())
    }
}

impl Default for Business {
    fn default() -> Self {
        Business(Self::DEFAULT.into())
    }
}

impl fmt::Display for Business {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Business {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let mut letters = name.bytes();
        let starts_well = letters.next().is_some_and(|b| b.is_ascii_lowercase());
        let goes_on_well =
            letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        // 63 bytes is what Postgres keeps of a name; 41 leaves room for `biz_` and `_sandbox`.
        if starts_well && goes_on_well && name.len() <= 41 {
            Ok(Business(name.into()))
        } else {
            Err(Error::usage(format!("`{name}` is not the name of a business")).hint(
                "Use up to 41 lower-case letters, digits and underscores, beginning with a letter, as in `--business acme`.",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_schema_are_refused() {
        for name in [
            "", "Acme", "1st", "a b", "a\"b", "a;drop", "a,public", "é", "_a",
        ] {
            assert!(name.parse::<Business>().is_err(), "{name}");
        }
        assert!("a".repeat(41).parse::<Business>().is_ok());
        assert!("a".repeat(42).parse::<Business>().is_err());
    }

    #[test]
    fn public_is_in_the_path_of_the_default_business_only() {
        let acme: Business = "acme".parse().unwrap();
        assert_eq!(Business::default().search_path(), "public,ext");
        assert_eq!(acme.search_path(), "biz_acme,ext");
        assert_eq!(acme.sandboxed().search_path(), "biz_acme_sandbox,ext");
        let usual = Business::default();
        assert_eq!(usual.program(), "medtainer");
        assert_eq!(usual.sandboxed().program(), "medtainer --sandbox");
        assert_eq!(acme.program(), "medtainer --business acme");
        assert_eq!(
            acme.sandboxed().program(),
            "medtainer --sandbox --business acme"
        );
        assert_eq!(
            Business::default().sandboxed().search_path(),
            "biz_sandbox,ext"
        );
        assert_eq!(acme.sandboxed().sandboxed(), acme.sandboxed());
        assert!(acme.sandboxed().is_sandbox() && !acme.is_sandbox());
    }
}
