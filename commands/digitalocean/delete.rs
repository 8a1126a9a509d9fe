use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::{Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::http::{Method, Request};
use medtainer_core::writes::plan::{answer, seen};
use medtainer_core::writes::{Action, Check, Expect, Plan, Step};
use serde_json::{Map, Value, json};

use super::lookup::Found;
use super::types::cents;
use super::{DO, api, collections, lookup, store, who};

/// Delete a droplet, and with it everything on its disk
///
/// Shows what is lost, what stays behind and goes on costing, and which names of yours lead nowhere then.
/// Refuses the machine it runs on. With `--snapshot-first` nothing is deleted before its snapshot is there.
#[derive(Debug, Args)]
pub struct Delete {
    /// Which: id, name, IP address or tag
    #[arg(add = lookup::DROPLETS)]
    droplet: String,

    /// Keep a snapshot of its disk
    #[arg(long)]
    snapshot_first: bool,
}

/// Snapshots of large disks take their time.
const SNAPSHOT: Duration = Duration::from_secs(3_600);

/// A snapshot shows in lists some seconds after its action is over.
const SHOWS: Duration = Duration::from_secs(120);

/// How long the droplet may still be seen.
const GOES: Duration = Duration::from_secs(300);

impl Action for Delete {
    const EFFECT: Effect = Effect::Destroy;
    const PACE: Pace = Pace::Long;
    const CATALOG: Option<&'static str> = Some("digitalocean.delete_droplet");

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let found = lookup::live(cx, &self.droplet).await?;
        who::refuse_own_host(&found, "deleting").await?;
        lookup::refuse_busy(&found)?;
        let (name, id) = (found.name(), found.record.id.as_str());
        let title = format!("Delete the droplet {name}");
        let mut plan = Plan::new(&DO, title, found.target())
            .change("droplet", name.as_str(), Value::Null)
            .touches(collections::DROPLET.collection)
            .touches(collections::RESERVED_IP.collection)
            .before(Check::ask(
                format!("{name} is there and nothing else happens to it"),
                api::droplet(id)?,
                Expect::field("/droplet/name", name.as_str()).and("/droplet/locked", false),
            ));
        if let Some(monthly) = found.droplet.monthly() {
            plan = plan.change("cost a month", format!("{monthly} USD"), Value::Null);
        }
        plan.lost = lost(cx, &found, self.snapshot_first, &mut plan.warnings).await?;
        plan.irreversible = Some(match self.snapshot_first {
            true => "a new droplet can be made from the snapshot, with other addresses".to_owned(),
            false => "its disk is gone for good".to_owned(),
        });
        if self.snapshot_first {
            plan = snapshot_first(cx, plan, &found).await?;
        }
        let request = Request::new(Method::Delete, "/v2/droplets/{id}", &[id])?;
        let gone = Check::ask(format!("{name} is gone"), api::droplet(id)?, Expect::Gone);
        Ok(plan
            .step(Step::new("delete the droplet", request))
            .after(gone.within(GOES)))
    }
}

/// The snapshot, as the step before.
async fn snapshot_first(cx: &Context, plan: Plan, found: &Found) -> Result<Plan> {
    let (name, id) = (found.name(), found.record.id.as_str());
    let reply = cx.send(&DO, api::snapshots(id)?).await?;
    let there: Value = api::read(&reply, "a list of snapshots")?;
    let is_there = |name: &String| {
        let mut snapshots = there["snapshots"].as_array().into_iter().flatten();
        snapshots.any(|snapshot| snapshot["name"] == json!(name))
    };
    // Without dots, which mean something where the snapshot is picked from the list afterwards.
    let base = name.replace('.', "-");
    let mut names = (1..).map(|number| match number {
        1 => format!("{base}-before-delete"),
        _ => format!("{base}-before-delete-{number}"),
    });
    let snapshot = names.find(|name| !is_there(name)).unwrap_or_default();
    let request = api::act(id)?.json(&json!({ "type": "snapshot", "name": snapshot }))?;
    let action = answer(0, "/action/id");
    let one = Expect::Count {
        list: "/snapshots".to_owned(),
        like: Map::from_iter([("name".to_owned(), json!(snapshot))]),
        count: 1,
    };
    let step = Step::new("take a snapshot of its disk", request)
        .then(
            Check::ask(
                "the snapshot is taken",
                api::action(id, &action)?,
                Expect::field("/action/status", "completed"),
            )
            .filled()
            .within(SNAPSHOT)
            .unless(Expect::field("/action/status", "errored")),
        )
        .then(
            Check::ask("the snapshot can be used", api::snapshots(id)?, one.clone()).within(SHOWS),
        )
        // Until it no longer happens to the droplet, nothing else may.
        .then(
            Check::ask(
                "nothing else happens to the droplet",
                api::droplet(id)?,
                Expect::field("/droplet/locked", false),
            )
            .within(SHOWS),
        )
        .harmless();
    let kept = Check::ask("the snapshot is still there", api::all_snapshots()?, one);
    Ok(plan
        .change("snapshot", Value::Null, snapshot.as_str())
        .touches(collections::IMAGE.collection)
        .step(step)
        .after(kept.within(SHOWS))
        .result(
            "snapshot",
            seen(0, &format!("/snapshots/name={snapshot}/id")),
        ))
}

/// What goes, and what stays behind and costs.
async fn lost(
    cx: &Context,
    found: &Found,
    snapshot_first: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<String>> {
    let droplet = &found.droplet;
    let mut lost = Vec::new();
    let disk = droplet.disk.map(|disk| format!(" of {disk} GB"));
    lost.push(format!(
        "its disk{}{}",
        disk.unwrap_or_default(),
        if snapshot_first {
            ", but for the snapshot"
        } else {
            ""
        }
    ));
    let public: Vec<_> = [droplet.ipv4("public"), droplet.ipv6()]
        .into_iter()
        .flatten()
        .map(|address| address.to_string())
        .collect();
    if !public.is_empty() {
        lost.push(format!(
            "its address {}: somebody else may get it",
            public.join(" and ")
        ));
    }
    // Names may lead to a reserved IP as well, which leads nowhere then.
    let mut addresses: Vec<IpAddr> = droplet.addresses().collect();
    match api::associated(cx, &found.record.id).await {
        Ok(kept) => {
            let reserved = kept.reserved_ips.iter().flatten();
            addresses.extend(reserved.filter_map(|ip| ip.name.as_ref()?.parse::<IpAddr>().ok()));
            for (what, resources) in [
                ("volume", kept.volumes),
                ("reserved IP", kept.reserved_ips),
                ("snapshot", kept.snapshots),
                ("volume snapshot", kept.volume_snapshots),
            ] {
                for resource in resources.into_iter().flatten() {
                    let name = resource.name.or(resource.id).unwrap_or_default();
                    let cost = match resource.cost {
                        Some(cost) => format!("{} USD a month", cents(cost)),
                        None => "an unknown amount".to_owned(),
                    };
                    lost.push(format!(
                        "the {what} {name} stays behind, and goes on costing {cost}"
                    ));
                }
            }
        }
        Err(error) if api::is_forbidden(&error) => {
            warnings.push(format!("what stays behind is unknown: {}", error.message()));
        }
        Err(error) => return Err(error),
    }
    let names = {
        let mut conn = cx.db().await?;
        store::names(&mut conn, &addresses).await?
    };
    match names {
        Some(names) => {
            let lead = names.into_iter();
            lost.extend(lead.map(|name| format!("the name {name} leads nowhere then, or to a stranger")));
        }
        None => warnings.push(
            "names that lead to it are unknown: no DNS zone was synced; `medtainer godaddy sync` and `medtainer cf sync` do"
                .to_owned(),
        ),
    }
    Ok(lost)
}
