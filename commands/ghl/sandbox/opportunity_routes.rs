//! The routes of deals and pipelines.

use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::LOCATION_ID;
use super::call::{Answer, Call, Field, Is, Need, Refusal, Reply};
use super::collection::{Collection, Search, Sort, Start};
use super::contact_routes::{PAGE_MODE_ROWS, bad_cursor, search_of};
use super::contacts::CustomValue;
use super::filter::{Filter, Test};
use super::fixed::{CUSTOM_FIELDS, LOST_REASONS, PIPELINES, Pipeline};
use super::ids::{self, Kind};
use super::opportunities::Opportunity;
use super::world::World;

const STATUSES: [&str; 4] = ["open", "won", "lost", "abandoned"];
/// As the provider's own enumeration has it; `all` is refused by the rule behind it.
const STATUS: Is = Is::OneOf(&["open", "won", "lost", "abandoned", "all"]);

pub(super) fn pipelines(call: &mut Call<'_>) -> Reply {
    let pipelines: Vec<_> = PIPELINES.iter().map(Pipeline::json).collect();
    Answer::ok(json!({"pipelines": pipelines, "traceId": call.trace}))
}

pub(super) fn lost_reasons(call: &mut Call<'_>) -> Reply {
    let reasons: Vec<_> = LOST_REASONS
        .iter()
        .map(|(id, name)| {
            json!({"id": id, "name": name, "locationId": LOCATION_ID,
                "createdAt": "2024-01-15T09:00:00.000Z", "updatedAt": "2024-01-15T09:00:00.000Z"})
        })
        .collect();
    Answer::ok(json!({"total": reasons.len(), "lostReasons": reasons, "traceId": call.trace}))
}

fn shown(world: &World, deal: &Opportunity) -> Value {
    deal.json(world.contacts.get(deal.contact).as_deref())
}

fn named(call: &Call<'_>) -> Result<Arc<Opportunity>, Refusal> {
    let id = call.path[0];
    call.world
        .opportunities
        .find(id)
        .ok_or_else(|| Refusal::bad(format!("Opportunity with id {id} not found")))
}

pub(super) fn get(call: &mut Call<'_>) -> Reply {
    let deal = named(call)?;
    // Notes are documented here, and never come.
    Answer::ok(json!({"opportunity": shown(call.world, &deal), "traceId": call.trace}))
}

/// The search with snake-case parameters.
pub(super) fn search_get(call: &mut Call<'_>) -> Reply {
    let limit = call.limit(20, 100)?;
    let mut tests = Vec::new();
    for name in [
        "pipeline_id",
        "pipeline_stage_id",
        "contact_id",
        "assigned_to",
        "status",
        "id",
    ] {
        let Some(value) = call.query(name) else {
            continue;
        };
        if name == "status" && value == "all" {
            continue;
        }
        if name == "status" && !STATUSES.contains(&value) {
            return Err(Refusal::invalid([format!(
                "status must be one of the following values: {}, all",
                STATUSES.join(", ")
            )]));
        }
        let values = vec![json!(value)];
        tests.push(Filter::Test(
            name.to_owned(),
            Test::Equals { values, not: false },
        ));
    }
    // Days of month, day and year, both inclusive.
    let day = |name: &str| -> Result<Option<i64>, Refusal> {
        let Some(text) = call.query(name) else {
            return Ok(None);
        };
        let day = NaiveDate::parse_from_str(text, "%m-%d-%Y")
            .map_err(|_| Refusal::bad(format!("{name} must be in the format mm-dd-yyyy")))?;
        let midnight = day.and_hms_opt(0, 0, 0).unwrap_or_default();
        Ok(Some(midnight.and_utc().timestamp_millis()))
    };
    let (from, to) = (day("date")?, day("endDate")?);
    if from.is_some() || to.is_some() {
        let end = to.map(|to| to + 86_399_999);
        tests.push(Filter::Test(
            "date_added".to_owned(),
            Test::Range(from, end),
        ));
    }
    let descending = call.query("order") != Some("added_asc");
    let page: usize = call
        .query("page")
        .and_then(|page| page.parse().ok())
        .unwrap_or(1)
        .max(1);
    let start = match (call.query("startAfter"), call.query("startAfterId")) {
        _ if call.repeats => Start::Skip(0),
        (Some(ms), Some(id)) => {
            let ms: i64 = ms
                .parse()
                .map_err(|_| Refusal::bad("startAfter must be a number"))?;
            Start::After(vec![json!(ms), json!(id)])
        }
        _ if page.saturating_mul(limit) > PAGE_MODE_ROWS => {
            return Err(Refusal::bad(format!(
                "Result window is too large: page * limit must not exceed {PAGE_MODE_ROWS}"
            )));
        }
        _ => Start::Skip((page - 1) * limit),
    };
    let search = Search {
        filter: Filter::All(tests),
        query: call.query("q").map(str::to_lowercase),
        sort: Sort::by("date_added", descending),
        start,
        limit: limit + 1,
    };
    let (total, mut rows) = found(&mut call.world.opportunities, &search)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().map(|(deal, _)| deal);
    let next = last.filter(|_| more).map(|last| {
        let mut url = format!(
            "{}/opportunities/search?location_id={LOCATION_ID}&limit={limit}",
            call.origin
        );
        for (name, value) in &call.query {
            let skipped = ["location_id", "limit", "startAfter", "startAfterId", "page"];
            if !skipped.contains(&name.as_str()) {
                url.push_str(&format!("&{name}={}", value.replace(' ', "%20")));
            }
        }
        format!(
            "{url}&startAfter={}&startAfterId={}&page={}",
            last.date_added,
            last.id,
            page + 1
        )
    });
    let meta = super::contacts::present(json!({
        "total": total,
        "nextPageUrl": next,
        "startAfterId": last.map(|last| &last.id),
        "startAfter": last.map(|last| last.date_added),
        "currentPage": page,
        "nextPage": more.then_some(page + 1),
        "prevPage": (page > 1).then(|| page - 1),
    }));
    let details =
        ["getTasks", "getNotes", "getCalendarEvents"].map(|name| call.query(name) == Some("true"));
    let opportunities = with_details(call, &rows, details);
    Answer::ok(
        json!({"opportunities": opportunities, "meta": meta, "aggregations": {},
        "traceId": call.trace}),
    )
}

type Rows = Vec<(Arc<Opportunity>, Vec<Value>)>;

fn found(deals: &mut Collection<Opportunity>, search: &Search) -> Result<(usize, Rows), Refusal> {
    let total = deals.total(search);
    let rows = deals.page(search).map_err(|_| bad_cursor())?;
    Ok((total, rows))
}

/// The rows with tasks, notes and appointments of their contacts, as asked.
fn with_details(call: &mut Call<'_>, rows: &Rows, details: [bool; 3]) -> Vec<Value> {
    let [tasks, notes, events] = details;
    let world = &mut *call.world;
    let mut out = Vec::new();
    for (deal, _) in rows {
        let mut json = shown(world, deal);
        if tasks {
            json["tasks"] = world
                .tasks(deal.contact)
                .items
                .iter()
                .map(|task| task.json())
                .collect();
        }
        if notes {
            json["notes"] = world
                .notes(deal.contact)
                .items
                .iter()
                .map(|note| note.json())
                .collect();
        }
        if events {
            json["calendarEvents"] = super::world::appointments(&world.seed, deal.contact).into();
        }
        out.push(json);
    }
    out
}

/// The search with a body, like that of contacts.
pub(super) fn search_post(call: &mut Call<'_>) -> Reply {
    use Need::{Optional, Required};
    call.check(&[
        Field("locationId", Is::Text, Required),
        Field("limit", Is::Number, Optional),
        Field("page", Is::Number, Optional),
        Field("searchAfter", Is::List, Optional),
        Field("query", Is::Text, Optional),
        Field("filters", Is::List, Optional),
        Field("sort", Is::List, Optional),
        Field("additionalDetails", Is::Map, Optional),
    ])?;
    let limit = match call.body.get("limit") {
        None | Some(Value::Null) => 20,
        Some(limit) => limit
            .as_u64()
            .filter(|limit| (1..=500).contains(limit))
            .ok_or_else(|| Refusal::invalid(["limit must not be greater than 500".to_owned()]))?
            as usize,
    };
    // An empty cursor is the first page.
    if call.body.get("searchAfter") == Some(&json!([])) {
        call.body.remove("searchAfter");
    }
    let search = search_of::<Opportunity>(call, limit)?;
    let (total, rows) = found(&mut call.world.opportunities, &search)?;
    let wants = call
        .body
        .get("additionalDetails")
        .cloned()
        .unwrap_or_default();
    let details = ["tasks", "notes", "calendarEvents"].map(|name| wants[name] == true);
    let mut opportunities = with_details(call, &rows, details);
    for (json, (_, cursor)) in opportunities.iter_mut().zip(&rows) {
        json["sort"] = json!(cursor);
        json["searchAfter"] = json!(cursor);
    }
    Answer::ok(
        json!({"opportunities": opportunities, "total": total, "aggregations": {},
        "traceId": call.trace}),
    )
}

const FIELDS: [Field; 7] = [
    Field("pipelineId", Is::Text, Need::Optional),
    Field("name", Is::Text, Need::Optional),
    Field("status", STATUS, Need::Optional),
    Field("pipelineStageId", Is::Text, Need::Optional),
    Field("monetaryValue", Is::Number, Need::Optional),
    Field("assignedTo", Is::Text, Need::Optional),
    Field("customFields", Is::List, Need::Optional),
];

fn apply(call: &Call<'_>, deal: &mut Opportunity) -> Result<(), Refusal> {
    let now = call.now;
    let pipeline_id = call
        .text("pipelineId")
        .unwrap_or(&deal.pipeline_id)
        .to_owned();
    let pipeline = PIPELINES
        .iter()
        .find(|pipeline| pipeline.id == pipeline_id)
        .ok_or_else(|| Refusal::bad("Pipeline not found"))?;
    let moved = pipeline.id != deal.pipeline_id;
    let stage = match call.text("pipelineStageId") {
        Some(stage) => stage,
        None if moved => pipeline.stages[0].0,
        None => &deal.stage_id,
    };
    // A stage of another pipeline needs that pipeline's id beside it.
    let Some((stage, _)) = pipeline.stages.iter().find(|(id, _)| *id == stage) else {
        return Err(Refusal::bad(
            "The pipeline stage does not belong to the pipeline",
        ));
    };
    if moved || deal.stage_id != *stage {
        deal.stage_changed = now;
    }
    deal.pipeline_id = pipeline.id.into();
    deal.stage_id = (*stage).into();
    if let Some(status) = call.text("status") {
        set_status(deal, status, now)?;
    }
    if let Some(name) = call.text("name") {
        deal.name = name.to_owned();
    }
    if let Some(value) = call.body.get("monetaryValue").and_then(Value::as_f64) {
        deal.value = Some(value);
    }
    if let Some(user) = call.text("assignedTo") {
        deal.assigned_to = Some(user.to_owned().into());
    }
    for item in call
        .body
        .get("customFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let known = CUSTOM_FIELDS
            .iter()
            .find(|field| item["id"] == field.id || item["key"] == field.key);
        let value = ["field_value", "fieldValue"]
            .into_iter()
            .find_map(|name| item.get(name));
        if let (Some(field), Some(value)) = (known, value) {
            deal.custom_fields.retain(|old| old.id != field.id);
            deal.custom_fields.push(CustomValue {
                id: field.id.into(),
                value: value.clone(),
            });
        }
    }
    deal.date_updated = now;
    Ok(())
}

fn set_status(deal: &mut Opportunity, status: &str, now: i64) -> Result<(), Refusal> {
    if !STATUSES.contains(&status) {
        return Err(Refusal::bad(format!(
            "status {status} can only be searched for"
        )));
    }
    if deal.status != status {
        deal.status_changed = now;
        deal.status = status.to_owned().into();
    }
    if status != "lost" {
        deal.lost_reason = None;
    }
    Ok(())
}

pub(super) fn create(call: &mut Call<'_>) -> Reply {
    let mut shape: Vec<Field> = FIELDS.into();
    for field in &mut shape[..3] {
        field.2 = Need::Required;
    }
    shape.push(Field("locationId", Is::Text, Need::Required));
    shape.push(Field("contactId", Is::Text, Need::Required));
    call.check(&shape)?;
    let id = call.text("contactId").unwrap_or_default().to_owned();
    let contact = super::contact_routes::find(call, &id)?.number;
    let mut deal = Opportunity {
        contact,
        date_added: call.now,
        status_changed: call.now,
        stage_changed: call.now,
        ..Default::default()
    };
    apply(call, &mut deal)?;
    deal.number = call.world.new_opportunity(contact);
    deal.id = ids::encode(Kind::Opportunity, deal.number);
    let lag = call.world.lag;
    let deal = call.world.opportunities.put(deal, lag);
    Answer::created(json!({"opportunity": shown(call.world, &deal), "traceId": call.trace}))
}

pub(super) fn update(call: &mut Call<'_>) -> Reply {
    let mut deal = Opportunity::clone(&*named(call)?);
    call.check(&FIELDS)?;
    apply(call, &mut deal)?;
    let lag = call.world.lag;
    let deal = call.world.opportunities.put(deal, lag);
    Answer::ok(json!({"opportunity": shown(call.world, &deal), "traceId": call.trace}))
}

pub(super) fn update_status(call: &mut Call<'_>) -> Reply {
    let mut deal = Opportunity::clone(&*named(call)?);
    call.check(&[
        Field("status", STATUS, Need::Required),
        Field("lostReasonId", Is::Text, Need::Optional),
    ])?;
    let status = call.text("status").unwrap_or_default().to_owned();
    set_status(&mut deal, &status, call.now)?;
    if let Some(reason) = call.text("lostReasonId") {
        if !LOST_REASONS.iter().any(|(id, _)| *id == reason) {
            return Err(Refusal::bad("Lost reason not found"));
        }
        deal.lost_reason = Some(reason.to_owned().into());
    }
    deal.date_updated = call.now;
    let lag = call.world.lag;
    call.world.opportunities.put(deal, lag);
    Answer::ok(json!({"succeded": true, "traceId": call.trace}))
}

pub(super) fn delete(call: &mut Call<'_>) -> Reply {
    let deal = named(call)?;
    let lag = call.world.lag;
    call.world.opportunities.remove(deal.number, lag);
    Answer::ok(json!({"succeded": true, "traceId": call.trace}))
}
