//! Completion of what a resource template or a prompt asks for: from the cache, never from a provider.

use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, ErrorData, Reference};
use serde_json::{Map, Value};

use super::Server;
use super::grant::Grant;
use super::prompts::choices;
use crate::complete::Candidates;
use crate::schema;
use crate::tree::Leaf;

/// The most values of one answer.
const MOST: usize = CompletionInfo::MAX_VALUES;

/// What is typed longer than this is no beginning of anything.
const LONGEST: usize = 200;

/// An argument of a command, which knows what it may be.
struct Source<'a> {
    group: &'static str,
    leaf: &'a Leaf,
    argument: &'static str,
}

impl Server {
    /// What an argument may be, as far as it is typed. What nobody offers has no values: a client asks
    /// with each key, and has nobody to show an error to.
    pub(super) async fn completed(
        &self,
        request: CompleteRequestParams,
        grant: &Grant,
    ) -> Result<CompleteResult, ErrorData> {
        let name = request.argument.name.as_str();
        let typed = request.argument.value.as_str();
        let context = request.context.and_then(|context| context.arguments);
        let said: Map<String, Value> = context
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, value.into()))
            .collect();
        let (fixed, asked) = match &request.r#ref {
            Reference::Resource(template) => {
                (Vec::new(), self.of_template(grant, &template.uri, name))
            }
            Reference::Prompt(prompt) => self.of_prompt(grant, &prompt.name, name, &said),
            _ => Default::default(),
        };
        if typed.chars().count() > LONGEST {
            return Ok(CompleteResult::default());
        }
        let mut values: Vec<String> = beginning(fixed, typed);
        let mut all = true;
        for source in &asked {
            let found = self.values(grant, source, typed).await?;
            all &= found.len() <= MOST;
            values.extend(found);
        }
        if asked.len() > 1 {
            values.sort();
            values.dedup();
        }
        let total = all
            .then_some(values.len())
            .and_then(|total| u32::try_from(total).ok());
        let more = !all || values.len() > MOST;
        values.truncate(MOST);
        let completion = CompletionInfo::with_pagination(values, total, more)
            .map_err(|e| ErrorData::internal_error(e, None))?;
        Ok(CompleteResult::new(completion))
    }

    /// The command that the argument of a template is given to.
    fn of_template<'a>(&'a self, grant: &'a Grant, uri: &str, argument: &str) -> Vec<Source<'a>> {
        let scheme = self.0.app.product.name;
        let all = self.readable(grant);
        let fitting = all.filter(|(resource, _)| resource.uri(scheme) == uri);
        let sources = fitting.filter_map(|(resource, leaf)| {
            let mut arguments = resource.arguments();
            Some(Source {
                group: group(resource.command),
                leaf,
                argument: arguments.find(|own| *own == argument)?,
            })
        });
        sources.collect()
    }

    /// What the argument of a prompt can be by itself, and the commands that it is given to.
    fn of_prompt<'a>(
        &'a self,
        grant: &Grant,
        name: &str,
        argument: &str,
        said: &Map<String, Value>,
    ) -> (Vec<&'static str>, Vec<Source<'a>>) {
        let mut all = self.prompts_for(grant);
        let Some((_, steps)) = all.find(|(prompt, _)| prompt.name == name) else {
            return Default::default();
        };
        let mut asked: Vec<Source<'a>> = Vec::new();
        for step in steps.iter().filter(|step| step.fits(said)) {
            let Some(own) = step.takes(argument) else {
                continue;
            };
            let group = group(step.command);
            // What commands of one group call the same is the same.
            let mut known = asked.iter().map(|source| (source.group, source.argument));
            if !known.any(|known| known == (group, own))
                && let Some(leaf) = self.reading(grant, step.command)
            {
                asked.push(Source {
                    group,
                    leaf,
                    argument: own,
                });
            }
        }
        (choices(&steps, argument), asked)
    }

    /// What an argument of a command may be: one of its choices, or what the store knows.
    async fn values(
        &self,
        grant: &Grant,
        source: &Source<'_>,
        typed: &str,
    ) -> Result<Vec<String>, ErrorData> {
        let command = source.leaf.clap();
        let mut all = schema::arguments(&command);
        let Some(arg) = all.find(|arg| arg.get_id() == source.argument) else {
            return Ok(Vec::new());
        };
        let Some(candidates) = Candidates::of(arg) else {
            let choices = arg.get_possible_values();
            let names = choices.iter().map(|choice| choice.get_name());
            return Ok(beginning(names, typed));
        };
        if candidates.is_personal() && !grant.masked.is_empty() {
            return Ok(Vec::new());
        }
        let desk = self.0.app.desk(&self.business(grant)).await;
        let desk = desk.map_err(|e| ErrorData::internal_error(e.message().to_owned(), None))?;
        let found = candidates.find(&desk, typed, MOST + 1).await;
        Ok(found.into_iter().map(|(value, _)| value).collect())
    }
}

fn beginning<'a>(all: impl IntoIterator<Item = &'a str>, typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let all = all.into_iter();
    all.filter(|value| value.to_lowercase().starts_with(&typed))
        .map(str::to_owned)
        .collect()
}

/// The first word of a command.
fn group(command: &'static str) -> &'static str {
    command.split(' ').next().unwrap_or_default()
}
