mod findings;
mod health;
mod service;

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use clap::Args;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::Moment;
use medtainer_core::{Error, Result};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::collections::sources::{self, Sources};
use super::recommend::{Evidence, Term};
use super::store::figures::{self, Duplicates, Of, Spanned};
use super::store::rollups::{NEVER, NO_DAY};

/// Show patterns with their evidence: growth, sources, response, silence, gaps
///
/// Each figure is of the days since `--since`, today included, beside as many days before them. Days are
/// counted in UTC. What was never fetched is null, not 0.
#[derive(Debug, Args)]
pub struct Insights {
    /// From which day on
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: Moment,

    /// Show the rows and the formula behind each figure
    #[arg(long)]
    explain: bool,
}

/// A pattern.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Insight {
    id: &'static str,
    finding: String,
    /// Null: not known
    figure: Option<f64>,
    unit: &'static str,
    /// The same of the days before
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<f64>,
    /// Their points add up to the figure
    #[serde(skip_serializing_if = "Vec::is_empty")]
    terms: Vec<Term>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Vec<String>>,
}

impl Row for Insight {
    const COLUMNS: &'static [Column] = &[
        Column::text("id", "id"),
        Column::prose("finding", "finding"),
        Column::asked("how", "explain"),
    ];
}

impl Command for Insights {
    type Output = Page<Insight>;
    const CATALOG: Option<&'static str> = Some("gohighlevel.get_insights");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let now = cx.now();
        let start = self.since.instant(now).date_naive();
        let days = (now.date_naive() - start).num_days() + 1;
        if !(1..=3_660).contains(&days) {
            return Err(Error::usage("`--since` is a day of the last ten years")
                .hint("Give a date such as `2026-01-01`, or how long ago, such as `30d`."));
        }
        let known = sources::read(cx, &sources::ALL).await?;
        let figures = Figures::read(cx, known, now, start, days).await?;
        let mut found = findings::all(&figures);
        found.push(health::of_list(&figures));
        if !self.explain {
            found.iter_mut().for_each(|insight| insight.explain = None);
        }
        for collection in figures.missing() {
            cx.note_partial();
            cx.warn(format!(
                "{} is not known: {collection} was never fetched completely",
                collection.trim_start_matches("ghl.")
            ));
        }
        Ok(Page::whole(found))
    }
}

/// After how many days in its stage a deal counts as stuck: as in `ghl pipeline`.
const STUCK_DAYS: i64 = 14;

/// After how many days without a message a conversation counts as silent.
const SILENT_DAYS: i64 = 30;

/// The collections that figures are made of.
const COLLECTIONS: [&str; 6] = [
    "ghl.contacts",
    "ghl.opportunities",
    "ghl.conversations",
    "ghl.messages",
    "ghl.tasks",
    "ghl.appointments",
];

/// What was counted.
struct Figures {
    known: Sources,
    days: i64,
    start: NaiveDate,
    /// Of the period and of the one before it.
    period: Vec<Spanned>,
    /// Of everything there is.
    stock: Vec<Spanned>,
    /// Late: the last message is not older than [`SILENT_DAYS`].
    talk: Vec<Spanned>,
    /// Late: due today or later.
    tasks: Vec<Spanned>,
    /// Late: came into their stage less than [`STUCK_DAYS`] ago.
    entered: Vec<Spanned>,
    duplicates: Vec<Duplicates>,
    examples: Vec<(Of, Vec<figures::Example>)>,
}

impl Figures {
    async fn read(
        cx: &Context,
        known: Sources,
        now: DateTime<Utc>,
        start: NaiveDate,
        days: i64,
    ) -> Result<Figures> {
        let today = now.date_naive();
        let ago = |days: i64| today - Duration::days(days);
        let first = NO_DAY + Duration::days(1);
        let before = today + Duration::days(1);
        let conn = &mut *cx.db().await?;
        let period = [
            "contact.added",
            "deal.created",
            "deal.closed",
            "message.sent",
            "reply.asked",
            "appointment.start",
        ];
        let stock = [
            "contact.gap",
            "deal.source",
            "deal.age",
            "conversation.unread",
        ];
        let since = start.and_time(NaiveTime::MIN).and_utc();
        let stuck_before = ago(STUCK_DAYS - 1).and_time(NaiveTime::MIN).and_utc();
        let mut examples = Vec::new();
        for (of, at) in [
            (Of::Waiting, since),
            (Of::Overdue, today.and_time(NaiveTime::MIN).and_utc()),
            (Of::Stuck, stuck_before),
            (Of::Same, now),
        ] {
            examples.push((of, figures::examples(conn, of, at).await?));
        }
        Ok(Figures {
            known,
            days,
            start,
            period: figures::spans(conn, &period, start - Duration::days(days), start, before)
                .await?,
            stock: figures::spans(conn, &stock, NO_DAY, NO_DAY, first).await?,
            talk: figures::spans(conn, &["conversation.last"], first, ago(SILENT_DAYS), NEVER)
                .await?,
            tasks: figures::spans(conn, &["task.due"], first, today, NEVER).await?,
            entered: figures::spans(
                conn,
                &["deal.entered"],
                ago(STUCK_DAYS - 1),
                ago(STUCK_DAYS - 1),
                NEVER,
            )
            .await?,
            duplicates: figures::duplicates(conn).await?,
            examples,
        })
    }

    /// The collections of which nothing is known.
    fn missing(&self) -> impl Iterator<Item = &'static str> {
        COLLECTIONS
            .into_iter()
            .filter(|name| !self.known.has(&[name]))
    }

    fn examples(&self, of: Of) -> Vec<Evidence> {
        let is = |kind: &Of| std::mem::discriminant(kind) == std::mem::discriminant(&of);
        let rows = self
            .examples
            .iter()
            .filter(|(kind, _)| is(kind))
            .flat_map(|(_, rows)| rows);
        rows.map(|row| {
            let who = row.who.as_deref().unwrap_or("without a name");
            Evidence {
                table: match of {
                    Of::Waiting => "ghl_messages",
                    Of::Overdue => "ghl_tasks",
                    Of::Stuck => "ghl_opportunities",
                    Of::Same => "contacts",
                },
                id: row.id.clone(),
                says: match row.at {
                    Some(at) => format!("{who}, since {}", at.date_naive()),
                    None => who.to_owned(),
                },
            }
        })
        .collect()
    }
}

/// Sums of what holds.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: i64,
    value: Decimal,
    seconds: Decimal,
}

fn sum<'a>(rows: impl IntoIterator<Item = &'a Spanned>, holds: impl Fn(&Spanned) -> bool) -> Sum {
    let mut sum = Sum::default();
    for row in rows.into_iter().filter(|row| holds(row)) {
        sum.count += row.count;
        sum.value += row.value;
        sum.seconds += row.seconds;
    }
    sum
}
