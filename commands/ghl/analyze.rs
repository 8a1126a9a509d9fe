mod page;
mod score;

use chrono::{DateTime, Duration, Utc};
use clap::Args;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Output, View};
use medtainer_core::{Error, Kind, Result, people};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::collections::of_contact::{self, Known};
use super::collections::{deals, sources};
use super::lessons::{self, Taught};
use super::recommend::Term;
use super::store::portrait::{self, Appointment, Deal, Portrait, Task};
use super::store::timeline::{self, Event};
use super::{lookup, store, types, who};

/// Show one page on a contact: score with its terms, deals, tasks, gaps, timeline
///
/// The score says how much a contact deserves attention, out of a hundred points whose terms are shown. What
/// was never fetched has no points, and the most there can be is less by it.
#[derive(Debug, Args)]
pub struct Analyze {
    /// Who: id, e-mail address, phone number, name, nickname or alias
    #[arg(add = who::CANDIDATES)]
    who: String,
}

/// One page on a contact.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Analysis {
    /// For a person
    text: String,
    id: String,
    name: Option<String>,
    company: Option<String>,
    /// The sum of `terms`
    score: i64,
    /// The most the known terms could have had
    out_of: i64,
    terms: Vec<Term>,
    /// Null: deals are not known
    deals: Option<Vec<Deal>>,
    #[schemars(with = "Option<String>")]
    open_value: Option<Decimal>,
    #[schemars(with = "Option<String>")]
    won_value: Option<Decimal>,
    /// Open ones
    tasks: Option<Vec<Task>>,
    /// Those to come
    appointments: Option<Vec<Appointment>>,
    last_inbound_at: Option<DateTime<Utc>>,
    last_outbound_at: Option<DateTime<Utc>>,
    /// Mean time to our answers
    answer_hours: Option<f64>,
    /// Since when a question of theirs has no answer
    waiting_since: Option<DateTime<Utc>>,
    gaps: Vec<&'static str>,
    duplicates: Vec<Duplicate>,
    context: Option<Taught>,
    /// The newest; `ghl history` has all
    timeline: Vec<Event>,
    sources: Vec<Known>,
}

/// A contact that may be the same.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Duplicate {
    id: String,
    label: Option<String>,
    because: String,
}

impl Output for Analysis {
    fn view() -> View {
        View::Text
    }
}

/// Since when messages count as recent.
const LATELY: Duration = Duration::days(90);

/// How many events the page shows.
const EVENTS: u32 = 10;

impl Command for Analyze {
    type Output = Analysis;
    const CATALOG: Option<&'static str> = Some("gohighlevel.analyze_contact");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let id = who::find(cx, &self.who).await?;
        let parts = of_contact::refresh(cx, &id).await?;
        let (source, as_of) = cx.noted();
        let synced = match sources::read(cx, &[&deals::OPPORTUNITIES]).await {
            Ok(synced) => synced,
            Err(error) if cx.wants_live() => return Err(error),
            // The reader has been told.
            Err(_) => sources::Sources::default(),
        };
        // As old as the older of the two.
        let (deals_source, deals_as_of) = cx.noted();
        if let Some(source) = source.max(deals_source) {
            cx.note_source(source, as_of.min(deals_as_of));
        }
        // Fetched for this contact, or with those of everybody.
        let known = |part: &str, collection: &str| {
            let mut own = parts.iter().filter(|known| known.part == part);
            own.any(|known| known.as_of.is_some()) || synced.has(&[collection])
        };
        let facts = score::Facts {
            deals: synced.has(&["ghl.opportunities"]),
            messages: known("messages", "ghl.messages"),
            tasks: known("tasks", "ghl.tasks"),
            appointments: known("appointments", "ghl.appointments"),
        };

        let now = cx.now();
        let mut conn = cx.db().await?;
        let stored = store::contact(&mut conn, &id).await?.ok_or_else(|| {
            Error::not_found(format!("no contact `{id}`"))
                .hint("`medtainer ghl search` finds people by name.")
        })?;
        if stored.deleted_at.is_some() {
            cx.warn("GoHighLevel does not have this contact any more; this is what was known");
        }
        let portrait = portrait::of(&mut conn, &id, now, now - LATELY).await?;
        let context = lessons::taught(&mut conn, &id).await?;
        let mut timeline = timeline::page(&mut conn, &id, None, None, EVENTS).await?;
        timeline.truncate(EVENTS as usize);
        let contact = types::acts::Contact::read(&stored.data);
        let duplicates = duplicates(&mut conn, &id, &contact, &portrait).await?;

        let (terms, out_of) = score::terms(&contact, &portrait, context.as_ref(), &facts, now);
        let gaps = gaps(&contact, &portrait, &facts);
        let Portrait {
            talk,
            replies,
            worth,
            ..
        } = &portrait;
        let messages = |at: Option<DateTime<Utc>>| at.filter(|_| facts.messages);
        let mut analysis = Analysis {
            text: String::new(),
            name: contact.contact.full_name(),
            company: contact.contact.company_name.clone(),
            score: terms.iter().filter_map(|term| term.points).sum(),
            out_of,
            terms,
            open_value: facts.deals.then(|| worth.open_value.unwrap_or_default()),
            won_value: facts.deals.then(|| worth.won_value.unwrap_or_default()),
            last_inbound_at: messages(talk.last_in),
            last_outbound_at: messages(talk.last_out),
            answer_hours: replies
                .seconds
                .filter(|_| facts.messages)
                .map(|seconds| (seconds / 360.0).round() / 10.0),
            waiting_since: messages(replies.waiting_since),
            deals: facts.deals.then_some(portrait.deals),
            tasks: facts.tasks.then_some(portrait.tasks),
            appointments: facts.appointments.then_some(portrait.appointments),
            gaps,
            duplicates,
            context,
            timeline: timeline.into_iter().map(page::brief).collect(),
            sources: parts,
            id,
        };
        analysis.text = page::text(&analysis, &contact, now, cx.zone()?);
        Ok(analysis)
    }
}

/// What is missing for working with the contact.
fn gaps(
    contact: &types::acts::Contact,
    portrait: &Portrait,
    facts: &score::Facts,
) -> Vec<&'static str> {
    let it = &contact.contact;
    let next = portrait.tasks.iter().any(|task| !task.overdue) || !portrait.appointments.is_empty();
    let mut gaps = Vec::new();
    for (missing, gap) in [
        (it.full_name().is_none(), "no name"),
        (it.email.is_none(), "no e-mail address"),
        (it.phone.is_none(), "no phone number"),
        (it.source.is_none(), "no source"),
        (it.assigned_to.is_none(), "nobody in charge"),
        (contact.mail_is_unwanted(), "wants no e-mail"),
        (
            facts.deals && facts.tasks && facts.appointments && portrait.worth.open > 0 && !next,
            "an open deal, and nothing planned",
        ),
    ] {
        if missing {
            gaps.push(gap);
        }
    }
    gaps
}

/// How near a namesake has to be: the whole name, letter by letter, or as good as that.
const NEAR: f64 = 0.85;

/// Who shares an address or a number, and namesakes that have something else in common.
async fn duplicates(
    conn: &mut sqlx::PgConnection,
    id: &str,
    contact: &types::acts::Contact,
    portrait: &Portrait,
) -> Result<Vec<Duplicate>> {
    let mut found: Vec<Duplicate> = Vec::new();
    for same in &portrait.same {
        let because = format!("the same {}", same.kind);
        match found.iter_mut().find(|one| one.id == same.id) {
            Some(one) => one.because = format!("{}, {because}", one.because),
            None => found.push(Duplicate {
                id: same.id.clone(),
                label: same.label.clone(),
                because,
            }),
        }
    }
    let Some(name) = contact
        .contact
        .full_name()
        .filter(|name| name.contains(' '))
    else {
        return Ok(found);
    };
    let hits = match people::search(conn, &name, 10).await {
        Ok(hits) => hits,
        // A name too long to be searched for is nobody else's.
        Err(error) if error.kind() == Kind::Usage => Vec::new(),
        Err(error) => return Err(error),
    };
    let near: Vec<String> = hits
        .into_iter()
        .filter(|hit| hit.score >= NEAR && hit.id != id && found.iter().all(|one| one.id != hit.id))
        .map(|hit| hit.id)
        .collect();
    let it = &contact.contact;
    let same = |a: &Option<String>, b: &Option<String>| {
        a.as_ref()
            .zip(b.as_ref())
            .is_some_and(|(a, b)| a.to_lowercase() == b.to_lowercase())
    };
    for line in lookup::lines(conn, &near).await? {
        let because = if same(&line.company, &it.company_name) {
            "a near name at the same company"
        } else if line.email.is_none() && line.phone.is_none() {
            "a near name, and no address or number of its own"
        } else {
            continue;
        };
        found.push(Duplicate {
            id: line.id,
            label: line.name,
            because: because.to_owned(),
        });
    }
    Ok(found)
}
