//! DMARC (RFC 7489, 9989): what is to happen with mail that only says it is the domain's.

use std::collections::BTreeSet;

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::{Alignment, Dmarc as Parsed, Policy};
use schemars::JsonSchema;
use serde::Serialize;

use super::dkim::tag;
use super::mail::Routing;
use super::view::{View, told};
use super::{Book, Finding, ids};
use crate::dns::change::Change;
use crate::dns::lookup::Answer;
use crate::dns::name::{DomainName, Owner};
use crate::dns::record::{Draft, Record, RecordType};

// What the domain wants done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(
    missing_docs,
    reason = "comments go into the schemas of tools, where names that say it all cost"
)]
pub struct Dmarc {
    pub record: Option<String>,
    pub policy: Option<String>,
    pub subdomains: Option<String>,
    pub spf_alignment: Option<String>,
    pub dkim_alignment: Option<String>,
    pub reports: Vec<String>,
}

pub(super) async fn check(view: &View<'_>, routing: &Routing<'_>, book: &mut Book) -> Dmarc {
    let name = Owner::relative("_dmarc");
    let fqdn = name.fqdn(&view.zone.name);
    // The policy may be kept elsewhere, behind an alias.
    let answer = view.ask(&fqdn, &RecordType::Txt).await;
    let here: Vec<&Record> = view.zone.at(&name).collect();
    if let Answer::Unknown(why) = &answer {
        book.cannot_check(ids::DMARC_MISSING, &name, why.clone());
        return Dmarc::default();
    }
    let texts: Vec<&str> = answer.data().filter(|text| is_dmarc(text)).collect();
    let text = match texts[..] {
        [] => {
            missing(view, routing, &here, book);
            return Dmarc::default();
        }
        [text] => text,
        _ => {
            book.find(
                Finding::new(
                    ids::DMARC_MULTIPLE,
                    &name,
                    format!(
                        "There are {} DMARC records; with more than one, mail servers take none.",
                        texts.len()
                    ),
                )
                .on(here.iter().copied()),
            );
            return Dmarc::default();
        }
    };
    let mut dmarc = Dmarc {
        record: Some(text.to_owned()),
        ..Dmarc::default()
    };
    let find = |rule, message: String| Finding::new(rule, &name, message).on(here.iter().copied());
    let parsed = match Parsed::parse(text.as_bytes()) {
        Ok(parsed) if parsed.p != Policy::Unspecified => parsed,
        _ => {
            book.find(find(
                ids::DMARC_INVALID,
                "The DMARC record cannot be read, or has no policy `p`: mail servers ignore it."
                    .to_owned(),
            ));
            return dmarc;
        }
    };
    dmarc.policy = Some(parsed.p.to_string());
    dmarc.subdomains = Some(parsed.sp.to_string());
    dmarc.spf_alignment = Some(aligned(parsed.aspf).to_owned());
    dmarc.dkim_alignment = Some(aligned(parsed.adkim).to_owned());
    dmarc.reports = parsed
        .rua()
        .iter()
        .map(|uri| uri.uri().to_owned())
        .collect();
    if parsed.p == Policy::None {
        book.find(find(
            ids::DMARC_POLICY_NONE,
            "The DMARC policy is `none`: forged mail is delivered. When the reports look right, go on to `quarantine`.".to_owned(),
        ));
    } else if parsed.sp == Policy::None {
        book.find(find(
            ids::DMARC_SUBDOMAINS_OPEN,
            "The DMARC policy leaves names below open (`sp=none`): forged mail from them is delivered.".to_owned(),
        ));
    }
    let percent = tag(text, "pct").and_then(|percent| percent.parse::<u8>().ok());
    if parsed.t || percent.is_some_and(|percent| percent < 100) {
        book.find(find(
            ids::DMARC_PARTIAL,
            "The DMARC policy holds for a part of the mail only (`pct`, or `t=y`).".to_owned(),
        ));
    }
    let strict = [(parsed.aspf, "SPF"), (parsed.adkim, "DKIM")];
    let strict: Vec<_> = strict
        .iter()
        .filter(|(alignment, _)| *alignment == Alignment::Strict)
        .map(|(_, what)| *what)
        .collect();
    if !strict.is_empty() {
        book.find(find(
            ids::DMARC_ALIGNMENT_STRICT,
            format!("The DMARC alignment of {} is strict: mail that a service sends from a name below is taken for forged.", strict.join(" and ")),
        ));
    }
    if dmarc.reports.is_empty() {
        book.find(find(
            ids::DMARC_NO_REPORTS,
            "Nobody gets the DMARC reports: add `rua=mailto:` with an address to see who sends as you.".to_owned(),
        ));
    }
    reports(view, &name, &dmarc.reports, &here, book).await;
    dmarc
}

fn is_dmarc(text: &str) -> bool {
    tag(text, "v").is_some_and(|version| version == "DMARC1")
}

fn aligned(alignment: Alignment) -> &'static str {
    match alignment {
        Alignment::Relaxed => "relaxed",
        Alignment::Strict => "strict",
    }
}

fn missing(view: &View<'_>, routing: &Routing<'_>, here: &[&Record], book: &mut Book) {
    let zone = view.zone;
    // Who sends nothing can say so; everybody else has to look at reports first.
    let text = if routing.refuses {
        "v=DMARC1; p=reject"
    } else {
        "v=DMARC1; p=none"
    };
    let draft = Draft::new("TXT", "_dmarc", text);
    let taken = here.iter().any(|record| record.kind == RecordType::Cname);
    let fix = draft
        .parse(&zone.name, &zone.limits)
        .ok()
        .filter(|_| !taken);
    book.find(
        Finding::new(
            ids::DMARC_MISSING,
            &Owner::relative("_dmarc"),
            format!("No DMARC record says what to do with mail that only claims to be from `{}`; large providers expect one.", zone.name),
        )
        .on(here.iter().copied())
        .mended_by(fix.map(Change::add)),
    );
}

/// Whether those the reports go to have agreed to get them.
async fn reports(
    view: &View<'_>,
    name: &Owner,
    addresses: &[String],
    here: &[&Record],
    book: &mut Book,
) {
    let zone = &view.zone.name;
    let hosts: BTreeSet<DomainName> = addresses
        .iter()
        .filter_map(|address| {
            let (_, host) = address.rsplit_once('@')?;
            host.split('!').next()?.parse().ok()
        })
        .filter(|host: &DomainName| !host.is_within(zone) && !zone.is_within(host))
        .collect();
    for host in hosts {
        let Ok(permit) = format!("{zone}._report._dmarc.{host}").parse::<DomainName>() else {
            continue;
        };
        let answer = view.ask(&permit, &RecordType::Txt).await;
        match &answer {
            Answer::Unknown(why) => {
                book.cannot_check(ids::DMARC_REPORTS_REFUSED, name, why.clone());
            }
            answer if answer.data().any(is_dmarc) => {}
            answer => book.find(
                Finding::new(
                    ids::DMARC_REPORTS_REFUSED,
                    name,
                    format!("DMARC reports go to `{host}`, which has not agreed to get those of `{zone}`: they are not sent."),
                )
                .about(host.as_str())
                .on(here.iter().copied())
                .asked([told(&permit, &RecordType::Txt, answer)]),
            ),
        }
    }
}
