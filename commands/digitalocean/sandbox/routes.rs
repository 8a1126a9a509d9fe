//! The routes, the scope each wants, and what a token may do.

use super::call::{Call, Reply};
use super::{actions, droplets, others};

/// A route.
pub(super) struct Route {
    method: &'static str,
    /// `{}` stands for a part that varies.
    path: &'static str,
    pub(super) scope: &'static str,
    pub(super) run: fn(&mut Call<'_>) -> Reply,
}

const fn route(
    method: &'static str,
    path: &'static str,
    scope: &'static str,
    run: fn(&mut Call<'_>) -> Reply,
) -> Route {
    Route {
        method,
        path,
        scope,
        run,
    }
}

const ROUTES: &[Route] = &[
    route("GET", "/v2/account", "account:read", others::account),
    route("GET", "/v2/account/keys", "ssh_key:read", others::keys),
    route(
        "GET",
        "/v2/customers/my/balance",
        "billing:read",
        others::balance,
    ),
    route("GET", "/v2/droplets", "droplet:read", droplets::list),
    route("POST", "/v2/droplets", "droplet:create", droplets::create),
    route(
        "DELETE",
        "/v2/droplets",
        "droplet:delete",
        droplets::destroy_many,
    ),
    route("GET", "/v2/droplets/{}", "droplet:read", droplets::get),
    route(
        "DELETE",
        "/v2/droplets/{}",
        "droplet:delete",
        droplets::destroy,
    ),
    route(
        "GET",
        "/v2/droplets/{}/snapshots",
        "droplet:read",
        droplets::snapshots,
    ),
    route(
        "GET",
        "/v2/droplets/{}/destroy_with_associated_resources",
        "droplet:read",
        droplets::associated,
    ),
    route(
        "GET",
        "/v2/droplets/{}/actions",
        "droplet:read",
        actions::of_droplet,
    ),
    route(
        "POST",
        "/v2/droplets/{}/actions",
        "droplet:update",
        actions::act,
    ),
    route(
        "GET",
        "/v2/droplets/{}/actions/{}",
        "droplet:read",
        actions::one_of_droplet,
    ),
    route("GET", "/v2/actions", "actions:read", actions::all),
    route("GET", "/v2/actions/{}", "actions:read", actions::one),
    route("GET", "/v2/sizes", "sizes:read", others::sizes),
    route("GET", "/v2/regions", "regions:read", others::regions),
    route("GET", "/v2/images", "image:read", others::images),
    route("GET", "/v2/images/{}", "image:read", others::image),
    route(
        "GET",
        "/v2/reserved_ips",
        "reserved_ip:read",
        others::reserved_ips,
    ),
    route("GET", "/v2/volumes", "block_storage:read", others::volumes),
    route("GET", "/v2/snapshots", "snapshot:read", others::snapshots),
    route(
        "DELETE",
        "/v2/snapshots/{}",
        "snapshot:delete",
        others::delete_snapshot,
    ),
    route("GET", "/v2/tags", "tag:read", others::tags),
    route("GET", "/v2/tags/{}", "tag:read", others::one_tag),
];

/// The route of a request, and the variable parts of its path.
pub(super) fn find<'p>(method: &str, path: &'p str) -> Option<(&'static Route, Vec<&'p str>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, captures(route.path, path)?)))
}

fn captures<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut found = Vec::new();
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        let part = parts.next()?;
        match wanted {
            "{}" if !part.is_empty() => found.push(part),
            wanted if wanted == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(found)
}

/// What a request is counted as.
pub(super) fn name(method: &str, path: &str) -> String {
    match find(method, path) {
        Some((route, _)) => format!("{method} {}", route.path.replace("{}", "{id}")),
        None => format!("{method} elsewhere"),
    }
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// `dop_v1_sandbox`: everything.
    Whole,
    /// `dop_v1_readonly`: only read.
    ReadOnly,
    /// `dop_v1_noscope`: read, but neither account nor bills nor reserved IPs.
    NoScope,
}

impl Token {
    /// The token of an `Authorization` header.
    pub(super) fn of(header: Option<&str>) -> Option<Token> {
        match header?.strip_prefix("Bearer ")? {
            "dop_v1_sandbox" => Some(Token::Whole),
            "dop_v1_readonly" => Some(Token::ReadOnly),
            "dop_v1_noscope" => Some(Token::NoScope),
            _ => None,
        }
    }

    /// Whether it has a scope.
    pub(super) fn may(self, scope: &str) -> bool {
        let reads = scope.ends_with(":read");
        let hidden = ["account:", "billing:", "reserved_ip:"];
        match self {
            Token::Whole => true,
            Token::ReadOnly => reads,
            Token::NoScope => reads && !hidden.iter().any(|kind| scope.starts_with(kind)),
        }
    }
}
