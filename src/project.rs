//! Parts of an answer: `--fields`, for a shell and a model alike, and `--jq`, for a shell: an
//! interpreter that nothing can interrupt has no place in a server.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::Val;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The names in `a,b,c`.
pub fn names(fields: &str) -> impl Iterator<Item = &str> {
    fields
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// Only the named fields of each item of a list, or of the one thing; dots reach inside.
pub fn fields(json: &RawValue, fields: &str) -> Result<Box<RawValue>> {
    if names(fields).next().is_none() {
        return Err(Error::usage("`--fields` names no field")
            .hint("Write the names with commas, such as `id,name`."));
    }
    let mut value: Value = serde_json::from_str(json.get())
        .map_err(|e| Error::internal("the answer is not JSON").because(e))?;
    match value.get_mut("items") {
        Some(Value::Array(items)) => {
            check(items, fields)?;
            for item in items.iter_mut() {
                *item = pick(item, fields);
            }
        }
        _ => {
            check(std::slice::from_ref(&value), fields)?;
            value = pick(&value, fields);
        }
    }
    serde_json::value::to_raw_value(&value)
        .map_err(|e| Error::internal("the answer could not be written").because(e))
}

fn check(items: &[Value], fields: &str) -> Result<()> {
    let Some(Value::Object(first)) = items.first() else {
        return Ok(());
    };
    let unknown = names(fields).find(|name| {
        let head = name.split('.').next().unwrap_or(name);
        !items.iter().any(|item| item.get(head).is_some())
    });
    match unknown {
        Some(name) => Err(
            Error::usage(format!("there is no field `{name}`")).hint(format!(
                "The fields are: {}.",
                first
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        ),
        None => Ok(()),
    }
}

fn pick(item: &Value, fields: &str) -> Value {
    let mut picked = Map::new();
    for name in names(fields) {
        let mut from = item;
        let mut into = &mut picked;
        let mut parts = name.split('.').peekable();
        while let Some(part) = parts.next() {
            from = from.get(part).unwrap_or(&Value::Null);
            if parts.peek().is_none() {
                into.insert(part.to_owned(), from.clone());
                break;
            }
            let below = into
                .entry(part.to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(below) = below else { break };
            into = below;
        }
    }
    Value::Object(picked)
}

/// The results of a jq filter on a JSON text. It sees the text and nothing else: `env` and `halt`
/// are not there, since an answer must not depend on them nor give the environment away.
fn jq(filter: &str, json: &str) -> Result<Vec<Val>> {
    let wrong = |what: String| {
        Error::usage(format!("the jq expression `{filter}` {what}"))
            .hint("Try it on `.` first: `--jq .`")
    };
    let barred = |name: &str| {
        matches!(
            name,
            "env" | "halt" | "halt_error" | "debug" | "stderr" | "input" | "inputs"
        )
    };
    let input = jaq_json::read::parse_single(json.as_bytes())
        .map_err(|e| Error::internal("the answer is not JSON").because(e.to_string()))?;
    let arena = Arena::default();
    let defs = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(|def| !barred(def.name));
    let modules = Loader::new(defs)
        .load(
            &arena,
            File {
                code: filter,
                path: (),
            },
        )
        .map_err(|_| wrong("does not parse".to_owned()))?;
    let funs = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs())
        .filter(|(name, ..)| !barred(name));
    let compiled = Compiler::default()
        .with_funs(funs)
        .compile(modules)
        .map_err(|errors| {
            let names: Vec<_> = errors
                .iter()
                .flat_map(|(_, undefined)| undefined.iter().map(|(name, _)| (*name).to_owned()))
                .collect();
            wrong(format!("uses what is not defined: {}", names.join(", ")))
        })?;
    let ctx = Ctx::<data::JustLut<Val>>::new(&compiled.lut, Vars::new([]));
    compiled
        .id
        .run((ctx, input))
        .map(unwrap_valr)
        .map(|result| result.map_err(|e| wrong(format!("failed: {e}"))))
        .collect()
}

/// The results of a jq filter, a line each; strings as they are, without quotes.
pub fn jq_lines(filter: &str, json: &str) -> Result<String> {
    let mut lines = String::new();
    for value in jq(filter, json)? {
        let text = value.to_string();
        match serde_json::from_str::<String>(&text) {
            Ok(plain) => lines.push_str(&plain),
            Err(_) => lines.push_str(&text),
        }
        lines.push('\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn picks_fields_of_items_and_inside_them() {
        let data = raw(r#"{"items":[{"id":"a","who":{"name":"x","age":3}},{"id":"b"}]}"#);
        assert_eq!(
            fields(&data, "id, who.name").unwrap().get(),
            r#"{"items":[{"id":"a","who":{"name":"x"}},{"id":"b","who":{"name":null}}]}"#
        );
        let error = fields(&data, "nmae").unwrap_err();
        assert_eq!(error.hint_text(), Some("The fields are: id, who."));
    }

    #[test]
    fn jq_filters_and_explains_itself() {
        let json = r#"{"data":{"items":[{"id":"a","n":12345678901234567890}]}}"#;
        assert_eq!(jq_lines(".data.items[].id", json).unwrap(), "a\n");
        assert_eq!(
            jq_lines(".data.items[].n", json).unwrap(),
            "12345678901234567890\n"
        );
        assert!(
            jq("env", json)
                .unwrap_err()
                .message()
                .contains("not defined: env")
        );
        assert!(
            jq(".data[", json)
                .unwrap_err()
                .message()
                .contains("does not parse")
        );
        assert!(jq("nope", json).unwrap_err().message().contains("nope"));
        assert!(jq(".data.items.x", json).is_err());
    }
}
