//! Syncs that are killed, stopped, doubled or lose their database, and what becomes of them.

use serde_json::json;

use crate::front::{Desk, Home, Provider, Started, kill, wait_until};

/// Six pages, and half a second for each: a budget nobody has raised.
const CONTACTS: usize = 2_750;

fn many() -> Provider {
    Provider::start(&format!("--records {CONTACTS} --no-limits"))
}

/// A sync that has stored so many pages in all and goes on.
fn at_page(desk: &Desk, page: u32) -> Started {
    let sync = desk.start("ghl sync --only contacts --json");
    wait_until(&format!("page {page} is stored"), || pages(desk) >= page);
    sync
}

fn pages(desk: &Desk) -> u32 {
    let said = desk.run("ghl sync-stats --offline --jq '.data.runs[0].pages'");
    said.out.trim().parse().unwrap_or(0)
}

#[test]
fn killed_at_any_page_it_goes_on_there() {
    let provider = many();
    let desk = Desk::new(&provider);
    for page in 1..=4 {
        let sync = at_page(&desk, page);
        sync.signal("-KILL");
        assert_eq!(sync.wait().code, 137);
        let stored = desk.stored();
        assert!(
            stored >= page as usize * 500 && stored.is_multiple_of(500) && stored < CONTACTS,
            "{stored} at page {page}"
        );
    }
    let answer = desk.json("ghl sync --only contacts");
    assert_eq!(answer["data"]["items"][0]["resumed"], true);
    assert_eq!(
        (
            &answer["data"]["items"][0]["fetched"],
            &answer["data"]["items"][0]["provider_total"]
        ),
        (&json!(CONTACTS), &json!(CONTACTS))
    );
    assert_eq!(
        (&answer["metadata"]["complete"], desk.stored()),
        (&json!(true), CONTACTS)
    );
    // Six pages, and at each death at most the two under way.
    assert!(
        provider.requests() <= 6 + 2 * 4,
        "{} requests",
        provider.requests()
    );
    let stats = desk.json("ghl sync-stats");
    assert_eq!(
        (&stats["data"]["contacts"], &stats["data"]["running"]),
        (&json!(CONTACTS), &json!(false))
    );
}

#[test]
fn interrupted_it_says_so_and_goes_on_later() {
    let provider = many();
    let desk = Desk::new(&provider);
    for (signal, page) in [("-INT", 1), ("-TERM", 3)] {
        let sync = at_page(&desk, page);
        sync.signal(signal);
        let said = sync.wait().ends(130);
        assert_eq!(said.json()["error"]["kind"], "unavailable");
        assert!(
            said.err.contains("stopped after") && said.err.contains("Nothing is lost"),
            "{}",
            said.err
        );
        assert!(desk.stored() < CONTACTS);
    }
    let answer = desk.json("ghl sync --only contacts");
    assert_eq!(
        (
            &answer["data"]["items"][0]["resumed"],
            &answer["data"]["items"][0]["fetched"]
        ),
        (&json!(true), &json!(CONTACTS))
    );
    assert_eq!(desk.stored(), CONTACTS);
}

#[test]
fn two_at_once_are_one_run() {
    let provider = many();
    let desk = Desk::new(&provider);
    let first = at_page(&desk, 1);
    let second = desk.start("ghl sync --only contacts --json");
    let (first, second) = (first.wait().ends(0).json(), second.wait().ends(0).json());
    assert_eq!(
        (
            &first["data"]["items"][0]["joined"],
            &second["data"]["items"][0]["joined"]
        ),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (
            &first["data"]["items"][0]["fetched"],
            &second["data"]["items"][0]["fetched"]
        ),
        (&json!(CONTACTS), &json!(CONTACTS))
    );
    assert_eq!(
        desk.sql("select count(*), count(*) filter (where state = 'done') from sync_runs"),
        "1|1"
    );
    assert_eq!((desk.stored(), provider.requests()), (CONTACTS, 6));
}

#[test]
fn a_person_sees_how_far_it_is() {
    let provider = many();
    let desk = Desk::new(&provider);
    let seen = desk.terminal(100, "ghl sync --only contacts").ends(0).out;
    assert!(
        seen.contains("fetching") && seen.contains("/2,750"),
        "{seen}"
    );
    // What is over is wiped away.
    assert!(!seen.lines().last().unwrap().contains("fetching"), "{seen}");
    let quiet = desk
        .terminal(100, "ghl sync --only contacts --full --quiet")
        .ends(0)
        .out;
    assert!(!quiet.contains("fetching"), "{quiet}");
}

#[test]
fn a_reader_in_the_middle_of_a_sync_gets_an_answer() {
    let provider = many();
    let desk = Desk::new(&provider);
    let sync = at_page(&desk, 1);
    let answer = desk.json("ghl contacts --offline --limit 5");
    assert_eq!(
        (
            &answer["metadata"]["count"],
            &answer["metadata"]["complete"]
        ),
        (&json!(5), &json!(false))
    );
    sync.wait().ends(0);
}

#[test]
fn a_postgres_that_dies_in_the_middle_comes_back() {
    let provider = many();
    let home = Home::new();
    let desk = Desk::at(&home, &provider);
    let sync = at_page(&desk, 2);
    kill("-KILL", &home.server_pid());
    let said = sync.wait();
    assert!(said.code == 7 || said.code == 0, "{said:?}");
    if said.code == 7 {
        assert!(
            said.err.contains("connection to Postgres was lost") && said.err.contains("hint: "),
            "{}",
            said.err
        );
    }
    let answer = desk.json("ghl sync --only contacts");
    assert_eq!(
        (
            &answer["data"]["items"][0]["state"],
            &answer["metadata"]["complete"]
        ),
        (&json!("done"), &json!(true))
    );
    assert_eq!(desk.stored(), CONTACTS);

    // Told to stop in the middle it comes back where it was.
    let full = desk.start("ghl sync --only contacts --full --json");
    wait_until("the sweep has begun", || {
        desk.sql("select count(*) from sync_runs where state = 'running' and pages > 1") == "1"
    });
    home.run("db stop").ends(0);
    let said = full.wait();
    assert!(said.code == 7 || said.code == 0, "{said:?}");
    let before = provider.requests();
    let answer = desk.json("ghl sync --only contacts --full");
    assert_eq!(
        (
            &answer["data"]["items"][0]["state"],
            &answer["data"]["items"][0]["fetched"]
        ),
        (&json!("done"), &json!(CONTACTS))
    );
    if said.code == 7 {
        assert_eq!(answer["data"]["items"][0]["resumed"], true, "{answer}");
        assert!(provider.requests() - before < 6, "{answer}");
    }
    assert_eq!(
        (desk.stored(), &answer["data"]["items"][0]["deleted"]),
        (CONTACTS, &json!(0))
    );

    // A read whose server dies under it is answered by the next one.
    kill("-KILL", &home.server_pid());
    assert_eq!(
        desk.json("ghl contacts --limit 500")["metadata"]["count"],
        500
    );
}
