use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::{DomainName, Owner, RecordType, Ttl, rules};
use medtainer_core::output::{Column, Page, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::{dns, names, zone};

/// Show where the mail of a domain goes, and whose servers those are
#[derive(Debug, Args)]
pub struct Mx {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,
}

/// A server that takes mail.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    id: String,
    /// Which part of the domain: `@` is all of it
    name: Owner,
    /// The lowest is tried first
    priority: Option<u16>,
    host: String,
    /// Null where nobody is known by the host
    provider: Option<&'static str>,
    ttl: Option<Ttl>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::text("name", "name"),
        Column::number("priority", "priority"),
        Column::id("host", "host"),
        Column::text("provider", "provider"),
        Column::number("ttl", "ttl"),
    ];
}

/// Whose host it is; none where nobody is known by it.
pub fn provider(host: &str, domain: &DomainName) -> Option<&'static str> {
    if host == "." {
        return Some("none: takes no mail");
    }
    let own = || DomainName::lenient(host).is_within(domain);
    rules::provider_of([host]).or_else(|| own().then_some("own server"))
}

impl Command for Mx {
    type Output = Page<Line>;
    const CATALOG: Option<&'static str> = Some("godaddy.mx_records");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let (domain, kept) = names::current(cx, &self.domain).await?;
        let wires = zone::read(cx, &domain, &kept).await?;
        let mut records: Vec<_> = wires
            .into_iter()
            .map(|wire| wire.record)
            .filter(|record| record.kind == RecordType::Mx)
            .collect();
        records.sort();
        let lines: Vec<Line> = records
            .into_iter()
            .map(|record| Line {
                id: dns::id(&record),
                provider: provider(&record.data, &domain),
                name: record.name,
                priority: record.priority,
                host: record.data,
                ttl: record.ttl,
            })
            .collect();
        if !lines.iter().any(|line| line.name.is_apex()) {
            cx.warn(format!(
                "`{domain}` has no MX record: mail goes to its address, if that takes any"
            ));
        }
        Ok(Page::whole(lines))
    }
}
