//! Whether the server can work, for whoever asks without a credential, and as often as they like.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::house::{Home, House};

const SERVE: [&str; 5] = ["--sandbox", "mcp", "serve", "--listen", "127.0.0.1:0"];

async fn ready(house: &House, header: Option<(&str, &str)>) -> (u16, Value) {
    let mut ask = house.http.get(house.url.replace("/mcp", "/ready"));
    if let Some((name, value)) = header {
        ask = ask.header(name, value);
    }
    let reply = ask.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test]
async fn many_who_ask_at_once_cost_the_database_one_look() {
    let house = House::new().await;
    let mut conn = PgConnection::connect_with(&house.home.database)
        .await
        .unwrap();
    let mut other = PgConnection::connect_with(&house.home.database)
        .await
        .unwrap();
    assert_eq!(ready(&house, None).await.0, 200);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut held = conn.begin().await.unwrap();
    sqlx::query("lock table biz_sandbox._sqlx_migrations in access exclusive mode")
        .execute(&mut *held)
        .await
        .unwrap();
    let asked = join_all((0..40).map(|_| ready(&house, None)));
    let looked = async {
        let waiting = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation
            where c.relname = '_sqlx_migrations' and not l.granted";
        let mut count = async || -> i64 {
            let count = sqlx::query_scalar(waiting);
            count.fetch_one(&mut other).await.unwrap()
        };
        while count().await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The others come meanwhile.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let waiting = count().await;
        held.rollback().await.unwrap();
        waiting
    };
    let (answers, waiting) = tokio::join!(asked, looked);
    assert_eq!(waiting, 1, "one of them looks for all");
    assert!(answers.iter().all(|(status, _)| *status == 200));

    let sql = "delete from biz_sandbox._sqlx_migrations where version = (select max(version) from biz_sandbox._sqlx_migrations)";
    // Asked just before, it is remembered whatever the machine does meanwhile.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(ready(&house, None).await.0, 200);
    let asked = Instant::now();
    sqlx::query(sql).execute(&mut other).await.unwrap();
    let (status, _) = ready(&house, None).await;
    let is_remembered = asked.elapsed() < Duration::from_millis(900);
    assert!(status == 200 || !is_remembered, "as it was a moment ago");
    let began = Instant::now();
    while ready(&house, None).await.0 != 503 {
        assert!(began.elapsed() < Duration::from_secs(10), "that is old");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_stranger_learns_no_more_than_whether_it_is() {
    let whole = |said: &Value| said["version"].is_string() && said["migrations"].is_object();
    let bare = json!({ "status": "ready" });
    let via = |value| Some(("x-forwarded-for", value));
    let open = House::new().await;
    assert!(whole(&ready(&open, None).await.1));
    assert_eq!(ready(&open, via("203.0.113.7")).await.1, bare);
    let home = Home::new().await;
    let guarded = House::start(home, &[&SERVE[..], &["--auth"]].concat()).await;
    assert!(whole(&ready(&guarded, None).await.1), "from this machine");
    assert_eq!(
        ready(&guarded, via("203.0.113.7")).await,
        (200, bare.clone())
    );
    let proxied = guarded
        .beside(&[&SERVE[..], &["--trust-proxy"]].concat())
        .await;
    assert!(whole(&ready(&proxied, None).await.1));
    assert_eq!(ready(&proxied, via("203.0.113.7")).await.1, bare);
    // All who come through this one's proxy look alike.
    let public = ["--public-url", "https://tools.example.com"];
    let public = guarded.beside(&[&SERVE[..], &public].concat()).await;
    assert_eq!(ready(&public, None).await.1, bare);
}
