//! The steps of a sync, for a person or a client that waits.

use crate::sync;
use crate::ui::progress::{Step, Watcher};

/// Shows the steps of a sync to whoever watches the call.
pub(super) struct Relay<'a>(pub &'a dyn Watcher);

impl sync::Progress for Relay<'_> {
    fn step(&self, step: &sync::Step) {
        let message = match (step.phase, step.resumed) {
            (sync::Phase::Waiting, _) => "waiting for another process",
            (sync::Phase::Fetching, false) => "fetching",
            (sync::Phase::Fetching, true) => "going on",
            (sync::Phase::Sweeping, _) => "looking for what is gone",
        };
        self.0.step(Step {
            done: u64::try_from(step.fetched).unwrap_or_default(),
            total: step.total.and_then(|total| u64::try_from(total).ok()),
            message: message.to_owned(),
        });
    }
}
