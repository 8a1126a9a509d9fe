//! Refusals, limits, lag and trouble.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn tokens_scopes_versions_locations_and_paths_are_checked() {
    let mut sandbox = Sandbox::start(unlimited()).await;
    let message = |(status, body): (StatusCode, Value)| {
        (
            status.as_u16(),
            body["message"].as_str().unwrap_or("").to_owned(),
        )
    };
    let list = in_location("/contacts/");
    let expect = |code: u16, text: &str| (code, text.to_owned());

    let response = sandbox
        .client
        .get(format!("{}{list}", sandbox.running.url()))
        .bearer_auth("pit-sandbox")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["message"], "version header was not found.");
    assert!(body["traceId"].is_string());

    for (path, code, text) in [
        (
            "/contacts/?locationId=elsewhere".to_owned(),
            403,
            "The token does not have access to this location.",
        ),
        (
            "/contacts/".to_owned(),
            403,
            "The token does not have access to this location.",
        ),
        (
            format!("/locations/{LOCATION_ID}/customfields"),
            401,
            "This route is not yet supported by the IAM Service. Please update your IAM config.",
        ),
        (
            in_location("/contacts"),
            401,
            "This route is not yet supported by the IAM Service. Please update your IAM config.",
        ),
        ("/users/nobody".to_owned(), 401, "The user does not exist."),
    ] {
        let answer = sandbox.send(Method::GET, &path, None).await;
        assert_eq!(message(answer), expect(code, text), "{path}");
    }

    sandbox.token = "pit-readonly";
    assert_eq!(sandbox.send(Method::GET, &list, None).await.0, 200);
    let create = json!({"locationId": LOCATION_ID});
    let answer = sandbox.send(Method::POST, "/contacts/", Some(create)).await;
    let scope = expect(401, "The token is not authorized for this scope.");
    assert_eq!(message(answer), scope);
    sandbox.token = "pit-noscope";
    assert_eq!(message(sandbox.send(Method::GET, &list, None).await), scope);
    sandbox.token = "pit-rotated";
    assert_eq!(
        message(sandbox.send(Method::GET, &list, None).await),
        expect(401, "Invalid JWT")
    );
}

#[tokio::test]
async fn bodies_are_validated_and_doubles_refused() {
    let sandbox = Sandbox::start(unlimited()).await;
    for (body, text) in [
        (json!({"pageLimit": 5}), "locationId should not be empty"),
        (
            json!({"locationId": LOCATION_ID, "limit": 5}),
            "property limit should not exist",
        ),
        (
            json!({"locationId": LOCATION_ID, "pageLimit": 501}),
            "pageLimit must not be greater than 500",
        ),
    ] {
        let (status, answer) = sandbox
            .send(Method::POST, "/contacts/search", Some(body))
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer["message"][0], text);
    }

    let known = sandbox
        .first(50)
        .await
        .into_iter()
        .find(|row| row["email"].is_string())
        .unwrap();
    let email = known["email"].as_str().unwrap().to_uppercase();
    let double = json!({"locationId": LOCATION_ID, "email": email});
    let (status, answer) = sandbox.send(Method::POST, "/contacts/", Some(double)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answer["message"],
        "This location does not allow duplicated contacts."
    );
    assert_eq!(answer["meta"]["contactId"], known["id"]);
    assert_eq!(answer["meta"]["matchingField"], "email");

    let id = known["id"].as_str().unwrap();
    let (status, _) = sandbox
        .send(
            Method::PUT,
            &format!("/contacts/{id}"),
            Some(json!({"companyName": "x"})),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let found = sandbox
        .get(&in_location(&format!(
            "/contacts/search/duplicate?email={email}"
        )))
        .await;
    assert_eq!(found["contact"]["id"], known["id"]);
    let nobody = sandbox
        .get(&in_location(
            "/contacts/search/duplicate?number=%2B19995550000",
        ))
        .await;
    assert_eq!(nobody["contact"], Value::Null);
}

#[tokio::test]
async fn searches_lag_behind_writes_and_reads_by_id_do_not() {
    let sandbox = Sandbox::start(Options {
        index_lag: Duration::from_millis(400),
        ..unlimited()
    })
    .await;
    let created = sandbox
        .post(
            "/contacts/",
            json!({"locationId": LOCATION_ID, "email": "late@new.example"}),
        )
        .await;
    let id = created["contact"]["id"].as_str().unwrap();
    let search = json!({"locationId": LOCATION_ID, "pageLimit": 5,
        "filters": [{"field": "email", "operator": "eq", "value": "late@new.example"}]});
    let found = sandbox.post("/contacts/search", search.clone()).await;
    assert_eq!(found["total"], 0);
    sandbox.get(&format!("/contacts/{id}")).await;
    tokio::time::sleep(Duration::from_millis(450)).await;
    let found = sandbox.post("/contacts/search", search).await;
    assert_eq!(found["total"], 1);
    assert_eq!(found["contacts"][0]["id"], id);
    // The same person in the two shapes.
    let row = &found["contacts"][0];
    assert!(row.get("address1").is_none() && row.get("address").is_some());
    assert!(created["contact"].get("address").is_none());
}

#[tokio::test]
async fn limits_are_told_in_headers_without_retry_after() {
    let sandbox = Sandbox::start(Options {
        limits: Limits {
            per_window: Some(3),
            window: Duration::from_millis(600),
            daily: Some(5),
        },
        ..unlimited()
    })
    .await;
    let path = in_location("/users/");
    let started = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = sandbox.try_send(Method::GET, &path, None).await.unwrap();
        statuses.push(answer.status().as_u16());
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(header("x-ratelimit-max").unwrap(), "3");
        assert_eq!(header("x-ratelimit-interval-milliseconds").unwrap(), "600");
        assert_eq!(header("x-ratelimit-limit-daily").unwrap(), "5");
        let reset: u64 = header("x-ratelimit-daily-reset").unwrap().parse().unwrap();
        assert!((86_000_000..=86_400_000).contains(&reset));
        assert_eq!(header("retry-after"), None);
    }
    assert!(started.elapsed() < Duration::from_millis(600));
    assert_eq!(statuses, [200, 200, 200, 429]);
    tokio::time::sleep(Duration::from_millis(650)).await;
    for expected in [200, 200, 429] {
        let (status, _) = sandbox.send(Method::GET, &path, None).await;
        assert_eq!(status.as_u16(), expected);
    }
    let counters = sandbox.control("counters", json!({"reset": true})).await;
    assert_eq!(counters["total"], 7);
    assert_eq!(counters["refused"], 2);
    assert_eq!(counters["max_fixed_window"], 4);
    assert_eq!(counters["max_sliding_window"], 4);
    assert_eq!(counters["by_route"]["GET /users/"], 7);
    assert_eq!(sandbox.control("counters", json!({})).await["total"], 0);
}

#[tokio::test]
async fn trouble_comes_and_goes_as_asked() {
    let sandbox = Sandbox::start(unlimited()).await;
    let path = in_location("/users/");
    let on = async |trouble: &str| {
        sandbox.control("calm", json!({})).await;
        sandbox
            .control("trouble", json!({"trouble": trouble}))
            .await;
    };
    for (trouble, status) in [
        ("429", 429),
        ("daily", 429),
        ("5xx", 500),
        ("token", 401),
        ("auth-timeout", 401),
        ("html", 200),
    ] {
        on(trouble).await;
        let answer = sandbox.try_send(Method::GET, &path, None).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{trouble}");
    }
    for trouble in ["half-json", "html", "bad-utf8", "cut"] {
        on(trouble).await;
        let answer = sandbox.try_send(Method::GET, &path, None).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.json::<Value>().await.is_err(), "{trouble}");
    }
    on("drop").await;
    assert!(sandbox.try_send(Method::GET, &path, None).await.is_err());
    on("huge=3").await;
    let answer = sandbox.try_send(Method::GET, &path, None).await.unwrap();
    assert!(answer.bytes().await.unwrap().len() > 3_000_000);
    on("nul").await;
    let users = sandbox.get(&path).await;
    assert!(users["users"][0]["name"].as_str().unwrap().contains('\0'));
    on("slow=0.3").await;
    let started = Instant::now();
    sandbox.get(&path).await;
    assert!(started.elapsed() >= Duration::from_millis(300));

    on("repeat-page").await;
    let mut body = json!({"locationId": LOCATION_ID, "pageLimit": 3});
    let first = sandbox.post("/contacts/search", body.clone()).await;
    body["searchAfter"] = first["contacts"][2]["searchAfter"].clone();
    let second = sandbox.post("/contacts/search", body).await;
    assert_eq!(first["contacts"], second["contacts"]);
}

#[tokio::test]
async fn a_write_can_be_done_and_denied() {
    let sandbox = Sandbox::start(unlimited()).await;
    let exists = async |email: &str| {
        let path = in_location(&format!("/contacts/search/duplicate?email={email}"));
        sandbox.get(&path).await["contact"].is_object()
    };
    let create = async |email: &str| {
        let body = json!({"locationId": LOCATION_ID, "email": email});
        sandbox
            .try_send(Method::POST, "/contacts/", Some(body))
            .await
    };
    let once = |trouble: &str| json!({"trouble": trouble, "times": 1, "method": "POST"});
    sandbox.control("trouble", once("done-but-error")).await;
    let answer = create("a@new.example").await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(exists("a@new.example").await);
    sandbox.control("trouble", once("done-but-drop")).await;
    assert!(create("b@new.example").await.is_err());
    assert!(exists("b@new.example").await);
    // For contrast: dropped before it was done.
    sandbox.control("trouble", once("drop")).await;
    assert!(create("c@new.example").await.is_err());
    assert!(!exists("c@new.example").await);
    assert_eq!(create("c@new.example").await.unwrap().status(), 201);
}
