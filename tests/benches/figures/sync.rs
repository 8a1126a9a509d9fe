//! A first sync against bare upserts of the same rows, and a sync that finds nothing changed.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, FromRow, PgConnection};

use crate::scene::Scene;
use crate::{Bound, figure, median};

/// Rows in a statement, as many as in a page of the provider's.
const PAGE: i64 = 500;

// The table a sync writes, with its columns and indexes, and without the index of people.
const TODAY: &str = "create table bare.contacts (like public.contacts including all);";

// The table as it was before medtainer: the JSON and three indexes.
const LEGACY: &str = "
    create table bare.contacts (
        id varchar(100) primary key,
        ecosystem varchar(50) default 'gohighlevel',
        data jsonb not null,
        last_synced timestamptz default now(),
        created_at timestamptz,
        updated_at timestamptz
    );
    create index on bare.contacts (last_synced desc);
    create index on bare.contacts (created_at desc);
    create index on bare.contacts (ecosystem);";

// In the order in which the provider gives them.
const READ: &str = "select id::text, data::text, content_hash, updated_at, created_at, account, name, first_name,
        last_name, company, email, phone, source, assigned_to, array_to_string(tags, chr(31)) as tags
    from contacts
    where (coalesce(created_at, to_timestamp(0)), id) > ($1, $2) and deleted_at is null
    order by coalesce(created_at, to_timestamp(0)), id limit $3";

const UPSERT_TODAY: &str = "insert into bare.contacts (id, data, content_hash, last_synced, updated_at, created_at, account,
        name, first_name, last_name, company, email, phone, source, assigned_to, tags, ecosystem)
    select id, data::jsonb, hash, now(), updated_at, created_at, account, name, first_name, last_name, company, email,
        phone, source, assigned_to, string_to_array(tags, chr(31)), 'gohighlevel'
      from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
        as n (id, data, updated_at, created_at, hash, account, name, first_name, last_name, company, email, phone, source,
            assigned_to, tags)
    on conflict (id) do update set data = excluded.data, content_hash = excluded.content_hash,
        last_synced = excluded.last_synced, updated_at = excluded.updated_at, created_at = excluded.created_at,
        account = excluded.account, name = excluded.name, first_name = excluded.first_name,
        last_name = excluded.last_name, company = excluded.company, email = excluded.email, phone = excluded.phone,
        source = excluded.source, assigned_to = excluded.assigned_to, tags = excluded.tags";

const UPSERT_LEGACY: &str = "insert into bare.contacts (id, data, updated_at, created_at)
    select id, data::jsonb, updated_at, created_at
      from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) as n (id, data, updated_at, created_at)
    on conflict (id) do update set data = excluded.data, last_synced = now(),
        created_at = excluded.created_at, updated_at = excluded.updated_at";

pub fn run(contacts: usize, rounds: usize) {
    println!("\na first sync of {contacts} contacts, {rounds} rounds");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut speeds = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    let mut peaks = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let scene = Scene::with_contacts(contacts);
        let first = scene.run(&["ghl", "sync", "--full", "--only", "contacts"]);
        let again = scene.run(&["ghl", "sync", "--full", "--only", "contacts"]);
        let today = runtime.block_on(bare(&scene, TODAY, UPSERT_TODAY, true));
        let legacy = runtime.block_on(bare(&scene, LEGACY, UPSERT_LEGACY, false));
        assert_eq!((today.0, legacy.0), (contacts, contacts));
        for (all, time) in speeds
            .iter_mut()
            .zip([first.time, again.time, today.1, legacy.1])
        {
            all.push(contacts as f64 / time.as_secs_f64());
        }
        peaks[0].push(first.peak_mb);
        peaks[1].push(again.peak_mb);
    }
    let ratio = |over: usize, under: usize| {
        let pairs = speeds[over].iter().zip(&speeds[under]);
        median(pairs.map(|(over, under)| over / under).collect())
    };
    let (against_today, against_legacy, unchanged) = (ratio(0, 2), ratio(0, 3), ratio(1, 0));
    let [first, again, today, legacy] = speeds.map(median);
    let [peak_first, peak_again] = peaks.map(median);
    println!(
        "        first sync {first:.0} rows/s, nothing changed {again:.0} rows/s, bare upsert into today's table \
         {today:.0} rows/s, into the legacy one {legacy:.0} rows/s"
    );
    let half = Bound::AtLeast(0.5);
    figure(
        "first sync, times a bare upsert into the same table",
        against_today,
        "",
        half,
    );
    figure(
        "first sync, times one into the legacy table",
        against_legacy,
        "",
        half,
    );
    figure(
        "nothing changed, times the first sync's speed",
        unchanged,
        "",
        Bound::AtLeast(5.0),
    );
    figure(
        "memory of the first sync",
        peak_first,
        " MB",
        Bound::AtMost(80.0),
    );
    figure(
        "memory of the second",
        peak_again,
        " MB",
        Bound::AtMost(80.0),
    );
}

#[derive(FromRow)]
struct Line {
    id: String,
    data: String,
    content_hash: Option<i64>,
    updated_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
    account: Option<String>,
    name: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    source: Option<String>,
    assigned_to: Option<String>,
    tags: Option<String>,
}

/// Writes the same rows and does nothing else: how many, and how long the statements took.
async fn bare(
    scene: &Scene,
    table: &'static str,
    upsert: &'static str,
    whole: bool,
) -> (usize, Duration) {
    fn column<'a, T>(page: &'a [Line], field: impl Fn(&'a Line) -> T) -> Vec<T> {
        page.iter().map(field).collect()
    }
    let options = scene.cluster().connect_options();
    let mut read = PgConnection::connect_with(&options)
        .await
        .expect("a connection");
    // As a sync's pages: nobody waits for the disk.
    let mut write = PgConnection::connect_with(
        &options.options([("synchronous_commit", "off"), ("search_path", "public,ext")]),
    )
    .await
    .expect("a connection");
    let anew = format!("drop schema if exists bare cascade; create schema bare; {table}");
    sqlx::raw_sql(AssertSqlSafe(anew))
        .execute(&mut write)
        .await
        .expect("a table");
    sqlx::raw_sql("checkpoint")
        .execute(&mut write)
        .await
        .expect("a checkpoint");
    let mut spent = Duration::ZERO;
    let mut place = (
        DateTime::UNIX_EPOCH - chrono::Duration::days(1),
        String::new(),
    );
    let mut count = 0;
    loop {
        let page: Vec<Line> = sqlx::query_as(READ)
            .bind(place.0)
            .bind(&place.1)
            .bind(PAGE)
            .fetch_all(&mut read)
            .await
            .expect("rows");
        let Some(last) = page.last() else { break };
        place = (
            last.created_at.unwrap_or(DateTime::UNIX_EPOCH),
            last.id.clone(),
        );
        count += page.len();
        let start = Instant::now();
        let mut query = sqlx::query(upsert)
            .bind(column(&page, |row| row.id.as_str()))
            .bind(column(&page, |row| row.data.as_str()))
            .bind(column(&page, |row| row.updated_at))
            .bind(column(&page, |row| row.created_at));
        if whole {
            query = query
                .bind(column(&page, |row| row.content_hash))
                .bind(column(&page, |row| row.account.as_deref()))
                .bind(column(&page, |row| row.name.as_deref()))
                .bind(column(&page, |row| row.first_name.as_deref()))
                .bind(column(&page, |row| row.last_name.as_deref()))
                .bind(column(&page, |row| row.company.as_deref()))
                .bind(column(&page, |row| row.email.as_deref()))
                .bind(column(&page, |row| row.phone.as_deref()))
                .bind(column(&page, |row| row.source.as_deref()))
                .bind(column(&page, |row| row.assigned_to.as_deref()))
                .bind(column(&page, |row| row.tags.as_deref()));
        }
        query.execute(&mut write).await.expect("written");
        spent += start.elapsed();
    }
    (count, spent)
}
