//! When the provider is asked, when the cache answers, and what the reader is told about it.

use serde_json::{Value, json};

use crate::front::{Desk, Home, Provider, nobody, wait_until};

/// A business that was synced a moment ago, and its provider.
fn synced() -> (Desk, Provider) {
    let provider = Provider::start("--records 30 --no-limits");
    let desk = Desk::new(&provider);
    desk.run("ghl sync --only contacts").ends(0);
    (desk, provider)
}

fn meta<'a>(answer: &'a Value, name: &str) -> &'a Value {
    &answer["metadata"][name]
}

#[test]
fn a_young_cache_answers_without_a_call() {
    let (desk, provider) = synced();
    let before = provider.requests();
    for words in [
        "ghl contacts",
        "ghl search bob",
        "ghl contacts --max-age 5m",
        "ghl contacts --offline",
    ] {
        let answer = desk.json(words);
        assert_eq!(
            (meta(&answer, "source"), meta(&answer, "calls")),
            (&json!("cached"), &json!(0)),
            "{words}"
        );
        assert_eq!(meta(&answer, "warnings"), &json!([]), "{words}");
    }
    // 14 minutes are young, 16 are not.
    age(&desk, 14);
    assert_eq!(meta(&desk.json("ghl contacts"), "source"), "cached");
    assert_eq!(provider.requests(), before);
    age(&desk, 16);
    let answer = desk.json("ghl contacts");
    assert_eq!(meta(&answer, "source"), "live");
    assert!(
        meta(&answer, "calls").as_u64().unwrap() > 0 && provider.requests() > before,
        "{answer}"
    );
    // And now it is young again.
    assert_eq!(meta(&desk.json("ghl contacts"), "source"), "cached");
}

/// Makes the last good sync so many minutes old.
fn age(desk: &Desk, minutes: i32) {
    desk.sql(&format!(
        "update sync_state set last_success_at = now() - interval '{minutes} minutes'"
    ));
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_young() {
    let (desk, provider) = synced();
    desk.sql("update sync_state set last_full_at = now() + interval '1 year'");
    age(&desk, -60 * 24 * 365);
    let before = provider.requests();
    let answer = desk.json("ghl contacts");
    assert_eq!(meta(&answer, "source"), "live");
    assert!(provider.requests() > before);
    let stats = desk.json("ghl sync-stats");
    assert_eq!(stats["data"]["runs"][0]["mode"], "full", "{stats}");
    // Two clocks never quite agree.
    age(&desk, -1);
    assert_eq!(meta(&desk.json("ghl contacts"), "source"), "cached");
}

#[test]
fn what_a_check_asks_of_a_provider_is_recorded() {
    let (desk, provider) = synced();
    let recorded = "select count(*) from api_calls";
    let (before, asked) = (desk.sql(recorded), provider.requests());
    desk.run("doctor").ends(0);
    let number = |text: String| text.parse::<u64>().unwrap();
    assert_eq!(
        number(desk.sql(recorded)) - number(before),
        provider.requests() - asked
    );
}

#[test]
fn asked_for_it_goes_live() {
    let (desk, provider) = synced();
    let changed = provider.order("mutate", &json!({ "count": 1 }))["ids"][0]
        .as_str()
        .unwrap()
        .to_owned();
    provider.order("settle", &json!({}));
    for words in [
        "ghl contacts --limit 1 --max-age 0s",
        "ghl contacts --limit 1 --fresh",
    ] {
        let before = provider.requests();
        let answer = desk.json(words);
        assert_eq!(meta(&answer, "source"), "live", "{words}");
        assert_eq!(answer["data"]["items"][0]["id"], *changed, "{words}");
        assert!(provider.requests() > before, "{words}");
        assert_eq!(meta(&answer, "account"), "sandboxLocation01abc");
    }
    let one = desk.json(&format!("ghl contact {changed} --fresh"));
    assert_eq!(meta(&one, "source"), "live");
    assert!(
        one["data"]["data"]["city"].as_str().unwrap().contains('#'),
        "{one}"
    );
}

#[test]
fn the_first_read_fetches() {
    let provider = Provider::start("--records 30 --no-limits");
    let desk = Desk::new(&provider);
    let answer = desk.json("ghl contacts --limit 500");
    assert_eq!(
        (meta(&answer, "source"), meta(&answer, "count")),
        (&json!("live"), &json!(30))
    );
    assert_eq!(
        (meta(&answer, "complete"), meta(&answer, "next")),
        (&json!(true), &Value::Null)
    );
    // Nor does a name need a sync first.
    let desk = Desk::new(&provider);
    let id = answer["data"]["items"][0]["id"].as_str().unwrap();
    assert_eq!(desk.json(&format!("ghl contact {id}"))["data"]["id"], *id);
}

#[test]
fn a_provider_that_is_down_leaves_what_is_known() {
    let (desk, provider) = synced();
    let url = nobody();
    drop(provider);
    let down = desk.with("MEDTAINER_GHL_URL", &url);
    let said = down.run("ghl contacts --fresh").ends(7);
    assert!(
        said.err.contains("error: GoHighLevel cannot be reached") && said.err.contains("hint: "),
        "{}",
        said.err
    );
    assert!(said.out.is_empty(), "{}", said.out);

    let said = down.run("ghl contacts --max-age 0s --limit 500").ends(0);
    assert_eq!(said.out.lines().count(), 31);
    assert!(
        said.err.contains("warning: ") && said.err.contains("this is what was known before"),
        "{}",
        said.err
    );
    assert!(said.err.contains("STALE"), "{}", said.err);
    let answer = down.json("ghl contacts --max-age 0s");
    assert_eq!(meta(&answer, "source"), "stale");
    assert_eq!(
        meta(&answer, "warnings").as_array().unwrap().len(),
        1,
        "{answer}"
    );
    assert!(meta(&answer, "as_of").is_string());

    let said = down
        .run("ghl contacts --max-age 0s --strict --json")
        .ends(10);
    assert_eq!(said.json()["error"]["kind"], "stale");
    // Young data is neither stale nor partial.
    down.run("ghl contacts --strict").ends(0);
    // With nothing known there is nothing to answer with.
    let empty = down.with("MEDTAINER_BUSINESS", "nothing_known");
    let said = empty.run("ghl contacts --json").ends(7);
    assert_eq!(said.json()["error"]["kind"], "unavailable");
}

#[test]
fn a_sync_that_another_process_does_not_finish_leaves_what_is_known() {
    let (desk, _provider) = synced();
    let mut other = desk
        .command("db psql --")
        .args([
            "-Atqc",
            "select pg_advisory_lock(hashtextextended('medtainer sync ' || current_schema() || ' ghl.contacts', 0)), pg_sleep(60)",
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the other process syncs", || {
        desk.json("ghl sync-stats")["data"]["running"] == true
    });
    let answer = desk.json("ghl contacts --max-age 0s --timeout 1s --limit 500");
    assert_eq!(
        (meta(&answer, "source"), meta(&answer, "count")),
        (&json!("stale"), &json!(30))
    );
    let warning = meta(&answer, "warnings")[0].as_str().unwrap();
    assert!(warning.contains("is being synced"), "{warning}");
    let said = desk.run("ghl contacts --fresh --timeout 1s").ends(5);
    assert!(said.err.contains("is being synced"), "{}", said.err);
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn offline_means_offline() {
    let provider = Provider::start("--records 30 --no-limits");
    let desk = Desk::new(&provider);
    let said = desk.run("ghl contacts --offline --json").ends(0);
    let answer = said.json();
    assert_eq!(
        (meta(&answer, "complete"), meta(&answer, "calls")),
        (&json!(false), &json!(0))
    );
    assert!(
        said.err
            .contains("warning: nothing was ever fetched completely"),
        "{}",
        said.err
    );
    desk.run("ghl contacts --offline --strict").ends(10);
    desk.run("ghl contact 00000000000000000000 --offline")
        .ends(4);
    assert_eq!(provider.requests(), 0);

    desk.run("ghl sync --only contacts").ends(0);
    let before = provider.requests();
    age(&desk, 60 * 24 * 3);
    let answer = desk.json("ghl contacts --offline");
    assert_eq!(
        (meta(&answer, "source"), meta(&answer, "calls")),
        (&json!("stale"), &json!(0))
    );
    desk.run("ghl contacts --offline --strict").ends(10);
    assert_eq!(provider.requests(), before);
}

#[test]
fn the_environment_is_a_default_that_words_overrule() {
    let (desk, provider) = synced();
    let before = provider.requests();
    let offline = desk
        .clone()
        .with("MEDTAINER_OFFLINE", "1")
        .with("MEDTAINER_OUTPUT", "csv");
    age(&desk, 60);
    assert!(
        offline
            .run("ghl contacts")
            .ends(0)
            .out
            .starts_with("id,name")
    );
    assert_eq!(provider.requests(), before);
    assert_eq!(
        meta(&offline.json("ghl contacts --fresh"), "source"),
        "live"
    );
    let old = desk
        .clone()
        .with("MEDTAINER_MAX_AGE", "1h")
        .with("MEDTAINER_QUIET", "1");
    assert_eq!(meta(&old.json("ghl contacts --fresh"), "source"), "live");
    assert!(
        old.run("ghl contacts --fresh --verbose")
            .ends(0)
            .err
            .contains("asked a provider")
    );
    assert_eq!(
        desk.clone()
            .with("MEDTAINER_JSON", "1")
            .run("ghl contacts -o csv")
            .ends(0)
            .out
            .lines()
            .count(),
        21
    );
    // An empty variable says nothing.
    let empty = desk
        .clone()
        .with("MEDTAINER_OUTPUT", "")
        .with("MEDTAINER_MAX_AGE", "")
        .with("MEDTAINER_FRESH", "");
    assert_eq!(meta(&empty.json("ghl contacts"), "source"), "cached");
    // Said twice it is a contradiction still.
    old.run("ghl contacts --fresh --offline").ends(2);
    old.run("ghl contacts --json -o csv").ends(2);
}

#[test]
fn sample_data_is_labelled_and_kept_apart() {
    let (desk, _provider) = synced();
    let name = desk.business();
    let before = desk.stored();
    let sample = desk.json("--sandbox ghl contacts --limit 500");
    assert_eq!(meta(&sample, "source"), "sample");
    assert_ne!(meta(&sample, "business"), &json!(name));
    assert_eq!(meta(&sample, "count"), 500);
    let said = desk.run("--sandbox ghl contacts --limit 1").ends(0);
    assert!(said.err.contains("sample data"), "{}", said.err);
    for words in [
        "ghl search bob",
        "ghl sync --only contacts",
        "ghl sync-stats",
        "ghl contact 'isha kaur'",
    ] {
        let answer = desk.run(&format!("--sandbox {words} --json")).json();
        let source = meta(&answer, "source");
        assert!(
            source == "sample" || answer["status"] == "error" && source != "live",
            "{words}: {answer}"
        );
    }
    // It needs neither token nor network, and is the same for whoever asks.
    let bare = Home::shared()
        .bare()
        .with("MEDTAINER_BUSINESS", &name)
        .with("MEDTAINER_SANDBOX", "1");
    assert_eq!(
        meta(&bare.json("ghl contacts --limit 1"), "source"),
        "sample"
    );

    assert_eq!((desk.stored(), before), (30, 30));
    let real = desk.json("ghl contacts --limit 500");
    assert_eq!(
        (meta(&real, "source"), meta(&real, "count")),
        (&json!("cached"), &json!(30))
    );
    let seven = Provider::start("--records 7 --no-limits");
    let other = Desk::at(Home::shared(), &seven).with("MEDTAINER_BUSINESS", "other");
    assert_eq!(meta(&other.json("ghl contacts"), "count"), 7);
    assert_eq!(desk.stored(), 30);
}

#[test]
fn one_contact_asked_for_live_costs_one_call_and_changes_nothing() {
    let (desk, _provider) = synced();
    let list = desk.json("ghl contacts --limit 1");
    let id = list["data"]["items"][0]["id"].as_str().unwrap();
    let live = desk.json(&format!("ghl contact {id} --fresh"));
    assert_eq!(
        (meta(&live, "calls"), meta(&live, "source")),
        (&json!(1), &json!("live"))
    );
    // It came in another form than from a search; that is no change.
    let sweep = desk.json("ghl sync --only contacts --full");
    assert_eq!(sweep["data"]["items"][0]["updated"], 0, "{sweep}");
}

#[test]
fn a_first_read_that_is_cut_short_answers_with_a_part() {
    let provider = Provider::start("--records 20000 --no-limits --trouble ghl:slow=0.5");
    let desk = Desk::new(&provider);
    let answer = desk.json("ghl contacts --limit 1 --timeout 5s");
    assert_eq!(meta(&answer, "source"), "stale", "{answer}");
    assert_eq!(meta(&answer, "complete"), false, "{answer}");
    assert!(
        answer["metadata"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("`medtainer ghl sync` goes on from there"),
        "{answer}"
    );
    desk.run("ghl contacts --limit 1 --timeout 1s --strict")
        .ends(10);
    desk.run("ghl contacts --limit 1 --timeout 1s --fresh")
        .ends(7);
}

#[test]
fn a_sync_that_got_nothing_is_not_taken_up() {
    let provider = Provider::start("--records 30 --no-limits");
    let desk = Desk::new(&provider);
    let down = desk.clone().with("MEDTAINER_GHL_URL", &nobody());
    down.run("ghl contacts").ends(7);
    let began = desk.sql("select max(started_at) from sync_runs");
    let full = desk.json("ghl sync --only contacts");
    assert_eq!(full["data"]["items"][0]["resumed"], false, "{full}");
    assert_eq!(full["data"]["items"][0]["provider_total"], 30, "{full}");
    assert_ne!(desk.sql("select max(started_at) from sync_runs"), began);
    // What an incremental run is told is how many changed, which nobody takes for how many there are.
    let next = desk.json("ghl sync --only contacts");
    assert_eq!(next["data"]["items"][0]["mode"], "incremental", "{next}");
    assert!(
        next["data"]["items"][0]["provider_total"].is_null(),
        "{next}"
    );
}
