//! Answers as tables and records, fitted to the terminal.

use chrono::{DateTime, Utc};
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table};
use serde_json::Value;

use crate::output::{Column, Format};

/// What a cell shows where nothing is known; never zero.
const UNKNOWN: &str = "–";

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the terminal; `None` draws as wide as the data is.
    pub width: Option<u16>,
    /// Whether headings may be styled.
    pub color: bool,
    /// What ages are counted from.
    pub now: DateTime<Utc>,
}

/// A table of `items`, a line each. Values that do not fit end in `…`; ids are never cut.
pub fn table(columns: &[Column], items: &[Value], look: Look) -> String {
    let mut table = plain_table();
    let shown: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            columns
                .iter()
                .map(|column| show(column.format, at(item, column.path), look.now))
                .collect()
        })
        .collect();
    let widths = fit(columns, &shown, look.width);
    table.set_header(columns.iter().zip(&widths).map(|(column, width)| {
        let cell = Cell::new(cut(&column.title.to_uppercase(), *width));
        if look.color {
            cell.add_attribute(Attribute::Bold)
        } else {
            cell
        }
    }));
    for row in &shown {
        table.add_row(
            row.iter()
                .zip(columns)
                .zip(&widths)
                .map(|((text, column), width)| {
                    let cell = Cell::new(cut(text, *width));
                    if column.format == Format::Number {
                        cell.set_alignment(CellAlignment::Right)
                    } else {
                        cell
                    }
                }),
        );
    }
    finish(&table)
}

/// A record: a line for each field that is known, and one for each that is not.
pub fn record(columns: &[Column], item: &Value, look: Look) -> String {
    let mut table = plain_table();
    let label = columns
        .iter()
        .map(|column| column.title.chars().count())
        .max()
        .unwrap_or(0) as u16;
    for column in columns {
        let title = Cell::new(column.title);
        table.add_row([
            if look.color {
                title.add_attribute(Attribute::Bold)
            } else {
                title
            },
            Cell::new(show(column.format, at(item, column.path), look.now)),
        ]);
    }
    if let Some(width) = look.width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width.max(label + 12));
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    finish(&table)
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).force_no_tty();
    table.enforce_styling();
    table
}

fn finish(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        // The preset pads each side with a blank.
        text.push_str(line.strip_prefix(' ').unwrap_or(&line).trim_end());
        text.push('\n');
    }
    text
}

/// The value at a dotted path.
pub fn at<'a>(item: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .try_fold(item, |value, name| value.get(name))
        .unwrap_or(&Value::Null)
}

/// A value as a person reads it, on one line and without control characters.
pub fn show(format: Format, value: &Value, now: DateTime<Utc>) -> String {
    let text = match value {
        Value::Null => UNKNOWN.to_owned(),
        Value::String(text) if text.is_empty() => UNKNOWN.to_owned(),
        Value::String(text) if format == Format::Age => age(text, now),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(values) if values.is_empty() => UNKNOWN.to_owned(),
        Value::Array(values) => values
            .iter()
            .map(|v| show(format, v, now))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// How long ago a moment was, or in how long it will be.
fn age(text: &str, now: DateTime<Utc>) -> String {
    let Ok(at) = DateTime::parse_from_rfc3339(text) else {
        return text.to_owned();
    };
    let seconds = now.signed_duration_since(at).num_seconds();
    let (count, unit) = match seconds.abs() {
        0..60 => (seconds.abs(), "s"),
        s @ 60..3_600 => (s / 60, "min"),
        s @ 3_600..86_400 => (s / 3_600, "h"),
        s @ 86_400..5_184_000 => (s / 86_400, "d"),
        s @ 5_184_000..63_072_000 => (s / 2_629_800, "months"),
        s => (s / 31_557_600, "years"),
    };
    if seconds < 0 {
        format!("in {count} {unit}")
    } else {
        format!("{count} {unit} ago")
    }
}

/// The width of each column: as its content, or less for the widest texts until the line fits. On a very
/// narrow terminal nothing but `…` may be left of a text; an id stays whole.
fn fit(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> Vec<usize> {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            rows.iter()
                .map(|row| wide(&row[i]))
                .chain([wide(column.title)])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let Some(width) = width else { return widths };
    let room = usize::from(width).saturating_sub(2 * columns.len());
    while widths.iter().sum::<usize>() > room {
        let widest = widths
            .iter()
            .enumerate()
            .filter(|(i, w)| columns[*i].format != Format::Id && **w > 1)
            .max_by_key(|(_, w)| **w);
        let Some((i, _)) = widest else { break };
        widths[i] -= 1;
    }
    widths
}

fn wide(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// The text in at most `width` columns, ending in `…` where something was left out.
fn cut(text: &str, width: usize) -> String {
    if wide(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        let w = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used + w > width {
            break;
        }
        used += w;
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        Column::id("id", "id"),
        Column::text("name", "who.name"),
        Column::number("deals", "deals"),
        Column::age("changed", "at"),
    ];

    fn look(width: Option<u16>) -> Look {
        Look {
            width,
            color: false,
            now: "2026-11-22T10:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn fits_the_terminal_and_never_cuts_an_id() {
        let items = [
            json!({"id": "abcdefghij0123456789", "who": {"name": "A very long name that goes on and on"}, "deals": 3, "at": "2026-11-22T08:00:00Z"}),
            json!({"id": "b", "who": {"name": null}, "deals": null}),
        ];
        let text = table(COLUMNS, &items, look(Some(60)));
        assert!(text.lines().all(|line| wide(line) <= 60), "{text}");
        assert!(
            text.contains("abcdefghij0123456789") && text.contains('…') && text.contains("2 h ago"),
            "{text}"
        );
        assert!(text.lines().last().unwrap().contains('–'), "{text}");
        let whole = table(COLUMNS, &items, look(None));
        assert!(
            whole.contains("A very long name that goes on and on"),
            "{whole}"
        );
    }

    #[test]
    fn control_characters_cannot_reach_the_terminal() {
        assert_eq!(
            show(Format::Text, &json!("a\u{1b}[31mb\nc"), look(None).now),
            "a [31mb c"
        );
    }
}
