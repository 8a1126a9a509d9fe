//! Deals as lists show them, and the pipelines they are in.

use chrono::{DateTime, Utc};
use medtainer_core::store::records::Filter;
use medtainer_core::{Error, Result};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, PgConnection};

use crate::ghl::collections::deals::PIPELINE_RECORDS;
use crate::ghl::types::crm::Pipeline;

// In the order of the index, so that the first ones cost no more than they are.
const LONGEST: &str = "\
select o.id, o.name, o.stage_id, o.contact_id, c.name as contact, o.value, o.assigned_to, o.stage_changed_at
  from ghl_opportunities o
  left join contacts c on c.id = o.contact_id
 where o.pipeline_id = $1 and o.status = 'open' and o.deleted_at is null and o.stage_changed_at < $2
 order by o.stage_changed_at, o.id limit $3";

const HISTORY_SINCE: &str = "select seen_at from ghl_stage_changes order by id limit 1";

/// Every statement here, for the test that describes them all.
pub const STATEMENTS: &[(&str, &str)] = &[
    ("ghl::deals::LONGEST", LONGEST),
    ("ghl::deals::HISTORY_SINCE", HISTORY_SINCE),
];

/// A deal that has been in its stage for long.
#[derive(Debug, Clone, FromRow, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the columns of `ghl_opportunities`")]
pub struct Waiting {
    pub id: String,
    pub name: Option<String>,
    #[serde(skip)]
    pub stage_id: Option<String>,
    pub contact_id: Option<String>,
    pub contact: Option<String>,
    #[schemars(with = "Option<String>")]
    pub value: Option<Decimal>,
    pub assigned_to: Option<String>,
    pub stage_changed_at: DateTime<Utc>,
}

/// The open deals of a pipeline that have been in their stage since before a moment, the longest first.
pub async fn longest(
    conn: &mut PgConnection,
    pipeline: &str,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Waiting>> {
    Ok(sqlx::query_as(LONGEST)
        .bind(pipeline)
        .bind(before)
        .bind(limit)
        .fetch_all(conn)
        .await?)
}

/// Since when changes of stage are kept: when the first was seen.
pub async fn history_since(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>> {
    Ok(sqlx::query_scalar(HISTORY_SINCE)
        .fetch_optional(conn)
        .await?)
}

/// The pipelines, by name, their stages in order.
pub async fn pipelines(conn: &mut PgConnection) -> Result<Vec<Pipeline>> {
    let records = PIPELINE_RECORDS.list(conn, Filter::default()).await?;
    Ok(records
        .iter()
        .filter_map(|record| Pipeline::read(&record.data))
        .collect())
}

/// The one that is meant: by id, by name in any case, or by a part of the name that no other has. The
/// error says which there are, the nearest first.
pub fn named<'a, T>(
    things: &'a [T],
    kind: &str,
    given: &str,
    id: impl Fn(&T) -> &str,
    name: impl Fn(&T) -> &str,
) -> Result<&'a T> {
    let wanted = given.trim().to_lowercase();
    let is = |thing: &&T| id(thing) == given || name(thing).to_lowercase() == wanted;
    let holds = |thing: &&T| !wanted.is_empty() && name(thing).to_lowercase().contains(&wanted);
    let mut found: Vec<&T> = things.iter().filter(is).collect();
    if found.is_empty() {
        found = things.iter().filter(holds).collect();
    }
    let quoted = |things: &[&T]| {
        let names: Vec<_> = things
            .iter()
            .map(|thing| format!("`{}`", name(thing)))
            .collect();
        names.join(", ")
    };
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let mut near: Vec<&T> = things.iter().collect();
            let score = |thing: &T| strsim::jaro_winkler(&name(thing).to_lowercase(), &wanted);
            near.sort_by(|a, b| score(b).total_cmp(&score(a)));
            near.truncate(10);
            let hint = match near.is_empty() {
                true => format!("There is no {kind} at all; `medtainer ghl sync` fetches them."),
                false => format!("There are: {}.", quoted(&near)),
            };
            Err(Error::not_found(format!("no {kind} is called `{given}`")).hint(hint))
        }
        several => {
            let candidates: Vec<_> = several
                .iter()
                .map(|thing| json!({ "id": id(thing), "label": name(thing) }))
                .collect();
            Err(
                Error::conflict(format!("`{given}` may be any of {}", quoted(several)))
                    .hint("Give the id of the one you mean.")
                    .details(json!({ "argument": kind, "candidates": candidates })),
            )
        }
    }
}
