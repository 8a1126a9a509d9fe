//! Creating, restarting and deleting: what is planned, what is sent, and what is known when things go wrong.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{desk, order, quick, report, token};
use crate::front::{Provider, wait_until};

const NEW: &str = "do create new-1 --region nyc3 --size s-1vcpu-1gb --image debian-12-x64";

fn writes(provider: &Provider) -> Vec<String> {
    let counters = order(provider, "counters", json!({}));
    let by_route = counters["by_route"].as_object().unwrap().clone();
    let mut writes: Vec<_> = by_route
        .iter()
        .filter(|(route, _)| !route.starts_with("GET"))
        .map(|(route, count)| format!("{count} {route}"))
        .collect();
    writes.sort();
    writes
}

/// A port that answers, until dropped.
pub fn port() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn a_dry_run_tells_the_price_and_sends_nothing_but_reads() {
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    let create = report(
        &desk,
        &format!("{NEW} --ssh-key office --tag web --dry-run"),
    );
    assert_eq!(create["state"], "dry_run", "{create}");
    assert_eq!(
        create["cost"],
        json!({ "amount": "6.00", "currency": "USD", "per": "month" })
    );
    let request = &create["plan"]["steps"][0]["request"];
    assert_eq!(
        (&request["method"], &request["path"]),
        (&json!("POST"), &json!("/v2/droplets"))
    );
    assert_eq!(request["body"]["ssh_keys"], json!([289_794]));
    assert_eq!(request["body"]["tags"][0], "web");
    assert!(
        request["body"]["tags"][1]
            .as_str()
            .unwrap()
            .starts_with("medtainer-run:")
    );

    let delete = report(&desk, "do delete db-3 --snapshot-first --dry-run");
    let lost = delete["lost"].to_string();
    assert!(
        lost.contains("volume data-2 stays behind, and goes on costing 10.00 USD a month"),
        "{lost}"
    );
    assert!(
        lost.contains("snapshot db-3-before-upgrade stays behind"),
        "{lost}"
    );
    assert_eq!(delete["target"]["name"], "db-3");
    assert_eq!(delete["plan"]["steps"].as_array().unwrap().len(), 2);
    assert!(
        report(&desk, "do delete web-1 --dry-run")["lost"]
            .to_string()
            .contains("reserved IP 198.51.100.100")
    );
    desk.sql(
        "insert into records (collection, id, data) values
            ('cf.records', '1', '{\"type\":\"A\",\"name\":\"shop.example.org\",\"content\":\"198.51.100.100\"}'),
            ('cf.records', '2', '{\"type\":\"A\",\"name\":\"www.example.org\",\"content\":\"203.0.113.10\"}')",
    );
    let lost = report(&desk, "do delete web-1 --dry-run")["lost"].to_string();
    for name in ["shop.example.org", "www.example.org"] {
        assert!(
            lost.contains(&format!("the name {name} leads nowhere then")),
            "{lost}"
        );
    }
    report(&desk, "do reboot web-1 --wait --dry-run");
    assert_eq!(writes(&provider), [""; 0]);
    // The same arguments and the same world give the same plan.
    let hash = |words: &str| report(&desk, words)["hash"].clone();
    let words = "do delete db-3 --snapshot-first --dry-run";
    assert_eq!(hash(words), hash(words));
    assert_ne!(hash(words), hash("do delete db-3 --dry-run"));
}

#[test]
fn a_droplet_is_made_waited_for_and_not_made_twice() {
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    let (_listener, port) = port();
    order(&provider, "address", json!({ "ip": "127.0.0.1" }));
    let desk = desk(&provider);
    let made = report(&desk, &format!("{NEW} --wait --port {port} --yes"));
    assert_eq!(made["state"], "confirmed", "{made}");
    assert_eq!(
        (&made["result"]["status"], &made["result"]["ip"]),
        (&json!("active"), &json!("127.0.0.1"))
    );
    let id = &made["result"]["id"];
    // The cache is no longer what is there, and is not asked.
    let found = desk.json("do droplet new-1");
    assert_eq!(found["data"]["id"], id.to_string());
    let twice = desk.run(&format!("{NEW} --yes --json")).ends(5).json();
    assert_eq!(twice["error"]["details"]["id"], id.to_string(), "{twice}");
    desk.run("do create NEW-1 --region nyc3 --size s-1vcpu-1gb --image debian-12-x64 --yes")
        .ends(5);
    assert_eq!(writes(&provider), ["1 POST /v2/droplets"]);

    let quick_one = report(
        &desk,
        "do create new-2 --region fra1 --size s-1vcpu-2gb --image ubuntu-24-04-x64 --yes",
    );
    assert_eq!(
        (&quick_one["state"], &quick_one["result"]["status"]),
        (&json!("confirmed"), &json!("new"))
    );
}

#[test]
fn an_answer_that_is_lost_or_wrong_makes_no_second_droplet() {
    for trouble in ["done-but-error", "done-but-drop"] {
        let provider = Provider::of("do", "--no-limits");
        let desk = desk(&provider);
        provider.order("trouble", &json!({ "trouble": trouble, "times": 1 }));
        let made = desk.json(&format!("{NEW} --yes"));
        assert_eq!(made["data"]["state"], "confirmed", "{trouble}: {made}");
        assert!(
            made["metadata"]["warnings"]
                .to_string()
                .contains("a look afterwards shows that it was done"),
            "{made}"
        );
        assert!(made["data"]["result"]["id"].is_u64(), "{made}");
        assert_eq!(writes(&provider), ["1 POST /v2/droplets"], "{trouble}");
    }
}

#[test]
fn a_connection_that_drops_before_anything_was_done_leaves_nothing_and_says_unknown() {
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    desk.json("do sync");
    provider.order(
        "trouble",
        &json!({ "trouble": "drop", "times": 1, "method": "POST" }),
    );
    let said = desk.run(&format!("{NEW} --yes --json")).ends(9).json();
    let id = said["error"]["details"]["id"].to_string();
    assert_eq!(writes(&provider), ["1 POST /v2/droplets"]);
    let shown = desk.json(&format!("audit show {id}"));
    assert!(shown.to_string().contains("unknown"), "{shown}");
}

#[test]
fn what_cannot_be_made_is_refused_before_anything_is_sent() {
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    let cases = [
        (
            "do create 'bad name' --region nyc3 --size s-1vcpu-1gb --image debian-12-x64",
            2,
            "letters, digits",
        ),
        (
            "do create a --region nyc --size s-1vcpu-1gb --image debian-12-x64",
            4,
            "`nyc1`",
        ),
        (
            "do create a --region nyc3 --size s-1vcpu-1g --image debian-12-x64",
            4,
            "`s-1vcpu-1gb`",
        ),
        (
            "do create a --region nyc3 --size s-1vcpu-1gb --image debian12",
            4,
            "`debian-12-x64`",
        ),
        (
            "do create a --region nyc3 --size s-1vcpu-512mb-10gb --image debian-12-x64",
            6,
            "do sizes --region nyc3",
        ),
        (
            "do create a --region nyc2 --size s-1vcpu-1gb --image debian-12-x64",
            6,
            "do regions",
        ),
        (
            "do create a --region nyc1 --size s-1vcpu-512mb-10gb --image wordpress-20-04",
            6,
            "disk of 25 GB",
        ),
        (
            "do create a --region nyc3 --size 1gb --image debian-12-x64",
            6,
            "cannot be had",
        ),
        (
            "do create a --region nyc3 --size s-1vcpu-1gb --image debian-12-x64 --ssh-key offce",
            4,
            "`office`",
        ),
        (
            "do create a --region nyc3 --size s-1vcpu-1gb --image debian-12-x64 --tag 'no blank'",
            2,
            "env:prod",
        ),
        (
            "do create a --region nyc3 --size s-1vcpu-1gb --image debian-12-x64 --user-data '~medtainer.run~'",
            2,
            "user data",
        ),
        (
            "do create a --region nyc3 --size s-1vcpu-1gb --image debian-12-x64 --port 80",
            2,
            "--wait",
        ),
        ("do delete mail", 5, "300003415"),
        ("do delete nobody", 4, "do droplets"),
        ("do reboot backup-6", 6, "only an active droplet"),
    ];
    for (words, code, says) in cases {
        let said = desk.run(&format!("{words} --yes"));
        assert_eq!(said.code, code, "{words}: {}", said.err);
        assert!(said.err.contains(says), "{words}: {}", said.err);
    }
    assert_eq!(writes(&provider), [""; 0]);
    // What the account does not allow is DigitalOcean's to say.
    let refused = token(&desk, "dop_v1_readonly")
        .run(&format!("{NEW} --yes"))
        .ends(3);
    assert!(refused.err.contains("scope"), "{}", refused.err);
}

#[test]
fn user_data_and_a_snapshot_of_ours_arrive_as_they_should() {
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    let snapshot = desk.json("do images --mine")["data"]["items"][0].clone();
    let region = snapshot["regions"][0].as_str().unwrap();
    let made = report(
        &desk,
        &format!(
            "do create from-snapshot --region {region} --size s-2vcpu-4gb --image db-3-before-upgrade --user-data '#cloud-config' --dry-run"
        ),
    );
    let body = &made["plan"]["steps"][0]["request"]["body"];
    assert_eq!(body["image"].to_string(), snapshot["id"].as_str().unwrap());
    assert_eq!(body["user_data"], "#cloud-config");
}

#[test]
fn a_restart_is_followed_until_it_is_done_or_fails() {
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    let desk = desk(&provider);
    let done = report(&desk, "do reboot web-1 --wait --yes");
    let undo = desk.run(&format!("undo {}", done["id"])).ends(6);
    assert!(undo.err.contains("what is running stops"), "{}", undo.err);
    assert_eq!(
        (&done["state"], &done["result"]["status"]),
        (&json!("confirmed"), &json!("completed")),
        "{done}"
    );
    order(&provider, "durations", json!({ "reboot": 20_000 }));
    let begun = report(&desk, "do reboot web-2 --yes");
    assert_eq!(
        (&begun["state"], &begun["result"]["status"]),
        (&json!("confirmed"), &json!("in-progress"))
    );
    // Somebody else is at it.
    let busy = desk.run("do reboot web-2 --yes").ends(5);
    assert!(busy.err.contains("another action runs"), "{}", busy.err);
    order(&provider, "finish", json!({}));
    quick(&provider);

    order(&provider, "fail", json!({ "type": "reboot" }));
    let failed = desk.run("do reboot web-2 --wait --yes").ends(9);
    assert!(failed.err.contains("went wrong"), "{}", failed.err);
    order(&provider, "finish", json!({}));
    for trouble in ["done-but-drop", "done-but-error"] {
        provider.order("trouble", &json!({ "trouble": trouble, "times": 1 }));
        let doubtful = report(&desk, "do reboot ci-9 --wait --yes");
        assert_eq!(doubtful["state"], "confirmed", "{doubtful}");
    }
    // Begun, of which the answer was lost, and then failed: that is what is told.
    order(&provider, "fail", json!({ "type": "reboot" }));
    provider.order(
        "trouble",
        &json!({ "trouble": "done-but-drop", "times": 1 }),
    );
    let failed = desk.run("do reboot ci-9 --wait --yes").ends(9);
    assert!(failed.err.contains("went wrong"), "{}", failed.err);
    assert_eq!(writes(&provider), ["6 POST /v2/droplets/{id}/actions"]);
}

#[test]
fn the_machine_it_runs_on_is_left_alone() {
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    let desk = desk(&provider);
    let host = desk.sh("uname -n").ends(0).out.trim().to_owned();
    let made = desk.run(&format!(
        "do create {host} --region nyc3 --size s-1vcpu-1gb --image debian-12-x64 --yes"
    ));
    if made.code == 2 {
        // A host name no droplet can have.
        return;
    }
    made.ends(0);
    order(&provider, "finish", json!({}));
    for words in ["do reboot", "do delete"] {
        let refused = desk.run(&format!("{words} {host} --yes")).ends(6);
        assert!(
            refused.err.contains("the machine this runs on"),
            "{}",
            refused.err
        );
    }
    assert_eq!(writes(&provider), ["1 POST /v2/droplets"]);
}

#[test]
fn a_droplet_is_deleted_after_its_snapshot_is_there() {
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    let desk = desk(&provider);
    let gone = report(&desk, "do delete db-3 --snapshot-first --yes");
    assert_eq!(gone["state"], "confirmed", "{gone}");
    let snapshot = gone["result"]["snapshot"].as_str().unwrap();
    let mine = desk.json("do images --mine --fresh");
    let named = mine["data"]["items"].as_array().unwrap().iter();
    let named: Vec<_> = named.filter(|image| image["id"] == snapshot).collect();
    assert_eq!(named[0]["name"], "db-3-before-delete", "{mine}");
    desk.run("do droplet db-3").ends(4);
    assert_eq!(
        writes(&provider),
        [
            "1 DELETE /v2/droplets/{id}",
            "1 POST /v2/droplets/{id}/actions"
        ]
    );
}

#[test]
fn nothing_is_deleted_when_the_snapshot_fails() {
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    let desk = desk(&provider);
    order(&provider, "fail", json!({ "type": "snapshot" }));
    let failed = desk.run("do delete db-3 --snapshot-first --yes").ends(6);
    assert!(
        failed.err.contains("the snapshot is taken"),
        "{}",
        failed.err
    );
    assert_eq!(writes(&provider), ["1 POST /v2/droplets/{id}/actions"]);
    assert_eq!(
        desk.json("do droplet db-3 --fresh")["data"]["status"],
        "active"
    );
}

#[test]
fn a_delete_whose_answer_is_lost_is_found_to_be_done() {
    for trouble in ["done-but-drop", "done-but-error"] {
        let provider = Provider::of("do", "--no-limits");
        quick(&provider);
        order(&provider, "durations", json!({ "destroy": 0, "lag": 0 }));
        let desk = desk(&provider);
        desk.json("do droplets");
        provider.order("trouble", &json!({ "trouble": trouble, "times": 1 }));
        let gone = report(&desk, "do delete vpn-7 --yes");
        assert_eq!(gone["state"], "confirmed", "{trouble}: {gone}");
        assert_eq!(writes(&provider), ["1 DELETE /v2/droplets/{id}"]);
    }
}

#[test]
fn nobody_but_a_person_deletes_without_saying_so() {
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    let asked = desk.run("do delete vpn-7");
    assert!(
        [2, 8].contains(&asked.code),
        "{}: {}",
        asked.code,
        asked.err
    );
    assert_eq!(writes(&provider), [""; 0]);
}

#[test]
fn a_person_types_the_name_of_what_is_to_be_deleted() {
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    let desk = desk(&provider);
    desk.json("do sync");
    let person = |typed: &str| {
        let mut command = desk.command("do delete web-1");
        command.env("TERM", "xterm").stdin(Stdio::inherit());
        let mut session = rexpect::session::spawn_command(command, Some(20_000)).unwrap();
        let shown = session.exp_string("web-1 to do it").unwrap();
        session.send_line(typed).unwrap();
        let rest = session.exp_eof().unwrap();
        (
            shown + &rest,
            format!("{:?}", session.process().wait().unwrap()),
        )
    };
    let (shown, status) = person("web-2");
    assert!(
        shown.contains("reserved IP 198.51.100.100 stays behind"),
        "{shown}"
    );
    assert!(status.ends_with("6)"), "{status}: {shown}");
    assert_eq!(writes(&provider), [""; 0]);
    let (shown, status) = person("web-1");
    assert!(status.ends_with("0)"), "{status}: {shown}");
    assert_eq!(writes(&provider), ["1 DELETE /v2/droplets/{id}"]);
}

#[test]
fn killed_while_it_waits_it_is_known_afterwards_that_the_droplet_was_made() {
    let provider = Provider::of("do", "--no-limits");
    order(&provider, "durations", json!({ "create": 60_000 }));
    let desk = desk(&provider);
    desk.json("do sync");
    let waiting = desk.start(&format!("{NEW} --wait --yes"));
    wait_until("it was sent and answered", || {
        desk.sql("select count(*) from writes where state = 'sent' and cardinality(answers) = 1")
            == "1"
    });
    waiting.signal("-KILL");
    waiting.wait();
    let id = desk.sql("select id from writes");
    // It looks, and does not go on waiting.
    let asked = Instant::now();
    let shown = desk.json(&format!("audit show {id}"));
    assert!(shown.to_string().contains("confirmed"), "{shown}");
    assert!(
        asked.elapsed() < Duration::from_secs(30),
        "{:?}",
        asked.elapsed()
    );
    desk.run(&format!("{NEW} --yes")).ends(5);
    assert_eq!(writes(&provider), ["1 POST /v2/droplets"]);
}

#[test]
fn a_droplet_that_cannot_be_made_is_told_at_once() {
    let provider = Provider::of("do", "--no-limits");
    quick(&provider);
    order(&provider, "fail", json!({ "type": "create" }));
    let failed = desk(&provider).run(&format!("{NEW} --wait --yes")).ends(9);
    assert!(
        failed
            .err
            .contains("it cannot become true that it has been made"),
        "{}",
        failed.err
    );
}

#[test]
fn a_full_minute_is_waited_for_and_nothing_is_sent_twice() {
    let provider = Provider::of("do", "--no-limits");
    let desk = desk(&provider);
    desk.json("do sync");
    provider.order(
        "trouble",
        &json!({ "trouble": "429", "times": 1, "method": "POST" }),
    );
    assert_eq!(report(&desk, &format!("{NEW} --yes"))["state"], "confirmed");
    assert_eq!(writes(&provider), ["2 POST /v2/droplets"]);
    assert_eq!(desk.json("do droplets --fresh")["metadata"]["count"], 14);
}
