//! Answers as tables and records, fitted to the terminal.

use chrono::{DateTime, Utc};
use comfy_table::presets::NOTHING;
use comfy_table::{
    Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width,
};
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

/// A table, and the headings of columns there was no room for.
#[derive(Debug, Default)]
pub struct Drawn {
    /// The lines.
    pub text: String,
    /// Columns left out.
    pub hidden: Vec<&'static str>,
}

/// A table of `items`, a line each. Texts that do not fit end in `…`; ids are never cut. Where even
/// that is too wide, the last columns are left out.
pub fn table(columns: &[Column], items: &[Value], look: Look) -> Drawn {
    let columns = &told(columns, items);
    let shown: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let cell = |column: &Column| show(column.format, at(item, column.path), look.now);
            columns.iter().map(cell).collect()
        })
        .collect();
    let widths = fit(columns, &shown, look.width);
    let (columns, left_out) = columns.split_at(widths.len());
    let mut table = plain_table();
    table.set_header(columns.iter().zip(&widths).map(|(column, width)| {
        let cell = Cell::new(cut(&column.title.to_uppercase(), *width));
        let cell = if column.format == Format::Number {
            cell.set_alignment(CellAlignment::Right)
        } else {
            cell
        };
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
                    let cell = match column.format {
                        Format::Prose | Format::Asked => Cell::new(text),
                        _ => Cell::new(cut(text, *width)),
                    };
                    if column.format == Format::Number {
                        cell.set_alignment(CellAlignment::Right)
                    } else {
                        cell
                    }
                }),
        );
    }
    let prose = |column: &Column| matches!(column.format, Format::Prose | Format::Asked);
    if columns.iter().any(prose) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        for (i, (column, width)) in table.column_iter_mut().zip(&widths).enumerate() {
            let gap = if i + 1 < widths.len() { GAP } else { 0 };
            let width = u16::try_from(*width)
                .unwrap_or(u16::MAX)
                .saturating_add(gap);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
    Drawn {
        text: finish(table),
        hidden: left_out.iter().map(|column| column.title).collect(),
    }
}

/// A record: a line for each field that is known, and one for each that is not.
pub fn record(columns: &[Column], item: &Value, look: Look) -> String {
    let columns = &told(columns, std::slice::from_ref(item));
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
    finish(table)
}

/// The columns without those nobody asked for.
fn told(columns: &[Column], items: &[Value]) -> Vec<Column> {
    let asked = |column: &Column| items.iter().any(|item| !at(item, column.path).is_null());
    columns
        .iter()
        .filter(|column| column.format != Format::Asked || asked(column))
        .copied()
        .collect()
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).force_no_tty();
    table.enforce_styling();
    table
}

fn finish(mut table: Table) -> String {
    let columns = table.column_count();
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if i + 1 < columns { GAP } else { 0 }));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
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
        Value::Number(bytes) if format == Format::Bytes => size(bytes.as_f64().unwrap_or_default()),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(values) if values.is_empty() => UNKNOWN.to_owned(),
        Value::Array(values) => values
            .iter()
            .map(|v| show(format, v, now))
            .collect::<Vec<_>>()
            .join(if format == Format::Asked { "; " } else { ", " }),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Bytes in the largest unit that leaves something before the point.
fn size(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let power = (0..units.len() - 1).find(|power| bytes < 1000f64.powi(*power as i32 + 1));
    let power = power.unwrap_or(units.len() - 1);
    let decimals = usize::from(power > 0);
    format!(
        "{:.decimals$} {}",
        bytes / 1000f64.powi(power as i32),
        units[power]
    )
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

/// The widths of the columns there is room for: as their content; or less for the widest texts, down to
/// what is still of use, until the line fits; or fewer columns.
fn fit(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> Vec<usize> {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let cells = rows.iter().map(|row| wide(&row[i]));
            cells.chain([wide(column.title)]).max().unwrap_or(0)
        })
        .collect();
    let Some(width) = width.map(usize::from) else {
        return widths;
    };
    let least: Vec<usize> = widths
        .iter()
        .zip(columns)
        .map(|(width, column)| match column.format {
            Format::Text | Format::Prose | Format::Asked | Format::List => (*width).min(LEAST),
            Format::Id | Format::Age | Format::Number | Format::Bytes => *width,
        })
        .collect();
    let line = |widths: &[usize]| {
        let gaps = usize::from(GAP) * widths.len().saturating_sub(1);
        widths.iter().sum::<usize>() + gaps
    };
    while widths.len() > 1 && line(&least[..widths.len()]) > width {
        widths.pop();
    }
    while line(&widths) > width {
        let widest = (0..widths.len())
            .filter(|i| widths[*i] > least[*i])
            .max_by_key(|i| widths[*i]);
        let Some(i) = widest else { break };
        widths[i] -= 1;
    }
    widths
}

/// Blanks between columns.
const GAP: u16 = 2;

/// A text cut to less than this tells nothing.
const LEAST: usize = 14;

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
        let text = table(COLUMNS, &items, look(Some(60))).text;
        assert!(text.lines().all(|line| wide(line) <= 60), "{text}");
        assert!(
            text.contains("abcdefghij0123456789") && text.contains('…') && text.contains("2 h ago"),
            "{text}"
        );
        assert!(text.lines().last().unwrap().contains('–'), "{text}");
        let whole = table(COLUMNS, &items, look(None)).text;
        assert!(
            whole.contains("A very long name that goes on and on"),
            "{whole}"
        );
    }

    #[test]
    fn wraps_sentences_and_wastes_no_line() {
        const ADVICE: &[Column] = &[Column::id("check", "id"), Column::prose("fix", "fix")];
        let items = [json!({"id": "disk", "fix": "Free some space, or move the data elsewhere."})];
        for color in [false, true] {
            let look = Look {
                width: Some(30),
                color,
                ..look(None)
            };
            let drawn = table(ADVICE, &items, look).text;
            assert!(!drawn.contains("\n\n") && !drawn.contains('…'), "{drawn:?}");
            assert_eq!(drawn.lines().count(), 4, "{drawn:?}");
        }
    }

    #[test]
    fn leaves_out_what_there_is_no_room_for() {
        let items =
            [json!({"id": "abcdefghij0123456789", "who": {"name": "A long name"}, "deals": 3})];
        let drawn = table(COLUMNS, &items, look(Some(34)));
        assert_eq!(drawn.hidden, ["deals", "changed"]);
        assert!(
            drawn.text.lines().all(|line| wide(line) <= 34),
            "{}",
            drawn.text
        );
    }

    #[test]
    fn sizes_are_for_people() {
        let shown = |bytes: u64| show(Format::Bytes, &json!(bytes), look(None).now);
        assert_eq!(
            [0, 999, 70_574_080, 3_000_000_000_000_000].map(shown),
            ["0 B", "999 B", "70.6 MB", "3000.0 TB"]
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
