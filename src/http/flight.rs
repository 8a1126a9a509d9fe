//! Single flight: identical reads at the same time are one request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Call, Reply};
use crate::error::{Error, Result};

/// A fingerprint of all that makes two reads the same, so that nothing of it is kept.
type Key = [u8; 32];

/// The reads that are under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Flight>>);

struct Flight {
    deadline: Instant,
    landing: watch::Receiver<Option<Landed>>,
}

/// What a flight ended with, for everybody aboard.
#[derive(Clone)]
pub(super) enum Landed {
    Reply(Reply),
    Failed(Failed),
}

/// An error without its cause, which cannot be shared.
#[derive(Clone)]
pub(super) struct Failed {
    kind: crate::error::Kind,
    message: String,
    hint: Option<String>,
    details: Option<serde_json::Value>,
}

/// Where a caller sits.
pub(super) enum Seat<'a> {
    /// Sends the request; the others wait for it.
    Lead(Lead<'a>),
    /// Somebody is already asking, until this deadline.
    Follow(watch::Receiver<Option<Landed>>, Instant),
}

/// Ends the flight when dropped: a caller that was given up must not keep the others waiting.
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    key: Key,
    landing: watch::Sender<Option<Landed>>,
}

impl Flights {
    pub fn board(&self, call: &Call<'_>) -> Seat<'_> {
        let key = key(call);
        let mut flights = self.lock();
        if let Some(flight) = flights.get(&key) {
            return Seat::Follow(flight.landing.clone(), flight.deadline);
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(
            key,
            Flight {
                deadline: call.deadline,
                landing: receiver,
            },
        );
        Seat::Lead(Lead {
            flights: self,
            key,
            landing: sender,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead<'_> {
    /// Gives the result to those who wait for it.
    pub fn land(self, result: &Result<Reply>) {
        self.flights.lock().remove(&self.key);
        if self.landing.receiver_count() == 0 {
            return;
        }
        self.landing.send_replace(Some(match result {
            Ok(reply) => Landed::Reply(reply.clone()),
            Err(error) => Landed::Failed(Failed::from(error)),
        }));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // After a landing another flight may have the same key; it is told apart by its channel.
        let mut flights = self.flights.lock();
        let mine = flights
            .get(&self.key)
            .is_some_and(|flight| flight.landing.same_channel(&self.landing.subscribe()));
        if mine {
            flights.remove(&self.key);
        }
    }
}

impl Landed {
    pub fn into_result(self) -> Result<Reply> {
        match self {
            Landed::Reply(reply) => Ok(reply),
            Landed::Failed(failed) => Err(failed.into()),
        }
    }
}

impl From<&Error> for Failed {
    fn from(error: &Error) -> Self {
        Failed {
            kind: error.kind(),
            message: error.message().to_owned(),
            hint: error.hint_text().map(str::to_owned),
            details: error.details_value().cloned(),
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        let mut error = Error::new(failed.kind, failed.message);
        if let Some(hint) = failed.hint {
            error = error.hint(hint);
        }
        if let Some(details) = failed.details {
            error = error.details(details);
        }
        error
    }
}

fn key(call: &Call<'_>) -> Key {
    let request = &call.request;
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    part(call.service.name);
    part(call.base_url);
    part(call.account);
    for secret in call.credential.secrets(&call.service.auth) {
        part(secret);
    }
    // A person must not wait behind a sync that asks the same.
    part(call.priority.as_str());
    part(request.method.as_str());
    part(&request.path);
    part(&request.query.len().to_string());
    for (name, value) in &request.query {
        part(name);
        part(value);
    }
    part(request.body.as_ref().map_or("", |body| body.get()));
    hash.finalize().into()
}
