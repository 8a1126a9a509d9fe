use std::time::Duration;

use clap::Args;
use medtainer_core::command::{Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::writes::plan::seen;
use medtainer_core::writes::{Action, Check, Expect, Plan, Step};
use medtainer_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::{DO, api, collections, lookup, who};

/// Restart a droplet, as its own operating system would
///
/// Refuses the machine it runs on. With `--wait` it follows the action until it is done.
#[derive(Debug, Args)]
pub struct Reboot {
    /// Which: id, name, IP address or tag
    #[arg(add = lookup::DROPLETS)]
    droplet: String,

    /// Follow the action until it is done
    #[arg(long)]
    wait: bool,
}

/// How long a restart may take.
const PATIENCE: Duration = Duration::from_secs(600);

impl Action for Reboot {
    const EFFECT: Effect = Effect::Write;
    const PACE: Pace = Pace::Long;
    const CATALOG: Option<&'static str> = Some("digitalocean.reboot_droplet");

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let found = lookup::live(cx, &self.droplet).await?;
        who::refuse_own_host(&found, "restarting").await?;
        lookup::refuse_busy(&found)?;
        let (name, id) = (found.name(), found.record.id.as_str());
        if found.droplet.status.as_deref() != Some("active") {
            let status = found
                .droplet
                .status
                .as_deref()
                .unwrap_or("in an unknown state");
            return Err(Error::refused(format!(
                "`{name}` is {status}, and only an active droplet can be restarted"
            ))
            .hint("Switch it on in DigitalOcean's control panel."));
        }
        // A restart has no name of its own: it shows as one more in the list.
        let before = restarts(cx, id).await?;
        let count = |count: u64| Expect::Count {
            list: "/actions".to_owned(),
            like: Map::from_iter([("type".to_owned(), json!("reboot"))]),
            count,
        };
        let begun = Check::ask(
            "the restart has begun",
            api::newest_actions(id)?,
            count(before + 1),
        );
        let request = api::act(id)?.json(&json!({ "type": "reboot" }))?;
        let title = format!("Restart the droplet {name}");
        let mut plan = Plan::new(&DO, title, found.target())
            .change("droplet", "running", "restarted")
            .before(Check::ask(
                format!("{name} is active and nothing else happens to it"),
                api::droplet(id)?,
                Expect::field("/droplet/status", "active").and("/droplet/locked", false),
            ))
            .before(Check::ask(
                format!("nobody has restarted {name} meanwhile"),
                api::newest_actions(id)?,
                count(before),
            ))
            .step(Step::new("restart it", request).harmless())
            .lookup(begun.clone())
            .after(begun.within(Duration::from_secs(15)))
            .touches(collections::DROPLET.collection)
            .result("action", seen(0, "/actions/0/id"));
        plan.irreversible = Some("what is running stops".to_owned());
        if !self.wait {
            return Ok(plan.result("status", seen(0, "/actions/0/status")));
        }
        let newest = |status: &str| {
            Expect::field("/actions/0/type", "reboot").and("/actions/0/status", status)
        };
        Ok(plan
            .after(
                Check::ask(
                    "the restart is done",
                    api::newest_action(id)?,
                    newest("completed"),
                )
                .within(PATIENCE)
                .unless(newest("errored")),
            )
            // The action may be over a moment before the droplet shows it.
            .after(
                Check::ask(
                    format!("{name} is active again"),
                    api::droplet(id)?,
                    Expect::field("/droplet/status", "active").and("/droplet/locked", false),
                )
                .within(Duration::from_secs(120)),
            )
            .result("status", seen(1, "/actions/0/status")))
    }
}

/// How many restarts are among its newest actions.
async fn restarts(cx: &Context, id: &str) -> Result<u64> {
    let reply = cx.send(&DO, api::newest_actions(id)?).await?;
    let answer: Value = api::read(&reply, "a list of actions")?;
    let actions = answer["actions"].as_array().into_iter().flatten();
    Ok(actions.filter(|action| action["type"] == "reboot").count() as u64)
}
