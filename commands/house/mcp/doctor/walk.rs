//! The way to a server elsewhere, step by step.

use std::time::Instant;

use medtainer_core::cli::Host;
use medtainer_core::mcp::client::oauth::{self, Challenge, Grant, Server, canonical};
use medtainer_core::mcp::client::probe::{Gate, LEGACY, MODERN, Talk, knock};
use medtainer_core::mcp::client::remote::Remote;
use medtainer_core::mcp::client::shelf::{Kept, Shelf};
use medtainer_core::{Error, Kind, Result};
use serde_json::{Value, json};

use super::{Doctor, harmless};
use crate::house::doctor::{Check, Health};

/// The steps so far; each answers whether to go on.
struct Way<'a> {
    checks: &'a mut Vec<Check>,
}

impl Way<'_> {
    fn ok(&mut self, id: &str, found: impl Into<String>) {
        self.checks
            .push(Check::of(id, Ok((Health::Ok, found.into()))));
    }

    fn warn(&mut self, id: &str, found: impl Into<String>, fix: &str) {
        self.checks.push(Check::warn(id, found, fix));
    }

    /// What came of a step; none ends the walk.
    fn step<T>(&mut self, id: &str, outcome: Result<T>) -> Option<T> {
        match outcome {
            Ok(found) => Some(found),
            Err(error) => {
                self.checks.push(Check::of(id, Err(error)));
                None
            }
        }
    }
}

/// Walks to the server at `url` and writes down every step.
pub async fn walk(doctor: &Doctor, host: &Host, url: &str, checks: &mut Vec<Check>) -> Result<()> {
    let interactive = host.is_interactive() && !doctor.no_login;
    let mut remote = doctor.way.remote(host, url, interactive)?;
    // Who asks how things are does not wait until they are better.
    remote.patience = std::time::Duration::ZERO;
    let mut way = Way { checks };
    // A step that failed has been written down.
    let _ = steps(doctor, host, &remote, &mut way).await;
    Ok(())
}

async fn steps(doctor: &Doctor, host: &Host, remote: &Remote, way: &mut Way<'_>) -> Option<()> {
    let began = Instant::now();
    let gate = way.step("reach", knock(&remote.http, &remote.url).await)?;
    let took = began.elapsed().as_millis();
    way.ok("reach", format!("{} answers in {took} ms", remote.url));
    match gate {
        Gate::Open => way.ok("login", "nobody needs one here"),
        Gate::Closed(challenge) if doctor.way.key_env.is_some() => {
            way.ok("challenge", asked(&challenge));
            way.ok("login", "with the key in the variable that was named");
        }
        Gate::Closed(challenge) => login(doctor, host, remote, &challenge, way).await?,
    }
    eras(doctor, remote, way).await
}

fn asked(challenge: &Challenge) -> String {
    match &challenge.scope {
        Some(scope) => format!("strangers are asked to log in, for `{scope}`"),
        None => "strangers are asked to log in".to_owned(),
    }
}

/// Who lets people in, and being let in.
async fn login(
    doctor: &Doctor,
    host: &Host,
    remote: &Remote,
    challenge: &Challenge,
    way: &mut Way<'_>,
) -> Option<()> {
    let (http, url) = (&remote.http, &remote.url);
    if challenge.resource_metadata.is_some() {
        way.ok("challenge", asked(challenge));
    } else {
        way.warn("challenge", "the 401 does not say where the metadata of the resource is", "Claude does not begin a login without `resource_metadata` in it: the server's operator has to name it.");
    }
    let kept = way.step("login", remote.login.kept_of().await)?;
    if let Some(Kept::Key(_)) = kept {
        way.ok("login", "with the key that is kept");
        return Some(());
    }
    let resource = way.step(
        "resource metadata",
        oauth::resource(http, url, challenge).await,
    )?;
    let name = canonical(url);
    match &resource {
        None => way.warn("resource metadata", "there is none", "Clients since 2025-06-18 look for it: the server's operator has to serve `/.well-known/oauth-protected-resource`."),
        Some(found) if found.resource != name => way.warn(
            "resource metadata",
            format!("it speaks for `{}`", found.resource),
            "VS Code insists on the very address that people use: the operator has to set the public URL to it.",
        ),
        Some(found) => way.ok("resource metadata", format!("it speaks for `{}`", found.resource)),
    }
    let found = way.step(
        "authorization server",
        oauth::discover(http, url, challenge).await,
    )?;
    let Some((resource, server)) = found else {
        let error = Error::auth("nobody lets people in here: the server wants a key").hint(format!(
            "`medtainer mcp bridge {url} --login` asks for a key and keeps it; `--key-env` names a variable that holds one."
        ));
        return way.step("authorization server", Err(error));
    };
    fitness(&server, way);
    let granted = match kept {
        Some(Kept::Grant(grant)) if grant.issuer == server.issuer => Some(*grant),
        _ => None,
    };
    let grant = match granted {
        Some(grant) => grant,
        None if doctor.way.has_client_id() => {
            way.ok("registration", "not needed: a client id was given");
            return after_registration(doctor, host, remote, challenge, None, way).await;
        }
        None => {
            let enrolled = oauth::enroll(http, url, challenge, &resource, &server).await;
            let grant = way.step("registration", enrolled)?;
            let shelf = Shelf::new(host.app.clone(), name);
            way.step(
                "registration",
                shelf.store(&Kept::Grant(Box::new(grant.clone()))).await,
            )?;
            grant
        }
    };
    way.ok("registration", format!("known as `{}`", grant.client.id));
    after_registration(doctor, host, remote, challenge, Some(grant), way).await
}

fn fitness(server: &Server, way: &mut Way<'_>) {
    let methods = server.token_endpoint_auth_methods_supported.as_deref();
    if methods.is_some_and(|methods| !methods.iter().any(|method| method == "none")) {
        way.warn(
            "authorization server",
            format!("`{}` wants a secret from every client", server.issuer),
            "Programs on people's machines keep none: the operator should allow the method `none`.",
        );
    } else {
        way.ok(
            "authorization server",
            format!("`{}`, with PKCE", server.issuer),
        );
    }
}

async fn after_registration(
    doctor: &Doctor,
    host: &Host,
    remote: &Remote,
    challenge: &Challenge,
    grant: Option<Grant>,
    way: &mut Way<'_>,
) -> Option<()> {
    if doctor.no_login {
        return None;
    }
    if grant.is_some_and(|grant| grant.tokens.is_some()) {
        way.ok("login", "one is kept");
    } else if host.is_interactive() {
        way.step("login", remote.login.log_in_now(challenge).await)?;
        way.ok("login", "just now");
    } else {
        let url = &remote.url;
        let error = Error::auth("nobody has logged in, and there is nobody to ask").hint(format!(
            "Run `medtainer mcp bridge {url} --login`, or this in a terminal."
        ));
        return way.step("login", Err(error));
    }
    tokens(remote, way).await
}

/// The token and its renewal.
async fn tokens(remote: &Remote, way: &mut Way<'_>) -> Option<()> {
    let kept = way.step("token", remote.login.kept_of().await)?;
    let Some(Kept::Grant(grant)) = kept else {
        return way.step(
            "token",
            Err(Error::internal("the login left nothing behind")),
        );
    };
    let Some(tokens) = grant.tokens else {
        return way.step(
            "token",
            Err(Error::internal("the login left no token behind")),
        );
    };
    let scopes = tokens.scopes.join(" ");
    match tokens.expires_at {
        Some(at) if tokens.is_expired() => way.warn(
            "token",
            format!("for `{scopes}`, over since {}", at.format("%F %R UTC")),
            "It is renewed now.",
        ),
        Some(at) => way.ok(
            "token",
            format!("for `{scopes}`, until {}", at.format("%F %R UTC")),
        ),
        None => way.warn(
            "token",
            format!("for `{scopes}`, with no end"),
            "The server's operator should say `expires_in`.",
        ),
    }
    if tokens.refresh.is_none() {
        way.warn(
            "refresh",
            "the server gave nothing to renew the token with",
            "Somebody has to log in again whenever it ends.",
        );
        return Some(());
    }
    let url = &remote.url;
    let renewed = remote
        .login
        .refresh(&remote.http, Some(&tokens.access))
        .await
        .and_then(|renewed| {
            renewed.then_some(()).ok_or_else(|| {
                Error::auth("the login is over: the server does not renew it")
                    .hint(format!("Run `medtainer mcp bridge {url} --login`."))
            })
        });
    way.step("refresh", renewed)?;
    way.ok("refresh", "the token was renewed");
    Some(())
}

/// Greeting, list and call in both eras; a server may speak one of them.
async fn eras(doctor: &Doctor, remote: &Remote, way: &mut Way<'_>) -> Option<()> {
    let legacy = Talk::legacy(remote).await;
    let modern = Talk::modern(remote).await;
    let foreign = |error: &Error| matches!(error.kind(), Kind::Refused | Kind::NotFound);
    let speaks_one = legacy.is_ok() || modern.is_ok();
    let mut known = 0;
    for (era, revision, greeting) in [("legacy", LEGACY, legacy), ("modern", MODERN, modern)] {
        let greeted = format!("{era} greeting");
        let (mut talk, hello) = match greeting {
            Err(error) if speaks_one && foreign(&error) => {
                way.warn(
                    &greeted,
                    format!("it does not speak {revision}"),
                    "Clients that speak only that revision cannot use it.",
                );
                continue;
            }
            greeting => way.step(&greeted, greeting)?,
        };
        way.ok(&greeted, introduced(&hello, revision));
        let list = format!("{era} tools");
        let tools = way.step(&list, talk.ask("tools/list", json!({})).await)?;
        let count = tools["tools"].as_array().map_or(0, Vec::len);
        match count {
            0 => way.warn(&list, "there are none", "Does this login may anything?"),
            _ if known > 0 && count != known => way.warn(
                &list,
                format!("{count}, and {known} in the other era"),
                "Both should see the same.",
            ),
            _ => way.ok(&list, format!("{count} of them")),
        }
        known = count;
        let called = format!("{era} call");
        let Some(name) = harmless(&tools, doctor.tool.as_deref()) else {
            way.ok(
                &called,
                "no tool only reads and needs no arguments, so none was called",
            );
            continue;
        };
        let answer = talk
            .ask("tools/call", json!({ "name": name, "arguments": {} }))
            .await;
        let answer = way.step(&called, answer)?;
        if answer["isError"] == true {
            way.warn(
                &called,
                format!("`{name}` answers with an error: {}", said(&answer)),
                "The way is clear; the tool itself has a problem.",
            );
        } else {
            way.ok(&called, format!("`{name}` answers"));
        }
    }
    Some(())
}

/// Who answered a greeting.
pub fn introduced(hello: &Value, revision: &str) -> String {
    let info = match &hello["serverInfo"] {
        Value::Null => &hello["_meta"]["io.modelcontextprotocol/serverInfo"],
        info => info,
    };
    let text = |value: &Value| harmless_text(value.as_str().unwrap_or_default());
    let spoken = hello["protocolVersion"].as_str().unwrap_or(revision);
    format!(
        "{} {} speaks {}",
        text(&info["name"]),
        text(&info["version"]),
        harmless_text(spoken)
    )
    .trim()
    .to_owned()
}

fn said(answer: &Value) -> String {
    harmless_text(answer["content"][0]["text"].as_str().unwrap_or_default())
}

/// A stranger's words, on one line and short.
fn harmless_text(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars()
        .filter(|letter| !letter.is_control())
        .take(160)
        .collect()
}
