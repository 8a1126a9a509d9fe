//! Changes of several sets of a zone that are answered with lies, or by nobody, half way.

use super::*;

const HARBOR: &str = "/v1/domains/harborpine.com/records";
const APPLY: &str = "godaddy dns-apply harborpine.com --content 'first 600 IN A 198.18.6.1
second 600 IN A 198.18.6.2
third 600 IN A 198.18.6.3
'";

async fn named(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let rows = sandbox.get(HARBOR).await;
    let rows = rows.as_array().unwrap().iter();
    rows.filter(|row| row["name"] == name)
        .map(|row| row["data"].as_str().unwrap().to_owned())
        .collect()
}

async fn all(sandbox: &Sandbox) -> usize {
    sandbox.get(HARBOR).await.as_array().unwrap().len()
}

#[tokio::test]
async fn a_step_in_the_middle_that_was_done_in_spite_of_its_answer_is_seen() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let before = all(&sandbox).await;
    for trouble in ["done-but-error", "done-but-drop"] {
        sandbox
            .order(
                "trouble",
                json!({"trouble": trouble, "times": 1, "method": "PUT"}),
            )
            .await;
        let done = json_of(&desk, APPLY).await;
        assert_eq!(done["data"]["state"], "confirmed", "{trouble}");
        assert_eq!(all(&sandbox).await, before + 3);
        let undo = format!("undo {}", done["data"]["id"]);
        json_of(&desk, &undo).await;
        assert_eq!(all(&sandbox).await, before, "{trouble}");
    }
}

#[tokio::test]
async fn a_step_that_a_dead_process_did_without_an_answer_is_taken_back_too() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    let before = all(&sandbox).await;
    json_of(&desk, &format!("{APPLY} --dry-run")).await;
    sql(
        &desk,
        "create function lose() returns trigger language plpgsql as $f$
         begin
             if cardinality(new.answers) > 0 then raise exception 'lost'; end if;
             return new;
         end $f$;
         create trigger lose before update on writes for each row execute function lose()",
    )
    .await;
    let error = error_of(&desk, APPLY, 9).await;
    assert_eq!(error["kind"], "outcome_unknown");
    sql(&desk, "drop trigger lose on writes; drop function lose()").await;
    assert_eq!(all(&sandbox).await, before + 1);
    let id = &error["details"]["id"];
    let shown = json_of(&desk, &format!("audit show {id}")).await;
    assert_eq!(shown["data"]["state"], "rejected");
    json_of(&desk, &format!("undo {id}")).await;
    assert_eq!(all(&sandbox).await, before);
}

#[tokio::test]
async fn what_was_accepted_and_cannot_be_looked_at_is_unknown() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    sandbox
        .order(
            "trouble",
            json!({"trouble": "token", "method": "GET", "path": format!("{HARBOR}/A/new")}),
        )
        .await;
    let words = "godaddy dns-set harborpine.com A new 198.18.3.9";
    let error = error_of(&desk, words, 9).await;
    assert_eq!(named(&sandbox, "new").await, ["198.18.3.9"]);
    sandbox.order("calm", json!({})).await;
    let id = &error["details"]["id"];
    let shown = json_of(&desk, &format!("audit show {id}")).await;
    assert_eq!(shown["data"]["state"], "confirmed");
}

#[tokio::test]
async fn text_that_looks_like_a_token_is_put_back_as_it_was() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    for text in ["~medtainer.run~", "~medtainer.answer.0~", "~medtainer."] {
        let words = format!("godaddy dns-set harborpine.com TXT looks {text}");
        json_of(&desk, &words).await;
        let removed = json_of(&desk, "godaddy dns-delete harborpine.com TXT looks --yes").await;
        assert_eq!(named(&sandbox, "looks").await.len(), 0, "{removed}");
        json_of(&desk, &format!("undo {}", removed["data"]["id"])).await;
        assert_eq!(named(&sandbox, "looks").await, [text]);
        json_of(&desk, "godaddy dns-delete harborpine.com TXT looks --yes").await;
    }
}
