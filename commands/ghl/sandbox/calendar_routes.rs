//! The routes of calendars and what is in them.

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeZone};
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal, Reply};
use super::fixed::{self, CALENDAR_ID};
use super::{LOCATION_ID, world};

pub(super) fn calendars(call: &mut Call<'_>) -> Reply {
    let calendar = json!({"id": CALENDAR_ID, "locationId": LOCATION_ID, "name": "Calls", "isActive": true,
        "eventType": "RoundRobin_OptimizeForAvailability", "slug": "calls", "widgetSlug": "calls",
        "calendarType": "round_robin", "slotDuration": 30, "slotDurationUnit": "mins"});
    Answer::ok(json!({"calendars": [calendar], "traceId": call.trace}))
}

/// What begins in a span of time, in one calendar or with one user; all of it in one answer.
pub(super) fn events(call: &mut Call<'_>) -> Reply {
    let by = ["userId", "calendarId", "groupId"].map(|name| call.query(name).map(str::to_owned));
    let [user, calendar, group] = &by;
    if by.iter().flatten().count() != 1 {
        return Err(Refusal::invalid([
            "Either of userId, calendarId or groupId is required".to_owned(),
        ]));
    }
    let ms = |name: &str| {
        let ms = call.query(name).and_then(|text| text.parse::<i64>().ok());
        ms.ok_or_else(|| Refusal::invalid([format!("{name} must be a number string")]))
    };
    let (from, to) = (ms("startTime")?, ms("endTime")?);
    if calendar.as_deref().is_some_and(|id| id != CALENDAR_ID) || group.is_some() {
        return Err(Refusal::bad("Calendar not found"));
    }
    let mut found = Vec::new();
    for contact in 0..call.world.seed.contacts {
        let all = world::appointments(&call.world.seed, contact);
        if all.is_empty() || call.world.contacts.get(contact).is_none() {
            continue;
        }
        for mut event in all {
            let Some(start) = instant(&event["startTime"]) else {
                continue;
            };
            let begins = start.timestamp_millis();
            let theirs = user
                .as_ref()
                .is_none_or(|user| event["assignedUserId"] == **user);
            if begins < from || begins > to || !theirs {
                continue;
            }
            for name in ["startTime", "endTime", "dateAdded", "dateUpdated"] {
                event[name] = json!(instant(&event[name]).map(|at| at.to_rfc3339()));
            }
            found.push(event);
        }
    }
    Answer::ok(json!({"events": found, "traceId": call.trace}))
}

/// Elsewhere these times come without their offset, here with it.
fn instant(local: &Value) -> Option<DateTime<FixedOffset>> {
    let local = NaiveDateTime::parse_from_str(local.as_str()?, "%Y-%m-%d %H:%M:%S").ok()?;
    FixedOffset::east_opt(fixed::UTC_OFFSET_HOURS * 3_600)?
        .from_local_datetime(&local)
        .earliest()
}
