//! Looks keys up for a server, and remembers for a moment what it found.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::rate::{self, Meter, Turn};
use super::{Found, check, hash, is_key};
use crate::app::App;
use crate::error::{Kind, Result};
use crate::mcp::grant::Grant;
use crate::store::{Business, needs_migration};

/// For how long a key that was found valid is taken for valid: what is revoked opens nothing after this,
/// on any replica. Looked up for every call, a key would cost as much as a cached read does.
const REMEMBERED: Duration = Duration::from_millis(500);

/// Keys that were not used for so long are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What becomes of a key that is shown.
#[derive(Debug)]
pub enum Pass {
    /// It is valid, and this is the most it is good for.
    Valid(Grant),
    /// It is valid, and may call again after this.
    TooOften(Duration),
    /// It opens nothing.
    Invalid,
}

/// The keys a server has lately seen.
#[derive(Debug)]
pub struct Guard {
    app: Arc<App>,
    known: Mutex<HashMap<Vec<u8>, Known>>,
}

#[derive(Debug)]
struct Known {
    grant: Grant,
    limited: bool,
    good_until: Instant,
    meter: Meter,
}

impl Known {
    fn turn(&mut self, now: Instant, counts: bool) -> (Grant, Turn) {
        let turn = if self.limited && counts {
            self.meter.turn(now)
        } else {
            Turn::Go
        };
        (self.grant.clone(), turn)
    }
}

impl Guard {
    /// One that has seen none.
    pub fn new(app: Arc<App>) -> Self {
        Guard {
            app,
            known: Mutex::default(),
        }
    }

    /// What becomes of the key, for a call that `counts` or one that is free.
    pub async fn admit(&self, key: &str, counts: bool) -> Result<Pass> {
        if !is_key(key) {
            return Ok(Pass::Invalid);
        }
        let hash = hash(key);
        let now = Instant::now();
        let (grant, mut turn) = match self.remembered(&hash, now, counts) {
            Some(known) => known,
            None => match self.find(&hash).await? {
                Some(found) => self.remember(&hash, found, now, counts),
                None => {
                    self.known().remove(&hash);
                    return Ok(Pass::Invalid);
                }
            },
        };
        if let Turn::Ask(wanted) = turn {
            turn = self.take(&hash, wanted).await?;
        }
        Ok(match turn {
            Turn::Wait(wait) => Pass::TooOften(wait),
            Turn::Go | Turn::Ask(_) => Pass::Valid(grant),
        })
    }

    fn remembered(&self, hash: &[u8], now: Instant, counts: bool) -> Option<(Grant, Turn)> {
        let mut known = self.known();
        let known = known.get_mut(hash).filter(|known| now < known.good_until)?;
        Some(known.turn(now, counts))
    }

    /// `asked` is when: what was revoked meanwhile is remembered no longer for it.
    fn remember(&self, hash: &[u8], found: Found, asked: Instant, counts: bool) -> (Grant, Turn) {
        let left = found.seconds_left.unwrap_or(f64::MAX).max(0.0);
        let left = Duration::try_from_secs_f64(left).unwrap_or(REMEMBERED);
        let mut known = self.known();
        known.retain(|_, known| asked < known.good_until + FORGOTTEN);
        let meter = known.remove(hash).map(|known| known.meter);
        let fresh = Known {
            grant: found.grant(),
            limited: found.bounds.rate().is_some(),
            good_until: asked + left.min(REMEMBERED),
            meter: meter.unwrap_or_default(),
        };
        known
            .entry(hash.to_vec())
            .or_insert(fresh)
            .turn(Instant::now(), counts)
    }

    async fn take(&self, hash: &[u8], wanted: i32) -> Result<Turn> {
        let desk = self.app.desk(&Business::default()).await?;
        let mut conn = desk.store.acquire().await?;
        let (taken, wait) = rate::take(&mut conn, hash, wanted).await?;
        let mut known = self.known();
        let known = known.get_mut(hash).map(|known| &mut known.meter);
        Ok(known
            .unwrap_or(&mut Meter::default())
            .given(Instant::now(), taken, wait))
    }

    async fn find(&self, hash: &[u8]) -> Result<Option<Found>> {
        let desk = self.app.desk(&Business::default()).await?;
        let find = async || -> Result<Option<Found>> {
            let mut conn = desk.store.acquire().await?;
            check(&mut conn, hash).await
        };
        match find().await {
            // The server may work for another business, and this one's tables not be there yet.
            Err(error) if needs_migration(&error) => desk.store.prepare().await?,
            Err(error) if error.kind() == Kind::Unavailable => {
                self.app.ensure_database(&|_| {}).await?;
            }
            done => return done,
        }
        find().await
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
