//! A first sync against a bare upsert of the same rows, and a sync that finds nothing changed.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::scene::Scene;
use crate::{Bound, figure};

/// Rows in a statement, as many as in a page of the provider's.
const PAGE: i64 = 500;

// The table as it was before medtainer, indexes included.
const TABLE: &str = "
    drop schema if exists bare cascade;
    create schema bare;
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
    create index on bare.contacts (ecosystem);
    checkpoint;";

// In the order in which the provider gives them.
const READ: &str = "select id::text, data::text, created_at, updated_at from contacts
    where (coalesce(created_at, to_timestamp(0)), id) > ($1, $2) and deleted_at is null
    order by coalesce(created_at, to_timestamp(0)), id limit $3";

const UPSERT: &str = "insert into bare.contacts (id, data, created_at, updated_at)
    select id, data::jsonb, created_at, updated_at
      from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) as n (id, data, created_at, updated_at)
    on conflict (id) do update set data = excluded.data, last_synced = now(),
        created_at = excluded.created_at, updated_at = excluded.updated_at";

pub fn run(contacts: usize) {
    println!("\na first sync of {contacts} contacts");
    let scene = Scene::with_contacts(contacts);
    let first = scene.run(&["ghl", "sync", "--full"]);
    let again = scene.run(&["ghl", "sync", "--full"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (rows, bare) = runtime.block_on(bare(&scene));
    let speed = |time: Duration| rows as f64 / time.as_secs_f64();
    println!(
        "        sync {:.0} rows/s, bare upsert {:.0} rows/s, nothing changed {:.0} rows/s",
        speed(first.time),
        speed(bare),
        speed(again.time)
    );
    figure(
        "first sync, times the bare upsert's speed",
        speed(first.time) / speed(bare),
        "",
        Bound::AtLeast(0.5),
    );
    figure(
        "nothing changed, times the first sync's speed",
        speed(again.time) / speed(first.time),
        "",
        Bound::AtLeast(5.0),
    );
    figure(
        "memory of the first sync",
        first.peak_mb,
        " MB",
        Bound::AtMost(80.0),
    );
    figure(
        "memory of the second",
        again.peak_mb,
        " MB",
        Bound::AtMost(80.0),
    );
}

/// Writes the same rows and does nothing else: how many, and how long the statements took.
async fn bare(scene: &Scene) -> (usize, Duration) {
    let options = scene.cluster().connect_options();
    let mut read = PgConnection::connect_with(&options)
        .await
        .expect("a connection");
    // As a sync's pages: nobody waits for the disk until the end.
    let mut write = PgConnection::connect_with(&options.options([("synchronous_commit", "off")]))
        .await
        .expect("a connection");
    sqlx::raw_sql(TABLE)
        .execute(&mut write)
        .await
        .expect("a table");
    let mut spent = Duration::ZERO;
    let mut place = (
        chrono::DateTime::UNIX_EPOCH - chrono::Duration::days(1),
        String::new(),
    );
    let mut count = 0;
    loop {
        type Read = (
            String,
            String,
            Option<chrono::DateTime<chrono::Utc>>,
            Option<chrono::DateTime<chrono::Utc>>,
        );
        let page: Vec<Read> = sqlx::query_as(READ)
            .bind(place.0)
            .bind(&place.1)
            .bind(PAGE)
            .fetch_all(&mut read)
            .await
            .expect("rows");
        let Some(last) = page.last() else { break };
        place = (
            last.2.unwrap_or(chrono::DateTime::UNIX_EPOCH),
            last.0.clone(),
        );
        count += page.len();
        let start = Instant::now();
        sqlx::query(UPSERT)
            .bind(page.iter().map(|row| row.0.as_str()).collect::<Vec<_>>())
            .bind(page.iter().map(|row| row.1.as_str()).collect::<Vec<_>>())
            .bind(page.iter().map(|row| row.2).collect::<Vec<_>>())
            .bind(page.iter().map(|row| row.3).collect::<Vec<_>>())
            .execute(&mut write)
            .await
            .expect("written");
        spent += start.elapsed();
    }
    (count, spent)
}
