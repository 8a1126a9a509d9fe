//! The page a person reads.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use medtainer_core::when::Zone;

use super::Analysis;
use crate::ghl::recommend::rules;
use crate::ghl::store::timeline::Event;
use crate::ghl::types::acts::Contact;

/// An event with no more of its text than a line takes.
pub fn brief(mut event: Event) -> Event {
    event.title = event.title.map(|text| rules::brief(&text));
    event.body = event.body.map(|text| rules::brief(&text));
    event
}

/// The page; its days are the owner's.
pub fn text(it: &Analysis, contact: &Contact, now: DateTime<Utc>, zone: Zone) -> String {
    let day = |at: DateTime<Utc>| zone.clock(at).date();
    let mut page = Page::default();
    let contact = &contact.contact;
    let head = [&it.name, &it.company, &contact.email, &contact.phone];
    let head: Vec<String> = head
        .into_iter()
        .flatten()
        .map(|part| rules::brief(part))
        .collect();
    page.line(format!("{}  {}", it.id, head.join(", ")));
    page.line(format!("Score {} of {}", it.score, it.out_of));
    for term in &it.terms {
        let points = term
            .points
            .map_or_else(|| "?".to_owned(), |points| points.to_string());
        page.line(format!(
            "  {points:>3}  {:<10}  {}",
            term.term, term.because
        ));
    }

    let age = |at: Option<DateTime<Utc>>| match at {
        Some(at) => format!("{} d ago", (now - at).num_days()),
        None => "never, as far as is known".to_owned(),
    };
    page.head("Messages");
    page.line(format!(
        "  they wrote {}; we wrote {}",
        age(it.last_inbound_at),
        age(it.last_outbound_at)
    ));
    if let Some(hours) = it.answer_hours {
        page.line(format!("  our answers took {hours} h on average"));
    }
    if let Some(at) = it.waiting_since {
        page.line(format!(
            "  a question waits for an answer since {}",
            day(at)
        ));
    }

    page.list("Deals", it.deals.as_deref(), |deal| {
        let place = [&deal.status, &deal.pipeline, &deal.stage];
        let place: Vec<&str> = place.into_iter().flatten().map(String::as_str).collect();
        let worth = deal
            .value
            .map(|value| format!(", {value}"))
            .unwrap_or_default();
        let since = deal
            .stage_changed_at
            .map(|at| format!(", since {}", day(at)));
        format!(
            "{}  {}: {}{worth}{}",
            deal.id,
            rules::brief(deal.name.as_deref().unwrap_or("–")),
            place.join(", "),
            since.unwrap_or_default()
        )
    });
    page.list("Open tasks", it.tasks.as_deref(), |task| {
        let due = task
            .due_at
            .map_or_else(|| "no date".to_owned(), |at| day(at).to_string());
        let late = if task.overdue { ", overdue" } else { "" };
        format!(
            "{}  {}, due {due}{late}",
            task.id,
            rules::brief(task.title.as_deref().unwrap_or("–"))
        )
    });
    page.list("Appointments to come", it.appointments.as_deref(), |one| {
        let at = one
            .starts_at
            .map(|at| zone.clock(at).format("%Y-%m-%d %H:%M").to_string());
        let parts = [
            at,
            one.status.clone(),
            one.title.as_deref().map(rules::brief),
        ];
        format!(
            "{}  {}",
            one.id,
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        )
    });
    if !it.gaps.is_empty() {
        page.head("Gaps");
        page.line(format!("  {}", it.gaps.join("; ")));
    }
    if !it.duplicates.is_empty() {
        page.list("May be the same", Some(&it.duplicates), |one| {
            let label = rules::brief(one.label.as_deref().unwrap_or("–"));
            format!("{}  {label}: {}", one.id, one.because)
        });
    }
    page.list("Last", Some(&it.timeline), |event| {
        let way = [event.direction.as_deref(), event.channel.as_deref()];
        let way: Vec<&str> = way.into_iter().flatten().collect();
        let said = event
            .title
            .as_deref()
            .or(event.body.as_deref())
            .unwrap_or_default();
        format!(
            "{}  {} {}  {said}",
            day(event.at),
            event.kind,
            way.join(" ")
        )
    });
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: String) {
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn head(&mut self, title: &str) {
        let _ = writeln!(self.text, "\n{title}");
    }

    /// A list, that there is none, or that nobody knows.
    fn list<T>(&mut self, title: &str, rows: Option<&[T]>, line: impl Fn(&T) -> String) {
        self.head(title);
        match rows {
            None => self.line("  not known: never fetched".to_owned()),
            Some([]) => self.line("  none".to_owned()),
            Some(rows) => rows
                .iter()
                .for_each(|row| self.line(format!("  {}", line(row)))),
        }
    }
}
