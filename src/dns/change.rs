//! What lies between two states of a zone, record by record.
//!
//! Whatever makes a change set names the records it removes: those of a file that stands for the whole
//! zone, those of the sets it replaces, or one by one. Nothing else is ever removed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::name::{DomainName, Owner};
use super::record::{Record, RecordType};
use super::zone::Zone;
use crate::error::{Error, Result};

/// What the wanted records stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The whole zone: what is not among them goes. The SOA and the NS of the zone itself are the
    /// provider's and stay as they are.
    Zone,
    /// The whole zone, its SOA and NS included where the wanted records name any.
    ZoneAndAuthority,
    /// Whole sets: of each name and type among them, what is not among them goes.
    Sets,
    /// Themselves: nothing goes.
    Add,
}

/// What happens to a record: it goes, becomes another (or gets another TTL or proxy state), or comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It goes.
    Delete,
    /// It becomes another, or gets another TTL or proxy state.
    Replace,
    /// It comes.
    Add,
}

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happens.
    pub action: Action,
    /// The record as it is; none where it comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Record>,
    /// The record as it will be; none where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Record>,
}

/// By hand, because a record is spelled out once in a schema at most.
impl JsonSchema for Change {
    fn schema_name() -> Cow<'static, str> {
        "Change".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "properties": {
            "action": { "enum": ["delete", "replace", "add"] },
            "before": { "type": "object", "description": "Record" },
            "after": { "type": "object" }
        }})
    }
}

impl Change {
    /// A record that comes.
    pub fn add(record: Record) -> Self {
        Change {
            action: Action::Add,
            before: None,
            // The provider gives it one of its own.
            after: Some(Record { id: None, ..record }),
        }
    }

    /// A record that goes.
    pub fn delete(record: Record) -> Self {
        Change {
            action: Action::Delete,
            before: Some(record),
            after: None,
        }
    }

    /// A record that becomes another. What the other does not say stays as it was.
    pub fn replace(before: Record, after: Record) -> Self {
        Change {
            action: Action::Replace,
            after: Some(after.over(&before)),
            before: Some(before),
        }
    }

    /// Whether what resolvers were told before is told no more.
    pub fn loses(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => !before.says_the_same(after),
            (Some(_), None) => true,
            _ => false,
        }
    }

    /// The record it is about.
    pub fn record(&self) -> Option<&Record> {
        self.after.as_ref().or(self.before.as_ref())
    }

    fn inverse(&self) -> Change {
        match (self.before.clone(), self.after.clone()) {
            (Some(before), None) => Change::add(before),
            (before, after) => Change {
                action: match self.action {
                    Action::Add => Action::Delete,
                    action => action,
                },
                before: after,
                after: before,
            },
        }
    }
}

/// Changes of one zone, in the order zones are shown in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// The zone.
    pub zone: DomainName,
    /// What happens, each record once.
    pub changes: Vec<Change>,
    /// How many records the zone had.
    pub records_before: usize,
    /// [`Zone::fingerprint`] of the zone the changes are made for.
    pub before: String,
    /// What was asked for and is left alone.
    pub warnings: Vec<String>,
}

/// A set of records before and after: what APIs that replace sets are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetChange {
    /// The name.
    pub name: Owner,
    /// The type.
    pub kind: RecordType,
    /// All records of the set, as they are.
    pub before: Vec<Record>,
    /// All records of the set, as they will be; none where the set goes.
    pub after: Vec<Record>,
}

/// How much of a zone may go at once: so many in a hundred, of zones with so many records.
pub const BRAKE: (usize, usize) = (30, 10);

/// The changes that make the zone what is wanted.
///
/// Refused where the zone would hold what no provider takes and did not hold it before: a CNAME beside
/// other data, a record twice.
pub fn diff(current: &Zone, wanted: &[Record], mode: Mode) -> Result<ChangeSet> {
    let authority = |record: &Record| {
        record.kind == RecordType::Soa || record.kind == RecordType::Ns && record.name.is_apex()
    };
    let (mut open, mut known) = (Vec::new(), BTreeSet::new());
    let mut left_out = false;
    for record in wanted {
        if mode == Mode::Zone && authority(record) {
            left_out |= !current.records.iter().any(|there| record.is_met_by(there));
        } else if known.insert((record.set(), record.value_key())) {
            open.push(record);
        }
    }
    let mut warnings = Vec::new();
    if left_out {
        warnings.push(
            "the SOA and the NS of the zone itself are the provider's: those of the file are left out"
                .to_owned(),
        );
    }
    let named: BTreeSet<_> = open.iter().map(|record| record.set()).collect();
    let may_go = |record: &Record| match mode {
        Mode::Add => false,
        Mode::Sets => named.contains(&record.set()),
        Mode::Zone => !authority(record),
        Mode::ZoneAndAuthority => !authority(record) || named.contains(&record.set()),
    };
    let mut left: Sets = current.sets().into_iter().collect();
    let mut changes = Vec::new();
    // What is there already, first as it is wanted, then but for TTL and proxy state.
    open.retain(|wanted| take(&mut left, wanted, |there| wanted.is_met_by(there)).is_none());
    open.retain(|wanted| {
        let Some(there) = take(&mut left, wanted, |there| wanted.says_the_same(there)) else {
            return true;
        };
        changes.push(Change::replace(there.clone(), (*wanted).clone()));
        false
    });
    // What goes makes place for what comes under the same name and type.
    for wanted in open {
        changes.push(match take(&mut left, wanted, may_go) {
            Some(there) => Change::replace(there.clone(), wanted.clone()),
            None => Change::add(wanted.clone()),
        });
    }
    let gone = left.into_values().flatten().filter(|record| may_go(record));
    changes.extend(gone.cloned().map(Change::delete));
    ChangeSet::new(current, changes, warnings)
}

type Sets<'a> = BTreeMap<(&'a Owner, &'a RecordType), Vec<&'a Record>>;

/// Takes the first record of a set that fits.
fn take<'a>(
    left: &mut Sets<'a>,
    wanted: &'a Record,
    fits: impl Fn(&Record) -> bool,
) -> Option<&'a Record> {
    let records = left.get_mut(&wanted.set())?;
    let place = records.iter().position(|record| fits(record))?;
    Some(records.remove(place))
}

/// The changes that remove a set, or one value of it. There must be something to remove.
pub fn remove(
    current: &Zone,
    name: &Owner,
    kind: &RecordType,
    value: Option<&Record>,
) -> Result<ChangeSet> {
    let set: Vec<_> = current.set(name, kind).collect();
    let gone: Vec<_> = set
        .iter()
        .filter(|record| value.is_none_or(|value| value.says_the_same(record)))
        .map(|record| Change::delete((*record).clone()))
        .collect();
    if gone.is_empty() {
        let what = match value {
            Some(value) => format!("no record `{value}` in `{}`", current.name),
            None => format!("no record `{name} {kind}` in `{}`", current.name),
        };
        let there: Vec<_> = if set.is_empty() {
            let mut kinds: Vec<_> = current
                .at(name)
                .map(|record| format!("`{name} {}`", record.kind))
                .collect();
            kinds.sort();
            kinds.dedup();
            kinds
        } else {
            set.iter().map(|record| format!("`{record}`")).collect()
        };
        let hint = if there.is_empty() {
            match near(current, name) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("The zone has nothing under `{name}`."),
            }
        } else {
            format!("There is {}.", there.join(", "))
        };
        return Err(Error::not_found(what).hint(hint));
    }
    ChangeSet::new(current, gone, Vec::new())
}

/// The name of the zone that is most like one it does not have.
fn near<'a>(zone: &'a Zone, name: &Owner) -> Option<&'a Owner> {
    zone.records
        .iter()
        .map(|record| {
            (
                strsim::jaro_winkler(record.name.as_str(), name.as_str()),
                &record.name,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, near)| near)
}

impl ChangeSet {
    /// These changes of a zone.
    pub fn of(current: &Zone, changes: Vec<Change>) -> Result<Self> {
        ChangeSet::new(current, changes, Vec::new())
    }

    fn new(current: &Zone, mut changes: Vec<Change>, warnings: Vec<String>) -> Result<Self> {
        changes.sort_by(|a, b| {
            (a.record(), a.action, &a.before).cmp(&(b.record(), b.action, &b.before))
        });
        let set = ChangeSet {
            zone: current.name.clone(),
            changes,
            records_before: current.records.len(),
            before: current.fingerprint(),
            warnings,
        };
        let known: Vec<_> = current.check().iter().map(Error::to_string).collect();
        let problems = set.apply(current)?.check();
        match problems
            .into_iter()
            .find(|problem| !known.contains(&problem.to_string()))
        {
            Some(problem) => Err(problem),
            None => Ok(set),
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many records come, change and go.
    pub fn counts(&self) -> (usize, usize, usize) {
        let of = |action| self.changes.iter().filter(|c| c.action == action).count();
        (of(Action::Add), of(Action::Replace), of(Action::Delete))
    }

    /// The zone as it is after the changes. Refused where a record that goes is not there: the zone
    /// moved on since.
    pub fn apply(&self, zone: &Zone) -> Result<Zone> {
        let mut places: HashMap<_, Vec<usize>> = HashMap::new();
        for (place, record) in zone.records.iter().enumerate() {
            let key = (record.set(), record.value_key());
            places.entry(key).or_default().push(place);
        }
        let mut gone = BTreeSet::new();
        for before in self.changes.iter().filter_map(|c| c.before.as_ref()) {
            let is_it = |place: &usize| {
                let record = &zone.records[*place];
                record.ttl == before.ttl
                    && record.proxied == before.proxied
                    && (record.id == before.id || record.id.is_none() || before.id.is_none())
            };
            let alike = places.get_mut(&(before.set(), before.value_key()));
            let place = alike.and_then(|alike| {
                let place = alike.iter().position(is_it)?;
                Some(alike.remove(place))
            });
            let Some(place) = place else {
                return Err(Error::conflict(format!(
                    "`{before}` is not in `{}` any more",
                    zone.name
                ))
                .hint("The zone was changed since; make the plan again."));
            };
            gone.insert(place);
        }
        let stays = (0..).zip(&zone.records).filter(|(i, _)| !gone.contains(i));
        let comes = self.changes.iter().filter_map(|c| c.after.clone());
        Ok(Zone {
            records: stays
                .map(|(_, record)| record.clone())
                .chain(comes)
                .collect(),
            ..zone.clone()
        })
    }

    /// The changes that lead back, for the zone as these leave it.
    pub fn inverse(&self, zone: &Zone) -> Result<ChangeSet> {
        let after = self.apply(zone)?;
        Ok(ChangeSet {
            zone: self.zone.clone(),
            changes: self.changes.iter().map(Change::inverse).collect(),
            records_before: after.records.len(),
            before: after.fingerprint(),
            warnings: Vec::new(),
        })
    }

    /// Refuses to remove more than 30 % of a zone of 10 or more records at once. A record whose value
    /// is replaced counts.
    pub fn brake(&self) -> Result<()> {
        let (percent, least) = BRAKE;
        let lost = self.changes.iter().filter(|change| change.loses()).count();
        if self.records_before < least || lost * 100 <= self.records_before * percent {
            return Ok(());
        }
        Err(Error::refused(format!(
            "{lost} of the {} records of `{}` would go, more than {percent} %",
            self.records_before, self.zone
        ))
        .hint("Is it the right file, and the whole of it? `--force` does it all the same.")
        .details(json!({ "records": self.records_before, "lost": lost })))
    }

    /// Every set that changes, whole: emptied ones first, so that a CNAME makes place for what comes.
    pub fn sets(&self, zone: &Zone) -> Result<Vec<SetChange>> {
        let after = self.apply(zone)?;
        let touched: BTreeSet<_> = self
            .changes
            .iter()
            .flat_map(|change| [&change.before, &change.after])
            .flatten()
            .map(Record::set)
            .collect();
        let mut sets: Vec<_> = touched
            .into_iter()
            .map(|(name, kind)| {
                let all = |zone: &Zone| {
                    let mut records: Vec<_> = zone.set(name, kind).cloned().collect();
                    records.sort();
                    records
                };
                SetChange {
                    name: name.clone(),
                    kind: kind.clone(),
                    before: all(zone),
                    after: all(&after),
                }
            })
            .collect();
        sets.sort_by_key(|set| !set.after.is_empty());
        Ok(sets)
    }

    /// What an approval is bound to: the zone it was made for and every change, in any spelling.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        };
        add(self.zone.as_str());
        add(&self.before);
        for change in &self.changes {
            add(&format!("{:?}", change.action));
            for record in [&change.before, &change.after] {
                add(&record.as_ref().map(Record::line).unwrap_or_default());
            }
        }
        hex(&hash.finalize())
    }
}

impl Zone {
    /// The same for zones with the same records, whatever their order, spelling and ids.
    pub fn fingerprint(&self) -> String {
        let mut lines: Vec<_> = self.records.iter().map(Record::line).collect();
        lines.sort();
        let mut hash = Sha256::new();
        for text in std::iter::once(self.name.to_string()).chain(lines) {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        hex(&hash.finalize())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
