//! The manners of a terminal program: what goes where, how wide, in which form, with which exit code.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::front::{BINARY, Desk, Home, Provider, snapshots};

/// A business with all contacts, for tests that only read.
fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let desk = Desk::new(Provider::shared());
        desk.run("ghl sync --only contacts").ends(0);
        desk
    })
}

/// The command line and all that came of it.
fn whole(words: &str) -> String {
    let said = desk().run(words);
    let errors = said
        .err
        .lines()
        .map(|line| format!("\n! {line}"))
        .collect::<String>();
    format!(
        "$ medtainer {words}\n{}{errors}\n= {}\n\n",
        said.out, said.code
    )
}

#[test]
fn the_demo_shows_what_a_change_would_send_and_sends_nothing() {
    let home = Home::new();
    let said = home.run("demo").ends(0);
    assert!(
        said.out.contains("Nothing was sent.") && !said.out.contains("Done:"),
        "{}",
        said.out
    );
    let next = said.out.split("What next").nth(1).unwrap().to_owned();
    let next = next.split("With your own").next().unwrap();
    let next: Vec<&str> = next
        .lines()
        .filter_map(|line| line.strip_prefix("  medtainer "))
        .collect();
    assert!(!next.is_empty());
    for words in next {
        let said = home
            .bare()
            .shell(&format!("\"$M\" {words}"))
            .output()
            .unwrap();
        assert!(said.status.success(), "{words}: {said:?}");
    }
}

fn shots(name: &str, commands: &[&str]) {
    let text: String = commands.iter().map(|words| whole(words)).collect();
    let mut settings = snapshots();
    // How wide a column is depends on how old the rows are; other tests look at the widths.
    settings.add_filter("  +", "  ");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn one_answer_in_every_form() {
    shots(
        "contacts",
        &[
            "ghl contacts --sort added --limit 3",
            "ghl contacts --sort added --limit 2 --json",
            "ghl contacts --sort added --limit 2 --output ndjson",
            "ghl contacts --sort added --limit 3 -o csv",
            "ghl contacts --sort added --limit 3 --fields id,name",
            "ghl contacts --sort added --limit 2 --fields name,tags --json",
            "ghl contacts --sort added --limit 2 --fields tags,id -o csv",
            "ghl contacts --sort added --limit 2 --jq '.data.items[].name'",
            "ghl contacts --sort added --limit 2 --jq '[.metadata.count, .metadata.source]'",
            "ghl contacts --limit 1 --fields nmae",
            "ghl contacts --limit 1 --fields ' , '",
            "ghl contacts --limit 1 --jq '.data['",
            "ghl contacts --limit 1 --jq env",
        ],
    );
}

#[test]
fn one_contact_in_every_form() {
    let id = desk()
        .run("ghl contacts --sort added --limit 1 --jq '.data.items[0].id'")
        .ends(0)
        .out;
    let id = id.trim();
    shots(
        "contact",
        &[
            &format!("ghl contact {id}"),
            &format!("ghl contact {id} --json"),
            &format!("ghl contact {id} -o csv"),
            &format!("ghl contact {id} --fields id,name,tags"),
            &format!("ghl contact {id} --fields name,data.city -o ndjson"),
        ],
    );
}

#[test]
fn a_search_in_every_form() {
    shots(
        "search",
        &[
            "ghl search 'bob parker' --limit 1",
            "ghl search 'bob parker' --limit 1 --json",
            "ghl search bob --limit 3 -o csv --fields id,name,because",
            "ghl search bob --limit 3 --output ndjson --fields name",
            "ghl search ' '",
        ],
    );
}

#[test]
fn nothing_found_is_a_sentence_and_an_empty_list() {
    shots(
        "empty",
        &[
            "ghl contacts --query zzzqqqxxx",
            "ghl contacts --query zzzqqqxxx --json",
            "ghl contacts --query zzzqqqxxx -o csv --fields id,name",
            "ghl contacts --query zzzqqqxxx -o ndjson",
            "ghl search zzzqqqxxx",
            "ghl search zzzqqqxxx --jq '.data.items | length'",
            "ghl contact zzzqqqxxx",
        ],
    );
}

#[test]
fn words_that_are_wrong_are_refused_with_the_right_one() {
    shots(
        "usage",
        &[
            "ghl contcts",
            "ghl contcts --json",
            "gh contacts",
            "ghl contacts --limt 3",
            "ghl contacts --limt 3 -o json",
            "ghl contacts --limit 0",
            "ghl contacts --limit 501 --json",
            "ghl contacts --limit many",
            "ghl contacts --sort nmae",
            "ghl contacts --output tabel",
            "ghl contacts --since yesterday-ish",
            "ghl contacts --after nonsense",
            "ghl contacts --fresh --offline",
            "ghl sync --force",
            "ghl contact",
            "ghl contact ''",
            "ghl contacts --business 'No Such!'",
            "completions tcsh",
        ],
    );
}

#[test]
fn tables_fit_the_terminal_and_ids_stay_whole() {
    let ids: BTreeSet<String> = {
        let all = desk().json("ghl contacts --limit 30");
        all["data"]["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut cut = 0;
    for width in [48, 60, 80, 100, 132, 250] {
        for words in [
            "ghl contacts --limit 30 -q",
            "ghl search maria --limit 20 -q",
        ] {
            let said = desk().terminal(width, words).ends(0);
            let lines: Vec<&str> = said.out.lines().collect();
            assert!(lines.len() > 5, "{}", said.out);
            for line in &lines {
                let plain = plain(line);
                assert!(
                    plain.width() <= width.into(),
                    "{} of {width} columns: {plain}",
                    plain.width()
                );
            }
            cut += said.out.matches('…').count();
            if words.contains("contacts") {
                let shown: BTreeSet<String> = lines[1..]
                    .iter()
                    .map(|line| line.split_whitespace().next().unwrap().to_owned())
                    .collect();
                assert_eq!(shown, ids, "at {width} columns");
            }
        }
        // A record is folded, not cut.
        let id = ids.first().unwrap();
        let said = desk()
            .terminal(width, &format!("ghl contact {id} -q"))
            .ends(0);
        assert!(
            said.out
                .lines()
                .all(|line| plain(line).width() <= width.into()),
            "{}",
            said.out
        );
        assert!(
            said.out.contains(id.as_str()) && !said.out.contains('…'),
            "{}",
            said.out
        );
    }
    assert!(cut > 100, "{cut} cells were cut");
    // Nothing is cut where nobody looks.
    assert!(
        !desk()
            .run("ghl contacts --limit 100")
            .ends(0)
            .out
            .contains('…')
    );
}

/// Without the sequences that style text.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => drop(chars.by_ref().find(char::is_ascii_alphabetic)),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn colour_and_progress_are_for_terminals() {
    let esc = '\u{1b}';
    for words in [
        "ghl contacts --limit 3",
        "ghl sync --only contacts",
        "ghl contcts",
        "ghl contact nobody-at-all",
        "--help",
    ] {
        let said = desk().run(words);
        assert!(
            !said.out.contains(esc) && !said.err.contains(esc),
            "{words}: {said:?}"
        );
        assert!(
            !said.err.contains('\r') && !said.err.contains('█'),
            "{words}: {said:?}"
        );
    }
    for words in ["ghl contacts --limit 3", "ghl contact nobody-at-all"] {
        assert!(desk().terminal(100, words).out.contains(esc), "{words}");
        let said = desk().clone().with("NO_COLOR", "1").terminal(100, words);
        assert!(!said.out.contains(esc), "{words}: {}", said.out);
        assert!(
            !desk()
                .terminal(100, &format!("{words} --color never"))
                .out
                .contains(esc),
            "{words}"
        );
        let said = desk().run(&format!("{words} --color always"));
        assert!(format!("{}{}", said.out, said.err).contains(esc), "{words}");
    }
    for words in ["ghl contcts", "ghl contacts --limit 0", "--help"] {
        let said = desk().clone().with("NO_COLOR", "1").terminal(100, words);
        assert!(!said.out.contains(esc), "{words}: {}", said.out);
        let said = desk().terminal(100, &format!("--color never {words}"));
        assert!(!said.out.contains(esc), "{words}: {}", said.out);
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    // Far more than a pipe holds.
    for words in [
        "ghl contacts --limit 500 --json",
        "ghl contacts --limit 500 -o csv",
        "ghl contacts --limit 500",
    ] {
        let script = format!("{{ \"$M\" {words}; echo $? >&3; }} 3>&2 | head -c 1 >/dev/null");
        let said = desk().sh(&script).ends(0);
        let code = said.err.lines().last().unwrap();
        assert_eq!(code, "0", "{words}: {}", said.err);
        assert!(
            !said.err.to_lowercase().contains("broken pipe") && !said.err.contains("panick"),
            "{}",
            said.err
        );
    }
    let said = desk().sh("\"$M\" --help | head -1").ends(0);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (1, ""));
    // A full disk is one.
    let said = desk()
        .sh("\"$M\" ghl contacts --limit 5 >/dev/full")
        .ends(1);
    assert!(
        said.err.contains("error: stdout cannot be written"),
        "{}",
        said.err
    );
    // Nobody listens at all.
    desk().sh("\"$M\" ghl contacts --limit 5 >&- 2>&-").ends(0);
}

#[test]
fn stdout_is_the_answer_and_nothing_else() {
    let said = desk().run("ghl contacts --limit 5").ends(0);
    assert_eq!(said.out.lines().count(), 6);
    assert!(said.err.contains("5 rows"), "{}", said.err);
    let said = desk().run("ghl contacts --limit 5 --quiet").ends(0);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (6, ""));
    // With `-v` there is much to read, none of it on stdout, and no one's name among it.
    let said = desk()
        .run("ghl contacts --limit 5 --verbose --json --max-age 0s")
        .ends(0);
    let name = said.json()["data"]["items"][0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        said.err.contains("asked a provider") && !said.err.contains('\u{1b}'),
        "{}",
        said.err
    );
    assert!(
        !said.err.contains(&name) && !said.err.contains("pit-sandbox"),
        "{}",
        said.err
    );
    let said = desk().run("ghl contact nobody-at-all --quiet").ends(4);
    assert!(
        said.out.is_empty() && said.err.starts_with("error: "),
        "{said:?}"
    );
}

#[test]
fn exit_codes_tell_what_to_do() {
    for (words, code, kind) in [
        ("ghl contacts --limit 0", 2, "usage"),
        ("ghl contact nobody-at-all", 4, "not_found"),
        ("ghl contact 00000000000000000000", 4, "not_found"),
        ("ghl contact 'maria garcia'", 5, "conflict"),
    ] {
        let said = desk().run(&format!("{words} --json")).ends(code);
        let answer = said.json();
        assert_eq!(
            (&answer["status"], &answer["error"]["kind"]),
            (&json!("error"), &json!(kind)),
            "{words}"
        );
        assert!(said.err.starts_with("error: "), "{words}: {}", said.err);
    }
    let nobody = Desk::new(Provider::shared()).without("MEDTAINER_GHL_TOKEN");
    assert_eq!(
        nobody.run("ghl contacts --json").ends(3).json()["error"]["kind"],
        "auth"
    );
}

#[test]
fn two_of_one_name_are_told_apart() {
    let said = desk().run("ghl contact 'maria garcia' --json").ends(5);
    let answer = said.json();
    let candidates = answer["error"]["details"]["candidates"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(answer["error"]["details"]["argument"], "who");
    let same: Vec<&Value> = candidates
        .iter()
        .filter(|c| c["label"].as_str().unwrap().starts_with("María García"))
        .collect();
    assert!(same.len() >= 2, "{candidates:?}");
    for candidate in &same {
        assert!(
            said.err.contains(candidate["id"].as_str().unwrap()),
            "{}",
            said.err
        );
        let one = desk().json(&format!(
            "ghl contact {}",
            candidate["id"].as_str().unwrap()
        ));
        assert_eq!(one["data"]["name"], "María García");
    }
    // In a pipe nobody is asked, whatever the format.
    let said = desk().run("ghl contact 'maria garcia'").ends(5);
    assert!(
        said.out.is_empty() && said.err.contains("hint: Give the id"),
        "{said:?}"
    );
}

#[test]
fn a_person_may_choose_among_namesakes() {
    let answer = desk()
        .run("ghl contact 'maria garcia' --json")
        .ends(5)
        .json();
    let second = answer["error"]["details"]["candidates"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let person = |words: &str| {
        let mut command = desk().command(words);
        command.env("TERM", "xterm").stdin(Stdio::inherit());
        rexpect::session::spawn_command(command, Some(20_000)).unwrap()
    };
    let mut session = person("ghl contact 'maria garcia' --fields id");
    session.exp_string("which one").unwrap();
    session.send("\u{1b}[B\r").unwrap();
    session.flush().unwrap();
    let rest = session.exp_eof().unwrap();
    let shown = rest
        .lines()
        .rev()
        .find(|line| plain(line).trim_start().starts_with("Id"))
        .unwrap_or_else(|| panic!("{rest}"));
    assert!(shown.contains(&second), "{second} was chosen: {rest}");
    // Who does not choose gets the candidates.
    let mut session = person("ghl contact 'maria garcia'");
    session.exp_string("which one").unwrap();
    session.send("\u{1b}").unwrap();
    session.flush().unwrap();
    session.exp_string("Give the id").unwrap();
    session.exp_eof().unwrap();
    let status = session.process().wait().unwrap();
    assert!(
        format!("{status:?}").contains("Exited") && format!("{status:?}").ends_with("5)"),
        "{status:?}"
    );
}

#[test]
fn what_is_taught_is_found_at_once() {
    let desk = Desk::new(Provider::shared());
    desk.run("ghl sync --only contacts").ends(0);
    let id = desk.json("ghl contacts --limit 1")["data"]["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for name in ["the roofer", "zorblax"] {
        let said = desk.run(&format!("ghl contact '{name}'"));
        assert_ne!(said.code, 0, "{}", said.out);
    }
    let taught = desk.json(&format!("ghl context {id} --nickname Zorblax --alias 'the roofer' --note 'met at the fair' --importance 7"));
    assert_eq!(taught["data"]["importance"], 7);
    for name in ["the roofer", "ZORBLAX", "zorblax"] {
        let found = desk.json(&format!("ghl search '{name}'"));
        assert_eq!(found["data"]["items"][0]["id"], *id, "{name}: {found}");
        assert_eq!(
            desk.json(&format!("ghl contact '{name}'"))["data"]["id"],
            *id
        );
    }
    let hit = desk.json("ghl search 'the roofer'");
    assert!(
        hit["data"]["items"][0]["because"]
            .as_str()
            .unwrap()
            .contains("you call them"),
        "{hit}"
    );
    // What is given is added, a note replaces the note, and no sync forgets it.
    desk.run(&format!(
        "ghl context {id} --nickname Zee --note 'owes us a lunch'"
    ))
    .ends(0);
    desk.run("ghl sync --only contacts --full").ends(0);
    let whole = desk.json(&format!("ghl contact {id}"));
    assert_eq!(
        whole["data"]["context"],
        json!({ "nicknames": ["Zee", "Zorblax"], "aliases": ["the roofer"], "notes": "owes us a lunch", "importance": 7 })
    );
    assert_eq!(
        desk.json("ghl search zee --limit 1")["data"]["items"][0]["id"],
        *id
    );
}

#[test]
fn pages_to_the_end_give_everybody_once() {
    for sort in ["changed", "added", "name"] {
        let mut seen = BTreeSet::new();
        let mut command = desk().command(&format!("ghl contacts --sort {sort} --limit 250 --json"));
        let mut pages = 0;
        loop {
            let page: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
            let items = page["data"]["items"].as_array().unwrap();
            assert_eq!(page["metadata"]["count"], items.len());
            for item in items {
                assert!(
                    seen.insert(item["id"].as_str().unwrap().to_owned()),
                    "{} came twice by {sort}",
                    item["id"]
                );
            }
            pages += 1;
            assert!(pages < 10);
            match page["metadata"]["next"].as_str() {
                Some(next) => {
                    assert_eq!(page["metadata"]["complete"], false);
                    command =
                        desk().command(&format!("ghl contacts --sort {sort} --limit 250 --json"));
                    command.args(["--after", next]);
                }
                None => {
                    assert_eq!(page["metadata"]["complete"], true);
                    break;
                }
            }
        }
        assert_eq!((seen.len(), pages), (1206, 5), "by {sort}");
    }
    // What is said on stderr can be pasted, whoever the page ends with.
    let mut hint = String::from("ghl contacts --sort name --limit 40");
    let first = |text: &str| text.lines().nth(1).unwrap().to_owned();
    let (mut quoted, mut last) = (false, String::new());
    for _ in 0..15 {
        let said = desk().sh(&format!("\"$M\" {hint} --fields id")).ends(0);
        assert_ne!(first(&said.out), last);
        last = first(&said.out);
        let after = said.err.split("more: ").nth(1).unwrap().trim();
        quoted |= after.contains('\'');
        hint = format!("ghl contacts --sort name --limit 40 {after}");
    }
    assert!(quoted, "no name had a blank");
    // A page that ends with the list has no next one.
    let tag = desk().json("ghl contacts --tag vip --limit 500");
    let count = tag["metadata"]["count"].as_u64().unwrap();
    let exact = desk().json(&format!("ghl contacts --tag vip --limit {count}"));
    assert_eq!(
        (&exact["metadata"]["next"], &exact["metadata"]["complete"]),
        (&Value::Null, &json!(true))
    );
}

#[test]
fn shells_complete_names_from_the_cache() {
    let one = desk().json("ghl search 'bob parker' --limit 1");
    let id = one["data"]["items"][0]["id"].as_str().unwrap();
    // A provider that would notice: whoever connects waits in its queue.
    let provider = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    provider.set_nonblocking(true).unwrap();
    let url = format!("http://{}", provider.local_addr().unwrap());
    let complete = |words: &[&str]| {
        let mut command = Command::new(BINARY);
        let mut like = desk().command("");
        let env: Vec<_> = like
            .env("COMPLETE", "fish")
            .env("MEDTAINER_GHL_URL", &url)
            .get_envs()
            .filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned())))
            .collect();
        let output = command
            .env_clear()
            .envs(env)
            .arg("--")
            .arg("medtainer")
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let names = complete(&["ghl", "contact", "bob par"]);
    assert!(
        names.lines().any(|line| line.starts_with("Bob Parker\t")),
        "{names}"
    );
    assert!(complete(&["ghl", "contact", &id[..6]]).contains(id));
    let commands = complete(&["ghl", "con"]);
    assert_eq!(
        commands
            .lines()
            .map(|line| line.split('\t').next().unwrap())
            .collect::<Vec<_>>(),
        ["contacts", "contact", "context"]
    );
    assert!(complete(&["ghl", "contacts", "--sort", ""]).contains("added"));
    assert_eq!(
        provider.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "a key press must not reach the network"
    );
    // Where there is no database there are no names, and nothing is started for them.
    let home = crate::front::Home::new();
    let mut command = home.bare().command("");
    let output = command
        .env("COMPLETE", "fish")
        .args(["--", "medtainer", "ghl", "contact", "b"])
        .output()
        .unwrap();
    assert!(output.stdout.is_empty() && !home.path.exists());
}

#[test]
fn login_asks_in_a_terminal() {
    let provider = Provider::start("--records 30 --no-limits");
    let desk = Desk::new(&provider)
        .without("MEDTAINER_GHL_TOKEN")
        .without("MEDTAINER_GHL_LOCATION");
    let mut command = desk.command("auth login ghl");
    command.env("TERM", "xterm").stdin(Stdio::inherit());
    let mut session = rexpect::session::spawn_command(command, Some(60_000)).unwrap();
    let mut seen = session.exp_string("token (pit-").unwrap();
    session.send_line("pit-sandbox").unwrap();
    seen += &session.exp_string("location id").unwrap();
    session.send_line("sandboxLocation01abc").unwrap();
    seen += &session.exp_eof().unwrap();
    assert!(seen.contains("Logged in to GoHighLevel"), "{seen}");
    assert!(!seen.contains("pit-sandbox"), "{seen}");
    desk.run("ghl contacts").ends(0);
}

/// Ctrl-C at a question: what was seen, with the state of the terminal afterwards.
fn interrupted(words: &str, question: &str) -> String {
    let script =
        format!("trap : INT; stty echo; stty -g; \"$M\" {words}; echo \"code $?\"; stty -g");
    let mut command = desk().shell(&script);
    command.env("TERM", "xterm").stdin(Stdio::inherit());
    let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    let mut seen = session.exp_string(question).unwrap();
    // It is read a moment after it is asked.
    std::thread::sleep(std::time::Duration::from_millis(300));
    session.send_control('c').unwrap();
    seen += &session.exp_eof().unwrap();
    assert!(seen.contains("code 130"), "{words}: {seen}");
    let before = seen.lines().next().unwrap().trim();
    let after = seen.lines().next_back().unwrap().trim();
    assert!(before.contains(':') && before == after, "{words}: {seen}");
    seen
}

#[test]
fn an_interrupted_hidden_question_leaves_a_terminal_that_echoes() {
    for (words, question) in [("mcp passphrase", "Passphrase"), ("auth login do", "oken")] {
        let seen = interrupted(words, question);
        assert!(seen.contains("was not answered"), "{words}: {seen}");
    }
}

#[test]
fn an_interrupted_choice_leaves_a_cursor() {
    for (words, question) in [
        ("ghl contact 'maria garcia'", "which one"),
        ("mcp install vscode", "[y/N]"),
    ] {
        let seen = interrupted(words, question);
        assert!(seen.contains("\u{1b}[?25h"), "{words}: {seen}");
    }
}
