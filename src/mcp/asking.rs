//! Asking the person behind a client for a yes, where the client says it can.
//!
//! Since revision 2026-07-28 the call ends with the question, and comes again with the reply: what was asked
//! goes along sealed, opens for the same caller, tool and arguments alone, and a yes counts once, for the plan
//! that was shown. Before, the question is a request to the client while the call lasts; it needs a way
//! there, which a request of its own over HTTP is not.
//!
//! No answer of a model comes this way: there is no tool and no argument that says yes.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationSchema, ErrorData, InputRequest, InputRequests, InputRequiredResult,
    ProtocolVersion,
};
use rmcp::service::{Peer, RequestContext};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Server;
use super::grant::Grant;
use super::seals::Seal;
use crate::command::Effect;
use crate::error::{Error, Result};
use crate::ui::person::{Person, Question, Reply};
use crate::writes;

/// How long a person is waited for while the call lasts, in seconds: clients give up after five minutes.
const PATIENCE: u64 = 240;

/// A plan that is longer is not put into a dialog: who approves it has to see the whole of it.
const LONGEST: usize = 6_000;

/// The one question of a call, among its inputs.
const INPUT: &str = "confirm";

/// What is typed, or ticked.
const NAME: &str = "name";
const TICK: &str = "do_it";

/// The person behind a client.
pub struct Asking {
    server: Server,
    way: Way,
    gone: CancellationToken,
    question: Mutex<Option<InputRequiredResult>>,
}

enum Way {
    /// Now, while the call lasts.
    Now(Peer<RoleServer>),
    /// With the client, which calls again; and what it brought from the call before.
    Along {
        about: String,
        brought: Option<(Seal, ElicitResult)>,
    },
}

impl Server {
    /// Whoever can be asked about this call, if anybody, with the reply that it brings.
    pub(super) async fn asking(
        &self,
        grant: &Grant,
        request: &mut CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<Option<Arc<Asking>>, ErrorData> {
        let (inputs, state) = (request.input_responses.take(), request.request_state.take());
        let path = self.0.by_name.get(request.name.as_ref());
        let leaf = path.and_then(|index| self.0.tree.leaf(&self.0.paths[*index]));
        let writes = leaf.is_some_and(|leaf| leaf.effect >= Effect::Write);
        let along = context
            .protocol_version()
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let able = context.client_capabilities().is_some_and(|capabilities| {
            let asks = capabilities.elicitation;
            asks.is_some_and(|asks| asks.form.is_some() || asks.url.is_none())
        });
        let way = if along && writes {
            let business = self.business(grant);
            let given = request.arguments.clone().unwrap_or_default();
            let given = writes::digest(&Value::Object(given));
            let about = format!("{}\n{business}\n{}\n{given}", grant.owner, request.name);
            let brought = match state {
                None => None,
                Some(state) => {
                    let opened = self.open_seal(&state, &about).await;
                    let opened = opened.map_err(|error| {
                        ErrorData::internal_error(error.message().to_owned(), None)
                    })?;
                    let seal = opened.ok_or_else(stale)?;
                    let reply = inputs
                        .and_then(|mut inputs| inputs.remove(INPUT))
                        .and_then(|reply| serde_json::from_value(reply).ok());
                    reply.map(|reply| (seal, reply))
                }
            };
            Way::Along { about, brought }
        } else if state.is_some() {
            // No other call is ever given one.
            return Err(stale());
        } else {
            Way::Now(context.peer.clone())
        };
        Ok((able && writes).then(|| {
            Arc::new(Asking {
                server: self.clone(),
                way,
                gone: context.ct.clone(),
                question: Mutex::new(None),
            })
        }))
    }
}

fn stale() -> ErrorData {
    let said = "the request state is not of this call, or too old: call again without it";
    ErrorData::invalid_params(said, None)
}

impl Asking {
    /// The question that goes with the client, if there is one.
    pub fn question(&self) -> Option<InputRequiredResult> {
        let mut question = self.question.lock().unwrap_or_else(PoisonError::into_inner);
        question.take()
    }

    async fn now(&self, peer: &Peer<RoleServer>, question: Question<'_>) -> Result<Reply> {
        let patience = self.server.seconds("MEDTAINER_PATIENCE", PATIENCE);
        let form = form(question, "")?;
        let asked = peer.create_elicitation_with_timeout(form, Some(patience));
        let asked = tokio::select! {
            asked = asked => asked,
            () = self.gone.cancelled() => return Err(left()),
        };
        match asked {
            Ok(reply) => Ok(said(&reply, question.word)),
            Err(_) if self.gone.is_cancelled() => Err(left()),
            // It said it could ask, and cannot, or nobody is there.
            Err(error) => {
                tracing::info!("the client did not ask its person: {error}");
                Ok(Reply::Unanswered)
            }
        }
    }

    async fn along(
        &self,
        about: &str,
        brought: Option<&(Seal, ElicitResult)>,
        question: Question<'_>,
    ) -> Result<Reply> {
        let mut first = "";
        if let Some((seal, reply)) = brought {
            if seal.hash == question.hash {
                let reply = said(reply, question.word);
                if reply == Reply::Yes && !seal.spend(&self.server.0.app).await? {
                    return Err(
                        Error::conflict("this yes was used already: nothing was sent")
                            .hint("Call again without the request state, and they are asked anew."),
                    );
                }
                return Ok(reply);
            }
            first = "It is not as it was when you were asked. Now:\n\n";
        }
        let form = form(question, first)?;
        let input = InputRequest::Elicitation(ElicitRequest::new(form));
        let inputs = InputRequests::from([(INPUT.to_owned(), input)]);
        let sealed = self.server.seal(&Seal::new(question.hash), about).await?;
        let asked = InputRequiredResult::new(Some(inputs), Some(sealed));
        *self.question.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        Ok(Reply::Later)
    }
}

impl Person for Asking {
    fn confirms<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Reply>> {
        Box::pin(async move {
            if question.plan.len() > LONGEST {
                return Ok(Reply::Unanswered);
            }
            match &self.way {
                Way::Now(peer) => self.now(peer, question).await,
                Way::Along { about, brought } => {
                    self.along(about, brought.as_ref(), question).await
                }
            }
        })
    }
}

fn left() -> Error {
    Error::unavailable("the client left while its person was asked: nothing was sent")
}

/// The plan, and what has to be done for a yes: more than to press a key.
fn form(question: Question<'_>, first: &str) -> Result<ElicitRequestParams> {
    let schema = ElicitationSchema::builder();
    let schema = match question.word {
        Some(word) => {
            schema.required_string_with(NAME, |field| field.title(format!("Type {word} to do it")))
        }
        None => schema.required_bool_with(TICK, |field| field.title("Do it").with_default(false)),
    };
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: format!("{first}{}", question.plan.trim_end()),
        requested_schema: schema.build().map_err(Error::internal)?,
    })
}

fn said(reply: &ElicitResult, word: Option<&str>) -> Reply {
    let content = reply.content.as_ref();
    let yes = match word {
        Some(word) => content
            .and_then(|content| content[NAME].as_str())
            .is_some_and(|typed| typed.trim() == word),
        None => content.is_some_and(|content| content[TICK] == true),
    };
    match reply.action {
        ElicitationAction::Accept if yes => Reply::Yes,
        _ => Reply::No,
    }
}
