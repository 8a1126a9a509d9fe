//! The provider's rate limits: a burst limit by the minute, and an hour that slides.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// How many requests a minute and an hour may hold; `None` means no limit, and for the hour no headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in a minute.
    pub per_minute: Option<u32>,
    /// The length of that minute.
    pub minute: Duration,
    /// Requests in an hour.
    pub per_hour: Option<u32>,
}

impl Default for Limits {
    /// What the provider documents.
    fn default() -> Self {
        Limits {
            per_minute: Some(250),
            minute: Duration::from_secs(60),
            per_hour: Some(5_000),
        }
    }
}

impl Limits {
    /// No limits and no headers.
    pub const NONE: Limits = Limits {
        per_minute: None,
        minute: Duration::from_secs(60),
        per_hour: None,
    };
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Counts every request that reaches the provider.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    /// The requests of the last hour that were let in.
    recent: VecDeque<Instant>,
    total: u64,
    refused: u64,
}

/// What the meter says to one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) allowed: bool,
    per_hour: Option<u32>,
    remaining: u32,
    /// Until the oldest request leaves the hour.
    reset: Duration,
    /// Told only when the minute is full.
    retry_after: Option<Duration>,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Meter {
            limits,
            recent: VecDeque::new(),
            total: 0,
            refused: 0,
        }
    }

    /// Counts one request and says whether it may pass.
    pub(super) fn count(&mut self, now: Instant) -> Reading {
        self.total += 1;
        while self
            .recent
            .front()
            .is_some_and(|then| now.duration_since(*then) >= HOUR)
        {
            self.recent.pop_front();
        }
        let held =
            |limit: Option<u32>, count: usize| limit.is_some_and(|limit| count >= limit as usize);
        let minute = self.limits.minute;
        let in_minute = self
            .recent
            .iter()
            .rev()
            .take_while(|then| now.duration_since(**then) < minute)
            .count();
        let spent = held(self.limits.per_hour, self.recent.len());
        let burst = held(self.limits.per_minute, in_minute);
        if spent || burst {
            self.refused += 1;
        } else {
            self.recent.push_back(now);
        }
        let oldest = |count: usize, window: Duration| {
            let first = self.recent.len().checked_sub(count);
            let then = first.and_then(|first| self.recent.get(first));
            then.map_or(Duration::ZERO, |then| {
                window.saturating_sub(now.duration_since(*then))
            })
        };
        let limit = self.limits.per_hour.unwrap_or_default() as usize;
        Reading {
            allowed: !spent && !burst,
            per_hour: self.limits.per_hour,
            remaining: u32::try_from(limit.saturating_sub(self.recent.len())).unwrap_or(0),
            reset: oldest(self.recent.len(), HOUR),
            retry_after: (burst && !spent).then(|| oldest(in_minute, minute)),
        }
    }

    /// Other limits from now on.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The counters for a test.
    pub(super) fn json(&self) -> Value {
        json!({ "total": self.total, "refused": self.refused })
    }

    /// Starts counting anew; what was used of the budgets stays used.
    pub(super) fn reset(&mut self) {
        (self.total, self.refused) = (0, 0);
    }
}

impl Reading {
    /// As if the hour were used up.
    pub(super) fn spend_the_hour(&mut self) {
        self.allowed = false;
        self.per_hour = self.per_hour.or(Limits::default().per_hour);
        self.remaining = 0;
        self.reset = Duration::from_secs(600);
        self.retry_after = None;
    }

    /// As if the minute were full.
    pub(super) fn fill_the_minute(&mut self) {
        self.allowed = false;
        self.retry_after = Some(Duration::from_secs(1));
    }

    /// The provider's headers.
    pub(super) fn headers(&self) -> Vec<(&'static str, u64)> {
        let mut headers = Vec::new();
        if let Some(limit) = self.per_hour {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let reset = now.unwrap_or_default() + self.reset;
            headers.push(("ratelimit-limit", u64::from(limit)));
            headers.push(("ratelimit-remaining", u64::from(self.remaining)));
            headers.push(("ratelimit-reset", reset.as_secs()));
        }
        if let Some(after) = self.retry_after {
            headers.push(("retry-after", after.as_secs_f64().ceil().max(1.0) as u64));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minute_and_the_hour_slide() {
        let start = Instant::now();
        let mut meter = Meter::new(Limits {
            per_minute: Some(2),
            minute: Duration::from_secs(60),
            per_hour: Some(4),
        });
        let mut at = |seconds| meter.count(start + Duration::from_secs(seconds));
        assert!(at(0).allowed && at(30).allowed);
        let burst = at(40);
        assert!(!burst.allowed);
        assert_eq!(burst.retry_after, Some(Duration::from_secs(20)));
        assert_eq!(burst.remaining, 2);
        assert!(at(60).allowed && at(90).allowed);
        let spent = at(200);
        assert!(!spent.allowed && spent.retry_after.is_none());
        assert_eq!(spent.reset, Duration::from_secs(3_400));
        let one = at(3_600);
        assert!(one.allowed && one.remaining == 0);
    }
}
