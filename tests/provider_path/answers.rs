//! What an answer becomes, what is tried again, what is recorded and what never is.

use super::*;

#[tokio::test]
async fn a_read_is_answered_and_recorded() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, request| {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("authorization"), format!("Bearer {TOKEN}"));
        assert_eq!(header("version"), "2021-04-15");
        assert!(header("user-agent").starts_with("medtainer/"));
        assert_eq!(request.uri(), "/conversations/a%2Fb?q=%2B1+5");
        ([("x-request-id", "r-1")], json(r#"{"a":1}"#)).into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let meter = gateway.metered();
    let request = Request::new(Method::Get, "/conversations/{id}", &["a/b"])
        .unwrap()
        .query("q", "+1 5");
    let reply = meter
        .send(provider.call(&TESTER, request, &token()))
        .await
        .unwrap();
    assert_eq!(reply.text, r#"{"a":1}"#);
    assert_eq!(reply.request_id.as_deref(), Some("r-1"));
    assert!(!reply.repaired);
    assert_eq!((meter.calls(), gateway.calls()), (1, 0));

    gateway.flush().await.unwrap();
    let rows: Vec<(String, i64, String, String, i64, bool)> = sqlx::query_as(
        "select endpoint, execution_id, account, request_id, bytes, rate_limited from api_calls",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    assert_eq!(
        rows,
        [(
            "/conversations/{id}".into(),
            7,
            "loc1".into(),
            "r-1".into(),
            7,
            false
        )]
    );
}

#[tokio::test]
async fn refusals_keep_the_words_of_the_provider_and_open_no_breaker() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, request| match request.uri().path() {
        "/contacts/401" => status(401, r#"{"message":"Invalid JWT"}"#),
        "/contacts/404" => status(404, ""),
        "/contacts/409" => status(409, r#"{"message":"there already"}"#),
        _ => status(
            422,
            "{\"message\":\"property \\n x should not exist, pit-0f9c4be1-very-secret\",\"traceId\":\"t-9\"}",
        ),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    for (id, kind, message) in [
        ("401", Kind::Auth, "Tester refused: Invalid JWT (401)"),
        ("404", Kind::NotFound, "Tester refused (404)"),
        ("409", Kind::Conflict, "Tester refused: there already (409)"),
        (
            "422",
            Kind::Refused,
            "Tester refused: property x should not exist, … (422, request t-9)",
        ),
        (
            "1",
            Kind::Refused,
            "Tester refused: property x should not exist, … (422, request t-9)",
        ),
        (
            "2",
            Kind::Refused,
            "Tester refused: property x should not exist, … (422, request t-9)",
        ),
        (
            "3",
            Kind::Refused,
            "Tester refused: property x should not exist, … (422, request t-9)",
        ),
    ] {
        let request = Request::new(Method::Get, "/contacts/{id}", &[id]).unwrap();
        let error = gateway
            .send(provider.call(&TESTER, request, &token))
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
    }
    assert_eq!(provider.count(), 7);
    gateway.flush().await.unwrap();
    assert_eq!(
        recorded(store.pool()).await[0],
        "testing /contacts/{id} GET 401 1 auth"
    );
}

#[tokio::test]
async fn a_refusal_that_is_none_is_tried_again() {
    let store = database::migrated().await;
    let provider = Provider::new(|number, _| match number % 2 {
        0 => status(401, r#"{"message":"Command timed out"}"#),
        _ => json("[]"),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    gateway
        .send(provider.call(&TESTER, read(), &token))
        .await
        .unwrap();
    assert_eq!(provider.count(), 2);
    let error = gateway
        .send(provider.call(&TESTER, write(), &token))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::OutcomeUnknown);
    assert_eq!(provider.count(), 3);
}

#[tokio::test]
async fn a_write_whose_end_is_unknown_is_not_repeated() {
    let store = database::migrated().await;
    let token = token();
    for (says, message) in [
        (
            &b""[..],
            "Tester may or may not have done it: the connection to Tester broke before the answer was complete",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\"",
            "Tester may or may not have done it: the connection to Tester broke before the answer was complete",
        ),
        (
            b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n",
            "Tester may or may not have done it: Tester failed (502)",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
            "Tester may or may not have done it: Tester answered with text/html where JSON belongs (200)",
        ),
    ] {
        let provider = Provider::rude(says).await;
        let gateway = Gateway::with(store.pool().clone(), QUICK);
        let mut call = provider.call(&TESTER, write(), &token);
        call.account = message;
        let error = gateway.send(call).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::OutcomeUnknown, message)
        );
        assert_eq!(
            error.hint_text(),
            Some("Look before trying again: `medtainer audit show 7`.")
        );
        assert_eq!(provider.count(), 1);
        // The same as a read is tried again, until there is no point in it.
        if !message.contains("JSON") {
            let mut call = provider.call(&TESTER, read(), &token);
            call.account = "reader";
            let error = gateway.send(call).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(provider.count() > 1);
            sqlx::query("delete from provider_gates")
                .execute(store.pool())
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_unknown_and_a_read_keeps_its_deadline() {
    let store = database::migrated().await;
    let provider = Provider::slow(Duration::from_secs(5), |_, _| json("{}")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let started = Instant::now();
    let mut call = provider.call(&TESTER, read(), &token);
    call.deadline = started + Duration::from_millis(300);
    let error = gateway.send(call).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Unavailable, "Tester did not answer in time")
    );
    assert!(started.elapsed() < Duration::from_millis(600));

    let error = gateway
        .send(provider.call(&TESTER, write(), &token))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::OutcomeUnknown);
    gateway.flush().await.unwrap();
    assert_eq!(
        recorded(store.pool()).await,
        [
            "testing /contacts/{id} GET - 1 timeout",
            "testing /contacts/ POST - 1 timeout"
        ]
    );
    // Only the write had waited long enough to blame the provider.
    let standing = medtainer_core::http::standings(store.pool()).await.unwrap();
    assert_eq!(standing[0].failures, 1);
}

#[tokio::test]
async fn a_provider_that_is_down_is_named_and_a_write_was_certainly_not_done() {
    let store = database::migrated().await;
    let nobody = Provider {
        url: "http://127.0.0.1:9".into(),
        asked: Arc::default(),
    };
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let error = gateway
        .send(nobody.call(&TESTER, write(), &token()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Unavailable, "Tester cannot be reached")
    );
    assert_eq!(gateway.calls(), 3);
}

#[tokio::test]
async fn answers_that_are_no_answers_are_told_apart() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, request| match request.uri().path() {
        "/contacts/html" => {
            ([("content-type", "text/html; charset=utf-8")], "<p>Log in").into_response()
        }
        "/contacts/half" => json(r#"{"a": [1, 2"#),
        "/contacts/empty" => json(""),
        "/contacts/moved" => ([("location", "/login")], status(302, "")).into_response(),
        "/contacts/wall" => (
            StatusCode::FORBIDDEN,
            [("content-type", "text/html")],
            "<p>jane@example.com is blocked",
        )
            .into_response(),
        _ => (
            [("content-type", "application/json")],
            format!("\"{}\"", "x".repeat(70 << 10)),
        )
            .into_response(),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    for (id, kind, message) in [
        (
            "html",
            Kind::Unavailable,
            "Tester answered with text/html where JSON belongs (200)",
        ),
        (
            "half",
            Kind::Unavailable,
            "Tester answered with JSON that breaks off or is malformed (200)",
        ),
        (
            "empty",
            Kind::Unavailable,
            "Tester answered with JSON that breaks off or is malformed (200)",
        ),
        (
            "moved",
            Kind::Unavailable,
            "Tester answered with a redirect (302) where JSON belongs",
        ),
        (
            "wall",
            Kind::Unavailable,
            "Tester answered with text/html where JSON belongs (403)",
        ),
        ("big", Kind::Refused, "Tester answered with more than 1 MiB"),
    ] {
        let request = Request::new(Method::Get, "/contacts/{id}", &[id]).unwrap();
        let error = gateway
            .send(provider.call(&TESTER, request, &token))
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
    }
    assert_eq!(provider.count(), 6);
}

#[tokio::test]
async fn text_that_jsonb_refuses_is_repaired_and_said_so() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| {
        let body: &[u8] =
            b"{\"a\":\"x\\u0000y\",\"b\":\"\\ud83d\",\"c\":\"caf\xe9\",\"d\":\"\\ud83d\\ude00\"}";
        ([("content-type", "application/json")], body).into_response()
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let reply = gateway
        .send(provider.call(&TESTER, read(), &token()))
        .await
        .unwrap();
    assert!(reply.repaired);
    let stored: serde_json::Value = sqlx::query_scalar("select $1::text::jsonb")
        .bind(&reply.text)
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(
        stored,
        serde_json::json!({"a": "x\u{fffd}y", "b": "\u{fffd}", "c": "caf\u{fffd}", "d": "😀"})
    );
}

#[tokio::test]
async fn the_same_read_at_the_same_time_is_one_request() {
    let store = database::migrated().await;
    let provider = Provider::slow(Duration::from_millis(200), |number, _| match number {
        0 => json("[]"),
        _ => status(404, ""),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let many = (0..10).map(|_| gateway.send(provider.call(&TESTER, read(), &token)));
    for result in futures::future::join_all(many).await {
        assert_eq!(result.unwrap().text, "[]");
    }
    assert_eq!((provider.count(), gateway.calls()), (1, 1));
    // An error is shared as well, and another token is another request.
    let other = credential("other");
    let results = futures::future::join_all([
        gateway.send(provider.call(&TESTER, read(), &token)),
        gateway.send(provider.call(&TESTER, read(), &token)),
        gateway.send(provider.call(&TESTER, read(), &other)),
    ])
    .await;
    for result in results {
        assert_eq!(result.unwrap_err().kind(), Kind::NotFound);
    }
    assert_eq!(provider.count(), 3);
    // Writes are never shared.
    let writes = (0..2).map(|_| gateway.send(provider.call(&TESTER, write(), &token)));
    futures::future::join_all(writes).await;
    assert_eq!(provider.count(), 5);
}

#[tokio::test]
async fn who_is_given_up_keeps_nobody_waiting_and_is_recorded() {
    let store = database::migrated().await;
    let provider = Provider::slow(Duration::from_millis(200), |_, _| json("[]")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let first = gateway.send(provider.call(&TESTER, read(), &token));
    let second = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        gateway.send(provider.call(&TESTER, read(), &token)).await
    };
    let (first, second) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(100), first),
        second
    );
    assert!(first.is_err());
    assert_eq!(second.unwrap().text, "[]");
    gateway.flush().await.unwrap();
    assert_eq!(
        recorded(store.pool()).await,
        [
            "testing /contacts/{id} GET - 1 cancelled",
            "testing /contacts/{id} GET 200 1"
        ]
    );
}

#[tokio::test]
async fn secrets_and_people_are_in_no_log_and_no_row() {
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Said(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Said {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl<'a> MakeWriter<'a> for Said {
        type Writer = Said;
        fn make_writer(&'a self) -> Said {
            self.clone()
        }
    }

    let store = database::migrated().await;
    let said = Said::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(said.clone())
        .finish();
    // With only one subscriber tracing lets the thread that comes first decide what is logged at all,
    // and that may be another test's.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _here = tracing::subscriber::set_default(subscriber);
    let provider = Provider::new(|number, _| match number {
        0 => status(500, r#"{"message":"jane@example.com"}"#),
        _ => json(r#"{"email":"jane@example.com"}"#),
    })
    .await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let token = token();
    let request = Request::new(Method::Get, "/contacts/{email}", &["jane@example.com"])
        .unwrap()
        .query("email", "jane@example.com");
    gateway
        .send(provider.call(&TESTER, request, &token))
        .await
        .unwrap();
    let typed = Request::raw(Method::Get, "/search/jane@example.com?q=jane@example.com").unwrap();
    gateway
        .send(provider.call(&TESTER, typed, &token))
        .await
        .unwrap();
    gateway
        .send(provider.call(&TESTER, write(), &token))
        .await
        .unwrap();
    gateway.flush().await.unwrap();

    let rows: String = sqlx::query_scalar(
        "select string_agg(c::text, ' ') || (select string_agg(g::text, ' ') from provider_gates g) from api_calls c",
    )
    .fetch_one(store.pool())
    .await
    .unwrap();
    let log = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    assert!(
        rows.contains("/contacts/{email}") && rows.contains("/search/…"),
        "{rows}"
    );
    assert!(log.contains("asked a provider") && log.contains("trying again"));
    for hidden in [TOKEN, "0f9c4be1", "jane"] {
        assert!(!rows.contains(hidden), "{hidden} in {rows}");
        let line = log.lines().find(|line| line.contains(hidden));
        assert!(line.is_none(), "{hidden} in {line:?}");
    }
    let call = format!("{:?} {:?} {gateway:?}", read(), token);
    assert!(!call.contains(TOKEN));
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_an_auth_error() {
    let store = database::migrated().await;
    let provider = Provider::new(|_, _| json("[]")).await;
    let gateway = Gateway::with(store.pool().clone(), QUICK);
    let broken = credential("pit-abc\ndef");
    let error = gateway
        .send(provider.call(&TESTER, read(), &broken))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(!format!("{error:?}").contains("abc"));
    assert_eq!(provider.count(), 0);
}
