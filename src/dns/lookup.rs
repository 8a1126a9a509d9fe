//! Asking the DNS: one question, one answer, and "not known" is an answer of its own.

use futures::future::BoxFuture;

use super::name::{DomainName, Owner};
use super::record::{Record, RecordType};

/// What the DNS says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There are such records; the names are whole, relative to the root.
    Found {
        /// The records, in order.
        records: Vec<Record>,
        /// The names the question was passed on to, one after the other.
        aliases: Vec<DomainName>,
    },
    /// The name exists, or one below it does, but has no such record.
    Empty,
    /// There is no such name.
    NoName,
    /// Nobody was asked, or nobody answered; in words, why.
    Unknown(String),
}

impl Answer {
    /// The records, if there are any.
    pub fn records(&self) -> &[Record] {
        match self {
            Answer::Found { records, .. } => records,
            _ => &[],
        }
    }

    /// The data of the records.
    pub fn data(&self) -> impl Iterator<Item = &str> {
        self.records().iter().map(|record| record.data.as_str())
    }

    /// Whether the question was answered.
    pub fn is_known(&self) -> bool {
        !matches!(self, Answer::Unknown(_))
    }

    /// Whether the answer is that there is nothing: a void look-up, as SPF counts them.
    pub fn is_void(&self) -> bool {
        matches!(self, Answer::Empty | Answer::NoName)
    }
}

/// Whoever can be asked.
pub trait Lookup: Send + Sync {
    /// The records of a type at a name, aliases followed.
    fn lookup<'a>(&'a self, name: &'a DomainName, kind: &'a RecordType) -> BoxFuture<'a, Answer>;
}

/// Nobody: every answer is unknown.
#[derive(Debug)]
pub struct Offline(pub String);

impl Default for Offline {
    fn default() -> Self {
        Offline("nothing is looked up offline".to_owned())
    }
}

impl Lookup for Offline {
    fn lookup<'a>(&'a self, _: &'a DomainName, _: &'a RecordType) -> BoxFuture<'a, Answer> {
        Box::pin(std::future::ready(Answer::Unknown(self.0.clone())))
    }
}

/// Puts the records of an answer into order, and each once: resolvers turn them round.
pub(super) fn found(mut records: Vec<Record>, aliases: Vec<DomainName>) -> Answer {
    if records.is_empty() {
        return Answer::Empty;
    }
    records.sort();
    records.dedup_by(|a, b| a.says_the_same(b));
    Answer::Found { records, aliases }
}

/// A whole name as the name of a record of an answer.
pub(super) fn whole(name: &DomainName) -> Owner {
    Owner::within(name, &DomainName::root()).unwrap_or_else(Owner::apex)
}
