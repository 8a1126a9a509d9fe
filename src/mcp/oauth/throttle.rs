//! How often one address may ask.
//!
//! These limits keep a flood away and are counted by each server; the passphrase has limits of its own
//! that all servers share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::mcp::http::ClientAddress;

/// So many at once, and then so many in a minute.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// At once.
    pub burst: u32,
    /// In a minute.
    pub rate: u32,
}

/// The addresses that asked lately.
#[derive(Debug)]
pub struct Throttle {
    limit: Limit,
    // What each may still ask, and when that was true.
    left: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

/// How many addresses are kept in mind.
const MOST: usize = 10_000;

impl Throttle {
    /// Lets each address ask so often.
    pub fn new(limit: Limit) -> Self {
        Throttle {
            limit,
            left: Mutex::default(),
        }
    }

    /// Counts a request; refused, it says how many seconds to wait.
    pub fn ask(&self, address: ClientAddress) -> Result<(), u64> {
        self.take_at(address, Instant::now(), 1.0)
    }

    /// Whether [`ask`](Self::ask) would be granted, without counting anything.
    pub fn may(&self, address: ClientAddress) -> Result<(), u64> {
        self.take_at(address, Instant::now(), 0.0)
    }

    fn take_at(&self, address: ClientAddress, now: Instant, cost: f64) -> Result<(), u64> {
        let (burst, rate) = (
            f64::from(self.limit.burst),
            f64::from(self.limit.rate) / 60.0,
        );
        let full = Duration::from_secs_f64(burst / rate);
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= MOST {
            // Those with nothing against them; where that is nobody, all.
            left.retain(|_, (_, at)| now.saturating_duration_since(*at) < full);
            if left.len() >= MOST {
                left.clear();
            }
        }
        let (tokens, at) = left.entry(address.network()).or_insert((burst, now));
        let passed = now.saturating_duration_since(*at).as_secs_f64();
        *tokens = (*tokens + passed * rate).min(burst);
        *at = now;
        if *tokens >= 1.0 {
            *tokens -= cost;
            return Ok(());
        }
        let wait = Duration::from_secs_f64((1.0 - *tokens) / rate);
        Err(wait.as_secs().saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_when_it_asked_too_often_and_others_do_not() {
        let throttle = Throttle::new(Limit { burst: 3, rate: 60 });
        let now = Instant::now();
        let take = |text: &str, seconds, cost| {
            throttle.take_at(
                ClientAddress(text.parse().unwrap()),
                now + Duration::from_secs(seconds),
                cost,
            )
        };
        let ask = |text: &str, seconds| take(text, seconds, 1.0);
        for _ in 0..9 {
            assert_eq!(take("2001:db8::1", 0, 0.0), Ok(()), "nothing is counted");
        }
        for _ in 0..3 {
            assert_eq!(ask("2001:db8::1", 0), Ok(()));
        }
        assert_eq!(ask("2001:db8::2", 0), Err(2), "the same network");
        assert_eq!(take("2001:db8::2", 0, 0.0), Err(2), "nothing is left");
        assert_eq!(ask("2001:db8:0:1::1", 0), Ok(()));
        assert_eq!(ask("192.0.2.1", 0), Ok(()));
        assert_eq!(ask("2001:db8::1", 1), Ok(()));
        assert!(ask("2001:db8::1", 1).is_err());
    }
}
