//! GoDaddy: domains and DNS.

mod api;
mod available;
mod changes;
mod collections;
mod contacts;
mod dns;
mod dns_apply;
mod dns_delete;
mod dns_rollback;
mod dns_set;
mod domain;
mod domains;
mod mx;
mod names;
mod plan;
mod prompts;
mod resources;
pub mod sandbox;
pub mod store;
mod subdomains;
mod sync;
mod types;
mod zone;

use std::time::Duration;

use futures::FutureExt;
use medtainer_core::Kind;
use medtainer_core::config::Schedule;
use medtainer_core::ecosystem::{Ecosystem, Sandbox};
use medtainer_core::http::{
    Auth, ErrorBody, Field, Form, LimitHeaders, Limits, QuotaHeaders, Reset, Service,
};
use medtainer_core::privacy::{CONTACT, NAME, Privacy};
use medtainer_core::tree::Group;
use serde_json::{Value, json};

/// The commands.
pub fn group() -> Group {
    Group::new("godaddy", "GoDaddy: domains and DNS")
        .privacy(&PRIVACY)
        .command::<domains::Domains>("domains")
        .command::<domain::Domain>("domain")
        .command::<dns::Dns>("dns")
        .command::<mx::Mx>("mx")
        .seldom()
        .command::<subdomains::Subdomains>("subdomains")
        .seldom()
        .command::<contacts::Contacts>("contacts")
        .seldom()
        .command::<available::Available>("available")
        .command::<plan::Plan>("plan")
        .command::<sync::Sync>("sync")
        .seldom()
        .action::<dns_set::DnsSet>("dns-set")
        .action::<dns_delete::DnsDelete>("dns-delete")
        .seldom()
        .action::<dns_apply::DnsApply>("dns-apply")
        .seldom()
        .action::<dns_rollback::DnsRollback>("dns-rollback")
        .seldom()
}

/// Who a domain is registered to, as we and as GoDaddy write it; zones are public.
static PRIVACY: Privacy = Privacy {
    fields: &[
        ("contacts.items.name", NAME),
        ("contacts.items.organization", NAME),
        ("contacts.items.email", CONTACT),
        ("contacts.items.phone", CONTACT),
        ("contacts.items.street", CONTACT),
        ("contacts.items.city", CONTACT),
        ("contacts.items.state", CONTACT),
        ("contacts.items.postal_code", CONTACT),
        ("contacts.items.country", CONTACT),
        ("nameFirst", NAME),
        ("nameMiddle", NAME),
        ("nameLast", NAME),
        ("organization", NAME),
        ("jobTitle", NAME),
        ("email", CONTACT),
        ("phone", CONTACT),
        ("fax", CONTACT),
        ("addressMailing", CONTACT),
    ],
    closed: false,
};

/// Everything core has to know about GoDaddy.
pub static GODADDY: Ecosystem = Ecosystem {
    service: &SERVICE,
    group,
    resources: resources::RESOURCES,
    prompts: &[],
    steps: prompts::STEPS,
    feeds: &[collections::DOMAINS, collections::ZONES],
    // GoDaddy has no name for an account that a key could tell; a key is one.
    account: |credential| credential.fingerprint(),
    sandbox: Sandbox {
        router: |options| sandbox::router(sandbox::Options::from(options)),
        credentials: &[("key", sandbox::KEY), ("secret", sandbox::SECRET)],
    },
    probe: |cx| api::standing(cx).boxed(),
    schedules: || {
        vec![(
            "godaddy-sync".to_owned(),
            Schedule {
                command: vec!["godaddy".to_owned(), "sync".to_owned()],
                // A full list once a week: names that have gone do not appear in any other.
                cron: "30 4 * * 1".to_owned(),
                timezone: None,
                enabled: true,
                grace: None,
            },
        )]
    },
};

const SERVICE: Service = Service {
    name: "godaddy",
    catalog_name: "godaddy",
    title: "GoDaddy",
    base_url: "https://api.godaddy.com",
    url_variable: "MEDTAINER_GODADDY_URL",
    auth: Auth {
        header: "authorization",
        forms: &[
            Form {
                title: "a personal access token (gd_pat_…)",
                ..Form::TOKEN
            },
            Form {
                title: "an API key and its secret",
                prefix: "sso-key ",
                fields: &["key", "secret"],
            },
        ],
    },
    // For each endpoint, says GoDaddy; for all of them is what keeps clients out of trouble.
    limits: Some(Limits {
        max_requests: 60,
        window_ms: 60_000,
        quota: None,
    }),
    limit_headers: LimitHeaders {
        max: None,
        window_ms: None,
        quota: Some(QuotaHeaders {
            max: Some("ratelimit-limit"),
            remaining: "ratelimit-remaining",
            reset: Reset::InSeconds("ratelimit-reset"),
            sliding: false,
        }),
    },
    retry_after: true,
    request_id_header: Some("x-request-id"),
    versions: &[],
    transient: &[],
    read_error,
    credentials: &[
        Field {
            name: "key",
            variable: "MEDTAINER_GODADDY_KEY",
            title: "GoDaddy API key",
            secret: true,
            required: false,
        },
        Field {
            name: "secret",
            variable: "MEDTAINER_GODADDY_SECRET",
            title: "GoDaddy API secret",
            secret: true,
            required: false,
        },
        Field {
            name: "token",
            variable: "MEDTAINER_GODADDY_TOKEN",
            title: "GoDaddy personal access token (gd_pat_…)",
            secret: true,
            required: false,
        },
    ],
};

/// `code` is a stable word, `message` a sentence, `fields` say what is wrong where.
fn read_error(status: u16, body: &str) -> ErrorBody {
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return ErrorBody::default();
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let code = text(&body["code"]);
    let faults: Vec<String> = body["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|fault| {
            let path = fault["path"].as_str()?;
            let why = fault["message"].as_str().or(fault["code"].as_str())?;
            Some(format!("{path} {why}"))
        })
        .collect();
    let mut message = text(&body["message"]).or_else(|| code.clone());
    if let Some(message) = &mut message
        && !faults.is_empty()
    {
        *message = format!("{message}: {}", faults.join("; "));
    }
    let (kind, hint) = match (status, code.as_deref()) {
        (401, _) => (
            Some(Kind::Auth),
            Some(
                "The key, or its secret, is wrong or belongs to GoDaddy's test environment (OTE). `medtainer auth login godaddy` stores another.",
            ),
        ),
        (403, _) => {
            message = Some(match message {
                Some(said) => format!("this account or token may not ask that ({said})"),
                None => "this account or token may not ask that".to_owned(),
            });
            (
                Some(Kind::Auth),
                Some(
                    "The key itself is right. GoDaddy opens domains and DNS to accounts with enough domains (ten, or a Discount Domain Club plan; lately one active domain) and availability to those with 50 domains or 20 USD a month; a token also needs the scope (`domains.domain:read`, for changes `domains.dns:update`).",
                ),
            )
        }
        (404, _) => (Some(Kind::NotFound), None),
        (409, _) => (Some(Kind::Refused), None),
        _ => (None, None),
    };
    ErrorBody {
        message,
        kind,
        hint: hint.map(str::to_owned),
        details: code.map(|code| json!({ "code": code })),
        retry_after: body["retryAfterSec"].as_u64().map(Duration::from_secs),
        ..ErrorBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_they_are() {
        let wrong = read_error(401, r#"{"code":"UNABLE_TO_AUTHENTICATE","message":"x"}"#);
        assert_eq!(wrong.kind, Some(Kind::Auth));
        assert!(wrong.hint.unwrap().contains("OTE"));
        let small = read_error(
            403,
            r#"{"code":"ACCESS_DENIED","message":"Authenticated user is not allowed access"}"#,
        );
        assert_eq!(
            small.message.as_deref(),
            Some(
                "this account or token may not ask that (Authenticated user is not allowed access)"
            )
        );
        assert!(small.hint.unwrap().contains("50 domains"));
        let fields = read_error(
            422,
            r#"{"code":"INVALID_BODY","message":"bad","fields":[{"code":"X","message":"is required","path":"records[0].data"}]}"#,
        );
        assert_eq!(
            fields.message.as_deref(),
            Some("bad: records[0].data is required")
        );
        let many = read_error(429, r#"{"code":"TOO_MANY_REQUESTS","retryAfterSec":30}"#);
        assert_eq!(many.retry_after, Some(Duration::from_secs(30)));
        assert!(read_error(502, "<html>").message.is_none());
    }
}
