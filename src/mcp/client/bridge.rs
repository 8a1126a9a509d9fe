//! A remote server for a client that only knows programs: standard input and output on one side, HTTP on
//! the other. It passes on what either side says, whichever revision they speak.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::link::Link;
use super::message::{self, Kind, Message};
use super::remote::Remote;
use crate::error::Result;

/// How long what was asked may take to be answered when the input has ended.
const GRACE: Duration = Duration::from_secs(10);

/// JSON-RPC's code for what is no JSON.
const PARSE_ERROR: i64 = -32700;

/// The requests under way, by their id.
type Pending = Arc<Mutex<HashMap<String, CancellationToken>>>;

struct Bridge {
    link: Arc<Link>,
    tasks: TaskTracker,
    pending: Pending,
    // Done when what has to come first has come: a greeting before all else.
    gate: Shared<BoxFuture<'static, ()>>,
}

/// Passes messages between this process's client and a remote server, until the input ends.
pub async fn run(
    remote: Remote,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    cancel: CancellationToken,
) -> Result<()> {
    let (out, lines) = mpsc::channel(64);
    let writing = tokio::spawn(write(output, lines));
    let ending = CancellationToken::new();
    let mut bridge = Bridge {
        link: Link::new(remote, out, ending.clone()),
        tasks: TaskTracker::new(),
        pending: Pending::default(),
        gate: futures::future::ready(()).boxed().shared(),
    };
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = tokio::select! {
            read = input.read_until(b'\n', &mut line) => read,
            () = cancel.cancelled() => break,
            // Nobody reads any more.
            () = bridge.link.out.closed() => break,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(_) => bridge.take(&line).await,
        }
    }
    bridge.tasks.close();
    if !cancel.is_cancelled() {
        tokio::select! {
            () = bridge.tasks.wait() => {}
            () = tokio::time::sleep(GRACE) => {}
            () = cancel.cancelled() => {}
        }
    }
    ending.cancel();
    bridge.link.close().await;
    drop(bridge);
    // Streams that still hold the channel are not worth waiting for.
    tokio::time::timeout(Duration::from_secs(1), writing)
        .await
        .ok();
    Ok(())
}

async fn write(mut output: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<String>) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if output.write_all(line.as_bytes()).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

impl Bridge {
    /// Takes a line from the client.
    async fn take(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if text.trim().is_empty() {
            return;
        }
        let Some(messages) = message::read(&text) else {
            let said = message::refusal(
                None,
                PARSE_ERROR,
                "this line is no JSON-RPC message",
                &Value::Null,
            );
            self.link.pass(said).await.ok();
            return;
        };
        for message in messages {
            match message.kind {
                Kind::Request => self.ask(message),
                Kind::Notification if message.method == "notifications/cancelled" => {
                    self.cancel(message)
                }
                Kind::Notification | Kind::Response => self.tell(message),
            }
        }
    }

    fn ask(&mut self, message: Message) {
        let Some(id) = message.id.clone() else {
            return;
        };
        let (link, pending, gate) = (self.link.clone(), self.pending.clone(), self.gate.clone());
        let cancelled = CancellationToken::new();
        pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), cancelled.clone());
        let opened = (message.method == "initialize").then(|| self.shut());
        // It ends with the conversation, not by itself.
        let endless = message.method == "subscriptions/listen";
        let ending = self.link.ending.clone();
        let work = async move {
            let asking = async {
                gate.await;
                link.ask(&message, &id).await
            };
            tokio::select! {
                done = asking => {
                    if let Err(error) = done {
                        tracing::debug!(%error, causes = ?error.causes(), method = message.method, "a request failed");
                        link.pass(message::failure(Some(&id), &error)).await.ok();
                    }
                }
                // To hang up is how HTTP cancels; whoever cancelled expects no answer.
                () = cancelled.cancelled() => {}
                () = ending.cancelled() => {}
            }
            pending
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
            drop(opened);
        };
        if endless {
            tokio::spawn(work);
        } else {
            self.tasks.spawn(work);
        }
    }

    fn tell(&mut self, message: Message) {
        let (link, gate) = (self.link.clone(), self.gate.clone());
        let opened = (message.method == "notifications/initialized").then(|| self.shut());
        self.tasks.spawn(async move {
            gate.await;
            if let Err(error) = link.tell(&message).await {
                tracing::warn!(%error, "a message could not be delivered");
            }
            drop(opened);
        });
    }

    fn cancel(&mut self, message: Message) {
        let id = message.params["requestId"].to_string();
        let under_way = self
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned();
        // The older era says it in words; a server without sessions only notices that nobody listens.
        let (link, gate) = (self.link.clone(), self.gate.clone());
        self.tasks.spawn(async move {
            if message.revision.is_none() {
                gate.await;
                if let Err(error) = link.tell(&message).await {
                    tracing::debug!(%error, "a cancellation could not be delivered");
                }
            }
            if let Some(under_way) = under_way {
                under_way.cancel();
            }
        });
    }

    /// Lets nothing pass that comes after this until what is returned is dropped.
    fn shut(&mut self) -> oneshot::Sender<()> {
        let (sender, receiver) = oneshot::channel();
        let before = self.gate.clone();
        let gate = async move {
            before.await;
            receiver.await.ok();
        };
        self.gate = gate.boxed().shared();
        sender
    }
}
