use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::{self, DomainName, Owner, RecordType};
use medtainer_core::output::{Column, Page, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::{collections, lookup, types};

/// List the DNS records of a zone
///
/// ZONE is a name or an id. A proxied record answers with Cloudflare's addresses, and its TTL is
/// automatic, as is one of `auto`.
#[derive(Debug, Args)]
pub struct Dns {
    /// The zone, by name or id
    #[arg(add = lookup::CANDIDATES)]
    zone: String,

    /// Only records of this type
    #[arg(id = "type", long, value_name = "TYPE")]
    kind: Option<String>,

    /// Only records of this name: relative, `@`, or in full
    #[arg(long)]
    name: Option<String>,
}

/// A DNS record.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// As everybody shows it
    #[serde(flatten)]
    record: dns::Record,
    value: String,
    fqdn: DomainName,
    comment: Option<String>,
    tags: Vec<String>,
    updated_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("name", "name"),
        Column::text("type", "type"),
        Column::text("value", "value"),
        Column::text("ttl", "ttl"),
        Column::text("proxied", "proxied"),
        Column::text("comment", "comment"),
        Column::id("id", "id"),
    ];
}

impl Command for Dns {
    type Output = Page<Line>;

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let kind: Option<RecordType> = self.kind.as_deref().map(str::parse).transpose()?;
        let zone = lookup::zone(cx, &self.zone).await?;
        let domain = DomainName::lenient(&zone.name);
        let name = self
            .name
            .as_deref()
            .map(|name| Owner::parse(name, &domain))
            .transpose()?;
        let mut lines = Vec::new();
        for stored in collections::records_of(cx, &zone.id).await? {
            let line = line(&stored.data, &domain)?;
            if kind.as_ref().is_none_or(|kind| *kind == line.record.kind)
                && name.as_ref().is_none_or(|name| *name == line.record.name)
            {
                lines.push(line);
            }
        }
        lines.sort_by(|a, b| a.record.cmp(&b.record));
        Ok(Page::whole(lines))
    }
}

fn line(data: &str, zone: &DomainName) -> Result<Line> {
    let wire = types::Record::stored(data)?;
    let record = wire.common(zone);
    Ok(Line {
        value: record.value(),
        fqdn: record.name.fqdn(zone),
        record,
        comment: wire.comment,
        tags: wire.tags.unwrap_or_default(),
        updated_at: wire.modified_on,
    })
}
