use clap::Args;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::rules::{self, Facts, Finding, Mail};
use medtainer_core::dns::{Action, Change};
use medtainer_core::output::{Column, Data, Output, View};
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::{names, zone};

/// Check the zone of a domain, and plan what would mend it
///
/// Mail (SPF with its look-up count, DKIM, DMARC), dangling names, TTLs, duplicates, missing records,
/// name servers. Each finding has its evidence and, where there is one right way, the records that mend
/// it. What could not be looked up is not checked, and said so.
#[derive(Debug, Args)]
pub struct Plan {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Planned {
    /// The worst first
    items: Vec<Line>,
    domain: String,
    records: usize,
    errors: usize,
    warnings: usize,
    infos: usize,
    /// Whether the world sees these records
    authoritative: Option<bool>,
    mail: Mail,
    /// Rules that could not be checked
    unchecked: Vec<String>,
}

/// A finding.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    #[serde(flatten)]
    finding: Finding,
    /// `fix` in short: `+` comes, `-` goes
    mend: Vec<String>,
}

const COLUMNS: &[Column] = &[
    Column::text("severity", "severity"),
    Column::text("name", "name"),
    Column::prose("finding", "message"),
    Column::prose("mend", "mend"),
    Column::text("rule", "rule"),
];

impl Output for Planned {
    fn view() -> View {
        View::Table(COLUMNS)
    }

    fn into_data(self) -> Result<Data> {
        let json = serde_json::value::to_raw_value(&self)
            .map_err(|e| Error::internal("the answer could not be written as JSON").because(e))?;
        Ok(Data {
            json,
            count: Some(self.items.len() as u64),
            complete: true,
            ..Data::default()
        })
    }
}

impl Command for Plan {
    type Output = Planned;
    const CATALOG: Option<&'static str> = Some("godaddy.dns_plan");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let (name, kept) = names::current(cx, &self.domain).await?;
        let wires = zone::read(cx, &name, &kept).await?;
        if wires.is_empty() {
            return Err(
                Error::not_found(format!("there is no zone of `{name}` to check")).hint(match kept
                    .name_servers
                    .as_deref()
                {
                    Some(servers) if !servers.is_empty() => {
                        format!("Its name servers are {}.", servers.join(", "))
                    }
                    _ => format!("`medtainer godaddy dns {name} --fresh` asks GoDaddy for it."),
                }),
            );
        }
        let zone = zone::whole(&name, &kept, &wires);
        let lookup = cx.lookup().await?;
        let report = rules::audit(&zone, Facts::default(), &*lookup).await;
        if let Some(warning) = report.unchecked_warning() {
            cx.note_partial();
            cx.warn(warning);
        }
        let (errors, warnings, infos) = report.counts();
        let mut unchecked: Vec<_> = report.unchecked.into_iter().map(|one| one.rule).collect();
        unchecked.dedup();
        let items = report.findings.into_iter().map(|finding| Line {
            mend: finding.fix.iter().flat_map(mend).collect(),
            finding,
        });
        Ok(Planned {
            items: items.collect(),
            domain: name.to_string(),
            records: zone.records.len(),
            errors,
            warnings,
            infos,
            authoritative: report.authoritative,
            mail: report.mail,
            unchecked,
        })
    }
}

fn mend(change: &Change) -> Vec<String> {
    let goes = change.before.as_ref().map(|record| format!("- {record}"));
    let comes = change.after.as_ref().map(|record| format!("+ {record}"));
    // Only its TTL changes.
    match (&change.before, &change.after) {
        (Some(before), Some(after))
            if change.action == Action::Replace && before.says_the_same(after) =>
        {
            let ttl = after.ttl.map(|ttl| format!(" with a TTL of {ttl}"));
            vec![format!("{after}{}", ttl.unwrap_or_default())]
        }
        _ => goes.into_iter().chain(comes).collect(),
    }
}
