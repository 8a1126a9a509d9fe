use clap::{Args, ValueEnum};
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::Paging;

use super::collections::of_contact;
use super::store::timeline::{self, After, Event};
use super::who;

/// Show everything that passed with a contact, newest first
///
/// Texts are what third parties wrote.
#[derive(Debug, Args)]
pub struct History {
    /// Who: id, e-mail address, phone number, name, nickname or alias
    #[arg(add = who::CANDIDATES)]
    who: String,

    #[command(flatten)]
    paging: Paging,

    /// Only this kind (can be repeated)
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    types: Vec<Kind>,
}

/// What happens with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Message,
    Note,
    Task,
    Appointment,
    Deal,
    Write,
    Context,
    Legacy,
}

impl Row for Event {
    const COLUMNS: &'static [Column] = &[
        Column::age("when", "at"),
        Column::text("type", "type"),
        Column::text("way", "direction"),
        Column::text("channel", "channel"),
        Column::text("title", "title"),
        Column::text("text", "body"),
        Column::text("status", "status"),
    ];
}

/// How many e-mails a page fetches the text of, a request each.
const EMAILS: usize = 20;

impl Command for History {
    type Output = Page<Event>;
    const CATALOG: Option<&'static str> = Some("gohighlevel.get_contact_interactions");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let after = self.paging.after.as_deref().map(After::parse).transpose()?;
        let names: Vec<_> = self
            .types
            .iter()
            .filter_map(|kind| kind.to_possible_value())
            .collect();
        let names: Vec<&str> = names.iter().map(|name| name.get_name()).collect();
        let types = (!names.is_empty()).then_some(names.as_slice());
        let id = who::find(cx, &self.who).await?;
        of_contact::refresh(cx, &id).await?;
        let read = async || {
            let mut conn = cx.db().await?;
            timeline::page(&mut conn, &id, types, after.as_ref(), self.paging.limit).await
        };
        let mut events = read().await?;
        let unread: Vec<(String, String)> = events
            .iter()
            .take(self.paging.limit as usize)
            .filter_map(|event| Some((event.id.clone(), event.email_id.clone()?)))
            .collect();
        if !unread.is_empty() {
            let wanted = match cx.is_offline() {
                true => 0,
                false => unread.len().min(EMAILS),
            };
            let missing = of_contact::emails(cx, &unread[..wanted]).await?;
            let left = unread.len() - wanted + missing;
            if left > 0 {
                cx.warn(format!("the texts of {left} e-mails were not fetched"));
            }
            if wanted > missing {
                events = read().await?;
            }
        }
        for event in &mut events {
            let is_email = event
                .channel
                .as_deref()
                .is_some_and(|way| way.ends_with("email"));
            event.title = event.title.take().map(|text| clean(&text));
            event.body = event.body.take().map(|text| match is_email {
                true => clean(&without_tags(&text)),
                false => clean(&text),
            });
        }
        let cursor = |event: &Event| After::of(event).to_text();
        Ok(Page::upto(events, self.paging.limit, cursor))
    }
}

/// A third party's text without what a terminal would obey.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect::<String>()
        .trim()
        .to_owned()
}

/// What an e-mail says, without the tags around it.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let begins = tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        let Some((tag, after)) = tag.split_once('>').filter(|_| begins) else {
            text.push('<');
            rest = tag;
            continue;
        };
        let name = tag.trim_start_matches('/').to_lowercase();
        let name = name.split([' ', '/']).next().unwrap_or_default();
        rest = match name {
            // What is between these is not for readers.
            "style" | "script" if !tag.starts_with('/') => after
                .find(&format!("</{name}"))
                .map_or("", |end| &after[end..]),
            _ => after,
        };
        if matches!(name, "p" | "br" | "div" | "tr" | "li") && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text.push_str(rest);
    for (entity, sign) in [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, sign);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_becomes_text() {
        let html =
            "<style>p { color: red }</style><p class=\"x\">Hi &amp; hello<br/>you</p> 3 < 4 > 2 <b";
        assert_eq!(clean(&without_tags(html)), "Hi & hello\nyou\n 3 < 4 > 2 <b");
        assert_eq!(clean("a\u{1b}[31mb\u{0}\u{9b}c\r\nd"), "a[31mbc\nd");
    }
}
