use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use clap::Args;
use medtainer_core::command::Command;
use medtainer_core::complete::Candidates;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::Range;
use medtainer_core::{Kind, Result};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;

use super::GHL;
use super::collections::deals as feeds;
use super::store::deals::{self, Waiting};
use super::store::rollups::{self, NEVER, NO_DAY, Total};
use super::types::crm;

/// Show each stage of a pipeline: deals, value, age, conversion, and what is stuck
///
/// Conversion is of the deals that our own syncs saw leave the stage: moved on or won, out of all.
#[derive(Debug, Args)]
pub struct Pipeline {
    /// Only this pipeline, by name or id
    #[arg(add = CANDIDATES)]
    name: Option<String>,

    /// Days in its stage after which a deal is stuck
    #[arg(long, value_name = "DAYS", default_value_t = 14,
          value_parser = clap::value_parser!(u32).range(1..=3650), add = Range { min: 1, max: 3650 })]
    stuck_days: u32,

    /// Show the rows and the formula behind each figure
    #[arg(long)]
    explain: bool,
}

/// A stage and its open deals.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StageRow {
    /// The stage's
    id: String,
    pipeline_id: String,
    pipeline: Option<String>,
    stage: Option<String>,
    deals: i64,
    #[schemars(with = "String")]
    value: Decimal,
    /// Mean days in this stage so far
    average_days: Option<f64>,
    /// Mean days of those that left it
    usual_days: Option<f64>,
    /// Of those that left it, the part that moved on or was won
    conversion: Option<f64>,
    /// How many left it in either way
    decided: i64,
    stuck: i64,
    #[schemars(with = "String")]
    stuck_value: Decimal,
    /// Three of the stuck ones
    longest: Vec<Waiting>,
    won: i64,
    lost: i64,
    abandoned: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Vec<String>>,
}

impl Row for StageRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("pipeline", "pipeline"),
        Column::text("stage", "stage"),
        Column::number("deals", "deals"),
        Column::number("value", "value"),
        Column::number("days", "average_days"),
        Column::number("conversion", "conversion"),
        Column::number("stuck", "stuck"),
        Column::number("stuck value", "stuck_value"),
        Column::asked("how", "explain"),
    ];
}

/// How many deals must have left a stage before a rate says anything.
const ENOUGH: i64 = 10;

/// How many of the longest waiting of a pipeline are looked at.
const LOOKED_AT: i64 = 100;

/// How many of them a stage shows.
const SHOWN: usize = 3;

impl Command for Pipeline {
    type Output = Page<StageRow>;
    const CATALOG: Option<&'static str> = Some("gohighlevel.pipeline_digest");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        names(cx).await?;
        cx.read_through(&GHL, &feeds::OPPORTUNITIES).await?;
        let mut conn = cx.db().await?;
        let mut pipelines = deals::pipelines(&mut conn).await?;
        let figures = Figures::read(&mut conn, cx.now(), self.stuck_days).await?;
        match &self.name {
            Some(name) => {
                let name = cx.chosen("name", name);
                let one = deals::named(&pipelines, "pipeline", name, |p| &p.id, |p| &p.name);
                pipelines = vec![one.map_err(renamed)?.clone()];
            }
            None => pipelines.extend(figures.strangers(&pipelines)),
        }
        let mut rows = Vec::new();
        for pipeline in &pipelines {
            let waiting =
                deals::longest(&mut conn, &pipeline.id, figures.stuck_before(), LOOKED_AT).await?;
            for place in 0..pipeline.stages.len() {
                rows.push(figures.stage(pipeline, place, &waiting, self.explain));
            }
        }
        if rows.iter().any(|row| row.conversion.is_none()) {
            let since = deals::history_since(&mut conn).await?;
            cx.warn(match since {
                Some(since) => format!(
                    "conversion is known of stages that at least {ENOUGH} deals were seen to leave; GoHighLevel keeps no history, ours begins on {}",
                    since.date_naive()
                ),
                None => "conversion is not known yet: GoHighLevel keeps no history of stages, and no sync has seen a deal move so far".to_owned(),
            });
        }
        Ok(Page::whole(rows))
    }
}

// The argument is called `name`, whatever the thing is.
fn renamed(error: medtainer_core::Error) -> medtainer_core::Error {
    let Some(mut details) = error.details_value().cloned() else {
        return error;
    };
    details["argument"] = "name".into();
    error.details(details)
}

/// Brings the names of pipelines and stages up to date; without them there still are figures.
async fn names(cx: &Context) -> Result<()> {
    match cx.read_through(&GHL, &feeds::PIPELINES).await {
        Err(error) if matches!(error.kind(), Kind::Auth | Kind::Refused) => {
            cx.note_partial();
            cx.warn(format!(
                "the names of pipelines and stages could not be read: {}",
                error.message()
            ));
            Ok(())
        }
        done => done,
    }
}

/// What the rollups say.
struct Figures {
    now: DateTime<Utc>,
    stuck_days: u32,
    /// By stage and status.
    stages: Vec<Total>,
    /// By stage: how long those have been there whose entry is known.
    ages: HashMap<String, Total>,
    /// By stage: those that came too lately to be stuck.
    young: HashMap<String, Total>,
    /// By stage left, stage entered, status.
    exits: Vec<Total>,
    times: HashMap<String, Total>,
}

impl Figures {
    async fn read(conn: &mut PgConnection, now: DateTime<Utc>, stuck_days: u32) -> Result<Figures> {
        let by_stage = |totals: Vec<Total>| {
            let totals = totals.into_iter();
            totals.map(|total| (total.b.clone(), total)).collect()
        };
        let mut figures = Figures {
            now,
            stuck_days,
            stages: rollups::totals(conn, "deal.stage", NO_DAY, NEVER).await?,
            ages: by_stage(rollups::totals(conn, "deal.age", NO_DAY, NEVER).await?),
            young: HashMap::new(),
            exits: rollups::totals(conn, "stage.exit", NO_DAY, NEVER).await?,
            times: HashMap::new(),
        };
        let young = rollups::totals(conn, "deal.entered", figures.first_young(), NEVER).await?;
        figures.young = by_stage(young);
        let times = rollups::totals(conn, "stage.time", NO_DAY, NEVER).await?;
        figures.times = times
            .into_iter()
            .map(|total| (total.a.clone(), total))
            .collect();
        Ok(figures)
    }

    /// Whoever came into a stage on this day or later is not stuck.
    fn first_young(&self) -> NaiveDate {
        let days = Days::new(u64::from(self.stuck_days).saturating_sub(1));
        self.now
            .date_naive()
            .checked_sub_days(days)
            .unwrap_or(NO_DAY)
    }

    fn stuck_before(&self) -> DateTime<Utc> {
        self.first_young().and_time(NaiveTime::MIN).and_utc()
    }

    /// Pipelines and stages that deals are in and the list of pipelines does not have.
    fn strangers(&self, known: &[crm::Pipeline]) -> Vec<crm::Pipeline> {
        let mut strangers: Vec<crm::Pipeline> = Vec::new();
        for total in self.stages.iter().filter(|total| total.c == "open") {
            let mut stages = known
                .iter()
                .filter(|pipeline| pipeline.id == total.a)
                .chain(&strangers)
                .flat_map(|pipeline| &pipeline.stages);
            if stages.any(|stage| stage.id == total.b) {
                continue;
            }
            strangers.push(crm::Pipeline {
                id: total.a.clone(),
                name: String::new(),
                stages: vec![crm::Stage {
                    id: total.b.clone(),
                    name: String::new(),
                    position: None,
                }],
            });
        }
        strangers
    }

    fn stage(
        &self,
        pipeline: &crm::Pipeline,
        place: usize,
        waiting: &[Waiting],
        explain: bool,
    ) -> StageRow {
        let stage = &pipeline.stages[place];
        let of = |status: &str| {
            let mut totals = self.stages.iter();
            totals.find(|total| total.a == pipeline.id && total.b == stage.id && total.c == status)
        };
        let count = |status| of(status).map_or(0, |total| total.count);
        let open = of("open");
        let age = self.ages.get(&stage.id);
        let known = age.map_or(0, |age| age.count);
        let young = self.young.get(&stage.id);
        let young_count = young.map_or(0, |young| young.count);
        let average_days = age
            .and_then(|age| rollups::average_age(age, self.now))
            .map(|age| rounded(age.num_seconds() as f64 / 86_400.0));

        let exits = self.exits.iter().filter(|exit| exit.a == stage.id);
        let mut moved = 0;
        let mut fell = 0;
        for exit in exits.clone() {
            let ahead = pipeline.stages[place + 1..]
                .iter()
                .any(|later| later.id == exit.b);
            match &*exit.c {
                "won" => moved += exit.count,
                "lost" | "abandoned" => fell += exit.count,
                _ if ahead => moved += exit.count,
                _ => {}
            }
        }
        let decided = moved + fell;
        let conversion =
            (decided >= ENOUGH).then(|| (moved as f64 / decided as f64 * 1000.0).round() / 1000.0);
        let time = self.times.get(&stage.id);
        let usual_days = time
            .filter(|time| time.count >= ENOUGH)
            .and_then(|time| (time.seconds / Decimal::from(time.count)).to_f64())
            .map(|seconds| rounded(seconds / 86_400.0));

        let explain = explain.then(|| {
            let mut how = vec![format!(
                "deals and value: rows of ghl_opportunities in this stage that are open: {}, in sum {}",
                count("open"),
                money(open.map_or(Decimal::ZERO, |open| open.value))
            )];
            how.push(match average_days {
                Some(days) => format!(
                    "days: now less the mean stage_changed_at of {known} of them, {days}"
                ),
                None => "days: unknown, no open deal here tells when it came".to_owned(),
            });
            how.push(format!(
                "stuck: {known} whose time of entry is known, less {young_count} that came on {} or later",
                self.first_young()
            ));
            how.push(format!(
                "conversion: {moved} moved on or won / ({moved} + {fell} lost or abandoned), rows of ghl_stage_changes; from {ENOUGH} on"
            ));
            how.push(format!(
                "usual days: mean of changed_at less entered_at of {} rows of ghl_stage_changes; from {ENOUGH} on",
                time.map_or(0, |time| time.count)
            ));
            how
        });
        let value = |total: Option<&Total>| total.map_or(Decimal::ZERO, |total| total.value);
        let stuck_value = value(age) - value(young);
        StageRow {
            id: stage.id.clone(),
            pipeline_id: pipeline.id.clone(),
            pipeline: Some(pipeline.name.clone()).filter(|name| !name.is_empty()),
            stage: Some(stage.name.clone()).filter(|name| !name.is_empty()),
            deals: count("open"),
            value: money(value(open)),
            average_days,
            usual_days,
            conversion,
            decided,
            stuck: known - young_count,
            stuck_value: money(stuck_value),
            longest: waiting
                .iter()
                .filter(|deal| deal.stage_id.as_deref() == Some(&*stage.id))
                .take(SHOWN)
                .cloned()
                .collect(),
            won: count("won"),
            lost: count("lost"),
            abandoned: count("abandoned"),
            explain,
        }
    }
}

/// A sum of money with as many decimals as it needs, two at least.
fn money(sum: Decimal) -> Decimal {
    let mut sum = sum.normalize();
    if sum.scale() < 2 {
        sum.rescale(2);
    }
    sum
}

fn rounded(days: f64) -> f64 {
    (days * 10.0).round() / 10.0
}

/// Names of pipelines from the cache.
const CANDIDATES: Candidates = Candidates::new(|conn, typed, most| {
    Box::pin(async move {
        let pipelines = deals::pipelines(conn).await?;
        let typed = typed.to_lowercase();
        Ok(pipelines
            .into_iter()
            .filter(|pipeline| pipeline.name.to_lowercase().starts_with(&typed))
            .take(most)
            .map(|pipeline| {
                let stages = format!("{} stages", pipeline.stages.len());
                (pipeline.name, stages)
            })
            .collect())
    })
});
