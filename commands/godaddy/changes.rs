//! Changes of a zone, record by record, through an API that replaces sets.
//!
//! What others wrote is sent back as it came: only records that a change names are made anew. A set
//! is known by the provider's own name for it, under which several services (SRV) may stand together.

use std::collections::BTreeMap;
use std::time::Duration;

use medtainer_core::context::Context;
use medtainer_core::dns::{Change, ChangeSet, DomainName, Record, RecordType, Ttl, Zone};
use medtainer_core::http::{Method, Request};
use medtainer_core::writes::{Check, Expect, Inverse, Plan, Snapshot, Step, Target};
use medtainer_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::store::{self, Kept};
use super::types::Wire;
use super::{GODADDY, api, domain, names, zone};

/// Under which name snapshots of zones are kept.
pub const SNAPSHOTS: &str = "godaddy.zone";

/// The TTL of a record nobody gave one.
const USUAL_TTL: u32 = 3_600;

/// The types GoDaddy takes.
const TYPES: [&str; 8] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];

/// Of these, what its API can take away altogether.
const DELETABLE: [&str; 6] = ["A", "AAAA", "CNAME", "MX", "SRV", "TXT"];

/// What tells one record of a zone from another.
const FIELDS: [&str; 9] = [
    "type", "name", "data", "ttl", "priority", "weight", "port", "service", "protocol",
];

/// How long a look waits for a change to show.
const SHOWS: Duration = Duration::from_secs(30);

/// A zone as it is now, and what a plan needs to know of it.
#[derive(Debug)]
pub struct Live {
    /// The domain.
    pub name: DomainName,
    wires: Vec<Wire>,
    /// In the form all providers share.
    pub zone: Zone,
    authoritative: Option<bool>,
    servers: Vec<String>,
}

impl Live {
    /// Asks GoDaddy; a plan is never made from the cache.
    pub async fn read(cx: &Context, text: &str) -> Result<Live> {
        if cx.is_offline() {
            return Err(Error::usage("a zone cannot be changed offline")
                .hint("Leave out `--offline`: a change is made for the zone as it is now."));
        }
        let (name, kept) = names::find(cx, text).await?;
        domain::fetch(cx, &name).await?;
        zone::fetch(cx, &name).await?;
        let (kept, wires) = {
            let mut conn = cx.db().await?;
            let kept = store::domain(&mut conn, name.as_str())
                .await?
                .unwrap_or(kept);
            (kept, store::zone(&mut conn, &name).await?)
        };
        if kept.has_zone == Some(false) {
            return Err(
                Error::not_found(format!("GoDaddy keeps no zone for `{name}`")).hint(format!(
                    "Its name servers are {}: change the records there.",
                    kept.name_servers.unwrap_or_default().join(", ")
                )),
            );
        }
        Ok(Live::of(name, &kept, wires))
    }

    fn of(name: DomainName, kept: &Kept, wires: Vec<Wire>) -> Live {
        Live {
            zone: zone::whole(&name, kept, &wires),
            authoritative: zone::authoritative(kept),
            servers: kept.name_servers.clone().unwrap_or_default(),
            name,
            wires,
        }
    }

    /// The TTL of a new record: as the others of its set, else the usual one.
    pub fn ttl(&self, record: &Record) -> Ttl {
        let mut set = self.zone.set(&record.name, &record.kind);
        let there = set.find_map(|record| record.ttl);
        there.unwrap_or(Ttl::Seconds(USUAL_TTL))
    }

    /// Whether the record is GoDaddy's to say: the SOA, and the name servers of the zone itself.
    pub fn is_managed(&self, record: &Record) -> bool {
        record.kind == RecordType::Soa || record.kind == RecordType::Ns && record.name.is_apex()
    }

    /// What makes these changes. `force` lifts the brake, and lets a zone be changed that nobody sees.
    pub fn plan(&self, title: impl Into<String>, set: &ChangeSet, force: bool) -> Result<Plan> {
        if !force {
            set.brake()?;
        }
        for change in &set.changes {
            self.check(change)?;
        }
        let after = self.after(set)?;
        let target = Target {
            kind: "zone".to_owned(),
            id: self.name.to_string(),
            name: self.name.unicode(),
        };
        let mut plan = Plan::new(&GODADDY, title, target);
        plan.warnings.clone_from(&set.warnings);
        self.check_seen(&mut plan, force)?;
        for change in &set.changes {
            plan = shown(plan, change);
        }
        let (before, mut sets) = (sets(&self.wires), Vec::new());
        let wanted = self::sets(&after);
        for (key, old) in &before {
            let new = wanted.get(key).map_or(&[][..], Vec::as_slice);
            if !same(old, new) {
                sets.push((*key, old.as_slice(), new));
            }
        }
        for (key, new) in &wanted {
            if !before.contains_key(key) {
                sets.push((*key, &[][..], new.as_slice()));
            }
        }
        // Emptied ones first: a CNAME makes place for what comes.
        sets.sort_by_key(|(_, _, new)| !new.is_empty());
        for (key, old, new) in &sets {
            plan = plan.step(self.step(*key, old, new)?);
        }
        if sets.is_empty() {
            return Ok(plan);
        }
        let one_page = self.wires.len().max(after.len()) < api::RECORDS;
        if one_page {
            let all = |wires: &[Wire]| expect(wires.iter());
            plan = plan
                .before(self.look("the zone is as it was", None, all(&self.wires))?)
                .after(
                    self.look("the whole zone is as planned", None, all(&after))?
                        .within(SHOWS),
                );
        } else {
            for (key, old, new) in &sets {
                let what = named(*key);
                let was = format!("{what} is as it was");
                let is = format!("{what} is as planned");
                plan = plan
                    .before(self.look(was, Some(*key), expect(old.iter().copied()))?)
                    .after(
                        self.look(is, Some(*key), expect(new.iter().copied()))?
                            .within(SHOWS),
                    );
            }
        }
        let records: Vec<_> = self.wires.iter().map(|wire| &wire.body).collect();
        plan.snapshot = Some(Snapshot {
            collection: SNAPSHOTS.to_owned(),
            key: self.name.to_string(),
            data: json!(records),
        });
        let lasting = |step: &Step| matches!(step.inverse, Inverse::Impossible);
        if plan.steps.iter().any(lasting) {
            plan.irreversible = Some(
                "GoDaddy's API cannot take away the last record of a CAA or NS set".to_owned(),
            );
        }
        Ok(plan.touches("godaddy.zones"))
    }

    /// A zone that others answer for is changed in vain.
    fn check_seen(&self, plan: &mut Plan, force: bool) -> Result<()> {
        if self.authoritative == Some(true) {
            return Ok(());
        }
        let who = match self.servers.as_slice() {
            [] => "its name servers are not known".to_owned(),
            servers => format!("{} answer for it", servers.join(", ")),
        };
        let name = &self.name;
        if self.authoritative == Some(false) && !force {
            return Err(Error::refused(format!(
                "GoDaddy is not authoritative for `{name}`: {who}, so a change here has no effect"
            ))
            .hint("Change the records where they are kept; `--force` does it here all the same."));
        }
        plan.warnings.push(format!(
            "GoDaddy may not be authoritative for `{name}`: {who}"
        ));
        Ok(())
    }

    /// Whether the API can do that to the record.
    fn check(&self, change: &Change) -> Result<()> {
        for record in [&change.before, &change.after].into_iter().flatten() {
            let kind = record.kind.as_str();
            if self.is_managed(record) {
                return Err(Error::refused(format!(
                    "the {kind} record of `{}` itself is managed by GoDaddy",
                    self.name
                ))
                .hint("Name servers are changed for the domain, not in its zone."));
            }
            if !TYPES.contains(&kind) {
                return Err(
                    Error::usage(format!("GoDaddy takes no records of type {kind}"))
                        .hint(format!("It takes {}.", TYPES.join(", "))),
                );
            }
        }
        Ok(())
    }

    /// The provider's records after the changes.
    fn after(&self, set: &ChangeSet) -> Result<Vec<Wire>> {
        let mut wires = self.wires.clone();
        for before in set.changes.iter().filter_map(|c| c.before.as_ref()) {
            let place = wires.iter().position(|wire| {
                wire.record.says_the_same(before) && wire.record.ttl == before.ttl
            });
            let Some(place) = place else {
                return Err(Error::conflict(format!(
                    "`{before}` is not in `{}` any more",
                    self.name
                )));
            };
            wires.remove(place);
        }
        for after in set.changes.iter().filter_map(|c| c.after.as_ref()) {
            wires.push(self.made(after)?);
        }
        Ok(wires)
    }

    /// A record as GoDaddy writes it.
    fn made(&self, record: &Record) -> Result<Wire> {
        let Some(Ttl::Seconds(ttl)) = record.ttl.or_else(|| Some(self.ttl(record))) else {
            return Err(Error::usage("there is no automatic TTL at GoDaddy"));
        };
        let target = |data: &str| {
            if data == self.name.as_str() {
                "@".to_owned()
            } else {
                data.to_owned()
            }
        };
        let points =
            record.kind.is_name() || matches!(record.kind, RecordType::Mx | RecordType::Srv);
        let data = if points {
            target(&record.data)
        } else {
            record.data.clone()
        };
        let mut body = Map::new();
        body.insert("data".into(), data.into());
        let mut name = record.name.to_string();
        if record.kind == RecordType::Srv {
            let (service, protocol, below) = service(&name)?;
            body.insert("service".into(), service.into());
            body.insert("protocol".into(), protocol.into());
            // Some zones have the service in the name as well; a new one stands like the others.
            let whole = |wire: &Wire| wire.kind == "SRV" && wire.name.starts_with('_');
            if !self.wires.iter().any(whole) {
                name = below;
            }
        }
        body.insert("name".into(), name.into());
        let numbers = [
            ("port", record.port),
            ("priority", record.priority),
            ("weight", record.weight),
        ];
        for (field, number) in numbers {
            if let Some(number) = number {
                body.insert(field.into(), number.into());
            }
        }
        body.insert("ttl".into(), ttl.into());
        body.insert("type".into(), record.kind.as_str().into());
        Wire::read(body, &self.name)
            .ok_or_else(|| Error::internal(format!("`{record}` cannot be written for GoDaddy")))
    }

    fn step(&self, key: Key<'_>, old: &[&Wire], new: &[&Wire]) -> Result<Step> {
        let what = named(key);
        let (does, request) = match new {
            [] => (format!("remove {what}"), self.remove(key)?),
            [_] => (format!("set {what}"), self.replace(key, new)?),
            many => (
                format!("set {what} to {} values", many.len()),
                self.replace(key, new)?,
            ),
        };
        let request = request.ok_or_else(|| {
            Error::refused(format!("GoDaddy's API cannot take {what} away"))
                .hint("Remove it on GoDaddy's website, or leave one record of the set.")
        })?;
        let is = format!("{what} is as planned");
        let step = Step::new(does, request).then(
            self.look(is, Some(key), expect(new.iter().copied()))?
                .within(SHOWS),
        );
        let back = match old {
            [] => self.remove(key)?,
            old => self.replace(key, old)?,
        };
        Ok(match back {
            Some(request) => step.undone_by(format!("put {what} back as it was"), request),
            None => step,
        })
    }

    /// The request that makes a set these records.
    fn replace(&self, (kind, name): Key<'_>, wires: &[&Wire]) -> Result<Option<Request>> {
        let rows: Vec<Map<String, Value>> = wires
            .iter()
            .map(|wire| {
                let fields = wire.body.iter();
                fields
                    .filter(|(field, _)| !matches!(field.as_str(), "type" | "name"))
                    .map(|(field, value)| (field.clone(), value.clone()))
                    .collect()
            })
            .collect();
        api::set(Method::Put, &self.name, kind, name)?
            .json(&rows)
            .map(Some)
    }

    /// The request that removes a set; none where the API has none.
    fn remove(&self, (kind, name): Key<'_>) -> Result<Option<Request>> {
        if !DELETABLE.contains(&kind) {
            return Ok(None);
        }
        api::set(Method::Delete, &self.name, kind, name).map(Some)
    }

    /// A look at a set, or at the whole zone.
    fn look(&self, says: impl Into<String>, set: Option<Key<'_>>, expect: Expect) -> Result<Check> {
        let request = match set {
            Some((kind, name)) => api::set(Method::Get, &self.name, kind, name)?,
            None => api::records(&self.name, None)?,
        };
        Ok(Check::ask(says, request, expect))
    }
}

/// Type and name of a set, as the provider has them.
type Key<'a> = (&'a str, &'a str);

fn named((kind, name): Key<'_>) -> String {
    format!("{name} {kind}")
}

fn sets(wires: &[Wire]) -> BTreeMap<Key<'_>, Vec<&Wire>> {
    let mut sets: BTreeMap<Key<'_>, Vec<&Wire>> = BTreeMap::new();
    for wire in wires {
        sets.entry((&wire.kind, &wire.name)).or_default().push(wire);
    }
    sets
}

/// Whether both are the same records, in whatever order.
fn same(old: &[&Wire], new: &[&Wire]) -> bool {
    let keys = |wires: &[&Wire]| {
        let mut keys: Vec<String> = wires
            .iter()
            .map(|wire| json!(told(wire)).to_string())
            .collect();
        keys.sort();
        keys
    };
    keys(old) == keys(new)
}

fn expect<'a>(wires: impl Iterator<Item = &'a Wire>) -> Expect {
    Expect::Set {
        list: String::new(),
        fields: FIELDS.map(str::to_owned).to_vec(),
        items: wires.map(told).collect(),
    }
}

/// What tells the record from others.
fn told(wire: &Wire) -> Map<String, Value> {
    let fields = FIELDS.iter();
    fields
        .filter_map(|field| Some(((*field).to_owned(), wire.body.get(*field)?.clone())))
        .collect()
}

/// `_sip._tcp.eu` is the service `_sip` over `_tcp` at `eu`.
fn service(name: &str) -> Result<(String, String, String)> {
    let mut labels = name.splitn(3, '.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some(service), Some(protocol), below)
            if service.starts_with('_') && protocol.starts_with('_') =>
        {
            let below = below.unwrap_or("@").to_owned();
            Ok((service.to_owned(), protocol.to_owned(), below))
        }
        _ => Err(Error::usage(format!(
            "`{name}` names no service, as an SRV record has to"
        ))
        .hint("Write the service and the protocol first, such as `_sip._tcp`.")),
    }
}

/// A difference, as a person reads it.
fn shown(plan: Plan, change: &Change) -> Plan {
    let value = |record: &Option<Record>| match record {
        Some(record) => {
            let ttl = record.ttl.unwrap_or(Ttl::Seconds(USUAL_TTL));
            Value::from(format!("{} (ttl {ttl})", record.value()))
        }
        None => Value::Null,
    };
    let what = change
        .record()
        .map(|record| format!("{} {}", names::shown(record.name.as_str()), record.kind))
        .unwrap_or_default();
    plan.change(what, value(&change.before), value(&change.after))
}

/// Several change sets of one zone as one.
pub fn together(parts: Vec<ChangeSet>) -> Option<ChangeSet> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next()?;
    for change in parts.flat_map(|part| part.changes) {
        if !whole.changes.contains(&change) {
            whole.changes.push(change);
        }
    }
    Some(whole)
}

#[cfg(test)]
mod tests;
