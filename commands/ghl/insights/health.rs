//! How good the list of contacts is, in points that add up.

use super::findings::share;
use super::{Figures, Insight, sum};
use crate::ghl::recommend::Term;

/// The health of the list: what can be reached, placed and trusted, out of a hundred points. What is not
/// known has no points, and the most there can be is less by what it could have had.
pub fn of_list(figures: &Figures) -> Insight {
    const ID: &str = "health";
    let all = figures.gap("all");
    if !figures.known.has(&["ghl.contacts"]) || all == 0 {
        return Insight::unknown(ID, "points", "there are no contacts, or none were fetched");
    }
    let asked = |waiting: bool| {
        sum(&figures.period, |row| {
            row.measure == "reply.asked" && row.late && (row.a == "waiting") == waiting
        })
        .count
    };
    let (waiting, answered) = (asked(true), asked(false));
    let twice = figures.duplicates.first().map(|_| {
        figures
            .duplicates
            .iter()
            .map(|one| one.contacts)
            .sum::<i64>()
    });
    let replies = (figures.known.has(&["ghl.messages"]) && waiting + answered > 0)
        .then_some((answered, waiting + answered));
    let have = |gap: &str| Some((all - figures.gap(gap), all));
    let parts = [
        (
            "reachable",
            40,
            have("unreachable"),
            "have an e-mail address or a phone number",
        ),
        ("named", 10, have("no_name"), "have a name"),
        ("source", 15, have("no_source"), "have a source"),
        ("owner", 15, have("no_owner"), "have somebody in charge"),
        (
            "unique",
            10,
            twice.map(|twice| ((all - twice).max(0), all)),
            "are no likely duplicates",
        ),
        (
            "answered",
            10,
            replies,
            "questions of these days were answered",
        ),
    ];
    let mut out_of = 0;
    let mut terms = Vec::new();
    for (term, most, found, what) in parts {
        terms.push(match found {
            Some((good, of)) => {
                out_of += most;
                let points = points(most, good, of);
                Term {
                    term,
                    points: Some(points),
                    because: format!("{good} of {of} {what}: {most} × {}", share(good, of)),
                }
            }
            None => Term {
                term,
                points: None,
                because: "not known".to_owned(),
            },
        });
    }
    let score: i64 = terms.iter().filter_map(|term| term.points).sum();
    let mut worst: Vec<_> = parts
        .iter()
        .zip(&terms)
        .filter_map(|((term, most, ..), found)| Some((most - found.points?, *term)))
        .filter(|(lost, _)| *lost > 0)
        .collect();
    worst.sort_by_key(|(lost, _)| std::cmp::Reverse(*lost));
    let lost: Vec<_> = worst
        .iter()
        .take(2)
        .map(|(lost, term)| format!("{term} −{lost}"))
        .collect();
    let finding = match lost.is_empty() {
        true => format!("the list is in good health: {score} of {out_of} points"),
        false => format!(
            "health of the list: {score} of {out_of} points ({})",
            lost.join(", ")
        ),
    };
    // Points are small.
    #[expect(clippy::cast_precision_loss)]
    let figure = score as f64;
    let how = terms
        .iter()
        .map(|term| match term.points {
            Some(points) => format!("{} {points}: {}", term.term, term.because),
            None => format!("{}: {}", term.term, term.because),
        })
        .collect();
    Insight {
        id: ID,
        finding,
        figure: Some(figure),
        unit: "points",
        before: None,
        terms,
        evidence: Vec::new(),
        explain: Some(how),
    }
}

/// A part of the most there can be, in whole points: all of them only for all.
fn points(most: i64, good: i64, of: i64) -> i64 {
    most * good / of.max(1)
}
