//! Who answers for the zone, and whether the answers are signed.

use std::collections::BTreeSet;

use super::view::View;
use super::{Book, Dnssec, Facts, Finding, ids};
use crate::dns::lookup::Answer;
use crate::dns::name::{DomainName, Owner};
use crate::dns::record::RecordType;

pub(super) async fn check(view: &View<'_>, facts: Facts, book: &mut Book) {
    let (zone, apex) = (view.zone, Owner::apex());
    let records = view.set(&apex, &RecordType::Ns);
    let within: BTreeSet<DomainName> = records.iter().filter_map(|ns| ns.target()).collect();
    let delegated: BTreeSet<DomainName> = zone.nameservers.iter().cloned().collect();
    let list = |names: &BTreeSet<DomainName>| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let elsewhere = zone.authoritative == Some(false);
    if elsewhere {
        let answering = if delegated.is_empty() {
            "other name servers".to_owned()
        } else {
            list(&delegated)
        };
        book.find(Finding::new(
            ids::NS_ELSEWHERE,
            &apex,
            format!(
                "`{}` is answered for by {answering}: what is kept here has no effect.",
                zone.name
            ),
        ));
    } else if !delegated.is_empty() && !within.is_empty() && delegated != within {
        book.find(
            Finding::new(
                ids::NS_MISMATCH,
                &apex,
                format!(
                    "The registry sends the world to {}, but the zone names {}.",
                    list(&delegated),
                    list(&within)
                ),
            )
            .on(records.iter().copied()),
        );
    }
    let serving = if delegated.is_empty() {
        &within
    } else {
        &delegated
    };
    if serving.len() == 1 {
        book.find(
            Finding::new(
                ids::NS_SINGLE,
                &apex,
                format!(
                    "{} is the only name server: when it is down, so is `{}`.",
                    list(serving),
                    zone.name
                ),
            )
            .on(records.iter().copied()),
        );
    }
    for ns in zone.of(&RecordType::Ns) {
        let Some(host) = ns.target() else { continue };
        let (there, asked) = view.has_address(&host).await;
        match there {
            Ok(true) => {}
            Ok(false) => book.find(
                Finding::new(
                    ids::NS_TARGET_MISSING,
                    &ns.name,
                    format!("The name server `{host}` has no address, so it cannot answer."),
                )
                .about(host.as_str())
                .on([ns])
                .asked(asked),
            ),
            Err(why) => book.cannot_check(ids::NS_TARGET_MISSING, &ns.name, why),
        }
    }
    // Of a zone the world does not see, only its keeper can say.
    let signed = match facts.dnssec {
        None if !elsewhere => match ask(view).await {
            Ok(signed) => Some(signed),
            Err(why) => {
                book.cannot_check(ids::DNSSEC_OFF, &apex, why);
                None
            }
        },
        told => told,
    };
    dnssec(signed, book);
}

/// Whether the registry says that the zone is signed, and whether it is.
async fn ask(view: &View<'_>) -> Result<Dnssec, String> {
    let there = async |kind: &str| {
        let kind = RecordType::Other(kind.to_owned());
        match view.ask_world(&view.zone.name, &kind).await {
            Answer::Unknown(why) => Err(why),
            answer => Ok(!answer.records().is_empty()),
        }
    };
    Ok(match (there("DS").await?, there("DNSKEY").await?) {
        (true, true) => Dnssec::Active,
        (true, false) => Dnssec::Broken,
        (false, true) => Dnssec::Pending,
        (false, false) => Dnssec::Off,
    })
}

fn dnssec(signed: Option<Dnssec>, book: &mut Book) {
    let (rule, message) = match signed {
        Some(Dnssec::Off) => (
            ids::DNSSEC_OFF,
            "The zone is not signed, so answers can be forged on their way.",
        ),
        Some(Dnssec::Pending) => (
            ids::DNSSEC_PENDING,
            "The zone is signed, but the registry does not say so yet: add the DS record at the registrar.",
        ),
        Some(Dnssec::Broken) => (
            ids::DNSSEC_BROKEN,
            "The registry says that the zone is signed, and it is not: resolvers that check take it for forged.",
        ),
        Some(Dnssec::Active) | None => return,
    };
    book.find(Finding::new(rule, &Owner::apex(), message));
}
