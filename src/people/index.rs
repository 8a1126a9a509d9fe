//! What a contact is filed under, written in the transaction that writes the contact.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Acquire as _, Row as _};

use super::Person;
use super::fold::{digits, fold, key, name_key, near_keys, words};
use crate::Result;

/// Contacts per statement: more gains little and costs memory.
const BATCH: usize = 500;

/// Titles and generations are not what distinguishes a whole name from another.
const TITLES: [&str; 14] = [
    "mr", "mrs", "ms", "miss", "dr", "prof", "sir", "jr", "sr", "ii", "iii", "herr", "frau", "dipl",
];

/// Tell the database that this transaction indexes the contacts it writes, so that its triggers need not
/// put each of them in the queue. Lasts until the transaction ends.
pub async fn indexes_its_pages(conn: &mut PgConnection) -> Result<()> {
    const ANNOUNCE: &str = "select set_config('medtainer.indexes', 'on', true)";
    sqlx::query(ANNOUNCE).execute(conn).await?;
    Ok(())
}

/// File people, inside the transaction that writes their contacts (which must be written first).
///
/// Replaces what the index had for these ids; filing the same again writes nothing.
pub async fn index(conn: &mut PgConnection, people: &[Person<'_>]) -> Result<()> {
    for page in people.chunks(BATCH) {
        index_page(conn, page).await?;
    }
    Ok(())
}

/// File people whose contacts are new and being written on another connection, which commits after this
/// one: entries of contacts that are not there are not found by anybody. False, and nothing filed, when one
/// of them is in the queue: whoever works at that would take a contact it cannot see yet for gone.
pub async fn index_ahead(conn: &mut PgConnection, people: &[Person<'_>]) -> Result<bool> {
    const QUEUED: &str = "select exists (select from people_stale where contact_id = any($1))";
    let ids: Vec<&str> = people.iter().map(|person| person.id).collect();
    let queued: bool = sqlx::query_scalar(QUEUED)
        .bind(ids)
        .fetch_one(&mut *conn)
        .await?;
    if !queued {
        index(conn, people).await?;
    }
    Ok(!queued)
}

/// Forget people, inside the transaction that deletes or tombstones their contacts.
pub async fn remove(conn: &mut PgConnection, ids: &[String]) -> Result<()> {
    const DELETE: &str = "delete from people where contact_id = any($1)";
    sqlx::query(FRESH).bind(ids).execute(&mut *conn).await?;
    sqlx::query(DELETE).bind(ids).execute(conn).await?;
    Ok(())
}

/// File everything that was changed by somebody else than a sync: the owner's context, an adopted
/// database, a hand in psql. Costs one look at an empty table when there is nothing to do.
///
/// Returns how many contacts were looked at. Runs a transaction per batch, or inside the one it is given.
pub async fn catch_up(conn: &mut PgConnection) -> Result<u64> {
    const QUEUE: &str = "select contact_id from people_stale order by contact_id limit $1";
    let mut done = 0;
    loop {
        let ids: Vec<String> = sqlx::query_scalar(QUEUE)
            .bind(BATCH as i64)
            .fetch_all(&mut *conn)
            .await?;
        if ids.is_empty() {
            if done > BATCH as u64 {
                settle(conn).await?;
            }
            return Ok(done);
        }
        let mut transaction = conn.begin().await?;
        catch_up_page(&mut transaction, &ids).await?;
        transaction.commit().await?;
        done += ids.len() as u64;
    }
}

/// Merge what many pages have left in the waiting lists of the indexes, for the end of a sync. Takes some
/// tens of milliseconds.
pub async fn settle(conn: &mut PgConnection) -> Result<()> {
    // A first sync builds the first of them at its end: until then there may be none.
    const MERGE: &str = "select gin_clean_pending_list(to_regclass('people_keys'))
        + gin_clean_pending_list('people_words_near'::regclass)";
    sqlx::query(MERGE).execute(conn).await?;
    Ok(())
}

/// Rows leave the queue before their sources are read: what changes later queues again. A row somebody
/// else is working on is left to them.
const FRESH: &str = "delete from people_stale where contact_id in (
    select contact_id from people_stale where contact_id = any($1) for update skip locked)";

async fn catch_up_page(conn: &mut PgConnection, ids: &[String]) -> Result<()> {
    // Contacts are locked before the queue, as their writers do, or the two would wait for each other.
    const CONTACTS: &str = "select id,
            coalesce(first_name, data->>'firstName', data->>'first_name') as first,
            coalesce(last_name, data->>'lastName', data->>'last_name') as last,
            coalesce(name, data->>'name', data->>'fullName', data->>'full_name', data->>'contactName') as full_name,
            coalesce(company, data->>'companyName', data->>'company_name', data->>'company',
                data->>'businessName') as company,
            coalesce(email, data->>'email') as email,
            coalesce(phone, data->>'phone') as phone,
            data->'additionalEmails' as emails,
            data->'additionalPhones' as phones,
            coalesce(updated_at, created_at) as changed
        from contacts where id = any($1) and deleted_at is null
        order by id for share";
    const TAKE: &str = "delete from people_stale where contact_id = any($1)";

    let rows = sqlx::query(CONTACTS)
        .bind(ids)
        .fetch_all(&mut *conn)
        .await?;
    sqlx::query(TAKE).bind(ids).execute(&mut *conn).await?;

    let mut contacts = Vec::with_capacity(rows.len());
    for row in &rows {
        let emails = row
            .try_get::<Option<Value>, _>("emails")?
            .map(|v| strings(&v))
            .unwrap_or_default();
        let phones = row
            .try_get::<Option<Value>, _>("phones")?
            .map(|v| strings(&v))
            .unwrap_or_default();
        contacts.push((row, emails, phones));
    }
    let people = contacts
        .iter()
        .map(|(row, emails, phones)| {
            Ok(Person {
                id: row.try_get("id")?,
                first: row.try_get("first")?,
                last: row.try_get("last")?,
                full_name: row.try_get("full_name")?,
                company: row.try_get("company")?,
                emails: row
                    .try_get::<Option<&str>, _>("email")?
                    .into_iter()
                    .chain(emails.iter().map(String::as_str))
                    .collect(),
                phones: row
                    .try_get::<Option<&str>, _>("phone")?
                    .into_iter()
                    .chain(phones.iter().map(String::as_str))
                    .collect(),
                changed: row.try_get("changed")?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    index(conn, &people).await?;

    let kept: BTreeSet<&str> = people.iter().map(|person| person.id).collect();
    let gone: Vec<String> = ids
        .iter()
        .filter(|id| !kept.contains(id.as_str()))
        .cloned()
        .collect();
    if !gone.is_empty() {
        remove(conn, &gone).await?;
    }
    Ok(())
}

/// Every text inside a list that may hold texts or objects around them.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// What the owner knows about a contact.
#[derive(Default)]
struct Taught {
    names: Vec<String>,
    importance: i32,
    interaction: Option<DateTime<Utc>>,
}

async fn taught(conn: &mut PgConnection, ids: &[&str]) -> Result<HashMap<String, Taught>> {
    const CONTEXT: &str =
        "select contact_id, nicknames || aliases as names, importance, last_interaction
        from contact_context where contact_id = any($1)";
    let mut taught: HashMap<String, Taught> = HashMap::new();
    for row in sqlx::query(CONTEXT).bind(ids).fetch_all(conn).await? {
        let of = taught.entry(row.try_get("contact_id")?).or_default();
        let names: Option<Vec<Option<String>>> = row.try_get("names")?;
        of.names.extend(names.into_iter().flatten().flatten());
        of.importance = of
            .importance
            .max(row.try_get::<Option<i32>, _>("importance")?.unwrap_or(0));
        of.interaction = of.interaction.max(row.try_get("last_interaction")?);
    }
    Ok(taught)
}

/// The columns of `people`, one vector each, as `unnest` takes them.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<&'a str>,
    names: Vec<String>,
    companies: Vec<String>,
    emails: Vec<String>,
    phones: Vec<String>,
    taught: Vec<String>,
    name_keys: Vec<i32>,
    keys: Vec<String>,
    importances: Vec<i32>,
    seen: Vec<Option<DateTime<Utc>>>,
    /// Words for the vocabulary, and how often the sampled contacts have them.
    words: BTreeMap<String, i32>,
}

impl Columns<'_> {
    async fn write(&self, conn: &mut PgConnection, statement: &'static str) -> Result<()> {
        sqlx::query(statement)
            .bind(&self.ids)
            .bind(&self.names)
            .bind(&self.companies)
            .bind(&self.emails)
            .bind(&self.phones)
            .bind(&self.taught)
            .bind(&self.name_keys)
            .bind(&self.keys)
            .bind(&self.importances)
            .bind(&self.seen)
            .execute(conn)
            .await?;
        Ok(())
    }
}

async fn index_page(conn: &mut PgConnection, people: &[Person<'_>]) -> Result<()> {
    // Inserting on conflict costs a third more than inserting, and the first sync only inserts. The
    // contacts are written in this transaction, so nobody else can be filing them.
    const KNOWN: &str =
        "select contact_id from people where contact_id = any($1) order by contact_id for update";
    const UPDATE: &str = "update people p set
            name = new.name, company = new.company, emails = new.emails, phones = new.phones,
            taught = new.taught, name_key = new.name_key, keys = new.keys::int[],
            importance = new.importance, seen = new.seen
        from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
            $8::text[], $9::int[], $10::timestamptz[])
            as new(id, name, company, emails, phones, taught, name_key, keys, importance, seen)
        where p.contact_id = new.id
            and (p.name, p.company, p.emails, p.phones, p.taught, p.keys, p.importance, p.seen) is distinct from
                (new.name, new.company, new.emails, new.phones, new.taught, new.keys::int[], new.importance, new.seen)";
    const INSERT: &str = "insert into people
            (contact_id, name, company, emails, phones, taught, name_key, keys, importance, seen)
        select id, name, company, emails, phones, taught, name_key, keys::int[], importance, seen
        from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
            $8::text[], $9::int[], $10::timestamptz[])
            as new(id, name, company, emails, phones, taught, name_key, keys, importance, seen)
        where not exists (select from people where contact_id = new.id)";

    // The last of several entries for one id wins; ids in order, so that two writers cannot cross.
    let latest: BTreeMap<&str, &Person<'_>> =
        people.iter().map(|person| (person.id, person)).collect();
    let ids: Vec<&str> = latest.keys().copied().collect();
    sqlx::query(FRESH).bind(&ids).execute(&mut *conn).await?;
    let taught = taught(conn, &ids).await?;
    let nothing = Taught::default();

    let mut columns = Columns::default();
    for (id, person) in latest {
        file(&mut columns, person, taught.get(id).unwrap_or(&nothing));
    }
    let known: Vec<String> = sqlx::query_scalar(KNOWN)
        .bind(&columns.ids)
        .fetch_all(&mut *conn)
        .await?;
    if !known.is_empty() {
        columns.write(conn, UPDATE).await?;
    }
    if known.len() < columns.ids.len() {
        columns.write(conn, INSERT).await?;
    }
    learn(conn, &columns.words).await
}

/// Put one contact into the columns.
fn file<'a>(columns: &mut Columns<'a>, person: &Person<'a>, taught: &Taught) {
    let mut name: Vec<String> = Vec::new();
    for part in [person.full_name, person.first, person.last]
        .into_iter()
        .flatten()
    {
        // First and last name usually repeat the whole one.
        let had = name.len();
        for word in words(&fold(part)).take(8) {
            if !name[..had].contains(&word) {
                name.push(word);
            }
        }
    }
    let company: Vec<String> = words(&fold(person.company.unwrap_or_default()))
        .take(8)
        .collect();
    let emails: Vec<String> = person
        .emails
        .iter()
        .take(8)
        .filter_map(|text| email(text))
        .collect();
    let phones: Vec<String> = person
        .phones
        .iter()
        .map(|text| digits(&fold(text)))
        .filter(|digits| (4..=20).contains(&digits.len()))
        .take(8)
        .collect();
    let aliases: Vec<Vec<String>> = taught
        .names
        .iter()
        .take(32)
        .map(|alias| words(&fold(alias)).take(8).collect::<Vec<_>>())
        .filter(|alias| !alias.is_empty())
        .collect();

    let mut keys = Vec::with_capacity(24);
    name_keys(&name, &mut keys);
    keys.extend(
        company
            .iter()
            .chain(aliases.iter().flatten())
            .map(|word| key(&[word])),
    );
    for email in &emails {
        email_keys(email, name.is_empty(), &mut keys);
    }
    keys.extend(phones.iter().filter_map(|phone| phone_key(phone)));
    if taught.importance > 0 {
        keys.push(important());
    }
    keys.sort_unstable();
    keys.dedup();

    // One contact in thirty-two tells how common a word is; the same ones each time they are filed.
    let sampled = i32::from(key(&[person.id]) & 31 == 0);
    for word in name.iter().chain(&company).chain(aliases.iter().flatten()) {
        if word.chars().any(char::is_alphabetic) && word.chars().nth(1).is_some() {
            match columns.words.get_mut(word) {
                Some(times) => *times += sampled,
                None => drop(columns.words.insert(word.clone(), sampled)),
            }
        }
    }

    columns.ids.push(person.id);
    columns.name_keys.push(whole_name(&name));
    columns.names.push(name.join(" "));
    columns.companies.push(company.join(" "));
    columns.emails.push(emails.join(" "));
    columns.phones.push(phones.join(" "));
    let aliases: Vec<String> = aliases.iter().map(|alias| alias.join(" ")).collect();
    columns.taught.push(aliases.join("\n"));
    columns.keys.push(array(&keys));
    columns.importances.push(taught.importance);
    columns.seen.push(person.changed.max(taught.interaction));
}

/// Names, their initials one by one, and all of them (`js`; of three names also first and last).
fn name_keys(name: &[String], keys: &mut Vec<i32>) {
    let mut initials = String::new();
    for word in name {
        keys.push(key(&[word]));
        let initial = word.chars().next().unwrap_or_default();
        keys.push(initials_key(initial.encode_utf8(&mut [0; 4])));
        initials.push(initial);
    }
    if name.len() > 1 {
        keys.push(initials_key(&initials));
    }
    keys.extend(unspaced(name).iter().flatten().map(|whole| key(&[whole])));
    if let (3.., Some(first), Some(last)) =
        (name.len(), initials.chars().next(), initials.chars().last())
    {
        keys.push(initials_key(&format!("{first}{last}")));
    }
}

/// A name whose script puts no space between its words, in both orders.
pub(super) fn unspaced(name: &[impl AsRef<str>]) -> Option<[String; 2]> {
    // From the radicals on: Han, Kana and Hangul.
    let spaceless = |word: &str| word.chars().all(|c| c >= '\u{2e80}');
    let all = name.len() > 1 && name.iter().all(|word| spaceless(word.as_ref()));
    all.then(|| {
        [
            name.iter().map(AsRef::as_ref).collect(),
            name.iter().rev().map(AsRef::as_ref).collect(),
        ]
    })
}

/// Folded and without anything that no address has.
fn email(text: &str) -> Option<String> {
    let folded: String = fold(text)
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .take(200)
        .collect();
    let (local, domain) = folded.rsplit_once('@')?;
    (!local.is_empty() && !domain.is_empty()).then_some(folded)
}

/// Local part, domain, and the name in the domain; the whole address is local part and domain.
fn email_keys(email: &str, nameless: bool, keys: &mut Vec<i32>) {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    keys.extend([key(&[local]), key(&[domain]), key(&[label(domain)])]);
    if let Some((mailbox, _)) = local.split_once('+') {
        keys.push(key(&[mailbox]));
    }
    if nameless {
        keys.extend(words(local).map(|word| key(&[&word])));
    }
}

/// The name in a domain: its longest part before the last (`acme` of `mail.acme.co.uk`).
pub(super) fn label(domain: &str) -> &str {
    let before = domain.rsplit_once('.').map_or(domain, |(before, _)| before);
    before
        .split('.')
        .max_by_key(|part| part.len())
        .unwrap_or(domain)
}

/// An array as Postgres reads it: `unnest` takes no arrays of arrays.
pub(super) fn array(keys: &[i32]) -> String {
    let mut text = String::with_capacity(keys.len() * 12 + 2);
    text.push('{');
    for (place, key) in keys.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{key}");
    }
    text.push('}');
    text
}

/// Key of the last four digits of a number.
pub(super) fn phone_key(digits: &str) -> Option<i32> {
    let from = digits.len().checked_sub(4)?;
    Some(key(&["#", &digits[from..]]))
}

/// Key of one initial or of all of a name.
pub(super) fn initials_key(initials: &str) -> i32 {
    key(&[initials, "."])
}

/// Key of everybody the owner gave some importance.
pub(super) fn important() -> i32 {
    key(&["!"])
}

/// Key of a whole name.
pub(super) fn whole_name(name: &[String]) -> i32 {
    name_key(
        name.iter()
            .map(String::as_str)
            .filter(|word| !TITLES.contains(word)),
    )
}

/// Put new words into the vocabulary and count the sampled ones.
async fn learn(conn: &mut PgConnection, words: &BTreeMap<String, i32>) -> Result<()> {
    const UNKNOWN: &str = "select word from unnest($1::text[]) as asked(word)
        where not exists (select from people_words known where known.word = asked.word collate \"C\")";
    const INSERT: &str = "insert into people_words (word, near, sounds)
        select word, near::int[],
            case when word ~ '^[a-z]+$'
                then array_remove(array[dmetaphone(word), nullif(dmetaphone_alt(word), dmetaphone(word))], null)
                else '{}' end
        from unnest($1::text[], $2::text[]) as new(word, near)
        on conflict (word) do nothing";
    // A count that somebody else holds is skipped, not waited for: it is an estimate.
    const COUNT: &str = "update people_words w set weight = w.weight + sample.times
        from (select word from people_words where word = any($1) for update skip locked) free
        join unnest($1::text[], $2::int[]) as sample(word, times) on sample.word collate \"C\" = free.word
        where w.word = free.word";

    let asked: Vec<&str> = words.keys().map(String::as_str).collect();
    let mut unknown: Vec<String> = sqlx::query_scalar(UNKNOWN)
        .bind(&asked)
        .fetch_all(&mut *conn)
        .await?;
    if !unknown.is_empty() {
        unknown.sort_unstable();
        let near: Vec<String> = unknown.iter().map(|word| array(&near_keys(word))).collect();
        sqlx::query(INSERT)
            .bind(&unknown)
            .bind(&near)
            .execute(&mut *conn)
            .await?;
    }
    let (sampled, times): (Vec<&str>, Vec<i32>) = words
        .iter()
        .filter(|(_, times)| **times > 0)
        .map(|(word, times)| (word.as_str(), *times))
        .unzip();
    if !sampled.is_empty() {
        sqlx::query(COUNT)
            .bind(&sampled)
            .bind(&times)
            .execute(conn)
            .await?;
    }
    Ok(())
}
