//! One entry put into a client's configuration, everything else left as it is, to the letter.

use std::collections::HashSet;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use medtainer_core::{Error, Result};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::Place;

/// What a client's configuration may be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// JSON and nothing else.
    Json,
    /// JSON with comments, and commas after the last.
    Jsonc,
}

/// What an entry says about how a server is reached; whatever else it says is its owner's.
const OURS: &[&str] = &["type", "command", "args", "url", "headers"];

/// The text with `entry` as `name` in its object `table`; none where it is there already.
pub fn with_entry(
    text: &str,
    syntax: Syntax,
    table: &str,
    name: &str,
    entry: &Map<String, Value>,
) -> Result<Option<String>> {
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let body = if body.trim().is_empty() { "{}\n" } else { body };
    let root = parse(body, syntax)?;
    let shape = |what: &str| Error::conflict(format!("{what} in it is no object"));
    let object = root.object_value().ok_or_else(|| shape("what is"))?;
    only_one(&object, table)?;
    let servers = match object.get(table) {
        Some(there) => there
            .object_value()
            .ok_or_else(|| shape(&format!("`{table}`")))?,
        None => object.object_value_or_set(table),
    };
    only_one(&servers, name)?;
    match servers.get(name) {
        None => {
            servers.append(name, written(&Value::Object(entry.clone())));
        }
        Some(there) => {
            let before = there.value().and_then(|value| value.to_serde_value());
            let merged = Value::Object(merged(before.as_ref(), entry));
            if before.as_ref() == Some(&merged) {
                return Ok(None);
            }
            there.set_value(written(&merged));
        }
    }
    let mut new = root.to_string();
    if !new.ends_with('\n') && (text.trim().is_empty() || text.ends_with('\n')) {
        new.push('\n');
    }
    // What was written has to be what was meant, and nothing besides.
    let wrong = || Error::internal("the edited configuration is not what it should be");
    let (mut had, mut has) = (value(&parse(body, syntax)?)?, value(&parse(&new, syntax)?)?);
    let now = has[table].as_object_mut().ok_or_else(wrong)?;
    let ours = now.remove(name).ok_or_else(wrong)?;
    let is_whole = entry
        .iter()
        .all(|(key, value)| key == "env" || &ours[key] == value);
    if now.is_empty() && had.get(table).is_none() {
        has.as_object_mut().ok_or_else(wrong)?.remove(table);
    } else if let Some(before) = had[table].as_object_mut() {
        before.remove(name);
    }
    if had != has || !is_whole {
        return Err(wrong());
    }
    Ok(Some(format!("{mark}{new}")))
}

/// The servers in the object `table` of a configuration.
pub fn entries(text: &str, syntax: Syntax, table: &str) -> Result<Map<String, Value>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let whole = value(&parse(text, syntax)?)?;
    Ok(whole[table].as_object().cloned().unwrap_or_default())
}

fn parse(text: &str, syntax: Syntax) -> Result<CstRootNode> {
    let jsonc = syntax == Syntax::Jsonc;
    let options = ParseOptions {
        allow_comments: jsonc,
        allow_loose_object_property_names: false,
        allow_trailing_commas: jsonc,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    // The parser's message could quote the file, and with it somebody's key.
    let wrong = |line: usize| Error::conflict(format!("it does not parse at line {line}"));
    if !jsonc {
        let whole: Result<IgnoredAny, _> = serde_json::from_str(text);
        whole.map_err(|error| wrong(error.line()))?;
    }
    CstRootNode::parse(text, &options).map_err(|error| wrong(error.line_display()))
}

fn value(root: &CstRootNode) -> Result<Value> {
    root.to_serde_value()
        .ok_or_else(|| Error::conflict("it holds no value"))
}

/// Which of two would count is anybody's guess.
fn only_one(object: &CstObject, name: &str) -> Result<()> {
    let same = |property: &jsonc_parser::cst::CstObjectProp| {
        property.decoded_name().as_deref() == Some(name)
    };
    if object
        .properties()
        .iter()
        .filter(|property| same(property))
        .count()
        > 1
    {
        return Err(Error::conflict(format!("`{name}` is in it twice")));
    }
    Ok(())
}

/// The entry, with what its owner has added to the one that is there.
fn merged(before: Option<&Value>, entry: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = before
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    merged.retain(|key, _| !OURS.contains(&key.as_str()) || entry.contains_key(key));
    for (key, value) in entry {
        match (merged.get_mut(key), value) {
            (Some(Value::Object(there)), Value::Object(ours)) if key == "env" => {
                there.extend(ours.clone())
            }
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    merged
}

fn written(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(yes) => CstInputValue::Bool(*yes),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(written).collect()),
        Value::Object(fields) => CstInputValue::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), written(value)))
                .collect(),
        ),
    }
}

/// The lines that changed, with two around them; of strings only names and those in `shown`, for others
/// are somebody's keys and tokens as likely as not.
pub fn diff(before: &str, after: &str, shown: &HashSet<String>) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old[same..]
        .iter()
        .rev()
        .zip(new[same..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let mut text = String::new();
    let mut put = |sign: char, lines: &[&str]| {
        for line in lines {
            text.push_str(&format!("{sign} {}\n", masked(line, shown)));
        }
    };
    put(' ', &old[same.saturating_sub(2)..same]);
    put('-', &old[same..old.len() - rest]);
    put('+', &new[same..new.len() - rest]);
    let after = &new[new.len() - rest..];
    put(' ', &after[..after.len().min(2)]);
    text.trim_end().to_owned()
}

/// The strings of an entry that a diff may show: of one that was there, how its server is reached.
pub fn shown(text: &str, place: &Place, name: &str, entry: &Map<String, Value>) -> HashSet<String> {
    let mut shown = HashSet::new();
    for value in entry.values() {
        strings(value, &mut shown);
    }
    let there = entries(text, place.syntax, place.table).unwrap_or_default();
    for key in ["type", "command", "args", "url"] {
        strings(&there.get(name).unwrap_or(&Value::Null)[key], &mut shown);
    }
    shown
}

fn strings(value: &Value, found: &mut HashSet<String>) {
    match value {
        Value::String(text) => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
        _ => {}
    }
}

fn masked(line: &str, shown: &HashSet<String>) -> String {
    let (mut text, mut rest) = (String::new(), line);
    while let Some(begin) = rest.find('"') {
        text.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let mut escaped = false;
        let end = rest[1..].find(|letter: char| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        let Some(end) = end.map(|end| end + 2) else {
            text.push_str("\"…");
            return text;
        };
        let (string, after) = rest.split_at(end);
        let is_name = after.trim_start().starts_with(':');
        let known =
            serde_json::from_str::<String>(string).is_ok_and(|string| shown.contains(&string));
        text.push_str(if is_name || known { string } else { "\"…\"" });
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry() -> Map<String, Value> {
        json!({ "command": "/bin/medtainer", "args": ["mcp", "stdio"] })
            .as_object()
            .cloned()
            .unwrap()
    }

    fn put(text: &str, syntax: Syntax) -> String {
        with_entry(text, syntax, "mcpServers", "medtainer", &entry())
            .unwrap()
            .unwrap()
    }

    #[test]
    fn what_is_there_stays_to_the_letter() {
        let text = "// mine\r\n{\r\n\t/* all */ \"a\" : 1.50, // odd\r\n\t\"mcpServers\": {\r\n\t\t\"other\": {\"command\":\"x\"}, // last\r\n\t},\r\n}\r\n";
        let new = put(text, Syntax::Jsonc);
        for kept in [
            "// mine\r\n",
            "/* all */ \"a\" : 1.50, // odd",
            "\"other\": {\"command\":\"x\"}, // last",
            "\r\n}\r\n",
        ] {
            assert!(new.contains(kept), "{kept}: {new}");
        }
        assert!(!new.replace("\r\n", "").contains('\n'), "{new:?}");
        assert_eq!(
            with_entry(&new, Syntax::Jsonc, "mcpServers", "medtainer", &entry()).unwrap(),
            None
        );
        assert_eq!(put("", Syntax::Json), put("{}\n", Syntax::Json));
        assert!(put("\u{feff}{}", Syntax::Json).starts_with('\u{feff}'));
    }

    #[test]
    fn what_the_owner_added_to_the_entry_stays() {
        let text =
            r#"{"mcpServers":{"medtainer":{"url":"https://x","disabled":true,"env":{"A":"1"}}}}"#;
        let mut with_env = entry();
        with_env.insert("env".into(), json!({ "B": "2" }));
        let new = with_entry(text, Syntax::Json, "mcpServers", "medtainer", &with_env)
            .unwrap()
            .unwrap();
        let new: Value = serde_json::from_str(&new).unwrap();
        assert_eq!(
            new["mcpServers"]["medtainer"],
            json!({ "disabled": true, "env": { "A": "1", "B": "2" }, "command": "/bin/medtainer", "args": ["mcp", "stdio"] })
        );
    }

    #[test]
    fn what_cannot_be_read_for_certain_is_refused() {
        for (text, why) in [
            ("{\"a\": secret}", "line 1"),
            ("// comment\n{}", "line 1"),
            ("{\"a\":1,}", "parse"),
            ("[]", "no object"),
            ("{\"mcpServers\":[]}", "`mcpServers`"),
            ("{\"mcpServers\":{},\"mcpServers\":{}}", "twice"),
        ] {
            let error =
                with_entry(text, Syntax::Json, "mcpServers", "medtainer", &entry()).unwrap_err();
            assert!(error.message().contains(why), "{text}: {error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_diff_shows_what_changed_and_no_secret() {
        let before =
            "{\n  \"a\": [\"--token\", \"hid\\\"den\"],\n  \"b\": \"seen\",\n  \"c\": 2\n}\n";
        let shown = HashSet::from(["seen".to_owned()]);
        assert_eq!(
            diff(before, &before.replace('2', "3"), &shown),
            "    \"a\": [\"…\", \"…\"],\n    \"b\": \"seen\",\n-   \"c\": 2\n+   \"c\": 3\n  }"
        );
    }
}
