//! SPF (RFC 7208): the record, and everything it makes a mail server look up.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::spf::{Macro, Mechanism, Qualifier, Spf as Parsed};
use schemars::JsonSchema;
use serde::Serialize;

use super::mail::Routing;
use super::providers::Provider;
use super::view::{View, told};
use super::{Asked, Book, Finding, Rule, ids};
use crate::dns::change::Change;
use crate::dns::lookup::Answer;
use crate::dns::name::{DomainName, Owner};
use crate::dns::record::{Draft, Record, RecordType};

/// RFC 7208, section 4.6.4.
const MOST_LOOKUPS: u32 = 10;
const MOST_VOIDS: u32 = 2;
/// What is over the limit several times over need not be counted to its end.
const ENOUGH: u32 = 50;

// What the domain says about who may send its mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(
    missing_docs,
    reason = "comments go into the schemas of tools, where names that say it all cost"
)]
pub struct Spf {
    pub record: Option<String>,
    /// Of 10; null: not all could be made
    pub lookups: Option<u32>,
    pub void_lookups: Option<u32>,
    pub includes: Vec<DomainName>,
}

/// What a record and those it includes come to.
#[derive(Default)]
struct Walk {
    lookups: u32,
    voids: u32,
    includes: BTreeSet<DomainName>,
    asked: Vec<Asked>,
    unknown: Option<String>,
    found: Vec<Found>,
}

/// Something wrong on the way.
struct Found {
    rule: Rule,
    about: DomainName,
    message: String,
    asked: Option<Asked>,
}

/// Checks the record of the zone itself.
pub(super) async fn check(view: &View<'_>, routing: &Routing<'_>, book: &mut Book) -> Spf {
    let apex = Owner::apex();
    let texts = view.set(&apex, &RecordType::Txt);
    let records: Vec<&Record> = texts
        .into_iter()
        .filter(|record| is_spf(&record.data))
        .collect();
    deprecated_type(view, &records, book);
    let record = match records[..] {
        [] => {
            missing(view, routing, book);
            return Spf::default();
        }
        [record] => record,
        _ => {
            book.find(
                Finding::new(
                    ids::SPF_MULTIPLE,
                    &apex,
                    format!(
                        "There are {} SPF records; with more than one, mail servers take none. Merge them into one.",
                        records.len()
                    ),
                )
                .on(records.iter().copied()),
            );
            return Spf::default();
        }
    };
    let mut spf = Spf {
        record: Some(record.data.clone()),
        ..Spf::default()
    };
    let parsed = match parse(&record.data) {
        Ok(parsed) => parsed,
        Err(term) => {
            let what = term.map_or("it".to_owned(), |term| format!("`{term}`"));
            book.find(
                Finding::new(
                    ids::SPF_INVALID,
                    &apex,
                    format!("The SPF record cannot be read: {what} is not a term of SPF. Mail servers treat it as an error."),
                )
                .on([record]),
            );
            return spf;
        }
    };
    ends(record, &parsed, book);
    let mut walk = Walk::default();
    let mut path = vec![view.zone.name.clone()];
    step(view, &parsed, &mut path, &mut walk).await;
    judge(record, &walk, book);
    provider(record, routing, &walk, book);
    if walk.unknown.is_none() {
        spf.lookups = Some(walk.lookups);
        spf.void_lookups = Some(walk.voids);
    }
    spf.includes = walk.includes.into_iter().collect();
    spf
}

fn is_spf(text: &str) -> bool {
    let version = text.split(' ').next().unwrap_or_default();
    version.eq_ignore_ascii_case("v=spf1")
}

/// The record; or, where it cannot be read, the first term that is to blame.
fn parse(text: &str) -> Result<Parsed, Option<String>> {
    let terms = || text.split_ascii_whitespace().skip(1);
    // The parser passes over mechanisms it does not know; mail servers must not (RFC 7208, 4.6.1).
    if let Some(unknown) = terms().find(|term| !is_known(term)) {
        return Err(Some(unknown.to_owned()));
    }
    let whole = |text: &str| Parsed::parse(text.as_bytes());
    whole(text).map_err(|_| {
        terms()
            .find(|term| whole(&format!("v=spf1 {term}")).is_err())
            .map(str::to_owned)
    })
}

/// Whether a term is a mechanism there is, or a modifier, of which there may be any.
fn is_known(term: &str) -> bool {
    let end = term.find([':', '/', '=']).unwrap_or(term.len());
    if term[end..].starts_with('=') {
        return true;
    }
    let name = term[..end].trim_start_matches(['+', '-', '~', '?']);
    ["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

fn deprecated_type(view: &View<'_>, current: &[&Record], book: &mut Book) {
    let kind = RecordType::Other("SPF".to_owned());
    for record in view.zone.of(&kind) {
        let replaced = current.iter().any(|txt| txt.data == record.data);
        let fix = (replaced && record.name.is_apex()).then(|| Change::delete(record.clone()));
        book.find(
            Finding::new(
                ids::SPF_DEPRECATED_TYPE,
                &record.name,
                "Records of the type SPF have not been read since 2014; SPF is a TXT record.",
            )
            .on([record])
            .mended_by(fix),
        );
    }
}

fn missing(view: &View<'_>, routing: &Routing<'_>, book: &mut Book) {
    let zone = view.zone;
    let text = match (routing.refuses, routing.provider) {
        (true, _) => Some("v=spf1 -all".to_owned()),
        // Softly, because others may send for the domain too.
        (false, Some(provider)) if !provider.spf.is_empty() => {
            Some(format!("v=spf1 include:{} ~all", provider.spf))
        }
        _ => None,
    };
    let fix = text.and_then(|text| {
        let draft = Draft::new("TXT", "@", text);
        draft.parse(&zone.name, &zone.limits).ok().map(Change::add)
    });
    book.find(
        Finding::new(
            ids::SPF_MISSING,
            &Owner::apex(),
            format!("No SPF record says who may send mail as `{}`: anybody's mail looks as good as yours.", zone.name),
        )
        .mended_by(fix),
    );
}

/// How the record ends, and what stands where it is never read.
fn ends(record: &Record, parsed: &Parsed, book: &mut Book) {
    let apex = Owner::apex();
    let all = parsed
        .directives
        .iter()
        .position(|directive| directive.mechanism == Mechanism::All);
    match all.map(|place| &parsed.directives[place].qualifier) {
        Some(Qualifier::Pass) => {
            let safe = record
                .data
                .split(' ')
                .map(|term| match term.to_ascii_lowercase().as_str() {
                    "all" | "+all" => "~all",
                    _ => term,
                })
                .collect::<Vec<_>>()
                .join(" ");
            let after = Record {
                data: safe,
                ..record.clone()
            };
            book.find(
                Finding::new(
                    ids::SPF_ALLOWS_ALL,
                    &apex,
                    "The SPF record ends in `+all`, which lets everybody send as you.",
                )
                .on([record])
                .mended_by([Change::replace(record.clone(), after)]),
            );
        }
        Some(Qualifier::Neutral) => book.find(
            Finding::new(
                ids::SPF_NO_END,
                &apex,
                "The SPF record ends in `?all`, which says nothing about everybody else; `~all` or `-all` does.",
            )
            .on([record]),
        ),
        Some(_) => {}
        None if parsed.redirect.is_none() => book.find(
            Finding::new(
                ids::SPF_NO_END,
                &apex,
                "The SPF record does not say what to do with everybody else: end it in `~all` or `-all`.",
            )
            .on([record]),
        ),
        None => {}
    }
    let Some(place) = all else { return };
    let unreached = parsed.directives.len() - place - 1;
    if unreached > 0 || parsed.redirect.is_some() {
        let what = if unreached > 0 {
            "terms behind `all`"
        } else {
            "a `redirect` beside `all`"
        };
        book.find(
            Finding::new(
                ids::SPF_UNREACHED,
                &apex,
                format!("The SPF record has {what}, which no mail server reads."),
            )
            .on([record]),
        );
    }
}

/// Where a term leads: the domain itself, another, or one that only the sender's address tells.
fn target(domain: &Macro, current: &DomainName) -> Option<DomainName> {
    match domain {
        Macro::None => Some(current.clone()),
        Macro::Literal(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        Macro::Variable { .. } | Macro::List(_) => None,
    }
}

/// Counts what one record makes a mail server look up, and those it leads to.
fn step<'a>(
    view: &'a View<'_>,
    record: &'a Parsed,
    path: &'a mut Vec<DomainName>,
    walk: &'a mut Walk,
) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let current = path.last().cloned().unwrap_or_else(DomainName::root);
        let mut has_all = false;
        for directive in &record.directives {
            match &directive.mechanism {
                Mechanism::All => {
                    has_all = true;
                    break;
                }
                Mechanism::Include { macro_string } => {
                    lead(view, macro_string, "include", path, walk).await;
                }
                Mechanism::A { macro_string, .. } => {
                    walk.lookups += 1;
                    if let Some(name) = target(macro_string, &current) {
                        let (there, asked) = view.has_address(&name).await;
                        walk.told(there.map(|there| !there), asked);
                    }
                }
                Mechanism::Mx { macro_string, .. } => {
                    walk.lookups += 1;
                    if let Some(name) = target(macro_string, &current) {
                        let answer = view.ask(&name, &RecordType::Mx).await;
                        let asked = told(&name, &RecordType::Mx, &answer);
                        walk.told(voided(&answer), vec![asked]);
                    }
                }
                Mechanism::Exists { .. } => walk.lookups += 1,
                Mechanism::Ptr { .. } => {
                    walk.lookups += 1;
                    walk.found.push(Found {
                        rule: ids::SPF_DEPRECATED_PTR,
                        about: current.clone(),
                        message: format!(
                            "The SPF record of `{current}` has `ptr`, which is slow and which some mail servers no longer follow."
                        ),
                        asked: None,
                    });
                }
                Mechanism::Ip4 { .. } | Mechanism::Ip6 { .. } => {}
            }
            if walk.lookups > ENOUGH {
                return;
            }
        }
        if let Some(domain) = record.redirect.as_ref().filter(|_| !has_all) {
            lead(view, domain, "redirect", path, walk).await;
        }
    })
}

/// Follows an `include` or a `redirect`.
async fn lead(
    view: &View<'_>,
    domain: &Macro,
    word: &str,
    path: &mut Vec<DomainName>,
    walk: &mut Walk,
) {
    walk.lookups += 1;
    let current = path.last().cloned().unwrap_or_else(DomainName::root);
    let Some(name) = target(domain, &current) else {
        return;
    };
    let found = |rule, message: String, asked| Found {
        rule,
        about: name.clone(),
        message,
        asked,
    };
    if path.contains(&name) {
        let message = format!(
            "The SPF record of `{current}` comes back to `{name}` with its `{word}`: mail servers give up."
        );
        walk.found.push(found(ids::SPF_LOOP, message, None));
        return;
    }
    walk.includes.insert(name.clone());
    let answer = view.ask(&name, &RecordType::Txt).await;
    let asked = told(&name, &RecordType::Txt, &answer);
    walk.told(voided(&answer), vec![asked.clone()]);
    if !answer.is_known() {
        return;
    }
    let texts: Vec<_> = answer.data().filter(|text| is_spf(text)).collect();
    let problem = match texts[..] {
        [] => Some("has no SPF record"),
        [text] => match parse(text) {
            Ok(parsed) => {
                path.push(name.clone());
                step(view, &parsed, path, walk).await;
                path.pop();
                None
            }
            Err(_) => Some("has an SPF record that cannot be read"),
        },
        _ => Some("has more than one SPF record"),
    };
    if let Some(problem) = problem {
        let message = format!(
            "The SPF record of `{current}` has `{word}:{name}`, and `{name}` {problem}: mail servers treat that as an error."
        );
        walk.found
            .push(found(ids::SPF_INCLUDE_MISSING, message, Some(asked)));
    }
}

fn voided(answer: &Answer) -> Result<bool, String> {
    match answer {
        Answer::Unknown(why) => Err(why.clone()),
        answer => Ok(answer.is_void()),
    }
}

impl Walk {
    fn told(&mut self, void: Result<bool, String>, asked: Vec<Asked>) {
        match void {
            Ok(void) => {
                self.voids += u32::from(void);
                self.asked.extend(asked);
            }
            Err(why) => {
                self.unknown.get_or_insert(why);
            }
        }
    }
}

fn judge(record: &Record, walk: &Walk, book: &mut Book) {
    let apex = Owner::apex();
    for found in &walk.found {
        book.find(
            Finding::new(found.rule, &apex, &found.message)
                .about(found.about.as_str())
                .on([record])
                .asked(found.asked.clone()),
        );
    }
    let enough = if walk.lookups > ENOUGH {
        "more than "
    } else {
        ""
    };
    let count = walk.lookups.min(ENOUGH);
    // What is counted is there, even where the rest is not known.
    if walk.lookups > MOST_LOOKUPS {
        book.find(
            Finding::new(
                ids::SPF_TOO_MANY_LOOKUPS,
                &apex,
                format!("The SPF record needs {enough}{count} look-ups, and mail servers make {MOST_LOOKUPS}: they may refuse all mail. Drop what no longer sends for you."),
            )
            .on([record])
            .asked(walk.asked.clone()),
        );
    } else if let Some(why) = &walk.unknown {
        book.cannot_check(ids::SPF_TOO_MANY_LOOKUPS, &apex, why.clone());
    } else if walk.lookups + 1 >= MOST_LOOKUPS {
        book.find(
            Finding::new(
                ids::SPF_NEAR_LIMIT,
                &apex,
                format!("The SPF record needs {count} of the {MOST_LOOKUPS} look-ups mail servers make; those it includes may grow."),
            )
            .on([record]),
        );
    }
    if walk.voids > MOST_VOIDS {
        let voids = walk
            .asked
            .iter()
            .filter(|asked| asked.answer.starts_with("no such"));
        book.find(
            Finding::new(
                ids::SPF_TOO_MANY_VOID_LOOKUPS,
                &apex,
                format!("{} look-ups of the SPF record find nothing, and mail servers bear {MOST_VOIDS}: they may refuse all mail.", walk.voids),
            )
            .on([record])
            .asked(voids.cloned()),
        );
    } else if let Some(why) = &walk.unknown {
        book.cannot_check(ids::SPF_TOO_MANY_VOID_LOOKUPS, &apex, why.clone());
        book.cannot_check(ids::SPF_INCLUDE_MISSING, &apex, why.clone());
    }
}

/// Whether those who receive the mail may send it too.
fn provider(record: &Record, routing: &Routing<'_>, walk: &Walk, book: &mut Book) {
    let Some(Provider { name, spf, .. }) = routing.provider else {
        return;
    };
    let included = walk.includes.iter().any(|include| include.as_str() == *spf);
    if spf.is_empty() || included {
        return;
    }
    // One that could not be followed may lead there.
    if let Some(why) = &walk.unknown {
        book.cannot_check(ids::SPF_PROVIDER_MISSING, &Owner::apex(), why.clone());
        return;
    }
    book.find(
        Finding::new(
            ids::SPF_PROVIDER_MISSING,
            &Owner::apex(),
            format!("Mail is handled by {name}, but the SPF record does not let it send: `include:{spf}` is not there."),
        )
        .on([record]),
    );
}
