//! The built binary, a private Postgres and sandboxes, for tests through the front door.
//!
//! All tests of a run share one cluster, each has a business (a schema) of its own. A test that kills
//! things, or needs a home of its own, makes one with [`Home::new`].

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const BINARY: &str = env!("CARGO_BIN_EXE_medtainer");

/// What a finished process said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    fn of(output: &Output) -> Said {
        Said {
            // A signal counts as shells count it.
            code: output
                .status
                .code()
                .unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            out: String::from_utf8(output.stdout.clone()).expect("stdout is UTF-8"),
            err: String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8"),
        }
    }

    /// Fails with everything that was said unless it ended with this code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Said {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }

    /// The envelope on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e}: stdout:\n{}\nstderr:\n{}", self.out, self.err))
    }
}

/// A process and, when this test binary ends however it ends, its end.
pub struct Kept {
    shell: Child,
    pipe: Option<ChildStdin>,
    out: BufReader<std::process::ChildStdout>,
}

impl Kept {
    fn start(begin: &str, end: &str, args: &[&str], env: &[(String, String)]) -> Kept {
        // The shell reads our pipe, which closes however this process ends.
        let script = format!("trap '' INT; {begin}; cat >/dev/null; {end}");
        let mut shell = Command::new("sh")
            .args(["-c", &script, "sh"])
            .args(args)
            .env_clear()
            .envs(env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (pipe, out) = (
            shell.stdin.take(),
            BufReader::new(shell.stdout.take().unwrap()),
        );
        Kept { shell, pipe, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.pipe.take());
        self.shell.wait().ok();
    }
}

/// A `MEDTAINER_HOME`.
pub struct Home {
    pub path: PathBuf,
    _keeper: Option<Kept>,
}

impl Home {
    /// An empty one; its server, if one is started, ends with it.
    pub fn new() -> Home {
        let temp = tempfile::Builder::new()
            .prefix("mdf")
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        // Postgres runs as another user, who has to pass.
        std::fs::set_permissions(&temp, std::fs::Permissions::from_mode(0o711)).unwrap();
        let path = temp.join("home");
        let mut home = Home {
            path,
            _keeper: None,
        };
        let env = home.env();
        let end = r#""$1" db stop >/dev/null 2>&1; rm -rf "$2""#;
        home._keeper = Some(Kept::start(":", end, &[BINARY, text(&temp)], &env));
        home
    }

    /// The one that all tests share, with its server up.
    pub fn shared() -> &'static Home {
        static SHARED: OnceLock<Home> = OnceLock::new();
        SHARED.get_or_init(|| {
            let home = Home::new();
            home.run("db start").ends(0);
            // Many tests at once, and nothing that has to survive a crash of the machine.
            let conf = home.path.join("pg/postgresql.conf");
            let mut conf = std::fs::OpenOptions::new().append(true).open(conf).unwrap();
            conf.write_all(b"\nmax_connections = 300\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\n").unwrap();
            drop(conf);
            // What paces requests is tested where it is made; sixty a minute would pace every other test.
            let config = home.path.join("config.toml");
            std::fs::write(config, "[providers.godaddy]\nbudget = false\n").unwrap();
            home.run("db stop").ends(0);
            home.run("db start").ends(0);
            home
        })
    }

    fn env(&self) -> Vec<(String, String)> {
        let mut env = vec![
            ("MEDTAINER_HOME".to_owned(), text(&self.path).to_owned()),
            (
                "HOME".to_owned(),
                text(self.path.parent().unwrap()).to_owned(),
            ),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        for name in ["PATH", "MEDTAINER_PG_BIN"] {
            env.extend(
                std::env::var(name)
                    .ok()
                    .map(|value| (name.to_owned(), value)),
            );
        }
        env
    }

    /// A desk at which nothing is set but the home.
    pub fn bare(&self) -> Desk {
        Desk { env: self.env() }
    }

    pub fn run(&self, words: &str) -> Said {
        self.bare().run(words)
    }

    /// The address of its database.
    pub fn url(&self) -> String {
        self.run("db url").ends(0).out.trim().to_owned()
    }

    /// The server's process.
    pub fn server_pid(&self) -> String {
        self.run("db status --jq .data.pid")
            .ends(0)
            .out
            .trim()
            .to_owned()
    }
}

/// A place to work at: an environment for the binary.
#[derive(Clone)]
pub struct Desk {
    env: Vec<(String, String)>,
}

impl Desk {
    /// A business of its own in the shared database, with a provider.
    pub fn new(provider: &Provider) -> Desk {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let business = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Desk::at(Home::shared(), provider).with("MEDTAINER_BUSINESS", &business)
    }

    /// The default business of a home, with a provider.
    pub fn at(home: &Home, provider: &Provider) -> Desk {
        home.bare()
            .with("MEDTAINER_GHL_URL", &provider.url)
            .with("MEDTAINER_GHL_TOKEN", "pit-sandbox")
            .with("MEDTAINER_GHL_LOCATION", "sandboxLocation01abc")
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Desk {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Desk {
        self.env.retain(|(known, _)| known != name);
        self
    }

    pub fn business(&self) -> String {
        let named = self
            .env
            .iter()
            .find(|(name, _)| name == "MEDTAINER_BUSINESS");
        named.map_or("default", |(_, value)| value).to_owned()
    }

    /// The binary with these words: separated by blanks, `'…'` keeps blanks.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(split(words))
            .env_clear()
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Another program in the same environment.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .env_clear()
            .envs(self.env.iter().cloned())
            .env("M", BINARY)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &str) -> Said {
        Said::of(&self.command(words).output().unwrap())
    }

    pub fn sh(&self, script: &str) -> Said {
        Said::of(&self.shell(script).output().unwrap())
    }

    /// Starts it and does not wait.
    pub fn start(&self, words: &str) -> Started {
        let mut command = self.command(words);
        Started(Some(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        ))
    }

    /// A good answer's envelope.
    #[track_caller]
    pub fn json(&self, words: &str) -> Value {
        let said = self.run(&format!("{words} --json"));
        assert_eq!(
            said.code, 0,
            "{words}: stdout:\n{}\nstderr:\n{}",
            said.out, said.err
        );
        said.json()
    }

    /// Runs it in a terminal of this width; both streams come back as one.
    pub fn terminal(&self, width: u16, words: &str) -> Said {
        self.typing(width, words, "")
    }

    /// The same with somebody who answers questions: types this once there is one.
    pub fn typing(&self, width: u16, words: &str, answer: &str) -> Said {
        let words = split(words)
            .iter()
            .map(|word| format!("'{word}'"))
            .collect::<Vec<_>>()
            .join(" ");
        let inner = format!("stty cols {width} rows 40; exec {BINARY} {words}");
        let mut command = Command::new("script");
        command
            .args(["-qec", &inner, "/dev/null"])
            .env_clear()
            .envs(self.env.iter().cloned())
            .env("TERM", "xterm")
            .stdin(if answer.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if let Some(mut keyboard) = child.stdin.take() {
            let (mut screen, mut seen) = (child.stdout.take().unwrap(), Vec::new());
            let mut letters = [0; 1024];
            let mut typed = false;
            loop {
                let read = screen.read(&mut letters).unwrap_or(0);
                if read == 0 {
                    break;
                }
                seen.extend_from_slice(&letters[..read]);
                let text = String::from_utf8_lossy(&seen);
                if !typed && (text.contains("[y/N]") || text.contains("to do it: ")) {
                    keyboard.write_all(answer.as_bytes()).unwrap();
                    typed = true;
                }
            }
            let mut said = Said::of(&child.wait_with_output().unwrap());
            said.out = String::from_utf8_lossy(&seen).replace("\r\n", "\n");
            return said;
        }
        let mut said = Said::of(&child.wait_with_output().unwrap());
        said.out = said.out.replace("\r\n", "\n");
        said
    }

    /// One value from this business's tables.
    pub fn sql(&self, statement: &str) -> String {
        let mut command = self.command("db psql --");
        let said = Said::of(&command.args(["-Atqc", statement]).output().unwrap()).ends(0);
        said.out.trim().to_owned()
    }

    /// Contacts that are stored and not marked as gone.
    pub fn stored(&self) -> usize {
        self.sql("select count(*) from contacts where deleted_at is null")
            .parse()
            .unwrap()
    }
}

/// A process that runs; killed when dropped.
pub struct Started(Option<Child>);

impl Started {
    pub fn signal(&self, signal: &str) {
        kill(signal, &self.0.as_ref().unwrap().id().to_string());
    }

    pub fn wait(mut self) -> Said {
        Said::of(&self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// `medtainer sandbox serve` for one ecosystem, on a port of its own.
pub struct Provider {
    pub url: String,
    /// The name server that knows the sandbox's zones.
    pub dns: String,
    _kept: Kept,
}

impl Provider {
    /// GoHighLevel.
    pub fn start(options: &str) -> Provider {
        Provider::of("ghl", options)
    }

    /// Any ecosystem.
    pub fn of(ecosystem: &str, options: &str) -> Provider {
        let env: Vec<_> = ["PATH", "LANG"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        let mut args = vec![BINARY, "sandbox", "serve", ecosystem, "--quiet"];
        args.extend(options.split_whitespace());
        let mut env = env;
        env.push(("MEDTAINER_HOME".to_owned(), "/nonexistent".to_owned()));
        let mut kept = Kept::start(
            r#""$@" </dev/null & child=$!"#,
            "kill $child; wait $child",
            &args,
            &env,
        );
        let line = kept.line();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        Provider {
            url: said[ecosystem].as_str().unwrap().to_owned(),
            dns: said["dns"].as_str().unwrap().to_owned(),
            _kept: kept,
        }
    }

    /// One that all tests share which only read from it and make no trouble.
    pub fn shared() -> &'static Provider {
        static SHARED: OnceLock<Provider> = OnceLock::new();
        SHARED.get_or_init(|| Provider::start("--no-limits"))
    }

    /// An order at the door for tests.
    #[track_caller]
    pub fn order(&self, order: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/__sandbox/{order}"), Some(body))
    }

    /// What somebody else does at the provider.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let address = self.url.strip_prefix("http://").unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer pit-sandbox\r\nversion: 2021-07-28\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    pub fn trouble(&self, trouble: &str) {
        self.order("trouble", &serde_json::json!({ "trouble": trouble }));
    }

    pub fn calm(&self) {
        self.order("calm", &serde_json::json!({}));
    }

    /// Requests that arrived since the start or the last reset.
    pub fn requests(&self) -> u64 {
        self.order("counters", &serde_json::json!({}))["total"]
            .as_u64()
            .unwrap()
    }
}

/// A URL at which nobody listens.
pub fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

pub fn kill(signal: &str, pid: &str) {
    let done = Command::new("kill").args([signal, pid]).status().unwrap();
    assert!(done.success(), "kill {signal} {pid}");
}

#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn split(words: &str) -> Vec<String> {
    words
        .split('\'')
        .enumerate()
        .flat_map(|(i, part)| match i % 2 {
            0 => part
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

/// Runs a check with the snapshot filters for what differs between two runs.
pub fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots"));
    settings.set_omit_expression(true);
    for (pattern, instead) in [
        (r#""latency_ms":\d+"#, r#""latency_ms":"[ms]""#),
        (r#""execution_id":\d+"#, r#""execution_id":"[id]""#),
        (r#""(as_of|last_synced)":"[^"]+""#, r#""$1":"[now]""#),
        (r#""business":"t\d+""#, r#""business":"[business]""#),
        (r"\b\d+ (s|min|h|d|months|years) ago\b", "[age]"),
        (r"/tmp/mdf\w+", "[home]"),
        (r"127\.0\.0\.1:\d+", "[address]"),
    ] {
        settings.add_filter(pattern, instead);
    }
    settings
}
