use std::collections::BTreeMap;

use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::{DomainName, Owner, Record, RecordType};
use medtainer_core::output::{Column, Page, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::{names, zone};

/// List the names below a domain and where they point
///
/// Made from its records. Names of services (`_dmarc`, `_sip._tcp`) are left out: they name no host.
#[derive(Debug, Args)]
pub struct Subdomains {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,
}

/// A name below a domain.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// The whole name
    pub id: String,
    /// Relative to the domain
    pub name: Owner,
    /// `name` as people read it
    pub shown: String,
    pub types: Vec<String>,
    /// Addresses and names
    pub points_to: Vec<String>,
    /// Whether it stands for every name that is not there
    pub wildcard: bool,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::text("name", "shown"),
        Column::list("types", "types"),
        Column::list("points to", "points_to"),
        Column::text("wildcard", "wildcard"),
    ];
}

/// The names below a domain that its records name, wildcards last.
pub fn of<'a>(domain: &DomainName, records: impl Iterator<Item = &'a Record>) -> Vec<Line> {
    let mut lines: BTreeMap<(bool, &Owner), Line> = BTreeMap::new();
    for record in records {
        let name = &record.name;
        if name.is_apex() || name.as_str().split('.').any(|label| label.starts_with('_')) {
            continue;
        }
        let line = lines
            .entry((name.is_wildcard(), name))
            .or_insert_with(|| Line {
                id: name.fqdn(domain).to_string(),
                name: name.clone(),
                shown: names::shown(name.as_str()),
                types: Vec::new(),
                points_to: Vec::new(),
                wildcard: name.is_wildcard(),
            });
        let kind = record.kind.to_string();
        if !line.types.contains(&kind) {
            line.types.push(kind);
        }
        let points =
            matches!(record.kind, RecordType::A | RecordType::Aaaa) || record.target().is_some();
        if points && !line.points_to.contains(&record.data) {
            line.points_to.push(record.data.clone());
        }
    }
    lines.into_values().collect()
}

impl Command for Subdomains {
    type Output = Page<Line>;
    const CATALOG: Option<&'static str> = Some("godaddy.subdomains");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let (domain, kept) = names::current(cx, &self.domain).await?;
        let wires = zone::read(cx, &domain, &kept).await?;
        Ok(Page::whole(of(
            &domain,
            wires.iter().map(|wire| &wire.record),
        )))
    }
}
