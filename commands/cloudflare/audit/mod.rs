//! `cf audit`: what is wrong with zones, for people and for builds that should fail.

mod rules;

use clap::{Args, ValueEnum};
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::rules::{Finding, Severity, ids};
use medtainer_core::dns::{self, DomainName};
use medtainer_core::output::{Column, Data, Output, View};
use medtainer_core::store::records::Filter;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::collections::{self, POSTURE, POSTURE_FEED, RECORDS_FEED, ZONES, ZONES_FEED};
use super::{CLOUDFLARE, lookup, types};
use rules::Known;

/// Check zones: mail, dangling names, DNSSEC, SSL mode, proxy; for builds too
///
/// Without ZONE it checks all of them. With `--fail-on` it ends with exit code 6 when something that bad
/// is found, the findings printed all the same. What could not be looked up is not checked, and said so;
/// with `--strict` that is exit code 10.
#[derive(Debug, Args)]
pub struct Audit {
    /// The zone, by name or id; all zones without it
    #[arg(add = lookup::CANDIDATES)]
    zone: Option<String>,

    /// Fail when anything this bad is found
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Level>,

    /// Leave this rule out (can be repeated)
    #[arg(long = "ignore", value_name = "RULE")]
    ignored: Vec<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    /// Something does not work, or is open to others
    Error,
    /// Something will not always work, and worse
    Warning,
    /// Anything worth knowing
    Info,
}

impl Level {
    fn severity(self) -> Severity {
        match self {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Info => Severity::Info,
        }
    }

    /// So many of them, in words.
    fn count(self, bad: usize) -> String {
        let words = match (self, bad) {
            (Level::Error, 1) => "error",
            (Level::Error, _) => "errors",
            (Level::Warning, 1) => "warning or error",
            (Level::Warning, _) => "warnings or errors",
            (Level::Info, 1) => "finding",
            (Level::Info, _) => "findings",
        };
        format!("{bad} {words}")
    }
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Audited {
    /// The worst first
    items: Vec<Line>,
    /// Each with its status, DNSSEC, SSL mode, counts, and what could not be checked
    #[schemars(with = "Vec<Map<String, Value>>")]
    zones: Vec<Checked>,
}

/// A finding and its zone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    zone: DomainName,
    fqdn: DomainName,
    #[serde(flatten)]
    finding: Finding,
}

/// A zone that was checked.
#[derive(Debug, Serialize)]
pub struct Checked {
    id: String,
    name: DomainName,
    status: Option<String>,
    /// Null where the token may not see it.
    dnssec: Option<String>,
    /// Null where the token may not see it.
    ssl: Option<String>,
    proxied: usize,
    records: usize,
    errors: usize,
    warnings: usize,
    infos: usize,
    /// The rules.
    unchecked: Vec<String>,
}

const COLUMNS: &[Column] = &[
    Column::text("severity", "severity"),
    Column::text("name", "fqdn"),
    Column::prose("finding", "message"),
    Column::text("rule", "rule"),
];

impl Output for Audited {
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

impl Command for Audit {
    type Output = Audited;
    const CATALOG: Option<&'static str> = Some("cloudflare.dns_audit");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        self.ignored.iter().try_for_each(|rule| known_rule(rule))?;
        let zones = self.zones(cx).await?;
        let lookup = cx.lookup().await?;
        let (mut items, mut checked) = (Vec::new(), Vec::new());
        for zone in zones {
            let known = known(cx, zone).await?;
            let mut report = dns::rules::audit(&known.dns, known.facts(), &*lookup).await;
            known
                .refused
                .iter()
                .for_each(|why| cx.warn(format!("{}: {why}", known.dns.name)));
            let own = rules::findings(&known);
            report.add(own);
            rules::weigh(&mut report.findings);
            let is_wanted = |rule: &str| !self.ignored.iter().any(|ignored| ignored == rule);
            report.findings.retain(|finding| is_wanted(&finding.rule));
            report
                .unchecked
                .retain(|unchecked| is_wanted(&unchecked.rule));
            if let Some(warning) = report.unchecked_warning() {
                cx.note_partial();
                cx.warn(format!("{}: {warning}", known.dns.name));
            }
            let (errors, warnings, infos) = report.counts();
            let mut unchecked: Vec<_> = report.unchecked.into_iter().map(|one| one.rule).collect();
            unchecked.dedup();
            checked.push(Checked {
                proxied: known.proxied().count(),
                records: known.dns.records.len(),
                errors,
                warnings,
                infos,
                unchecked,
                id: known.id,
                name: known.dns.name.clone(),
                status: known.status,
                dnssec: known.dnssec,
                ssl: known.ssl,
            });
            items.extend(report.findings.into_iter().map(|finding| Line {
                zone: known.dns.name.clone(),
                fqdn: finding.name.fqdn(&known.dns.name),
                finding: Finding {
                    id: format!("{}/{}", known.dns.name, finding.id),
                    ..finding
                },
            }));
        }
        items.sort_by(|a, b| {
            let key = |line: &Line| (line.finding.severity, line.zone.to_string());
            key(a).cmp(&key(b))
        });
        self.judge(Audited {
            items,
            zones: checked,
        })
    }
}

impl Audit {
    /// The zones to check, with what belongs to them as fresh as was asked for.
    async fn zones(&self, cx: &Context) -> Result<Vec<types::Zone>> {
        let feeds = [&ZONES_FEED, &RECORDS_FEED, &POSTURE_FEED];
        let Some(zone) = &self.zone else {
            cx.read_all_through(&CLOUDFLARE, &feeds).await?;
            let mut conn = cx.db().await?;
            let all = ZONES.list(&mut conn, Filter::default()).await?;
            return all
                .iter()
                .map(|zone| types::Zone::stored(&zone.data))
                .collect();
        };
        let zone = lookup::zone(cx, zone).await?;
        if cx.wants_live() {
            // Asking for one is cheaper than for all.
            collections::refresh_records(cx, &zone.id).await?;
            collections::refresh_posture(cx, &zone).await?;
        } else {
            cx.read_all_through(&CLOUDFLARE, &feeds[1..]).await?;
        }
        Ok(vec![zone])
    }

    /// The answer, as an error about it where something is too bad.
    fn judge(&self, answer: Audited) -> Result<Audited> {
        let Some(level) = self.fail_on else {
            return Ok(answer);
        };
        let bad = answer
            .items
            .iter()
            .filter(|line| line.finding.severity <= level.severity());
        match bad.count() {
            0 => Ok(answer),
            bad => Err(
                Error::refused(format!("the audit has {}", level.count(bad)))
                    .hint("Mend them, or leave a rule out with `--ignore RULE`.")
                    .about(answer.into_data()?),
            ),
        }
    }
}

/// What is stored about a zone.
async fn known(cx: &Context, zone: types::Zone) -> Result<Known> {
    let mut conn = cx.db().await?;
    let records = collections::stored_records(&mut conn, &zone.id).await?;
    let records: Result<Vec<_>> = records
        .iter()
        .map(|record| types::Record::stored(&record.data))
        .collect();
    let posture = POSTURE.get(&mut conn, &zone.id).await?;
    let posture = posture
        .filter(|posture| posture.deleted_at.is_none())
        .and_then(|posture| serde_json::from_str(&posture.data).ok());
    Ok(Known::new(zone, &records?, posture))
}

fn known_rule(rule: &str) -> Result<()> {
    let all = || ids::RULES.iter().chain(rules::RULES).map(|rule| rule.id);
    if all().any(|known| known == rule) {
        return Ok(());
    }
    let near = all()
        .map(|known| (strsim::jaro_winkler(rule, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let error = Error::usage(format!("no rule is called `{}`", rule.escape_debug()));
    Err(match near {
        Some((likeness, near)) if likeness > 0.8 => error.hint(format!("Did you mean `{near}`?")),
        _ => error.hint("Rules are what `rule` says of each finding, such as `spf-multiple`."),
    })
}
