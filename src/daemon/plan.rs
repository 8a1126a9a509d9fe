//! What is to run by itself: the built-in schedules and those of the configuration, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use super::due::Calendar;
use crate::app::{App, Product};
use crate::cli;
use crate::cli::options::Options;
use crate::config::Schedule;
use crate::error::{Error, Result};
use crate::schema;
use crate::tree::{Group, Leaf};

/// A schedule that can be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it is called.
    pub name: String,
    /// The command, as words.
    pub words: Vec<String>,
    /// The five fields of cron.
    pub cron: String,
    /// The IANA time zone they are in.
    pub timezone: String,
    /// Whether it runs.
    pub enabled: bool,
    /// How late a run may begin, where somebody said so.
    pub grace: Option<Duration>,
    /// When it is due.
    pub calendar: Calendar,
}

/// Every schedule, by name; the first that is wrong is an error that names it.
pub fn plans(app: &App) -> Result<Vec<Plan>> {
    let mut all: BTreeMap<String, Schedule> = BTreeMap::new();
    for ecosystem in app.product.ecosystems {
        all.extend((ecosystem.schedules)());
    }
    for (name, mut schedule) in app.config.schedules.clone() {
        // What is left open about a built-in one stays as it is: enough to switch it off.
        if let Some(built_in) = all.get(&name) {
            if schedule.command.is_empty() {
                schedule.command.clone_from(&built_in.command);
            }
            if schedule.cron.is_empty() {
                schedule.cron.clone_from(&built_in.cron);
                schedule.timezone = schedule.timezone.or_else(|| built_in.timezone.clone());
            }
        }
        all.insert(name, schedule);
    }
    let place = app.paths.config_file();
    all.into_iter()
        .map(|(name, schedule)| {
            plan(app.product, &name, schedule).map_err(|error| {
                Error::usage(format!("schedule `{name}`: {}", error.message())).hint(
                    format!(
                        "{} Mend `[schedules.{name}]` in `{}`.",
                        error.hint_text().unwrap_or_default(),
                        place.display()
                    )
                    .trim_start()
                    .to_owned(),
                )
            })
        })
        .collect()
}

/// The schedule of a name.
pub fn find(app: &App, name: &str) -> Result<Plan> {
    let plans = plans(app)?;
    let names: Vec<_> = plans.iter().map(|plan| plan.name.clone()).collect();
    plans
        .into_iter()
        .find(|plan| plan.name == name)
        .ok_or_else(|| {
            Error::not_found(format!("there is no schedule `{name}`"))
                .hint(format!("The schedules are: {}.", names.join(", ")))
        })
}

fn plan(product: &Product, name: &str, schedule: Schedule) -> Result<Plan> {
    if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err(Error::usage("a schedule's name has 1 to 100 letters"));
    }
    let timezone = schedule.timezone.unwrap_or_else(|| "UTC".to_owned());
    let calendar = Calendar::parse(&schedule.cron, &timezone)?;
    calendar.next(Utc::now())?;
    let grace = schedule.grace.map(|grace| grace.0.duration());
    // Daemons look every few seconds; less than this would be missed by chance.
    if grace.is_some_and(|grace| grace < Duration::from_secs(60)) {
        return Err(Error::usage("a grace is at least `1m`"));
    }
    let tree = (product.tree)();
    let reading = read(product, &tree, &schedule.command)?;
    reading
        .leaf
        .parse(&mut reading.matches.clone())
        .map_err(|error| schema::from_clap(&error))?;
    Ok(Plan {
        name: name.to_owned(),
        words: schedule.command,
        cron: schedule.cron,
        timezone,
        enabled: schedule.enabled,
        grace,
        calendar,
    })
}

/// A schedule's words, parsed as a terminal's would be.
pub(super) struct Reading<'a> {
    pub path: Vec<&'a str>,
    pub leaf: &'a Leaf,
    pub matches: ArgMatches,
    pub options: Options,
}

pub(super) fn read<'a>(
    product: &Product,
    tree: &'a Group,
    words: &[String],
) -> Result<Reading<'a>> {
    let said = words.join(" ");
    if words.is_empty() {
        return Err(Error::usage("it has no command")
            .hint("Write it as words, such as `command = [\"ghl\", \"sync\"]`."));
    }
    let args = std::iter::once(product.name).chain(words.iter().map(String::as_str));
    let matches = cli::command(product)
        .try_get_matches_from(args)
        .map_err(|error| schema::from_clap(&error))?;
    let (path, leaf, mut matches) = tree
        .resolve(matches)
        .ok_or_else(|| Error::usage(format!("`{said}` is not a command")))?;
    if !leaf.is_tool() {
        return Err(Error::usage(format!(
            "`{}` is for a person at a terminal, not for a schedule",
            path.join(" ")
        )));
    }
    for option in ["business", "sandbox"] {
        if matches.value_source(option) == Some(ValueSource::CommandLine) {
            return Err(Error::usage(format!(
                "`--{option}` cannot be said in a schedule: it runs for its daemon's business"
            ))
            .hint(format!("Start a daemon with `--{option}` for it.")));
        }
    }
    let options =
        Options::from_arg_matches_mut(&mut matches).map_err(|error| schema::from_clap(&error))?;
    Ok(Reading {
        path,
        leaf,
        matches,
        options,
    })
}
