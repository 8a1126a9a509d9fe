//! Zones of the DNS: their records in one spelling, whichever provider keeps them.
//!
//! A record comes in through a [`Draft`]: strictly from people and files, leniently from providers. It
//! goes out as a zone file, as a provider's request, or as a change.

pub mod change;
pub mod file;
pub mod lookup;
#[cfg(test)]
mod made;
pub mod name;
pub mod names;
mod octodns;
mod rdata;
pub mod record;
pub mod resolver;
pub mod rules;
pub mod server;
mod show;
mod wire;
mod world;
mod yaml;
pub mod zone;
mod zonefile;

pub use change::{Action, Change, ChangeSet, Mode, SetChange, diff, remove};
pub use file::{Format, ZoneFile, read, write, zone_file};
pub use lookup::{Answer, Lookup, Offline};
pub use name::{DomainName, Owner};
pub use names::Names;
pub use record::{Caa, Draft, Record, RecordType, Ttl};
pub use resolver::{Resolver, Session};
pub use server::Sandbox;
pub use world::world;
pub use zone::{Limits, Zone};
