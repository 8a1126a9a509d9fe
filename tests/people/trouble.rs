//! What must hold whatever is searched: order, tombstones, other people's writes, hostile text.

use medtainer_core::Kind;
use medtainer_core::people::{self, Field, Match, Person};
use proptest::test_runner::{Config, TestRunner};
use sqlx::Connection;

use super::{PEOPLE, count, finds, ids, never_finds, scene, search};
use crate::database;

#[tokio::test]
async fn puts_whole_names_first_then_the_important_then_the_recent() {
    let conn = &mut scene().await;
    for (id, last, days) in [
        ("s1", "Smith", 30),
        ("s2", "Smith", 2),
        ("s3", "Smith", 9),
        ("s4", "Smith Jones", 1),
    ] {
        sqlx::query(
            "insert into contacts (id, data, first_name, last_name, updated_at)
             values ($1, '{}', 'Mary', $2, now() - make_interval(days => $3))",
        )
        .bind(id)
        .bind(last)
        .bind(days)
        .execute(&mut **conn)
        .await
        .unwrap();
    }
    sqlx::query("insert into contact_context (contact_id, importance) values ('s3', 5), ('s4', 9)")
        .execute(&mut **conn)
        .await
        .unwrap();
    assert_eq!(ids(conn, "Mary Smith").await[..4], ["s3", "s2", "s1", "s4"]);
}

#[tokio::test]
async fn tombstones_and_deleted_rows_are_no_hits() {
    let conn = &mut scene().await;
    sqlx::query("update contacts set deleted_at = now() where id = 'john'")
        .execute(&mut **conn)
        .await
        .unwrap();
    never_finds(conn, "John Smith", "john").await;
    sqlx::query("update contacts set deleted_at = null where id = 'john'")
        .execute(&mut **conn)
        .await
        .unwrap();
    finds(
        conn,
        "John Smith",
        "john",
        Field::Name,
        Match::Exact,
        "smith",
    )
    .await;

    // A sync that tombstones says so itself; even one that forgets finds no ghosts.
    let mut page = conn.begin().await.unwrap();
    people::indexes_its_pages(&mut page).await.unwrap();
    sqlx::query("update contacts set deleted_at = now() where id = 'john'")
        .execute(&mut *page)
        .await
        .unwrap();
    never_finds(&mut page, "John Smith", "john").await;
    people::remove(&mut page, &["john".to_owned()])
        .await
        .unwrap();
    page.commit().await.unwrap();
    assert_eq!(
        count(
            conn,
            "select count(*) from people where contact_id = 'john'"
        )
        .await,
        0
    );

    sqlx::query("delete from contacts where id = 'robert'")
        .execute(&mut **conn)
        .await
        .unwrap();
    never_finds(conn, "Robert Miller", "robert").await;
    assert_eq!(
        count(
            conn,
            "select count(*) from people where contact_id = 'robert'"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn indexing_again_replaces_what_was_there() {
    let conn = &mut scene().await;
    let person = Person {
        id: "john",
        first: Some("Zacharias"),
        last: Some("Brinkmeyer"),
        ..Person::default()
    };
    people::index(conn, std::slice::from_ref(&person))
        .await
        .unwrap();
    people::index(conn, &[person.clone(), person])
        .await
        .unwrap();
    never_finds(conn, "John Smith", "john").await;
    finds(
        conn,
        "Brinkmeyer",
        "john",
        Field::Name,
        Match::Exact,
        "brinkmeyer",
    )
    .await;
    assert_eq!(
        count(conn, "select count(*) from people").await,
        PEOPLE.len() as i64
    );
}

#[tokio::test]
async fn catches_up_with_a_database_that_others_wrote() {
    let store = database::migrated().await;
    let conn = &mut store.pool().acquire().await.unwrap();
    sqlx::query(
        "insert into contacts (id, data)
         select 'c' || n, jsonb_build_object('firstName', 'Nora', 'lastName', 'Quist', 'companyName', 'Firm ' || n,
            'additionalEmails', jsonb_build_array(jsonb_build_object('email', 'nora' || n || '@example.net')))
         from generate_series(1, 1200) n",
    )
    .execute(&mut **conn)
    .await
    .unwrap();
    sqlx::query("insert into contacts (id, data) values ('odd', '[1, {\"firstName\": []}]')")
        .execute(&mut **conn)
        .await
        .unwrap();
    assert_eq!(people::catch_up(conn).await.unwrap(), 1201);
    assert_eq!(people::catch_up(conn).await.unwrap(), 0);
    finds(
        conn,
        "nora77@example.net",
        "c77",
        Field::Email,
        Match::Email,
        "nora77@example.net",
    )
    .await;
    assert_eq!(
        people::search(conn, "Nora Quist", 25).await.unwrap().len(),
        25
    );
}

#[tokio::test]
async fn a_search_leaves_the_callers_settings_alone() {
    let conn = &mut scene().await;
    let mut outer = conn.begin().await.unwrap();
    search(&mut outer, "Jon Smith").await;
    let seqscan: String = sqlx::query_scalar("show enable_seqscan")
        .fetch_one(&mut *outer)
        .await
        .unwrap();
    assert_eq!(seqscan, "on");
}

#[tokio::test]
async fn refuses_only_empty_and_endless_texts() {
    let conn = &mut scene().await;
    for text in ["", "  \t\n", &"x".repeat(10_000)] {
        let error = people::search(conn, text, 10).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
    }
    for text in [
        "%_\\",
        "\u{0}",
        "🚀🚀",
        "'; drop table people; --",
        "a\u{0}b\u{7}",
        "{1,2}",
        "@@@",
        "+",
        "ﷺ",
        "0",
    ] {
        ids(conn, text).await;
    }
    assert_eq!(ids(conn, "%").await, Vec::<String>::new());
    finds(
        conn,
        "🚀 John\u{0} Smith",
        "john",
        Field::Name,
        Match::Exact,
        "smith",
    )
    .await;
}

#[test]
fn arbitrary_text_neither_fails_nor_hangs() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let mut conn = runtime.block_on(scene());
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let conn = std::cell::RefCell::new(&mut conn);
    let texts = proptest::prop_oneof!["\\PC{1,60}", "(.|\n){1,60}", "[a-zA-Zß-ÿ .'@+0-9-]{1,60}"];
    runner
        .run(&texts, |text| {
            let conn = &mut **conn.borrow_mut();
            let search = async {
                // A name of this text must do no harm to the index either.
                let person = Person {
                    id: "john",
                    full_name: Some(&text),
                    company: Some(&text),
                    emails: vec![&text],
                    phones: vec![&text],
                    ..Person::default()
                };
                people::index(conn, &[person]).await?;
                people::search(conn, &text, 10).await
            };
            let limited =
                async { tokio::time::timeout(std::time::Duration::from_secs(5), search).await };
            let result = runtime
                .block_on(limited)
                .expect("an answer within five seconds");
            if let Err(error) = result {
                assert_eq!(error.kind(), Kind::Usage, "{text:?}: {error:?}");
            }
            Ok(())
        })
        .unwrap();
}
