//! The exact requests that would make the changes, and how to tell that they were made.

use std::collections::HashMap;

use medtainer_core::dns::{Change, ChangeSet, Record, Zone};
use medtainer_core::writes::{Check, Expect, Plan, Step, Target, plan};
use medtainer_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::wire;
use crate::cloudflare::{CLOUDFLARE, api, types};

/// The plan for the changes of a zone.
pub(super) fn plan(
    zone: &types::Zone,
    there: &[types::Record],
    current: &Zone,
    set: &ChangeSet,
) -> Result<Plan> {
    if there.len().max(current.records.len() + set.changes.len()) > api::MOST {
        return Err(Error::refused(format!(
            "`{}` has more than {} records",
            set.zone,
            api::MOST
        ))
        .hint("So many cannot be looked at before and after a change."));
    }
    let wires: HashMap<&str, &types::Record> = there
        .iter()
        .map(|record| (record.id.as_str(), record))
        .collect();
    let target = Target {
        kind: "zone".to_owned(),
        id: zone.id.clone(),
        name: zone.name.clone(),
    };
    let mut plan = Plan::new(&CLOUDFLARE, set.summary(), target);
    for change in &set.changes {
        if let Some(record) = change.record() {
            let what = format!("{} {}", record.name, record.kind);
            plan = plan.change(what, side(&change.before), side(&change.after));
        }
    }
    let before = there.iter().map(|record| seen(record, true)).collect();
    plan = plan.before(look(
        zone,
        "the zone is as it was when this was planned",
        &FIELDS,
        before,
    )?);
    let parts = parts(&set.changes, batch_size(zone));
    let count = parts.len();
    for (place, part) in parts.into_iter().enumerate() {
        plan = plan.step(step(zone, &wires, set, part, (place, count))?);
    }
    let changed: Vec<_> = set
        .changes
        .iter()
        .filter_map(|c| c.after.as_ref())
        .collect();
    let gone: Vec<_> = set
        .changes
        .iter()
        .filter_map(|change| change.before.as_ref()?.id.as_deref())
        .collect();
    let stays = there
        .iter()
        .filter(|record| !gone.contains(&record.id.as_str()));
    let mut after: Vec<_> = stays.map(|record| seen(record, false)).collect();
    for record in changed {
        after.push(wire::as_shown(record, &set.zone));
    }
    plan = plan.after(look(
        zone,
        "the zone holds exactly the planned records",
        &FIELDS[1..],
        after,
    )?);
    Ok(plan.touches("cf.records"))
}

/// What of a record counts.
const FIELDS: [&str; 7] = [
    "id", "name", "type", "content", "ttl", "proxied", "priority",
];

fn side(record: &Option<Record>) -> Value {
    let Some(record) = record else {
        return Value::Null;
    };
    let ttl = record.ttl.map(|ttl| ttl.to_string());
    let settings = match record.proxied {
        Some(true) => ", proxied",
        Some(false) => ", not proxied",
        None => "",
    };
    format!(
        "{} (ttl {}{settings})",
        record.value(),
        ttl.as_deref().unwrap_or("auto")
    )
    .into()
}

/// A record as a list shows it, so far as it counts.
fn seen(record: &types::Record, with_id: bool) -> Map<String, Value> {
    let mut seen = Map::new();
    if with_id {
        seen.insert("id".to_owned(), record.id.clone().into());
    }
    let number = |number: Option<f64>| number.map_or(Value::Null, |number| json!(number as i64));
    seen.insert("name".to_owned(), record.name.clone().into());
    seen.insert("type".to_owned(), record.kind.clone().into());
    seen.insert("content".to_owned(), json!(record.content));
    seen.insert("ttl".to_owned(), number(record.ttl));
    seen.insert("proxied".to_owned(), json!(record.proxied));
    seen.insert("priority".to_owned(), number(record.priority));
    seen
}

fn look(
    zone: &types::Zone,
    says: &str,
    fields: &[&str],
    items: Vec<Map<String, Value>>,
) -> Result<Check> {
    let expect = Expect::Set {
        list: "/result".to_owned(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        items,
    };
    Ok(Check::ask(says, api::all_records(&zone.id)?, expect))
}

/// How many operations one batch may hold.
fn batch_size(zone: &types::Zone) -> usize {
    match zone
        .plan
        .as_ref()
        .and_then(|plan| plan.legacy_id.as_deref())
    {
        Some("pro" | "business" | "enterprise") => 3_500,
        _ => 200,
    }
}

/// The changes in batches. Those of one name stay together, since one may make place for the other;
/// they are in the order of the names.
fn parts(changes: &[Change], most: usize) -> Vec<&[Change]> {
    let mut parts = Vec::new();
    let mut rest = changes;
    while !rest.is_empty() {
        let name = |place: usize| rest[place].record().map(|record| &record.name);
        let mut end = rest.len().min(most);
        if end < rest.len() {
            let whole = (1..=end).rev().find(|end| name(end - 1) != name(*end));
            end = whole.unwrap_or(end);
        }
        let (part, others) = rest.split_at(end);
        parts.push(part);
        rest = others;
    }
    parts
}

/// One batch, and the batch that takes it back.
fn step(
    zone: &types::Zone,
    wires: &HashMap<&str, &types::Record>,
    set: &ChangeSet,
    part: &[Change],
    (place, count): (usize, usize),
) -> Result<Step> {
    let (mut deletes, mut patches, mut posts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut undeletes, mut unpatches, mut unposts) = (Vec::new(), Vec::new(), Vec::new());
    for change in part {
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => {
                patches.push(with_id(before, wire::body(after, &set.zone)?)?);
                unpatches.push(with_id(before, wire::body(before, &set.zone)?)?);
            }
            (Some(before), None) => {
                deletes.push(with_id(before, Map::new())?);
                let mut body = wire::body(before, &set.zone)?;
                // What a zone file does not know comes back all the same.
                if let Some(wire) = before.id.as_deref().and_then(|id| wires.get(id)) {
                    if let Some(comment) = &wire.comment {
                        body.insert("comment".to_owned(), comment.clone().into());
                    }
                    if let Some(tags) = wire.tags.as_ref().filter(|tags| !tags.is_empty()) {
                        body.insert("tags".to_owned(), json!(tags));
                    }
                }
                undeletes.push(body);
            }
            (None, Some(after)) => {
                let id = plan::answer(place, &format!("/result/posts/{}/id", posts.len()));
                unposts.push(json!({ "id": id }));
                posts.push(wire::body(after, &set.zone)?);
            }
            (None, None) => {}
        }
    }
    let of = match count {
        1 => String::new(),
        _ => format!(", part {} of {count}", place + 1),
    };
    let does = format!(
        "add {}, change {} and delete {} records at once{of}",
        posts.len(),
        patches.len(),
        deletes.len()
    );
    let body = json!({ "deletes": deletes, "patches": patches, "posts": posts });
    let back = json!({ "deletes": unposts, "patches": unpatches, "posts": undeletes });
    Ok(Step::new(does, api::batch(&zone.id, &body)?)
        .undone_by(
            format!("put the records back{of}"),
            api::batch(&zone.id, &back)?,
        )
        .back_filled())
}

fn with_id(record: &Record, body: Map<String, Value>) -> Result<Map<String, Value>> {
    let id = record
        .id
        .clone()
        .ok_or_else(|| Error::internal("a record of Cloudflare has no id"))?;
    let mut out = Map::from_iter([("id".to_owned(), Value::from(id))]);
    out.extend(body);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use medtainer_core::dns::{self, DomainName, Limits, Mode};
    use medtainer_core::sandbox::serve;
    use medtainer_core::writes::{Inverse, Look};

    use super::*;
    use crate::cloudflare::preview::settle;
    use crate::cloudflare::sandbox::{Options, router};

    const FILE: &str = "\
@ 300 IN A 198.18.113.70 ; cf_tags=cf-proxied:true
www IN A 198.18.113.71
ns1 300 IN A 198.18.113.71
@ 300 IN TXT \"v=spf1 -all\"
@ 300 IN CAA 0 issue \"letsencrypt.org\"
_sip._tcp 300 IN SRV 1 2 3 sip.example.net.
_25._tcp 300 IN TLSA 3 1 1 abcdef
";

    async fn sent(
        url: &str,
        request: &medtainer_core::http::Request,
        body: Option<Value>,
    ) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{url}{}", request.path);
        let call = match body {
            Some(body) => client.post(url).json(&body),
            None => client.get(url).query(&request.query),
        };
        let answer = call.bearer_auth("cf-sandbox").send().await.unwrap();
        answer.json().await.unwrap()
    }

    fn holds(check: &Check, answer: &Value) -> bool {
        match &check.look {
            Look::Ask { expect, .. } => expect.holds(Some(answer)),
            Look::Reach { .. } => false,
        }
    }

    /// What a list says of records, but for ids and times.
    fn said(list: &Value) -> Vec<String> {
        let records = list["result"].as_array().unwrap();
        let fields = [
            "name", "type", "content", "ttl", "proxied", "priority", "data", "comment",
        ];
        let mut said: Vec<_> = records
            .iter()
            .map(|record| fields.map(|field| record[field].to_string()).join(" "))
            .collect();
        said.sort();
        said
    }

    #[tokio::test]
    async fn the_plan_does_what_it_says_sees_that_it_did_and_can_be_taken_back() {
        let options = Options {
            records: 1,
            ..Options::default()
        };
        let running = serve(router(options), ([127, 0, 0, 1], 0).into())
            .await
            .unwrap();
        let url = running.url();
        let zones = sent(&url, &api::zones(1).unwrap(), None).await;
        let zone = zones["result"]
            .as_array()
            .unwrap()
            .iter()
            .find(|zone| zone["name"] == "medtainer-labs.example");
        let zone = types::Zone::stored(&zone.unwrap().to_string()).unwrap();
        let all = api::all_records(&zone.id).unwrap();
        let list = sent(&url, &all, None).await;
        let there: Vec<_> = list["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| types::Record::stored(&record.to_string()).unwrap())
            .collect();
        let name = DomainName::lenient(&zone.name);
        let current = Zone::new(name.clone(), Limits::default())
            .with(there.iter().map(|record| record.common(&name)).collect());
        let file = dns::read(FILE, dns::Format::Bind, &name, &current.limits).unwrap();
        let mut set = dns::diff(&current, &file.records, Mode::Zone).unwrap();
        settle(&mut set);
        let plan = plan(&zone, &there, &current, &set).unwrap();
        assert!(holds(&plan.before[0], &list) && !holds(&plan.after[0], &list));
        assert!(plan.is_reversible());

        let [step] = plan.steps.as_slice() else {
            panic!("{:?}", plan.steps)
        };
        let body = step
            .request
            .body
            .as_ref()
            .map(|body| serde_json::from_str(body.get()).unwrap());
        let answer = sent(&url, &step.request, body).await;
        assert_eq!(answer["success"], true, "{answer}");
        let after = sent(&url, &all, None).await;
        assert!(holds(&plan.after[0], &after), "{after}\n{:?}", plan.after);
        assert!(!holds(&plan.before[0], &after));

        let Inverse::Request { request, .. } = &step.inverse else {
            panic!()
        };
        let mut back = request.body.as_ref().unwrap().get().to_owned();
        for (place, post) in answer["result"]["posts"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            let token = super::plan::answer(0, &format!("/result/posts/{place}/id"));
            back = back.replace(&token, post["id"].as_str().unwrap());
        }
        let undone = sent(&url, request, Some(serde_json::from_str(&back).unwrap())).await;
        assert_eq!(undone["success"], true, "{undone}");
        assert_eq!(said(&sent(&url, &all, None).await), said(&list));
    }

    #[test]
    fn names_stay_together_in_batches() {
        let zone: DomainName = "example.com".parse().unwrap();
        let change = |name: &str, value: &str| {
            let draft = dns::Draft::new("A", name, value);
            Change::add(draft.parse(&zone, &Limits::default()).unwrap())
        };
        let changes: Vec<_> = [
            ("a", "192.0.2.1"),
            ("b", "192.0.2.1"),
            ("b", "192.0.2.2"),
            ("c", "192.0.2.1"),
        ]
        .map(|(name, value)| change(name, value))
        .into();
        let sizes = |most| {
            parts(&changes, most)
                .iter()
                .map(|part| part.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(200), [4]);
        assert_eq!(sizes(3), [3, 1]);
        assert_eq!(sizes(2), [1, 2, 1]);
        // More under one name than a batch holds can only be cut.
        assert_eq!(sizes(1), [1, 1, 1, 1]);
    }
}
