use std::collections::HashMap;

use clap::Args;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::people::{self, Field, Match, Reason};
use medtainer_core::values::Range;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::{GHL, collections, lookup, who};

/// Find people as you call them; each hit says why
///
/// Knows nicknames (Bob is Robert, Peggy is Margaret), misspellings, names that sound alike, accents,
/// initials, any order of words, companies, e-mail addresses, the last digits of a phone number, and
/// what you taught with `medtainer ghl context`.
#[derive(Debug, Args)]
pub struct Search {
    /// What to look for
    text: String,

    /// At most this many hits, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=100), add = Range { min: 1, max: 100 })]
    limit: u32,
}

/// Somebody who was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Hit {
    /// GoHighLevel's id.
    id: String,
    /// First and last name.
    name: Option<String>,
    /// The company.
    company: Option<String>,
    /// The first e-mail address.
    email: Option<String>,
    /// The first phone number.
    phone: Option<String>,
    /// How well it fits; only the order means anything.
    score: f64,
    /// Why, in words.
    because: String,
    /// Why, one part for each word looked for.
    why: Vec<Reason>,
}

impl Row for Hit {
    const COLUMNS: &'static [Column] = &[
        Column::id("id", "id"),
        Column::text("name", "name"),
        Column::text("because", "because"),
        Column::id("phone", "phone"),
        Column::text("email", "email"),
        Column::text("company", "company"),
    ];
}

impl Command for Search {
    type Output = Page<Hit>;
    const CATALOG: Option<&'static str> = Some("gohighlevel.search_by_nickname");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        if self.text.trim().is_empty() {
            return Err(Error::usage("there is nothing to look for")
                .hint("Give a name, as in `medtainer ghl search bob`."));
        }
        cx.read_through(&GHL, &collections::CONTACTS).await?;
        let mut conn = cx.db().await?;
        let mut found = people::search(&mut conn, &self.text, self.limit).await?;
        found.retain(|hit| who::may_be_found(cx, hit));
        let ids: Vec<_> = found.iter().map(|hit| hit.id.clone()).collect();
        let lines = lookup::lines(&mut conn, &ids).await?;
        let mut lines: HashMap<_, _> = lines
            .into_iter()
            .map(|line| (line.id.clone(), line))
            .collect();
        // Lines may be fewer than hits: between the two questions somebody may have changed the answer.
        let lines = found
            .into_iter()
            .filter_map(|hit| Some((lines.remove(&hit.id)?, hit)));
        let hits = lines.map(|(line, hit)| Hit {
            id: line.id,
            name: line.name,
            company: line.company,
            email: line.email,
            phone: line.phone,
            score: hit.score,
            because: hit.why.iter().map(explain).collect::<Vec<_>>().join("; "),
            why: hit.why,
        });
        Ok(Page::whole(hits.collect()))
    }
}

/// A reason as a person says it.
fn explain(reason: &Reason) -> String {
    let Reason {
        field,
        kind,
        query_token: asked,
        matched_token: found,
    } = reason;
    match kind {
        Match::Exact if asked == found => match field {
            Field::Name => format!("name `{found}`"),
            Field::Alias => format!("you call them `{found}`"),
            Field::Company => format!("company `{found}`"),
            Field::Email => format!("e-mail `{found}`"),
            Field::Phone => format!("phone {found}"),
        },
        Match::Exact => format!("`{asked}` is `{found}`"),
        Match::Prefix => format!("`{found}` begins with `{asked}`"),
        Match::Nickname => format!("`{asked}` for `{found}`"),
        Match::Misspelling => format!("`{asked}` is like `{found}`"),
        Match::SoundsLike => format!("`{asked}` sounds like `{found}`"),
        Match::Initial if found.chars().count() < asked.chars().count() => {
            format!("`{found}` may stand for `{asked}`")
        }
        Match::Initial => format!("`{asked}` are initials of `{found}`"),
        Match::PhoneTail => format!("phone {found} ends in {asked}"),
        Match::Email => format!("e-mail `{found}`"),
        Match::Alias => format!("you call them `{found}`"),
        Match::Company => format!("company `{found}`"),
    }
}
