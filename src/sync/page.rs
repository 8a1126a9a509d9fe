//! What must not be believed about a page.

use std::collections::HashMap;

use super::{Cursor, Page, Row};
use crate::{Error, Result};

/// What tells the first record of a page from that of the page before, or nothing for an empty page.
pub(super) fn first(rows: &[Row]) -> Option<String> {
    let row = rows.first()?;
    let changed = row.changed_at.map(|at| at.timestamp_micros());
    Some(format!("{} {changed:?} {}", row.id, row.hash()))
}

/// Refuses a page that is the one before over again.
///
/// Providers ignore a paging parameter they do not know and answer page one for ever; a run would
/// never end and a sweep would take everything else for gone.
pub(super) fn check_progress(
    name: &str,
    page: &Page,
    asked: Option<&Cursor>,
    last_first: Option<&str>,
) -> Result<()> {
    let same_cursor = page.next.is_some() && page.next.as_ref() == asked;
    let same_first = last_first.is_some() && first(&page.rows).as_deref() == last_first;
    if same_cursor || same_first {
        Err(repeats(name))
    } else {
        Ok(())
    }
}

/// Notices pages that take turns: remembers one page, a later one each time the distance has doubled, so
/// that a circle of any length is found within three rounds and no list of pages is kept.
#[derive(Debug, Default)]
pub(super) struct Turns {
    remembered: Option<String>,
    since: u32,
    until: u32,
}

impl Turns {
    pub(super) fn check(&mut self, name: &str, page: &Page) -> Result<()> {
        let first = first(&page.rows);
        if first.is_some() && first == self.remembered {
            return Err(repeats(name));
        }
        if self.since == self.until {
            self.remembered = first;
            self.until = (self.until * 2).max(1);
            self.since = 0;
        }
        self.since += 1;
        Ok(())
    }
}

fn repeats(name: &str) -> Error {
    Error::refused(format!(
        "the provider repeats itself: a page of `{name}` came twice"
    ))
    .hint(
        "Nothing is lost and nothing was marked as gone; `medtainer ghl sync` begins again."
            .replace("ghl", name.split('.').next().unwrap_or(name)),
    )
}

/// Leaves one row for each id, the newest: one statement cannot write a row twice.
pub(super) fn distinct(rows: &mut Vec<Row>) {
    let mut newest: HashMap<String, usize> = HashMap::with_capacity(rows.len());
    let mut doubles = false;
    for (place, row) in rows.iter().enumerate() {
        match newest.get_mut(&row.id) {
            Some(kept) => {
                doubles = true;
                if rows[*kept].changed_at <= row.changed_at {
                    *kept = place;
                }
            }
            None => {
                newest.insert(row.id.clone(), place);
            }
        }
    }
    if doubles {
        let mut place = 0;
        rows.retain(|row| {
            place += 1;
            newest.get(&row.id) == Some(&(place - 1))
        });
    }
}
