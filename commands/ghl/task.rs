use chrono::SecondsFormat;
use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Effect;
use medtainer_core::context::Context;
use medtainer_core::http::{Method, Request};
use medtainer_core::when::When;
use medtainer_core::writes::plan::{answer, seen};
use medtainer_core::writes::{Action, Check, Expect, Plan, Step, Target};
use medtainer_core::{Error, Kind};
use serde_json::{Map, Value, json};

use super::{GHL, api, store, types, who};

/// Create a follow-up task for a contact
///
/// WHO is an id, an e-mail address, a phone number, a name, a nickname or an alias you taught.
/// `medtainer undo` removes the task again, as long as nobody changed it.
#[derive(Debug, Args)]
pub struct Task {
    /// Who: id, e-mail address, phone number, name, nickname or alias
    #[arg(add = who::CANDIDATES)]
    who: String,

    /// What is to be done
    #[arg(long)]
    title: String,

    /// Until when, such as `fri 9am`, `in 3 days`, `2026-12-01 14:30`; a day alone means 17:00
    #[arg(long, value_name = "WHEN", default_value = "tomorrow")]
    due: When,

    /// The user in charge, by id, e-mail address or name
    #[arg(long, value_name = "USER")]
    assigned_to: Option<String>,

    /// More about it
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
}

impl Action for Task {
    const EFFECT: Effect = Effect::Write;
    const CATALOG: Option<&'static str> = Some("gohighlevel.create_task");

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let title = self.title.trim();
        if title.is_empty() {
            return Err(Error::usage("the title is empty")
                .hint("Say what is to be done: `--title \"Call back\"`."));
        }
        let id = who::surely(cx, "who", &self.who).await?;
        let name = name_of(cx, &id).await?;
        let user = match &self.assigned_to {
            Some(user) => Some(api::user(cx, user).await?),
            None => None,
        };
        let zone = cx.zone()?;
        let due = self.due.instant(cx.now(), zone);
        if due < cx.now() {
            return Err(Error::usage("the task would be due in the past")
                .hint("Give a moment to come with `--due`, such as `--due \"tomorrow 9am\"`."));
        }
        let list = || Request::new(Method::Get, "/contacts/{contactId}/tasks", &[&id]);
        let there = alike(&cx.send(&GHL, list()?).await?.text, title);
        let same = |count| Expect::Count {
            list: "/tasks".to_owned(),
            like: Map::from_iter([("title".to_owned(), title.into())]),
            count,
        };
        let mut body = json!({
            "title": title,
            "dueDate": due.to_rfc3339_opts(SecondsFormat::Secs, true),
            "completed": false,
        });
        if let Some(text) = &self.body {
            body["body"] = text.as_str().into();
        }
        if let Some((user, _)) = &user {
            body["assignedTo"] = user.as_str().into();
        }
        let one = "/contacts/{contactId}/tasks/{taskId}";
        let made = answer(0, "/task/id");
        let create =
            Request::new(Method::Post, "/contacts/{contactId}/tasks", &[&id])?.json(&body)?;
        let mut written = Expect::field("/task/title", title)
            .and("/task/completed", false)
            .and("/task/dueDate", body["dueDate"].clone());
        if let Some((user, _)) = &user {
            written = written.and("/task/assignedTo", user.as_str());
        }
        let mut plan = Plan::new(
            &GHL,
            format!("Create the task “{title}” for {name}"),
            Target {
                kind: "contact".to_owned(),
                id: id.clone(),
                name,
            },
        )
        .change("title", Value::Null, title)
        .change(
            "due",
            Value::Null,
            zone.clock(due).format("%a %Y-%m-%d %H:%M").to_string(),
        )
        .change("body", Value::Null, self.body.clone())
        .change("assigned to", Value::Null, user.map(|(_, name)| name))
        .before(Check::ask(
            "the contact has no further task of that title",
            list()?,
            same(there),
        ))
        .step(Step::new("create the task", create).undone_by(
            "remove the task",
            Request::new(Method::Delete, one, &[&id, &made])?,
        ))
        .after(
            Check::ask(
                "the task is there, open and as it was written",
                Request::new(Method::Get, one, &[&id, &made])?,
                written,
            )
            .filled()
            .within(std::time::Duration::from_secs(10)),
        )
        .lookup(Check::ask(
            "the contact has one more task of that title",
            list()?,
            same(there + 1),
        ))
        .touches("ghl.tasks")
        .result("task_id", seen(0, "/task/id"))
        .result("due", seen(0, "/task/dueDate"));
        if there > 0 {
            plan.warnings
                .push(format!("the contact already has {there} of that title"));
        }
        Ok(plan)
    }
}

/// How a person calls the contact.
async fn name_of(cx: &Context, id: &str) -> Result<String> {
    let stored = {
        let mut conn = cx.db().await?;
        store::contact(&mut conn, id).await?
    };
    let contact = match stored {
        Some(stored) if stored.deleted_at.is_some() => {
            return Err(Error::new(
                Kind::NotFound,
                "GoHighLevel does not have this contact any more",
            ));
        }
        Some(stored) => types::Contact::read(&stored.data),
        None => types::Contact::default(),
    };
    Ok(contact
        .full_name()
        .or(contact.email)
        .or(contact.phone)
        .unwrap_or_else(|| id.to_owned()))
}

fn alike(tasks: &str, title: &str) -> u64 {
    let tasks: Value = serde_json::from_str(tasks).unwrap_or_default();
    let tasks = tasks["tasks"].as_array();
    tasks.map_or(0, |tasks| {
        tasks.iter().filter(|task| task["title"] == title).count() as u64
    })
}
