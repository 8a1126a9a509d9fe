//! Our requests against GoHighLevel's own description, served by a mock we did not write.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::extract::{Request, State};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::database;
use crate::registry::{self, Npm};

const LOCATION: &str = "LOC0000000000000001";

/// A provider that notes what it is asked.
pub struct Prism {
    child: Child,
    log: Option<JoinHandle<String>>,
    pub url: String,
}

impl Prism {
    /// Serves a description; a request that breaks its rules is answered with an error.
    pub fn serve(npm: &Npm, description: &Path) -> Prism {
        Prism::start(npm, "mock", description, None)
    }

    /// Stands between us and a provider, and holds both to the description.
    pub fn between(npm: &Npm, description: &Path, provider: &str) -> Prism {
        Prism::start(npm, "proxy", description, Some(provider))
    }

    fn start(npm: &Npm, as_what: &str, description: &Path, provider: Option<&str>) -> Prism {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut child = npm
            .command("prism")
            .args([
                as_what,
                "--errors",
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
            ])
            .arg(description)
            .args(provider)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("Prism is listening") {
            line.clear();
            assert_ne!(
                output.read_line(&mut line).unwrap(),
                0,
                "prism did not start"
            );
        }
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            output.read_to_string(&mut log).ok();
            log
        });
        Prism {
            child,
            log: Some(log),
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Ends it and returns what it said of each request.
    pub fn log(mut self) -> String {
        self.child.kill().unwrap();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A medtainer of its own whose GoHighLevel is at `url`.
struct Shell {
    home: tempfile::TempDir,
    database: String,
    url: String,
    token: &'static str,
}

impl Shell {
    async fn new(url: &str) -> Shell {
        let database = database::url(&database::fresh().await);
        Shell {
            home: tempfile::tempdir().unwrap(),
            database,
            url: url.to_owned(),
            token: "pit-00000000",
        }
    }

    /// The answer of a command and its exit code.
    async fn run(&self, words: &str) -> (Value, i32) {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_medtainer"))
            .args(words.split(' '))
            .arg("--json")
            .env_clear()
            .env("HOME", self.home.path())
            .env("MEDTAINER_HOME", self.home.path().join("home"))
            .env("DATABASE_URL", &self.database)
            .env("MEDTAINER_GHL_URL", &self.url)
            .env("MEDTAINER_GHL_TOKEN", self.token)
            .env("MEDTAINER_GHL_LOCATION", LOCATION)
            .output()
            .await
            .unwrap();
        let answer = serde_json::from_slice(&output.stdout).expect("JSON on stdout");
        (answer, output.status.code().unwrap())
    }

    /// Everything that asks GoHighLevel; returns how many requests that took.
    async fn do_everything(&self, sync: &str) -> u64 {
        let mut calls = 0;
        for (words, check) in [
            ("ghl contacts --fresh", ("source", "live")),
            // The second run asks for changes alone: a filter, and another order.
            (sync, ("source", "live")),
            (&format!("{sync} --full"), ("source", "live")),
            ("ghl contacts --fresh --limit 1", ("source", "live")),
            ("ghl search robert", ("source", "cached")),
            ("ghl search ada --fresh", ("source", "live")),
            ("ghl contact CON0000000000000001", ("source", "cached")),
            (
                "ghl contact CON0000000000000001 --fresh",
                ("source", "live"),
            ),
            ("ghl pipeline --fresh", ("source", "live")),
            (
                "ghl history CON0000000000000001 --fresh",
                ("source", "live"),
            ),
        ] {
            let (answer, code) = self.run(words).await;
            assert_eq!(
                (code, &answer["status"]),
                (0, &json!("success")),
                "{words}: {answer}"
            );
            assert_eq!(answer["metadata"][check.0], check.1, "{words}: {answer}");
            calls += answer["metadata"]["calls"].as_u64().unwrap();
            if words.contains("search") {
                assert_eq!(answer["metadata"]["count"], 1, "{words}: {answer}");
            }
        }
        let (synced, _) = self.run("ghl sync --full --only contacts").await;
        assert_eq!(synced["data"]["items"][0]["provider_total"], 2, "{synced}");
        calls + synced["metadata"]["calls"].as_u64().unwrap()
    }
}

/// A provider's description beside the checkout, if it is there.
pub fn shared(provider: &str) -> Option<PathBuf> {
    let checkout =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let folder = Path::new(&checkout).join("../shared/apis").join(provider);
    // Some descriptions need help before a mock can serve them.
    let helped = folder.join("openapi.mock.json");
    let path = if helped.exists() {
        helped
    } else {
        folder.join("openapi.json")
    };
    if !path.exists() {
        registry::skip(&format!(
            "{} is not there, so prism has nothing to serve",
            path.display()
        ));
        return None;
    }
    Some(path)
}

/// The description without the examples that break its own rules: a mock answers with them, and then
/// refuses its own answer.
pub fn mended(description: &Path) -> tempfile::NamedTempFile {
    fn mend(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(mend),
            Value::Object(map) => {
                map.values_mut().for_each(mend);
                let kind = map.get("type").and_then(Value::as_str);
                let fits = match (kind, map.get("example")) {
                    (Some("string"), Some(example)) => example.is_string(),
                    (Some("boolean"), Some(example)) => example.is_boolean(),
                    (Some("number" | "integer"), Some(example)) => example.is_number(),
                    _ => true,
                };
                if !fits {
                    map.remove("example");
                }
            }
            _ => {}
        }
    }
    let text = std::fs::read_to_string(description).unwrap();
    let mut description: Value = serde_json::from_str(&text).unwrap();
    mend(&mut description);
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), description.to_string()).unwrap();
    file
}

#[tokio::test]
async fn a_mock_of_the_providers_description_accepts_every_request() {
    let Some(description) = shared("gohighlevel") else {
        return;
    };
    let Some(npm) = Npm::installed() else { return };
    let mended = mended(&description);
    let prism = Prism::serve(&npm, mended.path());
    let shell = Shell::new(&prism.url).await;
    let calls = shell.do_everything("ghl sync").await;

    // The mock can say no: a request without what it requires is an error in the same log.
    let bad = reqwest::Client::new()
        .post(format!("{}/contacts/search", prism.url))
        .header("authorization", "Bearer x");
    assert_eq!(
        bad.json(&json!({ "locationId": LOCATION, "limit": 20 }))
            .send()
            .await
            .unwrap()
            .status(),
        422
    );

    let log = prism.log();
    let (ours, bad) = log.rsplit_once("Request received").expect("a log");
    let count = |words: &str| u64::try_from(ours.matches(words).count()).unwrap();
    assert!(calls >= 6, "{calls} requests were sent");
    assert_eq!(count("Request received"), calls, "{log}");
    assert_eq!(
        count("The request passed the validation rules"),
        calls,
        "{log}"
    );
    assert_eq!(count("Violation"), 0, "{log}");
    assert!(bad.contains("Violation"), "{log}");
}

/// What was wrong with the requests so far.
type Faults = Arc<Mutex<Vec<String>>>;

/// Compares a request with the description, and answers it.
async fn judge(
    State((description, faults)): State<(Arc<Value>, Faults)>,
    request: Request,
) -> axum::response::Response {
    let (head, body) = request.into_parts();
    let (method, path) = (
        head.method.as_str().to_lowercase(),
        head.uri.path().to_owned(),
    );
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let (described, operation) = operation(&description, &method, &path);
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let mut found = Vec::new();
    if !operation.is_object() {
        found.push("it is not described".to_owned());
    }
    let header = |name: &str| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let parameters = operation["parameters"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let version = parameters.iter().find(|one| one["name"] == "Version");
    let version = version.and_then(|one| one["schema"]["enum"][0].as_str());
    for (name, wanted) in [
        // Of the text of an e-mail it says nothing.
        ("version", version.unwrap_or(header("version"))),
        ("authorization", "Bearer pit-00000000"),
        ("accept", "application/json"),
    ] {
        if header(name) != wanted {
            found.push(format!("{name}: {}", header(name)));
        }
    }
    found.extend(queried(&parameters, head.uri.query().unwrap_or_default()));
    if schema.is_object() {
        if header("content-type") != "application/json" {
            found.push(format!("content-type: {}", header("content-type")));
        }
        let whole = json!({ "allOf": [schema], "components": description["components"] });
        let validator = jsonschema::draft4::new(&whole).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        found.extend(
            validator
                .iter_errors(&body)
                .map(|e| format!("{e} at {} of {body}", e.instance_path())),
        );
    } else if !body.is_empty() {
        found.push("a body where none is described".to_owned());
    }
    faults.lock().unwrap().extend(
        found
            .into_iter()
            .map(|fault| format!("{method} {path}: {fault}")),
    );

    let contact = |id: &str, first: &str| {
        json!({
            "id": id, "locationId": LOCATION, "firstName": first, "lastName": "Example", "tags": ["vip"],
            "email": format!("{}@example.com", first.to_lowercase()), "dateAdded": "2026-01-02T03:04:05.000Z",
            "dateUpdated": "2026-02-01T00:00:00.000Z", "searchAfter": [1_767_323_045_000_u64, id]
        })
    };
    let contacts = [
        contact("CON0000000000000001", "Ada"),
        contact("CON0000000000000002", "Bob"),
    ];
    let answer = match described.as_str() {
        "/contacts/search" => json!({ "contacts": contacts, "total": 2 }),
        "/contacts/{contactId}" => json!({ "contact": contacts[0] }),
        _ => besides(&described),
    };
    axum::Json(answer).into_response()
}

/// The described path that a path is of, and what is said of it.
fn operation(description: &Value, method: &str, path: &str) -> (String, Value) {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        wanted.len() == parts.len()
            && wanted
                .iter()
                .zip(&parts)
                .all(|(wanted, part)| wanted == part || wanted.starts_with('{') && !part.is_empty())
    };
    let paths = description["paths"].as_object().unwrap();
    // The fixed ones before those with variables.
    let mut found: Vec<_> = paths
        .iter()
        .filter(|(template, _)| fits(template))
        .collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    found
        .iter()
        .find(|(_, methods)| methods[method].is_object())
        .map_or_else(
            || (path.to_owned(), Value::Null),
            |(template, methods)| ((*template).clone(), methods[method].clone()),
        )
}

/// What is wrong with a query.
fn queried(parameters: &[Value], query: &str) -> Vec<String> {
    let url = reqwest::Url::parse(&format!("http://localhost/?{query}")).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let of_query = || parameters.iter().filter(|one| one["in"] == "query");
    let mut found = Vec::new();
    for one in of_query().filter(|one| one["required"] == true) {
        if !pairs.iter().any(|(name, _)| one["name"] == *name) {
            found.push(format!("{} is missing", one["name"]));
        }
    }
    for (name, value) in &pairs {
        let Some(one) = of_query().find(|one| one["name"] == *name) else {
            found.push(format!("{name} is not described"));
            continue;
        };
        let schema = &one["schema"];
        let number = value.parse::<f64>();
        let fits = match schema["type"].as_str() {
            Some("number") => number.as_ref().is_ok_and(|number| {
                let at = |name: &str, otherwise| schema[name].as_f64().unwrap_or(otherwise);
                (at("minimum", f64::MIN)..=at("maximum", f64::MAX)).contains(number)
            }),
            _ => schema["enum"]
                .as_array()
                .is_none_or(|words| words.contains(&json!(value))),
        };
        if !fits {
            found.push(format!("{name}={value} is not as described"));
        }
    }
    found
}

/// Answers besides contacts: one of each, so that everything that follows from one is asked for.
fn besides(path: &str) -> Value {
    let contact = "CON0000000000000001";
    match path {
        "/opportunities/search" => json!({ "total": 1, "opportunities": [{
            "id": "OPP0000000000000001", "contactId": contact, "pipelineId": "P", "pipelineStageId": "S",
            "status": "open", "monetaryValue": 10, "updatedAt": "2026-02-01T00:00:00.000Z" }] }),
        "/opportunities/pipelines" => json!({ "pipelines": [{ "id": "P", "name": "Sales",
            "stages": [{ "id": "S", "name": "New", "position": 0 }] }] }),
        "/conversations/search" => {
            json!({ "total": 1, "conversations": [{ "id": "CONV", "contactId": contact,
            "lastMessageDate": 1_769_900_000_000_u64 }] })
        }
        "/conversations/messages/export" => json!({ "total": 0, "messages": [] }),
        "/conversations/{conversationId}/messages" => {
            json!({ "messages": { "nextPage": false, "messages": [{
            "id": "MSG", "contactId": contact, "conversationId": "CONV", "messageType": "TYPE_EMAIL",
            "direction": "inbound", "dateAdded": "2026-02-01T00:00:00.000Z",
            "meta": { "email": { "messageIds": ["MAIL"] } } }] } })
        }
        "/conversations/messages/email/{id}" => {
            json!({ "id": "MAIL", "subject": "Hi", "body": "<p>Hi</p>" })
        }
        "/locations/{locationId}" => {
            json!({ "location": { "id": LOCATION, "timezone": "America/Phoenix" } })
        }
        "/calendars/" => json!({ "calendars": [{ "id": "CAL", "name": "Calls" }] }),
        "/locations/{locationId}/tasks/search" => json!({ "tasks": [] }),
        _ => json!({}),
    }
}

/// The same without the mock and without the whole description: the extract and the jsonschema crate.
#[tokio::test]
async fn requests_keep_to_the_description() {
    let description: Value = serde_json::from_str(include_str!("data/ghl-requests.json")).unwrap();
    let faults = Faults::default();
    let router = axum::Router::new()
        .fallback(judge)
        .with_state((Arc::new(description), faults.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, router).into_future());

    let mut shell = Shell::new(&url).await;
    assert!(shell.do_everything("ghl sync").await >= 30);
    assert_eq!(*faults.lock().unwrap(), [""; 0]);

    // It can say no.
    shell.token = "another";
    shell.run("ghl sync --only contacts").await;
    assert!(faults.lock().unwrap()[0].contains("authorization"));
    server.abort();
}
