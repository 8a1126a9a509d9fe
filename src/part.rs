//! A part of an answer, for a caller that cannot take it whole: a model reads only so much at once.
//!
//! A list is cut between two rows, with the cursor that goes on there. A list that has no cursor of its
//! own gets marks: how many rows came before, and which was the last of them, so that rows which come
//! or go meanwhile move nothing. What cannot go on is cut where it can be seen.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::output::{Column, Data, Format, View};
use crate::values::Range;

/// What a caller can take of an answer.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Which rows, of a list that has no pages of its own; it gets none when absent.
    pub rows: Option<Rows>,
    /// How much; everything when absent.
    pub room: Option<Room>,
}

/// Which rows of a list.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// At most so many.
    pub limit: Option<u32>,
    /// Those after this one.
    pub after: Option<Mark>,
}

/// Where to go on in a list that has no pages of its own; a caller of tools may say it.
#[derive(Debug, Clone, Default, Args)]
pub struct AfterMark {
    /// Go on after this cursor, the `next` of the page before
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<Mark>,
}

/// Which rows of a list that has no pages of its own; a caller of tools may say it.
#[derive(Debug, Clone, Default, Args)]
pub struct SomeRows {
    /// At most this many rows, 1 to 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500), add = Range { min: 1, max: 500 })]
    pub limit: Option<u32>,

    /// Where to go on.
    #[command(flatten)]
    pub after: AfterMark,
}

/// How much of an answer there is room for.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The most it may weigh.
    pub bytes: usize,
    /// What JSON text weighs on its way to the caller.
    pub weigh: fn(&str) -> usize,
}

/// A row in a list that has no cursor: how many rows there were up to it, and what tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    rows: usize,
    last: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.rows, self.last)
    }
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('-').and_then(|(rows, last)| {
            Some(Mark {
                rows: rows.parse().ok().filter(|rows| *rows > 0)?,
                last: u32::from_str_radix(last, 16).ok()?,
            })
        });
        parsed.ok_or_else(|| "pass the `next` of the page before".to_owned())
    }
}

impl Mark {
    fn of(rows: usize, row: &Value, columns: &[Column]) -> Mark {
        Mark {
            rows,
            last: sign(row, columns),
        }
    }

    /// How many rows of this list are up to it; none where it is no longer there, or more than once.
    fn find(self, items: &[Value], columns: &[Column]) -> Option<usize> {
        let is_it = |row: &Value| sign(row, columns) == self.last;
        if items.get(self.rows - 1).is_some_and(is_it) {
            return Some(self.rows);
        }
        let mut found = (1..).zip(items).filter(|(_, row)| is_it(row));
        let (rows, _) = found.next()?;
        found.next().is_none().then_some(rows)
    }
}

/// What tells a row from others: its ids, or all of it where it has none.
fn sign(row: &Value, columns: &[Column]) -> u32 {
    let ids: Vec<_> = columns
        .iter()
        .filter(|column| column.format == Format::Id)
        .filter_map(|column| at(row, column.path))
        .filter(|id| !id.is_null())
        .collect();
    let text = match ids.is_empty() {
        true => row.to_string(),
        false => ids.iter().map(|id| format!("{id}\n")).collect(),
    };
    let digest = Sha256::digest(text.as_bytes());
    digest[..4]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// The value at names joined by dots.
pub fn at<'a>(item: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(item, |item, name| item.get(name))
}

impl Part {
    /// The rows that are wanted of a list without pages, with a mark after each.
    pub fn wanted(&self, data: Data, view: View) -> Result<Data> {
        let (Some(rows), View::Table(columns)) = (&self.rows, view) else {
            return Ok(data);
        };
        let asked = rows.limit.is_some() || rows.after.is_some();
        if !asked && self.room.is_none_or(|room| room.has(data.json.get())) {
            return Ok(data);
        }
        let mut value = parsed(&data)?;
        let Some(Value::Array(items)) = value.get_mut("items") else {
            return Ok(data);
        };
        let start = match rows.after {
            None => 0,
            Some(mark) => mark.find(items, columns).ok_or_else(|| {
                Error::conflict("the list has changed, and the row to go on after is gone")
                    .hint("Ask without `after` to begin anew.")
            })?,
        };
        let total = items.len();
        let limit = rows.limit.map_or(total, |limit| limit as usize);
        let wanted: Vec<_> = items.drain(..).skip(start).take(limit).collect();
        let cursors: Vec<_> = (start + 1..)
            .zip(&wanted)
            .map(|(rows, row)| Mark::of(rows, row, columns).to_string())
            .collect();
        let end = start + wanted.len();
        *items = wanted;
        Ok(Data {
            json: raw(&value)?,
            count: Some(cursors.len() as u64),
            // Of a list that is cut by a `limit` of its own nobody knows how long it is.
            total: data.complete.then_some(total as u64),
            complete: data.complete && end == total,
            next: cursors.last().filter(|_| end < total).cloned(),
            cursors,
        })
    }

    /// As much as there is room for, and what to tell the caller about the rest.
    pub fn fitted(&self, data: Data, view: View) -> Result<(Data, Option<String>)> {
        let Some(room) = self.room.filter(|room| !room.has(data.json.get())) else {
            return Ok((data, None));
        };
        let mut value = parsed(&data)?;
        let is_list = matches!(view, View::Table(_)) && value["items"].is_array();
        match value.get_mut("items") {
            Some(Value::Array(items)) if is_list => {
                let items = std::mem::take(items);
                rows(room, data, value, items)
            }
            _ => {
                let cut = shrink(&mut value, room);
                let data = Data {
                    json: raw(&value)?,
                    complete: false,
                    ..data
                };
                Ok((
                    data,
                    Some(format!(
                        "it is too long to be given whole: {}; ask for parts with `fields`, or look in a terminal",
                        told(&cut)
                    )),
                ))
            }
        }
    }
}

/// The first of the rows, as many as there is room for; at least one, cut itself if it has to be.
fn rows(
    room: Room,
    mut data: Data,
    mut value: Value,
    mut items: Vec<Value>,
) -> Result<(Data, Option<String>)> {
    let mut cut = Vec::new();
    if (room.weigh)(&value.to_string()) > room.bytes / 2 {
        cut = shrink(&mut value, room.of(room.bytes / 2));
    }
    let left = room.of(room.bytes - (room.weigh)(&value.to_string()));
    let all = items.len();
    let mut used = 0;
    let mut kept = 0;
    for item in &mut items {
        let mut weight = (left.weigh)(&item.to_string()) + 1;
        if weight > left.bytes && kept == 0 {
            cut.extend(shrink(item, left.of(left.bytes.saturating_sub(1))));
            weight = left.bytes;
        }
        if used + weight > left.bytes && kept > 0 {
            break;
        }
        used += weight;
        kept += 1;
    }
    items.truncate(kept);
    value["items"] = Value::Array(items);
    let mut said = Vec::new();
    if kept < all {
        data.next = data.cursors.get(kept - 1).cloned();
        said.push(match &data.next {
            Some(_) => format!(
                "only {kept} of {all} rows fit: `after` goes on, and with fewer `fields` more fit"
            ),
            None => format!("only {kept} of {all} rows fit: ask for less, or look in a terminal"),
        });
    }
    if !cut.is_empty() {
        said.push(format!("a row is too long to be given whole: {}; ask for parts with `fields`, or look in a terminal", told(&cut)));
    }
    let data = Data {
        json: raw(&value)?,
        count: Some(kept as u64),
        complete: false,
        ..data
    };
    Ok((data, Some(said.join("; "))))
}

impl Room {
    fn has(&self, json: &str) -> bool {
        // No weight is less than the text itself.
        json.len() <= self.bytes && (self.weigh)(json) <= self.bytes
    }

    fn of(self, bytes: usize) -> Room {
        Room { bytes, ..self }
    }
}

/// Cuts the longest texts and lists inside where it is longer than this.
pub fn fit(value: &mut Value, bytes: usize) {
    let weigh = str::len;
    let room = Room { bytes, weigh };
    if !room.has(&value.to_string()) {
        shrink(value, room);
    }
}

/// Cuts the longest texts and lists inside until there is room, and tells which.
fn shrink(value: &mut Value, room: Room) -> Vec<String> {
    let whole = std::mem::take(value);
    let mut longest = room.bytes / 2;
    loop {
        let (mut some, mut cut) = (whole.clone(), Vec::new());
        shorten(&mut some, longest, "", &mut cut);
        if longest < 16 || room.has(&some.to_string()) {
            *value = some;
            return cut;
        }
        longest /= 2;
    }
}

fn shorten(value: &mut Value, longest: usize, path: &str, cut: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() > longest => {
            let end = text.floor_char_boundary(longest);
            let (kept, all) = (text[..end].chars().count(), text.chars().count());
            text.truncate(end);
            text.push_str(&format!(" […cut: {kept} of {all} characters]"));
            cut.push(format!("`{path}` ({kept} of {all} characters)"));
        }
        Value::Array(items) => {
            let all = items.len();
            let mut used = 0;
            let mut kept = 0;
            for item in items.iter_mut() {
                shorten(item, longest, path, cut);
                used += item.to_string().len() + 1;
                if used > longest && kept > 0 {
                    break;
                }
                kept += 1;
            }
            if kept < all {
                items.truncate(kept);
                cut.push(format!("`{path}` ({kept} of {all} entries)"));
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                shorten(value, longest, &path, cut);
            }
            if !path.is_empty() {
                narrow(fields, longest, path, cut);
            }
        }
        _ => {}
    }
}

/// Leaves out the last of very many fields.
fn narrow(fields: &mut Map<String, Value>, longest: usize, path: &str, cut: &mut Vec<String>) {
    let all = fields.len();
    let mut used = 0;
    let fits = |(name, value): &(&String, &Value)| {
        used += name.len() + value.to_string().len() + 4;
        used <= longest * 2
    };
    let kept = fields.iter().take_while(fits).count().max(1);
    if kept < all {
        *fields = std::mem::take(fields).into_iter().take(kept).collect();
        cut.push(format!("`{path}` ({kept} of {all} fields)"));
    }
}

fn told(cut: &[String]) -> String {
    const MANY: usize = 5;
    let mut text = cut[..cut.len().min(MANY)].join(", ");
    if cut.len() > MANY {
        text.push_str(&format!(" and {} more", cut.len() - MANY));
    }
    text
}

fn parsed(data: &Data) -> Result<Value> {
    serde_json::from_str(data.json.get())
        .map_err(|error| Error::internal("the answer is not JSON").because(error))
}

fn raw(value: &Value) -> Result<Box<serde_json::value::RawValue>> {
    serde_json::value::to_raw_value(value)
        .map_err(|error| Error::internal("the answer could not be written as JSON").because(error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[Column::id("Id", "id"), Column::text("Text", "text")];

    fn list(rows: Vec<Value>) -> Data {
        Data {
            count: Some(rows.len() as u64),
            json: raw(&json!({ "items": rows })).unwrap(),
            complete: true,
            ..Data::default()
        }
    }

    fn part(bytes: usize, limit: Option<u32>, after: Option<&str>) -> Part {
        Part {
            rows: Some(Rows {
                limit,
                after: after.map(|text| text.parse().unwrap()),
            }),
            room: Some(Room {
                bytes,
                weigh: str::len,
            }),
        }
    }

    fn given(part: &Part, data: Data) -> Result<(Data, Option<String>)> {
        let view = View::Table(COLUMNS);
        part.fitted(part.wanted(data, view)?, view)
    }

    fn ids(data: &Data) -> Vec<u64> {
        let value: Value = serde_json::from_str(data.json.get()).unwrap();
        let items = value["items"].as_array().unwrap();
        items
            .iter()
            .map(|row| row["id"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn following_the_cursor_gives_every_row_once() {
        // Rows of very different lengths, in rooms and with limits of every kind.
        let rows = |count: u64| {
            let row = |id| json!({ "id": id, "text": "x".repeat((id * 7919 % 97) as usize * 3), "a": [id] });
            (0..count).map(row).collect::<Vec<_>>()
        };
        for count in [0, 1, 2, 7, 60] {
            for bytes in [340, 400, 1_000, 5_000, 1_000_000] {
                for limit in [None, Some(1), Some(3), Some(500)] {
                    let (mut seen, mut after, mut pages) = (Vec::new(), None::<String>, 0);
                    loop {
                        let part = part(bytes, limit, after.as_deref());
                        let (data, told) = given(&part, list(rows(count))).unwrap();
                        assert!(data.json.get().len() <= bytes, "{bytes}");
                        let page = ids(&data);
                        assert_eq!(data.count, Some(page.len() as u64));
                        assert_eq!(
                            told.is_some(),
                            !data.complete
                                && data.next.is_some()
                                && limit.is_none_or(|limit| page.len() < limit as usize)
                        );
                        seen.extend(page);
                        pages += 1;
                        after = data.next;
                        if after.is_none() {
                            break;
                        }
                        assert!(!data.complete);
                    }
                    assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{bytes} {limit:?}");
                    assert!(pages <= count.max(1));
                }
            }
        }
    }

    #[test]
    fn a_mark_holds_while_rows_come_and_go_and_is_refused_where_it_is_gone() {
        let row = |id: u64| json!({ "id": id, "text": "t" });
        let (first, _) =
            given(&part(9_999, Some(2), None), list((0..5).map(row).collect())).unwrap();
        let next = first.next.unwrap();
        let on = |ids: &[u64]| {
            let rows = ids.iter().map(|id| row(*id)).collect();
            given(&part(9_999, None, Some(&next)), list(rows))
        };
        for (now, then) in [
            (&[0, 1, 2, 3][..], &[2, 3][..]),
            (&[9, 0, 1, 2], &[2]),
            (&[1, 2], &[2]),
            (&[0, 1], &[]),
        ] {
            let (data, _) = on(now).unwrap();
            assert_eq!(ids(&data), then);
            assert!(data.complete && data.next.is_none());
        }
        assert_eq!(
            on(&[0, 2, 3]).unwrap_err().kind(),
            crate::error::Kind::Conflict
        );
        for bad in ["", "3", "0-00000000", "x-00000000", "1-g"] {
            assert!(bad.parse::<Mark>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_go_on_is_cut_where_it_can_be_seen() {
        let record = json!({
            "name": "Ada", "body": "ä".repeat(5_000), "list": (0..900).collect::<Vec<_>>(),
            "deep": { "notes": ["n".repeat(4_000)] }, "wide": (0..500).map(|i| (format!("k{i}"), json!(i))).collect::<Map<_, _>>(),
        });
        for bytes in [400, 1_000, 8_000] {
            let data = Data {
                json: raw(&record).unwrap(),
                complete: true,
                ..Data::default()
            };
            let (data, told) = part(bytes, None, None)
                .fitted(data, View::Record(COLUMNS))
                .unwrap();
            let told = told.unwrap();
            let value: Value = serde_json::from_str(data.json.get()).unwrap();
            assert!(data.json.get().len() <= bytes && !data.complete);
            assert_eq!(value["name"], "Ada");
            assert!(
                value["body"]
                    .as_str()
                    .unwrap()
                    .contains("of 5000 characters]"),
                "{value}"
            );
            assert!(
                told.contains("`body` (") && told.contains("`fields`"),
                "{told}"
            );
        }
        // A row that fits nowhere comes alone, and shows that it was cut.
        let rows = vec![
            json!({ "id": 0, "text": "x".repeat(9_000) }),
            json!({ "id": 1, "text": "" }),
        ];
        let (data, told) = given(&part(500, None, None), list(rows)).unwrap();
        assert_eq!(ids(&data), [0]);
        assert!(data.next.is_some() && data.json.get().len() <= 500);
        assert!(told.unwrap().contains("`text` ("));
    }
}
