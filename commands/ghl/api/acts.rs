//! The requests that change something at GoHighLevel, and those that look whether it worked.

use medtainer_core::Result;
use medtainer_core::context::Context;
use medtainer_core::http::{Method, Reply, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{crm, unexpected};
use crate::ghl::GHL;
use crate::ghl::types::acts::{Contact, Deal, Message};
use crate::ghl::types::crm::Pipeline;

/// How many rows a list is asked for where all of them are wanted at once: what the documentation allows.
pub const MOST: usize = 100;

/// A deal by its id.
pub fn deal(id: &str) -> Result<Request> {
    Request::new(Method::Get, "/opportunities/{id}", &[id])
}

/// Moves a deal. Both ids, since a stage without its pipeline is refused.
pub fn move_deal(id: &str, pipeline: &str, stage: &str) -> Result<Request> {
    Request::new(Method::Put, "/opportunities/{id}", &[id])?.json(&json!({
        "pipelineId": pipeline,
        "pipelineStageId": stage,
    }))
}

/// The open deals of a contact.
pub fn deals_of(location: &str, contact: &str) -> Result<Request> {
    // Snake case here, and only here.
    Ok(Request::new(Method::Get, "/opportunities/search", &[])?
        .query("location_id", location)
        .query("contact_id", contact)
        .query("status", "open")
        .query("limit", MOST.to_string()))
}

/// A contact by its id.
pub fn contact(id: &str) -> Result<Request> {
    Request::new(Method::Get, "/contacts/{id}", &[id])
}

/// A message by its id, which may be a token.
pub fn message(id: &str) -> Result<Request> {
    Request::new(Method::Get, "/conversations/messages/{id}", &[id])
}

/// An e-mail by the id that its message has in `meta`, which may be a token.
pub fn email(id: &str) -> Result<Request> {
    Request::new(Method::Get, "/conversations/messages/email/{id}", &[id])
}

/// E-mails from and to a contact: the oldest first, from a moment on, or the newest first.
pub fn emails(location: &str, contact: &str, span: Span<'_>) -> Result<Request> {
    let request = Request::new(Method::Get, "/conversations/messages/export", &[])?
        .query("locationId", location)
        .query("contactId", contact)
        .query("channel", "Email")
        .query("limit", MOST.to_string())
        .query("sortBy", "createdAt");
    Ok(match span {
        Span::All => request.query("sortOrder", "asc"),
        Span::Since(moment) => request.query("sortOrder", "asc").query("startDate", moment),
        Span::Newest => request.query("sortOrder", "desc"),
    })
}

/// Which e-mails.
#[derive(Debug, Clone, Copy)]
pub enum Span<'a> {
    /// From the first on.
    All,
    /// From a moment on, in the provider's spelling.
    Since(&'a str),
    /// The last ones.
    Newest,
}

/// Sends an e-mail.
pub fn send_email(
    contact: &str,
    from: Option<&str>,
    to: &str,
    subject: &str,
    html: &str,
) -> Result<Request> {
    let mut body = json!({
        "type": "Email",
        "contactId": contact,
        // Said aloud, so that it goes where the plan says or nowhere.
        "emailTo": to,
        "subject": subject,
        "html": html,
    });
    if let Some(from) = from {
        body["emailFrom"] = json!(from);
    }
    Request::new(Method::Post, "/conversations/messages", &[])?.json(&body)
}

/// Asks for a deal.
pub async fn fetch_deal(cx: &Context, id: &str) -> Result<Deal> {
    #[derive(Deserialize)]
    struct Body {
        opportunity: Deal,
    }
    let body: Body = read(&cx.send(&GHL, deal(id)?).await?, "a deal")?;
    Ok(body.opportunity)
}

/// Asks for the open deals of a contact.
pub async fn fetch_deals_of(cx: &Context, contact: &str) -> Result<Vec<Deal>> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        opportunities: Vec<Deal>,
    }
    let location = super::location(cx).await?;
    let body: Body = read(
        &cx.send(&GHL, deals_of(&location, contact)?).await?,
        "deals",
    )?;
    Ok(body.opportunities)
}

/// Asks for the pipelines, as they are now.
pub async fn fetch_pipelines(cx: &Context) -> Result<Vec<Pipeline>> {
    let location = super::location(cx).await?;
    let request = crm::whole("/opportunities/pipelines", &location)?;
    let found = crm::list(&cx.send(&GHL, request).await?)?;
    let records = found.records.iter();
    Ok(records
        .filter_map(|record| Pipeline::read(record.get()))
        .collect())
}

/// Asks for what of a contact decides whether they may be written to.
pub async fn fetch_contact(cx: &Context, id: &str) -> Result<Contact> {
    #[derive(Deserialize)]
    struct Body {
        contact: Contact,
    }
    let body: Body = read(&cx.send(&GHL, contact(id)?).await?, "a contact")?;
    Ok(body.contact)
}

/// Asks for e-mails; with whether there are more of them.
pub async fn fetch_emails(cx: &Context, request: Request) -> Result<(Vec<Message>, bool)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        #[serde(default)]
        messages: Vec<Message>,
        #[serde(default)]
        next_cursor: Option<String>,
    }
    let body: Body = read(&cx.send(&GHL, request).await?, "messages")?;
    let more = body.next_cursor.is_some() || body.messages.len() >= MOST;
    Ok((body.messages, more))
}

fn read<T: DeserializeOwned>(reply: &Reply, what: &str) -> Result<T> {
    serde_json::from_str(&reply.text).map_err(|error| unexpected(what, error))
}
