use clap::Args;
use medtainer_core::command::Effect;
use medtainer_core::context::Context;
use medtainer_core::writes::{Action, Check, Expect, Plan, Step, Target};
use medtainer_core::{Error, Kind, Result};
use serde_json::json;

use super::api::acts;
use super::store::deals;
use super::types::acts::Deal;
use super::types::crm::Pipeline;
use super::{GHL, lookup, types, who};

/// Move a deal to another stage of its pipeline
///
/// DEAL is the id of an opportunity, or its contact, as people name them, who then must have one open deal.
#[derive(Debug, Args)]
pub struct Move {
    /// Which deal: its id, or its contact
    #[arg(add = who::CANDIDATES)]
    deal: String,

    /// To which stage of its pipeline: name or id
    stage: String,

    /// Only when it is in this stage now: name or id
    #[arg(long, value_name = "STAGE")]
    if_stage: Option<String>,
}

impl Action for Move {
    const EFFECT: Effect = Effect::Write;
    const CATALOG: Option<&'static str> = Some("gohighlevel.update_pipeline_stage");

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let deal = find(cx, &self.deal).await?;
        let (id, pipeline_id) = (some(&deal.id, "id")?, some(&deal.pipeline_id, "pipeline")?);
        let old_id = some(&deal.pipeline_stage_id, "stage")?;
        let pipelines = acts::fetch_pipelines(cx).await?;
        let pipeline = pipelines
            .iter()
            .find(|pipeline| pipeline.id == pipeline_id)
            .ok_or_else(|| {
                Error::not_found("the pipeline of this deal is not there any more")
                    .hint("Look at the deal in GoHighLevel itself.")
            })?;
        let new_id = stage(cx, &pipelines, pipeline, "stage", &self.stage)?;
        let old = name(pipeline, old_id);
        if let Some(wanted) = &self.if_stage {
            let wanted = stage(cx, &pipelines, pipeline, "if_stage", wanted)?;
            if wanted != old_id {
                return Err(Error::conflict(format!(
                    "the deal is in `{old}`, no longer in `{}`: nothing was sent",
                    name(pipeline, wanted)
                ))
                .details(json!({ "stage": { "id": old_id, "name": old } })));
            }
        }
        let new = name(pipeline, new_id);
        let called = deal.name.as_deref().unwrap_or(id);
        let target = Target {
            kind: "opportunity".to_owned(),
            id: id.to_owned(),
            name: called.to_owned(),
        };
        let mut plan = Plan::new(&GHL, format!("Move “{called}” to {new}"), target)
            .change("stage", old, new)
            .touches("ghl.opportunities");
        if old_id == new_id {
            return Ok(plan);
        }
        if let Some(status) = deal.status.as_deref().filter(|status| *status != "open") {
            plan.warnings.push(format!("this deal is {status} already"));
        }
        let is_in = |stage: &str, name: &str| -> Result<Check> {
            Ok(Check::ask(
                format!("the deal is in {name}"),
                acts::deal(id)?,
                Expect::field("/opportunity/pipelineId", pipeline_id)
                    .and("/opportunity/pipelineStageId", stage),
            ))
        };
        let step = Step::new(
            format!("move the deal to {new}"),
            acts::move_deal(id, pipeline_id, new_id)?,
        )
        .undone_by(
            format!("move the deal back to {old}"),
            acts::move_deal(id, pipeline_id, old_id)?,
        );
        Ok(plan
            .before(is_in(old_id, old)?)
            .step(step)
            .after(is_in(new_id, new)?.within(std::time::Duration::from_secs(10))))
    }
}

/// The deal that is meant, as it is now: by its id, or the one open deal of the contact that is meant.
async fn find(cx: &Context, given: &str) -> Result<Deal> {
    let named = cx.chosen("deal", given).trim();
    if named.is_empty() {
        return Err(Error::usage("DEAL is empty").hint("Give the id of a deal, or its contact."));
    }
    let contact = match who::known_as(cx, "deal", named).await? {
        Some(contact) => contact,
        None => {
            if types::is_id(named) {
                match acts::fetch_deal(cx, named).await {
                    // It may be a name of that form.
                    Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Refused) => {}
                    found => return found,
                }
            }
            who::surely(cx, "deal", named).await?
        }
    };
    let mut deals = acts::fetch_deals_of(cx, &contact).await?;
    match deals.len() {
        1 => {
            let found = deals.remove(0);
            // The search may lag behind.
            acts::fetch_deal(cx, some(&found.id, "id")?).await
        }
        0 => Err(Error::not_found(format!(
            "{} has no open deal",
            lookup::called(&mut *cx.db().await?, &contact).await?
        ))
        .hint("A deal that is won, lost or abandoned is moved by its own id.")),
        many => Err(Error::conflict(format!(
            "{} has {many} open deals",
            lookup::called(&mut *cx.db().await?, &contact).await?
        ))
        .hint("Give the id of the one you mean.")
        .details(json!({ "argument": "deal", "candidates": choices(cx, &deals).await? }))),
    }
}

/// What there is to choose from: deals with their stages.
async fn choices(cx: &Context, deals: &[Deal]) -> Result<Vec<serde_json::Value>> {
    let pipelines = acts::fetch_pipelines(cx).await?;
    let label = |deal: &Deal| {
        let (whole, stage) = (&deal.pipeline_id, &deal.pipeline_stage_id);
        let mut all = pipelines.iter();
        let place = all
            .find(|pipeline| Some(&pipeline.id) == whole.as_ref())
            .map(|pipeline| {
                let stage = name(pipeline, stage.as_deref().unwrap_or_default());
                format!("{}: {stage}", pipeline.name)
            });
        let called = deal.name.clone();
        [called, place]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
    };
    Ok(deals
        .iter()
        .map(|deal| json!({ "id": deal.id, "label": label(deal) }))
        .collect())
}

fn some<'a>(value: &'a Option<String>, what: &str) -> Result<&'a str> {
    value.as_deref().ok_or_else(|| {
        Error::unavailable(format!(
            "GoHighLevel answered with a deal that has no {what}"
        ))
    })
}

fn name<'a>(pipeline: &'a Pipeline, stage: &'a str) -> &'a str {
    let mut stages = pipeline.stages.iter();
    stages
        .find(|one| one.id == stage && !one.name.is_empty())
        .map_or(stage, |one| &one.name)
}

/// The id of the stage of the pipeline that an argument means.
fn stage<'a>(
    cx: &Context,
    pipelines: &[Pipeline],
    pipeline: &'a Pipeline,
    argument: &str,
    given: &str,
) -> Result<&'a str> {
    let given = cx.chosen(argument, given);
    let found = deals::named(&pipeline.stages, "stage", given, |s| &s.id, |s| &s.name);
    let error = match found {
        Ok(stage) => return Ok(&stage.id),
        Err(error) => error,
    };
    if error.kind() == Kind::Conflict {
        let mut details = error.details_value().cloned().unwrap_or_default();
        details["argument"] = argument.into();
        return Err(error.details(details));
    }
    let wanted = given.trim().to_lowercase();
    let elsewhere = pipelines.iter().find(|other| {
        let mut stages = other.stages.iter();
        other.id != pipeline.id
            && stages.any(|one| one.name.to_lowercase() == wanted || one.id == given)
    });
    let hint = error.hint_text().unwrap_or_default().to_owned();
    let whole = &pipeline.name;
    let error = Error::not_found(format!("`{whole}` has no stage called `{given}`"));
    Err(match elsewhere {
        Some(other) => error.hint(format!(
            "`{}` has one, but a deal moves within its own pipeline. {hint}",
            other.name
        )),
        None => error.hint(hint),
    })
}
