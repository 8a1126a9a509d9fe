use std::time::Duration;

use clap::Args;
use medtainer_core::command::{Effect, Pace};
use medtainer_core::context::Context;
use medtainer_core::values::Range;
use medtainer_core::writes::plan::seen;
use medtainer_core::writes::{Action, Check, Cost, Expect, Plan, RUN, Step, Target};
use medtainer_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::types::{Image, Key, Region, Size, cents};
use super::{DO, api, collections, lookup};

/// Create a droplet, which costs money from then on
///
/// Refuses a second droplet of the same name. The droplet gets a tag of its own beside yours, by which it
/// is found again when DigitalOcean's answer is lost. Without an SSH key they mail a root password.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name: letters, digits, dots and dashes
    name: String,

    /// Where, such as `nyc3`
    #[arg(long, add = lookup::REGIONS)]
    region: String,

    /// How large, such as `s-1vcpu-1gb`
    #[arg(long, add = lookup::SIZES)]
    size: String,

    /// From what: the slug of an image, or the id or name of a snapshot of yours
    #[arg(long, add = lookup::IMAGES)]
    image: String,

    /// An SSH key to let in, by name, id or fingerprint (can be repeated)
    #[arg(long = "ssh-key", value_name = "KEY")]
    ssh_keys: Vec<String>,

    /// A tag (can be repeated)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// What it does when it first starts: a script or cloud-config, up to 64 KiB
    #[arg(long, value_name = "TEXT")]
    user_data: Option<String>,

    /// Wait until it is active and answers on the network
    #[arg(long)]
    wait: bool,

    /// With `--wait`: the port that has to answer
    #[arg(long, requires = "wait", default_value_t = 22,
          value_parser = clap::value_parser!(u16).range(1..), add = Range { min: 1, max: 65_535 })]
    port: u16,
}

/// Before the tag that names the write.
const RUN_TAG: &str = "medtainer-run";

/// How long a droplet may take; usual are 30 to 60 seconds.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a first start may take until a port answers.
const START: Duration = Duration::from_secs(300);

const LONGEST_USER_DATA: usize = 64 << 10;

impl Action for Create {
    const EFFECT: Effect = Effect::Destroy;
    const PACE: Pace = Pace::Long;
    const CATALOG: Option<&'static str> = Some("digitalocean.create_droplet");

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let name = self.name.trim();
        check_name(name)?;
        check_tags(&self.tags)?;
        check_user_data(self.user_data.as_deref())?;
        let region = lookup::region(cx, self.region.trim()).await?;
        let size = lookup::size(cx, self.size.trim()).await?;
        let image = lookup::image(cx, self.image.trim()).await?;
        fit_together(&region, &size, &image)?;
        let keys = keys(cx, &self.ssh_keys).await?;
        refuse_second(cx, name).await?;

        let (region, size_slug) = (
            region.slug.unwrap_or_default(),
            size.slug.unwrap_or_default(),
        );
        let image_key = image.key().unwrap_or_default();
        let mut tags: Vec<Value> = self.tags.iter().map(|tag| json!(tag)).collect();
        tags.push(json!(format!("{RUN_TAG}:{RUN}")));
        let mut body = json!({
            "name": name,
            "region": region,
            "size": size_slug,
            // A slug as text, an id as a number.
            "image": image.slug.map_or_else(|| json!(image.id), Value::from),
            "ssh_keys": keys,
            "tags": tags,
        });
        if let Some(user_data) = &self.user_data {
            body["user_data"] = json!(user_data);
        }
        let target = Target {
            kind: "droplet".to_owned(),
            id: name.to_owned(),
            name: name.to_owned(),
        };
        let title = format!("Create the droplet {name} ({size_slug}) in {region}");
        let mut plan = Plan::new(&DO, title, target)
            .change("droplet", Value::Null, name)
            .change("region", Value::Null, region.as_str())
            .change("size", Value::Null, size_slug.as_str())
            .change("image", Value::Null, image_key)
            .touches(collections::DROPLET.collection);
        if !self.tags.is_empty() {
            plan = plan.change("tags", Value::Null, json!(self.tags));
        }
        plan.cost = size.price_monthly.map(|amount| Cost {
            amount: cents(amount),
            currency: "USD".to_owned(),
            per: Some("month".to_owned()),
        });
        if plan.cost.is_none() {
            plan.warnings.push(
                "what it costs is unknown: DigitalOcean tells no price for this size".to_owned(),
            );
        }
        if keys.is_empty() {
            plan.warnings
                .push("without an SSH key, DigitalOcean mails a root password".to_owned());
        }
        plan.irreversible = Some(format!(
            "`medtainer do delete {name}` ends it, with all that is on it by then"
        ));
        for request in namesakes(name)? {
            plan = plan.before(Check::ask(
                format!("no droplet is called {name}"),
                request,
                none(),
            ));
        }
        let request = api::create()?.json(&body)?;
        plan = plan.step(Step::new("create the droplet", request).filled());
        self.see(plan)
    }
}

impl Create {
    /// How to see that it is there. It is looked for by its own tag alone, so that it is found again
    /// whether or not there was an answer.
    fn see(&self, plan: Plan) -> Result<Plan> {
        let tagged = || api::tagged(&format!("{RUN_TAG}:{RUN}"));
        let one = Expect::Count {
            list: "/droplets".to_owned(),
            like: Map::new(),
            count: 1,
        };
        let there = Check::ask("the droplet is there", tagged()?, one)
            .filled()
            .within(Duration::from_secs(60));
        let mut plan = plan
            .lookup(Check {
                within: 0,
                ..there.clone()
            })
            .after(there)
            .result("id", seen(0, "/droplets/0/id"));
        if !self.wait {
            return Ok(plan.result("status", seen(0, "/droplets/0/status")));
        }
        let id = seen(0, "/droplets/0/id");
        let made = Check::ask(
            "it has been made",
            api::newest_action(&id)?,
            Expect::field("/actions/0/status", "completed"),
        );
        // The action may be over a moment before the droplet shows it.
        let active = Check::ask(
            "it is active",
            api::droplet(&id)?,
            Expect::field("/droplet/status", "active"),
        );
        let addressed = Check::ask(
            "it has a public address",
            api::droplet(&id)?,
            Expect::Count {
                list: "/droplet/networks/v4".to_owned(),
                like: Map::from_iter([("type".to_owned(), json!("public"))]),
                count: 1,
            },
        );
        let ip = seen(3, "/droplet/networks/v4/type=public/ip_address");
        plan = plan
            .after(
                made.filled()
                    .within(PATIENCE)
                    .unless(Expect::field("/actions/0/status", "errored")),
            )
            .after(active.filled().within(Duration::from_secs(120)))
            .after(addressed.filled().within(Duration::from_secs(120)))
            .after(
                Check::reach(format!("port {} answers", self.port), &ip, self.port)
                    .filled()
                    .within(START),
            )
            .result("status", seen(2, "/droplet/status"))
            .result("ip", ip);
        Ok(plan)
    }
}

/// Nothing in the list of droplets.
fn none() -> Expect {
    Expect::Count {
        list: "/droplets".to_owned(),
        like: Map::new(),
        count: 0,
    }
}

/// Those with GPUs are only listed by themselves.
fn namesakes(name: &str) -> Result<Vec<medtainer_core::http::Request>> {
    ["droplets", "gpus"]
        .into_iter()
        .map(|kind| api::named(name, kind))
        .collect()
}

async fn refuse_second(cx: &Context, name: &str) -> Result<()> {
    for request in namesakes(name)? {
        let reply = cx.send(&DO, request).await?;
        let answer: Value = api::read(&reply, "a list of droplets")?;
        if let Some(first) = answer["droplets"].get(0) {
            let id = first["id"].to_string();
            return Err(Error::conflict(format!("there is a droplet `{name}` already"))
                .hint(format!(
                    "`medtainer do droplet {id}` shows it; choose another name, or delete it first."
                ))
                .details(json!({ "argument": "name", "id": id })));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if name.len() <= 255
        && ends(name.chars().next())
        && ends(name.chars().last())
        && name.chars().all(fits)
    {
        return Ok(());
    }
    Err(
        Error::usage(format!("`{name}` is not a name a droplet can have"))
            .hint("Use letters, digits, dots and dashes, with a letter or digit at both ends, as in `web-1.example.com`."),
    )
}

fn check_tags(tags: &[String]) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    for tag in tags {
        if tag.is_empty() || tag.len() > 255 || !tag.chars().all(fits) {
            return Err(
                Error::usage(format!("`{tag}` is not a tag DigitalOcean takes")).hint(
                    "Use letters, digits, colons, dashes and underscores, as in `--tag env:prod`.",
                ),
            );
        }
    }
    Ok(())
}

fn check_user_data(text: Option<&str>) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    if text.len() > LONGEST_USER_DATA {
        return Err(Error::usage(format!(
            "the user data has {} bytes, and DigitalOcean takes {LONGEST_USER_DATA}",
            text.len()
        ))
        .hint("Let it fetch the rest itself."));
    }
    // The request is filled in when it is sent, and this would be filled in too.
    let beginning = RUN.split('.').next().unwrap_or(RUN);
    if text.contains(&format!("{beginning}.")) {
        return Err(Error::usage(format!(
            "the user data holds `{beginning}.`, which means something else here"
        ))
        .hint("Write it another way, such as in two strings."));
    }
    Ok(())
}

/// What would be refused anyway, said before and with what to do.
fn fit_together(region: &Region, size: &Size, image: &Image) -> Result<()> {
    let slug = region.slug.as_deref().unwrap_or_default();
    let size_slug = size.slug.as_deref().unwrap_or_default();
    if region.available == Some(false) && !size.regions.iter().flatten().any(|known| known == slug)
    {
        return Err(
            Error::refused(format!("the region `{slug}` takes no new droplets"))
                .hint("`medtainer do regions` lists those that do."),
        );
    }
    if size.available == Some(false) {
        return Err(
            Error::refused(format!("the size `{size_slug}` cannot be had at present")).hint(
                format!("`medtainer do sizes --region {slug}` lists what can."),
            ),
        );
    }
    let lacks = |list: &Option<Vec<String>>| {
        list.as_ref()
            .is_some_and(|list| !list.iter().any(|known| known == slug))
    };
    if lacks(&size.regions) {
        return Err(Error::refused(format!(
            "the size `{size_slug}` is not available in `{slug}`"
        ))
        .hint(format!(
            "`medtainer do sizes --region {slug}` lists what is; the size is in {}.",
            listed(&size.regions)
        )));
    }
    let image_key = image.key().unwrap_or_default();
    if lacks(&image.regions) {
        return Err(Error::refused(format!(
            "the image `{image_key}` is not available in `{slug}`"
        ))
        .hint(format!("It is in {}.", listed(&image.regions))));
    }
    if let (Some(disk), Some(least)) = (size.disk, image.min_disk_size)
        && disk < least
    {
        return Err(Error::refused(format!(
            "the image `{image_key}` needs a disk of {least} GB, and `{size_slug}` has {disk}"
        ))
        .hint(format!(
            "`medtainer do sizes --region {slug}` lists larger ones."
        )));
    }
    Ok(())
}

fn listed(slugs: &Option<Vec<String>>) -> String {
    let slugs: Vec<_> = slugs
        .iter()
        .flatten()
        .map(|slug| format!("`{slug}`"))
        .collect();
    match slugs.as_slice() {
        [] => "no region".to_owned(),
        slugs => slugs.join(", "),
    }
}

/// The ids of SSH keys.
async fn keys(cx: &Context, given: &[String]) -> Result<Vec<u64>> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let known = lookup::fresh(cx, &collections::KEYS, &collections::KEY).await?;
    let known: Vec<Key> = known.iter().map(|record| Key::read(&record.data)).collect();
    let mut ids = Vec::new();
    for text in given {
        let text = text.trim();
        let fits = |key: &&Key| {
            key.id.is_some_and(|id| id.to_string() == text)
                || key.fingerprint.as_deref() == Some(text)
                || key
                    .name
                    .as_deref()
                    .is_some_and(|name| name.eq_ignore_ascii_case(text))
        };
        let meant: Vec<&Key> = known.iter().filter(fits).collect();
        match meant.as_slice() {
            [one] => ids.extend(one.id.filter(|id| !ids.contains(id))),
            [] => {
                let names = known.iter().filter_map(|key| key.name.as_deref());
                let list = "`medtainer do sync` fetches keys added just now.";
                let near = lookup::near(text, names);
                return Err(lookup::missing(
                    "ssh-key",
                    text,
                    near,
                    "in this account",
                    list,
                ));
            }
            many => {
                let label = |key: &&Key| json!({ "id": key.id, "label": key.fingerprint });
                let candidates: Vec<_> = many.iter().map(label).collect();
                return Err(Error::conflict(format!(
                    "`{text}` may be any of {} SSH keys",
                    many.len()
                ))
                .hint("Give the id or the fingerprint of the one you mean.")
                .details(json!({ "argument": "ssh-key", "candidates": candidates })));
            }
        }
    }
    Ok(ids)
}
