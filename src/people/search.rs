//! From terms to candidates: exact words first, then nicknames, then what may have been misspelled.
//!
//! Each step intersects a few keys per term and stops when there are enough hits, so that a common
//! name that was typed right never pays for the others.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Acquire as _, Row as _};

use super::fold::{LONG, key, name_key, one_slip, two_slips};
use super::index::{array, catch_up, important, initials_key, phone_key};
use super::nicknames;
use super::query::{LONGEST, Term, readings};
use super::rank::{Candidate, Hit, Match, Ranked, Wanted, Way, prefix_points, rank};
use crate::{Error, Result};

/// Rows read of those that have all exact keys, and of those that have others. Each is likely in
/// another block of a table that is larger than the server's buffers: this is what a search costs.
const EQUALS: i64 = 150;
const CANDIDATES: i64 = 400;

/// Rows the ranking looks at per step.
const ROWS: usize = 100;

/// Points from which another word is as good as meant: a nickname, a single slip.
const LIKELY: i32 = 76;

/// Points from which there is somebody who may well be meant, and wilder guesses are not made.
const SURE: i32 = 96;

/// Terms that select candidates; the ranking looks at all.
const SELECTIVE: usize = 4;

/// Most hits of one search.
const MOST: u32 = 100;

/// Find people by a text as a person would name them, the best first.
///
/// Looks into the queue of changed contacts first, so that what the owner just taught is found. Text without
/// a letter or digit finds nobody; an empty or very long text is a mistake in usage.
pub async fn search(conn: &mut PgConnection, text: &str, limit: u32) -> Result<Vec<Hit>> {
    if text.trim().is_empty() {
        return Err(Error::usage("there is nothing to search for")
            .hint("Give a name, a company, an e-mail address or the end of a phone number."));
    }
    if text.chars().count() > LONGEST {
        return Err(
            Error::usage(format!("a search text has at most {LONGEST} characters"))
                .hint("Give a name, a company, an e-mail address or the end of a phone number."),
        );
    }
    let limit = limit.clamp(1, MOST) as usize;
    catch_up(conn).await?;

    // The settings must not outlive the search, even inside a transaction of the caller: nothing
    // is written, so it ends in a rollback, which restores them.
    let mut transaction = conn.begin().await?;
    sqlx::query(PLAN_FOR_INDEXES)
        .execute(&mut *transaction)
        .await?;
    let mut found = Found {
        limit,
        handicap: 0,
        ranked: HashMap::new(),
    };
    for reading in readings(text) {
        answer(&mut transaction, &reading, &mut found).await?;
        // Any other reading is less than what was written.
        found.handicap = 10;
        if found.enough() {
            break;
        }
    }
    transaction.rollback().await?;
    Ok(found.into_hits())
}

/// A plan through the indexes, made once per connection: the planner cannot know that the first
/// hundreds of a common word are enough, and planning anew costs more than the search.
const PLAN_FOR_INDEXES: &str = "select set_config('enable_seqscan', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('effective_io_concurrency', '0', true)";

/// What has been found so far; of two ways to a contact the better counts.
struct Found {
    limit: usize,
    handicap: i32,
    ranked: HashMap<String, Ranked>,
}

impl Found {
    fn add(&mut self, wanted: &[Wanted], rows: Vec<Candidate>) {
        for mut ranked in rows.into_iter().filter_map(|row| rank(wanted, row)) {
            ranked.points -= self.handicap;
            match self.ranked.get_mut(&ranked.candidate.id) {
                Some(had) if had.points >= ranked.points => {}
                Some(had) => *had = ranked,
                None => drop(self.ranked.insert(ranked.candidate.id.clone(), ranked)),
            }
        }
    }

    fn enough(&self) -> bool {
        self.complete() >= self.limit
    }

    fn complete(&self) -> usize {
        self.ranked
            .values()
            .filter(|ranked| ranked.complete)
            .count()
    }

    fn best(&self) -> i32 {
        let complete = self.ranked.values().filter(|ranked| ranked.complete);
        complete.map(|ranked| ranked.points).max().unwrap_or(0)
    }

    fn into_hits(self) -> Vec<Hit> {
        let some_complete = self.complete() > 0;
        let mut ranked: Vec<Ranked> = self
            .ranked
            .into_values()
            .filter(|ranked| ranked.complete || !some_complete && ranked.points > 0)
            .collect();
        ranked.sort_by(Ranked::order);
        ranked.truncate(self.limit);
        ranked.into_iter().map(Ranked::into_hit).collect()
    }
}

/// The steps for one reading of the text.
async fn answer(conn: &mut PgConnection, reading: &[Term], found: &mut Found) -> Result<()> {
    let mut wanted: Vec<Wanted> = reading
        .iter()
        .map(|term| Wanted {
            term: term.clone(),
            others: HashMap::new(),
        })
        .collect();
    let exact: Vec<Keys> = reading.iter().map(exact_keys).collect();
    let all_words =
        reading.iter().all(|term| matches!(term, Term::Word(_))) && reading.len() <= SELECTIVE;

    if all_words {
        let whole = name_key(words(reading));
        found.add(&wanted, named(conn, &[whole]).await?);
        if found.enough() {
            return Ok(());
        }
    }
    let alone = reading.len() == 1;
    if alone {
        sample(conn, true).await?;
    }
    found.add(&wanted, with_keys(conn, &exact, &exact, &wanted).await?);
    if alone {
        sample(conn, false).await?;
    }
    if found.enough() || !reading.iter().any(|term| matches!(term, Term::Word(_))) {
        return Ok(());
    }

    for want in &mut wanted {
        if let Term::Word(word) = &want.term {
            let others = nicknames::others(word).into_iter().take(40);
            want.others.extend(others.map(|other| {
                let points = if other.distant { 80 } else { 88 };
                (
                    other.name,
                    Way {
                        kind: Match::Nickname,
                        points,
                    },
                )
            }));
        }
    }
    if wanted.iter().any(|want| !want.others.is_empty()) {
        step(conn, &wanted, &exact, all_words, found).await?;
        if found.enough() {
            return Ok(());
        }
    }

    consult(conn, &mut wanted, NEAR).await?;
    step(conn, &wanted, &exact, all_words, found).await?;
    if found.best() < SURE {
        found.add(&wanted, loosely(conn, &wanted, &exact, 0).await?);
    }
    if found.best() < LIKELY && consult(conn, &mut wanted, FAR).await? {
        found.add(&wanted, loosely(conn, &wanted, &exact, 0).await?);
    }
    if found.complete() == 0 && wanted.len() > 2 {
        // One word of three or more may be somebody's middle name, town or mistake.
        let loose = loose_keys(&wanted, &exact, 0);
        for left_out in 0..loose.len().min(SELECTIVE) {
            let (mut any, mut sure) = (loose.clone(), exact.clone());
            any.remove(left_out);
            sure.remove(left_out);
            found.add(&wanted, with_keys(conn, &any, &sure, &wanted).await?);
        }
    }
    Ok(())
}

/// Whether a scan for a single very common key may return a sample: a free-mail domain is in every third
/// contact, and collecting them all takes longer than everything else. Never for several keys, since
/// what two samples have in common is nothing.
async fn sample(conn: &mut PgConnection, on: bool) -> Result<()> {
    const LIMIT: &str = "select set_config('gin_fuzzy_search_limit', $1, true)";
    sqlx::query(LIMIT)
        .bind(if on { "2000" } else { "0" })
        .execute(conn)
        .await?;
    Ok(())
}

/// People with a single word or any of the others it leads to, some of each, so that a common word does
/// not hide a rare one.
async fn with_any(conn: &mut PgConnection, want: &Wanted, points: i32) -> Result<Vec<Candidate>> {
    const EACH: &str =
        "select p.contact_id, p.name, p.company, p.emails, p.phones, p.taught, p.importance, p.seen
        from unnest($1::int[]) as asked(key)
        cross join lateral (
            select contact_id, name, company, emails, phones, taught, importance, seen
            from people where keys && array[asked.key] limit 12) p
        where exists (select from contacts c where c.id = p.contact_id and c.deleted_at is null)
        limit 200";
    /// Words that are tried.
    const WORDS: usize = 30;
    let others = want.others.iter().filter(|(_, way)| way.points >= points);
    let mut others: Vec<(i32, &str)> = others
        .map(|(other, way)| (-way.points, other.as_str()))
        .collect();
    others.sort_unstable();
    others.truncate(WORDS);
    let keys: Keys = others.iter().map(|(_, other)| key(&[other])).collect();
    sample(conn, true).await?;
    let rows = sqlx::query(EACH).bind(keys).fetch_all(&mut *conn).await?;
    sample(conn, false).await?;
    rows.iter().map(candidate).collect()
}

/// Candidates for what is wanted or the others it leads to: by whole names first, since those come
/// in the order of importance, then by whatever has the words.
async fn step(
    conn: &mut PgConnection,
    wanted: &[Wanted],
    exact: &[Keys],
    all_words: bool,
    found: &mut Found,
) -> Result<()> {
    if all_words && wanted.len() > 1 {
        found.add(wanted, named(conn, &names(wanted)).await?);
        if found.enough() {
            return Ok(());
        }
    }
    found.add(wanted, loosely(conn, wanted, exact, LIKELY).await?);
    Ok(())
}

/// Candidates that have, of each term, the word or another worth so many points.
async fn loosely(
    conn: &mut PgConnection,
    wanted: &[Wanted],
    exact: &[Keys],
    points: i32,
) -> Result<Vec<Candidate>> {
    if let [want] = wanted {
        return with_any(conn, want, points).await;
    }
    let loose = loose_keys(wanted, exact, points);
    with_keys(conn, &loose, exact, wanted).await
}

/// Keys of which a candidate must have one.
type Keys = Vec<i32>;

fn exact_keys(term: &Term) -> Keys {
    match term {
        Term::Word(word) => {
            let mut keys = vec![key(&[word])];
            if word.chars().count() <= 4 {
                keys.push(initials_key(word));
            }
            keys
        }
        Term::Handle(handle) => vec![key(&[handle])],
        Term::Email { local, domain } => {
            vec![key(&[if local.is_empty() { domain } else { local }])]
        }
        Term::Phone(digits) => phone_key(digits)
            .into_iter()
            .chain([key(&[digits])])
            .collect(),
    }
}

/// The keys of what is wanted and of the others it leads to that are worth at least so many points.
fn loose_keys(wanted: &[Wanted], exact: &[Keys], points: i32) -> Vec<Keys> {
    wanted
        .iter()
        .zip(exact)
        .map(|(want, exact)| {
            let mut keys = exact.clone();
            let others = want.others.iter().filter(|(_, way)| way.points >= points);
            keys.extend(others.map(|(other, _)| key(&[other])));
            if points == 0
                && let Term::Word(word) = &want.term
                && let Some(initial) = word.chars().next()
            {
                keys.push(key(&[initial.encode_utf8(&mut [0; 4])]));
            }
            keys
        })
        .collect()
}

fn words(reading: &[Term]) -> impl Iterator<Item = &str> {
    reading.iter().filter_map(|term| match term {
        Term::Word(word) => Some(word.as_str()),
        _ => None,
    })
}

/// The whole names that may be meant, the likeliest first.
fn names(wanted: &[Wanted]) -> Vec<i32> {
    /// Names per statement; each is one descent of an index.
    const NAMES: usize = 64;
    let each = match wanted.len() {
        2 => 24,
        3 => 10,
        _ => 5,
    };
    let mut names: Vec<(i32, Vec<&str>)> = vec![(0, Vec::new())];
    for want in wanted {
        let Term::Word(word) = &want.term else {
            continue;
        };
        let mut options: Vec<(i32, &str)> = want
            .others
            .iter()
            .map(|(other, way)| (100 - way.points, other.as_str()))
            .collect();
        options.push((0, word));
        options.sort_unstable();
        options.truncate(each);
        names = names
            .iter()
            .flat_map(|(loss, name)| {
                options
                    .iter()
                    .map(move |(more, word)| (loss + more, [&name[..], &[*word]].concat()))
            })
            .collect();
    }
    names.sort_unstable();
    names
        .into_iter()
        .take(NAMES)
        .map(|(_, name)| name_key(name))
        .collect()
}

/// People of these whole names, the important and recent of each.
async fn named(conn: &mut PgConnection, names: &[i32]) -> Result<Vec<Candidate>> {
    const NAMED: &str =
        "select p.contact_id, p.name, p.company, p.emails, p.phones, p.taught, p.importance, p.seen
        from unnest($1::int[]) as asked(name_key)
        cross join lateral (
            select contact_id, name, company, emails, phones, taught, importance, seen
            from people where people.name_key = asked.name_key
            order by importance desc, seen desc nulls last limit $2) p
        where exists (select from contacts c where c.id = p.contact_id and c.deleted_at is null)
        limit 200";
    let each = if names.len() == 1 { ROWS as i64 } else { 20 };
    let rows = sqlx::query(NAMED)
        .bind(names)
        .bind(each)
        .fetch_all(conn)
        .await?;
    rows.iter().map(candidate).collect()
}

/// The statement that finds people with one of the keys of each of so many terms. Of common words it
/// takes the first few hundred rows, and of these the ones with most of the exact keys.
macro_rules! having {
    ($first:literal $(, $more:literal)*; $sure:literal $(, $sures:literal)*; $phones:literal, $cap:literal) => {
        concat!(
            "select p.contact_id, p.name, p.company, p.emails, p.phones, p.taught, p.importance, p.seen
             from (
                select contact_id, name, company, emails, phones, taught, importance, seen
                from (
                    select contact_id, name, company, emails, phones, taught, importance, seen, keys
                    from people where keys && $", $first, $(" and keys && $", $more,)* "
                        and phones like $", $phones, "
                    limit $", $cap, ") first
                order by (keys && $", $sure, ")::int", $(" + (keys && $", $sures, ")::int",)* " desc,
                    importance desc, seen desc nulls last
                limit 100) p
             where exists (select from contacts c where c.id = p.contact_id and c.deleted_at is null)"
        )
    };
}

async fn with_keys(
    conn: &mut PgConnection,
    any: &[Keys],
    sure: &[Keys],
    wanted: &[Wanted],
) -> Result<Vec<Candidate>> {
    // The most selective terms are most likely those with few and exact keys: keep those.
    let mut terms: Vec<(&Keys, &Keys)> = any.iter().zip(sure).collect();
    terms.sort_by_key(|(any, _)| any.len());
    terms.truncate(SELECTIVE);
    let phones = phones_like(wanted);
    // Where all are equally exact, few need to be looked at to fill an answer.
    let cap = if any == sure { EQUALS } else { CANDIDATES };
    let mut rows = having_all(conn, &terms, &phones, cap).await?;
    if rows.len() >= ROWS {
        // There are more than were looked at: the important ones must not be missed.
        let important = vec![important()];
        terms.push((&important, &important));
        rows.extend(having_all(conn, &terms, &phones, cap).await?);
    }
    rows.iter().map(candidate).collect()
}

/// A pattern for the numbers of a candidate: thousands may share the four digits of the key.
fn phones_like(wanted: &[Wanted]) -> String {
    let long = wanted.iter().find_map(|want| match &want.term {
        Term::Phone(digits) if digits.len() > 4 => Some(digits),
        _ => None,
    });
    long.map_or_else(
        || "%".to_owned(),
        |digits| format!("%{}%", &digits[digits.len().saturating_sub(6)..]),
    )
}

async fn having_all(
    conn: &mut PgConnection,
    terms: &[(&Keys, &Keys)],
    phones: &str,
    cap: i64,
) -> Result<Vec<PgRow>> {
    let statement = match terms.len() {
        0 => return Ok(Vec::new()),
        1 => having!("1"; "2"; "3", "4"),
        2 => having!("1", "2"; "3", "4"; "5", "6"),
        3 => having!("1", "2", "3"; "4", "5", "6"; "7", "8"),
        4 => having!("1", "2", "3", "4"; "5", "6", "7", "8"; "9", "10"),
        _ => having!("1", "2", "3", "4", "5"; "6", "7", "8", "9", "10"; "11", "12"),
    };
    let mut query = sqlx::query(statement);
    for (any, _) in terms.iter().take(SELECTIVE + 1) {
        query = query.bind(any);
    }
    for (_, sure) in terms.iter().take(SELECTIVE + 1) {
        query = query.bind(sure);
    }
    Ok(query.bind(phones).bind(cap).fetch_all(conn).await?)
}

fn candidate(row: &PgRow) -> Result<Candidate> {
    Ok(Candidate {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        company: row.try_get(2)?,
        emails: row.try_get(3)?,
        phones: row.try_get(4)?,
        taught: row.try_get(5)?,
        importance: row.try_get(6)?,
        seen: row.try_get(7)?,
    })
}

/// Words one edit away, words that sound alike, and words that begin so.
const NEAR: &str = "select asked.word, other.word, other.weight, other.how
    from unnest($1::text[], $2::text[]) as asked(word, near)
    cross join lateral (
        (select word, weight, 'near' as how from people_words
         where near && asked.near::int[] and levenshtein_less_equal(word, asked.word, 2) <= 2
         order by levenshtein_less_equal(word, asked.word, 3), weight desc limit 40)
        union all
        (select word, weight, 'sound' as how from people_words
         where asked.word ~ '^[a-z]{3,}$' and sounds && array[dmetaphone(asked.word), dmetaphone_alt(asked.word)]
         order by levenshtein_less_equal(word, asked.word, 4), weight desc limit 20)
        union all
        (select word, weight, 'prefix' as how from (
            select word, weight from people_words
            where length(asked.word) >= 3 and word > asked.word collate \"C\"
                and word < (asked.word || chr(1114111)) collate \"C\" limit 2000) longer
         order by weight desc limit 60)
    ) other";

/// Words two edits away, for long words that nothing nearer was found for.
const FAR: &str = "select asked.word, other.word, other.weight, 'near' as how
    from unnest($1::text[], $2::text[]) as asked(word, near)
    cross join lateral (
        select word, weight from people_words
        where near && asked.near::int[] and levenshtein_less_equal(word, asked.word, 4) <= 4
        order by weight desc limit 40
    ) other";

/// Ask the vocabulary what may have been meant; tells whether there was anything to ask.
async fn consult(
    conn: &mut PgConnection,
    wanted: &mut [Wanted],
    statement: &'static str,
) -> Result<bool> {
    let far = statement == FAR;
    let asked: BTreeMap<String, String> = wanted
        .iter()
        .filter_map(|want| match &want.term {
            Term::Word(word) if word.chars().count() >= if far { LONG } else { 2 } => {
                let keys = if far { two_slips(word) } else { one_slip(word) };
                Some((word.clone(), array(&keys)))
            }
            _ => None,
        })
        .collect();
    if asked.is_empty() {
        return Ok(false);
    }
    let (words, near): (Vec<&String>, Vec<&String>) = asked.iter().unzip();
    let rows = sqlx::query(statement)
        .bind(words)
        .bind(near)
        .fetch_all(conn)
        .await?;
    let mut seen = HashSet::new();
    for row in &rows {
        let (asked, other): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let (weight, how): (i32, &str) = (row.try_get(2)?, row.try_get(3)?);
        if asked == other || !seen.insert((asked, other, how)) {
            continue;
        }
        let Some(mut way) = judge(asked, other, how) else {
            continue;
        };
        // Of equally near words the common one is likelier meant.
        way.points += (weight.max(0) as u32 + 1).ilog2().min(9) as i32 / 3;
        for want in wanted
            .iter_mut()
            .filter(|want| want.term == Term::Word(asked.to_owned()))
        {
            let had = want.others.entry(other.to_owned()).or_insert(way);
            if had.points < way.points {
                *had = way;
            }
        }
    }
    Ok(true)
}

/// How near a word of the vocabulary is to the one asked for; `None` when it is another word.
fn judge(asked: &str, other: &str, how: &str) -> Option<Way> {
    let length = asked.chars().count();
    let of = other.chars().count();
    if how == "prefix" {
        return Some(Way {
            kind: Match::Prefix,
            points: prefix_points(length, of),
        });
    }
    let edits = strsim::osa_distance(asked, other);
    let near = match (edits, length.max(of)) {
        (1, 5..) => Some(82),
        (1, 4) => Some(76),
        (1, 3) => Some(70),
        (2, 8..) => Some(70),
        (2, 7) => Some(64),
        _ => None,
    };
    if how == "near" {
        return near.map(|points| Way {
            kind: Match::Misspelling,
            points,
        });
    }
    let alike = 1.0 - edits as f64 / length.max(of) as f64;
    (alike >= 0.4).then_some(Way {
        kind: Match::SoundsLike,
        points: 60 + (18.0 * alike) as i32,
    })
}
