//! A command as a tool: its definition, and its arguments apart from the options of every read.

use std::borrow::Cow;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::{Args, FromArgMatches};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::answer;
use crate::cli::options::{AnswerOptions, WriteOptions};
use crate::command::Effect;
use crate::error::Result;
use crate::schema;
use crate::tree::{self, Leaf};

/// The options a tool takes besides the command's own arguments: how fresh, for a read, and that nothing
/// be sent, for a write. The environment belongs to whoever started the server; a caller is not to be
/// refused for what is in it.
fn options_command(leaf: &Leaf) -> Option<clap::Command> {
    let command = clap::Command::new("options");
    let command = match leaf.effect {
        Effect::Read => AnswerOptions::augment_args(command),
        Effect::Local => return None,
        Effect::Write | Effect::Destroy => WriteOptions::augment_args(command),
    };
    Some(command.mut_args(|arg| arg.env(Resettable::Reset)))
}

/// What was given, as options and the arguments of the command; where nothing is said about freshness,
/// the `usual` holds.
pub fn split(
    leaf: &Leaf,
    given: &Map<String, Value>,
    usual: &AnswerOptions,
) -> Result<(AnswerOptions, WriteOptions, Map<String, Value>)> {
    let usual = AnswerOptions {
        fields: None,
        ..usual.clone()
    };
    let Some(command) = options_command(leaf) else {
        return Ok((usual, WriteOptions::default(), given.clone()));
    };
    let (options, given): (Map<_, _>, Map<_, _>) =
        given.clone().into_iter().partition(|(name, _)| {
            schema::arguments(&command).any(|arg| arg.get_id() == name.as_str())
        });
    if options.is_empty() {
        return Ok((usual, WriteOptions::default(), given));
    }
    let matches = schema::parse(command, &options)?;
    let refused = |error: clap::Error| schema::from_clap(&error);
    if leaf.effect != Effect::Read {
        let write = WriteOptions::from_arg_matches(&matches).map_err(refused)?;
        return Ok((usual, write, given));
    }
    let options = AnswerOptions::from_arg_matches(&matches).map_err(refused)?;
    let answer = if options.fresh || options.offline || options.max_age.is_some() {
        options
    } else {
        AnswerOptions {
            fields: options.fields,
            ..usual
        }
    };
    Ok((answer, WriteOptions::default(), given))
}

/// A command as a tool.
pub fn tool(path: &[&str], leaf: &Leaf) -> Tool {
    let command = leaf.clap();
    let mut input = schema::input(&command);
    if let Some(options) = options_command(leaf)
        && let Some(Value::Object(properties)) = input.get_mut("properties")
        && let Some(Value::Object(options)) = schema::input(&options).remove("properties")
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
