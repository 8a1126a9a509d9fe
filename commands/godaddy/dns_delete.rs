use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Effect;
use medtainer_core::context::Context;
use medtainer_core::dns::{self, Draft, Owner, RecordType};
use medtainer_core::writes::{Action, Plan};

use super::changes::{self, Live};
use super::{names, zone};

/// Remove the records of a name and a type, or some of their values
///
/// The zone as it was is kept for `medtainer godaddy dns-rollback`.
#[derive(Debug, Args)]
pub struct DnsDelete {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,

    /// The type: A, AAAA, CNAME, MX, SRV or TXT
    #[arg(id = "type", value_name = "TYPE")]
    kind: String,

    /// The name: relative (`www`, `*.shop`), in full, or `@` for the domain itself
    name: String,

    /// Only these values, as a zone file has them; all of them when none is given
    #[arg(value_name = "VALUE")]
    values: Vec<String>,

    /// Also where others answer for the domain, or more than 30 % of its records would go
    #[arg(long)]
    force: bool,
}

impl Action for DnsDelete {
    const EFFECT: Effect = Effect::Write;

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let domain = names::parse(&self.domain)?;
        let kind: RecordType = self.kind.parse()?;
        let name = Owner::parse(&self.name, &domain)?;
        let mut values = Vec::new();
        for value in &self.values {
            let draft = Draft::new(self.kind.as_str(), self.name.as_str(), value.as_str());
            // What is there may be what no provider would take any more.
            values.push(match draft.parse(&domain, &zone::LIMITS) {
                Ok(record) => record,
                Err(_) => draft.accept(name.clone(), &domain),
            });
        }
        let live = Live::read(cx, &self.domain).await?;
        let parts: Result<Vec<_>> = values
            .iter()
            .map(|value| dns::remove(&live.zone, &name, &kind, Some(value)))
            .collect();
        let set = match changes::together(parts?) {
            Some(set) => set,
            None => dns::remove(&live.zone, &name, &kind, None)?,
        };
        let title = format!(
            "Remove {} {kind} of {}",
            names::shown(name.as_str()),
            live.name.unicode()
        );
        live.plan(title, &set, self.force)
    }
}
