//! Progress of a call, for the client that asked for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::ui::progress::{Step, Watcher};

/// At most four notifications a second.
const PAUSE: Duration = Duration::from_millis(250);

/// Tells a client how far its call is: never backwards, and nothing after the end.
pub struct Notifier {
    latest: Mutex<Option<watch::Sender<Option<Step>>>>,
    ended: CancellationToken,
}

impl Notifier {
    /// A notifier, and the task that ends when everything was sent.
    pub fn start(peer: Peer<RoleServer>, token: ProgressToken) -> (Arc<Self>, JoinHandle<()>) {
        let (latest, steps) = watch::channel(None);
        let ended = CancellationToken::new();
        let task = tokio::spawn(send(peer, token, steps, ended.clone()));
        (
            Arc::new(Notifier {
                latest: Mutex::new(Some(latest)),
                ended,
            }),
            task,
        )
    }
}

async fn send(
    peer: Peer<RoleServer>,
    token: ProgressToken,
    mut steps: watch::Receiver<Option<Step>>,
    ended: CancellationToken,
) {
    let mut last = None;
    // The newest step is seen even when the sender is gone already.
    while steps.changed().await.is_ok() {
        let Some(step) = steps.borrow_and_update().clone() else {
            continue;
        };
        if last.is_some_and(|last| step.done <= last) {
            continue;
        }
        last = Some(step.done);
        let mut param = ProgressNotificationParam::new(token.clone(), step.done as f64);
        param.total = step.total.map(|total| total as f64);
        param.message = Some(step.message);
        // A client that went away needs no progress.
        if peer.notify_progress(param).await.is_err() {
            return;
        }
        tokio::select! { () = tokio::time::sleep(PAUSE) => {}, () = ended.cancelled() => {} }
    }
}

impl Watcher for Notifier {
    fn step(&self, step: Step) {
        if let Some(latest) = &*self.latest.lock().unwrap_or_else(PoisonError::into_inner) {
            latest.send_replace(Some(step));
        }
    }

    fn finish(&self) {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.ended.cancel();
    }
}
