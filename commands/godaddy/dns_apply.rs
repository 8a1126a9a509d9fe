use std::path::{Path, PathBuf};

use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::{Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::dns::{self, Format, Mode};
use medtainer_core::writes::{Action, Plan};

use super::changes::Live;
use super::{names, zone};

/// Make a zone what a zone file says
///
/// The file is octoDNS-style YAML or a BIND zone file. Each name and type in it becomes what the file
/// has; what the file does not name stays, unless `--prune` says that the file is the whole zone. The
/// zone as it was is kept for `medtainer godaddy dns-rollback`; `--dry-run` shows every record.
#[derive(Debug, Args)]
pub struct DnsApply {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,

    /// The zone file; `-` reads standard input
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "content",
        conflicts_with = "content"
    )]
    file: Option<PathBuf>,

    /// The zone file's text instead of its path
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    content: Option<String>,

    /// Remove what the file does not name
    #[arg(long)]
    prune: bool,

    /// Also where others answer for the domain, or more than 30 % of its records would go
    #[arg(long)]
    force: bool,
}

impl Action for DnsApply {
    const EFFECT: Effect = Effect::Write;
    const PACE: Pace = Pace::Long;

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let domain = names::parse(&self.domain)?;
        let (text, path) = match (&self.file, &self.content) {
            (Some(path), _) => (cx.read_file(path, "content").await?, path.as_path()),
            (None, content) => (content.clone().unwrap_or_default(), Path::new("")),
        };
        let file = dns::read(&text, Format::guess(path, &text), &domain, &zone::LIMITS)?;
        let live = Live::read(cx, &self.domain).await?;
        let mode = if self.prune { Mode::Zone } else { Mode::Sets };
        // The SOA and the NS of the zone itself are in every exported file, and GoDaddy's to say.
        let wanted: Vec<_> = file
            .records
            .into_iter()
            .filter(|record| !live.is_managed(record))
            .collect();
        let mut set = dns::diff(&live.zone, &wanted, mode)?;
        set.warnings.extend(file.warnings);
        let title = format!("Apply a zone file to {}", live.name.unicode());
        live.plan(title, &set, self.force)
    }
}
