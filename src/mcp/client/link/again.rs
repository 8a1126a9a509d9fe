//! What is done again for the client, without its noticing: greeting a server that has forgotten it,
//! opening a stream that has ended, listing tools that it has called without listing them.

use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use super::{Door, Link, only_answer, session_of};
use crate::error::{Error, Result};
use crate::mcp::client::message::{METHOD_NOT_FOUND, Message, refusal};
use crate::mcp::client::old::Old;

impl Link {
    /// Greets again for the client, when the server has forgotten the session.
    pub(super) async fn revive(self: &Arc<Self>, generation: u64) -> Result<()> {
        let _alone = self.reviving.lock().await;
        let (hello, greeted) = {
            let state = self.state();
            if state.generation != generation {
                return Ok(());
            }
            (state.hello.clone(), state.greeted)
        };
        let lost = || {
            Error::unavailable("the server has forgotten the session")
                .hint("Start the client again.")
        };
        let hello = hello.ok_or_else(lost)?;
        tracing::debug!("the session is gone: greeting again");
        let (response, _) = self.post(&hello).await?;
        if !response.status().is_success() {
            return Err(lost());
        }
        let session = session_of(&response);
        let answer = only_answer(response, hello.id.as_deref().unwrap_or_default()).await?;
        {
            let mut state = self.state();
            state.session = session;
            state.version = answer.result()["protocolVersion"]
                .as_str()
                .map(str::to_owned);
            state.generation += 1;
        }
        if greeted {
            let initialized =
                Message::made(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
            self.post(&initialized).await?;
            self.listen();
        }
        Ok(())
    }

    /// Lists the tools as the client that called one would have.
    pub(super) async fn learn(self: &Arc<Self>, message: &Message) -> Result<()> {
        let mut cursor = Value::Null;
        loop {
            let mut params = json!({ "_meta": message.params["_meta"] });
            if !cursor.is_null() {
                params["cursor"] = cursor;
            }
            let id = "medtainer-tools";
            let list = Message::made(
                &json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": params }),
            );
            let (response, _) = self.post(&list).await?;
            let mut result = only_answer(response, &format!("\"{id}\"")).await?.result();
            cursor = result["nextCursor"].take();
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .learn(&result);
            if cursor.is_null() {
                return Ok(());
            }
        }
    }

    pub(super) async fn ask_old(
        self: &Arc<Self>,
        old: &Arc<Old>,
        message: &Message,
        id: &str,
    ) -> Result<()> {
        if message.method == "server/discover" {
            let why = "the server speaks the transport of 2024-11-05";
            return self
                .pass(refusal(Some(id), METHOD_NOT_FOUND, why, &Value::Null))
                .await;
        }
        let old = self.reopened(old).await?;
        old.ask(self, message, id).await
    }

    pub(super) async fn tell_old(
        self: &Arc<Self>,
        old: &Arc<Old>,
        message: &Message,
    ) -> Result<()> {
        self.reopened(old).await?.tell(self, message).await
    }

    /// The connection, or another one with the same greeting where it has ended.
    pub(super) async fn reopened(self: &Arc<Self>, old: &Arc<Old>) -> Result<Arc<Old>> {
        if !old.has_ended() {
            return Ok(old.clone());
        }
        let _alone = self.reviving.lock().await;
        let now = self.state().door.clone();
        if let Door::Old(now) = now
            && !now.has_ended()
        {
            return Ok(now);
        }
        let gone =
            || Error::unavailable("the server's stream is gone").hint("Does the server still run?");
        let new = Old::open(self).await?.ok_or_else(gone)?;
        let (hello, greeted) = {
            let state = self.state();
            (state.hello.clone(), state.greeted)
        };
        if let Some(hello) = hello.filter(|_| greeted) {
            new.greet(self, &hello).await?;
        }
        self.state().door = Door::Old(new.clone());
        Ok(new)
    }
}
