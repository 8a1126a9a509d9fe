//! Finding people: one way of naming them per test, and somebody it must not find.

use medtainer_core::people::{self, Field, Hit, Match, Person};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, Postgres};

use crate::database;

mod trouble;

/// Id, first and last name, company, e-mail, phone.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const PEOPLE: [Row; 14] = [
    (
        "robert",
        "Robert",
        "Miller",
        "Hilltop Roofing",
        "rmiller@hilltop-roofing.com",
        "+14155550142",
    ),
    (
        "bob",
        "Bob",
        "Keller",
        "",
        "bob.keller@example.org",
        "(030) 1234-9876",
    ),
    (
        "margaret",
        "Margaret",
        "O'Brien",
        "O'Brien & Daughters",
        "maggie@obrien.ie",
        "+353 1 555 0199",
    ),
    (
        "jose",
        "José",
        "Núñez García",
        "Peña Vélez S.L.",
        "jose+shop@correo.es",
        "",
    ),
    (
        "john",
        "John",
        "Smith",
        "",
        "john.smith@example.com",
        "+1 212 555 7788",
    ),
    (
        "jane",
        "Jane",
        "Smith",
        "Acme Plumbing",
        "office@acme.co.uk",
        "",
    ),
    ("stephen", "Stephen", "Philips", "", "", ""),
    ("katherine", "Katherine", "Wojciechowska", "", "", ""),
    ("wang", "小明", "王", "", "", ""),
    ("olga", "Ольга", "Кузнецова", "", "", ""),
    ("weiss", "Jürgen", "Weiß", "", "", ""),
    ("mcdonald", "Ronald", "McDonald", "", "", ""),
    ("albert", "Albert", "Finney", "", "", ""),
    (
        "firm",
        "",
        "",
        "Blue Heron Studio 54",
        "hello@blueheron.studio",
        "",
    ),
];

async fn write(conn: &mut PgConnection, row: &Row) {
    let (id, first, last, company, email, phone) = *row;
    sqlx::query(
        "insert into contacts (id, data, name, first_name, last_name, company, email, phone)
         values ($1, '{}', concat_ws(' ', nullif($2, ''), nullif($3, '')), nullif($2, ''), nullif($3, ''),
            nullif($4, ''), nullif($5, ''), nullif($6, ''))",
    )
    .bind(id)
    .bind(first)
    .bind(last)
    .bind(company)
    .bind(email)
    .bind(phone)
    .execute(conn)
    .await
    .unwrap();
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Contacts written as a sync does: row and index in one transaction.
async fn scene() -> PoolConnection<Postgres> {
    let store = database::migrated().await;
    let mut conn = store.pool().acquire().await.unwrap();
    let mut page = conn.begin().await.unwrap();
    people::indexes_its_pages(&mut page).await.unwrap();
    let mut persons = Vec::new();
    for row in &PEOPLE {
        write(&mut page, row).await;
        persons.push(Person {
            id: row.0,
            first: some(row.1),
            last: some(row.2),
            company: some(row.3),
            emails: some(row.4).into_iter().collect(),
            phones: some(row.5).into_iter().collect(),
            ..Person::default()
        });
    }
    people::index(&mut page, &persons).await.unwrap();
    page.commit().await.unwrap();
    assert_eq!(
        count(&mut conn, "select count(*) from people_stale").await,
        0
    );
    conn
}

async fn count(conn: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(conn).await.unwrap()
}

async fn search(conn: &mut PgConnection, text: &str) -> Vec<Hit> {
    people::search(conn, text, 10).await.unwrap()
}

async fn ids(conn: &mut PgConnection, text: &str) -> Vec<String> {
    search(conn, text)
        .await
        .into_iter()
        .map(|hit| hit.id)
        .collect()
}

/// The first hit is this contact, for this reason.
async fn finds(
    conn: &mut PgConnection,
    text: &str,
    id: &str,
    field: Field,
    kind: Match,
    token: &str,
) {
    let hits = search(conn, text).await;
    let first = hits
        .first()
        .unwrap_or_else(|| panic!("{text:?} finds nobody"));
    assert_eq!(first.id, id, "{text:?}: {hits:?}");
    assert!(
        first
            .why
            .iter()
            .any(|why| why.field == field && why.kind == kind && why.matched_token == token),
        "{text:?}: {:?}",
        first.why
    );
}

async fn never_finds(conn: &mut PgConnection, text: &str, id: &str) {
    let found = ids(conn, text).await;
    assert!(
        !found.iter().any(|hit| hit == id),
        "{text:?} finds {found:?}"
    );
}

#[tokio::test]
async fn finds_whole_names_in_any_order_and_says_so() {
    let conn = &mut scene().await;
    let hits = search(conn, "John Smith").await;
    assert_eq!(hits[0].id, "john");
    assert_eq!(hits[0].score, 1.0);
    assert_eq!(
        serde_json::to_value(&hits[0].why).unwrap(),
        serde_json::json!([
            {"field": "name", "kind": "exact", "query_token": "john", "matched_token": "john"},
            {"field": "name", "kind": "exact", "query_token": "smith", "matched_token": "smith"},
        ])
    );
    finds(
        conn,
        "smith, JOHN",
        "john",
        Field::Name,
        Match::Exact,
        "john",
    )
    .await;
    never_finds(conn, "John Smith", "robert").await;
    assert_eq!(ids(conn, "Xqzwv Bflmpsv").await, Vec::<String>::new());
}

#[tokio::test]
async fn finds_nicknames_both_ways() {
    let conn = &mut scene().await;
    finds(
        conn,
        "Bob Miller",
        "robert",
        Field::Name,
        Match::Nickname,
        "robert",
    )
    .await;
    finds(
        conn,
        "Robert Keller",
        "bob",
        Field::Name,
        Match::Nickname,
        "bob",
    )
    .await;
    finds(
        conn,
        "Peggy",
        "margaret",
        Field::Name,
        Match::Nickname,
        "margaret",
    )
    .await;
    finds(
        conn,
        "pepe núñez",
        "jose",
        Field::Name,
        Match::Nickname,
        "jose",
    )
    .await;
    never_finds(conn, "Albert", "robert").await;
    never_finds(conn, "Bob Miller", "bob").await;
}

#[tokio::test]
async fn finds_misspellings() {
    let conn = &mut scene().await;
    for slip in [
        "John Smtih",
        "John Smih",
        "John Smitth",
        "Jonh Smith",
        "John Smjth",
    ] {
        let hits = search(conn, slip).await;
        assert_eq!(hits[0].id, "john", "{slip}");
        assert!(
            hits[0].why.iter().any(|why| why.kind == Match::Misspelling),
            "{slip}: {hits:?}"
        );
    }
    finds(
        conn,
        "Woicechowska",
        "katherine",
        Field::Name,
        Match::Misspelling,
        "wojciechowska",
    )
    .await;
    finds(
        conn,
        "Hiltop Rofing",
        "robert",
        Field::Company,
        Match::Misspelling,
        "hilltop",
    )
    .await;
    never_finds(conn, "Smtih", "robert").await;
}

#[tokio::test]
async fn finds_what_sounds_alike() {
    let conn = &mut scene().await;
    finds(
        conn,
        "Stefan Fillips",
        "stephen",
        Field::Name,
        Match::SoundsLike,
        "philips",
    )
    .await;
    never_finds(conn, "Stefan Fillips", "john").await;
}

#[tokio::test]
async fn finds_without_accents_and_with_too_many() {
    let conn = &mut scene().await;
    finds(
        conn,
        "jose nunez garcia",
        "jose",
        Field::Name,
        Match::Exact,
        "nunez",
    )
    .await;
    finds(
        conn,
        "Jurgen WEISS",
        "weiss",
        Field::Name,
        Match::Exact,
        "weiss",
    )
    .await;
    finds(
        conn,
        "Jöhn Smîth",
        "john",
        Field::Name,
        Match::Exact,
        "smith",
    )
    .await;
    finds(
        conn,
        "obrien",
        "margaret",
        Field::Name,
        Match::Exact,
        "obrien",
    )
    .await;
    finds(
        conn,
        "O’Brien",
        "margaret",
        Field::Name,
        Match::Exact,
        "obrien",
    )
    .await;
    finds(
        conn,
        "Ronald Mc Donald",
        "mcdonald",
        Field::Name,
        Match::Exact,
        "mcdonald",
    )
    .await;
}

#[tokio::test]
async fn finds_names_in_other_scripts() {
    let conn = &mut scene().await;
    finds(conn, "王小明", "wang", Field::Name, Match::Exact, "小明 王").await;
    finds(
        conn,
        "ольга кузнецова",
        "olga",
        Field::Name,
        Match::Exact,
        "кузнецова",
    )
    .await;
    finds(
        conn,
        "Оля Кузнецова",
        "olga",
        Field::Name,
        Match::Nickname,
        "ольга",
    )
    .await;
    finds(
        conn,
        "Кузнецва",
        "olga",
        Field::Name,
        Match::Misspelling,
        "кузнецова",
    )
    .await;
    never_finds(conn, "王", "olga").await;
}

#[tokio::test]
async fn finds_initials_and_beginnings() {
    let conn = &mut scene().await;
    for text in ["J. Smith", "j smith", "Smith J."] {
        let mut found = ids(conn, text).await;
        found.sort();
        assert_eq!(found, ["jane", "john"], "{text}");
    }
    finds(
        conn,
        "R. Miller",
        "robert",
        Field::Name,
        Match::Initial,
        "robert",
    )
    .await;
    let mut found = ids(conn, "JS").await;
    found.sort();
    assert_eq!(found, ["jane", "john"]);
    finds(
        conn,
        "Kath Wojc",
        "katherine",
        Field::Name,
        Match::Prefix,
        "wojciechowska",
    )
    .await;
    never_finds(conn, "J. Smith", "robert").await;
}

#[tokio::test]
async fn finds_companies() {
    let conn = &mut scene().await;
    finds(
        conn,
        "hilltop",
        "robert",
        Field::Company,
        Match::Company,
        "hilltop",
    )
    .await;
    finds(
        conn,
        "Jane Acme",
        "jane",
        Field::Company,
        Match::Company,
        "acme",
    )
    .await;
    finds(
        conn,
        "pena velez",
        "jose",
        Field::Company,
        Match::Company,
        "pena",
    )
    .await;
    finds(
        conn,
        "Studio 54",
        "firm",
        Field::Company,
        Match::Company,
        "54",
    )
    .await;
    never_finds(conn, "hilltop", "jane").await;
}

#[tokio::test]
async fn finds_addresses_by_each_of_their_parts() {
    let conn = &mut scene().await;
    for text in [
        "RMiller@Hilltop-Roofing.com",
        "rmiller",
        "rmiller@",
        "@hilltop-roofing.com",
        "hilltop-roofing.com",
    ] {
        finds(
            conn,
            text,
            "robert",
            Field::Email,
            Match::Email,
            "rmiller@hilltop-roofing.com",
        )
        .await;
    }
    finds(
        conn,
        "jose+shop",
        "jose",
        Field::Email,
        Match::Email,
        "jose+shop@correo.es",
    )
    .await;
    finds(
        conn,
        "blueheron",
        "firm",
        Field::Email,
        Match::Email,
        "hello@blueheron.studio",
    )
    .await;
    never_finds(conn, "john.smith@hilltop-roofing.com", "robert").await;
}

#[tokio::test]
async fn finds_numbers_by_their_end_however_they_are_written() {
    let conn = &mut scene().await;
    for text in [
        "0142",
        "550142",
        "555-0142",
        "(415) 555-0142",
        "+1 415 555 0142",
        "001 415.555.0142",
        "…0142",
    ] {
        finds(
            conn,
            text,
            "robert",
            Field::Phone,
            Match::PhoneTail,
            "14155550142",
        )
        .await;
    }
    finds(
        conn,
        "+49 30 1234 9876",
        "bob",
        Field::Phone,
        Match::PhoneTail,
        "03012349876",
    )
    .await;
    finds(
        conn,
        "Bob 9876",
        "bob",
        Field::Phone,
        Match::PhoneTail,
        "03012349876",
    )
    .await;
    assert_eq!(ids(conn, "0143").await, Vec::<String>::new());
    assert_eq!(ids(conn, "999 555 0142").await, Vec::<String>::new());
    assert_eq!(ids(conn, "142").await, Vec::<String>::new());
}

#[tokio::test]
async fn finds_at_once_what_the_owner_taught() {
    let conn = &mut scene().await;
    assert_eq!(ids(conn, "the tall plumber").await, Vec::<String>::new());
    let teach = "insert into contact_context (contact_id, nicknames, aliases) values ('jane', '{Sparky}', '{the tall plumber}')";
    sqlx::query(teach).execute(&mut **conn).await.unwrap();
    finds(
        conn,
        "the tall plumber",
        "jane",
        Field::Alias,
        Match::Alias,
        "plumber",
    )
    .await;
    finds(conn, "sparky", "jane", Field::Alias, Match::Alias, "sparky").await;
    finds(
        conn,
        "Sparki",
        "jane",
        Field::Alias,
        Match::Misspelling,
        "sparky",
    )
    .await;

    // Still within the transaction that teaches, and gone with it.
    let mut teaching = conn.begin().await.unwrap();
    sqlx::query("update contact_context set nicknames = '{Zebedee}'")
        .execute(&mut *teaching)
        .await
        .unwrap();
    finds(
        &mut teaching,
        "zebedee",
        "jane",
        Field::Alias,
        Match::Alias,
        "zebedee",
    )
    .await;
    teaching.rollback().await.unwrap();
    never_finds(conn, "zebedee", "jane").await;

    sqlx::query("delete from contact_context")
        .execute(&mut **conn)
        .await
        .unwrap();
    never_finds(conn, "sparky", "jane").await;
}
