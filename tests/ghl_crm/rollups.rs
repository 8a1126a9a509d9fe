//! Whatever is written, the counts beside the rows are what the rows say.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::database;

/// A change of some rows, as a statement.
#[derive(Debug, Clone)]
enum Change {
    Write {
        table: usize,
        ids: Vec<u8>,
        dice: u32,
    },
    Bury {
        table: usize,
        id: u8,
    },
    Return {
        table: usize,
        id: u8,
    },
    Delete {
        table: usize,
        id: u8,
    },
}

/// Tables, and a value for each of their columns made of a number `n` (of the row) and `d` (of the throw).
const TABLES: [(&str, &str, &str); 6] = [
    (
        "ghl_opportunities",
        "contact_id, pipeline_id, stage_id, status, value, source, assigned_to, created_at, stage_changed_at, status_changed_at",
        "'c' || n % 4, 'p' || d % 2, (array['s1', 's2', 's3', null])[1 + (n + d) % 4], (array['open', 'open', 'won', 'lost'])[1 + d % 4],
         nullif(d % 7, 3) * 1.25, (array['Web', 'web', null])[1 + d % 3], nullif('u' || d % 3, 'u0'),
         timestamptz '2026-01-01' + d % 9 * interval '7 hours', nullif(timestamptz '2026-02-01' + d % 5 * interval '17 hours', '2026-02-01'),
         timestamptz '2026-03-01' + d % 6 * interval '11 hours'",
    ),
    (
        "contacts",
        "created_at, source, assigned_to, tags, name, email, phone",
        "nullif(timestamptz '2026-01-01' + d % 9 * interval '7 hours', '2026-01-01'), (array['Web', 'web', null])[1 + d % 3],
         nullif('u' || d % 3, 'u0'), case d % 4 when 0 then '{}'::text[] when 1 then '{a}' when 2 then '{a,b}' end, nullif('N' || d % 2, 'N0'),
         nullif('e' || d % 3, 'e0'), nullif('f' || d % 3, 'f1')",
    ),
    (
        "ghl_conversations",
        "contact_id, last_message_at, last_direction, unread",
        "'c' || n % 4, nullif(timestamptz '2026-01-01' + d % 9 * interval '7 hours', '2026-01-01'),
         (array['inbound', 'outbound', null])[1 + d % 3], nullif(d % 4, 3)",
    ),
    (
        "ghl_messages",
        "contact_id, sent_at, channel, direction, automated",
        "'c' || n % 4, nullif(timestamptz '2026-01-01' + (d * 7 + n) % 29 * interval '3 hours', '2026-01-01'),
         (array['sms', 'email', 'activity_contact', null])[1 + (n + d) % 4], (array['inbound', 'outbound', null])[1 + (n + d) % 3], d % 5 = 0",
    ),
    (
        "ghl_tasks",
        "contact_id, due_at, completed",
        "'c' || n % 4, nullif(timestamptz '2026-01-01' + d % 9 * interval '7 hours', '2026-01-01'), (array[true, false, null])[1 + d % 3]",
    ),
    (
        "ghl_appointments",
        "contact_id, starts_at, status",
        "'c' || n % 4, nullif(timestamptz '2026-01-01' + d % 9 * interval '7 hours', '2026-01-01'), (array['confirmed', 'noshow', null])[1 + d % 3]",
    ),
];

impl Change {
    fn sql(&self) -> String {
        match self {
            Change::Write { table, ids, dice } => {
                let (table, columns, values) = TABLES[*table];
                let ids: Vec<_> = ids.iter().map(|id| format!("({id})")).collect();
                let set: Vec<_> = columns
                    .split(", ")
                    .map(|column| format!("{column} = excluded.{column}"))
                    .collect();
                format!(
                    "insert into {table} (id, data, {columns})
                     select 'i' || n, '{{}}', {values}
                       from (select distinct n, {dice} + n as d from (values {}) v (n)) v
                     on conflict (id) do update set deleted_at = null, {}",
                    ids.join(", "),
                    set.join(", ")
                )
            }
            Change::Bury { table, id } => format!(
                "update {} set deleted_at = now() where id = 'i{id}'",
                TABLES[*table].0
            ),
            Change::Return { table, id } => format!(
                "update {} set deleted_at = null where id = 'i{id}'",
                TABLES[*table].0
            ),
            Change::Delete { table, id } => {
                format!("delete from {} where id = 'i{id}'", TABLES[*table].0)
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let (table, id) = (0..TABLES.len(), 0..12u8);
    prop_oneof![
        6 => (table.clone(), prop::collection::vec(id.clone(), 1..8), 0..1000u32)
            .prop_map(|(table, ids, dice)| Change::Write { table, ids, dice }),
        1 => (table.clone(), id.clone()).prop_map(|(table, id)| Change::Bury { table, id }),
        1 => (table.clone(), id.clone()).prop_map(|(table, id)| Change::Return { table, id }),
        1 => (table, id).prop_map(|(table, id)| Change::Delete { table, id }),
    ]
}

const WRONG: &str = "\
select coalesce(string_agg(concat_ws(' ', measure, day, a, b, c, ':', t.count, t.value, t.seconds, '/', r.count, r.value, r.seconds), '; '), '')
  from ghl_rollup_truth t full join ghl_rollups r using (measure, day, a, b, c)
 where coalesce(t.count, 0) <> coalesce(r.count, 0) or coalesce(t.value, 0) <> coalesce(r.value, 0)
    or coalesce(t.seconds, 0) <> coalesce(r.seconds, 0)";

// By hand, one message after the other, what the trigger finds with windows.
const REPLIES: &str = "\
select coalesce(string_agg(contact_id || ' ' || asked_at || ' ' || coalesce(answered_at::text, '-'), '; ' order by contact_id, asked_at, message_id), '') from ghl_replies";

const MESSAGES: &str = "\
select contact_id, sent_at::text, id, direction from ghl_messages
 where deleted_at is null and sent_at is not null and contact_id is not null and direction is not null
   and channel not like 'activity%' and not (direction = 'outbound' and coalesce(automated, false))
 order by contact_id, sent_at, id";

async fn wrong(conn: &mut PgConnection) -> String {
    sqlx::query_scalar(WRONG)
        .fetch_one(&mut *conn)
        .await
        .unwrap()
}

/// The questions and their answers, as a reader of the messages would find them.
async fn replies(conn: &mut PgConnection) -> String {
    let messages: Vec<(String, String, String, String)> = sqlx::query_as(MESSAGES)
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    let mut found: Vec<(String, String, Option<String>)> = Vec::new();
    let (mut contact, mut before) = (String::new(), String::new());
    for (of, at, _, direction) in messages {
        if of != contact {
            (contact, before) = (of.clone(), String::new());
        }
        if direction == "inbound" && before != "inbound" {
            found.push((of, at, None));
        } else if direction == "outbound" {
            for (asker, _, answer) in &mut found {
                if *asker == contact {
                    answer.get_or_insert_with(|| at.clone());
                }
            }
        }
        before = direction;
    }
    let lines: Vec<_> = found
        .into_iter()
        .map(|(of, at, answer)| format!("{of} {at} {}", answer.unwrap_or("-".into())))
        .collect();
    lines.join("; ")
}

#[test]
fn counts_are_what_the_rows_say_whatever_is_written() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = runtime.block_on(database::migrated());
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    let cases = prop::collection::vec(change(), 1..30);
    let done = runner.run(&cases, |changes| {
        runtime.block_on(async {
            let mut conn = store.pool().acquire().await.unwrap();
            let mut tx = sqlx::Connection::begin(&mut *conn).await.unwrap();
            for change in &changes {
                tx.execute(AssertSqlSafe(change.sql())).await.unwrap();
            }
            let found = wrong(&mut tx).await;
            let kept: String = sqlx::query_scalar(REPLIES)
                .fetch_one(&mut *tx)
                .await
                .unwrap();
            let told = replies(&mut tx).await;
            tx.rollback().await.unwrap();
            prop_assert_eq!(found, "");
            prop_assert_eq!(kept, told);
            Ok(())
        })
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

#[tokio::test]
async fn a_count_that_is_wrong_is_found_and_put_right() {
    let store = database::migrated().await;
    let mut conn = store.pool().acquire().await.unwrap();
    let write = Change::Write {
        table: 0,
        ids: (0..12).collect(),
        dice: 5,
    };
    conn.execute(AssertSqlSafe(write.sql())).await.unwrap();
    conn.execute("update ghl_rollups set count = count + 1 where measure = 'deal.stage' and c = 'won'; delete from ghl_rollups where measure = 'deal.age'; insert into ghl_rollups values ('deal.owner', '0001-01-01', 'nobody', '', 'open', 3, 0, 0)")
        .await
        .unwrap();
    assert_ne!(wrong(&mut conn).await, "");
    let repaired = medtainer::ghl::store::rollups::check(&mut conn)
        .await
        .unwrap();
    assert!(repaired >= 3, "{repaired}");
    assert_eq!(wrong(&mut conn).await, "");
    assert_eq!(
        medtainer::ghl::store::rollups::check(&mut conn)
            .await
            .unwrap(),
        0
    );
}
