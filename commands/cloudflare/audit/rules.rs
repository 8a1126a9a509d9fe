//! What only Cloudflare has: a proxy in front, the way it talks to the origin, zones that wait.

use medtainer_core::dns::rules::{Dnssec, Facts, Finding, Rule, Severity};
use medtainer_core::dns::{self, DomainName, Limits, Owner, Record, RecordType};
use serde_json::Value;

use crate::cloudflare::collections::Posture;
use crate::cloudflare::types;

const SSL_OFF: Rule = Rule {
    id: "ssl-off",
    severity: Severity::Error,
};
const SSL_FLEXIBLE: Rule = Rule {
    id: "ssl-flexible",
    severity: Severity::Error,
};
const SSL_UNVERIFIED: Rule = Rule {
    id: "ssl-unverified-origin",
    severity: Severity::Warning,
};
const ZONE_PAUSED: Rule = Rule {
    id: "zone-paused",
    severity: Severity::Warning,
};
const WEB_UNPROXIED: Rule = Rule {
    id: "web-unproxied",
    severity: Severity::Warning,
};

/// The rule of every zone about addresses that are reserved for examples.
const EXAMPLE_ADDRESS: &str = "address-documentation";

/// The rules here; the others are those of every zone.
pub(super) const RULES: &[Rule] = &[
    SSL_OFF,
    SSL_FLEXIBLE,
    SSL_UNVERIFIED,
    ZONE_PAUSED,
    WEB_UNPROXIED,
];

/// A zone with what Cloudflare says about it.
pub(super) struct Known {
    pub(super) id: String,
    pub(super) status: Option<String>,
    paused: bool,
    pub(super) dns: dns::Zone,
    pub(super) dnssec: Option<String>,
    pub(super) ssl: Option<String>,
    /// What the token may not see, and why.
    pub(super) refused: Vec<String>,
}

impl Known {
    pub(super) fn new(
        zone: types::Zone,
        records: &[types::Record],
        posture: Option<Posture>,
    ) -> Self {
        let name = DomainName::lenient(&zone.name);
        let records = records.iter().map(|record| record.common(&name)).collect();
        let mut dns = dns::Zone::new(name, Limits::default()).with(records);
        let active = zone.status.as_deref().map(|status| status == "active");
        dns.authoritative = active;
        // A zone is active while its registry names Cloudflare's servers; before that, it names those
        // from which Cloudflare took it over.
        let servers = match active {
            Some(true) => zone.name_servers,
            Some(false) => zone.original_name_servers,
            None => None,
        };
        let servers = servers.unwrap_or_default();
        dns.nameservers = servers
            .iter()
            .map(|server| DomainName::lenient(server))
            .collect();
        let told = |answer: Option<&serde_json::value::RawValue>, field: &str| {
            let answer: Value = serde_json::from_str(answer?.get()).ok()?;
            answer[field].as_str().map(str::to_owned)
        };
        let (dnssec, ssl, refused) = match &posture {
            Some(posture) => (
                told(posture.dnssec.as_deref(), "status"),
                told(posture.ssl.as_deref(), "value"),
                posture.refused.clone(),
            ),
            None => (
                None,
                None,
                vec!["DNSSEC and the SSL mode were never fetched".to_owned()],
            ),
        };
        Known {
            id: zone.id,
            status: zone.status,
            paused: zone.paused.unwrap_or(false),
            dns,
            dnssec,
            ssl,
            refused,
        }
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            dnssec: match self.dnssec.as_deref() {
                // It is signed until the registry has forgotten it.
                Some("active" | "pending-disabled") => Some(Dnssec::Active),
                Some("pending") => Some(Dnssec::Pending),
                Some("disabled") => Some(Dnssec::Off),
                Some("error") => Some(Dnssec::Broken),
                _ => None,
            },
        }
    }

    /// The records that Cloudflare stands in front of.
    pub(super) fn proxied(&self) -> impl Iterator<Item = &Record> {
        self.dns
            .records
            .iter()
            .filter(|record| record.proxied == Some(true))
    }
}

/// What is wrong on Cloudflare's side of a zone.
pub(super) fn findings(known: &Known) -> Vec<Finding> {
    let mut found = Vec::new();
    let apex = Owner::apex();
    let proxies = known.proxied().next().is_some();
    if known.paused {
        found.push(Finding::new(
            ZONE_PAUSED,
            &apex,
            "The zone is paused: Cloudflare only answers for its names, and stands in front of none.",
        ));
    }
    // Before the world comes to Cloudflare, nobody meets its proxy.
    if known.dns.authoritative == Some(false) {
        return found;
    }
    // Without anything proxied there is nothing that Cloudflare would encrypt.
    let ssl = known.ssl.as_deref().filter(|_| proxies && !known.paused);
    let ssl = match ssl {
        Some("off") => Some((
            SSL_OFF,
            "SSL is off: visitors reach the proxied names over plain HTTP alone.",
        )),
        Some("flexible") => Some((
            SSL_FLEXIBLE,
            "SSL is `flexible`: visitors see a lock, but Cloudflare talks to the origin over plain HTTP.",
        )),
        Some("full") => Some((
            SSL_UNVERIFIED,
            "SSL is `full`: Cloudflare takes any certificate for the origin's; `strict` checks it.",
        )),
        _ => None,
    };
    if let Some((rule, message)) = ssl {
        found.push(Finding::new(rule, &apex, message));
    }
    for name in [apex, Owner::relative("www")] {
        let web: Vec<_> = known
            .dns
            .at(&name)
            .filter(|record| {
                matches!(
                    record.kind,
                    RecordType::A | RecordType::Aaaa | RecordType::Cname
                )
            })
            .collect();
        let open: Vec<_> = web
            .iter()
            .copied()
            .filter(|record| record.proxied == Some(false))
            .collect();
        if open.is_empty() {
            continue;
        }
        let fqdn = name.fqdn(&known.dns.name);
        let finding = Finding::new(
            WEB_UNPROXIED,
            &name,
            format!(
                "`{fqdn}` is not proxied: it has neither Cloudflare's protection nor its certificate."
            ),
        );
        // Who proxies nothing at all may have chosen so.
        let finding = if proxies {
            finding
        } else {
            finding.as_bad_as(Severity::Info)
        };
        let proxied = open.iter().map(|record| {
            let after = Record {
                proxied: Some(true),
                ttl: Some(dns::Ttl::Automatic),
                ..(*record).clone()
            };
            dns::Change::replace((*record).clone(), after)
        });
        let fix: Vec<_> = proxied.collect();
        found.push(finding.on(open).mended_by(fix));
    }
    found
}

/// Puts what the rules of every zone find into the light of the proxy.
pub(super) fn weigh(findings: &mut [Finding]) {
    for finding in findings {
        let proxied = finding
            .records
            .iter()
            .all(|record| record.proxied == Some(true));
        if finding.rule == EXAMPLE_ADDRESS && proxied {
            // What stands for "no origin" where a redirect or a worker of Cloudflare's answers.
            finding.severity = Severity::Info;
            finding
                .message
                .push_str(" That is fine where Cloudflare answers by itself.");
        }
    }
}
