//! Personal data that a key does not get to see, taken out of an answer before it leaves.

use serde_json::Value;

use crate::answer::Answer;
use crate::error::{Error, Kind};
use crate::output::Data;
use crate::privacy::{Class, Classes, Privacy};
use crate::store::redact;

/// What stands in the place of what is hidden: not null, which would say that it is unknown.
pub const MASKED: &str = "[masked]";

/// The answer of the command at `path` without the classes in `hidden`. `of` tells what the answers of a
/// command hold, by its first word: a job's answer holds one of another command.
pub fn masked(
    answer: Answer,
    path: &[&str],
    hidden: Classes,
    of: impl Fn(&str) -> &'static Privacy,
) -> Answer {
    let (first, rest) = path.split_first().unwrap_or((&"", &[]));
    let privacy = of(first);
    let mask = |value: &mut Value| {
        let within: Vec<String> = rest.iter().map(|word| (*word).to_owned()).collect();
        if *first == "job" {
            jobs(value, hidden, &of);
        } else {
            Masker {
                privacy,
                hidden,
                path: within,
            }
            .mask(value, false, false);
        }
    };
    let outcome = match answer.outcome {
        Ok(data) => data_masked(data, mask),
        Err(error) => Err(error_masked(&error, privacy, hidden, mask)),
    };
    let mut metadata = answer.metadata;
    if privacy.closed && hidden.has(Class::Contact) {
        for warning in &mut metadata.warnings {
            *warning = redact::message(warning, &Value::Null);
        }
    }
    Answer { outcome, metadata }
}

fn data_masked(data: Data, mask: impl Fn(&mut Value)) -> Result<Data, Error> {
    let written = serde_json::from_str(data.json.get()).and_then(|mut value| {
        mask(&mut value);
        serde_json::value::to_raw_value(&value)
    });
    // What cannot be masked does not leave.
    let json = written.map_err(|e| Error::internal("the answer could not be masked").because(e))?;
    Ok(Data { json, ..data })
}

/// The same of an error. Its words are kept where they are the caller's own or ours; a plan's title and
/// what a provider says are neither.
fn error_masked(
    error: &Error,
    privacy: &Privacy,
    hidden: Classes,
    mask: impl Fn(&mut Value),
) -> Error {
    let quotes = matches!(
        error.kind(),
        Kind::Refused | Kind::PendingApproval | Kind::OutcomeUnknown | Kind::Conflict
    );
    let personal = privacy.closed || !privacy.fields.is_empty();
    let said = |text: &str| match hidden.has(Class::Contact) && personal {
        true => redact::message(text, &Value::Null),
        false => text.to_owned(),
    };
    let message = match quotes && personal {
        true => error.kind().meaning().to_owned(),
        false => said(error.message()),
    };
    let mut masked = Error::new(error.kind(), message);
    if let Some(hint) = error.hint_text() {
        masked = masked.hint(said(hint));
    }
    if let Some(details) = error.details_value() {
        let mut details = details.clone();
        mask(&mut details);
        masked = masked.details(details);
    }
    if let Some(answer) = error.answer() {
        masked = match data_masked(answer.clone(), mask) {
            Ok(data) => masked.about(data),
            Err(error) => error,
        };
    }
    masked
}

/// A job, or a list of them: the answer in it is one of the command that it runs.
fn jobs(value: &mut Value, hidden: Classes, of: &impl Fn(&str) -> &'static Privacy) {
    if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(|item| jobs(item, hidden, of));
        return;
    }
    let command = value
        .get("command")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut words = command.split(' ').map(str::to_owned);
    let privacy = of(&words.next().unwrap_or_default());
    let path: Vec<String> = words.collect();
    let Some(Value::Object(envelope)) = value.get_mut("result") else {
        return;
    };
    for (name, part) in envelope.iter_mut() {
        let mut masker = Masker {
            privacy,
            hidden,
            path: path.clone(),
        };
        match name.as_str() {
            "data" => masker.mask(part, false, false),
            "error" => {
                for (name, said) in part.as_object_mut().into_iter().flatten() {
                    masker.mask(said, false, privacy.closed && name != "kind");
                }
            }
            _ => {}
        }
    }
}

struct Masker<'a> {
    privacy: &'a Privacy,
    hidden: Classes,
    path: Vec<String>,
}

impl Masker<'_> {
    /// `hides` where a field above is of a hidden class, `unknown` where nothing is known of the field.
    fn mask(&mut self, value: &mut Value, hides: bool, unknown: bool) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    self.path.push(name.clone());
                    let classes = self.privacy.classes(&self.path);
                    let hidden =
                        |classes: &[Class]| classes.iter().any(|class| self.hidden.has(*class));
                    let hides = hides || classes.is_some_and(hidden);
                    let unknown = classes.is_none() && self.privacy.closed;
                    self.mask(field, hides, unknown);
                    self.path.pop();
                }
            }
            Value::Array(items) => items
                .iter_mut()
                .for_each(|item| self.mask(item, hides, unknown)),
            Value::String(text) if hides || unknown && !redact::is_harmless(text) => {
                *value = MASKED.into();
            }
            Value::Number(_) | Value::Bool(_) if hides => *value = MASKED.into(),
            // Nothing is known, and that is nobody's secret.
            Value::Null | Value::String(_) | Value::Number(_) | Value::Bool(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::answer::Metadata;
    use crate::privacy::{ANY, CONTACT, NAME, NOBODYS, NOTES};

    static PEOPLE: Privacy = Privacy {
        fields: &[
            ("email", CONTACT),
            ("name", NAME),
            ("stage.name", NOBODYS),
            ("note", NOTES),
            ("own", ANY),
            ("tags", NOBODYS),
            ("id", NOBODYS),
            ("label", ANY),
        ],
        closed: true,
    };

    fn seen(hidden: &str, value: &Value) -> Value {
        let mut value = value.clone();
        let hidden = hidden.parse().unwrap();
        Masker {
            privacy: &PEOPLE,
            hidden,
            path: Vec::new(),
        }
        .mask(&mut value, false, false);
        value
    }

    #[test]
    fn a_class_is_hidden_wherever_its_fields_are() {
        let whole = json!({
            "id": "c1", "name": "Peggy", "email": "p@acme.test", "note": "owes me", "tags": ["vip"],
            "stage": { "name": "Won" }, "unheard_of": "anything", "at": "2026-01-02T03:04:05Z", "score": 7,
            "missing": null, "own": [{ "id": "x", "value": 5 }, { "value": true }],
            "below": [{ "email": ["a@b.test"], "phones": ["+1 555 0100"] }],
        });
        assert_eq!(
            seen("contact", &whole),
            json!({
                "id": "c1", "name": "Peggy", "email": "[masked]", "note": "owes me", "tags": ["vip"],
                "stage": { "name": "Won" }, "unheard_of": "[masked]", "at": "2026-01-02T03:04:05Z", "score": 7,
                "missing": null, "own": [{ "id": "[masked]", "value": "[masked]" }, { "value": "[masked]" }],
                "below": [{ "email": ["[masked]"], "phones": ["[masked]"] }],
            })
        );
        let named = seen("name,notes", &whole);
        assert_eq!(
            (&named["name"], &named["note"]),
            (&json!("[masked]"), &json!("[masked]"))
        );
        assert_eq!(
            (&named["email"], &named["stage"]["name"]),
            (&json!("p@acme.test"), &json!("Won"))
        );
    }

    #[test]
    fn an_error_tells_no_more_than_an_answer() {
        let error = Error::new(Kind::Conflict, "`Peggy Sue` is in the way")
            .hint("Ask p@acme.test.")
            .details(json!({ "candidates": [{ "id": "c1", "label": "Peggy, p@acme.test" }] }));
        let answer = Answer {
            outcome: Err(error),
            metadata: Metadata::default(),
        };
        let masked = masked(answer, &["crm", "show"], Classes::ALL, |_| &PEOPLE);
        let said = masked.json();
        assert!(!said.contains("Peggy") && !said.contains("acme"), "{said}");
        assert!(said.contains("c1") && said.contains("ambiguous"), "{said}");
    }

    #[test]
    fn the_answer_in_a_job_is_one_of_its_command() {
        let mut job = json!({ "items": [{
            "id": "j1", "command": "crm show", "note": "Wait.",
            "result": { "status": "error", "data": { "name": "Peggy", "id": "c1" },
                "error": { "kind": "conflict", "message": "Peggy is", "details": { "label": "Peggy" } },
                "metadata": { "business": "default" } },
        }] });
        jobs(&mut job, Classes::ALL, &|first| {
            if first == "crm" {
                &PEOPLE
            } else {
                &Privacy::NONE
            }
        });
        let text = job.to_string();
        assert!(
            !text.contains("Peggy")
                && text.contains("\"kind\":\"conflict\"")
                && text.contains("Wait."),
            "{text}"
        );
    }
}
