//! Bad input, bad providers, bad luck: each ends with a sentence, an exit code and nothing lost.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::front::{Desk, Home, Provider, nobody, wait_until};

#[test]
fn a_configuration_that_cannot_be_read_is_named_with_its_line() {
    let home = Home::new();
    std::fs::create_dir(&home.path).unwrap();
    let file = home.path.join("config.toml");
    for (text, line, what) in [
        (
            &b"business = \"x\"\n\n[providers.ghl]\nurll = \"x\"\n"[..],
            "line 4",
            "urll",
        ),
        (b"business = \n", "line 1", ""),
        (b"# fine\nbusiness = 7\n", "line 2", "string"),
    ] {
        std::fs::write(&file, text).unwrap();
        for words in ["ghl contacts", "db status", "config path"] {
            let said = home.run(words).ends(2);
            assert!(
                said.err.contains(&format!("{}`, {line}", file.display()))
                    && said.err.contains(what),
                "{}",
                said.err
            );
            assert!(
                said.err.contains("hint: ") && said.out.is_empty(),
                "{said:?}"
            );
        }
    }
    let answer = home.run("ghl contacts --json").ends(2).json();
    assert_eq!(answer["error"]["kind"], "usage");
    std::fs::write(&file, b"business = \"\xff\xfe\"\n").unwrap();
    let said = home.run("ghl contacts").ends(2);
    assert!(
        said.err.contains("config.toml` cannot be read"),
        "{}",
        said.err
    );
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let said = home.run("ghl contacts").ends(2);
    assert!(
        said.err.contains("config.toml` cannot be read"),
        "{}",
        said.err
    );
    std::fs::remove_dir(&file).unwrap();
    // Nothing of this started a database.
    assert_eq!(std::fs::read_dir(&home.path).unwrap().count(), 0);
}

#[test]
fn a_database_url_that_is_none_does_not_give_its_password_away() {
    let bare = Home::shared().bare();
    let said = bare
        .clone()
        .with("DATABASE_URL", "postgress//me:hunter2@x")
        .run("ghl contacts -v")
        .ends(2);
    assert!(
        said.err.contains("`DATABASE_URL`") && !said.err.contains("hunter2"),
        "{}",
        said.err
    );
    let nowhere = bare
        .clone()
        .with("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/x");
    let said = nowhere.run("ghl contacts -v").ends(7);
    assert!(
        said.err.contains("hint: ") && !said.err.contains("hunter2"),
        "{}",
        said.err
    );
    // A right one is used, and then there is no private cluster to manage.
    let home = Home::new();
    let given = Desk::at(&home, Provider::shared())
        .with("DATABASE_URL", &Home::shared().url())
        .with("MEDTAINER_BUSINESS", "by_url");
    assert_eq!(given.json("ghl contacts")["metadata"]["count"], 20);
    given.run("db stop").ends(2);
    assert!(!home.path.join("pg").exists());
}

#[test]
fn refused_credentials_say_what_to_do() {
    let provider = Provider::start("--records 30 --no-limits");
    for (token, location, says) in [
        ("pit-wrong-and-secret", "sandboxLocation01abc", "auth login"),
        ("pit-noscope", "sandboxLocation01abc", "scope"),
        ("pit-sandbox", "anotherLocation00001", "location"),
    ] {
        let desk = Desk::new(&provider)
            .with("MEDTAINER_GHL_TOKEN", token)
            .with("MEDTAINER_GHL_LOCATION", location);
        for words in ["ghl contacts", "ghl sync --only contacts", "ghl search bob"] {
            let said = desk.run(&format!("{words} --json -v")).ends(3);
            let error = &said.json()["error"];
            assert_eq!(error["kind"], "auth", "{token}: {}", said.out);
            let text = format!("{} {}", error["message"], error["hint"]).to_lowercase();
            assert!(text.contains(says) && error["hint"].is_string(), "{text}");
            assert!(
                !said.err.contains(token) && !said.out.contains(token),
                "{said:?}"
            );
        }
        assert_eq!(desk.stored(), 0);
        // A refusal is no illness: with the right token all is well at once.
        let right = desk
            .with("MEDTAINER_GHL_TOKEN", "pit-readonly")
            .with("MEDTAINER_GHL_LOCATION", "sandboxLocation01abc");
        assert_eq!(right.json("ghl contacts")["metadata"]["count"], 20);
    }
    let none = Desk::new(&provider)
        .without("MEDTAINER_GHL_TOKEN")
        .without("MEDTAINER_GHL_LOCATION");
    let said = none.run("ghl contacts").ends(3);
    assert!(
        said.err.contains("MEDTAINER_GHL_TOKEN") && said.err.contains("auth login"),
        "{}",
        said.err
    );
}

#[test]
fn answers_that_are_none_leave_what_is_known() {
    let provider = Provider::start("--records 30 --no-limits");
    for (trouble, says) in [
        ("html", "text/html"),
        ("half-json", "breaks off or is malformed"),
        ("cut", "broke before the answer was complete"),
        ("drop", "broke before the answer was complete"),
        ("5xx", "failed"),
        ("429", "asked for a pause"),
    ] {
        let desk = Desk::new(&provider).with("MEDTAINER_TIMEOUT", "6s");
        desk.run("ghl sync --only contacts").ends(0);
        provider.trouble(trouble);
        let said = desk.run("ghl contacts --fresh --json").ends(7);
        let error = &said.json()["error"];
        assert_eq!(error["kind"], "unavailable");
        assert!(
            error["message"].as_str().unwrap().contains(says),
            "{trouble}: {error}"
        );
        assert!(
            error["hint"].is_string() && !error["message"].as_str().unwrap().contains('<'),
            "{trouble}: {error}"
        );
        let said = desk.run("ghl contacts --max-age 0s --limit 500").ends(0);
        assert_eq!(said.out.lines().count(), 31, "{trouble}");
        assert!(
            said.err.contains("warning: ") && said.err.contains("STALE"),
            "{trouble}: {}",
            said.err
        );
        provider.calm();
        assert_eq!(desk.stored(), 30);
    }
}

#[test]
fn a_page_of_ten_megabytes_is_a_page() {
    let provider = Provider::start("--records 600 --no-limits --trouble ghl:huge=10");
    let desk = Desk::new(&provider);
    let answer = desk.json("ghl sync --only contacts");
    assert_eq!(
        (&answer["data"]["items"][0]["fetched"], desk.stored()),
        (&json!(600), 600)
    );
    // There is an end to what is read.
    provider.calm();
    provider.trouble("huge=80");
    let said = desk.run("ghl sync --only contacts --full").ends(6);
    assert!(said.err.contains("more than 64 MiB"), "{}", said.err);
    assert_eq!(desk.stored(), 600);
}

#[test]
fn a_page_that_repeats_itself_ends_the_sync() {
    let provider = Provider::start("--records 1700 --no-limits --trouble ghl:repeat-page");
    let desk = Desk::new(&provider);
    let said = desk.run("ghl sync --only contacts --json").ends(6);
    let answer = said.json();
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("repeat"),
        "{answer}"
    );
    assert!(provider.requests() < 5, "{} requests", provider.requests());
    assert!(desk.stored() <= 500);
    provider.calm();
    let answer = desk.json("ghl sync --only contacts");
    assert_eq!(
        (&answer["data"]["items"][0]["state"], desk.stored()),
        (&json!("done"), 1700)
    );
    assert_eq!(answer["metadata"]["complete"], true);
}

#[test]
fn characters_no_database_can_keep_are_replaced_and_said() {
    for trouble in ["bad-utf8", "nul"] {
        let provider =
            Provider::start(&format!("--records 30 --no-limits --trouble ghl:{trouble}"));
        let desk = Desk::new(&provider);
        let said = desk.run("ghl contacts --limit 500 --json").ends(0);
        let answer = said.json();
        assert_eq!(answer["metadata"]["count"], 30, "{trouble}");
        assert!(
            said.err
                .contains("warning: GoHighLevel sent characters no database can keep"),
            "{trouble}: {}",
            said.err
        );
        assert!(
            !said.out.contains("\\u0000") && !said.out.contains('\0'),
            "{trouble}"
        );
        // Tables stay lines of printable text.
        let table = desk.run("ghl contacts --limit 500").ends(0).out;
        assert!(
            table.lines().count() == 31 && !table.contains(|c: char| c.is_control() && c != '\n'),
            "{table}"
        );
        // The same again is no change.
        assert_eq!(
            desk.json("ghl sync --only contacts --full")["data"]["items"][0]["updated"],
            0,
            "{trouble}"
        );
        let id = answer["data"]["items"][0]["id"].as_str().unwrap();
        assert_eq!(
            desk.json(&format!("ghl contact {id} --fresh"))["data"]["id"],
            *id
        );
    }
}

/// A provider of our own that gives one page of contacts, whatever it is asked.
fn one_page(contacts: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let total = contacts.as_array().unwrap().len();
    let body = json!({ "contacts": contacts, "total": total, "traceId": "t" }).to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse().ok())
                .unwrap_or(0);
            stream.read_exact(&mut vec![0; length]).unwrap();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .ok();
        }
    });
    url
}

#[test]
fn names_cannot_steer_the_terminal() {
    let eve = |id: &str| json!({ "id": id, "firstName": "Eve\u{1b}]0;x\u{7}", "lastName": "Two" });
    let contacts = json!([eve("eve00000000000000001"), eve("eve00000000000000002")]);
    let desk = Desk::new(Provider::shared()).with("MEDTAINER_GHL_URL", &one_page(contacts));
    let ambiguous = desk.run("ghl contact 'eve two'").ends(5);
    let page = desk.run("ghl contacts --sort name --limit 1").ends(0);
    for said in [ambiguous.err, page.err] {
        assert!(said.contains("eve0000000000000000"), "{said:?}");
        assert!(
            !said.contains(|c: char| c.is_control() && c != '\n'),
            "{said:?}"
        );
    }
}

#[test]
fn a_contact_of_nothing_but_null_is_a_contact() {
    let fields = [
        "locationId",
        "firstName",
        "lastName",
        "contactName",
        "name",
        "email",
        "phone",
        "additionalEmails",
        "additionalPhones",
        "companyName",
        "address",
        "city",
        "dateOfBirth",
        "tags",
        "source",
        "assignedTo",
        "dateAdded",
        "dateUpdated",
        "dnd",
        "customFields",
        "searchAfter",
        "website",
        "country",
    ];
    let mut contact: Value = fields
        .iter()
        .map(|field| ((*field).to_owned(), Value::Null))
        .collect::<serde_json::Map<_, _>>()
        .into();
    contact["id"] = json!("allNull0000000000001");
    let provider = Provider::shared();
    let desk = Desk::new(provider).with(
        "MEDTAINER_GHL_URL",
        &one_page(json!([contact, { "id": "onlyAnId000000000002" }])),
    );
    let answer = desk.json("ghl sync --only contacts");
    assert_eq!(
        (
            &answer["data"]["items"][0]["added"],
            &answer["metadata"]["complete"]
        ),
        (&json!(2), &json!(true))
    );
    for sort in ["changed", "added", "name"] {
        let page = desk.json(&format!("ghl contacts --sort {sort} --limit 1"));
        let next = page["metadata"]["next"].as_str().unwrap().to_owned();
        let rest = desk.json(&format!(
            "ghl contacts --sort {sort} --limit 1 --after '{next}'"
        ));
        assert_ne!(
            page["data"]["items"][0]["id"],
            rest["data"]["items"][0]["id"]
        );
        assert_eq!(rest["metadata"]["next"], Value::Null);
    }
    let whole = desk.json("ghl contact allNull0000000000001");
    assert_eq!(
        (
            &whole["data"]["name"],
            &whole["data"]["tags"],
            &whole["data"]["created_at"]
        ),
        (&Value::Null, &json!([]), &Value::Null)
    );
    let table = desk.run("ghl contacts").ends(0).out;
    assert!(table.contains("allNull0000000000001  –"), "{table}");
    desk.run("ghl contact allNull0000000000001").ends(0);
    desk.run("ghl contact null").ends(4);
    assert_eq!(
        desk.json("ghl sync --only contacts --full")["data"]["items"][0]["unchanged"],
        2
    );
}

#[test]
fn a_data_directory_that_cannot_be_written_is_said_so() {
    let temp = tempfile::Builder::new()
        .prefix("mdr")
        .tempdir_in("/tmp")
        .unwrap();
    std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    // Nothing is forbidden to root; then somebody else tries, if they can reach the binary at all.
    let as_nobody = "if [ \"$(id -u)\" = 0 ]; then cp \"$M\" \"$T\"; chmod 755 \"$T\"; exec setpriv --reuid=65534 --clear-groups \"$T\" $W; fi; exec \"$M\" $W";
    let binary = tempfile::Builder::new()
        .prefix("mdb")
        .tempfile_in("/tmp")
        .unwrap()
        .into_temp_path();
    let home = temp.path().join("home");
    let desk = Home::shared()
        .bare()
        .with("MEDTAINER_HOME", home.to_str().unwrap())
        .with("T", binary.to_str().unwrap());
    for words in ["ghl contacts", "db start", "demo"] {
        let said = desk.clone().with("W", words).sh(as_nobody);
        assert_eq!(said.code, 5, "{said:?}");
        assert!(
            said.err.contains("error: ")
                && said.err.contains(home.to_str().unwrap())
                && said.err.contains("hint: "),
            "{words}: {}",
            said.err
        );
        assert!(
            !home.exists() && !said.err.contains("panick"),
            "{}",
            said.err
        );
    }
}

#[test]
fn a_thousand_calls_from_ten_processes_keep_to_the_budget() {
    let provider = Provider::start("--records 50 --rate 60 --window 2s");
    let desk = Desk::new(&provider);
    let ids = desk
        .run("ghl contacts --limit 50 --jq '.data.items[].id'")
        .ends(0)
        .out;
    let ids = ids.split_whitespace().collect::<Vec<_>>().join(" ");
    provider.order("counters", &json!({ "reset": true }));
    let script = format!(
        "for i in 1 2 3 4 5 6 7 8 9 10; do (for round in 1 2; do for id in {ids}; do \
         \"$M\" ghl contact $id --fresh -q --fields id -o csv | tail -1 || exit 9; done; done) & done; wait"
    );
    let said = desk.sh(&script).ends(0);
    let counters = provider.order("counters", &json!({}));
    assert_eq!(said.err, "", "{counters}");
    assert_eq!(
        said.out.lines().count(),
        1000,
        "every call ends well: {counters}"
    );
    let total = counters["total"].as_u64().unwrap();
    assert!(total >= 1000, "{counters}");
    assert_eq!(counters["refused"], 0, "{counters}");
    assert!(
        counters["max_sliding_window"].as_u64().unwrap() <= 60,
        "{counters}"
    );
    // The budget is used, not merely kept.
    let seconds = counters["per_second"].as_array().unwrap().len() as u64;
    println!(
        "{total} calls in {seconds} s, at most {} in any two",
        counters["max_sliding_window"]
    );
    let recorded: u64 = desk.sql("select count(*) from api_calls").parse().unwrap();
    assert!(
        recorded >= total,
        "{recorded} of {total} calls were recorded"
    );
}

#[test]
fn ten_at_once_on_a_fresh_home_all_get_their_answer() {
    let provider = Provider::start("--records 30 --no-limits");
    let home = Home::new();
    let desk = Desk::at(&home, &provider);
    let started: Vec<_> = (0..10)
        .map(|_| desk.start("ghl contacts --json --limit 500"))
        .collect();
    for process in started {
        let said = process.wait().ends(0);
        assert_eq!(said.json()["metadata"]["count"], 30, "{}", said.err);
    }
    assert_eq!(desk.stored(), 30);
    assert!(provider.requests() <= 2, "{} requests", provider.requests());
    assert_eq!(
        desk.sql(
            "select count(*) from tool_executions where tool_name = 'gohighlevel.read_contacts'"
        ),
        "10"
    );
}

#[test]
fn a_home_without_a_provider_still_serves_the_house() {
    let desk = Home::shared().bare().with("MEDTAINER_GHL_URL", &nobody());
    desk.run("quota").ends(0);
    desk.run("ghl sync-stats --business never_used").ends(0);
    wait_until("the database answers", || desk.run("db status").code == 0);
}

#[test]
fn times_nobody_can_mean_are_no_defects() {
    let desk = Desk::new(Provider::shared());
    let all = &desk.json("ghl contacts --limit 1")["metadata"]["complete"];
    assert_eq!(*all, false);
    for words in [
        "--since 300000y",
        "--since 500000000000y",
        "--timeout 500000000000y --fresh",
        "--max-age 500000000000y",
    ] {
        desk.run(&format!("ghl contacts --limit 1 {words}")).ends(0);
    }
    for words in [
        "--since=-9999-01-01",
        "--until=+99999-01-01",
        "--after t-300000000000000000~x",
    ] {
        desk.run(&format!("ghl contacts --limit 1 {words}")).ends(2);
    }
}

#[test]
fn a_filter_sees_the_fields_that_are_wanted() {
    let desk = Desk::new(Provider::shared());
    let said = desk.run("ghl contacts --limit 1 --fields id --jq '.data.items[0]|keys[]'");
    assert_eq!(said.ends(0).out, "id\n");
    let said = desk.run("ghl contacts --limit 1 --fields nmae --jq .data");
    assert!(said.ends(2).err.contains("no field `nmae`"));
}

#[test]
fn a_database_that_accepts_and_says_nothing_is_not_waited_for() {
    // The queue of the listener accepts; nobody ever reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u@{}/x", silent.local_addr().unwrap());
    let home = Home::new();
    let desk = home.bare().with("DATABASE_URL", &url);
    let began = std::time::Instant::now();
    let said = desk.run("db migrate").ends(7);
    assert!(said.err.contains("`DATABASE_URL`"), "{}", said.err);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn settings_of_an_unknown_provider_are_refused() {
    let home = Home::new();
    std::fs::create_dir(&home.path).unwrap();
    let file = home.path.join("config.toml");
    std::fs::write(&file, "[providers.gohighlevel]\nbudget = false\n").unwrap();
    let said = home.run("config path").ends(2);
    assert!(
        said.err.contains("no provider `gohighlevel`") && said.err.contains("ghl, godaddy"),
        "{}",
        said.err
    );
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn sample_businesses_keep_no_credential() {
    let desk = Home::shared().bare();
    for words in ["--sandbox", "--business sandbox", "--business x_sandbox"] {
        let said = desk.sh(&format!(
            "printf 'pit-sandbox\nsandboxLocation01abc\n' | $M {words} auth login ghl --stdin"
        ));
        assert!(said.ends(2).err.contains("needs no credential"), "{words}");
    }
}

#[test]
fn refused_words_are_told_in_the_form_that_was_asked_for() {
    let desk = Home::shared().bare();
    for form in [
        "--json",
        "-ojson",
        "-o=ndjson",
        "-o json",
        "--output=ndjson",
    ] {
        let said = desk.run(&format!("ghl contacts --limit 0 {form}")).ends(2);
        assert_eq!(said.json()["error"]["kind"], "usage", "{form}");
    }
    let on = desk.clone().with("MEDTAINER_JSON", "1");
    on.run("ghl contacts --limit 0").ends(2).json();
    let off = desk.with("MEDTAINER_JSON", "off");
    assert_eq!(off.run("ghl contacts --limit 0").ends(2).out, "");
}

#[test]
fn names_of_keys_are_one_line() {
    let desk = Home::shared().bare();
    let said = desk.run("mcp keys create 'a\nb'").ends(2);
    assert!(said.err.contains("no line breaks"), "{}", said.err);
    let long = "é".repeat(100);
    desk.run(&format!("mcp keys create {long}")).ends(0);
    desk.run(&format!("mcp keys revoke {long}")).ends(0);
}
