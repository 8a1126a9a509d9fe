//! When a schedule is due: croner in the schedule's own time zone, and what lateness means.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::error::{Error, Result};

/// Who did not say how late is too late gets one period, so that what was slept through is made up
/// for, but never more than this: a weekly run days late is rather a missed one.
const LATEST: TimeDelta = TimeDelta::days(1);

/// Where counting missed occurrences ends; nobody cares beyond.
const COUNTED: usize = 1_000;

/// When something is due: the five fields of cron and the zone they are in.
#[derive(Debug, Clone)]
pub struct Calendar {
    cron: Cron,
    zone: Tz,
}

/// What to do about a schedule that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The occurrence to run: the latest one.
    pub scheduled_for: DateTime<Utc>,
    /// Earlier ones that nobody ran; this one stands for them.
    pub collapsed: i32,
    /// Whether it is too late to run it.
    pub is_late: bool,
    /// When it is due again.
    pub next_at: DateTime<Utc>,
}

impl Calendar {
    /// Reads the five fields and the name of the zone; refuses what is never due.
    pub fn parse(cron: &str, zone: &str) -> Result<Self> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let parsed = parser.parse(cron).map_err(|e| {
            Error::usage(format!("`{cron}` is not a time in the five fields of cron"))
                .hint("Write minute, hour, day, month and day of the week, such as `*/15 * * * *` or `30 2 * * mon-fri`.")
                .because(e)
        })?;
        let zone = zone.parse().map_err(|e| {
            Error::usage(format!("there is no time zone `{zone}`"))
                .hint("Use a name from the IANA list, such as `Europe/Berlin`.")
                .because(e)
        })?;
        Ok(Calendar { cron: parsed, zone })
    }

    /// The first occurrence after a moment.
    pub fn next(&self, after: DateTime<Utc>) -> Result<DateTime<Utc>> {
        let next = self
            .cron
            .find_next_occurrence(&after.with_timezone(&self.zone), false)
            .map_err(|e| {
                Error::usage(format!("`{}` is never due", self.cron.as_str()))
                    .hint("Is there such a day in that month?")
                    .because(e)
            })?;
        Ok(next.with_timezone(&Utc))
    }

    /// In English.
    pub fn describe(&self) -> String {
        self.cron.describe().trim_end_matches('.').to_owned()
    }

    /// How late a run may begin.
    pub fn grace(
        &self,
        scheduled_for: DateTime<Utc>,
        asked: Option<Duration>,
    ) -> Result<TimeDelta> {
        match asked {
            Some(grace) => Ok(TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX)),
            None => Ok(LATEST.min(self.next(scheduled_for)? - scheduled_for)),
        }
    }

    /// What to do at `now` about a schedule that was due at `next_at`, which need not be one of its
    /// own occurrences: a stopped run is due again at once.
    pub fn judge(
        &self,
        next_at: DateTime<Utc>,
        now: DateTime<Utc>,
        grace: Option<Duration>,
    ) -> Result<Due> {
        let latest = self
            .cron
            .find_previous_occurrence(&now.with_timezone(&self.zone), true)
            .map_or(next_at, |latest| latest.with_timezone(&Utc))
            .max(next_at);
        let collapsed = self
            .cron
            .iter_after(next_at.with_timezone(&self.zone))
            .take_while(|at| *at <= latest)
            .take(COUNTED)
            .count();
        Ok(Due {
            scheduled_for: latest,
            collapsed: i32::try_from(collapsed).unwrap_or(i32::MAX),
            is_late: now - latest > self.grace(latest, grace)?,
            next_at: self.next(now)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn calendar(cron: &str, zone: &str) -> Calendar {
        Calendar::parse(cron, zone).unwrap()
    }

    /// The occurrences after a moment, in the time of the zone.
    fn following(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let calendar = calendar(cron, zone);
        let mut at = at(after);
        let mut found = Vec::new();
        for _ in 0..count {
            at = calendar.next(at).unwrap();
            found.push(
                at.with_timezone(&calendar.zone)
                    .format("%m-%d %H:%M %Z")
                    .to_string(),
            );
        }
        found
    }

    #[test]
    fn keeps_the_time_of_day_when_clocks_change() {
        let days = following("0 9 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3);
        assert_eq!(
            days,
            ["03-28 09:00 CET", "03-29 09:00 CEST", "03-30 09:00 CEST"]
        );
        let days = following("0 9 * * *", "America/New_York", "2026-10-31T00:00:00Z", 3);
        assert_eq!(
            days,
            ["10-31 09:00 EDT", "11-01 09:00 EST", "11-02 09:00 EST"]
        );
    }

    #[test]
    fn an_hour_that_is_left_out_runs_once_and_not_never() {
        // Berlin goes from 02:00 to 03:00 on 29 March.
        let days = following("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(
            days,
            ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]
        );
    }

    #[test]
    fn an_hour_that_comes_twice_runs_once() {
        // Berlin goes from 03:00 back to 02:00 on 25 October.
        let days = following("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3);
        assert_eq!(
            days,
            ["10-24 02:30 CEST", "10-25 02:30 CEST", "10-26 02:30 CET"]
        );
    }

    #[test]
    fn every_quarter_of_an_hour_goes_on_through_both_changes() {
        for change in ["2026-03-29T00:00:00Z", "2026-10-24T23:00:00Z"] {
            let calendar = calendar("*/15 * * * *", "Europe/Berlin");
            let mut last = at(change);
            for _ in 0..20 {
                let next = calendar.next(last).unwrap();
                assert_eq!(next - last, TimeDelta::minutes(15), "after {last}");
                last = next;
            }
        }
    }

    #[test]
    fn months_without_the_day_are_skipped() {
        let days = following("0 8 31 * *", "UTC", "2026-01-31T09:00:00Z", 3);
        assert_eq!(
            days,
            ["03-31 08:00 UTC", "05-31 08:00 UTC", "07-31 08:00 UTC"]
        );
        let leap = calendar("0 0 29 2 *", "UTC")
            .next(at("2026-01-01T00:00:00Z"))
            .unwrap();
        assert_eq!(leap, at("2028-02-29T00:00:00Z"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (cron, zone) in [
            ("", "UTC"),
            ("* * * *", "UTC"),
            ("*/5 * * * * *", "UTC"),
            ("60 * * * *", "UTC"),
            ("* * * * *", "Europe/Nowhere"),
        ] {
            assert!(Calendar::parse(cron, zone).is_err(), "{cron} {zone}");
        }
        let never = calendar("0 0 31 2 *", "UTC").next(at("2026-01-01T00:00:00Z"));
        assert!(never.unwrap_err().message().contains("never due"));
    }

    fn judge(
        cron: &str,
        next_at: &str,
        now: &str,
        grace: Option<u64>,
    ) -> (String, i32, bool, String) {
        let due = calendar(cron, "UTC")
            .judge(at(next_at), at(now), grace.map(Duration::from_secs))
            .unwrap();
        let short = |at: DateTime<Utc>| at.format("%d %H:%M").to_string();
        (
            short(due.scheduled_for),
            due.collapsed,
            due.is_late,
            short(due.next_at),
        )
    }

    #[test]
    fn what_was_missed_collapses_into_one_run() {
        let quarter = "*/15 * * * *";
        assert_eq!(
            judge(
                quarter,
                "2026-05-01T10:00:00Z",
                "2026-05-01T10:00:03Z",
                None
            ),
            ("01 10:00".into(), 0, false, "01 10:15".into())
        );
        // Asleep for an hour: one run, for 10:45, that stands for 10:00, 10:15 and 10:30.
        assert_eq!(
            judge(
                quarter,
                "2026-05-01T10:00:00Z",
                "2026-05-01T10:50:00Z",
                None
            ),
            ("01 10:45".into(), 3, false, "01 11:00".into())
        );
        // The clock jumped by years: counting ends somewhere.
        assert_eq!(
            judge(
                quarter,
                "2026-05-01T10:00:00Z",
                "2036-05-01T10:50:00Z",
                None
            )
            .1,
            1_000
        );
    }

    #[test]
    fn a_daily_run_slept_through_is_made_up_for_and_a_weekly_one_is_not() {
        assert_eq!(
            judge(
                "0 3 * * *",
                "2026-05-01T03:00:00Z",
                "2026-05-02T02:59:00Z",
                None
            ),
            ("01 03:00".into(), 0, false, "02 03:00".into())
        );
        // Fridays.
        assert!(
            !judge(
                "0 3 * * 5",
                "2026-05-01T03:00:00Z",
                "2026-05-02T02:59:00Z",
                None
            )
            .2
        );
        assert!(
            judge(
                "0 3 * * 5",
                "2026-05-01T03:00:00Z",
                "2026-05-02T03:01:00Z",
                None
            )
            .2
        );
    }

    #[test]
    fn its_own_grace_counts_where_it_has_one() {
        let judged = |now| judge("0 3 * * *", "2026-05-01T03:00:00Z", now, Some(600)).2;
        assert!(!judged("2026-05-01T03:10:00Z"));
        assert!(judged("2026-05-01T03:10:01Z"));
    }

    #[test]
    fn a_stopped_run_is_due_when_it_was_stopped() {
        assert_eq!(
            judge(
                "0 3 * * *",
                "2026-05-01T03:20:00Z",
                "2026-05-01T03:25:00Z",
                None
            ),
            ("01 03:20".into(), 0, false, "02 03:00".into())
        );
    }

    #[test]
    fn looking_back_and_looking_ahead_find_the_same_occurrences() {
        let crons = [
            "*/15 * * * *",
            "30 2 * * *",
            "0 3 * * *",
            "7 */2 * * *",
            "0 2 * * sun",
        ];
        for zone in [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "UTC",
        ] {
            for cron in crons {
                let calendar = calendar(cron, zone);
                // A day around each change of the clocks in 2026, every half minute off the minute.
                for start in [
                    "2026-03-07T12:00:30Z",
                    "2026-03-28T12:00:30Z",
                    "2026-04-04T00:00:30Z",
                    "2026-10-03T00:00:30Z",
                    "2026-10-24T12:00:30Z",
                    "2026-10-31T12:00:30Z",
                ] {
                    let mut next_at = calendar.next(at(start)).unwrap();
                    let mut now = at(start);
                    for _ in 0..288 {
                        now += TimeDelta::minutes(5);
                        if next_at > now {
                            continue;
                        }
                        let mut latest = next_at;
                        while calendar.next(latest).unwrap() <= now {
                            latest = calendar.next(latest).unwrap();
                        }
                        let due = calendar.judge(next_at, now, None).unwrap();
                        assert_eq!(due.scheduled_for, latest, "{cron} {zone} {next_at} {now}");
                        assert!(due.next_at > now, "{cron} {zone} {now}");
                        next_at = due.next_at;
                    }
                }
            }
        }
    }
}
