//! GoHighLevel: the CRM.

mod analyze;
mod api;
mod collections;
mod contact;
mod contacts;
mod context;
mod email;
mod history;
mod insights;
pub mod lessons;
pub mod lookup;
mod r#move;
mod pipeline;
mod privacy;
mod prompts;
mod recommend;
mod resources;
pub mod sandbox;
mod search;
pub mod store;
mod sync;
mod sync_stats;
mod task;
pub mod types;
mod who;

use futures::FutureExt;
use medtainer_core::Kind;
use medtainer_core::config::Schedule;
use medtainer_core::ecosystem::{Ecosystem, Sandbox};
use medtainer_core::http::{
    Auth, ErrorBody, Field, LimitHeaders, Limits, Quota, QuotaHeaders, Reset, Service, Version,
};
use medtainer_core::tree::Group;
use serde_json::{Value, json};

/// The commands.
pub fn group() -> Group {
    Group::new("ghl", "GoHighLevel: contacts, deals, messages, sync")
        .aliases(&["gohighlevel"])
        .privacy(&privacy::PRIVACY)
        .command::<contacts::Contacts>("contacts")
        .command::<contact::Contact>("contact")
        .command::<search::Search>("search")
        .command::<pipeline::Pipeline>("pipeline")
        .command::<history::History>("history")
        .command::<insights::Insights>("insights")
        .command::<analyze::Analyze>("analyze")
        .command::<recommend::Recommend>("recommend")
        .command::<context::Context>("context")
        .command::<sync::Sync>("sync")
        .command::<sync_stats::SyncStats>("sync-stats")
        .seldom()
        .action::<task::Task>("task")
        .action::<email::Email>("email")
        .action::<r#move::Move>("move")
}

/// Everything core has to know about GoHighLevel.
pub static GHL: Ecosystem = Ecosystem {
    service: &SERVICE,
    group,
    resources: resources::RESOURCES,
    prompts: prompts::PROMPTS,
    steps: prompts::STEPS,
    feeds: sync::FEEDS,
    account: |credential| credential.text("location").unwrap_or_default().to_owned(),
    sandbox: Sandbox {
        router: |options| sandbox::router(sandbox::Options::from(options)),
        credentials: &[
            ("token", sandbox::TOKEN),
            ("location", sandbox::LOCATION_ID),
        ],
    },
    probe: |cx| api::location_name(cx).boxed(),
    schedules: || {
        vec![(
            "ghl-sync".to_owned(),
            Schedule {
                command: vec!["ghl".to_owned(), "sync".to_owned()],
                cron: "*/15 * * * *".to_owned(),
                timezone: None,
                enabled: true,
                grace: None,
            },
        )]
    },
};

const SERVICE: Service = Service {
    name: "ghl",
    catalog_name: "gohighlevel",
    title: "GoHighLevel",
    base_url: "https://services.leadconnectorhq.com",
    url_variable: "MEDTAINER_GHL_URL",
    auth: Auth::BEARER,
    // A private integration token on a trial account was measured at 25; apps get 100 and say so.
    limits: Some(Limits {
        max_requests: 25,
        window_ms: 10_000,
        quota: Some(Quota {
            requests: 200_000,
            per: "day",
        }),
    }),
    limit_headers: LimitHeaders {
        max: Some("x-ratelimit-max"),
        window_ms: Some("x-ratelimit-interval-milliseconds"),
        quota: Some(QuotaHeaders {
            max: Some("x-ratelimit-limit-daily"),
            remaining: "x-ratelimit-daily-remaining",
            reset: Reset::InMilliseconds("x-ratelimit-daily-reset"),
            sliding: false,
        }),
    },
    retry_after: false,
    request_id_header: None,
    versions: &[
        Version {
            prefix: "",
            header: "version",
            value: "2021-07-28",
        },
        Version {
            prefix: "/conversations",
            header: "version",
            value: "2021-04-15",
        },
        Version {
            prefix: "/calendars",
            header: "version",
            value: "2021-04-15",
        },
    ],
    // The gateway dresses its own time-out as a refused token.
    transient: &[(401, "Command timed out")],
    read_error,
    credentials: &[
        Field {
            name: "token",
            variable: "MEDTAINER_GHL_TOKEN",
            title: "GoHighLevel private integration token (pit-…)",
            secret: true,
            required: true,
        },
        Field {
            name: "location",
            variable: "MEDTAINER_GHL_LOCATION",
            title: "GoHighLevel location id",
            secret: false,
            required: true,
        },
    ],
};

/// Bodies have no fixed form: `message` is a text or a list of texts, `traceId` is what support asks for.
fn read_error(status: u16, body: &str) -> ErrorBody {
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return ErrorBody::default();
    };
    let message = match &body["message"] {
        Value::String(text) => Some(text.clone()),
        Value::Array(texts) => Some(
            texts
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join("; "),
        ),
        _ => None,
    }
    .filter(|text| !text.is_empty());
    let said = |words: &str| message.as_deref().is_some_and(|text| text.contains(words));
    let (kind, hint) = match status {
        401 if said("not authorized for this scope") => (
            Some(Kind::Auth),
            Some(
                "Add the scope to the private integration, under Settings > Private Integrations; the token stays the same.",
            ),
        ),
        // A path that does not exist, or is closed to private integrations, is refused like a token.
        401 if said("not yet supported by the IAM Service") => (Some(Kind::Refused), None),
        401 => (
            Some(Kind::Auth),
            Some("`medtainer auth login ghl` stores a valid token."),
        ),
        403 if said("does not have access to this location") => (
            Some(Kind::Auth),
            Some(
                "The token belongs to another location: check `MEDTAINER_GHL_LOCATION`, or run `medtainer auth login ghl`.",
            ),
        ),
        // A contact that is not there is a bad request, not a 404.
        400 if said("not found") => (Some(Kind::NotFound), None),
        _ => (None, None),
    };
    let duplicate = body["meta"]["contactId"].as_str();
    ErrorBody {
        message,
        request_id: body["traceId"].as_str().map(str::to_owned),
        kind: if duplicate.is_some() {
            Some(Kind::Conflict)
        } else {
            kind
        },
        hint: hint.map(str::to_owned),
        details: duplicate
            .map(|id| json!({ "contact_id": id, "matching_field": body["meta"]["matchingField"] })),
        ..ErrorBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let read = |status, body| read_error(status, body);
        let scope = read(
            401,
            r#"{"statusCode":401,"message":"The token is not authorized for this scope."}"#,
        );
        assert_eq!(scope.kind, Some(Kind::Auth));
        assert!(scope.hint.unwrap().contains("scope"));
        let list = read(
            422,
            r#"{"message":["property limit should not exist","x"],"traceId":"t1"}"#,
        );
        assert_eq!(
            list.message.as_deref(),
            Some("property limit should not exist; x")
        );
        assert_eq!(list.request_id.as_deref(), Some("t1"));
        let twice = read(
            400,
            r#"{"message":"This location does not allow duplicated contacts.","meta":{"contactId":"c","matchingField":"email"}}"#,
        );
        assert_eq!(twice.kind, Some(Kind::Conflict));
        assert!(read(502, "<html>").message.is_none());
    }
}
