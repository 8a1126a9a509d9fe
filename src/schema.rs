//! One parser, two syntaxes: the JSON Schema of a command's arguments is derived from its clap
//! arguments, and JSON arguments become words for the same parser. A default, a range or an enum is
//! written once and cannot differ between a shell and a model.

use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::values::Range;

/// The arguments a caller may give, without clap's own help flags.
pub fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        !matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        )
    })
}

/// The JSON Schema of a command's arguments: an object that takes nothing else.
pub fn input(command: &Command) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for arg in arguments(command) {
        let name = arg.get_id().as_str().to_owned();
        if arg.is_required_set() {
            required.push(Value::String(name.clone()));
        }
        properties.insert(name, property(arg));
    }
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".into(), Value::Array(required));
    }
    schema.insert("additionalProperties".into(), false.into());
    schema
}

fn property(arg: &Arg) -> Value {
    let mut value = Map::new();
    if is_flag(arg) {
        value.insert("type".into(), "boolean".into());
    } else {
        let choices: Vec<Value> = arg
            .get_possible_values()
            .iter()
            .filter(|choice| !choice.is_hide_set())
            .map(|choice| choice.get_name().into())
            .collect();
        value.insert("type".into(), json_type(arg.get_value_parser()).into());
        if !choices.is_empty() && json_type(arg.get_value_parser()) == "string" {
            value.insert("enum".into(), choices.into());
        }
        if let Some(range) = arg.get::<Range>() {
            value.insert("minimum".into(), range.min.into());
            value.insert("maximum".into(), range.max.into());
        }
    }
    if is_list(arg) {
        value = Map::from_iter([
            ("type".to_owned(), json!("array")),
            ("items".to_owned(), Value::Object(value)),
        ]);
    }
    if let Some(help) = arg.get_help() {
        value.insert("description".into(), help.to_string().into());
    }
    if !is_flag(arg)
        && let [default] = arg.get_default_values()
    {
        let text = default.to_string_lossy();
        let typed = match json_type(arg.get_value_parser()) {
            "integer" | "number" | "boolean" => {
                serde_json::from_str(&text).unwrap_or_else(|_| text.into())
            }
            _ => text.into(),
        };
        value.insert("default".into(), typed);
    }
    Value::Object(value)
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
        || arg
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1)
}

fn json_type(parser: &ValueParser) -> &'static str {
    let id = parser.type_id();
    macro_rules! is { ($($t:ty),*) => { $(id == clap::builder::ValueParser::from(clap::value_parser!($t)).type_id())||* } }
    if is!(u8, u16, u32, u64, i8, i16, i32, i64) {
        "integer"
    } else if is!(f64) {
        "number"
    } else if is!(bool) {
        "boolean"
    } else {
        "string"
    }
}

/// The words that say to the parser what `given` says: options as `--name=value`, so that a value
/// can never become a flag, and positionals after `--`, in their order.
pub fn words(command: &Command, given: &Map<String, Value>) -> Result<Vec<OsString>> {
    for name in given.keys() {
        if !arguments(command).any(|arg| arg.get_id() == name.as_str()) {
            return Err(unknown(command, name));
        }
    }
    let mut options = Vec::new();
    let mut positionals = Vec::new();
    let mut gap: Option<&str> = None;
    for arg in arguments(command) {
        let name = arg.get_id().as_str();
        let value = given.get(name).filter(|value| !value.is_null());
        let Some(value) = value else {
            if arg.is_positional() {
                gap = gap.or(Some(name));
            }
            continue;
        };
        if is_flag(arg) {
            match value {
                Value::Bool(true) => options.push(long(arg)?.into()),
                Value::Bool(false) => {}
                _ => return Err(wrong(name, "true or false")),
            }
            continue;
        }
        let values = match value {
            Value::Array(values) if is_list(arg) => values
                .iter()
                .map(|v| scalar(name, v))
                .collect::<Result<Vec<_>>>()?,
            other => vec![scalar(name, other)?],
        };
        for text in values {
            if arg.is_positional() {
                if let Some(missing) = gap {
                    return Err(Error::usage(format!(
                        "`{missing}` is required for `{name}`"
                    )));
                }
                positionals.push(text.into());
            } else {
                options.push(format!("{}={text}", long(arg)?).into());
            }
        }
    }
    if !positionals.is_empty() {
        options.push("--".into());
        options.append(&mut positionals);
    }
    Ok(options)
}

fn long(arg: &Arg) -> Result<String> {
    arg.get_long()
        .map(|long| format!("--{long}"))
        .ok_or_else(|| Error::internal(format!("argument `{}` has no long name", arg.get_id())))
}

fn scalar(name: &str, value: &Value) -> Result<String> {
    match value {
        // No shell can say it, and no database keep it.
        Value::String(text) if text.contains('\0') => {
            Err(wrong(name, "text without NUL characters"))
        }
        Value::String(text) => Ok(text.clone()),
        // Some models write whole numbers as `10.0`.
        Value::Number(number) => Ok(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        }),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(wrong(name, "a single value")),
    }
}

fn wrong(name: &str, wanted: &str) -> Error {
    Error::usage(format!("`{name}` takes {wanted}"))
}

fn unknown(command: &Command, name: &str) -> Error {
    let known: Vec<_> = arguments(command)
        .map(|arg| arg.get_id().as_str())
        .collect();
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), *known))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let error = Error::usage(format!("there is no argument `{name}`"));
    match near {
        Some((_, near)) => error.hint(format!("Did you mean `{near}`?")),
        None if known.is_empty() => error.hint("It takes no arguments."),
        None => error.hint(format!("It takes: {}.", known.join(", "))),
    }
}

/// Parses JSON arguments with the command's own parser.
pub fn parse(command: Command, given: &Map<String, Value>) -> Result<ArgMatches> {
    Parser::new(command).parse(given)
}

/// A command's own parser, for JSON arguments, as often as they come: to build a command costs more
/// than to parse with it.
#[derive(Debug)]
pub struct Parser(Mutex<Command>);

impl Parser {
    /// The parser of a command.
    pub fn new(command: Command) -> Self {
        let command = command.no_binary_name(true).color(clap::ColorChoice::Never);
        Parser(Mutex::new(command))
    }

    /// What was given, as the command's own matches.
    pub fn parse(&self, given: &Map<String, Value>) -> Result<ArgMatches> {
        let mut command = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words = words(&command, given)?;
        command
            .try_get_matches_from_mut(words)
            .map_err(|error| in_json(&command, &error))
    }
}

/// A parser's refusal for a caller that writes JSON: arguments have the names of the schema, and
/// what each one takes is said.
fn in_json(command: &Command, error: &clap::Error) -> Error {
    let refused = from_clap(error);
    let mut message = refused.message().to_owned();
    let mut takes = Vec::new();
    for arg in arguments(command) {
        let (shown, name) = (arg.to_string(), arg.get_id().as_str());
        if !message.contains(&shown) {
            continue;
        }
        let (quoted, named) = (format!("`{shown}`"), format!("`{name}`"));
        message = if message.contains(&quoted) {
            message.replace(&quoted, &named)
        } else {
            message.replace(&shown, &named)
        };
        takes.push(format!("{named} ({}", what_it_takes(arg)));
    }
    let renamed = Error::usage(message);
    match refused.hint_text() {
        Some(hint) => renamed.hint(hint),
        None if takes.is_empty() => renamed,
        None => renamed.hint(format!("{}.", takes.join("; "))),
    }
}

fn what_it_takes(arg: &Arg) -> String {
    let property = property(arg);
    let one = property.get("items").unwrap_or(&property);
    let mut text = one
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("string")
        .to_owned();
    if let (Some(min), Some(max)) = (one.get("minimum"), one.get("maximum")) {
        text.push_str(&format!(" from {min} to {max}"));
    }
    if let Some(choices) = one.get("enum").and_then(Value::as_array) {
        let choices: Vec<_> = choices.iter().filter_map(Value::as_str).collect();
        text.push_str(&format!(", one of {}", choices.join(", ")));
    }
    match arg.get_help() {
        Some(help) => format!("{text}): {}", help.to_string().trim_end_matches('.')),
        None => format!("{text})"),
    }
}

/// A parser's refusal as one of our errors: what is wrong, and the near word if there is one.
pub fn from_clap(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let head = paragraphs.next().unwrap_or_default();
    let message = head
        .trim()
        .trim_start_matches("error: ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let hint = paragraphs
        .filter_map(|paragraph| paragraph.trim().strip_prefix("tip: "))
        .map(|tip| {
            let mut chars = tip.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            format!(
                "{}{}.",
                first.map(String::from).unwrap_or_default(),
                chars.as_str()
            )
        })
        .next();
    let error = Error::usage(message.replace('\'', "`"));
    match hint {
        Some(hint) => error.hint(hint.replace('\'', "`")),
        None => error,
    }
}

/// The arguments a caller gave, as JSON, without what was left to a default; the audit trail redacts them.
pub fn given(command: &Command, matches: &ArgMatches) -> Map<String, Value> {
    let mut given = Map::new();
    for arg in arguments(command) {
        let name = arg.get_id().as_str();
        if matches.try_contains_id(name).is_err()
            || matches.value_source(name) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        let mut values: Vec<Value> = matches
            .get_raw(name)
            .into_iter()
            .flatten()
            .map(|value| {
                let text = value.to_string_lossy();
                match json_type(arg.get_value_parser()) {
                    "string" => text.into(),
                    _ => serde_json::from_str(&text).unwrap_or_else(|_| text.into()),
                }
            })
            .collect();
        let value = match values.len() {
            _ if is_flag(arg) => Value::Bool(true),
            1 if !is_list(arg) => values.remove(0),
            _ => Value::Array(values),
        };
        given.insert(name.to_owned(), value);
    }
    given
}
