use clap::Args;
use medtainer_core::Result;
use medtainer_core::command::{Command, Effect};
use medtainer_core::output::{Column, One, Row};
use medtainer_core::values::Range;
use schemars::JsonSchema;
use serde::Serialize;

use super::lessons::{self, Lesson, Taught};
use super::{store, types, who};

/// Teach what you know of a contact: nicknames, aliases, notes, importance
///
/// What is given is added to what is there; a note replaces the note. Searches use it at once.
/// With nothing to add it shows what is known.
#[derive(Debug, Args)]
pub struct Context {
    /// Who: id, e-mail address, phone number, name, nickname or alias
    #[arg(add = who::CANDIDATES)]
    who: String,

    /// A nickname (can be repeated)
    #[arg(long = "nickname", value_name = "NAME")]
    nicknames: Vec<String>,

    /// What you call them, such as `the roofer` (can be repeated)
    #[arg(long = "alias", value_name = "NAME")]
    aliases: Vec<String>,

    /// A note, in place of the one there is
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,

    /// How important, 0 to 10: breaks ties in searches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=10), add = Range { min: 0, max: 10 })]
    importance: Option<i32>,
}

/// What is known of a contact besides what GoHighLevel has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Known {
    /// GoHighLevel's id.
    id: String,
    /// First and last name.
    name: Option<String>,
    #[serde(flatten)]
    taught: Taught,
}

impl Row for Known {
    const COLUMNS: &'static [Column] = &[
        Column::id("Id", "id"),
        Column::text("Name", "name"),
        Column::list("Nicknames", "nicknames"),
        Column::list("Aliases", "aliases"),
        Column::text("Notes", "notes"),
        Column::number("Importance", "importance"),
    ];
}

impl Command for Context {
    type Output = One<Known>;
    const EFFECT: Effect = Effect::Local;
    const CATALOG: Option<&'static str> = Some("gohighlevel.add_contact_context");

    async fn run(&self, cx: &medtainer_core::context::Context) -> Result<Self::Output> {
        let id = who::find(cx, &self.who).await?;
        let lesson = Lesson {
            nicknames: cleaned(&self.nicknames)?,
            aliases: cleaned(&self.aliases)?,
            note: self.note.as_deref().map(|note| note.replace('\0', "")),
            importance: self.importance,
        };
        let mut conn = cx.db().await?;
        if !lesson.is_empty() {
            lessons::teach(&mut conn, &id, &lesson).await?;
        }
        let name = store::contact(&mut conn, &id)
            .await?
            .and_then(|whole| types::Contact::read(&whole.data).full_name());
        let taught = lessons::taught(&mut conn, &id).await?.unwrap_or_default();
        Ok(One(Known { id, name, taught }))
    }
}

fn cleaned(names: &[String]) -> Result<Vec<String>> {
    names
        .iter()
        .map(|name| {
            let name = name.replace('\0', "").trim().to_owned();
            if name.is_empty() || name.chars().count() > 100 {
                return Err(medtainer_core::Error::usage("a name has 1 to 100 letters"));
            }
            Ok(name)
        })
        .collect()
}
