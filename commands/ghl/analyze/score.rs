//! How much a contact deserves attention, in points that add up.

use chrono::{DateTime, Utc};

use crate::ghl::lessons::Taught;
use crate::ghl::recommend::{Term, rules};
use crate::ghl::store::portrait::Portrait;
use crate::ghl::types::acts::Contact;

/// What is known of the contact at all.
pub struct Facts {
    pub deals: bool,
    pub messages: bool,
    pub tasks: bool,
    pub appointments: bool,
}

/// The terms of the score, and the most that the known ones could come to; a hundred when all are.
pub fn terms(
    contact: &Contact,
    portrait: &Portrait,
    taught: Option<&Taught>,
    facts: &Facts,
    now: DateTime<Utc>,
) -> (Vec<Term>, i64) {
    let mut terms = Vec::new();
    let mut out_of = 0;
    let mut add = |term: &'static str, most: i64, known: bool, points: i64, because: String| {
        let points = points.clamp(0, most);
        if known {
            out_of += most;
        }
        terms.push(Term {
            term,
            points: known.then_some(points),
            because: match known {
                true => format!("{because}; at most {most}"),
                false => "not known: never fetched".to_owned(),
            },
        });
    };

    let it = &contact.contact;
    let (mail, phone) = (it.email.is_some(), it.phone.is_some());
    let has = |there| if there { "yes" } else { "no" };
    add(
        "reach",
        10,
        true,
        i64::from(mail) * 6 + i64::from(phone) * 4,
        format!("e-mail {}, phone {}: 6 and 4", has(mail), has(phone)),
    );

    let talk = &portrait.talk;
    let days = talk.last_in.map(|at| (now - at).num_days());
    add(
        "recency",
        25,
        facts.messages,
        match days {
            Some(..=7) => 25,
            Some(8..=30) => 15,
            Some(31..=90) => 5,
            _ => 0,
        },
        match days {
            Some(days) => {
                format!("they wrote {days} d ago: 25 within 7, 15 within 30, 5 within 90")
            }
            None => "they never wrote".to_owned(),
        },
    );
    add(
        "engagement",
        15,
        facts.messages,
        talk.theirs_lately * 3,
        format!("{} messages of theirs in 90 d, 3 each", talk.theirs_lately),
    );

    let worth = &portrait.worth;
    let value = rules::worth(worth.open_value, facts.deals);
    add(
        "value",
        25,
        facts.deals,
        value.points.unwrap_or_default(),
        value.because,
    );
    add(
        "won",
        10,
        facts.deals,
        worth.won * 5,
        format!("{} deals won, 5 each", worth.won),
    );

    let meetings = &portrait.meetings;
    add(
        "meetings",
        5,
        facts.appointments,
        (meetings.showed - meetings.missed) * 2,
        format!(
            "came {} times, missed {}: 2 for each, one way and the other",
            meetings.showed, meetings.missed
        ),
    );

    let importance = taught.and_then(|taught| taught.importance);
    add(
        "importance",
        10,
        true,
        i64::from(importance.unwrap_or_default()),
        match importance {
            Some(importance) => format!("taught: {importance} of 10"),
            None => "none taught".to_owned(),
        },
    );
    (terms, out_of)
}
