//! How well a contact answers, and why.
//!
//! Points per term and field; what a whole name adds; importance and recency only between equals.

use std::cmp::Ordering;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::index::{label, unspaced};
use super::query::Term;

/// A contact that answers the search.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Hit {
    /// The contact's id.
    pub id: String,
    /// From 0 to 1; 1 is the whole name, letter by letter.
    pub score: f64,
    /// One reason for each part of the text that was found.
    pub why: Vec<Reason>,
}

/// Why a contact is a hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// Where it was found.
    pub field: Field,
    /// How it was found.
    pub kind: Match,
    /// The part of the text that was asked, folded.
    pub query_token: String,
    /// What the contact has, folded.
    pub matched_token: String,
}

/// Where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// First, last or whole name.
    Name,
    /// A nickname or alias the owner taught.
    Alias,
    /// Company.
    Company,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
}

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// The same word.
    Exact,
    /// The beginning of the word.
    Prefix,
    /// A nickname of the name, or the name of the nickname.
    Nickname,
    /// A few letters differ.
    Misspelling,
    /// Written otherwise, pronounced alike.
    SoundsLike,
    /// The first letter, or all of them.
    Initial,
    /// The end of the number, or all of it.
    PhoneTail,
    /// The whole address, what is before the `@`, or the domain.
    Email,
    /// A name the owner taught.
    Alias,
    /// A word of the company's name.
    Company,
}

/// A term with the other words that may have been meant.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub term: Term,
    pub others: HashMap<String, Way>,
}

/// How a word leads to another, and what a match that way is worth of 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub kind: Match,
    pub points: i32,
}

/// A row of `people`.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidate {
    pub id: String,
    pub name: String,
    pub company: String,
    pub emails: String,
    pub phones: String,
    pub taught: String,
    pub importance: i32,
    pub seen: Option<DateTime<Utc>>,
}

/// A candidate with its points.
#[derive(Debug, Clone)]
pub(super) struct Ranked {
    pub points: i32,
    /// Every term was found.
    pub complete: bool,
    pub candidate: Candidate,
    pub why: Vec<Reason>,
}

/// The most points there are: everything exact, the whole name, in its order.
const PERFECT: i32 = 111;

impl Ranked {
    /// Best first: points, then importance, then recency; then by id, so that the order is stable.
    pub(super) fn order(&self, other: &Ranked) -> Ordering {
        let (one, two) = (&self.candidate, &other.candidate);
        other
            .points
            .cmp(&self.points)
            .then(two.importance.cmp(&one.importance))
            .then(two.seen.cmp(&one.seen))
            .then(one.id.cmp(&two.id))
    }

    pub(super) fn into_hit(self) -> Hit {
        let share = f64::from(self.points.clamp(1, PERFECT)) / f64::from(PERFECT);
        Hit {
            id: self.candidate.id,
            score: (share * 1000.0).round() / 1000.0,
            why: self.why,
        }
    }
}

/// Weigh a candidate; `None` when it has nothing of what is wanted.
pub(super) fn rank(wanted: &[Wanted], candidate: Candidate) -> Option<Ranked> {
    let name: Vec<&str> = candidate.name.split_whitespace().collect();
    let mut taken = vec![false; name.len()];
    let mut found: Vec<Option<(i32, Reason)>> = vec![None; wanted.len()];

    // Exact words take their place in the name first, so that `john johnson` is not both times John.
    let mut in_order = true;
    let mut last = None;
    for (slot, want) in found.iter_mut().zip(wanted) {
        let Term::Word(word) = &want.term else {
            continue;
        };
        if let Some(place) = (0..name.len()).find(|place| !taken[*place] && name[*place] == word) {
            taken[place] = true;
            in_order &= last < Some(place);
            last = Some(place);
            *slot = Some((100, reason(Field::Name, Match::Exact, word, word)));
        }
    }
    let exact = found.iter().all(Option::is_some);

    for (slot, want) in found.iter_mut().zip(wanted) {
        if slot.is_none() {
            *slot = best(want, &candidate, &name, &mut taken);
        }
    }

    let missing = found.iter().filter(|slot| slot.is_none()).count() as i32;
    if missing as usize == wanted.len() {
        return None;
    }
    let sum: i32 = found.iter().flatten().map(|(points, _)| points).sum();
    let in_name = taken.iter().filter(|taken| **taken).count() as i32;
    let mut points = sum / wanted.len() as i32 - 25 * missing;
    if exact && in_name as usize == name.len() {
        points += 10 + i32::from(in_order);
    } else if in_name > 0 {
        points += 6 * in_name / name.len() as i32;
    }
    if whole_alias(wanted, &candidate) {
        points += 6;
    }
    // A company called exactly so is meant before a person called nearly so.
    let mut all = found.iter();
    if all.all(|slot| matches!(slot, Some((_, why)) if why.kind == Match::Company)) {
        points += 12;
    }
    let why = found
        .into_iter()
        .flatten()
        .map(|(_, reason)| reason)
        .collect();
    Some(Ranked {
        points,
        complete: missing == 0,
        candidate,
        why,
    })
}

fn reason(field: Field, kind: Match, query: &str, matched: &str) -> Reason {
    Reason {
        field,
        kind,
        query_token: query.to_owned(),
        matched_token: matched.to_owned(),
    }
}

/// Whether the text is one of the taught names, word by word.
fn whole_alias(wanted: &[Wanted], candidate: &Candidate) -> bool {
    candidate.taught.lines().any(|alias| {
        alias
            .split(' ')
            .eq(wanted.iter().map(|want| match &want.term {
                Term::Word(word) => word.as_str(),
                _ => "",
            }))
    })
}

/// The best that a candidate has for a term.
fn best(
    want: &Wanted,
    candidate: &Candidate,
    name: &[&str],
    taken: &mut [bool],
) -> Option<(i32, Reason)> {
    let shown = want.term.shown();
    let mut best: Option<(i32, Reason)> = None;
    let mut place = None;
    let mut offer = |points: i32, field: Field, kind: Match, matched: &str| {
        let better = best.as_ref().is_none_or(|(had, _)| points > *had);
        if better {
            best = Some((points, reason(field, kind, &shown, matched)));
        }
        better
    };

    match &want.term {
        Term::Word(word) => {
            for (at, of_name) in name.iter().enumerate().filter(|(at, _)| !taken[*at]) {
                // The contact itself may have only the initial.
                let bare = of_name.chars().nth(1).is_none() && word.starts_with(of_name);
                let bare = bare.then_some(Way {
                    kind: Match::Initial,
                    points: 60,
                });
                if let Some(way) = way(word, of_name, want).or(bare)
                    && offer(way.points, Field::Name, way.kind, of_name)
                {
                    place = Some(at);
                }
            }
            if unspaced(name).is_some_and(|orders| orders.contains(word))
                && offer(100, Field::Name, Match::Exact, &candidate.name)
            {
                place = None;
            }
            if are_initials(word, name) && offer(78, Field::Name, Match::Initial, &candidate.name) {
                place = None;
            }
            for alias in candidate.taught.split_whitespace() {
                let way = way(word, alias, want).map(|way| match way.kind {
                    Match::Exact => Way {
                        kind: Match::Alias,
                        points: 97,
                    },
                    _ => Way {
                        points: way.points - 3,
                        ..way
                    },
                });
                if let Some(way) = way
                    && offer(way.points, Field::Alias, way.kind, alias)
                {
                    place = None;
                }
            }
            for of_company in candidate.company.split_whitespace() {
                let way = way(word, of_company, want).map(|way| match way.kind {
                    Match::Exact => Way {
                        kind: Match::Company,
                        points: 85,
                    },
                    _ => Way {
                        points: way.points * 4 / 5,
                        ..way
                    },
                });
                if let Some(way) = way
                    && offer(way.points, Field::Company, way.kind, of_company)
                {
                    place = None;
                }
            }
            for email in candidate.emails.split_whitespace() {
                if let Some(points) = word_of_email(word, email)
                    && offer(points, Field::Email, Match::Email, email)
                {
                    place = None;
                }
            }
        }
        Term::Handle(handle) => {
            for email in candidate.emails.split_whitespace() {
                let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
                if local == handle {
                    offer(95, Field::Email, Match::Email, email);
                } else if belongs(domain, handle) {
                    offer(80, Field::Email, Match::Email, email);
                }
            }
        }
        Term::Email { local, domain } => {
            for email in candidate.emails.split_whitespace() {
                let (has_local, has_domain) = email.rsplit_once('@').unwrap_or((email, ""));
                let fits_local = local.is_empty() || local == has_local;
                let fits_domain = domain.is_empty() || belongs(has_domain, domain);
                if fits_local && fits_domain {
                    let points = match (local.is_empty(), domain.is_empty()) {
                        (false, false) => 100,
                        (false, true) => 95,
                        _ => 80,
                    };
                    offer(points, Field::Email, Match::Email, email);
                }
            }
        }
        Term::Phone(digits) => {
            for phone in candidate.phones.split_whitespace() {
                if let Some(points) = phone_points(digits, phone) {
                    offer(points, Field::Phone, Match::PhoneTail, phone);
                }
            }
            // A company may be called by a year or a house number.
            for word in name
                .iter()
                .copied()
                .chain(candidate.company.split_whitespace())
            {
                if word == digits {
                    offer(85, Field::Company, Match::Company, word);
                }
            }
        }
    }
    if let Some(place) = place {
        taken[place] = true;
    }
    best
}

/// How an asked word leads to a word of the contact.
fn way(asked: &str, has: &str, want: &Wanted) -> Option<Way> {
    if asked == has {
        return Some(Way {
            kind: Match::Exact,
            points: 100,
        });
    }
    let learned = want.others.get(has).copied();
    let beginning = if let Some(rest) = has.strip_prefix(asked) {
        match asked.chars().count() {
            1 => Some(Way {
                kind: Match::Initial,
                points: 75,
            }),
            length => Some(Way {
                kind: Match::Prefix,
                points: prefix_points(length, length + rest.chars().count()),
            }),
        }
    } else {
        None
    };
    learned
        .into_iter()
        .chain(beginning)
        .max_by_key(|way| way.points)
}

/// The longer the beginning, the surer.
pub(super) fn prefix_points(length: usize, of: usize) -> i32 {
    70 + (12 * length / of.max(1)) as i32
}

fn are_initials(word: &str, name: &[&str]) -> bool {
    let initials: String = name.iter().filter_map(|word| word.chars().next()).collect();
    let mut ends = initials.chars();
    let ends: String = ends.next().into_iter().chain(ends.next_back()).collect();
    name.len() > 1 && (word == initials || word == ends)
}

fn word_of_email(word: &str, email: &str) -> Option<i32> {
    let (local, domain) = email.rsplit_once('@')?;
    let mailbox = local.split_once('+').map_or(local, |(mailbox, _)| mailbox);
    if word == local || word == mailbox {
        return Some(94);
    }
    if word == label(domain) {
        return Some(66);
    }
    let part = word.chars().nth(1).is_some()
        && local
            .split(|c: char| !c.is_alphanumeric())
            .any(|part| part == word);
    part.then_some(62)
}

/// The domain itself or one below it.
fn belongs(domain: &str, to: &str) -> bool {
    domain
        .strip_suffix(to)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The end of the number, the number with or without country code or trunk zero.
fn phone_points(asked: &str, has: &str) -> Option<i32> {
    if asked == has {
        return Some(100);
    }
    if has.ends_with(asked) {
        return Some(if asked.len() >= 7 { 98 } else { 90 });
    }
    let common = asked
        .bytes()
        .rev()
        .zip(has.bytes().rev())
        .take_while(|(one, two)| one == two)
        .count();
    let national = asked.trim_start_matches('0');
    let prefixed = asked.len().min(has.len()) >= 7
        && (asked.ends_with(has) || has.ends_with(national) && national.len() >= 6);
    (prefixed || common >= 8).then_some(92)
}
