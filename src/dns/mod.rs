//! Zones of the DNS: their records in one spelling, whichever provider keeps them.
//!
//! A record comes in through a [`Draft`]: strictly from people and files, leniently from providers. It
//! goes out as a zone file, as a provider's request, or as a change.

pub mod change;
pub mod file;
#[cfg(test)]
mod made;
pub mod name;
mod octodns;
mod rdata;
pub mod record;
mod show;
mod yaml;
pub mod zone;
mod zonefile;

pub use change::{Action, Change, ChangeSet, Mode, SetChange, diff, remove};
pub use file::{Format, ZoneFile, read, write};
pub use name::{DomainName, Owner};
pub use record::{Caa, Draft, Record, RecordType, Ttl};
pub use zone::{Limits, Zone};
