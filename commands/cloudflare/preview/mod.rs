//! `cf preview`: what a zone file would change.

mod plan;
mod wire;

use std::path::{Path, PathBuf};

use clap::Args;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::{self, ChangeSet, DomainName, Limits, Mode, Ttl};
use medtainer_core::output::{Output, View};
use medtainer_core::store::records::Filter;
use medtainer_core::{Error, Result, writes};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::collections::{self, RECORDS_FEED, ZONES};
use super::{CLOUDFLARE, lookup, types};

/// The command that a plan is approved for.
const APPLY: &str = "cf apply";

/// Show what a zone file would change, record by record
///
/// The file stands for the whole zone: what it does not name would go. It is octoDNS-style YAML or a
/// BIND zone file, such as Cloudflare exports. A TTL or proxy state the file does not say stays as it
/// is; a proxied record has an automatic TTL. Nothing is sent but reads; the hash is what applying
/// exactly this would be approved with.
#[derive(Debug, Args)]
pub struct Preview {
    /// The zone, by name or id
    #[arg(add = lookup::CANDIDATES)]
    zone: String,

    /// The zone file; `-` reads standard input
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "content",
        conflicts_with = "content"
    )]
    file: Option<PathBuf>,

    /// The zone file's text instead of its path
    #[arg(long, value_name = "TEXT")]
    content: Option<String>,

    /// Plan even what takes more than 30 % of a zone of ten or more records
    #[arg(long)]
    force: bool,

    /// Print a table in Markdown
    #[arg(long)]
    markdown: bool,
}

/// What would change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Previewed {
    text: String,
    zone: DomainName,
    zone_id: String,
    added: usize,
    changed: usize,
    deleted: usize,
    changes: Vec<dns::Change>,
    #[schemars(with = "Vec<Map<String, Value>>")]
    requests: Vec<Requested>,
    /// What an apply would be approved with; absent where nothing could be applied
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

/// A request as it would be sent.
#[derive(Debug, Serialize)]
pub struct Requested {
    does: String,
    method: &'static str,
    path: String,
    body: Option<Value>,
}

impl Output for Previewed {
    fn view() -> View {
        View::Text
    }
}

impl Command for Preview {
    type Output = Previewed;
    const CATALOG: Option<&'static str> = Some("cloudflare.dns_preview");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let (text, path) = match (&self.file, &self.content) {
            (Some(path), _) => (cx.read_file(path, "content").await?, path.as_path()),
            (None, content) => (content.clone().unwrap_or_default(), Path::new("")),
        };
        let zone = lookup::zone(cx, &self.zone).await?;
        let name = DomainName::lenient(&zone.name);
        is_of(cx, path, &name).await?;
        let limits = limits(&zone);
        let file = dns::read(&text, dns::Format::guess(path, &text), &name, &limits)?;
        file.warnings.iter().for_each(|warning| cx.warn(warning));

        // A plan is for the world as it is now; from the cache it is only a look.
        if cx.is_offline() {
            cx.read_through(&CLOUDFLARE, &RECORDS_FEED).await?;
        } else {
            collections::refresh_records(cx, &zone.id).await?;
        }
        let stored = collections::stored_records(&mut *cx.db().await?, &zone.id).await?;
        let there: Result<Vec<_>> = stored
            .iter()
            .map(|record| types::Record::stored(&record.data))
            .collect();
        let there = there?;
        let current = dns::Zone::new(name.clone(), limits)
            .with(there.iter().map(|record| record.common(&name)).collect());
        let mut set = dns::diff(&current, &file.records, Mode::Zone)?;
        settle(&mut set);
        set.warnings.iter().for_each(|warning| cx.warn(warning));

        let plan = plan::plan(&zone, &there, &current, &set)?;
        let braked = set.brake().err().filter(|_| !self.force);
        let hash = match (&braked, cx.account(&CLOUDFLARE).await) {
            (Some(_), _) => None,
            _ if set.is_empty() => None,
            (None, Ok(account)) => Some(writes::hash(APPLY, account.as_deref(), &plan)?),
            (None, Err(error)) if cx.is_offline() => {
                cx.warn(format!("no hash: {}", error.message()));
                None
            }
            (None, Err(error)) => return Err(error),
        };
        let (added, changed, deleted) = set.counts();
        let answer = Previewed {
            text: shown(&set, hash.as_deref(), self.markdown),
            zone: name,
            zone_id: zone.id,
            added,
            changed,
            deleted,
            changes: set.changes,
            requests: plan.steps.into_iter().map(Requested::from).collect(),
            hash,
        };
        match braked {
            Some(error) => Err(error.about(answer.into_data()?)),
            None => Ok(answer),
        }
    }
}

impl From<writes::Step> for Requested {
    fn from(step: writes::Step) -> Self {
        let body = step.request.body;
        Requested {
            does: step.does,
            method: step.request.method.as_str(),
            path: step.request.path,
            body: body.and_then(|body| serde_json::from_str(body.get()).ok()),
        }
    }
}

/// What Cloudflare takes in this zone.
fn limits(zone: &types::Zone) -> Limits {
    let plan = zone
        .plan
        .as_ref()
        .and_then(|plan| plan.legacy_id.as_deref());
    Limits {
        min_ttl: if plan == Some("enterprise") { 30 } else { 60 },
        max_ttl: 86_400,
        ..Limits::default()
    }
}

/// Refuses a file that is named after another zone of ours, as octoDNS names them: names in such files
/// are relative, so nothing in it would tell.
async fn is_of(cx: &Context, path: &Path, zone: &DomainName) -> Result<()> {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let Ok(named) = stem.parse::<DomainName>() else {
        return Ok(());
    };
    if named == *zone {
        return Ok(());
    }
    let mut conn = cx.db().await?;
    let all = ZONES.list(&mut conn, Filter::default()).await?;
    let other = all
        .iter()
        .filter_map(|zone| zone.name.as_deref())
        .any(|name| DomainName::lenient(name) == named);
    if other {
        return Err(Error::usage(format!(
            "`{}` is named after the zone `{named}`, not `{zone}`",
            path.display()
        ))
        .hint(format!("`medtainer cf preview {named} --file …` previews that zone; rename the file if it is for this one.")));
    }
    Ok(())
}

/// Says what Cloudflare makes of what nobody said: TTLs are automatic, nothing is proxied.
fn settle(set: &mut ChangeSet) {
    for after in set
        .changes
        .iter_mut()
        .filter_map(|change| change.after.as_mut())
    {
        if wire::proxiable(&after.kind) {
            after.proxied = after.proxied.or(Some(false));
        }
        if after.proxied == Some(true) || after.ttl.is_none() {
            after.ttl = Some(Ttl::Automatic);
        }
    }
    // A proxied record with another TTL in the file is no difference.
    set.changes.retain(|change| change.before != change.after);
}

fn shown(set: &ChangeSet, hash: Option<&str>, markdown: bool) -> String {
    let mut text = if markdown { set.markdown() } else { set.text() };
    match hash {
        Some(hash) if markdown => text.push_str(&format!("\nPlan `{hash}`\n")),
        Some(hash) => text.push_str(&format!("plan {hash}\n")),
        None => {}
    }
    text
}
