//! The routes of what hangs on a contact: notes, tasks, appointments, workflows.

use chrono::DateTime;
use serde_json::{Value, json};

use super::call::{Answer, Call, Field, Is, Need, Refusal, Reply};
use super::contact_routes::named;
use super::fixed::WORKFLOWS;
use super::ids::{self, Kind};
use super::world::{self, Note, Task};

pub(super) fn notes(call: &mut Call<'_>) -> Reply {
    let contact = named(call)?;
    let notes: Vec<_> = call
        .world
        .notes(contact.number)
        .items
        .iter()
        .map(Note::json)
        .collect();
    Answer::ok(json!({"notes": notes, "traceId": call.trace}))
}

const NOTE: [Field; 5] = [
    Field("body", Is::Text, Need::Optional),
    Field("userId", Is::Text, Need::Optional),
    Field("title", Is::Text, Need::Optional),
    Field("color", Is::Text, Need::Optional),
    Field("pinned", Is::Flag, Need::Optional),
];

fn write_note(call: &Call<'_>, note: &mut Note) {
    let text = |name| call.text(name).map(str::to_owned);
    if let Some(body) = text("body") {
        note.body = body;
    }
    note.user = text("userId").or(note.user.take());
    note.title = text("title").or(note.title.take());
    note.color = text("color").or(note.color.take());
    note.pinned = call
        .body
        .get("pinned")
        .and_then(Value::as_bool)
        .unwrap_or(note.pinned);
}

pub(super) fn create_note(call: &mut Call<'_>) -> Reply {
    let contact = named(call)?;
    let mut shape = NOTE;
    shape[0].2 = Need::Required;
    call.check(&shape)?;
    let mut note = Note {
        date_added: call.now,
        ..Default::default()
    };
    write_note(call, &mut note);
    let list = call.world.notes(contact.number);
    note.number = list.number(contact.number);
    list.items.push(note.clone());
    Answer::created(json!({"note": note.json(), "traceId": call.trace}))
}

/// The contact's number and the place of the note the path names.
fn note_at(call: &mut Call<'_>) -> Result<(u64, usize), Refusal> {
    let contact = named(call)?.number;
    let id = call.path[1];
    let number = ids::decode(Kind::Note, id);
    call.world
        .notes(contact)
        .items
        .iter()
        .position(|note| Some(note.number) == number)
        .map(|at| (contact, at))
        .ok_or_else(|| Refusal::missing(format!("Note with id {id} not found")))
}

pub(super) fn note(call: &mut Call<'_>) -> Reply {
    let (contact, at) = note_at(call)?;
    let note = call.world.notes(contact).items[at].json();
    Answer::ok(json!({"note": note, "traceId": call.trace}))
}

pub(super) fn update_note(call: &mut Call<'_>) -> Reply {
    let (contact, at) = note_at(call)?;
    call.check(&NOTE)?;
    let mut note = call.world.notes(contact).items[at].clone();
    write_note(call, &mut note);
    let json = note.json();
    call.world.notes(contact).items[at] = note;
    Answer::ok(json!({"note": json, "traceId": call.trace}))
}

pub(super) fn delete_note(call: &mut Call<'_>) -> Reply {
    let (contact, at) = note_at(call)?;
    call.world.notes(contact).items.remove(at);
    Answer::ok(json!({"succeded": true, "traceId": call.trace}))
}

pub(super) fn tasks(call: &mut Call<'_>) -> Reply {
    let contact = named(call)?;
    let tasks: Vec<_> = call
        .world
        .tasks(contact.number)
        .items
        .iter()
        .map(Task::json)
        .collect();
    Answer::ok(json!({"tasks": tasks, "traceId": call.trace}))
}

const TASK: [Field; 5] = [
    Field("title", Is::Text, Need::Optional),
    Field("dueDate", Is::Text, Need::Optional),
    Field("completed", Is::Flag, Need::Optional),
    Field("body", Is::Text, Need::Optional),
    Field("assignedTo", Is::Text, Need::Optional),
];

fn write_task(call: &Call<'_>, task: &mut Task) -> Result<(), Refusal> {
    if let Some(due) = call.text("dueDate") {
        task.due = DateTime::parse_from_rfc3339(due)
            .map_err(|_| {
                Refusal::invalid(["dueDate must be a valid ISO 8601 date string".to_owned()])
            })?
            .timestamp_millis();
    }
    let text = |name| call.text(name).map(str::to_owned);
    if let Some(title) = text("title") {
        task.title = title;
    }
    task.body = text("body").or(task.body.take());
    task.assigned_to = text("assignedTo").or(task.assigned_to.take());
    let completed = call.body.get("completed").and_then(Value::as_bool);
    task.completed = completed.unwrap_or(task.completed);
    Ok(())
}

pub(super) fn create_task(call: &mut Call<'_>) -> Reply {
    let contact = named(call)?;
    let mut shape = TASK;
    for field in &mut shape[..3] {
        field.2 = Need::Required;
    }
    call.check(&shape)?;
    let mut task = Task::default();
    write_task(call, &mut task)?;
    let list = call.world.tasks(contact.number);
    task.number = list.number(contact.number);
    list.items.push(task.clone());
    Answer::created(json!({"task": task.json(), "traceId": call.trace}))
}

fn task_at(call: &mut Call<'_>) -> Result<(u64, usize), Refusal> {
    let contact = named(call)?.number;
    let id = call.path[1];
    let number = ids::decode(Kind::Task, id);
    call.world
        .tasks(contact)
        .items
        .iter()
        .position(|task| Some(task.number) == number)
        .map(|at| (contact, at))
        .ok_or_else(|| Refusal::missing(format!("Task with id {id} not found")))
}

pub(super) fn task(call: &mut Call<'_>) -> Reply {
    let (contact, at) = task_at(call)?;
    let task = call.world.tasks(contact).items[at].json();
    Answer::ok(json!({"task": task, "traceId": call.trace}))
}

fn change_task(call: &mut Call<'_>, shape: &[Field]) -> Reply {
    let (contact, at) = task_at(call)?;
    call.check(shape)?;
    let mut task = call.world.tasks(contact).items[at].clone();
    write_task(call, &mut task)?;
    let json = task.json();
    call.world.tasks(contact).items[at] = task;
    Answer::ok(json!({"task": json, "traceId": call.trace}))
}

pub(super) fn update_task(call: &mut Call<'_>) -> Reply {
    change_task(call, &TASK)
}

pub(super) fn complete_task(call: &mut Call<'_>) -> Reply {
    change_task(call, &[Field("completed", Is::Flag, Need::Required)])
}

pub(super) fn delete_task(call: &mut Call<'_>) -> Reply {
    let (contact, at) = task_at(call)?;
    call.world.tasks(contact).items.remove(at);
    Answer::ok(json!({"succeded": true, "traceId": call.trace}))
}

/// The tasks of the whole location: `skip` and `limit`, and no total.
pub(super) fn search_tasks(call: &mut Call<'_>) -> Reply {
    use Need::Optional;
    call.check(&[
        Field("contactId", Is::List, Optional),
        Field("assignedTo", Is::List, Optional),
        Field("completed", Is::Flag, Optional),
        Field("query", Is::Text, Optional),
        Field("limit", Is::Number, Optional),
        Field("skip", Is::Number, Optional),
        Field("businessId", Is::Text, Optional),
    ])?;
    let number = |name, usual| {
        let value = call.body.get(name).and_then(Value::as_u64);
        value.unwrap_or(usual) as usize
    };
    let (limit, skip) = (number("limit", 25), number("skip", 0));
    let skip = if call.repeats { 0 } else { skip };
    let contacts: Vec<_> = call
        .texts("contactId")
        .iter()
        .filter_map(|id| ids::decode(Kind::Contact, id))
        .collect();
    let of_contacts = call
        .body
        .get("contactId")
        .is_some_and(|list| !list.is_null());
    let assigned = call.texts("assignedTo");
    let completed = call.body.get("completed").and_then(Value::as_bool);
    let query = call.text("query").map(str::to_lowercase);
    let fits = |task: &Task| {
        completed.is_none_or(|completed| task.completed == completed)
            && (assigned.is_empty()
                || task
                    .assigned_to
                    .as_ref()
                    .is_some_and(|user| assigned.contains(user)))
            && query
                .as_ref()
                .is_none_or(|query| task.title.to_lowercase().contains(query))
    };
    let tasks: Vec<_> = if of_contacts {
        let mut tasks = Vec::new();
        for contact in contacts {
            if call.world.contacts.get(contact).is_some() {
                tasks.extend(call.world.tasks(contact).items.clone());
            }
        }
        tasks
            .iter()
            .filter(|task| fits(task))
            .skip(skip)
            .take(limit)
            .map(Task::json)
            .collect()
    } else {
        let all = call.world.all_tasks();
        all.filter(fits)
            .skip(skip)
            .take(limit)
            .map(|task| task.json())
            .collect()
    };
    Answer::ok(json!({"tasks": tasks, "traceId": call.trace}))
}

pub(super) fn appointments(call: &mut Call<'_>) -> Reply {
    let contact = named(call)?;
    let events = world::appointments(&call.world.seed, contact.number);
    Answer::ok(json!({"events": events, "traceId": call.trace}))
}

/// Puts a contact into a workflow or takes it out; the sandbox runs none.
pub(super) fn workflow(call: &mut Call<'_>) -> Reply {
    named(call)?;
    call.check(&[Field("eventStartTime", Is::Text, Need::Optional)])?;
    let id = call.path[1];
    if !WORKFLOWS.iter().any(|(known, ..)| *known == id) {
        return Err(Refusal::bad(format!("Workflow with id {id} not found")));
    }
    Answer::ok(json!({"succeded": true, "traceId": call.trace}))
}
