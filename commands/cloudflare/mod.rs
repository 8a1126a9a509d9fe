//! Cloudflare: zones and their DNS.

mod api;
mod audit;
mod collections;
mod dns;
mod lookup;
mod preview;
mod prompts;
mod resources;
pub mod sandbox;
mod sync;
mod types;
mod zones;

use futures::FutureExt;
use medtainer_core::Kind;
use medtainer_core::config::Schedule;
use medtainer_core::ecosystem::{Ecosystem, Sandbox};
use medtainer_core::http::{Auth, ErrorBody, Field, LimitHeaders, Limits, Service};
use medtainer_core::tree::Group;
use serde_json::{Value, json};

/// The commands.
pub fn group() -> Group {
    Group::new("cf", "Cloudflare: zones, DNS, audits")
        .aliases(&["cloudflare"])
        .command::<zones::Zones>("zones")
        .command::<dns::Dns>("dns")
        .command::<preview::Preview>("preview")
        .seldom()
        .command::<audit::Audit>("audit")
        .command::<sync::Sync>("sync")
        .seldom()
}

/// Everything core has to know about Cloudflare.
pub static CLOUDFLARE: Ecosystem = Ecosystem {
    service: &SERVICE,
    group,
    resources: resources::RESOURCES,
    prompts: &[],
    steps: prompts::STEPS,
    feeds: collections::FEEDS,
    account: |credential| credential.fingerprint(),
    sandbox: Sandbox {
        router: |options| sandbox::router(sandbox::Options::from(options)),
        credentials: &[("token", sandbox::TOKEN)],
    },
    probe: |cx| api::probe(cx).boxed(),
    schedules: || {
        vec![(
            "cf-sync".to_owned(),
            Schedule {
                command: vec!["cf".to_owned(), "sync".to_owned()],
                cron: "0 * * * *".to_owned(),
                timezone: None,
                enabled: true,
                grace: None,
            },
        )]
    },
};

const SERVICE: Service = Service {
    name: "cf",
    catalog_name: "cloudflare",
    title: "Cloudflare",
    base_url: "https://api.cloudflare.com/client/v4",
    url_variable: "MEDTAINER_CF_URL",
    auth: Auth::BEARER,
    // Per user, over the dashboard and all tokens together; one too many and all is blocked for a window.
    limits: Some(Limits {
        max_requests: 1_200,
        window_ms: 300_000,
        quota: None,
    }),
    // `Ratelimit` tells what is left in a form of its own; the numbers above are what it counts from.
    limit_headers: LimitHeaders {
        max: None,
        window_ms: None,
        quota: None,
    },
    retry_after: true,
    request_id_header: Some("cf-ray"),
    versions: &[],
    transient: &[],
    read_error,
    credentials: &[Field {
        name: "token",
        variable: "MEDTAINER_CF_TOKEN",
        title: "Cloudflare API token (My Profile > API Tokens)",
        secret: true,
        required: true,
    }],
};

/// Reads `errors` of the envelope: every message with its code, the cause one level down included.
fn read_error(_: u16, body: &str) -> ErrorBody {
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return ErrorBody::default();
    };
    let mut codes = Vec::new();
    let mut messages = Vec::new();
    for error in body["errors"].as_array().into_iter().flatten() {
        let chain = error["error_chain"].as_array().into_iter().flatten();
        for part in std::iter::once(error).chain(chain) {
            codes.extend(part["code"].as_i64());
            let text = part["message"]
                .as_str()
                .unwrap_or_default()
                .trim_end_matches('.');
            if !text.is_empty() && !messages.contains(&text) {
                messages.push(text);
            }
        }
    }
    let (kind, hint) = codes.iter().find_map(|code| meaning(*code)).unzip();
    ErrorBody {
        message: Some(messages.join(": ")).filter(|text| !text.is_empty()),
        kind,
        hint: hint.flatten().map(str::to_owned),
        details: (!codes.is_empty()).then(|| json!({ "codes": codes })),
        ..ErrorBody::default()
    }
}

/// What a code means for the reader, where the status does not say it.
fn meaning(code: i64) -> Option<(Kind, Option<&'static str>)> {
    Some(match code {
        9_109 | 10_000 => (
            Kind::Auth,
            Some(
                "The token is wrong, over, or lacks a permission: reading needs Zone Read, DNS Read and Zone Settings Read. `medtainer auth login cf` stores another.",
            ),
        ),
        6_003 | 6_111 => (
            Kind::Auth,
            Some("The token is not whole: copy it again with `medtainer auth login cf`."),
        ),
        7_003 | 81_044 => (Kind::NotFound, None),
        81_053 | 81_054 | 81_057 | 81_058 => (Kind::Conflict, None),
        971 | 10_429 | 10_502 => (Kind::Unavailable, None),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_their_causes_and_what_to_do() {
        let ttl = read_error(
            400,
            r#"{"success":false,"errors":[{"code":1004,"message":"DNS Validation Error","error_chain":[{"code":9021,"message":"Invalid TTL."}]}],"messages":[],"result":null}"#,
        );
        assert_eq!(
            ttl.message.as_deref(),
            Some("DNS Validation Error: Invalid TTL")
        );
        assert_eq!(ttl.details, Some(json!({ "codes": [1004, 9021] })));
        assert_eq!(ttl.kind, None);
        let malformed = read_error(
            400,
            r#"{"success":false,"errors":[{"code":6003,"message":"Invalid request headers","error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}]}"#,
        );
        assert_eq!(malformed.kind, Some(Kind::Auth));
        assert!(read_error(525, "<html>").message.is_none());
    }
}
