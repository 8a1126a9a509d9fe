//! What a server says without being asked: the stream of the older era, the subscriptions of the modern one.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;

use super::{Door, Ended, Link, PAUSE, refused};
use crate::error::{Kind, Result};
use crate::mcp::client::events::Events;
use crate::mcp::client::message::{self, Message};
use crate::mcp::client::remote;

/// The longest pause between two attempts at a stream.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Link {
    /// Listens to what the server of the older era says by itself, where it has a stream for that.
    pub(super) fn listen(self: &Arc<Self>) {
        let stop = self.ending.child_token();
        let before = self.state().listening.replace(stop.clone());
        if let Some(before) = before {
            before.cancel();
        }
        if !matches!(self.state().door, Door::Streamable) {
            return;
        }
        let (me, mut last, mut pause) = (self.clone(), None, PAUSE);
        let work = async move {
            loop {
                match me.get(last.as_deref()).await {
                    Ok(response)
                        if response.status().is_success()
                            && remote::is(response.headers(), "text/event-stream") =>
                    {
                        pause = PAUSE;
                        match me.stream(response, None).await {
                            Ok(Ended::Early(seen, wanted)) => {
                                last = seen.or(last);
                                pause = wanted.unwrap_or(pause);
                            }
                            Ok(Ended::Answered) => {}
                            Err(_) => return,
                        }
                    }
                    // The next message finds out that the session is gone.
                    Ok(response) if !response.status().is_server_error() => return,
                    Ok(_) => {}
                    Err(error) if error.kind() == Kind::Unavailable => {}
                    Err(error) => {
                        tracing::debug!(%error, "not listening to the server any more");
                        return;
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Keeps a subscription of the modern era open, through restarts of the server.
    pub(super) async fn subscribe(self: &Arc<Self>, message: &Message, id: &str) -> Result<()> {
        let (mut pause, mut first) = (PAUSE, true);
        loop {
            match self.post(message).await {
                Ok((response, _))
                    if response.status().is_success()
                        && remote::is(response.headers(), "text/event-stream") =>
                {
                    pause = PAUSE;
                    let ended = self.stream_again(response, id, first).await?;
                    first = false;
                    if let Ended::Answered = ended {
                        return Ok(());
                    }
                }
                Ok((response, _)) if first || !response.status().is_server_error() => {
                    let status = response.status();
                    let body = remote::text(response).await?;
                    return match message::read(&body).and_then(|mut all| all.pop()) {
                        Some(said) => self.pass(said.with_id(id)).await,
                        None => Err(refused(&self.remote, status, &body)),
                    };
                }
                Ok(_) => {}
                Err(error) if !first && error.kind() == Kind::Unavailable => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A stream that was opened again begins with an acknowledgement that the client has had.
    pub(super) async fn stream_again(
        self: &Arc<Self>,
        response: Response,
        id: &str,
        first: bool,
    ) -> Result<Ended> {
        if first {
            return self.stream(response, Some(id)).await;
        }
        let mut events = Events::of(response);
        loop {
            let Ok(Some(event)) = events.next().await else {
                return Ok(Ended::Early(None, None));
            };
            for message in message::read(&event.data).unwrap_or_default() {
                if message.method == "notifications/subscriptions/acknowledged" {
                    continue;
                }
                self.take(&message).await?;
                if message.answers(id) {
                    return Ok(Ended::Answered);
                }
            }
        }
    }
}
