//! Where collections stand, for a server whose callers ask all the time.
//!
//! Whoever asks while the table is being read is answered by the next reading, together with all who
//! asked since: nobody is told what was true before they asked, and many callers cost one statement.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::state::{self, State};
use crate::Result;
use crate::store::Store;

/// Reads [`State`]s for many callers at once; cheap to clone.
#[derive(Debug, Clone)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    // Who waits for which collection; there is an entry while a task reads for it.
    waiting: Mutex<HashMap<String, Vec<oneshot::Sender<State>>>>,
}

impl Board {
    /// A board of the tables of a business.
    pub fn new(store: Store) -> Self {
        Board(Arc::new(Inner {
            store,
            waiting: Mutex::default(),
        }))
    }

    /// Where a collection stands now; nothing where it could not be read, and the caller who tries by
    /// itself learns why.
    pub async fn state(&self, collection: &str) -> Option<State> {
        self.ask(collection).await.ok()
    }

    fn ask(&self, collection: &str) -> oneshot::Receiver<State> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting();
        if let Some(callers) = waiting.get_mut(collection) {
            callers.push(tell);
        } else {
            waiting.insert(collection.to_owned(), vec![tell]);
            tokio::spawn(self.clone().read(collection.to_owned()));
        }
        told
    }

    async fn read(self, collection: String) {
        while let Some(callers) = self.next(&collection) {
            if let Ok(state) = self.read_once(&collection).await {
                for caller in callers {
                    caller.send(state.clone()).ok();
                }
            }
        }
    }

    async fn read_once(&self, collection: &str) -> Result<State> {
        let mut conn = self.0.store.acquire().await?;
        state::state(&mut conn, collection).await
    }

    // Those who wait for the next reading; the last word, when there is nobody.
    fn next(&self, collection: &str) -> Option<Vec<oneshot::Sender<State>>> {
        let mut waiting = self.waiting();
        let callers = waiting.get_mut(collection).map(std::mem::take)?;
        if callers.is_empty() {
            waiting.remove(collection);
            return None;
        }
        Some(callers)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Vec<oneshot::Sender<State>>>> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}
