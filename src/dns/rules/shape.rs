//! The zone by itself: duplicates, TTLs, names that are missing or twice too long, wildcards.

use std::collections::{BTreeMap, BTreeSet};

use super::view::View;
use super::{Book, Finding, ids};
use crate::dns::change::Change;
use crate::dns::name::Owner;
use crate::dns::record::{Draft, Record, RecordType, Ttl};

/// Below a minute caches help nobody; above a day a mistake stays too long.
const LOW: u32 = 60;
const HIGH: u32 = 86_400;

pub(super) fn check(view: &View<'_>, book: &mut Book) {
    for ((name, kind), records) in view.zone.sets() {
        duplicates(name, kind, &records, book);
        ttls(name, kind, &records, book);
    }
    doubled(view, book);
    missing(view, book);
    wildcards(view, book);
}

fn duplicates(name: &Owner, kind: &RecordType, records: &[&Record], book: &mut Book) {
    let mut seen: Vec<&Record> = Vec::new();
    for record in records {
        match seen.iter().find(|first| first.says_the_same(record)) {
            Some(first) => book.find(
                Finding::new(
                    ids::DUPLICATE,
                    name,
                    format!("`{record}` is there twice; one of them does nothing."),
                )
                .about(&format!("{kind}/{}", record.data))
                .on([*first, *record])
                .mended_by([Change::delete((*record).clone())]),
            ),
            None => seen.push(record),
        }
    }
}

fn ttls(name: &Owner, kind: &RecordType, records: &[&Record], book: &mut Book) {
    // The SOA's is the provider's.
    if *kind == RecordType::Soa {
        return;
    }
    let known: Vec<Ttl> = records.iter().filter_map(|record| record.ttl).collect();
    let distinct: BTreeSet<_> = known.iter().copied().collect();
    if distinct.len() > 1 {
        let shortest = known.iter().filter_map(|ttl| ttl.seconds()).min();
        let fix = shortest.map(Ttl::Seconds).map(|ttl| {
            let differ = records.iter().filter(move |record| record.ttl != Some(ttl));
            let proxied = records.iter().any(|record| record.proxied == Some(true));
            differ
                .filter(|_| !proxied)
                .map(|record| {
                    let after = Record {
                        ttl: Some(ttl),
                        ..(*record).clone()
                    };
                    Change::replace((*record).clone(), after)
                })
                .collect::<Vec<_>>()
        });
        let words: Vec<_> = distinct.iter().map(Ttl::to_string).collect();
        book.find(
            Finding::new(
                ids::TTL_INCONSISTENT,
                name,
                format!(
                    "The {kind} records of `{name}` have different TTLs ({}); resolvers keep all of them for the shortest.",
                    words.join(", ")
                ),
            )
            .about(kind.as_str())
            .on(records.iter().copied())
            .mended_by(fix.into_iter().flatten()),
        );
    }
    let seconds = || known.iter().filter_map(|ttl| ttl.seconds());
    if let Some(low) = seconds().filter(|ttl| *ttl < LOW).min() {
        book.find(
            Finding::new(
                ids::TTL_TOO_LOW,
                name,
                format!("The {kind} records of `{name}` are kept for {low} seconds only: every visitor waits for the name server."),
            )
            .about(kind.as_str())
            .on(records.iter().copied()),
        );
    }
    if let Some(high) = seconds().filter(|ttl| *ttl > HIGH).max() {
        book.find(
            Finding::new(
                ids::TTL_TOO_HIGH,
                name,
                format!(
                    "The {kind} records of `{name}` are kept for {} days: a change takes that long to be seen.",
                    high / HIGH
                ),
            )
            .about(kind.as_str())
            .on(records.iter().copied()),
        );
    }
}

/// `www.example.com` typed where `www` was asked for.
fn doubled(view: &View<'_>, book: &mut Book) {
    let zone = &view.zone.name;
    for record in &view.zone.records {
        let name = record.name.as_str();
        let twice = name == zone.as_str() || name.ends_with(&format!(".{zone}"));
        if twice {
            book.find(
                Finding::new(
                    ids::NAME_DOUBLED,
                    &record.name,
                    format!(
                        "The record answers for `{}`: the zone's name was typed where it is added anyway.",
                        record.name.fqdn(zone)
                    ),
                )
                .about(record.kind.as_str())
                .on([record]),
            );
        }
    }
}

fn answers_the_web(record: &Record) -> bool {
    match &record.kind {
        RecordType::A | RecordType::Aaaa | RecordType::Cname => true,
        RecordType::Other(kind) => matches!(kind.as_str(), "ALIAS" | "ANAME" | "HTTPS"),
        _ => false,
    }
}

fn missing(view: &View<'_>, book: &mut Book) {
    let (zone, apex, www) = (view.zone, Owner::apex(), Owner::relative("www"));
    let has = |name: &Owner| zone.at(name).any(answers_the_web);
    let below = Owner::relative("*");
    if !has(&apex) {
        book.find(Finding::new(
            ids::APEX_MISSING,
            &apex,
            format!(
                "`{}` has no address, so a browser cannot open it.",
                zone.name
            ),
        ));
    } else if !(has(&www) || zone.at(&www).next().is_none() && has(&below)) {
        let mut finding = Finding::new(
            ids::WWW_MISSING,
            &www,
            format!("`www.{}` does not exist; many people type it.", zone.name),
        );
        if zone.at(&www).next().is_none() {
            let draft = Draft::new("CNAME", "www", zone.name.absolute());
            let fix = draft.parse(&zone.name, &zone.limits).ok();
            finding = finding.mended_by(fix.map(Change::add));
        }
        book.find(finding);
    }
    if view.set(&apex, &RecordType::Caa).is_empty() {
        book.find(Finding::new(
            ids::CAA_MISSING,
            &apex,
            format!(
                "No CAA record says who may issue certificates for `{}`: any authority may.",
                zone.name
            ),
        ));
    }
}

fn wildcards(view: &View<'_>, book: &mut Book) {
    let zone = view.zone;
    let mut names: BTreeMap<&Owner, Vec<&Record>> = BTreeMap::new();
    for record in &zone.records {
        names.entry(&record.name).or_default().push(record);
    }
    for (wildcard, records) in names.iter().filter(|(name, _)| name.is_wildcard()) {
        let above = wildcard.as_str().strip_prefix("*").unwrap_or_default();
        let web = records.iter().any(|record| answers_the_web(record));
        // A name of its own hides it from the wildcard, whatever it holds.
        let holes: Vec<_> = names
            .iter()
            .filter(|(name, records)| {
                let label = name.as_str().strip_suffix(above).unwrap_or_default();
                // Service labels are never opened in a browser.
                !label.is_empty()
                    && !label.contains(['.', '_', '*', '@'])
                    && !records.iter().any(|record| answers_the_web(record))
            })
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        if web && !holes.is_empty() {
            book.find(
                Finding::new(
                    ids::WILDCARD_HOLE,
                    wildcard,
                    format!(
                        "`{wildcard}` does not answer for {}: names with records of their own are not covered.",
                        holes.join(", ")
                    ),
                )
                .on(records.iter().copied()),
            );
        }
        // What is asked at `_dmarc.anything` gets the wildcard's answer.
        let swallowed = records
            .iter()
            .any(|record| matches!(record.kind, RecordType::Cname | RecordType::Txt));
        let policy = Owner::relative(&format!("_dmarc{above}"));
        if swallowed && zone.at(&policy).next().is_none() {
            book.find(
                Finding::new(
                    ids::WILDCARD_MAIL_POLICY,
                    wildcard,
                    format!(
                        "`{wildcard}` also answers for `{policy}`, where mail servers look for the DMARC policy: give that a record of its own."
                    ),
                )
                .on(records.iter().copied()),
            );
        }
    }
}
