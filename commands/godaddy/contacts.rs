use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::types::Contact;
use super::{domain, names, store};

/// Show the four contacts of a domain
///
/// Names, addresses and numbers are masked unless `--reveal` is given.
#[derive(Debug, Args)]
pub struct Contacts {
    /// The domain, such as `example.com`
    #[arg(add = names::CANDIDATES)]
    domain: String,

    /// Show them unmasked
    #[arg(long)]
    reveal: bool,
}

/// A contact of a domain.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// The role
    id: String,
    name: Option<String>,
    organization: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    street: Option<String>,
    city: Option<String>,
    state: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
    masked: bool,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("role", "id"),
        Column::text("name", "name"),
        Column::text("organization", "organization"),
        Column::text("email", "email"),
        Column::text("phone", "phone"),
        Column::text("city", "city"),
        Column::text("country", "country"),
    ];
}

impl Line {
    fn of(role: String, contact: Contact, reveal: bool) -> Self {
        let shown = |text: Option<String>, mask: fn(&str) -> String| match text {
            Some(text) if !reveal => Some(mask(&text)),
            text => text,
        };
        let names = [contact.name_first, contact.name_last];
        let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let address = contact.address_mailing.unwrap_or_default();
        let street = [address.address1, address.address2];
        let street = street.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Line {
            id: role,
            name: shown(Some(name).filter(|name| !name.is_empty()), words),
            organization: shown(contact.organization, words),
            email: shown(contact.email, mailbox),
            phone: shown(contact.phone, digits),
            street: shown(Some(street).filter(|street| !street.is_empty()), words),
            city: shown(address.city, words),
            state: address.state,
            postal_code: shown(address.postal_code, digits),
            country: address.country,
            masked: !reveal,
        }
    }
}

/// The first letter of each word.
fn words(text: &str) -> String {
    let masked: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().take(1).chain("***".chars()).collect())
        .collect();
    masked.join(" ")
}

/// The first letter of the mailbox, and the domain, which is not a person's alone.
fn mailbox(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((mailbox, domain)) => {
            let first: String = mailbox.chars().take(1).collect();
            format!("{first}***@{domain}")
        }
        None => words(text),
    }
}

/// The last two digits.
fn digits(text: &str) -> String {
    let mut kept = text.chars().count();
    text.chars()
        .map(|c| {
            kept -= 1;
            if c.is_alphanumeric() && kept >= 2 {
                '*'
            } else {
                c
            }
        })
        .collect()
}

impl Command for Contacts {
    type Output = Page<Line>;
    const CATALOG: Option<&'static str> = Some("godaddy.domain_contacts");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        let (name, kept) = names::find(cx, &self.domain).await?;
        domain::refreshed(cx, &name, kept).await?;
        let rows = {
            let mut conn = cx.db().await?;
            store::contacts(&mut conn, name.as_str()).await?
        };
        let lines: Vec<Line> = rows
            .into_iter()
            .map(|(role, data)| {
                Line::of(
                    role,
                    serde_json::from_str(&data).unwrap_or_default(),
                    self.reveal,
                )
            })
            .collect();
        if lines.is_empty() {
            cx.warn(format!("GoDaddy told no contacts of `{name}`"));
        }
        Ok(Page::whole(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_leave_what_tells_whose_it_is_to_who_knows() {
        assert_eq!(words("Rosalind Harbor"), "R*** H***");
        assert_eq!(mailbox("rosalind@harborpine.com"), "r***@harborpine.com");
        assert_eq!(digits("+1.2075550142"), "+*.********42");
        assert_eq!(mailbox("nothing"), "n***");
    }
}
