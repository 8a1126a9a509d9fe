//! The daemon as a process: real Postgres, real signals, real deaths.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::Datelike;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// An installation of its own: a private Postgres, a configuration.
struct House {
    home: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// One built-in schedule is enough for most.
const ONE_ALONE: &str = "
[schedules.godaddy-sync]
enabled = false
[schedules.do-sync]
enabled = false
[schedules.cf-sync]
enabled = false
";

impl House {
    fn new(config: &str) -> House {
        House::with_all(&format!("{config}{ONE_ALONE}"))
    }

    /// One with every built-in schedule.
    fn with_all(config: &str) -> House {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Not a `TempDir`: the server runs as another user, who could not enter it.
        let home =
            std::env::temp_dir().join(format!("medtainer-daemon-{}-{count}", std::process::id()));
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join("config.toml"), config).unwrap();
        House {
            home,
            variables: vec![("MEDTAINER_TICK", "1".into())],
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> House {
        self.variables.push((name, value.into()));
        self
    }

    /// A house whose provider is this sandbox.
    fn at(self, provider: &Process) -> House {
        let url = provider.ready["ghl"].as_str().unwrap().to_owned();
        self.with("MEDTAINER_GHL_URL", url)
            .with("MEDTAINER_GHL_TOKEN", medtainer::ghl::sandbox::TOKEN)
            .with(
                "MEDTAINER_GHL_LOCATION",
                medtainer::ghl::sandbox::LOCATION_ID,
            )
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medtainer"));
        command
            .args(words.split_whitespace())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("MEDTAINER_HOME", &self.home)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    fn json(&self, words: &str) -> Value {
        let output = self.run(&format!("{words} --json"));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    fn start(&self, words: &str) -> Process {
        Process::start(self.command(words), &self.home)
    }

    async fn sql(&self) -> Sql {
        let url = String::from_utf8(self.run("db url").stdout).unwrap();
        // The form psql likes: no host but the folder of the socket.
        let (_, folder) = url.trim().split_once("?host=").unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .socket(folder)
            .username("medtainer")
            .database("medtainer");
        Sql(PgConnection::connect_with(&options).await.unwrap())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.run("db stop");
        std::fs::remove_dir_all(&self.home).ok();
    }
}

/// A process that serves, and has said that it is ready.
struct Process {
    child: Child,
    ready: Value,
    log: PathBuf,
}

impl Process {
    fn start(mut command: Command, dir: &Path) -> Process {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let log = dir.join(format!("stderr-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said = std::fs::read_to_string(&log).unwrap();
        let ready =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line} {said}"));
        Process { child, ready, log }
    }

    /// A sandbox that takes its time over every page.
    fn slow_provider() -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medtainer"));
        command.args([
            "sandbox",
            "serve",
            "ghl",
            "--no-limits",
            "--trouble",
            "ghl:slow=0.7",
            "--records",
            "6000",
        ]);
        Process::start(command, &std::env::temp_dir())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    async fn end(&mut self) -> ExitStatus {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < limit, "does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn terminate(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.end().await.code(), Some(0), "{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Its pid, as runs have it at the end of `claimed_by`.
    fn pid(&self) -> String {
        format!(":{}", self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_file(&self.log).ok();
    }
}

struct Sql(PgConnection);

impl Sql {
    async fn run(&mut self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut self.0)
            .await
            .unwrap();
    }

    /// Rows as text, fields joined by a space.
    async fn rows(&mut self, query: &str) -> Vec<String> {
        let statement = format!(
            "select concat_ws(' ', variadic array(select coalesce(v, '-') from json_each_text(to_json(q)) as e(k, v))) from ({query}) q"
        );
        sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_all(&mut self.0)
            .await
            .unwrap()
    }

    /// Waits until the query gives these rows.
    async fn until(&mut self, query: &str, rows: &[&str], seconds: u64) {
        let limit = Instant::now() + Duration::from_secs(seconds);
        loop {
            let found = self.rows(query).await;
            if found == rows {
                return;
            }
            if Instant::now() > limit {
                let all = self.rows("select * from schedule_runs order by id").await;
                panic!("{query}\n is {found:?}, not {rows:?}; runs: {all:#?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Half a year away, whenever this runs, so that nothing is due by itself.
fn far_away() -> String {
    format!("0 0 1 {} *", (chrono::Utc::now().month() + 5) % 12 + 1)
}

fn sync_far_away() -> String {
    format!(
        "[schedules.ghl-sync]\ncommand = ['ghl', 'sync', '--only', 'contacts']\ncron = '{}'\n",
        far_away()
    )
}

const DUE_NOW: &str = "update schedules set next_at = clock_timestamp() where enabled";

#[tokio::test]
async fn what_is_due_is_run_and_recorded() {
    let house = House::new("");
    let socket = house.home.join("notify");
    let notified = UnixDatagram::bind(&socket).unwrap();
    let house = house.with("NOTIFY_SOCKET", socket.to_str().unwrap());
    let mut daemon = house.start("--sandbox sync daemon");
    assert_eq!(
        daemon.ready["schedules"][0]["name"], "ghl-sync",
        "{}",
        daemon.ready
    );
    assert_eq!(daemon.ready["schedules"][0]["command"], "ghl sync");
    let mut told = [0; 100];
    let length = notified.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"READY=1\n");

    let mut sql = house.sql().await;
    sql.run("set search_path to biz_sandbox, ext").await;
    let waits = "select next_at > now() and next_at <= now() + interval '15 minutes' as waits from schedules where enabled";
    assert_eq!(sql.rows(waits).await, ["true"]);
    sql.run(DUE_NOW).await;
    sql.until(
        "select state, exit_code, attempts, collapsed, by_hand, message from schedule_runs",
        &["done 0 1 0 false -"],
        30,
    )
    .await;
    assert_eq!(sql.rows(waits).await, ["true"]);
    let execution = "select e.caller, e.principal, e.command, e.status from tool_executions e join schedule_runs r on r.execution_id = e.id";
    assert_eq!(
        sql.rows(execution).await,
        ["schedule ghl-sync ghl sync success"]
    );
    assert_eq!(sql.rows("select count(*) from contacts").await, ["1206"]);

    daemon.terminate().await;
    let length = notified.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"STOPPING=1\n");
    assert!(
        daemon.log().contains("ghl-sync: done after"),
        "{}",
        daemon.log()
    );

    let status = house.json("--sandbox sync status");
    assert_eq!(status["data"]["items"][0]["state"], "done", "{status}");
    assert_eq!(status["metadata"]["warnings"], serde_json::json!([]));
    let listed = house.json("--sandbox sync schedules");
    let items = listed["data"]["items"].as_array().unwrap();
    let listed = items.iter().find(|item| item["id"] == "ghl-sync").unwrap();
    assert_eq!(
        (&listed["last_state"], &listed["enabled"]),
        (&"done".into(), &true.into()),
        "{listed}"
    );
    assert!(
        listed["description"]
            .as_str()
            .unwrap()
            .contains("15 minutes"),
        "{listed}"
    );
}

#[tokio::test]
async fn two_daemons_run_nothing_twice() {
    let mut config = sync_far_away();
    for n in 0..20 {
        config.push_str(&format!(
            "[schedules.many-{n:02}]\ncommand = ['quota']\ncron = '{}'\n",
            far_away()
        ));
    }
    let house = House::new(&config);
    let mut daemons = [house.start("sync daemon"), house.start("sync daemon")];
    let mut sql = house.sql().await;
    for round in 1..=3 {
        sql.run(&format!("{DUE_NOW} and name like 'many-%'")).await;
        let done = format!(
            "select count(*) from schedule_runs where state = 'done' having count(*) >= {}",
            round * 20
        );
        sql.until(&done, &[&format!("{}", round * 20)], 30).await;
    }
    for daemon in &mut daemons {
        daemon.terminate().await;
    }
    let executed = "select distinct count(*) from tool_executions where caller = 'schedule' group by principal";
    assert_eq!(sql.rows(executed).await, ["3"]);
    assert_eq!(
        sql.rows("select count(*), count(distinct schedule) from schedule_runs")
            .await,
        ["60 20"]
    );
    assert_eq!(
        sql.rows("select count(distinct claimed_by) from schedule_runs")
            .await,
        ["2"]
    );
}

#[tokio::test]
async fn a_run_outlives_its_daemon() {
    let provider = Process::slow_provider();
    let house = House::new(&sync_far_away())
        .at(&provider)
        .with("MEDTAINER_LEASE", "3");
    let mut first = house.start("sync daemon");
    let mut sql = house.sql().await;
    sql.run(DUE_NOW).await;
    let running = "select state, attempts from schedule_runs";
    sql.until(running, &["running 1"], 10).await;
    let mut second = house.start("sync daemon");

    // Longer than the lease: it is renewed. And due again meanwhile: it does not run beside itself.
    sql.run(DUE_NOW).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(sql.rows(running).await, ["running 1"]);
    let by = "select substring(claimed_by from ':[0-9]+$') as by from schedule_runs";
    assert_eq!(sql.rows(by).await, [first.pid()]);
    assert_eq!(
        sql.rows("select pages > 1 as some from sync_runs where collection = 'ghl.contacts'")
            .await,
        ["true"]
    );
    sql.run("update schedules set next_at = clock_timestamp() + interval '1 day' where enabled")
        .await;

    first.signal(Signal::KILL);
    first.end().await;
    sql.until(running, &["running 2"], 10).await;
    assert_eq!(sql.rows(by).await, [second.pid()]);
    sql.until(
        "select state, attempts, exit_code from schedule_runs",
        &["done 2 0"],
        40,
    )
    .await;
    // Gone on with, not begun again.
    assert_eq!(
        sql.rows("select state, resumed, fetched, complete from sync_runs where collection = 'ghl.contacts'")
            .await,
        ["done 1 6000 true"]
    );
    assert_eq!(sql.rows("select count(*) from contacts").await, ["6000"]);
    second.terminate().await;
}

#[tokio::test]
async fn a_daemon_told_to_end_loses_nothing() {
    let provider = Process::slow_provider();
    let house = House::new(&sync_far_away()).at(&provider);
    let mut daemon = house.start("sync daemon");
    let mut sql = house.sql().await;
    sql.run(DUE_NOW).await;
    sql.until(
        "select pages >= 2 as some from sync_runs where collection = 'ghl.contacts'",
        &["true"],
        20,
    )
    .await;
    daemon.terminate().await;
    assert_eq!(
        sql.rows("select state, exit_code from schedule_runs").await,
        ["stopped 7"]
    );
    assert_eq!(
        sql.rows("select state, fetched < 6000 as partly from sync_runs where collection = 'ghl.contacts'")
            .await,
        ["stopped true"]
    );
    assert_eq!(
        sql.rows("select fetched = (select count(*) from contacts) as all_kept from sync_runs where collection = 'ghl.contacts'")
            .await,
        ["true"]
    );
    assert!(
        daemon.log().contains("ghl-sync: stopped after"),
        "{}",
        daemon.log()
    );

    // The next daemon goes on at once, though the schedule is due in half a year.
    let mut daemon = house.start("sync daemon");
    sql.until(
        "select state from schedule_runs order by id",
        &["stopped", "done"],
        40,
    )
    .await;
    assert_eq!(
        sql.rows("select state, resumed, fetched, complete from sync_runs where collection = 'ghl.contacts'")
            .await,
        ["done 1 6000 true"]
    );
    let ahead =
        "select next_at > now() + interval '100 days' as ahead from schedules where enabled";
    assert_eq!(sql.rows(ahead).await, ["true"]);
    daemon.terminate().await;
}

#[tokio::test]
async fn a_run_taken_over_is_not_recorded_by_who_lost_it() {
    let provider = Process::slow_provider();
    let house = House::new(&sync_far_away())
        .at(&provider)
        .with("MEDTAINER_LEASE", "6");
    let mut daemon = house.start("sync daemon");
    let mut sql = house.sql().await;
    sql.run(DUE_NOW).await;
    sql.until(
        "select pages >= 1 as some from sync_runs where collection = 'ghl.contacts'",
        &["true"],
        20,
    )
    .await;
    sql.run("update schedule_runs set claimed_by = 'elsewhere:1', attempts = 2, lease_until = lease_until + interval '1 hour'").await;
    // Its next sign of life tells it, and it stops.
    sql.until(
        "select state from sync_runs where collection = 'ghl.contacts'",
        &["stopped"],
        10,
    )
    .await;
    assert_eq!(
        sql.rows("select state, claimed_by from schedule_runs")
            .await,
        ["running elsewhere:1"]
    );
    daemon.terminate().await;
    assert!(daemon.log().contains("taken for dead"), "{}", daemon.log());
    assert_eq!(
        sql.rows("select state, claimed_by from schedule_runs")
            .await,
        ["running elsewhere:1"]
    );
}

#[tokio::test]
async fn what_is_too_late_or_hopeless_is_recorded_and_not_run() {
    let mut config = sync_far_away();
    for name in ["late", "hasty", "ahead", "hopeless", "scribbled"] {
        let grace = if name == "hasty" { "grace = '5m'" } else { "" };
        config.push_str(&format!(
            "[schedules.{name}]\ncommand = ['quota']\ncron = '{}'\n{grace}\n",
            far_away()
        ));
    }
    let house = House::new(&config);
    house.start("sync daemon").terminate().await;
    let mut sql = house.sql().await;
    sql.run(
        "update schedules set next_at = now() - interval '25 hours' where name = 'late';
         update schedules set next_at = now() - interval '6 minutes' where name = 'hasty';
         update schedules set next_at = now() + interval '3 years' where name = 'ahead';
         update schedules set next_at = now(), cron = 'whenever' where name = 'scribbled';
         insert into schedule_runs (schedule, scheduled_for, state, claimed_by, lease_until, attempts)
         values ('hopeless', now(), 'running', 'elsewhere:1', now(), 3),
                ('ghl-sync', now(), 'running', 'elsewhere:2', now() - interval '2 days', 1)",
    )
    .await;
    // A daemon that starts reads the configuration, so that one is scribbled over after.
    let mut daemon = house.start("sync daemon");
    sql.run("update schedules set next_at = now(), cron = 'whenever' where name = 'scribbled'")
        .await;
    sql.until(
        "select schedule, state, error_kind from schedule_runs order by schedule",
        &[
            "ghl-sync abandoned -",
            "hasty missed -",
            "hopeless abandoned -",
            "late missed -",
            "scribbled failed usage",
        ],
        10,
    )
    .await;
    let ahead = "select name from schedules where next_at between now() and now() + interval '1 year' order by name";
    assert_eq!(
        sql.rows(ahead).await,
        ["ahead", "ghl-sync", "hasty", "hopeless", "late"]
    );
    assert_eq!(
        sql.rows("select count(*) from tool_executions where caller = 'schedule'")
            .await,
        ["0"]
    );
    daemon.terminate().await;
    for said in [
        "late: missed, due at",
        "hopeless: abandoned: `elsewhere:1` died",
    ] {
        assert!(daemon.log().contains(said), "{}", daemon.log());
    }
}

#[tokio::test]
async fn the_database_may_go_away_and_come_back() {
    let house = House::new(&format!(
        "[schedules.often]\ncommand = ['quota']\ncron = '{}'\n{}",
        far_away(),
        sync_far_away()
    ));
    let mut daemon = house.start("sync daemon");
    for round in 1..=2 {
        house.run("db stop");
        let limit = Instant::now() + Duration::from_secs(30);
        while house.json("db status")["data"]["running"] != true {
            assert!(
                Instant::now() < limit,
                "nobody started it: {}",
                daemon.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut sql = house.sql().await;
        sql.run(&format!("{DUE_NOW} and name = 'often'")).await;
        let done = "select count(*) from schedule_runs where state = 'done'";
        sql.until(done, &[&format!("{round}")], 30).await;
    }
    daemon.terminate().await;
}

#[tokio::test]
async fn a_person_runs_a_schedule_once() {
    let house = House::new(&format!(
        "{}[schedules.off]\ncommand = ['ghl', 'contact', 'nobody-at-all']\ncron = '0 0 * * *'\nenabled = false\n",
        sync_far_away()
    ));
    let ran = house.json("--sandbox sync run ghl-sync");
    assert_eq!(ran["data"]["state"], "done", "{ran}");
    assert_eq!(ran["data"]["by_hand"], true);
    // Its error is the command's, and so is its exit code.
    assert_eq!(house.run("--sandbox sync run off").status.code(), Some(4));
    let mut sql = house.sql().await;
    sql.run("set search_path to biz_sandbox, ext").await;
    assert_eq!(
        sql.rows("select schedule, state, exit_code from schedule_runs order by id")
            .await,
        ["ghl-sync done 0", "off failed 4"]
    );
    let waits = "select name, next_at is not null as waits from schedules where name !~ '(godaddy|do|cf)-sync' order by name";
    assert_eq!(sql.rows(waits).await, ["ghl-sync true", "off false"]);

    // Not beside one that runs, but in the place of one that died.
    sql.run("insert into schedule_runs (schedule, scheduled_for, state, claimed_by, started_at, lease_until) values ('ghl-sync', now(), 'running', 'elsewhere:1', now(), now() + interval '1 minute')").await;
    let refused = house.run("--sandbox sync run ghl-sync");
    assert_eq!(refused.status.code(), Some(5));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("`elsewhere:1`"),
        "{refused:?}"
    );
    sql.run("update schedule_runs set lease_until = now() where state = 'running'")
        .await;
    assert_eq!(
        house.json("--sandbox sync run ghl-sync")["data"]["state"],
        "done"
    );
    assert_eq!(
        sql.rows("select state from schedule_runs order by id")
            .await,
        ["done", "failed", "abandoned", "done"]
    );
    assert_eq!(
        house.run("--sandbox sync run nothing").status.code(),
        Some(4)
    );
}

#[tokio::test]
async fn the_configuration_switches_a_built_in_schedule_off() {
    let house = House::new("");
    let mut daemon = house.start("sync daemon");
    assert_eq!(daemon.ready["schedules"].as_array().unwrap().len(), 1);
    daemon.terminate().await;
    let config = "[schedules.ghl-sync]\ncommand = []\ncron = ''\nenabled = false\n";
    std::fs::write(
        house.home.join("config.toml"),
        format!("{config}{ONE_ALONE}"),
    )
    .unwrap();
    let warned = house.json("sync schedules");
    assert!(
        warned["metadata"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("start it again"),
        "{warned}"
    );
    let mut daemon = house.start("sync daemon");
    assert_eq!(daemon.ready["schedules"], serde_json::json!([]));
    let mut sql = house.sql().await;
    let row = "select enabled, next_at, cron, array_to_string(command, ' ') as command from schedules where name = 'ghl-sync'";
    assert_eq!(sql.rows(row).await, ["false - */15 * * * * ghl sync"]);
    daemon.terminate().await;
}

#[test]
fn a_wrong_schedule_is_named_before_anything_starts() {
    for (schedule, says) in [
        ("command = ['ghl', 'snyc']\ncron = '* * * * *'", "snyc"),
        (
            "command = ['ghl', 'contacts', '--limit', '0']\ncron = '* * * * *'",
            "--limit",
        ),
        ("command = ['ghl']\ncron = '* * * * *'", "schedule `x`"),
        (
            "command = ['demo']\ncron = '* * * * *'",
            "`demo` is for a person",
        ),
        ("command = []\ncron = '* * * * *'", "no command"),
        (
            "command = ['--business', 'acme', 'ghl', 'sync']\ncron = '* * * * *'",
            "`--business`",
        ),
        (
            "command = ['ghl', 'sync']\ncron = '61 * * * *'",
            "`61 * * * *`",
        ),
        (
            "command = ['ghl', 'sync']\ncron = '0 0 30 2 *'",
            "never due",
        ),
        (
            "command = ['ghl', 'sync']\ncron = '* * * * *'\ntimezone = 'Mars/Phobos'",
            "`Mars/Phobos`",
        ),
        (
            "command = ['ghl', 'sync']\ncron = '* * * * *'\ngrace = '5s'",
            "at least `1m`",
        ),
    ] {
        let house = House::new(&format!("[schedules.x]\n{schedule}\n"));
        let mut child = house
            .command("sync daemon")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = child.wait().unwrap();
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(status.code(), Some(2), "{schedule}: {said}");
        assert!(
            said.contains("schedule `x`") && said.contains(says),
            "{schedule}: {said}"
        );
        assert!(said.contains("`[schedules.x]`"), "{schedule}: {said}");
        assert!(!house.home.join("pg").exists(), "{schedule}");
    }
}

#[tokio::test]
async fn what_there_is_no_account_for_is_skipped_and_no_failure() {
    let house = House::with_all(&sync_far_away());
    let mut daemon = house.start("sync daemon");
    let names: Vec<_> = daemon.ready["schedules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|schedule| format!("{}: {}", schedule["name"], schedule["command"]))
        .collect();
    assert_eq!(
        names,
        [
            r#""cf-sync": "cf sync""#,
            r#""do-sync": "do sync""#,
            r#""ghl-sync": "ghl sync --only contacts""#,
            r#""godaddy-sync": "godaddy sync""#
        ]
    );
    let mut sql = house.sql().await;
    sql.run(&format!("{DUE_NOW} and name <> 'ghl-sync'")).await;
    sql.until(
        "select schedule, state, exit_code, execution_id from schedule_runs order by schedule",
        &[
            "cf-sync skipped 0 -",
            "do-sync skipped 0 -",
            "godaddy-sync skipped 0 -",
        ],
        10,
    )
    .await;
    let status = house.json("sync status");
    let message = status["data"]["items"][0]["message"].as_str().unwrap();
    assert!(message.contains("auth login"), "{message}");
    daemon.terminate().await;
    // What somebody wrote into the configuration is meant, and fails.
    let house = House::new("[schedules.mine]\ncommand = ['do', 'sync']\ncron = '0 0 1 1 *'\n");
    let mut daemon = house.start("sync daemon");
    let mut sql = house.sql().await;
    sql.run(&format!("{DUE_NOW} and name = 'mine'")).await;
    sql.until(
        "select schedule, state, error_kind from schedule_runs",
        &["mine failed auth"],
        10,
    )
    .await;
    daemon.terminate().await;
}
