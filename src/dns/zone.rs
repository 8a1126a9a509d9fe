//! A zone: its records, who answers for it, and what its provider takes.

use std::collections::BTreeMap;

use super::name::{DomainName, Owner};
use super::record::{Record, RecordType, Ttl};
use crate::error::{Error, Result};

/// What a provider takes; the default is what the DNS itself takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The shortest TTL, in seconds.
    pub min_ttl: u32,
    /// The longest TTL, in seconds.
    pub max_ttl: u32,
    /// Whether a TTL may be left to the provider.
    pub automatic_ttl: bool,
    /// Whether a CNAME at the zone's own name is answered with what it points at.
    pub apex_cname: bool,
    /// Whether records can be proxied.
    pub proxied: bool,
    /// The most octets of one TXT.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            min_ttl: 0,
            max_ttl: 0x7fff_ffff,
            automatic_ttl: true,
            apex_cname: true,
            proxied: true,
            text: 65_025,
        }
    }
}

impl Limits {
    /// Whether the provider takes the record.
    pub fn check(&self, record: &Record) -> Result<()> {
        if record.proxied == Some(true) {
            if !self.proxied {
                return Err(Error::usage("nothing is proxied here").hint("Leave `proxied` away."));
            }
            if !matches!(
                record.kind,
                RecordType::A | RecordType::Aaaa | RecordType::Cname
            ) {
                return Err(Error::usage("only A, AAAA and CNAME can be proxied")
                    .hint("Leave `proxied` away."));
            }
        }
        match record.ttl {
            Some(Ttl::Automatic) if !self.automatic_ttl => {
                return Err(Error::usage("there is no automatic TTL here").hint(format!(
                    "Write the seconds, {} to {}.",
                    self.min_ttl, self.max_ttl
                )));
            }
            Some(Ttl::Seconds(seconds)) if !(self.min_ttl..=self.max_ttl).contains(&seconds) => {
                return Err(
                    Error::usage(format!("a TTL of {seconds} seconds is not taken here")).hint(
                        format!("The TTL is {} to {} seconds.", self.min_ttl, self.max_ttl),
                    ),
                );
            }
            _ => {}
        }
        if record.kind == RecordType::Cname && record.name.is_apex() && !self.apex_cname {
            return Err(Error::usage("a CNAME cannot stand at the zone's own name")
                .hint("Write `A` and `AAAA` records with the addresses of the target instead."));
        }
        if record.kind == RecordType::Txt && record.data.len() > self.text {
            return Err(Error::usage(format!(
                "the text has {} octets; {} is the most here",
                record.data.len(),
                self.text
            ))
            .hint("Shorten it, or divide it among several records."));
        }
        Ok(())
    }
}

/// A zone as its provider has it, or as a file wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: DomainName,
    /// Its records, in any order.
    pub records: Vec<Record>,
    /// Where the registry delegates it to; empty where that is not known.
    pub nameservers: Vec<DomainName>,
    /// Whether these records are the ones the world sees; `None` where that is not known.
    pub authoritative: Option<bool>,
    /// What its provider takes.
    pub limits: Limits,
}

impl Zone {
    /// An empty zone.
    pub fn new(name: DomainName, limits: Limits) -> Self {
        Zone {
            name,
            records: Vec::new(),
            nameservers: Vec::new(),
            authoritative: None,
            limits,
        }
    }

    /// The same zone with these records.
    #[must_use]
    pub fn with(mut self, records: Vec<Record>) -> Self {
        self.records = records;
        self
    }

    /// The records of a name.
    pub fn at<'a>(&'a self, name: &'a Owner) -> impl Iterator<Item = &'a Record> {
        self.records
            .iter()
            .filter(move |record| record.name == *name)
    }

    /// The records of a type.
    pub fn of<'a>(&'a self, kind: &'a RecordType) -> impl Iterator<Item = &'a Record> {
        self.records
            .iter()
            .filter(move |record| record.kind == *kind)
    }

    /// The records of a name and a type.
    pub fn set<'a>(
        &'a self,
        name: &'a Owner,
        kind: &'a RecordType,
    ) -> impl Iterator<Item = &'a Record> {
        self.at(name).filter(move |record| record.kind == *kind)
    }

    /// The sets of the zone in order, each with its records in order.
    pub fn sets(&self) -> Vec<((&Owner, &RecordType), Vec<&Record>)> {
        let mut sorted: Vec<_> = self.records.iter().collect();
        sorted.sort();
        let mut sets: Vec<((&Owner, &RecordType), Vec<&Record>)> = Vec::new();
        for record in sorted {
            match sets.last_mut() {
                Some((set, records)) if *set == record.set() => records.push(record),
                _ => sets.push((record.set(), vec![record])),
            }
        }
        sets
    }

    /// Puts the records in the order zones are shown in.
    pub fn sort(&mut self) {
        self.records.sort();
    }

    /// Whether both hold the same records, in whatever order and spelling; TTLs and proxy states
    /// count, ids do not.
    pub fn holds_the_same(&self, other: &Zone) -> bool {
        let key = |zone: &Zone| {
            let mut records: Vec<_> = zone
                .records
                .iter()
                .cloned()
                .map(|record| Record { id: None, ..record })
                .collect();
            records.sort();
            records
        };
        self.name == other.name && key(self) == key(other)
    }

    /// What no provider would take: a record twice, a CNAME beside other data or another CNAME, and
    /// what its limits forbid. In order, each as an error of its own.
    pub fn check(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        let mut names: BTreeMap<&Owner, Vec<&Record>> = BTreeMap::new();
        for record in &self.records {
            names.entry(&record.name).or_default().push(record);
        }
        for (name, mut records) in names {
            records.sort();
            for record in &records {
                if let Err(error) = self.limits.check(record) {
                    problems.push(
                        Error::usage(format!("{} {name}: {}", record.kind, error.message()))
                            .hint(error.hint_text().unwrap_or_default()),
                    );
                }
            }
            for pair in records.windows(2) {
                if pair[0].says_the_same(pair[1]) {
                    problems.push(
                        Error::usage(format!("`{}` is there twice", pair[0]))
                            .hint("Leave one of the two away."),
                    );
                }
            }
            let aliases = records
                .iter()
                .filter(|record| record.kind == RecordType::Cname)
                .count();
            // Worded the same however many they are: a change that leaves a fault as it found it is let
            // through.
            if aliases > 1 {
                problems.push(
                    Error::usage(format!("`{name}` has more than one CNAME"))
                        .hint("A name has one CNAME or none."),
                );
            }
            if beside_cname(&records).is_some() && !(name.is_apex() && self.limits.apex_cname) {
                problems.push(
                    Error::usage(format!("`{name}` has a CNAME beside other records"))
                        .hint("A name with a CNAME has no other records: leave one of them away."),
                );
            }
        }
        problems
    }
}

/// A record that a CNAME of the same name does not tolerate.
pub(super) fn beside_cname<'a>(records: &[&'a Record]) -> Option<&'a Record> {
    records
        .iter()
        .any(|record| record.kind == RecordType::Cname)
        .then(|| {
            // What signs the name may stand beside it (RFC 2181, 4034).
            records.iter().copied().find(|record| match &record.kind {
                RecordType::Cname => false,
                RecordType::Other(kind) => !matches!(kind.as_str(), "RRSIG" | "NSEC"),
                _ => true,
            })
        })
        .flatten()
}
