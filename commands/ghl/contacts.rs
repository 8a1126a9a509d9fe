use clap::{Args, ValueEnum};
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::privacy::Class;
use medtainer_core::values::{Moment, Paging};
use medtainer_core::{Error, Result};

use super::store::{self, After, Filter, Line};
use super::{GHL, collections};

/// List contacts, newest change first
#[derive(Debug, Args)]
pub struct Contacts {
    #[command(flatten)]
    paging: Paging,

    /// Only contacts with this in a name, company, address or number
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,

    /// Only contacts with this tag (can be repeated: all of them)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Only contacts from this source
    #[arg(long)]
    source: Option<String>,

    /// Only contacts changed at or after this: a date, a time, or how long ago (7d)
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,

    /// Only contacts changed before this
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,

    /// Only contacts of this user, by id
    #[arg(long, value_name = "USER")]
    assigned_to: Option<String>,

    /// In which order
    #[arg(long, value_enum, default_value_t = Sort::Changed)]
    sort: Sort,
}

/// In which order contacts come.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    /// Newest change first
    Changed,
    /// Newest contact first
    Added,
    /// By name
    Name,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("id", "id"),
        Column::text("name", "name"),
        Column::text("email", "email"),
        Column::id("phone", "phone"),
        Column::age("changed", "updated_at"),
        Column::text("company", "company"),
        Column::list("tags", "tags"),
    ];
}

impl Command for Contacts {
    type Output = Page<Line>;
    const CATALOG: Option<&'static str> = Some("gohighlevel.read_contacts");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        self.refuse_what_is_hidden(cx)?;
        let sort = match self.sort {
            Sort::Changed => store::Sort::Changed,
            Sort::Added => store::Sort::Added,
            Sort::Name => store::Sort::Name,
        };
        let after = self
            .paging
            .after
            .as_deref()
            .map(|text| After::parse(text, sort))
            .transpose()?;
        let filter = Filter {
            query: self.query.clone(),
            tags: self.tags.clone(),
            source: self.source.clone(),
            assigned_to: self.assigned_to.clone(),
            since: self.since.map(|moment| moment.instant(cx.now())),
            until: self.until.map(|moment| moment.instant(cx.now())),
        };
        cx.read_through(&GHL, &collections::CONTACTS).await?;
        let mut conn = cx.db().await?;
        let limit = self.paging.limit;
        let lines = store::list(&mut conn, &filter, sort, after.as_ref(), limit).await?;
        let cursor = move |line: &Line| After::of(line, sort).to_text();
        Ok(Page::upto(lines, limit, cursor))
    }
}

impl Contacts {
    /// What the caller does not get to see must not be told by what is found, nor by where a page ends.
    fn refuse_what_is_hidden(&self, cx: &Context) -> Result<()> {
        let refused = |what: &str| {
            let what = format!("`{what}` looks at fields that are hidden from this key");
            Err(Error::usage(what)
                .hint("`ghl_search` finds people by a whole name, address or number."))
        };
        let (contact, name) = (cx.hides(Class::Contact), cx.hides(Class::Name));
        match (&self.query, self.sort) {
            (Some(_), _) if contact || name => refused("query"),
            (None, Sort::Name) if name => refused("sort"),
            _ => Ok(()),
        }
    }
}
