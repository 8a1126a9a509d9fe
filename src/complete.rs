//! What an argument may be, from the store: for a shell and for clients of the MCP server alike, and
//! never from the network.

use clap::Arg;
use clap::builder::ArgExt;
use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::app::Desk;
use crate::error::Result;

/// A value an argument takes, and what it stands for.
pub type Candidate = (String, String);

type Ask =
    for<'a> fn(&'a mut PgConnection, &'a str, usize) -> BoxFuture<'a, Result<Vec<Candidate>>>;

/// Where the values of an argument come from, declared with it: `#[arg(add = CANDIDATES)]`.
#[derive(Debug, Clone, Copy)]
pub struct Candidates {
    ask: Ask,
    personal: bool,
}

impl ArgExt for Candidates {}

impl Candidates {
    /// What `ask` finds: those that begin with what was typed, so many of them at most.
    pub const fn new(ask: Ask) -> Self {
        Candidates {
            ask,
            personal: false,
        }
    }

    /// The same, of which each names a person.
    #[must_use]
    pub const fn personal(mut self) -> Self {
        self.personal = true;
        self
    }

    /// Whether they name persons.
    pub fn is_personal(&self) -> bool {
        self.personal
    }

    /// Those of an argument, if it has any.
    pub fn of(arg: &Arg) -> Option<Candidates> {
        arg.get::<Candidates>().copied()
    }

    /// Those that begin with what was typed. Nothing is started, made or migrated for a key press:
    /// where the database does not answer there are none.
    pub async fn find(&self, desk: &Desk, typed: &str, most: usize) -> Vec<Candidate> {
        let Ok(mut conn) = desk.store.acquire().await else {
            return Vec::new();
        };
        (self.ask)(&mut conn, typed, most).await.unwrap_or_default()
    }
}
