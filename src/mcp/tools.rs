//! A command as a tool: its definition, and its arguments apart from the options of every read.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use clap::builder::Resettable;
use clap::{ArgMatches, Args, FromArgMatches};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::answer;
use crate::cli::options::{AnswerOptions, WriteOptions};
use crate::command::Effect;
use crate::error::Result;
use crate::schema::{self, Parser};
use crate::tree::{self, Leaf};

/// The options a tool takes besides the command's own arguments: how fresh, for a read, and that nothing
/// be sent, for a write. The environment belongs to whoever started the server; a caller is not to be
/// refused for what is in it.
struct Options {
    command: clap::Command,
    parser: Parser,
}

impl Options {
    fn new(augment: fn(clap::Command) -> clap::Command) -> Self {
        let command =
            augment(clap::Command::new("options")).mut_args(|arg| arg.env(Resettable::Reset));
        Options {
            parser: Parser::new(command.clone()),
            command,
        }
    }

    fn of(leaf: &Leaf) -> Option<&'static Options> {
        static READ: LazyLock<Options> =
            LazyLock::new(|| Options::new(AnswerOptions::augment_args));
        static WRITE: LazyLock<Options> =
            LazyLock::new(|| Options::new(WriteOptions::augment_args));
        match leaf.effect {
            Effect::Read => Some(&READ),
            Effect::Local => None,
            Effect::Write | Effect::Destroy => Some(&WRITE),
        }
    }
}

/// Takes the options out of what was given, unless one is wrong; where nothing is said about freshness,
/// the `usual` holds.
pub fn options(
    leaf: &Leaf,
    given: &mut Map<String, Value>,
    usual: &AnswerOptions,
) -> Result<(AnswerOptions, WriteOptions)> {
    let usual = AnswerOptions {
        fields: None,
        ..usual.clone()
    };
    let said: Map<_, _> = Options::of(leaf)
        .into_iter()
        .flat_map(|options| schema::arguments(&options.command))
        .filter_map(|arg| given.shift_remove_entry(arg.get_id().as_str()))
        .collect();
    let Some(options) = Options::of(leaf).filter(|_| !said.is_empty()) else {
        return Ok((usual, WriteOptions::default()));
    };
    let parsed = options
        .parser
        .parse(&said)
        .and_then(|matches| read(leaf, &matches, usual));
    if parsed.is_err() {
        given.extend(said);
    }
    parsed
}

fn read(
    leaf: &Leaf,
    matches: &ArgMatches,
    usual: AnswerOptions,
) -> Result<(AnswerOptions, WriteOptions)> {
    let refused = |error: clap::Error| schema::from_clap(&error);
    if leaf.effect != Effect::Read {
        let write = WriteOptions::from_arg_matches(matches).map_err(refused)?;
        return Ok((usual, write));
    }
    let options = AnswerOptions::from_arg_matches(matches).map_err(refused)?;
    let answer = if options.fresh || options.offline || options.max_age.is_some() {
        options
    } else {
        AnswerOptions {
            fields: options.fields,
            ..usual
        }
    };
    Ok((answer, WriteOptions::default()))
}

/// A command as a tool.
pub fn tool(path: &[&str], leaf: &Leaf) -> Tool {
    let command = leaf.clap();
    let mut input = schema::input(&command);
    if let Some(options) = Options::of(leaf)
        && let Some(Value::Object(properties)) = input.get_mut("properties")
        && let Some(Value::Object(options)) = schema::input(&options.command).remove("properties")
    {
        properties.extend(options);
    }
    let title = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let description = command
        .get_long_about()
        .map(ToString::to_string)
        .unwrap_or_else(|| title.clone());
    let mut tool = Tool::new(
        Cow::Owned(tree::tool_name(path)),
        description,
        Arc::new(input),
    );
    tool.title = Some(title.clone());
    tool.output_schema = Some(Arc::new(output(leaf)));
    let mut annotations = ToolAnnotations::default();
    annotations.title = Some(title);
    annotations.read_only_hint = Some(leaf.effect == Effect::Read);
    annotations.destructive_hint = Some(leaf.effect == Effect::Destroy);
    annotations.idempotent_hint = Some(leaf.effect <= Effect::Local);
    annotations.open_world_hint = Some(leaf.effect >= Effect::Write);
    tool.annotations = Some(annotations);
    tool
}

fn output(leaf: &Leaf) -> JsonObject {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator();
    let mut data = (leaf.output)(&mut generator).to_value();
    loosen(&mut data);
    match answer::schema(data) {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}

/// Takes out what `fields` may leave out, and what costs tokens and tells nothing.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // A property may be called like a keyword; keywords here are never objects.
            for noise in ["required", "title", "$schema", "format", "minimum"] {
                if map.get(noise).is_some_and(|value| !value.is_object()) {
                    map.remove(noise);
                }
            }
            map.values_mut().for_each(loosen);
        }
        Value::Array(values) => values.iter_mut().for_each(loosen),
        _ => {}
    }
}
