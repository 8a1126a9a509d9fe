//! The routes of a contact's tags.

use serde_json::{Value, json};

use super::call::{Answer, Call, Field, Is, Need, Refusal, Reply};
use super::contact_routes::{find, named, tags_of};
use super::contacts::{Contact, Text};

/// Changes the tags of one contact.
fn retag(call: &mut Call<'_>, contact: &Contact, tags: Vec<Text>) -> Vec<Text> {
    let mut contact = contact.clone();
    contact.tags = tags;
    contact.date_updated = call.now;
    call.world.put_contact(contact).tags.clone()
}

const TAGS: &[Field] = &[Field("tags", Is::List, Need::Required)];

pub(super) fn add_tags(call: &mut Call<'_>) -> Reply {
    let contact = named(call)?;
    call.check(TAGS)?;
    let mut tags = contact.tags.clone();
    let added: Vec<_> = tags_of(&call.body["tags"])
        .into_iter()
        .filter(|tag| !tags.contains(tag))
        .collect();
    tags.extend(added.iter().cloned());
    let tags = retag(call, &contact, tags);
    Answer::created(json!({"tags": tags, "tagsAdded": added, "traceId": call.trace}))
}

pub(super) fn remove_tags(call: &mut Call<'_>) -> Reply {
    let contact = named(call)?;
    call.check(TAGS)?;
    let gone = tags_of(&call.body["tags"]);
    let mut tags = contact.tags.clone();
    tags.retain(|tag| !gone.contains(&Text::Owned(tag.to_lowercase())));
    let tags = retag(call, &contact, tags);
    Answer::ok(json!({"tags": tags, "tagsRemoved": gone, "traceId": call.trace}))
}

/// Adds tags to many contacts, or takes them away; every contact has its own answer.
pub(super) fn bulk_tags(call: &mut Call<'_>) -> Reply {
    let add = match call.path[0] {
        "add" => true,
        "remove" => false,
        _ => return Err(Refusal::no_route()),
    };
    call.check(&[
        Field("contacts", Is::List, Need::Required),
        Field("tags", Is::List, Need::Required),
        Field("locationId", Is::Text, Need::Required),
        Field("removeAllTags", Is::Flag, Need::Optional),
    ])?;
    let wanted = tags_of(&call.body["tags"]);
    let everything = call.body.get("removeAllTags") == Some(&Value::Bool(true));
    let mut errors = 0;
    let mut responses = Vec::new();
    for id in call.texts("contacts") {
        let Ok(contact) = find(call, &id) else {
            errors += 1;
            responses
                .push(json!({"contactId": id, "type": "error", "message": "Contact not found"}));
            continue;
        };
        let mut tags = contact.tags.clone();
        if add {
            tags.extend(
                wanted
                    .iter()
                    .filter(|tag| !contact.tags.contains(tag))
                    .cloned(),
            );
        } else {
            tags.retain(|tag| !everything && !wanted.contains(tag));
        }
        let now_has = retag(call, &contact, tags);
        responses.push(
            json!({"contactId": id, "type": "success", "message": "Tags updated",
            "oldTags": contact.tags, "tags": now_has}),
        );
    }
    Answer::created(
        json!({"succeded": true, "errorCount": errors, "responses": responses,
        "traceId": call.trace}),
    )
}
