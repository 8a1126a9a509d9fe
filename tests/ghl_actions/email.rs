use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{LOCATION, contact, get, id, reachable, state, writes};
use crate::front::{Desk, Provider};

const LETTER: &str = "--subject 'Your jars' --body 'They left today.'";

/// The e-mails that went to a contact through the API.
fn sent(provider: &Provider, who: &str) -> Vec<Value> {
    let path = format!(
        "/conversations/messages/export?locationId={LOCATION}&contactId={who}&channel=Email&limit=500&sortOrder=asc"
    );
    let found = get(provider, &path);
    let messages = found["messages"].as_array().unwrap().iter();
    messages
        .filter(|message| message["source"] == "api")
        .map(|message| {
            let email = message["meta"]["email"]["messageIds"][0].as_str().unwrap();
            get(provider, &format!("/conversations/messages/email/{email}"))
        })
        .collect()
}

#[test]
fn a_dry_run_shows_the_letter_and_sends_only_reads() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let who = id(&reachable(&provider));
    let answer = desk.json(&format!("ghl email {who} {LETTER} --dry-run"));
    let data = &answer["data"];
    assert_eq!(data["state"], "dry_run", "{answer}");
    assert_eq!(data["policy"], "confirm");
    assert_eq!(data["reversible"], false);
    assert_eq!(data["changes"][0]["after"]["subject"], "Your jars");
    assert_eq!(writes(&desk), [""; 0]);
    assert!(sent(&provider, &who).is_empty());
}

#[test]
fn it_is_sent_once_it_is_confirmed_and_not_before() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let person = reachable(&provider);
    let who = id(&person);
    let said = desk.run(&format!("ghl email {who} {LETTER}")).ends(2);
    assert!(said.err.contains("has to be confirmed"), "{}", said.err);
    assert_eq!(writes(&desk), [""; 0]);

    let answer = desk.json(&format!(
        "ghl email {who} {LETTER} --yes --from office@medtainer.example"
    ));
    assert_eq!(answer["data"]["state"], "confirmed", "{answer}");
    let letters = sent(&provider, &who);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["subject"], "Your jars");
    assert_eq!(letters[0]["body"], "<p>They left today.</p>");
    assert_eq!(letters[0]["from"], "office@medtainer.example");
    assert_eq!(letters[0]["to"], json!([person["email"]]));
    assert_eq!(writes(&desk), ["POST /conversations/messages"]);
    let undo = desk
        .run(&format!("undo {} --yes", answer["data"]["id"]))
        .ends(6);
    assert!(undo.err.contains("cannot be undone"), "{}", undo.err);

    // The same letter again is another letter.
    desk.json(&format!("ghl email {who} {LETTER} --yes"));
    assert_eq!(sent(&provider, &who).len(), 2);
}

#[test]
fn the_text_may_be_piped_in_or_be_html() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let who = id(&reachable(&provider));
    let mut piped = desk
        .command(&format!(
            "ghl email {who} --subject Hello --body - --yes --json"
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = piped.stdin.take().unwrap();
    stdin.write_all(b"Dear <all>,\n\nGood bye.\n").unwrap();
    drop(stdin);
    assert!(piped.wait_with_output().unwrap().status.success());
    desk.json(&format!(
        "ghl email {who} --subject Hello --html --body <b>Hi</b> --yes"
    ));
    let bodies: Vec<_> = sent(&provider, &who)
        .iter()
        .map(|letter| letter["body"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        bodies,
        ["<p>Dear &lt;all&gt;,</p><p>Good bye.</p>", "<b>Hi</b>"]
    );
    // Nothing was piped in.
    desk.run(&format!("ghl email {who} --subject Hello --body - --yes"))
        .ends(2);
}

#[test]
fn whoever_cannot_or_will_not_be_written_to_is_left_in_peace() {
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let silent = id(&contact(&provider, |contact| !contact["email"].is_string()));
    let said = desk
        .run(&format!("ghl email {silent} {LETTER} --yes"))
        .ends(6);
    assert!(said.err.contains("has no e-mail address"), "{}", said.err);
    for like in [
        |contact: &Value| contact["dnd"] == true && contact["email"].is_string(),
        |contact: &Value| {
            contact["dndSettings"]["Email"]["status"] == "active" && contact["email"].is_string()
        },
    ] {
        let who = id(&contact(&provider, like));
        let said = desk.run(&format!("ghl email {who} {LETTER} --yes")).ends(6);
        assert!(said.err.contains("disturbed"), "{}", said.err);
    }
    let who = id(&reachable(&provider));
    for bad in [
        "--subject ' ' --body x",
        "--subject x --body ' '",
        "--subject x --body y --from nobody",
        "--subject x --body y --from 'A <a@b.example>'",
    ] {
        desk.run(&format!("ghl email {who} {bad} --yes")).ends(2);
    }
    // The nearest is not who was meant: a guess is good enough to show, not to send to.
    let said = desk
        .run(&format!("ghl email 'Nobody Of That Name' {LETTER} --yes"))
        .ends(5);
    assert!(
        said.err.contains("not quite anybody's name"),
        "{}",
        said.err
    );
    desk.run(&format!("ghl email 'Xyzzy Qwrtz' {LETTER} --yes"))
        .ends(4);
    assert_eq!(writes(&desk), [""; 0]);
}

#[test]
fn no_answer_is_looked_up_and_never_sent_again() {
    for trouble in ["done-but-error", "done-but-drop"] {
        let provider = Provider::start("--no-limits");
        let desk = Desk::new(&provider);
        let who = id(&reachable(&provider));
        provider.order("trouble", &json!({ "trouble": trouble, "times": 1, "method": "POST", "path": "/conversations/messages" }));
        let answer = desk.json(&format!("ghl email {who} {LETTER} --yes"));
        assert_eq!(answer["data"]["state"], "confirmed", "{trouble}: {answer}");
        assert_eq!(sent(&provider, &who).len(), 1, "{trouble}");
        assert_eq!(writes(&desk), ["POST /conversations/messages"], "{trouble}");
    }
    let provider = Provider::start("--no-limits");
    let desk = Desk::new(&provider);
    let who = id(&reachable(&provider));
    provider.order("trouble", &json!({ "trouble": "drop", "times": 1, "method": "POST", "path": "/conversations/messages" }));
    desk.run(&format!("ghl email {who} {LETTER} --yes")).ends(9);
    assert_eq!(
        (sent(&provider, &who).len(), state(&desk)),
        (0, "unknown".to_owned())
    );
    // What nobody knows the end of stands in the way of nothing, and is not done by the next one.
    desk.json(&format!(
        "ghl email {who} --subject Another --body Letter --yes"
    ));
    assert_eq!(sent(&provider, &who).len(), 1);
}
