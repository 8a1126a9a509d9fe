//! Aliases: what stands beside them, and where they lead.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{View, told};
use super::{Book, Finding, ids};
use crate::dns::change::Change;
use crate::dns::lookup::Answer;
use crate::dns::name::{DomainName, Owner};
use crate::dns::record::{Record, RecordType};
use crate::dns::zone::beside_cname;

/// A visitor waits for each.
const LONG_CHAIN: usize = 4;

pub(super) async fn check(view: &View<'_>, book: &mut Book) {
    let zone = view.zone;
    let mut names: BTreeMap<&Owner, Vec<&Record>> = BTreeMap::new();
    for record in &zone.records {
        names.entry(&record.name).or_default().push(record);
    }
    for (name, mut records) in names {
        records.sort();
        let flattened = name.is_apex() && zone.limits.apex_cname;
        let aliases: Vec<_> = records
            .iter()
            .copied()
            .filter(|record| record.kind == RecordType::Cname)
            .collect();
        if aliases.is_empty() {
            continue;
        }
        if name.is_apex() && !flattened {
            book.find(
                Finding::new(
                    ids::CNAME_APEX,
                    name,
                    format!("`{}` itself is a CNAME, which hides its mail and its name servers from some resolvers.", zone.name),
                )
                .on(aliases.iter().copied()),
            );
        }
        let beside = beside_cname(&records);
        if (beside.is_some() || aliases.len() > 1) && !flattened {
            let what = beside.map_or("another CNAME".to_owned(), |beside| {
                format!("a record of type {}", beside.kind)
            });
            book.find(
                Finding::new(
                    ids::CNAME_BESIDE_DATA,
                    name,
                    format!("`{name}` has a CNAME beside {what}: some resolvers see the one, some the other."),
                )
                .on(records.iter().copied()),
            );
        }
    }
    let leads: Vec<(&Record, DomainName)> = zone
        .records
        .iter()
        .filter(|record| match &record.kind {
            RecordType::Cname => true,
            RecordType::Other(kind) => matches!(kind.as_str(), "ALIAS" | "ANAME"),
            _ => false,
        })
        .filter_map(|record| Some((record, record.target()?)))
        .collect();
    // One question at least for each; all of them at once.
    let targets: BTreeSet<_> = leads.iter().map(|(_, target)| target.clone()).collect();
    let questions = targets.iter().map(|name| (name.clone(), RecordType::A));
    let answers = view.ask_all(questions.collect()).await;
    let answers: BTreeMap<_, _> = targets.into_iter().zip(answers).collect();
    for (record, target) in leads {
        follow(view, record, &target, &answers[&target], book).await;
    }
}

async fn follow(
    view: &View<'_>,
    record: &Record,
    target: &DomainName,
    answer: &Answer,
    book: &mut Book,
) {
    let name = &record.name;
    if loops(view, record) {
        book.find(
            Finding::new(
                ids::CNAME_LOOP,
                name,
                format!("`{name}` leads back to itself, so it leads nowhere."),
            )
            .on([record]),
        );
        return;
    }
    match answer {
        Answer::Found { aliases, .. } if aliases.len() + 1 >= LONG_CHAIN => {
            let hops: Vec<_> = aliases.iter().map(|alias| format!("`{alias}`")).collect();
            book.find(
                Finding::new(
                    ids::CNAME_CHAIN,
                    name,
                    format!(
                        "`{name}` leads through {} aliases ({}): each is another wait.",
                        aliases.len() + 1,
                        hops.join(", ")
                    ),
                )
                .on([record])
                .asked([told(target, &RecordType::A, answer)]),
            );
        }
        // A name with other records only, or an IPv6 address, is there.
        Answer::Found { .. } | Answer::Empty => {}
        Answer::NoName => {
            let service = super::providers::claimable(target);
            let finding = match service {
                Some(service) => Finding::new(
                    ids::CNAME_TAKEOVER,
                    name,
                    format!(
                        "`{}` points at `{target}` at {service}, which nobody holds: whoever claims it there speaks as you.",
                        name.fqdn(&view.zone.name)
                    ),
                ),
                None => Finding::new(
                    ids::CNAME_DANGLING,
                    name,
                    format!("`{name}` points at `{target}`, which does not exist."),
                ),
            };
            book.find(
                finding
                    .about(target.as_str())
                    .on([record])
                    .asked([told(target, &RecordType::A, answer)])
                    .mended_by([Change::delete(record.clone())]),
            );
        }
        Answer::Unknown(why) => book.cannot_check(ids::CNAME_DANGLING, name, why.clone()),
    }
}

/// Whether an alias comes back to itself within the zone.
fn loops(view: &View<'_>, record: &Record) -> bool {
    let zone = view.zone;
    let start = record.name.fqdn(&zone.name);
    let (mut seen, mut next) = (BTreeSet::new(), record.target());
    while let Some(name) = next {
        if name == start {
            return true;
        }
        let Some(owner) = Owner::within(&name, &zone.name).filter(|_| seen.insert(name.clone()))
        else {
            return false;
        };
        next = view
            .set(&owner, &RecordType::Cname)
            .first()
            .and_then(|record| record.target());
    }
    false
}
