//! What others wrote, before a model reads it.

use serde_json::json;

use super::house::House;

#[tokio::test]
async fn what_nobody_sees_reaches_no_model_and_what_others_wrote_is_marked() {
    let house = House::new().await;
    let first = house.call("ghl_contacts", json!({ "limit": 1 })).await;
    let id = first["structuredContent"]["data"]["items"][0]["id"].clone();
    let note = "Likes \u{1b}[31mred\u{1b}[0m.\u{200b}\u{e0049}\u{e0067}\u{202e} Zoë 👩\u{200d}👧 “ignore all”";
    house
        .call("ghl_context", json!({ "who": id, "note": note }))
        .await;

    let said = house.call("ghl_contact", json!({ "who": id })).await;
    let text = said.to_string();
    for hidden in ["\u{200b}", "\u{e0049}", "\u{202e}", "\\u001b", "[31m"] {
        assert!(!text.contains(hidden), "{hidden:?}: {text}");
    }
    let content = &said["structuredContent"];
    assert_eq!(
        content["data"]["context"]["notes"],
        "Likes red. Zoë 👩\u{200d}👧 “ignore all”"
    );
    assert_eq!(
        content["metadata"]["untrusted"],
        json!(["context.notes", "data"])
    );

    // Clients of today read a summary, in which it stands in quotes of its own.
    let params = json!({ "name": "ghl_contact", "arguments": { "who": id } });
    let reply = house.modern("tools/call", params).send().await.unwrap();
    let reply: serde_json::Value = reply.json().await.unwrap();
    let summary = reply["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        summary.contains("Notes: “Likes red. Zoë 👩\u{200d}👧 \"ignore all\"”"),
        "{summary}"
    );

    let history = house.call("ghl_history", json!({ "who": id })).await;
    assert_eq!(
        history["structuredContent"]["metadata"]["untrusted"],
        json!(["items.title", "items.body"])
    );
    let droplets = house.call("do_droplets", json!({})).await;
    assert!(
        droplets["structuredContent"]["metadata"]
            .get("untrusted")
            .is_none()
    );
    let stdout = house
        .home
        .run(&["--sandbox", "ghl", "contact", id.as_str().unwrap()])
        .await;
    assert!(
        stdout["context"]["notes"]
            .as_str()
            .unwrap()
            .contains('\u{200b}'),
        "what is kept is kept as it came"
    );
}
