//! The transport of 2024-11-05: a stream of events for what the server says, and an address, named by
//! its first event, for what the client says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Url};
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::events::Events;
use super::link::{Link, refused};
use super::message::{self, Message};
use super::remote::{self, Draft};
use crate::error::{Error, Result};

/// How long the server may take to name its address.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection.
pub(super) struct Old {
    address: Url,
    waiting: Mutex<HashMap<String, oneshot::Sender<()>>>,
    // Answers to greetings of our own, which the client has had before.
    own: Mutex<Option<String>>,
    ended: CancellationToken,
}

impl Old {
    /// Opens a connection; none where the server has no such stream.
    pub async fn open(link: &Arc<Link>) -> Result<Option<Arc<Old>>> {
        let url = &link.remote.url;
        let draft = Draft::new(Method::GET, url).header(ACCEPT, "text/event-stream");
        let response = link.remote.send(draft).await?;
        if !response.status().is_success() || !remote::is(response.headers(), "text/event-stream") {
            return Ok(None);
        }
        let mut events = Events::of(response);
        let first = tokio::time::timeout(PATIENCE, events.next()).await;
        let Ok(Ok(Some(first))) = first else {
            return Ok(None);
        };
        if first.name != "endpoint" {
            return Ok(None);
        }
        let address = url
            .join(first.data.trim())
            .ok()
            .filter(|address| address.origin() == url.origin());
        let address = address.ok_or_else(|| {
            Error::refused("the server wants its messages sent to another server")
                .hint("That is against the protocol, and could give the login away.")
        })?;
        let old = Arc::new(Old {
            address,
            waiting: Mutex::default(),
            own: Mutex::default(),
            ended: link.ending.child_token(),
        });
        let (me, link) = (old.clone(), link.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = me.read(&link, &mut events) => {}
                () = me.ended.cancelled() => {}
            }
            me.ended.cancel();
            // Whoever waits for an answer learns that none will come.
            me.waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        });
        Ok(Some(old))
    }

    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    async fn read(&self, link: &Arc<Link>, events: &mut Events) {
        while let Ok(Some(event)) = events.next().await {
            for message in message::read(&event.data).unwrap_or_default() {
                let own = {
                    let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                    let own_answer = own.as_deref().is_some_and(|id| message.answers(id));
                    if own_answer {
                        *own = None;
                    }
                    own_answer
                };
                if !own && link.take(&message).await.is_err() {
                    return;
                }
                if message.kind == message::Kind::Response
                    && let Some(id) = &message.id
                    && let Some(waiting) = self
                        .waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(id)
                {
                    waiting.send(()).ok();
                }
            }
        }
    }

    /// Sends a request and waits until its answer has been passed on.
    pub async fn ask(&self, link: &Arc<Link>, message: &Message, id: &str) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), sender);
        if let Err(error) = self.tell(link, message).await {
            self.waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(id);
            return Err(error);
        }
        let broken = || {
            Error::unavailable("the connection ended before the answer came")
                .hint("It may have been done all the same: look before you do it again.")
        };
        if self.has_ended() {
            return Err(broken());
        }
        receiver.await.map_err(|_| broken())
    }

    /// Sends a message.
    pub async fn tell(&self, link: &Arc<Link>, message: &Message) -> Result<()> {
        let body = message.text.clone();
        let draft = Draft::new(Method::POST, &self.address)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let response = link.remote.send(draft).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if status.as_u16() == 404 {
            // The server has forgotten this connection.
            self.ended.cancel();
            return Err(
                Error::unavailable("the server has forgotten the connection").hint("Try again."),
            );
        }
        Err(refused(&link.remote, status, ""))
    }

    /// Greets as the client has greeted before, and keeps the answer from it.
    pub async fn greet(&self, link: &Arc<Link>, hello: &Message) -> Result<()> {
        let id = hello.id.clone().unwrap_or_default();
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        self.ask(link, hello, &id).await?;
        self.tell(
            link,
            &Message::made(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })),
        )
        .await
    }
}
