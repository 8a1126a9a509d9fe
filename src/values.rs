//! Values arguments are made of: lengths of time, moments, pages.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use clap::builder::ArgExt;

use crate::error::Error;

/// A length of time as people write it: `90s`, `5m`, `2h 30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// Whole minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Span(Duration::from_secs(minutes * 60))
    }

    /// Whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }

    /// As the standard library counts it.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Span(duration)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text.trim())
            .map(Span)
            .map_err(|_| "write a length of time such as `90s`, `15m`, `2h` or `7d`".to_owned())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A moment: a date, a time with its offset, or a span before now (`7d`, `7d ago`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This instant.
    At(DateTime<Utc>),
    /// That long before now.
    Ago(Span),
}

impl Moment {
    /// The instant, seen from `now`.
    pub fn instant(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::At(at) => at,
            Moment::Ago(span) => chrono::Duration::from_std(span.duration())
                .ok()
                .and_then(|span| now.checked_sub_signed(span))
                .filter(|at| *at > BEGINNING)
                .unwrap_or(BEGINNING),
        }
    }
}

/// Nothing here is older, and Postgres cannot count much further back.
const BEGINNING: DateTime<Utc> = DateTime::<Utc>::from_naive_utc_and_offset(
    NaiveDate::from_ymd_opt(1, 1, 1)
        .unwrap()
        .and_time(NaiveTime::MIN),
    Utc,
);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Moment::At(at.with_timezone(&Utc)));
        }
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d")
            && (1..10_000).contains(&day.year())
        {
            return Ok(Moment::At(day.and_time(NaiveTime::MIN).and_utc()));
        }
        let span = text.strip_suffix("ago").unwrap_or(text);
        span.parse().map(Moment::Ago).map_err(|_| {
            "write a date (`2026-11-01`), a time (`2026-11-01T09:00:00Z`) or how long ago (`7d`)".to_owned()
        })
    }
}

/// The smallest and largest whole number an argument takes, for the JSON Schema. The parser
/// enforces the same range; a test holds the two together.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
}

impl ArgExt for Range {}

/// Marks a list of words of which `-` stands for the lines of standard input. Only a shell has one:
/// over JSON it is a word like any other.
#[derive(Debug, Clone, Copy)]
pub struct FromInput;

impl ArgExt for FromInput {}

/// A page of a list.
#[derive(Debug, Clone, clap::Args)]
pub struct Paging {
    /// At most this many rows, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=500), add = Range { min: 1, max: 500 })]
    pub limit: u32,

    /// Go on after this cursor, the `next` of the page before
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
}

impl Paging {
    /// The number that a list in the order of numbers goes on after.
    pub fn after_number(&self) -> Result<Option<i64>, Error> {
        let parse = |cursor: &String| {
            cursor.parse().map_err(|_| {
                Error::usage(format!("`{cursor}` is no cursor of this list"))
                    .hint("Pass the `next` of the page before.")
            })
        };
        self.after.as_ref().map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_times_or_ages() {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Moment>().map(|m| m.instant(now).to_rfc3339());
        assert_eq!(at("2026-11-01").unwrap(), "2026-11-01T00:00:00+00:00");
        assert_eq!(
            at("2026-11-01T09:00:00+02:00").unwrap(),
            "2026-11-01T07:00:00+00:00"
        );
        assert_eq!(at("7d").unwrap(), "2026-11-15T10:00:00+00:00");
        assert_eq!(at("2h ago").unwrap(), "2026-11-22T08:00:00+00:00");
        assert!(at("yesterday-ish").is_err());
        // What Postgres cannot hold is refused, or as long ago as can be.
        assert!(at("-9999-01-01").is_err() && at("+99999-01-01").is_err());
        assert_eq!(at("300000y").unwrap(), "0001-01-01T00:00:00+00:00");
        assert_eq!(at("500000000000y").unwrap(), at("300000y").unwrap());
    }

    #[test]
    fn spans_read_as_written() {
        assert_eq!("15m".parse::<Span>().unwrap(), Span::minutes(15));
        assert_eq!(Span::minutes(90).to_string(), "1h 30m");
        assert!("".parse::<Span>().is_err());
        assert!("-5m".parse::<Span>().is_err());
    }
}
