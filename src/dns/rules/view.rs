//! A zone and the world around it, as a resolver sees them.

use futures::StreamExt;
use futures::stream::FuturesOrdered;

use super::Asked;
use crate::dns::lookup::{Answer, Lookup};
use crate::dns::name::{DomainName, Owner};
use crate::dns::names::Names;
use crate::dns::record::{Record, RecordType};
use crate::dns::zone::Zone;

pub(super) struct View<'a> {
    pub zone: &'a Zone,
    lookup: &'a dyn Lookup,
    own: Names,
    /// Names that other name servers answer for.
    cuts: Vec<DomainName>,
}

impl<'a> View<'a> {
    pub fn new(zone: &'a Zone, lookup: &'a dyn Lookup) -> Self {
        let own = Names::default();
        own.publish("zone", std::slice::from_ref(zone));
        let delegated = zone.of(&RecordType::Ns).filter(|ns| !ns.name.is_apex());
        View {
            zone,
            lookup,
            own,
            cuts: delegated.map(|ns| ns.name.fqdn(&zone.name)).collect(),
        }
    }

    /// Whether the zone itself says what the name holds.
    pub fn is_own(&self, name: &DomainName) -> bool {
        name.is_within(&self.zone.name) && !self.cuts.iter().any(|cut| name.is_within(cut))
    }

    /// The records of a type at a name, aliases followed into the world and back.
    pub async fn ask(&self, name: &DomainName, kind: &RecordType) -> Answer {
        let (name, mut passed) = if self.is_own(name) {
            match self.own.follow(name, kind, |name| self.is_own(name)) {
                Ok(answer) => return answer,
                Err(elsewhere) => elsewhere,
            }
        } else {
            (name.clone(), Vec::new())
        };
        match self.lookup.lookup(&name, kind).await {
            Answer::Found { records, aliases } => {
                passed.extend(aliases);
                Answer::Found {
                    records,
                    aliases: passed,
                }
            }
            answer => answer,
        }
    }

    /// What others say about a name, even one of the zone.
    pub async fn ask_world(&self, name: &DomainName, kind: &RecordType) -> Answer {
        self.lookup.lookup(name, kind).await
    }

    /// The answers to many questions, asked at once, in their order.
    pub async fn ask_all(&self, questions: Vec<(DomainName, RecordType)>) -> Vec<Answer> {
        let asking: FuturesOrdered<_> = questions
            .iter()
            .map(|(name, kind)| self.ask(name, kind))
            .collect();
        asking.collect().await
    }

    /// Whether a host has an address: yes, no, or why it is not known; with what was asked.
    pub async fn has_address(&self, host: &DomainName) -> (Result<bool, String>, Vec<Asked>) {
        let kinds = [RecordType::A, RecordType::Aaaa];
        let questions = kinds.iter().map(|kind| (host.clone(), kind.clone()));
        let answers = self.ask_all(questions.collect()).await;
        let mut asked = Vec::new();
        for (kind, answer) in kinds.iter().zip(&answers) {
            asked.push(told(host, kind, answer));
        }
        let unknown = answers.iter().find_map(|answer| match answer {
            Answer::Unknown(why) => Some(why.clone()),
            _ => None,
        });
        let there = answers.iter().any(|answer| !answer.records().is_empty());
        // A name that is not there has neither, whatever was said about the other.
        let gone = answers.contains(&Answer::NoName);
        match (there, gone, unknown) {
            (true, _, _) => (Ok(true), asked),
            (false, false, Some(why)) => (Err(why), asked),
            _ => (Ok(false), asked),
        }
    }

    /// The records of a type at a name of the zone.
    pub fn set(&self, name: &Owner, kind: &RecordType) -> Vec<&'a Record> {
        let mut records: Vec<_> = self
            .zone
            .records
            .iter()
            .filter(|record| record.name == *name && record.kind == *kind)
            .collect();
        records.sort();
        records
    }
}

/// A question and its answer, for people.
pub(super) fn told(name: &DomainName, kind: &RecordType, answer: &Answer) -> Asked {
    let answer = match answer {
        Answer::Found { records, .. } => {
            let values: Vec<_> = records.iter().map(Record::value).collect();
            values.join(", ")
        }
        Answer::Empty => "no such record".to_owned(),
        Answer::NoName => "no such name".to_owned(),
        Answer::Unknown(why) => format!("not known: {why}"),
    };
    Asked {
        name: name.clone(),
        kind: kind.to_string(),
        answer,
    }
}
