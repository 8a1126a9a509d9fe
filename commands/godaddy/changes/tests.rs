//! Nothing that was not named is ever touched: held against a model of the API that replaces sets.

use medtainer_core::dns::{self, Mode, Owner};
use medtainer_core::writes::plan::Look;
use proptest::prelude::*;

use super::super::dns_set::changes_for;
use super::super::zone::LIMITS;
use super::*;
use medtainer_core::dns::Draft;

fn domain() -> DomainName {
    "example.com".parse().unwrap()
}

/// Few names, so that records meet; some services share a name.
fn owner() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "@",
        "www",
        "a",
        "*",
        "*.a",
        "_dmarc",
        "xn--mbel-5qa",
        "b.a",
    ])
}

fn value() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        3 => (1u8..5).prop_map(|n| ("A", format!("198.18.0.{n}"))),
        1 => (1u8..4).prop_map(|n| ("AAAA", format!("2001:2::{n}"))),
        1 => prop::sample::select(vec!["x.example.net", "@", "www.example.com"])
            .prop_map(|t| ("CNAME", t.to_owned())),
        2 => (1u8..4, 1u8..4).prop_map(|(p, n)| ("MX", format!("{p} mx{n}.example.net"))),
        3 => prop::sample::select(vec![
            "v=spf1 -all",
            "v=spf1 mx ~all",
            "google-site-verification=a",
            "google-site-verification=b",
            "MS=ms1",
            "v=DMARC1; p=none",
            "plain words",
            "\"quoted\" and \\ more",
        ])
        .prop_map(|t| ("TXT", t.to_owned())),
        1 => (1u8..3).prop_map(|n| ("CAA", format!("0 issue \"ca{n}.example\""))),
        1 => (1u8..3).prop_map(|n| ("NS", format!("ns{n}.example.net"))),
    ]
}

/// A record as GoDaddy has it, with a field nobody knows.
fn body() -> impl Strategy<Value = Map<String, Value>> {
    let plain = (owner(), value(), 0u8..2).prop_map(|(name, (kind, value), ttl)| {
        let mut body =
            json!({ "type": kind, "name": name, "data": value, "ttl": 600 + u32::from(ttl) });
        if kind == "MX" {
            let (priority, host) = value.split_once(' ').unwrap();
            body["priority"] = json!(priority.parse::<u16>().unwrap());
            body["data"] = json!(host);
        }
        if ttl == 1 {
            body["unknown"] = json!("kept");
        }
        body
    });
    let service = (0u8..3, 0u8..2, 0u8..2).prop_map(|(service, below, whole)| {
        let (service, below) = (format!("_s{service}"), ["@", "a"][usize::from(below)]);
        let name = match (whole, below) {
            (0, below) => below.to_owned(),
            (_, "@") => format!("{service}._tcp"),
            (_, below) => format!("{service}._tcp.{below}"),
        };
        json!({ "type": "SRV", "name": name, "service": service, "protocol": "_tcp", "data": "sip.example.com",
            "priority": 1, "weight": 2, "port": 5060, "ttl": 3600 })
    });
    prop_oneof![4 => plain, 1 => service].prop_map(|body| body.as_object().unwrap().clone())
}

fn live() -> impl Strategy<Value = Live> {
    prop::collection::vec(body(), 0..18).prop_map(|bodies| {
        let name = domain();
        let managed = [
            json!({ "type": "NS", "name": "@", "data": "ns01.domaincontrol.com", "ttl": 3600 }),
            json!({ "type": "SOA", "name": "@", "data": "Primary nameserver: ns01.", "ttl": 3600 }),
        ];
        let managed = managed.iter().map(|body| body.as_object().unwrap().clone());
        let mut wires: Vec<Wire> = Vec::new();
        for body in managed.chain(bodies) {
            let wire = Wire::read(body, &name).unwrap();
            let clash = wires.iter().any(|other| {
                other.record.says_the_same(&wire.record)
                    || other.record.name == wire.record.name
                        && (other.kind == "CNAME" || wire.kind == "CNAME")
            });
            let apex = wire.kind == "CNAME" && wire.record.name.is_apex();
            let own = wire.kind == "NS" && wire.record.name.is_apex() && !wires.is_empty();
            if !clash && !apex && !own {
                wires.push(wire);
            }
        }
        let kept: Vec<Record> = wires.iter().map(|wire| wire.record.clone()).collect();
        Live {
            zone: Zone::new(name.clone(), LIMITS).with(kept),
            name,
            wires,
            authoritative: Some(true),
            servers: vec!["ns01.domaincontrol.com".to_owned()],
        }
    })
}

/// What somebody asks for.
#[derive(Debug, Clone)]
enum Asked {
    Set(String, String, Vec<String>, bool),
    Delete(String, String, Option<String>),
    Apply(Vec<(String, String, String)>, bool),
}

fn asked() -> impl Strategy<Value = Asked> {
    let name = || owner().prop_map(str::to_owned);
    let service = prop::sample::select(vec!["_s0._tcp", "_s1._tcp.a", "_s2._udp"]);
    let service = service.prop_map(|name| {
        (
            name.to_owned(),
            "SRV",
            "1 2 5061 sip.example.com".to_owned(),
        )
    });
    let record = prop_oneof![
        5 => (name(), value()).prop_map(|(name, (kind, value))| (name, kind, value)),
        1 => service,
    ];
    prop_oneof![
        4 => (record.clone(), prop::collection::vec(value(), 0..3), any::<bool>()).prop_map(
            |((name, kind, value), more, add)| {
                let more = more.into_iter().filter(|(other, _)| *other == kind).map(|(_, value)| value);
                Asked::Set(kind.to_owned(), name, std::iter::once(value).chain(more).collect(), add)
            }
        ),
        3 => (record.clone(), any::<bool>())
            .prop_map(|((name, kind, value), all)| Asked::Delete(kind.to_owned(), name, (!all).then_some(value))),
        2 => (prop::collection::vec(record, 1..6), any::<bool>()).prop_map(|(records, prune)| {
            let records = records.into_iter().map(|(name, kind, value)| (kind.to_owned(), name, value));
            Asked::Apply(records.collect(), prune)
        }),
    ]
}

fn made(kind: &str, name: &str, value: &str) -> Result<Record> {
    Draft::new(kind, name, value).parse(&domain(), &LIMITS)
}

fn planned(live: &Live, asked: &Asked) -> Result<Plan> {
    let set = match asked {
        Asked::Set(kind, name, values, add) => {
            let wanted: Result<Vec<_>> =
                values.iter().map(|value| made(kind, name, value)).collect();
            changes_for(live, wanted?, *add)?
        }
        Asked::Delete(kind, name, value) => {
            let owner = Owner::parse(name, &live.name)?;
            let value = value
                .as_deref()
                .map(|value| made(kind, name, value))
                .transpose()?;
            dns::remove(&live.zone, &owner, &kind.parse()?, value.as_ref())?
        }
        Asked::Apply(records, prune) => {
            let wanted: Result<Vec<_>> = records
                .iter()
                .map(|(kind, name, value)| made(kind, name, value))
                .collect();
            let wanted: Vec<_> = wanted?
                .into_iter()
                .filter(|record| !live.is_managed(record))
                .collect();
            let mode = if *prune { Mode::Zone } else { Mode::Sets };
            dns::diff(&live.zone, &wanted, mode)?
        }
    };
    live.plan("a change", &set, true)
}

/// Whether somebody who asked for this named the record.
fn names_it(asked: &Asked, wire: &Wire) -> bool {
    let is = |kind: &str, name: &str| {
        wire.kind == kind
            && Owner::parse(name, &domain()).is_ok_and(|owner| wire.record.name == owner)
    };
    match asked {
        Asked::Set(.., true) => false,
        Asked::Set(kind, name, values, false) => {
            // A text goes only where one of its own kind comes.
            let begins = |text: &str| text.get(..3).unwrap_or(text).to_lowercase();
            let alike = |value: &String| begins(value) == begins(&wire.record.data);
            is(kind, name) && (kind != "TXT" || values.iter().any(alike))
        }
        Asked::Delete(kind, name, value) => {
            is(kind, name)
                && value.as_deref().is_none_or(|value| {
                    made(kind, name, value).is_ok_and(|record| record.says_the_same(&wire.record))
                })
        }
        Asked::Apply(_, true) => {
            wire.kind != "SOA" && !(wire.kind == "NS" && wire.record.name.is_apex())
        }
        Asked::Apply(records, false) => records.iter().any(|(kind, name, _)| is(kind, name)),
    }
}

/// The API: a request replaces or removes the set its path names.
fn answered(zone: &mut Vec<Map<String, Value>>, request: &Request) {
    let mut parts = request.path.rsplit('/');
    let name = parts
        .next()
        .unwrap()
        .replace("%40", "@")
        .replace("%2A", "*");
    let kind = parts.next().unwrap().to_owned();
    zone.retain(|body| body["type"] != kind.as_str() || body["name"] != name.as_str());
    let rows = request.body.as_ref().map_or("[]", |body| body.get());
    let rows: Vec<Map<String, Value>> = serde_json::from_str(rows).unwrap();
    assert_eq!(
        request.method == Method::Delete,
        rows.is_empty(),
        "a set is never emptied by a PUT"
    );
    for mut row in rows {
        row.insert("type".into(), kind.clone().into());
        row.insert("name".into(), name.clone().into());
        zone.push(row);
    }
}

fn holds(checks: &[Check], zone: &[Map<String, Value>]) -> bool {
    checks.iter().all(|check| match &check.look {
        Look::Ask { expect, .. } => expect.holds(Some(&json!(zone))),
        Look::Reach { .. } => false,
    })
}

fn sorted(zone: &[Map<String, Value>]) -> Vec<String> {
    let mut lines: Vec<String> = zone
        .iter()
        .map(|body| {
            let ordered: BTreeMap<_, _> = body.iter().collect();
            json!(ordered).to_string()
        })
        .collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn no_input_touches_a_record_it_did_not_name(live in live(), asked in asked()) {
        // Refused is fine: then nothing is sent at all.
        let Ok(plan) = planned(&live, &asked) else { return Ok(()) };
        let before: Vec<_> = live.wires.iter().map(|wire| wire.body.clone()).collect();
        let mut zone = before.clone();
        for step in &plan.steps {
            answered(&mut zone, &step.request);
        }
        for wire in live.wires.iter().filter(|wire| !names_it(&asked, wire)) {
            let stays = zone.contains(&wire.body)
                // Named by its value alone it may get another TTL, and nothing else.
                || matches!(&asked, Asked::Set(..)) && zone.iter().any(|body| {
                    Wire::read(body.clone(), &live.name).unwrap().record.says_the_same(&wire.record)
                });
            prop_assert!(stays, "{:?} is gone: {plan:?}", wire.body);
        }
        if !plan.steps.is_empty() {
            prop_assert!(holds(&plan.before, &before));
            prop_assert!(holds(&plan.after, &zone), "{zone:?} {:?}", plan.after);
        }
        // Undone, it is byte for byte what it was.
        if plan.is_reversible() {
            for step in plan.steps.iter().rev() {
                let Inverse::Request { request, .. } = &step.inverse else { continue };
                answered(&mut zone, request);
            }
            prop_assert_eq!(sorted(&zone), sorted(&before));
        }
    }
}

#[test]
fn the_model_would_notice() {
    let wire = |body: Value| Wire::read(body.as_object().unwrap().clone(), &domain()).unwrap();
    let one = wire(json!({ "type": "TXT", "name": "@", "data": "MS=ms1", "ttl": 600 }));
    let set = Asked::Set("TXT".into(), "@".into(), vec!["v=spf1 -all".into()], false);
    assert!(!names_it(&set, &one));
    let mut zone = vec![one.body.clone()];
    let put = api::set(Method::Put, &domain(), "TXT", "@")
        .and_then(|request| request.json(&json!([{ "data": "v=spf1 -all", "ttl": 600 }])))
        .unwrap();
    answered(&mut zone, &put);
    assert!(!zone.contains(&one.body));
}
