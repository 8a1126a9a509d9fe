//! The provider's rate limits, and a count of requests that a test can hold against a client.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How many requests a window and a day may hold; `None` means no limit and no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in a window.
    pub per_window: Option<u32>,
    /// The length of a window.
    pub window: Duration,
    /// Requests in a day.
    pub daily: Option<u32>,
}

impl Default for Limits {
    /// What the provider documents for an app: 100 in 10 s, 200,000 a day.
    fn default() -> Self {
        Limits {
            per_window: Some(100),
            window: Duration::from_secs(10),
            daily: Some(200_000),
        }
    }
}

impl Limits {
    /// No limits and no headers.
    pub const NONE: Limits = Limits {
        per_window: None,
        window: Duration::from_secs(10),
        daily: None,
    };

    /// What a private token of a trial account was measured at: 25 in 10 s, 10,000 a day.
    pub const TRIAL: Limits = Limits {
        per_window: Some(25),
        window: Duration::from_secs(10),
        daily: Some(10_000),
    };
}

const DAY: Duration = Duration::from_secs(86_400);

/// Counts every request that reaches the provider, refused ones too.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    started: Instant,
    window_start: Instant,
    in_window: u32,
    max_fixed: u32,
    recent: VecDeque<Instant>,
    max_sliding: usize,
    today: u32,
    day_start: Instant,
    total: u64,
    refused: u64,
    per_second: Vec<u32>,
}

/// What the meter says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) allowed: bool,
    limits: Limits,
    remaining: u32,
    daily_remaining: u32,
    daily_reset: Duration,
}

/// A day of seconds; the history stops there.
const HISTORY: usize = 86_400;

impl Meter {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Meter {
            limits,
            started: now,
            window_start: now,
            in_window: 0,
            max_fixed: 0,
            recent: VecDeque::new(),
            max_sliding: 0,
            today: 0,
            day_start: now,
            total: 0,
            refused: 0,
            per_second: Vec::new(),
        }
    }

    /// Counts one request and says whether it may pass.
    pub(super) fn count(&mut self, now: Instant) -> Reading {
        let second = now.duration_since(self.started).as_secs() as usize;
        if second < HISTORY {
            if self.per_second.len() <= second {
                self.per_second.resize(second + 1, 0);
            }
            self.per_second[second] += 1;
        }
        self.total += 1;
        // A window opens with its first request.
        if now.duration_since(self.window_start) >= self.limits.window || self.in_window == 0 {
            self.window_start = now;
            self.in_window = 0;
        }
        self.in_window += 1;
        self.max_fixed = self.max_fixed.max(self.in_window);
        while self
            .recent
            .front()
            .is_some_and(|then| now.duration_since(*then) >= self.limits.window)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.max_sliding = self.max_sliding.max(self.recent.len());
        if now.duration_since(self.day_start) >= DAY {
            self.day_start = now;
            self.today = 0;
        }

        let full = self
            .limits
            .per_window
            .is_some_and(|limit| self.in_window > limit);
        let spent = self.limits.daily.is_some_and(|daily| self.today >= daily);
        let allowed = !full && !spent;
        if allowed {
            self.today += 1;
        } else {
            self.refused += 1;
        }
        Reading {
            allowed,
            limits: self.limits,
            remaining: self
                .limits
                .per_window
                .unwrap_or_default()
                .saturating_sub(self.in_window),
            daily_remaining: self
                .limits
                .daily
                .unwrap_or_default()
                .saturating_sub(self.today),
            daily_reset: DAY.saturating_sub(now.duration_since(self.day_start)),
        }
    }

    /// Other limits from now on.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Forgets what was counted, but not what is left of the budgets.
    pub(super) fn reset(&mut self, now: Instant) {
        self.started = now;
        self.max_fixed = 0;
        self.max_sliding = 0;
        self.recent.clear();
        self.total = 0;
        self.refused = 0;
        self.per_second.clear();
    }

    /// The counters for a test.
    pub(super) fn json(&self) -> Value {
        json!({
            "total": self.total,
            "refused": self.refused,
            "today": self.today,
            "window_ms": self.limits.window.as_millis() as u64,
            "per_window": self.limits.per_window,
            "max_fixed_window": self.max_fixed,
            "max_sliding_window": self.max_sliding,
            "per_second": self.per_second,
        })
    }
}

impl Reading {
    /// As if the day were over.
    pub(super) fn spend_the_day(&mut self) {
        self.allowed = false;
        self.daily_remaining = 0;
        self.limits.daily = self.limits.daily.or(Limits::default().daily);
    }

    /// As if the window were full.
    pub(super) fn fill_the_window(&mut self) {
        self.allowed = false;
        self.remaining = 0;
        self.limits.per_window = self.limits.per_window.or(Limits::default().per_window);
    }

    /// The provider's headers. There is no `Retry-After`, not even on a 429.
    pub(super) fn headers(&self) -> Vec<(&'static str, u64)> {
        let mut headers = Vec::new();
        if let Some(limit) = self.limits.per_window {
            headers.push(("x-ratelimit-max", u64::from(limit)));
            headers.push(("x-ratelimit-remaining", u64::from(self.remaining)));
            headers.push((
                "x-ratelimit-interval-milliseconds",
                self.limits.window.as_millis() as u64,
            ));
        }
        if let Some(daily) = self.limits.daily {
            headers.push(("x-ratelimit-limit-daily", u64::from(daily)));
            headers.push((
                "x-ratelimit-daily-remaining",
                u64::from(self.daily_remaining),
            ));
            // A length of time, not a point in it.
            headers.push((
                "x-ratelimit-daily-reset",
                self.daily_reset.as_millis() as u64,
            ));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_window: u32, daily: u32) -> Limits {
        Limits {
            per_window: Some(per_window),
            window: Duration::from_secs(10),
            daily: Some(daily),
        }
    }

    #[test]
    fn a_window_opens_again_after_its_length() {
        let start = Instant::now();
        let mut meter = Meter::new(limits(3, 100), start);
        let at = |ms| start + Duration::from_millis(ms);
        let answers: Vec<_> = [0, 1, 2, 3, 9_999, 10_000]
            .map(|ms| meter.count(at(ms)).allowed)
            .into();
        assert_eq!(answers, [true, true, true, false, false, true]);
        assert_eq!(meter.json()["refused"], 2);
        assert_eq!(meter.json()["per_second"][0], 4);
    }

    #[test]
    fn sliding_windows_catch_what_fixed_ones_miss() {
        let start = Instant::now();
        let mut meter = Meter::new(limits(100, 1000), start);
        let at = |ms| start + Duration::from_millis(ms);
        meter.count(at(0));
        for ms in 9_000..9_050 {
            meter.count(at(ms));
        }
        for ms in 10_000..10_050 {
            meter.count(at(ms));
        }
        assert_eq!(meter.json()["max_fixed_window"], 51);
        assert_eq!(meter.json()["max_sliding_window"], 100);
    }

    #[test]
    fn the_day_ends_and_begins_again() {
        let start = Instant::now();
        let mut meter = Meter::new(limits(100, 2), start);
        assert!(meter.count(start).allowed);
        assert!(meter.count(start).allowed);
        let refused = meter.count(start);
        assert!(!refused.allowed);
        assert!(
            refused
                .headers()
                .contains(&("x-ratelimit-daily-remaining", 0))
        );
        assert!(meter.count(start + DAY).allowed);
    }
}
