//! Names of the DNS in one spelling: lower case, A-labels, no dot at the end.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// A whole name, such as `mail.example.com`; the root is `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

/// A record's name within its zone: `www`, `*.shop`, `_dmarc`; `@` is the zone itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl DomainName {
    /// The root, `.`: the target that says "there is none".
    pub fn root() -> Self {
        DomainName(".".to_owned())
    }

    /// A name as somebody else keeps it: in our spelling as far as it has one, never refused.
    pub fn lenient(text: &str) -> Self {
        DomainName(normalise(text, "name").unwrap_or_else(|_| {
            let text = text.trim().to_lowercase();
            match text.strip_suffix('.') {
                Some("") | None => text,
                Some(name) => name.to_owned(),
            }
        }))
    }

    /// The name without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with its dot, as zone files write it.
    pub fn absolute(&self) -> String {
        if self.is_root() {
            self.0.clone()
        } else {
            format!("{}.", self.0)
        }
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// Its labels, the leftmost first.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.').filter(|label| !label.is_empty())
    }

    /// The name one label up, or nothing above a top-level domain.
    pub fn parent(&self) -> Option<DomainName> {
        let (_, parent) = self.0.split_once('.')?;
        (!parent.is_empty()).then(|| DomainName(parent.to_owned()))
    }

    /// Whether it is the other name or below it.
    pub fn is_within(&self, zone: &DomainName) -> bool {
        zone.is_root()
            || self.0 == zone.0
            || self
                .0
                .strip_suffix(zone.as_str())
                .is_some_and(|rest| rest.ends_with('.'))
    }

    /// The name as people write it: U-labels where they are safe to show.
    pub fn unicode(&self) -> String {
        if !self.0.contains("xn--") {
            return self.0.clone();
        }
        let (text, sound) =
            Uts46::new().to_unicode(self.0.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
        match sound {
            Ok(()) => text.into_owned(),
            Err(_) => self.0.clone(),
        }
    }
}

impl FromStr for DomainName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        normalise(text, "name").map(DomainName)
    }
}

impl Owner {
    /// The zone itself.
    pub fn apex() -> Self {
        Owner("@".to_owned())
    }

    /// A name as people write it: relative to the zone, or in full with or without its dot.
    ///
    /// `www.example.com` in the zone `example.com` means `www`. A name that ends in a dot and is not
    /// in the zone is refused.
    pub fn parse(text: &str, zone: &DomainName) -> Result<Self> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(Error::usage("a record needs a name")
                .hint(format!("Write `@` for `{zone}` itself.")));
        }
        if trimmed == "@" {
            return Ok(Owner::apex());
        }
        let name = DomainName(normalise(trimmed, "name")?);
        check_wildcard(&name)?;
        if let Some(owner) = Owner::within(&name, zone) {
            return Ok(owner);
        }
        if trimmed.ends_with('.') {
            return Err(
                Error::usage(format!("`{trimmed}` is not in the zone `{zone}`")).hint(format!(
                    "Write the name relative to the zone, such as `www` for `www.{zone}`."
                )),
            );
        }
        if name.as_str().len() + 1 + zone.as_str().len() > LONGEST {
            return Err(too_long(&format!("{name}.{zone}")));
        }
        Ok(Owner(name.0))
    }

    /// The place of a whole name in a zone, if it is in it.
    pub fn within(name: &DomainName, zone: &DomainName) -> Option<Self> {
        if name == zone {
            return Some(Owner::apex());
        }
        if !name.is_within(zone) {
            return None;
        }
        if zone.is_root() {
            return Some(Owner(name.0.clone()));
        }
        let end = name.0.len() - zone.0.len() - 1;
        Some(Owner(name.0[..end].to_owned()))
    }

    /// A relative name as a provider keeps it: never refused, never taken for a whole name.
    pub fn relative(text: &str) -> Self {
        let name = DomainName::lenient(text).0;
        Owner(if name.is_empty() || name == "." {
            "@".to_owned()
        } else {
            name
        })
    }

    /// The name within the zone; `@` for the zone itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the zone itself.
    pub fn is_apex(&self) -> bool {
        self.0 == "@"
    }

    /// Whether it stands for every name that is not there.
    pub fn is_wildcard(&self) -> bool {
        self.0 == "*" || self.0.starts_with("*.")
    }

    /// The whole name.
    pub fn fqdn(&self, zone: &DomainName) -> DomainName {
        if self.is_apex() {
            zone.clone()
        } else if zone.is_root() {
            DomainName(self.0.clone())
        } else {
            DomainName(format!("{}.{}", self.0, zone.0))
        }
    }
}

/// The apex first, then the names by their labels from the right: a name stands beside those below it.
impl Ord for Owner {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |owner: &Owner| !owner.is_apex();
        key(self)
            .cmp(&key(other))
            .then_with(|| self.0.rsplit('.').cmp(other.0.rsplit('.')))
    }
}

impl PartialOrd for Owner {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The longest name, without the dot at its end.
const LONGEST: usize = 253;

/// One spelling of a name, or what is wrong with it.
fn normalise(text: &str, what: &str) -> Result<String> {
    let text = text.trim();
    if text == "." {
        return Ok(text.to_owned());
    }
    let ascii: Cow<'_, str> = if text.is_ascii() {
        text.to_ascii_lowercase().into()
    } else {
        // The dots of other scripts become dots too.
        Uts46::new()
            .to_ascii(
                text.as_bytes(),
                AsciiDenyList::EMPTY,
                Hyphens::Allow,
                DnsLength::Ignore,
            )
            .map_err(|_| {
                Error::usage(format!("`{text}` is not an internationalised {what}")).hint(
                    "Write the name in its own script without symbols, or in its `xn--` form.",
                )
            })?
            .into_owned()
            .into()
    };
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    if name.is_empty() {
        return Err(Error::usage(format!("an empty {what}")).hint("Write `@` for the zone itself."));
    }
    if name.len() > LONGEST {
        return Err(too_long(name));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(
                Error::usage(format!("`{text}` has two dots in a row, or one in front"))
                    .hint("Write the labels with one dot between them, such as `a.b`."),
            );
        }
        if label.len() > 63 {
            return Err(Error::usage(format!(
                "`{text}` has a label of {} characters; 63 is the most",
                label.len()
            ))
            .hint("Shorten the part between the dots; an IDN counts in its `xn--` form."));
        }
        let strange = label
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '/')));
        if let Some(strange) = strange {
            return Err(Error::usage(format!(
                "`{}` in `{}` does not belong in a {what}",
                strange.escape_default(),
                text.escape_debug()
            ))
            .hint("Names are letters, digits, `-`, `_` and dots."));
        }
    }
    Ok(name.to_owned())
}

fn too_long(name: &str) -> Error {
    Error::usage(format!(
        "a name of {} characters; {LONGEST} is the most",
        name.len()
    ))
    .hint("The zone counts too.")
}

fn check_wildcard(name: &DomainName) -> Result<()> {
    let misplaced = name
        .labels()
        .enumerate()
        .any(|(place, label)| label.contains('*') && (place > 0 || label != "*"));
    if misplaced {
        return Err(
            Error::usage(format!("`{name}`: a wildcard is the whole first label"))
                .hint("Write `*` or `*.shop`."),
        );
    }
    Ok(())
}

macro_rules! is_text {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string" })
            }
        }
    };
}

impl<'de> Deserialize<'de> for DomainName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(DomainName::lenient(&String::deserialize(deserializer)?))
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Owner::relative(&String::deserialize(deserializer)?))
    }
}

is_text!(DomainName);
is_text!(Owner);

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> DomainName {
        "example.com".parse().unwrap()
    }

    #[test]
    fn one_spelling_for_every_name() {
        for (given, kept) in [
            ("WWW.Example.COM.", "www.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER。example", "xn--bcher-kva.example"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            (" a.b ", "a.b"),
            (".", "."),
        ] {
            assert_eq!(given.parse::<DomainName>().unwrap().as_str(), kept);
        }
        assert_eq!(
            "xn--bcher-kva.example"
                .parse::<DomainName>()
                .unwrap()
                .unicode(),
            "bücher.example"
        );
        for bad in [
            "",
            "a..b",
            ".a",
            "a b",
            "a\u{1b}b",
            &"x".repeat(64),
            &"abcdefg.".repeat(32),
            "a\u{2e3a}\u{ad}.\u{fffd}",
        ] {
            let error = bad.parse::<DomainName>().unwrap_err();
            assert_eq!(error.kind(), crate::Kind::Usage, "{bad}");
            assert!(error.hint_text().is_some(), "{bad}");
        }
    }

    #[test]
    fn owners_are_relative_however_they_are_given() {
        for (given, kept) in [
            ("@", "@"),
            ("example.com", "@"),
            ("EXAMPLE.com.", "@"),
            ("www", "www"),
            ("www.example.com", "www"),
            ("www.example.com.", "www"),
            ("*.shop", "*.shop"),
            ("example.com.example.com", "example.com"),
            ("notexample.com", "notexample.com"),
            ("bücher", "xn--bcher-kva"),
        ] {
            let owner = Owner::parse(given, &zone()).unwrap();
            assert_eq!(owner.as_str(), kept, "{given}");
        }
        for bad in [
            "",
            "www.example.org.",
            "a.*.b",
            "a*",
            "**",
            &"abcdefg.".repeat(31),
        ] {
            assert!(Owner::parse(bad, &zone()).is_err(), "{bad}");
        }
        // What a provider calls relative stays relative.
        let odd = Owner::relative("Example.com");
        assert_eq!(odd.fqdn(&zone()).as_str(), "example.com.example.com");
        assert_eq!(Owner::within(&odd.fqdn(&zone()), &zone()), Some(odd));
    }

    #[test]
    fn the_apex_comes_first_and_names_stand_by_their_parents() {
        let mut owners: Vec<_> = ["www", "b.shop", "@", "*", "shop", "a.shop"]
            .map(Owner::relative)
            .into();
        owners.sort();
        let names: Vec<_> = owners.iter().map(Owner::as_str).collect();
        assert_eq!(names, ["@", "*", "shop", "a.shop", "b.shop", "www"]);
    }
}
