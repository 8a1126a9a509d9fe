//! What of the door is in the audit trail, beside the calls: who was let in, and who tried.
//!
//! What the owner did, what ended a login, and each wrong passphrase that was checked, of which there are
//! only so many, is always written down. What anybody can do as often as they like is written down so often
//! within a minute, by each and by all strangers together; of the rest the number is, once. Each server
//! counts for itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Client;
use crate::app::App;
use crate::command::Effect;
use crate::error::{Error, Result};
use crate::mcp::http::ClientAddress;
use crate::store::Business;
use crate::store::audit::{Caller, Execution};

/// Attempts within a minute that are written down: of one stranger, of all strangers, of one client that
/// has a token.
const OF_A_STRANGER: u32 = 6;
const OF_STRANGERS: u32 = 20;
const OF_A_CLIENT: u32 = 10;

/// How long the end of the process waits for what is still to be written down.
const FAREWELL: Duration = Duration::from_secs(5);

/// Who tries.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// Somebody at an address.
    Stranger(ClientAddress),
    /// Whoever has this grant, by its owner.
    Client(&'a str),
}

/// The audit trail of the business that is served.
#[derive(Clone)]
pub struct Trail(Arc<Inner>);

struct Inner {
    app: Arc<App>,
    business: Business,
    minute: Duration,
    counts: Mutex<Counts>,
    ending: CancellationToken,
    sums: TaskTracker,
}

#[derive(Default)]
struct Counts {
    begun: Option<Instant>,
    of_strangers: u32,
    of_each: HashMap<String, u32>,
    left_out: u64,
}

impl Counts {
    /// Whether one more is written down; else when somebody has to say how many were not, where nobody
    /// was told yet.
    fn count(&mut self, by: By<'_>, now: Instant, minute: Duration) -> Result<(), Option<Instant>> {
        let begun = match self.begun {
            Some(begun) if now < begun + minute => begun,
            _ => {
                (self.of_strangers, self.begun) = (0, Some(now));
                self.of_each.clear();
                now
            }
        };
        let (name, most) = match by {
            By::Stranger(address) => (address.network().to_string(), OF_A_STRANGER),
            By::Client(owner) => (owner.to_owned(), OF_A_CLIENT),
        };
        let is_stranger = matches!(by, By::Stranger(_));
        let is_full = is_stranger && self.of_strangers >= OF_STRANGERS;
        if is_full || self.of_each.get(&name).is_some_and(|had| *had >= most) {
            self.left_out += 1;
            return Err((self.left_out == 1).then_some(begun + minute));
        }
        self.of_strangers += u32::from(is_stranger);
        *self.of_each.entry(name).or_default() += 1;
        Ok(())
    }
}

impl Trail {
    /// The trail of a server of this business.
    pub fn new(app: Arc<App>, business: Business) -> Self {
        Trail(Arc::new(Inner {
            minute: Duration::from_secs(app.seconds("MEDTAINER_MINUTE", 60)),
            app,
            business,
            counts: Mutex::default(),
            ending: CancellationToken::new(),
            sums: TaskTracker::new(),
        }))
    }

    /// The business that is served.
    pub fn business(&self) -> &Business {
        &self.0.business
    }

    /// Writes down what happened.
    pub async fn done(&self, row: Execution) {
        let written = async {
            let desk = self.0.app.desk(&self.0.business).await?;
            desk.recorder.record(row).await
        };
        if let Err(error) = written.await {
            tracing::warn!(kind = %error.kind(), "what happened at the door could not be recorded");
        }
    }

    /// Writes down what somebody tried, unless there is too much of it.
    pub async fn tried(&self, by: By<'_>, row: Execution) {
        let counted = {
            let counts = &self.0.counts;
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.count(by, Instant::now(), self.0.minute)
        };
        match counted {
            Ok(()) => self.done(row).await,
            Err(Some(end)) => {
                self.0.sums.spawn(self.clone().sum_up(end));
            }
            Err(None) => {}
        }
    }

    /// Says before the process ends how much was left out.
    pub async fn end(&self) {
        self.0.ending.cancel();
        self.0.sums.close();
        if tokio::time::timeout(FAREWELL, self.0.sums.wait())
            .await
            .is_err()
        {
            tracing::warn!("how much was tried at the door could not be recorded");
        }
    }

    /// Says at the end of the minute how much was left out.
    async fn sum_up(self, end: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(end.into()) => {}
            () = self.0.ending.cancelled() => {}
        }
        let left_out = {
            let counts = &self.0.counts;
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut counts.left_out)
        };
        let why = format!("{left_out} more attempts in this minute are not listed");
        let row = row("mcp", Effect::Read, &json!({})).failed(&Error::refused(why), &Value::Null);
        self.done(row).await;
    }
}

fn row(command: &str, effect: Effect, params: &Value) -> Execution {
    let name = command.replace(' ', ".");
    Execution::new(name, command, effect.as_str(), Caller::Mcp, params)
}

/// These scopes, which the owner allowed a client.
pub fn consent(client: &Client, scope: impl ToString) -> Execution {
    let params = json!({ "client_id": client.id, "scope": scope.to_string() });
    row("mcp consent", Effect::Local, &params).principal(super::principal(&client.name))
}

/// An answer that gives a client none of these scopes, from an address: it is not the client's doing.
pub fn refused(
    client: &Client,
    scope: impl ToString,
    from: ClientAddress,
    why: &Error,
) -> Execution {
    let params = json!({
        "client_id": client.id, "scope": scope.to_string(), "network": network(from),
    });
    row("mcp consent", Effect::Local, &params).failed(why, &params)
}

/// Where somebody is, as the owner reads it and as programs that ban take it.
pub fn network(from: ClientAddress) -> String {
    match from.network() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(network) => format!("{network}/64"),
    }
}

/// The end of a login whose code or token somebody else has too.
pub fn reuse(client: &Client, why: &'static str) -> Execution {
    let params = json!({ "client_id": client.id });
    row("mcp token", Effect::Local, &params)
        .principal(super::principal(&client.name))
        .failed(&Error::auth(why), &params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_so_many_of_each_and_of_all_strangers() {
        let (begun, minute) = (Instant::now(), Duration::from_secs(60));
        let mut counts = Counts::default();
        let mut count =
            |by: By<'_>, second: u64| counts.count(by, begun + Duration::from_secs(second), minute);
        let from = |last: u8| By::Stranger(ClientAddress([203, 0, 113, last].into()));
        let end = begun + minute;
        for _ in 0..OF_A_STRANGER {
            assert_eq!(count(from(1), 0), Ok(()));
        }
        assert_eq!(count(from(1), 1), Err(Some(end)), "somebody sums up");
        assert_eq!(count(from(1), 2), Err(None), "and nobody else");
        let others: Vec<_> = (2..40).map(|last| count(from(last), 3)).collect();
        let heard = others.iter().filter(|counted| counted.is_ok()).count();
        assert_eq!(heard, (OF_STRANGERS - OF_A_STRANGER) as usize);
        for _ in 0..OF_A_CLIENT {
            assert_eq!(count(By::Client("oauth:1"), 4), Ok(()), "in nobody's way");
        }
        assert_eq!(count(By::Client("oauth:1"), 59), Err(None));
        assert_eq!(count(By::Client("oauth:1"), 60), Ok(()), "the next minute");
        assert_eq!(count(from(1), 61), Ok(()));
    }
}
