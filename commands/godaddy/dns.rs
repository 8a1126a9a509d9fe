use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::{DomainName, Owner, Record, RecordType};
use medtainer_core::output::{Column, Page, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::{names, zone};

/// List the DNS records of a domain
///
/// Says so where other name servers answer for the domain, so that these records have no effect.
#[derive(Debug, Args)]
pub struct Dns {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,

    /// Only records of this type, such as `TXT`
    #[arg(id = "type", long, value_name = "TYPE")]
    kind: Option<String>,

    /// Only records of this name: relative (`www`, `@`) or in full
    #[arg(long)]
    name: Option<String>,
}

/// A record in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// Names the record as long as it stays the same
    id: String,
    /// The whole name
    fqdn: String,
    /// `name` as people read it
    shown: String,
    #[serde(flatten)]
    record: Record,
    /// The data with its numbers, as a zone file has it
    value: String,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::text("name", "shown"),
        Column::id("type", "type"),
        Column::text("value", "value"),
        Column::number("ttl", "ttl"),
    ];
}

impl Line {
    /// A record of a zone.
    pub fn of(record: Record, zone: &DomainName) -> Self {
        let shown = match record.name.is_apex() {
            true => "@".to_owned(),
            false => names::shown(record.name.as_str()),
        };
        Line {
            id: id(&record),
            fqdn: record.name.fqdn(zone).to_string(),
            shown,
            value: record.value(),
            record,
        }
    }
}

/// A name for a record of a provider that gives none.
pub fn id(record: &Record) -> String {
    let text = format!("{} {} {}", record.kind, record.name, record.value());
    let hash = medtainer_core::sync::Row::new("", None, &text).hash();
    format!("{:08x}", hash.unsigned_abs() >> 31)
}

impl Command for Dns {
    type Output = Page<Line>;
    const CATALOG: Option<&'static str> = Some("godaddy.dns_records");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let kind: Option<RecordType> = self.kind.as_deref().map(str::parse).transpose()?;
        let (domain, kept) = names::current(cx, &self.domain).await?;
        let name = self
            .name
            .as_deref()
            .map(|name| Owner::parse(name, &domain))
            .transpose()?;
        let wires = zone::read(cx, &domain, &kept).await?;
        let mut records: Vec<Record> = wires
            .into_iter()
            .map(|wire| wire.record)
            .filter(|record| kind.as_ref().is_none_or(|kind| record.kind == *kind))
            .filter(|record| name.as_ref().is_none_or(|name| record.name == *name))
            .collect();
        records.sort();
        Ok(Page::whole(
            records
                .into_iter()
                .map(|record| Line::of(record, &domain))
                .collect(),
        ))
    }
}
