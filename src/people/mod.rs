//! Finding people as humans name them.
//!
//! A contact is found by nicknames, slips of spelling, sounds, initials, company, e-mail, the end of
//! a phone number and the names its owner taught, and every hit says why. The search asks a small
//! vocabulary which words may be meant and then intersects exact keys, so that neither the time of
//! a search nor the price of a page of contacts grows with what can be misspelled.

mod fold;
mod index;
mod nicknames;
mod query;
mod rank;
mod search;

pub use index::{catch_up, index, index_ahead, indexes_its_pages, remove, settle};
pub use rank::{Field, Hit, Match, Reason};
pub use search::search;

use chrono::{DateTime, Utc};

/// What the index needs to know of one contact. What the owner taught (nicknames, aliases,
/// importance) it reads itself from `contact_context`.
#[derive(Debug, Clone, Default)]
pub struct Person<'a> {
    /// The contact's id.
    pub id: &'a str,
    /// Given name.
    pub first: Option<&'a str>,
    /// Family name.
    pub last: Option<&'a str>,
    /// The whole name, where the provider keeps one.
    pub full_name: Option<&'a str>,
    /// Company.
    pub company: Option<&'a str>,
    /// Every e-mail address.
    pub emails: Vec<&'a str>,
    /// Every phone number, formatted in any way.
    pub phones: Vec<&'a str>,
    /// When the provider last changed the contact; of equal hits the more recent comes first.
    pub changed: Option<DateTime<Utc>>,
}
