//! DKIM (RFC 6376): the keys the domain's mail is signed with.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use schemars::JsonSchema;
use serde::Serialize;

use super::mail::Routing;
use super::view::{View, told};
use super::{Book, Finding, Severity, ids};
use crate::dns::lookup::Answer;
use crate::dns::name::{DomainName, Owner};
use crate::dns::record::{Record, RecordType};

// A key, by its selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(
    missing_docs,
    reason = "comments go into the schemas of tools, where names that say it all cost"
)]
pub struct Selector {
    pub selector: String,
    pub valid: Option<bool>,
    pub bits: Option<usize>,
}

/// Shorter than this can be computed with little money; longer is what providers make.
const BROKEN: usize = 1_024;
const GOOD: usize = 2_048;

const BELOW: &str = "._domainkey";

pub(super) async fn check(
    view: &View<'_>,
    routing: &Routing<'_>,
    book: &mut Book,
) -> Vec<Selector> {
    // Those of the zone, and those the provider is known to use.
    let mut asked: BTreeMap<String, bool> = BTreeMap::new();
    let usual = routing
        .provider
        .map_or(&[][..], |provider| provider.selectors);
    for selector in usual {
        asked.insert((*selector).to_owned(), false);
    }
    for record in &view.zone.records {
        let selector = record.name.as_str().strip_suffix(BELOW);
        let holds = matches!(record.kind, RecordType::Txt | RecordType::Cname);
        if let Some(selector) = selector.filter(|_| holds) {
            asked.insert(selector.to_owned(), true);
        }
    }
    let zone = &view.zone.name;
    let names: Vec<(Owner, DomainName)> = asked
        .keys()
        .map(|selector| Owner::relative(&format!("{selector}{BELOW}")))
        .map(|owner| (owner.clone(), owner.fqdn(zone)))
        .collect();
    let questions = names
        .iter()
        .map(|(_, name)| (name.clone(), RecordType::Txt));
    let answers = view.ask_all(questions.collect()).await;
    let mut selectors = Vec::new();
    for (((selector, in_zone), (owner, name)), answer) in asked.iter().zip(&names).zip(&answers) {
        let found = key(view, owner, name, answer, book);
        match (found, answer) {
            (Some((valid, bits)), _) => selectors.push(Selector {
                selector: selector.clone(),
                valid: Some(valid),
                bits,
            }),
            (None, Answer::Unknown(why)) => {
                book.cannot_check(ids::DKIM_INVALID, owner, why.clone());
                selectors.push(Selector {
                    selector: selector.clone(),
                    valid: None,
                    bits: None,
                });
            }
            (None, _) if *in_zone => selectors.push(Selector {
                selector: selector.clone(),
                valid: Some(false),
                bits: None,
            }),
            (None, _) => {}
        }
    }
    let any = selectors
        .iter()
        .any(|selector| selector.valid != Some(false));
    if routing.is_used() && !any {
        let message = match routing.provider.filter(|_| !usual.is_empty()) {
            Some(provider) => format!(
                "Mail of `{zone}` is not signed: {} signs with a key at {}, and there is none.",
                provider.name,
                usual
                    .iter()
                    .map(|selector| format!("`{selector}{BELOW}`"))
                    .collect::<Vec<_>>()
                    .join(" or ")
            ),
            None => {
                format!("The zone has no DKIM key, so mail of `{zone}` is probably not signed.")
            }
        };
        let asked = names.iter().zip(&answers);
        let mut finding = Finding::new(ids::DKIM_MISSING, &Owner::apex(), message)
            .asked(asked.map(|((_, name), answer)| told(name, &RecordType::Txt, answer)));
        if usual.is_empty() {
            finding = finding.as_bad_as(Severity::Info);
        }
        book.find(finding);
    }
    selectors
}

/// What a selector holds: whether it is a key that works, and of how many bits. Nothing where it holds
/// no key at all.
fn key(
    view: &View<'_>,
    owner: &Owner,
    name: &DomainName,
    answer: &Answer,
    book: &mut Book,
) -> Option<(bool, Option<usize>)> {
    let text = answer.data().find(|text| tag(text, "p").is_some())?;
    let records: Vec<&Record> = view.zone.at(owner).collect();
    let mut find = |rule, message: String| {
        book.find(
            Finding::new(rule, owner, message)
                .on(records.iter().copied())
                .asked(
                    (!view.is_own(name) || records.iter().all(|r| r.kind != RecordType::Txt))
                        .then(|| told(name, &RecordType::Txt, answer)),
                ),
        );
    };
    let selector = owner.as_str().strip_suffix(BELOW).unwrap_or_default();
    let material = tag(text, "p").unwrap_or_default();
    if material.is_empty() {
        find(
            ids::DKIM_REVOKED,
            format!("The DKIM key `{selector}` is withdrawn: mail signed with it is not trusted."),
        );
        return Some((false, None));
    }
    let bits = rsa_bits(&material).filter(|_| !is_ed25519(text));
    // The parser of the mail library takes an RSA key for whole that was cut.
    let whole = is_ed25519(text) || bits.is_some();
    let sound = whole && DomainKey::parse(text.as_bytes()).is_ok();
    if let Some(bits) = bits.filter(|bits| *bits < BROKEN) {
        find(
            ids::DKIM_BROKEN_KEY,
            format!(
                "The DKIM key `{selector}` has {bits} bits: it can be computed, and mail servers no longer trust it."
            ),
        );
        return Some((false, Some(bits)));
    }
    if !sound {
        find(
            ids::DKIM_INVALID,
            format!(
                "The DKIM key `{selector}` cannot be read, so no signature with it holds; it was probably cut when it was pasted."
            ),
        );
        return Some((false, bits));
    }
    if let Some(bits) = bits.filter(|bits| *bits < GOOD) {
        find(
            ids::DKIM_WEAK_KEY,
            format!("The DKIM key `{selector}` has {bits} bits; {GOOD} are usual today."),
        );
    }
    if tag(text, "t").is_some_and(|flags| flags.split(':').any(|flag| flag == "y")) {
        find(
            ids::DKIM_TESTING,
            format!(
                "The DKIM key `{selector}` says that it is being tested: mail servers may ignore it."
            ),
        );
    }
    Some((true, bits))
}

fn is_ed25519(text: &str) -> bool {
    tag(text, "k").is_some_and(|kind| kind.eq_ignore_ascii_case("ed25519"))
}

/// The value of a tag, without blanks.
pub(super) fn tag(text: &str, name: &str) -> Option<String> {
    text.split(';').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let value = || value.split_ascii_whitespace().collect();
        (key.trim() == name).then(value)
    })
}

/// Padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bits of an RSA key in its DER form, base64 around it; the parser of the mail library keeps them to
/// itself.
fn rsa_bits(material: &str) -> Option<usize> {
    let der = BASE64.decode(material).ok()?;
    let outer = inside(&der, SEQUENCE)?.content;
    let first = next(outer)?;
    let key = if first.kind == SEQUENCE {
        // Behind the algorithm a bit string holds the key, after the number of bits it lacks.
        let bits = inside(first.rest, BIT_STRING)?.content;
        inside(bits.get(1..)?, SEQUENCE)?.content
    } else {
        outer
    };
    let modulus = inside(key, INTEGER)?.content;
    let modulus = &modulus[modulus.iter().take_while(|byte| **byte == 0).count()..];
    let first = modulus.first()?;
    Some(modulus.len() * 8 - first.leading_zeros() as usize)
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A value of DER, and what is behind it.
struct Value<'a> {
    kind: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

/// The next value, which has to be of this kind.
fn inside(der: &[u8], kind: u8) -> Option<Value<'_>> {
    next(der).filter(|value| value.kind == kind)
}

fn next(der: &[u8]) -> Option<Value<'_>> {
    let (kind, length) = (*der.first()?, *der.get(1)?);
    let (length, from) = if length < 0x80 {
        (usize::from(length), 2)
    } else {
        let count = usize::from(length & 0x7f);
        let digits = der.get(2..2 + count).filter(|_| count <= 3)?;
        let length = digits
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        (length, 2 + count)
    };
    Some(Value {
        kind,
        content: der.get(from..from + length)?,
        rest: der.get(from + length..)?,
    })
}
