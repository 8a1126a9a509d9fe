//! What is wrong with a zone, and what would mend it: one set of rules, whoever keeps the zone.
//!
//! A rule has a stable id. What it finds carries the records and look-ups it rests on, a sentence for
//! the owner, and, where there is one right way to mend it, the changes that do. What needs a look-up
//! that nobody answered is reported as not checked, never as fine.

mod address;
mod alias;
mod dkim;
mod dmarc;
mod mail;
mod providers;
mod server;
mod shape;
mod spf;
mod view;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::change::{Change, ChangeSet};
use super::lookup::Lookup;
use super::name::{DomainName, Owner};
use super::record::Record;
use super::zone::Zone;
use crate::error::Result;

pub use dkim::Selector;
pub use dmarc::Dmarc;
pub use mail::{Mail, provider_of};
pub use spf::Spf;
use view::View;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work, or is open to others.
    Error,
    /// Something will not always work.
    Warning,
    /// Worth knowing.
    Info,
}

impl JsonSchema for Severity {
    fn schema_name() -> Cow<'static, str> {
        "Severity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["error", "warning", "info"] })
    }
}

/// A rule: what it is called, and how bad it is when it is broken.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its stable id.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
}

macro_rules! rules {
    ($($severity:ident { $($name:ident $id:literal)* })*) => {
        $($(pub(super) const $name: Rule = Rule { id: $id, severity: Severity::$severity };)*)*
        /// Every rule there is.
        pub const RULES: &[Rule] = &[$($($name,)*)*];
    };
}

/// The ids; they are kept for ever, because people filter by them.
pub mod ids {
    use super::{Rule, Severity};

    rules! {
        Error {
            ADDRESS_DOCUMENTATION "address-documentation"
            ADDRESS_INVALID "address-invalid"
            CNAME_APEX "cname-apex"
            CNAME_BESIDE_DATA "cname-beside-data"
            CNAME_LOOP "cname-loop"
            CNAME_TAKEOVER "cname-takeover"
            DKIM_INVALID "dkim-invalid"
            DKIM_BROKEN_KEY "dkim-broken-key"
            DMARC_INVALID "dmarc-invalid"
            DMARC_MULTIPLE "dmarc-multiple"
            DNSSEC_BROKEN "dnssec-broken"
            MX_NULL_BESIDE_OTHERS "mx-null-beside-others"
            MX_TARGET_ADDRESS "mx-target-address"
            MX_TARGET_ALIAS "mx-target-alias"
            MX_TARGET_MISSING "mx-target-missing"
            MX_TARGET_PROXIED "mx-target-proxied"
            NS_TARGET_MISSING "ns-target-missing"
            SPF_ALLOWS_ALL "spf-allows-all"
            SPF_INCLUDE_MISSING "spf-include-missing"
            SPF_INVALID "spf-invalid"
            SPF_LOOP "spf-loop"
            SPF_MULTIPLE "spf-multiple"
            SPF_TOO_MANY_LOOKUPS "spf-too-many-lookups"
            SPF_TOO_MANY_VOID_LOOKUPS "spf-too-many-void-lookups"
        }
        Warning {
            ADDRESS_PRIVATE "address-private"
            APEX_MISSING "apex-missing"
            CNAME_DANGLING "cname-dangling"
            DKIM_MISSING "dkim-missing"
            DKIM_WEAK_KEY "dkim-weak-key"
            DMARC_MISSING "dmarc-missing"
            DMARC_POLICY_NONE "dmarc-policy-none"
            DMARC_REPORTS_REFUSED "dmarc-reports-refused"
            DMARC_SUBDOMAINS_OPEN "dmarc-subdomains-open"
            DNSSEC_PENDING "dnssec-pending"
            DUPLICATE "duplicate-record"
            MX_MIXED_PROVIDERS "mx-mixed-providers"
            NAME_DOUBLED "name-doubled"
            NS_ELSEWHERE "ns-elsewhere"
            NS_MISMATCH "ns-mismatch"
            NS_SINGLE "ns-single"
            ORIGIN_EXPOSED "origin-exposed"
            SPF_DEPRECATED_PTR "spf-deprecated-ptr"
            SPF_MISSING "spf-missing"
            SPF_NO_END "spf-no-end"
            SPF_PROVIDER_MISSING "spf-provider-missing"
            SPF_UNREACHED "spf-unreached"
            TTL_INCONSISTENT "ttl-inconsistent"
            TTL_TOO_LOW "ttl-too-low"
            WILDCARD_MAIL_POLICY "wildcard-mail-policy"
        }
        Info {
            CAA_MISSING "caa-missing"
            CNAME_CHAIN "cname-chain"
            DKIM_REVOKED "dkim-revoked"
            DKIM_TESTING "dkim-testing"
            DMARC_ALIGNMENT_STRICT "dmarc-alignment-strict"
            DMARC_NO_REPORTS "dmarc-no-reports"
            DMARC_PARTIAL "dmarc-partial"
            DNSSEC_OFF "dnssec-off"
            MX_MISSING "mx-missing"
            SPF_DEPRECATED_TYPE "spf-deprecated-type"
            SPF_NEAR_LIMIT "spf-near-limit"
            TTL_TOO_HIGH "ttl-too-high"
            WILDCARD_HOLE "wildcard-hole"
            WWW_MISSING "www-missing"
        }
    }
}

/// A question that was asked, and what was said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Asked {
    /// Whose records.
    pub name: DomainName,
    /// Of which type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was said, for people.
    pub answer: String,
}

// What a rule found. `id` is the rule and what it is about, the same as long as it lasts; `fix` is there
// where there is one right way to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(
    missing_docs,
    reason = "comments go into the schemas of tools, where names that say it all cost"
)]
pub struct Finding {
    pub id: String,
    pub rule: String,
    pub severity: Severity,
    pub name: Owner,
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Value>")]
    pub records: Vec<Record>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Value>")]
    pub lookups: Vec<Asked>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<Change>,
}

impl Finding {
    /// What a rule found at a name, as a sentence for the owner.
    pub fn new(rule: Rule, name: &Owner, message: impl Into<String>) -> Self {
        Finding {
            id: format!("{}/{name}", rule.id),
            rule: rule.id.to_owned(),
            severity: rule.severity,
            name: name.clone(),
            message: message.into(),
            records: Vec::new(),
            lookups: Vec::new(),
            fix: Vec::new(),
        }
    }

    /// Tells it from others of the rule at the same name.
    #[must_use]
    pub fn about(mut self, what: &str) -> Self {
        self.id = format!("{}/{what}", self.id);
        self
    }

    /// The records it rests on.
    #[must_use]
    pub fn on<'a>(mut self, records: impl IntoIterator<Item = &'a Record>) -> Self {
        self.records.extend(records.into_iter().cloned());
        self.records.sort();
        self
    }

    /// The look-ups it rests on.
    #[must_use]
    pub fn asked(mut self, lookups: impl IntoIterator<Item = Asked>) -> Self {
        self.lookups.extend(lookups);
        self
    }

    /// What mends it.
    #[must_use]
    pub fn mended_by(mut self, fix: impl IntoIterator<Item = Change>) -> Self {
        self.fix.extend(fix);
        self
    }

    /// Another severity than the rule's own.
    #[must_use]
    pub fn as_bad_as(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The changes that mend it, for the zone it was found in.
    pub fn fix_of(&self, zone: &Zone) -> Result<ChangeSet> {
        ChangeSet::of(zone, self.fix.clone())
    }
}

// What could not be checked, because a look-up was not answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[allow(
    missing_docs,
    reason = "comments go into the schemas of tools, where names that say it all cost"
)]
pub struct Unchecked {
    pub rule: String,
    pub name: Owner,
    pub reason: String,
}

/// What is known about a zone besides its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// How far DNSSEC is; where nobody told, it is looked up.
    pub dnssec: Option<Dnssec>,
}

/// How far DNSSEC is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dnssec {
    /// Not signed.
    Off,
    /// Signed, but the registry has no DS record yet.
    Pending,
    /// Signed, and the registry says so.
    Active,
    /// The registry says it is signed, and it is not.
    Broken,
}

// Everything found out about a zone; the worst finding first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(
    missing_docs,
    reason = "comments go into the schemas of tools, where names that say it all cost"
)]
pub struct Report {
    /// Whether the world sees these records
    pub authoritative: Option<bool>,
    pub mail: Mail,
    pub findings: Vec<Finding>,
    pub unchecked: Vec<Unchecked>,
}

impl Report {
    /// How many errors, warnings and remarks.
    pub fn counts(&self) -> (usize, usize, usize) {
        let of = |severity| {
            let all = self.findings.iter();
            all.filter(|finding| finding.severity == severity).count()
        };
        (
            of(Severity::Error),
            of(Severity::Warning),
            of(Severity::Info),
        )
    }

    /// Takes in what somebody else found, and puts all into order.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.sort();
    }

    /// One sentence about what was not checked, for a warning; nothing where all was.
    pub fn unchecked_warning(&self) -> Option<String> {
        let first = self.unchecked.first()?;
        let mut rules: Vec<_> = self.unchecked.iter().map(|u| u.rule.as_str()).collect();
        rules.sort();
        rules.dedup();
        Some(format!(
            "not checked, because {}: {}",
            first.reason,
            rules.join(", ")
        ))
    }

    fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            (a.severity, &a.rule, &a.name, &a.id).cmp(&(b.severity, &b.rule, &b.name, &b.id))
        });
        self.findings.dedup_by(|a, b| a.id == b.id);
        self.unchecked.sort();
        self.unchecked.dedup();
    }
}

/// Collects what the rules find.
#[derive(Default)]
struct Book {
    findings: Vec<Finding>,
    unchecked: Vec<Unchecked>,
}

impl Book {
    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn cannot_check(&mut self, rule: Rule, name: &Owner, reason: impl Into<String>) {
        self.unchecked.push(Unchecked {
            rule: rule.id.to_owned(),
            name: name.clone(),
            reason: reason.into(),
        });
    }
}

/// Holds a zone against every rule.
///
/// Names within the zone are looked up in it, all others are asked for.
pub async fn audit(zone: &Zone, facts: Facts, lookup: &dyn Lookup) -> Report {
    let view = View::new(zone, lookup);
    let mut book = Book::default();
    server::check(&view, facts, &mut book).await;
    shape::check(&view, &mut book);
    address::check(&view, &mut book);
    alias::check(&view, &mut book).await;
    let mail = mail::check(&view, &mut book).await;
    let mut report = Report {
        authoritative: zone.authoritative,
        mail,
        findings: book.findings,
        unchecked: book.unchecked,
    };
    if zone.authoritative == Some(false) {
        for finding in &mut report.findings {
            if finding.rule != ids::NS_ELSEWHERE.id {
                finding
                    .message
                    .push_str(" The world does not see this zone: its name servers are elsewhere.");
            }
        }
    }
    report.sort();
    report
}

#[cfg(test)]
mod tests;
