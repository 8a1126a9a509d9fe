use std::time::Duration;

use clap::Args;
use medtainer_core::command::Effect;
use medtainer_core::context::Context;
use medtainer_core::writes::{Action, Check, Expect, Plan, Step, Target, plan};
use medtainer_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::api::acts::{self, Span};
use super::{GHL, api, who};

/// Send an e-mail to a contact
///
/// It goes to their first address and into their conversation. It is not sent to contacts who want not to be
/// disturbed. An e-mail cannot be taken back.
#[derive(Debug, Args)]
pub struct Email {
    /// To whom: id, e-mail address, phone number, name, nickname or alias
    #[arg(add = who::CANDIDATES)]
    who: String,

    /// The subject
    #[arg(long, value_name = "TEXT")]
    subject: String,

    /// The text; `-` takes it from standard input
    #[arg(long, value_name = "TEXT")]
    body: String,

    /// The sender's address, in place of the location's own
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,

    /// The text is HTML
    #[arg(long)]
    html: bool,
}

impl Action for Email {
    const EFFECT: Effect = Effect::Destroy;
    const CATALOG: Option<&'static str> = Some("gohighlevel.send_email");

    async fn plan(&self, cx: &Context) -> Result<Plan> {
        let subject = said(&self.subject, "--subject")?;
        let body = if self.body == "-" {
            cx.read_file(std::path::Path::new("-"), "body").await?
        } else {
            self.body.clone()
        };
        let body = said(&body, "--body")?;
        if let Some(from) = &self.from {
            is_address(from)?;
        }
        let html = if self.html {
            body.to_owned()
        } else {
            paragraphs(body)
        };

        let id = who::surely(cx, "who", &self.who).await?;
        let contact = acts::fetch_contact(cx, &id).await?;
        let name = contact.contact.full_name();
        let called = name.as_deref().unwrap_or(&id);
        let Some(to) = contact.contact.email.as_deref() else {
            return Err(Error::refused(format!("{called} has no e-mail address"))
                .hint("`medtainer ghl contact WHO` shows what is known of them."));
        };
        if contact.mail_is_unwanted() {
            return Err(Error::refused(format!(
                "{called} does not want to be disturbed by e-mail"
            ))
            .hint("That is set in GoHighLevel, and undone there."));
        }

        let location = api::location(cx).await?;
        // What is there already, so that the new one can be told from it: all of it, or from the newest on.
        let mut window = acts::emails(&location, &id, Span::All)?;
        let (mut known, more) = acts::fetch_emails(cx, window.clone()).await?;
        if more {
            let newest = acts::emails(&location, &id, Span::Newest)?;
            let (newest, _) = acts::fetch_emails(cx, newest).await?;
            let since = newest
                .first()
                .and_then(|message| message.date_added.clone());
            window = acts::emails(&location, &id, Span::Since(&since.unwrap_or_default()))?;
            (known, _) = acts::fetch_emails(cx, window.clone()).await?;
        }
        let count = known.len() as u64;
        let there = |count: u64, says: String| {
            let expect = Expect::Count {
                list: "/messages".to_owned(),
                like: Map::from_iter([("contactId".to_owned(), json!(id))]),
                count,
            };
            Check::ask(says, window.clone(), expect)
        };

        let target = Target {
            kind: "contact".to_owned(),
            id: id.clone(),
            name: to.to_owned(),
        };
        let title = match &name {
            Some(name) => format!("Send “{subject}” to {name} <{to}>"),
            None => format!("Send “{subject}” to {to}"),
        };
        let mut plan = Plan::new(&GHL, title, target)
            .change("e-mail", Value::Null, {
                let mut sent = json!({ "to": to, "subject": subject, "body": body });
                if let Some(from) = &self.from {
                    sent["from"] = json!(from);
                }
                sent
            })
            .before(Check::ask(
                format!("{to} is their address and they may be written to"),
                acts::contact(&id)?,
                Expect::field("/contact/email", to)
                    .and("/contact/dnd", contact.dnd.clone())
                    .and(
                        "/contact/dndSettings/Email/status",
                        contact.dnd_settings["Email"]["status"].clone(),
                    ),
            ))
            .before(there(
                count,
                "no e-mail went to them or came from them meanwhile".to_owned(),
            ))
            .step(Step::new(
                format!("send the e-mail to {to}"),
                acts::send_email(&id, self.from.as_deref(), to, subject, &html)?,
            ))
            .after(
                Check::ask(
                    "it is in their conversation",
                    acts::message(&plan::answer(0, "/messageId"))?,
                    Expect::field("/contactId", id.as_str()).and("/direction", "outbound"),
                )
                .unless(Expect::field("/status", "failed"))
                .filled()
                .within(Duration::from_secs(10)),
            )
            .lookup(there(
                count + 1,
                "one more e-mail is in their conversation".to_owned(),
            ))
            .lookup(
                Check::ask(
                    "it has this subject",
                    acts::email(&plan::seen(
                        0,
                        &format!("/messages/{count}/meta/email/messageIds/0"),
                    ))?,
                    Expect::field("/subject", subject).and("/direction", "outbound"),
                )
                .filled(),
            )
            .result("message_id", plan::answer(0, "/messageId"))
            .result("status", plan::seen(0, "/status"))
            .touches("ghl.conversations")
            .touches("ghl.messages");
        plan.irreversible = Some("an e-mail that was sent cannot be taken back".to_owned());
        if contact.valid_email == json!(false) {
            plan.warnings
                .push(format!("GoHighLevel found that {to} takes no mail"));
        }
        Ok(plan)
    }
}

fn said<'a>(text: &'a str, option: &str) -> Result<&'a str> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::usage(format!("`{option}` is empty")));
    }
    Ok(text)
}

/// Whether it can be a sender: an address alone. More is the provider's to judge.
fn is_address(text: &str) -> Result<()> {
    let good = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.contains('@')
    });
    if !good
        || text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>,;".contains(c))
    {
        return Err(Error::usage(format!("`{text}` is not an e-mail address")));
    }
    Ok(())
}

/// Plain text as HTML: nothing in it is markup, an empty line parts paragraphs.
fn paragraphs(text: &str) -> String {
    let escaped = text
        .replace("\r\n", "\n")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let paragraphs = escaped
        .split("\n\n")
        .map(|part| part.trim_matches('\n'))
        .filter(|part| !part.is_empty());
    paragraphs
        .map(|part| format!("<p>{}</p>", part.replace('\n', "<br>")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_plain() {
        assert_eq!(
            paragraphs("Hi <b>Ada</b> & co,\r\nsee you.\n\n\n\nBob"),
            "<p>Hi &lt;b&gt;Ada&lt;/b&gt; &amp; co,<br>see you.</p><p>Bob</p>"
        );
    }

    #[test]
    fn a_sender_is_an_address_alone() {
        for good in ["a@b.c", "office+x@example.com"] {
            assert!(is_address(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.c",
            "A <a@b.c>",
            "a@b.c,d@e.f",
            "a@b@c.d",
            "a@b.c\nBcc: x@y.z",
        ] {
            assert!(is_address(bad).is_err(), "{bad}");
        }
    }
}
