//! A collection as the provider keeps it: the truth, and an index that hears of it later.
//!
//! Seeded records are not stored. They are invented again whenever they are looked at, and only
//! what was changed is kept: once as it is (`live`), once as searches see it (`indexed`). An order
//! is a sorted set of keys, made when somebody first sorts by it and then kept up to date.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::filter::{Datum, Filter};
use super::ids::{self, Kind};

/// What the seeded records follow from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed {
    pub(super) seed: u64,
    pub(super) contacts: u64,
}

/// Something that can be invented, sorted and searched.
pub(super) trait Record: Clone + Sized {
    /// What its ids are made of.
    const KIND: Kind;
    /// The numbers of the seeded records.
    fn numbers(seed: &Seed) -> Box<dyn Iterator<Item = u64> + '_>;
    /// Invents one.
    fn seeded(seed: &Seed, number: u64) -> Option<Self>;
    /// When a seeded one was made and changed, without inventing the rest.
    fn seeded_dates(seed: &Seed, number: u64) -> Option<(i64, i64)>;
    /// Its number.
    fn number(&self) -> u64;
    /// When it was made and changed.
    fn dates(&self) -> (i64, i64);
    /// What these two are called in filters and sorts.
    fn date_fields() -> (&'static str, &'static str);
    /// What it can be sorted by.
    fn sort_fields() -> &'static [&'static str];
    /// Its place in an order.
    fn key(&self, field: &str) -> Key;
    /// Whether free text finds it.
    fn matches_query(&self, words: &str) -> bool;
    /// A field for a filter.
    fn datum(&self, field: &str) -> Datum<'_>;
    /// Whether filters know the field.
    fn knows_field(field: &str) -> bool;
}

/// A value something is sorted by; the missing ones come last, up or down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// Times, flags and amounts.
    Number(i64),
    /// Text.
    Text(Box<str>),
    /// Text, the other way round.
    Reverse(Box<str>),
    /// Nothing.
    Missing,
}

impl Key {
    /// The key of a text that may be missing.
    pub(super) fn text(text: Option<impl AsRef<str>>) -> Key {
        text.map_or(Key::Missing, |text| Key::Text(text.as_ref().into()))
    }

    fn directed(self, descending: bool) -> Key {
        match self {
            Key::Number(number) if descending => Key::Number(-number),
            Key::Text(text) if descending => Key::Reverse(text),
            other => other,
        }
    }

    fn value(&self, descending: bool) -> Value {
        match self {
            Key::Number(number) if descending => Value::from(-number),
            Key::Number(number) => Value::from(*number),
            Key::Text(text) | Key::Reverse(text) => Value::from(&**text),
            Key::Missing => Value::Null,
        }
    }

    fn from_value(value: &Value, descending: bool) -> Option<Key> {
        let key = match value {
            Value::Null => Key::Missing,
            Value::String(text) => Key::Text(text.as_str().into()),
            other => Key::Number(other.as_i64()?),
        };
        Some(key.directed(descending))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        fn rank(key: &Key) -> u8 {
            match key {
                Key::Number(_) => 0,
                Key::Text(_) | Key::Reverse(_) => 1,
                Key::Missing => 2,
            }
        }
        match (self, other) {
            (Key::Number(a), Key::Number(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Reverse(a), Key::Reverse(b)) => b.cmp(a),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

/// One or two fields with their directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sort(pub(super) Vec<(&'static str, bool)>);

impl Sort {
    /// One field; `true` is descending.
    pub(super) fn by(field: &'static str, descending: bool) -> Self {
        Sort(vec![(field, descending)])
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    first: Key,
    second: Key,
    id: [u8; 20],
    number: u64,
}

impl Entry {
    fn of<R: Record>(record: &R, sort: &Sort) -> Entry {
        let mut keys = sort
            .0
            .iter()
            .map(|(field, descending)| record.key(field).directed(*descending));
        Entry {
            first: keys.next().unwrap_or(Key::Missing),
            second: keys.next().unwrap_or(Key::Missing),
            id: ids::encode_bytes(R::KIND, record.number()),
            number: record.number(),
        }
    }

    fn cursor(&self, sort: &Sort) -> Vec<Value> {
        let mut out: Vec<_> = sort
            .0
            .iter()
            .zip([&self.first, &self.second])
            .map(|((_, descending), key)| key.value(*descending))
            .collect();
        out.push(
            self.id
                .iter()
                .map(|byte| char::from(*byte))
                .collect::<String>()
                .into(),
        );
        out
    }

    /// The place right after the row a client names, whether or not the row still exists.
    fn from_cursor(cursor: &[Value], sort: &Sort) -> Option<Entry> {
        let (id, values) = cursor.split_last()?;
        if values.len() != sort.0.len() {
            return None;
        }
        let mut keys = sort
            .0
            .iter()
            .zip(values)
            .map(|((_, descending), value)| Key::from_value(value, *descending));
        Some(Entry {
            first: keys.next()??,
            second: keys.next().unwrap_or(Some(Key::Missing))?,
            id: id.as_str()?.as_bytes().try_into().ok()?,
            number: u64::MAX,
        })
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Start {
    /// So many rows from the beginning.
    Skip(usize),
    /// After this cursor.
    After(Vec<Value>),
}

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) filter: Filter,
    pub(super) query: Option<String>,
    pub(super) sort: Sort,
    pub(super) start: Start,
    pub(super) limit: usize,
}

/// A row of a page and its cursor.
pub(super) type Row<R> = (Arc<R>, Vec<Value>);

/// The cursor is no cursor of this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadCursor;

/// See the module.
pub(super) struct Collection<R> {
    seed: Seed,
    live: HashMap<u64, Option<Arc<R>>>,
    indexed: HashMap<u64, Option<Arc<R>>>,
    pending: VecDeque<(Instant, u64, Option<Arc<R>>)>,
    orders: Vec<(Sort, BTreeSet<Entry>)>,
    totals: HashMap<String, usize>,
}

/// At a million records an order takes about a hundred megabytes.
const ORDERS: usize = 4;

impl<R: Record> Collection<R> {
    pub(super) fn new(seed: Seed) -> Self {
        Collection {
            seed,
            live: HashMap::new(),
            indexed: HashMap::new(),
            pending: VecDeque::new(),
            orders: Vec::new(),
            totals: HashMap::new(),
        }
    }

    /// The record as it is.
    pub(super) fn get(&self, number: u64) -> Option<Arc<R>> {
        match self.live.get(&number) {
            Some(record) => record.clone(),
            None => R::seeded(&self.seed, number).map(Arc::new),
        }
    }

    /// The record of an id.
    pub(super) fn find(&self, id: &str) -> Option<Arc<R>> {
        self.get(ids::decode(R::KIND, id)?)
    }

    /// Puts a record in or replaces it; searches see it after `lag`.
    pub(super) fn put(&mut self, record: R, lag: Duration) -> Arc<R> {
        let record = Arc::new(record);
        let number = record.number();
        self.live.insert(number, Some(record.clone()));
        self.later(lag, number, Some(record.clone()));
        record
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, number: u64, lag: Duration) {
        self.live.insert(number, None);
        self.later(lag, number, None);
    }

    fn later(&mut self, lag: Duration, number: u64, record: Option<Arc<R>>) {
        self.pending
            .push_back((Instant::now() + lag, number, record));
    }

    /// Lets searches see what is due, or everything.
    pub(super) fn settle(&mut self, everything: bool) {
        let now = Instant::now();
        while let Some((due, ..)) = self.pending.front() {
            if *due > now && !everything {
                break;
            }
            if let Some((_, number, record)) = self.pending.pop_front() {
                self.index(number, record);
            }
        }
    }

    fn index(&mut self, number: u64, record: Option<Arc<R>>) {
        self.totals.clear();
        let before = self.seen(number);
        for (sort, order) in &mut self.orders {
            if let Some(before) = &before {
                order.remove(&Entry::of(&**before, sort));
            }
            if let Some(record) = &record {
                order.insert(Entry::of(&**record, sort));
            }
        }
        self.indexed.insert(number, record);
    }

    /// The record as searches see it.
    fn seen(&self, number: u64) -> Option<Arc<R>> {
        match self.indexed.get(&number) {
            Some(record) => record.clone(),
            None => R::seeded(&self.seed, number).map(Arc::new),
        }
    }

    fn seen_dates(&self, number: u64) -> Option<(i64, i64)> {
        match self.indexed.get(&number) {
            Some(record) => record.as_ref().map(|record| record.dates()),
            None => R::seeded_dates(&self.seed, number),
        }
    }

    /// Every number that may be in the index.
    fn numbers(&self) -> impl Iterator<Item = u64> {
        let seed = &self.seed;
        let made = self
            .indexed
            .keys()
            .copied()
            .filter(move |number| R::seeded_dates(seed, *number).is_none());
        R::numbers(seed).chain(made)
    }

    fn order(&mut self, sort: &Sort) -> usize {
        if let Some(at) = self.orders.iter().position(|(known, _)| known == sort) {
            return at;
        }
        let order = self
            .numbers()
            .filter_map(|number| self.seen(number))
            .map(|record| Entry::of(&*record, sort))
            .collect();
        if self.orders.len() == ORDERS {
            self.orders.remove(0);
        }
        self.orders.push((sort.clone(), order));
        self.orders.len() - 1
    }

    fn fits(&self, number: u64, search: &Search, light: bool) -> Option<Arc<R>> {
        if light {
            let (added, updated) = self.seen_dates(number)?;
            let (added_field, updated_field) = R::date_fields();
            let fits = search.filter.matches(&|field| match field {
                field if field == added_field => Datum::Time(added),
                field if field == updated_field => Datum::Time(updated),
                _ => Datum::Nothing,
            });
            return fits.then(|| self.seen(number))?;
        }
        let record = self.seen(number)?;
        let fits = search.filter.matches(&|field| record.datum(field))
            && search
                .query
                .as_deref()
                .is_none_or(|words| record.matches_query(words));
        fits.then_some(record)
    }

    /// Whether the dates alone decide.
    fn is_light(search: &Search) -> bool {
        let (added, updated) = R::date_fields();
        search.query.is_none() && search.filter.only_on(&[added, updated])
    }

    /// How many records fit; counted once per change of the index.
    pub(super) fn total(&mut self, search: &Search) -> usize {
        self.settle(false);
        let name = format!("{:?} {:?}", search.filter, search.query);
        if let Some(total) = self.totals.get(&name) {
            return *total;
        }
        let (added_field, _) = R::date_fields();
        let light = Self::is_light(search);
        let total = self
            .numbers()
            .filter(|number| {
                if !light {
                    return self.fits(*number, search, false).is_some();
                }
                self.seen_dates(*number).is_some_and(|(added, updated)| {
                    search.filter.matches(&|field| {
                        Datum::Time(if field == added_field { added } else { updated })
                    })
                })
            })
            .count();
        self.totals.insert(name, total);
        total
    }

    /// One page.
    pub(super) fn page(&mut self, search: &Search) -> Result<Vec<Row<R>>, BadCursor> {
        self.settle(false);
        let at = self.order(&search.sort);
        let (sort, order) = &self.orders[at];
        let light = Self::is_light(search);
        // A range on the field that is sorted by says where to begin and where to end.
        let (field, descending) = sort.0[0];
        let (low, high) = match search.filter.range_of(field) {
            Some((low, high)) if descending => (high.map(|n| -n), low.map(|n| -n)),
            Some(range) => range,
            None => (None, None),
        };
        let low = low.map(|number| Entry {
            first: Key::Number(number),
            second: Key::Number(i64::MIN),
            id: [0; 20],
            number: 0,
        });
        let (start, skip) = match &search.start {
            Start::Skip(skip) => (low.map_or(Bound::Unbounded, Bound::Included), *skip),
            Start::After(cursor) => {
                let cursor = Entry::from_cursor(cursor, sort).ok_or(BadCursor)?;
                match low {
                    Some(low) if low > cursor => (Bound::Included(low), 0),
                    _ => (Bound::Excluded(cursor), 0),
                }
            }
        };
        let mut rows = Vec::with_capacity(search.limit.min(500));
        let mut skipped = 0;
        for entry in order.range((start, Bound::Unbounded)) {
            if rows.len() == search.limit {
                break;
            }
            if let (Some(high), Key::Number(number)) = (high, &entry.first)
                && *number > high
            {
                break;
            }
            let Some(record) = self.fits(entry.number, search, light) else {
                continue;
            };
            if skipped < skip {
                skipped += 1;
                continue;
            }
            rows.push((record, entry.cursor(sort)));
        }
        Ok(rows)
    }
}
