//! From a candidate to a recommendation: what to do, why, how urgent.
//!
//! Points are whole and few: a base for the kind of thing, how long it has waited, what the open deals of
//! the contact are worth, how important the owner says the contact is. Their sum is the score.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{Advice, Evidence, Term};
use crate::ghl::store::advice::Candidate;

/// What a candidate comes to; none for a kind nobody knows.
pub fn judge(it: &Candidate, now: DateTime<Utc>, deals_known: bool) -> Option<Advice> {
    let who = brief(it.contact.as_deref().unwrap_or_default());
    let who = match &*who {
        "" => "a contact without a name",
        who => who,
    };
    let title = brief(it.title.as_deref().unwrap_or_default());
    let since = it.at.map(|at| now - at);
    let days = since.map_or(0, |since| since.num_days());
    let ago = it.at.map(|at| ago(now, at)).unwrap_or_default();
    let named = if title.is_empty() {
        String::new()
    } else {
        format!(" “{title}”")
    };

    let (base, waits, what, command, mut evidence) = match &*it.kind {
        "reply" => {
            let hours = since.map_or(0, |since| since.num_hours());
            let way = it.evidence.as_deref().unwrap_or("message");
            let waits = term(
                "waiting",
                (hours / 6).clamp(0, 20),
                format!("{hours} h, a point for every 6, at most 20"),
            );
            let subject = if way.ends_with("email") && !title.is_empty() {
                format!("Re: {title}")
            } else {
                "Your message".to_owned()
            };
            (
                40,
                waits,
                format!("Answer {who}, who wrote by {way} {ago}"),
                write(it, &subject, &format!("Answer {who}")),
                evidence(
                    "ghl_messages",
                    &it.subject,
                    format!("{way} of {}, nobody has answered", day(it.at)),
                ),
            )
        }
        "task" => (
            30,
            term(
                "overdue",
                days.clamp(0, 20),
                format!("{days} d, a point each, at most 20"),
            ),
            format!("Do the task{named} for {who}, due {ago}"),
            format!("medtainer ghl history {} --limit 10", it.contact_id),
            evidence(
                "ghl_tasks",
                &it.subject,
                format!("due {}, not completed", day(it.at)),
            ),
        ),
        "stuck" => (
            15,
            term(
                "stuck",
                ((days - 14) / 3).clamp(0, 15),
                format!("{days} d in its stage, a point for every 3 beyond 14, at most 15"),
            ),
            format!("Move the deal{named} on: in its stage for {days} d"),
            follow_up(it, &format!("Follow up on {title}")),
            evidence(
                "ghl_opportunities",
                &it.subject,
                format!("open, in its stage since {}", day(it.at)),
            ),
        ),
        "silent" => (
            15,
            term(
                "silent",
                (days / 3).clamp(0, 15),
                format!("{days} d without a message, a point for every 3, at most 15"),
            ),
            format!("Write to {who} about the deal{named}: silent for {days} d"),
            write(
                it,
                if title.is_empty() {
                    "How are things?"
                } else {
                    &title
                },
                &format!("Call {who}"),
            ),
            evidence(
                "ghl_opportunities",
                &it.subject,
                match it.seen {
                    Some(at) => format!("open; the last message passed on {}", day(Some(at))),
                    None => format!("open since {}; no message passed", day(it.at)),
                },
            ),
        ),
        "welcome" => (
            20,
            term(
                "new",
                (14 - days).clamp(0, 14),
                format!("{days} d here, a point for each day short of 14"),
            ),
            format!("Say hello to {who}, new {ago}: nobody has written yet"),
            write(it, "Welcome", &format!("Call {who}")),
            evidence(
                "contacts",
                &it.subject,
                format!("added {}, no conversation", day(it.at)),
            ),
        ),
        "noshow" => (
            25,
            term(
                "missed",
                (14 - days).clamp(0, 14),
                format!("{days} d ago, a point for each day short of 14"),
            ),
            format!("Offer {who} another time: missed{named} {ago}"),
            follow_up(it, &format!("Offer {who} another appointment")),
            evidence(
                "ghl_appointments",
                &it.subject,
                format!("{}, noshow, none since", day(it.at)),
            ),
        ),
        "confirm" => {
            let hours = -since.map_or(0, |since| since.num_hours());
            (
                25,
                term(
                    "near",
                    (15 - hours / 4).clamp(0, 15),
                    format!("in {hours} h, 15 less a point for every 4"),
                ),
                format!("Confirm{named} with {who}, in {hours} h"),
                follow_up(it, &format!("Confirm the appointment with {who}")),
                evidence(
                    "ghl_appointments",
                    &it.subject,
                    format!("{}, still new", day(it.at)),
                ),
            )
        }
        "duplicate" => {
            let many = it.how_many;
            let same = match &*title {
                "email" => "the same e-mail address",
                "phone" => "the same phone number",
                _ => "the same name and company",
            };
            let mut rows = Vec::new();
            for id in it.evidence.as_deref().unwrap_or_default().split(' ') {
                rows.extend(evidence("contacts", id, format!("has {same}")));
            }
            (
                5,
                term(
                    "group",
                    many.clamp(0, 10),
                    format!("{many} contacts, a point each, at most 10"),
                ),
                format!("Merge {who} in GoHighLevel: {many} contacts have {same}"),
                format!("medtainer ghl contact {}", it.contact_id),
                rows,
            )
        }
        _ => return None,
    };
    if let Some(value) = it.value.filter(|value| !value.is_zero()) {
        evidence.push(Evidence {
            table: "contacts",
            id: it.contact_id.clone(),
            says: format!("open deals worth {value}"),
        });
    }
    let terms = vec![
        term("kind", base, format!("{}: always", it.kind)),
        waits,
        worth(it.value, deals_known),
        term(
            "importance",
            i64::from(it.importance.unwrap_or_default()),
            match it.importance {
                Some(importance) => format!("taught: {importance} of 10"),
                None => "none taught".to_owned(),
            },
        ),
    ];
    let mut advice = Advice::new(it, what, terms, command);
    advice.evidence = evidence;
    Some(advice)
}

/// Points for money: 5 for each power of ten.
pub fn worth(value: Option<Decimal>, known: bool) -> Term {
    if !known {
        return Term {
            term: "value",
            points: None,
            because: "deals were never fetched".to_owned(),
        };
    }
    let Some(value) = value else {
        return term("value", 0, "no open deal".to_owned());
    };
    let amount = value.to_f64().unwrap_or_default().max(0.0);
    // At most 25, so it fits.
    #[expect(clippy::cast_possible_truncation)]
    let points = ((1.0 + amount).log10() * 5.0).round().min(25.0) as i64;
    term(
        "value",
        points,
        format!("open deals of {value}: 5 log10(1 + value), at most 25"),
    )
}

fn term(term: &'static str, points: i64, because: String) -> Term {
    Term {
        term,
        points: Some(points),
        because,
    }
}

fn evidence(table: &'static str, id: &str, says: String) -> Vec<Evidence> {
    vec![Evidence {
        table,
        id: id.to_owned(),
        says,
    }]
}

/// An e-mail where one may be sent; else a task to do it otherwise.
fn write(it: &Candidate, subject: &str, otherwise: &str) -> String {
    if it.email.is_none() || it.undisturbed {
        return follow_up(it, otherwise);
    }
    format!(
        "medtainer ghl email {} --subject {} --body -",
        it.contact_id,
        quoted(subject)
    )
}

fn follow_up(it: &Candidate, title: &str) -> String {
    format!(
        "medtainer ghl task {} --title {} --due 'tomorrow 9am'",
        it.contact_id,
        quoted(title.trim())
    )
}

/// A word of a shell, whatever is in it: third parties wrote it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A line of what somebody wrote.
pub fn brief(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(80) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

fn day(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(
        || "an unknown day".to_owned(),
        |at| at.date_naive().to_string(),
    )
}

fn ago(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let since = now - at;
    match (since.num_days(), since.num_hours()) {
        (days, _) if days >= 2 => format!("{days} d ago"),
        (_, hours) => format!("{hours} h ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(kind: &str) -> Candidate {
        Candidate {
            kind: kind.to_owned(),
            subject: "subject1".to_owned(),
            contact_id: "contact1".to_owned(),
            contact: Some("Ada".to_owned()),
            email: Some("ada@example.com".to_owned()),
            phone: None,
            undisturbed: false,
            deal_id: None,
            title: Some("It's $(me)\n`now`".to_owned()),
            at: Some("2026-11-01T00:00:00Z".parse().unwrap()),
            seen: None,
            how_many: 2,
            value: Some(Decimal::from(999)),
            importance: Some(3),
            evidence: Some("email".to_owned()),
        }
    }

    #[test]
    fn terms_add_up_and_words_stay_words() {
        let now = "2026-11-21T00:00:00Z".parse().unwrap();
        for kind in [
            "reply",
            "task",
            "stuck",
            "silent",
            "welcome",
            "noshow",
            "confirm",
            "duplicate",
        ] {
            let advice = judge(&candidate(kind), now, true).unwrap();
            let sum: i64 = advice.terms.iter().filter_map(|term| term.points).sum();
            assert_eq!(advice.score, sum, "{kind}");
            assert!(!advice.evidence.is_empty(), "{kind}");
            assert!(!advice.command.contains('\n'), "{}", advice.command);
            if advice.command.contains("It") {
                assert!(
                    advice.command.contains(r"It'\''s $(me) `now`'"),
                    "{}",
                    advice.command
                );
            }
        }
        assert!(judge(&candidate("else"), now, true).is_none());
        assert_eq!(worth(Some(Decimal::from(999)), true).points, Some(15));
        assert_eq!(
            worth(Some(Decimal::from(10_000_000)), true).points,
            Some(25)
        );
        assert_eq!(worth(None, true).points, Some(0));
        assert_eq!(worth(None, false).points, None);
    }

    #[test]
    fn whoever_wants_no_mail_is_called() {
        let mut it = candidate("welcome");
        let now = "2026-11-02T00:00:00Z".parse().unwrap();
        assert!(judge(&it, now, true).unwrap().command.contains("ghl email"));
        it.undisturbed = true;
        assert!(judge(&it, now, true).unwrap().command.contains("ghl task"));
        it.undisturbed = false;
        it.email = None;
        assert!(judge(&it, now, true).unwrap().command.contains("ghl task"));
    }
}
