//! Zones, their settings and DNSSEC, and what a token says of itself.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal, Reply, Sizes};
use super::routes::{Group, Token};
use super::world::{ACCOUNTS, Zone};

/// `GET /zones`.
pub(super) fn list(call: &mut Call<'_>) -> Reply {
    if let Some(status) = call.query("status")
        && !matches!(status, "initializing" | "pending" | "active" | "moved")
    {
        return Err(Refusal::invalid("status is invalid"));
    }
    // Without Zone Read there is nothing to see, and no word about it.
    let allowed = call.token.may(Group::ZoneRead);
    let any = call.query("match") == Some("any");
    let mut zones: Vec<&Zone> = call
        .world
        .zones
        .iter()
        .enumerate()
        .filter(|(place, _)| allowed && call.token.sees(*place))
        .map(|(_, zone)| zone)
        .filter(|zone| {
            let (account, account_name) = ACCOUNTS[zone.account];
            let tests = [
                call.query("name").map(|wanted| compare(wanted, &zone.name)),
                call.query("status").map(|wanted| wanted == zone.status),
                call.query("type")
                    .map(|wanted| wanted.split(',').any(|kind| kind == "full")),
                call.query("account.id").map(|wanted| wanted == account),
                call.query("account.name")
                    .map(|wanted| compare(wanted, account_name)),
            ];
            let mut tests = tests.into_iter().flatten().peekable();
            if any && tests.peek().is_some() {
                tests.any(|held| held)
            } else {
                tests.all(|held| held)
            }
        })
        .collect();
    match call.query("order") {
        None | Some("name") => zones.sort_by(|a, b| a.name.cmp(&b.name)),
        Some("status") => zones.sort_by(|a, b| (&a.status, &a.name).cmp(&(&b.status, &b.name))),
        Some("account.id" | "account.name") => {
            zones.sort_by(|a, b| (a.account, &a.name).cmp(&(b.account, &b.name)));
        }
        Some("plan.id") => zones.sort_by(|a, b| (a.plan.2, &a.name).cmp(&(b.plan.2, &b.name))),
        Some(_) => return Err(Refusal::invalid("order is invalid")),
    }
    if call.query("direction") == Some("desc") {
        zones.reverse();
    }
    let found = zones.into_iter().map(Zone::json).collect();
    call.page(
        found,
        Sizes {
            usual: 20,
            least: 5,
            most: 50,
        },
    )
}

/// Compares as an operator before the text says.
fn compare(wanted: &str, name: &str) -> bool {
    let (operator, text) = wanted.split_once(':').unwrap_or(("equal", wanted));
    let text = text.to_lowercase();
    let name = name.to_lowercase();
    match operator {
        "contains" => name.contains(&text),
        "starts_with" => name.starts_with(&text),
        "ends_with" => name.ends_with(&text),
        "not_equal" => name != text,
        _ => name == text,
    }
}

/// `GET /zones/{id}`.
pub(super) fn get(call: &mut Call<'_>) -> Reply {
    Answer::ok(call.zone()?.json())
}

/// `GET /zones/{id}/settings/{setting}`.
pub(super) fn setting(call: &mut Call<'_>) -> Reply {
    let name = call.part(1);
    let setting = call.zone()?.setting(name);
    setting.map_or_else(
        || {
            let message = format!("Undefined zone setting: {name}");
            Err(Refusal::new(StatusCode::BAD_REQUEST, 1007, &message))
        },
        Answer::ok,
    )
}

/// `GET /zones/{id}/dnssec`.
pub(super) fn dnssec(call: &mut Call<'_>) -> Reply {
    Answer::ok(call.zone()?.dnssec_json())
}

/// `GET /user/tokens/verify`: only for tokens of a user.
pub(super) fn verify_user_token(call: &mut Call<'_>) -> Reply {
    if call.token == Token::Account {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            10_000,
            "Authentication error",
        ));
    }
    verified(call.token)
}

/// `GET /accounts/{id}/tokens/verify`: only for tokens of that account.
pub(super) fn verify_account_token(call: &mut Call<'_>) -> Reply {
    if call.token != Token::Account || call.part(0) != ACCOUNTS[0].0 {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            10_000,
            "Authentication error",
        ));
    }
    verified(call.token)
}

fn verified(token: Token) -> Reply {
    let (status, message) = match token {
        Token::Expired => ("expired", "This API Token is expired"),
        _ => ("active", "This API Token is valid and active"),
    };
    let mut result = json!({"id": "ed17574386854bf78a67040be0a770b0", "status": status});
    if token == Token::Expired {
        result["expires_on"] = Value::from("2026-10-01T00:00:00Z");
    }
    Ok(Answer::Result {
        result,
        info: None,
        messages: vec![json!({"code": 10_000, "message": message})],
    })
}
