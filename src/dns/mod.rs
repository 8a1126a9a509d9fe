//! Zones of the DNS: their records in one spelling, whichever provider keeps them.
//!
//! A record comes in through a [`Draft`]: strictly from people and files, leniently from providers. It
//! goes out as a zone file, as a provider's request, or as a change.

#[cfg(test)]
mod made;
pub mod name;
mod rdata;
pub mod record;
pub mod zone;

pub use name::{DomainName, Owner};
pub use record::{Caa, Draft, Record, RecordType, Ttl};
pub use zone::{Limits, Zone};
