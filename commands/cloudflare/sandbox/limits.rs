//! Cloudflare's rate limit: so many requests in a window, and silence for a whole window after one too many.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How many requests a window may hold; `None` means no limit and no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in a window.
    pub per_window: Option<u32>,
    /// The length of a window, and of the silence.
    pub window: Duration,
}

impl Default for Limits {
    /// What is documented for a user: 1,200 in five minutes.
    fn default() -> Self {
        Limits {
            per_window: Some(1_200),
            window: Duration::from_secs(300),
        }
    }
}

impl Limits {
    /// No limits and no headers.
    pub const NONE: Limits = Limits {
        per_window: None,
        window: Duration::from_secs(300),
    };
}

/// Counts every request that reaches the provider, refused ones too.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    window_start: Instant,
    in_window: u32,
    silent_until: Option<Instant>,
    total: u64,
    refused: u64,
}

/// What the meter says to one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    limits: Limits,
    remaining: u32,
    resets_in: Duration,
    /// How long to stay away, when it may not pass.
    pub(super) retry_after: Option<Duration>,
}

impl Meter {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Meter {
            limits,
            window_start: now,
            in_window: 0,
            silent_until: None,
            total: 0,
            refused: 0,
        }
    }

    /// Counts one request and says whether it may pass.
    pub(super) fn count(&mut self, now: Instant) -> Reading {
        self.total += 1;
        let window = self.limits.window;
        if self.silent_until.is_some_and(|until| until <= now) {
            self.silent_until = None;
            self.in_window = 0;
        }
        // A window opens with its first request.
        if self.in_window == 0 || now.duration_since(self.window_start) >= window {
            self.window_start = now;
            self.in_window = 0;
        }
        self.in_window = self.in_window.saturating_add(1);
        let over = self
            .limits
            .per_window
            .is_some_and(|most| self.in_window > most);
        if over && self.silent_until.is_none() {
            self.silent_until = Some(now + window);
        }
        let retry_after = self
            .silent_until
            .map(|until| until.saturating_duration_since(now));
        if retry_after.is_some() {
            self.refused += 1;
        }
        Reading {
            limits: self.limits,
            remaining: self
                .limits
                .per_window
                .unwrap_or_default()
                .saturating_sub(self.in_window),
            resets_in: window.saturating_sub(now.duration_since(self.window_start)),
            retry_after,
        }
    }

    /// Other limits from now on, and a window that begins anew.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.in_window = 0;
        self.silent_until = None;
    }

    /// Forgets what was counted, but not what is left of the window.
    pub(super) fn reset(&mut self) {
        self.total = 0;
        self.refused = 0;
    }

    /// The counters for a test.
    pub(super) fn json(&self) -> Value {
        json!({
            "total": self.total,
            "refused": self.refused,
            "per_window": self.limits.per_window,
            "window_ms": self.limits.window.as_millis() as u64,
        })
    }
}

impl Reading {
    /// As if there had been one request too many, and it were nearly over.
    pub(super) fn refuse_briefly(&mut self) {
        self.remaining = 0;
        self.resets_in = Duration::from_secs(1);
        self.retry_after = Some(Duration::from_secs(1));
        self.limits.per_window = self.limits.per_window.or(Limits::default().per_window);
    }

    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let Some(most) = self.limits.per_window else {
            return Vec::new();
        };
        // Whole seconds, rounded up: who comes back then is not too early.
        let seconds = |time: Duration| time.as_millis().div_ceil(1_000);
        let mut headers = vec![
            (
                "ratelimit",
                format!(
                    "\"default\";r={};t={}",
                    self.remaining,
                    seconds(self.resets_in)
                ),
            ),
            (
                "ratelimit-policy",
                format!("\"default\";q={most};w={}", seconds(self.limits.window)),
            ),
        ];
        if let Some(after) = self.retry_after {
            headers.push(("retry-after", seconds(after).max(1).to_string()));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_brings_a_window_of_silence() {
        let start = Instant::now();
        let limits = Limits {
            per_window: Some(2),
            window: Duration::from_secs(10),
        };
        let mut meter = Meter::new(limits, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(meter.count(at(0)).retry_after.is_none());
        let second = meter.count(at(1));
        assert_eq!(
            second.headers(),
            [
                ("ratelimit", "\"default\";r=0;t=9".to_owned()),
                ("ratelimit-policy", "\"default\";q=2;w=10".to_owned())
            ]
        );
        assert_eq!(
            meter.count(at(2)).retry_after,
            Some(Duration::from_secs(10))
        );
        // The window is over, the silence is not.
        assert_eq!(
            meter.count(at(11)).retry_after,
            Some(Duration::from_secs(1))
        );
        assert!(meter.count(at(12)).retry_after.is_none());
        assert_eq!(meter.json()["refused"], 2);
    }
}
