//! Clients that introduce themselves.

use serde_json::{Value, json};

use super::browser::{at, house};
use crate::mcp::house::House;

async fn register(house: &House, body: &Value) -> (u16, Value) {
    let reply = house
        .http
        .post(at(house, "/register"))
        .json(body)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.headers()["cache-control"], "no-store");
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test]
async fn a_registration_is_echoed_and_the_same_once_more_is_the_same_client() {
    let house = house().await;
    let body = json!({
        "client_name": "Claude",
        "redirect_uris": ["https://claude.ai/api/mcp/auth_callback", "http://localhost/callback"],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "scope": "",
        "application_type": "native",
        "software_id": "x",
        "contacts": 7,
    });
    let (status, made) = register(&house, &body).await;
    assert_eq!(status, 201);
    assert!(made["client_id"].as_str().unwrap().starts_with("mtc_"));
    assert!(made["client_id_issued_at"].is_i64());
    assert_eq!(made["token_endpoint_auth_method"], "none");
    assert_eq!(
        made["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    for field in [
        "client_name",
        "redirect_uris",
        "response_types",
        "scope",
        "application_type",
    ] {
        assert_eq!(made[field], body[field], "{field}");
    }
    assert!(made.get("client_secret").is_none());
    let (_, again) = register(&house, &body).await;
    assert_eq!(made, again);
    let mut other = body.clone();
    other["redirect_uris"] = json!(["http://localhost/callback"]);
    assert_ne!(
        register(&house, &other).await.1["client_id"],
        made["client_id"]
    );
    for method in ["client_secret_post", "client_secret_basic"] {
        let mut body = body.clone();
        body["token_endpoint_auth_method"] = method.into();
        let (_, one) = register(&house, &body).await;
        let (_, two) = register(&house, &body).await;
        assert_ne!(
            one["client_id"], two["client_id"],
            "who has a secret shares it with nobody"
        );
        assert_eq!(
            (
                &one["token_endpoint_auth_method"],
                &one["client_secret_expires_at"]
            ),
            (&json!(method), &json!(0))
        );
        assert!(one["client_secret"].as_str().unwrap().len() > 40);
    }
}

#[tokio::test]
async fn what_cannot_be_registered_is_said() {
    let house = house().await;
    for (body, error) in [
        (json!({}), "invalid_client_metadata"),
        (json!([]), "invalid_client_metadata"),
        (
            json!({ "redirect_uris": "https://client.example/cb" }),
            "invalid_client_metadata",
        ),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
        (
            json!({ "redirect_uris": ["http://client.example/cb"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["https://client.example/cb", "javascript:alert(1)"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["https://client.example/cb#x"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": vec!["https://client.example/cb"; 21] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": "private_key_jwt" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": ["https://client.example/cb"], "grant_types": ["client_credentials"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": ["https://client.example/cb"], "client_name": "\u{0}" }),
            "",
        ),
    ] {
        let (status, said) = register(&house, &body).await;
        if error.is_empty() {
            assert_eq!(
                (status, &said["client_name"]),
                (201, &json!("A program without a name"))
            );
        } else {
            assert_eq!((status, &said["error"]), (400, &json!(error)), "{body}");
        }
    }
    let long = house
        .http
        .post(at(&house, "/register"))
        .body("x".repeat(100_000));
    assert_eq!(long.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_flood_of_registrations_is_slowed_down_and_what_nobody_allows_is_forgotten() {
    let house = house().await;
    let mut slowed = None;
    for i in 0..60 {
        let body = json!({ "client_name": format!("Flood {i}"), "redirect_uris": ["http://localhost/callback"] });
        let reply = house
            .http
            .post(at(&house, "/register"))
            .json(&body)
            .send()
            .await
            .unwrap();
        if reply.status() == 429 {
            assert!(reply.headers().contains_key("retry-after"));
            slowed = Some(i);
            break;
        }
    }
    assert!(slowed.is_some_and(|i| i >= 30), "{slowed:?}");
    house
        .home
        .sql("update oauth_clients set seen_at = now() - interval '8 days'")
        .await;
    // The next server sweeps when somebody comes by.
    let next = house
        .beside(&[
            "--sandbox",
            "mcp",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--auth",
        ])
        .await;
    let body = json!({ "client_name": "New", "redirect_uris": ["http://localhost/callback"] });
    assert_eq!(register(&next, &body).await.0, 201);
    assert_eq!(
        house.home.rows("select name from oauth_clients").await,
        ["New"]
    );
}
