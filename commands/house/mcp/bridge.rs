//! `medtainer mcp bridge`.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use clap::Args;
use medtainer_core::auth::SecretString;
use medtainer_core::cli::{Host, write_stdout};
use medtainer_core::command::{Chore, Effect};
use medtainer_core::mcp::client::bridge;
use medtainer_core::mcp::client::login::{Login, Say};
use medtainer_core::mcp::client::oauth::{self, Preset, canonical};
use medtainer_core::mcp::client::probe::{Gate, Talk, knock};
use medtainer_core::mcp::client::remote::{Http, Remote, address};
use medtainer_core::mcp::client::shelf::{Kept, Shelf};
use medtainer_core::output::Written;
use medtainer_core::ui::prompt;
use medtainer_core::{Error, Result};

/// Connect a client that only starts programs to an MCP server elsewhere
///
/// Passes messages between standard input and output and the server at URL, whichever revision of the
/// protocol they speak, and takes up again what a restart of the server breaks off.
///
/// Where the server wants a login, the browser is opened; what was granted is kept encrypted, renewed in
/// time, and shared by every bridge to that server. Where it wants a key, `--login` asks for one and
/// keeps it, or `--key-env` names a variable that holds one.
#[derive(Debug, Args)]
pub struct Bridge {
    /// The server, such as `https://tools.example.com/mcp`
    url: String,

    /// Log in now, keep the login, and end
    #[arg(long)]
    login: bool,

    /// Give the login back, forget it, and end
    #[arg(long, conflicts_with = "login")]
    logout: bool,

    /// Log in with an API key, which is asked for, even where the browser would do
    #[arg(long, requires = "login", conflicts_with = "key_env")]
    key: bool,

    #[command(flatten)]
    way: Way,

    /// Ask for these scopes, such as `read write`
    #[arg(long, value_name = "SCOPES", requires = "login", conflicts_with_all = ["key", "key_env"])]
    scope: Option<String>,

    /// Never open the browser: fail where a login is needed
    #[arg(long, conflicts_with = "login")]
    no_browser: bool,
}

/// How a server is reached and logged in to.
#[derive(Debug, Args)]
pub(super) struct Way {
    /// The environment variable that holds an API key
    #[arg(long, value_name = "VARIABLE")]
    pub key_env: Option<String>,

    /// The client id its operator gave out, where the server registers nobody by itself
    #[arg(long, value_name = "ID", conflicts_with = "key_env")]
    client_id: Option<String>,

    /// The environment variable that holds the secret of that id
    #[arg(long, value_name = "VARIABLE", requires = "client_id")]
    client_secret_env: Option<String>,

    /// A header for every request, such as `X-Medtainer-Read-Only: true` (can be repeated)
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// Allow plain HTTP to another machine, on a network of your own
    #[arg(long)]
    allow_http: bool,
}

/// Headers that hold secrets, which others could read on a command line.
const SECRET: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
];

impl Way {
    /// The server, reached so.
    pub fn remote(&self, host: &Host, url: &str, browser: bool) -> Result<Remote> {
        let url = address(url, self.allow_http)?;
        let login = match self.key(host)? {
            Some(key) => Login::given(url.clone(), Some(key)),
            None => {
                let preset = Preset {
                    client_id: self.client_id.clone(),
                    client_secret: self
                        .client_secret_env
                        .as_deref()
                        .map(|name| secret(host, name))
                        .transpose()?,
                    browser: host.app.env.get("BROWSER").map(str::to_owned),
                };
                let shelf = Shelf::new(host.app.clone(), canonical(&url));
                let printer = host.printer.clone();
                let say: Say = Arc::new(move |text| printer.say(text));
                Login::kept(url.clone(), shelf, preset, browser, say)
            }
        };
        let mut remote = Remote::new(url, login);
        remote.headers = self.headers()?;
        Ok(remote)
    }

    /// Whether the server need not register us.
    pub fn has_client_id(&self) -> bool {
        self.client_id.is_some()
    }

    /// The key in the variable that was named.
    pub fn key(&self, host: &Host) -> Result<Option<SecretString>> {
        self.key_env
            .as_deref()
            .map(|name| secret(host, name))
            .transpose()
    }

    fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for text in &self.headers {
            let parsed = text.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            });
            let Some((name, value)) = parsed else {
                return Err(Error::usage("a `--header` is no header")
                    .hint("It looks like `--header \"X-Medtainer-Read-Only: true\"`."));
            };
            if SECRET.contains(&name.as_str()) {
                return Err(Error::usage(format!("`{name}` holds a secret, and others can read a command line"))
                    .hint("Name a variable that holds the key with `--key-env`, or keep it with `--login --key`."));
            }
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

fn secret(host: &Host, name: &str) -> Result<SecretString> {
    let value = host
        .app
        .env
        .get(name)
        .map(str::trim)
        .filter(|value| !value.is_empty());
    value.map(SecretString::from).ok_or_else(|| {
        Error::usage(format!("the variable `{}` is not set", name.escape_debug())).hint(
            "Give the name of a variable, never the key itself: others can read a command line.",
        )
    })
}

impl Chore for Bridge {
    type Output = Written;
    const EFFECT: Effect = Effect::Local;
    const SERVES: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let remote = self.way.remote(host, &self.url, !self.no_browser)?;
        if self.login {
            write_stdout(&format!("{}\n", self.log_in(host, &remote).await?))?;
        } else if self.logout {
            write_stdout(&format!("{}\n", log_out(host, &remote).await?))?;
        } else {
            let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
            bridge::run(remote, input, output, host.cancel.clone()).await?;
        }
        host.app.close().await;
        Ok(Written {})
    }
}

impl Bridge {
    async fn log_in(&self, host: &Host, remote: &Remote) -> Result<String> {
        let url = &remote.url;
        let http = Http::default();
        let challenge = match knock(&http, url).await? {
            Gate::Closed(challenge) => Some(challenge),
            Gate::Open => None,
        };
        if let Some(key) = self.way.key(host)? {
            return keep(host, remote, key).await;
        }
        let Some(mut challenge) = challenge else {
            return Ok(format!("`{url}` lets everybody in: no login is needed."));
        };
        if self.scope.is_some() {
            challenge.scope.clone_from(&self.scope);
        }
        if self.key || oauth::discover(&http, url, &challenge).await?.is_none() {
            return keep(host, remote, ask(host).await?).await;
        }
        remote.login.log_in_now(&challenge).await?;
        let (_, hello) = Talk::legacy(remote).await?;
        Ok(format!("Logged in to {} ({url}).", name(&hello)))
    }
}

fn name(hello: &serde_json::Value) -> String {
    let name = hello["serverInfo"]["name"].as_str().unwrap_or("the server");
    name.chars()
        .filter(|letter| !letter.is_control())
        .take(80)
        .collect()
}

async fn ask(host: &Host) -> Result<SecretString> {
    if !host.is_interactive() {
        return Err(Error::usage("there is nobody to ask for the key").hint(
            "Run it in a terminal, or name a variable that holds the key with `--key-env`.",
        ));
    }
    let typed = prompt::ask(&host.cancel, || {
        dialoguer::Password::new().with_prompt("API key").interact()
    })
    .await?;
    Ok(SecretString::from(typed.trim()))
}

/// Keeps a key that the server accepts.
async fn keep(host: &Host, remote: &Remote, key: SecretString) -> Result<String> {
    let url = &remote.url;
    let mut trial = Remote::new(url.clone(), Login::given(url.clone(), Some(key.clone())));
    trial.headers.clone_from(&remote.headers);
    let (_, hello) = Talk::legacy(&trial).await?;
    Shelf::new(host.app.clone(), canonical(url))
        .store(&Kept::Key(key))
        .await?;
    Ok(format!(
        "The key for {} ({url}) works and is kept.",
        name(&hello)
    ))
}

async fn log_out(host: &Host, remote: &Remote) -> Result<String> {
    let url = &remote.url;
    let shelf = Shelf::new(host.app.clone(), canonical(url));
    if let Some(Kept::Grant(grant)) = shelf.load().await?
        && grant.tokens.is_some()
    {
        match oauth::revoke(&Http::default(), &grant).await {
            Ok(true) => {}
            Ok(false) | Err(_) => host.printer.warn(
                "the server did not take the login back; whoever runs it can revoke it there",
            ),
        }
    }
    Ok(if shelf.forget().await? {
        format!("The login to {url} is forgotten.")
    } else {
        format!("There was no login to {url}.")
    })
}
