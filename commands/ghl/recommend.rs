pub(super) mod rules;

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::command::{Command, Effect};
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::Range;
use medtainer_core::when::When;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::collections::sources::{self, Sources};
use super::store::advice::{self, Candidate, RULES};

/// Say what to do next: ranked, each with its evidence and the command that does it
///
/// Rules, no guesses: questions nobody answered, overdue tasks, deals that are stuck or silent, new contacts
/// nobody wrote to, appointments, duplicates. What you dismiss stays away until what it rests on changes.
#[derive(Debug, Args)]
pub struct Recommend {
    /// At most this many, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=100), add = Range { min: 1, max: 100 })]
    limit: u32,

    /// Let this one stay away until a moment to come
    #[arg(
        long,
        value_name = "ID",
        requires = "until",
        conflicts_with = "restore"
    )]
    snooze: Option<String>,

    /// Until when, such as `fri 9am` or `in 3 days`
    #[arg(long, value_name = "WHEN", requires = "snooze")]
    until: Option<When>,

    /// Let this one stay away for as long as it rests on the same
    #[arg(long, value_name = "ID", conflicts_with_all = ["snooze", "restore"])]
    dismiss: Option<String>,

    /// Let this one, dismissed or snoozed, come back
    #[arg(long, value_name = "ID")]
    restore: Option<String>,
}

/// Something to do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Advice {
    id: String,
    /// The sum of `terms`
    score: i64,
    terms: Vec<Term>,
    what: String,
    contact_id: String,
    evidence: Vec<Evidence>,
    /// Does it; with `--body -` the text comes from standard input
    command: String,
    #[serde(skip)]
    seal: Option<String>,
}

/// A part of a score.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Term {
    pub(super) term: &'static str,
    /// Null: not known
    pub(super) points: Option<i64>,
    pub(super) because: String,
}

/// A row that says so.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Evidence {
    pub(super) table: &'static str,
    pub(super) id: String,
    pub(super) says: String,
}

impl Row for Advice {
    const COLUMNS: &'static [Column] = &[
        Column::id("id", "id"),
        Column::number("score", "score"),
        Column::prose("what", "what"),
        Column::prose("command", "command"),
    ];
}

impl Command for Recommend {
    type Output = Page<Advice>;
    // What is dismissed is remembered here; the provider never hears of it.
    const EFFECT: Effect = Effect::Local;
    const CATALOG: Option<&'static str> = Some("gohighlevel.get_recommendations");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let known = sources::read(cx, &sources::ALL).await?;
        let now = cx.now();
        if let Some(id) = &self.restore {
            let mut conn = cx.db().await?;
            if !advice::restore(&mut conn, id).await? {
                return Err(Error::not_found(format!("`{id}` was not dismissed"))
                    .hint("An id is as `medtainer ghl recommend` told it."));
            }
        }
        let mut all = all(cx, &known, now).await?;
        if let Some(id) = self.dismiss.as_ref().or(self.snooze.as_ref()) {
            let place = all.iter().position(|advice| advice.id == *id);
            let Some(place) = place else {
                return Err(Error::not_found(format!(
                    "nothing of the id `{id}` is recommended now"
                ))
                .hint("`medtainer ghl recommend --limit 100` lists what is."));
            };
            let until = match self.until {
                Some(until) => Some(until.instant(now, cx.zone()?)),
                None => None,
            };
            if until.is_some_and(|until| until <= now) {
                return Err(Error::usage("that moment has passed")
                    .hint("Give a moment to come with `--until`, such as `--until \"mon 9am\"`."));
            }
            let advice = all.remove(place);
            let mut conn = cx.db().await?;
            advice::dismiss(&mut conn, id, now, until, advice.seal.as_deref()).await?;
        }
        let more = all.len() > self.limit as usize;
        all.truncate(self.limit as usize);
        let mut page = Page::whole(all);
        page.complete = !more;
        Ok(page)
    }
}

/// Everything that is recommended now, the most urgent first.
async fn all(cx: &Context, known: &Sources, now: DateTime<Utc>) -> Result<Vec<Advice>> {
    let mut found: Vec<Advice> = Vec::new();
    let deals_known = known.has(&["ghl.opportunities"]);
    for rule in RULES {
        if !known.has(rule.needs) {
            cx.note_partial();
            let missing: Vec<_> = rule
                .needs
                .iter()
                .filter(|name| !known.has(&[name]))
                .copied()
                .collect();
            cx.warn(format!(
                "{} is not known: {} never fetched",
                rule.finds,
                match missing.as_slice() {
                    [one] => format!("{one} was"),
                    several => format!("{} were", several.join(", ")),
                }
            ));
            continue;
        }
        let mut conn = cx.db().await?;
        let candidates = rule.candidates(&mut conn, now).await?;
        found.extend(
            candidates
                .iter()
                .filter_map(|candidate| rules::judge(candidate, now, deals_known)),
        );
    }
    // Equal ones in an order that stays.
    found.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    Ok(found)
}

impl Advice {
    fn new(candidate: &Candidate, what: String, terms: Vec<Term>, command: String) -> Advice {
        Advice {
            id: format!("{}:{}", candidate.kind, candidate.subject),
            score: terms.iter().filter_map(|term| term.points).sum(),
            terms,
            what,
            contact_id: candidate.contact_id.clone(),
            evidence: Vec::new(),
            command,
            seal: candidate.evidence.clone(),
        }
    }
}
