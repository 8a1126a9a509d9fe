//! The provider's rate limit, and a count of requests that a test can hold against a client.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How many requests one endpoint takes in a window; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests to one endpoint in a window.
    pub per_window: Option<u32>,
    /// The length of a window.
    pub window: Duration,
}

impl Default for Limits {
    /// What the terms say: 60 a minute for each endpoint.
    fn default() -> Self {
        Limits {
            per_window: Some(60),
            window: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// No limits.
    pub const NONE: Limits = Limits {
        per_window: None,
        window: Duration::from_secs(60),
    };
}

/// Counts every request that reaches the provider, refused ones too.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    endpoints: BTreeMap<String, Window>,
    recent: VecDeque<Instant>,
    max_sliding: usize,
    total: u64,
    refused: u64,
}

#[derive(Debug, Clone)]
struct Window {
    began: Instant,
    requests: u32,
    total: u64,
}

/// What the meter says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) allowed: bool,
    limit: Option<u32>,
    remaining: u32,
    /// Seconds until the window is over.
    pub(super) reset: u64,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Meter {
            limits,
            endpoints: BTreeMap::new(),
            recent: VecDeque::new(),
            max_sliding: 0,
            total: 0,
            refused: 0,
        }
    }

    /// Counts one request to an endpoint and says whether it may pass.
    pub(super) fn count(&mut self, endpoint: &str, now: Instant) -> Reading {
        self.total += 1;
        let Limits { per_window, window } = self.limits;
        while self
            .recent
            .front()
            .is_some_and(|then| now.duration_since(*then) >= window)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.max_sliding = self.max_sliding.max(self.recent.len());
        let place = self
            .endpoints
            .entry(endpoint.to_owned())
            .or_insert_with(|| Window {
                began: now,
                requests: 0,
                total: 0,
            });
        if now.duration_since(place.began) >= window {
            place.began = now;
            place.requests = 0;
        }
        place.requests += 1;
        place.total += 1;
        let allowed = per_window.is_none_or(|limit| place.requests <= limit);
        if !allowed {
            self.refused += 1;
        }
        let left = window.saturating_sub(now.duration_since(place.began));
        Reading {
            allowed,
            limit: per_window,
            remaining: per_window
                .unwrap_or_default()
                .saturating_sub(place.requests),
            reset: left.as_millis().div_ceil(1_000).max(1) as u64,
        }
    }

    /// Other limits from now on.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Forgets what was counted, but not what is left of the budgets.
    pub(super) fn reset(&mut self) {
        self.total = 0;
        self.refused = 0;
        self.max_sliding = 0;
        self.recent.clear();
        for window in self.endpoints.values_mut() {
            window.total = 0;
        }
    }

    /// The counters for a test.
    pub(super) fn json(&self) -> Value {
        let by_route: BTreeMap<_, _> = self
            .endpoints
            .iter()
            .filter(|(_, window)| window.total > 0)
            .map(|(endpoint, window)| (endpoint, window.total))
            .collect();
        json!({
            "total": self.total,
            "refused": self.refused,
            "max_sliding_window": self.max_sliding,
            "by_route": by_route,
        })
    }
}

impl Reading {
    /// As if the window were full.
    pub(super) fn fill(&mut self) {
        self.allowed = false;
        self.remaining = 0;
        self.limit = self.limit.or(Limits::default().per_window);
    }

    /// The headers of the newer gateway, and `Retry-After` on a refusal.
    pub(super) fn headers(&self) -> Vec<(&'static str, u64)> {
        let mut headers = Vec::new();
        if let Some(limit) = self.limit {
            headers.push(("ratelimit-limit", u64::from(limit)));
            headers.push(("ratelimit-remaining", u64::from(self.remaining)));
            headers.push(("ratelimit-reset", self.reset));
        }
        if !self.allowed {
            headers.push(("retry-after", self.reset));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_its_window() {
        let start = Instant::now();
        let limits = Limits {
            per_window: Some(2),
            window: Duration::from_secs(60),
        };
        let mut meter = Meter::new(limits);
        let at = |s| start + Duration::from_secs(s);
        assert!(meter.count("a", at(0)).allowed);
        assert!(meter.count("a", at(10)).allowed);
        assert!(meter.count("b", at(10)).allowed);
        let refused = meter.count("a", at(20));
        assert!(!refused.allowed);
        assert!(refused.headers().contains(&("retry-after", 40)));
        assert!(meter.count("a", at(61)).allowed);
        assert_eq!(meter.json()["by_route"]["a"], 4);
        assert_eq!(meter.json()["refused"], 1);
    }
}
