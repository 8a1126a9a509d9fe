//! DigitalOcean: servers.

mod account;
mod api;
mod collections;
mod create;
mod delete;
mod droplet;
mod droplets;
mod images;
pub mod lookup;
mod prompts;
mod reboot;
mod regions;
mod resources;
pub mod sandbox;
mod sizes;
pub mod store;
mod sync;
pub mod types;
mod who;

use futures::FutureExt;
use medtainer_core::Kind;
use medtainer_core::config::Schedule;
use medtainer_core::ecosystem::{Ecosystem, Sandbox};
use medtainer_core::http::{
    Auth, ErrorBody, Field, LimitHeaders, Limits, Quota, QuotaHeaders, Reset, Service,
};
use medtainer_core::privacy::{CONTACT, NAME, Privacy};
use medtainer_core::tree::Group;
use serde::Deserialize;

/// The commands.
pub fn group() -> Group {
    Group::new("do", "DigitalOcean: droplets, sizes, images")
        .aliases(&["digitalocean"])
        .privacy(&PRIVACY)
        .command::<droplets::Droplets>("droplets")
        .command::<droplet::Droplet>("droplet")
        .command::<sizes::Sizes>("sizes")
        .seldom()
        .command::<regions::Regions>("regions")
        .seldom()
        .command::<images::Images>("images")
        .seldom()
        .command::<account::Account>("account")
        .seldom()
        .command::<sync::Sync>("sync")
        .seldom()
        .action::<create::Create>("create")
        .seldom()
        .action::<delete::Delete>("delete")
        .seldom()
        .action::<reboot::Reboot>("reboot")
}

/// Whose account it is.
static PRIVACY: Privacy = Privacy {
    fields: &[("account.email", CONTACT), ("account.team", NAME)],
    closed: false,
};

/// Everything core has to know about DigitalOcean.
pub static DO: Ecosystem = Ecosystem {
    service: &SERVICE,
    group,
    resources: resources::RESOURCES,
    prompts: &[],
    steps: prompts::STEPS,
    feeds: collections::FEEDS,
    // They count by token, and a business has one.
    account: |_| "token".to_owned(),
    sandbox: Sandbox {
        router: |options| sandbox::router(sandbox::Options::from(options)),
        credentials: &[("token", sandbox::TOKEN)],
    },
    probe: |cx| api::whose(cx).boxed(),
    schedules: || {
        vec![(
            "do-sync".to_owned(),
            Schedule {
                command: vec!["do".to_owned(), "sync".to_owned()],
                cron: "7 * * * *".to_owned(),
                timezone: None,
                enabled: true,
                grace: None,
            },
        )]
    },
};

const SERVICE: Service = Service {
    name: "do",
    catalog_name: "digitalocean",
    title: "DigitalOcean",
    base_url: "https://api.digitalocean.com",
    url_variable: "MEDTAINER_DO_URL",
    auth: Auth::BEARER,
    // The headers tell of the hour alone; the minute is from their documentation.
    limits: Some(Limits {
        max_requests: 250,
        window_ms: 60_000,
        quota: Some(Quota {
            requests: 5_000,
            per: "hour",
        }),
    }),
    limit_headers: LimitHeaders {
        max: None,
        window_ms: None,
        quota: Some(QuotaHeaders {
            max: Some("ratelimit-limit"),
            remaining: "ratelimit-remaining",
            reset: Reset::AtEpochSecond("ratelimit-reset"),
            sliding: true,
        }),
    },
    retry_after: true,
    request_id_header: Some("x-request-id"),
    versions: &[],
    transient: &[],
    read_error,
    credentials: &[Field {
        name: "token",
        variable: "MEDTAINER_DO_TOKEN",
        title: "DigitalOcean personal access token (dop_v1_…)",
        secret: true,
        required: true,
    }],
};

/// `{"id": "not_found", "message": "…", "request_id": "…"}`; an extra hint where the words tell what to do.
fn read_error(status: u16, body: &str) -> ErrorBody {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Body {
        id: Option<String>,
        message: Option<String>,
        request_id: Option<String>,
    }
    let Ok(body) = serde_json::from_str::<Body>(body) else {
        return ErrorBody::default();
    };
    let said = |words: &str| {
        let message = body.message.as_deref().unwrap_or_default();
        message.to_ascii_lowercase().contains(words)
    };
    let (kind, hint) = match status {
        401 => (
            Some(Kind::Auth),
            Some("`medtainer auth login do` stores a valid token."),
        ),
        403 => (
            Some(Kind::Auth),
            Some(
                "The token lacks a scope: make one with it in the control panel under API, and store it with `medtainer auth login do`.",
            ),
        ),
        422 if said("pending event") => (
            Some(Kind::Conflict),
            Some(
                "Another action runs on this droplet: `medtainer do droplet DROPLET` shows it. Try again when it is done.",
            ),
        ),
        422 if said("droplet limit") => (
            None,
            Some(
                "`medtainer do account` shows the limit; it is raised in the control panel, or delete a droplet first.",
            ),
        ),
        422 if said("not available in") || said("unavailable in") => (
            None,
            Some("`medtainer do sizes --region REGION` lists what is available there."),
        ),
        _ => (None, None),
    };
    ErrorBody {
        details: body.id.map(|id| serde_json::json!({ "id": id })),
        message: body.message.filter(|message| !message.is_empty()),
        request_id: body.request_id,
        kind,
        hint: hint.map(str::to_owned),
        ..ErrorBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let pending = read_error(
            422,
            r#"{"id":"unprocessable_entity","message":"Droplet already has a pending event.","request_id":"r-1"}"#,
        );
        assert_eq!(pending.kind, Some(Kind::Conflict));
        assert_eq!(pending.request_id.as_deref(), Some("r-1"));
        let scope = read_error(
            403,
            r#"{"id":"forbidden","message":"You are not authorized"}"#,
        );
        assert!(scope.hint.unwrap().contains("scope"));
        let region = read_error(
            422,
            r#"{"id":"unprocessable_entity","message":"Size is not available in this region."}"#,
        );
        assert_eq!(region.kind, None);
        assert!(region.hint.unwrap().contains("do sizes"));
        assert!(read_error(502, "<html>").message.is_none());
    }
}
