//! How fast and how well people are found, and what the index costs.
//!
//!     cargo bench --bench people -- --contacts 1000000 [--queries 150] [--cost 100000]
//!
//! `--on DATABASE` measures again on what a former run left in the server of `MEDTAINER_TEST_DATABASE_URL`.
//!
//! Contacts and queries come from code that shares nothing with the search: its own names, nicknames and slips.
//! A query is made from one contact; it is answered when that contact, or one that fits the query exactly
//! as well, is among the first ten. Times are those of whole searches over the socket. The server is the
//! tests' own, which does not wait for the disk, or that of `MEDTAINER_TEST_DATABASE_URL`.

#![allow(clippy::print_stdout, missing_docs)]

#[allow(dead_code)]
#[path = "../database.rs"]
mod database;
#[path = "people_made.rs"]
mod made;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use made::{Contact, Kind, Made};
use medtainer_core::people::{self, Person};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

const PAGE: usize = 500;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let contacts = argument("--contacts", 100_000);
    let queries = argument("--queries", 150);
    let cost = argument("--cost", 100_000);
    if cost > 0 {
        index_cost(cost).await;
    }
    let made = Made::new(contacts);
    let former = std::env::args()
        .skip_while(|argument| argument != "--on")
        .nth(1);
    if let Some(name) = former {
        let url =
            std::env::var("MEDTAINER_TEST_DATABASE_URL").expect("the server of the former run");
        let server: PgConnectOptions = url.parse().expect("a URL");
        let database = server
            .database(&name)
            .options([("search_path", "public,ext")]);
        measure(&database, &made, queries).await;
        return;
    }
    let database = database::migrated().await.options();
    let mut conn = PgConnection::connect_with(&database)
        .await
        .expect("a connection");
    let start = Instant::now();
    for page in (0..contacts).step_by(PAGE) {
        write_page(&mut conn, &made, page..(page + PAGE).min(contacts), true).await;
    }
    println!(
        "{contacts} contacts written and indexed in {:.1?}",
        start.elapsed()
    );
    teach(&mut conn, &made).await;
    println!("the client's memory peaked at {} MB", peak_memory());
    sizes(&mut conn).await;

    println!("\nin the middle of a sync (waiting lists not merged)");
    measure(&database, &made, queries / 5 + 1).await;
    let start = Instant::now();
    people::settle(&mut conn).await.expect("settled");
    println!("\nafter settling ({:.1?})", start.elapsed());
    measure(&database, &made, queries).await;
}

fn argument(name: &str, otherwise: usize) -> usize {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != name)
        .skip(1);
    arguments
        .next()
        .map_or(otherwise, |value| value.parse().expect("a number"))
}

/// A first sync with and without the index, page by page, each in its own transaction; in turns, so that
/// whatever else the machine does is felt by both.
async fn index_cost(contacts: usize) {
    let made = Made::new(contacts);
    let mut bare = connect(&database::migrated().await.options()).await;
    let mut indexed = connect(&database::migrated().await.options()).await;
    let no_trigger = "drop trigger people_contacts_changed on contacts";
    sqlx::raw_sql(no_trigger)
        .execute(&mut bare)
        .await
        .expect("no trigger");
    let mut spent = [Duration::ZERO; 2];
    for page in (0..contacts).step_by(PAGE) {
        let ids = page..(page + PAGE).min(contacts);
        spent[0] += write_page(&mut bare, &made, ids.clone(), false).await;
        spent[1] += write_page(&mut indexed, &made, ids, true).await;
    }
    let start = Instant::now();
    people::settle(&mut indexed).await.expect("settled");
    spent[1] += start.elapsed();
    let [bare, indexed] = spent.map(|time| contacts as f64 / time.as_secs_f64());
    println!(
        "first sync of {contacts}: bare upsert {bare:.0} rows/s, with the index {indexed:.0} rows/s: {:.2} of the speed",
        indexed / bare
    );
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options)
        .await
        .expect("a connection")
}

/// Upsert a page as a sync does; returns the time of the transaction.
async fn write_page(
    conn: &mut PgConnection,
    made: &Made,
    ids: std::ops::Range<usize>,
    indexed: bool,
) -> Duration {
    const UPSERT: &str = "insert into contacts
            (id, data, updated_at, created_at, name, first_name, last_name, company, email, phone)
        select * from unnest($1::text[], $2::text[]::jsonb[], $3::timestamptz[], $3::timestamptz[], $4::text[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::text[])
        on conflict (id) do update set data = excluded.data, updated_at = excluded.updated_at, name = excluded.name,
            first_name = excluded.first_name, last_name = excluded.last_name, company = excluded.company,
            email = excluded.email, phone = excluded.phone, deleted_at = null";
    let page: Vec<Contact> = ids.map(|i| made.contact(i)).collect();
    let data: Vec<String> = page.iter().map(Contact::json).collect();
    let column = |get: fn(&Contact) -> Option<String>| page.iter().map(get).collect::<Vec<_>>();
    let start = Instant::now();
    let mut transaction = conn.begin().await.expect("a transaction");
    if indexed {
        people::indexes_its_pages(&mut transaction)
            .await
            .expect("announced");
    }
    sqlx::query(UPSERT)
        .bind(page.iter().map(|c| c.id.clone()).collect::<Vec<_>>())
        .bind(data)
        .bind(page.iter().map(|c| c.changed).collect::<Vec<_>>())
        .bind(column(|c| Some(c.full.clone())))
        .bind(column(|c| Some(c.first.clone())))
        .bind(column(|c| Some(c.last.clone())))
        .bind(column(|c| c.company.clone()))
        .bind(column(|c| c.email.clone()))
        .bind(column(|c| c.phone.clone()))
        .execute(&mut *transaction)
        .await
        .expect("an upsert");
    if indexed {
        let people: Vec<Person<'_>> = page.iter().map(person).collect();
        people::index(&mut transaction, &people)
            .await
            .expect("indexed");
    }
    transaction.commit().await.expect("a commit");
    start.elapsed()
}

fn person(contact: &Contact) -> Person<'_> {
    Person {
        id: &contact.id,
        first: Some(&contact.first),
        last: Some(&contact.last),
        full_name: Some(&contact.full),
        company: contact.company.as_deref(),
        emails: contact.email.as_deref().into_iter().collect(),
        phones: contact.phone.as_deref().into_iter().collect(),
        changed: Some(contact.changed),
    }
}

/// The owner teaches names and importance, in plain SQL.
async fn teach(conn: &mut PgConnection, made: &Made) {
    let taught: Vec<(String, String, i32)> = made.taught();
    for (id, alias, importance) in &taught {
        sqlx::query("insert into contact_context (contact_id, aliases, importance) values ($1, array[$2], $3)")
            .bind(id)
            .bind(alias)
            .bind(importance)
            .execute(&mut *conn)
            .await
            .expect("a context");
    }
    let start = Instant::now();
    let caught = people::catch_up(conn).await.expect("caught up");
    println!(
        "{caught} taught contacts caught up in {:.1?}",
        start.elapsed()
    );
}

async fn sizes(conn: &mut PgConnection) {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select relname::text, pg_relation_size(oid) from pg_class
         where relname ~ '^(people|contacts)' and relkind in ('r', 'i') and pg_relation_size(oid) > 1000000
         order by 2 desc",
    )
    .fetch_all(&mut *conn)
    .await
    .expect("sizes");
    let words: i64 = sqlx::query_scalar("select count(*) from people_words")
        .fetch_one(conn)
        .await
        .expect("a count");
    let sizes: Vec<String> = rows
        .iter()
        .map(|(name, size)| format!("{name} {} MB", size / 1_000_000))
        .collect();
    println!("{words} words; {}", sizes.join(", "));
}

async fn measure(database: &PgConnectOptions, made: &Made, queries: usize) {
    let mut conn = PgConnection::connect_with(database)
        .await
        .expect("a connection");
    let mut results: BTreeMap<Kind, (Vec<Duration>, usize, usize, Vec<String>)> = BTreeMap::new();
    let mut asked = made.queries(queries);
    // All kinds in turn, so that no kind has the caches to itself.
    asked.sort_by_key(|query| query.order);
    for query in &asked[..asked.len().min(50)] {
        people::search(&mut conn, &query.text, 10)
            .await
            .expect("a search");
    }
    for query in &asked {
        let start = Instant::now();
        let hits = people::search(&mut conn, &query.text, 10)
            .await
            .expect("a search");
        let spent = start.elapsed();
        let answered = hits
            .iter()
            .any(|hit| query.accepts(&made.contact_of(&hit.id)));
        let result = results.entry(query.kind).or_default();
        result.0.push(spent);
        result.1 += usize::from(answered);
        result.2 += 1;
        if !answered && std::env::var_os("SHOW_MISSES").is_some() {
            let first = hits.first().map(|hit| made.contact_of(&hit.id).full);
            result.3.push(format!(
                "{:?} meant {:?}, first {first:?}",
                query.text, query.meant.full
            ));
        }
        if spent > Duration::from_millis(10) && std::env::var_os("SHOW_SLOW").is_some() {
            println!("slow {:?}: {:?} {spent:.1?}", query.kind, query.text);
        }
    }
    println!(
        "{:<16} {:>9} {:>9} {:>9} {:>9}",
        "kind", "p50 ms", "p95 ms", "max ms", "recall@10"
    );
    let mut all = Vec::new();
    let (mut answered, mut total) = (0, 0);
    for (kind, (times, hit, of, misses)) in &mut results {
        print(&format!("{kind:?}"), times, *hit, *of);
        all.append(times);
        answered += *hit;
        total += *of;
        misses
            .iter()
            .take(6)
            .for_each(|miss| println!("    {miss}"));
    }
    print("all", &mut all, answered, total);
}

fn print(name: &str, times: &mut [Duration], answered: usize, total: usize) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "{name:<16} {:>9.2} {:>9.2} {:>9.2} {:>9.3}",
        at(0.5),
        at(0.95),
        at(1.0),
        answered as f64 / total as f64
    );
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    peak.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<u64>()
        .expect("a number")
        / 1024
}
