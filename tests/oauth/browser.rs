//! An owner before a browser, and a client that sends them there.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{RequestBuilder, Response, StatusCode, Url, header, redirect};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::process::Command;
use uuid::Uuid;

use crate::mcp::house::{BINARY, Home, House, Served};

/// The variable that holds the owner's passphrase.
pub const PASSPHRASE: &str = "MEDTAINER_MCP_PASSPHRASE";

/// A home whose owner has a passphrase.
pub async fn home() -> Home {
    let mut home = Home::new().await;
    home.env
        .push((PASSPHRASE.into(), format!("open {}", Uuid::new_v4())));
    home
}

impl Home {
    /// Changes what the authorization server keeps.
    pub async fn sql(&self, statement: &'static str) {
        let mut conn = PgConnection::connect_with(&self.database).await.unwrap();
        sqlx::query(statement).execute(&mut conn).await.unwrap();
    }

    /// Reads a column of what it keeps.
    pub async fn rows(&self, statement: &'static str) -> Vec<String> {
        let mut conn = PgConnection::connect_with(&self.database).await.unwrap();
        sqlx::query_scalar(statement)
            .fetch_all(&mut conn)
            .await
            .unwrap()
    }

    /// Everything in every table, as text.
    pub async fn dump(&self) -> String {
        let mut conn = PgConnection::connect_with(&self.database).await.unwrap();
        let tables = "select format('%I.%I', schemaname, tablename) from pg_tables
            where schemaname = 'public' or schemaname like 'biz%'";
        let names: Vec<String> = sqlx::query_scalar(tables)
            .fetch_all(&mut conn)
            .await
            .unwrap();
        let mut all = String::new();
        for name in names {
            let rows = format!("select coalesce(string_agg(t::text, chr(10)), '') from {name} t");
            let rows: String = sqlx::query_scalar(AssertSqlSafe(rows))
                .fetch_one(&mut conn)
                .await
                .unwrap();
            all.push_str(&format!("{name}\n{rows}\n"));
        }
        all
    }
}

/// A server that lets nobody in without a credential.
pub async fn house() -> House {
    serve(home().await, &[]).await
}

/// The same with more words.
pub async fn serve(home: Home, words: &[&str]) -> House {
    let mut all = vec![
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--auth",
    ];
    all.extend(words);
    House::start(home, &all).await
}

/// The address of a page of the server.
pub fn at(house: &House, path: &str) -> String {
    house.url.replace("/mcp", path)
}

/// A secret that nobody else has.
pub fn random() -> String {
    let bytes = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A browser: cookies, and no redirect that it is not told to follow.
pub struct Browser {
    http: reqwest::Client,
    pub cookies: BTreeMap<String, String>,
    /// Where a proxy says it is.
    pub from: Option<String>,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: header::HeaderMap,
    pub html: String,
}

impl Page {
    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> Option<String> {
        let named = format!("name=\"{name}\"");
        let tag = self
            .html
            .split("<input ")
            .find(|tag| tag.contains("type=\"hidden\"") && tag.contains(&named))?;
        let value = tag.split("value=\"").nth(1)?.split('"').next()?;
        Some(unescaped(value))
    }

    /// The boxes that can be ticked.
    pub fn boxes(&self) -> Vec<String> {
        self.html
            .split("<input ")
            .filter(|tag| tag.starts_with("type=\"checkbox\""))
            .filter_map(|tag| tag.split("value=\"").nth(1)?.split('"').next())
            .map(str::to_owned)
            .collect()
    }

    pub fn asks_passphrase(&self) -> bool {
        self.html.contains("type=\"password\"")
    }

    /// The form as it is sent when every box is ticked.
    pub fn form(&self, passphrase: &str) -> Vec<(String, String)> {
        let mut form: Vec<(String, String)> = ["request", "proof"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.hidden(name)?)))
            .collect();
        form.extend(
            self.boxes()
                .into_iter()
                .map(|scope| ("allow".to_owned(), scope)),
        );
        if self.asks_passphrase() {
            form.push(("passphrase".into(), passphrase.into()));
        }
        form.push(("decision".into(), "allow".into()));
        form
    }

    /// Where it leads.
    pub fn location(&self) -> Url {
        let location = self.headers.get(header::LOCATION);
        let location =
            location.unwrap_or_else(|| panic!("no redirect: {} {}", self.status, self.html));
        location.to_str().unwrap().parse().unwrap()
    }
}

fn unescaped(text: &str) -> String {
    let named = [
        ("&#38;", "&"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
    ];
    // The ampersand last, or an escaped escape would be undone twice.
    named
        .iter()
        .rev()
        .fold(text.to_owned(), |text, (escape, sign)| {
            text.replace(escape, sign)
        })
}

impl Browser {
    pub fn new() -> Self {
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        Browser {
            http,
            cookies: BTreeMap::new(),
            from: None,
        }
    }

    async fn send(&mut self, request: RequestBuilder) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match cookies.is_empty() {
            true => request,
            false => request.header(header::COOKIE, cookies.join("; ")),
        };
        let request = match &self.from {
            Some(address) => request.header("x-forwarded-for", address),
            None => request,
        };
        let reply = request.send().await.unwrap();
        for cookie in reply.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        Page {
            url: reply.url().clone(),
            status: reply.status(),
            headers: reply.headers().clone(),
            html: reply.text().await.unwrap(),
        }
    }

    pub async fn open(&mut self, url: &str) -> Page {
        let request = self.http.get(url);
        self.send(request).await
    }

    /// Sends a form of a page, as browsers do.
    pub async fn submit(&mut self, page: &Page, form: &[(String, String)]) -> Page {
        let mut url = page.url.clone();
        url.set_query(None);
        let origin = url.origin().ascii_serialization();
        self.submit_from(page, form, &origin).await
    }

    /// The same where the page is known by another address than the server's own.
    pub async fn submit_from(
        &mut self,
        page: &Page,
        form: &[(String, String)],
        origin: &str,
    ) -> Page {
        let mut url = page.url.clone();
        url.set_query(None);
        let request = self
            .http
            .post(url)
            .header(header::ORIGIN, origin)
            .form(form);
        self.send(request).await
    }

    /// Opens the page, ticks everything, types the passphrase if it is asked for and allows it: where the
    /// browser is led.
    pub async fn allow(&mut self, url: &str, passphrase: &str) -> Url {
        let page = self.open(url).await;
        assert_eq!(page.status, 200, "{}", page.html);
        let form = page.form(passphrase);
        self.submit(&page, &form).await.location()
    }
}

/// A program that wants to connect.
#[derive(Debug, Clone)]
pub struct Client {
    pub id: String,
    pub secret: Option<String>,
    pub redirect: String,
    pub scope: Option<String>,
    pub resource: Option<String>,
    pub verifier: String,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub scope: String,
    pub expires_in: u64,
}

impl Tokens {
    pub fn of(answer: &Value) -> Tokens {
        let text = |name: &str| {
            let value = answer[name].as_str();
            value
                .unwrap_or_else(|| panic!("no {name}: {answer}"))
                .to_owned()
        };
        assert_eq!(answer["token_type"], "Bearer");
        Tokens {
            access: text("access_token"),
            refresh: text("refresh_token"),
            scope: text("scope"),
            expires_in: answer["expires_in"].as_u64().expect("an integer"),
        }
    }
}

impl Client {
    pub fn new(id: &str, redirect: &str) -> Client {
        Client {
            id: id.into(),
            secret: None,
            redirect: redirect.into(),
            scope: Some("read write".into()),
            resource: None,
            verifier: random(),
        }
    }

    /// One that registers itself.
    pub async fn registered(house: &House) -> Client {
        let redirect = "http://localhost:3118/callback";
        let body = json!({ "client_name": format!("Tester {}", Uuid::new_v4()), "redirect_uris": [redirect] });
        let reply = house
            .http
            .post(at(house, "/register"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 201);
        let made: Value = reply.json().await.unwrap();
        Client::new(made["client_id"].as_str().unwrap(), redirect)
    }

    pub fn with_scope(mut self, scope: &str) -> Client {
        self.scope = Some(scope.into());
        self
    }

    /// The parameters that it sends the browser with.
    pub fn asks(&self, house: &House) -> BTreeMap<String, String> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier));
        let resource = self.resource.clone().unwrap_or_else(|| house.url.clone());
        let mut asked: BTreeMap<String, String> = [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "its state & more"),
            ("resource", &resource),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        if let Some(scope) = &self.scope {
            asked.insert("scope".into(), scope.clone());
        }
        asked
    }

    /// The address that it opens in the browser.
    pub fn link(&self, house: &House) -> String {
        link(house, &self.asks(house))
    }

    /// Has the owner allow it and gets a code.
    pub async fn code(&self, house: &House, browser: &mut Browser) -> String {
        let back = browser.allow(&self.link(house), &passphrase(house)).await;
        let answer: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
        assert_eq!(answer["state"], "its state & more", "{back}");
        assert_eq!(answer["iss"], at(house, ""), "{back}");
        assert!(back.as_str().starts_with(&self.redirect), "{back}");
        answer["code"].clone()
    }

    /// A request to the token endpoint.
    pub fn token(&self, house: &House, more: &[(&str, &str)]) -> RequestBuilder {
        let mut form = vec![("client_id", self.id.as_str())];
        if let Some(secret) = &self.secret {
            form.push(("client_secret", secret));
        }
        form.extend(more);
        house.http.post(at(house, "/token")).form(&form)
    }

    pub fn exchange(&self, house: &House, code: &str) -> RequestBuilder {
        self.token(
            house,
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("code_verifier", &self.verifier),
                ("redirect_uri", &self.redirect),
                ("resource", &house.url),
            ],
        )
    }

    pub fn refresh(&self, house: &House, token: &str) -> RequestBuilder {
        self.token(
            house,
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
                ("resource", &house.url),
            ],
        )
    }
}

pub fn link(house: &House, asked: &BTreeMap<String, String>) -> String {
    Url::parse_with_params(&at(house, "/authorize"), asked)
        .unwrap()
        .into()
}

/// The passphrase of the owner of a server.
pub fn passphrase(house: &House) -> String {
    let known = house.home.env.iter().find(|(name, _)| name == PASSPHRASE);
    known.expect("the owner has a passphrase").1.clone()
}

/// A client logs in: its owner allows what it asks for in a browser, and it gets tokens.
pub async fn log_in(house: &House, client: &Client) -> Tokens {
    let code = client.code(house, &mut Browser::new()).await;
    tokens(client.exchange(house, &code)).await
}

/// The tokens that a request gives.
pub async fn tokens(request: RequestBuilder) -> Tokens {
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200, "{:?}", reply.text().await);
    assert_eq!(reply.headers()[header::CACHE_CONTROL], "no-store");
    Tokens::of(&reply.json().await.unwrap())
}

/// The status and the error of a request that is refused.
pub async fn refusal(request: RequestBuilder) -> (u16, String) {
    let reply = request.send().await.unwrap();
    let status = reply.status().as_u16();
    let body: Value = reply.json().await.expect("an error is JSON");
    (
        status,
        body["error"].as_str().unwrap_or_default().to_owned(),
    )
}

/// Calls a harmless tool with a token.
pub async fn call(house: &House, token: &str) -> Response {
    house
        .legacy("tools/call", json!({ "name": "quota", "arguments": {} }))
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
}

/// A directory with the browser that programs open: first in their `PATH`, it finds the consent page and
/// allows it. The programs need the owner's passphrase in their environment.
pub fn opener(home: &Home) -> PathBuf {
    let folder = home.dir.path().join("opener");
    std::fs::create_dir_all(&folder).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/browser.py");
    for name in ["xdg-open", "www-browser"] {
        let path = folder.join(name);
        std::fs::write(
            &path,
            format!("#!/bin/sh\nexec python3 '{script}' \"$@\"\n"),
        )
        .unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// A server that lets nobody in without a credential, and the file that holds what it says.
pub async fn logged(home: Arc<Home>, level: &str) -> (House, PathBuf) {
    let log = home.dir.path().join("log");
    let words = [
        "--sandbox",
        "mcp",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--auth",
    ];
    let plain = home.command(&[]);
    let set = plain.as_std().get_envs();
    let set = set.filter_map(|(name, value)| Some((name, value?)));
    // A pipe that nobody reads would stop it.
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" 2>\"$LOG\"", BINARY])
        .args(words)
        .env_clear()
        .envs(set)
        .env("LOG", &log)
        .env("MEDTAINER_LOG", level)
        .kill_on_drop(true);
    let served = Served::start(command).await;
    let url = served.said["mcp"].as_str().unwrap().to_owned();
    let http = reqwest::Client::new();
    let house = House {
        home,
        served,
        url,
        http,
    };
    (house, log)
}
