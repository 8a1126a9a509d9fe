//! How often a key may call, counted in one row for all replicas.
//!
//! A generic cell rate algorithm: as many calls at once as a window has, then evenly. Postgres has the
//! count and the clock. A replica takes as many calls from it as it has lately let pass in a tenth of a
//! second, so a busy key costs some ten small writes a second and a slow one a write a call; and when
//! there are none it remembers until when, and asks no more.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use crate::error::{Error, Result};

/// Takes calls of the row, as many as are wanted and left. Nothing is written when none is left.
pub(super) const TAKE: &str = "
with setting as materialized (
    select set_config('synchronous_commit', 'off', true)
),
found as materialized (
    select k.name, k.rate, k.rate_seconds, k.due_at
    from api_keys k, setting
    where k.hash = $1
    for update of k
),
-- Read only now, when the row is ours: waiting for it must not make the clock look early.
clock as materialized (
    select found.*, clock_timestamp() as now, make_interval(secs => rate_seconds) as pane,
        make_interval(secs => rate_seconds::double precision / rate) as step
    from found
),
-- A time further ahead than a window was written before the clock was set back.
dues as materialized (
    select *, least(greatest(due_at, now), now + pane) as due from clock
),
verdict as materialized (
    select *, least(floor(extract(epoch from now + pane - due) / extract(epoch from step) + 0.001), $2::integer)::integer as taken
    from dues
),
counted as (
    update api_keys k set due_at = v.due + v.step * v.taken
    from verdict v where k.name = v.name and v.taken > 0
)
select taken, extract(epoch from due + step - pane - now)::double precision as wait from verdict";

/// A number of calls in a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub calls: i32,
    /// In how many seconds.
    pub seconds: i32,
}

const UNITS: [(&str, i32); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "write how many and per what: `10/s`, `60/m`, `1000/h` or `5000/d`".to_owned();
        let (calls, unit) = text.split_once('/').ok_or_else(wrong)?;
        let calls = calls.trim().parse().map_err(|_| wrong())?;
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim());
        let (_, seconds) = unit.filter(|_| calls > 0).ok_or_else(wrong)?;
        // Postgres counts time in millionths.
        if calls / seconds > 10_000 {
            return Err("at most 10000 calls a second can be told apart".to_owned());
        }
        Ok(Rate {
            calls,
            seconds: *seconds,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, seconds)| *seconds == self.seconds) {
            Some((unit, _)) => write!(f, "{}/{unit}", self.calls),
            None => write!(f, "{} in {} s", self.calls, self.seconds),
        }
    }
}

/// What this replica has of the calls of one key.
#[derive(Debug, Default)]
pub(super) struct Meter {
    left: i32,
    taken_at: Option<Instant>,
    none_until: Option<Instant>,
    // Calls that passed since the beginning of this second, and in the one before.
    second: Option<Instant>,
    now: i32,
    before: i32,
}

/// What a meter says of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may pass.
    Go,
    /// It may not, for so long.
    Wait(Duration),
    /// Postgres has to be asked for so many.
    Ask(i32),
}

/// Calls that were taken and not used are worth nothing after this: an old one would come on top of a
/// whole window of new ones.
const KEPT: Duration = Duration::from_secs(1);

impl Meter {
    /// Whether a call may pass, as far as is known here.
    pub fn turn(&mut self, now: Instant) -> Turn {
        self.roll(now);
        if let Some(until) = self.none_until.filter(|until| *until > now) {
            return Turn::Wait(until - now);
        }
        if self.taken_at.is_some_and(|at| now - at > KEPT) {
            self.left = 0;
        }
        if self.left > 0 {
            self.left -= 1;
            self.now += 1;
            return Turn::Go;
        }
        Turn::Ask((self.before.max(self.now) / 10).max(1))
    }

    /// What Postgres gave, of which one is for the call that asked.
    pub fn given(&mut self, now: Instant, taken: i32, wait: f64) -> Turn {
        if taken < 1 {
            let wait = Duration::try_from_secs_f64(wait).unwrap_or_default();
            self.none_until = Some(now + wait);
            return Turn::Wait(wait);
        }
        if self.taken_at.is_none_or(|at| now - at > KEPT) {
            self.left = 0;
        }
        self.left += taken - 1;
        self.taken_at = Some(now);
        self.none_until = None;
        self.roll(now);
        self.now += 1;
        Turn::Go
    }

    fn roll(&mut self, now: Instant) {
        let begun = *self.second.get_or_insert(now);
        match (now - begun).as_secs() {
            0 => {}
            1 => {
                (self.before, self.now) = (self.now, 0);
                self.second = Some(begun + Duration::from_secs(1));
            }
            _ => {
                (self.before, self.now) = (0, 0);
                self.second = Some(now);
            }
        }
    }
}

/// Takes at most `wanted` calls of the key: how many there were, and how long until there is one more.
pub(super) async fn take(conn: &mut PgConnection, hash: &[u8], wanted: i32) -> Result<(i32, f64)> {
    let taken = sqlx::query_as(TAKE)
        .bind(hash)
        .bind(wanted)
        .fetch_optional(conn)
        .await?;
    taken.ok_or_else(|| Error::auth("the key is gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_written() {
        for text in ["10/s", "60/m", "1000/h", "5000/d"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for wrong in [
            "", "60", "60/x", "0/m", "-1/m", "m/60", "1.5/s", "60/m/m", "10001/s",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_replica_takes_what_it_lately_used_in_a_tenth_of_a_second() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut meter = Meter::default();
        let mut asked = Vec::new();
        for i in 0..600 {
            if let Turn::Ask(wanted) = meter.turn(at(i * 5)) {
                asked.push(wanted);
                assert_eq!(meter.given(at(i * 5), wanted, 0.0), Turn::Go);
            }
        }
        assert_eq!(asked[0], 1, "the first call takes one");
        assert_eq!(asked.last(), Some(&20), "200 a second");
        // In the third second ten asked for all.
        assert!(
            asked.iter().sum::<i32>() >= 600 && asked.len() < 90,
            "{asked:?}"
        );
        // What was left over is gone.
        assert_eq!(meter.turn(at(60_000)), Turn::Ask(1), "and so is the haste");
    }

    #[test]
    fn where_there_is_none_nobody_asks_until_there_is() {
        let now = Instant::now();
        let mut meter = Meter::default();
        assert_eq!(meter.turn(now), Turn::Ask(1));
        let second = Duration::from_secs(1);
        assert_eq!(meter.given(now, 0, 1.0), Turn::Wait(second));
        assert_eq!(meter.turn(now + second / 2), Turn::Wait(second / 2));
        assert_eq!(meter.turn(now + second), Turn::Ask(1));
    }
}
