//! Changes as people read them: a diff, or a table in Markdown.

use super::change::{Action, Change, ChangeSet};
use super::record::{Record, Ttl};

impl ChangeSet {
    /// One line about all of it: `example.com: 1 to add, 2 to change, 1 to delete`.
    pub fn summary(&self) -> String {
        if self.is_empty() {
            return format!("{}: nothing to change", self.zone);
        }
        let (added, replaced, deleted) = self.counts();
        format!(
            "{}: {added} to add, {replaced} to change, {deleted} to delete",
            self.zone
        )
    }

    /// A diff: `+` comes, `-` goes, `~` changes; TTL and proxy state spelled out.
    pub fn text(&self) -> String {
        let width = |of: fn(&Record) -> usize| {
            let records = self.changes.iter().filter_map(Change::record);
            records.map(of).max().unwrap_or(0).min(40)
        };
        let name = width(|record| record.name.as_str().len());
        let kind = width(|record| record.kind.as_str().len());
        let mut out = self.summary();
        out.push('\n');
        for change in &self.changes {
            let Some(record) = change.record() else {
                continue;
            };
            out.push_str(&format!(
                "{} {:name$} {:kind$} {}\n",
                sign(change.action),
                record.name,
                record.kind,
                said(change, " -> ")
            ));
        }
        out
    }

    /// A table for a pull request or a wiki.
    pub fn markdown(&self) -> String {
        let mut out = format!("**{}**\n", escape(&self.summary()));
        if self.is_empty() {
            return out;
        }
        out.push_str("\n| | Name | Type | Before | After |\n| --- | --- | --- | --- | --- |\n");
        for change in &self.changes {
            let Some(record) = change.record() else {
                continue;
            };
            let cell = |record: &Option<Record>| {
                record
                    .as_ref()
                    .map(|record| escape(&format!("{} ({})", record.value(), settings(record))))
                    .unwrap_or_default()
            };
            let word = match change.action {
                Action::Add => "add",
                Action::Replace => "change",
                Action::Delete => "delete",
            };
            out.push_str(&format!(
                "| {word} | {} | {} | {} | {} |\n",
                escape(record.name.as_str()),
                record.kind,
                cell(&change.before),
                cell(&change.after)
            ));
        }
        out
    }
}

fn sign(action: Action) -> char {
    match action {
        Action::Add => '+',
        Action::Replace => '~',
        Action::Delete => '-',
    }
}

/// The value and the settings; of a change both sides of what differs.
fn said(change: &Change, arrow: &str) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let value = if before.says_the_same(after) {
                visible(&after.value())
            } else {
                format!(
                    "{}{arrow}{}",
                    visible(&before.value()),
                    visible(&after.value())
                )
            };
            let (was, is) = (settings(before), settings(after));
            if was == is {
                format!("{value} ({is})")
            } else {
                format!("{value} ({was}{arrow}{is})")
            }
        }
        (Some(record), None) | (None, Some(record)) => {
            format!("{} ({})", visible(&record.value()), settings(record))
        }
        (None, None) => String::new(),
    }
}

/// `ttl 3600`, `automatic ttl, proxied`.
fn settings(record: &Record) -> String {
    let ttl = match record.ttl {
        None => "default ttl".to_owned(),
        Some(Ttl::Automatic) => "automatic ttl".to_owned(),
        Some(Ttl::Seconds(seconds)) => format!("ttl {seconds}"),
    };
    match record.proxied {
        None => ttl,
        Some(true) => format!("{ttl}, proxied"),
        Some(false) => format!("{ttl}, not proxied"),
    }
}

/// A value may come from anybody: no control characters reach a terminal.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Text that stays one cell of a table.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        if matches!(c, '|' | '\\' | '*' | '_' | '`' | '[' | ']' | '<' | '>') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
