//! Zones that answer questions: the DNS of a sandbox.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;

use super::lookup::{Answer, Lookup, found, whole};
use super::name::{DomainName, Owner};
use super::record::{Record, RecordType};
use super::zone::Zone;

/// Zones of several publishers, shared by whoever publishes and whoever answers.
///
/// A question about a name in none of them is refused, not denied: a sandbox knows what it knows.
#[derive(Debug, Clone, Default)]
pub struct Names(Arc<RwLock<BTreeMap<String, Vec<Published>>>>);

#[derive(Debug)]
struct Published {
    name: DomainName,
    records: BTreeMap<Owner, Vec<Record>>,
}

/// As many aliases as a resolver follows.
const MOST_ALIASES: usize = 16;

impl Names {
    /// Takes the place of what the publisher said before: what a sandbox does at its start and after
    /// every change of a zone.
    pub fn publish(&self, publisher: &str, zones: &[Zone]) {
        let zones = zones.iter().map(Published::of).collect();
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(publisher.to_owned(), zones);
    }

    /// What these zones say to a question. Of two with the same name the first publisher's answers.
    pub fn answer(&self, name: &DomainName, kind: &RecordType) -> Answer {
        self.follow(name, kind, |_| true)
            .unwrap_or_else(|(name, _)| Answer::Unknown(format!("`{name}` is not in the sandbox")))
    }

    /// The same; or, where the question is passed on to a name in none of the zones, or to one they
    /// leave to others, that name and those on the way.
    pub(super) fn follow(
        &self,
        name: &DomainName,
        kind: &RecordType,
        is_ours: impl Fn(&DomainName) -> bool,
    ) -> Result<Answer, (DomainName, Vec<DomainName>)> {
        let publishers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let zones: Vec<_> = publishers.values().flatten().collect();
        let (mut name, mut aliases) = (name.clone(), Vec::new());
        loop {
            let within = zones.iter().rev().filter(|zone| name.is_within(&zone.name));
            let zone = within.max_by_key(|zone| zone.name.as_str().len());
            let Some(zone) = zone.filter(|_| is_ours(&name)) else {
                return Err((name, aliases));
            };
            let Some(records) = zone.at(&name) else {
                return Ok(Answer::NoName);
            };
            let asked: Vec<_> = records
                .iter()
                .filter(|record| record.kind == *kind)
                .map(|record| Record {
                    name: whole(&name),
                    ..(*record).clone()
                })
                .collect();
            let alias = records.iter().find(|record| is_alias(record, kind));
            match alias.and_then(|record| record.target()) {
                Some(target) if asked.is_empty() => {
                    if aliases.len() == MOST_ALIASES {
                        return Ok(Answer::Unknown(format!(
                            "the aliases of `{name}` have no end"
                        )));
                    }
                    aliases.push(target.clone());
                    name = target;
                }
                _ => return Ok(found(asked, aliases)),
            }
        }
    }
}

/// Whether the record passes the question on. An ALIAS does so for addresses only.
fn is_alias(record: &Record, kind: &RecordType) -> bool {
    match &record.kind {
        RecordType::Cname => *kind != RecordType::Cname,
        RecordType::Other(name) => {
            matches!(name.as_str(), "ALIAS" | "ANAME")
                && matches!(kind, RecordType::A | RecordType::Aaaa)
        }
        _ => false,
    }
}

impl Lookup for Names {
    fn lookup<'a>(&'a self, name: &'a DomainName, kind: &'a RecordType) -> BoxFuture<'a, Answer> {
        Box::pin(std::future::ready(self.answer(name, kind)))
    }
}

impl Published {
    fn of(zone: &Zone) -> Self {
        let mut records: BTreeMap<Owner, Vec<Record>> = BTreeMap::new();
        for record in &zone.records {
            records
                .entry(record.name.clone())
                .or_default()
                .push(record.clone());
        }
        // Where a name has two aliases, it is the same one that is followed every time.
        records.values_mut().for_each(|records| records.sort());
        Published {
            name: zone.name.clone(),
            records,
        }
    }

    /// The records of a name, a wildcard's where it has none of its own; nothing where there is no
    /// such name.
    fn at(&self, name: &DomainName) -> Option<&[Record]> {
        let mut closest = name.clone();
        loop {
            let owner = Owner::within(&closest, &self.name)?;
            if self.exists(&owner) {
                let asked = closest == *name;
                let owner = if asked { owner } else { below(&owner) };
                return match self.records.get(&owner) {
                    Some(records) => Some(records),
                    // A name that is there only because one below it is.
                    None if asked => Some(&[]),
                    None => None,
                };
            }
            closest = closest.parent()?;
        }
    }

    fn exists(&self, owner: &Owner) -> bool {
        let suffix = format!(".{owner}");
        owner.is_apex()
            || self.records.contains_key(owner)
            || self
                .records
                .keys()
                .any(|known| known.as_str().ends_with(&suffix))
    }
}

/// The wildcard just below a name.
fn below(owner: &Owner) -> Owner {
    if owner.is_apex() {
        Owner::relative("*")
    } else {
        Owner::relative(&format!("*.{owner}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::made::zone_of;

    #[test]
    fn zones_answer_as_name_servers_do() {
        let names = Names::default();
        let other = Zone {
            name: "example.net".parse().unwrap(),
            ..zone_of(&["@ 300 A 192.0.2.9", "loop 300 CNAME loop.example.net"])
        };
        let zone = zone_of(&[
            "@ 300 A 192.0.2.2",
            "@ 300 A 192.0.2.1",
            "@ 300 ALIAS example.net",
            "www 300 CNAME example.com",
            "out 300 CNAME example.net",
            "gone 300 CNAME nothing.example.net",
            "far 300 CNAME example.org",
            "* 300 TXT any",
            "a.b 300 A 192.0.2.3",
            "*.b 300 A 192.0.2.4",
        ]);
        names.publish("one", &[zone]);
        names.publish("two", &[other]);
        let ask = |name: &str, kind: RecordType| {
            let answer = names.answer(&name.parse().unwrap(), &kind);
            match answer {
                Answer::Found { records, aliases } => {
                    let data: Vec<_> = records.into_iter().map(|record| record.data).collect();
                    let aliases: Vec<_> = aliases.iter().map(DomainName::to_string).collect();
                    format!("{} via {}", data.join(" "), aliases.join(" "))
                }
                Answer::Empty => "empty".to_owned(),
                Answer::NoName => "no name".to_owned(),
                Answer::Unknown(why) => why,
            }
        };
        use RecordType::{A, Aaaa, Cname, Txt};
        for (name, kind, said) in [
            ("example.com", A, "192.0.2.1 192.0.2.2 via "),
            ("example.com", Txt, "empty"),
            ("example.com", Aaaa, "empty"),
            ("www.example.com", A, "192.0.2.1 192.0.2.2 via example.com"),
            ("www.example.com", Cname, "example.com via "),
            ("out.example.com", A, "192.0.2.9 via example.net"),
            ("gone.example.com", A, "no name"),
            ("far.example.com", A, "`example.org` is not in the sandbox"),
            ("anything.example.com", Txt, "any via "),
            ("anything.example.com", A, "empty"),
            ("deep.anything.example.com", Txt, "any via "),
            ("b.example.com", A, "empty"),
            ("b.example.com", Txt, "empty"),
            ("c.b.example.com", A, "192.0.2.4 via "),
            ("c.b.example.com", Txt, "empty"),
            ("x.a.b.example.com", A, "no name"),
            ("x.example.net", A, "no name"),
            (
                "loop.example.net",
                A,
                "the aliases of `loop.example.net` have no end",
            ),
            ("elsewhere.org", A, "`elsewhere.org` is not in the sandbox"),
        ] {
            assert_eq!(ask(name, kind.clone()), said, "{name} {kind}");
        }
        names.publish("one", &[]);
        assert_eq!(ask("example.com", A), "`example.com` is not in the sandbox");
    }
}
